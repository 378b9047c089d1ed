"""The oracle itself, pinned by examples that were worked out by hand from the rules."""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

import oracle
import tenants

OCTOBER = oracle.month_start(2026 * 12 + 9)
NOVEMBER = oracle.month_start(2026 * 12 + 10)
HOUR = oracle.MICROSECONDS_PER_HOUR
DAY = oracle.MICROSECONDS_PER_DAY
SECOND = oracle.MICROSECONDS


def session(start: int, end: int, nano: int = 0, seconds: int | None = None, **facts: Any) -> oracle.Session:
    """A usable session of user `u`."""
    known: dict[str, Any] = {
        "session_id": "s",
        "user": "u",
        "sandbox": "box",
        "project": None,
        "workspace": None,
        "start": start,
        "end": end,
        "is_running": False,
        "nano_credits": nano,
        "seconds": (end - start) // SECOND if seconds is None else seconds,
    }
    return oracle.Session(**{**known, **facts})


def row(**fields: str) -> str:
    """A row of JSON texts: a usable one, but for what is given. The empty text leaves a field out."""
    usable = {
        "id": '"s1"',
        "external_user_id": '"u"',
        "started_at": '"2026-10-01T00:00:00Z"',
        "ended_at": '"2026-10-01T01:00:00Z"',
        "credit_cost": "1.5",
    }
    return tenants.row_text({name: text for name, text in {**usable, **fields}.items() if text})


def known(*rows: str, **more: Any) -> oracle.Known:
    """What is known after one load of October, begun at noon of 2026-11-02."""
    started_at = NOVEMBER + DAY + 12 * HOUR
    resources = ("usage_sessions", "usage_rollups")
    loads = [oracle.Load(1, "run-1", resource, OCTOBER, NOVEMBER, started_at) for resource in resources]
    facts: dict[str, Any] = {"loads": loads, "sessions": [oracle.SessionRow(text, started_at) for text in rows]}
    return oracle.Known(**{**facts, **more})


def one(
    text: str, owners: Mapping[str, Sequence[oracle.OwnerChange]] | None = None, load_started_at: int = NOVEMBER
) -> oracle.Session:
    """The session of a usable row."""
    return oracle.read_session(oracle.read_object(text), owners or {}, load_started_at)


def faults(text: str, load_started_at: int = NOVEMBER) -> set[str]:
    """Why a row is rejected that a load of the first of November brought."""
    return oracle.session_faults(oracle.read_object(text), load_started_at)


# --- Reading -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "nano"),
    [
        ("1.5", 1_500_000_000),
        ("0.10", 100_000_000),
        ('"0.10"', 100_000_000),
        ("0.1000000000", 100_000_000),
        ("1E-9", 1),
        ("1e-9", 1),
        ("12e+1", 120 * 10**9),
        ("999999999.999999999", 10**18 - 1),
        ("999999999.9999999990000", 10**18 - 1),
        ("-0", 0),
        ("-0.00", 0),
        ("0e99999999999999999999", 0),
        ("0.30000000000000004", 300_000_000),
        ("5e-10", 1),
        ("4.9e-10", 0),
        ("1e-99999999999999999999", 0),
        ("0.0000000015" + "9" * 3000, 2),
        ("999999999.9999999994", 10**18 - 1),
    ],
)
def test_rule_1_amounts_are_read_exactly_and_by_value(text: str, nano: int) -> None:
    assert faults(row(credit_cost=text)) == set()
    assert one(row(credit_cost=text)).nano_credits == nano


