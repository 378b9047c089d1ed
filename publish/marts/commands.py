"""`publish marts`: the command."""

from __future__ import annotations

import contextlib
from functools import partial
from pathlib import Path
from typing import Any

import click
from pydantic import Field

from core.command_line import say, working
from core.database.locks import lock_folder
from core.database.opening import attach_for_reading
from core.options import options_of
from core.progress import Bars, bars
from core.settings import read_settings_as
from publish.builds import allow_unproven_option
from publish.files import create_folder, partial_path, remove, whole_file, whole_folder
from publish.marts.copying import MEMORY_LIMIT, check_copy, copy_marts, statements, write_parquet
from publish.marts.versions import Versions
from publish.settings import PublishSettings
from publish.warehouse import Marts, open_marts

MODELS = Path(__file__).parents[2] / "models" / "marts"
"""The models whose relations are the marts. Whatever else lies in their schema is not ours to publish."""


class MartsSettings(PublishSettings):
    """What `publish marts` needs."""

    keep: int = Field(
        3,
        ge=1,
        le=1000,
        validation_alias="PUBLISH_KEEP",
        description="The number of builds to keep. [env: PUBLISH_KEEP; default: 3]",
    )
    parquet: bool = Field(
        False,
        validation_alias="PUBLISH_PARQUET",
        description="Write a Parquet file per mart, too. [env: PUBLISH_PARQUET]",
    )


@click.command()
@options_of(MartsSettings)
@allow_unproven_option
def marts(allow_unproven: bool, **options: Any) -> None:
    """Publish a copy of the marts for readers: dashboards, notebooks, SQL.

    DIR/marts.duckdb leads to the newest build's copy, which DuckDB 0.10.3 and newer read; so does DIR/billing.duckdb,
    for tools that confuse the file with its schema. Readers are never locked out, and keep what they have open. With
    --parquet, DIR/parquet/<mart>.parquet as well. Exit status: 0 published, 1 failed (the copy that was published
    before stays), 2 wrong usage.
    """
    settings = read_settings_as(MartsSettings, **options)
    with working("publish", settings, "the published copy stays as it was"):
        spill = partial_path(settings.to / "marts-spill")
        opening = partial(attach_for_reading, memory_limit=MEMORY_LIMIT, spill_to=spill)
        with open_marts(settings, allow_unproven=allow_unproven, opening=opening) as opened:
            create_folder(settings.to)
            with lock_folder(settings.to / "marts.duckdb", settings.lock_seconds), bars() as stages:
                files, folders = (
                    Versions(settings.to, "marts", ".duckdb", "billing"),
                    Versions(settings.to, "parquet", ""),
                )
                try:
                    _remove_partial(files, folders, spill)
                    _publish(opened, settings, files, folders, spill, stages)
                finally:
                    _remove_partial(files, folders, spill)


def _remove_partial(files: Versions, folders: Versions, spill: Path) -> None:
    """Remove what is not whole, of this run and of killed ones: nobody else publishes here meanwhile."""
    files.remove_partial()
    folders.remove_partial()
    remove(spill)


def _publish(
    marts: Marts, settings: MartsSettings, files: Versions, folders: Versions, spill: Path, stages: Bars
) -> None:
    """Make the copies, check them, show them at once, and remove the oldest."""
    shown = [files, *([folders] if settings.parquet else [])]
    for versions in shown:
        versions.require_links()
    made, left_out = statements(marts, (path.stem for path in MODELS.rglob("*.sql")))
    new = {versions: versions.new_path(marts.build_id) for versions in shown}
    with contextlib.ExitStack() as stack:
        # What was entered last gets its name first; nothing has been shown until all have theirs.
        file = stack.enter_context(whole_file(new[files]))
        counts = copy_marts(marts, made, file, stages)
        folder = stack.enter_context(whole_folder(new[folders])) if settings.parquet else None
        with attach_for_reading(file, 0.0, memory_limit=MEMORY_LIMIT, spill_to=spill, name="copy") as copy:
            check_copy(marts, made, counts, copy)
            if folder is not None:
                write_parquet(marts, made, copy, folder, stages)
        for versions, partial_copy in ((files, file), (folders, folder)):
            same = versions.same_as(partial_copy, marts.build_id) if partial_copy is not None else None
            if partial_copy is not None and same is not None:
                new[versions] = same
                remove(partial_copy)
    for versions in shown:
        versions.show(new[versions])
        versions.keep(settings.keep)
    if left_out:
        say(f"publish: left out, for no model makes it: {', '.join(map(ascii, left_out))}", err=True)
    not_proven = "" if marts.unproven is None else f" (not proven: {marts.unproven})"
    say(
        f"{len(made)} marts with {sum(counts.values()):,} rows, of the build of {marts.built_at:%Y-%m-%d %H:%M} UTC"
        f"{not_proven}: " + ", ".join(f"{versions.link} -> {new[versions].name}" for versions in shown)
    )
