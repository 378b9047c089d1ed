"""How dbt opens the warehouse (`profiles.yml` names this module): as carefully as the extractor does.

dbt never checkpoints: a kill in the middle of one could leave a file that nothing opens (`core.database.checkpoint`).
What dbt writes stays in the write-ahead log, and a process of its own makes the checkpoint when dbt has ended.

If another process holds the file, this plugin waits and names it: dbt-duckdb's own `retries` would wait in silence.
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

from core.command_line import say
from core.database.checkpoint import KEEP_LOG_ON_CLOSE, NEVER_CHECKPOINT, CheckpointProcess
from core.database.opening import hold_for_dbt
from core.errors import ExtractError
from core.raw.upgrading import add_missing_tables
from dbt_miosa_billing.seed_files import SeedError, check_seeds

LOADING_COMMANDS = ("build", "seed", "retry")
# They describe the project: `make docs` works before the first extraction.
DESCRIBING_COMMANDS = ("generate", "debug", "parse", "list", "ls")


def _check_seeds() -> None:
    """Stop commands that load seeds, before they open the warehouse, if a seed has errors."""
    flags: Any = get_flags()  # type: ignore[no-untyped-call]
    if flags.WHICH in LOADING_COMMANDS:
        try:
            check_seeds(Path(getattr(flags, "PROJECT_DIR", None) or "."))
        except SeedError as error:
            raise DbtRuntimeError(str(error)) from None


class Plugin(BasePlugin):
    """Named in `profiles.yml`; dbt-duckdb creates one per process."""

    _process: CheckpointProcess | None = None
    _held: duckdb.DuckDBPyConnection | None = None
    _error: str | None = None

    def initialize(self, plugin_config: dict[str, Any]) -> None:
        """Read the settings, check the seeds, and silence dbt's warnings about seeds with only a header."""
        given = str(plugin_config.get("lock_seconds", 60))
        if not given.isdecimal() or len(given) > 4:
            raise DbtRuntimeError(f"DBT_LOCK_SECONDS is {given[:20]!r}: set it to a whole number of seconds, as 60")
        self._lock_seconds = int(given)
        warnings.filterwarnings("ignore", category=RuntimeWarning, module="agate")
        _check_seeds()

    def update_connection_config(self, creds: Any, config: dict[str, Any]) -> None:
        """Open the warehouse without checkpoints, once no other process holds it."""
        config.update(NEVER_CHECKPOINT)
        if self._error is None:
            try:
                self._held = hold_for_dbt(
                    *(Path(creds.path), config, self._lock_seconds, _announce),
                    creates=get_flags().WHICH in DESCRIBING_COMMANDS,  # type: ignore[no-untyped-call]
                )
            except ExtractError as error:
                self._error = str(error)
        if self._error is not None:  # dbt asks again for each of its threads, which must not wait again
            raise DbtRuntimeError(self._error)

    def configure_connection(self, conn: duckdb.DuckDBPyConnection) -> None:
        """Leave the log alone when the connection closes, checkpoint once dbt has ended, and complete raw."""
        if self._held is not None:
            self._held.close()  # dbt has it now
            self._held = None
        path = Path(self.creds.path) if self.creds else None
        if path is None or not path.exists():
            return
        conn.execute(KEEP_LOG_ON_CLOSE)
        add_missing_tables(conn)
        if self._process is None:
            self._process = CheckpointProcess(path)
            atexit.register(self._end)
        self._connection = conn

    def _end(self) -> None:
        """Close the connection that dbt keeps open to its end, and checkpoint."""
        self._connection.close()
        if self._process is not None:
            with self._process as process:
                process.checkpoint()


def _announce(line: str) -> None:
    """Show a line at once, on standard error: dbt's own messages may be hidden (`--quiet`)."""
    say(f"dbt: {line}", err=True)
