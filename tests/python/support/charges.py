"""Months to charge: closed invoices written into a copy of a built warehouse, what they have to be at Stripe, and runs.

`warehouse_of` writes the lines where a close would have put them (the ledger, `int_invoice_lines`, `fct_invoices`) and
lets the project's own views make the rest, so that no test needs a build of its own. `standing` is the oracle: what has
to stand at Stripe, from the lines and the interface alone.
"""

from __future__ import annotations

import multiprocessing
import os
import random
import sys
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any, NamedTuple

import duckdb

import delivered
import stripe_faults
from pipeline import ROOT
from simulator.stripe.account import Account
from simulator.stripe.app import TEST_KEY, Asked, Failure, Stripe

PERIOD = delivered.SECOND
"""The closed period whose invoices are replaced."""

EXPONENTS = {"USD": 2, "EUR": 2, "JPY": 0, "KWD": 3, "ISK": 0}
MOST_LINES = 250
RUN_SECONDS = 900


class ClosedLine(NamedTuple):
    """A closed invoice line; the amount is in our minor units."""

    user: str
    currency: str
    amount: int
    description: str = "Basic: fee"
    line_type: str = "fee"
    plan: str | None = "basic"
    service_period: str = PERIOD
    tier: int | None = None

    @property
    def invoice_id(self) -> str:
        """One invoice per user and currency."""
        return f"inv {self.user} {self.currency}"


@dataclass
class Month:
    """Closed lines, and which users have which customer. None of them was made by `--create-customers`."""

    lines: list[ClosedLine]
    customers: dict[str, str] = field(default_factory=dict)

    def ids(self) -> dict[ClosedLine, str]:
        """The id of each line; equal lines would share one, so a month has none."""
        ids = {line: f"line {number}" for number, line in enumerate(self.lines)}
        assert len(ids) == len(self.lines), "a month has no two equal lines"
        return ids

    def by_invoice(self) -> dict[str, list[ClosedLine]]:
        """The lines of each invoice."""
        found: dict[str, list[ClosedLine]] = defaultdict(list)
        for line in self.lines:
            found[line.invoice_id].append(line)
        return found


# --- Months ---------------------------------------------------------------------------------------------------------

HOSTILE = ('O\'Neil "x"', "=cmd()", "../..", "<b>&amp;", "a,b;c", "\u202eright-to-left", "tab\tand\nnewline\x1b[31m")


def small_month(*, without_customer: bool = True) -> Month:
    """One invoice of each kind: several currencies, a credit, nothing, a half-filled running sum, 300 lines, ids."""
    lines = [
        ClosedLine("ada", "EUR", 1234),
        ClosedLine("ada", "EUR", -34, "Adjustment of 2026-02", "adjustment", None, "2026-02"),
        ClosedLine("ada", "EUR", 0, "Basic: included", "included"),
        ClosedLine("bob", "KWD", 4),
        ClosedLine("bob", "KWD", 5, "Basic: minimum", "minimum"),
        ClosedLine("bob", "KWD", 1006, "Basic: usage", "usage", "basic", PERIOD, 0),
        ClosedLine("bob", "JPY", -500, "Adjustment of 2026-02", "adjustment", None, "2026-02"),
        ClosedLine("cid", "ISK", 77),
        ClosedLine("dan", "EUR", 5, "Adjustment of 2026-01", "adjustment", None, "2026-01"),
        ClosedLine("dan", "EUR", -5, "Adjustment of 2026-02", "adjustment", None, "2026-02"),
        *(ClosedLine("eve", "USD", 7 + n, f"Tiers: {n}", "usage", "tiers", PERIOD, n) for n in range(300)),
        ClosedLine(HOSTILE[-1], "USD", 99, "x" * 700 + HOSTILE[-1]),
    ]
    # Two users share a customer.
    customers = {"ada": "shared", "bob": "shared", "cid": "cid", "dan": "dan", "eve": "eve"}
    if not without_customer:
        customers[HOSTILE[-1]] = "hostile"
    return Month(lines, customers)


