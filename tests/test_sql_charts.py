"""Charts of query results: which one is chosen, what is drawn, and what is said about it."""

from __future__ import annotations

import json
import sqlite3
import struct
import subprocess
import sys
from collections import Counter
from collections.abc import Sequence
from contextlib import closing
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError
from racto.knowledge.errors import ConfigError, InputError, UnknownNameError
from racto.tools.sql.charts import CHART_TYPES, ChartSpec, as_spec, choose, drawn, picture
from racto.tools.sql.charts.plotly import figure
from racto.tools.sql.charts.plots import plot
from racto.tools.sql.charts.terminal import sketch
from racto.tools.sql.charts.vega import vega_lite
from racto.tools.sql.charts.words import number_text
from racto.tools.sql.results import QueryResult, ResultColumn

DATA = Path(__file__).parents[2] / "shared" / "data" / "sql"
PNG = b"\x89PNG\r\n\x1a\n"


def result(names: Sequence[str], rows: Sequence[Sequence[Any]], **more: Any) -> QueryResult:
    return QueryResult([ResultColumn(name) for name in names], [tuple(row) for row in rows], **more)


def size(png: bytes) -> tuple[int, int]:
    """Width and height of a PNG in pixels."""
    assert png.startswith(PNG)
    width, height = struct.unpack(">II", png[16:24])
    return width, height


def days(count: int, start: date = date(2024, 1, 1)) -> list[date]:
    return [start + timedelta(days=at) for at in range(count)]


COUNTRIES = ("Norway", "Chile", "Japan", "Kenya", "Peru", "India", "Spain", "Egypt", "Cuba", "Italy", "Nepal", "Mali")

