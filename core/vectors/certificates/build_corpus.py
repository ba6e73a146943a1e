"""Build the corpus of good and bad certificates: `python build_corpus.py` writes the same bytes beside itself every time.

Keys (test keys, they protect nothing), serial numbers, dates and signatures (PKCS #1 v1.5, RFC 6979) are fixed, so that
a test can build the corpus again and find no difference. docs/certificates.md says how to read it.
"""

from __future__ import annotations

import base64
import itertools
import json
import re
import sys
from collections.abc import Callable, Iterable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from asn1crypto import crl as asn1_crl
from asn1crypto import x509 as asn1_x509
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.x509.oid import CertificatePoliciesOID, ExtendedKeyUsageOID, NameOID

HERE = Path(__file__).parent
NOON = datetime(2026, 11, 24, 3, 0, tzinfo=UTC)  # noon in Japan: the moment of judgement unless a case has its own
DAY, HOUR, SECOND = timedelta(days=1), timedelta(hours=1), timedelta(seconds=1)
POLICY, OTHER_POLICY = "1.2.392.200000.1.1", "1.2.392.200000.1.2"
ANY_POLICY = CertificatePoliciesOID.ANY_POLICY.dotted_string
_SHA256_RSA = bytes.fromhex("06092a864886f70d01010b")
LIST_ADDRESS = "http://ca.example.jp/list.crl"
UNKNOWN = (x509.UnrecognizedExtension(x509.ObjectIdentifier("1.2.392.200000.9.9"), b"\x05\x00"), True)
Extensions = tuple[tuple[x509.ExtensionType, bool], ...]
_USAGES = ("digital_signature", "content_commitment", "key_encipherment", "data_encipherment", "key_agreement", "key_cert_sign", "crl_sign", "encipher_only", "decipher_only")  # fmt: skip
_PARTS = {"C": NameOID.COUNTRY_NAME, "ST": NameOID.STATE_OR_PROVINCE_NAME, "L": NameOID.LOCALITY_NAME, "STREET": NameOID.STREET_ADDRESS, "O": NameOID.ORGANIZATION_NAME, "OU": NameOID.ORGANIZATIONAL_UNIT_NAME, "T": NameOID.TITLE, "CN": NameOID.COMMON_NAME}  # fmt: skip
_PEM = re.compile(r"^test key, protects nothing: (\S+)\n(-----BEGIN PRIVATE KEY-----\n.+?-----END PRIVATE KEY-----\n)", re.MULTILINE | re.DOTALL)  # fmt: skip
KEYS: dict[str, Any] = {
    name: serialization.load_pem_private_key(pem.encode(), None)
    for name, pem in _PEM.findall((HERE / "keys.pem").read_text())
}
LATIN = {"C": "JP", "ST": "Aomori", "L": "Aomori", "O": "Test Shokai", "CN": "Test Taro"}
JAPANESE = {
    "C": "JP", "ST": "青森県", "L": "青森市中央1-22-5", "O": "株式会社テスト商会01", "T": "代表取締役", "CN": "テスト 1太郎",
}  # fmt: skip
ROOT = {"C": "JP", "O": "Corpus Root CA"}
ISSUING = {"C": "JP", "ST": "Aomori", "O": "Corpus", "OU": "Corpus Issuing CA"}
MIDDLE = {"C": "JP", "ST": "Aomori", "O": "Corpus", "OU": "Corpus Policy CA"}
JAPANESE_WORDS = {
    "company_name": "株式会社テスト商会01",
    "company_address": "青森県 青森市中央1-22-5",
    "holder_name": "テスト 1太郎",
    "holder_address": "証明書に記載なし",
}


def name(parts: dict[str, str]) -> x509.Name:
    """Return a name of these parts."""
    return x509.Name([x509.NameAttribute(_PARTS[part], value) for part, value in parts.items()])


def usage(*on: str) -> tuple[x509.KeyUsage, bool]:
    """Return the critical KeyUsage with these bits on."""
    return x509.KeyUsage(**{bit: bit in on for bit in _USAGES}), True


def policies(*oids: str, critical: bool = False) -> tuple[x509.CertificatePolicies, bool]:
    """Return the CertificatePolicies extension."""
    return x509.CertificatePolicies([x509.PolicyInformation(x509.ObjectIdentifier(o), None) for o in oids]), critical


def directory_name(parts: dict[str, str]) -> x509.SubjectAlternativeName:
    """Return the SubjectAlternativeName with these parts as a directoryName."""
    return x509.SubjectAlternativeName([x509.DirectoryName(name(parts))])


def points(**options: Any) -> x509.IssuingDistributionPoint:
    """Return the IssuingDistributionPoint with these options; the others are off."""
    off = dict.fromkeys(("only_contains_user_certs", "only_contains_ca_certs", "indirect_crl", "only_contains_attribute_certs"), False)  # fmt: skip
    absent = dict.fromkeys(("full_name", "relative_name", "only_some_reasons"))
    return x509.IssuingDistributionPoint(**{**off, **absent, **options})


def address() -> list[x509.UniformResourceIdentifier]:
    """Return where a list is kept."""
    return [x509.UniformResourceIdentifier(LIST_ADDRESS)]


def list_address() -> tuple[x509.CRLDistributionPoints, bool]:
    """Return the extension that says so."""
    return x509.CRLDistributionPoints([x509.DistributionPoint(address(), None, None, None)]), False