def large_month(users: int = 60) -> Month:
    """Sixty users in five currencies, with credits, invoices of nothing, 300 lines, shared and missing customers."""
    chance = random.Random(23)
    lines: list[ClosedLine] = []
    customers: dict[str, str] = {}
    for number in range(users):
        user = f"{number:02}{HOSTILE[number % len(HOSTILE)]}"
        currency = [*EXPONENTS][number % len(EXPONENTS)]
        if number % 17 == 3:
            lines += [ClosedLine(user, currency, 100), ClosedLine(user, currency, -100, "back", "adjustment", None)]
        elif number % 11 == 5:
            lines.append(ClosedLine(user, currency, -chance.randint(1, 9999), "back", "adjustment", None, "2026-02"))
        else:
            count = 300 if number == 30 else chance.randint(1, 6)
            for tier in range(count):
                text = f"Plan {chance.choice(HOSTILE)}: tier {tier} {'é' * chance.choice((0, 600))}"
                lines.append(ClosedLine(user, currency, chance.randint(1, 50_000), text, "usage", "p", PERIOD, tier))
            lines.append(ClosedLine(user, currency, -chance.randint(1, 50), "less", "adjustment", None, "2026-02"))
        if number % 13 != 7:
            customers[user] = f"c{number // 2 if number % 10 == 1 else number}"
    return Month(lines, customers)


def warehouse_of(month: Month, built: Path, folder: Path, customer_ids: Mapping[str, str]) -> Path:
    """A copy of a built warehouse whose closed period holds exactly these invoices.

    `customer_ids`: Stripe's id of each customer that the month names.
    """
    warehouse = delivered.copy_of(built, folder)
    columns = (
        "line_id varchar, invoice_id varchar, external_user_id varchar, invoice_period varchar,"
        " service_period varchar, line_type varchar, plan_id varchar, tier_from_credits decimal(18, 9),"
        " quantity_credits decimal(38, 9), amount_minor bigint, amount decimal(18, 3), currency varchar,"
        " status varchar, closed_at_utc timestamp, description varchar, currency_exponent integer"
    )
    rows = [
        (
            *(line_id, line.invoice_id, line.user, PERIOD, line.service_period, line.line_type, line.plan),
            *(line.tier, 0, line.amount, 0, line.currency, "closed", datetime(2026, 4, 2), line.description),
            EXPONENTS[line.currency],
        )
        for line, line_id in month.ids().items()
    ]
    with closing(duckdb.connect(str(warehouse))) as file:
        file.execute(f"create temp table added ({columns})")
        file.executemany(f"insert into added values ({', '.join('?' * 16)})", rows)
        for table in ("ledger.closed_invoice_lines", "intermediate.int_invoice_lines", "marts.fct_invoices"):
            file.execute(f"delete from {table} where invoice_period = ?", [PERIOD])
        file.execute("insert into intermediate.int_invoice_lines by name select * from added")
        file.execute("insert into ledger.closed_invoice_lines by name select * exclude (status) from added")
        file.execute(
            "insert into marts.fct_invoices by name select invoice_id, external_user_id, invoice_period, currency,"
            " strptime(invoice_period, '%Y-%m')::date as invoice_period_start_date, 0 as credits, 0 as amount,"
            " sum(amount_minor)::bigint as amount_minor, count(*) as line_count, 'closed' as status,"
            " any_value(closed_at_utc) as closed_at_utc, sum(amount_minor) < 0 as is_credit, 0 as fee_amount,"
            " 0 as usage_amount, 0 as minimum_amount, 0 as adjustment_amount, 0 as credit_amount"
            " from added group by all"
        )
        for user, customer in month.customers.items():
            file.execute("insert into seeds.stripe_customers values (?, ?)", [user, customer_ids[customer]])
        for statement in REFRESH:
            file.execute(statement)
    return warehouse


REFRESH = (
    "delete from marts.fct_stripe_lines",
    "insert into marts.fct_stripe_lines by name select *, strptime(invoice_period, '%Y-%m')::date as"
    " invoice_period_start_date, strptime(service_period, '%Y-%m')::date as service_period_start_date"
    " from intermediate.int_stripe_lines",
)
"""Make the mart from its view again, as a build does."""


