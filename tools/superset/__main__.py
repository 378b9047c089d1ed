"""`python -m tools.superset`: the database, data sets and dashboard, made or brought up to date."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from urllib.parse import urlsplit

import click
import duckdb

from tools.superset import assets
from tools.superset.api import Superset, SupersetError
from tools.superset.charts import MARTS, columns_of
from tools.superset.copy import Column, columns

ROOT = Path(__file__).resolve().parents[2]


@click.command()
@click.option(
    "--superset",
    "address",
    envvar="SUPERSET_URL",
    default="http://127.0.0.1:8088",
    show_default=True,
    help="Where Superset answers (SUPERSET_URL).",
)
@click.option(
    "--copy",
    type=click.Path(path_type=Path),
    default=ROOT / "published" / "marts.duckdb",
    show_default="published/marts.duckdb",
    help="The published copy, whose columns the data sets get.",
)
@click.option("--path", help="Full path of the copy on Superset's machine. Default: that of --copy.")
def main(address: str, copy: Path, path: str | None) -> None:
    """Register the published marts and the dashboard. SUPERSET_USER and SUPERSET_PASSWORD name an admin."""
    try:
        user, password = (_variable(name) for name in ("SUPERSET_USER", "SUPERSET_PASSWORD"))
        found = _checked_columns(copy)
        # The link, not the file that it names today: the next publish turns the link.
        uri = _uri(path or str(copy.absolute()))
        with Superset(checked_address(address), user, password) as superset:
            register(superset, uri, found)
    except SupersetError as error:
        click.echo(f"superset: {error}", err=True)
        sys.exit(1)
    click.echo(f"{len(MARTS)} data sets and the dashboard: {address.rstrip('/')}/superset/dashboard/{assets.SLUG}/")


def register(superset: Superset, uri: str, found: Mapping[str, Sequence[Column]]) -> None:
    """Make the objects with these columns, or overwrite those of an earlier run. Raises `SupersetError`."""
    # Before anything is overwritten: can Superset open the copy?
    extra = json.dumps(assets.EXTRA)
    connection = {"database_name": assets.DATABASE_NAME, "sqlalchemy_uri": uri, "extra": extra}
    superset.ask("POST", "/api/v1/database/test_connection/", json=connection)
    # All or nothing: Superset imports a bundle in one transaction.
    bundle = ("assets.zip", assets.bundle(uri, found), "application/zip")
    superset.ask("POST", "/api/v1/assets/import/", files={"bundle": bundle})


def _checked_columns(copy: Path) -> dict[str, list[Column]]:
    """The columns of the copy, which has all that the charts read. Raises `SupersetError`."""
    try:
        found = columns(copy)
    except duckdb.Error as error:
        reason = str(error).splitlines()[0]
        raise SupersetError(f"{copy} is no published copy that can be read; run `publish marts`: {reason}") from None
    for mart in MARTS:
        if missing := columns_of(mart) - {column.name for column in found.get(mart, [])}:
            names = ", ".join(sorted(missing))
            raise SupersetError(f"marts.{mart} has no column {names}: build and publish with this version")
    return found


def _variable(name: str) -> str:
    """An environment variable. Raises `SupersetError` if it is not set."""
    if not (value := os.environ.get(name)):
        raise SupersetError(f"{name} is not set: export the login of a Superset admin")
    return value


def checked_address(address: str) -> str:
    """The address, if a password may go there. Raises `SupersetError`."""
    parts = urlsplit(address)
    if parts.scheme not in ("http", "https") or not parts.hostname or parts.username or parts.password:
        raise SupersetError("--superset is no address: give http://host:port without a login")
    if parts.scheme == "http" and parts.hostname not in ("127.0.0.1", "::1", "localhost"):
        raise SupersetError(f"the password would go unencrypted to {parts.hostname}: use https://")
    return address


def _uri(path: str) -> str:
    """SQLAlchemy's address of the copy. Raises `SupersetError`."""
    if not path.startswith("/") or "?" in path:
        raise SupersetError(f"{path} is no full path without a question mark: change --path")
    return f"duckdb:///{path}"


if __name__ == "__main__":
    main(prog_name="python -m tools.superset")
