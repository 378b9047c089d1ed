"""What one writes with dlt to load what the extractor loads: its REST source into DuckDB, its defaults otherwise.

Sessions, sandboxes, the quota of each user seen, and the vendor's rollup and summary of the month. Lists come by its
page-number paginator, and resources side by side (`parallelized`), as its documentation advises. Quotas are a
transformer: as a child resource, its REST source would ask for one a session instead of one a user.

Runs in an environment of its own (`requirements-dlt.lock`), so it imports nothing of this project.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from typing import Any

import dlt
from dlt.sources.helpers import requests
from dlt.sources.helpers.rest_client import RESTClient
from dlt.sources.helpers.rest_client.auth import BearerTokenAuth
from dlt.sources.rest_api import rest_api_source

_KEY = "msk_bench"


def _quotas(base_url: str) -> Any:
    """The quota of each user that a page of sessions is the first to name, several asked for at a time."""
    session = requests.Client(raise_for_status=False).session  # no quota is a 404, and an answer like any other
    client = RESTClient(base_url, auth=BearerTokenAuth(_KEY), session=session)
    asked: set[str] = set()

    @dlt.defer  # type: ignore[untyped-decorator]
    def ask(user: str) -> dict[str, Any]:
        answer = client.get(f"quotas/external/{user}")
        return {"external_user_id": user, "status": answer.status_code, "body": answer.text}

    @dlt.transformer(name="quotas")  # type: ignore[untyped-decorator]
    def quotas(rows: list[dict[str, Any]]) -> Iterator[Any]:
        users = {row["external_user_id"] for row in rows} - asked
        asked.update(users)
        for user in sorted(users):
            yield ask(user)

    return quotas


def main() -> None:
    """Load one month into a new DuckDB file."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0] if __doc__ else None)
    parser.add_argument("base_url")
    parser.add_argument("since")
    parser.add_argument("until")
    parser.add_argument("file", help="the DuckDB file to make")
    parser.add_argument("folder", help="where dlt keeps its working files")
    given = parser.parse_args()
    month = {"start": given.since, "end": given.until}
    source = rest_api_source(
        {
            "client": {
                "base_url": given.base_url,
                "auth": {"type": "bearer", "token": _KEY},
                # The envelope tells rows, not pages, so an empty page is the end.
                "paginator": {"type": "page_number", "base_page": 1, "page_param": "page", "total_path": None},
            },
            "resource_defaults": {"parallelized": True},
            "resources": [
                {
                    "name": "usage_sessions",
                    "endpoint": {
                        "path": "usage/sessions",
                        "params": {"since": given.since, "until": given.until, "page_size": 100},
                        "data_selector": "data",
                    },
                },
                {
                    "name": "sandboxes",
                    "endpoint": {"path": "sandboxes", "params": {"page_size": 100}, "data_selector": "data"},
                },
                {
                    "name": "usage_rollups",
                    "endpoint": {
                        "path": "usage",
                        "params": {"group_by": "external_user_id", "period": "custom", **month},
                        "paginator": "single_page",
                        "data_selector": "$",
                    },
                },
                {
                    "name": "usage_summaries",
                    "endpoint": {
                        "path": "usage/summary",
                        "params": {"period_start": given.since, "period_end": given.until},
                        "paginator": "single_page",
                        "data_selector": "$",
                    },
                },
            ],
        }
    )
    source.resources["quotas"] = source.resources["usage_sessions"] | _quotas(given.base_url)
    pipeline = dlt.pipeline(
        "bench", pipelines_dir=given.folder, destination=dlt.destinations.duckdb(given.file), dataset_name="raw"
    )
    pipeline.run(source).raise_on_failed_jobs()


if __name__ == "__main__":
    main()
