"""What a question to a database comes to: the query, the rows, the analysis, the answer, the chart, and what it took."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, PrivateAttr

from .exports import csv_text, excel, json_text, save
from .results import QueryResult


class PipelineUsage(BaseModel):
    """Tokens by step, as the models' providers counted them, those of retries included."""

    sql_input_tokens: int = 0
    sql_output_tokens: int = 0
    pandas_input_tokens: int = 0
    pandas_output_tokens: int = 0
    answer_input_tokens: int = 0
    answer_output_tokens: int = 0

    @property
    def total_input_tokens(self) -> int:
        """Read by models, in all steps."""
        return self.sql_input_tokens + self.pandas_input_tokens + self.answer_input_tokens

    @property
    def total_output_tokens(self) -> int:
        """Written by models, in all steps."""
        return self.sql_output_tokens + self.pandas_output_tokens + self.answer_output_tokens

    @property
    def total_tokens(self) -> int:
        """Read and written."""
        return self.total_input_tokens + self.total_output_tokens


class SQLAnalystResult(BaseModel):
    """An answered question, or as much of it as there is.

    :param user_query: The question.
    :param schema_used: What the model was told of the database.
    :param sql_query: The query as it was run: checked, masked, limited; or else the last one that was tried. Empty when there was none.
    :param columns: Names, all different.
    :param row_count: Of `raw_rows`.
    :param raw_rows: The rows by column name, with the Python values of the database's driver.
    :param pandas_code: The Python the model wrote, when the analysis is done in pandas or polars.
    :param pandas_result: What the analysis came to: one value, or a list of rows by column name; from pandas and polars a data frame
        of theirs, with dates as text.
    :param answer: Markdown; of a question that cannot be answered, what is missing.
    :param chart_spec: What is drawn, as a dict of `ChartSpec`.
    :param plotly_figure: A `plotly.graph_objects.Figure`, when there is a chart and plotly is installed.
    :param error: In safe mode, what went wrong; everything before it is kept.
    :param assumptions: What the model took for granted when it wrote the query.
    :param clarification: What it asks back, when the question can mean several things.
    :param abstained: The database does not have what the question asks for, and nothing was run.
    :param attempts: How often the model wrote, or was asked to write, a query.
    :param notes: What the reader should know: rows that were left out, hidden values, numbers nobody can vouch for.
    :param analysis_sql: The query over the result that the analysis is, when it is one.
    :param written_sql: The query as the model wrote it: what is readable, and can be asked again.
    """

    model_config = ConfigDict(arbitrary_types_allowed=True, defer_build=True)

    user_query: str
    schema_used: str = ""
    sql_query: str = ""
    columns: list[str] = Field(default_factory=list)
    row_count: int = 0
    raw_rows: list[dict[str, Any]] = Field(default_factory=list)
    pandas_code: str | None = None
    pandas_result: Any | None = None
    answer: str | None = None
    chart_spec: dict[str, Any] | None = None
    plotly_figure: Any | None = None
    usage: PipelineUsage = Field(default_factory=PipelineUsage)
    error: str | None = None
    assumptions: list[str] = Field(default_factory=list)
    clarification: str | None = None
    abstained: bool = False
    attempts: int = 0
    notes: list[str] = Field(default_factory=list)
    analysis_sql: str | None = None
    written_sql: str = ""

    _result: QueryResult | None = PrivateAttr(default=None)

    @property
    def result(self) -> QueryResult | None:
        """The rows with the types of their columns; `None` when nothing was run."""
        return self._result

    def keep(self, result: QueryResult) -> None:
        """Take over the rows of a query."""
        self._result = result
        self.sql_query = result.sql
        self.columns = result.names
        self.raw_rows = result.records()
        self.row_count = len(result.rows)

    def to_csv(self, path: str | Path | None = None) -> str | None:
        """The rows as CSV. Texts are exact: one that begins with `=` may be taken for a formula by a spreadsheet; `to_excel` has no such texts.

        :param path: Where it is written; without it, the text is returned.
        :raises StorageError: it cannot be written there.
        """
        return _told(csv_text(self.columns, self._rows()), path)

    def to_json(self, path: str | Path | None = None, *, indent: int | None = 2) -> str | None:
        """The rows as an array of objects; dates are ISO 8601.

        :param path: Where it is written; without it, the text is returned.
        :raises StorageError: it cannot be written there.
        """
        return _told(json_text(self.columns, self._rows(), indent=indent), path)

    def to_excel(self, path: str | Path, *, sheet_name: str = "Results") -> None:
        """The rows as a workbook: numbers and dates as such, every text as text and never a formula.

        :raises InputError: Excel takes no sheet of this name.
        :raises LimitError: it has more rows or columns than a sheet.
        :raises ConfigError: XlsxWriter is not installed.
        :raises StorageError: it cannot be written there.
        """
        save(path, excel(self.columns, self._rows(), sheet_name=sheet_name))

    def _rows(self) -> list[list[Any]]:
        return [[row[name] for name in self.columns] for row in self.raw_rows]


def _told(text: str, path: str | Path | None) -> str | None:
    if path is None:
        return text
    save(path, text)
    return None