CHOSEN: dict[str, tuple[Sequence[str], Sequence[Sequence[Any]], dict[str, Any] | None]] = {
    "no rows": (("a", "b"), [], None),
    "one value": (("count(*)",), [(42,)], None),
    "one row": (("country", "total"), [("Norway", 3)], None),
    "only text": (("name", "city"), [("Ada", "London"), ("Bo", "Oslo")], None),
    "only ids": (("customer_id", "order_id"), [(1, 7), (2, 8)], None),
    "only masked": (("salary",), [("***MASKED***",)] * 9, None),
    "binary": (("photo", "thumb"), [(b"a", b"b"), (b"c", b"d")], None),
    "dates": (("day", "sales"), [(day, 10 + at) for at, day in enumerate(days(5))], {"chart_type": "line", "x": "day", "y": "sales"}),
    "dates as text": (("day", "n"), [("2024-01-02", 1), ("2024-01-01", 5)], {"chart_type": "line", "x": "day", "y": "n"}),
    "American dates": (("day", "n"), [("8/29/2013", 1), ("9/1/2013", 5)], {"chart_type": "line", "x": "day", "y": "n"}),
    "months as text": (("month", "n"), [("2024-01", 1), ("2024-02", 5)], {"chart_type": "line", "x": "month", "y": "n"}),
    "years": (("year", "n"), [(2020, 3), (2021, 8), (2022, 5)], {"chart_type": "line", "x": "year", "y": "n"}),
    "dates and series": (
        ("day", "shop", "n"),
        [(day, shop, 5) for day in days(4) for shop in ("A", "B")],
        {"chart_type": "line", "x": "day", "y": "n", "color": "shop"},
    ),
    "measures of like size": (
        ("day", "high", "low"),
        [(day, 20 + at, 10 + at) for at, day in enumerate(days(4))],
        {"chart_type": "line", "x": "day", "y": ["high", "low"]},
    ),
    "measures of unlike size": (
        ("day", "visits", "price"),
        [(day, 90_000 + at, 2.5) for at, day in enumerate(days(4))],
        {"chart_type": "line", "x": "day", "y": "visits"},
    ),
    "raw rows with times": (
        ("at", "amount"),
        [(day, 5 + at) for at in range(3) for day in days(4)],
        {"chart_type": "scatter", "x": "at", "y": "amount"},
    ),
    "names and a number": (("country", "total"), list(zip(COUNTRIES, range(12), strict=True)), {"chart_type": "bar", "x": "country", "y": "total"}),
    "sorted by the second number": (
        ("country", "rank_points", "total"),
        [(name, at % 3, 900 - at) for at, name in enumerate(COUNTRIES)],
        {"chart_type": "bar", "x": "country", "y": "total"},
    ),
    "shares": (("browser", "share"), [("A", 60.0), ("B", 30.0), ("C", 10.0)], {"chart_type": "pie", "x": "browser", "y": "share"}),
    "shares that are no whole": (("browser", "share"), [("A", 60.0), ("B", 30.0)], {"chart_type": "bar", "x": "browser", "y": "share"}),
    "stages": (("stage", "users"), [("visit", 900), ("sign up", 300), ("pay", 20)], {"chart_type": "funnel", "x": "stage", "y": "users"}),
    "stages that rise": (("stage", "users"), [("visit", 9), ("pay", 20)], {"chart_type": "bar", "x": "stage", "y": "users"}),
    "two numbers": (("weight", "height"), [(70, 170), (80, 180), (60, 165)], {"chart_type": "scatter", "x": "weight", "y": "height"}),
    "places": (
        ("lat", "long"),
        [(37.1, -122.1), (37.2, -122.2), (37.3, -122.4)],
        {"chart_type": "scatter", "x": "long", "y": "lat"},
    ),
    "one number": (("amount",), [(at * 1.5,) for at in range(30)], {"chart_type": "histogram", "x": "amount"}),
    "a number and an id": (
        ("payment_id", "amount"),
        [(at, at * 1.5) for at in range(90)],
        {"chart_type": "histogram", "x": "amount"},
    ),
    "an id and a number": (("customer_id", "total"), [(7, 3), (9, 5)], {"chart_type": "bar", "x": "customer_id", "y": "total"}),
    "a room and a count": (("room", "count(*)"), [(101, 3), (102, 7), (103, 3)], {"chart_type": "bar", "x": "room", "y": "count(*)"}),
    "two names": (
        ("city", "kind", "trips"),
        [(city, kind, 5) for city in COUNTRIES[:4] for kind in ("day", "night")],
        {"chart_type": "bar", "x": "city", "y": "trips", "color": "kind"},
    ),
    "many pairs of names": (
        ("city", "kind", "trips"),
        [(city, kind, 5) for city in COUNTRIES for kind in ("day", "night", "dawn")],
        {"chart_type": "heatmap", "x": "kind", "y": "city", "color": "trips"},
    ),
    "hours and a kind": (
        ("hour", "kind", "trips"),
        [(hour, kind, hour) for hour in range(24) for kind in ("day", "night")],
        {"chart_type": "line", "x": "hour", "y": "trips", "color": "kind"},
    ),
    "groups of numbers": (
        ("rating", "minutes"),
        [(rating, 60 + at) for at in range(9) for rating in ("G", "R")],
        {"chart_type": "box", "x": "rating", "y": "minutes"},
    ),
    "a constant name": (("kind", "n"), [("A", at * 3) for at in range(9)], {"chart_type": "histogram", "x": "n"}),
}  # fmt: skip


@pytest.mark.parametrize("name", CHOSEN)
def test_the_chart_of_a_result_follows_from_its_columns(name: str) -> None:
    names, rows, wanted = CHOSEN[name]
    found = choose(result(names, rows))
    assert (found.model_dump(exclude_defaults=True) if found else None) == wanted


def test_an_unknown_chart_type_is_told_the_ten() -> None:
    with pytest.raises(ValidationError) as caught:
        ChartSpec(chart_type="donut")
    assert all(name in str(caught.value) for name in CHART_TYPES)
    with pytest.raises(InputError, match=r"donut.*funnel"):
        as_spec({"chart_type": "donut"})


def test_a_field_that_a_spec_has_not_is_named() -> None:
    with pytest.raises(InputError, match="colour") as caught:
        as_spec({"chart_type": "bar", "colour": "a"})
    assert "color" in caught.value.hint


def test_the_fields_of_a_spec_and_what_they_default_to() -> None:
    assert ChartSpec(chart_type="Bar ").model_dump() == {
        "chart_type": "bar",
        "x": None,
        "y": None,
        "color": None,
        "title": "",
        "x_label": None,
        "y_label": None,
        "orientation": None,
    }


def test_an_unknown_column_is_told_the_nearest() -> None:
    rows = result(("country", "total"), [("Norway", 3), ("Chile", 4)])
    with pytest.raises(UnknownNameError) as caught:
        plot(rows, ChartSpec(chart_type="bar", x="contry"))
    assert "'country'" in caught.value.hint
    assert plot(rows, ChartSpec(chart_type="bar", x="COUNTRY")).x.title == "country"


