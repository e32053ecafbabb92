"""What DuckDB itself refuses, with no guard before it."""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import duckdb
import pytest
from racto.knowledge.errors import ConfigError, InputError, QueryError, RactoError
from racto.tools.sql.engines import Target
from racto.tools.sql.engines.duckdb import DuckDBEngine
from racto.tools.sql.policy import MASK, Limits, Policy

from tests import sql_shop

LIMITS = Limits(seconds=3, memory_bytes=512 * 2**20)
SCRIPT = """
CREATE TABLE people (id INTEGER PRIMARY KEY, name VARCHAR, ssn VARCHAR, email VARCHAR);
INSERT INTO people VALUES (1, 'Ada', 'CANARY-SSN-1', 'CANARY-MAIL-1'), (2, 'Bob', 'CANARY-SSN-2', NULL);
CREATE TABLE vault (id INTEGER, token VARCHAR);
INSERT INTO vault VALUES (7, 'CANARY-TOKEN');
CREATE SCHEMA extra;
CREATE TABLE extra.kinds (id INTEGER PRIMARY KEY);
INSERT INTO extra.kinds VALUES (1);
CREATE TABLE extra.things (id INTEGER REFERENCES extra.kinds (id), note VARCHAR);
INSERT INTO extra.things VALUES (1, 'thing');
COMMENT ON TABLE extra.things IS 'what there is';
COMMENT ON COLUMN extra.things.note IS 'said of it';
CREATE VIEW published AS SELECT id * 10 AS code FROM vault;
CREATE SEQUENCE numbers;
"""
POLICY = Policy(
    allowed_tables=["people", "extra.things", "published"], blocked_columns=["people.ssn"], mask_columns=["email"]
)


@contextmanager
def _engine(target: Target, policy: Policy) -> Iterator[DuckDBEngine]:
    with closing(DuckDBEngine(target, policy)) as engine:
        yield engine


def _made(path: Path, script: str) -> Path:
    with closing(duckdb.connect(str(path))) as connection:
        connection.execute(script)
    return path


