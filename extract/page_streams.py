"""Reads several lists side by side, each in a thread, while one thread, the caller's, takes their pages."""

from __future__ import annotations

import queue
import threading
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Generic, TypeVar

from core.api.pages import Page

Source = TypeVar("Source")

_MOST_CHARACTERS_WAITING = 32 << 20
"""Bounds what was read and not yet taken: enough to go on reading while the caller lands a batch."""


@dataclass(frozen=True, slots=True)
class Arrival(Generic[Source]):
    """A page of a list, or (without a page) the end of the list, or the error that ended it early."""

    source: Source
    page: Page | None = None
    error: Exception | None = None


class PageStreams(Generic[Source]):
    """The pages of several lists, in the order in which they come. Iterate over it within its `with` block.

    Leaving the block stops the threads: each ends with the request that it has under way.
    """

    def __init__(self, threads: int) -> None:
        """Prepare; `add` starts the threads, at most so many."""
        self._pool = ThreadPoolExecutor(threads, "lists")
        self._arrivals: queue.SimpleQueue[Arrival[Source]] = queue.SimpleQueue()
        self._room = threading.Condition()
        self._characters_waiting = 0
        self._is_closed = False
        self._unfinished = 0

    def __enter__(self) -> PageStreams[Source]:
        """Read until the block ends."""
        return self

    def __exit__(self, *_: object) -> None:
        """Stop reading, without waiting for answers that may never come."""
        with self._room:
            self._is_closed = True
            self._room.notify_all()
        self._pool.shutdown(wait=False, cancel_futures=True)

    @property
    def is_exhausted(self) -> bool:
        """Whether every list has ended."""
        return not self._unfinished

    def add(self, source: Source, pages: Iterable[Page]) -> None:
        """Read a list's pages in a thread, as soon as one is free. `source` identifies the list."""
        self._unfinished += 1
        self._pool.submit(self._read, source, pages)

    def __iter__(self) -> Iterator[Arrival[Source]]:
        """Yield arrivals, until every list has ended, also those added meanwhile."""
        while self._unfinished:
            arrival = self._arrivals.get()
            if arrival.page is None:
                self._unfinished -= 1
            else:
                with self._room:
                    self._characters_waiting -= len(arrival.page.text)
                    self._room.notify_all()
            yield arrival

    def _read(self, source: Source, pages: Iterable[Page]) -> None:
        """Pass on the pages of one list (in a thread). A page waits until there is room."""
        try:
            for page in pages:
                with self._room:
                    self._room.wait_for(lambda: self._characters_waiting <= _MOST_CHARACTERS_WAITING or self._is_closed)
                    if self._is_closed:
                        return
                    self._characters_waiting += len(page.text)
                self._arrivals.put(Arrival(source, page))
        except Exception as error:
            self._arrivals.put(Arrival(source, error=error))
        else:
            self._arrivals.put(Arrival(source))
