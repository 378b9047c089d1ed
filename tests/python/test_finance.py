"""The twelve questions of docs/finance.md on a warehouse with closes and adjustments, against figures worked out apart.

The figures are the oracle's, or plain integers of the vendor's rows as they were landed. Nothing here knows a mart or
its SQL but the questions themselves. Question 9, on limits, is in test_documents.py.
"""

from __future__ import annotations

import json
import shutil
from collections import defaultdict
from collections.abc import Iterable
from contextlib import closing
from decimal import Decimal
from pathlib import Path
from typing import Any

import duckdb
import pytest

import billing_oracle
import delivered as delivery
import oracle
from billing_oracle import Billing, Ledger, Line
from delivered import OPEN, SECOND
from histories import Outcome
from pipeline import query
from reason_oracle import Record
from test_documents import FINANCE

Rows = list[dict[str, Any]]


@pytest.fixture(scope="module")
def steps() -> list[Outcome]:
    """What the oracle says of the two steps of the warehouse."""
    return delivery.outcomes()


@pytest.fixture(scope="module")
def now(steps: list[Outcome]) -> tuple[Ledger, Billing]:
    """The ledger after the second close, and what is open then."""
    last = steps[-1]
    return last.after, billing_oracle.invoice(last.step.state.prices, last.parts, last.after)


def ask(warehouse: Path, number: int, period: str = SECOND, user: str = "user-0001") -> Rows:
    """The answer to a question of the page, of another period and user."""
    question = FINANCE[str(number)].replace("'2026-10'", f"'{period}'")
    return query(warehouse, question.replace("'user-0001'", "'" + user.replace("'", "''") + "'"))


def whole(number: Decimal | None, decimals: int) -> int | None:
    """A decimal as a whole number of its smallest unit."""
    if number is None:
        return None
    scaled = number.scaleb(decimals)
    assert scaled == scaled.to_integral_value()
    return int(scaled)


def thousandths(lines: Iterable[Line], steps: list[Outcome]) -> int:
    """What lines of one currency come to."""
    exponents = steps[-1].step.state.prices.exponent_of
    return sum(billing_oracle.thousandths(line.amount_minor, exponents[line.key.currency]) for line in lines)


def by(lines: Iterable[Line], *names: str) -> dict[tuple[Any, ...], list[Line]]:
    """Lines by some cells of their keys."""
    found: dict[tuple[Any, ...], list[Line]] = defaultdict(list)
    for line in lines:
        found[tuple(getattr(line.key, name) for name in names)].append(line)
    return dict(found)


def test_question_1_is_answered_by_the_run_that_ended_last(delivered: Path) -> None:
    (newest,) = query(delivered, "select * from builds.history order by build_number desc limit 1")
    (row,) = ask(delivered, 1)
    assert (row["build_kind"], row["status"], row["failure_count"]) == ("close", newest["status"], 0)
    assert row["ended_at_utc"] == newest["ended_at_utc"]
    assert (row["is_raw_newer"], row["is_proven"]) == (False, True)


@pytest.mark.parametrize("period", [SECOND, OPEN])
def test_question_2_adds_up_the_lines(
    delivered: Path, steps: list[Outcome], now: tuple[Ledger, Billing], period: str
) -> None:
    lines = [line for line in now[0].lines + now[1].lines if line.key.invoice_period == period]
    expected = []
    for (currency,), own in sorted(by(lines, "currency").items()):
        invoices = by(own, "external_user_id").values()
        kinds = by(own, "line_type")
        totals = [thousandths(invoice, steps) for invoice in invoices]
        given_back = sum(
            -thousandths([line for line in invoice if line.amount_minor < 0], steps)
            for invoice, total in zip(invoices, totals, strict=True)
            if total >= 0
        )
        parts = [thousandths(kinds.get((kind,), ()), steps) for kind in ("fee", "usage", "minimum", "adjustment")]
        expected.append((currency, len(totals), sum(totals), *parts, given_back, sum(total < 0 for total in totals)))
        assert sum(parts) == sum(totals)
    rows = [tuple(row.values()) for row in ask(delivered, 2, period)]
    assert [(row[0], row[1], *(whole(cell, 3) for cell in row[2:8]), row[8]) for row in rows] == expected
    assert len(expected) > 2


def test_question_3_sums_what_is_earned_and_not_closed(
    delivered: Path, steps: list[Outcome], now: tuple[Ledger, Billing]
) -> None:
    """All days of the open month have elapsed, so it is all of the open lines."""
    expected = {
        key: thousandths(own, steps) * 10**6 for key, own in by(now[1].lines, "service_period", "currency").items()
    }
    rows = ask(delivered, 3)
    assert {(row["service_period"], row["currency"]): whole(row["accrued"], 9) for row in rows} == expected


