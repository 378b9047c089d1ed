"""Reading a list to its end, whatever its paging, and what the end proves.

One pass over a list yields its pages in order and ends with a `Pass`. Whether the pass is complete can be decided only
when its distinct ids are known, which is the warehouse's to count: see `run`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime

import msgspec

from extract.client import Answer, Client
from extract.clock import utc_now
from extract.errors import Incomplete
from extract.pages import Page, read_page

# Pages in a row that bring nothing new before a list is held to go round in circles.
_MOST_FRUITLESS = 100


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
    total: int | None
    """The API's own total, as the last answer that gave one said."""
    is_steady: bool
    """Whether every answer gave the same total."""
    content: int | None = None
    """A digest of the rows, in any order, where only a second pass can prove that none moved between pages."""


def read_list(
    client: Client, path: str, params: Mapping[str, str], page_size: int, emit: Callable[[Page], None]
) -> Pass:
    """Read one pass over a list, giving each page to `emit`. Raises `Incomplete` where the list has no end."""
    started_at = utc_now()
    asked = dict(params)
    size, number, listed, count = page_size, 1, 0, 0
    totals: set[int] = set()
    total: int | None = None
    cursors: set[str] = set()
    seen_pages: set[int] = set()
    seen_ids: set[int] = set()
    content: set[int] = set()
    fruitless = 0
    request = {**asked, "page": "1", "page_size": str(size)}
    while True:
        page = client.get(path, request, _read)
        count += 1
        listed += page.count
        if page.total is not None:
            total = page.total
            totals.add(total)
        identity = hash(page.text)
        is_new = page.count > 0 and identity not in seen_pages
        seen_pages.add(identity)
        emit(page)
        if number == 1 and not cursors:
            size = _used_size(page, size)
        if page.cursor is not None:
            if page.cursor in cursors:
                raise Incomplete("the API gave the same cursor twice, so its list has no end")
            cursors.add(page.cursor)
            request = {**asked, "cursor": page.cursor, "limit": str(size)}
        elif cursors or (page.has_cursor and (total is None or listed >= total)):
            break
        else:
            if total is not None:
                if not is_new or listed >= total:
                    break
            else:
                news = _identities(page) - seen_ids
                if not news:
                    break
                seen_ids |= news
                content.update(map(hash, page.rows))
            number += 1
            request = {**asked, "page": str(number), "page_size": str(size)}
        fruitless = 0 if is_new else fruitless + 1
        if fruitless > _MOST_FRUITLESS:
            raise Incomplete(f"the API gave {fruitless} pages in a row without a new row, and yet another cursor")
    paged_blindly = total is None and not cursors and number > 2
    return Pass(
        started_at=started_at,
        ended_at=utc_now(),
        pages=count,
        total=total,
        is_steady=len(totals) <= 1,
        content=hash(frozenset(content)) if paged_blindly else None,
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
