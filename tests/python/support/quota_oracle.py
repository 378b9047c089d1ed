"""What is wanted of quotas, and what else the quota marts say, in plain integers (rules 15 to 17, and the seeds' own).

Written from the rules, sharing no code with the models: days one by one, no ranges. Limits are billionths, days are
`YYYY-MM-DD`.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from functools import cached_property
from typing import Any, NamedTuple

import billing_oracle
from billing_oracle import Ledger, Prices, UserPlan, day_parts_of, holds
from oracle import (
    MICROSECONDS_PER_DAY,
    QUOTAS,
    UNATTRIBUTED,
    Known,
    Mart,
    QuotaAnswer,
    Session,
    concurrent_reached_at,
    credits_reached_at,
    distinct_sandboxes,
    first_runs_by_user,
    first_shown,
    month_name,
    month_number,
    month_parts,
    month_start,
    sandboxes_reached_at,
    used_by,
)

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


class Wanted(NamedTuple):
    """What is wanted of a user and quota on a day."""

    limit: int | None
    wanted_by: str
    plan_id: str | None


@dataclass(frozen=True)
class Scene:
    """All that the quota marts are made of."""

    prices: Prices
    plan_quotas: Sequence[PlanQuota]
    overrides: Sequence[QuotaOverride]
    sessions: Sequence[Session]
    known: Known
    """Loads, answers about quotas, storage. Its sessions are not read."""
    rejected_quotas: Sequence[QuotaAnswer]
    """Answers that cannot be used (rule 7): nothing follows from them."""
    counters: Mapping[tuple[str, int], tuple[int | None, int | None]]
    """The vendor's counts of sandboxes and of what runs, by user and load."""
    complete: Mapping[int, bool]
    """Whether each month is complete."""
    as_of_day: str

    @property
    def newest_start(self) -> int:
        """When the newest load began."""
        return max(load.started_at for load in self.known.loads)

    @property
    def current_month(self) -> int:
        """The newest complete month, or the newest."""
        return max(self.complete, key=lambda month: (self.complete[month], month))

    @cached_property
    def sessions_of(self) -> dict[str, list[Session]]:
        """The sessions of each user."""
        own: dict[str, list[Session]] = defaultdict(list)
        for session in self.sessions:
            own[session.user].append(session)
        return own

    @cached_property
    def invoiced_periods(self) -> list[str]:
        """The periods that are invoiced: none that begins after the newest load (rule 37)."""
        first, _, last = billing_oracle.billing_periods(self.prices, day_parts_of(self.sessions), Ledger())
        return [
            period
            for period in billing_oracle.periods_between(first, last)
            if month_start(month_number(period)) <= self.newest_start
        ]


# --- What is wanted ------------------------------------------------------------------------------------------------


def holding(rows: Iterable[Any], day: str) -> Any:
    """The row that holds on a day, or None."""
    return next((row for row in rows if holds(row, day)), None)


def plan_on(scene: Scene, user: str, day: str) -> str | None:
    """The plan that the user is on; the default one, if it exists, where none is assigned."""
    own = holding((row for row in scene.prices.user_plans if row.external_user_id == user), day)
    if own is not None:
        return str(own.plan_id)
    default = scene.prices.default_plan_id
    return default if any(plan.plan_id == default for plan in scene.prices.plans) else None


def wanted_on(scene: Scene, user: str, quota: str, day: str, plan: str | None) -> Wanted | None:
    """What is wanted on a day of a user on a plan; None where nobody says anything."""
    column = QUOTAS[quota]
    of_user = holding((row for row in scene.overrides if row.external_user_id == user), day)
    cell = None if of_user is None else getattr(of_user, column)
    if cell is not None:
        return Wanted(None if cell == UNCAPPED else cell, "override", plan)
    of_plan = holding((row for row in scene.plan_quotas if row.plan_id == plan), day)
    return None if of_plan is None else Wanted(getattr(of_plan, column), "plan", plan)


def users(scene: Scene) -> set[str]:
    """Everybody of whom something may be wanted."""
    return (
        {session.user for session in scene.sessions if session.user != UNATTRIBUTED}
        | {answer.user for answer in scene.known.quotas}
        | {row.external_user_id for row in scene.prices.user_plans}
        | {row.external_user_id for row in scene.overrides}
    )


