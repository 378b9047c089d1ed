"""`publish invoices`: the command."""

from __future__ import annotations

import unicodedata
from pathlib import Path
from typing import Annotated, Any

import click
from pydantic import Field

from core.command_line import say, working
from core.options import Flag, options_of
from core.progress import bars
from core.settings import read_settings_as
from publish.builds import allow_unproven_option
from publish.invoices.documents import prepare_documents, read_documents
from publish.invoices.fonts import check_folder
from publish.invoices.layout import Build
from publish.invoices.writing import BATCH, Outcome, write_documents
from publish.settings import PeriodSettings
from publish.warehouse import open_marts

_SHOWN_CHARACTERS = 5


class InvoicesSettings(PeriodSettings):
    """What `publish invoices` needs."""

    fonts: Annotated[Path | None, Flag("--fonts", "FOLDER")] = Field(
        None,
        validation_alias="PUBLISH_FONTS",
        description="A folder with fonts for characters that ours lack. [env: PUBLISH_FONTS]",
    )


@click.command()
@options_of(InvoicesSettings)
@click.option("--user", "users", metavar="ID", multiple=True, help="Only this user's invoices; may be repeated.")
@allow_unproven_option
def invoices(users: tuple[str, ...], allow_unproven: bool, **options: Any) -> None:
    """Write a PDF and a CSV for each invoice of a period, and an index.

    They are in FOLDER/invoices-YYYY-MM. A period that is open gives drafts. Files that are there already, whole and
    unchanged, stay; so a run that was stopped goes on when it is repeated. Exit status: 0 done, 1 failed, 2 wrong
    usage.
    """
    settings = read_settings_as(InvoicesSettings, **options)
    with working("publish", settings, "files that were written are whole; run again to go on"):
        check_folder(settings.fonts)
        with open_marts(settings, allow_unproven=allow_unproven) as marts:
            marts.require_period(settings.period)
            count, without_issuer = prepare_documents(marts.database, settings.period, users)
            folder = settings.to / f"invoices-{settings.period}"
            with bars() as stages:
                outcome = write_documents(
                    folder,
                    read_documents(marts.database, count, BATCH),
                    count,
                    Build(marts.built_at, marts.unproven),
                    fonts_folder=settings.fonts,
                    is_whole_period=not users,
                    bar=stages.stage("Invoices", count),
                )
        if without_issuer:
            say(
                f"publish: {without_issuer:,} documents name no issuer: fill in seeds/issuer.csv, run `dbt build`, "
                "then run again",
                err=True,
            )
        _warn_of_codes(outcome)
        say(f"{outcome.documents:,} invoices in {folder} ({outcome.new_files:,} files written)")


def _warn_of_codes(outcome: Outcome) -> None:
    """Name the characters that no font has."""
    if not outcome.missing:
        return
    shown = [
        f"U+{ord(character):04X} {unicodedata.name(character, '(without a name)')}"
        for character in sorted(outcome.missing)[:_SHOWN_CHARACTERS]
    ]
    more = f" and {len(outcome.missing) - _SHOWN_CHARACTERS:,} more" if len(outcome.missing) > _SHOWN_CHARACTERS else ""
    say(
        f"publish: {outcome.documents_with_codes:,} documents show characters as codes, because no font has them: "
        f"{', '.join(shown)}{more}: name a folder of fonts that do with --fonts, then run again",
        err=True,
    )
