"""The packages' imports point one way: `core` below all others, and the simulator used by the demo and tests only."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

from pipeline import ROOT

MAY_IMPORT: dict[str, set[str]] = {
    "core": set(),
    "dbt_miosa_billing": {"core"},
    "extract": {"core"},
    "publish": {"core"},
    "simulator": set(),
    "tools": set(),
    "benchmarks": {"core", "extract", "publish", "simulator", "tools"},
}
"""For each package, the packages that it may import besides itself. Tests may import all of them."""


def imported(source: str) -> Iterator[tuple[int, str]]:
    """The line and the module of each import, wherever in the file it stands, by name or by `import_module`."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            yield from ((node.lineno, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield node.lineno, node.module or ""
        elif isinstance(node, ast.Call) and ast.unparse(node.func).endswith(("import_module", "__import__")):
            yield from ((node.lineno, str(arg.value)) for arg in node.args[:1] if isinstance(arg, ast.Constant))


def upward_imports(root: Path) -> list[str]:
    """Each import of one of our packages that its importer may not use."""
    return [
        f"{path.relative_to(root)}:{line}: {package} must not import {module}"
        for package, allowed in MAY_IMPORT.items()
        for path in sorted((root / package).rglob("*.py"))
        for line, module in imported(path.read_text("utf-8"))
        if (top := module.partition(".")[0]) in {*MAY_IMPORT, "tests"} and top != package and top not in allowed
    ]


def test_every_package_has_a_place_in_the_layers() -> None:
    packages = {path.parent.name for path in ROOT.glob("*/__init__.py")}
    assert packages == set(MAY_IMPORT)


def test_no_import_points_upward() -> None:
    assert upward_imports(ROOT) == []


@pytest.mark.parametrize(
    ("file", "source", "found"),
    [
        ("core/clock.py", "from extract.run import Run", "core must not import extract.run"),
        ("core/raw/writer.py", "def land():\n    import publish.cli as cli", "core must not import publish.cli"),
        ("extract/cli.py", "from publish import cli", "extract must not import publish"),
        ("publish/cli.py", "if True:\n    from extract.warehouse import Warehouse", "publish must not import extract."),
        ("publish/cli.py", "import importlib\nimportlib.import_module('extract.run')", "must not import extract.run"),
        ("extract/run.py", "from simulator import Tenant", "extract must not import simulator"),
        ("simulator/demo.py", "from core.clock import utc_now", "simulator must not import core.clock"),
        ("dbt_miosa_billing/seed_files.py", "import extract", "dbt_miosa_billing must not import extract"),
    ],
)
def test_a_planted_upward_import_is_found(tmp_path: Path, file: str, source: str, found: str) -> None:
    path = tmp_path / file
    path.parent.mkdir(parents=True)
    path.write_text(source, "utf-8")
    assert found in "\n".join(upward_imports(tmp_path))
