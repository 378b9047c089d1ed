"""What dbt needs of this project in Python. dbt imports each package called `dbt_…` on its path before it parses.

dbt decodes seeds while it parses, before the plugin of the warehouse (`warehouse_plugin`) is loaded, and ends in a
traceback if a spreadsheet saved one in another encoding. So the encodings are checked here, first.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from dbt.flags import get_flags
from dbt.plugins.manager import dbtPlugin
from dbt_common.exceptions import DbtRuntimeError

from dbt_miosa_billing.seed_files import SeedError, check_encodings


class MiosaBilling(dbtPlugin):
    """dbt creates one per command."""

    def initialize(self) -> None:
        """Stop the command with one line if a seed is not UTF-8."""
        if self.project_name != "miosa_billing":
            return
        flags: Any = get_flags()  # type: ignore[no-untyped-call]
        try:
            check_encodings(Path(getattr(flags, "PROJECT_DIR", None) or "."))
        except SeedError as error:
            raise DbtRuntimeError(str(error)) from None


plugins = [MiosaBilling]
