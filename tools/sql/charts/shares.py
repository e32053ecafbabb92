"""Pies, funnels and heatmaps: parts of a whole, and a number for each pair of names."""

from __future__ import annotations

from dataclasses import replace

from ....knowledge.errors import InputError
from .columns import Columns, Field
from .data import Axis, Plot, Sheet, kept_names, names_of, repeated, sheet, titles, together
from .series import extremes
from .spec import ChartSpec
from .words import number_text

SLICES = 8
STAGES = 15
CELLS = 40
"""Names along each side of a heatmap."""


def pie(spec: ChartSpec, used: Columns) -> Plot:
    """A slice for each name, largest first."""
    made = _positive(sheet(replace(used, color=None), named=SLICES, added=True), "pie", "bar")
    names = kept_names(made, SLICES)
    values = {name: value for (name, _), value in made.combined().items()}
    names = [name for name in names if values[name] > 0]
    whole = sum(values.values())
    title, across, up = titles(spec, used)
    marks = [{"x": name, "y": values[name], "share": values[name] / whole} for name in names]
    said = ", ".join(f"{mark['x']} {mark['share']:.0%}" for mark in marks)
    return Plot(
        "pie",
        title,
        Axis(across, "category", tuple(names)),
        Axis(up, "number"),
        marks,
        f"Pie chart, {title}: {said}.",
        notes=made.notes,
    )


def funnel(spec: ChartSpec, used: Columns) -> Plot:
    """A bar for each stage, in the order of the result, each with its share of the first."""
    made = _positive(sheet(replace(used, color=None), named=len(used.along.raw), added=True), "funnel", "bar")
    values = {name: value for (name, _), value in made.combined().items()}
    names = list(values)[:STAGES]
    if len(values) > STAGES:
        made.notes.append(f"The first {STAGES} of {len(values):,} stages are shown.")
    first = values[names[0]] or 1.0
    title, across, up = titles(spec, used)
    marks = [{"x": name, "y": values[name], "share": values[name] / first} for name in names]
    said = ", ".join(f"{mark['x']} {number_text(mark['y'])} ({mark['share']:.0%})" for mark in marks)
    return Plot(
        "funnel",
        title,
        Axis(across, "category", tuple(names)),
        Axis(up, "number"),
        marks,
        f"Funnel chart, {title}: {said}.",
        lying=True,
        notes=made.notes,
    )


def _positive(made: Sheet, kind: str, instead: str) -> Sheet:
    if not made.y or max(made.y) <= 0 or min(made.y) < 0:
        raise InputError(
            f"A {kind} shows parts of a whole, and these numbers are not all positive.", f"Ask for a {instead} chart."
        )
    return made


def heatmap(spec: ChartSpec, used: Columns) -> Plot:
    """A coloured cell for each pair of names; without a number, for how many rows have it."""
    notes: list[str] = []
    value, x, y = used.color, used.along, used.ys[0]
    numbers: list[float | None] = value.numbers if value else [1.0] * len(x.raw)
    additive = value is None or value.additive
    across, x_names = _side(x, numbers, notes)
    up, y_names = _side(y, numbers, notes)
    groups: dict[tuple[str, str], list[float]] = {}
    for one, other, number in zip(across, up, numbers, strict=True):
        if one in x_names and other in y_names and number is not None:
            groups.setdefault((one or "", other or ""), []).append(number)
    if not groups:
        raise InputError("There is nothing to draw: no row has all the values.", "Leave out rows without values.")
    if value and max(map(len, groups.values())) > 1:
        notes.append(repeated(f"{x.title} and {y.title}", additive))
    title, x_title, y_title = titles(spec, used)
    marks = [{"x": one, "y": other, "v": together(found, additive)} for (one, other), found in groups.items()]
    said = extremes([{"x": f"{mark['x']}, {mark['y']}", "y": mark["v"]} for mark in marks], lambda mark: mark["x"])
    return Plot(
        "heatmap",
        title,
        Axis(x_title, "category", tuple(x_names)),
        Axis(y_title, "category", tuple(y_names)),
        marks,
        f"Heatmap, {title}: {len(x_names)} by {len(y_names)} cells. {said}",
        color=Axis(value.title if value else "rows", "number"),
        notes=notes,
    )


def _side(column: Field, numbers: list[float | None], notes: list[str]) -> tuple[list[str | None], list[str]]:
    """The names along one side, a row each, and those that are shown, in order."""
    names, ranked = names_of(column, CELLS, notes)
    size: dict[str, float] = {}
    for name, number in zip(names, numbers, strict=True):
        if name is not None:
            size[name] = size.get(name, 0.0) + abs(number or 0.0)
    shown = [name for name in ranked if name in size] or list(size)
    if len(shown) > CELLS:
        largest = set(sorted(shown, key=lambda name: -size[name])[:CELLS])
        notes.append(f"Of “{column.title}” the {CELLS} largest of {len(shown):,} are shown.")
        shown = [name for name in shown if name in largest]
        if not ranked:
            shown.sort(key=lambda name: -size[name])
    return names, shown
