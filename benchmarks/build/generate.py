"""Sessions made inside DuckDB, straight into raw as the extractor would have landed them: a load a month.

Every figure of a session follows from its number, so the same months are the same rows in every run.
"""

from __future__ import annotations

from pathlib import Path

import duckdb

ROOT = Path(__file__).resolve().parents[2]
SESSIONS_A_USER = 100
"""A user's sessions in a month, on average."""

# What the vendor would send of session `number` of a month. 1 in 25 lasts longer than a day, so that days and months are
# crossed; 1 in 20 says no user, so that its sandbox's owner is asked; costs have up to 9 decimals.
_SESSIONS = """
create or replace temp table made as
with drawn as (
    select
        range as number,
        hash(range, $month) as a,
        hash(range, $month, 1) as b
    from range($sessions)
), timed as (
    select
        number,
        a,
        b,
        (a % $users)::integer as user_number,
        $month::timestamp + to_microseconds(((b >> 8) % ($days * 86400000::bigint))::bigint * 1000) as started_at,
        case when a % 25 = 0 then 86400 + (b % 172800) else 60 + (b % 14400) end::bigint as seconds
    from drawn
)
select
    number + 1 as row_number,
    strftime($month, '%Y-%m-') || number as id,
    'c-' || (user_number * 7 + b % 7) as sandbox,
    case when a % 20 <> 0 then 'user-' || user_number end as external_user_id,
    started_at,
    started_at + to_seconds(seconds) as ended_at,
    seconds,
    ((seconds * 11574) + b % 1000000)::decimal(18, 0) * 0.000000001::decimal(10, 9) as credits
from timed
"""

_LAND_SESSIONS = """
insert into raw.usage_sessions
select
    $load_id,
    row_number,
    id,
    true,
    (md5_number_lower('id:' || id)::hugeint - 9223372036854775808)::bigint,
    false,
    false,
    started_at,
    ended_at,
    external_user_id,
    '{"id":"' || id || '","computer_id":"' || sandbox || '",' || case
        when external_user_id is not null then '"external_user_id":"' || external_user_id || '",' else ''
    end || '"workspace_id":"w-1","started_at":"' || strftime(started_at, '%Y-%m-%dT%H:%M:%S.%gZ') || '","ended_at":"'
    || strftime(ended_at, '%Y-%m-%dT%H:%M:%S.%gZ') || '","duration_sec":' || seconds || ',"credit_cost":' || credits || '}',
    null
from made
order by row_number
"""

# A correction: the same session again, dearer by a credit.
_CORRECT = """
insert into raw.usage_sessions
select
    $load_id,
    row_number() over (order by row_key),
    row_key, true, row_hash, false, false, started_at_utc, ended_at_utc, external_user_id,
    regexp_replace(payload, '"credit_cost":(\\d+)\\.', '"credit_cost":1\\1.'),
    null
from (
    select * from raw.usage_sessions
    where hash(row_key, $load_id) % $every = 0
    qualify row_number() over (partition by row_key order by load_id desc) = 1
)
"""

_LOAD = """
insert into raw.loads
values (
    $load_id, $run_id, $resource, $window_start, $window_end, $started_at, $started_at::timestamp + interval 1 minute, 1, $rows, $rows,
    $rows, $rows, 'benchmark'
)
"""

_SANDBOXES = """
insert into raw.sandboxes (load_id, row_number, row_key, has_id, row_hash, external_user_id, payload)
select
    $load_id,
    range + 1,
    'c-' || range,
    true,
    (md5_number_lower('id:c-' || range)::hugeint - 9223372036854775808)::bigint,
    'user-' || (range // 7),
    '{"id":"c-' || range || '","external_user_id":"user-' || (range // 7) || '"}'
from range($users * 7)
"""

_QUOTAS = """
insert into raw.quotas (load_id, row_number, row_key, has_id, row_hash, http_status, payload)
select
    $load_id,
    range + 1,
    'user-' || range,
    true,
    (md5_number_lower('id:user-' || range)::hugeint - 9223372036854775808)::bigint,
    200,
    '{"data":{"external_user_id":"user-' || range
    || '","limits":{"max_sandboxes":10,"max_concurrent":3,"max_storage_gb":null,"max_credit_cents":'
    || (500 + range % 1000) || '},"usage":{"total_sandboxes":1,"concurrent":0}}}'
from range($users)
"""

