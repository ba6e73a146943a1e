"""The staff's own pages: the way in, colleagues, settings of the agencies, trust, audit."""
