"""Form-encoded parameters as Stripe's libraries send them: `lines[0][amount]=5` becomes nested values."""

from __future__ import annotations

import re
from typing import Any
from urllib.parse import parse_qsl

_PART = re.compile(r"\[([^\]]*)\]")


def read_form(text: str) -> dict[str, Any]:
    """The parameters of a body or a query. Lists are by number or by `[]`; an empty text stays one.

    >>> read_form("lines[0][amount]=5&lines[1][amount]=-2&created[gte]=7&expand[]=a")
    {'lines': [{'amount': '5'}, {'amount': '-2'}], 'created': {'gte': '7'}, 'expand': ['a']}
    """
    tree: dict[str, Any] = {}
    for name, value in parse_qsl(text, keep_blank_values=True):
        head, _, _ = name.partition("[")
        path = [head, *_PART.findall(name[len(head) :])]
        place = tree
        for part in path[:-1]:
            place = place.setdefault(part or str(len(place)), {})
        place[path[-1] or str(len(place))] = value
    return {name: _lists(value) for name, value in tree.items()}


def _lists(value: Any) -> Any:
    """Branches whose keys are numbers are lists."""
    if not isinstance(value, dict):
        return value
    if value and all(key.isdecimal() for key in value):
        return [_lists(value[key]) for key in sorted(value, key=int)]
    return {key: _lists(each) for key, each in value.items()}
