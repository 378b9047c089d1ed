"""A partial build makes only changed rows again, and leaves the warehouse that `--full-refresh` gives, row for row.

Months of sessions come straight into raw. Random histories of prices, plans, closes and corrections, by the extractor
and against the oracle, are in test_invoices_whole_path.py, whose builds are monthly ones too.
"""

from __future__ import annotations

import random
from contextlib import closing, suppress
from pathlib import Path

import duckdb
import pytest

import pipeline
from benchmarks.build.generate import Generator

MONTHS = 3
SESSIONS = 400
"""In a month: 4 users."""

CHANGES = """
insert into raw.loads
select
    max(load_id) + 1, 'changes', 'usage_sessions', null, null, max(started_at_utc), max(ended_at_utc), 1, 1, 1, 1, 1,
    '', 'complete', null
from raw.loads;
create temp table newest as
select max(load_id) as load_id from raw.loads;
-- Voided; rejected for their cost; another user's; moved a month back, so that a period loses what another gets.
insert into raw.usage_sessions
select
    newest.load_id, row_number() over (order by row_key), row_key, has_id, row_hash, hash(row_key, {seed}) % 40 = 0,
    is_running, started_at_utc, ended_at_utc, external_user_id,
    case hash(row_key, {seed}) % 40
        when 0 then null
        when 1 then regexp_replace(payload, '"credit_cost":[0-9.]+', '"credit_cost":"dear"')
        when 2 then replace(payload, '"workspace_id"', '"external_user_id":"user-9","workspace_id"')
        when 3 then replace(replace(payload, '"2023-02-1', '"2023-01-1'), '"2023-02-2', '"2023-01-2')
    end,
    case hash(row_key, {seed}) % 40
        when 2 then replace(
            regexp_replace(payload, '"external_user_id":"[^"]*",', ''),
            '"workspace_id"',
            '"external_user_id":"user-9","workspace_id"'
        )
    end
from (
    from raw.usage_sessions
    qualify row_number() over (partition by row_key order by load_id desc, row_number desc) = 1
) as now
cross join newest
where hash(row_key, {seed}) % 40 < 4 and now.payload is not null;
-- Sandboxes get another owner in the midst of the months, by a clock that goes back, and there are new limits.
insert into raw.loads
select
    load_id + 1, 'changes', 'sandboxes', null, null, timestamp '2023-02-25' - to_days(10 * {seed}),
    ended_at_utc, 1, 1, 1, 1, 1, 'test', 'complete', null
from raw.loads where load_id = (select load_id from newest);
insert into raw.sandboxes
select
    newest.load_id + 1, row_number() over (order by row_key), row_key, has_id, row_hash, 'user-1',
    '{{"id":"' || row_key || '","external_user_id":"user-1"}}', null
from (from raw.sandboxes qualify row_number() over (partition by row_key order by load_id desc) = 1) as now
cross join newest
where hash(row_key, {seed}) % 4 = 0;
insert into raw.quotas
select
    newest.load_id + 1, row_number() over (order by row_key), row_key, has_id, row_hash, 200,
    '{{"limits":{{"max_sandboxes":3,"max_concurrent":2,"max_credit_cents":' || (hash(row_key, {seed}) % 900) || '}}}}',
    null
from (from raw.quotas qualify row_number() over (partition by row_key order by load_id desc) = 1) as now
cross join newest
where hash(row_key, {seed}) % 2 = 0;
"""

