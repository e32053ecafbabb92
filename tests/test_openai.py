"""OpenAI and the servers that copied it: what goes into a body, where keys and addresses come from, turns that go back as they were."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest
from racto.agents.providers import Provider, make
from racto.agents.providers.exchange import is_local
from racto.agents.providers.openai_compatible import SERVERS
from racto.knowledge.errors import ConfigError, RactoGatewayAuthError, UnknownNameError, UnsupportedParameterError
from racto.knowledge.vocabulary import (
    ChatRequest,
    EmbeddingConfig,
    Message,
    MessageRole,
    ReasoningConfig,
    ToolCallResult,
    ToolSpec,
)

from tests import dialects
from tests.dialects.openai import OpenAI, event
from tests.dialects.openai_compatible import VLLM, Mistral, OpenRouter
from tests.dialects.openai_responses import OpenAIResponses

TOOLS = [ToolSpec("get_time", "The time.", {"type": "object", "properties": {}})]


def request(model: str = "plain", **changes: Any) -> ChatRequest:
    """A request with a schema, a tool and everything else a test asks for."""
    made: dict[str, Any] = {
        "model": model,
        "messages": [Message(role=MessageRole.USER, content="Hello")],
        "timeout": 10.0,
    }
    return ChatRequest(**(made | changes))


@asynccontextmanager
async def reached(dialect: Any, **options: Any) -> AsyncIterator[Provider]:
    """A provider pointed at a running server."""
    async with dialect.running() as base:
        provider = make(dialect.provider, **(dialect.options(base) | options))
        try:
            yield provider
        finally:
            await provider.aclose()


def body_of(dialect: Any, asked: ChatRequest, **options: Any) -> dict[str, Any]:
    """The body a server was sent."""

    async def ask() -> dict[str, Any]:
        async with reached(dialect, **options) as provider:
            await provider.chat(asked)
        return dict(dialect.received[-1].body)

    return asyncio.run(ask())


def run(test: Callable[[], Awaitable[None]]) -> None:
    """An async test."""

    async def limited() -> None:
        async with asyncio.timeout(30):
            await test()

    asyncio.run(limited())


def test_a_schema_is_strict_where_it_can_be() -> None:
    wanted = body_of(OpenAI(), request(response_schema=dialects.SCHEMA, response_name="City"))["response_format"][
        "json_schema"
    ]
    assert wanted["name"] == "City"
    assert wanted["strict"] is True
    assert wanted["schema"]["additionalProperties"] is False
    wanted = body_of(OpenAIResponses(), request(response_schema=dialects.SCHEMA))["text"]["format"]
    assert wanted["strict"] is True
    loose = {"type": "object", "properties": {"name": {"type": "string"}}}
    wanted = body_of(OpenAI(), request(response_schema=loose))["response_format"]["json_schema"]
    assert (wanted["strict"], wanted["schema"]) == (False, loose)


def test_a_server_with_a_grammar_of_its_own_gets_the_schema_as_it_is() -> None:
    narrow = {"type": "object", "properties": {"name": {"type": "string", "minLength": 2}}, "required": ["name"]}
    wanted = body_of(VLLM(), request(response_schema=narrow))["response_format"]["json_schema"]
    assert wanted["schema"] == narrow
    assert "strict" not in wanted


def test_reasoning_is_asked_for_in_each_servers_way() -> None:
    low = request(reasoning=ReasoningConfig(effort="low"))
    assert body_of(OpenAI(), low)["reasoning_effort"] == "low"
    assert body_of(OpenAIResponses(), low)["reasoning"] == {"effort": "low", "summary": "auto"}
    assert body_of(OpenRouter(), low)["reasoning"] == {"effort": "low"}
    budget = request(reasoning=ReasoningConfig(budget_tokens=500, include=False))
    assert body_of(OpenRouter(), budget)["reasoning"] == {"max_tokens": 500, "exclude": True}
    unsaid = request(reasoning=ReasoningConfig())
    assert "reasoning_effort" not in body_of(OpenAI(), unsaid)


@pytest.mark.parametrize("dialect", [OpenAI, OpenAIResponses])
def test_reasoning_in_tokens_is_refused_where_there_is_no_place_for_it(dialect: Any) -> None:
    with pytest.raises(UnsupportedParameterError) as caught:
        body_of(dialect(), request(reasoning=ReasoningConfig(budget_tokens=500)))
    assert caught.value.parameter == "reasoning"


@pytest.mark.parametrize("dialect", [OpenAI, OpenAIResponses, VLLM, Mistral])
def test_parallel_calls_are_allowed_or_not_only_when_somebody_said_so(dialect: Any) -> None:
    assert body_of(dialect(), request("tools", tools=TOOLS, parallel_tool_calls=False))["parallel_tool_calls"] is False
    assert "parallel_tool_calls" not in body_of(dialect(), request("tools", tools=TOOLS))


def test_what_the_caller_set_wins_over_what_is_extra() -> None:
    body = body_of(
        OpenAI(), request(parameters={"temperature": 0.5}, extra={"temperature": 1.5, "model": "other", "user": "me"})
    )
    assert (body["temperature"], body["model"], body["user"]) == (0.5, "plain", "me")


def test_nothing_is_kept_at_openai_unless_asked() -> None:
    assert body_of(OpenAIResponses(), request())["store"] is False
    assert body_of(OpenAIResponses(), request(extra={"store": True}))["store"] is True


@pytest.mark.parametrize("streamed", [False, True])
def test_a_turn_with_reasoning_goes_back_to_openai_as_it_was(streamed: bool) -> None:
    async def test() -> None:
        dialect = OpenAIResponses()
        async with reached(dialect) as provider:
            if streamed:
                last = [chunk async for chunk in provider.stream(request("reasoning"))][-1]
                response = last.response
            else:
                response = await provider.chat(request("reasoning"))
            assert response is not None
            turn = Message(role=MessageRole.ASSISTANT, content=response.content or "", native=response.native)
            await provider.chat(request(messages=[turn, Message(role=MessageRole.USER, content="Go on")]))
            kinds = [item["type"] if "type" in item else item["role"] for item in dialect.received[-1].body["input"]]
            assert kinds == ["reasoning", "message", "user"]
            assert dialect.received[-1].body["input"][0]["encrypted_content"]

    run(test)


def test_a_turn_of_another_provider_goes_as_text_and_calls() -> None:
    turn = Message(
        role=MessageRole.ASSISTANT,
        content="Yes",
        native={"anthropic": [1]},
        tool_calls=[ToolCallResult("c1", "get_time", {})],
    )
    body = body_of(
        OpenAIResponses(), request(messages=[turn, Message(role=MessageRole.TOOL, content="Noon", tool_call_id="c1")])
    )
    assert [item.get("type", item.get("role")) for item in body["input"]] == [
        "assistant",
        "function_call",
        "function_call_output",
    ]


def test_fewer_dimensions_are_asked_for_and_extra_is_passed_on() -> None:
    async def test() -> None:
        dialect = OpenAI()
        async with reached(dialect) as provider:
            response = await provider.embed(EmbeddingConfig(texts=["a"], dimensions=2, extra={"user": "me"}), "plain")
            assert len(response.vectors[0].vector) == 2
            assert dialect.received[-1].body["user"] == "me"
            assert response.usage == {"prompt_tokens": 1, "completion_tokens": 0, "total_tokens": 1}

    run(test)


def test_the_first_of_several_answers_is_the_answer() -> None:
    class Two(OpenAI):
        async def respond(self, scenario: str, body: dict[str, Any], line: Any) -> None:
            await line.start()
            for text, finish in (("one ", None), ("more", "stop")):
                for index in (0, 1):
                    await line.send(
                        event({"choices": [{"index": index, "delta": {"content": text}, "finish_reason": finish}]})
                    )
            await line.end()

    async def test() -> None:
        async with reached(Two()) as provider:
            *_, last = [chunk async for chunk in provider.stream(request(extra={"n": 2}))]
            assert last.accumulated_text == "one more"

    run(test)


def test_long_texts_are_embedded_in_calls_that_are_not_too_long() -> None:
    async def test() -> None:
        dialect = OpenAI()
        texts = ["word " * 50_000 for _ in range(5)]
        async with reached(dialect) as provider:
            response = await provider.embed(EmbeddingConfig(texts=texts), "plain")
        assert [len(received.body["input"]) for received in dialect.received] == [2, 2, 1]
        assert len(response.vectors) == 5
        assert response.usage["prompt_tokens"] == 5 * 250_000

    run(test)


@pytest.mark.parametrize("way", ["chat", "stream", "embed", "models"])
def test_a_missing_key_is_told_before_anything_is_sent(way: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)

    async def test() -> None:
        dialect = OpenAI()
        async with reached(dialect, api_key=None) as provider:
            ways: dict[str, Callable[[], Awaitable[Any]]] = {
                "chat": lambda: provider.chat(request()),
                "stream": lambda: anext(provider.stream(request())),
                "embed": lambda: provider.embed(EmbeddingConfig(texts=["a"]), "plain"),
                "models": provider.models,
            }
            with pytest.raises(RactoGatewayAuthError, match="OPENAI_API_KEY") as caught:
                await ways[way]()
            assert caught.value.provider == "openai"
            assert dialect.received == []

    run(test)


def test_the_key_and_the_address_are_read_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    async def test() -> None:
        dialect = OpenAI()
        async with dialect.running() as base:
            provider = make("openai")
            monkeypatch.setenv("OPENAI_API_KEY", "set-later")
            monkeypatch.setenv("OPENAI_BASE_URL", f"{base}/v1")
            await provider.chat(request())
            await provider.aclose()
        assert dialect.received[-1].headers["authorization"] == "Bearer set-later"

    run(test)


ENVIRONMENT = {
    "OPENAI_API_KEY": "the-key-of-openai",
    "OPENAI_ADMIN_KEY": "the-admin-key-of-openai",
    "OPENAI_ORG_ID": "the-organisation-at-openai",
    "OPENAI_PROJECT_ID": "the-project-at-openai",
    "OPENAI_CUSTOM_HEADERS": "X-Proxy-Secret: the-secret-of-openai\nauthorization: Bearer the-other-of-openai",
}


@pytest.mark.parametrize("key", [None, "a-key-for-it"])
def test_what_the_environment_holds_for_openai_is_told_to_nobody_else(
    key: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in ENVIRONMENT.items():
        monkeypatch.setenv(name, value)

    async def test() -> None:
        dialect = VLLM()
        async with reached(dialect, api_key=key) as provider:
            await provider.chat(request())
            [_ async for _ in provider.stream(request())]
            await provider.models()
        assert len(dialect.received) == 3
        for received in dialect.received:
            assert (
                "openai"
                not in " ".join(value for name, value in received.headers.items() if name != "user-agent").lower()
            )
            assert received.headers["authorization"] == f"Bearer {key or 'none'}"

    run(test)


def test_a_provider_can_be_used_from_one_loop_after_another(monkeypatch: pytest.MonkeyPatch) -> None:
    provider = make("openai", api_key="k")
    reached_by: list[int] = []

    async def test() -> None:
        dialect = OpenAI()
        async with dialect.running() as base:
            monkeypatch.setenv("OPENAI_BASE_URL", f"{base}/v1")
            await provider.chat(request())
            await provider.aclose()
        reached_by.append(len(dialect.received))

    run(test)
    run(test)
    assert reached_by == [1, 1]


def test_many_calls_at_once_share_one_client() -> None:
    async def test() -> None:
        dialect = OpenAI()
        async with reached(dialect) as provider:
            answers = await asyncio.gather(*[provider.chat(request()) for _ in range(50)])
            assert {answer.content for answer in answers} == {dialects.TEXT}

    run(test)


def test_a_server_that_never_ends_its_stream_is_not_waited_for() -> None:
    class Endless(OpenAI):
        async def respond(self, scenario: str, body: dict[str, Any], line: Any) -> None:
            async def stay() -> None:
                await line.stall()

            line.end = stay
            await super().respond(scenario, body, line)

    async def test() -> None:
        dialect = Endless()
        async with reached(dialect) as provider:
            *_, last = [chunk async for chunk in provider.stream(request(timeout=20.0))]
            assert last.response is not None
            assert last.response.content == dialects.TEXT
            await dialect.gone.wait()

    run(test)


@pytest.mark.parametrize(
    ("server", "name", "local"),
    [
        ("vllm", "openai_compatible", True),
        ("llamacpp", "openai_compatible", True),
        ("openrouter", "openrouter", False),
        ("mistral", "mistral", False),
    ],
)
def test_a_known_server_has_its_address_and_its_name(server: str, name: str, local: bool) -> None:
    provider = make("openai_compatible", server=server)
    assert (provider.name, provider.local) == (name, local)


def test_an_unknown_server_is_told_with_the_known_ones() -> None:
    with pytest.raises(UnknownNameError, match="openrouter"):
        make("openai_compatible", server="openruoter")
    with pytest.raises(ConfigError, match="base_url"):
        make("openai_compatible")
    assert all(server.base_url or name == "generic" for name, server in SERVERS.items())


@pytest.mark.parametrize(
    ("url", "local"),
    [
        ("http://localhost:8000/v1", True),
        ("http://127.0.0.1/v1", True),
        ("http://[::1]:8000/v1", True),
        ("http://192.168.1.7:8000/v1", True),
        ("http://10.0.0.7/v1", True),
        ("http://vllm:8000/v1", True),
        ("http://gpu.local/v1", True),
        ("https://api.openai.com/v1", False),
        ("http://8.8.8.8/v1", False),
        ("https://localhost.example.com/v1", False),
    ],
)
def test_a_server_is_local_when_its_address_is(url: str, local: bool) -> None:
    assert is_local(url) is local


def test_the_sdk_is_not_imported_before_the_first_call() -> None:
    code = "import sys; from racto.agents.providers import make; make('openai', api_key='k'); make('openai_compatible', server='vllm'); print('openai' in sys.modules, 'httpx2' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["False", "False"]
