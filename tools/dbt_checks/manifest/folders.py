"""Whether sources and staging models lie in the folder that has the source's name, and marts are in a group."""

from pathlib import PurePath
from typing import Any

from dbt_bouncer.check_framework.decorator import check, fail


@check
def check_source_folder(source: Any) -> None:
    """A source is declared in models/staging/<source>/."""
    folder = PurePath(source.original_file_path).parent
    expected = PurePath("models", "staging", source.source_name)
    if folder != expected:
        fail(f"`{source.source_name}.{source.name}` is declared in `{folder}` instead of `{expected}`.")


@check
def check_staging_model_folder(model: Any) -> None:
    """A staging model lies in models/staging/<source>/ of the source that it reads."""
    for unique_id in getattr(model.depends_on, "nodes", None) or []:
        kind, _, *names = unique_id.split(".")
        folder = PurePath(model.original_file_path).parent
        if kind == "source" and folder != PurePath("models", "staging", names[0]):
            fail(f"`{model.name}` reads the source `{names[0]}`, but lies in `{folder}`.")


@check
def check_model_has_group(model: Any) -> None:
    """A model belongs to a group, so that its owner is known."""
    if not model.group:
        fail(f"`{model.name}` is in no group: `dbt_project.yml` gives each folder of marts one.")
