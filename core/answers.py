"""An answer's body cut into the texts of its rows, whatever the envelope, without reading a number.

The fast path is `msgspec`, which slices without building values. What it refuses although Python's own servers write
it (`NaN`, lone surrogates) takes the slow path through the standard library, which gives the same slices.
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import msgspec

from core.canonical import normalize
from core.errors import ApiError, ErrorBodyError, IncompleteError, TransientError

SEPARATOR = "\x1e"
"""Stands between rows in `Page.text`. JSON may not hold it: inside strings it has to be escaped."""

Value = str | int | None

_ROW_KEYS = ("data", "sessions", "items", "sandboxes")
_PLACES = ("page", "meta", "pagination", "links")
_SIZES = ("page_size", "per_page")
_FLAGS = ("has_more", "has_next")
_NEXT = ("next", "next_page")
_FACTS = ("next_cursor", "total", "total_pages", *_FLAGS, *_NEXT, *_SIZES, *_PLACES)
_ERROR = "the answer is an error although its status says success"
WEB_PAGE = "the answer is a web page, not JSON: is MIOSA_BASE_URL the API's address?"
_SURROGATE = re.compile("[\ud800-\udfff]")
_SPACE = re.compile(r"[ \t\n\r]*")
# No JSON begins so, whatever page it may be: a document, a fragment, a comment.
_HTML = re.compile(rb"(\xef\xbb\xbf)?\s*<")
_JSON = re.compile(rb"(\xef\xbb\xbf)?\s*[\[{]")
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
    has_more: bool | None = None
    """Whether the answer says outright that more rows follow (`has_more`, `next`, `next_page`); None if it does not."""
    total_pages: int | None = None
    """How many pages the API says the list has."""
    is_missing: bool = False
    """Whether the API answered that there is no such page."""

    @property
    def rows(self) -> list[str]:
        """The rows' texts, one by one."""
        return self.text.split(SEPARATOR) if self.count else []


def read_page(body: bytes, *, is_first: bool = True) -> Page:
    """Cut a list's answer into rows. What null stands for depends on whether it is the list's first answer.

    Raises `TransientError` for a body that is cut short or is not JSON, `ApiError` for one that is no list of rows.
    """
    body = body.removeprefix(b"\xef\xbb\xbf")
    try:
        return _read_fast(body, is_first=is_first)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return _read_slowly(body, is_first=is_first)


def read_document(body: bytes, *, is_error: bool = False) -> tuple[str, str | None, Any]:
    """Check a body that is to be kept whole: its text, its text normalized where that differs, and its value.

    Raises as `read_page`, for a body too that is no object, or that holds an error although none is expected.
    """
    text = _text(body.removeprefix(b"\xef\xbb\xbf"), body)
    value = _parse(text, body)
    if not isinstance(value, dict) or not value:
        raise ApiError("the answer is not a JSON object")
    if not is_error:
        _refuse_error(value)
    return *storable(text), value


def rollup_results(value: Any) -> list[Any]:
    """The lines of the vendor's rollup, from where staging reads them (`stg_miosa__usage_rollups`).

    Raises `ApiError` where it has none, and `IncompleteError` where it says that there are more.
    """
    inner = value.get("data")
    nested = inner if isinstance(inner, dict) else {}
    candidates = (value.get("results"), inner, nested.get("results"))
    results = next((each for each in candidates if isinstance(each, list)), None)
    places = [*_places(value), *_places(nested)]
    envelope = _envelope(places)
    if results is None:
        # A period that the answer names makes it an answer to the question; a false zero there shows as a mismatch.
        names_period = any(place.get("period_start") and place.get("period_end") for place in (value, nested))
        holders = ((value, "results"), (value, "data"), (nested, "results"))
        is_null = any(key in place and place[key] is None for place, key in holders)
        if not is_null or not (names_period or _is_said_empty(envelope)):
            raise ApiError("the answer has no list of results")
        results = []
    largest = max((_count(place.get("total")) or 0 for place in places), default=0)
    if envelope.has_more or envelope.cursor is not None or largest > len(results) or (envelope.total_pages or 0) > 1:
        raise IncompleteError(f"the vendor's rollup lists {len(results)} users and says that there are more")
    return results


def error_message(body: bytes) -> str:
    """What the vendor says in an error body, as ` "message" (request id)`; empty where it says nothing."""
    try:
        return _said(json.loads(body, parse_int=_small_int))
    except (ValueError, RecursionError):
        return ""


def is_html(body: bytes, content_type: str = "") -> bool:
    """Whether a body is a web page, as a wrong address or a proxy answers."""
    return _HTML.match(body) is not None or (content_type.lower().startswith("text/html") and bool(body.strip()))


def is_json(body: bytes, content_type: str = "") -> bool:
    """Whether a body begins as the JSON of an API does, and does not call itself a web page."""
    return _JSON.match(body) is not None and not is_html(body, content_type)


def _read_fast(body: bytes, *, is_first: bool) -> Page:
    """Slice with msgspec. Raises its errors for what it does not take."""
    if body.lstrip()[:1] == b"[":
        rows = _decode_list(body)
        return Page(_join(rows), len(rows))
    envelope: dict[str, msgspec.Raw] = _decode_object(body)
    found = _find_rows(envelope)
    if found is None:  # the slow way says why, or sees that there is no row
        return _read_slowly(body, is_first=is_first)
    listed, inner = found
    rows = _decode_list(listed)
    facts = {key: _value(raw) for key, raw in {**envelope, **inner}.items() if key in _FACTS}
    return _page(_join(rows), len(rows), facts)


