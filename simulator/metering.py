"""The vendor's own sums: credits and seconds by user, project or workspace, for any period.

It is what the warehouse is reconciled against, so it follows the billing rules in plain Python integers and shares no
code with the warehouse: who owns a session (rule 9), where it ends (rule 12), and how it is split at a cut (rule 13).
Amounts are nano-credits, instants microseconds since 1970 in UTC, periods half-open.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from simulator.rows import MICROSECONDS, NANO, Session
from simulator.tenant import OwnerChange, Tenant, owner_of

GroupBy = Literal["external_user_id", "external_project_id", "workspace_id"]
"""What a rollup adds up by."""

Attribution = Literal["split", "start", "end"]
"""How a session that crosses a period's end counts: by share, or whole where it starts, or whole where it ends."""

MICROSECONDS_PER_HOUR = 3600 * MICROSECONDS
MICROSECONDS_PER_DAY = 24 * MICROSECONDS_PER_HOUR
EARLIEST_START = 1_577_836_800 * MICROSECONDS
"""2020-01-01: what starts earlier is rejected, and so is what ends more than a day from now (rule 37)."""


@dataclass
class Rollup:
    """What was used in a period, by group; the group None is nobody. By several groups, a group is a tuple."""

    nano: Counter[Any] = field(default_factory=Counter)
    """Nano-credits."""
    sandbox_seconds: Counter[Any] = field(default_factory=Counter)
    """Billed seconds in what the list of sandboxes knows."""
    computer_seconds: Counter[Any] = field(default_factory=Counter)
    """Billed seconds in everything else."""

    @property
    def groups(self) -> list[str | None]:
        """All groups with a session in the period, in order, nobody last."""
        named = sorted(group for group in self.nano if group is not None)
        return [*named, None] if None in self.nano else list(named)


def end_of(session: Session, now: int) -> int:
    """Where a valid session ends: as stated, else after its billed seconds so far, else now (rule 12)."""
    start = session.start or 0
    if session.end is not None:
        return session.end
    if session.seconds is not None:
        return start + session.seconds * MICROSECONDS
    return max(start, now)


def used_by(amount: int, start: int, end: int, cut: int) -> int:
    """How much of `amount` a session over `[start, end)` had used by the cut: rule 13's telescoping floor.

    >>> used_by(100, 0, 3, 1), used_by(100, 0, 3, 2), used_by(100, 0, 3, 3)
    (33, 66, 100)
    """
    if cut >= end:
        return amount
    return 0 if cut <= start else amount * (cut - start) // (end - start)


def part(amount: int, start: int, end: int, since: int, until: int, attribution: Attribution = "split") -> int | None:
    """The part of `amount` that falls into `[since, until)`; None where no part of the session does.

    A session of no length lies whole in the period of its start; one that ends exactly on a cut lies before it.
    """
    if start == end or attribution == "start":
        return amount if since <= start < until else None
    if attribution == "end":
        return amount if since < end <= until else None
    if start >= until or end <= since:
        return None
    return used_by(amount, start, end, until) - used_by(amount, start, end, since)


def roll_up(
    tenant: Tenant, since: int, until: int, attribution: Attribution, group_by: GroupBy | tuple[GroupBy, ...]
) -> Rollup:
    """Add up all valid sessions' parts in `[since, until)`. A second or so for a million sessions."""
    owners, now = tenant.owners, tenant.now_microseconds
    known = {sandbox.id for sandbox in tenant.sandboxes}
    rollup = Rollup()
    for session in tenant.sessions:
        start, nano = session.start, session.nano
        if nano is None or start is None or start >= until:
            continue
        end = end_of(session, now)
        if end < since or start < EARLIEST_START or end > now + MICROSECONDS_PER_DAY:
            continue
        credits = part(nano, start, end, since, until, attribution)
        if credits is None:
            continue
        billed = session.seconds if session.seconds is not None else (end - start) // MICROSECONDS
        group: Any = (
            tuple(_group_of(session, owners, name) for name in group_by)
            if isinstance(group_by, tuple)
            else _group_of(session, owners, group_by)
        )
        rollup.nano[group] += credits
        kind = rollup.sandbox_seconds if session.computer in known else rollup.computer_seconds
        kind[group] += part(billed, start, end, since, until, attribution) or 0
    return rollup


def _group_of(session: Session, owners: Mapping[str, Sequence[OwnerChange]], name: GroupBy) -> str | None:
    """The group of one kind that a session belongs to."""
    if name == "external_user_id":
        return owner_of(session, owners)
    return session.project if name == "external_project_id" else session.workspace


def nano_text(nano: int) -> str:
    """A nano amount as an exact decimal, without needless zeros.

    >>> nano_text(1_500_000_000), nano_text(7), nano_text(0)
    ('1.5', '0.000000007', '0')
    """
    whole, fraction = divmod(nano, NANO)
    return f"{whole}.{fraction:09d}".rstrip("0").rstrip(".")


def whole_cents(nano: int) -> int:
    """A nano amount in whole cents, half away from zero (amounts here are never negative; 1 credit is 1 cent)."""
    return (nano + NANO // 2) // NANO
