"""Thousands of billing histories on the pricing and ledger SQL, against the oracle (rules 18 to 31).

After each step, every billing mart equals the oracle's, cell by cell; so does it after each close, and what was closed
is never touched again. Rules 27 and 29 are stated once more on the marts themselves.
"""

from __future__ import annotations

import random
from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import billing_oracle
import histories
from billing_oracle import Ledger
from billing_path import billing_differences, broken_invariants, expected_billing, read_billing
from billing_sql import BillingWarehouse, CompiledModels, compiled_models
from histories import Step
from reason_oracle import Record, reason_differences


@pytest.fixture(scope="module")
def models() -> CompiledModels:
    """The models as dbt compiles them."""
    return compiled_models()


def check_history(models: CompiledModels, steps: Sequence[Step], folder: Path) -> None:
    """Replay a history on the SQL and in the oracle, and compare at every step."""
    warehouse = BillingWarehouse(models)
    frozen: list[tuple[object, ...]] = []
    record, step_of_load = Record(), {step: step for step in range(len(steps))}
    for number, outcome in enumerate(histories.replay(steps)):
        prices = outcome.step.state.prices
        state = outcome.step.state
        record.read(state)
        warehouse.build(prices, outcome.parts, folder, record)
        marts = read_billing(warehouse.rows)
        expected = expected_billing(state, outcome.parts, outcome.before, outcome.billing)
        told = billing_differences(expected, marts) + broken_invariants(marts, outcome.parts, outcome.billing)
        told += reason_differences(record, outcome.before, outcome.billing, outcome.parts, marts, step_of_load)
        assert not told, (f"step {number}", *told[:8])
        assert read_ledger(warehouse) == frozen, "closed lines or pieces changed"
        if outcome.after != outcome.before:
            period = outcome.billing.first_open_period
            assert period is not None
            warehouse.close(period, record.step)
            record.close(outcome.before, outcome.billing, outcome.parts)
            warehouse.build(prices, outcome.parts, folder, record)
            after = billing_oracle.invoice(prices, outcome.parts, outcome.after)
            expected = expected_billing(state, outcome.parts, outcome.after, after)
            marts = read_billing(warehouse.rows)
            told = billing_differences(expected, marts)
            told += reason_differences(record, outcome.after, after, outcome.parts, marts, step_of_load)
            assert not told, (f"step {number}, after closing {period}", *told[:8])
            frozen = read_ledger(warehouse)


def read_ledger(warehouse: BillingWarehouse) -> list[tuple[object, ...]]:
    """Every cell of the ledger."""
    execute = warehouse.connection.execute
    return [
        row
        for table in ("closed_periods", "closed_invoice_lines", "closed_line_usage")
        for row in execute(f"select * from ledger.{table} order by all").fetchall()
    ]


def merged(seed: int, count: int) -> Iterable[Step]:
    """So many histories as one."""
    return histories.merged_history(seed, count, steps=6)


def test_rule_27_hundreds_of_histories(models: CompiledModels, tmp_path: Path) -> None:
    """400 histories of six steps in one warehouse."""
    check_history(models, list(merged(1, 400)), tmp_path)


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(100, 112))
def test_rule_27_thousands_of_histories(models: CompiledModels, tmp_path: Path, seed: int) -> None:
    """Twelve times 1,000 histories."""
    check_history(models, list(merged(seed, 1000)), tmp_path)


@settings(
    max_examples=4, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture]
)
@given(steps=histories.histories(max_steps=6), is_first_period_set=st.booleans())
def test_rule_27_histories_that_shrink(
    models: CompiledModels, tmp_path: Path, steps: tuple[Step, ...], is_first_period_set: bool
) -> None:
    """Single histories of hypothesis's choosing, also without the variable for the first period."""
    if not is_first_period_set:
        steps = tuple(
            replace(step, state=replace(step.state, prices=replace(step.state.prices, first_billing_period=None)))
            for step in steps
        )
    check_history(models, steps, tmp_path)


@pytest.mark.parametrize("seed", [3, pytest.param(4, marks=pytest.mark.slow)])
def test_rule_18_price_lists_of_no_days_change_nothing(models: CompiledModels, tmp_path: Path, seed: int) -> None:
    """100 histories, with price lists that end on the day they begin: without tiers, or with another's."""
    rng = random.Random(seed)
    steps = []
    for step in merged(seed, 100):
        prices = step.state.prices
        rows = [row for row in prices.prices if rng.random() < 0.3]
        days = [rng.choice((row.valid_from, "2026-03-01", "2026-10-16")) for row in rows]
        none = [row._replace(valid_from=day, valid_to=day, tier_model="") for row, day in zip(rows, days, strict=True)]
        prices = replace(prices, prices=(*none, *prices.prices))
        steps.append(replace(step, state=replace(step.state, prices=prices)))
    check_history(models, steps, tmp_path)


