"""What every mart must hold, worked out from the billing rules alone, in plain Python integers.

The second opinion of the whole-path tests: it shares no code and no idea with the warehouse's SQL, and is written to
be read by an auditor with the rules beside it; each function names the rule that it states. Credits are nano-credits
(10^-9), instants are microseconds since 1970 in UTC, shares of a whole are exact integer divisions. No float is used.

No other test reads times, numbers, ids or reasons of rejection: the billing and quota oracles and the generators of
test data call these functions. Only the simulator reads rows itself (`simulator/rows.py`), because it is the vendor.

Input is `Known`: the rows the API lists now, as the text it sends them in, and the few facts that only the warehouse
has (when each load began). Output is `Marts`: one dictionary a mart, from key to row.
"""

from __future__ import annotations

import json
import re
from bisect import bisect_right
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from typing import Any

UNATTRIBUTED = "(unattributed)"
"""Whose usage is that belongs to nobody (rule 9)."""

NANO = 10**9
MICROSECONDS = 10**6
MICROSECONDS_PER_HOUR = 3600 * MICROSECONDS
MICROSECONDS_PER_DAY = 24 * MICROSECONDS_PER_HOUR

MAX_DURATION_SECONDS = 10**11 - 1
"""Rule 7: more would overflow sums (see DECISIONS.md)."""
MAX_UTILIZATION = 10**18 - 1
"""In millionths: all that the mart's column holds. Use beyond that multiple of a limit is shown as this."""
EARLIEST_SESSION_START = 1_577_836_800 * MICROSECONDS
"""Rule 37: 2020-01-01, the default of the variable."""
COST_DECIMALS = 9
COST_WHOLE_DIGITS = 9

QUOTAS = {
    "credits": "max_credit_cents",
    "concurrent": "max_concurrent",
    "sandboxes": "max_sandboxes",
    "storage_gb": "max_storage_gb",
}
"""The mart's name of each quota, and the vendor's (1 credit = 1 cent)."""

OwnerChange = tuple[int, str]
"""When the load began that first showed an owner of a sandbox, and that owner."""

Key = tuple[Any, ...]
Mart = dict[Key, dict[str, Any]]


# --- Reading what the API said -------------------------------------------------------------------------------------


class NumberText(str):
    """A JSON number as the text it was: told apart from a JSON string."""

    __slots__ = ()


def read_json(text: str) -> Any:
    """Read JSON, numbers as text; of repeated keys the last wins."""
    return json.loads(text, parse_int=NumberText, parse_float=NumberText, parse_constant=NumberText)


def read_object(text: str) -> dict[str, Any]:
    """The fields of a row; a row that is no JSON object has none."""
    row = read_json(text)
    return row if isinstance(row, dict) else {}


def canonical(text: str) -> str:
    """One spelling for all rows of equal content: keys in order, numbers as the text they were (rule 4)."""

    def plain(value: Any) -> Any:
        if isinstance(value, NumberText):
            return {"number": str(value)}
        if isinstance(value, dict):
            return {"object": {key: plain(item) for key, item in value.items()}}
        return [plain(item) for item in value] if isinstance(value, list) else value

    return json.dumps(plain(read_json(text)), sort_keys=True)


def usable_id(value: Any) -> str | None:
    """An id is a non-empty string, taken as it is: never trimmed, folded or normalised (rules 7 and 9)."""
    return value if isinstance(value, str) and not isinstance(value, NumberText) and value != "" else None


_NUMBER = re.compile(r"(-?)(0|[1-9][0-9]*)(?:\.([0-9]+))?(?:[eE]([+-]?[0-9]+))?")


@dataclass(frozen=True)
class Number:
    """A decimal number by value: `digits` times 10^`exponent`, the digits without zeros around them."""

    is_negative: bool
    digits: str
    exponent: int

    @property
    def whole_digits(self) -> int:
        """Digits before the decimal point: the number is under 10 to this power and not under the power before."""
        return len(self.digits) + self.exponent if self.digits else 0

    @property
    def decimals(self) -> int:
        """Digits needed behind the decimal point."""
        return max(0, -self.exponent)

    def rounded(self, decimals: int) -> int:
        """The number times ten to `decimals`, rounded half away from zero (rule 1)."""
        if self.decimals <= decimals:
            return self.scaled(decimals)
        if self.whole_digits < -decimals:
            return 0
        size = round_half_away(int(self.digits), 10 ** (-self.exponent - decimals))
        return -size if self.is_negative else size

    def scaled(self, decimals: int) -> int:
        """The number times ten to `decimals`, exact. Only for numbers that have no more decimals than that."""
        if self.decimals > decimals:
            raise ValueError(f"{self} has more than {decimals} decimals")
        amount: int = int(self.digits or "0") * 10 ** (self.exponent + decimals)
        return -amount if self.is_negative else amount


