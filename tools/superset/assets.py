"""The files that Superset imports: its own format for assets, made from `charts`.

Each object has an id that comes from its name, so a second import changes the objects of the first and adds none.
"""

from __future__ import annotations

import io
import json
import uuid
import zipfile
from collections.abc import Mapping, Sequence
from typing import Any

from tools.superset.charts import CHARTS, CURRENCY_COLUMNS, MARTS, TABS, Chart, time_column
from tools.superset.copy import Column

DATABASE_NAME = "Billing marts"
DASHBOARD_TITLE = "Usage billing"
SLUG = "usage-billing"
SCHEMA = "marts"
EXTRA = {
    "engine_params": {
        # DuckDB has no users: without these, SQL typed by a reader reaches files of Superset's machine (docs/bi.md).
        "connect_args": {
            "read_only": True,
            "config": {"enable_external_access": "false", "lock_configuration": "true"},
        }
    },
    "allows_virtual_table_explore": True,
}
NO_CACHE = -1
"""Superset's word for it: a figure of the last publish must not outlive it."""

_NAMESPACE = uuid.UUID("5b0c0d5e-6f0a-5a37-9d0e-6d696f736162")
_VERSION = "1.0.0"
_ROW_LIMIT = 10_000
_VIZ = {"bar": "echarts_timeseries_bar", "line": "echarts_timeseries_line", "table": "table"}

Json = dict[str, Any]


def uuid_of(kind: str, name: str) -> str:
    """The id of an object, the same at every Superset."""
    return str(uuid.uuid5(_NAMESPACE, f"{kind}/{name}"))


def bundle(sqlalchemy_uri: str, columns: Mapping[str, Sequence[Column]]) -> bytes:
    """The ZIP file to import, with these columns of each mart. JSON is YAML, which Superset reads."""
    files: dict[str, Json] = {
        "metadata.yaml": {"version": _VERSION, "type": "assets", "timestamp": "2026-01-01T00:00:00+00:00"},
        "databases/marts.yaml": database(sqlalchemy_uri),
        **{f"datasets/marts/{mart}.yaml": dataset(mart, columns[mart]) for mart in MARTS},
        **{f"charts/{uuid_of('chart', chart.name)}.yaml": chart_file(chart) for chart in CHARTS},
        f"dashboards/{SLUG}.yaml": dashboard(),
    }
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in files.items():
            # Without a time of its own, the same assets are the same bytes.
            archive.writestr(zipfile.ZipInfo(f"assets/{name}"), json.dumps(content, indent=1))
    return buffer.getvalue()


def database(sqlalchemy_uri: str) -> Json:
    """The published copy, read-only and locked."""
    return {
        "database_name": DATABASE_NAME,
        "sqlalchemy_uri": sqlalchemy_uri,
        "cache_timeout": NO_CACHE,
        "expose_in_sqllab": True,
        "allow_run_async": False,
        "allow_ctas": False,
        "allow_cvas": False,
        "allow_dml": False,
        "allow_file_upload": False,
        "extra": EXTRA,
        "uuid": uuid_of("database", DATABASE_NAME),
        "version": _VERSION,
    }


def dataset(mart: str, columns: Sequence[Column]) -> Json:
    """A mart. Superset could read the columns itself, but only after the import, mart by mart, and at length."""
    return {
        "table_name": mart,
        "schema": SCHEMA,
        "main_dttm_col": time_column(mart),
        "filter_select_enabled": True,
        "columns": [
            {
                "column_name": column.name,
                "type": column.type,
                "is_dttm": column.is_time,
                "is_active": True,
                "groupby": True,
                "filterable": True,
                "description": column.description,
            }
            for column in columns
        ],
        "metrics": [],
        "uuid": uuid_of("dataset", mart),
        "database_uuid": uuid_of("database", DATABASE_NAME),
        "version": _VERSION,
    }


def chart_file(chart: Chart) -> Json:
    """A chart, with the query that the API answers for it (`/api/v1/chart/<id>/data/`)."""
    return {
        "slice_name": chart.name,
        "viz_type": _VIZ[chart.kind],
        "params": _form(chart),
        "query_context": json.dumps(_query_context(chart)),
        "uuid": uuid_of("chart", chart.name),
        "dataset_uuid": uuid_of("dataset", chart.mart),
        "version": _VERSION,
    }


