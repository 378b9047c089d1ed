"""Makes docs/report.png from the demo: `make demo`, then `python -m tools.report_picture`.

The picture is the top of the page that `publish report` writes about the demo's second closed month, in Chromium.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import duckdb
from playwright.sync_api import sync_playwright

ROOT = Path(__file__).resolve().parents[1]
PICTURE = ROOT / "docs" / "report.png"
WIDTH, HEIGHT = 1080, 1480
"""Pixels: down to the end of the chart of credits per day."""


def main() -> int:
    """Write the picture."""
    warehouse = os.environ.get("WAREHOUSE_PATH") or str(ROOT / "demo.duckdb")
    chromium = shutil.which("chromium") or shutil.which("google-chrome")
    if chromium is None or not Path(warehouse).exists():
        print("report_picture: it needs Chromium, and the demo's warehouse: run `make demo` first", file=sys.stderr)  # noqa: T201
        return 1
    with duckdb.connect(warehouse, read_only=True) as connection:
        ((period,),) = connection.execute(
            "select max(billing_period) from marts.dim_billing_periods where is_closed"
        ).fetchall()
    with tempfile.TemporaryDirectory() as folder, sync_playwright() as playwright:
        command = [sys.executable, "-m", "publish", "report", "--period", period, "--to", folder]
        subprocess.run(command, cwd=ROOT, env=os.environ | {"WAREHOUSE_PATH": warehouse}, check=True)
        browser = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        page = browser.new_page(viewport={"width": WIDTH, "height": HEIGHT}, color_scheme="light")
        page.goto((Path(folder) / f"report-{period}.html").as_uri())
        page.screenshot(path=PICTURE)
        browser.close()
    return 0


if __name__ == "__main__":
    sys.exit(main())
