"""What the envelope around a list's rows says about the list: totals, cursors, and whether there is more."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from core.errors import ApiError

_PLACES = ("page", "meta", "pagination", "links")
_SIZES = ("page_size", "per_page", "limit")
_FLAGS = ("has_more", "has_next")
_NEXT = ("next", "next_page")
FIELDS = frozenset({"next_cursor", "total", "total_pages", *_FLAGS, *_NEXT, *_SIZES, *_PLACES})
"""The members of an answer that may say something about its list."""


@dataclass(frozen=True, slots=True)
class Envelope:
    """What one answer says about the list that its rows belong to."""

    total: int | None = None
    """How many rows the API says the list has."""
    page_size: int | None = None
    """The page size the API says it used."""
    cursor: str | None = None
    """Where to go on."""
    has_cursor: bool = False
    """Whether the answer has a place for a cursor, so that an empty one means the end."""
    has_more: bool | None = None
    """Whether the answer says outright that more rows follow (`has_more`, `next`, `next_page`); None if it does not."""
    total_pages: int | None = None
    """How many pages the API says the list has."""

    def says_empty(self, *, is_first: bool = True) -> bool:
        """Whether a list that is null in this envelope has no row.

        Null may also be a list that could not be made. So a list's first answer has to say that the list is empty. In
        a later one any word about the list is enough, because all answers together decide what is proven.
        """
        if self.cursor is not None or self.has_more:
            return False
        says_end = self.has_cursor or self.has_more is False or self.total_pages == 0
        if self.total is None:
            return says_end or (not is_first and self.total_pages is not None)
        return self.total == 0 or not is_first


def read_envelope(places: Sequence[dict[str, Any]]) -> Envelope:
    """Read an envelope from the objects that `envelope_places` found. Raises `ApiError` for an unusable cursor."""
    cursors = [_cursor(place["next_cursor"]) for place in places if "next_cursor" in place]
    totals = (count(place.get("total")) for place in reversed(places))
    sizes = (count(place.get(key)) for place in reversed(places) for key in _SIZES)
    page_counts = (count(place.get("total_pages")) for place in reversed(places))
    more = [place[key] for place in places for key in _FLAGS if isinstance(place.get(key), bool)]
    more += [bool(place[key]) for place in places for key in _NEXT if key in place]
    return Envelope(
        total=next((total for total in totals if total is not None), None),
        page_size=next((size for size in sizes if size), None),
        cursor=next((cursor for cursor in cursors if cursor is not None), None),
        has_cursor=bool(cursors),
        has_more=any(more) if more else None,
        total_pages=next((number for number in page_counts if number is not None), None),
    )


def envelope_places(value: dict[str, Any]) -> list[dict[str, Any]]:
    """The objects in which an answer may say something about its list."""
    return [value, *(value[key] for key in _PLACES if isinstance(value.get(key), dict))]


def count(value: Any) -> int | None:
    """A number of rows, pages or the like; None for anything else."""
    if isinstance(value, str) and value.isascii() and value.isdigit():
        value = int(value[:18])
    return value if isinstance(value, int) and not isinstance(value, bool) and value >= 0 else None


def _cursor(value: Any) -> str | None:
    """A cursor as it is sent back; None for the end. Raises `ApiError` for a value that cannot be sent back."""
    if value is None or value is False or value == "":
        return None
    if isinstance(value, str | int) and value is not True:
        return str(value)
    raise ApiError("the answer's next_cursor is neither a text nor a whole number")
