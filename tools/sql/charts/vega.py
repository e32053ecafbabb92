"""A plot as Vega-Lite (version 6), which draws without reaching for anything: its data is inside.

Fields have names of our own (`x`, `y`, `c`, …), scales have explicit domains and every expression is a constant of this module; what comes
from a database is only ever a value, so there is nothing in it to escape from.
"""

from __future__ import annotations

import textwrap
from collections.abc import Mapping
from datetime import datetime
from typing import TYPE_CHECKING, Any

from .channels import (
    COLORS,
    GREY,
    HEIGHT,
    LABEL_PIXELS,
    WIDTH,
    along,
    colors,
    expression,
    from_zero,
    milliseconds,
    number,
    size,
    turned,
)
from .data import OTHER, Plot, round_up
from .plots import plot
from .spec import ChartSpec
from .words import number_text

if TYPE_CHECKING:
    from ..results import QueryResult

_CONFIG: dict[str, Any] = {
    "background": "white",
    "padding": 12,
    "aria": False,
    "view": {"stroke": None},
    "axis": {
        "labelFontSize": 12, "titleFontSize": 12, "titleFontWeight": "normal", "labelColor": "#333333", "titleColor": "#555555",
        "gridColor": "#E5E5E5", "domainColor": "#888888", "tickColor": "#888888", "titlePadding": 8, "labelLimit": LABEL_PIXELS,
    },
    "legend": {"labelFontSize": 12, "titleFontSize": 12, "titleFontWeight": "normal", "labelLimit": LABEL_PIXELS, "symbolOpacity": 1},
    "title": {
        "anchor": "start", "frame": "group", "fontSize": 16, "fontWeight": "bold", "color": "#222222", "offset": 14,
        "subtitleFontSize": 12, "subtitleColor": "#666666", "subtitlePadding": 6,
    },
}  # fmt: skip


def vega_lite(result: QueryResult, spec: ChartSpec) -> dict[str, Any]:
    """A chart of a result as a Vega-Lite specification with its data inside.

    :raises UnknownNameError: the result has no such column.
    :raises InputError: these columns cannot be drawn that way.
    """
    return drawing(plot(result, spec))


def drawing(made: Plot) -> dict[str, Any]:
    """A plot as a Vega-Lite specification."""
    layers, extent = _DRAWN[made.type](made)
    return {
        "$schema": "https://vega.github.io/schema/vega-lite/v6.json",
        "description": made.alt,
        "title": {
            "text": textwrap.wrap(made.title, 72) or "",
            "subtitle": [line for note in made.notes for line in textwrap.wrap(note, 96)],
        },
        "data": {"values": [_plain(mark) for mark in made.marks]},
        **extent,
        "layer": layers,
        "config": _CONFIG,
    }


def _plain(mark: Mapping[str, Any]) -> dict[str, Any]:
    return {key: milliseconds(value) if isinstance(value, datetime) else value for key, value in mark.items()}


def _bars(made: Plot) -> tuple[list[dict[str, Any]], dict[str, Any]]:
    names, series = made.x.names, made.color.names if made.color else ()
    grouped = len(series) > 1 and not made.stacked
    encoding = {"x": along(made.x, made.lying), "y": number(made.y, made.marks, "y", zero=True, stack=made.stacked)}
    if made.color:
        encoding["color"] = colors(made.color)
    if grouped:
        encoding["xOffset"] = {"field": "c", "type": "nominal", "sort": None, "scale": {"domain": list(series)}}
    layers = [{"mark": {"type": "bar", "color": COLORS[0]}, "encoding": turned(encoding, made.lying)}]
    if len(series) < 2 and len(names) <= (30 if made.lying else 12) and min(mark["y"] for mark in made.marks) >= 0:
        for mark in made.marks:
            mark["t"] = number_text(mark["y"])
        beside = {"align": "left", "baseline": "middle", "dx": 4} if made.lying else {"baseline": "bottom", "dy": -3}
        plain = {key: value for key, value in encoding.items() if key in ("x", "y")} | {
            "text": {"field": "t", "type": "nominal"}
        }
        text = {"type": "text", "fontSize": 11, "color": "#333333", **beside}
        layers.append({"mark": text, "encoding": turned(plain, made.lying)})
    return layers, size(len(names), made.lying, each=8 + 9 * len(series) if grouped else 22)


