"""The frame of every command: exit status, errors as one line, signals, and no key in any output."""

from __future__ import annotations

import contextlib
import logging
import os
import signal
import sys
from collections.abc import Iterator, Sequence
from types import FrameType
from typing import NoReturn

import click
from pydantic import SecretStr

from core.errors import ExtractError, Interrupted
from core.settings import FileSettings


@contextlib.contextmanager
def working(name: str, settings: FileSettings, unfinished: str = "nothing unfinished was landed") -> Iterator[None]:
    """Run the work of a command: logging without the key, files for their owner only, errors as one line.

    `unfinished` is the part of the message of an unexpected error that describes the state it leaves.
    """
    _umasks.append(os.umask(0o077))
    logging.basicConfig(stream=sys.stderr, format=f"{name}: %(message)s", level=logging.WARNING)
    logging.getLogger("miosa_billing").setLevel(logging.DEBUG if settings.verbose else logging.WARNING)
    for handler in logging.getLogger().handlers:
        handler.addFilter(_Redact(settings))
    try:
        yield
    except click.exceptions.Exit:
        raise
    except Exception as error:
        if _signals:  # a query that a signal interrupted raises an error of its own
            raise Interrupted(_signals[0]) from error
        if isinstance(error, ExtractError):
            error.args, error.words = (redacted(str(error), settings),), ""
            raise
        if isinstance(error, click.exceptions.Abort | click.ClickException):
            raise
        # If ids must not be shown, texts that are not ours must not be either: they may contain ids.
        text = "" if settings.id_hash_key else " ".join(redacted(str(error), settings).split())[:300]
        raise ExtractError(f"unexpected {type(error).__name__}: {text}: {unfinished}; please report this") from error


def users_umask() -> int:
    """The umask that the user had, for files that are meant for others; the commands' own files are their owner's."""
    return _umasks[0] if _umasks else 0o077


def adopt_umask(umask: int) -> None:
    """Take over the user's umask in a process that a command started for a part of its work."""
    _umasks.append(umask)


def outcome(command: click.Command, name: str, stopped: str, arguments: Sequence[str] | None) -> tuple[int, str]:
    """Run a command. Returns its exit status and one line for standard error, which may be empty.

    The status is the number that the command returns, or 0 if it returns none. An `ExtractError` and an `Interrupted`
    have their own status, wrong usage has 2, and Ctrl-C at a prompt has 130. `stopped` is the line for an interruption.
    """
    try:
        result = command.main(arguments, prog_name=f"python -m {name}", standalone_mode=False)
    except Interrupted as interrupt:
        return interrupt.exit_status, stopped
    except ExtractError as error:
        return error.exit_status, " ".join(str(error).split())
    except click.ClickException as error:
        return 2, " ".join(error.format_message().split())
    except click.Abort:
        return 130, "stopped"
    except OSError as error:  # from click itself: our commands write with `say` and `show`
        return 1, f"cannot write to standard output ({error.strerror})"
    except SystemExit:  # from click too, if the reader of its help has left
        return 0, ""
    return (result if isinstance(result, int) else 0), ""


def main(command: click.Command, name: str, stopped: str) -> NoReturn:
    """Run a command as a process."""
    _open_closed_streams()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, _on_signal)
    status, message = outcome(command, name, stopped, None)
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)  # the work is done
    if message:
        say(f"{name}: {message}", err=True)
    # The warehouse is closed. Threads may still wait for an answer: do not wait for them.
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(OSError, ValueError):
            stream.flush()
    os._exit(status)


def say(text: str, *, err: bool = False) -> None:
    """Print what was done. A closed or full stream is ignored: the work is done either way."""
    with contextlib.suppress(OSError, ValueError):
        click.echo(text, err=err)


def show(text: str) -> None:
    """Print requested output. Raises `ExtractError` if it cannot be written, unless its reader has left."""
    try:
        click.echo(text)
    except BrokenPipeError:
        return
    except (OSError, ValueError) as error:
        why = getattr(error, "strerror", None) or error
        raise ExtractError(f"cannot write to standard output ({why}): send it elsewhere, then run again") from error


def redacted(text: str, settings: FileSettings) -> str:
    """The text without the keys, in case the API echoed one."""
    for key in dict(settings).values():
        if isinstance(key, SecretStr) and key.get_secret_value():
            text = text.replace(key.get_secret_value(), "***")
    return text


def _open_closed_streams() -> None:
    """Open /dev/null for closed streams: else the next file opened, perhaps the warehouse, would become one."""
    for number, name in enumerate(("stdin", "stdout", "stderr")):
        if getattr(sys, name) is None:
            setattr(sys, name, os.fdopen(os.open(os.devnull, os.O_RDWR), "w" if number else "r"))


class _Redact(logging.Filter):
    """Removes the keys from every log line."""

    def __init__(self, settings: FileSettings) -> None:
        super().__init__()
        self._settings = settings

    def filter(self, record: logging.LogRecord) -> bool:
        """Remove the keys from the finished line."""
        record.msg, record.args = redacted(record.getMessage(), self._settings), None
        return True


_signals: list[int] = []
_umasks: list[int] = []


def _on_signal(number: int, frame: FrameType | None) -> NoReturn:
    """Stop the work; an open transaction is rolled back."""
    _signals.append(number)
    raise Interrupted(number)
