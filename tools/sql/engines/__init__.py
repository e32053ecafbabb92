"""The databases that can be asked, each one file and one line of the table `ENGINES`.

An engine is made and lives in a process of its own (`workers.py`), where a query can be killed; it is the second wall behind the guard, and holds alone:
whatever SQL reaches it, nothing changes and nothing outside the database is read.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from importlib import import_module
from typing import TYPE_CHECKING, Any, Protocol

from ....knowledge.errors import unknown_name

if TYPE_CHECKING:
    from ..catalogue import Catalogue
    from ..policy import Limits, Policy
    from ..results import QueryResult

ENGINES = {
    "sqlite": ("sqlite", "SQLiteEngine"),
    "postgresql": ("postgres", "PostgresEngine"),
    "mysql": ("mysql", "MySQLEngine"),
    "duckdb": ("duckdb", "DuckDBEngine"),
}
"""Name, which is also the scheme of a connection string → module of this package and class."""

ALIASES = {"postgres": "postgresql", "mariadb": "mysql"}
"""Other words for them in a connection string."""


@dataclass(frozen=True)
class Target:
    """Where a database is. Made by configuration or by the Python classes, never from what a tool was given.

    :param engine: A name of `ENGINES`.
    :param database: The path of a file (`:memory:` where the engine can), or the name of a database on a server.
    :param files: DuckDB only: table name → path or glob of CSV, JSON or Parquet files it stands for.
    :param options: Further parameters of the connection string, for the driver.
    """

    engine: str
    database: str = ""
    host: str = ""
    port: int | None = None
    username: str = ""
    password: str = field(default="", repr=False)
    files: Mapping[str, str] = field(default_factory=dict)
    options: Mapping[str, str] = field(default_factory=dict, repr=False)


class Engine(Protocol):
    """One connection to one database; its methods block. A database that fails raises `QueryError` with its own words, without address or password."""

    def __init__(self, target: Target, policy: Policy) -> None:
        """Connect, reading only; what `policy` hides the engine refuses by itself where the database can (SQLite's authorizer)."""
        ...

    def catalogue(self, *, row_counts: bool = False, samples: int = 0) -> Catalogue:
        """Everything that is in it, unfiltered.

        :param samples: How many distinct values of each column to bring along; never of what `policy` blocks or masks.
        """
        ...

    def fingerprint(self) -> str:
        """Of the schema as it is now; cheap."""
        ...

    def run(self, sql: str, limits: Limits) -> QueryResult:
        """The rows of one query.

        :raises QueryError: the database refused or failed.
        :raises LimitError: a limit was reached; rows over `limits.rows` are no error but `truncated`.
        """
        ...

    def explain(self, sql: str, limits: Limits) -> str:
        """How the database would go about it, in its own words; the query is not run."""
        ...

    def load(self, name: str, names: Sequence[str], rows: Sequence[Sequence[Any]]) -> None:
        """Make rows a table of that name; only DuckDB in memory can.

        :raises InputError: this engine cannot.
        """
        ...

    def close(self) -> None:
        """Hang up."""
        ...


def make(target: Target, policy: Policy) -> Engine:
    """The engine of a target, connected.

    :raises UnknownNameError: there is no such engine.
    """
    name = ALIASES.get(target.engine, target.engine)
    if name not in ENGINES:
        raise unknown_name("database engine", target.engine, ENGINES)
    module, cls = ENGINES[name]
    engine: Engine = getattr(import_module(f".{module}", __name__), cls)(target, policy)
    return engine


def risks(engine: Engine) -> list[str]:
    """What the account of a connection may do on the server that one for reading should not, each a sentence; of databases in files there is none."""
    found: list[str] = getattr(engine, "risks", list)()
    return found
