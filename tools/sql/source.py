"""One database as it may be asked: the guard before it, its schema remembered, its errors made useful."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Generator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from functools import cached_property
from typing import TYPE_CHECKING, Protocol

from ...knowledge.errors import QueryError, unknown_name
from .catalogue import Catalogue, Table
from .guard import Guard
from .mistakes import Mistakes, misnamed
from .schema_search import TableSearch
from .schema_text import BUDGET, SchemaText
from .semantics import Semantics

if TYPE_CHECKING:
    from .policy import Limits, Policy
    from .results import QueryResult

logger = logging.getLogger(__name__)

FOUND = 20
"""Tables a search brings."""


class Connected(Protocol):
    """A database that can be asked: `workers.Connection`, or `alchemy.AlchemyConnection`."""

    def catalogue(self, *, row_counts: bool = False, samples: int = 0) -> Catalogue:
        """Everything that is in it."""
        ...

    def fingerprint(self) -> str:
        """Of its schema as it is now."""
        ...

    def run(self, sql: str, limits: Limits, *, token: object = None) -> QueryResult:
        """The rows of a query."""
        ...

    def explain(self, sql: str, limits: Limits, *, token: object = None) -> str:
        """How it would go about a query."""
        ...

    def cancel(self, token: object = None) -> None:
        """End what was started with that token, or everything."""
        ...

    def close(self) -> None:
        """Hang up."""
        ...


class View:
    """A schema as it was read at one time, and what follows from it for one policy.

    :param full: All of it.
    :param semantics: What its owner says about it, unchecked.
    """

    def __init__(self, full: Catalogue, policy: Policy, semantics: Semantics) -> None:
        self.full = full
        self.visible = full.visible(policy)
        self.guard = Guard(full, policy)
        self.mistakes = Mistakes(full, self.visible)
        self.read_at = time.monotonic()
        self._said = semantics

    @cached_property
    def semantics(self) -> Semantics:
        """What may be told about the visible part."""
        return self._said.within(self.visible, self.mistakes.hidden, lambda sql: self.guard.check(sql).tables)

    @cached_property
    def search(self) -> TableSearch:
        """Finds the visible tables."""
        return TableSearch(self.visible, self.semantics)

    def tables(self, names: Sequence[str]) -> list[Table]:
        """Visible tables by their names, each once.

        :param names: `table` or `schema.table`, in quotes or not.
        :raises UnknownNameError: there is no such table.
        """
        found = {}
        for name in names:
            table = self._table(name) or self._table(name.replace('"', "").replace("`", ""))
            if table is None:
                default = self.visible.default_schema
                known = (one.name if one.schema == default else one.full_name for one in self.visible.tables)
                raise unknown_name("table", name, known)
            found[table.full_name] = table
        return list(found.values())

    def _table(self, name: str) -> Table | None:
        schema, _, rest = name.rpartition(".")
        return self.visible.find(name) or self.visible.find(rest, schema)


class Source:
    """A guarded database. Its methods block, and may be called from any thread.

    :param name: What people call it.
    :param connection: To the database, made with the same policy.
    :param limits: Of every query; `max_rows` can only lower them.
    :param semantics: What its owner says about it.
    :param row_counts: Whether the schema tells how many rows a table has.
    :param samples: How many values of each column the schema shows; never of blocked or masked ones.
    :param table_docs: Table → description, before that of the database.
    :param column_docs: Table → column → description.
    :param schema_ttl: Seconds after which the schema is read anew even if it looks the same; 0 reads it each time.
    """

    def __init__(
        self,
        name: str,
        connection: Connected,
        policy: Policy,
        limits: Limits,
        semantics: Semantics | None = None,
        *,
        row_counts: bool = False,
        samples: int = 0,
        table_docs: Mapping[str, str] | None = None,
        column_docs: Mapping[str, Mapping[str, str]] | None = None,
        schema_ttl: float = 3600.0,
    ) -> None:
        self.name = name
        self.policy = policy
        self.limits = limits
        self._connection = connection
        self._semantics = (semantics or Semantics()).with_docs(table_docs, column_docs)
        self._row_counts = row_counts
        self._samples = samples
        self._ttl = schema_ttl
        self._held: View | None = None
        self._lock = threading.Lock()

    def catalogue(self) -> Catalogue:
        """What the policy shows of the schema, as it is now.

        :raises QueryError: the database cannot be asked.
        """
        return self.view().visible

    def semantics(self) -> Semantics:
        """What its owner says about what the policy shows; metrics, joins and questions the guard refuses are left out."""
        return self.view().semantics

    def schema(self, question: str = "", *, indexes: bool = True, budget: int = BUDGET) -> str:
        """The schema as a model reads it: all of it when that is within the budget, else what the question is about, else an outline.

        :param budget: Tokens.
        """
        view = self.view()
        text = SchemaText(view.visible, view.semantics, indexes=indexes)
        whole = text.full(view.visible.tables, budget)
        if whole:
            return whole
        found = view.search.find(question, FOUND) if question else []
        return text.detail(found, budget) if found else text.outline(budget)

    def tables(self, names: Sequence[str], *, indexes: bool = True, budget: int = BUDGET) -> str:
        """These tables in full.

        :param names: `table` or `schema.table`.
        :raises UnknownNameError: there is no such table, or the policy hides it.
        """
        view = self.view()
        return SchemaText(view.visible, view.semantics, indexes=indexes).detail(view.tables(names), budget)

    def find(self, words: str, *, limit: int = FOUND, indexes: bool = True, budget: int = BUDGET) -> str:
        """The tables some words are about, in full, best first.

        :returns: Empty when no table shares a word with them.
        """
        view = self.view()
        found = view.search.find(words, limit)
        return SchemaText(view.visible, view.semantics, indexes=indexes).detail(found, budget) if found else ""

    def query(self, sql: str, *, max_rows: int | None = None, token: object = None) -> QueryResult:
        """The rows of a query, if the guard lets it through.

        :param max_rows: Fewer rows than the limits allow; 0 and `None` mean as many as they allow.
        :param token: What `cancel` knows it by.
        :raises QueryRefusedError: the guard refused it, with the rule it broke.
        :raises QueryError: the database refused it or failed at it.
        :raises LimitError: it took more than the limits allow.
        """
        rows = min(filter(None, (max_rows, self.limits.rows)), default=0)
        limits = replace(self.limits, rows=rows)

        with self._checked(sql) as view:
            guarded = view.guard.check(sql, max_rows=rows)
            result = self._connection.run(guarded.sql, limits, token=token)
        if guarded.masked:
            result.notes.append(f"Values are masked in: {', '.join(guarded.masked)}.")
        return result

    def explain(self, sql: str, *, token: object = None) -> str:
        """How the database would go about a query, in its own words; it is not run. Raises what `query` does."""
        with self._checked(sql) as view:
            return self._connection.explain(view.guard.check(sql, max_rows=0).sql, self.limits, token=token)

    def check(self, sql: str) -> None:
        """Raise what the guard says against a query; it is not run."""
        with self._checked(sql) as view:
            view.guard.check(sql)

    def problems(self) -> list[str]:
        """What was configured for this database and does not fit it, one sentence each: names of the policy that are not there and so protect
        nothing, and what its owner says about it; the database is asked about each query. For its owner: it may name what the policy hides.
        """
        view = self.view()
        return [*misnamed(view.full, self.policy), *self._semantics.problems(view.visible, self.explain)]

    def refresh(self) -> None:
        """Forget the schema; whoever needs it next reads it."""
        with self._lock:
            self._held = None

    def cancel(self, token: object = None) -> None:
        """End the queries started with `token`, or all of them."""
        self._connection.cancel(token)

    def close(self) -> None:
        """Hang up; the next question connects again."""
        self._connection.close()

    def view(self) -> View:
        """The schema as it is now: remembered, as long as the database says that it has not changed.

        A query is never checked against an older one: `*` would bring a protected column that was added since.
        """
        held = self._held
        if (
            held
            and time.monotonic() - held.read_at < self._ttl
            and held.full.fingerprint == self._connection.fingerprint()
        ):
            return held
        with self._lock:
            if self._held is None or self._held is held:
                full = self._connection.catalogue(row_counts=self._row_counts, samples=self._samples)
                for problem in misnamed(full, self.policy) if held is None else ():
                    logger.warning("%s: %s", self.name, problem)  # a misspelt name hides nothing
                self._held = View(full, self.policy, self._semantics)
            return self._held

    @contextmanager
    def _checked(self, sql: str) -> Generator[View]:
        """The schema to check a query against; what goes wrong with it is explained by that."""
        view = self.view()
        try:
            yield view
        except QueryError as error:
            raise view.mistakes.explained(error, sql) from None
