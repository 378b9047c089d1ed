"""JSON texts: whether two have the same content, and how one is stored. Every number keeps the text it was.

Used only for the few rows that a set-based comparison cannot decide: everything here is one row at a time.
"""

from __future__ import annotations

import hashlib
import json
import re
from typing import Any

_SURROGATE = re.compile("[\ud800-\udfff]")


class Number(str):
    """A JSON number as the text it was; never equal to a string of the same characters."""

    __slots__ = ()

    def __eq__(self, other: object) -> bool:
        """Equal to a number of the same text only."""
        return isinstance(other, Number) and str.__eq__(self, other)

    def __ne__(self, other: object) -> bool:
        """Not equal to anything but a number of the same text."""
        return not self == other

    __hash__ = str.__hash__


def spell_surrogates(text: str) -> str:
    """Text as UTF-8 can hold it: a lone surrogate becomes the six characters of its escape."""
    return _SURROGATE.sub(lambda match: f"\\u{ord(match[0]):04x}", text)


def parse(text: str) -> Any:
    """Parse JSON: of repeated keys the last wins, numbers (NaN and Infinity too) become `Number`."""
    return json.loads(text, parse_float=Number, parse_int=Number, parse_constant=Number)


def is_same(left: str, right: str) -> bool:
    """Whether two JSON texts have the same content: keys in any order, strings decoded, numbers by their text."""
    try:
        return bool(parse(left) == parse(right))
    except (ValueError, RecursionError):
        return left == right


def dump(value: Any, *, sort_keys: bool = False) -> str:
    """Write a value from `parse` as JSON that every reader accepts.

    Numbers keep their text. A lone surrogate, which UTF-8 cannot hold, becomes the six characters of its escape.
    """
    if isinstance(value, Number):
        return str(value)
    if isinstance(value, str):
        return json.dumps(spell_surrogates(value), ensure_ascii=False)
    if isinstance(value, dict):
        items = sorted(value.items()) if sort_keys else value.items()
        return "{" + ",".join(f"{dump(key)}:{dump(item, sort_keys=sort_keys)}" for key, item in items) + "}"
    if isinstance(value, list):
        return "[" + ",".join(dump(item, sort_keys=sort_keys) for item in value) + "]"
    return json.dumps(value)


def normalize(text: str) -> str:
    """The same JSON without repeated keys (the last wins) and lone surrogates. Text that is not JSON stays as it is."""
    try:
        return dump(parse(text))
    except (ValueError, RecursionError):
        return text


def digest(text: str) -> str:
    """A digest of the content of a JSON text: the same however its keys are ordered or its strings spelt."""
    try:
        content = dump(parse(text), sort_keys=True)
    except (ValueError, RecursionError):
        content = text
    return hashlib.md5(content.encode(), usedforsecurity=False).hexdigest()


def storable(text: str) -> tuple[str, str | None]:
    """A JSON text as UTF-8 can hold it, and its normalized text if DuckDB could not read it otherwise."""
    stored = spell_surrogates(text)
    if "\\u" not in stored:
        return stored, None
    # Only a text with a lone surrogate has to be normalized here; repeated keys are found in the warehouse.
    return stored, normalize(stored) if _has_lone_surrogate(stored) else None


def _has_lone_surrogate(text: str) -> bool:
    """Whether any string in a JSON text holds half of a pair."""
    decoded = json.dumps(json.loads(text, parse_int=str, parse_float=str), ensure_ascii=False)
    return _SURROGATE.search(decoded) is not None
