"""Generated tenants: raw API rows that sit on every edge the billing rules name.

Each session comes from a seed of its own. One number gives all the seeds of a big tenant that can be repeated;
hypothesis chooses those of small ones, which it can vary and shrink session by session. Rows are JSON texts, since
how a number, a time or a key is spelt is part of what is tested.
"""

from __future__ import annotations

import json
import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

from hypothesis import strategies as st

import oracle
from simulator.tenant import Tenant

Limits = Mapping[str, int | Decimal | None]

DAY = oracle.MICROSECONDS_PER_DAY
SECOND = oracle.MICROSECONDS

HOSTILE = (
    "..", ".", "a/b", "a%2Fb", "%2E%2E", "A", "a", " a", "a ", "\u00e9", "e\u0301", "\u00c9", "\ufb01", "fi",
    "\u7528\u6237", "'; drop table raw.loads; --", '"', "\\", "\\u0061", "null", "NULL", "true", "0", "00", "0.0",
    "1e5", "?x=1#y", "a&b=c", "a\tb", "a\nb", "\u200b", "\u00a0", "\U0001f600", "\u202eabc",
    "(Unattributed)", "(unattributed) ", "unattributed",
    "{{ 1 }}", "${x}", "-", "x" * 300,
)  # fmt: skip
"""Ids that trimming, folding, unescaping, quoting or path handling would confuse. Each is an id of its own."""


COST_NAMES = ("credit_cost", "credits_used")
"""The two names of a session's cost."""


@dataclass(frozen=True)
class Rows:
    """What a tenant holds, as raw rows."""

    sessions: tuple[str, ...]
    sandboxes: tuple[str, ...] = ()
    quotas: Mapping[str, Limits] = field(default_factory=dict)
    storage_gb: Mapping[str, Decimal] = field(default_factory=dict)

    def tenant(self, now: datetime | None = None) -> Tenant:
        """The simulator's tenant with these rows; its clock is the machine's unless told otherwise."""
        return Tenant.from_rows(
            sessions=self.sessions,
            sandboxes=self.sandboxes,
            quotas=self.quotas,
            storage_gb=self.storage_gb,
            now=now or datetime.now(UTC),
        )


@dataclass(frozen=True)
class Span:
    """The months that a tenant's sessions lie in, both inclusive."""

    first: str = "2026-07"
    last: str = "2026-10"
    until: int | None = None
    """Where sessions end at the latest, if before the last month's end."""

    @property
    def start(self) -> int:
        """The first instant, in microseconds."""
        return oracle.month_start(oracle.month_number(self.first))

    @property
    def end(self) -> int:
        """The first instant after."""
        return self.until or oracle.month_start(oracle.month_number(self.last) + 1)

    @property
    def month_starts(self) -> list[int]:
        """The starts of all its months, and its end."""
        inner = range(oracle.month_number(self.first), oracle.month_number(self.last) + 1)
        return [*(oracle.month_start(month) for month in inner), self.end]


# --- Texts ---------------------------------------------------------------------------------------------------------


def quoted(value: object) -> str:
    """A value as JSON text."""
    return json.dumps(value, ensure_ascii=False)


def spelt(text: str, rng: random.Random) -> str:
    """A string as JSON text, with or without escapes: both mean the same."""
    return json.dumps(text, ensure_ascii=rng.random() < 0.5)


def row_text(fields: Mapping[str, str]) -> str:
    """A JSON object of fields whose values are JSON texts."""
    return "{" + ",".join(f"{quoted(name)}:{value}" for name, value in fields.items()) + "}"


def reordered(text: str, rng: random.Random) -> str:
    """The same row with its keys in another order; a row with repeated keys or no object is left as it is."""

    def pairs(items: list[tuple[str, Any]]) -> Any:
        return items

    decoder = json.JSONDecoder(object_pairs_hook=pairs)
    items = decoder.decode(text)
    if not text.startswith("{") or len({name for name, _ in items}) != len(items):
        return text
    fields, position = {}, 1
    for name, _ in items:
        _, position = decoder.raw_decode(text, position)
        _, end = decoder.raw_decode(text, position + 1)
        fields[name] = text[position + 1 : end]
        position = end + 1
    names = list(fields)
    rng.shuffle(names)
    return row_text({name: fields[name] for name in names})


def swapped_costs(rows: Rows) -> Rows:
    """The same tenant with the two names of the cost exchanged."""
    first, second, between = '"credit_cost":', '"credits_used":', '"\x00":'
    texts = (text.replace(first, between).replace(second, first).replace(between, second) for text in rows.sessions)
    return replace(rows, sessions=tuple(texts))


