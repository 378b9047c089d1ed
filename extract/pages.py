"""An answer's body cut into the texts of its rows, whatever the envelope, without reading a number.

The fast path is `msgspec`, which slices without building values. What it refuses although Python's own servers write
it (`NaN`, lone surrogates) takes the slow path through the standard library, which gives the same slices.
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import msgspec

from extract.canonical import normalize
from extract.errors import ApiError, TransientError

SEPARATOR = "\x1e"
"""Stands between rows in `Page.text`. JSON may not hold it: inside strings it has to be escaped."""

Value = str | int | None

_ROW_KEYS = ("data", "sessions", "items", "sandboxes")
_PLACES = ("page", "meta")
_FACTS = ("next_cursor", "has_more", "total", "page_size", "per_page", *_PLACES)
_ERROR = "the answer is an error although its status says success"
_SURROGATE = re.compile("[\ud800-\udfff]")
_SPACE = re.compile(r"[ \t\n\r]*")
_HTML = re.compile(rb"\s*<(!doctype|html|head|body|\?xml)", re.IGNORECASE)
_decode_object = msgspec.json.Decoder(dict[str, msgspec.Raw]).decode
_decode_list = msgspec.json.Decoder(list[msgspec.Raw]).decode


@dataclass(frozen=True, slots=True)
class Page:
    """The rows of one answer, and what it says about the list they belong to."""

    text: str
    """The rows' JSON texts as they came, with `SEPARATOR` between them."""
    count: int
    normalized: list[str | None] | None = None
    """Where a row holds what UTF-8 cannot: the row with it spelt out. None where no row does."""
    total: int | None = None
    """How many rows the API says the list has."""
    page_size: int | None = None
    """The page size the API says it used."""
    cursor: str | None = None
    """Where to go on."""
    has_cursor: bool = False
    """Whether the answer has a place for a cursor, so that none there is the end."""
    says_more: bool = False
    """Whether the answer says that this is not the end."""

    @property
    def rows(self) -> list[str]:
        """The rows' texts, one by one."""
        return self.text.split(SEPARATOR) if self.count else []


def read_page(body: bytes) -> Page:
    """Cut a list's answer into rows.

    Raises `TransientError` for a body that is cut short or is not JSON, `ApiError` for one that is no list of rows.
    """
    body = body.removeprefix(b"\xef\xbb\xbf")
    try:
        return _read_fast(body)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return _read_slowly(body)


def read_document(body: bytes, *, is_error: bool = False) -> tuple[str, str | None, Any]:
    """Check a body that is to be kept whole: its text, its text normalized where that differs, and its value.

    Raises as `read_page`, for a body too that is no object, or that holds an error although none is expected.
    """
    text = _text(body.removeprefix(b"\xef\xbb\xbf"), body)
    value = _parse(text, body)
    if not isinstance(value, dict) or not value:
        raise ApiError("the answer is not a JSON object")
    if value.get("error") and not is_error:
        raise ApiError(_ERROR, _said(value))
    return *storable(text), value


def error_message(body: bytes) -> str:
    """What the vendor says in an error body, as ` "message" (request id)`; empty where it says nothing."""
    try:
        return _said(json.loads(body))
    except (ValueError, RecursionError):
        return ""


def is_html(body: bytes) -> bool:
    """Whether a body is a web page, as a wrong address or a proxy answers."""
    return _HTML.match(body) is not None


def _read_fast(body: bytes) -> Page:
    """Slice with msgspec. Raises its errors for what it does not take."""
    if body.lstrip()[:1] == b"[":
        rows = _decode_list(body)
        return Page(_join(rows), len(rows))
    envelope: dict[str, msgspec.Raw] = _decode_object(body)
    found, inner = _find_rows(envelope)
    rows = _decode_list(found)
    facts = {key: _value(raw) for key, raw in {**envelope, **inner}.items() if key in _FACTS}
    return _page(_join(rows), len(rows), facts)


def _join(rows: Sequence[msgspec.Raw]) -> str:
    """The rows' texts in one."""
    return b"\x1e".join(rows).decode()


