"""The tables a query may name, and what stands in their place.

Imports sqlglot; `guard` imports this when it first checks a query.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable

from sqlglot import exp

from ...knowledge.errors import QueryRefusedError
from .catalogue import Catalogue, Table
from .identifiers import named
from .policy import MASK, Policy

MAIN = {"sqlite": "main", "duckdb": "main"}
"""The schema of tables whose catalogue names none."""


class KnownTable:
    """A table of the catalogue as a policy shows it.

    :param shown: It, with the columns that may be named.
    :param whole: It, with all its columns.
    """

    def __init__(self, shown: Table, whole: Table) -> None:
        self.name = shown.name
        self.schema = shown.schema
        self.full_name = shown.full_name
        self.columns = {column.name: column.masked for column in shown.columns}
        self.hidden = {column.name.lower() for column in whole.columns} - {
            column.name.lower() for column in shown.columns
        }
        self.protected = bool(self.hidden) or any(self.columns.values())
        self._shown = shown

    def select(self) -> exp.Select:
        """What may be seen of it, as a new query without its FROM."""
        return exp.Select(expressions=[_shown(column.name, column.masked) for column in self._shown.columns])


def _again(name: exp.Identifier) -> exp.Identifier:
    return exp.Identifier(this=name.name, quoted=bool(name.args.get("quoted")))


def _shown(name: str, masked: bool) -> exp.Expr:
    column = exp.Column(this=exp.Identifier(this=name, quoted=True))
    if not masked:
        return column
    null = exp.If(this=exp.Is(this=column, expression=exp.Null()), true=exp.Null())
    return exp.Alias(
        this=exp.Case(ifs=[null], default=exp.Literal.string(MASK)), alias=exp.Identifier(this=name, quoted=True)
    )


class TableNames:
    """Finds what a name in a query means, as the database would; what a policy hides reads like what is not there."""

    def __init__(self, catalogue: Catalogue, policy: Policy) -> None:
        self.dialect = catalogue.dialect
        self._default = catalogue.default_schema.lower()
        self._by_name: dict[str, list[KnownTable]] = {}
        self._written: list[str] = []
        whole = {table.full_name: table for table in catalogue.tables}
        for table in catalogue.visible(policy).tables:
            if table.columns:  # one without is as good as not there
                known = KnownTable(table, whole[table.full_name])
                self._by_name.setdefault(table.name.lower(), []).append(known)
                self._written.append(named(table, catalogue))
        self.real = {table.name.lower() for table in catalogue.tables}

    def find(self, node: exp.Table) -> KnownTable:
        """The table a node names.

        :raises QueryRefusedError: there is none, or it is hidden.
        """
        found = [] if node.args.get("catalog") else self._candidates(node)
        if len(found) > 1:
            spelled = self._spelling(node.this)
            found = [table for table in found if table.name == spelled] or found
        if len(found) > 1 and not node.args.get("db"):
            found = [table for table in found if table.schema.lower() == self._default]
        if len(found) != 1:
            raise self.unknown(".".join(part.name for part in node.parts))
        return found[0]

    def _candidates(self, node: exp.Table) -> list[KnownTable]:
        found = self._by_name.get(node.name.lower(), [])
        schema = node.db.lower()
        if not schema:
            return found
        main = MAIN.get(self.dialect, self._default)
        return [table for table in found if (table.schema.lower() or main) == schema]

    def _spelling(self, name: exp.Identifier) -> str:
        """A name as the database reads it."""
        folds = self.dialect == "postgres" and not name.args.get("quoted")
        return name.name.lower() if folds else name.name

    def unknown(self, name: str) -> QueryRefusedError:
        """The refusal of a table that is not there or not shown."""
        return QueryRefusedError(f"There is no table {name[:100]!r}.", near(name, self._written, "table"), rule="table")

    def place(self, node: exp.Table, known: KnownTable, *, qualify: bool) -> None:
        """Write the table as the catalogue does, or what may be seen of it instead.

        :param qualify: Name its schema, because the statement gives its name to something else too.
        """
        written = node.this
        exact = self._spelling(written) == known.name or self.dialect in MAIN
        if not exact:
            node.set("this", exp.Identifier(this=known.name, quoted=True))
        if qualify or self.dialect == "postgres":
            schema = known.schema or MAIN.get(self.dialect, "")
            node.set("db", exp.Identifier(this=schema, quoted=schema != "public") if schema else None)
        if not known.protected:
            if not exact and not node.args.get("alias"):
                node.set("alias", exp.TableAlias(this=_again(written)))
            return
        around = exp.Subquery(this=known.select())
        alias = node.args.get("alias") or exp.TableAlias(this=_again(written))
        outside = {key: node.args.get(key) for key in ("joins", "laterals", "pivots")}
        for key in ("alias", *outside):
            node.set(key, None)
        node.replace(around)
        around.this.set("from_", exp.From(this=node))
        around.set("alias", alias)
        for key, value in outside.items():
            if value:
                around.set(key, value)


def near(name: str, known: Iterable[str], kind: str) -> str:
    """What to write instead of a name that is not there.

    :param known: Names as a query writes them.
    """
    names = sorted(known)
    found = difflib.get_close_matches(_bare(name), map(_bare, names), n=1)
    if found:
        return f"Did you mean {next(one for one in names if _bare(one) == found[0])!r}?"
    if not names:
        return f"There is no {kind} to read."
    return f"There are: {', '.join(names[:12])}{' …' if len(names) > 12 else ''}."


def _bare(name: str) -> str:
    return name.lower().rpartition(".")[2].strip('"`')
