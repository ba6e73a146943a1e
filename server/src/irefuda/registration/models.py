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
    registered_at = models.DateTimeField()

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

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["section", "issuer_key", "serial"],
                condition=models.Q(status__in=["active", "provisional"]),
                name="one_active_card_per_section",
            ),
        ]
        indexes = [models.Index(fields=["fingerprint", "section"], name="registeredcard_by_fingerprint")]

    @property
    def company_id(self) -> str:
        """Return the 企業ID of the card's company, without reading the company."""
        return company_id(self.section.agency.code, self.section.category, self.registration_id)


class Draft(models.Model):
    """What a person has typed so far: of the card, not of the session, so that nothing is lost when that ends."""

    id = models.UUIDField(primary_key=True)
    fingerprint = models.CharField(max_length=64)
    section: models.ForeignKey[Section, Section] = models.ForeignKey("agencies.Section", on_delete=models.CASCADE)
    supplier: models.ForeignKey[Supplier, Supplier] = models.ForeignKey("suppliers.Supplier", on_delete=models.CASCADE)
    typed = models.JSONField(default=dict)
    # The exact document that 「登録内容確認」 showed and the card is asked to sign; "" until then.
    document = models.TextField(blank=True)
    updated_at = models.DateTimeField()

    class Meta:
        constraints = [models.UniqueConstraint(fields=["fingerprint", "section"], name="one_draft_per_card")]


class Attempt(models.Model):
    """How often a card or an address has tried the look-up within one hour."""

    subject = models.CharField(max_length=80)
    hour = models.DateTimeField()
    tries = models.PositiveIntegerField()

    class Meta:
        constraints = [models.UniqueConstraint(fields=["subject", "hour"], name="one_count_per_hour")]
