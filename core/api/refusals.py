"""Turns an answer with an unexpected status into an error: one that another try may better, or one that is final."""

from __future__ import annotations

import contextlib
import re
from urllib.parse import urljoin, urlsplit

from core.api.bodies import error_message, printable
from core.api.exchange import Answer, ApiRequest
from core.api.retry_after import retry_after_seconds
from core.errors import ApiError, NoAccessError, RefusedKeyError, RefusedQueryError, StaleCursorError, TransientError
from core.settings import DEFAULT_BASE_URL

_RETRIED = frozenset({408, 425, 429, *range(500, 600)} - {501, 505, 511})
_STALE_CURSOR = frozenset({400, 404, 409, 410, 422})
_REQUEST_ID = re.compile(r"[A-Za-z0-9._:-]{1,64}")


def refusal(
    answer: Answer, request: ApiRequest, label: str, base_url: str, *, hides_ids: bool
) -> ApiError | TransientError:
    """The error for a status that the request does not accept.

    `label` is the address as the message shows it. With `hides_ids`, only a request id is quoted from the answer.
    """
    status = answer.status
    words = error_message(answer.body)
    request_id = printable(answer.headers.get("x-request-id", ""))
    if request_id and hides_ids and _REQUEST_ID.fullmatch(request_id):
        label, words = f"{label} (request {request_id})", ""
    elif request_id and "(request " not in words:
        words += f" (request {request_id})"
    if 300 <= status < 400:
        target = _redirect_target(answer, base_url + request.path)
        return ApiError(f"{label} redirects to {target}: refused, the key stays here")
    if "cursor" in request.params and status in _STALE_CURSOR:
        return stale_cursor(label, status, words)
    if status in _RETRIED:
        return TransientError(f"{label}: status {status}", words, retry_after=retry_after_seconds(answer))
    if status == 401:
        return RefusedKeyError("the API does not take the key (status 401): check MIOSA_API_KEY", words, status=status)
    if status == 403:
        action = "read" if request.method == "GET" else "change"
        return RefusedKeyError(
            f"the key may not {action} {label} (status 403): check the scopes of MIOSA_API_KEY",
            words,
            status=status,
        )
    if status == 402:
        return ApiError("the account is out of credits (status 402)", words)
    if status == 404:
        return NoAccessError(
            f"{label} does not exist (status 404): the base URL is likely wrong: MIOSA_BASE_URL is "
            f"{base_url}, and usually {DEFAULT_BASE_URL}",
            words,
            status=status,
        )
    if status in (400, 422):
        return RefusedQueryError(f"{label}: status {status}", words)
    if 200 <= status < 300:
        return ApiError(f"{label}: status {status} without the answer asked for", words)
    return ApiError(f"{label}: status {status}", words)


def stale_cursor(label: str, status: int, words: str) -> StaleCursorError:
    """The error for a cursor that the API no longer accepts."""
    return StaleCursorError(f"{label}: the API no longer takes its cursor (status {status})", words)


def _redirect_target(answer: Answer, address: str) -> str:
    """The host that a redirect leads to, to be shown."""
    host = None
    with contextlib.suppress(ValueError):
        location = answer.headers.get("location")
        host = urlsplit(urljoin(address, location)).hostname if location else None
    return printable(host or "") or "another address"