def read_number(value: Any) -> Number | None:
    """Rule 7: a number is what JSON's grammar calls one, also inside a string; None for anything else."""
    match = _NUMBER.fullmatch(value) if isinstance(value, str) else None
    if match is None:
        return None
    sign, whole, fraction, power = match.group(1), match.group(2), match.group(3) or "", match.group(4) or "0"
    digits = (whole + fraction).lstrip("0")
    significant = digits.rstrip("0")
    if not significant:
        return Number(False, "", 0)
    exponent = _capped(power) - len(fraction) + len(digits) - len(significant)
    return Number(sign == "-", significant, exponent)


def nano(value: Any) -> int:
    """A number in billionths, exact. Raises `ValueError` for what is no number, or has more than nine decimals."""
    number = read_number(value)
    if number is None:
        raise ValueError(f"not a number: {value!r}")
    return number.scaled(9)


def nano_of_dollars(value: Any) -> int:
    """US dollars in nano-credits, exact: 1 credit is 1 cent. Raises `ValueError` as `nano` does, for 11 decimals."""
    number = read_number(value)
    if number is None:
        raise ValueError(f"not a number: {value!r}")
    return number.scaled(11)


def _capped(power: str) -> int:
    """An exponent; beyond eighteen digits its exact value no longer matters: far too large or far too precise."""
    size = power.lstrip("+-").lstrip("0") or "0"
    return (-1 if power.startswith("-") else 1) * (int(size) if len(size) <= 18 else 10**18)


_TIME = re.compile(
    r"([0-9]{4})-([0-9]{2})-([0-9]{2})"
    r"(?:[Tt ]([0-9]{2}):([0-9]{2})(?::([0-9]{2})(?:[.,]([0-9]+))?)?"
    r"(?:[Zz]|([+-])([0-9]{2})(?::?([0-9]{2}))?)?)?"
)


def read_time(value: Any) -> int | None:
    """Rule 8: no zone is UTC, an offset is honoured, digits beyond microseconds are cut; None where unreadable."""
    match = _TIME.fullmatch(value) if isinstance(value, str) and not isinstance(value, NumberText) else None
    if match is None:
        return None
    year, month, day = (int(part) for part in match.group(1, 2, 3))
    hour, minute, second, zone_hour, zone_minute = (int(part or 0) for part in match.group(4, 5, 6, 9, 10))
    fraction = int((match.group(7) or "")[:6].ljust(6, "0"))
    if hour > 23 or minute > 59 or second > 59 or zone_hour > 23 or zone_minute > 59:
        return None
    try:
        days = date(year, month, day).toordinal() - date(1970, 1, 1).toordinal()
    except ValueError:
        return None
    offset = (zone_hour * 60 + zone_minute) * (-1 if match.group(8) == "-" else 1)
    return ((days * 24 + hour) * 60 + minute - offset) * 60 * MICROSECONDS + second * MICROSECONDS + fraction


# --- What is known -------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Load:
    """One complete load, as the warehouse's log has it."""

    load_id: int
    run_id: str
    resource: str
    window_start: int | None
    window_end: int | None
    started_at: int


@dataclass(frozen=True)
class SessionRow:
    """The current version of a session row that is not void, and when the load that brought it began."""

    text: str
    load_started_at: int


@dataclass(frozen=True)
class SandboxRow:
    """A version of a sandbox row, and when the load that brought it began."""

    text: str
    load_started_at: int


@dataclass(frozen=True)
class QuotaAnswer:
    """One version of the answer about a user's quota: its limits in billionths (None uncapped); None for a 404."""

    user: str
    load_id: int
    started_at: int
    limits: Mapping[str, int | None] | None


@dataclass(frozen=True)
class Known:
    """All that the warehouse has been told."""

    loads: Sequence[Load]
    sessions: Sequence[SessionRow]
    sandboxes: Sequence[SandboxRow] = ()
    """Versions of sandbox rows, oldest first."""
    quotas: Sequence[QuotaAnswer] = ()
    """Versions, oldest first."""
    storage_gb_hours: Mapping[tuple[str, str], str | tuple[str, ...]] = field(default_factory=dict)
    """What the vendor's rollup says, by period and user, as the number's text; of several lines all of them.

    A period of which nothing stands here was not measured: the other shape of the report has no storage."""


