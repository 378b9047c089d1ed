"""`publish report`: every figure equals the marts, the page needs a browser only, and no id gets out of its place."""

from __future__ import annotations

import itertools
import re
import shutil
from collections import defaultdict
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any, Literal

import duckdb
import pytest
from playwright.sync_api import Browser, sync_playwright
from playwright.sync_api import Page as BrowserPage

from benchmarks.deliver import fill
from delivered import OPEN, SECOND
from marts_copies import HOSTILE, changed, marts_copy, publish, renamed
from publish.cli import outcome
from publish.figures.texts import visible
from publish.report.blocks import TOP
from publish.report.charts import scale_top
from publish.report.tables import LONGEST_ID
from report_page import Page

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
SCHEMES: tuple[Literal["light", "dark"], ...] = ("light", "dark")
EMPTY, LARGE = "2026-06", "2026-05"
RUNS = (
    f"update marts.dim_billing_periods set has_ended = false, is_complete = false where billing_period = '{OPEN}'",
    f"update marts.fct_revenue_days set is_elapsed = false where recognized_in = '{OPEN}' and day(service_date) > 20",
)
"""The open month as one that still runs."""

LIMITS = """
update marts.fct_quota_utilization
set
    status = ['ok', 'warning', 'at_limit', 'over_limit', 'uncapped'][1 + (hash(external_user_id || quota) % 5)::bigint],
    limit_value = 10,
    used_value = 9.123456789,
    utilization = 0.912346
"""
"""States of quotas, of which the histories have none."""


@pytest.fixture(scope="module")
def marts(delivered: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("report")
    return changed(marts_copy(delivered, folder / "plain"), folder, LIMITS)


@pytest.fixture(scope="module")
def hostile(marts: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return renamed(marts, tmp_path_factory.mktemp("hostile"), SECOND)


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    if CHROMIUM is None:
        pytest.skip("there is no Chromium on this machine: the page was not opened in a browser")
    with sync_playwright() as playwright:
        yield playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])


def read(path: Path) -> Page:
    return Page(path.read_text("utf-8"))


def query(path: Path, sql: str, *values: Any) -> list[tuple[Any, ...]]:
    with duckdb.connect(path, read_only=True) as connection:
        return connection.execute(sql, list(values)).fetchall()


def sums(page: Page, section: str, number: int = 0, column: int = -1) -> dict[str, Decimal]:
    """One column of a table, summed below each heading: named rows and the one of all others."""
    table, found = page.table(section, number), defaultdict[str, Decimal](Decimal)
    for group, figures in zip(table.groups, table.figures, strict=True):
        found[group] += figures[column]
    return dict(found)


# --- Figures --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("period", [SECOND, OPEN])
def test_figures_equal_the_marts(marts: Path, tmp_path: Path, period: str) -> None:
    page = read(publish("report", marts, tmp_path, period))
    invoiced = dict(
        query(
            marts, "select currency, sum(amount) from marts.fct_invoices where invoice_period = ? group by all", period
        )
    )
    amounts = page.table("amounts")
    assert {row[0]: figures[2] for row, figures in zip(amounts.rows, amounts.figures, strict=True)} == invoiced
    assert sums(page, "invoices") == invoiced
    assert sums(page, "projects", 1) == invoiced
    lines = page.table("lines")
    for row, figures in zip(lines.rows, lines.figures, strict=True):
        assert sum(figures[:-1]) == figures[-1] == invoiced[row[0]]
    by_type = query(marts, "select sum(amount) from marts.fct_invoice_lines where invoice_period = ?", period)
    assert by_type == [(sum(figure for figures in lines.figures for figure in figures[:-1]),)]
    adjusted = query(
        marts,
        "select currency, sum(amount) from marts.fct_invoice_lines "
        "where invoice_period = ? and line_type = 'adjustment' group by all",
        period,
    )
    assert bool(adjusted) == (period == SECOND)
    for number in (0, 1) if adjusted else ():
        assert sums(page, "adjustments", number) == dict(adjusted)
    used = query(marts, "select sum(credits) from marts.fct_user_period_credits where billing_period = ?", period)
    days = page.table("days")
    assert [(sum(figures[1] for row, figures in zip(days.rows, days.figures, strict=True) if row[1]),)] == used
    assert [(sums(page, "projects")[""],)] == used
    moved = query(
        marts,
        "select currency, sum(amount_difference) from marts.rpt_month_over_month "
        "where invoice_period = ? and amount_difference <> 0 group by all",
        period,
    )
    assert sums(page, "movers") == dict(moved)
    states = query(
        marts, "select quota, count(*) from marts.fct_quota_utilization where billing_period = ? group by all", period
    )
    assert sorted(sum(figures) for figures in page.table("quotas").figures) == sorted(count for _, count in states)
    compared = query(marts, "select count(*) from marts.rpt_reconciliation where billing_period = ?", period)
    assert compared == [(sum(figures[0] for figures in page.table("reconciliation").figures),)]
    bridge = page.table("bridge").figures
    assert sum(figures[0] for figures in bridge[:-1]) == bridge[-1][0] == used[0][0]


