"""What an MCP client sees of a server and its tools, in both protocol eras."""

from __future__ import annotations

import asyncio
import subprocess
import sys
import threading

import mcp_types as types
import pytest
from mcp import Client, MCPError, StdioServerParameters
from mcp_types import methods
from pydantic import BaseModel
from racto.agents.calls import Blob, Content, Embedded, Link, Text, ToolContext
from racto.agents.toolbox import ToolRegistry
from racto.knowledge.errors import UnknownNameError
from racto.server.content import to_block
from racto.server.mcp import MCPServerConfig, RactoMCPServer
from starlette.routing import Mount, Route

from tests.mcp_clients import PATIENCE, connected, text_of

pytestmark = pytest.mark.anyio


@pytest.fixture
def registry() -> ToolRegistry:
    return ToolRegistry()


@pytest.fixture
def server(registry: ToolRegistry) -> RactoMCPServer:
    return RactoMCPServer.from_registry(registry, name="tools")


async def test_name_version_description_and_instructions_reach_the_client(era: str) -> None:
    server = RactoMCPServer("shop", description="Sells things.", version="3.2.1", instructions="Be kind.")
    async with connected(server, era) as client:
        assert client.server_info is not None
        assert (client.server_info.name, client.server_info.version) == ("shop", "3.2.1")
        assert client.server_info.description == "Sells things."
        assert client.instructions == "Be kind."


def test_the_config_is_what_was_said_and_cannot_be_changed() -> None:
    config = RactoMCPServer("shop").config
    assert config == MCPServerConfig(name="shop", description="", version="0.1.0")
    with pytest.raises(ValueError, match="frozen"):
        config.name = "other"  # type: ignore[misc]  # that is the point


async def test_only_what_is_there_is_promised(era: str, server: RactoMCPServer) -> None:
    async with connected(server, era) as client:
        capabilities = client.server_capabilities
        assert capabilities.tools is not None
        assert capabilities.tools.list_changed
        assert (capabilities.resources, capabilities.prompts, capabilities.completions) == (None, None, None)


async def test_a_call_answers_with_readable_text_and_with_structure(
    era: str, server: RactoMCPServer, registry: ToolRegistry
) -> None:
    class Sum(BaseModel):
        total: int

        def render(self) -> str:
            return f"It comes to {self.total}."

    @registry.register
    async def add(a: int, b: int) -> Sum:
        """Add two integers."""
        return Sum(total=a + b)

    async with connected(server, era) as client:
        result = await client.call_tool("add", {"a": 7, "b": 5})
        assert text_of(result) == "It comes to 12."
        assert result.structured_content == {"total": 12}
        assert not result.is_error


async def test_a_number_is_answered_as_its_digits(era: str, server: RactoMCPServer) -> None:
    def add(a: int, b: int) -> int:
        """Add two integers."""
        return a + b

    server.add_tool(add, name="sum_of_two", description="Adds.")
    async with connected(server, era) as client:
        (listed,) = (await client.list_tools()).tools
        assert (listed.name, listed.description) == ("sum_of_two", "Adds.")
        assert text_of(await client.call_tool("sum_of_two", {"a": 7, "b": 5})) == "12"


async def test_every_kind_of_content_arrives(era: str, server: RactoMCPServer) -> None:
    def everything() -> list[Content]:
        return [
            Text("words"),
            Blob(b"\x89PNG", "image/png"),
            Blob(b"RIFF", "audio/wav"),
            Link("racto://more", "more", "The rest."),
            Embedded("racto://t", "text"),
            Embedded("racto://b", b"\0", "application/octet-stream"),
        ]

    server.add_tool(everything)
    async with connected(server, era) as client:
        blocks = (await client.call_tool("everything")).content
    assert [block.type for block in blocks] == ["text", "image", "audio", "resource_link", "resource", "resource"]
    assert isinstance(blocks[1], types.ImageContent)
    assert (blocks[1].data, blocks[1].mime_type) == ("iVBORw==", "image/png")


