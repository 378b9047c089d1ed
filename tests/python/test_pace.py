"""The pace of requests against limiters of all kinds, in virtual time.

The targets are those of docs/extractor.md: at most 5 % of the requests refused after the first minute, and a run that
takes at most 10 % longer than the limit allows.
"""

from __future__ import annotations

import math
import time
from datetime import datetime
from typing import Any, get_args

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from core.api.limit_headers import LimitHeaders, read_limit_headers
from core.api.pace import Pace
from simulator.limiter import Headers, Kind, Limit, Limiter, RetryAfter
from virtual_api import Network, run

MOST_REFUSED, LONGEST = 0.05, 1.10
LIMITS = [(60, 60.0), (600, 60.0), (8, 1.0), (1, 1.0), (10, 10.0)]
NETWORKS = [Network(4, 0.005), Network(16, 0.05), Network(32, 0.3)]


def limit_of(requests: int, seconds: float, kind: str, **more: Any) -> Limit:
    """A limit whose windows may go by the clock."""
    is_aligned = kind.startswith("aligned ")
    of_kind: Any = kind.removeprefix("aligned ")
    return Limit(requests=requests, seconds=seconds, kind=of_kind, is_aligned=is_aligned, **more)


@pytest.mark.parametrize("network", NETWORKS, ids=lambda each: f"{each.threads} threads")
@pytest.mark.parametrize("retry_after", get_args(RetryAfter))
@pytest.mark.parametrize("kind", ["window", "aligned window", "bucket"])
@pytest.mark.parametrize(("requests", "seconds"), LIMITS)
def test_a_limit_without_headers_is_learned(
    requests: int, seconds: float, kind: str, retry_after: str, network: Network
) -> None:
    done = run(limit_of(requests, seconds, kind, retry_after=retry_after), count_for(requests, seconds), network)
    assert done.ratio <= LONGEST
    assert done.limiter.refused_share() <= MOST_REFUSED


@pytest.mark.parametrize("retry_after", ["seconds", "none"])
@pytest.mark.parametrize("headers", [each for each in get_args(Headers) if each != "none"])
@pytest.mark.parametrize("kind", ["window", "aligned window", "bucket"])
@pytest.mark.parametrize(("requests", "seconds"), LIMITS)
def test_a_limit_in_headers_is_learned(
    requests: int, seconds: float, kind: str, headers: str, retry_after: str
) -> None:
    limit = limit_of(requests, seconds, kind, retry_after=retry_after, headers=headers)
    done = run(limit, count_for(requests, seconds))
    assert done.ratio <= LONGEST
    assert done.limiter.refused_share() <= MOST_REFUSED


@pytest.mark.parametrize("headers", ["none", "policy", "x-seconds"])
@pytest.mark.parametrize("retry_after", ["seconds", "none"])
@pytest.mark.parametrize("kind", get_args(Kind))
@pytest.mark.parametrize(("requests", "after"), [(120, 60), (120, 240), (480, 240), (480, 960)])
def test_a_limit_that_changes_in_mid_run_is_followed(
    requests: int, after: int, kind: str, retry_after: str, headers: str
) -> None:
    limit = limit_of(requests, 60.0, kind, retry_after=retry_after, headers=headers, changes=((300.0, after),))
    done = run(limit, 5 * requests + 10 * after)
    assert done.ratio <= LONGEST
    assert done.limiter.refused_share() <= MOST_REFUSED


@pytest.mark.parametrize("headers", ["none", "policy", "x-seconds"])
@pytest.mark.parametrize("retry_after", ["seconds", "none"])
@pytest.mark.parametrize("kind", get_args(Kind))
@pytest.mark.parametrize("share", [0.2, 0.5])
@pytest.mark.parametrize(("requests", "seconds"), [(60, 60.0), (8, 1.0)])
def test_a_limit_that_another_client_shares_is_learned(
    requests: int, seconds: float, share: float, kind: str, retry_after: str, headers: str
) -> None:
    limit = limit_of(requests, seconds, kind, retry_after=retry_after, headers=headers, others_share=share)
    done = run(limit, int(count_for(requests, seconds) * (1 - share)))
    # Who is told nothing at all has to ask more often, until the share of the other client is known.
    is_blind = (kind, retry_after, headers, seconds) == ("window", "none", "none", 60)
    assert done.ratio <= LONGEST
    assert done.limiter.refused_share() <= MOST_REFUSED + 0.02 * is_blind


def count_for(requests: int, seconds: float) -> int:
    """How many requests a limit allows in ten minutes."""
    return math.ceil(requests / seconds * 600)