@dataclass(frozen=True)
class Session:
    """A usable session: whose, when, how much."""

    session_id: str
    user: str
    sandbox: str | None
    project: str | None
    workspace: str | None
    start: int
    end: int
    is_running: bool
    nano_credits: int
    seconds: int
    is_cost_rounded: bool = False


@dataclass(frozen=True)
class Part:
    """The share of a session that falls into one window (a period or a day)."""

    session: Session
    start: int
    end: int
    nano_credits: int
    seconds: int


# --- Rows (rules 1, 7, 9) ------------------------------------------------------------------------------------------


def stated_costs(row: Mapping[str, Any]) -> list[Any]:
    """The cost under either of its names; a null counts as not there."""
    return [row[name] for name in ("credit_cost", "credits_used") if row.get(name) is not None]


def cost_faults(row: Mapping[str, Any]) -> set[str]:
    """Rules 1 and 7: what is wrong with a row's cost."""
    stated = stated_costs(row)
    if not stated:
        return set() if row.get("ended_at") is None else {"missing_cost"}
    faults = set()
    numbers = [read_number(value) for value in stated]
    for number in numbers:
        if number is None:
            faults.add("bad_cost")
            continue
        if number.is_negative:
            faults.add("negative_cost")
        if number.whole_digits > COST_WHOLE_DIGITS or number.rounded(COST_DECIMALS) >= 10 ** (
            COST_WHOLE_DIGITS + COST_DECIMALS
        ):
            faults.add("cost_too_large")
    if len(numbers) == 2 and (numbers[0] != numbers[1] or numbers[0] is None):
        faults.add("cost_fields_differ")
    return faults


def duration_faults(row: Mapping[str, Any]) -> set[str]:
    """Rule 7: billed seconds are absent, or a whole number from 0 to the largest that cannot overflow."""
    if row.get("duration_sec") is None:
        return set()
    number = read_number(row["duration_sec"])
    if number is None or number.is_negative or number.decimals > 0 or number.whole_digits > 12:
        return {"bad_duration"}
    return {"bad_duration"} if number.scaled(0) > MAX_DURATION_SECONDS else set()


def billed_seconds(row: Mapping[str, Any]) -> int | None:
    """The seconds that the row states; None where it states none that can be used."""
    number = None if duration_faults(row) else read_number(row.get("duration_sec"))
    return None if number is None else number.scaled(0)


def time_faults(row: Mapping[str, Any]) -> set[str]:
    """Rule 7: the start must be there and readable, the end readable or absent, and not before the start."""
    faults = set()
    start, end = read_time(row.get("started_at")), read_time(row.get("ended_at"))
    if row.get("started_at") is None:
        faults.add("missing_start")
    elif start is None:
        faults.add("unreadable_start")
    if row.get("ended_at") is not None and end is None:
        faults.add("unreadable_end")
    if start is not None and end is not None and end < start:
        faults.add("end_before_start")
    return faults


def clock_faults(row: Mapping[str, Any], load_started_at: int) -> set[str]:
    """Rule 37: no start before the earliest day, no start or end more than a day after the load began."""
    faults = set()
    start, end = read_time(row.get("started_at")), read_time(row.get("ended_at"))
    seconds = billed_seconds(row)
    if row.get("ended_at") is None and start is not None and seconds is not None:
        end = session_end(start, None, seconds, load_started_at)
    latest = load_started_at + MICROSECONDS_PER_DAY
    if start is not None and start < EARLIEST_SESSION_START:
        faults.add("start_too_early")
    if start is not None and start > latest:
        faults.add("start_in_future")
    if end is not None and end > latest:
        faults.add("end_in_future")
    return faults


def session_faults(row: Mapping[str, Any], load_started_at: int) -> set[str]:
    """All reasons for which a session row is rejected; none for a usable one (rules 1, 7, 9, 37)."""
    faults = time_faults(row) | duration_faults(row) | cost_faults(row) | clock_faults(row, load_started_at)
    if usable_id(row.get("id")) is None:
        faults.add("missing_id")
    if usable_id(row.get("external_user_id")) == UNATTRIBUTED:
        faults.add("reserved_user_id")
    return faults


def sandbox_faults(row: Mapping[str, Any]) -> set[str]:
    """All reasons for which a sandbox row is rejected."""
    faults = set()
    if usable_id(row.get("id")) is None:
        faults.add("missing_id")
    if usable_id(row.get("external_user_id")) == UNATTRIBUTED:
        faults.add("reserved_user_id")
    return faults


