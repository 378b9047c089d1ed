"""The address of a user's quota, and the check of an answer about one."""

from __future__ import annotations

from typing import Any
from urllib.parse import quote

from core.api.bodies import is_html, read_json
from core.api.exchange import Answer
from core.errors import ApiError, ExtractError

ACCEPTED = frozenset({200, 404})
"""The statuses of an answer about a quota. A 404 from the API itself means that the user has no quota."""

# Every server and proxy accepts an address of this length. The quota of a longer id could not have been set either.
_LONGEST_SEGMENT = 7_000


def encode_segment(text: str) -> str:
    """Percent-encode a path segment in full, dots too: a client may collapse `..`.

    >>> encode_segment("../a b")
    '%2E%2E%2Fa%20b'
    """
    return quote(text, safe="").replace(".", "%2E")


def quota_path(external_id: str) -> str | None:
    """The path of a user's quota, percent-encoded; None if the id is too long for an address."""
    segment = encode_segment(external_id)
    return f"/quotas/external/{segment}" if len(segment) <= _LONGEST_SEGMENT else None


def read_quota_answer(answer: Answer) -> tuple[int, str | None, str | None]:
    """Check an answer about a quota. Returns its status, text and normalized text; no text for a 404 that is not JSON.

    JSON of any shape is an answer: the models know the vendor's shapes, and reject any other with a reason. Raises
    `ApiError`, also for a web page with status 404.
    """
    if answer.status == 404 and is_html(answer.body):
        raise ApiError("does not exist (status 404, a web page): the base URL is likely wrong")
    try:
        payload, normalized, _ = read_json(answer.body, is_error=answer.status == 404)
    except ExtractError:
        if answer.status != 404:
            raise
        return answer.status, None, None
    return answer.status, payload, normalized


def check_object(value: Any) -> None:
    """Raise `ApiError` for an answer whose `data`, or which itself, is not an object or is empty."""
    inner = value.get("data", value)
    if not isinstance(inner, dict) or not inner:
        raise ApiError("the answer holds no figures")
