"""`python -m extract`."""

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
    # What comes next is imported in half a second, in which a signal would end in a traceback.
    for _number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(_number, _leave)

    from extract.cli import main

    main()