@pytest.mark.parametrize(
    ("spec", "said"),
    [
        ({"chart_type": "bar", "x": "name", "y": "city"}, "a number, and 'city' holds none"),
        ({"chart_type": "scatter", "x": "name"}, "needs a column of numbers"),
        ({"chart_type": "histogram", "x": "name"}, "numbers or times"),
        ({"chart_type": "line", "x": "name", "y": "secret"}, "masked"),
        ({"chart_type": "heatmap", "x": "name", "y": "city", "color": "secret"}, "masked"),
    ],
)
def test_what_cannot_be_drawn_is_refused_with_the_reason(spec: dict[str, Any], said: str) -> None:
    rows = result(("name", "city", "secret"), [("Ada", "London", "***MASKED***"), ("Bo", "Oslo", "***MASKED***")])
    with pytest.raises(InputError, match=said) as caught:
        drawn(rows, spec)
    assert caught.value.hint


def test_negative_numbers_are_no_shares() -> None:
    rows = result(("name", "profit"), [("A", 5), ("B", -3)])
    for kind in ("pie", "funnel"):
        with pytest.raises(InputError, match="positive"):
            drawn(rows, {"chart_type": kind})


@pytest.mark.parametrize("kind", CHART_TYPES)
@pytest.mark.parametrize("count", [1, 12, 10_000])
def test_every_type_draws_one_row_twelve_and_ten_thousand(kind: str, count: int) -> None:
    rows = result(
        ("day", "shop", "city", "price"),
        [(date(2015, 1, 1) + timedelta(hours=5 * at), f"shop {at % 150}", COUNTRIES[at % 12], (at * 7919) % 500 + 1) for at in range(count)],
    )  # fmt: skip
    x = {"line": "day", "area": "day", "histogram": "price", "scatter": "day", "heatmap": "shop"}.get(kind, "shop")
    spec = ChartSpec(chart_type=kind, x=x, y="city" if kind == "heatmap" else None if kind == "histogram" else "price")
    made = drawn(rows, spec)
    assert made is not None
    width, height = size(made.png)
    assert 300 <= width <= 2400
    assert 100 <= height <= 2600
    assert made.alt
    assert len(json.dumps(vega_lite(rows, spec))) < 400_000
    assert kind in sketch(rows, spec) or sketch(rows, spec).count("\n") >= 1
    assert figure(rows, spec).to_plotly_json()["data"]


def test_bars_of_many_names_say_what_was_put_together() -> None:
    rows = result(("shop", "sales"), [(f"shop {at}", at) for at in range(214)])
    made = plot(rows, ChartSpec(chart_type="bar", x="shop", y="sales"))
    assert len(made.marks) == 30
    assert made.marks[0] == {"x": "shop 213", "y": 213, "c": ""}
    assert made.marks[-1] == {"x": "Other", "y": sum(range(185)), "c": ""}
    assert made.notes == ["The 29 largest of 214 are shown; the other 185 are added up in “Other”."]
    assert made.notes[0] in json.dumps(vega_lite(rows, ChartSpec(chart_type="bar")), ensure_ascii=False)


def test_averages_are_not_added_up_in_other() -> None:
    rows = result(("shop", "avg_price"), [(f"shop {at}", at) for at in range(40)])
    made = plot(rows, ChartSpec(chart_type="bar"))
    assert "Other" not in made.x.names
    assert made.notes == ["The 30 largest of 40 are shown."]


def test_rows_of_the_same_name_are_added_up_or_averaged_and_it_says_so() -> None:
    rows = result(("shop", "sales", "price"), [("A", 10, 2.0), ("A", 30, 4.0), ("B", 5, 1.0)])
    added = plot(rows, ChartSpec(chart_type="bar", x="shop", y="sales"))
    assert [(mark["x"], mark["y"]) for mark in added.marks] == [("A", 40), ("B", 5)]
    assert added.notes == ["Rows with the same shop are added up."]
    averaged = plot(rows, ChartSpec(chart_type="bar", x="shop", y="price"))
    assert averaged.marks[0]["y"] == 3.0
    assert averaged.notes == ["Rows with the same shop are averaged."]


def test_without_a_number_the_rows_are_counted() -> None:
    made = plot(result(("shop",), [("A",), ("A",), ("B",)]), ChartSpec(chart_type="bar"))
    assert [(mark["x"], mark["y"]) for mark in made.marks] == [("A", 2), ("B", 1)]
    assert made.title == "Rows by shop"


