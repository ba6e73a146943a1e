"""Every setting of irefuda. Values come from the environment (docs/settings.md lists them); no secret has a default."""

from pathlib import Path
from typing import Any

from django.core.exceptions import ImproperlyConfigured

from irefuda.config import database, env

PACKAGE = Path(__file__).resolve().parent.parent

REALM = env.text("IREFUDA_REALM")
if REALM not in ("practice", "production"):
    raise ImproperlyConfigured(f"IREFUDA_REALM must be practice or production, not {REALM!r}")
PRACTICE = REALM == "practice"

SITE = env.text("IREFUDA_SITE", "supplier")
if SITE not in ("supplier", "public", "staff"):
    raise ImproperlyConfigured(f"IREFUDA_SITE must be supplier, public or staff, not {SITE!r}")

# The name of the city or body, as it stands in the head of every page.
CITY_NAME = env.text("IREFUDA_CITY_NAME", "入札市" if PRACTICE else None)

STATE_DIR = Path(env.text("IREFUDA_STATE_DIR"))
SECRET_KEY = env.secret("IREFUDA_SECRET_KEY", least=50)
DEBUG = False

# The origins are settings, never taken from a request: the card signs over them.
SUPPLIER_ORIGIN = env.text("IREFUDA_SUPPLIER_ORIGIN")
PUBLIC_ORIGIN = env.text("IREFUDA_PUBLIC_ORIGIN")
# Only the staff's own process needs it: the others never link there.
STAFF_ORIGIN = env.text("IREFUDA_STAFF_ORIGIN", None if SITE == "staff" else "")
ORIGIN = {"supplier": SUPPLIER_ORIGIN, "public": PUBLIC_ORIGIN, "staff": STAFF_ORIGIN}[SITE]
SECURE_ORIGIN = ORIGIN.startswith("https://")
if not SECURE_ORIGIN and not PRACTICE:
    raise ImproperlyConfigured("a production site needs an https origin")
ALLOWED_HOSTS = [ORIGIN.split("://", 1)[1].rsplit(":", 1)[0]]
CSRF_TRUSTED_ORIGINS = [ORIGIN]

CARD_AGENT_PORTS = [int(port) for port in env.words("IREFUDA_AGENT_PORTS", "28765 28766 28767")]
# An older agent is refused at the way in, with where to get a newer one.
AGENT_MINIMUM_VERSION = env.version("IREFUDA_AGENT_MINIMUM_VERSION", "0.1.0")
# The folder that `publish_agent` fills; without it 「補助アプリの入手」 says whom to ask.
AGENT_RELEASES = env.text("IREFUDA_AGENT_RELEASES", "")
TRUSTED_PROXIES = env.networks("IREFUDA_TRUSTED_PROXIES")

INSTALLED_APPS = [
    "django.forms",
    "django.contrib.sessions",
    "django.contrib.staticfiles",
    "csp",
    "irefuda.ui",
    "irefuda.ledger",
    "irefuda.agencies",
    "irefuda.notices",
    "irefuda.suppliers",
    "irefuda.cards",
    "irefuda.staff",
    "irefuda.registration",
    "irefuda.disclosure",
]
MIDDLEWARE = [
    "irefuda.config.request_log.RequestLog",
    "irefuda.config.health.Health",
    "django.middleware.security.SecurityMiddleware",
    "whitenoise.middleware.WhiteNoiseMiddleware",
    "csp.middleware.CSPMiddleware",
    "irefuda.ui.middleware.ResponseHeaders",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "irefuda.cards.auth.CardSessions",
    # Whatever stands outside the table of staff pages does not exist on the staff's site.
    *(["irefuda.staff.auth.OnlyStaffPages"] if SITE == "staff" else []),
]
ROOT_URLCONF = f"irefuda.config.urls_{SITE}"
WSGI_APPLICATION = "irefuda.config.wsgi.application"

TEMPLATES: list[dict[str, Any]] = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "irefuda.ui.context.site",
                "irefuda.disclosure.manual.explained",
            ],
            # In every template: Django's own `url`, with the addresses kept.
            "builtins": ["irefuda.ui.templatetags.quick_parts"],
        },
    }
]
FORM_RENDERER = "irefuda.ui.forms.Renderer"

DATABASES = {"default": database.from_url(env.text("DATABASE_URL", f"sqlite:///{STATE_DIR / 'db.sqlite3'}"))}

PASSWORD_HASHERS = ["irefuda.config.passwords.Argon2"]

LANGUAGE_CODE = "ja"
TIME_ZONE = "Asia/Tokyo"
USE_TZ = True
USE_I18N = True

