"""A database belongs to one realm for ever; a process of the other realm refuses to start on it."""

from django.conf import settings
from django.core.exceptions import ImproperlyConfigured

from irefuda.agencies.models import Installation


def refuse_wrong_realm() -> None:
    """Stop the start of this process when the database was made for the other realm.

    :raises ImproperlyConfigured: on a mismatch
    """
    found = Installation.objects.values_list("realm", flat=True).get(id=1)
    if found != settings.REALM:
        raise ImproperlyConfigured(f"this database is {found}, the settings say {settings.REALM}: refusing to start")
