"""`publish excel`: cells equal the marts, totals stay when they are recalculated, and ids are always text."""

from __future__ import annotations

import shutil
import subprocess
import zipfile
from collections import Counter, defaultdict
from decimal import Decimal
from pathlib import Path
from typing import Any

import duckdb
import pytest
from openpyxl import Workbook, load_workbook

from core.settings import read_settings_as
from delivered import OPEN, SECOND
from marts_copies import HOSTILE, changed, marts_copy, publish, renamed
from publish.excel.sheets import LONGEST_TEXT
from publish.excel.workbook import SHEETS, write_workbook
from publish.figures.texts import visible
from publish.settings import PeriodSettings
from publish.warehouse import open_marts

SOFFICE = shutil.which("soffice") or shutil.which("libreoffice")
RECALCULATE = """<?xml version="1.0" encoding="UTF-8"?>
<oor:items xmlns:oor="http://openoffice.org/2001/registry">
<item oor:path="/org.openoffice.Office.Calc/Formula/Load"><prop oor:name="OOXMLRecalcMode" oor:op="fuse">
<value>0</value></prop></item></oor:items>
"""
"""Else LibreOffice shows the values that are in the file."""

EMPTY = "2026-06"
LIMITS = "update marts.fct_quota_utilization set status = 'warning', limit_value = 10, used_value = 9.123456789"


