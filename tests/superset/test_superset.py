"""The dashboard at a running Superset: each chart's data, read back through the API, is what SQL reads from the copy.

Superset runs in an environment of its own (`make test-superset`); the tests and the script run in `.venv`.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import closing
from datetime import date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any, NamedTuple

import duckdb
import pytest

import delivered as delivery
import marts_copies
from publish.cli import outcome
from superset_server import USER, register, running
from tools.superset.api import Superset, SupersetError
from tools.superset.charts import CHARTS, MARTS

EXPECTED = {
    "Invoiced amount by period and currency": (
        "select invoice_period_start_date, currency, sum(amount) as amount from marts.fct_invoices group by all"
    ),
    "Invoices by period, currency and status": (
        "select invoice_period, currency, status, sum(amount_minor) as amount_minor, sum(amount) as amount,"
        " sum(credits) as credits, count(*) as rows from marts.fct_invoices group by all"
    ),
    "Credits per day": "select usage_date, sum(credits) as credits from marts.fct_user_day_credits group by all",
    "Quota states by period": (
        "select period_start_date, status, count(*) as rows from marts.fct_quota_utilization group by all"
    ),
    "Users near a limit": (
        "select billing_period, external_user_id, quota, used_value, limit_value, utilization, status"
        " from marts.fct_quota_utilization where status in ('warning', 'at_limit', 'over_limit')"
    ),
    "Checks by period and status": (
        "select period_start_date, status, count(*) as rows from marts.rpt_reconciliation group by all"
    ),
    "Checks by name, period and status": (
        "select check_name, billing_period, status, count(*) as rows from marts.rpt_reconciliation group by all"
    ),
    "Differences": (
        "select check_name, billing_period, external_user_id, status, expected_credits, actual_credits,"
        " difference_credits from marts.rpt_reconciliation where status <> 'ok'"
    ),
    "The build that these figures come from": (
        "select build_id, ended_at_utc, is_proven from marts.rpt_builds where is_deciding"
    ),
    "Cost at the vendor per service day": (
        "select ChargePeriodStart, BillingCurrency, sum(BilledCost) as BilledCost"
        " from marts.rpt_focus_cost group by all"
    ),
    "Resale by period, category and currency": (
        "select x_BillingPeriod, ChargeCategory, BillingCurrency, sum(BilledCost) as BilledCost,"
        " sum(EffectiveCost) as EffectiveCost from marts.rpt_focus_resale group by all"
    ),
    "Revenue per service day and currency": (
        "select service_date, currency, sum(amount) as amount from marts.fct_revenue_days where is_elapsed group by all"
    ),
    "Monthly recurring revenue by currency": (
        "select invoice_period_start_date, currency, sum(amount) as amount from marts.fct_invoice_lines"
        " where line_type in ('fee', 'minimum') group by all"
    ),
    "Net revenue retention by first month and currency": (
        "select invoice_period_start_date, cohort_period, currency, max(net_retention) as net_retention"
        " from marts.rpt_revenue_retention group by all"
    ),
    "Retention": (
        "select cohort_period, invoice_period, currency, status, cohort_user_count, user_count, starting_amount,"
        " amount, net_retention, gross_retention from marts.rpt_revenue_retention"
    ),
}
"""The same in plain SQL, by chart."""

BEYOND_FLOATS = 2**53 + 1
"""The smallest integer that a float cannot hold."""

EXACT_CREDITS = Decimal("123456789012345.123456789")

COMMENT = "The platform's total in minor units: {{ 7 * 7 }}, <b>never null</b>."


class Site(NamedTuple):
    """A running Superset with the dashboard."""

    api: Superset
    address: str
    password: str
    copy: Path
    warehouse: Path


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """Superset, after the script ran on a published copy of the shared warehouse."""
    folder = tmp_path_factory.mktemp("superset")
    marts = marts_copies.changed(
        marts_copies.marts_copy(delivery.delivered(tmp_path_factory), folder / "marts"),
        folder / "warehouse",
        # What a chart shows has to be there: limits that somebody comes near, and an explained difference.
        "update marts.fct_quota_utilization set status = 'warning', limit_value = used_value + 7"
        " where quota = 'credits' and used_value > 0",
        "update marts.rpt_reconciliation set status = 'explained', difference_credits = -0.000000001"
        " where rowid in (select min(rowid) from marts.rpt_reconciliation)",
        f"update marts.fct_invoices set amount_minor = {BEYOND_FLOATS}"
        " where rowid in (select min(rowid) from marts.fct_invoices)",
        f"update marts.fct_user_day_credits set credits = {EXACT_CREDITS}"
        " where rowid in (select min(rowid) from marts.fct_user_day_credits)",
        # A copy of marts has no comments.
        "comment on column marts.fct_invoices.amount_minor is '{}'".format(COMMENT.replace("'", "''")),
    )
    published = folder / "published"
    assert outcome(["marts", "--warehouse", str(marts), "--to", str(published)]) == (0, "")
    with running(folder) as (address, password):
        copy = published / "marts.duckdb"
        done = register(address, copy, password)
        assert (done.returncode, done.stderr) == (0, ""), done.stderr
        assert done.stdout == f"{len(MARTS)} data sets and the dashboard: {address}/superset/dashboard/usage-billing/\n"
        with Superset(address, USER, password) as api:
            yield Site(api, address, password, copy, marts)


def listed(site: Site, kind: str) -> dict[str, int]:
    """The numbers of Superset's objects of a kind, by their names."""
    name = {"database": "database_name", "dataset": "table_name", "chart": "slice_name", "dashboard": "dashboard_title"}
    query = json.dumps({"page_size": 100, "columns": ["id", name[kind]]})
    rows = site.api.ask("GET", f"/api/v1/{kind}/", params={"q": query})["result"]
    assert len({row[name[kind]] for row in rows}) == len(rows)
    return {row[name[kind]]: row["id"] for row in rows}


