"""The command line: options, exit status, and the one place that turns errors into one line."""

from __future__ import annotations

import contextlib
import logging
import os
import signal
import sys
import threading
from collections.abc import Sequence
from types import FrameType
from typing import Any, NoReturn

import click

from extract import __version__
from extract.client import Client
from extract.errors import ExtractError, Interrupted
from extract.progress import bars
from extract.pseudonyms import Pseudonyms
from extract.run import Run, Summary
from extract.settings import Settings, read_settings
from extract.upkeep import Folding
from extract.warehouse import Warehouse

logger = logging.getLogger("extract")


@click.command(context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 120})
@click.option("--from", "first_month", metavar="YYYY-MM", help="First month to land. Default: the last whole month.")
@click.option(
    "--to", "last_month", metavar="YYYY-MM", help="Last month to land, inclusive. One alone means that month."
)
@click.option("--base-url", help="The API's address. [env: MIOSA_BASE_URL]")
@click.option(
    "--warehouse", type=click.Path(), help="The DuckDB file. [env: WAREHOUSE_PATH; default: warehouse.duckdb]"
)
@click.option("--look-back-days", type=int, help="Days asked for before the first month. [default: 35]")
@click.option(
    "--look-ahead-days",
    type=int,
    help="Days asked for after the last month, up to today, unless the API is seen not to select by end. [default: 35]",
)
@click.option("--window-days", type=int, help="Days in a window. [default: 1]")
@click.option("--page-size", type=int, help="Rows asked for in a page. [default: 100]")
@click.option("--threads", type=int, help="Requests at a time. [default: 4 to 32, more where the API takes longer]")
@click.option("--max-tries", type=int, help="Tries a request. [default: 12]")
@click.option("--max-seconds", type=float, help="Seconds a request, its retries included. [default: 600]")
@click.option("--request-seconds", type=float, help="Seconds a single try. [default: 120]")
@click.option("--max-body-mib", type=int, help="Most MiB of an answer, unpacked. [default: 256]")
@click.option("--max-passes", type=int, help="Readings of a list that does not prove complete. [default: 3]")
@click.option("--lock-seconds", type=float, help="Seconds to wait for a file that another process holds. [default: 30]")
@click.option("--void-share", type=float, help="Per cent of covered sessions a run may void unasked. [default: 20]")
@click.option("--allow-voids", is_flag=True, default=None, help="Void however many sessions the API no longer lists.")
@click.option("--verbose", is_flag=True, default=None, help="Tell of each request and retry.")
@click.version_option(__version__, prog_name="extract")
def command(**options: Any) -> None:
    """Land usage sessions, sandboxes, quotas and the vendor's own figures in the warehouse.

    The key comes from MIOSA_API_KEY and from nowhere else. With MIOSA_ID_HASH_KEY set, external ids are stored as
    pseudonyms. Every option may be given as EXTRACT_<OPTION> as well.
    """
    settings = read_settings(**options)
    logging.basicConfig(stream=sys.stderr, format="extract: %(message)s", level=logging.WARNING)
    logger.setLevel(logging.DEBUG if settings.verbose else logging.WARNING)
    for handler in logging.getLogger().handlers:
        handler.addFilter(_Redact(settings))
    _tell(_run(settings), settings)


def _run(settings: Settings) -> Summary:
    """Run with everything open that a run needs."""
    os.umask(0o077)
    stop = threading.Event()
    pseudonyms = Pseudonyms.of_settings(settings)
    try:
        with (
            Folding(settings.warehouse) as folding,
            Warehouse(
                settings.warehouse,
                settings.lock_seconds,
                pseudonyms.check_value if pseudonyms else None,
                on_close=folding.fold,
            ) as warehouse,
            Client(settings, stop) as client,
            bars() as shown,
        ):
            return Run(settings, client, warehouse, shown, pseudonyms).execute()
    except Exception as error:
        if _signals:  # a query that a signal ended reports it as an error of its own
            raise Interrupted(_signals[0]) from error
        if isinstance(error, ExtractError):
            error.args, error.words = (_redact(str(error), settings),), ""
            raise
        # Where ids may not be shown, neither may words that nobody of us wrote.
        text = "" if pseudonyms else _redact(" ".join(str(error).split())[:300], settings)
        raise ExtractError(
            f"unexpected {type(error).__name__}: {text}: nothing unfinished was landed; please report this"
        ) from error
    finally:
        stop.set()


def _tell(summary: Summary, settings: Settings) -> None:
    """Say what was done, and what comes next."""
    click.echo(
        f"{settings.first_month} to {settings.last_month}: {summary.loads} loads, {summary.rows_listed:,} rows listed, "
        f"{summary.rows_added:,} added, {summary.voids:,} sessions voided, in {settings.warehouse}. Next: dbt build"
    )


def _redact(text: str, settings: Settings) -> str:
    """Blot the keys out, should the API have echoed one."""
    for key in (settings.api_key, settings.id_hash_key):
        text = text if key is None else text.replace(key.get_secret_value(), "***")
    return text


class _Redact(logging.Filter):
    """Keeps the key out of every log line."""

    def __init__(self, settings: Settings) -> None:
        super().__init__()
        self._settings = settings

    def filter(self, record: logging.LogRecord) -> bool:
        """Blot the key out of the finished line."""
        record.msg, record.args = _redact(record.getMessage(), self._settings), None
        return True


_signals: list[int] = []


def _on_signal(number: int, frame: FrameType | None) -> NoReturn:
    """Stop the run where it stands; whatever transaction is open is rolled back."""
    _signals.append(number)
    raise Interrupted(number)


def outcome(arguments: Sequence[str] | None = None) -> tuple[int, str]:
    """Run the command: the exit status that `interface.md` names, and one line for standard error (or none)."""
    try:
        command.main(arguments, prog_name="python -m extract", standalone_mode=False)
    except Interrupted as interrupt:
        return interrupt.exit_status, "stopped; what was landed before stays, the rest was rolled back"
    except ExtractError as error:
        return error.exit_status, " ".join(str(error).split())
    except click.ClickException as error:
        return 2, " ".join(error.format_message().split())
    except click.Abort:
        return 130, "stopped"
    return 0, ""


def main() -> NoReturn:
    """Run the command as a process."""
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, _on_signal)
    status, message = outcome()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)  # all is said and done
    if message:
        click.echo(f"extract: {message}", err=True)
    # The warehouse is closed. What may be left are threads that wait for an answer: nobody waits for them.
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(OSError, ValueError):
            stream.flush()
    os._exit(status)
