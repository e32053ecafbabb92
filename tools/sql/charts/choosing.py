"""Which chart a result asks for, from the types and values of its columns alone: the same result always gets the same chart.

In this order, the first that fits (`columns.py` says what a time, measure, category, ordinal and id are):

1. a single row, or no measure: no chart; one value is read faster than looked at, and a list has nothing to draw;
2. a time: a line of each of up to 4 measures of like size, or a line for each value of a category of at most 8;
   a scatter where the times repeat, as in raw rows, or a name or id tells the rows apart, as in a list of things;
3. a category that names the rows:
   a funnel when it is called a stage, step, phase or funnel, and the numbers only fall;
   a pie when the measure is called a share or percentage, and 2 to 6 positive values add up to 1 or 100;
   else bars, of each of up to 4 measures of like size, or of the one the rows are sorted by, or the first;
4. two categories that name the rows together: lines along an ordinal, grouped bars up to 24 of them, a heatmap up to 40 names;
5. a whole number that names up to 40 rows, and a measure that was computed (`count(*)`, `avg_…`, `total`), no category: bars;
6. two measures: a scatter, longitude along x, coloured by a category of at most 8 values;
7. one category, which repeats: boxes for up to 20 values;
8. an id that names up to 40 rows, no category: bars;
9. a histogram of the first measure, from 5 different values on.

Ids are never measures, and a category with one value says nothing. Anything else: no chart.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from itertools import pairwise
from typing import TYPE_CHECKING

from ....knowledge.errors import InputError, unknown_name
from .columns import Columns, Field, fields
from .spec import ChartSpec

if TYPE_CHECKING:
    from ..results import QueryResult

SERIES = 8
"""Colours that are told apart."""

PLAIN = ("pie", "funnel", "box", "violin")
"""Types without series."""

_STAGE = re.compile(r"stage|step|funnel|phase", re.IGNORECASE)
_SHARE = re.compile(r"share|percent|pct|proportion|%", re.IGNORECASE)
_COUNTED = re.compile(r"(^|[^a-z])(count|sum|avg|total|average|number|num|mean|min|max)([^a-z]|$)", re.IGNORECASE)
_EAST = re.compile(r"^(long|lon|lng|longitude)$", re.IGNORECASE)
_NORTH = re.compile(r"^(lat|latitude)$", re.IGNORECASE)


def choose(result: QueryResult) -> ChartSpec | None:
    """The chart for a result, or `None` when none would say more than the rows do. The rules are those of this module."""
    found = fields(result)
    spec = _chosen(found, len(result.rows)) if len(result.rows) > 1 else None
    return spec if spec and _some_row(found, spec) else None


def _some_row(found: Sequence[Field], spec: ChartSpec) -> bool:
    """Whether a row has all the values a chart shows; a category has one always."""
    ys = spec.y if isinstance(spec.y, list) else [spec.y]
    needed = [field for field in found if field.name in (spec.x, *ys, spec.color) and field.role != "category"]
    return any(None not in values for values in zip(*(field.values for field in needed), strict=True))


def _chosen(found: Sequence[Field], rows: int) -> ChartSpec | None:
    times = [field for field in found if field.role == "time" and field.distinct > 1]
    measures = [field for field in found if field.role == "measure"]
    categories = [field for field in found if field.role in ("category", "ordinal") and field.distinct > 1]
    ids = [field for field in found if field.role == "id"]
    if not measures:
        return None
    if times:
        things = any(field.distinct == rows for field in found if field.role in ("category", "id"))
        return _over_time(times[0], measures, categories, rows, things)
    names = [field for field in categories if field.distinct == rows]
    if names:
        return _by_name(names[0], measures)
    if len(categories) > 1 and (chart := _by_two(categories, measures, rows)):
        return chart
    counted = [field for field in measures if _COUNTED.search(field.name)]
    keys = [field for field in measures if field not in counted and _names_rows(field, rows)]
    if not categories and counted and keys:
        return _by_name(keys[0], counted)
    if len(measures) > 1 and rows > 2:
        return _against_each_other(measures, categories)
    if len(categories) == 1 and categories[0].distinct <= 20:
        return ChartSpec(chart_type="box", x=categories[0].name, y=measures[0].name)
    if not categories and ids and ids[0].distinct == rows and rows <= 40:
        return _by_name(ids[0], measures)
    return ChartSpec(chart_type="histogram", x=measures[0].name) if measures[0].distinct >= 5 else None


def _over_time(
    time: Field, measures: Sequence[Field], categories: Sequence[Field], rows: int, things: bool
) -> ChartSpec:
    color = _color(categories)
    if time.distinct < rows and color:
        pairs = {(str(when), str(name)) for when, name in zip(time.raw, color.raw, strict=True)}
        if len(pairs) == rows:
            return ChartSpec(chart_type="line", x=time.name, y=main_measure(measures).name, color=color.name)
    if things or rows > 1.2 * time.distinct:
        return ChartSpec(
            chart_type="scatter", x=time.name, y=main_measure(measures).name, color=color.name if color else None
        )
    return ChartSpec(chart_type="line", x=time.name, y=_names(_alike(measures) or [measures[0]]))


def _by_name(name: Field, measures: Sequence[Field]) -> ChartSpec:
    values = [value for value in measures[0].numbers if value is not None]
    falling = all(value >= after for value, after in pairwise(values))
    if _STAGE.search(name.name) and falling and 2 <= len(values) <= 12 and min(values) >= 0:
        return ChartSpec(chart_type="funnel", x=name.name, y=measures[0].name)
    whole = sum(values)
    if (
        len(measures) == 1
        and _SHARE.search(measures[0].name)
        and 2 <= len(values) <= 6
        and min(values) > 0
        and (abs(whole - 1) < 0.01 or abs(whole - 100) < 1)
    ):
        return ChartSpec(chart_type="pie", x=name.name, y=measures[0].name)
    alike = _alike(measures) if name.distinct <= 12 else []
    return ChartSpec(chart_type="bar", x=name.name, y=_names(alike or [main_measure(measures)]))


def _names_rows(field: Field, rows: int) -> bool:
    return rows <= 40 and field.distinct == rows and all(isinstance(value, int) for value in field.raw)


def _by_two(categories: Sequence[Field], measures: Sequence[Field], rows: int) -> ChartSpec | None:
    more, fewer = sorted(categories[:2], key=lambda field: field.distinct, reverse=True)
    pairs = {(str(one), str(other)) for one, other in zip(more.raw, fewer.raw, strict=True)}
    if len(pairs) < rows:
        return None
    measure = main_measure(measures).name
    if more.role == "ordinal" and more.distinct >= 6 and fewer.distinct <= SERIES:
        return ChartSpec(chart_type="line", x=more.name, y=measure, color=fewer.name)
    if more.distinct * fewer.distinct <= 24:
        return ChartSpec(chart_type="bar", x=more.name, y=measure, color=fewer.name)
    if more.distinct <= 40:
        return ChartSpec(chart_type="heatmap", x=fewer.name, y=more.name, color=measure)
    return None


def _against_each_other(measures: Sequence[Field], categories: Sequence[Field]) -> ChartSpec:
    east = next((field for field in measures if _EAST.search(field.name)), None)
    north = next((field for field in measures if _NORTH.search(field.name)), None)
    x, y = (east, north) if east and north else (measures[0], measures[1])
    color = _color(categories)
    return ChartSpec(chart_type="scatter", x=x.name, y=y.name, color=color.name if color else None)


def _color(categories: Sequence[Field]) -> Field | None:
    return next((field for field in categories if field.distinct <= SERIES), None)


def main_measure(measures: Sequence[Field]) -> Field:
    """The measure the rows are sorted by, or the first."""
    for field in measures:
        values = [value for value in field.numbers if value is not None]
        if field.distinct > 1 and all(one >= other for one, other in pairwise(values)):
            return field
    return measures[0]


def _alike(measures: Sequence[Field]) -> list[Field]:
    """All the measures, when there are 2 to 4 and one axis can show them; else none."""
    if not 2 <= len(measures) <= 4:
        return []
    tops = [max((abs(value) for value in field.numbers if value is not None), default=0.0) for field in measures]
    return list(measures) if min(tops) > 0 and max(tops) / min(tops) <= 20 else []


def _names(measures: Sequence[Field]) -> str | list[str]:
    return measures[0].name if len(measures) == 1 else [field.name for field in measures]


def completed(result: QueryResult, spec: ChartSpec) -> tuple[ChartSpec, Columns]:
    """A spec with its columns named as the result names them, and those it left out filled in.

    :returns: The spec, and the columns it shows.
    :raises UnknownNameError: the result has no such column; the nearest one is in the hint.
    :raises InputError: a column cannot be drawn that way, or there is none that can.
    """
    found = {field.name: field for field in fields(result)}
    kind = spec.chart_type
    x = _named(spec.x, found) if spec.x is not None else None
    ys = [_named(name, found) for name in ([spec.y] if isinstance(spec.y, str) else spec.y or [])]
    color = _named(spec.color, found) if spec.color is not None else None
    if kind == "histogram" and x is None and ys:
        x, ys = ys[0], []
    if kind == "heatmap" and ys and ys[0].numeric and color and not color.numeric:
        ys, color = [color], ys[0]
    if kind in PLAIN and x is None:
        x, color = color, None
    horizontal = False
    if len(ys) == 1 and x and x.numeric and not ys[0].numeric and kind not in ("heatmap", "histogram"):
        x, ys, horizontal = ys[0], [x], kind != "line"
    taken = {field.name for field in (x, color, *ys) if field}
    free = [field for field in found.values() if field.name not in taken and field.role != "nothing"]
    x = x or _missing_x(kind, free)
    if x is None and kind not in ("box", "violin"):
        raise InputError(
            f"There is no column a {kind} can be drawn of.", f"The result has {', '.join(found) or 'no columns'}."
        )
    free = [field for field in free if field is not x]
    ys = ys or _missing_y(kind, free)
    _check(kind, x, ys, color, found)
    made = {
        "x": x.name if x else None,
        "y": _names(ys) if ys else None,
        "color": color.name if color else None,
        "orientation": spec.orientation or ("h" if horizontal else None),
    }
    return spec.model_copy(update=made), Columns(x, tuple(ys), color)


def _named(name: str, found: dict[str, Field]) -> Field:
    if name in found:
        return found[name]
    same = [field for known, field in found.items() if known.lower() == name.lower()]
    if len(same) == 1:
        return same[0]
    raise unknown_name("column", name, found)


def _missing_x(kind: str, free: Sequence[Field]) -> Field | None:
    wanted = ("measure", "time", "id") if kind in ("scatter", "histogram") else ("time", "category", "ordinal", "id")
    if kind in ("bar", "pie", "funnel", "heatmap", "box", "violin"):
        wanted = ("category", "ordinal", "time") if kind in ("box", "violin") else ("category", "ordinal", "time", "id")
    return next((field for role in wanted for field in free if field.role == role), None)


def _missing_y(kind: str, free: Sequence[Field]) -> list[Field]:
    if kind == "histogram":
        return []
    if kind == "heatmap":
        return [field for field in free if field.role in ("category", "ordinal", "time")][:1]
    measures = [field for field in free if field.role == "measure"]
    return [main_measure(measures)] if measures else []


def _check(kind: str, x: Field | None, ys: Sequence[Field], color: Field | None, found: dict[str, Field]) -> None:
    numeric = ", ".join(name for name, field in found.items() if field.numeric) or "none"
    for field in (x, color, *ys):
        if field and field.role == "nothing":
            raise InputError(
                f"{field.name!r} cannot be drawn: its values are missing, masked, binary or nested.",
                f"Columns of numbers: {numeric}.",
            )
    if kind == "heatmap":
        if not ys:
            raise InputError("A heatmap needs a second column for y.", "Name two columns of categories.")
        return
    if len(ys) > 1 and (kind in ("pie", "funnel", "scatter") or (kind in PLAIN and x)):
        raise InputError(f"A {kind} shows one column of numbers.", f"Ask for one of {', '.join(y.name for y in ys)}.")
    for field in ys:
        if not field.numeric:
            raise InputError(
                f"y of a {kind} is a number, and {field.name!r} holds none.", f"Columns of numbers: {numeric}."
            )
    if not ys and kind in ("scatter", "box", "violin"):
        raise InputError(f"A {kind} needs a column of numbers for y.", f"Columns of numbers: {numeric}.")
    if kind == "histogram" and x and not (x.numeric or x.times):
        raise InputError(
            f"A histogram is of numbers or times, and {x.name!r} holds neither.",
            "For how often each value occurs, ask for a bar chart of that column.",
        )
