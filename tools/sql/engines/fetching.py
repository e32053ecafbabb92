"""What every engine does with a result: fetch no more of it than may be, and say what its columns are."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterable, Sequence
from datetime import date, datetime, timedelta
from datetime import time as time_of_day
from decimal import Decimal
from itertools import chain
from typing import Any
from uuid import UUID

from ....knowledge.errors import LimitError, QueryError, TimeLimitError
from ..policy import Limits
from ..results import ColumnType, ResultColumn

BATCH = 500
"""Rows fetched at a time, between two looks at the limits."""
SAMPLE_CHARACTERS = 100
"""Where a sample value is cut."""

_TEXTUAL = frozenset((str, bytes))
_DECLARED: tuple[tuple[str, ColumnType], ...] = (
    (r"json|struct|map\b|union|variant|.*\[\d*\]$|array|list|record|hstore", "json"),
    (r"interval", "interval"),
    (r"timestamp|datetime|smalldatetime", "datetime"),
    (r"date", "date"),
    (r"time", "time"),
    (r"bool", "boolean"),
    (
        r"(tiny|small|medium|big|huge|u)*int(eger)?\d*\b|(small|big)?serial|year\b|oid\b|(u?big|u?huge|u?small|u?tiny)int|u?integer",
        "integer",
    ),
    (r"decimal|numeric|number|real|float|double|money|dec\b", "number"),
    (r"bytea|(tiny|medium|long)?blob|(var)?binary|image", "bytes"),
    (r".*char|.*text|clob|string|uuid|enum|set\b|inet|cidr|macaddr|name\b|xml|citext|bpchar", "text"),
)
_PATTERNS = tuple((re.compile(pattern), kind) for pattern, kind in _DECLARED)
_KINDS: dict[type, ColumnType] = {
    bool: "boolean",
    int: "integer",
    float: "number",
    Decimal: "number",
    str: "text",
    UUID: "text",
    bytes: "bytes",
    datetime: "datetime",
    date: "date",
    time_of_day: "time",
    timedelta: "interval",
    dict: "json",
    list: "json",
}


def too_slow(limits: Limits) -> TimeLimitError:
    """The error for a query that reached `limits.seconds`."""
    return TimeLimitError(
        f"The query was stopped after {limits.seconds:g} seconds.",
        "Ask for less: filter earlier, aggregate, or join fewer rows.",
    )


def too_big(limits: Limits) -> LimitError:
    """The error for a result over `limits.result_bytes`."""
    return LimitError(
        f"The result is larger than {limits.result_bytes / 2**20:g} MiB.",
        "Ask for fewer rows or columns, or for shorter values.",
    )


def too_hungry(limits: Limits) -> LimitError:
    """The error for a query that needs more than `limits.memory_bytes`."""
    return LimitError(
        f"The query needs more than {limits.memory_bytes / 2**20:g} MiB of memory.",
        "Ask for less: filter earlier, aggregate, or sort fewer rows.",
    )


def no_rows() -> QueryError:
    """The error for a statement that has no result."""
    return QueryError("This is no query: it has no result.", "Write one SELECT.")


def fetch(
    fetch_many: Callable[[int], Sequence[Sequence[Any]]], limits: Limits, deadline: float
) -> tuple[list[tuple[Any, ...]], bool]:
    """The rows a cursor has, and whether there are more than `limits.rows`.

    :param fetch_many: The next so many rows of the cursor; none at its end.
    :param deadline: When it is too late, by `time.monotonic()`.
    :raises LimitError: a limit was reached.
    """
    rows: list[tuple[Any, ...]] = []
    size = 0
    while not limits.rows or len(rows) <= limits.rows:
        batch = [tuple(row) for row in fetch_many(BATCH)]
        if not batch:
            return rows, False
        size += sum(8 if type(value) not in _TEXTUAL else len(value) for value in chain.from_iterable(batch))
        if size > limits.result_bytes:
            raise too_big(limits)
        if time.monotonic() > deadline:
            raise too_slow(limits)
        rows += batch
    return rows[: limits.rows], True


def result_columns(names: Iterable[str], declared: Iterable[str], rows: Sequence[Sequence[Any]]) -> list[ResultColumn]:
    """The columns of a result: names made different without case, types told from what the database declares or else from values.

    :param declared: Types as the database names them; `""` where it does not say.
    """
    columns, taken = [], set()
    for place, (name, type_name) in enumerate(zip(names, declared, strict=True)):
        kind = declared_type(type_name)
        if kind == "unknown":
            kind = _type_of({type(row[place]) for row in rows})
        unique, count = name or "column", 1
        while unique.lower() in taken:
            count += 1
            unique = f"{name or 'column'}_{count}"
        taken.add(unique.lower())
        columns.append(ResultColumn(unique, kind))
    return columns


def declared_type(name: str) -> ColumnType:
    """What a type a database names holds: `VARCHAR(20)` → `text`."""
    name = name.strip().lower()
    return next((kind for pattern, kind in _PATTERNS if pattern.match(name)), "unknown")


def _type_of(types: set[type]) -> ColumnType:
    kinds = {_KINDS.get(one, "unknown") for one in types if one is not type(None)}
    if len(kinds) == 1:
        return kinds.pop()
    return "number" if kinds == {"integer", "number"} else "unknown"


def sample_text(value: Any) -> str:
    """A value as a sample shows it."""
    text = str(value)
    return text if len(text) <= SAMPLE_CHARACTERS else text[: SAMPLE_CHARACTERS - 1] + "…"
