"""The servers of the contract are true: the vendors' own SDKs read what they say, and would send what we send."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from racto.agents.providers import make
from racto.agents.providers.anthropic_messages import body
from racto.knowledge.files import RactoFile
from racto.knowledge.vocabulary import ChatRequest, Message, MessageRole, ReasoningConfig, ToolCallResult

from tests import dialects
from tests.dialects.anthropic import Anthropic
from tests.dialects.google import Google
from tests.provider_scenarios import TOOLS

# Anthropic


ANTHROPIC = [
    *("plain", "length", "refusal", "explained-refusal", "reasoning", "tools", "tools-and-text", "thinking-and-tools"),
    *("cut-arguments", "usage", "cache-written", "paused", "window", "stop-sequence", "schema", "empty"),
]


@pytest.mark.parametrize("scenario", ANTHROPIC)
def test_what_our_anthropic_server_says_is_what_the_sdk_reads_as_its_types(scenario: str) -> None:
    from anthropic import AsyncAnthropic

    async def run() -> None:
        dialect = Anthropic()
        async with dialect.running() as base:
            client = AsyncAnthropic(
                api_key=dialects.KEY, base_url=base, max_retries=0, _strict_response_validation=True
            )
            asked: dict[str, Any] = {
                "model": scenario,
                "max_tokens": 64,
                "messages": [{"role": "user", "content": "Hello"}],
            }
            whole = await client.messages.create(**asked)
            async with client.messages.stream(**asked) as stream:
                streamed = await stream.get_final_message()
            await client.close()
        if scenario != "cut-arguments":  # of a cut call the SDK keeps what it can
            assert [block.model_dump(exclude_none=True) for block in streamed.content] == [
                block.model_dump(exclude_none=True) for block in whole.content
            ]
        assert streamed.stop_reason == whole.stop_reason
        assert streamed.usage.output_tokens == whole.usage.output_tokens

    asyncio.run(run())


def test_our_request_to_anthropic_is_one_the_sdk_would_send() -> None:
    from anthropic import AsyncAnthropic

    asked = ChatRequest(
        messages=[Message(role=MessageRole.USER, content="Hello")],
        model="plain",
        system="Be brief.",
        tools=TOOLS,
        tool_choice="get_time",
        parallel_tool_calls=False,
        response_schema=dialects.SCHEMA,
        reasoning=ReasoningConfig(effort="low"),
        parameters={"stop": ["END"]},
    )

    async def run() -> None:
        dialect = Anthropic()
        async with dialect.running() as base:
            provider = make("anthropic", **dialect.options(base))
            await provider.chat(asked)
            await provider.aclose()
            client = AsyncAnthropic(api_key=dialects.KEY, base_url=base, max_retries=0)
            await client.messages.create(**body(asked))
            await client.close()
        ours, theirs = dialect.received
        assert ours.body == theirs.body
        assert (ours.method, ours.path, ours.query) == (theirs.method, theirs.path, theirs.query)
        for name in ("authorization", "anthropic-version", "content-type", "accept"):
            assert ours.headers[name] == theirs.headers[name]

    asyncio.run(run())


# Google


@asynccontextmanager
async def _google(base: str) -> AsyncIterator[Any]:
    """Google's own client, its own retries out of the way."""
    from google import genai
    from google.genai.types import HttpOptions
    from httpx2 import AsyncClient

    async with AsyncClient() as http:
        options = HttpOptions(base_url=base, httpx_async_client=http)
        yield genai.Client(api_key=dialects.KEY, vertexai=False, http_options=options)


GOOGLE = [
    "plain",
    "length",
    "reasoning",
    "tools",
    "tools-and-text",
    "signed",
    "no-ids",
    "usage",
    "searched",
    "picture",
    "blocked",
]


@pytest.mark.parametrize("scenario", GOOGLE)
def test_what_our_google_server_says_is_what_the_sdk_reads_as_its_types(scenario: str) -> None:
    async def run() -> None:
        dialect = Google()
        async with dialect.running() as base, _google(base) as client:
            whole = await client.aio.models.generate_content(model=scenario, contents="Hello")
            events = [
                event
                async for event in await client.aio.models.generate_content_stream(model=scenario, contents="Hello")
            ]
        assert whole.model_version == f"{scenario}-001"
        assert whole.model_dump(exclude_none=True).keys() >= {"usage_metadata", "response_id"}
        assert events[-1].usage_metadata == whole.usage_metadata
        parts = [part for event in events for part in event.parts or ()]
        assert [part.model_dump(exclude_none=True) for part in parts] == [
            part.model_dump(exclude_none=True) for part in whole.parts or ()
        ]
        expected = {} if scenario == "blocked" else _told(scenario)
        assert {name: value for name, value in _read(whole).items() if value} == expected

    asyncio.run(run())