def customers_at(account: Account, month: Month) -> dict[str, str]:
    """Make the month's customers at Stripe; each has a coupon and an item that waits. Returns their ids."""
    ids = {}
    for name in dict.fromkeys(month.customers.values()):
        customer = account.create_customer({"name": name})
        customer["coupon_percent"] = 50
        account.add_pending_item(customer["id"], "eur", 999, "waits for the next invoice")
        ids[name] = customer["id"]
    return ids


# --- The oracle -----------------------------------------------------------------------------------------------------

Standing = dict[str, Any]


def stripe_total(amount: int, currency: str) -> int:
    """An amount of ours in Stripe's minor units, by the interface."""
    if currency == "ISK":
        return amount * 100
    if EXPONENTS[currency] == 3:
        size = (abs(amount) + 5) // 10 * 10
        return size if amount >= 0 else -size
    return amount


def standing(month: Month, *, finalized: bool) -> Standing:
    """What has to stand at Stripe: by invoice, its owner's customer, currency, state, and the amounts of its lines.

    Owners without a customer in the seed are told by their id. Amounts of three decimals are told as their sum, with
    that they end in 0: which line gets a rounding is not part of the interface.
    """
    ids = month.ids()
    found: Standing = {}
    for invoice_id, lines in month.by_invoice().items():
        total, currency, user = sum(line.amount for line in lines), lines[0].currency, lines[0].user
        owner = month.customers.get(user, f"new {user}")
        amount = stripe_total(total, currency)
        if total < 0 and finalized:
            found[invoice_id] = ("credit", owner, currency, amount)
        elif total > 0:
            sent = [line for line in lines if line.amount]
            if len(sent) <= MOST_LINES:
                shown = sorted((ids[line], line.description[:500], _exact(line.amount, currency)) for line in sent)
            else:
                kinds = sorted({(line.line_type, line.service_period, line.plan or "") for line in sent})
                shown = sorted(
                    (str(len(group)), "", _exact(sum(line.amount for line in group), currency))
                    for kind in kinds
                    if (group := [x for x in sent if (x.line_type, x.service_period, x.plan or "") == kind])
                )
            state = "open" if finalized and amount > 0 else "paid" if finalized else "draft"
            found[invoice_id] = (state, finalized, owner, currency, amount, shown)
    return found


def _exact(amount: int, currency: str) -> int | None:
    return None if EXPONENTS[currency] == 3 else stripe_total(amount, currency)


def standing_at(stripe: Stripe, month: Month) -> Standing:
    """What stands at Stripe, told like `standing`. What stands there twice is in it twice, as a list."""
    account = stripe.account
    names = {each["id"]: each["name"] for each in account.customers.values()}
    known = set(month.customers.values())
    found: dict[str, list[Any]] = defaultdict(list)

    def owner(customer: str) -> str:
        name = names[customer]
        return name if name in known else f"new {account.customers[customer]['metadata']['miosa_external_user_id']}"

    for invoice in map(account.shown, account.invoices.values()):
        invoice_id = invoice["metadata"].get("miosa_invoice_id")
        if invoice_id is None:
            continue
        lines = account.lines[invoice["id"]]
        assert all(isinstance(line["amount"], int) for line in lines)
        currency = invoice["currency"].upper()
        if EXPONENTS[currency] == 3:
            assert all(line["amount"] % 10 == 0 for line in lines)
        shown = sorted(
            (
                line["metadata"].get("miosa_line_id") or line["metadata"]["miosa_line_count"],
                line["description"] if "miosa_line_id" in line["metadata"] else "",
                None if EXPONENTS[currency] == 3 else line["amount"],
            )
            for line in lines
        )
        found[invoice_id].append(
            (invoice["status"], invoice["auto_advance"], owner(invoice["customer"]), currency, invoice["total"], shown)
        )
    for transactions in account.balance_transactions.values():
        for each in transactions:
            if invoice_id := each["metadata"].get("miosa_invoice_id"):
                found[invoice_id].append(("credit", owner(each["customer"]), each["currency"].upper(), each["amount"]))
    return {invoice_id: each[0] if len(each) == 1 else each for invoice_id, each in found.items()}