limits = st.builds(
    Limit,
    requests=st.integers(1, 1000),
    seconds=st.floats(0.5, 120),
    kind=st.sampled_from(get_args(Kind)),
    burst=st.none() | st.integers(1, 500),
    is_aligned=st.booleans(),
    headers=st.sampled_from(get_args(Headers)),
    retry_after=st.sampled_from(get_args(RetryAfter)),
    others_share=st.sampled_from([0.0, 0.3]),
    changes=st.lists(st.tuples(st.floats(10, 300), st.integers(1, 1000)), max_size=2).map(sorted).map(tuple),
)
networks = st.builds(Network, st.integers(1, 64), st.floats(0.001, 1), st.floats(0, 1), st.integers())


@settings(max_examples=150, deadline=None)
@given(limits, networks, st.integers(1, 400), st.sampled_from([0.0, 30.0, 6000.0]), st.floats(0, 120))
def test_whatever_the_limit_is_every_request_gets_its_turn(
    limit: Limit, network: Network, requests: int, per_minute: float, start: float
) -> None:
    """Not at the targets, which a limiter of one request at a time and a rough network allow nobody to reach."""
    slowest = min([limit.requests, *(number for _, number in limit.changes)]) / limit.seconds * (1 - limit.others_share)
    allowed = requests / min(slowest, per_minute / 60 or math.inf)
    answers = requests * network.latency * 2 / network.threads
    windows = 20 * (limit.seconds + network.latency)
    done = run(limit, requests, network, per_minute, 2 * allowed + 2 * answers + windows + 120, start)
    assert len(done.limiter.accepted_at) == requests
    assert len(done.limiter.refused_at) <= network.threads * 3 + 60 + requests / 2


@settings(max_examples=50, deadline=None)
@given(networks, st.integers(1, 500))
def test_an_api_without_a_limit_is_never_waited_for(network: Network, requests: int) -> None:
    done = run(None, requests, network)
    slowest = network.latency * (1 + network.jitter)
    assert done.seconds <= slowest * math.ceil(requests / network.threads) + 0.001
    assert not done.pace.is_limited


@pytest.mark.parametrize("headers", [each for each in get_args(Headers) if each != "none"])
def test_a_limit_that_is_not_met_costs_nothing(headers: str) -> None:
    done = run(limit_of(60, 60.0, "window", headers=headers), 60)
    assert done.seconds < 1
    assert not done.limiter.refused_at


@settings(max_examples=50, deadline=None)
@given(limits, networks, st.sampled_from([1.0, 60.0, 600.0]))
def test_a_pace_set_by_hand_is_never_exceeded(limit: Limit, network: Network, per_minute: float) -> None:
    done = run(limit, 40, network, per_minute)
    in_a_row = zip(done.sent_at, done.sent_at[10:], strict=False)
    assert all(later - first >= 10 * 60 / per_minute - 0.06 for first, later in in_a_row)


def test_headers_that_are_wrong_are_not_believed() -> None:
    """Some servers always say that nothing remains."""
    pace, nothing = Pace(600.0), LimitHeaders(limit=60, remaining=0, reset_seconds=60.0)
    now = 0.0
    for _ in range(100):
        assert pace.wait(now) == 0
        pace.accept(now, now + 0.1, nothing)
        now += 0.1


def test_one_request_finds_out_whether_the_api_accepts_again() -> None:
    """However many were under way when it began to refuse, and whenever their answers come."""
    pace = Pace(600.0)
    sent = [number / 100 for number in range(5)]
    assert [pace.wait(moment) for moment in sent] == [0.0] * 5
    pace.refuse(sent[0], 0.1, None, None)
    assert 0 < pace.wait(0.2) < 1
    assert pace.wait(1.0) == 0
    for moment in sent[1:]:
        pace.refuse(moment, 1.1, None, None)
        assert pace.wait(2.0) == math.inf
    assert pace.accept(1.0, 2.1)
    assert 0 < pace.wait(2.2) < 10


def test_a_reset_in_the_past_costs_nothing() -> None:
    pace = Pace(600.0)
    assert pace.wait(0.0) == 0
    pace.accept(0.0, 0.1, LimitHeaders(limit=60, remaining=59, reset_seconds=0.0))
    assert [pace.wait(0.2) for _ in range(16)] == [0.0] * 16


def test_asking_for_a_turn_costs_next_to_nothing() -> None:
    """50,000 sessions are 500 requests, and a request takes a millisecond of this process."""
    pace = Pace(600.0)
    began = time.process_time()
    for number in range(20_000):
        pace.wait(float(number))
        pace.accept(float(number), number + 0.5)
    assert time.process_time() - began < 1


# Headers


NOW = datetime(2026, 11, 3, 9)


