"""Copying the marts into a database file and into Parquet files, and checking the copy before anyone sees it.

The rows lie in the order of their columns, from the first one on, so the same marts give the same copy.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from core.database.connection import Database
from core.errors import WarehouseError
from core.progress import Bars
from core.sql_files import sql_files
from publish.warehouse import Marts, newest_build

sql = sql_files(__file__)

STORAGE_VERSION = "v1.0.0"
"""Which DuckDB can read a copy: from 0.10.3 on. Newer versions of the format make no smaller files."""

MEMORY_LIMIT = "1GB"
"""Sorting a mart that is larger spills to disk."""

NOT_PROVEN = "not_proven"
"""The table that only a copy of unproven marts has."""

SAME_BYTES_ROWS = 1_000_000
"""Up to so many rows in all, a copy has the same bytes each time. See DECISIONS.md."""

# These two ways to compress leave memory as it was in the gaps of a block, and one chooses its symbols at random.
_SAME_BYTES = "set disabled_compression_methods = 'fsst,bitpacking'; set threads = 1"


@dataclass(frozen=True)
class Statements:
    """What makes the copy of one mart."""

    mart: str
    create: str
    fill: str
    describe: str
    count: str
    rows: str


def statements(marts: Marts, ours: Iterable[str]) -> tuple[list[Statements], list[str]]:
    """The statements for each mart among `ours`, and the names of other relations in its schema, which are left out."""
    marts.database.execute("set variable unproven = ?", [marts.unproven])
    marts.database.execute("set variable build_id = ?", [marts.build_id])
    rows = marts.database.query(sql("statements"))
    names = set(ours)
    found = [Statements(*row) for row in rows if row[0] in names]
    return found, [row[0] for row in rows if row[0] not in names]


def copy_marts(marts: Marts, made: Sequence[Statements], file: Path, bars: Bars) -> dict[str, int]:
    """Make a database file with every mart as a table. Returns the numbers of rows that the marts have.

    Raises `WarehouseError`.
    """
    counts = {each.mart: marts.database.query(each.count)[0][0] for each in made}
    copy = marts.database.about(file)
    if sum(counts.values()) <= SAME_BYTES_ROWS:
        copy.execute(_SAME_BYTES)
    literal = str(file).replace("'", "''")
    copy.execute(f"attach '{literal}' as published (storage_version '{STORAGE_VERSION}')")
    try:
        copy.execute(sql("begin_copy"))
        if marts.unproven is not None:
            copy.execute(sql("warn"))
            copy.execute(sql("describe_warning"))
        bar = bars.stage("marts", len(made))
        for each in made:
            # Each commit waits for the disk.
            with copy.transaction():
                copy.execute(each.create)
                copy.execute(each.fill)
                copy.execute(each.describe)
            bar.add_rows(counts[each.mart])
            bar.advance()
        copy.execute("checkpoint published")
    except BaseException:
        # So that DuckDB touches none of its files any more when they are removed.
        with contextlib.suppress(WarehouseError):
            copy.execute("detach published")
        raise
    copy.execute("detach published")
    return counts


def check_copy(marts: Marts, made: Sequence[Statements], counts: dict[str, int], copy: Database) -> None:
    """Refuse a copy that is not what the warehouse has. Raises `WarehouseError`."""
    wrong = [
        f"{each.mart} has {rows:,} rows instead of {counts[each.mart]:,}"
        for each in made
        for ((rows,),) in [copy.query(each.count)]
        if rows != counts[each.mart]
    ]
    if marts.unproven is None:
        ((mismatches,),) = copy.query(sql("mismatches"))
        if mismatches:
            wrong.append(f"{mismatches:,} comparisons in rpt_reconciliation do not add up")
        if newest_build(copy) != (marts.build_id, marts.built_at):
            wrong.append(f"rpt_builds does not name the build {marts.build_id}")
    if wrong:
        raise WarehouseError(f"the copy is not right, so it was not published: {'; '.join(wrong)}: please report this")


def write_parquet(marts: Marts, made: Sequence[Statements], copy: Database, folder: Path, bars: Bars) -> None:
    """Write every table of a copy to a Parquet file of its own, in the same order of rows. Raises `WarehouseError`."""
    # Else the rows of a large table come in the order in which threads are done with them.
    copy.execute("set preserve_insertion_order = true")
    build_id = marts.build_id.replace("'", "''")
    proven = (marts.unproven or "yes").replace("'", "''")
    options = f"format parquet, compression zstd, kv_metadata {{build_id: '{build_id}', proven: '{proven}'}}"
    tables = [(each.mart, each.rows) for each in made]
    if marts.unproven is not None:
        tables.append((NOT_PROVEN, f"from marts.{NOT_PROVEN}"))
    bar = bars.stage("parquet", len(tables))
    for name, rows in tables:
        copy.with_memory(partial(copy.copy_to, rows, [], folder / f"{name}.parquet", options))
        bar.advance()
