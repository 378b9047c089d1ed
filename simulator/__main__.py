"""Command line: serve a made-up tenant on loopback until interrupted (`python -m simulator`)."""

from __future__ import annotations

import sys
from datetime import datetime
from typing import Any, get_args

import click

from simulator import app
from simulator.generate import generate_tenant
from simulator.limit_options import limit_options
from simulator.limiter import Limit
from simulator.metering import Attribution
from simulator.quotas import QuotaDeleted, QuotaPlace, QuotaShape, QuotaWrites
from simulator.rows import read_time, to_iso
from simulator.server import Uvicorn, base_url, bind, configure
from simulator.tenant import Window
from simulator.usage_reports import (
    UsageCustom,
    UsageGroups,
    UsageLines,
    UsageParameters,
    UsagePeriod,
    UsagePeriodText,
    UsageShape,
)


def _time(text: str) -> datetime:
    """Read an ISO 8601 date and time; without a zone, UTC."""
    instant = read_time(text)
    if instant is None:
        raise click.BadParameter(f"{text!r} is no date and time like 2026-11-03T09:00:00Z")
    return datetime.fromisoformat(to_iso(instant))


def _choice(kind: Any) -> click.Choice[str]:
    return click.Choice(get_args(kind))


_DEFAULTS = app.Options()


@click.command(context_settings={"show_default": True})
@click.option("--port", type=click.IntRange(0, 65535), default=0, help="Port on 127.0.0.1; 0 takes a free one.")
@click.option("--seed", type=int, default=1, help="Seed of the made-up data.")
@click.option("--users", type=click.IntRange(1), default=25, help="Number of users.")
@click.option("--months", type=click.IntRange(1), default=3, help="Number of months with sessions.")
@click.option("--sessions", type=click.IntRange(0), default=2_000, help="Number of ordinary sessions.")
@click.option("--last-month", default="2026-10", metavar="YYYY-MM", help="The last of these months.")
@click.option("--edge-cases/--no-edge-cases", default=True, help="Whether the odd rows are there as well.")
@click.option(
    "--now", type=_time, default=None, metavar="TIME", help="The tenant's clock (default: the third day after, 09:00)."
)
@click.option("--api-key", default=_DEFAULTS.api_key, help="The key to let in.")
@click.option("--envelope", type=_choice(app.Envelope), default=_DEFAULTS.envelope, help="How lists page.")
@click.option("--cursor-type", type=_choice(app.CursorType), default=_DEFAULTS.cursor_type, help="Kind of cursor.")
@click.option("--rows-key", type=_choice(app.RowsKey), default=_DEFAULTS.rows_key, help="Where a list's rows stand.")
@click.option("--cost-field", type=_choice(app.CostField), default=_DEFAULTS.cost_field, help="Name of the cost.")
@click.option("--max-page-size", type=click.IntRange(1), default=_DEFAULTS.max_page_size, help="Most rows in a page.")
@click.option("--window", type=_choice(Window), default=_DEFAULTS.window, help="What since and until select by.")
@click.option(
    "--vendor-attribution",
    type=_choice(Attribution),
    default=_DEFAULTS.vendor_attribution,
    help="How rollup and summary count a session that crosses the period's end.",
)
@click.option(
    "--usage-shape", type=_choice(UsageShape), default=_DEFAULTS.usage_shape, help="Shape of the usage report."
)
@click.option(
    "--usage-parameters",
    type=_choice(UsageParameters),
    default=_DEFAULTS.usage_parameters,
    help="Whether the usage report refuses parameters that its shape does not document.",
)
@click.option("--usage-groups", type=_choice(UsageGroups), default=_DEFAULTS.usage_groups, help="Values of groupBy.")
@click.option(
    "--usage-custom", type=_choice(UsageCustom), default=_DEFAULTS.usage_custom, help="What period=custom does."
)
@click.option(
    "--usage-period", type=_choice(UsagePeriod), default=_DEFAULTS.usage_period, help="Period of the usage report."
)
@click.option(
    "--usage-period-text",
    type=_choice(UsagePeriodText),
    default=_DEFAULTS.usage_period_text,
    help="How the usage report writes its period.",
)
@click.option(
    "--usage-lines", type=_choice(UsageLines), default=_DEFAULTS.usage_lines, help="Whether a line is lost or doubled."
)
@click.option("--rollup-wrapped/--rollup-bare", default=False, help="Whether rollup and summary stand inside data.")
@click.option(
    "--rollup-rounding", type=_choice(app.Rounding), default=None, help="Round the rollup's credits (default: exact)."
)
@click.option("--quota-shape", type=_choice(QuotaShape), default=_DEFAULTS.quota_shape, help="Shape of quotas.")
@click.option("--quota-place", type=_choice(QuotaPlace), default=_DEFAULTS.quota_place, help="Where a quota stands.")
@click.option("--quota-writes", type=_choice(QuotaWrites), default=_DEFAULTS.quota_writes, help="What a PUT clears.")
@click.option("--quota-deleted", type=_choice(QuotaDeleted), default=_DEFAULTS.quota_deleted, help="Answer to DELETE.")
@click.option("--shuffle-seed", type=int, default=None, help="Permute the rows of lists by this seed.")
@click.option("--shuffle-keys", is_flag=True, help="Permute the keys of made-up rows in each request.")
@click.option("--latency-ms", type=click.IntRange(0), default=0, help="Hold every answer back this long.")
@limit_options
def main(
    port: int,
    seed: int,
    users: int,
    months: int,
    sessions: int,
    last_month: str,
    edge_cases: bool,
    now: datetime | None,
    rate_limit: Limit | None,
    **options: Any,
) -> None:
    """Serve a simulated MIOSA tenant over HTTP on loopback, and print the API's base URL once it answers.

    Ends with Ctrl-C or SIGTERM.
    """
    try:
        tenant = generate_tenant(seed, users, months, sessions, last_month, edge_cases, now)
    except ValueError as error:
        raise click.UsageError(str(error)) from None
    try:
        listener = bind(port)
    except OSError as error:
        raise click.ClickException(f"cannot listen on port {port}: {error.strerror}") from None
    served = app.create_app(tenant, app.Options(**options, rate_limit=rate_limit))
    server = Uvicorn(configure(served), on_ready=lambda: click.echo(base_url(listener)))
    # Uvicorn stops in good order, then raises the signal again: SIGTERM ends the process, Ctrl-C is said quietly.
    try:
        server.run(sockets=[listener])
    except KeyboardInterrupt:
        sys.exit(130)


if __name__ == "__main__":
    main(prog_name="python -m simulator")
