"""The figure that everything adds up to, credits by user and period, by one hand-written statement each.

Of the same raw rows, by DuckDB, Polars and ClickHouse (chdb). They parse, take each session's newest version, ask the
sandbox's owner where no user is named, split as rule 13 says, and sum. Nothing else: no rejected rows, voids, running
sessions, and no proof of anything. DuckDB does it twice: `duckdb` as one would write it first (versions ranked, times
with their zone, split by day as invoices need it), `tuned` as fast as we could get it (only what occurs twice is
ranked, zones are taken for granted, split by month).

A program: `python peers.py duckdb|tuned|polars|chdb SOURCE`. SOURCE is the warehouse for DuckDB, a folder of Parquet
for the others. Prints rows and nano-credits, by which the benchmark knows that they agree.
"""

from __future__ import annotations

import sys
from collections.abc import Callable

_DUCKDB = """
with versions as (
    select payload, row_number() over (partition by row_key order by load_id desc, row_number desc) as place
    from raw.usage_sessions
), parsed as (
    select from_json(
        payload,
        '{"external_user_id":"VARCHAR","computer_id":"VARCHAR","started_at":"VARCHAR","ended_at":"VARCHAR",'
        || '"credit_cost":"VARCHAR","keep number texts":"DECIMAL(1,0)"}'
    ) as fields
    from versions where place = 1
), owners as (
    select row_key as sandbox, arg_max(external_user_id, load_id) as owner from raw.sandboxes group by all
), sessions as (
    select
        coalesce(fields.external_user_id, owner) as u,
        fields.started_at::timestamptz at time zone 'UTC' as s,
        fields.ended_at::timestamptz at time zone 'UTC' as e,
        (fields.credit_cost::decimal(38, 9) * 1000000000)::hugeint as nano
    from parsed left join owners on sandbox = fields.computer_id
), days as (
    select *, unnest(generate_series(date_trunc('day', s), e - interval 1 microsecond, interval 1 day)) as d
    from sessions
), parts as (
    select
        u,
        d,
        nano * (epoch_us(least(e, d + interval 1 day)) - epoch_us(s)) // (epoch_us(e) - epoch_us(s))
        - nano * (epoch_us(greatest(s, d)) - epoch_us(s)) // (epoch_us(e) - epoch_us(s)) as part
    from days
)
select u, strftime(d, '%Y-%m') as period, sum(part) as nano from parts group by all
"""

_TUNED = """
with superseded as (
    select load_id, row_number
    from raw.usage_sessions
    qualify row_number() over (partition by row_key order by load_id desc, row_number desc) > 1
), parsed as (
    select json_extract_string(
        payload, ['$.external_user_id', '$.computer_id', '$.started_at', '$.ended_at', '$.credit_cost']
    ) as fields
    from raw.usage_sessions anti join superseded using (load_id, row_number)
), owners as (
    select row_key as sandbox, arg_max(external_user_id, load_id) as owner from raw.sandboxes group by all
), sessions as (
    select
        coalesce(fields[1], owner) as u,
        fields[3]::timestamp as s,
        fields[4]::timestamp as e,
        (fields[5]::decimal(38, 9) * 1000000000)::bigint as nano
    from parsed left join owners on sandbox = fields[2]
), months as (
    select *, unnest(generate_series(date_trunc('month', s), e - interval 1 microsecond, interval 1 month)) as m
    from sessions
), parts as (
    select
        u,
        m,
        case
            when m <= s and m + interval 1 month >= e then nano::hugeint
            else
                nano::hugeint * (epoch_us(least(e, m + interval 1 month)) - epoch_us(s)) // (epoch_us(e) - epoch_us(s))
                - nano::hugeint * (epoch_us(greatest(s, m)) - epoch_us(s)) // (epoch_us(e) - epoch_us(s))
        end as part
    from months
)
select u, strftime(m, '%Y-%m') as period, sum(part) as nano from parts group by all
"""

