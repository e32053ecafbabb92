"""What the owner of a database writes about it in a YAML file: read strictly, checked, and shown where it belongs."""

from __future__ import annotations

import contextlib
import sqlite3
import string
import sys
import time
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from racto.knowledge.errors import ConfigError
from racto.tools.sql.catalogue import Catalogue, Column, Table
from racto.tools.sql.engines import Target
from racto.tools.sql.mistakes import misnamed
from racto.tools.sql.policy import Limits, Policy
from racto.tools.sql.semantic_file import LARGEST, parse, read
from racto.tools.sql.semantics import ColumnMeaning, Join, Metric, Question, Semantics, TableMeaning
from racto.tools.sql.source import Source
from racto.tools.sql.workers import Connection

LAYER = """
description: What the shop sells, and to whom.
tables:
  Orders:
    description: One row for each order.
    synonyms: [purchases, baskets]
    columns:
      Status:
        description: Where it is
        values: {new: just placed, no: was refused, 2024: from the year before}
      total: {synonyms: [amount]}
  customers:
    columns:
      email: {description: Where mail goes, values: [ada@example.org]}
      ssn: {description: The number of the state}
metrics:
  - name: revenue
    sql: SELECT sum(total) FROM orders WHERE status <> 'no'
    description: What came in
    synonyms: [turnover]
joins:
  - {left: orders, right: customers, on: orders.customer = customers.id, description: who bought}
questions:
  - question: How many orders are there?
    sql: SELECT count(*) FROM orders
    note: all of them
"""


def test_a_file_is_read_with_every_value_as_the_text_it_is() -> None:
    assert parse(LAYER) == Semantics(
        "What the shop sells, and to whom.",
        {
            "orders": TableMeaning(
                "One row for each order.",
                ("purchases", "baskets"),
                {
                    "status": ColumnMeaning(
                        "Where it is",
                        (),
                        {"new": "just placed", "no": "was refused", "2024": "from the year before"},
                    ),
                    "total": ColumnMeaning(synonyms=("amount",)),
                },
            ),
            "customers": TableMeaning(
                columns={
                    "email": ColumnMeaning("Where mail goes", (), {"ada@example.org": ""}),
                    "ssn": ColumnMeaning("The number of the state"),
                }
            ),
        },
        (Metric("revenue", "SELECT sum(total) FROM orders WHERE status <> 'no'", "What came in", ("turnover",)),),
        (Join("orders", "customers", "orders.customer = customers.id", "who bought"),),
        (Question("How many orders are there?", "SELECT count(*) FROM orders", "all of them"),),
    )


def test_an_empty_file_says_nothing() -> None:
    assert parse("") == parse("# nothing yet\n") == parse("tables:\nmetrics:\n") == Semantics()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("tabels: {}", "shop.yaml has no 'tabels'. Did you mean 'tables'?"),
        ("tables: {orders: {colums: {}}}", "shop.yaml: tables.orders has no 'colums'. Did you mean 'columns'?"),
        ("tables: {orders: {columns: {a: {zzz: 1}}}}", "tables.orders.columns.a has no 'zzz'. Known: description"),
        ("metrics: [{name: a}]", "shop.yaml: metrics[0].sql is missing."),
        ("metrics: [{name: a, sql: b}, {sql: c}]", "shop.yaml: metrics[1].name is missing."),
        ("joins: [{left: a, right: b}]", "shop.yaml: joins[0].on is missing."),
        ("questions: [{question: ' ', sql: x}]", "shop.yaml: questions[0].question is missing."),
        ("tables: [orders]", "shop.yaml: tables should be names with what belongs to them (`name: …`), not a list."),
        ("tables: orders", "tables should be names with what belongs to them (`name: …`), not text."),
        ("metrics: {name: a}", "shop.yaml: metrics should be a list (`- …`), not names."),
        ("description: [a]", "shop.yaml: description should be text, not a list."),
        ("- a", "shop.yaml should be names with what belongs to them"),
        ("tables: {Orders: {}, orders: {}}", "shop.yaml is not YAML: 'orders' twice, on line 1."),
        ("? [a]\n: b", "shop.yaml is not YAML: a name that is none, on line 1."),
        ("tables: {", "shop.yaml is not YAML: while parsing a flow"),
        ("a: 1\n---\nb: 2", "shop.yaml is not YAML: expected a single document"),
    ],
)
def test_what_is_wrong_in_a_file_is_told_with_its_place(text: str, message: str) -> None:
    with pytest.raises(ConfigError) as caught:
        parse(text, "shop.yaml")
    assert message in str(caught.value)


