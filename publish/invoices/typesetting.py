"""The work of one process: documents become PDF and CSV files, each whole or not at all."""

from __future__ import annotations

import hashlib
import multiprocessing
import os
import signal
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache, partial
from multiprocessing.connection import wait
from pathlib import Path
from typing import TYPE_CHECKING, Any

from core.command_line import adopt_umask
from core.errors import ExtractError
from publish.files import write_whole
from publish.invoices.documents import Document
from publish.invoices.fonts import Fonts, Typeface
from publish.invoices.layout import Build, as_json, page
from publish.invoices.names import file_stem

if TYPE_CHECKING:
    import typst

TEMPLATE = Path(__file__).with_name("invoice.typ")


@dataclass(frozen=True)
class Written:
    """A file as it was written: the digests of what it was made of, and of its content."""

    name: str
    made_of: str
    content: str


@dataclass(frozen=True)
class Batch:
    """Documents to write, and what an earlier run has written under their names."""

    documents: Sequence[Document]
    known: Mapping[str, Written]


@dataclass
class Done:
    """What came of a batch."""

    files: list[Written] = field(default_factory=list)
    new_files: int = 0
    missing: set[str] = field(default_factory=set)
    """Characters that no font has: they are printed as codes."""
    documents_with_codes: int = 0


class Typesetter:
    """Writes documents into a folder. Fonts and template are loaded once."""

    def __init__(self, folder: Path, build: Build, fonts_folder: Path | None) -> None:
        """Write into `folder`; `fonts_folder` holds fonts of the user's, or is None."""
        self._folder = folder
        self._build = build
        self._fonts = Fonts(fonts_folder)
        # A changed template or font makes other files.
        self._versions = f"{self._fonts.versions} {_digest(TEMPLATE.read_bytes())}"

    def write(self, batch: Batch) -> Done:
        """Write the files of a batch; those that are there, whole and unchanged, stay. Raises `ExtractError`."""
        done = Done()
        for document in batch.documents:
            stem = file_stem(document)
            self._fonts.missing.clear()
            content = page(document, self._build, self._fonts.printable)
            if self._fonts.missing:
                done.missing |= self._fonts.missing
                done.documents_with_codes += 1
            self._write(batch, done, f"{stem}.csv", document.csv_text, str.encode)
            made_of = f"{self._versions}\n{as_json(content)}"
            self._write(batch, done, f"{stem}.pdf", made_of, partial(self._pdf, content, stem))
        return done

    def _write(self, batch: Batch, done: Done, name: str, made_of: str, make: Callable[[str], bytes]) -> None:
        """Write a file, unless it is there and was made of the same texts."""
        path, digest, known = self._folder / name, _digest(made_of.encode()), batch.known.get(name)
        if known is not None and known.made_of == digest and _digest_of(path) == known.content:
            done.files.append(known)
            return
        content = make(made_of)
        write_whole(path, content)
        done.files.append(Written(name, digest, _digest(content)))
        done.new_files += 1

    def picture(self, document: Document) -> bytes:
        """The first page of a document as PNG, for documentation."""
        content = page(document, self._build, self._fonts.printable)
        pages = self._typeset(content, file_stem(document), format="png", ppi=92)
        return pages if isinstance(pages, bytes) else pages[0]

    def _pdf(self, content: dict[str, Any], stem: str, _: str) -> bytes:
        pdf = self._typeset(content, stem, format="pdf", pdf_standards=["a-3b", "ua-1"])
        if not isinstance(pdf, bytes):
            raise TypeError("typst made no PDF")
        return pdf

    def _typeset(self, content: dict[str, Any], stem: str, **form: Any) -> bytes | list[bytes]:
        import typst

        typeface = self._fonts.typeface([as_json(content)])
        data = as_json({**content, "families": typeface.families})
        try:
            made = _compiler(typeface).compile(sys_inputs={"document": data}, **form)
        except typst.TypstError as error:
            raise ExtractError(
                f"{stem}.pdf could not be typeset ({' '.join(str(error).split())[:200]}): it was not written; "
                "please report this"
            ) from error
        if made is None:
            raise TypeError("typst made nothing")
        return made


@cache
def _compiler(typeface: Typeface) -> typst.Compiler:
    import typst

    folders: list[str] = list(typeface.folders)
    return typst.Compiler(str(TEMPLATE), font_paths=folders, ignore_system_fonts=True)


def _digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def _digest_of(path: Path) -> str | None:
    """The digest of a file's content; None if it cannot be read."""
    try:
        return _digest(path.read_bytes())
    except OSError:
        return None


# --- In a process of the pool --------------------------------------------------------------------------------------

_typesetters: list[Typesetter] = []


def begin(umask: int, folder: Path, build: Build, fonts_folder: Path | None) -> None:
    """Prepare a process of the pool. It ignores Ctrl-C, which its parent handles, and ends when its parent does."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    parent = multiprocessing.parent_process()
    if parent is not None:
        threading.Thread(target=lambda: (wait([parent.sentinel]), os._exit(1)), daemon=True).start()
    adopt_umask(umask)
    _typesetters.append(Typesetter(folder, build, fonts_folder))


def write(batch: Batch) -> Done:
    """Write a batch in a process of the pool."""
    return _typesetters[0].write(batch)
