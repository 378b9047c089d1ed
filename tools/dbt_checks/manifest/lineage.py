"""Checks of the graph that dbt-bouncer does not have, or counts differently from dbt_project_evaluator."""

import re
from typing import Any

from dbt_bouncer.check_framework.decorator import check, fail

ORDER_ONLY = re.compile(r"^-- depends_on: \{\{ ref\([\"'](\w+)[\"']\) \}\}", re.MULTILINE)
"""How a model names another that must be built before it, but that it does not read."""


def parents(node: Any) -> set[str]:
    """Unique ids of the nodes that a node reads."""
    return set(getattr(node.depends_on, "nodes", None) or [])


def joined(model: Any) -> set[str]:
    """Unique ids of the nodes that a model reads, without those that must only be built before it."""
    first = set(ORDER_ONLY.findall(model.raw_code or ""))
    return {unique_id for unique_id in parents(model) if unique_id.split(".")[-1] not in first}


def stored(model: Any) -> bool:
    """Whether a model's rows are written to a table."""
    return str(model.config.materialized) in ("table", "incremental")


@check
def check_model_does_not_rejoin(model: Any, ctx: Any, *, change_lists: str = "models/intermediate/changes/") -> None:
    """No model reads A and B if B reads A and nothing else reads B: B should be a part of the model.

    A list of what changed in A since the build before is no such B: it is made before the model replaces its rows.
    """
    read = joined(model)
    for between in ctx.models:
        is_list = between.original_file_path.startswith(change_lists)
        readers = ctx.children_by_unique_id.get(between.unique_id, [])
        again = sorted(joined(between) & read)
        if between.unique_id in read and again and len(readers) == 1 and not is_list:
            fail(f"`{model.name}` alone reads `{between.name}`, and reads {again} again, which that one reads.")


@check
def check_model_leaf_fanout(model: Any, ctx: Any, *, max_leaves: int = 3) -> None:
    """Few models that nothing reads depend directly on the same model: more are a sign of logic to move upstream."""
    children = ctx.children_by_unique_id.get(model.unique_id, [])
    leaves = sorted(child.name for child in children if not ctx.children_by_unique_id.get(child.unique_id))
    if len(leaves) > max_leaves:
        fail(f"`{model.name}` feeds {len(leaves)} models that nothing reads: {leaves}. At most {max_leaves} may.")


@check
def check_model_max_parents(model: Any, *, max_parents: int = 6) -> None:
    """A model reads few models, seeds and sources: one that reads more does too much at once."""
    count = len(joined(model))
    if count > max_parents:
        fail(f"`{model.name}` reads {count} models, seeds and sources. At most {max_parents} are allowed.")


@check
def check_exposure_reads_marts(exposure: Any, ctx: Any) -> None:
    """Exposures read marts, and metrics, which are made of marts: no source, no seed and no model of another layer."""
    marts = {model.unique_id for model in ctx.models if model.original_file_path.startswith("models/marts/")}
    others = sorted(name for name in parents(exposure) - marts if not name.startswith("metric."))
    if others:
        fail(f"`{exposure.name}` reads what is no mart: {others}.")


@check
def check_exposure_reads_tables(exposure: Any, ctx: Any) -> None:
    """Exposures read tables, or views over a single table, which cost their readers nothing."""
    models = {model.unique_id: model for model in ctx.models}
    slow = []
    for read in sorted(parents(exposure) & set(models)):
        behind = [models.get(unique_id) for unique_id in parents(models[read])]
        is_thin = len(behind) == 1 and behind[0] is not None and stored(behind[0])
        if not (stored(models[read]) or is_thin):
            slow.append(models[read].name)
    if slow:
        fail(f"`{exposure.name}` reads views that are more than a selection from one table: {slow}.")
