"""The versions of a published copy in a folder: their names, which one readers see, and which ones are kept.

A version never changes and its name is never used again while anything of it is left. A reader that opened a database
file for writing leaves a log beside it (`.wal`); under the same name, that log would be taken for the next version's.
"""

from __future__ import annotations

import filecmp
import itertools
import os
import re
from dataclasses import dataclass
from pathlib import Path

from publish.files import point_link, remove, require_link

_NAMES = re.compile(r"[^A-Za-z0-9_-]")


@dataclass(frozen=True)
class Versions:
    """Files or folders `<kind>-<build><suffix>`, and the link `<link>` to the one that readers see.

    If a build is published again with another result, the name is `<kind>-<build>.2<suffix>`.
    """

    folder: Path
    kind: str
    suffix: str
    other_name: str = ""
    """Of a second link. DuckDB 1.x takes `marts.` for the file where the file is named like the schema."""

    @property
    def link(self) -> Path:
        """What readers open."""
        return self.folder / f"{self.kind}{self.suffix}"

    @property
    def _links(self) -> list[Path]:
        other = [self.folder / f"{self.other_name}{self.suffix}"] if self.other_name else []
        return [*other, self.link]

    def require_links(self) -> None:
        """Refuse to replace what is no link. Raises `ExtractError`."""
        for link in self._links:
            require_link(link)

    def new_path(self, build_id: str) -> Path:
        """Where a version of a build can be put."""
        name = f"{self.kind}-{_name_of(build_id)}"
        numbers = itertools.chain([""], (f".{number}" for number in itertools.count(2)))
        paths = (self.folder / f"{name}{number}{self.suffix}" for number in numbers)
        return next(path for path in paths if not path.exists() and not _log(path).exists())

    def same_as(self, made: Path, build_id: str) -> Path | None:
        """The version of this build that has the same bytes, if there is one that nobody has opened for writing."""
        for path in self._paths():
            if self._build(path) == _name_of(build_id) and not _log(path).exists() and _are_same(made, path):
                return path
        return None

    def show(self, path: Path) -> None:
        """Let readers who open the link from now on see this version, at once. Raises `ExtractError`."""
        # The versions are kept by age, and this one may be an old one that is shown again.
        os.utime(path)
        for link in self._links:
            # What a tool wrote that takes the link for the file: it would be read as this version's log.
            remove(_log(link))
            point_link(link, path.name)

    def keep(self, builds: int) -> None:
        """Keep the newest version of each of the newest builds, the one that is shown among them; remove the others.

        Who has a removed version open can read on. Raises `ExtractError`.
        """
        kept: set[str] = set()
        shown = self.link.resolve()
        for path in sorted(self._paths(), key=lambda path: (path.resolve() == shown, path.stat().st_mtime_ns))[::-1]:
            build = self._build(path)
            if build in kept or len(kept) == builds:
                remove(path)
                remove(_log(path))
            else:
                kept.add(build)

    def remove_partial(self) -> None:
        """Remove what killed runs left. Raises `ExtractError`."""
        for name in filter(None, (self.kind, self.other_name)):
            for path in self.folder.glob(f".{name}*.partial*"):
                remove(path)

    def _paths(self) -> list[Path]:
        paths = self.folder.glob(f"{self.kind}-*{self.suffix}")
        return [path for path in paths if not path.is_symlink() and path.is_dir() == (not self.suffix)]

    def _build(self, path: Path) -> str:
        return path.name.removeprefix(f"{self.kind}-").split(".")[0]


def _name_of(build_id: str) -> str:
    """A build's id as part of a file's name."""
    return _NAMES.sub("_", build_id) if build_id != "-" else "unrecorded"


def _log(path: Path) -> Path:
    return path.with_name(f"{path.name}.wal")


def _are_same(one: Path, other: Path) -> bool:
    if not one.is_dir():
        return filecmp.cmp(one, other, shallow=False)
    names = sorted(path.name for path in one.iterdir())
    if names != sorted(path.name for path in other.iterdir()):
        return False
    return filecmp.cmpfiles(one, other, names, shallow=False)[0] == names
