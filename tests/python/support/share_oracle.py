"""How money is shared (rule 39), worked out with exact fractions: the second opinion of `macros/split.sql`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from fractions import Fraction
from itertools import pairwise
from math import floor, trunc
from typing import Any


def weights_of(credits: Sequence[int]) -> list[int]:
    """By what usage takes part: its credits; its absolute ones where its sum is less than a hundredth of theirs."""
    absolute = [abs(amount) for amount in credits]
    return absolute if abs(sum(credits)) * 100 < sum(absolute) else list(credits)


def shares(amount: int, credits: Sequence[int]) -> list[int]:
    """Rule 39: an amount shared among usage in its order, by running difference, cut towards zero."""
    weights = weights_of(credits)
    return running_differences(amount, weights)


def running_differences(amount: int, weights: Sequence[int]) -> list[int]:
    """What each weight brings an amount to, less what the one before did."""
    figures = [0]
    for count in range(1, len(weights) + 1):
        figures.append(trunc(Fraction(amount * sum(weights[:count]), sum(weights))))
    return [after - before for before, after in pairwise(figures)]


def whole_units(amount: int, credits: Mapping[Any, Sequence[int]]) -> dict[Any, int]:
    """Rule 39: whole minor units for each group of usage, by largest remainder; ties by the order of the groups.

    The groups are given in their order. Of a negative amount the opposite is shared.
    """
    if not any(credits.values()):
        return dict.fromkeys(credits, amount)
    flat = [amount for group in credits.values() for amount in group]
    by_absolute = weights_of(flat) != flat
    weights = {key: sum(map(abs, group)) if by_absolute else sum(group) for key, group in credits.items()}
    exact = {key: Fraction(abs(amount) * weight, sum(weights.values())) for key, weight in weights.items()}
    units = {key: floor(share) for key, share in exact.items()}
    # Sorting keeps the order of groups with equal remainders.
    by_remainder = sorted(exact, key=lambda key: units[key] - exact[key])
    for key in by_remainder[: abs(amount) - sum(units.values())]:
        units[key] += 1
    return {key: -unit if amount < 0 else unit for key, unit in units.items()}
