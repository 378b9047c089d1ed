"""An API that costs as little as it can: it answers from bytes rendered before, in a process of its own.

An answer is rendered when it is first asked for, and kept. A benchmark therefore runs each contender once without the
clock, which asks for everything that its timed runs ask for; `/_bench` tells how many answers a timed run had to wait
for, and what it asked. Prints its base URL once it listens, and ends when its standard input does.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import socket
import sys
import threading
from collections.abc import Awaitable, Callable
from datetime import datetime
from typing import Any, NamedTuple
from urllib.parse import parse_qs

import uvicorn

from benchmarks.extract.sessions import Sessions

API = "/api/v1"
CONTROL = "/_bench"
"""Asked with GET: what was asked since the last time, as `{"late": …, "targets": […]}`; and begins to count anew."""

_LARGEST_PAGE = 100
_DEFAULT_PAGE = 20

Send = Callable[[dict[str, Any]], Awaitable[None]]
Receive = Callable[[], Awaitable[dict[str, Any]]]


class Answer(NamedTuple):
    """An answer, ready to be sent."""

    status: int
    body: bytes


class Api:
    """The ASGI application. Its routes are those that the extractor asks."""

    def __init__(self, sessions: Sessions, latency: float = 0.0) -> None:
        """Serve these sessions, holding each answer back for `latency` seconds."""
        self._sessions = sessions
        self._latency = latency
        self._answers: dict[str, Answer] = {}
        self._targets: list[str] = []
        self._late = 0

    async def __call__(self, scope: dict[str, Any], receive: Receive, send: Send) -> None:
        """Answer one request."""
        query = scope["query_string"].decode()
        target = f"{scope['path']}?{query}" if query else scope["path"]
        if scope["path"] == CONTROL:
            await _answer(send, self._report())
            return
        answer = self._answers.get(target)
        if answer is None:
            self._late += 1
            answer = self._answers[target] = self._render(scope["path"].removeprefix(API), query)
        self._targets.append(target)
        if self._latency:
            await asyncio.sleep(self._latency)
        await _answer(send, answer)

    def _report(self) -> Answer:
        """Tell what was asked, and begin anew."""
        body = json.dumps({"late": self._late, "targets": self._targets}).encode()
        self._late, self._targets = 0, []
        return Answer(200, body)

    def _render(self, path: str, query: str) -> Answer:
        """Render the answer to one request."""
        params = {name: values[-1] for name, values in parse_qs(query).items()}
        if path == "/usage/sessions":
            return self._page(params)
        if path == "/sandboxes":
            return Answer(200, _envelope([], 1, _DEFAULT_PAGE, 0))
        if path == "/usage":
            period = {"period_start": params["start"], "period_end": params["end"]}
            return _json(200, {**period, "results": []})
        if path == "/usage/summary":
            return _json(200, {**params, "compute_hours": 0, "total_credits": 0})
        error = {"code": "not_found", "message": "there is nothing here", "request_id": "req_bench"}
        return _json(404, {"error": error})

    def _page(self, params: dict[str, str]) -> Answer:
        """Render a page of the sessions that began in the window asked for, or of all."""
        since = _time(params.get("since")) or self._sessions.start
        until = _time(params.get("until")) or self._sessions.end
        size = min(int(params.get("page_size", _DEFAULT_PAGE)), _LARGEST_PAGE)
        number = int(params.get("page", 1))
        numbers = self._sessions.starting(since, until)
        rows = [self._sessions.render(n) for n in numbers[(number - 1) * size : number * size]]
        return Answer(200, _envelope(rows, number, size, len(numbers)))


def _envelope(rows: list[str], number: int, size: int, total: int) -> bytes:
    """A list's page in the documented envelope."""
    return f'{{"data":[{",".join(rows)}],"page":{{"page":{number},"page_size":{size},"total":{total}}}}}'.encode()


def _json(status: int, value: Any) -> Answer:
    """An answer that says a value."""
    return Answer(status, json.dumps(value).encode())


def _time(text: str | None) -> datetime | None:
    """A time of a query, without its zone, which is UTC."""
    return datetime.fromisoformat(text).replace(tzinfo=None) if text else None


async def _answer(send: Send, answer: Answer) -> None:
    """Send an answer."""
    headers = [(b"content-type", b"application/json"), (b"content-length", str(len(answer.body)).encode())]
    await send({"type": "http.response.start", "status": answer.status, "headers": headers})
    await send({"type": "http.response.body", "body": answer.body})


class _Uvicorn(uvicorn.Server):
    """A server that says where it is, and ends with its standard input."""

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Listen, tell, and watch the standard input from a thread."""
        await super().startup(sockets)
        for listener in sockets or []:
            host, port = listener.getsockname()
            sys.stdout.write(f"http://{host}:{port}{API}\n")
        sys.stdout.flush()
        threading.Thread(target=self._end_with_input, daemon=True).start()

    def _end_with_input(self) -> None:
        """Wait until whoever started this process lets go of it, by intent or by dying."""
        sys.stdin.read()
        self.should_exit = self.force_exit = True


def main() -> None:
    """Serve until the standard input ends."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0] if __doc__ else None)
    parser.add_argument("--sessions", type=int, required=True)
    parser.add_argument("--users", type=int, default=100)
    parser.add_argument("--start", type=datetime.fromisoformat, required=True, help="when the first session began")
    parser.add_argument("--end", type=datetime.fromisoformat, required=True)
    parser.add_argument("--latency-ms", type=float, default=0.0)
    given = parser.parse_args()
    app = Api(Sessions(given.sessions, given.users, given.start, given.end), given.latency_ms / 1000)
    # A socket that does not name TCP keeps Nagle's delay in asyncio: each answer would take 40 ms longer.
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP) as listener:
        listener.bind(("127.0.0.1", 0))
        # h11 named, so that results do not depend on what else happens to be installed.
        config = uvicorn.Config(app, http="h11", log_level="error", access_log=False, lifespan="off", ws="none")
        _Uvicorn(config).run([listener])


if __name__ == "__main__":
    main()
