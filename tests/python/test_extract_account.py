"""The platform's own account is landed like everything else, and costs no usage where the key may not read it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, get_args

import duckdb
import pytest
from starlette.requests import Request

from core.errors import ApiError, RefusedKeyError
from core.raw.upgrading import add_missing_tables
from extract.account import SHOWN_FIELDS
from extract.pseudonyms import Pseudonyms
from simulator import Options, Tenant, serve
from simulator.account import AccountOptions, AccountRoute, TransactionEnvelope
from test_extract_support import Response, Script, current, land, query, row

ROWS = [row(f"s{number}", "2026-10-05", user="kanarie", cost="1.25") for number in range(3)]
TABLES = ("credit_balances", "credit_transactions", "billing_invoices", "billing_overviews")
KEY = "a key of sixteen bytes or more"


@pytest.fixture
def warehouse(tmp_path: Path) -> Path:
    return tmp_path / "w.duckdb"


def outcomes(warehouse: Path) -> dict[str, tuple[str, int | None]]:
    """What came of the newest load of each part of the account."""
    return {
        resource: (outcome, status)
        for resource, outcome, status in query(
            warehouse,
            f"select resource, outcome, http_status from raw.loads where resource in {TABLES} order by load_id",
        )
    }


@pytest.mark.parametrize("envelope", get_args(TransactionEnvelope))
def test_each_row_is_kept_as_it_came_and_once(warehouse: Path, envelope: TransactionEnvelope) -> None:
    tenant = Tenant.from_rows(ROWS)
    options = Options(account=AccountOptions(envelope=envelope), max_page_size=2)
    with serve(tenant, options) as server:
        land(server, warehouse)
        land(server, warehouse)
        assert outcomes(warehouse) == dict.fromkeys(TABLES, ("complete", None))
        # Three spends, a purchase of each kind, its expiry, and a promo.
        assert len(current(warehouse, "credit_transactions")) == 7
        spend = json.loads(current(warehouse, "credit_transactions")["txn_s1"] or "")
        assert (spend["amount_credits"], spend["description"]) == (-1.25, "Usage of session s1 of kanarie")
        assert [len(query(warehouse, f"select 1 from raw.{table}")) for table in TABLES] == [1, 7, 3, 1]
        tenant.correct_cost("s1", "9.5")
        land(server, warehouse)
    assert len(query(warehouse, "select 1 from raw.credit_transactions where row_key = 'txn_s1'")) == 2


@pytest.mark.parametrize("status", [401, 403, 404])
def test_a_key_without_the_scope_is_one_warning_and_a_load(
    warehouse: Path, status: int, caplog: pytest.LogCaptureFixture
) -> None:
    refused: dict[AccountRoute, int] = {"balance": status, "invoices": status}
    with serve(Tenant.from_rows(ROWS), Options(account=AccountOptions(refused=refused))) as server:
        land(server, warehouse)
    (warning,) = [record.getMessage() for record in caplog.records if record.levelname == "WARNING"]
    assert f"/credits/balance (status {status}), /billing/invoices (status {status})" in warning
    assert "--no-account" in warning
    assert outcomes(warehouse) == {
        "credit_balances": ("not allowed", status),
        "credit_transactions": ("complete", None),
        "billing_invoices": ("not allowed", status),
        "billing_overviews": ("complete", None),
    }
    assert len(current(warehouse)) == len(ROWS)
    # The run is finished: the next one asks for every quota.
    assert query(warehouse, "select count(*) from raw.quota_progress") == [(0,)]


def test_a_part_that_is_refused_later_keeps_what_was_read(warehouse: Path) -> None:
    tenant = Tenant.from_rows(ROWS)
    with serve(tenant) as server:
        land(server, warehouse)
    with serve(tenant, Options(account=AccountOptions(refused={"transactions": 403}))) as server:
        land(server, warehouse)
    assert outcomes(warehouse)["credit_transactions"] == ("not allowed", 403)
    assert len(current(warehouse, "credit_transactions")) == 7


class _Revoked:
    """Refuses everything, from the first request for the account on."""

    def __init__(self) -> None:
        self.is_revoked = False

    async def __call__(self, request: Request, number: int) -> Response | None:
        self.is_revoked = self.is_revoked or "/credits/" in request.url.path
        return Response('{"error":{"message":"no"}}', 401) if self.is_revoked else None


def test_a_key_that_is_revoked_meanwhile_fails_the_run(warehouse: Path) -> None:
    with serve(Tenant.from_rows(ROWS), Options(), _Revoked()) as server, pytest.raises(RefusedKeyError):
        land(server, warehouse)
    assert outcomes(warehouse) == {}
    assert len(current(warehouse)) == len(ROWS)


@pytest.mark.parametrize(
    ("path", "answer"),
    [
        ("/credits/balance", Response("", 503)),
        ("/credits/transactions", Response("", 500)),
        ("/billing/invoices", '{"error":{"message":"no"}}'),
        ("/billing/overview", "[]"),
        ("/credits/transactions", '{"figures":1}'),
    ],
)
def test_other_failures_end_the_run_and_cost_no_usage(warehouse: Path, path: str, answer: Any) -> None:
    with serve(Tenant.from_rows(ROWS), Options(), Script(path, answer)) as server, pytest.raises(ApiError):
        land(server, warehouse, max_tries=2)
    assert len(current(warehouse)) == len(ROWS)
    assert query(warehouse, "select count(*) from raw.usage_summaries") == [(1,)]


def test_the_account_may_be_left_out(warehouse: Path) -> None:
    with serve(Tenant.from_rows(ROWS)) as server:
        land(server, warehouse, no_account=True)
        assert not [path for _, path, _ in server.requests if "/credits/" in path or "/billing/" in path]
    assert outcomes(warehouse) == {}


# Pseudonyms


def test_nothing_of_a_user_is_left_in_the_account(warehouse: Path) -> None:
    with serve(Tenant.from_rows(ROWS)) as server:
        land(server, warehouse, MIOSA_ID_HASH_KEY=KEY)
    assert b"kanarie" not in warehouse.read_bytes()
    spend = json.loads(current(warehouse, "credit_transactions")["txn_s1"] or "")
    assert (spend["amount_credits"], spend["computer_id"], spend["user_id"]) == (-1.25, "c1", None)
    assert len(spend["description"]) == 64
    (invoice, *_) = current(warehouse, "billing_invoices").values()
    assert "billing.example.com" not in (invoice or "")


@pytest.mark.parametrize(
    "text",
    [
        '{"id":"t","user_id":"kanarie"}',
        '{"id":"t","user_id":4711}',
        '{"id":"t","description":"for kanarie, \\"4711\\""}',
        '{"id":"t","metadata":{"id":"kanarie","kanarie":[4711,{"type":"kanarie"}]}}',
        '{"id":"t","tags":["kanarie",4711]}',
        '{"id":["kanarie",4711]}',
        '"kanarie"',
        '["kanarie",4711]',
        '{"data":{"owner":"kanarie"},"id":"t"}',
    ],
)
def test_only_known_fields_are_shown(text: str) -> None:
    pseudonyms = Pseudonyms(KEY.encode())
    hidden = pseudonyms.hide_in_text(text, SHOWN_FIELDS)
    assert "kanarie" not in hidden
    assert "4711" not in hidden
    json.loads(hidden)
    assert hidden == pseudonyms.hide_in_text(text, SHOWN_FIELDS)
    assert ('"id":"t"' in hidden) == ('"id":"t"' in text)


def test_what_is_shown_stays_as_it_came() -> None:
    text = ' {"id" : "t", "amount_credits":-1.10e+00,"data": {"type":"sp\\u0065nd"}, "computer_id":null,"is_ok":true} '
    assert Pseudonyms(KEY.encode()).hide_in_text(text, SHOWN_FIELDS) == text


# Older files


def test_a_file_of_an_earlier_version_is_completed(tmp_path: Path) -> None:
    with duckdb.connect(str(tmp_path / "old.duckdb")) as connection:
        add_missing_tables(connection)
        assert connection.execute("select count(*) from duckdb_tables()").fetchall() == [(0,)]
        connection.execute("create schema raw; create table raw.loads (load_id bigint, resource varchar)")
        connection.execute("insert into raw.loads values (1, 'sandboxes')")
        for _ in range(2):
            add_missing_tables(connection)
        assert connection.execute("from raw.loads").fetchall() == [(1, "sandboxes", "complete", None)]
        for table in TABLES:
            assert connection.execute(f"select count(*) from raw.{table}").fetchall() == [(0,)]
