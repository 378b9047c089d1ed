"""`make audit`: dependencies locked with hashes, no secret in the tree, no SQL built from strings.

Prints one line a finding and ends with status 1 where there is one. `--root` audits another tree, for the test that
plants one of each.
"""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import click
from detect_secrets.core.scan import scan_file
from detect_secrets.settings import transient_settings

ROOT = Path(__file__).resolve().parents[1]
LOCKS = ("requirements.lock", "requirements-dev.lock", "benchmarks/requirements-dlt.lock")
PRODUCT = ("core", "dbt_miosa_billing", "extract", "publish")
"""The packages that run in production."""
# High-entropy strings are left out: hashes in lock files and ids in tests are nothing else.
SECRET_PLUGINS = [
    {"name": "MiosaKeyDetector", "path": (ROOT / "tools" / "key_plugin.py").as_uri()},
    *({"name": name} for name in ("KeywordDetector", "PrivateKeyDetector", "BasicAuthDetector", "AWSKeyDetector")),
    *({"name": name} for name in ("GitHubTokenDetector", "StripeDetector", "JwtTokenDetector")),
]
# Made-up passwords in tests would be no finding for a person either.
SECRET_EXEMPT = re.compile(r"^(tests/|simulator/|benchmarks/)")


@click.command()
@click.option("--root", type=click.Path(path_type=Path, exists=True, file_okay=False), default=ROOT, help="The tree.")
def main(root: Path) -> None:
    """Audit the tree."""
    findings = [*unlocked(root), *secrets(root), *built_sql(root)]
    for finding in findings:
        click.echo(finding)
    click.echo(f"audit: {len(findings)} findings" if findings else "audit: locked with hashes, no secret, no built SQL")
    sys.exit(1 if findings else 0)


def unlocked(root: Path) -> Iterator[str]:
    """Requirements of a lock that are not pinned to a version and hashes, or that name an address."""
    for name in LOCKS:
        path = root / name
        if not path.exists():
            yield f"{name}: missing"
            continue
        logical = path.read_text("utf-8").replace("\\\n", " ").splitlines()
        for line in (line.strip() for line in logical):
            if not line or line.startswith("#"):
                continue
            requirement = line.split(" ")[0]
            if "==" not in requirement or "--hash=sha256:" not in line:
                yield f"{name}: {requirement} is not locked with a version and a hash"
            if "://" in line:
                yield f"{name}: {requirement} names an address"


def tracked(root: Path) -> list[Path]:
    """The files that git tracks or would; all files where the tree is no checkout."""
    listed = subprocess.run(
        ["git", "-C", str(root), "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        capture_output=True,
        text=True,
        check=False,
    )
    if listed.returncode:
        return sorted(path.relative_to(root) for path in root.rglob("*") if path.is_file())
    return sorted(Path(name) for name in listed.stdout.split("\0") if name and (root / name).is_file())


def secrets(root: Path) -> Iterator[str]:
    """Lines that look like a secret."""
    with transient_settings({"plugins_used": SECRET_PLUGINS}):
        for path in tracked(root):
            if path.as_posix() in LOCKS:
                continue
            for found in scan_file(str(root / path)):
                if found.type == "MIOSA API key" or not SECRET_EXEMPT.match(path.as_posix()):
                    yield f"{path}:{found.line_number}: looks like a secret ({found.type})"


def built_sql(root: Path) -> Iterator[str]:
    """SQL put together from strings in what runs in production; each exemption in the code says why it is safe."""
    packages = [str(root / name) for name in PRODUCT if (root / name).is_dir()]
    if not packages:
        return
    checked = subprocess.run(
        [*(sys.executable, "-m", "ruff", "check", "--isolated"), "--select=S608", "--output-format=concise", *packages],
        capture_output=True,
        text=True,
        check=False,
    )
    if checked.returncode:
        for line in checked.stdout.splitlines():
            if "S608" in line:
                yield line.removeprefix(f"{root}/")


if __name__ == "__main__":
    main(prog_name="python -m tools.audit")
