"""The quota SQL alone: the compiled models from `int_sessions` on, run on scenes that a test makes (no dbt a scene)."""

from __future__ import annotations

import json
import random
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import histories
import oracle
import pipeline
from billing_oracle import Currency, Plan, Price, Prices, Tier, UserPlan
from billing_sql import AS_OF_DAY, CompiledModels, load_seeds, with_variables
from oracle import MICROSECONDS_PER_DAY, NANO, UNATTRIBUTED, Known, Load, Mart, QuotaAnswer, Session
from quota_oracle import UNCAPPED, PlanQuota, QuotaOverride, Scene

TARGETS = (
    *("int_desired_quota_limits", "dim_quota_limits", "fct_quota_utilization", "dim_users"),
    *("rpt_quota_alerts", "rpt_quota_counters", "fct_quota_forecast"),
)
GIVEN = {
    *("int_sessions", "int_sandbox_owners", "int_usage_periods"),
    *("stg_miosa__loads", "stg_miosa__quotas", "int_owned_sandboxes", "int_invoice_lines"),
}
KEYS = {
    "dim_quota_limits": ("external_user_id", "quota", "version_number"),
    "dim_users": ("external_user_id",),
    "fct_quota_utilization": ("external_user_id", "billing_period", "quota"),
    "rpt_quota_alerts": ("external_user_id", "quota", "threshold_percent"),
    "rpt_quota_counters": ("external_user_id", "counter"),
    "fct_quota_forecast": ("external_user_id", "billing_period"),
}
"""The grain of each mart."""

DAY = MICROSECONDS_PER_DAY
MINUTE = 60 * oracle.MICROSECONDS


class QuotaWarehouse:
    """A warehouse in memory that is built anew for each scene."""

    def __init__(self, models: CompiledModels) -> None:
        """Make an empty one."""
        self.statements = models.statements_up_to(TARGETS, GIVEN)
        self.connection = models.empty_warehouse()

    def _table(self, name: str, columns: Sequence[str], rows: Iterable[Sequence[Any]]) -> None:
        """A table of `name type` columns; timestamps are given in microseconds, decimals in billionths."""
        self.connection.execute(f"create or replace table {name} ({', '.join(columns)})")
        cells = list(map(list, zip(*rows, strict=True)))
        if cells:
            given = [
                "make_timestamp(unnest(?::bigint[]))"
                if column.endswith(" timestamp")
                else "unnest(?::hugeint[])::decimal(29, 0) * 0.000000001"
                if column.endswith(" decimal(38, 9)")
                else f"unnest(?::{column.split(' ', 1)[1]}[])"
                for column in columns
            ]
            self.connection.execute(f"insert into {name} select {', '.join(given)}", cells)

    def build(self, scene: Scene, folder: Path) -> None:
        """Load a scene and run every model. Raises `AssertionError` where the seeds have faults."""
        histories.write_seeds(scene.prices, folder, scene.plan_quotas, scene.overrides)
        load_seeds(self.connection, folder)
        self._table(
            "intermediate.int_sessions",
            [
                *("session_id varchar", "external_user_id varchar", "is_attributed boolean", "sandbox_id varchar"),
                *("external_project_id varchar", "workspace_id varchar", "load_id bigint", "started_at_utc timestamp"),
                *("end_at_utc timestamp", "is_provisional boolean", "cost_nano_credits bigint"),
                *("is_cost_rounded boolean", "elapsed_microseconds bigint", "usage_seconds bigint"),
                "row_hash bigint",
            ],
            (
                (
                    *(session.session_id, session.user, session.user != UNATTRIBUTED, session.sandbox),
                    *(session.project, session.workspace, 1, session.start, session.end, session.is_running),
                    *(session.nano_credits, False, session.end - session.start, session.seconds, place),
                )
                for place, session in enumerate(scene.sessions)
            ),
        )
        self._table("intermediate.int_sandbox_owners", ["sandbox_id varchar", "external_user_id varchar"], ())
        # Nobody is only on an invoice.
        self._table("intermediate.int_invoice_lines", ["external_user_id varchar"], ())
        self._table(
            "intermediate.int_owned_sandboxes",
            [
                *("external_user_id varchar", "sandbox_id varchar", "owned_from_utc timestamp"),
                "owned_to_utc timestamp",
            ],
            (),
        )
        self._table(
            "intermediate.int_usage_periods",
            [
                *("billing_period varchar", "period_start_at_utc timestamp", "period_end_at_utc timestamp"),
                "is_complete boolean",
            ],
            (
                (oracle.month_name(month), oracle.month_start(month), oracle.month_start(month + 1), is_complete)
                for month, is_complete in scene.complete.items()
            ),
        )
        self._table(
            "staging.stg_miosa__loads",
            ["load_id bigint", "started_at_utc timestamp"],
            ((load.load_id, load.started_at) for load in scene.known.loads),
        )
        limits = ("max_credit_cents", "max_concurrent", "max_sandboxes", "max_storage_gb")
        self._table(
            "staging.stg_miosa__quotas",
            [
                *("load_id bigint", "row_number bigint", "external_user_id varchar", "has_quota boolean"),
                *(f"{quota}_limit decimal(38, 9)" for quota in ("credits", "concurrent", "sandboxes", "storage_gb")),
                *("sandbox_count bigint", "running_session_count bigint", "rejection_reason varchar"),
                *("owned_sandbox_count bigint", "last_read_load_id bigint"),
            ],
            (
                (
                    *(answer.load_id, place, answer.user, answer.limits is not None),
                    *((answer.limits or {}).get(limit) for limit in limits),
                    *(scene.counters.get((answer.user, answer.load_id), (None, None))),
                    rejection_reason,
                    *(None, answer.load_id),
                )
                for rejection_reason, answers in ((None, scene.known.quotas), ("bad_limit", scene.rejected_quotas))
                for place, answer in enumerate(answers)
            ),
        )
        self._table(
            "raw.usage_rollups",
            [
                *("load_id bigint", "row_number bigint", "row_key varchar", "payload varchar"),
                "payload_normalized varchar",
            ],
            ((1, place, *answer, None) for place, answer in enumerate(rollup_answers(scene))),
        )
        for relation, sql in self.statements:
            sql = with_variables(sql, scene.prices).replace(AS_OF_DAY, scene.as_of_day)
            self.connection.execute(f"create or replace table {relation} as {sql}")
            if "_errors" in relation:
                faults = self.connection.execute(f"select message from {relation}").fetchall()
                assert not faults, faults

    def mart(self, name: str) -> Mart:
        """A mart by its key, in the oracle's units."""
        cursor = self.connection.execute(f"select * from marts.{name}")
        names = [column[0] for column in cursor.description or ()]
        mart: Mart = {}
        for row in cursor.fetchall():
            cells = {column: pipeline.plain(column, value) for column, value in zip(names, row, strict=True)}
            key = tuple(cells.pop(column) for column in KEYS[name])
            assert key not in mart, f"{name} has two rows of {key}"
            mart[key] = cells
        return mart

    def wanted(self) -> list[dict[str, Any]]:
        """The rows of `int_desired_quota_limits`."""
        cursor = self.connection.execute("select * from intermediate.int_desired_quota_limits")
        names = [column[0] for column in cursor.description or ()]
        return [
            {column: pipeline.plain(column, value) for column, value in zip(names, row, strict=True)}
            for row in cursor.fetchall()
        ]


