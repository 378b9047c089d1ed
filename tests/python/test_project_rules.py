"""The rules of docs/project_rules.md: the project keeps them but for the exceptions; each check finds a violation."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
import yaml

import pipeline
from planted_project import (
    Manifest,
    Node,
    column,
    data_test,
    exposure,
    macro,
    manifest,
    model,
    seed,
    semantic_model,
    source,
)
from tools import lint_project

RULES = lint_project.RULES.read_text("utf-8")
RULE_ROW = re.compile(r"^\| ([A-Z][^|`]+) \| (.*`check_.*) \|$", re.MULTILINE)
MOST_REASONS = 10


def found(project: Manifest, folder: Path) -> set[tuple[str, str]]:
    """Check and object of all that dbt-bouncer finds, warnings too."""
    (folder / "manifest.json").write_text(json.dumps(project), "utf-8")
    errors, warnings = lint_project.failures(folder)
    return {*errors, *warnings}


def checks_of_rules() -> dict[str, list[str]]:
    """The checks of each rule of dbt_project_evaluator, by the table of docs/project_rules.md."""
    return {rule: re.findall(r"`(check_\w+)`", cell) for rule, cell in RULE_ROW.findall(RULES)}


def configured_checks() -> set[str]:
    return {check["name"] for check in yaml.safe_load(lint_project.CONFIG.read_text("utf-8"))["manifest_checks"]}


# --- The project itself ---------------------------------------------------------------------------------------------


def test_the_project_keeps_its_rules_but_for_the_listed_exceptions(tmp_path: Path) -> None:
    (tmp_path / "manifest.json").write_text(json.dumps(pipeline.manifest()), "utf-8")
    errors, _ = lint_project.failures(tmp_path)
    assert lint_project.report(errors, lint_project.exceptions(RULES)) == []


def test_exceptions_have_at_most_ten_reasons() -> None:
    table = RULES.partition("## Exceptions")[2]
    rows = re.findall(r"^\| `.*\|$", table, re.MULTILINE)
    listed = lint_project.EXCEPTION.findall(RULES)
    assert len(rows) == len(listed), "a row that is not `object` | `check` | reason"
    reasons = {reason.partition(":")[0] for _, _, reason in listed}
    assert len(reasons) <= MOST_REASONS


def test_an_exception_that_no_longer_occurs_is_an_error() -> None:
    excepted = {("check_model_names", "fct_old")}
    assert lint_project.report({("check_model_names", "fct_old"): "is still so"}, excepted) == []
    assert len(lint_project.report({}, excepted)) == 1
    assert len(lint_project.report({("check_model_names", "fct_other"): "is wrong"}, set())) == 1


def test_each_rule_of_dbt_project_evaluator_has_a_check_that_runs() -> None:
    rules = checks_of_rules()
    assert len(rules) == 29
    assert {check for checks in rules.values() for check in checks} - configured_checks() == set()


def test_a_broken_configuration_is_an_error_and_no_success(tmp_path: Path) -> None:
    (tmp_path / "manifest.json").write_text("{", "utf-8")
    with pytest.raises(lint_project.BouncerError):
        lint_project.failures(tmp_path)


# --- Planted violations ---------------------------------------------------------------------------------------------

SOURCE = source("vendor", "rows")
STAGED = model("staging/vendor/stg_vendor__rows", SOURCE["unique_id"])
PLANS = seed("plans")
STAGED_PLANS = model("staging/billing/stg_billing__plans", PLANS["unique_id"])
USAGE = model("intermediate/int_usage", STAGED["unique_id"], STAGED_PLANS["unique_id"])
MART = model(
    "marts/usage/fct_usage",
    USAGE["unique_id"],
    columns=[column("row_id"), column("is_open", "boolean"), column("ended_at_utc", "timestamp")],
    raw_code="select 1 from {{ ref('int_usage') }} where a.b is distinct from a.c -- from raw.rows",
)
DASHBOARD = exposure("dashboard", MART["unique_id"])
GOOD = [SOURCE, STAGED, PLANS, STAGED_PLANS, USAGE, MART, DASHBOARD]


def other_source(table: str, **changes: Any) -> Node:
    return source("vendor", table, **changes)


def read_by(*sources: Node) -> list[Node]:
    """The sources, each with a staging model that reads it."""
    staged = [model(f"staging/vendor/stg_vendor__{each['name']}", each["unique_id"]) for each in sources]
    return [*sources, *staged]


def shown(*marts: Node) -> list[Node]:
    """Marts, with an exposure that reads them."""
    return [*marts, exposure("report", *(mart["unique_id"] for mart in marts))]


def view(path: str, *parents: str) -> Node:
    return model(path, *parents, config={"materialized": "view"})


def shown_as(name: str, table: Node, below: str, mart: str) -> list[Node]:
    """An exposure that reads a view of a view of a table."""
    under = view(f"intermediate/int_{below}", table["unique_id"])
    over = view(f"marts/usage/{mart}", under["unique_id"])
    return [under, over, exposure(name, over["unique_id"])]


def chained_views() -> list[Node]:
    """Four views in a row behind a table."""
    nodes = [STAGED]
    for number in "abcd":
        nodes.append(view(f"intermediate/int_view_{number}", nodes[-1]["unique_id"]))
    return [*nodes[1:], model("intermediate/int_behind_views", nodes[-1]["unique_id"])]


def many_parents() -> list[Node]:
    seeds = [seed(f"list_{letter}") for letter in "abcdefg"]
    staged = [model(f"staging/billing/stg_billing__{each['name']}", each["unique_id"]) for each in seeds]
    return [*seeds, *staged, model("intermediate/int_wide", *(each["unique_id"] for each in staged))]


def fanout() -> list[Node]:
    hub = model("intermediate/int_hub", USAGE["unique_id"])
    return [hub, *(model(f"intermediate/int_leaf_{letter}", hub["unique_id"]) for letter in "abcdefghij")]


def rejoined() -> list[Node]:
    between = model("intermediate/int_between", USAGE["unique_id"])
    return [between, model("intermediate/int_rejoined", USAGE["unique_id"], between["unique_id"])]


ONLY_SELECTS = {
    "int_chosen": "{{ config(materialized='view') }}\nselect a, b.c as d -- why\nfrom {{ ref('m') }} as b",
    "int_renamed": "with rows as (\n select * from {{ source('s', 't') }}\n)\nselect rows.a as b from rows",
}
HAS_LOGIC = {
    "int_filter": "select a from {{ ref('m') }} where a > 0",
    "int_sum": "select a + 1 as b from {{ ref('m') }}",
    "int_macro": "select {{ nano_to_credits('a') }} as b from {{ ref('m') }}",
    "int_join": "select a from {{ ref('m') }} join {{ ref('n') }} using (a)",
    "int_distinct": "select distinct a from {{ ref('m') }}",
}
"""SQL by the name of a model without a unit test."""


def allowed() -> list[Node]:
    """What looks like a violation and is none."""
    keyed = model("intermediate/int_keyed", USAGE["unique_id"], raw_code="select row_id from {{ ref('m') }}")
    tests = [data_test(keyed, "unique", column_name="row_id"), data_test(keyed, "never_null", columns=["row_id"])]
    changed = model("intermediate/changes/int_changed_keyed", keyed["unique_id"])
    updated = model("intermediate/int_updated", keyed["unique_id"], changed["unique_id"])
    thin = view("marts/usage/fct_thin", keyed["unique_id"])
    chosen = model("intermediate/int_keyed_elsewhere", keyed["unique_id"], raw_code=ONLY_SELECTS["int_chosen"])
    tests.append(data_test(chosen, "at_least", column_name="row_id"))
    return [keyed, *tests, changed, updated, *shown(thin), chosen]


def selecting(codes: dict[str, str]) -> list[Node]:
    """Models with this SQL, each with a tested key."""
    models = [model(f"intermediate/{name}", STAGED["unique_id"], raw_code=code) for name, code in codes.items()]
    return [*models, *(data_test(each, "unique_combination", columns=["row_id", "row_number"]) for each in models)]


PLANTED: dict[tuple[str, str], list[Node]] = {
    ("check_lineage_permitted_upstream_models", "stg_vendor__again"): [
        model("staging/vendor/stg_vendor__again", STAGED["unique_id"])
    ],
    ("check_lineage_permitted_upstream_models", "stg_vendor__later"): [
        model("staging/vendor/stg_vendor__later", USAGE["unique_id"])
    ],
    ("check_lineage_permitted_upstream_models", "int_of_mart"): [
        model("intermediate/int_of_mart", MART["unique_id"]),
    ],
    ("check_lineage_permitted_upstream_models", "fct_of_mart"): shown(
        model("marts/usage/fct_of_mart", MART["unique_id"])
    ),
    ("check_lineage_source_cannot_be_used", "int_of_source"): [
        model("intermediate/int_of_source", SOURCE["unique_id"])
    ],
    ("check_model_does_not_directly_join_to_source", "int_mixed"): [
        model("intermediate/int_mixed", SOURCE["unique_id"], STAGED["unique_id"])
    ],
    ("check_model_depends_on_multiple_sources", "stg_vendor__both"): [
        other_source("more"),
        model("staging/vendor/stg_vendor__both", SOURCE["unique_id"], other_source("more")["unique_id"]),
    ],
    ("check_model_does_not_rejoin", "int_rejoined"): rejoined(),
    ("check_model_has_no_upstream_dependencies", "int_root"): [model("intermediate/int_root")],
    ("check_model_leaf_fanout", "int_hub"): fanout(),
    ("check_model_max_parents", "int_wide"): many_parents(),
    ("check_model_max_chained_views", "int_behind_views"): chained_views(),
    ("check_model_names_no_table", "int_hard_coded"): [
        model("intermediate/int_hard_coded", USAGE["unique_id"], raw_code="select 1 from\n    raw.rows")
    ],
    ("check_duplicate_sources", "vendor.rows_again"): read_by(other_source("rows_again", identifier="rows")),
    ("check_source_not_orphaned", "vendor.unread"): [other_source("unread")],
    ("check_source_used_by_only_one_model", "vendor.shared"): [
        *read_by(other_source("shared")),
        model("staging/vendor/stg_vendor__shared_too", other_source("shared")["unique_id"]),
    ],
    ("check_source_freshness_populated", "miosa.stale"): [
        source("miosa", "stale", freshness=None),
        model("staging/miosa/stg_miosa__stale", source("miosa", "stale")["unique_id"]),
    ],
    ("check_model_description_populated", "int_undescribed"): [
        model("intermediate/int_undescribed", USAGE["unique_id"], description="")
    ],
    ("check_model_has_properties_file", "int_undeclared"): [
        model("intermediate/int_undeclared", USAGE["unique_id"], patch_path=None)
    ],
    ("check_model_column_description_populated", "fct_undescribed_column"): shown(
        model("marts/usage/fct_undescribed_column", USAGE["unique_id"], columns=[column("row_id", description=" ")])
    ),
    ("check_model_declares_columns", "int_without_columns"): [
        model("intermediate/int_without_columns", USAGE["unique_id"]) | {"columns": {}}
    ],
    ("check_source_columns_described", "vendor.undescribed_column"): read_by(
        other_source("undescribed_column", columns={"row_id": column("row_id", description="")})
    ),
    ("check_source_columns_described", "vendor.without_columns"): read_by(other_source("without_columns", columns={})),
    ("check_source_description_populated", "vendor.undescribed"): read_by(other_source("undescribed", description="")),
    ("check_source_top_level_description_populated", "vendor.without_origin"): read_by(
        other_source("without_origin", source_description="")
    ),
    ("check_seed_description_populated", "undescribed"): [seed("undescribed", description="")],
    ("check_exposure_description_populated", "undescribed_exposure"): [
        exposure("undescribed_exposure", MART["unique_id"], description="")
    ],
    ("check_exposure_has_owner", "unowned"): [exposure("unowned", MART["unique_id"], owner={"name": "Finance"})],
    ("check_model_directories", "int_astray"): [model("helpers/int_astray", USAGE["unique_id"])],
    ("check_model_documented_in_same_directory", "int_described_elsewhere"): [
        model(
            "intermediate/int_described_elsewhere",
            USAGE["unique_id"],
            patch_path="miosa_billing://models/marts/_models.yml",
        )
    ],
    ("check_model_names", "vendor_rows"): [model("staging/vendor/vendor_rows", PLANS["unique_id"])],
    ("check_model_names", "usage_by_day"): [model("intermediate/usage_by_day", USAGE["unique_id"])],
    ("check_model_names", "usage_report"): shown(model("marts/usage/usage_report", USAGE["unique_id"])),
    ("check_model_column_names", "int_spaces"): [
        model("intermediate/int_spaces", USAGE["unique_id"], columns=[column("Row Id")])
    ],
    ("check_seed_column_names", "spaces"): [seed("spaces", columns={"Row Id": column("Row Id")})],
    ("check_model_column_name_complies_to_column_type", "fct_flag"): shown(
        model("marts/usage/fct_flag", USAGE["unique_id"], columns=[column("is_open", "varchar")])
    ),
    ("check_model_column_name_complies_to_column_type", "fct_moment"): shown(
        model("marts/usage/fct_moment", USAGE["unique_id"], columns=[column("ended_at_utc", "date")])
    ),
    ("check_source_folder", "vendor.astray"): read_by(
        other_source("astray", original_file_path="models/staging/_sources.yml")
    ),
    ("check_staging_model_folder", "stg_other__rows"): [
        other_source("elsewhere"),
        model("staging/other/stg_other__rows", other_source("elsewhere")["unique_id"]),
    ],
    ("check_model_access", "int_public"): [
        model("intermediate/int_public", USAGE["unique_id"], access="public", contract={"enforced": True})
    ],
    ("check_model_access", "fct_private"): shown(
        model("marts/usage/fct_private", USAGE["unique_id"], access="private")
    ),
    ("check_model_has_group", "fct_unowned"): shown(model("marts/usage/fct_unowned", USAGE["unique_id"], group=None)),
    ("check_model_contract_enforced_for_public_model", "fct_unbound"): shown(
        model("marts/usage/fct_unbound", USAGE["unique_id"], contract={"enforced": False})
    ),
    ("check_model_columns_have_types", "fct_untyped"): shown(
        model("marts/usage/fct_untyped", USAGE["unique_id"], columns=[column("row_id", "")])
    ),
    ("check_exposure_based_on_model", "baseless"): [exposure("baseless")],
    ("check_exposure_based_on_non_public_models", "of_private"): [
        private := model("marts/usage/fct_hidden", USAGE["unique_id"], access="private"),
        exposure("of_private", private["unique_id"]),
    ],
    ("check_semantic_model_based_on_non_public_models", "of_protected"): [semantic_model("of_protected", USAGE)],
    ("check_exposure_reads_tables", "of_view_of_view"): shown_as("of_view_of_view", USAGE, "below", "fct_view"),
    ("check_exposure_reads_marts", "of_source"): [
        exposure("of_source", MART["unique_id"], SOURCE["unique_id"]),
    ],
    ("check_model_has_exposure", "fct_unread"): [model("marts/usage/fct_unread", USAGE["unique_id"])],
    ("check_model_does_not_use_cartesian_join", "int_cartesian"): [
        model("intermediate/int_cartesian", USAGE["unique_id"], raw_code="select 1 from a join b")
    ],
    ("check_model_has_semi_colon", "int_semicolon"): [
        model("intermediate/int_semicolon", USAGE["unique_id"], raw_code="select 1;")
    ],
    ("check_model_incremental_has_unique_key", "int_keyless"): [
        model("intermediate/int_keyless", USAGE["unique_id"], config={"materialized": "incremental"})
    ],
    ("check_model_materialization_permitted", "int_ephemeral"): [
        model("intermediate/int_ephemeral", USAGE["unique_id"], config={"materialized": "ephemeral"})
    ],
    ("check_model_max_number_of_lines", "int_endless"): [
        model("intermediate/int_endless", USAGE["unique_id"], raw_code="select 1\n" * 201)
    ],
    ("check_macro_max_number_of_arguments", "greedy"): [
        macro("greedy", "{% macro greedy(a, b, c, d, e, f, g, h, i) %}{% endmacro %}")
    ],
    ("check_macro_max_number_of_lines", "long"): [macro("long", "{% macro long() %}" + "\n" * 100 + "{% endmacro %}")],
}
"""Nodes to add to a project that keeps all rules, by what dbt-bouncer must then report."""

UNTESTED = {
    ("check_model_key_is_tested", "int_untested"): [model("intermediate/int_untested", USAGE["unique_id"])],
    **{("check_model_logic_has_unit_test", name): selecting({name: code}) for name, code in HAS_LOGIC.items()},
    ("check_model_key_is_tested", "int_nullable_key"): [
        nullable := model("intermediate/int_nullable_key", USAGE["unique_id"]),
        data_test(nullable, "unique", column_name="row_id"),
    ],
}
"""The same for models without the usual tests."""


@pytest.fixture(scope="module")
def planted(tmp_path_factory: pytest.TempPathFactory) -> set[tuple[str, str]]:
    """What dbt-bouncer reports of one manifest that holds all violations."""
    nodes = [node for nodes in (*PLANTED.values(), *UNTESTED.values()) for node in nodes]
    project = manifest(*GOOD, *nodes, untested=frozenset({"int_untested", "int_nullable_key", *HAS_LOGIC}))
    return found(project, tmp_path_factory.mktemp("planted"))


def test_a_project_that_keeps_all_rules_passes(tmp_path: Path) -> None:
    """Among others: a key of one column, a list of changes, a thin view, and models that only choose columns."""
    nodes = [*GOOD, *allowed(), *selecting(ONLY_SELECTS)]
    project = manifest(*nodes, untested=frozenset({"int_keyed", "int_keyed_elsewhere", *ONLY_SELECTS}))
    assert found(project, tmp_path) == set()


@pytest.mark.parametrize("violation", [*PLANTED, *UNTESTED], ids="-".join)
def test_the_check_reports_the_violation(violation: tuple[str, str], planted: set[tuple[str, str]]) -> None:
    assert violation in planted


def test_coverage_of_tests_and_of_documentation_is_complete(planted: set[tuple[str, str]]) -> None:
    """The two checks are of the whole project."""
    assert {("check_model_test_coverage", "project"), ("check_model_documentation_coverage", "project")} <= planted


def test_each_configured_check_has_a_planted_violation() -> None:
    of_the_project = {"check_model_test_coverage", "check_model_documentation_coverage"}
    assert configured_checks() == {check for check, _ in (*PLANTED, *UNTESTED)} | of_the_project
