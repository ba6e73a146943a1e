"""Which columns of the model a file's columns fill, how a cell is read for each, and how long it may be."""

from __future__ import annotations

from collections.abc import Callable

from irefuda.suppliers.register_files import cells
from irefuda.suppliers.register_files.fields import Field

Reading = tuple[str, Callable[[str, Field, int], str], int]

TEXTS: dict[Field, Reading] = {
    Field.CORPORATE_NUMBER: ("corporate_number", cells.read_corporate_number, 13),
    Field.NAME: ("name", cells.read_text, 100),
    Field.NAME_KANA: ("name_kana", cells.read_text, 100),
    Field.REPRESENTATIVE: ("representative", cells.read_text, 120),
    Field.REPRESENTATIVE_TITLE: ("representative_title", cells.read_text, 60),
    Field.REPRESENTATIVE_NAME: ("representative_name", cells.read_text, 60),
    Field.POSTAL_CODE: ("postal_code", cells.read_postal_code, 8),
    Field.ADDRESS: ("address", cells.read_text, 120),
    Field.PHONE: ("phone", cells.read_phone, 20),
    Field.FAX: ("fax", cells.read_phone, 20),
    Field.BRANCH_NAME: ("branch_name", cells.read_text, 60),
    Field.AREA: ("area", cells.read_text, 20),
    Field.VALID_FROM: ("valid_from", cells.read_day, 10),
    Field.VALID_UNTIL: ("valid_until", cells.read_day, 10),
    Field.STATUS: ("status", cells.read_standing, 9),
    Field.SUSPENDED_FROM: ("suspended_from", cells.read_day, 10),
    Field.SUSPENDED_UNTIL: ("suspended_until", cells.read_day, 10),
}
# The keys of the model's `delegate`.
DELEGATE: dict[Field, Reading] = {
    Field.DELEGATE_NAME: ("name", cells.read_text, 60),
    Field.DELEGATE: ("both", cells.read_text, 120),
    Field.DELEGATE_TITLE: ("title", cells.read_text, 60),
    Field.DELEGATE_PERSON: ("person", cells.read_text, 60),
    Field.DELEGATE_POSTAL_CODE: ("postal_code", cells.read_postal_code, 8),
    Field.DELEGATE_ADDRESS: ("address", cells.read_text, 120),
    Field.DELEGATE_PHONE: ("phone", cells.read_phone, 20),
    Field.DELEGATE_FAX: ("fax", cells.read_phone, 20),
}
PERIODS = {
    Field.VALID_PERIOD: ("valid_from", "valid_until"),
    Field.SUSPENDED_PERIOD: ("suspended_from", "suspended_until"),
}
DAYS = frozenset({"valid_from", "valid_until", "suspended_from", "suspended_until"})
# How the report names a column of the model.
NAMES = {column: said.value for said, (column, _, _) in TEXTS.items()} | {
    "delegate": "委任先",
    "qualifications": "資格の種類",
    "trades": "業種・品目",
}
# How a key of the model's `delegate` is named.
DELEGATE_NAMES = {key: said.value for said, (key, _, _) in DELEGATE.items() if key != "both"}
