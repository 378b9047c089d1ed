"""How the simulated vendor answers about quotas: the shapes that its pages and clients name, and what a PUT does.

The documentation says that a limit left out of a PUT is uncapped. Its clients cannot send null, so servers may differ
in how a single limit is cleared.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Literal

from simulator.tenant import LIMITS, Limit

QuotaShape = Literal["nested", "flat", "current"]
QuotaPlace = Literal["data", "quota", "quotas", "bare"]
QuotaWrites = Literal["replace", "merge", "keep"]
QuotaDeleted = Literal["204", "ok"]


@dataclass(frozen=True, kw_only=True)
class QuotaOptions:
    """Which of the vendor's possible behaviours the quota routes show."""

    quota_shape: QuotaShape = "nested"
    """A quota's limits: under `limits` (nested), flat beside `usage` (flat) or `current_sandboxes` (current)."""
    quota_place: QuotaPlace = "data"
    """Where the object stands; `bare` answers it alone."""
    is_quota_listed: bool = False
    """Whether it stands there as the only item of a list."""
    quota_writes: QuotaWrites = "replace"
    """What a PUT does with a limit that it leaves out or sends as null: uncaps both (`replace`, as documented), keeps
    what is left out and uncaps null (`merge`), or keeps both (`keep`: only DELETE clears a limit)."""
    is_null_refused: bool = False
    """Whether a PUT with null is answered with 422."""
    quota_deleted: QuotaDeleted = "204"
    """The answer to a DELETE: 204 without a body, or 200 with `{"ok": true}`."""


def quota_answer(
    user: str, limits: Mapping[str, Limit], created: int, owned: int, running: int, options: QuotaOptions
) -> dict[str, object] | list[object]:
    """The answer about a quota. `created`, `owned` and `running` are the vendor's own counts."""
    quota: dict[str, object] = {"external_user_id": user}
    if options.quota_shape == "nested":
        quota |= {"limits": dict(limits), "usage": {"total_sandboxes": created, "concurrent": running}}
    elif options.quota_shape == "flat":
        quota |= {**limits, "usage": {"sandboxes": created, "concurrent": running}}
    else:
        quota |= {**limits, "current_sandboxes": owned}
    placed: dict[str, object] | list[object] = [quota] if options.is_quota_listed else quota
    return placed if options.quota_place == "bare" else {options.quota_place: placed}


def limits_after_put(body: bytes, held: Mapping[str, Limit] | None, options: QuotaOptions) -> dict[str, Limit]:
    """The limits that a PUT leaves. Raises `ValueError` for a body that cannot be used.

    Unknown fields are passed over, as APIs do; unusable limits are not.
    """
    sent = json.loads(body or b"{}", parse_float=Decimal)
    if not isinstance(sent, dict):
        raise ValueError("the body must be a JSON object")
    limits: dict[str, Limit] = {name: sent[name] for name in LIMITS if name in sent}
    if options.is_null_refused and None in limits.values():
        raise ValueError("a limit must be a number")
    if options.quota_writes == "keep":
        limits = {name: value for name, value in limits.items() if value is not None}
    return limits if options.quota_writes == "replace" else {**(held or {}), **limits}
