"""Figures as tables of the page: texts, exact values beside them, and rows in groups of one currency each."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Any

from publish.figures.columns import COLUMNS, TEXT_KINDS, Kind, words
from publish.figures.reading import Figure
from publish.figures.texts import (
    amount_text,
    credits_text,
    exact,
    hours_text,
    ratio_text,
    time_text,
    value_text,
    visible,
)

LONGEST_ID = 64
"""Characters of an id or a name on the page. The workbook has all of it."""

LONGEST_TEXT = 240
"""Characters of other texts from outside."""

_TONES = {
    "ok": "good",
    "warning": "warn",
    "at_limit": "warn",
    "explained": "warn",
    "over_limit": "bad",
    "mismatch": "bad",
}


@dataclass(frozen=True)
class Cell:
    """One cell. `exact` is the value in full, of a figure; `below` is a second line, of a user's name."""

    text: str
    kind: str
    exact: str | None = None
    below: str | None = None
    tone: str = ""


@dataclass(frozen=True)
class Row:
    """One row; `is_rest` marks the one that sums what is not named."""

    cells: list[Cell]
    is_rest: bool = False


@dataclass(frozen=True)
class Table:
    """A table of the page, and the statements that give its figures."""

    caption: str
    headers: list[tuple[str, bool]]
    """Label, and whether the column holds numbers."""
    groups: list[tuple[str | None, list[Row]]]
    """Rows below each heading; without headings, one group with None."""
    statements: tuple[str, ...]


def table(
    figure: Figure,
    columns: Sequence[str],
    caption: str,
    exponents: Mapping[str, int],
    *,
    rest: Callable[[dict[str, Any]], str] | None = None,
    no_id: str = "none",
) -> Table:
    """A figure as a table. If it has a column `currency` that is not listed, its rows are grouped by it.

    `rest` words the row that sums all others, which is the one without a place. `no_id` stands for an id that is null.
    """
    is_grouped = "currency" in figure.columns and "currency" not in columns

    def row(record: dict[str, Any]) -> Row:
        cells = [cell(name, record, exponents, no_id=no_id) for name in columns]
        is_rest = "place" in record and record["place"] is None
        if is_rest and rest is not None:
            cells[0] = Cell(rest(record), "rest")
        return Row(cells, is_rest)

    if is_grouped:
        groups: list[tuple[str | None, list[Row]]] = [
            (str(currency), [row(record) for record in records])
            for currency, records in groupby(figure.records, lambda record: record["currency"])
        ]
    else:
        groups = [(None, [row(record) for record in figure.records])]
    headers = [(COLUMNS[name].label, COLUMNS[name].kind not in TEXT_KINDS) for name in columns]
    return Table(caption, headers, groups, (figure.statement,))


def cell(name: str, record: Mapping[str, Any], exponents: Mapping[str, int], *, no_id: str = "none") -> Cell:
    """One value of a record as a cell."""
    kind, value = COLUMNS[name].kind, record[name]
    if name == "external_user_id" and value is not None:
        return user_cell(str(value), record.get("display_name"))
    if value is None:
        is_id = kind == "id" and name.endswith("_id")
        return Cell(no_id if is_id else "", "none" if is_id else "empty")
    if kind == "id":
        return Cell(visible(str(value), LONGEST_ID if name.endswith("_id") else LONGEST_TEXT), "id")
    if kind == "code":
        return Cell(words(str(value)), "code", tone=_TONES.get(str(value), "") if name.endswith("status") else "")
    currency = record.get("currency") or record.get("vendor_currency") or ""
    return Cell(*_number_cell(kind, value, exponents.get(currency, 2)))


def user_cell(user: str, name: str | None) -> Cell:
    """A user: the name, with the id below it; the id alone if there is no name."""
    shown = visible(user, LONGEST_ID)
    if name is None or name == user:
        return Cell(shown, "id")
    return Cell(visible(name, LONGEST_ID), "id", below=shown)


def _number_cell(kind: Kind, value: Any, exponent: int) -> tuple[str, str, str | None]:
    """Text, kind of cell and exact value of what is no id."""
    if kind in ("amount", "amount_change"):
        return amount_text(value, exponent, signed=kind == "amount_change"), "number", exact(value)
    if kind in ("credits", "credits_change"):
        return credits_text(value, signed=kind == "credits_change"), "number", exact(value)
    if kind == "value":
        return value_text(value), "number", exact(value)
    if kind in ("ratio", "ratio_change"):
        return ratio_text(value, signed=kind == "ratio_change"), "number", exact(value)
    if kind == "seconds":
        return hours_text(value), "number", None
    if kind == "count":
        return f"{value:,}", "number", str(value)
    if kind == "month":
        return f"{value:%Y-%m}", "text", None
    if kind == "time":
        return time_text(value), "text", None
    return str(value), "text", None
