"""What must be invoiced, worked out from billing rules 3 and 18-31 alone, in plain Python integers.

The second opinion of the pricing and ledger tests: it shares no code and no idea with the warehouse's SQL, and is
written to be read by an auditor with the rules beside it; each function names the rule that it states. Credits are
nano-credits, prices nano currency units (a credit), amounts minor units. Days are ISO texts (`2026-02-01`), periods
their first seven letters; both compare as texts. No float is used.

The way through: `recompute` makes the lines of each user and service period from today's knowledge; `invoice` sets
them against the `Ledger` and gives the open lines; `close` freezes those of the first open period. `faults` is what
must stop the build before any of it. A caller with faults gets no invoice: `invoice` assumes there are none.
"""

from __future__ import annotations

from calendar import monthrange
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from functools import cached_property, lru_cache
from itertools import combinations
from typing import Any, NamedTuple

from oracle import NANO, UNATTRIBUTED, Mart, Session, day_name, day_parts, month_name, month_number, round_half_away
from share_oracle import running_differences, shares, whole_units

# --- What is known -------------------------------------------------------------------------------------------------


class Plan(NamedTuple):
    """A row of `plans.csv`."""

    plan_id: str
    plan_name: str
    currency: str


class Price(NamedTuple):
    """A row of `plan_prices.csv`: a plan's price list from a day until before another (None: for good)."""

    plan_id: str
    valid_from: str
    valid_to: str | None
    monthly_fee: int
    included_credits: int
    minimum_charge: int
    tier_model: str


class Tier(NamedTuple):
    """A row of `plan_price_tiers.csv`."""

    plan_id: str
    valid_from: str
    tier_from_credits: int
    unit_price: int


class UserPlan(NamedTuple):
    """A row of `user_plans.csv`."""

    external_user_id: str
    plan_id: str
    valid_from: str
    valid_to: str | None


class Currency(NamedTuple):
    """A row of `currencies.csv`: how many decimals the minor unit has."""

    currency: str
    exponent: int


@dataclass(frozen=True)
class Prices:
    """The seeds, and the two variables that go with them."""

    plans: tuple[Plan, ...] = ()
    prices: tuple[Price, ...] = ()
    tiers: tuple[Tier, ...] = ()
    user_plans: tuple[UserPlan, ...] = ()
    currencies: tuple[Currency, ...] = ()
    default_plan_id: str | None = None
    first_billing_period: str | None = None

    @cached_property
    def currency_of(self) -> dict[str, str]:
        """The currency of each plan."""
        return {plan.plan_id: plan.currency for plan in self.plans}

    @cached_property
    def exponent_of(self) -> dict[str, int]:
        """The exponent of each currency."""
        return {row.currency: row.exponent for row in self.currencies}

    @cached_property
    def prices_of(self) -> dict[str, list[Price]]:
        """The price lists of each plan."""
        rows: dict[str, list[Price]] = defaultdict(list)
        for row in self.prices:
            rows[row.plan_id].append(row)
        return dict(rows)

    @cached_property
    def tiers_of(self) -> dict[tuple[str, str], list[Tier]]:
        """The tiers of each price list, by their edges."""
        rows: dict[tuple[str, str], list[Tier]] = defaultdict(list)
        for row in sorted(self.tiers, key=lambda tier: tier.tier_from_credits):
            rows[row.plan_id, row.valid_from].append(row)
        return dict(rows)

    @cached_property
    def plans_of(self) -> dict[str, list[UserPlan]]:
        """The assignments of each user."""
        rows: dict[str, list[UserPlan]] = defaultdict(list)
        for row in self.user_plans:
            rows[row.external_user_id].append(row)
        return dict(rows)


class Place(NamedTuple):
    """Where a session ran."""

    external_project_id: str | None = None
    workspace_id: str | None = None
    sandbox_id: str | None = None


class DayPart(NamedTuple):
    """A session's part on one UTC day (rule 13); nobody's is `(unattributed)`'s."""

    session_id: str
    external_user_id: str
    usage_date: str
    part_start: int
    nano_credits: int
    seconds: int = 0
    place: Place = Place()


def day_parts_of(sessions: Iterable[Session]) -> list[DayPart]:
    """The sessions as billing reads them: by UTC day."""
    return [
        DayPart(
            part.session.session_id,
            user,
            day_name(day),
            part.start,
            part.nano_credits,
            part.seconds,
            Place(part.session.project, part.session.workspace, part.session.sandbox),
        )
        for (user, day), own in day_parts(sessions).items()
        for part in own
    ]