class Corpus:
    """The certificates, the revocation lists and the cases made of them."""

    def __init__(self) -> None:
        self.certificates: dict[str, bytes] = {}
        self.lists: dict[str, bytes] = {}
        self.cases: list[dict[str, Any]] = []
        self._subjects: dict[str, x509.Name] = {}
        self._keys: dict[str, Any] = {}
        self._serials = itertools.count(1000)

    def ca(
        self,
        label: str,
        subject: dict[str, str],
        above: str | None,
        *,
        key: str,
        path_length: int | None = None,
        starts: timedelta = -3650 * DAY,
        ends: timedelta = 3650 * DAY,
        bits: tuple[str, ...] = ("key_cert_sign", "crl_sign"),
        is_ca: bool = True,
        names_its_list: bool = True,
        policy: tuple[x509.CertificatePolicies, bool] | None = policies(POLICY, OTHER_POLICY),
        extra: Extensions = (),
    ) -> str:
        """Add a certificate of an authority under `above`, or a root."""
        extensions: list[tuple[x509.ExtensionType, bool]] = [
            (x509.BasicConstraints(ca=is_ca, path_length=path_length), True),
            usage(*bits),
            (x509.SubjectKeyIdentifier.from_public_key(KEYS[key].public_key()), False),
        ]
        if above and policy:
            extensions.append(policy)
        if above and names_its_list:
            extensions.append(list_address())
        return self._issue(label, subject, above, key=key, starts=starts, ends=ends, extensions=[*extensions, *extra])

    def card(
        self,
        label: str,
        above: str = "issuing",
        *,
        key: str = "card-p256",
        subject: dict[str, str] = LATIN,
        starts: timedelta = -30 * DAY,
        ends: timedelta = 700 * DAY,
        bits: tuple[str, ...] | None = ("digital_signature", "content_commitment"),
        purposes: Iterable[x509.ObjectIdentifier] | None = (ExtendedKeyUsageOID.CLIENT_AUTH,),
        policy: tuple[x509.CertificatePolicies, bool] | None = policies(POLICY),
        san: dict[str, str] | None = JAPANESE,
        san_critical: bool = False,
        is_ca: bool = False,
        key_identifier: bool = True,
        hash_algorithm: hashes.HashAlgorithm | None = None,
        extra: Extensions = (),
    ) -> str:
        """Add a card's certificate; each keyword varies or spoils one thing."""
        extensions: list[tuple[x509.ExtensionType, bool]] = [(x509.BasicConstraints(is_ca, None), True), list_address()]
        if bits is not None:
            extensions.append(usage(*bits))
        if purposes is not None:
            extensions.append((x509.ExtendedKeyUsage(purposes), False))
        if policy is not None:
            extensions.append(policy)
        if san is not None:
            extensions.append((directory_name(san), san_critical))
        return self._issue(
            label, subject, above, key=key, starts=starts, ends=ends, extensions=[*extensions, *extra],
            key_identifier=key_identifier, hash_algorithm=hash_algorithm,
        )  # fmt: skip

    def _issue(
        self,
        label: str,
        subject: dict[str, str],
        above: str | None,
        *,
        key: str,
        starts: timedelta,
        ends: timedelta,
        extensions: Iterable[tuple[x509.ExtensionType, bool]],
        key_identifier: bool = True,
        hash_algorithm: hashes.HashAlgorithm | None = None,
    ) -> str:
        signer = self._keys[above] if above else KEYS[key]
        builder = (
            x509.CertificateBuilder()
            .subject_name(name(subject))
            .issuer_name(self._subjects[above] if above else name(subject))
            .public_key(KEYS[key].public_key())
            .serial_number(next(self._serials))
            .not_valid_before(NOON + starts)
            .not_valid_after(NOON + ends)
        )
        for extension, critical in extensions:
            builder = builder.add_extension(extension, critical)
        if key_identifier:
            identifier = x509.AuthorityKeyIdentifier.from_issuer_public_key(signer.public_key())
            builder = builder.add_extension(identifier, critical=False)
        issued = builder.sign(signer, hash_algorithm or hashes.SHA256(), **_fixed(signer))
        self._subjects[label], self._keys[label] = name(subject), KEYS[key]
        return self.add(label, issued.public_bytes(serialization.Encoding.DER))

    def add(self, label: str, der: bytes) -> str:
        """Add a certificate as it is."""
        assert label not in self.certificates
        self.certificates[label] = der
        return label

    def spoil(self, label: str, source: str, change: Callable[[bytes], bytes]) -> str:
        """Add a changed copy of a certificate."""
        return self.add(label, change(self.certificates[source]))

    def serial(self, label: str) -> int:
        """Return the serial number of a certificate."""
        return x509.load_der_x509_certificate(self.certificates[label]).serial_number

    def list(
        self,
        label: str,
        above: str = "issuing",
        *,
        revoked: dict[str, timedelta] | None = None,
        number: int | None = 7,
        issued: timedelta = -HOUR,
        next_in: timedelta = 23 * HOUR,
        key: str | None = None,
        extra: Extensions = (),
        entry_extra: Extensions = (),
        spoil: Callable[[bytes], bytes] = bytes,
    ) -> str:
        """Add a revocation list that `above` issues; `revoked` says of which certificates, and when."""
        signer = KEYS[key] if key else self._keys[above]
        builder = (
            x509.CertificateRevocationListBuilder()
            .issuer_name(self._subjects[above])
            .last_update(NOON + issued)
            .next_update(NOON + next_in)
            .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(signer.public_key()), critical=False)
        )
        if number is not None:
            builder = builder.add_extension(x509.CRLNumber(number), critical=False)
        for extension, critical in extra:
            builder = builder.add_extension(extension, critical)
        for certificate, since in (revoked or {}).items():
            entry = (
                x509.RevokedCertificateBuilder().serial_number(self.serial(certificate)).revocation_date(NOON + since)
            )
            for extension, critical in entry_extra:
                entry = entry.add_extension(extension, critical)
            builder = builder.add_revoked_certificate(entry.build())
        signed = builder.sign(signer, hashes.SHA256(), **_fixed(signer))
        self.lists[label] = spoil(signed.public_bytes(serialization.Encoding.DER))
        return label

    def case(
        self,
        case_id: str,
        title: str,
        expected: str = "accepted",
        *,
        card: str = "",
        other: str = "",
        differs: str = "",
        between: tuple[str, ...] = ("issuing",),
        root: str = "root",
        lists: tuple[str, ...] = ("issuing", "root"),
        refused_list: str = "",
        at: datetime = NOON,
        accepted_policies: tuple[str, ...] = (POLICY,),
        mapping: dict[str, Any] | None = None,
        words: dict[str, str] | None = None,
    ) -> None:
        """Add a case about the card of this name (or another one): our answer, and certvalidator's or its error."""
        self.cases.append(
            {
                "id": case_id,
                "title": title,
                "at": at.isoformat(),
                "card": card or case_id,
                "root": root,
                "intermediates": list(between),
                "revocation_lists": list(lists),
                "refused_list": refused_list,
                "policies": list(accepted_policies),
                "mapping": mapping,
                "expected": expected,
                "certvalidator": other or expected,
                "differs_because": differs,
                "words": words,
            }
        )


