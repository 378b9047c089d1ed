"""Counts a table of a DuckDB file: a process of its own, so that the one which measures others stays small."""

from __future__ import annotations

import sys

import duckdb


def main() -> None:
    """Print rows and distinct values of a column: FILE TABLE COLUMN."""
    file, table, column = sys.argv[1:]
    with duckdb.connect(file, read_only=True) as connection:
        counts = connection.sql(f"from {table} select count(*), count(distinct {column})").fetchall()
    sys.stdout.write("{} {}\n".format(*counts[0]))


if __name__ == "__main__":
    main()
