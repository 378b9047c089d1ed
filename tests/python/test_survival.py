"""What the extractor survives: SIGKILL at any moment, and a network in which every request may fail.

Whatever happened, the file opens, no load is half there, and once a run ended well the warehouse is the one that an
undisturbed run gives.
"""

from __future__ import annotations

import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass, field, replace
from pathlib import Path

import duckdb
import httpx
import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

import faults
import oracle
import tenants
from faults import Plan, network
from pipeline import Run, ask, assert_same, build, extract, read_loads, read_marts, wait_for_folding
from simulator.app import DEFAULT_API_KEY, Options
from simulator.server import serve
from simulator.tenant import Tenant
from tenants import Rows, Span
from test_extract_support import current, query, row

ROOT = Path(__file__).resolve().parents[2]

TABLES = {
    "usage_sessions": ("usage_sessions", "session_voids"),
    "sandboxes": ("sandboxes",),
    "quotas": ("quotas",),
    "usage_rollups": ("usage_rollups",),
    "usage_summaries": ("usage_summaries",),
    "credit_balances": ("credit_balances",),
    "credit_transactions": ("credit_transactions",),
    "billing_invoices": ("billing_invoices",),
    "billing_overviews": ("billing_overviews",),
}
"""The raw tables, and the resources whose loads fill them."""


# --- What must hold at every moment --------------------------------------------------------------------------------


def half_loads(warehouse: Path) -> list[str]:
    """Every way in which raw and its log of loads do not agree. The file is opened for writing, as a run would."""
    with closing(duckdb.connect(str(warehouse))) as connection:
        made = connection.execute("select table_name from duckdb_tables() where schema_name = 'raw'").fetchall()
        existing = {name for (name,) in made}
        if "loads" not in existing:
            return [f"raw.{name} is there, and raw.loads is not" for name in sorted(existing)]
        loads = connection.execute("select load_id, resource, rows_added from raw.loads order by load_id").fetchall()
        found = []
        if [load_id for load_id, _, _ in loads] != list(range(1, len(loads) + 1)):
            found.append(f"the loads are numbered {[load_id for load_id, _, _ in loads]}")
        announced = {load_id: (resource, rows) for load_id, resource, rows in loads}
        present: Counter[int] = Counter()
        for table in sorted(existing & set(TABLES)):
            counts = connection.execute(
                f"select load_id, count(*), count(distinct row_number) from raw.{table} group by load_id"
            ).fetchall()
            for load_id, rows, numbers in counts:
                present[load_id] += rows
                resource, _ = announced.get(load_id, (None, 0))
                if resource not in TABLES[table]:
                    found.append(f"raw.{table} has {rows} rows of load {load_id}, which is one of {resource}")
                if rows != numbers:
                    found.append(f"raw.{table} has {rows} rows of load {load_id} under {numbers} numbers")
        found += [
            f"load {load_id} of {resource} says that it added {rows} rows, and {present[load_id]} are there"
            for load_id, (resource, rows) in announced.items()
            if present[load_id] != rows
        ]
        return found


def raw_state(warehouse: Path) -> dict[str, dict[str, str | None]]:
    """The payload of each key's current version, table by table; None where there is none, a 404's for one."""
    state = {table: current(warehouse, table) for table in TABLES}
    for (user,) in query(warehouse, "select row_key from raw.quotas group by row_key having max(http_status) = 404"):
        state["quotas"][user] = None  # its body tells of the request
    return state


def listed_payloads(warehouse: Path) -> Counter[str]:
    """The payloads of the sessions that raw holds to be listed now."""
    return Counter(payload for payload in current(warehouse).values() if payload is not None)


# --- SIGKILL -------------------------------------------------------------------------------------------------------

ATTEMPTS_PER_KILL = 3
POLL_SECONDS = 0.0003

# A few windows of a few rows: a run lands some thirty loads in a dozen transactions, within two seconds.
SMALL = ("--window-days", "14", "--threads", "2", "--lock-seconds", "5")