def test_question_3_leaves_out_the_days_ahead(
    delivered: Path, steps: list[Outcome], now: tuple[Ledger, Billing], tmp_path: Path
) -> None:
    """As if the newest load had begun on the 10th of the open month."""
    copy = delivery.copy_of(delivered, tmp_path)
    with closing(duckdb.connect(str(copy))) as connection:
        connection.execute("update raw.loads set started_at_utc = ?::timestamp", [f"{OPEN}-10 12:00:00"])
    expected: dict[tuple[str, str], int] = defaultdict(int)
    days = billing_oracle.fct_revenue_days(*now, steps[-1].step.state.prices.exponent_of)
    for (_, _, _, currency, _, day, recognized_in), row in days.items():
        if recognized_in == OPEN and day <= f"{OPEN}-10":
            expected[row["service_period"], currency] += row["revenue"]
    rows = ask(copy, 3)
    assert {(row["service_period"], row["currency"]): whole(row["accrued"], 9) for row in rows} == expected
    in_all = {row["currency"]: row["accrued"] for row in ask(delivered, 3)}
    assert any(row["accrued"] < in_all[row["currency"]] for row in rows)


def test_question_4_splits_invoices_by_project(
    delivered: Path, steps: list[Outcome], now: tuple[Ledger, Billing]
) -> None:
    exponents = steps[-1].step.state.prices.exponent_of
    expected: dict[tuple[Any, ...], list[int]] = defaultdict(lambda: [0, 0])
    for key, row in billing_oracle.fct_invoice_breakdown(*now).items():
        user, period, _, _, currency, _, _, _, project, _ = key
        if period == SECOND:
            expected[user, project, currency][0] += row["credits"]
            expected[user, project, currency][1] += billing_oracle.thousandths(row["amount_minor"], exponents[currency])
    rows = ask(delivered, 4)
    columns = ("external_user_id", "external_project_id", "currency")
    found = {tuple(row[name] for name in columns): [whole(row["credits"], 9), whole(row["amount"], 3)] for row in rows}
    assert found == expected
    assert any(project for _, project, _ in expected)


def test_question_5_says_what_changed_an_earlier_month(delivered: Path, steps: list[Outcome]) -> None:
    """Each adjusted user: the reasons by the record of what was changed, what was billed by the ledger."""
    record = Record()
    for outcome in steps:
        record.read(outcome.step.state)
        lines, pieces = record.explain(outcome.before, outcome.billing, outcome.parts)
        record.close(outcome.before, outcome.billing, outcome.parts)
    last = steps[-1]
    loads = query(delivered, "select load_id, run_id from raw.loads where resource = 'usage_sessions' order by load_id")
    runs = list(dict.fromkeys(row["run_id"] for row in loads))
    step_of = {
        row["load_id"]: runs.index(row["run_id"]) for row in query(delivered, "from raw.loads") if row["run_id"] in runs
    }
    adjustments = [line for line in last.billing.lines if line.key.line_type == "adjustment"]
    for user in {line.key.external_user_id for line in adjustments}:
        rows = ask(delivered, 5, SECOND, user)
        own = [line for line in adjustments if line.key.external_user_id == user]
        assert {(row["service_period"], row["currency"]) for row in rows} == {
            (line.key.service_period, line.key.currency) for line in own
        }
        for line in own:
            key = line.key
            of_line = [
                row for row in rows if (row["service_period"], row["currency"]) == (key.service_period, key.currency)
            ]
            assert ", ".join(sorted({row["change_reason"] for row in of_line})) == lines[key]
            billed = thousandths(
                (
                    closed
                    for closed in last.before.lines
                    if closed.key[0] == user and (closed.key[2], closed.key[4]) == (key.service_period, key.currency)
                ),
                steps,
            )
            amounts = ("line_billed_amount", "line_amount", "line_known_amount")
            change = thousandths([line], steps)
            assert {tuple(whole(row[name], 3) for name in amounts) for row in of_line} == {
                (billed, change, billed + change)
            }
            for row in of_line:
                if row["session_id"] is None:
                    assert row["change_reason"] in ("plan", "price")
                    continue
                session, day = row["session_id"], row["usage_date"].isoformat()
                reason, step = pieces[key, session, day]
                assert (row["change_reason"], step_of[row["change_load_id"]]) == (reason, step)
                known = sum(
                    part.nano_credits
                    for part in last.parts
                    if (part.session_id, part.external_user_id, part.usage_date) == (session, user, day)
                )
                assert whole(row["known_credits"], 9) == known
                assert whole(row["billed_credits"], 9) == known - (whole(row["credits"], 9) or 0)
    assert len(adjustments) > 3


def test_question_6_keeps_corrections_apart(delivered: Path, steps: list[Outcome], now: tuple[Ledger, Billing]) -> None:
    expected = {}
    for key, own in by(now[0].lines + now[1].lines, "service_period", "currency").items():
        later = [line for line in own if line.key.line_type == "adjustment"]
        first = [line for line in own if line.key.line_type != "adjustment"]
        expected[key] = tuple(thousandths(part, steps) if part else None for part in (first, later, own))
    names = ("billed_at_first", "corrected_later", "amount")
    rows = ask(delivered, 6)
    found = {(row["service_period"], row["currency"]): tuple(whole(row[name], 3) for name in names) for row in rows}
    assert found == expected