def _fixed(signer: object) -> dict[str, bool]:
    return {"ecdsa_deterministic": True} if isinstance(signer, ec.EllipticCurvePrivateKey) else {}


# -- changes that no builder makes ------------------------------------------------------------------------------------


def signed_again(der: bytes, key: rsa.RSAPrivateKey, *, algorithm: str = "sha256", change: Callable[[Any], None] = lambda _: None) -> bytes:  # fmt: skip
    """Return the certificate or list, its content changed, signed by `key` with PKCS #1 v1.5 and this hash."""
    try:
        signed = asn1_x509.Certificate.load(der, strict=True)
        content, inner = signed["tbs_certificate"], signed["tbs_certificate"]["signature"]
        _ = content["subject"].native
    except (ValueError, TypeError, KeyError):
        signed = asn1_crl.CertificateList.load(der, strict=True)
        content, inner = signed["tbs_cert_list"], signed["tbs_cert_list"]["signature"]
    change(content)
    inner["algorithm"] = signed["signature_algorithm"]["algorithm"] = f"{algorithm}_rsa"
    hashed = {"sha256": hashes.SHA256, "sha1": hashes.SHA1, "md5": hashes.MD5}[algorithm]()
    signature = key.sign(content.dump(force=True), padding.PKCS1v15(), hashed)
    signed["signature" if isinstance(signed, asn1_crl.CertificateList) else "signature_value"] = signature
    return signed.dump(force=True)


def last_bit_turned(der: bytes) -> bytes:
    """Return the signed thing with one bit of its signature changed."""
    return der[:-1] + bytes([der[-1] ^ 1])


def other_company(der: bytes) -> bytes:
    """Return the certificate for another company's name, with the signature as it was."""
    return der.replace("商会01".encode(), "商会02".encode())


def one_bit_unused(der: bytes) -> bytes:
    """Return the certificate whose signature's last bit, a zero, is declared to be none."""
    certificate = x509.load_der_x509_certificate(der)
    return der[: -len(certificate.signature) - 1] + b"\x01" + certificate.signature


def negative_serial(content: Any) -> None:
    """Turn the sign of the serial number."""
    content["serial_number"] = -content["serial_number"].native


def extension_twice(content: Any) -> None:
    """Put the first extension in a second time."""
    content["extensions"].append(content["extensions"][0].copy())


def without_next_update(content: Any) -> None:
    """Take out the date by which the next list comes."""
    content["next_update"] = None


def next_update_before_issue(content: Any) -> None:
    """Let the next list have come before this one."""
    content["next_update"] = asn1_x509.Time({"utc_time": NOON - 2 * HOUR})


def entry_again(content: Any) -> None:
    """Name the first certificate a second time, from two days later."""
    entry = content["revoked_certificates"][0].copy()
    entry["revocation_date"] = asn1_x509.Time({"utc_time": entry["revocation_date"].native + 2 * DAY})
    content["revoked_certificates"].append(entry)


def other_outer_algorithm(der: bytes) -> bytes:
    """Return the certificate with another algorithm named beside its signature than within."""
    signed = asn1_x509.Certificate.load(der)
    signed["signature_algorithm"]["algorithm"] = "sha384_rsa"
    return signed.dump(force=True)


# -- the cases --------------------------------------------------------------------------------------------------------


def build() -> Corpus:
    """Return the whole corpus."""
    corpus = Corpus()
    _authorities(corpus)
    _good(corpus)
    _unreadable_or_unknown(corpus)
    _dates(corpus)
    _usage_and_policy(corpus)
    _keys_and_hashes(corpus)
    _paths(corpus)
    _authorities_revoked_or_over(corpus)
    _revoked(corpus)
    _lists_not_taken(corpus)
    return corpus


def _authorities(corpus: Corpus) -> None:
    corpus.ca("root", ROOT, None, key="root")
    corpus.ca("issuing", ISSUING, "root", key="issuing", path_length=0)
    corpus.ca("stranger", {"C": "JP", "O": "Stranger CA"}, None, key="stranger")
    corpus.ca("pretender", ISSUING, None, key="other")
    corpus.list("root", "root")
    corpus.list("issuing")