def sandbox_owners(versions: Iterable[SandboxRow]) -> dict[str, list[OwnerChange]]:
    """Rule 9: the owners of each sandbox, in the order in which they became known.

    An owner that a later version no longer names stays known, so that version changes nothing.
    """
    owners: dict[str, list[OwnerChange]] = defaultdict(list)
    for version in versions:
        row = read_object(version.text)
        owner = usable_id(row.get("external_user_id"))
        if sandbox_faults(row) or owner is None:
            continue
        known = owners[str(row["id"])]
        if not known or known[-1][1] != owner:
            known.append((version.load_started_at, owner))
    return dict(owners)


def owner_at(changes: Sequence[OwnerChange], instant: int) -> str | None:
    """Rule 9: of the owners that were known by then, the newest; the first known one for all time before."""
    known = [owner for seen_at, owner in changes if seen_at <= instant]
    return known[-1] if known else changes[0][1] if changes else None


def owners_in_force(changes: Sequence[OwnerChange]) -> set[str]:
    """Everybody who owned the sandbox at some time, which one who was replaced before being known did not."""
    instants = [seen_at for seen_at, _ in changes]
    return {owner for instant in (*instants, *(at - 1 for at in instants)) if (owner := owner_at(changes, instant))}


def session_user(
    named: str | None, sandbox: str | None, start: int, owners: Mapping[str, Sequence[OwnerChange]]
) -> str:
    """Rule 9: the user that the session names, else the owner of its sandbox when it started, else nobody."""
    return named or owner_at(owners.get(sandbox or "", ()), start) or UNATTRIBUTED


def session_end(start: int, stated_end: int | None, seconds: int | None, load_started_at: int) -> int:
    """Rule 12: the stated end; of a running session the start plus its seconds so far, else the time it was read."""
    if stated_end is not None:
        return stated_end
    return max(start, load_started_at) if seconds is None else start + seconds * MICROSECONDS


def read_session(row: Mapping[str, Any], owners: Mapping[str, Sequence[OwnerChange]], load_started_at: int) -> Session:
    """A usable row as a session: whose it is (rule 9), its interval (rule 12), its credits and billed seconds."""
    sandbox, start, seconds = usable_id(row.get("computer_id")), read_time(row["started_at"]), billed_seconds(row)
    if start is None:
        raise ValueError("not a usable row")
    end = session_end(start, read_time(row.get("ended_at")), seconds, load_started_at)
    costs = [number for number in map(read_number, stated_costs(row)) if number is not None]
    return Session(
        session_id=str(row["id"]),
        user=session_user(usable_id(row.get("external_user_id")), sandbox, start, owners),
        sandbox=sandbox,
        project=usable_id(row.get("external_project_id")),
        workspace=usable_id(row.get("workspace_id")),
        start=start,
        end=end,
        is_running=row.get("ended_at") is None,
        nano_credits=costs[0].rounded(COST_DECIMALS) if costs else 0,
        seconds=(end - start) // MICROSECONDS if seconds is None else seconds,
        is_cost_rounded=bool(costs) and costs[0].decimals > COST_DECIMALS,
    )


def usable_sessions(known: Known) -> list[Session]:
    """Every session that counts."""
    owners = sandbox_owners(known.sandboxes)
    rows = [(read_object(listed.text), listed.load_started_at) for listed in known.sessions]
    return [read_session(row, owners, started_at) for row, started_at in rows if not session_faults(row, started_at)]


# --- The calendar (rule 11) ----------------------------------------------------------------------------------------


def day_of(instant: int) -> int:
    """The UTC day of an instant, as days since 1970."""
    return instant // MICROSECONDS_PER_DAY


def day_name(day: int) -> str:
    """`YYYY-MM-DD`."""
    return date.fromordinal(date(1970, 1, 1).toordinal() + day).isoformat()


def month_of(instant: int) -> int:
    """The UTC calendar month of an instant, as months since the year 0."""
    day = date.fromordinal(date(1970, 1, 1).toordinal() + day_of(instant))
    return day.year * 12 + day.month - 1


def month_number(name: str) -> int:
    """The month of a `YYYY-MM`, as `month_of` counts them."""
    return int(name[:4]) * 12 + int(name[5:]) - 1


def month_name(month: int) -> str:
    """`YYYY-MM`."""
    return f"{month // 12:04d}-{month % 12 + 1:02d}"


