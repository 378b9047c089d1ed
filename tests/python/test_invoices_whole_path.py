"""Random billing histories through the whole path: simulator, extractor, dbt, closes, and every invoice by the oracle.

One warehouse lives through dozens of histories at a time (`histories.merge`): late sessions, corrections up and down,
voids, sessions that end, new owners, prices and plans that change also in the past, and closes in between. After each
build all billing marts are compared with the oracle, cell by cell, and all that was closed before, byte by byte.
`--full` adds more schedules.
"""

from __future__ import annotations

import shutil
from collections import Counter, defaultdict
from collections.abc import Container, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path

import duckdb
import pytest

import billing_oracle
import billing_path
import histories
import oracle
import pipeline
from billing_oracle import Ledger, LineKey
from billing_path import Table
from histories import Outcome, Schedule, State
from oracle import Mart
from reason_oracle import Record, reason_differences
from tenants import Span

MONTHS = ("2026-01", "2026-02", "2026-03", "2026-04", "2026-05")
"""All ended long ago. The first is never invoiced, so that there is usage before the first billing period (rule 24)."""

CLOSES = (True, True, True)
"""What is known when a period closes is known late, corrected, or reverted, for the next two."""


BILLING_MARTS = (
    *("fct_invoices", "fct_invoice_lines", "fct_invoice_line_usage", "fct_invoice_breakdown"),
    *("fct_revenue_days", "rpt_month_over_month"),
    *("rpt_margin", "rpt_price_drift", "rpt_unbilled_usage"),
)


def shown(found: Sequence[str]) -> str:
    """The first few of many differences."""
    return f"{len(found)} differences, the first of them:\n" + "\n".join(line[:600] for line in found[:20])


