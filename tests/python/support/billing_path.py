"""Billing histories through the whole path: a step's state as the vendor's rows, and the billing marts as integers.

It holds no test of its own. What is read back is in the oracle's units and under the oracle's keys: nano-credits,
minor units, days as `YYYY-MM-DD`; `amount` in thousandths, what the vendor is paid in billionths of its currency.
"""

from __future__ import annotations

import random
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping
from contextlib import closing
from functools import partial
from pathlib import Path
from typing import Any

import duckdb

import billing_oracle
import histories
import oracle
import pipeline
import tenants
from billing_oracle import Billing, DayPart, Ledger, LineKey
from histories import RawSession, State
from oracle import Mart, round_half_away
from pipeline import query
from simulator.server import serve
from tenants import Rows, Span, quoted

VENDOR_CURRENCY = "USD"
CREDITS_A_VENDOR_UNIT = 100
"""The project's variables: 1 credit costs the platform 1 cent of a dollar."""
_ALWAYS = oracle.read_time("0001-01-01") or 0


# --- What the vendor lists -----------------------------------------------------------------------------------------


def session_text(session: RawSession) -> str:
    """A session as a row, spelt in one of many ways, and the same way each time."""
    rng = random.Random(repr(session))
    project, workspace = histories.place_of(session)
    fields = {
        "id": quoted(session.session_id),
        "external_user_id": quoted(session.user),
        "computer_id": quoted(session.sandbox),
        "external_project_id": quoted(project),
        "workspace_id": quoted(workspace),
        "started_at": quoted(tenants.time_text(session.start, rng)),
        "ended_at": "null" if session.end is None else quoted(tenants.time_text(session.end, rng)),
        # Where a session that runs ends so far (rule 12), so that nothing depends on when the warehouse asks.
        "duration_sec": str(session.seconds),
        rng.choice(tenants.COST_NAMES): tenants.nano_spellings(session.nano_credits, rng),
    }
    return tenants.row_text(fields)


def rows_of(state: State) -> Rows:
    """What the API lists in a state."""
    sandboxes = (
        tenants.row_text({"id": quoted(sandbox), "external_user_id": quoted(changes[-1][1])})
        for sandbox, changes in state.owners.items()
    )
    return Rows(tuple(session_text(session) for session in state.sessions), tuple(sandboxes))


def land(state: State, warehouse: Path, span: Span) -> None:
    """Serve a state and extract it; a step may void any number of sessions.

    The owners are asked for when the state says (`State.asked_at`), and the vendor counts as the rules do.
    """
    tenant = rows_of(state).tenant()
    for sandbox, changes in state.owners.items():
        instants = sorted({at for at, _ in changes})
        always, owner_at = [(_ALWAYS, changes[0][1])], partial(oracle.owner_at, changes)
        tenant.put_owners(sandbox, always + [(at, owner_at(at) or oracle.UNATTRIBUTED) for at in instants])
    with serve(tenant) as server:
        pipeline.extract(server.base_url, warehouse, "--allow-voids", "--window-days", "31", span=span)
    with closing(duckdb.connect(str(warehouse))) as connection:
        connection.execute(
            "update raw.loads set started_at_utc = make_timestamp($1) where load_id ="
            " (select max(load_id) from raw.loads where resource = 'sandboxes')",
            [state.asked_at],
        )


def variables_of(state: State, close_period: str | None = None) -> dict[str, str]:
    """The variables of a build in this state; not set is empty, as in the project."""
    return {
        "default_plan_id": state.prices.default_plan_id or "",
        "first_billing_period": state.prices.first_billing_period or "",
        "close_period": close_period or "",
        # Random histories change whole plans at once; the brake on that (rule 36) has tests of its own.
        "accept_large_changes": "true",
    }


# --- What the marts must hold --------------------------------------------------------------------------------------


def vendor_cost(nano_credits: int) -> int:
    """What credits cost the platform, in billionths of the vendor's currency."""
    return round_half_away(nano_credits, CREDITS_A_VENDOR_UNIT)


