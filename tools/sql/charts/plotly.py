"""A plot as a Plotly figure, for Python programs."""

from __future__ import annotations

import html
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from ....knowledge.errors import ConfigError
from .channels import COLORS, GREY
from .data import OTHER, Axis, Plot
from .plots import plot
from .spec import ChartSpec
from .words import number_text, time_format

if TYPE_CHECKING:
    from ..results import QueryResult

_FILL = "#9CCBE8"


def figure(result: QueryResult, spec: ChartSpec) -> Any:
    """A chart of a result as a `plotly.graph_objects.Figure`.

    :raises ConfigError: Plotly is not installed.
    :raises UnknownNameError: the result has no such column.
    :raises InputError: these columns cannot be drawn that way.
    """
    try:
        import plotly.graph_objects as go  # type: ignore[import-untyped]  # Plotly has no types
    except ImportError:
        raise ConfigError(
            "Plotly is not installed.", "Install it: pip install 'racto[sql-all]'. Pictures need no Plotly."
        ) from None
    made = plot(result, spec)
    shown = go.Figure(_traces(go, made))
    subtitle = "<br>".join(_said(note) for note in made.notes)
    shown.update_layout(
        template="plotly_white",
        title={"text": _said(made.title), "subtitle": {"text": subtitle}, "x": 0.02},
        colorway=COLORS,
        barmode="stack" if made.stacked else "group",
        height=max(420, 140 + 24 * len(made.x.names)) if made.lying else 420,
        bargap=0 if made.type == "histogram" else 0.25,
        legend={"title": {"text": _said(made.color.title) if made.color else ""}},
        showlegend=made.type == "pie" or bool(made.color and len(made.color.names) > 1),
    )
    if made.type != "pie":
        across, up = (made.y, made.x) if made.lying else (made.x, made.y)
        shown.update_xaxes(_axis(across, made))
        shown.update_yaxes(_axis(up, made) | ({"autorange": "reversed"} if up.kind == "category" else {}))
    return shown


def _said(text: str) -> str:
    """Text as text: Plotly reads some HTML, links too, in whatever it shows."""
    return html.escape(text, quote=False)


def _values(values: Sequence[Any]) -> list[Any]:
    return [_said(value) if isinstance(value, str) else value for value in values]


def _axis(axis: Axis, made: Plot) -> dict[str, Any]:
    shown: dict[str, Any] = {"title": {"text": _said(axis.title)}}
    if axis.kind == "category":
        names = _values(axis.names)
        if made.type == "violin":  # outlines need numbers, so the names are marks at 0, 1, 2, …
            marks = {"tickmode": "array", "tickvals": list(range(len(names))), "ticktext": names}
            return shown | marks | {"showgrid": False, "zeroline": False}
        return shown | {"type": "category", "categoryorder": "array", "categoryarray": names, "showgrid": False}
    if axis.kind == "time":
        ticks = {
            "tickmode": "array",
            "tickvals": list(axis.ticks),
            "tickformat": time_format(axis.unit, alone=axis.dated),
        }
        return shown | {"type": "date", **ticks}
    zero = "tozero" if made.type in ("bar", "area", "histogram") and axis is made.y else "normal"
    return shown | {"type": "linear", "rangemode": zero, "tickformat": "", "exponentformat": "B"}


def _traces(go: Any, made: Plot) -> list[Any]:
    if made.type == "pie":
        colors = [GREY if mark["x"] == OTHER else COLORS[at % len(COLORS)] for at, mark in enumerate(made.marks)]
        names = _values([mark["x"] for mark in made.marks])
        values = [mark["y"] for mark in made.marks]
        return [go.Pie(labels=names, values=values, sort=False, direction="clockwise", marker={"colors": colors})]
    if made.type == "funnel":
        names = _values([mark["x"] for mark in made.marks])
        values = [mark["y"] for mark in made.marks]
        return [go.Funnel(y=names, x=values, textinfo="value+percent initial", marker={"color": _FILL})]
    if made.type == "heatmap":
        return [_cells(go, made)]
    if made.type in ("box", "violin"):
        return [_box(go, made, at) for at in range(len(made.marks))] + [
            _violin(go, made, at) for at in range(len(made.marks))
        ]
    series = made.color.names if made.color else ("",)
    return [_series(go, made, name, at) for at, name in enumerate(series)]


