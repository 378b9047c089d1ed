"""Files for readers: each appears whole or not at all, and one that was there before stays until then."""

from __future__ import annotations

import contextlib
import os
import shutil
from collections.abc import Iterator
from pathlib import Path

from core.command_line import users_umask
from core.errors import ExtractError


def create_folder(folder: Path) -> None:
    """Create a folder for readers, unless it is there. Raises `ExtractError`."""
    with _failures_of(folder):
        folder.mkdir(parents=True, exist_ok=True)


@contextlib.contextmanager
def whole_file(path: Path) -> Iterator[Path]:
    """A path beside `path` to write to. The file gets its name after the block; an error leaves what was there.

    What a killed run leaves has a name that begins with a dot and ends with `.partial`; the next run removes it.
    Raises `ExtractError` if the disk is full or the folder cannot be written.
    """
    with _failures_of(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        partial = path.with_name(f".{path.name}.partial")
        partial.unlink(missing_ok=True)
        try:
            yield partial
            _settle(partial)
            partial.replace(path)
            _sync(path.parent)
        finally:
            partial.unlink(missing_ok=True)


def write_whole(path: Path, content: bytes) -> None:
    """Write a file, whole or not at all. Raises `ExtractError`."""
    with whole_file(path) as partial:
        partial.write_bytes(content)


def point_link(link: Path, target: str) -> None:
    """Point a symbolic link at a name beside it, at once for all readers. Raises `ExtractError`."""
    with _failures_of(link):
        new = link.with_name(f".{link.name}.partial")
        new.unlink(missing_ok=True)
        new.symlink_to(target)
        new.replace(link)
        _sync(link.parent)


def remove(path: Path) -> None:
    """Remove a file or folder that may be gone already. Raises `ExtractError`."""
    with _failures_of(path), contextlib.suppress(FileNotFoundError):
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        else:
            path.unlink()


def _settle(path: Path) -> None:
    """Make a file survive a power cut, and readable as the user's umask says."""
    path.chmod(0o666 & ~users_umask())
    _sync(path)


def _sync(path: Path) -> None:
    number = os.open(path, os.O_RDONLY)
    try:
        os.fsync(number)
    finally:
        os.close(number)


@contextlib.contextmanager
def _failures_of(path: Path) -> Iterator[None]:
    """Errors of the file system as one line."""
    try:
        yield
    except OSError as error:
        what = error.strerror or str(error)
        raise ExtractError(f"cannot write {path} ({what}): free some space or name another folder with --to") from error
