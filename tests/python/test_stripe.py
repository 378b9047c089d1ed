"""`publish stripe` against the stand-in: what stands there afterwards, by an oracle, and what is said about it."""

from __future__ import annotations

import csv
import re
import shutil
import time
from collections.abc import Callable, Iterator
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

import charges
import delivered as delivery
import pipeline
from charges import PERIOD, Month, Run, customers_at, query, run, standing, standing_at
from core.settings import read_settings_as
from publish.stripe.commands import link_to
from publish.stripe.documents import Document
from publish.stripe.notes import Reading
from publish.stripe.settings import StripeSettings
from simulator.stripe.account import Account
from simulator.stripe.app import TEST_KEY, Failure, Stripe, serve_stripe

ALL = ("--send", "--finalize", "--create-customers")


@pytest.fixture
def stripe() -> Iterator[Stripe]:
    with serve_stripe() as served:
        yield served


class World:
    """A month, its warehouse, and a Stripe account with the month's customers."""

    def __init__(self, month: Month, stripe: Stripe, built: Path, folder: Path) -> None:
        self.month, self.stripe, self.folder = month, stripe, folder
        self.warehouse = charges.warehouse_of(month, built, folder, customers_at(stripe.account, month))

    def run(self, *arguments: str, **more: str) -> charges.Ended:
        """A run to its end; it never says the key, and never ends in a traceback."""
        ended = run(self.stripe, self.warehouse, *arguments, **more)
        said = ended.out + ended.err
        assert TEST_KEY not in said
        assert "Traceback" not in said
        assert not re.search(r"[\x00-\x09\x0b-\x1f\x7f]", said), "a control character reached the terminal"
        return ended

    def has_all(self, *, finalized: bool = True) -> bool:
        """Whether exactly that stands there which has to."""
        return standing_at(self.stripe, self.month) == standing(self.month, finalized=finalized)

    def statuses(self) -> dict[str, str]:
        """What the reconciliation says of each invoice."""
        sql = f"select invoice_id, status from marts.rpt_stripe_reconciliation where invoice_period = '{PERIOD}'"
        return dict(query(self.warehouse, sql))


@pytest.fixture
def small(stripe: Stripe, delivered: Path, tmp_path: Path) -> World:
    return World(charges.small_month(), stripe, delivered, tmp_path / "small")


# --- The month ------------------------------------------------------------------------------------------------------


def test_a_month_of_sixty_users_stands_at_stripe_exactly_as_it_was_closed(
    stripe: Stripe, delivered: Path, tmp_path: Path
) -> None:
    month = charges.large_month()
    world = World(month, stripe, delivered, tmp_path / "large")
    others = stripe.account.create_invoice({"customer": next(iter(stripe.account.customers)), "currency": "eur"})
    before = Path(world.warehouse).read_bytes()

    planned = world.run()
    assert (planned.status, stripe.asked) == (3, [])
    assert Path(world.warehouse).read_bytes() == before
    assert world.run("--send", "--create-customers").status == 0
    assert world.has_all(finalized=False)
    assert world.run().status == 3, "credits are left"
    assert world.run(*ALL).status == 0
    assert world.has_all()
    assert world.run().status == 0
    writes, notes = len(stripe.writes), query(world.warehouse, "select count(*) from ledger.stripe_documents")
    stripe.forget_keys()
    assert world.run(*ALL).status == 0
    assert len(stripe.writes) == writes
    assert query(world.warehouse, "select count(*) from ledger.stripe_documents") == notes
    assert set(world.statuses().values()) == {"ok"}
    assert not [path for path in world.folder.rglob("*") if path.is_file() and TEST_KEY.encode() in path.read_bytes()]
    assert stripe.account.shown(stripe.account.invoice(others["id"])) == others
    assert len(stripe.account.pending) == len(set(month.customers.values()))
    assert query(
        world.warehouse,
        "select count(*) from marts.rpt_stripe_reconciliation"
        f" where invoice_period = '{PERIOD}' and expected_amount <> coalesce(actual_amount, 0)",
    ) == [(0,)]


