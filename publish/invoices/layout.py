"""What stands on the page: a document as texts for the template, each ready to be printed."""

from __future__ import annotations

import calendar
import json
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any

from publish.invoices.documents import Document, Line

_LONGEST_TEXT = 400
# A word that is longer may be broken anywhere, so that no id runs over the edge of its column.
_LONGEST_WORD = 24
_ZERO_WIDTH_SPACE = "\u200b"
_TICKS = (1, 2, 5, 10)
MINUS, _EN_DASH = "\u2212", "\u2013"
_SIMPLE = {MINUS, _EN_DASH, "\u2026"}


@dataclass(frozen=True)
class Build:
    """The build whose marts are shown."""

    built_at: datetime
    unproven: str | None


def money(minor: int, exponent: int) -> str:
    """An amount in minor units as a text in units of the currency.

    Negative ones have a real minus sign.

    >>> money(123456, 2), money(1234, 0), money(5, 3)
    ('1,234.56', '1,234', '0.005')
    """
    digits = f"{abs(minor):0{exponent + 1}d}"
    whole, fraction = (digits[:-exponent], digits[-exponent:]) if exponent else (digits, "")
    return (MINUS if minor < 0 else "") + f"{int(whole):,}" + (f".{fraction}" if fraction else "")


def number(value: Decimal) -> str:
    """An exact number, without zeros at its end.

    >>> number(Decimal("1234.500000000")), number(Decimal("7.000000000"))
    ('1,234.5', '7')
    """
    text = f"{abs(value):,f}"
    return (MINUS if value < 0 else "") + (text.rstrip("0").rstrip(".") if "." in text else text)


def long_date(day: datetime) -> str:
    """A day as documents write it, in English whatever the machine's language is."""
    return f"{day.day} {calendar.month_name[day.month]} {day.year}"


def kind_of(document: Document) -> str:
    """What the document is called."""
    name = "credit note" if document.amount_minor < 0 else "invoice"
    return f"Draft {name}" if document.is_open else name.capitalize()


def page(document: Document, build: Build, printable: Callable[[str], str]) -> dict[str, Any]:
    """The texts of a document for the template. Dates are those of the close, or of the build while it is open."""
    dated = document.closed_at_utc or build.built_at

    def text(value: str | None, longest: int = _LONGEST_TEXT) -> str:
        value = value or ""
        return _breakable(printable(value[:longest]) + ("…" if len(value) > longest else ""))

    def paragraph(value: str | None) -> list[str]:
        return [text(line) for line in (value or "").strip().splitlines() if line.strip()]

    kind = kind_of(document)
    first = document.period_start
    last_day = calendar.monthrange(first.year, first.month)[1]
    month = f"{calendar.month_name[first.month]} {first.year}"
    name = text(document.customer_name) if (document.customer_name or "").strip() else text(document.external_user_id)
    facts = [
        (
            "Number",
            document.document_number or ("Draft, not numbered" if document.is_open else document.invoice_id[:16]),
        ),
        ("Date", long_date(dated)),
        ("Billing period", f"1{_EN_DASH}{last_day} {month}"),
        ("Customer id", text(document.external_user_id)),
    ]
    if (document.customer_reference or "").strip():
        facts.append(("Your reference", text(document.customer_reference)))
    return {
        "title": f"{kind} {document.document_number or document.invoice_id[:16]}, {month}",
        "kind": kind,
        "date": [dated.year, dated.month, dated.day, dated.hour, dated.minute, dated.second],
        "running_title": kind if document.is_open else f"{kind} {document.document_number or document.invoice_id[:16]}",
        "watermark": "DRAFT" if document.is_open else "NOT PROVEN" if build.unproven else "",
        "warning": _breakable(printable(f"Not proven: {build.unproven}. Do not send this document."))
        if build.unproven
        else "",
        "draft_note": (
            f"A preview as of {long_date(build.built_at)}, {build.built_at:%H:%M} UTC. "
            f"Amounts may change until {month} is closed."
            if document.is_open
            else ""
        ),
        "issuer": (
            None
            if document.issuer_id is None
            else {
                "name": text(document.issuer_name) or text(document.issuer_id),
                "lines": [*paragraph(document.issuer_address), *paragraph(document.issuer_country)],
                "tax_id": text(document.issuer_tax_id),
                "email": text(document.issuer_email),
            }
        ),
        "customer": {
            "name": name,
            "lines": [*paragraph(document.customer_address), *paragraph(document.customer_country)],
            "tax_id": text(document.customer_tax_id),
        },
        "facts": facts,
        "lines": [_line(line, document, text) for line in document.lines],
        "total_label": ("Total credit" if document.amount_minor < 0 else "Total") + f" in {text(document.currency)}",
        "total": money(document.amount_minor, document.currency_exponent),
        "credits": number(document.credits),
        "currency": text(document.currency),
        "payment_terms": [] if document.amount_minor < 0 else paragraph(document.payment_terms),
        "footer": paragraph(document.footer),
        "chart": _chart(document, month, last_day),
    }


