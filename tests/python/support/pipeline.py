"""The whole path as a test runs it: simulator, `python -m extract`, `dbt build`, and the marts read back as integers.

Each step is the command that production runs, in a process of its own; dbt's are forked from one that has imported it.
What comes back is in the oracle's units: nano-credits (and billionths of a limit), microseconds since 1970, days as
`YYYY-MM-DD`.
"""

from __future__ import annotations

import atexit
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import closing, suppress
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from decimal import Decimal
from functools import cache, cached_property
from pathlib import Path
from typing import Any

import duckdb
import httpx

import oracle
from dbt_forks import ForkingDbt, Started
from simulator.app import DEFAULT_API_KEY, Fault, Options
from simulator.server import serve
from simulator.tenant import LIMITS, Tenant
from simulator.usage_reports import UsageShape
from tenants import Rows, Span

ROOT = Path(__file__).resolve().parents[3]
DECIMALS = {
    "utilization": 6,
    **dict.fromkeys(("amount", "difference_amount", "current_amount", "upgrade_amount"), 3),
    **dict.fromkeys(("previous_amount", "amount_difference", "credit_amount", "starting_amount", "retained_amount"), 3),
    **dict.fromkeys(("fee_amount", "usage_amount", "minimum_amount", "adjustment_amount"), 3),
    **dict.fromkeys(("amount_change_ratio", "amount_share", "net_retention", "gross_retention"), 6),
}
"""Of columns that have others than credits have."""

EXTRACT_SECONDS = 180
BUILD_SECONDS = 420
FOLD_SECONDS = 60


# --- Commands ------------------------------------------------------------------------------------------------------


def _inherited() -> dict[str, str]:
    return {name: value for name, value in os.environ.items() if not name.startswith(("MIOSA_", "DBT_", "TZ"))}


def _least_environment() -> dict[str, str]:
    """What dbt needs of it. It looks through all of it for secrets with each line that it may log."""
    return {name: os.environ[name] for name in ("PATH", "HOME", "LANG", "TMPDIR", "PYTHONPATH") if name in os.environ}


def _run(arguments: Sequence[str], environment: Mapping[str, str], seconds: int) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        arguments,
        cwd=ROOT,
        env={**_inherited(), **environment},
        capture_output=True,
        text=True,
        timeout=seconds,
        check=False,
    )


def _must_succeed(done: subprocess.CompletedProcess[str]) -> subprocess.CompletedProcess[str]:
    if done.returncode != 0:
        command = " ".join(map(str, done.args))
        raise AssertionError(f"exit {done.returncode} from {command}\n{done.stdout[-6000:]}\n{done.stderr[-6000:]}")
    return done


def extract(
    base_url: str, warehouse: Path, *arguments: str, span: Span | None = None, tz: str = "UTC", check: bool = True
) -> subprocess.CompletedProcess[str]:
    """Run `python -m extract` for the months of `span` (the command's own default without one).

    Raises `AssertionError`, with what the command said, where it fails and `check` is set.
    """
    months = ("--from", span.first, "--to", span.last) if span else ()
    done = _run(
        [sys.executable, "-m", "extract", *months, *arguments],
        {"MIOSA_API_KEY": DEFAULT_API_KEY, "MIOSA_BASE_URL": base_url, "WAREHOUSE_PATH": str(warehouse), "TZ": tz},
        EXTRACT_SECONDS,
    )
    return _must_succeed(done) if check else done


@cache
def _dbt(*, parses: bool) -> ForkingDbt:
    """What runs the dbt commands of this test process, or (`parses`) those that parse the project themselves.

    These are forks of another process: in a fork of one that has parsed, dbt's parser waits for itself for ever.
    """
    forking = ForkingDbt(ROOT, {**_least_environment(), "DBT_SEND_ANONYMOUS_USAGE_STATS": "false"})
    atexit.register(forking.stop)
    return forking


