"""A total deadline for each request. The HTTP library's own timeouts count between bytes: slow drips never meet them.

A thread checks all requests under way, and shuts the socket of one that is overdue: its read then ends at once.
"""

from __future__ import annotations

import contextlib
import socket
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

_SECONDS_BETWEEN_CHECKS = 0.25


@dataclass(slots=True)
class _Connection:
    """The connection of one thread."""

    socket: socket.socket | None = None
    made_at: float = 0.0


class _PerThread(threading.local):
    def __init__(self) -> None:
        """Called once in each thread."""
        self.connection = _Connection()


class Deadlines:
    """Deadlines of requests that any number of threads send, one at a time each."""

    def __init__(self) -> None:
        """Prepare; the thread that checks starts with the first request."""
        self._lock = threading.Lock()
        self._under_way: dict[int, tuple[float, _Connection]] = {}
        self._per_thread = _PerThread()
        self._is_checking = False

    @contextmanager
    def within(self, deadline: float) -> Iterator[None]:
        """End a request of this thread at `deadline`, on the monotonic clock."""
        with self._lock:
            self._under_way[threading.get_ident()] = (deadline, self._per_thread.connection)
            if not self._is_checking:
                self._is_checking = True
                threading.Thread(target=self._check, name="deadlines", daemon=True).start()
        try:
            yield
        finally:
            with self._lock:
                self._under_way.pop(threading.get_ident(), None)

    def trace(self, event: str, info: Mapping[str, Any]) -> None:
        """The HTTP library's `trace` extension: remember the socket of a connection that this thread opened."""
        if event.endswith(("connect_tcp.complete", "start_tls.complete")):
            connection = self._per_thread.connection
            connection.socket = info["return_value"].get_extra_info("socket") or connection.socket
            connection.made_at = time.monotonic()

    @property
    def connected_at(self) -> float:
        """When this thread's connection was made, on the monotonic clock."""
        return self._per_thread.connection.made_at

    def _check(self) -> None:
        """Shut the sockets of overdue requests, as long as the process lives."""
        while True:
            time.sleep(_SECONDS_BETWEEN_CHECKS)
            now = time.monotonic()
            with self._lock:
                overdue = [connection for deadline, connection in self._under_way.values() if deadline < now]
            for connection in overdue:
                if connection.socket is not None:
                    with contextlib.suppress(OSError):
                        connection.socket.shutdown(socket.SHUT_RDWR)