@pytest.mark.parametrize("period", [SECOND, OPEN])
def test_the_sql_below_each_table_gives_its_rows(marts: Path, tmp_path: Path, period: str) -> None:
    running = changed(marts, tmp_path, *(RUNS if period == OPEN else ()))
    page = read(publish("report", running, tmp_path, period))
    assert len(page.statements) > 15
    with duckdb.connect(running, read_only=True) as connection:
        for statement in page.statements:
            connection.execute(statement)
        for table in page.tables:
            if table.section == "lines":  # rows become columns there
                continue
            (statement,) = table.statements
            rows = connection.execute(statement).fetchall()
            assert len(rows) == len(table.rows), table.section
            for row, figures in zip(rows, table.figures, strict=True):
                values = [Decimal(value) for value in row if isinstance(value, int | Decimal)]
                assert [figure for figure in figures if figure not in values] == [], table.section


def test_revenue_of_a_running_month(marts: Path, tmp_path: Path) -> None:
    running = changed(marts, tmp_path, *RUNS)
    page = read(publish("report", running, tmp_path, OPEN))
    accrued = query(
        running,
        "select currency, sum(amount * is_elapsed::int), sum(amount * (not is_elapsed)::int), sum(amount) "
        "from marts.fct_revenue_days where recognized_in = ? group by all order by all",
        OPEN,
    )
    table = page.table("accrued")
    assert [(row[0], *figures) for row, figures in zip(table.rows, table.figures, strict=True)] == accrued
    assert "Running" in page.text
    ended = read(publish("report", marts, tmp_path, OPEN))
    assert [table for table in ended.tables if table.section == "accrued"] == []


def test_a_planted_wrong_figure_is_found(marts: Path, tmp_path: Path) -> None:
    path = publish("report", marts, tmp_path, SECOND)
    text = path.read_text("utf-8")
    section = text.index('<section id="invoices"')
    path.write_text(text[:section] + re.sub(r'value="(\d)', r'value="9\1', text[section:], count=20), "utf-8")
    invoiced = query(
        marts, "select currency, sum(amount) from marts.fct_invoices where invoice_period = ? group by all", SECOND
    )
    assert sums(read(path), "invoices") != dict(invoiced)


# --- Months of every kind -------------------------------------------------------------------------------------------


def test_an_empty_month(marts: Path, tmp_path: Path) -> None:
    month = f"""insert into marts.dim_billing_periods by name
        select '{EMPTY}' as billing_period, true as has_ended, true as is_complete, false as is_closed"""
    page = read(publish("report", changed(marts, tmp_path, month), tmp_path, EMPTY))
    assert "Nothing was used in June 2026" in page.text
    assert [table.section for table in page.tables] == ["unbilled"] * len(page.tables)
    assert not [tag for tag, _ in page.tags if tag == "svg"]


def test_one_user(marts: Path, tmp_path: Path) -> None:
    fill(path := changed(marts, tmp_path), 1, LARGE)
    page = read(publish("report", path, tmp_path, LARGE))
    assert page.table("invoices").rows == [["Large customer 0 large-user-0", "2", "0.12", "0.00"]]


