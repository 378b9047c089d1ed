"""`python -m publish`."""

import contextlib
import sys

if __name__ == "__main__":
    # `main` handles signals itself. Until it does, Ctrl-C raises KeyboardInterrupt, perhaps in the middle of an import.
    try:
        from publish.cli import main

        main()
    except KeyboardInterrupt:
        if sys.stderr:  # None if the stream is closed
            with contextlib.suppress(OSError):
                print("publish: stopped before anything was asked", file=sys.stderr)  # noqa: T201
        sys.exit(130)
