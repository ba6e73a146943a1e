"""Who may act for which company: registrations (企業ID), their cards, drafts, and counted tries."""

from __future__ import annotations

from typing import TYPE_CHECKING

from django.db import models

from irefuda_core.registration import company_id

if TYPE_CHECKING:
    from irefuda.agencies.models import Section
    from irefuda.suppliers.models import Supplier


class Registration(models.Model):
    """One company in one 区分 of one 調達機関: what a 企業ID stands for. Its cards share it."""

    id = models.BigAutoField(primary_key=True)
    section: models.ForeignKey[Section, Section] = models.ForeignKey("agencies.Section", on_delete=models.PROTECT)
    supplier: models.ForeignKey[Supplier, Supplier] = models.ForeignKey("suppliers.Supplier", on_delete=models.PROTECT)
    # 代表窓口情報: the seven contact fields by name, entered with the company's first card; null while there is none
    # but cards that wait for the agency's word (仮登録), which must not speak for the company.
    representative = models.JSONField(null=True)
    # Counted up by every further application: that UPDATE makes two at once follow each other, so that the second is
    # judged with the first one's card in sight.
    revision = models.PositiveIntegerField(default=0)
    # What 変更 put in place of the register's own 代表電話番号, 代表FAX番号 and 支店名等: by field, `value` and what the
    # `register` said at that time. It stands until the register says something else, which is then newer.
    company_changes = models.JSONField(default=dict)
    # How often 変更 has changed 企業情報 or 代表窓口情報: a form filled from an older state overwrites nothing.
    changes = models.PositiveIntegerField(default=0)
    registered_at = models.DateTimeField()
    # 利用停止: since when the agency lets none of the company's cards act, whatever the state of each; null while it does.
    halted_at = models.DateTimeField(null=True)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["section", "supplier"], name="one_company_id_per_supplier")]

    @property
    def company_id(self) -> str:
        """Return the 企業ID: 調達機関 4 + 区分 1 + running number 10 (the row's own, so two never meet)."""
        return company_id(self.section.agency.code, self.section.category, self.id)

    @property
    def representative_email(self) -> str:
        """Return where 代表窓口 is written to; only a company with a card that is more than 仮登録 has one."""
        return str((self.representative or {})["email"])


class CardStatus(models.TextChoices):
    ACTIVE = "active", "有効"
    PROVISIONAL = "provisional", "仮登録"
    REPLACED = "replaced", "更新済み"
    CLOSED = "closed", "使用停止"
    REJECTED = "rejected", "不受理"


# What a card in use stands at while its company is under 利用停止; no state of the card's own.
HALTED = "halted"