STATIC_URL = "/static/"
STATIC_ROOT = STATE_DIR / "static"
STORAGES = {
    "default": {"BACKEND": "django.core.files.storage.FileSystemStorage"},
    "staticfiles": {"BACKEND": "whitenoise.storage.CompressedManifestStaticFilesStorage"},
}

# -- Sessions and cookies: one host-only cookie per origin; __Host- needs Secure, which practice over http cannot have.
SESSION_ENGINE = "irefuda.ui.sessions"
COOKIES = ("__Host-" if SECURE_ORIGIN else "") + ("irefuda-staff" if SITE == "staff" else "irefuda")
SESSION_COOKIE_NAME = COOKIES
CSRF_COOKIE_NAME = f"{COOKIES}-csrf"
BROWSER_COOKIE_NAME = f"{COOKIES}-browser"
SESSION_COOKIE_HTTPONLY = CSRF_COOKIE_HTTPONLY = True
SESSION_COOKIE_SAMESITE = CSRF_COOKIE_SAMESITE = "Lax"
SESSION_COOKIE_SECURE = CSRF_COOKIE_SECURE = SECURE_ORIGIN
SESSION_EXPIRE_AT_BROWSER_CLOSE = True
SESSION_IDLE_SECONDS = 30 * 60

SECURE_CONTENT_TYPE_NOSNIFF = True
SECURE_REFERRER_POLICY = "same-origin"
# "same-origin" would cut the card agent's popup off from its opener.
SECURE_CROSS_ORIGIN_OPENER_POLICY = "same-origin-allow-popups"
SECURE_HSTS_SECONDS = 31_536_000 if SECURE_ORIGIN else 0
SECURE_SSL_REDIRECT = SECURE_ORIGIN
# Subdomains and browsers' preload lists are the city's to decide for its whole domain, not this application's.
SILENCED_SYSTEM_CHECKS = ["security.W005", "security.W021"]
SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https") if SECURE_ORIGIN else None
X_FRAME_OPTIONS = "DENY"
CONTENT_SECURITY_POLICY = {
    "DIRECTIVES": {
        "default-src": ["'none'"],
        "script-src": ["'self'"],
        "style-src": ["'self'"],
        "img-src": ["'self'"],
        "font-src": ["'self'"],
        "connect-src": ["'self'"],
        "form-action": ["'self'"],
        "frame-ancestors": ["'none'"],
        "base-uri": ["'none'"],
    }
}
# A form of this system is small: the largest is the one that carries a signed document.
DATA_UPLOAD_MAX_MEMORY_SIZE = 256 * 1024
# A register may have 256 columns, and each is asked about by a select.
DATA_UPLOAD_MAX_NUMBER_FIELDS = 300
# Nobody's file reaches the disk, except on the pages that ask for one.
FILE_UPLOAD_HANDLERS = ["irefuda.ui.uploads.NoFiles"]

# -- Mail. Practice mail never leaves the machine: the practice realm takes a loopback server only.
EMAIL_HOST = env.text("IREFUDA_SMTP_HOST", "127.0.0.1")
EMAIL_PORT = env.number("IREFUDA_SMTP_PORT", 8025)
EMAIL_HOST_USER = env.text("IREFUDA_SMTP_USER", "")
EMAIL_HOST_PASSWORD = env.text("IREFUDA_SMTP_PASSWORD", "")
EMAIL_USE_TLS = env.text("IREFUDA_SMTP_STARTTLS", "no") == "yes"
EMAIL_TIMEOUT = 30
DEFAULT_FROM_EMAIL = env.mailbox("IREFUDA_MAIL_FROM", "irefuda@localhost")
if PRACTICE and EMAIL_HOST not in ("127.0.0.1", "localhost", "::1"):
    raise ImproperlyConfigured("practice mail never leaves the machine: IREFUDA_SMTP_HOST must be loopback")

# -- Keys. The receipt key belongs to the web process, the head key to the sequencer alone.
RECEIPT_KEY_FILE = env.text("IREFUDA_RECEIPT_KEY_FILE", "")
HEAD_KEY_FILE = env.text("IREFUDA_HEAD_KEY_FILE", "")
LEDGER_KEYS_FILE = env.text("IREFUDA_LEDGER_KEYS_FILE", "")
# Where the newest signed head is kept outside the database.
LEDGER_WITNESS_FILE = env.text("IREFUDA_LEDGER_WITNESS_FILE", "")

LOGGING: dict[str, Any] = {
    "version": 1,
    "disable_existing_loggers": False,
    "formatters": {"line": {"()": "irefuda.config.logs.JsonLines"}},
    "handlers": {"stderr": {"class": "logging.StreamHandler", "formatter": "line"}},
    "root": {"handlers": ["stderr"], "level": env.text("IREFUDA_LOG_LEVEL", "INFO")},
}