@cache
def _parsed(database: str) -> Path:
    """The project, parsed once a test process for warehouses of one name, with seeds in a folder beside it.

    The name stands in the names of all tables. Of seeds only their place does: what they hold is read when they are
    loaded, so `seeds` in this folder is a link that each run sets to those that it is to take.
    """
    folder = Path(tempfile.mkdtemp(prefix="parsed-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    (folder / "seeds").symlink_to(ROOT / "seeds")
    _dbt(parses=False).parse(
        str(folder),
        ["--quiet", "--log-level-file", "none", "parse", "--target-path", str(folder), "--log-path", str(folder)],
        {"WAREHOUSE_PATH": str(folder / f"{database}.duckdb"), "SEEDS_PATH": str(folder / "seeds")},
    )
    return folder


def manifest() -> dict[str, Any]:
    """The project as dbt parsed it, without a warehouse, for one named `usage.duckdb`."""
    parsed: dict[str, Any] = json.loads((_parsed("usage") / "manifest.json").read_text())
    return parsed


def _parsed_with(database: str, seeds: Path) -> Path:
    """The parsed project, with its seeds in another folder from now on. A test process runs one dbt at a time."""
    parsed = _parsed(database)
    (parsed / "seeds").unlink()
    (parsed / "seeds").symlink_to(seeds.absolute())
    return parsed


def start_dbt(
    warehouse: Path,
    command: str,
    *arguments: str,
    variables: Mapping[str, Any] | None = None,
    seeds: Path | None = None,
    tz: str = "UTC",
    parses: bool = False,
    environment: Mapping[str, str] | None = None,
    seconds: float = BUILD_SECONDS,
) -> Started:
    """Start a dbt command on a warehouse for at most so long, with the seeds of a folder (the project's without one).

    dbt's own files go beside the warehouse, so runs do not meet. Unless `parses` is set, the run takes the project as
    it was parsed before, and so leaves no manifest.
    """
    beside = warehouse.parent
    seeds = seeds or ROOT / "seeds"
    parsed = None if parses else _parsed_with(warehouse.stem, seeds)
    return _dbt(parses=parses).start(
        [
            *(command, "--target-path", str(beside / "target"), "--log-path", str(beside / "logs"), "--no-use-colors"),
            # Two threads of one interpreter would only wait for each other, where the tables hold a few rows.
            *(("--threads", "1") if command == "build" else ()),
            # A second or two a build, for files that few tests read; those ask for them (the last one counts).
            *("--log-level-file", "none", "--write-json" if parses else "--no-write-json"),
            *(("--vars", json.dumps(variables)) if variables else ()),
            *arguments,
        ],
        {
            "WAREHOUSE_PATH": str(warehouse),
            "TZ": tz,
            "SEEDS_PATH": str(parsed / "seeds" if parsed else seeds),
            **(environment or {}),
        },
        str(parsed) if parsed else None,
        seconds,
    )


def dbt(warehouse: Path, command: str, *arguments: str, **settings: Any) -> subprocess.CompletedProcess[str]:
    """Run a dbt command on a warehouse to its end; the settings are those of `start_dbt`."""
    return start_dbt(warehouse, command, *arguments, **settings).wait()


def build(
    warehouse: Path,
    *arguments: str,
    variables: Mapping[str, Any] | None = None,
    seeds: Path | None = None,
    tz: str = "UTC",
    check: bool = True,
    command: str = "build",
    parses: bool = False,
) -> subprocess.CompletedProcess[str]:
    """Run `dbt build` (or another command) on a warehouse.

    Unit tests are left out, also of what is selected: they do not look at the warehouse, so once a suite will do.
    Raises `AssertionError`, with what dbt said, where it fails and `check` is set.
    """
    if "--exclude-resource-type" not in arguments:
        arguments = (*arguments, "--exclude-resource-type", "unit_test")
    done = dbt(warehouse, command, *arguments, variables=variables, seeds=seeds, tz=tz, parses=parses)
    return _must_succeed(done) if check else done


def wait_for_folding(warehouse: Path) -> None:
    """Wait until no process folds a warehouse's log in, or is ready to: one goes on where the command was killed."""
    name = os.fsencode(warehouse.absolute())
    for process in Path("/proc").glob("[0-9]*/cmdline"):
        until = time.monotonic() + FOLD_SECONDS
        with suppress(OSError):  # it has ended
            while name in process.read_bytes().split(b"\0"):
                assert time.monotonic() < until, f"{process} still holds {warehouse}"
                time.sleep(0.0003)


def write_seeds(directory: Path, **contents: str) -> Path:
    """A folder of seeds: those of the project, with other contents for the files that are named."""
    shutil.copytree(ROOT / "seeds", directory, dirs_exist_ok=True)
    for name, content in contents.items():
        assert (directory / f"{name}.csv").exists(), f"there is no seed {name}"
        (directory / f"{name}.csv").write_text(content, encoding="utf-8")
    return directory


# --- Reading back --------------------------------------------------------------------------------------------------


def query(warehouse: Path, sql: str, parameters: Sequence[object] = ()) -> list[dict[str, Any]]:
    """Rows of a query as dictionaries, as DuckDB gives them."""
    with closing(duckdb.connect(str(warehouse), read_only=True)) as connection:
        cursor = connection.execute(sql, parameters)
        names = [column[0] for column in cursor.description or ()]
        return [dict(zip(names, row, strict=True)) for row in cursor.fetchall()]


def microseconds(moment: datetime) -> int:
    """Microseconds since 1970 of a naive UTC time."""
    return (moment - datetime(1970, 1, 1)) // timedelta(microseconds=1)


def scaled(amount: Decimal, decimals: int) -> int:
    """A Decimal times ten to `decimals`, without the rounding of a decimal context."""
    sign, digits, exponent = amount.as_tuple()
    if not isinstance(exponent, int) or exponent < -decimals:
        raise ValueError(f"{amount} has more than {decimals} decimals")
    size: int = int("".join(map(str, digits))) * 10 ** (exponent + decimals)
    return -size if sign else size


def plain(column: str, value: Any) -> Any:
    """A cell in the oracle's units. A float anywhere is a fault (rule 1)."""
    if isinstance(value, float):
        raise AssertionError(f"{column} is a float: {value}")
    if isinstance(value, Decimal):
        return scaled(value, DECIMALS.get(column, oracle.COST_DECIMALS))
    if isinstance(value, datetime):
        return microseconds(value)
    return value.isoformat() if isinstance(value, date) else value


def copy(warehouse: Path, folder: Path) -> Path:
    """A copy of a warehouse, with what stands beside it under its name, in a folder of its own, made anew."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    for path in warehouse.parent.glob(f"{warehouse.stem}.*"):
        shutil.copy(path, folder / path.name)
    return folder / warehouse.name


def differing_tables(one: Path, other: Path) -> Iterator[str]:
    """What tables of the models do not hold the same rows in two warehouses: name, and a row that only one has."""
    with closing(duckdb.connect()) as connection:
        connection.execute(f"attach '{one}' as one (read_only); attach '{other}' as other (read_only)")
        names = connection.execute(
            "select table_schema || '.' || table_name from information_schema.tables"
            " where table_catalog = 'one' and table_schema in ('staging', 'intermediate', 'marts')"
            " and table_type = 'BASE TABLE'"
            # What a partial build had to do, which a build in full knows nothing of.
            " and not contains(table_name, 'changed') order by all"
        ).fetchall()
        assert len(names) > 50
        for (name,) in names:
            for left, right in (("one", "other"), ("other", "one")):
                found = connection.execute(
                    f"select * from (from {left}.{name} except all from {right}.{name}) limit 1"
                ).fetchall()
                if found:
                    yield f"{name}: only in {left}: {found[0]}"


def read_mart(warehouse: Path, name: str) -> oracle.Mart:
    """A mart by its key. Raises `AssertionError` where a key stands twice."""
    mart: oracle.Mart = {}
    for row in query(warehouse, f"select * from marts.{name}"):
        cells = {column: plain(column, value) for column, value in row.items()}
        key = tuple(cells.pop(column) for column in oracle.KEYS[name])
        if key in mart:
            raise AssertionError(f"{name} has two rows of {key}")
        mart[key] = cells
    return mart


def read_marts(warehouse: Path) -> dict[str, oracle.Mart]:
    """All marts that the oracle works out row by row."""
    return {name: read_mart(warehouse, name) for name in oracle.KEYS}


def read_loads(warehouse: Path) -> list[oracle.Load]:
    """The log of complete loads."""
    return [
        oracle.Load(
            load_id=row["load_id"],
            run_id=row["run_id"],
            resource=row["resource"],
            window_start=row["window_start_at_utc"] and microseconds(row["window_start_at_utc"]),
            window_end=row["window_end_at_utc"] and microseconds(row["window_end_at_utc"]),
            started_at=microseconds(row["started_at_utc"]),
        )
        for row in query(warehouse, "select * from raw.loads order by load_id")
    ]


# --- What the API said, in order ------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Answered:
    """What the API had to say when one run of the extractor asked it."""

    sessions: tuple[str, ...]
    sandboxes: tuple[str, ...]
    quotas: Mapping[str, Mapping[str, int | None]]
    """Limits in billionths."""
    storage_gb_hours: Mapping[tuple[str, str], str]
    vendor_nano: Mapping[tuple[str, str | None], int]
    """The vendor's credits by period and user; the user None is its total."""
    line_items_nano: Mapping[tuple[str, str], int]
    """The vendor's credits by period and user, as its line items add up; none where it gives no line items."""


def ask(base_url: str, tenant: Tenant, periods: Iterable[str], shape: UsageShape = "results") -> Answered:
    """Take down what the API says: the rows as they are served, and the vendor's figures over HTTP."""
    storage: dict[tuple[str, str], str] = {}
    credits: dict[tuple[str, str | None], int] = {}
    items: dict[tuple[str, str], int] = {}
    headers = {"Authorization": f"Bearer {DEFAULT_API_KEY}"}
    with httpx.Client(base_url=base_url, headers=headers, trust_env=False, timeout=60) as client:
        for period in periods:
            month = oracle.month_number(period)
            first, last = (f"{oracle.month_name(at)}-01T00:00:00Z" for at in (month, month + 1))
            bounds = {"period_start": first, "period_end": last}
            by_user = {"group_by": "external_user_id", "start": first, "end": last}
            asked = by_user if shape == "results" else {**bounds, "groupBy": "external_user_id"}
            body = oracle.read_object(client.get("usage", params=asked).raise_for_status().text)
            for row in _lines(body, shape):
                user = oracle.usable_id(row["external_user_id"]) or oracle.UNATTRIBUTED
                key = period, user
                if shape == "results":
                    storage[key] = row["storage_gb_hours"]
                    credits[key] = oracle.nano(row["credit_cents"])
                else:
                    credits[key] = credits.get(key, 0) + oracle.nano_of_dollars(row["total_usd"])
                    prices = [oracle.nano_of_dollars(item["usd"]) for item in row["line_items"]]
                    items[key] = items.get(key, 0) + sum(prices)
            asked = bounds
            body = oracle.read_object(client.get("usage/summary", params=asked).raise_for_status().text)
            credits[period, None] = oracle.nano(body.get("data", body)["total_credits"])
    return Answered(
        sessions=tuple(session.text.decode() for session in tenant.sessions),
        # The tenant lists newest first; the oracle reads versions oldest first, but a tenant holds one of each.
        sandboxes=tuple(sandbox.text.decode() for sandbox in tenant.sandboxes),
        quotas={
            user: {name: None if limits[name] is None else scaled(Decimal(limits[name] or 0), 9) for name in LIMITS}
            for user, limits in tenant.quotas.items()
        },
        storage_gb_hours=storage,
        vendor_nano=credits,
        line_items_nano=items,
    )


def _lines(body: Any, shape: UsageShape) -> Sequence[Any]:
    """The lines of a usage report, which may be inside `data`."""
    inner = body.get("data", body)
    place = inner if isinstance(inner, dict) else body
    lines: Sequence[Any] | None = place["results" if shape == "results" else "data"]
    return lines or ()


@dataclass
class Run:
    """A warehouse, and what the API said each time it was asked."""

    warehouse: Path
    answers: list[Answered] = field(default_factory=list)
    asked_through: list[int] = field(default_factory=list)
    """The last load of each run of the extractor."""
    tolerance_nano: int = oracle.NANO
    """How far the vendor's figures may be off, as of the last build."""

    def extract(
        self,
        rows: Rows | Tenant,
        options: Options | None = None,
        span: Span | None = None,
        *arguments: str,
        tz: str = "UTC",
        fault: Fault | None = None,
    ) -> None:
        """Serve a tenant, land it, and take down what it said."""
        tenant = rows if isinstance(rows, Tenant) else rows.tenant()
        with serve(tenant, options, fault) as server:
            extract(server.base_url, self.warehouse, *arguments, span=span, tz=tz)
            periods = [
                row["row_key"] for row in query(self.warehouse, "select distinct row_key from raw.usage_rollups")
            ]
            self.answers.append(ask(server.base_url, tenant, sorted(periods), server.options.usage_shape))
        self.asked_through.append(max(load.load_id for load in read_loads(self.warehouse)))
        self.forget()

    def build(self, tz: str = "UTC", tolerance_credits: int = 1, *, data_tests: bool = True) -> None:
        """Build every model, and run every data test. Unit tests are left out: they do not look at the warehouse."""
        self.tolerance_nano = tolerance_credits * oracle.NANO
        variables = None if tolerance_credits == 1 else {"reconciliation_tolerance_credits": tolerance_credits}
        left_out = ["unit_test"] if data_tests else ["unit_test", "test"]
        build(self.warehouse, "--exclude-resource-type", *left_out, variables=variables, tz=tz)
        self.forget()

    def copy(self, directory: Path) -> Run:
        """The same warehouse in another file, to go on from."""
        warehouse = Path(shutil.copy(self.warehouse, directory / self.warehouse.name))
        return Run(warehouse, list(self.answers), list(self.asked_through), self.tolerance_nano)

    def forget(self) -> None:
        """Read anew what is known, expected and built."""
        for name in ("known", "expected", "marts"):
            self.__dict__.pop(name, None)

    @cached_property
    def known(self) -> oracle.Known:
        """What the warehouse has been told: the API's words, and from the warehouse only when it asked."""
        loads = read_loads(self.warehouse)
        newest = self.answers[-1]
        # Each run lands the list of sandboxes once; one that failed later is followed by one that was told the same.
        listed = [load.started_at for load in loads if load.resource == "sandboxes"]
        sandboxes = [
            oracle.SandboxRow(text, started_at)
            for place, started_at in enumerate(listed)
            for text in self.answers[min(place, len(self.answers) - 1)].sandboxes
            if _has_id(text)
        ]
        sandboxes += [oracle.SandboxRow(text, listed[-1]) for text in newest.sandboxes if not _has_id(text)]
        return oracle.Known(
            loads=loads,
            sessions=self._sessions(newest, {load.load_id: load.started_at for load in loads}),
            sandboxes=sandboxes,
            quotas=self._quotas({load.load_id: load.started_at for load in loads}),
            storage_gb_hours=newest.storage_gb_hours,
        )

    def _sessions(self, newest: Answered, started_at: Mapping[int, int]) -> list[oracle.SessionRow]:
        """The rows that the API lists now. Which load brought each is the warehouse's to say."""
        brought_by = {
            row["row_key"]: row["load_id"]
            for row in query(
                self.warehouse,
                "select row_key, max(load_id) as load_id from raw.usage_sessions"
                " where has_id and not is_void group by row_key",
            )
        }
        rows = []
        for text in newest.sessions:
            row = oracle.read_object(text)
            # Rows without a usable id are rejected, whatever brought them.
            load_id = brought_by.get(str(row["id"])) if oracle.usable_id(row.get("id")) else max(started_at)
            if load_id is None:
                raise AssertionError(f"session {row['id']!r} is listed, and raw holds no such row")
            rows.append(oracle.SessionRow(text, started_at[load_id]))
        return rows

    def _quotas(self, started_at: Mapping[int, int]) -> list[oracle.QuotaAnswer]:
        """Versions of each user's quota: what the API said, and when raw says that it was asked."""
        versions: dict[str, list[int]] = defaultdict(list)
        for row in query(self.warehouse, "select row_key, load_id from raw.quotas order by load_id"):
            versions[row["row_key"]].append(row["load_id"])
        missing = self._users_to_ask() - set(versions)
        if missing:
            raise AssertionError(f"nobody asked for the quota of {sorted(missing)[:10]}")
        answers = []
        for user, load_ids in versions.items():
            for load_id in load_ids:
                run = next(place for place, last in enumerate(self.asked_through) if load_id <= last)
                limits = self.answers[run].quotas.get(user)
                answers.append(oracle.QuotaAnswer(user, load_id, started_at[load_id], limits))
            if answers[-1].limits != self.answers[-1].quotas.get(user):
                raise AssertionError(f"the newest quota of {user!r} was not landed")
        return sorted(answers, key=lambda answer: answer.load_id)

    def _users_to_ask(self) -> set[str]:
        """Users of usable sessions and owners of sandboxes, at any time."""
        users: set[str] = set()
        newest_start = max(load.started_at for load in read_loads(self.warehouse))
        for answer in self.answers:
            for changes in oracle.sandbox_owners(oracle.SandboxRow(text, 0) for text in answer.sandboxes).values():
                users |= {owner for _, owner in changes}
            for text in answer.sessions:
                row = oracle.read_object(text)
                user = oracle.usable_id(row.get("external_user_id"))
                if user is not None and not oracle.session_faults(row, newest_start):
                    users.add(user)
        return users

    @cached_property
    def expected(self) -> oracle.Marts:
        """What every mart must hold."""
        return oracle.work_out(self.known)

    @cached_property
    def marts(self) -> dict[str, oracle.Mart]:
        """What the marts hold."""
        return read_marts(self.warehouse)

    def differences(self) -> list[str]:
        """Everything in which the warehouse and the oracle differ."""
        found = []
        for name, mart in self.expected.by_name.items():
            found += [f"{name} {line}" for line in mart_differences(mart, self.marts[name])]
        found += rejected_differences(self.expected.rejected, self.warehouse)
        return found + self.reconciliation_differences() + self.bridge_differences()

    def bridge_differences(self) -> list[str]:
        """Where `rpt_vendor_bill_bridge` does not lead from the oracle's credits to the vendor's figure."""
        attributed: Counter[str] = Counter()
        nobodys: Counter[str] = Counter()
        for (_, period), row in self.expected.by_name["fct_user_period_credits"].items():
            (attributed if row["is_attributed"] else nobodys)[period] += row["credits"]
        vendor = self.answers[-1].vendor_nano
        told = {period for period, _ in vendor}
        periods = self.expected.by_name["dim_billing_periods"].items()
        complete = {period for (period,), row in periods if row["is_complete"] and period in told}
        bridges: dict[str, dict[str, int]] = defaultdict(dict)
        for row in query(self.warehouse, "select * from marts.rpt_vendor_bill_bridge where vendor_source = 'summary'"):
            bridges[row["billing_period"]][row["step"]] = scaled(row["credits"], oracle.COST_DECIMALS)
        found = [f"rpt_vendor_bill_bridge {period}: missing or extra" for period in sorted(complete ^ bridges.keys())]
        for period in sorted(complete & bridges.keys()):
            steps = bridges[period]
            users = steps["invoiced_users"] + steps["before_first_period"], attributed[period]
            rest = sum(steps[name] for name in ("crossing_sessions", "rejected", "rounding", "unexplained"))
            total = vendor.get((period, None), 0)
            for name, figure, expected in (
                ("users", *users),
                ("unattributed", steps["unattributed"], nobodys[period]),
                ("the steps between", rest, total - attributed[period] - nobodys[period]),
                ("vendor", steps["vendor"], total),
            ):
                if figure != expected:
                    found.append(f"rpt_vendor_bill_bridge {period}: {name}: {figure}, expected {expected}")
        return found

    def reconciliation_differences(self) -> list[str]:
        """Where `rpt_reconciliation` is not what the oracle's figures and the vendor's say."""
        credits: dict[tuple[str, str | None], int] = defaultdict(int)
        for (user, period), row in self.expected.by_name["fct_user_period_credits"].items():
            credits[period, user] += row["credits"]
            credits[period, None] += row["credits"]
        # Rule 34: one nano-credit for each session whose cost was rounded.
        rounded: Counter[tuple[str, str | None]] = Counter()
        for (user, month), parts in oracle.month_parts(oracle.usable_sessions(self.known)).items():
            count = sum(part.session.is_cost_rounded for part in parts)
            rounded[oracle.month_name(month), user] += count
            rounded[oracle.month_name(month), None] += count
        vendor, items = self.answers[-1].vendor_nano, self.answers[-1].line_items_nano
        complete = {
            period for (period,), row in self.expected.by_name["dim_billing_periods"].items() if row["is_complete"]
        }
        expected_rows: dict[tuple[str, str, str | None], tuple[int, int]] = {}
        for period, user in set(vendor) | set(credits):
            if period in complete and any(known == period for known, _ in vendor):
                name = "facts_vs_vendor_summary" if user is None else "facts_vs_vendor_rollup"
                expected_rows[name, period, user] = vendor.get((period, user), 0), credits.get((period, user), 0)
                if user is not None and any(known == period for known, _ in items):
                    total = vendor.get((period, user), 0)
                    expected_rows["vendor_rollup_vs_line_items", period, user] = total, items.get((period, user), 0)
        found, seen = [], set()
        for row in query(self.warehouse, "select * from marts.rpt_reconciliation"):
            key = row["check_name"], row["billing_period"], row["external_user_id"]
            if key in seen:
                found.append(f"rpt_reconciliation has two rows of {key}")
            seen.add(key)
            stated = [row[f"{name}_credits"] for name in ("expected", "actual", "difference", "tolerance")]
            if None in stated:
                found.append(f"rpt_reconciliation {key}: a figure is missing: {stated}")
                continue
            figures = tuple(scaled(amount, oracle.COST_DECIMALS) for amount in stated)
            allowed = self.tolerance_nano if "vendor" in key[0] else 0
            allowed += rounded[key[1:]] if key[0].startswith("facts_vs_vendor") else 0
            status = "ok" if abs(figures[1] - figures[0]) <= allowed else "mismatch"
            if abs(figures[2]) != abs(figures[1] - figures[0]) or figures[3] != allowed or row["status"] != status:
                found.append(f"rpt_reconciliation {key}: {figures} {row['status']}, not {status} within {allowed}")
            if key in expected_rows and figures[:2] != expected_rows[key]:
                found.append(f"rpt_reconciliation {key}: {figures[:2]}, expected {expected_rows[key]}")
            if "vendor" in key[0] and key not in expected_rows:
                found.append(f"rpt_reconciliation {key}: extra")
            if "vendor" not in key[0] and status != "ok":
                found.append(f"rpt_reconciliation {key}: {figures}: the warehouse does not agree with itself")
        return found + [f"rpt_reconciliation {key}: missing" for key in sorted(set(expected_rows) - seen, key=str)]


def _has_id(text: str) -> bool:
    return oracle.usable_id(oracle.read_object(text).get("id")) is not None


def whole_path(
    directory: Path,
    rows: Rows | Tenant,
    options: Options | None = None,
    span: Span | None = None,
    *,
    tz: str = "UTC",
    fault: Fault | None = None,
    data_tests: bool = True,
) -> Run:
    """Serve, extract and build a tenant into a warehouse of its own."""
    run = Run(directory / "usage.duckdb")
    run.extract(rows, options, span or Span(), tz=tz, fault=fault)
    run.build(tz=tz, data_tests=data_tests)
    return run


# --- Comparing -----------------------------------------------------------------------------------------------------


def mart_differences(expected: oracle.Mart, actual: oracle.Mart) -> list[str]:
    """Rows that are missing, that nobody expects, or that differ in an expected column."""
    found = [f"{key}: missing: {expected[key]}" for key in expected.keys() - actual.keys()]
    found += [f"{key}: extra: {actual[key]}" for key in actual.keys() - expected.keys()]
    for key in expected.keys() & actual.keys():
        for column, value in expected[key].items():
            if column not in actual[key]:
                found.append(f"{key}: no column {column}")
            elif actual[key][column] != value or type(actual[key][column]) is not type(value):
                found.append(f"{key}: {column} is {actual[key][column]!r}, expected {value!r}")
    return sorted(found)


def rejected_differences(expected: Iterable[oracle.Rejected], warehouse: Path) -> list[str]:
    """Rejected rows that are missing or extra, or whose reason is not one that holds."""
    rows = query(warehouse, "select * from marts.rpt_rejected_rows")
    actual = Counter((row["source"], row["row_id"], oracle.canonical(row["payload"])) for row in rows)
    expected = list(expected)
    wanted = Counter((row.source, row.row_id, row.payload) for row in expected)
    found = [f"rpt_rejected_rows: missing {count} of {row}" for row, count in (wanted - actual).items()]
    found += [f"rpt_rejected_rows: {count} too many of {row}" for row, count in (actual - wanted).items()]
    faults = {(row.source, row.row_id, row.payload): row.faults for row in expected}
    for row in rows:
        holds = faults.get((row["source"], row["row_id"], oracle.canonical(row["payload"])))
        named = set((row["reason"] or "").replace(",", " ").split())
        if holds is not None and (not named or not named <= holds):
            found.append(f"rpt_rejected_rows: {row['payload']}: reason {row['reason']!r}, not of {sorted(holds)}")
        if row["load_id"] is None or row["loaded_at_utc"] is None:
            found.append(f"rpt_rejected_rows: {row['payload']}: no load or no time")
    return sorted(found)


def assert_same(run: Run) -> None:
    """Fail, showing the first few differences, unless every mart is what the oracle works out."""
    found = run.differences()
    assert not found, f"{len(found)} differences, the first of them:\n" + "\n".join(line[:600] for line in found[:20])
