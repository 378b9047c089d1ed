"""What is wanted of quotas, and what else the quota marts say, in plain integers (rules 15 to 17, and the seeds' own).

Written from the rules, sharing no code with the models: days one by one, no ranges. Limits are billionths, days are
`YYYY-MM-DD`.
"""

from __future__ import annotations

from typing import NamedTuple

UNCAPPED = "uncapped"
"""The word in a cell of an override that lifts a limit."""


class PlanQuota(NamedTuple):
    """A row of `plan_quotas.csv`: the limits of a plan, in billionths (None: uncapped)."""

    plan_id: str
    valid_from: str
    valid_to: str | None
    max_sandboxes: int | None
    max_concurrent: int | None
    max_storage_gb: int | None
    max_credit_cents: int | None


class QuotaOverride(NamedTuple):
    """A row of `user_quota_overrides.csv`: the limits of a user (None: as the plan says; `UNCAPPED`)."""

    external_user_id: str
    valid_from: str
    valid_to: str | None
    max_sandboxes: int | str | None
    max_concurrent: int | str | None
    max_storage_gb: int | str | None
    max_credit_cents: int | str | None
