"""Connections to the API: sends a request once, and reads its answer within limits of time and size."""

from __future__ import annotations

import contextlib
import logging
import math
import ssl
import threading
import time
from urllib.parse import urlencode, urlsplit
from urllib.request import getproxies, proxy_bypass

import httpx

from core import __version__
from core.api.bodies import printable
from core.api.deadlines import Deadlines
from core.api.exchange import Answer, ApiRequest
from core.api.redaction import KeyRedactor
from core.errors import ApiError, TransientError
from core.settings import ApiSettings, is_loopback

logger = logging.getLogger("miosa_billing")

_ENCODINGS = frozenset({"", "identity", "gzip", "deflate"})
_BETWEEN_BYTES_SECONDS = 30.0
_CONNECT_SECONDS = 10.0


class Transport:
    """Sends requests to one API, each thread over a connection of its own. Close it in the end."""

    def __init__(self, settings: ApiSettings) -> None:
        """Prepare; nothing is sent."""
        self._base_url = settings.base_url
        self._host = urlsplit(settings.base_url).netloc
        self._request_seconds = settings.request_seconds
        self._largest_body = settings.max_body_mib << 20
        self._first_contact_tries = settings.first_contact_tries
        self._redactor = KeyRedactor(settings.key)
        self._has_answered = False
        self.fastest = math.inf
        """The shortest time in seconds that an answer took, not counting the time to connect."""
        self._headers = httpx.Headers(
            {
                "Authorization": f"Bearer {settings.key}",
                "Accept": "application/json",
                "Accept-Encoding": "gzip, deflate",
                "Connection": "keep-alive",
                "User-Agent": f"miosa-billing/{__version__}",
            }
        )
        self._connect_seconds = min(_CONNECT_SECONDS, settings.request_seconds)
        timeout = httpx.Timeout(min(_BETWEEN_BYTES_SECONDS, settings.request_seconds), connect=self._connect_seconds)
        self._deadlines = Deadlines()
        self._extensions = {"timeout": timeout.as_dict(), "trace": self._deadlines.trace}
        self._proxy = proxy_for(settings.base_url)
        # Loading certificates takes as long as many requests, and http:// (to this machine only) has none to check.
        # The bare context trusts nobody.
        is_encrypted = settings.base_url.startswith("https:")
        self._certificates = httpx.create_ssl_context() if is_encrypted else ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        self._local = threading.local()
        self._opened: list[httpx.HTTPTransport] = []

    def close(self) -> None:
        """Close the connections of all threads."""
        for connection in self._opened:
            connection.close()

    def send(self, request: ApiRequest) -> Answer:
        """Send once, and read the answer, whatever its status, to its end.

        Raises `TransientError` if another try may help, else `ApiError`.
        """
        connection = self._connection()
        began = time.monotonic()
        deadline = began + self._request_seconds
        url = f"{self._base_url}{request.path}" + (
            f"?{urlencode(request.params, doseq=True)}" if request.params else ""
        )
        logger.debug("%s %s %s", request.method, request.label.removeprefix(self._base_url), request.params)
        headers = self._headers.copy()
        if request.idempotency_key:
            headers["Idempotency-Key"] = request.idempotency_key
        if request.body is not None:
            headers["Content-Type"] = "application/json"
        try:
            sent = httpx.Request(
                request.method, url, headers=headers, content=request.body, extensions=self._extensions
            )
            with (
                self._deadlines.within(deadline),
                contextlib.closing(connection.handle_request(sent)) as response,
            ):
                response.headers = self._redactor.redact_headers(response.headers)
                body = self._redactor.redact(self._read_body(response, deadline))
        except httpx.InvalidURL as error:
            raise ApiError(f"the address {self._base_url} cannot be asked") from error
        except httpx.RequestError as error:
            raise self._network_error(error, deadline) from error
        self._has_answered = True
        self.fastest = min(self.fastest, time.monotonic() - max(began, self._deadlines.connected_at))
        return Answer(response.status_code, body, response.headers)

    def _connection(self) -> httpx.HTTPTransport:
        """This thread's connection: one pool for many threads costs more than it saves.

        A transport without a client around it: the client's redirects, cookies and hooks are not wanted here, and took
        a fifth of a request's time.
        """
        connection: httpx.HTTPTransport | None = getattr(self._local, "connection", None)
        if connection is None:
            connection = self._local.connection = httpx.HTTPTransport(verify=self._certificates, proxy=self._proxy)
            self._opened.append(connection)
        return connection

    def _read_body(self, response: httpx.Response, deadline: float) -> bytes:
        """Read a body within the deadline and the largest size, which counts decoded bytes."""
        encoding = response.headers.get("content-encoding", "").strip().lower()
        if encoding == "x-gzip":  # an older name of gzip, which the library does not know
            encoding = response.headers["content-encoding"] = "gzip"
        if encoding not in _ENCODINGS:  # compressed twice, a few bytes could unpack to any size at once
            raise ApiError("an answer is packed in a way that was not asked for", f": {printable(encoding)}")
        chunks: list[bytes] = []
        size = 0
        for chunk in response.iter_bytes():
            size += len(chunk)
            if size > self._largest_body:
                raise ApiError(
                    f"an answer is larger than {self._largest_body >> 20} MiB: ask for less with --page-size, "
                    "or allow more with --max-body-mib"
                )
            if time.monotonic() > deadline:
                raise self._too_slow()
            chunks.append(chunk)
        return b"".join(chunks)

    def _network_error(self, error: httpx.RequestError, deadline: float) -> ApiError | TransientError:
        """The error for an exchange that broke before the answer was complete."""
        if isinstance(error, httpx.DecodingError):
            return TransientError("the answer's compression is broken")
        if isinstance(error, httpx.ConnectTimeout):
            return self._unreachable(f" (no connection in {self._connect_seconds:g} s)")
        if isinstance(error, httpx.TimeoutException):
            return TransientError(f"no answer in time ({type(error).__name__})")
        if isinstance(error, httpx.ConnectError):
            return self._connect_error(error)
        if time.monotonic() > deadline:
            return self._too_slow()
        return TransientError(f"the connection broke ({type(error).__name__})")

    def _too_slow(self) -> TransientError:
        return TransientError(f"an answer took longer than {self._request_seconds:g} s")

    def _connect_error(self, error: httpx.ConnectError) -> ApiError | TransientError:
        """Distinguish a bad certificate, which no retry betters, from a network that may come back."""
        cause: BaseException | None = error
        reason = ""
        while cause is not None:
            if isinstance(cause, ssl.SSLCertVerificationError):
                return ApiError(f"{self._host} does not prove who it is ({cause.verify_message}): check MIOSA_BASE_URL")
            if isinstance(cause, ConnectionRefusedError):
                reason = " (connection refused)"
            elif isinstance(cause, ssl.SSLError):
                reason = f" (no TLS: {printable(str(cause.reason))})"
            cause = cause.__cause__ or cause.__context__
        return self._unreachable(reason)

    def _unreachable(self, reason: str) -> TransientError:
        """The error for an address where nobody answers: given up sooner if nobody ever did."""
        tries = None if self._has_answered else self._first_contact_tries
        return TransientError(f"cannot reach {self._host}{reason}: check MIOSA_BASE_URL and the network", tries=tries)


def proxy_for(base_url: str) -> str | None:
    """The proxy that the environment names for the API. None for this machine, so that no proxy sees plain text."""
    parts = urlsplit(base_url)
    host = parts.hostname or ""
    if is_loopback(host) or proxy_bypass(host):
        return None
    proxies = getproxies()
    proxy = proxies.get(parts.scheme) or proxies.get("all")
    return f"http://{proxy}" if proxy and "://" not in proxy else proxy
