"""What has to stand at Stripe: the closed invoices of a period, and what was noted about them."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import groupby
from operator import itemgetter
from typing import Any

from core.database.connection import Query
from core.sql_files import sql_files

sql = sql_files(__file__)

INVOICE_ID, CHECKSUM, LINE_ID, LINE_COUNT, LINES_CHECKSUM = (
    *("miosa_invoice_id", "miosa_checksum", "miosa_line_id"),
    *("miosa_line_count", "miosa_lines_checksum"),
)
"""Keys of metadata at Stripe."""

_UNPRINTABLE = re.compile(r"[\x00-\x1f\x7f-\x9f]")

MINIMUM_CHARGES = {
    **dict.fromkeys(("USD", "AUD", "BRL", "CAD", "CHF", "EUR", "INR", "NZD", "SGD"), 50),
    **{"AED": 200, "BGN": 100, "CZK": 1500, "DKK": 250, "GBP": 30, "HKD": 400, "HUF": 17500, "JPY": 50, "MXN": 1000},
    **{"MYR": 200, "NOK": 300, "PLN": 200, "RON": 200, "SEK": 300, "THB": 1000},
}
"""The least that Stripe charges, by currency, in its minor units, as its documentation lists them. A smaller invoice is
carried over to the customer's next one. In other currencies it depends on the account."""


@dataclass(frozen=True, slots=True)
class Line:
    """A line as it has to stand at Stripe. The amount is in Stripe's minor units."""

    amount: int
    description: str
    metadata: dict[str, str]

    @property
    def identity(self) -> str:
        """What identifies it among the lines of its invoice."""
        return line_identity(self.metadata)

    @property
    def parameters(self) -> dict[str, Any]:
        """What is sent."""
        return {
            "amount": self.amount,
            "description": self.description,
            "discountable": False,
            "metadata": self.metadata,
        }


@dataclass(frozen=True, slots=True)
class Document:
    """A closed invoice that has to stand at Stripe."""

    invoice_id: str
    external_user_id: str
    currency: str
    decimals: int
    """Of Stripe's minor unit."""
    customer: str | None
    """Stripe's customer by the seed; None if it names none."""
    status: str
    """By `rpt_stripe_reconciliation`, before anything is sent."""
    closed_at: datetime
    is_credit: bool
    lines: Sequence[Line]

    @property
    def amount(self) -> int:
        """The total, in Stripe's minor units."""
        return sum(line.amount for line in self.lines)

    @property
    def checksum(self) -> str:
        """Digest of what has to stand there."""
        lines = [(line.identity, line.amount, line.description) for line in self.lines]
        return digest([self.invoice_id, self.currency, lines])

    @property
    def is_below_minimum(self) -> bool:
        """Whether Stripe carries it over instead of charging it."""
        return not self.is_credit and self.amount < MINIMUM_CHARGES.get(self.currency, 0)

    @property
    def metadata(self) -> dict[str, str]:
        """What identifies it at Stripe."""
        return {INVOICE_ID: self.invoice_id, CHECKSUM: self.checksum}


def read_documents(query: Query, period: str) -> list[Document]:
    """The closed invoices of a period that come to something, in the order of users and currencies."""
    documents = []
    for (invoice_id, user, currency, decimals, customer, status, closed_at, total), rows in groupby(
        query(sql("lines"), [period]), key=itemgetter(slice(8))
    ):
        lines = [_line(*row[8:]) for row in rows]
        documents.append(
            Document(invoice_id, user, currency, decimals, customer or None, status, closed_at, total < 0, lines)
        )
    # A credit of less than Stripe's smallest unit is none.
    return [each for each in documents if not each.is_credit or each.amount]


def _line(amount: int, description: str, line_id: str | None, count: int, checksum: str | None) -> Line:
    if line_id is not None:
        return Line(amount, description, {LINE_ID: line_id})
    return Line(amount, description, {LINE_COUNT: str(count), LINES_CHECKSUM: str(checksum)})


def line_identity(metadata: dict[str, str]) -> str:
    """What identifies a line; empty for a line that is not ours."""
    return metadata.get(LINE_ID) or metadata.get(LINES_CHECKSUM) or ""


def plain(text: str | None) -> str:
    """A text without control characters and repeated blanks: Stripe need not keep them, and terminals obey them."""
    return " ".join(_UNPRINTABLE.sub(" ", text or "").split())


def digest(content: Any) -> str:
    """SHA-256 of content as JSON."""
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()
