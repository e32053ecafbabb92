"""Bars, lines, areas and points: numbers along an x axis."""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from ....knowledge.errors import InputError
from .columns import Columns, Field
from .data import (
    BUCKETS,
    DATES,
    LINE,
    NAMES,
    POINTS,
    Axis,
    Plot,
    Sheet,
    kept_names,
    kept_series,
    sheet,
    time_axis,
    titles,
    together,
)
from .spec import ChartSpec
from .words import number_text, time_text

GROUPED = 36
"""Bars that may stand side by side; more are stacked."""


def bars(spec: ChartSpec, used: Columns) -> Plot:
    """A bar for each name, side by side or stacked for series."""
    x = used.along
    most = DATES if x.times else NAMES
    made = _some(sheet(used, named=most))
    series = kept_series(made)
    names = kept_names(made, most)
    values = made.combined()
    title, across, up = titles(spec, used)
    upright = x.times or x.role == "ordinal" or (len(names) <= 12 and sum(len(name) + 2 for name in names) <= LINE)
    stacked = len(series) > 1 and len(names) * len(series) > GROUPED and min(values.values()) >= 0
    marks = [{"x": name, "y": values[name, c], "c": c} for name in names for c in series if (name, c) in values]
    return Plot(
        "bar",
        title,
        Axis(across, "category", tuple(names)),
        Axis(up, "number"),
        marks,
        f"Bar chart, {title}: {len(names)} {'bars' if len(names) > 1 else 'bar'}. {extremes(marks, lambda mark: mark['x'])}",
        color=_colors(used, series),
        lying=spec.orientation == "h" if spec.orientation else not upright,
        stacked=stacked,
        notes=made.notes,
    )


def lines(spec: ChartSpec, used: Columns) -> Plot:
    """A line or an area for each series, in the order of x."""
    x = used.along
    made = _some(sheet(used))
    series = kept_series(made)
    title, across, up = titles(spec, used)
    if x.times or x.numeric:
        along = sorted(set(made.x))
        axis = time_axis(across, along, x.unit) if x.times else Axis(across, "number")
    else:
        along = made.order or list(dict.fromkeys(made.x))[:DATES]
        if len(made.order or set(made.x)) > len(along):
            made.notes.append(f"The first {len(along)} of {len(set(made.x)):,} names are shown.")
        axis = Axis(across, "category", tuple(along))
    values = made.combined()
    stacked = spec.chart_type == "area" and len(series) > 1 and min(values.values()) >= 0
    if stacked:  # a gap in one series would let those above it fall
        values = {(at, c): values.get((at, c), 0.0) for at in along for c in series}
    marks = _thinned(values, along, series, stacked, made)
    return Plot(
        "area" if spec.chart_type == "area" else "line",
        title,
        axis,
        Axis(up, "number"),
        marks,
        f"{spec.chart_type.capitalize()} chart, {title}: {len(series)} {'series' if len(series) > 1 else spec.chart_type} "
        f"from {_said(along[0], x)} to {_said(along[-1], x)}. {extremes(marks, lambda mark: _said(mark['x'], x))}",
        color=_colors(used, series),
        stacked=stacked,
        notes=made.notes,
    )


def points(spec: ChartSpec, used: Columns) -> Plot:
    """A point for each row."""
    x = used.along
    made = _some(sheet(used))
    series = kept_series(made)
    names = [] if x.times or x.numeric else kept_names(made, NAMES)
    rows = list(zip(made.x, made.y, made.c, strict=True))
    total = len(rows)
    if total > POINTS:  # the same ones each time
        rows = [rows[at] for at in sorted(random.Random(0).sample(range(total), POINTS))]  # noqa: S311  # a sample, no secret
        made.notes.append(f"A random sample of {POINTS:,} of {total:,} points is shown.")
    title, across, up = titles(spec, used)
    if x.times:
        axis = time_axis(across, [row[0] for row in rows], x.unit)
    else:
        axis = Axis(across, "category" if names else "number", tuple(names))
    marks = [{"x": at, "y": value, "c": c} for at, value, c in rows]
    return Plot(
        "scatter",
        title,
        axis,
        Axis(up, "number"),
        marks,
        f"Scatter plot, {title}: {total:,} {'points' if total > 1 else 'point'}. {extremes(marks, lambda mark: _said(mark['x'], x))}",
        color=_colors(used, series),
        notes=made.notes,
    )


def _some(made: Sheet) -> Sheet:
    if not made.x:
        raise InputError("There is nothing to draw: no row has all the values.", "Leave out rows without values.")
    return made


def _colors(used: Columns, series: Sequence[str]) -> Axis | None:
    if used.color:
        return Axis(used.color.title, "category", tuple(series))
    return Axis("", "category", tuple(series)) if len(series) > 1 else None


def _thinned(
    values: Mapping[tuple[Any, str], float], along: Sequence[Any], series: Sequence[str], stacked: bool, made: Sheet
) -> list[dict[str, Any]]:
    """The marks of lines; where they would be closer than can be seen, the lowest and highest of each stretch, or its mean when stacked."""
    if len(along) <= 2 * BUCKETS:
        return [{"x": at, "y": values[at, c], "c": c} for c in series for at in along if (at, c) in values]
    what = "mean" if stacked else "lowest and highest value"
    made.notes.append(f"Of {len(along):,} places along the axis, the {what} of each of {BUCKETS} stretches is drawn.")
    size = -(-len(along) // BUCKETS)
    marks = []
    for c in series:
        for start in range(0, len(along), size):
            stretch = [(at, values[at, c]) for at in along[start : start + size] if (at, c) in values]
            if stacked and stretch:
                kept = [(stretch[0][0], together([value for _, value in stretch], additive=False))]
            else:
                kept = sorted({min(stretch, key=_second), max(stretch, key=_second)}) if stretch else []
            marks += [{"x": at, "y": value, "c": c} for at, value in kept]
    return marks


def _second(pair: tuple[Any, float]) -> float:
    return pair[1]


def _said(at: Any, x: Field) -> str:
    if isinstance(at, datetime):
        return time_text(at, x.unit)
    return number_text(at) if isinstance(at, float) else str(at)


def extremes(marks: Sequence[dict[str, Any]], where: Any) -> str:
    """The highest and the lowest mark in words."""
    high, low = max(marks, key=lambda mark: mark["y"]), min(marks, key=lambda mark: mark["y"])

    def said(mark: dict[str, Any]) -> str:
        return f"{number_text(mark['y'])} at {where(mark)}" + (f" ({mark['c']})" if mark.get("c") else "")

    return f"Highest {said(high)}." if high is low else f"Highest {said(high)}, lowest {said(low)}."
