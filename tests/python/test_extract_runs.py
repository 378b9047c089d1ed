"""Whole runs against the simulated API: what is asked for, what raw holds afterwards, and what a second run adds."""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import duckdb
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from starlette.requests import Request
from starlette.responses import Response

from core.api.quotas import encode_segment
from core.errors import ApiError, ExtractError, IncompleteError
from extract.warehouse import BRAKE_FROM, Warehouse
from extract.windows import coalesce
from simulator import generate_tenant
from simulator.server import Server
from test_extract_support import (
    Options,
    Script,
    Tenant,
    current,
    land,
    land_rows,
    query,
    row,
    scripted,
    serve,
    versions,
)

ROWS = [
    row("before", "2026-09-30T23:30:00Z"),
    row("instant", "2026-10-01T00:00:00Z", 0, user="u2").replace("null", '"2026-10-01T00:00:00Z"', 1),
    row("inside", "2026-10-05", 2),
    row("boundary", "2026-10-06T23:00:00Z", 1).replace("T24:", "T23:59:"),
    row("nobody", "2026-10-07", user=None),
    row("last", "2026-10-31T22:00:00Z"),
]


@pytest.fixture
def warehouse(tmp_path: Path) -> Path:
    return tmp_path / "w.duckdb"


VARIANTS = {
    "documented": Options(),
    "Go client": Options(envelope="meta", cost_field="credit_cost", window="overlap"),
    "TypeScript client": Options(envelope="cursor", rows_key="sessions", window="end"),
    "integer cursor": Options(envelope="cursor", cursor_type="integer", rows_key="items", max_page_size=9),
    "bare list": Options(rows_key="bare", max_page_size=50),
    "shuffled": Options(shuffle_seed=5, shuffle_keys=True, window="overlap"),
    "ignores the window": Options(window="ignore", max_page_size=60),
    "wrapped": Options(rollup_wrapped=True, quota_shape="flat"),
    "null and 404": Options(max_page_size=6, has_total=False, more="next", past_end="404", empty_list="null"),
}

REPEATED = ("shuffled", "ignores the window")


def test_every_variant_of_the_api_lands_the_same(tmp_path: Path) -> None:
    """Permuted order, every envelope, capped pages, every reading of the window: the same current versions."""
    tenant = generate_tenant(sessions=60, users=5, months=1)
    months = {"first_month": "2026-09", "last_month": "2026-10", "window_days": 10}
    landed: dict[str, dict[str, Any]] = {}
    for name, options in VARIANTS.items():
        path = tmp_path / f"{len(landed)}.duckdb"
        with serve(tenant, options) as server:
            land(server, path, **months)
            if name in REPEATED:
                again = land(server, path, **months)
                assert (again.rows_added, again.voids) == (0, 0), f"{name}: a second run is not without effect"
        said = {
            key: json.loads(payload or "null", parse_float=str, parse_int=str) for key, payload in current(path).items()
        }
        landed[name] = {
            key: value
            for key, value in said.items()
            # Look-ahead and a whole list bring November's own sessions too.
            if not (isinstance(value, dict) and str(value.get("started_at", "")).startswith("2026-11"))
        }
        complete = "select count(*) from raw.loads where api_total <> distinct_ids and resource = 'sandboxes'"
        assert query(path, complete) == [(0,)]
    expected = landed["documented"]
    assert len(expected) > 60
    for name, said in landed.items():
        assert said == expected, name


def test_rows_are_kept_byte_for_byte(warehouse: Path) -> None:
    rows = [
        '{ "id" : "spaced" , "started_at":"2026-10-05T12:00:00Z","ended_at":"2026-10-05T13:00:00Z" }',
        row("zeroes", "2026-10-05", cost="0.100000000000000000000000000000000000000000001"),
        row("wild", "2026-10-05", cost="1.0E+2", nested='{"a":[1.50,{"b":null}]}'),
        row("long", "2026-10-05", cost="12345678901234567890123456789012345678901234567890.5"),
    ]
    land_rows(rows, warehouse)
    assert sorted(filter(None, current(warehouse).values())) == sorted(rows)


def test_nothing_depends_on_what_bounds_mean(tmp_path: Path) -> None:
    """Sessions on a boundary, of no length, and across the range's end are landed however the API selects."""
    rows = [*ROWS, row("crossing", "2026-10-31T23:00:00Z").replace('"2026-10-31T24:', '"2026-11-01T02:')]
    for window in ("start", "overlap", "end", "ignore"):
        path = tmp_path / f"{window}.duckdb"
        land_rows(rows, path, Options(window=window))
        assert set(current(path)) == {json.loads(text)["id"] for text in rows}, window


