"""The billing oracle, pinned by examples that were worked out by hand from the rules.

Unless it says otherwise: user `u` is on plan `p` all the time, in euros, without fee, allowance and minimum, at one
cent a credit, and the first billing period is October 2026 (31 days).
"""

from __future__ import annotations

from dataclasses import replace
from datetime import date
from typing import Any

import pytest

import billing_oracle
from billing_oracle import Billing, Currency, DayPart, Fault, Ledger, Line, LineKey, Plan, Price, Prices, Tier, UserPlan
from oracle import NANO, UNATTRIBUTED, nano

OCTOBER, NOVEMBER, DECEMBER = "2026-10", "2026-11", "2026-12"
START = "2026-01-01"
CENT = "0.01"


def price(
    plan: str = "p",
    valid_from: str = START,
    valid_to: str | None = None,
    fee: str = "0",
    included: str = "0",
    minimum: str = "0",
    model: str = "graduated",
) -> Price:
    return Price(plan, valid_from, valid_to, nano(fee), nano(included), nano(minimum), model)


def tiers(*steps: tuple[str, str], plan: str = "p", valid_from: str = START) -> tuple[Tier, ...]:
    """Tiers of a price list: from how many credits on, and the unit price."""
    return tuple(Tier(plan, valid_from, nano(edge), nano(unit_price)) for edge, unit_price in steps)


USUAL = Prices(
    plans=(Plan("p", "P", "EUR"),),
    prices=(price(),),
    tiers=tiers(("0", CENT)),
    user_plans=(UserPlan("u", "p", START, None),),
    currencies=(Currency("EUR", 2), Currency("JPY", 0), Currency("KWD", 3)),
    first_billing_period=OCTOBER,
)


def priced(row: Price, *steps: tuple[str, str], currency: str = "EUR") -> Prices:
    """The usual prices, but for the price list of plan `p` and its currency."""
    plans = (Plan("p", "P", currency),)
    return replace(USUAL, plans=plans, prices=(row,), tiers=tiers(*(steps or (("0", CENT),)), plan=row.plan_id))


def used(text: str, day: str = "2026-10-05", session: str = "s", user: str = "u", second: int = 0) -> DayPart:
    """A session's part, begun so many seconds after midnight."""
    start = (date.fromisoformat(day).toordinal() - date(1970, 1, 1).toordinal()) * 86_400 + second
    return DayPart(session, user, day, start * 1_000_000, nano(text))


def shown(lines: tuple[Line, ...], period: str = OCTOBER) -> list[tuple[Any, ...]]:
    """The lines of an invoice period as (type, plan, tier's edge, quantity, minor units)."""
    return [
        (line.key.line_type, line.key.plan_id, line.key.tier_from_credits, line.quantity_credits, line.amount_minor)
        for line in lines
        if line.key.invoice_period == period
    ]


def lines_of(prices: Prices, *parts: DayPart, period: str = OCTOBER) -> list[tuple[Any, ...]]:
    """The first open lines."""
    assert billing_oracle.faults(prices, parts, Ledger()) == set()
    return shown(billing_oracle.invoice(prices, parts, Ledger()).lines, period)


def pieces_of(billing: Billing, period: str = OCTOBER) -> list[tuple[Any, ...]]:
    """The open pieces of an invoice period as (line type, plan, tier's edge, session, day of the month, credits)."""
    return [
        (p.line.line_type, p.line.plan_id, p.line.tier_from_credits, p.session_id, int(p.usage_date[8:]), p.credits)
        for p in billing.pieces
        if p.line.invoice_period == period
    ]


def closed(prices: Prices, *parts: DayPart, ledger: Ledger | None = None, period: str = OCTOBER) -> Ledger:
    """The ledger after a close."""
    return billing_oracle.close(ledger or Ledger(), period, prices, parts)


# --- Tiers and allowance (rules 20, 21) ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("amount", "lines"),
    [
        # 9.999999999 x 1 cent = 9.999999999 cents: 10
        ("9.999999999", [("usage", "p", 0, nano("9.999999999"), 10)]),
        # 10 x 1 cent = 10; none is above the edge
        ("10", [("usage", "p", 0, nano("10"), 10)]),
        # 10 x 1 cent, and 0.000000001 x 5 cents = 0.000000005 cents: 0; its quantity makes the line
        ("10.000000001", [("usage", "p", 0, nano("10"), 10), ("usage", "p", nano("10"), 1, 0)]),
        # 10 x 1 cent = 10; 2.5 x 5 cents = 12.5: 13
        ("12.5", [("usage", "p", 0, nano("10"), 10), ("usage", "p", nano("10"), nano("2.5"), 13)]),
    ],
)
def test_rule_21_graduated_at_an_edge(amount: str, lines: list[tuple[Any, ...]]) -> None:
    assert lines_of(priced(price(), ("0", CENT), ("10", "0.05")), used(amount)) == lines