def environment(base_url: str, warehouse: Path) -> dict[str, str]:
    """What the command is told by its environment."""
    inherited = {name: value for name, value in os.environ.items() if not name.startswith(("MIOSA_", "EXTRACT_"))}
    ours = {"MIOSA_API_KEY": DEFAULT_API_KEY, "MIOSA_BASE_URL": base_url, "WAREHOUSE_PATH": str(warehouse)}
    return {**inherited, **ours, "PYTHONPATH": str(ROOT)}


def start(base_url: str, warehouse: Path, *command: str) -> subprocess.Popen[str]:
    """Start the extractor, or a command in its place."""
    return subprocess.Popen(
        [sys.executable, *(command or ("-m", "extract")), "--from", Span().first, "--to", Span().last, *SMALL],
        env=environment(base_url, warehouse),
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def file_state(warehouse: Path) -> tuple[tuple[int, int], ...]:
    """Sizes and times of the file and of its write-ahead log: what changes when something is committed."""
    found = []
    for path in (warehouse, warehouse.with_name(warehouse.name + ".wal")):
        try:
            facts = path.stat()
            found.append((facts.st_size, facts.st_mtime_ns))
        except FileNotFoundError:
            found.append((-1, 0))
    return tuple(found)


@dataclass
class Watch:
    """A running extractor, and how often its file has changed."""

    process: subprocess.Popen[str]
    warehouse: Path
    changes: int = 0
    began: float = field(default_factory=time.monotonic)

    def __post_init__(self) -> None:
        """Note whether the run has to create the file."""
        self.is_new = not self.warehouse.exists()

    def wait(self, seconds: float = 60.0, changes: int | None = None) -> None:
        """Wait so long since the start, or for so many changes, or for the process's end."""
        state = file_state(self.warehouse)
        while self.process.poll() is None and time.monotonic() - self.began < seconds and self.changes != changes:
            time.sleep(POLL_SECONDS)
            before, state = state, file_state(self.warehouse)
            self.changes += state != before

    def kill(self) -> bool:
        """Kill it. Returns whether it still ran; fails where it ended otherwise than well."""
        self.process.send_signal(signal.SIGKILL)
        _, said = self.process.communicate(timeout=30)
        assert self.process.returncode in (0, -signal.SIGKILL), f"exit {self.process.returncode}: {said}"
        return self.process.returncode != 0


@dataclass
class Victim:
    """A warehouse whose runs are killed."""

    folder: Path
    loads: int = 0
    kills: int = 0

    @property
    def warehouse(self) -> Path:
        """Its file."""
        return self.folder / "usage.duckdb"

    def examine(self) -> int:
        """Check what a kill left behind; how many loads the killed run had landed.

        A copy is opened, so that it is the next run that meets the file as the kill left it.
        """
        if not self.warehouse.exists():
            return 0
        wait_for_folding(self.warehouse)
        copy = self.folder.with_name(self.folder.name + "-copy")
        shutil.copytree(self.folder, copy)
        opened = copy / self.warehouse.name
        assert half_loads(opened) == []
        tables = query(opened, "select table_name from duckdb_tables() where schema_name = 'raw'")
        loads = int(query(opened, "select count(*) from raw.loads")[0][0]) if ("loads",) in tables else 0
        shutil.rmtree(copy)
        landed, self.loads = loads - self.loads, loads
        assert landed >= 0, "loads that were landed before are gone"
        return landed


def as_before(rows: Rows) -> Rows:
    """The tenant some time before: other costs, and some sessions not metered yet. Owners and quotas are the same."""
    sessions = []
    for place, text in enumerate(rows.sessions):
        if place % 3 or oracle.session_faults(oracle.read_object(text), tenants.Span().end):
            sessions.append(text)
        elif place % 4:
            sessions.append(text[:-1] + f',"credit_cost":{place}.000000001,"credits_used":null}}')
    return replace(rows, sessions=tuple(sessions))


@dataclass(frozen=True)
class Life:
    """How long an undisturbed run took, and how often it changed its file."""

    seconds: float
    changes: int


def undisturbed_run(base_url: str, warehouse: Path) -> Life:
    """Land a tenant in peace, and watch. What is left is the file, and nothing else."""
    watch = Watch(start(base_url, warehouse), warehouse)
    watch.wait()
    life = Life(time.monotonic() - watch.began, watch.changes)
    assert not watch.kill()
    assert half_loads(warehouse) == []
    assert {path.name for path in warehouse.parent.iterdir()} == {warehouse.name}
    return life


def wait_for_a_moment(watch: Watch, rng: random.Random, life: Life) -> None:
    """Half of the time any moment of a run's life, else one just when the file changes: a commit, a checkpoint.

    The first change of all is the file's creation; a new file is killed there.
    """
    if watch.is_new:
        watch.wait(changes=1)
        time.sleep(rng.choice((0.0, rng.uniform(0, 0.002))))
    elif rng.random() < 0.5:
        watch.wait(seconds=rng.uniform(0.05, 1.0) * life.seconds)
    else:
        watch.wait(changes=rng.randint(1, life.changes))
        time.sleep(rng.choice((0.0, rng.uniform(0, 0.003))))


def read_all_marts(warehouse: Path) -> dict[str, oracle.Mart]:
    """Build a warehouse, and read the marts that the oracle knows."""
    marts = (f"+{name}" for name in oracle.KEYS)
    build(warehouse, "--select", *marts, "--exclude-resource-type", "unit_test", "test")
    return read_marts(warehouse)


def check_kills(tmp_path: Path, files: int, kills_per_file: int) -> None:
    """Kill runs on so many files, each so often; a run afterwards lands what an undisturbed one does.

    Marts are a function of raw. So raw is compared, and the marts only where several files were killed.
    """
    kills = files * kills_per_file
    rng = random.Random(11)
    rows = tenants.seeded_rows(2, 300, clock_ends=False)
    landed_by_the_killed: list[int] = []
    victims: list[Victim] = []
    with (
        serve(rows.tenant(), Options(latency_ms=2)) as now,
        serve(as_before(rows).tenant(), Options(latency_ms=2)) as before,
    ):
        undisturbed = Victim(tmp_path / "undisturbed")
        undisturbed.folder.mkdir()
        undisturbed_run(now.base_url, undisturbed.warehouse)
        life = undisturbed_run(now.base_url, undisturbed.warehouse)  # of a file that is there already
        for _ in range(ATTEMPTS_PER_KILL * kills):
            if sum(victim.kills for victim in victims) == kills:
                break
            if not victims or victims[-1].kills == kills_per_file:
                victims.append(Victim(tmp_path / f"killed-{len(victims)}"))
                victims[-1].folder.mkdir()
            victim = victims[-1]
            # What the API says changes from run to run, so that there is always something to land.
            watch = Watch(start(rng.choice((now, before)).base_url, victim.warehouse), victim.warehouse)
            wait_for_a_moment(watch, rng, life)
            was_killed = watch.kill()
            landed = victim.examine()
            if was_killed:
                victim.kills += 1
                landed_by_the_killed.append(landed)
        for victim in victims:
            undisturbed_run(now.base_url, victim.warehouse)
            # That one took the quotas that the killed run had asked for as they were then; this one asks anew.
            undisturbed_run(now.base_url, victim.warehouse)
    assert len(landed_by_the_killed) == kills
    assert {0} < set(landed_by_the_killed), "no run was killed between two of its landings"
    assert len(set(landed_by_the_killed)) > min(3, kills_per_file // 5), landed_by_the_killed
    expected = raw_state(undisturbed.warehouse)
    for victim in victims:
        assert raw_state(victim.warehouse) == expected
    if files > 1:
        assert read_all_marts(victims[-1].warehouse) == read_all_marts(undisturbed.warehouse)


def test_sigkill_at_any_moment_leaves_whole_loads_and_a_run_afterwards_lands_the_rest(tmp_path: Path) -> None:
    check_kills(tmp_path, files=1, kills_per_file=12)


@pytest.mark.slow
def test_many_more_kills(tmp_path: Path) -> None:
    check_kills(tmp_path, files=3, kills_per_file=17)


HALVING = """
import sys, time
import duckdb

connect = duckdb.connect

class Halving:
    def __init__(self, connection):
        self.connection = connection

    def __getattr__(self, name):
        return getattr(self.connection, name)

    def execute(self, sql, *values):
        if "insert into raw.loads" in sql:
            self.connection.execute("commit")
            print("half", flush=True)
            time.sleep(30)
        return self.connection.execute(sql, *values)

duckdb.connect = lambda *arguments, **options: Halving(connect(*arguments, **options))

from extract.cli import main
main()
"""
"""An extractor that lands the rows in one transaction and the load's row in another."""


def test_the_check_sees_a_load_that_is_half_there(tmp_path: Path) -> None:
    victim = Victim(tmp_path / "half")
    victim.folder.mkdir()
    with serve(Tenant.from_rows([row("a", "2026-06-01")])) as server:
        process = start(server.base_url, victim.warehouse, "-c", HALVING)
        assert process.stdout is not None
        assert "half\n" in process.stdout, process.communicate()[1]  # reads up to that line
        assert Watch(process, victim.warehouse).kill()
    assert half_loads(victim.warehouse) == ["raw.usage_sessions has 1 rows of load 1, which is one of None"]


def test_the_check_sees_a_load_whose_rows_are_lost(tmp_path: Path) -> None:
    warehouse = tmp_path / "usage.duckdb"
    with serve(Tenant.from_rows([row("a", "2026-10-05")])) as server:
        extract(server.base_url, warehouse, "--window-days", "31", span=Span("2026-10", "2026-10"))
    with closing(duckdb.connect(str(warehouse))) as connection:
        connection.execute("delete from raw.usage_sessions; delete from raw.loads where load_id = 1")
    found = half_loads(warehouse)
    assert any("says that it added 1 rows, and 0 are there" in line for line in found)
    assert any("numbered" in line for line in found)


# --- A network in which every request may fail ---------------------------------------------------------------------

IMPATIENT = ("--request-seconds", "1", "--threads", "8", "--window-days", "14", "--max-passes", "6")
MOST_RUNS = 15


def land_through(base_url: str, warehouse: Path, span: Span, *, runs: int = MOST_RUNS) -> int:
    """Run the extractor until a run ends well; which one it was. Each that does not says so in one line."""
    for number in range(1, runs + 1):
        done = extract(base_url, warehouse, *IMPATIENT, span=span, check=False)
        assert half_loads(warehouse) == []
        if done.returncode == 0:
            return number
        lines = [line for line in done.stderr.splitlines() if line.startswith("extract:")]
        assert done.returncode == 1, done.stderr
        assert lines, done.stderr
        assert "Traceback" not in done.stderr, done.stderr
        assert "unexpected" not in lines[-1], done.stderr
    raise AssertionError(f"{runs} runs in a row failed, the last one with: {done.stderr}")


@dataclass
class Stormy:
    """A warehouse that is only ever reached through a network that fails."""

    run: Run
    done: Counter[str] = field(default_factory=Counter)
    runs: int = 0

    def extract(self, tenant: Tenant, options: Options, seed: int, span: Span) -> None:
        """Land a tenant; what the warehouse then holds is what the simulator lists, row by row."""
        warehouse = self.run.warehouse
        with serve(tenant, options) as server:
            plan = Plan(seed, server, move_until=span.end)
            with network(plan) as base_url:
                self.runs += land_through(base_url, warehouse, span)
            self.done += plan.done
            assert listed_payloads(warehouse) == Counter(session.text.decode() for session in tenant.sessions)
            periods = query(warehouse, "select distinct row_key from raw.usage_rollups order by row_key")
            self.run.answers.append(ask(server.base_url, tenant, [period for (period,) in periods]))
        self.run.asked_through.append(max(load.load_id for load in read_loads(warehouse)))


SERVERS = st.builds(
    Options,
    envelope=st.sampled_from(["page", "meta", "cursor", "offset"]),
    cursor_type=st.sampled_from(["string", "integer"]),
    rows_key=st.sampled_from(["data", "sessions", "items"]),
    max_page_size=st.sampled_from([4, 7, 20]),
    window=st.sampled_from(["start", "overlap", "end", "ignore"]),
    rollup_wrapped=st.booleans(),
    quota_shape=st.sampled_from(["nested", "flat", "current"]),
    quota_place=st.sampled_from(["data", "quota", "quotas", "bare"]),
    is_quota_listed=st.booleans(),
    shuffle_seed=st.none() | st.integers(0, 100),
    past_end=st.sampled_from(["empty", "404"]),
    empty_list=st.sampled_from(["list", "null"]),
)
"""Servers whose lists prove themselves: of bare rows, a page that is repeated cannot be told from the list's end."""


def check_storm(folder: Path, rows: Rows, servers: list[Options], seed: int) -> Stormy:
    """Land the tenant from each server through a network of its own, build once: the marts are the oracle's."""
    stormy = Stormy(Run(folder / "usage.duckdb"))
    tenant = rows.tenant()
    for place, options in enumerate(servers):
        stormy.extract(tenant, options, 100 * seed + place, Span())
    stormy.run.build(data_tests=False)
    assert_same(stormy.run)
    return stormy


def test_whatever_the_network_does_the_marts_are_what_the_oracle_works_out(tmp_path: Path) -> None:
    servers = [
        Options(max_page_size=5, past_end="404"),
        Options(envelope="cursor", rows_key="items", max_page_size=6, empty_list="null"),
    ]
    stormy = check_storm(tmp_path, tenants.seeded_rows(8, 150), servers, seed=2)
    assert sum(stormy.done.values()) > 50
    assert len(stormy.done) > 12, stormy.done
    assert stormy.done[faults.MOVED]


@pytest.fixture(scope="module")
def client() -> Iterator[httpx.Client]:
    """A plain client."""
    headers = {"Authorization": f"Bearer {DEFAULT_API_KEY}"}
    with httpx.Client(headers=headers, timeout=0.3, trust_env=False) as opened:
        yield opened


def outcome(client: httpx.Client, base_url: str, **query: str) -> str:
    """What a plain client makes of an answer: its status, how it broke, or the ids of its rows and its cursor."""
    began = time.monotonic()
    body = b""
    try:
        with client.stream("GET", f"{base_url}/usage/sessions", params=query) as response:
            for part in response.iter_bytes():
                body += part
                if time.monotonic() - began > 0.6:
                    return "slow"
    except httpx.HTTPError as error:
        return type(error).__name__
    if response.status_code != 200:
        return str(response.status_code)
    try:
        answer = json.loads(body)
    except ValueError:
        return "not JSON"
    if "error" in answer:
        return "an error"
    return f"{','.join(row['id'] for row in answer['data'])} then {answer.get('next_cursor')}"


@pytest.mark.parametrize(
    ("kind", "seen"),
    [
        ("too many requests", {"429"}),
        ("burst of failures", {"500", "502", "503", "504"}),
        ("read timeout", {"ReadTimeout"}),
        ("slow drip", {"slow"}),
        ("reset", {"ReadError"}),
        ("truncated", {"RemoteProtocolError"}),
        ("close-delimited", {"not JSON"}),
        ("hung up", {"RemoteProtocolError"}),
        ("broken gzip", {"DecodingError"}),
        ("cut gzip", {"not JSON"}),
        ("empty body", {"not JSON"}),
        ("web page", {"not JSON"}),
        ("error in a success", {"an error"}),
        ("no content", {"204"}),
        ("repeated page", {"s4,s3 then c_2"}),
        ("other page size", {"s2 then c_3", "s2,s1 then c_4"}),
        ("empty page", {" then gap.c_2"}),
        ("expired cursor", {"400", "404", "409", "410", "422"}),
        (faults.LIE, {" then None"}),
    ],
)
def test_each_fault_is_what_it_is_called(client: httpx.Client, kind: str, seen: set[str]) -> None:
    rows = [row(f"s{number}", f"2026-10-{number + 1:02d}") for number in range(5)]
    found = set()
    with serve(Tenant.from_rows(rows), Options(envelope="cursor", max_page_size=2)) as server:
        assert outcome(client, server.base_url, cursor="c_2", limit="2") == "s2,s1 then c_4"
        for seed in range(1 if kind in ("read timeout", "slow drip") else 4):
            with network(Plan(seed, server, share=1, kinds=(kind,)), hold_seconds=0.5) as base_url:
                found.add(outcome(client, base_url, cursor="c_2", limit="2"))
    assert found <= seen


def test_a_row_that_moves_is_in_the_window_that_is_read(client: httpx.Client) -> None:
    rows = [row(f"s{number}", f"2026-10-{number + 1:02d}") for number in range(5)]
    with serve(Tenant.from_rows(rows), Options(max_page_size=2)) as server:
        sizes = set()
        for seed in range(8):
            plan = Plan(seed, server, share=1, kinds=(faults.MOVED,), move_until=Span().end)
            with network(plan) as base_url:
                outcome(client, base_url, since="2026-09-30T23:59:59Z", until="2026-10-15T00:00:00Z", page="2")
            assert plan.done == {faults.MOVED: 1}
            sizes.add(len(server.tenant.sessions))
            assert all(session.start < Span().end for session in server.tenant.sessions if session.start)
    assert len(sizes) > 2


def lied_to(folder: Path, rows: Rows) -> Run:
    """A warehouse to which the API lied: some of its lists are empty, as they say themselves."""
    run, tenant = Run(folder / "usage.duckdb"), rows.tenant()
    with serve(tenant) as server:
        with network(Plan(3, server, share=0.3, kinds=(faults.LIE,))) as base_url:
            assert land_through(base_url, run.warehouse, Span(), runs=1) == 1
        periods = query(run.warehouse, "select distinct row_key from raw.usage_rollups order by row_key")
        run.answers.append(ask(server.base_url, tenant, [period for (period,) in periods]))
    run.asked_through.append(max(load.load_id for load in read_loads(run.warehouse)))
    return run


def test_the_check_of_rows_sees_an_api_that_lies(tmp_path: Path) -> None:
    run = lied_to(tmp_path, tenants.seeded_rows(9, 120, clock_ends=False))
    assert listed_payloads(run.warehouse) != Counter(run.answers[0].sessions)


@pytest.mark.slow
def test_the_check_of_marts_sees_an_api_that_lies(tmp_path: Path) -> None:
    run = lied_to(tmp_path, tenants.seeded_rows(9, 120, clock_ends=False))
    credits: Counter[str] = Counter()
    for (_, period), figures in read_all_marts(run.warehouse)["fct_user_period_credits"].items():
        credits[period] += figures["credits"]
    assert any(credits[period] != run.answers[0].vendor_nano[period, None] for period in credits)
    with pytest.raises(AssertionError):
        assert_same(run)


@pytest.mark.slow
@settings(
    deadline=None,
    max_examples=8,
    phases=[Phase.explicit, Phase.generate],
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.large_base_example],
    print_blob=True,
)
@given(
    rows=st.builds(tenants.seeded_rows, st.integers(0, 2**32), st.integers(50, 300)),
    servers=st.lists(SERVERS, min_size=1, max_size=3),
    seed=st.integers(0, 2**32),
)
def test_any_network_before_any_server(
    tmp_path_factory: pytest.TempPathFactory, rows: Rows, servers: list[Options], seed: int
) -> None:
    check_storm(tmp_path_factory.mktemp("storm"), rows, servers, seed)
