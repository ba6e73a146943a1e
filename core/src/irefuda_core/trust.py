"""Whether a card is to be trusted at a moment: path, dates, usage, policy, key, revocation, in numbered steps."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, MutableMapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import cached_property
from typing import NamedTuple, TypeVar

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from cryptography.x509 import verification as path
from cryptography.x509.oid import ExtendedKeyUsageOID, ExtensionOID

from irefuda_core.certificate import (
    DEFAULT_MAPPING,
    AttributeMapping,
    CardCertificate,
    UnreadableCertificate,
    describe,
    ends_with_signature,
    fingerprint_of,
    issuer_key_of,
    load,
)
from irefuda_core.refusal import Refusal, refusal

MINIMUM_RSA_BITS = 2048
_GOOD_CURVES = (ec.SECP256R1, ec.SECP384R1, ec.SECP521R1)
_GOOD_HASHES = (hashes.SHA256, hashes.SHA384, hashes.SHA512)
_GoodKey = rsa.RSAPublicKey | ec.EllipticCurvePublicKey
_ANY_POLICY = "2.5.29.32.0"
_MAX_DEPTH = 4
_KNOWN_EXTENSIONS = frozenset(
    {
        ExtensionOID.KEY_USAGE,
        ExtensionOID.EXTENDED_KEY_USAGE,
        ExtensionOID.BASIC_CONSTRAINTS,
        ExtensionOID.CERTIFICATE_POLICIES,
        ExtensionOID.SUBJECT_ALTERNATIVE_NAME,
    }
)
_INDIRECT_LIST, _PARTIAL_LIST = "間接の失効リストは使えません。", "分割された失効リストは使えません。"
_CRITICAL_IN_LIST = "扱えない必須の項目がある失効リストは使えません。"
# A list without an end says 9999-12-31: a grace added to that, or the hours to Japan, are beyond the calendar.
_NO_END = datetime(9999, 12, 1, tzinfo=UTC)
_Extension = TypeVar("_Extension", bound=x509.ExtensionType)


class TrustFailure(Exception):
    """The card is not to be trusted; one subclass per reason, `refusal` says which to the person."""

    code = "K-400"

    def __init__(self, **values: object) -> None:
        super().__init__(self.code)
        self.values = values

    @property
    def refusal(self) -> Refusal:
        return refusal(self.code, **self.values)


class Unreadable(TrustFailure):
    code = "K-401"


class UnknownAuthority(TrustFailure):
    code = "K-402"


class NotYetValid(TrustFailure):
    code = "K-403"


class Expired(TrustFailure):
    code = "K-404"


class WrongUsage(TrustFailure):
    code = "K-405"


class WrongPolicy(TrustFailure):
    code = "K-406"


class WeakKey(TrustFailure):
    code = "K-407"


class WeakHash(TrustFailure):
    code = "K-408"


class Revoked(TrustFailure):
    code = "K-409"


class RevocationUnknown(TrustFailure):
    code = "K-410"


class AuthorityNotValid(TrustFailure):
    code = "K-411"


class BrokenPath(TrustFailure):
    code = "K-412"


class UnknownCriticalExtension(TrustFailure):
    code = "K-413"


class AuthorityRevoked(TrustFailure):
    code = "K-414"


class BadRevocationList(ValueError):
    """A revocation list that is not taken; the message says why, in Japanese, for staff."""


class Signer(NamedTuple):
    """Who signs: a name and a key. Several authorities, or one before and after a change of keys, may share a name."""

    issuer_key: str
    signing_key: str


def signer_of(certificate: x509.Certificate) -> Signer:
    """Return whom an authority's certificate speaks of; renewed with the same key it speaks of the same."""
    key = certificate.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    return Signer(issuer_key_of(certificate.subject), hashlib.sha256(key).hexdigest())


