"""Superset's REST API, as far as the registration needs it."""

from __future__ import annotations

import json
from types import TracebackType
from typing import Any, Self

import httpx


class SupersetError(Exception):
    """What went wrong at Superset, in one line that holds no password."""


class Superset:
    """A session at a Superset, logged in. Use it as a context manager."""

    def __init__(self, address: str, user: str, password: str, transport: httpx.BaseTransport | None = None) -> None:
        """Log in. Raises `SupersetError`."""
        self._password = password
        # An import is one request, which a busy server answers after minutes.
        self._http = httpx.Client(base_url=address, timeout=600, transport=transport, headers={"Referer": address})
        try:
            login = {"username": user, "password": password, "provider": "db"}
            token = self.ask("POST", "/api/v1/security/login", json=login)["access_token"]
            self._http.headers["Authorization"] = f"Bearer {token}"
            self._http.headers["X-CSRFToken"] = self.ask("GET", "/api/v1/security/csrf_token/")["result"]
        except BaseException:
            self._http.close()
            raise

    def __enter__(self) -> Self:
        """The session."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        """Close its connections."""
        self._http.close()

    def ask(self, method: str, path: str, **options: Any) -> dict[str, Any]:
        """The JSON object that a request is answered with. Raises `SupersetError`."""
        try:
            answer = self._http.request(method, path, **options)
        except httpx.HTTPError as error:
            raise SupersetError(self._line(f"no answer from {self._http.base_url}: {error}")) from None
        try:
            content = answer.json()
        except ValueError:
            content = None
        if answer.status_code == httpx.codes.UNAUTHORIZED:
            raise SupersetError("Superset refuses the login: check SUPERSET_USER and SUPERSET_PASSWORD")
        if answer.is_success and isinstance(content, dict):
            return content
        words = _words(content) if isinstance(content, dict) else "an answer that is not JSON"
        raise SupersetError(self._line(f"{method} {path} ended with status {answer.status_code}: {words}"))

    def _line(self, words: str) -> str:
        """The words in one line, without the password."""
        return " ".join(words.replace(self._password, "***").split())


def _words(content: dict[str, Any]) -> str:
    """What an answer says about an error: Superset has two forms of it."""
    if errors := content.get("errors"):
        return "; ".join(str(error.get("message")) + _causes(error) for error in errors)
    message = content.get("message", "no message")
    return message if isinstance(message, str) else json.dumps(message)


def _causes(error: dict[str, Any]) -> str:
    """What an import says file by file."""
    extra = error.get("extra") or {}
    causes = {key: value for key, value in extra.items() if "/" in key or key == "metadata.yaml"}
    return f" {json.dumps(causes)}" if causes else ""