# --- What comes of it ----------------------------------------------------------------------------------------------


class LineKey(NamedTuple):
    """What tells an invoice line from all others."""

    external_user_id: str
    invoice_period: str
    service_period: str
    line_type: str
    currency: str
    plan_id: str | None = None
    price_valid_from: str | None = None
    tier_from_credits: int | None = None


class Line(NamedTuple):
    """An invoice line."""

    key: LineKey
    quantity_credits: int
    unit_price: int | None
    amount_minor: int
    days: tuple[str, ...] = ()
    """Rule 40: the days that it is for; of an adjustment, all days of the period that it corrects."""


class Piece(NamedTuple):
    """Rule 29: what of a session's day stands on a line."""

    line: LineKey
    session_id: str
    usage_date: str
    credits: int
    seconds: int = 0
    place: Place = Place()
    share: int = 0
    """Rule 39: its share of the line's amount, in billionths of the currency unit."""


Lines = tuple[Line, ...]
Pieces = tuple[Piece, ...]


@dataclass(frozen=True)
class Ledger:
    """Rule 23: what is closed, in the order in which it was; it is only ever added to."""

    closed_periods: tuple[str, ...] = ()
    lines: Lines = ()
    pieces: Pieces = ()
    exponents: Mapping[str, int] = field(default_factory=dict)
    """The exponent of each currency in which a line was closed."""


@dataclass(frozen=True)
class Billing:
    """What follows from today's knowledge and the ledger; the periods are None while nothing is invoiced."""

    first_billing_period: str | None
    first_open_period: str | None
    last_period: str | None
    recomputed: tuple[Lines, Pieces]
    lines: Lines
    """The open lines, adjustments last."""
    pieces: Pieces
    """The pieces of the open lines."""


# --- The calendar (rule 11) ----------------------------------------------------------------------------------------


def period_of(day: str) -> str:
    """The billing period of a day."""
    return day[:7]


def next_period(period: str) -> str:
    """The month after."""
    return month_name(month_number(period) + 1)


def periods_between(first: str | None, last: str | None) -> list[str]:
    """All periods from the first to the last, both included."""
    periods: list[str] = []
    while first is not None and last is not None and first <= last:
        periods.append(first)
        first = next_period(first)
    return periods


@lru_cache(maxsize=1000)
def days_of(period: str) -> tuple[str, ...]:
    """All days of a period."""
    count = monthrange(int(period[:4]), int(period[5:]))[1]
    return tuple(f"{period}-{day:02d}" for day in range(1, count + 1))


def holds(row: Any, day: str) -> bool:
    """Rule 18: ranges are half-open; one without an end holds for good."""
    return row.valid_from <= day and (row.valid_to is None or day < row.valid_to)


def is_none(row: UserPlan | Price) -> bool:
    """Rule 18: a range that ends on the day it begins holds on no day. Whatever else it says, it is no row."""
    return row.valid_from == row.valid_to


def is_billed(part: DayPart) -> bool:
    """Rule 19: unattributed usage is never invoiced; usage that cost nothing is none."""
    return part.external_user_id != UNATTRIBUTED and part.nano_credits > 0


# --- Stretches (rules 18, 19, 20) ----------------------------------------------------------------------------------


def plans_of_days(prices: Prices, user: str, period: str, credited: Iterable[str]) -> Iterator[tuple[str, str | None]]:
    """Rule 19: the billable days of a user's period, each with its plan (None: it has none, and needs one).

    Days are billable when assigned, with or without usage. Once credits fall on an unassigned day, all unassigned
    days of the period are on the default plan. A day with several plans comes several times; that is a fault.
    """
    rows = prices.plans_of.get(user, [])
    assigned = {day: [row.plan_id for row in rows if holds(row, day)] for day in days_of(period)}
    uncovered = {day for day in credited if not assigned[day]}
    for day, plans in assigned.items():
        for plan in plans:
            yield day, plan
        if not plans and uncovered and (prices.default_plan_id is not None or day in uncovered):
            yield day, prices.default_plan_id


def stretches(prices: Prices, user: str, period: str, credited: Iterable[str]) -> dict[Price, list[str]]:
    """Rule 20: all days of a period with the same plan and price row, next to each other or not."""
    days: dict[Price, list[str]] = defaultdict(list)
    for day, plan in plans_of_days(prices, user, period, credited):
        (row,) = (row for row in prices.prices_of[plan or ""] if holds(row, day))
        days[row].append(day)
    return dict(days)


