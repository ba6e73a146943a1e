"""登録業者名簿: who is qualified to bid in which section, as the city's own file says."""

from __future__ import annotations

from django.db import models


class SupplierStatus(models.TextChoices):
    ACTIVE = "active", "有効"
    SUSPENDED = "suspended", "指名停止中"
    ENDED = "ended", "終了"


class Supplier(models.Model):
    """One line of the register of one section. Lines are never deleted: who drops out of the register is ended."""

    section = models.ForeignKey("agencies.Section", on_delete=models.PROTECT, related_name="suppliers")
    # Nine characters of text: leading zeros belong to the number.
    supplier_number = models.CharField(max_length=9)
    # 法人番号, 13 digits; a sole proprietor has none.
    corporate_number = models.CharField(max_length=13, blank=True)
    name = models.CharField(max_length=100)
    name_kana = models.CharField(max_length=100, blank=True)
    representative_title = models.CharField(max_length=60, blank=True)
    representative_name = models.CharField(max_length=60, blank=True)
    postal_code = models.CharField(max_length=8, blank=True)
    address = models.CharField(max_length=120, blank=True)
    phone = models.CharField(max_length=20, blank=True)
    fax = models.CharField(max_length=20, blank=True)
    branch_name = models.CharField(max_length=60, blank=True)
    # 受任者 by name: name, title, person, postal_code, address, phone, fax; {} when the head office bids itself.
    delegate = models.JSONField(default=dict, blank=True)
    # 資格 of 物品・役務 by kind, such as {"物品の製造": "A"}; {} for works.
    qualifications = models.JSONField(default=dict, blank=True)
    # 業種・品目: [{"name": "土木一式", "grade": "A"}, …].
    trades = models.JSONField(default=list, blank=True)
    # 市内, 準市内, 県内, 県外 as the city words it.
    area = models.CharField(max_length=20, blank=True)
    valid_from = models.DateField(null=True, blank=True)
    valid_until = models.DateField(null=True, blank=True)
    status = models.CharField(max_length=9, choices=SupplierStatus.choices, default=SupplierStatus.ACTIVE)
    suspended_from = models.DateField(null=True, blank=True)
    suspended_until = models.DateField(null=True, blank=True)
    # Of agencies that hand out a ユーザID for 資格審査情報検索; the password as an argon2 hash.
    login_id = models.CharField(max_length=40, blank=True)
    login_password = models.CharField(max_length=200, blank=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["section", "supplier_number"], name="one_supplier_per_number"),
            models.CheckConstraint(
                condition=models.Q(supplier_number__regex=r"^[0-9A-Z]{9}$"), name="supplier_number_nine_characters"
            ),
            models.CheckConstraint(condition=models.Q(status__in=SupplierStatus.values), name="supplier_status_known"),
            models.CheckConstraint(condition=~models.Q(name=""), name="supplier_has_a_name"),
        ]

    def __str__(self) -> str:
        return f"{self.supplier_number} {self.name}"


class ColumnMapping(models.Model):
    """Which column of a section's file is what, as the last import used it."""

    section = models.OneToOneField("agencies.Section", on_delete=models.PROTECT, related_name="column_mapping")
    # The labels of the header that this mapping was made for: a file with other columns is asked about again.
    header = models.JSONField()
    mapping = models.JSONField()
    remembered_at = models.DateTimeField()

    def __str__(self) -> str:
        return f"{self.section_id} {self.remembered_at:%Y-%m-%d}"
