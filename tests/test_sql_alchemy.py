"""A SQLAlchemy engine somebody has: read as any other database, and given back as it was."""

from __future__ import annotations

import asyncio
import sqlite3
import threading
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass
from itertools import count
from pathlib import Path

import pytest
import sqlalchemy
from racto.knowledge.errors import ConfigError, InputError, LimitError, QueryError, TimeLimitError
from racto.tools.sql.alchemy import AlchemyConnection
from racto.tools.sql.policy import Limits, Policy
from sqlalchemy import Engine, event
from sqlalchemy.pool import StaticPool

from tests.sql_servers import mariadb, mariadb_as_admin, postgres, postgres_as_admin

LIMITS = Limits(seconds=20)
POLICY = Policy(blocked_columns=["ssn"])
_numbers = count(1)


@dataclass
class Lent:
    """An engine with two tables, and a query on it that does not end by itself."""

    engine: Engine
    endless: str
    hides: bool = False

    def write(self, sql: str) -> None:
        """As whoever owns the engine."""
        with self.engine.begin() as connection:
            connection.exec_driver_sql(sql, execution_options={"no_parameters": True})

    def count(self) -> int:
        """Rows of the first table, read as the owner does."""
        with self.engine.connect() as connection:
            return int(connection.exec_driver_sql("SELECT count(*) FROM people").scalar_one())


def _sqlite() -> Lent:
    engine = sqlalchemy.create_engine("sqlite://", poolclass=StaticPool, connect_args={"check_same_thread": False})
    return Lent(
        engine, "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT count(*) FROM n", hides=True
    )


def _postgres(**options: str) -> Lent:
    name = f"lent_{next(_numbers)}"
    with postgres_as_admin() as admin:
        admin.execute(f"CREATE DATABASE {name}".encode())
    target = postgres()
    url = f"postgresql+psycopg://{target.username}@/{name}?host={target.host}"
    return Lent(sqlalchemy.create_engine(url, **options), "SELECT count(*) FROM generate_series(1, 1000000000)")


def _mariadb(**options: str) -> Lent:
    name = f"lent_{next(_numbers)}"
    with mariadb_as_admin() as admin, admin.cursor() as cursor:
        cursor.execute(f"CREATE DATABASE {name}")
    target = mariadb()
    url = f"mysql+pymysql://root@localhost/{name}?unix_socket={target.options['unix_socket']}"
    return Lent(sqlalchemy.create_engine(url, **options), "SELECT count(*) FROM seq_1_to_100000000 a, seq_1_to_1000 b")


LENT: dict[str, Callable[[], Lent]] = {
    "sqlite in memory": _sqlite,
    "postgresql": _postgres,
    "postgresql that commits by itself": lambda: _postgres(isolation_level="AUTOCOMMIT"),
    "mariadb": _mariadb,
    "mariadb that commits by itself": lambda: _mariadb(isolation_level="AUTOCOMMIT"),
}


@pytest.fixture(scope="module", params=LENT)
def lent(request: pytest.FixtureRequest) -> Iterator[Lent]:
    """Each kind of engine."""
    made = LENT[request.param]()
    made.write("CREATE TABLE people (id integer PRIMARY KEY, name varchar(20), ssn varchar(20))")
    made.write("INSERT INTO people VALUES (1, 'a:b %s', 'CANARY')")
    made.write("CREATE TABLE pets (id integer PRIMARY KEY, owner integer REFERENCES people (id))")
    yield made
    made.engine.dispose()


@pytest.fixture
def connection(lent: Lent) -> AlchemyConnection:
    return AlchemyConnection(lent.engine, POLICY)


def test_rows_come_as_from_any_other_connection(connection: AlchemyConnection) -> None:
    result = connection.run("SELECT id, name, ':x' AS p, '50%' AS id, NULL AS n FROM people", LIMITS)
    assert result.names == ["id", "name", "p", "id_2", "n"]
    assert result.rows == [(1, "a:b %s", ":x", "50%", None)]
    assert [column.type for column in result.columns][:2] == ["integer", "text"]
    empty = connection.run("SELECT id, name FROM people WHERE id < 0", LIMITS)
    assert (empty.names, empty.rows) == (["id", "name"], [])


