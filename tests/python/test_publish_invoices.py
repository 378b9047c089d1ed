"""`publish invoices`: PDFs and CSVs say what the marts hold, whatever the ids, and however often it is killed."""

from __future__ import annotations

import csv
import hashlib
import os
import random
import re
import signal
import subprocess
import sys
import time
from collections import defaultdict
from collections.abc import Callable
from contextlib import closing, suppress
from datetime import datetime
from decimal import Decimal
from functools import partial
from pathlib import Path
from typing import Any, cast

import duckdb
import pypdf
import pytest

import pipeline
from delivered import FIRST, MONTHS, OPEN, SECOND, copy_of
from pipeline import query
from publish.cli import outcome
from publish.invoices.layout import MINUS, money

HOSTILE = (
    "../../etc/passwd",
    "CON",
    "con",
    "=cmd|'/c calc'!A0",
    "a\nb\r\x07",
    '#image("/etc/passwd") *bold* $x^2$ @ref <label>',
    "\u202egnp.exe",
    "שלום עולם",
    "مرحبا",
    "株式会社 カナ",
    "한국어",
    "naïve 👩‍👩‍👧 👋🏽",
    "a" * 300,
    "x,\"y\";\t'z'",
    " ",
)
WINDOWS_NAMES = re.compile(r"(?i)(con|prn|aux|nul|com\d|lpt\d)(\.|$)")


def publish(warehouse: Path, folder: Path, *arguments: str) -> tuple[int, str]:
    """Run the command in this process: its exit status and its line."""
    return outcome(["invoices", "--warehouse", str(warehouse), "--to", str(folder), *arguments])


def written(warehouse: Path, folder: Path, period: str, *arguments: str) -> Path:
    """The folder that the command has filled."""
    assert publish(warehouse, folder, "--period", period, *arguments) == (0, "")
    return folder / f"invoices-{period}"


