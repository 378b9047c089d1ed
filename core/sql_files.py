"""SQL statements in files of their own, where the linter reads them."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from pathlib import Path


def sql_files(module_file: str) -> Callable[[str], str]:
    """A function that returns the text of `sql/<name>.sql` beside a module, given as its `__file__`."""
    folder = Path(module_file).with_name("sql")

    @cache
    def read(name: str) -> str:
        return (folder / f"{name}.sql").read_text("utf-8")

    return read
