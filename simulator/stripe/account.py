"""What stands in a Stripe account: customers, invoices with their lines, pending items, balances, payments.

Amounts are integers in Stripe's minor units, times are whole seconds since 1970 by the account's own clock, which tests
move. Nothing here is about HTTP.
"""

from __future__ import annotations

import itertools
import re
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

Object = dict[str, Any]

MOST_LINES = 250
"""Lines that `add_lines` takes at once."""

SEARCH_LAG_SECONDS = 60
"""How old an object must be before a search finds it. Lists show it at once."""

_SHOWN_LINES = 10
_LONGEST_TEXT = 500
_LARGEST_AMOUNT = 99_999_999
_THREE_DECIMALS = ("bhd", "iqd", "jod", "kwd", "lyd", "omr", "tnd")
_HUNDREDS = ("isk", "ugx")


class RefusedError(Exception):
    """An error answer of Stripe's."""

    def __init__(
        self,
        message: str,
        *,
        status: int = 400,
        kind: str = "invalid_request_error",
        code: str | None = None,
        param: str | None = None,
        is_saved: bool = True,
    ) -> None:
        """Take the words, and whether an idempotency key remembers them: not if only the parameters were checked."""
        super().__init__(message)
        self.status, self.kind, self.code, self.param, self.is_saved = status, kind, code, param, is_saved

    @property
    def body(self) -> Object:
        """The body of the answer."""
        told = {"type": self.kind, "message": str(self), "code": self.code, "param": self.param}
        return {"error": {name: value for name, value in told.items() if value is not None}}


class HalfDoneError(Exception):
    """The server failed in the middle: what was done stays done."""


def _unusable(message: str, param: str) -> RefusedError:
    return RefusedError(message, param=param, is_saved=False)


def _missing(kind: str, given: str, *, param: str | None = None) -> RefusedError:
    # In a path, what is missing is a 404; in a parameter it is a 400.
    return RefusedError(
        f"No such {kind}: '{given}'", status=400 if param else 404, code="resource_missing", param=param
    )


