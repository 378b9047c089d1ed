"""Putting closed invoices to Stripe: look, decide on one request, note it, send it, look again.

Two guards make it exactly once. A key guards minutes: it is the same for the same request in a rerun or on another
machine, so Stripe carries it out once as long as it remembers the key. A look guards days: before anything is created,
the customer's invoices since the day before the close are listed and their metadata compared. The record in the ledger
only says where to look, which key is next, and whether something that is gone was there before.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import stripe

from core.progress import Bar
from publish.stripe.api import Api, Object, is_of_the_key, is_of_the_server, is_unanswered, words_of
from publish.stripe.documents import CHECKSUM, INVOICE_ID, Document, Line, digest, line_identity, plain
from publish.stripe.notes import Notes, Reading, Step

USER_ID = "miosa_external_user_id"
"""Key of a created customer's metadata."""

_MOST_FAILURES = 3
"""Failures of Stripe in the middle of one request, in a row."""
_MOST_UNANSWERED = 3
"""Invoices in a row without an answer: Stripe is away, and each further one would wait as long."""
_LONGEST_VALUE = 500
_LONGEST_NAME = 256
_SETTLING_SECONDS = 1.0


class UndoneError(Exception):
    """An invoice that is not as it has to be, with the reason."""


@dataclass(slots=True)
class Charged:
    """The outcome of a run."""

    done: list[tuple[Document, Reading]] = field(default_factory=list)
    waiting: list[Document] = field(default_factory=list)
    """Credits, which are made with `--finalize` only."""
    undone: list[tuple[Document, str]] = field(default_factory=list)
    """What is not as it has to be, with the reason."""
    untried: int = 0
    stopped_by: str | None = None
    """Why the rest was not tried."""


