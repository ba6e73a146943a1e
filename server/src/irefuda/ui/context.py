"""What every template may use."""

from django.conf import settings
from django.http import HttpRequest

from irefuda.ui import clock


def site(request: HttpRequest) -> dict[str, object]:
    """Return what the frame of a page needs: realm, origins, the server's time, how long the login lasts."""
    on_supplier_site = settings.SITE == "supplier"
    now = clock.now()
    session = getattr(request, "card_session", None)
    return {
        "session_seconds": int((session.ends_at - now).total_seconds()) if session else 0,
        "city_name": settings.CITY_NAME,
        # A link within the site stays relative: it must work behind any host name that the site answers to.
        "supplier_home": "/" if on_supplier_site else f"{settings.SUPPLIER_ORIGIN}/",
        "public_home": f"{settings.PUBLIC_ORIGIN}/" if on_supplier_site else "/",
        "practice": settings.PRACTICE,
        "server_time": now,
        "supplier_origin": settings.SUPPLIER_ORIGIN,
        "public_origin": settings.PUBLIC_ORIGIN,
        "agent_ports": " ".join(str(port) for port in settings.CARD_AGENT_PORTS),
    }
