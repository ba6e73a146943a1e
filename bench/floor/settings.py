"""The product's settings, with the floor's view and tables beside it."""

import os

from irefuda.config.settings import *  # noqa: F403
from irefuda.config.settings import INSTALLED_APPS, MIDDLEWARE, SITE

INSTALLED_APPS = [*INSTALLED_APPS, "floor"]
if SITE == "supplier":
    ROOT_URLCONF = "floor.urls"
if os.environ.get("BENCH_COUNT_QUERIES"):
    MIDDLEWARE = ["floor.counting.QueryCount", *MIDDLEWARE]
