"""`make audit` passes on this tree, and is seen to find each thing that it looks for."""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from pipeline import ROOT
from tools.audit import LOCKS
from tools.key_plugin import MiosaKeyDetector


def audit(root: Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "tools.audit", "--root", str(root)]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)


def test_this_tree_passes() -> None:
    done = audit(ROOT)
    assert done.returncode == 0, done.stdout + done.stderr


def unhash(root: Path) -> str:
    path = root / LOCKS[0]
    path.write_text(path.read_text("utf-8") + "\nplanted==1.0\n", "utf-8")
    return "planted==1.0 is not locked"


def unpin(root: Path) -> str:
    path = root / LOCKS[1]
    path.write_text(path.read_text("utf-8") + "\nplanted>=1.0 --hash=sha256:00\n", "utf-8")
    return "planted>=1.0 is not locked"


def name_an_address(root: Path) -> str:
    path = root / LOCKS[0]
    path.write_text(path.read_text("utf-8") + "\nplanted==1 --hash=sha256:00 # https://example.com/\n", "utf-8")
    return "names an address"


def leak_a_key(root: Path) -> str:
    (root / "tests").mkdir()
    (root / "tests" / "settings.py").write_text('KEY = "msk_' + 'live9f8a7b6c5d4e3f2a"\n', "utf-8")
    return "settings.py:1: looks like a secret (MIOSA API key)"


def leak_a_password(root: Path) -> str:
    (root / "extract" / "mail.py").write_text("pass" + 'word = "correct-horse-battery"\n', "utf-8")
    return "mail.py:1: looks like a secret"


def build_sql(root: Path) -> str:
    source = "def find(c, user):\n    c.execute(f\"select * from u where id = '{user}'\")\n"
    (root / "extract" / "users.py").write_text(source, "utf-8")
    return "users.py:2:15: S608"


@pytest.mark.parametrize("plant", [unhash, unpin, name_an_address, leak_a_key, leak_a_password, build_sql])
def test_a_planted_fault_is_found(plant: Callable[[Path], str], tmp_path: Path) -> None:
    (tmp_path / "extract").mkdir()
    for name in LOCKS:
        (tmp_path / name).parent.mkdir(exist_ok=True)
        shutil.copy(ROOT / name, tmp_path / name)
    expected = plant(tmp_path)
    done = audit(tmp_path)
    assert done.returncode == 1
    assert expected in done.stdout
    assert "audit: 1 findings" in done.stdout


@pytest.mark.parametrize("kind", ["", "u_", "a_", "p_", "live_"])
def test_a_key_of_every_kind_is_found_and_a_made_up_one_is_not(kind: str) -> None:
    (pattern,) = MiosaKeyDetector.denylist
    assert pattern.search(f"key = msk_{kind}" + "9f8a7b6c5d4e3f2a")
    assert not pattern.search(f"key = msk_{kind}canary_9876543210")
