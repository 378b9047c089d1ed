"""A total deadline for a request: the HTTP library counts from byte to byte, so a slow drip never meets its timeouts.

A thread looks at all requests under way, and shuts the socket of one whose time is over: its read then ends at once.
"""

from __future__ import annotations

import contextlib
import socket
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

_TICK = 0.25


class Deadlines:
    """Deadlines of requests that any number of threads send, one at a time each."""

    def __init__(self) -> None:
        """Prepare; the thread that looks starts with the first request."""
        self._lock = threading.Lock()
        self._under_way: dict[int, tuple[float, list[socket.socket]]] = {}
        self._local = threading.local()
        self._is_started = False

    @contextmanager
    def within(self, deadline: float) -> Iterator[None]:
        """End a request of this thread, should it last beyond `deadline` on the monotonic clock."""
        sockets: list[socket.socket] = self._sockets
        with self._lock:
            self._under_way[threading.get_ident()] = (deadline, sockets)
            if not self._is_started:
                self._is_started = True
                threading.Thread(target=self._watch, name="deadlines", daemon=True).start()
        try:
            yield
        finally:
            with self._lock:
                self._under_way.pop(threading.get_ident(), None)

    def trace(self, event: str, info: Mapping[str, Any]) -> None:
        """The HTTP library's `trace` extension: note the socket of a connection that this thread opened."""
        if event.endswith(("connect_tcp.complete", "start_tls.complete")):
            connection = info["return_value"].get_extra_info("socket")
            if connection is not None:
                self._sockets[:] = [connection]
            self._local.connected_at = time.monotonic()

    @property
    def connected_at(self) -> float:
        """When this thread's connection stood, on the monotonic clock."""
        moment: float = getattr(self._local, "connected_at", 0.0)
        return moment

    @property
    def _sockets(self) -> list[socket.socket]:
        """The socket that this thread's connection uses, once there is one."""
        found: list[socket.socket] | None = getattr(self._local, "sockets", None)
        if found is None:
            found = self._local.sockets = []
        return found

    def _watch(self) -> None:
        """Shut what is overdue, for as long as the process lives."""
        while True:
            time.sleep(_TICK)
            now = time.monotonic()
            with self._lock:
                overdue = [sockets for deadline, sockets in self._under_way.values() if deadline < now]
            for sockets in overdue:
                for connection in sockets:
                    with contextlib.suppress(OSError):
                        connection.shutdown(socket.SHUT_RDWR)
