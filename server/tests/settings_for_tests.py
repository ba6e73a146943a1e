"""The settings of a practice installation in a temporary folder, for tests."""

import os
import tempfile

os.environ.setdefault("IREFUDA_REALM", "practice")
os.environ.setdefault("IREFUDA_STATE_DIR", tempfile.mkdtemp(prefix="irefuda-test-"))
os.environ.setdefault("IREFUDA_SECRET_KEY", "for-tests-only-0000000000000000000000000000000000000")
os.environ.setdefault("IREFUDA_SUPPLIER_ORIGIN", "http://localhost:8000")
os.environ.setdefault("IREFUDA_PUBLIC_ORIGIN", "http://open.localhost:8002")
os.environ.setdefault("IREFUDA_STAFF_ORIGIN", "http://staff.localhost:8001")

from irefuda.config.settings import *  # noqa: F403

STATIC_ROOT.mkdir(parents=True, exist_ok=True)  # noqa: F405 -- whitenoise warns when there is none, and warnings are errors
