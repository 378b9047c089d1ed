"""A user's quota as the vendor returns it, in every shape, and as it is sent. Amounts are exact decimals."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import ROUND_HALF_UP, Context, Decimal
from typing import Any, Literal

from core import canonical
from core.errors import ApiError

FIELDS = {
    "credits": "max_credit_cents",
    "concurrent": "max_concurrent",
    "sandboxes": "max_sandboxes",
    "storage_gb": "max_storage_gb",
}
"""The quotas, as the marts name them, and the vendor's name of each one's limit."""

State = Literal["limit", "uncapped", "no_quota", "unknown"]

EXACT = Context(prec=100, rounding=ROUND_HALF_UP)
"""Arithmetic wide enough to be exact for all sizes that occur here."""

# Each counter by its names in the vendor's shapes; of several that are there, the last counts.
_COUNTERS = (
    ("sandboxes", "current_sandboxes"),
    ("sandboxes", "sandboxes"),
    ("sandboxes", "total_sandboxes"),
    ("concurrent", "concurrent"),
)
_NUMBER = re.compile(r"-?(0|[1-9][0-9]*)(\.[0-9]+)?([eE][+-]?[0-9]+)?")
_DECIMALS, _WHOLE_DIGITS = 9, 20


@dataclass(frozen=True, slots=True)
class Limit:
    """One limit: a number, or the reason why there is none."""

    state: State
    value: Decimal | None = None
    """The number, in the quota's unit; None in any other state."""

    def __str__(self) -> str:
        """The limit as text."""
        return self.state.replace("_", " ") if self.value is None else number_text(self.value)


UNKNOWN = Limit("unknown")
"""The limit of a user whose quota was never read, or is unreadable."""


@dataclass(frozen=True, slots=True)
class Quota:
    """The vendor's answer about a user's quota."""

    has_quota: bool
    caps: Mapping[str, Decimal]
    """The limits that are set, by quota."""
    others: Mapping[str, Any] = field(default_factory=dict)
    """Limits of other names, as JSON values: sent again when the quota is replaced."""
    used: Mapping[str, Decimal] = field(default_factory=dict)
    """The vendor's live counters, by quota."""

    def limit(self, quota: str) -> Limit:
        """One limit."""
        if not self.has_quota:
            return Limit("no_quota")
        value = self.caps.get(quota)
        return Limit("uncapped") if value is None else Limit("limit", value)


NO_QUOTA = Quota(has_quota=False, caps={})


def read_quota(status: int, text: str | None, user: str | None = None) -> Quota:
    """Read an answer about a user's quota as the models do (`stg_miosa__quotas`).

    The quota is the answer, or stands under `data`, then under `quota` or `quotas`; it may be the only item of a list.
    Raises `ApiError` for any other shape: it must not pass for a quota without limits.
    """
    if status == 404:
        return NO_QUOTA
    value = canonical.parse(text or "null")
    quota, is_listed = value, False
    for names in (("data",), ("quota", "quotas")):
        if isinstance(quota, dict):
            quota = next((quota[name] for name in names if quota.get(name) is not None), quota)
        if isinstance(quota, list):
            quota, is_listed = _only_item(quota), True
    if not isinstance(quota, dict):
        raise ApiError("the answer about the quota is no object")
    named = quota.get("external_user_id")
    if is_listed and user is not None and isinstance(named, str) and not isinstance(named, canonical.Number) and named:
        _require_same(user, canonical.spell_surrogates(named))
    limits = quota if quota.get("limits") is None else _object(quota["limits"], "has limits that are no object")
    # Limits that are null or an empty object are all left out. Other names may mean anything.
    is_left_out = "limits" in quota and not quota["limits"] and not any(name in quota for name in FIELDS.values())
    if not is_left_out and not any(name in limits for name in FIELDS.values()):
        raise ApiError("the answer about the quota names no limit")
    usage = quota.get("usage")
    counters = {"current_sandboxes": quota.get("current_sandboxes"), **(usage if isinstance(usage, dict) else {})}
    return Quota(
        has_quota=True,
        caps={quota: _limit(limits[name], name) for quota, name in FIELDS.items() if limits.get(name) is not None},
        others={
            name: value
            for name, value in limits.items()
            if name.startswith("max_") and name not in FIELDS.values() and value is not None
        },
        used={
            quota: counted
            for quota, name in _COUNTERS
            if (counted := number(counters.get(name))) is not None and _fits_warehouse(counted)
        },
    )


def read_body(text: str) -> Quota:
    """The quota that a body of `quota_body` sets."""
    limits = canonical.parse(text)
    return Quota(
        has_quota=True,
        caps={quota: _limit(limits[name], name) for quota, name in FIELDS.items() if limits.get(name) is not None},
        others={name: value for name, value in limits.items() if name not in FIELDS.values()},
    )


def quota_body(caps: Mapping[str, Decimal], others: Mapping[str, Any]) -> str | None:
    """The body that sets exactly these limits; None if nothing is capped, so that no quota is needed."""
    numbers = {FIELDS[quota]: canonical.Number(number_text(value)) for quota, value in sorted(caps.items())}
    members = {**others, **numbers}
    return canonical.dump(members) if members else None


def number(value: Any) -> Decimal | None:
    """A number as JSON spells it, also inside a string; None for anything else."""
    return Decimal(value) if isinstance(value, str) and _NUMBER.fullmatch(value) else None


def number_text(value: Decimal) -> str:
    """A number without an exponent and without needless zeros.

    >>> number_text(Decimal("1E+2")), number_text(Decimal("0.500000000"))
    ('100', '0.5')
    """
    text = f"{value:f}"
    return (text.rstrip("0").rstrip(".") if "." in text else text) or "0"


def _require_same(user: str, named: str) -> None:
    """Raise `ApiError` if a list of one is about another user."""
    if named != user:
        raise ApiError("the answer about the quota is about another user")


def _only_item(items: list[Any]) -> Any:
    """The item of a list of one."""
    if len(items) != 1:
        raise ApiError(f"the answer about the quota is a list of {len(items)}")
    return items[0]


def _object(value: Any, error: str) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise ApiError(f"the answer about the quota {error}")
    return value


def _limit(value: Any, name: str) -> Decimal:
    """A limit: a number from 0 that the warehouse can hold exactly."""
    found = number(value)
    if found is None or not _fits_warehouse(found):
        raise ApiError(f"the answer about the quota has a {name} that cannot be read")
    return found.copy_abs()  # -0 is zero; abs() would round


def _fits_warehouse(value: Decimal) -> bool:
    """Whether the warehouse can hold a number exactly: not negative, 9 decimals, 20 digits before the point."""
    sign, digits, exponent = value.as_tuple()
    if not any(digits):
        return True
    significand = "".join(map(str, digits)).rstrip("0")
    places = int(exponent) + len(digits) - len(significand)
    return not sign and places >= -_DECIMALS and len(significand.lstrip("0")) + places <= _WHOLE_DIGITS