# --- The lines of a stretch (rules 3, 20, 21, 22, 29) --------------------------------------------------------------


def tier_quantities(tiers: Sequence[Tier], tier_model: str, quantity: int) -> list[tuple[Tier, int]]:
    """Rule 21: which tiers the credits after the allowance are in, and how many of them in each.

    Volume: the highest tier whose edge is reached holds them all. Graduated: each tier holds what lies between its
    edge and the next one's; what ends exactly on an edge is wholly below it.
    """
    if quantity == 0:
        return []
    if tier_model == "volume":
        return [([tier for tier in tiers if tier.tier_from_credits <= quantity][-1], quantity)]
    ends = [tier.tier_from_credits for tier in tiers[1:]] + [quantity]
    shares = [(tier, min(end, quantity) - tier.tier_from_credits) for tier, end in zip(tiers, ends, strict=True)]
    return [(tier, share) for tier, share in shares if share > 0]


def fill(parts: Iterable[DayPart], vessels: Iterable[tuple[LineKey, int]]) -> Pieces:
    """Rule 29: parts in their order fill the lines in theirs; one that crosses from one into the next is cut."""
    vessels = list(vessels)
    pieces, start = [], 0
    for part in parts:
        end, line_start = start + part.nano_credits, 0
        cut: list[tuple[LineKey, int]] = []
        for key, quantity in vessels:
            share = min(end, line_start + quantity) - max(start, line_start)
            if share > 0:
                cut.append((key, share))
            line_start += quantity
        seconds = running_differences(part.seconds, [share for _, share in cut])
        pieces += [
            Piece(key, part.session_id, part.usage_date, share, own, part.place)
            for (key, share), own in zip(cut, seconds, strict=True)
        ]
        start = end
    return tuple(pieces)


