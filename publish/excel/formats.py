"""How cells look: one format for each kind of value, and one for the amounts of each currency."""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import cached_property

from xlsxwriter import Workbook
from xlsxwriter.format import Format

from publish.figures.columns import Kind

_CODE = re.compile(r"[A-Z]{3}")
_MUTED = "#5F6B76"
_HEADER = {"bold": True, "bg_color": "#1F4E79", "font_color": "#FFFFFF", "valign": "vcenter"}
_NUMBERS: dict[Kind, str] = {
    "count": "#,##0",
    "seconds": "#,##0",
    "credits": "#,##0.00",
    "credits_change": "+#,##0.00;-#,##0.00;0.00",
    "price": "0.00#######",
    "value": "#,##0.#########",
    "ratio": "0.0%",
    "ratio_change": "+0.0%;-0.0%;0.0%",
}


class Formats:
    """The formats of a workbook. Excel knows a format by its number, so each is made once."""

    def __init__(self, workbook: Workbook, exponents: Mapping[str, int]) -> None:
        """Take the decimals of each currency."""
        self._workbook = workbook
        self._exponents = exponents
        self._made: dict[str, Format] = {}

    def of(self, kind: Kind, currency: str | None = None) -> Format | None:
        """The format of a kind of value; None where Excel's own is right."""
        if kind in ("amount", "amount_change"):
            return self._number(self.amount(currency or "", signed=kind == "amount_change"))
        if kind == "currency":
            return self.indented
        if kind == "date":
            return self._number("yyyy-mm-dd", "left")
        if kind == "month":
            return self._number("yyyy-mm", "left")
        if kind == "time":
            return self._number("yyyy-mm-dd hh:mm", "left")
        return self._number(_NUMBERS[kind]) if kind in _NUMBERS else None

    def amount(self, currency: str, *, signed: bool = False) -> str:
        """The number format of amounts: the decimals of the currency, and its code, so that nobody adds two of them."""
        decimals = self.decimals(currency)
        number = "#,##0" + ("." + "0" * decimals if decimals else "")
        code = f'" {currency}"' if _CODE.fullmatch(currency) else ""
        return f"{'+' if signed else ''}{number}{code};[Red]-{number}{code};{number}{code}"

    def decimals(self, currency: str) -> int:
        """The decimals of a currency's minor unit."""
        return self._exponents.get(currency, 2)

    @cached_property
    def header(self) -> Format:
        """The first row of a table, above texts."""
        return self._workbook.add_format(_HEADER)

    @cached_property
    def number_header(self) -> Format:
        """The first row of a table, above numbers."""
        return self._workbook.add_format({**_HEADER, "align": "right"})

    @cached_property
    def indented_header(self) -> Format:
        """The first row of a table, above texts that follow numbers."""
        return self._workbook.add_format({**_HEADER, "indent": 1})

    @cached_property
    def indented(self) -> Format:
        """A text that follows numbers."""
        return self._workbook.add_format({"indent": 1})

    @cached_property
    def exact(self) -> Format:
        """A value in full, as text."""
        return self._workbook.add_format({"font_color": _MUTED, "align": "right", "num_format": "@"})

    @cached_property
    def title(self) -> Format:
        """The first line of a sheet."""
        return self._workbook.add_format({"bold": True, "font_size": 18})

    @cached_property
    def heading(self) -> Format:
        """The heading of a part."""
        return self._workbook.add_format({"bold": True, "font_size": 12, "font_color": "#1F4E79"})

    @cached_property
    def muted(self) -> Format:
        """What explains."""
        return self._workbook.add_format({"font_color": _MUTED})

    @cached_property
    def wrapped(self) -> Format:
        """A sentence."""
        return self._workbook.add_format({"text_wrap": True, "valign": "top"})

    @cached_property
    def warning(self) -> Format:
        """What nobody may overlook."""
        return self._workbook.add_format(
            {"bold": True, "font_color": "#9C0006", "bg_color": "#FFC7CE", "text_wrap": True, "valign": "vcenter"}
        )

    def _number(self, number_format: str, align: str = "right") -> Format:
        """A format with this number format."""
        if number_format not in self._made:
            self._made[number_format] = self._workbook.add_format({"num_format": number_format, "align": align})
        return self._made[number_format]