@dataclass(frozen=True)
class AcceptedAuthority:
    """A certification authority whose cards are taken, with what is asked of them."""

    name: str
    audience: str
    root_der: bytes
    intermediate_ders: tuple[bytes, ...]
    policy_oids: frozenset[str]
    mapping: AttributeMapping
    crl_grace: timedelta
    demo: bool

    @cached_property
    def root(self) -> x509.Certificate:
        return load(self.root_der)

    @cached_property
    def intermediates(self) -> list[x509.Certificate]:
        return [load(der) for der in self.intermediate_ders]

    @cached_property
    def issuer_keys(self) -> frozenset[str]:
        return frozenset(signer.issuer_key for signer in self.signers)

    @cached_property
    def signers(self) -> frozenset[Signer]:
        return frozenset(signer_of(c) for c in (self.root, *self.intermediates))

    @cached_property
    def store(self) -> path.Store:
        return path.Store([self.root])


@dataclass(frozen=True, slots=True)
class RevocationList:
    """A verified CRL: which serial numbers of one issuer are revoked, since when."""

    signer: Signer
    number: int
    this_update: datetime
    next_update: datetime
    revoked: Mapping[int, datetime]


@dataclass(frozen=True, slots=True)
class TrustSnapshot:
    """Everything that a judgement needs, at one version of the trust store."""

    version: str
    authorities: tuple[AcceptedAuthority, ...]
    revocation_lists: Mapping[Signer, RevocationList]


@dataclass(frozen=True, slots=True)
class Link:
    """A certificate of the authority on the path of a card: what must be looked at again at every judgement."""

    not_before: datetime
    not_after: datetime
    serial: int
    signer: Signer
    is_root: bool
    names_its_list: bool


@dataclass(frozen=True, slots=True)
class Accepted:
    """A card that is to be trusted, by whose word, and over which certificates."""

    card: CardCertificate
    authority: AcceptedAuthority
    signer: Signer
    links: tuple[Link, ...]


PathCache = MutableMapping[tuple[str, str], Accepted]


def judge(der: bytes, snapshot: TrustSnapshot, *, at: datetime, cache: PathCache | None = None) -> Accepted:
    """Judge a certificate at a moment, in this order:

    (1) it can be read; (2) its issuer is one of the accepted authorities; (3) its key and (4) its hash are strong;
    (5) it says nothing critical that is unknown here; (6) it is a person's, for signing; (7) the path to the root
    holds (RFC 5280, section 6); (8) it has a policy of its authority, and no certificate above excludes that policy;
    (9) it is, and (10) the authority's certificates are, within their dates; (11) the newest verified revocation list
    by the very key that signed it is fresh enough and (12) does not name it; (13) nor do the lists above name its
    authority.

    Steps 1 to 8 depend on the certificate and the trust store only, so their result may be kept in `cache`, by
    certificate and version of the store; 9 to 13 are taken every time, and a kept path over an authority's certificate
    that is out of its dates is looked for anew: the authority may have renewed it.

    A certificate that the trust store holds between root and card was put there by people who looked at it: the list
    that would revoke it is asked for when the certificate itself says where it is, and heeded whenever it is there.

    :raises TrustFailure: for the first step that fails
    """
    accepted = _with_path(der, snapshot, at=at, cache=cache)  # (1) to (8), (10)
    _judge_dates(accepted.card, at=at)  # (9)
    _judge_revocation(accepted, snapshot, at=at)  # (11), (12)
    _judge_links(accepted, snapshot, at=at)  # (13)
    return accepted


@dataclass(frozen=True, slots=True)
class Predecessor:
    """A card whose place another one is to take: it may be over or revoked, and still tells whose it was."""

    accepted: Accepted
    revoked: bool


def judge_predecessor(
    der: bytes, snapshot: TrustSnapshot, *, at: datetime, cache: PathCache | None = None
) -> Predecessor:
    """Judge a card that is about to be replaced as `judge` does, but path and dates at its last moment once it is over
    (how long that is good enough is its agency's policy, not trust's), and say of a revoked one that it is.

    Revocation is always judged as of `at`: a list that nobody can rely on any more lets nothing pass.

    :raises TrustFailure: for the first other step that fails
    """
    try:
        not_after = describe(load(der), der).not_after
    except UnreadableCertificate:
        raise Unreadable from None
    moment = min(at, not_after)
    accepted = _with_path(der, snapshot, at=moment, cache=cache)
    _judge_dates(accepted.card, at=moment)
    try:
        _judge_revocation(accepted, snapshot, at=at)
    except Revoked:
        revoked = True
    else:
        revoked = False
    _judge_links(accepted, snapshot, at=at)
    return Predecessor(accepted, revoked)


