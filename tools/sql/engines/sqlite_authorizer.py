"""What SQLite asks while it prepares a query: may this be done? Everything not known to be harmless may not."""

from __future__ import annotations

import contextlib
import re
import sqlite3
from collections.abc import Iterable
from itertools import pairwise
from typing import TYPE_CHECKING

from ....knowledge.errors import QueryError

if TYPE_CHECKING:
    from ..policy import Policy

_FUNCTIONS = """
avg count cume_dist dense_rank first_value group_concat lag last_value lead max min nth_value ntile percent_rank rank row_number
string_agg sum total json_group_array json_group_object jsonb_group_array jsonb_group_object
abs acos acosh asin asinh atan atan2 atanh ceil ceiling cos cosh degrees exp floor ln log log10 log2 mod pi pow power radians
random round sign sin sinh sqrt tan tanh trunc
char concat concat_ws format glob hex instr length like lower ltrim octet_length printf quote randomblob replace rtrim soundex
substr substring trim unhex unicode unistr upper zeroblob
current_date current_time current_timestamp date datetime julianday strftime time timediff unixepoch
coalesce if ifnull iif likelihood likely nullif typeof unlikely
-> ->> json json_array json_array_length json_error_position json_extract json_insert json_object json_patch json_pretty
json_quote json_remove json_replace json_set json_type json_valid jsonb jsonb_array jsonb_extract jsonb_insert jsonb_object
jsonb_patch jsonb_remove jsonb_replace jsonb_set
bm25 highlight match snippet
"""
FUNCTIONS = frozenset(_FUNCTIONS.split())
"""The functions a query may call."""
TABLE_FUNCTIONS = frozenset(("json_each", "json_tree", "jsonb_each", "jsonb_tree"))
"""The functions a query may read from."""

_TOKEN = re.compile(
    r"""\s+|--[^\n]*|/\*.*?(?:\*/|\Z)|'(?:[^']|'')*'|"(?:[^"]|"")*"|`(?:[^`]|``)*`|\[[^\]]*\]|[\w$\x80-\U0010ffff]+|.""",
    re.DOTALL,
)


