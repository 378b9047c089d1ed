"""Command-line options made of settings."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

import click

from core.settings import FileSettings

Command = TypeVar("Command", bound=Callable[..., Any])


class Flag(NamedTuple):
    """How an option is spelt, in the annotation of a setting whose name is not its flag."""

    name: str
    metavar: str


def options_of(kind: type[FileSettings], **help_texts: str) -> Callable[[Command], Command]:
    """The options of a command that takes these settings, some with a help text of the command's own.

    Options that are not given are None: `read_settings_as` then reads the environment.
    """

    def decorate(command: Command) -> Command:
        # A kind's own settings stand before those that it inherits. Decorators add options from the last to the first.
        names = [name for owner in kind.__mro__ for name in vars(owner).get("__annotations__", ())]
        for name in reversed([name for name in names if name in kind.model_fields]):
            field = kind.model_fields[name]
            if field.description is None:
                continue
            flag = next((each for each in field.metadata if isinstance(each, Flag)), None)
            command = click.option(
                flag.name if flag else f"--{name.replace('_', '-')}",
                name,
                # A setting that may be None is a path too.
                type=click.Path() if isinstance(field.default, Path | None) else type(field.default),
                is_flag=isinstance(field.default, bool),
                default=None,
                metavar=flag.metavar if flag else None,
                help=help_texts.get(name, field.description),
            )(command)
        return command

    return decorate
