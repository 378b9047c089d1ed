"""Whether each model has a data test of its key."""

from typing import Any

from dbt_bouncer.check_framework.decorator import check, fail


def tested_columns(tests: list[Any], names: set[str]) -> list[set[str]]:
    """The columns of each test of these kinds; our own tests take a list of columns, dbt's one column."""
    columns = []
    for test in tests:
        metadata = getattr(test, "test_metadata", None)
        if metadata and metadata.name in names:
            arguments = metadata.kwargs
            columns.append(set(arguments.get("columns") or [arguments.get("column_name")]))
    return columns


@check
def check_model_key_is_tested(model: Any, ctx: Any) -> None:
    """A model's key is unique and never null, by data tests.

    `unique_combination` is enough, as dbt_utils.unique_combination_of_columns is for dbt_project_evaluator: it takes
    nulls for equal. `unique` ignores rows without a key, so that it needs `never_null` or `not_null` beside it.
    """
    tests = ctx.tests_by_attached_node.get(model.unique_id, [])
    if tested_columns(tests, {"unique_combination"}):
        return
    keys = tested_columns(tests, {"unique"})
    never_null = {column for columns in tested_columns(tests, {"not_null", "never_null"}) for column in columns}
    if not keys:
        fail(f"`{model.name}` has no test of its key: add `unique_combination`, or `unique` for one column.")
    if not any(key <= never_null for key in keys):
        fail(f"`{model.name}` has no test that its key is never null: add `never_null`.")
