"""PostgreSQL and MariaDB with no guard before them: what the wall of an engine stops, what rights hide, and who is warned."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st
from racto.knowledge.errors import (
    ConfigError,
    InputError,
    QueryError,
    RactoError,
    ReadOnlyViolationError,
    TimeLimitError,
)
from racto.server.doctor import _asked
from racto.server.settings import load
from racto.tools.sql.engines import make
from racto.tools.sql.engines.mysql import MySQLEngine, check
from racto.tools.sql.engines.postgres import PostgresEngine
from racto.tools.sql.grants import grant_script
from racto.tools.sql.policy import Limits, Policy
from racto.tools.sql.source import Source
from racto.tools.sql.workers import Connection

from tests.sql_server_shops import Server, catalogue_of, mariadb_shop, postgres_shop
from tests.sql_servers import running
from tests.sql_shop import leaks, policy, shop, state, statements

LIMITS = Limits(seconds=20)
HIDDEN = ("CANARYSSN", "98765", "CANARYTOKEN", "CANARYAUDIT")
"""Canaries of blocked columns and tables: rights hide them. Masked columns can be read, or nobody could tell null from masked."""
OUTSIDE = ("root:x:0:", "/bin/sh")


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
        "SELECT set_config('role', 'none', false), word FROM ts_stat('SELECT to_tsvector(pg_read_file(''/etc/passwd''))')",
        "SELECT U&\"set\\005fconfig\"('role', 'none', false)",
        "SELECT \"query_to_xml\"('SELECT 1', true, true, '')",
        "UPDATE pg_settings SET setting = 'none' WHERE name = 'role'",
        "SELECT lo_import('/etc/passwd')",
        "SELECT lo_export(1, '/tmp/never')",
        "SELECT pg_reload_conf()",
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = 'postgres'",
    ],
)
def test_even_a_superuser_does_not_get_this_past_the_wall_of_postgresql(sql: str) -> None:
    engine = PostgresEngine(postgres_shop().target, Policy())
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
def test_what_only_looks_dangerous_runs_in_mariadb(sql: str) -> None:
    engine = MySQLEngine(mariadb_shop().target, Policy())
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
    return running.enter_context(closing(MySQLEngine(mariadb_shop().target, Policy())))


def test_locks_and_settings_of_one_query_do_not_stay_for_the_next(server: Server, reader: Any) -> None:
    if server.dialect == "postgres":
        reader.run(
            "SELECT pg_advisory_lock(7), set_config('statement_timeout', '0', false), set_config('search_path', 'pg_catalog', false)",
            LIMITS,
        )
        assert server.admin("SELECT * FROM pg_locks WHERE locktype = 'advisory'") == []
        assert reader.run("SELECT current_setting('search_path') AS a", LIMITS).rows[0][0].startswith("public")
    else:
        reader.run("SELECT GET_LOCK('racto test', 1)", LIMITS)
        assert server.admin("SELECT IS_USED_LOCK('racto test')") == [(None,)]
    slow = "SELECT pg_sleep(20)" if server.dialect == "postgres" else "SELECT SLEEP(20)"
    with pytest.raises(TimeLimitError):
        reader.run(slow, Limits(seconds=0.2))


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
    catalogue = catalogue_of(server.target)
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


def test_the_shop_has_what_the_tests_above_look_for() -> None:
    assert {"customers", "secrets"} < set(shop().TABLES)
    assert all(any(canary in repr(shop().rows()) for canary in (part,)) for part in HIDDEN)
