"""電子くじ: worked examples that cities publish, and what holds for every draw."""

from datetime import datetime
from zoneinfo import ZoneInfo

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from irefuda_core.lottery import Draw, Lot, draw, given_number

NUMBER = st.integers(0, 999)
LOTS = st.lists(st.builds(Lot, NUMBER, NUMBER), min_size=2, max_size=30)
JST = ZoneInfo("Asia/Tokyo")


def drawn(*pairs: tuple[int, int]) -> Draw:
    return draw([Lot(chosen, number) for chosen, number in pairs])


def test_core_standard_example_with_arrival_seconds() -> None:
    arrivals = [datetime(2005, 3, 1, 11, 30, 10), datetime(2005, 3, 5, 14, 20, 40), datetime(2005, 3, 14, 16, 48)]
    numbers = [given_number(int(arrival.replace(tzinfo=JST).timestamp())) for arrival in arrivals]
    assert numbers == [210, 40, 480]
    result = drawn((418, numbers[0]), (210, numbers[1]), (861, numbers[2]))
    assert [lot.ticket for lot in result.lots] == [628, 250, 341]
    assert (result.total, result.remainder, result.order) == (1219, 1, (1, 2, 0))


@pytest.mark.parametrize(
    ("pairs", "total", "winner"),
    [
        ([(343, 123), (887, 550), (909, 332), (776, 5)], 1925, 1),  # Tokushima's published example
        ([(123, 254), (456, 593), (789, 618)], 833, 2),  # Kagawa's
        ([(42, 0), (102, 0), (248, 0)], 392, 2),  # Yamaguchi's, without a system number
        ([(122, 0), (691, 0)], 813, 1),  # e-harp's
        ([(662, 0), (445, 0), (568, 0)], 1675, 1),
        ([(755, 0), (242, 0), (482, 0), (176, 0)], 1655, 3),  # Ashiya's
        ([(644, 0), (560, 0), (519, 0), (416, 0), (826, 0), (591, 0)], 3556, 4),
    ],
)
def test_published_examples(pairs: list[tuple[int, int]], total: int, winner: int) -> None:
    result = drawn(*pairs)
    assert (result.total, result.order[0]) == (total, winner)


def test_second_place_is_the_next_arrival_wrapping_round() -> None:
    assert drawn((644, 0), (560, 0), (519, 0), (416, 0), (826, 0), (591, 0)).order == (4, 5, 0, 1, 2, 3)


@given(LOTS)
def test_everyone_gets_exactly_one_rank(lots: list[Lot]) -> None:
    assert sorted(draw(lots).order) == list(range(len(lots)))


@given(LOTS, st.data())
def test_any_single_bidder_can_move_the_draw_to_any_place(lots: list[Lot], data: st.DataObject) -> None:
    place = data.draw(st.integers(0, len(lots) - 1))
    assume(lots[place].given + len(lots) <= 1000)  # beyond, the ticket starts again from 000
    before, after = lots[:place], lots[place + 1 :]
    reached = {draw([*before, Lot(chosen, lots[place].given), *after]).remainder for chosen in range(len(lots))}
    assert reached == set(range(len(lots)))


@pytest.mark.parametrize("pair", [(-1, 0), (1000, 0), (0, -1), (0, 1000)])
def test_a_number_outside_three_digits_is_no_lot(pair: tuple[int, int]) -> None:
    with pytest.raises(ValueError, match="0 to 999"):
        Lot(*pair)


def test_one_bid_needs_no_draw() -> None:
    with pytest.raises(ValueError, match="two or more"):
        drawn((1, 2))
