"""What the documents tell people to type works as written: the README's finance questions, its commands, its links."""

from __future__ import annotations

import json
import re
from collections import Counter
from contextlib import closing
from pathlib import Path

import duckdb
import pytest

from pipeline import ROOT, Run, copy, dbt, manifest, query
from simulator.generate import generate_tenant
from tenants import Span

README = (ROOT / "README.md").read_text("utf-8")
DOCUMENTS = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").glob("*.md")])
FINANCE_PAGE = (ROOT / "docs" / "finance.md").read_text("utf-8")
MARTS = {path.stem for path in (ROOT / "models" / "marts").rglob("*.sql")}
MODELS = {path.stem for path in (ROOT / "models").rglob("*.sql")}
QUESTIONS = dict(
    zip(
        re.findall(r"^\*\*(\d)\. ", README, re.MULTILINE),
        re.findall(r"```sql\n(.*?)```", README, re.DOTALL),
        strict=True,
    )
)
FINANCE = dict(
    zip(
        re.findall(r"^\*\*(\d+)\. ", FINANCE_PAGE, re.MULTILINE),
        re.findall(r"```sql\n(.*?)```", FINANCE_PAGE, re.DOTALL),
        strict=True,
    )
)
"""The questions of a month's end; `test_finance.py` works out the answers."""


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Run:
    """The demo's own tenant, extracted and built by the command as it stands in the README."""
    run = Run(tmp_path_factory.mktemp("demo") / "usage.duckdb")
    run.extract(generate_tenant(), span=Span("2026-08", "2026-10"))
    done = dbt(run.warehouse, "build", "--write-json")
    assert done.returncode == 0, done.stdout[-6000:]
    return run


def results(run: Run) -> dict[str, str]:
    """The status of each node in dbt's last command."""
    text = (run.warehouse.parent / "target" / "run_results.json").read_text()
    return {result["unique_id"]: result["status"] for result in json.loads(text)["results"]}


def test_the_readmes_build_passes_with_every_data_test_and_no_unit_test(demo: Run) -> None:
    project = manifest()
    statuses = results(demo)
    expected = {key for key, node in project["nodes"].items() if node["resource_type"] in ("model", "seed", "test")}
    assert expected <= statuses.keys()
    assert not statuses.keys() & project["unit_tests"].keys()
    assert set(statuses.values()) == {"success", "pass", "no-op"}


def test_every_unit_test_passes(demo: Run, tmp_path: Path) -> None:
    """Here they run, once in all tests: no other build has them."""
    copy = demo.copy(tmp_path)
    done = dbt(copy.warehouse, "test", "--select", "test_type:unit", "--write-json")
    assert done.returncode == 0, done.stdout[-6000:]
    statuses = {key: status for key, status in results(copy).items() if not key.startswith("operation.")}
    assert statuses == dict.fromkeys(manifest()["unit_tests"], "pass")


def test_there_are_five_questions_and_twelve_of_a_months_end() -> None:
    assert list(QUESTIONS) == [str(number) for number in range(1, 6)]
    assert list(FINANCE) == [str(number) for number in range(1, 13)]
    assert all(len(question.splitlines()) <= 10 for question in FINANCE.values())


def test_question_1_lists_every_user_of_the_period_with_the_periods_credits(demo: Run) -> None:
    rows = query(demo.warehouse, QUESTIONS["1"])
    facts = query(
        demo.warehouse,
        "select count(distinct external_user_id) as users, sum(credits) as credits"
        " from marts.fct_session_period_credits where billing_period = '2026-10'",
    )
    assert [{"users": len(rows), "credits": sum(row["credits"] for row in rows)}] == facts


def test_question_2_compares_every_step_without_a_mismatch(demo: Run) -> None:
    rows = query(demo.warehouse, QUESTIONS["2"])
    assert len(rows) == 7
    assert {row["mismatches"] for row in rows} == {0}
    assert all(row["compared"] for row in rows)