class Charging:
    """One run over the invoices of a period."""

    def __init__(self, api: Api, notes: Notes, bar: Bar, *, finalizes: bool, creates_customers: bool) -> None:
        """Prepare; nothing is sent yet."""
        self._api = api
        self._notes = notes
        self._bar = bar
        self._finalizes = finalizes
        self._creates_customers = creates_customers
        self._customers_by_user: dict[str, list[str]] | None = None

    def charge(self, documents: Sequence[Document], names: dict[str, str]) -> Charged:
        """Bring every invoice to where it has to be. Failures are in the outcome, not raised."""
        charged, unanswered = Charged(), 0
        for place, document in enumerate(documents):
            try:
                reading = self._settle(document, names)
                unanswered = 0
                if reading is None:
                    charged.waiting.append(document)
                else:
                    charged.done.append((document, reading))
            except UndoneError as error:
                unanswered = 0
                charged.undone.append((document, str(error)))
            except stripe.StripeError as error:
                charged.undone.append((document, words_of(error)))
                unanswered = unanswered + 1 if is_unanswered(error) else 0
                if is_of_the_key(error) or unanswered == _MOST_UNANSWERED:
                    charged.stopped_by = words_of(error)
                    charged.untried = len(documents) - place - 1
                    break
            self._bar.advance()
        return charged

    def _settle(self, document: Document, names: dict[str, str]) -> Reading | None:
        """Bring one invoice to where it has to be, and land what then stands there; None for a credit that waits."""
        customer = document.customer or self._customer_of(document, names)
        reading = (self._settle_credit if document.is_credit else self._settle_invoice)(document, customer)
        if reading is None:
            return None
        self._notes.land(document, reading)
        if reading.difference is not None:
            raise UndoneError(
                f"{reading.stripe_id} differs from what was closed, and was left as it is: {reading.difference}"
            )
        if reading.status in ("void", "deleted"):
            raise UndoneError(f"{reading.stripe_id} is {reading.status} at Stripe; nothing was made in its place")
        return reading

    # --- Invoices ---

    def _settle_invoice(self, document: Document, customer: str) -> Reading:
        """Look, send the one request that is next, and look again, until nothing is left to do."""
        failures = 0
        invoice = self._find_invoice(document, customer)
        while True:
            if isinstance(invoice, Reading):
                return invoice
            lines = self._api.lines(invoice["id"]) if invoice else []
            missing, difference = _compare(document, customer, invoice, lines) if invoice else ([], None)
            is_draft = invoice is not None and invoice["status"] == "draft"
            if invoice and not difference and missing and (not is_draft or self._notes.made_id(document, "lines")):
                difference = f"{len(missing):,} of its {len(document.lines):,} lines are gone"
            if invoice and not difference and missing and lines:
                # Another run may be adding them just now.
                time.sleep(_SETTLING_SECONDS)
                if len(self._api.lines(invoice["id"])) != len(lines):
                    continue
            if invoice and not missing and not difference:
                self._note_found(document, "lines", invoice["id"], customer)
            step: Step | None = None
            if invoice is None:
                step = "invoice"
            elif difference is None and missing:
                step = "lines"
            elif difference is None and self._finalizes and is_draft:
                step = "finalize"
            if step is None:
                assert invoice is not None  # noqa: S101 - for the type checker
                if not difference and not is_draft:
                    self._note_found(document, "finalize", invoice["id"], customer)
                return _reading_of(document, invoice, lines, difference)
            try:
                answer = self._request(document, step, invoice["id"] if invoice else "", customer, missing)
                invoice, failures = answer if step != "lines" else invoice, 0
            except stripe.StripeError as error:
                failures += 1
                if is_unanswered(error) or is_of_the_key(error) or failures == _MOST_FAILURES:
                    raise
                invoice = self._find_invoice(document, customer)
                if not is_of_the_server(error) and not self._is_past(invoice, step):
                    raise

    def _find_invoice(self, document: Document, customer: str) -> Object | Reading | None:
        """The invoice at Stripe; None if there never was one; a reading if there is nothing left to do."""
        found = [
            invoice
            for each in dict.fromkeys((customer, *self._notes.customers(document)))
            for invoice in self._api.invoices(each, document.closed_at)
            if (invoice.get("metadata") or {}).get(INVOICE_ID) == document.invoice_id
        ]
        current = [invoice for invoice in found if invoice["status"] != "void"]
        if len(current) > 1:
            ids = ", ".join(invoice["id"] for invoice in current)
            return Reading("draft", current[0]["id"], difference=f"it stands there {len(current)} times: {ids}")
        made = self._notes.made_id(document, "invoice")
        if not found and made:
            invoice = self._api.invoice(made)
            if invoice is None:
                return Reading("deleted", made, customer)
            found = current = [invoice]
        if found and (not current or current[0]["status"] == "void"):
            return _reading_of(document, found[0], self._api.lines(found[0]["id"]), None)
        if not current:
            return None
        self._note_found(document, "invoice", current[0]["id"], _id_of(current[0]["customer"]))
        return current[0]

    def _is_past(self, invoice: Object | Reading | None, step: Step) -> bool:
        """Whether a refused step was done all the same, by another run."""
        return isinstance(invoice, dict) and (step == "invoice" or invoice["status"] != "draft")

    # --- Credits ---

    def _settle_credit(self, document: Document, customer: str) -> Reading | None:
        """The same for a credit, a transaction of the customer's balance."""
        failures = 0
        while True:
            found = [
                transaction
                for each in dict.fromkeys((customer, *self._notes.customers(document)))
                for transaction in self._api.balance_transactions(each)
                if (transaction.get("metadata") or {}).get(INVOICE_ID) == document.invoice_id
            ]
            if found:
                self._note_found(document, "credit", found[0]["id"], _id_of(found[0]["customer"]))
                return _credit_reading(document, customer, found)
            if made := self._notes.made_id(document, "credit"):
                return Reading("deleted", made, customer)
            if not self._finalizes:
                return None
            try:
                self._request(document, "credit", customer, customer, [])
            except stripe.StripeError as error:
                failures += 1
                if not is_of_the_server(error) or failures == _MOST_FAILURES:
                    raise

    # --- Customers ---

    def _customer_of(self, document: Document, names: dict[str, str]) -> str:
        """The customer that was created for the user; a new one, if that was asked for."""
        user = document.external_user_id
        if user in self._notes.created_customers:
            return self._notes.created_customers[user]
        if not self._creates_customers:
            raise UndoneError(
                "has no customer at Stripe: name one in stripe_customers.csv and run dbt build, "
                "or use --create-customers"
            )
        mark = user if len(user) <= _LONGEST_VALUE else f"sha256:{digest(user)}"
        failures = 0
        while True:
            found = self._marked_customers().get(mark, [])
            if len(found) > 1:
                raise UndoneError(
                    f"has {len(found)} customers at Stripe, {', '.join(found)}: name one in stripe_customers.csv"
                )
            try:
                made = found[0] if found else self._create_customer(document, mark, names.get(user, user))
            except stripe.StripeError as error:
                failures += 1
                if not is_of_the_server(error) or failures == _MOST_FAILURES:
                    raise
                self._customers_by_user = None
                continue
            if found:
                self._notes.add(document, "customer", "outcome", made, made)
            self._notes.created_customers[user] = made
            return made

    def _marked_customers(self) -> dict[str, list[str]]:
        """The customers that earlier runs created, by the mark of their users."""
        if self._customers_by_user is None:
            self._customers_by_user = {}
            for customer in self._api.customers():
                mark = (customer.get("metadata") or {}).get(USER_ID)
                if mark and not customer.get("deleted"):
                    self._customers_by_user.setdefault(mark, []).append(customer["id"])
        return self._customers_by_user

    def _create_customer(self, document: Document, mark: str, name: str) -> str:
        parameters = {"name": name[:_LONGEST_NAME], "metadata": {USER_ID: mark}}
        # Of the user, not of the invoice: two invoices in two currencies need one customer.
        return str(self._send(document, "customer", "", parameters, mark, None)["id"])

    # --- Requests ---

    def _request(self, document: Document, step: Step, place: str, customer: str, missing: Sequence[Line]) -> Object:
        """Send the request of a step."""
        parameters: dict[Step, Callable[[], Object]] = {
            "invoice": lambda: {
                "customer": customer,
                "currency": document.currency.lower(),
                "auto_advance": False,
                # Neither a coupon of the customer's nor items that wait for an invoice come in.
                "discounts": "",
                "pending_invoice_items_behavior": "exclude",
                "metadata": document.metadata,
            },
            "lines": lambda: {"lines": [line.parameters for line in missing]},
            "finalize": lambda: {"auto_advance": True},
            "credit": lambda: {
                "amount": document.amount,
                "currency": document.currency.lower(),
                "description": "Credit",
                "metadata": document.metadata,
            },
        }
        return self._send(document, step, place, parameters[step](), document.invoice_id, customer)

    def _send(
        self, document: Document, step: Step, place: str, parameters: Object, subject: str, customer: str | None
    ) -> Object:
        """Note the intent, send, note what came of it."""
        # An answered failure is stored under its key, so the next try needs another one.
        failed = self._notes.failures(document, step)
        key = f"miosa-{step}-{digest([subject, place, step, parameters, failed])}"
        self._notes.add(document, step, "intent", place or None, customer)
        try:
            answer = self._api.send(step, place, parameters, key)
        except stripe.StripeError as error:
            if not is_unanswered(error) and not is_of_the_key(error):
                self._notes.add(document, step, "failed", place or None, customer)
            raise
        made = place if step in ("lines", "finalize") else answer["id"]
        self._notes.add(document, step, "outcome", made, customer or answer["id"])
        return answer

    def _note_found(self, document: Document, step: Step, stripe_id: str, customer: str | None) -> None:
        """Note what was found done without a noted outcome: so it is known later that it was there."""
        if self._notes.made_id(document, step) is None:
            self._notes.add(document, step, "outcome", stripe_id, customer)