def index_of(folder: Path) -> list[dict[str, str]]:
    with (folder / "index.csv").open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def rows_of(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def text_of(path: Path) -> str:
    """What a PDF says, with plain minus signs, and without the places at which words may break."""
    text = "\n".join(page.extract_text() for page in pypdf.PdfReader(path).pages)
    return text.replace(MINUS, "-").replace("\u200b", "")


def squeezed(text: str) -> str:
    return "".join(text.split())


def contents(folder: Path) -> dict[str, str]:
    """Digests of the files that a reader sees."""
    return {
        path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in folder.iterdir() if path.name[0] != "."
    }


def change(warehouse: Path, *statements: str) -> None:
    with closing(duckdb.connect(str(warehouse))) as connection:
        for statement in statements:
            connection.execute(statement)


def rename_users(warehouse: Path, names: tuple[str, ...]) -> None:
    """Give users other ids, everywhere that the command looks: in the marts and in what those are views of."""
    with closing(duckdb.connect(str(warehouse))) as connection:
        users = connection.execute("select distinct external_user_id from marts.fct_invoices order by all").fetchall()
        connection.execute("create temp table renamed (id varchar, name varchar)")
        connection.executemany(
            "insert into renamed values (?, ?)", [(id_, name) for (id_,), name in zip(users, names, strict=False)]
        )
        for table in ("marts.fct_invoices", "intermediate.int_invoice_lines"):
            connection.execute(f"update {table} set external_user_id = name from renamed where external_user_id = id")


# --- What they say -------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def folders(delivered: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """The documents of each period."""
    return {period: written(delivered, tmp_path_factory.mktemp("invoices"), period) for period in MONTHS}


@pytest.mark.parametrize("period", MONTHS)
def test_the_figures_are_those_of_the_marts(delivered: Path, folders: dict[str, Path], period: str) -> None:
    folder = folders[period]
    invoices = {
        row["invoice_id"]: row for row in query(delivered, "from marts.fct_invoices where invoice_period = ?", [period])
    }
    lines = defaultdict(list)
    for line in query(delivered, "from marts.fct_invoice_lines where invoice_period = ?", [period]):
        lines[line["invoice_id"]].append(line)
    usage = defaultdict(set)
    for row in query(delivered, "from marts.fct_invoice_line_usage where invoice_period = ?", [period]):
        usage[row["line_id"]].add(
            (row["session_id"], str(row["usage_date"]), row["external_project_id"], row["credits"], row["amount"])
        )
    index = index_of(folder)
    assert invoices
    assert sorted(row["invoice_id"] for row in index) == sorted(invoices)
    assert list(index[0]) == ["invoice_id", "external_user_id", "currency", "amount", "pdf", "csv"]
    assert set(contents(folder)) == {"index.csv", *(row[kind] for row in index for kind in ("pdf", "csv"))}
    for row in index:
        invoice = invoices[row["invoice_id"]]
        assert (row["external_user_id"], row["currency"]) == (invoice["external_user_id"], invoice["currency"])
        assert Decimal(row["amount"]) == invoice["amount"]
        own = {line["line_id"]: line for line in lines[row["invoice_id"]]}
        csv_rows = rows_of(folder / row["csv"])
        assert {each["line_id"] for each in csv_rows} == set(own)
        for line_id, line in own.items():
            of_line = [each for each in csv_rows if each["line_id"] == line_id]
            assert sum(Decimal(each["credits"]) for each in of_line) == line["quantity_credits"]
            assert sum(Decimal(each["amount"]) for each in of_line) == line["amount"]
            assert usage[line_id] == {
                (
                    each["session_id"],
                    each["usage_date"],
                    each["external_project_id"] or None,
                    Decimal(each["credits"]),
                    Decimal(each["amount"]),
                )
                for each in of_line
                if each["usage_date"]
            }
        text = text_of(folder / row["pdf"])
        exponent = next(iter(own.values()))["currency_exponent"]
        for line in own.values():
            assert squeezed(line["description"]) in squeezed(text)
            assert money(line["amount_minor"], exponent).replace(MINUS, "-") in text
        total = money(invoice["amount_minor"], exponent).replace(MINUS, "-")
        label = "Total credit" if invoice["is_credit"] else "Total"
        assert re.search(rf"{label} in {invoice['currency']}.*{re.escape(total)}", text, re.DOTALL)
        assert ("DRAFT" in text, "Draft" in text) == ((True, True) if period == OPEN else (False, False))
        name = "redit note" if invoice["is_credit"] else "nvoice"
        assert text.count(name) >= 1
        assert (invoice["document_number"] or "not numbered") in text
        assert "No issuer is set" in text


def test_an_adjustment_names_the_document_that_it_corrects(delivered: Path, folders: dict[str, Path]) -> None:
    adjusted = query(
        delivered,
        "select invoices.document_number as number, corrected.document_number as corrected"
        " from marts.fct_invoice_lines as lines"
        " inner join marts.fct_invoices as invoices on lines.invoice_id = invoices.invoice_id"
        " inner join marts.fct_invoices as corrected on lines.service_period = corrected.invoice_period"
        " and lines.external_user_id = corrected.external_user_id and lines.currency = corrected.currency"
        f" where lines.line_type = 'adjustment' and lines.invoice_period = '{SECOND}'",
    )
    assert len(adjusted) > 3
    for row in adjusted:
        (path,) = folders[SECOND].glob(f"{row['number']}_*.pdf")
        assert f"Corrects {row['corrected']}" in text_of(path)


def test_a_pdf_is_made_for_archives_and_for_everybody(delivered: Path, folders: dict[str, Path]) -> None:
    """PDF/A-3b and PDF/UA-1, by what the file itself declares; dated by the close, or by the build of a draft."""
    for period in (FIRST, OPEN):
        for path in folders[period].glob("*.pdf"):
            reader = pypdf.PdfReader(path)
            root = cast("dict[str, Any]", reader.trailer["/Root"])
            metadata = root["/Metadata"].get_object().get_data().decode()
            for part in ("<pdfaid:part>3<", "<pdfaid:conformance>B<", "<pdfuaid:part>1<"):
                assert part in metadata
            assert str(root["/MarkInfo"]["/Marked"]) == "True"
            dated = (
                "select max(closed_at_utc) as at from marts.fct_invoices where invoice_period = ?"
                if period == FIRST
                else "select coalesce(ended_at_utc, started_at_utc) as at from marts.rpt_builds"
                " where is_deciding and ? <> ''"
            )
            assert reader.metadata is not None
            assert reader.metadata.creation_date is not None
            at: datetime = query(delivered, dated, [period])[0]["at"]
            assert reader.metadata.creation_date.replace(tzinfo=None) == at.replace(microsecond=0)


def test_what_nothing_has_proven_says_so_on_its_face(
    delivered: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    warehouse = copy_of(delivered, tmp_path / "unproven")
    change(warehouse, "update builds.history set status = 'failed', failure_count = 3")
    status, line = publish(warehouse, tmp_path / "out", "--period", FIRST)
    assert status == 1
    assert "is not proven" in line
    assert not (tmp_path / "out").exists()
    folder = written(warehouse, tmp_path / "out", FIRST, "--allow-unproven")
    for path in folder.glob("*.pdf"):
        text = text_of(path)
        assert "Not proven: `dbt build` of" in " ".join(text.split())
        assert "NOT PROVEN" in text
    assert "publish: not proven:" in capsys.readouterr().err


def test_issuer_and_customer_are_those_of_the_seeds(delivered: Path, tmp_path: Path) -> None:
    warehouse = copy_of(delivered, tmp_path / "named")
    change(
        warehouse,
        "insert into staging.stg_billing__issuers (issuer_id, valid_from, issuer_name, address, tax_id, payment_terms,"
        " footer) values"
        f" ('OLD', '0001-01-01', 'Old *Ltd*', 'Road 1\nTown', 'IE1', 'Pay Old.', 'Foot of Old'),"
        f" ('NEW', '{SECOND}-01', 'New Ltd', 'Road 2', 'IE2', 'Pay New.', 'Foot of New')",
        "insert into staging.stg_billing__customers"
        " (external_user_id, customer_name, address, country, tax_id, reference)"
        " select distinct external_user_id, 'Customer of ' || external_user_id, 'Lane 7\nCity', 'Land', 'TAX9', 'PO 5'"
        " from marts.fct_invoices",
        # Numbered by an issuer who was in force then, and one who has gone since.
        f"update intermediate.int_invoice_lines set issuer_id = 'OLD' where invoice_period = '{SECOND}'",
        f"update marts.fct_invoices set issuer_id = 'OLD' where invoice_period = '{SECOND}'",
    )
    for period, issuer, other in ((FIRST, "Old *Ltd*", "New"), (SECOND, "Old *Ltd*", "New"), (OPEN, "New Ltd", "Old")):
        for path in written(warehouse, tmp_path / "out", period).glob("*.pdf"):
            text = text_of(path)
            shown = ("Road", "Foot of", "Customer of", "Lane 7", "City", "Land", "TAX9", "PO 5", "Tax id IE")
            assert [word for word in (issuer, *shown) if word not in text] == []
            assert other not in text
            assert ("Pay" in text) == ("redit note" not in text)
            assert "No issuer" not in text
    change(warehouse, "delete from staging.stg_billing__issuers where issuer_id = 'OLD'")
    status, line = publish(warehouse, tmp_path / "gone", "--period", SECOND)
    assert (status, (tmp_path / "gone").exists()) == (1, False)
    assert line.startswith("issuer.csv no longer has OLD, who issued 17 of these documents: nothing was written")


# --- Ids that are meant to break things ----------------------------------------------------------------------------


@pytest.fixture(scope="module")
def hostile(delivered: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    warehouse = copy_of(delivered, tmp_path_factory.mktemp("hostile"))
    rename_users(warehouse, HOSTILE)
    return warehouse


@pytest.mark.parametrize("period", [SECOND, OPEN])
def test_whatever_the_ids_names_are_safe_and_markup_is_inert(hostile: Path, tmp_path: Path, period: str) -> None:
    folder = written(hostile, tmp_path, period)
    index = index_of(folder)
    invoiced = query(
        hostile, "select invoice_id, external_user_id from marts.fct_invoices where invoice_period = ?", [period]
    )
    assert {(row["invoice_id"], row["external_user_id"]) for row in index} == {tuple(row.values()) for row in invoiced}
    assert len({row["external_user_id"] for row in index} & set(HOSTILE)) > 8
    names = [row[kind] for row in index for kind in ("pdf", "csv")]
    assert len({name.casefold() for name in names}) == len(names)
    for name in names:
        assert re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9_-]*\.(pdf|csv)", name)
        assert len(name) < 120
        assert not WINDOWS_NAMES.match(name)
    assert {path.relative_to(tmp_path).parts[0] for path in tmp_path.rglob("*")} == {folder.name}
    for row in index:
        user, text = row["external_user_id"], squeezed(text_of(folder / row["pdf"]))
        if user.isascii() and user.isprintable():
            assert squeezed(user) in text
        elif user.startswith("a\n"):
            assert "a[U+000A]b[U+000D][U+0007]" in text
        elif user.startswith("\u202e"):
            assert "[U+202E]gnp.exe" in text
        elif user.startswith(("株", "한")):
            assert squeezed(user) in text


def test_a_character_without_a_glyph_is_named_until_a_font_has_it(
    delivered: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    from fontTools.fontBuilder import FontBuilder
    from fontTools.pens.ttGlyphPen import TTGlyphPen

    warehouse = copy_of(delivered, tmp_path / "runes")
    rename_users(warehouse, ("ᚠ rune",) * 40)
    folder = written(warehouse, tmp_path / "out", OPEN)
    said = capsys.readouterr()
    assert (
        "14 documents show characters as codes, because no font has them: U+16A0 RUNIC LETTER FEHU FEOH FE F"
        in said.err
    )
    assert all("[U+16A0] rune" in text_of(path) for path in folder.glob("*.pdf"))
    box = TTGlyphPen(None)
    for step, point in enumerate([(0, 0), (0, 500), (500, 500), (500, 0)]):
        (box.lineTo if step else box.moveTo)(point)
    box.closePath()
    font = FontBuilder(1000, isTTF=True)
    font.setupGlyphOrder([".notdef", "fe"])
    font.setupCharacterMap({0x16A0: "fe"})
    font.setupGlyf(dict.fromkeys((".notdef", "fe"), box.glyph()))
    font.setupHorizontalMetrics(dict.fromkeys((".notdef", "fe"), (600, 0)))
    font.setupHorizontalHeader(ascent=800, descent=-200)
    font.setupNameTable({"familyName": "Runes", "styleName": "Regular", "psName": "Runes"})
    font.setupOS2()
    font.setupPost()
    (tmp_path / "fonts").mkdir()
    font.save(tmp_path / "fonts" / "runes.ttf")
    folder = written(warehouse, tmp_path / "out", OPEN, "--fonts", str(tmp_path / "fonts"))
    assert "codes" not in capsys.readouterr().err
    assert all("ᚠ rune" in text_of(path) for path in folder.glob("*.pdf"))


# --- Run again, killed, full ---------------------------------------------------------------------------------------


def test_a_rerun_writes_nothing_and_mends_what_was_damaged(
    delivered: Path, folders: dict[str, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = written(delivered, tmp_path, SECOND)
    before = contents(folder)
    assert before == contents(folders[SECOND]), "two runs made other bytes of the same warehouse"
    pdf, csv_file, gone = (
        folder / index_of(folder)[0]["pdf"],
        folder / index_of(folder)[1]["csv"],
        folder / index_of(folder)[2]["pdf"],
    )
    (folder / "a note of mine.pdf").write_text("mine")
    assert (
        "(0 files written)" in (capsys.readouterr(), written(delivered, tmp_path, SECOND), capsys.readouterr())[2].out
    )
    pdf.write_bytes(pdf.read_bytes()[:-100])
    csv_file.write_text("")
    gone.unlink()
    written(delivered, tmp_path, SECOND)
    assert "(3 files written)" in capsys.readouterr().out
    assert contents(folder) == before | {"a note of mine.pdf": hashlib.sha256(b"mine").hexdigest()}


def test_a_draft_goes_when_its_month_is_closed_and_one_user_alone_leaves_the_others(
    delivered: Path, tmp_path: Path
) -> None:
    warehouse = copy_of(delivered, tmp_path / "closing")
    folder = written(warehouse, tmp_path / "out", OPEN)
    drafts = set(contents(folder))
    change(
        warehouse,
        *(
            f"update {table} set status = 'closed', closed_at_utc = '2026-05-02 08:00:00',"
            " document_number = '2026-0' || substr(invoice_id, 1, 5)"
            f" where invoice_period = '{OPEN}'"
            for table in ("marts.fct_invoices", "intermediate.int_invoice_lines")
        ),
    )
    user = query(
        warehouse, "select min(external_user_id) as id from marts.fct_invoices where invoice_period = ?", [OPEN]
    )[0]["id"]
    written(warehouse, tmp_path / "out", OPEN, "--user", user)
    assert {row["external_user_id"] for row in index_of(folder)} == {user}
    assert drafts < set(contents(folder))
    # The whole month again: the index of one user's files is no list of the drafts, so these are known by the notes.
    written(warehouse, tmp_path / "out", OPEN)
    assert not any(name.startswith("draft") for name in contents(folder))
    assert len(index_of(folder)) == 14


def multiply(warehouse: Path, times: int) -> None:
    """So many invoices more, of users of their own."""
    change(
        warehouse,
        f"create temp table numbers as select unnest(range(1, {times})) as n",
        "insert into intermediate.int_invoice_lines"
        " select lines.* replace (line_id || n as line_id, invoice_id || n as invoice_id,"
        " external_user_id || n as external_user_id, document_number || '-' || n as document_number)"
        " from intermediate.int_invoice_lines as lines, numbers",
        "insert into marts.fct_invoices"
        " select invoices.* replace (invoice_id || n as invoice_id, external_user_id || n as external_user_id,"
        " document_number || '-' || n as document_number) from marts.fct_invoices as invoices, numbers",
    )


def children_of(process: int) -> list[int]:
    with suppress(OSError):
        return [int(child) for child in Path(f"/proc/{process}/task/{process}/children").read_text().split()]
    return []


def is_running(process: int) -> bool:
    try:
        return Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def none_runs(processes: list[int]) -> bool:
    return not any(map(is_running, processes))


def has_files(folder: Path, count: int) -> bool:
    return folder.exists() and len(list(folder.glob("[!.]*"))) >= count


def wait_until(holds: Callable[[], bool], seconds: float = 60) -> bool:
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if holds():
            return True
        time.sleep(0.02)
    return False


def test_sigkill_leaves_whole_files_only_and_a_rerun_goes_on(delivered: Path, tmp_path: Path) -> None:
    """On two processes. None of them outlives the command, and the files are those of a run that nobody killed."""
    warehouse, out = copy_of(delivered, tmp_path / "many"), tmp_path / "out"
    multiply(warehouse, 6)
    reference = contents(written(warehouse, tmp_path / "undisturbed", SECOND))
    assert len(reference) == 1 + 2 * 6 * 17
    folder, rng, seen = out / f"invoices-{SECOND}", random.Random(3), [0]
    command = [sys.executable, "-m", "publish", "invoices", "--period", SECOND, "--to", str(out)]
    environment = os.environ | {"WAREHOUSE_PATH": str(warehouse)}
    for _ in range(3):
        run = subprocess.Popen(command, cwd=pipeline.ROOT, env=environment, stdout=subprocess.DEVNULL)
        wanted = seen[-1] + rng.randint(1, 40)
        assert wait_until(partial(has_files, folder, wanted))
        helpers = children_of(run.pid)
        run.send_signal(signal.SIGKILL)
        assert run.wait() == -signal.SIGKILL
        assert wait_until(partial(none_runs, helpers), 10)
        found = contents(folder)
        assert found.items() <= reference.items()
        assert "index.csv" not in found
        seen.append(len(found))
    assert seen == sorted(seen)
    done = subprocess.run(command, cwd=pipeline.ROOT, env=environment, capture_output=True, text=True, check=True)
    assert contents(folder) == reference
    new = int(re.search(r"\(([\d,]+) files written\)", done.stdout)[1])  # type: ignore[index]
    # What a kill interrupted is made again, at most a batch per process.
    assert new <= len(reference) - seen[-1] + 2 * 2 * 20
    assert not [path for path in folder.iterdir() if path.name.endswith(".partial")]


# --- Refusals ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "status", "line"),
    [
        ((), 2, "--period is missing: name the month, like --period 2026-10"),
        (("--period", "2026-13"), 2, "--period '2026-13' is not a month"),
        (("--period", "2031-01"), 1, "has no billing period 2031-01"),
        (
            ("--period", FIRST, "--user", "nobody", "--user", "x\n"),
            1,
            "'nobody', 'x\\n' has no invoice in 2026-02: nothing was written",
        ),
        (("--period", FIRST, "--fonts", "/nowhere"), 1, "--fonts /nowhere holds no font that can be used"),
    ],
)
def test_what_cannot_be_done_is_one_line_and_writes_nothing(
    delivered: Path, tmp_path: Path, arguments: tuple[str, ...], status: int, line: str
) -> None:
    found = publish(delivered, tmp_path / "out", *arguments)
    assert (found[0], line in found[1], "\n" in found[1]) == (status, True, False), found
    assert not (tmp_path / "out").exists()


def test_two_runs_do_not_write_to_one_folder(delivered: Path, tmp_path: Path) -> None:
    import fcntl

    (tmp_path / f"invoices-{FIRST}").mkdir()
    held = os.open(tmp_path / f"invoices-{FIRST}", os.O_RDONLY)
    fcntl.flock(held, fcntl.LOCK_EX)
    status, line = publish(delivered, tmp_path, "--period", FIRST)
    os.close(held)
    assert status == 1
    assert "another run writes to" in line
    assert list((tmp_path / f"invoices-{FIRST}").iterdir()) == []


def test_a_full_disk_is_one_line_and_leaves_no_index(delivered: Path, tmp_path: Path) -> None:
    """A limit on the size of files stands for the disk."""
    import resource

    def limit() -> None:
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (10_000, 10_000))

    command = [sys.executable, "-m", "publish", "invoices", "--period", FIRST, "--to", str(tmp_path)]
    environment: dict[str, Any] = os.environ | {"WAREHOUSE_PATH": str(delivered)}
    done = subprocess.run(
        command, cwd=pipeline.ROOT, env=environment, preexec_fn=limit, capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stdout) == (1, "")
    assert "cannot write" in done.stderr
    assert done.stderr.count("\n") == 1
    assert set(contents(tmp_path / f"invoices-{FIRST}")) <= {
        path.name for path in (tmp_path / f"invoices-{FIRST}").glob("*.csv")
    } - {"index.csv"}
