"""The check of seed files: what is unambiguous is read, everything else is refused in one line."""

from __future__ import annotations

import csv
import io
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

import pipeline
from core.database.opening import create_database
from dbt_miosa_billing.seed_files import SeedError, check_seeds, configured_columns, file_errors

ROOT = Path(__file__).resolve().parents[2]
COLUMNS = configured_columns(ROOT)
ASSIGNMENTS = COLUMNS["user_plans"]
HEADER = ",".join(ASSIGNMENTS) + "\n"
ROW = "ann,starter,2026-10-01,\n"


def errors(content: str | bytes, columns: Sequence[str] = ASSIGNMENTS) -> list[str]:
    return list(file_errors(content.encode() if isinstance(content, str) else content, columns))


@pytest.mark.parametrize(
    "content",
    [
        HEADER,
        "\ufeff" + HEADER + ROW,
        (HEADER + ROW).replace("\n", "\r\n"),
        (HEADER + ROW).replace("\n", "\r"),
        HEADER + ROW + "\n,,,\n,,\n\n",
        HEADER.replace("\n", "\r\n") + ROW + '"ann\nlee","the ""big"" one",2026-10-01,\r\n',
        "external_user_id,plan_id,valid_from,valid_to,,\nann,starter,2026-10-01,,,\n",
        "valid_to,plan_id,valid_from,external_user_id\n,starter,2026-10-01,ann\n",
    ],
)
def test_unambiguous_files_are_read(content: str) -> None:
    assert errors(content) == []


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("", "line 1: it is empty"),
        ("\n", "line 1: it is empty"),
        (ROW, "column external_user_id: it is missing"),
        ("external_user_id,plan_id,valid_from\n", "column valid_to: it is missing"),
        (HEADER.replace("valid_to", "until"), "column until: it is unknown"),
        (HEADER.replace("valid_to", "valid_to,valid_to"), "column valid_to: it is there 2 times"),
        ((HEADER + ROW).replace(",", ";"), "separated by semicolons"),
        ((HEADER + ROW).replace(",", "\t"), "separated by tabs"),
        ((HEADER + ROW).encode("utf-16"), "UTF-16"),
        ((HEADER + ROW.replace("ann", "Ren\u00e9")).encode("cp1252"), "line 2: byte 0xe9 is not UTF-8"),
        (HEADER + ROW.replace("ann", "a\0n"), "line 2: it holds a NUL byte"),
        (HEADER + '"ann,starter,2026-10-01,\n', "line 2: its quotes do not pair up"),
        (
            HEADER + 'ann, "starter",2026-10-01,\n',
            "line 2, column plan_id: ' \"starter\"' has a blank before its quote",
        ),
        (HEADER + "ann,starter\n", "line 2: it has 2 cells"),
        (HEADER + "ann,starter,2026-10-01,,x\n", "line 2: it has 5 cells"),
        (HEADER + ROW + "\n" + ROW, "line 3: it is blank between other rows"),
        (HEADER + ROW.replace("2026-10-01", "31.10.2026"), "line 2, column valid_from: '31.10.2026' is not a day"),
        (HEADER + ROW.replace("2026-10-01", "10/31/2026"), "line 2, column valid_from: '10/31/2026' is not a day"),
        (HEADER + ROW.replace("2026-10-01", "2026-02-30"), "line 2, column valid_from: '2026-02-30' is not a day"),
    ],
)
def test_everything_else_is_named(content: str | bytes, said: str) -> None:
    assert any(said in error for error in errors(content)), errors(content)


@pytest.mark.parametrize(
    ("price", "is_read"),
    [
        ("0.01", True),
        ("1E-3", True),
        ("1E-9", True),
        ("0.0100000000", True),
        ("1E-10", False),
        ("1E9", False),
        ("-1", False),
        ("1,000", False),
        ("1.000,00", False),
        ("", False),
    ],
)
def test_numbers(price: str, is_read: bool) -> None:
    content = f'plan_id,valid_from,tier_from_credits,unit_price\nstarter,2026-10-01,0,"{price}"\n'
    assert (errors(content, COLUMNS["plan_price_tiers"]) == []) is is_read


