"""The sections of the page: which figures each shows, in which tables and charts, and the sentences above them."""

from __future__ import annotations

from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

from markupsafe import Markup

from publish.figures.columns import words
from publish.figures.reading import Figure, Figures
from publish.figures.texts import amount_text, counted, credits_text, exact, month_text, visible
from publish.report import charts
from publish.report.tables import Cell, Row, Table, table

TOP = 10
"""How many users, projects or invoices a list names in each currency; all others are one row."""

TOP_LIMITS = 20
"""How many users near a limit, and how many differences, are named."""


@dataclass(frozen=True)
class Chart:
    """A chart in two widths, what it shows in words, and its legend: a class of the style sheet and a label each."""

    drawings: tuple[Markup, Markup]
    alternative: str
    legend: list[tuple[str, str]] = field(default_factory=list)
    note: str = ""


@dataclass(frozen=True)
class Block:
    """One section of the page."""

    anchor: str
    title: str
    sentences: list[str] = field(default_factory=list)
    charts: list[Chart] = field(default_factory=list)
    tables: list[Table] = field(default_factory=list)


class Blocks:
    """The sections of one period, in the order in which a finance person reads them."""

    def __init__(self, figures: Figures, period: str) -> None:
        """Read what several sections need."""
        self._figures = figures
        self._period = period
        self.name = month_text(period)
        self.state: dict[str, Any] = figures.read("period").records[0]
        self.exponents: dict[str, int] = dict(figures.read("currencies").rows)
        self.amounts_by_currency = figures.read("amounts_by_currency")
        self.checks = figures.read("reconciliation_by_check")

    def all(self) -> list[Block]:
        """Every section of the page."""
        blocks = [
            self.amounts(),
            self.days(),
            self.movers(),
            self.projects(),
            self.lines(),
            self.adjustments(),
            self.invoices(),
            self.quotas(),
            self.reconciliation(),
            self.bridge(),
            self.unbilled(),
        ]
        return blocks if self.state["has_ended"] else [*blocks, self.accrued()]

    def amounts(self) -> Block:
        """What is invoiced in each currency, beside the month before."""
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
        caption = f"Invoices of {self.name} by currency, beside those of the month before"
        sentences = (
            [] if self.amounts_by_currency.rows else [f"There is no invoice for {self.name}, nor for the month before."]
        )
        if len(self.amounts_by_currency.rows) > 1:
            sentences.append("Currencies are never added up. New and lost users are those of each currency.")
        return Block(
            "amounts", "Amounts by currency", sentences, [], self._tables(self.amounts_by_currency, columns, caption)
        )

    def checks_fact(self) -> tuple[str, str, str]:
        """Whether everything agrees, in a sentence."""
        compared = sum(record["compared_count"] for record in self.checks.records)
        differ = sum(record["mismatch_count"] for record in self.checks.records)
        explained = sum(record["explained_count"] for record in self.checks.records)
        if not compared:
            return "Checks", "nothing was compared", "warn"
        if differ:
            return "Checks", f"{differ:,} of {counted(compared, 'comparison')} differ", "bad"
        text = f"all {counted(compared, 'comparison')} agree"
        return "Checks", text + (f", {explained:,} explained by rejected rows" if explained else ""), "good"

    # --- usage

    def days(self) -> Block:
        """Credits of each day, beside the month before."""
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
                sentences.append(f"Nothing was used in {self.name}.")
            drawn.append(
                Chart(
                    drawings,
                    f"Credits of each day of {self.name}, and of the month before. {' '.join(sentences)}",
                    [("accent", f"credits in {self.name}"), ("before-line", "same day of the month before")],
                    "Days far above all others are cut off (▲ with their credits), so that the others can be seen."
                    if is_cut
                    else "",
                )
            )
        else:
            sentences.append(f"Nothing was used in {self.name}, nor in the month before.")
        columns = ("day_of_month", "credits", "previous_credits")
        tables = self._tables(figure, columns, f"Credits of each day of {self.name}") if drawn else []
        return Block("days", "Credits per day", sentences, drawn, tables)

    def movers(self) -> Block:
        """Whose invoices changed most."""
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

    def projects(self) -> Block:
        """What each project used, and what is billed for it."""
        figure = self._figures.read("largest_projects", TOP)
        if not figure.rows:
            return Block("projects", "Usage by project", [f"Nothing was used in {self.name}."])
        billed = self._figures.read("largest_billed_projects", TOP)

        def rest(record: dict[str, Any]) -> str:
            return counted(record["project_count"], "other project")

        first = figure.records[0]
        alternative = (
            f"Credits by project. The largest one has {credits_text(first['credits'])} credits"
            f" of {credits_text(self.state['credits'])}."
        )
        drawn = [Chart(charts.projects(figure), alternative)] if len(figure.rows) > 1 and self.state["credits"] else []
        tables = [
            *self._tables(
                figure,
                ("external_project_id", "user_count", "session_count", "usage_seconds", "credits"),
                f"Usage of {self.name} by project",
                rest=rest,
                no_id="no project",
            ),
            *self._tables(
                billed,
                ("external_project_id", "credits", "amount"),
                f"What the invoices of {self.name} bill for each project, adjustments included",
                rest=rest,
                no_id="no project, fees and minimums",
            ),
        ]
        return Block("projects", "Usage by project", [], drawn, tables)

    # --- invoices

    def lines(self) -> Block:
        """What the invoices hold, by line type."""
        figure = self._figures.read("amounts_by_line_type")
        if not figure.rows:
            return Block("lines", "What the invoices hold", [f"There is no invoice for {self.name}."])
        sentences = ["Each row sums to the currency's invoices. Included credits are free, so their amount is 0."]
        return Block("lines", "What the invoices hold", sentences, [], [self._line_type_matrix(figure)])

    def _line_type_matrix(self, figure: Figure) -> Table:
        """Amounts by currency and line type, with each currency's total from its invoices."""
        types = ["fee", "usage", "minimum", "adjustment"]
        amounts = {(record["currency"], record["line_type"]): record["amount"] for record in figure.records}
        rows = []
        for record in self.amounts_by_currency.records:
            currency = record["currency"]
            if not record["invoice_count"]:
                continue
            cells = [Cell(visible(currency, 12), "currency")]
            for value in [*(amounts.get((currency, name)) for name in types), record["amount"]]:
                if value is None:
                    cells.append(Cell("", "empty"))
                else:
                    cells.append(Cell(self.amount(value, currency), "number", exact(value)))
            rows.append(Row(cells))
        headers = [("Currency", False), *((words(name).capitalize(), True) for name in types), ("Total", True)]
        caption = f"Amounts of {self.name} by currency and line type"
        return Table(caption, headers, [(None, rows)], (figure.statement, self.amounts_by_currency.statement))

    def adjustments(self) -> Block:
        """Corrections of closed months, with their reasons."""
        reasons = self._figures.read("adjustments_by_reason")
        if not reasons.rows:
            return Block("adjustments", "Adjustments", ["No earlier month is adjusted."])
        count = sum(record["line_count"] for record in reasons.records)
        figure = self._figures.read("largest_adjustments", TOP)
        columns = ["external_user_id", "service_period_start_date", "adjustment_reasons", "credits", "amount"]
        if any(record["price_changes"] for record in figure.records):
            columns.insert(3, "price_changes")
        tables = [
            *self._tables(
                reasons,
                ("adjustment_reasons", "line_count", "credits", "amount"),
                "Adjustments by reason",
            ),
            *self._tables(
                figure,
                tuple(columns),
                "The largest adjustments",
                rest=lambda record: counted(record["line_count"], "other adjustment"),
            ),
        ]
        known = "was known at the close" if self.state["is_closed"] else "is known today"
        sentence = f"{counted(count, 'adjustment')} of earlier months, by what {known} of sessions, plans and prices."
        return Block("adjustments", "Adjustments", [sentence], [], tables)

    def invoices(self) -> Block:
        """The largest invoices."""
        figure = self._figures.read("largest_invoices", TOP)
        sentences = [] if figure.rows else [f"There is no invoice for {self.name}."]
        tables = self._tables(
            figure,
            ("external_user_id", "line_count", "credits", "amount"),
            f"The largest invoices of {self.name}",
            rest=lambda record: counted(record["invoice_count"], "other invoice"),
        )
        return Block("invoices", "Largest invoices", sentences, [], tables)

    # --- quotas

    def quotas(self) -> Block:
        """Users by state of each quota, and who is near a limit."""
        states = self._figures.read("quota_states")
        if not states.rows:
            return Block("quotas", "Quotas", [f"Nobody has a quota, and nobody used anything in {self.name}."])
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

    def reconciliation(self) -> Block:
        """Whether it adds up."""
        _, text, _ = self.checks_fact()
        sentences = [f"{text[0].upper()}{text[1:]}."]
        if not self.state["is_complete"]:
            sentences.append("The vendor's figures are compared once every day was read after the month ended.")
        tables = self._tables(
            self.checks,
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

    def bridge(self) -> Block:
        """From what is invoiced to users to what the vendor counts."""
        figure = self._figures.read("bridge")
        title = "Bridge to the vendor's bill"
        if not figure.rows:
            text = "There is no bridge while the month is not complete, or without a figure of the vendor's."
            return Block("bridge", title, [text])
        steps = [record for record in figure.records if record["credits"]]
        sentence = "From what is invoiced to users to what the vendor counts, in credits."
        drawn = []
        if len(steps) > charts.LEAST_STEPS:
            alternative = "; ".join(f"{words(step['step'])} {credits_text(step['credits'])}" for step in steps)
            drawn.append(Chart(charts.bridge(figure), f"{sentence} {alternative}."))
        tables = self._tables(figure, ("step", "credits", "note"), "From our invoices to the vendor's figure")
        return Block("bridge", title, [sentence], drawn, tables)

    def unbilled(self) -> Block:
        """Usage that nobody is billed for, and rows that could not be used."""
        unbilled = self._figures.read("unbilled_usage")
        rejected = self._figures.read("rejected_rows")
        sentences = [] if unbilled.rows else [f"All usage of {self.name} is on an invoice."]
        if rejected.rows:
            sentences.append("Rejected rows are those of all months, because many have no date that can be read.")
        tables = [
            *self._tables(
                unbilled,
                ("unbilled_reason", "session_count", "credits", "vendor_currency", "vendor_cost"),
                f"Usage of {self.name} that is on no invoice",
            ),
            *self._tables(
                rejected,
                ("rejected_source", "rejected_reason", "row_count", "last_loaded_at_utc"),
                "The vendor's rows that could not be used, of all months",
            ),
        ]
        return Block("unbilled", "Not billed to anybody", sentences, [], tables)

    def accrued(self) -> Block:
        """Revenue earned so far, of the month that runs."""
        figure = self._figures.read("accrued_revenue")
        sentences = (
            ["Usage counts on its day; fees and minimums are spread over their days."]
            if figure.rows
            else ["Nothing is earned yet."]
        )
        tables = self._tables(
            figure,
            ("currency", "accrued_amount", "ahead_amount", "amount", "accrued_to_date"),
            f"Revenue of {self.name} up to the newest load",
        )
        return Block("accrued", "Accrued revenue", sentences, [], tables)

    # --- shared

    def amount(self, amount: Decimal, currency: str, *, signed: bool = False) -> str:
        """An amount with the decimals of its currency."""
        return amount_text(amount, self.exponents.get(currency, 2), signed=signed)

    def _tables(self, figure: Figure, columns: tuple[str, ...], caption: str, **options: Any) -> list[Table]:
        """A figure as a table, or no table if it has no rows."""
        return [table(figure, columns, caption, self.exponents, **options)] if figure.rows else []