@pytest.mark.parametrize(
    ("amount", "lines"),
    [
        ("9.999999999", [("usage", "p", 0, nano("9.999999999"), 10)]),
        # the edge is reached: 10 x 5 cents = 50
        ("10", [("usage", "p", nano("10"), nano("10"), 50)]),
        # 10.000000001 x 5 cents = 50.000000005 cents
        ("10.000000001", [("usage", "p", nano("10"), nano("10.000000001"), 50)]),
    ],
)
def test_rule_21_volume_at_an_edge_reprices_all(amount: str, lines: list[tuple[Any, ...]]) -> None:
    assert lines_of(priced(price(model="volume"), ("0", CENT), ("10", "0.05")), used(amount)) == lines


@pytest.mark.parametrize(
    ("amount", "lines"),
    [
        ("9.999999999", [("included", "p", None, nano("9.999999999"), 0)]),
        ("10", [("included", "p", None, nano("10"), 0)]),
        ("10.000000001", [("included", "p", None, nano("10"), 0), ("usage", "p", 0, 1, 0)]),
        # 15 - 10 = 5 after the allowance: on the edge of the second tier, so still in the first: 5 cents
        ("15", [("included", "p", None, nano("10"), 0), ("usage", "p", 0, nano("5"), 5)]),
        ("0", []),
    ],
)
def test_rule_21_the_allowance_first(amount: str, lines: list[tuple[Any, ...]]) -> None:
    assert lines_of(priced(price(included="10"), ("0", CENT), ("5", "0.05")), used(amount)) == lines


def test_rule_21_volume_counts_after_the_allowance() -> None:
    prices = priced(price(included="10", model="volume"), ("0", CENT), ("5", "0.05"))
    assert lines_of(prices, used("14.9"))[1:] == [("usage", "p", 0, nano("4.9"), 5)]  # 4.9 cents
    assert lines_of(prices, used("15"))[1:] == [("usage", "p", nano("5"), nano("5"), 25)]  # 5 x 5 cents
    assert lines_of(prices, used("10"))[1:] == []  # no credits left: no tier


def test_rule_29_parts_fill_allowance_and_tiers_in_their_order() -> None:
    """By start, then session id by code point (Z before a): b 4, Z 3, a 5; 5 are included, 4 in the first tier."""
    prices = priced(price(included="5"), ("0", CENT), ("4", "0.05"))
    parts = used("5", session="a", second=9), used("3", session="Z", second=9), used("4", session="b", second=8)
    billing = billing_oracle.invoice(prices, parts, Ledger())
    assert pieces_of(billing) == [
        ("included", "p", None, "b", 5, nano("4")),
        ("included", "p", None, "Z", 5, nano("1")),
        ("usage", "p", 0, "Z", 5, nano("2")),
        ("usage", "p", 0, "a", 5, nano("2")),
        ("usage", "p", nano("4"), "a", 5, nano("3")),
    ]


# --- Stretches and proration (rules 18, 19, 20, 22) ----------------------------------------------------------------


def test_rule_20_a_plan_switched_on_the_16th_and_back() -> None:
    """November: p on 1-15 and 21-30, 25 of 30 days, one stretch; q on 16-20, 5 of 30 days."""
    prices = replace(
        USUAL,
        plans=(*USUAL.plans, Plan("q", "Q", "EUR")),
        prices=(price(fee="30", included="30"), price("q", fee="60", included="60")),
        tiers=(*USUAL.tiers, *tiers(("0", "0.05"), plan="q")),
        user_plans=(
            UserPlan("u", "p", START, "2026-11-16"),
            UserPlan("u", "q", "2026-11-16", "2026-11-21"),
            UserPlan("u", "p", "2026-11-21", None),
        ),
        first_billing_period=NOVEMBER,
    )
    parts = used("20", "2026-11-03", "a"), used("12", "2026-11-17", "b"), used("8", "2026-11-25", "c")
    assert lines_of(prices, *parts, period=NOVEMBER) == [
        ("fee", "p", None, 0, 2500),  # 30 x 25/30
        ("included", "p", None, nano("25"), 0),  # 30 x 25/30 of 20 + 8
        ("usage", "p", 0, nano("3"), 3),
        ("fee", "q", None, 0, 1000),  # 60 x 5/30
        ("included", "q", None, nano("10"), 0),  # 60 x 5/30 of 12
        ("usage", "q", 0, nano("2"), 10),
    ]
    assert pieces_of(billing_oracle.invoice(prices, parts, Ledger()), NOVEMBER) == [
        ("included", "p", None, "a", 3, nano("20")),
        ("included", "p", None, "c", 25, nano("5")),
        ("usage", "p", 0, "c", 25, nano("3")),
        ("included", "q", None, "b", 17, nano("10")),
        ("usage", "q", 0, "b", 17, nano("2")),
    ]


