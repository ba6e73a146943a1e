"""The ledger on the public's site: its head, its keys, and the proofs that anyone may ask for, without login."""

from __future__ import annotations

import re
from datetime import datetime, timedelta

from django.conf import settings
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import render
from django.views.decorators.http import require_safe

from irefuda.ledger import keys, queries
from irefuda.ledger.models import Checkpoint
from irefuda.ui import clock
from irefuda_core.refusal import Refusal, refusal

_SIZE = re.compile(r"[0-9]{1,18}")


@require_safe
def ledger(request: HttpRequest) -> HttpResponse:
    """Explain the ledger and how to check it, and show its published head."""
    head = queries.published_checkpoint(clock.now())
    context = {
        "head": head,
        "until": _until(head),
        "log_name": keys.log_name(),
        "keys": _listed_keys(),
        "former_logs": _logs()[:-1],
    }
    return render(request, "ledger/ledger.html", context)


@require_safe
def checkpoint(request: HttpRequest) -> HttpResponse:
    """Return the published head as a signed note (C2SP tlog-checkpoint)."""
    head = queries.published_checkpoint(clock.now())
    if head is None:
        return _refused(refusal("L-601"), 404)
    return HttpResponse(head.note, content_type="text/plain; charset=utf-8")


@require_safe
def public_keys(request: HttpRequest) -> HttpResponse:
    """Return the public keys of receipts and heads."""
    response = JsonResponse(keys.published_keys(), json_dumps_params={"indent": 1})
    # Saved beside the receipt under this name, irefuda-verify finds it by itself.
    response.headers["Content-Disposition"] = 'attachment; filename="ledger-keys.json"'
    return response


@require_safe
def proof(request: HttpRequest, entry_hash: str) -> HttpResponse:
    """Return the proof that the entry with this hash is in the log."""
    found = queries.proof_by_hash(entry_hash, clock.now())
    # One answer for an unknown hash and for an entry that is not published yet: nobody learns of it before the hour.
    return JsonResponse(found) if found else _refused(refusal("L-602"), 404)


@require_safe
def consistency(request: HttpRequest) -> HttpResponse:
    """Return the proof that the log of size `to` begins with the log of size `from`."""
    old, new = request.GET.get("from", ""), request.GET.get("to", "")
    if not (_SIZE.fullmatch(old) and _SIZE.fullmatch(new)):
        return _refused(refusal("L-603"), 400)
    hashes = queries.consistency(old=int(old), new=int(new), now=clock.now())
    if hashes is None:
        return _refused(refusal("L-603"), 400)
    return JsonResponse({"from": int(old), "to": int(new), "hashes": hashes})


def _until(head: Checkpoint | None) -> datetime | None:
    """Return the end of the period that this head is of; the minute within it would tell when the last firm applied."""
    if head is None or settings.PRACTICE:
        return head.signed_at if head else None
    return head.signed_at.replace(minute=0, second=0, microsecond=0) + timedelta(hours=1)


def _logs() -> list[str]:
    return keys.logs() if settings.LEDGER_KEYS_FILE else []


def _listed_keys() -> list[dict[str, object]]:
    """Return every key that this installation has published, with its period."""
    if not settings.LEDGER_KEYS_FILE:
        return []
    published = keys.published_keys()
    periods = published.get("periods", {})
    named = [("台帳の署名", key, key) for key in published["head_keys"]]
    named += [("受付の控え", key["kid"], f"{key['kid']}（{key['x']}）") for key in published["receipt_keys"]]
    listed: list[dict[str, object]] = []
    for use, name, text in named:
        period = {side: _moment(moment) for side, moment in periods.get(name, {}).items()}
        listed.append({"use": use, "text": text, "begins": period.get("from"), "ends": period.get("until")})
    return listed


def _moment(text: str | None) -> datetime | None:
    return datetime.fromisoformat(text) if text else None


def _refused(reason: Refusal, status: int) -> JsonResponse:
    told = {"code": reason.code, "sentence": reason.sentence, "remedy": reason.remedy}
    return JsonResponse(told, status=status, json_dumps_params={"ensure_ascii": False})