def test_what_is_shown_before_and_after(small: World) -> None:
    planned, sent = small.run(), small.run("--send")
    rows = {line.split()[0]: line.split()[1:] for line in planned.out.splitlines() if re.match(r" +[A-Z]{3} ", line)}
    # invoices, lines, amount, credits, credited, without customer, below minimum, left
    assert rows == {
        "EUR": ["1", "2", "12.00", "0", "0", "0", "0", "1"],
        "ISK": ["1", "1", "77.00", "0", "0", "0", "0", "1"],
        "JPY": ["0", "0", "0", "1", "-500", "0", "0", "1"],
        "KWD": ["1", "3", "1.020", "0", "0", "0", "0", "1"],
        "USD": ["2", "2", "470.49", "0", "0", "1", "0", "2"],
    }
    assert "1 credits wait for --finalize" in sent.out
    assert re.search(r"^  ada  draft  in_\d+$", sent.out, re.MULTILINE)
    assert sent.err.count("\n") == 1
    assert "has no customer at Stripe: name one in stripe_customers.csv" in sent.err


@pytest.mark.parametrize(
    ("key", "is_credit", "link"),
    [
        ("sk_test_x", False, "https://dashboard.stripe.com/test/invoices/in_1"),
        ("rk_live_x", False, "https://dashboard.stripe.com/invoices/in_1"),
        ("sk_live_x", True, "https://dashboard.stripe.com/customers/cus_1"),
    ],
)
def test_a_link_leads_to_the_dashboard(monkeypatch: pytest.MonkeyPatch, key: str, is_credit: bool, link: str) -> None:
    monkeypatch.setenv("STRIPE_API_KEY", key)
    monkeypatch.delenv("STRIPE_API_BASE", raising=False)
    settings = read_settings_as(StripeSettings, period=PERIOD)
    document = Document("i", "ada", "EUR", 2, "cus_1", "ok", datetime(2026, 4, 2), is_credit, [])
    assert link_to(document, Reading("open", "in_1", "cus_1"), settings) == link


# --- Usage and configuration ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "environment", "says"),
    [
        (("--period", "2026-13"), {}, "is not a month"),
        ((), {}, "--period is missing"),
        (("--period", delivery.OPEN), {}, "is not closed"),
        (("--period", "1999-01"), {}, "is not closed"),
        (("--period", PERIOD, "--finalize"), {}, "use it together with --send"),
        (("--period", PERIOD, "--send"), {"STRIPE_API_KEY": ""}, "STRIPE_API_KEY is not set"),
        (("--period", PERIOD, "--send"), {"STRIPE_API_KEY": "sk_test_\u00e4"}, "a character outside of ASCII"),
        (("--period", PERIOD), {"STRIPE_API_KEY": "sk_test_a\nb"}, "a line break"),
        (("--period", PERIOD, "--send"), {"STRIPE_API_KEY": "sk_live_1secret"}, "give --live"),
        (("--period", PERIOD), {"STRIPE_API_KEY": "rk_live_1secret"}, "give --live"),
        (("--period", PERIOD, "--send"), {"STRIPE_API_BASE": "http://stripe.example"}, "unencrypted"),
        (("--period", PERIOD), {"STRIPE_API_BASE": "https://me:secret@api.stripe.com"}, "holds a user name"),
        (("--period", PERIOD, "--sync"), {"STRIPE_API_KEY": ""}, "STRIPE_API_KEY is not set"),
    ],
)
def test_wrong_usage_is_refused_before_any_request(
    stripe: Stripe, delivered: Path, tmp_path: Path, arguments: tuple[str, ...], environment: dict[str, str], says: str
) -> None:
    ended = Run(stripe, delivered, *arguments, said_in=tmp_path, **environment).wait()
    assert (ended.status, ended.out, stripe.asked) == (2, "", [])
    assert says in ended.err
    assert ended.err.count("\n") == 1
    assert not any(secret in ended.err for secret in ("secret", "sk_test_\u00e4", "sk_test_a"))


def test_a_dry_run_needs_no_key_and_a_live_key_works_with_live(small: World) -> None:
    assert small.run(STRIPE_API_KEY="").status == 3
    small.stripe.api_key = "sk_live_x"
    assert small.run("--send", "--live", STRIPE_API_KEY="sk_live_x").status == 1, "one user has no customer"
    assert len(small.stripe.account.invoices) == 4


