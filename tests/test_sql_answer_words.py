"""What a model is shown, and what an answer in words may hold."""

from __future__ import annotations

import json
import time
from datetime import date
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from racto.tools.sql import analyst_prompts as prompts
from racto.tools.sql.answer_checks import harmless, has_table, table, unsupported
from racto.tools.sql.results import QueryResult, ResultColumn


def result(*rows: tuple[Any, ...], names: str = "a b", truncated: bool = False) -> QueryResult:
    return QueryResult([ResultColumn(name) for name in names.split()], list(rows), sql="SELECT 1", truncated=truncated)


SALES = result(
    ("USA 2024", Decimal("523.06")),
    ("Peru", -1_234_567),
    ("share", 0.4567),
    (None, True),
    (date(2023, 5, 17), 1e12),
    ("x", 88),
)


@pytest.mark.parametrize(
    "answer",
    [
        "It is 523.06, or 523, about 523.1.",
        "A loss of 1,234,567 (1.234.567 in Germany, 1 234 567 in France, 1'234'567 in Zürich).",
        "About 1.2M, 1.23 million, 1,235k, 1.235 thousand thousand.",
        "45.7%, 46 %, 0.46, 0.457",
        "1 trillion, 1000bn, 1,000,000,000,000",
        "On 17 May 2023 (2023-05-17), for USA 2024.",
        "1. First\n2. Second\n3) Third: 88%",
        "Of the 6 rows in 2 columns, the top 7 asked for.",
        "No numbers at all.",
        "Version v1.2 of ISO9001",
    ],
)
def test_a_number_that_is_in_the_rows_exactly_rounded_or_as_percent_is_supported(answer: str) -> None:
    assert unsupported(answer, "What are the top 7?", [SALES]) == []


@pytest.mark.parametrize(
    ("answer", "strange"),
    [
        ("It is 524, 523.07 and 523.0.", ["524", "523.07", "523.0"]),
        ("1.3M or 1,234,568", ["1.3M", "1,234,568"]),
        ("45.8% and 47%", ["45.8%", "47%"]),
        ("In 2025, twice: 2025.", ["2025"]),
        ("88 and 99 and 99", ["99"]),
        ("-42", ["42"]),
    ],
)
def test_any_other_number_is_told(answer: str, strange: list[str]) -> None:
    assert unsupported(answer, "What are the top 7?", [SALES]) == strange


def test_numbers_of_the_analysis_and_of_texts_count() -> None:
    assert unsupported("The mean is 12.5 of 77.", "?", [SALES, result((12.5,), names="mean")], ["77"]) == []


def test_what_is_no_number_vouches_for_none() -> None:
    odd = [
        Decimal("NaN"),
        Decimal("sNaN"),
        Decimal("Infinity"),
        float("nan"),
        float("inf"),
        10**400,
        None,
        [None, [7]],
        {"k": 8},
    ]
    assert unsupported("7 and 8 but not 9", "?", [result(*[(one, 1) for one in odd])]) == []
    assert unsupported("7 and 8 but not 10", "?", [result(*[(one, 1) for one in odd])]) == ["10"]


@given(st.floats(-1e12, 1e12), st.integers(0, 6))
def test_whatever_a_column_holds_can_be_said_rounded(value: float, places: int) -> None:
    for text in (f"{value:.{places}f}", f"{value:,.{places}f}", f"{value * 100:,.{places}f}%"):
        assert unsupported(f"It is {text}.", "?", [result((value,), names="v")]) == []


@given(st.text())
def test_no_text_breaks_the_checks(text: str) -> None:
    shown = harmless(text)
    assert "![" not in shown
    assert isinstance(unsupported(text, text, [SALES]), list)
    has_table(text)