def _good(corpus: Corpus) -> None:
    corpus.card("good-p256")
    corpus.case("good-p256", "a card with a P-256 key", words=JAPANESE_WORDS)
    for key in ("rsa", "p384", "p521"):
        corpus.card(f"good-{key}", key=f"card-{key}")
        corpus.case(f"good-{key}", f"a card with another good key ({key}; RSA has 2,048 bits)")
    corpus.card("good-no-eku", purposes=None)
    corpus.case("good-no-eku", "no extended key usage, which limits nothing")
    corpus.card(
        "good-several-purposes", purposes=(ExtendedKeyUsageOID.EMAIL_PROTECTION, ExtendedKeyUsageOID.CLIENT_AUTH)
    )
    corpus.case("good-several-purposes", "e-mail and client authentication")
    corpus.ca("issuing-critical-policy", ISSUING, "root", key="issuing", policy=policies(POLICY, critical=True))
    corpus.card("good-critical-policies", policy=policies(OTHER_POLICY, POLICY, critical=True))
    corpus.case(
        "good-critical-policies",
        "critical certificate policies in the card and above",
        between=("issuing-critical-policy",),
    )
    corpus.ca("issuing-any-policy", ISSUING, "root", key="issuing", policy=policies(ANY_POLICY))
    corpus.case(
        "good-any-policy-above", "the authority asserts any policy", card="good-p256", between=("issuing-any-policy",)
    )
    corpus.card("good-no-policy-asked", policy=None)
    corpus.case("good-no-policy-asked", "an authority of which no policy is asked", accepted_policies=())
    corpus.card("good-no-san", san=None)
    latin = {"company_name": "Test Shokai", "company_address": "Aomori Aomori", "holder_name": "Test Taro"}
    absent = "証明書に記載なし"
    corpus.case("good-no-san", "a name in Latin letters only", words={**latin, "holder_address": absent})
    corpus.card("good-critical-san", san_critical=True)
    corpus.case("good-critical-san", "a critical alternative name", words=JAPANESE_WORDS)
    corpus.card("good-few-names", subject={"C": "JP", "CN": "0001"}, san={"C": "JP", "CN": "テスト 1太郎"})
    few = {"company_name": absent, "company_address": absent, "holder_name": "テスト 1太郎", "holder_address": absent}
    corpus.case("good-few-names", "neither company nor address: said so, never null null", words=few)
    elsewhere = {
        "C": "JP",
        "ST": "Aomori",
        "O": "Corpus",
        "OU": "株式会社テスト商会01",
        "STREET": "青森市中央1-22-5",
        "T": "テスト 1太郎",
        "CN": "0001",
    }
    corpus.card("good-names-elsewhere", subject=elsewhere, san=None)
    corpus.case(
        "good-names-elsewhere",
        "an authority that writes the company into the subject's OU and the holder into its title",
        mapping={
            "company_name": [["subject.OU"]],
            "company_address": [["subject.STREET"]],
            "holder_name": [["subject.T"]],
            "holder_address": [["san.STREET"], ["subject.STREET"]],
        },
        words={**JAPANESE_WORDS, "company_address": "青森市中央1-22-5", "holder_address": "青森市中央1-22-5"},
    )
    corpus.card("good-no-key-identifier", key_identifier=False)
    corpus.case("good-no-key-identifier", "no authority key identifier: the issuer is known by its name")
    corpus.card("good-from-root", "root")
    corpus.case("good-from-root", "an authority of one storey", between=(), lists=("root",))
    corpus.ca("middle", MIDDLE, "root", key="middle", path_length=1)
    corpus.ca("issuing-third", ISSUING, "middle", key="issuing", path_length=0)
    corpus.list("middle", "middle")
    corpus.case(
        "good-three-storeys",
        "an authority of three storeys",
        card="good-p256",
        between=("middle", "issuing-third"),
        lists=("issuing", "middle", "root"),
    )
    corpus.ca("issuing-p384", {**ISSUING, "OU": "Corpus EC CA"}, "root", key="issuing-p384")
    corpus.card("good-ecdsa", "issuing-p384", key="card-p384", hash_algorithm=hashes.SHA384())
    corpus.list("issuing-p384", "issuing-p384")
    corpus.case(
        "good-ecdsa",
        "signed by an authority with a P-384 key",
        between=("issuing-p384",),
        lists=("issuing-p384", "root"),
    )
    corpus.ca("issuing-renewed-old", ISSUING, "root", key="issuing", ends=-DAY)
    corpus.case(
        "good-authority-renewed",
        "the authority's certificate is over and has been renewed",
        card="good-p256",
        between=("issuing-renewed-old", "issuing"),
    )
    corpus.ca("issuing-no-policy", ISSUING, "root", key="issuing", policy=None)
    corpus.case(
        "good-authority-without-policy",
        "the authority's own certificate says nothing of policies",
        card="good-p256",
        between=("issuing-no-policy",),
        other="PathValidationError",
        differs="An authority's certificate was put into the trust store by people, together with the policies that are taken from it: its silence excludes none.",
    )
    corpus.ca("issuing-quiet", ISSUING, "root", key="issuing", names_its_list=False)
    corpus.case(
        "good-authority-names-no-list",
        "the authority's own certificate says of no list, and the trust store has none",
        card="good-p256",
        between=("issuing-quiet",),
        lists=("issuing",),
    )


