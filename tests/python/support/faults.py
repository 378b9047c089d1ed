"""A network that fails at random: it stands between the extractor and the simulator, and spoils some of the answers.

A `Plan` decides, from a seed, which request fails and how; the same request asked again is decided anew. `network`
is a server of its own on loopback that forwards to the simulator, because a reset or a cut body is nothing that an
application behind a web framework could answer.
"""

from __future__ import annotations

import gzip
import http.client
import json
import random
import socket
import struct
import threading
import time
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qsl, urlencode, urlsplit

import oracle
from simulator.rows import to_iso
from simulator.server import HOST, Server

ENDING = ("web page", "error in a success", "no content")
"""What may end the command, so each request meets these on its first asking only. A web page ends it only before
the API has answered JSON in the run."""

PASSING = (
    *("too many requests", "burst of failures", "read timeout", "slow drip", "reset", "truncated", "close-delimited"),
    *("hung up", "broken gzip", "cut gzip", "empty body"),
)
"""What may happen to any request, each time it is asked."""

LISTED = ("other page size", "repeated page")
"""What may happen to a page of a list; for one to be repeated there has to be one before."""

CURSOR_ONLY = ("empty page", "expired cursor")
"""What may happen to a list that pages by cursors; a cursor has to be there for it to expire."""

MOVED = "moved row"
"""A session arrives or vanishes between two pages of its window: only the total tells."""

LIE = "lie"
"""A list that is not empty is answered as one that is, proof included. Nobody can notice; no plan does it unasked."""

_PAUSE = 0.05
_MARGIN = oracle.MICROSECONDS_PER_HOUR
_GAP = "gap."
_STATUSES = (500, 502, 503, 504)
_WEIGHT_OF_PASSING = 5  # to one of ENDING: a command that ends is run again from its start


@dataclass(frozen=True)
class Asked:
    """A request as the plan sees it."""

    target: str
    """Path and query as sent."""

    @property
    def path(self) -> str:
        """The path, still percent-encoded."""
        return urlsplit(self.target).path

    @property
    def query(self) -> dict[str, str]:
        """The query's fields."""
        return dict(parse_qsl(urlsplit(self.target).query, keep_blank_values=True))

    @property
    def is_list(self) -> bool:
        """Whether a list answers it."""
        return self.path.endswith(("/usage/sessions", "/sandboxes"))

    @property
    def is_later_page(self) -> bool:
        """Whether it asks for any page but the first."""
        return self.is_list and ("cursor" in self.query or self.query.get("page", "1") != "1")

    def changed(self, **fields: str | None) -> Asked:
        """The same with other fields in the query; None takes one out."""
        merged: Mapping[str, str | None] = {**self.query, **fields}
        kept = {name: value for name, value in merged.items() if value is not None}
        return Asked(f"{self.path}?{urlencode(kept)}")

    def before(self) -> Asked:
        """The page before; with a cursor, the first one."""
        if "cursor" in self.query:
            return self.changed(cursor=None)
        return self.changed(page=str(max(1, int(self.query.get("page", "1")) - 1)))


