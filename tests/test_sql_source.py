"""One guarded database: what it shows, that it notices changes, and that what is protected stays so in every word it says."""

from __future__ import annotations

import re
import runpy
import shutil
import sqlite3
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any
from uuid import uuid4

import duckdb
import pytest
from racto.knowledge.errors import QueryError, QueryRefusedError, ReadOnlyViolationError, UnknownNameError
from racto.tools.sql.engines import Target
from racto.tools.sql.mistakes import Mistakes
from racto.tools.sql.policy import MASK, Limits, Policy
from racto.tools.sql.source import Source
from racto.tools.sql.workers import Connection

from tests import sql_servers

SHOP = Path(__file__).parents[2] / "shared" / "data" / "sql" / "shop.py"
pytestmark = pytest.mark.skipif(not SHOP.is_file(), reason="the shared data is not here")

CANARY = re.compile("CANARY|canary|98765", re.IGNORECASE)
"""What the protected columns and tables of the shop hold."""

Open = Callable[..., Source]


def made(dialect: str, execute: Callable[[str], object], fill: Callable[[str, list[Any]], object], mark: str) -> None:
    """Make the shop with its rows."""
    shop = runpy.run_path(str(SHOP))
    for statement in shop["ddl"](dialect):
        execute(statement)
    for table, rows in shop["rows"]().items():
        fill(f"INSERT INTO {table} VALUES ({', '.join([mark] * len(rows[0]))})", rows)


def make_sqlite(file: Path) -> Target:
    with closing(sqlite3.connect(file)) as connection, connection:
        connection.execute("BEGIN")
        made("sqlite", connection.execute, connection.executemany, "?")
    return Target("sqlite", str(file))


def make_duckdb(file: Path) -> Target:
    with closing(duckdb.connect(str(file))) as connection:
        made("duckdb", connection.execute, connection.executemany, "?")
    return Target("duckdb", str(file))


MAKERS = {"sqlite": make_sqlite, "duckdb": make_duckdb}


@pytest.fixture(scope="module")
def shops(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Target]:
    """The shop in a file of each engine that has files."""
    folder = tmp_path_factory.mktemp("shops")
    return {name: make(folder / name) for name, make in MAKERS.items()}


@pytest.fixture(params=sorted(MAKERS))
def target(request: pytest.FixtureRequest, shops: dict[str, Target], tmp_path: Path) -> Target:
    """A copy of the shop, to be changed at will."""
    shop = shops[request.param]
    return replace(shop, database=str(shutil.copy(shop.database, str(tmp_path))))


@pytest.fixture(params=[*sorted(MAKERS), "postgresql", "mysql"])
def any_target(request: pytest.FixtureRequest, shops: dict[str, Target], tmp_path: Path) -> Iterator[Target]:
    """The same, and on real servers in a database of its own."""
    name = f"shop_{uuid4().hex[:12]}"
    if request.param == "postgresql":
        with closing(sql_servers.postgres_as_admin()) as admin:
            admin.execute(f"CREATE DATABASE {name}")
        with closing(sql_servers.postgres_as_admin(name)) as admin, admin.transaction(), admin.cursor() as cursor:
            made("postgres", cursor.execute, cursor.executemany, "%s")
        yield replace(sql_servers.postgres(), database=name)
    elif request.param == "mysql":
        with closing(sql_servers.mariadb_as_admin()) as root, root.cursor() as asking:
            asking.execute(f"CREATE DATABASE {name}")
            asking.execute(f"USE {name}")
            made("mysql", asking.execute, asking.executemany, "%s")
        yield replace(sql_servers.mariadb(), database=name)
    else:
        shop = shops[request.param]
        yield replace(shop, database=str(shutil.copy(shop.database, str(tmp_path))))


@pytest.fixture
def opened() -> Iterator[Open]:
    """Opens sources, which are closed when the test ends."""
    sources: list[Source] = []

    def open_source(target: Target, policy: Policy | None = None, limits: Limits | None = None, **about: Any) -> Source:
        policy = Policy(**runpy.run_path(str(SHOP))["POLICY"]) if policy is None else policy
        sources.append(Source("shop", Connection(target, policy), policy, limits or Limits(), **about))
        return sources[-1]

    yield open_source
    for source in sources:
        source.close()