@pytest.mark.parametrize(
    ("fields", "fault"),
    [
        ({"id": ""}, "missing_id"),
        ({"id": "null"}, "missing_id"),
        ({"id": '""'}, "missing_id"),
        ({"id": "5"}, "missing_id"),
        ({"started_at": ""}, "missing_start"),
        ({"started_at": "null"}, "missing_start"),
        ({"started_at": '"2026-02-30"'}, "unreadable_start"),
        ({"started_at": "1790812800"}, "unreadable_start"),
        ({"ended_at": '""'}, "unreadable_end"),
        ({"ended_at": "false"}, "unreadable_end"),
        ({"ended_at": '"2026-09-30T23:59:59.999999Z"'}, "end_before_start"),
        ({"duration_sec": "-1"}, "bad_duration"),
        ({"duration_sec": "60.5"}, "bad_duration"),
        ({"duration_sec": "true"}, "bad_duration"),
        ({"duration_sec": "1e11"}, "bad_duration"),
        ({"credit_cost": ""}, "missing_cost"),
        ({"credit_cost": "null"}, "missing_cost"),
        ({"credit_cost": "true"}, "bad_cost"),
        ({"credit_cost": '"1_000"'}, "bad_cost"),
        ({"credit_cost": '" 1 "'}, "bad_cost"),
        ({"credit_cost": '"1,5"'}, "bad_cost"),
        ({"credit_cost": '"NaN"'}, "bad_cost"),
        ({"credit_cost": "[1]"}, "bad_cost"),
        ({"credit_cost": "-0.000000001"}, "negative_cost"),
        ({"started_at": '"2019-12-31T23:59:59.999999Z"'}, "start_too_early"),
        ({"started_at": '"1970-01-01T00:00:00Z"'}, "start_too_early"),
        ({"started_at": '"2099-01-01T00:00:00Z"', "ended_at": ""}, "start_in_future"),
        ({"ended_at": '"2099-01-01T00:00:00Z"'}, "end_in_future"),
        ({"ended_at": "", "duration_sec": "99999999999"}, "end_in_future"),
        ({"credit_cost": "-1e-10"}, "negative_cost"),
        ({"credit_cost": "999999999.9999999995"}, "cost_too_large"),
        ({"credits_used": "1.50000000000001"}, "cost_fields_differ"),
        ({"credit_cost": "1000000000"}, "cost_too_large"),
        ({"credit_cost": "1e999999999999999999999"}, "cost_too_large"),
        ({"credits_used": "1.500000001"}, "cost_fields_differ"),
        ({"external_user_id": '"(unattributed)"'}, "reserved_user_id"),
    ],
)
def test_rule_7_rejects(fields: dict[str, str], fault: str) -> None:
    text = row(**fields)
    assert faults(text) == {fault}
    marts = oracle.work_out(known(text))
    assert marts.by_name["fct_session_period_credits"] == {}
    assert [rejected.faults for rejected in marts.rejected] == [{fault}]


@pytest.mark.parametrize(
    "fields",
    [
        {"credits_used": "1.50"},
        {"credits_used": "null"},
        {"credit_cost": "null", "credits_used": "15e-1"},
        {"duration_sec": "60.0"},
        {"duration_sec": "6e1"},
        {"duration_sec": '"60"'},
        {"duration_sec": "null"},
        {"duration_sec": "99999999999"},
        {"external_user_id": "5"},
        {"ended_at": '"2026-10-01T00:00:00Z"'},
        {"started_at": '"2020-01-01T00:00:00Z"'},
    ],
)
def test_rule_7_does_not_reject(fields: dict[str, str]) -> None:
    assert faults(row(**fields)) == set()


@pytest.mark.parametrize("late", [0, 1])
def test_rule_37_a_day_after_the_load_began_is_the_last_instant(late: int) -> None:
    load_started_at = NOVEMBER + 6 * HOUR + 1 - late
    found = {"end_in_future"} if late else set()
    assert faults(row(ended_at='"2026-11-02T06:00:00.000001Z"'), load_started_at) == found
    assert (
        faults(row(started_at='"2026-11-01T06:00:00.000001Z"', ended_at="", duration_sec="86400"), load_started_at)
        == found
    )
    assert faults(row(started_at='"2026-11-02T06:00:00.000001Z"', ended_at=""), load_started_at) == (
        {"start_in_future"} if late else set()
    )


def test_rule_37_no_month_is_listed_before_a_load_begins_in_it() -> None:
    crossing = row(started_at='"2026-10-31T12:00:00Z"', ended_at='"2026-11-01T12:00:00Z"')
    loads = [oracle.Load(1, "run", "usage_sessions", OCTOBER, NOVEMBER, NOVEMBER - 1)]
    told = oracle.Known(loads, [oracle.SessionRow(crossing, NOVEMBER - 1)])
    marts = oracle.work_out(told).by_name
    assert set(marts["fct_user_period_credits"]) == {("u", "2026-10"), ("u", "2026-11")}
    assert set(marts["dim_billing_periods"]) == {("2026-10",)}
    assert {period for _, period, _ in marts["fct_quota_utilization"]} == {"2026-10"}


