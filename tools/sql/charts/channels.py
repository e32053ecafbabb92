"""The channels of Vega-Lite that every type of chart shares: names, times, numbers and colours."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from .data import LINE, OTHER, Axis
from .words import time_format

COLORS = ("#0072B2", "#E69F00", "#009E73", "#D55E00", "#CC79A7", "#56B4E9", "#4D4D4D", "#B8A000")
"""Told apart with any kind of colour vision (Okabe and Ito 2008; its yellow darkened and its black lightened for white paper)."""
GREY = "#A0A0A0"
"""Of what is put together as `OTHER`."""
WIDTH, HEIGHT = 640, 360
LABEL_PIXELS = 200


def milliseconds(when: datetime) -> int:
    """Since 1970, as JavaScript counts."""
    since = when - datetime(1970, 1, 1)
    return (since.days * 86_400 + since.seconds) * 1_000 + since.microseconds // 1_000


def size(names: int, lying: bool, each: int = 22) -> dict[str, Any]:
    """How large a chart of so many names is, in points.

    :param each: Of one name, when they stand below one another.
    """
    if lying:
        return {"width": WIDTH, "height": min(1200, max(60, names * each))}
    return {"width": min(WIDTH, max(240, names * max(80, 2 * each))), "height": HEIGHT}


def turned(encoding: Mapping[str, Any], lying: bool) -> dict[str, Any]:
    """The channels with x and y swapped for what lies."""
    if not lying:
        return dict(encoding)
    turn = {"x": "y", "y": "x", "x2": "y2", "y2": "x2", "xOffset": "yOffset"}
    return {turn.get(channel, channel): value for channel, value in encoding.items()}


def along(axis: Axis, lying: bool) -> dict[str, Any]:
    """The channel `x` of names or times."""
    if axis.kind == "number":
        return {
            "field": "x",
            "type": "quantitative",
            "title": axis.title,
            "scale": {"zero": False, "nice": False},
            "axis": {"grid": False},
        }
    if axis.kind == "time":
        marks = {
            "values": [milliseconds(tick) for tick in axis.ticks],
            "format": time_format(axis.unit, alone=axis.dated),
        }
        shown = marks | {"grid": False, "labelOverlap": True}
        return {"field": "x", "type": "temporal", "title": axis.title, "scale": {"type": "utc"}, "axis": shown}
    crowded = not lying and sum(len(name) + 2 for name in axis.names) > LINE
    padding = {"paddingInner": 0.25, "paddingOuter": 0.15 if len(axis.names) > 2 else 0.6}
    turned = {"labelAngle": -45 if len(axis.names) <= 20 else -90, "labelLimit": 140} if crowded else {"labelAngle": 0}
    return {
        "field": "x",
        "type": "nominal",
        "title": axis.title or None,
        "sort": None,
        "scale": {"domain": list(axis.names), **padding},
        "axis": {**turned, "ticks": False, "labelPadding": 6, "labelOverlap": len(axis.names) > 40},
    }


def number(
    axis: Axis, marks: Sequence[Mapping[str, Any]], key: str, *, zero: bool = False, stack: bool = False
) -> dict[str, Any]:
    """The channel `key` of numbers."""
    values = [mark[key] for mark in marks]
    shown: dict[str, Any] = {"labelExpr": expression(values), "tickCount": 6}
    if all(float(value).is_integer() for value in values):  # no marks between whole numbers
        shown["tickCount"] = int(max(1, min(6, max(values) - (0 if zero else min(values)))))
    scale = {"zero": zero, "nice": True}
    return {
        "field": key,
        "type": "quantitative",
        "title": axis.title,
        "scale": scale,
        "stack": stack or None,
        "axis": shown,
    }


def expression(values: Sequence[float]) -> str:
    """How Vega writes the numbers of an axis, as `number_text` does: with as many digits as tell its marks apart."""
    low, high = min(values), max(values)
    step, most = (high - low) / 8, max(abs(low), abs(high))
    digits = min(15, max(3, math.ceil(math.log10(most / step)) + 1)) if 0 < step < most else 3
    if digits > 4 and most < 1e15:  # `1.00001M` is no easier to read than `1,000,010`
        return "format(datum.value, ',.15~g')"
    return (
        f"abs(datum.value) >= 1e15 || (datum.value != 0 && abs(datum.value) < 1e-4) ? format(datum.value, '.{digits}~g') : "
        f"abs(datum.value) >= 1e4 ? replace(format(datum.value, '.{digits}~s'), 'G', 'B') : format(datum.value, ',.{digits + 3}~g')"
    )


def from_zero(marks: Sequence[Mapping[str, Any]]) -> bool:
    """Whether an axis that need not start at zero loses little by doing so."""
    values = [mark["y"] for mark in marks]
    return bool(0 <= min(values) <= 0.5 * max(values))


def colors(axis: Axis) -> dict[str, Any]:
    """The channel `color` of series."""
    names = list(axis.names)
    colors = [GREY if name == OTHER else COLORS[at % len(COLORS)] for at, name in enumerate(names)]
    return {
        "field": "c",
        "type": "nominal",
        "sort": None,
        "scale": {"domain": names, "range": colors},
        "legend": {"title": axis.title or None} if len(names) > 1 else None,
    }
