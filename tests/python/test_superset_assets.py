"""The dashboard for Superset fits the marts: its columns are in their contracts, and no money is without its currency.

What needs a running Superset is in `tests/superset` (`make test-superset`).
"""

from __future__ import annotations

import io
import json
import subprocess
import sys
import zipfile
from pathlib import Path
from typing import Any

import httpx
import pytest
import yaml

from pipeline import ROOT
from tools.superset import assets
from tools.superset.api import Superset, SupersetError
from tools.superset.charts import CHARTS, CURRENCY_COLUMNS, MARTS, MONEY_COLUMNS, TABS, Chart, columns_of
from tools.superset.copy import Column

PASSWORD = "not-to-be-shown"


def contracts() -> dict[str, dict[str, str]]:
    """Name and type of each column, by mart."""
    models = [
        model
        for path in (ROOT / "models" / "marts").rglob("_*__models.yml")
        for model in yaml.safe_load(path.read_text("utf-8"))["models"]
    ]
    return {
        model["name"]: {column["name"]: str(column.get("data_type")) for column in model["columns"]} for model in models
    }


CONTRACTS = contracts()


def bundled() -> dict[str, dict[str, Any]]:
    """The files that Superset imports, by name."""
    columns = {mart: [Column(name, "VARCHAR", "") for name in sorted(columns_of(mart))] for mart in MARTS}
    content = assets.bundle("duckdb:////published/marts.duckdb", columns)
    assert content == assets.bundle("duckdb:////published/marts.duckdb", columns)
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        return {name: json.loads(archive.read(name)) for name in archive.namelist()}


@pytest.mark.parametrize("mart", MARTS)
def test_the_contract_has_every_column_of_the_charts(mart: str) -> None:
    assert columns_of(mart) <= set(CONTRACTS[mart])


def test_the_exposure_names_the_marts_of_the_charts() -> None:
    exposures = yaml.safe_load((ROOT / "models" / "marts" / "_marts__exposures.yml").read_text("utf-8"))["exposures"]
    (read,) = (exposure["depends_on"] for exposure in exposures if exposure["name"] == "superset_dashboard")
    assert read == [f"ref('{mart}')" for mart in MARTS]


@pytest.mark.parametrize("chart", CHARTS, ids=lambda chart: chart.name)
def test_money_is_split_by_its_currency(chart: Chart) -> None:
    if chart.columns & MONEY_COLUMNS:
        assert set(chart.by) & set(CURRENCY_COLUMNS)
        assert not chart.is_stacked


def test_every_amount_of_the_marts_counts_as_money() -> None:
    """So that a chart with a new amount cannot pass by."""
    used = {column for chart in CHARTS for column in (*chart.sums, *chart.highest)}
    assert used - MONEY_COLUMNS == {"credits"}


def test_names_of_charts_are_their_own() -> None:
    assert len({chart.name for chart in CHARTS}) == len(CHARTS)


def test_the_dashboard_has_a_tab_for_each_subject_and_every_chart_in_one() -> None:
    position = bundled()["assets/dashboards/usage-billing.yaml"]["position"]
    tabs = [position[key]["meta"]["text"] for key in position["TABS-1"]["children"]]
    assert tabs == list(TABS) == ["Invoices", "Usage", "Reconciliation", "FOCUS", "Metrics"]
    nodes = [node for key, node in position.items() if key != "DASHBOARD_VERSION_KEY"]
    placed = [node["meta"]["sliceName"] for node in nodes if node["type"] == "CHART"]
    assert sorted(placed) == sorted(chart.name for chart in CHARTS)
    assert all(child in position for node in nodes for child in node.get("children", []))


def test_the_database_is_read_only_and_locked() -> None:
    database = bundled()["assets/databases/marts.yaml"]
    assert database["extra"]["engine_params"]["connect_args"] == {
        "read_only": True,
        "config": {"enable_external_access": "false", "lock_configuration": "true"},
    }
    assert not any(database[key] for key in ("allow_dml", "allow_ctas", "allow_cvas", "allow_file_upload"))
    assert database["cache_timeout"] == -1


def run(*arguments: str, **environment: str) -> tuple[int, str]:
    """The script's exit status, and what it says of an error."""
    done = subprocess.run(
        [sys.executable, "-m", "tools.superset", *arguments],
        cwd=ROOT,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.stdout == ""
    assert PASSWORD not in done.stderr
    assert done.stderr.count("\n") == 1
    return done.returncode, done.stderr


def test_an_error_is_one_line(tmp_path: Path) -> None:
    login = {"SUPERSET_USER": "admin", "SUPERSET_PASSWORD": PASSWORD}
    assert run() == (1, "superset: SUPERSET_USER is not set: export the login of a Superset admin\n")
    (other := tmp_path / "other.duckdb").write_text("no database")
    for copy in (tmp_path / "none.duckdb", other):
        status, words = run("--copy", str(copy), **login)
        assert status == 1
        assert words.startswith(f"superset: {copy} is no published copy that can be read; run `publish marts`: ")


def answering(*answers: httpx.Response) -> httpx.MockTransport:
    """A Superset that gives these answers, one after the other."""
    rest = iter(answers)
    return httpx.MockTransport(lambda request: next(rest))


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        (httpx.Response(401, json={"message": "Not authorized"}), "check SUPERSET_USER and SUPERSET_PASSWORD"),
        (httpx.Response(502, text="<html>\nbad gateway"), "ended with status 502: an answer that is not JSON"),
        (httpx.Response(200, text="<html>"), "ended with status 200: an answer that is not JSON"),
        (httpx.Response(422, json={"message": {"a": [f"{PASSWORD}\nb"]}}), '422: {"a": ["***\\nb"]}'),
        (httpx.Response(500, json={"errors": [{"message": "One\ntwo"}]}), "status 500: One two"),
        (
            httpx.Response(422, json={"errors": [{"message": "Error", "extra": {"charts/a.yaml": {"x": ["Bad."]}}}]}),
            'Error {"charts/a.yaml": {"x": ["Bad."]}}',
        ),
    ],
)
def test_what_superset_says_is_one_line_without_the_password(answer: httpx.Response, words: str) -> None:
    with pytest.raises(SupersetError) as error:
        Superset("http://localhost", "admin", PASSWORD, answering(answer))
    assert words in str(error.value)
    assert "\n" not in str(error.value)


def test_no_password_goes_over_a_network_unencrypted() -> None:
    from tools.superset.__main__ import checked_address

    assert checked_address("https://superset.example.com") == "https://superset.example.com"
    with pytest.raises(SupersetError, match="unencrypted to superset"):
        checked_address("http://superset.example.com")
    with pytest.raises(SupersetError, match="no address"):
        checked_address("https://admin:secret@superset.example.com")
