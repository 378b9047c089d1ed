"""Which staged rows are new versions: those whose content differs from the current version of their key."""

from __future__ import annotations

from itertools import groupby
from typing import Any

from core import canonical
from core.database.connection import Database
from core.sql_files import sql_files

sql = sql_files(__file__)

_FETCHED_ROWS = 1_000


def choose_new_versions(database: Database, resource: str) -> None:
    """Fill the temporary table `chosen` with the rows of numbered loads that raw does not hold yet."""
    view_versions(database, resource)
    database.execute(sql("order_rows"))
    database.execute(sql("compare_with_current"))
    _skip_other_spellings(database)
    _skip_contested(database)
    database.execute(sql("choose_rows"))


def view_versions(database: Database, resource: str) -> None:
    """Make the temporary view `history` show the versions of a resource."""
    database.execute(sql(f"history/{resource}"))


def _skip_other_spellings(database: Database) -> None:
    """Mark rows as unchanged that differ from the current version in bytes, but not in content."""
    rows = database.execute(sql("different_texts"))
    same: list[int] = []
    while chunk := rows.fetchmany(_FETCHED_ROWS):
        same += [sequence for sequence, new, old in chunk if canonical.is_same(new, old)]
    database.execute("insert into unchanged select unnest(?::bigint[])", [same])


def _skip_contested(database: Database) -> None:
    """Mark rows as unchanged of keys that the loads list with more than one content, version by version."""
    rows = database.query(sql("contested_rows"))
    if not rows:
        return
    unchanged: list[int] = []
    for _, versions in groupby(rows, key=lambda row: (row[0], row[1])):
        unchanged += _unchanged_of(database, list(versions))
    database.execute("insert into unchanged select unnest(?::bigint[])", [unchanged])


def _unchanged_of(database: Database, rows: list[tuple[Any, ...]]) -> list[int]:
    """Of one contested key's listed rows, in order, those that add nothing."""
    row_key, has_id, row_hash = rows[0][:3]
    history = database.query(sql("versions_of_key"), [row_hash, row_key, has_id])
    current: list[str] = []  # the contents that the load of the current version brought, in order
    is_void = False
    if history:
        last_load = history[-1][0]
        current = [payload for load_id, payload, _ in history if load_id == last_load and payload is not None]
        is_void = bool(history[-1][2])
    unchanged: list[int] = []
    for _, listed in groupby(rows, key=lambda row: row[3]):
        of_load = list(listed)
        brought = [row[5] for row in of_load]
        if current and not is_void and _same_contents(current, brought):
            unchanged += [row[4] for row in of_load]
            continue
        added: list[str] = []
        latest = None if is_void or not current else current[-1]
        for row in of_load:
            if latest is not None and canonical.is_same(latest, row[5]):
                unchanged.append(row[4])
            else:
                added.append(row[5])
                latest = row[5]
        if added:
            current = added
        is_void = False
    return unchanged


def _same_contents(current: list[str], brought: list[str]) -> bool:
    """Whether a load brings the contents that the current version's load brought, the same one last."""
    if not canonical.is_same(current[-1], brought[-1]):
        return False
    return all(any(canonical.is_same(a, b) for b in brought) for a in current) and all(
        any(canonical.is_same(a, b) for a in current) for b in brought
    )