def test_question_3_lists_users_at_their_limits(demo: Run) -> None:
    rows = query(demo.warehouse, QUESTIONS["3"])
    assert {row["status"] for row in rows} == {"warning", "at_limit", "over_limit"}
    assert all(row["reached_limit_at_utc"] for row in rows if row["quota"] == "credits" and row["status"] != "warning")


def test_question_4_explains_a_users_figure_down_to_the_raw_rows(demo: Run) -> None:
    rows = query(demo.warehouse, QUESTIONS["4"])
    figure = query(
        demo.warehouse,
        "select credits, session_count from marts.fct_user_period_credits"
        " where external_user_id = 'user-0001' and billing_period = '2026-10'",
    )
    assert [{"credits": sum(row["credits"] for row in rows), "session_count": len(rows)}] == figure
    assert all(f'"{row["session_id"]}"' in row["payload"] for row in rows)


def test_question_5_leads_from_an_invoice_line_to_the_raw_rows(demo: Run) -> None:
    rows = query(demo.warehouse, QUESTIONS["5"])
    line = query(
        demo.warehouse,
        "select sum(quantity_credits) as credits from marts.fct_invoice_lines"
        " where external_user_id = 'user-0001' and invoice_period = '2026-10'",
    )
    pieces = {(row["session_id"], row["usage_date"]): row["credits"] for row in rows}
    assert [{"credits": sum(pieces.values())}] == line
    assert all(f'"{row["session_id"]}"' in row["payload"] for row in rows)


def test_finance_question_9_lists_each_user_who_is_over_the_limit_on_credits_once(demo: Run) -> None:
    rows = query(demo.warehouse, FINANCE["9"])
    users = [row["external_user_id"] for row in rows]
    over = query(
        demo.warehouse,
        "select external_user_id, reached_limit_at_utc from marts.fct_quota_utilization"
        " where billing_period = '2026-10' and quota = 'credits' and status in ('at_limit', 'over_limit')",
    )
    assert over
    assert len(users) == len(set(users))
    told = {row["external_user_id"]: (row["earliest_reached_at_utc"], row["share_reached_percent"]) for row in rows}
    assert {row["external_user_id"]: (row["reached_limit_at_utc"], 100) for row in over}.items() <= told.items()
    assert all(row["high_expected_credits"] > 0 for row in rows), "a limit of zero without any use is not reached"


def test_finance_question_9_lists_who_will_reach_a_limit_and_nobody_else(demo: Run, tmp_path: Path) -> None:
    """Each outlook is given to a user of its own: the demo's months have ended, so it knows no likely one."""
    outlooks = ("reached", "likely", "possible", "unlikely", "no_limit", None)
    planted = (
        "create temp table planted as select forecast.* replace ("
        " 'user-' || listed.outlook as external_user_id, listed.outlook as outlook,"
        " timestamp '2026-10-20' as run_rate_reached_at_utc)"
        " from (from marts.fct_quota_forecast limit 1) as forecast"
        " cross join (select unnest(?::varchar[]) as outlook) as listed"
    )
    with closing(duckdb.connect(str(copy(demo.warehouse, tmp_path / "planted")))) as connection:
        connection.execute(planted, [list(outlooks)])
        connection.execute("create or replace table marts.fct_quota_forecast as from planted")
        rows = connection.execute(FINANCE["9"]).fetchall()
    assert {row[0] for row in rows} == {"user-reached", "user-likely", "user-possible"}


def test_the_questions_have_the_same_answers_on_a_copy_of_the_marts_alone(demo: Run, tmp_path: Path) -> None:
    published = tmp_path / "published.duckdb"
    with closing(duckdb.connect(str(published))) as connection:
        connection.execute(f"attach '{demo.warehouse}' as warehouse (read_only); create schema marts")
        for mart in MARTS:
            connection.execute(f"create table marts.{mart} as from warehouse.marts.{mart}")
        connection.execute("detach warehouse")
    for number, question in (*QUESTIONS.items(), *FINANCE.items()):
        rows, expected = query(published, question), query(demo.warehouse, question)
        # Nothing is closed in the demo, so no invoice corrects another one.
        assert rows or "rpt_adjustment_changes" in question, number
        assert Counter(map(repr, rows)) == Counter(map(repr, expected)), number


