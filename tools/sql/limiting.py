"""How many rows a query may return: a limit on the outermost query.

Imports sqlglot; `guard` imports this when it first checks a query.
"""

from __future__ import annotations

from sqlglot import exp


def limit(tree: exp.Expr, max_rows: int) -> tuple[exp.Expr, bool]:
    """The query with a `LIMIT` one above `max_rows`, unless its own is no higher than `max_rows`.

    :returns: The query, and whether the limit is the one set here.
    """
    if max_rows <= 0:
        return tree, False
    cap = exp.Limit(expression=exp.Literal.number(max_rows + 1))
    query = tree
    while isinstance(query, exp.Subquery) and not any(value for key, value in query.args.items() if key != "this"):
        query = query.this
    if isinstance(query, exp.Values) and not any(query.args.get(key) for key in ("limit", "order", "offset")):
        # SQLite has no LIMIT on VALUES; what they come to stands in the text.
        return (query, False) if len(query.expressions) <= max_rows else (_around(query, cap), True)
    if not isinstance(query, (exp.Select, exp.SetOperation, exp.Subquery)):
        return _around(query, cap), True
    own = query.args.get("limit")
    if own is None:
        query.set("limit", cap)
        return query, True
    rows = _rows(own)
    if rows is None:
        return _around(query, cap), True
    if rows <= max_rows:
        return query, False
    if isinstance(own, exp.Fetch):
        own.set("count", cap.expression)
    else:
        own.set("expression", cap.expression)
    return query, True


def _around(query: exp.Expr, cap: exp.Limit) -> exp.Select:
    inner = query if isinstance(query, exp.Subquery) else exp.Subquery(this=query)
    alias = exp.TableAlias(this=exp.Identifier(this="limited", quoted=False))
    if inner.args.get("alias") or any(value for key, value in inner.args.items() if key != "this"):
        inner = exp.Subquery(this=inner)
    inner.set("alias", alias)
    around = exp.Select(expressions=[exp.Star()], limit=cap)
    around.set("from_", exp.From(this=inner))
    return around


def _rows(own: exp.Expr) -> float | None:
    """What a limit comes to: a number, infinity for none at all, `None` for what only the database can tell."""
    options = own.args.get("limit_options")
    if options is not None and (options.args.get("percent") or options.args.get("with_ties")):
        return None
    value = own.args.get("count" if isinstance(own, exp.Fetch) else "expression")
    if isinstance(own, exp.Fetch) and value is None:
        return 1
    if isinstance(value, exp.Paren):
        value = value.this
    if isinstance(value, exp.Null) or (isinstance(value, exp.Var) and value.name.upper() == "ALL"):
        return float("inf")
    if isinstance(value, exp.Neg) and isinstance(value.this, exp.Literal):
        return float("inf")  # SQLite: no limit
    if isinstance(value, exp.Literal) and not value.is_string and value.name.isdigit():
        return int(value.name)
    return None
