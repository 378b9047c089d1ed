"""Reading a list to its end, whatever its paging, and what the end proves.

One pass over a list yields its pages in order and ends with a `Pass`. Whether the pass is complete can be decided only
when its distinct ids are known, which is the warehouse's to count: see `run`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime

import msgspec

from extract.client import Answer, Client
from extract.clock import utc_now
from extract.errors import IncompleteError
from extract.pages import Page, read_page

# Pages in a row that bring nothing new before a list is held to go round in circles.
_MOST_FRUITLESS = 100
# Pages fetched ahead on the word of a total, which may be wrong; beyond, one follows the other.
_MOST_AHEAD = 1_000_000

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
    pages: int = 0
    total: int | None = None
    totals: set[int] = field(default_factory=set)
    cursors: set[str] = field(default_factory=set)
    seen_pages: set[int] = field(default_factory=set)
    seen_ids: set[int] = field(default_factory=set)
    fruitless: int = 0
    is_at_end: bool = False

    def take(self, page: Page) -> None:
        """Take note of a page, and decide whether it was the last. Raises `IncompleteError` where there is no end."""
        self.pages += 1
        self.listed += page.count
        if page.total is not None:
            self.total = page.total
            self.totals.add(page.total)
        identity = hash(page.text)
        is_new = page.count > 0 and identity not in self.seen_pages
        self.seen_pages.add(identity)
        self.fruitless = 0 if is_new else self.fruitless + 1
        if self.fruitless > _MOST_FRUITLESS:
            raise IncompleteError(
                f"the API gave {self.fruitless} pages in a row without a new row, and yet another cursor"
            )
        if page.cursor is not None:
            if page.cursor in self.cursors:
                raise IncompleteError("the API gave the same cursor twice, so its list has no end")
            self.cursors.add(page.cursor)
        elif self.cursors:
            self.is_at_end = True
        elif self.total is not None:
            self.is_at_end = self.listed >= self.total or not is_new
        elif page.has_cursor:
            self.is_at_end = True
        if self.total is None:
            news = _identities(page) - self.seen_ids
            self.seen_ids |= news
            if page.cursor is None and not self.is_at_end:
                self.is_at_end = not news
        if self.is_at_end and self.total is None and page.says_more:
            raise IncompleteError("the API says that there is more, and gives no way to it")

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
        return client.get(path, {**params, **request}, _read)

    def numbered(number: int) -> dict[str, str]:
        return {"page": str(number), "page_size": str(reader.size)}

    started_at = utc_now()
    reader = _Reader(page_size)
    page = fetch(numbered(1))
    reader.take(page)
    emit(page)
    reader.size = _used_size(page, page_size)
    if page.cursor is None and reader.total is not None and not reader.is_at_end:
        last = min(-(-reader.total // reader.size), _MOST_AHEAD)
        pages = fetch_all(fetch, (numbered(number) for number in range(2, last + 1)), len(page.text))
        for page in pages:
            reader.take(page)
            emit(page)
            if reader.is_at_end or page.cursor is not None:
                break
    while not reader.is_at_end:
        if page.cursor is not None:
            page = fetch({"cursor": page.cursor, "limit": str(page_size)})
        else:
            page = fetch(numbered(reader.pages + 1))
        reader.take(page)
        emit(page)
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
    """Read a list's answer."""
    return read_page(answer.body)


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
