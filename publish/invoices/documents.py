"""The invoices of a period as their documents show them, read from the marts in a few set-based queries."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, fields
from datetime import date, datetime
from decimal import Decimal
from typing import TypedDict

from core.database.connection import Database
from core.errors import WarehouseError
from core.sql_files import sql_files

sql = sql_files(__file__)

CSV_HEADER = (
    "usage_date,session_id,external_project_id,workspace_id,sandbox_id,line_type,service_period,usage_seconds,credits,"
    "amount,currency,line_id"
)
_SHOWN_USERS = 3


class Line(TypedDict):
    """A line of an invoice."""

    line_type: str
    service_period: str
    description: str
    quantity_credits: Decimal
    unit_price: Decimal | None
    amount_minor: int
    corrected_document_numbers: str | None
    adjustment_reasons: str | None
    """Why there is an adjustment: words separated by comma and blank."""
    price_changes: str | None
    """The price lists behind it, in words."""


class Day(TypedDict):
    """What was used on a day of the invoiced month."""

    day_of_month: int
    credits: Decimal


@dataclass(frozen=True)
class Document:
    """An invoice with everything that its documents show. Amounts are in minor units of the currency."""

    ordinal: int
    invoice_id: str
    external_user_id: str
    invoice_period: str
    currency: str
    currency_exponent: int
    amount_minor: int
    credits: Decimal
    status: str
    closed_at_utc: datetime | None
    document_number: str | None
    issuer_id: str | None
    issuer_name: str | None
    issuer_address: str | None
    issuer_country: str | None
    issuer_tax_id: str | None
    issuer_email: str | None
    payment_terms: str | None
    footer: str | None
    customer_name: str | None
    customer_address: str | None
    customer_country: str | None
    customer_tax_id: str | None
    customer_reference: str | None
    lines: list[Line]
    days: list[Day]
    csv_rows: str
    """The rows of the CSV, without its header and the last line break."""

    @property
    def is_open(self) -> bool:
        """Whether it is a preview, which may still change."""
        return self.status == "open"

    @property
    def csv_text(self) -> str:
        """The whole CSV."""
        return f"{CSV_HEADER}\n{self.csv_rows}\n"

    @property
    def period_start(self) -> date:
        """The first day of the invoiced month, UTC."""
        return date.fromisoformat(f"{self.invoice_period}-01")


def prepare_documents(database: Database, period: str, users: Sequence[str]) -> tuple[int, int]:
    """Collect the documents of a period, or those of some users, for `read_documents`.

    Returns how many there are, and how many of them name no issuer.

    Raises `WarehouseError` if a user has none, or if the issuer of a closed invoice is no longer known.
    """
    database.execute(sql("requested_users"))
    if users:
        database.execute_many(sql("request_user"), [[user] for user in users])
    database.execute(sql("documents"), [period])
    if users:
        without = [user for (user,) in database.query(sql("users_without_invoice"))]
        if without:
            more = f" and {len(without) - _SHOWN_USERS:,} more" if len(without) > _SHOWN_USERS else ""
            raise WarehouseError(
                f"{', '.join(map(ascii, without[:_SHOWN_USERS]))}{more} has no invoice in {period}: nothing was "
                "written; give --user the id as marts.fct_invoices has it"
            )
    for issuer, count in database.query(sql("missing_issuers")):
        raise WarehouseError(
            f"issuer.csv no longer has {issuer}, who issued {count:,} of these documents: nothing was written; "
            "put its row back, then run `dbt build`"
        )
    database.execute(sql("lines"))
    database.execute(sql("usage"))
    ((count, without_issuer),) = database.query(sql("document_count"))
    return count, without_issuer


def read_documents(database: Database, count: int, size: int) -> Iterator[list[Document]]:
    """The documents that were prepared, `size` at a time, in their order."""
    for first in range(1, count + 1, size):
        rows = database.query(sql("batch"), [first, first + size])
        yield [Document(**dict(zip(_COLUMNS, row, strict=True))) for row in rows]


_COLUMNS = [field.name for field in fields(Document)]