@given(st.data())
def test_resaving_is_read_and_a_lost_column_is_refused(data: st.DataObject) -> None:
    name = data.draw(st.sampled_from(sorted(COLUMNS)))
    header, *rows = list(csv.reader((ROOT / "seeds" / f"{name}.csv").open(encoding="utf-8", newline="")))
    order = data.draw(st.permutations(range(len(header))))
    blank = data.draw(st.integers(0, 3))
    saved = io.StringIO()
    writer = csv.writer(
        saved,
        lineterminator=data.draw(st.sampled_from(["\n", "\r\n", "\r"])),
        quoting=data.draw(st.sampled_from([csv.QUOTE_ALL, csv.QUOTE_MINIMAL])),
    )
    for row in [header, *rows]:
        writer.writerow([row[place] for place in order] + [""] * blank)
    for _ in range(data.draw(st.integers(0, 3))):
        writer.writerow([""] * (len(header) + blank))
    content = saved.getvalue().encode(data.draw(st.sampled_from(["utf-8", "utf-8-sig"])))
    assert errors(content, COLUMNS[name]) == []
    lost = data.draw(st.sampled_from(header))
    assert any(lost in error for error in errors(content.replace(lost.encode(), b"other", 1), COLUMNS[name]))


CUSTOMERS = COLUMNS["customers"]
CUSTOMER_HEADER = ",".join(CUSTOMERS) + "\n"
HOSTILE_NAMES = (
    '=HYPERLINK("http://evil.example","Click")',
    "+1+1",
    "-2-2",
    "@SUM(A1:A9)",
    'The "Best" Company, Ltd.',
    "O'Neill'; drop table seeds.plans; --",
    "two\nlines",
    "Windows\r\nlines",
    "old\rlines",
    "tab\there",
    " blanks around ",
    "trailing \\",
    "$$dollars$$ {{ braces }} {% raw %}",
    "<script>alert(1)</script>",
    "NULL",
    "''",
    "0012",
    "1E5",
    "Zoë 株式会社 \U0001f600 \u202egnal\u202c",
)
"""Names that a spreadsheet, a shell, SQL, HTML or a template would take for something else."""


@pytest.mark.parametrize(
    ("rows", "said"),
    [
        ("ann,Ann,,,,,\nbob,Bob,,,,,\nann,Anna,,,,,\n", ["line 4, column external_user_id: 'ann' is on line 2 too"]),
        (",Ann,,,,,\n", ["line 2, column external_user_id: (empty) is no id"]),
        ("(unattributed),Nobody,,,,,\n", ["line 2, column external_user_id: '(unattributed)' is not a user"]),
        ('"ann\nlee",Ann,,,,,\n"ann\nlee",Ann,,,,,\n', ["line 4, column external_user_id: 'ann?lee' is on line 2 too"]),
        ("ann,Ann,,,,,\nAnn,Ann,,,,,\n ann,Ann,,,,,\n,,,,,,\n", []),
    ],
)
def test_a_customer_stands_on_one_row(rows: str, said: list[str]) -> None:
    found = list(file_errors((CUSTOMER_HEADER + rows).encode(), CUSTOMERS, ["external_user_id"]))
    assert len(found) == len(said)
    assert all(error.startswith(words) for error, words in zip(found, said, strict=True)), found


def test_names_arrive_as_they_were_written(tmp_path: Path) -> None:
    """Whatever a name would mean elsewhere, it is text: in the seed's table as in the file."""
    saved = io.StringIO()
    csv.writer(saved, lineterminator="\n", quoting=csv.QUOTE_ALL).writerows(
        [CUSTOMERS, *([f"u{place}", name, "", name, "", "", ""] for place, name in enumerate(HOSTILE_NAMES))]
    )
    seeds = pipeline.write_seeds(tmp_path / "seeds")
    (seeds / "customers.csv").write_bytes(saved.getvalue().encode())
    create_database(tmp_path / "usage.duckdb")
    done = pipeline.dbt(tmp_path / "usage.duckdb", "seed", seeds=seeds)
    assert done.returncode == 0, done.stdout
    read = "select external_user_id, customer_name, address, email from seeds.customers"
    loaded = {row.pop("external_user_id"): row for row in pipeline.query(tmp_path / "usage.duckdb", read)}
    assert loaded == {
        f"u{place}": {"customer_name": name, "address": name, "email": None} for place, name in enumerate(HOSTILE_NAMES)
    }