@pytest.fixture(scope="module")
def marts(delivered: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("excel")
    return changed(marts_copy(delivered, folder / "plain"), folder, LIMITS)


@pytest.fixture(scope="module")
def hostile(marts: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return renamed(marts, tmp_path_factory.mktemp("hostile"), SECOND)


def query(path: Path, sql: str, *values: Any) -> list[tuple[Any, ...]]:
    with duckdb.connect(path, read_only=True) as connection:
        return connection.execute(sql, list(values)).fetchall()


def records(workbook: Workbook, title: str) -> list[dict[str, Any]]:
    """The rows of a sheet by header; none of a table that has one empty row."""
    header, *rows = workbook[title].iter_rows(values_only=True)
    return [dict(zip(header, row, strict=True)) for row in rows if any(value is not None for value in row)]


def exactly(rows: list[dict[str, Any]], key: str, value: str) -> dict[str, Decimal]:
    """The sums of an exact column, which is text, by another column."""
    found = defaultdict[str, Decimal](Decimal)
    for row in rows:
        assert isinstance(row[value], str)
        found[row[key]] += Decimal(row[value])
    return dict(found)


def summary(workbook: Workbook) -> dict[str, list[dict[str, Any]]]:
    """The parts of Summary: their rows by header."""
    parts: dict[str, list[dict[str, Any]]] = {}
    rows = [list(row) for row in workbook["Summary"].iter_rows(values_only=True)]
    for place, row in enumerate(rows):
        below = rows[place + 1] if place + 1 < len(rows) else []
        if row[0] and not any(row[1:]) and any(below[1:]):
            part = parts.setdefault(str(row[0]), [])
            for values in rows[place + 2 :]:
                if values[0] is None:
                    break
                if any(value is not None for value in values[1:]):
                    part.append(dict(zip(below, values, strict=True)))
    return parts


@pytest.mark.parametrize("period", [SECOND, OPEN])
def test_cells_equal_the_marts(marts: Path, tmp_path: Path, period: str) -> None:
    workbook = load_workbook(publish("excel", marts, tmp_path, period), data_only=True)
    where = "where invoice_period = ? group by all"
    invoiced = dict(query(marts, f"select currency, sum(amount) from marts.fct_invoices {where}", period))
    used = query(marts, "select sum(credits) from marts.fct_user_period_credits where billing_period = ?", period)
    invoices, lines, adjustments = (records(workbook, title) for title in ("Invoices", "Lines", "Adjustments"))
    for rows in (invoices, lines, records(workbook, "Billed by project")):
        assert exactly(rows, "Currency", "Amount (exact)") == invoiced
    by_line = query(marts, f"select line_id, sum(quantity_credits) from marts.fct_invoice_lines {where}", period)
    assert exactly(lines, "Line", "Credits (exact)") == dict(by_line)
    kept = query(
        marts,
        "select line_id, amount from marts.fct_invoice_lines where invoice_period = ? and line_type = 'adjustment'",
        period,
    )
    assert exactly(adjustments, "Line", "Amount (exact)") == dict(kept)
    assert all(row["Reasons"] for row in adjustments)
    assert sum(exactly(records(workbook, "Usage by project"), "User", "Credits (exact)").values()) == used[0][0]
    quotas = query(
        marts, "select quota, count(*) from marts.fct_quota_utilization where billing_period = ? group by all", period
    )
    counted = Counter(row["Quota"].replace("storage (GB)", "storage_gb") for row in records(workbook, "Quotas"))
    assert counted == dict(quotas)
    compared = query(marts, "select count(*) from marts.rpt_reconciliation where billing_period = ?", period)
    assert [(sum(row["Compared"] for row in records(workbook, "Reconciliation")),)] == compared
    bridge = [Decimal(row["Credits (exact)"]) for row in records(workbook, "Bridge")]
    assert sum(bridge[:-1]) == bridge[-1] == used[0][0]
    # Numbers are the exact values as closely as a double can; real dates; and totals with their cached values.
    for rows in (invoices, lines):
        assert all(row["Amount"] == float(Decimal(row["Amount (exact)"])) for row in rows)
        assert all(row["Credits"] == float(Decimal(row["Credits (exact)"])) for row in rows)
    assert {f"{row['Invoice month']:%Y-%m}" for row in invoices} == {period}
    totals = summary(workbook)["Totals per currency"]
    assert {row["Currency"]: row["Amount"] for row in totals if row["Invoices"]} == {
        currency: float(amount) for currency, amount in invoiced.items()
    }
    assert {row["Check"] for row in totals} == {"OK"}
    assert set(workbook.sheetnames) == {"Summary", *SHEETS, "Read me"}


def test_the_look_of_the_sheets(marts: Path, tmp_path: Path) -> None:
    path = publish("excel", marts, tmp_path, SECOND)
    workbook = load_workbook(path)
    for title in SHEETS:
        sheet = workbook[title]
        (table,) = sheet.tables.values()
        assert table.autoFilter is not None
        assert not table.totalsRowCount
        assert sheet.freeze_panes
        assert sheet.page_setup.orientation == "landscape"
        assert sheet.print_title_rows == "$1:$1"
    formats = {
        row["Currency"].value: row["Amount"].number_format
        for header, *rows in [list(workbook["Invoices"].iter_rows())]
        for row in [dict(zip([cell.value for cell in header], cells, strict=True)) for cells in rows]
    }
    assert formats["JPY"].startswith('#,##0" JPY"')
    assert formats["KWD"].startswith('#,##0.000" KWD"')
    formulas = [
        cell.value for row in workbook["Summary"].iter_rows() for cell in row if str(cell.value).startswith("=")
    ]
    assert sum("SUMIFS(Invoices[Amount]" in formula for formula in formulas) >= 4


def test_ids_are_text_whatever_they_look_like(hostile: Path, tmp_path: Path) -> None:
    path = publish("excel", hostile, tmp_path, SECOND)
    workbook = load_workbook(path)
    cells = [cell for row in workbook["Invoices"].iter_rows(min_row=2, max_col=2) for cell in row]
    assert {cell.data_type for cell in cells} == {"s"}
    shown = {cell.value.removesuffix(" ") if cell.value.startswith("<r>") else cell.value for cell in cells}
    assert {visible(id_, LONGEST_TEXT) for id_ in HOSTILE} <= shown
    with zipfile.ZipFile(path) as archive:
        names = archive.namelist()
        sheets = {name: archive.read(name).decode("utf-8") for name in names if name.startswith("xl/worksheets/sheet")}
    assert [name for name, text in sheets.items() if "<f>" in text] == ["xl/worksheets/sheet1.xml"]
    assert not [name for name in names if "externalLink" in name or "vba" in name.lower()]


def test_more_rows_than_a_sheet_has(marts: Path, tmp_path: Path) -> None:
    path, usual = tmp_path / "split.xlsx", publish("excel", marts, tmp_path, SECOND)
    settings = read_settings_as(PeriodSettings, warehouse=str(marts), period=SECOND)
    with open_marts(settings, allow_unproven=False) as opened:
        write_workbook(opened, SECOND, path, most_rows=7)
    split, whole = load_workbook(path, data_only=True), load_workbook(usual, data_only=True)
    names = [name for name in split.sheetnames if name.startswith("Lines")]
    lines = records(whole, "Lines")
    assert names == ["Lines", *(f"Lines {number}" for number in range(2, -(-len(lines) // 7) + 1))]
    assert [row for name in names for row in records(split, name)] == lines
    assert max(len(records(split, name)) for name in names) == 7
    assert summary(split)["Totals per currency"] == summary(whole)["Totals per currency"]
    listed = {row["Sheet"]: row for row in summary(split)["Sheets"] if row["Rows"]}
    assert listed["Lines"]["Rows"] == len(lines)
    texts = [str(value) for row in split["Summary"].iter_rows(values_only=True) for value in row]
    assert any(text.startswith(f"on {len(names)} sheets, because") for text in texts)


def test_an_empty_month(marts: Path, tmp_path: Path) -> None:
    month = f"""insert into marts.dim_billing_periods by name
        select '{EMPTY}' as billing_period, false as has_ended, false as is_complete, false as is_closed"""
    path = publish("excel", changed(marts, tmp_path, month), tmp_path, EMPTY)
    workbook = load_workbook(path, data_only=True)
    assert not any(records(workbook, title) for title in SHEETS)
    texts = {row[0] for row in workbook["Summary"].iter_rows(values_only=True)}
    assert {"No invoice in this month.", "Nothing is earned yet."} <= texts


def test_the_same_marts_give_the_same_bytes(marts: Path, tmp_path: Path) -> None:
    first = publish("excel", marts, tmp_path / "first", SECOND)
    assert publish("excel", marts, tmp_path / "second", SECOND).read_bytes() == first.read_bytes()
    ((built_at,),) = query(marts, "select ended_at_utc from marts.rpt_builds where is_deciding")
    assert load_workbook(first).properties.created == built_at.replace(microsecond=0)


def test_an_unproven_workbook_says_so(marts: Path, tmp_path: Path) -> None:
    failed = "update marts.rpt_builds set status = 'failed', is_proven = false, failure_count = 3"
    path = publish("excel", changed(marts, tmp_path, failed), tmp_path, SECOND, "--allow-unproven")
    workbook = load_workbook(path)
    assert any(
        str(row[0]).startswith("NOT PROVEN: `dbt build`") for row in workbook["Summary"].iter_rows(values_only=True)
    )
    assert all("NOT PROVEN" in sheet.oddFooter.left.text for sheet in workbook)


@pytest.mark.skipif(SOFFICE is None, reason="there is no LibreOffice on this machine: no formula was recalculated")
def test_recalculated_totals_equal_the_marts(hostile: Path, tmp_path: Path) -> None:
    path = tmp_path / "split.xlsx"
    settings = read_settings_as(PeriodSettings, warehouse=str(hostile), period=SECOND)
    with open_marts(settings, allow_unproven=False) as opened:
        write_workbook(opened, SECOND, path, most_rows=20)
    spoilt = tmp_path / "spoilt" / path.name
    _spoil(path, spoilt)
    recalculated = load_workbook(_recalculate(spoilt, tmp_path), data_only=True)
    cached, formulas = load_workbook(path, data_only=True)["Summary"], load_workbook(path)["Summary"]
    compared = 0
    for row in formulas.iter_rows():
        for cell in row:
            if not str(cell.value).startswith("="):
                continue
            ours, theirs = cached[cell.coordinate].value, recalculated["Summary"][cell.coordinate].value
            assert (ours or None) == (theirs or None), (cell.coordinate, cell.value)
            compared += 1
    assert compared > 60
    invoiced = query(
        hostile, "select currency, sum(amount) from marts.fct_invoices where invoice_period = ? group by all", SECOND
    )
    assert len(invoiced) == 5
    totals = {row["Currency"]: row["Amount"] for row in summary(recalculated)["Totals per currency"]}
    assert totals == {currency: float(amount) for currency, amount in invoiced}


def _spoil(path: Path, spoilt: Path) -> None:
    """The workbook with a wrong cached value in every formula, so that only a recalculation can be right."""
    spoilt.parent.mkdir()
    with zipfile.ZipFile(path) as source, zipfile.ZipFile(spoilt, "w") as target:
        for name in source.namelist():
            text = source.read(name)
            if name == "xl/worksheets/sheet1.xml":
                text = b"</f><v>12345".join(text.split(b"</f><v>"))
            target.writestr(name, text)


def _recalculate(path: Path, folder: Path) -> Path:
    """The workbook as LibreOffice saves it after it has calculated every formula."""
    profile = folder / "profile"
    (profile / "user").mkdir(parents=True)
    (profile / "user" / "registrymodifications.xcu").write_text(RECALCULATE, "utf-8")
    assert SOFFICE is not None
    command = [SOFFICE, f"-env:UserInstallation={profile.as_uri()}", "--headless", "--convert-to", "xlsx"]
    subprocess.run([*command, "--outdir", str(folder / "out"), str(path)], check=True, capture_output=True, timeout=300)
    return folder / "out" / path.name
