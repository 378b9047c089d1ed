"""Every metric, queried by MetricFlow over the shared warehouse, is the figure that plain SQL reads from the marts.

Runs in an environment of its own (`make test-metrics`).
"""

from __future__ import annotations

import csv
import json
import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import duckdb
import pytest

import delivered as delivery
import pipeline

ROOT = Path(__file__).resolve().parents[2]
BIN = Path(sys.executable).parent
INPUTS = ("any_currency_", "_currency_count")
"""Parts of the names of metrics that others are derived from, and that no report uses."""

EXPECTED: dict[tuple[str, ...], tuple[str, str]] = {
    ("credits", "usage_seconds", "usage_hours", "active_users"): (
        "metric_time__month",
        "select strftime(date_trunc('month', usage_date), '%Y-%m-%d'), sum(credits), sum(usage_seconds),"
        " round(sum(usage_seconds) / 3600, 6),"
        " count(distinct external_user_id) filter (where external_user_id <> '(unattributed)')"
        " from marts.fct_user_day_credits group by 1",
    ),
    ("peak_concurrency",): (
        "metric_time__month",
        "select strftime(period_start_date, '%Y-%m-%d'), max(peak_concurrent)"
        " from marts.fct_user_period_credits group by 1",
    ),
    ("credits_used_of_limits", "credit_limits", "credit_utilization"): (
        "metric_time__month",
        "select strftime(period_start_date, '%Y-%m-%d'), sum(used_value) filter (where limit_value is not null),"
        " sum(limit_value),"
        " round(sum(used_value) filter (where limit_value is not null) / nullif(sum(limit_value), 0), 6)"
        " from marts.fct_quota_utilization where quota = 'credits' group by 1",
    ),
    ("users_near_a_limit",): (
        "metric_time__month,user_period_quota__quota",
        "select strftime(period_start_date, '%Y-%m-%d'), quota,"
        " count(distinct external_user_id) filter (where status in ('warning', 'at_limit', 'over_limit'))"
        " from marts.fct_quota_utilization group by 1, 2",
    ),
    ("invoiced_amount", "mrr", "adjustments"): (
        "metric_time__month,invoice_line__currency",
        "select invoice_period || '-01', currency, sum(amount),"
        " sum(amount) filter (where line_type in ('fee', 'minimum')),"
        " sum(amount) filter (where line_type = 'adjustment')"
        " from marts.fct_invoice_lines group by 1, 2",
    ),
    ("accrued_revenue",): (
        "metric_time__month,revenue_day__currency",
        "select strftime(date_trunc('month', service_date), '%Y-%m-%d'), currency, sum(amount)"
        " from marts.fct_revenue_days where is_elapsed group by 1, 2",
    ),
    ("margin",): (
        "metric_time__month,user_service_period__currency",
        "select service_period || '-01', currency, sum(margin) from marts.rpt_margin group by 1, 2",
    ),
    ("net_revenue_retention", "gross_revenue_retention"): (
        "cohort_month__cohort_period_start_date__month,metric_time__month,cohort_month__currency",
        "select cohort_period || '-01', invoice_period || '-01', currency, net_retention, gross_retention"
        " from marts.rpt_revenue_retention",
    ),
}
"""Metrics that are asked for together, by what, and the same in plain SQL."""

MONEY = {
    *("invoiced_amount", "mrr", "adjustments", "accrued_revenue", "margin"),
    *("net_revenue_retention", "gross_revenue_retention"),
}