def test_rule_7_the_last_of_repeated_keys_counts() -> None:
    assert one('{"credit_cost":-1,' + row()[1:]).nano_credits == 1_500_000_000


def test_rule_7_a_running_session_without_cost_costs_nothing_yet() -> None:
    running = one(row(ended_at="null", credit_cost=""))
    assert (running.nano_credits, running.is_running) == (0, True)


@pytest.mark.parametrize(
    ("text", "instant"),
    [
        ("2026-10-01", 0),
        ("2026-10-01T00:00", 0),
        ("2026-10-01t00:00:00z", 0),
        ("2026-10-01 00:00:00", 0),
        ("2026-10-01T05:30:00+05:30", 0),
        ("2026-09-30T17:00:00-0700", 0),
        ("2026-09-30T17:00-07", 0),
        ("2026-10-01T00:00:00.0000019Z", 1),
        ("2026-10-01T00:00:01,5", 1_500_000),
    ],
)
def test_rule_8_times(text: str, instant: int) -> None:
    assert oracle.read_time(text) == OCTOBER + instant


@pytest.mark.parametrize("text", tenants.UNREADABLE_TIMES)
def test_rule_8_what_is_no_time(text: str) -> None:
    assert oracle.read_time(oracle.read_json(text)) is None


def test_rule_9_whose_a_session_is() -> None:
    owners = oracle.sandbox_owners(
        oracle.SandboxRow(text, seen_at)
        for seen_at, text in (
            (OCTOBER - DAY, '{"id":"box","external_user_id":"first"}'),
            (OCTOBER, '{"id":"box","external_user_id":"second"}'),
            (OCTOBER + DAY, '{"id":"box","external_user_id":"second","name":"renamed"}'),
            (OCTOBER + DAY, '{"id":"box","external_user_id":null}'),
            (OCTOBER + DAY, '{"id":"box","external_user_id":"(unattributed)"}'),
            (OCTOBER + DAY, '{"id":"other","external_user_id":""}'),
        )
    )
    assert owners == {"box": [(OCTOBER - DAY, "first"), (OCTOBER, "second")]}
    assert one(row(computer_id='"box"'), owners).user == "u"
    by_box = {"external_user_id": '""', "computer_id": '"box"', "ended_at": '"2026-11-30"'}
    for start, owner in {
        "2026-01-01": "first",
        "2026-09-30T12:00:00": "first",
        "2026-09-30T23:59:59.999999": "first",
        "2026-10-01": "second",
        "2026-10-31": "second",
    }.items():
        assert one(row(**by_box, started_at=f'"{start}"'), owners).user == owner, start
    assert one(row(external_user_id="7", computer_id='"other"'), owners).user == "(unattributed)"
    assert one(row(external_user_id='" u"')).user == " u"


def test_rule_9_an_owner_who_was_replaced_before_being_known_never_was_one() -> None:
    changes = [(30, "a"), (50, "never"), (40, "b"), (60, "a")]
    assert [oracle.owner_at(changes, instant) for instant in (0, 29, 30, 39, 40, 50, 59, 60)] == [*"aaaabbba"]
    assert oracle.owners_in_force(changes) == {"a", "b"}
    assert oracle.owners_in_force([(50, "a"), (40, "b")]) == {"a", "b"}
    assert oracle.owner_at([], 0) is None


# --- When ----------------------------------------------------------------------------------------------------------


def test_rule_11_months_are_half_open_and_in_utc() -> None:
    assert oracle.month_name(oracle.month_of(NOVEMBER)) == "2026-11"
    assert oracle.month_name(oracle.month_of(NOVEMBER - 1)) == "2026-10"
    assert (NOVEMBER - OCTOBER) // DAY == 31