def expected_billing(state: State, parts: list[DayPart], ledger: Ledger, billing: Billing) -> dict[str, Mart]:
    """All billing marts, by the oracle."""
    exponents = {**state.prices.exponent_of, **ledger.exponents}
    lines = billing_oracle.fct_invoice_lines(ledger, billing)
    for key, line in lines.items():
        line["currency_exponent"] = exponents[key[4]]
        line["amount"] = billing_oracle.thousandths(line["amount_minor"], exponents[key[4]])
    breakdown = billing_oracle.fct_invoice_breakdown(ledger, billing)
    for key, row in breakdown.items():
        row["amount"] = billing_oracle.thousandths(row["amount_minor"], exponents[key[4]])
    invoices, margin = billing_oracle.invoices(ledger, billing), billing_oracle.margin(ledger, billing)
    for rows in (invoices, margin):
        for key, row in rows.items():
            row["amount"] = billing_oracle.thousandths(row["amount_minor"], exponents[key[2]])
    for key, row in invoices.items():
        for part in (*billing_oracle.PARTS.values(), "credit", "previous"):
            if part in row:
                minor = row.pop(part)
                amount = None if minor is None else billing_oracle.thousandths(minor, exponents[key[2]])
                row[f"{part}_amount"] = amount
    for key, row in margin.items():
        row["vendor_cost"], row["vendor_currency"] = vendor_cost(row["credits"]), VENDOR_CURRENCY
        profit = row["amount"] * 10**6 - row["vendor_cost"]
        row["margin"] = profit if key[2] == VENDOR_CURRENCY else None
    drift: Mart = {}
    for key, row in billing_oracle.price_drift(parts, ledger, billing).items():
        difference = row.pop("difference_minor")
        amount = billing_oracle.thousandths(difference, exponents[key[2]])
        drift[key] = {**row, "difference_amount_minor": difference, "difference_amount": amount}
    unbilled = billing_oracle.unbilled(parts, billing)
    for row in unbilled.values():
        row["vendor_cost"], row["vendor_currency"] = vendor_cost(row["credits"]), VENDOR_CURRENCY
    return {
        "fct_invoice_lines": lines,
        "fct_invoice_line_usage": billing_oracle.fct_invoice_line_usage(ledger, billing),
        "fct_invoice_breakdown": breakdown,
        "fct_revenue_days": billing_oracle.fct_revenue_days(ledger, billing, exponents),
        "rpt_month_over_month": month_over_month(invoices, lines, billing),
        "rpt_revenue_retention": revenue_retention(lines),
        "fct_invoices": invoices,
        "rpt_margin": margin,
        "rpt_price_drift": drift,
        "rpt_unbilled_usage": unbilled,
    }


REVENUE_KEY = (
    *("line_type", "external_user_id", "plan_id", "currency", "external_project_id", "service_date", "recognized_in"),
)


def month_over_month(invoices: Mart, lines: Mart, billing: Billing) -> Mart:
    """Each invoice beside that of the month before; users who are new, or gone, by lines other than adjustments."""
    months = {(user, period) for user, period, _, line_type, *_ in lines if line_type != "adjustment"}
    nothing = {"credits": 0, "amount": 0}
    after = {(user, billing_oracle.next_period(period), currency) for user, period, currency in invoices}
    mart: Mart = {}
    for user, period, currency in {*invoices, *after}:
        if billing.last_period is None or period > billing.last_period:
            continue
        before = oracle.month_name(oracle.month_number(period) - 1)
        today, earlier = (
            invoices.get((user, period, currency), nothing),
            invoices.get((user, before, currency), nothing),
        )
        mart[user, period, currency] = {
            "credits": today["credits"],
            "previous_credits": earlier["credits"],
            "credits_difference": today["credits"] - earlier["credits"],
            "amount": today["amount"],
            "previous_amount": earlier["amount"],
            "amount_difference": today["amount"] - earlier["amount"],
            "is_new_user": (user, period) in months and (user, before) not in months,
            "is_lost_user": (user, period) not in months and (user, before) in months,
        }
    return mart


def revenue_retention(lines: Mart) -> Mart:
    """What is left of the first invoices of each month, by lines other than adjustments."""
    paid: dict[tuple[str, str], dict[str, int]] = defaultdict(lambda: defaultdict(int))
    for (user, period, _, line_type, currency, *_), line in lines.items():
        if line_type != "adjustment":
            paid[user, currency][period] += line["amount"]
    periods = {period for amounts in paid.values() for period in amounts}
    mart: Mart = {}
    for (_, currency), amounts in paid.items():
        first = min(amounts)
        for period in (period for period in periods if period >= first):
            row = mart.setdefault(
                (first, period, currency),
                {"cohort_user_count": 0, "user_count": 0, "starting_amount": 0, "amount": 0, "retained_amount": 0},
            )
            row["cohort_user_count"] += 1
            row["user_count"] += period in amounts
            row["starting_amount"] += amounts[first]
            row["amount"] += amounts.get(period, 0)
            row["retained_amount"] += min(amounts[period], amounts[first]) if period in amounts else 0
    return mart


