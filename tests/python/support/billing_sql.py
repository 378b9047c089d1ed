"""The pricing and ledger SQL alone: the compiled models from `int_session_days` on, run on parts that a test makes.

For thousands of histories: one state of a merged history is loaded, the models run as dbt compiled them, in their
order, and a close appends to the ledger by the closing's own statements. What dbt, the extractor and the API add is
tested on the whole path.
"""

from __future__ import annotations

import atexit
import re
import shutil
import tempfile
from collections.abc import Collection, Iterable
from functools import cache, cached_property
from graphlib import TopologicalSorter
from pathlib import Path
from typing import Any

import duckdb

import histories
import pipeline
from billing_oracle import DayPart, Prices
from reason_oracle import Record

FIRST_PERIOD, DEFAULT_PLAN, AS_OF_DAY = "9998-11", "a plan that stands for the variable", "9998-10-31"
"""What the models are compiled with, in place of the variables' values, which change from step to step."""

_ALWAYS = -(62 * 10**15)
"""Earlier than any session: the start of year 5, in microseconds since 1970."""

SEEDS = (
    *("plans", "plan_prices", "plan_price_tiers", "user_plans", "currencies"),
    *("plan_quotas", "user_quota_overrides", "customers", "issuer", "vendor_prices", "stripe_customers"),
)

# What the billing models read about usage: sums of the parts, as the models themselves are.
USAGE = """
create or replace table {database}.intermediate.int_session_days as
select
    session_id, usage_date, strftime(usage_date, '%Y-%m') as billing_period, external_user_id,
    external_user_id <> '(unattributed)' as is_attributed, make_timestamp(part_start) as part_start_at_utc,
    nano_credits, usage_seconds, external_project_id, workspace_id, sandbox_id
from parts;
create or replace table {database}.intermediate.int_user_days as
select external_user_id, usage_date, billing_period, sum(nano_credits) as nano_credits
from {database}.intermediate.int_session_days group by all;
create or replace table {database}.intermediate.int_user_periods as
select
    external_user_id, billing_period, count(distinct session_id) as session_count, sum(nano_credits) as nano_credits,
    min(usage_date) filter (where nano_credits > 0) as first_credits_date
from {database}.intermediate.int_session_days group by all;
-- Later than all usage, so that no part lies beyond the newest load's month (rule 37).
create or replace table {database}.staging.stg_miosa__loads as
select 1000000::bigint as load_id, timestamp '9999-12-31' as started_at_utc, 'usage_sessions' as resource
union all
select load_id, timestamp '2026-10-01', 'usage_sessions' from range(1000) as steps (load_id);
create or replace table {database}.staging.stg_miosa__session_loads as
select session_id, load_id, true as has_session_id from versions;
create or replace table {database}.staging.stg_miosa__usage_sessions as
select
    session_id, max(load_id) as load_id, session_id not in (select session_id from sessions) as is_void,
    null::varchar as external_user_id, null::timestamp as started_at_utc, null::bigint as cost_nano_credits,
    null::varchar as rejection_reason
from versions group by session_id;
create or replace table {database}.intermediate.int_sessions as
select
    session_id, external_user_id, sandbox_id, make_timestamp(start) as started_at_utc, is_owned_by_sandbox
from sessions;
create or replace table {database}.intermediate.int_sandbox_owners as
select sandbox_id, external_user_id, load_id, make_timestamp(valid_from) as valid_from_utc,
    make_timestamp(valid_to) as valid_to_utc
from owners where valid_to is null or valid_from < valid_to;
"""


