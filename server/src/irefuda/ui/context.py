"""What every template may use."""

from django.conf import settings
from django.core.exceptions import SuspiciousOperation
from django.http import HttpRequest

from irefuda.ui import clock


def site(request: HttpRequest) -> dict[str, object]:
    """Return what the frame of a page needs: realm, origins, the server's time, how long the login lasts."""
    on_supplier_site, on_staff_site = settings.SITE == "supplier", settings.SITE == "staff"
    supplier_home = "/" if on_supplier_site else f"{settings.SUPPLIER_ORIGIN}/"
    now = clock.now()
    session = getattr(request, "card_session", None)
    return {
        "session_seconds": int((session.ends_at - now).total_seconds()) if session else 0,
        "city_name": settings.CITY_NAME,
        # A link within the site stays relative: it must work behind any host name that the site answers to.
        "supplier_home": supplier_home,
        "public_home": "/" if settings.SITE == "public" else f"{settings.PUBLIC_ORIGIN}/",
        "on_staff_site": on_staff_site,
        "home": "/" if on_staff_site else supplier_home,
        "home_name": "職員用トップページ" if on_staff_site else "電子入札ポータルサイト",
        "practice": settings.PRACTICE,
        "server_time": now,
        "printed": _printed(request),
        "broken_promises": getattr(request, "broken_promises", 0),
        # Of a page that belongs to none. To look in vain for a name takes a template longer than to render a line.
        "section": None,
        "steps": None,
        "supplier_origin": settings.SUPPLIER_ORIGIN,
        "public_origin": settings.PUBLIC_ORIGIN,
        "agent_ports": " ".join(str(port) for port in settings.CARD_AGENT_PORTS),
    }


def _printed(request: HttpRequest) -> str:
    try:
        return request.GET.get("print", "")
    except SuspiciousOperation:
        # More parameters than any address of ours has: the page that says so has a frame as well.
        return ""
