"""Lists that page by `limit` and `offset` alone, which the documentation does not say of any address."""

from __future__ import annotations

import contextlib
import itertools
import logging
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from starlette.requests import Request

from core.errors import ApiError, IncompleteError
from simulator import Options
from simulator.app import Fault
from test_extract_support import Response, Tenant, current, land, query, row, serve


@pytest.fixture
def warehouse(tmp_path: Path) -> Path:
    return tmp_path / "w.duckdb"


def tenant(sessions: int) -> Tenant:
    rows = [
        row(f"s{number:03d}", f"2026-10-{5 + number % 3:02d}T12:00:{number % 60:02d}Z") for number in range(sessions)
    ]
    return Tenant.from_rows(rows, [{"id": f"b{number:03d}", "external_user_id": "u1"} for number in range(sessions)])


def assert_whole(warehouse: Path, sessions: int) -> None:
    assert set(current(warehouse)) == {f"s{number:03d}" for number in range(sessions)}
    assert set(current(warehouse, "sandboxes")) == {f"b{number:03d}" for number in range(sessions)}


def asked(requests: Any, path: str) -> list[dict[str, str]]:
    return [query for _, address, query in requests if address.endswith(path)]


DIALECTS: dict[str, dict[str, Any]] = {
    "all said": {},
    "no total": {"has_total": False},
    "no size": {"has_page_size": False},
    "nothing said": {"has_total": False, "has_page_size": False},
    "bare": {"rows_key": "bare"},
    "bare, 404 past the end": {"rows_key": "bare", "past_end": "404"},
    "null past the end": {"empty_list": "null", "has_total": True},
    "has_more": {"more": "has_more", "has_total": False},
    "next": {"more": "next", "has_total": False, "has_page_size": False},
}


@pytest.mark.parametrize("said", DIALECTS)
@pytest.mark.parametrize(("sessions", "most"), [(0, 100), (20, 100), (21, 100), (95, 30)])
def test_a_list_is_read_whole_whatever_the_answers_say_of_it(
    warehouse: Path, said: str, sessions: int, most: int
) -> None:
    options = Options(envelope="offset", max_page_size=most, **DIALECTS[said])
    with serve(tenant(sessions), options) as server:
        land(server, warehouse, look_back_days=0, look_ahead_days=0, window_days=31)
    assert_whole(warehouse, sessions)


OFFSETS = st.builds(
    Options,
    envelope=st.just("offset"),
    rows_key=st.sampled_from(["data", "sessions", "items", "bare"]),
    max_page_size=st.sampled_from([1, 2, 3, 4, 100]),
    has_page_size=st.booleans(),
    has_total=st.booleans(),
    more=st.sampled_from(["nothing", "has_more", "next"]),
    past_end=st.sampled_from(["empty", "404"]),
    empty_list=st.sampled_from(["list", "null"]),
)


@settings(
    deadline=None,
    max_examples=15,
    phases=[Phase.explicit, Phase.generate],
    suppress_health_check=[HealthCheck.too_slow],
)
@given(rows=st.integers(0, 9), page_size=st.sampled_from([1, 2, 3, 50]), options=OFFSETS)
def test_any_such_list_is_landed_whole_or_not_at_all(
    tmp_path_factory: pytest.TempPathFactory, rows: int, page_size: int, options: Options
) -> None:
    warehouse = tmp_path_factory.mktemp("offsets") / "w.duckdb"
    # A null that nothing explains may be a list that could not be made, so it is no list.
    is_whole_for_sure = options.empty_list == "list" or options.has_total or options.more != "nothing"
    with (
        serve(tenant(rows), options) as server,
        contextlib.nullcontext() if is_whole_for_sure else contextlib.suppress(ApiError),
    ):
        land(server, warehouse, look_back_days=0, look_ahead_days=0, window_days=31, page_size=page_size)
    if is_whole_for_sure:
        assert_whole(warehouse, rows)
    else:
        assert set(current(warehouse)) in (set(), {f"s{number:03d}" for number in range(rows)})


def test_which_style_was_met_is_logged_once_and_the_next_list_begins_with_it(
    warehouse: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "miosa_billing")
    with serve(tenant(90), Options(envelope="offset", has_page_size=False)) as server:
        land(server, warehouse, look_back_days=0, look_ahead_days=0, window_days=6)
        requests = asked(server.requests, "/usage/sessions")
    assert_whole(warehouse, 90)
    for path in ("/usage/sessions", "/sandboxes"):
        assert [message for message in caplog.messages if message.startswith(f"{path} pages by limit")] == [
            f"{path} pages by limit and offset, and takes no notice of page numbers"
        ]
    numbers = [each for each in requests if each["page"] != "1"]
    assert len(numbers) == 1  # of the first list that had a second page


