"""Lands the platform's own account at the vendor: its balance, its transactions, its invoices, and an overview.

It comes last, so that a failure here costs no usage. A key may lack the scope for it: then the run goes on, says so in
one line, and leaves a load that is `not allowed`.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from functools import partial

from core.api.bodies import read_document
from core.api.exchange import Answer
from core.api.pages import read_page
from core.api.quotas import check_object
from core.clock import utc_now
from core.errors import NoAccessError
from core.raw.load import Load
from extract.context import RunContext
from extract.documents import DocumentLoad, DocumentRequest, land_documents
from extract.lists import ListToRead, land_lists

logger = logging.getLogger("miosa_billing")

# What of these answers is stored under pseudonyms: fields that the vendor fills with words and figures of its own.
# Everything else becomes a pseudonym, because a description or an unknown field may name a user in any way.
SHOWN_FIELDS = frozenset(
    {
        *("data", "id", "type", "status", "number", "currency", "computer_id", "provider", "model"),
        *("amount_credits", "amount", "input_tokens", "output_tokens", "cost_usd_micros", "inserted_at", "created_at"),
        *("balance_credits", "lifetime_earned", "lifetime_spent", "credit_expiry_at", "updated_at"),
        *("amount_due", "amount_paid", "period_start", "period_end", "due_date"),
        *("usage_budget_cents", "topup_balance_cents", "billing_period_usage_cents", "available_balance_cents"),
        *("billing_period_start", "billing_period_end"),
    }
)

ACCOUNT_REQUESTS = 4
"""How many requests the account takes at least: one for each part."""

# A request that a key with any scope is let in for: this run has landed its answer already.
_KNOWN_PATH, _KNOWN_PARAMS = "/sandboxes", {"page": "1", "page_size": "1"}


def land_account(context: RunContext) -> None:
    """Land the account. Raises `ExtractError`, unless the key may not read it.

    The balance is read before the transactions: so every transaction that it counts is in the list.
    """
    readers: dict[str, tuple[str, Callable[[Load], None]]] = {
        "credit_balances": ("/credits/balance", partial(_land_document, context, "/credits/balance", "balance")),
        "credit_transactions": ("/credits/transactions", partial(_land_list, context, "/credits/transactions", {})),
        # Documented with `limit`, unlike the other lists.
        "billing_invoices": (
            "/billing/invoices",
            partial(_land_list, context, "/billing/invoices", {"limit": str(context.settings.page_size)}),
        ),
        "billing_overviews": ("/billing/overview", partial(_land_document, context, "/billing/overview", "overview")),
    }
    refused: list[str] = []
    is_let_in = False
    for resource, (path, read) in readers.items():
        load = context.new_load(resource)
        try:
            read(load)
        except NoAccessError as error:
            if error.status == 401 and not is_let_in:
                # Raises the error of a key that is not let in anywhere any more.
                context.client.get(_KNOWN_PATH, _KNOWN_PARAMS, lambda answer: read_page(answer.body))
                is_let_in = True
            _land_refusal(context, resource, error.status)
            refused.append(f"{path} (status {error.status})")
    if refused:
        logger.warning(
            "the key may not read the platform's own account, %s: everything else was landed; give the key the scopes "
            "for credits and billing, or leave this out with --no-account",
            ", ".join(refused),
        )


def _land_document(context: RunContext, path: str, key: str, load: Load) -> None:
    """Land an answer that is one row."""
    land_documents(
        context, [DocumentLoad(load, [DocumentRequest(key, path, {}, _read, shown_fields=SHOWN_FIELDS)])], "account"
    )


def _land_list(context: RunContext, path: str, params: dict[str, str], load: Load) -> None:
    """Land a list."""
    land_lists(context, "account", [ListToRead(load, path, params, shown_fields=SHOWN_FIELDS)])


def _land_refusal(context: RunContext, resource: str, status: int) -> None:
    """Land a load without rows that says that the key may not read the resource."""
    load = context.new_load(resource)
    load.started_at = load.ended_at = utc_now()
    load.refused_status = status
    context.land([load])


def _read(answer: Answer) -> tuple[int, str | None, str | None]:
    """Check an answer that is one row."""
    payload, normalized, value = read_document(answer.body)
    check_object(value)
    return answer.status, payload, normalized
