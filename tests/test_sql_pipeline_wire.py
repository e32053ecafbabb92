"""The pipeline with a real kit, over the wire to a server of OpenAI's dialect, on real databases; and the questions of a real benchmark."""

from __future__ import annotations

import asyncio
import json
import sqlite3
import statistics
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from racto.agents.kits import OpenAIDeveloperKit
from racto.knowledge.vocabulary import ChatConfig
from racto.tools.sql.answers import SQLAnalystResult
from racto.tools.sql.catalogue import Catalogue
from racto.tools.sql.pipeline import AsyncSQLAnalystPipeline
from racto.tools.sql.policy import Limits, Policy
from racto.tools.sql.results import QueryResult, ResultColumn
from racto.tools.sql.source import Source

from tests import dialects
from tests.analyst import (
    CANARIES,
    SQL_DATA,
    Answer,
    Scripted,
    ScriptedServer,
    by_step,
    code,
    fill,
    query,
    shop,
    shop_file,
)
from tests.postgres_server import postgres_server

QUESTION = "What did each country order?"
ORDERS = (
    "SELECT c.country, count(*) AS orders, sum(o.total) AS revenue, min(c.email) AS contact, min(o.order_date) AS first_order "
    "FROM customers c JOIN orders o ON o.customer_id = c.id GROUP BY c.country ORDER BY c.country"
)


@pytest.fixture(scope="module")
def postgres() -> Iterator[str]:
    psycopg = pytest.importorskip("psycopg")
    with postgres_server() as url:
        with psycopg.connect(url, autocommit=True) as connection:
            fill(connection.execute, connection.cursor().executemany, "postgres", "%s")
        yield url


