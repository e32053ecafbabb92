"""A plot as lines of text, for a terminal: blocks for bars, braille dots for lines, marks for series."""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence
from datetime import datetime
from itertools import pairwise
from typing import TYPE_CHECKING, Any

from .data import Axis, Plot
from .plots import plot
from .spec import ChartSpec
from .words import cut, number_text, time_text

if TYPE_CHECKING:
    from ..results import QueryResult

ROWS = 12
"""Lines of a canvas."""
MARKS = "●○▲△■□◆◇"
SHADES = " ░▒▓█"
_EIGHTHS = " ▏▎▍▌▋▊▉█"
_DOTS = ((0x01, 0x02, 0x04, 0x40), (0x08, 0x10, 0x20, 0x80))
"""Bits of a braille character, by column and row."""


def sketch(result: QueryResult, spec: ChartSpec, width: int = 80) -> str:
    """A chart of a result as text.

    :param width: Columns of the terminal; less than 40 is taken as 40.
    :raises UnknownNameError: the result has no such column.
    :raises InputError: these columns cannot be drawn that way.
    """
    made = plot(result, spec)
    width = max(40, width)
    drawn = _DRAWN[made.type](made, width)
    return "\n".join(line.rstrip() for line in (cut(made.title, width), *drawn, *made.notes))


def _bars(made: Plot, width: int) -> list[str]:
    several = made.color is not None and len(made.color.names) > 1
    series = made.color.names if made.color else ()
    names = [
        f"{mark['x']} {MARKS[series.index(mark['c']) % len(MARKS)]}" if several else mark["x"] for mark in made.marks
    ]
    lines = _blocks(names, [mark["y"] for mark in made.marks], width)
    return [*lines, *_legend(made)]


def _shares(made: Plot, width: int) -> list[str]:
    values = [mark["y"] for mark in made.marks]
    return _blocks([mark["x"] for mark in made.marks], values, width, [f"{mark['share']:.0%}" for mark in made.marks])


def _histogram(made: Plot, width: int) -> list[str]:
    counts: dict[str, float] = {}
    for mark in made.marks:
        name = f"{_said(mark['x'], made.x)} – {_said(mark['x2'], made.x)}"
        counts[name] = counts.get(name, 0) + mark["y"]
    return _blocks(list(counts), list(counts.values()), width)


