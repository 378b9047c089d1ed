"""The simulator's data: the generator, the reading of rows, the clock, the split, and the command line."""

from __future__ import annotations

import json
import re
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from decimal import Decimal
from itertools import pairwise
from pathlib import Path
from typing import Any

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from simulator import Tenant, generate_tenant
from simulator.edges import HOSTILE_USERS, edge_sessions
from simulator.metering import end_of, nano_text, part, roll_up, used_by, whole_cents
from simulator.rows import MICROSECONDS, Session, read_session, read_time

ROOT = Path(__file__).parents[2]
OCTOBER = datetime(2026, 10, 1, tzinfo=UTC)
DAY = 86_400 * MICROSECONDS


TOLD_EDGES = """
    crosses-day crosses-month several-months no-length no-length-on-month-end ends-on-month-end starts-on-month-end
    running running-with-duration running-without-cost paused unattributed owner-by-sandbox offset-east offset-west
    fraction-nine-digits without-zone cost-text cost-exponent cost-both-names fields-unknown
"""


def instant(text: str) -> int:
    found = read_time(text)
    assert found is not None
    return found


# Generator


def test_same_seed_gives_the_same_tenant() -> None:
    first, second, other = (generate_tenant(seed, sessions=200) for seed in (3, 3, 4))
    assert first.sessions == second.sessions != other.sessions
    assert first.sandboxes == second.sandboxes
    assert (first.quotas, first.storage_nano_gb, first.now) == (second.quotas, second.storage_nano_gb, second.now)


def test_sizes_are_options() -> None:
    tenant = generate_tenant(users=3, months=14, sessions=700, last_month="2027-01", edge_cases=False)
    assert len(tenant.sessions) == 700
    months = {json.loads(session.text)["started_at"][:7] for session in tenant.sessions}
    assert (len(months), min(months), max(months)) == (14, "2025-12", "2027-01")
    assert {session.user for session in tenant.sessions} - {None} == {"user-0001", "user-0002", "user-0003"}
    assert tenant.now == datetime(2027, 2, 3, 9, tzinfo=UTC)


@pytest.mark.parametrize("sizes", [{"users": 0}, {"months": 0}, {"sessions": -1}, {"last_month": "October"}])
def test_impossible_sizes_are_refused(sizes: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=r"\w"):
        generate_tenant(**sizes)


def test_known_facts_of_generated_rows_are_what_their_text_says() -> None:
    for session in generate_tenant(sessions=3_000, edge_cases=False).sessions:
        assert read_session(session.text, "generated") == session


def test_generated_sessions_look_real() -> None:
    tenant = generate_tenant(sessions=3_000, edge_cases=False)
    rows = [json.loads(session.text, parse_float=Decimal) for session in tenant.sessions]
    starts = [session.start for session in tenant.sessions]
    assert starts == sorted(starts, key=lambda start: -(start or 0))
    within = sum(row["ended_at"] is not None and row["started_at"][:10] == row["ended_at"][:10] for row in rows)
    assert 0.7 < within / len(rows) < 0.95
    assert {len(str(row["credit_cost"]).partition(".")[2]) for row in rows} == set(range(10))
    assert any(row["ended_at"] is None for row in rows)
    assert any(row["external_user_id"] is None for row in rows)
    paused = [row for row in rows if row["ended_at"] is not None and row["duration_sec"] < elapsed_seconds(row)]
    assert paused
    quotas = tenant.quotas
    assert "user-0001" not in quotas
    assert set(quotas["user-0002"].values()) == {None}
    assert set(quotas["user-0004"].values()) == {0}
    assert None in quotas["user-0003"].values()


def elapsed_seconds(row: dict[str, Any]) -> int:
    return (instant(row["ended_at"]) - instant(row["started_at"])) // MICROSECONDS


def test_every_named_edge_exists() -> None:
    held = {session.text: session for session in generate_tenant(sessions=0).sessions}
    edges = edge_sessions(OCTOBER)
    for edge in edges:
        session = held[edge.text.encode()]
        assert edge.name in (session.id, session.computer), edge.name
        assert (session.nano is None) is edge.rejected, edge.name
    assert len({edge.name for edge in edges}) == len(edges) == len(held)
    names = "\n".join(edge.name for edge in edges)
    for told in TOLD_EDGES.split():
        assert re.search(rf"^edge-{told}", names, re.MULTILINE), told
    for kind in ("id", "start", "end", "duration", "cost", "user"):
        assert f"edge-rejected-{kind}-" in names, kind