def change(source: Source, target: Target, *statements: str) -> None:
    """Change the database as somebody else does, who for DuckDB must have the file alone."""
    if target.engine == "duckdb":
        source.close()
    connections: dict[str, Callable[[], Any]] = {
        "duckdb": lambda: duckdb.connect(target.database),
        "sqlite": lambda: sqlite3.connect(target.database, isolation_level=None),
        "postgresql": lambda: sql_servers.postgres_as_admin(target.database),
        "mysql": lambda: sql_servers.mariadb_as_admin(target.database),
    }
    with closing(connections[target.engine]()) as connection, closing(connection.cursor()) as cursor:
        for statement in statements:
            cursor.execute(statement)


def test_a_query_gives_its_rows_with_hidden_values_masked_and_noted(any_target: Target, opened: Open) -> None:
    result = opened(any_target).query("SELECT name, email AS contact FROM customers ORDER BY id LIMIT 2")
    assert result.names == ["name", "contact"]
    assert result.rows == [("Cust 1", MASK), ("Cust 2", MASK)]
    assert result.notes == ["Values are masked in: contact."]
    assert not result.truncated


def test_rows_over_the_limit_are_told_and_a_query_can_ask_for_fewer_only(target: Target, opened: Open) -> None:
    source = opened(target, limits=Limits(rows=50))
    counts = {rows: len(source.query("SELECT id FROM orders", max_rows=rows).rows) for rows in (None, 0, 5, 50, 1_000)}
    assert counts == {None: 50, 0: 50, 5: 5, 50: 50, 1_000: 50}
    assert source.query("SELECT id FROM orders", max_rows=59).truncated
    assert source.query("SELECT id FROM orders", max_rows=5).truncated
    assert not source.query("SELECT id FROM products", max_rows=10).truncated
    assert len(opened(target, limits=Limits(rows=0)).query("SELECT id FROM orders").rows) == 60


def test_a_new_column_is_seen_and_can_be_asked_for_at_once(any_target: Target, opened: Open) -> None:
    source = opened(any_target)
    assert "channel" not in source.schema()
    assert source.query("SELECT count(*) FROM orders").rows == [(60,)]
    change(source, any_target, "ALTER TABLE orders ADD COLUMN channel TEXT", "UPDATE orders SET channel = 'web'")
    assert source.query("SELECT DISTINCT channel FROM orders").rows == [("web",)]
    assert "\n  channel " in source.schema()


def test_a_new_table_can_be_asked_for_at_once(target: Target, opened: Open) -> None:
    source = opened(target, Policy(blocked_columns={"ssn"}))
    source.schema()
    change(source, target, "CREATE TABLE returns (id INTEGER, reason TEXT)", "INSERT INTO returns VALUES (7, 'broken')")
    assert source.query("SELECT reason FROM returns").rows == [("broken",)]


def test_a_table_that_lost_a_column_is_asked_for_the_rest(target: Target, opened: Open) -> None:
    source = opened(target)
    before = source.query("SELECT * FROM customers").names
    change(source, target, "DROP VIEW v_leak", "ALTER TABLE customers DROP COLUMN country")
    assert source.query("SELECT * FROM customers").names == [name for name in before if name != "country"]
    with pytest.raises(QueryError, match="country"):
        source.query("SELECT country FROM customers")


def test_a_protected_column_that_comes_later_is_protected(target: Target, opened: Open) -> None:
    source = opened(target)
    source.schema()
    change(source, target, "ALTER TABLE orders ADD COLUMN phone TEXT", "UPDATE orders SET phone = 'CANARY'")
    assert source.query("SELECT DISTINCT phone FROM orders").rows == [(MASK,)]
    assert "CANARY" not in str(source.query("SELECT * FROM orders").rows)
    change(source, target, "ALTER TABLE orders ADD COLUMN ssn TEXT", "UPDATE orders SET ssn = 'CANARY'")
    assert "ssn" not in source.query("SELECT * FROM orders").names
    with pytest.raises(QueryError):
        source.query("SELECT ssn FROM orders")
    assert "ssn" not in source.schema()