def _blocks(names: Sequence[str], values: Sequence[float], width: int, after: Sequence[str] = ()) -> list[str]:
    """A bar for each name, to the left of zero for what is negative."""
    left = min(width // 3, max(_columns(name) for name in names))
    texts = [f"{number_text(value)} {'  '.join(after[at : at + 1])}".rstrip() for at, value in enumerate(values)]
    room = width - left - max(map(len, texts)) - 3
    low, high = min(0.0, *values), max(0.0, *values)
    each = room / ((high - low) or 1.0)
    zero = round(-low * each)
    lines = []
    for name, value, text in zip(names, values, texts, strict=True):
        long = abs(value) * each
        bar = "█" * int(long) + _EIGHTHS[int(long % 1 * 8)].strip()
        drawn = " " * zero + (bar or "▏") if value >= 0 else " " * (zero - round(long)) + "█" * round(long)
        lines.append(f"{_padded(name, left)} {drawn} {text}")
    return lines


def _boxes(made: Plot, width: int) -> list[str]:
    left = min(width // 3, max(_columns(mark["x"]) for mark in made.marks))
    low, high = min(mark["low"] for mark in made.marks), max(mark["high"] for mark in made.marks)
    room = width - left - 3
    lines = []
    for mark in made.marks:
        at = {
            key: round((mark[key] - low) / ((high - low) or 1.0) * (room - 1))
            for key in ("low", "q1", "median", "q3", "high")
        }
        drawn = [" "] * room
        drawn[at["low"] : at["high"] + 1] = "─" * (at["high"] - at["low"] + 1)
        drawn[at["q1"] : at["q3"] + 1] = "▒" * (at["q3"] - at["q1"] + 1)
        drawn[at["median"]] = "┃"
        lines.append(f"{_padded(mark['x'], left)} {''.join(drawn)}")
    return [*lines, _ends(left + 1, room, number_text(low), number_text(high))]


def _cells(made: Plot, width: int) -> list[str]:
    left = min(width // 3, max(_columns(name) for name in made.y.names))
    each = max(2, min(12, (width - left - 1) // len(made.x.names) - 1))
    shown = made.x.names[: (width - left - 1) // (each + 1)]
    values = {(mark["x"], mark["y"]): mark["v"] for mark in made.marks}
    low, high = min(values.values()), max(values.values())
    lines = [" " * (left + 1) + " ".join(_padded(name, each) for name in shown)]
    for y in made.y.names:
        cells = []
        for x in shown:
            value = values.get((x, y))
            text = "" if value is None else number_text(value)
            shade = SHADES[0 if value is None else 1 + round(3 * (value - low) / ((high - low) or 1.0))]
            cells.append(_padded(shade + text, each) if len(text) < each else shade * each)
        lines.append(f"{_padded(y, left)} {' '.join(cells)}")
    if len(shown) < len(made.x.names):
        lines.append(f"The first {len(shown)} of {len(made.x.names)} columns fit.")
    return lines


def _canvas(made: Plot, width: int) -> list[str]:
    """Lines and points on a grid: dots of braille for one series, a mark each for several."""
    series = made.color.names if made.color else ("",)
    ys = [mark["y"] for mark in made.marks]
    low, high = (min(ys), max(ys)) if min(ys) < max(ys) else (ys[0] - 1, ys[0] + 1)
    labels = [number_text(low + (high - low) * row / (ROWS - 1)) for row in range(ROWS)]
    left = max(map(len, labels))
    room = width - left - 2
    fine = len(series) == 1
    columns, rows = (room * 2, ROWS * 4) if fine else (room, ROWS)
    places = [_place(mark["x"], made.x) for mark in made.marks]
    first, last = min(places), max(places)
    grid = [[" "] * room for _ in range(ROWS)]
    dots = [[0] * room for _ in range(ROWS)]
    for at, name in enumerate(series):
        path = [
            (
                round((place - first) / ((last - first) or 1.0) * (columns - 1)),
                round((mark["y"] - low) / ((high - low) or 1.0) * (rows - 1)),
            )
            for place, mark in zip(places, made.marks, strict=True)
            if mark["c"] == name
        ]
        for x, y in path if made.type == "scatter" else _joined(path):
            if fine:
                dots[ROWS - 1 - y // 4][x // 2] |= _DOTS[x % 2][3 - y % 4]
            else:
                grid[ROWS - 1 - y][x] = MARKS[at % len(MARKS)]
    if fine:
        grid = [[chr(0x2800 + bits) if bits else " " for bits in line] for line in dots]
    lines = [f"{labels[ROWS - 1 - row]:>{left}} ┤{''.join(line)}" for row, line in enumerate(grid)]
    ends = [_said(mark["x"], made.x) for mark in (made.marks[places.index(first)], made.marks[places.index(last)])]
    return [*lines, _ends(left + 2, room, *ends), *_legend(made)]


def _joined(path: Sequence[tuple[int, int]]) -> list[tuple[int, int]]:
    """The cells of the straight lines between points."""
    cells = list(path[:1])
    for (x, y), (x2, y2) in pairwise(path):
        steps = max(abs(x2 - x), abs(y2 - y), 1)
        cells += [
            (x + round((x2 - x) * step / steps), y + round((y2 - y) * step / steps)) for step in range(1, steps + 1)
        ]
    return cells


def _place(value: Any, axis: Axis) -> float:
    if axis.kind == "category":
        return float(axis.names.index(value))
    return (value - datetime(1970, 1, 1)).total_seconds() if isinstance(value, datetime) else float(value)


def _said(value: Any, axis: Axis) -> str:
    if isinstance(value, datetime):
        return time_text(value, axis.unit, alone=axis.dated)
    return number_text(value) if isinstance(value, float | int) else str(value)


def _ends(left: int, room: int, first: str, last: str) -> str:
    return " " * left + first + last.rjust(room - len(first)) if first != last else " " * left + first


def _legend(made: Plot) -> list[str]:
    if made.color is None or len(made.color.names) < 2:
        return []
    return ["   ".join(f"{MARKS[at % len(MARKS)]} {name}" for at, name in enumerate(made.color.names))]


def _columns(text: str) -> int:
    """How wide a text is in a terminal."""
    return sum(
        0 if unicodedata.combining(char) else 2 if unicodedata.east_asian_width(char) in "WF" else 1 for char in text
    )


def _padded(text: str, width: int) -> str:
    """A text exactly so many columns wide."""
    while _columns(text) > width:
        text = text[:-2] + "…" if len(text) > 1 else ""
    return text + " " * (width - _columns(text))


_DRAWN = {
    "bar": _bars,
    "pie": _shares,
    "funnel": _shares,
    "histogram": _histogram,
    "box": _boxes,
    "violin": _boxes,
    "heatmap": _cells,
    "line": _canvas,
    "area": _canvas,
    "scatter": _canvas,
}
