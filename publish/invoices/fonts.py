"""The fonts of the documents, and which characters they have.

No character is ever printed as an empty box: one that no font has, or that would not be seen, is printed as its code,
like `[U+0007]`. PDF/A is the net behind this: typst refuses a document with a missing glyph.
"""

from __future__ import annotations

import importlib.util
import unicodedata
from collections.abc import Iterable
from dataclasses import dataclass, field
from functools import cached_property
from importlib import metadata
from pathlib import Path

from core.errors import ExtractError

_PACKAGE, _CJK_PACKAGE = "manimgx_fonts", "manimgx_fonts_cjk"
_FIRST_FAMILIES = ("Noto Sans", "Noto Sans Hebrew", "Noto Sans Arabic")
_LAST_FAMILIES = ("Noto Sans Symbols", "Noto Emoji")
_CJK_FAMILIES = {"kana": "Noto Sans CJK JP", "hangul": "Noto Sans CJK KR", "": "Noto Sans CJK SC"}
_INVISIBLE = {"Cc", "Cf", "Cn", "Co", "Cs", "Zl", "Zp"}
# They shape the letters beside them: joiners within Arabic, Indic scripts and emoji, and the emoji's style.
_JOINERS = {"\u200c", "\u200d", "\ufe0e", "\ufe0f"}


def code(character: str) -> str:
    """A character as its code.

    >>> code(chr(10))
    '[U+000A]'
    """
    return f"[U+{ord(character):04X}]"


@dataclass(frozen=True)
class Typeface:
    """Folders of fonts, and their families in the order in which typst looks for a character."""

    folders: tuple[str, ...]
    families: tuple[str, ...]


@dataclass
class Fonts:
    """The fonts that come with the project's dependencies, and those of a folder of the user's."""

    folder: Path | None = None
    missing: set[str] = field(default_factory=set)
    """Characters that no font has, of all texts that were made printable."""

    def printable(self, text: str) -> str:
        """The text with a code in place of each character that would not be seen, or that no font has."""
        if text.isascii() and text.isprintable():
            return text
        return "".join(map(self._shown, text))

    def _shown(self, character: str) -> str:
        if character in _JOINERS:
            return character if self.has(character) else ""
        if unicodedata.category(character) in _INVISIBLE:
            return code(character)
        if character.isspace():
            return " "
        if self.has(character):
            return character
        self.missing.add(character)
        return code(character)

    def has(self, character: str) -> bool:
        """Whether any font has the character."""
        return ord(character) in self._basic_coverage or ord(character) in self._cjk_coverage

    def typeface(self, texts: Iterable[str]) -> Typeface:
        """The fonts for a document with these printable texts.

        Those for Chinese, Japanese and Korean are large, so they are read only where they are needed.
        """
        characters = set("".join(texts))
        if all(ord(character) in self._basic_coverage for character in characters):
            return self._basic
        names = " ".join(unicodedata.name(character, "") for character in characters)
        # One code stands for shapes that differ by language.
        language = "kana" if "HIRAGANA" in names or "KATAKANA" in names else "hangul" if "HANGUL" in names else ""
        folder = str(_folder_of(_CJK_PACKAGE))
        return Typeface((*self._basic.folders, folder), (*self._basic.families, _CJK_FAMILIES[language]))

    @property
    def versions(self) -> str:
        """What the look of a document depends on, besides its texts."""
        own = ""
        if self.folder is not None:
            files = (Path(path) for path in _files(self.folder))
            own = " ".join(f"{path.name}:{path.stat().st_size}:{path.stat().st_mtime_ns}" for path in files)
        packages = ("typst", _PACKAGE.replace("_", "-"), _CJK_PACKAGE.replace("_", "-"))
        return " ".join([*(f"{name} {metadata.version(name)}" for name in packages), own])

    @cached_property
    def _basic(self) -> Typeface:
        package = _folder_of(_PACKAGE)
        ordered = (*_FIRST_FAMILIES, *_LAST_FAMILIES)
        others = (name for name in _families(package) if name not in ordered)
        families = (*_FIRST_FAMILIES, *others, *_LAST_FAMILIES)
        if self.folder is None:
            return Typeface((str(package),), families)
        own = (name for name in _families(self.folder) if name not in families)
        return Typeface((str(package), str(self.folder)), (*families, *own))

    @cached_property
    def _basic_coverage(self) -> frozenset[int]:
        return _coverage(path for folder in self._basic.folders for path in _files(Path(folder)))

    @cached_property
    def _cjk_coverage(self) -> frozenset[int]:
        return _coverage(_files(_folder_of(_CJK_PACKAGE)))


def check_folder(folder: Path | None) -> None:
    """Refuse a folder of fonts that holds none. Raises `ExtractError`."""
    if folder is not None and not _found(folder):
        raise ExtractError(f"--fonts {folder} holds no font that can be used: name a folder with .ttf or .otf files")


def _folder_of(package: str) -> Path:
    """Where a package of fonts is installed. Not imported, because it has nothing but files."""
    found = importlib.util.find_spec(package)
    if found is None or not found.submodule_search_locations:
        raise ExtractError(
            f"the fonts of {package.replace('_', '-')} are not installed: run `make setup`, then run again"
        )
    return Path(found.submodule_search_locations[0])


def _found(folder: Path) -> list[tuple[str, str]]:
    """File and family of each font in a folder that typst can use."""
    import typst

    fonts = typst.Fonts(include_system_fonts=False, include_embedded_fonts=False, font_paths=[str(folder)]).fonts()
    return sorted((str(font.path), font.family) for font in fonts)


def _files(folder: Path) -> list[str]:
    return list(dict.fromkeys(path for path, _ in _found(folder)))


def _families(folder: Path) -> list[str]:
    return list(dict.fromkeys(family for _, family in _found(folder)))


def _coverage(files: Iterable[str]) -> frozenset[int]:
    """The characters that at least one of these fonts has a glyph for."""
    from fontTools.ttLib import TTCollection, TTFont, TTLibError

    found: set[int] = set()
    for path in files:
        try:
            is_collection = Path(path).suffix.lower() in (".ttc", ".otc")
            fonts = TTCollection(path, lazy=True).fonts if is_collection else [TTFont(path, lazy=True)]
            for font in fonts:
                found.update(font.getBestCmap() or ())
        except (TTLibError, OSError) as error:
            raise ExtractError(f"{path} cannot be read as a font ({error}): remove it, then run again") from error
    return frozenset(found)
