"""A whole run: what is landed, and in which order.

Sessions come first, because the rest follows from them: which sessions are void, whose quota is read, and, together
with the owners of sandboxes, for which months the vendor's own figures are read again. The platform's own account comes
last: usage does not depend on it.
"""

from __future__ import annotations

from extract.account import ACCOUNT_REQUESTS, land_account
from extract.context import RunContext, Summary
from extract.documents import land_documents
from extract.lists import ListToRead, land_lists
from extract.plan import announce, make_plan
from extract.quotas import quota_loads, unread_quotas
from extract.sessions import land_sessions, session_windows
from extract.vendor_figures import figure_loads, figure_months
from extract.windows import coalesce, is_covered


def land_everything(context: RunContext) -> Summary:
    """Land everything. Raises `ExtractError`; loads landed before it stay, and a rerun continues from there."""
    landed = coalesce(context.warehouse.landed_windows())
    windows = [window for window in session_windows(context) if not is_covered(window, landed)]
    months = figure_months(context)
    account = 0 if context.settings.no_account else ACCOUNT_REQUESTS
    announce(context, make_plan(context, windows, len(months), unread_quotas(context), account))
    land_sessions(context)
    land_lists(context, "sandboxes", [ListToRead(context.new_load("sandboxes"), "/sandboxes", {})])
    land_documents(context, [*quota_loads(context), *figure_loads(context)])
    if not context.settings.no_account:
        land_account(context)
    context.warehouse.forget_asked()
    return context.summary
