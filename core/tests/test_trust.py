"""A card at a moment: every reason to refuse it is its own."""

import itertools
from datetime import UTC, datetime, timedelta

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.x509.oid import ExtendedKeyUsageOID
from hypothesis import given, settings
from hypothesis import strategies as st
from pki_builder import NOON, POLICY, Authority

from irefuda_core import trust
from irefuda_core.certificate import DEFAULT_MAPPING, read_certificate, shown

CARD_KEY = ec.derive_private_key(7, ec.SECP256R1())


@pytest.fixture(scope="module")
def authority():
    return Authority()


def snapshot(authority, *, crl=None, policies=frozenset({POLICY}), version="1", audience="supplier"):
    accepted = trust.AcceptedAuthority(
        name="test",
        audience=audience,
        root_der=authority.root.der,
        intermediate_ders=(authority.issuing.der,),
        policy_oids=policies,
        mapping=DEFAULT_MAPPING,
        crl_grace=timedelta(hours=24),
        demo=False,
    )
    listed = trust.read_crl(crl or authority.crl(), authority.issuing.der)
    return trust.TrustSnapshot(version, (accepted,), {listed.signer: listed})


@pytest.mark.parametrize(
    "variation",
    [{}, {"key": "rsa"}, {"key": "p384"}, {"purposes": None}, {"san": False}, {"policy_critical": True}],
    ids=str,
)
def test_good_cards_are_accepted(authority, variation):
    keys = {
        "rsa": lambda: rsa.generate_private_key(65537, 2048),
        "p384": lambda: ec.generate_private_key(ec.SECP384R1()),
    }
    if "key" in variation:
        variation = {"key": keys[variation["key"]]()}
    card = authority.card(**variation)
    assert (
        trust.judge(card.der, snapshot(authority), at=NOON).card.fingerprint == read_certificate(card.der).fingerprint
    )


def bad_cards(authority):
    stranger = Authority(label="stranger")
    forged = Authority()  # the same names, other keys
    yield trust.UnknownAuthority, stranger.card()
    yield trust.BrokenPath, forged.card()
    yield trust.NotYetValid, authority.card(starts=timedelta(days=1))
    yield trust.Expired, authority.card(starts=timedelta(days=-30), ends=timedelta(seconds=-1))
    yield trust.WrongUsage, authority.card(usage={"key_encipherment": True})
    yield trust.WrongUsage, authority.card(usage={})
    yield trust.WrongUsage, authority.card(purposes=(ExtendedKeyUsageOID.SERVER_AUTH,))
    yield trust.WrongUsage, authority.card(ca=True)
    yield trust.WrongPolicy, authority.card(policy=None)
    yield trust.WrongPolicy, authority.card(policy="1.2.3.4")
    yield trust.WeakKey, authority.card(key=rsa.generate_private_key(65537, 1024))
    yield trust.WeakHash, authority.card(hash_algorithm=hashes.SHA224())


def test_every_bad_card_is_refused_for_its_own_reason(authority):
    trusted = snapshot(authority)
    for reason, card in bad_cards(authority):
        with pytest.raises(trust.TrustFailure) as failure:
            trust.judge(card.der, trusted, at=NOON)
        assert type(failure.value) is reason
        assert failure.value.refusal.code == reason.code


def test_a_revoked_card_and_a_stale_list(authority):
    card = authority.card(serial=77)
    listed = snapshot(authority, crl=authority.crl(revoked={77: NOON - timedelta(days=1)}))
    with pytest.raises(trust.Revoked) as failure:
        trust.judge(card.der, listed, at=NOON)
    assert "2026年11月23日" in failure.value.refusal.sentence
    stale = snapshot(authority, crl=authority.crl(issued=timedelta(days=-3), next_in=timedelta(hours=-25)))
    with pytest.raises(trust.RevocationUnknown):
        trust.judge(card.der, stale, at=NOON)
    within_grace = snapshot(authority, crl=authority.crl(issued=timedelta(days=-3), next_in=timedelta(hours=-23)))
    assert trust.judge(card.der, within_grace, at=NOON)


# -- a card whose place another one is to take


