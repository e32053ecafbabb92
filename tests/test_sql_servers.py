"""PostgreSQL and MariaDB over the wire: what an engine reads, what its wall stops with no guard before it, and what happens on the server."""

from __future__ import annotations

import re
import threading
from collections.abc import Iterator
from contextlib import ExitStack, closing
from dataclasses import dataclass, replace
from datetime import date, datetime, timedelta
from decimal import Decimal
from functools import cache
from pathlib import Path
from typing import Any
from urllib.parse import quote
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st
from racto.knowledge.errors import (
    ConfigError,
    InputError,
    LimitError,
    QueryError,
    RactoError,
    ReadOnlyViolationError,
    TimeLimitError,
)
from racto.server.doctor import _asked
from racto.server.settings import load
from racto.tools.sql.catalogue import Catalogue, Table
from racto.tools.sql.engines import Target, make
from racto.tools.sql.engines.mysql import MySQLEngine, check
from racto.tools.sql.engines.postgres import PostgresEngine
from racto.tools.sql.grants import grant_script
from racto.tools.sql.policy import Limits, Policy
from racto.tools.sql.source import Source
from racto.tools.sql.workers import Connection

from tests.sql_servers import mariadb, mariadb_as_admin, postgres, postgres_as_admin
from tests.sql_shop import fill, leaks, policy, shop, state, statements

LIMITS = Limits(seconds=20)
HIDDEN = ("CANARYSSN", "98765", "CANARYTOKEN", "CANARYAUDIT")
"""Canaries of blocked columns and tables: rights hide them. Masked columns can be read, or nobody could tell null from masked."""
OUTSIDE = ("root:x:0:", "/bin/sh")


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
    return _open.enter_context(closing(as_admin("shop")))


_open = ExitStack()


@pytest.fixture(scope="module", autouse=True)
def _closed() -> Iterator[None]:
    """Nothing of this module stays open."""
    yield
    _open.close()


@pytest.fixture(scope="module", params=["postgres", "mysql"])
def server(request: pytest.FixtureRequest) -> Server:
    """Each server, with a shop."""
    return _postgres() if request.param == "postgres" else _mariadb()


@pytest.fixture(scope="module")
def postgres_server() -> Server:
    return _postgres()


@pytest.fixture(scope="module")
def mariadb_server() -> Server:
    return _mariadb()


@cache
def _postgres() -> Server:
    target = replace(postgres(), database="shop")
    with postgres_as_admin() as admin:
        admin.execute("CREATE DATABASE shop")
    with postgres_as_admin("shop") as admin:
        fill("postgres", lambda sql, row: admin.execute(sql, row or None))
        script = grant_script(_catalogue(target), policy(), "racto reader", database="shop")
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
def _mariadb() -> Server:
    target = replace(mariadb(), database="shop")
    with mariadb_as_admin() as admin, admin.cursor() as cursor:
        cursor.execute("CREATE DATABASE shop")
        cursor.execute("USE shop")
        fill("mysql", lambda sql, row: cursor.execute(sql, row or None))
        script = grant_script(_catalogue(target), policy(), "racto reader")
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


def _catalogue(target: Target) -> Catalogue:
    engine = make(target, Policy())
    try:
        return engine.catalogue()
    finally:
        engine.close()


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


def test_an_engine_knows_tables_keys_and_comments(postgres_server: Server) -> None:
    postgres_server.admin(
        "CREATE SCHEMA sales; CREATE TYPE mood AS ENUM ('sad', 'ok');"
        "CREATE TABLE sales.head (a int, b varchar(20) NOT NULL, m mood, t timestamptz(3), PRIMARY KEY (b, a));"
        "COMMENT ON TABLE sales.head IS 'the head'; COMMENT ON COLUMN sales.head.b IS 'its b';"
        "CREATE TABLE line (id serial PRIMARY KEY, a int, b varchar(20), FOREIGN KEY (b, a) REFERENCES sales.head (b, a));"
        "CREATE UNIQUE INDEX line_low ON line (lower(b), a) INCLUDE (id);"
        "CREATE TABLE part (id int, at date) PARTITION BY RANGE (at);"
        "CREATE TABLE part_1 PARTITION OF part FOR VALUES FROM ('2020-01-01') TO ('2021-01-01');"
        "CREATE MATERIALIZED VIEW seen AS SELECT a FROM sales.head"
    )
    catalogue = _catalogue(postgres_server.target)
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


