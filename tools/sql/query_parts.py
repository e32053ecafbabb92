"""Small questions about the parts of a query.

Imports sqlglot; `guard` imports this when it first checks a query.
"""

from __future__ import annotations

from sqlglot import exp


def alias_columns(node: exp.Expr) -> list[str]:
    """The column names of an alias list, `AS t(a, b)`."""
    alias = node.args.get("alias")
    return [column.name for column in alias.args.get("columns") or []] if isinstance(alias, exp.TableAlias) else []


def is_join(node: exp.Expr) -> bool:
    """Whether what stands in brackets is tables and not a query."""
    if isinstance(node, exp.Subquery):
        return bool(node.args.get("alias") or node.args.get("joins")) or is_join(node.this)
    return isinstance(node, (exp.Table, exp.Values)) and not (
        isinstance(node, exp.Values) and not node.args.get("alias")
    )


def parameters(node: exp.Expr) -> list[str]:
    """Names that a lambda or a list comprehension gives."""
    if isinstance(node, exp.Lambda):
        return [one.name for one in node.expressions]
    return [node.args[key].name for key in ("expression", "position") if node.args.get(key)]


def is_dual(node: exp.Expr) -> bool:
    """Whether it is MySQL's table that stands for none."""
    return isinstance(node, exp.Table) and node.name.lower() == "dual" and not node.args.get("db")


def is_system(name: str) -> bool:
    """Whether a name could mean something of the system's."""
    return (
        name.lower().startswith(("pg_", "sqlite_", "duckdb_", "pragma_", "json_", "information_schema"))
        or not name.isidentifier()
    )
