"""Whether what the marts show is proven: every command of `publish` that reads them asks here, before it does anything.

Proven means: the newest run of dbt that changed the tables was a build (or a close) of the whole project, every test
succeeded, and raw holds nothing newer. `marts.rpt_builds` decides it.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import click

from core.command_line import say
from core.database.connection import Query
from core.errors import WarehouseError
from core.sql_files import sql_files

sql = sql_files(__file__)

Command = TypeVar("Command", bound=Callable[..., Any])


def allow_unproven_option(command: Command) -> Command:
    """The option `--allow-unproven` of a command; it arrives as `allow_unproven`."""
    return click.option(
        "--allow-unproven", is_flag=True, help="Even if the newest dbt build failed, or raw holds newer loads."
    )(command)


def require_proven(
    query: Query, warehouse: Path, *, allow_unproven: bool, reads_quota_answers: bool = False
) -> str | None:
    """Refuse a warehouse whose figures no build has proven.

    Returns None if they are proven, else why not: with `allow_unproven`, which also says so on standard error. What is
    made then must show it. `reads_quota_answers` is for commands that read answers about quotas as they are landed
    (`publish quotas`): such loads make nothing that they read old. Raises `WarehouseError`.
    """
    reason = unproven_reason(query, reads_quota_answers=reads_quota_answers)
    if reason is None:
        return None
    if not allow_unproven:
        raise WarehouseError(
            f"{warehouse} is not proven: {reason}: run `dbt build`, or go on with --allow-unproven; nothing was done"
        )
    say(f"publish: not proven: {reason}", err=True)
    return reason


def unproven_reason(query: Query, *, reads_quota_answers: bool = False) -> str | None:
    """Why the figures in the marts are not proven; None if they are."""
    rows = query(sql("deciding_build"), []) if query(sql("has_builds"), []) == [(True,)] else []
    if not rows:
        return "no build of it is recorded"
    ((command, status, started_at, failures, is_proven, newer, newer_quotas),) = rows
    run = f"`{command}` of {started_at:%Y-%m-%d %H:%M} UTC"
    if not is_proven:
        return {
            "failed": f"{run} failed ({failures} failures)",
            "interrupted": f"{run} did not come to its end",
        }.get(status, f"{run} ran only a part, and no whole build has succeeded since")
    landed = newer - newer_quotas if reads_quota_answers else newer
    return f"{landed:,} loads are newer than {run}" if landed else None
