"""The command line of the extractor."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NoReturn

import click

from core import __version__, command_line
from core.api.client import Client
from core.command_line import say, working
from core.database.checkpoint import CheckpointProcess
from core.options import options_of
from core.progress import bars
from extract.context import RunContext, Summary
from extract.parquet import ParquetFolder
from extract.pseudonyms import Pseudonyms
from extract.run import land_everything
from extract.settings import Settings, read_settings
from extract.warehouse import Warehouse


@click.command(context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 120})
@options_of(Settings)
@click.version_option(__version__, prog_name="extract")
def command(**options: Any) -> None:
    """Land usage sessions, sandboxes, quotas and the vendor's own figures in the warehouse.

    The key comes from MIOSA_API_KEY and from nowhere else. With MIOSA_ID_HASH_KEY set, external ids are stored as
    pseudonyms. Every option may be given as EXTRACT_<OPTION> as well.
    """
    settings = read_settings(**options)
    with working("extract", settings):
        summary = _run(settings)
    print_summary(summary, settings)


def _run(settings: Settings) -> Summary:
    """Open the warehouse, the API and the Parquet folder, and run."""
    pseudonyms = Pseudonyms.of_settings(settings)
    with (
        CheckpointProcess(settings.warehouse) as process,
        Warehouse(
            settings.warehouse,
            settings.lock_seconds,
            pseudonyms.check_value if pseudonyms else None,
            on_close=process.checkpoint,
        ) as warehouse,
        Client(settings) as client,
        bars(lambda: client.requests_per_minute) as stages,
    ):
        folder = ParquetFolder(settings.parquet, warehouse) if settings.parquet else None
        summary = land_everything(RunContext(settings, client, warehouse, stages, pseudonyms))
        if folder:
            folder.complete()
        return summary


def print_summary(summary: Summary, settings: Settings) -> None:
    """Print what was done, and what to do next."""
    say(
        f"{settings.first_month} to {settings.last_month}: {summary.loads} loads, {summary.rows_listed:,} rows listed, "
        f"{summary.rows_added:,} added, {summary.voids:,} sessions voided, in {settings.warehouse}"
        f"{f' and {settings.parquet}' if settings.parquet else ''}{_left_out(summary)}. Next: dbt build"
    )


def _left_out(summary: Summary) -> str:
    """How many quotas were not read, and how old they may be."""
    if not summary.quotas_left or summary.oldest_quota_at is None:
        return ""
    return f"; {summary.quotas_left:,} quotas not read again, the oldest of {summary.oldest_quota_at:%Y-%m-%d}"


_STOPPED = "stopped; what was landed before stays, the rest was rolled back"


def outcome(arguments: Sequence[str] | None = None) -> tuple[int, str]:
    """Run the command. Returns its exit status and one line for standard error, which may be empty.

    The status is 0 if everything was landed and proven complete, 1 if the run failed (loads landed before the failure
    stay), 2 for wrong usage or configuration, and 128 plus the signal's number if the run was interrupted.
    """
    return command_line.outcome(command, "extract", _STOPPED, arguments)


def main() -> NoReturn:
    """Run the command as a process."""
    command_line.main(command, "extract", _STOPPED)
