"""The corpus of good and bad certificates (docs/certificates.md): judged here and by pyhanko-certvalidator."""

import asyncio
import base64
import importlib.util
import json
from datetime import datetime, timedelta
from pathlib import Path

import pytest
from asn1crypto import crl as asn1_crl
from asn1crypto import x509 as asn1_x509
from pyhanko_certvalidator import CertificateValidator, ValidationContext
from pyhanko_certvalidator.errors import PathError, ValidationError
from pyhanko_certvalidator.policy_decl import PKIXValidationParams

from irefuda_core import trust
from irefuda_core.certificate import DEFAULT_MAPPING, shown
from irefuda_core.refusal import CATALOGUE

CORPUS = Path(__file__).parent.parent / "vectors" / "certificates"
DOCUMENTATION = CORPUS.parents[2] / "docs" / "certificates.md"
CASES = json.loads((CORPUS / "cases.json").read_text(encoding="utf-8"))["cases"]
# The parser warns of what we refuse; in the field nothing stops at a warning, so neither does it here.
pytestmark = pytest.mark.filterwarnings("ignore:Parsed a serial number")
each_case = pytest.mark.parametrize("case", CASES, ids=lambda case: case["id"])


def stored(kind, label):
    lines = (CORPUS / kind / f"{label}.pem").read_text().splitlines()
    return base64.b64decode("".join(lines[1:-1]))


def authority(case):
    return trust.AcceptedAuthority(
        name="corpus",
        audience="supplier",
        root_der=stored("certificates", case["root"]),
        intermediate_ders=tuple(stored("certificates", label) for label in case["intermediates"]),
        policy_oids=frozenset(case["policies"]),
        mapping=case["mapping"] or DEFAULT_MAPPING,
        crl_grace=timedelta(hours=24),
        demo=False,
    )


def read_list(label, accepted):
    """Return the list as the certificate of its issuer reads it, or the reason why it is not taken."""
    reasons = []
    for issuer in (*accepted.intermediate_ders, accepted.root_der):
        try:
            return trust.read_crl(stored("revocation-lists", label), issuer), ""
        except trust.BadRevocationList as failure:
            reasons.append(str(failure))
    return None, next((reason for reason in reasons if "別の認証局" not in reason), reasons[0])


def test_the_script_builds_the_very_corpus():
    spec = importlib.util.spec_from_file_location("build_corpus", CORPUS / "build_corpus.py")
    script = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(script)
    built = script.files()
    kept = {str(p.relative_to(CORPUS)): p.read_bytes() for p in CORPUS.rglob("*") if p.suffix in (".json", ".pem")}
    keys = kept.pop("keys.pem")
    assert kept.keys() == built.keys()
    assert kept == built
    assert keys.count(b"test key, protects nothing: ") == keys.count(b"-----BEGIN") == len(script.KEYS)


@each_case
def test_every_case_has_its_own_answer(case):
    accepted = authority(case)
    lists = [read_list(label, accepted) for label in case["revocation_lists"]]
    assert [reason for _, reason in lists if reason] == ([case["refused_list"]] if case["refused_list"] else [])
    snapshot = trust.TrustSnapshot("1", (accepted,), {listed.signer: listed for listed, _ in lists if listed})
    der, at, cache = stored("certificates", case["card"]), datetime.fromisoformat(case["at"]), {}
    if case["expected"] != "accepted":
        for _ in range(2):
            with pytest.raises(trust.TrustFailure) as failure:
                trust.judge(der, snapshot, at=at, cache=cache)
            assert failure.value.refusal.code == case["expected"]
        return
    for _ in range(2):
        card = trust.judge(der, snapshot, at=at, cache=cache).card
        for field, words in (case["words"] or {}).items():
            assert shown(getattr(card, field)) == words


@each_case
def test_certvalidator_agrees_but_where_we_differ_on_purpose(case):
    verdict = verdict_of_certvalidator(case)
    assert verdict == case["certvalidator"]
    agrees = (verdict == "accepted") == (case["expected"] == "accepted")
    assert agrees == (not case["differs_because"])
    if not agrees:
        assert f"`{case['id']}`" in DOCUMENTATION.read_text(encoding="utf-8")


def verdict_of_certvalidator(case):
    """Return "accepted", or the name of the error; hard-fail: revocation data must be there where it is announced."""
    try:
        card = asn1_x509.Certificate.load(stored("certificates", case["card"]), strict=True)
    except ValueError:
        return "unreadable"
    context = ValidationContext(
        trust_roots=[asn1_x509.Certificate.load(stored("certificates", case["root"]))],
        other_certs=[asn1_x509.Certificate.load(stored("certificates", label)) for label in case["intermediates"]],
        crls=list(readable_lists(case)),
        ocsps=[],
        revocation_mode="hard-fail",
        moment=datetime.fromisoformat(case["at"]),
        time_tolerance=timedelta(0),
        retroactive_revinfo=True,
    )
    asked = frozenset(case["policies"])
    rules = PKIXValidationParams(user_initial_policy_set=asked, initial_explicit_policy=True) if asked else None
    validator = CertificateValidator(card, validation_context=context, pkix_params=rules)
    usage = {"key_usage": {"digital_signature"}, "extended_key_usage": {"client_auth"}, "extended_optional": True}
    try:
        asyncio.run(validator.async_validate_usage(**usage))
    except (PathError, ValidationError) as failure:
        return type(failure).__name__
    return "accepted"


def readable_lists(case):
    for label in case["revocation_lists"]:
        try:
            yield asn1_crl.CertificateList.load(stored("revocation-lists", label), strict=True)
        except ValueError:
            assert case["refused_list"] == "失効リストとして読めません。"


def test_the_corpus_is_large_and_knows_every_reason():
    refused = [case for case in CASES if case["expected"] != "accepted"]
    assert len({case["id"] for case in CASES}) == len(CASES)
    assert len(refused) >= 30
    reasons = {failure.code for failure in trust.TrustFailure.__subclasses__()}
    assert {case["expected"] for case in refused} == reasons
    assert reasons <= CATALOGUE.keys()