def _lines(made: Plot) -> tuple[list[dict[str, Any]], dict[str, Any]]:
    area = made.type == "area"
    encoding = {
        "x": along(made.x, False),
        "y": number(made.y, made.marks, "y", zero=area or from_zero(made.marks), stack=made.stacked),
    }
    if made.color:
        encoding["color"] = colors(made.color)
    most = len(made.marks) / max(1, len(made.color.names) if made.color else 1)
    # One place makes no line; a few read better with their points.
    point: Any = (
        {"size": 40, "filled": True} | ({} if made.color else {"color": COLORS[0]})
        if most <= 40 and not made.stacked
        else most < 2
    )
    mark: dict[str, Any] = {"type": "line", "strokeWidth": 2, "point": point, "color": COLORS[0]}
    if area:
        mark = {"type": "area", "line": not made.stacked, "point": point, "color": COLORS[0]}
        mark["fillOpacity"] = 0.85 if made.stacked else 0.3
    return [{"mark": mark, "encoding": encoding}], size(len(made.x.names) or 99, False)


def _points(made: Plot) -> tuple[list[dict[str, Any]], dict[str, Any]]:
    encoding = {
        "x": along(made.x, False) if made.x.kind != "number" else number(made.x, made.marks, "x"),
        "y": number(made.y, made.marks, "y"),
    }
    if made.color:
        encoding["color"] = colors(made.color)
    opacity = 0.8 if len(made.marks) <= 100 else 0.5 if len(made.marks) <= 500 else 0.3
    mark = {"type": "point", "filled": True, "size": 45, "opacity": opacity, "color": COLORS[0]}
    return [{"mark": mark, "encoding": encoding}], size(99, False)


def _pie(made: Plot) -> tuple[list[dict[str, Any]], dict[str, Any]]:
    names = []
    for at, mark in enumerate(made.marks):
        share = f"{mark['share']:.0%}" if mark["share"] >= 0.01 else "under 1%"
        mark |= {"i": at, "t": share if mark["share"] >= 0.04 else "", "n": f"{mark['x']}  {share}"}
        names.append(mark["n"])
    paints = [GREY if mark["x"] == OTHER else COLORS[at % len(COLORS)] for at, mark in enumerate(made.marks)]
    encoding = {
        "theta": {"field": "y", "type": "quantitative", "stack": True},
        "order": {"field": "i", "type": "quantitative"},
        "color": {
            "field": "n", "type": "nominal", "sort": None, "scale": {"domain": names, "range": paints},
            "legend": {"title": made.x.title, "labelLimit": 2 * LABEL_PIXELS},
        },
    }  # fmt: skip
    text = {key: value for key, value in encoding.items() if key != "color"} | {
        "text": {"field": "t", "type": "nominal"}
    }
    return [
        {"mark": {"type": "arc", "outerRadius": 140, "stroke": "white"}, "encoding": encoding},
        {"mark": {"type": "text", "radius": 160, "fontSize": 12, "color": "#333333"}, "encoding": text},
    ], {"width": 360, "height": HEIGHT}


