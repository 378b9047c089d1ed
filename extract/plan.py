"""How many requests a run makes at least, as far as is known before it begins, and how long they take."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from core.command_line import say
from extract.context import RunContext, Window


@dataclass(frozen=True, slots=True)
class Plan:
    """The requests that a run is known to make. What is new since the last run comes on top."""

    sessions: int
    """Pages of sessions: at least one per window."""
    quotas: int
    """One per user known so far."""
    others: int
    """Sandboxes, the vendor's own figures, and the platform's account."""

    @property
    def requests(self) -> int:
        """All of them."""
        return self.sessions + self.quotas + self.others

    def __str__(self) -> str:
        """The requests in words."""
        return (
            f"at least {self.requests:,} requests ({self.sessions:,} for sessions, {self.quotas:,} for quotas, "
            f"{self.others:,} for everything else)"
        )


def make_plan(context: RunContext, windows: Sequence[Window], months: int, quotas: int, account: int) -> Plan:
    """The plan of a run: these windows, the figures of so many months, so many quotas and parts of the account."""
    size, pages = context.settings.page_size, 0
    per_day = context.warehouse.known_sessions(windows[0][0], windows[-1][1]) if windows else {}
    for start, end in windows:
        pages += max(1, -(-sum(count for day, count in per_day.items() if start <= day < end) // size))
    boxes = max(1, -(-context.warehouse.known_sandboxes() // size))
    return Plan(pages, quotas, boxes + 2 * months + account)


def announce(context: RunContext, plan: Plan) -> None:
    """Say what a run will take, before its first request."""
    pace = context.client.pace_per_minute
    if pace is None:
        say(f"{plan}; how many the API allows per minute is not known yet")
    else:
        say(f"{plan}: {duration(plan.requests / pace)} at {pace:,.3g} requests per minute")
    context.plan = None if pace else plan


def announce_pace(context: RunContext) -> None:
    """Say how long the run will take, once, if an answer has named the limit meanwhile."""
    pace, plan = context.client.pace_per_minute, context.plan
    if pace is not None and plan is not None:
        say(f"the API allows {pace:,.3g} requests per minute: this takes {duration(plan.requests / pace)}")
        context.plan = None


def duration(minutes: float) -> str:
    """A span of time in words.

    >>> duration(0.4), duration(75), duration(1680)
    ('less than a minute', 'at least 1 h 15 min', 'at least 28 h 0 min')
    """
    if minutes < 1:
        return "less than a minute"
    hours, rest = divmod(round(minutes), 60)
    return f"at least {hours} h {rest} min" if hours else f"at least {rest} min"
