"""Reading a list to its end, whatever its paging, and what the end proves.

One pass over a list yields its pages in order and ends with a `Pass`. Whether the pass is complete can be decided only
when its distinct ids are known, which is the warehouse's to count: see `run`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime

import msgspec

from core.answers import Page, is_html, read_page
from core.client import Answer, Client
from core.clock import utc_now
from core.errors import ApiError, IncompleteError

# Pages in a row that bring nothing new before a list is held to go round in circles.
_MOST_FRUITLESS = 100
# Pages fetched ahead on the word of a total, which may be wrong; beyond, one follows the other.
_MOST_AHEAD = 1_000_000
# A page behind the first one need not exist: the list may have ended, or shrunk.
_LATER = frozenset({200, 404})

_NO_WAY = "the API says that there is more, and gives no way to it"

Request = dict[str, str]
FetchAll = Callable[[Callable[[Request], Page], Iterable[Request], int], Iterator[Page]]
"""Fetches requests in order, perhaps ahead; the last argument is how large an answer is, in characters."""


class _Identified(msgspec.Struct):
    """A row, as far as telling it from others needs it."""

    id: msgspec.Raw = msgspec.Raw(b"")


_decode_ids = msgspec.json.Decoder(_Identified).decode


@dataclass(frozen=True, slots=True)
class Pass:
    """One reading of a list from its first page to its last."""

    started_at: datetime
    """When its first request was sent, by this machine's clock, in UTC."""
    ended_at: datetime
    """When its last answer was read."""
    pages: int
    rows: int
    """How many rows it listed, repeats included."""
    total: int | None
    """The API's own total, as the last answer that gave one said."""
    is_steady: bool
    """Whether every answer gave the same total."""
    is_blind: bool
    """Whether only a second pass can prove that no row moved between pages."""
    identities: frozenset[int]
    """Which rows it listed, where no total tells how many there are. Not what they said: a session that runs says
    something else each time."""


@dataclass(slots=True)
class _Reader:
    """The state of a pass: what came so far, and whether more has to come."""

    size: int
    listed: int = 0
    asked: int = 0
    pages: int = 0
    total: int | None = None
    totals: set[int] = field(default_factory=set)
    cursors: set[str] = field(default_factory=set)
    seen_pages: set[int] = field(default_factory=set)
    seen_ids: set[int] = field(default_factory=set)
    fullest: int = 0
    fruitless: int = 0
    last_said_more: bool = False
    is_over: bool = False
    """Whether all that the API promised is here. The next answer is asked for only to make sure."""
    is_said_over: bool = False
    """Whether the API said so outright, not by a total."""
    beyond: set[int] = field(default_factory=set)
    """Which rows came after as many as the total says."""
    is_at_end: bool = False

    def take(self, page: Page) -> bool:
        """Take note of a page, and decide whether it was the last. Returns whether it belongs to the list.

        Raises `IncompleteError` where there is no end, or where the API contradicts itself.
        """
        self.asked += 1
        identity = hash(page.text)
        is_new = page.count > 0 and identity not in self.seen_pages
        if self.is_over and not is_new:
            # Nothing follows, as promised. What such an answer says of the list counts no more: some say a total of 0.
            if page.has_more or page.cursor is not None:
                raise IncompleteError(_NO_WAY)
            self.is_at_end = True
            return False
        self.seen_pages.add(identity)
        self.pages += 1
        self.listed += page.count
        if page.total is not None:
            self.total = page.total
            self.totals.add(page.total)
        self.fruitless = 0 if is_new else self.fruitless + 1
        if self.fruitless > _MOST_FRUITLESS:
            raise IncompleteError(
                f"the API gave {self.fruitless} pages in a row without a new row, and yet another cursor"
            )
        if self.is_over:
            self._doubt_end(page)
        has_news = is_new
        if self.total is None:
            news = _identities(page) - self.seen_ids
            self.seen_ids |= news
            has_news = bool(news)
        if page.cursor is not None and page.has_more is False and not page.count:
            self.is_at_end = True  # some name the last row as a cursor to the very end
        elif page.cursor is not None:
            if page.cursor in self.cursors:
                raise IncompleteError("the API gave the same cursor twice, so its list has no end")
            self.cursors.add(page.cursor)
        elif self.cursors:
            if page.has_more:
                raise IncompleteError(_NO_WAY)
            self.is_at_end = True
        else:
            self.is_at_end = self._is_last(page, has_news=has_news)
        self.fullest = max(self.fullest, page.count)
        return True

    def _doubt_end(self, page: Page) -> None:
        """Raise `IncompleteError` where rows that came after the promised end show that there is none."""
        if self.is_said_over:
            raise IncompleteError("the API says that its list has ended, and lists more")
        self.beyond |= _identities(page)
        if self.total is not None and len(self.beyond) > self.total:
            raise IncompleteError(f"the API says {self.total} rows, and lists more")

    def _is_last(self, page: Page, *, has_news: bool) -> bool:
        """Whether a page without a cursor was the last one of a list by numbers.

        What an answer says outright counts more than a total, which may have stopped counting. A full page is never
        taken for the last one: another request has to come back empty.
        """
        said_more, self.last_said_more = self.last_said_more, False
        if page.has_more or (page.total_pages or 0) > self.asked:
            if not has_news:
                raise IncompleteError(_NO_WAY)
            self.last_said_more = True
            return False
        if not has_news:
            if page.is_missing and said_more:
                raise IncompleteError(_NO_WAY)
            return True
        says_end = page.has_more is False or page.total_pages is not None
        if self.total is None:
            says_end = says_end or page.has_cursor
        self.is_said_over = says_end
        self.is_over = says_end or (self.total is not None and self.listed >= self.total)
        return self.is_over and not self._is_full(page)

    def _is_full(self, page: Page) -> bool:
        """Whether a page holds as many rows as a page can, by the size that the API names or by an earlier page."""
        size = page.page_size or self.size
        return page.count >= (min(size, self.fullest) if self.fullest else size)

    @property
    def is_blind(self) -> bool:
        """Whether a row may have moved past this pass unseen: rows, from more than one answer, and no total to hold.

        A cursor may be a place in a list as well as a row: where a row vanishes before it, the next one is skipped.
        """
        return self.total is None and self.pages > 1 and self.listed > 0