@dataclass
class Plan:
    """Which requests fail, and how. Safe to use from several threads."""

    seed: int
    server: Server
    """The simulator behind; sessions are moved in its tenant."""
    share: float = 0.15
    """The probability that a request fails."""
    kinds: tuple[str, ...] | None = None
    """Which faults to choose from; all that fit the server's envelope by default."""
    move_until: int = 0
    """Sessions arrive and vanish before this instant only."""
    done: Counter[str] = field(default_factory=Counter)
    """How often each fault was done."""
    _times_asked: Counter[str] = field(default_factory=Counter)
    _burst: int = 0
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def choose(self, asked: Asked) -> tuple[str | None, random.Random]:
        """The fault for a request (None: it is answered), and the source of whatever else has to be chosen."""
        with self._lock:
            self._times_asked[asked.target] += 1
            occurrence = self._times_asked[asked.target]
            rng = random.Random(f"{self.seed} {occurrence} {asked.target}")
            kind = self._choose(asked, occurrence, rng)
            if kind is not None:
                self.done[kind] += 1
        if kind == MOVED and not self._move(asked, rng):
            kind = None
        return kind, rng

    def _choose(self, asked: Asked, occurrence: int, rng: random.Random) -> str | None:
        if self._burst:
            self._burst -= 1
            return "burst of failures"
        if rng.random() >= self.share:
            return None
        kinds = [*PASSING, *self._list_kinds(asked)] * _WEIGHT_OF_PASSING + list(ENDING if occurrence == 1 else ())
        if self.kinds is not None:
            kinds = [kind for kind in (*kinds, *([LIE] if asked.is_list else ())) if kind in self.kinds]
        kind = rng.choice(kinds) if kinds else None
        if kind == "burst of failures":
            self._burst = rng.randrange(5)
        return kind

    def _list_kinds(self, asked: Asked) -> Iterator[str]:
        """The faults that only a list can have."""
        options = self.server.options
        if not asked.is_list:
            return
        if options.envelope == "cursor":
            yield from CURSOR_ONLY if "cursor" in asked.query else CURSOR_ONLY[:1]
        yield from LISTED if asked.is_later_page else LISTED[:1]
        if (
            asked.is_later_page
            and options.envelope != "cursor"
            and options.window == "start"
            and "until" in asked.query
        ):
            yield from (MOVED, MOVED)

    def _move(self, asked: Asked, rng: random.Random) -> bool:
        """Have a session of the window that is read arrive or vanish. False where none can.

        It lies well inside of the window, so that no other window, which may have been read, lists it too.
        """
        first, last = (oracle.read_time(asked.query[name]) for name in ("since", "until"))
        if first is None or last is None or last > self.move_until or last - first < 3 * _MARGIN:
            return False
        tenant = self.server.tenant
        low, high = first + _MARGIN, last - _MARGIN
        if rng.random() < 0.5:
            start = rng.randrange(low, high)
            times = f'"started_at":"{to_iso(start)}","ended_at":"{to_iso(start + _MARGIN // 2)}"'
            name = f"late-{self.seed}-{self.done[MOVED]}-{rng.getrandbits(32)}"
            tenant.add_session(
                f'{{"id":"{name}","computer_id":"sbx-1","external_user_id":"user-1",{times},"credit_cost":1.25}}'
            )
            return True
        inside = [row.id for row in tenant.sessions if row.id and row.start is not None and low < row.start < high]
        if not inside:
            return False
        with suppress(KeyError):  # another page's fault may have taken it away
            tenant.remove_session(rng.choice(inside))
        return True


class _Gateway(ThreadingHTTPServer):
    """The network's end towards the extractor."""

    daemon_threads = True
    # The simulator's own backlog: many threads may connect at once.
    request_queue_size = 512

    def __init__(self, plan: Plan, hold_seconds: float) -> None:
        super().__init__((HOST, 0), _Exchange)
        self.plan, self.hold_seconds = plan, hold_seconds
        self.upstream = urlsplit(plan.server.base_url).netloc


