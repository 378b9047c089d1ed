"""Which quotas a run reads, and in which order, as far as there is an id to ask by.

First those of users whose quota was never read, then of users with usage in the months asked for, then of those whose
limits are managed, then all others, the longest unread first: a run that is cut off has read what matters most. With
`--quotas changed` the others are read only every `--quota-days`.
"""

from __future__ import annotations

import logging
from datetime import datetime, timedelta

from core.api.quotas import ACCEPTED, quota_path, read_quota_answer
from core.clock import utc_now
from extract.context import RunContext
from extract.documents import DocumentLoad, DocumentRequest
from extract.warehouse import FRESH

logger = logging.getLogger("miosa_billing")

_USERS_PER_LOAD = 500


def unread_quotas(context: RunContext) -> int:
    """How many of the users known so far have a quota to read."""
    return len(set(_due_users(context)[0]) - _already_read(context))


def _already_read(context: RunContext) -> set[str]:
    """The users whose quota an unfinished run read less than a day ago."""
    now = utc_now()
    return context.warehouse.asked(now - FRESH, now)


def quota_loads(context: RunContext) -> list[DocumentLoad]:
    """The loads of quotas.

    Quotas that an unfinished run read less than a day ago are not read again. A run that finishes is followed by one
    that reads all, or with `--quotas changed` all that are due.
    """
    requests: list[DocumentRequest] = []
    forgotten = too_long = 0
    already_read = _already_read(context)
    due, left = _due_users(context)
    if left:
        context.summary.quotas_left, context.summary.oldest_quota_at = len(left), min(left)
    for user in due:
        if user in already_read:
            continue
        external_id = context.pseudonyms.id_of(user) if context.pseudonyms else user
        path = quota_path(external_id or "")
        if external_id is None:
            forgotten += 1
        elif path is None:
            too_long += 1
        else:
            label = f"/quotas/external/{user}" if context.pseudonyms else None
            requests.append(DocumentRequest(user, path, {}, read_quota_answer, ACCEPTED, label))
    if forgotten:
        logger.warning(
            "%d users have only a pseudonym since an earlier run, so their quota could not be read anew: what was "
            "known of it stays; a longer --look-back-days may bring their ids again",
            forgotten,
        )
    if too_long:
        logger.warning("%d users have an id too long for an address: their quota was not read", too_long)
    return [
        DocumentLoad(context.new_load("quotas"), requests[start : start + _USERS_PER_LOAD])
        for start in range(0, len(requests), _USERS_PER_LOAD)
    ]


def _due_users(context: RunContext) -> tuple[list[str], list[datetime]]:
    """The users whose quota is read, in order; and when those of the others were last read."""
    settings, now = context.settings, utc_now()
    users = context.warehouse.users_by_urgency(settings.start, settings.end)
    if settings.quotas == "all":
        return [each.user for each in users], []
    oldest = now - timedelta(days=settings.quota_days)
    due: list[str] = []
    left: list[datetime] = []
    for each in users:
        # A moment still to come says nothing: a clock was set back since.
        if each.matters or each.last_read_at is None or not oldest <= each.last_read_at <= now:
            due.append(each.user)
        else:
            left.append(each.last_read_at)
    return due, left
