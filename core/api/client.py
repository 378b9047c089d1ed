"""Sends requests to the API, and repeats those that another try may help.

Whatever a try meets, the caller gets the answer read in full, or an `ApiError` whose one line says what to do.
The key travels in one header to one host: redirects are refused, and no message shows the key.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from typing import TypeVar

from core.api.bodies import WEB_PAGE, is_json
from core.api.exchange import Answer, ApiRequest, Params
from core.api.limit_headers import read_limit_headers
from core.api.refusals import refusal, stale_cursor
from core.api.retries import RetryPolicy
from core.api.retry_after import retry_after_seconds, server_time
from core.api.transport import Transport
from core.api.turns import Turns
from core.errors import ApiError, ErrorBodyError, TransientError
from core.settings import ApiSettings

logger = logging.getLogger("miosa_billing")

T = TypeVar("T")

_TOO_MANY = 429
_OK = frozenset({200})
_WRITTEN = frozenset({200, 201, 202, 204})
_DELETED = _WRITTEN | {404}
_LONGEST_LABEL = 200
# Requests at a time. One takes this process a millisecond, so as many as an answer takes milliseconds keep it busy.
_FEWEST_THREADS, MOST_THREADS = 4, 32
_BUSY_SECONDS = 0.001


class Client:
    """Sends requests to one API, from any number of threads. Close it, or use it as a context manager."""

    def __init__(self, settings: ApiSettings) -> None:
        """Prepare; nothing is sent."""
        self._base_url = settings.base_url
        self._threads = settings.threads
        self._hides_ids = settings.id_hash_key is not None
        self._transport = Transport(settings)
        self._retries = RetryPolicy(settings)
        self._turns = Turns(settings.requests_per_minute, settings.max_seconds)
        self._has_answered_json = False

    def __enter__(self) -> Client:
        """Use the client until the block ends."""
        return self

    def __exit__(self, *_: object) -> None:
        """End what other threads still ask for, and close the connections."""
        self._retries.stop()
        self._turns.stop()
        self._transport.close()

    @property
    def fastest_answer_seconds(self) -> float:
        """The shortest time that an answer took, not counting the time to connect; infinite before the first one."""
        return self._transport.fastest

    @property
    def useful_threads(self) -> int:
        """How many requests to make at a time: as set, else by how long the API takes for an answer."""
        suited = int(max(_FEWEST_THREADS, min(MOST_THREADS, self.fastest_answer_seconds / _BUSY_SECONDS)))
        return self._threads or suited

    @property
    def pace_per_minute(self) -> float | None:
        """How many requests the API allows per minute, as far as known: set by hand, learned, or named by headers."""
        return self._turns.known_per_minute

    @property
    def requests_per_minute(self) -> float:
        """How many requests were answered per minute so far."""
        return self._turns.accepted_per_minute

    def get(
        self,
        path: str,
        params: Params,
        read: Callable[[Answer], T],
        *,
        accepted: frozenset[int] = _OK,
        label: str | None = None,
    ) -> T:
        """Ask, repeatedly if that can help, until `read` takes an answer whose status is in `accepted`.

        `path` is sent as it is, so ids in it must be percent-encoded; `label` stands for it in messages.
        Raises `ApiError`.
        """
        request = ApiRequest("GET", path, accepted, self._base_url + (label or path), params)
        return self._retries.repeat(lambda: self._attempt(request, read))

    def write(self, path: str, body: bytes | None, idempotency_key: str) -> Answer:
        """PUT a body (JSON), or DELETE without one, repeatedly if that can help.

        Both may be repeated without harm, and all tries carry the same `idempotency_key`. Nothing to delete (404)
        counts as deleted. Raises `ApiError`; the change may have been made all the same.
        """
        method, accepted = ("DELETE", _DELETED) if body is None else ("PUT", _WRITTEN)
        request = ApiRequest(method, path, accepted, self._base_url + path, body=body, idempotency_key=idempotency_key)
        return self._retries.repeat(lambda: self._attempt(request, lambda answer: answer))

    def _attempt(self, request: ApiRequest, read: Callable[[Answer], T]) -> T:
        """Send once, apart from refusals for our pace. Raises `TransientError` if another try may help."""
        try:
            return self._exchange(request, read)
        except (ApiError, TransientError) as error:
            if self._hides_ids:
                error.words = ""
            if isinstance(error, TransientError) and error.retry_after:
                self._turns.pause(error.retry_after)
            raise

    def _send_in_turn(self, request: ApiRequest, label: str) -> Answer:
        """Wait for a turn and send, again and again while the API refuses it for our pace (429).

        Neither the waits nor the refusals count against the request. Raises `GivenUpError` if the API wants a pause
        that is too long, or has refused everything for too long.
        """
        began = time.monotonic()
        while True:
            sent_at = self._turns.take()
            self._retries.exempt(sent_at - began)
            try:
                answer = self._transport.send(request)
            except BaseException:
                self._turns.unanswered(sent_at)
                raise
            told = read_limit_headers(answer.headers, server_time(answer))
            if answer.status != _TOO_MANY:
                self._turns.accepted(sent_at, told)
                return answer
            error = refusal(answer, request, label, self._base_url, hides_ids=self._hides_ids)
            if not isinstance(error, TransientError):
                raise error
            if error.retry_after is None and told is not None and told.remaining == 0:
                error.retry_after = told.reset_seconds
            began = sent_at
            seconds = self._turns.refused(sent_at, told, error.retry_after)
            logger.info("%s; waiting for another turn", error)
            self._retries.refuse_for_good(error, seconds)

    def _exchange(self, request: ApiRequest, read: Callable[[Answer], T]) -> T:
        """Send, and have `read` take the answer."""
        label = request.label if len(request.label) < _LONGEST_LABEL else request.label[:_LONGEST_LABEL] + "…"
        answer = self._send_in_turn(request, label)
        self._has_answered_json = self._has_answered_json or (is_json(answer.body) and not answer.is_web_page)
        if answer.status not in request.accepted:
            raise refusal(answer, request, label, self._base_url, hides_ids=self._hides_ids)
        try:
            if answer.status < 300 and answer.is_web_page:
                raise self._web_page_error(answer)
            return read(answer)
        except ErrorBodyError as error:
            if "cursor" in request.params:
                raise stale_cursor(label, answer.status, error.words) from error
            error.args = (f"{label}: {error.args[0]}",)
            raise
        except (ApiError, TransientError) as error:
            error.args = (f"{label}: {error.args[0]}",)
            raise

    def _web_page_error(self, answer: Answer) -> ApiError | TransientError:
        """The error for a web page under a status that says success.

        A wrong address answers with nothing else. An API that has answered JSON in this run is behind a proxy that
        shows a page for a moment, as with status 502.
        """
        if not self._has_answered_json:
            return ApiError(WEB_PAGE)
        return TransientError(
            "the answer is a web page, although the API has answered JSON in this run",
            retry_after=retry_after_seconds(answer),
        )
