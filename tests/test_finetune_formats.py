"""Examples in the forms of every provider: what is written is read again as the same example."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from racto.knowledge.errors import InputError, UnknownNameError
from racto.knowledge.files import RactoFile
from racto.knowledge.vocabulary import ToolCallResult
from racto.tools.finetune.dataset import RactoDataset
from racto.tools.finetune.formats import FORMATS, form
from racto.tools.finetune.messages import RactoTrainingExample, RactoTrainingMessage
from racto.tools.finetune.rules import RULES

words = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=20)
images = st.builds(RactoFile, st.binary(max_size=20), st.sampled_from(["image/png", "image/jpeg"]))
files = st.lists(images | st.builds(RactoFile, words.map(str.encode), st.just("text/plain")), max_size=2)
arguments = st.dictionaries(words, words | st.integers() | st.booleans() | st.none(), max_size=3)
TOOL = {"name": "weather", "description": "Of a place.", "parameters": {"type": "object", "properties": {}}}


@st.composite
def examples(draw: st.DrawFn, preferences: bool = False) -> RactoTrainingExample:
    """A conversation of up to three rounds, some of which call tools."""
    messages = [RactoTrainingMessage("system", draw(words))] if draw(st.booleans()) else []
    for turn in range(draw(st.integers(1, 3))):
        messages.append(RactoTrainingMessage("user", draw(words), draw(files)))
        if called := draw(st.integers(0, 2)):
            calls = [ToolCallResult(f"id-{turn}-{at}", "weather", draw(arguments)) for at in range(called)]
            messages.append(RactoTrainingMessage("assistant", draw(st.just("") | words), [], calls))
            messages += [RactoTrainingMessage("tool", draw(words), tool_call_id=call.id) for call in calls]
        messages.append(RactoTrainingMessage("assistant", draw(words)))
    tools = [TOOL] if any(each.tool_calls for each in messages) else []
    rejected = RactoTrainingMessage("assistant", draw(words)) if preferences and draw(st.booleans()) else None
    return RactoTrainingExample(messages, tools, rejected)


def said(example: RactoTrainingExample, *, ids: bool) -> object:
    """All of an example that matters to a model."""
    turns = [*example.messages, *([example.rejected] if example.rejected else [])]
    return example.tools, [
        (
            turn.role,
            turn.content,
            [(file.media_type, file.data) for file in turn.attachments],
            [(call.id if ids else "", call.name, call.arguments) for call in turn.tool_calls],
            turn.tool_call_id if ids else turn.tool_call_id is None,
        )
        for turn in turns
    ]


CONVERSATIONS = sorted(set(FORMATS) - {"gemini_text"})
PAIRS = ("fireworks", "gemini", "jsonl", "openai_dpo", "together")


@pytest.mark.parametrize("provider", CONVERSATIONS)
def test_what_is_written_is_read_as_the_same_example_and_written_the_same_again(provider: str) -> None:
    shape = form(provider)

    @given(examples(preferences=provider in PAIRS))
    def holds(example: RactoTrainingExample) -> None:
        record = json.loads(json.dumps(shape.write(example)))
        again = shape.read(record)
        assert said(again, ids=provider != "gemini") == said(example, ids=provider != "gemini")
        assert shape.write(again) == shape.write(example)

    holds()


@given(words, words)
def test_the_older_form_of_gemini_holds_a_question_and_its_answer(asked: str, answered: str) -> None:
    record = form("gemini_text").write(RactoTrainingExample.from_pair(asked, answered))
    assert record == {"text_input": asked, "output": answered}
    assert form("gemini_text").write(form("gemini_text").read(record)) == record


@pytest.mark.parametrize("provider", ["anthropic", "bedrock", "gemini_text"])
def test_a_preference_is_refused_where_it_would_be_lost(provider: str) -> None:
    with pytest.raises(InputError) as refused:
        form(provider).write(RactoTrainingExample.from_preference("q", "good", "bad"))
    assert refused.value.hint


def test_the_older_form_refuses_a_system_message_it_would_lose() -> None:
    with pytest.raises(InputError, match="one question and one answer"):
        form("gemini_text").write(RactoTrainingExample.from_pair("q", "a", system="s"))


def test_the_records_are_those_of_the_documentation() -> None:
    example = RactoTrainingExample.from_pair("What is a list?", "A sequence.", system="You teach.")
    assert example.to_openai_dict() == {
        "messages": [
            {"role": "system", "content": "You teach."},
            {"role": "user", "content": "What is a list?"},
            {"role": "assistant", "content": "A sequence."},
        ]
    }
    turns = example.to_openai_dict()["messages"][1:]
    assert example.to_anthropic_dict() == {"system": "You teach.", "messages": turns}
    assert "system" not in RactoTrainingExample.from_pair("q", "a").to_anthropic_dict()
    assert example.to_gemini_dict()["contents"][1] == {"role": "model", "parts": [{"text": "A sequence."}]}
    image = RactoTrainingMessage("user", "What is this?", [RactoFile(b"\x89PNG", "image/png")])
    assert [part["type"] for part in image.to_openai()["content"]] == ["image_url", "text"]
    assert [part["type"] for part in image.to_anthropic()["content"]] == ["image", "text"]
    assert [*map(list, image.to_gemini_parts())] == [["inlineData"], ["text"]]


@pytest.mark.parametrize("provider", sorted(FORMATS))
@given(st.recursive(st.none() | st.integers() | words, lambda inner: st.lists(inner) | st.dictionaries(words, inner)))
def test_a_line_that_is_no_record_is_refused_with_its_number(
    tmp_path_factory: pytest.TempPathFactory, provider: str, junk: object
) -> None:
    path = tmp_path_factory.getbasetemp() / f"junk-{provider}.jsonl"
    path.write_text(json.dumps({"messages": junk, "contents": junk, "text_input": junk}) + "\n", encoding="utf-8")
    with pytest.raises(InputError, match="Line 1 of"):
        RactoDataset.from_jsonl(path, provider)


def test_what_a_format_cannot_keep_is_not_left_out_silently(tmp_path: Path) -> None:
    path = tmp_path / "weights.jsonl"
    path.write_text('\n{"messages": [{"role": "user", "content": "q", "weight": 0}]}\n')
    with pytest.raises(InputError, match=r"Line 2 of weights\.jsonl.*weight"):
        RactoDataset.from_jsonl(path)


def test_an_unknown_format_is_told_with_the_nearest() -> None:
    with pytest.raises(UnknownNameError, match="openai"):
        RactoDataset().to_jsonl_string("openia")


def test_every_format_has_its_rules() -> None:
    assert set(RULES) == set(FORMATS)


@pytest.mark.parametrize(
    ("role", "content", "more"),
    [
        ("robot", "hello", {}),
        ("assistant", "hello", {"attachments": [RactoFile(b"", "image/png")]}),
        ("user", "hello", {"tool_calls": [ToolCallResult("1", "weather")]}),
        ("tool", "hello", {}),
        ("user", "hello", {"tool_call_id": "1"}),
        ("user", None, {}),
    ],
)
def test_a_turn_that_cannot_be_is_refused(role: str, content: str, more: dict[str, list[object]]) -> None:
    with pytest.raises(InputError):
        RactoTrainingMessage(role, content, **more)  # type: ignore[arg-type]  # the wrong types are the point
