"""Ask a database in plain words: `SQLAnalystPipeline` and its asynchronous twin."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Self

from ...agents.telemetry import Recorder, Telemetry
from ...knowledge.edge import blocking
from ...knowledge.errors import ConfigError, InputError, RactoError
from ...knowledge.prompts import RactoPrompt
from ..asking import NOBODY, Memory, Share
from .analysis import Analysis, AnalysisEngine, check_engine
from .answers import SQLAnalystResult
from .asking import Models, Step, StepName
from .charts.spec import ChartSpec, as_spec
from .opened import Opened
from .policy import Limits, Policy
from .source import Connected, Source
from .steps import Plan, Run

if TYPE_CHECKING:
    from .engines import Target

Chart = ChartSpec | Mapping[str, Any] | Literal["auto"] | None

LONGEST_QUESTION = 20_000
"""Characters."""

_WRITES = "force_read_only=False changes nothing: racto runs queries only, and never what writes."


class SQLAnalystPipeline:
    """A question in, and a checked query, its rows, an analysis, an answer in words and a chart out.

    Whatever a model writes, a query passes the guard, reads only what the policy shows, and runs where it can be killed. A pipeline is safe to share between threads
    and tasks; it stays connected to the databases it was asked about until it is closed.

    :param kit: Answers every step that has no kit of its own: anything with `achat(ChatConfig)` or `chat(ChatConfig)`.
    :param sql_prompt: System prompt of a step instead of ours; the form of its answer stays.
    :param run_pandas: Whether a result of more than one row is analysed further.
    :param run_answer: Whether the answer is put into words.
    :param chart: `auto`, a `ChartSpec`, its fields as a dict, or `None` for none.
    :param force_read_only: Nothing that writes is ever run; `False` does not change that, and is noted.
    :param tracer: A `RactoTracer`, told of every step.
    :param metrics: A `GatewayMetricsMiddleware`, likewise.
    :param engine: A SQLAlchemy `Engine` for calls that name no database.
    :param max_sql_retries: How often the model may write another query when one is refused or fails.
    :param max_rows: Of a result; 0 for no limit.
    :param schema_cache_ttl: Seconds a schema is remembered, at most; 0 reads it each time.
    :param schema_sample_value_limit: How many values of each column the model sees, with `schema_include_sample_values`; never of blocked or masked ones.
    :param allowed_tables: What may be read; `None` for every table.
    :param blocked_columns: `column` or `table.column`, which nobody sees.
    :param mask_columns: `column` or `table.column`, whose values nobody sees.
    :param table_docs: Table → what it means.
    :param column_docs: Table → column → what it means.
    :param safe_mode: Put errors into `SQLAnalystResult.error`, beside what was done before.
    :param analysis_engine: `duckdb` analyses by a second guarded query; `pandas` and `polars` run code of the model in a confined process, on
        machines that can confine one.
    :param memory: Has `get_history(session_id)` and `append(session_id, role, content)`, blocking or not.
    :param rate_limiter: Has `check_and_consume(user_id, tokens)` and `get_remaining(user_id)`, blocking or not.
    :param user_id: Whose share a call uses that names nobody.
    :param limits: Of every query and analysis; their rows are `max_rows`.
    :param examples: Gives approved questions and queries that are like a question: `VerifiedQueries.examples`.
    :param figures: Whether `plotly_figure` is made of `chart_spec`; who draws it otherwise need not wait for Plotly.
    :raises InputError: a chart or engine there is not.
    :raises ConfigError: this machine cannot confine what would analyse.
    """

    # As long as the signature the specification gives it.
    def __init__(
        self,
        kit: Any,
        *,
        sql_kit: Any = None,
        pandas_kit: Any = None,
        answer_kit: Any = None,
        sql_prompt: RactoPrompt | None = None,
        pandas_prompt: RactoPrompt | None = None,
        answer_prompt: RactoPrompt | None = None,
        sql_temperature: float = 0.0,
        sql_max_tokens: int = 1024,
        pandas_temperature: float = 0.0,
        pandas_max_tokens: int = 2048,
        answer_temperature: float = 0.3,
        answer_max_tokens: int = 2048,
        run_pandas: bool = True,
        run_answer: bool = True,
        chart: Chart = "auto",
        force_read_only: bool = True,
        tracer: Recorder | None = None,
        metrics: Recorder | None = None,
        engine: Any = None,
        max_sql_retries: int = 2,
        max_rows: int = 10_000,
        schema_cache_ttl: float = 3600.0,
        schema_include_indexes: bool = True,
        schema_include_row_counts: bool = False,
        schema_include_sample_values: bool = False,
        schema_sample_value_limit: int = 8,
        allowed_tables: Collection[str] | None = None,
        blocked_columns: Collection[str] | None = None,
        mask_columns: Collection[str] | None = None,
        table_docs: Mapping[str, str] | None = None,
        column_docs: Mapping[str, Mapping[str, str]] | None = None,
        safe_mode: bool = False,
        analysis_engine: AnalysisEngine = "duckdb",
        memory: Any = None,
        rate_limiter: Any = None,
        user_id: str | None = None,
        limits: Limits | None = None,
        examples: Callable[[Source, str], Sequence[tuple[str, str]]] | None = None,
        figures: bool = True,
    ) -> None:
        check_engine(analysis_engine)
        self._steps: dict[StepName, Step] = {
            "sql": Step("sql", kit if sql_kit is None else sql_kit, sql_prompt, sql_temperature, sql_max_tokens),
            "pandas": Step(
                "pandas",
                kit if pandas_kit is None else pandas_kit,
                pandas_prompt,
                pandas_temperature,
                pandas_max_tokens,
            ),
            "answer": Step(
                "answer",
                kit if answer_kit is None else answer_kit,
                answer_prompt,
                answer_temperature,
                answer_max_tokens,
            ),
        }
        self._run_pandas, self._run_answer, self._chart = run_pandas, run_answer, _chart(chart)
        self._force_read_only, self._safe_mode = force_read_only, safe_mode
        self._max_rows, self._retries = max_rows, max_sql_retries
        self._indexes = schema_include_indexes
        self._engine, self._analysis_engine = engine, analysis_engine
        self._policy = Policy(allowed_tables, blocked_columns or (), mask_columns or ())
        self._limits = replace(limits or Limits(), rows=0)
        self._schema: dict[str, Any] = {
            "row_counts": schema_include_row_counts,
            "samples": schema_sample_value_limit if schema_include_sample_values else 0,
            "schema_ttl": schema_cache_ttl,
            "table_docs": table_docs,
            "column_docs": column_docs,
        }
        self._telemetry = Telemetry(*(one for one in (tracer, metrics) if one is not None))
        self._memory, self._limiter, self._user, self._examples = memory, rate_limiter, user_id, examples
        self._figures = figures
        self._opened, self._analysis = Opened(), Analysis(self._limits)

    # The signature is the specification's, here too.
    async def arun(
        self,
        user_query: str,
        *,
        connection_string: str | None = None,
        host: str = "localhost",
        port: int = 5432,
        database: str | None = None,
        username: str | None = None,
        password: str | None = None,
        driver: str = "postgresql",
        engine: Any = ...,
        schema: str | None = None,
        run_pandas: bool | None = None,
        run_answer: bool | None = None,
        chart: Any = ...,
        force_read_only: bool | None = None,
        sql_temperature: float | None = None,
        sql_max_tokens: int | None = None,
        pandas_temperature: float | None = None,
        pandas_max_tokens: int | None = None,
        answer_temperature: float | None = None,
        answer_max_tokens: int | None = None,
        max_rows: int | None = None,
        user_id: str | None = None,
        session_id: str | None = None,
        source: Source | None = None,
    ) -> SQLAnalystResult:
        """Answer a question from a database: that of `source`, else of `engine`, else of `connection_string`, else of the parts of one.

        What is not given, or given as `...`, is as the pipeline has it. A task that is cancelled ends its query.

        :param connection_string: As SQLAlchemy writes it: `postgresql://user:pass@host/db`, `sqlite:///file.db`, `duckdb:///file.duckdb`.
        :param engine: A SQLAlchemy `Engine`; `None` for none, also where the pipeline has one.
        :param schema: Told to the model instead of the schema; what may be read stays the same.
        :param session_id: The conversation this belongs to, in the pipeline's memory.
        :param source: A guarded database that is open; its own policy, limits and schema hold.
        :raises InputError: there is no question, or a chart there is not.
        :raises ConfigError: no database is named, or none of ours.
        :raises QueryRefusedError: the guard refused every query of the model; the last refusal.
        :raises QueryError: the database refused or failed at them.
        :raises LimitError: a query took more than it may.
        :raises RateLimitExceededError: the user's share is used up.
        :raises RactoGatewayError: a model could not be asked.
        """
        question = _question(user_query)
        plan = Plan(
            steps={
                "sql": self._step("sql", sql_temperature, sql_max_tokens),
                "pandas": self._step("pandas", pandas_temperature, pandas_max_tokens),
                "answer": self._step("answer", answer_temperature, answer_max_tokens),
            },
            analysis_engine=self._analysis_engine,
            schema=schema,
            indexes=self._indexes,
            max_rows=self._max_rows if max_rows is None else max_rows,
            retries=self._retries,
            run_pandas=self._run_pandas if run_pandas is None else run_pandas,
            run_answer=self._run_answer if run_answer is None else run_answer,
            chart=self._chart if chart is ... else _chart(chart),
            examples=self._examples,
        )
        result = SQLAnalystResult(user_query=question)
        if not (self._force_read_only if force_read_only is None else force_read_only):
            result.notes.append(_WRITES)
        engine = self._engine if engine is ... else engine
        parts = {
            "host": host,
            "port": port,
            "database": database,
            "username": username,
            "password": password,
            "driver": driver,
        }
        try:
            with self._source(source, engine, connection_string, parts) as asked:
                await self._answer(plan, asked, result, user_id or self._user or NOBODY, session_id)
        except Exception as error:
            if not self._safe_mode:
                raise
            result.error = str(error) if isinstance(error, RactoError) else f"{type(error).__name__}: {error}"
        return result

    run = blocking(arun)

    def close(self) -> None:
        """End the connections; a query that runs ends too. The next question opens new ones."""
        self._opened.close()
        self._analysis.close()

    async def aclose(self) -> None:
        """As `close`, off the event loop."""
        await asyncio.to_thread(self.close)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.aclose()

    async def _answer(
        self, plan: Plan, source: Source, result: SQLAnalystResult, user_id: str, session_id: str | None
    ) -> None:
        memory = Memory(self._memory, session_id)
        models = Models(result.usage, self._telemetry, Share(self._limiter, user_id))
        with self._telemetry.span("sql_ask", "sql", source.name):
            run = Run(plan, source, models, self._telemetry, self._analysis, await memory.turns(), result)
            await run.all()
            if self._figures and result.chart_spec is not None:
                await _draw(result)
            said = "\n\n".join(
                filter(None, (result.answer, result.written_sql and f"```sql\n{result.written_sql}\n```"))
            )
            try:
                await memory.keep(result.user_query, said)
            except RactoError as error:
                result.notes.append(f"The conversation was not remembered: {error}")

    def _step(self, name: StepName, temperature: float | None, max_tokens: int | None) -> Step:
        step = self._steps[name]
        return replace(
            step,
            temperature=step.temperature if temperature is None else temperature,
            max_tokens=step.max_tokens if max_tokens is None else max_tokens,
        )

    def _source(
        self, given: Source | None, engine: Any, connection_string: str | None, parts: dict[str, Any]
    ) -> AbstractContextManager[Source]:
        """
        :raises ConfigError: no database is named, or none of ours.
        """
        if given is not None:
            return nullcontext(given)
        if engine is not None:
            return self._opened.use(("engine", engine), lambda: self._of_engine(engine))
        if connection_string is None and parts["database"] is None:
            raise ConfigError("No database is named.", "Give connection_string=, engine=, or database= with its host.")
        from .targets import target_of, target_of_parts

        target = target_of_parts(**parts) if connection_string is None else target_of(connection_string)
        key = (connection_string, *parts.values()) if connection_string is None else connection_string
        return self._opened.use(key, lambda: self._of_target(target))

    def _of_engine(self, engine: Any) -> Source:
        from .alchemy import AlchemyConnection

        return self._guarded(str(engine.url.database or ""), AlchemyConnection(engine, self._policy))

    def _of_target(self, target: Target) -> Source:
        from .workers import Connection

        return self._guarded(target.database, Connection(target, self._policy))

    def _guarded(self, database: str, connection: Connected) -> Source:
        name = Path(database).stem or "database"
        return Source(name, connection, self._policy, self._limits, **self._schema)


class AsyncSQLAnalystPipeline(SQLAnalystPipeline):
    """`SQLAnalystPipeline` whose `run` is a coroutine."""

    async def run(self, user_query: str, **kwargs: Any) -> SQLAnalystResult:  # type: ignore[override] # the specification's
        """As `arun`."""
        return await self.arun(user_query, **kwargs)


def _question(text: str) -> str:
    if not text.strip():
        raise InputError("Nothing is asked.", "Give a question in plain words.")
    if len(text) > LONGEST_QUESTION:
        raise InputError(f"The question has {len(text)} characters.", f"Ask in at most {LONGEST_QUESTION}.")
    return text


def _chart(wanted: Chart) -> ChartSpec | Literal["auto"] | None:
    """
    :raises InputError: there is no such chart.
    """
    if isinstance(wanted, str):
        if wanted != "auto":
            raise InputError(f"There is no chart {wanted[:40]!r}.", "Give 'auto', None, or a ChartSpec.")
        return "auto"
    return None if wanted is None else as_spec(wanted)


async def _draw(result: SQLAnalystResult) -> None:
    """The figure; what cannot be drawn leaves the rows and the answer as they are."""
    from .charts.plotly import figure

    assert result.result is not None  # a chart is chosen from rows
    assert result.chart_spec is not None
    spec = ChartSpec.model_validate(result.chart_spec)
    try:
        result.plotly_figure = await asyncio.to_thread(figure, result.result, spec)
    except RactoError as error:
        result.notes.append(f"There is no chart: {error}")
