"""Checks the seed files before dbt loads them: encoding, shape, columns and the spelling of each cell.

dbt would load a seed that lost a column by name, with null in its place. So every file is read here first, and what
is ambiguous is reported by file, line and column. Rules that compare rows stay in SQL (`int_pricing_errors`), but that
a key occurs once is checked here, where the lines are known.
"""

from __future__ import annotations

import csv
import io
import os
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import date
from decimal import Decimal, InvalidOperation
from pathlib import Path

SHOWN_ERRORS = 5
AMOUNT = "an amount: a plain number like 1234.5, not negative, with at most 9 decimals and under 10^9"
COUNT = "a count: a whole number, not negative and under 10^9"
AMOUNT_COLUMNS = frozenset(
    {
        "monthly_fee",
        "included_credits",
        "minimum_charge",
        "tier_from_credits",
        "unit_price",
        "price_per_credit",
        "max_storage_gb",
        "max_credit_cents",
    }
)
COUNT_COLUMNS = frozenset({"max_sandboxes", "max_concurrent"})
REQUIRED_COLUMNS = frozenset({"valid_from", "tier_from_credits", "unit_price", "price_per_credit", "exponent"})
"""Columns whose cells must not be empty."""
KEYS = {"customers": "external_user_id"}
"""The key of a seed whose rows no model of errors compares: never empty, and on one row only."""
RESERVED_ID = "(unattributed)"
"""What marts call usage that belongs to nobody (rule 9)."""
NUMBER = re.compile(r"-?(?:0|[1-9][0-9]*)(?:[.][0-9]+)?(?:[eE][+-]?[0-9]+)?")
UTF16_MARKS = (b"\xff\xfe", b"\xfe\xff")


class SeedError(Exception):
    """One line that says which seed is wrong, where, and what to do."""


def configured_columns(root: Path) -> dict[str, list[str]]:
    """The columns of each seed, as `dbt_project.yml` declares their types."""
    import yaml

    project = yaml.safe_load((root / "dbt_project.yml").read_text(encoding="utf-8"))
    seeds = project["seeds"][project["name"]]
    return {name: list(settings["+column_types"]) for name, settings in seeds.items() if not name.startswith("+")}


def check_encodings(root: Path, environment: Mapping[str, str] = os.environ) -> None:
    """Check that every seed of SEEDS_PATH can be decoded at all. Raises `SeedError`."""
    _refuse(
        f"{label}, {error}"
        for label, path, _ in _seed_files(root, environment)
        if path.exists() and (error := _encoding_error(path.read_bytes()))
    )


def check_seeds(root: Path, environment: Mapping[str, str] = os.environ) -> None:
    """Check every seed of SEEDS_PATH (default: `seeds` in `root`). Raises `SeedError`."""
    errors: list[str] = []
    for label, path, columns in _seed_files(root, environment):
        if path.exists():
            errors += (f"{label}, {error}" for error in file_errors(path.read_bytes(), columns, KEYS.get(path.stem)))
        else:
            errors.append(f"{label} is missing: a file with only the header {','.join(columns)} is enough")
    _refuse(errors)


def _seed_files(root: Path, environment: Mapping[str, str]) -> Iterator[tuple[str, Path, list[str]]]:
    """Each seed's name in messages, its file and its columns."""
    seeds_path = Path(environment.get("SEEDS_PATH", "seeds"))
    folder = root / seeds_path
    for name, columns in configured_columns(root).items():
        path = next(iter(sorted(folder.rglob(f"{name}.csv"))), folder / f"{name}.csv")
        yield str(seeds_path / path.relative_to(folder)), path, columns


def _refuse(errors: Iterable[str]) -> None:
    """Raise `SeedError` with the first errors, if there are any."""
    found = list(errors)
    if found:
        more = f"; and {len(found) - SHOWN_ERRORS} more" if len(found) > SHOWN_ERRORS else ""
        raise SeedError(
            "nothing was loaded, correct the seeds, then run dbt build: " + "; ".join(found[:SHOWN_ERRORS]) + more
        )


def _encoding_error(content: bytes) -> str | None:
    """Why the content of a seed is not UTF-8 text; None if it is."""
    if content.startswith(UTF16_MARKS):
        return "line 1: it is UTF-16: save it as CSV UTF-8"
    try:
        content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        return (
            f"line {_line(content, error.start)}: byte {content[error.start]:#04x} is not UTF-8: save it as CSV UTF-8"
        )
    return None


