"""Creating and opening a database file."""

from __future__ import annotations

import contextlib
import logging
import os
import tempfile
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, Literal

import duckdb

from core.database.checkpoint import KEEP_LOG_ON_CLOSE, NEVER_CHECKPOINT, CheckpointProcess
from core.database.connection import MEMORY_LIMIT, Database, database_error
from core.database.locks import lock_folder, open_when_free
from core.database.path import check_database_path
from core.errors import WarehouseError

logger = logging.getLogger("miosa_billing")

_MOST_THREADS = 4


def create_database(path: Path, lock_seconds: float = 30.0) -> None:
    """Create an empty database, whole or not at all, unless the file exists. Raises `WarehouseError`.

    DuckDB creates a file in several writes, between which a kill leaves one that nothing opens. So it is created under
    another name and renamed. Another process that creates a file in the same folder is waited for, up to
    `lock_seconds`.
    """
    if path.exists():
        return
    with lock_folder(path, lock_seconds):
        if path.exists():
            return
        if path.is_symlink():  # perhaps of a disk that is not mounted, which holds the warehouse
            raise WarehouseError(
                f"{path} is a link to {path.readlink()}, which is not there: bring that file back, or remove the link"
            )
        log = path.with_name(f"{path.name}.wal")
        if log.exists():
            raise WarehouseError(f"{log} is there without {path.name}: bring that file back, or move the log away")
        new = path.with_name(f"{path.name}.new")
        for leftover in (new, new.with_name(f"{new.name}.wal")):
            leftover.unlink(missing_ok=True)
        duckdb.connect(str(new)).close()
        new.rename(path)


def open_for_writing(path: Path, lock_seconds: float) -> Database:
    """Open the file for writing, readable by its owner only; create it if it is missing. Raises `WarehouseError`."""
    _check_writable(path)
    create_database(path, lock_seconds)
    connection = _open(path, lock_seconds, config=NEVER_CHECKPOINT)
    try:
        connection.execute(KEEP_LOG_ON_CLOSE)
    except duckdb.Error as error:
        raise database_error(error, path) from error
    for suffix in ("", ".wal"):
        with contextlib.suppress(FileNotFoundError, PermissionError):
            path.with_name(path.name + suffix).chmod(0o600)
    return Database(connection, path)


@contextlib.contextmanager
def open_for_reading(path: Path, lock_seconds: float) -> Iterator[Database]:
    """Open a warehouse that exists; nothing in it changes. Raises `WarehouseError`."""
    _require_warehouse(path)
    with contextlib.closing(_open(path, lock_seconds, read_only=True)) as connection:
        yield Database(connection, path)


@contextlib.contextmanager
def attach_for_reading(
    path: Path, lock_seconds: float, *, memory_limit: str, spill_to: Path, name: str = "warehouse"
) -> Iterator[Database]:
    """Open a file like `open_for_reading`, beside which other files can be attached for writing.

    Its name in queries is `name`. What does not fit into `memory_limit` goes to the folder `spill_to`, which is made
    when it is needed. Raises `WarehouseError`.
    """
    _require_warehouse(path)
    limits = {**_limits(), "memory_limit": memory_limit, "temp_directory": str(spill_to)}
    with contextlib.closing(duckdb.connect(config=limits)) as connection:
        literal = str(path).replace("'", "''")

        def attach() -> None:
            connection.execute(f"attach '{literal}' as {name} (read_only)")

        try:
            open_when_free(attach, path, lock_seconds, logger.warning)
            connection.execute(f"use {name}; set TimeZone = 'UTC'")
        except duckdb.Error as error:
            raise database_error(error, path) from error
        yield Database(connection, path)