def _unreadable_or_unknown(corpus: Corpus) -> None:
    corpus.spoil("truncated", "good-p256", lambda der: der[:-10])
    corpus.case("truncated", "the last ten bytes are missing", "K-401", other="unreadable")
    corpus.spoil("bytes-behind", "good-p256", lambda der: der + b"\0")
    corpus.case("bytes-behind", "a byte follows the certificate", "K-401", other="unreadable")
    corpus.spoil("extension-twice", "good-p256", lambda der: signed_again(der, KEYS["issuing"], change=extension_twice))
    corpus.case(
        "extension-twice",
        "one extension stands twice",
        "K-401",
        other="accepted",
        differs="RFC 5280 forbids it; a certificate that can be read in two ways is not read.",
    )
    even = next(label for label, der in corpus.certificates.items() if label.startswith("good-") and not der[-1] & 1)
    corpus.spoil("unused-bit", even, one_bit_unused)
    corpus.case(
        "unused-bit",
        "the last bit of the signature is declared unused",
        "K-401",
        other="accepted",
        differs="One certificate would have two fingerprints.",
    )
    corpus.spoil("serial-negative", "good-p256", lambda der: signed_again(der, KEYS["issuing"], change=negative_serial))
    corpus.case(
        "serial-negative",
        "a negative serial number",
        "K-401",
        other="accepted",
        differs="RFC 5280 forbids it; issuer and serial number are what a card is known by.",
    )
    corpus.card("control-characters", san={**JAPANESE, "O": "株式会社テスト\n商会01"})
    corpus.case(
        "control-characters",
        "a line break in the company's name",
        "K-401",
        other="accepted",
        differs="The names are shown, signed and stored; no authority writes control characters.",
    )
    corpus.card("unknown-authority", "stranger")
    corpus.case("unknown-authority", "a card of an authority that is not accepted", "K-402", other="PathBuildingError")
    corpus.ca(
        "self-signed", LATIN, None, key="card-p256", bits=("digital_signature",), is_ca=False, extra=(policies(POLICY),)
    )
    corpus.case("self-signed", "a card that issued itself", "K-402", other="InvalidCertificateError")
    corpus.case(
        "issuer-missing",
        "an authority whose issuing certificate is not in the trust store",
        "K-402",
        card="good-p256",
        between=(),
        lists=("root",),
        other="PathBuildingError",
    )


def _dates(corpus: Corpus) -> None:
    corpus.card("not-yet-valid", starts=SECOND)
    corpus.case("not-yet-valid", "valid from one second later", "K-403", other="NotYetValidError")
    corpus.case("first-second", "judged in its first second", card="not-yet-valid", at=NOON + SECOND)
    corpus.card("expired", starts=-700 * DAY, ends=-SECOND)
    corpus.case("expired", "valid until one second before", "K-404", other="ExpiredError")
    corpus.case("last-second", "judged in its last second", card="expired", at=NOON - SECOND)


def _usage_and_policy(corpus: Corpus) -> None:
    corpus.card("usage-encipherment", bits=("key_encipherment",))
    corpus.case("usage-encipherment", "a key for encryption", "K-405", other="InvalidCertificateError")
    corpus.card("usage-content-commitment", bits=("content_commitment",))
    corpus.case("usage-content-commitment", "a key for contracts only", "K-405", other="InvalidCertificateError")
    corpus.card("usage-absent", bits=None)
    corpus.case("usage-absent", "no key usage", "K-405", other="InvalidCertificateError")
    corpus.card("purpose-server", purposes=(ExtendedKeyUsageOID.SERVER_AUTH,))
    corpus.case("purpose-server", "a server's certificate", "K-405", other="InvalidCertificateError")
    corpus.card("purpose-any", purposes=(ExtendedKeyUsageOID.ANY_EXTENDED_KEY_USAGE,))
    corpus.case("purpose-any", "any purpose, none named", "K-405", other="InvalidCertificateError")
    corpus.card("authority-as-card", bits=("digital_signature", "key_cert_sign"), is_ca=True)
    corpus.case(
        "authority-as-card",
        "an authority's certificate used as a card",
        "K-405",
        other="accepted",
        differs="An authority's key is no person's: whoever holds it could make himself any card.",
    )
    corpus.card("policy-absent", policy=None)
    corpus.case("policy-absent", "no certificate policy", "K-406", other="PathValidationError")
    corpus.card("policy-other", policy=policies(OTHER_POLICY))
    corpus.case("policy-other", "another policy of the same authority", "K-406", other="PathValidationError")
    corpus.card("policy-any", policy=policies(ANY_POLICY))
    corpus.case(
        "policy-any",
        "any policy, ours not named",
        "K-406",
        other="accepted",
        differs="A card must name a policy of its authority itself; which cards are for bidding is the authority's word, not its silence.",
    )
    corpus.ca("issuing-other-policy", ISSUING, "root", key="issuing", policy=policies(OTHER_POLICY))
    corpus.case(
        "policy-excluded-above",
        "the authority is not allowed to assert the card's policy",
        "K-406",
        card="good-p256",
        between=("issuing-other-policy",),
        other="PathValidationError",
    )


def _keys_and_hashes(corpus: Corpus) -> None:
    size = "RFC 5280 knows no weak keys; the size and the curve are our own step."
    corpus.card("key-rsa-1024", key="short")
    corpus.case("key-rsa-1024", "an RSA key of 1,024 bits", "K-407", other="accepted", differs=size)
    corpus.card("key-secp256k1", key="card-k256")
    corpus.case("key-secp256k1", "a key on a curve that is not taken", "K-407", other="accepted", differs=size)
    corpus.card("key-ed25519", key="card-ed25519")
    corpus.case(
        "key-ed25519", "a key of a kind that no algorithm of the token takes", "K-407", other="accepted", differs=size
    )
    for algorithm in ("sha1", "md5"):
        corpus.spoil(
            f"hash-{algorithm}",
            "good-p256",
            lambda der, algorithm=algorithm: signed_again(der, KEYS["issuing"], algorithm=algorithm),
        )
        corpus.case(f"hash-{algorithm}", f"signed over {algorithm.upper()}", "K-408", other="DisallowedAlgorithmError")
    corpus.spoil("hash-unknown", "good-p256", lambda der: der.replace(_SHA256_RSA, _SHA256_RSA[:-1] + b"\x7f"))
    corpus.case("hash-unknown", "signed by an algorithm that nobody knows", "K-408", other="PathValidationError")
    corpus.card("hash-sha224", hash_algorithm=hashes.SHA224())
    corpus.case(
        "hash-sha224", "signed over SHA-224", "K-408", other="accepted", differs="We take SHA-256, 384 and 512 only."
    )


