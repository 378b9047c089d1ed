"""How figures and ids are written: exact, in units, and with nothing in them that misleads the eye."""

from __future__ import annotations

import unicodedata
from datetime import datetime
from decimal import ROUND_HALF_UP, Decimal

_ALLOWED = " \u200c\u200d"
"""The blank, and the joiners that scripts and emoji need."""

_INVISIBLE = ("Cc", "Cf", "Cs", "Cn", "Co", "Zl", "Zp", "Zs")
"""Categories of characters that cannot be seen, or not told from a blank."""

_CENT = Decimal("0.01")


def visible(text: str, longest: int | None = None) -> str:
    r"""An id or a name as people see it: control characters, direction marks and outer blanks are made visible.

    What is longer than `longest` characters is cut, and says so.

    >>> visible("a\nb"), visible("x\u202egnp"), visible(" a")
    ('a[U+000A]b', 'x[U+202E]gnp', '[U+0020]a')
    """
    if not (text.isprintable() and text == text.strip() and text):
        inner = text.strip(" ")
        before, _, after = text.partition(inner) if inner else (text, "", "")
        blank = "[U+0020]"
        text = blank * len(before) + "".join(map(_visible_character, inner)) + blank * len(after) or "(empty)"
    if longest is not None and len(text) > longest:
        return f"{text[: longest - 1]}… ({len(text):,} characters)"
    return text


def _visible_character(character: str) -> str:
    """A character that can be seen."""
    if character in _ALLOWED or unicodedata.category(character) not in _INVISIBLE:
        return character
    return f"[U+{ord(character):04X}]"


def exact(value: Decimal | int) -> str:
    """A number in full, without an exponent and without zeros that say nothing.

    >>> exact(Decimal("1E-9")), exact(Decimal("10.500000000")), exact(Decimal("-0E-9"))
    ('0.000000001', '10.5', '0')
    """
    text = f"{value:f}"
    if "." in text:
        text = text.rstrip("0").rstrip(".")
    return "0" if text in ("-0", "") else text


def amount_text(value: Decimal, exponent: int, *, signed: bool = False) -> str:
    """An amount with the decimals of its currency, rounded half away from zero.

    >>> amount_text(Decimal("1234.500"), 2), amount_text(Decimal("1234"), 0), amount_text(Decimal("0.005"), 2)
    ('1,234.50', '1,234', '0.01')
    """
    rounded = value.quantize(Decimal(1).scaleb(-exponent), ROUND_HALF_UP)
    return _number(rounded, exponent, signed=signed)


def credits_text(value: Decimal, *, signed: bool = False) -> str:
    """Credits with two decimals; with up to nine where two would show less than a hundredth of it.

    >>> credits_text(Decimal("1234.567")), credits_text(Decimal("0.000000845")), credits_text(Decimal(0))
    ('1,234.57', '0.000000845', '0.00')
    """
    if value and abs(value) < _CENT:
        return ("+" if signed and value > 0 else "") + exact(value)
    return _number(value.quantize(_CENT, ROUND_HALF_UP), 2, signed=signed)


def value_text(value: Decimal) -> str:
    """A limit or what is counted against it: whole where it is whole.

    >>> value_text(Decimal("1000.000000000")), value_text(Decimal("12.345678901"))
    ('1,000', '12.35')
    """
    return f"{value:,.0f}" if value == value.to_integral_value() else credits_text(value)


def ratio_text(value: Decimal, *, signed: bool = False) -> str:
    """A share in per cent, with one decimal.

    >>> ratio_text(Decimal("0.803")), ratio_text(Decimal("-0.276"), signed=True)
    ('80.3 %', '-27.6 %')
    """
    return _number((value * 100).quantize(Decimal("0.1"), ROUND_HALF_UP), 1, signed=signed) + " %"


def time_text(value: datetime) -> str:
    """An instant in UTC, to the minute."""
    return f"{value:%Y-%m-%d %H:%M}"


def hours_text(seconds: int) -> str:
    """Seconds as hours, with one decimal."""
    return _number((Decimal(seconds) / 3600).quantize(Decimal("0.1"), ROUND_HALF_UP), 1)


def month_text(period: str) -> str:
    """A billing period in words.

    >>> month_text("2026-10")
    'October 2026'
    """
    names = [
        "January",
        "February",
        "March",
        "April",
        "May",
        "June",
        "July",
        "August",
        "September",
        "October",
        "November",
        "December",
    ]
    return f"{names[int(period[5:]) - 1]} {period[:4]}"


def counted(number: int, singular: str, plural: str | None = None) -> str:
    """A number with its noun.

    >>> counted(1, "invoice"), counted(2000, "currency", "currencies")
    ('1 invoice', '2,000 currencies')
    """
    return f"{number:,} {singular if number == 1 else plural or singular + 's'}"


def _number(value: Decimal, decimals: int, *, signed: bool = False) -> str:
    """A number with grouped thousands; no minus before a zero."""
    if not value:
        value = abs(value)
    return f"{value:{'+' if signed and value else ''},.{decimals}f}"
