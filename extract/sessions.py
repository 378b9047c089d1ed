"""Lands usage sessions window by window, then voids those that the API no longer lists."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from datetime import datetime, timedelta

from core.clock import to_text, utc_now
from core.errors import ExtractError, UnselectiveError
from extract.context import RunContext, Window
from extract.lists import ListToRead, land_lists
from extract.warehouse import BRAKE_FROM
from extract.windows import DAY, coalesce, is_covered, joined, split

logger = logging.getLogger("miosa_billing")

_OVERLAP = timedelta(seconds=1)
# A window is the least that an unfinished run keeps, so it stays a matter of seconds even at 60 requests per minute.
_PAGES_PER_WINDOW = 10


def land_sessions(context: RunContext) -> None:
    """Land the sessions of all windows, then void those that are gone."""
    settings, warehouse, now = context.settings, context.warehouse, utc_now()
    windows = session_windows(context)
    covered = sorted(_land_windows(context, windows))
    tomorrow_midnight = (now + 2 * DAY).replace(hour=0, minute=0, second=0, microsecond=0)
    ahead = min(settings.end + settings.look_ahead_days * DAY, tomorrow_midnight)
    selects_by_end = not warehouse.lists_beyond_windows() and covered == windows
    if selects_by_end and ahead > settings.end:
        # No listed session shows that the API does not select by end. If it does, a session that outlasts the range
        # is listed where it ended.
        covered += _land_windows(context, split(settings.end, ahead, settings.window_days))
    _reread_conflicting_windows(context)
    _land_voids(context, coalesce(covered), now if selects_by_end else None)


def session_windows(context: RunContext) -> list[Window]:
    """The windows that a run covers in any case: the look-back, the range, and days on which known sessions run."""
    settings = context.settings
    start = settings.start - settings.look_back_days * DAY
    windows = split(start, settings.end, settings.window_days)
    if settings.has_default_windows:
        # Each window costs a request at least. Known days with few sessions share one.
        known = context.warehouse.known_sessions(start, settings.end)
        windows = joined(windows, known, settings.page_size * _PAGES_PER_WINDOW)
    return sorted([*windows, *_running_windows(context, start)])


def _running_windows(context: RunContext, start: datetime) -> list[Window]:
    """The days outside of the range on which sessions last seen running began."""
    days = [day for day in context.warehouse.running_starts() if not start <= day < context.settings.end]
    return coalesce([(day, day + DAY) for day in days])


def _land_windows(context: RunContext, windows: Sequence[Window]) -> list[Window]:
    """Land the sessions of these windows, apart from those that an unfinished run has landed.

    Returns the windows covered: one, if the API does not select by them.
    """
    landed = coalesce(context.warehouse.landed_windows())
    try:
        unread = [window for window in windows if not is_covered(window, landed)]
        land_lists(context, "sessions", [_sessions_of(context, window, check=True) for window in unread])
        return list(windows)
    except UnselectiveError:
        whole = (min(start for start, _ in windows), max(end for _, end in windows))
        if is_covered(whole, landed):
            return [whole]
        logger.info("the API does not select sessions by time: reading its list once, whole")
        land_lists(context, "sessions", [_sessions_of(context, whole, check=False)])
        return [whole]


def _reread_conflicting_windows(context: RunContext) -> None:
    """Read windows again that were read in parallel and report different states of one session.

    No load shows which state was the newer. What is read from here on is.
    """
    windows = context.warehouse.unsettled_windows()
    if windows:
        logger.info("%d windows report sessions differently from others: reading them anew", len(windows))
        land_lists(context, "sessions", [_sessions_of(context, window, check=False) for window in windows])


def _sessions_of(context: RunContext, window: Window, *, check: bool) -> ListToRead:
    """The list of one window's sessions.

    The second before the window puts a session exactly on a boundary into some window, however the API treats its
    bounds.
    """
    params = {"since": to_text(window[0] - _OVERLAP), "until": to_text(window[1])}
    load = context.new_load("usage_sessions", window)
    return ListToRead(load, "/usage/sessions", params, window if check else None)


def _land_voids(context: RunContext, windows: list[Window], running_until: datetime | None) -> None:
    """Void sessions that are gone, unless they are suspiciously many."""
    settings, warehouse = context.settings, context.warehouse
    unlisted, covered = warehouse.find_unlisted(windows, running_until)
    if not unlisted:
        return
    if unlisted >= BRAKE_FROM and unlisted * 100 > settings.void_share * covered and not settings.allow_voids:
        warehouse.forget_lists()  # the next run is to see for itself
        raise ExtractError(
            f"the API no longer lists {unlisted} of {covered} known sessions: nothing was voided; if they are "
            "really gone, run again with --allow-voids"
        )
    load = context.new_load("session_voids", (windows[0][0], windows[-1][1]))
    load.started_at = load.ended_at = utc_now()
    warehouse.land_voids(load)
    context.summary.voids += load.rows_added
    context.summary.count(load)
