"""Cuts a list's answer into the texts of its rows, whatever the envelope, without reading a number.

The fast path is `msgspec`, which slices without building values. JSON that it refuses although Python's own servers
write it (`NaN`, lone surrogates) takes the slow path through the standard library, which gives the same slices.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import msgspec

from core.api.bodies import BOM, decode, parse, printable, refuse_error
from core.api.envelopes import FIELDS, Envelope, envelope_places, read_envelope
from core.canonical import storable
from core.errors import ApiError

SEPARATOR = "\x1e"
"""Stands between rows in `Page.text`. JSON may not hold it: inside strings it has to be escaped."""

_ROW_KEYS = ("data", "sessions", "items", "sandboxes", "transactions", "invoices")
_SPACE = re.compile(r"[ \t\n\r]*")
_decode_object = msgspec.json.Decoder(dict[str, msgspec.Raw]).decode
_decode_list = msgspec.json.Decoder(list[msgspec.Raw]).decode


@dataclass(frozen=True, slots=True)
class Page:
    """The rows of one answer, and its envelope."""

    text: str
    """The rows' JSON texts as they came, with `SEPARATOR` between them."""
    count: int
    envelope: Envelope = field(default_factory=Envelope)
    normalized: list[str | None] | None = None
    """For each row that UTF-8 cannot hold: the row normalized. None if no row is such."""
    is_missing: bool = False
    """Whether the API answered that there is no such page."""

    @property
    def rows(self) -> list[str]:
        """The rows' texts, one by one."""
        return self.text.split(SEPARATOR) if self.count else []


def read_page(body: bytes, *, is_first: bool = True) -> Page:
    """Cut an answer into rows. What null means depends on whether it is the list's first answer.

    Raises `TransientError` for a body that is cut short or not JSON, `ApiError` for one without a list of rows.
    """
    body = body.removeprefix(BOM)
    try:
        return _read_fast(body, is_first=is_first)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return _read_slowly(body, is_first=is_first)


def _read_fast(body: bytes, *, is_first: bool) -> Page:
    """Slice with msgspec. Raises its errors for JSON that it refuses."""
    if body.lstrip()[:1] == b"[":
        rows = _decode_list(body)
        return Page(b"\x1e".join(rows).decode(), len(rows))
    envelope: dict[str, msgspec.Raw] = _decode_object(body)
    found = _find_rows(envelope)
    if found is None:  # the slow path finds out why, or that there is no row
        return _read_slowly(body, is_first=is_first)
    raw_rows, inner = found
    rows = _decode_list(raw_rows)
    members = {key: msgspec.json.decode(raw) for key, raw in {**envelope, **inner}.items() if key in FIELDS}
    return Page(b"\x1e".join(rows).decode(), len(rows), read_envelope(envelope_places(members)))


def _find_rows(envelope: dict[str, msgspec.Raw]) -> tuple[msgspec.Raw, dict[str, msgspec.Raw]] | None:
    """The slice that is the list of rows, and the object around it unless that is the body itself; None for none."""
    refuse_error(envelope)
    for key in _ROW_KEYS:
        raw = envelope.get(key)
        if raw is None:
            continue
        head = bytes(raw)[:1]
        if head == b"[":
            return raw, {}
        if head == b"{" and key == "data":
            inner: dict[str, msgspec.Raw] = _decode_object(raw)
            found = _find_rows({k: v for k, v in inner.items() if k != "data" or bytes(v)[:1] == b"["})
            return found and (found[0], inner)
    return None


def _read_slowly(body: bytes, *, is_first: bool) -> Page:
    """Slice with the standard library: slower, and the same slices."""
    text = decode(body)
    value = parse(text)
    start: int | None
    if isinstance(value, list):
        start, envelope = 0, Envelope()
    elif isinstance(value, dict):
        start, envelope = _find_list(text, value, is_first=is_first)
    else:
        raise ApiError("the answer is neither a list nor an object with one")
    pairs = [] if start is None else [storable(text[first:end]) for _, first, end in _slice(text, start)]
    normalized = [fixed for _, fixed in pairs]
    return Page(SEPARATOR.join(row for row, _ in pairs), len(pairs), envelope, normalized if any(normalized) else None)


def _find_list(text: str, value: dict[str, Any], *, is_first: bool) -> tuple[int | None, Envelope]:
    """Where the list of rows begins (None: it is null, as Go writes an empty one), and its envelope."""
    refuse_error(value)
    start, holder, members = 0, value, value
    inner = value.get("data")
    if isinstance(inner, dict):
        refuse_error(inner)
        start, holder, members = _value_start(text, 0, "data"), inner, {**value, **inner}
    envelope = read_envelope(envelope_places(members))
    for key in _ROW_KEYS:
        if isinstance(holder.get(key), list):
            return _value_start(text, start, key), envelope
    is_null = any(key in holder and holder[key] is None for key in _ROW_KEYS)
    if is_null and envelope.says_empty(is_first=is_first):
        return None, envelope
    # The keys are the API's words: they help, and hold no secret.
    keys = ", ".join(sorted(str(key) for key in holder)[:8])
    raise ApiError("the answer has no list of rows", f" (it has: {printable(keys) or 'nothing'})")


def _value_start(text: str, start: int, name: str) -> int:
    """Where a member's value begins in the object at or after `start`; the last of repeated keys."""
    return max(first for key, first, _ in _slice(text, start) if key == name)


def _slice(text: str, start: int) -> Iterator[tuple[str | None, int, int]]:
    """The parts of the list or object that begins at or after `start`: each value's key (if any), start and end."""
    decoder = json.JSONDecoder(parse_int=str, parse_float=str)
    start = _skip_space(text, start)
    position = _skip_space(text, start + 1)
    while text[position] not in "]}":
        key = None
        if text[start] == "{":
            key, position = decoder.raw_decode(text, position)
            position = _skip_space(text, _skip_space(text, position) + 1)
        _, end = decoder.raw_decode(text, position)
        yield key, position, end
        position = _skip_space(text, end)
        if text[position] == ",":
            position = _skip_space(text, position + 1)


def _skip_space(text: str, position: int) -> int:
    """The next position that is not white space."""
    match = _SPACE.match(text, position)
    return match.end() if match else position
