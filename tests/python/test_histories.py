"""Random histories, and what must hold after every step of any of them, by the oracle itself."""

from __future__ import annotations

import csv
from collections import defaultdict
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import billing_oracle
import histories
from billing_oracle import Ledger, Line, Prices
from histories import Outcome, Step
from oracle import nano

SEEDS = range(300)


def sums(lines: Iterable[Line]) -> dict[tuple[str, str, str], tuple[int, int]]:
    """Credits and amounts by user, service period and currency; what is nothing is left out."""
    credits: dict[tuple[str, str, str], int] = defaultdict(int)
    amounts: dict[tuple[str, str, str], int] = defaultdict(int)
    for line in lines:
        key = line.key.external_user_id, line.key.service_period, line.key.currency
        credits[key] += line.quantity_credits
        amounts[key] += line.amount_minor
    return {key: (credits[key], amounts[key]) for key in credits if credits[key] or amounts[key]}


def check(outcome: Outcome) -> None:
    """All that must hold after a step."""
    step, parts, before, billing, after = outcome
    assert billing_oracle.faults(step.state.prices, parts, before) == set()

    # Rule 27: ledger and open lines are what today's knowledge comes to.
    assert sums(before.lines + billing.lines) == sums(billing.recomputed[0])

    # Rule 29: a line's pieces sum to its quantity; those of a session's day to its credits today.
    pieces = before.pieces + billing.pieces
    by_line: dict[Any, int] = defaultdict(int)
    by_day: dict[Any, int] = defaultdict(int)
    for piece in pieces:
        assert piece.credits != 0
        by_line[piece.line] += piece.credits
        by_day[piece.line.external_user_id, piece.session_id, piece.usage_date] += piece.credits
    lines = billing_oracle.fct_invoice_lines(before, billing)
    billing_oracle.fct_invoice_line_usage(before, billing)
    assert {key: row["quantity_credits"] for key, row in lines.items()} == {key: by_line[key] for key in lines}
    assert set(by_line) == set(lines) & set(by_line)
    first = billing.first_billing_period
    assert {key: credits for key, credits in by_day.items() if credits != 0} == {
        (part.external_user_id, part.session_id, part.usage_date): part.nano_credits
        for part in parts
        if billing_oracle.is_billed(part) and first is not None and part.usage_date[:7] >= first
    }

    # Rule 23: only adjustments are below zero; what is closed stays; closing freezes what was shown.
    assert all(
        line.amount_minor >= 0 <= line.quantity_credits or key_type(line) == "adjustment" for line in lines_of(outcome)
    )
    assert (after.lines, after.pieces)[0][: len(before.lines)] == before.lines
    assert after.pieces[: len(before.pieces)] == before.pieces
    if after is not before:
        shown = [line for line in billing.lines if line.key.invoice_period == billing.first_open_period]
        assert list(after.lines[len(before.lines) :]) == shown

    # Rule 28: nothing new after a close adjusts nothing.
    again = billing_oracle.invoice(step.state.prices, parts, after)
    assert after is before or not [line for line in again.lines if key_type(line) == "adjustment"]

    # Rules 30 and 31, and the totals: drift is adjusted; every mart adds up to the lines.
    for (user, service_period, currency), row in billing_oracle.price_drift(parts, before, billing).items():
        key = billing_oracle.LineKey(user, str(billing.first_open_period), service_period, "adjustment", currency)
        assert lines[key]["amount_minor"] == row["difference_minor"] != 0
    total = sum(line.amount_minor for line in lines_of(outcome))
    for mart in (billing_oracle.invoices(before, billing), billing_oracle.margin(before, billing)):
        assert sum(row["amount_minor"] for row in mart.values()) == total
    credits = sum(row["credits"] for row in billing_oracle.margin(before, billing).values())
    unbilled = sum(row["credits"] for row in billing_oracle.unbilled(parts, billing).values())
    assert credits + unbilled == sum(part.nano_credits for part in parts)


def key_type(line: Line) -> str:
    return line.key.line_type


def lines_of(outcome: Outcome) -> tuple[Line, ...]:
    return outcome.before.lines + outcome.billing.lines


@pytest.mark.parametrize("first_period", ["", None])
def test_rules_23_to_31_hold_after_every_step(first_period: str | None) -> None:
    seen: dict[str, int] = defaultdict(int)
    for seed in SEEDS:
        schedule = histories.make_schedule(seed, 6, first_billing_period=first_period)
        for outcome in histories.replay(histories.make_history(seed, schedule, users=1 + seed % 3)):
            check(outcome)
            seen["closes"] += outcome.after is not outcome.before
            seen["drift"] += len(billing_oracle.price_drift(outcome.parts, outcome.before, outcome.billing))
            seen["credit"] += sum(
                row["is_credit"] for row in billing_oracle.invoices(outcome.before, outcome.billing).values()
            )
            for line in outcome.billing.lines:
                seen[key_type(line)] += 1
                seen["nothing but pieces"] += line.quantity_credits == 0 == line.amount_minor
                seen["only credits"] += (
                    key_type(line) == "adjustment" and line.quantity_credits != 0 == line.amount_minor
                )
            for _, reason in billing_oracle.unbilled(outcome.parts, outcome.billing):
                seen[reason] += 1
    kinds = {"closes", "drift", "credit", "fee", "included", "usage", "minimum", "adjustment", "unattributed"}
    assert all(seen[kind] > 100 for kind in kinds | {"only credits"}), dict(seen)
    assert seen["nothing but pieces"] > 5, dict(seen)
    assert seen["before_first_period"] > 100


