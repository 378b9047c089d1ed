"""What threads read while one thread writes: nothing is lost or reordered, memory is bounded, and closing ends them."""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from core.api.client import Client
from core.api.pages import Page
from core.errors import StoppedError
from core.parallel import map_ahead
from extract.page_streams import PageStreams
from test_extract_support import Response, scripted, settings_for

MEBI = 1 << 20


def wait_until_full(made: list[int]) -> int:
    """Wait until 32 pages were made, and a moment longer. Returns how many were made then."""
    deadline = time.monotonic() + 10
    while len(made) < 32 and time.monotonic() < deadline:
        time.sleep(0.01)
    time.sleep(0.3)
    return len(made)


def pages(number: int, size: int, made: list[int]) -> Iterator[Page]:
    for _ in range(number):
        made.append(1)
        yield Page(f"{len(made):08d}".ljust(size), 1)


def lists_under_way() -> list[str]:
    return [thread.name for thread in threading.enumerate() if thread.name.startswith("lists")]


def test_pages_of_several_lists_all_arrive_and_those_of_each_list_in_order() -> None:
    def numbered(name: str) -> Iterator[Page]:
        return (Page(f"{name}{number}", 1) for number in range(50))

    arrived: dict[str, list[str]] = {name: [] for name in "abcde"}
    ended = []
    with PageStreams[str](3) as streams:
        for name in "abcd":
            streams.add(name, numbered(name))
        for arrival in streams:
            if arrival.page is not None:
                arrived[arrival.source].append(arrival.page.text)
                continue
            ended.append(arrival.source)
            if arrival.source == "a":  # a list may be added while others are read, or after all have ended
                streams.add("e", numbered("e"))
        assert streams.is_exhausted
    assert sorted(ended) == list("abcde")
    assert all(texts == [f"{name}{number}" for number in range(50)] for name, texts in arrived.items())


def test_readers_wait_while_more_than_32_mib_of_pages_are_not_taken() -> None:
    made: list[int] = []
    with PageStreams[str](2) as streams:
        for name in "ab":
            streams.add(name, pages(60, MEBI, made))
        assert 32 <= wait_until_full(made) <= 36
        taken = sum(arrival.page is not None for arrival in streams)
    assert taken == len(made) == 120


def test_a_page_larger_than_the_bound_is_passed_on() -> None:
    with PageStreams[str](1) as streams:
        streams.add("a", pages(3, 40 * MEBI, []))
        assert [arrival.page is not None for arrival in streams] == [True, True, True, False]


def test_a_list_that_waits_for_its_server_does_not_hold_up_the_others() -> None:
    go_on = threading.Event()

    def waiting() -> Iterator[Page]:
        go_on.wait(10)
        yield Page("late", 1)

    with PageStreams[str](2) as streams:
        streams.add("slow", waiting())
        streams.add("fast", iter([Page("1", 1), Page("2", 1)]))
        sources = []
        for arrival in streams:
            sources.append(arrival.source)
            if sources == ["fast"] * 3:
                go_on.set()
    assert sources == ["fast", "fast", "fast", "slow", "slow"]


def test_an_error_ends_its_own_list_after_the_pages_before_it() -> None:
    def failing() -> Iterator[Page]:
        yield Page("1", 1)
        raise ValueError("no more")

    with PageStreams[str](1) as streams:
        streams.add("a", failing())
        streams.add("b", iter([Page("2", 1)]))
        seen = [(arrival.source, arrival.page and arrival.page.text, repr(arrival.error)) for arrival in streams]
    assert seen == [("a", "1", "None"), ("a", None, "ValueError('no more')"), ("b", "2", "None"), ("b", None, "None")]


def test_leaving_the_block_ends_readers_that_wait_for_room_and_lists_not_begun() -> None:
    made: list[int] = []
    with contextlib.suppress(KeyboardInterrupt), PageStreams[str](2) as streams:
        for name in "abcd":
            streams.add(name, pages(60, MEBI, made))
        before = wait_until_full(made)
        raise KeyboardInterrupt
    deadline = time.monotonic() + 5
    while lists_under_way() and time.monotonic() < deadline:
        time.sleep(0.01)
    assert not lists_under_way()
    assert len(made) <= before + 2


def test_results_come_in_order_with_a_bounded_number_begun_early() -> None:
    begun: list[int] = []
    taken: list[int] = []

    def work(number: int) -> int:
        begun.append(number)
        time.sleep(0.02 if number % 3 else 0.05)
        return number

    def items() -> Iterator[int]:
        for number in range(30):
            taken.append(number)
            yield number

    with ThreadPoolExecutor(4) as pool:
        for expected, result in enumerate(map_ahead(pool, work, items(), 5)):
            assert result == expected
            assert len(taken) <= expected + 7
    assert sorted(begun) == list(range(30))


def test_an_error_is_raised_in_its_place_and_nothing_behind_it_is_begun_any_more() -> None:
    begun: list[int] = []

    def work(number: int) -> int:
        begun.append(number)
        if number == 2:
            raise ValueError("2")
        time.sleep(0.05)
        return number

    with ThreadPoolExecutor(1) as pool:
        results = map_ahead(pool, work, range(100), 50)
        assert [next(results), next(results)] == [0, 1]
        with pytest.raises(ValueError, match="2"):
            next(results)
    assert len(begun) <= 4


def test_closing_the_client_ends_the_pauses_of_other_threads() -> None:
    """A thread that waits to try again would otherwise keep the process from ending."""
    errors: list[BaseException] = []
    with scripted("/summary", Response("", 503, {"retry-after": "60"})) as (url, script):
        client = Client(settings_for(url, Path("unused.duckdb")))

        def ask() -> None:
            try:
                client.get("/usage/summary", {}, lambda answer: answer.body)
            except StoppedError as error:
                errors.append(error)

        thread = threading.Thread(target=ask)
        with client:
            thread.start()
            while not script.asked:
                time.sleep(0.01)
        thread.join(5)
    assert not thread.is_alive()
    assert len(errors) == 1