def dim_quota_limits(scene: Scene) -> Mart:
    """Each limit that was ever seen, with what is wanted beside the newest one."""
    mart: Mart = {}
    answers: dict[str, list[QuotaAnswer]] = defaultdict(list)
    for answer in scene.known.quotas:
        answers[answer.user].append(answer)
    for user in users(scene):
        for quota, column in QUOTAS.items():
            wanted = wanted_on(scene, user, quota, scene.as_of_day, plan_on(scene, user, scene.as_of_day))
            shown = first_shown(answers[user], quota)
            limits = [
                (answer.limits is not None, (answer.limits or {}).get(column), answer.started_at) for answer in shown
            ]
            # Each answer that came before another limit was shown read this one.
            ends = [*(answer.load_id for answer in shown[1:]), 1 << 62] if shown else []
            last_read = [
                max((a for a in answers[user] if a.load_id < end), key=lambda a: a.load_id).started_at for end in ends
            ]
            nothing: dict[str, Any] = dict.fromkeys(
                ("wanted_limit_value", "wanted_by", "wanted_plan_id", "is_managed", "is_drifted")
            )
            newest: dict[str, Any] = {
                "wanted_limit_value": wanted and wanted.limit,
                "wanted_by": wanted and wanted.wanted_by,
                "wanted_plan_id": wanted and wanted.plan_id,
                "is_managed": wanted is not None,
                "is_drifted": wanted is not None and (limits[-1][1] if limits else None) != wanted.limit,
            }
            for place, (has_quota, limit, seen) in enumerate(limits):
                is_current = place == len(limits) - 1
                mart[user, quota, place + 1] = {
                    "has_quota": has_quota,
                    "limit_value": limit,
                    "seen_from_at_utc": seen,
                    "last_read_at_utc": last_read[place],
                    "in_force_from_at_utc": seen if place else None,
                    "in_force_to_at_utc": None if is_current else min(later[2] for later in limits[place + 1 :]),
                    "is_current": is_current,
                    **(newest if is_current else nothing),
                }
            if not limits and wanted is not None:
                unknown = (
                    *("has_quota", "limit_value", "seen_from_at_utc", "last_read_at_utc"),
                    *("in_force_from_at_utc", "in_force_to_at_utc"),
                )
                mart[user, quota, 0] = {**dict.fromkeys(unknown), "is_current": True, **newest}
    return mart


# --- Alerts, and what would help -----------------------------------------------------------------------------------