def read_list(
    client: Client,
    path: str,
    params: Mapping[str, str],
    page_size: int,
    emit: Callable[[Page], None],
    fetch_all: FetchAll,
) -> Pass:
    """Read one pass over a list, giving each page to `emit`. Raises `IncompleteError` where the list has no end.

    Where the first page tells how many there are, `fetch_all` may fetch the others ahead.
    """

    def fetch(request: dict[str, str]) -> Page:
        asked = {**params, **request}
        if "cursor" in request:
            return client.get(path, asked, _read_later)
        if request["page"] == "1":
            return client.get(path, asked, _read)
        return client.get(path, asked, _read_later, accept=_LATER)

    def take(page: Page) -> None:
        if reader.take(page):
            emit(page)

    def numbered(number: int) -> dict[str, str]:
        return {"page": str(number), "page_size": str(reader.size)}

    started_at = utc_now()
    reader = _Reader(page_size)
    page = fetch(numbered(1))
    take(page)
    reader.size = _used_size(page, page_size)
    if page.cursor is None and reader.total is not None and not reader.is_at_end:
        last = min(-(-reader.total // reader.size), _MOST_AHEAD)
        pages = fetch_all(fetch, (numbered(number) for number in range(2, last + 1)), len(page.text))
        for page in pages:
            take(page)
            if reader.is_at_end or page.cursor is not None:
                break
    while not reader.is_at_end:
        if page.cursor is not None:
            page = fetch({"cursor": page.cursor, "limit": str(page_size)})
        else:
            page = fetch(numbered(reader.asked + 1))
        take(page)
    return Pass(
        started_at=started_at,
        ended_at=utc_now(),
        pages=reader.pages,
        rows=reader.listed,
        total=reader.total,
        is_steady=len(reader.totals) <= 1,
        is_blind=reader.is_blind,
        identities=frozenset(reader.seen_ids),
    )


def _read(answer: Answer) -> Page:
    """Read a list's first answer."""
    return read_page(answer.body)


def _read_later(answer: Answer) -> Page:
    """Read an answer behind the first one. A page that the API says it does not have holds no row."""
    if answer.status == 404:
        if is_html(answer.body, answer.headers.get("content-type", "")):
            raise ApiError("status 404 with a web page, although this list has begun to be read: run again later")
        return Page("", 0, is_missing=True)
    return read_page(answer.body, is_first=False)


def _used_size(first: Page, asked: int) -> int:
    """The page size to go on with: what the server used on the first page, where that is less than was asked."""
    used = max(first.page_size or 0, first.count)
    return used if 0 < used < asked else asked


def _identities(page: Page) -> set[int]:
    """What tells a page's rows from others: their ids, else their texts."""
    found = set()
    for row in page.rows:
        try:
            raw = bytes(_decode_ids(row).id)
        except (msgspec.MsgspecError, RecursionError):
            raw = b""
        found.add(hash(raw) if raw else hash(row))
    return found
