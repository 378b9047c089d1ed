"""Where the warehouse may be: one check for the extractor, `publish` and dbt, before anything is opened or made."""

from __future__ import annotations

import os
import re
from pathlib import Path

from core.errors import ConfigurationError

RESERVED_NAMES = frozenset(
    {
        # Schemas that this project creates: schema.sql, dbt_project.yml, the macros of the ledger and of history.
        *("raw", "seeds", "staging", "intermediate", "marts", "ledger", "build_state", "touched"),
        # DuckDB's own schemas and databases.
        *("main", "temp", "system", "memory", "information_schema", "pg_catalog"),
        # Where dbt keeps the rows of failed tests, if it is asked to (`--store-failures`).
        "dbt_test__audit",
    }
)
"""Names that the database may not have, in lower case: DuckDB names it after its file, and `name.table` is ambiguous
where a schema has the same name. A test compares this with a warehouse that was built."""

# What DuckDB takes for something else than a file of this machine: `md:…`, `ducklake:…`, `s3://…`, memory.
_NO_FILE = re.compile(r":memory:|\w{2,}:", re.ASCII)
# What ends a line, or is no text at all: it cannot stand in a message of one line.
_NO_TEXT = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]")
# DuckDB takes `\` for `/`, and puts its log where the first `?` stands.
_NEVER_IN_PATH = re.compile(r"[?\\]")
# dbt takes the path for an address, which ends at `#`, and in its file name at `;`. It puts the file's name between
# quotes of either kind in its SQL.
_NEVER_AS_GIVEN = re.compile("#")
_NEVER_IN_NAME = re.compile("[\"';]")
_LONGEST_NAME = 255 - len(".new.wal")


def check_place(path: Path) -> None:
    """Refuse a path that names no file of this machine, or that DuckDB or dbt would take for another one.

    Raises `ConfigurationError`.
    """
    if not path.name.strip(". ") or _NO_FILE.match(str(path)):
        raise ConfigurationError("WAREHOUSE_PATH names no file of this machine: set it to one, as warehouse.duckdb")
    if _NO_TEXT.search(str(path)):
        raise ConfigurationError("WAREHOUSE_PATH holds a line break or the like: choose another name")
    found = (
        _NEVER_IN_PATH.search(str(path.absolute()))
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
