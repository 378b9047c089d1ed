"""The sheets Summary and Read me. Summary's totals are formulas; each has its value."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Any

from xlsxwriter.utility import xl_rowcol_to_cell as cell
from xlsxwriter.worksheet import Worksheet

from publish.excel.formats import Formats
from publish.excel.sheets import Sheets
from publish.figures.columns import COLUMNS, Kind, words
from publish.figures.reading import Figures
from publish.figures.texts import counted, exact, time_text, visible
from publish.warehouse import Marts

LINE_TYPES = ("fee", "usage", "minimum", "adjustment")
"""Types of lines with an amount: included credits have none."""

_CREDIT_DECIMALS = 6
"""Decimals to which sums of credits are rounded: a sum of doubles is not exact beyond them."""

_LONGEST_CODE = 30
_TEXTS = ("Currency", "Quota", "Sheet", "Reasons", "Check")
"""Labels of columns of texts."""


class Summary:
    """Writes the sheet Summary from top to bottom."""

    def __init__(
        self,
        sheet: Worksheet,
        formats: Formats,
        figures: Figures,
        sheets: Mapping[str, Sheets],
        unproven: str | None,
    ) -> None:
        """Take the sheets that its formulas sum."""
        self._sheet = sheet
        self._formats = formats
        self._figures = figures
        self._sheets = sheets
        self._unproven = unproven
        self._row = 0

    def write(self, name: str, marts: Marts) -> None:
        """Write everything."""
        self._sheet.set_column(0, 0, 34)
        self._sheet.set_column(1, 12, 18)
        self._sheet.hide_gridlines(2)
        self._sheet.set_tab_color("#000000")
        self._head(name, marts)
        amounts = self._figures.read("amounts_by_currency").records
        self._currencies(amounts)
        self._line_types([record["currency"] for record in amounts if record["invoice_count"]])
        self._adjustments()
        self._usage()
        self._quotas()
        self._checks()
        self._accrued()
        self._contents()

    # --- parts

    def _head(self, name: str, marts: Marts) -> None:
        state = self._figures.read("period").records[0]
        self._sheet.write_string(0, 0, f"Billing, {name}", self._formats.title)
        self._sheet.set_row(0, 26)
        if state["is_closed"]:
            text = f"Closed on {time_text(state['closed_at_utc'])} UTC: these invoices never change."
        elif state["has_ended"]:
            text = "Open: late sessions and corrections still change these invoices."
        else:
            text = "The month has not ended: every figure is as of the last load, and will change."
        self._sheet.write_string(1, 0, text)
        build = f"Build {marts.build_id} of {time_text(marts.built_at)} UTC. All times are UTC."
        self._sheet.write_string(2, 0, build, self._formats.muted)
        self._row = 4
        if self._unproven:
            text = f"NOT PROVEN: {self._unproven}. Do not bill from this workbook."
            self._sheet.merge_range(self._row, 0, self._row, 7, "")
            self._sheet.write_string(self._row, 0, text, self._formats.warning)
            self._sheet.set_row(self._row, 32)
            self._row += 2

    def _currencies(self, amounts: Sequence[Mapping[str, Any]]) -> None:
        """Totals per currency: formulas over the tables Invoices and Lines."""
        self._heading(
            "Totals per currency",
            (
                "Currency",
                "Invoices",
                "Credit notes",
                "Amount",
                "Month before",
                "Difference",
                "Change",
                "Lines",
                "Check",
            ),
        )
        invoices, lines = self._sheets["Invoices"], self._sheets["Lines"]
        for record in amounts:
            currency, row = record["currency"], self._row
            key = cell(row, 0, col_abs=True)
            decimals = self._formats.decimals(currency)
            self._text(0, currency)
            by_currency = [("Currency", key)]
            self._formula(1, _count(invoices, by_currency), record["invoice_count"], "count")
            notes = _count(invoices, [*by_currency, ("Credit note", '"yes"')])
            self._formula(2, notes, record["credit_note_count"], "count")
            total = f"ROUND({_sum(invoices, 'Amount', by_currency)},{decimals})"
            self._formula(3, total, record["amount"], "amount", currency)
            self._number(4, record["previous_amount"], "amount", currency)
            difference = f"ROUND({cell(row, 3)}-{cell(row, 4)},{decimals})"
            self._formula(5, difference, record["amount_difference"], "amount_change", currency)
            change = f'IF({cell(row, 4)}>0,ROUND({cell(row, 5)}/{cell(row, 4)},3),"")'
            ratio = record["change_ratio"]
            self._formula(6, change, "" if ratio is None else ratio, "ratio_change")
            of_lines = f"ROUND({_sum(lines, 'Amount', by_currency)},{decimals})"
            self._formula(7, of_lines, record["amount"], "amount", currency)
            # Set off from the number before it, as a currency is.
            self._formula(8, f'IF({cell(row, 3)}={cell(row, 7)},"OK","differs")', "OK", "currency")
            self._row += 1
        self._note(amounts, "No invoice in this month or the one before.")

    def _line_types(self, currencies: Sequence[str]) -> None:
        """What the invoices hold, by currency."""
        self._heading("What the invoices hold", ("Currency", *LINE_TYPES, "Total"))
        figure = self._figures.read("amounts_by_line_type").records
        amounts = {(record["currency"], record["line_type"]): record["amount"] for record in figure}
        head = self._row - 1
        for currency in currencies:
            key = cell(self._row, 0, col_abs=True)
            decimals = self._formats.decimals(currency)
            self._text(0, currency)
            for place, line_type in enumerate(LINE_TYPES, start=1):
                criteria = [("Currency", key), ("Line type", cell(head, place, row_abs=True))]
                formula = f"ROUND({_sum(self._sheets['Lines'], 'Amount', criteria)},{decimals})"
                self._formula(place, formula, amounts.get((currency, line_type), Decimal(0)), "amount", currency)
            total = sum((amounts.get((currency, line_type), Decimal(0)) for line_type in LINE_TYPES), Decimal(0))
            span = f"{cell(self._row, 1)}:{cell(self._row, len(LINE_TYPES))}"
            self._formula(len(LINE_TYPES) + 1, f"ROUND(SUM({span}),{decimals})", total, "amount", currency)
            self._row += 1
        self._note(currencies, "No invoice in this month.")

    def _adjustments(self) -> None:
        """Adjustments of earlier months, by currency and reason."""
        self._heading("Adjustments of earlier months", ("Currency", "Reasons", "Adjustments", "Amount"))
        figure = self._figures.read("adjustments_by_reason").records
        sheets = self._sheets["Adjustments"]
        for record in figure:
            currency = record["currency"]
            self._text(0, currency)
            self._text(1, words(record["adjustment_reasons"]))
            criteria = [("Currency", cell(self._row, 0)), ("Reasons", cell(self._row, 1))]
            self._formula(2, _count(sheets, criteria), record["line_count"], "count")
            total = f"ROUND({_sum(sheets, 'Amount', criteria)},{self._formats.decimals(currency)})"
            self._formula(3, total, record["amount"], "amount", currency)
            self._row += 1
        self._note(figure, "No earlier month is adjusted.")

    def _usage(self) -> None:
        """Sessions and credits of the month, whoever is billed for them."""
        state = self._figures.read("period").records[0]
        self._heading("Usage", ("", "Sessions", "Credits", "Credits (exact)"))
        usage = self._sheets["Usage by project"]
        self._text(0, "Used in this month")
        self._formula(1, _total(usage, "Sessions"), state["session_count"], "count")
        credits = f"ROUND({_total(usage, 'Credits')},{_CREDIT_DECIMALS})"
        self._formula(2, credits, round(state["credits"], _CREDIT_DECIMALS), "credits")
        self._sheet.write_string(self._row, 3, exact(state["credits"]), self._formats.exact)
        self._row += 1

    def _quotas(self) -> None:
        """Users by state of each quota."""
        figure = self._figures.read("quota_states")
        states = [name for name in figure.columns if name != "quota"]
        self._heading("Quotas (users)", ("Quota", *(COLUMNS[name].label for name in states)))
        for record in figure.records:
            self._text(0, words(record["quota"]))
            for place, name in enumerate(states, start=1):
                state = words(name.removesuffix("_count"))
                if name == "no_quota_count":  # the sheet leaves them out
                    self._number(place, record[name], "count")
                    continue
                criteria = [("Quota", cell(self._row, 0, col_abs=True)), ("State", f'"{state}"')]
                self._formula(place, _count(self._sheets["Quotas"], criteria), record[name], "count")
            self._row += 1
        self._note(figure.rows, "Nobody has a quota, and nobody used anything.")

    def _checks(self) -> None:
        """Whether it adds up."""
        figure = self._figures.read("reconciliation_by_check").records
        self._heading("Does it add up?", ("", "Compared", "OK", "Explained", "Differ"))
        self._text(0, "All checks")
        names = ("compared_count", "ok_count", "explained_count", "mismatch_count")
        for place, name in enumerate(names, start=1):
            formula = _total(self._sheets["Reconciliation"], COLUMNS[name].label)
            self._formula(place, formula, sum(record[name] for record in figure), "count")
        self._row += 1

    def _accrued(self) -> None:
        """Revenue earned so far, while the month runs."""
        if self._figures.read("period").records[0]["has_ended"]:
            return
        self._heading("Accrued revenue", ("Currency", "Earned so far", "For days ahead", "All days", "Earned (exact)"))
        figure = self._figures.read("accrued_revenue").records
        for record in figure:
            self._text(0, record["currency"])
            for place, name in enumerate(("accrued_amount", "ahead_amount", "amount"), start=1):
                self._number(place, record[name], "amount", record["currency"])
            self._sheet.write_string(self._row, 4, exact(record["accrued_amount"]), self._formats.exact)
            self._row += 1
        self._note(figure, "Nothing is earned yet.")

    def _contents(self) -> None:
        """Every sheet, with a link and its rows."""
        self._heading("Sheets", ("Sheet", "Rows"))
        for sheets in self._sheets.values():
            for name in sheets.names:
                self._sheet.write_url(self._row, 0, f"internal:'{name}'!A1", string=name)
                if name == sheets.names[0]:
                    self._number(1, sheets.rows, "count")
                    if len(sheets.names) > 1:
                        text = f"on {counted(len(sheets.names), 'sheet')}, because Excel has no more rows on one"
                        self._sheet.write_string(self._row, 2, text, self._formats.muted)
                self._row += 1
        self._sheet.write_url(self._row, 0, "internal:'Read me'!A1", string="Read me")

    # --- cells

    def _heading(self, title: str, labels: Sequence[str]) -> None:
        """A part's heading and the labels of its columns."""
        self._row += 1
        self._sheet.write_string(self._row, 0, title, self._formats.heading)
        for place, label in enumerate(labels):
            is_text = not label or label in _TEXTS
            header = self._formats.header if is_text else self._formats.number_header
            if is_text and place > 1:
                header = self._formats.indented_header
            self._sheet.write_string(self._row + 1, place, label, header)
        self._row += 2

    def _note(self, rows: Sequence[Any], text: str) -> None:
        """Say that a part has no rows, and leave room below it."""
        if not rows:
            self._sheet.write_string(self._row, 0, text, self._formats.muted)
            self._row += 1

    def _text(self, column: int, text: str) -> None:
        self._sheet.write_string(self._row, column, visible(text, _LONGEST_CODE))

    def _number(self, column: int, value: int | Decimal, kind: Kind, currency: str | None = None) -> None:
        self._sheet.write_number(self._row, column, value, self._formats.of(kind, currency))

    def _formula(
        self, column: int, formula: str, value: int | Decimal | str, kind: Kind = "code", currency: str | None = None
    ) -> None:
        """A formula with its value, exact. Readers that do not calculate show that."""
        cached = value if isinstance(value, str) else exact(value)
        number = Decimal(cached) if not isinstance(value, str) else cached
        self._sheet.write_formula(self._row, column, f"={formula}", self._formats.of(kind, currency), number)


