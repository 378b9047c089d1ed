"""Which quotas a run reads: that of every user ever landed, as far as there is an id to ask by."""

from __future__ import annotations

import logging

from core.api.quotas import ACCEPTED, quota_path, read_quota_answer
from core.clock import utc_now
from extract.context import RunContext
from extract.documents import DocumentLoad, DocumentRequest
from extract.warehouse import FRESH

logger = logging.getLogger("miosa_billing")

_USERS_PER_LOAD = 500


def unread_quotas(context: RunContext) -> int:
    """How many of the users known so far have a quota to read."""
    return len(context.warehouse.users()) - len(_already_read(context))


def _already_read(context: RunContext) -> set[str]:
    """The users whose quota an unfinished run read less than a day ago."""
    now = utc_now()
    return context.warehouse.asked(now - FRESH, now)


def quota_loads(context: RunContext) -> list[DocumentLoad]:
    """The loads of quotas.

    Quotas that an unfinished run read less than a day ago are not read again. A run that finishes is followed by one
    that reads all.
    """
    requests: list[DocumentRequest] = []
    forgotten = too_long = 0
    already_read = _already_read(context)
    for user in context.warehouse.users():
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
