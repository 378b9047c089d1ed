"""Every data test is seen to fail: a fault is planted in a sound warehouse, and the test that is there for it finds it.

One warehouse is landed and built. Faults are then planted in copies of it, in three ways:

* for each generic test (`never_null`, `unique` …) a row is added that breaks it and nothing that it does not look at;
* for each other test, a fault of `FAULTS` (a lost row, an owner swapped, a nano-credit gone …) is planted in one built
  table, everything built from that table is built again, and exactly the tests named there fail;
* dbt itself runs on broken copies, and ends with an error that names the tests.

The first two run the SQL that dbt compiled for each test, in transactions that are rolled back.
"""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import dataclass
from decimal import Decimal
from functools import cached_property
from graphlib import TopologicalSorter
from pathlib import Path
from typing import Any, get_args

import duckdb
import pytest
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

import pipeline
from core.database.opening import create_database
from simulator.account import AccountOptions, AccountRoute
from simulator.app import API, Options
from simulator.server import serve
from tenants import Rows, Span

Manifest = dict[str, Any]


# --- A sound warehouse ---------------------------------------------------------------------------------------------


def row(session_id: str, start: str, end: str | None, cost: str, **fields: str) -> str:
    """A session of the API, with its cost as the JSON text that is given."""
    texts = {"id": session_id, "started_at": start, "ended_at": end, **fields}
    return json.dumps(texts)[:-1] + f', "credit_cost": {cost}}}'


TENANT = Rows(
    sessions=(
        # In a month that is read only in part, by the look-back.
        row("early", "2026-07-29T00:00:00Z", "2026-07-29T01:00:00Z", "1", external_user_id="ann"),
        # 30 credits over three hours, one of them in September.
        row("crosses", "2026-09-30T23:00:00Z", "2026-10-01T02:00:00Z", "30", external_user_id="ann", computer_id="a1"),
        row("overlaps", "2026-10-01T01:00:00Z", "2026-10-01T03:00:00Z", "5", external_user_id="ann", computer_id="a2"),
        row(
            *("days", "2026-10-05T12:00:00Z", "2026-10-07T12:00:00Z", "8"),
            **{"external_user_id": "ann", "computer_id": "a1", "external_project_id": "p1"},
        ),
        row("owned", "2026-10-02T00:00:00Z", "2026-10-02T01:00:00Z", "7", computer_id="b1"),
        row("small", "2026-10-03T00:00:00Z", "2026-10-03T01:00:00Z", "0.25", external_user_id="ben"),
        row("nobody's", "2026-10-03T00:00:00Z", "2026-10-03T00:00:10Z", "3", computer_id="c1"),
        row("runs", "2026-10-20T00:00:00Z", None, "2", external_user_id="ben", computer_id="b1", duration_sec="60"),
        # Rounded to nothing (rule 1).
        row("free", "2026-10-08T00:00:00Z", "2026-10-08T01:00:00Z", "4e-10", external_user_id="cid"),
        row("gone", "2026-10-10T00:00:00Z", "2026-10-10T01:00:00Z", "6", external_user_id="ben"),
        row("negative", "2026-10-04T00:00:00Z", "2026-10-04T01:00:00Z", "-4", external_user_id="ann"),
        # Known when September is closed, and withdrawn after.
        row("withdrawn", "2026-09-20T00:00:00Z", "2026-09-20T01:00:00Z", "2", external_user_id="ann"),
        row("old id", "2026-09-20T00:00:00Z", "2026-09-20T01:00:00Z", "1", external_user_id="gil"),
    ),
    sandboxes=(
        json.dumps({"id": "b1", "external_user_id": "ben"}),
        json.dumps({"id": "e1", "external_user_id": "eve"}),
        json.dumps({"id": "x1", "external_user_id": "(unattributed)"}),
    ),
    quotas={
        "ann": {"max_credit_cents": 100, "max_concurrent": 2, "max_sandboxes": 1, "max_storage_gb": None},
        "ben": {"max_credit_cents": 9, "max_concurrent": 0, "max_sandboxes": 5, "max_storage_gb": 1},
    },
    # Of ben's limit, just as much as is warned of.
    storage_gb={"ann": Decimal("1.5"), "ben": Decimal("0.8")},
)
SPAN = Span("2026-09", "2026-10")
CLOSED = "2026-09"

WITHDRAWN = ("gone", "withdrawn", "old id")
"""Sessions that the API does not list any more once September is closed."""

LATE = (
    row("late", "2026-09-15T00:00:00Z", "2026-09-15T01:00:00Z", "4", external_user_id="dan"),
    # The same credits of the same day under another id: an adjustment of nothing, with usage.
    row("new id", "2026-09-20T00:00:00Z", "2026-09-20T01:00:00Z", "1", external_user_id="gil"),
)
"""Sessions that it lists only then."""

# In October ann has an allowance and two tiers, ben stays under a minimum, cid has a fee without usage, and dan's and
# gil's September is on the default plan.
SEEDS = {
    "plans": """\
plan_id,plan_name,currency
pay_as_you_go,Pay as you go,USD
tiers,Tiers,EUR
least,At least,EUR
flat,Flat,JPY
""",
    "plan_prices": """\
plan_id,valid_from,valid_to,monthly_fee,included_credits,minimum_charge,tier_model
pay_as_you_go,2026-01-01,,,,,graduated
tiers,2026-01-01,,49,5,,graduated
least,2026-01-01,,,,20,volume
flat,2026-01-01,,300,,,graduated
""",
    "plan_price_tiers": """\
plan_id,valid_from,tier_from_credits,unit_price
pay_as_you_go,2026-01-01,0,0.01
tiers,2026-01-01,0,0.335
tiers,2026-01-01,10,0.3
least,2026-01-01,0,1.005
flat,2026-01-01,0,1
""",
    "user_plans": """\
external_user_id,plan_id,valid_from,valid_to
ann,tiers,2026-09-01,
ben,least,2026-10-01,
cid,flat,2026-09-01,
ivy,flat,2026-10-01,
""",
    # ann has what her plan wants, but for sandboxes; ben is to have another limit on credits. hal is only to have one.
    "plan_quotas": """\
plan_id,valid_from,valid_to,max_sandboxes,max_concurrent,max_storage_gb,max_credit_cents
tiers,2026-01-01,,9,2,,100
least,2026-01-01,,5,0,1,20
""",
    "user_quota_overrides": """\
external_user_id,valid_from,valid_to,max_sandboxes,max_concurrent,max_storage_gb,max_credit_cents
hal,2026-01-01,,,,,5
""",
}
DEARER = {"plan_prices": SEEDS["plan_prices"].replace("flat,2026-01-01,,300", "flat,2026-01-01,,310")}
"""The price that cid drifts by, in September too."""

ODD_ANSWERS = {
    "/quotas/external/eve": {"limits": {"max_sandboxes": -1}},
    "/usage?2026-07": {
        "results": [
            {"external_user_id": "ann", "credit_cents": 1},
            {"external_user_id": "(unattributed)", "credit_cents": 1},
            {
                "external_user_id": "ben",
                "total_usd": 0,
                "line_items": [{"dimension": "redis", "qty": 1, "usd": 0}, {"dimension": 7}],
            },
        ]
    },
    "/usage/summary?2026-07": {"total_credits": "much"},
}
"""What the vendor says, in the simulator's place, where a row of each kind has to be rejected. By path and month."""


async def odd_answer(request: Request, number: int) -> Response | None:
    """One of the odd answers, if it is asked for."""
    query = request.query_params
    since = query.get("start") or query.get("period_start")
    asked = request.url.path.removeprefix(API) + (f"?{since[:7]}" if since else "")
    return JSONResponse(ODD_ANSWERS[asked]) if asked in ODD_ANSWERS else None


@dataclass(frozen=True)
class Check:
    """A data test as dbt compiled it: it fails when its query returns a row."""

    name: str
    kind: str
    """Name of the generic test; `singular` for one of its own."""
    arguments: Mapping[str, Any]
    relation: str
    """What a generic test looks at; empty for a singular one."""
    reads: frozenset[str]
    sql: str


class Project:
    """What dbt knows of a built warehouse, and a connection to it."""

    def __init__(self, warehouse: Path, connection: duckdb.DuckDBPyConnection) -> None:
        self.warehouse = warehouse
        self.connection = connection
        target = warehouse.parent / "target"
        self.manifest: Manifest = pipeline.manifest()
        results = json.loads((target / "run_results.json").read_text())["results"]
        self._compiled = {result["unique_id"]: result["compiled_code"] for result in results}

    @cached_property
    def nodes(self) -> dict[str, Any]:
        """Models, seeds, tests and sources by unique id."""
        return {**self.manifest["sources"], **self.manifest["nodes"]}

    @cached_property
    def checks(self) -> dict[str, Check]:
        """All data tests by name."""
        checks = [self._check(key, node) for key, node in self.nodes.items() if node["resource_type"] == "test"]
        assert len({check.name for check in checks}) == len(checks), "two data tests share a name"
        return {check.name: check for check in checks}

    def _check(self, key: str, node: Mapping[str, Any]) -> Check:
        metadata = node.get("test_metadata") or {}
        arguments = dict(metadata.get("kwargs", {}))
        named = re.search(r"(?:ref|source)\(([^)]*)\)", arguments.get("model", ""))
        return Check(
            name=node["name"],
            kind=metadata.get("name", "singular"),
            arguments=arguments,
            relation=self.relation(".".join(re.findall(r"'([^']*)'", named.group(1)))) if named else "",
            reads=frozenset(self.nodes[parent]["relation_name"] for parent in node["depends_on"]["nodes"]),
            sql=self._compiled[key],
        )

    def relation(self, name: str) -> str:
        """The table of a model or a seed, or of a source named with its schema or as dbt calls it."""
        for node in self.nodes.values():
            if node["resource_type"] in ("model", "seed", "source") and name in (
                node["name"],
                f"{node['schema']}.{node['name']}",
                f"{node.get('source_name')}.{node['name']}",
            ):
                return str(node["relation_name"])
        raise LookupError(f"no model, seed or source {name}")

    @cached_property
    def models_in_order(self) -> list[str]:
        """Unique ids of all models, each after those that it is built from."""
        parents = {key: node["depends_on"]["nodes"] for key, node in self.nodes.items() if key.startswith("model.")}
        return [key for key in TopologicalSorter(parents).static_order() if key.startswith("model.")]

    def build_from(self, relation: str) -> set[str]:
        """Build again what is built from a table; returns the tables that are other now, the first one included.

        A model is built again when one of its parents is other, and is other itself when its rows are. dbt's hooks
        do not run: the one that stops a build on what `int_pricing_errors` lists would hide what else finds a fault.
        """
        touched = {relation}
        for key in self.models_in_order:
            node = self.nodes[key]
            table = node["relation_name"]
            parents = {self.nodes[parent]["relation_name"] for parent in node["depends_on"]["nodes"]}
            if parents & touched and table != relation and self._is_other_once_built(table, self._compiled[key]):
                touched.add(table)
        return touched

    def _is_other_once_built(self, table: str, query: str) -> bool:
        """Build a table again, and tell whether its rows are other ones than before. A view may always be."""
        if self._type_of(table) == "view":
            return True
        execute = self.connection.execute
        execute(f"create or replace temp table before as from {table}")
        execute(f"create or replace table {table} as {query}")
        gone, new = (f"from {one} except all from {two}" for one, two in (("before", table), (table, "before")))
        return bool(execute(f"select 1 from (({gone}) union all ({new})) limit 1").fetchall())

    def _type_of(self, relation: str) -> str:
        schema, name = relation.replace('"', "").split(".")[1:]
        is_view = self.connection.execute(
            "select count(*) from duckdb_views() where schema_name = ? and view_name = ?", [schema, name]
        ).fetchone()
        return "view" if is_view and is_view[0] else "table"

    def open_up(self, relation: str) -> None:
        """Make a relation a plain table, without constraints and with a row in it, so that anything can be planted."""
        connection = self.connection
        connection.execute(f"create or replace temp table opened as select * from {relation}")
        connection.execute(f"drop {self._type_of(relation)} {relation}")
        connection.execute(f"create table {relation} as select * from opened")
        if not connection.execute(f"select count(*) from {relation}").fetchall()[0][0]:
            columns = connection.execute(f"describe {relation}").fetchall()
            fillers = ", ".join(f"{FILLERS.get(kind, '0')}::{kind}" for _, kind, *_ in columns)
            connection.execute(f"insert into {relation} select {fillers}")

    def open_up_view(self, relation: str) -> None:
        """Make a view a plain table, so that a fault can be planted in it; a table stays as it is."""
        if self._type_of(relation) == "view":
            self.open_up(relation)

    @contextmanager
    def tampering(self) -> Iterator[None]:
        """Undo everything at the end."""
        self.connection.execute("begin transaction")
        try:
            yield
        finally:
            self.connection.execute("rollback")

    def is_failing(self, check: Check) -> bool:
        """Whether a data test finds something."""
        return bool(self.connection.execute(f"select 1 from ({check.sql}) limit 1").fetchall())

    def failing(self, touched: Iterable[str]) -> set[str]:
        """Names of the data tests that fail, among those that read a touched table."""
        tables = set(touched)
        return {name for name, check in self.checks.items() if check.reads & tables and self.is_failing(check)}


FILLERS = {"VARCHAR": "'filler'", "TIMESTAMP": "'2026-10-01'", "DATE": "'2026-10-01'", "BOOLEAN": "true"}


def connect(warehouse: Path) -> duckdb.DuckDBPyConnection:
    """Open a warehouse as dbt does."""
    connection = duckdb.connect(str(warehouse))
    connection.execute("set TimeZone = 'UTC'")
    return connection