def test_a_star_brings_no_protected_column_that_was_added_since(any_target: Target, opened: Open) -> None:
    source = opened(any_target)
    assert source.query("SELECT * FROM order_items LIMIT 1").names == ["order_id", "product_id", "qty", "unit_price"]
    change(source, any_target, "ALTER TABLE order_items ADD COLUMN ssn TEXT", "UPDATE order_items SET ssn = 'CANARY'")
    assert source.query("SELECT * FROM order_items LIMIT 1").names == ["order_id", "product_id", "qty", "unit_price"]


def test_a_schema_that_has_not_changed_is_not_read_again(any_target: Target, opened: Open) -> None:
    source = opened(any_target)
    first = source.view()
    source.query("SELECT 1 FROM orders")
    source.schema()
    assert source.view() is first
    source.refresh()
    assert source.view() is not first


def test_each_policy_sees_its_own_schema_however_they_take_turns(target: Target, opened: Open) -> None:
    open_to = {
        name: opened(target, policy)
        for name, policy in {
            "all": Policy(),
            "shop": None,
            "little": Policy(allowed_tables={"orders"}, blocked_columns={"orders.total"}),
        }.items()
    }
    for _ in range(2):
        texts = {name: source.schema() for name, source in open_to.items()}
        assert "table secrets" in texts["all"]
        assert "ssn" in texts["all"]
        assert "secrets" not in texts["shop"]
        assert "ssn" not in texts["shop"]
        assert "email" in texts["shop"]
        assert [table.name for table in open_to["little"].catalogue().tables] == ["orders"]
        assert "total" not in texts["little"]


def test_what_is_protected_is_in_no_sample_text_or_error(any_target: Target, opened: Open) -> None:
    source = opened(any_target, samples=8, row_counts=True)
    said = [source.schema(), source.schema("secrets and tokens", budget=400), source.find("email phone customers")]
    said.append(source.tables(["customers", "employees"]))
    assert "table customers, ~20 rows" in said[0]
    assert "'DE'" in said[0]
    assert "email" in said[0]
    assert "masked: values are hidden" in said[0]
    refused = 0
    for sql in (
        "SELECT ssn FROM customers",
        "SELECT c.ssn FROM customers AS c",
        "SELECT * FROM secrets",
        "SELECT token FROM secrets",
        "SELECT code FROM v_leak",
        "SELECT name FROM employees WHERE salary > 1",
        "SELECT CAST(email AS INTEGER) + nothing FROM customers",
        "SELECT 1 / (SELECT count(*) FROM audit_log)",
        "SELECT nothing FROM customers",
        "SELECT tokn FROM customers",
        "SELECT * FROM secret",
    ):
        with pytest.raises(QueryError) as caught:
            source.query(sql)
        said += [str(caught.value), str(caught.value.as_dict())]
        refused += 1
        with pytest.raises(QueryError) as caught:
            source.explain(sql)
        said.append(str(caught.value))
    said += [str(source.query("SELECT * FROM customers").rows), source.explain("SELECT * FROM customers")]
    assert refused == 11
    for text in said:
        assert not CANARY.search(text), text
    for text in said[:4]:
        for name in ("ssn", "salary", "token", "audit_log", "v_leak"):
            assert name not in text


def test_a_hidden_column_reads_like_one_that_does_not_exist(target: Target, opened: Open) -> None:
    source = opened(target)

    def told(sql: str, name: str) -> tuple[type, str]:
        with pytest.raises(QueryError) as caught:
            source.query(sql)
        return type(caught.value), caught.value.message.replace(name, "NAME")

    assert told("SELECT ssn FROM customers", "ssn") == told("SELECT xyz FROM customers", "xyz")
    assert told("SELECT c.ssn FROM customers AS c", "ssn") == told("SELECT c.xyz FROM customers AS c", "xyz")
    assert told("SELECT 1 FROM secrets", "secrets") == told("SELECT 1 FROM xsecret", "xsecret")