def test_an_engine_knows_tables_keys_and_comments_of_mariadb(mariadb_server: Server) -> None:
    mariadb_server.admin(
        "CREATE TABLE head (a int, b varchar(20) NOT NULL COMMENT 'its b', m enum('sad','ok'), PRIMARY KEY (b, a)) COMMENT 'the head'"
    )
    mariadb_server.admin(
        "CREATE TABLE line (id int PRIMARY KEY, a int, b varchar(20), UNIQUE KEY low (b, a), FOREIGN KEY (b, a) REFERENCES head (b, a))"
    )
    catalogue = _catalogue(mariadb_server.target)
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


def test_what_a_role_may_not_read_is_not_in_its_catalogue(reader: Any) -> None:
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


def test_values_python_has_no_type_for_come_as_the_text_of_postgresql(postgres_server: Server) -> None:
    engine = PostgresEngine(postgres_server.target, Policy())
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


def test_values_of_mariadb_come_as_python_knows_them(mariadb_server: Server) -> None:
    engine = MySQLEngine(mariadb_server.target, Policy())
    result = engine.run(
        "SELECT CAST('-100:00:00' AS time) AS a, b'101' + 0 AS b, x'01ff' AS c, CAST('0000-00-00' AS date) AS d, CAST('2024-01-02 03:04:05' AS datetime) AS e, 'ü😀' AS f",
        LIMITS,
    )
    engine.close()
    assert result.rows == [(timedelta(hours=-100), 5, b"\x01\xff", "0000-00-00", datetime(2024, 1, 2, 3, 4, 5), "ü😀")]
    assert [column.type for column in result.columns] == ["interval", "integer", "bytes", "date", "datetime", "text"]


# What the wall stops


def test_no_statement_of_the_safety_corpus_changes_anything_or_reads_a_file_with_the_wall_alone(
    server: Server, engine: Any
) -> None:
    before = _everything(server)
    ran, refused = _try_all(server, engine)
    assert _everything(server) == before
    assert ran + refused == len(statements(server.dialect)) > 100


def test_a_role_with_the_rights_of_the_script_reads_nothing_that_is_hidden(server: Server, reader: Any) -> None:
    assert reader.risks() == []
    ran, refused = _try_all(server, reader, HIDDEN)
    assert ran > 50
    assert refused > 50


def test_behind_the_guard_the_role_runs_every_legitimate_statement_and_nothing_hidden_comes_out(server: Server) -> None:
    connection = Connection(server.reader, policy())
    source = Source("shop", connection, policy(), Limits(seconds=1))
    allowed = 0
    for row in statements(server.dialect):
        try:
            said = repr(source.query(row["sql"]).rows)
            allowed += row["verdict"] == "allow"
        except RactoError as error:
            said = str(error).replace(row["sql"], "")
            assert row["verdict"] == "deny", f"{row['id']} {row['sql']}: {said}"
        assert not leaks(said), f"{row['id']} {row['sql']}"
    assert allowed > 50
    connection.close()


def _try_all(server: Server, engine: Any, hidden: tuple[str, ...] = ()) -> tuple[int, int]:
    """Run the whole corpus; how many statements gave rows and how many did not."""
    ran = refused = 0
    for row in statements(server.dialect):
        try:
            said = repr(engine.run(row["sql"], Limits(seconds=0.4)))
            ran += 1
        except RactoError as error:
            said = str(error)
            refused += 1
            assert row["verdict"] == "deny", f"{row['id']} {row['sql']}: {said}"
        # What is asked for may be in the question: only values that were read count.
        values = said.replace(row["sql"], "")
        assert not [one for one in (*hidden, *OUTSIDE) if one in values], f"{row['id']} {row['sql']}"
    return ran, refused


def _everything(server: Server) -> object:
    """Rows, tables, accounts and settings."""
    seen: list[object] = [state(server.dialect, server.admin)]
    if server.dialect == "postgres":
        seen += [
            server.admin(f"SELECT * FROM {table} ORDER BY 1, 2")
            for table in ("pg_tables", "pg_views", "pg_roles", "pg_db_role_setting")
        ]
        seen += [
            server.admin("SELECT count(*) FROM pg_largeobject_metadata"),
            server.admin("SELECT count(*) FROM pg_proc"),
        ]
        seen += [server.admin("SELECT * FROM pg_locks WHERE locktype = 'advisory'")]
    else:
        seen += [
            server.admin(sql)
            for sql in ("SHOW TABLES", "SHOW DATABASES", "SELECT user, host FROM mysql.user ORDER BY 1, 2")
        ]
        seen += [
            server.admin("SHOW GLOBAL VARIABLES WHERE Variable_name NOT LIKE 'gtid%' AND Variable_name <> 'timestamp'")
        ]
    return seen