def _funnel(made: Plot) -> tuple[list[dict[str, Any]], dict[str, Any]]:
    for mark in made.marks:
        mark |= {
            "from": -mark["y"] / 2,
            "to": mark["y"] / 2,
            "zero": 0,
            "t": f"{number_text(mark['y'])}  ({mark['share']:.0%})",
        }
    y = along(made.x, True)
    y["axis"] |= {"domain": False}
    x: dict[str, Any] = {"field": "from", "type": "quantitative", "axis": None}
    text = {"y": y, "x": x | {"field": "zero"}, "text": {"field": "t", "type": "nominal"}}
    return [
        {"mark": {"type": "bar", "color": "#9CCBE8"}, "encoding": {"y": y, "x": x, "x2": {"field": "to"}}},
        {"mark": {"type": "text", "fontSize": 12, "color": "#222222"}, "encoding": text},
    ], size(len(made.x.names), True, each=38)


def _heatmap(made: Plot) -> tuple[list[dict[str, Any]], dict[str, Any]]:
    values = [mark["v"] for mark in made.marks]
    low, high = min(values), max(values)
    scale: dict[str, Any] = {"scheme": "blues"} | ({"domain": [low - 1, high]} if low == high else {})
    if low < 0 < high:
        most = round_up(max(-low, high))
        scale = {"scheme": "blueorange", "domain": [-most, most], "reverse": True}
    columns, rows = len(made.x.names), len(made.y.names)
    color: dict[str, Any] = {
        "field": "v",
        "type": "quantitative",
        "title": made.color.title if made.color else "",
        "scale": scale,
    }
    color["legend"] = {"labelExpr": expression(values)} if low < high else None
    x, y = along(made.x, False), along(made.y, True) | {"field": "y"}
    for side, axis in ((x, made.x), (y, made.y)):
        side["scale"] = {"domain": list(axis.names), "padding": 0.02}
    width = min(WIDTH, max(160, columns * 64))
    layers: list[dict[str, Any]] = [{"mark": "rect", "encoding": {"x": x, "y": y, "color": color}}]
    if width / columns >= 40:
        for mark in made.marks:
            dark = abs(mark["v"]) > 0.6 * max(-low, high) if low < 0 < high else mark["v"] >= low + 0.55 * (high - low)
            mark |= {"t": number_text(mark["v"]), "dark": dark}
        ink = {"condition": {"test": "datum.dark", "value": "white"}, "value": "#222222"}
        text = {"x": x, "y": y, "text": {"field": "t", "type": "nominal"}, "color": ink}
        layers.append({"mark": {"type": "text", "fontSize": 11}, "encoding": text})
    return layers, {"width": width, "height": min(900, max(60, rows * (24 if rows <= 20 else 16)))}


def _histogram(made: Plot) -> tuple[list[dict[str, Any]], dict[str, Any]]:
    top: dict[Any, float] = {}
    for mark in made.marks:
        mark["from"] = top.get(mark["x"], 0)
        top[mark["x"]] = mark["to"] = mark["from"] + mark["y"]
    x = along(made.x, False) if made.x.kind == "time" else number(made.x, made.marks, "x")
    encoding = {
        "x": x,
        "x2": {"field": "x2"},
        "y": number(made.y, made.marks, "to", zero=True),
        "y2": {"field": "from"},
    }
    if made.color:
        encoding["color"] = colors(made.color)
    mark = {"type": "rect", "color": COLORS[0], "stroke": "white", "strokeWidth": 1}
    return [{"mark": mark, "encoding": encoding}], size(99, False)


