"""Answers with a shape: sent, checked, repaired, and never invented."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Iterable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel, Field, RootModel, ValidationError, computed_field
from racto.agents.gateway import ModelGateway
from racto.agents.providers.simulated import Reply, SimulatedProvider
from racto.agents.routing import Endpoint
from racto.agents.structured import problems, schema_of
from racto.knowledge.errors import ResponseModelValidationError
from racto.knowledge.files import RactoFile
from racto.knowledge.prompts import RactoPrompt
from racto.knowledge.vocabulary import (
    ChatConfig,
    ChatRequest,
    FinishReason,
    LLMResponse,
    Message,
    MessageRole,
    ToolCallResult,
)


class Mood(BaseModel):
    """A feeling and how sure one is of it."""

    mood: str
    confidence: float = Field(ge=0.0, le=1.0)
    note: str | None = None


GOOD = '{"mood": "glad", "confidence": 0.9}'


class Model(SimulatedProvider):
    """Answers by a script and keeps what it was asked."""

    def __init__(self, script: Iterable[Any]) -> None:
        self.requests: list[ChatRequest] = []
        super().__init__([self._kept(step) for step in script])

    def _kept(self, step: Any) -> Callable[[ChatRequest], Any]:
        def keep(request: ChatRequest) -> Any:
            self.requests.append(request)
            return step

        return keep


def ask(model: Model, **config: Any) -> LLMResponse:
    gateway = ModelGateway(chain=[Endpoint(model, "m")])
    return asyncio.run(gateway.chat(ChatConfig(**{"user_message": "How is it?", "response_model": Mood, **config})))


def test_the_schema_is_sent_and_the_validated_value_comes_back() -> None:
    model = Model([GOOD])
    response = ask(model)
    assert response.parsed == {"mood": "glad", "confidence": 0.9, "note": None}
    assert Mood(**response.parsed).mood == "glad"
    assert response.content == GOOD
    [request] = model.requests
    assert request.response_schema is not None
    assert set(request.response_schema["properties"]) == {"mood", "confidence", "note"}
    assert request.response_name == "Mood"


@pytest.mark.parametrize(
    "text",
    [f"```json\n{GOOD}\n```", f"Here it is:\n{GOOD}\nAnything else?", f"{GOOD} I hope this helps.", f"\n {GOOD}"],
)
def test_json_in_a_fence_or_in_prose_is_found_at_the_first_attempt(text: str) -> None:
    model = Model([text])
    parsed = ask(model).parsed
    assert isinstance(parsed, dict)
    assert parsed["mood"] == "glad"
    assert len(model.requests) == 1


@pytest.mark.parametrize(
    "wrong",
    [
        "I feel glad.",
        "",
        '{"mood": "glad"}',
        '{"mood": "glad", "confidence": 1.5}',
        '{"confidence": 0.9, "mood": "gl',
        '[{"mood": "glad", "confidence": 0.9}]',
        '{"data": {"mood": "glad", "confidence": 0.9}, "broken": tru}',
    ],
)
def test_an_answer_of_another_shape_is_repaired_not_guessed(wrong: str) -> None:
    model = Model([wrong, GOOD])
    response = ask(model)
    assert response.parsed == {"mood": "glad", "confidence": 0.9, "note": None}
    assert any("2 attempts" in reason for reason in response.why)
    assert len(model.requests) == 2


def test_a_repair_keeps_the_whole_conversation_and_the_attachments() -> None:
    model = Model(['{"mood": "glad"}', GOOD])
    picture = RactoFile.from_bytes(b"\x89PNG", "image/png", "face.png")
    ask(model, history=[Message(role=MessageRole.USER, content="Hello")], attachments=[picture])
    first, second = (request.messages for request in model.requests)
    assert second[: len(first)] == first
    assert second[1].attachments == [picture]
    assert second[2].role is MessageRole.ASSISTANT
    assert second[2].content == '{"mood": "glad"}'
    assert second[3].role is MessageRole.USER
    assert "confidence: Field required" in second[3].content
    assert model.requests[1].response_schema == model.requests[0].response_schema


@pytest.mark.parametrize("repairs", [0, 1, 4])
def test_repairs_end_and_the_error_says_what_was_wrong(repairs: int) -> None:
    model = Model(["no", *['{"mood": 1}'] * repairs])
    with pytest.raises(ResponseModelValidationError) as caught:
        ask(model, max_validation_retries=repairs)
    error = caught.value
    assert error.attempts == repairs + 1 == len(model.requests)
    assert error.raw_response == ('{"mood": 1}' if repairs else "no")
    assert isinstance(error.last_error, ValidationError)
    assert error.provider == "simulated"


def test_the_usage_of_a_repaired_answer_is_that_of_all_its_attempts() -> None:
    used = [
        {"prompt_tokens": 10, "completion_tokens": 2, "total_tokens": 12},
        {"prompt_tokens": 30, "completion_tokens": 5, "total_tokens": 35},
    ]
    model = Model([Reply("no", usage=used[0]), Reply(GOOD, usage=used[1])])
    assert ask(model).usage == {"prompt_tokens": 40, "completion_tokens": 7, "total_tokens": 47}


def test_a_refusal_is_not_asked_to_be_repaired() -> None:
    model = Model([Reply("I cannot.", finish=FinishReason.CONTENT_FILTER)])
    with pytest.raises(ResponseModelValidationError, match="refused"):
        ask(model)
    assert len(model.requests) == 1


def test_an_answer_that_was_cut_off_says_to_raise_max_tokens() -> None:
    model = Model([Reply("The mood is", finish=FinishReason.LENGTH)])
    with pytest.raises(ResponseModelValidationError, match="max_tokens"):
        ask(model, max_validation_retries=0)


def test_a_tool_call_is_not_an_answer_yet_and_is_not_validated() -> None:
    model = Model([Reply(calls=(ToolCallResult("1", "look", {}),))])
    assert ask(model).tool_calls[0].name == "look"


def test_an_object_inside_broken_json_is_not_taken_for_the_answer() -> None:
    class Loose(BaseModel):
        a: int = 1

    model = Model(['{"a": {"a": 5}, "b": nul}'])
    with pytest.raises(ResponseModelValidationError):
        ask(model, response_model=Loose, max_validation_retries=0)


def test_the_shape_of_a_prompt_is_the_shape_of_the_answer() -> None:
    prompt = RactoPrompt(role="r", aim="a", constraints=["c"], tone="t", output_format=Mood)
    model = Model(["not at all", GOOD])
    parsed = ask(model, prompt=prompt, response_model=None).parsed
    assert isinstance(parsed, dict)
    assert parsed["mood"] == "glad"


def test_a_provider_that_cannot_enforce_a_schema_is_told_it_in_words_once() -> None:
    prompt = RactoPrompt(role="r", aim="a", constraints=["c"], tone="t", output_format=Mood)
    for given_prompt in (prompt, prompt.model_copy(update={"output_format": "text"}), None):
        model = Model([GOOD])
        model.capabilities = model.capabilities - {"schema"}
        ask(model, prompt=given_prompt)
        [request] = model.requests
        assert request.response_schema is None
        assert request.system.count("JSON Schema:") == 1
        assert '"confidence"' in request.system


def test_lists_scalars_aliases_and_computed_fields_come_back_readable() -> None:
    class Numbers(RootModel[list[int]]):
        pass

    class Count(RootModel[int]):
        pass

    class Sides(BaseModel):
        a: int = Field(alias="sideA")
        model_config = {"extra": "forbid"}

        @computed_field  # type: ignore[prop-decorator]  # as pydantic documents it
        @property
        def area(self) -> int:
            return self.a**2

    assert ask(Model(["[1, 2]"]), response_model=Numbers).parsed == [1, 2]
    number: Any = ask(Model(["7"]), response_model=Count).parsed
    assert number == 7
    parsed = ask(Model(['{"sideA": 3}']), response_model=Sides).parsed
    assert parsed == {"sideA": 3}
    assert Sides.model_validate(parsed).a == 3


def test_a_stream_is_checked_at_its_end_and_repaired_there() -> None:
    async def main() -> None:
        model = Model(['{"mood": "glad"}', GOOD])
        gateway = ModelGateway(chain=[Endpoint(model, "m")])
        chunks = [c async for c in gateway.stream(ChatConfig(user_message="How?", response_model=Mood))]
        final = chunks[-1]
        assert [c.is_final for c in chunks].count(True) == 1
        assert final.response is not None
        assert final.response.parsed == {"mood": "glad", "confidence": 0.9, "note": None}
        assert any("repaired" in warning for warning in final.response.warnings)
        assert len(model.requests) == 2

    asyncio.run(main())


def test_the_schema_of_a_class_is_made_once_and_goes_with_it() -> None:
    assert schema_of(Mood) is schema_of(Mood)
    assert "title" not in schema_of(Mood)


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
        lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    )
)
def test_whatever_json_comes_the_value_is_valid_or_the_error_is_ours(value: Any) -> None:
    outcome: Any
    try:
        outcome = ask(Model([json.dumps(value)]), max_validation_retries=0).parsed
    except ResponseModelValidationError as error:
        outcome = error
    if isinstance(outcome, ResponseModelValidationError):
        assert isinstance(outcome.last_error, ValueError)
        assert problems(outcome.last_error)
    else:
        Mood.model_validate(outcome)
