"""Rows of a result as a table for a terminal."""

from __future__ import annotations

import json
import unicodedata
from collections.abc import Sequence
from datetime import datetime
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from ..tools.sql.exports import jsonable

if TYPE_CHECKING:
    from ..tools.sql.results import QueryResult

WIDEST = 80
"""Columns of the terminal a value may take; longer ones are cut."""
NARROWEST = 12
"""Columns a text is cut to, at most, to have a row on one line; rows that do not fit then are shown one value a line. Numbers are never cut."""
_BETWEEN = 3
_BREAKS = {"\n": " ", "\r": "", "\t": " "}
_TURNING = frozenset("\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")


def table(result: QueryResult, most: int, width: int | None = None) -> str:
    """The first rows below their names, numbers to the right; one value a line where a row is wider than the terminal.

    :param most: Rows.
    :param width: Columns of the terminal; `None` where nothing is to fit.
    """
    names = [safe(name) for name in result.names]
    rows = [[_shown(value) for value in row] for row in result.rows[:most]]
    widths = [min(WIDEST, max(map(columns, (name, *cells)))) for name, *cells in zip(names, *rows, strict=True)]
    right = [_is_number(result, at) for at in range(len(names))]
    if width is not None:
        room = width - _BETWEEN * (len(names) - 1) - 2
        least = [one if number else min(NARROWEST, one) for one, number in zip(widths, right, strict=True)]
        if sum(least) > room:
            return _records(names, rows, width)
        while sum(widths) > room:
            _, at = max((one, at) for at, one in enumerate(widths) if one > least[at])
            widths[at] -= 1
    lines = [" | ".join(padded(name, one) for name, one in zip(names, widths, strict=True))]
    lines.append("-+-".join("-" * one for one in widths))
    lines += [" | ".join(map(padded, row, widths, right)) for row in rows]
    return "\n".join(f" {line}".rstrip() for line in lines)


def safe(text: str) -> str:
    """A text on one line that a terminal only shows: what would steer it, or turn the direction of reading, is shown as a sign."""
    if text.isascii() and text.isprintable():
        return text
    return "".join(map(_sign, text))


def safe_lines(text: str) -> str:
    """As `safe`, lines kept."""
    return "\n".join(map(safe, text.split("\n")))


def columns(text: str) -> int:
    """How many columns of a terminal a text takes: two for each ideograph, none for a combining mark."""
    if text.isascii():
        return len(text)
    return sum(
        0 if unicodedata.combining(char) else 2 if unicodedata.east_asian_width(char) in "WF" else 1 for char in text
    )


def padded(text: str, width: int, right: bool = False) -> str:
    """A text exactly so many columns wide, cut with `…` where it is longer."""
    if columns(text) > width:
        kept, taken = [], 1
        for char in text:
            taken += columns(char)
            if taken > width:
                break
            kept.append(char)
        text = "".join(kept) + "…"
    space = " " * (width - columns(text))
    return space + text if right else text + space


def _records(names: Sequence[str], rows: Sequence[Sequence[str]], width: int) -> str:
    widest = min(max(map(columns, names)), width // 3)
    lines = []
    for number, row in enumerate(rows, 1):
        lines.append(padded(f"-- {number} ", min(width, 40)).rstrip())
        room = max(1, width - widest - _BETWEEN - 1)
        lines += [
            f" {padded(name, widest)} | {padded(cell, min(room, columns(cell)))}"
            for name, cell in zip(names, row, strict=True)
        ]
    return "\n".join(lines)


def _shown(value: Any) -> str:
    if value is None:
        return "NULL"
    if isinstance(value, Decimal | float):
        return str(value)
    if isinstance(value, datetime):
        return value.isoformat(" ")
    plain = jsonable(value)
    return safe(plain if isinstance(plain, str) else json.dumps(plain, ensure_ascii=False))


def _is_number(result: QueryResult, at: int) -> bool:
    values = [row[at] for row in result.rows if row[at] is not None]
    return bool(values) and all(isinstance(one, int | float | Decimal) and not isinstance(one, bool) for one in values)


def _sign(char: str) -> str:
    if char in _BREAKS:
        return _BREAKS[char]
    if ord(char) < 32:
        return chr(0x2400 + ord(char))  # its picture: ␛ for escape
    return "�" if char in _TURNING or unicodedata.category(char) in ("Cc", "Cs", "Co", "Zl", "Zp") else char
