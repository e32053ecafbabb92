"""Datasets: split and shuffled alike everywhere, validated, written whole; and what providers take on which day."""

from __future__ import annotations

import itertools
import re
import tracemalloc
from collections.abc import Iterator
from datetime import date
from pathlib import Path

import pytest
from racto.knowledge.errors import ConfigError, ConflictError, InputError, UnknownNameError
from racto.knowledge.files import RactoFile
from racto.knowledge.vocabulary import ToolCallResult
from racto.tools.finetune import capabilities
from racto.tools.finetune.dataset import RactoDataset, read_jsonl, write_jsonl
from racto.tools.finetune.messages import RactoTrainingExample, RactoTrainingMessage

TODAY = date(2026, 11, 21)


def numbered(count: int) -> RactoDataset:
    """So many questions."""
    return RactoDataset.from_pairs((f"What is {n}?", f"It is {n}.") for n in range(count))


def asked(dataset: RactoDataset) -> list[str]:
    """The questions of a dataset."""
    return [each.messages[0].content for each in dataset]


def test_a_split_is_the_same_on_every_machine_and_loses_nothing() -> None:
    train, held_out = numbered(10).split(0.8, seed=42)
    assert asked(held_out) == ["What is 0?", "What is 1?"]  # this very order, of Mersenne Twister
    assert sorted(asked(train) + asked(held_out)) == sorted(asked(numbered(10)))
    assert asked(numbered(10).split()[1]) == asked(held_out)
    assert asked(numbered(10).shuffle(1)) == asked(numbered(10).shuffle(1)) != asked(numbered(10))


@pytest.mark.parametrize("count", [2, 3, 4])
def test_neither_part_of_a_small_split_is_empty(count: int) -> None:
    for ratio in (0.01, 0.5, 0.99):
        assert all(numbered(count).split(ratio))


@pytest.mark.parametrize("ratio", [0, 1, 1.5, -1])
def test_a_ratio_that_is_no_part_is_refused(ratio: float) -> None:
    with pytest.raises(InputError, match="no split"):
        numbered(5).split(ratio)


def test_a_summary_counts() -> None:
    dataset = RactoDataset()
    dataset.add(RactoTrainingExample.from_pair("What?", "A chart.", user_attachments=[RactoFile(b"x", "image/png")]))
    dataset.extend([RactoTrainingExample.from_preference("q", "good", "bad", system="s")])
    assert dataset.summary() == {
        "examples": 2,
        "total_messages": 5,
        "avg_turns_per_example": 2.5,
        "multimodal_examples": 1,
        "tool_examples": 0,
        "preference_pairs": 1,
    }


def test_a_file_that_is_there_is_replaced_only_when_that_is_said(tmp_path: Path) -> None:
    path = tmp_path / "train.jsonl"
    numbered(2).export_jsonl(path)
    with pytest.raises(ConflictError, match="overwrite"):
        numbered(3).export_jsonl(path)
    assert len(RactoDataset.from_jsonl(path)) == 2
    numbered(3).export_jsonl(path, overwrite=True)
    assert path.read_text(encoding="utf-8") == numbered(3).to_jsonl_string()


def test_an_export_that_fails_leaves_the_old_file_and_no_half_one(tmp_path: Path) -> None:
    path = tmp_path / "train.jsonl"
    numbered(2).export_jsonl(path)
    before = path.read_bytes()
    mixed = [*numbered(500), RactoTrainingExample.from_preference("q", "good", "bad")]
    with pytest.raises(InputError):
        RactoDataset(mixed).export_jsonl(path, "bedrock", overwrite=True)
    assert [path] == list(tmp_path.iterdir())
    assert path.read_bytes() == before


def test_a_file_larger_than_the_memory_it_takes_goes_through(tmp_path: Path) -> None:
    def many() -> Iterator[RactoTrainingExample]:
        for n in range(2_000):
            yield RactoTrainingExample.from_pair(f"{n} " + "x" * 10_000, "yes")

    big, copy = tmp_path / "big.jsonl", tmp_path / "copy.jsonl"
    assert write_jsonl(many(), big) == 2_000
    tracemalloc.start()
    try:
        assert write_jsonl(read_jsonl(big), copy, "gemini") == 2_000
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert big.stat().st_size > 20_000_000
    assert peak < 2_000_000


def only(*messages: RactoTrainingMessage, provider: str = "jsonl", **more: object) -> list[str]:
    """What is wrong with one example."""
    return RactoDataset([RactoTrainingExample(list(messages), **more)]).validate(provider)  # type: ignore[arg-type]  # tools, rejected


USER, ANSWER = RactoTrainingMessage("user", "Hello?"), RactoTrainingMessage("assistant", "Hello!")
CALL = RactoTrainingMessage("assistant", "", [], [ToolCallResult("1", "weather")])
RESULT = RactoTrainingMessage("tool", "Rain.", tool_call_id="1")
IMAGE = RactoTrainingMessage("user", "What?", [RactoFile(b"x" * 11_000_000, "image/png")])