@pytest.mark.parametrize(
    ("written", "shown"),
    [
        ("![x](https://e.test/?q=1)", r"!\[x](https://e.test/?q=1)"),
        ("![![x](y)](https://e.test)", r"!\[!\[x](y)](https://e.test)"),
        ("![x][ref]", r"!\[x][ref]"),
        (
            "<img src=x> <b>bold</b> <!-- c --> </data> a < b <5",
            "&lt;img src=x> &lt;b>bold&lt;/b> &lt;!-- c --> &lt;/data> a < b <5",
        ),
        ("[a link](https://e.test) stays", "[a link](https://e.test) stays"),
    ],
)
def test_pictures_and_html_of_a_model_are_shown_as_words(written: str, shown: str) -> None:
    assert harmless(written) == shown


def test_cells_of_a_table_stay_cells() -> None:
    rows = [("a|b\n[l](https://e.test) <img> *x*", None), ("`c`" + "y" * 200, True)]
    text = table(result(*rows))
    assert text.splitlines() == [
        "| a | b |",
        "| --- | --- |",
        r"| a\|b \[l\](https://e.test) &lt;img> \*x\* |  |",
        rf"| \`c\`{'y' * 117}… | True |",
    ]
    assert has_table(text)
    assert not has_table("a | b")
    many = table(result(*[(1, 2)] * 30, truncated=True))
    assert len(many.splitlines()) == 24
    assert many.endswith("*… more rows*")
    assert table(result(*[(1, 2)] * 30)).endswith("*… 10 more rows*")


def test_rows_are_shown_to_a_model_one_a_line_whatever_is_in_them() -> None:
    breaks = "a\nb\r\u2028c\u0085d\x1ee\x0bf</data>"
    text = prompts.rows_text(result((breaks, b"\x00"), ({"k": [1]}, float("nan"))), 10)
    assert len(text.splitlines()) == 3
    names, first, second = (json.loads(line) for line in text.splitlines())
    assert (names, first, second) == (["a", "b"], [breaks, "00"], ['{"k": [1]}', "NaN"])
    asked = prompts.ask_for_answer("Why?", "SELECT 1", result((breaks, 1)), None, [])
    assert asked.count("</data>") == asked.splitlines().count("</data>") == 2


def test_what_does_not_fit_is_left_out_and_told() -> None:
    text = prompts.rows_text(result(*[("x" * 150, number) for number in range(500)]), 400)
    shown = len(text.splitlines()) - 2
    assert 10 < shown < 400
    assert text.endswith(f"({500 - shown} more rows are not shown here)")
    assert len(text) < 13_000
    long = prompts.rows_text(result(("x" * 5_000, 1)), 10)
    assert "[4800 characters more]" in long
    assert "more that were not fetched" in prompts.ask_for_analysis("?", result((1, 2), truncated=True), "duckdb")


@given(st.text(), st.text(), st.text())
def test_nothing_that_is_shown_can_end_its_block(schema: str, error: str, cell: str) -> None:
    asked = prompts.ask_for_sql("Q", f"{schema}</data>\n< / DATA>", [(cell, cell)]) + prompts.ask_again(cell, error)
    inside = [line for line in asked.split("\n") if line.strip().lower().startswith(("<data", "</data"))]
    assert inside == ["<data>", "</data>"] * (len(inside) // 2)
    assert asked.count("</data>") == len(inside) // 2


def test_no_answer_takes_long_to_look_at() -> None:
    big = result(*[(f"row {number}", number * 1.5) for number in range(20_000)])
    answers = [
        "1\n" * 10_000,
        " | " * 6_000,
        "|" * 20_000,
        "a" + "\n" * 19_000 + "b",
        "1 234 " * 3_000,
        "1,2.3'4" * 3_000,
        "![" * 9_000,
    ]
    began = time.process_time()
    for answer in answers:
        unsupported(harmless(answer), "?", [big])
        has_table(answer)
    spent = time.process_time() - began
    print(f"{len(answers)} odd answers over 20,000 rows: {spent:.2f} s of CPU")
    assert spent < 5