def closed_periods(ledger: Ledger) -> Mart:
    """What the ledger must say of each closed period: counts and totals."""
    mart: Mart = {}
    for period in ledger.closed_periods:
        lines = [line for line in ledger.lines if line.key.invoice_period == period]
        amounts: dict[str, int] = defaultdict(int)
        for line in lines:
            amounts[line.key.currency] += line.amount_minor
        mart[(period,)] = {
            "invoice_count": len({(line.key.external_user_id, line.key.currency) for line in lines}),
            "line_count": len(lines),
            "usage_row_count": sum(piece.line.invoice_period == period for piece in ledger.pieces),
            "credits": sum(line.quantity_credits for line in lines),
            "amounts_minor": ", ".join(f"{currency} {amounts[currency]}" for currency in sorted(amounts)),
        }
    return mart


# --- What the marts hold -------------------------------------------------------------------------------------------


def plain_rows(warehouse: Path, sql: str) -> list[dict[str, Any]]:
    """Rows of a query, in the oracle's units."""
    return [{column: pipeline.plain(column, value) for column, value in row.items()} for row in query(warehouse, sql)]


def _by_key(name: str, rows: Iterable[tuple[Any, dict[str, Any]]]) -> Mart:
    """Rows by their key. Raises `AssertionError` where one stands twice."""
    mart: Mart = {}
    for key, row in rows:
        if key in mart:
            raise AssertionError(f"{name} has two rows of {key}")
        mart[key] = row
    return mart


def _take(row: dict[str, Any], *columns: str) -> tuple[Any, ...]:
    return tuple(row.pop(column) for column in columns)


def read_billing(rows_of_query: Callable[[str], list[dict[str, Any]]]) -> dict[str, Mart]:
    """All billing marts by the oracle's keys, from a warehouse that answers queries in the oracle's units.

    Raises `AssertionError` where a key or an id stands twice, an id is not one of its key, or a status and a time of
    closing do not agree.
    """

    def _rows(name: str) -> list[dict[str, Any]]:
        return rows_of_query(f"select * from marts.{name}")

    lines, keys = _rows("fct_invoice_lines"), {}
    invoices: dict[tuple[Any, ...], str] = {}
    for row in lines:
        keys[row["line_id"]] = key = LineKey(*(row[column] for column in LineKey._fields))
        invoice = key.external_user_id, key.invoice_period, key.currency
        assert invoices.setdefault(invoice, row["invoice_id"]) == row["invoice_id"], f"two ids of invoice {invoice}"
    assert len(keys) == len(lines), "a line_id stands twice"
    assert len(set(invoices.values())) == len(invoices), "an invoice_id stands for two"
    by_invoice = _rows("fct_invoices")
    assert {
        (row["external_user_id"], row["invoice_period"], row["currency"]): row["invoice_id"] for row in by_invoice
    } == (invoices)
    for row in (*lines, *by_invoice):
        assert (row["status"] == "closed") == (row["closed_at_utc"] is not None), f"status and time: {row}"
    # With nine decimals, not three as other amounts.
    pieces = rows_of_query("select * rename (amount as share) from marts.fct_invoice_line_usage")
    assert {row["line_id"] for row in pieces} <= keys.keys(), "a piece is of no line"
    breakdown = _rows("fct_invoice_breakdown")
    assert {row["line_id"] for row in breakdown} == keys.keys(), "a breakdown is of no line, or a line has none"
    user_columns = ("external_user_id", "service_period", "currency")
    unbilled = [row for row in _rows("rpt_unbilled_usage") if row["reason"] != "rejected"]
    marts: dict[str, list[tuple[Any, dict[str, Any]]]] = {
        "fct_invoice_lines": [(LineKey(*_take(row, *LineKey._fields)), row) for row in lines],
        "fct_invoice_line_usage": [
            ((keys[row["line_id"]], *_take(row, "session_id", "usage_date")), row) for row in pieces
        ],
        "fct_invoice_breakdown": [
            ((*keys[row["line_id"]], *_take(row, "external_project_id", "workspace_id")), row) for row in breakdown
        ],
        # With nine decimals, not three as other amounts.
        "fct_revenue_days": [
            (_take(row, *REVENUE_KEY), row)
            for row in rows_of_query("select * rename (amount as revenue) from marts.fct_revenue_days")
        ],
        "rpt_month_over_month": [
            (_take(row, "external_user_id", "invoice_period", "currency"), row) for row in _rows("rpt_month_over_month")
        ],
        "rpt_revenue_retention": [
            (_take(row, "cohort_period", "invoice_period", "currency"), row) for row in _rows("rpt_revenue_retention")
        ],
        "fct_invoices": [(_take(row, "external_user_id", "invoice_period", "currency"), row) for row in by_invoice],
        "rpt_margin": [(_take(row, *user_columns), row) for row in _rows("rpt_margin")],
        "rpt_price_drift": [(_take(row, *user_columns), row) for row in _rows("rpt_price_drift")],
        # Sessions that cost nothing are listed as well; the oracle looks at credits.
        "rpt_unbilled_usage": [(_take(row, "billing_period", "reason"), row) for row in unbilled if row["credits"]],
    }
    return {name: _by_key(name, rows) for name, rows in marts.items()}


