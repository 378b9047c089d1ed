"""Reading a figure: its rows, and the statement with which a reader gets the same rows."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from core.database.connection import Database
from core.sql_files import sql_files

sql = sql_files(__file__)

_ROWS_AT_ONCE = 10_000


@dataclass(frozen=True)
class Figure:
    """The rows of one figure."""

    name: str
    columns: tuple[str, ...]
    rows: list[tuple[Any, ...]]
    statement: str
    """SQL that gives these rows in any DuckDB client: the values are written in."""

    @cached_property
    def records(self) -> list[dict[str, Any]]:
        """The rows by column name."""
        return [dict(zip(self.columns, row, strict=True)) for row in self.rows]


@dataclass(frozen=True)
class Figures:
    """The figures of one billing period."""

    database: Database
    period: str
    """`YYYY-MM`; checked by the settings, so that it can stand in a statement."""

    def read(self, name: str, top: int | None = None) -> Figure:
        """A figure that is small: the page shows it whole. `top` is how many rows it names. Raises `WarehouseError`."""
        result = self.database.execute(sql(f"{name}"), self._values(name, top))
        columns = tuple(column[0] for column in result.description)
        return Figure(name, columns, result.fetchall(), self.statement(name, top))

    def stream(self, name: str, top: int | None = None) -> tuple[tuple[str, ...], Iterator[tuple[Any, ...]]]:
        """The columns and the rows of a figure that may have a million of them. Raises `WarehouseError`.

        Read the rows before the next figure: both come through the same connection.
        """
        result = self.database.execute(sql(f"{name}"), self._values(name, top))

        def rows() -> Iterator[tuple[Any, ...]]:
            while found := result.fetchmany(_ROWS_AT_ONCE):
                yield from found

        return tuple(column[0] for column in result.description), rows()

    def statement(self, name: str, top: int | None = None) -> str:
        """The statement with its values written in, for readers."""
        lines = [line for line in sql(f"{name}").strip().split("\n") if not line.startswith("-- $")]
        purpose = [line for line in lines if line.startswith("--")]
        body = "\n".join(line for line in lines if not line.startswith("--")).replace("$1", f"'{self.period}'")
        return "\n".join([*purpose, body]).replace("$2", str(top))

    def _values(self, name: str, top: int | None) -> list[Any]:
        """The values of the parameters that the statement has."""
        parameters = set(re.findall(r"\$\d", re.sub(r"(?m)^--.*$", "", sql(f"{name}"))))
        return ([self.period] if "$1" in parameters else []) + ([top] if "$2" in parameters else [])