def _find_rows(envelope: dict[str, msgspec.Raw]) -> tuple[msgspec.Raw, dict[str, msgspec.Raw]]:
    """The slice that is the list of rows, and the object around it where that is not the body itself."""
    _refuse_error(envelope)
    for key in _ROW_KEYS:
        raw = envelope.get(key)
        if raw is None:
            continue
        head = bytes(raw)[:1]
        if head == b"[":
            return raw, {}
        if head == b"{" and key == "data":
            inner: dict[str, msgspec.Raw] = _decode_object(raw)
            return _find_rows({k: v for k, v in inner.items() if k != "data" or bytes(v)[:1] == b"["})[0], inner
    raise _no_rows(envelope)


def _value(raw: msgspec.Raw) -> Any:
    """A small part of the envelope as a value."""
    return msgspec.json.decode(raw)


def _page(text: str, count: int, facts: dict[str, Any], normalized: list[str | None] | None = None) -> Page:
    """Put together a page from its rows and what the envelope says."""
    places = [facts, *(facts[key] for key in _PLACES if isinstance(facts.get(key), dict))]
    cursors = [_cursor(place["next_cursor"]) for place in places if "next_cursor" in place]
    totals = (_count(place.get("total")) for place in reversed(places))
    sizes = (_count(place.get(key)) for place in reversed(places) for key in ("page_size", "per_page"))
    return Page(
        text=text,
        count=count,
        normalized=normalized,
        total=next((total for total in totals if total is not None), None),
        page_size=next((size for size in sizes if size), None),
        cursor=next((cursor for cursor in cursors if cursor is not None), None),
        has_cursor=bool(cursors),
        says_more=any(place.get("has_more") is True for place in places),
    )


def _cursor(value: Any) -> str | None:
    """A cursor as it is sent back; None for the end. Raises `ApiError` for what cannot be sent back."""
    if value is None or value is False or value == "":
        return None
    if isinstance(value, str | int) and value is not True:
        return str(value)
    raise ApiError("the answer's next_cursor is neither a text nor a whole number")


def _count(value: Any) -> int | None:
    """A number of rows; None for what is none."""
    if isinstance(value, str) and value.isascii() and value.isdigit():
        value = int(value[:18])
    return value if isinstance(value, int) and not isinstance(value, bool) and value >= 0 else None


def _read_slowly(body: bytes) -> Page:
    """Slice with the standard library: slower, and the same slices."""
    text = _text(body, body)
    value = _parse(text, body)
    if isinstance(value, list):
        start, facts = _skip(text, 0), dict[str, Any]()
    elif isinstance(value, dict):
        start, facts = _list_start(text, value)
    else:
        raise ApiError("the answer is neither a list nor an object with one")
    pairs = [storable(row) for row in _slices(text, start)]
    normalized = [fixed for _, fixed in pairs]
    return _page(SEPARATOR.join(row for row, _ in pairs), len(pairs), facts, normalized if any(normalized) else None)


def _text(body: bytes, whole: bytes) -> str:
    """A body's text; `TransientError` where it is not UTF-8. Surrogates, which Python's servers may send, pass."""
    if not whole.strip():
        raise TransientError("the answer is empty although its status says success")
    if is_html(whole):
        raise ApiError("the answer is a web page, not JSON: is MIOSA_BASE_URL the API's address?")
    try:
        return body.decode("utf-8", "surrogatepass")
    except UnicodeDecodeError as error:
        raise TransientError("the answer is not UTF-8 text") from error


def _parse(text: str, body: bytes) -> Any:
    """A body's value, its numbers as text: the value only serves to find the rows."""
    try:
        return json.loads(text, parse_int=_small_int, parse_float=str)
    except ValueError as error:
        raise TransientError(f"the answer is cut short or not JSON ({len(body)} bytes)") from error
    except RecursionError as error:
        raise ApiError("the answer is nested too deeply") from error


def _small_int(text: str) -> int | str:
    """An integer, or its text where it is too long for one."""
    return int(text) if len(text) < 19 else text