def _with_path(der: bytes, snapshot: TrustSnapshot, *, at: datetime, cache: PathCache | None) -> Accepted:
    """Take steps (1) to (8), or their kept result where (10) still holds."""
    key = (fingerprint_of(der), snapshot.version)
    accepted = cache.get(key) if cache is not None else None
    # A cache may serve several trust stores: a card that is good for staff must not pass as a supplier's.
    if accepted is None or accepted.authority not in snapshot.authorities or not _links_hold(accepted, at=at):
        accepted = _judge_certificate(der, snapshot, at=at)
        if cache is not None:
            cache[key] = accepted
    return accepted


def _judge_certificate(der: bytes, snapshot: TrustSnapshot, *, at: datetime) -> Accepted:
    try:
        certificate = load(der)
        card = describe(certificate, der)
    except UnreadableCertificate:  # (1)
        raise Unreadable from None
    authorities = [authority for authority in snapshot.authorities if card.issuer_key in authority.issuer_keys]
    if not authorities:  # (2)
        raise UnknownAuthority(issuer=card.issuer_text)
    if not strong_key(certificate):  # (3)
        raise WeakKey
    if not _strong_hash(certificate):  # (4)
        raise WeakHash
    _judge_extensions(certificate)  # (5)
    _judge_usage(certificate)  # (6)
    failures: list[TrustFailure] = []
    # Two authorities may bear one name: an authority that has renewed its root is in the store with the old and the new.
    for authority in authorities:
        try:
            chain = _judge_path(certificate, card, authority, at=at)  # (7)
            _judge_policy(chain, authority)  # (8)
        except TrustFailure as failure:
            failures.append(failure)
        else:
            if authority.mapping != DEFAULT_MAPPING:
                card = describe(certificate, der, authority.mapping)
            return Accepted(card, authority, signer_of(chain[1]), _links(chain))
    raise failures[0]


def strong_key(certificate: x509.Certificate) -> bool:
    """Return whether the key is RSA of 2,048 bits or more, or on a NIST curve of 256 bits or more."""
    key = certificate.public_key()
    if isinstance(key, rsa.RSAPublicKey):
        return key.key_size >= MINIMUM_RSA_BITS
    return isinstance(key, ec.EllipticCurvePublicKey) and isinstance(key.curve, _GOOD_CURVES)


def _strong_hash(signed: x509.Certificate | x509.CertificateRevocationList) -> bool:
    try:
        return isinstance(signed.signature_hash_algorithm, _GOOD_HASHES)
    except UnsupportedAlgorithm:
        return False


def _judge_extensions(certificate: x509.Certificate) -> None:
    if any(extension.critical and extension.oid not in _KNOWN_EXTENSIONS for extension in certificate.extensions):
        raise UnknownCriticalExtension


def _judge_usage(certificate: x509.Certificate) -> None:
    usage = _extension(certificate, x509.KeyUsage)
    if usage is None or not usage.digital_signature:
        raise WrongUsage
    purposes = _extension(certificate, x509.ExtendedKeyUsage)
    if purposes is not None and ExtendedKeyUsageOID.CLIENT_AUTH not in purposes:
        raise WrongUsage
    constraints = _extension(certificate, x509.BasicConstraints)
    if constraints is not None and constraints.ca:
        raise WrongUsage


def _extension(certificate: x509.Certificate, kind: type[_Extension]) -> _Extension | None:
    try:
        return certificate.extensions.get_extension_for_class(kind).value
    except x509.ExtensionNotFound:
        return None


