"""Reads a list from its first page to its last, whatever its paging."""

from __future__ import annotations

import contextlib
from collections.abc import Generator, Iterator, Mapping
from concurrent.futures import Executor
from dataclasses import dataclass, field
from datetime import datetime

from core.api.client import Client
from core.api.exchange import Answer
from core.api.pages import Page, read_page
from core.clock import utc_now
from core.errors import ApiError
from core.parallel import map_ahead
from extract.list_state import ListState

# A page behind the first one need not exist: the list may have ended, or shrunk.
_LATER_STATUSES = frozenset({200, 404})
# A total may be wrong: beyond so many pages, each is fetched only after the one before it.
_MOST_PAGES_AHEAD = 1_000_000
_MOST_CHARACTERS_AHEAD = 4 << 20


@dataclass
class ListPass:
    """One reading of a list. Iterate over it once for its pages, in order; then `state` says what it proves.

    Whether the list is complete can be decided only when its distinct ids are known, which the warehouse counts: see
    `lists`.
    """

    client: Client
    path: str
    params: Mapping[str, str]
    page_size: int
    """How many rows to ask for in a page."""
    pool: Executor
    """Fetches pages ahead if the lists that are read in parallel leave threads to spare."""
    parallel_lists: int = 1
    started_at: datetime = datetime.min
    """When the first request was sent, by this machine's clock, in UTC."""
    ended_at: datetime = datetime.min
    """When the last answer was read."""
    state: ListState = field(init=False)

    def __post_init__(self) -> None:
        """Start a reading of the requested list."""
        self.state = ListState(self.page_size)

    def __iter__(self) -> Iterator[Page]:
        """Yield the pages that belong to the list. Raises `IncompleteError` if it has no end, and `ApiError`."""
        self.started_at = utc_now()
        with contextlib.closing(self._fetch_pages()) as pages:
            for page in pages:
                if self.state.take(page):
                    yield page
                if self.state.is_at_end:
                    break
        self.ended_at = utc_now()

    def _fetch_pages(self) -> Generator[Page]:
        """Fetch page after page, until the caller, who keeps the state, stops asking for more."""
        page = first = self._fetch_number(1)
        yield page
        state = self.state
        state.page_size = _used_page_size(first, self.page_size)
        if first.envelope.cursor is None and state.total is not None:
            last = min(-(-state.total // state.page_size), _MOST_PAGES_AHEAD)
            for page in self._fetch_ahead(range(2, last + 1), len(first.text)):
                yield page
                if page.envelope.cursor is not None:
                    break
        while True:
            cursor = page.envelope.cursor
            page = self._fetch_number(state.requests + 1) if cursor is None else self._fetch_cursor(cursor)
            yield page

    def _fetch_ahead(self, numbers: range, characters: int) -> Iterator[Page]:
        """Fetch pages of so many characters in order, a few of them ahead if there are threads to spare."""
        threads = self.client.useful_threads // self.parallel_lists
        most_ahead = min(threads, _MOST_CHARACTERS_AHEAD // max(1, characters))
        if most_ahead < 2:
            return map(self._fetch_number, numbers)
        return map_ahead(self.pool, self._fetch_number, numbers, most_ahead)

    def _fetch_number(self, number: int) -> Page:
        params = {**self.params, "page": str(number), "page_size": str(self.state.page_size)}
        if number == 1:
            return self.client.get(self.path, params, lambda answer: read_page(answer.body))
        return self.client.get(self.path, params, _read_later_page, accepted=_LATER_STATUSES)

    def _fetch_cursor(self, cursor: str) -> Page:
        params = {**self.params, "cursor": cursor, "limit": str(self.page_size)}
        return self.client.get(self.path, params, _read_later_page)


def _read_later_page(answer: Answer) -> Page:
    """Read an answer behind the first one. A page that the API says it does not have holds no row."""
    if answer.status == 404:
        if answer.is_web_page:
            raise ApiError("status 404 with a web page, although this list has begun to be read: run again later")
        return Page("", 0, is_missing=True)
    return read_page(answer.body, is_first=False)


def _used_page_size(first: Page, requested: int) -> int:
    """The page size to go on with: what the server used for the first page, if that is less than requested."""
    used = max(first.envelope.page_size or 0, first.count)
    return used if 0 < used < requested else requested
