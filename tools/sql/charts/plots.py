"""From a result and a spec to a plot, by the type of the chart."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from .choosing import PLAIN, completed
from .columns import Columns
from .data import Plot
from .distributions import boxes, histogram
from .series import bars, lines, points
from .shares import funnel, heatmap, pie
from .spec import ChartSpec

if TYPE_CHECKING:
    from ..results import QueryResult

DRAWING: dict[str, Callable[[ChartSpec, Columns], Plot]] = {
    "bar": bars,
    "line": lines,
    "scatter": points,
    "pie": pie,
    "histogram": histogram,
    "box": boxes,
    "area": lines,
    "heatmap": heatmap,
    "violin": boxes,
    "funnel": funnel,
}


def plot(result: QueryResult, spec: ChartSpec) -> Plot:
    """The marks of a chart of a result.

    :raises UnknownNameError: the result has no such column.
    :raises InputError: these columns cannot be drawn that way.
    """
    spec, used = completed(result, spec)
    made = DRAWING[spec.chart_type](spec, used)
    if used.color and spec.chart_type in PLAIN:
        made.notes.append(f"“{used.color.title}” is not shown: a {spec.chart_type} has no series.")
    if result.truncated:
        made.notes.append(f"Only the first {len(result.rows):,} rows of the result are in it.")
    return made
