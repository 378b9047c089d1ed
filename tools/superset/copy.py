"""The published copy, as far as data sets need it: its columns."""

from __future__ import annotations

from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import duckdb

_COLUMNS = """
    select table_name, column_name, data_type, comment
    from duckdb_columns()
    where database_name = current_database() and schema_name = 'marts'
    order by table_name, column_index
"""


@dataclass(frozen=True)
class Column:
    """A column of a mart, with DuckDB's name of its type, and the description of the contract."""

    name: str
    type: str
    description: str

    @property
    def is_time(self) -> bool:
        """Whether a time axis can be made of it."""
        return self.type in ("DATE", "TIMESTAMP")


def columns(path: Path) -> dict[str, list[Column]]:
    """The columns of each mart. Raises `duckdb.Error`."""
    config: dict[str, str | bool | int | float | list[str]] = {
        "enable_external_access": "false",
        "lock_configuration": "true",
    }
    found: dict[str, list[Column]] = {}
    with closing(duckdb.connect(str(path), read_only=True, config=config)) as connection:
        for mart, name, kind, comment in connection.execute(_COLUMNS).fetchall():
            found.setdefault(mart, []).append(Column(name, kind, comment or ""))
    return found
