"""What is in a DuckDB file, and in files that stand for tables."""

from __future__ import annotations

import contextlib
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ....knowledge.errors import ConfigError
from ..catalogue import Column, ForeignKey, Index, Table
from ..policy import MASK
from .fetching import sample_text

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

    from ..policy import Policy

SAMPLED_ROWS = 10_000
"""The first so many rows of a table are looked at for samples."""

_READERS = {
    **dict.fromkeys((".csv", ".tsv", ".txt"), "read_csv"),
    **dict.fromkeys((".json", ".jsonl", ".ndjson"), "read_json"),
    ".parquet": "read_parquet",
}
_PACKED = (".gz", ".zst")
_COLUMNS = """
SELECT schema_name, table_name, column_name, data_type, is_nullable, coalesce(comment, '')
FROM duckdb_columns() WHERE database_name = $1 AND coalesce($2, schema_name) = schema_name AND NOT internal
ORDER BY schema_name, table_name, column_index
"""
_TABLES = """
SELECT schema_name, table_name, 'table', coalesce(comment, '')
FROM duckdb_tables() WHERE database_name = $1 AND coalesce($2, schema_name) = schema_name AND NOT internal
UNION ALL
SELECT schema_name, view_name, 'view', coalesce(comment, '')
FROM duckdb_views() WHERE database_name = $1 AND coalesce($2, schema_name) = schema_name AND NOT internal
ORDER BY ALL
"""
_KEYS = """
SELECT schema_name, table_name, constraint_type, constraint_column_names, referenced_table, referenced_column_names
FROM duckdb_constraints() WHERE database_name = $1 AND coalesce($2, schema_name) = schema_name
ORDER BY constraint_index
"""
_INDEXES = """
SELECT schema_name, table_name, index_name, expressions, is_unique
FROM duckdb_indexes() WHERE database_name = $1 AND coalesce($2, schema_name) = schema_name AND NOT is_primary
ORDER BY index_name
"""
_Rows = dict[tuple[str, str], list[tuple[Any, ...]]]


@dataclass(frozen=True)
class Found:
    """A table with where its rows come from, as SQL that goes after FROM."""

    table: Table
    source: str


def name(text: str) -> str:
    """A name as SQL takes it."""
    return '"' + text.replace('"', '""') + '"'


def literal(text: str) -> str:
    """A text as SQL takes it."""
    return "'" + text.replace("'", "''") + "'"


def paths(files: Mapping[str, str]) -> dict[str, list[Path]]:
    """The files each table stands for, in order.

    :param files: Table → path or glob.
    :raises ConfigError: a table stands for none.
    """
    import glob

    found = {}
    for table, pattern in files.items():
        whole = Path(pattern).expanduser().absolute()
        matches = [whole] if whole.is_file() else sorted(map(Path, glob.glob(str(whole), recursive=True)))  # noqa: PTH207 - absolute
        found[table] = [path for path in matches if path.is_file()]
        if not found[table]:
            raise ConfigError(
                f"There is no file for the table {table!r}.", f"Check the path: it ends in {whole.name!r}."
            )
    return found


def file_source(table: str, files: list[Path]) -> str:
    """The function call that reads the files of a table."""
    suffixes = {(path.with_suffix("") if path.suffix in _PACKED else path).suffix.lower() for path in files}
    readers = {_READERS.get(suffix, "") for suffix in suffixes}
    if len(readers) != 1 or "" in readers:
        known = ", ".join(_READERS)
        raise ConfigError(
            f"The files of the table {table!r} are not all of one kind that is known.", f"Known: {known}."
        )
    listed = ", ".join(literal(str(path)) for path in files)
    return f"{readers.pop()}([{listed}])"


def of_files(connection: DuckDBPyConnection, sources: Mapping[str, str]) -> list[Found]:
    """The tables that files stand for.

    :param sources: Table → function call that reads its files.
    """
    found = []
    for table, source in sources.items():
        rows = connection.execute(f"DESCRIBE SELECT * FROM {source}").fetchall()  # noqa: S608 - from the configuration
        columns = tuple(Column(row[0], row[1]) for row in rows)
        found.append(Found(Table(table, columns, schema="main"), source))
    return found


