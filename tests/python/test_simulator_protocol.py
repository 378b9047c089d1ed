"""The simulated API over plain HTTP: envelopes, windows, caps, errors, hostile paths, faults, control routes."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from decimal import Decimal
from typing import Any

import httpx
import pytest
from starlette.requests import Request
from starlette.responses import Response

from simulator import Options, Server, Tenant, generate_tenant, serve
from simulator.account import AccountOptions, TransactionEnvelope
from simulator.app import DEFAULT_API_KEY, Fault
from simulator.edges import edge_sessions

AUTHORIZATION = {"authorization": f"Bearer {DEFAULT_API_KEY}"}
OCTOBER = {"since": "2026-10-01T00:00:00Z", "until": "2026-11-01T00:00:00Z"}


def exact(response: httpx.Response) -> Any:
    """A JSON answer, its numbers with all their digits."""
    return json.loads(response.text, parse_float=Decimal)


def row(session_id: str, start: str, end: str | None, **fields: Any) -> dict[str, Any]:
    return {"id": session_id, "started_at": start, "ended_at": end, "credit_cost": 1, **fields}


class Api(httpx.Client):
    """A client of one server, with its key."""

    def __init__(self, server: Server) -> None:
        super().__init__(base_url=server.base_url, headers=AUTHORIZATION)
        self.server = server

    def control(self, action: str, **fields: Any) -> httpx.Response:
        return self.post(f"{self.server.control_url}/{action}", json=fields)

    def ids(self, **query: Any) -> list[Any]:
        return [found.get("id") for found in self.get("/usage/sessions", params=query).json()["data"]]


@contextmanager
def api(tenant: Tenant, fault: Fault | None = None, **options: Any) -> Iterator[Api]:
    with serve(tenant, Options(**options), fault) as server, Api(server) as client:
        yield client


@pytest.fixture(scope="module")
def tenant() -> Tenant:
    return generate_tenant(sessions=250, users=5)


@pytest.fixture(scope="module")
def shared(tenant: Tenant) -> Iterator[Api]:
    """A server that no test changes."""
    with api(tenant) as client:
        yield client


# Envelopes


def test_documented_envelope_pages_to_the_end(shared: Api, tenant: Tenant) -> None:
    texts, total = [], len(tenant.sessions)
    for number in range(1, total // 100 + 3):
        answer = shared.get("/usage/sessions", params={"page": number, "page_size": 100}).json()
        assert answer["page"] == {"page": number, "page_size": 100, "total": total}
        texts += answer["data"]
    assert texts == [json.loads(session.text) for session in tenant.sessions]


def test_default_page_is_twenty_and_the_cap_holds(shared: Api, tenant: Tenant) -> None:
    assert len(shared.ids()) == 20
    assert len(shared.ids(page_size=1000)) == 100
    with api(tenant, max_page_size=7) as capped:
        answer = capped.get("/usage/sessions", params={"page_size": 100}).json()
        assert (len(answer["data"]), answer["page"]["page_size"]) == (7, 7)


def test_meta_envelope(tenant: Tenant) -> None:
    with api(tenant, envelope="meta") as client:
        answer = client.get("/usage/sessions", params={"page": 2, "page_size": 5}).json()
    assert answer["meta"] == {"total": len(tenant.sessions), "page": 2, "per_page": 5}


@pytest.mark.parametrize(("cursor_type", "kind"), [("string", str), ("integer", int)])
def test_cursor_envelope_goes_on_to_a_null(tenant: Tenant, cursor_type: str, kind: type) -> None:
    with api(tenant, envelope="cursor", cursor_type=cursor_type) as client:
        answer = client.get("/usage/sessions", params={"page": 1, "page_size": 50}).json()
        rows, cursors = answer["data"], []
        while (cursor := answer["next_cursor"]) is not None:
            assert isinstance(cursor, str) is (kind is str)
            cursors.append(cursor)
            answer = client.get("/usage/sessions", params={"cursor": cursor, "limit": 50}).json()
            rows += answer["data"]
        assert client.get("/usage/sessions", params={"cursor": "nonsense"}).status_code == 422
    assert rows == [json.loads(session.text) for session in tenant.sessions]
    assert len(set(cursors)) == len(cursors)


def test_bare_list_ends_with_an_empty_page(tenant: Tenant) -> None:
    with api(tenant, rows_key="bare") as client:
        assert len(client.get("/usage/sessions", params={"page": 1, "page_size": 100}).json()) == 100
        assert client.get("/usage/sessions", params={"page": 99, "page_size": 100}).json() == []


@pytest.mark.parametrize("key", ["sessions", "items"])
def test_rows_under_other_keys(tenant: Tenant, key: str) -> None:
    with api(tenant, rows_key=key) as client:
        assert len(client.get("/usage/sessions").json()[key]) == 20


def test_rows_that_arrive_push_others_onto_later_pages() -> None:
    tenant = Tenant.from_rows([row(f"s{n}", f"2026-10-0{n}T00:00:00Z", None) for n in range(1, 5)])
    with api(tenant) as client:
        assert client.ids(page=1, page_size=2) == ["s4", "s3"]
        tenant.add_session(row("new", "2026-10-09T00:00:00Z", None))
        assert client.ids(page=2, page_size=2) == ["s3", "s2"]


def test_text_rows_are_served_byte_for_byte() -> None:
    odd = [
        '{"id":"a",  "credit_cost": 1.50, "credit_cost":1E-3, "started_at":"2026-10-02T00:00:00+05:30"}',
        '{"id":"\\ud800","started_at":"2026-10-01T00:00:00Z","n":123456789012345678901234567890.10}',
        "null",
        "[1, 2.50]",
        '"text"',
    ]
    with api(Tenant.from_rows(odd), cost_field="both", shuffle_keys=True) as client:
        text = client.get("/usage/sessions", params=OCTOBER).text
        assert all(expected in text for expected in odd)
        assert client.get("/usage", params={"period": "7d"}).status_code == 200


def test_decimals_of_mappings_keep_their_digits_and_floats_are_refused() -> None:
    cost = Decimal("123456789.123456789")
    tenant = Tenant.from_rows([row("a", "2026-10-01T00:00:00Z", None, credit_cost=cost, deep=[Decimal("0.10")])])
    assert tenant.sessions[0].text.endswith(b'"credit_cost":123456789.123456789,"deep":[0.10]}')
    with pytest.raises(TypeError, match="Decimal"):
        Tenant.from_rows([row("a", "2026-10-01T00:00:00Z", None, credit_cost=1.5)])


@pytest.mark.parametrize("cost_field", ["credits_used", "both"])
def test_cost_field_renames_generated_rows_only(cost_field: str) -> None:
    tenant = generate_tenant(sessions=20, edge_cases=False)
    with api(tenant, cost_field=cost_field) as client:
        rows = exact(client.get("/usage/sessions"))["data"]
    before = [json.loads(session.text, parse_float=Decimal) for session in tenant.sessions]
    assert [found["credits_used"] for found in rows] == [found["credit_cost"] for found in before]
    assert all(("credit_cost" in found) is (cost_field == "both") for found in rows)


def test_rows_and_keys_can_be_shuffled() -> None:
    tenant = generate_tenant(sessions=60, edge_cases=False)
    with api(tenant, shuffle_seed=7, shuffle_keys=True) as client:
        first, second = (client.get("/usage/sessions", params={"page_size": 100}) for _ in range(2))
    plain = [json.loads(session.text) for session in tenant.sessions]
    assert first.json()["data"] == second.json()["data"] != plain
    assert sorted(first.json()["data"], key=lambda found: found["id"], reverse=True) == plain
    assert first.text != second.text


# Windows

WINDOWED: list[dict[str, Any]] = [
    row("before", "2026-09-30T20:00:00Z", "2026-09-30T23:00:00Z"),
    row("ends-on-start", "2026-09-30T23:00:00Z", "2026-10-01T00:00:00Z"),
    row("in-from-before", "2026-09-30T23:00:00Z", "2026-10-01T01:00:00Z"),
    row("instant-on-start", "2026-10-01T00:00:00Z", "2026-10-01T00:00:00Z"),
    row("within", "2026-10-15T00:00:00+02:00", "2026-10-15T01:00:00+02:00"),
    row("ends-on-end", "2026-10-31T23:00:00Z", "2026-11-01T00:00:00Z"),
    row("out-to-after", "2026-10-31T23:00:00Z", "2026-11-01T00:00:00.000001Z"),
    row("starts-on-end", "2026-11-01T00:00:00Z", "2026-11-01T01:00:00Z"),
    row("over-it-all", "2026-09-01T00:00:00Z", "2026-12-01T00:00:00Z"),
    row("runs-since-september", "2026-09-15T00:00:00Z", None),
    row("unreadable-start", "yesterday", "2026-09-30T23:00:00Z"),
    row("unreadable-end", "2026-10-20T00:00:00Z", "soon"),
]
BY_START = {"instant-on-start", "within", "ends-on-end", "out-to-after", "unreadable-start", "unreadable-end"}


@pytest.mark.parametrize(
    ("window", "expected"),
    [
        ("start", BY_START),
        ("overlap", BY_START | {"in-from-before", "over-it-all", "runs-since-september"}),
        (
            "end",
            (BY_START | {"ends-on-start", "in-from-before", "runs-since-september"}) - {"ends-on-end", "out-to-after"},
        ),
        ("ignore", {str(found["id"]) for found in WINDOWED}),
    ],
)
def test_window_semantics(window: str, expected: set[str]) -> None:
    with api(Tenant.from_rows(WINDOWED), window=window) as client:
        answer = client.get("/usage/sessions", params=OCTOBER).json()
    assert {found["id"] for found in answer["data"]} == expected
    assert answer["page"]["total"] == len(expected)


def test_window_may_be_open_on_either_side() -> None:
    with api(Tenant.from_rows(WINDOWED)) as client:
        assert set(client.ids(since=OCTOBER["until"])) == {"starts-on-end", "unreadable-start"}
        assert "runs-since-september" in client.ids(until=OCTOBER["since"])


@pytest.mark.parametrize("window", ["start", "overlap", "end"])
def test_windows_agree_with_a_plain_filter(tenant: Tenant, window: Any) -> None:
    """The bisected selection against the definition, spelt out per row."""
    now = tenant.now_microseconds
    since, until = now - 40 * 86_400_000_000, now - 20 * 86_400_000_000
    expected = []
    for session in tenant.sessions:
        if session.start is None:
            expected.append(session)
            continue
        end = max(session.start, now if session.running else session.end if session.end is not None else session.start)
        inside: dict[str, bool] = {
            "start": since <= session.start < until,
            "overlap": session.start < until and (end > since or session.start >= since),
            "end": session.running or since <= end < until,
        }
        if inside[window]:
            expected.append(session)
    assert tenant.select(window, since, until) == expected


# Rollup and summary


def credits_of(client: Api, start: str, end: str, **query: str) -> dict[str | None, Decimal]:
    answer = exact(client.get("/usage", params={"period": "custom", "start": start, "end": end, **query}))
    group = query.get("group_by", "external_user_id")
    return {found[group]: Decimal(found["credit_cents"]) for found in answer["results"]}


MONTHS = [("2026-10-01T00:00:00Z", "2026-11-01T00:00:00Z"), ("2026-11-01T00:00:00Z", "2026-12-01T00:00:00Z")]


@pytest.mark.parametrize(
    ("attribution", "expected"), [("split", ("3.333333333", "6.666666667")), ("start", "10 "), ("end", " 10")]
)
def test_rollup_counts_a_crossing_session_as_told(attribution: str, expected: Any) -> None:
    tenant = Tenant.from_rows([row("s", "2026-10-31T23:00:00Z", "2026-11-01T02:00:00Z", credit_cost=10)])
    if isinstance(expected, str):
        expected = tuple(expected.split(" "))
    with api(tenant, vendor_attribution=attribution) as client:
        for month, credits in zip(MONTHS, expected, strict=True):
            assert credits_of(client, *month) == ({None: Decimal(credits)} if credits else {})
            query = {"period_start": month[0], "period_end": month[1]}
            assert exact(client.get("/usage/summary", params=query))["total_credits"] == Decimal(credits or 0)


def test_rollup_attributes_by_row_then_sandbox_then_nobody() -> None:
    noon, one = "2026-10-05T12:00:00Z", "2026-10-05T13:00:00Z"
    sandboxes = [
        {"id": "box", "external_user_id": "old", "created_at": "2026-01-01T00:00:00Z"},
        {"id": "box-empty", "external_user_id": "", "created_at": "2026-01-01T00:00:00Z"},
    ]
    tenant = Tenant.from_rows(
        [
            row("a", noon, one, external_user_id="u", computer_id="box", external_project_id="p"),
            row("b", noon, one, external_user_id="", computer_id="box", external_project_id="p"),
            row("c", noon, one, computer_id="box-empty"),
            row("d", noon, one, external_user_id="(unattributed)"),
            row("e", noon, one, external_user_id="u", credit_cost="1_000"),
        ],
        sandboxes,
        storage_gb={"u": Decimal("2.5"), "idle": 1, "none": 0},
    )
    with api(tenant) as client:
        assert credits_of(client, *MONTHS[0]) == {"u": 1, "old": 1, None: 1, "idle": 0}
        # Another owner counts from the tenant's now on; one who comes late to a sandbox that had none, since ever.
        tenant.put_sandbox({"id": "box", "external_user_id": "new", "created_at": "2026-01-01T00:00:00Z"})
        tenant.put_sandbox({"id": "box-empty", "external_user_id": "late", "created_at": "2026-01-01T00:00:00Z"})
        tenant.add_session(row("f", "2026-11-03T09:00:00Z", "2026-11-03T10:00:00Z", computer_id="box"))
        assert credits_of(client, *MONTHS[0]) == {"u": 1, "old": 1, "late": 1, "idle": 0}
        assert credits_of(client, *MONTHS[1]) == {"u": 0, "new": 1, "idle": 0}
        assert credits_of(client, *MONTHS[1], external_user_id="new") == {"new": 1}
        assert credits_of(client, *MONTHS[0], group_by="external_project_id") == {"p": 2, None: 1}
        assert credits_of(client, *MONTHS[0], group_by="workspace_id") == {None: 3}
        query = {"period": "custom", "start": MONTHS[0][0], "end": MONTHS[0][1]}
        results = {found["external_user_id"]: found for found in exact(client.get("/usage", params=query))["results"]}
    assert (results["u"]["sandbox_seconds"], results["u"]["computer_seconds"]) == (3600, 0)
    assert results["u"]["storage_gb_hours"] == Decimal("2.5") * 744
    assert results["idle"]["storage_gb_hours"] == 744


def test_rollup_counts_running_sessions_so_far() -> None:
    tenant = Tenant.from_rows(
        [
            row("until-now", "2026-11-01T00:00:00Z", None, credit_cost=3),
            row("so-far", "2026-10-31T23:00:00Z", None, credit_cost=2, duration_sec=7200),
            {"id": "free", "started_at": "2026-11-02T00:00:00Z"},
        ]
    )
    with api(tenant) as client:
        assert credits_of(client, "2026-11-01T00:00:00Z", "2026-11-02T00:00:00Z") == {
            None: 1 + Decimal("1.263157894")  # 3 credits over 57 hours: the first 24 of them, cut to the nano-credit
        }
        assert credits_of(client, *MONTHS[0]) == {None: 1}
        assert client.control("advance", to="2026-11-03T00:00:00Z").status_code == 422
        assert client.control("advance", to="2026-11-04T00:00:00Z").status_code == 200
        assert credits_of(client, "2026-11-01T00:00:00Z", "2026-11-02T00:00:00Z") == {None: 2}


def test_rollup_in_whole_cents_and_wrapped() -> None:
    tenant = Tenant.from_rows([row("s", "2026-10-05T12:00:00Z", "2026-10-05T13:00:00Z", credit_cost=Decimal("2.5"))])
    with api(tenant, rollup_rounding="cents", rollup_wrapped=True) as client:
        query = {"period": "custom", "start": MONTHS[0][0], "end": MONTHS[0][1]}
        assert client.get("/usage", params=query).json()["data"]["results"][0]["credit_cents"] == 3
        query = {"period_start": MONTHS[0][0], "period_end": MONTHS[0][1]}
        assert client.get("/usage/summary", params=query).json()["data"]["total_credits"] == 3


def test_rollup_never_counts_a_rejected_row(tenant: Tenant) -> None:
    rejected = {
        edge.text.encode() for edge in edge_sessions(tenant.now.replace(month=10, day=1, hour=0)) if edge.rejected
    }
    found = [session for session in tenant.sessions if session.text in rejected]
    assert len(found) == len(rejected)
    assert all(session.nano is None for session in found)
    assert all(session.nano is not None for session in tenant.sessions if session.text not in rejected)


@pytest.mark.parametrize(("period", "start"), [("7d", "10-27T09"), ("30d", "10-04T09"), ("mtd", "11-01T00")])
def test_named_periods(shared: Api, period: str, start: str) -> None:
    answer = shared.get("/usage", params={"period": period}).json()
    assert (answer["period_start"], answer["period_end"]) == (f"2026-{start}:00:00Z", "2026-11-03T09:00:00Z")


# Errors


@pytest.mark.parametrize(
    ("path", "query"),
    [
        ("/usage", {"period": "1d"}),
        ("/usage", {"period": "custom"}),
        ("/usage", {"period": "custom", "start": "2026-10-01T00:00:00Z"}),
        ("/usage", {"start": "2026-10-02T00:00:00Z", "end": "2026-10-01T00:00:00Z"}),
        ("/usage", {"start": "monday", "end": "2026-10-01T00:00:00Z"}),
        ("/usage", {"group_by": "computer_id"}),
        ("/usage/summary", {"period_start": "2026-10-01T00:00:00Z"}),
        ("/usage/sessions", {"since": "last week"}),
        ("/usage/sessions", {"until": "2026-02-30T00:00:00Z"}),
        ("/usage/sessions", {"page": "0"}),
        ("/usage/sessions", {"page_size": "-5"}),
        ("/sandboxes", {"page_size": "many"}),
    ],
)
def test_bad_queries_are_422(shared: Api, path: str, query: dict[str, str]) -> None:
    assert_error(shared.get(path, params=query), 422)


def assert_error(response: httpx.Response, status: int) -> None:
    assert response.status_code == status
    error = response.json()["error"]
    assert set(error) == {"code", "message", "request_id"}
    assert error["request_id"] == response.headers["x-request-id"]


@pytest.mark.parametrize("path", ["/", "/nope", "/usage/", "/usage/sessions/x", "/quotas/external/a/b", "/quotas"])
def test_unknown_paths_are_404(shared: Api, path: str) -> None:
    assert_error(shared.get(path), 404)
    assert_error(shared.get(shared.server.base_url.removesuffix("/api/v1") + path), 404)


def test_unknown_methods_are_405(shared: Api) -> None:
    assert_error(shared.post("/usage/sessions"), 405)


@pytest.mark.parametrize("value", [None, "", "Bearer", "Bearer msk_wrong", "Basic msk_demo", "msk_demo"])
def test_missing_or_wrong_key_is_401(shared: Api, value: str | None) -> None:
    headers = {} if value is None else {"authorization": value}
    for url in (f"{shared.server.base_url}/usage/sessions", f"{shared.server.control_url}/state"):
        assert_error(httpx.get(url, headers=headers), 401)


def test_another_key_can_be_set() -> None:
    with api(Tenant(), api_key="msk_other") as client:
        assert_error(client.get("/usage/sessions"), 401)
        assert client.get("/usage/sessions", headers={"authorization": "bearer msk_other"}).status_code == 200


def test_every_answer_has_a_request_id(shared: Api) -> None:
    first, second = (shared.get("/credits/balance").headers["x-request-id"] for _ in range(2))
    assert first != second


@pytest.mark.parametrize("option", [{"envelope": "none"}, {"window": ""}, {"max_page_size": 0}, {"rollup_rounding": 1}])
def test_unknown_options_are_refused(option: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=next(iter(option))):
        Options(**option)


# Quotas


@pytest.mark.parametrize(
    "body",
    ['{"max_sandboxes":-1}', '{"max_sandboxes":"5"}', '{"max_sandboxes":true}', "[]", "{"],
)
def test_unusable_limits_are_422(body: str) -> None:
    tenant = Tenant()
    with api(tenant) as client:
        assert_error(client.put("/quotas/external/u", content=body), 422)
    assert tenant.quotas == {}


def test_encoded_slash_and_plain_slash_are_not_the_same() -> None:
    tenant = Tenant(quotas={"a/b": {"max_sandboxes": 1}, "..": {}})
    with api(tenant) as client:
        assert client.get("/quotas/external/a%2Fb").json()["data"]["external_user_id"] == "a/b"
        assert_error(client.get("/quotas/external/a/b"), 404)
        assert_error(client.get("/quotas/external/a%252Fb"), 404)
        assert client.get("/quotas/external/%2e%2E").json()["data"]["external_user_id"] == ".."
        assert_error(client.get("/quotas/external/.."), 404)  # httpx collapses it
        assert_error(client.get("/quotas/external/%ff"), 404)


def test_quota_shows_what_is_used() -> None:
    tenant = Tenant.from_rows(
        [
            row("a", "2026-11-01T00:00:00Z", None, external_user_id="u"),
            row("b", "2026-11-01T00:00:00Z", None, computer_id="box"),
            row("c", "2026-11-01T00:00:00Z", "2026-11-01T01:00:00Z", external_user_id="u"),
        ],
        [{"id": "box", "external_user_id": "u"}],
        {"u": {"max_storage_gb": Decimal("1.5")}},
    )
    with api(tenant) as client:
        quota = exact(client.get("/quotas/external/u"))["data"]
        assert quota["usage"] == {"total_sandboxes": 1, "concurrent": 2}
        assert quota["limits"]["max_storage_gb"] == Decimal("1.5")


def test_idempotency_key_is_remembered_for_a_day() -> None:
    tenant = Tenant()
    with api(tenant) as client:

        def put(limit: int) -> httpx.Response:
            return client.put("/quotas/external/u", json={"max_sandboxes": limit}, headers={"idempotency-key": "k"})

        first = put(1)
        tenant.delete_quota("u")
        again = put(1)
        assert (again.status_code, again.text) == (first.status_code, first.text)
        assert tenant.quotas == {}  # answered, not done again
        assert_error(put(2), 422)
        client.control("advance", to="2026-11-04T09:00:00Z")
        assert put(2).status_code == 200
        assert client.delete("/quotas/external/u", headers={"idempotency-key": "d"}).status_code == 204
        assert client.delete("/quotas/external/u", headers={"idempotency-key": "d"}).status_code == 204
        assert_error(client.delete("/quotas/external/u"), 404)


# Credits


@pytest.mark.parametrize("envelope", ["meta", "transactions"])
def test_transactions_are_pages_of_a_ledger(envelope: TransactionEnvelope) -> None:
    tenant = Tenant.from_rows(
        [
            row(
                "a", "2026-10-01T00:00:00Z", "2026-10-01T01:00:00Z", credit_cost=Decimal("0.000000001"), computer_id="c"
            ),
            row("b", "2026-10-02T00:00:00Z", "2026-10-02T01:00:00Z"),
            row("runs", "2026-10-03T00:00:00Z", None),
        ]
    )
    key = "data" if envelope == "meta" else envelope
    with api(tenant, account=AccountOptions(envelope=envelope)) as client:
        answer = exact(client.get("/credits/transactions", params={"page": 2, "page_size": 1}))
        (spend,) = answer[key]
        assert (spend["amount_credits"], spend["computer_id"], spend["type"]) == (Decimal("-1E-9"), "c", "spend")
        rows = exact(client.get("/credits/transactions"))[key]
        assert [row["type"] for row in rows].count("spend") == 2
        balance = exact(client.get("/credits/balance"))
        assert 0 <= balance["balance_credits"] - sum(row["amount_credits"] for row in rows) < 1
        assert answer.get("meta") == ({"total": len(rows), "page": 2, "per_page": 1} if envelope == "meta" else None)


def test_invoices_are_of_the_vendors_own_periods() -> None:
    tenant = Tenant.from_rows(
        [
            # A third of it is in the period that ends while it runs.
            row("a", "2026-09-15T04:00:00Z", "2026-09-15T10:00:00Z", credit_cost=Decimal("30")),
            row("b", "2026-10-16T00:00:00Z", "2026-10-16T01:00:00Z", credit_cost=Decimal("7")),
        ]
    )
    with api(tenant, account=AccountOptions(invoice_error_cents=1)) as client:
        first = client.get("/billing/invoices", params={"limit": 1}).json()
        (newest,) = first["data"]
        assert (newest["period_start"], newest["period_end"]) == ("2026-09-15T06:00:00Z", "2026-10-15T06:00:00Z")
        assert newest["amount_due"] == 21
        rest = client.get("/billing/invoices", params={"limit": 9, "cursor": first["next_cursor"]}).json()
        assert [(row["id"], row["amount_due"], row["status"]) for row in rest["data"]] == [
            ("inv_2026-08", 10, "paid"),
            ("inv_2026-09_void", 21, "void"),
            ("inv_purchase", 1000, "paid"),
        ]
        overview = client.get("/billing/overview").json()["data"]
        assert (overview["billing_period_start"], overview["billing_period_usage_cents"]) == ("2026-10-15T06:00:00Z", 7)


def test_a_key_may_lack_the_scope_for_the_account() -> None:
    with api(Tenant(), account=AccountOptions(refused={"balance": 403, "invoices": 404})) as client:
        assert_error(client.get("/credits/balance"), 403)
        assert_error(client.get("/billing/invoices"), 404)
        assert client.get("/credits/transactions").json()["data"] == []
        assert client.get("/billing/overview").status_code == 200


# Seams


def test_fault_answers_instead() -> None:
    seen: list[tuple[str, int]] = []

    async def fault(request: Request, number: int) -> Response | None:
        seen.append((request.url.path, number))
        return Response("<html>", 503, {"retry-after": "1"}) if number == 2 else None

    with api(Tenant(), fault) as client:
        answers = [client.get("/usage/sessions") for _ in range(3)]
        client.get(f"{client.server.control_url}/state")
    assert [answer.status_code for answer in answers] == [200, 503, 200]
    assert answers[1].headers["x-request-id"]
    assert seen == [("/api/v1/usage/sessions", number) for number in (1, 2, 3)]


def test_requests_are_logged() -> None:
    with api(Tenant()) as client:
        client.get("/usage/sessions", params={"page": 1, "since": "2026-10-01T00:00:00+02:00"})
        client.put("/quotas/external/a%2Fb", json={})
        client.get(f"{client.server.control_url}/state")
        assert list(client.server.requests) == [
            ("GET", "/api/v1/usage/sessions", {"page": "1", "since": "2026-10-01T00:00:00+02:00"}),
            ("PUT", "/api/v1/quotas/external/a%2Fb", {}),
        ]


def test_latency_holds_answers_back() -> None:
    with api(Tenant(), latency_ms=80) as client:
        assert client.get("/usage/sessions").elapsed.total_seconds() >= 0.08


def test_control_routes_let_time_pass() -> None:
    tenant = Tenant.from_rows([row("s", "2026-10-01T00:00:00Z", None, duration_sec=5)])
    with api(tenant) as client:
        late = '{"id":"late","started_at":"2026-09-01T00:00:00Z","ended_at":null,"credit_cost":1.10}'
        assert client.control("add-session", row=late).json()["sessions"] == 2
        client.post(f"{client.server.control_url}/add-session", content='{"row": {"id":"raw","n":1.50}}')
        client.control("end-session", id="s", ended_at="2026-10-01T01:00:00Z", cost=2)
        assert [json.loads(session.text) for session in tenant.sessions] == [
            {"id": "raw", "n": 1.5},
            {"id": "s", "started_at": "2026-10-01T00:00:00Z", "ended_at": "2026-10-01T01:00:00Z", "credit_cost": 2},
            json.loads(late),
        ]
        assert tenant.sessions[0].text == b'{"id":"raw","n":1.50}'
        client.post(f"{client.server.control_url}/correct-cost", content='{"id":"late","cost":0.30}')
        assert tenant.session("late").text.endswith(b'"credit_cost":0.30}')
        client.control("replace-session", id="late", row=row("late", "2026-09-02T00:00:00Z", None))
        client.control("remove-session", id="s")
        client.control("remove-session", id="raw")
        client.control("put-sandbox", row={"id": "box", "external_user_id": "u"})
        assert client.control("advance", to="2026-12-01T00:00:00Z").json() == {
            "now": "2026-12-01T00:00:00Z",
            "sessions": 1,
            "running": 1,
            "sandboxes": 1,
            "quotas": 0,
        }
        assert client.get(f"{client.server.control_url}/state").json()["sandboxes"] == 1


@pytest.mark.parametrize(
    ("action", "fields", "status"),
    [
        ("remove-session", {"id": "nobody"}, 404),
        ("correct-cost", {"id": "nobody", "cost": 1}, 404),
        ("advance", {}, 422),
        ("advance", {"to": "tomorrow"}, 422),
        ("correct-cost", {"id": "s", "cost": "free"}, 422),
        ("make-coffee", {}, 404),
    ],
)
def test_bad_control_requests(action: str, fields: dict[str, Any], status: int) -> None:
    with api(Tenant.from_rows([row("s", "2026-10-01T00:00:00Z", None)])) as client:
        assert_error(client.control(action, **fields), status)
