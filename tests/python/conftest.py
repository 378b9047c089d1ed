"""What all tests share: the full size on demand, and warehouses that are built once."""

from __future__ import annotations

import pytest


def pytest_addoption(parser: pytest.Parser) -> None:
    """`--full` runs the tests marked `slow` as well."""
    parser.addoption("--full", action="store_true", help="run the slow tests too: full sizes, every variant alone")


def pytest_configure(config: pytest.Config) -> None:
    """Make the marker known."""
    config.addinivalue_line("markers", "slow: full size; runs with --full only")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave slow tests out, unless they are asked for."""
    if not config.getoption("--full"):
        for item in items:
            if "slow" in item.keywords:
                item.add_marker(pytest.mark.skip(reason="runs with --full"))
