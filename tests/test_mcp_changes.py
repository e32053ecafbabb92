"""How an MCP client hears that something is no longer what it was, in both protocol eras."""

from __future__ import annotations

import asyncio
import gc
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from mcp import Client
from mcp.server.session import ServerSession
from racto.agents.offers import Toolset
from racto.agents.toolbox import ToolRegistry
from racto.server.mcp import RactoMCPServer

from tests.mcp_clients import connected
from tests.mcp_families import Greetings, Notes, greeting, reading

pytestmark = pytest.mark.anyio


@pytest.fixture
def registry() -> ToolRegistry:
    return ToolRegistry()


@pytest.fixture
def server(registry: ToolRegistry) -> RactoMCPServer:
    return RactoMCPServer.from_registry(registry, name="tools")


class Ears:
    """What a client hears about changes: by notification in the old era, on a `subscriptions/listen` stream in the new one."""

    def __init__(self, server: RactoMCPServer, era: str, *watched: str) -> None:
        self._server, self._era, self._watched = server, era, watched
        self._heard: asyncio.Queue[str] = asyncio.Queue()

    @asynccontextmanager
    async def listening(self) -> AsyncGenerator[Client]:
        if self._era == "legacy":
            async with connected(self._server, self._era, message_handler=self._on_message) as client:
                await client.list_tools()  # answered only after the server has heard `initialized`
                for uri in self._watched:
                    with pytest.warns(match="resources/subscribe"):
                        await client.subscribe_resource(uri)
                yield client
            return
        async with (
            connected(self._server, self._era) as client,
            client.listen(
                tools_list_changed=True,
                prompts_list_changed=True,
                resources_list_changed=True,
                resource_subscriptions=self._watched,
            ) as events,
        ):

            async def hear() -> None:
                async for event in events:
                    self._heard.put_nowait(getattr(event, "uri", None) or type(event).__name__)

            ear = asyncio.create_task(hear())
            yield client
            ear.cancel()

    async def _on_message(self, message: Any) -> None:
        names = {
            "notifications/tools/list_changed": "ToolsListChanged",
            "notifications/prompts/list_changed": "PromptsListChanged",
            "notifications/resources/list_changed": "ResourcesListChanged",
        }
        method = getattr(message, "method", "")
        if method == "notifications/resources/updated":
            self._heard.put_nowait(message.params.uri)
        elif method in names:
            self._heard.put_nowait(names[method])

    async def next(self, count: int) -> list[str]:
        return sorted([await self._heard.get() for _ in range(count)])

    def rest(self) -> list[str]:
        return [self._heard.get_nowait() for _ in range(self._heard.qsize())]


async def test_a_new_tool_is_announced_and_listed(era: str, server: RactoMCPServer, registry: ToolRegistry) -> None:
    ears = Ears(server, era)
    async with ears.listening() as client:
        assert (await client.list_tools()).tools == []
        registry.register(lambda: "", name="late", description="")
        assert await ears.next(1) == ["ToolsListChanged"]
        assert [tool.name for tool in (await client.list_tools()).tools] == ["late"]
        registry.unregister("late")
        assert await ears.next(1) == ["ToolsListChanged"]
        assert (await client.list_tools()).tools == []


async def test_a_prompt_saved_by_a_worker_thread_is_announced_and_there(era: str) -> None:
    server, family = greeting("hello")
    server.add_tool(family.save)
    ears = Ears(server, era)
    async with ears.listening() as client:
        await client.call_tool("save", {"name": "welcome"})
        assert await ears.next(1) == ["PromptsListChanged"]
        assert "welcome" in [prompt.name for prompt in (await client.list_prompts()).prompts]


async def test_a_watched_resource_is_announced_and_an_unwatched_one_is_not(era: str) -> None:
    notes = Notes({"mine": "1", "other": "1"})
    ears = Ears(reading(notes), era, "note://mine")
    async with ears.listening():
        notes.write("other", "2")
        notes.write("mine", "2")
        assert await ears.next(2) == ["ResourcesListChanged", "note://mine"]


async def test_a_client_that_stops_watching_is_left_alone() -> None:
    notes = Notes({"mine": "1"})
    ears = Ears(reading(notes), "legacy", "note://mine")
    async with ears.listening() as client:
        with pytest.warns(match="resources/unsubscribe"):
            await client.unsubscribe_resource("note://mine")
        notes.write("mine", "2")
        assert await ears.next(1) == ["ResourcesListChanged"]
        notes.changed = None
        await client.list_resources()
    assert ears.rest() == []


async def test_a_thousand_changes_are_few_announcements(era: str) -> None:
    notes = Notes({})
    ears = Ears(reading(notes), era)
    async with ears.listening() as client:
        for number in range(1000):
            notes.write(f"note {number}", "")
        assert await ears.next(1) == ["ResourcesListChanged"]
        await client.list_resources()
    assert len(ears.rest()) < 5


async def test_changes_without_a_client_are_harmless(era: str, server: RactoMCPServer, registry: ToolRegistry) -> None:
    async with connected(server, era) as client:
        await client.list_tools()
    registry.register(lambda: "", name="late", description="")
    async with connected(server, era) as client:
        assert len((await client.list_tools()).tools) == 1


async def test_a_client_that_left_is_forgotten(era: str, server: RactoMCPServer) -> None:
    def kept() -> int:
        gc.collect()
        kinds = (type(thing) for thing in gc.get_objects())
        return sum(kind is ServerSession or kind.__module__ == "racto.server.changes" for kind in kinds)

    before = kept()
    for _ in range(3):
        async with Ears(server, era).listening():
            assert kept() > before
    assert kept() == before


async def test_lists_that_announce_their_changes_may_be_kept_by_clients(server: RactoMCPServer) -> None:
    server.add_toolset(Toolset("notes", [], [Notes({"a": ""})], [Greetings("hello")]))
    async with connected(server, "2026-07-28") as client:
        assert (await client.list_tools()).ttl_ms > 0
        assert (await client.list_resource_templates()).ttl_ms > 0
        assert (await client.list_resources()).ttl_ms == (await client.list_prompts()).ttl_ms == 0