@pytest.mark.parametrize(
    ("headers", "read"),
    [
        ({}, None),
        ({"ratelimit-limit": "60", "ratelimit-remaining": "59", "ratelimit-reset": "30"}, (60, 59, 30.0, None)),
        ({"ratelimit-limit": "60, 60;w=60", "ratelimit-remaining": "59", "ratelimit-reset": "7"}, (60, 59, 7.0, 60.0)),
        ({"x-ratelimit-limit": "60", "x-ratelimit-remaining": "0", "x-ratelimit-reset": "12.5"}, (60, 0, 12.5, None)),
        ({"x-ratelimit-remaining": "5", "x-ratelimit-reset": "1793696460"}, (None, 5, 60.0, None)),
        ({"x-ratelimit-remaining": "5", "x-ratelimit-reset": "1793696460500"}, (None, 5, 60.5, None)),
        ({"x-ratelimit-remaining": "5", "x-ratelimit-reset": "1793696300"}, (None, 5, 0.0, None)),
        ({"x-rate-limit-limit": "10", "x-rate-limit-remaining": "1", "x-rate-limit-reset": "1"}, (10, 1, 1.0, None)),
        ({"ratelimit": "limit=60, remaining=59, reset=30"}, (60, 59, 30.0, None)),
        ({"ratelimit": "limit=60, remaining=59, reset=30", "ratelimit-policy": "60;w=60"}, (60, 59, 30.0, 60.0)),
        ({"ratelimit": '"key";r=59;t=30', "ratelimit-policy": '"key";q=60;w=60'}, (60, 59, 30.0, 60.0)),
        (
            {
                "ratelimit": '"day";r=900;t=80000, "min";r=3;t=9',
                "ratelimit-policy": '"day";q=1000;w=86400,"min";q=6;w=9',
            },
            (6, 3, 9.0, 9.0),
        ),
        ({"ratelimit-policy": '"key";q=60;w=60', "ratelimit": "nonsense"}, (60, None, None, 60.0)),
        ({"ratelimit-limit": "0", "ratelimit-remaining": "0", "ratelimit-reset": "1"}, None),
        ({"ratelimit-limit": "many", "ratelimit-remaining": "-1", "ratelimit-reset": "soon"}, None),
        ({"x-ratelimit-remaining": "5", "x-ratelimit-reset": "Mon, 01 Jan 2001 00:00:00 GMT"}, (None, 5, None, None)),
        ({"x-ratelimit-limit": "9" * 400, "x-ratelimit-remaining": "1e3"}, None),
    ],
)
def test_a_limit_is_read_from_the_headers_in_use(
    headers: dict[str, str], read: tuple[int | None, int | None, float | None, float | None] | None
) -> None:
    assert read_limit_headers(headers, NOW) == (None if read is None else LimitHeaders(*read))


NAMES = ["ratelimit", "ratelimit-policy", "ratelimit-limit", "ratelimit-remaining", "x-ratelimit-remaining"]


@given(st.dictionaries(st.sampled_from([*NAMES, "x-ratelimit-reset"]), st.text(st.characters(codec="latin-1"))))
def test_no_header_is_an_error(headers: dict[str, str]) -> None:
    found = read_limit_headers(headers, NOW)
    pace = Pace(600.0)
    if found is not None and pace.wait(0.0) == 0:
        pace.refuse(0.0, 1.0, found, None)
        assert 0 < pace.wait(1.0) <= 600


# The simulator's limiter


def passed(limit: Limit, moments: list[float]) -> list[bool]:
    limiter = Limiter(limit)
    return [limiter.take(moment).is_allowed for moment in moments]


def test_a_window_allows_all_at_once_and_then_nothing() -> None:
    limit = limit_of(2, 10.0, "window")
    assert passed(limit, [5, 5, 5, 14.9, 15, 15, 15]) == [True, True, False, False, True, True, False]
    assert passed(limit_of(2, 10.0, "aligned window"), [5, 5, 9.9, 10, 10, 10]) == [
        True,
        True,
        False,
        True,
        True,
        False,
    ]


def test_a_bucket_fills_steadily_up_to_its_burst() -> None:
    limit = limit_of(10, 10.0, "bucket", burst=2)
    assert passed(limit, [0, 0, 0, 1, 1, 9, 9, 9]) == [True, True, False, True, False, True, True, False]


def test_a_limiter_changes_its_limit_and_serves_others() -> None:
    assert sum(passed(limit_of(4, 1.0, "window", changes=((10.0, 2),)), [n / 10 for n in range(200)])) == 60
    for kind in get_args(Kind):
        shared = limit_of(10, 1.0, kind, others_share=0.5)
        assert 90 <= sum(passed(shared, [n / 10 for n in range(200)])) <= 140


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        ({"requests": 0}, "needs at least"),
        ({"requests": 1, "seconds": 0}, "needs at least"),
        ({"requests": 1, "others_share": 1.0}, "needs at least"),
        ({"requests": 1, "kind": "heap"}, "must be one of window, bucket"),
    ],
)
def test_what_no_limit_can_be_is_refused(wrong: dict[str, Any], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        Limit(**wrong)
