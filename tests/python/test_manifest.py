"""What dbt understood of the project's tests: none is lost to a misspelling, and none is weakened.

dbt ignores a misspelt test key (`data_test:` instead of `data_tests:`, a column's tests under the wrong indent) in
silence: the build stays green, and the test is gone. So the tests that dbt found are compared with a list.
Which tests, contracts and descriptions a model needs is checked by dbt-bouncer (docs/project_rules.md).
"""

from __future__ import annotations

import re
from copy import deepcopy
from pathlib import Path
from typing import Any

import pytest

import pipeline

EXPECTED = Path(__file__).with_name("expected_data_tests.txt")

Node = dict[str, Any]


@pytest.fixture(scope="module")
def manifest() -> dict[str, Any]:
    """The project as dbt parses it, without a warehouse."""
    return pipeline.manifest()


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
    """Each is on, looks at all rows, and stops the build on the first one it finds.

    One only warns, unless the variable `vendor_invoice_check` says `error`; and what somebody did at Stripe warns.
    """
    usual = {"enabled": True, "severity": "ERROR", "where": None, "limit": None, "error_if": "!= 0"}
    turned_down = {
        test["name"]: {key: test["config"][key] for key, value in usual.items() if test["config"][key] != value}
        for test in data_tests(manifest)
    }
    assert {name: config for name, config in turned_down.items() if config} == {
        "assert_stripe_agrees": {"severity": "warn"},
        "assert_vendor_bill_agrees": {"severity": "warn"},
    }


def test_a_unit_test_is_named_after_its_rule(manifest: dict[str, Any]) -> None:
    names = [test["name"] for test in manifest["unit_tests"].values()]
    assert [name for name in names if not re.match(r"rule_\d+_", name)] == []
    assert [test["name"] for test in manifest["unit_tests"].values() if not test["description"]] == []


def marts(manifest: dict[str, Any]) -> list[Node]:
    """The models that people read."""
    models = [node for node in manifest["nodes"].values() if node["resource_type"] == "model"]
    return [model for model in models if model["fqn"][1] == "marts"]


def periods_without_a_date(models: list[Node]) -> list[str]:
    """Columns with a billing period as text that have no DATE of its first day in the same model."""
    found = []
    for model in models:
        types = {name: str(column["data_type"]) for name, column in model["columns"].items()}
        for name in types:
            date = "period_start_date" if name == "billing_period" else f"{name}_start_date"
            if name.endswith("_period") and types[name] == "varchar" and types.get(date) != "date":
                found.append(f"{model['name']}.{name}: no column {date} of type date")
    return found


def not_null_differences(models: list[Node], tests: list[Node]) -> list[str]:
    """Columns of tables that are never null, by their description or a test, and not in the contract; or the reverse.

    DuckDB has no constraints on views, so there the tests alone prove it.
    """
    found = []
    for model in models:
        is_view = model["config"]["materialized"] == "view"
        tested = {
            column
            for test in tests
            if test.get("attached_node") == model["unique_id"] and test["test_metadata"]["name"] == "never_null"
            for column in test["test_metadata"]["kwargs"]["columns"]
        }
        for name, column in model["columns"].items():
            kinds = {constraint["type"] for constraint in column["constraints"]}
            is_never_null = name in tested or re.search(r"\b[Nn]ever null(?! otherwise)\b", column["description"])
            if bool(is_never_null and not is_view) != ("not_null" in kinds):
                found.append(f"{model['name']}.{name}")
    return found


def test_every_text_period_of_a_mart_has_its_date(manifest: dict[str, Any]) -> None:
    assert periods_without_a_date(marts(manifest)) == []


def test_what_is_never_null_is_so_by_contract(manifest: dict[str, Any]) -> None:
    assert not_null_differences(marts(manifest), data_tests(manifest)) == []


def test_a_period_without_a_date_and_a_lost_constraint_are_reported(manifest: dict[str, Any]) -> None:
    invoices = next(deepcopy(model) for model in marts(manifest) if model["name"] == "fct_invoices")
    invoices["columns"]["invoice_period_start_date"]["data_type"] = "timestamp"
    invoices["columns"]["amount"]["constraints"] = []
    invoices["columns"]["closed_at_utc"]["constraints"] = [{"type": "not_null"}]
    assert periods_without_a_date([invoices]) == [
        "fct_invoices.invoice_period: no column invoice_period_start_date of type date"
    ]
    assert set(not_null_differences([invoices], data_tests(manifest))) == {
        "fct_invoices.amount",
        "fct_invoices.closed_at_utc",
    }