@pytest.fixture(scope="module")
def sound(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A warehouse with every kind of row in it, a closed period among them, built, with all data tests passing."""
    warehouse = tmp_path_factory.mktemp("sound") / "usage.duckdb"
    seeds = pipeline.write_seeds(warehouse.parent / "seeds", **SEEDS)
    closing_variables = {"close_period": CLOSED, "first_billing_period": CLOSED}
    tenant = TENANT.tenant()
    # The account is read once: a vendor that withdraws a session books that, it does not take a booking back.
    options = Options(account=AccountOptions(refused=dict.fromkeys(get_args(AccountRoute), 403)))
    with serve(tenant, options, odd_answer) as server:
        pipeline.extract(server.base_url, warehouse, span=SPAN)
    pipeline.build(warehouse, "--exclude-resource-type", "unit_test", variables=closing_variables, seeds=seeds)
    for session_id in WITHDRAWN:
        tenant.remove_session(session_id)
    for late in LATE:
        tenant.add_session(late)
    with serve(tenant, fault=odd_answer) as server:
        pipeline.extract(server.base_url, warehouse, span=SPAN)
    pipeline.write_seeds(seeds, **SEEDS | DEARER)
    # In full: what dbt compiles then reads whole tables.
    pipeline.build(warehouse, "--full-refresh", "--write-json", seeds=seeds)
    return warehouse


@pytest.fixture
def copy(sound: Path, tmp_path: Path) -> Path:
    """A copy of it, with dbt's files."""
    shutil.copytree(sound.parent, tmp_path / "copy")
    return tmp_path / "copy" / sound.name


@pytest.fixture(scope="module")
def project(sound: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Project]:
    """The project on another copy, whose tables tests may tamper with."""
    directory = tmp_path_factory.mktemp("tampered") / "copy"
    shutil.copytree(sound.parent, directory)
    with closing(connect(directory / sound.name)) as connection:
        # To look for a better plan takes longer than any plan on a few rows.
        connection.execute("set threads = 1; pragma disable_optimizer")
        yield Project(directory / sound.name, connection)


# --- Generic tests -------------------------------------------------------------------------------------------------

Plant = Callable[[Project, Check], None]


def add_row(project: Project, check: Check, where: str = "true", **cells: str) -> None:
    """Add a copy of a row with these cells, given as SQL."""
    replaced = ", ".join(f'{value} as "{column}"' for column, value in cells.items())
    columns = f"* replace ({replaced})" if replaced else "*"
    project.connection.execute(
        f"insert into {check.relation} select {columns} from {check.relation} where {where} limit 1"
    )


def foreign(project: Project, check: Check, text: str) -> str:
    """SQL of a value that a column does not hold."""
    column = check.arguments["column_name"]
    kind = project.connection.execute(f"select typeof({column}) from {check.relation} limit 1").fetchall()[0][0]
    return f"'{text}'" if kind == "VARCHAR" else "-1"


def plant_null(column: str) -> Plant:
    """What adds a row with a null in this column."""
    return lambda project, check: add_row(project, check, **{column: "null"})


def plant_repeated_value(project: Project, check: Check) -> None:
    add_row(project, check, where=f"{check.arguments['column_name']} is not null")


def plant_repeated_row(project: Project, check: Check) -> None:
    add_row(project, check)


def plant_unknown_key(project: Project, check: Check) -> None:
    """An id that no table knows; it reads as a period too, so that no other test stumbles over it."""
    add_row(project, check, **{check.arguments["column_name"]: foreign(project, check, "1000-01")})


def plant_unknown_word(project: Project, check: Check) -> None:
    add_row(project, check, **{check.arguments["column_name"]: foreign(project, check, "not a word of ours")})


def plant_too_low(project: Project, check: Check) -> None:
    """The smallest step below the bound that the column's type can show."""
    column = check.arguments["column_name"]
    kind = project.connection.execute(f"select typeof({column}) from {check.relation} limit 1").fetchall()[0][0]
    scale = re.fullmatch(r"DECIMAL\(\d+,(\d+)\)", kind)
    step = f"1e-{scale.group(1)}::{kind}" if scale else "1"
    add_row(project, check, **{column: f"{check.arguments['bound']} - {step}"})


GENERIC_FAULTS: Mapping[str, Plant] = {
    "unique": plant_repeated_value,
    "unique_combination": plant_repeated_row,
    "relationships": plant_unknown_key,
    "accepted_values": plant_unknown_word,
    "at_least": plant_too_low,
}


def plants(check: Check) -> Iterator[Plant]:
    """The faults that a generic test has to find, one after the other; none for a kind that `FAULTS` covers."""
    if check.kind == "never_null":
        yield from map(plant_null, check.arguments["columns"])
    elif check.kind in GENERIC_FAULTS:
        yield GENERIC_FAULTS[check.kind]


def test_each_generic_data_test_finds_its_fault(project: Project) -> None:
    missed = []
    for check in project.checks.values():
        for plant in plants(check):
            with project.tampering():
                project.open_up(check.relation)
                plant(project, check)
                if not project.is_failing(check):
                    missed.append((check.name, plant))
    assert not missed


# --- Conditions and reconciliations --------------------------------------------------------------------------------


@dataclass(frozen=True)
class Fault:
    """Something that went wrong in one table, and the data tests that must say so, and no others."""

    what: str
    table: str
    """Where: a model, or a source with its schema."""
    sql: str
    caught_by: frozenset[str]


def fault(what: str, table: str, sql: str, *caught_by: str) -> Fault:
    """A fault; `{table}` in its SQL is the table."""
    return Fault(what, table, sql, frozenset(caught_by))


def of(user: str, quota: str, period: str = "2026-10") -> str:
    """The condition of one row of the quota mart."""
    return f" where external_user_id = '{user}' and quota = '{quota}' and billing_period = '{period}'"


def line(user: str, kind: str, period: str = "2026-10") -> str:
    """The condition of a user's lines of one type on one invoice."""
    return f" where external_user_id = '{user}' and line_type = '{kind}' and invoice_period = '{period}'"


OWN_STEPS = "assert_own_steps_reconcile"
VENDOR = "assert_vendor_figures_reconcile"
TOTALS = "assert_users_and_unattributed_are_the_total"
PARTS = "assert_parts_sum_to_their_session"
NEWEST = "assert_parts_are_of_the_newest_versions"
ACCOUNTED = "assert_every_raw_row_is_accounted_for"
REPORTED = "assert_rejected_rows_are_reported"
CHECKED = "assert_every_period_is_checked"
COVERED = "assert_complete_periods_are_covered"
FACTS = "assert_facts_agree_with_their_parts"
LISTED = "assert_facts_lie_in_listed_periods"
QUOTAS = "assert_quota_figures_hold_together"
BILLED = "assert_usage_is_billed_or_unbilled"
LINES = "assert_lines_equal_recomputation"
LINE_USAGE = "assert_line_usage_sums_to_lines"
SESSION_DAYS = "assert_line_usage_sums_to_session_days"
INVOICES = "assert_invoices_sum_to_lines"
FROZEN = "assert_closed_lines_are_the_ledgers"
LEDGER = "assert_ledger_is_intact"
NUMBERS = "assert_document_numbers_have_no_gaps"
DIMENSIONS = "assert_dimensions_know_every_key"
BILL = "assert_vendor_bill_agrees"
STRIPE = "assert_stripe_agrees"
STRIPE_LINES = "assert_stripe_lines_sum_to_invoices"
ROLLS = "assert_vendor_balance_rolls_forward"
BRIDGE = "assert_vendor_bill_bridge_sums"
REASONS = "fct_invoice_lines_open_adjustments_have_reasons"
FOCUS = "assert_focus_charges_keep_the_specification"
FOCUS_SUMS = "assert_focus_sums_equal_the_marts"
ONE_CHARGE = (
    "unique_combination_int_focus_charges_invoice_id__line_id__charge_category__from_date__external_project_id__"
    "workspace_id__sandbox_id"
)
ONE_COST = (
    "unique_combination_int_focus_costs_billing_period__usage_date__external_user_id__external_project_id__"
    "workspace_id__sandbox_id__unit_price__currency"
)

USAGE_CELLS = "fct_invoice_line_usage_never_null"
LINE_OF_USAGE = "relationships_fct_invoice_line_usage_line_id__line_id__ref_fct_invoice_lines_"
REVENUE = "assert_revenue_days_sum_to_lines"
ONE_BREAKDOWN = "unique_combination_fct_invoice_breakdown_line_id__external_project_id__workspace_id"
ONE_REVENUE_DAY = (
    "unique_combination_fct_revenue_days_line_type__external_user_id__plan_id__currency__external_project_id__"
    "service_date__recognized_in"
)

ONE_INVOICE = "unique_combination_fct_invoices_external_user_id__invoice_period__currency"
ONE_INVOICE_ID = "unique_fct_invoices_invoice_id"
ONE_SUM = "unique_combination_int_invoices_invoice_id"
ONE_USAGE_ROW = "unique_combination_fct_invoice_line_usage_line_id__session_id__usage_date"
ONE_RATED_USAGE_ROW = "unique_combination_int_rated_line_usage_line_id__session_id__usage_date"
ONE_PRICE_PER_DAY = "unique_combination_int_session_days_with_plan_ref_int_pricing_errors___session_id__usage_date"

USERS_OF_MARTS = tuple(
    f"relationships_{mart}_external_user_id__external_user_id__ref_dim_users_"
    for mart in (
        "fct_session_period_credits",
        "fct_user_day_credits",
        "fct_user_period_credits",
        "fct_quota_utilization",
        "fct_quota_forecast",
        "rpt_quota_alerts",
        "rpt_quota_counters",
    )
)
"""Each user of these marts is listed in dim_users."""

FAULTS = (
    # Raw and staging
    fault(
        "a session never arrived",
        "raw.usage_sessions",
        "delete from {table} where row_key = 'days'",
        *(
            BILL,
            VENDOR,
        ),
    ),
    fault(
        "a session is lost in staging",
        "stg_miosa__usage_sessions",
        "delete from {table} where session_id = 'small'",
        *(ACCOUNTED, NEWEST, OWN_STEPS),
    ),
    fault(
        "a session is there twice in staging",
        "stg_miosa__usage_sessions",
        "insert into {table} from {table} where session_id = 'small'",
        *(BILL, NEWEST, ONE_PRICE_PER_DAY, OWN_STEPS, ONE_USAGE_ROW, ONE_RATED_USAGE_ROW),
        "unique_combination_stg_miosa__usage_sessions_row_key__has_session_id",
        "unique_int_sessions_session_id",
        "unique_combination_int_session_days_session_id__usage_date",
        "unique_combination_int_session_periods_session_id__billing_period",
        "unique_combination_fct_session_period_credits_session_id__billing_period",
    ),
    *(
        fault(
            f"what an older version said is left in {table}",
            table,
            "update {table} set load_id = load_id - 1 where session_id = 'small'",
            NEWEST,
        )
        for table in ("int_independent_session_periods", "int_session_periods", "int_session_days")
    ),
    fault(
        "what an older version said is left in int_sessions",
        "int_sessions",
        "update {table} set load_id = load_id - 1 where session_id = 'small'",
        *(ACCOUNTED, NEWEST),
    ),
    fault(
        "a session has another owner in staging",
        "stg_miosa__usage_sessions",
        "update {table} set external_user_id = 'ben' where session_id = 'overlaps'",
        *(OWN_STEPS, VENDOR),
    ),
    fault(
        "an owner of a sandbox counts from a microsecond too late on",
        "int_sandbox_owners",
        "update {table} set valid_from_utc = '2026-10-02 00:00:00.000001' where sandbox_id = 'b1'",
        *(OWN_STEPS, VENDOR),
    ),
    fault(
        "a nano-credit is lost in staging",
        "stg_miosa__usage_sessions",
        "update {table} set cost_nano_credits = cost_nano_credits - 1 where session_id = 'days'",
        *(OWN_STEPS,),
    ),
    fault(
        "a rejected row is billed",
        "stg_miosa__usage_sessions",
        "update {table} set rejection_reason = null, cost_nano_credits = 1 where session_id = 'negative'",
        *(NEWEST, OWN_STEPS),
    ),
    fault(
        "a good row is rejected",
        "stg_miosa__usage_sessions",
        "update {table} set rejection_reason = 'bad_cost' where session_id = 'small'",
        *(NEWEST, OWN_STEPS, "rpt_rejected_rows_show_the_row_unless_hidden"),
    ),
    fault(
        "a good row is taken for void",
        "stg_miosa__usage_sessions",
        "update {table} set is_void = true where session_id = 'small'",
        *(NEWEST, OWN_STEPS),
    ),
    fault(
        "a void is lost in staging",
        "stg_miosa__usage_sessions",
        "delete from {table} where is_void",
        *(ACCOUNTED,),
    ),
    fault(
        "a void is billed",
        "stg_miosa__usage_sessions",
        "update {table} set is_void = false, external_user_id = 'ben', started_at_utc = '2026-10-10 00:00:00',"
        " ended_at_utc = '2026-10-10 01:00:00', cost_nano_credits = 6000000000 where session_id = 'gone'",
        *(BILL, NEWEST, OWN_STEPS, VENDOR),
    ),
    fault(
        "a usable row lost its end",
        "stg_miosa__usage_sessions",
        "update {table} set ended_at_utc = null where session_id = 'overlaps'",
        *(BILL, NEWEST, VENDOR, OWN_STEPS, "stg_miosa__usage_sessions_usable_rows_are_whole"),
    ),
    fault(
        "a session starts half an hour late",
        "stg_miosa__usage_sessions",
        "update {table} set started_at_utc = started_at_utc + interval 30 minute where session_id = 'crosses'",
        *(OWN_STEPS, VENDOR),
    ),
    fault(
        "a sandbox is lost in staging",
        "stg_miosa__sandboxes",
        "delete from {table} where sandbox_id = 'b1'",
        *(OWN_STEPS, VENDOR),
    ),
    fault(
        "a load is lost in staging",
        "stg_miosa__loads",
        "delete from {table} where resource = 'usage_sessions' and window_start_at_utc = '2026-10-03'",
        *(NEWEST, ACCOUNTED, OWN_STEPS, VENDOR, BILL),
    ),
    # Intermediate
    fault(
        "a session is lost on the way from staging",
        "int_sessions",
        "delete from {table} where session_id = 'small'",
        *(NEWEST, ACCOUNTED, OWN_STEPS),
    ),
    fault(
        "a session runs backwards",
        "int_sessions",
        "update {table} set end_at_utc = started_at_utc - interval 1 second, elapsed_microseconds = -1000000"
        " where session_id = 'small'",
        "int_sessions_intervals_do_not_run_backwards",
        "int_session_days_parts_lie_in_their_day",
        "fct_session_period_credits_part_in_period",
    ),
    fault(
        "a part of a session is lost",
        "int_session_days",
        "delete from {table} where usage_date = '2026-10-06'",
        *(BILL, NEWEST, BILLED, PARTS, OWN_STEPS, TOTALS),
    ),
    fault(
        "a part of a session is there twice",
        "int_session_days",
        "insert into {table} from {table} where usage_date = '2026-10-06'",
        *(BILL, NEWEST, ONE_PRICE_PER_DAY, BILLED, PARTS, OWN_STEPS, TOTALS, ONE_USAGE_ROW, ONE_RATED_USAGE_ROW),
        "unique_combination_int_session_days_session_id__usage_date",
    ),
    fault(
        "a nano-credit of a part is lost",
        "int_session_days",
        "update {table} set nano_credits = nano_credits - 1 where usage_date = '2026-10-06'",
        *(BILLED, PARTS, OWN_STEPS, TOTALS),
    ),
    fault(
        "a second of a part is lost",
        "int_session_days",
        "update {table} set usage_seconds = usage_seconds - 1 where usage_date = '2026-10-06'",
        *(PARTS,),
    ),
    fault(
        "a nano-credit moved across a period's end",
        "int_session_days",
        "update {table} set nano_credits = nano_credits + case billing_period when '2026-09' then 1 else -1 end"
        " where session_id = 'crosses'",
        *(BILLED, OWN_STEPS, TOTALS),
    ),
    fault(
        "a part reaches over its day",
        "int_session_days",
        "update {table} set part_end_at_utc = part_end_at_utc + interval 1 microsecond where usage_date = '2026-09-30'",
        *(PARTS, "int_session_days_parts_lie_in_their_day"),
    ),
    fault(
        "parts of two users are swapped",
        "int_session_days",
        "update {table} set external_user_id = case external_user_id when 'ann' then 'ben' else 'ann' end"
        " where session_id in ('overlaps', 'runs')",
        *(PARTS, OWN_STEPS),
    ),
    fault(
        "the unattributed are lost",
        "int_session_days",
        "delete from {table} where not is_attributed",
        *(BILL, NEWEST, PARTS, OWN_STEPS, TOTALS),
    ),
    fault(
        "more sessions ended than began",
        "int_concurrency_levels",
        "update {table} set running_session_count = -1 where running_session_count = 2",
        "int_concurrency_levels_counts_are_possible",
    ),
    fault(
        "raw has a nano-credit more",
        "int_independent_session_periods",
        "update {table} set nano_credits = nano_credits + 1 where external_user_id = 'ben'",
        *(OWN_STEPS,),
    ),
    fault(
        "a session's part of a period is lost",
        "int_session_periods",
        "delete from {table} where session_id = 'small'",
        *(NEWEST, PARTS, OWN_STEPS, TOTALS, BILLED),
    ),
    fault(
        "a session's part of a period is there twice",
        "int_session_periods",
        "insert into {table} from {table} where session_id = 'small'",
        *(NEWEST, PARTS, OWN_STEPS, TOTALS, BILLED),
        "unique_combination_int_session_periods_session_id__billing_period",
        "unique_combination_fct_session_period_credits_session_id__billing_period",
    ),
    fault(
        "a session's part of a period moved to another period",
        "int_session_periods",
        "update {table} set billing_period = '2026-10' where billing_period = '2026-09'",
        *(SESSION_DAYS, OWN_STEPS, TOTALS, VENDOR, BILLED),
        "fct_session_period_credits_part_in_period",
        "unique_combination_int_session_periods_session_id__billing_period",
        "unique_combination_fct_session_period_credits_session_id__billing_period",
    ),
    fault(
        "a session's part of a period has another owner",
        "int_session_periods",
        "update {table} set external_user_id = 'ben' where session_id = 'overlaps'",
        *(PARTS, OWN_STEPS, VENDOR),
    ),
    fault(
        "a nano-credit moved between parts of a period of two sessions of a user",
        "int_session_periods",
        "update {table} set nano_credits = nano_credits + case session_id when 'small' then 1 else -1 end"
        " where session_id in ('small', 'owned')",
        *(PARTS,),
    ),
    fault(
        "a session's part of a period is a second longer",
        "int_session_periods",
        "update {table} set usage_seconds = usage_seconds + 1 where session_id = 'small'",
        *(PARTS,),
    ),
    # Changes: in a full build the change models decide nothing, so only their keys can be wrong.
    *(
        fault(
            f"a change is listed twice in {table}",
            table,
            "insert into {table} from {table}",
            f"unique_combination_{table}_{key}",
        )
        for table, key in {
            "int_changed_sessions": "load_id__row_number",
            "int_price_segments_snapshot": "external_user_id__billing_period__from_date",
            "int_rated_lines_snapshot": "line_id",
            "int_quota_usage_snapshot": "external_user_id__billing_period__quota",
            **dict.fromkeys(
                (f"int_user_periods_changed_by_{cause}" for cause in ("usage", "prices", "lines", "limits", "recount")),
                "external_user_id__billing_period__cause",
            ),
        }.items()
    ),
    fault(
        "a changed session is listed twice in staging",
        "stg_miosa__changed_sessions",
        "insert into {table} from {table}",
        "unique_combination_stg_miosa__changed_sessions_load_id__row_number",
        "unique_combination_int_changed_sessions_load_id__row_number",
    ),
    fault(
        "an answer about a quota is there twice",
        "stg_miosa__quota_answers",
        "insert into {table} from {table} where external_user_id = 'ann'",
        "unique_combination_stg_miosa__quota_answers_external_user_id",
        "unique_combination_dim_quota_answers_external_user_id",
    ),
    # Users and periods: faults in the int_ models run through everything that is built from them.
    fault(
        "a user's day is lost",
        "int_user_days",
        "delete from {table} where usage_date = '2026-10-06'",
        *(BILL, SESSION_DAYS, BILLED, OWN_STEPS, TOTALS, FACTS),
        *(FOCUS_SUMS,),
    ),
    fault(
        "a user's day is there twice",
        "int_user_days",
        "insert into {table} from {table} where usage_date = '2026-10-06'",
        *(
            BILL,
            "unique_combination_int_vendor_invoice_credits_invoice_id__external_user_id__usage_date",
            BILLED,
            LINE_USAGE,
            OWN_STEPS,
            TOTALS,
            "unique_combination_fct_user_day_credits_external_user_id__usage_date",
        ),
        "unique_combination_int_user_days_external_user_id__usage_date",
        *(REVENUE,),
        *(FOCUS_SUMS,),
    ),
    fault(
        "a user's day stands in another period",
        "int_user_days",
        "update {table} set billing_period = '2026-09' where usage_date = '2026-10-06'",
        *(SESSION_DAYS, BILLED, OWN_STEPS, TOTALS, "fct_user_day_credits_day_in_period"),
        *(FOCUS_SUMS,),
    ),
    fault(
        "a user's day too many, without credits",
        "int_user_days",
        "insert into {table} select * replace ('2026-09-01'::date as usage_date, '2026-09' as billing_period,"
        " 0 as nano_credits) from {table} where usage_date = '2026-10-20'",
        *(OWN_STEPS, FACTS),
    ),
    fault(
        "a nano-credit moved between two days of a user",
        "int_user_days",
        "update {table} set nano_credits = nano_credits + case usage_date when '2026-10-05' then 1"
        " else -1 end where external_user_id = 'ann' and usage_date in ('2026-10-05', '2026-10-06')",
        *(FACTS,),
    ),
    fault(
        "a user's day is a second longer",
        "int_user_days",
        "update {table} set usage_seconds = usage_seconds + 1 where usage_date = '2026-10-06'",
        *(FACTS,),
    ),
    fault(
        "a user's day has a session too many",
        "int_user_days",
        "update {table} set session_count = session_count + 1 where usage_date = '2026-10-06'",
        *(FACTS,),
    ),
    fault(
        "a nano-credit is lost in a user's period",
        "int_user_periods",
        "update {table} set nano_credits = nano_credits - 1 where external_user_id = 'ben'",
        *(OWN_STEPS, TOTALS, FACTS, BILLED),
    ),
    fault(
        "a user's period is lost",
        "int_user_periods",
        "delete from {table} where external_user_id = 'ben'",
        *(OWN_STEPS, TOTALS, FACTS, QUOTAS, VENDOR, BILLED),
    ),
    fault(
        "two users' periods are swapped",
        "int_user_periods",
        "update {table} set external_user_id = case external_user_id when 'ann' then 'ben' else 'ann' end"
        " where billing_period = '2026-10' and external_user_id in ('ann', 'ben')",
        *(OWN_STEPS, FACTS, QUOTAS, VENDOR),
    ),
    fault(
        "a user's period is a second longer",
        "int_user_periods",
        "update {table} set usage_seconds = usage_seconds + 1 where external_user_id = 'ben'",
        *(FACTS,),
    ),
    fault(
        "a user's period has a session too many",
        "int_user_periods",
        "update {table} set session_count = session_count + 1 where external_user_id = 'ben'",
        *(FACTS,),
    ),
    fault(
        "a user's period has a sandbox too few",
        "int_user_periods",
        "update {table} set sandbox_count = sandbox_count - 1 where external_user_id = 'ann' and sandbox_count > 1",
        *(FACTS,),
    ),
    fault(
        "nothing is provisional",
        "int_user_periods",
        "update {table} set provisional_nano_credits = 0",
        *(FACTS,),
    ),
    fault(
        "more is provisional than there is",
        "int_user_periods",
        "update {table} set provisional_nano_credits = nano_credits + 1 where external_user_id = 'ben'",
        *(FACTS, "fct_user_period_credits_provisional_within_credits"),
    ),
    fault(
        "more run at the same time than there are",
        "int_user_periods",
        "update {table} set peak_concurrent = session_count + 1 where external_user_id = 'ben'",
        "fct_user_period_credits_peak_within_sessions",
    ),
    fault(
        "a user with usage is not named",
        "int_users",
        "delete from {table} where external_user_id = 'ben'",
        *(DIMENSIONS,),
    ),
    fault(
        "a user is lost",
        "int_user_details",
        "delete from {table} where external_user_id = 'ben'",
        *(DIMENSIONS, *USERS_OF_MARTS),
    ),
    fault(
        "a user is there twice with details",
        "int_user_details",
        "insert into {table} from {table} where external_user_id = 'ben'",
        "unique_dim_users_external_user_id",
        "unique_combination_int_user_details_external_user_id",
    ),
    fault(
        "a project is there twice",
        "int_project_periods",
        "insert into {table} from {table}",
        "unique_combination_int_project_periods_external_user_id__billing_period__external_project_id",
    ),
    fault(
        "a user is there twice",
        "int_users",
        "insert into {table} from {table} where external_user_id = 'ben'",
        "unique_dim_users_external_user_id",
        "unique_combination_int_user_details_external_user_id",
        "unique_combination_int_users_external_user_id",
    ),
    fault(
        "users are said to be nobody",
        "int_users",
        "update {table} set is_attributed = not is_attributed",
        "dim_users_is_attributed_follows_the_id",
    ),
    fault(
        "a month is listed before it begins",
        "int_usage_periods",
        "insert into {table} select * replace ('2099-01' as billing_period,"
        " timestamp '2099-01-01' as period_start_at_utc,"
        " timestamp '2099-02-01' as period_end_at_utc, false as is_complete)"
        " from {table} where billing_period = '2026-10'",
        *(LISTED,),
    ),
    fault(
        "a month with usage is not listed",
        "int_usage_periods",
        "delete from {table} where billing_period = '2026-07'",
        *(LISTED, TOTALS),
    ),
    fault(
        "a period starts late",
        "int_usage_periods",
        "update {table} set period_start_at_utc = period_start_at_utc + interval 1 microsecond",
        "dim_billing_periods_bounds_are_the_months",
        "fct_session_period_credits_part_in_period",
        "fct_user_day_credits_day_in_period",
    ),
    fault(
        "a period ends early",
        "int_usage_periods",
        "update {table} set period_end_at_utc = period_end_at_utc - interval 1 microsecond",
        *(COVERED, "dim_billing_periods_bounds_are_the_months", "fct_session_period_credits_part_in_period"),
    ),
    fault(
        "no period is complete",
        "int_usage_periods",
        "update {table} set is_complete = false",
        *(COVERED,),
    ),
    fault(
        "a period that was read in part is complete",
        "int_usage_periods",
        "update {table} set is_complete = true where billing_period = '2026-07'",
        *(COVERED, VENDOR),
    ),
    fault(
        "a closed period does not say when",
        "int_usage_periods",
        "update {table} set closed_at_utc = null where is_closed",
        "dim_billing_periods_closed_says_when",
    ),
    fault(
        "an open period is called closed",
        "int_usage_periods",
        "update {table} set is_closed = true where billing_period = '2026-10'",
        "dim_billing_periods_closed_says_when",
    ),
    fault(
        "a user over the limit is only warned",
        "int_quota_utilization",
        "update {table} set status = 'warning' where status = 'over_limit'",
        "fct_quota_utilization_status_follows_figures",
    ),
    fault(
        "a user at the limit is ok",
        "int_quota_utilization",
        "update {table} set status = 'ok' where status = 'at_limit'",
        *(QUOTAS, "fct_quota_utilization_status_follows_figures"),
    ),
    fault(
        "a limit on storage has no use, and is ok",
        "int_quota_utilization",
        "update {table} set used_value = null, headroom_value = null, utilization = null, status = 'ok'"
        + of("ben", "storage_gb"),
        "fct_quota_utilization_status_follows_figures",
    ),
    fault(
        "what is measured for each user is not measured",
        "int_quota_utilization",
        "update {table} set used_value = null, headroom_value = null, utilization = null, status = 'not_measured'"
        + of("ben", "concurrent"),
        *(QUOTAS, "fct_quota_utilization_status_follows_figures"),
    ),
    fault(
        "headroom is off by the least step",
        "int_quota_utilization",
        "update {table} set headroom_value = headroom_value + 0.000000001"
        " where external_user_id = 'ben' and quota = 'storage_gb'",
        "fct_quota_utilization_headroom_is_the_rest",
    ),
    fault(
        "a quota misses a nano-credit",
        "int_quota_utilization",
        "update {table} set used_value = used_value - 0.000000001, headroom_value = headroom_value + 0.000000001"
        + of("ann", "credits"),
        *(TOTALS, QUOTAS),
    ),
    fault(
        "a user has one quota less",
        "int_quota_utilization",
        "delete from {table} where external_user_id = 'ann' and quota = 'storage_gb'",
        *(QUOTAS,),
    ),
    fault(
        "there are quotas of credits only",
        "int_quota_utilization",
        "delete from {table} where quota <> 'credits'",
        *(QUOTAS,),
    ),
    fault(
        "a user with a quota is missing in a month without usage",
        "int_quota_utilization",
        "delete from {table} where external_user_id = 'ben' and billing_period = '2026-09'",
        *(QUOTAS,),
    ),
    fault(
        "a user whose usage was free has no quotas",
        "int_quota_utilization",
        "delete from {table} where external_user_id = 'cid'",
        *(QUOTAS,),
    ),
    fault(
        "a nano-credit of use moved between two users",
        "int_quota_utilization",
        "update {table} set"
        " used_value = used_value + case external_user_id when 'ann' then 0.000000001 else -0.000000001 end,"
        " headroom_value = headroom_value - case external_user_id when 'ann' then 0.000000001 else -0.000000001 end"
        " where external_user_id in ('ann', 'ben') and quota = 'credits' and billing_period = '2026-10'",
        *(QUOTAS,),
    ),
    fault(
        "nothing ran at any time",
        "int_quota_utilization",
        "update {table} set used_value = 0, headroom_value = limit_value, utilization = 0, status = 'ok',"
        " reached_limit_at_utc = null" + of("ann", "concurrent"),
        *(QUOTAS,),
    ),
    fault(
        "fewer sandboxes than ran in the period",
        "int_quota_utilization",
        "update {table} set used_value = 1, headroom_value = 0, utilization = 1, status = 'at_limit'"
        + of("ann", "sandboxes"),
        *(QUOTAS,),
    ),
    fault(
        "utilization is a millionth too high",
        "int_quota_utilization",
        "update {table} set utilization = utilization + 0.000001" + of("ben", "credits"),
        *(QUOTAS,),
    ),
    fault(
        "utilization is a millionth too low",
        "int_quota_utilization",
        "update {table} set utilization = utilization - 0.000001" + of("ben", "credits"),
        *(QUOTAS,),
    ),
    fault(
        "utilization is the largest there is",
        "int_quota_utilization",
        "update {table} set utilization = 999999999999.999999" + of("ben", "credits"),
        *(QUOTAS,),
    ),
    fault(
        "utilization is the largest there is, where it would be larger yet",
        "int_quota_utilization",
        "update {table} set limit_value = 0.000000001, used_value = 2000000,"
        " headroom_value = 0.000000001 - 2000000, utilization = 999999999999.999999, status = 'over_limit'"
        " where external_user_id = 'ben' and quota = 'storage_gb'",
    ),
    fault(
        "a limit has no utilization",
        "int_quota_utilization",
        "update {table} set utilization = null" + of("ben", "credits"),
        *(QUOTAS,),
    ),
    fault(
        "a limit of zero has a utilization",
        "int_quota_utilization",
        "update {table} set utilization = 1" + of("ben", "concurrent"),
        *(QUOTAS,),
    ),
    fault(
        "a user near the limit is ok",
        "int_quota_utilization",
        "update {table} set status = 'ok' where status = 'warning'",
        *(QUOTAS,),
    ),
    fault(
        "a user far from the limit is warned",
        "int_quota_utilization",
        "update {table} set status = 'warning'" + of("ann", "credits"),
        *(QUOTAS,),
    ),
    fault(
        "a limit that was reached does not say when",
        "int_quota_utilization",
        "update {table} set reached_limit_at_utc = null" + of("ann", "concurrent"),
        *(QUOTAS,),
    ),
    fault(
        "a limit that was not reached says when",
        "int_quota_utilization",
        "update {table} set reached_limit_at_utc = '2026-10-05'" + of("ann", "credits"),
        *(QUOTAS,),
    ),
    fault(
        "a limit of zero does not say when it was reached",
        "int_quota_utilization",
        "update {table} set reached_limit_at_utc = null" + of("ben", "concurrent"),
        *(QUOTAS,),
    ),
    fault(
        "a limit of zero that was not reached says when",
        "int_quota_utilization",
        "update {table} set reached_limit_at_utc = '2026-09-05'" + of("ben", "concurrent", "2026-09"),
        *(QUOTAS,),
    ),
    fault(
        "storage says when its limit was reached",
        "int_quota_utilization",
        "update {table} set reached_limit_at_utc = '2026-10-05'" + of("ben", "storage_gb"),
        *(QUOTAS,),
    ),
    fault(
        "a limit that is not set says when it was reached",
        "int_quota_utilization",
        "update {table} set reached_limit_at_utc = '2026-10-05'" + of("cid", "concurrent"),
        *(QUOTAS,),
    ),
    fault(
        "a limit was reached a month early",
        "int_quota_utilization",
        "update {table} set reached_limit_at_utc = '2026-09-30 23:00:00'" + of("ann", "sandboxes"),
        *(QUOTAS,),
    ),
    fault(
        "a limit was reached after the period",
        "int_quota_utilization",
        "update {table} set reached_limit_at_utc = '2026-11-01 00:00:00.000001'" + of("ann", "sandboxes"),
        *(QUOTAS,),
    ),
    # Marts: faults between an int_ model and the mart that shows it. Only the mart is wrong; its own tests find it.
    fault(
        "a session's part is lost",
        "fct_session_period_credits",
        "delete from {table} where session_id = 'small'",
        *(OWN_STEPS, TOTALS, FACTS),
    ),
    fault(
        "a session's part moved to another period",
        "fct_session_period_credits",
        "update {table} set billing_period = '2026-10' where billing_period = '2026-09'",
        *(OWN_STEPS, TOTALS, FACTS),
        "fct_session_period_credits_part_in_period",
        "unique_combination_fct_session_period_credits_session_id__billing_period",
    ),
    fault(
        "a session's part has another owner",
        "fct_session_period_credits",
        "update {table} set external_user_id = 'ben' where session_id = 'overlaps'",
        *(OWN_STEPS, FACTS),
    ),
    fault(
        "a nano-credit moved between two sessions of a user",
        "fct_session_period_credits",
        "update {table} set credits = credits + case session_id when 'small' then 0.000000001 else -0.000000001 end"
        " where session_id in ('small', 'owned')",
        *(FACTS,),
    ),
    fault(
        "a session's part is a second longer",
        "fct_session_period_credits",
        "update {table} set usage_seconds = usage_seconds + 1 where session_id = 'small'",
        *(FACTS,),
    ),
    fault(
        "a running session's part is called final",
        "fct_session_period_credits",
        "update {table} set is_provisional = false where session_id = 'runs'",
        *(FACTS,),
    ),
    fault(
        "a session's part is there twice",
        "fct_session_period_credits",
        "insert into {table} from {table} where session_id = 'small'",
        *(OWN_STEPS, TOTALS, FACTS),
        "unique_combination_fct_session_period_credits_session_id__billing_period",
    ),
    fault(
        "the mart lacks a user's day",
        "fct_user_day_credits",
        "delete from {table} where usage_date = '2026-10-06'",
        *(OWN_STEPS, TOTALS, FACTS),
        *(FOCUS_SUMS,),
    ),
    fault(
        "the mart has a user's day twice",
        "fct_user_day_credits",
        "insert into {table} from {table} where usage_date = '2026-10-06'",
        *(OWN_STEPS, TOTALS),
        "unique_combination_fct_user_day_credits_external_user_id__usage_date",
        *(FOCUS_SUMS,),
    ),
    fault(
        "the mart puts a user's day in another period",
        "fct_user_day_credits",
        "update {table} set billing_period = '2026-09' where usage_date = '2026-10-06'",
        *(OWN_STEPS, TOTALS),
        "fct_user_day_credits_day_in_period",
        *(FOCUS_SUMS,),
    ),
    fault(
        "the mart moves a nano-credit between two days of a user",
        "fct_user_day_credits",
        "update {table} set credits = credits + case usage_date when '2026-10-05' then 0.000000001"
        " else -0.000000001 end where external_user_id = 'ann' and usage_date in ('2026-10-05', '2026-10-06')",
        *(FACTS,),
    ),
    fault(
        "the mart's day is off by a nano-credit",
        "fct_user_day_credits",
        "update {table} set credits = credits - 0.000000001 where usage_date = '2026-10-06'",
        *(OWN_STEPS, TOTALS, FACTS),
        *(FOCUS_SUMS,),
    ),
    fault(
        "the mart lacks a user's period",
        "fct_user_period_credits",
        "delete from {table} where external_user_id = 'ben'",
        *(OWN_STEPS, TOTALS, FACTS, QUOTAS, BILLED),
    ),
    fault(
        "the mart has a user's period twice",
        "fct_user_period_credits",
        "insert into {table} from {table} where external_user_id = 'ben'",
        *(TOTALS, BILLED),
        "unique_combination_fct_user_period_credits_external_user_id__billing_period",
        "unique_combination_rpt_reconciliation_check_name__billing_period__external_user_id",
    ),
    fault(
        "the mart's period is off by a nano-credit",
        "fct_user_period_credits",
        "update {table} set credits = credits - 0.000000001 where external_user_id = 'ben'",
        *(OWN_STEPS, TOTALS, FACTS, QUOTAS, BILLED),
    ),
    fault(
        "the mart swaps two users' periods",
        "fct_user_period_credits",
        "update {table} set external_user_id = case external_user_id when 'ann' then 'ben' else 'ann' end"
        " where billing_period = '2026-10' and external_user_id in ('ann', 'ben')",
        *(OWN_STEPS, FACTS, QUOTAS),
    ),
    fault(
        "the mart shows more as provisional than there is",
        "fct_user_period_credits",
        "update {table} set provisional_credits = credits + 0.000000001 where external_user_id = 'ben'",
        *(FACTS,),
        "fct_user_period_credits_provisional_within_credits",
    ),
    fault(
        "the mart shows more at the same time than there are",
        "fct_user_period_credits",
        "update {table} set peak_concurrent = session_count + 1 where external_user_id = 'ben'",
        *(QUOTAS,),
        "fct_user_period_credits_peak_within_sessions",
    ),
    fault(
        "users' periods are said to be nobody's",
        "fct_user_period_credits",
        "update {table} set is_attributed = not is_attributed",
        *(OWN_STEPS,),
        "fct_user_period_credits_period_and_user_are_consistent",
    ),
    fault(
        "users' periods start late",
        "fct_user_period_credits",
        "update {table} set period_start_at_utc = period_start_at_utc + interval 1 microsecond",
        "fct_user_period_credits_period_and_user_are_consistent",
    ),
    fault(
        "users' periods end early",
        "fct_user_period_credits",
        "update {table} set period_end_at_utc = period_end_at_utc - interval 1 microsecond",
        "fct_user_period_credits_period_and_user_are_consistent",
    ),
    fault(
        "the mart lacks a user",
        "dim_users",
        "delete from {table} where external_user_id = 'ben'",
        *(DIMENSIONS, *USERS_OF_MARTS),
    ),
    fault(
        "an invoice is of a user without a row",
        "dim_users",
        "update {table} set external_user_id = 'gone' where external_user_id = 'ivy'",
        *(DIMENSIONS,),
    ),
    fault(
        "the mart lacks a day with usage",
        "dim_dates",
        "delete from {table} where calendar_date = '2026-10-06'",
        *(DIMENSIONS,),
    ),
    fault(
        "the mart lacks a plan on an invoice",
        "dim_plans",
        "delete from {table} where plan_id = 'tiers'",
        *(DIMENSIONS,),
    ),
    fault(
        "the mart lacks a sandbox with sessions",
        "dim_sandboxes",
        "delete from {table} where sandbox_id = 'a2'",
        *(DIMENSIONS,),
    ),
    fault(
        "the mart has a sandbox that is neither listed nor used",
        "dim_sandboxes",
        "update {table} set is_listed = null where first_started_at_utc is null and sandbox_id = 'e1'",
        "dim_sandboxes_are_listed_or_used",
    ),
    fault(
        "a sandbox is used no more before it is used",
        "dim_sandboxes",
        "update {table} set last_end_at_utc = first_started_at_utc - interval 1 microsecond where sandbox_id = 'a2'",
        "dim_sandboxes_are_listed_or_used",
    ),
    fault(
        "the mart lacks a project with sessions",
        "dim_projects",
        "delete from {table} where external_project_id = 'p1'",
        *(DIMENSIONS,),
    ),
    fault(
        "a project of one user does not say whose it is",
        "dim_projects",
        "update {table} set external_user_id = null where external_project_id = 'p1'",
        "dim_projects_user_is_the_only_one",
    ),
    fault(
        "a rejected row is hidden without being asked for",
        "rpt_rejected_rows",
        "update {table} set payload = null where row_id = 'negative'",
        "rpt_rejected_rows_show_the_row_unless_hidden",
    ),
    fault(
        "the mart has a user twice",
        "dim_users",
        "insert into {table} from {table} where external_user_id = 'ben'",
        "unique_dim_users_external_user_id",
    ),
    fault(
        "the mart shows users as nobody",
        "dim_users",
        "update {table} set is_attributed = not is_attributed",
        "dim_users_is_attributed_follows_the_id",
    ),
    fault(
        "the mart lacks a month with usage",
        "dim_billing_periods",
        "delete from {table} where billing_period = '2026-07'",
        *(LISTED,),
        "relationships_fct_quota_utilization_billing_period__billing_period__ref_dim_billing_periods_",
    ),
    fault(
        "the mart has a month twice",
        "dim_billing_periods",
        "insert into {table} from {table} where billing_period = '2026-07'",
        "unique_dim_billing_periods_billing_period",
    ),
    fault(
        "the mart's periods start late",
        "dim_billing_periods",
        "update {table} set period_start_at_utc = period_start_at_utc + interval 1 microsecond",
        "dim_billing_periods_bounds_are_the_months",
        "fct_session_period_credits_part_in_period",
        "fct_user_day_credits_day_in_period",
    ),
    fault(
        "the mart shows no period as complete",
        "dim_billing_periods",
        "update {table} set is_complete = false",
        *(COVERED,),
    ),
    fault(
        "the mart shows a closed period as open",
        "dim_billing_periods",
        "update {table} set is_closed = false",
        "dim_billing_periods_closed_says_when",
    ),
    fault(
        "the mart lacks a quota of a user",
        "fct_quota_utilization",
        "delete from {table} where external_user_id = 'ann' and quota = 'storage_gb'",
        *(QUOTAS,),
    ),
    fault(
        "the mart has a quota of a user twice",
        "fct_quota_utilization",
        "insert into {table} from {table}" + of("ann", "credits"),
        *(TOTALS,),
        "unique_combination_fct_quota_utilization_external_user_id__billing_period__quota",
    ),
    fault(
        "the mart's use is off by a nano-credit",
        "fct_quota_utilization",
        "update {table} set used_value = used_value - 0.000000001, headroom_value = headroom_value + 0.000000001"
        + of("ann", "credits"),
        *(TOTALS, QUOTAS),
    ),
    fault(
        "the mart's headroom is off by the least step",
        "fct_quota_utilization",
        "update {table} set headroom_value = headroom_value + 0.000000001"
        " where external_user_id = 'ben' and quota = 'storage_gb'",
        "fct_quota_utilization_headroom_is_the_rest",
    ),
    fault(
        "the mart only warns a user over the limit",
        "fct_quota_utilization",
        "update {table} set status = 'warning' where status = 'over_limit'",
        "fct_quota_utilization_status_follows_figures",
    ),
    fault(
        "the mart lacks an open line",
        "fct_invoice_lines",
        "delete from {table}" + line("ben", "usage"),
        *(INVOICES, LINES, LINE_USAGE, SESSION_DAYS, OWN_STEPS, BILLED, LINE_OF_USAGE, REVENUE),
    ),
    fault(
        "the mart lacks a closed line",
        "fct_invoice_lines",
        "delete from {table}" + line("ann", "fee", "2026-09"),
        *(INVOICES, LINES, FROZEN, REVENUE, LINE_USAGE),
    ),
    fault(
        "the mart has a line twice",
        "fct_invoice_lines",
        "insert into {table} from {table}" + line("ben", "minimum"),
        *(INVOICES, LINES, REVENUE),
        "unique_fct_invoice_lines_line_id",
    ),
    fault(
        "the mart's line is off by a minor unit",
        "fct_invoice_lines",
        "update {table} set amount_minor = amount_minor + 1, amount = amount + 0.01" + line("ben", "minimum"),
        *(INVOICES, LINES, REVENUE, LINE_USAGE),
    ),
    fault(
        "the mart's usage line is rounded down",
        "fct_invoice_lines",
        "update {table} set amount_minor = amount_minor - 1, amount = amount - 0.01" + line("ann", "usage"),
        *(INVOICES, LINES, REVENUE, LINE_USAGE),
        "fct_invoice_lines_usage_is_rounded_once",
    ),
    fault(
        "the mart's line is off by a nano-credit",
        "fct_invoice_lines",
        "update {table} set quantity_credits = quantity_credits + 0.000000001" + line("ben", "usage"),
        *(INVOICES, LINES, LINE_USAGE, OWN_STEPS, BILLED, REVENUE),
    ),
    fault(
        "the mart's amount is not its minor units",
        "fct_invoice_lines",
        "update {table} set amount = amount + 0.001" + line("ben", "minimum"),
        *(INVOICES, REVENUE, LINE_USAGE),
        "fct_invoice_lines_amounts_are_consistent",
    ),
    fault(
        "the mart shows a fee as a minimum with a tier",
        "fct_invoice_lines",
        "update {table} set line_type = 'minimum', tier_from_credits = 0" + line("cid", "fee"),
        "fct_invoice_lines_each_type_has_its_own_cells",
        *(REVENUE,),
    ),
    fault(
        "the mart shows a closed line as open",
        "fct_invoice_lines",
        "update {table} set status = 'open'" + line("cid", "fee", "2026-09"),
        *(INVOICES, FROZEN),
        "fct_invoice_lines_status_and_time_agree",
    ),
    fault(
        "the mart hides why there is an adjustment",
        "fct_invoice_lines",
        "update {table} set adjustment_reasons = null" + line("dan", "adjustment"),
        REASONS,
    ),
    fault(
        "the mart shows another text of a closed line",
        "fct_invoice_lines",
        "update {table} set description = description || '.'" + line("cid", "fee", "2026-09"),
        *(FROZEN,),
    ),
    fault(
        "the mart lacks usage of a line",
        "fct_invoice_line_usage",
        "delete from {table} where usage_date = '2026-10-06'",
        *(LINE_USAGE, SESSION_DAYS),
    ),
    fault(
        "the mart has usage of a line twice",
        "fct_invoice_line_usage",
        "insert into {table} from {table} where usage_date = '2026-10-06'",
        *(LINE_USAGE, SESSION_DAYS, ONE_USAGE_ROW),
    ),
    fault(
        "the mart's usage of a line is off by a nano-credit",
        "fct_invoice_line_usage",
        "update {table} set credits = credits - 0.000000001 where usage_date = '2026-10-06'",
        *(LINE_USAGE, SESSION_DAYS),
    ),
    fault(
        "the mart shows usage that holds nothing",
        "fct_invoice_line_usage",
        "insert into {table} select * replace ('another' as session_id, 0 as credits) from {table}"
        " where session_id = 'small'",
        "fct_invoice_line_usage_holds_something",
        *(LINE_USAGE,),
    ),
    fault(
        "the mart shows closed usage with a nano-credit less",
        "fct_invoice_line_usage",
        "update {table} set credits = credits - 0.000000001 where session_id = 'withdrawn' and credits > 0",
        *(FROZEN, LINE_USAGE, SESSION_DAYS),
    ),
    fault(
        "a nano-unit of a share is lost",
        "fct_invoice_line_usage",
        "update {table} set amount = amount - 0.000000001 where session_id = 'small'",
        *(LINE_USAGE,),
    ),
    fault(
        "the mart shows closed usage of another project",
        "fct_invoice_line_usage",
        "update {table} set external_project_id = 'another' where session_id = 'withdrawn' and credits > 0",
        *(FROZEN,),
    ),
    fault(
        "a breakdown is a minor unit short",
        "int_invoice_breakdown",
        "update {table} set amount_minor = amount_minor - 1" + line("ben", "usage"),
        *(LINE_USAGE,),
    ),
    fault(
        "a breakdown is a nano-credit short",
        "int_invoice_breakdown",
        "update {table} set nano_credits = nano_credits - 1" + line("ben", "usage"),
        *(LINE_USAGE,),
    ),
    fault(
        "a breakdown lacks a fee",
        "int_invoice_breakdown",
        "delete from {table}" + line("cid", "fee"),
        *(LINE_USAGE, REVENUE),
        *(FOCUS_SUMS,),
    ),
    fault(
        "a breakdown has a fee twice",
        "int_invoice_breakdown",
        "insert into {table} from {table}" + line("cid", "fee"),
        *(LINE_USAGE, REVENUE, ONE_BREAKDOWN),
        *(FOCUS_SUMS,),
    ),
    fault(
        "a day of usage earns too much",
        "int_revenue_usage_days",
        "update {table} set nano_amount = nano_amount + 1 where service_date = '2026-10-06'",
        *(REVENUE,),
    ),
    fault(
        "a day of usage is lost",
        "int_revenue_usage_days",
        "delete from {table} where service_date = '2026-10-06'",
        *(REVENUE,),
    ),
    fault(
        "a day of usage is there twice",
        "int_revenue_usage_days",
        "insert into {table} from {table} where service_date = '2026-10-06'",
        *(REVENUE, ONE_REVENUE_DAY),
    ),
    fault(
        "usage earns in another month",
        "int_revenue_usage_days",
        "update {table} set service_date = service_date - 31 where service_date = '2026-10-06'",
        *(REVENUE,),
    ),
    fault(
        "a step lacks a user's period",
        "rpt_credits_by_pipeline_step",
        "delete from {table} where step = 'raw' and external_user_id = 'ben'",
        *(OWN_STEPS,),
    ),
    fault(
        "a step has a user's period twice",
        "rpt_credits_by_pipeline_step",
        "insert into {table} from {table} where step = 'raw' and external_user_id = 'ben'",
        "unique_combination_rpt_credits_by_pipeline_step_step__external_user_id__billing_period",
        "unique_combination_rpt_reconciliation_check_name__billing_period__external_user_id",
    ),
    fault(
        "a step is off by a nano-credit",
        "rpt_credits_by_pipeline_step",
        "update {table} set credits = credits - 0.000000001 where step = 'staging' and external_user_id = 'ben'",
        *(OWN_STEPS, TOTALS),
    ),
    # The vendor's figures
    fault(
        "the rollup is off by all of the tolerance",
        "stg_miosa__usage_rollups",
        "update {table} set credits = credits + 1 where external_user_id = 'ben'",
    ),
    fault(
        "the rollup is off by a nano-credit more",
        "stg_miosa__usage_rollups",
        "update {table} set credits = credits + 1.000000001 where external_user_id = 'ben'",
        *(VENDOR,),
    ),
    fault(
        "the rollup misses a user",
        "stg_miosa__usage_rollups",
        "delete from {table} where external_user_id = 'ben'",
        *(VENDOR,),
    ),
    fault(
        "the rollup has two users swapped",
        "stg_miosa__usage_rollups",
        "update {table} set external_user_id = case external_user_id when 'ann' then 'ben' else 'ann' end"
        " where billing_period = '2026-10' and external_user_id in ('ann', 'ben')",
        *(VENDOR,),
    ),
    fault(
        "the summary is off by a nano-credit more",
        "stg_miosa__usage_summaries",
        # Each rounded session adds a nano-credit to the tolerance.
        "update {table} set credits = credits - 1.000000001 - 0.000000001 * ("
        "select sum(rounded_session_count)::integer from intermediate.int_user_periods where billing_period = '2026-10'"
        ") where billing_period = '2026-10'",
        *(VENDOR,),
    ),
    fault(
        "the summary is missing",
        "stg_miosa__usage_summaries",
        "delete from {table} where billing_period = '2026-10'",
        *(VENDOR,),
    ),
    fault(
        "the summary is no number",
        "stg_miosa__usage_summaries",
        "update {table} set credits = null, rejection_reason = 'bad_credits' where billing_period = '2026-10'",
        *(VENDOR,),
        "rpt_rejected_rows_show_the_row_unless_hidden",
    ),
    fault(
        "the line items of all users but one are lost",
        "int_usage_line_items",
        "insert into {table} select * replace ('2026-10' as billing_period, 'ben' as external_user_id)"
        " from {table} where credits is not null",
        *(VENDOR,),
    ),
    # The platform's own bill
    fault(
        "a booking of the vendor's is lost",
        "stg_miosa__credit_transactions",
        "delete from {table} where transaction_id = 'txn_days'",
        *(BILL,),
    ),
    fault(
        "credits expired, and nobody booked it",
        "stg_miosa__credit_transactions",
        "delete from {table} where transaction_type = 'expiry'",
        *(BILL,),
    ),
    fault(
        "an invoice of the vendor's is a cent too high",
        "stg_miosa__billing_invoices",
        "update {table} set due_credits = due_credits + 1 where invoice_id = 'inv_2026-09'",
        *(BILL,),
    ),
    fault(
        "the balance is more than the bookings come to",
        "stg_miosa__credit_balances",
        "update {table} set credits = credits + 3",
        *(BILL,),
    ),
    fault(
        "an invoice shows another difference than there is",
        "rpt_vendor_invoices",
        "update {table} set difference_credits = difference_credits + 1 where difference_credits is not null",
        "rpt_vendor_invoices_status_follows_difference",
    ),
    fault(
        "the mart shows an invoice that does not match",
        "rpt_vendor_invoices",
        "update {table} set vendor_credits = vendor_credits + 1, difference_credits = difference_credits + 1,"
        " status = 'mismatch' where status = 'ok'",
        *(BILL,),
    ),
    fault(
        "a booking stands on another day",
        "fct_vendor_transactions",
        "update {table} set booked_date = booked_date + 1 where transaction_id = 'txn_promo'",
        "fct_vendor_transactions_kinds_and_users_are_consistent",
    ),
    fault(
        "a day of the account does not add up",
        "rpt_vendor_balance",
        "update {table} set other_credits = other_credits + 0.000000001",
        "rpt_vendor_balance_adds_up",
    ),
    fault(
        "a day of the account is missing",
        "rpt_vendor_balance",
        "delete from {table} where balance_date = '2026-10-10'",
        *(ROLLS,),
    ),
    fault(
        "the explanation of an invoice explains nothing",
        "rpt_vendor_invoice_differences",
        "update {table} set difference_credits = vendor_credits - our_credits + 1",
        "rpt_vendor_invoice_differences_differ",
    ),
    fault(
        "more credits expire unused than there are",
        "rpt_platform_runway",
        "update {table} set unused_credits = expiring_credits + 0.000000001",
        "rpt_platform_runway_unused_is_part_of_what_expires",
    ),
    fault(
        "a part of the account that was read is called unread",
        "rpt_unavailable_sources",
        "update {table} set source = 'credit_balances', reason = 'never_read'",
        "rpt_unavailable_sources_reason_follows_the_loads",
    ),
    # Reports
    fault(
        "a rejected session is not reported",
        "rpt_rejected_rows",
        "delete from {table} where source = 'usage_sessions'",
        *(REPORTED,),
    ),
    fault(
        "a rejected sandbox is not reported",
        "rpt_rejected_rows",
        "delete from {table} where source = 'sandboxes'",
        *(REPORTED,),
    ),
    fault(
        "a rejected quota is not reported",
        "rpt_rejected_rows",
        "delete from {table} where source = 'quotas'",
        *(REPORTED,),
    ),
    fault(
        "a rejected line of the rollup is not reported",
        "rpt_rejected_rows",
        "delete from {table} where source = 'usage_rollups'",
        *(REPORTED,),
    ),
    fault(
        "a rejected line item is not reported",
        "rpt_rejected_rows",
        "delete from {table} where source = 'usage_line_items'",
        *(REPORTED,),
    ),
    fault(
        "a rejected summary is not reported",
        "rpt_rejected_rows",
        "delete from {table} where source = 'usage_summaries'",
        *(REPORTED,),
    ),
    fault(
        "a row is reported that was not rejected",
        "rpt_rejected_rows",
        "insert into {table} select * replace ('small' as row_id, 99 as row_number) from {table}"
        " where source = 'usage_sessions'",
        *(REPORTED,),
    ),
    fault(
        "a rejected row is reported for another reason",
        "rpt_rejected_rows",
        "update {table} set reason = 'bad_cost' where source = 'usage_sessions'",
        *(REPORTED,),
    ),
    fault(
        "a step does not add up",
        "rpt_reconciliation",
        "update {table} set actual_credits = actual_credits + 0.000000001,"
        " difference_credits = difference_credits + 0.000000001, status = 'mismatch'"
        " where external_user_id = 'ben' and check_name = 'user_days_vs_user_periods'",
        *(OWN_STEPS,),
    ),
    fault(
        "the vendor disagrees",
        "rpt_reconciliation",
        "update {table} set actual_credits = actual_credits + 2, difference_credits = difference_credits + 2,"
        " status = 'mismatch' where check_name = 'facts_vs_vendor_summary'",
        *(VENDOR,),
    ),
    fault(
        "a mismatch is called ok",
        "rpt_reconciliation",
        "update {table} set actual_credits = actual_credits + 5, difference_credits = difference_credits + 5"
        " where external_user_id = 'ben' and check_name = 'raw_vs_staging'",
        "rpt_reconciliation_status_follows_difference",
    ),
    fault(
        "a difference is explained by another amount",
        "rpt_reconciliation",
        "update {table} set actual_credits = actual_credits - 50, difference_credits = difference_credits - 50,"
        " status = 'explained', explained_credits = 49"
        " where external_user_id = 'ben' and check_name = 'facts_vs_vendor_rollup'",
        "rpt_reconciliation_explained_is_the_difference",
    ),
    fault(
        "a step is not checked",
        "rpt_reconciliation",
        "delete from {table} where check_name = 'raw_vs_staging' and billing_period = '2026-09'",
        *(CHECKED,),
    ),
    fault(
        "the vendor's figures are not checked",
        "rpt_reconciliation",
        "delete from {table} where check_name = 'facts_vs_vendor_summary'",
        *(CHECKED,),
    ),
    fault(
        "invoices are not checked",
        "rpt_reconciliation",
        "delete from {table} where check_name = 'user_periods_vs_invoices' and billing_period = '2026-09'",
        *(CHECKED,),
    ),
    fault(
        "invoices do not hold what was used",
        "rpt_reconciliation",
        "update {table} set actual_credits = actual_credits + 0.000000001,"
        " difference_credits = difference_credits + 0.000000001, status = 'mismatch'"
        " where external_user_id = 'ben' and check_name = 'user_periods_vs_invoices'",
        *(OWN_STEPS,),
    ),
    # Quotas: what is wanted, alerts, counters, the forecast
    fault(
        "a limit is wanted on no day",
        "int_desired_quota_limits",
        "update {table} set valid_to = valid_from where external_user_id = 'ann' and quota = 'credits'",
        "int_desired_quota_limits_ranges_lie_apart",
    ),
    fault(
        "a plan wants a limit and is not named",
        "int_desired_quota_limits",
        "update {table} set plan_id = null where external_user_id = 'ann' and quota = 'credits'",
        "int_desired_quota_limits_override_or_plan",
    ),
    fault(
        "the effective limit has ended",
        "dim_quota_limits",
        "update {table} set in_force_to_at_utc = '2026-10-31' where external_user_id = 'ann' and quota = 'credits'",
        "dim_quota_limits_one_is_current",
    ),
    fault(
        "a drift is not reported",
        "dim_quota_limits",
        "update {table} set is_drifted = false where external_user_id = 'ben' and quota = 'credits'",
        "dim_quota_limits_drift_is_from_the_desired_limit",
    ),
    fault(
        "a share is not reached",
        "rpt_quota_alerts",
        "update {table} set limit_value = limit_value * 100 where external_user_id = 'ben' and quota = 'credits'",
        "rpt_quota_alerts_shares_are_reached",
    ),
    fault(
        "a share has no moment",
        "rpt_quota_alerts",
        "update {table} set crossed_at_utc = null where external_user_id = 'ben' and quota = 'credits'",
        "rpt_quota_alerts_moments_but_of_storage",
    ),
    fault(
        "an upgrade has no price",
        "rpt_quota_alerts",
        "update {table} set upgrade_plan_id = 'flat', upgrade_amount_minor = null where external_user_id = 'ben'",
        "rpt_quota_alerts_upgrades_are_priced",
    ),
    fault(
        "a counter's difference is wrong",
        "rpt_quota_counters",
        "update {table} set difference = difference + 1 where external_user_id = 'ben' and counter = 'sandboxes'",
        "rpt_quota_counters_difference_is_the_rest",
    ),
    fault(
        "less is expected than the lower of the two",
        "fct_quota_forecast",
        "update {table} set low_expected_credits = expected_credits + 1 where external_user_id = 'ben'",
        "fct_quota_forecast_lies_between_low_and_high",
    ),
    fault(
        "a limit that was reached is unlikely to be",
        "fct_quota_forecast",
        "update {table} set outlook = 'unlikely' where is_limit_reached",
        "fct_quota_forecast_limits_are_reached_when_expected",
    ),
    fault(
        "a limit is reached at no moment",
        "fct_quota_forecast",
        "update {table} set run_rate_reached_at_utc = null where external_user_id = 'ben'",
        "fct_quota_forecast_limits_are_reached_when_expected",
    ),
    # Plans and prices. In a build the hook of int_pricing_errors stops most of these first; it does not run here.
    fault(
        "a user is on two plans on a day",
        "user_plans",
        "insert into {table} values ('ann', 'least', '2026-10-06', null)",
        *(ONE_PRICE_PER_DAY, SESSION_DAYS, OWN_STEPS, BILLED),
        "unique_combination_int_desired_quota_limits_external_user_id__quota__valid_from",
        "unique_combination_dim_quota_limits_external_user_id__quota__version_number",
        "unique_combination_int_user_details_external_user_id",
        "unique_dim_users_external_user_id",
        "unique_combination_int_users_near_limits_external_user_id",
        "unique_combination_int_quota_upgrades_external_user_id",
        "unique_combination_rpt_quota_alerts_external_user_id__quota__threshold_percent",
        "unique_combination_dim_desired_quota_limits_external_user_id__quota__valid_from",
    ),
    fault(
        "a plan has two price lists on a day",
        "stg_billing__plan_prices",
        "insert into {table} from {table} where plan_id = 'least'",
        *(
            ONE_PRICE_PER_DAY,
            LINE_USAGE,
            SESSION_DAYS,
            OWN_STEPS,
            BILLED,
            ONE_USAGE_ROW,
            ONE_RATED_USAGE_ROW,
            ONE_BREAKDOWN,
            REVENUE,
        ),
        "unique_combination_stg_billing__plan_prices_ref_int_pricing_errors___plan_id__valid_from",
        "int_rating_periods_days_within_the_period",
        "unique_combination_int_price_segments_ref_int_pricing_errors___external_user_id__billing_period__from_date",
        "unique_combination_int_rating_periods_external_user_id__billing_period__plan_id__price_valid_from",
        "unique_combination_int_rated_lines_external_user_id__billing_period__plan_id__price_valid_from__"
        "line_type__tier_from_credits",
        "unique_fct_invoice_lines_line_id",
        "unique_combination_int_price_segments_snapshot_external_user_id__billing_period__from_date",
        "unique_combination_int_rated_lines_snapshot_line_id",
        "unique_combination_int_invoice_lines_line_id",
        *(
            FOCUS_SUMS,
            ONE_CHARGE,
        ),
    ),
    fault(
        "a price list is lost",
        "stg_billing__plan_prices",
        "delete from {table} where plan_id = 'tiers'",
        *(SESSION_DAYS, OWN_STEPS, BILLED),
    ),
    fault(
        "a tier is lost",
        "stg_billing__plan_price_tiers",
        "delete from {table} where plan_id = 'tiers' and tier_from_credits = 0",
        *(LINE_USAGE, SESSION_DAYS, OWN_STEPS, BILLED, REVENUE),
    ),
    fault(
        "a tier prices the next one's credits too",
        "stg_billing__plan_price_tiers",
        "update {table} set tier_to_credits = null where plan_id = 'tiers'",
        *(SESSION_DAYS, OWN_STEPS, BILLED),
    ),
    # What is billed
    fault(
        "the first open period is closed",
        "int_billing_periods",
        "update {table} set is_closed = true where is_first_open",
        *(LINES, SESSION_DAYS, OWN_STEPS, BILLED, "int_billing_periods_open_ones_follow_closed_ones"),
    ),
    fault(
        "a closed period to bill does not say when",
        "int_billing_periods",
        "update {table} set closed_at_utc = null where is_closed",
        "int_billing_periods_open_ones_follow_closed_ones",
    ),
    fault(
        "a period is not billed",
        "int_billing_periods",
        "delete from {table} where is_first_open",
        *(LINES, SESSION_DAYS, OWN_STEPS, BILLED),
        *(FOCUS_SUMS,),
    ),
    fault(
        "a user's plan is lost on the way",
        "int_plan_segments",
        "delete from {table} where external_user_id = 'ben'",
        *(SESSION_DAYS, OWN_STEPS, BILLED),
    ),
    fault(
        "a user without a plan is not put on the default one",
        "int_plan_segments",
        "delete from {table} where is_default",
        *(SESSION_DAYS, OWN_STEPS, BILLED),
    ),
    fault(
        "a run of no days is priced",
        "int_price_segments",
        "insert into {table} select * replace ('2026-10-06'::date as from_date, '2026-10-06'::date as to_date)"
        " from {table} where external_user_id = 'ben'",
        "int_price_segments_hold_days",
    ),
    fault(
        "a day has two prices",
        "int_price_segments",
        "insert into {table} select * replace ('2026-10-06'::date as from_date, '2026-10-07'::date as to_date,"
        " 'least' as plan_id) from {table} where external_user_id = 'ann' and billing_period = '2026-10'",
        *(ONE_PRICE_PER_DAY, SESSION_DAYS, OWN_STEPS, BILLED),
    ),
    fault(
        "days have no price",
        "int_price_segments",
        "update {table} set to_date = '2026-10-06' where external_user_id = 'ann' and billing_period = '2026-10'",
        *(SESSION_DAYS, OWN_STEPS, BILLED),
    ),
    fault(
        "a part is not priced",
        "int_session_days_with_plan",
        "delete from {table} where usage_date = '2026-10-06'",
        *(LINE_USAGE, SESSION_DAYS, REVENUE),
        *(FOCUS_SUMS,),
    ),
    fault(
        "a nano-credit of a part is not priced",
        "int_session_days_with_plan",
        "update {table} set nano_credits = nano_credits - 1 where usage_date = '2026-10-06'",
        *(LINE_USAGE, SESSION_DAYS, REVENUE),
        *(FOCUS_SUMS,),
    ),
    fault(
        "a part is priced for another user",
        "int_session_days_with_plan",
        "update {table} set external_user_id = 'ben', plan_id = 'least' where usage_date = '2026-10-06'",
        *(LINE_USAGE, SESSION_DAYS, REVENUE),
        *(FOCUS_SUMS,),
    ),
    fault(
        "a rating period has more days than its billing period",
        "int_rating_periods",
        "update {table} set day_count = period_day_count + 1 where external_user_id = 'ben'",
        "int_rating_periods_days_within_the_period",
    ),
    fault(
        "more is included than was used",
        "int_rating_periods",
        "update {table} set included_nano = used_nano + 1 where external_user_id = 'ben'",
        *(LINE_USAGE, OWN_STEPS, BILLED, "int_rating_periods_days_within_the_period", REVENUE),
    ),
    fault(
        "a rating period has a nano-credit too many",
        "int_rating_periods",
        "update {table} set used_nano = used_nano + 1 where external_user_id = 'ben'",
        *(LINE_USAGE, OWN_STEPS, BILLED, REVENUE),
        *(FOCUS_SUMS,),
    ),
    fault(
        "a line is not rated",
        "int_rated_lines",
        "delete from {table} where line_type = 'usage' and tier_from_credits = 10",
        *(SESSION_DAYS, OWN_STEPS, BILLED),
    ),
    fault(
        "a rated line is rounded up",
        "int_rated_lines",
        "update {table} set amount_minor = amount_minor + 1 where line_type = 'usage' and tier_from_credits = 10",
        "fct_invoice_lines_usage_is_rounded_once",
    ),
    fault(
        "a rated line has a nano-credit too many",
        "int_rated_lines",
        "update {table} set quantity_nano = quantity_nano + 1 where external_user_id = 'ben' and line_type = 'usage'",
        *(LINE_USAGE, OWN_STEPS, BILLED, REVENUE),
    ),
    fault(
        "a nano-credit of rated usage is lost",
        "int_rated_line_usage",
        "update {table} set nano_credits = nano_credits - 1 where usage_date = '2026-10-06'",
        *(LINE_USAGE, SESSION_DAYS, REVENUE),
    ),
    fault(
        "a nano-credit of a closed period's rated usage is lost",
        "int_rated_line_usage",
        "update {table} set nano_credits = nano_credits - 1 where session_id = 'late'",
        *(LINE_USAGE, SESSION_DAYS, REVENUE),
    ),
    fault(
        "rated usage is another session's",
        "int_rated_line_usage",
        "update {table} set session_id = 'overlaps' where usage_date = '2026-10-06'",
        *(SESSION_DAYS,),
    ),
    fault(
        "rated usage is of another day",
        "int_rated_line_usage",
        "update {table} set usage_date = '2026-10-08' where usage_date = '2026-10-06'",
        *(SESSION_DAYS,),
    ),
    fault(
        "an adjustment is lost",
        "int_adjustments",
        "delete from {table} where external_user_id = 'dan'",
        *(LINES, LINE_USAGE, SESSION_DAYS, OWN_STEPS, BILLED, LINE_OF_USAGE, USAGE_CELLS),
    ),
    fault(
        "an adjustment of a price alone is lost",
        "int_adjustments",
        "delete from {table} where external_user_id = 'cid'",
        *(LINES,),
    ),
    fault(
        "an adjustment of nothing is lost",
        "int_adjustments",
        "delete from {table} where external_user_id = 'gil'",
        *(SESSION_DAYS, LINE_OF_USAGE, USAGE_CELLS),
    ),
    fault(
        "an adjustment is made twice over",
        "int_adjustments",
        "update {table} set amount_minor = 2 * amount_minor where external_user_id = 'ann'",
        *(LINES,),
    ),
    fault(
        "an adjustment gives back a nano-credit too much",
        "int_adjustments",
        "update {table} set quantity_nano = quantity_nano - 1 where external_user_id = 'ann'",
        *(LINES, LINE_USAGE, OWN_STEPS, BILLED, REVENUE),
    ),
    fault(
        "a session's credits are not given back",
        "int_adjustment_usage",
        "delete from {table} where session_id = 'withdrawn'",
        *(LINE_USAGE, SESSION_DAYS, REVENUE),
    ),
    fault(
        "another session's credits are given back",
        "int_adjustment_usage",
        "update {table} set session_id = 'crosses' where session_id = 'withdrawn'",
        *(SESSION_DAYS,),
    ),
    # Invoices
    fault(
        "an open line is lost",
        "int_invoice_lines",
        "delete from {table}" + line("ben", "usage"),
        *(LINES, LINE_USAGE, SESSION_DAYS, OWN_STEPS, BILLED, LINE_OF_USAGE),
    ),
    fault(
        "a fee is lost",
        "int_invoice_lines",
        "delete from {table}" + line("cid", "fee"),
        *(LINES,),
    ),
    fault(
        "a closed line is lost",
        "int_invoice_lines",
        "delete from {table}" + line("ann", "fee", "2026-09"),
        *(LINES, FROZEN),
    ),
    fault(
        "a line is there twice",
        "int_invoice_lines",
        "insert into {table} from {table}" + line("ben", "minimum"),
        *(LINES, "unique_fct_invoice_lines_line_id", ONE_BREAKDOWN, REVENUE),
        "unique_combination_int_invoice_lines_line_id",
        *(
            FOCUS_SUMS,
            ONE_CHARGE,
        ),
    ),
    fault(
        "a line is off by a minor unit",
        "int_invoice_lines",
        "update {table} set amount_minor = amount_minor + 1, amount = amount + 0.01" + line("ben", "minimum"),
        *(LINES,),
    ),
    fault(
        "a usage line is rounded down",
        "int_invoice_lines",
        "update {table} set amount_minor = amount_minor - 1, amount = amount - 0.01" + line("ann", "usage"),
        *(LINES, "fct_invoice_lines_usage_is_rounded_once", REVENUE, LINE_USAGE),
        *(FOCUS_SUMS,),
    ),
    fault(
        "a minor unit moved between two lines of an invoice",
        "int_invoice_lines",
        "update {table} set amount_minor = amount_minor + case line_type when 'usage' then 1 else -1 end,"
        " amount = amount + case line_type when 'usage' then 0.01 else -0.01 end"
        " where external_user_id = 'ben'",
        *(LINE_USAGE, REVENUE, "fct_invoice_lines_usage_is_rounded_once"),
        *(FOCUS_SUMS,),
    ),
    fault(
        "a line is off by a nano-credit",
        "int_invoice_lines",
        "update {table} set quantity_credits = quantity_credits + 0.000000001" + line("ben", "usage"),
        *(LINES, LINE_USAGE, OWN_STEPS, BILLED, REVENUE),
    ),
    fault(
        "a line's amount is not its minor units",
        "int_invoice_lines",
        "update {table} set amount = amount + 0.001" + line("ben", "minimum"),
        "fct_invoice_lines_amounts_are_consistent",
        *(REVENUE, LINE_USAGE),
        *(FOCUS_SUMS,),
    ),
    fault(
        "a line has another exponent than its currency",
        "int_invoice_lines",
        "update {table} set currency_exponent = 2" + line("cid", "fee"),
        "fct_invoice_lines_amounts_are_consistent",
        *(REVENUE, LINE_USAGE),
        *(FOCUS_SUMS,),
    ),
    fault(
        "a line is in another currency",
        "int_invoice_lines",
        "update {table} set currency = 'USD'" + line("ben", "minimum"),
        *(LINES, ONE_INVOICE_ID),
        *(FOCUS_SUMS,),
        ONE_SUM,
    ),
    fault(
        "a line is another user's",
        "int_invoice_lines",
        "update {table} set external_user_id = 'ann'" + line("ben", "usage"),
        *(LINES, SESSION_DAYS, OWN_STEPS, INVOICES, ONE_INVOICE, ONE_INVOICE_ID, REVENUE),
        *(FOCUS_SUMS,),
        ONE_SUM,
    ),
    fault(
        "a line is for another period",
        "int_invoice_lines",
        "update {table} set service_period = '2026-09'" + line("ben", "usage"),
        *(SESSION_DAYS, LINES, OWN_STEPS, BILLED, "fct_invoice_lines_each_type_has_its_own_cells", REVENUE),
    ),
    fault(
        "a line stands on another invoice",
        "int_invoice_lines",
        "update {table} set invoice_id = (select any_value(invoice_id) from {table} where external_user_id = 'cid')"
        + line("ben", "usage"),
        *(INVOICES, ONE_INVOICE, ONE_INVOICE_ID),
        *(FOCUS_SUMS,),
        ONE_SUM,
    ),
    fault(
        "an adjustment is for the period that it is invoiced in",
        "int_invoice_lines",
        "update {table} set service_period = invoice_period" + line("dan", "adjustment"),
        *(SESSION_DAYS, LINES, OWN_STEPS, BILLED, REVENUE, "fct_invoice_lines_each_type_has_its_own_cells"),
    ),
    fault(
        "a fee is called a minimum with a tier",
        "int_invoice_lines",
        "update {table} set line_type = 'minimum', tier_from_credits = 0" + line("cid", "fee"),
        "fct_invoice_lines_each_type_has_its_own_cells",
    ),
    fault(
        "an adjustment does not say why it is there",
        "int_invoice_lines",
        "update {table} set adjustment_reasons = null" + line("dan", "adjustment"),
        REASONS,
    ),
    fault(
        "a fee has a reason of adjustments",
        "int_invoice_lines",
        "update {table} set adjustment_reasons = 'late'" + line("cid", "fee"),
        REASONS,
    ),
    fault(
        "a reason that nobody knows",
        "int_usage_changes",
        "update {table} set change_reason = 'lost'",
        "accepted_values_int_usage_changes_change_reason__late__corrected__voided__moved__plan__price",
    ),
    fault(
        "a fee counts as usage on the invoice",
        "int_invoices",
        "update {table} set usage_amount = usage_amount + fee_amount where fee_amount > 0",
        INVOICES,
    ),
    fault(
        "what an invoice gives back is lost",
        "int_invoices",
        "update {table} set given_back_amount = given_back_amount + 0.01",
        INVOICES,
    ),
    fault(
        "a step of the bridge to the vendor's bill is lost",
        "rpt_vendor_bill_bridge",
        "delete from {table} where step = 'rounding'",
        BRIDGE,
    ),
    fault(
        "a step of the bridge has a nano-credit more",
        "rpt_vendor_bill_bridge",
        "update {table} set credits = credits + 0.000000001 where step = 'unexplained'",
        BRIDGE,
    ),
    fault(
        "usage of nobody is called unexplained on the bridge",
        "rpt_vendor_bill_bridge",
        "update {table} set credits = credits + case step when 'unattributed' then 1 else -1 end"
        " where step in ('unattributed', 'unexplained')",
        BRIDGE,
    ),
    fault(
        "a closed line is called open",
        "int_invoice_lines",
        "update {table} set status = 'open'" + line("cid", "fee", "2026-09"),
        *(FROZEN, "fct_invoice_lines_status_and_time_agree"),
    ),
    fault(
        "an open line says when it was closed",
        "int_invoice_lines",
        "update {table} set closed_at_utc = '2026-11-01'" + line("ben", "minimum"),
        *(INVOICES, ONE_INVOICE, ONE_INVOICE_ID, "fct_invoice_lines_status_and_time_agree"),
        *(FOCUS_SUMS,),
        ONE_SUM,
    ),
    fault(
        "a closed line says something else",
        "int_invoice_lines",
        "update {table} set description = description || '.'" + line("cid", "fee", "2026-09"),
        *(FROZEN,),
    ),
    fault(
        "a minor unit moved between closed lines",
        "int_invoice_lines",
        "update {table} set amount_minor = amount_minor + case line_type when 'fee' then 1 else -1 end,"
        " amount = amount + case line_type when 'fee' then 0.01 else -0.01 end"
        " where external_user_id = 'ann' and invoice_period = '2026-09' and line_type in ('fee', 'usage')",
        *(FROZEN, "fct_invoice_lines_usage_is_rounded_once", REVENUE, LINE_USAGE),
        *(FOCUS_SUMS,),
    ),
    fault(
        "usage of a line is lost",
        "int_invoice_line_usage",
        "delete from {table} where usage_date = '2026-10-06'",
        *(LINE_USAGE, SESSION_DAYS, REVENUE),
        *(FOCUS_SUMS,),
    ),
    fault(
        "a nano-credit of a line's usage is lost",
        "int_invoice_line_usage",
        "update {table} set nano_credits = nano_credits - 1 where usage_date = '2026-10-06'",
        *(LINE_USAGE, SESSION_DAYS, REVENUE),
    ),
    fault(
        "a nano-credit moved between two sessions of a line",
        "int_invoice_line_usage",
        "update {table} set nano_credits = nano_credits + case session_id when 'small' then 1 else -1 end"
        " where session_id in ('small', 'owned')",
        *(SESSION_DAYS,),
    ),
    fault(
        "a nano-credit moved between lines of a session",
        "int_invoice_line_usage",
        "update {table} set nano_credits = nano_credits + case nano_credits when 10000000000 then 2 else -1 end"
        " where session_id = 'crosses' and usage_date = '2026-10-01'",
        *(LINE_USAGE, REVENUE),
    ),
    fault(
        "usage of a line is another session's",
        "int_invoice_line_usage",
        "update {table} set session_id = 'overlaps' where usage_date = '2026-10-06'",
        *(SESSION_DAYS,),
    ),
    fault(
        "a line's usage holds nothing",
        "int_invoice_line_usage",
        "insert into {table} select * replace ('another' as session_id, 0 as nano_credits) from {table}"
        " where session_id = 'small'",
        "fct_invoice_line_usage_holds_something",
        *(REVENUE, LINE_USAGE),
        *(FOCUS_SUMS,),
    ),
    fault(
        "closed usage is split elsewhere, with the same sums",
        "int_invoice_line_usage",
        "insert into {table} select * replace ('withdrawn' as session_id, '2026-09-20' as usage_date,"
        " 1000000000 as nano_credits, 0 as nano_amount) from {table}"
        " where session_id = 'crosses' and nano_credits = 7000000000;"
        " update {table} set nano_credits = nano_credits + case nano_credits when 3000000000 then 1000000000"
        " else -1000000000 end"
        " where usage_date = '2026-09-30' or (session_id = 'withdrawn' and nano_credits = 2000000000)",
        *(FROZEN,),
    ),
    fault(
        "an invoice's total is off by a minor unit",
        "fct_invoices",
        "update {table} set amount_minor = amount_minor + 1 where external_user_id = 'ben'",
        *(INVOICES,),
    ),
    fault(
        "an invoice's amount is off by the least step",
        "fct_invoices",
        "update {table} set amount = amount + 0.001 where external_user_id = 'ben'",
        *(INVOICES,),
        *(FOCUS_SUMS,),
    ),
    fault(
        "an invoice's credits are off by a nano-credit",
        "fct_invoices",
        "update {table} set credits = credits - 0.000000001 where external_user_id = 'ben'",
        *(INVOICES,),
    ),
    fault(
        "an invoice counts a line too many",
        "fct_invoices",
        "update {table} set line_count = line_count + 1 where external_user_id = 'ben'",
        *(INVOICES,),
    ),
    fault(
        "an invoice is called a credit",
        "fct_invoices",
        "update {table} set is_credit = true where external_user_id = 'ben'",
        *(INVOICES,),
    ),
    fault(
        "a closed invoice is called open",
        "fct_invoices",
        "update {table} set status = 'open' where status = 'closed'",
        *(INVOICES, STRIPE_LINES),
    ),
    fault(
        "an invoice is lost",
        "fct_invoices",
        "delete from {table} where external_user_id = 'ben'",
        *(INVOICES, "relationships_fct_invoice_lines_invoice_id__invoice_id__ref_fct_invoices_"),
        *(FOCUS_SUMS,),
    ),
    # Unbilled usage
    fault(
        "usage of nobody is not reported as unbilled",
        "rpt_unbilled_usage",
        "delete from {table} where reason = 'unattributed'",
        *(BILLED,),
    ),
    fault(
        "usage before the first period is not reported as unbilled",
        "rpt_unbilled_usage",
        "delete from {table} where reason = 'before_first_period'",
        *(BILLED,),
    ),
    fault(
        "a rejected row is not reported as unbilled",
        "rpt_unbilled_usage",
        "delete from {table} where reason = 'rejected'",
        *(BILLED,),
    ),
    fault(
        "a nano-credit is billed and unbilled",
        "rpt_unbilled_usage",
        "update {table} set credits = credits + 0.000000001 where reason = 'unattributed'",
        *(BILLED,),
    ),
    # What FOCUS shows: each of these is one that the official validator misses, or that is an amount.
    fault(
        "a list cost is off by its last digit",
        "rpt_focus_resale",
        "update {table} set ListCost = ListCost + 1e-18::decimal(38, 18)"
        " where x_LineType = 'usage' and ChargeClass is null",
        *(FOCUS,),
    ),
    fault(
        "a contracted cost is off by its last digit",
        "rpt_focus_cost",
        "update {table} set ContractedCost = ContractedCost + 1e-18::decimal(38, 18)",
        *(FOCUS,),
    ),
    fault(
        "a correction is listed at another amount",
        "rpt_focus_resale",
        "update {table} set ListCost = ListCost + 1 where ChargeCategory = 'Adjustment'",
        *(FOCUS,),
    ),
    fault(
        "usage has no consumed quantity",
        "rpt_focus_resale",
        "update {table} set ConsumedQuantity = null, ConsumedUnit = null where ChargeCategory = 'Usage'",
        *(FOCUS,),
    ),
    fault(
        "a fee has a consumed quantity",
        "rpt_focus_resale",
        "update {table} set ConsumedQuantity = 1, ConsumedUnit = 'Units' where ChargeCategory = 'Purchase'",
        *(FOCUS,),
    ),
    fault(
        "a consumed quantity has no unit",
        "rpt_focus_cost",
        "update {table} set ConsumedUnit = null",
        *(FOCUS,),
    ),
    fault(
        "a category is none",
        "rpt_focus_resale",
        "update {table} set ChargeCategory = 'Fee' where ChargeCategory = 'Adjustment'",
        *(FOCUS,),
    ),
    fault(
        "a charge ends before it starts",
        "rpt_focus_cost",
        "update {table} set ChargePeriodEnd = ChargePeriodStart - interval 1 day",
        *(FOCUS,),
    ),
    fault(
        "a charge ends when it starts",
        "rpt_focus_resale",
        "update {table} set ChargePeriodEnd = ChargePeriodStart",
        *(FOCUS,),
    ),
    fault(
        "a charge lies behind its billing period",
        "rpt_focus_cost",
        "update {table} set ChargePeriodEnd = BillingPeriodEnd + interval 1 day",
        *(FOCUS,),
    ),
    fault(
        "a charge starts within a second",
        "rpt_focus_cost",
        "update {table} set ChargePeriodStart = ChargePeriodStart + interval 1 millisecond",
        *(FOCUS,),
    ),
    fault(
        "a correction is not said to be one",
        "rpt_focus_cost",
        "update {table} set ChargeClass = null where ChargeClass is not null",
        *(FOCUS,),
    ),
    fault(
        "usage of the period is said to correct",
        "rpt_focus_resale",
        "update {table} set ChargeClass = 'Correction' where ChargeClass is null",
        *(FOCUS,),
    ),
    fault(
        "a class is none",
        "rpt_focus_resale",
        "update {table} set ChargeClass = 'Late' where ChargeClass is not null",
        *(FOCUS,),
    ),
    fault(
        "a fee is usage-based",
        "rpt_focus_resale",
        "update {table} set ChargeFrequency = 'Usage-Based' where ChargeCategory = 'Purchase'",
        *(FOCUS,),
    ),
    fault(
        "tags are nested",
        "rpt_focus_cost",
        'update {table} set Tags = \'{{"a":{{"b":"c"}}}}\'',
        *(FOCUS,),
    ),
    fault(
        "a tag is a list",
        "rpt_focus_cost",
        "update {table} set Tags = '{{\"a\":[1]}}'",
        *(FOCUS,),
    ),
    fault(
        "tags are no object",
        "rpt_focus_resale",
        "update {table} set Tags = 'ann'",
        *(FOCUS,),
    ),
    fault(
        "a text is empty",
        "rpt_focus_resale",
        "update {table} set SubAccountId = '', SubAccountName = '', SubAccountType = 'Project'",
        *(FOCUS,),
    ),
    fault(
        "a text is blank",
        "rpt_focus_cost",
        "update {table} set ResourceId = ' ', ResourceType = 'Sandbox'",
        *(FOCUS,),
    ),
    fault(
        "an id is not ASCII",
        "rpt_focus_cost",
        "update {table} set SubAccountId = 'é', SubAccountName = 'e', SubAccountType = 'End User'",
        *(FOCUS,),
    ),
    fault(
        "an account has no name",
        "rpt_focus_resale",
        "update {table} set SubAccountName = null where SubAccountId is not null",
        *(FOCUS,),
    ),
    fault(
        "a provider is not named",
        "rpt_focus_cost",
        "update {table} set ProviderName = null",
        *(FOCUS,),
    ),
    fault(
        "an issuer is another than the provider",
        "rpt_focus_resale",
        "update {table} set InvoiceIssuerName = 'another'",
        *(FOCUS,),
    ),
    fault(
        "a price is negative",
        "rpt_focus_resale",
        "update {table} set ListUnitPrice = -ListUnitPrice, ListCost = -ListCost"
        " where ListCost > 0 and ChargeClass is null",
        *(FOCUS,),
    ),
    fault(
        "usage has no price",
        "rpt_focus_resale",
        "update {table} set ContractedUnitPrice = null, ContractedCost = BilledCost"
        " where x_LineType = 'usage' and ChargeClass is null",
        *(FOCUS,),
    ),
    fault(
        "usage has no SKU",
        "rpt_focus_resale",
        "update {table} set SkuId = null, SkuMeter = null where x_LineType = 'usage' and ChargeClass is null",
        *(FOCUS,),
    ),
    fault(
        "a price belongs to another SKU",
        "rpt_focus_resale",
        "update {table} set SkuPriceId = 'plan-fee' where SkuId = 'sandbox-credits'",
        *(FOCUS,),
    ),
    fault(
        "a currency is no code",
        "rpt_focus_resale",
        "update {table} set PricingCurrency = 'credits'",
        *(FOCUS,),
    ),
    fault(
        "a billing currency is virtual",
        "rpt_focus_cost",
        "update {table} set BillingCurrency = 'CRD'",
        *(FOCUS,),
    ),
    fault(
        "a cost is on an invoice",
        "rpt_focus_cost",
        "update {table} set InvoiceId = 'unknown'",
        *(FOCUS,),
    ),
    fault(
        "a commitment appears",
        "rpt_focus_cost",
        "update {table} set CommitmentDiscountStatus = 'Used'",
        *(FOCUS,),
    ),
    fault(
        "a fee is effective on its purchase",
        "rpt_focus_resale",
        "update {table} set EffectiveCost = BilledCost where ChargeCategory = 'Purchase'",
        *(
            FOCUS,
            FOCUS_SUMS,
        ),
    ),
    fault(
        "a nano-unit of a fee is not spread",
        "rpt_focus_resale",
        "update {table} set EffectiveCost = EffectiveCost - 1e-9::decimal(38, 18) where EffectiveCost > BilledCost",
        *(FOCUS_SUMS,),
    ),
    fault(
        "a charge is lost",
        "rpt_focus_resale",
        "delete from {table} where BilledCost <> 0",
        *(FOCUS_SUMS,),
    ),
    fault(
        "a cost is lost",
        "rpt_focus_cost",
        "delete from {table} where x_ExternalUserId = '(unattributed)'",
        *(FOCUS_SUMS,),
    ),
    fault(
        "a cost is there twice",
        "rpt_focus_cost",
        "insert into {table} from {table} where x_ExternalUserId = 'ann'",
        *(FOCUS_SUMS,),
    ),
    fault(
        "a day's fee goes to nobody",
        "int_focus_charges",
        "delete from {table} where line_id is null",
        *(FOCUS_SUMS,),
    ),
    fault(
        "a nano-credit of a closed cost is lost",
        "ledger.closed_costs",
        "update {table} set credits = credits - 0.000000001",
        *(LEDGER,),
    ),
    fault(
        "a closed cost is deleted",
        "ledger.closed_costs",
        "delete from {table} where external_user_id = 'ann'",
        *(LEDGER,),
    ),
    fault(
        "a closed cost has another price",
        "ledger.closed_costs",
        "update {table} set unit_price = unit_price * 2",
        *(LEDGER,),
    ),
    fault(
        "a cost of a period that is not closed is in the ledger",
        "ledger.closed_costs",
        "insert into {table} select * replace ('2026-10' as billing_period) from {table}",
        *(LEDGER,),
        *(ONE_COST,),
    ),
    # The ledger as staging reads it
    fault(
        "a closed line is lost in staging",
        "stg_ledger__closed_invoice_lines",
        "delete from {table}" + line("ann", "fee", "2026-09"),
        *(FROZEN,),
    ),
    fault(
        "a closed line is there twice in staging",
        "stg_ledger__closed_invoice_lines",
        "insert into {table} from {table}" + line("ann", "fee", "2026-09"),
        *(FROZEN, ONE_BREAKDOWN, REVENUE),
        "unique_fct_invoice_lines_line_id",
        "unique_combination_int_invoice_lines_line_id",
        *(
            FOCUS_SUMS,
            ONE_CHARGE,
        ),
    ),
    fault(
        "a nano-credit of closed usage is lost in staging",
        "stg_ledger__closed_line_usage",
        "update {table} set credits = credits - 0.000000001 where session_id = 'withdrawn'",
        *(FROZEN, LINE_USAGE, REVENUE),
    ),
    fault(
        "a closed period is lost in staging",
        "stg_ledger__closed_periods",
        "delete from {table}",
        *(
            FROZEN,
            LINE_USAGE,
            SESSION_DAYS,
            ONE_USAGE_ROW,
            ONE_INVOICE,
            ONE_INVOICE_ID,
            ONE_BREAKDOWN,
            REVENUE,
            ONE_REVENUE_DAY,
        ),
        "fct_invoice_lines_each_type_has_its_own_cells",
        "unique_fct_invoice_lines_line_id",
        "unique_combination_int_invoice_lines_line_id",
        *(
            FOCUS,
            FOCUS_SUMS,
            ONE_CHARGE,
            ONE_COST,
        ),
        ONE_SUM,
    ),
    # The ledger: what is edited there is made good by an adjustment, so that all sums hold; its seal does not.
    fault(
        "a closed amount is edited",
        "ledger.closed_invoice_lines",
        "update {table} set amount_minor = amount_minor - 100, amount = amount - 1" + line("ann", "fee", "2026-09"),
        *(LEDGER,),
    ),
    fault(
        "a closed description is edited",
        "ledger.closed_invoice_lines",
        "update {table} set description = description || ' '" + line("ann", "fee", "2026-09"),
        *(LEDGER,),
    ),
    fault(
        "a closed line without usage is deleted",
        "ledger.closed_invoice_lines",
        "delete from {table}" + line("ann", "fee", "2026-09"),
        *(LEDGER,),
    ),
    fault(
        "a closed line with usage is deleted",
        "ledger.closed_invoice_lines",
        "delete from {table}" + line("ann", "usage", "2026-09"),
        *(LEDGER, FROZEN, LINE_USAGE, LINE_OF_USAGE, USAGE_CELLS),
        "source_relationships_ledger_closed_line_usage_line_id__line_id__source_ledger_closed_invoice_lines_",
    ),
    fault(
        "a closed line is added",
        "ledger.closed_invoice_lines",
        "insert into {table} select * replace ('another' as line_id, 'another' as plan_id) from {table}"
        + line("ann", "fee", "2026-09"),
        *(LEDGER,),
    ),
    fault(
        "a nano-credit of closed usage is lost",
        "ledger.closed_line_usage",
        "update {table} set credits = credits - 0.000000001 where session_id = 'withdrawn'",
        *(LEDGER, LINE_USAGE, REVENUE),
    ),
    fault(
        "closed usage is put under another session",
        "ledger.closed_line_usage",
        "update {table} set session_id = 'runs' where session_id = 'withdrawn'",
        *(LEDGER,),
    ),
    fault(
        "closed usage is deleted",
        "ledger.closed_line_usage",
        "delete from {table} where session_id = 'withdrawn'",
        *(LEDGER, LINE_USAGE, REVENUE),
    ),
    fault(
        "a document number is left out",
        "ledger.closed_invoice_lines",
        "update {table} set document_sequence = document_sequence + 1",
        *(LEDGER, NUMBERS),
    ),
    fault(
        "two invoices have one document number",
        "ledger.closed_invoice_lines",
        "update {table} set document_number = 'A-1'",
        *(LEDGER, NUMBERS),
    ),
    fault(
        "a closed period is deleted",
        "ledger.closed_periods",
        "delete from {table}",
        *(
            LEDGER,
            FROZEN,
            LINE_USAGE,
            SESSION_DAYS,
            ONE_USAGE_ROW,
            ONE_INVOICE,
            ONE_INVOICE_ID,
            ONE_BREAKDOWN,
            REVENUE,
            ONE_REVENUE_DAY,
        ),
        "fct_invoice_lines_each_type_has_its_own_cells",
        "unique_fct_invoice_lines_line_id",
        "source_relationships_ledger_closed_invoice_lines_invoice_period__billing_period__"
        "source_ledger_closed_periods_",
        "unique_combination_int_invoice_lines_line_id",
        *(
            FOCUS,
            FOCUS_SUMS,
            ONE_CHARGE,
            ONE_COST,
        ),
        ONE_SUM,
    ),
    fault(
        "a line of an invoice is lost on its way to Stripe",
        "fct_stripe_lines",
        "delete from {table} where line_type = 'fee'",
        *(STRIPE_LINES,),
    ),
    fault(
        "a line is a hundredth of itself at Stripe",
        "fct_stripe_lines",
        "update {table} set stripe_amount = stripe_amount - 1 where line_number = 1",
        *(STRIPE_LINES,),
    ),
    fault(
        "an invoice is void at Stripe",
        "rpt_stripe_reconciliation",
        "update {table} set status = 'void'",
        *(STRIPE,),
    ),
    fault(
        "a line in the shape of other billing systems has no id",
        "billing__line_item_enhanced",
        "update {table} set line_item_id = null where line_item_index = 1",
        *("billing__line_item_enhanced_lines_and_headers_are_apart",),
    ),
    fault(
        "a closed period's figures are edited",
        "ledger.closed_periods",
        "update {table} set amounts_minor = 'EUR 1'",
        *(LEDGER,),
    ),
    fault(
        "a period was closed out of order",
        "ledger.closed_periods",
        "insert into {table} select * replace ('2098-11' as billing_period, 0 as invoice_count, 0 as line_count,"
        " 0 as usage_row_count, 0 as credits, '' as amounts_minor, sha256('') as checksum) from {table}",
        *(
            LEDGER,
            # No load has begun in the month that would then be open, so nothing is open at all.
            "assert_lines_equal_recomputation",
            "assert_own_steps_reconcile",
            "assert_line_usage_sums_to_session_days",
            "assert_usage_is_billed_or_unbilled",
        ),
        *(FOCUS_SUMS,),
    ),
)


@pytest.mark.parametrize("planted", FAULTS, ids=lambda planted: planted.what.replace(" ", "_"))
def test_a_fault_is_found(project: Project, planted: Fault) -> None:
    table = project.relation(planted.table)
    with project.tampering():
        project.open_up(table)
        project.connection.execute(planted.sql.format(table=table))
        touched = project.build_from(table)
        assert project.failing(touched) == planted.caught_by


def test_there_is_a_fault_for_each_data_test(project: Project) -> None:
    """Rule 35: each check is proven to be able to fail."""
    caught = frozenset[str]().union(*(planted.caught_by for planted in FAULTS))
    without = [name for name, check in project.checks.items() if not any(plants(check)) and name not in caught]
    assert not without, (
        f"no fault is planted for {without}: a data test that was never seen to fail proves nothing; "
        "add a fault to FAULTS (or, for a new kind of generic test, to GENERIC_FAULTS)"
    )


# --- dbt itself ----------------------------------------------------------------------------------------------------


def results(warehouse: Path) -> dict[str, str]:
    """What became of each node of the last run, by name."""
    run = json.loads((warehouse.parent / "target" / "run_results.json").read_text())
    nodes = pipeline.manifest()["nodes"]
    return {
        nodes[result["unique_id"]]["name"]: result["status"]
        for result in run["results"]
        if result["unique_id"] in nodes
    }


def in_place(project: Project, check: Check) -> Fault:
    """A fault that a test finds without anything built again; one that leaves rows for other faults, if there is."""
    faults = [
        planted
        for planted in FAULTS
        if check.name in planted.caught_by and project.relation(planted.table) in check.reads
    ]
    assert faults, f"no fault is planted for {check.name} in a table that it reads itself"
    return min(faults, key=lambda planted: planted.sql.startswith("delete"))


def test_dbt_fails_on_each_data_test(copy: Path) -> None:
    """All faults at once: no test is switched off, turned into a warning, or looks at another warehouse."""
    with closing(connect(copy)) as connection:
        broken = Project(copy, connection)
        for relation in {check.relation for check in broken.checks.values()} - {""}:
            broken.open_up(relation)
        for check in broken.checks.values():
            if not any(plants(check)):
                planted = in_place(broken, check)
                table = broken.relation(planted.table)
                broken.open_up_view(table)
                connection.execute(planted.sql.format(table=table))
        for check in broken.checks.values():
            for plant in plants(check):
                plant(broken, check)
    done = pipeline.dbt(copy, "test", "--select", "test_type:data", "--write-json")
    assert done.returncode == 1
    statuses = results(copy)
    assert {name: statuses[name] for name in broken.checks if statuses[name] != "fail"} == dict.fromkeys(
        (BILL, STRIPE), "warn"
    )


def test_a_vendors_invoice_that_is_a_cent_off_fails_the_build_only_if_told_to(copy: Path) -> None:
    with closing(connect(copy)) as connection:
        connection.execute("update staging.stg_miosa__billing_invoices set due_credits = due_credits + 1")
    arguments = ("--select", "rpt_vendor_invoices+", "--exclude-resource-type", "unit_test")
    done = pipeline.build(copy, *arguments)
    assert f"Warning in test {BILL}" in done.stdout
    told = pipeline.build(copy, *arguments, variables={"vendor_invoice_check": "error"}, parses=True, check=False)
    assert told.returncode == 1
    assert f"Failure in test {BILL}" in told.stdout
    wrong = pipeline.build(copy, *arguments, variables={"vendor_invoice_check": "maybe"}, parses=True, check=False)
    assert "the variable vendor_invoice_check is 'maybe': it must be warn or error" in wrong.stdout


def test_dbt_finds_a_nano_credit_when_told_to_tolerate_none(copy: Path) -> None:
    """From the build's side: the report is built anew, its test fails, and the command says which."""
    with closing(connect(copy)) as connection:
        connection.execute(
            "update staging.stg_miosa__usage_rollups set credits = credits + 0.000000001 where external_user_id = 'ben'"
        )
    variables = {"reconciliation_tolerance_credits": 0}
    arguments = ("--write-json", "--select", "rpt_reconciliation+", "--exclude-resource-type", "unit_test")
    done = pipeline.build(copy, *arguments, variables=variables, check=False)
    assert done.returncode == 1
    assert [name for name, status in results(copy).items() if status not in ("success", "pass", "skipped")] == [VENDOR]
    assert f"Failure in test {VENDOR}" in done.stdout


def test_dbt_says_that_nothing_was_extracted_yet(tmp_path: Path) -> None:
    """A build before the first extraction ends with one sentence that says what to do, and builds nothing."""
    warehouse = tmp_path / "usage.duckdb"
    create_database(warehouse)
    done = pipeline.build(warehouse, check=False)
    assert done.returncode != 0
    assert done.stdout.count("nothing has been extracted into this warehouse yet") >= 1
    assert "python -m extract" in done.stdout
    assert "Traceback" not in done.stdout + done.stderr
    with closing(connect(warehouse)) as connection:
        assert connection.execute("select count(*) from duckdb_tables() where not internal").fetchall() == [(0,)]
