#!/usr/bin/env python
"""irefuda's commands: `manage.py help` lists them."""

import os
import sys

EXEMPT_FROM_REALM = {
    "migrate",
    "makemigrations",
    "check",
    "help",
    "test",
    "collectstatic",
    "sqlmigrate",
    "showmigrations",
}


def main() -> None:
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "irefuda.config.settings")
    import django
    from django.core.exceptions import ImproperlyConfigured
    from django.core.management import execute_from_command_line

    try:
        django.setup()
        if len(sys.argv) > 1 and sys.argv[1] not in EXEMPT_FROM_REALM and "--help" not in sys.argv:
            from irefuda.agencies.realm import refuse_wrong_realm

            refuse_wrong_realm()
        execute_from_command_line(sys.argv)
    except ImproperlyConfigured as reason:
        # Whoever has to put it right needs the sentence, not the way to it.
        sys.exit(f"irefuda does not start: {reason}")


if __name__ == "__main__":
    main()