def test_rule_20_a_price_row_changed_on_the_11th() -> None:
    """10 days of 31 of a fee of 31, 21 of 62; the tiers (edge at 10) start anew, so 6 + 6 never reach the second."""
    prices = replace(
        USUAL,
        prices=(price(fee="31", valid_to="2026-10-11"), price(valid_from="2026-10-11", fee="62")),
        tiers=(
            *tiers(("0", CENT), ("10", "1")),
            *tiers(("0", "0.02"), ("10", "1"), valid_from="2026-10-11"),
        ),
    )
    billing = billing_oracle.invoice(prices, (used("6", "2026-10-10"), used("6", "2026-10-11")), Ledger())
    assert [(line.key.price_valid_from, *line[1:4]) for line in billing.lines] == [
        (START, 0, None, 1000),
        (START, nano("6"), nano(CENT), 6),
        ("2026-10-11", 0, None, 4200),
        ("2026-10-11", nano("6"), nano("0.02"), 12),
    ]


@pytest.mark.parametrize(
    ("period", "valid_from", "fee", "included", "lines"),
    [
        # 14 of 28 days: 29.99 / 2 = 14.995: 15.00; half of a nano-credit is none
        ("2026-02", "2026-02-15", "29.99", "0.000000001", [("fee", 1500), ("usage", 700)]),
        # 15 of 29 days: 29 x 15/29 = 15.00; 10 x 15/29 = 5.17241379310...: downwards; 7 - that = 1.827586207
        ("2028-02", "2028-02-15", "29", "10", [("fee", 1500), ("included", 0), ("usage", 183)]),
        # the whole of it: not prorated
        ("2028-02", START, "29.99", "10", [("fee", 2999), ("included", 0)]),
    ],
)
def test_rule_20_february(period: str, valid_from: str, fee: str, included: str, lines: list[tuple[str, int]]) -> None:
    prices = replace(
        priced(price(fee=fee, included=included), ("0", "1")),
        user_plans=(UserPlan("u", "p", valid_from, None),),
        first_billing_period=period,
    )
    own = lines_of(prices, used("7", f"{period}-20"), period=period)
    assert [(line[0], line[4]) for line in own] == lines
    if included == "10" and valid_from != START:
        assert [line[3] for line in own] == [0, nano("5.172413793"), nano("1.827586207")]


def test_rule_22_prorated_fees_need_not_add_up() -> None:
    """A fee of 0.05: 16 of 31 days are 0.0258, 15 are 0.0242: 3 + 2 cents. Of 0.03: 1.548 and 1.452: 2 + 1."""
    for fee, amounts in (("0.05", [3, 2]), ("0.03", [2, 1]), ("0.01", [1])):
        rows = price(fee=fee, valid_to="2026-10-17"), price(valid_from="2026-10-17", fee=fee)
        prices = replace(USUAL, prices=rows, tiers=(*USUAL.tiers, *tiers(("0", CENT), valid_from="2026-10-17")))
        assert [line[4] for line in lines_of(prices)] == amounts  # of 0.01: 0.516: 1, and 0.484: 0, which is no line


