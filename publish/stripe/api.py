"""Requests to Stripe with its own library. What comes back is plain dictionaries."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterable, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any, TypeVar
from urllib.parse import urlsplit

import requests
import stripe
import tenacity

from publish.stripe.documents import plain

Object = dict[str, Any]
Result = TypeVar("Result")

_NETWORK_RETRIES = 3
"""By the library, with the same key: broken connections, 409 and most 5xx."""
_MOST_TRIES = 8
_LONGEST_WAIT = 60.0
_TIMEOUT = (10.0, 80.0)
_PAGE = 100
_LONGEST_MESSAGE = 300


class Api:
    """Stripe, as far as invoices need it. Raises `stripe.StripeError`."""

    def __init__(self, key: str, base: str) -> None:
        """Prepare; nothing is sent. The version of the API is the one that the library is made for."""
        # Telemetry would write an id into the user's home; a notice of the API is nothing that a run can act on.
        stripe.enable_telemetry = False
        warnings.filterwarnings("ignore", module="stripe")
        session = requests.Session()
        session.max_redirects = 0
        # No ~/.netrc in place of the key. No proxy between this machine and itself.
        session.auth = _unchanged
        session.trust_env = urlsplit(base).scheme == "https"
        http = stripe.RequestsClient(timeout=_TIMEOUT, session=session)
        client = stripe.StripeClient(
            key, base_addresses={"api": base}, http_client=http, max_network_retries=_NETWORK_RETRIES
        )
        self._v1 = client.v1

    # --- What stands there ---

    def invoices(self, customer: str, closed_at: datetime) -> list[Object]:
        """A customer's invoices since the day before a close. By list: a search lags behind what was written."""
        since = int((closed_at.replace(tzinfo=UTC) - timedelta(days=1)).timestamp())
        return _all(lambda: self._v1.invoices.list({"customer": customer, "created": {"gte": since}, "limit": _PAGE}))

    def invoice(self, invoice_id: str) -> Object | None:
        """An invoice; None if it is gone."""
        try:
            found = _patient(lambda: self._v1.invoices.retrieve(invoice_id)).to_dict()
        except stripe.InvalidRequestError as error:
            if error.http_status == 404:
                return None
            raise
        return None if found.get("deleted") else found

    def lines(self, invoice_id: str) -> list[Object]:
        """All lines of an invoice: an invoice itself shows ten."""
        return _all(lambda: self._v1.invoices.line_items.list(invoice_id, {"limit": _PAGE}))

    def balance_transactions(self, customer: str) -> list[Object]:
        """All changes of a customer's balance."""
        return _all(lambda: self._v1.customers.balance_transactions.list(customer, {"limit": _PAGE}))

    def customers(self) -> list[Object]:
        """All customers of the account."""
        return _all(lambda: self._v1.customers.list({"limit": _PAGE}))

    def payments(self, invoice_id: str) -> list[Object]:
        """The payments of an invoice."""
        return _all(lambda: self._v1.invoice_payments.list({"invoice": invoice_id, "limit": _PAGE}))

    def refunds(self, payment: Mapping[str, str]) -> list[Object]:
        """The refunds of a payment, given as `payment_intent` or `charge`."""
        given: Any = {**payment, "limit": _PAGE}
        return _all(lambda: self._v1.refunds.list(given))

    def disputes(self, payment: Mapping[str, str]) -> list[Object]:
        """The disputes of a payment, given as `payment_intent` or `charge`."""
        given: Any = {**payment, "limit": _PAGE}
        return _all(lambda: self._v1.disputes.list(given))

    # --- What changes it ---

    def send(self, step: str, place: str, parameters: Object, key: str) -> Object:
        """Send the request of a step; `place` is the invoice or customer that it changes."""
        options: Any = {"idempotency_key": key}
        given: Any = parameters
        calls: dict[str, Callable[[], stripe.StripeObject]] = {
            "customer": lambda: self._v1.customers.create(given, options),
            "invoice": lambda: self._v1.invoices.create(given, options),
            "lines": lambda: self._v1.invoices.add_lines(place, given, options),
            "finalize": lambda: self._v1.invoices.finalize_invoice(place, given, options),
            "credit": lambda: self._v1.customers.balance_transactions.create(place, given, options),
        }
        return _patient(calls[step]).to_dict()


def is_of_the_key(error: stripe.StripeError) -> bool:
    """Whether Stripe does not take the key: every other request would fare alike."""
    return isinstance(error, stripe.AuthenticationError | stripe.PermissionError)


def is_unanswered(error: stripe.StripeError) -> bool:
    """Whether the request was not begun, or nothing is known of it: the next try takes the same key."""
    return error.http_status in (None, 409, 429) or isinstance(error, stripe.RateLimitError)


def is_of_the_server(error: stripe.StripeError) -> bool:
    """Whether Stripe failed in the middle: a look must tell what was done."""
    return not is_unanswered(error) and (error.http_status or 0) not in range(400, 500)


def words_of(error: stripe.StripeError) -> str:
    """What Stripe said, in one line without control characters."""
    said = plain(error.user_message or str(error))[:_LONGEST_MESSAGE]
    return f"{said} (status {error.http_status})" if error.http_status else said


def _all(pages: Callable[[], Any]) -> list[Object]:
    """All objects of a list, over all of its pages."""

    def read() -> Iterable[stripe.StripeObject]:
        return list(pages().auto_paging_iter())

    return [each.to_dict() for each in _patient(read)]


def _patient(call: Callable[[], Result]) -> Result:
    """Make a request, again after a pause while Stripe limits requests or another one holds its key."""
    retrying = tenacity.Retrying(
        retry=tenacity.retry_if_exception(lambda error: isinstance(error, stripe.StripeError) and _is_busy(error)),
        wait=_wait,
        stop=tenacity.stop_after_attempt(_MOST_TRIES),
        reraise=True,
    )
    return retrying(call)


def _is_busy(error: stripe.StripeError) -> bool:
    return error.http_status in (409, 429) or isinstance(error, stripe.RateLimitError)


def _wait(state: tenacity.RetryCallState) -> float:
    """As long as the answer says, else longer each time."""
    error = state.outcome.exception() if state.outcome else None
    headers = getattr(error, "headers", None) or {}
    given = next((value for name, value in headers.items() if name.lower() == "retry-after"), "")
    return min(float(given) if given.isdecimal() else 0.5 * 2**state.attempt_number, _LONGEST_WAIT)


def _unchanged(request: requests.PreparedRequest) -> requests.PreparedRequest:
    return request
