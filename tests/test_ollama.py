"""What is Ollama's own: windows, capabilities, thinking, ids of calls, downloads, and a server that is started and stopped."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import aclosing, asynccontextmanager
from typing import Any, ClassVar

import pytest
from hypothesis import given
from hypothesis import strategies as st
from racto.agents.providers.http_exchange import lines_of
from racto.agents.providers.ollama import OllamaProvider, PullProgress, ollama_url
from racto.agents.providers.ollama_chat import ModelFacts, context_for
from racto.knowledge.errors import (
    ConfigError,
    ConnectionLostError,
    ContextLengthError,
    InputError,
    ModelNotAvailableError,
    OverloadedError,
    UnsupportedParameterError,
)
from racto.knowledge.files import RactoFile
from racto.knowledge.vocabulary import (
    ChatRequest,
    EmbeddingConfig,
    LLMResponse,
    Message,
    MessageRole,
    ReasoningConfig,
    ToolCallResult,
    ToolSpec,
)

from tests import dialects
from tests.dialects.ollama import Ollama

TOOL = ToolSpec("get_time", "The time.", {"type": "object", "properties": {}})
PICTURE = RactoFile(dialects.PNG, "image/png", "dot.png")


def request(model: str = "plain", text: str = "Hello", **changes: Any) -> ChatRequest:
    """A short question."""
    message = Message(role=MessageRole.USER, content=text, attachments=changes.pop("attachments", []))
    plain: dict[str, Any] = {"model": model, "messages": [message], "max_tokens": 64, "timeout": 10.0}
    return ChatRequest(**(plain | changes))


@asynccontextmanager
async def ollama(**options: Any) -> AsyncIterator[tuple[Ollama, OllamaProvider]]:
    """A server and a provider that talks with it."""
    server = Ollama()
    async with server.running() as base:
        provider = OllamaProvider(base, **options)
        try:
            yield server, provider
        finally:
            await provider.aclose()


def over_the_wire(examine: Callable[[Ollama, OllamaProvider], Awaitable[None]], **options: Any) -> None:
    """Examine a provider and its server."""

    async def run() -> None:
        async with asyncio.timeout(30), ollama(**options) as (server, provider):
            await examine(server, provider)

    asyncio.run(run())


def window(server: Ollama) -> int:
    """The window the last question was asked with."""
    return int(server.received[-1].body["options"]["num_ctx"])


# The window


def test_a_window_is_told_with_every_question() -> None:
    async def examine(server: Ollama, provider: OllamaProvider) -> None:
        await provider.chat(request())
        assert window(server) == 4096
        async for _ in provider.stream(request()):
            pass
        assert window(server) == 4096
        assert len(server.shown) == 1, "a model is asked about once"

    over_the_wire(examine)


def test_a_window_grows_in_few_steps_and_never_shrinks() -> None:
    async def examine(server: Ollama, provider: OllamaProvider) -> None:
        seen = []
        for length in (10, 9_000, 11_000, 12_500, 20_000, 24_000, 10, 40_000, 300):
            await provider.chat(request(text="x" * length))
            seen.append(window(server))
        assert seen == [4096, 4096, 4096, 8192, 8192, 8192, 8192, 16_384, 16_384]

    over_the_wire(examine)


def test_a_window_is_never_larger_than_the_model_reads() -> None:
    async def examine(server: Ollama, provider: OllamaProvider) -> None:
        server.context = 6000
        await provider.chat(request(text="x" * 100_000))
        assert window(server) == 6000

    over_the_wire(examine)


def test_a_window_somebody_asks_for_is_taken() -> None:
    async def examine(server: Ollama, provider: OllamaProvider) -> None:
        await provider.chat(request(extra={"options": {"num_ctx": 2048, "mirostat": 2}}))
        options = server.received[-1].body["options"]
        assert (options["num_ctx"], options["mirostat"], options["num_predict"]) == (2048, 2, 64)

    over_the_wire(examine)


TEXTS = st.text(max_size=400).map(lambda text: text * 50)


@given(TEXTS, st.integers(1, 9000), st.integers(0, 3), st.one_of(st.none(), st.integers(1, 40_000)))
def test_a_window_holds_the_text_and_the_answer_or_is_all_the_model_has(
    text: str, answer: int, images: int, most: int | None
) -> None:
    asked = request(text=text, max_tokens=answer, attachments=[PICTURE] * images)
    size = context_for(asked, ModelFacts(context=most))
    assert size == most or size >= len(text.encode()) // 3 + answer
    assert most is None or size <= most
    assert size == most or (size >= 4096 and size & (size - 1) == 0)
    assert context_for(request(), ModelFacts(context=most), size) == size


def test_everything_that_is_read_makes_a_window_larger() -> None:
    def size(**changes: Any) -> int:
        return context_for(request(**changes), ModelFacts())

    long = "x" * 20_000
    note = RactoFile(long.encode(), "text/plain", "note.txt")
    call = ToolCallResult("1", "get_time", {"zone": long})
    assert size() == 4096
    assert size(system=long) == 8192
    assert size(attachments=[note]) == 8192
    assert size(tools=[ToolSpec("get_time", "The time.", {"description": long})]) == 8192
    assert size(messages=[Message(role=MessageRole.ASSISTANT, content="", tool_calls=[call])]) == 8192
    assert size(attachments=[PICTURE] * 3) == 8192
    assert size(max_tokens=8000) == 8192


def test_a_conversation_that_does_not_fit_is_refused_not_cut() -> None:
    async def examine(server: Ollama, provider: OllamaProvider) -> None:
        await provider.chat(request())
        assert server.received[-1].body["truncate"] is False
        with pytest.raises(ContextLengthError, match="8889 tokens") as caught:
            await provider.chat(request("overflow"))
        assert "{" not in str(caught.value), "what the runner said is not shown as the JSON it was wrapped in"

    over_the_wire(examine)


@pytest.mark.parametrize(
    ("text", "read", "cut"),
    [
        ("short", 11, False),
        ("fits exactly, as far as anybody can tell", 4000, False),
        ("cut to the window by an old server", 4095, True),
        ("x" * 40_000, 2051, True),  # cut to half of it by a newer one
        ("four letters to a token " * 640, 3840, False),
        ("x" * 40_000, 0, False),  # not told
    ],
)
def test_a_server_that_cuts_all_the_same_is_noticed(text: str, read: int, cut: bool) -> None:
    async def examine(server: Ollama, provider: OllamaProvider) -> None:
        server.context = 4096
        server.prompt_tokens = read
        warnings = (await provider.chat(request(text=text, extra={"truncate": True}))).warnings
        assert server.received[-1].body["truncate"] is True
        assert [("4096 tokens" in warning) for warning in warnings] == [True] * cut
        last = [chunk async for chunk in provider.stream(request(text=text))][-1]
        assert last.response is not None
        assert last.response.warnings == warnings

    over_the_wire(examine)


# What a model can do


def test_what_a_model_cannot_do_is_said_before_it_is_asked() -> None:
    async def examine(server: Ollama, provider: OllamaProvider) -> None:
        server.capabilities = ["completion"]
        cases: dict[str, dict[str, Any]] = {
            "tools": {"tools": [TOOL]},
            "attachments": {"attachments": [PICTURE]},
            "reasoning": {"reasoning": ReasoningConfig(effort="low")},
        }
        for parameter, changes in cases.items():
            with pytest.raises(UnsupportedParameterError, match="plain") as caught:
                await provider.chat(request(**changes))
            assert (caught.value.parameter, caught.value.provider) == (parameter, "ollama")
        assert server.received == []
        await provider.chat(request(reasoning=ReasoningConfig(effort="none")))
        assert server.received[-1].body["think"] is False

    over_the_wire(examine)


def test_an_old_server_that_tells_no_capabilities_is_asked_and_believed() -> None:
    async def examine(server: Ollama, provider: OllamaProvider) -> None:
        server.capabilities = None
        server.context = None
        with pytest.raises(UnsupportedParameterError) as caught:
            await provider.chat(request("cannot-think", reasoning=ReasoningConfig(effort="low")))
        assert caught.value.parameter == "reasoning"
        await provider.chat(request(text="x" * 20_000, tools=[TOOL], attachments=[PICTURE]))
        assert window(server) == 16_384

    over_the_wire(examine)


def test_a_choice_of_tools_ollama_cannot_make_is_refused_by_name() -> None:
    async def examine(server: Ollama, provider: OllamaProvider) -> None:
        for choice in ("required", "get_time"):
            with pytest.raises(UnsupportedParameterError) as caught:
                await provider.chat(request(tools=[TOOL], tool_choice=choice))
            assert caught.value.parameter == "tool_choice"
        with pytest.raises(UnsupportedParameterError) as caught:
            await provider.chat(request(tools=[TOOL], parallel_tool_calls=False))
        assert caught.value.parameter == "parallel_tool_calls"
        assert server.received == []
        await provider.chat(request(tools=[TOOL], tool_choice="none"))
        assert "tools" not in server.received[-1].body
        await provider.chat(request(tools=[TOOL], tool_choice="auto", parallel_tool_calls=True))
        assert len(server.received[-1].body["tools"]) == 1

    over_the_wire(examine)


def test_a_schema_is_enforced_and_told_in_words_but_with_tools_only_told() -> None:
    async def examine(server: Ollama, provider: OllamaProvider) -> None:
        await provider.chat(request("schema", system="Be brief.", response_schema=dialects.SCHEMA))
        sent = server.received[-1].body
        assert sent["format"] == dialects.SCHEMA
        assert sent["messages"][0]["content"].startswith("Be brief.")
        assert '"people"' in sent["messages"][0]["content"]
        response = await provider.chat(request("tools", response_schema=dialects.SCHEMA, tools=[TOOL]))
        sent = server.received[-1].body
        assert "format" not in sent, "under a grammar no tool can be called"
        assert '"people"' in sent["messages"][0]["content"]
        assert len(response.tool_calls) == 2

    over_the_wire(examine)


def test_a_file_ollama_has_no_place_for_is_refused() -> None:
    async def examine(_: Ollama, provider: OllamaProvider) -> None:
        with pytest.raises(InputError, match="images and text"):
            await provider.chat(request(attachments=[RactoFile(dialects.PDF, "application/pdf", "paper.pdf")]))

    over_the_wire(examine)


# Thinking


@pytest.mark.parametrize(
    ("architecture", "effort", "sent"),
    [
        ("qwen3", "high", True),
        ("qwen3", None, True),
        ("qwen3", "none", False),
        ("gptoss", "minimal", "low"),
        ("gptoss", "high", "high"),
        ("gptoss", None, "medium"),
    ],
)
def test_thinking_is_asked_for_as_the_model_takes_it(architecture: str, effort: Any, sent: bool | str) -> None:
    async def examine(server: Ollama, provider: OllamaProvider) -> None:
        server.architecture = architecture
        await provider.chat(request(reasoning=ReasoningConfig(effort=effort)))
        assert server.received[-1].body["think"] == sent
        await provider.chat(request())
        assert "think" not in server.received[-1].body

    over_the_wire(examine)


def test_thinking_nobody_wants_to_see_is_left_out() -> None:
    async def examine(_: Ollama, provider: OllamaProvider) -> None:
        unseen = request("reasoning", reasoning=ReasoningConfig(effort="low", include=False))
        assert (await provider.chat(unseen)).thinking is None
        chunks = [chunk async for chunk in provider.stream(unseen)]
        assert chunks[-1].accumulated_text == dialects.TEXT
        assert not any(chunk.accumulated_thinking for chunk in chunks)

    over_the_wire(examine)


# Calls


def _then(asked: ChatRequest, response: LLMResponse) -> ChatRequest:
    """The same conversation, with the answer and the results of its calls."""
    answered = Message(
        role=MessageRole.ASSISTANT,
        content=response.content or "",
        tool_calls=response.tool_calls,
        native=response.native,
    )
    results = [Message(role=MessageRole.TOOL, content="12:00", tool_call_id=call.id) for call in response.tool_calls]
    return request(asked.model, messages=[*asked.messages, answered, *results], tools=[TOOL])


def test_calls_without_ids_get_ones_that_are_new_in_the_conversation_and_the_same_next_time() -> None:
    async def examine(_: Ollama, provider: OllamaProvider) -> None:
        first = request("tools", tools=[TOOL])
        response = await provider.chat(first)
        assert [call.id for call in response.tool_calls] == ["call_1", "call_2"]
        again = [chunk async for chunk in provider.stream(first)][-1]
        assert again.tool_calls == response.tool_calls
        second = await provider.chat(_then(first, response))
        assert [call.id for call in second.tool_calls] == ["call_3", "call_4"]

    over_the_wire(examine)


def test_ids_a_newer_server_gives_are_kept() -> None:
    async def examine(_: Ollama, provider: OllamaProvider) -> None:
        response = await provider.chat(request("tools-with-ids", tools=[TOOL]))
        assert [call.id for call in response.tool_calls] == ["theirs_0", "theirs_1"]

    over_the_wire(examine)


def test_the_thought_behind_a_call_goes_back_with_its_result() -> None:
    async def examine(server: Ollama, provider: OllamaProvider) -> None:
        first = request("thought-tools", tools=[TOOL])
        response = await provider.chat(first)
        last = [chunk async for chunk in provider.stream(first)][-1].response
        assert last is not None
        assert last.native == response.native
        await provider.chat(_then(first, response))
        turn = server.received[-1].body["messages"][1]
        assert turn["thinking"] == dialects.THINKING
        assert [call["function"]["name"] for call in turn["tool_calls"]] == ["get_weather", "get_time"]

    over_the_wire(examine)


# Failures, and what to do about them


def test_a_model_that_is_missing_says_how_to_get_it() -> None:
    async def examine(_: Ollama, provider: OllamaProvider) -> None:
        with pytest.raises(ModelNotAvailableError, match="ollama pull status-404"):
            await provider.chat(request("status-404"))

    over_the_wire(examine)


def test_a_window_the_memory_cannot_hold_is_an_error_that_does_not_spoil_the_next_question() -> None:
    async def examine(server: Ollama, provider: OllamaProvider) -> None:
        server.memory = 8192
        with pytest.raises(ModelNotAvailableError, match="smaller model") as caught:
            await provider.chat(request(text="x" * 100_000))
        assert not caught.value.transient
        with pytest.raises(ModelNotAvailableError):
            assert [chunk async for chunk in provider.stream(request(text="x" * 100_000))]
        await provider.chat(request())
        assert window(server) == 4096

    over_the_wire(examine)


def test_a_busy_server_is_overloaded_also_when_it_says_so_within_an_answer() -> None:
    async def examine(_: Ollama, provider: OllamaProvider) -> None:
        with pytest.raises(OverloadedError, match="try again"):
            await provider.chat(request("error-in-200"))
        with pytest.raises(OverloadedError):
            assert [chunk async for chunk in provider.stream(request("mid-stream-error"))]

    over_the_wire(examine)


def test_a_server_that_does_not_run_says_how_to_start_it() -> None:
    async def examine() -> None:
        provider = OllamaProvider("http://127.0.0.1:1")
        with pytest.raises(ConnectionLostError, match="ollama serve"):
            await provider.chat(request())
        assert await provider.detect() is None
        await provider.aclose()

    asyncio.run(examine())


def test_a_server_is_detected_with_its_version(monkeypatch: pytest.MonkeyPatch) -> None:
    async def examine(_: Ollama, provider: OllamaProvider) -> None:
        monkeypatch.setenv("OLLAMA_HOST", provider.base_url.removeprefix("http://"))
        found = OllamaProvider()
        assert await found.detect() == "0.33.3"
        assert found.local
        await found.aclose()

    over_the_wire(examine)


def test_a_proxy_of_the_environment_is_passed_by_for_a_local_server(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:1")

    async def examine(_: Ollama, provider: OllamaProvider) -> None:
        assert (await provider.chat(request())).content == dialects.TEXT

    over_the_wire(examine)


@pytest.mark.parametrize(
    ("host", "url"),
    [
        (None, "http://localhost:11434"),
        ("", "http://localhost:11434"),
        ("http://localhost:11434", "http://localhost:11434"),
        ("0.0.0.0", "http://127.0.0.1:11434"),
        ("0.0.0.0:8080", "http://127.0.0.1:8080"),
        ("[::]:8080", "http://[::1]:8080"),
        (":56789", "http://127.0.0.1:56789"),
        ("example.com", "http://example.com:11434"),
        ("http://example.com", "http://example.com:80"),
        ("https://example.com/ollama/", "https://example.com:443/ollama"),
        ("'10.0.0.7:11500'", "http://10.0.0.7:11500"),
        ("[0001:002:003:0004::1]:56789", "http://[1:2:3:4::1]:56789"),
    ],
)
def test_every_way_to_write_a_host_is_understood(host: str | None, url: str) -> None:
    assert ollama_url(host) == url


@pytest.mark.parametrize("host", ["localhost:port", "http://localhost:99999", "tcp://localhost:11434", "http://[::1"])
def test_a_host_that_is_none_is_refused(host: str) -> None:
    with pytest.raises(ConfigError, match="http://localhost:11434"):
        ollama_url(host)


def test_a_user_and_password_in_the_address_are_sent_and_never_shown() -> None:
    async def examine(server: Ollama, provider: OllamaProvider) -> None:
        behind = OllamaProvider(provider.base_url.replace("http://", "http://me:canary-secret@"))
        await behind.chat(request())
        assert server.received[-1].headers["authorization"].startswith("Basic ")
        await behind.aclose()

    over_the_wire(examine)

    async def nobody() -> None:
        with pytest.raises(ConnectionLostError) as caught:
            await OllamaProvider("http://me:canary-secret@127.0.0.1:1").chat(request())
        assert "127.0.0.1:1" in str(caught.value)
        assert "canary" not in str(caught.value)

    asyncio.run(nobody())


def test_a_server_elsewhere_is_not_local() -> None:
    assert OllamaProvider("http://192.168.0.9:11434").local
    assert not OllamaProvider("https://ollama.com").local


# Loading and downloading


def test_a_preloaded_model_is_not_loaded_again_for_its_first_question() -> None:
    async def examine(server: Ollama, provider: OllamaProvider) -> None:
        await provider.preload("plain", context=10_000)
        loaded = server.received[-1].body
        assert (loaded["messages"], loaded["keep_alive"], window(server)) == ([], "1h", 16_384)
        await provider.chat(request())
        assert window(server) == 16_384
        assert server.received[-1].body["keep_alive"] == "1h"
        await provider.unload("plain")
        assert server.received[-1].body["keep_alive"] == 0
        await provider.chat(request())
        assert window(server) == 4096, "an unloaded model may be loaded smaller"
        await provider.embed(EmbeddingConfig(texts=["a"], dimensions=2), "plain")
        assert (server.received[-1].body["keep_alive"], server.received[-1].body["dimensions"]) == ("1h", 2)

    over_the_wire(examine, keep_alive="1h")


def test_a_download_tells_how_far_all_of_it_is() -> None:
    async def examine(_: Ollama, provider: OllamaProvider) -> None:
        told = [progress async for progress in provider.pull("llama3.2")]
        assert [(progress.completed, progress.total) for progress in told] == [
            (0, 0),
            (0, 100),
            (60, 100),
            (100, 100),
            (120, 120),
            (120, 120),
            (120, 120),
        ]
        assert told[-1] == PullProgress("success", 120, 120)

    over_the_wire(examine)


def test_a_download_of_nothing_is_an_error_though_its_status_is_200() -> None:
    async def examine(_: Ollama, provider: OllamaProvider) -> None:
        told = provider.pull("no-such-model")
        assert (await anext(told)).status == "pulling manifest"
        with pytest.raises(ModelNotAvailableError, match="file does not exist") as caught:
            await anext(told)
        assert caught.value.model == "no-such-model"

    over_the_wire(examine)


def test_a_download_that_ends_halfway_is_not_taken_for_a_whole_one() -> None:
    async def examine(_: Ollama, provider: OllamaProvider) -> None:
        with pytest.raises(ConnectionLostError, match="before it was whole"):
            assert [progress async for progress in provider.pull("half")]

    over_the_wire(examine)


def test_a_download_that_is_no_longer_wanted_is_hung_up_on() -> None:
    async def examine(server: Ollama, provider: OllamaProvider) -> None:
        async with aclosing(provider.pull("endless")) as told:
            async for progress in told:
                if progress.completed == 60:
                    break
        await server.gone.wait()

    over_the_wire(examine)


# Lines


@given(st.lists(st.dictionaries(st.text(max_size=5), st.text(max_size=9)), max_size=6), st.data())
def test_lines_are_cut_at_line_feeds_only_wherever_the_bytes_are_cut(values: list[Any], data: st.DataObject) -> None:
    values.append({"text": "one\u2028two\x85three"})
    content = b"\n".join(json.dumps(value, ensure_ascii=False).encode() for value in values)
    cuts = sorted(data.draw(st.lists(st.integers(0, len(content)), max_size=8)))
    pieces = [content[a:b] for a, b in zip([0, *cuts], [*cuts, len(content)], strict=True)]

    class Body:
        """A body that comes in these pieces."""

        headers: ClassVar[dict[str, str]] = {}

        async def aiter_bytes(self) -> AsyncIterator[bytes]:
            for piece in pieces:
                yield piece

        async def aread(self) -> bytes:
            return content

        async def aclose(self) -> None:
            """Nothing is open."""

    async def read() -> list[Any]:
        return [json.loads(line) async for line in lines_of(Body())]

    assert asyncio.run(read()) == values
