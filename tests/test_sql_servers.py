"""PostgreSQL and MariaDB over the wire: what a query gives, what there is, and what happens on the server when a query is stopped."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from dataclasses import replace
from datetime import date, datetime, timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID

import pytest
from racto.knowledge.errors import (
    InputError,
    LimitError,
    QueryError,
    TimeLimitError,
)
from racto.tools.sql.catalogue import Catalogue, Table
from racto.tools.sql.engines import make
from racto.tools.sql.engines.mysql import MySQLEngine
from racto.tools.sql.engines.postgres import PostgresEngine
from racto.tools.sql.policy import Limits, Policy
from racto.tools.sql.workers import Connection

from tests.sql_server_shops import Server, catalogue_of, mariadb_shop, postgres_shop
from tests.sql_shop import leaks, policy

LIMITS = Limits(seconds=20)


@pytest.fixture(scope="module", params=[postgres_shop, mariadb_shop], ids=["postgres", "mysql"])
def server(request: pytest.FixtureRequest) -> Server:
    """Each server, with a shop."""
    made: Server = request.param()
    return made


@pytest.fixture
def engine(server: Server) -> Iterator[Any]:
    """The administrator's engine: nothing but the wall stands in its way."""
    made = make(server.target, policy())
    yield made
    made.close()


@pytest.fixture
def reader(server: Server) -> Iterator[Any]:
    """The engine of the role made by the grant script."""
    made = make(server.reader, policy())
    yield made
    made.close()


def _table(catalogue: Catalogue, name: str, schema: str = "") -> Table:
    found = catalogue.find(name, schema)
    assert found is not None, name
    return found


# What a query gives


def test_the_rows_of_a_query_come_with_their_types(engine: Any) -> None:
    result = engine.run(
        "SELECT id, name, created_at, 2.50 AS n, 'a%b:c' AS id FROM customers c ORDER BY c.id LIMIT 2", LIMITS
    )
    assert result.names == ["id", "name", "created_at", "n", "id_2"]
    assert [column.type for column in result.columns] == ["integer", "text", "date", "number", "text"]
    assert result.rows[0] == (1, "Cust 1", date(2024, 2, 2), Decimal("2.50"), "a%b:c")
    assert not result.truncated
    assert result.seconds > 0


def test_a_query_without_rows_still_has_its_columns(engine: Any) -> None:
    result = engine.run("SELECT id, name FROM customers WHERE id < 0", LIMITS)
    assert result.rows == []
    assert [(column.name, column.type) for column in result.columns] == [("id", "integer"), ("name", "text")]


def test_rows_over_the_limit_are_not_fetched(server: Server, engine: Any) -> None:
    result = engine.run(server.many, Limits(seconds=20, rows=5))
    assert [row[0] for row in result.rows] == [1, 2, 3, 4, 5]
    assert result.truncated
    assert engine.run("SELECT 1 AS a", LIMITS).rows == [(1,)]


def test_as_many_rows_as_the_limit_are_not_called_truncated(engine: Any) -> None:
    result = engine.run("SELECT id FROM customers", Limits(rows=20))
    assert len(result.rows) == 20
    assert not result.truncated


def test_bytes_over_the_limit_end_the_query_and_the_connection_goes_on(server: Server, engine: Any) -> None:
    many = server.many.replace("AS i", "AS i, repeat('x', 10000) AS x")
    with pytest.raises(LimitError, match="larger than 1 MiB"):
        engine.run(many, Limits(seconds=20, rows=0, result_bytes=2**20))
    assert engine.run("SELECT 1 AS a", LIMITS).rows == [(1,)]


def test_the_server_stops_a_query_at_its_time_limit(server: Server, engine: Any) -> None:
    with pytest.raises(TimeLimitError, match=r"after 0\.3 seconds"):
        engine.run(server.endless, Limits(seconds=0.3))
    assert not _running(server)
    assert engine.run("SELECT 1 AS a", LIMITS).rows == [(1,)]


def test_a_plan_is_told_and_the_query_not_run(server: Server, engine: Any) -> None:
    assert "customers" in engine.explain("SELECT * FROM customers", LIMITS)
    assert engine.explain(server.endless, Limits(seconds=0.5))


def test_a_failure_is_told_in_the_words_of_the_database(engine: Any) -> None:
    with pytest.raises(QueryError, match="nope") as raised:
        engine.run("SELECT nope FROM customers", LIMITS)
    assert raised.value.hint


def test_rows_are_not_loaded_into_a_server(engine: Any) -> None:
    with pytest.raises(InputError):
        engine.load("t", ["a"], [(1,)])


def test_a_connection_the_server_gave_up_is_made_anew(server: Server, engine: Any) -> None:
    if server.dialect == "postgres":
        server.admin("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'racto'")
    else:
        for number, *_ in server.admin(
            "SELECT ID FROM information_schema.PROCESSLIST WHERE ID <> CONNECTION_ID() AND USER = 'root'"
        ):
            server.admin(f"KILL {number}")
    assert engine.run("SELECT 1 AS a", LIMITS).rows == [(1,)]


