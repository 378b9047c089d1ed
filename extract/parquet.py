"""A copy of the raw layer as Parquet files by month, for engines that cannot read the warehouse file.

`FOLDER/<table>/month=YYYY-MM/load_<load_id>.parquet`, columns and types as in schema.sql. The month is that of a
session's start (none if the start is unreadable); for all other tables, that of the end of the load. A load is complete
once its file in `loads/` exists: that file is written last, and then no file of the load is ever written again.
"""

from __future__ import annotations

import glob
import os
import re
import tempfile
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from typing import Any

from core.errors import WarehouseError
from core.raw.writer import RawWriter
from core.sql_files import sql_files

sql = sql_files(__file__)

_NO_MONTH = "__HIVE_DEFAULT_PARTITION__"
"""What readers of such folders read as null."""
# Loads whose files become visible, and safe from a power cut, together.
_LOADS_AT_A_TIME = 200
# Groups of rows that a million rows can be sorted and written in within the memory limit.
_FORMAT = "format parquet, compression zstd, row_group_size 20480, use_tmp_file false"
_NAME = re.compile(r"load_([0-9]+)\.parquet")

_IS_LOAD_OF_RUN = "select count(*) > 0 from raw.loads where load_id = $1 and run_id = $2"

_RUN_OF_LOAD = "select run_id from read_parquet($1) where load_id = $2"

_ROWS = {
    "loads": "select * from raw.loads where load_id = $1",
    "sandboxes": "select * from raw.sandboxes where load_id = $1 order by row_number",
    "quotas": "select * from raw.quotas where load_id = $1 order by row_number",
    "quota_reads": "select * from raw.quota_reads where load_id = $1 order by row_key",
    "usage_rollups": "select * from raw.usage_rollups where load_id = $1 order by row_number",
    "usage_summaries": "select * from raw.usage_summaries where load_id = $1 order by row_number",
    "credit_balances": "select * from raw.credit_balances where load_id = $1 order by row_number",
    "credit_transactions": "select * from raw.credit_transactions where load_id = $1 order by row_number",
    "billing_invoices": "select * from raw.billing_invoices where load_id = $1 order by row_number",
    "billing_overviews": "select * from raw.billing_overviews where load_id = $1 order by row_number",
}


@dataclass(frozen=True, slots=True)
class _File:
    """A file to write: its path, and the statement whose rows it holds."""

    path: Path
    statement: str
    values: Sequence[Any]

    @property
    def part(self) -> Path:
        """The path while it is written: readers ignore names that begin with an underscore."""
        return self.path.with_name(f"_{self.path.name}.part")


class ParquetFolder:
    """A folder that holds every load of a warehouse as Parquet. Only the process that holds the warehouse writes it."""

    def __init__(self, folder: Path, warehouse: RawWriter) -> None:
        """Create the folder if it is missing.

        Raises `WarehouseError` if it cannot be written, or belongs to another warehouse.
        """
        self._folder = folder
        self._warehouse = warehouse
        try:
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            with tempfile.TemporaryFile(dir=folder):
                pass
            for table in ("usage_sessions", *_ROWS):
                (folder / table).mkdir(mode=0o700, exist_ok=True)
                with tempfile.TemporaryFile(dir=folder / table):
                    pass
            self._present = self._find()
        except OSError as error:
            raise WarehouseError(
                f"cannot write Parquet in {folder} ({error.strerror}): give --parquet another folder"
            ) from error
        self._refuse_others()

    def complete(self) -> int:
        """Write every load that the folder does not hold. Returns how many. Raises `WarehouseError`."""
        loads = self._warehouse.database.query(sql("parquet_missing_loads"), [[*self._present]])
        try:
            for first in range(0, len(loads), _LOADS_AT_A_TIME):
                batch = loads[first : first + _LOADS_AT_A_TIME]
                self._write(
                    file
                    for load_id, tables, month in batch
                    for table in tables
                    for file in self._files(load_id, table, month)
                )
                self._write(
                    self._file("loads", month, load_id, _ROWS["loads"], [load_id]) for load_id, _, month in batch
                )
        except OSError as error:
            raise WarehouseError(
                f"cannot write Parquet in {self._folder} ({error.strerror}): what is landed stays; mend that, then run "
                "again, it goes on from there"
            ) from error
        return len(loads)

    def _find(self) -> dict[int, Path]:
        """The complete loads, with their files in `loads/`."""
        found = (self._folder / "loads").glob("month=*/load_*.parquet")
        return {int(match[1]): path for path in found if (match := _NAME.fullmatch(path.name))}

    def _refuse_others(self) -> None:
        """Refuse a folder of another warehouse, whose loads have the same ids: compare the run of the newest load."""
        if not self._present:
            return
        load_id = max(self._present)
        wrote = self._warehouse.database.query(_RUN_OF_LOAD, [glob.escape(str(self._present[load_id])), load_id])
        if not wrote or self._warehouse.database.query(_IS_LOAD_OF_RUN, [load_id, wrote[0][0]]) != [(True,)]:
            raise WarehouseError(
                f"{self._folder} holds loads that this warehouse does not: give --parquet an empty folder, or set "
                "WAREHOUSE_PATH to the warehouse that they are of"
            )

    def _files(self, load_id: int, table: str, month: str) -> list[_File]:
        """The files for the rows of a load."""
        if table != "usage_sessions":
            return [self._file(table, month, load_id, _ROWS[table], [load_id])]
        months = [found for (found,) in self._warehouse.database.query(sql("parquet_session_months"), [load_id])]
        return [self._file(table, found, load_id, sql("parquet_sessions"), [load_id, found]) for found in months]

    def _file(self, table: str, month: str | None, load_id: int, statement: str, values: Sequence[Any]) -> _File:
        """The file of a load for a table and month."""
        return _File(
            self._folder / table / f"month={month or _NO_MONTH}" / f"load_{load_id}.parquet", statement, values
        )

    def _write(self, files: Iterable[_File]) -> None:
        """Write files under temporary names, then rename them, so that no kill or power cut leaves half a file."""
        written: list[_File] = []
        for file in files:
            if not file.path.parent.exists():
                file.path.parent.mkdir(mode=0o700, exist_ok=True)
                _sync(file.path.parent.parent)
            # For its owner only from the start, whatever the umask. A part that a kill left is overwritten.
            os.close(os.open(file.part, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600))
            self._warehouse.database.copy_to(file.statement, file.values, file.part, _FORMAT)
            _sync(file.part)
            written.append(file)
        for file in written:
            file.part.rename(file.path)
        for folder, _ in groupby(sorted(file.path.parent for file in written)):
            _sync(folder)


def _sync(path: Path) -> None:
    """Make what was written of a file or folder survive a power cut."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
