"""The web process: `granian --interface wsgi irefuda.config.wsgi:application`."""

import os

from django.core.wsgi import get_wsgi_application

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "irefuda.config.settings")
application = get_wsgi_application()

from irefuda.agencies.realm import refuse_wrong_realm  # noqa: E402 -- needs the app registry

refuse_wrong_realm()
