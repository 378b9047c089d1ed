"""Rows on their way into the database: buffered per load, then moved into the temporary table `staged`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from core.api.pages import SEPARATOR, Page
from core.database.connection import Database, columns
from core.errors import WarehouseError
from core.raw.load import Load
from core.sql_files import sql_files

sql = sql_files(__file__)

_BUFFERED_ROWS = 5_000
_BUFFERED_CHARACTERS = 4 << 20


@dataclass(slots=True)
class _Buffer:
    """Rows of one load that are not in the database yet."""

    texts: list[str] = field(default_factory=list)
    normalized: list[str | None] = field(default_factory=list)
    has_normalized: bool = False
    answers: list[tuple[int, str, int | None, str | None, str | None]] = field(default_factory=list)
    """Answers that are one row each: place, key, status, text, normalized text. Such loads have no texts."""
    rows: int = 0
    characters: int = 0

    @property
    def is_full(self) -> bool:
        """Whether it is time to stage these rows."""
        return self.rows >= _BUFFERED_ROWS or self.characters >= _BUFFERED_CHARACTERS


class Staging:
    """The rows of loads that have neither landed nor been dropped."""

    def __init__(self, database: Database) -> None:
        """Create the temporary tables."""
        self._database = database
        self._buffers: dict[int, _Buffer] = {}
        self._staged: dict[int, int] = {}
        database.execute(sql("create_staging"))

    def add_page(self, load: Load, page: Page) -> None:
        """Keep the rows of a page, in page order."""
        if not page.count:
            return
        buffer = self._buffers.setdefault(load.number, _Buffer())
        if page.normalized is not None and not buffer.has_normalized:
            buffer.normalized = [None] * buffer.rows
            buffer.has_normalized = True
        if buffer.has_normalized:
            buffer.normalized += page.normalized or [None] * page.count
        buffer.texts.append(page.text)
        buffer.rows += page.count
        buffer.characters += len(page.text)
        if buffer.is_full:
            self._flush(load.number)

    def add_answer(
        self, load: Load, place: int, key: str, status: int | None, payload: str | None, normalized: str | None
    ) -> None:
        """Keep an answer that is one row as a whole, under the key that it was asked for by."""
        buffer = self._buffers.setdefault(load.number, _Buffer())
        buffer.answers.append((place, key, status, payload, normalized))
        buffer.rows += 1
        buffer.characters += len(payload or "")
        if buffer.is_full:
            self._flush(load.number)

    def drop(self, load: Load) -> None:
        """Forget the rows of a load."""
        self._buffers.pop(load.number, None)
        if self._staged.pop(load.number, 0):
            self._database.execute("delete from staged where load_number = ?", [load.number])

    def has_rows(self, loads: Sequence[Load]) -> bool:
        """Move what is buffered of these loads into the database. Returns whether they have rows at all."""
        for load in loads:
            self._flush(load.number)
        return any(self._staged.get(load.number) for load in loads)

    def forget_landed(self, loads: Sequence[Load]) -> None:
        """Forget the rows of loads that were examined last and have landed."""
        for load in loads:
            self._staged.pop(load.number, None)
        self._database.execute(sql("keep_rest") if self._staged else "truncate staged")

    def _flush(self, number: int) -> None:
        """Move the buffer of a load into the temporary table."""
        buffer = self._buffers.pop(number, None)
        if buffer is None:
            return
        first = self._staged.get(number, 0)
        if buffer.answers:
            statement, values = sql("stage_answers"), [number, *columns(buffer.answers)]
        else:
            normalized = buffer.normalized if buffer.has_normalized else None
            text = SEPARATOR.join(buffer.texts)
            statement, values = sql("stage_rows"), [number, first, first + buffer.rows, text, normalized]
        added = self._database.with_memory(lambda: self._database.execute(statement, values).fetchone())
        if added != (buffer.rows,):
            raise WarehouseError(f"staging took {added} rows of {buffer.rows}: please report this")
        self._staged[number] = first + buffer.rows