def test_every_name_the_schema_shows_can_be_asked_for_as_it_stands_there(any_target: Target, opened: Open) -> None:
    source = opened(any_target, Policy())
    names = [
        "plain",
        "MixedCase",
        "Order Details",
        "select",
        "user",
        "rank",
        "naïve",
        "名前",
        "2nd",
        "a-b",
        "a.b",
        "it's",
        "key",
    ]
    names += ["a`b"] if any_target.engine == "mysql" else ['a"b', "a`b"]
    mark = "`" if any_target.engine == "mysql" else '"'
    marked = [mark + name.replace(mark, 2 * mark) + mark for name in names]
    columns = ", ".join(f"{name} INTEGER" for name in marked)
    change(
        source,
        any_target,
        *(f"CREATE TABLE {name} ({columns})" for name in marked),
        *(f"INSERT INTO {name} VALUES ({', '.join(map(str, range(len(names))))})" for name in marked),
    )
    shown = source.tables(names).splitlines()
    tables = [line.removeprefix("table ") for line in shown if line.startswith("table ")]
    asked = [re.sub(r" \w+(?:\(\d+\))?$", "", line.strip()) for line in shown if line.startswith("  ")][: len(names)]
    assert len(tables) == len(asked) == len(names)
    for table in tables:
        assert source.query(f"SELECT {', '.join(asked)} FROM {table}").rows == [tuple(range(len(names)))]
    for place, column in enumerate(asked):
        rows = source.query(
            f"SELECT t.{column} FROM {tables[place]} AS t WHERE {column} = {place} ORDER BY {column}"
        ).rows
        assert rows == [(place,)]


def test_no_suggestion_of_a_database_names_what_is_hidden(shops: dict[str, Target]) -> None:
    policy = Policy(**runpy.run_path(str(SHOP))["POLICY"])
    with closing(Connection(shops["sqlite"], policy)) as connection:
        full = connection.catalogue()
    with closing(duckdb.connect(shops["duckdb"].database, read_only=True)) as connected:
        for sql, name in {"SELECT * FROM secret": "secrets", "SELECT snn FROM customers": "ssn"}.items():
            with pytest.raises(duckdb.Error) as caught:
                connected.execute(sql)
            assert f'"{name}"' in str(caught.value), "its own words"
            told = Mistakes(full, full.visible(policy)).explained(QueryError(str(caught.value)), sql)
            assert name not in str(told)


def test_a_wrong_name_is_answered_with_the_nearest_there_are(any_target: Target, opened: Open) -> None:
    source = opened(any_target)

    def told(sql: str) -> str:
        with pytest.raises(QueryError) as caught:
            source.query(sql)
        return str(caught.value)

    assert "country" in told("SELECT contry FROM customers")
    assert "products" in told("SELECT category FROM orders")
    assert "customers" in told("SELECT 1 FROM customer")
    with pytest.raises(UnknownNameError, match="Did you mean 'customers'"):
        source.tables(["custmers"])
    with pytest.raises(UnknownNameError) as caught:
        source.tables(["secret"])
    assert "secrets" not in str(caught.value)


def test_what_would_write_is_refused_and_what_is_broken_is_told(target: Target, opened: Open) -> None:
    source = opened(target)
    with pytest.raises(ReadOnlyViolationError):
        source.query("DELETE FROM orders")
    with pytest.raises(QueryRefusedError):
        source.query("SELECT FROM WHERE")
    with pytest.raises(QueryRefusedError):
        source.check("SELECT 1; SELECT 2")
    source.check("SELECT count(*) FROM orders")
    assert source.query("SELECT count(*) FROM orders").rows == [(60,)]