@pytest.mark.parametrize(
    "bad", [{"username": "ann-from-accounts"}, {"database": "nowhere"}, {"host": "host.invalid", "options": {}}]
)
def test_a_server_that_cannot_be_reached_is_told_without_its_address(server: Server, bad: dict[str, Any]) -> None:
    with pytest.raises(QueryError) as raised:
        make(replace(server.target, password="hunter22", **bad), Policy())
    said = str(raised.value)
    assert raised.value.hint
    for secret in ("hunter22", "ann-from-accounts", "host.invalid", server.target.host or "127.0.0.1", "localhost"):
        assert secret not in said


# What there is


def test_an_engine_knows_tables_keys_and_comments() -> None:
    postgres_shop().admin(
        "CREATE SCHEMA sales; CREATE TYPE mood AS ENUM ('sad', 'ok');"
        "CREATE TABLE sales.head (a int, b varchar(20) NOT NULL, m mood, t timestamptz(3), PRIMARY KEY (b, a));"
        "COMMENT ON TABLE sales.head IS 'the head'; COMMENT ON COLUMN sales.head.b IS 'its b';"
        "CREATE TABLE line (id serial PRIMARY KEY, a int, b varchar(20), FOREIGN KEY (b, a) REFERENCES sales.head (b, a));"
        "CREATE UNIQUE INDEX line_low ON line (lower(b), a) INCLUDE (id);"
        "CREATE TABLE part (id int, at date) PARTITION BY RANGE (at);"
        "CREATE TABLE part_1 PARTITION OF part FOR VALUES FROM ('2020-01-01') TO ('2021-01-01');"
        "CREATE MATERIALIZED VIEW seen AS SELECT a FROM sales.head"
    )
    catalogue = catalogue_of(postgres_shop().target)
    head, line = _table(catalogue, "head", "sales"), _table(catalogue, "line")
    assert [(one.name, one.type, one.nullable, one.comment) for one in head.columns] == [
        ("a", "integer", False, ""),
        ("b", "varchar(20)", False, "its b"),
        ("m", "mood", True, "one of sad, ok"),
        ("t", "timestamptz(3)", True, ""),
    ]
    assert (head.primary_key, head.comment) == (("b", "a"), "the head")
    assert [(key.columns, key.table, key.references) for key in line.foreign_keys] == [
        (("b", "a"), "sales.head", ("b", "a"))
    ]
    assert [(one.name, one.columns, one.unique) for one in line.indexes] == [
        ("line_low", ("lower(b::text)", "a"), True)
    ]
    assert _table(catalogue, "seen").kind == "view"
    assert catalogue.find("part") is not None
    assert catalogue.find("part_1") is None
    assert catalogue.default_schema == "public"
    assert catalogue.find("pg_class", "pg_catalog") is None


def test_an_engine_knows_tables_keys_and_comments_ofmariadb_shop() -> None:
    mariadb_shop().admin(
        "CREATE TABLE head (a int, b varchar(20) NOT NULL COMMENT 'its b', m enum('sad','ok'), PRIMARY KEY (b, a)) COMMENT 'the head'"
    )
    mariadb_shop().admin(
        "CREATE TABLE line (id int PRIMARY KEY, a int, b varchar(20), UNIQUE KEY low (b, a), FOREIGN KEY (b, a) REFERENCES head (b, a))"
    )
    catalogue = catalogue_of(mariadb_shop().target)
    head, line = _table(catalogue, "head"), _table(catalogue, "line")
    assert [(one.name, one.type, one.nullable, one.comment) for one in head.columns] == [
        ("a", "int(11)", False, ""),
        ("b", "varchar(20)", False, "its b"),
        ("m", "enum('sad','ok')", True, ""),
    ]
    assert (head.primary_key, head.comment) == (("b", "a"), "the head")
    assert [(key.columns, key.table, key.references) for key in line.foreign_keys] == [(("b", "a"), "head", ("b", "a"))]
    assert [(one.name, one.columns, one.unique) for one in line.indexes] == [("low", ("b", "a"), True)]
    assert _table(catalogue, "v_leak").kind == "view"
    assert catalogue.default_schema == "shop"


def test_samples_and_counts_come_when_asked_and_never_of_what_is_hidden(engine: Any) -> None:
    catalogue = engine.catalogue(row_counts=True, samples=3)
    assert _table(catalogue, "orders").row_count == 60
    customers = {column.name: column.samples for column in _table(catalogue, "customers").columns}
    assert len(customers["name"]) == 3
    assert set(customers["country"]) < {"DE", "FR", "IN", "JP", "US"}
    assert not leaks(catalogue)
    assert _table(catalogue, "v_leak").row_count is None or not leaks(_table(catalogue, "v_leak"))
    plain = engine.catalogue()
    assert not any(table.row_count or column.samples for table in plain.tables for column in table.columns)


def test_what_a_role_may_not_read_is_not_in_itscatalogue_of(reader: Any) -> None:
    catalogue = reader.catalogue(samples=2)
    assert {table.name for table in catalogue.tables} == {
        "customers",
        "employees",
        "events",
        "order_items",
        "orders",
        "products",
    }
    assert "ssn" not in {column.name for column in _table(catalogue, "customers").columns}


