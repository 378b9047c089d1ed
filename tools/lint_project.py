"""Checks the dbt project: dbt-bouncer by dbt-bouncer.yml, less the exceptions that docs/project_rules.md lists.

An exception that no longer occurs is an error too, so the list never grows stale.
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
import tempfile
from pathlib import Path

import click
import yaml

ROOT = Path(__file__).resolve().parents[1]
RULES = ROOT / "docs" / "project_rules.md"
CONFIG = ROOT / "dbt-bouncer.yml"
EXCEPTION = re.compile(r"^\| `([\w.]+)` \| ((?:`check_\w+`(?:, )?)+) \| (.+) \|$", re.MULTILINE)
"""A row of the table of exceptions: object, checks, reason."""

# A deprecated or misspelt configuration key is a defect, not a remark. The list is here and not in dbt_project.yml,
# where it would forbid `dbt --warn-error`.
DEFECTS = ("CustomKeyInConfigDeprecation", "CustomTopLevelKeyDeprecation", "UnusedResourceConfigPath")

Failures = dict[tuple[str, str], str]
"""Messages by check and object; an object is a model's name, or `source.table`."""


class BouncerError(Exception):
    """dbt-bouncer could not run: its configuration or the manifest is wrong."""


def exceptions(text: str) -> set[tuple[str, str]]:
    """Check and object of each exception in the text of docs/project_rules.md."""
    return {(check, name) for name, checks, _ in EXCEPTION.findall(text) for check in re.findall(r"\w+", checks)}


def failures(manifest_folder: Path) -> tuple[Failures, Failures]:
    """What dbt-bouncer finds in the folder's manifest.json: errors and warnings.

    Raises:
        BouncerError: dbt-bouncer could not run.
    """
    config = yaml.safe_load(CONFIG.read_text("utf-8"))
    config |= {"dbt_artifacts_dir": str(manifest_folder), "custom_checks_dir": str(ROOT / config["custom_checks_dir"])}
    with tempfile.TemporaryDirectory() as folder:
        config_file, results = Path(folder) / CONFIG.name, Path(folder) / "results.json"
        config_file.write_text(yaml.safe_dump(config), "utf-8")
        command = ["run", "--config-file", str(config_file), "--output-file", str(results), "--output-only-failures"]
        program = str(Path(sys.executable).with_name("dbt-bouncer"))
        done = subprocess.run([program, *command], capture_output=True, text=True, check=False)
        if not results.exists():
            raise BouncerError(f"{done.stdout}{done.stderr}".strip())
        found = json.loads(results.read_text("utf-8"))
    errors: Failures = {}
    warnings: Failures = {}
    for result in found:
        check = result["check_run_id"].split(":")[0]
        name = (result["unique_id"] or "project").split(".", 2)[-1]
        (warnings if result["severity"] == "warn" else errors)[check, name] = result["failure_message"]
    return errors, warnings


def parse() -> Path:
    """Let dbt write the project's manifest.json, in full, so that it says all that it warns of; returns its folder."""
    program = str(Path(sys.executable).with_name("dbt"))
    options = ["--quiet", "--no-partial-parse", "--warn-error-options", json.dumps({"error": DEFECTS})]
    subprocess.run([program, *options, "parse", "--target-path", "target"], cwd=ROOT, check=True)
    return ROOT / "target"


def report(errors: Failures, excepted: set[tuple[str, str]]) -> list[str]:
    """One line per failure that is no exception, and per exception that no longer occurs."""
    lines = [
        f"{check}: {message}" for (check, name), message in sorted(errors.items()) if (check, name) not in excepted
    ]
    lines += [
        f"{RULES.name}: `{check}` no longer fails for `{name}`: remove the exception"
        for check, name in sorted(excepted - set(errors))
    ]
    return lines


@click.command(help=__doc__)
def main() -> None:
    """Parse the project and check it. Exit status 1: a check failed, or an exception is stale."""
    errors, warnings = failures(parse())
    lines = report(errors, exceptions(RULES.read_text("utf-8")))
    for (check, _), message in sorted(warnings.items()):
        click.echo(f"warning: {check}: {message}")
    for line in lines:
        click.echo(line)
    click.echo(f"dbt project: {len(lines)} errors, {len(warnings)} warnings")
    sys.exit(bool(lines))


if __name__ == "__main__":
    main()