def time_text(instant: int, rng: random.Random) -> str:
    """One of the many spellings of an instant that all mean the same (rule 8)."""
    minutes = rng.choice((0, 0, 0, 0, 60, -60, 330, -210, 840, -720))
    zone: str
    if minutes == 0:
        zone = rng.choice(("Z", "Z", "Z", "z", "", "+00:00", "-00:00", "+00", "+0000"))
    else:
        sign, (hours, rest) = "-" if minutes < 0 else "+", divmod(abs(minutes), 60)
        zone = rng.choice((f"{sign}{hours:02d}:{rest:02d}", f"{sign}{hours:02d}{rest:02d}"))
        if rest == 0:
            zone = rng.choice((zone, f"{sign}{hours:02d}"))
    local = instant + minutes * 60 * SECOND
    day, in_day = divmod(local, DAY)
    seconds, fraction = divmod(in_day, SECOND)
    clock = f"{seconds // 3600:02d}:{seconds // 60 % 60:02d}"
    if seconds % 60 or fraction or rng.random() < 0.8:
        clock += f":{seconds % 60:02d}"
        digits = f"{fraction:06d}"
        if fraction == 0:
            digits = rng.choice(("", "", "", "0", "000000", "0000009"))
        elif rng.random() < 0.3:
            digits += rng.choice(("9", "999", "000", "5"))
        elif rng.random() < 0.5:
            digits = digits.rstrip("0")
        clock += rng.choice((".", ".", ".", ",")) + digits if digits else ""
    return oracle.day_name(day) + rng.choice(("T", "T", "T", "t", " ")) + clock + zone


def nano_spellings(nano: int, rng: random.Random) -> str:
    """One of the spellings of an amount of nano-credits that are the same number (rules 1 and 7)."""
    whole, fraction = divmod(nano, oracle.NANO)
    plain = f"{whole}.{fraction:09d}" if fraction else f"{whole}"
    texts = [plain, plain, f"{whole}.{fraction:09d}", f"{whole}.{fraction:09d}000", f"{nano}e-9"]
    if fraction:
        texts.append(plain.rstrip("0"))
    if nano:
        texts.append(f"{nano}0E-10")
    else:
        texts += ["-0", "-0.0", "0e5", "0E-30", "0.000000000000"]
    if fraction == 0 and whole and whole % 100 == 0:
        texts += [f"{whole // 100}e2", f"{whole // 100}E+02"]
    return rng.choice(texts)


def rounded_spelling(nano: int, rng: random.Random) -> str:
    """A number with more than nine decimals that is rounded to this amount (rule 1)."""
    under, over = ("1", "4", "49", "0004", "4" + "9" * 2000), ("5", "50", "500001", "9", "9" * 2000)
    rounds_up = nano > 0 and rng.random() < 0.5
    whole, fraction = divmod(nano - rounds_up, oracle.NANO)
    return f"{whole}.{fraction:09d}{rng.choice(over if rounds_up else under)}"


# --- Sessions ------------------------------------------------------------------------------------------------------


