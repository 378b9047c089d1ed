"""The options of `python -m simulator` that limit the rate of requests."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any, get_args

import click

from simulator.limiter import Headers, Kind, Limit, RetryAfter


def limit_options(command: Callable[..., None]) -> Callable[..., None]:
    """Add the options, and hand the limit that they make to the command as `rate_limit` (None: no limit)."""

    @click.option("--limit-requests", type=click.IntRange(1), default=None, help="Refuse more requests per window.")
    @click.option("--limit-seconds", type=click.FloatRange(0, min_open=True), default=60.0, help="Length of a window.")
    @click.option(
        "--limit-kind",
        type=click.Choice(get_args(Kind)),
        default="window",
        help="Allow them all at once in each window, or one after the other from a bucket.",
    )
    @click.option("--limit-burst", type=click.IntRange(1), default=None, help="What a full bucket holds.")
    @click.option(
        "--limit-headers", type=click.Choice(get_args(Headers)), default="none", help="How answers report the limit."
    )
    @click.option(
        "--limit-retry-after",
        type=click.Choice(get_args(RetryAfter)),
        default="seconds",
        help="How a refusal says when to come back.",
    )
    @click.option(
        "--limit-change",
        type=(float, click.IntRange(1)),
        multiple=True,
        metavar="SECONDS REQUESTS",
        help="Another limit from so many seconds after the first request on.",
    )
    @click.option(
        "--limit-others",
        type=click.FloatRange(0, 1, max_open=True),
        default=0.0,
        help="The share of the limit that a second client uses.",
    )
    @functools.wraps(command)
    def wrapped(
        *,
        limit_requests: int | None,
        limit_seconds: float,
        limit_kind: Kind,
        limit_burst: int | None,
        limit_headers: Headers,
        limit_retry_after: RetryAfter,
        limit_change: tuple[tuple[float, int], ...],
        limit_others: float,
        **others: Any,
    ) -> None:
        limit = limit_requests and Limit(
            requests=limit_requests,
            seconds=limit_seconds,
            kind=limit_kind,
            burst=limit_burst,
            headers=limit_headers,
            retry_after=limit_retry_after,
            changes=limit_change,
            others_share=limit_others,
        )
        command(rate_limit=limit or None, **others)

    return wrapped
