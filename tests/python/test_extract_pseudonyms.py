"""External ids as pseudonyms: what is replaced, what stays byte for byte, and that no id is left anywhere."""

from __future__ import annotations

import hashlib
import hmac
import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st
from starlette.requests import Request

import tenants
from core.api.pages import SEPARATOR, read_page
from core.errors import ApiError, ConfigurationError
from extract.cli import outcome
from extract.pseudonyms import Pseudonyms
from pipeline import Run, ask, assert_same, read_loads
from pipeline import query as rows_of
from simulator.app import DEFAULT_API_KEY
from tenants import Rows, Span
from test_extract_support import (
    Options,
    Response,
    Script,
    Tenant,
    command,
    current,
    land,
    query,
    row,
    scripted,
    serve,
)

HASH_KEY = "0123456789abcdef-made-up"
OTHER_KEY = "fedcba9876543210-made-up"
KEYED = {"MIOSA_ID_HASH_KEY": HASH_KEY}
NO_IDS = ("", "(unattributed)")


def pseudonym(external_id: str, key: str = HASH_KEY) -> str:
    """What any other tool makes of an id too."""
    if external_id in NO_IDS:
        return external_id
    return hmac.new(key.encode(), external_id.encode(), hashlib.sha256).hexdigest()


U1, P1, N1 = pseudonym("u1"), pseudonym("p1"), pseudonym("4711")


@pytest.fixture
def warehouse(tmp_path: Path) -> Path:
    return tmp_path / "w.duckdb"


# One text


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ('{"external_user_id":"u1"}', f'{{"external_user_id":"{U1}"}}'),
        (
            ' { "external_user_id" :\n"u1" , "n" : 1.10e+00 } ',
            f' {{ "external_user_id" :\n"{U1}" , "n" : 1.10e+00 }} ',
        ),
        ('{"external_project_id":"p1","x":"p1"}', f'{{"external_project_id":"{P1}","x":"p1"}}'),
        ('{"external_workspace_id":"u1"}', f'{{"external_workspace_id":"{U1}"}}'),
        ('{"data":{"a":[{"external_user_id":"u1"}]}}', f'{{"data":{{"a":[{{"external_user_id":"{U1}"}}]}}}}'),
        (
            '{"external_user_id":"u1","external_user_id":"p1"}',
            f'{{"external_user_id":"{U1}","external_user_id":"{P1}"}}',
        ),
        ('{"external_user_id":"\\u00751"}', f'{{"external_user_id":"{U1}"}}'),
        ('{"external\\u005fuser_id":"u1"}', f'{{"external\\u005fuser_id":"{U1}"}}'),
        ('{"a\\"external_user_id":"u1"}', None),
        ('{"x":"\\"external_user_id\\":\\"u1\\""}', None),
        ('{"x":"external_user_id","y":"u1"}', None),
        ('["external_user_id","u1"]', None),
        ('{"external_user_id":"","external_project_id":"(unattributed)"}', None),
        ('{"external_user_id":"\\u0028unattributed)"}', None),
        ('{"external_user_id":null,"x":"u1"}', None),
        ('{"external_user_id":4711,"x":4711}', f'{{"external_user_id":["{N1}"],"x":4711}}'),
        ('{"external_user_id" : 4711,"x":"\\t"}', f'{{"external_user_id" : ["{N1}"],"x":"\\t"}}'),
        ('{"external_user_id":-1.50e+2}', f'{{"external_user_id":["{pseudonym("-1.50e+2")}"]}}'),
        ('{"external_user_id":true,"computer_id":"u1","workspace_id":"u1"}', None),
        ('{"external_user_id":["u1",4711],"x":"u1"}', f'{{"external_user_id":["{U1}",["{N1}"]],"x":"u1"}}'),
        ('{"external_user_ids":[{"id":"u1"}],"x":["u1"]}', f'{{"external_user_ids":[{{"id":"{U1}"}}],"x":["u1"]}}'),
        ('{"a\\n":1,"external_id":{"b":["u1"]},"x":"u1"}', f'{{"a\\n":1,"external_id":{{"b":["{U1}"]}},"x":"u1"}}'),
        ('{"External_User_ID":"u1"}', f'{{"External_User_ID":"{U1}"}}'),
        ('{"external_user":{"id":"u1","n":4711},"n":1}', f'{{"external_user":{{"id":"{U1}","n":["{N1}"]}},"n":1}}'),
        ('{"external_users":["u1",{"id":"p1"}],"x":1}', f'{{"external_users":["{U1}",{{"id":"{P1}"}}],"x":1}}'),
        ('{"external_paid":12.5,"external_url":"u1","externalizedIds":["u1"],"my_id":"u1"}', None),
        ('{"external_user_id":"u\\u0000"}', f'{{"external_user_id":"{pseudonym("u" + chr(0))}"}}'),
        # As the warehouse would hold it: six characters for half of a pair.
        ('{"external_user_id":"\\ud800"}', f'{{"external_user_id":"{pseudonym(chr(92) + "ud800")}"}}'),
    ],
)
def test_ids_and_nothing_else_are_replaced(text: str, expected: str | None) -> None:
    pseudonyms = Pseudonyms(HASH_KEY.encode())
    assert pseudonyms.hide_in_text(text) == (text if expected is None else expected)
    both = SEPARATOR.join([text, '{"external_user_id":"u1"}', text])
    assert pseudonyms.hide_in_text(both).split(SEPARATOR)[1] == f'{{"external_user_id":"{U1}"}}'


