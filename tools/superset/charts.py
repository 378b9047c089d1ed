"""What the dashboard shows: its tabs and charts, each over one mart.

A chart with amounts of money is split by currency, because a total of several currencies means nothing
(`tests/python/test_superset_assets.py`). The same test compares each column with the contracts of the marts.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

Kind = Literal["bar", "line", "table"]
Value = str | bool | tuple[str, ...]

CURRENCY_COLUMNS = ("currency", "BillingCurrency")
MONEY_COLUMNS = frozenset(
    {
        *("amount", "amount_minor", "starting_amount", "retained_amount"),
        *("net_retention", "gross_retention"),
        *("BilledCost", "EffectiveCost", "ListCost", "ContractedCost"),
    }
)
"""Columns that mean something in one currency only."""


@dataclass(frozen=True)
class Chart:
    """A chart.

    Attributes:
        name: its title, and what its id at Superset comes from: a chart with another name is another chart.
        mart: the table in the schema `marts`.
        kind: how it is drawn. A table without `sums` shows rows of the mart as they are.
        time: the column for the time axis, and for the dashboard's filter on time.
        by: columns that split it; a table's columns.
        sums: columns that are added up. A dashboard adds; averages of shares would be wrong.
        highest: columns whose only value per group is shown.
        counts: whether rows are counted.
        only: filters, by column: a value, or several to choose from.
        but_not: rows to leave out, by column.
        is_stacked: whether bars stand on each other: never for money, whose currencies would seem to add up.
        number_format: how numbers are written, in D3's language.
        time_format: how the time axis is labelled, in D3's language. A day's label has to be short.
        width: of 12 columns.
        height: in units of 8 pixels.
    """

    name: str
    mart: str
    kind: Kind
    time: str | None
    by: tuple[str, ...]
    sums: tuple[str, ...] = ()
    highest: tuple[str, ...] = ()
    counts: bool = False
    only: dict[str, Value] = field(default_factory=dict)
    but_not: dict[str, str] = field(default_factory=dict)
    is_stacked: bool = False
    number_format: str = ",.2~f"
    time_format: str = "%Y-%m"
    width: int = 6
    height: int = 50

    @property
    def columns(self) -> set[str]:
        """All columns of the mart that the chart reads."""
        time = () if self.time is None else (self.time,)
        return {*time, *self.by, *self.sums, *self.highest, *self.only, *self.but_not}


TABS: dict[str, tuple[Chart, ...]] = {
    "Invoices": (
        Chart(
            name="Invoiced amount by period and currency",
            mart="fct_invoices",
            kind="bar",
            time="invoice_period_start_date",
            by=("currency",),
            sums=("amount",),
            width=12,
        ),
        Chart(
            name="Invoices by period, currency and status",
            mart="fct_invoices",
            kind="table",
            time="invoice_period_start_date",
            by=("invoice_period", "currency", "status"),
            sums=("amount_minor", "amount", "credits"),
            counts=True,
            # Three decimals are all that an amount has: no currency has more.
            number_format=",.3~f",
            width=12,
        ),
    ),
    "Usage": (
        Chart(
            name="Credits per day",
            mart="fct_user_day_credits",
            kind="line",
            time="usage_date",
            by=(),
            sums=("credits",),
            time_format="%m-%d",
            width=12,
        ),
        Chart(
            name="Quota states by period",
            mart="fct_quota_utilization",
            kind="bar",
            time="period_start_date",
            by=("status",),
            counts=True,
            is_stacked=True,
            number_format=",d",
            width=12,
        ),
        Chart(
            name="Users near a limit",
            mart="fct_quota_utilization",
            kind="table",
            time="period_start_date",
            by=("billing_period", "external_user_id", "quota", "used_value", "limit_value", "utilization", "status"),
            only={"status": ("warning", "at_limit", "over_limit")},
            width=12,
        ),
    ),
    "Reconciliation": (
        Chart(
            name="Checks by period and status",
            mart="rpt_reconciliation",
            kind="bar",
            time="period_start_date",
            by=("status",),
            counts=True,
            is_stacked=True,
            number_format=",d",
        ),
        Chart(
            name="Checks by name, period and status",
            mart="rpt_reconciliation",
            kind="table",
            time="period_start_date",
            by=("check_name", "billing_period", "status"),
            counts=True,
            number_format=",d",
        ),
        Chart(
            name="Differences",
            mart="rpt_reconciliation",
            kind="table",
            time="period_start_date",
            by=(
                *("check_name", "billing_period", "external_user_id", "status"),
                *("expected_credits", "actual_credits", "difference_credits"),
            ),
            but_not={"status": "ok"},
            width=12,
            height=30,
        ),
        Chart(
            name="The build that these figures come from",
            mart="rpt_builds",
            kind="table",
            time=None,
            by=("build_id", "ended_at_utc", "is_proven"),
            only={"is_deciding": True},
            width=12,
            height=20,
        ),
    ),
    "FOCUS": (
        Chart(
            name="Cost at the vendor per service day",
            mart="rpt_focus_cost",
            kind="line",
            time="ChargePeriodStart",
            by=("BillingCurrency",),
            sums=("BilledCost",),
            time_format="%m-%d",
            width=12,
        ),
        Chart(
            name="Resale by period, category and currency",
            mart="rpt_focus_resale",
            kind="table",
            time="ChargePeriodStart",
            by=("x_BillingPeriod", "ChargeCategory", "BillingCurrency"),
            sums=("BilledCost", "EffectiveCost"),
            number_format=",.3~f",
            width=12,
        ),
    ),
    "Metrics": (
        Chart(
            name="Revenue per service day and currency",
            mart="fct_revenue_days",
            kind="line",
            time="service_date",
            by=("currency",),
            sums=("amount",),
            only={"is_elapsed": True},
            time_format="%m-%d",
            width=12,
        ),
        Chart(
            name="Monthly recurring revenue by currency",
            mart="fct_invoice_lines",
            kind="bar",
            time="invoice_period_start_date",
            by=("currency",),
            sums=("amount",),
            only={"line_type": ("fee", "minimum")},
        ),
        Chart(
            name="Net revenue retention by first month and currency",
            mart="rpt_revenue_retention",
            kind="line",
            time="invoice_period_start_date",
            by=("cohort_period", "currency"),
            highest=("net_retention",),
            number_format=".0%",
        ),
        Chart(
            name="Retention",
            mart="rpt_revenue_retention",
            kind="table",
            time="invoice_period_start_date",
            by=(
                *("cohort_period", "invoice_period", "currency", "status", "cohort_user_count", "user_count"),
                *("starting_amount", "amount", "net_retention", "gross_retention"),
            ),
            number_format=",.3~f",
            width=12,
        ),
    ),
}
"""The dashboard's charts, by tab."""

CHARTS = tuple(chart for charts in TABS.values() for chart in charts)
MARTS = tuple(sorted({chart.mart for chart in CHARTS}))


def time_column(mart: str) -> str | None:
    """The column that a data set's filters on time use."""
    return next((chart.time for chart in CHARTS if chart.mart == mart), None)


def columns_of(mart: str) -> set[str]:
    """The columns of a mart that some chart reads."""
    return {column for chart in CHARTS if chart.mart == mart for column in chart.columns}