@dataclass
class Account:
    """A Stripe account. Every method that a request calls raises `RefusedError` as Stripe would."""

    clock_offset: int = 0
    """Seconds by which the account's clock is ahead of this machine's."""
    customers: dict[str, Object] = field(default_factory=dict)
    invoices: dict[str, Object] = field(default_factory=dict)
    lines: dict[str, list[Object]] = field(default_factory=dict)
    """The lines of each invoice."""
    pending: dict[str, list[Object]] = field(default_factory=dict)
    """Items of each customer that are on no invoice yet."""
    balance_transactions: dict[str, list[Object]] = field(default_factory=dict)
    """Changes of each customer's balance, oldest first."""
    payments: list[Object] = field(default_factory=list)
    refunds: list[Object] = field(default_factory=list)
    disputes: list[Object] = field(default_factory=list)
    is_half_done: Callable[[], bool] = lambda: False
    """Asked in the middle of what is not done at once: whether the server fails there."""
    _numbers: Iterable[int] = field(default_factory=lambda: itertools.count(1))

    def now(self) -> int:
        """The account's time."""
        return int(time.time()) + self.clock_offset

    def _new_id(self, prefix: str) -> str:
        return f"{prefix}_{next(iter(self._numbers)):08d}"

    # --- Customers ---

    def create_customer(self, given: Mapping[str, Any]) -> Object:
        """A new customer."""
        metadata = _metadata(given)
        if "@" not in given.get("email", "@"):
            raise _unusable(f"Invalid email address: {given['email']}", "email")
        customer: Object = {
            "id": self._new_id("cus"),
            "object": "customer",
            "created": self.now(),
            "name": given.get("name"),
            "email": given.get("email"),
            "metadata": metadata,
            "balance": 0,
            "coupon_percent": 0,
        }
        self.customers[customer["id"]] = customer
        return customer

    def customer(self, customer_id: str, *, param: str | None = None) -> Object:
        """A customer that is there."""
        found = self.customers.get(customer_id)
        if found is None:
            raise _missing("customer", customer_id, param=param)
        return found

    def add_pending_item(self, customer_id: str, currency: str, amount: int, description: str) -> None:
        """Let somebody add an item that waits for the customer's next invoice."""
        item = self._line({"amount": str(amount), "description": description}, currency)
        self.pending.setdefault(customer_id, []).append(item)

    # --- Invoices ---

    def create_invoice(self, given: Mapping[str, Any]) -> Object:
        """A new draft. Without `discounts` the customer's coupon applies; pending items come in if asked for."""
        metadata = _metadata(given)
        customer = self.customer(given.get("customer", ""), param="customer")
        if customer.get("deleted"):
            raise RefusedError(f"No such customer: '{customer['id']}'; it was deleted", code="resource_missing")
        currency = given.get("currency", "usd")
        if not re.fullmatch("[a-z]{3}", currency):
            raise _unusable(f"Invalid currency: {currency}", "currency")
        invoice = {
            "id": self._new_id("in"),
            "object": "invoice",
            "created": self.now(),
            "customer": customer["id"],
            "currency": currency,
            "status": "draft",
            "auto_advance": given.get("auto_advance") == "true",
            "collection_method": given.get("collection_method", "charge_automatically"),
            "metadata": metadata,
            "coupon_percent": customer["coupon_percent"] if "discounts" not in given else 0,
            "starting_balance": 0,
            "ending_balance": None,
            "amount_paid": 0,
            "pre_payment_credit_notes_amount": 0,
            "post_payment_credit_notes_amount": 0,
            "due_date": None,
            "status_transitions": {"finalized_at": None, "voided_at": None, "paid_at": None},
        }
        self.invoices[invoice["id"]] = invoice
        self.lines[invoice["id"]] = []
        if given.get("pending_invoice_items_behavior") == "include":
            self.lines[invoice["id"]] += self.pending.pop(customer["id"], [])
        return self.shown(invoice)

    def invoice(self, invoice_id: str) -> Object:
        """An invoice that is there."""
        found = self.invoices.get(invoice_id)
        if found is None:
            raise _missing("invoice", invoice_id)
        return found

    def add_lines(self, invoice_id: str, given: Mapping[str, Any]) -> Object:
        """Lines on a draft: all of them, unless the server fails in the middle."""
        invoice = self._draft(invoice_id, "lines can only be added to")
        lines = given.get("lines") or []
        if not 0 < len(lines) <= MOST_LINES:
            raise _unusable(f"lines: between 1 and {MOST_LINES} are taken at once, not {len(lines)}", "lines")
        new = [self._line(each, invoice["currency"]) for each in lines]
        half = len(new) // 2 or 1
        self.lines[invoice_id] += new[:half]
        if self.is_half_done():
            raise HalfDoneError
        self.lines[invoice_id] += new[half:]
        return self.shown(invoice)

    def finalize(self, invoice_id: str, given: Mapping[str, Any]) -> Object:
        """Open a draft; the customer's balance is used up first."""
        invoice = self._draft(invoice_id, "only this can be finalized:")
        total = self.shown(invoice)["total"]
        customer = self.customers[invoice["customer"]]
        balances = customer.setdefault("balances", {})
        balance = balances.get(invoice["currency"], 0)
        applied = min(total, -balance) if balance < 0 else 0
        balances[invoice["currency"]] = balance + applied
        invoice.update(
            status="open" if total - applied > 0 else "paid",
            auto_advance=given.get("auto_advance") == "true",
            starting_balance=balance,
            ending_balance=balance + applied,
        )
        invoice["status_transitions"]["finalized_at"] = self.now()
        return self.shown(invoice)

    def delete_invoice(self, invoice_id: str) -> Object:
        """Remove a draft."""
        self._draft(invoice_id, "only this can be deleted:")
        del self.invoices[invoice_id]
        return {"id": invoice_id, "object": "invoice", "deleted": True}

    def void_invoice(self, invoice_id: str) -> Object:
        """Make an open invoice void."""
        invoice = self.invoice(invoice_id)
        if invoice["status"] not in ("open", "uncollectible"):
            raise RefusedError(f"You can only void open invoices; this one is {invoice['status']}")
        invoice["status"] = "void"
        return self.shown(invoice)

    def shown(self, invoice: Mapping[str, Any]) -> Object:
        """An invoice as an answer shows it: with its first ten lines and its sums."""
        lines = self.lines[invoice["id"]]
        subtotal = sum(line["amount"] for line in lines)
        discount = sum(line["amount"] for line in lines if line["discountable"]) * invoice["coupon_percent"] // 100
        total = subtotal - discount
        applied = (
            (invoice["ending_balance"] or 0) - invoice["starting_balance"]
            if invoice["ending_balance"] is not None
            else 0
        )
        due = max(total - applied - invoice["pre_payment_credit_notes_amount"], 0)
        return {
            **{name: value for name, value in invoice.items() if name != "coupon_percent"},
            "subtotal": subtotal,
            "total": total,
            "total_discount_amounts": [{"amount": discount, "discount": "di_1"}] if discount else [],
            "amount_due": due,
            "amount_remaining": max(due - invoice["amount_paid"], 0),
            "hosted_invoice_url": f"https://invoice.stripe.example/{invoice['id']}"
            if invoice["status"] != "draft"
            else None,
            "lines": {
                "object": "list",
                "url": f"/v1/invoices/{invoice['id']}/lines",
                "has_more": len(lines) > _SHOWN_LINES,
                "data": lines[:_SHOWN_LINES],
            },
        }

    def _draft(self, invoice_id: str, rule: str) -> Object:
        invoice = self.invoice(invoice_id)
        if invoice["status"] != "draft":
            raise RefusedError(f"{rule} a draft, and {invoice_id} is {invoice['status']}", code="invoice_not_editable")
        return invoice

    def _line(self, given: Mapping[str, Any], currency: str) -> Object:
        description = given.get("description") or None
        if description and len(description) > _LONGEST_TEXT:
            raise _unusable(f"description: at most {_LONGEST_TEXT} characters", "description")
        return {
            "id": self._new_id("il"),
            "object": "line_item",
            "amount": _amount(given.get("amount", ""), currency),
            "currency": currency,
            "description": description,
            "discountable": given.get("discountable", "true") == "true",
            "discount_amounts": [],
            "metadata": _metadata(given),
        }

    # --- Balances ---

    def create_balance_transaction(self, customer_id: str, given: Mapping[str, Any]) -> Object:
        """Change a customer's balance: a negative amount is a credit."""
        currency = given.get("currency", "")
        amount = _amount(given.get("amount", ""), currency)
        customer = self.customer(customer_id)
        balances = customer.setdefault("balances", {})
        balances[currency] = balances.get(currency, 0) + amount
        transaction = {
            "id": self._new_id("cbtxn"),
            "object": "customer_balance_transaction",
            "created": self.now(),
            "customer": customer_id,
            "type": "adjustment",
            "amount": amount,
            "currency": currency,
            "description": given.get("description"),
            "ending_balance": balances[currency],
            "metadata": _metadata(given),
        }
        self.balance_transactions.setdefault(customer_id, []).append(transaction)
        return transaction

    # --- What happens to an invoice afterwards ---

    def pay(self, invoice_id: str, amount: int | None = None) -> Object:
        """Let the customer pay an open invoice, all of it or a part."""
        invoice = self.invoice(invoice_id)
        amount = self.shown(invoice)["amount_remaining"] if amount is None else amount
        invoice["amount_paid"] += amount
        if self.shown(invoice)["amount_remaining"] == 0:
            invoice["status"] = "paid"
        payment = {
            "id": self._new_id("inpay"),
            "object": "invoice_payment",
            "created": self.now(),
            "invoice": invoice_id,
            "amount_paid": amount,
            "amount_requested": amount,
            "currency": invoice["currency"],
            "status": "paid",
            "payment": {"type": "payment_intent", "payment_intent": self._new_id("pi")},
        }
        self.payments.append(payment)
        return payment

    def refund(self, payment: Mapping[str, Any], amount: int, status: str = "succeeded") -> Object:
        """Pay a part of a payment back."""
        return self._after(self.refunds, "re", "refund", payment, amount, status)

    def dispute(self, payment: Mapping[str, Any], amount: int, status: str = "needs_response") -> Object:
        """Let the customer dispute a payment."""
        return self._after(self.disputes, "dp", "dispute", payment, amount, status)

    def _after(
        self, objects: list[Object], prefix: str, kind: str, payment: Mapping[str, Any], amount: int, status: str
    ) -> Object:
        made = {
            "id": self._new_id(prefix),
            "object": kind,
            "created": self.now(),
            "payment_intent": payment["payment"]["payment_intent"],
            "amount": amount,
            "currency": payment["currency"],
            "status": status,
        }
        objects.append(made)
        return made


def _amount(text: str, currency: str) -> int:
    """An amount as Stripe takes it."""
    if not re.fullmatch("-?[0-9]+", text):
        raise _unusable(f"Invalid integer: {text}", "amount")
    amount = int(text)
    if abs(amount) > _LARGEST_AMOUNT:
        raise _unusable(f"Amount must be no more than {_LARGEST_AMOUNT}", "amount")
    if currency in _HUNDREDS and amount % 100:
        raise _unusable(f"Invalid amount: {currency} amounts must be divisible by 100", "amount")
    if currency in _THREE_DECIMALS and amount % 10:
        raise _unusable(f"Invalid amount: the last digit of {currency} amounts must be 0", "amount")
    return amount


def _metadata(given: Mapping[str, Any]) -> dict[str, str]:
    """Metadata as Stripe takes it: an empty value unsets its key."""
    metadata = given.get("metadata") or {}
    if len(metadata) > 50 or any(len(key) > 40 or len(value) > _LONGEST_TEXT for key, value in metadata.items()):
        raise _unusable("Metadata: at most 50 keys of 40 characters, values of 500", "metadata")
    return {key: value for key, value in metadata.items() if value}