def test_a_file_makes_no_objects_and_no_more_than_it_says() -> None:
    laughs = "a: &a [x, x]\n" + "".join(
        f"{b}: &{b} [*{a}, *{a}]\n" for a, b in zip("abcdefgh", "bcdefghi", strict=True)
    )
    for text in (
        laughs,
        "a: &a [*a]",
        "<<: &x {a: b}",
        "[" * 100_000,
        "{a: " * 100_000,
        "- " * 50_000,
        "x" * (LARGEST + 1),
    ):
        began = time.process_time()
        with pytest.raises(ConfigError):
            parse(text)
        assert time.process_time() - began < 2
    with pytest.raises(ConfigError, match="should be text"):
        parse("description: !!python/object/apply:os.abort []")


@settings(deadline=None)
@given(st.text(string.printable, max_size=200))
def test_any_text_is_a_semantic_layer_or_is_refused(text: str) -> None:
    with contextlib.suppress(ConfigError):
        assert isinstance(parse(text), Semantics)


def test_a_file_that_cannot_be_read_is_told(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="cannot be read"):
        read(tmp_path / "none.yaml")
    (tmp_path / "latin.yaml").write_bytes("description: Größe".encode("latin-1"))
    with pytest.raises(ConfigError, match="not UTF-8"):
        read(tmp_path / "latin.yaml")
    (tmp_path / "signed.yaml").write_bytes("\ufeffdescription: Größe".encode())
    assert read(tmp_path / "signed.yaml").description == "Größe"


def test_without_pyyaml_the_message_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "yaml", None)
    with pytest.raises(ConfigError, match=r"racto\[sql\]"):
        parse("description: x")


def test_a_thousand_described_tables_are_read_in_a_second() -> None:
    columns = "".join(f"      column_{number}: {{description: What it holds, synonyms: [a]}}\n" for number in range(10))
    text = "tables:\n" + "".join(f"  table_{number}:\n    columns:\n{columns}" for number in range(1_000))
    began = time.process_time()
    layer = parse(text)
    took = time.process_time() - began
    print(f"{len(text):,} characters in {took * 1000:.0f} ms")
    assert len(layer.tables) == 1_000
    assert took < 10


@pytest.fixture
def shop(tmp_path: Path) -> Path:
    file = tmp_path / "shop.db"
    with sqlite3.connect(file) as connection:
        connection.executescript(
            """CREATE TABLE customers (id INTEGER PRIMARY KEY, email TEXT, ssn TEXT);
            CREATE TABLE orders (id INTEGER PRIMARY KEY, customer INTEGER, status TEXT, total REAL);
            CREATE TABLE secrets (token TEXT);"""
        )
    connection.close()
    return file


def made(file: Path, layer: str, policy: Policy | None = None, **about: object) -> Source:
    policy = policy or Policy()
    connection = Connection(Target("sqlite", str(file)), policy)
    return Source("shop", connection, policy, Limits(), parse(layer), **about)  # type: ignore[arg-type]  # what a test says besides


POLICY = Policy(allowed_tables={"customers", "orders"}, blocked_columns={"ssn"}, mask_columns={"email"})


def test_what_is_said_stands_in_the_schema_where_it_belongs(shop: Path) -> None:
    source = made(shop, LAYER, POLICY)
    assert source.schema().splitlines()[1:] == [
        "«What the shop sells, and to whom.»",
        "",
        "table customers",
        "  id INTEGER, primary key",
        "  email TEXT, masked: values are hidden «Where mail goes»",
        "",
        "table orders «One row for each order. also: purchases, baskets»",
        "  id INTEGER, primary key",
        "  customer INTEGER",
        "  status TEXT «Where it is» values «'new' just placed, 'no' was refused, '2024' from the year before»",
        "  total REAL «also: amount»",
        "",
        "metrics:",
        "  revenue «What came in also: turnover»",
        "    SELECT sum(total) FROM orders WHERE status <> 'no'",
        "",
        "joins:",
        "  orders.customer = customers.id «who bought»",
    ]
    source.close()


