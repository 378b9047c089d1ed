"""Scenes of many users on the quota SQL, against the oracle (rules 15 to 18), cell by cell.

Concurrency by a sweep, limits that change in mid-period, zero, null and missing quotas, the moments at which shares of
limits are reached, what is wanted of whom on which day, upgrades and their price, forecasts, the vendor's counters.
"""

from __future__ import annotations

from datetime import date, timedelta
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import oracle
import quota_oracle
from billing_sql import CompiledModels, compiled_models
from pipeline import mart_differences
from quota_oracle import Scene
from quota_sql import QuotaWarehouse, make_scene


@pytest.fixture(scope="module")
def models() -> CompiledModels:
    """The models as dbt compiles them."""
    return compiled_models()


@pytest.fixture(scope="module")
def warehouse(models: CompiledModels) -> QuotaWarehouse:
    """A warehouse for all scenes."""
    return QuotaWarehouse(models)


def check(warehouse: QuotaWarehouse, scene: Scene, folder: Path) -> None:
    """Build a scene and compare every quota mart with the oracle's."""
    warehouse.build(scene, folder)
    utilization = oracle.fct_quota_utilization(
        scene.known, scene.sessions, oracle.month_parts(scene.sessions), scene.complete
    )
    expected = {
        "fct_quota_utilization": utilization,
        "dim_users": oracle.dim_users(scene.known, scene.sessions),
        "dim_quota_limits": quota_oracle.dim_quota_limits(scene),
        "rpt_quota_alerts": quota_oracle.rpt_quota_alerts(scene, utilization),
        "rpt_quota_counters": quota_oracle.rpt_quota_counters(scene),
        "fct_quota_forecast": quota_oracle.fct_quota_forecast(scene, utilization),
    }
    told = [
        f"{name} {line}" for name, mart in expected.items() for line in mart_differences(mart, warehouse.mart(name))
    ]
    assert not told, told[:8]
    check_wanted(warehouse, scene)


def check_wanted(warehouse: QuotaWarehouse, scene: Scene) -> None:
    """On each day on which anything changes, and on the days around it, exactly what the oracle says is wanted."""
    rows = warehouse.wanted()
    cuts = {"2026-09-15"}
    for ranges in (scene.prices.user_plans, scene.plan_quotas, scene.overrides):
        cuts |= {day for row in ranges for day in row[1:4] if isinstance(day, str) and day[:2] == "20"}
    days = {(date.fromisoformat(cut) + timedelta(days=shift)).isoformat() for cut in cuts for shift in (-1, 0)}
    of_day: dict[tuple[str, str, str], quota_oracle.Wanted] = {}
    for row in rows:
        wanted = quota_oracle.Wanted(row["limit_value"], row["wanted_by"], row["plan_id"])
        for day in days:
            if row["valid_from"] <= day and (row["valid_to"] is None or day < row["valid_to"]):
                key = row["external_user_id"], row["quota"], day
                assert key not in of_day, f"{key} has two"
                of_day[key] = wanted
    for user in quota_oracle.users(scene):
        for day in days:
            plan = quota_oracle.plan_on(scene, user, day)
            for quota in oracle.QUOTAS:
                expected = quota_oracle.wanted_on(scene, user, quota, day, plan)
                assert of_day.pop((user, quota, day), None) == expected, (user, quota, day)
    assert not of_day
    runs = {(row["external_user_id"], row["quota"], row["valid_to"]): (*list(row.values())[4:],) for row in rows}
    for row in rows:
        before = runs.get((row["external_user_id"], row["quota"], row["valid_from"]))
        assert before != (*list(row.values())[4:],), f"a run is in two: {row}"


@pytest.mark.parametrize("seed", range(6))
def test_rules_15_to_18_many_users(warehouse: QuotaWarehouse, tmp_path: Path, seed: int) -> None:
    """Six scenes of 150 users."""
    check(warehouse, make_scene(seed, 150), tmp_path)


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(100, 160))
def test_rules_15_to_18_thousands_of_users(warehouse: QuotaWarehouse, tmp_path: Path, seed: int) -> None:
    """Sixty scenes of 200 users."""
    check(warehouse, make_scene(seed, 200), tmp_path)


@settings(
    max_examples=15, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture]
)
@given(seed=st.integers(0, 2**32), users=st.integers(0, 6))
def test_rules_15_to_18_scenes_that_shrink(warehouse: QuotaWarehouse, tmp_path: Path, seed: int, users: int) -> None:
    """Single scenes of hypothesis's choosing, with few users first."""
    check(warehouse, make_scene(seed, users), tmp_path)