def _judge_path(
    certificate: x509.Certificate, card: CardCertificate, authority: AcceptedAuthority, *, at: datetime
) -> list[x509.Certificate]:
    # The path is judged within the card's own dates, so that an expired card is told that it has expired (step 9); for
    # any other card the moment is `at`, and the path holds only while the authority's certificates do (step 10).
    moment = min(max(at, card.not_before), card.not_after)
    verifier = (
        path.PolicyBuilder()
        .store(authority.store)
        .time(moment.replace(tzinfo=None))
        .max_chain_depth(_MAX_DEPTH)
        .extension_policies(ca_policy=_CA_POLICY, ee_policy=_EE_POLICY)
        .build_client_verifier()
    )
    try:
        return verifier.verify(certificate, authority.intermediates).chain
    except path.VerificationError:
        if _out_of_dates(card.issuer_key, authority, at=moment):
            raise AuthorityNotValid from None
        raise BrokenPath from None


def _out_of_dates(issuer_key: str, authority: AcceptedAuthority, *, at: datetime) -> bool:
    """Return whether a storey above the card, going up by names alone, has no certificate that is within its dates."""
    wanted, seen = issuer_key, set[str]()
    while wanted not in seen:
        seen.add(wanted)
        issuers = [c for c in (authority.root, *authority.intermediates) if issuer_key_of(c.subject) == wanted]
        if not issuers:
            return False
        if not any(c.not_valid_before_utc <= at <= c.not_valid_after_utc for c in issuers):
            return True
        wanted = issuer_key_of(issuers[0].issuer)
    return False


def _accept(_policy: path.Policy, _certificate: x509.Certificate, _extension: object) -> None:
    """Accept an extension that a step of `judge` looks at itself."""


def _ee_policy() -> path.ExtensionPolicy:
    agnostic = path.Criticality.AGNOSTIC
    return (
        path.ExtensionPolicy.permit_all()
        .require_present(x509.KeyUsage, agnostic, _accept)
        .may_be_present(x509.ExtendedKeyUsage, agnostic, _accept)
        .may_be_present(x509.CertificatePolicies, agnostic, _accept)
    )


def _ca_policy() -> path.ExtensionPolicy:
    agnostic = path.Criticality.AGNOSTIC
    return path.ExtensionPolicy.webpki_defaults_ca().may_be_present(x509.CertificatePolicies, agnostic, _accept)


_EE_POLICY, _CA_POLICY = _ee_policy(), _ca_policy()


def _judge_policy(chain: list[x509.Certificate], authority: AcceptedAuthority) -> None:
    if not authority.policy_oids:
        return
    asserted = authority.policy_oids & (_policies(chain[0]) or frozenset())
    for above in chain[1:-1]:
        policies = _policies(above)
        if policies is not None and _ANY_POLICY not in policies:
            asserted &= policies
    if not asserted:
        raise WrongPolicy


def _policies(certificate: x509.Certificate) -> frozenset[str] | None:
    found = _extension(certificate, x509.CertificatePolicies)
    return None if found is None else frozenset(policy.policy_identifier.dotted_string for policy in found)


def _links(chain: list[x509.Certificate]) -> tuple[Link, ...]:
    return tuple(
        Link(
            not_before=certificate.not_valid_before_utc,
            not_after=certificate.not_valid_after_utc,
            serial=certificate.serial_number,
            signer=signer_of(above),
            is_root=certificate is chain[-1],
            names_its_list=_extension(certificate, x509.CRLDistributionPoints) is not None,
        )
        # The root is its own signer.
        for certificate, above in zip(chain[1:], (*chain[2:], chain[-1]), strict=True)
    )


def _links_hold(accepted: Accepted, *, at: datetime) -> bool:
    return all(link.not_before <= at <= link.not_after for link in accepted.links)


def _judge_dates(card: CardCertificate, *, at: datetime) -> None:
    if at < card.not_before:
        raise NotYetValid(not_before=_day(card.not_before))
    if at > card.not_after:
        raise Expired(not_after=_day(card.not_after))


def _judge_revocation(accepted: Accepted, snapshot: TrustSnapshot, *, at: datetime) -> None:
    listed = snapshot.revocation_lists.get(accepted.signer)
    if listed is None or not _fresh(listed, accepted.authority, at=at):
        raise RevocationUnknown
    since = listed.revoked.get(accepted.card.serial)
    if since is not None and since <= at:
        raise Revoked(since=_day(since))