# The vendor's own figures: each crossing session by its share, rounded to a billionth.
_FIGURES = """
create or replace temp table figures as
with current as (
    select * from raw.usage_sessions
    qualify row_number() over (partition by row_hash, row_key order by load_id desc) = 1
), months as (
    select
        coalesce(external_user_id, 'user-' || (regexp_extract(payload, '"computer_id":"c-(\\d+)"', 1)::integer // 7)) as u,
        replace(regexp_extract(payload, '"credit_cost":([0-9.]+)', 1), '.', '')::bigint as nano,
        started_at_utc as s,
        ended_at_utc as e,
        unnest(generate_series(date_trunc('month', s), date_trunc('month', e), interval 1 month)) as m
    from current
    where ended_at_utc >= $since
)
select
    strftime(m, '%Y-%m') as period,
    u,
    sum(
        nano::hugeint * (epoch_us(least(e, m + interval 1 month)) - epoch_us(greatest(s, m))) // (epoch_us(e) - epoch_us(s))
    )::decimal(38, 0) * 0.000000001::decimal(9, 9) as credits
from months
where m >= $since
group by all
"""

_ROLLUPS = """
insert into raw.usage_rollups (load_id, row_number, row_key, has_id, row_hash, payload)
select
    $load_id, 1, period, true, (md5_number_lower('id:' || period)::hugeint - 9223372036854775808)::bigint,
    '{"results":[' || string_agg(
        '{"external_user_id":"' || u || '","storage_gb_hours":12.5,"credit_cents":' || credits || '}', ','
    ) || ']}'
from figures where period = $period group by period
"""

_SUMMARIES = """
insert into raw.usage_summaries (load_id, row_number, row_key, has_id, row_hash, payload)
select
    $load_id, 1, period, true, (md5_number_lower('id:' || period)::hugeint - 9223372036854775808)::bigint,
    '{"total_credits":' || sum(credits) || '}'
from figures where period = $period group by period
"""


class Generator:
    """Fills a warehouse month by month."""

    def __init__(self, path: Path, sessions_a_month: int, first: str = "2023-10") -> None:
        """A new warehouse, with the raw layer and nothing in it."""
        self.path = path
        self.sessions = sessions_a_month
        self.users = max(1, sessions_a_month // SESSIONS_A_USER)
        self.load_id = 0
        self.year, self.month = int(first[:4]), int(first[5:])
        with self._connect() as connection:
            connection.execute((ROOT / "extract" / "schema.sql").read_text())

    def _connect(self) -> duckdb.DuckDBPyConnection:
        connection = duckdb.connect(str(self.path))
        connection.execute("set TimeZone = 'UTC'; set preserve_insertion_order = false")
        return connection

    def add_months(self, months: int, corrections: int = 0) -> None:
        """Land so many months, one run of the extractor each; with the last, so many corrections of older ones."""
        with self._connect() as connection:
            for number in range(months):
                self._add_month(connection, corrections if number == months - 1 else 0)

    def _add_month(self, connection: duckdb.DuckDBPyConnection, corrections: int) -> None:
        run = str(self.load_id)
        start = f"{self.year}-{self.month:02d}-01"
        self.year, self.month = (self.year, self.month + 1) if self.month < 12 else (self.year + 1, 1)
        end = f"{self.year}-{self.month:02d}-01"
        period = start[:7]
        days = connection.execute("select $1::date - $2::date", [end, start]).fetchall()[0][0]
        connection.execute(
            _SESSIONS.replace("$month", f"'{start}'::timestamp")
            .replace("$sessions", str(self.sessions))
            .replace("$users", str(self.users))
            .replace("$days", str(days))
        )

        def land(resource: str, sql: str, window: bool = False) -> None:
            self.load_id += 1
            said = connection.execute(
                sql.replace("$load_id", str(self.load_id))
                .replace("$users", str(self.users))
                .replace("$period", f"'{period}'")
                .replace("$every", str(max(1, known // max(1, corrections))))
            ).fetchall()
            connection.execute(
                _LOAD,
                {
                    "load_id": self.load_id,
                    "run_id": run,
                    "resource": resource,
                    "window_start": start if window else None,
                    "window_end": end if window else None,
                    "started_at": f"{end} 06:00:00",
                    "rows": said[0][0],
                }
            )

        known = connection.execute("select count(*) from raw.usage_sessions").fetchall()[0][0]
        first = self.load_id == 0
        if corrections:
            land("usage_sessions", _CORRECT)
        land("usage_sessions", _LAND_SESSIONS, window=True)
        if first:
            land("sandboxes", _SANDBOXES)
            land("quotas", _QUOTAS)
        since = "1900-01-01" if corrections else start
        connection.execute(_FIGURES.replace("$since", f"'{since}'::timestamp"))
        periods = [row[0] for row in connection.execute("select distinct period from figures order by 1").fetchall()]
        for period in periods:
            land("usage_rollups", _ROLLUPS)
            land("usage_summaries", _SUMMARIES)