class Authorizer:
    """Stands between queries and a connection.

    :param ours: A connection that nothing stands before.
    :param theirs: The one queries run on; from now on it does only what is allowed.
    """

    def __init__(self, ours: sqlite3.Connection, theirs: sqlite3.Connection, policy: Policy) -> None:
        self._policy = policy
        self._modules = {name.lower() for (name,) in ours.execute("SELECT name FROM pragma_module_list")}
        kinds = {
            name.lower(): kind
            for name, kind in ours.execute("SELECT name, type FROM pragma_table_list WHERE schema = 'main'")
        }
        self._tables = set(kinds)
        self._owners = _owners(kinds)
        self._views = [name for name, kind in kinds.items() if kind == "view" and policy.allows("", name)]
        self._through = self._reads_of_views(ours)
        self._contexts = {context for _, _, context in self._through if context}
        self._redefined = False
        self._refused = ""
        virtual = [name for name, kind in kinds.items() if kind == "virtual"]
        self._protected = {name for name in virtual if _is_protected(ours, name, policy)}
        _wake(theirs, (*virtual, *TABLE_FUNCTIONS & self._modules))
        theirs.set_authorizer(self._may)

    def look_at(self, sql: str) -> None:
        """Prepare for a query.

        SQLite calls a common table expression as it calls a view: by its name. One that is named like a view is not taken for it.
        """
        self._refused = ""
        self._redefined = bool(self._contexts) and not self._contexts.isdisjoint(_defined(sql))

    def refusal(self) -> QueryError:
        """The error for what was refused last. It does not tell whether what may not be read is there."""
        return QueryError(
            f"SQLite was not allowed to do this: {self._refused or 'an action that is no reading'}.",
            "Read the tables and columns of the schema, with one SELECT.",
        )

    def _may(
        self, action: int, first: str | None, second: str | None, database: str | None, context: str | None
    ) -> int:
        name = (first or "").lower()
        if action in (sqlite3.SQLITE_SELECT, sqlite3.SQLITE_RECURSIVE):
            return sqlite3.SQLITE_OK
        if action == sqlite3.SQLITE_FUNCTION:
            function = (second or "").lower()
            if function in FUNCTIONS:
                return sqlite3.SQLITE_OK
            self._refused = f"call the function {function}"
        elif action == sqlite3.SQLITE_READ:
            if self._may_read(name, (second or "").lower(), database, (context or "").lower()):
                return sqlite3.SQLITE_OK
            self._refused = "read a table or a column that is not there to be read"
        elif action == sqlite3.SQLITE_PRAGMA and name == "data_version" and second is None:
            return sqlite3.SQLITE_OK  # full-text tables ask it
        return sqlite3.SQLITE_DENY

    def _may_read(self, table: str, column: str, database: str | None, context: str) -> bool:
        if database not in ("main", None):
            return False
        if table not in self._tables:
            # A common table expression, whose columns are never asked about; or a function.
            return table in TABLE_FUNCTIONS or (not column and not self._is_internal(table))
        if self._is_internal(table):
            return False
        if table in self._owners:
            return self._shows_all_of(self._owners[table])
        if column and self._policy.blocks("", table, column):
            return False
        read = (table, column, context if column else "")
        seen = read in self._through and not self._redefined
        if column and self._policy.masks("", table, column) and read in self._through:
            return False  # the guard does not see it, and masks it not
        return seen or self._policy.allows("", table)

    def _is_internal(self, table: str) -> bool:
        return table.startswith(("sqlite_", "pragma_")) or table in self._modules

    def _shows_all_of(self, table: str) -> bool:
        """The tables behind a full-text table hold what it holds, under other names."""
        return self._policy.allows("", table) and table not in self._protected

    def _reads_of_views(self, ours: sqlite3.Connection) -> set[tuple[str, str, str]]:
        """What the allowed views read, as SQLite asks about it: table, column, view."""
        reads: set[tuple[str, str, str]] = set()

        def note(action: int, first: str | None, second: str | None, _: str | None, context: str | None) -> int:
            if action == sqlite3.SQLITE_READ and (context or not second):
                reads.add(((first or "").lower(), (second or "").lower(), (context or "").lower() if second else ""))
            return sqlite3.SQLITE_OK

        ours.set_authorizer(note)
        try:
            for view in self._views:
                for what in ("*", "count(*)"):
                    with contextlib.suppress(sqlite3.Error):  # a view may be over a table that is gone
                        ours.execute(f"EXPLAIN SELECT {what} FROM {quoted(view)}").close()  # noqa: S608 - quoted
        finally:
            ours.set_authorizer(None)
        return reads


def _owners(kinds: dict[str, str]) -> dict[str, str]:
    """The virtual table that each of the tables behind one belongs to."""
    virtual = sorted((name for name, kind in kinds.items() if kind == "virtual"), key=len)
    return {
        name: max((one for one in virtual if name.startswith(f"{one}_")), key=len, default="")
        for name, kind in kinds.items()
        if kind == "shadow"
    }


def _is_protected(ours: sqlite3.Connection, table: str, policy: Policy) -> bool:
    columns = ours.execute("SELECT name FROM pragma_table_info(?)", (table,))
    return any(policy.blocks("", table, name) or policy.masks("", table, name) for (name,) in columns)


def _wake(theirs: sqlite3.Connection, tables: Iterable[str]) -> None:
    """Have virtual tables declare themselves, which is more than reading, before anybody stands in their way."""
    for table in tables:
        with contextlib.suppress(sqlite3.Error):  # of a module that is not here; it cannot be read then
            theirs.execute(f"SELECT 1 FROM {quoted(table)} LIMIT 0").close()  # noqa: S608 - quoted


def _defined(sql: str) -> set[str]:
    """Every name a query might give to a common table expression."""
    tokens = [token for token in _TOKEN.findall(sql) if not (token.isspace() or token.startswith(("--", "/*")))]
    return {_name(token) for token, after in pairwise(tokens) if after == "(" or after.lower() == "as"}


def _name(token: str) -> str:
    if token[0] in "'\"`":
        token = token[1:-1].replace(token[0] * 2, token[0])
    elif token[0] == "[":
        token = token[1:-1]
    return token.lower()


def quoted(name: str) -> str:
    """A name as SQL takes it."""
    return '"' + name.replace('"', '""') + '"'