def metrics(chart: Chart) -> list[Json]:
    """The figures of a chart, each labelled with its column."""
    columns = [*(("SUM", column) for column in chart.sums), *(("MAX", column) for column in chart.highest)]
    figures = [_metric(aggregate, column) for aggregate, column in columns]
    if chart.counts:
        figures.append(
            {
                "expressionType": "SQL",
                "sqlExpression": "count(*)",
                "label": "rows",
                "hasCustomLabel": True,
                "optionName": "metric_rows",
            }
        )
    return figures


def _metric(aggregate: str, column: str) -> Json:
    """An aggregate of a column, labelled with the column's name."""
    return {
        "expressionType": "SIMPLE",
        "column": {"column_name": column},
        "aggregate": aggregate,
        "label": column,
        "hasCustomLabel": True,
        "optionName": f"metric_{aggregate}_{column}",
    }


def _conditions(chart: Chart) -> list[tuple[str, str, Any]]:
    """Column, operator and value of each filter."""
    found: list[tuple[str, str, Any]] = []
    if chart.time is not None:
        # The place where the dashboard's filter on time enters.
        found.append((chart.time, "TEMPORAL_RANGE", "No filter"))
    for column, value in chart.only.items():
        found.append((column, "IN", list(value)) if isinstance(value, tuple) else (column, "==", value))
    found.extend((column, "!=", value) for column, value in chart.but_not.items())
    return found


def _form(chart: Chart) -> Json:
    """What Superset's page draws the chart from."""
    form: Json = {
        "viz_type": _VIZ[chart.kind],
        "adhoc_filters": [
            {
                "expressionType": "SIMPLE",
                "clause": "WHERE",
                "subject": column,
                "operator": operator,
                "comparator": value,
            }
            for column, operator, value in _conditions(chart)
        ],
        "row_limit": _ROW_LIMIT,
    }
    if chart.kind == "table":
        form |= {"table_timestamp_format": "smart_date", "show_cell_bars": False, "server_pagination": False}
        form["column_config"] = {
            column: {"d3NumberFormat": chart.number_format} for column in (*chart.sums, *chart.highest)
        }
        if metrics(chart):
            if chart.time is not None:
                # Else the largest amount comes first, whatever its currency.
                form["timeseries_limit_metric"] = _metric("MAX", chart.time)
                form["order_desc"] = False
            return form | {"query_mode": "aggregate", "groupby": list(chart.by), "metrics": metrics(chart)}
        return form | {
            "query_mode": "raw",
            "all_columns": list(chart.by),
            "order_by_cols": [json.dumps([column, True]) for column in chart.by],
        }
    return form | {
        "x_axis": chart.time,
        "time_grain_sqla": None,
        "groupby": list(chart.by),
        "metrics": metrics(chart),
        "x_axis_time_format": chart.time_format,
        "y_axis_format": chart.number_format,
        "tooltipTimeFormat": "%Y-%m-%d",
        "show_legend": bool(chart.by),
        "rich_tooltip": True,
        "showTooltipTotal": False,
        "stack": "Stack" if chart.is_stacked else None,
        "markerEnabled": chart.kind == "line" and bool(chart.highest),
    }


def _query_context(chart: Chart) -> Json:
    """The query of a chart: a row per group, in order."""
    columns: list[Any] = list(chart.by)
    if chart.kind != "table":
        axis = {"columnType": "BASE_AXIS", "expressionType": "SQL", "label": chart.time, "sqlExpression": chart.time}
        columns.insert(0, axis)
    query: Json = {
        "columns": columns,
        "filters": [{"col": column, "op": operator, "val": value} for column, operator, value in _conditions(chart)],
        "metrics": metrics(chart) or None,
        "orderby": [[column, True] for column in chart.by],
        "row_limit": _ROW_LIMIT,
    }
    return {
        # Superset writes the data set's number here.
        "datasource": {"id": 0, "type": "table"},
        "force": False,
        "form_data": _form(chart),
        "queries": [query],
        "result_format": "json",
        "result_type": "full",
    }