def _line(line: Line, document: Document, text: Callable[..., str]) -> dict[str, Any]:
    """A line of the table."""
    notes = []
    if line["line_type"] == "adjustment":
        numbers = line["corrected_document_numbers"]
        notes.append(f"Corrects {text(numbers)}" if numbers else f"Corrects the invoice of {line['service_period']}")
        if line["adjustment_reasons"]:
            notes.append(f"Reason: {text(line['adjustment_reasons'].replace('_', ' '))}")
        if line["price_changes"]:
            notes.append(text(line["price_changes"]))
    return {
        "description": text(line["description"]),
        "notes": notes,
        "credits": number(line["quantity_credits"]) if line["quantity_credits"] else "",
        "unit_price": number(line["unit_price"]) if line["unit_price"] else "",
        "amount": money(line["amount_minor"], document.currency_exponent),
    }


def _chart(document: Document, month: str, last_day: int) -> dict[str, Any] | None:
    """Credits per day as bars, in thousandths of an axis that ends at a round figure. None without usage."""
    used = {day["day_of_month"]: day["credits"] for day in document.days}
    most = max(used.values(), default=Decimal(0))
    if most <= 0:
        return None
    step = _round_step(most)
    ticks = 1
    while step * ticks < most:
        ticks += 1
    top = step * ticks
    busiest = min(day for day, credits in used.items() if credits == most)
    return {
        "title": f"Credits per day, {month}",
        "bars": [int(max(used.get(day, Decimal(0)), Decimal(0)) * 1000 / top) for day in range(1, last_day + 1)],
        "ticks": [[number(step * tick), int(1000 * tick // ticks)] for tick in range(ticks + 1)],
        "alt": (
            f"Bar chart of the credits of each day of {month}. "
            f"Most were used on day {busiest}: {number(most)} credits. "
            f"{len(used)} of {last_day} days have usage."
        ),
    }


def _round_step(most: Decimal) -> Decimal:
    """The distance of two ticks, so that two to five of them reach the highest bar: 1, 2 or 5 times a power of ten."""
    power = Decimal(1).scaleb((most / 5).adjusted())
    return next(power * tick for tick in _TICKS if power * tick * 5 >= most)


def _breakable(text: str) -> str:
    """The text with places at which words that are too long may break."""
    return " ".join(
        word if len(word) <= _LONGEST_WORD else _ZERO_WIDTH_SPACE.join(word) if _is_simple(word) else word
        for word in text.split(" ")
    )


def _is_simple(word: str) -> bool:
    """Whether no two characters of a word are drawn as one, as in Arabic, so that it may break anywhere."""
    return all(ord(character) < 0x300 or character in _SIMPLE for character in word)


def as_json(content: dict[str, Any]) -> str:
    """The texts as JSON: data to typst, never markup."""
    return json.dumps(content, ensure_ascii=False, sort_keys=True, separators=(",", ":"))
