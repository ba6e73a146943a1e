"""Cells that a spreadsheet takes for what they are: text."""

from __future__ import annotations

# A Japanese spreadsheet takes the full-width signs for a formula as well.
FORMULA = (*"=+-@＝＋－＠", "\t", "\r")


def harmless(cell: str | int) -> str | int:
    """Return the cell, behind an apostrophe where a spreadsheet would compute it."""
    return f"'{cell}" if isinstance(cell, str) and cell.startswith(FORMULA) else cell
