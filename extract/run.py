"""A whole run: what is asked for, in which order, and when a load is complete.

Threads read, this thread writes. Sessions come first, in windows of days, because everything else follows from them:
which sessions are void, whose quota is asked for, and, together with the owners of sandboxes, of which months the
vendor's own figures are read again.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import groupby
from typing import Any

import msgspec

from core.answers import SEPARATOR, Page, read_document, rollup_results, storable
from core.client import Answer, Client
from core.clock import to_text, utc_now
from core.errors import ExtractError, IncompleteError, StaleCursorError, UnselectiveError
from core.months import next_month
from core.progress import Bar, Bars
from core.quota_api import ACCEPTED, check_object, quota_path, take_quota
from core.raw.load import Load
from core.usage_api import rollup_params, summary_params
from core.workers import Ahead, Event, Workers
from extract.paging import Pass, read_list
from extract.pseudonyms import Pseudonyms
from extract.settings import Settings
from extract.warehouse import BRAKE_FROM, Warehouse

logger = logging.getLogger("miosa_billing")

Window = tuple[datetime, datetime]

_DAY = timedelta(days=1)
_OVERLAP = timedelta(seconds=1)
# Rows that are complete before they are landed: two of DuckDB's groups of 122,880 rows, which it writes into the file
# at once. Smaller landings stand in the log, and are written a second time when that is folded in.
_BATCH_ROWS = 2 * 122_880
_QUOTAS_A_LOAD = 500
# How long what a run that did not finish has asked need not be asked again.
_FRESH = timedelta(days=1)
# Requests at a time. One takes this process a millisecond, so as many as an answer takes milliseconds keep it busy.
_FEWEST_THREADS, _MOST_THREADS = 4, 32
_BUSY_SECONDS = 0.001
_CHARACTERS_AHEAD = 4 << 20


@dataclass(slots=True)
class Summary:
    """What a run did, to be told at its end."""

    loads: int = 0
    rows_listed: int = 0
    rows_added: int = 0
    voids: int = 0

    def count(self, load: Load) -> None:
        """Count a load that was landed."""
        self.loads += 1
        self.rows_listed += load.rows
        self.rows_added += load.rows_added


@dataclass(slots=True)
class _List:
    """A list to read: a load, what to ask for, and what its earlier passes showed."""

    load: Load
    path: str
    params: dict[str, str]
    window: Window | None = None
    """The window that its rows are checked against; None for a list that is not checked."""
    passes: int = 0
    last: Pass | None = None
    identities: frozenset[int] | None = None
    had_conflicts: bool = False


@dataclass(slots=True)
class _Question:
    """One answer to ask for that is a row as a whole."""

    load: Load
    place: int
    key: str
    path: str
    params: dict[str, str]
    take: Callable[[Answer], tuple[int, str | None, str | None]]
    """Checks the answer, and gives its status, text and normalized text."""
    shown: str | None = None
    """What stands for the path in messages, where it holds an id that may not be shown."""


@dataclass(frozen=True, slots=True)
class _Document:
    """The answer to a question."""

    status: int
    payload: str | None
    normalized: str | None
    started_at: datetime
    ended_at: datetime


class Run:
    """One run over a client and a warehouse."""

    def __init__(
        self,
        settings: Settings,
        client: Client,
        warehouse: Warehouse,
        bars: Bars,
        pseudonyms: Pseudonyms | None = None,
    ) -> None:
        """Prepare a run; nothing is asked yet. With `pseudonyms`, nothing that is stored or shown holds an id."""
        self._settings = settings
        self._client = client
        self._warehouse = warehouse
        self._bars = bars
        self._numbers = 0
        self._lists_at_a_time = 1
        self._ahead = Ahead()
        self._pseudonyms = pseudonyms
        self.summary = Summary()

    def execute(self) -> Summary:
        """Land everything. Raises `ExtractError`; loads landed before it stay, and a rerun goes on from there."""
        self._land_sessions()
        self._land_sandboxes()
        months = sorted({*self._warehouse.months_due(), *self._months_asked()})
        self._ask(
            [
                *self._quotas(),
                *self._figures("usage_rollups", "/usage", months, rollup_params, check_rollup),
                *self._figures("usage_summaries", "/usage/summary", months, summary_params, check_object),
            ]
        )
        self._warehouse.forget_asked()
        return self.summary

    # Sessions

    def _land_sessions(self) -> None:
        """Land the sessions of all windows, then void those that are gone."""
        settings, now = self._settings, utc_now()
        start = settings.start - settings.look_back_days * _DAY
        windows = coalesce(
            [*split(start, settings.end, settings.window_days), *self._running_windows(start)], touch=False
        )
        covered = self._read_windows(windows)
        ahead = min(settings.end + settings.look_ahead_days * _DAY, _midnight(now + 2 * _DAY))
        selects_by_end = not self._warehouse.lists_beyond_windows() and covered == windows
        if selects_by_end and ahead > settings.end:
            # Nothing listed shows that the API does not select by end. If it does, a session that outlasts the range
            # is listed where it ended.
            covered += self._read_windows(split(settings.end, ahead, settings.window_days))
        self._settle()
        self._land_voids(coalesce(covered), now if selects_by_end else None)

    def _settle(self) -> None:
        """Read again where windows, read side by side, told different things of one session: the last word counts.

        Which of them was the newer no load can tell; what is read from here on is.
        """
        windows = self._warehouse.unsettled_windows()
        if windows:
            logger.info("%d windows tell of a session what others do not: reading them anew", len(windows))
            self._read_lists("sessions", [self._session_list(window, check=False) for window in windows])

    def _running_windows(self, start: datetime) -> list[Window]:
        """The days outside of the range on which sessions last seen running began."""
        days = [day for day in self._warehouse.running_starts() if not start <= day < self._settings.end]
        return coalesce([(day, day + _DAY) for day in days])

    def _read_windows(self, windows: Sequence[Window]) -> list[Window]:
        """Land the sessions of these windows. Returns the windows covered: one, if the API does not select by them."""
        try:
            self._read_lists("sessions", [self._session_list(window, check=True) for window in windows])
            return list(windows)
        except UnselectiveError:
            whole = (min(start for start, _ in windows), max(end for _, end in windows))
            logger.info("the API does not select sessions by time: reading its list once, whole")
            self._read_lists("sessions", [self._session_list(whole, check=False)])
            return [whole]

    def _session_list(self, window: Window, *, check: bool) -> _List:
        """The list of one window's sessions.

        The second before the window puts a session exactly on a boundary into some window, however the API treats
        its bounds.
        """
        load = self._load("usage_sessions", window)
        params = {"since": to_text(window[0] - _OVERLAP), "until": to_text(window[1])}
        return _List(load, "/usage/sessions", params, window if check else None)

    def _land_voids(self, windows: list[Window], running_until: datetime | None) -> None:
        """Void sessions that are gone, unless they are suspiciously many."""
        settings = self._settings
        unlisted, covered = self._warehouse.find_unlisted(windows, running_until)
        if not unlisted:
            return
        if unlisted >= BRAKE_FROM and unlisted * 100 > settings.void_share * covered and not settings.allow_voids:
            raise ExtractError(
                f"the API no longer lists {unlisted} of {covered} known sessions: nothing was voided; if they are "
                "really gone, run again with --allow-voids"
            )
        now = utc_now()
        load = self._load("session_voids", (windows[0][0], windows[-1][1]))
        load.started_at = load.ended_at = now
        self._warehouse.land_voids(load)
        self.summary.voids += load.rows_added
        self.summary.count(load)

    # Everything else

    def _land_sandboxes(self) -> None:
        """Land the list of sandboxes."""
        self._read_lists("sandboxes", [_List(self._load("sandboxes"), "/sandboxes", {})])

    def _quotas(self) -> list[_Question]:
        """The questions for the quota of every user ever landed, as far as there is an id to ask by.

        Whom a run asked that did not finish, less than a day ago, is not asked again. A run that finishes is followed
        by one that asks everybody.
        """
        questions: list[_Question] = []
        forgotten = too_long = 0
        load = self._load("quotas")
        now = utc_now()
        asked = self._warehouse.asked(now - _FRESH, now)
        for user in self._warehouse.users():
            if user in asked:
                continue
            external_id = self._pseudonyms.id_of(user) if self._pseudonyms else user
            path = quota_path(external_id or "")
            if external_id is None:
                forgotten += 1
            elif path is None:
                too_long += 1
            else:
                place = len(questions) % _QUOTAS_A_LOAD
                if questions and not place:
                    load = self._load("quotas")
                shown = f"/quotas/external/{user}" if self._pseudonyms else None
                questions.append(_Question(load, place, user, path, {}, take_quota, shown))
        if forgotten:
            logger.warning(
                "%d users have only a pseudonym since an earlier run, so their quota could not be asked for anew: what "
                "was known of it stays; a longer --look-back-days may bring their ids again",
                forgotten,
            )
        if too_long:
            logger.warning("%d users have an id too long for an address: their quota was not asked for", too_long)
        return questions

    def _figures(
        self,
        resource: str,
        path: str,
        months: Iterable[datetime],
        params: Callable[[datetime], dict[str, str]],
        check: Callable[[Any], None],
    ) -> list[_Question]:
        """The questions for one of the vendor's own figures, for each month."""

        def take(answer: Answer) -> tuple[int, str | None, str | None]:
            payload, normalized, value = read_document(answer.body)
            check(value)
            return answer.status, payload, normalized

        return [
            _Question(self._load(resource, (month, next_month(month))), 0, f"{month:%Y-%m}", path, params(month), take)
            for month in months
        ]

    def _months_asked(self) -> list[datetime]:
        """The months that were asked for."""
        months = [self._settings.start]
        while (month := next_month(months[-1])) < self._settings.end:
            months.append(month)
        return months

    # Reading

    def _load(self, resource: str, window: Window | None = None) -> Load:
        """A new load, not read yet."""
        self._numbers += 1
        start, end = window or (None, None)
        return Load(resource, self._numbers, start, end)

    @property
    def _threads(self) -> int:
        """How many requests to make at a time, by how long the API takes for an answer, once that is known."""
        if self._settings.threads:
            return self._settings.threads
        return int(max(_FEWEST_THREADS, min(_MOST_THREADS, self._client.fastest / _BUSY_SECONDS)))

    def _read_lists(self, name: str, lists: Sequence[_List]) -> None:
        """Read lists in threads, and land each when it is proven complete."""
        if not lists:
            return
        bar = self._bars.stage(name, len(lists))
        finished: list[_List] = []
        failure: BaseException | None = None
        stop = threading.Event()
        try:
            # One list alone tells early of a bad key, a wrong address, or an API that does not select.
            self._lists_at_a_time, others = 1, lists[1:]
            with Workers[_List, Page, Pass](self._read_pass, 1, stop, lambda page: len(page.text)) as workers:
                workers.submit(lists[0])
                while workers.outstanding or finished or others:
                    if others and not workers.outstanding:
                        self._lists_at_a_time = min(self._threads, len(others))
                        workers.grow(self._lists_at_a_time)
                        for item in others:
                            workers.submit(item)
                        others = ()
                    rows = sum(item.last.rows for item in finished if item.last)
                    if finished and (rows >= _BATCH_ROWS or not workers.outstanding):
                        batch, finished = finished, []
                        for again in self._land_lists(batch, bar):
                            workers.submit(again)
                        continue
                    event = workers.next_event()
                    if event.piece is not None:
                        self._warehouse.stage_page(event.job.load, event.piece)
                        bar.add_rows(event.piece.count)
                    elif event.result is not None:
                        event.job.last = event.result
                        finished.append(event.job)
                    else:
                        self._read_anew(event, workers)
        except BaseException as error:
            failure = error
            raise
        finally:
            stop.set()
            if isinstance(failure, ExtractError) and finished:
                self._land_lists(finished, bar, final=True)
            for item in lists:
                self._warehouse.drop(item.load)

    def _read_anew(self, event: Event[_List, Page, Pass], workers: Workers[_List, Page, Pass]) -> None:
        """Read a list again whose pass had no end, or raise what else went wrong."""
        self._warehouse.drop(event.job.load)
        error = event.error
        if isinstance(error, IncompleteError | StaleCursorError) and event.job.passes < self._settings.max_passes:
            logger.info("%s: %s; reading it anew", event.job.load, error)
            workers.submit(event.job)
            return
        if isinstance(error, IncompleteError):
            raise IncompleteError(f"{event.job.load}: {error}: nothing of it was landed")
        raise error or ExtractError("a thread failed without an error")

    def _read_pass(self, item: _List, emit: Callable[[Page], None]) -> Pass:
        """Read one pass over a list (in a thread)."""
        item.passes += 1

        def check_and_emit(page: Page) -> None:
            if item.window:
                refuse_unselected(page, item.window)
            emit(self._pseudonyms.page(page) if self._pseudonyms else page)

        return read_list(
            self._client, item.path, item.params, self._settings.page_size, check_and_emit, self._fetch_all
        )

    def _fetch_all(
        self, fetch: Callable[[dict[str, str]], Page], requests: Iterable[dict[str, str]], characters: int
    ) -> Iterator[Page]:
        """Fetch a list's pages, a few of them ahead where other lists leave threads free."""
        ahead = min(self._threads // self._lists_at_a_time, _CHARACTERS_AHEAD // max(1, characters))
        if ahead < 2:
            return map(fetch, requests)
        return self._ahead.map(fetch, requests, ahead, self._threads)

    def _land_lists(self, finished: list[_List], bar: Bar, *, final: bool = False) -> list[_List]:
        """Land the lists that are proven complete, and return those to read again.

        Raises `IncompleteError` for one that was read often enough, once all others are landed.
        """
        finished.sort(key=lambda item: item.last.ended_at if item.last else datetime.min)
        for item in finished:
            assert item.last is not None  # noqa: S101 - set when it finished
            item.load.started_at, item.load.ended_at = item.last.started_at, item.last.ended_at
            item.load.pages, item.load.total = item.last.pages, item.last.total
        self._warehouse.examine([item.load for item in finished])
        complete: list[_List] = []
        again: list[_List] = []
        failure: IncompleteError | None = None
        for item in finished:
            doubt = self._doubt(item)
            if doubt is None:
                complete.append(item)
                continue
            self._warehouse.drop(item.load)
            if item.passes < self._settings.max_passes:
                logger.info("%s: %s; reading it anew", item.load, doubt)
                again.append(item)
            else:
                failure = failure or IncompleteError(f"{item.load}: {doubt}: nothing of it was landed; run again later")
        self._warehouse.land([item.load for item in complete])
        for item in complete:
            self.summary.count(item.load)
            bar.advance()
            if item.load.conflicts:
                logger.warning(
                    "%s: %d ids are listed with more than one content; the last one listed counts",
                    item.load,
                    item.load.conflicts,
                )
        if failure and not final:
            raise failure
        return again

    def _doubt(self, item: _List) -> str | None:
        """Why a pass does not prove its list complete; None if it does."""
        load, last = item.load, item.last
        assert last is not None  # noqa: S101 - set when it finished
        is_last = item.passes >= self._settings.max_passes
        if last.total is not None and last.total != load.proven:
            return f"the API says {last.total} rows, and lists {load.proven} different ones"
        if not last.is_steady and not is_last:
            return "the API's total changed while it was read"
        if last.total is None:
            before, item.identities = item.identities, last.identities
            # Rows that arrived since are no sign of one that was passed over; one that is gone is.
            if not before <= last.identities if before is not None else last.is_blind:
                return "the API gives no total, and two readings in a row did not agree"
        if load.conflicts and not item.had_conflicts and not is_last:
            item.had_conflicts = True
            return f"{load.conflicts} ids are listed with more than one content"
        return None

    def _ask(self, questions: Sequence[_Question]) -> None:
        """Ask questions in threads, all resources' at once, and land each load when all of its answers are there."""
        bar = self._bars.stage("quotas, figures", len(questions))
        waiting: dict[int, int] = {}
        for question in questions:
            waiting[question.load.number] = waiting.get(question.load.number, 0) + 1
        done: list[Load] = []
        stop = threading.Event()

        def land() -> None:
            batch = sorted(done, key=lambda load: load.number)
            done.clear()
            if batch:
                self._warehouse.examine(batch)
                for _, loads in groupby(batch, key=lambda load: load.resource):
                    landed = [*loads]
                    self._warehouse.land(landed)
                    for load in landed:
                        self.summary.count(load)

        try:
            with Workers[_Question, _Document, _Document](
                lambda question, emit: self._read_question(question), min(self._threads, len(questions)), stop
            ) as workers:
                for question in questions:
                    workers.submit(question)
                while workers.outstanding:
                    event = workers.next_event()
                    if event.result is None:
                        raise event.error or ExtractError("a thread failed without an error")
                    load, answer = event.job.load, event.result
                    status = answer.status if load.resource == "quotas" else None
                    self._warehouse.stage_answer(
                        load, event.job.place, event.job.key, status, answer.payload, answer.normalized
                    )
                    load.started_at = min(load.started_at, answer.started_at) if load.pages else answer.started_at
                    load.ended_at = max(load.ended_at, answer.ended_at)
                    load.pages += 1
                    bar.add_rows(1)
                    bar.advance()
                    waiting[load.number] -= 1
                    if not waiting[load.number]:
                        done.append(load)
                        if load.pages >= _QUOTAS_A_LOAD:
                            land()
            land()
        except ExtractError:
            land()
            raise
        finally:
            stop.set()

    def _read_question(self, question: _Question) -> _Document:
        """Ask one question and take its answer whole (in a thread)."""
        started_at = utc_now()
        accept = ACCEPTED if question.load.resource == "quotas" else frozenset({200})
        status, payload, normalized = self._client.get(
            question.path, question.params, question.take, accept=accept, shown=question.shown
        )
        if self._pseudonyms and payload is not None:
            # An error's words may name the user anywhere. Nothing but its status counts.
            payload, normalized = (None, None) if status == 404 else storable(self._pseudonyms.text(payload))
        return _Document(status, payload, normalized, started_at, utc_now())


class _Times(msgspec.Struct):
    """A session, as far as telling when it was needs it."""

    started_at: str | None = None
    ended_at: str | None = None


_decode_times = msgspec.json.Decoder(_Times).decode


def refuse_unselected(page: Page, window: Window) -> None:
    """Raise `UnselectiveError` where a page brings a session that lies more than a day outside of the window.

    Only the first and the last row are looked at: to miss a server that does not select costs time, nothing else.
    """
    if not page.count:
        return
    for row in (page.text.partition(SEPARATOR)[0], page.text.rpartition(SEPARATOR)[2]):
        try:
            times = _decode_times(row)
            started, ended = _read_time(times.started_at), _read_time(times.ended_at)
        except (msgspec.MsgspecError, RecursionError):
            continue
        if started is None or ended is None:
            continue
        if max(started, ended) < window[0] - _DAY or min(started, ended) > window[1] + _DAY:
            raise UnselectiveError("the API does not select sessions by time")


def _read_time(text: str | None) -> datetime | None:
    """A time as UTC without a zone; None where it cannot be read."""
    try:
        moment = datetime.fromisoformat(text or "")
        offset = moment.utcoffset()
        return moment.replace(tzinfo=None) - (offset or timedelta(0))
    except (ValueError, OverflowError):
        return None


def split(start: datetime, end: datetime, days: int) -> list[Window]:
    """Windows of so many days from `start` to `end`; the last may be shorter.

    >>> [f"{a:%d}-{b:%d}" for a, b in split(datetime(2026, 10, 1), datetime(2026, 10, 6), 2)]
    ['01-03', '03-05', '05-06']
    """
    windows = []
    while start < end:
        windows.append((start, min(start + days * _DAY, end)))
        start += days * _DAY
    return windows


def coalesce(windows: Iterable[Window], *, touch: bool = True) -> list[Window]:
    """Windows in order; those that touch made one unless told not to.

    >>> len(coalesce([(datetime(2026, 1, 2), datetime(2026, 1, 3)), (datetime(2026, 1, 1), datetime(2026, 1, 2))]))
    1
    """
    merged: list[Window] = []
    for start, end in sorted(windows):
        if touch and merged and start <= merged[-1][1]:
            merged[-1] = (merged[-1][0], max(end, merged[-1][1]))
        else:
            merged.append((start, end))
    return merged


def _midnight(moment: datetime) -> datetime:
    """The start of a moment's day."""
    return moment.replace(hour=0, minute=0, second=0, microsecond=0)


def check_rollup(value: Any) -> None:
    """Refuse a rollup without results, or with a part of them only."""
    rollup_results(value)
