"""Back-test of the forecast of credits: the SQL of its models on simulated users, against what then came.

Steady, growing, weekly and bursty users, three months each. On several days of the third month the model is asked what
the month will come to, knowing what had been used by then; so is "same as last period". Errors are shares of what the
users of a kind really used: the sum of all misses ÷ the sum of all use.
"""

from __future__ import annotations

import os
import random
import subprocess
import sys
import tempfile
from collections import defaultdict
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta
from decimal import Decimal
from pathlib import Path

import duckdb
from rich.console import Console
from rich.table import Table

ROOT = Path(__file__).resolve().parents[1]
USERS_OF_A_KIND = 150
NANO = 10**9
FIRST_DAY, MONTH_START, MONTH_END = datetime(2026, 8, 1), datetime(2026, 10, 1), datetime(2026, 11, 1)
LAST_MONTH_START = datetime(2026, 9, 1)
ASKED_ON = (3, 5, 8, 12, 16, 20, 24, 28)
"""Days of the month, at their noon."""
METHODS = ("run_rate_expected_credits", "last_7_days_expected_credits", "last period")


# --- Users ---------------------------------------------------------------------------------------------------------


def steady(rng: random.Random, day: int) -> float:
    """The same every day, give or take a third."""
    return rng.uniform(0.67, 1.33)


def growing(rng: random.Random, day: int) -> float:
    """One and a half percent more a day: more than half again in a month."""
    return 1.015**day * rng.uniform(0.67, 1.33)


def weekly(rng: random.Random, day: int) -> float:
    """Busy from Monday to Friday, nearly idle at the weekend."""
    is_weekend = (FIRST_DAY + timedelta(days=day)).weekday() >= 5
    return rng.uniform(0.67, 1.33) * (0.05 if is_weekend else 1.3)


def bursty(rng: random.Random, day: int) -> float:
    """A tenth of the days hold nearly everything."""
    return rng.uniform(4, 16) if rng.random() < 0.1 else rng.uniform(0, 0.1)


KINDS: dict[str, Callable[[random.Random, int], float]] = {
    "steady": steady,
    "growing": growing,
    "weekly": weekly,
    "bursty": bursty,
}


def sessions(rng: random.Random) -> Iterator[tuple[str, str, datetime, datetime, int]]:
    """(user, session, start, end, nano-credits) of every kind's users: a few sessions a day, of some hours."""
    for kind, level in KINDS.items():
        for number in range(USERS_OF_A_KIND):
            size = rng.uniform(5, 200)
            for day in range((MONTH_END - FIRST_DAY).days):
                nano = int(level(rng, day) * size * NANO)
                for place in range(3):
                    start = FIRST_DAY + timedelta(days=day, seconds=rng.randrange(20 * 3600))
                    yield (
                        f"{kind} {number}",
                        f"{kind} {number} {day} {place}",
                        start,
                        start + timedelta(seconds=rng.randrange(60, 4 * 3600)),
                        nano // 3,
                    )


# --- The model -----------------------------------------------------------------------------------------------------


INPUTS_MODEL, FORECAST_MODEL = "int_forecast_inputs", "fct_quota_forecast"


def compiled(folder: Path) -> tuple[str, str]:
    """The SQL of the two models of the forecast, as dbt compiles them."""
    warehouse = folder / "forecast.duckdb"
    with duckdb.connect(warehouse) as connection:
        connection.execute((ROOT / "core" / "raw" / "schema.sql").read_text(encoding="utf-8"))
    environment = os.environ | {"WAREHOUSE_PATH": str(warehouse), "DBT_TARGET_PATH": str(folder / "target")}
    environment |= {"DBT_LOG_PATH": str(folder / "logs"), "DBT_SEND_ANONYMOUS_USAGE_STATS": "false"}
    command = [str(Path(sys.executable).with_name("dbt")), "--quiet", "compile", "--select"]
    command += [INPUTS_MODEL, FORECAST_MODEL]
    subprocess.run(command, cwd=ROOT, env=environment, check=True, stdout=subprocess.DEVNULL)

    def sql(model: str) -> str:
        return next((folder / "target" / "compiled").rglob(f"{model}.sql")).read_text(encoding="utf-8")

    return sql(INPUTS_MODEL), sql(FORECAST_MODEL)


