"""What plans and overrides ask for today, beside what is in force at the vendor as far as it was read."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from pathlib import Path
from typing import Any

from core.database.connection import Query
from core.errors import ApiError, WarehouseError
from core.sql_files import sql_files
from publish.quotas.limits import UNKNOWN, Limit, Quota, number_text, read_quota

sql = sql_files(__file__)


@dataclass(frozen=True, slots=True)
class Wanted:
    """A limit that a user is to have."""

    cap: Decimal | None
    """None: uncapped."""
    wanted_by: str
    """`plan` or `override`."""
    plan_id: str | None

    @property
    def why(self) -> str:
        """What asks for it, to show."""
        return f"plan {self.plan_id}" if self.wanted_by == "plan" else self.wanted_by

    def is_met_by(self, limit: Limit) -> bool:
        """Whether a limit does what is wanted. Without a quota nothing is capped; of an unknown one nobody can say."""
        return limit.state != "unknown" and limit.value == self.cap

    def __str__(self) -> str:
        """The limit, to show."""
        return "uncapped" if self.cap is None else number_text(self.cap)


@dataclass(frozen=True, slots=True)
class Difference:
    """A limit that is not what it is to be."""

    external_user_id: str
    quota: str
    in_force: Limit
    wanted: Wanted


@dataclass(frozen=True, slots=True)
class Comparison:
    """Everything wanted on a day, and where it is not in force."""

    day: date
    wanted: Mapping[str, Mapping[str, Wanted]]
    """By user and quota: what is managed, and nothing else."""
    differences: Sequence[Difference]
    users: int
    """How many users there are, managed or not."""

    @property
    def differing_users(self) -> list[str]:
        """Whom something differs for, in order."""
        return list(dict.fromkeys(difference.external_user_id for difference in self.differences))

    def first(self, users: int) -> Comparison:
        """The same for the first so many users that something differs for."""
        chosen = set(self.differing_users[:users])
        kept = [difference for difference in self.differences if difference.external_user_id in chosen]
        return Comparison(self.day, self.wanted, kept, self.users)

    def as_json(self) -> dict[str, Any]:
        """The document of `diff --json`. Amounts are texts, so that no reader makes floats of them."""
        return {
            "as_of": self.day.isoformat(),
            "user_count": self.users,
            "managed_user_count": len(self.wanted),
            "differing_user_count": len(self.differing_users),
            "differences": [
                {
                    "external_user_id": each.external_user_id,
                    "quota": each.quota,
                    "in_force": limit_json(each.in_force),
                    "wanted": limit_json(Limit("uncapped" if each.wanted.cap is None else "limit", each.wanted.cap)),
                    "wanted_by": each.wanted.wanted_by,
                    "plan_id": each.wanted.plan_id,
                }
                for each in self.differences
            ],
        }


def limit_json(limit: Limit) -> dict[str, str | None]:
    """A limit in a JSON document: its state, and the number as text."""
    return {"state": limit.state, "value": None if limit.value is None else number_text(limit.value)}


def require_built(query: Query, warehouse: Path) -> None:
    """Refuse a warehouse whose models are not built. Raises `WarehouseError`."""
    if query(sql("models_exist"), []) != [(True,)]:
        raise WarehouseError(f"the models in {warehouse} are not built: run `dbt build`")


def compare(query: Query, warehouse: Path, day: date) -> Comparison:
    """Compare what is wanted on a day (UTC) with the newest answers about quotas. Raises `WarehouseError`."""
    require_built(query, warehouse)
    wanted: dict[str, dict[str, Wanted]] = {}
    for user, quota, cap, wanted_by, plan_id in query(sql("desired_limits"), [day]):
        wanted.setdefault(user, {})[quota] = Wanted(cap, wanted_by, plan_id)
    known = in_force(query, wanted)
    differences = [
        Difference(user, quota, limit, each)
        for user, quotas in wanted.items()
        for quota, each in quotas.items()
        if not each.is_met_by(limit := known[user].limit(quota) if user in known else UNKNOWN)
    ]
    return Comparison(day, wanted, differences, query(sql("count_users"), [])[0][0])


def in_force(query: Query, users: Iterable[str]) -> dict[str, Quota]:
    """The quota of each of these users by the newest answer. Whose answer is missing or unreadable is left out."""
    found: dict[str, Quota] = {}
    for user, status, text in query(sql("effective_quotas"), [list(users)]):
        try:
            found[user] = read_quota(status, text)
        except (ApiError, ValueError, RecursionError):
            continue
    return found