@pytest.mark.parametrize(
    "name",
    [
        *(
            "externalUserId",
            "ExternalUserID",
            "externalUserIDs",
            "EXTERNAL_USER_ID",
            "External-User-Id",
            "_externalUserId",
        ),
        *("external-user-id", "external_userid", "externaluserid", "external_user", "externalUser", "external_users"),
        *("externalProjectId", "external-workspace-ids", "external_project", "ExternalWorkspaces", "externalId"),
        *("external-ids", "externalCustomerId"),
    ],
)
def test_a_field_is_known_however_it_is_spelt(name: str) -> None:
    pseudonyms = Pseudonyms(HASH_KEY.encode())
    for more in ("", ',"x":"\\n"'):  # without and with an escape: two ways of reading
        assert pseudonyms.hide_in_text(f'{{"{name}":"u1"{more}}}') == f'{{"{name}":"{U1}"{more}}}'
        assert pseudonyms.hide_in_text(f'{{"{name}":[4711]{more}}}') == f'{{"{name}":[["{N1}"]]{more}}}'


OWNED = ("external_user_id", "external_project_id", "externalUserId", "external-users")
NAMES = st.sampled_from([*OWNED, "id", "external_", "x", "é", '"', "\\"])
LEAVES = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=8) | NAMES
JSON = st.recursive(
    LEAVES,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(NAMES | st.text(max_size=4), inner, max_size=4),
    max_leaves=15,
)


def replaced(value: Any, within: bool = False) -> Any:
    """The same value, of the same texts of numbers, with pseudonyms."""
    if isinstance(value, dict):
        return {name: replaced(item, within or name in OWNED) for name, item in value.items()}
    if isinstance(value, list):
        return [replaced(item, within) for item in value]
    if within and isinstance(value, str) and value.startswith("number "):
        return [pseudonym(value.removeprefix("number "))]
    return pseudonym(value) if within and isinstance(value, str) else value


@given(JSON, st.booleans(), st.sampled_from([None, 1]))
def test_any_json_says_the_same_but_for_ids(value: Any, ascii_only: bool, indent: int | None) -> None:
    def read(text: str) -> Any:
        return json.loads(
            text, parse_float=lambda number: f"number {number}", parse_int=lambda number: f"number {number}"
        )

    text = json.dumps(value, ensure_ascii=ascii_only, indent=indent)
    before, after = read(text), read(Pseudonyms(HASH_KEY.encode()).hide_in_text(text))
    assert json.dumps(after) == json.dumps(replaced(before))