def test_dbt_refuses_a_customer_on_two_rows_in_one_line(tmp_path: Path) -> None:
    seeds = pipeline.write_seeds(tmp_path / "seeds", customers=CUSTOMER_HEADER + "ann,A,,,,,\nann,B,,,,,\n")
    done = pipeline.dbt(tmp_path / "usage.duckdb", "seed", seeds=seeds)
    assert done.returncode != 0
    assert "customers.csv, line 3, column external_user_id: 'ann' is on line 2 too: keep one of them" in done.stdout
    assert "Traceback" not in done.stdout + done.stderr


def test_an_issuer_has_an_id_and_a_first_day_of_its_own() -> None:
    """Its id begins document numbers and file names: two must not differ by case alone, or look like a path."""
    header = ",".join(COLUMNS["issuer"]) + "\n"

    def found(*rows: str) -> list[str]:
        content = header + "".join(f"{row},,,,,,,\n" for row in rows)
        return list(file_errors(content.encode(), COLUMNS["issuer"], ["issuer_id", "valid_from"]))

    assert found("ACME,0001-01-01", "ACME-2,2026-10-01", f"{'A' * 20},2026-11-01") == []
    for wrong in ("acme", "A/B", "-A", "A--B", "A_1", "\u00c4", "A" * 21, " A"):
        (error,) = found(f"{wrong},2026-10-01")
        assert "is not an id of capital letters, digits and inner dashes, at most 20" in error
    (error,) = found(",2026-10-01")
    assert error == "line 2, column issuer_id: (empty) is no id: write one, or delete the row"
    (error,) = found("ACME,")
    assert error == "line 2, column valid_from: (empty) is not a day like 2026-10-31"
    (error,) = found("ACME,2026-10-01", "ACME,2026-11-01")
    assert error == "line 3, column issuer_id: 'ACME' is on line 2 too: keep one of them"
    (error,) = found("ACME,2026-10-01", "NEW,2026-10-01")
    assert error == "line 3, column valid_from: '2026-10-01' is on line 2 too: keep one of them"


def test_the_line_names_files_and_counts_what_it_leaves_out(tmp_path: Path) -> None:
    shutil.copy(ROOT / "dbt_project.yml", tmp_path)
    (tmp_path / "mine").mkdir()
    left_out = len(list((ROOT / "seeds").glob("*.csv"))) - 5
    with pytest.raises(SeedError, match=rf"mine/currencies\.csv is missing: .*; and {left_out} more$") as raised:
        check_seeds(tmp_path, {"SEEDS_PATH": "mine"})
    assert "\n" not in str(raised.value)


def test_dbt_loads_what_was_saved_again_and_stops_at_a_lost_column(tmp_path: Path) -> None:
    seeds = Path(shutil.copytree(ROOT / "seeds", tmp_path / "seeds"))
    warehouse = tmp_path / "usage.duckdb"
    (seeds / "user_plans.csv").write_bytes(
        b"\xef\xbb\xbfplan_id,external_user_id,valid_from,valid_to,,\r\nstarter,0012,2026-10-01,,,\r\n"
        # A line break within a cell, and a row that an editor added with another line end.
        b'starter,"ann\nlee",2026-10-01,,,\r\nstarter, bob,2026-10-01,,,\n,,,,,\r\n\r\n'
    )
    create_database(warehouse)
    done = pipeline.dbt(warehouse, "seed", seeds=seeds)
    assert done.returncode == 0, done.stdout
    read = "select external_user_id, plan_id, valid_from, valid_to from seeds.user_plans order by 1"
    loaded = pipeline.query(warehouse, read)
    users = [" bob", "0012", "ann\nlee"]
    assert [list(row.values()) for row in loaded] == [[user, "starter", "2026-10-01", None] for user in users]
    (seeds / "user_plans.csv").write_text("plan_id,external_user_id,valid_from\nstarter,0012,2026-10-01\n")
    done = pipeline.dbt(warehouse, "seed", seeds=seeds)
    assert done.returncode in (1, 2)
    assert "user_plans.csv, line 1, column valid_to: it is missing" in done.stdout
    assert "Traceback" not in done.stdout + done.stderr
    assert pipeline.query(warehouse, read) == loaded