def data(site: Site, chart: str) -> list[dict[str, Any]]:
    """The rows of a chart, by its saved query."""
    number = listed(site, "chart")[chart]
    (result,) = site.api.ask("GET", f"/api/v1/chart/{number}/data/")["result"]
    rows: list[dict[str, Any]] = result["data"]
    return rows


def queried(copy: Path, statement: str) -> list[dict[str, Any]]:
    with closing(duckdb.connect(str(copy), read_only=True)) as connection:
        rows = connection.execute(statement)
        assert rows.description is not None
        names = [column[0] for column in rows.description]
        return [dict(zip(names, row, strict=True)) for row in rows.fetchall()]


def as_superset_writes(value: object) -> object:
    """A value of DuckDB's as Superset's JSON has it: decimals as floats, times as milliseconds."""
    if isinstance(value, Decimal):
        return float(value)
    if isinstance(value, date):
        moment = value if isinstance(value, datetime) else datetime(value.year, value.month, value.day)
        return (moment - datetime(1970, 1, 1)).total_seconds() * 1000
    return value


def settled(rows: list[dict[str, Any]]) -> list[list[tuple[str, str]]]:
    """Rows in an order of their own."""
    return sorted([(name, repr(row[name])) for name in sorted(row)] for row in rows)


def test_every_chart_is_tested() -> None:
    assert set(EXPECTED) == {chart.name for chart in CHARTS}


@pytest.mark.parametrize("chart", EXPECTED)
def test_a_chart_shows_what_the_copy_holds(site: Site, chart: str) -> None:
    expected = queried(site.copy, EXPECTED[chart])
    assert expected
    shown = data(site, chart)
    assert settled(shown) == settled([{name: as_superset_writes(row[name]) for name in row} for row in expected])


def test_integers_stay_exact_and_decimals_become_floats(site: Site) -> None:
    """Which is why a figure that has to be exact is read from `amount_minor`."""
    with_large = [row for row in data(site, "Invoices by period, currency and status") if row["amount_minor"] > 2**52]
    (large,) = with_large
    assert isinstance(large["amount_minor"], int)
    (expected,) = queried(
        site.copy,
        "select max(total) as total from ("
        "select sum(amount_minor) as total from marts.fct_invoices group by invoice_period, currency, status)",
    )
    assert large["amount_minor"] == expected["total"]
    assert Decimal(max(row["credits"] for row in data(site, "Credits per day"))) != EXACT_CREDITS


def test_a_second_run_adds_nothing(site: Site) -> None:
    before = {kind: listed(site, kind) for kind in ("database", "dataset", "chart", "dashboard")}
    assert [len(names) for names in before.values()] == [1, len(MARTS), len(CHARTS), 1]
    done = register(site.address, site.copy, site.password)
    assert (done.returncode, done.stderr) == (0, "")
    assert {kind: listed(site, kind) for kind in before} == before
    number = before["dashboard"]["Usage billing"]
    charts = site.api.ask("GET", f"/api/v1/dashboard/{number}/charts")["result"]
    assert {chart["slice_name"] for chart in charts} == set(EXPECTED)