def test_a_page_is_normalized_anew() -> None:
    body = '{"data":[{"external_user_id":"\\ud800"},{"external_user_id":"u1","x":"\\udfff"},{"x":1}]}'
    page = Pseudonyms(HASH_KEY.encode()).hide_in_page(read_page(body.encode()))
    assert page.normalized == [None, f'{{"external_user_id":"{U1}","x":"\\\\udfff"}}', None]
    assert page.count == 3


# The key


@pytest.mark.parametrize("key", ["", "short-key", "x" * 15, " " * 20, "0123456789abcdef-made-up\n"])
def test_a_key_that_hides_nothing_is_2_and_not_shown(
    warehouse: Path, monkeypatch: pytest.MonkeyPatch, key: str
) -> None:
    monkeypatch.setenv("MIOSA_API_KEY", DEFAULT_API_KEY)
    monkeypatch.setenv("MIOSA_ID_HASH_KEY", key)
    monkeypatch.setenv("WAREHOUSE_PATH", str(warehouse))
    status, line = outcome(["--from", "2026-10"])
    assert status == 2
    assert line.startswith("MIOSA_ID_HASH_KEY ")
    assert not key.strip() or key.strip() not in line
    assert not warehouse.exists()


def test_pseudonyms_of_two_keys_and_plain_ids_never_meet(tmp_path: Path) -> None:
    with serve(Tenant.from_rows([row("a", "2026-10-05")])) as server:
        for number, (first, second) in enumerate(
            [({}, KEYED), (KEYED, {}), (KEYED, {"MIOSA_ID_HASH_KEY": OTHER_KEY})], 1
        ):
            path = tmp_path / f"{number}.duckdb"
            land(server, path, **first)
            asked = len(server.requests)
            with pytest.raises(ConfigurationError, match=r"MIOSA_ID_HASH_KEY.*WAREHOUSE_PATH to a new file") as caught:
                land(server, path, **second)
            assert HASH_KEY not in str(caught.value)
            assert len(server.requests) == asked
            assert land(server, path, **first).rows_added == 0
            assert len(query(path, "select * from raw.settings")) == (1 if first else 0)


def test_a_run_that_landed_nothing_decides_nothing(warehouse: Path) -> None:
    with scripted("/usage/sessions", Response("{}", 403)) as (url, _), pytest.raises(ApiError):
        land(url, warehouse, **KEYED)
    with serve(Tenant.from_rows([row("a", "2026-10-05")])) as server:
        land(server, warehouse)
    assert query(warehouse, "select external_user_id from raw.usage_sessions") == [("u1",)]


# Runs


def test_quotas_are_asked_by_the_real_id_and_kept_under_the_pseudonym(
    warehouse: Path, caplog: pytest.LogCaptureFixture
) -> None:
    old, new = row("old", "2026-07-05", user="gone-user"), row("new", "2026-10-05", user="u1")
    tenant = Tenant.from_rows([old, new, row("no", "2026-10-05", user=None)], quotas={"u1": {"max_concurrent": 2}})
    with serve(tenant) as server:
        land(server, warehouse, first_month="2026-07", last_month="2026-10", window_days=31, **KEYED)
        server.requests.clear()
        assert "pseudonym" not in caplog.text
        assert land(server, warehouse, first_month="2026-10", **KEYED).rows_added == 0
        asked = {path.rpartition("/")[2] for _, path, _ in server.requests if "/quotas/" in path}
    assert asked == {"u1"}
    assert [record.message for record in caplog.records if "1 users have only a pseudonym" in record.message]
    landed = query(warehouse, "select row_key, http_status, payload from raw.quotas order by http_status")
    assert [(key, status) for key, status, _ in landed] == [(U1, 200), (pseudonym("gone-user"), 404)]
    assert json.loads(landed[0][2])["data"]["external_user_id"] == U1
    # The words of a 404 may name the user.
    assert landed[1][2] is None
    assert set(query(warehouse, "select external_user_id from raw.usage_sessions")) == {
        *((user,) for user in (U1, pseudonym("gone-user"), None)),
    }


