"""The page's charts: Vega-Lite specifications, drawn as SVG whose colours are the page's CSS variables.

So one drawing serves light, dark and print. Numbers become floats here only, as positions on the paper.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from decimal import Decimal
from typing import Any

import vl_convert
from markupsafe import Markup

from publish.figures.columns import words
from publish.figures.reading import Figure
from publish.figures.texts import credits_text, visible

WIDE, NARROW = 920, 340
"""Widths in pixels: of a screen or a sheet of paper, and of a phone."""

OUTSTANDING = 4
"""A day so many times as large as the next largest does not set the scale."""

_MOST_OUTSTANDING = 3
_NUMBER_AXIS = {"title": None, "format": "~s", "tickCount": 5, "ticks": False, "domain": False}
_SPARK_SCALE = {"paddingInner": 0.3, "paddingOuter": 0}
_ROOM = {WIDE: 1.15, NARROW: 1.5}
"""How much longer than its longest bar a chart is, for the figure at the end of that bar."""

_NAME = {WIDE: 30, NARROW: 14}
_FONT = "system-ui, sans-serif"
_CONFIG: dict[str, Any] = {
    "aria": False,
    "background": "transparent",
    "font": _FONT,
    "view": {"stroke": None},
    "axis": {
        "labelColor": "var(--soft)",
        "titleColor": "var(--soft)",
        "gridColor": "var(--line)",
        "domainColor": "var(--line)",
        "tickColor": "var(--line)",
        "labelFontSize": 12,
        "titleFontSize": 12,
        "titleFontWeight": "normal",
        "labelPadding": 6,
    },
}


def draw(spec: dict[str, Any]) -> Markup:
    """A specification as SVG to stand in the page.

    No rounded corners: Vega cuts them with clip paths, whose ids count on from one drawing to the next.
    """
    return Markup(vl_convert.vegalite_to_svg(json.dumps({**spec, "config": _CONFIG})))  # noqa: S704 - Vega escapes texts


def both(spec: Any) -> tuple[Markup, Markup]:
    """A chart for screens and paper, and for phones. `spec` makes a specification for a width."""
    return draw(spec(WIDE)), draw(spec(NARROW))


def months(records: Sequence[tuple[str, Decimal]], period: str) -> Markup:
    """The amounts of up to twelve months as small bars; the last stands out."""
    values = [{"month": month, "amount": float(amount), "this": month == period} for month, amount in records]
    return draw(
        {
            "width": {"step": 20},
            "height": 48,
            "padding": 0,
            "data": {"values": values},
            "mark": "bar",
            "encoding": {
                "x": {
                    "field": "month",
                    "type": "ordinal",
                    "axis": None,
                    "scale": {"paddingInner": 0.3, "paddingOuter": 0},
                },
                "y": {"field": "amount", "type": "quantitative", "axis": None},
                "color": {
                    "condition": {"test": "datum.this", "value": "var(--accent)"},
                    "value": "var(--before)",
                },
            },
        }
    )


def scale_top(values: Sequence[Decimal]) -> Decimal | None:
    """Where the scale has to end so that all but the outstanding values can be seen; None if no value stands out."""
    ordered = sorted((value for value in values if value > 0), reverse=True)
    for place in range(min(_MOST_OUTSTANDING, len(ordered) - 1), 0, -1):
        if ordered[place - 1] > OUTSTANDING * ordered[place]:
            return ordered[place] * Decimal("1.25")
    return None


def days(figure: Figure) -> tuple[tuple[Markup, Markup], bool]:
    """Credits of each day as bars, those of the month before as a line; and whether a day was cut off."""
    both_months = [
        value for record in figure.records for value in (record["credits"], record["previous_credits"]) if value
    ]
    top = scale_top(both_months)

    def spec(width: int) -> dict[str, Any]:
        values = [
            {
                "day": record["day_of_month"],
                "credits": None if record["credits"] is None else float(_cut(record["credits"], top)),
                "before": None if record["previous_credits"] is None else float(_cut(record["previous_credits"], top)),
                "label": _label(record["credits"], top) or _label(record["previous_credits"], top),
            }
            for record in figure.records
        ]
        scale = {"domain": [0, float(top)], "nice": False} if top else {}
        axis = {"title": None, "labelAngle": 0, "grid": False, "ticks": False}
        x = {
            "field": "day",
            "type": "ordinal",
            "axis": {**axis, "values": list(range(1, 32, 1 if width == WIDE else 5))},
        }
        y = {"field": "credits", "type": "quantitative", "scale": scale, "axis": _NUMBER_AXIS}
        return {
            "width": width,
            "height": 240,
            "autosize": {"type": "fit", "contains": "padding"},
            "data": {"values": values},
            "encoding": {"x": x},
            "layer": [
                {"mark": {"type": "bar", "color": "var(--accent)"}, "encoding": {"y": y}},
                # Below the line a broader one in the colour of the paper, so that it can be seen on the bars.
                *(
                    {
                        "mark": {"type": "line", "color": colour, "strokeWidth": broad, "interpolate": "step"},
                        "encoding": {"y": {**y, "field": "before"}},
                    }
                    for colour, broad in (("var(--paper)", 5), ("var(--before-line)", 2))
                ),
                {
                    "transform": [{"filter": "datum.label"}],
                    "mark": {"type": "text", "dy": -8, "fontSize": 12, "fontWeight": 600, "color": "var(--ink)"},
                    "encoding": {"text": {"field": "label"}, "y": {"datum": float(top or 0)}},
                },
            ],
        }

    return both(spec), top is not None


def projects(figure: Figure) -> tuple[Markup, Markup]:
    """The projects that used most as bars, all others together as the last one."""
    named = [
        (
            "no project" if record["external_project_id"] is None else str(record["external_project_id"]),
            record,
        )
        for record in figure.records
    ]

    def spec(width: int) -> dict[str, Any]:
        values = [
            {
                "order": order,
                "name": "all others" if record["place"] is None else visible(name, 200)[: _NAME[width]],
                "credits": float(record["credits"]),
                "text": credits_text(record["credits"]),
                "rest": record["place"] is None,
            }
            for order, (name, record) in enumerate(named)
        ]
        # Names may repeat once they are cut: the order is what tells bars apart.
        y = {
            "field": "order",
            "type": "ordinal",
            "axis": {
                "title": None,
                "ticks": False,
                "domain": False,
                "labelLimit": 0,
                # Fonts differ from one machine to the next: room for a broad one.
                "minExtent": 12 + 8 * max(len(str(value["name"])) for value in values),
                "labelExpr": _lookup([str(value["name"]) for value in values]),
            },
        }
        largest = max((float(record["credits"]) for _, record in named), default=0.0)
        return {
            "width": width,
            "height": {"step": 24},
            "autosize": {"type": "fit-x", "contains": "padding"},
            "data": {"values": values},
            "encoding": {
                "y": y,
                "x": {
                    "field": "credits",
                    "type": "quantitative",
                    "axis": None,
                    # Room for the figures at the ends of the bars.
                    "scale": {"domain": [0, largest * _ROOM[width] or 1], "nice": False},
                },
            },
            "layer": [
                {
                    "mark": {"type": "bar", "height": {"band": 0.7}},
                    "encoding": {
                        "color": {
                            "condition": {"test": "datum.rest", "value": "var(--before)"},
                            "value": "var(--accent)",
                        }
                    },
                },
                {
                    "mark": {"type": "text", "align": "left", "dx": 5, "fontSize": 12, "color": "var(--ink)"},
                    "encoding": {"text": {"field": "text"}},
                },
            ],
        }

    return both(spec)


STATES = {
    "ok_count": ("OK", "var(--good)"),
    "warning_count": ("near", "var(--near)"),
    "at_limit_count": ("at the limit", "var(--limit)"),
    "over_limit_count": ("over", "var(--bad)"),
    "uncapped_count": ("no limit", "var(--before)"),
    "not_measured_count": ("not measured", "var(--line)"),
}
"""The states of quotas that the chart shows, with their colours; users without a quota would cover all others."""


def quota_states(figure: Figure) -> tuple[Markup, Markup]:
    """Users by state of each quota, as shares of those who have one."""
    values = [
        {"quota": words(record["quota"]), "order": order, "place": place, "state": name, "users": record[name]}
        for order, record in enumerate(figure.records)
        for place, name in enumerate(STATES)
        if record[name]
    ]

    def spec(width: int) -> dict[str, Any]:
        return {
            "width": width,
            "height": {"step": 34},
            "autosize": {"type": "fit-x", "contains": "padding"},
            "data": {"values": values},
            "encoding": {
                "y": {
                    "field": "quota",
                    "type": "ordinal",
                    "sort": {"field": "order", "op": "min"},
                    "axis": {"title": None, "ticks": False, "domain": False, "minExtent": 100},
                },
                "x": {"field": "users", "type": "quantitative", "stack": "normalize", "axis": None},
                "order": {"field": "place"},
            },
            "layer": [
                {
                    "mark": {"type": "bar", "height": {"band": 0.7}},
                    "encoding": {
                        "color": {
                            "field": "state",
                            "type": "nominal",
                            "legend": None,
                            "scale": {"domain": list(STATES), "range": [colour for _, colour in STATES.values()]},
                        }
                    },
                }
            ],
        }

    return both(spec)


LEAST_STEPS = 2
"""Steps of a bridge that need no chart: ours and theirs."""


def bridge(figure: Figure) -> tuple[Markup, Markup]:
    """The steps from our credits to the vendor's: each bar begins where the one before ended, the last one at zero."""
    steps, reached = [], Decimal(0)
    for record in figure.records:
        begin = Decimal(0) if record["is_total"] else reached
        reached = record["credits"] if record["is_total"] else reached + record["credits"]
        if record["credits"]:
            steps.append((record, begin, reached))

    def spec(width: int) -> dict[str, Any]:
        values = [
            {
                "step": words(record["step"])[: _NAME[width] + 4],
                "from": float(begin),
                "to": float(end),
                "end": float(max(begin, end)),
                "text": credits_text(record["credits"]),
                "side": record["is_total"] or record["step_number"] == 1,
            }
            for record, begin, end in steps
        ]
        largest = max(value["end"] for value in values)
        return {
            "width": width,
            "height": {"step": 26},
            "autosize": {"type": "fit-x", "contains": "padding"},
            "data": {"values": values},
            "encoding": {
                "y": {
                    "field": "step",
                    "type": "ordinal",
                    "sort": None,
                    "axis": {
                        "title": None,
                        "ticks": False,
                        "domain": False,
                        "labelLimit": 0,
                        "minExtent": 12 + 8 * max(len(str(value["step"])) for value in values),
                    },
                },
            },
            "layer": [
                {
                    "mark": {"type": "bar", "height": {"band": 0.7}},
                    "encoding": {
                        "x": {
                            "field": "from",
                            "type": "quantitative",
                            "axis": None,
                            "scale": {"domainMax": largest * _ROOM[width] or 1, "nice": False},
                        },
                        "x2": {"field": "to"},
                        "color": {
                            "condition": {"test": "datum.side", "value": "var(--accent)"},
                            "value": "var(--before-line)",
                        },
                    },
                },
                {
                    "mark": {"type": "text", "align": "left", "dx": 5, "fontSize": 12, "color": "var(--ink)"},
                    "encoding": {"text": {"field": "text"}, "x": {"field": "end", "type": "quantitative"}},
                },
            ],
        }

    return both(spec)


def _cut(value: Decimal, top: Decimal | None) -> Decimal:
    """A value as high as the scale."""
    return value if top is None else min(value, top)


def _label(value: Decimal | None, top: Decimal | None) -> str | None:
    """What is written above a bar that is cut off."""
    return f"▲ {credits_text(value)}" if value is not None and top is not None and value > top else None


def _lookup(names: Sequence[str]) -> str:
    """A Vega expression that turns the number of a bar into its name."""
    return f"{json.dumps(list(names), ensure_ascii=False)}[datum.value]"
