"""What the person behind an MCP client is asked in the middle of a call, in both protocol eras."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import mcp_types as types
import pytest
from mcp import Client, MCPError
from mcp.client import ClientRequestContext
from pydantic import BaseModel, Field
from racto.agents.calls import ToolContext
from racto.agents.toolbox import ToolRegistry
from racto.server.mcp import RactoMCPServer

from tests.mcp_clients import connected, text_of

pytestmark = pytest.mark.anyio


@pytest.fixture
def registry() -> ToolRegistry:
    return ToolRegistry()


@pytest.fixture
def server(registry: ToolRegistry) -> RactoMCPServer:
    return RactoMCPServer.from_registry(registry, name="tools")


class Address(BaseModel):
    """Where to."""

    street: str = Field(description="With the number")
    floor: int = 0


Answer = Callable[[str], types.ElicitResult]


def asking(answer: Answer) -> dict[str, Any]:
    """What makes a client show forms and answer each by its message."""

    async def elicit(context: ClientRequestContext, params: types.ElicitRequestParams) -> types.ElicitResult:
        return answer(params.message)

    return {"elicitation_callback": elicit}


def accept(**content: str | int | float | bool | list[str] | None) -> Answer:
    return lambda message: types.ElicitResult(action="accept", content=content)


async def test_a_tool_gets_what_the_person_filled_in(era: str, server: RactoMCPServer) -> None:
    async def deliver(context: ToolContext) -> str:
        return repr(await context.elicit("Where to?", Address))

    server.add_tool(deliver)
    async with connected(server, era, **asking(accept(street="Elm 3", floor=2))) as client:
        assert text_of(await client.call_tool("deliver")) == "Address(street='Elm 3', floor=2)"


@pytest.mark.parametrize("action", ["decline", "cancel"])
async def test_who_does_not_answer_has_not_said_yes(era: str, server: RactoMCPServer, action: Any) -> None:
    async def remove(context: ToolContext) -> str:
        return f"{await context.confirm('Really?')} {await context.elicit('Where to?', Address)}"

    server.add_tool(remove)
    async with connected(server, era, **asking(lambda message: types.ElicitResult(action=action))) as client:
        assert text_of(await client.call_tool("remove")) == "False None"


async def test_a_yes_is_a_yes(era: str, server: RactoMCPServer) -> None:
    async def remove(context: ToolContext) -> str:
        return repr(await context.confirm("Really?"))

    server.add_tool(remove)
    async with connected(server, era, **asking(accept())) as client:
        assert text_of(await client.call_tool("remove")) == "True"


async def test_without_a_form_in_the_client_there_is_nobody_to_ask(era: str, server: RactoMCPServer) -> None:
    async def remove(context: ToolContext) -> str:
        return f"{await context.confirm('Really?')} {await context.elicit('Where to?', Address)}"

    server.add_tool(remove)
    async with connected(server, era) as client:
        assert text_of(await client.call_tool("remove")) == "None None"


async def test_a_client_that_fails_to_ask_has_not_said_yes(server: RactoMCPServer) -> None:
    async def fail(context: ClientRequestContext, params: types.ElicitRequestParams) -> types.ErrorData:
        return types.ErrorData(code=types.INTERNAL_ERROR, message="no screen")

    async def remove(context: ToolContext) -> str:
        return repr(await context.confirm("Really?"))

    server.add_tool(remove)
    async with connected(server, "legacy", elicitation_callback=fail) as client:
        assert text_of(await client.call_tool("remove")) == "False"


async def test_a_person_may_think_longer_than_the_tool_may_take(
    era: str, server: RactoMCPServer, registry: ToolRegistry
) -> None:
    limit = 0.2

    async def think(context: ClientRequestContext, params: types.ElicitRequestParams) -> types.ElicitResult:
        thought = asyncio.Event()
        asyncio.get_running_loop().call_later(2 * limit, thought.set)
        await thought.wait()
        return types.ElicitResult(action="accept")

    async def remove(context: ToolContext, then_hang: bool) -> str:
        said = await context.confirm("Really?")
        if then_hang:
            await asyncio.Event().wait()
        return repr(said)

    registry.register(remove, timeout=limit)
    async with connected(server, era, elicitation_callback=think) as client:
        assert text_of(await client.call_tool("remove", {"then_hang": False})) == "True"
        assert "took longer than 0.2 s" in text_of(await client.call_tool("remove", {"then_hang": True}))


async def test_an_answer_that_does_not_fit_names_its_field(era: str, server: RactoMCPServer) -> None:
    async def deliver(context: ToolContext) -> str:
        return repr(await context.elicit("Where to?", Address))

    server.add_tool(deliver)
    async with connected(server, era, **asking(accept(floor=2))) as client:
        result = await client.call_tool("deliver")
    assert result.is_error
    assert "street" in text_of(result)


async def test_two_questions_of_one_call_keep_their_own_answers(era: str, server: RactoMCPServer) -> None:
    begun: list[None] = []

    async def deliver(context: ToolContext) -> str:
        begun.append(None)
        first = await context.elicit("From where?", Address)
        second = await context.elicit("Where to?", Address)
        return f"{first and first.street} to {second and second.street}"

    server.add_tool(deliver)
    streets = {"From where?": "Elm 3", "Where to?": "Oak 1"}
    answer: Answer = lambda message: types.ElicitResult(action="accept", content={"street": streets[message]})  # noqa: E731 - typed
    async with connected(server, era, **asking(answer)) as client:
        assert text_of(await client.call_tool("deliver")) == "Elm 3 to Oak 1"
    assert len(begun) == (1 if era == "legacy" else 3)


async def first_round(client: Client, arguments: dict[str, Any]) -> tuple[str, str]:
    """The key of the question a call to `remove` ends with, and its state."""
    asked = await client.session.call_tool("remove", arguments, allow_input_required=True)
    assert isinstance(asked, types.InputRequiredResult)
    assert asked.request_state is not None
    (key,) = asked.input_requests or {}
    return key, asked.request_state


@pytest.fixture
def remover(server: RactoMCPServer) -> RactoMCPServer:
    async def remove(context: ToolContext, name: str = "old") -> str:
        return f"removed: {await context.confirm(f'Remove {name}?')}"

    server.add_tool(remove)
    return server


async def test_an_answer_counts_only_for_the_call_it_was_asked_in(remover: RactoMCPServer) -> None:
    yes = types.ElicitResult(action="accept")
    async with connected(remover, "2026-07-28", **asking(accept())) as client:
        key, state = await first_round(client, {"name": "old"})
        told = await client.session.call_tool(
            "remove", {"name": "old"}, input_responses={key: yes}, request_state=state
        )
        assert text_of(told) == "removed: True"
        with pytest.raises(MCPError, match="requestState"):
            await client.session.call_tool("remove", {"name": "new"}, input_responses={key: yes}, request_state=state)
        with pytest.raises(MCPError, match="requestState"):
            await client.session.call_tool(
                "remove", {"name": "old"}, input_responses={key: yes}, request_state=state + "A"
            )


@pytest.mark.parametrize("with_state", [True, False])
async def test_an_answer_nobody_asked_for_is_no_answer(remover: RactoMCPServer, with_state: bool) -> None:
    yes = types.ElicitResult(action="accept")
    async with connected(remover, "2026-07-28", **asking(accept())) as client:
        key, state = await first_round(client, {})
        responses = {"other": yes} if with_state else {key: yes}
        again = await client.session.call_tool(
            "remove",
            {},
            input_responses=responses,  # type: ignore[arg-type]  # a dict of one kind of answer
            request_state=state if with_state else None,
            allow_input_required=True,
        )
        assert isinstance(again, types.InputRequiredResult)
