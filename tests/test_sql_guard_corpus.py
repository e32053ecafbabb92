"""The guard alone, without an engine's own wall, against every statement of the safety corpus, our own attacks, and what people write.

What passes runs on the real databases, as a user who may do everything.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import pytest
from racto.knowledge.errors import QueryRefusedError
from racto.tools.sql.guard import Guard
from racto.tools.sql.policy import MASK, Policy

from tests import sql_attacks, sql_everyday, sql_shop

DIALECTS = ("sqlite", "duckdb", "postgres", "mysql")
OWN_TEXT = "SELECT d.ssn FROM customers c NATURAL JOIN (SELECT 'CANARYSSN-0001' AS ssn, 1 AS id) d"
"""Gives back the canary that stands in it."""


class Shop(NamedTuple):
    """A real database that holds the shop, and anything may be done in it."""

    dialect: str
    run: Callable[[str], tuple[list[str], sql_shop.Rows]]

    def rows(self, sql: str) -> sql_shop.Rows:
        return self.run(sql)[1]


def _over(dialect: str, execute: Callable[[str], Any]) -> Shop:
    def run(sql: str) -> tuple[list[str], sql_shop.Rows]:
        cursor = execute(sql)
        return [column[0] for column in cursor.description or ()], [tuple(row) for row in cursor.fetchall()]

    return Shop(dialect, run)


@pytest.fixture(scope="module", params=DIALECTS)
def shop(request: pytest.FixtureRequest) -> Iterator[Shop]:
    dialect: str = request.param
    if dialect == "sqlite":
        lite = sql_shop.sqlite_shop()
        yield _over(dialect, lite.execute)
        lite.close()
    elif dialect == "duckdb":
        duckdb = pytest.importorskip("duckdb")
        duck = duckdb.connect(":memory:")
        sql_shop.fill(dialect, lambda sql, row: duck.execute(sql, list(row)))
        yield _over(dialect, duck.execute)
        duck.close()
    else:
        yield from _on_a_server(dialect)


def _on_a_server(dialect: str) -> Iterator[Shop]:
    from tests import sql_servers

    if dialect == "postgres":
        with sql_servers.postgres_as_admin() as admin:
            admin.execute("DROP DATABASE IF EXISTS guarded")
            admin.execute("CREATE DATABASE guarded")
        with sql_servers.postgres_as_admin("guarded") as connection:
            sql_shop.fill(dialect, lambda sql, row: connection.execute(sql.encode(), row or None))
            yield _over(dialect, lambda sql: connection.execute(sql.encode()))
        return
    mariadb = sql_servers.mariadb_as_admin()
    with mariadb, mariadb.cursor() as cursor:
        cursor.execute("CREATE OR REPLACE DATABASE shop")
        cursor.execute("USE shop")
        sql_shop.fill(dialect, lambda sql, row: cursor.execute(sql, row or None))

        def execute(sql: str) -> Any:
            cursor.execute(sql)
            return cursor

        yield _over(dialect, execute)


def _passes(guard: Guard, sql: str) -> str | None:
    try:
        return guard.check(sql).sql
    except QueryRefusedError:
        return None


def _outcome(shop: Shop, sql: str) -> object:
    try:
        return shop.run(sql)
    except Exception as error:
        return str(error)


def test_no_denied_statement_reads_a_canary_or_changes_anything(shop: Shop) -> None:
    guard = Guard(sql_shop.catalogue(shop.dialect), sql_shop.policy())
    before = sql_shop.state(shop.dialect, shop.rows)
    denied = list(sql_shop.each(sql_shop.statements(shop.dialect), "deny"))
    leaks, passed = [], []
    for key, sql, row in denied:
        guarded = _passes(guard, sql)
        if (
            guarded is None or row.get("stage") == "exec"
        ):  # what only takes too long is stopped by the limits of the engine
            continue
        if not row.get("rewrite_ok"):
            passed.append((key, sql))
        if found := sql_shop.leaks(_outcome(shop, guarded)):
            leaks.append((key, sql, found))
    assert len(denied) >= 97
    assert not leaks
    assert not passed
    assert sql_shop.state(shop.dialect, shop.rows) == before


def test_every_legitimate_statement_of_the_corpus_runs(shop: Shop) -> None:
    guard = Guard(sql_shop.catalogue(shop.dialect), sql_shop.policy())
    allowed = list(sql_shop.each(sql_shop.statements(shop.dialect), "allow"))
    for _, sql, row in allowed:
        guarded = guard.check(sql)
        names, rows = shop.run(guarded.sql)
        assert not sql_shop.leaks(rows), sql
        expected = set(row.get("mask_out", ()))
        assert set(guarded.masked) == expected, sql
        masked = [[one for name, one in zip(names, values, strict=True) if name in expected] for values in rows]
        assert all(one == MASK for values in masked for one in values), sql
        assert not expected or rows
    assert len(allowed) >= 52


def test_no_attack_of_our_own_reads_a_canary_or_changes_anything(shop: Shop) -> None:
    guard = Guard(sql_shop.catalogue(shop.dialect), sql_shop.policy())
    before = sql_shop.state(shop.dialect, shop.rows)
    attacks = [sql for sql in sql_attacks.attacks(shop.dialect) if sql != OWN_TEXT]
    leaks = []
    refused = 0
    for sql in attacks:
        guarded = _passes(guard, sql)
        refused += guarded is None
        if guarded is not None and (found := sql_shop.leaks(_outcome(shop, guarded))):
            leaks.append((sql, guarded, found))
    assert len(attacks) >= 120
    assert refused > len(attacks) * 0.75
    assert not leaks
    assert sql_shop.state(shop.dialect, shop.rows) == before


def test_what_people_write_gives_the_same_rows_as_without_the_guard(shop: Shop) -> None:
    free = Guard(sql_shop.catalogue(shop.dialect), Policy())
    strict = Guard(sql_shop.catalogue(shop.dialect), sql_shop.policy())
    queries = sql_everyday.EVERYDAY[shop.dialect]
    for sql in queries:
        guarded, raw = (list(map(repr, shop.rows(one))) for one in (free.check(sql, max_rows=0).sql, sql))
        in_order = "order by" in sql.lower()
        assert (guarded if in_order else sorted(guarded)) == (raw if in_order else sorted(raw)), sql
        assert not sql_shop.leaks(shop.rows(strict.check(sql).sql)), sql
    assert len(queries) >= 45
