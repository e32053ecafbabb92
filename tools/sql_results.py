"""What the SQL tools answer: text for whoever reads, and the same as data."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from ..agents.calls import Blob, Text, ToolOutput
from .sql.exports import jsonable

if TYPE_CHECKING:
    from .sql.answers import SQLAnalystResult
    from .sql.charts import Drawn
    from .sql.results import QueryResult

LONGEST_CELL = 200
"""Characters of a value that are shown; the whole value is there for SQL to cut as it is needed."""


@dataclass(frozen=True, slots=True)
class DatabaseLine:
    """A database that may be asked.

    :param tables: How many there are to see; `None` when it could not be asked.
    :param problem: Why it could not be asked.
    """

    name: str
    engine: str
    description: str
    tables: int | None
    problem: str = ""

    def __str__(self) -> str:
        state = (
            f"{self.tables:,} table{'s' if self.tables != 1 else ''}"
            if self.tables is not None
            else f"cannot be asked now: {self.problem}"
        )
        return f"{self.name}: {self.engine}, {state}{f'. {self.description}' if self.description else ''}"


@dataclass(frozen=True, slots=True)
class DatabaseList:
    """The databases that may be asked."""

    databases: list[DatabaseLine]

    def render(self) -> str:
        """One line for each."""
        return "\n".join(map(str, self.databases))


@dataclass(frozen=True, slots=True)
class Rows:
    """Some rows of a result.

    :param first: The place of the first one, counted from 0.
    :param total: How many were fetched.
    :param truncated: The database has more than were fetched.
    :param cursor: For the next rows; empty after the last one.
    """

    result: QueryResult
    first: int
    count: int
    cursor: str
    notes: list[str] = field(default_factory=list)

    def output(self, chart: Drawn | None = None, before: str = "", *, table: bool = True) -> ToolOutput:
        """The rows as a table, the chart as a picture, and both as data.

        :param before: Text to put first.
        :param table: Whether the rows are told, when that text does not have them.
        """
        shown = self.result.rows[self.first : self.first + self.count]
        notes = [*self.result.notes, *self.notes, *(chart.notes if chart else [])]
        parts = [
            before,
            *([self._table(shown)] if table else []),
            self._ending(len(shown)),
            *(f"Note: {note}" for note in notes),
        ]
        structured = {
            "columns": [{"name": column.name, "type": column.type} for column in self.result.columns],
            "rows": [[_cell(value) for value in row] for row in shown],
            "row_count": len(self.result.rows),
            "truncated": self.result.truncated,
            "cursor": self.cursor,
            "sql": self.result.sql,
            "notes": notes,
        }
        content: list[Any] = [Text("\n".join(part for part in parts if part))]
        if chart:
            content.append(Blob(chart.png, "image/png"))
            structured["chart"] = {**chart.spec.model_dump(exclude_none=True), "alt": chart.alt}
        return ToolOutput(content, structured=structured)

    def _table(self, rows: Sequence[Sequence[Any]]) -> str:
        if not self.result.columns:
            return "The query gives no columns."
        names = self.result.names
        lines = [_line(names), "|" + " --- |" * len(names)]
        return "\n".join([*lines, *(_line([_cell(value) for value in row]) for row in rows)])

    def _ending(self, shown: int) -> str:
        total = len(self.result.rows)
        if not total:
            return "No rows."
        more = " or more" if self.result.truncated else ""
        part = f"Rows {self.first + 1:,}–{self.first + shown:,} of {total:,}{more}."
        rest = f" For the next ones, call sql_query with cursor={self.cursor}." if self.cursor else ""
        return f"{part}{rest}" if rest or more or self.first else f"{total:,} row{'s' if total > 1 else ''}."


def answer_output(answered: SQLAnalystResult, rows: Rows | None, chart: Drawn | None, footnote: str) -> ToolOutput:
    """What a question came to: the answer, the query behind it, its rows and its chart."""
    said = [answered.answer or ""]
    if answered.assumptions:
        said += ["", "Assumed: " + " ".join(answered.assumptions)]
    if answered.written_sql:
        said += ["", "```sql", answered.written_sql, "```"]
    from .sql.answer_checks import has_table

    before = "\n".join(said)
    table = not has_table(answered.answer or "")
    output = rows.output(chart, before, table=table) if rows else ToolOutput([Text(before)], structured={})
    told = output.structured.get("notes", [])
    more = [note for note in answered.notes if note not in told]
    output.structured |= {
        "answer": answered.answer,
        "written_sql": answered.written_sql,
        "abstained": answered.abstained,
        "clarification": answered.clarification,
        "assumptions": answered.assumptions,
        "analysis_sql": answered.analysis_sql,
        "usage": {**answered.usage.model_dump(), "total_tokens": answered.usage.total_tokens},
        "notes": [*told, *more],
    }
    ending = [*(f"Note: {note}" for note in more), footnote]
    output.content.append(Text("\n".join(ending)))
    return output


def _cell(value: Any) -> Any:
    value = jsonable(value)
    if isinstance(value, str) and len(value) > LONGEST_CELL:
        return f"{value[:LONGEST_CELL]}… [{len(value):,} characters]"
    return value


def _line(cells: Sequence[Any]) -> str:
    """A row of a Markdown table: each cell stays one, on one line."""
    texts = ("NULL" if cell is None else " ".join(str(cell).split()).replace("|", "\\|") for cell in cells)
    return f"| {' | '.join(texts)} |"
