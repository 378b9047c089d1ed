"""How the API is asked for its own figures of a month."""

from __future__ import annotations

from datetime import datetime

from core.clock import to_text
from core.months import next_month


def rollup_params(month: datetime) -> dict[str, str]:
    """The query parameters for a month's rollup by user."""
    return {
        "group_by": "external_user_id",
        "period": "custom",
        "start": to_text(month),
        "end": to_text(next_month(month)),
    }


def summary_params(month: datetime) -> dict[str, str]:
    """The query parameters for a month's summary."""
    return {"period_start": to_text(month), "period_end": to_text(next_month(month))}