def test_rows_without_a_value_are_left_out_and_counted() -> None:
    rows = result(
        ("day", "n"), [(date(2024, 1, 1), 5), (date(2024, 1, 2), None), (None, 7), (date(2024, 1, 4), float("nan"))]
    )
    made = plot(rows, ChartSpec(chart_type="line"))
    assert [mark["y"] for mark in made.marks] == [5]
    assert made.notes == ["3 rows without a value are left out."]


def test_a_name_that_is_null_is_a_name_of_its_own() -> None:
    made = plot(result(("shop", "n"), [(None, 5), ("", 3), ("A", 1)]), ChartSpec(chart_type="bar"))
    assert made.x.names == ("(no value)", "(empty)", "A")


def test_dates_stand_in_order_whatever_the_order_of_the_rows() -> None:
    rows = result(("day", "n"), [("2024-03-01", 1), ("2024-01-01", 2), ("2024-02-01", 3)])
    for kind in ("line", "area", "bar"):
        assert [mark["y"] for mark in plot(rows, ChartSpec(chart_type=kind)).marks] == [2, 3, 1]
    assert plot(rows, ChartSpec(chart_type="bar")).x.names == ("Jan 2024", "Feb 2024", "Mar 2024")


@pytest.mark.parametrize(
    ("values", "ordered"),
    [
        (("March", "January", "February"), ("January", "February", "March")),
        (("Wed", "Mon", "Sun"), ("Mon", "Wed", "Sun")),
        (("10-20", "0-10", "100+"), ("0-10", "10-20", "100+")),
        ((10, 9, 2), ("2", "9", "10")),
        (("Q3", "Q1", "Q4"), ("Q1", "Q3", "Q4")),
        (("2024-Q1", "2023-Q4", "2023-Q1"), ("2023-Q1", "2023-Q4", "2024-Q1")),
        (("week 10", "week 9"), ("week 9", "week 10")),
        (("Q1 2024", "Q4 2023"), ("Q4 2023", "Q1 2024")),
        (("2000s", "1990s"), ("1990s", "2000s")),
        ((time(18), time(6), time(12)), ("06:00:00", "12:00:00", "18:00:00")),
    ],
)
def test_names_with_an_order_keep_it(values: Sequence[Any], ordered: Sequence[str]) -> None:
    rows = result(("when", "n"), [(value, 5 + at) for at, value in enumerate(values)])
    assert plot(rows, ChartSpec(chart_type="bar", x="when", y="n")).x.names == ordered


@pytest.mark.parametrize(
    ("start", "step", "count", "texts"),
    [
        (datetime(2024, 5, 1, 12), timedelta(seconds=1), 30, "%H:%M:%S"),
        (datetime(2024, 5, 1, 12), timedelta(minutes=7), 30, "%H:%M"),
        (datetime(2024, 5, 1, 12), timedelta(hours=7), 10, "%-d %b %H:%M"),
        (datetime(2024, 5, 1), timedelta(days=1), 30, "%-d %b %Y"),
        (datetime(2024, 5, 1), timedelta(days=31), 12, "%b %Y"),
        (datetime(2004, 5, 1), timedelta(days=400), 20, "%Y"),
        (datetime(9999, 12, 1), timedelta(days=1), 31, "%-d %b %Y"),
        (datetime(1, 1, 1), timedelta(days=365), 9000, "%Y"),
    ],
)
def test_the_marks_of_a_time_axis_fit_its_span(start: datetime, step: timedelta, count: int, texts: str) -> None:
    rows = result(("at", "n"), [(start + step * at, at) for at in range(count)])
    encoding = vega_lite(rows, ChartSpec(chart_type="line"))["layer"][0]["encoding"]["x"]
    assert encoding["axis"]["format"] == texts
    assert 2 <= len(encoding["axis"]["values"]) <= 10


def test_times_with_a_zone_are_shown_in_utc_and_say_so() -> None:
    rows = result(("at", "n"), [(datetime(2024, 1, 1, at, tzinfo=UTC), at) for at in range(3)])
    assert plot(rows, ChartSpec(chart_type="line")).x.title.startswith("at (UTC)")


def test_an_axis_of_one_day_says_which_day_in_its_title() -> None:
    rows = result(("at", "n"), [(datetime(2024, 5, 1, 12, at), at) for at in range(30)])
    assert plot(rows, ChartSpec(chart_type="line")).x.title == "at, 1 May 2024"


