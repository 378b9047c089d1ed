"""What dbt understood of the project's tests: none is lost to a misspelling, and none is weakened.

dbt ignores a misspelt test key (`data_test:` instead of `data_tests:`, a column's tests under the wrong indent) in
silence: the build stays green, and the test is gone. So the tests that dbt found are compared with a list.
Which tests, contracts and descriptions a model needs is checked by dbt-bouncer (docs/project_rules.md).
"""

from __future__ import annotations

import re
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

    One only warns, unless the variable `vendor_invoice_check` says `error`.
    """
    usual = {"enabled": True, "severity": "ERROR", "where": None, "limit": None, "error_if": "!= 0"}
    turned_down = {
        test["name"]: {key: test["config"][key] for key, value in usual.items() if test["config"][key] != value}
        for test in data_tests(manifest)
    }
    assert {name: config for name, config in turned_down.items() if config} == {
        "assert_vendor_bill_agrees": {"severity": "warn"}
    }


def test_a_unit_test_is_named_after_its_rule(manifest: dict[str, Any]) -> None:
    names = [test["name"] for test in manifest["unit_tests"].values()]
    assert [name for name in names if not re.match(r"rule_\d+_", name)] == []
    assert [test["name"] for test in manifest["unit_tests"].values() if not test["description"]] == []
