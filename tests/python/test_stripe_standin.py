"""The stand-in for Stripe, as Stripe's own library sees it: pages, keys, searches that lag, refusals, failures."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from typing import Any

import pytest
import stripe as library

from simulator.stripe.app import TEST_KEY, Failure, Stripe, serve_stripe
from simulator.stripe.forms import read_form


@pytest.fixture
def served() -> Iterator[Stripe]:
    with serve_stripe() as stripe:
        yield stripe


def client_of(served: Stripe, retries: int = 0) -> Any:
    library.enable_telemetry = False
    return library.StripeClient(TEST_KEY, base_addresses={"api": served.base}, max_network_retries=retries).v1


@pytest.fixture
def v1(served: Stripe) -> Any:
    return client_of(served)


def key(name: str) -> dict[str, str]:
    return {"idempotency_key": name}


def draft(v1: Any, **more: Any) -> Any:
    customer = v1.customers.create({"name": "Ann"})
    return v1.invoices.create({"customer": customer.id, "currency": "eur", **more})


def line(amount: int | float, **more: Any) -> dict[str, Any]:
    return {"amount": amount, "description": "x", **more}


def test_forms_keep_nesting_blanks_and_odd_characters() -> None:
    assert read_form("a[b][0][c]=%C3%A9%0A&a[b][1][c]=&discounts=") == {
        "a": {"b": [{"c": "é\n"}, {"c": ""}]},
        "discounts": "",
    }


def test_lists_have_pages_newest_first_and_an_invoice_shows_ten_lines(v1: Any) -> None:
    invoice = draft(v1)
    made = [v1.customers.create({"name": str(number), "metadata": {"n": str(number)}}).id for number in range(7)]
    listed = [each.id for each in v1.customers.list({"limit": 3}).auto_paging_iter()]
    assert listed[:7] == made[::-1]
    filled = v1.invoices.add_lines(invoice.id, {"lines": [line(number) for number in range(25)]})
    assert (len(filled.lines.data), filled.lines.has_more, filled.total) == (10, True, 300)
    lines = v1.invoices.line_items.list(invoice.id, {"limit": 10}).auto_paging_iter()
    assert [each.amount for each in lines] == list(range(25))


def test_a_key_replays_refuses_other_parameters_and_expires(served: Stripe, v1: Any) -> None:
    first = v1.customers.create({"name": "a"}, key("k"))
    assert v1.customers.create({"name": "a"}, key("k")).id == first.id
    with pytest.raises(library.IdempotencyError):
        v1.customers.create({"name": "b"}, key("k"))
    served.account.clock_offset = 24 * 3600
    assert v1.customers.create({"name": "b"}, key("k")).id != first.id
    with pytest.raises(library.InvalidRequestError):
        v1.customers.create({"email": "no address"}, key("checked"))
    assert v1.customers.create({"email": "a@b.example"}, key("checked")).email == "a@b.example"


@pytest.mark.parametrize(("failure", "stands"), [("500", 0), ("half", 5)])
def test_a_500_is_stored_and_replayed_whatever_was_done(served: Stripe, v1: Any, failure: Failure, stands: int) -> None:
    invoice = draft(v1)
    parameters = {"lines": [line(number) for number in range(10)]}
    served.failures = lambda asked: failure
    for _ in range(2):
        with pytest.raises(library.APIError):
            v1.invoices.add_lines(invoice.id, parameters, key("k"))
        served.failures = lambda asked: None
    assert len(served.account.lines[invoice.id]) == stands
    served.forget_keys()
    v1.invoices.add_lines(invoice.id, parameters, key("k"))
    assert len(served.account.lines[invoice.id]) == stands + 10


def test_a_key_is_in_use_while_its_request_is_on_its_way(served: Stripe, v1: Any) -> None:
    served.failures = lambda asked: "late" if asked.number == 1 else None
    slow = threading.Thread(target=client_of(served).customers.create, args=({"name": "a"}, key("k")))
    slow.start()
    while not served.asked:
        pass
    with pytest.raises(library.StripeError) as caught:
        v1.customers.create({"name": "a"}, key("k"))
    assert caught.value.http_status == 409
    patient = client_of(served, retries=4).customers.create({"name": "a"}, key("k"))
    slow.join()
    assert [*served.account.customers] == [patient.id]


@pytest.mark.parametrize(("failure", "stands"), [("lost before", 0), ("lost after", 1)])
def test_a_lost_answer_is_an_error_of_the_connection_and_a_retry_repeats_nothing(
    served: Stripe, v1: Any, failure: Failure, stands: int
) -> None:
    served.failures = lambda asked: failure if asked.number == 1 else None
    with pytest.raises(library.APIConnectionError):
        v1.customers.create({"name": "a"}, key("k"))
    assert len(served.account.customers) == stands
    client_of(served, retries=2).customers.create({"name": "a"}, key("k"))
    assert len(served.account.customers) == 1


def test_a_search_lags_behind_a_list(served: Stripe, v1: Any) -> None:
    invoice = draft(v1, metadata={"mark": "m"})
    asked = {"query": "metadata['mark']:'m'"}
    assert v1.invoices.search(asked).data == []
    assert [each.id for each in v1.invoices.list({"customer": invoice.customer}).data] == [invoice.id]
    served.account.clock_offset = 61
    assert [each.id for each in v1.invoices.search(asked).data] == [invoice.id]


@pytest.mark.parametrize(
    ("currency", "given"),
    [("eur", 1.5), ("isk", 150), ("kwd", 15), ("eur", 100_000_000)],
)
def test_amounts_that_stripe_does_not_take(v1: Any, currency: str, given: float) -> None:
    invoice = draft(v1, currency=currency)
    with pytest.raises(library.InvalidRequestError):
        v1.invoices.add_lines(invoice.id, {"lines": [line(given)]})


def test_what_is_refused_of_invoices(served: Stripe, v1: Any) -> None:
    invoice = draft(v1)
    for lines in ([line(1)] * 251, [line(1, description="x" * 501)], [line(1, metadata={"k" * 41: "v"})]):
        with pytest.raises(library.InvalidRequestError):
            v1.invoices.add_lines(invoice.id, {"lines": lines})
    v1.invoices.add_lines(invoice.id, {"lines": [line(700), line(-200)]})
    v1.customers.balance_transactions.create(invoice.customer, {"amount": -120, "currency": "eur"})
    opened = v1.invoices.finalize_invoice(invoice.id, {"auto_advance": True})
    assert (opened.status, opened.auto_advance, opened.amount_due) == ("open", True, 380)
    for refused in (v1.invoices.finalize_invoice, v1.invoices.delete):
        with pytest.raises(library.InvalidRequestError):
            refused(invoice.id)
    assert v1.invoices.void_invoice(invoice.id).status == "void"
    with pytest.raises(library.InvalidRequestError):
        v1.invoices.create({"customer": "cus_none", "currency": "eur"})
    with pytest.raises(library.AuthenticationError):
        library.StripeClient("sk_test_other", base_addresses={"api": served.base}).v1.customers.list()


def test_a_coupon_and_pending_items_come_in_unless_they_are_kept_out(served: Stripe, v1: Any) -> None:
    customer = v1.customers.create({"name": "a"}).id
    served.account.customers[customer]["coupon_percent"] = 50
    served.account.add_pending_item(customer, "eur", 40, "waits")
    swept = v1.invoices.create({"customer": customer, "currency": "eur", "pending_invoice_items_behavior": "include"})
    assert (swept.subtotal, swept.total) == (40, 20)
    served.account.add_pending_item(customer, "eur", 40, "waits")
    plain = v1.invoices.create({"customer": customer, "currency": "eur", "discounts": ""})
    assert (plain.subtotal, plain.total) == (0, 0)


def test_too_many_requests_say_when_to_come_back(served: Stripe, v1: Any) -> None:
    served.failures = lambda asked: "429"
    with pytest.raises(library.RateLimitError) as caught:
        v1.customers.create({"name": "a"})
    assert caught.value.headers is not None
    assert caught.value.headers["Retry-After"] == "1"
    assert served.account.customers == {}