def _series(go: Any, made: Plot, name: str, at: int) -> Any:
    marks = [mark for mark in made.marks if mark["c"] == name]
    x, y = _values([mark["x"] for mark in marks]), [mark["y"] for mark in marks]
    color = GREY if name == OTHER else COLORS[at % len(COLORS)]
    named = {"name": _said(name)}
    if made.type == "bar":
        turned = {"x": y, "y": x, "orientation": "h"} if made.lying else {"x": x, "y": y}
        text = [number_text(value) for value in y] if len(made.marks) <= 30 else None
        return go.Bar(**turned, **named, text=text, marker={"color": color})
    if made.type == "histogram":
        middles = [mark["x"] + (mark["x2"] - mark["x"]) / 2 for mark in marks]
        widths = [_width(mark["x2"] - mark["x"]) for mark in marks]
        return go.Bar(
            x=middles, y=y, width=widths, marker={"color": color, "line": {"color": "white", "width": 1}}, **named
        )
    if made.type == "scatter":
        return go.Scatter(x=x, y=y, mode="markers", marker={"color": color, "opacity": 0.7}, **named)
    how = {"mode": "lines+markers" if len(marks) <= 40 else "lines", "line": {"color": color}}
    if made.type == "area":
        how |= {"stackgroup": "one"} if made.stacked else {"fill": "tozeroy"}
    return go.Scatter(x=x, y=y, **how, **named)


def _width(span: Any) -> float:
    """The width of a bar: of times in milliseconds."""
    return span.total_seconds() * 1000 if hasattr(span, "total_seconds") else float(span)


def _cells(go: Any, made: Plot) -> Any:
    known = {(mark["x"], mark["y"]): mark["v"] for mark in made.marks}
    cells = [[known.get((x, y)) for x in made.x.names] for y in made.y.names]
    scale = "RdBu" if min(known.values()) < 0 < max(known.values()) else "Blues"
    title = _said(made.color.title) if made.color else ""
    middle = 0 if scale == "RdBu" else None
    names = _values(made.x.names), _values(made.y.names)
    return go.Heatmap(
        x=names[0],
        y=names[1],
        z=cells,
        colorscale=scale,
        zmid=middle,
        xgap=1,
        ygap=1,
        colorbar={"title": {"text": title}},
    )


def _box(go: Any, made: Plot, at: int) -> Any:
    """A box from its quartiles; of a violin a narrow one, inside it."""
    mark = made.marks[at]
    low, high = [mark["low"]], [mark["high"]]
    where = [at if made.type == "violin" else _said(mark["x"])]
    numbers = {
        "q1": [mark["q1"]],
        "median": [mark["median"]],
        "q3": [mark["q3"]],
        "lowerfence": low,
        "upperfence": high,
    }
    place = {"y": where, "orientation": "h"} if made.lying else {"x": where}
    width = {"width": 0.08} if made.type == "violin" else {}
    looks = {"fillcolor": _FILL, "line": {"color": "#333333"}, "showlegend": False}
    return go.Box(**place, **numbers, **looks, **width, name=_said(mark["x"]), boxpoints=False)


def _violin(go: Any, made: Plot, at: int) -> Any:
    """The outline of a violin, or the outliers of a box."""
    mark = made.marks[at]
    if made.type == "box":
        names = _values([mark["x"]] * len(mark["outliers"]))
        x, y = (mark["outliers"], names) if made.lying else (names, mark["outliers"])
        dots = {"color": COLORS[0], "opacity": 0.6, "size": 4}
        return go.Scatter(x=x, y=y, mode="markers", marker=dots, showlegend=False)

    right = [(at + 0.45 * density, value) for value, density in mark["curve"]]
    outline = right + [(2 * at - place, value) for place, value in reversed(right)]
    places, values = [place for place, _ in outline], [value for _, value in outline]
    x, y = (values, places) if made.lying else (places, values)
    looks = {"line": {"color": COLORS[0], "width": 1}, "fillcolor": "rgba(156,203,232,0.6)", "fill": "toself"}
    return go.Scatter(x=x, y=y, mode="lines", hoverinfo="skip", showlegend=False, **looks)
