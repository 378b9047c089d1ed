"""Whether a model names a table itself, instead of by ref() or source()."""

import re
from typing import Any

from dbt_bouncer.check_framework.decorator import check, fail

COMMENT = re.compile(r"\{#.*?#\}|/\*.*?\*/|--[^\n]*", re.DOTALL)
JINJA = re.compile(r"\{\{.*?\}\}|\{%.*?%\}", re.DOTALL)
TABLE = re.compile(r'(?<!distinct )\b(?:from|join)\s+("?\w+"?(?:\."?\w+"?)+)', re.IGNORECASE)


@check
def check_model_names_no_table(model: Any) -> None:
    """No `from schema.table`: dbt would not know of the dependency. A column after `is distinct from` is no table."""
    code = JINJA.sub(" ", COMMENT.sub(" ", model.raw_code or ""))
    tables = TABLE.findall(re.sub(r"\s+", " ", code))
    if tables:
        fail(f"`{model.name}` names tables itself: {tables}. Use ref() or source().")
