"""What the extractor is told: options, else the environment, else the defaults; the key by the environment only."""

from __future__ import annotations

import ipaddress
import os
import re
from datetime import datetime, timedelta
from pathlib import Path
from typing import Annotated, Any, TypeVar
from urllib.parse import urlsplit

from pydantic import Field, SecretStr, ValidationError, field_validator, model_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from extract.clock import utc_now
from extract.errors import ConfigurationError

API_PATH = "/api/v1"
DEFAULT_BASE_URL = "https://api.miosa.ai" + API_PATH
_HASH_KEY_BYTES = 16
_MONTH = re.compile(r"20\d\d-(0[1-9]|1[0-2])")
# DuckDB names a database after its file; a schema of the same name makes every `schema.table` ambiguous.
_SCHEMAS = frozenset({"raw", "staging", "intermediate", "marts", "ledger", "main", "temp", "system"})


class FileSettings(BaseSettings):
    """What a command needs that only reads the warehouse. Fields without a name of their own: `EXTRACT_<FIELD>`."""

    model_config = SettingsConfigDict(env_prefix="EXTRACT_", extra="ignore", frozen=True, hide_input_in_errors=True)

    api_key: SecretStr | None = Field(None, validation_alias="MIOSA_API_KEY")
    id_hash_key: SecretStr | None = Field(None, validation_alias="MIOSA_ID_HASH_KEY")
    warehouse: Path = Field(Path("warehouse.duckdb"), validation_alias="WAREHOUSE_PATH")
    lock_seconds: Annotated[float, Field(ge=0, le=3600)] = 30
    verbose: bool = False

    @field_validator("id_hash_key")
    @classmethod
    def _check_id_hash_key(cls, key: SecretStr | None) -> SecretStr | None:
        """Pseudonyms under a key that is short hide nothing. Without a key, ids are stored as they are."""
        if key is None:
            return None
        text = key.get_secret_value()
        if text != text.strip():
            raise ValueError("begins or ends with a blank or a line break: set it to the key alone")
        if len(os.fsencode(text)) < _HASH_KEY_BYTES:
            state = "is too short" if text else "is empty"
            raise ValueError(f"{state}: set it to at least {_HASH_KEY_BYTES} bytes, or unset it to store plain ids")
        return key

    @field_validator("warehouse")
    @classmethod
    def _check_warehouse(cls, path: Path) -> Path:
        """Refuse a file that DuckDB would name like one of the warehouse's schemas."""
        if path.stem.lower() in _SCHEMAS:
            raise ValueError(f"is named like the schema {path.stem!r} inside of it: choose another file name")
        return path


class ApiSettings(FileSettings):
    """What a command needs that sends requests as well."""

    api_key: SecretStr = Field(validation_alias="MIOSA_API_KEY")
    base_url: str = Field(DEFAULT_BASE_URL, validation_alias="MIOSA_BASE_URL")
    threads: Annotated[int, Field(ge=0, le=64)] = 0
    max_tries: Annotated[int, Field(ge=1, le=1000)] = 12
    max_seconds: Annotated[float, Field(gt=0, le=86_400)] = 600
    request_seconds: Annotated[float, Field(gt=0, le=3600)] = 120
    max_body_mib: Annotated[int, Field(ge=1, le=4096)] = 256

    @field_validator("api_key")
    @classmethod
    def _check_key(cls, key: SecretStr) -> SecretStr:
        """A key that cannot stand in a header is refused here, before a library quotes it in an error."""
        text = key.get_secret_value()
        if not text:
            raise ValueError("is empty: set it to the key of your MIOSA account")
        if not all("!" <= character <= "~" for character in text):
            raise ValueError("holds a blank, a line break or a character outside of ASCII: set it to the key alone")
        return key

    @field_validator("base_url")
    @classmethod
    def _check_base_url(cls, given: str) -> str:
        """Complete the address, and refuse one over which the key would travel in the clear or to a wrong place."""
        text = given.strip()
        try:
            parts = urlsplit(text)
            host, _ = parts.hostname, parts.port
        except ValueError as error:
            raise ValueError("is not an address: use one like " + DEFAULT_BASE_URL) from error
        if parts.scheme not in ("http", "https") or not host:
            raise ValueError("is not an address: use one like " + DEFAULT_BASE_URL)
        if parts.username is not None or parts.password is not None or "@" in parts.netloc:
            raise ValueError("holds a user name or password: the key belongs into MIOSA_API_KEY")
        if parts.query or parts.fragment or any(c.isspace() or not c.isprintable() for c in text):
            raise ValueError("holds more than an address: use one like " + DEFAULT_BASE_URL)
        if parts.scheme == "http" and not is_loopback(host):
            raise ValueError(f"sends the key to {host} unencrypted: use https:// (http:// only serves this machine)")
        path = parts.path.rstrip("/")
        return f"{parts.scheme}://{parts.netloc}{path if path.endswith(API_PATH) else path + API_PATH}"


