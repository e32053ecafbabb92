"""Every table and column of a query found in the catalogue, protected tables replaced by what may be seen of them.

Imports sqlglot; `guard` imports this when it first checks a query.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from sqlglot import exp

from ...knowledge.errors import QueryRefusedError
from .catalogue import Catalogue
from .guard_names import PSEUDO_COLUMNS, UNITS
from .identifiers import quoted
from .policy import Policy
from .query_parts import alias_columns, is_dual, is_join, is_system, parameters
from .scopes import Columns, Scope, Source
from .table_names import MAIN, TableNames, near

MAX_TABLES = 200
"""Tables in one query, each time it is named."""

MAX_COLUMNS = 20_000
"""Columns that replacing protected tables may write."""

_COUNTS = {"count", "approx_count_distinct", "grouping"}


@dataclass(slots=True)
class _CTE:
    """A name that WITH gives.

    :param ready: Its query was read; until then the name may mean itself, or a table.
    """

    columns: Columns
    ready: bool = True


CTEs = Mapping[str, _CTE]


class Rewriter:
    """Rewrites queries for one catalogue and one policy."""

    def __init__(self, catalogue: Catalogue, policy: Policy) -> None:
        self.names = TableNames(catalogue, policy)

    def rewrite(self, tree: exp.Expr) -> tuple[exp.Expr, tuple[str, ...], tuple[str, ...]]:
        """The query over what may be seen; the tree itself is changed.

        :returns: It, the full names of its tables, and the names of its columns that hold masked values.
        :raises QueryRefusedError: a table or a column is not there.
        """
        holder = exp.Paren(this=tree)  # so that the outermost node can be replaced too
        rewriting = _Rewriting(self.names, tree)
        columns = rewriting.query(tree, {}, None)
        rewriting.check_found(holder)
        masked = tuple(dict.fromkeys(name for name, hidden in columns.named if hidden))
        return holder.this, tuple(sorted(rewriting.tables)), masked


class _Rewriting:
    """One query being rewritten."""

    def __init__(self, names: TableNames, tree: exp.Expr) -> None:
        self.names = names
        self.dialect = names.dialect
        self.tables: set[str] = set()
        self._named = self._written = 0
        self._ctes = {cte.alias.lower() for cte in tree.find_all(exp.CTE)}
        self._read: dict[int, Columns] = {}  # what nested queries come to, by the identity of their node
        self._found: set[int] = set()  # the identities of the tables that were looked up
        self._bound = {name.lower() for one in tree.find_all(exp.Lambda, exp.Comprehension) for name in parameters(one)}

    # Queries

    def query(self, node: exp.Expr, ctes: CTEs, outer: Scope | None) -> Columns:
        """Rewrite a query; what columns it has."""
        ctes = self._with(node, ctes, outer)
        if isinstance(node, exp.Select):
            columns = self._select(node, ctes, outer)
        elif isinstance(node, exp.SetOperation):
            columns = self._set_operation(node, ctes, outer)
        elif isinstance(node, exp.Subquery):
            columns = self._subquery(node, ctes, outer)
        elif isinstance(node, exp.Values):
            self._expressions(node.expressions, ctes, outer or Scope())
            columns = Columns()
        elif isinstance(node, exp.Pivot):
            columns = self._pivot(node, ctes, outer)
        else:
            raise QueryRefusedError(
                f"{node.key.upper()} is not allowed as a query.", "Write it as a SELECT.", rule="construct"
            )
        self._read[id(node)] = columns
        return columns

    def _with(self, node: exp.Expr, ctes: CTEs, outer: Scope | None) -> CTEs:
        with_ = node.args.get("with_")
        if with_ is None:
            return ctes
        known = dict(ctes)
        own = [self._key(cte.args["alias"].this) for cte in with_.expressions]
        if len(set(own)) < len(own):
            raise QueryRefusedError("WITH gives one name twice.", "Give each query its own name.", rule="cte")
        # SQLite knows the names of a WITH in all of its queries, others after RECURSIVE only.
        early = bool(with_.args.get("recursive")) or self.dialect == "sqlite"
        if early:
            known.update({key: _CTE(Columns(), ready=False) for key in own})
        for key, cte in zip(own, with_.expressions, strict=True):
            inside = known
            plain = self.dialect == "sqlite" and not isinstance(cte.this.unnest(), exp.SetOperation)
            if plain and key in self.names.real:
                # Not recursive, so its own name can only mean the table (which is then named with its schema).
                inside = {name: one for name, one in known.items() if name != key}
            columns = self.query(cte.this, inside, outer)
            known[key] = _CTE(columns.renamed(alias_columns(cte)))
        return known

    def _select(self, node: exp.Select, ctes: CTEs, outer: Scope | None) -> Columns:
        scope = Scope(outer)
        scope.aliases = {one.alias.lower() for one in node.expressions if isinstance(one, (exp.Alias, exp.PivotAlias))}
        from_ = node.args.get("from_")
        if from_ is not None and self.dialect == "mysql" and is_dual(from_.this) and not node.args.get("joins"):
            node.set("from_", None)
        elif from_ is not None:
            self._source(from_.this, ctes, scope)
        self._joins(node.args.get("joins") or [], node.args.get("laterals") or [], ctes, scope)
        for key, value in list(node.args.items()):
            if key not in ("from_", "joins", "laterals", "with_") and isinstance(value, (list, exp.Expr)):
                self._expressions(value, ctes, scope)
        return self._outputs(node.expressions, scope)

    def _set_operation(self, node: exp.SetOperation, ctes: CTEs, outer: Scope | None) -> Columns:
        # A long chain leans to the left; following it must not take a call each.
        chain: list[exp.SetOperation] = [node]
        while isinstance(left := chain[-1].this, exp.SetOperation) and not left.args.get("with_"):
            chain.append(left)
        columns = self.query(chain[-1].this, ctes, outer)
        for one in reversed(chain):
            columns = columns.joined(self.query(one.expression, ctes, outer))
            self._modifiers(one, columns, ctes, outer)
        return columns

    def _subquery(self, node: exp.Subquery, ctes: CTEs, outer: Scope | None) -> Columns:
        if isinstance(node.this, exp.Table):
            raise QueryRefusedError(
                "A table stands where a query belongs.", "Write SELECT * FROM it.", rule="construct"
            )
        columns = self.query(node.this, ctes, outer)
        self._modifiers(node, columns, ctes, outer)
        return columns

    def _modifiers(self, node: exp.Expr, columns: Columns, ctes: CTEs, outer: Scope | None) -> None:
        """ORDER BY and LIMIT of what is no SELECT."""
        parts = [node.args[key] for key in ("order", "limit", "offset") if node.args.get(key)]
        if parts:
            scope = Scope(outer)
            scope.add("", Source(columns))
            self._expressions(parts, ctes, scope)

    def _pivot(self, node: exp.Pivot, ctes: CTEs, outer: Scope | None) -> Columns:
        scope = Scope(outer)
        if node.this is not None:
            self._source(node.this, ctes, scope)
        self._pivot_parts(node, ctes, scope)
        return Columns([(name, masked) for name, masked in scope.star().named if masked])

    def _pivot_parts(self, pivot: exp.Expr, ctes: CTEs, scope: Scope) -> None:
        if pivot.args.get("unpivot") and pivot.args.get("fields"):
            scope = Scope(scope)  # UNPIVOT (value FOR name IN (…)) gives two names that are new
            scope.add("", Source(Columns()))
        for key in ("expressions", "fields", "using", "group"):
            value = pivot.args.get(key)
            if isinstance(value, (list, exp.Expr)):
                self._expressions(value, ctes, scope)

    # Sources

    def _joins(self, joins: Sequence[exp.Expr], laterals: Sequence[exp.Expr], ctes: CTEs, scope: Scope) -> None:
        for lateral in laterals:
            self._source(lateral, ctes, scope)
        for join in joins:
            self._source(join.this, ctes, scope)
            scope.merged = scope.merged or bool(join.args.get("using")) or join.args.get("method") == "NATURAL"
        for join in joins:
            if on := join.args.get("on"):
                self._expressions(on, ctes, scope)
            for name in join.args.get("using") or []:
                self._check_name(name.name, scope)

    def _source(self, node: exp.Expr, ctes: CTEs, scope: Scope) -> None:
        # Read before a table is replaced; afterwards they hang on what stands in its place.
        joins, laterals, pivots = (node.args.get(key) or [] for key in ("joins", "laterals", "pivots"))
        alias = node.alias
        if isinstance(node, exp.Table) and isinstance(node.this, exp.Identifier):
            self._table(node, ctes, scope)
        elif isinstance(node, exp.Subquery) and is_join(node.this):
            self._source(node.this, ctes, scope)
            if alias:
                scope.add(alias, Source(Columns(scope.star().named).renamed(alias_columns(node))))
        elif isinstance(node, exp.Subquery):
            scope.add(alias, Source(self.query(node, ctes, scope).renamed(alias_columns(node))))
        elif isinstance(node, exp.Lateral) and isinstance(node.this, exp.Subquery):
            scope.add(alias, Source(self.query(node.this, ctes, scope).renamed(alias_columns(node))))
        elif isinstance(node, (exp.Table, exp.Lateral, exp.Values, exp.Unnest)):
            for key in ("this", "expressions", "rows_from"):
                if isinstance(value := node.args.get(key), (list, exp.Expr)):
                    self._expressions(value, ctes, scope)
            scope.add(alias, Source(Columns().renamed(alias_columns(node))))
        else:
            raise QueryRefusedError(
                f"{node.key.upper()} is not allowed in FROM.", "Read a table or a query.", rule="construct"
            )
        self._joins(joins, laterals, ctes, scope)
        for pivot in pivots:
            self._pivot_parts(pivot, ctes, scope)
            scope.add(pivot.alias, Source(Columns(scope.star().named)))

    def _table(self, node: exp.Table, ctes: CTEs, scope: Scope) -> None:
        self._found.add(id(node))
        alias = node.alias or node.name
        if not node.args.get("db") and (cte := self._cte(node, ctes)):
            scope.add(alias, Source(cte.columns.renamed(alias_columns(node))))
            return
        known = self.names.find(node)
        self._named += 1
        self._written += len(known.columns) if known.protected else 0
        if self._named > MAX_TABLES or self._written > MAX_COLUMNS:
            raise QueryRefusedError(
                f"The query names {self._named} tables.", f"At most {MAX_TABLES}; fewer wide ones.", rule="size"
            )
        self.tables.add(known.full_name)
        columns = Columns(list(known.columns.items()), complete=True).renamed(alias_columns(node))
        schema = node.db.lower() or known.schema.lower() or MAIN.get(self.dialect, "")
        source = Source(columns, hidden=known.hidden, schema=schema, protected=known.protected)
        if not known.protected:
            source.masks.update(dict.fromkeys(PSEUDO_COLUMNS[self.dialect], False))
        scope.add(alias, source)
        self.names.place(node, known, qualify=bool(node.args.get("db")) or node.name.lower() in self._ctes)

    def _cte(self, node: exp.Table, ctes: CTEs) -> _CTE | None:
        key = self._key(node.this)
        cte = ctes.get(key)
        if cte is None and self.dialect == "mysql" and any(one.lower() == key.lower() for one in ctes):
            raise QueryRefusedError(
                f"{key!r} is written in two ways.", "Write a name of WITH always the same.", rule="cte"
            )
        if cte is not None and not cte.ready and (key.lower() in self.names.real or is_system(key)):
            raise QueryRefusedError(
                f"{key!r} may be the query of WITH here, or the table.",
                "Give the query of WITH another name.",
                rule="cte",
            )
        return cte

    def _key(self, name: exp.Expr) -> str:
        """A name of WITH as the database compares it."""
        if self.dialect == "mysql" or (self.dialect == "postgres" and name.args.get("quoted")):
            return name.name
        return name.name.lower()

    def check_found(self, tree: exp.Expr) -> None:
        """No table is left that was not looked up."""
        for table in tree.find_all(exp.Table):
            if isinstance(table.this, exp.Identifier) and id(table) not in self._found:
                raise QueryRefusedError(
                    f"The table {table.name[:100]!r} stands in an unknown place.", "Write it in FROM.", rule="construct"
                )

    # Expressions

    def _expressions(self, value: exp.Expr | Sequence[exp.Expr], ctes: CTEs, scope: Scope) -> None:
        stack = list(value) if isinstance(value, list) else [value]
        while stack:
            node = stack.pop()
            if not isinstance(node, exp.Expr):
                continue
            if isinstance(node, exp.Column):
                self._column(node, scope)
            elif isinstance(node, exp.Query):
                self.query(node, ctes, scope)
            elif isinstance(node, (exp.PropertyEQ, exp.Kwarg)):
                stack.append(node.expression)
            elif (
                isinstance(node, exp.In) and self.dialect == "sqlite" and isinstance(node.args.get("field"), exp.Column)
            ):
                self._in_table(node, ctes, scope)
                stack.append(node.this)
            elif not isinstance(node, exp.ColumnDef):
                stack.extend(node.iter_expressions())

    def _in_table(self, node: exp.In, ctes: CTEs, scope: Scope) -> None:
        """SQLite's `x IN table`."""
        field = node.args["field"]
        table = exp.Table(this=field.this, db=field.args.get("table"), catalog=field.args.get("db"))
        query = exp.Select(expressions=[exp.Star()])
        query.set("from_", exp.From(this=table))
        node.set("field", None)
        node.set("query", exp.Subquery(this=query))
        self.query(query, ctes, scope)

    def _column(self, node: exp.Column, scope: Scope) -> None:
        name, alias = node.name.lower(), node.table.lower()
        if isinstance(node.this, exp.Star):
            if node.args.get("db"):
                self._unqualify(node, scope)
            return
        if not alias:
            if not self._resolves(node, name, scope):
                self._unknown(node, scope)
            return
        source = scope.source(alias)
        if source is None:
            return  # part of a value, or nothing: the database tells
        if name not in source.masks and (source.columns.complete or name in source.hidden):
            raise self._refusal(node.name, {name for name, _ in source.columns.named})
        self._unqualify(node, scope)

    def _unqualify(self, node: exp.Column, scope: Scope) -> None:
        """`schema.table.column` of a table that was replaced has only the table's name left."""
        source = scope.source(node.table.lower())
        if source is not None and source.protected and node.args.get("db") and node.text("db").lower() == source.schema:
            node.set("db", None)
            node.set("catalog", None)

    def _resolves(self, node: exp.Column, name: str, scope: Scope) -> bool:
        if scope.knows(name) or name in self._bound:
            return True
        # TIMESTAMPDIFF(YEAR, a, b)
        return name in UNITS and isinstance(node.parent, exp.Anonymous) and not node.this.args.get("quoted")

    def _unknown(self, node: exp.Column, scope: Scope) -> None:
        """Refuse it; but what SQLite finds no column for in double quotes is a text there."""
        if self.dialect == "sqlite" and node.this.args.get("quoted"):
            parent = node.parent
            compared = isinstance(parent, (exp.Predicate, exp.Escape)) and node.arg_key in (
                "expression",
                "expressions",
                "low",
                "high",
            )
            bare = isinstance(parent, (exp.Select, exp.Alias, exp.Ordered, exp.Group, exp.Tuple))
            if compared or not (bare or scope.hides(node.name.lower())):
                node.replace(exp.Literal.string(node.name))
                return
        raise self._refusal(node.name, scope.names())

    def _check_name(self, name: str, scope: Scope) -> None:
        if not scope.knows(name.lower()):
            raise self._refusal(name, scope.names())

    def _refusal(self, name: str, names: Iterable[str]) -> QueryRefusedError:
        hint = near(name, (quoted(one, self.dialect) for one in names if one), "column")
        return QueryRefusedError(f"There is no column {name[:100]!r} here.", hint, rule="column")

    # What comes out

    def _outputs(self, expressions: Sequence[exp.Expr], scope: Scope) -> Columns:
        columns = Columns(complete=True)
        for node in expressions:
            one = node.this if isinstance(node, exp.Column) and isinstance(node.this, exp.Star) else node
            if isinstance(one, exp.Star):
                star = scope.star(node.args["table"].name.lower() if isinstance(node, exp.Column) else "")
                dropped = {each.name.lower() for each in one.args.get("except_") or []}
                columns.named += [column for column in star.named if column[0].lower() not in dropped]
                columns.complete = (
                    columns.complete and star.complete and not (one.args.get("replace") or one.args.get("rename"))
                )
            elif isinstance(one, exp.Anonymous) and one.name.lower() in ("columns", "unnest"):
                columns.named += [column for column in scope.star().named if column[1]]
                columns.complete = False
            else:
                columns.named.append((node.alias_or_name, self._holds(node, scope)))
        return columns

    def _holds(self, node: exp.Expr, scope: Scope) -> bool:
        """Whether an expression is a masked value or made of one."""
        stack = [node]
        while stack:
            one = stack.pop()
            if isinstance(one, exp.Column):
                source = scope.source(one.table.lower()) if one.args.get("table") else None
                if source.masks.get(one.name.lower()) if source else scope.masked(one.name.lower()):
                    return True
            elif isinstance(one, exp.Query):
                if any(masked for _, masked in self._read.get(id(one), Columns()).named):
                    return True
            elif not isinstance(one, exp.Predicate) and not (
                isinstance(one, exp.Anonymous) and one.name.lower() in _COUNTS
            ):
                stack.extend(one.iter_expressions())
        return False
