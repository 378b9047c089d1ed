"""The way back: payments, refunds and disputes of the invoices that were made, into `raw.stripe_events`."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from typing import Any

from core.clock import utc_now
from core.database.connection import Database
from core.progress import Bar
from core.sql_files import sql_files
from publish.stripe.api import Api, Object

sql = sql_files(__file__)

Event = tuple[str, str, str, str, str | None, str | None, int | None, int | None, datetime | None, datetime | None, str]
"""A row of `raw.stripe_events`, without its number and when it was seen."""


def made_invoices(database: Database, period: str) -> list[tuple[str, str]]:
    """The invoices of a period that were made at Stripe: our id and Stripe's."""
    return [(ours, theirs) for ours, theirs in database.query(sql("made_invoices"), [period])]


def sync(api: Api, database: Database, invoices: Sequence[tuple[str, str]], bar: Bar) -> tuple[int, int]:
    """Land what is new about invoices; returns how many of them were read, and how many rows are new.

    Raises `stripe.StripeError`. What was landed before stays.
    """
    read = added = 0
    for invoice_id, stripe_id in invoices:
        invoice = api.invoice(stripe_id)
        if invoice is not None:
            events = [_invoice_event(invoice_id, invoice), *_payment_events(api, invoice_id, stripe_id)]
            added += sum(_land(database, event) for event in events)
            read += 1
        bar.advance()
    return read, added


def _payment_events(api: Api, invoice_id: str, stripe_id: str) -> Iterator[Event]:
    """The payments of an invoice, with their refunds and disputes."""
    for payment in api.payments(stripe_id):
        yield _event(invoice_id, stripe_id, "payment", payment, payment.get("amount_paid") or 0)
        made_by = payment.get("payment") or {}
        reference = {
            name: each["id"] if isinstance(each, dict) else each
            for name in ("payment_intent", "charge")
            if (each := made_by.get(name))
        }
        if not reference or payment.get("status") != "paid":
            continue
        for refund in api.refunds(reference):
            yield _event(invoice_id, stripe_id, "refund", refund, refund["amount"])
        for dispute in api.disputes(reference):
            yield _event(invoice_id, stripe_id, "dispute", dispute, dispute["amount"])


def _invoice_event(invoice_id: str, invoice: Object) -> Event:
    """An invoice, with what the customer's balance and credit notes cover of it, and when it is due."""
    ending = invoice.get("ending_balance")
    credited = 0 if ending is None else ending - (invoice.get("starting_balance") or 0)
    for notes in ("pre_payment_credit_notes_amount", "post_payment_credit_notes_amount"):
        credited += invoice.get(notes) or 0
    due = invoice.get("due_date") or (invoice.get("status_transitions") or {}).get("finalized_at")
    shown = {name: value for name, value in invoice.items() if name != "lines"}
    return _event(invoice_id, invoice["id"], "invoice", shown, invoice["total"], credited, _moment(due))


def _event(
    invoice_id: str,
    stripe_invoice_id: str,
    kind: str,
    given: Object,
    amount: int,
    credited: int | None = None,
    due: datetime | None = None,
) -> Event:
    currency = (given.get("currency") or "").upper() or None
    payload = json.dumps(given, sort_keys=True, default=str)
    happened = _moment(given.get("created"))
    return (
        *(invoice_id, stripe_invoice_id, kind, given["id"], given.get("status"), currency, amount, credited),
        *(due, happened, payload),
    )


def _moment(seconds: int | None) -> datetime | None:
    return None if seconds is None else datetime.fromtimestamp(seconds, UTC).replace(tzinfo=None)


def _land(database: Database, event: Sequence[Any]) -> int:
    """Land an object, unless it is what was seen before; returns the number of rows added."""
    ((before,),) = database.query("select count(*) from raw.stripe_events")
    database.execute(sql("add_event"), [*event, utc_now()])
    ((after,),) = database.query("select count(*) from raw.stripe_events")
    return int(after - before)
