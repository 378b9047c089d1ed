"""A small dbt manifest for tests of the project's rules: one that keeps them all, and nodes that break one each."""

from __future__ import annotations

from typing import Any

PACKAGE = "miosa_billing"
Node = dict[str, Any]
Manifest = dict[str, Any]


def column(name: str, data_type: str = "varchar", description: str = "What the column means.") -> Node:
    """A column of a model or seed."""
    return {"name": name, "data_type": data_type, "description": description}


def model(path: str, *parents: str, columns: list[Node] | None = None, **changes: Any) -> Node:
    """A model at a path below models/ that keeps all rules, but for the changes."""
    folder, _, file = f"models/{path}.sql".rpartition("/")
    name = file.removesuffix(".sql")
    is_mart = path.startswith("marts")
    return {
        "unique_id": f"model.{PACKAGE}.{name}",
        "resource_type": "model",
        "name": name,
        "alias": name,
        "package_name": PACKAGE,
        "schema": path.split("/")[0],
        "database": "warehouse",
        "path": f"{path}.sql",
        "original_file_path": f"{folder}/{file}",
        "patch_path": f"{PACKAGE}://{folder}/_models.yml",
        "fqn": [PACKAGE, *path.split("/")],
        "checksum": {"name": "sha256", "checksum": ""},
        "language": "sql",
        "raw_code": "select rows.row_id from {{ ref('rows') }} as rows where rows.row_id > 0",
        "description": "What a row is.",
        "access": "public" if is_mart else "protected",
        "group": "usage" if is_mart else None,
        "contract": {"enforced": is_mart},
        "config": {"materialized": "table", "enabled": True, "contract": {"enforced": is_mart}},
        "columns": {item["name"]: item for item in columns or [column("row_id")]},
        "depends_on": {"nodes": list(parents), "macros": []},
        "meta": {},
        "tags": [],
    } | changes


def source(path: str, table: str, **changes: Any) -> Node:
    """A table of a source, declared in the folder models/staging/<path>, that keeps all rules, but for the changes."""
    file = f"models/staging/{path}/_sources.yml"
    return {
        "unique_id": f"source.{PACKAGE}.{path}.{table}",
        "resource_type": "source",
        "name": table,
        "identifier": table,
        "source_name": path,
        "package_name": PACKAGE,
        "schema": path,
        "database": "warehouse",
        "path": file,
        "original_file_path": file,
        "fqn": [PACKAGE, "staging", path, table],
        "loader": "",
        "description": "What a row is.",
        "source_description": "Where it comes from.",
        "freshness": {"warn_after": {"count": 32, "period": "day"}, "error_after": {"count": None, "period": None}},
        "columns": {"row_id": column("row_id")},
        "config": {"enabled": True},
        "meta": {},
        "tags": [],
    } | changes


def seed(name: str, **changes: Any) -> Node:
    """A seed that keeps all rules, but for the changes."""
    return {
        "unique_id": f"seed.{PACKAGE}.{name}",
        "resource_type": "seed",
        "name": name,
        "alias": name,
        "package_name": PACKAGE,
        "schema": "seeds",
        "path": f"{name}.csv",
        "original_file_path": f"seeds/{name}.csv",
        "fqn": [PACKAGE, name],
        "checksum": {"name": "sha256", "checksum": ""},
        "description": "What a row is.",
        "columns": {"row_id": column("row_id")},
        "config": {"enabled": True},
        "meta": {},
        "tags": [],
    } | changes


def exposure(name: str, *parents: str, **changes: Any) -> Node:
    """An exposure that keeps all rules, but for the changes."""
    return {
        "unique_id": f"exposure.{PACKAGE}.{name}",
        "resource_type": "exposure",
        "name": name,
        "type": "dashboard",
        "package_name": PACKAGE,
        "path": "marts/_exposures.yml",
        "original_file_path": "models/marts/_exposures.yml",
        "fqn": [PACKAGE, name],
        "owner": {"name": "Finance", "email": "finance@example.com"},
        "description": "Who reads it.",
        "depends_on": {"nodes": list(parents), "macros": []},
        "meta": {},
        "tags": [],
    } | changes


