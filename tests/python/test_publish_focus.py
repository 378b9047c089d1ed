"""`publish focus`: what the files hold, that closed periods stay, and that the official validator accepts them.

The validator needs Python 3.12 and libraries of its own (`make test-focus`); without its environment that test skips.
"""

from __future__ import annotations

import csv
import json
import subprocess
from collections import defaultdict
from collections.abc import Iterable
from contextlib import closing
from decimal import Decimal
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import duckdb
import pytest

import delivered as delivery
from publish import cli

ROOT = Path(__file__).resolve().parents[2]
VALIDATOR = ROOT / ".venv-focus" / "bin" / "python"
VALIDATE = Path(__file__).parent / "support" / "focus_validate.py"

# The specification has both rules for InvoiceId, and applies each to all rows: one of the two always fails.
CONTRADICTION = {"InvoiceId-C-004-C", "InvoiceId-C-005-C"}


def publish(warehouse: Path, folder: Path, *arguments: str, period: str = delivery.SECOND) -> tuple[int, str]:
    """Run the command on a warehouse."""
    with pytest.MonkeyPatch.context() as environment:
        environment.setenv("WAREHOUSE_PATH", str(warehouse))
        return cli.outcome(["focus", "--period", period, "--to", str(folder), *arguments])


def contents(folder: Path) -> dict[str, bytes]:
    return {file.name: file.read_bytes() for file in sorted(folder.iterdir())}


def rows_of(warehouse: Path, sql: str, *values: Any) -> list[tuple[Any, ...]]:
    with closing(duckdb.connect(str(warehouse), read_only=True)) as connection:
        return connection.execute(sql, list(values)).fetchall()


