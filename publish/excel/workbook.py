"""The workbook: which sheets it has, and what they say about the build that they come from."""

from __future__ import annotations

from pathlib import Path

from xlsxwriter import Workbook
from xlsxwriter.exceptions import FileCreateError
from xlsxwriter.worksheet import Worksheet

from core import __version__
from publish.excel.formats import Formats
from publish.excel.sheets import MOST_ROWS, Sheets, SheetWriter
from publish.excel.summary import Summary, write_read_me
from publish.figures.reading import Figures
from publish.figures.texts import month_text, time_text, visible
from publish.warehouse import Marts

_BLUE, _LIGHT_BLUE, _YELLOW, _GREEN, _GREY = "#1F4E79", "#2E75B6", "#BF8F00", "#548235", "#7F7F7F"

SHEETS = {
    "Invoices": ("invoices", _BLUE, "One row per invoice: user, month and currency."),
    "Lines": ("lines", _BLUE, "One row per invoice line. The lines of an invoice sum to it."),
    "Adjustments": ("adjustments", _BLUE, "One row per adjustment of an earlier month, with its reasons."),
    "Changed usage": (
        "adjustment_changes",
        _BLUE,
        "What is behind each adjustment: sessions by day, plans and prices.",
    ),
    "Usage by project": ("usage_by_project", _LIGHT_BLUE, "One row per project, workspace and user: what was used."),
    "Billed by project": (
        "billed_by_project",
        _LIGHT_BLUE,
        "What the lines bill for each project, workspace and user; fees and minimums belong to no project.",
    ),
    "Quotas": ("quotas", _YELLOW, "One row per user and quota. Users without a quota are left out."),
    "Reconciliation": (
        "reconciliation_by_check",
        _GREEN,
        "One row per check: does each step agree with the last?",
    ),
    "Differences": ("differences", _GREEN, "Every comparison that does not agree; without a user, all users together."),
    "Bridge": ("bridge", _GREEN, "From what is invoiced to users to what the vendor counts, step by step."),
    "Not billed": ("unbilled_usage", _GREY, "Usage that is on no invoice, with the reason and the vendor's price."),
}
"""The sheets that are tables: their figure, the colour of their tab, and what they hold."""

_A4 = 9
_LONGEST_FOOTER = 180


def write_workbook(marts: Marts, period: str, path: Path, most_rows: int = MOST_ROWS) -> None:
    """Write a period's workbook to a file. Figures of more than `most_rows` rows take several sheets.

    Raises `WarehouseError`, and `OSError` where the file cannot be written.
    """
    workbook = Workbook(
        str(path), {"strings_to_formulas": False, "strings_to_urls": False, "strings_to_numbers": False}
    )
    unproven = marts.unproven and visible(marts.unproven)
    workbook.set_properties(
        {
            "title": f"Billing, {month_text(period)}",
            "author": f"miosa_billing {__version__}",
            "comments": f"Build {marts.build_id}" + (f"; not proven: {unproven}" if unproven else ""),
            # Not the clock: the same warehouse gives the same bytes.
            "created": marts.built_at,
        }
    )
    figures = Figures(marts.database, period)
    formats = Formats(workbook, dict(figures.read("currencies").rows))
    footer = f"Billing {period}, build of {time_text(marts.built_at)} UTC"
    if unproven:
        footer = f"NOT PROVEN: {unproven}"

    def dress(worksheet: Worksheet) -> None:
        """The print set-up of a sheet."""
        worksheet.set_landscape()
        worksheet.set_paper(_A4)
        worksheet.fit_to_pages(1, 0)
        worksheet.set_margins(left=0.4, right=0.4, top=0.6, bottom=0.7)
        # An ampersand begins a code of Excel's.
        worksheet.set_footer(f"&L{footer[:_LONGEST_FOOTER].replace('&', '&&')}&C&A&RPage &P of &N")

    first = workbook.add_worksheet("Summary")
    writer = SheetWriter(workbook, formats, dress, most_rows)
    written: dict[str, Sheets] = {}
    for title, (name, colour, purpose) in SHEETS.items():
        columns, rows = figures.stream(name, most_rows)
        written[title] = writer.write(title, purpose, columns, rows, colour)
    Summary(first, formats, figures, written, unproven).write(month_text(period), marts)
    dress(first)
    last = workbook.add_worksheet("Read me")
    write_read_me(last, formats, written)
    dress(last)
    first.activate()
    try:
        workbook.close()
    except FileCreateError as error:
        raise OSError(*getattr(error.args[0], "args", (str(error),))) from error
