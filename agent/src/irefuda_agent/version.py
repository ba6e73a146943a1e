"""Which version of the program this is; a test holds it to the one of the distribution."""

VERSION = "0.1.0"
# As the Web eID token names its maker; servers take it for a hint, because nothing signs it.
APP_VERSION = f"irefuda-card-agent/{VERSION}"