@pytest.fixture(scope="module")
def exported(delivered: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the files of all three periods."""
    folder = tmp_path_factory.mktemp("focus")
    for period in delivery.MONTHS:
        assert publish(delivered, folder, "--json-lines", period=period) == (0, "")
    return folder


def csv_rows(file: Path) -> list[dict[str, str]]:
    with file.open(encoding="utf-8", newline="") as text:
        return list(csv.DictReader(text))


def test_three_formats_hold_the_same_rows(exported: Path) -> None:
    for period in delivery.MONTHS:
        for dataset in ("cost", "resale"):
            name = exported / f"focus-{dataset}-{period}"
            texts = csv_rows(name.with_name(f"{name.name}.csv"))
            lines = name.with_name(f"{name.name}.jsonl").read_text("utf-8").splitlines()
            objects = [json.loads(line, parse_float=Decimal, parse_int=Decimal) for line in lines]
            with closing(duckdb.connect()) as connection:
                connection.execute("set TimeZone = 'UTC'")
                parquet = connection.execute("from read_parquet(?)", [f"{name}.parquet"])
                columns = [column for column, *_ in parquet.description]
                typed = [dict(zip(columns, row, strict=True)) for row in parquet.fetchall()]
            assert texts
            assert len(texts) == len(objects) == len(typed)
            for text, found, cells in zip(texts, objects, typed, strict=True):
                assert list(text) == list(found) == list(cells)
                for column, cell in cells.items():
                    if cell is None:
                        assert (text[column], found[column]) == ("", None)
                    elif isinstance(cell, Decimal):
                        assert Decimal(text[column]) == found[column] == cell
                        assert "." in text[column]
                    elif column in ("Tags", "SkuPriceDetails"):
                        assert json.loads(text[column]) == found[column] == json.loads(cell)
                    elif isinstance(cell, str):
                        assert text[column] == found[column] == cell
                    else:
                        assert text[column] == found[column] == f"{cell:%Y-%m-%dT%H:%M:%SZ}"


def test_sums_equal_the_marts(delivered: Path, exported: Path) -> None:
    """Each invoice, billed and effective; and each credit of each user and of nobody, once over all files."""
    billed: dict[str, Decimal] = defaultdict(Decimal)
    effective: dict[str, Decimal] = defaultdict(Decimal)
    credits: dict[tuple[str | None, str], Decimal] = defaultdict(Decimal)
    for period in delivery.MONTHS:
        for row in csv_rows(exported / f"focus-resale-{period}.csv"):
            billed[row["InvoiceId"]] += Decimal(row["BilledCost"])
            effective[row["InvoiceId"]] += Decimal(row["EffectiveCost"])
            assert row["EffectiveCost"] == "0.0" or row["ChargeCategory"] != "Purchase"
        for row in csv_rows(exported / f"focus-cost-{period}.csv"):
            user = json.loads(row["Tags"]).get("miosa_billing/external_user_id", "(unattributed)")
            credits[user, row["ChargePeriodStart"][:7]] += Decimal(row["PricingQuantity"])
            assert Decimal(row["BilledCost"]) == Decimal(row["PricingQuantity"]) * Decimal(row["ListUnitPrice"])
    invoices = {
        invoice: Decimal(amount)
        for invoice, amount in rows_of(delivered, "select invoice_id, amount from marts.fct_invoices")
    }
    assert billed == effective == invoices
    months = rows_of(
        delivered,
        "select external_user_id, billing_period, credits from marts.fct_user_period_credits"
        " where billing_period >= ? and credits <> 0",
        delivery.FIRST,
    )
    used = {key: amount for key, amount in credits.items() if amount}
    assert used == {(user, month): amount for user, month, amount in months}


def test_ids_can_be_turned_back(exported: Path) -> None:
    encoded = 0
    for file in exported.glob("*.csv"):
        for row in csv_rows(file):
            tags = json.loads(row["Tags"])
            user, project = ("SubAccountId", None) if "cost" in file.name else ("BillingAccountId", "SubAccountId")
            for column, tag in (
                (user, "external_user_id"),
                (project, "external_project_id"),
                ("ResourceId", "sandbox_id"),
            ):
                if column is not None:
                    assert unquote(row[column], errors="strict") == tags.get(f"miosa_billing/{tag}", "")
                    assert row[column].isascii()
                    assert not row[column].startswith(("=", "+", "-", "@"))
                    encoded += "%" in row[column]
    assert encoded


def test_corrections_are_in_the_period_that_bills_them(exported: Path) -> None:
    """Taken back: a negative quantity at a positive price, in the days that it corrects."""
    for dataset in ("cost", "resale"):
        rows = csv_rows(exported / f"focus-{dataset}-{delivery.SECOND}.csv")
        corrections = [row for row in rows if row["ChargeClass"]]
        assert corrections
        for row in corrections:
            assert row["ChargeClass"] == "Correction"
            assert row["BillingPeriodStart"].startswith(delivery.SECOND)
            assert row["ChargePeriodStart"].startswith(delivery.FIRST)
        taken_back = [row for row in corrections if row["PricingQuantity"].startswith("-")]
        assert taken_back
        assert all(Decimal(row["ListUnitPrice"] or 0) >= 0 for row in taken_back)
    assert not [row for row in csv_rows(exported / f"focus-cost-{delivery.FIRST}.csv") if row["ChargeClass"]]


def test_a_correction_changes_no_file_of_a_closed_period(delivered: Path, exported: Path, tmp_path: Path) -> None:
    """Unattributed usage, owners and prices change, too; the open period has what they come to."""
    warehouse = delivery.copy_of(delivered, tmp_path)
    with closing(duckdb.connect(str(warehouse))) as connection:
        connection.execute("update intermediate.int_session_days set nano_credits = nano_credits + 7")
    folder = tmp_path / "files"
    for period in delivery.MONTHS:
        assert publish(warehouse, folder, "--json-lines", period=period) == (0, "")
    changed = {
        name.rsplit(".", 1)[0]
        for name, content in contents(folder).items()
        if content != (exported / name).read_bytes()
    }
    assert changed == {f"focus-cost-{delivery.OPEN}"}
    rows = [row for row in csv_rows(folder / f"focus-cost-{delivery.OPEN}.csv") if row["ChargeClass"] == "Correction"]
    ((days,),) = rows_of(
        warehouse,
        "select count(*) from intermediate.int_session_days where billing_period in (?, ?)",
        *delivery.MONTHS[:2],
    )
    assert sum(Decimal(row["PricingQuantity"]) for row in rows) == days * Decimal("0.000000007")
    assert "" in {row["SubAccountId"] for row in rows}


def test_the_same_warehouse_gives_the_same_bytes(delivered: Path, exported: Path, tmp_path: Path) -> None:
    assert publish(delivered, tmp_path, "--json-lines") == (0, "")
    assert contents(tmp_path) == {
        name: content for name, content in contents(exported).items() if delivery.SECOND in name
    }


def test_focus_1_3_has_other_names(delivered: Path, exported: Path, tmp_path: Path) -> None:
    assert publish(delivered, tmp_path, "--focus-version", "1.3") == (0, "")
    names = {"1.2": ["ProviderName", "PublisherName"], "1.3": ["ServiceProviderName", "HostProviderName"]}
    for version, folder in (("1.2", exported), ("1.3", tmp_path)):
        file = str(folder / f"focus-cost-{delivery.SECOND}.parquet")
        with closing(duckdb.connect()) as connection:
            columns = [row[0] for row in connection.execute("describe from read_parquet(?)", [file]).fetchall()]
            metadata = dict(
                connection.execute("select decode(key), decode(value) from parquet_kv_metadata(?)", [file]).fetchall()
            )
        assert [column for column in columns if column in names["1.2"] + names["1.3"]] == names[version]
        assert metadata["focus_version"] == version
        assert columns == sorted(columns, key=lambda column: column.startswith("x_"))


def test_what_is_refused(delivered: Path, tmp_path: Path) -> None:
    for arguments, period, status, sentence in (
        (["--focus-version", "1.0"], delivery.OPEN, 2, "name 1.2 or 1.3"),
        ([], "2026-13", 2, "is not a month"),
        ([], "1999-01", 1, f"it has {delivery.FIRST} to"),
    ):
        found, line = publish(delivered, tmp_path / "none", *arguments, period=period)
        assert (found, sentence in line) == (status, True), line
    assert not (tmp_path / "none").exists()


def test_a_failure_leaves_the_files_of_the_run_before(delivered: Path, tmp_path: Path) -> None:
    assert publish(delivered, tmp_path / "files", period=delivery.FIRST) == (0, "")
    before = contents(tmp_path / "files")
    warehouse = delivery.copy_of(delivered, tmp_path)
    with closing(duckdb.connect(str(warehouse))) as connection:
        connection.execute(
            "create or replace view marts.rpt_focus_resale as"
            " select * replace (error('lost') as Tags) from marts.rpt_focus_cost"
        )
    status, line = publish(warehouse, tmp_path / "files", period=delivery.FIRST)
    assert status == 1
    assert "\n" not in line
    assert contents(tmp_path / "files") == before


def test_unproven_files_say_so(delivered: Path, tmp_path: Path) -> None:
    warehouse = delivery.copy_of(delivered, tmp_path)
    with closing(duckdb.connect(str(warehouse))) as connection:
        connection.execute("delete from builds.history")
    status, line = publish(warehouse, tmp_path / "files")
    assert (status, "--allow-unproven" in line, (tmp_path / "files").exists()) == (1, True, False)
    assert publish(warehouse, tmp_path / "files", "--allow-unproven", "--json-lines") == (0, "")
    for dataset in ("cost", "resale"):
        rows = csv_rows(tmp_path / "files" / f"focus-{dataset}-{delivery.SECOND}.csv")
        assert all(row["x_Unproven"] for row in rows)


# --- The official validator ----------------------------------------------------------------------------------------


def validate(files: Iterable[Path]) -> dict[str, dict[str, list[str]]]:
    """By file: the ids of rules that passed, failed and were skipped."""
    done = subprocess.run(
        [VALIDATOR, VALIDATE, *files], capture_output=True, text=True, check=True, timeout=300, cwd=ROOT
    )
    found: dict[str, dict[str, list[str]]] = json.loads(done.stdout)
    return found


PLANTED = {
    "ProviderName-C-003-M": "null::varchar as ProviderName",
    "EffectiveCost-C-005-C": "case ChargeCategory when 'Purchase' then 1 else EffectiveCost end as EffectiveCost",
    "ResourceId-C-002-M": "'é' as ResourceId",
    "SubAccountName-C-005-C": "null::varchar as SubAccountName",
    "ChargeFrequency-C-003-M": "'Daily' as ChargeFrequency",
}
"""A fault for some rules, as a column. Our own test of the marts finds what the validator misses."""


def test_the_validator_finds_nothing_but_the_contradiction_about_invoices(exported: Path, tmp_path: Path) -> None:
    if not VALIDATOR.exists():
        pytest.skip("focus-validator is not installed: `make test-focus` does that, with Python 3.12")
    files = [*exported.glob(f"*-{delivery.SECOND}.csv"), *exported.glob(f"*-{delivery.SECOND}.parquet")]
    files += exported.glob(f"*-{delivery.OPEN}.parquet")
    assert len(files) == 6
    faulty, source = tmp_path / "faulty.parquet", exported / f"focus-resale-{delivery.SECOND}.parquet"
    with closing(duckdb.connect()) as connection:
        columns = ", ".join(PLANTED.values())
        connection.execute(f"copy (select * replace ({columns}) from read_parquet('{source}')) to '{faulty}'")
    results = validate([*files, faulty])
    for file in files:
        result = results[str(file)]
        assert len(result["passed"]) >= 280
        assert len(result["failed"]) == 1
        assert set(result["failed"]) <= CONTRADICTION
    assert set(PLANTED) <= set(results[str(faulty)]["failed"])
