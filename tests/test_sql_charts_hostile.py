"""Whatever a database holds, a chart of it is a chart: names and values are shown, never read as markup, formula or address."""

from __future__ import annotations

import json
import math
import threading
import unicodedata
from collections.abc import Iterator
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID
from xml.etree import ElementTree

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from racto.knowledge.errors import InputError
from racto.tools.sql.charts import CHART_TYPES, ChartSpec, choose, drawn, picture
from racto.tools.sql.charts.plotly import figure
from racto.tools.sql.charts.terminal import sketch
from racto.tools.sql.charts.vega import vega_lite
from racto.tools.sql.results import QueryResult, ResultColumn

HOSTILE = (
    "</script><script>alert(1)</script>",
    "<img src=x onerror=alert(1)>",
    "<a href='javascript:alert(1)'>click</a>",
    "http://evil.example/x.png",
    '{"signal": "alert(1)"}',
    '" + alert(1) + "',
    "' + datum.y + '",
    "a[0].b\\[c\\]",
    "datum.y",
    "\u202etxt.exe",
    "\x1b[31mred\x1b]8;;http://evil.example\x07",
    "two\nlines\tand a tab",
    "日本語 العربية עברית 🎉",
    "$x^2$ %{x} {{y}}",
    "lone \ud800 surrogate",
    "",
    "***MASKED***",
    "x" * 5_000,
)

SECRETS = ("href", "url", "transform", "signal", "expr", "usermeta", "params", "datasets", "format_type")
"""Keys by which a Vega-Lite specification computes or fetches; a chart needs none of them."""


def result(names: list[str], rows: list[tuple[Any, ...]]) -> QueryResult:
    return QueryResult([ResultColumn(name) for name in names], rows)


def parts(node: Any, path: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], Any]]:
    """Every value of a specification outside its data, with the keys that lead to it."""
    if isinstance(node, dict):
        for key, value in node.items():
            if key != "values" or "axis" in path:
                yield from parts(value, (*path, key))
    elif isinstance(node, list):
        for value in node:
            yield from parts(value, path)
    else:
        yield path, node


def check(spec: dict[str, Any]) -> None:
    """A specification computes only with expressions of our own."""
    json.dumps(spec, allow_nan=False).encode("utf-8")
    looked = 0
    for path, value in parts(spec):
        assert not set(path) & set(SECRETS), path
        if path[-1] in ("labelExpr", "test"):
            assert set(value) <= set("absormteplcdufkn.vx-gy~1234567890,'()?:|&=!<> GB\""), value
            looked += 1
        if path[-1] == "field":
            assert value in {
                "x",
                "x2",
                "y",
                "c",
                "t",
                "n",
                "i",
                "v",
                "from",
                "to",
                "zero",
                "low",
                "high",
                "q1",
                "q3",
                "median",
            }
            looked += 1
    assert looked


@pytest.mark.parametrize("kind", CHART_TYPES)
def test_hostile_names_and_values_are_shown_as_they_are(kind: str) -> None:
    names = ["<b>a\"'`].[\\", "sum(x.y) {signal}", "</script>"]
    rows = [(text, 10 * (at + 1), HOSTILE[at % 3]) for at, text in enumerate(HOSTILE)]
    found = result(names, rows)
    x, y, color = names
    spec = ChartSpec(
        chart_type=kind,
        x=y if kind == "histogram" else x,
        y=None if kind == "histogram" else color if kind == "heatmap" else y,
        color=y if kind == "heatmap" else color if kind in ("bar", "line", "scatter") else None,
        title='<script>alert(1)</script> " + alert(1) + "',
        x_label="javascript:alert(1)",
    )
    check(vega_lite(found, spec))
    svg = picture(found, spec, "svg").decode()
    tags = {element.tag.rpartition("}")[2] for element in ElementTree.fromstring(svg).iter()}
    assert tags <= {
        "svg",
        "g",
        "path",
        "rect",
        "line",
        "text",
        "title",
        "defs",
        "clipPath",
        "linearGradient",
        "stop",
        "tspan",
    }
    assert not {"\x1b", "\u202e"} & set(svg)
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in svg
    drawing = json.dumps(figure(found, spec).to_plotly_json(), default=str, ensure_ascii=False)
    assert "<script" not in drawing
    assert "<a " not in drawing
    text = sketch(found, spec, 100)
    assert not any(unicodedata.category(char) in ("Cc", "Cf", "Cs") for char in text.replace("\n", ""))