class RegisteredCard(models.Model):
    """One IC card of a registration, with the document that its holder signed."""

    id = models.UUIDField(primary_key=True)
    registration = models.ForeignKey(Registration, on_delete=models.PROTECT, related_name="cards")
    section: models.ForeignKey[Section, Section] = models.ForeignKey("agencies.Section", on_delete=models.PROTECT)
    issuer_key = models.CharField(max_length=64)
    serial = models.CharField(max_length=50)
    fingerprint = models.CharField(max_length=64)
    certificate = models.BinaryField()
    holder_name = models.TextField(blank=True)
    expires_at = models.DateTimeField()
    status = models.CharField(max_length=11, choices=CardStatus.choices)
    # ICカード利用部署情報: the seven contact fields by name.
    office = models.JSONField()
    # Twenty characters as people count them, so variation selectors make it longer.
    person_in_charge = models.TextField(blank=True)
    application = models.TextField()
    ledger_entry = models.UUIDField()
    receipt = models.TextField()
    draft = models.UUIDField(unique=True)
    registered_at = models.DateTimeField()
    # How often 変更 has changed ICカード利用部署情報.
    changes = models.PositiveIntegerField(default=0)
    # ICカード更新: the card whose place this one takes, and the ICカード引継届 that the old one signed at its turn.
    succeeds: models.ForeignKey[RegisteredCard | None, RegisteredCard | None] = models.ForeignKey(
        "self", on_delete=models.PROTECT, null=True, related_name="successors"
    )
    handover = models.TextField(blank=True)
    # 仮登録: what the agency has to look at (irefuda_core.registration.Doubt).
    doubts = models.JSONField(default=list)
    # When the card was replaced or closed; null while it is neither.
    ended_at = models.DateTimeField(null=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["section", "issuer_key", "serial"],
                condition=models.Q(status__in=["active", "provisional"]),
                name="one_active_card_per_section",
            ),
        ]
        indexes = [
            models.Index(fields=["fingerprint", "section"], name="registeredcard_by_fingerprint"),
            # Every step of 登録 asks for this certificate in whatever state; the index of the constraint knows living ones.
            models.Index(fields=["section", "issuer_key", "serial"], name="registeredcard_by_certificate"),
            # 「確認待ち」 stands on the start page of the staff, among however many cards that wait for nothing.
            models.Index(fields=["status", "registered_at"], name="registeredcard_by_status"),
        ]

    @property
    def company_id(self) -> str:
        """Return the 企業ID of the card's company, without reading the company."""
        return company_id(self.section.agency.code, self.section.category, self.registration_id)

    @property
    def standing(self) -> str:
        """Return what decides whether the card may act: its status, or HALTED while only its company is stopped."""
        halted = self.status == CardStatus.ACTIVE and self.registration.halted_at is not None
        return HALTED if halted else self.status


class DraftKind(models.TextChoices):
    REGISTRATION = "registration", "登録"
    CHANGE = "change", "変更"


class Draft(models.Model):
    """What a person has typed so far: of the card, not of the session, so that nothing is lost when that ends."""

    id = models.UUIDField(primary_key=True)
    kind = models.CharField(max_length=12, choices=DraftKind.choices, default=DraftKind.REGISTRATION)
    fingerprint = models.CharField(max_length=64)
    section: models.ForeignKey[Section, Section] = models.ForeignKey("agencies.Section", on_delete=models.CASCADE)
    supplier: models.ForeignKey[Supplier, Supplier] = models.ForeignKey("suppliers.Supplier", on_delete=models.CASCADE)
    typed = models.JSONField(default=dict)
    # The exact document that 「登録内容確認」 showed and the card is asked to sign; "" until then.
    document = models.TextField(blank=True)
    # 変更: which state of the registration the form was filled from ("1-0": the company's changes, the card's).
    based_on = models.CharField(max_length=24, blank=True)
    updated_at = models.DateTimeField()

    class Meta:
        constraints = [models.UniqueConstraint(fields=["fingerprint", "section", "kind"], name="one_draft_per_card")]


class EventKind(models.TextChoices):
    CHANGED = "changed", "利用者変更"
    RENEWED = "renewed", "ICカード更新"
    ADDRESS_VERIFIED = "address_verified", "メールアドレスの確認"
    CLOSED = "closed", "使用停止"
    REOPENED = "reopened", "使用停止の解除"
    APPROVED = "approved", "受理"
    REJECTED = "rejected", "不受理"
    HALTED = "halted", "利用停止"
    RESUMED = "resumed", "利用停止の解除"


# What was signed or decided after 登録 and is in the ledger, and is not a card's own row as well; in the order of the reports.
DEEDS = (
    EventKind.CHANGED,
    EventKind.APPROVED,
    EventKind.REJECTED,
    EventKind.CLOSED,
    EventKind.REOPENED,
    EventKind.HALTED,
    EventKind.RESUMED,
)


