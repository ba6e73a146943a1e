"""The column mapping as a file: a JSON object of labels and the words of `Field`."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

from irefuda.suppliers.register_files import fields
from irefuda.suppliers.register_files.fields import Field
from irefuda_core.refusal import Refused, refusal

LARGEST_MAPPING = 256 * 1024


def read_mapping(path: Path) -> dict[str, Field]:
    """Return what a mapping file says.

    :raises Refused: F-500, F-513
    """
    try:
        with path.open("rb") as source:
            written = source.read(LARGEST_MAPPING + 1)
    except OSError as reason:
        raise Refused(refusal("F-500", file=path.name)) from reason
    if len(written) > LARGEST_MAPPING:
        raise Refused(refusal("F-513", reason="大きすぎます"))
    try:
        said = json.loads(written.decode("utf-8-sig"), object_pairs_hook=_without_doubles)
    except _Doubled as reason:
        raise Refused(refusal("F-513", reason=f"「{reason}」が二度出てきます")) from None
    except (ValueError, RecursionError) as reason:
        raise Refused(refusal("F-513", reason="UTF-8のJSONではありません")) from reason
    if not isinstance(said, dict) or not all(isinstance(word, str) for word in said.values()):
        raise Refused(refusal("F-513", reason='{"列の見出し": "項目", …} の形ではありません'))
    return recognise(said)


def recognise(said: Mapping[str, str]) -> dict[str, Field]:
    """Return a mapping in the words of `Field`.

    :raises Refused: F-513 for 「？」 and for a word that is no field
    """
    known = {fields.key(field.value): field for field in Field}
    recognised = {}
    for label, word in said.items():
        if (field := known.get(fields.key(word))) is None:
            wrong = "がまだ「？」です" if word.strip() in (fields.UNKNOWN, "?", "") else f"の項目「{word}」はありません"
            raise Refused(refusal("F-513", reason=f"「{label}」{wrong}"))
        recognised[label] = field
    return recognised


class _Doubled(Exception):
    pass


def _without_doubles(pairs: list[tuple[str, object]]) -> dict[str, object]:
    made: dict[str, object] = {}
    for label, value in pairs:
        if label in made:
            raise _Doubled(label)
        made[label] = value
    return made