def _compare(
    document: Document, customer: str, invoice: Object, lines: Sequence[Object]
) -> tuple[list[Line], str | None]:
    """The lines that an invoice at Stripe lacks, and what else differs, in words."""
    metadata = invoice.get("metadata") or {}
    expected = {line.identity: line for line in document.lines}
    counts = Counter(line_identity(line.get("metadata") or {}) for line in lines)
    differences = []
    if (stands := _id_of(invoice["customer"])) != customer:
        differences.append(f"its customer is {stands}, and should be {customer}")
    if invoice["currency"].upper() != document.currency:
        differences.append(f"its currency is {invoice['currency'].upper()}, not {document.currency}")
    if metadata.get(INVOICE_ID) != document.invoice_id or metadata.get(CHECKSUM) != document.checksum:
        differences.append("its metadata are not those of this invoice")
    if any(each["amount"] for each in invoice.get("total_discount_amounts") or []):
        differences.append("a discount applies")
    for line in lines:
        ours = expected.get(line_identity(line.get("metadata") or {}))
        if ours is None:
            differences.append(f"{line['id']} is no line of ours")
        elif line["amount"] != ours.amount:
            differences.append(f"{line['id']} is {line['amount']:,} {document.currency}, and should be {ours.amount:,}")
        elif plain(line.get("description")) != plain(ours.description):
            differences.append(f"{line['id']} has another text")
        elif counts[ours.identity] > 1:
            differences.append(f"{line['id']} stands there {counts[ours.identity]} times")
    return [line for line in document.lines if line.identity not in counts], _some(differences)


def _credit_reading(document: Document, customer: str, found: Sequence[Object]) -> Reading:
    """What was seen of a credit."""
    first, differences = found[0], []
    if len(found) > 1:
        differences.append(f"it stands there {len(found)} times: {', '.join(each['id'] for each in found)}")
    if _id_of(first["customer"]) != customer:
        differences.append(f"its customer is {_id_of(first['customer'])}, and should be {customer}")
    if (first["amount"], first["currency"].upper()) != (document.amount, document.currency):
        differences.append(
            f"it is {first['amount']:,} {first['currency'].upper()}, "
            f"and should be {document.amount:,} {document.currency}"
        )
    if (first.get("metadata") or {}).get(CHECKSUM) != document.checksum:
        differences.append("its metadata are not those of this invoice")
    amount = sum(each["amount"] for each in found)
    return Reading(
        *("credited", first["id"], _id_of(first["customer"]), first["currency"].upper(), amount, len(document.lines)),
        difference=_some(differences),
        payload=first,
    )


def _reading_of(document: Document, invoice: Object, lines: Sequence[Object], difference: str | None) -> Reading:
    """What was seen of an invoice."""
    return Reading(
        *(invoice["status"], invoice["id"], _id_of(invoice["customer"]), invoice["currency"].upper()),
        *(sum(line["amount"] for line in lines), len(lines), difference),
        payload={name: value for name, value in invoice.items() if name != "lines"},
    )


def _id_of(reference: str | Object | None) -> str:
    """The id of an object that Stripe gives by its id or whole."""
    return str(reference["id"] if isinstance(reference, dict) else reference)


def _some(differences: Sequence[str]) -> str | None:
    """Up to three differences, in one line."""
    more = f"; and {len(differences) - 3:,} more" if len(differences) > 3 else ""
    return "; ".join(differences[:3]) + more if differences else None