def test_data_sets_have_the_columns_of_the_copy_with_their_descriptions(site: Site) -> None:
    found = site.api.ask("GET", f"/api/v1/dataset/{listed(site, 'dataset')['fct_invoices']}")["result"]["columns"]
    columns = queried(
        site.copy, "select column_name, data_type, comment from duckdb_columns() where table_name = 'fct_invoices'"
    )
    assert {(column["column_name"], column["type"], column["description"]) for column in found} == {
        (column["column_name"], column["data_type"], column["comment"] or "") for column in columns
    }
    described = {column["column_name"]: column["description"] for column in found}
    assert described["amount_minor"] == COMMENT


REFUSED = (
    "select * from read_text('{folder}/secret.txt')",
    "select * from read_csv('{folder}/secret.txt')",
    "select * from glob('{folder}/*')",
    "copy (select 1) to '{folder}/out.csv'",
    "attach '{folder}/out.duckdb'",
    "set enable_external_access = true",
    "set lock_configuration = false",
    "create table marts.mine as select 1",
    "delete from marts.fct_invoices",
)


def lab(site: Site, sql: str) -> list[dict[str, Any]]:
    """The rows of SQL that a reader typed."""
    question = {"database_id": listed(site, "database")["Billing marts"], "sql": sql, "runAsync": False}
    rows: list[dict[str, Any]] = site.api.ask("POST", "/api/v1/sqllab/execute/", json=question)["data"]
    return rows


def test_sql_typed_by_a_reader_reads_no_file_of_the_machine_and_writes_none(site: Site, tmp_path: Path) -> None:
    (tmp_path / "secret.txt").write_text("the secret\n")
    for statement in REFUSED:
        with pytest.raises(SupersetError) as refused:
            lab(site, statement.format(folder=tmp_path))
        assert "the secret" not in str(refused.value)
    assert [path.name for path in tmp_path.iterdir()] == ["secret.txt"]
    # Superset itself refuses some of these. DuckDB would refuse all of them.
    settings = ("access_mode", "enable_external_access", "lock_configuration")
    asked = ", ".join(f"current_setting('{name}')::varchar as {name}" for name in settings)
    assert lab(site, f"select {asked}") == [dict(zip(settings, ("read_only", "false", "true"), strict=True))]
    assert lab(site, "select count(*) as n from marts.fct_invoices") == queried(
        site.copy, "select count(*) as n from marts.fct_invoices"
    )


def test_a_mistake_is_told_in_one_line_without_the_password(site: Site, tmp_path: Path) -> None:
    wrong = register(site.address, site.copy, "wrong-password")
    assert (wrong.returncode, wrong.stdout) == (1, "")
    assert wrong.stderr == "superset: Superset refuses the login: check SUPERSET_USER and SUPERSET_PASSWORD\n"
    # A file that the script sees and Superset does not.
    elsewhere = register(site.address, site.copy, site.password, path=str(tmp_path / "none.duckdb"))
    assert (elsewhere.returncode, elsewhere.stdout) == (1, "")
    assert elsewhere.stderr.startswith("superset: POST /api/v1/database/test_connection/ ended with status ")
    assert elsewhere.stderr.count("\n") == 1
    # Nothing was overwritten.
    assert data(site, "The build that these figures come from")


def test_the_next_publish_shows_in_the_next_query(site: Site, tmp_path: Path) -> None:
    """Without a restart, and although this Superset has a cache."""
    chart = "Invoices by period, currency and status"
    before, file = data(site, chart), site.copy.resolve()
    following = marts_copies.changed(
        site.warehouse,
        tmp_path,
        "update marts.fct_invoices set amount_minor = amount_minor + 1",
        "update marts.rpt_builds set build_id = build_id || '-next'",
    )
    assert outcome(["marts", "--warehouse", str(following), "--to", str(site.copy.parent)]) == (0, "")
    assert site.copy.resolve() != file
    after = data(site, chart)
    assert sum(row["amount_minor"] for row in after) == sum(row["amount_minor"] + row["rows"] for row in before)
    assert settled(after) == settled(
        [{name: as_superset_writes(row[name]) for name in row} for row in queried(site.copy, EXPECTED[chart])]
    )