class _Exchange(BaseHTTPRequestHandler):
    """One connection of the extractor's."""

    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    server: _Gateway

    def log_request(self, code: object = "-", size: object = "-") -> None:
        """Say nothing."""

    def handle(self) -> None:
        """Answer until the client hangs up, in whatever way."""
        with suppress(OSError):
            super().handle()

    def finish(self) -> None:
        """Close the connection, which may be broken."""
        with suppress(OSError):
            super().finish()

    def do_GET(self) -> None:
        """Answer one request, perhaps badly."""
        asked = Asked(self.path)
        kind, rng = self.server.plan.choose(asked)
        with suppress(OSError):
            if kind is None or kind == MOVED:
                self._answer(*self._forward(asked))
            else:
                _DONE[kind](self, asked, rng)

    # What the faults are made of

    def _forward(self, asked: Asked) -> tuple[int, bytes]:
        """Ask the simulator: status and body."""
        cursor = asked.query.get("cursor", "")
        if cursor.startswith(_GAP):
            asked = asked.changed(cursor=cursor.replace(_GAP, "") or None)
        with closing(http.client.HTTPConnection(self.server.upstream)) as upstream:
            upstream.request("GET", asked.target, headers={"Authorization": self.headers["Authorization"]})
            response = upstream.getresponse()
            return response.status, response.read()

    def _answer(self, status: int, body: bytes, **headers: str) -> None:
        """Answer in full."""
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        self._start(status, {"Content-Type": "application/json", "Content-Length": str(len(body)), **named})
        self.wfile.write(body)

    def _start(self, status: int, headers: Mapping[str, str]) -> None:
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.end_headers()

    def _part(self, asked: Asked, rng: random.Random) -> tuple[int, bytes, bytes]:
        """Of the true answer, the status, the body, and a beginning of the body that is not all of it."""
        status, body = self._forward(asked)
        return status, body, body[: rng.randrange(len(body))]

    # The faults

    def too_many_requests(self, asked: Asked, rng: random.Random) -> None:
        """429, with the Retry-After in one of its forms, or what is none."""
        now = datetime.now(UTC)
        texts = ("0", "0.2", "-1", "soon", "nan", *(format_datetime(now + timedelta(seconds=s), True) for s in (0, -9)))
        error: dict[str, object] = {"code": "rate_limited", "message": "Too many requests."}
        if rng.random() < 0.3:
            self._answer(429, json.dumps({"error": {**error, "retry_after_ms": rng.choice((0, 150, 0.5))}}).encode())
        else:
            self._answer(429, json.dumps({"error": error}).encode(), Retry_After=rng.choice(texts))

    def failure(self, asked: Asked, rng: random.Random) -> None:
        """One of a burst: the vendor's error, a gateway's page, or nothing at all."""
        bodies = (b'{"error":{"code":"internal","message":"Sorry."}}', b"<html><body>Bad gateway</body></html>", b"")
        self._answer(rng.choice(_STATUSES), rng.choice(bodies))

    def read_timeout(self, asked: Asked, rng: random.Random) -> None:
        """No answer before the client's patience ends, half of the time after a beginning of one."""
        if rng.random() < 0.5:
            status, body, part = self._part(asked, rng)
            self._start(status, {"Content-Length": str(len(body))})
            self.wfile.write(part)
        time.sleep(self.server.hold_seconds)
        self.close_connection = True

    def slow_drip(self, asked: Asked, rng: random.Random) -> None:
        """The true answer byte by byte: no pause is long, the whole is."""
        status, body = self._forward(asked)
        self._start(status, {"Content-Length": str(len(body))})
        for position in range(len(body)):
            self.wfile.write(body[position : position + 1])
            time.sleep(_PAUSE)

    def reset(self, asked: Asked, rng: random.Random) -> None:
        """A reset in the middle of the body."""
        status, body, part = self._part(asked, rng)
        self._start(status, {"Content-Length": str(len(body))})
        self.wfile.write(part)
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.connection.close()
        self.close_connection = True

    def truncated(self, asked: Asked, rng: random.Random) -> None:
        """An end before the length that was promised."""
        status, body, part = self._part(asked, rng)
        self._start(status, {"Content-Length": str(len(body))})
        self.wfile.write(part)
        self.close_connection = True

    def close_delimited(self, asked: Asked, rng: random.Random) -> None:
        """An end that nothing but the text itself tells from the true one."""
        status, _, part = self._part(asked, rng)
        self._start(status, {"Connection": "close"})
        self.wfile.write(part)
        self.close_connection = True

    def hung_up(self, asked: Asked, rng: random.Random) -> None:
        """An end without an answer."""
        self.close_connection = True

    def broken_gzip(self, asked: Asked, rng: random.Random) -> None:
        """A compressed body with a wrong bit in it and a wrong checksum."""
        status, body = self._forward(asked)
        packed = bytearray(gzip.compress(body))
        packed[-8] ^= 0xFF  # the checksum
        packed[rng.randrange(10, len(packed) - 8)] ^= 1 << rng.randrange(8)
        self._answer(status, bytes(packed), Content_Encoding="gzip")

    def cut_gzip(self, asked: Asked, rng: random.Random) -> None:
        """A compressed body cut short, under the length of what is left of it."""
        status, body = self._forward(asked)
        packed = gzip.compress(body)
        self._answer(status, packed[: rng.randrange(len(packed) * 3 // 4)], Content_Encoding="gzip")

    def empty_body(self, asked: Asked, rng: random.Random) -> None:
        """A success that says nothing."""
        self._answer(200, rng.choice((b"", b"", b" \n")))

    def web_page(self, asked: Asked, rng: random.Random) -> None:
        """A gateway's page, as a success."""
        self._answer(200, b"<!doctype html><html><body>Down for maintenance</body></html>", Content_Type="text/html")

    def error_in_a_success(self, asked: Asked, rng: random.Random) -> None:
        """An error under a status that says success."""
        self._answer(200, rng.choice((b'{"error":{"code":"internal","message":"Sorry."}}', b'{"error":"sorry"}')))

    def no_content(self, asked: Asked, rng: random.Random) -> None:
        """204."""
        self._start(204, {})

    def repeated_page(self, asked: Asked, rng: random.Random) -> None:
        """The page before once more."""
        self._answer(*self._forward(asked.before()))

    def other_page_size(self, asked: Asked, rng: random.Random) -> None:
        """The page by another cap than the ones before."""
        size = rng.randrange(1, 1 + self.server.plan.server.options.max_page_size)
        self._answer(*self._forward(asked.changed(page_size=str(size), limit=None)))

    def empty_page(self, asked: Asked, rng: random.Random) -> None:
        """A page without rows, and a cursor to where the rows are."""
        rows_key = self.server.plan.server.options.rows_key
        key = "data" if rows_key == "sessions" and asked.path.endswith("/sandboxes") else rows_key
        self._answer(200, json.dumps({key: [], "next_cursor": _GAP + asked.query.get("cursor", "")}).encode())

    def expired_cursor(self, asked: Asked, rng: random.Random) -> None:
        """A refusal of the cursor that the page before gave."""
        self._answer(rng.choice((400, 404, 409, 410, 422)), b'{"error":{"code":"cursor_expired","message":"Gone."}}')

    def lie(self, asked: Asked, rng: random.Random) -> None:
        """An empty list that proves itself."""
        self._answer(200, b'{"data":[],"page":{"page":1,"page_size":100,"total":0}}')


_DONE = {
    "too many requests": _Exchange.too_many_requests,
    "burst of failures": _Exchange.failure,
    "read timeout": _Exchange.read_timeout,
    "slow drip": _Exchange.slow_drip,
    "reset": _Exchange.reset,
    "truncated": _Exchange.truncated,
    "close-delimited": _Exchange.close_delimited,
    "hung up": _Exchange.hung_up,
    "broken gzip": _Exchange.broken_gzip,
    "cut gzip": _Exchange.cut_gzip,
    "empty body": _Exchange.empty_body,
    "web page": _Exchange.web_page,
    "error in a success": _Exchange.error_in_a_success,
    "no content": _Exchange.no_content,
    "repeated page": _Exchange.repeated_page,
    "other page size": _Exchange.other_page_size,
    "empty page": _Exchange.empty_page,
    "expired cursor": _Exchange.expired_cursor,
    LIE: _Exchange.lie,
}


@contextmanager
def network(plan: Plan, hold_seconds: float = 2.0) -> Iterator[str]:
    """Run the network of a plan while the context lasts. Gives the API's base URL as seen through it.

    `hold_seconds` is how long a request that shall time out is held: more than the client's patience.
    """
    gateway = _Gateway(plan, hold_seconds)
    thread = threading.Thread(target=gateway.serve_forever, args=(0.05,), name="network", daemon=True)
    thread.start()
    try:
        yield f"http://{HOST}:{gateway.server_address[1]}{urlsplit(plan.server.base_url).path}"
    finally:
        gateway.shutdown()
        gateway.socket.close()
        thread.join(10)
