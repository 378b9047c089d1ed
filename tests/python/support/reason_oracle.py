"""Why each adjustment must be there, from a record of what was known when, kept apart from the warehouse's SQL.

A `Record` reads each step of a history before it is invoiced. It notes which session was new, changed or gone, and when
each owner of a sandbox became known. What was billed, and on which plans, it learns at each close.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from typing import Any, NamedTuple

import billing_oracle
import oracle
from billing_oracle import Billing, DayPart, Ledger, LineKey, Prices
from histories import RawSession, State

PieceKey = tuple[LineKey, str, str]
UserPeriod = tuple[str, str]
PlanDays = frozenset[tuple[str, str | None]]


class Change(NamedTuple):
    """Why a row of usage is on an adjustment, and the step that brought it (None: no step did)."""

    reason: str
    step: int | None


@dataclass
class Record:
    """What is known of each session and sandbox, and since which step; and what the closes froze."""

    step: int = -1
    sessions: dict[str, RawSession] = field(default_factory=dict)
    versions: dict[str, list[int]] = field(default_factory=lambda: defaultdict(list))
    """The steps at which each session came, changed or went."""
    owners: dict[str, list[int]] = field(default_factory=lambda: defaultdict(list))
    """Of each sandbox, the steps at which its owners became known, in the order of `State.owners`."""
    state: State | None = None
    closed_step: int = -1
    """The newest step that was known at a close."""
    plans: dict[UserPeriod, PlanDays] = field(default_factory=dict)
    """The plans of each user's period on its days when it was billed last."""
    frozen_lines: dict[LineKey, str] = field(default_factory=dict)
    frozen_pieces: dict[PieceKey, Change] = field(default_factory=dict)

    def read(self, state: State) -> None:
        """The next step of the history."""
        self.step += 1
        today = {session.session_id: session for session in state.sessions}
        for session_id in self.sessions.keys() | today.keys():
            if self.sessions.get(session_id) != today.get(session_id):
                self.versions[session_id].append(self.step)
        for sandbox, changes in state.owners.items():
            self.owners[sandbox] += [self.step] * (len(changes) - len(self.owners[sandbox]))
        self.sessions, self.state = today, state

    def owner_of(self, session: RawSession) -> str:
        """Rule 9."""
        assert self.state is not None
        return oracle.session_user(session.user, session.sandbox, session.start, self.state.owners)

    def newest_step(self, session_id: str) -> int:
        """When the session came to be what and whose it is today."""
        session, step = self.sessions.get(session_id), self.versions[session_id][-1]
        if session is None or session.user is not None or not self.owners.get(session.sandbox):
            return step
        assert self.state is not None
        known = [n for n, (at, _) in enumerate(self.state.owners[session.sandbox]) if at <= session.start]
        return max(step, self.owners[session.sandbox][known[-1] if known else 0])

    def change_of(self, session_id: str, user: str, billed_to: set[str]) -> str:
        """Why a user's credits of the session differ from the billed ones. `billed_to`: whose these are."""
        session = self.sessions.get(session_id)
        if session is None:
            return "voided"
        owner = self.owner_of(session)
        if owner != user or billed_to - {user}:
            return "moved"
        if billed_to:
            return "corrected"
        if self.versions[session_id][0] > self.closed_step:
            return "late"
        return "corrected" if self.versions[session_id][-1] > self.closed_step else "moved"

    def explain(
        self, ledger: Ledger, billing: Billing, parts: Iterable[DayPart]
    ) -> tuple[dict[LineKey, str | None], dict[PieceKey, Change]]:
        """The reasons of all lines, None for those that adjust nothing; and of the usage of all adjustments."""
        assert self.state is not None
        prices = self.state.prices
        days: dict[tuple[str, str, str], int] = defaultdict(int)
        billed_to: dict[str, set[str]] = defaultdict(set)
        for piece in ledger.pieces:
            days[piece.line.external_user_id, piece.session_id, piece.usage_date] += piece.credits
        for (user, session_id, _), credits in days.items():
            if credits:
                billed_to[session_id].add(user)
        today = {(part.external_user_id, part.session_id, part.usage_date): part.nano_credits for part in parts}
        lines: dict[LineKey, str | None] = {line.key: self.frozen_lines.get(line.key) for line in ledger.lines}
        pieces = dict(self.frozen_pieces)
        reasons: dict[LineKey, set[str]] = {
            line.key: set() for line in billing.lines if line.key.line_type == "adjustment"
        }
        lines.update({line.key: None for line in billing.lines if line.key not in reasons})
        terms = self.terms(prices, ledger, reasons)
        for piece in billing.pieces:
            if piece.line in reasons:
                where = piece.line.external_user_id, piece.session_id, piece.usage_date
                if today.get(where, 0) == days.get(where, 0):
                    change = Change(terms[piece.line][0], None)
                else:
                    reason = self.change_of(piece.session_id, where[0], billed_to[piece.session_id])
                    change = Change(reason, self.newest_step(piece.session_id))
                pieces[piece.line, piece.session_id, piece.usage_date] = change
                reasons[piece.line].add(change.reason)
        for key, found in reasons.items():
            lines[key] = ", ".join(sorted(found | ({terms[key][0]} if terms[key][1] else set())))
        return lines, pieces

    def terms(self, prices: Prices, ledger: Ledger, keys: Iterable[LineKey]) -> dict[LineKey, tuple[str, bool]]:
        """Whether plans (`plan`) or prices (`price`) can be behind each adjustment, and whether they have an effect.

        What the ledger has of these users' periods is priced once more, by today's prices: does it come to another sum?
        """
        keys = list(keys)
        own = {(key.external_user_id, key.service_period) for key in keys}
        known: dict[tuple[str, str, str], int] = defaultdict(int)
        for piece in ledger.pieces:
            if (piece.line.external_user_id, piece.line.service_period) in own:
                known[piece.session_id, piece.line.external_user_id, piece.usage_date] += piece.credits
        parts = [DayPart(*where, 0, credits) for where, credits in known.items() if credits > 0]
        credited: dict[UserPeriod, set[str]] = defaultdict(set)
        for part in parts:
            credited[part.external_user_id, part.usage_date[:7]].add(part.usage_date)
        users = {user for user, _ in own}
        prices = replace(prices, user_plans=tuple(row for row in prices.user_plans if row.external_user_id in users))
        again, _ = billing_oracle.recompute(prices, parts, sorted({period for _, period in own}))
        sums: dict[tuple[str, str, str], list[int]] = defaultdict(lambda: [0, 0])
        for sign, several in ((1, again), (-1, ledger.lines)):
            for line in several:
                own_sums = sums[line.key.external_user_id, line.key.service_period, line.key.currency]
                own_sums[0] += sign * line.quantity_credits
                own_sums[1] += sign * line.amount_minor
        found = {}
        for key in keys:
            whose = key.external_user_id, key.service_period
            plans = frozenset(billing_oracle.plans_of_days(prices, *whose, credited[whose]))
            reason = "price" if self.plans.get(whose) == plans else "plan"
            found[key] = reason, sums[*whose, key.currency] != [0, 0]
        return found

    def close(self, ledger: Ledger, billing: Billing, parts: Iterable[DayPart]) -> None:
        """The first open period is closed: its reasons are frozen, and all that is known is known at a close."""
        assert self.state is not None
        parts = list(parts)
        lines, pieces = self.explain(ledger, billing, parts)
        credited: dict[UserPeriod, set[str]] = defaultdict(set)
        for part in parts:
            if billing_oracle.is_billed(part):
                credited[part.external_user_id, part.usage_date[:7]].add(part.usage_date)
        for line in billing.lines:
            key = line.key
            if key.invoice_period == billing.first_open_period:
                whose = key.external_user_id, key.service_period
                plans = billing_oracle.plans_of_days(self.state.prices, *whose, credited[whose])
                self.plans[whose] = frozenset(plans)
                if (reasons := lines[key]) is not None:
                    self.frozen_lines[key] = reasons
        self.frozen_pieces = pieces
        self.closed_step = self.step


def reason_differences(
    record: Record,
    ledger: Ledger,
    billing: Billing,
    parts: Iterable[DayPart],
    marts: dict[str, Any],
    step_of_load: dict[int, int],
) -> list[str]:
    """In what the marts' reasons are not the record's. `step_of_load`: the step that each load belongs to."""
    lines, pieces = record.explain(ledger, billing, parts)
    found = [
        f"{key}: adjustment_reasons is {row['adjustment_reasons']!r}, expected {lines.get(LineKey(*key))!r}"
        for key, row in marts["fct_invoice_lines"].items()
        if row["adjustment_reasons"] != lines.get(LineKey(*key))
    ]
    for key, row in marts["fct_invoice_line_usage"].items():
        expected = pieces.get((LineKey(*key[0]), *key[1:]), (None, None))
        load = row["change_load_id"]
        actual = row["change_reason"], None if load is None else step_of_load[load]
        if actual != tuple(expected):
            found.append(f"{key}: the change is {actual!r}, expected {tuple(expected)!r}")
    return found