class Event(models.Model):
    """One thing that happened to a registration after 登録: who did what when, with which card, from what to what."""

    id = models.UUIDField(primary_key=True)
    registration = models.ForeignKey(Registration, on_delete=models.PROTECT, related_name="events")
    kind = models.CharField(max_length=16, choices=EventKind.choices)
    # The card that did it (更新: the new one), or the one that staff decided about; null for the company as a whole.
    card: models.ForeignKey[RegisteredCard | None, RegisteredCard | None] = models.ForeignKey(
        RegisteredCard, on_delete=models.PROTECT, null=True, related_name="events"
    )
    person_in_charge = models.TextField(blank=True)
    # Which member of staff did it; "" when the company did.
    staff = models.CharField(max_length=100, blank=True)
    reason = models.CharField(max_length=400, blank=True)
    # The items that became others, by their names on the screen: [[name, before, after], …].
    changes = models.JSONField(default=list)
    # The document that the card signed, as the ledger has it; "" where no card signed.
    document = models.TextField(blank=True)
    ledger_entry = models.UUIDField(null=True)
    receipt = models.TextField(blank=True)
    # The draft or the renewal that became this, so that the same one never does so twice.
    draft = models.UUIDField(unique=True, null=True)
    at = models.DateTimeField()

    class Meta:
        indexes = [models.Index(fields=["registration", "at"], name="event_of_registration")]


class UnverifiedAddress(models.Model):
    """A mail address that 変更 brought, and that counts when its owner has typed the code that was sent there."""

    id = models.BigAutoField(primary_key=True)
    registration = models.ForeignKey(Registration, on_delete=models.CASCADE, related_name="unverified")
    # The card of whose ICカード利用部署情報 it is; null for 代表窓口情報.
    card = models.ForeignKey(RegisteredCard, on_delete=models.CASCADE, null=True, related_name="unverified")
    address = models.CharField(max_length=100)
    # SHA-256 of the row's owner and the code: six digits are no secret to who can read the table, but no plain text either.
    code_sha256 = models.CharField(max_length=64)
    tries_left = models.PositiveSmallIntegerField(default=5)
    sent = models.PositiveSmallIntegerField(default=1)
    sent_at = models.DateTimeField()
    expires_at = models.DateTimeField()

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["registration"], condition=models.Q(card__isnull=True), name="one_unverified_of_company"
            ),
            models.UniqueConstraint(fields=["card"], name="one_unverified_of_card"),
        ]


class Renewal(models.Model):
    """One ICカード更新 on its way, from the first message to the last signature; good once, for fifteen minutes."""

    id = models.UUIDField(primary_key=True)
    section: models.ForeignKey[Section, Section] = models.ForeignKey("agencies.Section", on_delete=models.CASCADE)
    # SHA-256 of the browser's cookie: only the browser that began it goes on with it.
    browser_sha256 = models.CharField(max_length=64)
    old_card = models.ForeignKey(RegisteredCard, on_delete=models.CASCADE, null=True, related_name="renewals")
    handover = models.TextField(blank=True)
    new_certificate = models.BinaryField(default=bytes)
    # The exact document that the card agent shows and the new card is asked to sign; "" until both cards were judged.
    document = models.TextField(blank=True)
    doubts = models.JSONField(default=list)
    begun_at = models.DateTimeField()

    class Meta:
        indexes = [models.Index(fields=["begun_at"], name="renewal_begun")]


class Attempt(models.Model):
    """How often a card or an address has tried the look-up within one hour."""

    subject = models.CharField(max_length=80)
    hour = models.DateTimeField()
    tries = models.PositiveIntegerField()

    class Meta:
        constraints = [models.UniqueConstraint(fields=["subject", "hour"], name="one_count_per_hour")]


class RefusedTry(models.Model):
    """How often something that was sent was refused for one reason on one day (of Japan), and nothing else about it."""

    on = models.DateField()
    code = models.CharField(max_length=5)
    # 調達機関 and 区分, as the first five digits of its 企業ID; "" for pages that belong to no section.
    place = models.CharField(max_length=5, blank=True)
    tries = models.PositiveIntegerField()

    class Meta:
        constraints = [models.UniqueConstraint(fields=["on", "code", "place"], name="one_count_of_refusals_per_day")]