def test_a_predecessor_may_be_over_or_revoked_and_says_so(authority):
    over = authority.card(serial=79, starts=timedelta(days=-800), ends=timedelta(days=-40))
    found = trust.judge_predecessor(over.der, snapshot(authority), at=NOON)
    assert (found.accepted.card.serial, found.revoked) == (79, False)
    # After its end as before it: the list of today speaks.
    for card in (over, authority.card(serial=79)):
        listed = snapshot(authority, crl=authority.crl(revoked={79: NOON - timedelta(days=1)}))
        assert trust.judge_predecessor(card.der, listed, at=NOON).revoked
        stale = snapshot(authority, crl=authority.crl(issued=timedelta(days=-3), next_in=timedelta(hours=-25)))
        with pytest.raises(trust.RevocationUnknown):
            trust.judge_predecessor(card.der, stale, at=NOON)


def test_a_predecessor_is_refused_for_every_other_reason(authority):
    trusted = snapshot(authority)
    for reason, card in bad_cards(authority):
        if reason is not trust.Expired:
            with pytest.raises(reason):
                trust.judge_predecessor(card.der, trusted, at=NOON)
    with pytest.raises(trust.Unreadable):
        trust.judge_predecessor(b"x", trusted, at=NOON)


def test_a_predecessor_leaves_nothing_in_the_cache_that_lets_it_in(authority):
    over, cache = authority.card(starts=timedelta(days=-800), ends=timedelta(days=-40)), {}
    assert trust.judge_predecessor(over.der, snapshot(authority), at=NOON, cache=cache)
    with pytest.raises(trust.Expired):
        trust.judge(over.der, snapshot(authority), at=NOON, cache=cache)


def test_the_cache_keeps_paths_but_never_dates_or_revocations(authority):
    card, cache = authority.card(serial=78), {}
    assert trust.judge(card.der, snapshot(authority), at=NOON, cache=cache)
    with pytest.raises(trust.Revoked):
        trust.judge(card.der, snapshot(authority, crl=authority.crl(revoked={78: NOON})), at=NOON, cache=cache)
    with pytest.raises(trust.Expired):
        trust.judge(card.der, snapshot(authority), at=NOON + timedelta(days=2000), cache=cache)


def test_one_cache_for_two_trust_stores_never_lets_a_card_cross(authority):
    stranger, cache = Authority(label="staff"), {}
    card = stranger.card()
    assert trust.judge(card.der, snapshot(stranger, audience="staff"), at=NOON, cache=cache)
    with pytest.raises(trust.UnknownAuthority):
        trust.judge(card.der, snapshot(authority), at=NOON, cache=cache)


@pytest.mark.parametrize(
    ("extra", "why"),
    [
        ((x509.DeltaCRLIndicator(1), True), "差分"),
        ((x509.IssuingDistributionPoint(None, None, True, False, None, False, False), True), "分割"),
        ((x509.IssuingDistributionPoint(None, None, False, False, None, True, False), True), "間接"),
    ],
)
def test_lists_of_unsupported_kinds_are_refused(authority, extra, why):
    with pytest.raises(trust.BadRevocationList, match=why):
        trust.read_crl(authority.crl(extra=(extra,)), authority.issuing.der)


def test_a_list_by_another_key_or_without_number_is_refused(authority):
    with pytest.raises(trust.BadRevocationList, match="署名"):
        trust.read_crl(Authority().crl(), authority.issuing.der)
    with pytest.raises(trust.BadRevocationList, match="別の認証局"):
        trust.read_crl(authority.crl(signer=authority.root), authority.issuing.der)
    with pytest.raises(trust.BadRevocationList, match="番号"):
        trust.read_crl(authority.crl(number=None), authority.issuing.der)


def test_the_screens_words_come_from_the_directory_name(authority):
    card = read_certificate(authority.card(serial=246187065731116185158328469941009070494604893755).der)
    assert card.serial_text == "246187065731116185158328469941009070494604893755"
    assert (card.company_name, card.holder_name) == ("株式会社テスト商会01", "テスト 1太郎")
    assert card.company_address == "青森県 青森市中央1-22-5"
    assert card.issuer_text == "OU=testca,O=test,ST=Kanagawa,C=JP"
    assert shown(card.holder_address) == "証明書に記載なし"


def several(*authorities, lists, version="1", mapping=DEFAULT_MAPPING):
    """Return a snapshot with one accepted authority for each (root, intermediates)."""
    accepted = tuple(
        trust.AcceptedAuthority(
            name=f"authority {number}",
            audience="supplier",
            root_der=root.der,
            intermediate_ders=tuple(above.der for above in between),
            policy_oids=frozenset({POLICY}),
            mapping=mapping,
            crl_grace=timedelta(hours=24),
            demo=False,
        )
        for number, (root, between) in enumerate(authorities)
    )
    return trust.TrustSnapshot(version, accepted, {listed.signer: listed for listed in lists})


