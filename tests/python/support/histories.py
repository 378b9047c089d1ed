"""Random histories of what a warehouse gets to know: late sessions, corrections, voids, new owners, new prices, closes.

A history is a sequence of steps. Each gives the whole of what is known by then, not what changed, and whether the
first open period is closed after it. Everything comes from a seed. Histories that are made for one `Schedule` can be
merged, so that one warehouse checks hundreds at a time: they share the months, the closes, the currencies and the
default plans; with a `number`, all their own ids begin with it. The prices of every step are free of faults.
"""

from __future__ import annotations

import csv
import random
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import chain
from pathlib import Path
from typing import NamedTuple, TypeVar

from hypothesis import strategies as st

import billing_oracle
import oracle
from billing_oracle import (
    Billing,
    Currency,
    DayPart,
    Ledger,
    Plan,
    Price,
    Prices,
    Tier,
    UserPlan,
    days_of,
    next_period,
    period_of,
    periods_between,
)
from oracle import NANO, OwnerChange
from quota_oracle import PlanQuota, QuotaOverride

DAY = oracle.MICROSECONDS_PER_DAY
SECOND = oracle.MICROSECONDS

Row = TypeVar("Row")

USERS = ("0012", "a|b", "\u00e9", "e\u0301", 'O\'Neil "x"', "a,b;c", "user", "USER", "12", "1e5", "true", "x ")
PLANS = ("basic", "0007", "pro|2026-02-01", "\u00fcber", 'plan, "large"')
SESSIONS = ("s", "S", "0", "\u00e9", "a|", '",')
"""What the ids of users, plans and (with a number behind) sessions are made of."""
CURRENCIES = (Currency("EUR", 2), Currency("USD", 2), Currency("JPY", 0), Currency("KWD", 3), Currency("XTS", 1))
DEFAULTS = ("standard", "standard|2")
"""The plans that are the default now and then, the same for all histories."""