def _paths(corpus: Corpus) -> None:
    corpus.card("other-key-same-name", "pretender")
    corpus.case(
        "other-key-same-name", "issued by another key under the authority's name", "K-412", other="PathBuildingError"
    )
    corpus.ca(
        "self-signed-borrowed-name",
        ISSUING,
        None,
        key="card-p256",
        bits=("digital_signature",),
        is_ca=False,
        extra=(policies(POLICY),),
    )
    corpus.case(
        "self-signed-borrowed-name",
        "a card that issued itself under the authority's name",
        "K-412",
        other="InvalidCertificateError",
    )
    corpus.spoil("signature-broken", "good-p256", last_bit_turned)
    corpus.case("signature-broken", "one bit of the signature is turned", "K-412", other="PathValidationError")
    corpus.spoil("content-changed", "good-p256", other_company)
    corpus.case("content-changed", "the company's name was changed after signing", "K-412", other="PathValidationError")
    corpus.spoil("algorithms-differ", "good-p256", other_outer_algorithm)
    corpus.case(
        "algorithms-differ",
        "within and beside the signature two algorithms are named",
        "K-412",
        other="PathValidationError",
    )
    corpus.case(
        "signature-broken-authority-renewed",
        "the same, and the authority has a certificate that is over beside its good one",
        "K-412",
        card="signature-broken",
        between=("issuing-renewed-old", "issuing"),
        other="ExpiredError",
    )
    corpus.case(
        "root-other",
        "the authority's certificate is of another root",
        "K-412",
        card="good-p256",
        root="stranger",
        lists=("issuing",),
        other="PathBuildingError",
    )
    corpus.card("critical-unknown", extra=(UNKNOWN,))
    corpus.case("critical-unknown", "an unknown critical extension in the card", "K-413", other="PathValidationError")
    corpus.ca("issuing-critical-unknown", ISSUING, "root", key="issuing", extra=(UNKNOWN,))
    corpus.case(
        "critical-unknown-above",
        "an unknown critical extension above",
        "K-412",
        card="good-p256",
        between=("issuing-critical-unknown",),
        other="PathValidationError",
    )
    corpus.ca("middle-short", MIDDLE, "root", key="middle", path_length=0)
    corpus.ca("issuing-too-deep", ISSUING, "middle-short", key="issuing")
    corpus.case(
        "path-too-long",
        "an authority below one that may have none below",
        "K-412",
        card="good-p256",
        between=("middle-short", "issuing-too-deep"),
        lists=("issuing", "middle", "root"),
        other="PathValidationError",
    )
    corpus.ca("issuing-no-ca", ISSUING, "root", key="issuing", is_ca=False)
    corpus.case(
        "issuer-not-a-ca",
        "the issuer's certificate is no authority's",
        "K-412",
        card="good-p256",
        between=("issuing-no-ca",),
        other="PathValidationError",
    )
    corpus.ca("issuing-no-cert-sign", ISSUING, "root", key="issuing", bits=("crl_sign", "digital_signature"))
    corpus.case(
        "issuer-may-not-sign",
        "the issuer's key usage forbids to sign certificates",
        "K-412",
        card="good-p256",
        between=("issuing-no-cert-sign",),
        other="PathValidationError",
    )
    corpus.card("issued-by-card", "good-rsa")
    corpus.case(
        "issued-by-card",
        "a card that another card issued",
        "K-412",
        between=("issuing", "good-rsa"),
        other="PathValidationError",
    )
    corpus.ca("issuing-forged", ISSUING, "root", key="issuing")
    corpus.spoil("issuing-broken", "issuing-forged", last_bit_turned)
    corpus.case(
        "signature-broken-above",
        "the root's signature on the authority is broken",
        "K-412",
        card="good-p256",
        between=("issuing-broken",),
        other="PathValidationError",
    )
    corpus.ca("issuing-short", ISSUING, "root", key="short")
    corpus.card("key-short-above", "issuing-short")
    corpus.list("issuing-short", "issuing-short")
    corpus.case(
        "key-short-above",
        "the authority's own key has 1,024 bits",
        "K-412",
        between=("issuing-short",),
        lists=("issuing-short", "root"),
        refused_list="失効リストの署名方式は古く、安全に使えません。",
        other="DisallowedAlgorithmError",
    )
    corpus.ca("issuing-plain", ISSUING, "root", key="issuing")
    corpus.spoil("issuing-sha1", "issuing-plain", lambda der: signed_again(der, KEYS["root"], algorithm="sha1"))
    corpus.case(
        "hash-sha1-above",
        "the authority's certificate is signed over SHA-1",
        "K-412",
        card="good-p256",
        between=("issuing-sha1",),
        other="DisallowedAlgorithmError",
    )
    abroad = x509.NameConstraints([x509.DirectoryName(name({"C": "US"}))], None)
    corpus.ca("issuing-abroad", ISSUING, "root", key="issuing", extra=((abroad, True),))
    corpus.case(
        "name-not-permitted",
        "the authority may certify names of another country only",
        "K-412",
        card="good-p256",
        between=("issuing-abroad",),
        other="PathValidationError",
    )
    here = x509.NameConstraints([x509.DirectoryName(name({"C": "JP"}))], None)
    corpus.ca("issuing-here", ISSUING, "root", key="issuing", extra=((here, True),))
    corpus.case(
        "name-permitted",
        "the authority may certify names of this country only",
        "K-412",
        card="good-p256",
        between=("issuing-here",),
        other="accepted",
        differs="Constraints on directory names are not processed here, so an authority that has them is refused, as RFC 5280 asks.",
    )
    corpus.ca("issuing-explicit", ISSUING, "root", key="issuing", extra=((x509.PolicyConstraints(0, None), True),))
    corpus.case(
        "policy-constraints-above",
        "critical policy constraints above",
        "K-412",
        card="good-p256",
        between=("issuing-explicit",),
        other="accepted",
        differs="Policy constraints and mappings are not processed here, so a critical one is refused, as RFC 5280 asks.",
    )

    steps = [f"storey-{number}" for number in range(1, 6)]
    for label, above in zip(steps, ["root", *steps], strict=False):
        corpus.ca(label, {**MIDDLE, "OU": label}, above, key="middle")
        corpus.list(label, label)
    corpus.card("path-too-deep", steps[-1])
    corpus.case(
        "path-too-deep",
        "five authorities between the root and the card",
        "K-412",
        between=tuple(steps),
        lists=(*steps, "root"),
        other="accepted",
        differs="No authority has so many storeys; the search for a path ends after four.",
    )
    corpus.ca(
        "issuing-for-servers",
        ISSUING,
        "root",
        key="issuing",
        extra=((x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), False),),
    )
    corpus.case(
        "purpose-server-above",
        "an authority for servers' certificates only",
        "K-412",
        card="good-p256",
        between=("issuing-for-servers",),
        other="accepted",
        differs="RFC 5280 is silent about purposes above; an authority that names some is held to them here.",
    )
    corpus.card(
        "key-identifier-other",
        key_identifier=False,
        extra=((x509.AuthorityKeyIdentifier.from_issuer_public_key(KEYS["other"].public_key()), False),),
    )
    corpus.case(
        "key-identifier-other",
        "the authority key identifier names another key",
        other="PathBuildingError",
        differs="The identifier helps to find the issuer's certificate; whether that one issued the card, its signature says.",
    )