class Settings(ApiSettings):
    """Everything a run of the extractor depends on."""

    first_month: str = ""
    last_month: str = ""
    look_back_days: Annotated[int, Field(ge=0, le=3660)] = 35
    look_ahead_days: Annotated[int, Field(ge=0, le=3660)] = 35
    window_days: Annotated[int, Field(ge=1, le=366)] = 1
    page_size: Annotated[int, Field(ge=1, le=10_000)] = 100
    max_passes: Annotated[int, Field(ge=1, le=20)] = 3
    allow_voids: bool = False
    void_share: Annotated[float, Field(ge=0, le=100)] = 20

    @field_validator("first_month", "last_month")
    @classmethod
    def _check_month(cls, month: str) -> str:
        """A month is written as billing periods are."""
        if month and not _MONTH.fullmatch(month):
            raise ValueError(f"{month[:20]!r} is not a month: write it like 2026-10")
        return month

    @model_validator(mode="before")
    @classmethod
    def _default_months(cls, values: Any) -> Any:
        """One month alone means that month; none means the last whole one."""
        first, last = values.get("first_month") or "", values.get("last_month") or ""
        if not first and not last:
            first = last = f"{utc_now().replace(day=1) - timedelta(days=1):%Y-%m}"
        return {**values, "first_month": first or last, "last_month": last or first}

    @model_validator(mode="after")
    def _check_order(self) -> Settings:
        """Months are in order, and have begun; a day of slack forgives a clock that is behind."""
        if self.first_month > self.last_month:
            raise ValueError(f"--from {self.first_month} is after --to {self.last_month}: swap them")
        if month_start(self.last_month) > utc_now() + timedelta(days=1):
            raise ValueError(f"{self.last_month} has not begun: ask for a month up to {utc_now():%Y-%m}")
        return self

    @property
    def start(self) -> datetime:
        """Where the first month begins, in UTC."""
        return month_start(self.first_month)

    @property
    def end(self) -> datetime:
        """Where the last month ends, in UTC, exclusive."""
        return next_month(month_start(self.last_month))


Kind = TypeVar("Kind", bound=FileSettings)

# Settings with a name of their own in the environment go by it alone: a stray BASE_URL must not get the key.
_ENVIRONMENT = {"base_url": "MIOSA_BASE_URL", "warehouse": "WAREHOUSE_PATH"}
_SHOWN = {"first_month": "--from", "last_month": "--to"}


def read_settings(**options: Any) -> Settings:
    """Read the extractor's settings, as `read_settings_as`."""
    return read_settings_as(Settings, **options)


def read_settings_as(kind: type[Kind], **options: Any) -> Kind:
    """Read settings; options given as None are taken from the environment. Raises `ConfigurationError`."""
    given = {_ENVIRONMENT.get(name, name): value for name, value in options.items() if value is not None}
    try:
        return kind(**given)
    except ValidationError as error:
        first = error.errors(include_url=False, include_context=False, include_input=False)[0]
        name = str(first["loc"][0]) if first["loc"] else ""
        shown = _SHOWN.get(name) or (f"--{name.replace('_', '-')}" if name.islower() else name)
        if first["type"] == "missing":
            raise ConfigurationError(f"{shown} is not set: export the key of your MIOSA account in it") from None
        said = str(first["msg"]).removeprefix("Value error, ")
        raise ConfigurationError(f"{shown} {said[:1].lower() + said[1:]}".strip() if shown else said) from None


def is_loopback(host: str) -> bool:
    """Whether a host is this machine."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def month_start(month: str) -> datetime:
    """The first instant of a month named `YYYY-MM`, in UTC without a zone.

    >>> month_start("2026-10")
    datetime.datetime(2026, 10, 1, 0, 0)
    """
    return datetime(int(month[:4]), int(month[5:]), 1)


def next_month(start: datetime) -> datetime:
    """The first instant of the month after.

    >>> next_month(datetime(2026, 12, 1))
    datetime.datetime(2027, 1, 1, 0, 0)
    """
    return datetime(start.year + start.month // 12, start.month % 12 + 1, 1)