def test_without_its_library_a_chart_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    rows, spec = result(("name", "n"), [("a", 3), ("b", 4)]), ChartSpec(chart_type="bar")
    for module, draw in (("vl_convert", picture), ("plotly.graph_objects", figure)):
        monkeypatch.setitem(sys.modules, module, None)
        with pytest.raises(ConfigError, match="pip install"):
            draw(rows, spec)


def test_a_long_line_keeps_its_peaks() -> None:
    rows = result(
        ("at", "n"),
        [(datetime(2024, 1, 1) + timedelta(minutes=at), 1_000_000 if at == 4_321 else at % 7) for at in range(10_000)],
    )
    made = plot(rows, ChartSpec(chart_type="line"))
    assert len(made.marks) <= 1_000
    assert max(mark["y"] for mark in made.marks) == 1_000_000
    assert "lowest and highest" in made.notes[0]


def test_a_scatter_of_many_points_shows_the_same_sample_each_time() -> None:
    rows = result(("a", "b"), [(at % 97, at % 89) for at in range(10_000)])
    spec = ChartSpec(chart_type="scatter")
    assert len(plot(rows, spec).marks) == 2_000
    assert plot(rows, spec).marks == plot(rows, spec).marks
    assert plot(rows, spec).notes == ["A random sample of 2,000 of 10,000 points is shown."]


def test_a_histogram_counts_every_row_once() -> None:
    for values in ([0.1 * at for at in range(10_000)], [5] * 9, [-3, 0, 3], list(range(7))):
        rows = result(("amount",), [(value,) for value in values])
        assert sum(mark["y"] for mark in plot(rows, ChartSpec(chart_type="histogram")).marks) == len(values)


def test_a_box_has_the_quartiles_of_its_numbers() -> None:
    rows = result(("kind", "n"), [("A", value) for value in (*range(1, 10), 100)])
    (box,) = plot(rows, ChartSpec(chart_type="box")).marks
    assert (box["low"], box["q1"], box["median"], box["q3"], box["high"]) == (1, 3.25, 5.5, 7.75, 9)
    assert box["outliers"] == [100]


def test_a_funnel_keeps_the_order_of_its_stages() -> None:
    rows = result(("stage", "users"), [("visit", 900), ("basket", 90), ("pay", 450)])
    made = plot(rows, ChartSpec(chart_type="funnel"))
    assert [(mark["x"], round(mark["share"], 2)) for mark in made.marks] == [
        ("visit", 1),
        ("basket", 0.1),
        ("pay", 0.5),
    ]


def test_many_series_say_which_are_shown() -> None:
    rows = result(("day", "shop", "n"), [(day, f"shop {at}", at) for day in days(3) for at in range(20)])
    made = plot(rows, ChartSpec(chart_type="line", x="day", y="n", color="shop"))
    assert made.color is not None
    assert len(made.color.names) == 8
    assert made.notes[0].startswith("The 7 largest of 20 series are shown")


def test_a_truncated_result_says_so_in_its_chart() -> None:
    made = drawn(result(("a", "n"), [("x", 1), ("y", 2)], truncated=True), "auto")
    assert made is not None
    assert made.notes == ["Only the first 2 rows of the result are in it."]


def test_the_alternative_text_tells_the_extremes() -> None:
    made = drawn(result(("country", "total"), [("Norway", 1_234_567), ("Chile", 4)]), "auto")
    assert made is not None
    assert made.alt == "Bar chart, Total by country: 2 bars. Highest 1.23M at Norway, lowest 4 at Chile."


def test_no_chart_is_drawn_that_nobody_asked_for() -> None:
    assert drawn(result(("country", "total"), [("Norway", 3), ("Chile", 4)]), None) is None
    assert drawn(result(("count(*)",), [(3,)]), "auto") is None


def test_titles_and_labels_are_those_of_the_spec() -> None:
    rows = result(("country", "total_sales"), [("Norway", 3), ("Chile", 4)])
    made = plot(rows, ChartSpec(chart_type="bar", title="Sales", x_label="Land", y_label="Euro"))
    assert (made.title, made.x.title, made.y.title) == ("Sales", "Land", "Euro")
    assert plot(rows, ChartSpec(chart_type="bar")).y.title == "total sales"


