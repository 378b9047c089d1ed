"""SIGKILL at any request leaves a month that a rerun completes: the end state is always the same.

A run is killed before a request is worked on, while it is, and before its answer; the run after it finds its keys
remembered at Stripe or forgotten. `make test` draws a sample, `--full` kills at every request of the small month, and
at every write of the month of sixty users, one after the other.
"""

from __future__ import annotations

import random
import time
from pathlib import Path

import pytest

import charges
from charges import Month, customers_at, run, run_killed, standing, standing_at
from simulator.stripe.app import Asked, Failure, Stripe, serve_stripe

ALL = ("--send", "--finalize", "--create-customers")
MOMENTS: tuple[Failure, ...] = ("kill before", "kill during", "kill after")
SAMPLE = 7


def requests_of(month: Month, built: Path, folder: Path) -> list[Asked]:
    """The requests of an undisturbed run."""
    with serve_stripe() as stripe:
        warehouse = charges.warehouse_of(month, built, folder, customers_at(stripe.account, month))
        assert run(stripe, warehouse, *ALL).status == 0
        assert standing_at(stripe, month) == standing(month, finalized=True)
        return stripe.asked


def kill_once(month: Month, built: Path, folder: Path, at: int, moment: Failure, *, forgets: bool) -> None:
    """Kill a run at one request, run again, and look; a third run changes nothing."""
    with serve_stripe() as stripe:
        stripe.hold = lambda: time.sleep(0.3)
        warehouse = charges.warehouse_of(month, built, folder, customers_at(stripe.account, month))
        assert run_killed(stripe, warehouse, *ALL, at=at, moment=moment).status == -9
        if forgets:
            stripe.forget_keys()
        rerun = run(stripe, warehouse, *ALL)
        assert rerun.status == 0, rerun.err
        assert standing_at(stripe, month) == standing(month, finalized=True)
        assert charges.query(
            warehouse,
            "select count(*) from marts.rpt_stripe_reconciliation"
            f" where invoice_period = '{charges.PERIOD}' and status <> 'ok'",
        ) == [(0,)]
        assert stripe.account.pending.keys() == customers_of(stripe, month)


def customers_of(stripe: Stripe, month: Month) -> set[str]:
    """The ids of the customers who were there before."""
    names = set(month.customers.values())
    return {each["id"] for each in stripe.account.customers.values() if each["name"] in names}


def test_a_sample_of_kills_leaves_the_month_as_it_should_be(delivered: Path, tmp_path: Path) -> None:
    """One write of each kind and some other requests, at changing moments, with keys remembered and forgotten."""
    month = charges.small_month()
    asked = requests_of(month, delivered, tmp_path / "undisturbed")
    kinds: dict[str, int] = {}
    for number, each in enumerate(asked, start=1):
        if each.method == "POST":
            kinds.setdefault(each.path.rpartition("/")[2], number)
    assert set(kinds) == {"customers", "invoices", "add_lines", "finalize", "balance_transactions"}
    chance = random.Random(4)
    chosen = [*kinds.values(), *chance.sample(range(1, len(asked) + 1), SAMPLE - len(kinds))]
    for place, at in enumerate(chosen):
        # The three moments of the writes in turn; nothing of what is forgotten may matter.
        moment = MOMENTS[(place + 2) % 3]
        kill_once(month, delivered, tmp_path / str(place), at, moment, forgets=moment == "kill after" or place % 2 == 0)


@pytest.mark.slow
@pytest.mark.parametrize("forgets", [False, True], ids=["remembered", "forgotten"])
@pytest.mark.parametrize("moment", MOMENTS)
def test_a_kill_at_every_request_leaves_the_month_as_it_should_be(
    delivered: Path, tmp_path: Path, moment: Failure, forgets: bool
) -> None:
    month = charges.small_month()
    for at in range(1, len(requests_of(month, delivered, tmp_path / "undisturbed")) + 1):
        kill_once(month, delivered, tmp_path / "killed", at, moment, forgets=forgets)


@pytest.mark.slow
@pytest.mark.parametrize("forgets", [False, True], ids=["remembered", "forgotten"])
def test_a_month_killed_at_each_of_its_writes_is_as_it_should_be(
    delivered: Path, tmp_path: Path, forgets: bool
) -> None:
    """Sixty users: each run is killed at its next write, at one moment after the other, until one comes to its end."""
    month, chance = charges.large_month(), random.Random(7)
    with serve_stripe() as stripe:
        stripe.hold = lambda: time.sleep(0.3)
        warehouse = charges.warehouse_of(month, delivered, tmp_path / "large", customers_at(stripe.account, month))
        kills = 0
        while True:
            running = charges.Run(stripe, warehouse, "--period", charges.PERIOD, *ALL)
            stripe.kill = running.kill
            # Keys that are not met again would be killed at forever: the third write of a run is a new one.
            stripe.failures = charges.fails_first("", chance.choice(MOMENTS), skips=chance.randint(0, 2))
            status = running.wait().status
            if status != -9:
                break
            kills += 1
            if forgets:
                stripe.forget_keys()
        assert status == 0
        assert kills > len(month.by_invoice())
        assert standing_at(stripe, month) == standing(month, finalized=True)
