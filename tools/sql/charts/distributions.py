"""Histograms, boxes and violins: how numbers are spread."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from ....knowledge.errors import InputError
from .columns import Columns
from .data import LINE, Axis, Plot, Sheet, bins, kept_series, place, sheet, time_axis, titles
from .spec import ChartSpec
from .words import number_text, time_edges, time_text

BOXES = 20
OUTLIERS = 50
"""Points drawn beyond the whiskers of one box."""
CURVE = 48
"""Values at which the density of a violin is computed."""
SAMPLE = 2_000
"""Values a density is computed from."""


def histogram(spec: ChartSpec, used: Columns) -> Plot:
    """How many rows fall into each range of a number or time."""
    x = used.along
    made = sheet(replace(used, ys=()))
    if not made.x:
        raise InputError("There is nothing to draw: no row has a value.", "Leave out rows without values.")
    edges: list[Any] = time_edges(min(made.x), max(made.x)) if x.times else bins(made.x)
    series = kept_series(made)
    counts: dict[tuple[int, str], int] = {}
    for value, c in zip(made.x, made.c, strict=True):
        at = (place(value, edges), c)
        counts[at] = counts.get(at, 0) + 1
    title, across, _ = titles(spec, used)

    marks = [
        {"x": edges[at], "x2": edges[at + 1], "y": counts[at, c], "c": c}
        for at in range(len(edges) - 1)
        for c in series
        if (at, c) in counts
    ]
    top = max(marks, key=lambda mark: mark["y"])
    said = [time_text(end, x.unit) if x.times else number_text(end) for end in (top["x"], top["x2"])]
    return Plot(
        "histogram",
        title,
        time_axis(across, made.x, x.unit) if x.times else Axis(across, "number"),
        Axis(spec.y_label or "rows", "number"),
        marks,
        f"Histogram, {title}: {len(made.x):,} {'values' if len(made.x) > 1 else 'value'}. Most, {top['y']:,}, from {said[0]} to {said[1]}.",
        color=Axis(used.color.title, "category", tuple(series)) if used.color else None,
        stacked=True,
        notes=made.notes,
    )


def boxes(spec: ChartSpec, used: Columns) -> Plot:
    """For each name a box from the first to the third quartile, whiskers to the last value within 1.5 times its height (Tukey 1977).

    Of violins also the density of the values (Gaussian kernel, Scott's bandwidth).
    """
    made = sheet(replace(used, color=None), named=BOXES)
    if not made.y:
        raise InputError("There is nothing to draw: no row has all the values.", "Leave out rows without values.")
    groups: dict[str, list[float]] = {}
    for name, c, value in zip(made.x, made.c, made.y, strict=True):
        groups.setdefault(name or c, []).append(value)
    names = _shown(groups, made)
    marks = [_box(name, sorted(groups[name]), spec.chart_type == "violin") for name in names]
    if any(mark["more"] for mark in marks):
        made.notes.append(f"At most {OUTLIERS} outliers of each are drawn.")
    title, across, up = titles(spec, used)
    high, low = max(marks, key=lambda mark: mark["median"]), min(marks, key=lambda mark: mark["median"])
    plural = {"box": "boxes", "violin": "violins"}[spec.chart_type]
    said = f"Highest median {number_text(high['median'])}" + (f" at {high['x']}" if high["x"] else "")
    if low is not high:
        said += f", lowest {number_text(low['median'])} at {low['x']}"
    return Plot(
        "violin" if spec.chart_type == "violin" else "box",
        title,
        Axis(across, "category", tuple(names)),
        Axis(up, "number"),
        marks,
        f"{spec.chart_type.capitalize()} plot, {title}: {len(names)} {plural if len(names) > 1 else spec.chart_type}. {said}.",
        lying=spec.orientation == "h" if spec.orientation else sum(len(name) + 2 for name in names) > LINE,
        notes=made.notes,
    )


def _shown(groups: Mapping[str, Sequence[float]], made: Sheet) -> list[str]:
    names = [name for name in made.order if name in groups]
    if not names:
        middle = {name: sorted(values)[len(values) // 2] for name, values in groups.items()}
        names = sorted(groups, key=lambda name: -middle[name])
    if len(names) > BOXES:
        largest = set(sorted(names, key=lambda name: -len(groups[name]))[:BOXES])
        made.notes.append(f"The {BOXES} with the most rows of {len(names):,} are shown.")
        names = [name for name in names if name in largest]
    return names


def _box(name: str, values: Sequence[float], curved: bool) -> dict[str, Any]:
    q1, median, q3 = (_quantile(values, share) for share in (0.25, 0.5, 0.75))
    reach = 1.5 * (q3 - q1)
    inside = [value for value in values if q1 - reach <= value <= q3 + reach]
    outside = [value for value in values if not q1 - reach <= value <= q3 + reach]
    some = outside if len(outside) <= OUTLIERS else outside[: OUTLIERS // 2] + outside[-OUTLIERS // 2 :]
    box = {"x": name, "low": inside[0], "q1": q1, "median": median, "q3": q3, "high": inside[-1]}
    if curved:
        return box | {"outliers": [], "more": False, "curve": _density(values), "rows": len(values)}
    return box | {"outliers": some, "more": len(some) < len(outside), "rows": len(values)}


def _quantile(values: Sequence[float], share: float) -> float:
    at = share * (len(values) - 1)
    low = int(at)
    high = min(low + 1, len(values) - 1)
    return values[low] + (values[high] - values[low]) * (at - low)


def _density(values: Sequence[float]) -> list[tuple[float, float]]:
    """Pairs of a value and how dense the values are there, 1 at the densest; none when they are all the same."""
    import numpy as np

    if values[0] == values[-1]:
        return []
    known = np.asarray(values[:: -(-len(values) // SAMPLE)], dtype=float)
    low, high = values[0], values[-1]
    width = float(known.std()) * len(known) ** -0.2 or (high - low) / 10
    grid = np.linspace(low, high, CURVE)
    heights = np.exp(-0.5 * ((grid[:, None] - known[None, :]) / width) ** 2).sum(axis=1)
    heights /= heights.max() or 1.0
    return list(zip(grid.tolist(), heights.tolist(), strict=True))
