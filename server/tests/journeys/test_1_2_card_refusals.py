"""Every card and every proof that is not good, at both doors: each has its own code on the page, and nobody gets in."""

from __future__ import annotations

import json
from datetime import timedelta

import pytest
from builders import ORIGIN, make_authority, make_section, make_supplier, make_token, trust_authority
from cryptography.hazmat.primitives.asymmetric import rsa
from pki_builder import Authority, Issued
from steps import main_form, present, register, way_in

from irefuda.cards.models import Nonce
from irefuda.registration.models import CardStatus, Draft, RegisteredCard, Registration
from irefuda.ui import clock

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("static_files")]
DOORS = ["/9992/goods/registration/menu/", "/9992/goods/login/"]


@pytest.fixture(scope="module")
def stranger() -> Authority:
    """Return a CA that is like ours and that nobody trusts."""
    return make_authority()


def changed(token: str, **values: object) -> str:
    return json.dumps({**json.loads(token), **values})


def hand_in(app, door, token_of):
    """Press the button of a door whose agent answers the nonce with `token_of(nonce)`."""
    form = main_form(app.get(door), "token")
    nonce = app.post("/card/nonce/", {"csrfmiddlewaretoken": form["csrfmiddlewaretoken"].value}).json["nonce"]
    form["token"].force_value(token_of(nonce))
    return form.submit()


def refused(app, answer, code):
    """Look at a reason page, and that the browser is nobody's afterwards."""
    assert answer.status_int == (413 if code == "P-807" else 403)
    assert code in answer
    assert "次にすること" in answer
    assert "T-301" in app.get("/9992/goods/registration/lookup/")
    assert "T-301" in app.get("/9992/goods/start/")
    assert not Draft.objects.exists()
    assert not RegisteredCard.objects.exists()


