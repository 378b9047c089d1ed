"""What each column of a figure is called, and what kind of value it holds: the same on the page and in the workbook."""

from __future__ import annotations

from typing import Literal, NamedTuple

Kind = Literal[
    "id",  # from outside: an id, a name or a description
    "code",  # one of our own words, with underscores
    "currency",
    "count",
    "credits",
    "credits_change",
    "amount",  # in the currency of the row
    "amount_change",
    "price",  # per credit, nine decimals
    "ratio",
    "ratio_change",
    "value",  # a limit, or what is counted against it
    "seconds",
    "date",
    "month",  # its first day
    "time",
    "flag",
]


TEXT_KINDS: tuple[Kind, ...] = ("id", "code", "currency", "date", "month", "time", "flag")
"""Kinds that are no numbers: they stand on the left."""


class Column(NamedTuple):
    """A column of a figure."""

    label: str
    kind: Kind


COLUMNS: dict[str, Column] = {
    "currency": Column("Currency", "currency"),
    "place": Column("#", "count"),
    "external_user_id": Column("User", "id"),
    "display_name": Column("Name", "id"),
    "external_project_id": Column("Project", "id"),
    "workspace_id": Column("Workspace", "id"),
    "invoice_id": Column("Invoice", "id"),
    "line_id": Column("Line", "id"),
    "plan_id": Column("Plan", "id"),
    "description": Column("Description", "id"),
    "invoice_period_start_date": Column("Invoice month", "month"),
    "service_period_start_date": Column("Service month", "month"),
    "price_valid_from": Column("Price valid from", "date"),
    "day_of_month": Column("Day", "count"),
    "status": Column("Status", "code"),
    "closed_at_utc": Column("Closed (UTC)", "time"),
    "is_credit": Column("Credit note", "flag"),
    "adjustment_reasons": Column("Reasons", "code"),
    "price_changes": Column("Changed prices", "id"),
    "change_reason": Column("Reason", "code"),
    "change_read_at_utc": Column("Known since (UTC)", "time"),
    "session_id": Column("Session", "id"),
    "usage_date": Column("Day", "date"),
    "billed_credits": Column("Billed before", "credits"),
    "known_credits": Column("Known now", "credits"),
    "step_number": Column("#", "count"),
    "step": Column("Step", "code"),
    "is_total": Column("Total", "flag"),
    "note": Column("Note", "id"),
    "line_type": Column("Line type", "code"),
    "remark": Column("Remark", "code"),
    "invoice_count": Column("Invoices", "count"),
    "credit_note_count": Column("Credit notes", "count"),
    "line_count": Column("Lines", "count"),
    "user_count": Column("Users", "count"),
    "project_count": Column("Projects", "count"),
    "session_count": Column("Sessions", "count"),
    "row_count": Column("Rows", "count"),
    "new_user_count": Column("New users", "count"),
    "lost_user_count": Column("Lost users", "count"),
    "usage_seconds": Column("Hours", "seconds"),
    "credits": Column("Credits", "credits"),
    "previous_credits": Column("Month before", "credits"),
    "tier_from_credits": Column("Tier from credits", "credits"),
    "unit_price": Column("Price per credit", "price"),
    "amount": Column("Amount", "amount"),
    "previous_amount": Column("Month before", "amount"),
    "amount_difference": Column("Difference", "amount_change"),
    "change_ratio": Column("Change", "ratio_change"),
    "accrued_amount": Column("Earned so far", "amount"),
    "ahead_amount": Column("For days ahead", "amount"),
    "accrued_to_date": Column("Up to", "date"),
    "quota": Column("Quota", "code"),
    "quota_status": Column("State", "code"),
    "limit_value": Column("Limit", "value"),
    "used_value": Column("Used", "value"),
    "headroom_value": Column("Headroom", "value"),
    "utilization": Column("Utilization", "ratio"),
    "has_limit_changed": Column("Limit changed", "flag"),
    "reached_limit_at_utc": Column("Reached (UTC)", "time"),
    "ok_count": Column("OK", "count"),
    "warning_count": Column("Near (80 %)", "count"),
    "at_limit_count": Column("At the limit", "count"),
    "over_limit_count": Column("Over", "count"),
    "uncapped_count": Column("No limit", "count"),
    "not_measured_count": Column("Not measured", "count"),
    "no_quota_count": Column("No quota", "count"),
    "check_name": Column("Check", "code"),
    "check_status": Column("Result", "code"),
    "compared_count": Column("Compared", "count"),
    "explained_count": Column("Explained", "count"),
    "mismatch_count": Column("Differ", "count"),
    "largest_difference_credits": Column("Largest difference", "credits"),
    "tolerance_credits": Column("Tolerance", "credits"),
    "expected_credits": Column("Expected", "credits"),
    "actual_credits": Column("Found", "credits"),
    "difference_credits": Column("Difference", "credits_change"),
    "explained_credits": Column("Explained by rejected rows", "credits"),
    "unbilled_reason": Column("Reason", "code"),
    "vendor_cost": Column("Cost at the vendor", "amount"),
    "vendor_currency": Column("Vendor's currency", "currency"),
    "rejected_source": Column("Source", "code"),
    "rejected_reason": Column("Reason", "code"),
    "last_loaded_at_utc": Column("Last seen (UTC)", "time"),
}
"""By the name of the column in SQL."""

WORDS = {
    "raw_vs_staging": "Vendor's rows = typed sessions",
    "staging_vs_session_periods": "Typed sessions = sessions by month",
    "session_periods_vs_user_days": "Sessions by month = users by day",
    "user_days_vs_user_periods": "Users by day = users by month",
    "user_periods_vs_invoices": "Users by month = invoices",
    "facts_vs_vendor_rollup": "Users by month = vendor's usage report",
    "facts_vs_vendor_summary": "All users = vendor's summary",
    "vendor_rollup_vs_line_items": "Vendor's report = its line items",
    "storage_gb": "storage (GB)",
    "ok": "OK",
    "warning": "near",
    "unattributed": "belongs to nobody",
    "invoiced_users": "invoiced to users",
    "before_first_period": "before the first invoiced month",
    "crossing_sessions": "sessions across the month's end",
    "rejected": "rejected rows",
    "vendor": "the vendor's figure",
}
"""Our own words where the word itself, without its underscores, is not plain enough."""


def words(code: str) -> str:
    """One of our own words as people read it."""
    return WORDS.get(code, code.replace("_", " "))