def test_a_number_that_is_an_id_is_hidden_and_owns_nothing_as_before(warehouse: Path) -> None:
    """Rule 9: an owner that is no text is none, with a key as without one."""
    numbered = row("a", "2026-10-05").replace('"u1"', "4711555")
    other = row("b", "2026-10-05", externalUserId='"kanarie"', external_users='[{"id":"kanarie"}]')
    with serve(Tenant.from_rows([numbered, other])) as server:
        for path, key in ((warehouse, KEYED), (warehouse.with_name("plain.duckdb"), {})):
            land(server, path, **key)
            owners = query(path, "select external_user_id from raw.usage_sessions order by row_key")
            assert owners == [(None,), (U1 if key else "u1",)]
    said = str(current(warehouse).values())
    assert pseudonym("4711555") in said
    assert said.count(pseudonym("kanarie")) == 2
    for hidden_id in (b"4711555", b"kanarie"):
        assert hidden_id not in warehouse.read_bytes()


@pytest.mark.parametrize("status", [422, 503, 404, 200])
def test_no_message_names_a_user(warehouse: Path, status: int) -> None:
    """Neither the address asked, nor what the API says, at the most talkative."""
    user = "canary-user/ü"
    words = f'{{"error":{{"message":"user {user} and {quote(user, safe="")}","request_id":"req_77"}}}}'
    body = Response(f"<html>{user}" if status == 404 else words, status)
    script = Script(f"/quotas/external/{quote(user, safe='')}", body)
    rows = [row("a", "2026-10-05", user=user)]
    with serve(Tenant.from_rows(rows), Options(), script) as server:
        done = command(
            *("--from", "2026-10", "--window-days", "31", "--max-tries", "2", "--verbose"),
            environment={"MIOSA_API_KEY": DEFAULT_API_KEY, "MIOSA_BASE_URL": server.base_url, **KEYED}
            | {"WAREHOUSE_PATH": str(warehouse)},
        )
    assert done.returncode == 1, done.stderr
    assert f"/quotas/external/{pseudonym(user)}" in done.stderr.splitlines()[-1]
    assert "canary" not in done.stderr + done.stdout
    assert HASH_KEY not in done.stderr + done.stdout
    if status in (422, 503):
        assert "req_" in done.stderr


# The whole path

SPAN = Span("2026-09", "2026-10")
EXTERNAL = ("external_user_id", "external_project_id", "external_workspace_id")


def rewritten(text: str, change: Callable[[str], str]) -> str:
    """A flat row with other external ids; all else, and how each id is spelt, as far as it was."""
    if not text.startswith("{"):
        return text
    decoder = json.JSONDecoder(parse_int=str, parse_float=str)
    pieces, position = [], 1
    while text[position : position + 1] == '"':
        name, end = decoder.raw_decode(text, position)
        value, after = decoder.raw_decode(text, end + 1)
        said = text[end + 1 : after]
        if name in EXTERNAL and isinstance(value, str):
            said = json.dumps(change(value), ensure_ascii=said.isascii())
        pieces.append(text[position : end + 1] + said)
        position = after + 1
    return "{" + ",".join(pieces) + "}"


def with_ids(rows: Rows, change: Callable[[str], str]) -> Rows:
    """The same tenant with other external ids."""
    return replace(
        rows,
        sessions=tuple(rewritten(text, change) for text in rows.sessions),
        sandboxes=tuple(rewritten(text, change) for text in rows.sandboxes),
        quotas={change(user): limits for user, limits in rows.quotas.items()},
        storage_gb={change(user): amount for user, amount in rows.storage_gb.items()},
    )


def marked(external_id: str) -> str:
    """An id that cannot occur by chance, as hostile as it was."""
    return external_id if external_id in NO_IDS else f"kanarie\u00efn-\u9ce5{external_id}"


