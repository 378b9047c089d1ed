"""Reads answers that are stored as one row each, in threads, and lands a load when all of its answers are there."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import datetime
from itertools import groupby

from core.api.exchange import Answer, Params
from core.canonical import storable
from core.clock import utc_now
from core.errors import ExtractError
from core.parallel import map_ahead
from core.raw.load import Load
from extract.context import RunContext

Document = tuple[int, str | None, str | None]
"""An answer's status, text and normalized text."""

_MOST_AHEAD = 128
# Loads are landed together until they hold so many rows: one transaction for each would take longer than the requests.
_ROWS_PER_LANDING = 500


@dataclass(frozen=True, slots=True)
class DocumentRequest:
    """A request whose answer is one row."""

    key: str
    """The key of the row."""
    path: str
    params: Params
    read: Callable[[Answer], Document]
    """Checks the answer, and returns its status, text and normalized text."""
    accepted: frozenset[int] = frozenset({200})
    label: str | None = None
    """Stands for the path in messages, if that holds an id that must not be shown."""
    ask: Callable[[Callable[[Params], Document]], Document] | None = None
    """Asks with the parameters of its choice, in place of `params`, by the function that it is given."""
    shown_fields: frozenset[str] | None = None
    """With pseudonyms: the only fields whose values stay. None: only fields of external ids are replaced."""


@dataclass(slots=True)
class DocumentLoad:
    """A load, and the requests whose answers are its rows."""

    load: Load
    requests: list[DocumentRequest] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class _Document:
    """An answer as it is stored."""

    status: int
    payload: str | None
    normalized: str | None
    started_at: datetime
    ended_at: datetime


def land_documents(context: RunContext, loads: Sequence[DocumentLoad], stage: str = "quotas, figures") -> None:
    """Read and land these loads, in order. Raises `ExtractError`; loads that were complete before it are landed."""
    warehouse = context.warehouse
    requests = [request for each in loads for request in each.requests]
    bar = context.bars.stage(stage, len(requests))
    pool = ThreadPoolExecutor(context.client.useful_threads, "documents")
    documents = map_ahead(pool, lambda request: _fetch(context, request), requests, _MOST_AHEAD)
    complete: list[Load] = []
    try:
        for each in loads:
            load = each.load
            # The requests come first: zip asks them for an end before it takes a document of the next load.
            for place, (request, document) in enumerate(zip(each.requests, documents, strict=False)):
                status = document.status if load.resource == "quotas" else None
                warehouse.stage_answer(load, place, request.key, status, document.payload, document.normalized)
                load.started_at = min(load.started_at, document.started_at) if load.pages else document.started_at
                load.ended_at = max(load.ended_at, document.ended_at)
                load.pages += 1
                bar.add_rows(1)
                bar.advance()
            complete.append(load)
            if sum(load.pages for load in complete) >= _ROWS_PER_LANDING:
                _land(context, complete)
        _land(context, complete)
    except ExtractError:
        _land(context, complete)
        raise
    finally:
        pool.shutdown(wait=False, cancel_futures=True)


def _land(context: RunContext, complete: list[Load]) -> None:
    """Land what is complete, and empty the list."""
    loads = complete.copy()
    complete.clear()
    context.warehouse.examine(loads)
    for _, of_resource in groupby(loads, key=lambda load: load.resource):
        context.land(list(of_resource))


def _fetch(context: RunContext, request: DocumentRequest) -> _Document:
    """Fetch one document (in a thread)."""
    started_at = utc_now()

    def get(params: Params) -> Document:
        return context.client.get(request.path, params, request.read, accepted=request.accepted, label=request.label)

    status, payload, normalized = request.ask(get) if request.ask else get(request.params)
    if context.pseudonyms and payload is not None:
        # An error's words may name the user anywhere. Nothing but its status counts.
        payload, normalized = (
            (None, None) if status == 404 else storable(context.pseudonyms.hide_in_text(payload, request.shown_fields))
        )
    return _Document(status, payload, normalized, started_at, utc_now())
