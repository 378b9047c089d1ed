"""Work in threads whose results the caller takes in order."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Executor, Future
from typing import TypeVar

Item = TypeVar("Item")
Result = TypeVar("Result")


def map_ahead(
    pool: Executor, work: Callable[[Item], Result], items: Iterable[Item], most_ahead: int
) -> Iterator[Result]:
    """Yield `work(item)` for each item, in order, while at most `most_ahead` later items are under way or done.

    Items are taken from `items` only when they are started. An error of `work` is raised in the place of its result.
    """
    started: deque[Future[Result]] = deque()
    try:
        for item in items:
            started.append(pool.submit(work, item))
            if len(started) > most_ahead:
                yield started.popleft().result()
        while started:
            yield started.popleft().result()
    finally:
        for future in started:
            future.cancel()
