"""Answers that must have a shape: the schema that is sent, the check of what came back, and the words that ask for a repair."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any
from weakref import WeakKeyDictionary

from pydantic import BaseModel, ValidationError

from ..knowledge.errors import ResponseModelValidationError
from ..knowledge.prompts import RactoPrompt, output_schema
from ..knowledge.vocabulary import ChatConfig, FinishReason, LLMResponse, Message, MessageRole

_SHOWN_PROBLEMS = 12

# Weak: a class made for one request goes with its request. The number tells a rebuilt class (`model_rebuild`) from the old one.
_schemas: WeakKeyDictionary[type[BaseModel], tuple[int, dict[str, Any]]] = WeakKeyDictionary()


def model_of(config: ChatConfig, prompt: RactoPrompt | None) -> type[BaseModel] | None:
    """The model the answer must be: the one asked for, or else the one the prompt's output is described by."""
    if config.response_model is not None:
        return config.response_model
    wanted = prompt.output_format if prompt else None
    return wanted if isinstance(wanted, type) else None


def schema_of(model: type[BaseModel]) -> Mapping[str, Any]:
    """The JSON Schema of `model` as it is sent, made once per class."""
    known = _schemas.get(model)
    if known is None or known[0] != id(model.__pydantic_core_schema__):
        schema = output_schema(model) or {}  # completes a class that waits for a forward reference
        known = _schemas[model] = (id(model.__pydantic_core_schema__), schema)
    return known[1]


def check(response: LLMResponse, model: type[BaseModel]) -> None:
    """Put the validated value into `response.parsed`. Nothing that is missing is made up: only the model's own defaults are filled in.

    :raises ValueError: it is not a `model`; a `pydantic.ValidationError` when it is JSON of another shape.
    """
    if response.finish_reason is FinishReason.CONTENT_FILTER:
        raise ValueError("the model refused to answer")
    text = (response.content or "").strip()
    if text.startswith(("{", "[")):
        # Read from its beginning: of broken JSON, a whole object inside it is not the answer.
        value = model.model_validate(json.JSONDecoder().raw_decode(text)[0])
    elif response.finish_reason is FinishReason.LENGTH:
        raise ValueError("the answer was cut off at max_tokens")
    elif response.parsed is not None:
        value = model.model_validate(response.parsed)
    else:
        value = model.model_validate_json(text or "null")
    # What this model would read again: its own names on the wire, and no computed fields.
    response.parsed = value.model_dump(mode="json", by_alias=True, round_trip=True)


def can_be_repaired(response: LLMResponse) -> bool:
    """Whether asking again can help: a refusal stays one."""
    return response.finish_reason is not FinishReason.CONTENT_FILTER


def repair(answer: LLMResponse, error: ValueError, schema: Mapping[str, Any]) -> list[Message]:
    """The two turns that ask for another try: the answer as it was, and what is wrong with it."""
    asked = (
        f"That answer cannot be used: {problems(error)}. Answer again with the whole corrected JSON and nothing else. "
        f"It must follow this JSON Schema:\n{json.dumps(schema, ensure_ascii=False)}"
    )
    return [
        Message(role=MessageRole.ASSISTANT, content=answer.content or "(no text)", native=answer.native),
        Message(role=MessageRole.USER, content=asked),
    ]


def problems(error: ValueError) -> str:
    """What is wrong with an answer, in one line, without its values."""
    if not isinstance(error, ValidationError):
        return str(error)
    details = error.errors(include_url=False, include_input=False, include_context=False)
    lines = [f"{'.'.join(map(str, each['loc'])) or 'the answer'}: {each['msg']}" for each in details[:_SHOWN_PROBLEMS]]
    more = len(details) - len(lines)
    return "; ".join(lines) + (f"; and {more} more" if more else "")


def failed(
    response: LLMResponse, model: type[BaseModel], error: ValueError, attempts: int
) -> ResponseModelValidationError:
    """The error of an answer that was never right."""
    cut_off = response.finish_reason is FinishReason.LENGTH
    return ResponseModelValidationError(
        f"The answer was not a valid {model.__name__} after {attempts} {'attempt' if attempts == 1 else 'attempts'}: "
        f"{problems(error)}.",
        "Raise max_tokens." if cut_off else "Allow more repairs, simplify the model, or ask a stronger one.",
        attempts=attempts,
        last_error=error,
        raw_response=response.content,
        provider=response.provider,
        model=response.model,
        request_id=response.request_id,
    )