def test_a_window_asks_from_a_second_before_to_its_end(warehouse: Path) -> None:
    with serve(Tenant.from_rows(ROWS)) as server:
        land(server, warehouse, look_back_days=2, look_ahead_days=0, window_days=7)
        asked = [
            (query["since"], query["until"]) for _, path, query in server.requests if path.endswith("/usage/sessions")
        ]
    assert sorted(asked)[:2] == [
        ("2026-09-28T23:59:59Z", "2026-10-06T00:00:00Z"),
        ("2026-10-05T23:59:59Z", "2026-10-13T00:00:00Z"),
    ]
    windows = query(
        warehouse,
        "select min(window_start_at_utc), max(window_end_at_utc), count(*), sum(pages) from raw.loads "
        "where resource = 'usage_sessions'",
    )
    assert windows == [(datetime(2026, 9, 29), datetime(2026, 11, 1), 5, 5)]


def test_rule_4_versions_a_b_a(warehouse: Path) -> None:
    a, b = row("s", "2026-10-05", cost="0.10"), row("s", "2026-10-05", cost="0.100")
    for text in (a, a, b, b, a):
        land_rows([text], warehouse)
    assert versions(warehouse, "s") == [a, b, a]


def test_rule_4_the_same_content_in_other_words_adds_nothing(warehouse: Path) -> None:
    land_rows(['{"id":"s","started_at":"2026-10-05T12:00:00Z","ended_at":null,"n":{"a":1,"b":"\\u00e9"}}'], warehouse)
    said = '{"n":{"b":"é","a":1},"ended_at":null, "started_at":"2026-10-05T12:00:00Z","id":"s"}'
    assert land_rows([said], warehouse).rows_added == 0


def test_rows_without_a_usable_id_are_kept_and_known_again(warehouse: Path) -> None:
    rows = [
        '{"id":null,"started_at":"2026-10-05T12:00:00Z","ended_at":"2026-10-05T13:00:00Z","credit_cost":1}',
        '{"started_at":"2026-10-05T12:00:00Z","ended_at":"2026-10-05T13:00:00Z","credit_cost":2}',
        '{"started_at":"2026-10-05T12:00:00Z","ended_at":"2026-10-05T13:00:00Z","credit_cost":2}',
        '{"id":"","started_at":"2026-10-05T12:00:00Z"}',
        '{"id":5,"started_at":"2026-10-05T12:00:00Z"}',
    ]
    assert land_rows(rows, warehouse).rows_added >= 5
    assert query(warehouse, "select count(*), count(distinct row_key), bool_or(has_id) from raw.usage_sessions") == [
        (5, 5, False)
    ]
    moved = [re.sub(r'^\{"id":null,(.*)\}$', r'{\1,"id":null}', text) for text in reversed(rows)]
    assert land_rows(moved, warehouse).rows_added == 0


ODD = [
    '"a string"',
    "5",
    "null",
    "[1,2]",
    "true",
    '{"id":"\\ud800"}',
    '{"id":"a","id":"b"}',
    '{"id":"n\\u0000ul"}',
    "{}",
]


def test_rows_of_every_kind_are_landed(warehouse: Path) -> None:
    body = f'{{"data":[{",".join(ODD)}],"page":{{"total":{len(ODD)}}}}}'
    with scripted("/usage/sessions", body) as (url, _):
        land(url, warehouse)
        assert land(url, warehouse).rows_added == 0
    landed = query(warehouse, "select payload, has_id, row_key, payload_normalized from raw.usage_sessions")
    assert sorted(payload for payload, *_ in landed) == sorted(ODD)
    assert {(key, normalized) for _, has_id, key, normalized in landed if has_id} == {
        ("\\ud800", '{"id":"\\\\ud800"}'),
        ("b", '{"id":"b"}'),
        ("n\0ul", None),
    }


def test_an_id_of_a_megabyte(warehouse: Path) -> None:
    name = "x" * (1 << 20)
    land_rows([row(name, "2026-10-05"), row(name[:-1] + "y", "2026-10-05")], warehouse)
    assert query(warehouse, "select length(row_key), count(*) from raw.usage_sessions group by 1") == [(1 << 20, 2)]


def test_a_page_of_rows_of_megabytes(warehouse: Path) -> None:
    """More than DuckDB is given at first: it is given more, and the run ends well."""
    rows = [
        row("x" * (1 << 20) + str(n), "2026-10-05", user="y" * (1 << 20) + str(n), note=f'"{"z" * (1 << 20)}"')
        for n in range(30)
    ]
    assert land_rows(rows, warehouse, window_days=31).rows_added > len(rows)
    assert query(warehouse, "select count(distinct row_key) from raw.usage_sessions") == [(30,)]
    assert land_rows(rows, warehouse, window_days=31).rows_added == 0


