"""The rulebook of irefuda: what may be done, what must be refused, and why. No Django, no I/O, no clock, no chance."""
