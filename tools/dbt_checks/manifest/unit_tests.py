"""Whether each model with logic has a unit test."""

import re
from typing import Any

from dbt_bouncer.check_framework.decorator import check, fail

COMMENT_OR_CONFIG = re.compile(r"\{#.*?#\}|--[^\n]*|\{\{\s*config\(.*?\)\s*\}\}", re.DOTALL)
RELATION = re.compile(r"\{\{\s*(?:ref|source)\([^)]*\)\s*\}\}")
IMPORT = r"with \w+ as \( ?select \* from RELATION ?\) "
COLUMN = r"(?:\w+\.)?\w+(?: as \w+)?"
FROM = r" from (?:RELATION|\w+)(?: as \w+)?"
SELECTION = re.compile("".join((f"(?:{IMPORT})?", "select ", COLUMN, f"(?:, {COLUMN})*", FROM)))


def only_selects(code: str) -> bool:
    """Whether SQL only chooses and renames columns of one relation."""
    plain = RELATION.sub("RELATION", COMMENT_OR_CONFIG.sub(" ", code))
    return SELECTION.fullmatch(" ".join(plain.split())) is not None


@check
def check_model_logic_has_unit_test(model: Any, ctx: Any) -> None:
    """A model has a unit test, unless it only chooses and renames columns of one relation."""
    if not ctx.unit_tests_by_depends_on_node.get(model.unique_id) and not only_selects(model.raw_code or ""):
        fail(f"`{model.name}` has no unit test, and does more than choose and rename columns.")