def test_rule_12_where_a_running_session_ends() -> None:
    stated = row(ended_at="null", duration_sec="90")
    assert one(stated).end == OCTOBER + 90 * SECOND
    assert one(row(ended_at=""), load_started_at=OCTOBER + 5).end == OCTOBER + 5
    assert one(row(ended_at=""), load_started_at=OCTOBER - 5).end == OCTOBER


def test_rule_13_parts_are_differences_of_floors() -> None:
    crossing = session(OCTOBER, OCTOBER + 3 * DAY, nano=100, seconds=10)
    marts = oracle.fct_user_day_credits([crossing])
    assert [day["credits"] for day in marts.values()] == [33, 33, 34]
    assert [day["usage_seconds"] for day in marts.values()] == [3, 3, 4]


def test_rule_13_crossing_a_month_by_one_microsecond() -> None:
    crossing = session(NOVEMBER - SECOND, NOVEMBER + 1, nano=1_000_001)
    october, november = oracle.month_parts([crossing]).values()
    assert (october[0].nano_credits, november[0].nano_credits) == (1_000_000, 1)
    assert (october[0].end, november[0].start, november[0].end) == (NOVEMBER, NOVEMBER, NOVEMBER + 1)


def test_rule_13_ends_on_a_cut_and_has_no_length_on_a_cut() -> None:
    up_to = session(NOVEMBER - SECOND, NOVEMBER, nano=5)
    instant = session(NOVEMBER, NOVEMBER, nano=7)
    assert [key[1] for key in oracle.month_parts([up_to])] == [2026 * 12 + 9]
    assert [key[1] for key in oracle.month_parts([instant])] == [2026 * 12 + 10]


@given(
    start=st.integers(OCTOBER - 3 * DAY, NOVEMBER),
    length=st.integers(0, 70 * DAY),
    nano=st.integers(0, 10**18 - 1),
    seconds=st.integers(0, oracle.MAX_DURATION_SECONDS),
)
def test_rule_13_parts_of_any_grain_sum_to_the_session(start: int, length: int, nano: int, seconds: int) -> None:
    whole = session(start, start + length, nano=nano, seconds=seconds)
    for parts in (oracle.month_parts([whole]), oracle.day_parts([whole])):
        pieces = [part for own in parts.values() for part in own]
        assert sum(part.nano_credits for part in pieces) == nano
        assert sum(part.seconds for part in pieces) == seconds
        assert sum(part.end - part.start for part in pieces) == length
        assert all(part.nano_credits >= 0 and part.seconds >= 0 for part in pieces)
        assert length == 0 or all(part.start < part.end for part in pieces)


def test_rule_14_running_credits_are_provisional() -> None:
    sessions = [session(OCTOBER, OCTOBER + HOUR, nano=3), session(OCTOBER, OCTOBER + HOUR, nano=4, is_running=True)]
    (row_of_user,) = oracle.fct_user_period_credits(oracle.month_parts(sessions)).values()
    assert (row_of_user["credits"], row_of_user["provisional_credits"]) == (7, 4)


# --- Quotas --------------------------------------------------------------------------------------------------------


def test_rule_15_peak() -> None:
    sessions = [
        session(OCTOBER - HOUR, OCTOBER + HOUR),  # carried in
        session(OCTOBER, OCTOBER + 2 * HOUR),
        session(OCTOBER + HOUR, OCTOBER + 3 * HOUR),  # starts as the first ends: no overlap
        session(OCTOBER + HOUR, OCTOBER + HOUR),  # no length
    ]
    october = oracle.month_parts(sessions)["u", 2026 * 12 + 9]
    assert oracle.peak_concurrent(october) == 2
    assert oracle.concurrent_reached_at(october, 2 * oracle.NANO) == OCTOBER
    assert oracle.concurrent_reached_at(october, 0) == OCTOBER
    assert oracle.concurrent_reached_at(october, 3 * oracle.NANO) is None


def test_rule_15_storage() -> None:
    hours = 31 * 24
    assert oracle.storage_used(str(hours), 2026 * 12 + 9) == oracle.NANO
    assert oracle.storage_used("1", 2026 * 12 + 9) == 1_344_086  # 1 / 744 = 0.00134408602…
    assert oracle.storage_used("0.000000372", 2026 * 12 + 9) == 1  # exactly half a billionth: away from zero
    assert oracle.storage_used("0.0000003719999", 2026 * 12 + 9) == 0
    assert oracle.storage_used((), 2026 * 12 + 9) == 0


