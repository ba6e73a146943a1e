"""The web process: `granian --interface wsgi irefuda.config.wsgi:application`."""

import gc
import os

from django.core.wsgi import get_wsgi_application

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "irefuda.config.settings")
application = get_wsgi_application()

from irefuda.agencies.realm import refuse_wrong_realm  # noqa: E402 -- needs the app registry

refuse_wrong_realm()

# Every page makes thousands of objects and leaves almost none in a cycle; at Python's own 700, looking for cycles takes a
# tenth of its time. What is loaded by now stays for good, so no collection looks at it again.
gc.collect()
gc.freeze()
gc.set_threshold(10_000, 10, 10)