def _judge_links(accepted: Accepted, snapshot: TrustSnapshot, *, at: datetime) -> None:
    for link in accepted.links:
        if link.is_root:
            continue
        listed = snapshot.revocation_lists.get(link.signer)
        if listed is None and not link.names_its_list:
            continue
        if listed is None or not _fresh(listed, accepted.authority, at=at):
            raise RevocationUnknown
        since = listed.revoked.get(link.serial)
        if since is not None and since <= at:
            raise AuthorityRevoked


def _fresh(listed: RevocationList, authority: AcceptedAuthority, *, at: datetime) -> bool:
    return at <= listed.next_update + authority.crl_grace


def _day(moment: datetime) -> str:
    japan = moment + timedelta(hours=9)
    return f"{japan.year}年{japan.month}月{japan.day}日"


def read_crl(der: bytes, issuer_der: bytes) -> RevocationList:
    """Return a CRL whose signature and form hold: complete, direct, numbered, with a date by which the next one comes.

    :raises BadRevocationList: with the reason, in Japanese
    """
    issuer = load(issuer_der)
    try:
        crl = x509.load_der_x509_crl(der)
        if not ends_with_signature(der, crl.signature):
            raise ValueError
        return _read_crl(crl, issuer)
    except BadRevocationList:
        raise
    except Exception:  # noqa: BLE001 -- the parser's errors have no common base, and every one means the same
        raise BadRevocationList("失効リストとして読めません。") from None


def _read_crl(crl: x509.CertificateRevocationList, issuer: x509.Certificate) -> RevocationList:
    if crl.issuer != issuer.subject:
        raise BadRevocationList("別の認証局の失効リストです。")
    usage = _extension(issuer, x509.KeyUsage)
    if usage is not None and not usage.crl_sign:
        raise BadRevocationList("この認証局の証明書は、失効リストの署名に使うことが認められていません。")
    key = issuer.public_key()
    if not _strong_hash(crl) or not isinstance(key, _GoodKey) or not strong_key(issuer):
        raise BadRevocationList("失効リストの署名方式は古く、安全に使えません。")
    if not crl.is_signature_valid(key):
        raise BadRevocationList("失効リストの署名が正しくありません。")
    number = _crl_number(crl)
    if crl.next_update_utc is None:
        raise BadRevocationList("次回更新日時がない失効リストは使えません。")
    if crl.next_update_utc < crl.last_update_utc:
        raise BadRevocationList("次回更新日時が発行日時より前の失効リストは使えません。")
    return RevocationList(
        signer=signer_of(issuer),
        number=number,
        this_update=crl.last_update_utc,
        next_update=min(crl.next_update_utc, _NO_END),
        revoked=_revoked(crl),
    )


def _crl_number(crl: x509.CertificateRevocationList) -> int:
    number = None
    for extension in crl.extensions:
        value = extension.value
        if isinstance(value, x509.DeltaCRLIndicator):
            raise BadRevocationList("差分の失効リストは使えません。")
        if isinstance(value, x509.IssuingDistributionPoint):
            # It says of which part of the authority's certificates the list is; one that says nothing cannot be read.
            raise BadRevocationList(_INDIRECT_LIST if value.indirect_crl else _PARTIAL_LIST)
        if isinstance(value, x509.CRLNumber):
            number = value.crl_number
        elif extension.critical and not isinstance(value, x509.AuthorityKeyIdentifier):
            raise BadRevocationList(_CRITICAL_IN_LIST)
    if number is None:
        raise BadRevocationList("番号のない失効リストは使えません。")
    return number


def _revoked(crl: x509.CertificateRevocationList) -> dict[int, datetime]:
    revoked: dict[int, datetime] = {}
    for entry in crl:
        # One such item makes an entry be about another authority's certificate, and every entry after it too.
        if any(extension.critical for extension in entry.extensions):
            raise BadRevocationList(_CRITICAL_IN_LIST)
        serial, since = entry.serial_number, entry.revocation_date_utc
        if serial not in revoked or since < revoked[serial]:
            revoked[serial] = since
    return revoked