def test_a_refused_key_stops_the_run_with_the_invoices_not_tried(small: World) -> None:
    small.stripe.api_key = "another"
    ended = small.run("--send")
    assert ended.status == 1
    assert len(small.stripe.asked) == 0
    assert "Invalid API Key" in ended.err
    assert "5 invoices were not tried" in ended.err


# --- What somebody changed at Stripe is reported and left as it is ---------------------------------------------------


def _finalize_and_void(account: Account, invoice: dict[str, Any]) -> None:
    account.finalize(invoice["id"], {})
    account.void_invoice(invoice["id"])


def _copy(account: Account, invoice: dict[str, Any]) -> None:
    copy = account.create_invoice({"customer": invoice["customer"], "currency": "eur"})
    account.invoices[copy["id"]]["metadata"] = dict(invoice["metadata"])


def _discount(account: Account, invoice: dict[str, Any]) -> None:
    invoice["coupon_percent"] = 50
    account.lines[invoice["id"]][0]["discountable"] = True


MORE = {"lines": [{"amount": "5", "description": "more"}]}
TAMPERS: dict[str, tuple[Callable[[Account, dict[str, Any]], Any], str, str]] = {
    "amount": (lambda account, invoice: account.lines[invoice["id"]][0].update(amount=1), "differs", "should be 1,000"),
    "text": (
        lambda account, invoice: account.lines[invoice["id"]][0].update(description="other"),
        *("differs", "has another text"),
    ),
    "gone": (lambda account, invoice: account.lines[invoice["id"]].pop(), "differs", "1 of its 2 lines are gone"),
    "added": (lambda account, invoice: account.add_lines(invoice["id"], MORE), "differs", "is no line of ours"),
    "metadata": (lambda account, invoice: invoice["metadata"].clear(), "differs", "its metadata are not those"),
    "currency": (lambda account, invoice: invoice.update(currency="usd"), "differs", "its currency is USD, not EUR"),
    "copy": (_copy, "differs", "it stands there 2 times"),
    "discount": (_discount, "differs", "a discount applies"),
    "customer": (lambda account, invoice: None, "differs", "its customer is cus_"),
    "void": (_finalize_and_void, "void", "is void at Stripe; nothing was made in its place"),
    "deleted": (lambda account, invoice: account.delete_invoice(invoice["id"]), "missing", "is deleted at Stripe"),
    "credit": (lambda account, invoice: None, "differs", "it is -499 EUR, and should be -500 EUR"),
    "untouched": (lambda account, invoice: None, "ok", ""),
}
"""What is done to the user's invoice by hand, what the reconciliation then says, and what the run says."""


def test_what_was_changed_by_hand_is_reported_and_left(stripe: Stripe, delivered: Path, tmp_path: Path) -> None:
    lines = [
        line
        for user in TAMPERS
        for line in (
            (charges.ClosedLine(user, "EUR", -500, "back", "adjustment", None),)
            if user == "credit"
            else (charges.ClosedLine(user, "EUR", 1000), charges.ClosedLine(user, "EUR", 7, "Basic: usage", "usage"))
        )
    ]
    world = World(Month(lines, {user: user for user in TAMPERS}), stripe, delivered, tmp_path / "tampered")
    account = stripe.account
    assert world.run("--send").status == 0
    drafts = {invoice["metadata"]["miosa_invoice_id"]: invoice for invoice in [*account.invoices.values()]}
    assert world.run("--send", "--finalize").status == 0
    for invoice in drafts.values():
        invoice["status"] = "draft"
    for user, (tamper, _, _) in TAMPERS.items():
        if user != "credit":
            tamper(account, drafts[f"inv {user} EUR"])
    for transactions in account.balance_transactions.values():
        transactions[0]["amount"] = -499
    other = account.create_customer({"name": "other"})["id"]
    charges.change(
        world.warehouse,
        f"update seeds.stripe_customers set stripe_customer_id = '{other}' where external_user_id = 'customer'",
        *charges.REFRESH,
    )
    writes, stood = len(stripe.writes), repr((account.invoices, account.lines, account.balance_transactions))
    stripe.forget_keys()
    ended = world.run("--send")
    said = dict(line.removeprefix("publish: ").split(", ", 1) for line in ended.err.splitlines())
    assert ended.status == 1
    assert {user: says in said.get(user, "") for user, (_, _, says) in TAMPERS.items()} == dict.fromkeys(TAMPERS, True)
    assert set(said) == set(TAMPERS) - {"untouched"}
    assert world.statuses() == {f"inv {user} EUR": status for user, (_, status, _) in TAMPERS.items()}
    assert world.run().status == 3
    assert len(stripe.writes) == writes
    assert repr((account.invoices, account.lines, account.balance_transactions)) == stood