def read_closed_periods(warehouse: Path) -> Mart:
    """What the ledger says of each closed period."""
    rows = plain_rows(warehouse, "select * from ledger.closed_periods")
    return {(row["billing_period"],): row for row in rows}


def billing_differences(expected: Mapping[str, Mart], actual: Mapping[str, Mart]) -> list[str]:
    """Everything in which the billing marts and the oracle differ."""
    assert expected.keys() == actual.keys()
    return [f"{name} {line}" for name in expected for line in pipeline.mart_differences(expected[name], actual[name])]


# --- Rules that are checked on the marts themselves ----------------------------------------------------------------


def broken_invariants(marts: Mapping[str, Mart], parts: Iterable[DayPart], billing: Billing) -> list[str]:
    """Rules 27 and 29 in plain sums over the marts, against today's sessions and the recomputation."""
    found = []
    # Rule 27: for every user and service period, closed and open lines are the recomputation.
    stands: dict[tuple[str, str, str], list[int]] = defaultdict(lambda: [0, 0])
    today: dict[tuple[str, str, str], list[int]] = defaultdict(lambda: [0, 0])
    lines: dict[LineKey, dict[str, Any]] = {LineKey(*key): row for key, row in marts["fct_invoice_lines"].items()}
    for key, row in lines.items():
        sums = stands[key.external_user_id, key.service_period, key.currency]
        sums[0] += row["quantity_credits"]
        sums[1] += row["amount_minor"]
    for line in billing.recomputed[0]:
        sums = today[line.key.external_user_id, line.key.service_period, line.key.currency]
        sums[0] += line.quantity_credits
        sums[1] += line.amount_minor
    for user_period in sorted({*stands, *today}):
        if stands[user_period] != today[user_period]:
            found.append(f"rule 27: {user_period} {stands[user_period]}, recomputed {today[user_period]}")
    # Rule 29: a line's pieces sum to its quantity, those of a session's day to its credits today.
    by_line: dict[LineKey, int] = defaultdict(int)
    money: dict[LineKey, int] = defaultdict(int)
    by_day: dict[tuple[str, str, str], int] = defaultdict(int)
    for (line_key, session, day), row in marts["fct_invoice_line_usage"].items():
        by_line[line_key] += row["credits"]
        money[line_key] += row["share"]
        by_day[line_key.external_user_id, session, day] += row["credits"]
        if day[:7] != line_key.service_period:
            found.append(f"rule 29: a piece of {day} on {line_key}")
    broken_down: dict[LineKey, list[int]] = defaultdict(lambda: [0, 0])
    for (*cells, _, _), row in marts["fct_invoice_breakdown"].items():
        broken_down[LineKey(*cells)][0] += row["credits"]
        broken_down[LineKey(*cells)][1] += row["amount_minor"]
    for line_key, row in lines.items():
        if by_line[line_key] != row["quantity_credits"]:
            found.append(f"rule 29: the pieces of {line_key} sum to {by_line[line_key]}, not {row['quantity_credits']}")
        # Rule 39: so do their shares and its breakdown, to its amount.
        if line_key in money and money[line_key] != row["amount"] * 10**6:
            found.append(f"rule 39: the shares of {line_key} sum to {money[line_key]}, not {row['amount']} thousandths")
        if broken_down[line_key] != [row["quantity_credits"], row["amount_minor"]]:
            found.append(f"rule 39: the breakdown of {line_key} is {broken_down[line_key]}")
    # Rule 40: the days of each invoice sum to it.
    earned: dict[tuple[str, str, str], list[int]] = defaultdict(lambda: [0, 0])
    for (_, user, _, currency, _, _, recognized_in), row in marts["fct_revenue_days"].items():
        earned[user, recognized_in, currency][0] += row["credits"]
        earned[user, recognized_in, currency][1] += row["revenue"]
    for invoice, row in marts["fct_invoices"].items():
        if earned.pop(invoice, [0, 0]) != [row["credits"], row["amount"] * 10**6]:
            found.append(f"rule 40: the days of {invoice} do not sum to {row}")
    found += [f"rule 40: revenue without an invoice: {invoice}" for invoice in earned]
    first = billing.first_billing_period
    credits = {
        (part.external_user_id, part.session_id, part.usage_date): part.nano_credits
        for part in parts
        if billing_oracle.is_billed(part) and first is not None and part.usage_date[:7] >= first
    }
    for session_day in sorted({*credits, *by_day}):
        if credits.get(session_day, 0) != by_day[session_day]:
            found.append(f"rule 29: {session_day} {by_day[session_day]}, today {credits.get(session_day, 0)}")
    return found


