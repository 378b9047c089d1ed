"""Lists that page by `limit` and `offset` alone: the style that takes no notice of `page`, `page_size` and cursors."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Slice:
    """Which rows a request asks for."""

    limit: int
    offset: int

    def following(self) -> int:
        """Where the next slice begins."""
        return self.offset + self.limit

    def next_link(self, path: str) -> str:
        """The address of the next slice."""
        return f"{path}?limit={self.limit}&offset={self.following()}"

    def envelope(self, total: int, *, has_size: bool, has_total: bool) -> dict[str, object]:
        """What stands beside the rows."""
        around: dict[str, object] = {"limit": self.limit, "offset": self.offset} if has_size else {}
        return {**around, "total": total} if has_total else around


def slice_of(query: Mapping[str, str], default: int, most: int) -> Slice:
    """The slice that a query asks for. Raises `ValueError` for one that is no whole number, or a limit of zero."""
    limit, offset = query.get("limit", str(default)), query.get("offset", "0")
    for name, text in (("limit", limit), ("offset", offset)):
        if re.fullmatch(r"[0-9]{1,9}", text) is None or (name == "limit" and int(text) < 1):
            raise ValueError(f"{name} must be a whole number of at least {int(name == 'limit')}")
    return Slice(min(int(limit), most), int(offset))
