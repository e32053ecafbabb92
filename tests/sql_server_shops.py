"""The shop on real servers, as its administrator sees it and as a role that the grant script made."""

from __future__ import annotations

import re
from contextlib import closing
from dataclasses import dataclass, replace
from functools import cache
from typing import Any

from racto.tools.sql.catalogue import Catalogue
from racto.tools.sql.engines import Target, make
from racto.tools.sql.grants import grant_script
from racto.tools.sql.policy import Policy

from tests.sql_servers import mariadb, mariadb_as_admin, postgres, postgres_as_admin, running
from tests.sql_shop import fill, policy


@dataclass(frozen=True)
class Server:
    """A database with the shop in it, seen by its administrator and by a role the grant script made."""

    dialect: str
    target: Target
    reader: Target
    script: str
    endless: str
    """A query that does not end by itself."""
    many: str
    """A query of a hundred million rows or more, the first of which are there at once."""

    def admin(self, sql: str, row: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
        """Run something as the administrator."""
        cursor = _admin(self.dialect).cursor()
        cursor.execute(sql, row or None)
        return list(cursor.fetchall()) if cursor.description else []


@cache
def _admin(dialect: str) -> Any:
    """One connection for all that is looked at."""
    as_admin = postgres_as_admin if dialect == "postgres" else mariadb_as_admin
    return running.enter_context(closing(as_admin("shop")))


@cache
def postgres_shop() -> Server:
    """In PostgreSQL."""
    target = replace(postgres(), database="shop")
    with postgres_as_admin() as admin:
        admin.execute("CREATE DATABASE shop")
    with postgres_as_admin("shop") as admin:
        fill("postgres", lambda sql, row: admin.execute(sql, row or None))
        script = grant_script(catalogue_of(target), policy(), "racto reader", database="shop")
        admin.execute(script)
        admin.execute(script)
    return Server(
        "postgres",
        target,
        replace(target, username="racto reader"),
        script,
        "SELECT count(*) FROM generate_series(1, 1000000000)",
        "SELECT generate_series(1, 1000000000) AS i",
    )


@cache
def mariadb_shop() -> Server:
    """In MariaDB."""
    target = replace(mariadb(), database="shop")
    with mariadb_as_admin() as admin, admin.cursor() as cursor:
        cursor.execute("CREATE OR REPLACE DATABASE shop")  # the test of the guard alone makes the same one
        cursor.execute("USE shop")
        fill("mysql", lambda sql, row: cursor.execute(sql, row or None))
        script = grant_script(catalogue_of(target), policy(), "racto reader")
        for statement in re.sub(r"^--.*$", "", script, flags=re.MULTILINE).split(";\n") * 2:
            if statement.strip():
                cursor.execute(statement)
    return Server(
        "mysql",
        target,
        replace(target, username="racto reader"),
        script,
        "SELECT count(*) FROM seq_1_to_100000000 a, seq_1_to_1000 b",
        "SELECT a.seq AS i FROM seq_1_to_100000000 a LIMIT 100000000",
    )


def catalogue_of(target: Target) -> Catalogue:
    """What an engine says is there."""
    engine = make(target, Policy())
    try:
        return engine.catalogue()
    finally:
        engine.close()
