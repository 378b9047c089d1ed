"""The command line: what can be published, and how it ends."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NoReturn

import click

from core import __version__, command_line
from publish.excel.commands import excel
from publish.focus.commands import focus
from publish.invoices.commands import invoices
from publish.marts.commands import marts
from publish.quotas.commands import quotas
from publish.report.commands import report
from publish.stripe.commands import stripe

_STOPPED = "stopped; what was changed before stays changed and is recorded; run again to go on"


@click.group(no_args_is_help=False, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 120})
@click.version_option(__version__, prog_name="publish")
def command() -> None:
    """Publish what the warehouse holds."""


command.add_command(invoices)
command.add_command(marts)
command.add_command(focus)
command.add_command(quotas)
command.add_command(report)
command.add_command(excel)
command.add_command(stripe)


def outcome(arguments: Sequence[str] | None = None) -> tuple[int, str]:
    """Run the command. Returns its exit status and one line for standard error, which may be empty.

    The status is 0 if everything was done, 1 if the command failed, 2 for wrong usage or configuration, and 128 plus
    the signal's number if it was interrupted. Subcommands define the other statuses; their help describes them.
    """
    return command_line.outcome(command, "publish", _STOPPED, arguments)


def main() -> NoReturn:
    """Run the command as a process."""
    command_line.main(command, "publish", _STOPPED)
