"""A tenant made up from a seed: the same seed and sizes give the same tenant, byte for byte.

It is written for a million sessions in seconds: instants are integers, the costs and durations come from pools, and a
row is one formatted string whose facts are known and never parsed. Money is integers of nano-credits throughout.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from functools import cache
from random import Random
from typing import NamedTuple

import msgspec

from simulator.edges import HOSTILE_USERS, edge_sandboxes, edge_sessions
from simulator.rows import MICROSECONDS, Sandbox, Session, read_sandbox, read_session, to_iso, to_microseconds
from simulator.tenant import Limit, Tenant

_DAY_SECONDS = 86_400
_POOL = 1 << 14
_PROJECTS = ("prj-web", "prj-batch", "prj-research")
_WORKSPACES = ("ws-eu", "ws-us")
_MEAN_CREDITS = 6
_RUNNING_PER_THOUSAND = 2


class _Home(NamedTuple):
    """Where sessions run: a sandbox or computer, and how rows name it and its user."""

    computer: str | None
    user: str | None
    project: str | None
    workspace: str | None
    fields: str
    """The row's JSON from `computer_id` up to `started_at`."""


def generate_tenant(
    seed: int = 1,
    users: int = 25,
    months: int = 3,
    sessions: int = 2_000,
    last_month: str = "2026-10",
    edge_cases: bool = True,
    now: datetime | None = None,
) -> Tenant:
    """Make a tenant with `sessions` ordinary sessions over the `months` that end with `last_month` (`YYYY-MM`).

    The edge rows (`simulator.edges`) come on top, unless `edge_cases` is false. Four of five ordinary sessions end on
    the day they start; some of the others cross days and months. `now` is by default 09:00 on the third day after
    `last_month`. Raises `ValueError` for a month that is none, or sizes that are too small.
    """
    if users < 1 or months < 1 or sessions < 0:
        raise ValueError("a tenant needs at least one user and one month, and no negative number of sessions")
    last = datetime.strptime(last_month, "%Y-%m").replace(tzinfo=UTC)
    first = last
    for _ in range(months - 1):
        first = (first - timedelta(days=1)).replace(day=1)
    end = (last + timedelta(days=31)).replace(day=1)
    random = Random(seed)
    names = [f"user-{number:04d}" for number in range(1, users + 1)]
    homes, sandboxes = _homes(random, names, first)
    quotas = _quotas(names, sessions // (users * months))
    storage = {name: Decimal(random.randrange(0, 50_000)).scaleb(-3) for name in names}
    rows = _sessions(random, homes, to_microseconds(first), to_microseconds(end), sessions)
    if edge_cases:
        edges = edge_sessions(last)
        rows.extend(read_session(edge.text.encode()) for edge in edges)
        sandboxes.extend(read_sandbox(text.encode()) for text in edge_sandboxes(first))
        for number, user in enumerate(HOSTILE_USERS):
            quotas[user] = {"max_sandboxes": number, "max_credit_cents": 100 * number}
    return Tenant(rows, sandboxes, quotas, now or end + timedelta(days=2, hours=9), storage)


def _sessions(random: Random, homes: list[_Home], first: int, end: int, count: int) -> list[Session]:
    """Make the ordinary sessions, newest first."""
    days = [
        to_iso(first + day * _DAY_SECONDS * MICROSECONDS)[:11] for day in range((end - first) // 86_400_000_000 + 5)
    ]
    clocks = _clocks()
    costs = [_cost(random) for _ in range(min(_POOL, count))]
    starts = sorted((int(random.random() * (end - first)) for _ in range(count)), reverse=True)
    chosen = random.choices(homes, cum_weights=_cumulative(len(homes)), k=count)
    running = count * _RUNNING_PER_THOUSAND // 1000
    rows: list[Session] = []
    for number, (start, home) in enumerate(zip(starts, chosen, strict=True)):
        bits = random.getrandbits(64)
        day, second = divmod(start // MICROSECONDS, _DAY_SECONDS)
        # Half of all sessions start and end on a whole second, the others on any microsecond.
        if bits & 1:
            fraction, micro = "", 0
        else:
            micro = start % MICROSECONDS
            fraction = f".{micro:06d}" if micro else ""
        # Thirteen of sixteen end on the day they start, after at most four hours; most others cross a day's end.
        longest = min(4 * 3600, _DAY_SECONDS - second) if bits & 0b11110 < 26 else 30 * 3600
        wall = (bits >> 5) % longest
        billed = wall
        if (bits >> 40) & 7 == 0:  # paused for a part of the time
            billed = wall * ((bits >> 43) & 127) // 128
        text, nano = costs[(bits >> 50) % len(costs)]
        identity = f"ses_{(count - number):08d}"
        start_text = f"{days[day]}{clocks[second]}{fraction}Z"
        begin = first + (day * _DAY_SECONDS + second) * MICROSECONDS + micro
        if number < running:
            finish, ended = None, "null"
        else:
            ended_day, ended_second = divmod(day * _DAY_SECONDS + second + wall, _DAY_SECONDS)
            finish = begin + wall * MICROSECONDS
            ended = f'"{days[ended_day]}{clocks[ended_second]}{fraction}Z"'
        row = (
            f'{{"id":"{identity}",{home.fields}"started_at":"{start_text}","ended_at":{ended},'
            f'"duration_sec":{billed},"credit_cost":{text}}}'
        )
        rows.append(
            Session(
                row.encode(),
                identity,
                begin,
                finish,
                finish is None,
                billed,
                nano,
                home.user,
                home.computer,
                home.project,
                home.workspace,
                "generated",
            )
        )
    return rows


@cache
def _clocks() -> list[str]:
    """The text of each second of a day."""
    return [f"{s // 3600:02d}:{s // 60 % 60:02d}:{s % 60:02d}" for s in range(_DAY_SECONDS)]


def _cost(random: Random) -> tuple[str, int]:
    """A cost under twice the mean, as a JSON number of 0 to 9 decimals and in nano-credits."""
    decimals = random.randrange(10)
    scaled = random.randrange(2 * _MEAN_CREDITS * 10**decimals)
    whole, fraction = divmod(scaled, 10**decimals)
    text = f"{whole}.{fraction:0{decimals}d}" if decimals else str(whole)
    return text, scaled * 10 ** (9 - decimals)


def _homes(random: Random, names: list[str], created: datetime) -> tuple[list[_Home], list[Sandbox]]:
    """Make the users' sandboxes, and for each how sessions in it are spelt; at the end those of nobody."""
    homes: list[_Home] = []
    sandboxes: list[Sandbox] = []
    for name in names:
        project, workspace = random.choice(_PROJECTS), random.choice(_WORKSPACES)
        for number in range(random.randrange(1, 6)):
            identity = f"sbx-{name}-{number}"
            row = {
                "id": identity,
                "name": f"sandbox {number} of {name}",
                "status": "running" if number == 0 else "stopped",
                "state": "running" if number == 0 else "stopped",
                "external_user_id": name,
                "external_project_id": project,
                "workspace_id": workspace,
                "created_at": to_iso(to_microseconds(created + timedelta(seconds=random.randrange(5_000_000)))),
            }
            sandboxes.append(read_sandbox(msgspec.json.encode(row), "generated"))
            # The third sandbox of a user is one whose sessions do not say whose they are; the fourth is a computer,
            # which the list of sandboxes does not know.
            computer = f"cmp-{name}" if number == 3 else identity
            homes.append(_home(computer, None if number == 2 else name, project, workspace))
    homes.append(_home("sbx-unknown", None, None, None))
    return homes, sandboxes


def _home(computer: str, user: str | None, project: str | None, workspace: str | None) -> _Home:
    names = {"external_user_id": user, "external_project_id": project, "workspace_id": workspace}
    fields = msgspec.json.encode({"computer_id": computer, **names}).decode()
    return _Home(computer, user, project, workspace, fields[1:-1] + ",")


def _cumulative(count: int) -> list[int]:
    """Weights that differ tenfold in a repeating pattern: some sandboxes are used a lot, most are not."""
    total, weights = 0, []
    for number in range(count):
        total += 1 + (number * 7 % 10)
        weights.append(total)
    return weights


def _quotas(names: list[str], sessions_per_month: int) -> dict[str, dict[str, Limit]]:
    """Make quotas of every shape: none, full, partly null, zero, all null; credits around what users spend."""
    spend = max(1, sessions_per_month * _MEAN_CREDITS)
    quotas: dict[str, dict[str, Limit]] = {}
    for number, name in enumerate(names):
        shape = number % 8
        if shape == 0:  # no quota: 404
            continue
        if shape == 1:
            quotas[name] = {}  # a quota whose limits are all null
        elif shape == 2:
            quotas[name] = {"max_sandboxes": 3, "max_concurrent": None, "max_storage_gb": 20}
        elif shape == 3:
            quotas[name] = {"max_sandboxes": 0, "max_concurrent": 0, "max_storage_gb": 0, "max_credit_cents": 0}
        else:
            quotas[name] = {
                "max_sandboxes": shape,
                "max_concurrent": shape - 3,
                "max_storage_gb": 10 * shape,
                "max_credit_cents": spend * (shape - 3) // 2,
            }
    return quotas
