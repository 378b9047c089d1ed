"""What the extractor is told: options, else the environment, else the defaults; the keys by the environment only.

Each setting is one field, which says all there is about it: `options_of` makes an option of a command line of it, which
reads the field's environment variable too.
"""

from __future__ import annotations

import ipaddress
import math
import os
from collections.abc import Callable
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any, NamedTuple, TypeVar
from urllib.parse import urlsplit

import click

from core.database.path import check_database_path
from core.errors import ConfigurationError

API_PATH = "/api/v1"
DEFAULT_BASE_URL = "https://api.miosa.ai" + API_PATH
_HASH_KEY_BYTES = 16
# Before the API has ever answered, a wrong address is likelier than a bad minute: these take some 4 seconds.
_FIRST_CONTACT_TRIES = 5

Kind = TypeVar("Kind", bound="FileSettings")
Command = TypeVar("Command", bound=Callable[..., Any])


class Secret:
    """A text that shows itself only when asked to."""

    __slots__ = ("_text",)

    def __init__(self, text: str) -> None:
        """Keep the text."""
        self._text = text

    def reveal(self) -> str:
        """The text."""
        return self._text

    def __repr__(self) -> str:
        return "Secret('***')"


class _Spec(NamedTuple):
    """What a field says of the option it is on a command line."""

    help: str
    flag: str = ""
    """`--its-name` where there is none."""
    environment: str = ""
    """`EXTRACT_ITS_NAME` where there is none."""
    metavar: str | None = None
    # What a number has to be within.
    least: float = -math.inf
    above: float = -math.inf
    most: float = math.inf


def option(default: Any, help: str, **more: Any) -> Any:  # noqa: A002 - what click calls it
    """A setting that the command line and the environment may give, as `_Spec` tells."""
    return field(default=default, metadata={_Spec: _Spec(help, **more)})


@dataclass(frozen=True)
class FileSettings:
    """What a command needs that only reads the warehouse. Raises `ConfigurationError` for what cannot be."""

    api_key: Secret | None
    id_hash_key: Secret | None
    warehouse: Path = option(  # noqa: RUF009 - a field
        Path("warehouse.duckdb"),
        "The DuckDB file. [env: WAREHOUSE_PATH; default: warehouse.duckdb]",
        environment="WAREHOUSE_PATH",
    )
    lock_seconds: float = option(
        30.0, "Seconds to wait for a file that another process holds. [default: 30]", least=0, most=3600
    )
    verbose: bool = option(False, "Tell of each request and retry.")
    given: frozenset[str] = frozenset()
    """The settings that were not left to their defaults."""

    def __post_init__(self) -> None:
        """Check every setting."""
        self._check_id_hash_key()
        for name, spec in _specs(type(self)).items():
            if isinstance(value := getattr(self, name), int | float):
                _check_number(spec, name, value)
        check_database_path(self.warehouse)

    def _check_id_hash_key(self) -> None:
        """Pseudonyms under a key that is short hide nothing. Without a key, ids are stored as they are."""
        if self.id_hash_key is None:
            return
        text = self.id_hash_key.reveal()
        if text != text.strip():
            raise ConfigurationError(
                "MIOSA_ID_HASH_KEY begins or ends with a blank or a line break: set it to the key alone"
            )
        if len(os.fsencode(text)) < _HASH_KEY_BYTES:
            state = "is too short" if text else "is empty"
            raise ConfigurationError(
                f"MIOSA_ID_HASH_KEY {state}: set it to at least {_HASH_KEY_BYTES} bytes, or unset it to store plain ids"
            )


@dataclass(frozen=True)
class ApiSettings(FileSettings):
    """What a command needs that sends requests as well."""

    base_url: str = option(DEFAULT_BASE_URL, "The API's address. [env: MIOSA_BASE_URL]", environment="MIOSA_BASE_URL")
    threads: int = option(
        0, "Requests at a time. [default: 4 to 32, more where the API takes longer]", least=0, most=64
    )
    max_tries: int = option(
        12, "Tries a request. [default: 12; 5 while the API has never answered]", least=1, most=1000
    )
    max_seconds: float = option(600.0, "Seconds a request, its retries included. [default: 600]", above=0, most=86_400)
    request_seconds: float = option(120.0, "Seconds a single try. [default: 120]", above=0, most=3600)
    max_body_mib: int = option(256, "Most MiB of an answer, unpacked. [default: 256]", least=1, most=4096)

    def __post_init__(self) -> None:
        """Check every setting, and complete the address."""
        _check_key(self.key)
        super().__post_init__()
        object.__setattr__(self, "base_url", _checked_base_url(self.base_url))

    @property
    def first_contact_tries(self) -> int:
        """Tries of a request for as long as the API has never answered, should there be fewer than else."""
        return self.max_tries if "max_tries" in self.given else _FIRST_CONTACT_TRIES

    @property
    def key(self) -> str:
        """The key of the API."""
        if self.api_key is None:
            raise ConfigurationError("MIOSA_API_KEY is not set: export the key of your MIOSA account in it")
        return self.api_key.reveal()