def _boxes(made: Plot) -> tuple[list[dict[str, Any]], dict[str, Any]]:
    x = along(made.x, made.lying)
    zero = from_zero([{"y": mark["low"]} for mark in made.marks] + [{"y": mark["high"]} for mark in made.marks])
    ends = [{"low": end} for mark in made.marks for end in (mark["low"], mark["high"], *mark["outliers"])]
    y = number(made.y, ends, "low", zero=zero)
    points = [{"x": mark["x"], "low": value} for mark in made.marks for value in mark["outliers"]]
    thick = max(8, min(40, (WIDTH if not made.lying else 400) // (2 * len(made.marks))))
    parts: list[tuple[dict[str, Any], dict[str, Any]]] = [
        ({"type": "rule", "color": "#333333"}, {"x": x, "y": y, "y2": {"field": "high"}}),
        ({"type": "bar", "size": thick, "color": "#9CCBE8", "stroke": "#333333"}, {"x": x, "y": y | {"field": "q1"}, "y2": {"field": "q3"}}),
        ({"type": "tick", "size": thick, "thickness": 2, "color": "#222222", "orient": "vertical" if made.lying else "horizontal"},
         {"x": x, "y": y | {"field": "median"}}),
    ]  # fmt: skip
    layers = [{"mark": mark, "encoding": turned(encoding, made.lying)} for mark, encoding in parts]
    if points:
        mark = {"type": "point", "size": 16, "opacity": 0.6, "color": COLORS[0]}
        layers.append({"data": {"values": points}, "mark": mark, "encoding": turned({"x": x, "y": y}, made.lying)})
    return layers, size(len(made.x.names), made.lying, each=34)


def _violins(made: Plot) -> tuple[list[dict[str, Any]], dict[str, Any]]:
    count = len(made.marks)
    extent = size(count, made.lying, each=48)
    outline, middles = [], []
    for at, mark in enumerate(made.marks):
        outline += [
            {"c": at, "y": value, "x": at - 0.45 * density, "x2": at + 0.45 * density}
            for value, density in mark["curve"]
        ]
        middles.append({"x": at, "y": mark["median"], "q1": mark["q1"], "q3": mark["q3"], "t": mark["x"]})
    x = {
        "field": "x", "type": "quantitative", "title": made.x.title or None,
        "scale": {"domain": [-0.5, count - 0.5], "nice": False, "zero": False, "reverse": made.lying},
        "axis": {"labels": False, "ticks": False, "grid": False, "titlePadding": 26 if not made.lying else 12 + 6 * min(30, max(len(name) for name in made.x.names))},
    }  # fmt: skip
    y = number(
        made.y,
        [
            {"y": end}
            for mark in made.marks
            for end in (mark["low"], mark["high"], *(pair[0] for pair in mark["curve"]))
        ],
        "y",
    )
    turn = made.lying
    name: dict[str, Any] = {"type": "text", "fontSize": 12, "color": "#333333", "limit": LABEL_PIXELS}
    name |= (
        {"align": "right", "baseline": "middle", "dx": -8, "x": 0}
        if turn
        else {"baseline": "top", "dy": 8, "y": extent["height"]}
    )
    named = {"y" if turn else "x": x, "text": {"field": "t", "type": "nominal"}}
    shape = {
        "type": "area",
        "orient": "vertical" if turn else "horizontal",
        "color": "#9CCBE8",
        "stroke": COLORS[0],
        "strokeWidth": 1,
    }
    layers: list[dict[str, Any]] = [
        {"data": {"values": outline}, "mark": shape, "encoding": turned({"x": x, "x2": {"field": "x2"}, "y": y, "detail": {"field": "c", "type": "nominal"}}, turn)},
        {"data": {"values": middles}, "mark": {"type": "rule", "strokeWidth": 4, "color": "#333333"},
         "encoding": turned({"x": x, "y": y | {"field": "q1"}, "y2": {"field": "q3"}}, turn)},
        {"data": {"values": middles}, "mark": {"type": "point", "filled": True, "opacity": 1, "size": 50, "color": "white", "stroke": "#333333"},
         "encoding": turned({"x": x, "y": y}, turn)},
        {"data": {"values": middles}, "mark": name, "encoding": named},
    ]  # fmt: skip
    return layers, extent


_DRAWN = {
    "bar": _bars,
    "line": _lines,
    "area": _lines,
    "scatter": _points,
    "pie": _pie,
    "funnel": _funnel,
    "heatmap": _heatmap,
    "histogram": _histogram,
    "box": _boxes,
    "violin": _violins,
}
