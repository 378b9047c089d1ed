"""What all publishers share: whole files and folders, links that are never away, settings, and proven marts."""

from __future__ import annotations

import stat
import threading
from contextlib import closing
from datetime import datetime
from pathlib import Path

import duckdb
import pytest

from core import command_line
from core.database.connection import database_error
from core.errors import ConfigurationError, DiskFullError, ExtractError, WarehouseError
from core.settings import read_settings_as
from publish import files
from publish.settings import PeriodSettings, PublishSettings
from publish.warehouse import open_marts
from small_marts import build

HOSTILE = "=cmd'\"\n\u202e{x}.pdf"


def content(folder: Path) -> dict[str, str]:
    return {path.name: path.read_text() for path in folder.iterdir()}


# --- Files ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["report.html", HOSTILE])
def test_a_file_appears_whole_or_not_at_all(tmp_path: Path, name: str) -> None:
    path = tmp_path / "new" / "folder" / name
    files.write_whole(path, b"old")

    def fail() -> None:
        with files.whole_file(path) as partial:
            partial.write_text("half")
            assert path.read_text() == "old"
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fail()
    assert content(path.parent) == {name: "old"}
    # What a killed run left is replaced.
    files.partial_path(path).write_text("left by a kill")
    files.write_whole(path, b"new")
    assert content(path.parent) == {name: "new"}


def test_a_block_that_removes_what_it_wrote_leaves_what_was_there(tmp_path: Path) -> None:
    files.write_whole(tmp_path / "a", b"old")
    with files.whole_file(tmp_path / "a") as partial:
        partial.write_text("the same again")
        files.remove(partial)
    assert content(tmp_path) == {"a": "old"}


def test_a_folder_appears_whole_or_not_at_all(tmp_path: Path) -> None:
    def fail() -> None:
        with files.whole_folder(tmp_path / "all") as partial:
            (partial / "one").write_text("1")
            assert not (tmp_path / "all").exists()
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fail()
    assert list(tmp_path.iterdir()) == []
    with files.whole_folder(tmp_path / "all") as partial:
        (partial / "one").write_text("1")
    assert content(tmp_path / "all") == {"one": "1"}
    assert [path.name for path in tmp_path.iterdir()] == ["all"]


@pytest.mark.parametrize(("umask", "file_mode", "folder_mode"), [(0o022, 0o644, 0o755), (0o077, 0o600, 0o700)])
def test_readers_may_read_what_the_users_umask_lets_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, umask: int, file_mode: int, folder_mode: int
) -> None:
    """Commands set a stricter umask of their own."""
    monkeypatch.setattr(command_line, "_umasks", [umask, 0o077])
    files.write_whole(tmp_path / "a" / "b" / "file", b"")
    with files.whole_folder(tmp_path / "folder") as partial:
        (partial / "file").touch(0o600)
    modes = {path: stat.S_IMODE(path.stat().st_mode) for path in tmp_path.rglob("*")}
    assert {modes[path] for path in modes if path.is_file()} == {file_mode}
    assert {modes[path] for path in modes if path.is_dir()} == {folder_mode}


