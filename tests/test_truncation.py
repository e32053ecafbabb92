"""Conversations that would not fit: shortened in the middle, never over the limit, never between a call and its result."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import tiktoken
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel, ValidationError
from racto.agents import tokens
from racto.agents.models import ModelRegistry
from racto.agents.tokens import TiktokenTokenizer
from racto.agents.toolbox import Tool, ToolRegistry
from racto.agents.truncation import TokenTruncator, TruncationConfig
from racto.knowledge.files import RactoFile
from racto.knowledge.prompts import RactoPrompt
from racto.knowledge.turns import message_tokens
from racto.knowledge.vocabulary import ChatConfig, Message, MessageRole, ToolCallResult


def said(role: str, content: str = "word " * 10) -> Message:
    return Message(role=MessageRole(role), content=content)


def words(text: str) -> int:
    return len(text.split())


def numbered(count: int) -> list[Message]:
    return [said("user", f"{number} " + "word " * 9) for number in range(count)]


def size(config: ChatConfig, count: Callable[[str], int]) -> int:
    """What a provider would count, in words: 4 more for each message."""
    system = config.prompt.compile() if config.prompt else ""
    asked = Message(role=MessageRole.USER, content=config.user_message, attachments=config.attachments)
    return count(system) + 4 + sum(message_tokens(message, count) for message in (*config.history, asked))


def test_a_conversation_that_fits_is_the_same_object() -> None:
    config = ChatConfig(user_message="Hi", history=numbered(5))
    assert TokenTruncator().truncate(config, "gpt-4o") is config


def test_the_middle_goes_and_the_first_and_last_stay() -> None:
    history = numbered(50)
    truncator = TokenTruncator(TruncationConfig(max_context_tokens=200, safety_margin=0, token_counter=words))
    config = ChatConfig(user_message="Hi", history=history)
    shorter = truncator.truncate(config, "any").history
    assert shorter[:2] == history[:2]
    assert shorter[-6:] == history[-6:]
    assert shorter == [*history[:2], *history[-(len(shorter) - 2) :]], "the oldest of the middle goes first"
    assert len(shorter) == 13  # (200 - 4 - 5) // 14
    assert config.history == history, "what was given is not changed"


def test_everything_else_stays_word_for_word() -> None:
    config = ChatConfig(user_message="Keep me", history=numbered(9000), temperature=0.3, extra={"a": 1})
    shorter = TokenTruncator().truncate(config, "gpt-4")
    assert 0 < len(shorter.history) < 9000
    assert shorter.model_dump(exclude={"history"}) == config.model_dump(exclude={"history"})


def test_it_goes_on_where_first_and_last_alone_are_too_long() -> None:
    history = [said("user", f"{number} " + "word " * 99) for number in range(8)]
    for limit, left in (
        (1000, [0, 1, 2, 3, 4, 5, 6, 7]),
        (760, [0, 1, 3, 4, 5, 6, 7]),
        (330, [0, 1, 7]),
        (120, [0]),
        (50, []),
    ):
        truncator = TokenTruncator(TruncationConfig(max_context_tokens=limit, safety_margin=0, token_counter=words))
        shorter = truncator.truncate(ChatConfig(user_message="Hi", history=history), "any").history
        assert [int(message.content.split()[0]) for message in shorter] == left, limit


def test_a_tools_result_goes_with_its_call() -> None:
    call = Message(
        role=MessageRole.ASSISTANT,
        content="",
        tool_calls=[ToolCallResult(id="a", name="t"), ToolCallResult(id="b", name="t")],
    )
    results = [Message(role=MessageRole.TOOL, content="word " * 40, tool_call_id=which) for which in "ab"]
    history = [said("user"), call, *results, said("assistant"), said("user"), said("assistant")]
    for limit in range(10, 200):
        config = TruncationConfig(max_context_tokens=limit, safety_margin=0, token_counter=words, keep_first_n=1)
        kept = TokenTruncator(config).truncate(ChatConfig(user_message="Hi", history=history), "any").history
        assert (call in kept) == (results[0] in kept) == (results[1] in kept)
        assert not kept or kept[0].role is MessageRole.USER


@given(
    st.lists(st.tuples(st.sampled_from(["user", "assistant", "tool"]), st.integers(0, 60)), max_size=25),
    st.integers(1, 600),
    st.integers(0, 5),
    st.integers(0, 8),
    st.integers(0, 30),
)
def test_it_never_overflows_and_only_leaves_out(
    turns: list[tuple[str, int]], limit: int, first: int, last: int, margin: int
) -> None:
    history = [said(role, f"{at} " + "word " * length) for at, (role, length) in enumerate(turns)]
    config = ChatConfig(user_message="What now", history=history)
    truncator = TokenTruncator(
        TruncationConfig(
            max_context_tokens=limit, keep_first_n=first, keep_last_n=last, safety_margin=margin, token_counter=words
        )
    )
    shorter = truncator.truncate(config, "any")
    assert not shorter.history or size(shorter, words) <= limit - margin
    kept = [history.index(message) for message in shorter.history]
    assert kept == sorted(set(kept))
    if size(config, words) <= limit - margin:
        assert shorter is config


def test_the_system_prompt_tools_schema_and_attachments_count() -> None:
    class Answer(BaseModel):
        text: str

    def look(where: str) -> str:
        """Look somewhere, with a long description of what that means and why it is done at all."""
        return where

    prompt = RactoPrompt(role="r", aim="a " * 100, constraints=["c"], tone="t", output_format="text")
    history = numbered(10)
    truncator = TokenTruncator(TruncationConfig(max_context_tokens=149, safety_margin=0, token_counter=words))
    plain = len(truncator.truncate(ChatConfig(user_message="Hi", history=history), "any").history)
    assert plain == 10
    registry = ToolRegistry()
    registry.register(Tool.of(look))
    changes: list[dict[str, Any]] = [
        {"prompt": prompt},
        {"tools": registry},
        {"response_model": Answer},
        {"attachments": [RactoFile(b"word " * 100, "text/plain")]},
        {"attachments": [RactoFile(b"", "image/png")]},
        {"user_message": "word " * 100},
        {"chain_of_thought": True},
    ]
    for change in changes:
        config = ChatConfig(**{"user_message": "Hi", "history": history, **change})
        assert len(truncator.truncate(config, "any").history) < plain, change


def test_the_answer_has_its_part_of_a_models_window() -> None:
    history = [said("user", "word " * 100)] * 60  # 7,740 tokens by the estimate
    truncator = TokenTruncator(TruncationConfig(safety_margin=0))
    short_answer = truncator.truncate(ChatConfig(user_message="Hi", history=history, max_tokens=16), "gpt-4")
    long_answer = truncator.truncate(ChatConfig(user_message="Hi", history=history, max_tokens=4096), "gpt-4")
    assert len(short_answer.history) == 60
    assert len(long_answer.history) == (8192 - 4096 - 8) // 129


@pytest.mark.parametrize(
    ("model", "limit"),
    [
        ("gpt-4o", 128_000),
        ("gpt-4o-2024-08-06", 128_000),
        ("gpt-4o-mini", 128_000),
        ("gpt-4-turbo", 128_000),
        ("gpt-4-turbo-2024-04-09", 128_000),
        ("gpt-4", 8_192),
        ("gpt-3.5-turbo", 16_385),
        ("gemini-2.0-flash", 1_048_576),
        ("gemini-2.0-flash-001", 1_048_576),
        ("gemini-1.5-pro", 2_097_152),
        ("gemini-1.5-pro-002", 2_097_152),
        ("claude-opus-4-1", 200_000),
        ("claude-3-5-sonnet-20241022", 200_000),
        ("claude-3-haiku-20240307", 200_000),
        ("claude-haiku-4-5", 200_000),
        ("deepseek-chat", 64_000),
        ("nobody-knows-it", 8_192),
    ],
)
def test_the_limits_of_the_specification_are_known_by_pattern(model: str, limit: int) -> None:
    assert TruncationConfig().resolve_limit(model) == limit


def test_a_limit_that_was_given_wins_and_what_a_provider_says_counts() -> None:
    assert TruncationConfig(max_context_tokens=99).resolve_limit("gpt-4o") == 99
    models = ModelRegistry()
    models.learn("ollama", [{"id": "tiny", "context_length": 300}])
    history = numbered(50)
    config = ChatConfig(user_message="Hi", history=history, max_tokens=10)
    shorter = TokenTruncator(TruncationConfig(safety_margin=0), models=models).truncate(config, "tiny")
    assert 0 < len(shorter.history) < 50
    assert TokenTruncator(TruncationConfig(safety_margin=0)).truncate(config, "tiny") is config


def test_a_real_tokenizer_decides_where_there_is_one() -> None:
    ranks = {bytes([value]): value for value in range(256)} | {b"word ": 256}
    one_each = tiktoken.Encoding("tiny", pat_str=r"word |.", mergeable_ranks=ranks, special_tokens={})
    tokens.REGISTRY.register("test-only-tiny-*", TiktokenTokenizer(one_each))
    history = [said("user", "word " * 10)] * 20  # 14 tokens each, but 54 bytes
    for limit, left in ((2000, 20), (300, 20), (285, 19), (150, 10)):
        truncator = TokenTruncator(TruncationConfig(max_context_tokens=limit, safety_margin=0))
        config = ChatConfig(user_message="h", history=history)  # 5 tokens, and 4 for a system prompt
        assert len(truncator.truncate(config, "test-only-tiny-1").history) == left, limit


def test_the_defaults_are_those_of_the_specification() -> None:
    config = TruncationConfig()
    assert (config.max_context_tokens, config.keep_first_n, config.keep_last_n, config.safety_margin) == (
        None,
        2,
        6,
        512,
    )
    for wrong in ({"max_context_tokens": 0}, {"keep_first_n": -1}, {"keep_last_n": -1}, {"safety_margin": -1}):
        with pytest.raises(ValidationError):
            TruncationConfig(**wrong)
