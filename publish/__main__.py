"""`python -m publish`."""

from core import early

if __name__ == "__main__":
    early.guard("publish")

    from publish.cli import main

    main()
