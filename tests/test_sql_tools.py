"""The SQL tools, as a client over MCP sees them."""

from __future__ import annotations

import asyncio
import base64
import sqlite3
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from mcp import Client
from mcp.types import ElicitRequestParams, ElicitResult
from racto.server.app import build, services
from racto.server.settings import Settings

from tests import dialects
from tests.analyst import Answer, ScriptedServer, code, query

pytestmark = pytest.mark.anyio


@pytest.fixture(autouse=True)
def a_key(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", dialects.KEY)


@pytest.fixture
def shop(tmp_path: Path) -> Path:
    """A database with a secret or two."""
    path = tmp_path / "shop.db"
    with sqlite3.connect(path) as connection:
        connection.executescript(
            """
            CREATE TABLE customers (id INTEGER PRIMARY KEY, name TEXT, email TEXT, ssn TEXT);
            CREATE TABLE orders (id INTEGER PRIMARY KEY, customer_id INTEGER REFERENCES customers(id), day DATE, total REAL);
            """
        )
        connection.executemany(
            "INSERT INTO customers VALUES (?, ?, ?, ?)",
            [(n, f"Customer {n}", f"canary{n}@example.test", f"CANARYSSN{n}") for n in range(1, 6)],
        )
        connection.executemany(
            "INSERT INTO orders VALUES (?, ?, ?, ?)",
            [(n, 1 + n % 5, f"2026-{1 + n % 12:02}-01", 10.0 * n) for n in range(1, 251)],
        )
    connection.close()
    return path


@pytest.fixture
async def client(shop: Path, tmp_path: Path) -> AsyncIterator[Client]:
    orders = tmp_path / "visits.csv"
    orders.write_text("day,visits\n2026-01-01,5\n2026-01-02,7\n")
    settings = Settings(
        database=tmp_path / "racto.db",
        sql_databases={
            "shop": {
                "url": str(shop),
                "description": "Orders of the shop.",
                "blocked_columns": ["ssn"],
                "mask_columns": ["email"],
            },
            "visits": str(orders),
        },
    )
    with services(settings) as kept:
        async with Client(build(settings, kept).lowlevel, elicitation_callback=_agree) as made:
            yield made


def _orders(shop: Path) -> int:
    with sqlite3.connect(shop) as connection:
        (count,) = connection.execute("SELECT count(*) FROM orders").fetchone()
    connection.close()
    return int(count)


def _empty(shop: Path) -> None:
    with sqlite3.connect(shop) as connection:
        connection.execute("DELETE FROM orders")
    connection.close()


async def _agree(context: Any, params: ElicitRequestParams) -> ElicitResult:
    return ElicitResult(action="accept", content={"confirm": True, "yes": True})


async def _text(client: Client, name: str, **arguments: Any) -> str:
    result = await client.call_tool(name, arguments)
    return "\n".join(part.text for part in result.content if part.type == "text")


async def test_databases_are_listed_with_their_kind_and_size(client: Client) -> None:
    said = await _text(client, "sql_databases")
    assert "shop: SQLite, 2 tables. Orders of the shop." in said
    assert "visits: DuckDB, 1 table" in said


async def test_a_database_that_is_away_is_listed_with_the_reason(tmp_path: Path) -> None:
    settings = Settings(database=tmp_path / "racto.db", sql_databases={"gone": str(tmp_path / "gone.db")})
    with services(settings) as kept:
        async with Client(build(settings, kept).lowlevel) as client:
            said = await _text(client, "sql_databases")
    assert "gone: SQLite, cannot be asked now" in said
    assert not (tmp_path / "gone.db").exists()


async def test_a_schema_says_what_may_be_read_and_hides_what_may_not(client: Client) -> None:
    said = await _text(client, "sql_schema", database="shop")
    assert "table orders" in said
    assert "masked" in said
    assert "ssn" not in said
    assert "table orders" not in await _text(client, "sql_schema", database="shop", tables=["customers"])


async def test_a_csv_file_is_a_table(client: Client) -> None:
    assert "| 12 |" in await _text(client, "sql_query", database="visits", sql="SELECT sum(visits) FROM visits")


async def test_masked_values_are_hidden_and_blocked_columns_are_not_there(client: Client) -> None:
    said = await _text(client, "sql_query", database="shop", sql="SELECT * FROM customers")
    assert "***MASKED***" in said
    assert "canary" not in said.lower()
    refused = await client.call_tool("sql_query", {"database": "shop", "sql": "SELECT ssn FROM customers"})
    assert refused.is_error
    assert "CANARY" not in str(refused)


async def test_nothing_is_written(client: Client, shop: Path) -> None:
    before = _orders(shop)
    refused = await client.call_tool("sql_query", {"database": "shop", "sql": "DELETE FROM orders"})
    assert refused.is_error
    assert refused.structured_content is not None
    assert refused.structured_content["code"] == "read_only"
    assert _orders(shop) == before == 250


async def test_the_rest_of_a_result_comes_by_cursor_without_running_the_query_again(client: Client, shop: Path) -> None:
    result = await client.call_tool(
        "sql_query", {"database": "shop", "sql": "SELECT id FROM orders ORDER BY id", "rows": 100}
    )
    assert result.structured_content is not None
    _empty(shop)
    seen = [row[0] for row in result.structured_content["rows"]]
    cursor = result.structured_content["cursor"]
    while cursor:
        result = await client.call_tool("sql_query", {"cursor": cursor, "rows": 100})
        assert result.structured_content is not None
        seen += [row[0] for row in result.structured_content["rows"]]
        cursor = result.structured_content["cursor"]
    assert seen == list(range(1, 251))


async def test_a_cursor_that_is_none_is_refused(client: Client) -> None:
    assert "is no cursor" in await _text(client, "sql_query", cursor="next")
    assert "no longer remembered" in await _text(client, "sql_query", cursor="00000000:10")
    result = await client.call_tool("sql_query", {"database": "shop", "sql": "SELECT id FROM orders", "rows": 10})
    assert result.structured_content is not None
    name, _, _ = result.structured_content["cursor"].partition(":")
    assert "There are no rows after 250." in await _text(client, "sql_query", cursor=f"{name}:250")
    assert "is no cursor" in await _text(client, "sql_query", cursor=f"{name}:{'9' * 5000}")


async def test_a_query_in_a_markdown_fence_is_the_query(client: Client) -> None:
    assert "| 250 |" in await _text(
        client, "sql_query", database="shop", sql="```sql\nSELECT count(*) FROM orders\n```"
    )
    assert "```" not in await _text(client, "sql_explain", database="shop", sql="```\nSELECT 1\n```")


async def test_a_result_is_drawn_as_a_picture_beside_its_rows(client: Client) -> None:
    sql = "SELECT day, sum(total) AS revenue FROM orders GROUP BY day"
    result = await client.call_tool("sql_query", {"database": "shop", "sql": sql, "chart": "auto"})
    (image,) = [part for part in result.content if part.type == "image"]
    assert base64.b64decode(image.data).startswith(b"\x89PNG")
    assert result.structured_content is not None
    assert result.structured_content["chart"]["chart_type"] == "line"
    assert result.structured_content["rows"]


async def test_columns_to_draw_without_a_kind_of_chart_are_a_mistake(client: Client) -> None:
    said = await _text(client, "sql_query", database="shop", sql="SELECT 1 AS a", y=["a"])
    assert "What to draw is missing" in said


async def test_which_database_must_be_said_when_there_are_several(client: Client) -> None:
    assert "one of: shop, visits" in await _text(client, "sql_query", sql="SELECT 1")
    assert "Did you mean 'shop'" in await _text(client, "sql_query", database="shp", sql="SELECT 1")


async def test_a_plan_is_shown_without_running_the_query(client: Client) -> None:
    assert "SEARCH" in await _text(client, "sql_explain", database="shop", sql="SELECT total FROM orders WHERE id = 3")


async def test_a_verified_query_is_kept_when_the_person_agrees(client: Client, tmp_path: Path) -> None:
    sql = "SELECT sum(total) FROM orders"
    said = await _text(client, "sql_save_verified", database="shop", question="What is the revenue?", sql=sql)
    assert "Kept as verified query 1 of shop" in said
    assert sql in await _text(client, "sql_schema", database="shop", search="revenue")
    assert sql not in await _text(client, "sql_schema", database="shop", search="customers")
    refused = await _text(client, "sql_save_verified", database="shop", question="Gone?", sql="DROP TABLE orders")
    assert "SELECT" in refused


async def test_asking_in_words_without_a_model_says_what_to_do_instead(client: Client) -> None:
    said = await _text(client, "sql_ask", database="shop", question="What is the revenue?")
    assert "RACTO_MODELS" in said


async def test_a_question_comes_back_as_an_answer_its_query_its_rows_and_a_picture(shop: Path, tmp_path: Path) -> None:
    def each(step: str, body: dict[str, Any]) -> Answer:
        if step == "sql":
            return query(
                "SELECT day, sum(total) AS revenue, max(email) AS contact FROM orders JOIN customers c ON c.id = customer_id GROUP BY day"
            )
        return code("SELECT max(revenue) AS most FROM result") if step == "pandas" else "It grew.\n\n[[table]]"

    server = ScriptedServer(each)
    async with server.running() as base:
        settings = Settings(
            database=tmp_path / "racto.db",
            sql_databases={"shop": {"url": str(shop), "mask_columns": ["email"], "blocked_columns": ["ssn"]}},
            models=("openai/gpt-4o",),
            base_urls={"openai": f"{base}/v1"},
        )
        with services(settings) as kept:
            async with Client(build(settings, kept).lowlevel) as client:
                both = await asyncio.gather(
                    *(client.call_tool("sql_ask", {"question": f"How did revenue grow, part {n}?"}) for n in range(2))
                )
            await kept.aclose()
    for result in both:
        assert not result.is_error, result.content
        text = "\n".join(part.text for part in result.content if part.type == "text")
        assert "It grew." in text
        assert text.count("Values are masked in: contact.") == 1
        assert "```sql\nSELECT day" in text
        assert text.count("2026-02-01") == 1  # the answer has the table, and it is not told again
        assert "openai/gpt-4o" in text
        assert [part.mime_type for part in result.content if part.type == "image"] == ["image/png"]
        assert result.structured_content is not None
        assert result.structured_content["usage"]["total_tokens"] == 330
        assert len(result.structured_content["rows"]) == 12
    sent = str([request.body for request in server.received])
    assert "part 0" in sent
    assert "part 1" in sent
    assert "canary" not in f"{sent}{both}".lower()


async def test_a_model_that_writes_no_query_is_named_as_the_one_who_did_not(client: Client) -> None:
    said = await _text(client, "sql_ask", database="shop", question="What is the revenue?", model="simulated")
    assert "No query of the model may run." in said
    assert "sql_query" in said


async def test_slow_queries_keep_nobody_else_waiting(client: Client) -> None:
    endless = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT count(*) FROM n"
    slow = [asyncio.create_task(_text(client, "sql_query", database="shop", sql=endless)) for _ in range(12)]
    async with asyncio.timeout(20):  # an endless query is stopped after 30
        for _ in range(20):
            assert "| 12 |" in await _text(client, "sql_query", database="visits", sql="SELECT sum(visits) FROM visits")
            assert "visits" in await _text(client, "sql_schema", database="visits")
    assert not any(one.done() for one in slow)
    for one in slow:
        one.cancel()
    await asyncio.gather(*slow, return_exceptions=True)


async def test_the_schema_is_a_resource(client: Client) -> None:
    listed = {str(one.uri) for one in (await client.list_resources()).resources}
    assert {"racto://sql/shop/schema", "racto://sql/visits/schema"} <= listed
    read = await client.read_resource("racto://sql/shop/schema")
    assert "table orders" in read.contents[0].text  # type: ignore[union-attr]  # it is a text resource
