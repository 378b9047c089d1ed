"""A request to the API, and its answer."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from core.api.bodies import is_html

Params = Mapping[str, str | Sequence[str]]
"""The parameters of a query; one with several values is sent once for each."""


@dataclass(frozen=True, slots=True)
class ApiRequest:
    """A request, the same for all of its tries."""

    method: str
    path: str
    """Sent as it is, so ids in it must be percent-encoded."""
    accepted: frozenset[int]
    """The statuses of an answer to this request; any other status is an error."""
    label: str
    """The address as messages show it."""
    params: Params = field(default_factory=dict)
    body: bytes | None = None
    idempotency_key: str | None = None


@dataclass(frozen=True, slots=True)
class Answer:
    """An answer whose body was read to its end."""

    status: int
    body: bytes
    headers: Mapping[str, str]

    @property
    def is_web_page(self) -> bool:
        """Whether the body is a web page, or calls itself one."""
        return is_html(self.body, self.headers.get("content-type", ""))
