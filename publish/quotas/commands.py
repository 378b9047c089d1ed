"""`publish quotas`: the commands, and how they show their results."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from datetime import date
from functools import partial
from typing import Any, NoReturn

import click
from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from core.api.client import Client
from core.clock import utc_now
from core.command_line import redacted, say, show, working
from core.database.checkpoint import CheckpointProcess
from core.database.connection import Query
from core.database.opening import open_for_reading
from core.errors import ConfigurationError, ExtractError
from core.options import options_of
from core.progress import bars
from core.raw.writer import RawWriter
from core.settings import ApiSettings, FileSettings, read_settings_as
from publish.builds import allow_unproven_option, require_proven
from publish.quotas.applying import BRAKE_PERCENT, Applying, Outcome
from publish.quotas.checking import Standing, check_api, check_warehouse
from publish.quotas.comparison import Comparison, compare, require_built
from publish.quotas.limits import number_text

NOTHING, DIFFERS, UNKNOWN_USER = 0, 3, 4
"""Exit statuses beside 1 (failed) and 2 (wrong usage). DIFFERS is also that of a user with no headroom."""

_HAS_PSEUDONYMS = "select count(*) > 0 from raw.settings where name = 'id_hash_check'"
_WIDTH = 120


_file_options = options_of(FileSettings)
_api_options = options_of(ApiSettings, threads="Requests at a time. [default: 8]")
_json_option = click.option("--json", "as_json", is_flag=True, help="A JSON document instead of a table.")


@click.group(no_args_is_help=False)
def quotas() -> None:
    """Users' limits at the vendor: show differences from the desired limits, apply these, check headroom.

    Desired are the limits that the seeds plan_quotas and user_quota_overrides ask for today (UTC), as of the last dbt
    build.
    """


@quotas.command()
@_file_options
@allow_unproven_option
@_json_option
def diff(as_json: bool, allow_unproven: bool, **options: Any) -> int:
    """Show which limits differ from the desired ones.

    Compares with the newest answers that landed; sends nothing and needs no key. Exit status: 0 no difference, 3 at
    least one, 1 failed, 2 wrong usage.
    """
    settings = read_settings_as(FileSettings, **options)
    with working("publish", settings):
        with open_for_reading(settings.warehouse, settings.lock_seconds) as database:
            comparison = _compare(database.query, settings, utc_now().date(), allow_unproven=allow_unproven)
        show(
            json.dumps(comparison.as_json(), ensure_ascii=False, indent=2) if as_json else _comparison_text(comparison)
        )
    return DIFFERS if comparison.differing_users else NOTHING


@quotas.command()
@_api_options
@allow_unproven_option
@click.option("--yes", is_flag=True, help="Do not ask for confirmation.")
@click.option("--limit", type=click.IntRange(1), help="Only the first so many users, by id.")
@click.option("--force", is_flag=True, help=f"Even for more than {BRAKE_PERCENT} per cent of all users at once.")
def apply(yes: bool, limit: int | None, force: bool, allow_unproven: bool, **options: Any) -> int:
    """Set the desired limits at the vendor.

    Shows the differences and asks for confirmation. Reads each user's quota first, changes it only if needed (limits
    that nothing asks for stay as they are), and reads it back. If the API keeps a limit that is left out, it is sent as
    null, and else the quota is removed and set anew. Exit status: 0 all users have the desired limits, 1 not
    all, 2 wrong usage, 3 not confirmed.
    """
    settings = read_settings_as(ApiSettings, **options)
    if not yes and not sys.stdin.isatty():
        raise ConfigurationError("this is no terminal to confirm on: look at `publish quotas diff`, then give --yes")
    with working("publish", settings, "raw.quota_changes lists what was sent"):
        day = utc_now().date()
        with open_for_reading(settings.warehouse, settings.lock_seconds) as database:
            comparison = _compare(database.query, settings, day, allow_unproven=allow_unproven)
            _refuse_pseudonyms(settings, database.query)
        comparison = comparison if limit is None else comparison.first(limit)
        # Nobody can confirm what could not be shown.
        (say if yes else show)(_comparison_text(comparison))
        if not comparison.differing_users:
            return NOTHING
        users = comparison.differing_users
        if len(users) * 100 > BRAKE_PERCENT * comparison.users and not force:
            raise ExtractError(
                f"this would change the quotas of {len(users):,} of {comparison.users:,} users, more than "
                f"{BRAKE_PERCENT} per cent: nothing was changed; if it is meant, give --force, or go on by --limit"
            )
        if not yes and not click.confirm(f"Change the quotas of {len(users):,} users at {settings.base_url}?"):
            say("Nothing was changed.")
            return DIFFERS
        with _open(settings) as (warehouse, client):
            again = _compare(warehouse.database.query, settings, day, allow_unproven=allow_unproven)
            again = again if limit is None else again.first(limit)
            if again.differences != comparison.differences or again.interrupted != comparison.interrupted:
                raise ExtractError("what differs is no longer what was shown: nothing was changed; run again")
            redact = partial(redacted, settings=settings)
            with bars(lambda: client.requests_per_minute) as stages:
                bar = stages.stage("quotas", len(users))
                applying = Applying(client, warehouse, bar, redact, settings.threads)
                outcome = applying.apply({user: comparison.desired[user] for user in users}, comparison.interrupted)
        return print_outcome(outcome)


@quotas.command()
@_api_options
@allow_unproven_option
@_json_option
@click.option("--live", is_flag=True, help="Ask the API instead of the warehouse: this month so far.")
@click.argument("user")
def check(user: str, as_json: bool, live: bool, allow_unproven: bool, **options: Any) -> int:
    """Show limits, use and headroom of USER (an external user id), and which limits are reached.

    From the warehouse: use in the newest complete period by the last dbt build, limits by the newest answer. Exit
    status: 0 headroom in every quota, 3 a limit is reached, 4 unknown user, 1 failed, 2 wrong usage.
    """
    if live:
        asking = read_settings_as(ApiSettings, **options)
        with working("publish", asking), Client(asking) as client:
            if asking.id_hash_key is not None:
                _refuse_by_key()
            standing = check_api(client, user)
    else:
        settings = read_settings_as(FileSettings, **options)
        with working("publish", settings), open_for_reading(settings.warehouse, settings.lock_seconds) as database:
            unproven = _require_proven(database.query, settings, allow_unproven=allow_unproven)
            found = check_warehouse(database.query, user)
            standing = found and replace(found, unproven=unproven)
    if standing is None:
        where = "the API has no quota and no use this month of it" if live else "the warehouse does not name it"
        say(f"publish: unknown user {quoted_id(user)}: {where}", err=True)
        return UNKNOWN_USER
    show(json.dumps(standing.as_json(), ensure_ascii=False, indent=2) if as_json else _standing_text(standing))
    return NOTHING if standing.has_headroom else DIFFERS


def _compare(query: Query, settings: FileSettings, day: date, *, allow_unproven: bool) -> Comparison:
    """Compare desired with effective limits, if the desired ones come from a proven build."""
    unproven = _require_proven(query, settings, allow_unproven=allow_unproven)
    return replace(compare(query, day), unproven=unproven)


def _require_proven(query: Query, settings: FileSettings, *, allow_unproven: bool) -> str | None:
    """Refuse a warehouse that no build has proven.

    Loads of quotas make nothing old here: `apply` lands the answers that it reads back, and they count at once.
    """
    require_built(query, settings.warehouse)
    return require_proven(query, settings.warehouse, allow_unproven=allow_unproven, reads_quota_answers=True)


@contextmanager
def _open(settings: ApiSettings) -> Iterator[tuple[RawWriter, Client]]:
    """Open the warehouse for writing, and a client of the API."""
    with (
        CheckpointProcess(settings.warehouse) as process,
        RawWriter(settings.warehouse, settings.lock_seconds, on_close=process.checkpoint) as warehouse,
        Client(settings) as client,
    ):
        yield warehouse, client


def _refuse_pseudonyms(settings: ApiSettings, query: Query) -> None:
    """Refuse changes if the warehouse does not hold the real ids."""
    if settings.id_hash_key is not None:
        _refuse_by_key()
    if query(_HAS_PSEUDONYMS, []) == [(True,)]:
        raise ConfigurationError(
            f"{settings.warehouse} holds pseudonyms: the vendor knows quotas by the real ids only, which are not "
            "known here, so none can be changed from it"
        )


def _refuse_by_key() -> NoReturn:
    raise ConfigurationError(
        "MIOSA_ID_HASH_KEY is set, so users are known by pseudonyms only: the vendor knows quotas by the real ids"
    )


def print_outcome(outcome: Outcome) -> int:
    """Print the outcome, and who failed. Returns the exit status."""
    say(
        f"{len(outcome.changed):,} users changed, {len(outcome.already):,} found to be as wanted already, "
        f"{len(outcome.failed):,} failed, {outcome.untried:,} not tried. Next: dbt build"
    )
    for user, why in outcome.failed:
        say(f"publish: {quoted_id(user)}: {' '.join(why.split())}", err=True)
    if outcome.stopped_by is not None:
        say("publish: stopped there: the others would not fare better; what is done stays done", err=True)
    return 1 if outcome.failed else NOTHING


def _comparison_text(comparison: Comparison) -> str:
    """The differences as a table."""
    users = len(comparison.differing_users)
    title = f"{comparison.day}: {users:,} of {comparison.users:,} users differ, {len(comparison.desired):,} are managed"
    if comparison.unproven is not None:
        title += f"; not proven: {comparison.unproven}"
    if comparison.interrupted:
        title += f"; changes of {len(comparison.interrupted):,} were interrupted: `publish quotas apply` finishes them"
    if not users:
        return title.replace(f"{users:,} of", "none of", 1)
    if not comparison.differences:
        return title
    rows = [
        (quoted_id(each.external_user_id), each.quota, str(each.effective), str(each.desired), each.desired.why)
        for each in comparison.differences
    ]
    return _table(title, ("user", "quota", "in force", "wanted", "why"), rows, right=(2, 3))


def _standing_text(standing: Standing) -> str:
    """The standing of a user as a table."""
    source = "by the API, so far" if standing.source == "api" else "by the warehouse"
    rows = [
        (
            line.quota,
            str(line.limit),
            "not measured" if line.used is None else number_text(line.used),
            "" if line.headroom is None else number_text(line.headroom),
            ("reached" + (f" {line.reached_at:%Y-%m-%d %H:%M:%S}Z" if line.reached_at else ""))
            if line.is_reached
            else "",
        )
        for line in standing.lines
    ]
    title = f"{quoted_id(standing.external_user_id)} in {standing.billing_period or 'no period'}, {source}"
    if standing.unproven is not None:
        title += f"; not proven: {standing.unproven}"
    return _table(title, ("quota", "limit", "used", "headroom", ""), rows, right=(1, 2, 3))


def quoted_id(user: str) -> str:
    """An id as messages show it: quoted if blanks or unprintable characters would mislead."""
    if not user.isprintable():
        return json.dumps(user)
    return user if user and user == user.strip() else json.dumps(user, ensure_ascii=False)


def _table(title: str, columns: Sequence[str], rows: Sequence[Sequence[str]], *, right: Sequence[int] = ()) -> str:
    """Rows of texts as a table, without markup: ids may hold brackets."""
    table = Table(title=Text(title), title_justify="left", box=box.SIMPLE_HEAD)
    for index, column in enumerate(columns):
        table.add_column(column, justify="right" if index in right else "left", overflow="fold")
    for row in rows:
        table.add_row(*map(Text, row))
    # A pipe has no width, and its lines should not depend on one.
    console = Console() if sys.stdout.isatty() else Console(width=_WIDTH)
    with console.capture() as captured:
        console.print(table)
    return captured.get().removesuffix("\n")