@dataclass
class Books:
    """A warehouse that lives through a history, with the seeds of the time."""

    folder: Path
    months: tuple[str, ...]
    closed: dict[str, Table] = field(default_factory=dict)
    """All that was closed after the build before, row by row."""
    closed_to: str = ""
    newest: Outcome | None = None
    """The step that was lived through last."""
    record: Record = field(default_factory=Record)
    """What was known when, for the reasons of adjustments."""
    seen: Counter[str] = field(default_factory=Counter)
    """How often each thing that is worth testing came up."""

    @property
    def warehouse(self) -> Path:
        """Its file."""
        return self.folder / "usage.duckdb"

    def live(self, outcome: Outcome, *, previews: bool) -> None:
        """Land a step, build it, close what it closes, and check everything after each build.

        With `previews`, a period that closes is built open before, so that the two can be compared. The data tests run
        when a period closes, since none closes without them.
        """
        state, period = outcome.step.state, outcome.billing.first_open_period
        closes = outcome.after is not outcome.before
        # A month more: a session that ends exactly where a run's windows do is not covered, so never void (rule 6).
        last = billing_oracle.next_period(self.months[-1])
        billing_path.land(state, self.warehouse, Span(self.months[0], last))
        self.record.read(state)
        histories.write_seeds(state.prices, self.folder / "seeds")
        if previews or not closes:
            self.build(state, "--exclude-resource-type", "test", "unit_test")
            self.check(outcome, outcome.before)
            self.check_rebuild(state)
        if closes and period is not None:
            preview = billing_path.period_shown(self.warehouse, period, "open") if previews else None
            self.build(state, "--exclude-resource-type", "unit_test", close_period=period)
            self.record.close(outcome.before, outcome.billing, outcome.parts)
            self.check(outcome, outcome.after)
            # Preview = close: identifiers, descriptions and all.
            frozen = billing_path.period_shown(self.warehouse, period, "closed")
            assert preview is None or preview == frozen
            assert billing_path.period_frozen(self.warehouse, period) == frozen[:2]
        self.seen["two owners of a sandbox"] += len(with_two_owners(state))
        self.newest = outcome

    def build(self, state: State, *arguments: str, close_period: str | None = None) -> None:
        """Run `dbt build` with the state's seeds and variables."""
        variables, seeds = billing_path.variables_of(state, close_period), self.folder / "seeds"
        before = {path.name: path.read_bytes() for path in seeds.iterdir()}
        pipeline.build(self.warehouse, *arguments, variables=variables, seeds=seeds)
        assert {path.name: path.read_bytes() for path in seeds.iterdir()} == before, "the build changed a seed"

    def check(self, outcome: Outcome, ledger: Ledger) -> None:
        """Rules 18 to 31: the marts are the oracle's on this ledger, and what was closed before is what it was."""
        state, parts = outcome.step.state, outcome.parts
        billing = billing_oracle.invoice(state.prices, parts, ledger)
        marts = billing_path.read_billing(partial(billing_path.plain_rows, self.warehouse))
        found = billing_path.billing_differences(billing_path.expected_billing(state, parts, ledger, billing), marts)
        found += billing_path.broken_invariants(marts, parts, billing)
        found += reason_differences(self.record, ledger, billing, parts, marts, self.steps_of_loads())
        found += pipeline.mart_differences(
            billing_path.closed_periods(ledger), billing_path.read_closed_periods(self.warehouse)
        )
        assert not found, shown(found)
        self.check_closed()
        self.closed_to = max(ledger.closed_periods, default="")
        self.closed = billing_path.closed_rows(self.warehouse, self.closed_to)
        self.count(marts)

    def steps_of_loads(self) -> dict[int, int]:
        """The step that each load belongs to: each step is one run of the extractor."""
        loads = pipeline.query(self.warehouse, "select load_id, run_id from raw.loads order by load_id")
        runs = list(dict.fromkeys(row["run_id"] for row in loads))
        return {row["load_id"]: runs.index(row["run_id"]) for row in loads}

    def check_rebuild(self, state: State) -> None:
        """Everything but raw and ledger is lost, and built again: every table and mart is what it was, row for row.

        So what a build made of changed rows is what one in full makes of everything.
        """
        anew = replace(self, folder=self.folder / "anew")
        pipeline.copy(self.warehouse, anew.folder)
        histories.write_seeds(state.prices, anew.folder / "seeds")
        with closing(duckdb.connect(str(anew.warehouse))) as connection:
            for schema in ("staging", "intermediate", "marts", "seeds"):
                connection.execute(f"drop schema {schema} cascade")
        anew.build(state, "--full-refresh", "--exclude-resource-type", "test", "unit_test")
        found = list(pipeline.differing_tables(self.warehouse, anew.warehouse))
        assert not found, shown(found)
        before, after = billing_path.tables(self.warehouse, "marts"), billing_path.tables(anew.warehouse, "marts")
        assert before.keys() == after.keys() >= {*oracle.KEYS, *BILLING_MARTS}
        different = [name for name in before if before[name] != after[name]]
        assert not different, f"built from scratch, these are others: {', '.join(different)}"
        assert billing_path.tables(anew.warehouse, "ledger") == billing_path.tables(self.warehouse, "ledger")
        anew.check_closed()

    def check_closed(self) -> None:
        """Rules 23 and 25: all that was closed before is what it was, byte by byte."""
        today = billing_path.closed_rows(self.warehouse, self.closed_to)
        changed = [name for name, rows in self.closed.items() if today[name] != rows]
        assert not changed, f"of what was closed up to {self.closed_to} these changed: {', '.join(changed)}"

    def count(self, marts: Mapping[str, Mart]) -> None:
        """Note what came up."""
        for cells, row in marts["fct_invoice_lines"].items():
            key = LineKey(*cells)
            self.seen[key.line_type] += 1
            self.seen[f"{key.line_type}, {row['status']}"] += 1
            if key.line_type == "adjustment":
                self.seen["gives back"] += row["amount_minor"] < 0
                self.seen["only credits"] += row["amount_minor"] == 0 != row["quantity_credits"]
                self.seen["two periods back"] += billing_oracle.next_period(key.service_period) < key.invoice_period
        self.seen["credit note"] += sum(row["is_credit"] for row in marts["fct_invoices"].values())
        self.seen["drift"] += len(marts["rpt_price_drift"])
        self.seen.update(reason for _, reason in marts["rpt_unbilled_usage"])


def with_two_owners(state: State) -> set[str]:
    """The sandboxes whose sessions belong to several users, although none names one."""
    owners: dict[str, set[str]] = defaultdict(set)
    for session in state.sessions:
        owner = oracle.owner_at(state.owners.get(session.sandbox, ()), session.start)
        if session.user is None and owner is not None:
            owners[session.sandbox].add(owner)
    return {sandbox for sandbox, users in owners.items() if len(users) > 1}


def live_through(folder: Path, schedule: Schedule, seed: int, count: int, *, previews: Container[int]) -> Books:
    """So many histories of one schedule in one warehouse.

    `previews` are the steps whose close is previewed, and before which everything is built from scratch once more.
    """
    merged = histories.merge(
        [histories.make_history(seed * 10_000 + number, schedule, number) for number in range(count)]
    )
    books = Books(folder, schedule.months)
    for place, outcome in enumerate(histories.replay(merged)):
        assert billing_oracle.faults(outcome.step.state.prices, outcome.parts, outcome.before) == set()
        books.live(outcome, previews=place in previews)
    return books


@pytest.fixture(scope="module")
def books(tmp_path_factory: pytest.TempPathFactory) -> Books:
    """Forty histories, three closes, and what was found late, corrected and edited between them."""
    schedule = replace(histories.make_schedule(1, len(CLOSES), MONTHS, MONTHS[1]), closes=CLOSES)
    return live_through(tmp_path_factory.mktemp("books"), schedule, 1, 40, previews={2})


