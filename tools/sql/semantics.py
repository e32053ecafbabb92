"""What the owner of a database says about it: descriptions, synonyms, metrics, joins, and questions with their answers."""

from __future__ import annotations

import difflib
import re
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass, field, replace

from ...knowledge.errors import QueryError
from .catalogue import Catalogue, Table
from .identifiers import quoted

_WORD = re.compile(r"\w+")


@dataclass(frozen=True)
class ColumnMeaning:
    """What a column means.

    :param values: A value as the database has it → what it stands for.
    """

    description: str = ""
    synonyms: tuple[str, ...] = ()
    values: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class TableMeaning:
    """What a table means; its columns by their names in lower case."""

    description: str = ""
    synonyms: tuple[str, ...] = ()
    columns: Mapping[str, ColumnMeaning] = field(default_factory=dict)


@dataclass(frozen=True)
class Metric:
    """A number people ask for by name.

    :param sql: A whole query that gives it.
    :param tables: Full names of those it reads; known once it was checked.
    """

    name: str
    sql: str
    description: str = ""
    synonyms: tuple[str, ...] = ()
    tables: tuple[str, ...] = ()


@dataclass(frozen=True)
class Join:
    """How two tables belong together where no foreign key says so.

    :param on: The condition, in SQL, with the names of the tables.
    """

    left: str
    right: str
    on: str
    description: str = ""

    def sql(self, dialect: str) -> str:
        """A query that joins them."""
        left, right = (".".join(quoted(part, dialect) for part in name.split(".")) for name in (self.left, self.right))
        return f"SELECT 1 FROM {left} JOIN {right} ON {self.on}"  # noqa: S608 - the owner of the database wrote it


@dataclass(frozen=True)
class Question:
    """A question, and a query known to answer it."""

    question: str
    sql: str
    note: str = ""


@dataclass(frozen=True)
class Semantics:
    """What a database means; its tables by their names in lower case, with or without their schema."""

    description: str = ""
    tables: Mapping[str, TableMeaning] = field(default_factory=dict)
    metrics: tuple[Metric, ...] = ()
    joins: tuple[Join, ...] = ()
    questions: tuple[Question, ...] = ()

    def table(self, table: Table) -> TableMeaning:
        """What is said about a table; empty when nothing is."""
        return self.tables.get(table.full_name.lower()) or self.tables.get(table.name.lower()) or TableMeaning()

    def with_docs(
        self, table_docs: Mapping[str, str] | None, column_docs: Mapping[str, Mapping[str, str]] | None
    ) -> Semantics:
        """The same with other descriptions of tables (name → description) and columns (table → column → description)."""
        tables = dict(self.tables)
        for name, description in (table_docs or {}).items():
            tables[name.lower()] = replace(tables.get(name.lower(), TableMeaning()), description=description)
        for name, docs in (column_docs or {}).items():
            held = tables.get(name.lower(), TableMeaning())
            columns = dict(held.columns)
            for column, description in docs.items():
                columns[column.lower()] = replace(columns.get(column.lower(), ColumnMeaning()), description=description)
            tables[name.lower()] = replace(held, columns=columns)
        return replace(self, tables=tables)

    def within(
        self, visible: Catalogue, hidden: Collection[str], tables_of: Callable[[str], Iterable[str]]
    ) -> Semantics:
        """What of it may be told to whoever sees a part of the database: nothing about the rest, no values of masked columns.

        :param visible: That part.
        :param hidden: Names in lower case that nobody may see.
        :param tables_of: Gives the tables a query reads, or raises `QueryError` when it may not be run.
        """

        def read(sql: str) -> tuple[str, ...] | None:
            if not {word.lower() for word in _WORD.findall(sql)}.isdisjoint(hidden):
                return None
            try:
                return tuple(tables_of(sql))
            except QueryError:
                return None

        meanings = {table.full_name.lower(): _shown(self.table(table), table) for table in visible.tables}
        metrics = (
            replace(metric, tables=tables) for metric in self.metrics if (tables := read(metric.sql)) is not None
        )
        return replace(
            self,
            tables={name: meaning for name, meaning in meanings.items() if meaning != TableMeaning()},
            metrics=tuple(metrics),
            joins=tuple(join for join in self.joins if read(join.sql(visible.dialect)) is not None),
            questions=tuple(one for one in self.questions if read(one.sql) is not None),
        )

    def problems(self, visible: Catalogue, explain: Callable[[str], object]) -> list[str]:
        """What of it does not fit the database, one sentence each.

        :param visible: What the policy shows of the database.
        :param explain: Raises `QueryError` for a query that may not be run or that the database does not understand.
        """
        found = []
        for name, meaning in self.tables.items():
            table = next((one for one in visible.tables if name in (one.full_name.lower(), one.name.lower())), None)
            if table is None:
                found.append(_missing("table", name, [one.full_name for one in visible.tables]))
                continue
            names = [column.name for column in table.columns]
            known = {one.lower() for one in names}
            found += [_missing(f"column of {name}", one, names) for one in meaning.columns if one not in known]
        queries = [(f"Metric {one.name!r}", one.sql) for one in self.metrics]
        queries += [(f"Join of {one.left} and {one.right}", one.sql(visible.dialect)) for one in self.joins]
        queries += [(f"Question {one.question!r}", one.sql) for one in self.questions]
        for what, sql in queries:
            try:
                explain(sql)
            except QueryError as error:
                found.append(f"{what}: {error}")
        return found


def _shown(meaning: TableMeaning, table: Table) -> TableMeaning:
    columns = {}
    for column in table.columns:
        if held := meaning.columns.get(column.name.lower()):
            columns[column.name.lower()] = replace(held, values={}) if column.masked else held
    return replace(meaning, columns=columns)


def _missing(kind: str, name: str, known: Collection[str]) -> str:
    return f"There is no {kind} named {name!r}. {nearest(name, known)}".rstrip()


def nearest(name: str, known: Collection[str]) -> str:
    """`Did you mean …?`, or nothing where no name is near."""
    by_case = {one.lower(): one for one in known}
    near = difflib.get_close_matches(name.lower(), by_case, n=1)
    return f"Did you mean {by_case[near[0]]!r}?" if near else ""
