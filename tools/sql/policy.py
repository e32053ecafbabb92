"""What may be read of a database, and how much of it."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, field

MASK = "***MASKED***"
"""What stands in place of a masked value."""


def _lower(names: Collection[str] | None) -> frozenset[str]:
    return frozenset(name.strip().lower() for name in names or ())


@dataclass(frozen=True)
class Policy:
    """Which tables and columns may be read. Names are compared without case.

    :param allowed_tables: `table` or `schema.table`; `None` allows every table and file of the catalogue, and every view unless columns are hidden.
    :param blocked_columns: `column` or `table.column`: nobody sees that they are there.
    :param mask_columns: `column` or `table.column`: `MASK` wherever their values would be; null stays null.
    """

    allowed_tables: Collection[str] | None = None
    blocked_columns: Collection[str] = ()
    mask_columns: Collection[str] = ()

    def __post_init__(self) -> None:
        for name in ("blocked_columns", "mask_columns"):
            object.__setattr__(self, name, _lower(getattr(self, name)))
        if self.allowed_tables is not None:
            object.__setattr__(self, "allowed_tables", _lower(self.allowed_tables))

    def allows(self, schema: str, table: str, *, view: bool = False) -> bool:
        """Whether a table may be read.

        :param view: A view may show a hidden column under another name: where columns are hidden, it has to be allowed by its own.
        """
        if self.allowed_tables is None:
            return not (view and (self.blocked_columns or self.mask_columns))
        return not {table.lower(), f"{schema}.{table}".lower()}.isdisjoint(self.allowed_tables)

    def blocks(self, schema: str, table: str, column: str) -> bool:
        """Whether a column is not there for anybody."""
        return _names(schema, table, column, self.blocked_columns)

    def masks(self, schema: str, table: str, column: str) -> bool:
        """Whether a column is there, but not its values."""
        return _names(schema, table, column, self.mask_columns)


def _names(schema: str, table: str, column: str, among: Collection[str]) -> bool:
    full = f"{schema}.{table}.{column}".lower()
    return not {column.lower(), f"{table}.{column}".lower(), full}.isdisjoint(among)


@dataclass(frozen=True)
class Limits:
    """How much one query may take. Each holds for every engine, within a second.

    :param seconds: From the start of the query to its last row.
    :param rows: Of the result; 0 for no limit.
    :param result_bytes: Of the rows as they cross from the worker.
    :param memory_bytes: Of the process that runs the query, above what it took before.
    """

    seconds: float = 30.0
    rows: int = 10_000
    result_bytes: int = field(default=64 * 2**20)
    memory_bytes: int = field(default=512 * 2**20)
