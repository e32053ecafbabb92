"""Which queries DuckDB may be given. It has no grants: queries are kept to views of what the policy shows, by what DuckDB's own parser makes of them."""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Iterator
from typing import TYPE_CHECKING, Any

from ....knowledge.errors import QueryError

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection, Statement

TABLE_FUNCTIONS = frozenset(("generate_series", "json_each", "json_tree", "range", "repeat", "repeat_row", "unnest"))
"""The functions a query may read from."""
REFUSED_FUNCTIONS = frozenset(
    (
        "current_query",
        "current_setting",
        "currval",
        "getenv",
        "getvariable",
        "nextval",
        "set_config",
        "setseed",
        "write_log",
    )
)
"""Functions that tell of the server, or change something."""

_HINT = "Read the tables and columns of the schema, with one SELECT."
_SYSTEM = ("duckdb_", "pg_", "pragma_", "sqlite_", "information_schema")
_TOKEN = re.compile(
    r"""--[^\n]*|/\*.*?\*/|(?P<quoted>'(?:[^']|'')*'|"(?:[^"]|"")*"|\$\w*\$)|(?P<word>[^\W\d]\w*)(?P<call>\s*\()?""",
    re.DOTALL,
)


def checked(connection: DuckDBPyConnection, sql: str, tables: Collection[tuple[str, str]], database: str) -> Statement:
    """The one query a text holds, when it reads nothing but these.

    :param tables: Schema and name, in lower case.
    :param database: What lies under the views; nobody names it.
    :raises QueryError: it is none, or it reads something else.
    """
    import duckdb

    if database in sql.lower():
        raise QueryError("DuckDB was not allowed to read what lies under the views.", _HINT)
    statements = connection.extract_statements(sql)
    if len(statements) != 1:
        raise QueryError(f"This is not one query but {len(statements)}.", "Write one SELECT.")
    (statement,) = statements
    if statement.type == duckdb.StatementType.SELECT:
        _check_tree(_tree(connection, sql), tables)
    elif statement.type == duckdb.StatementType.MULTI:
        _check_words(sql, connection)
    else:
        raise QueryError(f"DuckDB is given queries only, not {statement.type.name} statements.", "Write one SELECT.")
    return statement


def _tree(connection: DuckDBPyConnection, sql: str) -> Any:
    (text,) = connection.execute("SELECT json_serialize_sql($1)", [sql]).fetchall()[0]
    tree = json.loads(text)
    if tree.get("error"):
        raise QueryError(f"DuckDB: {tree.get('error_message', 'it cannot be parsed')}.", "Write one SELECT.")
    return tree


def _check_tree(tree: Any, tables: Collection[tuple[str, str]]) -> None:
    nodes = list(_nodes(tree))
    named = {str(entry["key"]).lower() for node in nodes for entry in _expressions(node)}
    for node in nodes:
        kind = node.get("type")
        if kind == "BASE_TABLE":
            catalog, schema, name = (str(node[part]).lower() for part in ("catalog_name", "schema_name", "table_name"))
            is_expression = not catalog and not schema and name in named and not name.startswith(_SYSTEM)
            if catalog not in ("", "memory") or ((schema or "main", name) not in tables and not is_expression):
                raise QueryError(f"There is no table named {node['table_name']!r}.", _HINT)
        elif kind == "TABLE_FUNCTION":
            function = str(node["function"].get("function_name", "")).lower()
            if function not in TABLE_FUNCTIONS:
                raise QueryError(f"DuckDB was not allowed to read from the function {function!r}.", _HINT)
        elif kind == "SHOW_REF":
            raise QueryError("DuckDB was not allowed to describe what there is.", _HINT)
        elif kind == "FUNCTION" and _is_refused(str(node.get("function_name", "")).lower()):
            raise QueryError(f"DuckDB was not allowed to call the function {node['function_name']!r}.", _HINT)


def _is_refused(function: str) -> bool:
    return function in REFUSED_FUNCTIONS or (function.startswith(_SYSTEM) and function != "pg_typeof")


def _expressions(node: dict[str, Any]) -> list[Any]:
    """The common table expressions a node defines."""
    found = node.get("cte_map")
    return found["map"] if isinstance(found, dict) else []


def _nodes(tree: Any) -> Iterator[dict[str, Any]]:
    waiting = [tree]
    while waiting:
        node = waiting.pop()
        if isinstance(node, dict):
            yield node
            waiting += node.values()
        elif isinstance(node, list):
            waiting += node


def _check_words(sql: str, connection: DuckDBPyConnection) -> None:
    """Look at the words of a query that is no single SELECT to DuckDB: a `PIVOT` that has to ask for its columns first.

    What lies under the views has a name nobody can guess; what remains are functions, files and the names of the system.
    """
    rows = connection.execute(
        "SELECT function_name FROM duckdb_functions() WHERE function_type LIKE '%table%'"
    ).fetchall()
    functions = {name.lower() for (name,) in rows} - TABLE_FUNCTIONS | REFUSED_FUNCTIONS
    for found in _TOKEN.finditer(sql):
        word = (found["word"] or (found["quoted"] or "")[1:-1]).lower()
        if word.startswith(_SYSTEM) or (found["quoted"] and re.search(r"[./\\]|\$", found["quoted"])):
            raise QueryError("DuckDB was not allowed to read a file or a table of the system.", _HINT)
        if word in functions and (found["call"] or found["quoted"]):
            raise QueryError(f"DuckDB was not allowed to call the function {word!r}.", _HINT)