def test_counts_are_as_old_as_the_schema_and_refresh_makes_them_new(tmp_path: Path, opened: Open) -> None:
    target = make_sqlite(tmp_path / "shop.db")
    lasting, fleeting = opened(target, row_counts=True), opened(target, row_counts=True, schema_ttl=0)
    assert "table orders, ~60 rows" in lasting.schema()
    assert "table orders, ~60 rows" in fleeting.schema()
    change(lasting, target, "DELETE FROM orders WHERE id > 10")
    assert "table orders, ~60 rows" in lasting.schema()
    assert "table orders, ~10 rows" in fleeting.schema()
    lasting.refresh()
    assert "table orders, ~10 rows" in lasting.schema()


def test_a_large_schema_shows_what_the_question_is_about(tmp_path: Path, opened: Open) -> None:
    file = tmp_path / "large.db"
    columns = ", ".join(f"posting_amount_{place} NUMERIC" for place in range(10))
    tables = [f"CREATE TABLE department_ledger_{number} ({columns})" for number in range(1_000)]
    tables.append("CREATE TABLE singer (id INTEGER PRIMARY KEY, name TEXT)")
    tables.append("CREATE TABLE song (id INTEGER, sung_by INTEGER REFERENCES singer (id))")
    with closing(sqlite3.connect(file)) as connection:
        connection.executescript("; ".join(["BEGIN", *tables, "COMMIT"]))
    source = opened(Target("sqlite", str(file)), Policy())
    found = source.schema("How many singers are there?")
    assert "table singer\n  id INTEGER, primary key\n  name TEXT" in found
    assert "table song" in found
    assert "ledger" not in found
    assert "1,002 tables" in source.schema()
    assert "Ask for tables by their names" in source.schema()
    assert source.schema("xyzzy") == source.schema()
    assert source.find("xyzzy") == ""
    assert "table department_ledger_17\n" in source.tables(["department_ledger_17"])


def test_threads_share_a_source(target: Target, opened: Open) -> None:
    source = opened(target)

    def ask(number: int) -> tuple[int, bool]:
        rows = source.query(f"SELECT count(*) + {number} FROM orders").rows
        return int(rows[0][0]), "table customers" in source.schema()

    with ThreadPoolExecutor(8) as threads:
        assert list(threads.map(ask, range(40))) == [(60 + number, True) for number in range(40)]


def test_a_query_is_cancelled_by_its_token_and_others_go_on(tmp_path: Path, opened: Open) -> None:
    target = make_sqlite(tmp_path / "shop.db")
    source = opened(target)
    source.schema()
    endless = "WITH RECURSIVE n(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM n) SELECT count(*) FROM n"
    token, ended = object(), threading.Event()
    failures: list[BaseException] = []

    def run() -> None:
        try:
            source.query(endless, token=token)
        except QueryError as error:
            failures.append(error)
        ended.set()

    thread = threading.Thread(target=run)
    thread.start()
    while not ended.is_set():
        assert source.query("SELECT count(*) FROM orders").rows == [(60,)]
        source.cancel(token)
    thread.join()
    assert len(failures) == 1


def test_the_plan_of_a_query_is_the_databases_own(any_target: Target, opened: Open) -> None:
    assert "orders" in opened(any_target).explain("SELECT count(*) FROM orders WHERE id = 7").lower()


def test_a_view_is_no_way_around_a_hidden_column(any_target: Target, opened: Open) -> None:
    # `v_leak` shows the blocked column of customers under another name.
    hiding = opened(any_target, Policy(blocked_columns=["ssn"], mask_columns=["email"]))
    assert hiding.catalogue().find("v_leak") is None
    with pytest.raises(QueryError) as refused:
        hiding.query("SELECT code FROM v_leak")
    assert "CANARY" not in str(refused.value)
    assert len(hiding.query("SELECT id FROM customers").rows) == 20
    assert opened(any_target, Policy()).catalogue().find("v_leak") is not None


def test_a_misspelt_name_that_hides_nothing_is_logged_once(
    target: Target, opened: Open, caplog: pytest.LogCaptureFixture
) -> None:
    source = opened(target, Policy(mask_columns=["emial"]))
    source.query("SELECT 1")
    source.query("SELECT 2")
    assert [record.getMessage() for record in caplog.records if "emial" in record.getMessage()] == [
        "shop: The policy masks a column 'emial', which is not there. Did you mean 'email'?"
    ]