def test_rows_over_the_limit_are_left(connection: AlchemyConnection) -> None:
    result = connection.run("SELECT 1 AS a UNION ALL SELECT 2 UNION ALL SELECT 3", Limits(rows=2))
    assert (len(result.rows), result.truncated) == (2, True)
    with pytest.raises(LimitError):
        connection.run("SELECT name FROM people", Limits(result_bytes=3))


def test_the_schema_is_read_and_remembered_by_its_fingerprint(lent: Lent, connection: AlchemyConnection) -> None:
    catalogue = connection.catalogue(row_counts=True, samples=2)
    people = catalogue.find("people")
    assert people is not None
    assert {column.name: column.samples for column in people.columns} == {"id": ("1",), "name": ("a:b %s",), "ssn": ()}
    assert (people.primary_key, people.row_count) == (("id",), 1)
    assert catalogue.find("pets") is not None
    before = connection.fingerprint()
    assert catalogue.fingerprint == before == connection.fingerprint()
    lent.write("CREATE TABLE other (id integer)")
    assert connection.fingerprint() != before
    lent.write("DROP TABLE other")


@pytest.mark.parametrize(
    "sql",
    [
        "DELETE FROM people",
        "DROP TABLE people",
        "SELECT 1; DROP TABLE people",
        "SELECT 1; COMMIT; DROP TABLE people",
        "COMMIT",
        "CREATE TABLE made (a integer)",
        "PRAGMA query_only = OFF",
        "ATTACH 'other.db' AS other",
        "SET SESSION CHARACTERISTICS AS TRANSACTION READ WRITE",
        "SELECT load_extension('x')",
        "SELECT pg_read_file('/etc/passwd')",
        "SELECT load_file('/etc/passwd')",
        "SELECT 1 $racto$; DROP TABLE people; $racto$",
        "nonsense",
        "",
    ],
)
def test_nothing_changes_and_no_file_is_read_whatever_comes(
    lent: Lent, connection: AlchemyConnection, sql: str
) -> None:
    before = connection.fingerprint()
    with pytest.raises(QueryError):
        connection.run(sql, LIMITS)
    with pytest.raises(QueryError):
        connection.explain(sql or "ANALYZE", LIMITS)
    assert (lent.count(), connection.fingerprint()) == (1, before)


def test_sqlite_hides_blocked_columns_and_tables_by_itself() -> None:
    made = _sqlite()
    made.write("CREATE TABLE people (id integer, ssn text)")
    made.write("INSERT INTO people VALUES (1, 'CANARY')")
    made.write("CREATE TABLE secrets (a text)")
    made.write("CREATE VIEW leak AS SELECT ssn AS code FROM people")
    connection = AlchemyConnection(made.engine, Policy(allowed_tables=["people", "leak"], blocked_columns=["ssn"]))
    for sql in (
        "SELECT ssn FROM people",
        "SELECT * FROM people",
        "SELECT code FROM leak",
        "SELECT * FROM secrets",
        "SELECT sql FROM sqlite_schema",
    ):
        with pytest.raises(QueryError) as raised:
            connection.run(sql, LIMITS)
        assert "ssn" not in str(raised.value)
    assert connection.run("WITH a AS (SELECT id FROM people) SELECT count(*) FROM a", LIMITS).rows == [(1,)]
    made.engine.dispose()


def test_a_query_ends_at_its_time_limit(lent: Lent, connection: AlchemyConnection) -> None:
    with pytest.raises(TimeLimitError):
        connection.run(lent.endless, Limits(seconds=0.2))
    assert connection.run("SELECT 1 AS a", LIMITS).rows == [(1,)]