def month_start(month: int) -> int:
    """The first instant of a month; the end of the month before (half-open)."""
    days = date(month // 12, month % 12 + 1, 1).toordinal() - date(1970, 1, 1).toordinal()
    return days * MICROSECONDS_PER_DAY


def month_windows(session: Session) -> Iterator[tuple[int, int, int]]:
    """The months in which a session has a part, each with its start and end (rules 11 and 13)."""
    for month in range(month_of(session.start), month_of(last_instant(session)) + 1):
        yield month, month_start(month), month_start(month + 1)


def day_windows(session: Session) -> Iterator[tuple[int, int, int]]:
    """The UTC days in which a session has a part, each with its start and end (rule 13)."""
    for day in range(day_of(session.start), day_of(last_instant(session)) + 1):
        yield day, day * MICROSECONDS_PER_DAY, (day + 1) * MICROSECONDS_PER_DAY


def last_instant(session: Session) -> int:
    """Rule 13: one that ends on a cut belongs before it; one of no length where it starts."""
    return max(session.start, session.end - 1)


# --- Splitting (rule 13) -------------------------------------------------------------------------------------------


def used_by(amount: int, session: Session, cut: int) -> int:
    """Rule 13: what of `amount` is used by a cut is floor(amount * elapsed / total); all of it from the end on."""
    if cut >= session.end:
        return amount
    if cut <= session.start:
        return 0
    return amount * (cut - session.start) // (session.end - session.start)


def part_in(session: Session, window_start: int, window_end: int) -> Part:
    """The part of a session in a window that it touches: the difference of what was used by its two cuts."""
    if session.start == session.end:
        return Part(session, session.start, session.end, session.nano_credits, session.seconds)
    shares = [
        used_by(amount, session, window_end) - used_by(amount, session, window_start)
        for amount in (session.nano_credits, session.seconds)
    ]
    return Part(session, max(session.start, window_start), min(session.end, window_end), shares[0], shares[1])


def month_parts(sessions: Iterable[Session]) -> dict[tuple[str, int], list[Part]]:
    """Parts by user and month."""
    parts: dict[tuple[str, int], list[Part]] = defaultdict(list)
    for session in sessions:
        for month, start, end in month_windows(session):
            parts[session.user, month].append(part_in(session, start, end))
    return parts


def day_parts(sessions: Iterable[Session]) -> dict[tuple[str, int], list[Part]]:
    """Parts by user and UTC day."""
    parts: dict[tuple[str, int], list[Part]] = defaultdict(list)
    for session in sessions:
        for day, start, end in day_windows(session):
            parts[session.user, day].append(part_in(session, start, end))
    return parts


# --- Concurrency (rule 15) -----------------------------------------------------------------------------------------


def running_counts(parts: Iterable[Part]) -> list[tuple[int, int]]:
    """How many sessions run from each instant at which that number changes, in order of time.

    Intervals are half-open, so what ends at an instant is gone before what starts then; one of no length never runs.
    """
    changes: dict[int, int] = defaultdict(int)
    for part in parts:
        if part.start < part.end:
            changes[part.start] += 1
            changes[part.end] -= 1
    counts, running = [], 0
    for instant in sorted(changes):
        running += changes[instant]
        counts.append((instant, running))
    return counts


def peak_concurrent(parts: Iterable[Part]) -> int:
    """The most sessions that ran at the same instant."""
    return max((running for _, running in running_counts(parts)), default=0)


# --- Facts ---------------------------------------------------------------------------------------------------------


def distinct_sandboxes(sessions: Iterable[Session]) -> set[str]:
    """The sandboxes that these sessions ran in."""
    return {session.sandbox for session in sessions if session.sandbox is not None}


def fct_user_period_credits(parts: Mapping[tuple[str, int], list[Part]]) -> Mart:
    """Usage of each user in each period."""
    return {
        (user, month_name(month)): {
            "period_start_at_utc": month_start(month),
            "period_end_at_utc": month_start(month + 1),
            "is_attributed": user != UNATTRIBUTED,
            "session_count": len(own),
            "sandbox_count": len(distinct_sandboxes(part.session for part in own)),
            "usage_seconds": sum(part.seconds for part in own),
            "credits": sum(part.nano_credits for part in own),
            "provisional_credits": sum(part.nano_credits for part in own if part.session.is_running),
            "peak_concurrent": peak_concurrent(own),
        }
        for (user, month), own in parts.items()
    }


def fct_user_day_credits(sessions: Iterable[Session]) -> Mart:
    """Usage of each user on each UTC day."""
    return {
        (user, day_name(day)): {
            "billing_period": day_name(day)[:7],
            "session_count": len(own),
            "usage_seconds": sum(part.seconds for part in own),
            "credits": sum(part.nano_credits for part in own),
        }
        for (user, day), own in day_parts(sessions).items()
    }


def fct_session_period_credits(parts: Mapping[tuple[str, int], list[Part]]) -> Mart:
    """Each session's part in each period."""
    return {
        (part.session.session_id, month_name(month)): {
            "external_user_id": user,
            "sandbox_id": part.session.sandbox,
            "external_project_id": part.session.project,
            "workspace_id": part.session.workspace,
            "part_start_at_utc": part.start,
            "part_end_at_utc": part.end,
            "usage_seconds": part.seconds,
            "credits": part.nano_credits,
            "is_provisional": part.session.is_running,
        }
        for (user, month), own in parts.items()
        for part in own
    }


# --- Dimensions ----------------------------------------------------------------------------------------------------


def users_with_quota(known: Known) -> set[str]:
    """The users about whom the API has ever answered with a quota."""
    return {answer.user for answer in known.quotas if answer.limits is not None}


def dim_users(known: Known, sessions: Iterable[Session]) -> Mart:
    """Everybody known: by usage, by a sandbox, by a quota."""
    by_user: dict[str, list[Session]] = defaultdict(list)
    for session in sessions:
        by_user[session.user].append(session)
    everybody = set(by_user) | users_with_quota(known)
    for changes in sandbox_owners(known.sandboxes).values():
        everybody |= owners_in_force(changes)
    return {
        (user,): {
            "is_attributed": user != UNATTRIBUTED,
            "first_seen_at_utc": min((session.start for session in by_user[user]), default=None),
            "last_seen_at_utc": max((session.end for session in by_user[user]), default=None),
            "sandbox_count": len(distinct_sandboxes(by_user[user])),
        }
        for user in sorted(everybody)
    }


def session_loads(known: Known) -> list[Load]:
    """The complete loads of usage sessions."""
    return [load for load in known.loads if load.resource == "usage_sessions"]


def is_covered(start: int, end: int, loads: Iterable[Load]) -> bool:
    """Whether the windows of these loads, together, leave out nothing of `[start, end)`."""
    windows = sorted(
        (load.window_start, load.window_end)
        for load in loads
        if load.window_start is not None and load.window_end is not None
    )
    reached = start
    for window_start, window_end in windows:
        if window_start <= reached:
            reached = max(reached, window_end)
    return reached >= end


def billing_months(known: Known, parts: Mapping[tuple[str, int], list[Part]]) -> range:
    """The months from the first to the last that has usage, or whose figures the vendor was asked for.

    No month appears before a load has begun in it (rule 37). The vendor is asked for each month of a run, and for each
    in which a landed session has a part (rule 34); a month
    that only the look-back covers is none of ours.
    """
    months = {month for _, month in parts}
    for load in known.loads:
        if load.resource in ("usage_rollups", "usage_summaries") and load.window_start is not None:
            months.add(month_of(load.window_start))
    newest = month_of(max((load.started_at for load in known.loads), default=0))
    months = {month for month in months if month <= newest}
    return range(min(months), max(months) + 1) if months else range(0)


def is_complete(known: Known, month: int) -> bool:
    """Rule 34: every day covered by loads that began at or after the end; for the current period, up to the newest."""
    loads = session_loads(known)
    if not loads:
        return False
    start, end = month_start(month), month_start(month + 1)
    newest_start = max(load.started_at for load in loads)
    if end <= newest_start:
        return is_covered(start, end, [load for load in loads if load.started_at >= end])
    newest_run = max(loads, key=lambda load: load.load_id).run_id
    days_so_far = (day_of(newest_start - 1) + 1) * MICROSECONDS_PER_DAY
    return is_covered(start, min(end, days_so_far), [load for load in loads if load.run_id == newest_run])


def dim_billing_periods(known: Known, months: Iterable[int]) -> Mart:
    """The billing periods, none left out between the first and the last."""
    return {
        (month_name(month),): {
            "period_start_at_utc": month_start(month),
            "period_end_at_utc": month_start(month + 1),
            "is_complete": is_complete(known, month),
            "is_closed": False,
            "closed_at_utc": None,
        }
        for month in months
    }


# --- Quotas (rules 15, 16, 17) -------------------------------------------------------------------------------------


def first_shown(answers: Iterable[QuotaAnswer], quota: str) -> list[QuotaAnswer]:
    """Rule 17: the answers that first showed a limit. One that says what the load before said is no other limit."""
    shown: list[QuotaAnswer] = []
    told: tuple[bool, int | None] | None = None
    for answer in sorted(answers, key=lambda answer: answer.load_id):
        says = answer.limits is not None, (answer.limits or {}).get(QUOTAS[quota])
        if says != told:
            shown.append(answer)
        told = says
    return shown


def in_force(answers: Sequence[QuotaAnswer], instant: int) -> QuotaAnswer:
    """Rule 17: the newest version among those seen by then; the first known one holds for all time before."""
    seen = [answer for answer in answers if answer.started_at <= instant]
    return max(seen, key=lambda answer: answer.load_id) if seen else min(answers, key=lambda answer: answer.load_id)


def limit_in_force(answers: Sequence[QuotaAnswer], quota: str, instant: int) -> int | None:
    """The limit in billionths; None where there is no cap, or no quota."""
    limits = in_force(answers, instant).limits
    return None if limits is None else limits.get(QUOTAS[quota])


def has_limit_changed(answers: Sequence[QuotaAnswer], quota: str, start: int, end: int, moment: int) -> bool:
    """Rule 17: whether another limit came into force inside the period, up to the moment it is measured at."""
    return any(
        limit_in_force(answers, quota, answer.started_at) != limit_in_force(answers, quota, answer.started_at - 1)
        for answer in answers
        if start < answer.started_at <= moment and answer.started_at < end
    )


def round_half_away(numerator: int, denominator: int) -> int:
    """Numerator ÷ denominator (positive), rounded half away from zero (rule 16)."""
    size = (2 * abs(numerator) + denominator) // (2 * denominator)
    return -size if numerator < 0 else size


def utilization_of(limit: int | None, used: int | None) -> int | None:
    """Rule 16: used / limit in millionths; null without a limit or a measured use, and for a limit of zero."""
    return min(round_half_away(used * 10**6, limit), MAX_UTILIZATION) if limit and used is not None else None


def storage_used(stated: str | tuple[str, ...], month: int) -> int:
    """Rules 15 and 16: the sum of a user's GB-hours over the period's hours, in billionths of a GB, rounded once."""
    texts = (stated,) if isinstance(stated, str) else stated
    numbers = [number for number in map(read_number, texts) if number is not None]
    decimals = max((number.decimals for number in numbers), default=0)
    hours = (month_start(month + 1) - month_start(month)) // MICROSECONDS_PER_HOUR
    return round_half_away(sum(number.scaled(decimals) for number in numbers) * NANO, hours * 10**decimals)


def status_of(limit: int, used: int | None) -> str:
    """Rule 16: how use stands to a limit. A limit of zero is a block."""
    if used is None:
        return "not_measured"
    if used > limit:
        return "over_limit"
    if limit == 0:
        return "ok"
    if used == limit:
        return "at_limit"
    return "warning" if used * 100 >= limit * 80 else "ok"


def credits_reached_at(parts: Iterable[Part], limit: int) -> int | None:
    """Rule 17: the end of the first part, by part end and session id, at which the running sum is at the limit."""
    total = 0
    for part in sorted(parts, key=lambda part: (part.end, part.session.session_id.encode("utf-8", "surrogatepass"))):
        total += part.nano_credits
        if total >= limit:
            return part.end
    return None


def concurrent_reached_at(parts: Iterable[Part], limit: int) -> int | None:
    """The first instant of the period at which as many sessions run as the limit allows (one, for a limit of 0)."""
    return next((instant for instant, running in running_counts(parts) if running * NANO >= max(limit, 1)), None)


def sandboxes_reached_at(first_runs: Sequence[int], limit: int, start: int) -> int | None:
    """The first instant of the period at which the user had run as many sandboxes as the limit allows.

    `first_runs` are the instants at which each sandbox first ran, before the period's end.
    """
    for count, instant in enumerate(sorted(first_runs), start=1):
        if count * NANO >= limit:
            return max(start, instant)
    return None


def first_runs_by_user(sessions: Iterable[Session]) -> dict[str, list[int]]:
    """For each user, when each of its sandboxes first ran, in order of time."""
    first: dict[tuple[str, str], int] = {}
    for session in sessions:
        if session.sandbox is not None:
            key = session.user, session.sandbox
            first[key] = min(session.start, first.get(key, session.start))
    by_user: dict[str, list[int]] = defaultdict(list)
    for (user, _), instant in sorted(first.items(), key=lambda item: item[1]):
        by_user[user].append(instant)
    return by_user


def fct_quota_utilization(
    known: Known, sessions: Sequence[Session], parts: Mapping[tuple[str, int], list[Part]], months: Iterable[int]
) -> Mart:
    """Use against limits: four rows for each user with usage in a period, or with a quota at any time."""
    answers: dict[str, list[QuotaAnswer]] = defaultdict(list)
    for answer in known.quotas:
        answers[answer.user].append(answer)
    first_runs = first_runs_by_user(sessions)
    newest_start = max((load.started_at for load in known.loads), default=0)
    measured = {period for period, _ in known.storage_gb_hours}
    mart: Mart = {}
    for month in months:
        start, end = month_start(month), month_start(month + 1)
        moment = min(end, newest_start)
        users = {user for user, used_month in parts if used_month == month} | users_with_quota(known)
        for user in users:
            own = parts.get((user, month), [])
            runs = first_runs.get(user, [])
            runs = runs[: bisect_right(runs, end - 1)]
            stored = storage_used(known.storage_gb_hours.get((month_name(month), user), ()), month)
            used: dict[str, int | None] = {
                "credits": sum(part.nano_credits for part in own),
                "concurrent": peak_concurrent(own) * NANO,
                "sandboxes": len(runs) * NANO,
                "storage_gb": stored if month_name(month) in measured else None,
            }
            for quota in QUOTAS:
                use = used[quota]
                versions = first_shown(answers.get(user, []), quota)
                limit = limit_in_force(versions, quota, moment) if versions else None
                is_answered = bool(versions) and in_force(versions, moment).limits is not None
                reached = None
                if limit is not None and quota == "credits":
                    reached = credits_reached_at(own, limit)
                elif limit is not None and quota == "concurrent":
                    reached = concurrent_reached_at(own, limit)
                elif limit is not None and quota == "sandboxes":
                    reached = sandboxes_reached_at(runs, limit, start)
                mart[user, month_name(month), quota] = {
                    "limit_value": limit,
                    "used_value": use,
                    "headroom_value": None if limit is None or use is None else limit - use,
                    "utilization": utilization_of(limit, use),
                    "status": (
                        status_of(limit, use) if limit is not None else ("uncapped" if is_answered else "no_quota")
                    ),
                    "has_limit_changed": has_limit_changed(versions, quota, start, end, moment),
                    "reached_limit_at_utc": reached,
                }
    return mart


# --- Rejected rows (rule 7) ----------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Rejected:
    """A row that is reported and never billed, with every reason that there is for it."""

    source: str
    row_id: str | None
    payload: str
    faults: frozenset[str]


def rejected_rows(known: Known) -> list[Rejected]:
    """Rule 7: the current versions that are rejected."""
    current_sandboxes: dict[Key, str] = {}
    for place, version in enumerate(known.sandboxes):
        identity = usable_id(read_object(version.text).get("id"))
        current_sandboxes[("id", identity) if identity is not None else ("place", place)] = version.text
    listed = [
        ("usage_sessions", row.text, session_faults(read_object(row.text), row.load_started_at))
        for row in known.sessions
    ]
    listed += [("sandboxes", text, sandbox_faults(read_object(text))) for text in current_sandboxes.values()]
    return [
        Rejected(source, usable_id(read_object(text).get("id")), canonical(text), frozenset(faults))
        for source, text, faults in listed
        if faults
    ]


# --- All of it -----------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Marts:
    """What the warehouse must hold: each mart from key to row, and the rejected rows."""

    by_name: dict[str, Mart]
    rejected: list[Rejected]


KEYS = {
    "fct_user_period_credits": ("external_user_id", "billing_period"),
    "fct_user_day_credits": ("external_user_id", "usage_date"),
    "fct_session_period_credits": ("session_id", "billing_period"),
    "fct_quota_utilization": ("external_user_id", "billing_period", "quota"),
    "dim_users": ("external_user_id",),
    "dim_billing_periods": ("billing_period",),
}
"""The grain of each mart that is compared row by row."""


def work_out(known: Known) -> Marts:
    """Every mart, from what is known."""
    sessions = usable_sessions(known)
    parts = month_parts(sessions)
    months = billing_months(known, parts)
    return Marts(
        by_name={
            "fct_user_period_credits": fct_user_period_credits(parts),
            "fct_user_day_credits": fct_user_day_credits(sessions),
            "fct_session_period_credits": fct_session_period_credits(parts),
            "fct_quota_utilization": fct_quota_utilization(known, sessions, parts, months),
            "dim_users": dim_users(known, sessions),
            "dim_billing_periods": dim_billing_periods(known, months),
        },
        rejected=rejected_rows(known),
    )
