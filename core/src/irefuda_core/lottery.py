"""電子くじ: the draw between equal bids, as the core systems of Japanese cities compute it.

Each of n equal bidders has a くじ入力番号 (chosen by the bidder, 000–999) and a くじ番号 (given by the system at
receipt: the last three digits of the second of arrival, counted from 1970-01-01 GMT). In order of arrival, from 0:
ticket = (くじ入力番号 + くじ番号) mod 1000, and the winner's place is the sum of all tickets mod n.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

NUMBERS = 1000


@dataclass(frozen=True, slots=True)
class Lot:
    """One bidder's pair of numbers."""

    chosen: int
    given: int

    def __post_init__(self) -> None:
        if not (0 <= self.chosen < NUMBERS and 0 <= self.given < NUMBERS):
            raise ValueError("a lot is made of two numbers from 0 to 999")

    @property
    def ticket(self) -> int:
        """The number that enters the sum: the last three digits of chosen + given."""
        return (self.chosen + self.given) % NUMBERS


@dataclass(frozen=True, slots=True)
class Draw:
    """A finished draw, every figure of it; `order` lists places of arrival, the winner first."""

    lots: tuple[Lot, ...]
    total: int
    remainder: int
    order: tuple[int, ...]


def given_number(arrival_second: int) -> int:
    """Return the くじ番号 of a bid that arrived at this second of Unix time."""
    return arrival_second % NUMBERS


def draw(lots: Sequence[Lot]) -> Draw:
    """Return the draw between `lots`, given in order of arrival: the winner, then the next arrivals, wrapping round.

    :raises ValueError: with fewer than two lots there is nothing to draw
    """
    count = len(lots)
    if count < 2:
        raise ValueError("a draw is between two or more equal bids")
    total = sum(lot.ticket for lot in lots)
    remainder = total % count
    order = tuple((remainder + step) % count for step in range(count))
    return Draw(lots=tuple(lots), total=total, remainder=remainder, order=order)
