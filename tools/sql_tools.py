"""The SQL analyst as tools. With the host's own model: read the schema, write a query, draw it. With a model of ours: ask in plain words."""

from __future__ import annotations

import asyncio
import getpass
from collections.abc import Mapping
from contextvars import ContextVar
from dataclasses import dataclass, field
from decimal import Decimal
from functools import cached_property, partial
from textwrap import indent
from typing import TYPE_CHECKING, Annotated, Literal, TypeVar

from pydantic import Field

from ..agents.calls import ToolContext, ToolOutput
from ..agents.offers import ResourceEntry, Toolset
from ..agents.toolbox import Tool
from ..knowledge.errors import DeclinedError, InputError, QueryRefusedError, RactoError, UnknownNameError
from .chat import dollars
from .sql.databases import Configured
from .sql.kept_results import KeptResults
from .sql.waiting import aside, cancellable

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from ..knowledge.vocabulary import ChatConfig, LLMResponse
    from .services import Models, Services
    from .sql.charts import ChartSpec, Drawn
    from .sql.pipeline import SQLAnalystPipeline
    from .sql.results import QueryResult
    from .sql.source import Source
    from .sql_results import DatabaseLine, DatabaseList

T = TypeVar("T")

PATIENCE = 600.0
"""Seconds a query or a model may take, at most; the settings of a database say what its queries may."""
LOOK_SECONDS = 10.0
"""How long a database may take to say how many tables it has."""
_SCHEMA = "racto://sql/{database}/schema"

Database = Annotated[str, Field(description="of sql_databases; empty when there is one")]
Sql = Annotated[str, Field(description="one SELECT in the database's own dialect")]
Chart = Literal[
    "none",
    "auto",
    "bar",
    "line",
    "scatter",
    "pie",
    "histogram",
    "box",
    "area",
    "heatmap",
    "violin",
    "funnel",
]


@dataclass(slots=True)
class _Asking:
    """How one call asks its model, and what that took.

    :param model: With its provider in front; `None` for the person's.
    """

    models: Models
    call: ToolContext
    model: str | None
    answered: list[LLMResponse] = field(default_factory=list)

    def footnote(self, tokens: int) -> str:
        """Who answered, and what it took."""
        if not self.answered:
            return "(no model was asked)"
        last, costs = self.answered[-1], [one.cost for one in self.answered]
        cost = None if None in costs else sum((one for one in costs if one is not None), Decimal(0))
        return f"({last.provider}/{last.model}, {tokens:,} tokens, {dollars(cost)})"


_ASKING: ContextVar[_Asking] = ContextVar("asking")


class _AskingOfTheCall:
    """The kit of a pipeline that many calls share: asks as the call at hand does."""

    async def achat(self, config: ChatConfig) -> LLMResponse:
        """One answer of the model of this call."""
        asking = _ASKING.get()
        asking.call.progress(len(asking.answered), None, f"model call {len(asking.answered) + 1}")
        response = await asking.models.gateway.chat(
            config, user=asking.call.caller.name, task="sql_ask", model=asking.model
        )
        asking.answered.append(response)
        return response


