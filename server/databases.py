"""The databases that may be asked, from settings: where they are, what may be read of them, and how much."""

from __future__ import annotations

import re
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ..tools.sql.databases import Databases
    from ..tools.sql.engines import Target
    from ..tools.sql.policy import Policy
    from ..tools.sql.source import Source
    from .database_settings import DatabaseSettings
    from .settings import Settings

_FILES = {".csv", ".tsv", ".parquet", ".json", ".jsonl", ".ndjson"}
"""What DuckDB reads as a table."""
_DUCKDB = {".duckdb", ".ddb"}
_ENGINES = {"sqlite": "SQLite", "duckdb": "DuckDB", "postgresql": "PostgreSQL", "mysql": "MySQL or MariaDB"}


def databases(settings: Settings) -> Databases:
    """The databases of these settings. Nothing is opened before it is asked."""
    from ..tools.sql.databases import Configured, Databases

    found = {}
    for name, one in settings.sql_databases.items():
        target = target_of(name, one)
        found[name] = Configured(name, _ENGINES[target.engine], one.description, partial(_open, name, one, target))
    return Databases(found)


def target_of(name: str, one: DatabaseSettings) -> Target:
    """Where a configured database is, without its password.

    :raises ConfigError: the address is none.
    """
    from ..tools.sql.engines import Target
    from ..tools.sql.targets import target_of as read

    if one.files:
        files = {table: str(Path(path).expanduser().absolute()) for table, path in one.files.items()}
        return Target("duckdb", ":memory:", files=files)
    if "://" in one.url:
        return read(one.url)
    path = Path(one.url).expanduser().absolute()
    suffix = path.suffix.lower()
    if suffix in _FILES:
        table = re.sub(r"\W+", "_", path.stem).strip("_") or name
        return Target("duckdb", ":memory:", files={table: str(path)})
    return Target("duckdb" if suffix in _DUCKDB else "sqlite", str(path))


def with_password(name: str, target: Target) -> Target:
    """A target as it is connected to: on a server, with the password that is kept for it."""
    from dataclasses import replace

    from .secrets import secret

    on_server = target.engine in ("postgresql", "mysql")  # over a socket, too, where there is no host
    return replace(target, password=secret(f"{name.upper()}_PASSWORD") or "") if on_server else target


def policy_of(one: DatabaseSettings) -> Policy:
    """What may be read of a configured database."""
    from ..tools.sql.policy import Policy

    return Policy(one.allowed_tables, one.blocked_columns, one.mask_columns)


def _open(name: str, one: DatabaseSettings, target: Target) -> Source:
    from ..tools.sql.policy import Limits
    from ..tools.sql.semantic_file import read
    from ..tools.sql.source import Source
    from ..tools.sql.workers import Connection

    target, policy = with_password(name, target), policy_of(one)
    limits = Limits(one.seconds, one.max_rows, one.result_mb * 2**20, one.memory_mb * 2**20)
    semantics = read(one.semantics) if one.semantics else None
    return Source(
        name, Connection(target, policy), policy, limits, semantics, row_counts=one.row_counts, samples=one.samples
    )
