"""Desired limits (by plans and overrides) compared with the effective limits at the vendor, as last read."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import date
from decimal import Decimal
from pathlib import Path
from typing import Any

from core.database.connection import Query
from core.errors import ApiError, WarehouseError
from core.sql_files import sql_files
from publish.quotas.interrupted import InterruptedChange, interrupted_changes
from publish.quotas.limits import UNKNOWN, Limit, Quota, number_text, read_quota

sql = sql_files(__file__)


@dataclass(frozen=True, slots=True)
class DesiredLimit:
    """A limit that a user should have."""

    cap: Decimal | None
    """None: uncapped."""
    wanted_by: str
    """`plan` or `override`; `interrupted` for a limit that an interrupted change was to keep."""
    plan_id: str | None

    @property
    def is_restored(self) -> bool:
        """Whether the limit is only set again where the vendor has none: nothing asks for this very one."""
        return self.wanted_by == "interrupted"

    @property
    def why(self) -> str:
        """Which plan or override asks for it."""
        if self.is_restored:
            return "kept by an interrupted change"
        return f"plan {self.plan_id}" if self.wanted_by == "plan" else self.wanted_by

    def is_met_by(self, limit: Limit) -> bool:
        """Whether an effective limit is the desired one. No quota means no cap; an unknown limit is never met."""
        if self.is_restored:
            return limit.value is not None
        return limit.state != "unknown" and limit.value == self.cap

    def __str__(self) -> str:
        """The limit as text."""
        return "uncapped" if self.cap is None else number_text(self.cap)


@dataclass(frozen=True, slots=True)
class Difference:
    """A limit that is not the desired one."""

    external_user_id: str
    quota: str
    effective: Limit
    desired: DesiredLimit


@dataclass(frozen=True, slots=True)
class Comparison:
    """All desired limits of a day, and those that are not effective."""

    day: date
    desired: Mapping[str, Mapping[str, DesiredLimit]]
    """By user and quota; limits that nothing asks for are not in it."""
    differences: Sequence[Difference]
    users: int
    """The number of all users."""
    interrupted: Mapping[str, InterruptedChange] = field(default_factory=dict)
    """Changes that were cut off, by user: those users are looked at whether or not a difference shows."""
    unproven: str | None = None
    """Why no build has proven the desired limits; None if one has."""

    @property
    def differing_users(self) -> list[str]:
        """The users with differences or an interrupted change, in order."""
        return sorted({*(difference.external_user_id for difference in self.differences), *self.interrupted})

    def first(self, users: int) -> Comparison:
        """The same with the differences of the first so many users only."""
        chosen = set(self.differing_users[:users])
        differences = [difference for difference in self.differences if difference.external_user_id in chosen]
        interrupted = {user: change for user, change in self.interrupted.items() if user in chosen}
        return replace(self, differences=differences, interrupted=interrupted)

    def as_json(self) -> dict[str, Any]:
        """The document of `diff --json`. Amounts are strings, so that no reader turns them into floats."""
        return {
            "as_of": self.day.isoformat(),
            "unproven": self.unproven,
            "user_count": self.users,
            "managed_user_count": len(self.desired),
            "differing_user_count": len(self.differing_users),
            "differences": [
                {
                    "external_user_id": each.external_user_id,
                    "quota": each.quota,
                    "in_force": limit_json(each.effective),
                    "wanted": limit_json(Limit("uncapped" if each.desired.cap is None else "limit", each.desired.cap)),
                    "wanted_by": each.desired.wanted_by,
                    "plan_id": each.desired.plan_id,
                }
                for each in self.differences
            ],
        }


def limit_json(limit: Limit) -> dict[str, str | None]:
    """A limit in a JSON document: its state, and the number as a string."""
    return {"state": limit.state, "value": None if limit.value is None else number_text(limit.value)}


def require_built(query: Query, warehouse: Path) -> None:
    """Refuse a warehouse whose models are not built. Raises `WarehouseError`."""
    if query(sql("models_exist"), []) != [(True,)]:
        raise WarehouseError(f"the models in {warehouse} are not built: run `dbt build`")


def compare(query: Query, day: date) -> Comparison:
    """Compare the desired limits of a day (UTC) with the newest answers about quotas, in a warehouse that is built."""
    desired: dict[str, dict[str, DesiredLimit]] = {}
    for user, quota, cap, wanted_by, plan_id in query(sql("desired_limits"), [day]):
        desired.setdefault(user, {})[quota] = DesiredLimit(cap, wanted_by, plan_id)
    interrupted = interrupted_changes(query)
    for user, change in interrupted.items():
        own = desired.setdefault(user, {})
        for quota, cap in change.quota.caps.items():
            own.setdefault(quota, DesiredLimit(cap, "interrupted", None))
    known = effective_quotas(query, desired)
    differences = [
        Difference(user, quota, limit, each)
        for user, quotas in desired.items()
        for quota, each in quotas.items()
        if not each.is_met_by(limit := known[user].limit(quota) if user in known else UNKNOWN)
    ]
    return Comparison(day, desired, differences, query(sql("count_users"), [])[0][0], interrupted)


def effective_quotas(query: Query, users: Iterable[str]) -> dict[str, Quota]:
    """The quota of each user by the newest answer. Users without a readable answer are left out."""
    found: dict[str, Quota] = {}
    for user, status, text in query(sql("effective_quotas"), [list(users)]):
        try:
            found[user] = read_quota(status, text, user)
        except (ApiError, ValueError, RecursionError):
            continue
    return found