class SqlTools:
    """The tools; each method is one."""

    def __init__(self, services: Services) -> None:
        self._services = services
        self._databases = services.databases
        self._kept = KeptResults()

    @cached_property
    def _pipeline(self) -> SQLAnalystPipeline:
        """One for all calls: what analyses results stays warm."""
        from .sql.pipeline import SQLAnalystPipeline
        from .sql.verified import VerifiedQueries

        return SQLAnalystPipeline(
            _AskingOfTheCall(), figures=False, examples=VerifiedQueries(self._services.database).examples
        )

    async def sql_databases(self) -> DatabaseList:
        """List the databases that may be asked, each with its kind and what is in it."""
        from .sql_results import DatabaseList

        return DatabaseList(list(await asyncio.gather(*map(self._line, self._databases.listed))))

    async def sql_schema(
        self,
        database: Database = "",
        search: Annotated[
            str, Field(description="only tables about these words, with verified queries like them")
        ] = "",
        tables: Annotated[list[str], Field(description="only these")] = [],  # noqa: B006 - never changed; a plain default keeps the schema flat
    ) -> str:
        """Read the tables, columns, keys and meanings of a database before you write SQL for it. A large one comes as an outline: then
        search, or name tables.
        """
        from .sql.verified import VerifiedQueries

        source = await self._source(database)

        def read() -> str:
            if tables:
                return source.tables(tables)
            if not search:
                return source.schema()
            found = source.find(search) or f"No table is about {search!r}.\n{source.schema()}"
            alike = VerifiedQueries(self._services.database).examples(source, search)
            return "\n\n".join(
                [found, *(f"verified query: {question}\n{indent(sql, '  ')}" for question, sql in alike)]
            )

        return await aside(read)

    async def sql_query(
        self,
        sql: Sql = "",
        database: Database = "",
        rows: Annotated[int, Field(ge=1, le=1000, description="to show; the next ones by cursor")] = 100,
        chart: Annotated[Chart, Field(description="also draw the result")] = "none",
        x: Annotated[str, Field(description="column; the fitting one when empty")] = "",
        y: Annotated[list[str], Field(description="number columns")] = [],  # noqa: B006
        color: Annotated[str, Field(description="column that tells series apart")] = "",
        title: str = "",
        cursor: Annotated[str, Field(description="instead of sql: where an answer ended")] = "",
    ) -> ToolOutput:
        """Run one read-only query, checked before it runs: what may not be read is refused by name, with what would be allowed. Comes back
        as rows, and as a picture when a chart is asked for.
        """
        from .sql_results import Rows

        if bool(sql.strip()) == bool(cursor):
            raise InputError("Give either sql or cursor.", 'For example sql="SELECT count(*) FROM orders".')
        first = 0
        if cursor:
            result, first = self._kept.after(cursor)
        else:
            source = await self._source(database)
            result = await self._asked(source, lambda token: source.query(sql, token=token))
        drawn = await _drawn(result, _wanted(chart, x, y, color, title))
        shown = min(rows, len(result.rows) - first)
        return Rows(result, first, shown, self._following(result, cursor, first + shown)).output(drawn)

    async def sql_explain(self, sql: Sql, database: Database = "") -> str:
        """Say whether a query may run, and how the database would go about it, without running it."""
        source = await self._source(database)
        return await self._asked(source, lambda token: source.explain(sql, token=token))

    async def sql_ask(
        self,
        question: str,
        call: ToolContext,
        database: Database = "",
        chart: Annotated[Literal["none", "auto"], Field(description="whether to draw the result")] = "auto",
        model: Annotated[str, Field(description="provider/name; empty: the person's")] = "",
    ) -> ToolOutput:
        """Have another model write the query, run it and put the result into words, with the query, its rows and a chart to check it by.
        Costs what that model costs; sql_schema and sql_query are free, and you can write SQL yourself.
        """
        from .chat import named
        from .sql_results import Rows, answer_output

        source = await self._source(database)
        models = await self._services.models()
        name = await named(models, model)
        asking = _Asking(models, call, name)
        _ASKING.set(asking)
        try:
            answered = await self._pipeline.arun(question, source=source, chart=chart if chart == "auto" else None)
        except QueryRefusedError as error:
            raise type(error)(
                f"No query of the model may run. Of the last one: {error.message}",
                "Ask in other words or with another model, or write the query yourself: sql_schema, sql_query.",
                rule=error.rule,
            ) from error
        rows, drawn = None, None
        if answered.result is not None:
            drawn = await _drawn(answered.result, _spec(answered.chart_spec) if answered.chart_spec else None)
            shown = min(20, len(answered.result.rows))
            rows = Rows(answered.result, 0, shown, self._following(answered.result, "", shown))
        return answer_output(answered, rows, drawn, asking.footnote(answered.usage.total_tokens))

    async def sql_save_verified(
        self,
        question: Annotated[str, Field(description="as a person would ask it")],
        sql: Sql,
        call: ToolContext,
        database: Database = "",
        note: str = "",
        confirm: bool = False,
    ) -> str:
        """Keep a query that answers a question rightly, as an example for later ones. The person is asked first.

        :param confirm: the person has seen the query and said yes
        """
        from .sql.verified import VerifiedQueries

        source = await self._source(database)
        verified = VerifiedQueries(self._services.database)
        question = await aside(partial(verified.check, source, question, sql, note))
        answer = await call.confirm(f"Keep this query of {source.name} for “{question}”?\n\n{sql}")
        if answer is False:
            raise DeclinedError("The query was not kept: the person said no.")
        if answer is None and not confirm:
            raise InputError(
                "This would keep the query as verified.",
                "Show the person the question and the query, then call again with confirm=true.",
            )
        save = partial(verified.save, source, question, sql, approved_by=_approver(call), note=note)
        kept = await aside(save)
        return f"Kept as verified query {kept.id} of {kept.source}, approved by {kept.approved_by}."

    async def _source(self, name: str) -> Source:
        return await aside(partial(self._databases.source, name))  # the first time it imports the parser

    async def _asked(self, source: Source, ask: Callable[[object], T]) -> T:
        """What asking gives, in a thread, by a token of its own; whoever waits may be cancelled, and the query ends then."""
        token = object()
        return await cancellable(partial(ask, token), lambda: source.cancel(token))

    async def _line(self, one: Configured) -> DatabaseLine:
        from .sql_results import DatabaseLine

        try:
            async with asyncio.timeout(LOOK_SECONDS):
                source = await self._source(one.name)
                seen = await aside(source.catalogue)
        except TimeoutError:
            return DatabaseLine(one.name, one.engine, one.description, None, f"no answer in {LOOK_SECONDS:g} s")
        except RactoError as error:
            return DatabaseLine(one.name, one.engine, one.description, None, str(error))
        said = one.description or source.semantics().description
        return DatabaseLine(one.name, one.engine, said, len(seen.tables))

    def _following(self, result: QueryResult, cursor: str, shown: int) -> str:
        """The cursor of the next rows."""
        if not cursor:
            return self._kept.keep(result, shown)
        return f"{cursor.partition(':')[0]}:{shown}" if shown < len(result.rows) else ""


