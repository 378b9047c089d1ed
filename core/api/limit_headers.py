"""What an answer's headers say about a rate limit, in the forms that are in use.

- `RateLimit-Limit`, `-Remaining`, `-Reset` (seconds), also as `X-RateLimit-…` and `X-Rate-Limit-…`, where the reset may
  be a Unix time in seconds or milliseconds;
- `RateLimit: limit=60, remaining=59, reset=30`;
- `RateLimit: "key";r=59;t=30` with `RateLimit-Policy: "key";q=60;w=60`.

What cannot be read is left out: headers only help, and refusals decide.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime

_FAMILIES = ("ratelimit-", "x-ratelimit-", "x-rate-limit-")
# Beyond these, a reset is a moment since 1970: in seconds, in milliseconds.
_EPOCH_SECONDS, _EPOCH_MILLISECONDS = 1e9, 1e12
_NUMBER = re.compile(r"\d{1,15}(\.\d{1,9})?")
_MEMBER = re.compile(r'\s*(?:"(?P<name>[^"]*)"|(?P<token>[^;,="\s]+))\s*(?P<params>(?:;[^,]*)?)')


@dataclass(frozen=True, slots=True)
class LimitHeaders:
    """A limit as an answer reports it. None: it does not say."""

    limit: int | None = None
    """Requests in each window."""
    remaining: int | None = None
    """Requests that are still allowed before the reset."""
    reset_seconds: float | None = None
    """Seconds from the answer until the limit starts anew."""
    window_seconds: float | None = None

    @property
    def requests_per_second(self) -> float | None:
        """The rate that the limit comes to, if the window's length is named."""
        return self.limit / self.window_seconds if self.limit and self.window_seconds else None


def read_limit_headers(headers: Mapping[str, str], server_time: datetime) -> LimitHeaders | None:
    """Read the headers of an answer; None if they name no limit. `server_time` is in UTC without a zone."""
    window = _window(headers.get("ratelimit-policy", "")) or _window(headers.get("ratelimit-limit", ""))
    policy = _policy_limit(headers.get("ratelimit-policy", ""))
    if combined := headers.get("ratelimit"):
        found = _combined(combined)
        limit = found.limit if found.limit is not None else policy
        return _sound(LimitHeaders(limit, found.remaining, found.reset_seconds, window))
    for family in _FAMILIES:
        quota, remaining, reset = (_number(headers.get(family + part, "")) for part in ("limit", "remaining", "reset"))
        if remaining is not None or quota is not None:
            return _sound(
                LimitHeaders(
                    policy if quota is None else int(quota),
                    None if remaining is None else int(remaining),
                    None if reset is None else _seconds_until(reset, server_time),
                    window,
                )
            )
    return None


def _sound(found: LimitHeaders) -> LimitHeaders | None:
    """Nothing, instead of a limit that says nothing. A full bucket may hold more than its rate."""
    if found.limit is not None and found.limit < 1:
        return None
    return found if found.remaining is not None or found.requests_per_second else None


def _seconds_until(reset: float, server_time: datetime) -> float:
    """The seconds until a reset that is given as seconds, or as a moment since 1970."""
    if reset < _EPOCH_SECONDS:
        return reset
    moment = reset / 1000 if reset >= _EPOCH_MILLISECONDS else reset
    return max(0.0, moment - server_time.replace(tzinfo=UTC).timestamp())


def _combined(text: str) -> LimitHeaders:
    """Read `limit=60, remaining=59, reset=30`, or the tightest of members like `"key";r=59;t=30`."""
    if re.search(r"\bremaining\s*=", text):
        values = dict(re.findall(r"(\w+)\s*=\s*(\d{1,15})", text))
        limit, remaining, reset = (values.get(name) for name in ("limit", "remaining", "reset"))
        return LimitHeaders(
            None if limit is None else int(limit),
            None if remaining is None else int(remaining),
            None if reset is None else float(reset),
        )
    members = [params for params in _parameters(text) if "r" in params]
    if not members:
        return LimitHeaders()
    # Of several limits the one counts that is met first; of those that are met, the one that lasts longest.
    tightest = min(members, key=lambda params: (params["r"], -params.get("t", 0.0)))
    return LimitHeaders(remaining=int(tightest["r"]), reset_seconds=tightest.get("t"))


def _window(text: str) -> float | None:
    """The window of a policy: of the shortest one, if there are several."""
    return min((params["w"] for params in _parameters(text) if params.get("w")), default=None)


def _policy_limit(text: str) -> int | None:
    """The limit of the policy with the shortest window: `"key";q=60;w=60`, or the older `60;w=60`."""
    found = [
        (params.get("w", math.inf), quota)
        for params in _parameters(text)
        if (quota := params.get("q", params.get(""))) is not None
    ]
    return int(min(found)[1]) if found else None


def _parameters(text: str) -> list[dict[str, float]]:
    """The numeric parameters of each member of a list; a number that a member begins with is the parameter ''."""
    members = []
    for match in _MEMBER.finditer(text[:1000]):
        params = {}
        if (value := _number(match["token"] or "")) is not None:
            params[""] = value
        for part in match["params"].split(";")[1:]:
            name, _, given = part.partition("=")
            if (value := _number(given)) is not None:
                params[name.strip()] = value
        members.append(params)
    return members


def _number(text: str) -> float | None:
    """The number that a text is, or begins with (`60, 60;w=60`)."""
    match = _NUMBER.match(text.strip())
    return float(match[0]) if match and text.strip()[match.end() :].lstrip()[:1] in ("", ",", ";") else None