def test_rule_16_storage_is_rounded_once() -> None:
    october, september = 2026 * 12 + 9, 2026 * 12 + 8
    assert oracle.storage_used("3.719999999e-7", october) == 0  # 4.999…e-10, however close to a half
    assert oracle.storage_used("0.0000003719999999999999999999999999999999999999999", october) == 0
    assert oracle.storage_used(("1.795e-7", "0.0000001805"), september) == 1  # together exactly a half
    assert oracle.storage_used(("1.795e-7", "0.0000001804999999999999999"), september) == 0
    assert oracle.storage_used(("1e-10",) * 3720, october) == 1


@pytest.mark.parametrize(
    ("limit", "used", "status"),
    [
        (0, 0, "ok"),
        (0, 1, "over_limit"),
        (100, 79, "ok"),
        (100, 80, "warning"),
        (100, 99, "warning"),
        (100, 100, "at_limit"),
        (100, 101, "over_limit"),
    ],
)
def test_rule_16_status(limit: int, used: int, status: str) -> None:
    assert oracle.status_of(limit, used) == status


@pytest.mark.parametrize(
    ("numerator", "rounded"), [(1, 0), (2, 1), (3, 1), (5, 1), (6, 2), (-2, -1), (-1, 0), (-6, -2)]
)
def test_rule_16_half_away_from_zero(numerator: int, rounded: int) -> None:
    assert oracle.round_half_away(numerator, 4) == rounded


def quota(load_id: int, started_at: int, limit: int | None, name: str = "max_credit_cents") -> oracle.QuotaAnswer:
    """An answer with one limit."""
    return oracle.QuotaAnswer("u", load_id, started_at, {name: limit})


def utilization(rows: list[str], quotas: list[oracle.QuotaAnswer], name: str = "credits") -> dict[str, Any]:
    """The row of user `u` in October."""
    marts = oracle.work_out(known(*rows, quotas=quotas))
    return marts.by_name["fct_quota_utilization"]["u", "2026-10", name]


def test_rule_16_uncapped_no_quota_and_block() -> None:
    assert utilization([row()], [quota(1, NOVEMBER, None)])["status"] == "uncapped"
    assert utilization([row()], [oracle.QuotaAnswer("u", 1, NOVEMBER, None)])["status"] == "no_quota"
    assert utilization([row()], [])["status"] == "no_quota"
    block = utilization([row()], [quota(1, NOVEMBER, 0)])
    assert (block["status"], block["utilization"], block["headroom_value"]) == ("over_limit", None, -1_500_000_000)


def test_rule_17_the_limit_in_force_at_the_end() -> None:
    third = oracle.NANO
    changed = [
        quota(1, OCTOBER + DAY, 9 * third),
        quota(2, OCTOBER + 2 * DAY, 2 * third),
        quota(3, NOVEMBER + 1, third),
    ]
    measured = utilization([row()], changed)
    assert (measured["limit_value"], measured["has_limit_changed"]) == (2 * third, True)
    assert measured["utilization"] == 750_000
    first = utilization([row()], [quota(1, NOVEMBER + DAY, 3 * third)])
    assert (first["limit_value"], first["has_limit_changed"]) == (3 * third, False)
    again = utilization([row()], [quota(1, OCTOBER + 1, third), quota(2, OCTOBER + DAY, third)])
    assert again["has_limit_changed"] is False
    # The clock of the second load was ahead: what it saw was replaced before.
    ahead = utilization([row()], [quota(1, OCTOBER, third), quota(2, NOVEMBER, 0), quota(3, OCTOBER + DAY, third)])
    assert (ahead["limit_value"], ahead["has_limit_changed"]) == (third, False)


