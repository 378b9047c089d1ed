"""A warehouse whose months are ready to be delivered: the tests of all publishers share one, built once per run.

Two of its periods are closed, the second with adjustments of the first; the third is open. Twelve customers' histories
are in it, in several currencies, with ids that are meant to break things.
"""

from __future__ import annotations

import fcntl
import shutil
from dataclasses import replace
from pathlib import Path

import pytest

import billing_path
import histories
import pipeline
from histories import Outcome
from tenants import Span

FIRST, SECOND, OPEN = MONTHS = ("2026-02", "2026-03", "2026-04")
"""Closed; closed, with adjustments of the first; open."""


def delivered(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The warehouse, read-only: copy it (`pipeline.copy`) to change it. Built by the first worker that asks."""
    folder = tmp_path_factory.getbasetemp()
    # Each worker has a folder of its own below the run's.
    folder = (folder.parent if folder.name.startswith("popen-") else folder) / "delivered"
    folder.mkdir(exist_ok=True)
    warehouse, ready = folder / "usage.duckdb", folder / "ready"
    with (folder / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not ready.exists():
            _build(warehouse)
            ready.touch()
    return warehouse


def copy_of(warehouse: Path, folder: Path) -> Path:
    """A copy to change."""
    folder.mkdir(parents=True, exist_ok=True)
    return Path(shutil.copy(warehouse, folder / warehouse.name))


def outcomes() -> list[Outcome]:
    """What the oracle says of each of its steps: the second one closes the second period."""
    schedule = replace(histories.make_schedule(5, 2, MONTHS, FIRST), closes=(True, True))
    several = [histories.make_history(5000 + number, schedule, number, changes=5) for number in range(12)]
    return list(histories.replay(histories.merge(several)))


def _build(warehouse: Path) -> None:
    for outcome, period in zip(outcomes(), (FIRST, SECOND), strict=True):
        billing_path.land(outcome.step.state, warehouse, Span(MONTHS[0], MONTHS[-1]))
        seeds = warehouse.parent / "seeds"
        histories.write_seeds(outcome.step.state.prices, seeds)
        pipeline.build(
            warehouse,
            *("--exclude-resource-type", "unit_test"),
            variables=billing_path.variables_of(outcome.step.state, period),
            seeds=seeds,
        )
