"""Real queries through the guard: every gold query gives the same rows, and what a database parses is not refused as unparsable.

A part of them by default; all of them with `RACTO_SQL_ALL=1`.
"""

from __future__ import annotations

import json
import os
import sqlite3
from collections import Counter
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from racto.knowledge.errors import QueryError, QueryRefusedError
from racto.tools.sql.catalogue import Catalogue, Column, Table
from racto.tools.sql.guard import Guard
from racto.tools.sql.policy import Policy

from tests.sql_shop import DATA

EVERY = 1 if os.environ.get("RACTO_SQL_ALL") else 12
"""Each so manieth query is tried."""

SETS = {
    "chinook": ("chinook/questions.jsonl", "chinook/Chinook_Sqlite.sqlite"),
    "sakila": ("sakila/questions.jsonl", "sakila/sakila.sqlite"),
    "geography": ("geography/geography.jsonl", "geography/geography.sqlite"),
    "defog": ("defog/questions_gen_sqlite.jsonl", "defog/sqlite/{db}.sqlite"),
    "spider": ("spider/train.jsonl", "spider/database/{db}/*.sqlite"),
}
FEWEST = {"chinook": 40, "sakila": 40, "geography": 590, "defog": 350, "spider": 3_860}
"""Queries of each set that run, of all."""

NORTHWIND = """
SELECT OrderDetails.UnitPrice * Quantity AS value FROM OrderDetails ORDER BY value DESC LIMIT 5
SELECT c.CompanyName, sum(d.UnitPrice * d.Quantity * (1 - d.Discount)) AS s FROM Customers c JOIN Orders o ON o.CustomerId = c.CustomerId JOIN [OrderDetails] d ON d.OrderId = o.OrderId GROUP BY c.CustomerId ORDER BY s DESC LIMIT 5
SELECT `Product Name` FROM (SELECT ProductName AS "Product Name" FROM Products) ORDER BY 1 LIMIT 3
SELECT strftime('%Y', OrderDate) AS y, count(*) FROM Orders GROUP BY y ORDER BY y
SELECT CompanyName AS "Company Name" FROM Customers ORDER BY "Company Name" DESC LIMIT 4
""".strip().splitlines()


def read(name: str) -> Iterator[dict[str, Any]]:
    path = DATA / name
    if not path.exists():
        pytest.skip(f"{path} is not there")
    with path.open(encoding="utf-8") as lines:
        yield from map(json.loads, lines)


def opened(path: Path) -> tuple[sqlite3.Connection, Guard]:
    connection = sqlite3.connect(f"file:{path}?mode=ro&immutable=1", uri=True)
    connection.text_factory = lambda raw: raw.decode("utf-8", "replace")
    tables = []
    for name, kind in connection.execute(
        "SELECT name, type FROM sqlite_master WHERE type IN ('table', 'view') AND name NOT LIKE 'sqlite_%'"
    ).fetchall():
        columns = connection.execute("SELECT name, type FROM pragma_table_info(?)", (name,)).fetchall()
        tables.append(Table(name, tuple(Column(*column) for column in columns), kind=kind))
    return connection, Guard(Catalogue("sqlite", tuple(tables)), Policy())


def same(connection: sqlite3.Connection, guard: Guard, sql: str) -> bool | None:
    """Whether the rows are the same, in the same order; nothing when the query does not run as it is."""
    try:
        raw = connection.execute(sql).fetchall()
    except sqlite3.Error:
        return None
    try:
        return connection.execute(guard.check(sql, max_rows=0).sql).fetchall() == raw
    except (QueryError, sqlite3.Error):
        return False


@pytest.mark.parametrize("name", SETS)
def test_every_gold_query_gives_the_same_rows_through_the_guard(name: str) -> None:
    questions, where = SETS[name]
    queries = sorted(
        {
            (row["db"], sql)
            for row in read(questions)
            for sql in (row["gold"] if isinstance(row["gold"], list) else [row["gold"]])
        }
    )
    found: Counter[bool | None] = Counter()
    different = []
    last, connection = "", None
    for db, sql in queries[:: EVERY if len(queries) > 200 else 1]:
        if connection is None or db != last:
            if connection is not None:
                connection.close()
            connection, guard = opened(next(DATA.glob(where.format(db=db))))
            last = db
        result = same(connection, guard, sql)
        found[result] += 1
        if result is False:
            different.append((db, sql))
    assert connection is not None
    connection.close()
    assert not different
    assert found[True] >= FEWEST[name] // (EVERY if len(queries) > 200 else 1) - 5
    print(f"gold {name}: {found[True]} the same, {found[None]} do not run as they are")