# --- What Stripe and the network do -----------------------------------------------------------------------------------


@pytest.mark.parametrize("failure", ["500", "half", "429", "409", "lost before", "lost after", "late"])
def test_a_failure_at_any_request_leaves_the_month_as_it_should_be(
    stripe: Stripe, delivered: Path, tmp_path: Path, failure: Failure
) -> None:
    """The failure meets each kind of request once, and the run goes on: nothing is left to a rerun."""
    world = World(charges.small_month(), stripe, delivered, tmp_path)
    met: set[str] = set()

    def once_per_kind(asked: Any) -> Failure | None:
        kind = asked.method + re.sub(r"(cus|in)_\d+", "", asked.path)
        is_wanted = kind not in met and (asked.method == "POST" or failure in ("429", "lost before"))
        met.add(kind)
        return failure if is_wanted else None

    stripe.failures = once_per_kind
    assert world.run(*ALL).status == 0
    assert {each.removeprefix("POST") for each in met if each.startswith("POST")} == {
        *("/v1/customers", "/v1/customers//balance_transactions"),
        *("/v1/invoices", "/v1/invoices//add_lines", "/v1/invoices//finalize"),
    }
    assert world.has_all()


def test_a_declined_request_is_named_and_the_others_go_on(small: World) -> None:
    small.stripe.failures = lambda asked: "402" if asked.path.endswith("/finalize") else None
    ended = small.run(*ALL)
    assert ended.status == 1
    assert ended.err.count("Your card was declined. (status 402)") == 5
    assert small.statuses()["inv bob JPY"] == "ok"
    small.stripe.failures = charges.none_fails
    assert small.run(*ALL).status == 0
    assert small.has_all()


def test_stripe_that_is_away_ends_the_run_after_three_invoices(small: World) -> None:
    small.stripe.base = "http://127.0.0.1:9"
    ended = small.run("--send")
    assert ended.status == 1
    assert "invoices were not tried" in ended.err
    assert small.statuses() == dict.fromkeys(small.statuses(), "not_sent") | {"inv dan EUR": "ok"}


def test_two_machines_at_once_make_one_month(small: World) -> None:
    """Each has a warehouse of its own; the keys and the look make one of two requests out of them."""
    other = delivery.copy_of(small.warehouse, small.folder / "other")
    runs = [Run(small.stripe, each, "--period", PERIOD, *ALL) for each in (small.warehouse, other)]
    assert [each.wait().status for each in runs] == [0, 0]
    assert small.has_all()


def test_two_runs_on_one_warehouse_take_turns(small: World) -> None:
    runs = [Run(small.stripe, small.warehouse, "--period", PERIOD, *ALL) for _ in range(2)]
    assert [each.wait().status for each in runs] == [0, 0]
    assert small.has_all()


def test_a_warehouse_restored_from_before_the_run_finds_everything_again(small: World) -> None:
    before = shutil.copy(small.warehouse, small.folder / "before.duckdb")
    assert small.run(*ALL).status == 0
    small.stripe.forget_keys()
    small.warehouse.with_name(f"{small.warehouse.name}.wal").unlink(missing_ok=True)
    shutil.copy(before, small.warehouse)
    writes = len(small.stripe.writes)
    assert small.run(*ALL).status == 0
    assert len(small.stripe.writes) == writes
    assert set(small.statuses().values()) == {"ok"}


# --- Planted faults -------------------------------------------------------------------------------------------------


def _killed_then_rerun(world: World, fault: str | None, moment: Failure, path: str, *, forgets: bool) -> bool:
    """Kill a run at its first request to create or fill an invoice, then run again; whether all is as it has to be."""
    world.stripe.hold = lambda: _until_asked_again(world.stripe, path)
    running = Run(world.stripe, world.warehouse, "--period", PERIOD, *ALL, fault=fault)
    world.stripe.kill = running.kill
    world.stripe.failures = charges.fails_first(path, moment)
    assert running.wait().status == -9
    world.stripe.failures = charges.none_fails
    if forgets:
        world.stripe.forget_keys()
    status = run(world.stripe, world.warehouse, *ALL, fault=fault).status
    return status == 0 and world.has_all()


