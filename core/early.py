"""What a command does before it imports anything that takes time."""

import os
import signal
import sys
from types import FrameType


def guard(name: str) -> None:
    """End a command at once, with one line, by a signal that comes while it is still importing: nothing was begun."""

    def leave(number: int, frame: FrameType | None) -> None:
        if sys.stderr:  # closed, it is None
            sys.stderr.write(f"{name}: stopped before anything was asked\n")
            sys.stderr.flush()
        os._exit(128 + number)

    # What comes next is imported in a quarter of a second, in which a signal would end in a traceback.
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, leave)
    # httpx brings a command line of its own, if it can import what that draws with: a sixth of the time to start.
    sys.modules["httpx._main"] = None  # type: ignore[assignment]
