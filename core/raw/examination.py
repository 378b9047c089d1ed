"""Parsing, keying and counting staged rows, which shows whether a load is complete."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from core import canonical
from core.database.connection import Database, columns
from core.raw.load import Load
from core.sql_files import sql_files

sql = sql_files(__file__)

_FETCHED_ROWS = 1_000


def examine(database: Database, loads: Sequence[Load]) -> None:
    """Parse and count what is staged of these loads. It may be repeated."""
    has_repeated = False
    database.execute("delete from examined")
    database.execute(sql("list_examined"), columns([(load.number, load.started_at, load.window_end) for load in loads]))
    _normalize(database)
    database.execute(sql("parse_rows"))
    _key_unidentified(database)
    counts = {row[0]: row[1:] for row in database.query(sql("count_rows"))}
    for load in loads:
        if load.number in counts:
            load.rows, load.distinct_ids, load.unidentified, repeated = counts[load.number]
            has_repeated = has_repeated or repeated > 0
    conflicts = _conflicts(database) if has_repeated else {}
    for load in loads:
        load.conflicts = conflicts.get(load.number, 0)


def _normalize(database: Database) -> None:
    """Normalize rows that DuckDB would read differently (repeated keys) or not at all."""
    if database.query(sql("find_repeated_keys")) == [(False,)]:
        return
    while rows := database.execute(sql("rows_to_normalize")).fetchmany(_FETCHED_ROWS):
        database.execute_many(
            "update staged set normalized = ? where load_number = ? and place = ?",
            [[canonical.normalize(payload), number, place] for number, place, payload in rows],
        )


def _conflicts(database: Database) -> dict[int, int]:
    """How many keys each load lists with contents that differ in more than spelling."""
    conflicts: dict[int, int] = {}
    for number, *_, contents in database.query(sql("repeated_keys")):
        if any(not canonical.is_same(contents[0], other) for other in contents[1:]):
            conflicts[number] = conflicts.get(number, 0) + 1
    return conflicts


def _key_unidentified(database: Database) -> None:
    """Key rows without a usable id by their content and its occurrence in the load."""
    rows = database.execute(sql("unidentified_rows"))
    seen: dict[tuple[int, str], int] = {}
    keys: list[list[Any]] = []
    while chunk := rows.fetchmany(_FETCHED_ROWS):
        for number, place, payload in chunk:
            digest = canonical.digest(payload)
            seen[number, digest] = occurrence = seen.get((number, digest), 0) + 1
            keys.append([number, place, f"{digest}#{occurrence}"])
    if keys:
        database.execute(sql("set_row_keys"), columns(keys))
