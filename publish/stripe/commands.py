"""`publish stripe`: the command, and how it shows what is to be sent and what was."""

from __future__ import annotations

import contextlib
import json
import sys
from collections.abc import Iterator, Sequence
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import click
from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from core.command_line import redacted, say, show, working
from core.database.checkpoint import CheckpointProcess
from core.database.connection import Database, Query
from core.database.opening import open_for_writing
from core.errors import ConfigurationError, ExtractError, WarehouseError
from core.options import options_of
from core.progress import bars
from core.settings import read_settings_as
from core.sql_files import sql_files
from publish.builds import allow_unproven_option
from publish.stripe.documents import Document, plain, read_documents
from publish.stripe.notes import Notes, Reading
from publish.stripe.settings import DEFAULT_BASE, StripeSettings
from publish.warehouse import open_marts

if TYPE_CHECKING:
    from publish.stripe.charging import Charged

sql = sql_files(__file__)

DONE, FAILED, LEFT = 0, 1, 3
"""Exit statuses; 2 is wrong usage or configuration."""

_WIDTH = 120
_SHOWN_LINKS = 20
_UNFINISHED = "ledger.stripe_documents lists what was sent; run again to go on"


@click.command()
@options_of(StripeSettings)
@click.option("--send", is_flag=True, help="Send; without it, nothing is sent and no key is needed.")
@click.option("--finalize", is_flag=True, help="Finalize the invoices and make the credits, too.")
@click.option("--create-customers", is_flag=True, help="Create a customer for each user who has none.")
@click.option("--live", is_flag=True, help="Allow a key that moves real money.")
@click.option("--sync", is_flag=True, help="Land payments, refunds and disputes of the period's invoices.")
@allow_unproven_option
def stripe(
    send: bool, finalize: bool, create_customers: bool, live: bool, sync: bool, allow_unproven: bool, **options: Any
) -> int:
    """Put the invoices of a closed period to Stripe, each line exactly once.

    Shows per currency what is to be sent. With --send, makes a draft of each positive invoice, or finds the one that an
    earlier run made, and reads it back; --finalize also finalizes it and makes the credits. What somebody changed at
    Stripe is reported and left as it is. The key comes from STRIPE_API_KEY, the address from STRIPE_API_BASE.

    Exit status: 0 everything is done; 1 failed, or some invoices are not done, each named with its reason; 2 wrong
    usage or configuration; 3 without --send, something is left to send.
    """
    settings = read_settings_as(StripeSettings, **options)
    _check_usage(settings, sends=send, finalizes=finalize, lives=live, syncs=sync)
    with working("publish", settings, _UNFINISHED):
        with open_marts(settings, allow_unproven=allow_unproven) as marts:
            _require_closed(marts.database.query, settings)
            documents = read_documents(marts.database.query, settings.period)
            notes = Notes(marts.database, settings.period)
            unproven = marts.unproven
        left = [each for each in documents if each.status != "ok"]
        if not sync or send:
            title = f"{settings.period}: {len(left):,} of {len(documents):,} invoices are left to send"
            show(_plan(title + (f"; not proven: {unproven}" if unproven else ""), documents, notes))
        if not send and not sync:
            for each in left:
                if each.status in ("missing", "differs", "void"):
                    _say_undone(each, f"is {each.status} at Stripe, and is left as it is", settings)
            return LEFT if left else DONE
        with _writing(settings) as database:
            status = _send(settings, database, finalizes=finalize, creates=create_customers) if send else DONE
            return max(status, _sync(settings, database) if sync else DONE)


def _check_usage(settings: StripeSettings, *, sends: bool, finalizes: bool, lives: bool, syncs: bool) -> None:
    """Refuse options and settings that do not go together, before anything is opened. Raises `ConfigurationError`."""
    if finalizes and not sends:
        raise ConfigurationError("--finalize finalizes what is sent: use it together with --send")
    if settings.is_live and not lives:
        raise ConfigurationError("STRIPE_API_KEY is a live key, which moves real money: give --live if that is meant")
    if sends or syncs:
        _ = settings.key


