"""What dbt does first in this project: check that it can read the seeds at all.

dbt decodes seeds while it parses, before the warehouse's plugin (`extract/dbt_plugin.py`) is loaded, and ends in a
traceback where a spreadsheet saved one in another encoding. dbt imports each module called `dbt_…` that it finds on
its path before it parses; `make setup` puts this folder there.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from dbt.flags import get_flags
from dbt.plugins.manager import dbtPlugin
from dbt_common.exceptions import DbtRuntimeError

from extract.seed_files import SeedError, check_encodings


class MiosaBilling(dbtPlugin):
    """dbt makes one for each command."""

    def initialize(self) -> None:
        """Stop the command with one line where a seed is not UTF-8."""
        if self.project_name != "miosa_billing":
            return
        flags: Any = get_flags()  # type: ignore[no-untyped-call]
        try:
            check_encodings(Path(getattr(flags, "PROJECT_DIR", None) or "."))
        except SeedError as error:
            raise DbtRuntimeError(str(error)) from None


plugins = [MiosaBilling]