def test_edges_are_where_their_names_say() -> None:
    held = {session.id: session for session in generate_tenant(sessions=0).sessions}
    end, before = instant("2026-11-01T00:00:00Z"), instant("2026-10-01T00:00:00Z")

    def lasts(name: str) -> tuple[int, int]:
        session = held[name]
        assert session.start is not None
        return session.start, end_of(session, end)

    for name in ("crosses-month", "offset-east-crosses-month", "running-crosses-month", "offset-west-crosses-month"):
        start, finish = lasts(f"edge-{name}")
        assert start < end < finish, name
    assert lasts("edge-ends-on-month-end")[1] == lasts("edge-starts-on-month-end")[0] == end
    assert lasts("edge-no-length-on-month-end") == (end, end)
    assert lasts("edge-whole-month") == (before, end)
    start, finish = lasts("edge-several-months")
    assert finish - start > 32 * DAY
    assert held["edge-fraction-nine-digits"].start == instant("2026-10-12T12:00:00.123456Z")
    assert held["edge-without-zone"].start == instant("2026-10-12T12:00:00Z")
    assert {session.user for session in held.values()} >= set(HOSTILE_USERS)
    assert "  edge-id leading blanks" in held
    assert 'edge-id "quoted" o\'clock' in held


# Rows


@pytest.mark.parametrize(
    ("text", "utc"),
    [
        ("2026-10-01T00:00:00Z", "2026-10-01T00:00:00"),
        ("2026-10-01 00:00:00z", "2026-10-01T00:00:00"),
        ("2026-10-01T05:30:00.5+05:30", "2026-10-01T00:00:00.500000"),
        ("2026-09-30T16:00:00-0800", "2026-10-01T00:00:00"),
        ("2026-10-01T00:00:00.123456999Z", "2026-10-01T00:00:00.123456"),
        ("2026-10-01T00:00", "2026-10-01T00:00:00"),
        ("2026-10-01", "2026-10-01T00:00:00"),
    ],
)
def test_times_are_read(text: str, utc: str) -> None:
    microseconds = (datetime.fromisoformat(utc) - datetime(1970, 1, 1)) // (datetime.resolution)
    assert read_time(text) == microseconds


@pytest.mark.parametrize(
    "value",
    [
        "",
        "now",
        "2026-10",
        "2026-13-01T00:00:00Z",
        "2026-10-01T25:00:00Z",
        "2026-10-01T00:00:00+25:00",
        1,
        None,
        True,
    ],
)
def test_unreadable_times(value: object) -> None:
    assert read_time(value) is None


@pytest.mark.parametrize(
    ("cost", "nano"),
    [
        ("1.50", 1_500_000_000),
        ('"0.10"', 100_000_000),
        ("1E-3", 1_000_000),
        ("0.1000000000000", 100_000_000),
        ("0E999999", 0),
        ("0E9999999999999999999999", 0),
        ("-0", 0),
        ("999999999.999999999", 10**18 - 1),
        ("1E999999999999999999999", None),
        ("1E-999999999", 0),
        ("0.30000000000000004", 300_000_000),
        ("5e-10", 1),
        ("0.00000000049999999999999999999999999999999999", 0),
        ("999999999.9999999995", None),
        ('"0x10"', None),
        ('"\u0661"', None),
    ],
)
def test_costs_are_exact(cost: str, nano: int | None) -> None:
    text = f'{{"id":"s","started_at":"2026-10-01T00:00:00Z","ended_at":"2026-10-02T00:00:00Z","credit_cost":{cost}}}'
    assert read_session(text.encode()).nano == nano


@given(st.text() | st.recursive(st.none() | st.booleans() | st.floats() | st.text(), st.lists).map(json.dumps))
def test_no_row_content_is_too_odd(text: str) -> None:
    assert read_session(text.encode(errors="surrogatepass")).nano is None


# Metering