def write_read_me(sheet: Worksheet, formats: Formats, sheets: Mapping[str, Sheets]) -> None:
    """What each sheet holds, and how to read it."""
    sheet.hide_gridlines(2)
    sheet.set_column(0, 0, 24)
    sheet.set_column(1, 1, 110)
    sheet.write_string(0, 0, "Read me", formats.title)
    rows = [
        *((each.title, each.purpose) for each in sheets.values()),
        ("Amounts", "In units of the currency beside them, with its decimals. Never add two currencies."),
        ("Credits", "The vendor's unit of consumption; up to nine decimals."),
        ("(exact)", "The same value as text, with all digits. Excel calculates with 15 of them."),
        ("Totals", "On Summary, as formulas over the tables, so that a table can be filtered and sorted alone."),
        ("Ids", "As the vendor sent them. Characters that cannot be seen are written like [U+000A]."),
        ("Empty cells", "No value: no limit, no project, no price. A zero is a zero."),
        ("Times", "UTC."),
    ]
    for number, (label, text) in enumerate(rows, start=2):
        sheet.write_string(number, 0, label, formats.heading)
        sheet.write_string(number, 1, text, formats.wrapped)


def _sum(sheets: Sheets, label: str, criteria: Sequence[tuple[str, str]]) -> str:
    """The sum of a column where other columns have these values, over all sheets."""
    return "+".join(
        f"SUMIFS({column},{_criteria(sheets, place, criteria)})" for place, column in enumerate(sheets.columns(label))
    )


def _count(sheets: Sheets, criteria: Sequence[tuple[str, str]]) -> str:
    """The number of rows whose columns have these values, over all sheets."""
    return "+".join(f"COUNTIFS({_criteria(sheets, place, criteria)})" for place in range(len(sheets.tables)))


def _total(sheets: Sheets, label: str) -> str:
    """The sum of a column, over all sheets."""
    return "+".join(f"SUM({column})" for column in sheets.columns(label))


def _criteria(sheets: Sheets, place: int, criteria: Sequence[tuple[str, str]]) -> str:
    """The conditions of SUMIFS and COUNTIFS on one of the sheets."""
    return ",".join(f"{sheets.columns(label)[place]},{value}" for label, value in criteria)