def test_an_authority_with_a_new_root_is_in_the_store_twice(authority):
    old, new = authority.root, Authority().root
    listed = trust.read_crl(authority.crl(), authority.issuing.der)
    card = authority.card()
    both = several((new, [authority.issuing]), (old, [authority.issuing]), lists=[listed])
    assert trust.judge(card.der, both, at=NOON).authority.name == "authority 1"
    with pytest.raises(trust.BrokenPath):
        trust.judge(card.der, several((new, [authority.issuing]), lists=[listed]), at=NOON)


def test_of_two_authorities_of_one_name_each_is_judged_by_the_list_of_its_own_key(authority):
    namesake = Authority()
    mine = trust.read_crl(authority.crl(revoked={7: NOON}), authority.issuing.der)
    theirs = trust.read_crl(namesake.crl(revoked={8: NOON}), namesake.issuing.der)
    stores = [(authority.root, [authority.issuing]), (namesake.root, [namesake.issuing])]
    for lists in itertools.permutations([mine, theirs]):
        both, cache = several(*stores, lists=lists), {}
        answers = {
            (issuer, serial): outcome(issuer.card(serial=serial, key=CARD_KEY), both, NOON, cache=cache)
            for issuer in (authority, namesake)
            for serial in (7, 8)
        }
        assert answers[authority, 7] == answers[namesake, 8] == "K-409"
        assert not {answers[authority, 8], answers[namesake, 7]} & {"K-409", "K-410"}
    alone = several(*stores, lists=[theirs])
    assert outcome(authority.card(key=CARD_KEY), alone, NOON, cache=None) == "K-410"


def test_an_authority_that_changes_its_key_needs_a_list_by_each_key(authority):
    subject = authority.issuing.certificate.subject
    renewed = authority.ca(subject, authority.root, path_length=0)
    lists = [trust.read_crl(authority.crl(signer=issuing), issuing.der) for issuing in (authority.issuing, renewed)]
    store = (authority.root, [renewed, authority.issuing])
    cards = [authority.card(signer=issuing, key=CARD_KEY) for issuing in (authority.issuing, renewed)]
    answers = [[outcome(card, several(store, lists=[listed]), NOON, cache=None) for listed in lists] for card in cards]
    assert answers[0][1] == answers[1][0] == "K-410"
    assert all(trust.judge(card.der, several(store, lists=lists), at=NOON) for card in cards)


def test_of_two_roots_of_one_name_each_speaks_for_its_own_authority(authority):
    namesake = Authority()
    revoked = {authority.issuing.certificate.serial_number: NOON, namesake.issuing.certificate.serial_number: NOON}
    lists = [
        trust.read_crl(authority.crl(), authority.issuing.der),
        trust.read_crl(namesake.crl(), namesake.issuing.der),
        trust.read_crl(namesake.crl(signer=namesake.root, revoked=revoked), namesake.root.der),
    ]
    both = several((authority.root, [authority.issuing]), (namesake.root, [namesake.issuing]), lists=lists)
    assert trust.judge(authority.card().der, both, at=NOON)
    with pytest.raises(trust.AuthorityRevoked):
        trust.judge(namesake.card().der, both, at=NOON)


def test_a_list_without_an_end_is_fresh_for_ever(authority):
    """99991231235959Z is what RFC 5280 has for "no date"; a grace added to it is beyond the calendar."""
    endless = authority.crl(next_in=datetime(9999, 12, 31, 23, 59, 59, tzinfo=UTC) - NOON)
    assert trust.judge(authority.card().der, snapshot(authority, crl=endless), at=NOON)
    of_root = trust.read_crl(
        authority.crl(signer=authority.root, next_in=datetime(9999, 12, 31, 23, 59, 59, tzinfo=UTC) - NOON),
        authority.root.der,
    )
    listed = trust.read_crl(endless, authority.issuing.der)
    trusted = several((authority.root, [authority.issuing]), lists=[listed, of_root])
    assert trust.judge(authority.card().der, trusted, at=NOON)


