"""登録業者名簿: who is qualified to bid in which section, as the city's own file says."""

from __future__ import annotations

from typing import TYPE_CHECKING

from django.db import models

if TYPE_CHECKING:
    from irefuda.agencies.models import Section


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


class RegisterState(models.Model):
    """The one row of a section that everything that changes its register writes first, so that two at once follow each other."""

    section = models.OneToOneField("agencies.Section", on_delete=models.PROTECT, related_name="register_state")
    revision = models.BigIntegerField(default=0)

    def __str__(self) -> str:
        return f"{self.section_id} {self.revision}"


class ImportState(models.TextChoices):
    ASKED = "asked", "列の対応の確認待ち"
    SHOWN = "shown", "差分の確認待ち"
    DONE = "done", "取り込み済み"


class RegisterImport(models.Model):
    """One file that was brought through the page: it waits for its last word for a day, and is a report afterwards."""

    # Given by the page, so that a form sent twice brings one file.
    id = models.UUIDField(primary_key=True)
    section: models.ForeignKey[Section, Section] = models.ForeignKey(
        "agencies.Section", on_delete=models.PROTECT, related_name="+"
    )
    state = models.CharField(max_length=5, choices=ImportState.choices)
    file_name = models.CharField(max_length=200)
    size = models.BigIntegerField()
    sha256 = models.CharField(max_length=64)
    sheet = models.CharField(max_length=100, blank=True)
    # What a person said the columns are, by label; {} while the proposal stands.
    given = models.JSONField(default=dict)
    # What the columns are taken for: [[label, word], …].
    columns = models.JSONField(default=list)
    # Why there is no difference to look at yet: [[line, code, sentence, remedy], …], the first of `problem_count`.
    problems = models.JSONField(default=list)
    problem_count = models.PositiveIntegerField(default=0)
    # What was read: kind of the file, rows, padded, as_above, mapping_from.
    facts = models.JSONField(default=dict)
    # How many companies are new, changed, returned, ended, unchanged; and how many with registered users are touched.
    counts = models.JSONField(default=dict)
    # How many companies the register had when the difference was made.
    listed_before = models.PositiveIntegerField(default=0)
    # SHA-256 of the difference: what is confirmed is what was shown.
    difference = models.CharField(max_length=64, blank=True)
    brought_by = models.CharField(max_length=60)
    brought_at = models.DateTimeField()
    expires_at = models.DateTimeField()
    # Of what was taken in: the act of the member of staff, who, why, when.
    act = models.UUIDField(null=True, unique=True)
    done_by = models.CharField(max_length=60, blank=True)
    reason = models.CharField(max_length=200, blank=True)
    done_at = models.DateTimeField(null=True)

    class Meta:
        indexes = [models.Index(fields=["section", "state", "-brought_at"], name="imports_of_section")]

    def __str__(self) -> str:
        return f"{self.file_name} {self.state}"


class ImportFilePart(models.Model):
    """A piece of a waiting file, so that no process holds the whole of it; gone with the last word or after a day."""

    owner = models.ForeignKey(RegisterImport, on_delete=models.CASCADE, related_name="parts")
    number = models.PositiveIntegerField()
    content = models.BinaryField()

    class Meta:
        constraints = [models.UniqueConstraint(fields=["owner", "number"], name="one_import_part_per_number")]

    def __str__(self) -> str:
        return f"{self.owner_id} {self.number}"


class ImportPage(models.Model):
    """Fifty changes of one kind, as a difference or a report shows them on one page."""

    owner = models.ForeignKey(RegisterImport, on_delete=models.CASCADE, related_name="pages")
    # One of suppliers.operations.KINDS, or "touched" for the companies with registered users.
    kind = models.CharField(max_length=9)
    number = models.PositiveIntegerField()
    # Dictionaries of a Change, in the order of the difference.
    changes = models.JSONField()

    class Meta:
        constraints = [models.UniqueConstraint(fields=["owner", "kind", "number"], name="one_import_page_per_number")]

    def __str__(self) -> str:
        return f"{self.owner_id} {self.kind} {self.number}"


class RegisterMark(models.Model):
    """A company with registered users was touched by a change of the register: staff look at it and settle the mark."""

    supplier = models.ForeignKey(Supplier, on_delete=models.PROTECT, related_name="marks")
    # Which notices the company got, by their kinds.
    told = models.JSONField()
    # The act that touched it.
    act = models.UUIDField()
    marked_at = models.DateTimeField()
    settled_at = models.DateTimeField(null=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["supplier"], condition=models.Q(settled_at__isnull=True), name="one_open_mark_per_supplier"
            )
        ]

    def __str__(self) -> str:
        return f"{self.supplier_id} {'、'.join(self.told)}"
