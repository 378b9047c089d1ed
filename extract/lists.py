"""Reads lists in threads, and lands each when it is proven complete."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import datetime

from core.api.client import MOST_THREADS
from core.api.pages import Page
from core.errors import ExtractError, IncompleteError, StaleCursorError
from core.progress import Bar
from core.raw.load import Load
from extract.context import RunContext, Window
from extract.page_streams import Arrival, PageStreams
from extract.paging import ListPass
from extract.plan import announce_pace
from extract.windows import refuse_unselected

logger = logging.getLogger("miosa_billing")

# Rows that are complete before they are landed: two of DuckDB's groups of 122,880 rows, which it writes into the file
# at once. Smaller landings stand in the log, and are written a second time when that is folded in.
_BATCH_ROWS = 2 * 122_880


@dataclass(slots=True)
class ListToRead:
    """A list to read: its load, its address, and what its earlier passes showed."""

    load: Load
    path: str
    params: dict[str, str]
    window: Window | None = None
    """The window that its rows are checked against; None for a list that is not checked."""
    shown_fields: frozenset[str] | None = None
    """With pseudonyms: the only fields whose values stay. None: only fields of external ids are replaced."""
    passes: int = 0
    last_pass: ListPass | None = None
    earlier_identities: set[int] | None = None
    """The rows that the pass before listed, if the API gives no total."""
    had_conflicts: bool = False


def land_lists(context: RunContext, stage: str, lists: Sequence[ListToRead]) -> None:
    """Read lists in parallel, and land each when it is proven complete.

    Raises `IncompleteError` for a list that was read often enough without being proven, after landing all others that
    were read to their ends, and `ExtractError`.
    """
    bar = context.bars.stage(stage, len(lists))
    # One list alone shows early that the key is bad, the address is wrong, or the API does not select.
    for batch in (lists[:1], lists[1:]):
        if batch:
            _ListReader(context, bar, min(context.client.useful_threads, len(batch))).land(batch)
            announce_pace(context)


class _ListReader:
    """Reads some lists in parallel."""

    def __init__(self, context: RunContext, bar: Bar, parallel_lists: int) -> None:
        self._context = context
        self._bar = bar
        self._parallel_lists = parallel_lists
        self._page_pool = ThreadPoolExecutor(context.settings.threads or MOST_THREADS, "pages")
        self._finished: list[ListToRead] = []

    def land(self, lists: Sequence[ListToRead]) -> None:
        """Read and land the lists."""
        try:
            with PageStreams[ListToRead](self._parallel_lists) as streams:
                for each in lists:
                    streams.add(each, self._begin_pass(each))
                for arrival in streams:
                    for again in self._take(arrival, is_last=streams.is_exhausted):
                        streams.add(again, self._begin_pass(again))
        except ExtractError:
            if self._finished:
                self._land_finished(raises=False)
            raise
        finally:
            self._page_pool.shutdown(wait=False, cancel_futures=True)
            for each in lists:
                self._context.warehouse.drop(each.load)

    def _begin_pass(self, to_read: ListToRead) -> Iterator[Page]:
        """Begin another pass over a list. Returns its pages, checked and with pseudonyms, as they are read."""
        context = self._context
        to_read.passes += 1
        to_read.last_pass = ListPass(
            context.client,
            to_read.path,
            to_read.params,
            context.settings.page_size,
            self._page_pool,
            self._parallel_lists,
            context.styles,
        )
        return self._storable_pages(to_read.last_pass, to_read)

    def _storable_pages(self, pages: ListPass, to_read: ListToRead) -> Iterator[Page]:
        """The pages of a pass as they are stored."""
        pseudonyms = self._context.pseudonyms
        for page in pages:
            if to_read.window:
                refuse_unselected(page, to_read.window)
            yield pseudonyms.hide_in_page(page, to_read.shown_fields) if pseudonyms else page

    def _take(self, arrival: Arrival[ListToRead], *, is_last: bool) -> list[ListToRead]:
        """Stage a page, or finish a list. Returns the lists to read again."""
        to_read = arrival.source
        if arrival.page is not None:
            self._context.warehouse.stage_page(to_read.load, arrival.page)
            self._bar.add_rows(arrival.page.count)
            return []
        again: list[ListToRead] = []
        if arrival.error is None:
            self._finished.append(to_read)
        else:
            self._context.warehouse.drop(to_read.load)
            self._raise_if_final(to_read, arrival.error)
            again.append(to_read)
        rows = sum(each.last_pass.state.rows for each in self._finished if each.last_pass)
        if self._finished and (rows >= _BATCH_ROWS or (is_last and not again)):
            again += self._land_finished()
        return again

    def _raise_if_final(self, to_read: ListToRead, error: Exception) -> None:
        """Raise the error that ended a pass, unless another pass may fare better."""
        may_repeat = isinstance(error, IncompleteError | StaleCursorError)
        if may_repeat and to_read.passes < self._context.settings.max_passes:
            logger.info("%s: %s; reading it anew", to_read.load, error)
            return
        if isinstance(error, IncompleteError):
            raise IncompleteError(f"{to_read.load}: {error}: nothing of it was landed")
        raise error

    def _land_finished(self, *, raises: bool = True) -> list[ListToRead]:
        """Land the finished lists that are proven complete, and return those to read again.

        Raises `IncompleteError` for one that was read often enough, once all others are landed.
        """
        finished, self._finished = self._finished, []
        finished.sort(key=lambda each: each.last_pass.ended_at if each.last_pass else datetime.min)
        for each in finished:
            if each.last_pass:
                each.load.started_at, each.load.ended_at = each.last_pass.started_at, each.last_pass.ended_at
                each.load.pages, each.load.total = each.last_pass.state.pages, each.last_pass.state.total
        warehouse, max_passes = self._context.warehouse, self._context.settings.max_passes
        warehouse.examine([each.load for each in finished])
        complete: list[Load] = []
        again: list[ListToRead] = []
        failure: IncompleteError | None = None
        for each in finished:
            reason = _incompleteness_reason(each, max_passes)
            if reason is None:
                complete.append(each.load)
                continue
            warehouse.drop(each.load)
            if each.passes < max_passes:
                logger.info("%s: %s; reading it anew", each.load, reason)
                again.append(each)
            else:
                failure = failure or IncompleteError(
                    f"{each.load}: {reason}: nothing of it was landed; run again later"
                )
        self._context.land(complete)
        for load in complete:
            self._bar.advance()
            if load.conflicts:
                logger.warning(
                    "%s: %d ids are listed with more than one content; the last one listed counts", load, load.conflicts
                )
        if failure and raises:
            raise failure
        return again


def _incompleteness_reason(to_read: ListToRead, max_passes: int) -> str | None:
    """Why a finished pass does not prove its list complete; None if it does (rule 5)."""
    load, is_last_pass = to_read.load, to_read.passes >= max_passes
    assert to_read.last_pass is not None  # noqa: S101 - set when the pass began
    state = to_read.last_pass.state
    if state.total is not None and state.total != load.proven:
        return f"the API says {state.total} rows, and lists {load.proven} different ones"
    if not state.is_total_steady and not is_last_pass:
        return "the API's total changed while it was read"
    if state.total is None:
        earlier, to_read.earlier_identities = to_read.earlier_identities, state.identities
        # A row that arrived since the earlier pass is no sign of one that was skipped; a row that is gone is.
        if not earlier <= state.identities if earlier is not None else state.needs_second_pass:
            return "the API gives no total, and two readings in a row did not agree"
    if load.conflicts and not to_read.had_conflicts and not is_last_pass:
        to_read.had_conflicts = True
        return f"{load.conflicts} ids are listed with more than one content"
    return None
