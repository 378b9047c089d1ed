"""The record of changes of quotas at the vendor (`raw.quota_changes`): intent before sending, outcome after."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass

from core import __version__
from core.clock import utc_now
from core.database.connection import Database, columns
from core.sql_files import sql_files

sql = sql_files(__file__)


@dataclass(frozen=True, slots=True)
class QuotaChange:
    """A change of a user's quota at the vendor; the fields are columns of `raw.quota_changes` (see schema.sql)."""

    change_id: str
    external_user_id: str
    method: str
    http_status: int | None = None
    payload: str | None = None
    is_in_force: bool | None = None
    error: str | None = None


def record_changes(database: Database, event: str, changes: Sequence[QuotaChange]) -> None:
    """Record what is about to change at the vendor (`intent`), or what came of it (`outcome`)."""
    if changes:
        ids, *others = columns([dataclasses.astuple(change) for change in changes])
        database.execute(sql("record_changes"), [ids, event, utc_now(), *others, __version__])
