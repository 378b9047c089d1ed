"""The one place that sends requests, and that decides what is tried again.

Whatever an attempt meets, the caller gets the answer read in full, or an `ApiError` whose one line says what to do.
The key travels in one header to one host: redirects are refused, and nothing here shows the key.
"""

from __future__ import annotations

import contextlib
import email.utils
import json
import logging
import math
import re
import ssl
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from types import TracebackType
from typing import Any, TypeVar
from urllib.parse import quote, urlencode, urljoin, urlsplit
from urllib.request import getproxies, proxy_bypass

import httpx
import tenacity

from core import __version__, answers
from core.clock import utc_now
from core.deadline import Deadlines
from core.errors import (
    ApiError,
    ErrorBodyError,
    GivenUpError,
    RefusedKeyError,
    StaleCursorError,
    StoppedError,
    TransientError,
)
from core.settings import DEFAULT_BASE_URL, ApiSettings, is_loopback

logger = logging.getLogger("miosa_billing")

T = TypeVar("T")

_RETRIED = frozenset({408, 425, 429, *range(500, 600)} - {501, 505, 511})
_WRITTEN = frozenset({200, 201, 202, 204})
_DELETED = _WRITTEN | {404}
_ENCODINGS = frozenset({"", "identity", "gzip", "deflate"})
_REQUEST_ID = re.compile(r"[A-Za-z0-9._:-]{1,64}")
_LONGEST_PAUSE = 30.0
# What is shorter may stand in any answer by chance.
_LEAST_KEY_TO_BLOT = 8


@dataclass(frozen=True, slots=True)
class Answer:
    """An answer whose body was read to its end."""

    status: int
    body: bytes
    headers: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class _Question:
    """A request, the same for all of its tries."""

    method: str
    path: str
    params: Mapping[str, str]
    accept: frozenset[int]
    shown: str
    """The address as messages show it."""
    body: bytes | None = None
    idempotency_key: str | None = None


