"""The settings of the database file and of the API. Options come first, then the environment, then defaults.

Each setting is one field that says all there is about it. Fields with a description are options too (`core.options`).
The keys come from the environment only.
"""

from __future__ import annotations

import ipaddress
import os
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import urlsplit

from pydantic import AliasGenerator, Field, SecretStr, ValidationError, field_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from core.database.path import check_database_path
from core.errors import ConfigurationError

API_PATH = "/api/v1"
DEFAULT_BASE_URL = "https://api.miosa.ai" + API_PATH
_HASH_KEY_BYTES = 16
# Before the API has ever answered, a wrong address is likelier than a brief outage. This many tries take 4 seconds.
_FIRST_CONTACT_TRIES = 5

Kind = TypeVar("Kind", bound="FileSettings")


class FileSettings(BaseSettings):
    """What a command needs that only reads the warehouse. Raises `ConfigurationError` for values that cannot be used.

    The environment variable of a field is `EXTRACT_<NAME>`, unless the field names another.
    """

    model_config = SettingsConfigDict(
        frozen=True,
        case_sensitive=True,
        loc_by_alias=False,
        alias_generator=AliasGenerator(validation_alias=lambda name: f"EXTRACT_{name.upper()}"),
    )

    api_key: SecretStr | None = Field(None, validation_alias="MIOSA_API_KEY")
    id_hash_key: SecretStr | None = Field(None, validation_alias="MIOSA_ID_HASH_KEY")
    warehouse: Path = Field(
        Path("warehouse.duckdb"),
        validation_alias="WAREHOUSE_PATH",
        description="The DuckDB file. [env: WAREHOUSE_PATH; default: warehouse.duckdb]",
    )
    lock_seconds: float = Field(
        30.0, ge=0, le=3600, description="Seconds to wait for a file that another process holds. [default: 30]"
    )
    verbose: bool = Field(False, description="Log each request and retry.")

    @field_validator("id_hash_key")
    @classmethod
    def _check_id_hash_key(cls, key: SecretStr | None) -> SecretStr | None:
        """Pseudonyms under a short key hide nothing. Without a key, ids are stored as they are."""
        if key is None:
            return None
        text = key.get_secret_value()
        if text != text.strip():
            raise ConfigurationError(
                "MIOSA_ID_HASH_KEY begins or ends with a blank or a line break: set it to the key alone"
            )
        if len(os.fsencode(text)) < _HASH_KEY_BYTES:
            state = "is too short" if text else "is empty"
            raise ConfigurationError(
                f"MIOSA_ID_HASH_KEY {state}: set it to at least {_HASH_KEY_BYTES} bytes, or unset it to store plain ids"
            )
        return key

    @field_validator("warehouse", mode="before")
    @classmethod
    def _check_warehouse(cls, given: str | Path) -> Path:
        """Refuse paths that DuckDB or dbt would not take for this file."""
        check_database_path(Path(given))
        return Path(given)


class ApiSettings(FileSettings):
    """What a command needs that sends requests as well."""

    base_url: str = Field(
        DEFAULT_BASE_URL, validation_alias="MIOSA_BASE_URL", description="The API's address. [env: MIOSA_BASE_URL]"
    )
    threads: int = Field(
        0, ge=0, le=64, description="Requests at a time. [default: 4 to 32, more where the API takes longer]"
    )
    requests_per_minute: float = Field(
        0.0,
        ge=0,
        le=1_000_000,
        description="Most requests per minute. [default: as many as the API allows, learned from its answers]",
    )
    max_tries: int = Field(
        12, ge=1, le=1000, description="Tries per request. [default: 12; 5 while the API has never answered]"
    )
    max_seconds: float = Field(
        600.0, gt=0, le=86_400, description="Seconds per request, its retries included. [default: 600]"
    )
    request_seconds: float = Field(120.0, gt=0, le=3600, description="Seconds per try. [default: 120]")
    max_body_mib: int = Field(256, ge=1, le=4096, description="Most MiB of an answer, unpacked. [default: 256]")

    @field_validator("api_key")
    @classmethod
    def _check_api_key(cls, key: SecretStr | None) -> SecretStr:
        """Refuse a key that cannot stand in a header, before a library quotes it in an error."""
        if key is None:
            raise ConfigurationError("MIOSA_API_KEY is not set: export the key of your MIOSA account in it")
        if not key.get_secret_value():
            raise ConfigurationError("MIOSA_API_KEY is empty: set it to the key of your MIOSA account")
        check_header_key(key, "MIOSA_API_KEY")
        return key

    @field_validator("base_url")
    @classmethod
    def _complete_base_url(cls, given: str) -> str:
        """Complete the address, and refuse one over which the key would travel unencrypted or to a wrong place."""
        address = checked_address(given, "MIOSA_BASE_URL", DEFAULT_BASE_URL, key_variable="MIOSA_API_KEY")
        return address if address.endswith(API_PATH) else address + API_PATH

    @property
    def first_contact_tries(self) -> int:
        """Tries per request while the API has never answered: fewer than otherwise, unless the number was given."""
        return self.max_tries if "max_tries" in self.model_fields_set else _FIRST_CONTACT_TRIES

    @property
    def key(self) -> str:
        """The key of the API."""
        return self.api_key.get_secret_value() if self.api_key else ""


def read_settings_as(kind: type[Kind], **options: Any) -> Kind:
    """Settings from the options of a command line (None: not given), the environment and the defaults.

    Options that `kind` does not have are ignored. Raises `ConfigurationError`.
    """
    fields = kind.model_fields
    given = {
        str(fields[name].validation_alias): value
        for name, value in options.items()
        if value is not None and name in fields
    }
    try:
        return kind(**given)
    except ValidationError as error:
        first = error.errors()[0]
        flag = f"--{str(first['loc'][0]).replace('_', '-')}"
        raise ConfigurationError(f"{flag} {first['msg'][0].lower()}{first['msg'][1:]}") from error


def check_header_key(key: SecretStr, variable: str) -> None:
    """Refuse a key that cannot stand in a header. Raises `ConfigurationError`."""
    if not all("!" <= character <= "~" for character in key.get_secret_value()):
        raise ConfigurationError(
            f"{variable} holds a blank, a line break or a character outside of ASCII: set it to the key alone"
        )


def checked_address(given: str, variable: str, example: str, *, key_variable: str) -> str:
    """An API's address without a slash at its end. Raises `ConfigurationError` if the key must not travel there."""
    text = given.strip()
    try:
        parts = urlsplit(text)
        host, _ = parts.hostname, parts.port
    except ValueError as error:
        raise ConfigurationError(f"{variable} is not an address: use one like {example}") from error
    if parts.scheme not in ("http", "https") or not host:
        raise ConfigurationError(f"{variable} is not an address: use one like {example}")
    if parts.username is not None or parts.password is not None or "@" in parts.netloc:
        raise ConfigurationError(f"{variable} holds a user name or password: the key belongs into {key_variable}")
    if parts.query or parts.fragment or any(c.isspace() or not c.isprintable() for c in text):
        raise ConfigurationError(f"{variable} holds more than an address: use one like {example}")
    if parts.scheme == "http" and not is_loopback(host):
        raise ConfigurationError(
            f"{variable} sends the key to {host} unencrypted: use https:// (http:// only serves this machine)"
        )
    return f"{parts.scheme}://{parts.netloc}{parts.path.rstrip('/')}"


def is_loopback(host: str) -> bool:
    """Whether a host is this machine."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
