"""An open database file: statements, transactions and memory, with DuckDB's errors as one line that says what to do."""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, TypeVar

import duckdb
import tenacity

from core.database.locks import holder, is_held
from core.errors import DiskFullError, ShortOfMemoryError, WarehouseError

logger = logging.getLogger("miosa_billing")

Result = TypeVar("Result")
Rows = list[tuple[Any, ...]]
Query = Callable[[str, Sequence[Any]], Rows]
"""Runs a statement with its values, and returns its rows."""

MEMORY_LIMIT = "200MB"
# For rows so large that this is not enough. DuckDB takes rows by 2,048, and each thread has some at hand.
_LARGER_MEMORY = ("set memory_limit = '800MB'; set threads = 1", "set memory_limit = '3200MB'")


class Database:
    """A connection to a database file. Each method raises `WarehouseError` if DuckDB fails."""

    def __init__(self, connection: duckdb.DuckDBPyConnection, path: Path) -> None:
        """Take over a connection to the file at `path`."""
        self._connection = connection
        self.path = path

    def about(self, path: Path) -> Database:
        """The same connection, whose errors name another file: one that is attached to it."""
        return Database(self._connection, path)

    def execute(self, sql: str, values: Any = None) -> duckdb.DuckDBPyConnection:
        """Run statements. The result is that of the last one."""
        try:
            return self._connection.execute(sql, values) if values is not None else self._connection.execute(sql)
        except duckdb.Error as error:
            raise database_error(error, self.path) from error

    def execute_many(self, sql: str, rows: Sequence[Sequence[Any]]) -> None:
        """Run a statement once per row of values; there must be at least one."""
        try:
            self._connection.executemany(sql, rows)
        except duckdb.Error as error:
            raise database_error(error, self.path) from error

    def query(self, sql: str, values: Sequence[Any] = ()) -> Rows:
        """The rows of a statement."""
        return self.execute(sql, list(values)).fetchall()

    def copy_to(self, sql: str, values: Sequence[Any], file: Path, options: str) -> None:
        """Write the rows of a statement to a file, in their order, with options of DuckDB's `copy`."""
        name = str(file).replace("'", "''")
        try:
            self._connection.execute(f"copy ({sql}) to '{name}' ({options})", list(values))
        except duckdb.Error as error:
            raise database_error(error, file) from error

    @contextlib.contextmanager
    def transaction(self) -> Iterator[None]:
        """All of the block, or nothing of it."""
        self.execute("begin")
        try:
            yield
            self.execute("commit")
        except BaseException as error:
            with contextlib.suppress(duckdb.Error):
                self._connection.execute("rollback")
            if isinstance(error, duckdb.Error):
                raise database_error(error, self.path) from error
            raise

    def with_memory(self, work: Callable[[], Result]) -> Result:
        """Do work that can be repeated, with more memory each time that DuckDB runs out of it."""
        more = iter(_LARGER_MEMORY)

        def take_more(state: tenacity.RetryCallState) -> None:
            logger.info("try %d: %s", state.attempt_number, state.outcome and state.outcome.exception())
            self.execute(next(more))

        retrying = tenacity.Retrying(
            stop=tenacity.stop_after_attempt(1 + len(_LARGER_MEMORY)),
            retry=tenacity.retry_if_exception_type(ShortOfMemoryError),
            before_sleep=take_more,
            reraise=True,
        )
        return retrying(work)

    def close(self) -> None:
        """Close the file. What is not committed is gone."""
        self._connection.close()


def columns(rows: Sequence[Sequence[Any]]) -> list[list[Any]]:
    """Rows, at least one, as columns: lists as parameters of one statement cost little more than one row."""
    return [list(column) for column in zip(*rows, strict=True)]


def database_error(error: duckdb.Error, path: Path) -> WarehouseError:
    """A DuckDB error as one line that says what to do."""
    text = str(error)
    if is_held(error):
        return WarehouseError(f"{path} is held by {holder(error)}: close it there, then run again")
    if isinstance(error, duckdb.OutOfMemoryException) and "No space left" not in text:
        return ShortOfMemoryError(
            f"{path}: there is not the memory for rows as large as these: ask for fewer days at once with --window-days"
        )
    line = " ".join(text.split("\n")[0].split())[:200]
    if any(reason in text for reason in ("No space left", "File too large", "Disk quota exceeded")):
        return DiskFullError(f"the disk of {path} is full: free some space, then run again, it goes on from there")
    return WarehouseError(f"{path} could not be used: {line}")