def semantic_model(name: str, of: Node) -> Node:
    """A semantic model."""
    return {
        "unique_id": f"semantic_model.{PACKAGE}.{name}",
        "resource_type": "semantic_model",
        "name": name,
        "model": f"ref('{of['name']}')",
        "package_name": PACKAGE,
        "path": "semantic/_models.yml",
        "original_file_path": "models/semantic/_models.yml",
        "fqn": [PACKAGE, "semantic", name],
        "node_relation": {"alias": of["name"], "schema_name": of["schema"]},
        "depends_on": {"nodes": [of["unique_id"]], "macros": []},
    }


def data_test(of: Node, kind: str, **arguments: Any) -> Node:
    """A generic test of a model."""
    return {
        "unique_id": f"test.{PACKAGE}.{of['name']}_{kind}",
        "resource_type": "test",
        "name": f"{of['name']}_{kind}",
        "alias": f"{of['name']}_{kind}",
        "package_name": PACKAGE,
        "schema": "tests",
        "path": f"{of['name']}_{kind}.sql",
        "original_file_path": f"{of['original_file_path'].rpartition('/')[0]}/_models.yml",
        "fqn": [PACKAGE, of["name"], kind],
        "checksum": {"name": "none", "checksum": ""},
        "attached_node": of["unique_id"],
        "column_name": arguments.get("column_name"),
        "test_metadata": {"name": kind, "namespace": None, "kwargs": {"model": "", **arguments}},
        "depends_on": {"nodes": [of["unique_id"]], "macros": []},
        "config": {"enabled": True, "severity": "ERROR"},
        "meta": {},
        "tags": [],
    }


def unit_test(of: Node) -> Node:
    """A unit test of a model."""
    return {
        "unique_id": f"unit_test.{PACKAGE}.{of['name']}.rule_1",
        "resource_type": "unit_test",
        "name": "rule_1",
        "model": of["name"],
        "package_name": PACKAGE,
        "path": "unit_tests.yml",
        "original_file_path": f"{of['original_file_path'].rpartition('/')[0]}/_unit_tests.yml",
        "fqn": [PACKAGE, of["name"], "rule_1"],
        "given": [],
        "expect": {"rows": [], "format": "dict"},
        "depends_on": {"nodes": [of["unique_id"]], "macros": []},
        "config": {"enabled": True},
    }


def macro(name: str, sql: str) -> Node:
    """A macro."""
    return {
        "unique_id": f"macro.{PACKAGE}.{name}",
        "resource_type": "macro",
        "name": name,
        "package_name": PACKAGE,
        "path": f"macros/{name}.sql",
        "original_file_path": f"macros/{name}.sql",
        "macro_sql": sql,
        "arguments": [],
        "description": "",
        "depends_on": {"macros": []},
        "meta": {},
    }


def manifest(*nodes: Node, untested: frozenset[str] = frozenset()) -> Manifest:
    """A manifest of these nodes. Each model has a unit test and a tested key, but for the untested."""
    models = [node for node in nodes if node["resource_type"] == "model" and node["name"] not in untested]
    tests = [data_test(each, "unique_combination", columns=["row_id", "row_number"]) for each in models]
    kinds = ("model", "seed", "test", "source", "exposure", "macro", "semantic_model")
    by_kind: dict[str, dict[str, Node]] = {kind: {} for kind in kinds}
    for node in [*nodes, *tests]:
        by_kind[node["resource_type"]][node["unique_id"]] = node
    return {
        "metadata": {
            "dbt_schema_version": "https://schemas.getdbt.com/dbt/manifest/v12.json",
            "dbt_version": "1.11.0",
            "project_name": PACKAGE,
            "adapter_type": "duckdb",
        },
        "nodes": {**by_kind["model"], **by_kind["seed"], **by_kind["test"]},
        "sources": by_kind["source"],
        "exposures": by_kind["exposure"],
        "macros": by_kind["macro"],
        "semantic_models": by_kind["semantic_model"],
        "unit_tests": {test["unique_id"]: test for test in map(unit_test, models)},
        **{name: {} for name in ("docs", "metrics", "groups", "selectors", "disabled", "parent_map", "child_map")},
        **{name: {} for name in ("group_map", "saved_queries")},
    }