def _read(whole: Any) -> dict[str, Any]:
    """What the SDK reads of an answer."""
    parts = whole.parts or ()
    return {
        "text": "".join(part.text or "" for part in parts if not part.thought),
        "thinking": "".join(part.text or "" for part in parts if part.thought),
        "calls": [(part.function_call.name, part.function_call.args) for part in parts if part.function_call],
        "picture": b"".join(part.inline_data.data for part in parts if part.inline_data),
    }


def _told(scenario: str) -> dict[str, Any]:
    """What the scenarios of this suite promise."""
    calls = {"calls": dialects.CALLS}
    special: dict[str, dict[str, Any]] = {
        "tools": calls,
        "signed": {"thinking": dialects.THINKING, **calls},
        "picture": {"picture": dialects.PNG},
        "reasoning": {"thinking": dialects.THINKING, "text": dialects.TEXT},
        "tools-and-text": {"text": dialects.TEXT, **calls},
        "no-ids": {"text": dialects.TEXT, **calls},
    }
    return special.get(scenario, {"text": dialects.TEXT})


def _camel(value: Any) -> Any:
    """A body with the names of its fields in camel case, as the API takes both; what stands under a schema stays."""
    if isinstance(value, list):
        return [_camel(item) for item in value]
    if not isinstance(value, dict):
        return value
    named = {re.sub(r"_(\w)", lambda found: found[1].upper(), name): inner for name, inner in value.items()}
    return {name: inner if name.endswith("Schema") else _camel(inner) for name, inner in named.items()}


def test_our_request_to_google_is_the_one_the_sdk_would_send() -> None:
    from google.genai import types as t

    parameters: dict[str, Any] = {"temperature": 0.5, "top_p": 0.9, "top_k": 4, "seed": 1}
    parameters |= {"frequency_penalty": 0.1, "presence_penalty": 0.2}
    calls = [ToolCallResult("id1", "get_time")]
    asked = ChatRequest(
        model="gemini-2.5-pro",
        system="Be brief.",
        messages=[
            Message(role=MessageRole.USER, content="Look", attachments=[RactoFile(dialects.PNG, "image/png")]),
            Message(role=MessageRole.ASSISTANT, content="ok", tool_calls=calls),
            Message(role=MessageRole.TOOL, content="Noon", tool_call_id="id1"),
        ],
        tools=TOOLS,
        tool_choice="get_time",
        reasoning=ReasoningConfig(budget_tokens=99),
        parameters=parameters | {"stop": ["END"]},
    )
    picture = t.Part(inline_data=t.Blob(data=dialects.PNG, mime_type="image/png"))
    call = t.Part(function_call=t.FunctionCall(id="id1", name="get_time", args={}))
    result = t.Part(function_response=t.FunctionResponse(id="id1", name="get_time", response={"output": "Noon"}))
    contents = [
        t.Content(role="user", parts=[picture, t.Part(text="Look")]),
        t.Content(role="model", parts=[t.Part(text="ok"), call]),
        t.Content(role="user", parts=[result]),
    ]
    tools = [
        t.FunctionDeclaration(name=tool.name, description=tool.description, parameters_json_schema=tool.input_schema)
        for tool in TOOLS
    ]
    mode = t.FunctionCallingConfig(mode=t.FunctionCallingConfigMode.ANY, allowed_function_names=["get_time"])
    config = t.GenerateContentConfig(
        system_instruction=t.Content(parts=[t.Part(text="Be brief.")]),
        max_output_tokens=4096,
        **parameters,
        stop_sequences=["END"],
        thinking_config=t.ThinkingConfig(include_thoughts=True, thinking_budget=99),
        tools=[t.Tool(function_declarations=tools)],
        tool_config=t.ToolConfig(function_calling_config=mode),
    )

    async def run() -> None:
        dialect = Google()
        async with dialect.running() as base, _google(base) as client:
            provider = make("google", **dialect.options(base))
            await provider.chat(asked)
            await provider.aclose()
            await client.aio.models.generate_content(model=asked.model, contents=contents, config=config)
        ours, theirs = dialect.received
        assert _camel(ours.body) == _camel(theirs.body)
        assert (ours.method, ours.path, ours.query) == (theirs.method, theirs.path, theirs.query)
        for name in ("x-goog-api-key", "content-type", "user-agent", "x-goog-api-client"):
            assert ours.headers[name] == theirs.headers[name]

    asyncio.run(run())