def test_rules_18_to_31_hold_for_every_user_after_every_step_and_what_is_closed_stays(books: Books) -> None:
    """The work is in the fixture; here, that it met what it is there for."""
    kinds = {"fee", "included", "usage", "minimum", "adjustment, open", "adjustment, closed", "gives back"}
    kinds.add("two owners of a sandbox")
    rest = {"only credits", "two periods back", "credit note", "drift", "unattributed", "before_first_period"}
    assert {kind for kind in kinds | rest if not books.seen[kind]} == set(), books.seen


@pytest.mark.parametrize(
    "change",
    [
        "update intermediate.int_invoice_lines set amount_minor = amount_minor + 1 where line_id = {open}",
        "update intermediate.int_invoice_lines set quantity_credits = quantity_credits + 0.1 where line_id = {open}",
        "update intermediate.int_invoice_lines set service_period = '2026-01' where line_id = {open}",
        "delete from intermediate.int_rated_line_usage where line_id = {open}",
        "update intermediate.int_rated_line_usage set nano_amount = nano_amount + 1 where line_id = {open}",
        "update intermediate.int_rated_line_usage set usage_seconds = usage_seconds + 1 where line_id = {open}",
        "update intermediate.int_rated_line_usage set sandbox_id = 'another' where line_id = {open}",
        "update intermediate.int_invoice_breakdown set amount_minor = amount_minor + 1 where line_id = {open}",
        "update intermediate.int_invoice_breakdown set workspace_id = 'another' where line_id = {closed}",
        "delete from marts.fct_invoices where amount_minor = (select max(amount_minor) from marts.fct_invoices)",
        "update intermediate.int_revenue_usage_days set nano_amount = nano_amount + 1 where recognized_in = {first}",
        "update ledger.closed_invoice_lines set service_day_mask = 1 where line_type = 'fee' and service_day_mask > 1",
        "update marts.rpt_month_over_month set is_new_user = not is_new_user",
        "update marts.rpt_margin set amount_minor = amount_minor + 1",
        "update marts.rpt_unbilled_usage set credits = credits + 0.000000001",
        "update ledger.closed_periods set line_count = line_count + 1",
        "update ledger.closed_periods set code_version = 'another' where billing_period = {first}",
        "update ledger.closed_invoice_lines set description = 'another' where line_id = {closed}",
        "update ledger.closed_invoice_lines set closed_at_utc = closed_at_utc + interval 1 microsecond",
        "delete from ledger.closed_line_usage where line_id = {closed}",
        "update ledger.closed_line_usage set amount = amount + 0.000000001 where line_id = {closed}",
        "update ledger.closed_line_usage set external_project_id = 'another' where line_id = {closed}",
        "update ledger.closed_line_usage set change_reason = 'moved' where change_reason = 'late'",
        "update ledger.closed_line_usage set change_load_id = 1 where change_reason = 'late'",
        "update ledger.closed_invoice_lines set adjustment_reasons = 'price' where adjustment_reasons = 'plan'",
        "update intermediate.int_invoice_lines set description = 'another' where line_id = {closed}",
        "update intermediate.int_usage_periods set closed_at_utc = closed_at_utc + interval 1 microsecond",
    ],
)
def test_the_checks_see_what_is_wrong(books: Books, tmp_path: Path, change: str) -> None:
    line = (
        "(select min(lines.line_id) from marts.fct_invoice_lines as lines"
        " inner join marts.fct_invoice_line_usage as pieces on lines.line_id = pieces.line_id"
        " where lines.status = '{0}')"
    )
    names = {"open": line.format("open"), "closed": line.format("closed"), "first": f"'{MONTHS[1]}'"}
    copy = replace(books, folder=tmp_path)
    shutil.copy(books.warehouse, copy.warehouse)
    with closing(duckdb.connect(str(copy.warehouse))) as connection:
        (changed,) = connection.execute(change.format(**names)).fetchone() or (0,)
    assert changed > 0
    assert books.newest is not None
    with pytest.raises(AssertionError):
        copy.check(books.newest, books.newest.after)


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(2, 10))
def test_more_histories(seed: int, tmp_path: Path) -> None:
    """Every close is previewed; the first period is the variable's, or the earliest with credits (rule 24)."""
    first_month = f"2026-{1 + seed % 3:02d}"
    months = billing_oracle.periods_between(first_month, f"2026-{4 + seed % 3:02d}")
    schedule = histories.make_schedule(seed, 6, months, None if seed % 3 == 0 else "")
    books = live_through(tmp_path, schedule, seed, 60, previews=range(6))
    assert books.seen["usage"]
