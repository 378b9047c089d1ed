"""`publish excel`: the command."""

from __future__ import annotations

from typing import Any

import click

from core.command_line import say, working
from core.options import options_of
from core.settings import read_settings_as
from publish.builds import allow_unproven_option
from publish.files import whole_file
from publish.settings import PeriodSettings
from publish.warehouse import open_marts


@click.command()
@options_of(PeriodSettings)
@allow_unproven_option
def excel(allow_unproven: bool, **options: Any) -> None:
    """Write a workbook about one billing period: DIR/billing-YYYY-MM.xlsx.

    Its totals are formulas over its tables, beside exact values as text where Excel would lose digits. Exit status:
    0 written, 1 failed (the file of an earlier run stays), 2 wrong usage.
    """
    settings = read_settings_as(PeriodSettings, **options)
    with working("publish", settings, "nothing was written"):
        from publish.excel.workbook import write_workbook

        with open_marts(settings, allow_unproven=allow_unproven) as marts:
            marts.require_period(settings.period)
            path = settings.to / f"billing-{settings.period}.xlsx"
            with whole_file(path) as partial:
                write_workbook(marts, settings.period, partial)
        say(f"{path}: {path.stat().st_size // 1000:,} kB")
