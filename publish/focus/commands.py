"""`publish focus`: the command, and the files that it writes."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import click
from pydantic import Field, field_validator

from core.command_line import say, working
from core.errors import ConfigurationError
from core.options import options_of
from core.settings import read_settings_as
from core.sql_files import sql_files
from publish.builds import allow_unproven_option
from publish.files import whole_file
from publish.settings import PeriodSettings
from publish.warehouse import Marts, open_marts

sql = sql_files(__file__)

VERSIONS = ("1.2", "1.3")
"""Of FOCUS. The first one is the default: it is the newest that an official validator checks."""

DATASETS = ("cost", "resale")
"""What the platform pays, and what end users are billed. Their sum means nothing, so each has files of its own."""


class FocusSettings(PeriodSettings):
    """What `publish focus` needs."""

    focus_version: str = Field(VERSIONS[0], description=f"{' or '.join(VERSIONS)}. [default: {VERSIONS[0]}]")
    json_lines: bool = Field(False, description="Write JSON lines (.jsonl) as well.")

    @field_validator("focus_version")
    @classmethod
    def _check_version(cls, given: str) -> str:
        """Refuse a version whose columns are not known here."""
        if given not in VERSIONS:
            raise ConfigurationError(f"--focus-version {given[:20]!r} is not known: name {' or '.join(VERSIONS)}")
        return given


@dataclass(frozen=True)
class Format:
    """How a file is written: its ending, the SQL whose rows it holds, and options of DuckDB's `copy`."""

    ending: str
    rows: str
    options: str


CSV = Format("csv", sql("csv"), "format csv, header")
JSON_LINES = Format("jsonl", sql("json_lines"), "format json")


@click.command()
@options_of(FocusSettings)
@allow_unproven_option
def focus(allow_unproven: bool, **options: Any) -> int:
    """Write cost and usage of a period by FOCUS, the FinOps Open Cost and Usage Specification.

    Two datasets, as Parquet and CSV: focus-cost-PERIOD is what the platform pays the vendor, focus-resale-PERIOD what
    end users are billed. Never add them up. Files of closed periods do not change; what becomes known later is a
    correction in the first open period. Exit status: 0 done, 1 failed, and the files of the run before stay, 2 wrong
    usage.
    """
    settings = read_settings_as(FocusSettings, **options)
    with (
        working("publish", settings, "the files of the run before stay"),
        open_marts(settings, allow_unproven=allow_unproven) as marts,
    ):
        marts.require_period(settings.period)
        for line in write_charges(marts, settings):
            say(line)
    return 0


def write_charges(marts: Marts, settings: FocusSettings) -> list[str]:
    """Write the files of both datasets, all or none. Returns what was written, one line per dataset.

    Raises `WarehouseError`, and `ExtractError` if a file cannot be written.
    """
    formats = [_parquet(marts, settings.focus_version), CSV, *([JSON_LINES] if settings.json_lines else [])]
    report = []
    with contextlib.ExitStack() as files:
        for dataset in DATASETS:
            charges = _collect(marts, dataset, settings)
            name = f"focus-{dataset}-{settings.period}"
            for each in formats:
                partial = files.enter_context(whole_file(settings.to / f"{name}.{each.ending}"))
                marts.database.copy_to(each.rows, [], partial, each.options)
            endings = ", ".join(f".{each.ending}" for each in formats)
            report.append(f"{settings.to / name}: {charges:,} charges ({endings}; FOCUS {settings.focus_version})")
    return report


def _collect(marts: Marts, dataset: str, settings: FocusSettings) -> int:
    """Put the charges of a dataset into a temporary table that all formats read. Returns their number."""
    database = marts.database
    database.execute(sql(f"{dataset}_charges"), [settings.period])
    version = settings.focus_version.replace(".", "_")
    for statement in _statements(sql(f"version_{version}")):
        database.execute(statement)
    if marts.unproven is not None:
        database.execute(sql("mark_unproven"), [marts.unproven])
    return int(database.query(sql("count"))[0][0])


def _statements(script: str) -> Iterator[str]:
    """The statements of a script, one by one."""
    yield from (each for each in script.split(";\n") if each.strip())


def _parquet(marts: Marts, version: str) -> Format:
    """Parquet whose metadata says which version of FOCUS it follows, and which build it was made from."""
    metadata = {
        "focus_version": version,
        "build_id": marts.build_id,
        "built_at_utc": f"{marts.built_at:%Y-%m-%dT%H:%M:%SZ}",
    }
    pairs = ", ".join(f"{name}: '{value}'" for name, value in metadata.items())
    return Format("parquet", sql("parquet"), f"format parquet, compression zstd, kv_metadata {{{pairs}}}")