@given(
    amount=st.integers(0, 10**18),
    start=st.integers(0, 10**6),
    length=st.integers(0, 10**6),
    cuts=st.lists(st.integers(-10, 2 * 10**6 + 10), max_size=6),
)
def test_parts_sum_to_the_whole(amount: int, start: int, length: int, cuts: list[int]) -> None:
    bounds = [-100, *sorted(cuts), 3 * 10**6]
    for attribution in ("split", "start", "end"):
        found = [part(amount, start, start + length, a, b, attribution) for a, b in pairwise(bounds)]
        assert sum(share or 0 for share in found) == amount
    assert 0 <= used_by(amount, start, start + length, start + length // 2) <= amount


def test_rollups_of_months_sum_to_all() -> None:
    tenant = generate_tenant(sessions=400)
    bounds = [instant(f"2026-{month:02d}-01T00:00:00Z") for month in range(5, 13)]
    months = [roll_up(tenant, a, b, "split", "external_user_id") for a, b in pairwise(bounds)]
    total = sum(session.nano or 0 for session in tenant.sessions)
    assert sum(sum(month.nano.values()) for month in months) == total
    whole = roll_up(tenant, bounds[0], bounds[-1], "split", "external_user_id")
    for user in whole.groups:
        assert sum(month.nano[user] for month in months) == whole.nano[user]


def test_amounts_are_written_exactly() -> None:
    assert [nano_text(nano) for nano in (0, 1, 10**9, 1_500_000_000, 10**18)] == [
        "0",
        "0.000000001",
        "1",
        "1.5",
        "1" + "0" * 9,
    ]
    assert [whole_cents(nano) for nano in (0, 499_999_999, 500_000_000, 1_500_000_000)] == [0, 0, 1, 2]


# Time passes


def session_row(session_id: str, start: str = "2026-10-01T00:00:00Z", **fields: Any) -> dict[str, Any]:
    return {"id": session_id, "started_at": start, "ended_at": None, "credit_cost": 1, **fields}


def ids(tenant: Tenant) -> list[str | None]:
    return [session.id for session in tenant.sessions]


def test_sessions_are_listed_newest_first() -> None:
    tenant = Tenant.from_rows([session_row("a"), session_row("b", "2026-10-02T00:00:00Z"), session_row("c", "?")])
    assert ids(tenant) == ["c", "b", "a"]
    tenant.add_session(session_row("d"))
    assert ids(tenant) == ["c", "b", "d", "a"]
    tenant.replace_session("b", session_row("b", "2026-09-30T00:00:00Z"))
    assert ids(tenant) == ["c", "d", "a", "b"]
    tenant.remove_session("d")
    assert ids(tenant) == ["c", "a", "b"]


def test_the_same_id_may_stand_twice() -> None:
    tenant = Tenant.from_rows(
        [session_row("a", credit_cost=1), session_row("a", "2026-10-02T00:00:00Z", credit_cost=2)]
    )
    assert tenant.session("a").nano == 2 * 10**9
    tenant.remove_session("a")
    assert tenant.session("a").nano == 10**9
    tenant.add_session(session_row("a", "2026-09-02T00:00:00Z", credit_cost=3))
    assert tenant.session("a").nano == 10**9
    tenant.remove_session("a")
    assert tenant.session("a").nano == 3 * 10**9
    tenant.remove_session("a")
    with pytest.raises(KeyError):
        tenant.session("a")


def test_changes_keep_the_rest_of_a_row_as_spelt() -> None:
    tenant = Tenant.from_rows(
        ['{"id":"a", "x": 1.500, "credits_used":1, "credit_cost": 1.0, "started_at":"2026-10-01T00:00:00Z"}']
    )
    tenant.correct_cost("a", "2.50")
    assert tenant.session("a").text == (
        b'{"id":"a","x":1.500,"credits_used":2.50,"credit_cost":2.50,"started_at":"2026-10-01T00:00:00Z"}'
    )
    tenant.end_session("a", datetime(2026, 10, 1, 1, tzinfo=UTC), Decimal("3"), 60)
    assert tenant.session("a").end == instant("2026-10-01T01:00:00Z")
    assert tenant.session("a").seconds == 60


@pytest.mark.parametrize("cost", ["free", "1_000", True, Decimal("NaN"), 1.5])
def test_a_cost_must_be_an_exact_number(cost: Any) -> None:
    tenant = Tenant.from_rows([session_row("a")])
    with pytest.raises(ValueError, match="number"):
        tenant.correct_cost("a", cost)
    assert tenant.session("a").nano == 10**9


def test_changes_of_what_is_not_there_are_refused() -> None:
    tenant = Tenant.from_rows(['{"id":"a"'], now=OCTOBER)
    for change in (tenant.remove_session, tenant.delete_quota):
        with pytest.raises(KeyError):
            change("a")
    with pytest.raises(ValueError, match="zone"):
        tenant.advance(datetime(2026, 11, 1))
    with pytest.raises(ValueError, match="back"):
        tenant.advance(datetime(2026, 9, 1, tzinfo=UTC))
    with pytest.raises(ValueError, match="max_sandboxes"):
        tenant.put_quota("u", {"max_sandboxes": -1})
    with pytest.raises(ValueError, match="unknown limit"):
        tenant.put_quota("u", {"max_fun": 1})


def test_what_is_remembered_is_forgotten_with_a_change() -> None:
    tenant = Tenant.from_rows([session_row("a")])

    def count() -> int:
        return tenant.remember("count", lambda: len(tenant.sessions))

    assert (count(), count()) == (1, 1)
    tenant.add_session(session_row("b"))
    assert count() == 2

    # A change in the midst of a computation must not leave its old result behind.
    def interrupted() -> int:
        found = len(tenant.sessions)
        tenant.add_session(session_row("c"))
        return found

    assert (tenant.remember("slow", interrupted), tenant.remember("slow", lambda: 7)) == (2, 7)


def test_threads_may_change_and_read_at_once() -> None:
    tenant = Tenant.from_rows([session_row(f"s{number}") for number in range(50)])
    failures: list[BaseException] = []

    def change(name: str) -> None:
        try:
            for number in range(200):
                tenant.add_session(session_row(f"{name}{number}", f"2026-10-{1 + number % 28:02d}T00:00:00Z"))
                assert len(tenant.select("start", 0, instant("2027-01-01T00:00:00Z"))) >= 50
                tenant.remove_session(f"{name}{number}")
        except BaseException as error:
            failures.append(error)

    threads = [threading.Thread(target=change, args=(name,)) for name in "xyz"]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not failures
    assert len(tenant.sessions) == 50


def test_sessions_are_small_values() -> None:
    assert read_session(b"{}") == Session(b"{}", None, None, None, True, None, None, None, None, None, None)


# Command line


@contextmanager
def command(*arguments: str) -> Iterator[subprocess.Popen[str]]:
    process = subprocess.Popen(
        [sys.executable, "-m", "simulator", *arguments],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


@pytest.mark.parametrize(("stop", "codes"), [(signal.SIGTERM, {0, -15, 143}), (signal.SIGINT, {0, 130})])
def test_command_serves_and_ends_quietly(stop: signal.Signals, codes: set[int]) -> None:
    arguments = ["--sessions", "40", "--envelope", "cursor", "--rows-key", "items", "--now", "2026-11-10T00:00:00Z"]
    with command(*arguments) as process:
        assert process.stdout is not None
        url = process.stdout.readline().strip()
        assert re.fullmatch(r"http://127\.0\.0\.1:\d+/api/v1", url)
        with httpx.Client(headers={"authorization": "Bearer msk_demo"}) as client:
            answer = client.get(f"{url}/usage/sessions").json()
            assert (len(answer["items"]), answer["next_cursor"]) == (20, "c_14")
            state = client.get(url.replace("/api/v1", "/_simulator/state")).json()
        assert state["now"] == "2026-11-10T00:00:00Z"
        assert state["sessions"] == 40 + len(edge_sessions(OCTOBER))
        process.send_signal(stop)
        output, errors = process.communicate(timeout=10)
    assert process.returncode in codes
    assert (output, errors) == ("", "")


@pytest.mark.parametrize("arguments", [["--now", "soon"], ["--last-month", "May"], ["--envelope", "none"]])
def test_command_refuses_bad_options(arguments: list[str]) -> None:
    with command(*arguments) as process:
        _, errors = process.communicate(timeout=20)
    assert process.returncode == 2
    assert "Traceback" not in errors
