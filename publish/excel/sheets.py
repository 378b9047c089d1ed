"""Figures as sheets: a table that begins in A1, with filters, a frozen header, and a print set-up."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import date, datetime
from decimal import Decimal
from typing import Any

from xlsxwriter import Workbook
from xlsxwriter.format import Format
from xlsxwriter.worksheet import Worksheet

from publish.excel.formats import Formats
from publish.figures.columns import COLUMNS, TEXT_KINDS, Column, words
from publish.figures.texts import exact, visible

MOST_ROWS = 1_048_575
"""Rows of a sheet below its header: Excel has no more."""

LONGEST_TEXT = 32_000
"""Characters of a cell: Excel takes 32,767."""

_EXACT_KINDS = ("credits", "credits_change", "amount", "amount_change", "price", "value")
"""Kinds of values that may have more than the 15 digits that Excel keeps."""

_WIDTHS = {
    "id": 14,
    "code": 14,
    "currency": 10,
    "count": 11,
    "seconds": 11,
    "date": 12,
    "month": 14,
    "time": 17,
    "flag": 10,
    "ratio": 11,
    "price": 14,
}
_NUMBER_WIDTH = 17
_WIDEST = 60
_ROWS_LOOKED_AT = 2_000
"""Rows whose ids decide how wide a column is."""


@dataclass
class Sheets:
    """The sheets over which one figure is spread: one, unless it has more rows than a sheet."""

    title: str
    purpose: str
    labels: tuple[str, ...] = ()
    names: list[str] = field(default_factory=list)
    tables: list[str] = field(default_factory=list)
    rows: int = 0

    def columns(self, label: str) -> list[str]:
        """A column of each table, as formulas name it."""
        if label not in self.labels:
            raise KeyError(label)
        return [f"{table}[{label}]" for table in self.tables]


@dataclass(frozen=True)
class _Target:
    """A column of a sheet: which value of a row it shows, and how."""

    label: str
    source: int
    column: Column
    is_exact: bool = False

    @property
    def is_aside(self) -> bool:
        """Whether the column stands to the right of those that are printed."""
        return self.is_exact or self.column in (COLUMNS["invoice_id"], COLUMNS["line_id"])


class SheetWriter:
    """Writes figures to a workbook."""

    def __init__(
        self, workbook: Workbook, formats: Formats, dress: Callable[[Worksheet], None], most_rows: int = MOST_ROWS
    ) -> None:
        """Take what sets up the printing of each sheet, and the rows that a sheet may have."""
        self._workbook = workbook
        self._formats = formats
        self._dress = dress
        self._most_rows = most_rows

    def write(
        self, title: str, purpose: str, names: tuple[str, ...], rows: Iterator[tuple[Any, ...]], colour: str
    ) -> Sheets:
        """A figure as a table, with as many sheets as its rows need. A table without rows gets an empty one."""
        targets = _targets(names)
        sheets = Sheets(title, purpose, tuple(target.label for target in targets))
        currency = next((place for place, name in enumerate(names) if COLUMNS[name].kind == "currency"), None)
        worksheet, number, widths = self._begin(sheets, colour), 0, [len(target.label) + 4 for target in targets]
        for row in rows:
            if number == self._most_rows:
                self._end(worksheet, sheets, targets, number, widths)
                worksheet, number = self._begin(sheets, colour), 0
            number += 1
            self._write_row(worksheet, number, targets, row, None if currency is None else row[currency])
            if sheets.rows + number <= _ROWS_LOOKED_AT:
                for place, target in enumerate(targets):
                    if target.column.kind == "id" and row[target.source] is not None:
                        widths[place] = max(widths[place], len(row[target.source]) + 2)
        self._end(worksheet, sheets, targets, number, widths)
        return sheets

    def _begin(self, sheets: Sheets, colour: str) -> Worksheet:
        """The next sheet of a figure."""
        number = len(sheets.names) + 1
        suffix = "" if number == 1 else f" {number}"
        sheets.names.append(sheets.title + suffix)
        sheets.tables.append((sheets.title + suffix).replace(" ", "_"))
        worksheet: Worksheet = self._workbook.add_worksheet(sheets.names[-1])
        worksheet.set_tab_color(colour)
        return worksheet

    def _end(
        self, worksheet: Worksheet, sheets: Sheets, targets: list[_Target], number: int, widths: list[int]
    ) -> None:
        """What a sheet needs besides its rows: the table around them, widths, the frozen header, the print set-up."""
        sheets.rows += number
        worksheet.add_table(
            0,
            0,
            max(number, 1),
            len(targets) - 1,
            {
                "name": sheets.tables[-1],
                "style": "Table Style Light 1",
                "columns": [{"header": target.label, "header_format": self._header(target)} for target in targets],
            },
        )
        for place, target in enumerate(targets):
            least = _WIDTHS.get(target.column.kind, _NUMBER_WIDTH)
            width = widths[place] if target.column.kind == "id" else len(target.label) + 4
            worksheet.set_column(place, place, min(max(least, width), _WIDEST))
        worksheet.set_row(0, 20)
        worksheet.freeze_panes(1, min(2, len(targets) - 1))
        worksheet.repeat_rows(0)
        # Paper has no room for what only programs and searches need.
        worksheet.print_area(0, 0, max(number, 1), sum(not target.is_aside for target in targets) - 1)
        self._dress(worksheet)

    def _header(self, target: _Target) -> Format:
        """The format of a column's header."""
        if target.column.kind == "currency":
            return self._formats.indented_header
        return self._formats.header if target.column.kind in TEXT_KINDS else self._formats.number_header

    def _write_row(
        self, worksheet: Worksheet, number: int, targets: list[_Target], row: tuple[Any, ...], currency: str | None
    ) -> None:
        """One row. Ids are written as text whatever they look like."""
        for place, target in enumerate(targets):
            value = row[target.source]
            if value is None:
                continue
            if target.is_exact:
                worksheet.write_string(number, place, exact(value), self._formats.exact)
            elif isinstance(value, bool):
                worksheet.write_string(number, place, "yes" if value else "no")
            elif isinstance(value, int | Decimal):
                worksheet.write_number(number, place, value, self._formats.of(target.column.kind, currency))
            elif isinstance(value, datetime | date):
                worksheet.write_datetime(number, place, value, self._formats.of(target.column.kind))
            else:
                worksheet.write_string(
                    number, place, cell_text(value, target.column), self._formats.of(target.column.kind)
                )


def cell_text(value: str, column: Column) -> str:
    """A text as a cell holds it."""
    text = words(value) if column.kind == "code" else visible(value, LONGEST_TEXT)
    # XlsxWriter takes a text in these tags for its own rich text, and would write it as it is.
    return f"{text} " if text.startswith("<r>") and text.endswith("</r>") else text


def _targets(names: tuple[str, ...]) -> list[_Target]:
    """The columns of a sheet: those of the figure, then exact values as text and ids of ours, which are not printed."""
    targets = []
    for source, name in enumerate(names):
        column = COLUMNS[name]
        label = "Seconds" if column.kind == "seconds" else column.label
        targets.append(_Target(label, source, column))
        if column.kind in _EXACT_KINDS:
            targets.append(_Target(f"{label} (exact)", source, column, is_exact=True))
    return sorted(targets, key=lambda target: target.is_aside)
