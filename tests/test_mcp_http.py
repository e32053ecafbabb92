"""What only real HTTP connections can show of an MCP server: that news finds its way back to a client of each transport and era."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from typing import Any

import mcp_types as types
import pytest
from mcp import Client
from mcp.client.sse import sse_client

from tests.conformance.run import fixture_server
from tests.mcp_clients import PATIENCE, text_of

pytestmark = pytest.mark.anyio


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    with fixture_server() as address:
        yield address


@pytest.mark.parametrize("path", ["/mcp", "/sse"])
async def test_an_older_client_hears_of_a_new_tool(url: str, path: str) -> None:
    heard = asyncio.Event()

    async def hear(message: Any) -> None:
        if isinstance(message, types.ToolListChangedNotification):
            heard.set()

    target: Any = url if path == "/mcp" else sse_client(url.removesuffix("/mcp") + path)
    async with asyncio.timeout(PATIENCE), Client(target, mode="legacy", message_handler=hear) as client:
        while not heard.is_set():  # what happens before the client has opened its stream for news is not news to it
            await client.call_tool("test_trigger_tool_change")


async def test_a_client_of_2026_hears_of_a_new_tool(url: str) -> None:
    async with (
        asyncio.timeout(PATIENCE),
        Client(url) as client,
        client.listen(tools_list_changed=True) as events,
    ):
        await client.call_tool("test_trigger_tool_change")
        assert type(await anext(aiter(events))).__name__ == "ToolsListChanged"


@pytest.mark.parametrize("path", ["/mcp", "/sse"])
async def test_progress_and_questions_reach_an_older_client_in_the_middle_of_a_call(url: str, path: str) -> None:
    reports: list[float] = []

    async def hear(progress: float, total: float | None, message: str | None) -> None:
        reports.append(progress)

    async def answer(context: Any, params: types.ElicitRequestParams) -> types.ElicitResult:
        return types.ElicitResult(action="accept", content={"username": "ada", "email": "ada@example.org"})

    target: Any = url if path == "/mcp" else sse_client(url.removesuffix("/mcp") + path)
    async with asyncio.timeout(PATIENCE), Client(target, mode="legacy", elicitation_callback=answer) as client:
        await client.call_tool("test_tool_with_progress", progress_callback=hear)
        assert "ada" in text_of(await client.call_tool("test_elicitation", {"message": "Who?"}))
    assert reports == [0, 50, 100]
