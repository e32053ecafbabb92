"""Random queries over the shop: none reads what is blocked or masked, whatever it is made of."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from racto.knowledge.errors import QueryRefusedError
from racto.tools.sql.guard import Guard

from tests import sql_shop

# Mostly what may be named, or hardly any query would get as far as the database.
TABLES = ("customers",) * 8 + ("(SELECT * FROM employees)", "employees", "main.customers", "secrets", "v_leak")
COLUMNS = ("id", "email", "phone", "name", "*") * 8 + (
    "country",
    "rowid",
    "ssn",
    "salary",
    "token",
    '"ssn"',
    "[salary]",
    "`email`",
)
ALIASES = ("a", "b", "customers", "ssn", "secrets", "x")
WRAPS = (
    "{}", "max({})", "min({})", "hex({})", "quote({})", "group_concat({})", "json_group_array({})", "{} || ''", "CAST({} AS TEXT)",
    "coalesce(NULL, {})", "iif(1, {}, 0)", "CASE WHEN 1 THEN {} END", "(SELECT {})", "first_value({}) OVER ()", "substr({}, 1)", "({})",
    "json_object('k', {})", "{} COLLATE NOCASE", "upper({})", "printf('%s', {})", "sum({}) OVER (ORDER BY 1)", "count({})", "+{}",
)  # fmt: skip


@pytest.fixture(scope="module")
def shop() -> Iterator[tuple[sqlite3.Connection, Guard, list[int]]]:
    connection = sql_shop.sqlite_shop()
    ran: list[int] = []
    yield connection, Guard(sql_shop.catalogue("sqlite"), sql_shop.policy()), ran
    connection.close()
    print(f"{len(ran)} random queries ran and gave {sum(ran)} rows")
    assert len(ran) >= 100
    assert sum(ran) >= 2_000


names = st.sampled_from(COLUMNS)
tables = st.sampled_from(TABLES)
aliases = st.sampled_from(ALIASES)


@st.composite
def columns(draw: st.DrawFn, sources: tuple[str, ...]) -> str:
    name = draw(names)
    qualifier = draw(st.sampled_from(sources))
    column = f"{qualifier}.{name}"
    return column if name == "*" else draw(st.sampled_from(WRAPS)).replace("{}", column)


@st.composite
def selects(draw: st.DrawFn, depth: int = 2) -> str:
    source = tables if depth == 0 else st.one_of(tables, selects(depth - 1).map(lambda sql: f"({sql})"))
    sources = tuple(draw(st.lists(aliases, min_size=1, max_size=2, unique=True)))
    join = draw(st.sampled_from((", ", " JOIN ", " NATURAL JOIN ", " LEFT JOIN ")))
    joined = join.join(f"{draw(source)} AS {alias}" for alias in sources)
    projections = draw(st.lists(st.tuples(columns(sources), st.one_of(st.none(), aliases)), min_size=1, max_size=3))
    listed = ", ".join(
        column if alias is None or column.endswith("*") else f"{column} AS {alias}" for column, alias in projections
    )
    sql = f"SELECT {listed} FROM {joined}"
    if draw(st.integers(0, 3)) == 0:
        condition = draw(st.sampled_from(("IS NOT NULL", "> 0", "IN (SELECT email FROM customers)", "IN secrets")))
        sql += f" WHERE {draw(st.sampled_from(sources))}.{draw(names.filter(lambda name: name != '*'))} {condition}"
    if draw(st.integers(0, 3)) == 0:
        sql += f" ORDER BY {draw(st.sampled_from(sources))}.{draw(names.filter(lambda name: name != '*'))}"
    return sql


@st.composite
def queries(draw: st.DrawFn) -> str:
    sql = draw(selects())
    if draw(st.integers(0, 3)) == 0:
        sql = f"WITH {draw(aliases)} AS ({draw(selects(1))}) {sql}"
    if draw(st.integers(0, 3)) == 0:
        sql += f" UNION ALL {draw(selects(1))}" if "ORDER BY" not in sql else ""
    return sql


@settings(max_examples=800, deadline=None)
@given(sql=queries())
def test_no_random_query_reads_a_canary(shop: tuple[sqlite3.Connection, Guard, list[int]], sql: str) -> None:
    connection, checked, ran = shop
    try:
        guarded = checked.check(sql, max_rows=200)
        rows = connection.execute(guarded.sql).fetchall()
    except (QueryRefusedError, sqlite3.Error) as error:
        said = str(error)
    else:
        said = ""
        ran.append(len(rows))
    assert not sql_shop.leaks(said)
    if said:
        return
    assert not {"secrets", "v_leak"} & set(guarded.tables)
    assert len(rows) <= 201
    # hex() and quote() of a canary hold it as well.
    assert not sql_shop.leaks(rows)
    assert not any("43414E415259".lower() in str(value).lower() for row in rows for value in row)


@settings(max_examples=200, deadline=None)
@given(
    sql=st.text(max_size=200)
    | queries().flatmap(lambda sql: st.integers(0, len(sql)).map(lambda at: sql[:at] + "'" + sql[at:]))
)
@pytest.mark.parametrize("dialect", ["sqlite", "postgres", "mysql", "duckdb"])
def test_any_text_is_passed_or_refused_and_never_breaks_the_guard(dialect: str, sql: str) -> None:
    checked = Guard(sql_shop.catalogue(dialect), sql_shop.policy())
    try:
        passed = bool(checked.check(sql).sql)
    except QueryRefusedError as error:
        passed = bool(error.rule and error.hint)
    assert passed


@settings(max_examples=150, deadline=None)
@given(name=st.text(min_size=1, max_size=12).filter(lambda text: text.isprintable() and text.strip() == text))
def test_a_masked_column_of_any_name_is_masked(name: str) -> None:
    from racto.tools.sql.catalogue import Catalogue, Column, Table
    from racto.tools.sql.policy import MASK, Policy

    if name.lower() == "id" or name.lower() != name.lower().strip():
        return
    quoted = '"' + name.replace('"', '""') + '"'
    catalogue = Catalogue("sqlite", (Table("t", (Column("id", "INT"), Column(name, "TEXT"))),))
    with sqlite3.connect(":memory:") as connection:
        connection.execute(f"CREATE TABLE t (id, {quoted})")
        connection.execute("INSERT INTO t VALUES (1, 'CANARY')")
        rows = connection.execute(Guard(catalogue, Policy(mask_columns={name})).check("SELECT * FROM t").sql).fetchall()
    connection.close()
    assert rows == [(1, MASK)]