_CHDB = """
with owners as (
    select row_key as sandbox, argMax(external_user_id, load_id) as owner
    from file('{0}/sandboxes.parquet') group by row_key
), newest as (
    select argMax(payload, (load_id, row_number)) as payload from file('{0}/usage_sessions.parquet') group by row_key
), parsed as (
    select
        JSONExtractString(payload, 'external_user_id') as named,
        JSONExtractString(payload, 'computer_id') as sandbox,
        toUnixTimestamp64Micro(parseDateTime64BestEffort(JSONExtractString(payload, 'started_at'), 6, 'UTC')) as s,
        toUnixTimestamp64Micro(parseDateTime64BestEffort(JSONExtractString(payload, 'ended_at'), 6, 'UTC')) as e,
        toInt128(toDecimal128(JSONExtractRaw(payload, 'credit_cost'), 9) * 1000000000) as nano
    from newest
), sessions as (
    select if(named = '', owner, named) as u, s, e, nano from parsed left join owners on parsed.sandbox = owners.sandbox
), months as (
    select
        u, s, e, nano,
        arrayJoin(range(
            toUInt32(toRelativeMonthNum(fromUnixTimestamp64Micro(s, 'UTC'))),
            toUInt32(toRelativeMonthNum(fromUnixTimestamp64Micro(e - 1, 'UTC'))) + 1
        )) as number,
        addMonths(toDate('1970-01-01'), number - 1970 * 12 - 1) as month,
        toUnixTimestamp64Micro(toDateTime64(month, 6, 'UTC')) as m_start,
        toUnixTimestamp64Micro(toDateTime64(addMonths(month, 1), 6, 'UTC')) as m_end
    from sessions
)
select
    u,
    formatDateTime(month, '%Y-%m') as period,
    sum(
        intDiv(nano * toInt128(least(e, m_end) - s), toInt128(e - s))
        - intDiv(nano * toInt128(greatest(s, m_start) - s), toInt128(e - s))
    ) as nano
from months group by u, month
"""


def run_duckdb(source: str, statement: str = _DUCKDB) -> tuple[int, int]:
    """One statement on the warehouse."""
    import duckdb

    with duckdb.connect(source, read_only=True) as connection:
        connection.execute("set TimeZone = 'UTC'")
        connection.execute(f"create temp table figure as {statement}")
        rows, nano = connection.execute("select count(*), sum(nano) from figure").fetchall()[0]
        return int(rows), int(nano)


def run_tuned(source: str) -> tuple[int, int]:
    """The same in less time."""
    return run_duckdb(source, _TUNED)


def run_polars(source: str) -> tuple[int, int]:
    """One lazy query on Parquet."""
    import polars as pl

    def us(column: str) -> pl.Expr:
        return pl.col(column).dt.timestamp("us").cast(pl.Int128)

    month_end = pl.col("m").dt.offset_by("1mo")
    document = pl.Struct(
        dict.fromkeys(("external_user_id", "computer_id", "started_at", "ended_at"), pl.String)
        | {"credit_cost": pl.Decimal(18, 9)}
    )
    owners = (
        pl.scan_parquet(f"{source}/sandboxes.parquet")
        .sort("load_id")
        .unique("row_key", keep="last", maintain_order=True)
        .select(computer_id="row_key", owner="external_user_id")
    )
    newest = (
        pl.scan_parquet(f"{source}/usage_sessions.parquet")
        .with_columns((pl.col("load_id") * 2**40 + pl.col("row_number")).alias("place"))
        .group_by("row_key")
        .agg(pl.col("payload").get(pl.col("place").arg_max()))
    )
    sessions = (
        newest.select(pl.col("payload").str.json_decode(document).alias("fields"))
        .unnest("fields")
        .join(owners, on="computer_id", how="left")
        .select(
            pl.coalesce("external_user_id", "owner").alias("u"),
            pl.col("started_at").str.to_datetime("%Y-%m-%dT%H:%M:%S%.fZ", time_unit="us").alias("s"),
            pl.col("ended_at").str.to_datetime("%Y-%m-%dT%H:%M:%S%.fZ", time_unit="us").alias("e"),
            (pl.col("credit_cost").cast(pl.Decimal(38, 9)) * 1_000_000_000).cast(pl.Int128).alias("nano"),
        )
    )
    months = sessions.with_columns(
        pl.datetime_ranges(pl.col("s").dt.truncate("1mo"), pl.col("e") - pl.duration(microseconds=1), "1mo").alias("m")
    ).explode("m")
    length = us("e") - us("s")
    upper = pl.min_horizontal("e", month_end).dt.timestamp("us").cast(pl.Int128) - us("s")
    lower = pl.max_horizontal("s", "m").dt.timestamp("us").cast(pl.Int128) - us("s")
    parts = pl.col("nano") * upper // length - pl.col("nano") * lower // length
    figure = (
        months.select("u", pl.col("m").dt.strftime("%Y-%m").alias("period"), parts.alias("nano"))
        .group_by("u", "period")
        .agg(pl.col("nano").sum())
        .collect(engine="streaming")
    )
    return figure.height, int(figure["nano"].sum())


def run_chdb(source: str) -> tuple[int, int]:
    """One statement on Parquet."""
    import chdb

    answer = chdb.query(f"select count(), sum(nano) from ({_CHDB.format(source)})", "TabSeparated")
    rows, nano = str(answer).split()
    return int(rows), int(nano)


if __name__ == "__main__":
    _engine, _source = sys.argv[1:]
    _engines: dict[str, Callable[[str], tuple[int, int]]] = {
        "duckdb": run_duckdb,
        "tuned": run_tuned,
        "polars": run_polars,
        "chdb": run_chdb,
    }
    print(*_engines[_engine](_source))