@given(histories.histories())
@settings(max_examples=100, deadline=None)
def test_any_history_holds(history: tuple[Step, ...]) -> None:
    for outcome in histories.replay(history):
        check(outcome)


@given(st.integers(0, 2**32))
@settings(max_examples=60, deadline=None)
def test_rule_28_a_reversal_adds_the_exact_opposite(seed: int) -> None:
    """Known A, closed; B, closed; A again: what B adjusted of the periods closed under A is taken back."""
    schedule = histories.make_schedule(seed % 50, 3)
    known = [step.state for step in histories.make_history(seed, schedule, changes=8)]
    ledger = Ledger()
    first = billing_oracle.billing_periods(known[0].prices, [], ledger)[1]
    assert first is not None
    added: list[dict[Any, tuple[int, int]]] = []
    period = first
    for state in (known[0], known[1], known[0]):
        parts = histories.session_day_parts(state)
        billing = billing_oracle.invoice(state.prices, parts, ledger)
        lines = [line for line in billing.lines if line.key.service_period == first]
        pieces = [piece for piece in billing.pieces if piece.line.service_period == first]
        sizes = {line.key._replace(invoice_period=""): (line.quantity_credits, line.amount_minor) for line in lines}
        shares = {(p.line._replace(invoice_period=""), *p[1:3]): (p.credits, 0) for p in pieces}
        added.append({**sizes, **shares})
        ledger = billing_oracle.close(ledger, period, state.prices, parts)
        period = billing_oracle.next_period(period)
    _, changed, reverted = added
    assert reverted == {key: (-quantity, -amount) for key, (quantity, amount) in changed.items()}


def test_the_same_seed_gives_the_same_history_and_fewer_steps_its_beginning() -> None:
    longer = histories.make_history(7, histories.make_schedule(3, 6))
    assert histories.make_history(7, histories.make_schedule(3, 6)) == longer
    assert histories.make_history(7, histories.make_schedule(3, 2)) == longer[:2]


def test_merged_histories_are_each_their_own() -> None:
    """What one history is invoiced does not depend on the others, but for later open periods with credits."""
    schedule = histories.make_schedule(5, 6)
    single = [histories.make_history(seed, schedule, seed) for seed in range(40)]
    merged = list(histories.replay(histories.merge(single)))
    for outcome in merged:
        check(outcome)
    for number, history in enumerate(single):
        for alone, together in zip(histories.replay(history), merged, strict=True):
            own = [line for line in lines_of(together) if line.key.external_user_id.startswith(f"{number:04d}")]
            last = alone.billing.last_period or ""
            assert sorted(map(str, lines_of(alone))) == sorted(
                str(line) for line in own if line.key.service_period <= last
            )


def test_seeds_are_written_exactly(tmp_path: Path) -> None:
    prices = histories.merged_history(1, 30)[-1].state.prices
    histories.write_seeds(prices, tmp_path)

    def read(name: str) -> list[list[str]]:
        with (tmp_path / f"{name}.csv").open(encoding="utf-8", newline="") as file:
            return list(csv.reader(file))

    assert read("plans") == [["plan_id", "plan_name", "currency"], *map(list, prices.plans)]
    header, *rows = read("plan_prices")
    assert header[:4] == ["plan_id", "valid_from", "valid_to", "monthly_fee"]
    assert header[4:] == ["included_credits", "minimum_charge", "tier_model"]
    assert [(row[0], row[1], row[2] or None, *map(nano, row[3:6]), row[6]) for row in rows] == list(prices.prices)
    header, *rows = read("plan_price_tiers")
    assert header == ["plan_id", "valid_from", "tier_from_credits", "unit_price"]
    assert [(row[0], row[1], nano(row[2]), nano(row[3])) for row in rows] == list(prices.tiers)
    header, *rows = read("user_plans")
    assert header == ["external_user_id", "plan_id", "valid_from", "valid_to"]
    assert [(*row[:3], row[3] or None) for row in rows] == list(prices.user_plans)
    assert read("currencies") == [["currency", "exponent"], *([row[0], str(row[1])] for row in prices.currencies)]
    histories.write_seeds(Prices(), tmp_path / "empty")
    assert (tmp_path / "empty" / "user_plans.csv").read_text() == "external_user_id,plan_id,valid_from,valid_to\n"


def test_decimals_are_plain_text() -> None:
    values = (0, 1, 10**9, 10**10, 1_500_000_000, 29_990_000_000, 10**18 - 1, -5_000_000)
    texts = ["0", "0.000000001", "1", "10", "1.5", "29.99", "999999999.999999999", "-0.005"]
    assert [histories.decimal_text(value) for value in values] == texts