@pytest.fixture(scope="module")
def hidden(tmp_path_factory: pytest.TempPathFactory) -> tuple[Run, Rows]:
    """Hostile ids, landed under a key and built. What the API said comes from a tenant whose ids are pseudonyms."""
    rows = with_ids(tenants.seeded_rows(7, 400, SPAN, clock_ends=False), marked)
    run = Run(tmp_path_factory.mktemp("hidden") / "usage.duckdb")
    with serve(rows.tenant()) as server:
        done = command(
            *("--from", SPAN.first, "--to", SPAN.last, "--window-days", "7"),
            environment={"MIOSA_API_KEY": DEFAULT_API_KEY, "MIOSA_BASE_URL": server.base_url, **KEYED}
            | {"WAREHOUSE_PATH": str(run.warehouse)},
        )
    assert done.returncode == 0, done.stderr
    assert "kanarie" not in done.stdout + done.stderr
    run.build(data_tests=False)
    tenant = with_ids(rows, pseudonym).tenant()
    periods = [found["row_key"] for found in rows_of(run.warehouse, "select distinct row_key from raw.usage_rollups")]
    with serve(tenant) as server:
        run.answers.append(ask(server.base_url, tenant, sorted(periods)))
    run.asked_through.append(max(load.load_id for load in read_loads(run.warehouse)))
    return run, rows


def test_every_mart_is_the_same_but_for_its_ids(hidden: tuple[Run, Rows]) -> None:
    """What the oracle works out from rows that hold pseudonyms from the start."""
    assert_same(hidden[0])


def test_no_id_is_left_in_any_byte_of_the_warehouse(hidden: tuple[Run, Rows]) -> None:
    run, rows = hidden
    ids = {user for user in rows.quotas if user not in NO_IDS}
    for text in (*rows.sessions, *rows.sandboxes):
        found = json.loads(text)
        if isinstance(found, dict):
            ids |= {str(found[name]) for name in EXTERNAL if isinstance(found.get(name), str)} - {*NO_IDS}
    assert len(ids) > 40
    files = [path for path in run.warehouse.parent.glob("usage.duckdb*") if path.is_file()]
    content = b"".join(path.read_bytes() for path in files)
    for external_id in ids:
        for form in {external_id, json.dumps(external_id)[1:-1], json.dumps(external_id, ensure_ascii=False)[1:-1]}:
            assert form.encode() not in content, external_id
    assert b"kanarie" not in content
    assert HASH_KEY.encode() not in content
    # Compression hides nothing: what the file says, column by column.
    account = ("credit_balances", "credit_transactions", "billing_invoices", "billing_overviews")
    usage = ("usage_sessions", "sandboxes", "quotas", "usage_rollups", "usage_summaries")
    for table in (*usage, *account, "loads", "settings"):
        said = query(run.warehouse, f"select * from raw.{table}")
        assert "kanarie" not in repr(said), table
        assert said


class _Moved:
    """Lists of no end but a 410 in their middle, so that pages are dropped and read anew."""

    def __init__(self) -> None:
        self.asked = 0

    async def __call__(self, request: Request, number: int) -> Response | None:
        self.asked += "cursor" in request.query_params
        return Response("{}", 410) if self.asked == 1 and "cursor" in request.query_params else None


def test_pages_that_are_read_anew_leave_no_id_either(warehouse: Path) -> None:
    rows = [row(f"s{n}", "2026-10-05", user=f"kanarie-{n}") for n in range(12)]
    moved = _Moved()
    with serve(Tenant.from_rows(rows), Options(envelope="cursor", max_page_size=5), moved) as server:
        land(server, warehouse, look_back_days=0, look_ahead_days=0, **KEYED)
    assert moved.asked > 1
    assert b"kanarie" not in warehouse.read_bytes()
    assert all(payload and "kanarie" not in payload for payload in current(warehouse).values())
    assert len(current(warehouse)) == 12