class Client:
    """Sends requests to one API, from any number of threads. Close it, or use it as a context manager."""

    def __init__(self, settings: ApiSettings, stop: threading.Event | None = None) -> None:
        """Prepare; nothing is sent. `stop` ends pauses and further attempts early."""
        self._base_url = settings.base_url
        self._max_seconds = settings.max_seconds
        self._request_seconds = settings.request_seconds
        self._max_body = settings.max_body_mib << 20
        self._first_contact_tries = settings.first_contact_tries
        self._key_spellings = _spellings(settings.key)
        self._is_discreet = settings.id_hash_key is not None
        self._stop = stop or threading.Event()
        self._has_answered = False
        self._has_answered_json = False
        # Shared by all threads: what the API asks of one holds for all. On the monotonic clock.
        self._resumes_at = 0.0
        self.fastest = math.inf
        """The shortest time in seconds that an answer took, once there was a connection."""
        self._proxy = _proxy(settings.base_url)
        self._headers = httpx.Headers(
            {
                "Authorization": f"Bearer {settings.key}",
                "Accept": "application/json",
                "Accept-Encoding": "gzip, deflate",
                "Connection": "keep-alive",
                "User-Agent": f"miosa-billing/{__version__}",
            }
        )
        self._timeout = httpx.Timeout(min(30.0, settings.request_seconds), connect=min(10.0, settings.request_seconds))
        # Loading certificates takes as long as many requests, and http:// (to this machine only) has none to check.
        # The bare context trusts nobody.
        is_encrypted = settings.base_url.startswith("https:")
        self._certificates = httpx.create_ssl_context() if is_encrypted else ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        self._deadlines = Deadlines()
        self._extensions = {"timeout": self._timeout.as_dict(), "trace": self._deadlines.trace}
        self._retrying = tenacity.Retrying(
            stop=tenacity.stop_any(
                tenacity.stop_after_attempt(settings.max_tries),
                tenacity.stop_before_delay(self._max_seconds),
                _IsGivenUp(),
            ),
            wait=_Pause(),
            retry=tenacity.retry_if_exception_type(TransientError),
            sleep=self._sleep,
            before_sleep=_log_retry,
            retry_error_callback=self._give_up,
        )
        self._local = threading.local()
        self._opened: list[httpx.HTTPTransport] = []

    def __enter__(self) -> Client:
        """Use the client until the block ends."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close the connections."""
        for transport in self._opened:
            transport.close()

    @property
    def _transport(self) -> httpx.HTTPTransport:
        """This thread's connection: a pool that many threads share costs more than it saves.

        A transport without a client around it: what that adds (redirects, cookies, hooks) is not wanted here, and took
        a fifth of a request's time.
        """
        transport: httpx.HTTPTransport | None = getattr(self._local, "transport", None)
        if transport is None:
            transport = httpx.HTTPTransport(verify=self._certificates, proxy=self._proxy)
            self._local.transport = transport
            self._opened.append(transport)
        return transport

    def get(
        self,
        path: str,
        params: Mapping[str, str],
        read: Callable[[Answer], T],
        *,
        accept: frozenset[int] = frozenset({200}),
        shown: str | None = None,
    ) -> T:
        """Ask, and ask again where that can help, until `read` takes an answer whose status is in `accept`.

        `path` is sent as it stands, so what stands in it has to be percent-encoded; `shown` stands for it in messages.
        Raises `ApiError`.
        """
        question = _Question("GET", path, params, accept, self._base_url + (shown or path))
        result: T = self._retrying(self._attempt, question, read)
        return result

    def write(self, path: str, body: bytes | None, idempotency_key: str) -> Answer:
        """PUT a body (JSON), or DELETE where there is none, and try again where that can help.

        Either may be repeated without harm, and all tries carry the same `idempotency_key`. Nothing to delete (404) is
        as good as deleted. Raises `ApiError`; what was asked for may then have been done all the same.
        """
        method, accept = ("DELETE", _DELETED) if body is None else ("PUT", _WRITTEN)
        question = _Question(method, path, {}, accept, self._base_url + path, body, idempotency_key)
        answer: Answer = self._retrying(self._attempt, question, lambda answer: answer)
        return answer

    def _attempt(self, question: _Question, read: Callable[[Answer], T]) -> T:
        """Send once. Raises `TransientError` where another try may help."""
        shown = _shortened(question.shown)
        try:
            answer = self._send(question)
            if answer.status not in question.accept:
                raise self._refusal(answer, question, shown)
            try:
                if answer.status < 300 and answers.is_html(answer.body, answer.headers.get("content-type", "")):
                    raise self._web_page(answer)
                return read(answer)
            except (ApiError, TransientError) as error:
                if isinstance(error, ErrorBodyError) and "cursor" in question.params:
                    raise _stale(shown, answer.status, error.words) from error
                error.args = (f"{shown}: {error.args[0]}",)
                raise
        except (ApiError, TransientError) as error:
            if self._is_discreet:
                error.words = ""
            raise

    def _send(self, question: _Question) -> Answer:
        """Send once, and read the answer, whatever its status, to its end."""
        self._await_turn()
        transport = self._transport
        began = time.monotonic()
        deadline = began + self._request_seconds
        params = question.params
        url = f"{self._base_url}{question.path}" + (f"?{urlencode(params)}" if params else "")
        logger.debug("%s %s %s", question.method, question.shown.removeprefix(self._base_url), params)
        headers = self._headers
        if question.idempotency_key:
            headers = httpx.Headers({**headers, "Idempotency-Key": question.idempotency_key})
        if question.body is not None:
            headers = httpx.Headers({**headers, "Content-Type": "application/json"})
        try:
            request = httpx.Request(
                question.method, url, headers=headers, content=question.body, extensions=self._extensions
            )
            with (
                self._deadlines.within(deadline),
                contextlib.closing(transport.handle_request(request)) as response,
            ):
                response.headers = self._blotted_headers(response.headers)
                body = self._blotted(self._body(response, deadline))
        except httpx.DecodingError as error:
            raise TransientError("the answer's compression is broken") from error
        except httpx.ConnectTimeout as error:
            host = urlsplit(self._base_url).netloc
            raise self._unreachable(f"cannot reach {host} (no connection in {self._timeout.connect:g} s)") from error
        except httpx.TimeoutException as error:
            raise TransientError(f"no answer in time ({type(error).__name__})") from error
        except httpx.ConnectError as error:
            raise self._connect_error(error) from error
        except httpx.TransportError as error:
            if time.monotonic() > deadline:
                raise TransientError(f"an answer took longer than {self._request_seconds:g} s") from error
            raise TransientError(f"the connection broke ({type(error).__name__})") from error
        except httpx.InvalidURL as error:
            raise ApiError(f"the address {self._base_url} cannot be asked") from error
        self._has_answered = True
        if not self._has_answered_json:
            self._has_answered_json = answers.is_json(body, response.headers.get("content-type", ""))
        self.fastest = min(self.fastest, time.monotonic() - max(began, self._deadlines.connected_at))
        return Answer(response.status_code, body, response.headers)

    def _body(self, response: httpx.Response, deadline: float) -> bytes:
        """Read a body within the deadline and the cap; both count what was decoded, not what was sent."""
        encoding = response.headers.get("content-encoding", "").strip().lower()
        if encoding == "x-gzip":  # the same by its older name, which the library does not know
            encoding = response.headers["content-encoding"] = "gzip"
        if encoding not in _ENCODINGS:  # packed twice, a few bytes could unpack to any size at once
            raise ApiError("an answer is packed in a way that was not asked for", f": {answers.printable(encoding)}")
        chunks: list[bytes] = []
        size = 0
        for chunk in response.iter_bytes():
            size += len(chunk)
            if size > self._max_body:
                raise ApiError(
                    f"an answer is larger than {self._max_body >> 20} MiB: ask for less with --page-size, "
                    "or allow more with --max-body-mib"
                )
            if time.monotonic() > deadline:
                raise TransientError(f"an answer took longer than {self._request_seconds:g} s")
            chunks.append(chunk)
        return b"".join(chunks)

    def _blotted(self, data: bytes) -> bytes:
        """An answer's bytes without the key, should the API have echoed it: nobody after can store, show or cut it."""
        for spelling in self._key_spellings:
            if spelling in data:
                data = data.replace(spelling, b"***")
        return data

    def _blotted_headers(self, headers: httpx.Headers) -> httpx.Headers:
        """The same of headers."""
        if not any(spelling in value for _, value in headers.raw for spelling in self._key_spellings):
            return headers
        return httpx.Headers([(name, self._blotted(value)) for name, value in headers.raw])

    def _connect_error(self, error: httpx.ConnectError) -> ApiError | TransientError:
        """Tell a certificate, which no retry betters, from a network that may come back."""
        host = urlsplit(self._base_url).netloc
        cause: BaseException | None = error
        why = ""
        while cause is not None:
            if isinstance(cause, ssl.SSLCertVerificationError):
                return ApiError(f"{host} does not prove who it is ({cause.verify_message}): check MIOSA_BASE_URL")
            if isinstance(cause, ConnectionRefusedError):
                why = " (connection refused)"
            elif isinstance(cause, ssl.SSLError):
                why = f" (no TLS: {answers.printable(str(cause.reason))})"
            cause = cause.__cause__ or cause.__context__
        return self._unreachable(f"cannot reach {host}{why}")

    def _unreachable(self, message: str) -> TransientError:
        """The error for an address where nobody answers: soon given up, unless somebody has before."""
        tries = None if self._has_answered else self._first_contact_tries
        return TransientError(f"{message}: check MIOSA_BASE_URL and the network", tries=tries)

    def _refusal(self, answer: Answer, question: _Question, where: str) -> ApiError | TransientError:
        """The error for a status that is not the one hoped for."""
        status = answer.status
        said = answers.error_message(answer.body)
        request = answers.printable(answer.headers.get("x-request-id", ""))
        if request and self._is_discreet and _REQUEST_ID.fullmatch(request):
            where, said = f"{where} (request {request})", ""
        elif request and "(request " not in said:
            said += f" (request {request})"
        if 300 <= status < 400:
            host = None
            with contextlib.suppress(ValueError):
                location = answer.headers.get("location")
                host = urlsplit(urljoin(self._base_url + question.path, location)).hostname if location else None
            target = answers.printable(host or "") or "another address"
            return ApiError(f"{where} redirects to {target}: refused, the key stays here")
        if "cursor" in question.params and status in (400, 404, 409, 410, 422):
            return _stale(where, status, said)
        if status in _RETRIED:
            return self._transient(answer, f"{where}: status {status}", said)
        if status == 401:
            return RefusedKeyError("the API does not take the key (status 401): check MIOSA_API_KEY", said)
        if status == 403:
            deed = "read" if question.method == "GET" else "change"
            return RefusedKeyError(
                f"the key may not {deed} {where} (status 403): check the scopes of MIOSA_API_KEY", said
            )
        if status == 402:
            return ApiError("the account is out of credits (status 402)", said)
        if status == 404:
            return ApiError(
                f"{where} does not exist (status 404): the base URL is likely wrong: MIOSA_BASE_URL is "
                f"{self._base_url}, and usually {DEFAULT_BASE_URL}",
                said,
            )
        if 200 <= status < 300:
            return ApiError(f"{where}: status {status} without the answer asked for", said)
        return ApiError(f"{where}: status {status}", said)

    def _web_page(self, answer: Answer) -> ApiError | TransientError:
        """The error for a web page under a status that says success.

        A wrong address answers with nothing else. An API that has answered JSON in this run is behind a proxy that
        shows a page for a moment, as with status 502.
        """
        if not self._has_answered_json:
            return ApiError(answers.WEB_PAGE)
        return self._transient(answer, "the answer is a web page, although the API has answered JSON in this run")

    def _transient(self, answer: Answer, message: str, words: str = "") -> TransientError:
        """The error for an answer that another try may better. All threads keep the pause that the answer asks for."""
        retry_after = _retry_after(answer)
        if retry_after and retry_after <= self._max_seconds:
            self._resumes_at = max(self._resumes_at, time.monotonic() + retry_after)
        return TransientError(message, words, retry_after=retry_after)

    def _sleep(self, seconds: float) -> None:
        """Wait, unless the run stops."""
        if self._stop.wait(seconds):
            raise StoppedError("stopped")

    def _await_turn(self) -> None:
        """Wait for as long as the API asked any thread to. The pause may grow meanwhile."""
        if self._stop.is_set():
            raise StoppedError("stopped")
        while (pause := self._resumes_at - time.monotonic()) > 0:
            self._sleep(pause)

    def _give_up(self, state: tenacity.RetryCallState) -> Any:
        """Turn the last failure into the error that ends the run."""
        error = state.outcome.exception() if state.outcome else None
        if not isinstance(error, TransientError):
            raise error or ApiError("no answer")
        spent = f"given up after {state.attempt_number} tries in {state.seconds_since_start or 0:.0f} s"
        if error.retry_after and error.retry_after > self._max_seconds - (state.seconds_since_start or 0):
            back = _from_now(error.retry_after)
            raise GivenUpError(f"{error}; the API asks to come back {back}: run again then") from error
        raise GivenUpError(f"{error}; {spent}: run again later, it goes on from there") from error