def test_a_query_can_be_cancelled_from_another_thread(lent: Lent, connection: AlchemyConnection) -> None:
    started = threading.Event()
    event.listen(lent.engine, "before_cursor_execute", lambda *said: started.set() if lent.endless in said[2] else None)
    said: list[BaseException] = []

    def run() -> None:
        try:
            connection.run(lent.endless, LIMITS, token="mine")
        except QueryError as error:
            said.append(error)

    thread = threading.Thread(target=run)
    thread.start()
    assert started.wait(10)
    connection.cancel("another's")
    while thread.is_alive():  # what is cancelled before the database has begun goes on: so again
        connection.cancel("mine")
        thread.join(0.05)
    assert "cancelled" in str(said[0])
    assert connection.run("SELECT 1 AS a", LIMITS).rows == [(1,)]


def test_the_engine_works_for_its_owner_as_before(lent: Lent, connection: AlchemyConnection) -> None:
    connection.run("SELECT id FROM people", Limits(rows=1))
    lent.write("INSERT INTO people VALUES (2, 'b', 'c')")
    assert lent.count() == 2
    lent.write("DELETE FROM people WHERE id = 2")
    with lent.engine.connect() as owner:
        dialect = lent.engine.dialect.name
        if dialect == "mysql":
            limits = owner.exec_driver_sql("SELECT @@max_statement_time, @@sql_select_limit > 1000").one()
            assert tuple(limits) == (0, 1)
        elif dialect == "postgresql":
            assert owner.exec_driver_sql("SHOW statement_timeout").scalar_one() == "0"
            assert owner.exec_driver_sql("SHOW transaction_read_only").scalar_one() == "off"
        else:
            assert owner.exec_driver_sql("PRAGMA query_only").scalar_one() == 0
            assert owner.exec_driver_sql("SELECT ssn FROM people").scalar_one() == "CANARY"
    connection.close()
    assert lent.count() == 1


def test_a_plan_is_told(connection: AlchemyConnection) -> None:
    assert "people" in connection.explain("SELECT name FROM people", LIMITS)
    with pytest.raises(InputError):
        connection.load("t", ["a"], [(1,)])


def test_a_failure_is_told_without_address_and_password() -> None:
    engine = sqlalchemy.create_engine("postgresql+psycopg://somebody:hunter22@host.invalid/shop")
    with pytest.raises(QueryError) as raised:
        AlchemyConnection(engine, POLICY).run("SELECT 1", LIMITS)
    assert not [word for word in ("somebody", "hunter22", "host.invalid") if word in str(raised.value)]


def test_other_engines_are_refused_with_what_to_do() -> None:
    other = sqlalchemy.create_engine("sqlite://")
    other.dialect.is_async = True  # as that of an asynchronous engine, which needs another library
    with pytest.raises(ConfigError, match="asynchronous"):
        AlchemyConnection(other, POLICY)
    other.dialect.is_async = False
    other.dialect.name = "oracle"
    with pytest.raises(ConfigError, match="'oracle'"):
        AlchemyConnection(other, POLICY)
    with pytest.raises(ConfigError, match="no SQLAlchemy engine"):
        AlchemyConnection("sqlite://", POLICY)  # type: ignore[arg-type]  # what somebody may pass


def test_a_file_is_read_over_the_pool_of_the_engine(tmp_path: Path) -> None:
    with closing(sqlite3.connect(tmp_path / "a.db")) as made:
        made.executescript("CREATE TABLE t (a); INSERT INTO t VALUES (1)")
    engine = sqlalchemy.create_engine(f"sqlite:///{tmp_path / 'a.db'}")
    connection = AlchemyConnection(engine, Policy())

    async def several() -> list[int]:
        runs = (asyncio.to_thread(connection.run, "SELECT a FROM t", LIMITS) for _ in range(8))
        return [result.rows[0][0] for result in await asyncio.gather(*runs)]

    assert asyncio.run(several()) == [1] * 8
    engine.dispose()