def test_sessions_of_senseless_times_keep_no_later_run_from_its_work(warehouse: Path) -> None:
    """Go's zero time, a year of three digits, an end beyond what a date can be: landed, and not asked for again."""
    rows = [
        row("zero", "0001-01-01T00:00:00Z", 0),
        row("early", "0999-01-01T00:00:00Z", 0),
        row("far", "8999-10-05T12:00:00Z", 0, duration_sec="99999999999"),
        row("ahead", "2030-10-05T12:00:00Z", 0),
    ]
    ignores = Options(window="ignore")
    assert land_rows([*rows, ROWS[2]], warehouse, ignores).voids == 0
    with serve(Tenant.from_rows([*rows, ROWS[2]]), ignores) as server:
        assert land(server, warehouse).rows_added == 0
        asked = {query["since"] for _, path, query in server.requests if path.endswith("/usage/sessions")}
    assert min(asked) > "2026-08", asked
    assert len(current(warehouse)) == 5


def test_hostile_ids_are_inert_in_sql(warehouse: Path) -> None:
    ids = ["'; drop table raw.loads; --", '"; delete from raw.usage_sessions; --', "$1", "{row_key}", "%s", "a\x1fb"]
    rows = [row("s", "2026-10-05").replace('"s"', json.dumps(name)).replace('"u1"', json.dumps(name)) for name in ids]
    land_rows(rows, warehouse)
    assert land_rows(rows, warehouse).rows_added == 0
    assert set(current(warehouse)) == set(ids)
    assert {user for (user,) in query(warehouse, "select row_key from raw.quotas")} == set(ids)


def test_an_id_too_long_for_an_address_costs_its_quota_only(warehouse: Path, caplog: pytest.LogCaptureFixture) -> None:
    land_rows([row("a", "2026-10-05", user="x" * (1 << 20)), row("b", "2026-10-05")], warehouse)
    assert "1 users have an id too long" in caplog.text
    assert query(warehouse, "select row_key from raw.quotas") == [("u1",)]
    assert query(warehouse, "select count(*) from raw.usage_summaries") == [(1,)]


def test_unknown_fields_are_kept_and_reported_once(warehouse: Path, caplog: pytest.LogCaptureFixture) -> None:
    land_rows([row("a", "2026-10-05", colour='"red"')], warehouse)
    assert "colour" in caplog.text
    caplog.clear()
    land_rows([row("a", "2026-10-05", colour='"red"'), row("b", "2026-10-05", colour='"red"')], warehouse)
    assert "colour" not in caplog.text


def test_a_field_is_reported_once_however_it_is_spelt_and_however_many_there_are(
    warehouse: Path, caplog: pytest.LogCaptureFixture
) -> None:
    fields: dict[str, Any] = {"caf\\u00e9": "1", **{f"field_{n:02d}": "1" for n in range(25)}}
    a = row("a", "2026-10-05", **fields)
    land_rows([a], warehouse)
    assert "'café'" in caplog.text
    assert "field_24" in caplog.text
    caplog.clear()
    land_rows([a, row("b", "2026-10-05", zzz="1", **fields)], warehouse)
    assert caplog.text.count("field not known before") == 1
    assert "'zzz'" in caplog.text


def test_one_id_with_two_contents(warehouse: Path, caplog: pytest.LogCaptureFixture) -> None:
    """Read anew once; if it stays so, both are kept in page order, reported, and a second run adds nothing."""
    a, b = row("s", "2026-10-05", cost="1"), row("s", "2026-10-05", cost="2")
    cursor = Options(envelope="cursor")
    land_rows([a, b], warehouse, cursor)
    assert versions(warehouse, "s") == [a, b]
    assert "more than one content" in caplog.text
    assert land_rows([a, b], warehouse, cursor).rows_added == 0
    land_rows([b, a], warehouse, cursor)
    assert versions(warehouse, "s")[-1] == a


def test_one_id_twice_with_the_same_content_is_one(warehouse: Path) -> None:
    a = row("s", "2026-10-05")
    body = f'{{"data":[{a},{a}],"page":{{"total":1}}}}'
    with scripted("/usage/sessions", body) as (url, _):
        land(url, warehouse)
    assert versions(warehouse, "s") == [a]