def test_a_bar_chart_asked_for_the_other_way_round_lies() -> None:
    rows = result(("country", "total"), [("Norway", 3), ("Chile", 4)])
    made = plot(rows, ChartSpec(chart_type="bar", x="total", y="country"))
    assert made.lying
    assert made.x.title == "country"
    assert not plot(rows, ChartSpec(chart_type="bar", orientation="v")).lying
    assert plot(rows, ChartSpec(chart_type="bar", orientation="h")).lying


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0, "0"), (7, "7"), (1234, "1,234"), (12_345, "12.3k"), (999_999, "1M"), (1_234_567, "1.23M"), (5e9, "5B"), (2.5e12, "2.5T"),
        (3e15, "3e+15"), (0.035, "0.035"), (0.1 + 0.2, "0.3"), (-12_345, "-12.3k"), (1e-9, "1e-09"), (3.0, "3"),
    ],
)  # fmt: skip
def test_numbers_read_at_a_glance(value: float, text: str) -> None:
    assert number_text(value) == text


def test_decimals_durations_and_huge_numbers_are_drawn() -> None:
    rows = result(
        ("name", "v"),
        [("a", Decimal("1.5")), ("b", Decimal("1E+400")), ("c", 10**400), ("d", Decimal("NaN")), ("e", 1e149)],
    )
    made = drawn(rows, {"chart_type": "bar"})
    assert made is not None
    assert made.notes == ["3 rows without a value are left out."]
    seconds = plot(result(("name", "took"), [("a", timedelta(minutes=2)), ("b", None)]), ChartSpec(chart_type="bar"))
    assert (seconds.marks[0]["y"], seconds.y.title) == (120, "took (s)")


def test_an_svg_carries_no_script_and_no_link() -> None:
    rows = result(("name", "n"), [("<script>alert(1)</script>", 3), ("javascript:alert(1)", 4)])
    svg = picture(rows, ChartSpec(chart_type="bar", title="<a href='http://evil.example'>x</a>"), "svg").decode()
    assert svg.startswith("<svg")
    assert "<script" not in svg
    assert "<a " not in svg
    assert "&lt;script&gt;alert(1)" in svg


def test_the_scale_of_a_picture_is_what_was_asked_for() -> None:
    rows, spec = result(("name", "n"), [("a", 3), ("b", 4)]), ChartSpec(chart_type="bar")
    (one, _), (two, _) = size(picture(rows, spec, scale=1)), size(picture(rows, spec, scale=2))
    assert two == pytest.approx(2 * one, abs=2)


def test_importing_charts_is_cheap() -> None:
    code = "import sys, racto.tools.sql.charts.plotly, racto.tools.sql.charts.terminal, racto.tools.sql.charts.view; print(sorted(sys.modules))"
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    loaded = {name.partition(".")[0] for name in json.loads(found.replace("'", '"'))}
    assert loaded.isdisjoint({"vl_convert", "plotly", "numpy", "pandas", "sqlglot", "plotext"})


def test_real_questions_get_charts_that_draw() -> None:
    """Every fourth gold query over 143 real databases: the choice never fails, and what it chooses is drawn every way."""
    if not DATA.exists():
        pytest.skip(f"the data is not in {DATA}")
    lines = [json.loads(line) for line in (DATA / "spider" / "train.jsonl").read_text("utf-8").splitlines()]
    chosen: Counter[str | None] = Counter()
    for name, query in list(dict.fromkeys((line["db"], line["gold"][0]) for line in lines))[::4]:
        file = DATA / "spider" / "database" / name / f"{name}.sqlite"
        with closing(sqlite3.connect(f"{file.as_uri()}?mode=ro", uri=True)) as database:
            database.text_factory = lambda text: text.decode("utf-8", "replace")
            try:
                cursor = database.execute(query)
                found = cursor.fetchmany(10_000)
            except sqlite3.OperationalError:  # a few do not run
                chosen["failed"] += 1
                continue
        columns = [column[0] for column in cursor.description]
        names = [name if name not in columns[:at] else f"{name}_{at}" for at, name in enumerate(columns)]
        rows = result(names, found)
        spec = choose(rows)
        chosen[spec.chart_type if spec else None] += 1
        if spec:
            json.dumps(vega_lite(rows, spec), allow_nan=False)
            assert sketch(rows, spec)
            assert figure(rows, spec).data
    assert chosen["failed"] <= 2
    assert chosen["bar"] >= 60
    assert len(chosen) >= 5, chosen
    assert sum(chosen.values()) >= 900