EDGES = (1, NANO // 2, NANO, 3 * NANO // 2, 10 * NANO, 31 * NANO, 333_333_333_333, 1000 * NANO)
UNIT_PRICES = (0, 1, 3_335_000, 5_000_000, 10_000_000, 15_000_000, 333_333_333, NANO, 5 * NANO // 2, 10**12 - 1)
FEES = (0, 0, 1, 5_000_000, 155_000_000, 29_990_000_000, 30 * NANO, 31 * NANO, 100 * NANO, 10**18 - 1)
ALLOWANCES = (0, 0, 0, 1, NANO // 2, NANO, 10 * NANO, 28 * NANO, 31 * NANO, 100_000_000_001)
MINIMUMS = (0, 0, 0, 5_000_000, 10_000_000, 10 * NANO, 50 * NANO, 10**18 - 1)
COSTS = (0, 0, 1, 3, NANO // 2, 7 * NANO // 5, NANO, 3 * NANO // 2, 10 * NANO, 12_345_678_901, 10**18 - 1)


class RawSession(NamedTuple):
    """A session as the API lists it. One that still runs has no end and runs for its seconds so far."""

    session_id: str
    user: str | None
    sandbox: str
    start: int
    end: int | None
    nano_credits: int
    seconds: int


@dataclass(frozen=True)
class State:
    """All that is known at a time."""

    sessions: tuple[RawSession, ...]
    owners: Mapping[str, tuple[OwnerChange, ...]]
    """The owners of each sandbox that has one, in the order in which they became known (rule 9)."""
    prices: Prices
    asked_at: int = 0
    """When the load began that showed what is new of the owners: by its clock, which goes back now and then."""


@dataclass(frozen=True)
class Step:
    """What is known, and whether the first open period is then closed."""

    state: State
    closes: bool


@dataclass(frozen=True)
class Schedule:
    """What all histories of one warehouse have in common, step by step."""

    months: tuple[str, ...]
    closes: tuple[bool, ...]
    asked_at: tuple[int, ...]
    """When the owners of sandboxes were asked for."""
    prices: tuple[Prices, ...]
    """The default plans with their prices, the currencies, and the variables."""


def place_of(row: RawSession) -> tuple[str | None, str | None]:
    """Project and workspace of a session: always the same ones of what is known of it, others once it is corrected."""
    rng = random.Random(repr((row.session_id, row.start, row.nano_credits)))
    return rng.choice((None, "p", "P", "\u00e9")), rng.choice((None, "w", "w|"))


def session_day_parts(state: State) -> list[DayPart]:
    """Whose each session is (rule 9), its interval (rule 12), and its parts by UTC day (rule 13)."""
    return billing_oracle.day_parts_of(
        oracle.Session(
            session_id=row.session_id,
            user=oracle.session_user(row.user, row.sandbox, row.start, state.owners),
            sandbox=row.sandbox,
            project=place_of(row)[0],
            workspace=place_of(row)[1],
            start=row.start,
            end=oracle.session_end(row.start, row.end, row.seconds, state.asked_at),
            is_running=row.end is None,
            nano_credits=row.nano_credits,
            seconds=row.seconds,
        )
        for row in state.sessions
    )


# --- Prices that change --------------------------------------------------------------------------------------------


@dataclass
class PriceBook:
    """Plans, price lists and assignments that change at random, and never leave a day without, or with two."""

    rng: random.Random
    days: tuple[str, ...]
    plans: dict[str, Plan]
    prices: dict[str, list[Price]]
    tiers: dict[tuple[str, str], list[Tier]]
    user_plans: dict[str, list[UserPlan]]

    @staticmethod
    def opened(rng: random.Random, days: tuple[str, ...], plan_ids: Iterable[str]) -> PriceBook:
        """A book with these plans, each with one price list for all time."""
        book = PriceBook(rng, days, {}, {}, {}, defaultdict(list))
        for plan_id in plan_ids:
            book.plans[plan_id] = Plan(plan_id, f"The {plan_id} plan", rng.choice(CURRENCIES[:4]).currency)
            book.prices[plan_id] = []
            book.add_price(plan_id, "2020-01-01", rng.choice((None, None, "2030-01-01")))
            if rng.random() < 0.4:
                book.split_price(plan_id)
        return book

    def add_price(self, plan_id: str, valid_from: str, valid_to: str | None) -> None:
        """A price list with numbers on the edges: half cents, nothing, one nano."""
        rng = self.rng
        numbers = rng.choice(FEES), rng.choice(ALLOWANCES), rng.choice(MINIMUMS)
        model = rng.choice(("graduated", "volume"))
        self.prices[plan_id].append(Price(plan_id, valid_from, valid_to, *numbers, model))
        edges = [0, *sorted(rng.sample(EDGES, rng.choice((0, 1, 1, 2, 3))))]
        self.tiers[plan_id, valid_from] = [Tier(plan_id, valid_from, edge, rng.choice(UNIT_PRICES)) for edge in edges]

    def split_price(self, plan_id: str) -> None:
        """New prices from some day on, also a past one, until the next ones."""
        day = self.some_day()
        for place, row in enumerate(self.prices[plan_id]):
            if row.valid_from < day and (row.valid_to is None or day < row.valid_to):
                self.prices[plan_id][place] = row._replace(valid_to=day)
                self.add_price(plan_id, day, row.valid_to)
                return

    def merge_price(self, plan_id: str) -> None:
        """A later price list is taken back: the one before holds on."""
        rows = self.prices[plan_id]
        later = [row for row in rows if row.valid_from > "2020-01-01"]
        if later:
            gone = self.rng.choice(later)
            del self.tiers[plan_id, gone.valid_from]
            self.prices[plan_id] = [
                row._replace(valid_to=gone.valid_to) if row.valid_to == gone.valid_from else row
                for row in rows
                if row != gone
            ]

    def edit_price(self, plan_id: str) -> None:
        """A number of a price list is edited where it stands."""
        rng = self.rng
        place = rng.randrange(len(self.prices[plan_id]))
        row = self.prices[plan_id][place]
        tiers = self.tiers[plan_id, row.valid_from]
        kind = rng.randrange(6)
        if kind == 0:
            row = row._replace(monthly_fee=rng.choice(FEES))
        elif kind == 1:
            row = row._replace(included_credits=rng.choice(ALLOWANCES))
        elif kind == 2:
            row = row._replace(minimum_charge=rng.choice(MINIMUMS))
        elif kind == 3:
            row = row._replace(tier_model="volume" if row.tier_model == "graduated" else "graduated")
        elif kind == 4:
            tier = rng.randrange(len(tiers))
            tiers = [t._replace(unit_price=rng.choice(UNIT_PRICES)) if n == tier else t for n, t in enumerate(tiers)]
        else:
            moved = {0, *rng.sample(EDGES, len(tiers) - 1)}
            tiers = [t._replace(tier_from_credits=edge) for t, edge in zip(tiers, sorted(moved), strict=True)]
        self.prices[plan_id][place] = row
        self.tiers[plan_id, row.valid_from] = tiers

    def change(self) -> None:
        """Some change of some plan."""
        plan_id = self.rng.choice(list(self.plans))
        kind = self.rng.randrange(8)
        if kind == 0:
            self.plans[plan_id] = self.plans[plan_id]._replace(currency=self.rng.choice(CURRENCIES).currency)
        elif kind == 1:
            self.merge_price(plan_id)
        elif kind < 4:
            self.split_price(plan_id)
        else:
            self.edit_price(plan_id)

    def some_day(self) -> str:
        """A day of these months: often a first one, the middle, or a last one."""
        rng = self.rng
        month = days_of(period_of(rng.choice(self.days)))
        return rng.choice((month[0], month[10], month[15], month[-1], rng.choice(month)))

    def assign(self, user: str, plan_ids: Sequence[str]) -> None:
        """A user is on some plan, or on none, from some day on, for good or until another; what was there gives way."""
        rng = self.rng
        start = "2025-12-01" if rng.random() < 0.2 else self.some_day()
        end = None if rng.random() < 0.5 else max(start, self.some_day())
        kept = []
        for row in self.user_plans[user]:
            before = row._replace(valid_to=start if row.valid_to is None else min(start, row.valid_to))
            after = row._replace(valid_from=row.valid_from if end is None else max(end, row.valid_from))
            kept += [before] if before.valid_from < (before.valid_to or "") else []
            kept += [after] if end is not None and (after.valid_to is None or after.valid_from < after.valid_to) else []
        if rng.random() < 0.85:
            kept.append(UserPlan(user, rng.choice(plan_ids), start, end))
        self.user_plans[user] = kept

    def copy(self, rng: random.Random) -> PriceBook:
        """The same book, to be changed apart."""
        return PriceBook(
            rng,
            self.days,
            dict(self.plans),
            {plan: list(rows) for plan, rows in self.prices.items()},
            dict(self.tiers),
            defaultdict(list, {user: list(rows) for user, rows in self.user_plans.items()}),
        )

    def rows(self, common: Prices) -> Prices:
        """The seeds: what all share, and these."""
        return replace(
            common,
            plans=(*common.plans, *self.plans.values()),
            prices=(*common.prices, *chain.from_iterable(self.prices.values())),
            tiers=(*common.tiers, *chain.from_iterable(self.tiers.values())),
            user_plans=(*common.user_plans, *chain.from_iterable(self.user_plans.values())),
        )


# --- What all histories share --------------------------------------------------------------------------------------


def make_schedule(
    seed: int, steps: int = 6, months: Sequence[str] | None = None, first_billing_period: str | None = ""
) -> Schedule:
    """Months, closes, default plans and currencies.

    Closes leave at least the last month open. The first billing period is one of the first two months; None leaves
    the variable empty. Once a period is closed the variable changes now and then, which must not matter.
    """
    rng = random.Random(f"schedule {seed}")
    if not months:
        first = f"2026-{rng.choice((1, 1, 2, 2, 3, 6, 9)):02d}"
        months = (first, second := next_period(first), third := next_period(second), next_period(third))
    if first_billing_period == "":
        first_billing_period = rng.choice((months[0], months[0], months[1]))
    days = tuple(day for month in months for day in days_of(month))
    book = PriceBook.opened(rng, days, DEFAULTS)
    to_close = len(periods_between(first_billing_period or months[0], months[-1])) - 1
    closes: list[bool] = []
    asked_at: list[int] = []
    prices: list[Prices] = []
    for number in range(steps):
        rng = random.Random(f"schedule {seed}/{number}")
        book.rng = rng
        if number and rng.random() < 0.3:
            book.change()
        default = DEFAULTS[0] if rng.random() < 0.8 else DEFAULTS[1]
        variable = first_billing_period
        if variable and any(closes) and rng.random() < 0.3:
            variable = rng.choice((None, months[0], months[-1]))
        variables = Prices(default_plan_id=default, first_billing_period=variable, currencies=CURRENCIES)
        prices.append(book.copy(rng).rows(variables))
        closes.append(sum(closes) < to_close and rng.random() < 0.5)
        # Midnight, when many sessions start, or any time.
        midnight = _month_start(rng.choice(months)) + rng.randrange(28) * DAY
        asked_at.append(midnight + rng.choice((0, rng.randrange(DAY))))
    return Schedule(tuple(months), tuple(closes), tuple(asked_at), tuple(prices))


# --- One history ---------------------------------------------------------------------------------------------------


@dataclass
class World:
    """What one history's API lists and its price book holds; both change at random."""

    rng: random.Random
    prefix: str
    months: tuple[str, ...]
    users: tuple[str, ...]
    sessions: dict[str, RawSession]
    owners: dict[str, tuple[OwnerChange, ...]]
    book: PriceBook
    past: list[RawSession]
    """All versions that a session ever had."""
    created: int = 0
    asked_at: int = 0
    """When the owners are asked for in this step; what they were known to be before is in `known_owners`."""
    known_owners: Mapping[str, tuple[OwnerChange, ...]] = field(default_factory=dict)

    def change(self, common: Prices) -> None:
        """Something becomes known, or known otherwise."""
        kind = self.rng.randrange(22)
        if kind < 5 or not self.sessions:
            self.new_session(common)
        elif kind < 8:
            session = self.any_session()
            self.put(session._replace(nano_credits=self.cost(common, session)))
        elif kind == 8:
            self.move()
        elif kind == 9:
            self.put(self.any_session()._replace(user=self.rng.choice((*self.users, None))))
        elif kind == 10:
            del self.sessions[self.rng.choice(list(self.sessions))]
        elif kind == 11:
            before = self.rng.choice(self.past)
            self.sessions[before.session_id] = before
        elif kind == 12:
            self.end_running()
        elif kind == 13:
            self.own(self.sandbox(), self.rng.choice(self.users))
        elif kind < 15:
            self.exchange()
        elif kind < 19:
            self.book.assign(self.rng.choice(self.users), (*self.book.plans, *(plan.plan_id for plan in common.plans)))
        else:
            self.book.change()

    def sandbox(self) -> str:
        """One of a few sandboxes, so that a new owner changes something."""
        return f"{self.prefix}box-{self.rng.randrange(3)}"

    def own(self, sandbox: str, owner: str) -> None:
        """A sandbox has an owner when this step asks for it; what it had in between stays unknown."""
        changes = self.known_owners.get(sandbox, ())
        is_new = not changes or changes[-1][1] != owner
        self.owners[sandbox] = (*changes, (self.asked_at, owner)) if is_new else changes

    def change_owner(self) -> None:
        """A sandbox gets another owner, and some of its sessions name no user."""
        sandbox = self.sandbox()
        self.own(sandbox, self.rng.choice(self.users))
        for session in self.rng.sample(list(self.sessions.values()), min(2, len(self.sessions))):
            if self.rng.random() < 0.5:
                self.put(session._replace(user=None, sandbox=sandbox))

    def owner_of(self, session: RawSession) -> str | None:
        """Whose a session is, as far as is known."""
        return session.user or oracle.owner_at(self.owners.get(session.sandbox, ()), session.start)

    def put(self, session: RawSession) -> None:
        """Add a session, or a version of one."""
        self.sessions[session.session_id] = session
        self.past.append(session)

    def any_session(self) -> RawSession:
        """Some session that is known."""
        return self.rng.choice(list(self.sessions.values()))

    def new_session(self, common: Prices) -> None:
        """A session that was not known: in any of the months, closed or not."""
        rng = self.rng
        self.created += 1
        start, end = self.interval()
        session = RawSession(
            f"{self.prefix}{rng.choice(SESSIONS)}{self.created}",
            rng.choice(self.users) if rng.random() < 0.8 else None,
            self.sandbox(),
            start,
            None if rng.random() < 0.15 else end,
            0,
            (end - start) // SECOND,
        )
        self.put(session._replace(nano_credits=self.cost(common, session)))

    def move(self) -> None:
        """A session was at another time; one that runs still does."""
        session, (start, end) = self.any_session(), self.interval()
        moved = session._replace(start=start, seconds=(end - start) // SECOND)
        self.put(moved if session.end is None else moved._replace(end=end))

    def exchange(self) -> None:
        """A session comes under another id, or two exchange their costs: a day may hold the credits that it held."""
        one, other = self.any_session(), self.any_session()
        if one != other:
            self.put(one._replace(nano_credits=other.nano_credits))
            self.put(other._replace(nano_credits=one.nano_credits))
        else:
            del self.sessions[one.session_id]
            self.created += 1
            self.put(one._replace(session_id=f"{self.prefix}new {self.created}"))

    def end_running(self) -> None:
        """A session that ran has ended, a while later, and cost more."""
        running = [session for session in self.sessions.values() if session.end is None]
        if running:
            session = self.rng.choice(running)
            end = min(
                session.start + (session.seconds + self.rng.choice((0, 1, 3600, 90_000))) * SECOND, self.span()[1]
            )
            cost = session.nano_credits + self.rng.choice((0, 1, NANO // 2, 9 * NANO // 10))
            self.put(session._replace(end=end, nano_credits=cost, seconds=(end - session.start) // SECOND))

    def span(self) -> tuple[int, int]:
        """From the first to after the last instant of the months."""
        return _month_start(self.months[0]), _month_start(next_period(self.months[-1]))

    def interval(self) -> tuple[int, int]:
        """Within the months; often from, to or over the end of a day or month, of no length, or begun with another."""
        rng = self.rng
        first, last = self.span()
        month = _month_start(rng.choice(self.months))
        start = month + rng.randrange(28) * DAY + rng.choice((0, 0, rng.randrange(DAY), DAY - 1, 22 * 3600 * SECOND))
        start = max(first, rng.choice((start, start, start, month - 1, month - 3600 * SECOND)))
        if self.sessions and rng.random() < 0.2:
            start = self.any_session().start
        next_day, next_month = (start // DAY + 1) * DAY, oracle.month_start(oracle.month_of(start) + 1)
        hours = start + rng.randrange(1, 6 * 3600) * SECOND
        end = rng.choice(
            (start, start + 1, hours, hours, hours, next_day, next_day + 1, next_month, next_month + 1, start + 3 * DAY)
        )
        return start, min(end, last)

    def cost(self, common: Prices, session: RawSession) -> int:
        """A cost: a known trap, a random one, or what brings the session's stretch to an edge, or beside it."""
        rng = self.rng
        kind = rng.randrange(4)
        if kind == 0:
            return rng.choice(COSTS if rng.random() < 0.3 else COSTS[:-1])
        if kind == 1:
            return rng.randrange(10 ** rng.randrange(1, 13))
        prices, day = self.book.rows(common), oracle.day_name(oracle.day_of(session.start))
        user, month = self.owner_of(session) or self.users[0], period_of(day)
        stretches = billing_oracle.stretches(prices, user, month, {day})
        price, days = next((price, days) for price, days in stretches.items() if day in days)
        allowance = price.included_credits * len(days) // len(days_of(month))
        others = sum(
            other.nano_credits
            for other in self.sessions.values()
            if other.session_id != session.session_id
            and self.owner_of(other) == user
            and oracle.day_name(oracle.day_of(other.start)) in days
        )
        edge = rng.choice(prices.tiers_of[price.plan_id, price.valid_from]).tier_from_credits
        return max(0, allowance + edge - others + rng.choice((-1, 0, 0, 1)))

    def state(self, common: Prices) -> State:
        """All that is known."""
        return State(tuple(self.sessions.values()), dict(self.owners), self.book.rows(common), self.asked_at)


def _month_start(month: str) -> int:
    return oracle.month_start(oracle.month_number(month))


def make_history(
    seed: int,
    schedule: Schedule | None = None,
    number: int | None = None,
    *,
    users: int = 2,
    sessions: int = 4,
    changes: int = 3,
) -> tuple[Step, ...]:
    """A history of its seed: so many users, sessions at the start, and changes a step at most.

    With a `number` (up to 9999) its own ids begin with that number's four digits. Each step draws from a seed of its
    own, so that a shorter schedule gives the same beginning.
    """
    schedule = schedule or make_schedule(seed)
    prefix = "" if number is None else f"{number:04d}"
    rng = random.Random(f"history {seed}")
    plans = [prefix + plan for plan in rng.sample(PLANS, rng.choice((1, 2, 2)))]
    names = tuple(prefix + user for user in rng.sample(USERS, users))
    days = tuple(day for month in schedule.months for day in days_of(month))
    book = PriceBook.opened(rng, days, plans)
    world = World(rng, prefix, schedule.months, names, {}, {}, book, [])
    for user in names:
        if rng.random() < 0.6:
            book.assign(user, plans)
    steps: list[Step] = []
    asked = zip(schedule.closes, schedule.asked_at, schedule.prices, strict=True)
    for place, (closes, world.asked_at, common) in enumerate(asked):
        world.known_owners = dict(world.owners)
        world.rng = world.book.rng = rng = random.Random(f"history {seed}/{place}")
        if place and rng.random() < 0.15:
            undo(world, rng.choice(steps).state, schedule.prices[0])
        else:
            for _ in range(rng.randrange(changes + 1) if place else sessions):
                world.change(common)
        world.rng = random.Random(f"owners {seed}/{place}")
        if world.rng.random() < 0.75:
            world.change_owner()
        steps.append(Step(world.state(common), closes))
    return tuple(steps)


def undo(world: World, state: State, common: Prices) -> None:
    """All of the history's own, sessions, owners and prices, is again what it was after an earlier step.

    That a sandbox had other owners in between stays known, and so does an owner that the API no longer names.
    """
    world.sessions = {session.session_id: session for session in state.sessions}
    for sandbox, changes in state.owners.items():
        world.own(sandbox, changes[-1][1])
    shared = {plan.plan_id for plan in common.plans}
    book = world.book
    book.plans = {plan.plan_id: plan for plan in state.prices.plans if plan.plan_id not in shared}
    book.prices, book.tiers, book.user_plans = {plan: [] for plan in book.plans}, {}, defaultdict(list)
    for price in state.prices.prices:
        if price.plan_id not in shared:
            book.prices[price.plan_id].append(price)
            book.tiers[price.plan_id, price.valid_from] = list(state.prices.tiers_of[price.plan_id, price.valid_from])
    for row in state.prices.user_plans:
        book.user_plans[row.external_user_id].append(row)


def merge(histories: Sequence[Sequence[Step]]) -> tuple[Step, ...]:
    """Many histories of one schedule, with numbers of their own, as one."""
    merged = []
    for steps in zip(*histories, strict=True):
        states = [step.state for step in steps]
        prices = replace(
            states[0].prices,
            plans=_together(state.prices.plans for state in states),
            prices=_together(state.prices.prices for state in states),
            tiers=_together(state.prices.tiers for state in states),
            user_plans=_together(state.prices.user_plans for state in states),
        )
        owners = {sandbox: changes for state in states for sandbox, changes in state.owners.items()}
        sessions = tuple(session for state in states for session in state.sessions)
        merged.append(Step(State(sessions, owners, prices, states[0].asked_at), steps[0].closes))
    return tuple(merged)


def _together(several: Iterable[Iterable[Row]]) -> tuple[Row, ...]:
    """All rows, those in common once."""
    return tuple(dict.fromkeys(chain.from_iterable(several)))


def merged_history(seed: int, count: int, steps: int = 6, **sizes: int) -> tuple[Step, ...]:
    """So many histories of one schedule, as one."""
    schedule = make_schedule(seed, steps)
    return merge([make_history(seed * 10_000 + number, schedule, number, **sizes) for number in range(count)])


class Outcome(NamedTuple):
    """What the oracle says of a step: the ledger before it, what is then open, and the ledger after it."""

    step: Step
    parts: list[DayPart]
    before: Ledger
    billing: Billing
    after: Ledger


def replay(history: Iterable[Step]) -> Iterator[Outcome]:
    """Each step of a history in turn, by the oracle. Nothing is closed where nothing is invoiced."""
    ledger = Ledger()
    for step in history:
        prices, parts, before = step.state.prices, session_day_parts(step.state), ledger
        billing = billing_oracle.invoice(prices, parts, before)
        if step.closes and billing.first_open_period is not None:
            ledger = billing_oracle.close(before, billing.first_open_period, prices, parts)
        yield Outcome(step, parts, before, billing, ledger)


def histories(max_steps: int = 8) -> st.SearchStrategy[tuple[Step, ...]]:
    """Histories of hypothesis's choosing, with few users, sessions, changes and steps first."""
    seeds = st.integers(0, 2**32)
    return st.builds(
        make_history,
        seeds,
        st.builds(make_schedule, st.integers(0, 50), st.integers(1, max_steps)),
        users=st.integers(1, 3),
        sessions=st.integers(0, 6),
        changes=st.integers(0, 4),
    )


# --- Seeds as files ------------------------------------------------------------------------------------------------


def decimal_text(nano: int) -> str:
    """Billionths as an exact decimal in plain text, without zeros at its end."""
    whole, fraction = divmod(abs(nano), NANO)
    return f"{'-' if nano < 0 else ''}{whole}.{fraction:09d}".rstrip("0").removesuffix(".")


class Customer(NamedTuple):
    """A row of `customers.csv`. Histories name nobody: no figure depends on it."""

    external_user_id: str
    customer_name: str
    email: str
    address: str
    country: str
    tax_id: str
    reference: str


class VendorPrice(NamedTuple):
    """A row of `vendor_prices.csv`."""

    valid_from: str
    valid_to: str | None
    price_per_credit: int
    currency: str


NANO_COLUMNS = {
    "price_per_credit",
    *("monthly_fee", "included_credits", "minimum_charge", "tier_from_credits", "unit_price"),
    *oracle.QUOTAS.values(),
}


def write_seeds(
    prices: Prices,
    folder: Path,
    plan_quotas: Sequence[PlanQuota] = (),
    overrides: Sequence[QuotaOverride] = (),
    vendor_prices: Sequence[VendorPrice] = (),
) -> None:
    """The seeds as CSV files; those without rows have their header. Histories set no quotas and no vendor's prices."""
    folder.mkdir(parents=True, exist_ok=True)
    tables: tuple[tuple[str, type[NamedTuple], Sequence[NamedTuple]], ...] = (
        ("plans", Plan, prices.plans),
        ("plan_prices", Price, prices.prices),
        ("plan_price_tiers", Tier, prices.tiers),
        ("user_plans", UserPlan, prices.user_plans),
        ("currencies", Currency, prices.currencies),
        ("plan_quotas", PlanQuota, plan_quotas),
        ("user_quota_overrides", QuotaOverride, overrides),
        ("customers", Customer, ()),
        ("vendor_prices", VendorPrice, vendor_prices),
    )
    for name, kind, rows in tables:
        with (folder / f"{name}.csv").open("w", encoding="utf-8", newline="") as file:
            writer = csv.writer(file, lineterminator="\n")
            writer.writerow(kind._fields)
            for row in rows:
                cells = zip(kind._fields, row, strict=True)
                writer.writerow(
                    [
                        decimal_text(value) if column in NANO_COLUMNS and isinstance(value, int) else value
                        for column, value in cells
                    ]
                )
