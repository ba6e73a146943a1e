"""What a web process must have before it takes the first request."""

from django.conf import settings

from irefuda.ledger import keys


def refuse_missing_keys() -> None:
    """Stop the start of a production process that would find out at the first deed that its keys are missing.

    :raises ImproperlyConfigured: when one is missing or cannot be read
    """
    if settings.PRACTICE:
        return
    keys.published_keys()
    if settings.SITE != "public":
        keys.receipt_key()
