"""The settings of the extractor: which months it lands, and how it reads lists."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from core.clock import utc_now
from core.errors import ConfigurationError
from core.months import month_start, next_month
from core.settings import ApiSettings, option, read_settings_as

_MONTH = re.compile(r"20\d\d-(0[1-9]|1[0-2])")


@dataclass(frozen=True)
class Settings(ApiSettings):
    """Everything a run of the extractor depends on."""

    first_month: str = option(
        "", "First month to land. Default: the last whole month.", flag="--from", metavar="YYYY-MM"
    )
    last_month: str = option(
        "", "Last month to land, inclusive. One alone means that month.", flag="--to", metavar="YYYY-MM"
    )
    parquet: Path | None = option(  # noqa: RUF009 - a field
        None, "A folder that is to hold every load as Parquet files too, by month, for Spark. Default: none."
    )
    look_back_days: int = option(35, "Days asked for before the first month. [default: 35]", least=0, most=3660)
    look_ahead_days: int = option(
        35,
        "Days asked for after the last month, up to today, unless the API is seen not to select by end. [default: 35]",
        least=0,
        most=3660,
    )
    window_days: int = option(1, "Days in a window. [default: 1]", least=1, most=366)
    page_size: int = option(100, "Rows asked for in a page. [default: 100]", least=1, most=10_000)
    max_passes: int = option(3, "Readings of a list that does not prove complete. [default: 3]", least=1, most=20)
    allow_voids: bool = option(False, "Void however many sessions the API no longer lists.")
    void_share: float = option(
        20.0, "Per cent of covered sessions a run may void unasked. [default: 20]", least=0, most=100
    )

    def __post_init__(self) -> None:
        """Check every setting. One month alone means that month; none means the last whole one."""
        super().__post_init__()
        first, last = self.first_month, self.last_month
        if not first and not last:
            first = last = f"{utc_now().replace(day=1) - timedelta(days=1):%Y-%m}"
        first, last = first or last, last or first
        for flag, month in (("--from", first), ("--to", last)):
            if not _MONTH.fullmatch(month):
                raise ConfigurationError(f"{flag} {month[:20]!r} is not a month: write it like 2026-10")
        if first > last:
            raise ConfigurationError(f"--from {first} is after --to {last}: swap them")
        # A day of slack forgives a clock that is behind.
        if month_start(last) > utc_now() + timedelta(days=1):
            raise ConfigurationError(f"{last} has not begun: ask for a month up to {utc_now():%Y-%m}")
        object.__setattr__(self, "first_month", first)
        object.__setattr__(self, "last_month", last)

    @property
    def start(self) -> datetime:
        """Where the first month begins, in UTC."""
        return month_start(self.first_month)

    @property
    def end(self) -> datetime:
        """Where the last month ends, in UTC, exclusive."""
        return next_month(month_start(self.last_month))


def read_settings(**options: Any) -> Settings:
    """Read the settings, as `read_settings_as` does."""
    return read_settings_as(Settings, **options)
