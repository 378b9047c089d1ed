"""Where the database file may be: one check for `extract`, `publish` and dbt, before anything is opened or created."""

from __future__ import annotations

import os
import re
from pathlib import Path

from core.errors import ConfigurationError

RESERVED_NAMES = frozenset(
    {
        # Schemas that this project creates: schema.sql, dbt_project.yml, the macros of the ledger and of history.
        *("raw", "seeds", "staging", "intermediate", "marts", "ledger", "builds", "build_state", "touched"),
        # DuckDB's own schemas and databases.
        *("main", "temp", "system", "memory", "information_schema", "pg_catalog"),
        # Where dbt keeps the rows of failed tests, if asked to (`--store-failures`).
        "dbt_test__audit",
    }
)
"""Names that the database must not have, in lower case: DuckDB names it after its file, and `name.table` is ambiguous
if a schema has the same name. A test compares this list with a warehouse that was built."""

# What DuckDB takes for something other than a file of this machine: `md:…`, `ducklake:…`, `s3://…`, memory.
_NOT_A_FILE = re.compile(r":memory:|\w{2,}:", re.ASCII)
# Line breaks and undecodable bytes: they cannot stand in a message of one line.
_UNPRINTABLE = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]")
# DuckDB reads `\` as `/`, and puts its log where the first `?` stands.
_NEVER_IN_ABSOLUTE_PATH = re.compile(r"[?\\]")
# dbt reads the path as an address, which ends at `#`, and the file name up to `;`. In its SQL it puts the file name
# between quotes of either kind.
_NEVER_AS_GIVEN = re.compile("#")
_NEVER_IN_NAME = re.compile("[\"';]")
_LONGEST_NAME = 255 - len(".new.wal")


def check_database_path(path: Path) -> None:
    """Refuse a path that names no file of this machine, or that DuckDB or dbt would read as another one.

    Raises `ConfigurationError`.
    """
    if not path.name.strip(". ") or _NOT_A_FILE.match(str(path)):
        raise ConfigurationError("WAREHOUSE_PATH names no file of this machine: set it to one, as warehouse.duckdb")
    if _UNPRINTABLE.search(str(path)):
        raise ConfigurationError("WAREHOUSE_PATH holds a line break or the like: choose another name")
    found = (
        _NEVER_IN_ABSOLUTE_PATH.search(str(path.absolute()))
        or _NEVER_AS_GIVEN.search(str(path))
        or _NEVER_IN_NAME.search(path.name)
    )
    if found:
        raise ConfigurationError(f"WAREHOUSE_PATH holds {found[0]} in the name of the file or a folder: rename that")
    if len(os.fsencode(path.name)) > _LONGEST_NAME:
        raise ConfigurationError("WAREHOUSE_PATH has a file name that is too long: choose a shorter one")
    if (name := database_name(path)).lower() in RESERVED_NAMES:
        raise ConfigurationError(
            f"WAREHOUSE_PATH is named like the schema {name!r} inside of it: choose another file name"
        )


def database_name(path: Path) -> str:
    """The name that DuckDB, and dbt after it, give to the database in a file.

    >>> database_name(Path("data/.usage.2026.duckdb"))
    'usage'
    """
    return path.name.lstrip(".").partition(".")[0]