def rollup_answers(scene: Scene) -> Iterable[tuple[str, str]]:
    """Each month's rollup as the vendor gives it: first lines of all users, then second ones."""
    lines: dict[str, list[tuple[int, str, str]]] = defaultdict(list)
    for (period, user), stated in scene.known.storage_gb_hours.items():
        for place, text in enumerate((stated,) if isinstance(stated, str) else stated):
            lines[period].append((place, user, text))
    for period, listed in lines.items():
        told = (
            f'{{"external_user_id":{json.dumps(user)},"credit_cents":0,"storage_gb_hours":{text}}}'
            for _, user, text in sorted(listed)
        )
        yield period, f'{{"results":[{",".join(told)}]}}'


# --- Scenes --------------------------------------------------------------------------------------------------------

SEPTEMBER, NOVEMBER = 2026 * 12 + 8, 2026 * 12 + 10
FIRST_DAY = oracle.month_start(SEPTEMBER)
PLANS = ("free", "basic", "pro", "most", "yen", "gaps")
# Months of 30 and 31 days, prices that change within, tiers of both kinds; "gaps" has days without a price.
PRICES = Prices(
    plans=tuple(Plan(plan, plan.title(), "JPY" if plan == "yen" else "EUR") for plan in PLANS),
    prices=(
        Price("free", "2026-01-01", None, 0, 0, 0, "graduated"),
        Price("basic", "2026-01-01", None, 9 * NANO, 20 * NANO, 0, "graduated"),
        Price("pro", "2026-01-01", "2026-10-11", 19 * NANO, 100 * NANO, 5 * NANO, "volume"),
        Price("pro", "2026-10-11", None, 29 * NANO, 0, 35 * NANO, "graduated"),
        Price("most", "2026-01-01", None, 25 * NANO, 0, 0, "graduated"),
        Price("yen", "2026-01-01", None, 300 * NANO, 0, 0, "graduated"),
        Price("gaps", "2026-01-01", "2026-10-20", NANO, 0, 0, "graduated"),
    ),
    tiers=(
        Tier("free", "2026-01-01", 0, 335_000_000),
        Tier("basic", "2026-01-01", 0, 300_000_001),
        Tier("pro", "2026-01-01", 0, 250_000_000),
        Tier("pro", "2026-01-01", 10 * NANO, 200_000_000),
        Tier("pro", "2026-10-11", 0, 250_000_000),
        Tier("pro", "2026-10-11", 7 * NANO, 100_000_000),
        Tier("most", "2026-01-01", 0, 100_000_000),
        Tier("yen", "2026-01-01", 0, NANO),
        Tier("gaps", "2026-01-01", 0, 0),
    ),
    currencies=(Currency("EUR", 2), Currency("JPY", 0)),
    default_plan_id="free",
)