def test_rule_17_when_the_limit_on_credits_is_reached() -> None:
    rows = [
        row(id='"b"', ended_at='"2026-10-02T00:00:00Z"'),
        row(id='"a"', ended_at='"2026-10-02T00:00:00Z"', credit_cost="0.5"),
        row(id='"c"', ended_at='"2026-10-01T12:00:00Z"', credit_cost="1"),
    ]
    reached = [
        utilization(rows, [quota(1, OCTOBER, limit)])["reached_limit_at_utc"]
        for limit in (10**9, 15 * 10**8, 3 * 10**9, 3 * 10**9 + 1)
    ]
    assert reached == [OCTOBER + 12 * HOUR, OCTOBER + DAY, OCTOBER + DAY, None]


def test_rule_17_when_the_limit_on_sandboxes_is_reached() -> None:
    rows = [
        row(id='"a"', computer_id='"one"', started_at='"2026-09-03"', ended_at='"2026-09-04"'),
        row(id='"b"', computer_id='"one"'),
        row(id='"c"', computer_id='"two"', started_at='"2026-10-05"', ended_at='"2026-10-05"'),
    ]

    def reached(limit: int) -> int | None:
        answer = quota(1, OCTOBER, limit * oracle.NANO, "max_sandboxes")
        instant: int | None = utilization(rows, [answer], "sandboxes")["reached_limit_at_utc"]
        return instant

    assert [reached(limit) for limit in (0, 1, 2, 3)] == [OCTOBER, OCTOBER, OCTOBER + 4 * DAY, None]


# --- Dimensions ----------------------------------------------------------------------------------------------------


def test_rule_34_complete_periods() -> None:
    after = NOVEMBER + DAY
    split = NOVEMBER - 10 * DAY

    def complete(*loads: tuple[int, int, int], month: int = 2026 * 12 + 9) -> bool:
        log = [
            oracle.Load(number, f"run-{number}", "usage_sessions", start, end, started_at)
            for number, (start, end, started_at) in enumerate(loads, start=1)
        ]
        return oracle.is_complete(oracle.Known(log, []), month)

    assert complete((OCTOBER, NOVEMBER, after))
    assert complete((split, NOVEMBER, after), (OCTOBER, split, NOVEMBER))
    assert not complete((OCTOBER, split, split), (split, NOVEMBER, after))  # the first part was asked too early
    assert not complete((OCTOBER + DAY, NOVEMBER, after))
    assert complete((NOVEMBER, NOVEMBER + 2 * DAY, after + HOUR), month=2026 * 12 + 10)
    assert not complete((NOVEMBER, NOVEMBER + DAY, after + HOUR), month=2026 * 12 + 10)


def test_periods_leave_no_gap_and_users_are_everybody() -> None:
    marts = oracle.work_out(
        known(
            row(started_at='"2026-07-31"', ended_at='"2026-07-31"'),
            sandboxes=[oracle.SandboxRow('{"id":"box","external_user_id":"owner"}', NOVEMBER)],
            quotas=[oracle.QuotaAnswer("capped", 1, NOVEMBER, {}), oracle.QuotaAnswer("nobody", 1, NOVEMBER, None)],
        )
    )
    periods = marts.by_name["dim_billing_periods"]
    assert [(key[0], facts["is_complete"]) for key, facts in periods.items()] == [
        ("2026-07", False),
        ("2026-08", False),
        ("2026-09", False),
        ("2026-10", True),
    ]
    assert sorted(key[0] for key in marts.by_name["dim_users"]) == ["capped", "owner", "u"]
    assert marts.by_name["dim_users"]["owner",]["first_seen_at_utc"] is None


# --- The generator -------------------------------------------------------------------------------------------------


def test_generated_tenants_meet_every_fault_alone() -> None:
    rows = tenants.seeded_rows(1, 2500, rejected_share=0.5)
    rejected = oracle.work_out(known(*rows.sessions)).rejected
    alone = {fault for row_rejected in rejected if len(row_rejected.faults) == 1 for fault in row_rejected.faults}
    assert len(alone) == len(tenants.FAULTS)


def test_generated_rows_keep_their_content_when_keys_move() -> None:
    rng = random.Random(7)
    for text in tenants.seeded_rows(2, 300).sessions:
        assert oracle.canonical(tenants.reordered(text, rng)) == oracle.canonical(text)