class CompiledModels:
    """The billing models as dbt compiled them, in the order of building."""

    def __init__(self, folder: Path) -> None:
        """Compile the project, once."""
        warehouse = folder / "usage.duckdb"
        with duckdb.connect(warehouse) as connection:
            connection.execute("create schema raw; create table raw.loads (load_id bigint)")
        variables = {"first_billing_period": FIRST_PERIOD, "default_plan_id": DEFAULT_PLAN, "quotas_as_of": AS_OF_DAY}
        done = pipeline.dbt(warehouse, "compile", variables=variables)
        assert done.returncode == 0, done.stdout + done.stderr
        self._nodes = pipeline.manifest()["nodes"]
        self._compiled = folder / "target" / "compiled"
        self.database = warehouse.stem

    @cached_property
    def statements(self) -> list[tuple[str, str]]:
        """Name and SQL of each model that is built from the seeds, the ledger or the parts."""
        given = {
            *("int_session_days", "int_user_days", "int_user_periods"),
            *("stg_miosa__loads", "stg_miosa__usage_sessions", "stg_miosa__session_loads"),
            *("int_sessions", "int_sandbox_owners"),
        }
        # These read what Stripe answered, too.
        left_out = {"int_receivables", "rpt_receivables", "billing__line_item_enhanced"}
        models = {name for name, node in self._models.items() if {"billing", "ledger"} & set(node["fqn"])} - left_out
        assert {parent for name in models for parent in self._parents(name)} >= given
        return self._ordered(models)

    def statements_up_to(self, targets: Iterable[str], given: Collection[str]) -> list[tuple[str, str]]:
        """Name and SQL of the targets and of all that they are made of, but what is given."""
        found: set[str] = set()
        wanted = set(targets)
        while wanted:
            found |= wanted
            wanted = {parent for name in wanted for parent in self._parents(name)} - found - set(given)
            wanted &= self._models.keys()
        return self._ordered(found)

    @cached_property
    def _models(self) -> dict[str, Any]:
        return {node["name"]: node for node in self._nodes.values() if node["resource_type"] == "model"}

    def _parents(self, name: str) -> set[str]:
        parents = self._models[name]["depends_on"]["nodes"]
        return {parent.split(".")[-1] for parent in parents if not parent.startswith("source.")}

    def _ordered(self, names: Collection[str]) -> list[tuple[str, str]]:
        parents = {name: self._parents(name) & set(names) for name in names}
        models = (self._models[name] for name in TopologicalSorter(parents).static_order())
        return [
            (model["relation_name"], (self._compiled / model["package_name"] / model["original_file_path"]).read_text())
            for model in models
        ]

    def empty_warehouse(self) -> duckdb.DuckDBPyConnection:
        """A warehouse in memory, under the name that the models were compiled for, with an empty ledger."""
        connection = duckdb.connect(config={"threads": 2})
        connection.execute("set TimeZone = 'UTC'")
        connection.execute(f"attach ':memory:' as {self.database}")
        for schema in ("raw", "seeds", "staging", "intermediate", "marts", "ledger"):
            connection.execute(f"create schema {self.database}.{schema}")
        connection.execute(f"use {self.database}")
        for table, columns in LEDGER.items():
            connection.execute(f"create table ledger.{table} ({columns})")
        return connection


@cache
def compiled_models() -> CompiledModels:
    """The models as dbt compiles them, once per test process."""
    folder = tempfile.mkdtemp(prefix="compiled-")
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    return CompiledModels(Path(folder))