def _require_closed(query: Query, settings: StripeSettings) -> None:
    """Refuse a period that is not closed. Raises `ConfigurationError`, and `WarehouseError` without the marts."""
    if query(sql("has_models"), []) != [(True,)]:
        raise WarehouseError(
            f"{settings.warehouse} was built by an earlier version, which knew nothing of Stripe: run `dbt build`"
        )
    if query(sql("is_closed"), [settings.period]) != [(True,)]:
        raise ConfigurationError(
            f"{settings.period} is not closed: only closed invoices are sent; close it with "
            f"`dbt build --vars '{{close_period: \"{settings.period}\"}}'`"
        )


@contextlib.contextmanager
def _writing(settings: StripeSettings) -> Iterator[Database]:
    """The warehouse, for writing. No other process has it until the block ends."""
    with CheckpointProcess(settings.warehouse) as process:
        database = open_for_writing(settings.warehouse, settings.lock_seconds)
        try:
            yield database
        finally:
            database.close()
            process.checkpoint()


def _send(settings: StripeSettings, database: Database, *, finalizes: bool, creates: bool) -> int:
    """Send, and print the outcome. Returns the exit status."""
    from publish.stripe.api import Api
    from publish.stripe.charging import Charging

    # Read again: another run may have sent while this one waited for the file.
    documents, notes = read_documents(database.query, settings.period), Notes(database, settings.period)
    names: dict[str, str] = dict(database.query(sql("names"), [])) if creates else {}
    with bars() as stages:
        bar = stages.stage("invoices", len(documents))
        charging = Charging(
            Api(settings.key, settings.stripe_base), notes, bar, finalizes=finalizes, creates_customers=creates
        )
        charged = charging.charge(documents, names)
    say(_outcome(settings, charged))
    for document, why in charged.undone:
        _say_undone(document, why, settings)
    if charged.stopped_by is not None and charged.untried:
        say(
            f"publish: stopped there, {charged.untried:,} invoices were not tried: the others would fare alike",
            err=True,
        )
    return FAILED if charged.undone or charged.untried else DONE


def _sync(settings: StripeSettings, database: Database) -> int:
    """Land what happened since, and print how much. Returns the exit status."""
    from stripe import StripeError

    from publish.stripe.api import Api, words_of
    from publish.stripe.syncing import made_invoices, sync

    invoices = made_invoices(database, settings.period)
    with bars() as stages:
        try:
            api = Api(settings.key, settings.stripe_base)
            read, added = sync(api, database, invoices, stages.stage("invoices", len(invoices)))
        except StripeError as error:
            raise ExtractError(f"{words_of(error)}: what was read before is landed; run again") from error
    say(f"{read:,} invoices of {settings.period} were read, {added:,} new rows. Next: marts.rpt_receivables")
    return DONE


# --- What is shown --------------------------------------------------------------------------------------------------


def _plan(title: str, documents: Sequence[Document], notes: Notes) -> str:
    """What is to be sent, per currency."""
    rows = []
    for currency, group in _by_currency(documents):
        invoices = [each for each in group if not each.is_credit]
        credits = [each for each in group if each.is_credit]
        without = [each for each in group if not each.customer and each.external_user_id not in notes.created_customers]
        rows.append(
            (
                currency,
                *(_count(invoices), f"{sum(len(each.lines) for each in invoices):,}", _amount(invoices, currency)),
                *(_count(credits), _amount(credits, currency)),
                *(_count(without), _count([each for each in group if each.is_below_minimum])),
                _count([each for each in group if each.status != "ok"]),
            )
        )
    columns = (
        *("currency", "invoices", "lines", "amount", "credits", "credited"),
        *("without customer", "below minimum", "left"),
    )
    return _table(title, columns, rows)