@pytest.fixture(params=["sqlite", "duckdb", "postgres"])
def database(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """The connection string of the shop on each."""
    if request.param == "sqlite":
        return f"sqlite:///{shop_file(tmp_path / 'shop.db')}"
    if request.param == "duckdb":
        duckdb = pytest.importorskip("duckdb")
        path = tmp_path / "shop.duckdb"
        with duckdb.connect(str(path)) as connection:
            fill(connection.execute, connection.executemany, "duckdb", "?")
        return f"duckdb:///{path}"
    url: str = request.getfixturevalue("postgres")
    return url


def test_a_question_is_answered_over_the_wire_from_every_engine(database: str) -> None:
    seen: list[str] = []

    def each(step: str, body: dict[str, Any]) -> Answer:
        told = body["messages"][-1]["content"]
        seen.append(step)
        if step == "sql":
            return query(ORDERS if "You tried" in told else "SELECT salary FROM employees")
        if step == "pandas":
            return code("SELECT max(orders) AS most, count(*) AS countries FROM result")
        return "All five order the same number of times: 12.\n\n[[table]]"

    async def ask() -> tuple[SQLAnalystResult, ScriptedServer]:
        server = ScriptedServer(each)
        async with server.running() as base:
            kit = OpenAIDeveloperKit(model="gpt-4o", api_key=dialects.KEY, base_url=f"{base}/v1")
            async with AsyncSQLAnalystPipeline(kit, schema_include_sample_values=True, **shop().POLICY) as pipeline:
                result = await pipeline.run(QUESTION, connection_string=database)
            await kit.gateway.aclose()
        return result, server

    result, server = asyncio.run(ask())
    assert seen == ["sql", "sql", "pandas", "answer"]
    assert (result.error, result.attempts, result.row_count) == (None, 2, 5)
    first = result.raw_rows[0]
    assert (first["country"], first["orders"], first["contact"]) == ("DE", 12, "***MASKED***")
    rows = shop().rows()
    germans = {row[0] for row in rows["customers"] if row[5] == "DE"}
    assert float(first["revenue"]) == pytest.approx(sum(row[4] for row in rows["orders"] if row[1] in germans))
    assert result.pandas_result == [{"most": 12, "countries": 5}]
    assert result.answer is not None
    assert "| DE | 12 |" in result.answer
    assert result.usage.total_tokens == 4 * 110
    wire = json.dumps([request.body for request in server.received], ensure_ascii=False).lower()
    assert len(wire) > 10_000
    told = [*CANARIES, dialects.KEY.lower()]
    for text in (wire, result.model_dump_json(exclude={"plotly_figure"}).lower(), (result.to_csv() or "").lower()):
        assert [each for each in told if each in text] == []
    # A model that is good at shapes is held to this one by its server.
    assert [bool(server.sent_schema(one)) for one in server.received] == [True, True, True, False]


CHINOOK = SQL_DATA / "chinook"


@pytest.mark.skipif(not CHINOOK.exists(), reason=f"there is no {CHINOOK}")
def test_every_gold_query_of_chinook_comes_out_as_the_database_gives_it() -> None:
    path = CHINOOK / "Chinook_Sqlite.sqlite"
    lines = [json.loads(line) for line in (CHINOOK / "questions.jsonl").read_text().splitlines()]
    gold = {line["question"]: line["gold"][0] for line in lines}
    assert len(gold) > 80

    def each(config: ChatConfig) -> Answer:
        return query(gold[config.user_message.rpartition("Question: ")[2]])

    async def ask() -> dict[str, SQLAnalystResult]:
        options: dict[str, Any] = {"run_pandas": False, "run_answer": False, "max_rows": 0}
        async with AsyncSQLAnalystPipeline(Scripted(each=each), **options) as pipeline:
            return {one: await pipeline.run(one, connection_string=f"sqlite:///{path}") for one in gold}

    results = asyncio.run(ask())
    database = sqlite3.connect(f"file:{path}?mode=ro", uri=True)
    try:
        for question, sql in gold.items():
            rows = database.execute(sql).fetchall()
            assert [tuple(row.values()) for row in results[question].raw_rows] == rows, sql
            assert results[question].attempts == 1
    finally:
        database.close()
    drawn = [result for result in results.values() if result.plotly_figure is not None]
    assert drawn


class Remembered:
    """A database that costs nothing: it has one schema and one result."""

    def __init__(self, catalogue: Catalogue, result: QueryResult) -> None:
        self._catalogue, self._result = catalogue, result

    def catalogue(self, *, row_counts: bool = False, samples: int = 0) -> Catalogue:
        return self._catalogue

    def fingerprint(self) -> str:
        return self._catalogue.fingerprint

    def run(self, sql: str, limits: Limits, *, token: object = None) -> QueryResult:
        return QueryResult(self._result.columns, self._result.rows, sql)

    def explain(self, sql: str, limits: Limits, *, token: object = None) -> str:
        return ""

    def cancel(self, token: object = None) -> None:
        pass

    def close(self) -> None:
        pass


def test_without_model_and_database_a_question_costs_little(tmp_path: Path) -> None:
    from racto.tools.sql.engines import Target
    from racto.tools.sql.workers import Connection

    connection = Connection(Target("sqlite", str(shop_file(tmp_path / "shop.db"))), Policy())
    catalogue = connection.catalogue()
    connection.close()
    result = QueryResult(
        [ResultColumn("country", "text"), ResultColumn("orders", "integer")], [(f"C{n}", n) for n in range(100)]
    )
    source = Source("shop", Remembered(catalogue, result), Policy(), Limits())
    sql = "SELECT country, count(*) AS orders FROM customers GROUP BY country ORDER BY country"
    kit = Scripted(each=by_step(sql=query(sql), answer="It is 99.\n\n[[table]]"))

    async def ask() -> list[float]:
        spent = []
        async with AsyncSQLAnalystPipeline(kit) as pipeline:
            for _ in range(30):
                began = time.process_time()
                answered = await pipeline.run(QUESTION, source=source)
                spent.append((time.process_time() - began) * 1000)
                assert (answered.row_count, answered.notes) == (100, [])
                assert answered.plotly_figure is not None
        return spent[5:]

    spent = asyncio.run(ask())
    print(f"the pipeline alone: p50 {statistics.median(spent):.1f} ms, max {max(spent):.1f} ms of CPU")
    assert (
        statistics.median(spent) < 500
    )  # what it takes is in benchmarks/; this only catches what is out of all proportion
