"""What every stage of a run needs, and what the run has done so far."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING

from core.api.client import Client
from core.progress import Bars
from core.raw.load import Load
from extract.paging import PagingStyles
from extract.pseudonyms import Pseudonyms
from extract.settings import Settings
from extract.warehouse import Warehouse

if TYPE_CHECKING:
    from extract.plan import Plan

Window = tuple[datetime, datetime]
"""From a moment to another one, exclusive; both in UTC without a zone."""


@dataclass(slots=True)
class Summary:
    """What a run did."""

    loads: int = 0
    rows_listed: int = 0
    rows_added: int = 0
    voids: int = 0
    quotas_left: int = 0
    """Users whose quota was not read, because it was read not long ago (`--quotas changed`)."""
    oldest_quota_at: datetime | None = None
    """When the one of these was read that was not read for longest."""

    def count(self, load: Load) -> None:
        """Count a load that was landed."""
        self.loads += 1
        self.rows_listed += load.rows
        self.rows_added += load.rows_added


@dataclass(slots=True)
class RunContext:
    """The settings of a run, and what it reads from and writes to."""

    settings: Settings
    client: Client
    warehouse: Warehouse
    bars: Bars
    pseudonyms: Pseudonyms | None = None
    """With it, nothing that is stored or shown holds an external id."""
    summary: Summary = field(default_factory=Summary)
    styles: PagingStyles = field(default_factory=PagingStyles)
    """How the API pages its lists, as far as this run has seen."""
    plan: Plan | None = None
    """The plan of the run, until its duration is known."""
    _loads: int = 0

    def new_load(self, resource: str, window: Window | None = None) -> Load:
        """A load that is not read yet."""
        self._loads += 1
        start, end = window or (None, None)
        return Load(resource, self._loads, start, end)

    def land(self, loads: Sequence[Load]) -> None:
        """Land examined loads of one resource in one transaction, and count them."""
        self.warehouse.land(loads)
        for load in loads:
            self.summary.count(load)