def test_a_kept_path_over_a_certificate_that_is_over_is_looked_for_anew(authority):
    subject = authority.issuing.certificate.subject
    ending = authority.ca(subject, authority.root, path_length=0, key=authority.issuing.key, ends=timedelta(days=1))
    listed = trust.read_crl(authority.crl(next_in=timedelta(days=30)), authority.issuing.der)
    renewed, cache = several((authority.root, [ending, authority.issuing]), lists=[listed]), {}
    card = authority.card()
    first = trust.judge(card.der, renewed, at=NOON, cache=cache)
    assert first.links[0].not_after == ending.certificate.not_valid_after_utc
    second = trust.judge(card.der, renewed, at=NOON + timedelta(days=2), cache=cache)
    assert second.links[0].not_after == authority.issuing.certificate.not_valid_after_utc
    alone = several((authority.root, [ending]), lists=[listed], version="2")
    assert trust.judge(card.der, alone, at=NOON, cache=cache)
    with pytest.raises(trust.AuthorityNotValid):
        trust.judge(card.der, alone, at=NOON + timedelta(days=2), cache=cache)


def test_the_words_are_by_the_mapping_of_the_authority(authority):
    mapping = {"company_name": [["subject.O"]], "holder_name": [["san.T", "san.CN"]]}
    trusted = several(
        (authority.root, [authority.issuing]),
        lists=[trust.read_crl(authority.crl(), authority.issuing.der)],
        mapping=mapping,
    )
    card = trust.judge(authority.card().der, trusted, at=NOON).card
    assert (card.company_name, card.company_address, card.holder_name) == ("Test Shokai", "", "代表取締役 テスト 1太郎")


@pytest.mark.parametrize("content", [b"", b"no list", b"\x30\x00"])
def test_what_is_no_list_is_refused(authority, content):
    with pytest.raises(trust.BadRevocationList, match="読めません"):
        trust.read_crl(content, authority.issuing.der)


@given(cut=st.integers(0, 10_000), turned=st.integers(0, 7))
def test_no_changed_byte_of_a_list_is_taken(authority, cut, turned):
    der = bytearray(authority.crl(revoked={7: NOON}))
    der[cut % len(der)] ^= 1 << turned
    with pytest.raises(trust.BadRevocationList):
        trust.read_crl(bytes(der), authority.issuing.der)


def test_a_list_has_one_spelling(authority):
    """A zero bit at the end of the signature, declared unused, would give the same list a second spelling."""
    der = next(der for number in itertools.count(1) for der in [authority.crl(number=number)] if not der[-1] & 1)
    assert trust.read_crl(der, authority.issuing.der)
    length = authority.issuing.key.key_size // 8
    with pytest.raises(trust.BadRevocationList, match="読めません"):
        trust.read_crl(der[: -length - 1] + b"\x01" + der[-length:], authority.issuing.der)


@given(offset=st.integers(-3, 3), since=st.integers(-3, 3))
def test_what_is_revoked_at_a_moment_is_revoked_ever_after(authority, offset, since):
    listed = trust.read_crl(authority.crl(revoked={7: NOON + timedelta(seconds=since)}), authority.issuing.der)
    trusted = several((authority.root, [authority.issuing]), lists=[listed])
    card = authority.card(serial=7, key=CARD_KEY)
    at = NOON + timedelta(seconds=offset)
    if since <= offset:
        with pytest.raises(trust.Revoked):
            trust.judge(card.der, trusted, at=at)
    else:
        assert trust.judge(card.der, trusted, at=at)


@settings(max_examples=40, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 2), st.integers(-40, 40), st.booleans(), st.booleans()), min_size=2, max_size=8))  # fmt: skip
def test_the_cache_never_changes_the_answer(authority, acts):
    """One cache, while days go by, cards are revoked, and the authority's certificate is over or taken out."""
    subject = authority.issuing.certificate.subject
    ending = authority.ca(subject, authority.root, path_length=0, key=authority.issuing.key, ends=timedelta(days=10))
    cards = [authority.card(serial=serial, key=CARD_KEY, ends=timedelta(days=serial)) for serial in (5, 20, 400)]
    cache = {}
    for number, days, revoked, renewed in acts:
        at = NOON + timedelta(days=days)
        der = authority.crl(revoked={20: NOON} if revoked else {}, next_in=timedelta(days=60))
        listed = trust.read_crl(der, authority.issuing.der)
        above = [ending, authority.issuing] if renewed else [ending]
        trusted = several((authority.root, above), lists=[listed], version=str(renewed))
        kept, fresh = (outcome(cards[number], trusted, at, cache=used) for used in (cache, None))
        assert kept == fresh


def outcome(card, trusted, at, *, cache):
    try:
        return trust.judge(card.der, trusted, at=at, cache=cache).card.fingerprint
    except trust.TrustFailure as failure:
        return failure.code