PROOFS = {
    "no token": (lambda token: "", "K-421"),
    "no JSON": (lambda token: "{", "K-421"),
    "cut in the middle": (lambda token: token[: len(token) // 2], "K-421"),
    "100 kB long": (lambda token: changed(token, appVersion="x" * 100_000), "K-421"),
    "1 MB long": (lambda token: changed(token, appVersion="x" * 1_000_000), "P-807"),
    "algorithm none": (lambda token: changed(token, algorithm="none"), "K-421"),
    "algorithm of another key": (lambda token: changed(token, algorithm="RS256"), "K-421"),
    "algorithm unknown": (lambda token: changed(token, algorithm="HS256"), "K-421"),
    "another major version": (lambda token: changed(token, format="web-eid:2.0"), "K-422"),
    "cut signature": (lambda token: changed(token, signature="AAAA"), "K-423"),
    "no certificate": (lambda token: changed(token, unverifiedCertificate="AAAA"), "K-421"),
}


@pytest.mark.parametrize(("spoil", "code"), PROOFS.values(), ids=PROOFS.keys())
@pytest.mark.parametrize("door", DOORS)
def test_a_spoiled_proof(app, city, door, spoil, code):
    card = city.authority.card()
    refused(app, hand_in(app, door, lambda nonce: spoil(make_token(card, nonce))), code)


@pytest.mark.parametrize("door", DOORS)
def test_a_proof_for_another_site(app, city, door):
    card = city.authority.card()
    for origin in ("http://staff.localhost:8000", "https://localhost:8000", "null", ORIGIN + "/"):
        refused(app, hand_in(app, door, lambda nonce: make_token(card, nonce, origin=origin)), "K-423")  # noqa: B023


def test_a_proof_of_another_nonce(app, city):
    card = city.authority.card()
    refused(app, hand_in(app, DOORS[0], lambda nonce: make_token(card, "n" * 44)), "K-423")


def test_a_proof_that_comes_after_five_minutes(app, city):
    card = city.authority.card()

    def too_late(nonce):
        Nonce.objects.update(expires_at=clock.now())
        return make_token(card, nonce)

    refused(app, hand_in(app, DOORS[0], too_late), "K-424")


def test_a_proof_that_was_used(app, city):
    card = city.authority.card()
    used = []
    assert hand_in(app, DOORS[0], lambda nonce: used.append(make_token(card, nonce)) or used[0]).status_int == 302
    app.reset()
    # In the same browser with a nonce of its own, and in one that never asked for any.
    refused(app, hand_in(app, DOORS[0], lambda nonce: used[0]), "K-423")
    Nonce.objects.all().delete()
    form = main_form(app.get(DOORS[0]), "token")
    form["token"].force_value(used[0])
    refused(app, form.submit(), "K-424")


def test_a_proof_of_another_browsers_nonce(app, city):
    card = city.authority.card()
    theirs = []
    hand_in(app, DOORS[0], lambda nonce: theirs.append(make_token(card, nonce)) or "")
    app.reset()
    form = main_form(app.get(DOORS[0]), "token")
    form["token"].force_value(theirs[0])
    refused(app, form.submit(), "K-424")
    refused(app, hand_in(app, DOORS[0], lambda nonce: theirs[0]), "K-423")


def self_signed(authority: Authority) -> Issued:
    """Return a card that is its own authority."""
    key = authority.card().key
    certificate = authority.issuing.certificate
    return authority.card(key=key, signer=Issued(certificate, key))


CARDS = {
    "RSA with 1024 bits": (lambda ca: ca.card(key=rsa.generate_private_key(65537, 1024)), "K-407"),
    "self-signed under our name": (self_signed, "K-412"),
    "expired": (lambda ca: ca.card(ends=timedelta(seconds=-1)), "K-404"),
    "not yet valid": (lambda ca: ca.card(starts=timedelta(hours=1)), "K-403"),
    "of an unknown usage": (lambda ca: ca.card(usage={"key_encipherment": True}), "K-405"),
    "of another policy": (lambda ca: ca.card(policy="1.2.3.4"), "K-406"),
    "without a policy": (lambda ca: ca.card(policy=None), "K-406"),
}


@pytest.mark.parametrize(("make", "code"), CARDS.values(), ids=CARDS.keys())
@pytest.mark.parametrize("door", DOORS)
def test_a_card_that_is_not_to_be_trusted(app, city, door, make, code):
    card = make(city.authority)
    algorithm = "RS256" if isinstance(card.key, rsa.RSAPrivateKey) else "ES256"
    refused(app, hand_in(app, door, lambda nonce: make_token(card, nonce, algorithm=algorithm)), code)


@pytest.mark.parametrize("door", DOORS)
def test_a_card_of_an_authority_that_nobody_trusts(app, city, stranger, door):
    card = Authority(label="other", at=stranger.at).card()
    answer = hand_in(app, door, lambda nonce: make_token(card, nonce))
    refused(app, answer, "K-402")
    assert "OU=otherca" in answer
    # The same name does not help: it is the signature that counts.
    refused(app, hand_in(app, door, lambda nonce: make_token(stranger.card(), nonce)), "K-412")


@pytest.mark.parametrize("door", DOORS)
def test_a_revoked_card(app, city, door):
    card = city.authority.card()
    since = clock.now() - timedelta(days=2)
    crl = city.authority.crl(number=2, revoked={card.certificate.serial_number: since})
    trust_authority(city.authority, crl=crl)
    answer = hand_in(app, door, lambda nonce: make_token(card, nonce))
    refused(app, answer, "K-409")


@pytest.mark.parametrize("door", DOORS)
def test_a_revocation_list_that_is_too_old(app, city, door):
    card = city.authority.card()
    crl = city.authority.crl(number=2, issued=timedelta(days=-3), next_in=timedelta(hours=-25))
    trust_authority(city.authority, crl=crl)
    refused(app, hand_in(app, door, lambda nonce: make_token(card, nonce)), "K-410")


def test_a_card_of_the_staff(app, city):
    staff = Authority(label="staff", at=city.authority.at)
    trust_authority(staff, name="職員認証局", audience="staff")
    refused(app, hand_in(app, DOORS[1], lambda nonce: make_token(staff.card(), nonce)), "K-402")


def test_a_card_that_is_revoked_after_the_way_in_goes_no_further(app, city):
    card = city.authority.card()
    page = way_in(app, card)
    crl = city.authority.crl(number=2, revoked={card.certificate.serial_number: clock.now() - timedelta(minutes=1)})
    trust_authority(city.authority, crl=crl)
    form = main_form(page, "supplier_number")
    form["supplier_number"], form["name"] = "990000001", "（株）テスト商会01"
    assert "K-409" in form.submit()
    assert "K-409" in app.get("/9992/goods/registration/lookup/")
    assert not Draft.objects.exists()


def test_a_registered_card_that_is_registered_again_and_one_of_another_number(app, city):
    make_supplier(city.section, supplier_number="990000002", name="（株）テスト商会01")
    card = city.authority.card()
    form = main_form(way_in(app, card), "supplier_number")
    register(app, card)
    for number, code in (("990000001", "R-105"), ("990000002", "R-106")):
        form["supplier_number"], form["name"] = number, "（株）テスト商会01"
        answer = form.submit()
        assert answer.status_int == 403
        assert code in answer
    assert RegisteredCard.objects.count() == 1
    assert not Draft.objects.exists()


@pytest.mark.parametrize(
    ("standing", "code"),
    [
        (CardStatus.ACTIVE, "R-105"),
        (CardStatus.PROVISIONAL, "R-118"),
        (CardStatus.CLOSED, ""),
        (CardStatus.REPLACED, ""),
    ],
)
def test_a_registered_card_hears_it_at_the_way_in(app, city, standing, code):
    card = city.authority.card()
    register(app, card)
    ended_at = clock.now() if standing in (CardStatus.CLOSED, CardStatus.REPLACED) else None
    RegisteredCard.objects.update(status=standing, ended_at=ended_at)
    app.reset()
    answer = present(app, app.get(DOORS[0]), card)
    if code:
        assert (answer.status_int, code in answer) == (403, True)
        # Nothing of it says anything of another card: a new one is asked for its company.
        assert way_in(app, city.authority.card()).request.path == "/9992/goods/registration/lookup/"
    else:
        assert answer.follow().request.path == "/9992/goods/registration/lookup/"


def test_a_card_of_a_company_that_may_not_act_hears_that_at_the_way_in(app, city):
    card = city.authority.card()
    register(app, card)
    Registration.objects.update(halted_at=clock.now())
    assert "R-157" in present(app, app.get(DOORS[0]), card)


def test_the_back_button_after_the_registration_leads_to_its_end(app, city):
    card = city.authority.card()
    register(app, card)
    page = app.get("/9992/goods/registration/lookup/").follow()
    assert page.request.path == f"/9992/goods/registration/done/{RegisteredCard.objects.get().id}/"


def test_the_same_card_in_another_section_is_a_registration_of_its_own(app, city):
    other = make_section(category="0")
    make_supplier(other)
    card = city.authority.card()
    register(app, card)
    answer = present(app, app.get("/9992/works/login/"), card)
    assert "R-120" in answer.maybe_follow()


@pytest.mark.parametrize("person", ["係\n太郎", "係\x00太郎", "あ" * 21])
def test_a_person_in_charge_that_cannot_be_written_down(app, city, person):
    card = city.authority.card()
    answer = present(app, app.get(DOORS[0]), card, person=person)
    assert answer.status_int == 403
    assert "P-80" in answer
    assert "T-301" in app.get("/9992/goods/registration/lookup/")
