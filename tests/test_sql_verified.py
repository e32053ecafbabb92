"""Queries a person approved: kept, found by the words of a question, and used only as long as the guard lets them through."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from racto.knowledge.database import Database
from racto.knowledge.errors import InputError, LimitError, QueryRefusedError, ReadOnlyViolationError, UnknownNameError
from racto.knowledge.salvage import rebuild
from racto.tools.sql.engines import Target
from racto.tools.sql.policy import Limits, Policy
from racto.tools.sql.semantics import Question, Semantics
from racto.tools.sql.source import Source
from racto.tools.sql.verified import MOST, VerifiedQueries
from racto.tools.sql.workers import Connection

REVENUE = "SELECT sum(total) FROM orders"


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """A shop."""
    with closing(sqlite3.connect(tmp_path / "shop.db")) as connection, connection:
        connection.execute("CREATE TABLE orders (id INTEGER PRIMARY KEY, customer INTEGER, total REAL, day TEXT)")
        connection.execute("CREATE TABLE customers (id INTEGER PRIMARY KEY, name TEXT, ssn TEXT)")
    return tmp_path / "shop.db"


def opened(file: Path, name: str = "shop", policy: Policy | None = None, semantics: Semantics | None = None) -> Source:
    policy = policy or Policy()
    return Source(name, Connection(Target("sqlite", str(file)), policy), policy, Limits(), semantics)


@pytest.fixture
def shop(file: Path) -> Iterator[Source]:
    """It, with nothing hidden."""
    source = opened(file)
    yield source
    source.close()


@pytest.fixture
def verified(tmp_path: Path) -> Iterator[VerifiedQueries]:
    """Where approved queries are kept."""
    database = Database(tmp_path / "racto.db")
    yield VerifiedQueries(database)
    database.close()


def test_an_approved_query_is_kept_with_who_approved_it(
    shop: Source, verified: VerifiedQueries, tmp_path: Path
) -> None:
    kept = verified.save(shop, " What is our\nrevenue? ", f" {REVENUE} ", approved_by="ada", note="with tax")
    assert (kept.question, kept.sql, kept.approved_by, kept.note) == (
        "What is our revenue?",
        REVENUE,
        "ada",
        "with tax",
    )
    assert kept.approved_at.endswith("Z")
    again = Database(tmp_path / "racto.db")
    assert VerifiedQueries(again).listed("shop") == [kept]
    again.close()


def test_the_newest_approval_of_a_question_counts(shop: Source, verified: VerifiedQueries) -> None:
    first = verified.save(shop, "What is our revenue?", REVENUE, approved_by="ada")
    second = verified.save(shop, "What is our revenue?", "SELECT sum(total) AS revenue FROM orders", approved_by="bob")
    assert verified.listed() == [second]
    assert second.id == first.id


def test_a_query_nobody_approved_or_that_may_not_run_is_not_kept(shop: Source, verified: VerifiedQueries) -> None:
    with pytest.raises(InputError, match="approved_by"):
        verified.save(shop, "What is our revenue?", REVENUE, approved_by=" ")
    with pytest.raises(InputError, match="question"):
        verified.save(shop, "", REVENUE, approved_by="ada")
    with pytest.raises(InputError, match="characters long"):
        verified.save(shop, "?" * 2_000, REVENUE, approved_by="ada")
    for question, sql in (
        ("Revenue\x1b[2J?", REVENUE),
        ("Revenue\u202e?", REVENUE),
        ("Revenue?", f"{REVENUE} -- \u202e"),
    ):
        with pytest.raises(InputError, match="invisible character"):
            verified.save(shop, question, sql, approved_by="ada")
    with pytest.raises(ReadOnlyViolationError):
        verified.save(shop, "Forget all orders", "DELETE FROM orders", approved_by="ada")
    with pytest.raises(QueryRefusedError):
        verified.save(shop, "Who are you?", "SELECT * FROM sqlite_master", approved_by="ada")
    assert verified.listed() == []


def test_a_question_finds_the_likest_ones_of_its_own_database(
    file: Path, shop: Source, verified: VerifiedQueries
) -> None:
    other = opened(file, "archive")
    per_customer = "SELECT customer, sum(total) FROM orders GROUP BY customer"
    verified.save(shop, "What is our revenue?", REVENUE, approved_by="ada")
    verified.save(shop, "What is the revenue of each customer?", per_customer, approved_by="ada")
    verified.save(shop, "How many customers are there?", "SELECT count(*) FROM customers", approved_by="ada")
    verified.save(other, "What was the revenue of each customer?", "SELECT 1 FROM orders", approved_by="ada")
    assert verified.examples(shop, "revenue for every customer", 1) == [
        ("What is the revenue of each customer?", per_customer)
    ]
    assert len(verified.examples(shop, "revenue for every customer")) == 3
    assert verified.examples(shop, "the weather in Paris") == []
    assert [question for question, _ in verified.examples(other, "revenues")] == [
        "What was the revenue of each customer?"
    ]
    other.close()


def test_what_the_owner_of_a_database_wrote_is_found_as_well(file: Path, verified: VerifiedQueries) -> None:
    source = opened(file, semantics=Semantics(questions=(Question("What is our turnover?", REVENUE),)))
    assert verified.examples(source, "turnover") == [("What is our turnover?", REVENUE)]
    source.close()


def test_a_query_is_left_out_when_its_table_is_gone_or_hidden(
    file: Path, shop: Source, verified: VerifiedQueries
) -> None:
    verified.save(shop, "Which customers are there?", "SELECT name FROM customers", approved_by="ada")
    verified.save(
        shop, "Which customers have a number?", "SELECT name FROM customers WHERE ssn > ''", approved_by="ada"
    )
    verified.save(shop, "Which customers bought?", "SELECT DISTINCT customer FROM orders", approved_by="ada")
    strict = opened(file, policy=Policy(allowed_tables={"customers"}, blocked_columns={"ssn"}))
    assert [question for question, _ in verified.examples(strict, "customers")] == ["Which customers are there?"]
    strict.close()
    assert len(verified.examples(shop, "customers")) == 3
    with closing(sqlite3.connect(file)) as connection, connection:
        connection.execute("DROP TABLE customers")
    assert [question for question, _ in verified.examples(shop, "customers")] == ["Which customers bought?"]
    assert len(verified.listed("shop")) == 3, "what is left out is not forgotten"


def test_one_is_forgotten_by_its_id(shop: Source, verified: VerifiedQueries) -> None:
    kept = verified.save(shop, "What is our revenue?", REVENUE, approved_by="ada")
    assert verified.delete(kept.id) == kept
    assert verified.listed() == []
    with pytest.raises(UnknownNameError):
        verified.delete(kept.id)


def test_there_is_an_end_to_how_many_are_kept(shop: Source, verified: VerifiedQueries, tmp_path: Path) -> None:
    verified.save(shop, "Number 0?", REVENUE, approved_by="ada")
    with closing(sqlite3.connect(tmp_path / "racto.db")) as connection, connection:
        connection.executemany(
            "INSERT INTO verified_queries (source, question, sql, note, approved_by, approved_at) VALUES ('shop', ?, ?, '', 'ada', '')",
            ((f"Number {number}?", REVENUE) for number in range(1, MOST)),
        )
    with pytest.raises(LimitError, match="1,000"):
        verified.save(shop, "One more?", REVENUE, approved_by="ada")
    verified.save(shop, "Number 7?", "SELECT 7 FROM orders", approved_by="ada")
    assert verified.examples(shop, "number 7", 1) == [("Number 7?", "SELECT 7 FROM orders")]


def test_they_are_saved_from_a_damaged_file(shop: Source, tmp_path: Path) -> None:
    database = Database(tmp_path / "kept.db")
    kept = VerifiedQueries(database).save(shop, "What is our revenue?", REVENUE, approved_by="ada")
    database.close()
    assert rebuild(tmp_path / "kept.db").saved["verified_queries"] == 1
    database = Database(tmp_path / "kept.db")
    assert VerifiedQueries(database).listed() == [kept]
    database.close()
