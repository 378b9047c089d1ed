"""What two JSON texts have in common besides their bytes, with every number kept as the text it was.

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


def parse(text: str) -> Any:
    """Parse JSON: of repeated keys the last wins, numbers (NaN and Infinity too) become `Number`."""
    return json.loads(text, parse_float=Number, parse_int=Number, parse_constant=Number)


def is_same(left: str, right: str) -> bool:
    """Tell whether two JSON texts say the same: keys in any order, strings decoded, numbers by their text."""
    try:
        return bool(parse(left) == parse(right))
    except (ValueError, RecursionError):
        return left == right


def dump(value: Any, *, sort_keys: bool = False) -> str:
    """Write what `parse` gave as JSON that every reader takes.

    Numbers come out as they were; a lone surrogate, which UTF-8 cannot hold, as the six characters of its escape.
    """
    if isinstance(value, Number):
        return str(value)
    if isinstance(value, str):
        return json.dumps(_SURROGATE.sub(lambda match: f"\\u{ord(match[0]):04x}", value), ensure_ascii=False)
    if isinstance(value, dict):
        items = sorted(value.items()) if sort_keys else value.items()
        return "{" + ",".join(f"{dump(key)}:{dump(item, sort_keys=sort_keys)}" for key, item in items) + "}"
    if isinstance(value, list):
        return "[" + ",".join(dump(item, sort_keys=sort_keys) for item in value) + "]"
    return json.dumps(value)


def normalize(text: str) -> str:
    """The same JSON without repeated keys (the last wins) and lone surrogates. Text that is no JSON stays as it is."""
    try:
        return dump(parse(text))
    except (ValueError, RecursionError):
        return text


def digest(text: str) -> str:
    """A digest of what a JSON text says: the same however its keys are ordered or its strings spelt."""
    try:
        said = dump(parse(text), sort_keys=True)
    except (ValueError, RecursionError):
        said = text
    return hashlib.md5(said.encode(), usedforsecurity=False).hexdigest()