def test_rule_19_unassigned_days_are_on_the_default_plan_once_they_have_credits() -> None:
    """U is on q from the 11th; the default plan costs 31 a month: 10 days are 10.00, if any of them has credits."""
    prices = replace(
        USUAL,
        plans=(*USUAL.plans, Plan("q", "Q", "EUR")),
        prices=(price(fee="31"), price("q", fee="62")),
        tiers=(*USUAL.tiers, *tiers(("0", CENT), plan="q")),
        user_plans=(UserPlan("u", "q", "2026-10-11", None),),
        default_plan_id="p",
    )
    on_q = ("fee", "q", None, 0, 4200)  # 62 x 21/31
    assert lines_of(prices) == [on_q]
    assert lines_of(prices, used("0", "2026-10-03")) == [on_q]  # what cost nothing needs no plan
    assert lines_of(prices, used("1", "2026-10-11"))[0] == on_q
    assert lines_of(prices, used("1", "2026-10-03")) == [
        ("fee", "p", None, 0, 1000),
        ("usage", "p", 0, nano("1"), 1),
        on_q,
    ]
    # who stands nowhere is on it for the whole month; nobody's usage never is
    others = used("1", user="v"), used("1", user=UNATTRIBUTED)
    assert lines_of(prices, *others) == [on_q, ("fee", "p", None, 0, 3100), ("usage", "p", 0, nano("1"), 1)]
    # assigned to the default plan, and on it by default: one stretch
    prices = replace(prices, user_plans=(UserPlan("u", "p", "2026-10-11", None),))
    assert lines_of(prices, used("1", "2026-10-03"))[0] == ("fee", "p", None, 0, 3100)


# --- Money (rules 3, 21) -------------------------------------------------------------------------------------------


def test_rule_3_yen_and_dinar() -> None:
    """3 x 0.5 yen = 1.5: 2. 3 x 0.0005 dinar = 0.0015 = 1.5 fils: 2. A fee of 1.2345: 1 yen, 1234.5 fils: 1235."""
    yen = priced(price(fee="1.2345"), ("0", "0.5"), currency="JPY")
    dinar = priced(price(fee="1.2345"), ("0", "0.0005"), currency="KWD")
    assert [line[4] for line in lines_of(yen, used("3"))] == [1, 2]
    assert [line[4] for line in lines_of(dinar, used("3"))] == [1235, 2]
    assert [billing_oracle.thousandths(7, exponent) for exponent in (0, 1, 2, 3)] == [7000, 700, 70, 7]


def test_rule_3_half_cents_of_both_signs() -> None:
    """2 credits are 2 cents, 2.5 are 2.5: 3. What lies between is no half cent: it is a difference of rounded ones."""
    ledger = closed(USUAL, used("2"))
    up = billing_oracle.invoice(USUAL, (used("2.5"),), ledger)
    assert shown(up.lines, NOVEMBER) == [("adjustment", None, None, nano("0.5"), 1)]
    ledger = closed(USUAL, used("2.5"))
    assert shown(ledger.lines) == [("usage", "p", 0, nano("2.5"), 3)]
    down = billing_oracle.invoice(USUAL, (used("2"),), ledger)
    assert shown(down.lines, NOVEMBER) == [("adjustment", None, None, -nano("0.5"), -1)]
    # 3.5 are 4: also one more, for one credit more
    assert shown(billing_oracle.invoice(USUAL, (used("3.5"),), ledger).lines, NOVEMBER)[0][4] == 1
    # 0.4 are 0: three less, for 2.1 less
    assert shown(billing_oracle.invoice(USUAL, (used("0.4"),), ledger).lines, NOVEMBER)[0][3:] == (-nano("2.1"), -3)


def test_zero_usage_with_a_fee() -> None:
    billing = billing_oracle.invoice(priced(price(fee="29.99", included="100")), (), Ledger())
    assert shown(billing.lines) == [("fee", "p", None, 0, 2999)]
    assert billing_oracle.invoices(Ledger(), billing) == {
        ("u", OCTOBER, "EUR"): {
            "credits": 0, "amount_minor": 2999, "line_count": 1, "status": "open", "is_credit": False,
            "fee": 2999, "usage": 0, "minimum": 0, "adjustment": 0, "credit": 0, "previous": None,
        }
    }  # fmt: skip


@pytest.mark.parametrize(("minimum", "shortfall"), [("10", [332]), ("6.68", []), ("6.67", []), ("6.685", [1])])
def test_rule_21_the_minimum_is_measured_against_rounded_lines(minimum: str, shortfall: list[int]) -> None:
    """One credit at 3.335 in each of two tiers: 3.34 + 3.34 = 6.68. 3.32 are missing to 10; 6.685 is 6.69."""
    own = lines_of(priced(price(minimum=minimum), ("0", "3.335"), ("1", "3.335")), used("2"))
    assert [line[4] for line in own] == [334, 334, *shortfall]