def test_descriptions_and_not_null_of_the_marts_are_in_the_warehouse(demo: Run) -> None:
    marts = [node for node in manifest()["nodes"].values() if node["fqn"][1] == "marts" and node["name"] in MARTS]
    assert len(marts) == len(MARTS)
    expected = {(mart["name"], None): mart["description"].strip() for mart in marts}
    not_null = set()
    for mart in marts:
        for column in mart["columns"].values():
            expected[mart["name"], column["name"]] = column["description"].strip()
            if column["constraints"]:
                not_null.add((mart["name"], column["name"]))
    found = query(
        demo.warehouse,
        "select table_name as mart, column_name as name, comment, is_nullable from duckdb_columns()"
        " where schema_name = 'marts'"
        " union all select table_name, null, comment, true from duckdb_tables() where schema_name = 'marts'"
        " union all select view_name, null, comment, true from duckdb_views() where schema_name = 'marts'",
    )
    assert {(row["mart"], row["name"]): row["comment"] for row in found} == expected
    assert {(row["mart"], row["name"]) for row in found if not row["is_nullable"]} == not_null


def test_the_bi_snippet_of_the_readme_reads_and_cannot_leave_the_file(
    demo: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    snippet = next(block for block in re.findall(r"```python\n(.*?)```", README, re.DOTALL) if "read_only" in block)
    monkeypatch.chdir(demo.warehouse.parent)
    Path("warehouse.duckdb").symlink_to(demo.warehouse)
    names: dict[str, object] = {}
    exec(snippet, names)  # noqa: S102 - what the README tells people to run
    connection = names["warehouse"]
    assert isinstance(connection, duckdb.DuckDBPyConnection)
    with connection, pytest.raises(duckdb.Error):
        connection.execute("select * from read_text('/etc/hostname')")


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_links_and_make_targets_of_the_documents_exist(document: Path) -> None:
    text = document.read_text("utf-8")
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text("utf-8"), re.MULTILINE))
    missing = [link for link in re.findall(r"\]\(([^)#:]+)\)", text) if not (document.parent / link).exists()]
    missing += [target for target in re.findall(r"(?:^|`)make ([a-z-]+)", text, re.MULTILINE) if target not in targets]
    assert not missing


def _anchors(document: Path) -> set[str]:
    """What a link may name behind `#`: headings as GitHub spells them, and anchors of our own."""
    text = document.read_text("utf-8")
    headings = re.findall(r"^#+ (.*)$", re.sub(r"```.*?```", "", text, flags=re.DOTALL), re.MULTILINE)
    slugs = {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}
    return slugs | set(re.findall(r'<a id="([^"]+)"', text))


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_anchors_of_links_exist(document: Path) -> None:
    links = re.findall(r"\]\(([^)#:]*)#([^)]+)\)", document.read_text("utf-8"))
    missing = [
        f"{link}#{anchor}"
        for link, anchor in links
        if anchor not in _anchors(document.parent / link if link else document)
    ]
    assert not missing


@pytest.mark.parametrize(
    "document", [path for path in DOCUMENTS if path.name != "CHANGELOG.md"], ids=lambda path: path.name
)
def test_models_and_unit_tests_that_documents_name_exist(document: Path) -> None:
    """The changelog alone may name what is gone."""
    text = document.read_text("utf-8")
    cases = "".join(path.read_text("utf-8") for path in (ROOT / "models").rglob("*.yml"))
    assert not set(re.findall(r"\b(?:stg|int|fct|dim|rpt)_\w+", text)) - MODELS
    assert not [name for name in re.findall(r"`(rule_\w+)`", text) if f"name: {name}\n" not in cases]


def test_the_page_on_data_flow_names_every_model() -> None:
    assert not MODELS - set(re.findall(r"`(\w+)`", (ROOT / "docs" / "data_flow.md").read_text("utf-8")))
