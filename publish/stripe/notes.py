"""The record of what was sent (`ledger.stripe_documents`) and seen (`raw.stripe_documents`).

Each row is committed by itself: no transaction is open while a request is on its way.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from core.clock import utc_now
from core.database.connection import Database
from core.sql_files import sql_files
from publish.stripe.documents import Document

sql = sql_files(__file__)

Step = Literal["customer", "invoice", "lines", "finalize", "credit"]
Kind = Literal["intent", "outcome", "failed"]


@dataclass(frozen=True, slots=True)
class Reading:
    """What was seen at Stripe of a closed invoice."""

    status: str
    stripe_id: str | None = None
    customer: str | None = None
    currency: str | None = None
    amount: int | None = None
    line_count: int | None = None
    difference: str | None = None
    """How it differs from what was closed, in words."""
    payload: Mapping[str, Any] | None = None


class Notes:
    """What was noted about the invoices of a period."""

    def __init__(self, database: Database, period: str) -> None:
        """Read what was noted before."""
        self._database = database
        self._rows: list[tuple[str, Step, Kind, str | None, str | None]] = [
            *map(tuple, database.query(sql("notes"), [period]))
        ]
        self.created_customers: dict[str, str] = dict(database.query(sql("created_customers"), []))
        """Customers that were created for users, by user."""

    def add(
        self, document: Document, step: Step, kind: Kind, stripe_id: str | None = None, customer: str | None = None
    ) -> None:
        """Note that a request is about to be sent, or what came of it."""
        self._rows.append((document.invoice_id, step, kind, stripe_id, customer))
        self._database.execute(
            sql("add_note"),
            [
                *(document.invoice_id, step, kind, stripe_id, customer, document.currency, document.amount),
                *(document.checksum, utc_now()),
            ],
        )

    def made_id(self, document: Document, step: Step) -> str | None:
        """What a step made or changed at Stripe; None if no outcome is noted."""
        ids = [row[3] for row in self._rows if row[:3] == (document.invoice_id, step, "outcome")]
        return ids[-1] if ids else None

    def failures(self, document: Document, step: Step) -> int:
        """How often a step failed: the next try is another request with another key."""
        return sum(row[:3] == (document.invoice_id, step, "failed") for row in self._rows)

    def customers(self, document: Document) -> list[str]:
        """The customers that requests for the invoice named."""
        named = (row[4] for row in self._rows if row[0] == document.invoice_id and row[1] != "customer")
        return list(dict.fromkeys(each for each in named if each))

    def land(self, document: Document, reading: Reading) -> None:
        """Land what was seen, unless it is what was seen before."""
        payload = None if reading.payload is None else json.dumps(reading.payload, sort_keys=True, default=str)
        self._database.execute(
            sql("add_reading"),
            [
                *(document.invoice_id, "credit" if document.is_credit else "invoice", reading.stripe_id),
                *(reading.customer, reading.currency, reading.status, reading.amount, reading.line_count),
                *(reading.difference, payload, utc_now()),
            ],
        )