@pytest.mark.parametrize(
    "sql",
    [
        "DELETE FROM orders",
        "DROP TABLE orders",
        "SELECT 1; DROP TABLE orders",
        "SELECT 1; COMMIT; DROP TABLE orders",
        "COMMIT",
        "SET SESSION CHARACTERISTICS AS TRANSACTION READ WRITE",
        "SET TRANSACTION READ WRITE",
        "CREATE TABLE made (a int)",
        "CREATE TEMPORARY TABLE made (a int)",
        "CALL something()",
        "SELECT * FROM orders FOR UPDATE",
        "",
        ";",
        "-- nothing",
        "\x00",
        "SELECT 'a",
        "(((((((((",
    ],
)
def test_what_is_no_query_is_refused(server: Server, engine: Any, sql: str) -> None:
    before = _everything(server)
    with pytest.raises(QueryError):
        engine.run(sql, LIMITS)
    with pytest.raises(QueryError):
        engine.explain(f"ANALYZE {sql}", LIMITS)
    assert _everything(server) == before


@pytest.mark.parametrize(
    "sql",
    [
        "COPY orders TO '/tmp/never'",
        "COPY orders TO PROGRAM 'true'",
        "DO $$ BEGIN PERFORM 1; END $$",
        "SELECT * INTO made FROM orders",
        "WITH gone AS (DELETE FROM orders RETURNING *) SELECT * FROM gone",
        "SELECT set_config('transaction_read_only', 'off', false)",
        "SELECT pg_read_file('/etc/passwd')",
        "SELECT lo_import('/etc/passwd')",
        "SELECT lo_export(1, '/tmp/never')",
        "SELECT pg_reload_conf()",
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = 'postgres'",
    ],
)
def test_even_a_superuser_does_not_get_this_past_the_wall_of_postgresql(postgres_server: Server, sql: str) -> None:
    engine = PostgresEngine(postgres_server.target, Policy())
    with pytest.raises(QueryError):
        engine.run(sql, LIMITS)
    engine.close()


@pytest.mark.parametrize(
    "sql",
    [
        "SELECT LOAD_FILE('/etc/passwd')",
        "SELECT `load_file`('/etc/passwd')",
        "SELECT load_file/**/('/etc/passwd')",
        "SELECT 1 INTO OUTFILE '/tmp/never'",
        "SELECT 1e5into outfile '/tmp/never'",
        "SELECT 1 /*!50000 INTO OUTFILE '/tmp/never' */",
        "SELECT 1 /*M! INTO OUTFILE '/tmp/never' */",
        "SELECT 1--\x0b'\n,load_file('/etc/passwd')",
        "SELECT a--\u00a0, load_file('/etc/passwd') FROM (SELECT 1 AS a) t",
        "SELECT 'it\\'s', load_file('/etc/passwd'), '",
        "# a\nDROP TABLE orders",
        "LOAD DATA LOCAL INFILE '/etc/passwd' INTO TABLE orders",
        "FLUSH TABLES",
        "KILL QUERY 1",
        "DO SLEEP(0)",
        "SHOW TABLES",
        "EXPLAIN SELECT 1",
        "HANDLER orders OPEN",
        "SELECT 1; SELECT 2",
    ],
)
def test_what_reaches_files_or_is_no_query_is_refused_before_mariadb_sees_it(sql: str) -> None:
    with pytest.raises(ReadOnlyViolationError) as raised:
        check(sql)
    assert raised.value.rule == "write"


@pytest.mark.parametrize(
    "sql",
    [
        "SELECT 'load_file; /*! it''s \\' outfile' AS a, \"--\" b -- outfile\n;",
        "(SELECT 1) UNION (SELECT 2) # ;",
        "/* a */ WITH a AS (SELECT 1 AS `x``y`) SELECT * FROM a",
        "VALUES (1), (2)",
        "SELECT 3--1 AS four, 1/*+ hint */",
    ],
)
def test_what_only_looks_dangerous_runs_in_mariadb(mariadb_server: Server, sql: str) -> None:
    engine = MySQLEngine(mariadb_server.target, Policy())
    assert engine.run(sql, LIMITS).rows
    engine.close()


@given(st.text(st.sampled_from("'\"`\\/*!-# \n\t;sx"), max_size=14))
def test_no_quotation_hides_a_file_from_the_check_that_mariadb_would_see(text: str) -> None:
    """What is let through is text or comment to MariaDB too: were it not, it would read the file."""
    engine = _kept_engine()
    sql = f"SELECT 1 AS a, {text} LOAD_FILE('/etc/passwd') {text}"
    try:
        check(sql)
    except ReadOnlyViolationError:
        return
    try:
        result = engine.run(sql, LIMITS)
    except QueryError:
        return
    assert "root:" not in repr(result.rows)


