"""Which of the vendor's own figures a run reads: the rollup and the summary of each month asked for or due."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import Any

from core.api.bodies import read_document
from core.api.exchange import Answer
from core.api.quotas import check_object
from core.api.usage import rollup_lines, rollup_params, summary_params
from core.months import next_month
from extract.context import RunContext
from extract.documents import DocumentLoad, DocumentRequest
from extract.settings import Settings


def figure_loads(context: RunContext) -> list[DocumentLoad]:
    """One load per month and figure: for the months that were asked for, and those with changed sessions (rule 34)."""
    months = figure_months(context)
    return [
        *(_load(context, month, "usage_rollups", "/usage", rollup_params(month), rollup_lines) for month in months),
        *(
            _load(context, month, "usage_summaries", "/usage/summary", summary_params(month), check_object)
            for month in months
        ),
    ]


def figure_months(context: RunContext) -> list[datetime]:
    """The months whose figures are due by now, in order."""
    return sorted({*context.warehouse.months_due(), *_months_asked(context.settings)})


def _load(
    context: RunContext,
    month: datetime,
    resource: str,
    path: str,
    params: dict[str, str],
    check: Callable[[dict[str, Any]], object],
) -> DocumentLoad:
    """The load of one figure of one month."""

    def read(answer: Answer) -> tuple[int, str | None, str | None]:
        payload, normalized, value = read_document(answer.body)
        check(value)
        return answer.status, payload, normalized

    load = context.new_load(resource, (month, next_month(month)))
    return DocumentLoad(load, [DocumentRequest(f"{month:%Y-%m}", path, params, read)])


def _months_asked(settings: Settings) -> list[datetime]:
    """The months that were asked for."""
    months = [settings.start]
    while (month := next_month(months[-1])) < settings.end:
        months.append(month)
    return months