class BillingWarehouse:
    """One warehouse in memory: its ledger stays, everything else is built anew with each state."""

    def __init__(self, models: CompiledModels) -> None:
        """Make an empty one."""
        self.models = models
        self.connection = models.empty_warehouse()

    def build(self, prices: Prices, parts: Iterable[DayPart], folder: Path, record: Record) -> None:
        """Load a state and run every model. Raises `AssertionError` where the prices have faults."""
        self._load(prices, parts, folder, record)
        for relation, sql in self.models.statements:
            self.connection.execute(f"create or replace table {relation} as {with_variables(sql, prices)}")
            if relation.endswith('"int_pricing_errors"'):
                faults = [row["message"] for row in self._faults()]
                assert not faults, faults

    def faults(self, prices: Prices, parts: Iterable[DayPart], folder: Path) -> list[dict[str, Any]]:
        """Load a state, run the models up to the list of what is wrong with the prices, and give its rows."""
        self._load(prices, parts, folder, Record())
        for relation, sql in self.models.statements:
            self.connection.execute(f"create or replace table {relation} as {with_variables(sql, prices)}")
            if relation.endswith('"int_pricing_errors"'):
                break
        return self._faults()

    def _faults(self) -> list[dict[str, Any]]:
        return self.rows("select * from intermediate.int_pricing_errors order by error_number")

    def _load(self, prices: Prices, parts: Iterable[DayPart], folder: Path, record: Record) -> None:
        execute = self.connection.execute
        self._load_record(record)
        histories.write_seeds(prices, folder)
        load_seeds(self.connection, folder)
        execute(
            "create or replace temp table parts (session_id varchar, external_user_id varchar, usage_date date, "
            "part_start bigint, nano_credits bigint, usage_seconds bigint, external_project_id varchar,"
            " workspace_id varchar, sandbox_id varchar)"
        )
        rows = [(*part[:-1], *part.place) for part in parts]
        if rows:
            cells = list(map(list, zip(*rows, strict=True)))
            execute("insert into parts select " + ", ".join("unnest(?)" for _ in cells), cells)
        execute(USAGE.format(database=self.models.database))

    def _load_record(self, record: Record) -> None:
        """What is known of sessions and owners, each step as a load of its number."""
        owners = {} if record.state is None else record.state.owners
        tables: dict[str, tuple[str, list[tuple[Any, ...]]]] = {
            "versions": (
                "session_id varchar, load_id bigint",
                [(session_id, step) for session_id, steps in record.versions.items() for step in steps],
            ),
            "sessions": (
                "session_id varchar, external_user_id varchar, sandbox_id varchar, start bigint,"
                " is_owned_by_sandbox boolean",
                [
                    (own.session_id, record.owner_of(own), own.sandbox, own.start, own.user is None)
                    for own in record.sessions.values()
                ],
            ),
            "owners": (
                "sandbox_id varchar, external_user_id varchar, load_id bigint, valid_from bigint, valid_to bigint",
                [
                    (
                        *(sandbox, owner, record.owners[sandbox][place], at if place else _ALWAYS),
                        min((later for later, _ in changes[place + 1 :]), default=None),
                    )
                    for sandbox, changes in owners.items()
                    for place, (at, owner) in enumerate(changes)
                ],
            ),
        }
        for name, (columns, rows) in tables.items():
            self.connection.execute(f"create or replace temp table {name} ({columns})")
            if rows:
                cells = list(map(list, zip(*rows, strict=True)))
                unnested = ", ".join("unnest(?)" for _ in cells)
                self.connection.execute(f"insert into {name} select {unnested}", cells)

    def close(self, period: str, step: int) -> None:
        """Append the open lines and pieces of a period, as the closing does, when this step was the newest one."""
        execute = self.connection.execute
        now = "timestamp '2026-11-01 00:00:00'"
        execute(
            "insert into ledger.closed_invoice_lines by name"
            " select * exclude (status, closed_at_utc, invoice_period_start_date, service_period_start_date),"
            f" {now} as closed_at_utc"
            " from marts.fct_invoice_lines where status = 'open' and invoice_period = ?",
            [period],
        )
        columns = ", ".join(name for name, *_ in execute("describe ledger.closed_line_usage").fetchall())
        execute(
            f"insert into ledger.closed_line_usage ({columns}) select {columns} "
            "from marts.fct_invoice_line_usage where status = 'open' and invoice_period = ?",
            [period],
        )
        execute(
            f"insert into ledger.closed_periods (billing_period, closed_at_utc, newest_load_id) values (?, {now}, ?)",
            [period, step],
        )

    def rows(self, sql: str) -> list[dict[str, Any]]:
        """Rows of a query, in the oracle's units."""
        cursor = self.connection.execute(sql)
        names = [column[0] for column in cursor.description or ()]
        return [
            {name: pipeline.plain(name, value) for name, value in zip(names, row, strict=True)}
            for row in cursor.fetchall()
        ]


def load_seeds(connection: duckdb.DuckDBPyConnection, folder: Path) -> None:
    """Load a folder of seeds as the project does: as text."""
    for seed in SEEDS:
        path = folder / f"{seed}.csv"
        columns = ", ".join(f"{name} varchar" for name in path.read_text().splitlines()[0].split(","))
        connection.execute(f"create or replace table seeds.{seed} ({columns})")
        connection.execute(
            f"copy seeds.{seed} from '{path}' (format csv, header true, auto_detect false, delimiter ',', "
            "quote '\"', escape '\"', nullstr '')"
        )


def with_variables(sql: str, prices: Prices) -> str:
    """A compiled model with the values of the two variables in place of those it was compiled with."""

    def text(value: str | None) -> str:
        return "null::varchar" if value is None else "'" + value.replace("'", "''") + "'"

    replaced = sql.replace(f"'{FIRST_PERIOD}'", text(prices.first_billing_period))
    return replaced.replace(f"'{DEFAULT_PLAN}'", text(prices.default_plan_id))


def read_ledger_columns() -> dict[str, str]:
    """The ledger's tables as `macros/ledger.sql` declares them."""
    text = (pipeline.ROOT / "macros" / "ledger.sql").read_text()
    tables = re.findall(r'"(closed_\w+|stripe_documents)": \{(.*?)\}', text, flags=re.S)
    return {
        table: ", ".join(f"{name} {kind}" for name, kind in re.findall(r'"(\w+)": "([^"]+)"', columns))
        for table, columns in tables
    }


LEDGER = read_ledger_columns()
