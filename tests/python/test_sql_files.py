"""SQL files and the code beside them name each other, and each file says what it is for."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from core.sql_files import sql_files
from pipeline import ROOT

FOLDERS = sorted({path for package in ("core", "extract", "publish") for path in (ROOT / package).rglob("sql")})
CALL = re.compile(r'\bsql\(\s*f?"([^"]+)"')


def named_by_code(folder: Path) -> set[str]:
    """The names that modules beside the folder read; one with a variable part stands for every file that it matches."""
    named = {name for module in folder.parent.glob("*.py") for name in CALL.findall(module.read_text("utf-8"))}
    files: set[str] = set()
    for name in named:
        pattern = re.sub(r"\{\w+\}", "*", name)
        files |= {str(path.relative_to(folder))[:-4] for path in folder.glob(f"{pattern}.sql")} or {name}
    return files


@pytest.mark.parametrize("folder", FOLDERS, ids=lambda folder: str(folder.relative_to(ROOT)))
def test_files_and_names_match(folder: Path) -> None:
    files = {str(path.relative_to(folder))[:-4] for path in folder.rglob("*.sql")}
    assert files == named_by_code(folder)


@pytest.mark.parametrize("folder", FOLDERS, ids=lambda folder: str(folder.relative_to(ROOT)))
def test_each_file_begins_with_its_purpose_and_names_its_parameters(folder: Path) -> None:
    for path in folder.rglob("*.sql"):
        text = path.read_text("utf-8")
        header = re.match(r"(?:--.*\n)+", text)
        assert header, path
        parameters = set(re.findall(r"\$\d+", text[header.end() :]))
        said = header.group(0)
        if "all others a list each" not in said and not re.search(r"\$1 to \$\d|as in|\$2, \$3", said):
            assert parameters <= set(re.findall(r"\$\d+", said)), path


def test_a_statement_is_read_from_the_folder_beside_its_module(tmp_path: Path) -> None:
    (tmp_path / "sql").mkdir()
    (tmp_path / "sql" / "answer.sql").write_text("-- One row.\nselect 42", "utf-8")
    assert sql_files(str(tmp_path / "module.py"))("answer") == "-- One row.\nselect 42"
    with pytest.raises(FileNotFoundError):
        sql_files(str(tmp_path / "module.py"))("question")
