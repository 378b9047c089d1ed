"""What dbt understood of the project: no data test is lost to a misspelling, nothing public is undescribed.

dbt ignores a misspelt test key (`data_test:` instead of `data_tests:`, a column's tests under the wrong indent) in
silence: the build stays green, and the test is gone. So the tests that dbt found are compared with a list.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

import pipeline

EXPECTED = Path(__file__).with_name("expected_data_tests.txt")

UNTESTED_MODELS = {
    *("stg_miosa__loads", "stg_ledger__closed_periods", "stg_ledger__closed_invoice_lines"),
    *("stg_ledger__closed_line_usage", "dim_users", "dim_billing_periods", "fct_quota_utilization"),
    *("fct_invoice_lines", "dim_quota_answers", "dim_desired_quota_limits", "int_price_segments_snapshot"),
}
"""Models without a unit test: they only choose or rename columns."""

Node = dict[str, Any]


@pytest.fixture(scope="module")
def manifest() -> dict[str, Any]:
    """The project as dbt parses it, without a warehouse."""
    return pipeline.manifest()


@pytest.fixture(scope="module")
def models(manifest: dict[str, Any]) -> dict[str, Node]:
    """Models by name."""
    return {node["name"]: node for node in manifest["nodes"].values() if node["resource_type"] == "model"}


def data_tests(manifest: dict[str, Any]) -> list[Node]:
    """All data tests, switched off ones too."""
    disabled = [node for nodes in manifest["disabled"].values() for node in nodes]
    return [node for node in [*manifest["nodes"].values(), *disabled] if node["resource_type"] == "test"]


def told(test: Node) -> str:
    """A data test in a line: `table.column kind arguments`, or the name of a singular one."""
    metadata = test.get("test_metadata")
    if not metadata:
        return str(test["name"])
    arguments = dict(metadata["kwargs"])
    table = re.findall(r"'([^']*)'", arguments.pop("model"))
    place = ".".join(filter(None, [*table, arguments.pop("column_name", None)]))
    if metadata["name"] == "holds":
        return f"{place} holds {test['name']}"
    said = [", ".join(map(str, value)) if isinstance(value, list) else str(value) for value in arguments.values()]
    return " ".join([place, metadata["name"], *(f"({text})" for text in said)])


def test_the_data_tests_are_those_expected(manifest: dict[str, Any]) -> None:
    lines = EXPECTED.read_text(encoding="utf-8").splitlines()
    expected = {line for line in lines if line and not line.startswith("#")}
    found = {told(test) for test in data_tests(manifest)}
    lost = "".join(f"\n  - {line}" for line in sorted(expected - found))
    new = "".join(f"\n  + {line}" for line in sorted(found - expected))
    assert found == expected, (
        "dbt does not know these tests (a misspelt key? dbt says nothing; else remove the lines from "
        f"{EXPECTED.name}):{lost}\nand these are not in {EXPECTED.name} (add the lines):{new}"
    )


def test_no_data_test_is_turned_down(manifest: dict[str, Any]) -> None:
    """Each is on, looks at all rows, and stops the build on the first one it finds."""
    usual = {"enabled": True, "severity": "ERROR", "where": None, "limit": None, "error_if": "!= 0"}
    turned_down = {
        test["name"]: {key: test["config"][key] for key, value in usual.items() if test["config"][key] != value}
        for test in data_tests(manifest)
    }
    assert {name: config for name, config in turned_down.items() if config} == {}


def test_each_model_has_a_test_of_its_grain(manifest: dict[str, Any], models: dict[str, Node]) -> None:
    tested = {
        test["attached_node"]
        for test in data_tests(manifest)
        if (test.get("test_metadata") or {}).get("name") in ("unique", "unique_combination")
    }
    assert {name for name, model in models.items() if model["unique_id"] not in tested} == set()


def test_each_model_has_a_unit_test(manifest: dict[str, Any], models: dict[str, Node]) -> None:
    tested = {test["model"] for test in manifest["unit_tests"].values()}
    assert set(models) - tested == UNTESTED_MODELS


def test_a_unit_test_is_named_after_its_rule(manifest: dict[str, Any]) -> None:
    names = [test["name"] for test in manifest["unit_tests"].values()]
    assert [name for name in names if not re.match(r"rule_\d+_", name)] == []
    assert [test["name"] for test in manifest["unit_tests"].values() if not test["description"]] == []


def test_marts_are_public_and_contracted(models: dict[str, Node]) -> None:
    marts = {name for name, model in models.items() if model["schema"] == "marts"}
    assert marts
    assert {name for name, model in models.items() if model["access"] == "public"} == marts
    assert {name for name in marts if not models[name]["config"]["contract"]["enforced"]} == set()


def test_each_model_and_column_is_described(manifest: dict[str, Any], models: dict[str, Node]) -> None:
    undescribed = []
    for node in [*models.values(), *manifest["sources"].values()]:
        if not node["description"].strip():
            undescribed.append(node["name"])
        undescribed += [
            f"{node['name']}.{column['name']}"
            for column in node["columns"].values()
            if not column["description"].strip()
        ]
    assert undescribed == []
    assert {name for name, model in models.items() if not model["columns"]} == set()
