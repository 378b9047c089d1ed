"""The vendor's bill on the whole path: a sound account agrees with our usage, and each fault in it shows."""

from __future__ import annotations

import json
from datetime import date
from decimal import Decimal
from pathlib import Path
from typing import Any, get_args

import pipeline
from pipeline import query
from simulator.account import AccountOptions, AccountRoute
from simulator.app import Options
from simulator.server import serve
from simulator.tenant import Tenant
from tenants import Span

# August too: an invoice is compared only if each month that it reaches into was read.
SPAN = Span("2026-08", "2026-10")


def session(name: str, start: str, end: str, cost: str, **fields: str) -> str:
    """A session of the API, with its cost as the JSON text that is given."""
    return json.dumps({"id": name, "started_at": start, "ended_at": end, **fields})[:-1] + f', "credit_cost": {cost}}}'


def tenant() -> Tenant:
    """A tenant whose sessions cross midnight, and the instant at which the vendor's invoices begin."""
    ann, ben = {"external_user_id": "ann", "computer_id": "a1"}, {"computer_id": "b1"}
    return Tenant.from_rows(
        [
            session("early", "2026-09-02T00:00:00Z", "2026-09-02T01:00:00Z", "7.5", **ann),
            session("crosses", "2026-09-14T22:00:00Z", "2026-09-15T11:00:00Z", "100", **ann),
            session("of ben", "2026-09-20T00:00:00Z", "2026-09-20T01:00:00Z", "41.25", **ben),
            session("on a computer", "2026-09-21T00:00:00Z", "2026-09-21T01:00:00Z", "3", external_user_id="cid"),
            session("late", "2026-10-31T23:00:00Z", "2026-10-31T23:30:00Z", "20.125", **ben),
        ],
        [json.dumps({"id": "a1", "external_user_id": "ann"}), json.dumps({"id": "b1", "external_user_id": "ben"})],
    )


def build(folder: Path, account: AccountOptions, **variables: Any) -> Path:
    """A warehouse of this tenant's, built, whatever the vendor's bill says."""
    warehouse = folder / "usage.duckdb"
    with serve(tenant(), Options(account=account)) as server:
        pipeline.extract(server.base_url, warehouse, "--window-days", "31", span=SPAN)
    pipeline.build(warehouse, variables=variables)
    return warehouse


def invoice(name: str, vendor: str, ours: str | None, difference: str | None, status: str) -> dict[str, Any]:
    """A row of `INVOICES`."""
    return {
        "invoice_id": name,
        "vendor_credits": Decimal(vendor),
        "our_credits": ours and Decimal(ours),
        "difference_credits": difference and Decimal(difference),
        "status": status,
    }


INVOICES = """
select invoice_id, vendor_credits, our_credits, difference_credits, status
from marts.rpt_vendor_invoices order by invoice_id
"""
STATUSES = "select status, count(*) as days from marts.rpt_vendor_balance group by status order by status"
UNREAD = "select source, reason, http_status from marts.rpt_unavailable_sources order by source"


def test_a_sound_account_agrees_in_another_dialect(tmp_path: Path) -> None:
    account = AccountOptions(envelope="transactions", spends="day", is_signed=False, refused={"overview": 404})
    warehouse = build(tmp_path, account, vendor_spend_booking="split")
    # Of 100 credits over 13 hours, 8 hours are on the first invoice: floor(10^11 * 8 / 13) = 61,538,461,538 nano.
    assert query(warehouse, INVOICES) == [
        invoice("inv_2026-08", "69", "69.038461538", "0", "ok"),
        invoice("inv_2026-09", "83", "82.711538462", "0", "ok"),
        invoice("inv_2026-09_void", "83", None, None, "void"),
        invoice("inv_purchase", "1000", None, None, "no_period"),
    ]
    assert {row["status"] for row in query(warehouse, STATUSES)} == {"ok", "not_compared"}
    assert query(warehouse, UNREAD) == [{"source": "billing_overviews", "reason": "not_allowed", "http_status": 404}]
    assert not query(warehouse, "from marts.rpt_vendor_invoice_differences")


def test_rule_35_each_fault_of_the_account_shows(tmp_path: Path) -> None:
    """A booking is lost, an expiry is not booked, and an invoice is a cent too high."""
    account = AccountOptions(lost=frozenset({"txn_of ben", "txn_expiry_early"}), invoice_error_cents=1)
    warehouse = build(tmp_path, account)
    assert query(warehouse, INVOICES)[:2] == [
        invoice("inv_2026-08", "69", "69.038461538", "0", "ok"),
        invoice("inv_2026-09", "84", "82.711538462", "1", "mismatch"),
    ]
    # The lost booking is the only day and user that can explain it.
    assert query(warehouse, "from marts.rpt_vendor_invoice_differences") == [
        {
            "invoice_id": "inv_2026-09",
            "booked_date": date(2026, 9, 20),
            "external_user_id": "ben",
            "our_credits": Decimal("41.25"),
            "vendor_credits": Decimal(0),
            "difference_credits": Decimal("-41.25"),
        }
    ]
    wrong = query(
        warehouse,
        "select balance_date, balance_difference_credits, usage_difference_credits from marts.rpt_vendor_balance"
        " where status = 'mismatch' order by all",
    )
    assert [(row["balance_date"], row["usage_difference_credits"]) for row in wrong] == [
        (date(2026, 9, 20), Decimal("41.25")),
        (date(2026, 11, 3), None),
    ]
    # The expiry and the booking; the vendor's balance is in whole credits.
    assert Decimal("1040.25") < wrong[1]["balance_difference_credits"] <= Decimal("1041.25")


def test_a_key_without_the_scope_leaves_the_reports_empty(tmp_path: Path) -> None:
    warehouse = build(tmp_path, AccountOptions(refused=dict.fromkeys(get_args(AccountRoute), 403)))
    reports = ("fct_vendor_transactions", "rpt_vendor_balance", "rpt_vendor_invoices", "rpt_platform_runway")
    for report in (*reports, "rpt_vendor_invoice_differences"):
        assert not query(warehouse, f"from marts.{report}"), report
    assert [(row["source"], row["reason"], row["http_status"]) for row in query(warehouse, UNREAD)] == [
        (source, "not_allowed", 403)
        for source in ("billing_invoices", "billing_overviews", "credit_balances", "credit_transactions")
    ]
    assert query(warehouse, "select count(*) as users from marts.fct_user_period_credits")[0]["users"] > 0
