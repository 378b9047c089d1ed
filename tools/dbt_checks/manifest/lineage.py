"""Checks of the graph that dbt-bouncer does not have, or counts differently from dbt_project_evaluator."""

from typing import Any

from dbt_bouncer.check_framework.decorator import check, fail


def parents(node: Any) -> set[str]:
    """Unique ids of the nodes that a node reads."""
    return set(getattr(node.depends_on, "nodes", None) or [])


@check
def check_model_leaf_fanout(model: Any, ctx: Any, *, max_leaves: int = 2) -> None:
    """Few models that nothing reads depend directly on the same model: more are a sign of logic to move upstream."""
    children = ctx.children_by_unique_id.get(model.unique_id, [])
    leaves = sorted(child.name for child in children if not ctx.children_by_unique_id.get(child.unique_id))
    if len(leaves) > max_leaves:
        fail(f"`{model.name}` feeds {len(leaves)} models that nothing reads: {leaves}. At most {max_leaves} may do.")


@check
def check_model_max_parents(model: Any, *, max_parents: int = 6) -> None:
    """A model reads few models, seeds and sources: one that reads more does too much at once."""
    count = len(parents(model))
    if count > max_parents:
        fail(f"`{model.name}` reads {count} models, seeds and sources. At most {max_parents} are allowed.")


@check
def check_exposure_reads_marts(exposure: Any, ctx: Any) -> None:
    """Exposures read marts only: no source, no seed and no model of another layer."""
    marts = {model.unique_id for model in ctx.models if model.original_file_path.startswith("models/marts/")}
    others = sorted(parents(exposure) - marts)
    if others:
        fail(f"`{exposure.name}` reads what is no mart: {others}.")
