"""Proof of the simulated protocol: the vendor's own client drives it and gets the rows that the tenant holds."""

from __future__ import annotations

import json
from collections.abc import Iterator
from decimal import Decimal
from typing import Any
from urllib.parse import quote

import pytest
from miosa import Miosa
from miosa.errors import MiosaError

from simulator import Options, Server, Tenant, generate_tenant, serve
from simulator.edges import HOSTILE_USERS

OCTOBER = {"start": "2026-10-01T00:00:00Z", "end": "2026-11-01T00:00:00Z"}


@pytest.fixture(scope="module")
def tenant() -> Tenant:
    return generate_tenant(sessions=300, users=8)


@pytest.fixture(scope="module")
def server(tenant: Tenant) -> Iterator[Server]:
    with serve(tenant) as running:
        yield running


@pytest.fixture(scope="module")
def client(server: Server) -> Iterator[Miosa]:
    with connect(server) as connected:
        yield connected


def connect(server: Server, key: str = "msk_demo") -> Miosa:
    return Miosa(api_key=key, base_url=server.base_url, max_retries=0)


def held(tenant: Tenant) -> list[Any]:
    return [json.loads(session.text) for session in tenant.sessions]


def paged_sessions(client: Miosa, **filters: str) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = []
    while page := client.usage.sessions(page=1 + len(rows) // 100, page_size=100, **filters):
        rows += page
        if len(page) < 100:
            break
    return rows


@pytest.mark.parametrize("envelope", ["page", "meta", "cursor"])
@pytest.mark.parametrize("rows_key", ["data", "sessions", "items", "bare"])
def test_client_gets_every_session(tenant: Tenant, envelope: Any, rows_key: Any) -> None:
    with serve(tenant, Options(envelope=envelope, rows_key=rows_key)) as server, connect(server) as client:
        assert paged_sessions(client) == held(tenant)


def test_client_gets_a_window(client: Miosa, tenant: Tenant) -> None:
    rows = paged_sessions(client, since="2026-09-01T00:00:00Z", until="2026-10-01T00:00:00Z")
    expected = tenant.select("start", 1_788_220_800_000_000, 1_790_812_800_000_000)
    assert rows == [json.loads(session.text) for session in expected]
    assert {str(row.get("started_at"))[:7] for row in rows if "rejected-start" not in str(row.get("id"))} == {"2026-09"}


def test_client_gets_one_computer(client: Miosa) -> None:
    rows = client.usage.sessions(computer_id="edge-crosses-month")
    assert [row["id"] for row in rows] == ["edge-crosses-month"]


@pytest.mark.parametrize("wrapped", [False, True])
def test_client_gets_the_rollup(tenant: Tenant, wrapped: bool) -> None:
    with serve(tenant, Options(rollup_wrapped=wrapped)) as server, connect(server) as client:
        rollup = client.usage.get(group_by="external_user_id", period="custom", **OCTOBER)
        summary = client.usage.report(period_start=OCTOBER["start"], period_end=OCTOBER["end"])
        by_project = client.usage.get(group_by="external_project_id", **OCTOBER)
    assert (rollup["period_start"], rollup["period_end"]) == tuple(OCTOBER.values())
    fields = {"external_user_id", "sandbox_seconds", "computer_seconds", "storage_gb_hours", "credit_cents"}
    assert all(set(result) == fields for result in rollup["results"])
    users = [result["external_user_id"] for result in rollup["results"]]
    assert {"user-0001", "sandbox-owner", None, *HOSTILE_USERS} <= set(users)
    assert len(users) == len(set(users))
    for results in (rollup["results"], by_project["results"]):
        assert sum(result["credit_cents"] for result in results) == pytest.approx(summary["total_credits"])
    assert {"compute_hours", "storage_gb", "bandwidth_gb", "ai_tokens"} <= set(summary)


def test_client_gets_the_current_summary(client: Miosa) -> None:
    summary = client.usage.current()
    assert (summary["period_start"], summary["period_end"]) == ("2026-11-01T00:00:00Z", "2026-11-03T09:00:00Z")


def test_client_gets_quotas(client: Miosa) -> None:
    quota = client.quotas.get("user-0003")
    assert quota["external_user_id"] == "user-0003"
    assert quota["limits"]["max_sandboxes"] == 3
    assert quota["limits"]["max_credit_cents"] is None
    assert set(quota["usage"]) == {"total_sandboxes", "concurrent"}
    with pytest.raises(MiosaError) as missing:
        client.quotas.get("user-0001")
    assert (missing.value.status_code, missing.value.code) == (404, "not_found")


def test_client_gets_a_flat_quota(tenant: Tenant) -> None:
    with serve(tenant, Options(quota_shape="flat")) as server, connect(server) as client:
        quota = client.quotas.get("user-0003")
    assert quota["max_sandboxes"] == 3
    assert set(quota["usage"]) == {"sandboxes", "concurrent"}


def test_client_writes_quotas_of_hostile_ids() -> None:
    tenant = Tenant()
    with serve(tenant) as server, connect(server) as client:
        for user in [*HOSTILE_USERS, "...", ".", "%2e%2e", "line\nbreak", "per%cent", "a//b", "+ &=;"]:
            # The client puts the id into the path as it is, so encoding it (dots too) is the caller's part.
            path = quote(user, safe="").replace(".", "%2E")
            written = client.quotas.set(path, max_sandboxes=5, max_credit_cents=0)
            assert written["external_user_id"] == user
            limits = {"max_sandboxes": 5, "max_concurrent": None, "max_storage_gb": None, "max_credit_cents": 0}
            assert tenant.quotas == {user: limits}
            client.quotas.set(path, max_concurrent=1)  # a PUT replaces: what it omits is uncapped
            assert client.quotas.get(path)["limits"]["max_sandboxes"] is None
            client.quotas.delete(path)
            assert tenant.quotas == {}
            with pytest.raises(MiosaError):
                client.quotas.delete(path)


def test_client_gets_sandboxes(client: Miosa, tenant: Tenant) -> None:
    owned = client.sandboxes.list(external_user_id="user-0002")
    assert owned
    assert {sandbox.external_user_id for sandbox in owned} == {"user-0002"}
    expected = [sandbox.id for sandbox in tenant.sandboxes][:20]
    assert [sandbox.id for sandbox in client.sandboxes.list()] == expected


def test_client_gets_credits(client: Miosa, tenant: Tenant) -> None:
    balance = client.get_balance()
    # All that was earned was spent or is left, but for one purchase that expired.
    assert (balance.lifetime_earned or 0) - balance.balance - (balance.lifetime_spent or 0) == 1000
    transactions = client.get_transactions().data
    assert len(transactions) == 20
    assert {transaction.type for transaction in transactions} == {"earn", "spend"}


def test_client_with_a_wrong_key_is_refused(server: Server) -> None:
    with connect(server, "msk_other") as client, pytest.raises(MiosaError) as refused:
        client.usage.sessions()
    assert (refused.value.status_code, refused.value.code) == (401, "unauthorized")
    assert refused.value.request_id


def test_client_sees_time_pass() -> None:
    running = {"id": "s", "started_at": "2026-10-01T00:00:00Z", "ended_at": None, "credit_cost": Decimal("0.5")}
    tenant = Tenant.from_rows([running])
    with serve(tenant) as server, connect(server) as client:
        tenant.end_session("s", "2026-10-01T02:00:00Z", "1.50", duration=3600)
        tenant.add_session({**running, "id": "late", "started_at": "2026-09-01T00:00:00Z"})
        assert client.usage.sessions() == [
            {**running, "ended_at": "2026-10-01T02:00:00Z", "credit_cost": 1.5, "duration_sec": 3600},
            {**running, "id": "late", "started_at": "2026-09-01T00:00:00Z", "credit_cost": 0.5},
        ]
        tenant.correct_cost("s", Decimal("1.4"))
        tenant.remove_session("late")
        assert [row["credit_cost"] for row in client.usage.sessions()] == [1.4]
