"""The raw layer once more as Parquet files by month, for engines that cannot read the warehouse's file.

`FOLDER/<table>/month=YYYY-MM/load_<load_id>.parquet`, columns and types as in schema.sql. The month is that of a
session's start; where there is none, and of everything else, see `_TABLES`. A load is there when its file in `loads/`
is: that one is written last, and no file of such a load is ever written again.
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
from extract.warehouse import Warehouse

_NO_MONTH = "__HIVE_DEFAULT_PARTITION__"
"""What readers of such folders take for null."""
# Loads whose files become visible, and safe from a power cut, together.
_LOADS_AT_A_TIME = 200
_NAME = re.compile(r"load_([0-9]+)\.parquet")

_LOADS = """
select load_id, case resource when 'session_voids' then 'usage_sessions' else resource end, rows_added > 0,
    strftime(ended_at_utc, '%Y-%m')
from raw.loads
where load_id not in (select unnest($1::bigint[]))
order by load_id
"""

_IS_OURS = "select count(*) > 0 from raw.loads where load_id = $1 and run_id = $2"

_WRITTEN_BY = "select run_id from read_parquet($1) where load_id = $2"

_SESSION_MONTHS = """
select distinct strftime(started_at_utc, '%Y-%m') as month
from raw.usage_sessions
where load_id = $1
order by month nulls last
"""

_SESSIONS = """
select *
from raw.usage_sessions
where load_id = $1 and strftime(started_at_utc, '%Y-%m') is not distinct from $2
order by row_number
"""

_ROWS = {
    "loads": "select * from raw.loads where load_id = $1",
    "sandboxes": "select * from raw.sandboxes where load_id = $1 order by row_number",
    "quotas": "select * from raw.quotas where load_id = $1 order by row_number",
    "usage_rollups": "select * from raw.usage_rollups where load_id = $1 order by row_number",
    "usage_summaries": "select * from raw.usage_summaries where load_id = $1 order by row_number",
}


@dataclass(frozen=True, slots=True)
class _File:
    """A file to write: its place, and the rows of it."""

    path: Path
    sql: str
    values: Sequence[Any]

    @property
    def part(self) -> Path:
        """Where it is written until it is whole: readers pass over names that begin so."""
        return self.path.with_name(f"_{self.path.name}.part")


class ParquetFolder:
    """A folder that holds every load of a warehouse as Parquet; it is whoever's holds the warehouse for writing."""

    def __init__(self, folder: Path, warehouse: Warehouse) -> None:
        """Make the folder where it is missing. Raises `WarehouseError` where it cannot be written, or is another's."""
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
        """Write every load that the folder has not. Returns how many. Raises `WarehouseError`."""
        loads = self._warehouse.query(_LOADS, [[*self._present]])
        try:
            for first in range(0, len(loads), _LOADS_AT_A_TIME):
                batch = loads[first : first + _LOADS_AT_A_TIME]
                self._write(
                    file
                    for load_id, table, has_rows, month in batch
                    if has_rows
                    for file in self._files(load_id, table, month)
                )
                self._write(
                    self._file("loads", month, load_id, _ROWS["loads"], [load_id]) for load_id, _, _, month in batch
                )
        except OSError as error:
            raise WarehouseError(
                f"cannot write Parquet in {self._folder} ({error.strerror}): what is landed stays; mend that, then run "
                "again, it goes on from there"
            ) from error
        return len(loads)

    def _find(self) -> dict[int, Path]:
        """The loads that are there, with their files in `loads/`."""
        found = (self._folder / "loads").glob("month=*/load_*.parquet")
        return {int(match[1]): path for path in found if (match := _NAME.fullmatch(path.name))}

    def _refuse_others(self) -> None:
        """Refuse a folder of another warehouse, whose loads have the same numbers: the newest one tells."""
        if not self._present:
            return
        load_id = max(self._present)
        wrote = self._warehouse.query(_WRITTEN_BY, [glob.escape(str(self._present[load_id])), load_id])
        if not wrote or self._warehouse.query(_IS_OURS, [load_id, wrote[0][0]]) != [(True,)]:
            raise WarehouseError(
                f"{self._folder} holds loads that this warehouse does not: give --parquet an empty folder, or set "
                "WAREHOUSE_PATH to the warehouse that they are of"
            )

    def _files(self, load_id: int, table: str, month: str) -> list[_File]:
        """The files of a load's rows."""
        if table != "usage_sessions":
            return [self._file(table, month, load_id, _ROWS[table], [load_id])]
        months = [found for (found,) in self._warehouse.query(_SESSION_MONTHS, [load_id])]
        return [self._file(table, found, load_id, _SESSIONS, [load_id, found]) for found in months]

    def _file(self, table: str, month: str | None, load_id: int, sql: str, values: Sequence[Any]) -> _File:
        """A file of a table's month."""
        return _File(self._folder / table / f"month={month or _NO_MONTH}" / f"load_{load_id}.parquet", sql, values)

    def _write(self, files: Iterable[_File]) -> None:
        """Write files whole, then give them their names, so that neither a kill nor a power cut leaves half of one."""
        written: list[_File] = []
        for file in files:
            if not file.path.parent.exists():
                file.path.parent.mkdir(mode=0o700, exist_ok=True)
                _sync(file.path.parent.parent)
            # The owner's alone from the start, whatever the umask; a part that a kill left is written anew.
            os.close(os.open(file.part, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600))
            self._warehouse.write_parquet(file.sql, file.values, file.part)
            _sync(file.part)
            written.append(file)
        for file in written:
            file.part.rename(file.path)
        for folder, _ in groupby(sorted(file.path.parent for file in written)):
            _sync(folder)


def _sync(path: Path) -> None:
    """Have what was written of a file or folder survive a power cut."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