def test_rule_21_each_stretch_has_its_minimum_and_fees_do_not_count() -> None:
    """A minimum of 10 until the 16th and after: 15/31 are 4.8387: 4.84, 16/31 are 5.1613: 5.16; 1 x 3.335 in each."""
    rows = [price(fee="1", minimum="10", valid_to="2026-10-16"), price(valid_from="2026-10-16", minimum="10")]
    more = tiers(("0", "3.335"), valid_from="2026-10-16")
    prices = replace(USUAL, prices=tuple(rows), tiers=(*tiers(("0", "3.335")), *more))
    assert [line[4] for line in lines_of(prices, used("1"), used("1", "2026-10-16"))] == [
        48,  # 1 x 15/31 = 0.4839
        334,
        150,  # 4.84 - 3.34
        334,
        182,  # 5.16 - 3.34
    ]


# --- Closing and correcting (rules 23 to 31) -----------------------------------------------------------------------


def test_rule_26_a_correction_that_costs_nothing() -> None:
    """0.5 credit is 0.5 cent: 1; 1.4 are 1.4 cents: 1. The adjustment is of 0.9 credits and 0 cents."""
    ledger = closed(USUAL, used("0.5"))
    billing = billing_oracle.invoice(USUAL, (used("1.4"),), ledger)
    adjustment = LineKey("u", NOVEMBER, OCTOBER, "adjustment", "EUR")
    assert billing.lines == (Line(adjustment, nano("0.9"), None, 0, billing_oracle.days_of(OCTOBER)),)
    assert pieces_of(billing, NOVEMBER) == [("adjustment", None, None, "s", 5, nano("0.9"))]
    assert shown(ledger.lines) == [("usage", "p", 0, nano("0.5"), 1)]


def test_rule_26_pieces_alone_make_an_adjustment() -> None:
    """One session's credits turn out to be another's, of the same day: nothing but the pieces changes."""
    billing = billing_oracle.invoice(USUAL, (used("2", session="t"),), closed(USUAL, used("2")))
    assert shown(billing.lines, NOVEMBER) == [("adjustment", None, None, 0, 0)]
    assert sorted(piece[3:] for piece in pieces_of(billing, NOVEMBER)) == [("s", 5, -nano("2")), ("t", 5, nano("2"))]
    assert billing_oracle.price_drift((used("2", session="t"),), closed(USUAL, used("2")), billing) == {}
    assert not billing_oracle.invoices(Ledger(), billing)["u", NOVEMBER, "EUR"]["is_credit"]


def test_rule_31_a_refund_larger_than_the_month() -> None:
    """100 credits at 1 are closed, and then void. November: a fee of 10.00 and 5 credits, 5.00, less 100.00."""
    prices = priced(price(fee="10"), ("0", "1"))
    ledger = closed(prices, used("100"))
    billing = billing_oracle.invoice(prices, (used("5", "2026-11-02", "t"),), ledger)
    assert shown(billing.lines, NOVEMBER) == [
        ("fee", "p", None, 0, 1000),
        ("usage", "p", 0, nano("5"), 500),
        ("adjustment", None, None, -nano("100"), -10000),  # October's fee stays
    ]
    invoice = billing_oracle.invoices(ledger, billing)["u", NOVEMBER, "EUR"]
    assert invoice == {
        "credits": -nano("95"), "amount_minor": -8500, "line_count": 3, "status": "open", "is_credit": True,
        "fee": 1000, "usage": 500, "minimum": 0, "adjustment": -10000, "credit": 0, "previous": 11000,
    }  # fmt: skip
    assert billing_oracle.margin(ledger, billing) == {
        ("u", OCTOBER, "EUR"): {"credits": 0, "amount_minor": 1000},
        ("u", NOVEMBER, "EUR"): {"credits": nano("5"), "amount_minor": 1500},
    }


def test_rule_31_a_change_of_currency_reverses_and_bills_anew() -> None:
    """3 credits at 0.5 are 1.50 euro, and then 1.5 yen: 2."""
    ledger = closed(priced(price(), ("0", "0.5")), used("3"))
    yen = priced(price(), ("0", "0.5"), currency="JPY")
    billing = billing_oracle.invoice(yen, (used("3"),), ledger)
    assert {(line.key.currency, line.quantity_credits, line.amount_minor) for line in billing.lines} == {
        ("EUR", -nano("3"), -150),
        ("JPY", nano("3"), 2),
    }
    assert {(p.line.currency, p.credits) for p in billing.pieces} == {("EUR", -nano("3")), ("JPY", nano("3"))}
    assert {
        key: row["difference_minor"] for key, row in billing_oracle.price_drift((used("3"),), ledger, billing).items()
    } == {
        ("u", OCTOBER, "EUR"): -150,
        ("u", OCTOBER, "JPY"): 2,
    }
    assert set(billing_oracle.invoices(ledger, billing)) == {
        ("u", OCTOBER, "EUR"), ("u", NOVEMBER, "EUR"), ("u", NOVEMBER, "JPY"),
    }  # fmt: skip