@pytest.mark.parametrize(
    ("found", "said"),
    [
        (only(USER), "last message is not the assistant's"),
        (only(ANSWER), "nobody asks"),
        (only(), "nobody asks"),
        (only(USER, RactoTrainingMessage("assistant", " ")), r"message 2 \(assistant\) is empty"),
        (only(USER, RactoTrainingMessage("system", "Late."), ANSWER), "system message is not the first"),
        (only(USER, RESULT, ANSWER), "nobody called"),
        (only(USER, CALL, ANSWER, tools=[{"name": "weather"}]), "before the results"),
        (only(USER, CALL, RESULT, ANSWER), "'weather' is called and not offered"),
        (only(USER, ANSWER, rejected=ANSWER), "rejected answer is the preferred one"),
        (only(USER, USER, ANSWER, provider="together"), "do not speak in turn"),
        (only(IMAGE, ANSWER, provider="bedrock"), "must lie in S3"),
        (only(IMAGE, ANSWER, provider="openai"), "larger than 10 MB"),
        (only(USER, ANSWER, provider="openai", rejected=CALL), "preference pair"),
        (only(USER, ANSWER, provider="openai_dpo"), "no preference pair"),
        (only(USER, CALL, RESULT, ANSWER, provider="bedrock"), "no calls of tools"),
        (numbered(9).validate("openai"), "no fewer than 10"),
        (numbered(2).validate("fireworks"), "no fewer than 3"),
        (numbered(20_001).validate("bedrock"), "no more than 20000"),
        (
            RactoDataset([*numbered(3), RactoTrainingExample.from_preference("q", "a", "b")]).validate("together"),
            "1 of 4",
        ),
    ],
)
def test_what_a_provider_would_refuse_is_told(found: list[str], said: str) -> None:
    assert [problem for problem in found if re.search(said, problem)], found


def test_a_problem_is_told_with_its_line() -> None:
    dataset = numbered(20)
    dataset.add(RactoTrainingExample.from_pair("What?", ""))
    assert [problem.partition(":")[0] for problem in dataset.validate()] == ["line 21"]


@pytest.mark.parametrize(
    "provider", ["openai", "gemini", "gemini_text", "anthropic", "bedrock", "together", "fireworks", "jsonl"]
)
def test_a_plain_dataset_is_valid_everywhere(provider: str) -> None:
    assert numbered(40).validate(provider) == []


def test_a_conversation_with_calls_is_valid() -> None:
    tools = [{"name": "weather", "parameters": {"type": "object"}}]
    assert only(USER, CALL, RESULT, ANSWER, tools=tools, provider="together") == []


CLOSED = {
    TODAY: {"anthropic": {"sft", "dpo", "vision", "tools"}, "bedrock": {"dpo", "vision", "tools"}},
    date(2027, 1, 5): {"anthropic": {"sft", "dpo", "vision", "tools"}, "bedrock": {"dpo", "vision", "tools"}},
    date(2027, 1, 6): {
        "anthropic": {"sft", "dpo", "vision", "tools"},
        "bedrock": {"dpo", "vision", "tools"},
        "openai": {"sft", "dpo", "vision", "tools"},
    },
}


@pytest.mark.parametrize("day", sorted(CLOSED))
def test_what_is_closed_is_refused_with_what_to_use_instead(day: date) -> None:
    closed: dict[str, set[str]] = {}
    providers = sorted({each.provider for each in capabilities.TABLE})
    assert len(providers) == 6
    for provider, method in itertools.product(providers, ("sft", "dpo", "vision", "tools")):
        try:
            capabilities.check(provider, method, "", day)
        except ConfigError as error:
            closed.setdefault(provider, set()).add(method if error.hint.startswith("Use ") else error.hint)
    assert closed == CLOSED[day]


def test_a_door_that_closes_soon_is_warned_of(caplog: pytest.LogCaptureFixture) -> None:
    assert "2027-01-06" in capabilities.check("openai", "sft", "gpt-4.1-2025-04-14", TODAY).warning
    assert "2027-01-06" in caplog.text
    assert capabilities.check("together", "sft", "any/model", TODAY).warning == ""


@pytest.mark.parametrize(
    ("provider", "method", "model"),
    [
        ("openai", "sft", "gpt-5"),
        ("openai", "vision", "gpt-4o-mini-2024-07-18"),
        ("openai", "dpo", "gpt-3.5-turbo-0125"),
        ("gemini", "sft", "models/gemini-1.5-flash-001-tuning"),
        ("bedrock", "sft", "anthropic.claude-opus"),
    ],
)
def test_a_model_that_cannot_be_trained_is_refused_with_those_that_can(provider: str, method: str, model: str) -> None:
    with pytest.raises(ConfigError, match="Use one of"):
        capabilities.check(provider, method, model, TODAY)


def test_an_unknown_provider_or_method_is_told() -> None:
    with pytest.raises(UnknownNameError, match="openai"):
        capabilities.check("openia", "sft", "", TODAY)
    with pytest.raises(UnknownNameError):
        capabilities.check("openai", "magic", "", TODAY)