@pytest.mark.parametrize("seed", range(6))
def test_rule_18_an_overlap_of_price_lists_names_user_and_day(
    models: CompiledModels, tmp_path: Path, seed: int
) -> None:
    """40 histories in which every other price list is in force on into the next ones'."""
    rng = random.Random(seed)
    state = list(merged(seed, 40))[-1].state
    rows = []
    for row in state.prices.prices:
        later = max(row.valid_to or "", rng.choice(("2026-03-05", "2026-10-16", "2027-02-01", "2031-01-01")))
        is_longer = row.valid_from < later and rng.random() < 0.5
        rows.append(row._replace(valid_to=rng.choice((None, later))) if is_longer else row)
    prices, parts = replace(state.prices, prices=tuple(rows)), histories.session_day_parts(state)
    told = BillingWarehouse(models).faults(prices, parts, tmp_path)
    overlaps = [row for row in told if row["error"] == "overlap" and row["message"].startswith("plan_prices.csv")]
    found = {(row["plan_id"], row["external_user_id"], row["day"]) for row in overlaps}
    assert found == billing_oracle.price_overlaps(prices, parts, Ledger())
    assert {user is None for _, user, _ in found} == {True, False}
    assert all(str(row["day"]) in row["message"] for row in overlaps)


FAULTS = {
    "a moved session is corrected": ("int_usage_changes", "or differences.has_two_users", ""),
    "what a later close knew is late": (
        "int_usage_changes",
        "order by closed_periods.billing_period desc",
        "order by 1",
    ),
    "an owner that became known is no move": (
        "int_usage_changes",
        "when today.is_owned_by_sandbox and",
        "when false and",
    ),
    "a change of owner comes with the session": ("int_usage_changes", "coalesce(owners.load_id, ", "coalesce(null, "),
    "credits in another currency are corrected": (
        "int_usage_changes",
        "day_nano_credits = 0",
        "day_nano_credits is null",
    ),
    "changed prices hide behind changed usage": ("int_adjustment_terms", "or effects.amount_minor <> 0", ""),
    "a plan that was adjusted before is compared with the first one": (
        "int_adjustment_terms",
        "arg_max_null(closed_lines.plan_days_key",
        "arg_min_null(closed_lines.plan_days_key",
    ),
    "days that late usage puts on the default plan are another plan": (
        "int_rerated_usage",
        "-adjustment_usage.nano_credits as nano_credits",
        "0 as nano_credits",
    ),
    "credit notes have a credit": ("fct_invoices", "when invoices.amount_minor < 0 then 0", "when false then 0"),
    "adjustments forget earlier adjustments": (
        "int_adjustments",
        "from closed_lines",
        "from closed_lines where line_type <> 'adjustment'",
    ),
    "the allowance is not prorated": (
        "int_rating_periods",
        "* days.day_count // periods.day_count as allowance_nano",
        "as allowance_nano",
    ),
    "money is cut, not rounded": ("int_rated_lines", "* 2 + (", "* 2 + 0 * ("),
    "a volume tier is reached above its edge": (
        "int_rated_lines",
        ">= tiers.tier_from_nano",
        "> tiers.tier_from_nano",
    ),
    "parts fill tiers by session alone": (
        "int_rated_line_usage",
        "order by session_days_with_plan.part_start_at_utc, session_days_with_plan.session_id",
        "order by session_days_with_plan.session_id",
    ),
    "shares of an adjustment are in another order": (
        "int_invoice_line_usage",
        "order by weighted.usage_date, weighted.session_id",
        "order by weighted.session_id",
    ),
    "shares follow the order of sessions": (
        "int_rated_line_usage",
        "order by session_days_with_plan.part_start_at_utc, session_days_with_plan.session_id",
        "order by session_days_with_plan.session_id",
    ),
    "every adjustment is shared by absolute credits": ("int_invoice_line_usage", "* 100 <", "* 0 <"),
    "a breakdown is by absolute credits": ("int_invoice_breakdown", "* 100 <", "* 0 <"),
    "units that are left go to the smallest remainders": (
        "int_invoice_breakdown",
        "floored.remainder desc",
        "floored.remainder",
    ),
    "equal remainders are in another order": (
        "int_invoice_breakdown",
        "floored.external_project_id asc",
        "floored.external_project_id desc",
    ),
    "an adjustment has the project of its closed line": (
        "int_adjustment_usage",
        "'today' as known_from",
        "'' as known_from",
    ),
    "the seconds of a cut part are not cut": ("int_rated_line_usage", "cut_parts.part_nano", "cut_parts.part_nano * 2"),
    "a fee is spread over its whole month": ("int_revenue_days", "lines_without_usage.service_day_mask,", "null,"),
    "the last day of a fee does not take the rest": (
        "int_revenue_days",
        "bit_count(lines_with_days.day_mask)::bigint as day_count",
        "bit_count(lines_with_days.day_mask)::bigint + 1 as day_count",
    ),
    "revenue of usage has no project": (
        "int_revenue_usage_days",
        "    line_usage.external_project_id,\n    line_usage.usage_date as",
        "    null::varchar as external_project_id,\n    line_usage.usage_date as",
    ),
    "adjustments make new users": ("int_invoices", "lines.line_type <> 'adjustment'", "true"),
    "a moved session adjusts nothing": ("int_adjustments", "or moved.external_user_id is not null", ""),
}
"""In words, and as a change of a compiled model."""


@pytest.mark.parametrize("fault", FAULTS)
def test_a_planted_fault_is_found(
    models: CompiledModels, tmp_path: Path, fault: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each fault shows within 200 histories."""
    name, wrong, instead = FAULTS[fault]
    statements = models.statements
    broken = [
        (relation, sql.replace(wrong, instead) if f'"{name}"' in relation else sql) for relation, sql in statements
    ]
    assert broken != statements, "the model does not read so"
    monkeypatch.setitem(models.__dict__, "statements", broken)
    with pytest.raises(AssertionError):
        check_history(models, list(merged(7, 200)), tmp_path)
