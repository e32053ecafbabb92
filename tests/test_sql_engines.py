"""Every engine of the table: what it says of a database, what it gives back, what it refuses."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import closing
from datetime import date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from racto.knowledge.errors import ConfigError, InputError, LimitError, QueryError, TimeLimitError, UnknownNameError
from racto.tools.sql.catalogue import ForeignKey, Table
from racto.tools.sql.engines import ENGINES, Target, make
from racto.tools.sql.policy import Limits, Policy
from racto.tools.sql.workers import Connection

from tests.sql_backends import BACKENDS, Backend, Rows

SCRIPT = [
    "CREATE TABLE authors (id INTEGER NOT NULL PRIMARY KEY, name VARCHAR(40) NOT NULL, born DATE, ssn VARCHAR(20))",
    """CREATE TABLE books (
        id INTEGER NOT NULL PRIMARY KEY, author_id INTEGER NOT NULL, title VARCHAR(80), price DECIMAL(8, 2),
        bought TIMESTAMP NULL, weight DOUBLE PRECISION, FOREIGN KEY (author_id) REFERENCES authors (id))""",
    "CREATE TABLE verses (book_id INTEGER NOT NULL, number INTEGER NOT NULL, words VARCHAR(80), PRIMARY KEY (book_id, number))",
    "CREATE INDEX by_title ON books (title, price)",
    "CREATE TABLE diary (entry VARCHAR(40))",
    "CREATE VIEW dear AS SELECT title, price FROM books WHERE price > 20",
]
AUTHORS = [
    (1, "Ada", "1815-12-10", "CANARY-1"),
    (2, "Émilie 数", "1706-12-17", "CANARY-2"),
    (3, "Nobody", None, None),
]
BOOKS = [
    (1, 1, "Notes", 12.5, "2024-05-06 07:08:09", 0.25),
    (2, 1, "Letters", 30.25, "2024-05-07 00:00:00", None),
    (3, 2, "Optics", None, None, 1.5),
]
ROWS: Rows = {
    "authors": AUTHORS,
    "books": BOOKS,
    "verses": [(book, number, f"line {number}") for book in (1, 2) for number in range(50)],
    "diary": [("CANARY-DIARY",)],
}
LIMITS = Limits(seconds=20)
POLICY = Policy(allowed_tables=["authors", "books", "verses", "dear"], blocked_columns=["ssn"], mask_columns=["name"])


@pytest.fixture(scope="module", params=ENGINES)
def made(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> tuple[Backend, Target]:
    """Each engine in turn, with the same database."""
    backend = BACKENDS[request.param]
    return backend, backend.make(tmp_path_factory.mktemp("database"), SCRIPT, ROWS)


@pytest.fixture(scope="module")
def connection(made: tuple[Backend, Target]) -> Iterator[Connection]:
    """Everything may be read."""
    with closing(Connection(made[1], Policy())) as one:
        yield one


@pytest.fixture(scope="module", params=[name for name, backend in BACKENDS.items() if backend.hides])
def hiding(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Connection]:
    """Each engine that needs no grants to hide what `POLICY` does not show."""
    target = BACKENDS[request.param].make(tmp_path_factory.mktemp("database"), SCRIPT, ROWS)
    with closing(Connection(target, POLICY)) as one:
        yield one


@pytest.fixture(scope="module")
def limited(made: tuple[Backend, Target]) -> Iterator[Connection]:
    """Only what `POLICY` shows may be read."""
    with closing(Connection(made[1], POLICY)) as one:
        yield one


def _rows(connection: Connection, sql: str) -> list[tuple[Any, ...]]:
    return connection.run(sql, LIMITS).rows


def _tables(connection: Connection, **wanted: Any) -> dict[str, Table]:
    return {table.name: table for table in connection.catalogue(**wanted).tables}


def test_every_engine_of_the_table_is_examined() -> None:
    assert BACKENDS.keys() == ENGINES.keys()


def test_rows_come_back_in_order_with_nulls_and_every_script(connection: Connection) -> None:
    result = connection.run("SELECT id, name FROM authors ORDER BY id", LIMITS)
    assert result.names == ["id", "name"]
    assert result.rows == [(1, "Ada"), (2, "Émilie 数"), (3, "Nobody")]
    assert not result.truncated
    assert 0 < result.seconds < LIMITS.seconds
    assert _rows(connection, "SELECT price, bought FROM books WHERE id = 3") == [(None, None)]


def test_values_are_what_the_database_holds(made: tuple[Backend, Target], connection: Connection) -> None:
    ((price, bought, weight, born),) = _rows(
        connection,
        "SELECT price, bought, weight, born FROM books JOIN authors ON authors.id = author_id WHERE books.id = 1",
    )
    assert (price, weight) == (12.5, 0.25)
    if made[1].engine == "sqlite":  # which keeps dates as text, and decimals as numbers
        assert (bought, born) == ("2024-05-06 07:08:09", "1815-12-10")
    else:
        assert isinstance(price, Decimal)
        assert (bought, born) == (datetime(2024, 5, 6, 7, 8, 9), date(1815, 12, 10))


def test_columns_have_types(made: tuple[Backend, Target], connection: Connection) -> None:
    result = connection.run("SELECT id, title, price, weight, bought FROM books ORDER BY id", LIMITS)
    dates = "text" if made[1].engine == "sqlite" else "datetime"
    assert [column.type for column in result.columns] == ["integer", "text", "number", "number", dates]


def test_columns_of_one_name_are_told_apart(connection: Connection) -> None:
    result = connection.run("SELECT a.id, b.id, a.id AS ID_2 FROM authors a JOIN books b ON b.author_id = a.id", LIMITS)
    assert len({name.lower() for name in result.names}) == 3
    assert result.names[0].lower() == "id"


def test_no_rows_still_have_columns(connection: Connection) -> None:
    result = connection.run("SELECT id, title FROM books WHERE id > 100", LIMITS)
    assert (result.names, result.rows, result.truncated) == (["id", "title"], [], False)


def test_rows_over_the_limit_are_not_fetched_and_that_is_said(connection: Connection) -> None:
    sql = "SELECT number FROM verses WHERE book_id = 1 ORDER BY number"
    few = connection.run(sql, Limits(rows=7))
    assert (few.rows, few.truncated) == ([(number,) for number in range(7)], True)
    exact = connection.run(sql, Limits(rows=50))
    assert (len(exact.rows), exact.truncated) == (50, False)
    assert len(connection.run(sql, Limits(rows=0)).rows) == 50


def test_a_result_larger_than_allowed_is_an_error(connection: Connection) -> None:
    sql = "SELECT a.words, b.words AS more FROM verses a CROSS JOIN verses b"
    with pytest.raises(LimitError, match="larger than"):
        connection.run(sql, Limits(result_bytes=20_000))
    assert len(connection.run(sql, Limits(result_bytes=2_000_000)).rows) == 10_000


def test_a_query_that_never_ends_is_stopped_in_time_and_the_next_one_runs(
    made: tuple[Backend, Target], connection: Connection
) -> None:
    with pytest.raises(TimeLimitError, match=r"after 0\.5 seconds") as caught:
        connection.run(made[0].never_ends, Limits(seconds=0.5))
    assert caught.value.hint
    assert _rows(connection, "SELECT count(*) FROM books") == [(3,)]


@pytest.mark.parametrize(
    "sql",
    [
        "INSERT INTO diary VALUES ('x')",
        "UPDATE books SET price = 0",
        "DELETE FROM books",
        "DROP TABLE diary",
        "CREATE TABLE new (a INTEGER)",
        "ALTER TABLE books ADD COLUMN x INTEGER",
        "SELECT 1; DELETE FROM books",
        "COMMIT",
        "",
        "-- nothing",
    ],
)
def test_nothing_changes_without_any_guard(sql: str, connection: Connection) -> None:
    before = (_rows(connection, "SELECT count(*), sum(price) FROM books"), connection.catalogue().tables)
    with pytest.raises(QueryError):
        connection.run(sql, LIMITS)
    assert (_rows(connection, "SELECT count(*), sum(price) FROM books"), connection.catalogue().tables) == before


@pytest.mark.parametrize("sql", ["SELEC 1", "SELECT nothing FROM books", "SELECT * FROM nowhere", "SELECT 'a"])
def test_a_mistake_comes_back_in_the_words_of_the_database_and_the_process_stays(
    sql: str, connection: Connection
) -> None:
    _rows(connection, "SELECT 1")
    pids = connection.pids
    with pytest.raises(QueryError) as caught:
        connection.run(sql, LIMITS)
    assert len(caught.value.message) > 15
    assert connection.pids == pids


def test_a_plan_is_explained_and_the_query_is_not_run(made: tuple[Backend, Target], connection: Connection) -> None:
    plan = connection.explain("SELECT title FROM books WHERE id = 1", LIMITS)
    assert "books" in plan
    assert connection.explain(made[0].never_ends, LIMITS)


def test_the_catalogue_names_tables_views_columns_and_keys(
    made: tuple[Backend, Target], connection: Connection
) -> None:
    catalogue = connection.catalogue()
    assert catalogue.dialect == made[0].dialect
    assert sorted(table.name for table in catalogue.tables) == ["authors", "books", "dear", "diary", "verses"]
    books, dear, authors = catalogue.find("BOOKS"), catalogue.find("dear"), catalogue.find("authors")
    assert books
    assert dear
    assert authors
    assert (books.kind, dear.kind) == ("table", "view")
    assert [column.name for column in books.columns] == ["id", "author_id", "title", "price", "bought", "weight"]
    assert [column.name for column in dear.columns] == ["title", "price"]
    assert [column.nullable for column in books.columns] == [False, False, True, True, True, True]
    assert books.primary_key == ("id",)
    assert books.foreign_keys == (ForeignKey(("author_id",), "authors", ("id",)),)
    assert ("title", "price") in [index.columns for index in books.indexes]
    assert {table.name: table.primary_key for table in catalogue.tables}["verses"] == ("book_id", "number")
    assert all(column.type for column in authors.columns)
    assert not any(column.samples for table in catalogue.tables for column in table.columns)


def test_rows_are_counted_and_values_sampled_when_asked(connection: Connection) -> None:
    tables = _tables(connection, row_counts=True, samples=2)
    assert isinstance(tables["verses"].row_count, int)
    titles = next(column for column in tables["books"].columns if column.name == "title")
    assert len(titles.samples) == 2
    assert set(titles.samples) < {"Notes", "Letters", "Optics"}


def test_samples_never_hold_what_is_blocked_or_masked_or_not_allowed(limited: Connection) -> None:
    tables = _tables(limited, samples=5)
    samples = {column.name: column.samples for column in tables["authors"].columns}
    assert samples["born"]
    assert samples["ssn"] == samples["name"] == ()
    assert tables["diary"].columns[0].samples == ()
    assert "CANARY" not in str(tables)


def test_the_fingerprint_stays_while_the_schema_does(connection: Connection) -> None:
    first = connection.fingerprint()
    assert first
    assert connection.catalogue().fingerprint == connection.fingerprint() == first


@pytest.mark.parametrize("sql", ["SELECT ssn FROM authors", "SELECT * FROM diary", "SELECT count(*) FROM diary"])
def test_an_engine_that_can_hides_what_the_policy_does_not_show(sql: str, hiding: Connection) -> None:
    with pytest.raises(QueryError) as caught:
        hiding.run(sql, LIMITS)
    assert "CANARY" not in str(caught.value)
    assert _rows(hiding, "SELECT count(*) FROM authors") == [(3,)]


def test_an_engine_that_can_masks_by_itself(hiding: Connection) -> None:
    assert _rows(hiding, "SELECT DISTINCT lower(name) FROM authors") == [("***masked***",)]
    assert hiding.run("SELECT * FROM authors", LIMITS).names == ["id", "name", "born"]


def test_rows_are_brought_to_duckdb_only(made: tuple[Backend, Target], connection: Connection) -> None:
    with pytest.raises(InputError, match="DuckDB in memory"):
        connection.load("extra", ["a"], [(1,)])
    assert _rows(connection, "SELECT count(*) FROM books") == [(3,)]
    assert made[1].engine in ENGINES


def test_an_engine_that_is_not_there_is_named_with_the_nearest(tmp_path: Path) -> None:
    with pytest.raises(UnknownNameError, match="'oracel'"):
        make(Target("oracel"), Policy())


@pytest.mark.parametrize("engine", ["sqlite", "duckdb"])
def test_a_file_that_is_not_there_is_a_mistake_of_the_configuration_and_is_not_made(
    engine: str, tmp_path: Path
) -> None:
    path = tmp_path / "missing.db"
    with closing(Connection(Target(engine, str(path)), Policy())) as connection, pytest.raises(ConfigError) as caught:
        connection.run("SELECT 1", LIMITS)
    assert "missing.db" in caught.value.message
    assert str(tmp_path) not in str(caught.value)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("engine", ["sqlite", "duckdb"])
def test_a_file_of_another_kind_is_no_database(engine: str, tmp_path: Path) -> None:
    path = tmp_path / "letter.db"
    path.write_text("Dear reader, this is no database at all. " * 500, encoding="utf-8")
    with closing(Connection(Target(engine, str(path)), Policy())) as connection, pytest.raises(ConfigError):
        connection.run("SELECT 1", LIMITS)


def test_importing_the_engines_imports_no_driver() -> None:
    import subprocess

    program = (
        "import sys, racto.tools.sql.workers, racto.tools.sql.engines.sqlite, racto.tools.sql.engines.duckdb\n"
        "print([name for name in ('duckdb', 'psycopg', 'pymysql', 'sqlalchemy', 'sqlglot', 'numpy', 'pydantic', 'mcp') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