def _specs(kind: type[FileSettings]) -> dict[str, _Spec]:
    """The settings that a command line may give, a kind's own before those it inherits."""
    specs = {each.name: each.metadata[_Spec] for each in fields(kind) if each.metadata}
    return {
        name: specs[name] for owner in kind.__mro__ for name in vars(owner).get("__annotations__", ()) if name in specs
    }


def options_of(kind: type[FileSettings], **helps: str) -> Callable[[Command], Command]:
    """The options of a command that is told these settings, some with a help of the command's own."""

    def decorate(command: Command) -> Command:
        for name, spec in reversed(_specs(kind).items()):
            default = getattr(kind, name)
            command = click.option(
                spec.flag or f"--{name.replace('_', '-')}",
                name,
                cls=_Option,
                # What may be left out altogether is a path as well.
                type=click.Path() if isinstance(default, Path | None) else type(default),
                is_flag=isinstance(default, bool),
                default=None,
                envvar=spec.environment or f"EXTRACT_{name.upper()}",
                metavar=spec.metavar,
                help=helps.get(name, spec.help),
            )(command)
        return command

    return decorate


class _Option(click.Option):
    """An option for which an environment variable that is empty is a mistake to be told of, not none."""

    def resolve_envvar_value(self, ctx: click.Context) -> str | None:
        """What the environment says."""
        return os.environ.get(str(self.envvar))


def read_settings_as(kind: type[Kind], **options: Any) -> Kind:
    """Settings of what a command line gave, with the keys of the environment. None stands for the default.

    Options of other kinds are left out. Raises `ConfigurationError`.
    """
    names = {each.name for each in fields(kind)}
    given = {name: value for name, value in options.items() if value is not None and name in names}
    if not given.get("parquet", True) or "://" in str(given.get("parquet")):
        raise ConfigurationError("--parquet is no folder of this machine: name one, or leave it out")
    given.update({name: Path(given[name]) for name in ("warehouse", "parquet") if name in given})
    return kind(
        api_key=_secret("MIOSA_API_KEY"), id_hash_key=_secret("MIOSA_ID_HASH_KEY"), given=frozenset(given), **given
    )


def _secret(name: str) -> Secret | None:
    """A secret of the environment; None where it is not set."""
    text = os.environ.get(name)
    return None if text is None else Secret(text)


def _check_number(spec: _Spec, name: str, value: float) -> None:
    """Refuse a number out of its range, and what is none."""
    wanted = ""
    if spec.above > -math.inf and not value > spec.above:
        wanted = f"greater than {spec.above:g}"
    elif not value >= spec.least:
        wanted = f"greater than or equal to {spec.least:g}"
    elif not value <= spec.most:
        wanted = f"less than or equal to {spec.most:g}"
    if wanted:
        raise ConfigurationError(f"--{name.replace('_', '-')} input should be {wanted}")


def _check_key(key: str) -> None:
    """A key that cannot stand in a header is refused here, before a library quotes it in an error."""
    if not key:
        raise ConfigurationError("MIOSA_API_KEY is empty: set it to the key of your MIOSA account")
    if not all("!" <= character <= "~" for character in key):
        raise ConfigurationError(
            "MIOSA_API_KEY holds a blank, a line break or a character outside of ASCII: set it to the key alone"
        )


def _checked_base_url(given: str) -> str:
    """Complete the address, and refuse one over which the key would travel in the clear or to a wrong place."""
    text = given.strip()
    try:
        parts = urlsplit(text)
        host, _ = parts.hostname, parts.port
    except ValueError as error:
        raise ConfigurationError("MIOSA_BASE_URL is not an address: use one like " + DEFAULT_BASE_URL) from error
    if parts.scheme not in ("http", "https") or not host:
        raise ConfigurationError("MIOSA_BASE_URL is not an address: use one like " + DEFAULT_BASE_URL)
    if parts.username is not None or parts.password is not None or "@" in parts.netloc:
        raise ConfigurationError("MIOSA_BASE_URL holds a user name or password: the key belongs into MIOSA_API_KEY")
    if parts.query or parts.fragment or any(c.isspace() or not c.isprintable() for c in text):
        raise ConfigurationError("MIOSA_BASE_URL holds more than an address: use one like " + DEFAULT_BASE_URL)
    if parts.scheme == "http" and not is_loopback(host):
        raise ConfigurationError(
            f"MIOSA_BASE_URL sends the key to {host} unencrypted: use https:// (http:// only serves this machine)"
        )
    path = parts.path.rstrip("/")
    return f"{parts.scheme}://{parts.netloc}{path if path.endswith(API_PATH) else path + API_PATH}"


def is_loopback(host: str) -> bool:
    """Whether a host is this machine."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