def test_100_000_users_make_a_small_page(marts: Path, tmp_path: Path) -> None:
    fill(path := changed(marts, tmp_path), 100_000, LARGE)
    written = publish("report", path, tmp_path, LARGE)
    assert written.stat().st_size < 500_000
    page = read(written)
    invoiced = query(
        path, "select currency, sum(amount) from marts.fct_invoices where invoice_period = ? group by all", LARGE
    )
    assert len(invoiced) == 5
    assert sums(page, "invoices") == dict(invoiced)
    assert len(page.table("invoices").rows) == 5 * (TOP + 1)
    assert "80,000 limits near" in page.text
    others = page.table("quotas", 1).rows[-1][0]
    assert others == "79,980 others"


# --- A page for anybody ---------------------------------------------------------------------------------------------


def test_hostile_ids_stay_in_their_place(hostile: Path, tmp_path: Path) -> None:
    path = publish("report", hostile, tmp_path, SECOND)
    html, page = path.read_text("utf-8"), read(path)
    assert len(html) < 500_000
    assert not [tag for tag, _ in page.tags if tag in ("script", "iframe", "img", "object", "embed", "form", "base")]
    assert not [name for _, values in page.tags for name in values if name.startswith("on") or name == "style"]
    assert not set(html) & {"\u202e", "\x00"}
    # Each is on the page as people see it, in an element that isolates its direction.
    shown = [row[0] for section in ("movers", "invoices") for row in page.table(section).rows]
    for id_ in HOSTILE:
        assert any(visible(id_, LONGEST_ID) in cell for cell in shown), id_
    assert html.count("<bdi>") > len(HOSTILE)
    assert {"EUR", "USD", "JPY", "KWD", "GBP"} == set(page.table("invoices").groups)


def test_the_page_in_a_browser(hostile: Path, tmp_path: Path, browser: Browser) -> None:
    running = changed(hostile, tmp_path, *RUNS)
    for period in (SECOND, OPEN):
        path = publish("report", running, tmp_path, period)
        for width, scheme in itertools.product((390, 1280), SCHEMES):
            context = browser.new_context(viewport={"width": width, "height": 800}, color_scheme=scheme)
            page, told, asked = context.new_page(), list[str](), list[str]()
            _listen(page, told, asked)
            page.goto(path.as_uri())
            assert (told, asked) == ([], [path.as_uri()])
            assert page.evaluate("document.documentElement.scrollWidth <= window.innerWidth"), (period, width)
            # The style sheet applies, and the drawings take their colours from it.
            assert page.locator("svg:visible").count() > 5
            fills = page.eval_on_selector_all("svg path", "all => all.map(each => getComputedStyle(each).fill)")
            accent = {"light": "rgb(31, 111, 235)", "dark": "rgb(110, 168, 255)"}[scheme]
            assert accent in fills
            # Printed: no drawing is cut off, and the folded SQL stays away.
            page.emulate_media(media="print")
            page.set_viewport_size({"width": 700, "height": 1000})
            inside = "all => all.every(each => each.getBoundingClientRect().right <= 700)"
            assert page.eval_on_selector_all("svg", inside)
            assert page.locator("details:visible").count() == 0
            context.close()


def _listen(page: BrowserPage, told: list[str], asked: list[str]) -> None:
    """Note what the browser says on its console, and what it requests."""
    page.on("console", lambda message: told.append(message.text))
    page.on("pageerror", lambda error: told.append(str(error)))
    page.on("request", lambda request: asked.append(request.url))


def test_the_page_can_be_read_aloud(marts: Path, tmp_path: Path) -> None:
    page = read(publish("report", marts, tmp_path, SECOND))
    levels = [int(tag[1]) for tag, _ in page.tags if re.fullmatch("h[1-6]", tag)]
    assert levels == [1] + [2] * (len(levels) - 1)
    images = [values for _, values in page.tags if values.get("role") == "img"]
    assert len(images) > 5
    assert all(len(values["aria-label"] or "") > 20 for values in images)
    headers = [values for tag, values in page.tags if tag == "th"]
    assert all(values.get("scope") in ("col", "row", "rowgroup") for values in headers)
    ids = [values["id"] for _, values in page.tags if values.get("id")]
    assert len(ids) == len(set(ids))
    assert {values["aria-labelledby"] for tag, values in page.tags if tag == "table"} <= set(ids)


