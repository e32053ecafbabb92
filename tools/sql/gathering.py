"""The rows of a query as they arrive, no more of them than the limits allow; every engine gathers its results here."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import count
from typing import TYPE_CHECKING, Any

from ...knowledge.errors import LimitError
from .results import ColumnType, QueryResult, ResultColumn

if TYPE_CHECKING:
    from .policy import Limits


def unique(names: Iterable[str]) -> Iterator[str]:
    """The names of a result, each one once: `name`, `name_2`; a column without a name is `column`."""
    listed = [name or "column" for name in names]
    taken: set[str] = set()
    for name in listed:
        free = name
        if name in taken:
            free = next(one for number in count(2) if (one := f"{name}_{number}") not in taken and one not in listed)
        taken.add(free)
        yield free


def gathered(
    names: Iterable[str], types: Iterable[ColumnType], rows: Iterable[tuple[Any, ...]], limits: Limits
) -> QueryResult:
    """A result of `limits.rows` rows at most. What comes after the first row too many is not asked for.

    :raises LimitError: the rows hold more than `limits.result_bytes`.
    """
    columns = [ResultColumn(name, kind) for name, kind in zip(unique(names), types, strict=True)]
    kept: list[tuple[Any, ...]] = []
    held = 0
    for row in rows:
        if limits.rows and len(kept) >= limits.rows:
            return QueryResult(columns, kept, truncated=True)
        held += 16 * len(row) + sum(_length(value) for value in row if isinstance(value, (str, bytes, list, dict)))
        if held > limits.result_bytes:
            raise too_large(limits)
        kept.append(row)
    return QueryResult(columns, kept)


def too_large(limits: Limits) -> LimitError:
    """The error for a result that cannot be held."""
    return LimitError(
        f"The result is larger than {limits.result_bytes:,} bytes.",
        "Ask for fewer columns or rows, or aggregate in the query.",
    )


def _length(value: str | bytes | list[Any] | dict[Any, Any]) -> int:
    """About as many bytes as it takes."""
    if isinstance(value, (str, bytes)):
        return len(value)
    inside = value if isinstance(value, list) else [*value, *value.values()]
    return 16 * len(inside) + sum(_length(one) for one in inside if isinstance(one, (str, bytes, list, dict)))
