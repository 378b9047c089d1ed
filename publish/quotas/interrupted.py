"""Changes that removed a quota to set it anew, and of which nothing shows that they were finished.

A limit that the seeds do not set stays as the vendor has it. After such a change the vendor no longer has it: what it
was stands in the intent of the change alone, in `raw.quota_changes`, which only `publish quotas` writes and reads.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from core.database.connection import Query
from core.errors import ApiError
from core.sql_files import sql_files
from publish.quotas.limits import NO_QUOTA, Quota, read_body, read_quota

sql = sql_files(__file__)


@dataclass(frozen=True, slots=True)
class InterruptedChange:
    """A change that was cut off after it may have removed the quota."""

    change_id: str
    quota: Quota
    """What it was to set."""


def interrupted_changes(query: Query) -> dict[str, InterruptedChange]:
    """The newest such change of each user, unless an answer that was read later has all that it was to set."""
    found: dict[str, InterruptedChange] = {}
    # Before both were there, no quota was removed to be set anew.
    if query(sql("has_change_record"), []) != [(True,)]:
        return found
    for user, change_id, body, statuses, texts in query(sql("interrupted_changes"), []):
        quota = read_body(body)
        later = (_read(status, text, user) for status, text in zip(statuses or (), texts or (), strict=True))
        if not _is_among(quota, later):
            found[user] = InterruptedChange(change_id, quota)
    return found


def _is_among(quota: Quota, answers: Iterable[Quota]) -> bool:
    """Whether one of the answers has all limits of a quota."""
    return any(
        quota.caps.keys() <= answer.caps.keys() and quota.others.keys() <= answer.others.keys() for answer in answers
    )


def _read(status: int, text: str | None, user: str) -> Quota:
    """An answer; one that cannot be read has no limits."""
    try:
        return read_quota(status, text, user)
    except (ApiError, ValueError, RecursionError):
        return NO_QUOTA
