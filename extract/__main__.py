"""`python -m extract`."""

import gc
import os
import signal
import sys
from types import FrameType


def _leave(number: int, frame: FrameType | None) -> None:
    """End at once: nothing was begun."""
    sys.stderr.write("extract: stopped before anything was asked\n")
    sys.stderr.flush()
    os._exit(128 + number)


if __name__ == "__main__":
    # What comes next is imported in a third of a second, in which a signal would end in a traceback.
    for _number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(_number, _leave)
    # httpx brings a command line of its own, if it can import what that draws with: a sixth of the time to start.
    sys.modules["httpx._main"] = None  # type: ignore[assignment]
    # What is imported stays, so looking for garbage in it, now and later, would be in vain.
    gc.disable()

    from extract.cli import main

    gc.freeze()
    gc.enable()
    main()
