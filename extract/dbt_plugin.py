"""How dbt opens the warehouse (`profiles.yml` names this module): as careful with the file as the extractor is.

DuckDB's checkpoint rewrites blocks in place, so a kill in the middle of one can leave a file that nothing opens again
(`core.checkpoint`). dbt therefore never checkpoints either: what it builds and closes stands in the write-ahead log,
and a process of its own, out of reach of a kill, folds the log in when dbt has ended.

Another process that holds the file is waited for here, and named: dbt-duckdb's own `retries` would wait in silence.
"""

from __future__ import annotations

import atexit
import warnings
from pathlib import Path
from typing import Any

import duckdb
from dbt.adapters.duckdb.plugins import BasePlugin
from dbt.flags import get_flags
from dbt_common.exceptions import DbtRuntimeError

from core.checkpoint import NEVER_CHECKPOINT, Folding
from core.command_line import say
from core.errors import ExtractError
from extract.seed_files import SeedError, check_seeds
from extract.warehouse import hold_for_dbt

LOADING_COMMANDS = ("build", "seed", "retry")


def _check_seeds() -> None:
    """Stop commands that load seeds before they open the warehouse, where a seed is not as it should be."""
    flags: Any = get_flags()  # type: ignore[no-untyped-call]
    if flags.WHICH in LOADING_COMMANDS:
        try:
            check_seeds(Path(getattr(flags, "PROJECT_DIR", None) or "."))
        except SeedError as error:
            raise DbtRuntimeError(str(error)) from None


class Plugin(BasePlugin):
    """Named in `profiles.yml`; dbt-duckdb makes one a process."""

    _folding: Folding | None = None
    _held: duckdb.DuckDBPyConnection | None = None
    _error: str | None = None

    def initialize(self, plugin_config: dict[str, Any]) -> None:
        """Keep dbt's CSV reader from warning of each seed that has only its header."""
        given = str(plugin_config.get("lock_seconds", 60))
        if not given.isdecimal() or len(given) > 4:
            raise DbtRuntimeError(f"DBT_LOCK_SECONDS is {given[:20]!r}: set it to a whole number of seconds, as 60")
        self._lock_seconds = int(given)
        warnings.filterwarnings("ignore", category=RuntimeWarning, module="agate")
        _check_seeds()

    def update_connection_config(self, creds: Any, config: dict[str, Any]) -> None:
        """Open the warehouse as one that only ever appends to its log, once no other process holds it."""
        config.update(NEVER_CHECKPOINT)
        if self._error is None:
            try:
                self._held = hold_for_dbt(Path(creds.path), config, self._lock_seconds, _tell)
            except ExtractError as error:
                self._error = str(error)
        if self._error is not None:  # dbt asks again for each of its threads, which need not wait once more
            raise DbtRuntimeError(self._error)

    def configure_connection(self, conn: duckdb.DuckDBPyConnection) -> None:
        """Leave the log alone when the connection closes, and have it folded in once it has."""
        if self._held is not None:
            self._held.close()  # dbt has it now
            self._held = None
        path = Path(self.creds.path) if self.creds else None
        if path is None or not path.exists():
            return
        conn.execute("pragma disable_checkpoint_on_shutdown")
        if self._folding is None:
            self._folding = Folding(path)
            atexit.register(self._end)
        self._connection = conn

    def _end(self) -> None:
        """Close what dbt keeps open to its end, and fold."""
        self._connection.close()
        if self._folding is not None:
            with self._folding as folding:
                folding.fold()


def _tell(line: str) -> None:
    """Say something at once, on standard error: dbt's own messages may be hidden (`--quiet`)."""
    say(f"dbt: {line}", err=True)
