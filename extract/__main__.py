"""`python -m extract`."""

import gc

from core import early

if __name__ == "__main__":
    early.guard("extract")
    # What is imported stays, so looking for garbage in it, now and later, would be in vain.
    gc.disable()

    from extract.cli import main

    gc.freeze()
    gc.enable()
    main()
