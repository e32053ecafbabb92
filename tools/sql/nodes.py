"""The parts a query is made of, each against its allow-list.

Imports sqlglot; `guard` imports this when it first checks a query.
"""

from __future__ import annotations

import difflib
import re
from typing import Any, cast

from sqlglot import exp

from ...knowledge.errors import QueryRefusedError, ReadOnlyViolationError
from .guard_names import ACTING, ACTS, FUNCTIONS, NAMED_TYPES, NODES, SYSTEM_VALUES, TYPES

_WORD = re.compile(r"[A-Za-z_][A-Za-z_0-9 .]*")
_ALLOWED = frozenset(cast("type[exp.Expr]", getattr(exp, name)) for name in NODES)
_TYPES = frozenset(exp.DataType.Type[name] for name in TYPES)

# Of the nodes that hold a query together, only these parts; the rest of what sqlglot knows of them belongs to other databases.
_QUERY = {
    "with_",
    "expressions",
    "distinct",
    "from_",
    "joins",
    "laterals",
    "where",
    "group",
    "having",
    "qualify",
    "windows",
    "order",
    "limit",
    "offset",
    "sample",
}
_PARTS: dict[type[exp.Expr], set[str]] = {
    exp.Select: {"operation_modifiers", *_QUERY},
    exp.Subquery: {"this", "alias", "pivots", *_QUERY},
    exp.Union: {"this", "expression", "by_name", *_QUERY},
    exp.Intersect: {"this", "expression", "by_name", *_QUERY},
    exp.Except: {"this", "expression", "by_name", *_QUERY},
    exp.With: {"expressions", "recursive"},
    exp.CTE: {"this", "alias", "materialized"},
    exp.Table: {
        "this",
        "alias",
        "db",
        "catalog",
        "joins",
        "laterals",
        "pivots",
        "only",
        "rows_from",
        "ordinality",
        "sample",
    },
    exp.Join: {"this", "on", "side", "kind", "using", "method", "pivots"},
    exp.Lateral: {"this", "alias", "ordinality"},
    exp.Column: {"this", "table", "db", "catalog"},
    exp.Star: {"except_", "replace", "rename"},
}
_WRITES = (
    exp.DML, exp.DDL, exp.Command, exp.Drop, exp.Alter, exp.Merge, exp.Copy, exp.Into, exp.TruncateTable, exp.Set, exp.Use, exp.Pragma,
    exp.Transaction, exp.Commit, exp.Rollback, exp.Attach, exp.Detach, exp.Kill, exp.Grant, exp.Analyze, exp.Describe, exp.Show,
)  # fmt: skip


def check_nodes(tree: exp.Expr, dialect: str) -> None:
    """Every node, type and function of a tree is one that queries may hold.

    :raises QueryRefusedError: one is not.
    :raises ReadOnlyViolationError: one would change something.
    """
    functions = FUNCTIONS[dialect]
    for node in tree.walk():
        kind = node.__class__
        if kind not in _ALLOWED:
            _refuse_node(node)
        if kind is exp.Anonymous or kind is exp.AnonymousAggFunc:
            check_function(node.name, functions)
        elif kind is exp.DataType:
            _check_type(node, dialect)
        elif kind is exp.Var:
            _check_word(node.name)
        elif kind is exp.Dot:
            if isinstance(node.expression, exp.Func) and dialect != "duckdb":
                raise QueryRefusedError(
                    f"The function {node.sql(dialect)[:60]!r} is named with its schema.",
                    "Name it without.",
                    rule="function",
                )
        elif kind is exp.Column:
            _check_system_value(node)
        elif kind is exp.ByteString:
            _check_escapes(node.name)
        if parts := _PARTS.get(kind):
            _check_parts(node, parts)


def check_function(name: str, functions: frozenset[str]) -> None:
    """A function is one of the allowed."""
    low = name.lower()
    if low in functions:
        return
    if low.startswith(ACTS) or low in ACTING:
        raise ReadOnlyViolationError(
            f"The function {name[:60]} acts on the server, or reads more than the tables.",
            "A query may only read the tables.",
            rule="function",
        )
    near = difflib.get_close_matches(low, functions, n=3)
    raise QueryRefusedError(
        f"The function {name[:60]} is not allowed, or there is none.",
        f"Allowed: {', '.join(near)}." if near else "Use a plain SQL function of this database.",
        rule="function",
    )


def _check_parts(node: exp.Expr, parts: set[str]) -> None:
    for key, value in node.args.items():
        if value and key not in parts:
            if key in ("into", "locks"):
                raise ReadOnlyViolationError(
                    "SELECT INTO makes a table." if key == "into" else "The query locks rows.",
                    "Leave the clause out; a query only reads.",
                    rule="read_only" if key == "into" else "locking",
                )
            raise QueryRefusedError(
                f"{key.strip('_').upper()} is not allowed here.", "Write plain SQL.", rule="construct"
            )


def _refuse_node(node: exp.Expr) -> None:
    if isinstance(node, _WRITES):
        raise ReadOnlyViolationError(
            f"{node.key.upper()} would do more than read.",
            "Only one query is run, which changes nothing.",
            rule="read_only",
        )
    if isinstance(node, (exp.Placeholder, exp.Parameter, exp.SessionParameter)):
        raise QueryRefusedError(
            "The query has a parameter or a variable.", "Write the value itself into the query.", rule="parameter"
        )
    if isinstance(node, exp.ObjectIdentifier):
        raise QueryRefusedError("A cast to a name of the system is not allowed.", "Cast to a plain type.", rule="type")
    if isinstance(node, exp.Func):
        name = node.sql_name()
        raise QueryRefusedError(
            f"The function {name} is not allowed.", "A query may only read the tables.", rule="function"
        )
    raise QueryRefusedError(f"{node.key.upper()} is not allowed in a query.", "Write plain SQL.", rule="construct")


def _check_type(node: exp.Expr, dialect: str) -> None:
    kind: Any = node.this
    if kind in _TYPES:
        return
    if kind == exp.DataType.Type.USERDEFINED:
        named = node.args.get("kind")
        name = (named if isinstance(named, str) else named.name if isinstance(named, exp.Identifier) else "").lower()
        if name in NAMED_TYPES or (dialect == "sqlite" and _WORD.fullmatch(name)):  # any word is a type in SQLite
            return
    raise QueryRefusedError(
        f"The type {node.sql()[:60]} is not allowed.",
        "Cast to a plain type: INTEGER, NUMERIC, TEXT, DATE, TIMESTAMP.",
        rule="type",
    )


def _check_word(word: str) -> None:
    # Written as it stands, so it has to be words.
    if not _WORD.fullmatch(word):
        raise QueryRefusedError(f"{word[:40]!r} is not allowed here.", "Write plain SQL.", rule="construct")


def _check_escapes(text: str) -> None:
    r"""`E'…'` is written as it was read, so no backslash in it may stand before anything that could end it."""
    if re.search(r"\\(?![bfnrtxuU0-7])", text.replace("\\\\", "")):
        raise QueryRefusedError("An escape in E'…' is not allowed.", "Write the text in plain quotes.", rule="encoding")


def _check_system_value(node: exp.Expr) -> None:
    name: exp.Identifier | exp.Expr = node.this
    if (
        isinstance(name, exp.Identifier)
        and not name.args.get("quoted")
        and name.name.lower() in SYSTEM_VALUES
        and not node.args.get("table")
    ):
        raise QueryRefusedError(
            f"{name.name.upper()} tells of the session.", "A query may only read the tables.", rule="function"
        )