def test_rule_25_a_void_and_a_late_session() -> None:
    """S (2 credits) is void, t (7) comes late: 5 credits and 5 cents more, in the first open period."""
    ledger = closed(USUAL, used("2"))
    billing = billing_oracle.invoice(USUAL, (used("7", "2026-10-31", "t"),), ledger)
    assert shown(billing.lines, NOVEMBER) == [("adjustment", None, None, nano("5"), 5)]
    assert sorted(piece[3:] for piece in pieces_of(billing, NOVEMBER)) == [("s", 5, -nano("2")), ("t", 31, nano("7"))]
    # two closes later it is the same line, in the first period that is then open
    ledger = closed(USUAL, used("2"), ledger=ledger, period=NOVEMBER)
    billing = billing_oracle.invoice(USUAL, (used("7", "2026-10-31", "t"),), ledger)
    assert shown(billing.lines, DECEMBER) == [("adjustment", None, None, nano("5"), 5)]


def test_rule_28_a_repetition_adds_nothing_and_a_reversal_the_opposite() -> None:
    ledger = closed(USUAL, used("2"))
    ledger = closed(USUAL, used("9"), ledger=ledger, period=NOVEMBER)
    assert shown(ledger.lines, NOVEMBER) == [("adjustment", None, None, nano("7"), 7)]
    assert billing_oracle.invoice(USUAL, (used("9"),), ledger).lines == ()
    reverted = billing_oracle.invoice(USUAL, (used("2"),), ledger)
    assert shown(reverted.lines, DECEMBER) == [("adjustment", None, None, -nano("7"), -7)]
    assert pieces_of(reverted, DECEMBER) == [("adjustment", None, None, "s", 5, -nano("7"))]


def test_rule_26_users_on_either_side() -> None:
    """A session moves from u to v: u has it no more, v who had nothing is on the default plan, which has a fee of 1."""
    prices = replace(USUAL, default_plan_id="d", plans=(*USUAL.plans, Plan("d", "D", "EUR")))
    prices = replace(prices, prices=(price(), price("d", fee="1")), tiers=(*USUAL.tiers, *tiers(("0", CENT), plan="d")))
    ledger = closed(prices, used("2"))
    moved = billing_oracle.invoice(prices, (used("2", user="v"),), ledger)
    assert [(line.key.external_user_id, *line[1:4]) for line in moved.lines] == [
        ("v", nano("2"), None, 102),
        ("u", -nano("2"), None, -2),
    ]
    nobody = billing_oracle.invoice(prices, (used("2", user=UNATTRIBUTED),), ledger)
    assert [(line.key.external_user_id, *line[1:4]) for line in nobody.lines] == [("u", -nano("2"), None, -2)]
    assert billing_oracle.unbilled((used("2", user=UNATTRIBUTED),), nobody) == {
        (OCTOBER, "unattributed"): {"credits": nano("2")}
    }


def test_rule_30_drift_is_a_change_of_amount_without_one_of_credits() -> None:
    """2 credits at 1 cent become 2 at 3 cents: 4 cents more. With other credits, even on other days, it is no drift."""
    ledger = closed(USUAL, used("2"))
    dearer = priced(price(), ("0", "0.03"))
    drift = billing_oracle.price_drift((used("2"),), ledger, billing_oracle.invoice(dearer, (used("2"),), ledger))
    assert drift == {
        ("u", OCTOBER, "EUR"): {"invoiced_amount_minor": 2, "recomputed_amount_minor": 6, "difference_minor": 4}
    }
    for parts in ((used("3"),), (used("2", "2026-10-06"),), (used("1"),), ()):
        assert billing_oracle.price_drift(parts, ledger, billing_oracle.invoice(dearer, parts, ledger)) == {}
    # what is open does not drift: a fee of 5 from November on
    rows = price(valid_to="2026-11-01"), price(valid_from="2026-11-01", fee="5")
    prices = replace(dearer, prices=rows, tiers=(*dearer.tiers, *tiers(("0", CENT), valid_from="2026-11-01")))
    assert (
        billing_oracle.price_drift((used("2"),), ledger, billing_oracle.invoice(prices, (used("2"),), ledger)) == drift
    )
    # once adjusted, it is over
    ledger = closed(dearer, used("2"), ledger=ledger, period=NOVEMBER)
    assert billing_oracle.price_drift((used("2"),), ledger, billing_oracle.invoice(dearer, (used("2"),), ledger)) == {}