def test_one_id_twice_with_the_same_content_in_other_words_is_one(
    warehouse: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Keys in any order are the same content: nothing to doubt, and nothing to report."""
    a = row("s", "2026-10-05")
    other = json.dumps(dict(reversed(json.loads(a).items()))).replace("0.1,", "0.10,").replace("0.1}", "0.10}")
    body = f'{{"data":[{a},{other}],"page":{{"total":1}}}}'
    with scripted("/usage/sessions", body) as (url, script):
        land(url, warehouse, look_back_days=0, look_ahead_days=0, window_days=31)
        assert len(script.asked) == 1
    assert versions(warehouse, "s") == [a]
    assert not caplog.text


class Racing:
    """An API that selects by overlap; its second window is slow, and tells of `s` what was true when it was asked."""

    def __init__(self, then: str, now: str) -> None:
        self.then, self.now = then, now
        self.since: list[str] = []

    async def __call__(self, request: Request, number: int) -> Response | None:
        if not request.url.path.endswith("/usage/sessions"):
            return None
        since = request.query_params["since"]
        is_first, rows = since not in self.since, ""
        self.since.append(since)
        if since.startswith(("2026-10-10", "2026-10-20")):
            rows = self.now
            if since.startswith("2026-10-10") and is_first:
                rows = self.then
                await asyncio.sleep(0.4)
        body = f'{{"data":[{rows}],"page":{{"total":{1 if rows else 0}}}}}'
        return Response(body, media_type="application/json")


def test_rule_4_of_what_windows_side_by_side_tell_of_a_session_the_newest_counts(warehouse: Path) -> None:
    """The slow window ends last, with what is no longer so: it is read again, behind all others."""
    then, now = (
        row("s", "2026-10-20T12:00:00Z", cost=cost).replace("2026-10-20T13", "2026-10-21T13") for cost in ("1", "5")
    )
    racing = Racing(then, now)
    with serve(Tenant.from_rows([]), Options(), racing) as server:
        land(server, warehouse, look_back_days=0, look_ahead_days=0, window_days=10, threads=4)
        assert versions(warehouse, "s")[-1] == now
        assert len(racing.since) == 5, "one window is read again, once"
        assert land(server, warehouse, look_back_days=0, look_ahead_days=0, window_days=10).rows_added == 0


# Which sessions are running, gone, and back


def test_windows_of_running_sessions_are_asked_for_again(warehouse: Path) -> None:
    started = row("long", "2026-08-10", 0)
    tenant = Tenant.from_rows([started, row("x", "2026-10-05")])
    with serve(tenant) as server:
        land(server, warehouse, first_month="2026-08")
        tenant.end_session("long", datetime(2026, 8, 12, tzinfo=UTC), 7)
        land(server, warehouse, first_month="2026-10")
    assert len(versions(warehouse, "long")) == 2
    assert query(
        warehouse,
        "select count(*) from raw.loads where resource = 'usage_sessions' and window_start_at_utc = '2026-08-10' "
        "and run_id = (select max_by(run_id, load_id) from raw.loads)",
    ) == [(1,)]
    months = query(warehouse, "select distinct row_key from raw.usage_rollups order by 1")
    assert ("2026-08",) in months


def test_rule_6_a_session_that_is_gone_is_void_and_comes_back(warehouse: Path) -> None:
    land_rows(ROWS, warehouse)
    without = [text for text in ROWS if '"inside"' not in text]
    summary = land_rows(without, warehouse)
    assert summary.voids == 1
    assert land_rows(without, warehouse).voids == 0
    assert versions(warehouse, "inside")[-1] is None
    void = query(
        warehouse,
        "select is_void, payload, resource from raw.usage_sessions join raw.loads using (load_id) "
        "where row_key = 'inside' order by load_id desc limit 1",
    )
    assert void == [(True, None, "session_voids")]
    land_rows(ROWS, warehouse)
    assert versions(warehouse, "inside")[1:] == [None, versions(warehouse, "inside")[0]]


def test_rule_6_only_what_the_windows_cover_is_void(warehouse: Path) -> None:
    """A session that crosses the windows' end, one before them, or one of unreadable times is not void."""
    crossing = row("crossing", "2026-10-31T23:00:00Z").replace('"2026-10-31T24:', '"2026-11-01T02:')
    odd = row("odd", "2026-10-05").replace("2026-10-05T12", "2026-10-99T12")
    early = row("early", "2026-08-20")
    land_rows([*ROWS, crossing, odd, early], warehouse, first_month="2026-08", last_month="2026-10", look_ahead_days=0)
    assert land_rows(ROWS, warehouse, look_ahead_days=0).voids == 0
    assert land_rows(ROWS, warehouse, first_month="2026-08").voids == 1


@pytest.mark.parametrize("window", ["start", "overlap", "end"])
def test_rule_6_a_gap_between_the_windows_of_start_and_end_does_not_matter(warehouse: Path, window: Any) -> None:
    """5 January is asked for again for the one that still runs, and 25 January on for March."""
    gone = row("gone", "2026-01-05").replace('"2026-01-05T13', '"2026-03-03T13')
    into_the_gap = row("into the gap", "2026-01-05").replace('"2026-01-05T13', '"2026-01-10T13')
    from_before = row("from before", "2026-01-04").replace('"2026-01-04T13', '"2026-03-03T13')
    runs = row("runs", "2026-01-05", 0)
    with serve(Tenant.from_rows([gone, into_the_gap, from_before, runs]), Options(window=window)) as server:
        land(server, warehouse, first_month="2026-01", last_month="2026-03", window_days=31)
        for name in ("gone", "into the gap", "from before"):
            server.tenant.remove_session(name)
        assert land(server, warehouse, **MARCH).voids == 1
        assert versions(warehouse, "gone") == [gone, None]
        months = query(warehouse, "select distinct row_key from raw.usage_rollups order by 1")
        assert months[:3] == [("2026-01",), ("2026-02",), ("2026-03",)]


def test_rule_6_one_that_ran_may_have_ended_in_the_gap(warehouse: Path) -> None:
    """An API that selects by end lists it only there, so it is not void; one that selects by start would list it."""
    rows = [row("ran", "2026-01-05", 0, duration_sec="60"), row("runs", "2026-01-05", 0)]
    with serve(Tenant.from_rows(rows), Options(window="end")) as server:
        land(server, warehouse, first_month="2026-01", last_month="2026-03", window_days=31)
        server.tenant.end_session("ran", datetime(2026, 1, 12, tzinfo=UTC), 7)
        assert land(server, warehouse, **MARCH).voids == 0
        assert len(versions(warehouse, "ran")) == 1


Moments = tuple[int, int]


def is_covered(windows: list[Moments], start: int, end: int, until: int | None) -> bool:
    """Rule 6: windows cover a session's start and its end; of one that ran, all from its known end `until` a moment."""
    last = end if until is None else max(end, until)
    return any(first <= start < ends for first, ends in windows) and any(
        first <= end and last < ends for first, ends in windows
    )


MOMENTS = st.integers(0, 30)
SESSIONS = st.tuples(MOMENTS, MOMENTS, st.booleans(), st.booleans()).map(
    lambda drawn: (min(drawn[:2]), max(drawn[:2]), *drawn[2:])
)


@settings(max_examples=40, deadline=None)
@given(
    windows=st.lists(st.tuples(MOMENTS, st.integers(1, 12)), min_size=1, max_size=4),
    sessions=st.lists(SESSIONS, min_size=1, max_size=30),
    until=st.none() | MOMENTS,
)
def test_rule_6_what_any_windows_cover(
    windows: list[Moments], sessions: list[tuple[int, int, bool, bool]], until: int | None
) -> None:
    """Random windows and sessions against the rule in Python: which are void, and of how many."""
    origin = datetime(2026, 1, 1)

    def at(moment: int) -> datetime:
        return origin + timedelta(days=moment)

    asked = [(at(start), at(start + days)) for start, days in windows]
    merged = [((a - origin).days, (b - origin).days) for a, b in coalesce(asked)]
    known_covered = {
        f"s{place}": is_covered(merged, start, end, until if runs else None)
        for place, (start, end, runs, _) in enumerate(sessions)
    }
    with TemporaryDirectory() as folder, Warehouse(Path(folder) / "w.duckdb") as held:
        for place, (start, end, runs, is_listed) in enumerate(sessions):
            held.database.query(
                "insert into raw.usage_sessions values (1, ?, ?, true, ?, false, ?, ?, ?, null, '{}', null)",
                [place, f"s{place}", place % 7, runs, at(start), at(end)],
            )
            if is_listed:
                held.database.query("insert into raw.listed_sessions values (?, ?, true)", [place % 7, f"s{place}"])
        unlisted, covered = held.find_unlisted(coalesce(asked), None if until is None else at(until))
        found = {key for (key,) in held.database.query("select row_key from unlisted")}
    expected = {f"s{n}" for n, session in enumerate(sessions) if known_covered[f"s{n}"] and not session[3]}
    assert found == expected
    assert unlisted == len(expected)
    if unlisted >= BRAKE_FROM:
        assert covered == sum(known_covered.values())


def test_rule_6_a_run_that_would_void_many_stops_and_asks(warehouse: Path) -> None:
    many = [row(f"s{number}", "2026-10-05") for number in range(40)]
    land_rows(many, warehouse)
    assert land_rows(many[8:], warehouse).voids == 8
    with pytest.raises(ExtractError, match=r"10 of 32 known sessions.*--allow-voids"):
        land_rows(many[18:], warehouse)
    assert query(warehouse, "select count(*) from raw.usage_sessions where is_void") == [(8,)]
    assert land_rows(many[18:], warehouse, void_share=50).voids == 10
    assert land_rows([], warehouse, allow_voids=True).voids == 22


def test_rule_6_nine_are_few_however_large_their_share(warehouse: Path) -> None:
    land_rows([row(f"s{number}", "2026-10-05") for number in range(9)], warehouse)
    assert land_rows([], warehouse).voids == 9


# Sandboxes, quotas and the vendor's own figures

USERS = ["..", "a/b?c#d", "%2e", "é😀", "two words", "a+b&c=d", "\\", "(unattributed)", "'; drop table x --", "u\0v"]


def test_quotas_of_every_user_whatever_the_name(warehouse: Path) -> None:
    rows = [
        f'{{"id":"s{n}","external_user_id":{json.dumps(user)},"started_at":"2026-10-05T12:00:00Z","ended_at":null}}'
        for n, user in enumerate(USERS)
    ]
    quotas = {user: {"max_credit_cents": 5 + n} for n, user in enumerate(USERS) if user not in ("..", "(unattributed)")}
    with serve(Tenant.from_rows(rows, quotas=quotas)) as server:
        land(server, warehouse)
        assert land(server, warehouse).rows_added == 0
        asked = {path for _, path, _ in server.requests if "/quotas/" in path}
    landed = {
        user: (status, payload and json.loads(payload))
        for user, status, payload in query(warehouse, "select row_key, http_status, payload from raw.quotas")
    }
    assert set(landed) == set(USERS) - {"(unattributed)"}
    assert landed[".."][0] == 404
    for user in quotas:
        status, body = landed[user]
        assert (status, body["data"]["external_user_id"]) == (200, user)
    assert any(path.endswith("/quotas/external/%2E%2E") for path in asked)


def test_a_quota_that_goes_away_and_comes_back(warehouse: Path) -> None:
    tenant = Tenant.from_rows([row("s", "2026-10-05")], quotas={"u1": {"max_concurrent": 2}})
    with serve(tenant) as server:
        land(server, warehouse)
        tenant.delete_quota("u1")
        land(server, warehouse)
        land(server, warehouse)
        tenant.put_quota("u1", {"max_concurrent": 2})
        land(server, warehouse)
    assert query(warehouse, "select http_status from raw.quotas order by load_id") == [(200,), (404,), (200,)]


def asked_quotas(server: Server) -> set[str]:
    """The users whose quota was asked for since the last call."""
    asked = {path.rpartition("/")[2] for _, path, _ in server.requests if "/quotas/external/" in path}
    server.requests.clear()
    return asked


@pytest.fixture
def cut_off(warehouse: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[Server, set[str]]]:
    """A run over 40 users, in loads of 10, that fails where it asks for the quota of the last one; whom it asked."""
    monkeypatch.setattr("extract.quotas._USERS_PER_LOAD", 10)
    users = [f"u{number:02d}" for number in range(40)]
    rows = [row(f"s{user}", "2026-10-05", user=user) for user in users]
    script = Script("/quotas/external/u39", Response("{}", 422))
    with serve(Tenant.from_rows(rows), Options(), script) as server:
        with pytest.raises(ApiError):
            land(server, warehouse, threads=1)
        asked = asked_quotas(server)
        script.path = "nowhere"
        yield server, asked


def test_a_rerun_asks_only_the_quotas_that_a_failed_run_had_not_landed(
    warehouse: Path, cut_off: tuple[Server, set[str]]
) -> None:
    server, asked = cut_off
    assert len(asked) == 40
    landed = {user for (user,) in query(warehouse, "select row_key from raw.quotas")}
    assert len(landed) == 30
    # In the midst of those asked already. Lists of sandboxes are read again; windows that are over are not.
    server.tenant.put_sandbox('{"id":"box","external_user_id":"u00a"}')
    land(server, warehouse)
    assert asked_quotas(server) == {f"u{number:02d}" for number in range(40)} - landed | {"u00a"}


def test_the_run_after_one_that_finished_asks_everybody_and_sees_what_changed(
    warehouse: Path, cut_off: tuple[Server, set[str]]
) -> None:
    server, _ = cut_off
    land(server, warehouse)
    assert query(warehouse, "select count(*) from raw.quota_progress") == [(0,)]
    asked_quotas(server)
    server.tenant.put_quota("u00", {"max_concurrent": 2})
    land(server, warehouse)
    assert len(asked_quotas(server)) == 40
    assert query(warehouse, "select http_status from raw.quotas where row_key = 'u00' order by load_id") == [
        (404,),
        (200,),
    ]


@pytest.mark.parametrize("shift", ["- interval 1 day", "+ interval 1 day"])
def test_what_was_asked_a_day_ago_or_by_a_clock_ahead_is_asked_again(
    warehouse: Path, cut_off: tuple[Server, set[str]], shift: str
) -> None:
    server, _ = cut_off
    with duckdb.connect(str(warehouse)) as connection:
        connection.execute(f"update raw.quota_progress set asked_at_utc = asked_at_utc {shift}")
    land(server, warehouse)
    assert len(asked_quotas(server)) == 40


def test_a_page_that_is_not_found_is_no_quota_of_404(warehouse: Path) -> None:
    page = Response("<html>nothing here</html>", 404, media_type="text/html")
    with (
        scripted("/quotas/external/u1", page, rows=[row("s", "2026-10-05")]) as (url, script),
        pytest.raises(ApiError, match="status 404, a web page"),
    ):
        land(url, warehouse)
    assert len(script.asked) == 1
    assert query(warehouse, "select count(*) from raw.quotas") == [(0,)]


def test_rule_34_months_that_a_listed_session_touches_are_read_again(warehouse: Path) -> None:
    crossing = row("c", "2026-09-30T23:00:00Z").replace('"2026-09-30T24:', '"2026-10-01T02:')
    exact = row("e", "2026-10-30").replace('"2026-10-30T13:', '"2026-11-01T00:')
    land_rows([crossing, exact], warehouse, Options(window="overlap"))
    for table in ("usage_rollups", "usage_summaries"):
        assert query(warehouse, f"select row_key from raw.{table} order by 1") == [("2026-09",), ("2026-10",)]


def asked_months(warehouse: Path) -> set[str]:
    """The months whose rollup the newest run read; it read their summaries too."""
    rollups, summaries = (
        {
            month
            for (month,) in query(
                warehouse,
                "select strftime(window_start_at_utc, '%Y-%m') from raw.loads"
                f" where resource = '{resource}' and run_id = (select max_by(run_id, load_id) from raw.loads)",
            )
        }
        for resource in ("usage_rollups", "usage_summaries")
    )
    assert rollups == summaries
    return rollups


def sandbox(name: str, owner: str | None) -> str:
    return json.dumps({"id": name, "external_user_id": owner})


MARCH = {"first_month": "2026-03", "last_month": "2026-03"}


@pytest.fixture
def late(warehouse: Path) -> Iterator[Server]:
    """January to March are landed; `box` has no owner, `sold` has one. March's look-back goes to 25 January."""
    rows = [
        row("early", "2026-01-10", user=None, cost="50").replace('"c1"', '"box"'),
        row("of sold", "2026-01-12", user=None).replace('"c1"', '"sold"'),
        row("own", "2026-01-13").replace('"c1"', '"box"'),
        row("march", "2026-03-10"),
    ]
    sandboxes = [sandbox("box", None), sandbox("sold", "ann"), sandbox("idle", None)]
    with serve(Tenant.from_rows(rows, sandboxes)) as server:
        land(server, warehouse, first_month="2026-01", last_month="2026-03", window_days=31)
        assert asked_months(warehouse) == {"2026-01", "2026-02", "2026-03"}
        yield server


def test_rule_34_months_of_sessions_whose_sandbox_gets_its_first_owner_are_read_again(
    warehouse: Path, late: Server
) -> None:
    land(late, warehouse, **MARCH)
    assert asked_months(warehouse) == {"2026-03"}, "nothing changed"
    late.tenant.put_sandbox(sandbox("idle", "ann"))  # it has no session
    late.tenant.put_sandbox(sandbox("sold", "bea"))  # which counts from now on (rule 9)
    land(late, warehouse, **MARCH)
    assert asked_months(warehouse) == {"2026-03"}, "no figure changed"
    late.tenant.put_sandbox(sandbox("box", "ann"))
    land(late, warehouse, **MARCH)
    assert asked_months(warehouse) == {"2026-01", "2026-03"}
    late.tenant.put_sandbox(sandbox("box", None))  # stays known
    land(late, warehouse, **MARCH)
    assert asked_months(warehouse) == {"2026-03"}, "once is enough"


def test_rule_34_another_owner_counts_from_the_start_of_its_load(warehouse: Path, late: Server) -> None:
    """Where a load's clock lies before a session's start, that session is another owner's now."""
    late.tenant.put_sandbox(sandbox("sold", "bea"))
    with duckdb.connect(str(warehouse)) as connection:
        connection.execute("update raw.usage_sessions set started_at_utc = '2099-01-01' where row_key = 'early'")
        connection.execute(
            "update raw.usage_sessions set started_at_utc = now()::timestamp + interval 1 hour,"
            " ended_at_utc = now()::timestamp + interval 2 hour where row_key = 'of sold'"
        )
        (moments,) = connection.execute(
            "select started_at_utc, ended_at_utc from raw.usage_sessions where row_key = 'of sold'"
        ).fetchall()
    land(late, warehouse, **MARCH)
    # Two months where the session crosses from one to the next.
    assert asked_months(warehouse) == {"2026-03", *(f"{moment:%Y-%m}" for moment in moments)}


def test_rule_34_months_left_by_sessions_that_moved_or_are_void_are_read_again(warehouse: Path, late: Server) -> None:
    late.tenant.replace_session("early", row("early", "2026-03-05", user=None))
    land(late, warehouse, **MARCH)
    assert asked_months(warehouse) == {"2026-01", "2026-03"}
    late.tenant.remove_session("own")
    land(late, warehouse, first_month="2026-01", last_month="2026-01", look_ahead_days=0)
    assert versions(warehouse, "own")[-1] is None
    assert asked_months(warehouse) == {"2026-01"}
    late.tenant.replace_session("march", row("march", "2026-03-11"))
    land(late, warehouse, **MARCH)
    assert asked_months(warehouse) == {"2026-03"}


@pytest.mark.parametrize("fails", ["/usage", "/usage/summary", "/quotas/external/u1"])
def test_rule_34_months_that_a_failed_run_changed_are_read_by_the_next(warehouse: Path, fails: str) -> None:
    """What moved, is void, or got an owner is landed by the run that fails; the next finds nothing new in raw."""
    rows = [
        row("early", "2026-01-10", user=None).replace('"c1"', '"box"'),
        row("moves", "2026-02-10"),
        row("gone", "2026-04-20T00:00:00Z").replace('"2026-04-20T01', '"2026-05-03T01'),
        row("march", "2026-06-10"),
    ]
    script = Script("/nothing", Response("{}", 422))
    with serve(Tenant.from_rows(rows, [sandbox("box", None)]), Options(window="overlap"), script) as server:
        land(server, warehouse, first_month="2026-01", last_month="2026-06", window_days=31)
        server.tenant.put_sandbox(sandbox("box", "ann"))
        server.tenant.replace_session("moves", row("moves", "2026-06-01"))
        server.tenant.remove_session("gone")
        script.path, june = fails, {"first_month": "2026-06", "last_month": "2026-06", "look_back_days": 50}
        with pytest.raises(ApiError):
            land(server, warehouse, **june)
        script.path = "/nothing"
        land(server, warehouse, **june)
        # Void needs April, which this look-back covers from the 12th on.
        assert asked_months(warehouse) == {"2026-01", "2026-02", "2026-04", "2026-05", "2026-06"}
        land(server, warehouse, **june)
        assert asked_months(warehouse) == {"2026-06"}
    assert query(warehouse, "select count(*) from raw.figures_due") == [(0,)]


@pytest.mark.parametrize(
    ("path", "body", "error"),
    [
        ("/usage", '{"data":{"period_start":"x"}}', ApiError),
        ("/usage", '{"results":[{}],"page":{"total":2}}', IncompleteError),
        ("/usage", '{"results":[{}],"next_cursor":"more"}', IncompleteError),
        ("/usage/summary", '{"data":null}', ApiError),
        ("/usage/summary", "[]", ApiError),
        ("/sandboxes", '{"data":[],"page":{"total":1}}', IncompleteError),
    ],
)
def test_half_an_answer_lands_nothing(warehouse: Path, path: str, body: str, error: type[Exception]) -> None:
    with scripted(path, body) as (url, _), pytest.raises(error):
        land(url, warehouse)
    table = {"/usage": "usage_rollups", "/usage/summary": "usage_summaries", "/sandboxes": "sandboxes"}[path]
    assert query(warehouse, f"select count(*) from raw.{table}") == [(0,)]


def test_encoding_of_a_path_segment_is_full() -> None:
    assert encode_segment("../a b?%é") == "%2E%2E%2Fa%20b%3F%25%C3%A9"


# Failure: what was complete stays, what was not leaves nothing


def test_rule_5_a_load_that_fails_lands_nothing_and_those_before_it_stay(warehouse: Path) -> None:
    tenant = Tenant.from_rows(ROWS)
    script = Script("/sandboxes", "<html>maintenance</html>")
    with serve(tenant, Options(), script) as server:
        with pytest.raises(ApiError, match="web page"):
            land(server, warehouse, max_tries=2)
        assert set(current(warehouse)) == {json.loads(text)["id"] for text in ROWS}
        loads = query(warehouse, "select distinct resource from raw.loads")
        assert loads == [("usage_sessions",)]
        script.path = "/nothing"
        added = land(server, warehouse).rows_added
    account = ("credit_balances", "credit_transactions", "billing_invoices", "billing_overviews")
    rows = [len(query(warehouse, f"select 1 from raw.{table}")) for table in ("quotas", *account)]
    assert added == 0 + sum(rows) + 4


def test_rule_5_the_log_of_loads_counts_what_came(warehouse: Path) -> None:
    land_rows(ROWS, warehouse, Options(max_page_size=1), window_days=90)
    logged = query(
        warehouse,
        "select load_id, pages, rows_listed, distinct_ids, api_total, rows_added, started_at_utc <= ended_at_utc, "
        "extractor_version from raw.loads where resource = 'usage_sessions' and rows_listed > 0",
    )
    assert [(pages, rows, ids, total, added) for _, pages, rows, ids, total, added, *_ in logged] == [(6, 6, 6, 6, 6)]
    assert all(ordered and version for *_, ordered, version in logged)
    ids = query(warehouse, "select load_id from raw.loads order by load_id")
    assert [number for (number,) in ids] == list(range(1, len(ids) + 1))


def test_a_landing_that_fails_is_rolled_back(warehouse: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> None:
        raise RuntimeError("pulled the plug")

    with monkeypatch.context() as patch:
        patch.setattr(Warehouse, "_insert_loads", fail)
        with pytest.raises(RuntimeError):
            land_rows(ROWS, warehouse)
    assert query(warehouse, "select count(*) from raw.usage_sessions") == [(0,)]
    land_rows(ROWS, warehouse)
    assert len(current(warehouse)) == len(ROWS)