def rated_line_steps(
    prices: Prices, user: str, period: str, price: Price, stretch: Sequence[str], parts: Sequence[DayPart]
) -> tuple[Lines, Pieces]:
    """The lines and pieces of one stretch: fee, included, usage by tier, minimum."""
    days = len(stretch)
    month_days = len(days_of(period))
    currency = prices.currency_of[price.plan_id]
    minor = 10 ** prices.exponent_of[currency]

    def key(line_type: str, tier: Tier | None = None) -> LineKey:
        edge = None if tier is None else tier.tier_from_credits
        return LineKey(user, period, period, line_type, currency, price.plan_id, price.valid_from, edge)

    def prorated(nano_money: int) -> int:
        """Rules 3 and 20: by days, rounded once."""
        return round_half_away(nano_money * days * minor, month_days * NANO)

    used = sum(part.nano_credits for part in parts)
    included = min(used, price.included_credits * days // month_days)
    tiers = tier_quantities(prices.tiers_of[price.plan_id, price.valid_from], price.tier_model, used - included)
    usage = [
        Line(
            key("usage", tier), quantity, tier.unit_price, round_half_away(quantity * tier.unit_price * minor, NANO**2)
        )
        for tier, quantity in tiers
    ]
    shortfall = max(0, prorated(price.minimum_charge) - sum(line.amount_minor for line in usage))
    lines = [
        Line(key("fee"), 0, None, prorated(price.monthly_fee)),
        Line(key("included"), included, 0, 0),
        *usage,
        Line(key("minimum"), 0, None, shortfall),
    ]
    standing = tuple(
        line._replace(days=tuple(stretch)) for line in lines if line.quantity_credits != 0 or line.amount_minor != 0
    )
    return standing, fill(parts, ((line.key, line.quantity_credits) for line in standing))


def recompute(prices: Prices, parts: Iterable[DayPart], periods: Sequence[str]) -> tuple[Lines, Pieces]:
    """Rule 26: the lines and pieces of each user and service period, made from today's sessions and seeds."""
    own: dict[tuple[str, str], list[DayPart]] = defaultdict(list)
    for part in sorted(parts, key=lambda part: (part.part_start, part.session_id)):
        if is_billed(part):
            own[part.external_user_id, period_of(part.usage_date)].append(part)
    users = {row.external_user_id for row in prices.user_plans} | {user for user, _ in own}
    lines: list[Line] = []
    pieces: list[Piece] = []
    for user in sorted(users):
        for period in periods:
            used = own.get((user, period), [])
            for price, days in stretches(prices, user, period, {part.usage_date for part in used}).items():
                in_stretch = [part for part in used if part.usage_date in days]
                more_lines, more_pieces = rated_line_steps(prices, user, period, price, days, in_stretch)
                lines += more_lines
                pieces += more_pieces
    return tuple(lines), tuple(pieces)


# --- The ledger (rules 23 to 29) -----------------------------------------------------------------------------------


def first_billing_period(prices: Prices, parts: Iterable[DayPart], ledger: Ledger) -> str | None:
    """Rule 24: the first that was closed; else the variable; else the earliest with attributed credits."""
    if ledger.closed_periods:
        return ledger.closed_periods[0]
    if prices.first_billing_period is not None:
        return prices.first_billing_period
    return min((period_of(part.usage_date) for part in parts if is_billed(part)), default=None)


def billing_periods(
    prices: Prices, parts: Iterable[DayPart], ledger: Ledger
) -> tuple[str, str, str] | tuple[None, None, None]:
    """The first billing period, the first open one, and the last that is invoiced; nothing without a first one."""
    parts = list(parts)
    first = first_billing_period(prices, parts, ledger)
    if first is None:
        return None, None, None
    first_open = next_period(ledger.closed_periods[-1]) if ledger.closed_periods else first
    last = max([first_open, *(period_of(part.usage_date) for part in parts if is_billed(part))])
    return first, first_open, last


def adjustments(recomputed: tuple[Lines, Pieces], ledger: Ledger, first_open: str) -> tuple[Lines, Pieces]:
    """Rules 25 and 26: what the ledger's service periods are today, minus all that the ledger has for them.

    One line a user, service period and currency, whichever side they stand on. It is there when its quantity or its
    amount is not zero, or one of its pieces.
    """
    quantities: dict[LineKey, int] = defaultdict(int)
    amounts: dict[LineKey, int] = defaultdict(int)
    changes: dict[tuple[LineKey, str, str], list[int]] = defaultdict(lambda: [0, 0])
    places: dict[tuple[LineKey, str, str], tuple[str, Place]] = {}

    def adjustment(line: LineKey) -> LineKey:
        return LineKey(line.external_user_id, first_open, line.service_period, "adjustment", line.currency)

    for sign, (lines, pieces) in ((1, recomputed), (-1, (ledger.lines, ledger.pieces))):
        for line in lines:
            if line.key.service_period in ledger.closed_periods:
                quantities[adjustment(line.key)] += sign * line.quantity_credits
                amounts[adjustment(line.key)] += sign * line.amount_minor
        for piece in pieces:
            if piece.line.service_period in ledger.closed_periods:
                where = adjustment(piece.line), piece.session_id, piece.usage_date
                changes[where][0] += sign * piece.credits
                changes[where][1] += sign * piece.seconds
                # Where it is today; else where it was when it was closed last.
                known = ("today" if sign > 0 else piece.line.invoice_period, piece.place)
                places[where] = max(places.get(where, ("", Place())), known, key=lambda found: found[0])
    # Rule 39: an adjustment's pieces are in the order of their days and sessions.
    changed = tuple(
        Piece(*where, credits=changes[where][0], seconds=changes[where][1], place=places[where][1])
        for where in sorted(changes, key=lambda where: (where[2], where[1]))
        if changes[where][0] != 0
    )
    moved = {piece.line for piece in changed}
    return (
        tuple(
            Line(key, quantities[key], None, amounts[key], days_of(key.service_period))
            for key in amounts
            if quantities[key] != 0 or amounts[key] != 0 or key in moved
        ),
        changed,
    )


def invoice(prices: Prices, parts: Iterable[DayPart], ledger: Ledger) -> Billing:
    """The open lines: those of the open periods, and all adjustments, in the first of these (rules 25 to 27)."""
    parts = list(parts)
    first, first_open, last = billing_periods(prices, parts, ledger)
    if first_open is None:
        return Billing(None, None, None, ((), ()), (), ())
    recomputed = recompute(prices, parts, periods_between(first, last))
    adjusting_lines, adjusting_pieces = adjustments(recomputed, ledger, first_open)
    lines = (*(line for line in recomputed[0] if line.key.service_period >= first_open), *adjusting_lines)
    pieces = (*(piece for piece in recomputed[1] if piece.line.service_period >= first_open), *adjusting_pieces)
    exponents = {**ledger.exponents, **prices.exponent_of}
    return Billing(first, first_open, last, recomputed, lines, with_shares(lines, pieces, exponents))


def with_shares(lines: Lines, pieces: Pieces, exponents: Mapping[str, int]) -> Pieces:
    """Rule 39: the pieces, which are in their order, with their shares of the amounts of their lines."""
    amounts = {line.key: line.amount_minor * 10 ** (9 - exponents[line.key.currency]) for line in lines}
    own: dict[LineKey, list[Piece]] = defaultdict(list)
    for piece in pieces:
        own[piece.line].append(piece)
    return tuple(
        piece._replace(share=share)
        for key, of_line in own.items()
        for piece, share in zip(of_line, shares(amounts[key], [piece.credits for piece in of_line]), strict=True)
    )


def close(ledger: Ledger, period: str, prices: Prices, parts: Iterable[DayPart]) -> Ledger:
    """Rule 23: the ledger with the open lines and pieces of a period added. Only the first open one can be closed."""
    parts = list(parts)
    if found := faults(prices, parts, ledger):
        raise ValueError(f"{period} cannot be closed: {found}")
    billing = invoice(prices, parts, ledger)
    if billing.first_open_period != period:
        raise ValueError(f"{period} cannot be closed: the first open period is {billing.first_open_period}")
    lines = tuple(line for line in billing.lines if line.key.invoice_period == period)
    return Ledger(
        (*ledger.closed_periods, period),
        ledger.lines + lines,
        ledger.pieces + tuple(piece for piece in billing.pieces if piece.line.invoice_period == period),
        {**ledger.exponents, **{line.key.currency: prices.exponent_of[line.key.currency] for line in lines}},
    )


# --- Marts ---------------------------------------------------------------------------------------------------------


def thousandths(amount_minor: int, exponent: int) -> int:
    """The column `amount`, in thousandths of a currency unit, of an amount in minor units."""
    return int(amount_minor * 10 ** (3 - exponent))


def fct_invoice_lines(ledger: Ledger, billing: Billing) -> Mart:
    """All lines, closed and open. No two have the same key."""
    closed, opened = ((line, "closed") for line in ledger.lines), ((line, "open") for line in billing.lines)
    return _unique(
        (
            line.key,
            {
                "quantity_credits": line.quantity_credits,
                "unit_price": line.unit_price,
                "amount_minor": line.amount_minor,
                "service_day_mask": None
                if line.key.line_type == "adjustment"
                else sum(2 ** (int(day[8:]) - 1) for day in line.days),
                "status": status,
            },
        )
        for line, status in (*closed, *opened)
    )


def fct_invoice_line_usage(ledger: Ledger, billing: Billing) -> Mart:
    """All pieces, closed and open, by line, session and day."""
    closed, opened = ((piece, "closed") for piece in ledger.pieces), ((piece, "open") for piece in billing.pieces)
    return _unique(
        (
            (p.line, p.session_id, p.usage_date),
            {
                "credits": p.credits,
                "share": p.share,
                "usage_seconds": p.seconds,
                **p.place._asdict(),
                "external_user_id": p.line.external_user_id,
                "currency": p.line.currency,
                "status": status,
                "invoice_period": p.line.invoice_period,
                "service_period": p.line.service_period,
            },
        )
        for p, status in (*closed, *opened)
    )


def fct_invoice_breakdown(ledger: Ledger, billing: Billing) -> Mart:
    """Rule 39: each line by project and workspace in whole minor units; one row where nothing was used."""
    used: dict[LineKey, dict[tuple[str | None, ...], list[int]]] = defaultdict(lambda: defaultdict(list))
    for piece in ledger.pieces + billing.pieces:
        used[piece.line][piece.place[:2]].append(piece.credits)
    mart: Mart = {}
    for key, line in fct_invoice_lines(ledger, billing).items():
        groups = used[LineKey(*key)] or {(None, None): []}
        in_order = {
            place: groups[place] for place in sorted(groups, key=lambda p: [(cell is None, cell or "") for cell in p])
        }
        for place, units in whole_units(line["amount_minor"], in_order).items():
            mart[*key, *place] = {"credits": sum(groups[place]), "amount_minor": units, "status": line["status"]}
    return mart


def fct_revenue_days(ledger: Ledger, billing: Billing, exponents: Mapping[str, int]) -> Mart:
    """Rule 40: usage on its day, with its share; what has no usage in even parts on the days of its line."""
    used: dict[LineKey, list[tuple[str, str | None, int, int]]] = defaultdict(list)
    for p in ledger.pieces + billing.pieces:
        used[p.line].append((p.usage_date, p.place.external_project_id, p.credits, p.share))
    mart: Mart = {}
    for line in ledger.lines + billing.lines:
        key, days = line.key, sorted(line.days)
        money = line.amount_minor * 10 ** (9 - exponents[key.currency])
        spread = [
            (day, None, 0, part) for day, part in zip(days, running_differences(money, [1] * len(days)), strict=True)
        ]
        for day, project, credits, share in used[key] or spread:
            row = mart.setdefault(
                (key.line_type, key.external_user_id, key.plan_id, key.currency, project, day, key.invoice_period),
                {"service_period": period_of(day), "is_elapsed": True, "credits": 0, "revenue": 0},
            )
            row["credits"] += credits
            row["revenue"] += share
    return mart


def _unique(rows: Iterable[tuple[Any, dict[str, Any]]]) -> Mart:
    mart: Mart = {}
    for key, row in rows:
        if key in mart:
            raise ValueError(f"twice: {key}")
        mart[key] = row
    return mart


PARTS = {"fee": "fee", "included": "usage", "usage": "usage", "minimum": "minimum", "adjustment": "adjustment"}
"""Which part of an invoice's total each type of line belongs to."""


def invoices(ledger: Ledger, billing: Billing) -> Mart:
    """Rules 3 and 31: an invoice is a user, a period and a currency; its total is the sum of its lines.

    Its parts by type of line, what negative lines give back (nothing where the whole invoice is a credit), and the
    total of the month before, are in minor units.
    """
    mart: Mart = {}
    for key, line in fct_invoice_lines(ledger, billing).items():
        row = mart.setdefault(
            (key[0], key[1], key[4]),
            {
                **{"credits": 0, "amount_minor": 0, "line_count": 0, "status": line["status"], "credit": 0},
                **dict.fromkeys(PARTS.values(), 0),
            },
        )
        row[PARTS[key[3]]] += line["amount_minor"]
        row["credit"] += max(0, -line["amount_minor"])
        row["credits"] += line["quantity_credits"]
        row["amount_minor"] += line["amount_minor"]
        row["line_count"] += 1
    for (user, period, currency), row in mart.items():
        row["is_credit"] = row["amount_minor"] < 0
        row["credit"] = 0 if row["is_credit"] else row["credit"]
        before = mart.get((user, month_name(month_number(period) - 1), currency))
        row["previous"] = None if before is None else before["amount_minor"]
    return mart


def margin(ledger: Ledger, billing: Billing) -> Mart:
    """What each user's service period comes to in each currency, closed and open lines together."""
    mart: Mart = {}
    for line in ledger.lines + billing.lines:
        key = line.key.external_user_id, line.key.service_period, line.key.currency
        row = mart.setdefault(key, {"credits": 0, "amount_minor": 0})
        row["credits"] += line.quantity_credits
        row["amount_minor"] += line.amount_minor
    return mart


def price_drift(parts: Iterable[DayPart], ledger: Ledger, billing: Billing) -> Mart:
    """Rule 30: closed user-periods whose amount is another today, although no day's credits are."""
    changes: dict[tuple[str, str], int] = defaultdict(int)
    for part in parts:
        changes[part.external_user_id, part.usage_date] += part.nano_credits
    for piece in ledger.pieces:
        changes[piece.line.external_user_id, piece.usage_date] -= piece.credits
    changed = {(user, period_of(day)) for (user, day), change in changes.items() if change != 0}
    today: dict[tuple[str, str, str], int] = defaultdict(int)
    invoiced: dict[tuple[str, str, str], int] = defaultdict(int)
    for amounts, lines in ((today, billing.recomputed[0]), (invoiced, ledger.lines)):
        for line in lines:
            amounts[line.key.external_user_id, line.key.service_period, line.key.currency] += line.amount_minor
    return {
        key: {
            "invoiced_amount_minor": invoiced[key],
            "recomputed_amount_minor": today[key],
            "difference_minor": today[key] - invoiced[key],
        }
        for key in sorted({*today, *invoiced})
        if key[1] in ledger.closed_periods and key[:2] not in changed and today[key] != invoiced[key]
    }


def unbilled(parts: Iterable[DayPart], billing: Billing) -> Mart:
    """Rules 19 and 24: credits that nobody is invoiced for, by period and reason. Rejected rows are not seen here."""
    sums: dict[tuple[str, str], int] = defaultdict(int)
    for part in parts:
        period, first = period_of(part.usage_date), billing.first_billing_period
        if part.external_user_id == UNATTRIBUTED:
            sums[period, "unattributed"] += part.nano_credits
        elif first is None or period < first:
            sums[period, "before_first_period"] += part.nano_credits
    return {key: {"credits": total} for key, total in sums.items() if total > 0}


# --- Faults (rules 18, 19 and the seeds' own) ----------------------------------------------------------------------


class Fault(NamedTuple):
    """A reason to stop the build: for a user and plan, the first day of it."""

    kind: str
    user: str | None = None
    plan: str | None = None
    day: str | None = None
    currency: str | None = None


def faults(prices: Prices, parts: Iterable[DayPart], ledger: Ledger) -> set[Fault]:
    """All that must stop the build."""
    parts = list(parts)
    found = [
        *reference_faults(prices),
        *price_faults(prices),
        *range_faults(prices),
        *currency_faults(prices, ledger),
        *coverage_faults(prices, parts, ledger),
    ]
    first: dict[Fault, Fault] = {}
    for fault in sorted(found, key=lambda fault: fault.day or ""):
        first.setdefault(fault._replace(day=None), fault)
    return set(first.values())


def _repeated(keys: Iterable[tuple[Any, ...]]) -> list[tuple[Any, ...]]:
    return [key for key, count in Counter(keys).items() if count > 1]


def reference_faults(prices: Prices) -> Iterator[Fault]:
    """Keys that stand twice, rows that refer to nothing known, and assignments of nobody."""
    for (plan,) in _repeated((row.plan_id,) for row in prices.plans):
        yield Fault("duplicate_plan", plan=plan)
    for plan, day in _repeated((row.plan_id, row.valid_from) for row in prices.prices if not is_none(row)):
        yield Fault("duplicate_price", plan=plan, day=day)
    for plan, day, _ in _repeated((row.plan_id, row.valid_from, row.tier_from_credits) for row in prices.tiers):
        yield Fault("duplicate_tier", plan=plan, day=day)
    for (currency,) in _repeated((row.currency,) for row in prices.currencies):
        yield Fault("duplicate_currency", currency=currency)
    for price in prices.prices:
        if price.plan_id not in prices.currency_of and not is_none(price):
            yield Fault("unknown_plan", plan=price.plan_id, day=price.valid_from)
    for assigned in (row for row in prices.user_plans if not is_none(row)):
        if assigned.plan_id not in prices.currency_of:
            yield Fault("unknown_plan", assigned.external_user_id, assigned.plan_id, assigned.valid_from)
        if assigned.external_user_id in ("", UNATTRIBUTED):
            yield Fault("reserved_user", assigned.external_user_id, assigned.plan_id, assigned.valid_from)
    if prices.default_plan_id is not None and prices.default_plan_id not in prices.currency_of:
        yield Fault("unknown_plan", plan=prices.default_plan_id)
    known = {(price.plan_id, price.valid_from) for price in prices.prices}
    for tier in prices.tiers:
        if (tier.plan_id, tier.valid_from) not in known:
            yield Fault("unknown_price", plan=tier.plan_id, day=tier.valid_from)


def price_faults(prices: Prices) -> Iterator[Fault]:
    """Rule 18: nothing is negative; each price list has a tier from 0 on and a model that is known."""
    for price in prices.prices:
        tiers = prices.tiers_of.get((price.plan_id, price.valid_from), [])
        if min(price.monthly_fee, price.included_credits, price.minimum_charge) < 0:
            yield Fault("negative_number", plan=price.plan_id, day=price.valid_from)
        if is_none(price):
            continue
        if all(tier.tier_from_credits != 0 for tier in tiers):
            yield Fault("tiers_not_from_zero", plan=price.plan_id, day=price.valid_from)
        if price.tier_model not in ("graduated", "volume"):
            yield Fault("unknown_tier_model", plan=price.plan_id, day=price.valid_from)
    for tier in prices.tiers:
        if min(tier.tier_from_credits, tier.unit_price) < 0:
            yield Fault("negative_number", plan=tier.plan_id, day=tier.valid_from)


def first_overlap(rows: Iterable[UserPlan | Price]) -> str | None:
    """The first day that two ranges share. A range that ends where it begins has no day."""
    days = []
    for one, other in combinations(rows, 2):
        start = max(one.valid_from, other.valid_from)
        if holds(one, start) and holds(other, start):
            days.append(start)
    return min(days, default=None)


def range_faults(prices: Prices) -> Iterator[Fault]:
    """Rule 18: no range ends before it begins; those of one user, and of one plan's prices, share no day."""
    for price in prices.prices:
        if price.valid_to is not None and price.valid_to < price.valid_from:
            yield Fault("ends_before_start", plan=price.plan_id, day=price.valid_from)
    for row in prices.user_plans:
        if row.valid_to is not None and row.valid_to < row.valid_from:
            yield Fault("ends_before_start", row.external_user_id, row.plan_id, row.valid_from)
    for user, assigned in prices.plans_of.items():
        if (day := first_overlap(assigned)) is not None:
            yield Fault("plan_overlap", user=user, day=day)
    for plan, price_rows in prices.prices_of.items():
        if (day := first_overlap(price_rows)) is not None:
            yield Fault("price_overlap", plan=plan, day=day)


def price_overlaps(prices: Prices, parts: Iterable[DayPart], ledger: Ledger) -> set[tuple[str, str | None, str]]:
    """Rule 18: plan, user and day that name each overlap of price lists, one for each day on which it begins.

    Of the days with two price lists the first on which somebody is on the plan, and of these users the first. Where
    nobody ever is, no user and the first such day.
    """
    on_default: dict[tuple[str | None, str], set[str]] = defaultdict(set)
    for user, day, plan, is_assigned in billable_days(prices, parts, ledger):
        if not is_assigned:
            on_default[plan, day].add(user)
    ranges: list[UserPlan | Price] = [*prices.prices, *prices.user_plans]
    named = {day for row in ranges for day in (row.valid_from, row.valid_to) if day}
    last = max((*named, *(day for _, day in on_default)), default="")
    found: set[tuple[str, str | None, str]] = set()
    for plan, rows in prices.prices_of.items():
        doubled: dict[str, set[str]] = defaultdict(set)
        for one, other in combinations(sorted(rows, key=lambda row: row.valid_from), 2):
            # After the last day that anything names every day is as that one.
            doubled[other.valid_from].update(
                day for day in every_day(other.valid_from, last) if holds(one, day) and holds(other, day)
            )
        for days in filter(None, doubled.values()):
            assigned = [row for row in prices.user_plans if row.plan_id == plan]
            on_plan = [(day, user) for day in days for user in on_default[plan, day]]
            on_plan += [(day, row.external_user_id) for day in days for row in assigned if holds(row, day)]
            named_by = min(((day, user) for day, user in on_plan if user != UNATTRIBUTED), default=(min(days), None))
            found.add((plan, named_by[1], named_by[0]))
    return found


def every_day(first: str, last: str) -> list[str]:
    """The days from one to another, both included."""
    ordinals = range(date.fromisoformat(first).toordinal(), date.fromisoformat(last).toordinal() + 1)
    return [date.fromordinal(ordinal).isoformat() for ordinal in ordinals]


def currency_faults(prices: Prices, ledger: Ledger) -> Iterator[Fault]:
    """Each currency in use is known, has 0 to 3 decimals, and those it had when the ledger was written."""
    for plan in prices.plans:
        if plan.currency not in prices.exponent_of:
            yield Fault("unknown_currency", plan=plan.plan_id, currency=plan.currency)
    for row in prices.currencies:
        if not 0 <= row.exponent <= 3:
            yield Fault("exponent_out_of_range", currency=row.currency)
    for currency, exponent in ledger.exponents.items():
        if currency not in prices.exponent_of:
            yield Fault("unknown_currency", currency=currency)
        elif prices.exponent_of[currency] != exponent:
            yield Fault("exponent_changed", currency=currency)


def billable_days(
    prices: Prices, parts: Iterable[DayPart], ledger: Ledger
) -> Iterator[tuple[str, str, str | None, bool]]:
    """Rule 19: user, day and plan of all billable days of the periods that are invoiced, and whether it is assigned."""
    parts = list(parts)
    credited: dict[tuple[str, str], set[str]] = defaultdict(set)
    for part in parts:
        if is_billed(part):
            credited[part.external_user_id, period_of(part.usage_date)].add(part.usage_date)
    users = {row.external_user_id for row in prices.user_plans} | {user for user, _ in credited}
    first, _, last = billing_periods(prices, parts, ledger)
    for user in users:
        for period in periods_between(first, last):
            for day, plan in plans_of_days(prices, user, period, credited.get((user, period), ())):
                yield user, day, plan, any(holds(row, day) for row in prices.plans_of.get(user, []))


def coverage_faults(prices: Prices, parts: Sequence[DayPart], ledger: Ledger) -> Iterator[Fault]:
    """Rules 18 and 19: billable days, in the periods that are invoiced, without a plan or without a price list."""
    for user, day, plan, _ in billable_days(prices, parts, ledger):
        if plan is None:
            yield Fault("no_default_plan", user=user, day=day)
        elif plan in prices.currency_of and not any(holds(row, day) for row in prices.prices_of.get(plan, [])):
            yield Fault("price_gap", user, plan, day)
