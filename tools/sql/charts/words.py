"""How numbers, dates and labels read on a chart, in every way of drawing."""

from __future__ import annotations

import math
import unicodedata
from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta
from typing import Any, Literal

LABEL = 60
"""Characters of a label; a longer one is cut."""

NO_VALUE = "(no value)"

Unit = Literal["second", "minute", "hour", "day", "month", "year"]
UNITS: tuple[Unit, ...] = ("second", "minute", "hour", "day", "month", "year")

_MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
_STEPS: tuple[tuple[Unit, tuple[int, ...]], ...] = (
    ("second", (1, 5, 15, 30)),
    ("minute", (1, 5, 15, 30)),
    ("hour", (1, 3, 6, 12)),
    ("day", (1, 2, 7, 14)),
    ("month", (1, 2, 3, 6)),
    ("year", (1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 2000)),
)
_SECONDS: dict[Unit, float] = {
    "second": 1,
    "minute": 60,
    "hour": 3_600,
    "day": 86_400,
    "month": 2_629_746,
    "year": 31_556_952,
}
_SCALES = ((1e12, "T"), (1e9, "B"), (1e6, "M"), (1e4, "k"))


def number_text(value: float, digits: int = 3) -> str:
    """A number as it is read at a glance: `1,234`, `12.3k`, `1.2M`, `0.035`.

    :param digits: Significant ones, at least, of numbers from 10,000 on.
    """
    size = abs(value)
    if size >= 1e15 or 0 < size < 1e-4:
        return f"{value:.3g}"
    rounded = float(f"{size:.{digits}g}")
    for scale, letter in _SCALES:
        if rounded >= scale:
            per = 1e3 if letter == "k" else scale
            return f"{value / per:.{digits}g}{letter}" if rounded / per < 1000 else f"{value / per:,.0f}{letter}"
    return f"{value:,.0f}" if value == int(value) else f"{value:,.4g}"


def clean(text: str) -> str:
    """Text on one line, without what is not seen or turns the reading direction of what follows."""
    kept = "".join(
        char if char == "\u200d" or unicodedata.category(char) not in ("Cf", "Cs", "Co", "Cn") else ""
        for char in text[: 20 * LABEL]
    )
    return " ".join("".join(" " if unicodedata.category(char) == "Cc" else char for char in kept).split())


def cut(text: str, limit: int = LABEL) -> str:
    """The text, or its beginning and `…`."""
    return text if len(text) <= limit else text[: limit - 1].rstrip() + "…"


def label(value: Any) -> str:
    """A value as the name of a category."""
    if value is None:
        return NO_VALUE
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, float) and math.isfinite(value):
        return f"{value:.15g}"
    return clean(str(value)) or "(empty)"


def labels(values: Iterable[Any]) -> list[str]:
    """Each value as a name short enough to show; those of different values stay different."""
    known: dict[str, str] = {}
    shown: dict[str, str] = {}
    taken: set[str] = set()
    names = []
    for value in values:
        if type(value) is str and value in known:
            names.append(known[value])
            continue
        full = label(value)
        if full not in shown:
            name, number = cut(full), 2
            while name in taken:
                name, number = f"{cut(full, LABEL - 8)} ({number})", number + 1
            shown[full] = name
            taken.add(name)
        names.append(shown[full])
        if type(value) is str:
            known[value] = shown[full]
    return names


def title_of(name: str) -> str:
    """The name of a column as the title of an axis."""
    return cut(clean(name.replace("_", " ")), 80)


def time_text(when: datetime, unit: Unit, *, alone: bool = True) -> str:
    """A date or time, as exact as `unit`.

    :param alone: Its day is said too.
    """
    if unit == "year":
        return str(when.year)
    month = _MONTHS[when.month - 1]
    if unit == "month":
        return f"{month} {when.year}"
    if unit == "day":
        return f"{when.day} {month} {when.year}"
    clock = f"{when:%H:%M:%S}" if unit == "second" else f"{when:%H:%M}"
    return f"{when.day} {month} {clock}" if alone else clock


def time_format(unit: Unit, *, alone: bool = True) -> str:
    """`time_text` as a format of d3, which Vega and Plotly share."""
    if unit == "year":
        return "%Y"
    if unit == "month":
        return "%b %Y"
    if unit == "day":
        return "%-d %b %Y"
    clock = "%H:%M:%S" if unit == "second" else "%H:%M"
    return f"%-d %b {clock}" if alone else clock


def time_ticks(times: Sequence[datetime], finest: Unit, most: int = 8) -> tuple[list[datetime], Unit, bool]:
    """Where a time axis has its marks.

    :param finest: No marks between what the data tells apart.
    :param most: How many marks fit.
    :returns: The marks, their unit, and whether each has to say its day.
    """
    low, high = min(times), max(times)
    span = (high - low).total_seconds()
    for unit, steps in _STEPS[UNITS.index(finest) :]:
        for step in steps:
            if span / (_SECONDS[unit] * step) < most:
                return _marks(low, high, unit, step), unit, low.date() != high.date()
    return [low, high], "year", True


def time_edges(low: datetime, high: datetime, most: int = 30) -> list[datetime]:
    """Ends of stretches of a round length that cover all from `low` to `high`."""
    span = (high - low).total_seconds()
    fits = [(unit, step) for unit, steps in _STEPS for step in steps if span / (_SECONDS[unit] * step) < most]
    unit, step = fits[0]
    edges = [_start(low, unit, step)]
    while edges[-1] <= high:
        edges.append(_after(edges[-1], unit, step) or datetime.max)
    return edges


def _marks(low: datetime, high: datetime, unit: Unit, step: int) -> list[datetime]:
    mark: datetime | None = _start(low, unit, step)
    marks = []
    while mark is not None and mark <= high:
        if mark >= low:
            marks.append(mark)
        mark = _after(mark, unit, step)
    return marks or [low]


def _start(low: datetime, unit: Unit, step: int) -> datetime:
    mark = floor(low, unit)
    if unit == "year":
        return mark.replace(year=max(1, mark.year // step * step))
    if unit == "month":
        return mark.replace(month=(mark.month - 1) // step * step + 1)
    if unit == "day":
        return mark
    return mark.replace(**{unit: getattr(mark, unit) // step * step})


def _after(mark: datetime, unit: Unit, step: int) -> datetime | None:
    try:
        if unit == "year":
            return mark.replace(year=mark.year + step)
        if unit == "month":
            months = mark.year * 12 + mark.month - 1 + step
            return mark.replace(year=months // 12, month=months % 12 + 1)
        return mark + timedelta(seconds=_SECONDS[unit] * step)
    except (ValueError, OverflowError):  # the end of the calendar
        return None


def floor(when: datetime, unit: Unit) -> datetime:
    """The beginning of the second, minute, …, year that `when` is in."""
    if unit in ("day", "month", "year"):
        return datetime(when.year, 1 if unit == "year" else when.month, when.day if unit == "day" else 1)
    if unit == "second":
        return when.replace(microsecond=0)
    return when.replace(minute=0 if unit == "hour" else when.minute, second=0, microsecond=0)