def _until_asked_again(stripe: Stripe, path: str) -> None:
    """Wait until the rerun has sent its request and got an answer, whatever the machine is busy with."""
    asked = [each for each in stripe.asked if each.method == "POST" and each.path.endswith(path)]
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        again = [each for each in stripe.asked if each.method == "POST" and each.path.endswith(path)]
        if len(again) > len(asked):
            time.sleep(0.3)
            return
        time.sleep(0.02)


def _half_filled(world: World, fault: str | None) -> bool:
    world.stripe.failures = charges.fails_first("/add_lines", "half")
    return run(world.stripe, world.warehouse, *ALL, fault=fault).status == 0 and world.has_all()


def _plain_run(world: World, fault: str | None) -> bool:
    return run(world.stripe, world.warehouse, *ALL, fault=fault).status == 0 and world.has_all()


def _edited(world: World, fault: str | None) -> bool:
    run(world.stripe, world.warehouse, "--send", "--create-customers")
    invoice = next(iter(world.stripe.account.invoices))
    world.stripe.account.lines[invoice][0]["amount"] += 1
    lines = len(world.stripe.account.lines[invoice])
    status = run(world.stripe, world.warehouse, "--send", fault=fault).status
    return status == 1 and len(world.stripe.account.lines[invoice]) == lines


def _killed_on_its_way(world: World, fault: str | None) -> bool:
    return _killed_then_rerun(world, fault, "kill during", "/invoices", forgets=False)


def _killed_and_forgotten(world: World, fault: str | None) -> bool:
    return _killed_then_rerun(world, fault, "kill after", "/invoices", forgets=True)


def _killed_after_filling(world: World, fault: str | None) -> bool:
    return _killed_then_rerun(world, fault, "kill after", "/add_lines", forgets=True)


@pytest.mark.parametrize(
    ("fault", "scenario"),
    [
        ("random keys", _killed_on_its_way),
        ("search for the look-up", _killed_and_forgotten),
        ("no look-up", _killed_and_forgotten),
        ("float amounts", _plain_run),
        ("a half-filled draft filled again", _half_filled),
        ("a coupon applies", _plain_run),
        ("pending items swept in", _plain_run),
        ("an edited invoice overwritten", _edited),
    ],
)
def test_a_planted_fault_is_caught(
    delivered: Path, tmp_path: Path, fault: str, scenario: Callable[[World, str | None], bool]
) -> None:
    """Without the fault the same scenario ends well, so it is the fault that is caught."""

    def ends_well(planted: str | None) -> bool:
        with serve_stripe() as served:
            return scenario(World(charges.small_month(), served, delivered, tmp_path / str(planted)), planted)

    if scenario not in _well:
        _well[scenario] = ends_well(None)
    assert _well[scenario]
    assert not ends_well(fault)


_well: dict[Callable[[World, str | None], bool], bool] = {}
"""Whether each scenario ends well without a fault: tried once."""


@pytest.mark.parametrize(
    ("found", "planted"),
    [
        ("status = 'closed'", f"invoice_period = '{PERIOD}'"),
        ("('ISK', 'UGX'))) THEN (100)", "('ISK', 'UGX'))) THEN (1)"),
    ],
    ids=["open lines sent", "ISK not times 100"],
)
def test_a_planted_fault_of_the_lines_is_caught(small: World, found: str, planted: str) -> None:
    ((view,),) = query(small.warehouse, "select sql from duckdb_views() where view_name = 'int_stripe_lines'")
    assert found in view
    charges.change(
        small.warehouse,
        "update intermediate.int_invoice_lines set status = 'open' where invoice_id = 'inv ada EUR'",
        view.replace(found, planted).replace("CREATE VIEW", "CREATE OR REPLACE VIEW"),
        *charges.REFRESH,
    )
    expected = standing(small.month, finalized=True)
    del expected["inv ada EUR"]
    small.run(*ALL)
    assert standing_at(small.stripe, small.month) != expected


# --- The way back ---------------------------------------------------------------------------------------------------