def test_nothing_is_told_about_what_the_policy_hides(shop: Path) -> None:
    layer = """
    metrics:
      - {name: leak, sql: SELECT max(ssn) FROM customers}
      - {name: tokens, sql: SELECT count(*) FROM secrets}
      - {name: loss, sql: DELETE FROM orders}
      - {name: kept, sql: SELECT count(*) FROM customers}
    joins:
      - {left: orders, right: secrets, on: orders.id = secrets.token}
      - {left: orders, right: customers, on: orders.id = customers.SSN}
    questions:
      - {question: Which numbers of the state are there?, sql: SELECT ssn FROM customers}
    tables:
      secrets: {description: Where the tokens are}
      customers: {columns: {ssn: {description: The number of the state}, email: {values: [ada@example.org]}}}
    """
    source = made(shop, layer, POLICY)
    text = source.schema() + source.find("tokens secrets ssn number of the state loss leak customers")
    for word in ("leak", "ssn", "SSN", "secrets", "token", "loss", "DELETE", "state", "ada@"):
        assert word not in text
    assert "kept" in text
    assert source.semantics().questions == ()
    source.close()


def test_what_does_not_fit_the_database_is_told(shop: Path) -> None:
    layer = """
    tables:
      order: {}
      customers: {columns: {emial: {}, ssn: {}}}
    metrics:
      - {name: good, sql: SELECT count(*) FROM orders}
      - {name: bad, sql: SELECT sum(totl) FROM orders}
      - {name: worse, sql: DROP TABLE orders}
    joins:
      - {left: orders, right: customer, on: 1 = 1}
    questions:
      - {question: How much?, sql: SELECT nothing}
    """
    source = made(shop, layer, POLICY)
    problems = source.problems()
    source.close()
    assert problems[:3] == [
        "There is no table named 'order'. Did you mean 'orders'?",
        "There is no column of customers named 'emial'. Did you mean 'email'?",
        "There is no column of customers named 'ssn'.",
    ]
    assert [problem.split(":")[0] for problem in problems[3:]] == [
        "Metric 'bad'",
        "Metric 'worse'",
        "Join of orders and customer",
        "Question 'How much?'",
    ]
    assert "total" in problems[3]


def test_a_policy_that_protects_what_is_not_there_is_told(shop: Path) -> None:
    policy = Policy(
        allowed_tables={"Customers", "main.orders", "order"},
        blocked_columns={"SSN", "customers.id", "orders.ssn"},
        mask_columns={"emial", "customers.email"},
    )
    source = made(shop, "", policy)
    assert source.problems() == [
        "The policy allows a table 'main.orders', which is not there. Did you mean 'orders'?",
        "The policy allows a table 'order', which is not there. Did you mean 'orders'?",
        "The policy blocks a column 'orders.ssn', which is not there. Did you mean 'orders.status'?",
        "The policy masks a column 'emial', which is not there. Did you mean 'email'?",
    ]
    source.close()


def test_docs_given_in_python_come_before_the_file_and_the_database(shop: Path) -> None:
    source = made(
        shop,
        LAYER,
        table_docs={"ORDERS": "Every sale", "none": "x"},
        column_docs={"orders": {"STATUS": "Its state", "id": "The number"}},
    )
    text = source.schema()
    source.close()
    assert "table orders «Every sale also: purchases, baskets»" in text
    assert "  id INTEGER, primary key «The number»" in text
    assert "  status TEXT «Its state» values" in text


def test_what_an_account_on_a_server_does_not_see_may_be_there() -> None:
    known = Catalogue("postgres", (Table("customers", (Column("id", "integer"),), "public"),), default_schema="public")
    said = "The policy blocks a column 'ssn', which is not there or hidden from this account."
    assert misnamed(known, Policy(blocked_columns=["ssn", "id"])) == [said]