FAULTS = {
    "an override's empty cell lifts the limit": (
        "int_desired_quota_limits",
        "when overrides.has_credits_override then overrides.credits_limit",
        "when overrides.external_user_id is not null then overrides.credits_limit",
    ),
    "the last day of a plan's limits still counts": (
        "int_desired_quota_limits",
        "and on_plans.valid_from < coalesce(plan_quotas.valid_to",
        "and on_plans.valid_from <= coalesce(plan_quotas.valid_to",
    ),
    "a limit that is wanted does not end": (
        "int_desired_quota_limits",
        "lag(desired.limit_value) over runs is not distinct from desired.limit_value",
        "true",
    ),
    "what a user's lines have beyond nine decimals is lost": (
        "int_storage_usage",
        "sum(rollups.storage_gb_hours_beyond)",
        "0",
    ),
    "storage is rounded before it is added": (
        "stg_miosa__usage_rollups",
        "left(typed.storage_digits, 24)",
        "(left(typed.storage_digits, 24)::hugeint + (right(typed.storage_digits, 28) >= '5')::integer)",
    ),
    "a limit that was never in force counts as a change": (
        "int_effective_quota_limits",
        "or replaced_from_utc > seen_from_utc",
        "or true",
    ),
    "a rejected answer makes a user": ("int_users", "and rejection_reason is null", ""),
    "what is not managed drifts": (
        "dim_quota_limits",
        "desired.limit_value) and desired.quota is not null",
        "desired.limit_value)",
    ),
    "a version ends with the first one": ("dim_quota_limits", "1 following and", "unbounded preceding and"),
    "a share is reached when it is passed": (
        "rpt_quota_alerts",
        "running.credits_so_far * 100 >= targets",
        "running.credits_so_far * 100 > targets",
    ),
    "a limit of zero is crossed at each share": (
        "rpt_quota_alerts",
        "and (utilization.limit_value > 0 or thresholds.threshold_percent = 100)",
        "",
    ),
    "the upgrade's limit may be reached": ("int_quota_upgrade_candidates", "end > users.conc", "end >= users.conc"),
    "an upgrade lifts the user's own limits": (
        "int_quota_upgrade_candidates",
        "when overrides.has_sandboxes_override then overrides.sandboxes_limit",
        "when false then overrides.sandboxes_limit",
    ),
    "a plan without a price on some days is offered": (
        "int_quota_upgrade_prices",
        "having sum(rating_periods.day_count) = any_value(rating_periods.period_day_count)",
        "",
    ),
    "the dearest plan is offered": ("int_quota_upgrades", "by amount_minor,", "by amount_minor desc,"),
    "a session that ends when counted still runs": (
        "rpt_quota_counters",
        "newest.read_at_utc < sessions.end_at_utc",
        "newest.read_at_utc <= sessions.end_at_utc",
    ),
    "the last seven days are whole sessions": (
        "int_forecast_inputs",
        "least(sessions.end_at_utc, clock.as_of_at_utc)",
        "sessions.end_at_utc",
    ),
    "the moment is rounded down": ("fct_quota_forecast", "+ (reachable.recent_nano)::hugeint - 1)", "+ 0)"),
}
"""In words, and as a change of a compiled model."""

SHOWN_FROM = {
    "a limit that was never in force counts as a change": 4,
    "a plan without a price on some days is offered": 7,
}
"""The first scene that shows a fault, where several before it do not: building those takes long."""


@pytest.mark.parametrize("fault", FAULTS)
def test_a_planted_fault_is_found(models: CompiledModels, tmp_path: Path, fault: str) -> None:
    """Each fault shows in one of twelve scenes."""
    name, wrong, instead = FAULTS[fault]
    warehouse = QuotaWarehouse(models)
    broken = [
        (relation, sql.replace(wrong, instead) if f'"{name}"' in relation else sql)
        for relation, sql in warehouse.statements
    ]
    assert broken != warehouse.statements, "the model does not read so"
    warehouse.statements = broken

    def check_all() -> None:
        for seed in range(SHOWN_FROM.get(fault, 0), 12):
            check(warehouse, make_scene(seed, 120), tmp_path)

    with pytest.raises(AssertionError):
        check_all()