def test_the_fingerprint_changes_with_the_schema_and_not_with_the_rows(server: Server, engine: Any) -> None:
    server.admin("CREATE TABLE growing (a int)")
    seen = [engine.fingerprint()]
    server.admin("INSERT INTO growing VALUES (1)")
    assert engine.fingerprint() == seen[0] == engine.catalogue().fingerprint
    rename = "ALTER TABLE growing RENAME COLUMN a TO b"
    widen = (
        "ALTER TABLE growing ALTER b TYPE bigint"
        if server.dialect == "postgres"
        else "ALTER TABLE growing MODIFY b bigint"
    )
    for change in (rename, widen, "CREATE INDEX growing_b ON growing (b)", "DROP TABLE growing"):
        server.admin(change)
        seen.append(engine.fingerprint())
    assert len(set(seen)) == len(seen)


def test_values_python_has_no_type_for_come_as_the_text_of_postgresql() -> None:
    engine = PostgresEngine(postgres_shop().target, Policy())
    result = engine.run(
        "SELECT 'infinity'::date AS a, '0044-03-15 BC'::date AS b, '1 month 2 days'::interval AS c, '36 hours'::interval AS d,"
        " '[1,5)'::int4range AS e, '10.0.0.1'::inet AS f, '{1,2}'::int[] AS g, '{\"k\": [1]}'::jsonb AS h, ROW(1, 'x') AS i,"
        " '\\x01ff'::bytea AS j, 'NaN'::numeric AS k, '9ea4e1b0-0000-4000-8000-000000000001'::uuid AS l, 5.5::money AS m",
        LIMITS,
    )
    engine.close()
    row = dict(zip(result.names, result.rows[0], strict=True))
    assert Decimal(row.pop("k")).is_nan()
    assert row.pop("m").endswith("5.50")
    assert row == {
        "a": "infinity",
        "b": "0044-03-15 BC",
        "c": "1 mon 2 days",
        "d": timedelta(hours=36),
        "e": "[1,5)",
        "f": "10.0.0.1",
        "g": [1, 2],
        "h": {"k": [1]},
        "i": "(1,x)",
        "j": b"\x01\xff",
        "l": UUID("9ea4e1b0-0000-4000-8000-000000000001"),
    }


def test_values_of_mariadb_come_as_python_knows_them() -> None:
    engine = MySQLEngine(mariadb_shop().target, Policy())
    result = engine.run(
        "SELECT CAST('-100:00:00' AS time) AS a, b'101' + 0 AS b, x'01ff' AS c, CAST('0000-00-00' AS date) AS d, CAST('2024-01-02 03:04:05' AS datetime) AS e, 'ü😀' AS f",
        LIMITS,
    )
    engine.close()
    assert result.rows == [(timedelta(hours=-100), 5, b"\x01\xff", "0000-00-00", datetime(2024, 1, 2, 3, 4, 5), "ü😀")]
    assert [column.type for column in result.columns] == ["interval", "integer", "bytes", "date", "datetime", "text"]


# In its process


def test_a_query_ends_on_the_server_when_its_process_is_killed(server: Server) -> None:
    connection = Connection(server.target, Policy())
    failures: list[Exception] = []

    def run() -> None:
        try:
            connection.run(server.endless, Limits(seconds=3))
        except Exception as error:
            failures.append(error)

    thread = threading.Thread(target=run)
    thread.start()
    while not _running(server):  # each look waits for an answer of the server
        assert thread.is_alive()
    connection.cancel()
    thread.join(10)
    assert [type(one) for one in failures] == [QueryError]
    while _running(
        server
    ):  # PostgreSQL within its check of the client, MariaDB within the time limit; else the suite stands still
        pass
    assert connection.run("SELECT 1 AS a", LIMITS).rows == [(1,)]
    connection.close()


def test_a_value_too_large_for_the_process_is_a_limit_and_not_the_end(server: Server) -> None:
    connection = Connection(server.target, Policy())
    big = (
        "SELECT repeat('x', 150000000) AS x"
        if server.dialect == "postgres"
        else "SELECT repeat('x', 15000000) AS x FROM seq_1_to_20"
    )
    with pytest.raises(LimitError):
        connection.run(big, Limits(seconds=20, memory_bytes=100 * 2**20))
    assert connection.run("SELECT 1 AS a", LIMITS).rows == [(1,)]
    connection.close()


def _running(server: Server) -> bool:
    """Whether the endless query is running on the server."""
    if server.dialect == "postgres":
        sql = "SELECT 1 FROM pg_stat_activity WHERE state = 'active' AND query LIKE 'SELECT count(*) FROM generate_series(1, 1%'"
    else:
        sql = (
            "SELECT 1 FROM information_schema.PROCESSLIST WHERE INFO LIKE 'SELECT count(*) FROM seq_1_to_100000000 a%'"
        )
    return bool(server.admin(sql))
