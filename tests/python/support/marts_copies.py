"""Copies of a built warehouse's marts, to change them into months that no history has."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from pathlib import Path

import duckdb

from benchmarks.deliver import copy_marts
from publish.cli import outcome

HOSTILE = (
    "<script>alert(1)</script>",
    "=cmd|' /C calc'!A0",
    "../../etc/passwd",
    "\u202egnp.exe",
    "שלום עולם",
    "line\nbreak\ttab\x00nul",
    "long " * 12_000,
    "<r><t>&</t></r>",
    "_x0041_ {{ 7 * 7 }}",
    "'; drop table marts.fct_invoices; --",
    "  blanks ",
    "مرحبا <bdi>",
)
"""Ids and names that are meant to break pages and workbooks; sorted users of the marts get one each."""


def marts_copy(warehouse: Path, folder: Path) -> Path:
    """A database with copies of the marts, as tables."""
    folder.mkdir(parents=True, exist_ok=True)
    return copy_marts(warehouse, folder / "marts_copy.duckdb")


def changed(marts: Path, folder: Path, *statements: str | tuple[str, Sequence[object]]) -> Path:
    """A copy of a copy, after these statements."""
    folder.mkdir(parents=True, exist_ok=True)
    path = Path(shutil.copy(marts, folder / marts.name))
    with duckdb.connect(path) as connection:
        for statement in statements:
            if isinstance(statement, str):
                connection.execute(statement)
            else:
                connection.execute(*statement)
    return path


def renamed(marts: Path, folder: Path, period: str) -> Path:
    """The marts with hostile ids, names and projects, and with a fifth currency, in all tables."""
    with duckdb.connect(marts, read_only=True) as connection:
        users = connection.execute(
            "select distinct external_user_id from marts.fct_invoices where invoice_period = ? order by all", [period]
        ).fetchall()
        columns = connection.execute(
            "select table_name, column_name from information_schema.columns where table_schema = 'marts' "
            "and column_name in ('external_user_id', 'display_name')"
        ).fetchall()
        currencies = connection.execute(
            "select table_name from information_schema.columns where column_name = 'currency' intersect "
            "select table_name from information_schema.columns where column_name = 'external_user_id'"
        ).fetchall()
    pairs = [(user, hostile) for (user,), hostile in zip(users, HOSTILE, strict=False)]
    assert len(pairs) == len(HOSTILE)
    moves: list[str | tuple[str, Sequence[object]]] = [
        "create temporary table new_ids (old varchar, new varchar)",
        (
            "insert into new_ids select unnest(?::varchar[]), unnest(?::varchar[])",
            [*map(list, zip(*pairs, strict=True))],
        ),
    ]
    moves += [
        f'update marts."{table}" set "{column}" = new from new_ids where "{column}" = old' for table, column in columns
    ]
    moves += [
        (f"update marts.\"{table}\" set currency = 'GBP' where external_user_id = ?", [HOSTILE[2]])
        for (table,) in currencies
    ]
    moves.append(("update marts.fct_session_period_credits set external_project_id = ?", [HOSTILE[0]]))
    return changed(marts, folder, *moves)


def publish(command: str, marts: Path, folder: Path, period: str, *options: str) -> Path:
    """Run a command of `publish` in this process; the file that it wrote."""
    arguments = [command, "--period", period, "--to", str(folder), "--warehouse", str(marts), *options]
    assert outcome(arguments) == (0, "")
    return folder / (f"report-{period}.html" if command == "report" else f"billing-{period}.xlsx")