def file_errors(content: bytes, columns: Sequence[str], key: str | None = None) -> Iterator[str]:
    """The errors in the content of a seed, without its file name. `key`: the column that must identify its rows."""
    header_hint = f"the header must be {','.join(columns)}"
    if error := _encoding_error(content):
        yield error
        return
    if b"\0" in content:
        yield f"line {_line(content, content.index(0))}: it holds a NUL byte: save it as CSV UTF-8"
        return
    text = content.decode("utf-8-sig")
    if not text.strip():
        yield f"line 1: it is empty: {header_hint}"
        return
    reader = csv.reader(io.StringIO(text, newline=""), strict=True)
    try:
        rows = []
        line = 1
        for row in reader:
            rows.append((line, row))
            line = reader.line_num + 1
    except csv.Error as failure:
        yield f"line {line}: its quotes do not pair up ({failure}): write a quote in a cell twice"
        return
    header = _without_empty_end(rows[0][1])
    for mark, name in ((";", "semicolons"), ("\t", "tabs")):
        if len(header) == 1 and mark in header[0]:
            yield f"line 1: cells are separated by {name}: save it with commas"
            return
    wrong = [f"line 1, column {column}: it is missing: {header_hint}" for column in columns if column not in header]
    wrong += [
        f"line 1, column {column or '(without a name)'}: it is unknown: {header_hint}"
        for column in dict.fromkeys(header)
        if column not in columns
    ]
    wrong += [
        f"line 1, column {column}: it is there {header.count(column)} times: keep one"
        for column in columns
        if header.count(column) > 1
    ]
    yield from wrong
    if not wrong:
        yield from _row_errors(rows[1:], header, has_uncapped="external_user_id" in columns, width=len(rows[0][1]))
        if key:
            yield from _key_errors(rows[1:], header, key)


def _row_errors(
    rows: Sequence[tuple[int, list[str]]], header: Sequence[str], *, has_uncapped: bool, width: int
) -> Iterator[str]:
    last = max((place for place, (_, row) in enumerate(rows) if any(row)), default=-1)
    for place, (line, row) in enumerate(rows):
        if place > last and len(row) <= width:
            continue
        if not any(row) and len(row) <= width:
            yield f"line {line}: it is blank between other rows: delete it"
            continue
        if len(row) < len(header) or len(row) > width or any(row[len(header) :]):
            yield (
                f"line {line}: it has {len(row)} cells, the header has {len(header)}: "
                "add the missing commas, or put a cell that holds a comma in quotes"
            )
            continue
        for column, cell in zip(header, row, strict=False):
            if re.match(r'[ \t]+"', cell):  # readers of CSV differ in whether such a quote opens a quoted cell
                yield f"line {line}, column {column}: {_quoted(cell)} has a blank before its quote: delete the blank"
            elif wanted := _unmet_requirement(column, cell, has_uncapped=has_uncapped):
                yield f"line {line}, column {column}: {_quoted(cell)} is not {wanted}"


def _key_errors(rows: Sequence[tuple[int, list[str]]], header: Sequence[str], key: str) -> Iterator[str]:
    """The rows whose key is empty, reserved, or on an earlier row too."""
    place = header.index(key)
    lines: dict[str, int] = {}
    for line, row in rows:
        if not any(row) or len(row) <= place:
            continue
        cell = row[place]
        if not cell:
            yield f"line {line}, column {key}: (empty) is no id: write one, or delete the row"
        elif cell == RESERVED_ID:
            yield f"line {line}, column {key}: {_quoted(cell)} is not a user: delete the row"
        elif cell in lines:
            yield f"line {line}, column {key}: {_quoted(cell)} is on line {lines[cell]} too: keep one of them"
        lines.setdefault(cell, line)


def _unmet_requirement(column: str, cell: str, *, has_uncapped: bool) -> str | None:
    """What a cell should be and is not; None if it is correct."""
    if not cell and column not in REQUIRED_COLUMNS:
        return None
    if column in ("valid_from", "valid_to"):
        return None if _is_day(cell) else "a day like 2026-10-31"
    if column == "exponent":
        return None if re.fullmatch("[0-3]", cell) else "0, 1, 2 or 3"
    if column.startswith("max_") and has_uncapped and cell == "uncapped":
        return None
    word = ", or the word uncapped" if column.startswith("max_") and has_uncapped else ""
    if column in COUNT_COLUMNS:
        return None if _is_number(cell, 0) else COUNT + word
    if column in AMOUNT_COLUMNS:
        return None if _is_number(cell, 9) else AMOUNT + word
    return None


def _is_day(cell: str) -> bool:
    try:
        return re.fullmatch("[0-9]{4}-[0-9]{2}-[0-9]{2}", cell) is not None and bool(date.fromisoformat(cell))
    except ValueError:
        return False


def _is_number(cell: str, decimals: int) -> bool:
    """Whether a cell is a JSON number, by value within the decimals: `1E-3` has one meaning in every locale."""
    if not NUMBER.fullmatch(cell):
        return False
    try:
        number = Decimal(cell)
    except InvalidOperation:  # an exponent beyond what Decimal holds
        return False
    if not number:
        return True
    exponent = int(number.as_tuple().exponent)
    digits = "".join(map(str, number.as_tuple().digits))
    exponent += len(digits) - len(digits.rstrip("0"))
    return number > 0 and exponent >= -decimals and number.adjusted() < 9


def _without_empty_end(cells: Sequence[str]) -> list[str]:
    filled = list(cells)
    while filled and not filled[-1]:
        filled.pop()
    return filled


def _line(content: bytes, place: int) -> int:
    return content[:place].replace(b"\r\n", b"\n").replace(b"\r", b"\n").count(b"\n") + 1


def _quoted(cell: str) -> str:
    return "'" + "".join(mark if mark.isprintable() else "?" for mark in cell[:100]) + "'" if cell else "(empty)"