def test_rule_24_the_first_billing_period() -> None:
    parts = (
        used("4", "2026-08-31", "early"),
        used("2"),
        used("0", "2026-12-01"),
        used("8", "2026-12-05", user=UNATTRIBUTED),
        used("0", "2026-11-05", user=UNATTRIBUTED),
    )

    def periods(prices: Prices, ledger: Ledger) -> tuple[str | None, ...]:
        return billing_oracle.billing_periods(prices, parts, ledger)

    any_first = replace(USUAL, first_billing_period=None)
    assert periods(USUAL, Ledger()) == (OCTOBER, OCTOBER, OCTOBER)
    assert periods(any_first, Ledger()) == ("2026-08", "2026-08", OCTOBER)
    for later in (any_first, replace(USUAL, first_billing_period="2026-08")):  # what is closed decides
        assert periods(later, closed(USUAL)) == (OCTOBER, NOVEMBER, NOVEMBER)
    assert periods(replace(USUAL, first_billing_period="2027-01"), Ledger()) == ("2027-01", "2027-01", "2027-01")
    billing = billing_oracle.invoice(USUAL, parts, Ledger())
    assert shown(billing.lines) == [("usage", "p", 0, nano("2"), 2)]
    assert billing_oracle.unbilled(parts, billing) == {
        ("2026-08", "before_first_period"): {"credits": nano("4")},
        (DECEMBER, "unattributed"): {"credits": nano("8")},
    }
    nothing = billing_oracle.invoice(any_first, parts[2:], Ledger())
    assert (nothing.first_open_period, nothing.lines) == (None, ())
    assert billing_oracle.invoice(USUAL, parts[2:], Ledger()).lines == ()


def test_rule_23_periods_close_in_order_once_and_not_with_faults() -> None:
    ledger = closed(priced(price(fee="1")))
    assert (ledger.closed_periods, shown(ledger.lines)) == ((OCTOBER,), [("fee", "p", None, 0, 100)])
    assert ledger.exponents == {"EUR": 2}
    for period in (OCTOBER, DECEMBER):
        with pytest.raises(ValueError, match="the first open period is 2026-11"):
            closed(USUAL, ledger=ledger, period=period)
    with pytest.raises(ValueError, match="no_default_plan"):
        closed(replace(USUAL, user_plans=()), used("1"))
    assert closed(USUAL, ledger=Ledger()).closed_periods == (OCTOBER,)  # an empty period closes too


def test_later_open_periods_are_invoiced_up_to_the_last_with_credits() -> None:
    prices = priced(price(fee="1"))
    billing = billing_oracle.invoice(prices, (used("1", "2026-12-31"),), Ledger())
    assert [(line.key.invoice_period, line.key.line_type) for line in billing.lines] == [
        (OCTOBER, "fee"),
        (NOVEMBER, "fee"),
        (DECEMBER, "fee"),
        (DECEMBER, "usage"),
    ]


# --- Faults (rules 18, 19) -----------------------------------------------------------------------------------------

Q = UserPlan("u", "q", "2026-10-11", None)