# --- Runs -----------------------------------------------------------------------------------------------------------


class Ended(NamedTuple):
    """How a run ended: its status (-9 where it was killed), and what it said."""

    status: int
    out: str
    err: str


def _child(arguments: Sequence[str], environment: Mapping[str, str], said: str, fault: str | None) -> None:
    """Run the command in this process, with a planted fault or without one."""
    os.environ.clear()
    os.environ.update(environment)
    os.chdir(ROOT)
    for number, name in ((1, "out"), (2, "err")):
        os.dup2(os.open(f"{said}.{name}", os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), number)
    if fault:
        stripe_faults.FAULTS[fault]()
    from publish.cli import main

    sys.argv = ["publish", *arguments]
    main()


_context = multiprocessing.get_context("forkserver")
_context.set_forkserver_preload(["charges", "publish.cli", "publish.stripe.charging", "publish.stripe.syncing"])


class Run:
    """A run of `publish stripe` in a process of its own: a fork, because imports take longer than a run."""

    def __init__(
        self,
        stripe: Stripe,
        warehouse: Path,
        *arguments: str,
        fault: str | None = None,
        said_in: Path | None = None,
        **environment: str,
    ) -> None:
        """Start it. What it says goes into files of a folder, that of the warehouse if none is named."""
        folder = said_in or warehouse.parent
        self._said = folder / f"said-{len(list(folder.glob('said-*.out')))}"
        self._said.with_suffix(".out").touch()
        given = {
            **{name: os.environ[name] for name in ("PATH", "HOME", "LANG") if name in os.environ},
            **{"WAREHOUSE_PATH": str(warehouse), "STRIPE_API_KEY": TEST_KEY, "STRIPE_API_BASE": stripe.base},
            **environment,
        }
        given = {name: value for name, value in given.items() if value}
        self._process = _context.Process(
            target=_child, args=(["stripe", *arguments], given, str(self._said), fault), daemon=True
        )
        self._process.start()

    def kill(self) -> None:
        """SIGKILL, unless it has ended."""
        self._process.kill()

    def wait(self) -> Ended:
        """Wait for its end."""
        self._process.join(RUN_SECONDS)
        status = self._process.exitcode
        assert status is not None, "the run takes too long"
        return Ended(status, *(self._said.with_suffix(f".{name}").read_text() for name in ("out", "err")))


def run(stripe: Stripe, warehouse: Path, *arguments: str, fault: str | None = None, **environment: str) -> Ended:
    """A run for the month, to its end."""
    return Run(stripe, warehouse, "--period", PERIOD, *arguments, fault=fault, said_in=None, **environment).wait()


def run_killed(
    stripe: Stripe, warehouse: Path, *arguments: str, at: int, moment: Failure, fault: str | None = None
) -> Ended:
    """A run that is killed at its request number `at`, counted from 1."""
    first = len(stripe.asked)
    stripe.failures = lambda asked: moment if asked.number == first + at else None
    running = Run(stripe, warehouse, "--period", PERIOD, *arguments, fault=fault)
    stripe.kill = running.kill
    ended = running.wait()
    stripe.failures = none_fails
    return ended


def none_fails(asked: Asked) -> Failure | None:
    """Nothing goes wrong."""
    return None


def fails_first(path: str, failure: Failure, *, skips: int = 0) -> Callable[[Asked], Failure | None]:
    """The first request fails that changes something at an address with this end, after some that do not."""
    met: list[int] = []

    def fails(asked: Asked) -> Failure | None:
        if asked.method != "POST" or not asked.path.endswith(path):
            return None
        met.append(asked.number)
        return failure if len(met) == skips + 1 else None

    return fails


def query(warehouse: Path, sql: str) -> list[Any]:
    """Rows of a warehouse."""
    with closing(duckdb.connect(str(warehouse), read_only=True)) as file:
        return file.execute(sql).fetchall()


def change(warehouse: Path, *statements: str) -> None:
    """Change a warehouse by hand."""
    with closing(duckdb.connect(str(warehouse))) as file:
        for statement in statements:
            file.execute(statement)
