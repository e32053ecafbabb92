"""A result as the marks of a chart: added up, ordered, cut to what can be seen. Every way of drawing shows these marks.

Nothing is left out silently: what was added up, averaged, sampled or dropped is in `Plot.notes`.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from itertools import pairwise
from typing import Any, Literal

from .choosing import SERIES
from .columns import Columns, Field, order
from .spec import ChartSpec, ChartType
from .words import LABEL, UNITS, Unit, clean, cut, floor, labels, number_text, time_text, time_ticks, title_of

NAMES = 30
"""Bars, boxes or rows that one picture shows."""
DATES = 60
"""Bars along a time axis."""
POINTS = 2_000
"""Points of a scatter."""
BUCKETS = 500
"""Along the x axis of a line; of each the lowest and the highest value are drawn."""

LINE = 90
"""Characters that fit side by side along the x axis."""

OTHER = "Other"


@dataclass(frozen=True)
class Axis:
    """One direction of a chart.

    :param names: The categories, in the order they are shown.
    :param ticks: Where a time axis has its marks.
    :param unit: What the marks of a time axis say.
    :param dated: Each of them says its day too.
    """

    title: str
    kind: Literal["category", "number", "time"]
    names: tuple[str, ...] = ()
    ticks: tuple[datetime, ...] = ()
    unit: Unit = "day"
    dated: bool = True


@dataclass(frozen=True)
class Plot:
    """What a chart shows, however it is drawn.

    :param marks: By type: `x`, `y` and `c` (series); of a histogram `x`, `x2`, `y`; of a heatmap `x`, `y`, `v`; of a box `x`, `low`, `q1`,
        `median`, `q3`, `high`, `outliers`; of a violin also `curve`, pairs of a value and its density from 0 to 1.
    :param lying: Bars run to the right.
    :param stacked: Series stand on one another.
    :param notes: What was added up, averaged, sampled or dropped, a sentence each.
    :param alt: The chart in words.
    """

    type: ChartType
    title: str
    x: Axis
    y: Axis
    marks: list[dict[str, Any]]
    alt: str
    color: Axis | None = None
    lying: bool = False
    stacked: bool = False
    notes: list[str] = field(default_factory=list)


@dataclass
class Sheet:
    """The columns of a chart, row by row, and what has been said about them; rows without a value are out.

    :param x: Times, numbers or names.
    :param order: The names in their own order; empty when they have none.
    :param repeated: What to say when rows are put together; empty when none are.
    :param fixed: The series are columns, which stay in their order.
    """

    x: list[Any]
    y: list[float]
    c: list[str]
    order: list[str]
    additive: bool
    repeated: str
    notes: list[str]
    fixed: bool

    def combined(self) -> dict[tuple[Any, str], float]:
        """One number for each x and series; several are added up, or averaged."""
        groups: dict[tuple[Any, str], list[float]] = {}
        for x, y, c in zip(self.x, self.y, self.c, strict=True):
            groups.setdefault((x, c), []).append(y)
        if self.repeated:
            self.notes.append(self.repeated)
        return {key: together(values, self.additive) for key, values in groups.items()}


def together(values: Sequence[float], additive: bool) -> float:
    """Several numbers as one."""
    return sum(values) if additive else sum(values) / len(values)


def sheet(used: Columns, *, named: int = 0, added: bool = False) -> Sheet:
    """The rows of a chart.

    :param named: x is to be names, at most about this many where it has an order of its own; 0 leaves times and numbers as they are.
    :param added: Numbers are added up whatever their column is called: they are parts of a whole.
    """
    notes: list[str] = []
    x, ys = used.x, used.ys
    rows = len(next(field for field in (x, *ys) if field).raw)
    ranked: list[str] = []
    if x is None:
        places: Sequence[Any] = [""] * rows
    elif named or not (x.times or x.numeric):
        places, ranked = names_of(x, named or NAMES, notes)
    else:
        places = x.times or x.numbers
    series: Sequence[str] = labels(used.color.raw) if used.color else [""] * rows
    made = Sheet([], [], [], ranked, added or all(y.additive for y in ys), "", notes, len(ys) > 1)
    lost = 0
    for y in ys or (None,):
        own = title_of(y.name) if y and len(ys) > 1 else None
        values: Sequence[float | None] = y.numbers if y else [1.0] * rows
        for place, name, value in zip(places, series, values, strict=True):
            if place is None or value is None:
                lost += 1
                continue
            made.x.append(place)
            made.y.append(value)
            made.c.append(own or name)
    if ys and len(set(zip(made.x, made.c, strict=True))) < len(made.x):
        made.repeated = repeated(x.title if x else "", made.additive)
    if lost:
        notes.append(
            f"{lost:,} {'row' if lost == 1 else 'rows'} without a value {'is' if lost == 1 else 'are'} left out."
        )
    return made


def repeated(where: str, additive: bool) -> str:
    """The note of rows that are put together."""
    return f"Rows with the same {where} are {'added up' if additive else 'averaged'}."


def names_of(column: Field, most: int, notes: list[str]) -> tuple[list[str | None], list[str]]:
    """A column as names, a row each, and in their own order; no order when they have none.

    :param most: Times are put together by day, month or year, numbers by range, until about so many are left.
    """
    if column.times:
        return _dates(column, most, notes)
    if column.numeric and column.distinct > most:
        edges = bins([value for value in column.numbers if value is not None], min(most, 20))
        ranges = [f"{number_text(low)} – {number_text(high)}" for low, high in pairwise(edges)]
        notes.append(f"“{column.title}” is put into {len(ranges)} ranges.")
        return [None if value is None else ranges[place(value, edges)] for value in column.numbers], ranges
    names = labels(column.raw)
    places = order([value for value in column.raw if value is not None])
    if places is None:
        return list(names), []
    ranked = sorted(places, key=lambda value: places[value])
    known = dict(zip(column.raw, names, strict=True))
    return list(names), list(dict.fromkeys(known[value] for value in [*ranked, *([None] if None in known else [])]))


def _dates(column: Field, most: int, notes: list[str]) -> tuple[list[str | None], list[str]]:
    times = {when for when in column.times if when is not None}
    unit = column.unit
    while len(at := {floor(when, unit) for when in times}) > most and unit != "year":
        unit = UNITS[UNITS.index(unit) + 1]
    if unit != column.unit:
        notes.append(f"“{column.title}” is put together by {unit}.")
    dated = len({when.date() for when in times}) > 1
    names = {when: time_text(when, unit, alone=dated) for when in sorted(at)}
    return [None if when is None else names[floor(when, unit)] for when in column.times], list(names.values())


def bins(values: Sequence[float], most: int = 40) -> list[float]:
    """Edges of ranges of round width that cover the values (Sturges' number of them, at least 5)."""
    low, high = min(values), max(values)
    if low == high:
        width = round_up(abs(low) / 10 or 1.0)
        return [low + width * step for step in (-1.5, -0.5, 0.5, 1.5)]
    wanted = min(most, max(5, len(values).bit_length() + 1 if len(values) < 200 else 2 * len(values).bit_length()))
    width = round_up(high / wanted - low / wanted)
    if all(value.is_integer() for value in values):
        width = max(1.0, width)
    start = width * (low // width)
    edges = [start]
    while edges[-1] <= high and len(edges) <= 2 * most:
        after = start + width * len(edges)
        edges.append(after if after > edges[-1] else high)
    return edges


def round_up(width: float) -> float:
    """The next of 1, 2, 2.5, 5, 10 times a power of ten."""
    power = 10.0 ** int(f"{width:e}".partition("e")[2])
    return next(step * power for step in (1, 2, 2.5, 5, 10) if step * power >= width * 0.999999) or width


def place(value: Any, edges: Sequence[Any]) -> int:
    """Which range a value falls into."""

    return min(max(bisect_right(edges, value) - 1, 0), len(edges) - 2)


def kept_series(made: Sheet) -> list[str]:
    """The series, largest first where they have no order; beyond `SERIES` the smallest are put together or left out."""
    if made.fixed:
        return list(dict.fromkeys(made.c))
    size: dict[str, float] = {}
    for c, y in zip(made.c, made.y, strict=True):
        size[c] = size.get(c, 0.0) + abs(y)
    names = sorted(size, key=lambda name: -size[name])
    if len(names) <= SERIES:
        ordered = order(names)
        return sorted(names, key=lambda name: ordered[name]) if ordered else names
    kept, rest = names[: SERIES - 1], set(names[SERIES - 1 :])
    made.notes.append(shortened("series", len(kept), len(names), made.additive))
    return _reduced(made, made.c, kept, rest)


def kept_names(made: Sheet, most: int) -> list[str]:
    """The names along x in the order they are shown: their own, that of rows sorted by value, or largest first."""
    size: dict[str, list[float]] = {}
    for name, y in zip(made.x, made.y, strict=True):
        size.setdefault(name, []).append(y)
    names = [name for name in made.order if name in size] or list(size)
    totals = {name: together(values, made.additive) for name, values in size.items()}
    if len(names) > most:
        kept = set(sorted(names, key=lambda name: -abs(totals[name]))[: most - made.additive])
        rest = set(names) - kept
        made.notes.append(shortened("", len(kept), len(names), made.additive))
        names = _reduced(made, made.x, [name for name in names if name in kept], rest)
        totals[OTHER] = 0.0
    if made.order:
        return names
    values = [totals[name] for name in names if name != OTHER]
    if values != sorted(values) or len(names) > 12:
        names.sort(key=lambda name: (name == OTHER, -totals[name]))
    return names


def shortened(what: str, kept: int, total: int, additive: bool) -> str:
    """The note of a top list."""
    rest = f"; the other {total - kept:,} are added up in “{OTHER}”" if additive else ""
    return f"The {kept} largest of {total:,}{' ' + what if what else ''} are shown{rest}."


def _reduced(made: Sheet, column: list[Any], kept: list[str], rest: set[str]) -> list[str]:
    """`column` with the rest as `OTHER` when that means something, else without those rows."""
    if made.additive:
        column[:] = [OTHER if value in rest else value for value in column]
        return [*[name for name in kept if name != OTHER], OTHER]
    keep = [value not in rest for value in column]
    for each in (made.x, made.y, made.c):
        each[:] = [value for value, stays in zip(each, keep, strict=True) if stays]
    return kept


def time_axis(title: str, times: Iterable[datetime], finest: Unit) -> Axis:
    """An axis of times; the day that all its marks are of stands in its title."""
    times = list(times)
    ticks, unit, dated = time_ticks(times, finest)
    if not dated and unit in ("second", "minute", "hour"):
        title = f"{title}, {time_text(times[0], 'day')}"
    return Axis(title, "time", ticks=tuple(ticks), unit=unit, dated=dated)


def titles(spec: ChartSpec, used: Columns) -> tuple[str, str, str]:
    """Of the chart, its x and its y axis."""
    x = used.x.title if used.x else ""
    y = used.ys[0].title if len(used.ys) == 1 else "value" if used.ys else "rows"
    what = ", ".join(field.title for field in used.ys) or "rows"
    if spec.chart_type == "heatmap":
        made = f"{used.color.title if used.color else 'rows'} by {x} and {y}"
    else:
        color = f" and {used.color.title}" if used.color else ""
        made = f"{what} by {x}{color}" if x else what
    if spec.chart_type == "histogram":
        made = f"How {x} is spread"
    if spec.chart_type == "scatter":
        made = f"{y} against {x}"
    made = made[:1].upper() + made[1:]
    given = [clean(text) for text in (spec.title, spec.x_label or "", spec.y_label or "")]
    return cut(given[0] or made, 2 * LABEL), cut(given[1], 80) or x, cut(given[2], 80) or y
