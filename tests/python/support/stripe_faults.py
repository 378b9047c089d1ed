"""Faults to plant in `publish stripe`, by name: each is one that doubled, lost or changed invoices somewhere."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Any


def _random_keys() -> None:
    from publish.stripe.api import Api

    send = Api.send
    Api.send = lambda self, step, place, parameters, key: send(  # type: ignore[method-assign]
        self, step, place, parameters, str(uuid.uuid4())
    )


def _search_for_the_look_up() -> None:
    from publish.stripe import charging
    from publish.stripe.api import Api, Object
    from publish.stripe.documents import INVOICE_ID

    wanted = [""]
    find = charging.Charging._find_invoice

    def _find(self: charging.Charging, document: Any, customer: str) -> Any:
        wanted[0] = document.invoice_id
        return find(self, document, customer)

    def invoices(self: Api, customer: str, closed_at: datetime) -> list[Object]:
        found = self._v1.invoices.search({"query": f"metadata['{INVOICE_ID}']:'{wanted[0]}'"})
        return [each.to_dict() for each in found.data]

    charging.Charging._find_invoice = _find  # type: ignore[method-assign]
    Api.invoices = invoices  # type: ignore[method-assign]


def _no_look_up() -> None:
    from publish.stripe.api import Api

    Api.invoices = lambda self, customer, closed_at: []  # type: ignore[method-assign]


def _floats() -> None:
    from publish.stripe.documents import Line

    whole: Any = Line.parameters
    wrong: Any = property(lambda line: {**whole.fget(line), "amount": line.amount * 1.0})
    setattr(Line, "parameters", wrong)  # noqa: B010 - mypy would not have it assigned


def _fills_again() -> None:
    from publish.stripe import charging
    from publish.stripe.documents import Document

    compare = charging._compare

    def wrong(document: Document, *others: Any) -> tuple[Sequence[Any], str | None]:
        missing, difference = compare(document, *others)
        return (document.lines if missing else missing), difference

    charging._compare = wrong  # type: ignore[assignment]


def _overwrites() -> None:
    from publish.stripe import charging
    from publish.stripe.documents import line_identity
    from publish.stripe.notes import Notes

    def wrong(document: Any, customer: str, invoice: Any, lines: Sequence[Any]) -> tuple[Sequence[Any], str | None]:
        stand = {(line_identity(line["metadata"]), line["amount"]) for line in lines}
        return [line for line in document.lines if (line.identity, line.amount) not in stand], None

    charging._compare = wrong  # type: ignore[assignment]
    Notes.made_id = lambda self, document, step: None  # type: ignore[method-assign]


def _without(step: str, *names: str, **others: Any) -> Callable[[], None]:
    """A request without some parameters, or with other ones."""

    def plant() -> None:
        from publish.stripe.api import Api

        send = Api.send

        def wrong(self: Api, asked: str, place: str, parameters: Any, key: str) -> Any:
            if asked == step:
                parameters = {name: value for name, value in parameters.items() if name not in names} | others
            if asked == "lines" and "discountable" in names:
                parameters = {"lines": [{**line, "discountable": True} for line in parameters["lines"]]}
            return send(self, asked, place, parameters, key)

        Api.send = wrong  # type: ignore[assignment, method-assign]

    return plant


FAULTS: dict[str, Callable[[], None]] = {
    "random keys": _random_keys,
    "search for the look-up": _search_for_the_look_up,
    "no look-up": _no_look_up,
    "float amounts": _floats,
    "a half-filled draft filled again": _fills_again,
    "an edited invoice overwritten": _overwrites,
    "a coupon applies": _without("invoice", "discounts", "discountable"),
    "pending items swept in": _without("invoice", pending_invoice_items_behavior="include"),
}