class _IsGivenUp(tenacity.stop.stop_base):
    """Whether this kind of failure has had its own number of tries."""

    def __call__(self, retry_state: tenacity.RetryCallState) -> bool:
        error = retry_state.outcome.exception() if retry_state.outcome else None
        return (
            isinstance(error, TransientError) and error.tries is not None and retry_state.attempt_number >= error.tries
        )


class _Pause(tenacity.wait.wait_base):
    """Back-off that doubles, with jitter, and never comes before the server said."""

    def __init__(self) -> None:
        self._own = tenacity.wait_exponential_jitter(multiplier=0.25, max=_LONGEST_PAUSE, jitter=0.25)

    def __call__(self, retry_state: tenacity.RetryCallState) -> float:
        error = retry_state.outcome.exception() if retry_state.outcome else None
        asked = error.retry_after if isinstance(error, TransientError) else None
        return max(self._own(retry_state), asked or 0.0)


def _proxy(base_url: str) -> str | None:
    """The proxy that the environment names for the API. None sees what is sent in the clear to this machine."""
    parts = urlsplit(base_url)
    host = parts.hostname or ""
    if is_loopback(host) or proxy_bypass(host):
        return None
    named = getproxies()
    proxy = named.get(parts.scheme) or named.get("all")
    return f"http://{proxy}" if proxy and "://" not in proxy else proxy


