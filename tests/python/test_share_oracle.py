"""The oracle of shares, pinned by examples that were worked out by hand (rules 39 and 40), and by its own sums."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from share_oracle import running_differences, shares, whole_units

AMOUNTS = st.integers(min_value=-(10**24), max_value=10**24)
CREDITS = st.lists(st.integers(min_value=-(10**18), max_value=10**18).filter(bool), min_size=1, max_size=6)


def test_rule_39_shares_by_hand() -> None:
    assert shares(1000, [1, 1, 1]) == [333, 333, 334]
    # Cut towards zero: a reversal is the opposite, whether the credits are negative as well or not.
    assert shares(-1000, [1, 1, 1]) == shares(-1000, [-1, -1, -1]) == [-333, -333, -334]
    # A hundredth of 200 credits is shared by signed credits, less than that by absolute ones.
    assert shares(20, [101, -99]) == [1010, -990]
    assert shares(20, [101, -100]) == [10, 10]
    assert shares(31, [2, -2]) == [15, 16]


def test_rule_39_whole_units_by_hand() -> None:
    assert whole_units(9, {"a": [5], "b": [3], "c": [1, 1]}) == {"a": 4, "b": 3, "c": 2}
    assert whole_units(-100, {"a": [1], "b": [1], "c": [1]}) == {"a": -34, "b": -33, "c": -33}
    # 7.5 and -2.5 are cut down to 7 and -3.
    assert whole_units(5, {"a": [3], "b": [-1]}) == {"a": 8, "b": -3}
    assert whole_units(3, {"a": [-2], "b": [2]}) == {"a": 2, "b": 1}
    assert whole_units(900, {None: []}) == {None: 900}


def test_rule_40_even_parts_by_hand() -> None:
    assert running_differences(100, [1, 1, 1]) == [33, 33, 34]
    assert running_differences(-28, [1] * 28) == [-1] * 28


@given(AMOUNTS, CREDITS)
def test_rule_39_shares_sum_to_the_amount_and_none_is_out_of_all_proportion(amount: int, credits: list[int]) -> None:
    parts = shares(amount, credits)
    assert sum(parts) == amount
    assert all(abs(part) <= abs(amount) * 100 + 1 for part in parts)
    assert shares(-amount, credits) == [-part for part in parts]


@given(AMOUNTS, CREDITS)
def test_rule_39_whole_units_sum_to_the_amount_and_are_within_one_of_their_shares(
    amount: int, credits: list[int]
) -> None:
    units = whole_units(amount, {number: [own] for number, own in enumerate(credits)})
    assert sum(units.values()) == amount
    # A share is cut twice at most, by less than a unit each time.
    assert all(abs(units[number] - part) <= 2 for number, part in enumerate(shares(amount, credits)))
