"""The raw layer, open for writing: stage rows, examine loads, land them."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

from core import __version__
from core.api.pages import Page
from core.database.connection import Database, columns
from core.database.opening import open_for_writing
from core.errors import ConfigurationError
from core.raw.examination import examine
from core.raw.load import Load
from core.raw.staging import Staging
from core.raw.versions import choose_new_versions
from core.sql_files import sql_files

sql = sql_files(__file__)


class RawWriter:
    """The warehouse file, held open for writing. Close it, or use it as a context manager."""

    def __init__(
        self,
        path: Path,
        lock_seconds: float = 30.0,
        id_check: str | None = None,
        on_close: Callable[[], None] | None = None,
    ) -> None:
        """Check the file and its folder, open it, and create what is missing.

        `id_check` identifies the key under which ids become pseudonyms (None: ids are stored as they are). `on_close`
        is called when the file is closed. Raises `WarehouseError`, or `ConfigurationError` if the file holds ids of
        another kind.
        """
        self._id_check = id_check
        self._on_close = on_close
        self._run_id = str(uuid.uuid4())
        self.database: Database = open_for_writing(path, lock_seconds)
        try:
            self.database.execute(Path(__file__).with_name("schema.sql").read_text("utf-8"))
            self._check_ids()
            self._staging = Staging(self.database)
        except BaseException:
            self.database.close()
            raise

    def __enter__(self) -> Self:
        """Use the warehouse until the block ends."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close the file. What is not committed is gone."""
        self.database.close()
        if self._on_close:
            self._on_close()

    def stage_page(self, load: Load, page: Page) -> None:
        """Keep the rows of a page, in page order, until their load lands or is dropped."""
        self._staging.add_page(load, page)

    def stage_answer(
        self, load: Load, place: int, key: str, status: int | None, payload: str | None, normalized: str | None
    ) -> None:
        """Keep an answer that is one row as a whole, under the key that it was asked for by."""
        self._staging.add_answer(load, place, key, status, payload, normalized)

    def drop(self, load: Load) -> None:
        """Forget what is staged of a load: it failed, or is read again."""
        self._staging.drop(load)

    def examine(self, loads: Sequence[Load]) -> None:
        """Parse what is staged of these loads and count it into them. `land` or `drop` comes next."""
        for load in loads:
            load.rows = load.distinct_ids = load.unidentified = load.conflicts = 0
        if self._staging.has_rows(loads):
            self.database.with_memory(lambda: examine(self.database, loads))

    def land(self, loads: Sequence[Load]) -> None:
        """Land loads of one resource that were examined and found complete, in this order, in one transaction."""
        if not loads:
            return
        has_rows = any(load.rows for load in loads)

        def land_whole() -> None:
            with self.database.transaction():
                last = self._last_load()
                added = self._land_rows(loads, last) if has_rows else {}
                for load in loads:
                    load.rows_added = added.get(load.number, 0)
                self._land_absences(loads, last)
                self._insert_loads(loads, last)

        self.database.with_memory(land_whole)
        if has_rows:
            self._report()
            self._staging.forget_landed(loads)

    def _land_rows(self, loads: Sequence[Load], last: int) -> dict[int, int]:
        """Land the rows of loads that follow load `last`. Returns how many each added."""
        resource = loads[0].resource
        self.database.execute(sql("number_loads"), [last, [load.number for load in loads]])
        choose_new_versions(self.database, resource)
        self.database.execute(sql(f"insert/{resource}"))
        if resource == "quotas":
            self.database.execute(sql("insert_quota_reads"))
        self._note(resource, last + 1)
        return dict(self.database.query(sql("count_added")))

    def _note(self, resource: str, first_load: int) -> None:
        """Called when rows were added, within their transaction, for what a subclass has to keep with them."""

    def _land_absences(self, loads: Sequence[Load], last: int) -> None:
        """Called within the transaction of loads that follow load `last`, for rows about what they do not list."""

    def _report(self) -> None:
        """Called after the transaction of rows was committed, for what a subclass has to say about them."""

    def _last_load(self) -> int:
        """The id of the load that landed last, or 0 before the first load."""
        return int(self.database.query("select coalesce(max(load_id), 0) from raw.loads")[0][0])

    def _insert_loads(self, loads: Sequence[Load], last: int) -> None:
        """Write the rows of loads that follow load `last`; beside the first, which key makes pseudonyms."""
        if self._id_check is not None:
            self.database.execute(sql("insert_id_check"), [self._id_check])
        ids, resource_names, *others, outcomes, statuses = columns(
            [
                (
                    load_id,
                    load.resource,
                    load.window_start,
                    load.window_end,
                    load.started_at,
                    load.ended_at,
                    load.pages,
                    load.rows,
                    load.distinct_ids,
                    load.total,
                    load.rows_added,
                    load.outcome,
                    load.refused_status,
                )
                for load_id, load in enumerate(loads, last + 1)
            ]
        )
        self.database.execute(
            sql("insert_loads"), [ids, self._run_id, resource_names, *others, __version__, outcomes, statuses]
        )

    def _check_ids(self) -> None:
        """Refuse to mix plain ids and pseudonyms, or pseudonyms of two keys: one user would be two."""
        ((stored, has_loads),) = self.database.query(sql("stored_id_check"))
        if stored == self._id_check or not has_loads:
            return
        if stored is None:
            state = "holds ids as they are: unset MIOSA_ID_HASH_KEY"
        elif self._id_check is None:
            state = "holds pseudonyms: set MIOSA_ID_HASH_KEY to the key that made them"
        else:
            state = "holds pseudonyms made with another key: set MIOSA_ID_HASH_KEY to that one"
        raise ConfigurationError(f"{self.database.path} {state}, or set WAREHOUSE_PATH to a new file")
