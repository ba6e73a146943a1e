"""The web process: `granian --interface wsgi irefuda.config.wsgi:application`."""

import gc
import os
import sys

from django.core.exceptions import ImproperlyConfigured
from django.core.wsgi import get_wsgi_application

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "irefuda.config.settings")
try:
    application = get_wsgi_application()

    from irefuda.agencies.realm import refuse_wrong_realm
    from irefuda.config.checks import refuse_missing_keys

    refuse_missing_keys()
    refuse_wrong_realm()
except ImproperlyConfigured as reason:
    # Whoever has to put it right needs the sentence, not the way to it.
    sys.exit(f"irefuda does not start: {reason}")

# Every page makes thousands of objects and leaves almost none in a cycle; at Python's own 700, looking for cycles takes a
# tenth of its time. What is loaded by now stays for good, so no collection looks at it again.
gc.collect()
gc.freeze()
gc.set_threshold(10_000, 10, 10)