def _log_retry(state: tenacity.RetryCallState) -> None:
    """Say why and for how long a request waits."""
    error = state.outcome.exception() if state.outcome else None
    pause = state.next_action.sleep if state.next_action else 0.0
    logger.info("try %d failed: %s; again in %.1f s", state.attempt_number, error, pause)


def _retry_after(answer: Answer) -> float | None:
    """How many seconds the server asks to wait: a header in seconds or as a date, or milliseconds in the body."""
    text = answer.headers.get("retry-after", "").strip()
    seconds = _amount(text)
    if seconds is None and (date := _date(text)):
        # By the server's own clock, where it tells the time: this machine's may be off.
        seconds = (date - (_date(answer.headers.get("date", "")) or utc_now())).total_seconds()
    if seconds is not None:
        return seconds
    try:
        value = json.loads(answer.body, parse_int=float)  # of any length: the longest are infinite
    except (ValueError, RecursionError):
        return None
    for place in (value, value.get("error") if isinstance(value, dict) else None):
        milliseconds = _amount(place.get("retry_after_ms")) if isinstance(place, dict) else None
        if milliseconds is not None:
            return milliseconds / 1000
    return None


def _amount(value: Any) -> float | None:
    """A number, also one as text; None for what is none."""
    try:
        amount = float(value) if isinstance(value, float | str) else math.nan
    except ValueError:
        return None
    return None if math.isnan(amount) else amount


