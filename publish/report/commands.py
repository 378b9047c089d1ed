"""`publish report`: the command."""

from __future__ import annotations

from typing import Any

import click

from core.command_line import say, working
from core.options import options_of
from core.settings import read_settings_as
from publish.builds import allow_unproven_option
from publish.files import write_whole
from publish.settings import PeriodSettings
from publish.warehouse import open_marts


@click.command()
@options_of(PeriodSettings)
@allow_unproven_option
def report(allow_unproven: bool, **options: Any) -> None:
    """Write a page about one billing period: DIR/report-YYYY-MM.html.

    One file for any browser, without a script and without a network. Exit status: 0 written, 1 failed (the file of an
    earlier run stays), 2 wrong usage.
    """
    settings = read_settings_as(PeriodSettings, **options)
    with working("publish", settings, "nothing was written"):
        from publish.report.page import render  # charts take their time to import

        with open_marts(settings, allow_unproven=allow_unproven) as marts:
            marts.require_period(settings.period)
            page = render(marts, settings.period).encode("utf-8")
        path = settings.to / f"report-{settings.period}.html"
        write_whole(path, page)
        say(f"{path}: {len(page) // 1000:,} kB")