def _outcome(settings: StripeSettings, charged: Charged) -> str:
    """What was done, per currency, with links to the first of it."""
    rows = []
    for currency, group in _by_currency([document for document, _ in charged.done]):
        invoices = [each for each in group if not each.is_credit]
        credits = [each for each in group if each.is_credit]
        rows.append(
            (
                currency,
                *(_count(invoices), f"{sum(len(each.lines) for each in invoices):,}", _amount(invoices, currency)),
                *(_count(credits), _amount(credits, currency)),
                _count([each for each in group if each.is_below_minimum]),
            )
        )
    title = (
        f"{settings.period}: {len(charged.done):,} invoices stand at Stripe as they were closed, "
        f"{len(charged.undone):,} do not"
    )
    lines = [_table(title, ("currency", "invoices", "lines", "amount", "credits", "credited", "below minimum"), rows)]
    if charged.waiting:
        lines.append(f"{len(charged.waiting):,} credits wait for --finalize.")
    if any(document.is_below_minimum for document, _ in charged.done):
        lines.append("Stripe carries invoices below its minimum over to the customer's next one.")
    for document, reading in charged.done[:_SHOWN_LINKS]:
        lines.append(
            f"  {quoted_id(document.external_user_id)}  {reading.status}  {link_to(document, reading, settings)}"
        )
    if len(charged.done) > _SHOWN_LINKS:
        lines.append(f"  and {len(charged.done) - _SHOWN_LINKS:,} more: marts.rpt_stripe_reconciliation lists them all")
    return "\n".join(lines)


def link_to(document: Document, reading: Reading, settings: StripeSettings) -> str:
    """Where a document is in Stripe's dashboard; only its id if this is not Stripe itself."""
    if settings.stripe_base != DEFAULT_BASE:
        return str(reading.stripe_id)
    site = "https://dashboard.stripe.com" + ("" if settings.is_live else "/test")
    # The dashboard shows a customer's balance, but no page for one transaction of it.
    return f"{site}/customers/{reading.customer}" if document.is_credit else f"{site}/invoices/{reading.stripe_id}"


def _say_undone(document: Document, why: str, settings: StripeSettings) -> None:
    """Name an invoice that is not done, with the reason, in one line."""
    amount = _amount([document], document.currency)
    who = quoted_id(document.external_user_id)
    say(redacted(f"publish: {who}, {amount} {document.currency}: {plain(why)}", settings), err=True)


def quoted_id(user: str) -> str:
    """An id as messages show it: quoted if blanks or unprintable characters would mislead."""
    if not user.isprintable():
        return json.dumps(user)
    return user if user and user == user.strip() else json.dumps(user, ensure_ascii=False)


def _by_currency(documents: Sequence[Document]) -> list[tuple[str, list[Document]]]:
    currencies = sorted({each.currency for each in documents})
    return [(currency, [each for each in documents if each.currency == currency]) for currency in currencies]


def _count(documents: Sequence[Document]) -> str:
    return f"{len(documents):,}"


def _amount(documents: Sequence[Document], currency: str) -> str:
    """The sum in units of the currency."""
    decimals = max((each.decimals for each in documents), default=0)
    return f"{Decimal(sum(each.amount for each in documents)).scaleb(-decimals):,.{decimals}f}"


def _table(title: str, columns: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Rows of texts as a table: figures to the right, no markup."""
    table = Table(title=Text(title), title_justify="left", box=box.SIMPLE_HEAD)
    for index, column in enumerate(columns):
        table.add_column(column, justify="right" if index else "left", overflow="fold")
    for row in rows:
        table.add_row(*map(Text, row))
    # A pipe has no width, and its lines should not depend on one.
    console = Console() if sys.stdout.isatty() else Console(width=_WIDTH)
    with console.capture() as captured:
        console.print(table)
    return captured.get().removesuffix("\n")