PLANS = "external_user_id,plan_id,valid_from,valid_to\nuser-0,{plan},2023-02-10,\nuser-2,{plan},2023-01-05,2023-04-02\n"
WHOLE_BUILDS = "select count(*) from build_state.whole_builds"
UNFINISHED = (
    "select count(*) from intermediate.{}"
    " where invocation_id not in (select invocation_id from build_state.whole_builds)"
)
NEWEST = "assert_parts_are_of_the_newest_versions"
WITHOUT_TESTS = ("--exclude-resource-type", "test", "unit_test")


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A warehouse of a few months, built and tested as a whole."""
    warehouse = tmp_path_factory.mktemp("base") / "usage.duckdb"
    Generator(warehouse, SESSIONS).add_months(MONTHS)
    # Sessions by the dozen under one digest, as two may be among billions: what is made again with one is not lost.
    execute(warehouse, "update raw.usage_sessions set row_hash = row_hash % 100 where row_hash % 5 = 0")
    pipeline.build(warehouse)
    return warehouse


@pytest.fixture
def warehouse(base: Path, tmp_path: Path) -> Path:
    """A copy of it."""
    return pipeline.copy(base, tmp_path / "monthly")


def execute(warehouse: Path, sql: str) -> None:
    with closing(duckdb.connect(str(warehouse))) as connection:
        connection.execute("set TimeZone = 'UTC'")
        connection.execute(sql)


def one(warehouse: Path, sql: str) -> object:
    return next(iter(pipeline.query(warehouse, sql)[0].values()))


def assert_full_refresh_gives_the_same(warehouse: Path, folder: Path, seeds: Path) -> None:
    full = pipeline.copy(warehouse, folder)
    pipeline.build(full, "--full-refresh", *WITHOUT_TESTS, seeds=seeds)
    assert list(pipeline.differing_tables(warehouse, full)) == []


def test_builds_in_parts_and_killed_ones_leave_nothing_undone(warehouse: Path, tmp_path: Path) -> None:
    """Voids, rejections, moves, new users, owners, limits and plans; builds of parts, builds that are killed."""
    choose = random.Random(20261122)
    for seed, plan in ((1, "starter"), (2, "team")):
        execute(warehouse, CHANGES.format(seed=seed))
        seeds = pipeline.write_seeds(tmp_path / f"seeds{seed}", user_plans=PLANS.format(plan=plan))
        pipeline.build(warehouse, "--select", "tag:changes", "stg_miosa__usage_sessions", *WITHOUT_TESTS, seeds=seeds)
        for _ in range(2):
            with suppress(TimeoutError):
                pipeline.dbt(warehouse, "build", *WITHOUT_TESTS, seeds=seeds, seconds=choose.uniform(1.5, 6))
    assert one(warehouse, WHOLE_BUILDS) == 1, "the build was one in full"
    pipeline.build(warehouse, *WITHOUT_TESTS, seeds=seeds)
    assert one(warehouse, UNFINISHED.format("int_changed_sessions")) != 0, "a build without tests leaves nothing to do"
    assert_full_refresh_gives_the_same(warehouse, tmp_path / "full", seeds)
    # The data tests of changed rows pass too, of users whose plan alone is another one among them.
    # The vendor's figures, which no change reached, are left aside.
    pipeline.build(warehouse, variables={"reconciliation_tolerance_credits": 10**12}, seeds=seeds)
    assert one(warehouse, UNFINISHED.format("int_changed_sessions")) == 0

    # A build in full that does not come to its end, such as a closing, leaves tables whose changes are listed nowhere.
    with pytest.raises(TimeoutError):
        pipeline.dbt(warehouse, "build", variables={"close_period": "2023-01"}, seeds=seeds, seconds=5)
    assert one(warehouse, WHOLE_BUILDS) == 0, "the next build goes on from a part"


def test_incremental_models_without_their_changes_are_built_in_full(warehouse: Path) -> None:
    """They would not know which rows to make again, nor would a later build: that one is made in full, too."""
    # As docs/quotas.md says after `publish quotas apply`: with the models that find changed limits.
    quotas = ("stg_miosa__quotas", "int_quota_limits+", "--exclude", "path:models/marts")
    pipeline.build(warehouse, "--select", *quotas, *WITHOUT_TESTS)
    assert one(warehouse, WHOLE_BUILDS) == 1
    pipeline.build(warehouse, "--select", "int_session_periods", *WITHOUT_TESTS)
    assert one(warehouse, WHOLE_BUILDS) == 0


def test_a_month_is_built_and_tested_and_a_fault_in_changed_rows_is_caught(warehouse: Path, tmp_path: Path) -> None:
    generator = Generator.of(warehouse, SESSIONS, months=MONTHS)
    generator.add_months(1, corrections=3)
    faulty, apart = pipeline.copy(warehouse, tmp_path / "faulty"), pipeline.copy(warehouse, tmp_path / "apart")

    pipeline.build(warehouse)
    assert one(warehouse, UNFINISHED.format("int_user_periods_changed_by_usage")) == 0
    assert_full_refresh_gives_the_same(warehouse, tmp_path / "full", Path("seeds"))

    # A day of an unchanged session, in a period of its user that a correction changes, and in one that none does.
    day = (
        "update intermediate.int_session_days set nano_credits = nano_credits + 1 where (session_id, usage_date) in ("
        "select (session_id, usage_date) from intermediate.int_session_days"
        " anti join (from raw.usage_sessions where load_id > {last}) using (row_hash) {having} limit 1)"
    )
    last = one(warehouse, "select max(load_id) from intermediate.int_sessions where load_id < 10")
    changed = (
        "select external_user_id, billing_period from intermediate.int_session_days"
        f" semi join (from raw.usage_sessions where load_id > {last}) using (row_hash)"
    )
    execute(faulty, day.format(last=last, having=f"semi join ({changed}) using (external_user_id, billing_period)"))
    done = pipeline.build(faulty, check=False)
    assert done.returncode != 0
    assert "assert_own_steps_reconcile" in done.stdout
    assert one(faulty, UNFINISHED.format("int_user_periods_changed_by_usage")) != 0, (
        "a failed build leaves nothing to do"
    )
    # It stays failed until it is mended.
    again = pipeline.build(faulty, "--select", "assert_own_steps_reconcile", check=False)
    assert "Failure in test assert_own_steps_reconcile" in again.stdout
    # What an older version of a changed session left behind.
    pipeline.build(faulty, "--select", NEWEST)
    execute(
        faulty,
        "insert into intermediate.int_session_days select * replace (load_id - 1 as load_id)"
        " from intermediate.int_session_days"
        " semi join intermediate.int_changed_sessions using (row_hash, load_id) limit 1",
    )
    assert f"Failure in test {NEWEST}" in pipeline.build(faulty, "--select", NEWEST, check=False).stdout

    execute(
        apart,
        day.format(
            last=last,
            having=f"anti join ({changed}) using (external_user_id, billing_period) where billing_period < '2023-04'",
        ),
    )
    # Of all tests, one compares all open periods: FOCUS charges are views, so it has nothing to go by.
    pipeline.build(apart, "--exclude", "assert_focus_sums_equal_the_marts")
    # Rows that a month did not change are read by `dbt test`, and by a closing, which builds everything again.
    tested = pipeline.build(apart, "--select", "assert_parts_sum_to_their_session", command="test", check=False)
    assert "assert_parts_sum_to_their_session" in tested.stdout
    assert tested.returncode != 0
    # Other code builds everything again.
    execute(apart, "update build_state.whole_builds set code_fingerprint = 'of other code'")
    pipeline.build(apart, *WITHOUT_TESTS)
    assert list(pipeline.differing_tables(warehouse, apart)) == []