def _day(rng: random.Random, first: int = -10, last: int = 75) -> str:
    return (datetime(2026, 9, 1) + timedelta(days=rng.randint(first, last))).date().isoformat()


def _ranges(rng: random.Random, most: int) -> list[tuple[str, str | None]]:
    """Ranges of days that do not overlap, often adjacent."""
    cuts = sorted({_day(rng) for _ in range(2 * most)})
    found: list[tuple[str, str | None]] = []
    at = 0
    while at < len(cuts) and len(found) < most and rng.random() < 0.8:
        is_last = at + 1 == len(cuts) or rng.random() < 0.2
        found.append((cuts[at], None if is_last else cuts[at + 1]))
        if is_last:
            break
        at += rng.choice((1, 1, 2))
    return found


def _limit(rng: random.Random) -> int | None:
    return rng.choice((None, 0, *(NANO * rng.choice((1, 2, 3, 5, 8, 40)) for _ in range(4))))


def _sessions(rng: random.Random, user: str, instants: Sequence[int]) -> list[Session]:
    found = []
    for number in range(rng.choice((0, 1, 3, 6, 12))):
        start = rng.choice(instants) if rng.random() < 0.6 else rng.randrange(FIRST_DAY - 5 * DAY, FIRST_DAY + 62 * DAY)
        length = rng.choice((0, MINUTE, 60 * MINUTE, DAY, rng.randrange(3 * DAY), rng.randrange(12 * DAY)))
        later = [instant for instant in instants if instant >= start]
        end = rng.choice(later) if later and rng.random() < 0.3 else start + length
        nano = rng.choice((0, 1, NANO // 3, 2 * NANO, rng.randrange(30 * NANO)))
        sandbox = rng.choice((None, *(f"{user}-s{count}" for count in range(6))))
        running = rng.random() < 0.1
        found.append(Session(f"{user}-{number}", user, sandbox, None, None, start, end, running, nano, 1))
    return found


def _spelt(rng: random.Random, digits: int, decimals: int) -> str:
    """A number of so many decimals in one of JSON's spellings: plain, with an exponent, with zeros behind."""
    zeros = rng.choice((0, 0, 0, 3, 30))
    digits, decimals = digits * 10**zeros, decimals + zeros
    shift = rng.choice((0, 0, decimals, rng.randrange(-3, decimals + 4)))
    places = max(decimals - shift, 0)
    whole, fraction = divmod(digits * 10 ** max(shift - decimals, 0), 10**places)
    text = f"{whole}.{fraction:0{places}d}" if places else f"{whole}"
    return text if shift == 0 else f"{text}{rng.choice('eE')}{-shift}"


def _storage(rng: random.Random, month: int) -> tuple[str, ...]:
    """GB-hours in one to four lines; often they come to a half of the column's last digit, or almost."""
    if rng.random() < 0.3:
        return (rng.choice(("0", "720", "744", "0.5", "100000.000000001", "999999999999999.9999999999999")),)
    hours = (oracle.month_start(month + 1) - oracle.month_start(month)) // oracle.MICROSECONDS_PER_HOUR
    decimals = rng.randint(1, 25)
    most = rng.choice((1, 10, 10**9, 10**14))
    total = rng.randrange(most * 10**decimals)
    if decimals >= 9 and rng.random() < 0.8:
        half = (2 * rng.randrange(most) + 1) * hours // 2
        total = max(0, half * 10 ** (decimals - 9) + rng.choice((-1, 0, 1)))
    cuts = sorted(rng.randrange(total + 1) for _ in range(rng.randrange(4)))
    return tuple(_spelt(rng, end - start, decimals) for start, end in zip((0, *cuts), (*cuts, total), strict=True))


def _near(rng: random.Random, used: int) -> int:
    """A limit at which a status or a share changes: at the use, a billionth beside, or a share of it."""
    base = used * 100 // rng.choice((50, 80, 100))
    return max(0, base + rng.choice((-1, 0, 0, 1)))


def make_scene(seed: int, user_count: int) -> Scene:
    """A scene of a seed: everything in it depends on the seed alone."""
    rng = random.Random(seed)
    instants = [FIRST_DAY + rng.randrange(-3 * 24, 62 * 24) * 60 * MINUTE for _ in range(8)]
    instants += [oracle.month_start(SEPTEMBER + 1), oracle.month_start(NOVEMBER)]
    midway = rng.randrange(FIRST_DAY + 31 * DAY, FIRST_DAY + 66 * DAY)
    now = rng.choice((FIRST_DAY + 30 * DAY, midway, midway, instants[0] + 9 * DAY))
    shared = [instant for instant in instants if instant < now] or [now]
    starts = [rng.choice((rng.randrange(FIRST_DAY - 5 * DAY, now), rng.choice(shared))) for _ in range(4)]
    starts = sorted({*starts, now})
    # Now and then the clock of a load was ahead, or had stood still.
    if rng.random() < 0.4:
        starts.append(rng.choice(starts))
        rng.shuffle(starts)
    loads = [Load(number, "run", "quotas", None, None, start) for number, start in enumerate(starts, start=1)]
    users = [f"u{number:03d}" for number in range(user_count)]
    sessions = [session for user in (*users, UNATTRIBUTED) for session in _sessions(rng, user, instants)]
    parts = oracle.month_parts(sessions)
    answers: list[QuotaAnswer] = []
    counters: dict[tuple[str, int], tuple[int | None, int | None]] = {}
    rejected: list[QuotaAnswer] = []
    storage: dict[tuple[str, str], str | tuple[str, ...]] = {}
    for user in users:
        months = [month for name, month in parts if name == user]
        own = parts[user, rng.choice(months)] if months else []
        for month in (SEPTEMBER, SEPTEMBER + 1):
            if rng.random() < 0.5:
                storage[oracle.month_name(month), user] = _storage(rng, month)
        stored = storage.get((oracle.month_name(SEPTEMBER), user), ())
        used = {
            "max_credit_cents": sum(part.nano_credits for part in own),
            "max_concurrent": oracle.peak_concurrent(own) * NANO,
            "max_sandboxes": len(oracle.distinct_sandboxes([part.session for part in own])) * NANO,
            "max_storage_gb": min(oracle.storage_used(stored, SEPTEMBER), 10**18),
        }
        for load in loads:
            if rng.random() < 0.1:
                rejected.append(QuotaAnswer(user, load.load_id, load.started_at, dict.fromkeys(used, _limit(rng))))
            if rng.random() < 0.4:
                limits: dict[str, int | None] | None = {
                    name: _near(rng, amount) if rng.random() < 0.5 else _limit(rng) for name, amount in used.items()
                }
                if answers and answers[-1].user == user and rng.random() < 0.3:
                    limits = dict(answers[-1].limits) if answers[-1].limits is not None else None
                if rng.random() < 0.15:
                    limits = None
                answers.append(QuotaAnswer(user, load.load_id, load.started_at, limits))
                counters[user, load.load_id] = (rng.choice((None, 0, 3)), rng.choice((None, 0, 2)))
    assigned = [
        UserPlan(user, rng.choice(PLANS[:5]), start, end)
        for user in users
        for start, end in (_ranges(rng, 3) if rng.random() < 0.6 else ())
    ]
    plan_quotas = [
        PlanQuota(plan, start, end, *(_limit(rng) for _ in range(4)))
        for plan in PLANS
        for start, end in (_ranges(rng, 3) if rng.random() < 0.8 else ())
    ]
    # One of them often covers all that is used.
    plan_quotas = [row for row in plan_quotas if row.plan_id != "most"]
    plan_quotas += [PlanQuota("most", "2026-01-01", None, 99 * NANO, None, None, rng.choice((None, 500 * NANO)))]
    overrides = [
        QuotaOverride(user, start, end, *(rng.choice((None, None, UNCAPPED, _limit(rng) or 0)) for _ in range(4)))
        for user in users
        for start, end in (_ranges(rng, 2) if rng.random() < 0.3 else ())
    ]
    months = [month for _, month in parts] or [SEPTEMBER]
    return Scene(
        prices=replace(PRICES, user_plans=tuple(assigned)),
        plan_quotas=plan_quotas,
        overrides=overrides,
        sessions=sessions,
        known=Known(loads=loads, sessions=(), quotas=answers, storage_gb_hours=storage),
        rejected_quotas=rejected,
        counters=counters,
        complete={
            month: month <= SEPTEMBER + 1 and rng.random() < 0.9 for month in range(min(months), max(months) + 1)
        },
        as_of_day=_day(rng),
    )
