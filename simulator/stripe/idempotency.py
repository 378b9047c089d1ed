"""Idempotency keys as Stripe keeps them: a day or longer, answers of all kinds replayed, other parameters refused."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from simulator.stripe.account import RefusedError

KEPT_SECONDS = 24 * 3600


@dataclass
class Saved:
    """The first request with a key: what it asked, and what came of it once it is over."""

    asked: tuple[Any, ...]
    began_at: int
    answer: tuple[int, dict[str, Any]] | None = None


@dataclass
class Keys:
    """The keys that an account remembers."""

    saved: dict[str, Saved] = field(default_factory=dict)

    def begin(self, key: str, asked: tuple[Any, ...], now: int) -> tuple[int, dict[str, Any]] | None:
        """The stored answer, or None if the request is to be carried out: `end` must follow."""
        before = self.saved.get(key)
        if before is None or now - before.began_at >= KEPT_SECONDS:
            self.saved[key] = Saved(asked, now)
            return None
        if before.asked != asked:
            raise RefusedError(
                "Keys for idempotent requests can only be used with the same parameters they were first used with.",
                kind="idempotency_error",
            )
        if before.answer is None:
            raise RefusedError(
                "There is currently another in-progress request using this Idempotent Key.",
                status=409,
                kind="idempotency_error",
                code="idempotency_key_in_use",
            )
        return before.answer

    def end(self, key: str, answer: tuple[int, dict[str, Any]] | None) -> None:
        """Store what came of a request; None forgets it."""
        if key not in self.saved:
            return  # all keys were forgotten meanwhile
        if answer is None:
            del self.saved[key]
        else:
            self.saved[key].answer = answer