INPUTS = """
create schema staging; create schema intermediate;
create table all_sessions (
    external_user_id varchar, session_id varchar, started_at_utc timestamp, ended_at_utc timestamp, nano bigint
);
create table intermediate.int_current_period as
select '2026-10' as billing_period, timestamp '2026-10-01' as period_start_at_utc,
    timestamp '2026-11-01' as period_end_at_utc, true as is_complete;
"""

# What was known at that moment: sessions so far, those that run with what they had cost by then.
KNOWN = """
create or replace table staging.stg_miosa__loads as select 1 as load_id, getvariable('now') as started_at_utc;
create or replace table intermediate.int_sessions as
select
    external_user_id, session_id, started_at_utc, least(ended_at_utc, getvariable('now')) as end_at_utc,
    (
        nano::hugeint * (epoch_us(least(ended_at_utc, getvariable('now'))) - epoch_us(started_at_utc))
        // (epoch_us(ended_at_utc) - epoch_us(started_at_utc))
    )::bigint as cost_nano_credits,
    epoch_us(least(ended_at_utc, getvariable('now'))) - epoch_us(started_at_utc) as elapsed_microseconds
from all_sessions where started_at_utc < getvariable('now');
create or replace table intermediate.int_quota_utilization as
select
    external_user_id, '2026-10' as billing_period, 'credits' as quota, null::decimal(38, 9) as limit_value,
    sum(cost_nano_credits)::decimal(29, 0) * 0.000000001 as used_value, null::timestamp as reached_limit_at_utc
from intermediate.int_sessions where started_at_utc >= timestamp '2026-10-01' group by external_user_id;
"""

USED = """
select external_user_id, sum(nano)::decimal(29, 0) * 0.000000001 from all_sessions
where started_at_utc >= ? and started_at_utc < ? group by external_user_id
"""


def main() -> int:
    """Print the errors of each method, by kind of user and day of the month."""
    with tempfile.TemporaryDirectory() as name:
        inputs, forecast = compiled(Path(name))
    connection = duckdb.connect()
    connection.execute("set TimeZone = 'UTC'; attach ':memory:' as forecast; use forecast")
    connection.execute(INPUTS)
    cells = list(map(list, zip(*sessions(random.Random(1)), strict=True)))
    connection.execute("insert into all_sessions select unnest(?), unnest(?), unnest(?), unnest(?), unnest(?)", cells)
    truth: dict[str, Decimal] = dict(connection.execute(USED, [MONTH_START, MONTH_END]).fetchall())
    last: dict[str, Decimal] = dict(connection.execute(USED, [LAST_MONTH_START, MONTH_START]).fetchall())
    misses: dict[tuple[str, int, str], Decimal] = defaultdict(Decimal)
    for day in ASKED_ON:
        connection.execute("set variable now = ?::timestamp", [datetime(2026, 10, day, 12)])
        connection.execute(KNOWN)
        connection.execute(f"create or replace table intermediate.{INPUTS_MODEL} as {inputs}")
        told = connection.execute(f"select external_user_id, {METHODS[0]}, {METHODS[1]} from ({forecast})").fetchall()
        expected = {user: figures for user, *figures in told}
        for user, used in truth.items():
            kind = user.split(" ")[0]
            for method, figure in zip(METHODS, (*expected.get(user, (Decimal(), Decimal())), last[user]), strict=True):
                misses[kind, day, method] += abs(figure - used)
    table = Table(title=f"Misses as a share of use: {USERS_OF_A_KIND} users of each kind", title_justify="left")
    for column in ("users", "asked on day", "run rate", "last 7 days", "same as last period"):
        table.add_column(column, justify="left" if column == "users" else "right")
    all_kinds = sum(truth.values(), Decimal())
    for kind in (*KINDS, "all"):
        kinds = list(KINDS) if kind == "all" else [kind]
        total = sum((used for user, used in truth.items() if user.split(" ")[0] in kinds), Decimal())
        for days in (*((day,) for day in ASKED_ON), ASKED_ON):
            shares = (
                sum((misses[one, day, method] for one in kinds for day in days), Decimal()) / total / len(days)
                for method in METHODS
            )
            label = "mean" if len(days) > 1 else str(days[0])
            table.add_row(kind, label, *(f"{share:.1%}" for share in shares), end_section=label == "mean")
    Console(width=100).print(table)
    print(f"{len(truth)} users, {all_kinds:,.0f} credits in the month asked about.")
    return 0


if __name__ == "__main__":
    sys.exit(main())