def hold_for_dbt(
    path: Path,
    config: dict[str, Any],
    lock_seconds: float,
    announce: Callable[[str], object],
    *,
    creates: bool = False,
) -> duckdb.DuckDBPyConnection:
    """Hold the file, with dbt's own settings, until dbt has opened it in this process: no other process gets between.

    A missing file is made only if `creates` is set. `announce` is called with a line if another process has to be
    waited for. Raises `ConfigurationError` and `WarehouseError`.
    """
    check_database_path(path)
    _check_writable(path)
    if not creates and not path.exists():
        raise WarehouseError(
            f"there is no warehouse at {path}: set WAREHOUSE_PATH to the file of `python -m extract`, or run that first"
        )
    try:
        held = open_when_free(lambda: duckdb.connect(str(path), config=config), path, lock_seconds, announce)
        held.execute(KEEP_LOG_ON_CLOSE)
    except duckdb.Error as error:
        raise database_error(error, path) from error
    _make_log_private(path)
    return held


def _make_log_private(path: Path) -> None:
    """Let only the owner read the write-ahead log, from its first byte on, whatever the umask.

    Call it while this process holds the file. DuckDB makes the log with its first change, and goes on with an empty one
    that is there. The umask itself is not ours to set here: dbt makes other files with it.
    """
    log = path.with_name(f"{path.name}.wal")
    with contextlib.suppress(PermissionError):
        os.close(os.open(log, os.O_WRONLY | os.O_CREAT, 0o600))
        log.chmod(0o600)


def _require_warehouse(path: Path) -> None:
    """Refuse a path at which no database can be read."""
    if not path.exists():
        raise WarehouseError(f"there is no warehouse at {path}: run `python -m extract`, then `dbt build`")
    try:
        _check_head(path)
    except OSError as error:
        raise WarehouseError(f"cannot read {path} ({error.strerror}): set WAREHOUSE_PATH to another place") from error


def _limits() -> dict[str, Any]:
    """What every connection may use."""
    return {
        "memory_limit": MEMORY_LIMIT,
        "threads": str(min(_MOST_THREADS, os.cpu_count() or 1)),
        "preserve_insertion_order": "false",
        "autoinstall_known_extensions": "false",
        "autoload_known_extensions": "false",
    }


def _open(
    path: Path, lock_seconds: float, *, read_only: bool = False, config: Mapping[str, str] | None = None
) -> duckdb.DuckDBPyConnection:
    """Open the file, waiting a bounded time for another process that holds it."""
    limits = {**(config or {}), **_limits()}

    def connect() -> duckdb.DuckDBPyConnection:
        return open_when_free(
            lambda: duckdb.connect(str(path), read_only=read_only, config=limits), path, lock_seconds, logger.warning
        )

    try:
        try:
            connection = connect()
        except duckdb.OutOfMemoryException:
            # A killed build left deletions all over a large history: the log needs more memory than a run may take.
            with CheckpointProcess(path) as process:
                process.checkpoint()
            connection = connect()
        connection.execute("set TimeZone = 'UTC'")
        # DuckDB would draw a bar of its own on standard output where a query takes longer than two seconds.
        connection.execute("set enable_progress_bar = false")
    except duckdb.Error as error:
        raise database_error(error, path) from error
    return connection


def _check_writable(path: Path) -> None:
    """Refuse a file that is not a DuckDB database, and a folder in which no file can be created."""
    folder = path.parent
    try:
        if not folder.is_dir():
            raise WarehouseError(f"{folder} is no folder: create it, or set WAREHOUSE_PATH to another place")
        with tempfile.TemporaryFile(dir=folder):
            pass
        if path.exists():
            _check_head(path, "r+b")
    except OSError as error:
        raise WarehouseError(
            f"cannot write at {path} ({error.strerror}): set WAREHOUSE_PATH to another place"
        ) from error


def _check_head(path: Path, mode: Literal["rb", "r+b"] = "rb") -> None:
    """Refuse a file that is not a DuckDB database. Raises `OSError` if it cannot be opened in this mode."""
    if not path.is_file():
        raise WarehouseError(f"{path} is no file: set WAREHOUSE_PATH to the warehouse's file")
    with path.open(mode) as file:
        head = file.read(12)
    if head[8:] != b"DUCK":
        kind = "is empty" if not head else "is not a DuckDB database"
        raise WarehouseError(f"{path} {kind}: refused, nothing was changed; move it away or restore it from a backup")