def test_failures_are_one_line_that_names_the_file(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(ExtractError, match=r"^cannot write .*/file/out .*name another folder with --to$"):
        files.write_whole(tmp_path / "file" / "out", b"")
    with pytest.raises(ExtractError, match=r"cannot write .*/file .*a file is in the way"):
        files.create_folder(tmp_path / "file")
    full = database_error(duckdb.IOException("Could not write all bytes: No space left on device"), tmp_path)
    assert isinstance(full, DiskFullError)
    with (
        pytest.raises(ExtractError, match=r"cannot write .*/out \(the disk is full\)"),
        files.whole_file(tmp_path / "out"),
    ):
        raise full
    assert content(tmp_path) == {"file": ""}


@pytest.mark.parametrize("is_planted", [False, True])
def test_a_link_is_never_away(tmp_path: Path, is_planted: bool) -> None:
    """Planted: a link that is removed and made anew."""
    link, misses, done = tmp_path / "link", [], threading.Event()
    for name in ("one", "two"):
        (tmp_path / name).write_text(name)
    files.point_link(link, "one")

    def read() -> None:
        while not done.is_set():
            try:
                link.read_text()
            except FileNotFoundError:
                misses.append(1)

    reader = threading.Thread(target=read)
    reader.start()
    for number in range(300):
        if is_planted:
            link.unlink()
            done.wait(0.001)
        files.point_link(link, ("one", "two")[number % 2])
    done.set()
    reader.join()
    assert bool(misses) == is_planted
    assert (link.read_text(), str(link.readlink())) == ("two", "two")


def test_only_links_are_replaced_and_only_links_are_removed(tmp_path: Path) -> None:
    (tmp_path / "mine").write_text("mine")
    with pytest.raises(ExtractError, match="move it away"):
        files.point_link(tmp_path / "mine", "other")
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder" / "file").touch()
    files.point_link(tmp_path / "link", "folder")
    files.remove(tmp_path / "link")
    assert (tmp_path / "folder" / "file").exists()
    files.remove(tmp_path / "folder")
    files.remove(tmp_path / "folder")
    assert content(tmp_path) == {"mine": "mine"}


# --- Settings --------------------------------------------------------------------------------------------------------


def test_the_folder_is_the_options_then_the_environments_then_published(monkeypatch: pytest.MonkeyPatch) -> None:
    assert read_settings_as(PublishSettings).to == Path("published")
    monkeypatch.setenv("PUBLISH_PATH", "elsewhere")
    assert read_settings_as(PublishSettings).to == Path("elsewhere")
    assert read_settings_as(PublishSettings, to="here").to == Path("here")


@pytest.mark.parametrize("folder", ["", "s3://bucket/folder", "a\0b"])
def test_what_is_no_folder_is_refused(folder: str) -> None:
    with pytest.raises(ConfigurationError, match="--to is no folder"):
        read_settings_as(PublishSettings, to=folder)


@pytest.mark.parametrize("period", ["2026-13", "2026-00", "2026-1", "2026-10 ", "2026-10\n", "٢٠٢٦-10", "x" * 200])
def test_what_is_no_month_is_refused_in_one_short_line(period: str) -> None:
    with pytest.raises(ConfigurationError, match=r"is not a month: write it like 2026-10$") as refused:
        read_settings_as(PeriodSettings, period=period)
    assert len(str(refused.value)) < 100
    assert "\n" not in str(refused.value)


def test_a_missing_month_is_named() -> None:
    with pytest.raises(ConfigurationError, match="--period is missing"):
        read_settings_as(PeriodSettings)
    assert read_settings_as(PeriodSettings, period="2026-12").period == "2026-12"


# --- The warehouse ---------------------------------------------------------------------------------------------------


def settings(warehouse: Path) -> PublishSettings:
    return read_settings_as(PublishSettings, warehouse=str(warehouse))


def test_marts_know_their_build(tmp_path: Path) -> None:
    with open_marts(settings(build(tmp_path / "w.duckdb", "one")), allow_unproven=False) as marts:
        assert (marts.build_id, marts.built_at, marts.unproven) == ("one", datetime(2026, 11, 1, 0, 5), None)


def test_unproven_marts_are_opened_only_if_that_is_allowed(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    warehouse = build(tmp_path / "w.duckdb", "one", is_proven=False)
    with pytest.raises(WarehouseError, match="is not proven"), open_marts(settings(warehouse), allow_unproven=False):
        pass
    with open_marts(settings(warehouse), allow_unproven=True) as marts:
        assert marts.unproven
        assert marts.unproven in capsys.readouterr().err
    with closing(duckdb.connect(str(warehouse))) as connection:
        connection.execute("drop table marts.rpt_builds")
    with open_marts(settings(warehouse), allow_unproven=True) as marts:
        assert (marts.build_id, marts.built_at.year, marts.unproven) == ("-", 1970, "no build of it is recorded")


def test_a_warehouse_that_was_never_built_has_no_marts(tmp_path: Path) -> None:
    duckdb.connect(str(tmp_path / "w.duckdb")).close()
    with (
        pytest.raises(WarehouseError, match=r"w.duckdb has no marts: run `dbt build`$"),
        open_marts(settings(tmp_path / "w.duckdb"), allow_unproven=True),
    ):
        pass


def test_a_period_that_the_marts_do_not_have_is_refused_with_those_they_have(delivered: Path, tmp_path: Path) -> None:
    with open_marts(settings(delivered), allow_unproven=False) as marts:
        marts.require_period("2026-03")
        with pytest.raises(WarehouseError, match=r"no billing period 2031-01: it has 2026-0. to 2026-04"):
            marts.require_period("2031-01")
    warehouse = build(tmp_path / "w.duckdb", "one")
    with closing(duckdb.connect(str(warehouse))) as connection:
        connection.execute("create table marts.dim_billing_periods as select '' as billing_period where false")
    with (
        open_marts(settings(warehouse), allow_unproven=False) as marts,
        pytest.raises(WarehouseError, match="it has none yet"),
    ):
        marts.require_period("2026-03")
