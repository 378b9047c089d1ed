"""The settings of commands that write files for readers."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Annotated

from pydantic import Field, field_validator

from core.errors import ConfigurationError
from core.options import Flag
from core.settings import FileSettings

_MONTH = re.compile(r"[0-9]{4}-(0[1-9]|1[0-2])")


def checked_month(given: str) -> str:
    """The month of `--period`. Raises `ConfigurationError` for anything else."""
    if not given:
        raise ConfigurationError("--period is missing: name the month, like --period 2026-10")
    if not _MONTH.fullmatch(given):
        raise ConfigurationError(f"--period {given[:20]!r} is not a month: write it like 2026-10")
    return given


class PublishSettings(FileSettings):
    """What a command needs that writes files."""

    to: Path = Field(
        Path("published"),
        validation_alias="PUBLISH_PATH",
        description="The folder to write to. [env: PUBLISH_PATH; default: published]",
    )

    @field_validator("to", mode="before")
    @classmethod
    def _check_folder(cls, given: str | Path) -> Path:
        """Refuse what is not a folder of this machine."""
        if not str(given) or "://" in str(given) or "\0" in str(given):
            raise ConfigurationError("--to is no folder of this machine: name one, or leave it out")
        return Path(given)


class PeriodSettings(PublishSettings):
    """What a command needs that writes files about one billing period."""

    period: Annotated[str, Flag("--period", "YYYY-MM")] = Field(
        "", description="The billing period. Required.", validate_default=True
    )

    @field_validator("period")
    @classmethod
    def _check_period(cls, given: str) -> str:
        """Refuse what is no month."""
        return checked_month(given)
