"""What to tell whoever named a table or column that is not there."""

from __future__ import annotations

import difflib
import re

from ...knowledge.errors import QueryError, QueryRefusedError
from .catalogue import Catalogue
from .identifiers import named
from .policy import Policy
from .semantics import nearest

_COLUMN = re.compile(
    r"no such column: (?P<sqlite>\S+)"
    r'|column (?P<postgres>"[^"]+"|\S+) does not exist'
    r"|Unknown column '(?P<mysql>[^']+)'"
    r'|(?:Referenced|Values list .{1,100} does not have a) column (?:named )?"(?P<duckdb>[^"]+)"'
    r'|does not have a column named "(?P<duckdb_qualified>[^"]+)"'
)
_TABLE = re.compile(
    r"no such table: (?P<sqlite>\S+)"
    r'|relation "(?P<postgres>[^"]+)" does not exist'
    r"|Table '(?P<mysql>[^']+)' doesn't exist"
    r"|Table with name (?P<duckdb>\S+) does not exist"
)
_REFUSED = re.compile(r"no column '([^']+)'")
_QUOTED = re.compile(r"""["'`]([^"'`]{1,200})["'`]""")
_WORD = re.compile(r"\w+")
_MOST = 5  # places of one column that are told


class Mistakes:
    """The names there are, and those nobody may see.

    :param full: Everything.
    :param visible: What the policy shows of it.
    """

    def __init__(self, full: Catalogue, visible: Catalogue) -> None:
        self._visible = visible
        self.hidden = _names(full) - _names(visible)

    def explained(self, error: QueryError, sql: str) -> QueryError:
        """The error with the nearest names there are, and without names that are hidden, unless the query has them itself."""
        if isinstance(error, QueryRefusedError):  # by the guard, which names what is near, but not what is elsewhere
            found = _REFUSED.search(error.message) if error.rule == "column" else None
            if found and (places := self._places(found[1])):
                return QueryRefusedError(error.message, f"{error.hint} {places}".strip(), rule=error.rule)
            return error
        suggested = _words(" ".join(_QUOTED.findall(error.message)))
        told = self.hidden.intersection(suggested) - set(_words(sql))
        if told:
            return QueryError(
                "The database refused the query, in words that are not for you.", "Read the schema again."
            )
        if not error.hint and (found := _COLUMN.search(error.message)):
            return QueryError(error.message, self._about_column(_last(found)))
        if not error.hint and (found := _TABLE.search(error.message)):
            return QueryError(error.message, _nearest(_last(found), {one.name for one in self._visible.tables}))
        return error

    def _about_column(self, name: str) -> str:
        return self._places(name) or _nearest(
            name, {column.name for table in self._visible.tables for column in table.columns}
        )

    def _places(self, name: str) -> str:
        """The tables that have such a column, as a sentence."""
        tables = [
            named(table, self._visible)
            for table in self._visible.tables
            if any(column.name.lower() == name.lower() for column in table.columns)
        ]
        if not tables:
            return ""
        return f"{name!r} is a column of {', '.join(tables[:_MOST])}{' and others' if len(tables) > _MOST else ''}."


def misnamed(full: Catalogue, policy: Policy) -> list[str]:
    """The names of a policy that are of nothing in the database, one sentence each."""
    tables = {name for table in full.tables for name in (table.name.lower(), table.full_name.lower())}
    columns = {
        name
        for table in full.tables
        for column in table.columns
        for name in (column.name, f"{table.name}.{column.name}", f"{table.full_name}.{column.name}")
    }
    columns = {name.lower() for name in columns}
    unseen = "" if full.dialect in ("sqlite", "duckdb") else " or hidden from this account"
    return [
        f"The policy {what} {name!r}, which is not there{unseen}. {nearest(name, known)}".rstrip()
        for what, names, known in (
            ("allows a table", policy.allowed_tables or (), tables),
            ("blocks a column", policy.blocked_columns, columns),
            ("masks a column", policy.mask_columns, columns),
        )
        for name in sorted(names)
        if name not in known
    ]


def _names(catalogue: Catalogue) -> set[str]:
    return {table.name.lower() for table in catalogue.tables} | {
        column.name.lower() for table in catalogue.tables for column in table.columns
    }


def _words(text: str) -> list[str]:
    return _WORD.findall(text.lower())


def _last(found: re.Match[str]) -> str:
    """The name itself, without its table or schema."""
    return str(found[found.lastgroup or 0]).strip("\"'!,;").rpartition(".")[2].strip('"')


def _nearest(name: str, known: set[str]) -> str:
    by_case = {one.lower(): one for one in known}
    near = difflib.get_close_matches(name.lower(), by_case, n=3)
    return f"Nearest: {', '.join(by_case[one] for one in near)}." if near else "Read the schema for what there is."
