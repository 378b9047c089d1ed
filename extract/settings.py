"""The settings of the extractor: which months it lands, and how it reads lists."""

from __future__ import annotations

import re
from datetime import datetime, timedelta
from pathlib import Path
from typing import Annotated, Any

from pydantic import Field, field_validator, model_validator

from core.clock import utc_now
from core.errors import ConfigurationError
from core.months import month_start, next_month
from core.options import Flag
from core.settings import ApiSettings, read_settings_as

_MONTH = re.compile(r"20\d\d-(0[1-9]|1[0-2])")


class Settings(ApiSettings):
    """Everything that a run of the extractor depends on."""

    first_month: Annotated[str, Flag("--from", "YYYY-MM")] = Field(
        "", description="First month to land. Default: the last whole month."
    )
    last_month: Annotated[str, Flag("--to", "YYYY-MM")] = Field(
        "", description="Last month to land, inclusive. One alone means that month."
    )
    parquet: Path | None = Field(
        None,
        description="A folder for a copy of every load as Parquet files by month, for Spark. Default: none.",
    )
    look_back_days: int = Field(35, ge=0, le=3660, description="Days asked for before the first month. [default: 35]")
    look_ahead_days: int = Field(
        35,
        ge=0,
        le=3660,
        description="Days asked for after the last month, up to today, unless the API is seen not to select by end. "
        "[default: 35]",
    )
    window_days: int = Field(
        1, ge=1, le=366, description="Days in a window. [default: 1; more on known days with few sessions]"
    )
    page_size: int = Field(100, ge=1, le=10_000, description="Rows asked for in a page. [default: 100]")
    max_passes: int = Field(3, ge=1, le=20, description="Readings of a list that does not prove complete. [default: 3]")
    quotas: Annotated[str, Flag("--quotas", "all|changed")] = Field(
        "all",
        description="Whose quota is read: that of every user ever landed, or of those for whom it matters now and of "
        "the others only every --quota-days. [default: all]",
    )
    quota_days: int = Field(
        30, ge=1, le=366, description="With --quotas changed: days after which any quota is read again. [default: 30]"
    )
    no_account: bool = Field(
        False, description="Leave out the platform's own account: balance, transactions and invoices."
    )
    allow_voids: bool = Field(False, description="Void however many sessions the API no longer lists.")
    void_share: float = Field(
        20.0, ge=0, le=100, description="Per cent of covered sessions a run may void unasked. [default: 20]"
    )

    @field_validator("quotas")
    @classmethod
    def _check_quotas(cls, given: str) -> str:
        """Refuse what is neither of the two."""
        if given not in ("all", "changed"):
            raise ConfigurationError(f"--quotas {given[:20]!r} is not known: give all or changed")
        return given

    @field_validator("parquet", mode="before")
    @classmethod
    def _check_parquet(cls, given: str | Path | None) -> Path | None:
        """Refuse what is not a folder of this machine."""
        if given is not None and (not str(given) or "://" in str(given)):
            raise ConfigurationError("--parquet is no folder of this machine: name one, or leave it out")
        return None if given is None else Path(given)

    @model_validator(mode="before")
    @classmethod
    def _complete_months(cls, given: dict[str, Any]) -> dict[str, Any]:
        """One month alone means that month; none means the last whole month."""
        first, last = str(given.get("EXTRACT_FIRST_MONTH", "")), str(given.get("EXTRACT_LAST_MONTH", ""))
        if not first and not last:
            first = last = f"{utc_now().replace(day=1) - timedelta(days=1):%Y-%m}"
        first, last = first or last, last or first
        for flag, month in (("--from", first), ("--to", last)):
            if not _MONTH.fullmatch(month):
                raise ConfigurationError(f"{flag} {month[:20]!r} is not a month: write it like 2026-10")
        if first > last:
            raise ConfigurationError(f"--from {first} is after --to {last}: swap them")
        # A day of slack allows for a clock that is behind.
        if month_start(last) > utc_now() + timedelta(days=1):
            raise ConfigurationError(f"{last} has not begun: ask for a month up to {utc_now():%Y-%m}")
        return {**given, "EXTRACT_FIRST_MONTH": first, "EXTRACT_LAST_MONTH": last}

    @property
    def has_default_windows(self) -> bool:
        """Whether the days in a window are not given."""
        return "window_days" not in self.model_fields_set

    @property
    def start(self) -> datetime:
        """The start of the first month, in UTC."""
        return month_start(self.first_month)

    @property
    def end(self) -> datetime:
        """The end of the last month, in UTC, exclusive."""
        return next_month(month_start(self.last_month))


def read_settings(**options: Any) -> Settings:
    """Read the settings, as `read_settings_as` does."""
    return read_settings_as(Settings, **options)
