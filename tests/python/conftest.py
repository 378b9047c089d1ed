"""What all tests share: the full size on demand, and the order in which files are handed to the workers."""

from __future__ import annotations

from pathlib import Path

import hypothesis
import pytest

import delivered as delivery

# Files that take longest go first, so that no worker starts one when the other is done.
LONGEST = (
    "test_closing.py",
    "test_partial_builds.py",
    "test_planted_faults.py",
    "test_closing_kills.py",
    "test_whole_path.py",
    "test_survival.py",
    "test_invoices_whole_path.py",
    "test_stripe.py",
    "test_documents.py",
    "test_stripe_kills.py",
    "test_quota_sql.py",
    "test_billing_sql.py",
    "test_publish_quotas.py",
    "test_publish_marts.py",
    "test_publish_report.py",
    "test_clocks.py",
    "test_owners.py",
    "test_close_review.py",
    "test_upgrade.py",
    "test_extract_process.py",
    "test_extract_runs.py",
)


def pytest_addoption(parser: pytest.Parser) -> None:
    """`--full` runs the tests marked `slow` as well."""
    parser.addoption("--full", action="store_true", help="run the slow tests too: full sizes, every variant alone")


def pytest_configure(config: pytest.Config) -> None:
    """Draw the same examples each time, so that main stays green by what it holds; `--full` draws new ones."""
    hypothesis.settings.register_profile("steady", derandomize=True)
    if not config.getoption("--full"):
        hypothesis.settings.load_profile("steady")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Put the longest files first, and leave slow tests out unless they are asked for."""
    items.sort(key=lambda item: LONGEST.index(item.path.name) if item.path.name in LONGEST else len(LONGEST))
    if not config.getoption("--full"):
        for item in items:
            if "slow" in item.keywords:
                item.add_marker(pytest.mark.skip(reason="runs with --full"))


@pytest.fixture(scope="session")
def delivered(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A warehouse with two closed periods and an open one (`delivered.py`); nobody changes it."""
    return delivery.delivered(tmp_path_factory)
