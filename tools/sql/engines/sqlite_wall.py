"""What a query may do to SQLite: read what the policy shows, by the names it shows it under, and nothing else.

An authorizer alone does not do. SQLite does not ask it about the columns that `NATURAL` and `USING` join by, so that
`SELECT ssn FROM (SELECT '' AS ssn) NATURAL FULL JOIN customers` tells every one. So a table of which something is hidden is hidden
behind a temporary view of the rest, and the database itself has a name that nobody can guess.
"""

from __future__ import annotations

import contextlib
import re
import sqlite3
from typing import TYPE_CHECKING

from ....knowledge.errors import QueryError
from ..policy import MASK

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

NOWHERE = "racto_nowhere"
"""A table that never is."""

_HINT = "Read the tables and columns of the schema, with one SELECT."
_SPACE = " \t\n\f\r\ufeff"
_TOKEN = re.compile(
    rf"""[{_SPACE}]+|--[^\n]*|/\*.*?(?:\*/|\Z)|'(?:[^']|'')*'|"(?:[^"]|"")*"|`(?:[^`]|``)*`|\[[^\]]*\]|[A-Za-z0-9_$\x80-\U0010ffff]+|.""",
    re.DOTALL,
)
_WORD = "A-Za-z0-9_$"


class Wall:
    """Stands between queries and a connection; from now on that does only what is allowed.

    :param ours: A connection to the same file, which nothing stands before.
    :param theirs: The one queries run on. The file is attached to it as `database`.
    """

    def __init__(self, ours: sqlite3.Connection, theirs: sqlite3.Connection, database: str, policy: Policy) -> None:
        self._policy = policy
        self._database = database
        kinds = dict(ours.execute("SELECT name, type FROM pragma_table_list WHERE schema = 'main'").fetchall())
        modules = _readable_modules(ours) - {name.lower() for name in kinds}
        theirs_alone = "|".join(map(re.escape, sorted(modules - TABLE_FUNCTIONS)))
        # Anywhere, also in a text or a comment: what is one of these to SQLite need not be one to us.
        self._internal = re.compile(
            rf"(?<![{_WORD}])(?:sqlite_|pragma_|{database}|(?:{theirs_alone})(?![{_WORD}]))", re.IGNORECASE
        )
        self._covered: set[str] = set()
        self._hidden: set[str] = set()
        self._refused = ""
        self._owners = _owners(kinds)
        for name, kind in kinds.items():
            if not name.lower().startswith("sqlite_"):
                self._cover(ours, theirs, name, kind)
        virtual = [name for name, kind in kinds.items() if kind == "virtual"]
        for name in (*virtual, *TABLE_FUNCTIONS & modules):
            # Have them declare themselves, which is more than reading, before anybody stands in their way.
            with contextlib.suppress(sqlite3.Error):  # of a module that is not here; it cannot be read then
                theirs.execute(f"SELECT 1 FROM {quoted(name)} LIMIT 0").close()  # noqa: S608 - quoted
        theirs.execute("PRAGMA query_only = ON").close()
        theirs.set_authorizer(self._may)

    def passed(self, sql: str) -> str:
        """A query as it is given to SQLite: `main` is not where the tables are.

        :raises QueryError: it names what belongs to SQLite itself.
        """
        self._refused = ""
        if found := self._internal.search(sql):
            raise QueryError(f"SQLite was not allowed to read what belongs to itself: {found[0]!r}.", _HINT)
        tokens = _TOKEN.findall(sql)
        solid = [
            place for place, token in enumerate(tokens) if token[0] not in _SPACE and token[:2] not in ("--", "/*")
        ]
        names = [_name(tokens[place]) for place in solid]
        for index in range(len(names) - 2):
            if names[index] == "main" and names[index + 1] == "." and (not index or names[index - 1] != "."):
                tokens[solid[index]] = "temp" if names[index + 2] in self._covered else quoted(self._database)
        return "".join(tokens)

    def refusal(self) -> QueryError:
        """The error for what was refused last. It does not tell whether what may not be read is there."""
        return QueryError(
            f"SQLite was not allowed to do this: {self._refused or 'an action that is no reading'}.", _HINT
        )

    def _cover(self, ours: sqlite3.Connection, theirs: sqlite3.Connection, name: str, kind: str) -> None:
        """Put a view of what the policy shows before a table, unless it shows all of it."""
        policy, columns, all_shown = self._policy, [], True
        if kind != "shadow" and policy.allows("", name):
            with contextlib.suppress(sqlite3.Error):  # a view over a table that is gone
                for (column,) in ours.execute("SELECT name FROM pragma_table_xinfo(?) WHERE hidden <> 1", (name,)):
                    one = quoted(column)
                    if policy.masks("", name, column):
                        one = f"CASE WHEN {one} IS NULL THEN NULL ELSE '{MASK}' END AS {one}"
                        all_shown = False
                    if policy.blocks("", name, column):
                        all_shown = False
                    else:
                        columns.append(one)
            if all_shown:
                return
        if kind in ("shadow", "virtual") or not columns:  # what has tables behind it shows all of itself or nothing
            self._hidden.add(name.lower())
            select = f"SELECT * FROM temp.{NOWHERE}"  # noqa: S608 - a view of what is not there is not there either
        else:
            select = f"SELECT {', '.join(columns)} FROM {quoted(self._database)}.{quoted(name)}"  # noqa: S608 - quoted
        self._covered.add(name.lower())
        theirs.execute(f"CREATE TEMP VIEW {quoted(name)} AS {select}").close()

    def _may(
        self, action: int, first: str | None, second: str | None, database: str | None, context: str | None
    ) -> int:
        if action in (sqlite3.SQLITE_SELECT, sqlite3.SQLITE_RECURSIVE):
            return sqlite3.SQLITE_OK
        name = (first or "").lower()
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
        if table.startswith("sqlite_"):
            return False
        if database == self._database:
            return self._may_read_below(table, column, context)
        # A view of ours, a common table expression, or a function.
        return database != "main" or table in TABLE_FUNCTIONS

    def _may_read_below(self, table: str, column: str, context: str) -> bool:
        """Whether a table of the file may be read: by our views, by views of the file, or because all of it is shown."""
        if table in self._owners:
            return self._owners[table] not in self._hidden
        if self._policy.blocks("", table, column) or (not context and not self._policy.allows("", table)):
            return False
        # Our view of a table masks what it reads; a view of the file does not, and nobody would see that it had to be.
        return context == table or not self._policy.masks("", table, column)


def _readable_modules(ours: sqlite3.Connection) -> set[str]:
    """The modules of SQLite that are tables by themselves."""
    found = set()
    for (name,) in ours.execute("SELECT name FROM pragma_module_list").fetchall():
        with contextlib.suppress(sqlite3.Error):
            ours.execute(f"EXPLAIN SELECT 1 FROM {quoted(name)}").close()  # noqa: S608 - quoted
            found.add(name.lower())
    return found


def _owners(kinds: dict[str, str]) -> dict[str, str]:
    """The virtual table that each of the tables behind one belongs to, in lower case."""
    virtual = [name.lower() for name, kind in kinds.items() if kind == "virtual"]
    shadows = [name.lower() for name, kind in kinds.items() if kind == "shadow"]
    return {name: max((one for one in virtual if name.startswith(f"{one}_")), key=len, default="") for name in shadows}


def _name(token: str) -> str:
    if token[0] in "'\"`":
        token = token[1:-1].replace(token[0] * 2, token[0])
    elif token[0] == "[":
        token = token[1:-1]
    return token.lower()


def quoted(name: str) -> str:
    """A name as SQL takes it."""
    return '"' + name.replace('"', '""') + '"'