VALUES = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-(10**20), 10**20),
    st.floats(),
    st.decimals(),
    st.sampled_from(HOSTILE),
    st.text(max_size=8),
    st.dates(),
    st.datetimes(),
    st.datetimes(timezones=st.just(UTC), min_value=datetime(2, 1, 1), max_value=datetime(9998, 1, 1)),
    st.times(),
    st.timedeltas(),
    st.binary(max_size=3),
    st.uuids(),
    st.just([1, {"a": 2}]),
)
COLUMN = st.one_of(
    VALUES.map(lambda value: [value] * 9),
    st.lists(VALUES, min_size=9, max_size=9),
    st.lists(st.integers(0, 5), min_size=9, max_size=9),
    st.lists(st.floats(-1e9, 1e9), min_size=9, max_size=9),
    st.lists(st.dates() | st.none(), min_size=9, max_size=9),
    st.lists(st.datetimes(), min_size=9, max_size=9),
    st.lists(st.sampled_from("abc"), min_size=9, max_size=9),
)
NAMES = st.one_of(
    st.sampled_from(["day", "year", "id", "stage", "share", "lat", "long", "month", *HOSTILE]), st.text(max_size=5)
)


@settings(max_examples=120, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    st.lists(st.tuples(NAMES, COLUMN), min_size=1, max_size=4, unique_by=lambda one: one[0]),
    st.integers(0, 9),
    st.sampled_from(CHART_TYPES),
)
@example([("day", [date.max] * 4 + [date.min] * 5), ("n", list(range(9)))], 9, "line")
@example([("n", [1e308, -1e308, *range(7)]), ("m", [5e-324] * 9)], 9, "scatter")
@example([("n", [Decimal("Infinity"), Decimal("sNaN"), math.nan, *range(6)])], 9, "histogram")
@example([("t", [time(1), timedelta(days=10**6), datetime(2024, 1, 1), UUID(int=1), *range(5)])], 9, "bar")
@example([("year", [10**30, -5, *range(7)])], 9, "line")
def test_any_result_gives_a_chart_or_says_why_not(columns: list[tuple[str, list[Any]]], count: int, kind: str) -> None:
    found = result([name for name, _ in columns], list(zip(*(values[:count] for _, values in columns), strict=True)))
    chosen = choose(found)
    refusals: list[tuple[ChartSpec, str]] = []
    for spec in (chosen, ChartSpec(chart_type=kind)):
        if spec is None:
            continue
        try:
            check(vega_lite(found, spec))
        except InputError as error:
            refusals.append((spec, error.hint))
            continue
        assert sketch(found, spec, 60)
        if spec is chosen:
            assert figure(found, spec).to_plotly_json()
    assert all(hint and spec is not chosen for spec, hint in refusals), "what was chosen has to draw"


@pytest.mark.parametrize("at", range(4))
def test_any_chosen_picture_is_drawn(at: int) -> None:
    odd = [
        result(["name", "n"], [("a", 1e149), ("b", -1e149), ("c", 1e-149)]),
        result(["day", "n"], [(date.min, 1), (date.max, -1), (date(2024, 1, 1), 0)]),
        result(["a", "b"], [(1, 1), (1, 1), (1, 1)]),
        result(["name", "n"], [(text, 3) for text in HOSTILE]),
    ][at]
    made = drawn(odd, "auto")
    assert made is not None
    assert made.png.startswith(b"\x89PNG")


def test_charts_are_drawn_by_several_threads_at_once() -> None:
    rows = result(["name", "n"], [("a", 1), ("b", 2), ("c", 3)])
    alone = picture(rows, ChartSpec(chart_type="bar"))
    together: list[bytes] = []
    threads = [
        threading.Thread(target=lambda: together.append(picture(rows, ChartSpec(chart_type="bar")))) for _ in range(6)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert together == [alone] * 6
