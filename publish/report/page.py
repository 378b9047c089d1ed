"""The page: its head, which says what it is worth, and its sections, as HTML."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from core import __version__
from publish.figures.columns import words
from publish.figures.reading import Figures
from publish.figures.texts import counted, credits_text, exact, ratio_text, time_text, visible
from publish.report import charts
from publish.report.blocks import Blocks
from publish.report.tables import Cell
from publish.warehouse import Marts

MOST_CARDS = 6
"""Currencies with a card of their own. All of them are in the table."""

_TEMPLATES = Path(__file__).with_name("templates")


@dataclass(frozen=True)
class Card:
    """What one currency came to, with its last months as a drawing."""

    currency: str
    amount: Cell
    change: str
    details: str
    span: str
    drawing: Markup | None
    alternative: str


def render(marts: Marts, period: str) -> str:
    """The page as HTML. Raises `WarehouseError`."""
    environment = Environment(
        loader=FileSystemLoader(_TEMPLATES),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    style = (_TEMPLATES / "page.css").read_text("utf-8")
    figures = Figures(marts.database, period)
    blocks = Blocks(figures, period)
    head = _Head(marts, figures, blocks)
    return environment.get_template("page.html.j2").render(
        name=blocks.name,
        style=Markup(style),  # noqa: S704 - ours
        style_hash=base64.b64encode(hashlib.sha256(style.encode("utf-8")).digest()).decode("ascii"),
        unproven=marts.unproven and visible(marts.unproven),
        status=head.status(),
        facts=head.facts(),
        cards=head.cards(period),
        hidden_cards=max(0, len(blocks.amounts_by_currency.rows) - MOST_CARDS),
        blocks=blocks.all(),
        statements=[figures.statement(name) for name in ("period", "monthly_amounts", "build")],
        built_at=time_text(marts.built_at),
        build_id=marts.build_id,
        version=__version__,
    )


class _Head:
    """What stands above the sections."""

    def __init__(self, marts: Marts, figures: Figures, blocks: Blocks) -> None:
        """Take the figures that the sections have read."""
        self._marts = marts
        self._figures = figures
        self._blocks = blocks

    def status(self) -> tuple[str, str, str]:
        """Tone, word and sentence: may the figures still change?"""
        state = self._blocks.state
        if state["is_closed"]:
            return "good", "Closed", f"Closed on {time_text(state['closed_at_utc'])} UTC. These invoices never change."
        if not state["has_ended"]:
            return (
                "warn",
                "Running",
                f"{self._blocks.name} has not ended: figures are as of the last load, and will change.",
            )
        return "warn", "Open", "Not closed yet. Late sessions and corrections still change these invoices."

    def facts(self) -> list[tuple[str, str, str]]:
        """What stands below the title: label, text and tone of each fact."""
        state = self._blocks.state
        build = self._figures.read("build").records if self._marts.build_id != "-" else []
        return [
            (
                "Build",
                " ".join(
                    f"{words(row['build_status'])}, {counted(row['node_count'] or 0, 'step')}, "
                    f"{counted(row['failure_count'] or 0, 'failure')}"
                    for row in build
                )
                or "not recorded",
                "bad" if self._marts.unproven else "good",
            ),
            self._blocks.checks_fact(),
            (
                "Complete",
                "every day was read after the month ended" if state["is_complete"] else "not every day was read yet",
                "good" if state["is_complete"] else "warn",
            ),
            ("Credits used", self._credits_fact(), ""),
            ("Users with usage", f"{state['user_count']:,}", ""),
            ("Invoices", f"{state['invoice_count']:,}, with {counted(state['line_count'], 'line')}", ""),
        ]

    def _credits_fact(self) -> str:
        """Credits, how they changed, and what of them may still change."""
        state = self._blocks.state
        text = credits_text(state["credits"])
        if state["previous_credits"]:
            text += f", {credits_text(state['credits'] - state['previous_credits'], signed=True)} on the month before"
        if state["provisional_credits"]:
            text += f"; {credits_text(state['provisional_credits'])} from sessions that still run"
        return text

    def cards(self, period: str) -> list[Card]:
        """A card for each of the first currencies."""
        history: dict[str, list[tuple[str, Decimal]]] = {}
        for month, currency, amount in self._figures.read("monthly_amounts").rows:
            history.setdefault(currency, []).append((month, amount))
        cards = []
        for record in self._blocks.amounts_by_currency.records[:MOST_CARDS]:
            currency = record["currency"]
            months = history.get(currency, [])
            cards.append(
                Card(
                    visible(currency, 12),
                    Cell(self._blocks.amount(record["amount"], currency), "number", exact(record["amount"])),
                    self._change(record),
                    counted(record["invoice_count"], "invoice")
                    + (
                        f", {counted(record['credit_note_count'], 'credit note')} among them"
                        if record["credit_note_count"]
                        else ""
                    ),
                    f"{months[0][0]} to {months[-1][0]}" if len(months) > 1 else "",
                    charts.months(months, period) if len(months) > 1 else None,
                    f"{visible(currency, 12)} by month: "
                    + ", ".join(f"{month} {self._blocks.amount(amount, currency)}" for month, amount in months),
                )
            )
        return cards

    def _change(self, record: Mapping[str, Any]) -> str:
        """How an amount changed against the month before."""
        if not record["previous_amount"]:
            return "nothing in the month before"
        text = f"{self._blocks.amount(record['amount_difference'], record['currency'], signed=True)}"
        ratio = record["change_ratio"]
        return f"{text} ({ratio_text(ratio, signed=True)})" if ratio is not None else text