def _authorities_revoked_or_over(corpus: Corpus) -> None:
    corpus.ca("issuing-over", ISSUING, "root", key="issuing", ends=-SECOND)
    corpus.case(
        "authority-expired",
        "the authority's certificate is over",
        "K-411",
        card="good-p256",
        between=("issuing-over",),
        other="ExpiredError",
    )
    corpus.ca("issuing-early", ISSUING, "root", key="issuing", starts=SECOND)
    corpus.case(
        "authority-not-yet-valid",
        "the authority's certificate begins later",
        "K-411",
        card="good-p256",
        between=("issuing-early",),
        other="NotYetValidError",
    )
    corpus.ca("root-over", ROOT, None, key="root", ends=-SECOND)
    corpus.case(
        "root-expired",
        "the root is over",
        "K-411",
        card="good-p256",
        root="root-over",
        other="accepted",
        differs="RFC 5280 asks no date of a trust anchor; a root that is over is not trusted here.",
    )
    corpus.list("root-revokes", "root", revoked={"issuing": -DAY})
    corpus.case(
        "authority-revoked",
        "the authority's certificate is revoked",
        "K-414",
        card="good-p256",
        lists=("issuing", "root-revokes"),
        other="RevokedError",
    )
    corpus.case(
        "authority-list-missing",
        "the authority's certificate names a list that is not there",
        "K-410",
        card="good-p256",
        lists=("issuing",),
        other="InsufficientRevinfoError",
    )
    corpus.list("root-stale", "root", issued=-10 * DAY, next_in=-24 * HOUR - SECOND)
    corpus.case(
        "authority-list-stale",
        "the list that names the authority is too old",
        "K-410",
        card="good-p256",
        lists=("issuing", "root-stale"),
        other="StaleRevinfoError",
    )


def _revoked(corpus: Corpus) -> None:
    corpus.card("revoked")
    corpus.list("revokes", revoked={"revoked": -DAY, "good-rsa": -2 * DAY})
    corpus.case("revoked", "revoked the day before", "K-409", lists=("revokes", "root"), other="RevokedError")
    corpus.case("not-revoked", "a list that names other cards", card="good-p256", lists=("revokes", "root"))
    corpus.list("revokes-now", revoked={"revoked": 0 * DAY})
    corpus.case(
        "revoked-this-second",
        "revoked at the moment of judgement",
        "K-409",
        card="revoked",
        lists=("revokes-now", "root"),
        other="accepted",
        differs="The second of the revocation itself counts as revoked.",
    )
    corpus.list(
        "revokes-hold",
        revoked={"revoked": -DAY},
        entry_extra=((x509.CRLReason(x509.ReasonFlags.certificate_hold), False),),
    )
    corpus.case(
        "revoked-on-hold",
        "revoked for the time being",
        "K-409",
        card="revoked",
        lists=("revokes-hold", "root"),
        other="RevokedError",
    )
    corpus.list("revokes-later", revoked={"revoked": SECOND}, issued=HOUR)
    corpus.case(
        "revoked-later",
        "revoked after the moment, as a later list says",
        card="revoked",
        lists=("revokes-later", "root"),
    )
    corpus.list(
        "revokes-twice",
        revoked={"revoked": -DAY},
        spoil=lambda der: signed_again(der, KEYS["issuing"], change=entry_again),
    )
    corpus.case(
        "revoked-twice",
        "named twice, first for the day before, then for the day after",
        "K-409",
        card="revoked",
        lists=("revokes-twice", "root"),
        other="RevokedError",
    )
    corpus.list("late", issued=-48 * HOUR, next_in=-24 * HOUR)
    corpus.case(
        "list-within-grace",
        "the list's successor is late by no more than is allowed",
        card="good-p256",
        lists=("late", "root"),
        other="StaleRevinfoError",
        differs="An authority's list may be late by a grace that the city sets (24 hours here); staff are warned from the first minute.",
    )
    corpus.list("stale", issued=-48 * HOUR, next_in=-24 * HOUR - SECOND)
    corpus.case(
        "list-stale",
        "the list's successor is late by a second more",
        "K-410",
        card="good-p256",
        lists=("stale", "root"),
        other="StaleRevinfoError",
    )
    corpus.case("list-missing", "no list", "K-410", card="good-p256", lists=("root",), other="InsufficientRevinfoError")