def test_names_with_spaces_give_the_same_rows_through_the_guard() -> None:
    path = DATA / "northwind" / "northwind.db"
    if not path.exists():
        pytest.skip(f"{path} is not there")
    connection, guard = opened(path)
    with closing(connection):
        assert [same(connection, guard, sql) for sql in NORTHWIND] == [True] * len(NORTHWIND)


def test_every_gold_query_gives_the_same_rows_on_postgresql() -> None:
    from tests import sql_servers

    questions = list(read("defog/questions_gen_postgres.jsonl"))
    databases = sorted({row["db"] for row in questions})
    checked = 0
    for db in databases if EVERY == 1 else databases[:2]:
        with sql_servers.postgres_as_admin() as admin:
            admin.execute(f"DROP DATABASE IF EXISTS gold_{db}".encode())
            admin.execute(f"CREATE DATABASE gold_{db}".encode())
        with sql_servers.postgres_as_admin(f"gold_{db}") as connection:
            connection.execute((DATA / "defog" / "postgres" / f"{db}.sql").read_bytes())
            connection.execute("SET search_path TO public")
            found = connection.execute(
                "SELECT table_schema, table_name, column_name, data_type FROM information_schema.columns"
                " WHERE table_schema NOT IN ('pg_catalog', 'information_schema') ORDER BY 1, 2, ordinal_position"
            ).fetchall()
            columns: dict[tuple[str, str], list[Column]] = {}
            for schema, table, column, kind in found:
                columns.setdefault((schema, table), []).append(Column(column, kind))
            tables = tuple(Table(table, tuple(each), schema) for (schema, table), each in columns.items())
            guard = Guard(Catalogue("postgres", tables, default_schema="public"), Policy())
            for row in questions:
                for sql in row["gold"] if row["db"] == db else ():
                    raw = connection.execute(sql.encode()).fetchall()
                    guarded = guard.check(sql, max_rows=0).sql
                    assert connection.execute(guarded.encode()).fetchall() == raw, sql
                    checked += 1
    assert checked >= (230 if EVERY == 1 else 30)


def test_gold_queries_without_their_databases_are_parsed() -> None:
    from racto.tools.sql.nodes import check_nodes
    from racto.tools.sql.statements import read as parse
    from racto.tools.sql.statements import reread, write

    queries = [sql for row in read("bird/dev_questions_no_db.jsonl") for sql in row["gold"]]
    for sql in queries[:: min(EVERY, 4)]:
        tree = parse(sql, "sqlite")
        check_nodes(tree, "sqlite")
        text = write(tree, "sqlite")
        assert write(reread(text, "sqlite"), "sqlite") == text
    assert len(queries) == 1_534


def test_of_the_selects_models_wrote_that_sqlite_parses_almost_none_is_unparsable() -> None:
    from racto.tools.sql.statements import read as parse

    parsed = refused = 0
    with closing(sqlite3.connect(":memory:")) as connection:
        rows = [row for row in read("llm_sql/dev.jsonl") if row["dialect"] == "sqlite"]
        for row in rows[::EVERY]:
            try:
                connection.execute("EXPLAIN " + row["sql"])
            except (sqlite3.Error, sqlite3.Warning) as error:
                if any(words in str(error) for words in ("syntax", "unrecognized", "incomplete", "one statement")):
                    continue
            parsed += 1
            try:
                parse(row["sql"], "sqlite")
            except QueryRefusedError as error:
                refused += error.rule == "syntax"
    print(f"models' SELECTs: {parsed} parsed by SQLite, {refused} refused as unparsable")
    assert parsed >= 20_000 // EVERY
    assert refused <= parsed * 0.002
