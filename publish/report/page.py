"""The page: which figures it shows, in the order in which a finance person reads them, and the sentences above them."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from core import __version__
from publish.figures.columns import words
from publish.figures.reading import Figure, Figures
from publish.figures.texts import (
    amount_text,
    counted,
    credits_text,
    exact,
    month_text,
    ratio_text,
    time_text,
    visible,
)
from publish.report import charts
from publish.report.tables import Cell, Row, Table, table
from publish.warehouse import Marts

TOP = 10
"""How many users, projects or invoices a list names in each currency; all others are one row."""

TOP_LIMITS = 20
"""How many users near a limit, and how many differences, are named."""

MOST_CARDS = 6
"""Currencies with a card of their own. All of them are in the table."""

_TEMPLATES = Path(__file__).with_name("templates")


@dataclass(frozen=True)
class Chart:
    """A chart in two widths, what it shows in words, and its legend: a class of the style sheet and a label each."""

    drawings: tuple[Markup, Markup]
    alternative: str
    legend: list[tuple[str, str]] = field(default_factory=list)
    note: str = ""


@dataclass(frozen=True)
class Card:
    """What one currency came to, with its last months as a drawing."""

    currency: str
    amount: Cell
    change: str
    details: str
    span: str
    drawing: Markup | None
    alternative: str


@dataclass(frozen=True)
class Block:
    """One section of the page."""

    anchor: str
    title: str
    sentences: list[str] = field(default_factory=list)
    charts: list[Chart] = field(default_factory=list)
    tables: list[Table] = field(default_factory=list)


def render(marts: Marts, period: str) -> str:
    """The page as HTML. Raises `WarehouseError`."""
    return _Page(marts, period).render()


class _Page:
    """One period's page."""

    def __init__(self, marts: Marts, period: str) -> None:
        """Read what all blocks need."""
        self._marts = marts
        self._figures = Figures(marts.database, period)
        self._period = period
        self._name = month_text(period)
        self._state = self._figures.read("period").records[0]
        self._exponents = dict(self._figures.read("currencies").rows)
        self._amounts = self._figures.read("amounts_by_currency")
        self._checks = self._figures.read("reconciliation_by_check")

    def render(self) -> str:
        """Everything, as HTML."""
        environment = Environment(
            loader=FileSystemLoader(_TEMPLATES),
            autoescape=True,
            undefined=StrictUndefined,
            trim_blocks=True,
            lstrip_blocks=True,
        )
        style = (_TEMPLATES / "page.css").read_text("utf-8")
        digest = base64.b64encode(hashlib.sha256(style.encode("utf-8")).digest()).decode("ascii")
        blocks = [
            self._amounts_block(),
            self._days_block(),
            self._movers_block(),
            self._projects_block(),
            self._lines_block(),
            self._adjustments_block(),
            self._invoices_block(),
            self._quotas_block(),
            self._reconciliation_block(),
            self._unbilled_block(),
        ]
        if not self._state["has_ended"]:
            blocks.append(self._accrued_block())
        return environment.get_template("page.html.j2").render(
            name=self._name,
            period=self._period,
            style=Markup(style),  # noqa: S704 - ours
            style_hash=digest,
            unproven=self._marts.unproven and visible(self._marts.unproven),
            status=self._status(),
            facts=self._facts(),
            cards=self._cards(),
            hidden_cards=max(0, len(self._amounts.rows) - MOST_CARDS),
            blocks=blocks,
            status_statements=[self._figures.statement("period"), self._figures.statement("build")],
            built_at=time_text(self._marts.built_at),
            build_id=self._marts.build_id,
            version=__version__,
        )

    # --- status

    def _status(self) -> tuple[str, str, str]:
        """Tone, word and sentence: may the figures still change?"""
        state = self._state
        if state["is_closed"]:
            return "good", "Closed", f"Closed on {time_text(state['closed_at_utc'])} UTC. These invoices never change."
        if not state["has_ended"]:
            return (
                "warn",
                "Running",
                f"{self._name} has not ended. Every figure is as of the last load, and will change.",
            )
        return "warn", "Open", "Not closed yet. Late sessions and corrections still change these invoices."

    def _facts(self) -> list[tuple[str, str, str]]:
        """What stands below the title: label, text and tone of each fact."""
        state = self._state
        build = self._figures.read("build").records if self._marts.build_id != "-" else []
        return [
            (
                "Build",
                " ".join(
                    f"{words(row['build_status'])}, {counted(row['node_count'] or 0, 'step')}, "
                    f"{counted(row['failure_count'] or 0, 'failure')}"
                    for row in build
                )
                or "not recorded",
                "bad" if self._marts.unproven else "good",
            ),
            self._checks_fact(),
            (
                "Complete",
                "every day was read after the month ended" if state["is_complete"] else "not every day was read yet",
                "good" if state["is_complete"] else "warn",
            ),
            ("Credits used", self._credits_fact(), ""),
            ("Users with usage", f"{state['user_count']:,}", ""),
            ("Invoices", f"{state['invoice_count']:,}, with {counted(state['line_count'], 'line')}", ""),
        ]

    def _credits_fact(self) -> str:
        """Credits, how they changed, and what of them may still change."""
        state = self._state
        text = credits_text(state["credits"])
        if state["previous_credits"]:
            text += f", {credits_text(state['credits'] - state['previous_credits'], signed=True)} on the month before"
        if state["provisional_credits"]:
            text += f"; {credits_text(state['provisional_credits'])} from sessions that still run"
        return text

    def _checks_fact(self) -> tuple[str, str, str]:
        """Whether everything agrees, in a sentence."""
        compared = sum(record["compared_count"] for record in self._checks.records)
        differ = sum(record["mismatch_count"] for record in self._checks.records)
        explained = sum(record["explained_count"] for record in self._checks.records)
        if not compared:
            return "Checks", "nothing was compared", "warn"
        if differ:
            return "Checks", f"{differ:,} of {counted(compared, 'comparison')} differ", "bad"
        text = f"all {counted(compared, 'comparison')} agree"
        return "Checks", text + (f", {explained:,} explained by rejected rows" if explained else ""), "good"

    # --- amounts

    def _cards(self) -> list[Card]:
        """A card for each of the first currencies."""
        history: dict[str, list[tuple[str, Decimal]]] = {}
        for month, currency, amount in self._figures.read("monthly_amounts").rows:
            history.setdefault(currency, []).append((month, amount))
        cards = []
        for record in self._amounts.records[:MOST_CARDS]:
            currency = record["currency"]
            months = history.get(currency, [])
            cards.append(
                Card(
                    visible(currency, 12),
                    Cell(self._amount(record["amount"], currency), "number", exact(record["amount"])),
                    self._change(record),
                    counted(record["invoice_count"], "invoice")
                    + (
                        f", {counted(record['credit_note_count'], 'credit note')} among them"
                        if record["credit_note_count"]
                        else ""
                    ),
                    f"{months[0][0]} to {months[-1][0]}" if len(months) > 1 else "",
                    charts.months(months, self._period) if len(months) > 1 else None,
                    f"{visible(currency, 12)} by month: "
                    + ", ".join(f"{month} {self._amount(amount, currency)}" for month, amount in months),
                )
            )
        return cards

    def _change(self, record: Mapping[str, Any]) -> str:
        """How an amount changed against the month before."""
        if not record["previous_amount"]:
            return "nothing in the month before"
        text = f"{self._amount(record['amount_difference'], record['currency'], signed=True)}"
        ratio = record["change_ratio"]
        return f"{text} ({ratio_text(ratio, signed=True)})" if ratio is not None else text

    def _amounts_block(self) -> Block:
        columns = (
            "currency",
            "invoice_count",
            "credit_note_count",
            "amount",
            "previous_amount",
            "amount_difference",
            "change_ratio",
            "new_user_count",
            "lost_user_count",
        )
        caption = f"Invoices of {self._name} by currency, beside those of the month before"
        sentences = (
            [] if self._amounts.rows else [f"There is no invoice for {self._name}, and none for the month before."]
        )
        if len(self._amounts.rows) > 1:
            sentences.append("Currencies are never added up. New and lost users are those of each currency.")
        return Block("amounts", "Amounts by currency", sentences, [], self._tables(self._amounts, columns, caption))

    # --- usage

    def _days_block(self) -> Block:
        figure = self._figures.read("credits_by_day")
        used = [record for record in figure.records if record["credits"]]
        sentences = []
        drawn = []
        if used or any(record["previous_credits"] for record in figure.records):
            drawings, is_cut = charts.days(figure)
            highest = max(used, key=lambda record: record["credits"]) if used else None
            if highest:
                sentences.append(
                    f"The highest day is {self._period}-{highest['day_of_month']:02} with "
                    f"{credits_text(highest['credits'])} credits; {counted(len(used), 'day')} had usage."
                )
            else:
                sentences.append(f"Nothing was used in {self._name}.")
            drawn.append(
                Chart(
                    drawings,
                    f"Credits of each day of {self._name}, and of the month before. {' '.join(sentences)}",
                    [("accent", f"credits in {self._name}"), ("before-line", "same day of the month before")],
                    "Days far above all others are cut off (▲ with their credits), so that the others can be seen."
                    if is_cut
                    else "",
                )
            )
        else:
            sentences.append(f"Nothing was used in {self._name}, nor in the month before.")
        columns = ("day_of_month", "credits", "previous_credits")
        tables = self._tables(figure, columns, f"Credits of each day of {self._name}") if drawn else []
        return Block("days", "Credits per day", sentences, drawn, tables)

    def _movers_block(self) -> Block:
        figure = self._figures.read("movers", TOP)
        columns = ("external_user_id", "amount", "previous_amount", "amount_difference", "remark")
        sentences = (
            [f"Users by how much their invoices changed; the first {TOP} of each currency."]
            if figure.rows
            else ["No invoice differs from that of the month before."]
        )
        tables = self._tables(
            figure,
            columns,
            "Who moved most against the month before",
            rest=lambda record: counted(record["user_count"], "other user"),
        )
        return Block("movers", "Who moved most", sentences, [], tables)

    def _projects_block(self) -> Block:
        figure = self._figures.read("largest_projects", TOP)
        if not figure.rows:
            return Block("projects", "Usage by project", [f"Nothing was used in {self._name}."])
        billed = self._figures.read("largest_billed_projects", TOP)

        def rest(record: dict[str, Any]) -> str:
            return counted(record["project_count"], "other project")

        first = figure.records[0]
        alternative = (
            f"Credits by project. The largest one has {credits_text(first['credits'])} credits"
            f" of {credits_text(self._state['credits'])}."
        )
        drawn = [Chart(charts.projects(figure), alternative)] if len(figure.rows) > 1 and self._state["credits"] else []
        tables = [
            *self._tables(
                figure,
                ("external_project_id", "user_count", "session_count", "usage_seconds", "credits"),
                f"Usage of {self._name} by project",
                rest=rest,
                no_id="no project",
            ),
            *self._tables(
                billed,
                ("external_project_id", "credits", "amount"),
                f"What the invoices of {self._name} bill for each project, adjustments included",
                rest=rest,
                no_id="no project, fees and minimums",
            ),
        ]
        return Block("projects", "Usage by project", [], drawn, tables)

    # --- invoices

    def _lines_block(self) -> Block:
        figure = self._figures.read("amounts_by_line_type")
        if not figure.rows:
            return Block("lines", "What the invoices hold", [f"There is no invoice for {self._name}."])
        sentences = ["Each row sums to the currency's invoices. Included credits are free, so their amount is 0."]
        return Block("lines", "What the invoices hold", sentences, [], [self._line_type_matrix(figure)])

    def _line_type_matrix(self, figure: Figure) -> Table:
        """Amounts by currency and line type, with each currency's total from its invoices."""
        types = ["fee", "usage", "minimum", "adjustment"]
        amounts = {(record["currency"], record["line_type"]): record["amount"] for record in figure.records}
        rows = []
        for record in self._amounts.records:
            currency = record["currency"]
            if not record["invoice_count"]:
                continue
            cells = [Cell(visible(currency, 12), "currency")]
            for value in [*(amounts.get((currency, name)) for name in types), record["amount"]]:
                if value is None:
                    cells.append(Cell("", "empty"))
                else:
                    cells.append(Cell(self._amount(value, currency), "number", exact(value)))
            rows.append(Row(cells))
        headers = [("Currency", False), *((words(name).capitalize(), True) for name in types), ("Total", True)]
        caption = f"Amounts of {self._name} by currency and line type"
        return Table(caption, headers, [(None, rows)], (figure.statement, self._amounts.statement))

    def _adjustments_block(self) -> Block:
        return Block("adjustments", "Adjustments")

    def _invoices_block(self) -> Block:
        figure = self._figures.read("largest_invoices", TOP)
        sentences = [] if figure.rows else [f"There is no invoice for {self._name}."]
        tables = self._tables(
            figure,
            ("external_user_id", "line_count", "credits", "amount"),
            f"The largest invoices of {self._name}",
            rest=lambda record: counted(record["invoice_count"], "other invoice"),
        )
        return Block("invoices", "Largest invoices", sentences, [], tables)

    # --- quotas

    def _quotas_block(self) -> Block:
        states = self._figures.read("quota_states")
        if not states.rows:
            return Block("quotas", "Quotas", [f"Nobody has a quota, and nobody used anything in {self._name}."])
        near = self._figures.read("users_near_limits", TOP_LIMITS)
        count = sum(record["row_count"] for record in near.records)
        sentences = [f"{counted(count, 'limit')} near, at or over." if count else "Nobody is near a limit."]
        drawn = []
        if any(record[name] for record in states.records for name in charts.STATES):
            used = [name for name in charts.STATES if any(record[name] for record in states.records)]
            alternative = "Users by state of each quota. " + " ".join(
                f"{words(record['quota'])}: "
                + ", ".join(f"{record[name]:,} {charts.STATES[name][0]}" for name in used if record[name])
                + "."
                for record in states.records
            )
            legend = [(name.removesuffix("_count").replace("_", "-"), charts.STATES[name][0]) for name in used]
            drawn.append(
                Chart(charts.quota_states(states), alternative, legend, "Shares of the users who have the quota.")
            )
        tables = [
            *self._tables(states, ("quota", *charts.STATES, "no_quota_count"), "Users by state of each quota"),
            *self._tables(
                near,
                (
                    "external_user_id",
                    "quota",
                    "quota_status",
                    "limit_value",
                    "used_value",
                    "utilization",
                    "reached_limit_at_utc",
                ),
                "Who is near a limit, at it or over it",
                rest=lambda record: counted(record["row_count"], "other"),
            ),
        ]
        return Block("quotas", "Quotas", sentences, drawn, tables)

    # --- proof

    def _reconciliation_block(self) -> Block:
        _, text, _ = self._checks_fact()
        sentences = [f"{text[0].upper()}{text[1:]}."]
        if not self._state["is_complete"]:
            sentences.append("The vendor's figures are compared once every day was read after the month ended.")
        tables = self._tables(
            self._checks,
            (
                "check_name",
                "compared_count",
                "ok_count",
                "explained_count",
                "mismatch_count",
                "largest_difference_credits",
                "tolerance_credits",
            ),
            "Does each step agree with the one before it, and with the vendor?",
        )
        differences = self._figures.read("differences", TOP_LIMITS)
        tables += self._tables(
            differences,
            (
                "check_name",
                "check_status",
                "external_user_id",
                "expected_credits",
                "actual_credits",
                "difference_credits",
                "explained_credits",
            ),
            f"What does not agree, largest first; at most {TOP_LIMITS}",
            no_id="all users",
        )
        return Block("reconciliation", "Does it add up?", sentences, [], tables)

    def _unbilled_block(self) -> Block:
        unbilled = self._figures.read("unbilled_usage")
        rejected = self._figures.read("rejected_rows")
        sentences = [] if unbilled.rows else [f"All usage of {self._name} is on an invoice."]
        if rejected.rows:
            sentences.append("Rejected rows are those of all months, because many have no date that can be read.")
        tables = [
            *self._tables(
                unbilled,
                ("unbilled_reason", "session_count", "credits", "vendor_currency", "vendor_cost"),
                f"Usage of {self._name} that is on no invoice",
            ),
            *self._tables(
                rejected,
                ("rejected_source", "rejected_reason", "row_count", "last_loaded_at_utc"),
                "The vendor's rows that could not be used, of all months",
            ),
        ]
        return Block("unbilled", "Not billed to anybody", sentences, [], tables)

    def _accrued_block(self) -> Block:
        figure = self._figures.read("accrued_revenue")
        sentences = (
            ["Usage counts on its day; fees and minimums are spread over their days."]
            if figure.rows
            else ["Nothing is earned yet."]
        )
        tables = self._tables(
            figure,
            ("currency", "accrued_amount", "ahead_amount", "amount", "accrued_to_date"),
            f"Revenue of {self._name} up to the newest load",
        )
        return Block("accrued", "Accrued revenue", sentences, [], tables)

    # --- shared

    def _amount(self, amount: Decimal, currency: str, *, signed: bool = False) -> str:
        """An amount with the decimals of its currency."""
        return amount_text(amount, self._exponents.get(currency, 2), signed=signed)

    def _tables(self, figure: Figure, columns: tuple[str, ...], caption: str, **options: Any) -> list[Table]:
        """A figure as a table, or no table if it has no rows."""
        return [table(figure, columns, caption, self._exponents, **options)] if figure.rows else []
