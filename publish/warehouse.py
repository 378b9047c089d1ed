"""The warehouse as publishers see it: proven marts, and the build that made them."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from core.database.connection import Database
from core.database.opening import open_for_reading
from core.errors import WarehouseError
from core.settings import FileSettings
from core.sql_files import sql_files
from publish.builds import require_proven

sql = sql_files(__file__)


@dataclass(frozen=True)
class Marts:
    """The marts of one build. All dates that go into a file come from here, so that a rerun gives the same bytes."""

    database: Database
    build_id: str
    """dbt's id of the run that made the marts; a dash where no run is recorded."""
    built_at: datetime
    """When that run ended (began, if it did not end), UTC without a zone."""
    unproven: str | None
    """Why the figures are not proven: whatever is made from them must show it. None if they are."""

    def require_period(self, period: str) -> None:
        """Refuse a period that the marts do not have. Raises `WarehouseError`."""
        if self.database.query(sql("has_period"), [period]) == [(True,)]:
            return
        ((first, last),) = self.database.query(sql("periods"), [])
        has = f"it has {first} to {last}" if first else "it has none yet: run `python -m extract`, then `dbt build`"
        raise WarehouseError(f"{self.database.path} has no billing period {period}: {has}")


@contextlib.contextmanager
def open_marts(
    settings: FileSettings,
    *,
    allow_unproven: bool,
    opening: Callable[[Path, float], AbstractContextManager[Database]] = open_for_reading,
) -> Iterator[Marts]:
    """Open the marts for reading. Raises `WarehouseError`, also where no build has proven them.

    `opening` is another way to open the warehouse, given its path and how many seconds to wait for it.
    """
    with opening(settings.warehouse, settings.lock_seconds) as database:
        unproven = require_proven(database.query, settings.warehouse, allow_unproven=allow_unproven)
        if database.query(sql("has_marts")) != [(True,)]:
            raise WarehouseError(f"{settings.warehouse} has no marts: run `dbt build`")
        has_build = unproven != "no build of it is recorded"
        build_id, built_at = newest_build(database) if has_build else ("-", datetime(1970, 1, 1))
        yield Marts(database, build_id, built_at, unproven)


def newest_build(database: Database) -> tuple[str, datetime]:
    """The build that made the marts, of a warehouse or of a copy, and when it ended. There must be one."""
    ((build_id, built_at),) = database.query(sql("newest_build"))
    return build_id, built_at
