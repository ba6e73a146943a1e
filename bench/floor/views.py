"""The floor's one view: an indexed SELECT and a committed INSERT."""

from __future__ import annotations

from django.http import HttpRequest, HttpResponse
from django.views.decorators.csrf import csrf_exempt
from django.views.decorators.http import require_POST

from floor.models import Read, Written
from irefuda.ui import clock


@csrf_exempt
@require_POST
def floor(request: HttpRequest) -> HttpResponse:
    """Read one row by its index, insert one row, commit, and answer."""
    found = Read.objects.get(number=request.POST["number"])
    Written.objects.create(number=found.number, content=found.name, written_at=clock.now())
    return HttpResponse(found.name)