@pytest.fixture(scope="module")
def engine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[DuckDBEngine]:
    path = _made(tmp_path_factory.mktemp("wall") / "it's 50% full.duckdb", SCRIPT)
    with _engine(Target("duckdb", str(path)), POLICY) as one:
        yield one


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Files to ask, and one not to."""
    (tmp_path / "sales-1.csv").write_text("id,day,amount,email\n1,2024-01-02,1.5,CANARY-1\n", encoding="utf-8")
    (tmp_path / "sales-2.csv").write_text("id,day,amount,email\n2,2024-01-03,2.5,CANARY-2\n", encoding="utf-8")
    (tmp_path / "tree.jsonl").write_text('{"a": 1, "b": {"c": [1, 2]}}\n{"a": 2, "b": null}\n', encoding="utf-8")
    (tmp_path / "private.csv").write_text("a\nCANARY-PRIVATE\n", encoding="utf-8")
    with closing(duckdb.connect()) as connection:
        connection.execute(f"COPY (SELECT 1 AS a, 'x' AS b) TO '{tmp_path / 'one.parquet'}'")
    return tmp_path


def _rows(engine: DuckDBEngine, sql: str) -> list[tuple[Any, ...]]:
    return engine.run(sql, LIMITS).rows


def test_the_safety_corpus_changes_nothing_and_shows_nothing_without_any_guard(tmp_path: Path) -> None:
    path = tmp_path / "shop.duckdb"
    with closing(duckdb.connect(str(path))) as shop:
        sql_shop.fill("duckdb", shop.execute)
    before = hashlib.sha256(path.read_bytes()).hexdigest()
    seen, refused = 0, []
    with _engine(Target("duckdb", str(path)), sql_shop.policy()) as engine:
        for row in sql_shop.statements("duckdb"):
            seen += 1
            try:
                shown: object = engine.run(row["sql"], LIMITS).rows
            except RactoError as error:
                shown = str(error)
                if row["verdict"] == "allow":
                    refused.append((row["sql"], shown))
            assert not [leak for leak in sql_shop.leaks(shown) if leak not in row["sql"]], row
    assert hashlib.sha256(path.read_bytes()).hexdigest() == before
    assert [one.name for one in tmp_path.iterdir()] == ["shop.duckdb"]
    assert seen > 170
    assert refused == []


@pytest.mark.parametrize(
    "sql",
    [
        "SELECT ssn FROM people",
        "SELECT * FROM vault",
        "FROM vault",
        "TABLE vault",
        "SELECT token FROM (SELECT '' AS token) NATURAL FULL JOIN vault",
        "SELECT ssn FROM (SELECT '' AS ssn) NATURAL FULL JOIN people",
        "SELECT * FROM query('FROM vault')",
        "SELECT * FROM query_table('vault')",
        "SELECT * FROM duckdb_tables()",
        "SELECT * FROM duckdb_databases()",
        "SELECT * FROM information_schema.tables",
        "SELECT * FROM pg_catalog.pg_class",
        "SELECT * FROM sqlite_master",
        "WITH a AS (WITH duckdb_views AS (SELECT 1) SELECT 1) SELECT * FROM duckdb_views",
        "DESCRIBE vault",
        "SHOW ALL TABLES",
        "SUMMARIZE vault",
        "FROM (DESCRIBE people)",
        "PIVOT vault ON token USING count(*)",
        "PIVOT duckdb_tables() ON table_name USING count(*)",
        "PIVOT (FROM duckdb_databases()) ON path USING count(*)",
        "PIVOT 'private.csv' ON a USING count(*)",
        "PIVOT \"read_csv\"('x') ON a USING count(*)",
        "PIVOT (SELECT current_setting('allowed_paths') AS a) ON a USING count(*)",
        "SELECT current_setting('access_mode')",
        "SELECT nextval('numbers')",
        "SELECT pg_get_viewdef(range) FROM range(30000)",
        "PIVOT (SELECT E'\\' AS a, ' , * FROM duckdb_tables()) ON a USING count(*) --'",
        "PIVOT (SELECT 1 AS a /* /* */ ' */ FROM duckdb_tables() /* ' */) ON a USING count(*)",
        "SELECT * FROM seq_scan('vault')",
        "SELECT * FROM json_execute_serialized_sql(json_serialize_sql('FROM vault'))",
        "SELECT * FROM memory.main.vault",
        "WITH x AS (INSERT INTO extra.things VALUES (9, 'x') RETURNING id) SELECT * FROM x",
        "SET max_execution_time = 0",
        "RESET memory_limit",
        "PRAGMA enable_logging",
        "CALL force_checkpoint()",
        "LOAD httpfs",
        "INSTALL httpfs",
        "ATTACH ':memory:' AS m",
        "COPY people TO 'x.csv'",
        "EXPORT DATABASE 'x'",
        "USE extra",
        "PREPARE p AS SELECT 1",
        "CREATE TEMP TABLE t AS SELECT 1",
        "CREATE MACRO f(a) AS a",
        "SELECT $1",
        "BEGIN",
        "COMMIT",
        "SELECT 1; SELECT 2",
    ],
)
def test_only_views_of_what_the_policy_shows_are_read(sql: str, engine: DuckDBEngine) -> None:
    with pytest.raises(QueryError) as caught:
        _rows(engine, sql)
    assert "CANARY" not in str(caught.value)
    assert "racto_" not in str(caught.value)
    assert "wall" not in str(caught.value)
    assert _rows(engine, "SELECT count(*) FROM extra.things") == [(1,)]


def test_what_lies_under_the_views_cannot_be_named_even_by_who_knows_it(engine: DuckDBEngine) -> None:
    for sql in ("SELECT * FROM {}.main.vault", "PIVOT {}.main.vault ON token USING count(*)"):
        with pytest.raises(QueryError):
            _rows(engine, sql.format(engine._database))
        with pytest.raises(QueryError):
            _rows(engine, sql.format(f'"{engine._database.upper()}"'))


def test_a_plan_does_not_name_what_lies_under_the_views(engine: DuckDBEngine) -> None:
    plan = engine.explain("SELECT * FROM people WHERE id = 1", LIMITS)
    assert "people" in plan
    assert "racto_" not in plan


def test_what_is_shown_is_masked_however_it_is_asked_for(engine: DuckDBEngine) -> None:
    assert _rows(engine, "FROM people ORDER BY id") == [(1, "Ada", MASK), (2, "Bob", None)]
    assert _rows(engine, "SELECT p FROM people p WHERE id = 1") == [({"id": 1, "name": "Ada", "email": MASK},)]
    assert _rows(engine, "SELECT COLUMNS('^e') FROM main.people WHERE id = 1") == [(MASK,)]
    assert _rows(engine, "SELECT code FROM published") == [(70,)]
    assert engine.run("PIVOT people ON email USING count(*) GROUP BY id", LIMITS).names == ["id", MASK]


def test_schemas_and_comments_are_in_the_catalogue(engine: DuckDBEngine) -> None:
    catalogue = engine.catalogue()
    things = catalogue.find("things", "extra")
    assert things
    assert (things.full_name, things.comment) == ("extra.things", "what there is")
    assert [column.comment for column in things.columns] == ["", "said of it"]
    assert things.foreign_keys[0].references == ("id",)
    assert catalogue.find("people")
    assert _rows(engine, "SELECT note FROM extra.things") == [("thing",)]


def test_files_are_tables(folder: Path) -> None:
    files = {
        "sales": str(folder / "sales-*.csv"),
        "tree": str(folder / "tree.jsonl"),
        "one": str(folder / "one.parquet"),
    }
    with _engine(Target("duckdb", files=files), Policy(mask_columns=["sales.email"])) as engine:
        assert _rows(engine, "SELECT sum(amount), min(day)::VARCHAR FROM sales") == [(4.0, "2024-01-02")]
        assert _rows(engine, "SELECT DISTINCT email FROM sales") == [(MASK,)]
        assert _rows(engine, "SELECT b FROM tree ORDER BY a") == [({"c": [1, 2]},), (None,)]
        assert _rows(engine, "SELECT * FROM one") == [(1, "x")]
        catalogue = engine.catalogue(row_counts=True, samples=2)
    assert [(table.name, table.row_count) for table in catalogue.tables] == [("sales", 2), ("tree", 2), ("one", 1)]
    assert [column.type for column in catalogue.tables[0].columns] == ["BIGINT", "DATE", "DOUBLE", "VARCHAR"]
    assert "CANARY" not in str(catalogue)


@pytest.mark.parametrize(
    "sql",
    [
        "FROM '{}/private.csv'",
        "FROM '{}/sales-1.csv'",
        "SELECT * FROM read_csv('{}/sales-1.csv')",
        "SELECT * FROM read_text('{}/private.csv')",
        "SELECT * FROM glob('{}/*')",
        "SELECT * FROM sniff_csv('{}/sales-1.csv')",
        "COPY (SELECT 1) TO '{}/sales-1.csv'",
        "COPY (SELECT 1) TO '{}/new.csv'",
        "PIVOT '{}/sales-1.csv' ON email USING count(*)",
        'PIVOT "{}/sales-1.csv" ON email USING count(*)',
        "PIVOT read_csv('{}/sales-1.csv') ON email USING count(*)",
        "ATTACH '{}/x.db'",
    ],
)
def test_no_file_is_read_or_written_but_through_its_table(sql: str, folder: Path) -> None:
    before = sorted(path.name for path in folder.iterdir())
    text = (folder / "sales-1.csv").read_bytes()
    target = Target("duckdb", files={"sales": str(folder / "sales-*.csv")})
    with _engine(target, Policy(blocked_columns=["email"])) as engine:
        with pytest.raises(QueryError) as caught:
            _rows(engine, sql.format(folder))
        assert "CANARY" not in str(caught.value)
        assert engine.run("FROM sales", LIMITS).names == ["id", "day", "amount"]
    assert sorted(path.name for path in folder.iterdir()) == before
    assert (folder / "sales-1.csv").read_bytes() == text


def test_a_file_that_grows_or_gets_other_columns_is_read_anew(folder: Path) -> None:
    with _engine(Target("duckdb", files={"sales": str(folder / "sales-1.csv")}), Policy()) as engine:
        first = engine.fingerprint()
        assert _rows(engine, "SELECT count(*) FROM sales") == [(1,)]
        (folder / "sales-1.csv").write_text("id,total\n1,2\n3,4\n", encoding="utf-8")
        assert _rows(engine, "SELECT sum(total) FROM sales") == [(6,)]
        assert engine.fingerprint() != first


def test_a_database_that_is_replaced_is_opened_again(tmp_path: Path) -> None:
    path = _made(tmp_path / "some.duckdb", "CREATE TABLE a AS SELECT 'old' AS x")
    other = _made(tmp_path / "other.duckdb", "CREATE TABLE a AS SELECT 'new' AS x")
    with _engine(Target("duckdb", str(path)), Policy()) as engine:
        assert _rows(engine, "FROM a") == [("old",)]
        shutil.move(other, path)
        assert _rows(engine, "FROM a") == [("new",)]


@pytest.mark.parametrize(
    ("files", "said"),
    [
        ({"t": "nothing-*.csv"}, "no file for the table 't'"),
        ({"t": "private.xyz"}, "not all of one kind"),
        ({"t": "*.*"}, "not all of one kind"),
        ({"t": "s3://bucket/x.parquet"}, "no file for the table 't'"),
    ],
)
def test_files_that_cannot_be_tables_are_mistakes_of_the_configuration(
    files: dict[str, str], said: str, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (folder / "private.xyz").write_text("x", encoding="utf-8")
    monkeypatch.chdir(folder)
    with pytest.raises(ConfigError, match=said):
        DuckDBEngine(Target("duckdb", files=files), Policy())


def test_a_damaged_file_is_named_without_its_folder(folder: Path) -> None:
    (folder / "bad.parquet").write_text("no parquet", encoding="utf-8")
    with pytest.raises(ConfigError) as caught:
        DuckDBEngine(Target("duckdb", files={"t": str(folder / "bad.parquet")}), Policy())
    assert "bad.parquet" in str(caught.value)
    assert str(folder) not in str(caught.value)


def test_rows_brought_to_files_are_joined_with_them(folder: Path) -> None:
    with _engine(Target("duckdb", files={"sales": str(folder / "sales-*.csv")}), Policy()) as engine:
        engine.load("names", ["id", "name"], [(1, "Ada"), (2, None)])
        assert _rows(engine, "SELECT name FROM names JOIN sales USING (id) ORDER BY id") == [("Ada",), (None,)]
        assert [table.name for table in engine.catalogue().tables] == ["sales", "names"]
        with pytest.raises(InputError):
            engine.load("SALES", ["a"], [(1,)])


def test_a_database_somebody_writes_to_says_so(tmp_path: Path) -> None:
    path = tmp_path / "busy.duckdb"
    with closing(duckdb.connect(str(path))), pytest.raises(ConfigError) as caught:
        DuckDBEngine(Target("duckdb", str(path)), Policy())
    assert str(tmp_path) not in str(caught.value)


def test_times_with_a_zone_and_nested_values_come_back(engine: DuckDBEngine) -> None:
    ((moment, nested),) = _rows(
        engine, "SELECT TIMESTAMPTZ '2024-01-02 03:04:05+02', {'a': [DATE '2024-01-02'], 'm': MAP {'k': 1.5}}"
    )
    assert moment.isoformat() == "2024-01-02T01:04:05+00:00"
    assert str(nested["a"]) == "[datetime.date(2024, 1, 2)]"
    assert float(nested["m"]["k"]) == 1.5