def _date(text: str) -> datetime | None:
    """An HTTP date in UTC without a zone; None for what is none."""
    try:
        date = email.utils.parsedate_to_datetime(text)
        return date.astimezone(UTC).replace(tzinfo=None) if date.tzinfo else date
    except (ValueError, TypeError, OverflowError):
        return None


def _stale(where: str, status: int, said: str) -> StaleCursorError:
    """The error for a cursor that the API no longer takes, or no longer answers."""
    return StaleCursorError(f"{where}: the API no longer takes its cursor (status {status})", said)


def _spellings(key: str) -> tuple[bytes, ...]:
    """The key as an answer may echo it: as it is, in JSON, in an address."""
    if len(key) < _LEAST_KEY_TO_BLOT:
        return ()
    in_json = json.dumps(key)[1:-1]
    found = {key, in_json, in_json.replace("/", "\\/"), quote(key, safe="")}
    return tuple(spelling.encode() for spelling in sorted(found, key=len, reverse=True))


def _shortened(address: str) -> str:
    """An address to show, not endlessly long."""
    return address if len(address) < 200 else address[:200] + "…"


def _from_now(seconds: float) -> str:
    """A moment as far from now, to show."""
    try:
        return f"at {utc_now() + timedelta(seconds=seconds):%Y-%m-%d %H:%M:%S}Z"
    except (OverflowError, ValueError):
        return f"in {seconds:.3g} s"