def crossed_at(scene: Scene, user: str, quota: str, month: int, limit: int, percent: int) -> int | None:
    """When use first came to the share: sums are whole, so at or over it is at or over it rounded up."""
    share = -(-limit * percent // 100)
    sessions = scene.sessions_of[user]
    own = month_parts(sessions).get((user, month), [])
    if quota == "credits":
        return credits_reached_at(own, share)
    if quota == "concurrent":
        return concurrent_reached_at(own, share)
    if quota == "sandboxes":
        runs = [run for run in first_runs_by_user(sessions).get(user, []) if run < month_start(month + 1)]
        return sandboxes_reached_at(runs, share, month_start(month))
    return None


def rpt_quota_alerts(scene: Scene, utilization: Mart, percents: Sequence[int] = (50, 80, 100)) -> Mart:
    """Who came to which share in the current period, and what would help those at 80 % or more of any limit."""
    month = scene.current_month
    mine = {(user, quota): row for (user, period, quota), row in utilization.items() if period == month_name(month)}
    warned = {user for (user, _), row in mine.items() if row["status"] in ("warning", "at_limit", "over_limit")}
    offers = {user: upgrade(scene, user, mine) for user in warned - {UNATTRIBUTED}}
    mart: Mart = {}
    for (user, quota), row in mine.items():
        limit, used = row["limit_value"], row["used_value"]
        if limit is None or not used:
            continue
        reached = [percent for percent in percents if (used * 100 >= limit * percent if limit else percent == 100)]
        for percent in reached:
            mart[user, quota, percent] = {
                "billing_period": month_name(month),
                "limit_value": limit,
                "used_value": used,
                "utilization": row["utilization"],
                "crossed_at_utc": crossed_at(scene, user, quota, month, limit, percent),
                "is_highest": percent == reached[-1],
                **offers.get(user, dict.fromkeys(OFFER)),
            }
    return mart


OFFER = (
    *("current_plan_id", "current_amount_minor", "current_amount", "current_currency"),
    *("upgrade_plan_id", "upgrade_amount_minor", "upgrade_amount", "upgrade_currency"),
)


def upgrade(scene: Scene, user: str, utilization: Mapping[tuple[str, str], dict[str, Any]]) -> dict[str, Any]:
    """The user's plan and what it comes to, and the cheapest plan on which no limit would have been reached."""
    period = month_name(scene.current_month)
    days = billing_oracle.days_of(period)
    plan = plan_on(scene, user, days[-1])
    offer: dict[str, Any] = {**dict.fromkeys(OFFER), "current_plan_id": plan}
    if plan is None:
        return offer
    currency = scene.prices.currency_of[plan]
    exponent = scene.prices.exponent_of[currency]
    parts = day_parts_of(scene.sessions_of[user])
    mine = replace(scene.prices, user_plans=tuple(scene.prices.plans_of.get(user, ())))

    def costs(prices: Prices) -> int:
        lines, _ = billing_oracle.recompute(prices, parts, [period])
        own = (line for line in lines if (line.key.external_user_id, line.key.currency) == (user, currency))
        return sum(line.amount_minor for line in own)

    if period in scene.invoiced_periods:
        offer["current_amount_minor"] = costs(mine)
        offer["current_amount"] = billing_oracle.thousandths(offer["current_amount_minor"], exponent)
        offer["current_currency"] = currency
    found = []
    for other in scene.prices.plans:
        prices_of = scene.prices.prices_of.get(other.plan_id, [])
        is_priced = all(holding(prices_of, day) for day in days)
        has_limits = holding((row for row in scene.plan_quotas if row.plan_id == other.plan_id), days[-1]) is not None
        if other.plan_id == plan or other.currency != currency or not is_priced or not has_limits:
            continue
        helps = True
        for quota in QUOTAS:
            wanted = wanted_on(scene, user, quota, days[-1], other.plan_id)
            limit, used = wanted and wanted.limit, utilization[user, quota]["used_value"]
            helps = helps and (limit is None or used < limit or used == 0)
        if helps:
            month_after = month_name(scene.current_month + 1) + "-01"
            assigned = (UserPlan(user, other.plan_id, days[0], month_after),)
            found.append((costs(replace(scene.prices, user_plans=assigned)), other.plan_id))
    if found:
        amount, offer["upgrade_plan_id"] = min(found)
        offer["upgrade_amount_minor"], offer["upgrade_currency"] = amount, currency
        offer["upgrade_amount"] = billing_oracle.thousandths(amount, exponent)
    return offer


# --- Forecast and counters -----------------------------------------------------------------------------------------

WEEK = 7 * MICROSECONDS_PER_DAY
MOST = 10**29 - 1
"""In nano-credits, what a column holds."""


def used_between(sessions: Iterable[Session], start: int, end: int) -> int:
    """What sessions used from one instant to a later one, each cut exactly (rule 13)."""
    total = 0
    for session in sessions:
        if session.start == session.end:
            total += session.nano_credits if start <= session.start < end else 0
        else:
            total += used_by(session.nano_credits, session, end) - used_by(session.nano_credits, session, start)
    return total


def fct_quota_forecast(scene: Scene, utilization: Mart, method: str = "last_7_days") -> Mart:
    """Credits by the period's end at two rates, as fractions until the last step, and when each comes to the limit."""
    month = scene.current_month
    start, end = month_start(month), month_start(month + 1)
    now = min(end, scene.newest_start)
    mart: Mart = {}
    for (user, period, quota), row in utilization.items():
        if period != month_name(month) or quota != "credits":
            continue
        so_far, limit = row["used_value"], row["limit_value"]
        recent = used_between(scene.sessions_of[user], now - WEEK, now)
        rates = (
            {"run_rate": Fraction(so_far, now - start), "last_7_days": Fraction(recent, WEEK)} if now > start else {}
        )
        target = None if limit is None else max(limit, 1)
        is_reached = target is not None and so_far >= target
        cells: dict[str, Any] = {}
        for name in ("run_rate", "last_7_days"):
            rate, expected, moment = rates.get(name), None, None
            if rate is not None:
                expected = min(int(so_far + rate * (end - now)), MOST)
                if target is not None and rate and not is_reached:
                    at = now + -((so_far - target) // rate)
                    moment = at if at <= end else None
            cells[f"{name}_expected_credits"] = expected
            cells[f"{name}_reached_at_utc"] = row["reached_limit_at_utc"] if is_reached else moment
        both = [cells["run_rate_expected_credits"], cells["last_7_days_expected_credits"]]
        mart[user, month_name(month)] = {
            "as_of_at_utc": now,
            "limit_value": limit,
            "credits_so_far": so_far,
            "last_7_days_credits": recent,
            **cells,
            "low_expected_credits": None if None in both else min(both),
            "high_expected_credits": None if None in both else max(both),
            "expected_credits": cells[f"{method}_expected_credits"],
            "is_limit_reached": is_reached,
            "expected_reached_at_utc": cells[f"{method}_reached_at_utc"],
        }
    return mart


def rpt_quota_counters(scene: Scene) -> Mart:
    """The vendor's newest counts beside ours at the same instant."""
    mart: Mart = {}
    for answer in sorted(scene.known.quotas, key=lambda answer: answer.load_id):
        at = answer.started_at
        own = [session for session in scene.sessions_of[answer.user] if session.start <= at]
        ours = (
            len(distinct_sandboxes(own)),
            sum(session.is_running or at < session.end for session in own),
        )
        told = scene.counters.get((answer.user, answer.load_id), (None, None))
        for name, vendor, our in zip(("sandboxes", "concurrent"), told, ours, strict=True):
            if vendor is not None and answer.limits is not None:
                mart[answer.user, name] = {
                    "read_at_utc": at,
                    "vendor_value": vendor,
                    "our_value": our,
                    "difference": vendor - our,
                }
    return mart
