"""Sessions made inside DuckDB, straight into raw as the extractor would have landed them: a run a month.

Every figure of a session follows from its number, so the same months are the same rows in every run.

A program as well: `python -m benchmarks.build.generate FILE SESSIONS BEFORE MONTHS CORRECTIONS` adds months to the
file, which holds BEFORE of them (none: it is made).
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import duckdb

ROOT = Path(__file__).resolve().parents[2]
SESSIONS_A_USER = 100
"""A user's sessions in a month, on average."""

_HASH = "(md5_number_lower('id:' || {0})::hugeint - 9223372036854775808)::bigint"

# What the vendor would send. 1 session in 25 lasts longer than a day, so that days and months are crossed; 1 in 20 says
# no user, so that its sandbox's owner is asked; costs have 9 decimals.
_MAKE = """
create or replace temp table made as
with drawn as (
    select range as number, hash(range, {month}) as a, hash(range, {month}, 1) as b from range({sessions})
), timed as (
    select
        number, a, b,
        (a % {users})::integer as user_number,
        {month} + to_microseconds(((b >> 8) % ({days} * 86400000::bigint))::bigint * 1000) as started_at,
        case when a % 25 = 0 then 86400 + (b % 172800) else 60 + (b % 14400) end::bigint as seconds
    from drawn
)
select
    number + 1 as row_number,
    strftime({month}, '%Y-%m-') || number as id,
    'c-' || (user_number * 7 + b % 7) as sandbox,
    case when a % 20 <> 0 then 'user-' || user_number end as external_user_id,
    'user-' || user_number as owner,
    started_at,
    started_at + to_seconds(seconds) as ended_at,
    seconds,
    (seconds * 11574 + b % 1000000)::bigint as nano
from timed
"""

_LAND_SESSIONS = (
    """
insert into raw.usage_sessions
select
    {load_id}, row_number, id, true, """
    + _HASH.format("id")
    + """, false, false, started_at, ended_at, external_user_id,
    '{{"id":"' || id || '","computer_id":"' || sandbox || '",' || case
        when external_user_id is not null then '"external_user_id":"' || external_user_id || '",' else ''
    end
    || '"workspace_id":"w-1","started_at":"' || strftime(started_at, '%Y-%m-%dT%H:%M:%S.%gZ')
    || '","ended_at":"' || strftime(ended_at, '%Y-%m-%dT%H:%M:%S.%gZ')
    || '","duration_sec":' || seconds || ',"credit_cost":' || nano * 0.000000001::decimal(10, 9) || '}}',
    null
from made
order by row_number
"""
)

# Corrections, all over the past: the session again, dearer by ten credits.
_CORRECT = """
create or replace temp table corrected as
select * from raw.usage_sessions where hash(row_key, {load_id}) % {every} = 0
qualify row_number() over (partition by row_key order by load_id desc) = 1
"""

_LAND_CORRECTIONS = """
insert into raw.usage_sessions
select
    {load_id}, row_number() over (order by row_key), row_key, true, row_hash, false, false, started_at_utc,
    ended_at_utc, external_user_id, regexp_replace(payload, '"credit_cost":(\\d+)\\.', '"credit_cost":1\\1.'), null
from corrected
"""

_LAND_LOAD = """
insert into raw.loads
select
    {load_id}, '{run}', '{resource}', {window}, {end} + interval 3 day, {end} + interval 73 hour, 1, {rows}, {rows},
    {rows}, {rows}, 'benchmark', 'complete', null
"""

_LAND_SANDBOXES = (
    """
insert into raw.sandboxes (load_id, row_number, row_key, has_id, row_hash, external_user_id, payload)
select
    {load_id}, range + 1, 'c-' || range, true, """
    + _HASH.format("'c-' || range")
    + """, 'user-' || (range // 7), '{{"id":"c-' || range || '","external_user_id":"user-' || (range // 7) || '"}}'
from range({users} * 7)
"""
)

_LAND_QUOTAS = (
    """
insert into raw.quotas (load_id, row_number, row_key, has_id, row_hash, http_status, payload)
select
    {load_id}, range + 1, 'user-' || range, true, """
    + _HASH.format("'user-' || range")
    + """, 200,
    '{{"data":{{"external_user_id":"user-' || range
    || '","limits":{{"max_sandboxes":10,"max_concurrent":3,"max_storage_gb":null,"max_credit_cents":'
    || (500 + range % 1000) || '}},"usage":{{"total_sandboxes":1,"concurrent":0}}}}}}'
from range({users})
"""
)

# The vendor's own figures, a crossing session by its share. They are off ours by the nano-credits of its roundings.
_ADD_FIGURES = """
create or replace temp table touched as
with sessions as ({sessions}), months as (
    select
        *, unnest(generate_series(date_trunc('month', s), date_trunc('month', e), interval 1 month)) as m
    from sessions
)
select
    strftime(m, '%Y-%m') as period,
    u,
    sum(
        nano::hugeint * (epoch_us(least(e, m + interval 1 month)) - epoch_us(greatest(s, m)))
        // (epoch_us(e) - epoch_us(s))
    ) as nano
from months
group by all
"""

_MERGE_FIGURES = """
create or replace table aside.figures as
select period, u, sum(nano)::hugeint as nano from (from aside.figures union all by name from touched) group by all
"""

_MADE_SESSIONS = "select owner as u, nano, started_at as s, ended_at as e from made"

