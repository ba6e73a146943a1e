"""The practice realm and production never share a database."""

import pytest
from django.core.exceptions import ImproperlyConfigured
from django.db import IntegrityError

from irefuda.agencies.models import Installation
from irefuda.agencies.realm import refuse_wrong_realm


@pytest.mark.django_db
def test_a_process_of_the_other_realm_refuses_to_start(settings):
    refuse_wrong_realm()
    settings.REALM = "production"
    with pytest.raises(ImproperlyConfigured, match="refusing to start"):
        refuse_wrong_realm()


@pytest.mark.committing
def test_a_production_database_takes_no_practice_clock(own_database):
    Installation.objects.filter(id=1).update(clock_offset_seconds=3600)
    with pytest.raises(IntegrityError):
        Installation.objects.filter(id=1).update(realm="production")