def _instant(rng: random.Random, span: Span) -> int:
    """An instant of the span, half of the time within a hair of a month's or a day's cut."""
    kind = rng.randrange(4)
    if kind == 0:
        anchor = rng.choice(span.month_starts)
    elif kind == 1:
        anchor = rng.randrange(span.start // DAY, span.end // DAY) * DAY
    else:
        return rng.randrange(span.start, span.end)
    return anchor + rng.choice((0, 0, 1, -1, 999_999, SECOND, -SECOND, 1_500_000, -3600 * SECOND, 7))


def _length(rng: random.Random, start: int, span: Span) -> int:
    """A length: none, a hair, hours, weeks, or exactly up to a cut (or a hair beside it)."""
    kind = rng.randrange(5)
    if kind == 0:
        return rng.choice((0, 0, 1, 999_999, SECOND, SECOND + 1, 3))
    if kind == 1:
        return rng.randrange(1, 4 * 3600 * SECOND)
    if kind == 2:
        return rng.randrange(1, 40 * DAY)
    cuts = [cut for cut in span.month_starts if cut >= start] if kind == 3 else [(start // DAY + 1) * DAY]
    return max(0, rng.choice(cuts) - start + rng.choice((0, 0, 1, -1)))


def _nano(rng: random.Random) -> int:
    """A cost: nothing, next to nothing, the largest there is, or any."""
    kind = rng.randrange(4)
    if kind == 0:
        return rng.choice((0, 1, 2, 3, 10**18 - 1, 10**9, 5 * 10**8, 100 * 10**9))
    return rng.randrange(10 ** rng.randrange(1, 19 if kind == 1 else 13))


def _cost_fields(nano: int, rng: random.Random) -> dict[str, str]:
    """The cost under one of its names, or both, as a number or a number in a string."""
    rounded = rounded_spelling(nano, rng) if rng.random() < 0.1 else None

    def amount() -> str:
        text = rounded or nano_spellings(nano, rng)
        return quoted(text) if rng.random() < 0.2 else text

    name, other = rng.choice((COST_NAMES, COST_NAMES[::-1]))
    kind = rng.randrange(10)
    return {name: amount(), **({other: amount()} if kind < 3 else {other: "null"} if kind == 3 else {})}


def _duration(seconds: int, rng: random.Random) -> str:
    """A spelling of a whole number of seconds."""
    return rng.choice((f"{seconds}", f"{seconds}", f"{seconds}.0", f'"{seconds}"', f"{seconds * 10}e-1"))


def _maybe(fields: dict[str, str], name: str, values: Sequence[str], rng: random.Random) -> None:
    """Set a field to one of these JSON texts; the empty text leaves it out."""
    value = rng.choice(list(values))
    if value:
        fields[name] = value


NO_ID = ("", "null", '""', "5", "true", "[]", "{}")
"""JSON texts of what is no id; the empty text stands for an absent field."""


def session_fields(
    number: int,
    rng: random.Random,
    span: Span,
    users: Sequence[str],
    computers: Sequence[str],
    clock_ends: bool = True,
) -> dict[str, str]:
    """One usable session. Without `clock_ends`, none lasts until the moment at which it happens to be read."""
    hostile = number < len(HOSTILE)
    fields = {"id": spelt(HOSTILE[number] if hostile else f"s{number}", rng)}
    owners = [spelt(rng.choice(list(users)), rng)]
    _maybe(fields, "external_user_id", owners if rng.random() < 0.8 else NO_ID, rng)
    computer = spelt(rng.choice(list(computers)), rng)
    _maybe(fields, "computer_id", [computer] if rng.random() < 0.9 else NO_ID, rng)
    _maybe(fields, "external_project_id", ("", "null", '""', "7", '"p1"', '"p2"', '"P1"', '" p1"'), rng)
    _maybe(fields, "workspace_id", ("", "null", '"w1"', '"w2"'), rng)
    _maybe(fields, "external_workspace_id", ("", '"not this one"'), rng)
    start = min(max(_instant(rng, span), span.start), span.end - 1)
    length = min(_length(rng, start, span), span.end - 1 - start)
    nano = _nano(rng)
    fields["started_at"] = quoted(time_text(start, rng))
    if start % DAY == 0 and rng.random() < 0.2:
        fields["started_at"] = quoted(oracle.day_name(start // DAY))
    if rng.random() < 0.1:
        _maybe(fields, "ended_at", ("", "null"), rng)
        if clock_ends and rng.random() < 0.3:
            nano = min(nano, 50 * oracle.NANO)  # the vendor's clock is not the warehouse's: keep their difference small
        else:
            fields["duration_sec"] = _duration(length // SECOND, rng)
        if rng.random() < 0.8:
            fields |= _cost_fields(nano, rng)
    else:
        fields["ended_at"] = quoted(time_text(start + length, rng))
        kind = rng.randrange(6)
        if kind == 0:
            fields["duration_sec"] = rng.choice(("null", "0", "0.0", f"{oracle.MAX_DURATION_SECONDS}", "9e10", "1"))
        elif kind < 4:
            fields["duration_sec"] = _duration(rng.randrange(length // SECOND + 2), rng)
        fields |= _cost_fields(nano, rng)
    if rng.random() < 0.1:
        fields["note"] = '{"ended_at":"never","id":[1,2.50,1e400],"credit_cost":-1}'
    return fields


Fault = Callable[[dict[str, str], random.Random], dict[str, str]]


def _with(name: str, *values: str) -> Fault:
    """A fault: the field gets one of these JSON texts; the empty text leaves it out."""

    def apply(fields: dict[str, str], rng: random.Random) -> dict[str, str]:
        broken = {key: value for key, value in fields.items() if key != name}
        _maybe(broken, name, values, rng)
        return broken

    return apply


def _with_cost(*values: str) -> Fault:
    """A fault: the cost, under one name only, gets one of these JSON texts; the empty text leaves it out."""

    def apply(fields: dict[str, str], rng: random.Random) -> dict[str, str]:
        broken = {key: value for key, value in fields.items() if key not in COST_NAMES}
        _maybe(broken, rng.choice(COST_NAMES), values, rng)
        return broken

    return apply


def _ends_before(fields: dict[str, str], rng: random.Random) -> dict[str, str]:
    """A fault: the end lies before the start."""
    start = oracle.read_time(json.loads(fields["started_at"])) or 0
    return {**fields, "ended_at": quoted(time_text(start - rng.choice((1, SECOND, 40 * DAY)), rng))}


def _ends_late(fields: dict[str, str], rng: random.Random) -> dict[str, str]:
    """A fault: by its duration so far, a running session ends years ahead.

    Not by a stated end: an API that selects by end would not list the row.
    """
    running = {name: text for name, text in fields.items() if name != "ended_at"}
    return {**running, "duration_sec": rng.choice((f"{oracle.MAX_DURATION_SECONDS}", '"9e10"', "3e9"))}


def _differ(fields: dict[str, str], rng: random.Random) -> dict[str, str]:
    """A fault: both costs are there, and not equal."""
    return {
        **fields,
        "credit_cost": "1.000000001",
        "credits_used": rng.choice(("1", "1.000000002", '"2"', '"x"', "1.0000000010000001")),
    }


UNREADABLE_TIMES = (
    *map(quoted, ("", "x", "2026-02-30T00:00:00Z", "2026-13-01", "2026-08-01T24:00:00Z", "2026-08-01T10:00:60Z",
                 " 2026-08-01T10:00:00Z", "2026-08-01T10:00:00Z ", "20260801T100000Z", "2026-8-1", "1785578400",
                 "2026-08-01T10:00:00 Z", "2026-08-01T10:00:00.Z", "2026-08-01T10", "01.08.2026", "now", "infinity",
                 "2026-08-01T10:00:00+5", "2026-08-01T10:00:00 Europe/Berlin", "2026-08-01T10:60:00Z", "epoch",
                 "2026-08-01T10:00:00+05:60", "26-08-01T10:00:00Z", "2026-08-01T10:00:00Z\n", "\uff12026-08-01")),
    "0", "1785578400", "true", "false", "[]", "{}", '["2026-08-01"]',
)  # fmt: skip
"""JSON texts that name no instant."""

FAULTS: tuple[Fault, ...] = (
    _with("id", *NO_ID),
    _with("started_at", "", "null"),
    _with("started_at", *UNREADABLE_TIMES),
    _with("ended_at", *UNREADABLE_TIMES),
    _ends_before,
    _with("duration_sec", "-1", "60.5", '"60.5"', '"x"', '""', "true", "[]", "{}", "100000000000", "1e11", "1e400",
          '" 60"', '"1_0"', '"0x10"', "-0.1", "1e-1", '"NaN"', "1e999999999999999999999"),
    _with_cost("", "null"),
    _with_cost('"NaN"', '"Infinity"', '"-inf"', '"1_000"', '" 1 "', '"1,5"', '"1."', '".5"', '"+1"', '"01"', '"0x1"',
               '""', '"free"', '"1e"', "true", "false", "[]", "[1]", "{}", '{"amount":1}', '"1\\n"', '"\u0661"'),
    _with_cost("-1", "-0.000000001", '"-5"', "-1e3"),
    _ends_late,
    _with_cost("999999999.9999999995", "1000000000", "1e9", '"1e9"', "1000000000.000000001", "1e400",
               "99999999999999999999", "1e99999999999"),
    _differ,
    _with("external_user_id", quoted(oracle.UNATTRIBUTED)),
)  # fmt: skip
"""Every way in which a session is rejected (rules 1, 7, 9, 37)."""


def _double(text: str, name: str, value: str) -> str:
    """The row with a key that stands twice: the last one, the row's own, wins."""
    return f"{{{quoted(name)}:{value}," + text[1:]


def session_text(number: int, rng: random.Random, rejected_share: float, *where: Any, **options: Any) -> str:
    """One session's row, usable or with a fault; now and then with keys that stand twice, or odd characters."""
    fields = session_fields(number, rng, *where, **options)
    if rng.random() < rejected_share:
        fields = rng.choice(FAULTS)(fields, rng)
    text = row_text(fields)
    if rng.random() < 0.03:
        text = _double(text, rng.choice(sorted(fields)), rng.choice(("-1", '"x"', "null")))
    if rng.random() < 0.02:
        text = text[:-1] + ',"broken":"\\ud800","nul":"\\u0000"}'
    return text


def make_rows(
    seed: int,
    session_seeds: Sequence[int],
    span: Span | None = None,
    *,
    rejected_share: float = 0.1,
    clock_ends: bool = True,
    plain_users: int = 8,
) -> Rows:
    """A tenant with one session for each seed, and with sandboxes, quotas and storage that fit them."""
    span = span or Span()
    users = [*HOSTILE, *(f"user-{number}" for number in range(plain_users))]
    computers = [*HOSTILE[:12], *(f"sbx-{number}" for number in range(max(10, len(session_seeds) // 50)))]
    texts = tuple(
        session_text(number, random.Random(own), rejected_share, span, users, computers, clock_ends)
        for number, own in enumerate(session_seeds)
    )
    rng = random.Random(seed)
    rows = Rows(texts, tuple(sandbox_rows(rng, computers, users)))
    return replace(rows, quotas=fitted_quotas(rng, rows, users, span.end), storage_gb=_storage(rng, users))


def sandbox_rows(rng: random.Random, computers: Sequence[str], users: Sequence[str]) -> list[str]:
    """A row for most computers, owned by somebody or nobody, and rows that are rejected."""
    texts = []
    for computer in computers:
        if rng.random() < 0.85:
            fields = {"id": quoted(computer), "name": '"box"', "status": '"stopped"'}
            _maybe(fields, "external_user_id", [quoted(user) for user in users] if rng.random() < 0.7 else NO_ID, rng)
            fields["created_at"] = '"2026-06-30T12:00:00Z"'
            if rng.random() < 0.1:
                fields["external_user_id"] = quoted(oracle.UNATTRIBUTED)
            texts.append(row_text(fields))
    for place, value in enumerate(NO_ID):
        fields = {"name": f'"without id {place}"', "external_user_id": '"nobody-knows"'}
        if value:
            fields["id"] = value
        texts.append(row_text(fields))
    return texts


def fitted_quotas(rng: random.Random, rows: Rows, users: Sequence[str], asked_at: int) -> dict[str, Limits]:
    """Quotas, half of whose limits stand exactly on, or a hair beside, what the user uses in some period."""
    known = oracle.Known(
        (),
        [oracle.SessionRow(text, asked_at) for text in rows.sessions],
        [oracle.SandboxRow(text, 0) for text in rows.sandboxes],
    )
    sessions = oracle.usable_sessions(known)
    parts = oracle.month_parts(sessions)
    first_runs = oracle.first_runs_by_user(sessions)
    quotas: dict[str, Limits] = {}
    for user in users:
        if rng.random() < 0.2:
            continue
        own = [usage for (owner, _), usage in sorted(parts.items()) if owner == user] or [[]]
        used = {
            "max_credit_cents": sum(part.nano_credits for part in rng.choice(own)),
            "max_concurrent": oracle.peak_concurrent(rng.choice(own)) * oracle.NANO,
            "max_sandboxes": len(first_runs.get(user, [])) * oracle.NANO,
            "max_storage_gb": oracle.NANO // 3,
        }
        limits: dict[str, int | Decimal | None] = {}
        for name, amount in used.items():
            kind = rng.randrange(8)
            if kind < 3:
                limits[name] = rng.choice((None, 0, 1, 2, 10**6))
            else:
                warned_from = amount * 5 // 4
                near = (amount, amount, amount + 1, max(0, amount - 1), warned_from, warned_from + 1, amount // 3)
                limits[name] = nano_decimal(rng.choice(near))
        quotas[user] = limits
    quotas["only-a-quota"] = {"max_credit_cents": 5}
    return quotas


def nano_decimal(nano: int) -> Decimal:
    """Billionths as an exact Decimal."""
    return Decimal(nano).scaleb(-9)


def _storage(rng: random.Random, users: Sequence[str]) -> dict[str, Decimal]:
    """What some users keep stored, in GB."""
    return {user: nano_decimal(rng.choice((1, oracle.NANO // 3, 5 * 10**11))) for user in users if rng.random() < 0.5}


def seeded_rows(seed: int, sessions: int, span: Span | None = None, **options: Any) -> Rows:
    """The tenant of a seed: the same each time. Options as in `make_rows`."""
    rng = random.Random(seed)
    return make_rows(seed, [rng.getrandbits(64) for _ in range(sessions)], span, **options)


def adversarial_rows(**options: Any) -> st.SearchStrategy[Rows]:
    """Tenants of hypothesis's choosing, with three rejected rows in ten; it can leave sessions out one by one."""
    seeds = st.lists(st.integers(0, 2**32), min_size=1, max_size=120)
    return st.builds(make_rows, st.integers(0, 2**32), seeds, rejected_share=st.just(0.3), **options)
