"""Whether each model has a data test of its key, and each model with logic a unit test."""

import re
from typing import Any

from dbt_bouncer.check_framework.decorator import check, fail

COMMENT_OR_CONFIG = re.compile(r"\{#.*?#\}|--[^\n]*|\{\{\s*config\(.*?\)\s*\}\}", re.DOTALL)
RELATION = re.compile(r"\{\{\s*(?:ref|source)\([^)]*\)\s*\}\}")
FIRST_DAY = re.compile(r"\{\{\s*period_start_date\(\"(\w+\.\w+)\"\)\s*\}\}")
"""The first day of a period, which stands beside its name in every mart: spelling of a column, no logic."""
IMPORT = r"with \w+ as \( ?select \* from RELATION ?\) "
COLUMN = r"(?:\w+\.)?\w+(?: as \w+)?"
FROM = r" from (?:RELATION|\w+)(?: as \w+)?"
SELECTION = re.compile("".join((f"(?:{IMPORT})?", "select ", COLUMN, f"(?:, {COLUMN})*", FROM)))


def only_selects(code: str) -> bool:
    """Whether SQL only chooses and renames columns of one relation."""
    plain = FIRST_DAY.sub(r"\1", RELATION.sub("RELATION", COMMENT_OR_CONFIG.sub(" ", code)))
    return SELECTION.fullmatch(" ".join(plain.split())) is not None


def tested_columns(tests: list[Any], names: set[str]) -> list[set[str]]:
    """The columns of each test of these kinds; our own tests take a list of columns, dbt's one column."""
    columns = []
    for test in tests:
        metadata = getattr(test, "test_metadata", None)
        if metadata and metadata.name in names:
            arguments = metadata.kwargs
            columns.append(set(arguments.get("columns") or [arguments.get("column_name")]))
    return columns


def tests_of(unique_id: str, ctx: Any) -> list[Any]:
    """The generic tests of a model or source; dbt attaches those of a source to nothing."""
    tests = ctx.tests_by_depends_on_node.get(unique_id, [])
    return [test for test in tests if (test.attached_node or test.depends_on.nodes[0]) == unique_id]


def key_error(tests: list[Any]) -> str | None:
    """What a model's or source's data tests lack to prove its key; None if nothing."""
    if tested_columns(tests, {"unique_combination"}):
        return None
    keys = tested_columns(tests, {"unique"})
    never_null = {column for columns in tested_columns(tests, {"not_null", "never_null"}) for column in columns}
    if not keys:
        return "has no test of its key: add `unique_combination`, or `unique` for one column"
    return (
        None if any(key <= never_null for key in keys) else "has no test that its key is never null: add `never_null`"
    )


@check
def check_model_key_is_tested(model: Any, ctx: Any) -> None:
    """A model's key is unique and never null, by data tests.

    `unique_combination` is enough, as dbt_utils.unique_combination_of_columns is for dbt_project_evaluator: it takes
    nulls for equal. `unique` ignores rows without a key, so that it needs `never_null` or `not_null` beside it.
    A model that only chooses columns has the rows, and so the key, of the one relation that it reads.
    """
    error = key_error(tests_of(model.unique_id, ctx))
    if error and only_selects(model.raw_code or ""):
        (read,) = model.depends_on.nodes
        error = key_error(tests_of(read, ctx))
    if error:
        fail(f"`{model.name}` {error}.")


@check
def check_model_logic_has_unit_test(model: Any, ctx: Any) -> None:
    """A model has a unit test, unless it only chooses and renames columns of one relation."""
    if not ctx.unit_tests_by_depends_on_node.get(model.unique_id) and not only_selects(model.raw_code or ""):
        fail(f"`{model.name}` has no unit test, and does more than choose and rename columns.")