@pytest.fixture(scope="session")
def warehouse(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The shared warehouse, with limits that somebody comes near."""
    copy = delivery.copy_of(delivery.delivered(tmp_path_factory), tmp_path_factory.mktemp("metrics"))
    with duckdb.connect(str(copy)) as connection:
        limited = "quota = 'credits' and used_value > 0 and external_user_id <> '(unattributed)'"
        connection.execute(
            "create table limited as select * replace ("
            f"case when {limited} then used_value + 7 else limit_value end as limit_value,"
            f" case when {limited} then 'warning' else status end as status) from marts.fct_quota_utilization;"
            "drop view marts.fct_quota_utilization;"
            "create table marts.fct_quota_utilization as from limited"
        )
    return copy


@pytest.fixture(scope="session")
def project(tmp_path_factory: pytest.TempPathFactory, warehouse: Path) -> Path:
    """The project with a target folder of its own: MetricFlow reads the manifest from there."""
    folder = tmp_path_factory.mktemp("project")
    for path in ROOT.iterdir():
        if path.name not in ("target", "logs", ".git"):
            (folder / path.name).symlink_to(path)
    run(folder, warehouse, "dbt", "parse")
    return folder


def run(project: Path, warehouse: Path, command: str, *arguments: str) -> str:
    """Run a command of this environment in the project. Returns what it said."""
    environment = {
        **os.environ,
        "WAREHOUSE_PATH": str(warehouse),
        "PYTHONPATH": str(ROOT),
        "PATH": f"{BIN}:/usr/bin:/bin",
    }
    done = subprocess.run(
        [BIN / command, *arguments], cwd=project, env=environment, capture_output=True, text=True, timeout=300
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def asked(project: Path, warehouse: Path, metrics: Sequence[str], group_by: str = "") -> list[list[str | float]]:
    """The rows of a query, ordered, with dates as texts."""
    answer = project / "answer.csv"
    answer.unlink(missing_ok=True)
    by = ["--group-by", group_by] if group_by else []
    run(project, warehouse, "mf", "query", "--metrics", ",".join(metrics), *by, "--csv", str(answer), "--decimals", "9")
    with answer.open(encoding="utf-8", newline="") as file:
        _, *rows = csv.reader(file)
    return settled([[cell.removesuffix(" 00:00:00") for cell in row] for row in rows], len(group_by.split(",")))


def settled(rows: Sequence[Sequence[object]], names: int) -> list[list[str | float]]:
    """Rows in order: names as texts, figures as the floats that the answer is written in."""
    return sorted([*(str(cell) for cell in row[:names]), *(number(cell) for cell in row[names:])] for row in rows)


def number(cell: object) -> float:
    """A figure; null as a number that none of them is."""
    return float("-inf") if cell is None or cell == "" else round(float(str(cell)), 9)


def metrics_of(project: Path) -> set[str]:
    """The metrics that reports use."""
    manifest = json.loads((project / "target" / "semantic_manifest.json").read_text("utf-8"))
    return {metric["name"] for metric in manifest["metrics"] if not any(part in metric["name"] for part in INPUTS)}


def test_the_configuration_is_valid_against_the_warehouse(project: Path, warehouse: Path) -> None:
    assert run(project, warehouse, "mf", "validate-configs").count("(ERRORS: 0, FUTURE_ERRORS: 0, WARNINGS: 0)") == 6


def test_every_metric_is_tested(project: Path) -> None:
    assert metrics_of(project) == {name for names in EXPECTED for name in names}


@pytest.mark.parametrize("metrics", EXPECTED, ids=lambda metrics: metrics[0])
def test_a_metric_is_what_the_marts_hold(project: Path, warehouse: Path, metrics: tuple[str, ...]) -> None:
    group_by, statement = EXPECTED[metrics]
    expected = settled([list(row.values()) for row in pipeline.query(warehouse, statement)], group_by.count(",") + 1)
    assert asked(project, warehouse, metrics, group_by) == expected
    assert any(figure > 0 for row in expected for figure in row if isinstance(figure, float))


def test_money_of_several_currencies_has_no_total(project: Path, warehouse: Path) -> None:
    (row,) = asked(project, warehouse, sorted(MONEY))
    assert row == ["", *[float("-inf")] * (len(MONEY) - 1)]


def test_a_filter_on_one_currency_gives_its_total(project: Path, warehouse: Path) -> None:
    answer = project / "one.csv"
    where = "{{ Dimension('invoice_line__currency') }} = 'EUR'"
    run(project, warehouse, "mf", "query", "--metrics", "invoiced_amount", "--where", where, "--csv", str(answer))
    ((expected,),) = (
        row.values()
        for row in pipeline.query(warehouse, "select sum(amount) from marts.fct_invoice_lines where currency = 'EUR'")
    )
    assert float(answer.read_text("utf-8").split()[1]) == float(expected)


@pytest.mark.parametrize("query", ["invoiced_by_month", "usage_by_day", "accrued_by_month", "retention_by_cohort"])
def test_a_saved_query_runs(project: Path, warehouse: Path, query: str) -> None:
    answer = project / f"{query}.csv"
    run(project, warehouse, "mf", "query", "--saved-query", query, "--csv", str(answer))
    assert answer.read_text("utf-8").count("\n") > 2