def test_question_7_takes_a_hundredth_of_a_dollar_off_for_each_credit(
    delivered: Path, steps: list[Outcome], now: tuple[Ledger, Billing]
) -> None:
    """In billionths of a dollar, rounded for each user and month."""
    expected = {}
    for (period, currency), own in by(now[0].lines + now[1].lines, "service_period", "currency").items():
        credits = [sum(line.quantity_credits for line in lines) for lines in by(own, "external_user_id").values()]
        cost = sum(oracle.round_half_away(abs(number), 100) * (1 if number >= 0 else -1) for number in credits)
        amount = thousandths(own, steps)
        margin = amount * 10**6 - cost if currency == "USD" else None
        expected[period, currency] = (sum(credits), amount, cost, margin)
    found = {
        (row["service_period"], row["currency"]): (
            *(whole(row["credits"], 9), whole(row["amount"], 3)),
            *(whole(row["vendor_cost"], 9), whole(row["margin"], 9)),
        )
        for row in ask(delivered, 7)
    }
    assert found == expected


def test_question_8_sets_an_invoice_beside_the_one_before(
    delivered: Path, steps: list[Outcome], now: tuple[Ledger, Billing]
) -> None:
    lines = now[0].lines + now[1].lines
    totals = {
        key: thousandths(own, steps) for key, own in by(lines, "invoice_period", "external_user_id", "currency").items()
    }
    billed = {
        (line.key.invoice_period, line.key.external_user_id) for line in lines if line.key.line_type != "adjustment"
    }
    expected = {}
    for user, currency in {key[1:] for key in totals if key[0] in (delivery.FIRST, SECOND)}:
        before, today = (totals.get((period, user, currency), 0) for period in (delivery.FIRST, SECOND))
        was, is_there = ((period, user) in billed for period in (delivery.FIRST, SECOND))
        expected[user, currency] = (before, today, today - before, is_there and not was, was and not is_there)
    names = ("previous_amount", "amount", "amount_difference")
    found = {
        (row["external_user_id"], row["currency"]): (
            *(whole(row[name], 3) for name in names),
            *(row["is_new_user"], row["is_lost_user"]),
        )
        for row in ask(delivered, 8)
    }
    assert found == expected


def test_question_10_finds_what_belongs_to_nobody(delivered: Path, steps: list[Outcome]) -> None:
    nobodys: dict[str, int] = defaultdict(int)
    for part in steps[-1].parts:
        if part.external_user_id == oracle.UNATTRIBUTED:
            nobodys[part.usage_date[:7]] += part.nano_credits
    rows = ask(delivered, 10)
    assert {row["billing_period"]: whole(row["credits"], 9) for row in rows if row["credits"]} == {
        period: credits for period, credits in nobodys.items() if credits
    }
    assert {row["reason"] for row in rows} == {"unattributed"}


@pytest.mark.parametrize("period", delivery.MONTHS)
def test_question_11_leads_from_our_users_to_the_vendors_total(
    delivered: Path, steps: list[Outcome], period: str
) -> None:
    parts = [part for part in steps[-1].parts if part.usage_date.startswith(period)]
    nobodys = sum(part.nano_credits for part in parts if part.external_user_id == oracle.UNATTRIBUTED)
    users = sum(part.nano_credits for part in parts) - nobodys
    (summary,) = query(
        delivered,
        f"select payload from raw.usage_summaries where row_key = '{period}' order by load_id desc limit 1",
    )
    body = json.loads(summary["payload"], parse_float=Decimal, parse_int=Decimal)
    vendor = whole(Decimal(body.get("data", body)["total_credits"]), 9)
    found = {row["step"]: whole(row["credits"], 9) for row in ask(delivered, 11, period)}
    assert found.pop("vendor") == vendor == users + nobodys
    assert {step: credits for step, credits in found.items() if credits} == {
        step: credits for step, credits in (("invoiced_users", users), ("unattributed", nobodys)) if credits
    }


def test_question_12_shows_names(delivered: Path, tmp_path: Path, now: tuple[Ledger, Billing]) -> None:
    lines = [line for line in now[0].lines if line.key.invoice_period == SECOND]
    named, *_ = sorted({line.key.external_user_id for line in lines})
    copy = Path(shutil.copy(delivered, tmp_path / "usage.duckdb"))
    with closing(duckdb.connect(str(copy))) as connection:
        connection.execute(
            "update intermediate.int_user_details set display_name = ? where external_user_id = ?", ["A Ltd", named]
        )
    rows = ask(copy, 12)
    assert {(row["external_user_id"], row["currency"]) for row in rows} == set(
        by(lines, "external_user_id", "currency")
    )
    assert all(
        row["display_name"] == ("A Ltd" if row["external_user_id"] == named else row["external_user_id"])
        for row in rows
    )