@pytest.mark.parametrize("version", ["2024-11-05", "2025-03-26", "2025-06-18", "2025-11-25"])
def test_no_client_is_sent_a_block_it_cannot_know(version: str) -> None:
    known = {"2024-11-05": {"text", "image", "resource"}, "2025-03-26": {"text", "image", "resource", "audio"}}
    parts: list[Content] = [Text("t"), Blob(b"x", "image/png"), Blob(b"x", "audio/wav"), Link("racto://more", "more")]
    blocks = [to_block(part, version) for part in parts]
    assert {block.type for block in blocks} <= known.get(
        version, {"text", "image", "resource", "audio", "resource_link"}
    )
    wire = types.CallToolResult(content=blocks).model_dump(by_alias=True, mode="json", exclude_none=True)
    assert len(methods.serialize_server_result("tools/call", version, wire)["content"]) == len(parts)
    assert "racto://more" in str(wire)


async def test_wrong_arguments_come_back_as_an_error_the_model_can_correct(era: str, server: RactoMCPServer) -> None:
    def add(first: int, second: int) -> int:
        return first + second

    server.add_tool(add)
    async with connected(server, era) as client:
        wrong_type = await client.call_tool("add", {"first": "7", "second": 5})
        assert wrong_type.is_error
        assert "first" in text_of(wrong_type)
        wrong_name = await client.call_tool("add", {"first": 7, "secnd": 5})
        assert wrong_name.is_error
        assert "'second'" in text_of(wrong_name)


async def test_an_unknown_tool_is_a_protocol_error_that_names_the_nearest(era: str, server: RactoMCPServer) -> None:
    server.add_tool(lambda: "", name="page_search", description="")
    async with connected(server, era) as client:
        with pytest.raises(MCPError, match="Did you mean 'page_search'") as caught:
            await client.call_tool("page_serch")
        assert caught.value.code == types.INVALID_PARAMS


async def test_what_breaks_inside_a_tool_stays_inside(
    era: str, server: RactoMCPServer, caplog: pytest.LogCaptureFixture
) -> None:
    def leak() -> str:
        raise RuntimeError("password=hunter2")

    server.add_tool(leak)
    async with connected(server, era) as client:
        result = await client.call_tool("leak")
    assert result.is_error
    assert "hunter2" not in result.model_dump_json()
    assert "hunter2" in caplog.text


async def test_a_model_without_a_function_is_no_tool_of_a_server(
    era: str, server: RactoMCPServer, registry: ToolRegistry
) -> None:
    class Order(BaseModel):
        """An order."""

        item: str

    registry.register(Order)
    registry.register(lambda: "yes", name="Other", description="")
    async with connected(server, era) as client:
        assert [tool.name for tool in (await client.list_tools()).tools] == ["Other"]
        with pytest.raises(MCPError, match="no tool named 'Order'"):
            await client.call_tool("Order", {"item": "tea"})


async def test_hints_reach_the_client_and_titles_and_output_schemas_do_not(
    era: str, server: RactoMCPServer, registry: ToolRegistry
) -> None:
    class Found(BaseModel):
        words: list[str]

    def find(query: str) -> Found:
        """Find something."""
        return Found(words=[query])

    registry.register(find, read_only=True)
    registry.register(find, name="note")
    registry.register(find, name="wipe", destructive=True, idempotent=True, open_world=True)
    async with connected(server, era) as client:
        find_tool, note, wipe = (await client.list_tools()).tools
    assert find_tool.annotations == types.ToolAnnotations(read_only_hint=True, open_world_hint=False)
    assert note.annotations == types.ToolAnnotations(destructive_hint=False, open_world_hint=False)
    assert wipe.annotations == types.ToolAnnotations(destructive_hint=True, idempotent_hint=True)
    listed = find_tool.model_dump_json(by_alias=True, exclude_none=True)
    assert "title" not in listed
    assert "outputSchema" not in listed


async def test_many_calls_at_once_each_get_their_own_answer(era: str, server: RactoMCPServer) -> None:
    async def echo(number: int) -> int:
        await asyncio.sleep(0)
        return number

    server.add_tool(echo)
    async with connected(server, era) as client:
        results = await asyncio.gather(*(client.call_tool("echo", {"number": n}) for n in range(300)))
    assert [text_of(result) for result in results] == [str(n) for n in range(300)]


async def test_a_cancelled_call_stops_its_tool(era: str, server: RactoMCPServer) -> None:
    started, stopped = asyncio.Event(), asyncio.Event()

    async def wait_forever() -> None:
        started.set()
        try:
            await asyncio.Event().wait()
        finally:
            stopped.set()

    server.add_tool(wait_forever)
    async with connected(server, era) as client:
        call = asyncio.create_task(client.call_tool("wait_forever"))
        await started.wait()
        call.cancel()
        await stopped.wait()
        with pytest.raises(asyncio.CancelledError):
            await call


