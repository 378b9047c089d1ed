"""Which of the vendor's own figures a run reads: the rollup and the summary of each month asked for or due."""

from __future__ import annotations

import logging
from collections.abc import Callable
from datetime import datetime
from functools import partial
from typing import Any

from core.api.bodies import read_document
from core.api.exchange import Answer
from core.api.usage import UsageForms, check_summary, report_lines, shape_of, summary_params
from core.months import next_month
from extract.context import RunContext
from extract.documents import Document, DocumentLoad, DocumentRequest
from extract.settings import Settings

logger = logging.getLogger("miosa_billing")


def figure_loads(context: RunContext) -> list[DocumentLoad]:
    """One load per month and figure: for the months that were asked for, and those with changed sessions (rule 34)."""
    months = figure_months(context)
    forms = UsageForms()
    rollups = [
        DocumentRequest(f"{month:%Y-%m}", "/usage", {}, _read(_check_rollup, month), ask=partial(forms.ask, month))
        for month in months
    ]
    summaries = [
        DocumentRequest(f"{month:%Y-%m}", "/usage/summary", summary_params(month), _read(check_summary, month))
        for month in months
    ]
    return [
        DocumentLoad(context.new_load(resource, (month, next_month(month))), [request])
        for resource, requests in (("usage_rollups", rollups), ("usage_summaries", summaries))
        for month, request in zip(months, requests, strict=True)
    ]


def _check_rollup(value: dict[str, Any], month: datetime) -> None:
    """Check a month's rollup, and log its shape. Raises `ApiError` or `IncompleteError`."""
    shape = shape_of(report_lines(value, month))
    if shape:
        logger.info("the vendor's usage report of %s comes as %s", f"{month:%Y-%m}", shape)


def figure_months(context: RunContext) -> list[datetime]:
    """The months whose figures are due by now, in order."""
    return sorted({*context.warehouse.months_due(), *_months_asked(context.settings)})


def _read(check: Callable[[dict[str, Any], datetime], None], month: datetime) -> Callable[[Answer], Document]:
    """What reads an answer with a figure of a month."""

    def read(answer: Answer) -> Document:
        payload, normalized, value = read_document(answer.body)
        check(value, month)
        return answer.status, payload, normalized

    return read


def _months_asked(settings: Settings) -> list[datetime]:
    """The months that were asked for."""
    months = [settings.start]
    while (month := next_month(months[-1])) < settings.end:
        months.append(month)
    return months