def _list_start(text: str, value: dict[str, Any]) -> tuple[int, dict[str, Any]]:
    """Where the list of rows begins in an envelope, and the envelope."""
    _refuse_error(value)
    for key in _ROW_KEYS:
        inner = value.get(key)
        if isinstance(inner, list):
            return _members(text, 0)[key], value
        if isinstance(inner, dict) and key == "data":
            _refuse_error(inner)
            for name in _ROW_KEYS:
                if isinstance(inner.get(name), list):
                    return _members(text, _members(text, 0)[key])[name], {**value, **inner}
    raise _no_rows(value)


def _members(text: str, start: int) -> dict[str, int]:
    """Where each member's value begins in the object that begins at or after `start`; the last of repeated keys."""
    decoder = json.JSONDecoder(parse_int=str, parse_float=str)
    found: dict[str, int] = {}
    position = _skip(text, _skip(text, start) + 1)
    while text[position] != "}":
        key, position = decoder.raw_decode(text, position)
        position = _skip(text, _skip(text, position) + 1)
        found[key] = position
        _, position = decoder.raw_decode(text, position)
        position = _skip(text, position)
        if text[position] == ",":
            position = _skip(text, position + 1)
    return found


def _slices(text: str, start: int) -> list[str]:
    """The texts of the members of the list that begins at `start`."""
    decoder = json.JSONDecoder(parse_int=str, parse_float=str)
    found: list[str] = []
    position = _skip(text, start + 1)
    while text[position] != "]":
        _, end = decoder.raw_decode(text, position)
        found.append(text[position:end])
        position = _skip(text, end)
        if text[position] == ",":
            position = _skip(text, position + 1)
    return found


def _skip(text: str, position: int) -> int:
    """The next position that is not white space."""
    match = _SPACE.match(text, position)
    return match.end() if match else position


def spell_surrogates(text: str) -> str:
    """Text as UTF-8 can hold it: a lone surrogate becomes the six characters of its escape."""
    return _SURROGATE.sub(lambda match: f"\\u{ord(match[0]):04x}", text)


def storable(text: str) -> tuple[str, str | None]:
    """A row's text as UTF-8 can hold it, and the row normalized where DuckDB could not read it."""
    stored = spell_surrogates(text)
    if "\\u" not in stored:
        return stored, None
    # Only what holds a lone surrogate has to be normalized here; repeated keys are found in the warehouse.
    return stored, normalize(stored) if _has_lone_surrogate(stored) else None


def _has_lone_surrogate(text: str) -> bool:
    """Whether any string in a JSON text holds half of a pair."""
    return (
        _SURROGATE.search(json.dumps(json.loads(text, parse_int=str, parse_float=str), ensure_ascii=False)) is not None
    )


def _refuse_error(envelope: dict[str, Any]) -> None:
    """Refuse a body that reports an error under a status that says success."""
    error = envelope.get("error")
    if isinstance(error, msgspec.Raw):
        error = _value(error)
    if error:
        raise ApiError(_ERROR, _said({"error": error}))


def _no_rows(envelope: dict[str, Any]) -> ApiError:
    """The error for an envelope without rows. Its keys are the API's words: they help, and hold no secret."""
    keys = ", ".join(sorted(str(key) for key in envelope)[:8])
    return ApiError("the answer has no list of rows", f" (it has: {printable(keys) or 'nothing'})")


def _said(value: Any) -> str:
    """The message and request id of an error body."""
    error = value.get("error") if isinstance(value, dict) else None
    if isinstance(error, str):
        return f": {printable(error)}"
    if not isinstance(error, dict):
        return ""
    message = error.get("message") or error.get("code")
    said = f": {printable(str(message))}" if message else ""
    return said + (f" (request {printable(str(error['request_id']))})" if error.get("request_id") else "")


def printable(text: str) -> str:
    """Foreign text as one printable line of at most 300 characters."""
    return "".join(c if c.isprintable() else " " for c in text[:300]).strip()