# By how much a correction is dearer: a digit 1 before those of the whole credits.
_CORRECTED_SESSIONS = """
select
    coalesce(external_user_id, 'user-' || (regexp_extract(payload, '"computer_id":"c-(\\d+)"', 1)::integer // 7)) as u,
    ('1' || repeat('0', length(regexp_extract(payload, '"credit_cost":(\\d+)\\.', 1)) + 9))::bigint as nano,
    started_at_utc as s,
    ended_at_utc as e
from corrected
"""

_LAND_ROLLUPS = (
    """
insert into raw.usage_rollups (load_id, row_number, row_key, has_id, row_hash, payload)
select
    {load_id}, row_number() over (order by period), period, true, """
    + _HASH.format("period")
    + """,
    '{{"results":[' || string_agg(
        '{{"external_user_id":"' || u || '","storage_gb_hours":12.5,"credit_cents":'
        || nano::decimal(29, 0) * 0.000000001::decimal(9, 9) || '}}', ','
    ) || ']}}'
from aside.figures where period in (select period from touched) group by period
"""
)

_LAND_SUMMARIES = (
    """
insert into raw.usage_summaries (load_id, row_number, row_key, has_id, row_hash, payload)
select
    {load_id}, row_number() over (order by period), period, true, """
    + _HASH.format("period")
    + """, '{{"total_credits":' || sum(nano)::decimal(29, 0) * 0.000000001::decimal(9, 9) || '}}'
from aside.figures where period in (select period from touched) group by period
"""
)


class Generator:
    """Fills a warehouse month by month."""

    def __init__(self, path: Path, sessions_a_month: int, first: tuple[int, int] = (2023, 1)) -> None:
        """A new warehouse, with the raw layer and nothing in it. Beside it the vendor's running figures are kept."""
        self.path, self.sessions = path, sessions_a_month
        self.users = max(1, sessions_a_month // SESSIONS_A_USER)
        self.year, self.month = first
        self.load_id = 0
        with self._connected() as connection:
            connection.execute((ROOT / "core" / "raw" / "schema.sql").read_text(encoding="utf-8"))
            connection.execute("create or replace table aside.figures (period varchar, u varchar, nano hugeint)")

    @classmethod
    def of(cls, path: Path, sessions_a_month: int, months: int, first: tuple[int, int] = (2023, 1)) -> Generator:
        """Go on with a warehouse that was filled with so many months, and with nothing since."""
        generator = cls.__new__(cls)
        generator.path, generator.sessions = path, sessions_a_month
        generator.users = max(1, sessions_a_month // SESSIONS_A_USER)
        past = first[0] * 12 + first[1] - 1 + months
        generator.year, generator.month = past // 12, past % 12 + 1
        with generator._connected() as connection:
            generator.load_id = connection.execute("select max(load_id) from raw.loads").fetchall()[0][0]
        return generator

    @contextmanager
    def _connected(self) -> Iterator[duckdb.DuckDBPyConnection]:
        with duckdb.connect(str(self.path)) as connection:
            connection.execute("set TimeZone = 'UTC'")
            connection.execute(f"attach '{self.path.with_suffix('.figures')}' as aside")
            yield connection

    def add_months(self, months: int, corrections: int = 0) -> None:
        """Land so many months; with the last of them, about so many corrections all over what is there."""
        with self._connected() as connection:
            for number in range(months):
                self._add_month(connection, corrections if number == months - 1 else 0)

    def _add_month(self, connection: duckdb.DuckDBPyConnection, corrections: int) -> None:
        start = f"timestamp '{self.year}-{self.month:02d}-01'"
        is_first = self.load_id == 0
        self.year, self.month = (self.year, self.month + 1) if self.month < 12 else (self.year + 1, 1)
        end = f"timestamp '{self.year}-{self.month:02d}-01'"
        run = str(self.load_id)

        def execute(sql: str, **values: object) -> int:
            named = {"load_id": self.load_id, "users": self.users, "month": start, "end": end, "run": run, **values}
            done = connection.execute(sql.format_map(named)).fetchall()
            return int(done[0][0]) if done and isinstance(done[0][0], int) else 0

        def land(resource: str, sql: str, window: str = "null, null") -> None:
            self.load_id += 1
            rows = execute(sql)
            execute(_LAND_LOAD, resource=resource, window=window, rows=rows)

        if corrections:
            known = execute("select count(*) from raw.usage_sessions")
            self.load_id += 1
            execute(_CORRECT, every=max(1, known // corrections))
            self.load_id -= 1
            land("usage_sessions", _LAND_CORRECTIONS)
        execute(_MAKE, sessions=self.sessions, days=execute(f"select ({end}::date - {start}::date)::integer"))
        land("usage_sessions", _LAND_SESSIONS, f"{start}, {end}")
        if is_first:
            land("sandboxes", _LAND_SANDBOXES)
            land("quotas", _LAND_QUOTAS)
        sessions = _MADE_SESSIONS + (f" union all by name {_CORRECTED_SESSIONS}" if corrections else "")
        connection.execute(_ADD_FIGURES.replace("{sessions}", sessions))
        connection.execute(_MERGE_FIGURES)
        land("usage_rollups", _LAND_ROLLUPS)
        land("usage_summaries", _LAND_SUMMARIES)


if __name__ == "__main__":
    _path, (_sessions, _before, _months, _corrections) = Path(sys.argv[1]), map(int, sys.argv[2:])
    _generator = Generator.of(_path, _sessions, _before) if _before else Generator(_path, _sessions)
    _generator.add_months(_months, _corrections)