async def test_the_caller_of_a_blocking_tool_is_free_at_once_and_others_are_served(
    era: str, server: RactoMCPServer
) -> None:
    started, let_go = threading.Event(), threading.Event()

    def block() -> str:
        started.set()
        let_go.wait(PATIENCE)
        return "at last"

    server.add_tool(block)
    server.add_tool(lambda: "yes", name="other", description="")
    try:
        async with connected(server, era) as client:
            call = asyncio.create_task(client.call_tool("block"))
            await asyncio.to_thread(started.wait, PATIENCE)
            call.cancel()
            with pytest.raises(asyncio.CancelledError):
                await call
            assert text_of(await client.call_tool("other")) == "yes"
    finally:
        let_go.set()


async def test_progress_rises_and_its_last_word_is_heard_before_the_result(era: str, server: RactoMCPServer) -> None:
    heard: list[tuple[float, float | None, str | None]] = []
    second = asyncio.Event()

    async def hear(progress: float, total: float | None, message: str | None) -> None:
        heard.append((progress, total, message))
        if progress == 2:
            second.set()

    async def work(context: ToolContext) -> None:
        context.progress(2, 4, "two")
        await second.wait()
        for done in (3, 4, 4, 3):
            context.progress(done, 4, "falling" if done < 4 else None)

    server.add_tool(work)
    async with connected(server, era) as client:
        result = await client.call_tool("work", progress_callback=hear)
        assert heard[-1] == (4, 4, None)
        assert not result.is_error
    assert heard == [(2, 4, "two"), (4, 4, None)]


async def test_a_hundred_thousand_reports_from_a_thread_become_few_notifications(
    era: str, server: RactoMCPServer
) -> None:
    heard: list[float] = []

    async def hear(progress: float, total: float | None, message: str | None) -> None:
        heard.append(progress)

    def work(context: ToolContext) -> None:
        for done in range(100_000):
            context.progress(done, 100_000)

    server.add_tool(work)
    async with connected(server, era) as client:
        await client.call_tool("work", progress_callback=hear)
        assert heard[-1] == 99_999
    assert len(heard) < 200
    assert heard == sorted(heard)


async def test_reports_that_come_after_the_call_are_dropped(era: str, server: RactoMCPServer) -> None:
    kept: list[ToolContext] = []
    heard: list[float] = []

    async def hear(progress: float, total: float | None, message: str | None) -> None:
        heard.append(progress)

    def work(context: ToolContext) -> None:
        kept.append(context)
        context.progress(1, 2)

    server.add_tool(work)
    async with connected(server, era) as client:
        await client.call_tool("work", progress_callback=hear)
        kept[0].progress(2, 2)
        for _ in range(3):
            await client.list_tools()
    assert heard == [1]


STDIO_SERVER = """
from racto import RactoMCPServer, ToolRegistry

registry = ToolRegistry()

@registry.register
def add(a: int, b: int) -> int:
    '''Add two integers.'''
    return a + b

RactoMCPServer.from_registry(registry, name="math-tools").run()
"""


@pytest.mark.parametrize("mode", ["legacy", "auto"])
async def test_run_serves_a_subprocess_client(mode: str) -> None:
    process = StdioServerParameters(command=sys.executable, args=["-c", STDIO_SERVER])
    async with asyncio.timeout(PATIENCE), Client(process, mode=mode) as client:
        assert client.server_info is not None
        assert client.server_info.name == "math-tools"
        assert text_of(await client.call_tool("add", {"a": 7, "b": 5})) == "12"


async def test_the_asgi_app_serves_every_http_transport_on_its_paths(server: RactoMCPServer) -> None:
    paths = {route.path for route in server.get_asgi_app().routes if isinstance(route, Route | Mount)}
    assert paths >= {"/mcp", "/sse", "/health"}


def test_an_unknown_transport_names_the_nearest(server: RactoMCPServer) -> None:
    with pytest.raises(UnknownNameError, match="Did you mean 'stdio'"):
        server.run("stdo")  # type: ignore[arg-type]  # that is the point


def test_importing_the_server_needs_no_package_beside_those_of_the_sdk() -> None:
    code = """
import sys
import mcp.server

def packages():
    return {name.split(".")[0] for name in sys.modules}

before = packages()
import racto.server.mcp
print(sorted(packages() - before - {"racto"} - sys.stdlib_module_names))
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60)
    assert done.stdout.strip() == "[]"
