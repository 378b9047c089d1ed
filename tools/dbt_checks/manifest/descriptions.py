"""Descriptions that dbt-bouncer asks for only of the columns that a catalog lists, and so only with a warehouse."""

from typing import Any

from dbt_bouncer.check_framework.decorator import check, fail


@check
def check_model_declares_columns(model: Any) -> None:
    """A model's properties list its columns."""
    if not model.columns:
        fail(f"`{model.name}` lists no columns in its properties file.")


@check
def check_source_columns_described(source: Any) -> None:
    """Each column that a source lists has a description, and it lists some."""
    if not source.columns:
        fail(f"`{source.source_name}.{source.name}` lists no columns.")
    undescribed = [name for name, column in source.columns.items() if not (column.description or "").strip()]
    if undescribed:
        fail(f"`{source.source_name}.{source.name}` has columns without a description: {undescribed}.")
