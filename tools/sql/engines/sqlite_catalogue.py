"""What is in a SQLite file."""

from __future__ import annotations

import contextlib
import sqlite3
from dataclasses import replace
from typing import TYPE_CHECKING

from ..catalogue import Column, ForeignKey, Index, Table
from .fetching import sample_text
from .sqlite_wall import quoted

if TYPE_CHECKING:
    from ..policy import Policy

SAMPLED_ROWS = 10_000
"""The first so many rows of a table are looked at for samples."""


def tables(
    ours: sqlite3.Connection, theirs: sqlite3.Connection, policy: Policy, row_counts: bool, samples: int
) -> tuple[Table, ...]:
    """The tables and views of a file, by name.

    :param theirs: The connection that may read only what `policy` shows; row counts and samples come from it.
    """
    names = ours.execute(
        "SELECT name, type FROM pragma_table_list WHERE schema = 'main' AND type <> 'shadow' AND name NOT LIKE 'sqlite\\_%' ESCAPE '\\' ORDER BY name"
    ).fetchall()
    return tuple(
        _filled(_table(ours, name, kind == "view"), theirs, policy, row_counts, samples) for name, kind in names
    )


def _table(ours: sqlite3.Connection, name: str, is_view: bool) -> Table:
    try:
        rows = ours.execute(
            'SELECT name, type, "notnull", pk FROM pragma_table_xinfo(?) WHERE hidden <> 1 ORDER BY cid', (name,)
        ).fetchall()
    except sqlite3.Error:  # a view over a table that is gone
        rows = []
    keys = sorted((place, column) for column, _, _, place in rows if place)
    return Table(
        name=name,
        kind="view" if is_view else "table",
        columns=tuple(Column(column, kind, not (not_null or place)) for column, kind, not_null, place in rows),
        primary_key=tuple(column for _, column in keys),
        foreign_keys=_foreign_keys(ours, name),
        indexes=_indexes(ours, name),
    )


def _foreign_keys(ours: sqlite3.Connection, name: str) -> tuple[ForeignKey, ...]:
    found: dict[int, list[tuple[str, str, str | None]]] = {}
    for number, table, column, references in ours.execute(
        'SELECT id, "table", "from", "to" FROM pragma_foreign_key_list(?) ORDER BY id DESC, seq', (name,)
    ):
        found.setdefault(number, []).append((table, column, references))
    return tuple(
        ForeignKey(
            tuple(column for _, column, _ in parts),
            parts[0][0],
            tuple(references for _, _, references in parts if references) or _primary_key(ours, parts[0][0]),
        )
        for parts in found.values()
    )


def _primary_key(ours: sqlite3.Connection, name: str) -> tuple[str, ...]:
    """What a foreign key that names no columns refers to."""
    rows = ours.execute("SELECT name FROM pragma_table_info(?) WHERE pk ORDER BY pk", (name,))
    return tuple(column for (column,) in rows)


def _indexes(ours: sqlite3.Connection, name: str) -> tuple[Index, ...]:
    rows = ours.execute(
        "SELECT name, \"unique\" FROM pragma_index_list(?) WHERE origin <> 'pk' ORDER BY name", (name,)
    ).fetchall()
    return tuple(
        Index(
            index,
            tuple(
                column or "(expression)"
                for (column,) in ours.execute("SELECT name FROM pragma_index_info(?) ORDER BY seqno", (index,))
            ),
            bool(unique),
        )
        for index, unique in rows
    )


def _filled(table: Table, theirs: sqlite3.Connection, policy: Policy, row_counts: bool, samples: int) -> Table:
    """The table with its row count and samples, as far as they may be read and there was time.

    Views have no samples: a view may show under another name what nobody may see.
    """
    if not policy.allows(table.schema, table.name):
        return table
    if row_counts:
        with contextlib.suppress(sqlite3.Error):
            (count,) = theirs.execute(f"SELECT count(*) FROM {quoted(table.name)}").fetchone()  # noqa: S608 - quoted
            table = replace(table, row_count=count)
    if samples and table.kind == "table":
        columns = (
            column
            if policy.blocks(table.schema, table.name, column.name)
            or policy.masks(table.schema, table.name, column.name)
            else replace(column, samples=_samples(theirs, table.name, column.name, samples))
            for column in table.columns
        )
        table = replace(table, columns=tuple(columns))
    return table


def _samples(theirs: sqlite3.Connection, table: str, column: str, count: int) -> tuple[str, ...]:
    name = quoted(column)
    sql = (
        f"SELECT DISTINCT {name} FROM (SELECT {name} FROM {quoted(table)} LIMIT {SAMPLED_ROWS}) "  # noqa: S608 - quoted
        f"WHERE typeof({name}) NOT IN ('null', 'blob') LIMIT {int(count)}"
    )
    with contextlib.suppress(sqlite3.Error):
        return tuple(sample_text(value) for (value,) in theirs.execute(sql))
    return ()
