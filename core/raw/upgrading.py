"""Brings the raw layer of an earlier version's file up to date, for whoever reads it before the next load."""

from __future__ import annotations

from pathlib import Path

import duckdb

_HAS_RAW = "select count(*) > 0 from duckdb_tables() where schema_name = 'raw' and table_name = 'loads'"


def add_missing_tables(connection: duckdb.DuckDBPyConnection) -> None:
    """Create the tables and columns of raw that the file lacks. A file without any raw layer stays as it is."""
    if connection.execute(_HAS_RAW).fetchall() == [(True,)]:
        connection.execute(Path(__file__).with_name("schema.sql").read_text("utf-8"))