def test_payments_refunds_and_disputes_take_and_restore_exactly_their_amounts(small: World) -> None:
    assert small.run(*ALL).status == 0
    account = small.stripe.account
    ours = {each["metadata"].get("miosa_invoice_id"): each["id"] for each in account.invoices.values()}
    paid = account.pay(ours["inv ada EUR"])
    failed = account.refund(paid, 300, "failed")
    account.refund(paid, 200)
    won = account.dispute(paid, 700, "under_review")
    account.dispute(paid, 50, "warning_needs_response")
    account.pay(ours["inv cid ISK"], 700)

    def receivables() -> dict[str, tuple[int, ...]]:
        columns = "invoiced_amount, paid_amount, refunded_amount, disputed_amount, outstanding_amount"
        rows = query(small.warehouse, f"select external_user_id, {columns} from marts.rpt_receivables")
        return {row[0]: row[1:] for row in rows}

    assert small.run("--sync").status == 0
    assert receivables()["ada"] == (1200, 1200, 200, 700, 900)
    assert receivables()["cid"] == (7700, 700, 0, 0, 7000)
    assert receivables()["eve"] == (46950, 0, 0, 0, 46950)
    won["status"] = "won"
    assert small.run("--sync").status == 0
    assert receivables()["ada"] == (1200, 1200, 200, 0, 200)
    failed["status"] = "succeeded"
    assert "1 new rows" in small.run("--sync").out
    assert receivables()["ada"] == (1200, 1200, 500, 0, 500)
    assert "0 new rows" in small.run("--sync").out
    assert query(small.warehouse, "select count(*) from raw.stripe_events where object = 'dispute'") == [(3,)]


# --- Through dbt ----------------------------------------------------------------------------------------------------


def test_a_closed_month_is_charged_and_its_record_survives_a_full_refresh_and_a_restore(
    stripe: Stripe, delivered: Path, tmp_path: Path
) -> None:
    """The ledger as dbt closed it, the seed through staging, a whole build, a backup and a restore."""
    warehouse = delivery.copy_of(delivered, tmp_path / "whole")
    charged = run(stripe, warehouse, *ALL)
    assert charged.status == 0, charged.err
    notes = "select * from ledger.stripe_documents order by all"
    noted = query(warehouse, notes)
    seeds = shutil.copytree(delivered.parent / "seeds", tmp_path / "seeds")
    with (seeds / "stripe_customers.csv").open("a", encoding="utf-8", newline="") as file:
        rows = csv.writer(file, lineterminator="\n")
        for customer in stripe.account.customers.values():
            rows.writerow((customer["metadata"]["miosa_external_user_id"], customer["id"]))
    variables = {"default_plan_id": "standard", "first_billing_period": delivery.FIRST}
    built = pipeline.build(warehouse, "--full-refresh", variables=variables, seeds=seeds)
    assert "assert_stripe_agrees" not in built.stdout.partition("Completed")[2]
    assert query(warehouse, notes) == noted
    without = "select count(*) from marts.fct_stripe_lines where stripe_customer_id is null"
    assert query(warehouse, f"{without} and invoice_period = '{PERIOD}'") == [(0,)]
    writes = len(stripe.writes)
    assert run(stripe, warehouse).status == 0
    assert run(stripe, warehouse, *ALL).status == 0
    assert len(stripe.writes) == writes
    assert query(
        warehouse,
        "select status, count(*) = (select count(*) from marts.fct_invoices where status = 'closed'"
        f" and invoice_period = '{PERIOD}') from marts.rpt_stripe_reconciliation"
        f" where invoice_period = '{PERIOD}' group by status",
    ) == [("ok", True)]

    folder = tmp_path / "backup"
    folder.mkdir()
    environment = {"LEDGER_FOLDER": str(folder)}
    assert pipeline.dbt(warehouse, "run-operation", "backup_ledger", environment=environment).returncode == 0
    tables = ("closed_periods", "closed_invoice_lines", "closed_line_usage", "closed_costs", "stripe_documents")
    charges.change(warehouse, *(f"delete from ledger.{table}" for table in tables))
    restored = pipeline.dbt(warehouse, "run-operation", "restore_ledger", environment=environment)
    assert restored.returncode == 0, restored.stdout
    assert query(warehouse, notes) == noted
