"""A simulated API in a thread of the test or the demo, on a free port of loopback."""

from __future__ import annotations

import socket
import threading
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import uvicorn
from starlette.applications import Starlette

from simulator.app import API, Fault, Options, create_app
from simulator.limiter import Limiter
from simulator.tenant import Tenant

HOST = "127.0.0.1"
"""The only address that a simulator binds to."""

_START_SECONDS = 30
_STOP_SECONDS = 10


@dataclass(frozen=True)
class Server:
    """A running server: where it is, what it serves, and what was asked of it."""

    base_url: str
    """The API's base URL, with `/api/v1`."""
    tenant: Tenant
    """What it serves; change it and the next answer shows it."""
    options: Options
    """How it serves it."""
    requests: deque[tuple[str, str, dict[str, str]]]
    """The latest requests to the API: method, path as sent, query."""
    limiter: Limiter | None = None
    """What limits the rate of requests, and counts what it refused; None if nothing does."""

    @property
    def control_url(self) -> str:
        """The base URL of the control routes."""
        return self.base_url.removesuffix(API) + "/_simulator"


class Uvicorn(uvicorn.Server):
    """A uvicorn server that says when it listens."""

    def __init__(self, config: uvicorn.Config, on_ready: Callable[[], object]) -> None:
        """Hold the configuration; `run` starts it, and calls `on_ready` once."""
        super().__init__(config)
        self._on_ready = on_ready

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Start to listen, then call `on_ready`."""
        await super().startup(sockets)
        self._on_ready()


def bind(port: int = 0) -> socket.socket:
    """A socket that listens on loopback: bound before the server starts, so no other process can take the port.

    Port 0 takes a free one. Raises `OSError` where the port is taken.
    """
    # Only for sockets that name TCP does asyncio switch Nagle's delay off: without, each answer takes 40 ms longer.
    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((HOST, port))
        listener.listen(512)
    except OSError:
        listener.close()
        raise
    return listener


def base_url(listener: socket.socket) -> str:
    """The API's base URL on a bound socket."""
    return f"http://{HOST}:{listener.getsockname()[1]}{API}"


def configure(app: Starlette) -> uvicorn.Config:
    """Uvicorn's configuration for the simulator: quiet, and stopping at once."""
    return uvicorn.Config(
        app,
        log_level="error",
        access_log=False,
        lifespan="off",
        ws="none",
        timeout_graceful_shutdown=1,
    )


@contextmanager
def serve(tenant: Tenant, options: Options | None = None, fault: Fault | None = None) -> Iterator[Server]:
    """Serve a tenant on a free loopback port while the context lasts.

    Raises `RuntimeError` where the server does not come up.
    """
    options = options or Options()
    app = create_app(tenant, options, fault)
    ready = threading.Event()
    server = Uvicorn(configure(app), on_ready=ready.set)
    with bind() as listener:
        thread = threading.Thread(target=server.run, args=([listener],), name="simulator", daemon=True)
        thread.start()
        if not ready.wait(_START_SECONDS):
            raise RuntimeError("the simulated API did not start")
        try:
            yield Server(base_url(listener), tenant, options, app.state.requests, app.state.limiter)
        finally:
            # Not waiting for connections that a client keeps open makes a test's end quick.
            server.should_exit = server.force_exit = True
            thread.join(_STOP_SECONDS)
