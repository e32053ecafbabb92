"""What adapters make of an answer: JSON wherever it is, fences, token counts, tool calls out of pieces."""

from __future__ import annotations

import json
import time
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from racto.agents.providers.answers import Accumulator, answer, arguments, json_in, unfenced, usage
from racto.knowledge.errors import ConnectionLostError, MalformedResponseError
from racto.knowledge.vocabulary import FinishReason, StreamChunk


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ('{"a": 1}', {"a": 1}),
        (" [1, 2]\n", [1, 2]),
        ("{}", {}),
        ('```json\n{"a": "```"}\n```', {"a": "```"}),
        ('Sure!\n\n```\n[1]\n```\nDone {"b": 22222222222222}', [1]),
        ('I think {"a": {"b": [1]}} is it', {"a": {"b": [1]}}),
        ("The answer:\n[1, 2]", [1, 2]),
        ("See [1] and {x}.", None),
        ("Use `{}` or `[]`.", None),
        ('{"a": NaN}', None),
        ('{"a": 1', None),
        ("plain", None),
        ('"a string"', None),
        ("42", None),
        ("", None),
    ],
)
def test_json_is_found_whole_in_a_fence_or_in_prose(text: str, value: Any) -> None:
    assert json_in(text) == value


JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(10**18), 10**18)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda x: st.lists(x, max_size=4) | st.dictionaries(st.text(), x, max_size=4),
)
PROSE = st.text(st.characters(codec="utf-8", exclude_characters='{}[]`"'))


@given(st.dictionaries(st.text(), JSON, min_size=1) | st.lists(JSON), PROSE, PROSE, st.booleans())
def test_whatever_json_a_model_wraps_is_found_again(value: Any, before: str, after: str, ascii_only: bool) -> None:
    text = json.dumps(value, ensure_ascii=ascii_only)
    assert json_in(text) == value
    assert json_in(f"{before}\n```json\n{text}\n```\n{after}") == value
    if isinstance(value, dict):
        assert json_in(f"{before}{text}{after}") == value


@given(st.text())
def test_any_text_can_be_looked_through(text: str) -> None:
    value = json_in(text)
    assert value is None or isinstance(value, dict | list)
    assert isinstance(unfenced(text), str)


@pytest.mark.parametrize("wall", ["[" * 300_000, '{"a":' * 60_000, "{" * 300_000, '["' * 100_000, "[1 " * 100_000])
def test_a_wall_of_brackets_takes_no_age(wall: str) -> None:
    began = time.process_time()
    assert json_in(wall) is None
    assert time.process_time() - began < 1


@pytest.mark.parametrize(
    ("text", "inside"),
    [
        ("```python\nprint(1)\n```", "print(1)"),
        ("\n```\na\n\nb\n```\n", "a\n\nb"),
        ("~~~\na\n~~~", "a"),
        ("````md\n```py\nx\n```\n````", "```py\nx\n```"),
        ("```\n```", ""),
        ("before\n```\na\n```", None),
        ("```\na\n```\nafter", None),
        ("```\na\n```\nand\n```\nb\n```", None),
        ("```", None),
        ("plain", None),
    ],
)
def test_only_a_fence_around_the_whole_is_taken_off(text: str, inside: str | None) -> None:
    assert unfenced(text) == (text if inside is None else inside)


@pytest.mark.parametrize(
    "text", ["```\n" + "\n" * 300_000 + "x", "```\n" * 60_000, "```" + " " * 300_000, "```a\n" + "``` " * 60_000]
)
def test_a_wall_of_fences_takes_no_age(text: str) -> None:
    began = time.process_time()
    unfenced(text)
    assert time.process_time() - began < 1


def test_token_counts_that_are_not_said_are_not_there() -> None:
    assert usage(3, 4) == {"prompt_tokens": 3, "completion_tokens": 4, "total_tokens": 7}
    assert usage(3, None, cached_tokens=2, reasoning_tokens=None)["completion_tokens"] == 0
    assert "reasoning_tokens" not in usage(3, 4, reasoning_tokens=None)
    assert usage(None, None) == {}
    assert usage("three", -1) == {}


def test_arguments_are_an_object_or_malformed() -> None:
    assert arguments("") == arguments(" ") == arguments("null") == arguments("{}") == {}
    assert arguments('"{\\"a\\": 1}"') == {"a": 1}
    for text in ("[1]", "3", '{"a": ', '"text"', "[" * 100_000):
        with pytest.raises(MalformedResponseError):
            arguments(text)


def test_a_call_without_an_id_gets_one() -> None:
    response = answer(
        provider="p",
        model="m",
        text="",
        finish=FinishReason.STOP,
        calls=[(None, "a", {}), ("x", "b", "{}"), ("", "c", "")],
    )
    assert [call.id for call in response.tool_calls] == ["call_1", "x", "call_3"]
    assert response.finish_reason is FinishReason.TOOL_CALL


def _told(whole: Accumulator, *pieces: dict[str, Any]) -> list[StreamChunk]:
    return [chunk for piece in pieces for chunk in whole.call(**piece)]


def test_calls_that_share_an_index_are_told_apart_by_name_and_id() -> None:
    whole = Accumulator("p", "m")
    chunks = _told(
        whole,
        {"key": 0, "call_id": "a", "name": "first", "fragment": '{"x":'},
        {"key": 0, "fragment": " 1}"},
        {"key": 0, "call_id": "b", "name": "second", "fragment": '{"y":'},
        {"key": 0, "fragment": " 2}"},
    )
    whole.finish = FinishReason.TOOL_CALL
    assert [(call.id, call.name, call.arguments) for call in whole.final().tool_calls] == [
        ("a", "first", {"x": 1}),
        ("b", "second", {"y": 2}),
    ]
    assert [chunk.delta.tool_call_id for chunk in chunks] == ["a", "a", "b", "b"]


def test_a_call_whose_id_changes_without_a_new_name_is_one_call() -> None:
    whole = Accumulator("p", "m")
    _told(
        whole, {"key": 0, "call_id": "a", "name": "first", "fragment": "{"}, {"key": 0, "call_id": "b", "fragment": "}"}
    )
    whole.finish = FinishReason.STOP
    assert [(call.id, call.arguments) for call in whole.final().tool_calls] == [("a", {})]


@given(st.lists(st.tuples(st.text(), st.text())))
def test_the_pieces_of_a_stream_add_up(pieces: list[tuple[str, str]]) -> None:
    whole = Accumulator("p", "m")
    chunks = [chunk for text, thinking in pieces for chunk in whole.add(text, thinking)]
    whole.finish = FinishReason.STOP
    last = whole.final()
    assert "".join(chunk.delta.text for chunk in chunks) == last.accumulated_text == "".join(text for text, _ in pieces)
    assert last.accumulated_thinking == "".join(thinking for _, thinking in pieces)
    assert not any(chunk.is_final for chunk in chunks)
    assert all(chunk.delta.text or chunk.delta.thinking for chunk in chunks)


def test_a_stream_without_an_end_is_not_an_answer() -> None:
    whole = Accumulator("p", "m")
    list(whole.add("some words"))
    with pytest.raises(ConnectionLostError):
        whole.final()
