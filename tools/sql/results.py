"""What a query came to."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Literal

ColumnType = Literal[
    "integer", "number", "text", "boolean", "date", "time", "datetime", "interval", "json", "bytes", "unknown"
]


@dataclass(frozen=True, slots=True)
class ResultColumn:
    """A column of a result; the names of a result are all different (`name`, `name_2`)."""

    name: str
    type: ColumnType = "unknown"


@dataclass(slots=True)
class QueryResult:
    """The rows of a query, as the database gave them.

    :param rows: Python values by place: int, float, Decimal, str, bool, date, time, datetime, timedelta, bytes, UUID, list, dict, None.
    :param sql: What was run.
    :param truncated: There are more rows, and they were not fetched.
    :param seconds: What it took.
    """

    columns: list[ResultColumn]
    rows: list[tuple[Any, ...]]
    sql: str = ""
    truncated: bool = False
    seconds: float = 0.0
    notes: list[str] = field(default_factory=list)

    @property
    def names(self) -> list[str]:
        """Of the columns."""
        return [column.name for column in self.columns]

    def records(self) -> list[dict[str, Any]]:
        """Each row by column name."""
        names = self.names
        return [dict(zip(names, row, strict=True)) for row in self.rows]