@pytest.mark.parametrize("total", [True, False])
def test_rows_that_arrive_while_an_offset_list_is_read_hide_none(warehouse: Path, total: bool) -> None:
    """Each new row pushes all others one place down, so that a page repeats some of the one before."""
    held = tenant(100)
    count = itertools.count()

    async def arrive(request: Request, number: int) -> Response | None:
        if request.url.path.endswith("/usage/sessions") and (found := next(count)) < 12:
            held.add_session(row(f"late{found:02d}", "2026-10-09"))
        return None

    with serve(held, Options(envelope="offset", has_total=total), arrive) as server:
        land(server, warehouse, look_back_days=0, look_ahead_days=0, window_days=31, max_passes=12)
    assert {f"s{number:03d}" for number in range(100)} <= set(current(warehouse))


@pytest.mark.parametrize("strict", [True, False])
def test_a_server_that_pages_by_numbers_and_repeats_its_last_page_is_not_misread(warehouse: Path, strict: bool) -> None:
    """It takes no notice of an offset, or refuses it; its list ended with the page that it repeats."""

    async def clamp(request: Request, number: int) -> Response | None:
        query = request.query_params
        if strict and "offset" in query:
            return Response('{"error":{"code":"bad_request","message":"unknown: offset"}}', 422)
        return None

    for sessions, page_size in ((20, 25), (60, 25)):
        with serve(tenant(sessions), Options(rows_key="bare", past_end="last"), clamp) as server:
            land(server, warehouse, look_back_days=0, look_ahead_days=0, window_days=31, page_size=page_size)
            assert ("offset" in str(asked(server.requests, "/usage/sessions"))) == (sessions < page_size)
        assert_whole(warehouse, sessions)


@pytest.mark.parametrize("envelope", ["page", "meta", "cursor"])
def test_a_server_that_pages_otherwise_is_never_asked_for_an_offset(warehouse: Path, envelope: Any) -> None:
    with serve(tenant(90), Options(envelope=envelope)) as server:
        land(server, warehouse, look_back_days=0, look_ahead_days=0, window_days=31, page_size=20)
        assert not any("offset" in query for _, _, query in server.requests)
    assert_whole(warehouse, 90)


def served_whole(rows: list[str], *, turns: int = 10**9) -> Fault:
    """Answers lists of sessions whole, whatever is asked for; after some turns, pages by numbers."""
    count = itertools.count()

    async def answer(request: Request, number: int) -> Response | None:
        if request.url.path.endswith("/usage/sessions") and next(count) < turns:
            return Response(f'{{"data":[{",".join(rows)}]}}', media_type="application/json")
        return None

    return answer


def test_a_list_that_is_not_paged_ends_where_an_offset_brings_nothing_new(warehouse: Path) -> None:
    rows = [row(f"s{number:03d}", "2026-10-05") for number in range(150)]
    with serve(Tenant.from_rows([]), Options(), served_whole(rows)) as server:
        land(server, warehouse, look_back_days=0, look_ahead_days=0, window_days=31)
        requests = len(asked(server.requests, "/usage/sessions"))
    assert len(current(warehouse)) == 150
    assert requests <= 7  # a first list, its second page, an offset; the same again, as without a total


def test_a_first_page_in_answer_to_an_offset_is_no_end(warehouse: Path) -> None:
    """A server that is taken for one that pages by offset, and then shows that it does not, is not believed."""
    rows = [row(f"s{number:03d}", "2026-10-05") for number in range(60)]
    script = iter([rows[:20], rows[:20], rows[20:40]])

    async def answer(request: Request, number: int) -> Response | None:
        if not request.url.path.endswith("/usage/sessions"):
            return None
        page = next(script, None)
        if page is None:  # from here on by numbers alone
            first = 20 * (int(request.query_params["page"]) - 1)
            page = rows[first : first + 20]
        return Response(f"[{','.join(page)}]", media_type="application/json")

    with serve(Tenant.from_rows([]), Options(), answer) as server:
        land(server, warehouse, look_back_days=0, look_ahead_days=0, window_days=31, page_size=20)
    assert len(current(warehouse)) == 60


def test_offsets_that_never_end_are_no_list(warehouse: Path) -> None:
    """A server that says that there is more, and gives the last page for ever, is given up."""
    rows = [row(f"s{number:03d}", "2026-10-05") for number in range(40)]

    async def answer(request: Request, number: int) -> Response | None:
        if not request.url.path.endswith("/usage/sessions"):
            return None
        first = min(int(request.query_params.get("offset", 0)), 20)
        page = ",".join(rows[first : first + 20])
        return Response(f'{{"data":[{page}],"has_more":true}}', media_type="application/json")

    with serve(Tenant.from_rows([]), Options(), answer) as server, pytest.raises(IncompleteError, match="more"):
        land(server, warehouse, look_back_days=0, look_ahead_days=0, window_days=31)
    assert query(warehouse, "select count(*) from raw.usage_sessions") == [(0,)]


def test_an_offset_that_fails_ends_the_run(warehouse: Path) -> None:
    async def answer(request: Request, number: int) -> Response | None:
        if request.query_params.get("offset") == "20":
            return Response('{"error":{"code":"forbidden","message":"no"}}', 403)
        return None

    with serve(tenant(60), Options(envelope="offset"), answer) as server, pytest.raises(ApiError, match="403"):
        land(server, warehouse, look_back_days=0, look_ahead_days=0, window_days=31)