# --- Rows as they stand --------------------------------------------------------------------------------------------

Table = list[tuple[Any, ...]]


def table_rows(warehouse: Path, sql: str) -> Table:
    """All rows of a query with all their cells, rows and cells in an order of their own."""
    return sorted((tuple(sorted(row.items())) for row in query(warehouse, sql)), key=repr)


def tables(warehouse: Path, schema: str) -> dict[str, Table]:
    """All tables of a schema, row by row, but for the mart that lists the builds themselves."""
    names = query(
        warehouse,
        "select table_name from information_schema.tables where table_schema = ? and table_name <> 'rpt_builds'"
        " order by all",
        [schema],
    )
    return {row["table_name"]: table_rows(warehouse, f"select * from {schema}.{row['table_name']}") for row in names}


CLOSED_ROWS = {
    "ledger periods": "select * from ledger.closed_periods where billing_period <= '{0}'",
    "ledger lines": "select * from ledger.closed_invoice_lines where invoice_period <= '{0}'",
    "ledger pieces": "select * from ledger.closed_line_usage where invoice_period <= '{0}'",
    "periods": "select billing_period, is_closed, closed_at_utc from marts.dim_billing_periods where is_closed"
    " and billing_period <= '{0}'",
    "lines": "select * from marts.fct_invoice_lines where status = 'closed' and invoice_period <= '{0}'",
    "invoices": "select * from marts.fct_invoices where status = 'closed' and invoice_period <= '{0}'",
    "pieces": "select * from marts.fct_invoice_line_usage where status = 'closed' and invoice_period <= '{0}'",
    "breakdown": "select * from marts.fct_invoice_breakdown where status = 'closed' and invoice_period <= '{0}'",
    "revenue": "select * from marts.fct_revenue_days where status = 'closed' and recognized_in <= '{0}'",
}
"""What is closed with the periods up to one: all columns of all rows, of the ledger and of what shows it."""


def closed_rows(warehouse: Path, last_period: str) -> dict[str, Table]:
    """All that must never change any more once these periods are closed (rules 23 and 25)."""
    return {name: table_rows(warehouse, sql.format(last_period)) for name, sql in CLOSED_ROWS.items()}


_SHOWN = (
    "select * exclude (status, closed_at_utc, document_sequence, document_number, invoice_period_start_date,"
    " service_period_start_date) from marts.fct_invoice_lines"
    " where invoice_period = '{0}' and status = '{1}'",
    "select line_id, session_id, usage_date, credits, invoice_period, amount, usage_seconds, sandbox_id,"
    " external_project_id, workspace_id, change_reason, change_load_id, change_read_at_utc"
    " from marts.fct_invoice_line_usage where invoice_period = '{0}' and status = '{1}'",
    "select * exclude (status, closed_at_utc, document_sequence, document_number) from marts.fct_invoices"
    " where invoice_period = '{0}' and status = '{1}'",
    "select * exclude (status) from marts.fct_invoice_breakdown where invoice_period = '{0}' and status = '{1}'",
    "select * exclude (status) from marts.fct_revenue_days where recognized_in = '{0}' and status = '{1}'",
)


def period_shown(warehouse: Path, period: str, status: str) -> list[Table]:
    """The lines, pieces and invoices that the marts show as open or closed with a period: what a preview is of.

    But for the number of a document, which only a closed invoice has.
    """
    return [table_rows(warehouse, sql.format(period, status)) for sql in _SHOWN]


def period_frozen(warehouse: Path, period: str) -> list[Table]:
    """The lines and pieces that the ledger holds of a period, in the shape in which the marts show them."""
    lines = (
        "select * exclude (closed_at_utc, document_sequence, document_number) from ledger.closed_invoice_lines"
        f" where invoice_period = '{period}'"
    )
    pieces = f"select * from ledger.closed_line_usage where invoice_period = '{period}'"
    return [table_rows(warehouse, lines), table_rows(warehouse, pieces)]
