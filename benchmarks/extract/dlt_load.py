"""What one writes with dlt: its REST source with a page-number paginator, into DuckDB, its defaults otherwise.

Runs in an environment of its own (`requirements-dlt.lock`), so it imports nothing of this project.
"""

from __future__ import annotations

import argparse

import dlt
from dlt.sources.rest_api import rest_api_source


def main() -> None:
    """Load the sessions of one window into a new DuckDB file."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0] if __doc__ else None)
    parser.add_argument("base_url")
    parser.add_argument("since")
    parser.add_argument("until")
    parser.add_argument("file", help="the DuckDB file to make")
    parser.add_argument("folder", help="where dlt keeps its working files")
    given = parser.parse_args()
    source = rest_api_source(
        {
            "client": {
                "base_url": given.base_url,
                "auth": {"type": "bearer", "token": "msk_bench"},
                # The envelope tells rows, not pages, so an empty page is the end.
                "paginator": {"type": "page_number", "base_page": 1, "page_param": "page", "total_path": None},
            },
            "resources": [
                {
                    "name": "usage_sessions",
                    "endpoint": {
                        "path": "usage/sessions",
                        "params": {"since": given.since, "until": given.until, "page_size": 100},
                        "data_selector": "data",
                    },
                }
            ],
        }
    )
    pipeline = dlt.pipeline(
        "bench", pipelines_dir=given.folder, destination=dlt.destinations.duckdb(given.file), dataset_name="raw"
    )
    pipeline.run(source).raise_on_failed_jobs()


if __name__ == "__main__":
    main()
