"""Document numbers: the statement that gives them at a close, on a ledger of its own, over random closes.

That they come to the ledger with the close, whole or not at all, is shown by `test_closing.py` and
`test_closing_kills.py`.
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from contextlib import closing
from functools import cache
from itertools import pairwise
from typing import Any

import duckdb
import jinja2
import pytest

from pipeline import ROOT

CLOSE = """
insert into ledger.closed_invoice_lines
select
    lines.line_id, lines.invoice_id, timestamp '{closed_at}',
    documents.issuer_id, documents.document_sequence, documents.document_number
from lines inner join ({documents}) as documents on lines.invoice_id = documents.invoice_id
where lines.status = 'open' and lines.invoice_period = '{period}'
"""

LINES = """
insert into lines
select line_number, "user" || ' ' || $period || ' ' || currency, "user", currency, $period, 'open'
from (
    select
        unnest($users::varchar[]) as "user", unnest($currencies::varchar[]) as currency,
        unnest($counts::bigint[]) as line_count
) cross join range(3) as numbers (line_number)
where line_number < line_count
order by random()
"""


@cache
def macros(file: str) -> Any:
    """The macros of a file."""
    environment = jinja2.Environment(extensions=["jinja2.ext.do"], autoescape=False)  # noqa: S701 - SQL, no page
    given = {"period_start_date": lambda period: f"cast({period} || '-01' as date)"}
    return environment.from_string((ROOT / "macros" / file).read_text("utf-8"), globals=given).make_module()


def macro(file: str, name: str, *arguments: object) -> str:
    """The SQL of a macro of the project."""
    return str(getattr(macros(file), name)(*arguments))


@pytest.fixture
def ledger() -> Iterator[duckdb.DuckDBPyConnection]:
    with closing(duckdb.connect()) as connection:
        connection.execute(
            "create schema ledger; create table ledger.closed_invoice_lines (line_id varchar, invoice_id varchar,"
            " closed_at_utc timestamp, issuer_id varchar, document_sequence bigint, document_number varchar);"
            "create table issuers (issuer_id varchar, valid_from date);"
            "create table lines (line_id varchar, invoice_id varchar, external_user_id varchar, currency varchar,"
            " invoice_period varchar, status varchar)"
        )
        yield connection


def close(connection: duckdb.DuckDBPyConnection, period: str, closed_at: str) -> None:
    """Close a period as the project does."""
    relations = {"stg_billing__issuers": "issuers"}
    documents = macro("closing.sql", "new_document_numbers", relations, "lines", period, closed_at)
    connection.execute(CLOSE.format(documents=documents, period=period, closed_at=closed_at))
    connection.execute("update lines set status = 'closed' where invoice_period = ?", [period])


def errors(connection: duckdb.DuckDBPyConnection) -> list[tuple[object, ...]]:
    return connection.execute(macro("ledger.sql", "document_number_errors")).fetchall()


def test_numbers_have_no_gap_within_an_issuer_and_year(ledger: duckdb.DuckDBPyConnection) -> None:
    """Four years of closes: months of none and of many invoices, several lines each, three issuers after none."""
    rng = random.Random(21)
    ledger.execute("insert into issuers values ('A', '2025-03-01'), ('A-2026', '2026-02-01'), ('B', '2027-07-01')")
    # Closed by a version that gave no numbers.
    ledger.execute("insert into ledger.closed_invoice_lines values ('old', 'old', '2025-01-02', null, null, null)")
    expected: dict[tuple[str | None, int], int] = {}
    months = [f"{year}-{month:02d}" for year in range(2025, 2029) for month in range(1, 13)]
    for period, next_month in pairwise(months):
        # A close is some days late, rarely by a whole month.
        closed_at = f"{next_month}-{rng.randint(1, 28):02d} 08:00:00.{rng.randint(0, 999_999):06d}"
        issuer = max(
            ((day, id_) for id_, day in (("A", "2025-03"), ("A-2026", "2026-02"), ("B", "2027-07")) if day <= period),
            default=("", None),
        )[1]
        users = rng.sample(range(1000), rng.choice((0, 1, 7, 40)))
        names = sorted(
            (f"u{user}", currency) for user in users for currency in rng.sample(("EUR", "USD"), rng.randint(1, 2))
        )
        ledger.execute(
            LINES,
            {
                "period": period,
                "users": [user for user, _ in names],
                "currencies": [currency for _, currency in names],
                "counts": [rng.randint(1, 3) for _ in names],
            },
        )
        close(ledger, period, closed_at)
        year = int(closed_at[:4])
        found = ledger.execute(
            "select distinct invoice_id, issuer_id, document_sequence, document_number from ledger.closed_invoice_lines"
            " where closed_at_utc = ? order by document_sequence",
            [closed_at],
        ).fetchall()
        first = expected.get((issuer, year), 0) + 1
        expected[issuer, year] = first + len(names) - 1
        prefix = f"{issuer}-" if issuer else ""
        assert found == [
            (f"{user} {period} {currency}", issuer, number, f"{prefix}{year}-{number:06d}")
            for number, (user, currency) in enumerate(names, first)
        ]
        assert errors(ledger) == []
    assert len({issuer for issuer, _ in expected}) == 4
    assert max(expected.values()) > 100


@pytest.mark.parametrize(
    "fault",
    [
        "update ledger.closed_invoice_lines set document_sequence = 9 where invoice_id = 'b'",
        "update ledger.closed_invoice_lines set document_sequence = 1, document_number = '2026-000001'",
        "update ledger.closed_invoice_lines set document_number = '2026-000001'",
        "update ledger.closed_invoice_lines set document_sequence = null where invoice_id = 'a'",
        "update ledger.closed_invoice_lines set issuer_id = 'A' where invoice_id = 'b'",
        "update ledger.closed_invoice_lines set closed_at_utc = '2027-01-01' where invoice_id = 'b'",
        "delete from ledger.closed_invoice_lines where invoice_id = 'a'",
    ],
)
def test_a_gap_or_a_number_used_twice_is_found(ledger: duckdb.DuckDBPyConnection, fault: str) -> None:
    ledger.execute("insert into lines select i, i, i, 'EUR', '2026-10', 'open' from unnest(['a', 'b', 'c']) as t (i)")
    close(ledger, "2026-10", "2026-11-02 08:00:00.000000")
    assert errors(ledger) == []
    ledger.execute(fault)
    assert errors(ledger) != []


def test_a_number_of_more_than_six_digits_is_not_cut(ledger: duckdb.DuckDBPyConnection) -> None:
    ledger.execute(
        "insert into ledger.closed_invoice_lines values ('l', 'i', '2026-02-01', null, 999999, '2026-999999')"
    )
    ledger.execute("insert into lines values ('l1', 'i1', 'u', 'EUR', '2026-10', 'open')")
    close(ledger, "2026-10", "2026-11-02 08:00:00.000000")
    assert ledger.execute(
        "select max_by(document_number, document_sequence) from ledger.closed_invoice_lines"
    ).fetchall() == [("2026-1000000",)]
