"""All documents of a period, on all cores. A run that was killed goes on where it was; the index is written last."""

from __future__ import annotations

import contextlib
import csv
import fcntl
import io
import multiprocessing
import os
from collections.abc import Iterable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from dataclasses import astuple, dataclass, field, fields
from decimal import Decimal
from pathlib import Path

from core.command_line import users_umask
from core.errors import ExtractError
from core.progress import Bar
from publish.files import create_folder, remove, write_whole
from publish.invoices import typesetting
from publish.invoices.documents import Document
from publish.invoices.layout import Build
from publish.invoices.names import file_stem
from publish.invoices.typesetting import Batch, Done, Typesetter, Written

BATCH = 20
"""Documents that a process takes at a time: what a kill makes the next run do again, per process."""
INDEX = "index.csv"
INDEX_COLUMNS = ("invoice_id", "external_user_id", "currency", "amount", "pdf", "csv")
_NOTES = ".written.csv"
_WAITING_PER_PROCESS = 2
# A process takes a second to start, in which this one writes as many documents.
_DOCUMENTS_PER_PROCESS = 40


@dataclass
class Outcome:
    """What a run has done."""

    documents: int = 0
    new_files: int = 0
    missing: set[str] = field(default_factory=set)
    documents_with_codes: int = 0

    def add(self, done: Done) -> None:
        """Count what came of a batch."""
        self.new_files += done.new_files
        self.missing |= done.missing
        self.documents_with_codes += done.documents_with_codes


def write_documents(
    folder: Path,
    batches: Iterable[list[Document]],
    count: int,
    build: Build,
    *,
    fonts_folder: Path | None,
    is_whole_period: bool,
    bar: Bar,
    processes: int | None = None,
) -> Outcome:
    """Write the files of `count` documents into a folder, then its index. Files that are whole and unchanged stay.

    With `is_whole_period`, files of earlier runs that no invoice has any more are removed: a draft whose month was
    closed since, or whose user has nothing to pay any more. Raises `ExtractError`.
    """
    create_folder(folder)
    with _only_run(folder):
        known = _read_notes(folder)
        outcome = Outcome(documents=count)
        rows: list[tuple[str, ...]] = []
        with contextlib.closing(_Notes(folder)) as notes:
            remembered = _remembering(batches, known, rows)
            for batch, done in _results(folder, remembered, count, build, fonts_folder, processes):
                notes.add(done.files)
                outcome.add(done)
                bar.add_rows(len(batch.documents))
                for _ in batch.documents:
                    bar.advance()
        write_whole(folder / INDEX, _csv_bytes([INDEX_COLUMNS, *rows]))
        if is_whole_period:
            names = {name for row in rows for name in row[-2:]}
            for name in sorted(known.keys() - names):
                remove(folder / name)
        return outcome


def _remembering(
    batches: Iterable[list[Document]], known: dict[str, Written], rows: list[tuple[str, ...]]
) -> Iterator[Batch]:
    """The batches with what is known of their files; their rows of the index are added to `rows`."""
    for documents in batches:
        names = []
        for document in documents:
            stem = file_stem(document)
            names += [f"{stem}.pdf", f"{stem}.csv"]
            amount = f"{Decimal(document.amount_minor).scaleb(-document.currency_exponent):f}"
            rows.append(
                (document.invoice_id, document.external_user_id, document.currency, amount, names[-2], names[-1])
            )
        yield Batch(documents, {name: known[name] for name in names if name in known})


def _results(
    folder: Path,
    batches: Iterator[Batch],
    count: int,
    build: Build,
    fonts_folder: Path | None,
    processes: int | None,
) -> Iterator[tuple[Batch, Done]]:
    """Each batch with what came of it, as they are done."""
    if processes is None:
        processes = min(len(os.sched_getaffinity(0)), count // _DOCUMENTS_PER_PROCESS)
    if processes <= 1:
        typesetter = Typesetter(folder, build, fonts_folder)
        for batch in batches:
            yield batch, typesetter.write(batch)
        return
    # Forked processes would share the open warehouse.
    pool = ProcessPoolExecutor(
        processes,
        multiprocessing.get_context("spawn"),
        typesetting.begin,
        (users_umask(), folder, build, fonts_folder),
    )
    waiting: dict[Future[Done], Batch] = {}
    try:
        for batch in batches:
            waiting[pool.submit(typesetting.write, batch)] = batch
            if len(waiting) >= processes * _WAITING_PER_PROCESS:
                yield from _finished(waiting)
        while waiting:
            yield from _finished(waiting)
    except BrokenProcessPool as error:
        raise ExtractError(
            "a process that writes documents was killed, perhaps for its memory: run again, it goes on from there"
        ) from error
    finally:
        pool.shutdown(cancel_futures=True)


def _finished(waiting: dict[Future[Done], Batch]) -> Iterator[tuple[Batch, Done]]:
    for future in wait(waiting, return_when=FIRST_COMPLETED).done:
        yield waiting.pop(future), future.result()


@contextlib.contextmanager
def _only_run(folder: Path) -> Iterator[None]:
    """Refuse a second run in the same folder. The lock ends with this process."""
    number = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(number, fcntl.LOCK_EX | fcntl.LOCK_NB)
        yield
    except BlockingIOError as error:
        raise ExtractError(f"another run writes to {folder}: wait for it, then run again") from error
    finally:
        os.close(number)


# --- Notes of what was written, and the index ----------------------------------------------------------------------


class _Notes:
    """What was written, as lines that are appended: a kill loses the notes of the batches that were under way."""

    def __init__(self, folder: Path) -> None:
        self._file = (folder / _NOTES).open("a", encoding="utf-8", newline="")

    def add(self, files: Iterable[Written]) -> None:
        """Note files."""
        # Begins with a line break, because a kill may have left half a line.
        self._file.write("\n" + _csv_bytes(astuple(each) for each in files).decode())
        self._file.flush()

    def close(self) -> None:
        """Close the file."""
        self._file.close()


def _read_notes(folder: Path) -> dict[str, Written]:
    """The newest note of each file that is still there; the notes are rewritten without the others."""
    path = folder / _NOTES
    known: dict[str, Written] = {}
    with contextlib.suppress(FileNotFoundError):
        for row in csv.reader(io.StringIO(path.read_text("utf-8", errors="replace"), newline="")):
            is_note = len(row) == len(fields(Written)) and Path(row[0]).name == row[0]
            if is_note and (folder / row[0]).is_file():
                known[row[0]] = Written(*row)
        write_whole(path, _csv_bytes(astuple(each) for each in known.values()))
    return known


def _csv_bytes(rows: Iterable[Iterable[object]]) -> bytes:
    text = io.StringIO(newline="")
    csv.writer(text, lineterminator="\n").writerows(rows)
    return text.getvalue().encode()
