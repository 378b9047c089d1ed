"""Files for readers: each appears whole or not at all, and one that was there before stays until then."""

from __future__ import annotations

import contextlib
import os
import shutil
from collections.abc import Iterator
from pathlib import Path

from core.command_line import users_umask
from core.errors import DiskFullError, ExtractError


def create_folder(folder: Path) -> None:
    """Create a folder for readers, unless it is there. Raises `ExtractError`."""
    with _failures_of(folder):
        _make_folders(folder)


@contextlib.contextmanager
def whole_file(path: Path) -> Iterator[Path]:
    """A path beside `path` to write to. The file gets its name after the block; an error leaves what was there.

    If the block removes what it wrote, what was there stays as well. What a killed run leaves has a name that begins
    with a dot and ends with `.partial`; the next run for the same path removes it. Raises `ExtractError` if the disk is
    full or the folder cannot be written.
    """
    with _failures_of(path):
        _make_folders(path.parent)
        partial = partial_path(path)
        remove(partial)
        try:
            yield partial
            if partial.exists():
                _settle(partial)
                partial.replace(path)
                _sync(path.parent)
        finally:
            remove(partial)


@contextlib.contextmanager
def whole_folder(path: Path) -> Iterator[Path]:
    """A folder beside `path` to write files to; otherwise like `whole_file`. There must be nothing at `path` yet."""
    with _failures_of(path):
        _make_folders(path.parent)
        partial = partial_path(path)
        remove(partial)
        try:
            _make_folders(partial)
            yield partial
            if partial.exists():
                for file in partial.iterdir():
                    _settle(file)
                _sync(partial)
                partial.rename(path)
                _sync(path.parent)
        finally:
            remove(partial)


def write_whole(path: Path, content: bytes) -> None:
    """Write a file, whole or not at all. Raises `ExtractError`."""
    with whole_file(path) as partial:
        partial.write_bytes(content)


def require_link(link: Path) -> None:
    """Refuse a path at which something else than a symbolic link lies: it is not ours. Raises `ExtractError`."""
    if os.path.lexists(link) and not link.is_symlink():
        raise ExtractError(f"{link} is not the link that this command makes: move it away, then run again")


def point_link(link: Path, target: str) -> None:
    """Point a symbolic link at a name beside it, at once for all readers. Raises `ExtractError`."""
    require_link(link)
    with _failures_of(link):
        new = partial_path(link)
        remove(new)
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


def partial_path(path: Path) -> Path:
    """Where a file or folder is written before it gets its name."""
    return path.with_name(f".{path.name}.partial")


def _make_folders(folder: Path) -> None:
    """Create a folder and those above it, open to readers as the user's umask says."""
    if folder.is_dir():
        return
    if folder.parent != folder:
        _make_folders(folder.parent)
    # Another run may have made it in between.
    with contextlib.suppress(FileExistsError):
        folder.mkdir()
        folder.chmod(0o777 & ~users_umask())
    if not folder.is_dir():
        raise NotADirectoryError(0, "a file is in the way", str(folder))


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
    except (OSError, DiskFullError) as error:
        what = "the disk is full" if isinstance(error, DiskFullError) else error.strerror or str(error)
        raise ExtractError(f"cannot write {path} ({what}): free some space or name another folder with --to") from error