class DatabaseSchemas:
    """The schema of each database, to read."""

    template = _SCHEMA
    name = "database schema"
    description = "Tables, columns, keys and meanings of a database that may be asked."
    mime_type = "text/plain"

    def __init__(self, services: Services) -> None:
        self._databases = services.databases

    def entries(self) -> Iterable[ResourceEntry]:
        """One for each database; nothing is connected."""
        return [
            ResourceEntry(_SCHEMA.format(database=one.name), f"{one.name} schema", one.description or one.engine)
            for one in self._databases.listed
        ]

    def read(self, variables: Mapping[str, str]) -> Sequence[str | bytes]:
        """The schema as `sql_schema` has it.

        :raises UnknownNameError: there is no such database.
        """
        if not variables["database"]:
            raise UnknownNameError("The database has no name.", "List the resources for the names.")
        return [self._databases.source(variables["database"]).schema()]

    def complete(self, variable: str, prefix: str) -> Sequence[str]:
        """Names that begin so."""
        return [one.name for one in self._databases.listed if one.name.startswith(prefix)]


def toolset(services: Services) -> Toolset:
    """The tools over the configured databases; none where none is configured, so that nobody pays for reading about them."""
    if not services.databases.listed:
        return Toolset("sql", tools=())
    from .sql.charts.view import VIEW_URI, ChartView  # with the charts, 8 ms

    tools = SqlTools(services)
    return Toolset(
        "sql",
        tools=(
            Tool.of(tools.sql_databases, read_only=True),
            Tool.of(tools.sql_schema, read_only=True),
            Tool.of(tools.sql_query, read_only=True, timeout=PATIENCE, view=VIEW_URI),
            Tool.of(tools.sql_explain, read_only=True),
            Tool.of(tools.sql_ask, open_world=True, timeout=PATIENCE, view=VIEW_URI),
            Tool.of(tools.sql_save_verified, idempotent=True),
        ),
        resources=(DatabaseSchemas(services), ChartView()),
    )


def _wanted(chart: Chart, x: str, y: list[str], color: str, title: str) -> ChartSpec | Literal["auto"] | None:
    if chart in ("none", "auto"):
        if x or y or color or title:
            raise InputError("What to draw is missing.", "Give chart=bar or another kind beside its columns.")
        return "auto" if chart == "auto" else None
    from .sql.charts import ChartSpec

    return ChartSpec(chart_type=chart, x=x or None, y=y or None, color=color or None, title=title)


def _spec(fields: Mapping[str, object]) -> ChartSpec:
    from .sql.charts import as_spec

    return as_spec(fields)


async def _drawn(result: QueryResult, wanted: ChartSpec | Literal["auto"] | None) -> Drawn | None:
    if not wanted or not result.rows:
        return None
    from .sql.charts import drawn

    return await asyncio.to_thread(drawn, result, wanted)


def _approver(call: ToolContext) -> str:
    """Whoever is behind the call: a name of a remote caller, or the person whose machine this is."""
    return getpass.getuser() if call.caller.name == "local" else call.caller.name
