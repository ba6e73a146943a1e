"""Add and remove the authorities whose cards are taken."""

from __future__ import annotations

import base64
import json
import re
import uuid
from collections.abc import Sequence
from datetime import datetime
from typing import Any
from urllib.parse import urlsplit

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.serialization import Encoding
from django.db import IntegrityError, transaction

from irefuda.cards.models import Audience, TrustedAuthority, TrustVersion

_OID = re.compile(r"[0-2](\.(0|[1-9][0-9]*))+")
_FIELDS = ("company_name", "company_address", "holder_name", "holder_address")
_SOURCE = re.compile(r"(san|subject)\.(C|ST|L|STREET|O|OU|T|CN)")


class BadAuthority(ValueError):
    """An authority that cannot be added or removed; the message says why, in Japanese, for staff."""


@transaction.atomic
def add_authority(
    *,
    name: str,
    audience: str,
    root: bytes,
    intermediates: Sequence[bytes] = (),
    policy_oids: Sequence[str] = (),
    crl_urls: Sequence[str] = (),
    grace_hours: int = 24,
    mapping: Any = None,
    demo: bool = False,
    practice: bool,
    now: datetime,
) -> TrustedAuthority:
    """Take the cards of an authority from now on; certificates may be PEM or DER.

    :raises BadAuthority: with the reason; a production realm takes no demo authority
    """
    if demo and not practice:
        raise BadAuthority("本番では、練習用（demo）の認証局は登録できません。")
    if audience not in Audience.values:
        raise BadAuthority("対象は supplier（受注者）または staff（職員）です。")
    if not 0 <= grace_hours <= 24 * 7:
        raise BadAuthority("失効リストの猶予は0時間から168時間（7日）までです。")
    _check_lists(policy_oids, crl_urls)
    chain = _chain([_certificate(content) for content in (root, *intermediates)], now=now)
    try:
        with transaction.atomic():
            authority = TrustedAuthority.objects.create(
                name=name,
                audience=audience,
                root=chain[0],
                intermediates=[base64.b64encode(der).decode() for der in chain[1:]],
                policy_oids=list(policy_oids),
                mapping=checked_mapping(mapping or {}),
                crl_urls=list(crl_urls),
                crl_grace_hours=grace_hours,
                demo=demo,
                added_at=now,
            )
    except IntegrityError:
        raise BadAuthority(f"「{name}」という名前の認証局は既に登録されています。") from None
    _stamp_authorities()
    return authority


@transaction.atomic
def remove_authority(*, name: str) -> None:
    """Take the cards of this authority no longer; its revocation lists stay as evidence.

    :raises BadAuthority: when there is none of this name
    """
    if not TrustedAuthority.objects.filter(name=name).delete()[0]:
        raise BadAuthority(f"「{name}」という名前の認証局は登録されていません。")
    _stamp_authorities()


def checked_mapping(mapping: Any) -> dict[str, list[list[str]]]:
    """Return the attribute mapping, after checking its form.

    :raises BadAuthority: when it is not field -> list of lists of sources such as "san.O"
    """
    well_formed = isinstance(mapping, dict) and all(
        field in _FIELDS
        and isinstance(ways, list)
        and all(isinstance(way, list) and way and all(_is_source(source) for source in way) for way in ways)
        for field, ways in mapping.items()
    )
    if not well_formed or (mapping and set(mapping) != set(_FIELDS)):
        fields = "、".join(_FIELDS)
        raise BadAuthority(
            f'対応表は、{fields}の全項目について、証明書の項目を [["san.O"], ["subject.O"]] のように並べたJSONで'
            f"書いてください（受け取ったもの：{json.dumps(mapping, ensure_ascii=False)[:200]}）。"
        )
    return dict(mapping)


def _is_source(source: object) -> bool:
    return isinstance(source, str) and _SOURCE.fullmatch(source) is not None


def _check_lists(policy_oids: Sequence[str], crl_urls: Sequence[str]) -> None:
    for oid in policy_oids:
        if not _OID.fullmatch(oid):
            raise BadAuthority(f"証明書ポリシー「{oid}」は、1.2.392.… の形で書いてください。")
    for url in crl_urls:
        if _scheme(url) not in ("http", "https", "file"):
            raise BadAuthority(f"失効リストの取得先「{url}」は、http、https、fileのどれかで書いてください。")


def _scheme(url: str) -> str:
    try:
        return urlsplit(url).scheme
    except ValueError:
        return ""


def _certificate(content: bytes) -> x509.Certificate:
    try:
        if b"-----BEGIN CERTIFICATE-----" in content:
            return x509.load_pem_x509_certificate(content)
        return x509.load_der_x509_certificate(content)
    except ValueError:
        raise BadAuthority("証明書として読めないファイルがあります（PEMまたはDER）。") from None


def _chain(certificates: list[x509.Certificate], *, now: datetime) -> list[bytes]:
    """Return the certificates as DER after checking that each is a CA's, within its dates and signed by one of them."""
    root, *intermediates = certificates
    for certificate in certificates:
        subject = certificate.subject.rfc4514_string()
        if not _is_authority(certificate):
            raise BadAuthority(f"「{subject}」は認証局の証明書ではありません。")
        if not certificate.not_valid_before_utc <= now <= certificate.not_valid_after_utc:
            raise BadAuthority(f"「{subject}」は有効期間外です。")
    if not _signed_by(root, root):
        raise BadAuthority("最上位の認証局の証明書は、自分自身の署名によるもの（ルート証明書）を指定してください。")
    for certificate in intermediates:
        if not any(_signed_by(certificate, above) for above in certificates if above is not certificate):
            raise BadAuthority(
                f"「{certificate.subject.rfc4514_string()}」は、指定されたルート証明書につながりません。"
            )
    return [certificate.public_bytes(Encoding.DER) for certificate in certificates]


def _is_authority(certificate: x509.Certificate) -> bool:
    try:
        return bool(certificate.extensions.get_extension_for_class(x509.BasicConstraints).value.ca)
    except (x509.ExtensionNotFound, ValueError):
        return False


def _signed_by(certificate: x509.Certificate, above: x509.Certificate) -> bool:
    try:
        certificate.verify_directly_issued_by(above)
    except (ValueError, TypeError, InvalidSignature):
        return False
    return True


def _stamp_authorities() -> None:
    TrustVersion.objects.filter(id=1).update(authorities=uuid.uuid4())
