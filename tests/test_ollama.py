"""What is Ollama's own in a conversation: windows, capabilities, thinking, schemas, ids of calls."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from racto.agents.providers.ollama import OllamaProvider
from racto.agents.providers.ollama_chat import ModelFacts, context_for
from racto.knowledge.errors import (
    ContextLengthError,
    InputError,
    UnsupportedParameterError,
)
from racto.knowledge.files import RactoFile
from racto.knowledge.vocabulary import (
    ChatRequest,
    LLMResponse,
    Message,
    MessageRole,
    ReasoningConfig,
    ToolCallResult,
    ToolSpec,
)

from tests import dialects
from tests.dialects.ollama import Ollama
from tests.over_the_wire import PICTURE, TOOL, over_the_wire, question


def examined(examine: Callable[[Ollama, OllamaProvider], Awaitable[None]], **options: Any) -> None:
    """Examine a server and a provider with these options."""
    over_the_wire(Ollama(), lambda base: OllamaProvider(base, **options), examine)


# The window


def test_a_window_is_told_with_every_question() -> None:
    async def examine(server: Ollama, provider: OllamaProvider) -> None:
        await provider.chat(question())
        assert server.window == 4096
        async for _ in provider.stream(question()):
            pass
        assert server.window == 4096
        assert len(server.shown) == 1, "a model is asked about once"

    examined(examine)


def test_a_window_grows_in_few_steps_and_never_shrinks() -> None:
    async def examine(server: Ollama, provider: OllamaProvider) -> None:
        seen = []
        for length in (10, 9_000, 11_000, 12_500, 20_000, 24_000, 10, 40_000, 300):
            await provider.chat(question(text="x" * length))
            seen.append(server.window)
        assert seen == [4096, 4096, 4096, 8192, 8192, 8192, 8192, 16_384, 16_384]

    examined(examine)


def test_a_window_is_never_larger_than_the_model_reads() -> None:
    async def examine(server: Ollama, provider: OllamaProvider) -> None:
        server.context = 6000
        await provider.chat(question(text="x" * 100_000))
        assert server.window == 6000

    examined(examine)


def test_a_window_somebody_asks_for_is_taken() -> None:
    async def examine(server: Ollama, provider: OllamaProvider) -> None:
        await provider.chat(question(extra={"options": {"num_ctx": 2048, "mirostat": 2}}))
        options = server.received[-1].body["options"]
        assert (options["num_ctx"], options["mirostat"], options["num_predict"]) == (2048, 2, 64)

    examined(examine)


TEXTS = st.text(max_size=400).map(lambda text: text * 50)


@given(TEXTS, st.integers(1, 9000), st.integers(0, 3), st.one_of(st.none(), st.integers(1, 40_000)))
def test_a_window_holds_the_text_and_the_answer_or_is_all_the_model_has(
    text: str, answer: int, images: int, most: int | None
) -> None:
    asked = question(text=text, max_tokens=answer, attachments=[PICTURE] * images)
    size = context_for(asked, ModelFacts(context=most))
    assert size == most or size >= len(text.encode()) // 3 + answer
    assert most is None or size <= most
    assert size == most or (size >= 4096 and size & (size - 1) == 0)
    assert context_for(question(), ModelFacts(context=most), size) == size


def test_everything_that_is_read_makes_a_window_larger() -> None:
    def size(**changes: Any) -> int:
        return context_for(question(**changes), ModelFacts())

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
        await provider.chat(question())
        assert server.received[-1].body["truncate"] is False
        with pytest.raises(ContextLengthError, match="8889 tokens") as caught:
            await provider.chat(question("overflow"))
        assert "{" not in str(caught.value), "what the runner said is not shown as the JSON it was wrapped in"

    examined(examine)


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
        warnings = (await provider.chat(question(text=text, extra={"truncate": True}))).warnings
        assert server.received[-1].body["truncate"] is True
        assert [("4096 tokens" in warning) for warning in warnings] == [True] * cut
        last = [chunk async for chunk in provider.stream(question(text=text))][-1]
        assert last.response is not None
        assert last.response.warnings == warnings

    examined(examine)


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
                await provider.chat(question(**changes))
            assert (caught.value.parameter, caught.value.provider) == (parameter, "ollama")
        assert server.received == []
        await provider.chat(question(reasoning=ReasoningConfig(effort="none")))
        assert server.received[-1].body["think"] is False

    examined(examine)


def test_an_old_server_that_tells_no_capabilities_is_asked_and_believed() -> None:
    async def examine(server: Ollama, provider: OllamaProvider) -> None:
        server.capabilities = None
        server.context = None
        with pytest.raises(UnsupportedParameterError) as caught:
            await provider.chat(question("cannot-think", reasoning=ReasoningConfig(effort="low")))
        assert caught.value.parameter == "reasoning"
        await provider.chat(question(text="x" * 20_000, tools=[TOOL], attachments=[PICTURE]))
        assert server.window == 16_384

    examined(examine)


def test_a_choice_of_tools_ollama_cannot_make_is_refused_by_name() -> None:
    async def examine(server: Ollama, provider: OllamaProvider) -> None:
        for choice in ("required", "get_time"):
            with pytest.raises(UnsupportedParameterError) as caught:
                await provider.chat(question(tools=[TOOL], tool_choice=choice))
            assert caught.value.parameter == "tool_choice"
        with pytest.raises(UnsupportedParameterError) as caught:
            await provider.chat(question(tools=[TOOL], parallel_tool_calls=False))
        assert caught.value.parameter == "parallel_tool_calls"
        assert server.received == []
        await provider.chat(question(tools=[TOOL], tool_choice="none"))
        assert "tools" not in server.received[-1].body
        await provider.chat(question(tools=[TOOL], tool_choice="auto", parallel_tool_calls=True))
        assert len(server.received[-1].body["tools"]) == 1

    examined(examine)


def test_a_schema_is_enforced_and_told_in_words_but_with_tools_only_told() -> None:
    async def examine(server: Ollama, provider: OllamaProvider) -> None:
        await provider.chat(question("schema", system="Be brief.", response_schema=dialects.SCHEMA))
        sent = server.received[-1].body
        assert sent["format"] == dialects.SCHEMA
        assert sent["messages"][0]["content"].startswith("Be brief.")
        assert '"people"' in sent["messages"][0]["content"]
        response = await provider.chat(question("tools", response_schema=dialects.SCHEMA, tools=[TOOL]))
        sent = server.received[-1].body
        assert "format" not in sent, "under a grammar no tool can be called"
        assert '"people"' in sent["messages"][0]["content"]
        assert len(response.tool_calls) == 2

    examined(examine)


def test_a_file_ollama_has_no_place_for_is_refused() -> None:
    async def examine(_: Ollama, provider: OllamaProvider) -> None:
        with pytest.raises(InputError, match="images and text"):
            await provider.chat(question(attachments=[RactoFile(dialects.PDF, "application/pdf", "paper.pdf")]))

    examined(examine)


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
        await provider.chat(question(reasoning=ReasoningConfig(effort=effort)))
        assert server.received[-1].body["think"] == sent
        await provider.chat(question())
        assert "think" not in server.received[-1].body

    examined(examine)


def test_thinking_nobody_wants_to_see_is_left_out() -> None:
    async def examine(_: Ollama, provider: OllamaProvider) -> None:
        unseen = question("reasoning", reasoning=ReasoningConfig(effort="low", include=False))
        assert (await provider.chat(unseen)).thinking is None
        chunks = [chunk async for chunk in provider.stream(unseen)]
        assert chunks[-1].accumulated_text == dialects.TEXT
        assert not any(chunk.accumulated_thinking for chunk in chunks)

    examined(examine)


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
    return question(asked.model, messages=[*asked.messages, answered, *results], tools=[TOOL])


def test_calls_without_ids_get_ones_that_are_new_in_the_conversation_and_the_same_next_time() -> None:
    async def examine(_: Ollama, provider: OllamaProvider) -> None:
        first = question("tools", tools=[TOOL])
        response = await provider.chat(first)
        assert [call.id for call in response.tool_calls] == ["call_1", "call_2"]
        again = [chunk async for chunk in provider.stream(first)][-1]
        assert again.tool_calls == response.tool_calls
        second = await provider.chat(_then(first, response))
        assert [call.id for call in second.tool_calls] == ["call_3", "call_4"]

    examined(examine)


def test_ids_a_newer_server_gives_are_kept() -> None:
    async def examine(_: Ollama, provider: OllamaProvider) -> None:
        response = await provider.chat(question("tools-with-ids", tools=[TOOL]))
        assert [call.id for call in response.tool_calls] == ["theirs_0", "theirs_1"]

    examined(examine)


def test_the_thought_behind_a_call_goes_back_with_its_result() -> None:
    async def examine(server: Ollama, provider: OllamaProvider) -> None:
        first = question("thought-tools", tools=[TOOL])
        response = await provider.chat(first)
        last = [chunk async for chunk in provider.stream(first)][-1].response
        assert last is not None
        assert last.native == response.native
        await provider.chat(_then(first, response))
        turn = server.received[-1].body["messages"][1]
        assert turn["thinking"] == dialects.THINKING
        assert [call["function"]["name"] for call in turn["tool_calls"]] == ["get_weather", "get_time"]

    examined(examine)