@pytest.mark.parametrize(
    ("changes", "fault"),
    [
        ({"user_plans": ()}, Fault("no_default_plan", "u", None, "2026-10-05")),
        ({"user_plans": (UserPlan("u", "p", "2026-10-06", None),)}, Fault("no_default_plan", "u", None, "2026-10-05")),
        ({"user_plans": (*USUAL.user_plans, Q._replace(plan_id="p"))}, Fault("plan_overlap", "u", None, "2026-10-11")),
        ({"user_plans": (Q,), "default_plan_id": "p"}, Fault("unknown_plan", "u", "q", "2026-10-11")),
        ({"default_plan_id": "q"}, Fault("unknown_plan", None, "q")),
        ({"prices": (price(), price("q")), "tiers": (*USUAL.tiers, *tiers(("0", CENT), plan="q"))},
         Fault("unknown_plan", None, "q", START)),
        ({"user_plans": (UserPlan("u", "p", START, "2025-01-01"),), "default_plan_id": "p"},
         Fault("ends_before_start", "u", "p", START)),
        ({"user_plans": (*USUAL.user_plans, UserPlan(UNATTRIBUTED, "p", START, None))},
         Fault("reserved_user", UNATTRIBUTED, "p", START)),
        ({"plans": USUAL.plans * 2}, Fault("duplicate_plan", None, "p")),
        ({"currencies": (Currency("EUR", 2), Currency("EUR", 2))}, Fault("duplicate_currency", currency="EUR")),
        ({"currencies": ()}, Fault("unknown_currency", None, "p", None, "EUR")),
        ({"currencies": (*USUAL.currencies, Currency("CLF", 4))}, Fault("exponent_out_of_range", currency="CLF")),
        ({"prices": (price(valid_to="2026-10-30"),)}, Fault("price_gap", "u", "p", "2026-10-30")),
        ({"prices": (price(valid_to="2026-10-30"),),
          "user_plans": (*USUAL.user_plans, UserPlan("v", "p", START, None))},
         (Fault("price_gap", "u", "p", "2026-10-30"), Fault("price_gap", "v", "p", "2026-10-30"))),
        ({"prices": (price(valid_from="2026-10-02"),), "tiers": tiers(("0", CENT), valid_from="2026-10-02")},
         Fault("price_gap", "u", "p", "2026-10-01")),
        ({"prices": (price(), price(valid_from="2030-01-01")),
          "tiers": (*USUAL.tiers, *tiers(("0", CENT), valid_from="2030-01-01"))},
         Fault("price_overlap", None, "p", "2030-01-01")),
        ({"prices": (price(model="stairs"),)}, Fault("unknown_tier_model", None, "p", START)),
        ({"prices": (price()._replace(monthly_fee=-1),)}, Fault("negative_number", None, "p", START)),
        ({"prices": (price()._replace(included_credits=-1),)}, Fault("negative_number", None, "p", START)),
        ({"prices": (price()._replace(minimum_charge=-1),)}, Fault("negative_number", None, "p", START)),
        ({"tiers": (Tier("p", START, 0, -1),)}, Fault("negative_number", None, "p", START)),
        ({"tiers": ()}, Fault("tiers_not_from_zero", None, "p", START)),
        ({"tiers": tiers(("0.000000001", CENT))}, Fault("tiers_not_from_zero", None, "p", START)),
        ({"tiers": USUAL.tiers * 2}, Fault("duplicate_tier", None, "p", START)),
        ({"tiers": (*USUAL.tiers, *tiers(("0", CENT), valid_from="2026-10-02"))},
         Fault("unknown_price", None, "p", "2026-10-02")),
    ],
)  # fmt: skip
def test_rules_18_and_19_faults_stop_the_build(changes: dict[str, Any], fault: Fault | tuple[Fault, ...]) -> None:
    prices = replace(USUAL, **changes)
    assert billing_oracle.faults(prices, (used("1"), used("1", "2026-10-06", "t")), Ledger()) == set(
        (fault,) if isinstance(fault, Fault) else fault
    )


@pytest.mark.parametrize(
    "changes",
    [
        # a range of no days, inside another
        {"user_plans": (*USUAL.user_plans, Q._replace(plan_id="p", valid_to="2026-10-11"))},
        # prices of no days, inside others
        {"prices": (price(), price(valid_from="2026-10-11", valid_to="2026-10-11")),
         "tiers": (*USUAL.tiers, *tiers(("0", CENT), valid_from="2026-10-11"))},
        # prices that begin with the first billable day, and end after the last
        {"prices": (price(valid_from="2026-10-01", valid_to="2026-11-01"),),
         "tiers": tiers(("0", CENT), valid_from="2026-10-01")},
        # nobody is on it
        {"plans": (*USUAL.plans, Plan("q", "Q", "KWD"))},
        # before the first billing period nobody needs a plan
        {"first_billing_period": NOVEMBER, "user_plans": ()},
    ],
)  # fmt: skip
def test_what_is_no_fault(changes: dict[str, Any]) -> None:
    assert billing_oracle.faults(replace(USUAL, **changes), (used("1"),), Ledger()) == set()


def test_an_exponent_is_the_ledgers() -> None:
    ledger = closed(USUAL, used("1"))
    for currencies, fault in (
        ((Currency("EUR", 3),), Fault("exponent_changed", currency="EUR")),
        ((Currency("JPY", 0),), Fault("unknown_currency", currency="EUR")),
    ):
        prices = replace(USUAL, currencies=currencies)
        assert fault in billing_oracle.faults(prices, (), ledger)


def test_prices_are_nano_units() -> None:
    assert (nano("1"), nano("0.000000001"), nano("29.99")) == (NANO, 1, 29_990_000_000)
