"""What an answer in words may hold: no image or HTML that would call home when it is shown, and no number that is not in the rows."""

from __future__ import annotations

import math
import re
from bisect import bisect_left
from collections.abc import Iterable, Sequence
from contextlib import suppress
from decimal import Decimal
from functools import cached_property
from typing import Any

from .exports import jsonable
from .results import QueryResult

TABLE_ROWS = 20
_CELL = 120
_CHECKED = 200  # numbers of an answer

_TAG = re.compile(r"<(?=[a-zA-Z/!?])")
_TABLE = re.compile(r"^[ \t]*\|.*\|[ \t]*\n[ \t]*\|?[ \t]*:?-{2,}", re.MULTILINE)
_ORDINAL = re.compile(r"^[ \t]*\d{1,3}[.)]\s", re.MULTILINE)
_NUMBER = re.compile(
    r"(?<![\w.,])(?:\d{1,3}(?: \d{3})+(?!\d)|\d+(?:[.,'\u00a0\u202f]\d+)*)"
    r"(?:\s?(?:%|(?:k|K|M|B|bn|thousand|million|billion|trillion)\b))?"
)
_SCALES = {
    "%": 0.01,
    "k": 1e3,
    "K": 1e3,
    "thousand": 1e3,
    "M": 1e6,
    "million": 1e6,
    "B": 1e9,
    "bn": 1e9,
    "billion": 1e9,
    "trillion": 1e12,
}


def harmless(markdown: str) -> str:
    """The text with its images and HTML as text: a viewer that shows it asks nobody for anything."""
    return _TAG.sub("&lt;", markdown.replace("![", "!\\["))


def has_table(markdown: str) -> bool:
    """Whether there is a Markdown table in it."""
    return _TABLE.search(markdown) is not None


def table(result: QueryResult) -> str:
    """The first rows as a Markdown table."""
    lines = [_row(result.names), _row(["---"] * len(result.columns), plain=True)]
    lines += [_row(["" if value is None else jsonable(value) for value in row]) for row in result.rows[:TABLE_ROWS]]
    left = len(result.rows) - TABLE_ROWS
    if left > 0 or result.truncated:
        count = f"{max(left, 0)} more rows" if not result.truncated else "more rows"
        lines += ["", f"*… {count}*"]
    return "\n".join(lines)


def unsupported(answer: str, question: str, results: Sequence[QueryResult], said: Iterable[str] = ()) -> list[str]:
    """The numbers of an answer, as it writes them, that are neither in the rows, exactly or rounded, nor in the question.

    Thousands may be set apart, percent may stand for a share and `1.2M` for 1,234,567. At most 200 numbers are looked at.

    :param said: Other texts whose numbers count.
    """
    numbers = sorted(
        {abs(one) for result in results for row in result.rows for value in row for one in _numbers(value)}
    )
    counts = {float(count) for result in results for count in (len(result.rows), len(result.columns))}
    texts = _Texts([question, *said], results)

    def known(token: str) -> bool:
        if any(_near(numbers, value, step) or value in counts for value, step in _readings(token)):
            return True
        if " " in token:  # not one number with its thousands apart, but several
            return all(map(known, token.split()))
        return texts.have(token)

    found = [match[0] for match in _NUMBER.finditer(_ORDINAL.sub("", answer))]
    return [token for token in dict.fromkeys(found[:_CHECKED]) if not known(token)]


def _readings(token: str) -> list[tuple[float, float]]:
    """What a number may mean, each with the size of its last place: `1,234` is one thousand or one and a bit."""
    digits = re.split(r"\s?[%a-zA-Z]", token)[0]
    scale = _SCALES.get(token[len(digits) :].strip(), 1.0)
    readings = []
    for point in ".,":
        whole, _, fraction = digits.rpartition(point) if digits.count(point) == 1 else (digits, "", "")
        if re.fullmatch(r"\d+|\d{1,3}(?:[.,' \u00a0\u202f]\d{3})+", whole) and (fraction.isdigit() or not fraction):
            plain = re.sub(r"\D", "", whole)
            value, step = float(f"{plain}.{fraction or 0}"), 10.0 ** -len(fraction)
            readings.append((value * scale, step * scale))
            if scale == 0.01:
                readings.append((value, step))  # the column may hold percent already
    return readings


def _near(numbers: Sequence[float], value: float, step: float) -> bool:
    """Whether one of the sorted numbers rounds to the value."""
    slack = step / 2 + abs(value) * 1e-9
    at = bisect_left(numbers, value - slack)
    return at < len(numbers) and numbers[at] <= value + slack


def _numbers(value: Any) -> Iterable[float]:
    if isinstance(value, int | float | Decimal) and not isinstance(value, bool):
        with suppress(OverflowError, ValueError):  # larger than any number an answer tells
            number = float(value)
            if math.isfinite(number):
                yield number
    elif isinstance(value, list | tuple):
        for one in value:
            yield from _numbers(one)
    elif isinstance(value, dict):
        yield from _numbers(list(value.values()))


class _Texts:
    """What is said in words, looked through when the first number is not among the numbers."""

    def __init__(self, said: Sequence[str], results: Sequence[QueryResult]) -> None:
        self._said = said
        self._results = results

    def have(self, token: str) -> bool:
        """Whether a number stands in them; a whole one not as a part of a longer one."""
        return token.lstrip("0") in self._whole if token.isdigit() else token in self._text

    @cached_property
    def _text(self) -> str:
        words = [*self._said, *(name for result in self._results for name in result.names)]
        values = (value for result in self._results for row in result.rows for value in row)
        words += [str(jsonable(value)) for value in values if not isinstance(value, int | float | Decimal)]
        return "\n".join(words)

    @cached_property
    def _whole(self) -> frozenset[str]:
        return frozenset(each.lstrip("0") for each in re.findall(r"\d+", self._text))


def _row(values: Sequence[Any], *, plain: bool = False) -> str:
    cells = [str(value) if plain else _escaped(str(value)) for value in values]
    return f"| {' | '.join(cells)} |"


def _escaped(text: str) -> str:
    """A cell that stays a cell: on one line, and nothing in it is Markdown or HTML."""
    text = " ".join((text if len(text) <= _CELL else f"{text[:_CELL]}…").split())
    return re.sub(r"([\\`*_\[\]|~])", r"\\\1", text).replace("<", "&lt;")