@cache
def _kept_engine() -> MySQLEngine:
    return _open.enter_context(closing(MySQLEngine(_mariadb().target, Policy())))


def test_locks_and_settings_of_one_query_do_not_stay_for_the_next(server: Server, engine: Any) -> None:
    if server.dialect == "postgres":
        engine.run(
            "SELECT pg_advisory_lock(7), set_config('statement_timeout', '0', false), set_config('search_path', 'pg_catalog', false)",
            LIMITS,
        )
        assert server.admin("SELECT * FROM pg_locks WHERE locktype = 'advisory'") == []
        assert engine.run("SELECT current_setting('search_path') AS a", LIMITS).rows[0][0].startswith("public")
    else:
        engine.run("SELECT GET_LOCK('racto test', 1)", LIMITS)
        assert server.admin("SELECT IS_USED_LOCK('racto test')") == [(None,)]
    with pytest.raises(TimeLimitError):
        engine.run(server.endless, Limits(seconds=0.2))


# What the role may do


def test_an_administrator_is_warned_of(engine: Any) -> None:
    assert any("files of the server" in risk for risk in engine.risks())


def test_a_role_that_may_change_tables_is_warned_of(server: Server) -> None:
    if server.dialect == "postgres":
        server.admin(
            'CREATE ROLE "writer" LOGIN; GRANT SELECT, UPDATE ON orders TO "writer"; GRANT pg_read_server_files TO "writer"'
        )
    else:
        server.admin("CREATE USER 'writer'@'%'")
        server.admin("GRANT SELECT, UPDATE ON shop.orders TO 'writer'@'%'")
        server.admin("GRANT FILE ON *.* TO 'writer'@'%'")
    writer: Any = make(replace(server.target, username="writer"), Policy())
    risks = " ".join(writer.risks())
    writer.close()
    assert "may change" in risks
    assert "server_files" in risks or "FILE" in risks


def test_the_script_quotes_names_and_refuses_databases_without_roles(server: Server) -> None:
    assert '"racto reader"' in server.script or "'racto reader'@'%'" in server.script
    assert "ssn" not in "".join(line for line in server.script.splitlines() if line.startswith("GRANT"))
    catalogue = _catalogue(server.target)
    odd = grant_script(catalogue, policy(), "a\"b'c")
    assert '"a""b\'c"' in odd or "'a\"b''c'@'%'" in odd
    with pytest.raises(InputError):
        grant_script(catalogue, policy(), "a\nDROP")
    with pytest.raises(InputError, match="no roles"):
        grant_script(replace(catalogue, dialect="sqlite"), policy(), "a")


def test_odd_options_are_config_errors(server: Server) -> None:
    with pytest.raises(ConfigError, match="no_such_option"):
        make(replace(server.target, options={**server.target.options, "no_such_option": "1"}), Policy())


def test_the_doctor_prints_the_rights_a_role_needs_where_the_account_has_too_many(
    server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    where = {"host": server.target.host, **server.target.options}
    query = "&".join(f"{name}={value}" for name, value in where.items() if value)
    accounts = {"admin": server.target.username, "reader": quote(server.reader.username), "nobody": "nobody"}
    lines = [
        f'[sql_databases.{name}]\nurl = "{server.target.engine}://{account}@/shop?{query}"\nblocked_columns = ["ssn"]\n'
        for name, account in accounts.items()
    ]
    (tmp_path / "racto.toml").write_text("\n".join(lines), encoding="utf-8")
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("RACTO_CONFIG", str(tmp_path / "racto.toml"))
    findings = {name: _asked(name, one) for name, one in load().settings.sql_databases.items()}
    assert {name: one.state for name, one in findings.items()} == {"admin": "note", "reader": "ok", "nobody": "broken"}
    assert "files of the server" in findings["admin"].said
    assert "GRANT SELECT" in findings["admin"].fix
    assert "6 tables" in findings["reader"].said


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
        "SELECT repeat('x', 300000000) AS x"
        if server.dialect == "postgres"
        else "SELECT repeat('x', 15000000) AS x FROM seq_1_to_30"
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


def test_the_shop_has_what_the_tests_above_look_for() -> None:
    assert {"customers", "secrets"} < set(shop().TABLES)
    assert all(any(canary in repr(shop().rows()) for canary in (part,)) for part in HIDDEN)