@pytest.fixture(scope="module")
def loaded_once(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A warehouse that holds good seeds: on it, dbt would have filled a lost column with nulls."""
    folder = tmp_path_factory.mktemp("loaded")
    shutil.copytree(ROOT / "seeds", folder / "seeds")
    create_database(folder / "usage.duckdb")
    done = pipeline.dbt(folder / "usage.duckdb", "seed", seeds=folder / "seeds")
    assert done.returncode == 0, done.stdout
    return folder / "usage.duckdb"


PRICES = "plan_id,valid_from,valid_to,monthly_fee,included_credits,minimum_charge,tier_model\n"
BAD_PRICES = {
    "UTF-16": (PRICES.encode("utf-16"), "line 1: it is UTF-16"),
    "another encoding": (PRICES.encode() + b"M\xfcller,2026-10-01,,,,,graduated\n", "line 2: byte 0xfc is not UTF-8"),
    "empty": (b"", "line 1: it is empty"),
    "a blank line": (b"\n", "line 1: it is empty"),
    "a column is lost": (
        PRICES.replace(",monthly_fee", "").encode(),
        "line 1, column monthly_fee: it is missing",
    ),
    "a column is there twice": (
        PRICES.replace("\n", ",valid_to\n").encode(),
        "line 1, column valid_to: it is there 2 times",
    ),
    "a column is renamed": (PRICES.replace("monthly_fee", "fee").encode(), "line 1, column monthly_fee: it is missing"),
    "a column more": (PRICES.replace("\n", ",note\n").encode(), "line 1, column note: it is unknown"),
    "semicolons": (PRICES.replace(",", ";").encode(), "line 1: cells are separated by semicolons"),
    "tabs": (PRICES.replace(",", "\t").encode(), "line 1: cells are separated by tabs"),
    "a day": (
        PRICES.encode() + b"p,31.10.2026,,,,,graduated\n",
        "line 2, column valid_from: '31.10.2026' is not a day",
    ),
    "an amount": (
        PRICES.encode() + b'p,2026-10-01,,"1,000",,,graduated\n',
        "line 2, column monthly_fee: '1,000' is not an amount",
    ),
}


@pytest.mark.parametrize("name", BAD_PRICES)
def test_a_price_list_that_cannot_be_read_is_named(name: str) -> None:
    content, said = BAD_PRICES[name]
    assert any(error.startswith(said) for error in errors(content, COLUMNS["plan_prices"]))


@pytest.mark.parametrize("name", ["another encoding", "a column is lost", "an amount"])
def test_dbt_stops_before_it_loads_anything(loaded_once: Path, tmp_path: Path, name: str) -> None:
    """In a process of its own, as users run it: dbt decodes seeds while it parses. One error of each kind will do."""
    content, said = BAD_PRICES[name]
    seeds = Path(shutil.copytree(ROOT / "seeds", tmp_path / "seeds"))
    (seeds / "plan_prices.csv").write_bytes(content)
    read = "select * from seeds.plan_prices order by all"
    before = pipeline.query(loaded_once, read)
    done = pipeline.dbt(loaded_once, "build", seeds=seeds)
    assert done.returncode in (1, 2)
    assert f"plan_prices.csv, {said}" in done.stdout
    assert "Traceback" not in done.stdout + done.stderr
    assert pipeline.query(loaded_once, read) == before


def test_dbt_reports_an_encoding_before_it_parses(tmp_path: Path) -> None:
    seeds = Path(shutil.copytree(ROOT / "seeds", tmp_path / "seeds"))
    (seeds / "plans.csv").write_bytes(b"plan_id,plan_name,currency\nstarter,M\xfcller,USD\n")
    done = subprocess.run(
        [
            str(Path(sys.executable).parent / "dbt"),
            "parse",
            "--target-path",
            str(tmp_path),
            "--log-path",
            str(tmp_path),
        ],
        cwd=ROOT,
        env={"PATH": "/usr/bin:/bin", "SEEDS_PATH": str(seeds), "WAREHOUSE_PATH": str(tmp_path / "w.duckdb")},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 2
    assert f"{seeds}/plans.csv, line 2: byte 0xfc is not UTF-8: save it as CSV UTF-8" in done.stdout
    assert "Traceback" not in done.stdout + done.stderr
