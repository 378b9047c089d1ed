"""A bare loop: fetch what a file lists, one after the other over one connection, and drop it.

It does what nobody who reads the API can do without, and nothing else: no thread, no retry, no parsing, no file.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import httpx

_OK = frozenset({200, 404})
"""A user without a quota is a 404, and an answer like any other."""


def fetch(origin: str, targets: list[str]) -> None:
    """Fetch each target, a path with its query. Raises `RuntimeError` for an answer that is none."""
    with httpx.Client(base_url=origin, headers={"Authorization": "Bearer msk_bench"}, trust_env=False) as client:
        for target in targets:
            response = client.get(target)
            if response.status_code not in _OK:
                raise RuntimeError(f"status {response.status_code} for {target}")


def main() -> None:
    """Fetch what the file lists."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0] if __doc__ else None)
    parser.add_argument("origin", help="the server, as http://host:port")
    parser.add_argument("targets", type=Path, help="a file with one path and query a line")
    given = parser.parse_args()
    fetch(given.origin, given.targets.read_text("utf-8").splitlines())


if __name__ == "__main__":
    main()
