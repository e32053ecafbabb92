"""A second look at the rows of a query: another guarded query over them in a DuckDB of its own, or Python code in a confined process."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import partial
from typing import Any, Literal, TypeAlias, get_args

from ...knowledge.errors import ConfigError, InputError
from .catalogue import Catalogue, Column, Table
from .engines import Target
from .policy import Limits, Policy
from .results import QueryResult, ResultColumn
from .waiting import cancellable
from .workers import Connection

AnalysisEngine: TypeAlias = Literal["duckdb", "pandas", "polars"]

TABLE = "result"
"""What the rows are called in the second query."""
_ROWS = 10_000
_IDLE = 2
_KEPT_VALUES = 100_000  # an idle process keeps its rows
_SCHEMA = "main"


@dataclass(frozen=True, slots=True)
class Analysed:
    """What an analysis came to.

    :param value: One value, or a list of rows by column name; from Python, a data frame of the engine's for a table.
    :param shown: The same for a model: rows, or a text.
    """

    value: Any
    shown: QueryResult | str


class Analysis:
    """Analyses of results, each alone with its rows; processes that are warm are kept for the next.

    :param limits: Of each; no more than 10,000 rows come back.
    """

    def __init__(self, limits: Limits) -> None:
        self._limits = replace(limits, rows=_ROWS)
        self._idle: list[Connection] = []

    async def run(self, code: str, rows: QueryResult, engine: AnalysisEngine) -> Analysed:
        """What SQL over the table `result`, or Python over the data frame `df`, makes of the rows. Whoever waits may be cancelled; the process is killed then.

        :raises QueryError: it was refused, or failed.
        :raises LimitError: it took more than it may.
        :raises ConfigError: Python cannot be confined on this machine, or the engine is not installed.
        """
        if engine != "duckdb":
            return await _confined(code, rows, engine, self._limits)
        connection = self._idle.pop() if self._idle else Connection(Target("duckdb", ":memory:"), Policy())
        try:
            return await cancellable(partial(_queried, connection, code, rows, self._limits), connection.cancel)
        finally:
            if len(self._idle) < _IDLE and len(rows.rows) * len(rows.columns) <= _KEPT_VALUES:
                self._idle.append(connection)
            else:
                connection.close()

    def close(self) -> None:
        """End the processes that are kept."""
        while self._idle:
            self._idle.pop().close()


def askable(rows: QueryResult) -> QueryResult:
    """The same rows under names a second query can use: none is empty, and none differs from another by case alone."""
    columns: list[ResultColumn] = []
    taken: set[str] = set()
    for number, column in enumerate(rows.columns, 1):
        name = plain = column.name.strip() or f"column_{number}"
        again = 2
        while name.lower() in taken:
            name, again = f"{plain}_{again}", again + 1
        taken.add(name.lower())
        columns.append(replace(column, name=name))
    return replace(rows, columns=columns)


def check_engine(engine: str) -> None:
    """
    :raises InputError: there is no such engine.
    :raises ConfigError: this machine cannot confine it.
    """
    if engine not in get_args(AnalysisEngine):
        raise InputError(f"There is no analysis engine {engine[:40]!r}.", "Use duckdb, pandas or polars.")
    if engine != "duckdb":
        from .confinement import available

        if lacking := available():
            raise ConfigError(
                f"Code for {engine} cannot be confined here: {', '.join(lacking)}.",
                "Leave out analysis_engine: the default analyses with a second guarded query.",
            )


def _queried(connection: Connection, sql: str, rows: QueryResult, limits: Limits) -> Analysed:
    from .guard import Guard

    columns = tuple(Column(column.name, column.type) for column in rows.columns)
    catalogue = Catalogue("duckdb", (Table(TABLE, columns, schema=_SCHEMA),), default_schema=_SCHEMA)
    guarded = Guard(catalogue, Policy()).check(sql, max_rows=limits.rows)
    connection.load(TABLE, rows.names, rows.rows)
    found = connection.run(guarded.sql, limits)
    single = len(found.rows) == 1 and len(found.columns) == 1
    return Analysed(found.rows[0][0] if single else found.records(), found)


async def _confined(code: str, rows: QueryResult, engine: Literal["pandas", "polars"], limits: Limits) -> Analysed:
    from .confinement import run_code_async

    found = await run_code_async(code, rows.names, rows.rows, engine=engine, limits=limits)
    if found.kind != "table":
        return Analysed(found.value, found.text)
    shown = QueryResult([ResultColumn(name) for name in found.names], [tuple(row) for row in found.rows])
    return Analysed(_frame(engine, shown), shown)


def _frame(engine: Literal["pandas", "polars"], table: QueryResult) -> Any:
    """A data frame of somebody who asked for one: made here of plain values, as nothing the code made leaves its process alive."""
    if engine == "pandas":
        import pandas

        return pandas.DataFrame(table.rows, columns=table.names)
    import polars

    return polars.DataFrame(table.rows, schema=table.names, orient="row")