def test_colours_have_contrast(marts: Path, tmp_path: Path) -> None:
    style = (
        publish("report", marts, tmp_path, SECOND).read_text("utf-8").partition("<style>")[2].partition("</style>")[0]
    )
    palettes = [dict(re.findall(r"--([\w-]+):(#\w+)", each)) for each in re.findall(r":root\{([^}]*)\}", style)]
    assert len(palettes) == 3  # light, dark, print
    for palette in palettes:
        for text, ground in [
            ("ink", "paper"),
            ("soft", "paper"),
            ("accent", "paper"),
            ("ink", "wash"),
            ("good", "good-wash"),
            ("warn-strong", "warn-wash"),
            ("bad", "bad-wash"),
        ]:
            assert contrast(palette[text], palette[ground]) >= 4.5, (text, ground, palette)
        for mark in ("accent", "before-line", "good", "near", "limit", "bad"):
            assert contrast(palette[mark], palette["paper"]) >= 3, (mark, palette)


def contrast(one: str, other: str) -> float:
    """The ratio that WCAG defines."""

    def luminance(colour: str) -> float:
        code = colour[1:] if len(colour) == 7 else "".join(digit * 2 for digit in colour[1:])
        parts = [int(code[place : place + 2], 16) / 255 for place in (0, 2, 4)]
        linear = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]
        return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]

    low, high = sorted((luminance(one), luminance(other)))
    return (high + 0.05) / (low + 0.05)


@pytest.mark.parametrize(
    ("values", "top"),
    [
        ([], None),
        ([5], None),
        ([10, 9, 8, 40], None),
        ([10, 9, 8, 41], "12.50"),
        ([10, 9, 500, 41], "12.50"),
        ([1000, 900, 10, 9], "12.50"),
        ([0, 0, 7], None),
    ],
)
def test_a_day_far_above_all_others_does_not_set_the_scale(values: list[int], top: str | None) -> None:
    assert scale_top([Decimal(value) for value in values]) == (None if top is None else Decimal(top))


# --- The command ----------------------------------------------------------------------------------------------------


def test_the_same_marts_give_the_same_bytes(marts: Path, tmp_path: Path) -> None:
    first = publish("report", marts, tmp_path / "first", SECOND).read_bytes()
    assert publish("report", marts, tmp_path / "second", SECOND).read_bytes() == first


@pytest.mark.parametrize("command", ["report", "excel"])
def test_failures_are_one_line_and_leave_what_was_there(
    marts: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], command: str
) -> None:
    path = publish(command, marts, tmp_path, SECOND)
    before = path.read_bytes()
    failed = "update marts.rpt_builds set status = 'failed', is_proven = false, failure_count = 3"
    unproven = changed(marts, tmp_path / "unproven", failed)
    options = ["--period", SECOND, "--to", str(tmp_path), "--warehouse"]
    status, line = outcome([command, *options, str(unproven)])
    assert (status, path.read_bytes()) == (1, before)
    assert "is not proven: `dbt build` of" in line
    status, line = outcome([command, "--period", "2031-01", *options[2:], str(marts)])
    assert (status, f"has no billing period 2031-01: it has 2026-02 to {OPEN}" in line) == (1, True)
    assert outcome([command, "--period", "October", *options[2:], str(marts)])[0] == 2
    assert outcome([command, *options[2:], str(marts)])[0] == 2
    blocked = tmp_path / "file"
    blocked.write_text("no folder")
    status, line = outcome([command, "--period", SECOND, "--to", str(blocked), "--warehouse", str(marts)])
    assert (status, line.startswith(f"cannot write {blocked}")) == (1, True)
    assert [each.name for each in tmp_path.iterdir() if ".partial" in each.name] == []
    capsys.readouterr()


def test_an_unproven_page_says_so(marts: Path, tmp_path: Path) -> None:
    failed = "update marts.rpt_builds set status = 'failed', is_proven = false, failure_count = 3"
    path = publish("report", changed(marts, tmp_path, failed), tmp_path, SECOND, "--allow-unproven")
    assert "Not proven: `dbt build` of" in " ".join(read(path).text.split())
    assert "Not proven" not in read(publish("report", marts, tmp_path, SECOND)).text
