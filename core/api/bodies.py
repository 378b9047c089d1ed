"""What an answer's body is, before anybody looks for rows in it: JSON, a web page, an error, or cut short."""

from __future__ import annotations

import json
import re
from typing import Any

import msgspec

from core.canonical import storable
from core.errors import ApiError, ErrorBodyError, TransientError

BOM = b"\xef\xbb\xbf"
"""What some servers put before their JSON."""

WEB_PAGE = "the answer is a web page, not JSON: is MIOSA_BASE_URL the API's address?"

# No JSON begins like this, whatever the page is: a document, a fragment, a comment.
_HTML = re.compile(rb"(\xef\xbb\xbf)?\s*<")
_JSON = re.compile(rb"(\xef\xbb\xbf)?\s*[\[{]")


def is_html(body: bytes, content_type: str = "") -> bool:
    """Whether a body is a web page, as a wrong address or a proxy sends it."""
    return _HTML.match(body) is not None or (content_type.lower().startswith("text/html") and bool(body.strip()))


def is_json(body: bytes) -> bool:
    """Whether a body begins like the JSON of an API."""
    return _JSON.match(body) is not None


def read_document(body: bytes, *, is_error: bool = False) -> tuple[str, str | None, dict[str, Any]]:
    """Check a body that is stored as one row: its text, its normalized text if that differs, and its value.

    Raises `TransientError` for a body that is cut short or not JSON, and `ApiError` for one that is not an object, is
    empty, or holds an error although `is_error` does not say so.
    """
    stored, normalized, value = read_json(body, is_error=is_error)
    if not isinstance(value, dict) or not value:
        raise ApiError("the answer is not a JSON object")
    return stored, normalized, value


def read_json(body: bytes, *, is_error: bool = False) -> tuple[str, str | None, Any]:
    """The same for a body of any shape: what it says is judged by the models, which report what they reject.

    Raises `TransientError` for a body that is cut short or not JSON, and `ApiError` for a web page or an error.
    """
    text = decode(body.removeprefix(BOM))
    value = parse(text)
    if isinstance(value, dict) and not is_error:
        refuse_error(value)
    return *storable(text), value


def decode(body: bytes) -> str:
    """A body's text, which may hold surrogates, as Python's servers send them.

    Raises `TransientError` if it is empty or not UTF-8, and `ApiError` for a web page.
    """
    if not body.strip():
        raise TransientError("the answer is empty although its status says success")
    if is_html(body):
        raise ApiError(WEB_PAGE)
    try:
        return body.decode("utf-8", "surrogatepass")
    except UnicodeDecodeError as error:
        raise TransientError("the answer is not UTF-8 text") from error


def parse(text: str) -> Any:
    """A body's value, with long integers and all fractions as text: it only serves to find and check rows."""
    try:
        return json.loads(text, parse_int=_short_int, parse_float=str)
    except ValueError as error:
        size = len(text.encode("utf-8", "surrogatepass"))
        raise TransientError(f"the answer is cut short or not JSON ({size} bytes)") from error
    except RecursionError as error:
        raise ApiError("the answer is nested too deeply") from error


def refuse_error(envelope: dict[str, Any]) -> None:
    """Raise `ErrorBodyError` for a body that reports an error, even an empty one, under a status that says success."""
    error, errors = (
        msgspec.json.decode(value) if isinstance(value, msgspec.Raw) else value
        for value in (envelope.get("error"), envelope.get("errors"))
    )
    is_error = error is not None and error is not False and error != ""
    # A number may be how many errors there were.
    if is_error or (errors and isinstance(errors, list | dict | str)):
        raise ErrorBodyError(
            "the answer is an error although its status says success",
            _message_of({"error": error, "errors": errors}),
        )


def error_message(body: bytes) -> str:
    """The vendor's words in an error body, as `: message (request id)`, or an empty text if the body has no words."""
    try:
        return _message_of(json.loads(body, parse_int=_short_int))
    except (ValueError, RecursionError):
        return ""


def printable(text: str) -> str:
    """Foreign text as one printable line of at most 300 characters."""
    return "".join(c if c.isprintable() else " " for c in text[:300]).strip()


def _short_int(text: str) -> int | str:
    """An integer, or its text if it is very long."""
    return int(text) if len(text) < 19 else text


def _message_of(value: Any) -> str:
    """The message and request id of an error body."""
    error = value.get("error") or value.get("errors") if isinstance(value, dict) else None
    if isinstance(error, list):
        error = next(iter(error), None)
    if isinstance(error, str):
        return f": {printable(error)}"
    if not isinstance(error, dict):
        return ""
    message = error.get("message") or error.get("code")
    words = f": {printable(str(message))}" if message else ""
    return words + (f" (request {printable(str(error['request_id']))})" if error.get("request_id") else "")