def dashboard() -> Json:
    """The dashboard: a tab for each subject, and filters on time and currency."""
    return {
        "dashboard_title": DASHBOARD_TITLE,
        "description": "Made by tools/superset: the next run overwrites changes. Copy it to change it.",
        "slug": SLUG,
        "uuid": uuid_of("dashboard", DASHBOARD_TITLE),
        "position": _position(),
        "metadata": {
            "native_filter_configuration": _filters(),
            "color_scheme": "supersetColors",
            "cross_filters_enabled": True,
        },
        "published": True,
        "version": _VERSION,
    }


def _position() -> Json:
    """Where each chart is. Superset replaces `chartId`, which counts charts from 1 here, by its own numbers."""
    position: Json = {
        "DASHBOARD_VERSION_KEY": "v2",
        "ROOT_ID": {"type": "ROOT", "id": "ROOT_ID", "children": ["GRID_ID"]},
        "GRID_ID": {"type": "GRID", "id": "GRID_ID", "children": ["TABS-1"], "parents": ["ROOT_ID"]},
        "HEADER_ID": {"type": "HEADER", "id": "HEADER_ID", "meta": {"text": DASHBOARD_TITLE}},
        "TABS-1": {
            "type": "TABS",
            "id": "TABS-1",
            "children": [f"TAB-{name}" for name in TABS],
            "parents": ["ROOT_ID", "GRID_ID"],
            "meta": {},
        },
    }
    for name, charts in TABS.items():
        parents = ["ROOT_ID", "GRID_ID", "TABS-1"]
        rows = _rows(charts)
        keys = [f"ROW-{name}-{number}" for number in range(len(rows))]
        position[f"TAB-{name}"] = {
            "type": "TAB",
            "id": f"TAB-{name}",
            "children": keys,
            "parents": parents,
            "meta": {"text": name, "defaultText": "Tab title", "placeholder": "Tab title"},
        }
        for key, row in zip(keys, rows, strict=True):
            ids = [CHARTS.index(chart) + 1 for chart in row]
            position[key] = {
                "type": "ROW",
                "id": key,
                "children": [f"CHART-{number}" for number in ids],
                "parents": [*parents, f"TAB-{name}"],
                "meta": {"background": "BACKGROUND_TRANSPARENT"},
            }
            for number, chart in zip(ids, row, strict=True):
                position[f"CHART-{number}"] = {
                    "type": "CHART",
                    "id": f"CHART-{number}",
                    "children": [],
                    "parents": [*parents, f"TAB-{name}", key],
                    "meta": {
                        "chartId": number,
                        "uuid": uuid_of("chart", chart.name),
                        "sliceName": chart.name,
                        "width": chart.width,
                        "height": chart.height,
                    },
                }
    return position


def _rows(charts: tuple[Chart, ...]) -> list[list[Chart]]:
    """Charts side by side, as far as 12 columns go."""
    rows: list[list[Chart]] = [[]]
    for chart in charts:
        if sum(other.width for other in rows[-1]) + chart.width > 12:
            rows.append([])
        rows[-1].append(chart)
    return rows


def _filters() -> list[Json]:
    """A filter on time for all charts, and one for each column that holds a currency."""
    filters = [_filter("time", "Time", "filter_time", [{}], excluded=[])]
    for column in CURRENCY_COLUMNS:
        mart = next(chart.mart for chart in CHARTS if column in chart.by)
        target = {"column": {"name": column}, "datasetUuid": uuid_of("dataset", mart)}
        excluded = [number for number, chart in enumerate(CHARTS, 1) if column not in chart.by]
        label = "Currency" if column == "currency" else "Currency (FOCUS)"
        filters.append(_filter(column, label, "filter_select", [target], excluded=excluded))
    return filters


def _filter(key: str, label: str, kind: str, targets: list[Json], *, excluded: list[int]) -> Json:
    return {
        "id": f"NATIVE_FILTER-{key}",
        "type": "NATIVE_FILTER",
        "name": label,
        "filterType": kind,
        "targets": targets,
        "scope": {"rootPath": ["ROOT_ID"], "excluded": excluded},
        "controlValues": {"multiSelect": True, "enableEmptyFilter": False} if kind == "filter_select" else {},
        "defaultDataMask": {"extraFormData": {}, "filterState": {}, "ownState": {}},
        "cascadeParentIds": [],
        "description": "",
    }