def of_database(connection: DuckDBPyConnection, database: str, schema: str | None = None) -> list[Found]:
    """The tables and views of an attached database, by name.

    :param schema: Only those of this one.
    """

    def rows(sql: str) -> _Rows:
        grouped: _Rows = defaultdict(list)
        for first, second, *rest in connection.execute(sql, [database, schema]).fetchall():
            grouped[first, second].append(tuple(rest))
        return grouped

    columns, tables, keys, indexes = map(rows, (_COLUMNS, _TABLES, _KEYS, _INDEXES))
    return [
        Found(
            Table(
                name=table,
                schema=where_it_is,
                kind=kind,
                comment=comment,
                columns=tuple(
                    Column(one, type_, nullable, note) for one, type_, nullable, note in columns[where_it_is, table]
                ),
                primary_key=next((tuple(key[1]) for key in keys[where_it_is, table] if key[0] == "PRIMARY KEY"), ()),
                foreign_keys=tuple(
                    ForeignKey(tuple(own), other, tuple(theirs))
                    for type_, own, other, theirs in keys[where_it_is, table]
                    if type_ == "FOREIGN KEY" and other
                ),
                indexes=tuple(
                    Index(index, tuple(part.strip().strip('"') for part in parts.strip("[]").split(",")), unique)
                    for index, parts, unique in indexes[where_it_is, table]
                ),
            ),
            f"{name(database)}.{name(where_it_is)}.{name(table)}",
        )
        for (where_it_is, table), ((kind, comment),) in tables.items()
    ]


def view_of(found: Found, policy: Policy) -> str:
    """The columns of a table that a policy shows, masked ones masked, as a SELECT; empty when it shows none."""
    table = found.table
    columns = []
    for column in table.columns:
        quoted = name(column.name)
        if policy.blocks(table.schema, table.name, column.name):
            continue
        if policy.masks(table.schema, table.name, column.name):
            quoted = f"CASE WHEN {quoted} IS NULL THEN NULL ELSE {literal(MASK)} END AS {quoted}"
        columns.append(quoted)
    return f"SELECT {', '.join(columns)} FROM {found.source}" if columns else ""  # noqa: S608 - quoted


def filled(connection: DuckDBPyConnection, found: Found, policy: Policy, row_counts: bool, samples: int) -> Table:
    """A table with its row count and samples, as far as they may be read and there was time.

    Views have no samples: a view may show under another name what nobody may see.
    """
    import duckdb

    table = found.table
    if not policy.allows(table.schema, table.name):
        return table
    if row_counts:
        with contextlib.suppress(duckdb.Error):
            ((count,),) = connection.execute(f"SELECT count(*) FROM {found.source}").fetchall()  # noqa: S608 - quoted
            table = replace(table, row_count=count)
    if not samples or table.kind == "view":
        return table
    columns = tuple(
        column
        if policy.blocks(table.schema, table.name, column.name) or policy.masks(table.schema, table.name, column.name)
        else replace(column, samples=_samples(connection, found.source, column, samples))
        for column in table.columns
    )
    return replace(table, columns=columns)


def _samples(connection: DuckDBPyConnection, source: str, column: Column, count: int) -> tuple[str, ...]:
    import duckdb

    quoted = name(column.name)
    sql = (
        f"SELECT DISTINCT {quoted}::VARCHAR FROM (SELECT {quoted} FROM {source} LIMIT {SAMPLED_ROWS}) "  # noqa: S608 - quoted
        f"WHERE {quoted} IS NOT NULL ORDER BY ALL LIMIT {int(count)}"
    )
    if column.type.startswith("BLOB"):
        return ()
    with contextlib.suppress(duckdb.Error):
        return tuple(sample_text(value) for (value,) in connection.execute(sql).fetchall())
    return ()