def _lists_not_taken(corpus: Corpus) -> None:
    partial = "Only complete lists are taken: a part of a list is silent about the certificates of the other parts."

    def refused(label: str, title: str, reason: str, differs: str = "", other: str = "", **options: Any) -> None:
        corpus.list(label, **options)
        other = other or ("accepted" if differs else "InsufficientRevinfoError")
        corpus.case(
            label,
            title,
            "K-410",
            card="good-p256",
            lists=(label, "root"),
            refused_list=reason,
            other=other,
            differs=differs,
        )

    refused("list-other-key", "signed by another key", "失効リストの署名が正しくありません。", key="other")
    refused(
        "list-tampered",
        "one bit of the list's signature is turned",
        "失効リストの署名が正しくありません。",
        spoil=last_bit_turned,
    )
    refused(
        "list-other-authority",
        "the list of an authority that is not in the trust store",
        "別の認証局の失効リストです。",
        above="stranger",
    )
    refused(
        "list-truncated",
        "the list's last ten bytes are missing",
        "失効リストとして読めません。",
        spoil=lambda der: der[:-10],
    )
    refused(
        "list-delta",
        "a list of changes only",
        "差分の失効リストは使えません。",
        extra=((x509.DeltaCRLIndicator(6), True),),
    )
    refused(
        "list-indirect",
        "an indirect list",
        "間接の失効リストは使えません。",
        partial,
        extra=((points(indirect_crl=True), True),),
    )
    refused(
        "list-indirect-entry",
        "an entry about another authority's certificate",
        "扱えない必須の項目がある失効リストは使えません。",
        partial,
        revoked={"good-rsa": -DAY},
        entry_extra=((x509.CertificateIssuer([x509.DirectoryName(name(ROOT))]), True),),
    )
    refused(
        "list-users-only",
        "a list of some kinds of certificates",
        "分割された失効リストは使えません。",
        partial,
        extra=((points(only_contains_user_certs=True), True),),
    )
    refused(
        "list-named-point",
        "a list of one distribution point",
        "分割された失効リストは使えません。",
        partial,
        extra=((points(full_name=address()), True),),
    )
    refused(
        "list-some-reasons",
        "a list of some reasons",
        "分割された失効リストは使えません。",
        extra=((points(only_some_reasons=frozenset({x509.ReasonFlags.key_compromise})), True),),
    )
    refused(
        "list-critical-unknown",
        "an unknown critical extension in the list",
        "扱えない必須の項目がある失効リストは使えません。",
        extra=(UNKNOWN,),
    )
    refused(
        "list-no-number",
        "a list without a number",
        "番号のない失効リストは使えません。",
        "Without a number an old list could be put in the place of a new one.",
        number=None,
    )
    refused(
        "list-no-next-update",
        "a list that does not say when the next one comes",
        "次回更新日時がない失効リストは使えません。",
        other="StaleRevinfoError",
        spoil=lambda der: signed_again(der, KEYS["issuing"], change=without_next_update),
    )
    nothing = x509.UnrecognizedExtension(x509.ObjectIdentifier("2.5.29.28"), b"\x30\x00")
    refused(
        "list-empty-point",
        "a list that names its part and says nothing of it",
        "失効リストとして読めません。",
        partial,
        extra=((nothing, True),),
    )
    refused(
        "list-backwards",
        "a list whose next one came before it",
        "次回更新日時が発行日時より前の失効リストは使えません。",
        other="StaleRevinfoError",
        spoil=lambda der: signed_again(der, KEYS["issuing"], change=next_update_before_issue),
    )
    refused(
        "list-sha1",
        "a list signed over SHA-1",
        "失効リストの署名方式は古く、安全に使えません。",
        "The list is what refuses a stolen card: it must be as hard to forge as the card.",
        spoil=lambda der: signed_again(der, KEYS["issuing"], algorithm="sha1"),
    )
    corpus.ca("issuing-no-crl-sign", ISSUING, "root", key="issuing", bits=("key_cert_sign",))
    corpus.case(
        "list-signer-may-not",
        "the authority's key usage forbids to sign lists",
        "K-410",
        card="good-p256",
        between=("issuing-no-crl-sign",),
        refused_list="この認証局の証明書は、失効リストの署名に使うことが認められていません。",
        other="InsufficientRevinfoError",
    )


# -- files ------------------------------------------------------------------------------------------------------------


def pem(label: str, der: bytes) -> bytes:
    """Return the PEM of these bytes, whether or not they can be read."""
    encoded = base64.b64encode(der).decode()
    lines = [encoded[start : start + 64] for start in range(0, len(encoded), 64)]
    return "\n".join([f"-----BEGIN {label}-----", *lines, f"-----END {label}-----", ""]).encode()


def files() -> dict[str, bytes]:
    """Return every file of the corpus by its path below this folder."""
    corpus = build()
    cases = json.dumps({"about": "docs/certificates.md", "cases": corpus.cases}, ensure_ascii=False, indent=1) + "\n"
    return (
        {"cases.json": cases.encode()}
        | {f"certificates/{label}.pem": pem("CERTIFICATE", der) for label, der in corpus.certificates.items()}
        | {f"revocation-lists/{label}.pem": pem("X509 CRL", der) for label, der in corpus.lists.items()}
    )


def main() -> None:
    """Write the corpus beside this script."""
    for path, content in files().items():
        (HERE / path).parent.mkdir(exist_ok=True)
        (HERE / path).write_bytes(content)
    sys.stdout.write(f"{len(build().cases)} cases\n")


if __name__ == "__main__":
    main()
