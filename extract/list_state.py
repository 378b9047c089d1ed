"""What the pages read so far say about a list: whether it has ended, and what its end proves."""

from __future__ import annotations

from dataclasses import dataclass, field

import msgspec

from core.api.pages import Page
from core.errors import IncompleteError

# Pages in a row without a new row after which a list is held to have no end.
_MOST_PAGES_WITHOUT_NEWS = 100

_NO_WAY = "the API says that there is more, and gives no way to it"


class _Identified(msgspec.Struct):
    """A row, as far as it is needed to distinguish it from others."""

    id: msgspec.Raw = msgspec.Raw(b"")


_decode_ids = msgspec.json.Decoder(_Identified).decode


@dataclass(slots=True)
class ListState:
    """The state of one reading of a list. `take` each page in order, until `is_at_end`."""

    page_size: int
    """The page size that the server uses, as far as known."""
    requests: int = 0
    """How many answers came, also those that hold no page of the list."""
    pages: int = 0
    rows: int = 0
    """How many rows were listed, repeats included."""
    total: int | None = None
    """The API's own total, by the last answer that gave one."""
    identities: set[int] = field(default_factory=set)
    """The rows listed, by their ids, if no total says how many there are. Not by their contents: those of a running
    session change with each answer."""
    is_at_end: bool = False
    _totals: set[int] = field(default_factory=set)
    _cursors: set[str] = field(default_factory=set)
    _page_hashes: set[int] = field(default_factory=set)
    _most_rows_in_page: int = 0
    _pages_without_news: int = 0
    _last_page_said_more: bool = False
    _is_over: bool = False
    """Whether all rows that the API promised are here. The next answer is only requested to make sure."""
    _is_said_over: bool = False
    """Whether the API said so outright, not by a total."""
    _identities_past_total: set[int] = field(default_factory=set)
    """The rows that came after as many as the total says."""

    @property
    def is_total_steady(self) -> bool:
        """Whether every answer gave the same total."""
        return len(self._totals) <= 1

    @property
    def needs_second_pass(self) -> bool:
        """Whether a row may have moved past this reading unseen: rows from more than one answer, without a total.

        A cursor may be a position in the list rather than a row. When an earlier row vanishes, the next one is skipped.
        """
        return self.total is None and self.pages > 1 and self.rows > 0

    def take(self, page: Page) -> bool:
        """Take note of a page, and decide whether it was the last. Returns whether it belongs to the list.

        Raises `IncompleteError` if there is no end, or if the API contradicts itself.
        """
        self.requests += 1
        envelope = page.envelope
        page_hash = hash(page.text)
        is_new = page.count > 0 and page_hash not in self._page_hashes
        if self._is_over and not is_new:
            # Nothing follows, as promised. Such an answer no longer speaks for the list: some give a total of 0.
            if envelope.has_more or envelope.cursor is not None:
                raise IncompleteError(_NO_WAY)
            self.is_at_end = True
            return False
        self._page_hashes.add(page_hash)
        self.pages += 1
        self.rows += page.count
        if envelope.total is not None:
            self.total = envelope.total
            self._totals.add(envelope.total)
        self._pages_without_news = 0 if is_new else self._pages_without_news + 1
        if self._pages_without_news > _MOST_PAGES_WITHOUT_NEWS:
            raise IncompleteError(
                f"the API gave {self._pages_without_news} pages in a row without a new row, and yet another cursor"
            )
        if self._is_over:
            self._doubt_end(page)
        has_news = is_new
        if self.total is None:
            news = identities_of(page) - self.identities
            self.identities |= news
            has_news = bool(news)
        self.is_at_end = self._ends_with(page, has_news=has_news)
        self._most_rows_in_page = max(self._most_rows_in_page, page.count)
        return True

    def _doubt_end(self, page: Page) -> None:
        """Raise `IncompleteError` if rows that came after the promised end contradict that end."""
        if self._is_said_over:
            raise IncompleteError("the API says that its list has ended, and lists more")
        self._identities_past_total |= identities_of(page)
        if self.total is not None and len(self._identities_past_total) > self.total:
            raise IncompleteError(f"the API says {self.total} rows, and lists more")

    def _ends_with(self, page: Page, *, has_news: bool) -> bool:
        """Whether a page is the last one, by its cursor if the list has cursors, else by the numbers."""
        cursor, has_more = page.envelope.cursor, page.envelope.has_more
        if cursor is not None and has_more is False and not page.count:
            return True  # some servers give the last row as a cursor up to the very end
        if cursor is not None:
            if cursor in self._cursors:
                raise IncompleteError("the API gave the same cursor twice, so its list has no end")
            self._cursors.add(cursor)
            return False
        if self._cursors:
            if has_more:
                raise IncompleteError(_NO_WAY)
            return True
        return self._ends_by_number_with(page, has_news=has_news)

    def _ends_by_number_with(self, page: Page, *, has_news: bool) -> bool:
        """Whether a page without a cursor is the last one of a list that is paged by numbers.

        What an answer says outright counts more than a total, which may have stopped counting. A full page is never
        taken for the last one: another request has to come back empty.
        """
        envelope = page.envelope
        said_more, self._last_page_said_more = self._last_page_said_more, False
        if envelope.has_more or (envelope.total_pages or 0) > self.requests:
            if not has_news:
                raise IncompleteError(_NO_WAY)
            self._last_page_said_more = True
            return False
        if not has_news:
            if page.is_missing and said_more:
                raise IncompleteError(_NO_WAY)
            return True
        says_end = envelope.has_more is False or envelope.total_pages is not None
        if self.total is None:
            says_end = says_end or envelope.has_cursor
        self._is_said_over = says_end
        self._is_over = says_end or (self.total is not None and self.rows >= self.total)
        return self._is_over and not self._is_full(page)

    def _is_full(self, page: Page) -> bool:
        """Whether a page holds as many rows as a page can, by the size that the API names or by an earlier page."""
        size = page.envelope.page_size or self.page_size
        return page.count >= (min(size, self._most_rows_in_page) if self._most_rows_in_page else size)


def identities_of(page: Page) -> set[int]:
    """A page's rows, by their ids or else by their texts."""
    found = set()
    for row in page.rows:
        try:
            raw_id = bytes(_decode_ids(row).id)
        except (msgspec.MsgspecError, RecursionError):
            raw_id = b""
        found.add(hash(raw_id) if raw_id else hash(row))
    return found
