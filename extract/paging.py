"""Reads a list from its first page to its last, whatever its paging."""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Generator, Iterator, Mapping
from concurrent.futures import Executor
from dataclasses import dataclass, field
from datetime import datetime

from core.api.client import Client
from core.api.exchange import Answer
from core.api.pages import Page, read_page
from core.clock import utc_now
from core.errors import ApiError, IncompleteError
from core.parallel import map_ahead
from extract.list_state import ListState, identities_of

logger = logging.getLogger("miosa_billing")

# A page behind the first one need not exist: the list may have ended, or shrunk.
_LATER_STATUSES = frozenset({200, 404})
# A total may be wrong: beyond so many pages, each is fetched only after the one before it.
_MOST_PAGES_AHEAD = 1_000_000
_MOST_CHARACTERS_AHEAD = 4 << 20
# What a server answers that pages by numbers and refuses an offset.
_PROBE_STATUSES = frozenset({200, 400, 404, 422})


@dataclass(slots=True)
class PagingStyles:
    """What the lists read so far show of how the server pages. Any thread may use it: an entry is only ever added."""

    _by_offset: dict[str, bool] = field(default_factory=dict)

    def pages_by_offset(self, path: str) -> bool | None:
        """Whether a list pages by `limit` and `offset` alone; None as long as no list of this address has shown it."""
        return self._by_offset.get(path)

    def note(self, path: str, *, by_offset: bool) -> None:
        """Note how a list pages."""
        if by_offset and not self._by_offset.get(path):
            logger.info("%s pages by limit and offset, and takes no notice of page numbers", path)
        self._by_offset[path] = by_offset


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
    styles: PagingStyles = field(default_factory=PagingStyles)
    """Shared by the lists of a run."""
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
        if self.styles.pages_by_offset(self.path):
            first = self._fetch_offset(0)
            yield first
            yield from self._fetch_offsets(identities_of(first), first.count)
            return
        first = page = self._fetch_number(1)
        yield page
        self.state.page_size = _used_page_size(first, self.page_size)
        if first.envelope.cursor is None:
            first_rows = identities_of(first)
            for number, page in self._fetch_numbers(len(first.text)):
                if (found := self._find_offset_page(page, number, first_rows)) is not None:
                    offset, by_offset = found
                    yield by_offset
                    yield from self._fetch_offsets(first_rows, offset + by_offset.count)
                    return
                yield page
                if page.envelope.cursor is not None:
                    break
        while True:
            cursor = page.envelope.cursor
            page = self._fetch_number(self.state.requests + 1) if cursor is None else self._fetch_cursor(cursor)
            yield page

    def _fetch_numbers(self, characters: int) -> Iterator[tuple[int, Page]]:
        """Fetch the pages behind the first one by their numbers, some ahead as far as a total says that there are."""
        number, total = 2, self.state.total
        if self.styles.pages_by_offset(self.path) is None:  # the second page alone shows whether numbers count
            yield number, self._fetch_number(number)
            number += 1
        if total is not None:
            last = min(-(-total // self.state.page_size), _MOST_PAGES_AHEAD)
            yield from enumerate(self._fetch_ahead(range(number, last + 1), characters), number)
            number = max(number, last + 1)
        while True:
            yield number, self._fetch_number(number)
            number += 1

    def _find_offset_page(self, page: Page, number: int, first_rows: set[int]) -> tuple[int, Page] | None:
        """The page behind the rows listed so far, with its offset, if only that leads to it; None if numbers do.

        A server that takes no notice of page numbers answers with the rows of the first page again, but for those that
        changed meanwhile, and a page without news would pass for the end of the list. So the rows behind are asked for
        by their offset. A server that takes no notice of offsets either answers with the same rows once more.
        """
        # With a total, rows that are missing show in the end, and one page settles it.
        if self.state.total is not None and number > 2:
            return None
        if not _is_repetition(page, first_rows):
            if page.count and self.styles.pages_by_offset(self.path) is None:
                self.styles.note(self.path, by_offset=False)
            return None
        listed = self.state.identities or first_rows
        found = self._fetch_offset(len(listed), accepted=_PROBE_STATUSES)
        if not found.count or _is_repetition(found, listed):
            return None
        self.styles.note(self.path, by_offset=True)
        return len(listed), found

    def _fetch_offsets(self, first_rows: set[int], offset: int) -> Iterator[Page]:
        """Fetch the pages from an offset on.

        A short page does not end the list, because the server may allow fewer rows than were asked for: as with
        numbers, the total does, or a page without a new row. Raises `IncompleteError` if the first page comes again.
        """
        while True:
            page = self._fetch_offset(offset)
            if _is_repetition(page, first_rows):
                self.styles.note(self.path, by_offset=False)
                raise IncompleteError("the API gave the first page again instead of the one at an offset")
            yield page
            offset += page.count

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

    def _fetch_offset(self, offset: int, accepted: frozenset[int] = _LATER_STATUSES) -> Page:
        # With the first page's number: a server that pages by numbers shows by its answer that it ignores offsets.
        params = {"page": "1", "page_size": str(self.page_size), "limit": str(self.page_size), "offset": str(offset)}
        params = {**self.params, **params}
        if offset == 0:
            return self.client.get(self.path, params, lambda answer: read_page(answer.body))
        return self.client.get(self.path, params, _read_later_page, accepted=accepted)

    def _fetch_cursor(self, cursor: str) -> Page:
        params = {**self.params, "cursor": cursor, "limit": str(self.page_size)}
        return self.client.get(self.path, params, _read_later_page)


def _read_later_page(answer: Answer) -> Page:
    """Read an answer behind the first one. A page that the API says it does not have holds no row."""
    if answer.status != 200:
        if answer.status == 404 and answer.is_web_page:
            raise ApiError("status 404 with a web page, although this list has begun to be read: run again later")
        return Page("", 0, is_missing=True)
    return read_page(answer.body, is_first=False)


def _is_repetition(page: Page, listed: set[int]) -> bool:
    """Whether most rows of a page were listed before. Not all: rows may have arrived meanwhile."""
    rows = identities_of(page)
    return bool(rows) and 2 * len(rows & listed) > len(rows)


def _used_page_size(first: Page, requested: int) -> int:
    """The page size to go on with: what the server used for the first page, if that is less than requested."""
    used = max(first.envelope.page_size or 0, first.count)
    return used if 0 < used < requested else requested
