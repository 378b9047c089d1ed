"""Threads that read from the API while one thread, the caller's, writes.

The threads are daemons, so that a run which was told to stop need not wait for an answer that may never come.
"""

from __future__ import annotations

import queue
import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Generic, TypeVar

from core.errors import StoppedError

Job = TypeVar("Job")
Piece = TypeVar("Piece")
Result = TypeVar("Result")

MOST_WAITING = 32 << 20
"""Bounds what was fetched but not yet written, in characters: enough to go on fetching while a batch is landed."""


@dataclass(frozen=True, slots=True)
class Event(Generic[Job, Piece, Result]):
    """What a thread reports of a job: a piece of it, or its end (a result or an error)."""

    job: Job
    piece: Piece | None = None
    result: Result | None = None
    error: BaseException | None = None


class Workers(Generic[Job, Piece, Result]):
    """A few threads that do `work(job, emit)` for each job given, and report in events. A context manager."""

    def __init__(
        self,
        work: Callable[[Job, Callable[[Piece], None]], Result],
        threads: int,
        stop: threading.Event,
        weigh: Callable[[Piece], int] = lambda piece: 0,
    ) -> None:
        """Prepare; `grow` starts the threads. `stop` makes them give up what they have in hand.

        Threads wait while pieces of more than `MOST_WAITING`, as `weigh` tells it, are reported and not taken.
        """
        self._work = work
        self._wanted = threads
        self._stop = stop
        self._weigh = weigh
        self._jobs: queue.SimpleQueue[Job | None] = queue.SimpleQueue()
        self._events: queue.SimpleQueue[Event[Job, Piece, Result]] = queue.SimpleQueue()
        self._room = threading.Condition()
        self._waiting = 0
        self._threads: list[threading.Thread] = []
        self.outstanding = 0

    def __enter__(self) -> Workers[Job, Piece, Result]:
        """Start the threads."""
        self.grow(self._wanted)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Let idle threads end. Busy ones end with their request, or with the process."""
        if error is not None:
            self._stop.set()
        for _ in self._threads:
            self._jobs.put(None)

    def grow(self, threads: int) -> None:
        """Have at least so many threads."""
        while len(self._threads) < threads:
            thread = threading.Thread(target=self._run, name=f"extract-{len(self._threads)}", daemon=True)
            self._threads.append(thread)
            thread.start()

    def submit(self, job: Job) -> None:
        """Give a job to the threads."""
        self.outstanding += 1
        self._jobs.put(job)

    def next_event(self) -> Event[Job, Piece, Result]:
        """Wait for the next report. Call it only while jobs are outstanding."""
        event = self._events.get()
        if event.piece is None:
            self.outstanding -= 1
        else:
            with self._room:
                self._waiting -= self._weigh(event.piece)
                self._room.notify_all()
        return event

    def _run(self) -> None:
        """Do jobs until there are no more."""
        while (job := self._jobs.get()) is not None:
            try:
                self._report(self._do(job))
            except StoppedError:
                return

    def _do(self, job: Job) -> Event[Job, Piece, Result]:
        """Do one job, and make an event of how it ended. The thread that gave the job raises its error."""
        try:
            return Event(job, result=self._work(job, lambda piece: self._report(Event(job, piece))))
        except StoppedError:
            raise
        except Exception as error:
            return Event(job, error=error)

    def _report(self, event: Event[Job, Piece, Result]) -> None:
        """Hand an event over; a piece waits for room, but not beyond a stop."""
        if event.piece is not None:
            with self._room:
                while self._waiting > MOST_WAITING and not self._stop.is_set():
                    self._room.wait(0.2)
                self._waiting += self._weigh(event.piece)
        if self._stop.is_set():
            raise StoppedError("stopped")
        self._events.put(event)


class Ahead:
    """Threads that fetch a few items ahead of where they are used, in order."""

    def __init__(self) -> None:
        """Prepare; threads start when first needed, and live as long as the process."""
        self._tasks: queue.SimpleQueue[tuple[Future[Any], Callable[[Any], Any], Any]] = queue.SimpleQueue()
        self._lock = threading.Lock()
        self._threads = 0

    def map(self, work: Callable[[Job], Result], items: Iterable[Job], ahead: int, threads: int) -> Iterator[Result]:
        """Yield `work(item)` for each item in order, up to `ahead` of them begun early, by at most `threads`."""
        with self._lock:
            while self._threads < threads:
                self._threads += 1
                threading.Thread(target=self._run, name=f"extract-ahead-{self._threads}", daemon=True).start()
        begun: deque[Future[Result]] = deque()
        try:
            for item in items:
                future: Future[Result] = Future()
                begun.append(future)
                self._tasks.put((future, work, item))
                if len(begun) > ahead:
                    yield begun.popleft().result()
            while begun:
                yield begun.popleft().result()
        finally:
            for future in begun:
                future.cancel()

    def _run(self) -> None:
        """Do tasks for ever."""
        while True:
            future, work, item = self._tasks.get()
            if not future.set_running_or_notify_cancel():
                continue
            try:
                future.set_result(work(item))
            except BaseException as error:  # kept for whoever asks for the result
                future.set_exception(error)