def _join(rows: Sequence[msgspec.Raw]) -> str:
    """The rows' texts in one."""
    return b"\x1e".join(rows).decode()


def _find_rows(envelope: dict[str, msgspec.Raw]) -> tuple[msgspec.Raw, dict[str, msgspec.Raw]] | None:
    """The slice that is the list of rows, and the object around it where that is not the body itself; None for none."""
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
            found = _find_rows({k: v for k, v in inner.items() if k != "data" or bytes(v)[:1] == b"["})
            return found and (found[0], inner)
    return None


def _value(raw: msgspec.Raw) -> Any:
    """A small part of the envelope as a value."""
    return msgspec.json.decode(raw)


def _page(text: str, count: int, facts: dict[str, Any], normalized: list[str | None] | None = None) -> Page:
    """Put together a page from its rows and what the envelope says."""
    return replace(_envelope(_places(facts)), text=text, count=count, normalized=normalized)


def _envelope(places: Sequence[dict[str, Any]]) -> Page:
    """What an envelope says, as a page without its rows."""
    cursors = [_cursor(place["next_cursor"]) for place in places if "next_cursor" in place]
    totals = (_count(place.get("total")) for place in reversed(places))
    sizes = (_count(place.get(key)) for place in reversed(places) for key in _SIZES)
    page_counts = (_count(place.get("total_pages")) for place in reversed(places))
    more = [place[key] for place in places for key in _FLAGS if isinstance(place.get(key), bool)]
    more += [bool(place[key]) for place in places for key in _NEXT if key in place]
    return Page(
        text="",
        count=0,
        total=next((total for total in totals if total is not None), None),
        page_size=next((size for size in sizes if size), None),
        cursor=next((cursor for cursor in cursors if cursor is not None), None),
        has_cursor=bool(cursors),
        has_more=any(more) if more else None,
        total_pages=next((number for number in page_counts if number is not None), None),
    )


def _is_said_empty(page: Page, *, is_first: bool = True) -> bool:
    """Whether an envelope whose list is null says that there is no row.

    Null may also be a list that could not be made. So the first answer has to say that the list is empty; in a later
    one it is enough that the envelope tells of the list at all, since what that proves is decided by all answers.
    """
    if page.cursor is not None or page.has_more:
        return False
    says_end = page.has_cursor or page.has_more is False or page.total_pages == 0
    if page.total is None:
        return says_end or (not is_first and page.total_pages is not None)
    return page.total == 0 or not is_first


def _places(facts: dict[str, Any]) -> list[dict[str, Any]]:
    """Where an envelope may say something of its list."""
    return [facts, *(facts[key] for key in _PLACES if isinstance(facts.get(key), dict))]


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


def _read_slowly(body: bytes, *, is_first: bool) -> Page:
    """Slice with the standard library: slower, and the same slices."""
    text = _text(body, body)
    value = _parse(text, body)
    start: int | None
    if isinstance(value, list):
        start, facts = _skip(text, 0), dict[str, Any]()
    elif isinstance(value, dict):
        start, facts = _list_start(text, value, is_first=is_first)
    else:
        raise ApiError("the answer is neither a list nor an object with one")
    pairs = [] if start is None else [storable(row) for row in _slices(text, start)]
    normalized = [fixed for _, fixed in pairs]
    return _page(SEPARATOR.join(row for row, _ in pairs), len(pairs), facts, normalized if any(normalized) else None)


def _text(body: bytes, whole: bytes) -> str:
    """A body's text; `TransientError` where it is not UTF-8. Surrogates, which Python's servers may send, pass."""
    if not whole.strip():
        raise TransientError("the answer is empty although its status says success")
    if is_html(whole):
        raise ApiError(WEB_PAGE)
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


def _list_start(text: str, value: dict[str, Any], *, is_first: bool) -> tuple[int | None, dict[str, Any]]:
    """Where the list of rows begins in an envelope (None: it is null, as Go writes an empty one), and the envelope."""
    _refuse_error(value)
    start, around, facts = 0, value, value
    inner = value.get("data")
    if isinstance(inner, dict):
        _refuse_error(inner)
        start, around, facts = _members(text, 0)["data"], inner, {**value, **inner}
    for key in _ROW_KEYS:
        if isinstance(around.get(key), list):
            return _members(text, start)[key], facts
    is_null = any(key in around and around[key] is None for key in _ROW_KEYS)
    if is_null and _is_said_empty(_page("", 0, facts), is_first=is_first):
        return None, facts
    raise _no_rows(around)


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
    """Refuse a body that reports an error under a status that says success: also one that says nothing of it."""
    error, errors = (
        _value(said) if isinstance(said, msgspec.Raw) else said
        for said in (envelope.get("error"), envelope.get("errors"))
    )
    is_error = error is not None and error is not False and error != ""
    # What is no list, object or text may be how many there were.
    if is_error or (errors and isinstance(errors, list | dict | str)):
        raise ErrorBodyError(_ERROR, _said({"error": error, "errors": errors}))


def _no_rows(envelope: dict[str, Any]) -> ApiError:
    """The error for an envelope without rows. Its keys are the API's words: they help, and hold no secret."""
    keys = ", ".join(sorted(str(key) for key in envelope)[:8])
    return ApiError("the answer has no list of rows", f" (it has: {printable(keys) or 'nothing'})")


def _said(value: Any) -> str:
    """The message and request id of an error body."""
    error = value.get("error") or value.get("errors") if isinstance(value, dict) else None
    if isinstance(error, list):
        error = next(iter(error), None)
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
