"""A Superset of its own: a folder for what it knows, a random key, a server on a free port of this machine."""

from __future__ import annotations

import os
import secrets
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx

from pipeline import ROOT

BIN = ROOT / ".venv-superset" / "bin"
USER = "admin"
PATIENCE = 1200
"""Seconds: on a machine with other work, the migration of the metadata takes minutes."""

CONFIG = """
# A cache that would keep the figures of the copy before: the database of the dashboard turns it off for itself.
DATA_CACHE_CONFIG = {"CACHE_TYPE": "SimpleCache", "CACHE_DEFAULT_TIMEOUT": 86400}
"""


@contextmanager
def running(folder: Path) -> Iterator[tuple[str, str]]:
    """Superset's address and the password of `USER`, while it runs."""
    password = secrets.token_urlsafe(16)
    (config := folder / "superset_config.py").write_text(CONFIG, "utf-8")
    environment = {
        "PATH": f"{BIN}:/usr/bin:/bin",
        "HOME": str(folder),
        "SUPERSET_HOME": str(folder),
        "SUPERSET_CONFIG_PATH": str(config),
        "SUPERSET_SECRET_KEY": secrets.token_urlsafe(42),
    }
    with (folder / "superset.log").open("w", encoding="utf-8") as log:

        def superset(*arguments: str) -> None:
            command: list[str | Path] = [BIN / "superset", *arguments]
            subprocess.run(command, env=environment, cwd=folder, stdout=log, stderr=log, check=True, timeout=PATIENCE)

        superset("db", "upgrade")
        names = ("--username", USER, "--firstname", "Ad", "--lastname", "Min", "--email", "admin@example.com")
        superset("fab", "create-admin", *names, "--password", password)
        superset("init")
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
        address = f"http://127.0.0.1:{port}"
        server = subprocess.Popen(
            [
                *(BIN / "gunicorn", "--bind", f"127.0.0.1:{port}", "--worker-class", "gthread", "--threads", "8"),
                *("--timeout", str(PATIENCE), "superset.app:create_app()"),
            ],
            env=environment,
            cwd=folder,
            stdout=log,
            stderr=log,
        )
        try:
            wait_for(address, server)
            yield address, password
        finally:
            server.terminate()
            server.wait(timeout=60)


def wait_for(address: str, server: subprocess.Popen[bytes]) -> None:
    """Wait until the server answers."""
    for _ in range(PATIENCE):
        assert server.poll() is None, "Superset ended: see superset.log"
        try:
            if httpx.get(f"{address}/health", timeout=5).text == "OK":
                return
        except httpx.HTTPError:
            pass
        time.sleep(1)
    raise TimeoutError(address)


def register(address: str, copy: Path, password: str, *, path: str = "") -> subprocess.CompletedProcess[str]:
    """Run the script, as a user would."""
    environment = {**os.environ, "SUPERSET_USER": USER, "SUPERSET_PASSWORD": password}
    elsewhere = ["--path", path] if path else []
    return subprocess.run(
        [
            ROOT / ".venv" / "bin" / "python",
            "-m",
            "tools.superset",
            "--superset",
            address,
            "--copy",
            str(copy),
            *elsewhere,
        ],
        cwd=ROOT,
        env=environment,
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=False,
    )
