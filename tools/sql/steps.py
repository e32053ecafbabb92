"""The steps from a question to an answer: a query, its rows, an analysis of them, words, a chart. Each adds to one result, so what is done is kept."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Literal

from ...agents.telemetry import Telemetry
from ...knowledge.errors import LimitError, MalformedResponseError, QueryError, RactoError, RateLimitExceededError
from ...knowledge.vocabulary import LLMResponse, Message
from . import analyst_prompts as prompts
from .analysis import Analysis, AnalysisEngine, askable
from .answer_checks import TABLE_ROWS, harmless, has_table, table, unsupported
from .answers import SQLAnalystResult
from .asking import LONGEST_ANSWER, Models, Step, StepName, shaped
from .charts.choosing import choose
from .charts.spec import ChartSpec
from .results import QueryResult
from .waiting import aside, cancellable

if TYPE_CHECKING:
    from .source import Source

ANALYSIS_TRIES = 2
LONGEST_TEXT = 20_000
"""Characters of an answer; what a model writes beyond them is left out."""
_SAID = 1_000  # characters of each thing a model says about its query
_SAID_TIMES = 10


@dataclass(frozen=True, slots=True)
class Plan:
    """What one run is to do.

    :param schema: Told to the model instead of the schema itself; what may be read stays the same.
    :param indexes: Whether the model is told of them.
    :param max_rows: 0 for as many as the source allows.
    :param retries: Further queries the model may write when one fails.
    :param examples: Gives approved questions and queries that are like a question.
    :param chart: `None` draws nothing.
    """

    steps: Mapping[StepName, Step]
    analysis_engine: AnalysisEngine
    schema: str | None = None
    indexes: bool = True
    max_rows: int = 0
    retries: int = 2
    run_pandas: bool = True
    run_answer: bool = True
    chart: ChartSpec | Literal["auto"] | None = "auto"
    examples: Callable[[Source, str], Sequence[tuple[str, str]]] | None = None


@dataclass(slots=True)
class Run:
    """One question on its way.

    :param history: What was said before.
    :param result: What there is so far.
    """

    plan: Plan
    source: Source
    models: Models
    telemetry: Telemetry
    analysis: Analysis
    history: Sequence[Message]
    result: SQLAnalystResult
    _found: QueryResult | str | None = field(default=None, init=False)

    async def all(self) -> None:
        """Every step that is planned; an abstention or a question back ends it.

        :raises QueryError: no query of the model could be run; the last error.
        :raises LimitError: a query took more than it may.
        :raises RactoGatewayError: a model could not be asked.
        """
        rows = await self._query()
        if rows is None:
            return
        if self.plan.run_pandas and len(rows.rows) > 1:
            await self._analyse(rows)
        if self.plan.chart is not None:
            await self._choose_chart(rows, self.plan.chart)
        if self.plan.run_answer:
            await self._answer(rows)

    async def _query(self) -> QueryResult | None:
        """The rows of the first query that can be run; `None` when the model gives none."""
        result, step = self.result, self.plan.steps["sql"]
        question = result.user_query
        dialect, result.schema_used, examples = await aside(self._read)
        message = prompts.ask_for_sql(question, result.schema_used, examples)
        prompt = prompts.sql_prompt(dialect)
        failed: dict[str, RactoError] = {}
        while True:
            result.attempts += 1
            response = await self.models.ask(step, prompt, message, self.history, shape=prompts.Draft)
            sql, tried = "", response.content or ""
            try:
                draft = _draft(response)
                if draft.action != "query":
                    self._decline(draft)
                    return None
                result.sql_query = result.written_sql = sql = draft.sql
                tried = " ".join(sql.rstrip("; \n").split())
                if tried in failed:
                    raise failed[tried]
                rows = await self._run(sql)
                result.assumptions = _said(draft.assumptions)
                result.keep(rows)
                result.notes += rows.notes
                if rows.truncated:
                    result.notes.append(f"Only the first {len(rows.rows)} rows were fetched; there are more.")
                return rows
            except (QueryError, MalformedResponseError) as error:
                # A model that says the same again will go on saying it.
                if result.attempts > self.plan.retries or tried in failed:
                    raise
                failed[tried] = error
                message += prompts.ask_again(sql, str(error))

    def _read(self) -> tuple[str, str, Sequence[tuple[str, str]]]:
        """The dialect, what the model is told of the schema, and approved queries."""
        source, plan, question = self.source, self.plan, self.result.user_query
        schema = plan.schema or source.schema(question, indexes=plan.indexes)
        return source.catalogue().dialect, schema, plan.examples(source, question) if plan.examples else ()

    async def _run(self, sql: str) -> QueryResult:
        token = object()
        ask = partial(self.source.query, sql, max_rows=self.plan.max_rows, token=token)
        with self.telemetry.span("sql_execute", "sql", self.source.name):
            return await cancellable(ask, lambda: self.source.cancel(token))

    def _decline(self, draft: prompts.Draft) -> None:
        result = self.result
        result.sql_query = result.written_sql = ""
        result.assumptions = _said(draft.assumptions)
        if draft.action == "ask_back":
            result.clarification = harmless(draft.question[:_SAID]) or "What exactly is meant?"
            result.answer = result.clarification
        else:
            result.abstained = True
            missing = harmless(draft.missing[:_SAID]) or "it has nothing about it."
            result.answer = f"This cannot be answered from the database {self.source.name}: {missing}"

    async def _analyse(self, rows: QueryResult) -> None:
        """Have the model work out what the rows do not show; that it cannot leaves the rows as good as they are.

        :raises ConfigError: this machine cannot run the engine that was asked for.
        """
        engine, step, rows = self.plan.analysis_engine, self.plan.steps["pandas"], askable(rows)
        prompt = prompts.analysis_prompt(engine)
        message = prompts.ask_for_analysis(self.result.user_query, rows, engine)
        for left in reversed(range(ANALYSIS_TRIES)):
            code = ""
            try:
                response = await self.models.ask(step, prompt, message, shape=prompts.AnalysisDraft)
                code = shaped(response, prompts.AnalysisDraft).code.strip()
                if code:
                    await self._analysed(code, rows)
                return
            except RateLimitExceededError:
                raise
            except (QueryError, MalformedResponseError, LimitError) as error:
                # What took too much is not asked for again.
                if not left or isinstance(error, LimitError):
                    self.result.notes.append(f"The rows were not analysed further: {error}")
                    return
                message += prompts.ask_again(code, str(error))

    async def _analysed(self, code: str, rows: QueryResult) -> None:
        found = await self.analysis.run(code, rows, self.plan.analysis_engine)
        if self.plan.analysis_engine == "duckdb":
            self.result.analysis_sql = code
        else:
            self.result.pandas_code = code
        self.result.pandas_result, self._found = found.value, found.shown

    async def _choose_chart(self, rows: QueryResult, wanted: ChartSpec | Literal["auto"]) -> None:
        spec = await asyncio.to_thread(choose, rows) if wanted == "auto" else wanted
        if spec is not None:
            self.result.chart_spec = spec.model_dump()

    async def _answer(self, rows: QueryResult) -> None:
        result = self.result
        analysed = None if self._found is None else (result.analysis_sql or result.pandas_code or "", self._found)
        message = prompts.ask_for_answer(result.user_query, result.written_sql, rows, analysed, result.assumptions)
        response = await self.models.ask(self.plan.steps["answer"], prompts.answer_prompt(), message, self.history)
        text = harmless((response.content or "")[:LONGEST_TEXT]).strip()
        if not text:
            raise MalformedResponseError("The model gave no answer in words.", "Ask again, or with run_answer=False.")
        found = [self._found] if isinstance(self._found, QueryResult) else []
        said = [] if isinstance(self._found, QueryResult) else [self._found or ""]
        if strange := await asyncio.to_thread(unsupported, text, result.user_query, [rows, *found], said):
            result.notes.append(f"Numbers of the answer that are not in the result: {', '.join(strange[:20])}.")
        if prompts.TABLE in text:
            before, _, after = text.partition(prompts.TABLE)
            after = after.replace(prompts.TABLE, "")
            text = "\n\n".join(filter(None, (before.strip(), table(rows), after.strip())))
        elif 1 < len(rows.rows) <= TABLE_ROWS and not has_table(text):
            text = f"{text}\n\n{table(rows)}"
        result.answer = text


def _draft(response: LLMResponse) -> prompts.Draft:
    """What the model answered; a query without the form around it is one too.

    :raises MalformedResponseError: it is neither.
    """
    try:
        return shaped(response, prompts.Draft)
    except MalformedResponseError:
        text = (response.content or "").strip().removeprefix("```sql").strip("`").strip()
        if len(text) <= LONGEST_ANSWER and text[:6].upper().startswith(("SELECT", "WITH ")):
            return prompts.Draft(action="query", sql=text)
        raise


def _said(assumptions: Sequence[str]) -> list[str]:
    return [harmless(one[:_SAID]) for one in assumptions[:_SAID_TIMES]]
