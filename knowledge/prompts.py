"""RACTO prompts: Role, Aim, Constraints, Tone and Output, compiled into one system prompt that always has the same shape."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final
from weakref import WeakKeyDictionary

from pydantic import BaseModel, Field, ValidationError, field_validator, model_validator

from .errors import InputError
from .files import RactoFile, anthropic_block, google_block, ollama_message, openai_block
from .headings import list_item, neutralise, neutralise_example

OutputFormat = str | type[BaseModel] | dict[str, Any]
"""A keyword (`json`, `text`, `markdown`), a description in words, a pydantic model class, or a JSON Schema."""

PROVIDERS: Final = ("openai", "anthropic", "google", "ollama", "generic")

_FORMATS = {
    "json": (
        "Respond ONLY with valid JSON. Do NOT wrap the response in markdown code fences (```json … ```) "
        "or add any commentary before or after the JSON object."
    ),
    "markdown": "Respond in well-structured Markdown.",
    "text": "Respond in plain text with no special formatting.",
}
_SCHEMA_FORMAT = (
    "Respond ONLY with valid JSON that conforms exactly to the following JSON Schema. "
    "Do NOT wrap the JSON in markdown code fences or add any text before or after it.\n\nJSON Schema:\n"
)
_GUARDRAILS = """

[GUARDRAILS]
- If you are unsure or lack sufficient information, state it explicitly rather than guessing.
- Do NOT fabricate facts, citations, URLs, statistics, or code that you cannot verify.
- Stick strictly to what is asked. Do not add unrequested information.
- If the answer requires assumptions, list each assumption explicitly before proceeding."""

_LEGACY = {
    "role": "You are a helpful assistant.",
    "constraints": ["Do not fabricate information."],
    "tone": "Clear and concise.",
}

_BLOCKS: dict[str, Callable[[RactoFile], dict[str, Any]]] = {
    "openai": openai_block,
    "generic": openai_block,
    "anthropic": anthropic_block,
    "google": google_block,
}


class RactoPrompt(BaseModel):
    """One prompt: who the model is, what it is to do, within which rules, in which voice, and in which form.

    A model written for the older one-field form, `RactoPrompt(instructions=…, output_format=…)`, still works: the instructions
    become the aim, and what is missing gets a plain default.

    :raises pydantic.ValidationError: a field is missing, empty or of the wrong kind (it is a `ValueError`).
    """

    role: str = Field(min_length=1, description="Who the model is.")
    aim: str = Field(min_length=1, description="What it must accomplish.")
    constraints: list[str] = Field(min_length=1, description="Rules it must never break; at least one.")
    tone: str = Field(min_length=1, description="How it speaks.")
    output_format: OutputFormat = Field(
        description="json, text, markdown, a description of the form, a pydantic model class or a JSON Schema."
    )
    context: str | None = Field(default=None, description="Background it needs to know.")
    examples: list[dict[str, str]] | None = Field(
        default=None, description="Pairs of `input` and `output` to learn from."
    )
    anti_hallucination: bool = Field(default=True, description="Close with rules against making things up.")

    @model_validator(mode="before")
    @classmethod
    def _accept_instructions(cls, data: Any) -> Any:
        return with_legacy(data) if isinstance(data, Mapping) else data

    @field_validator("output_format")
    @classmethod
    def _schema_is_json(cls, value: OutputFormat) -> OutputFormat:
        if isinstance(value, dict):
            try:
                json.dumps(value, ensure_ascii=False, allow_nan=False).encode()
            except (TypeError, ValueError) as error:
                raise ValueError(f"the JSON Schema cannot be written as JSON: {error}") from None
        return value

    @field_validator("constraints")
    @classmethod
    def _no_blank_constraint(cls, value: list[str]) -> list[str]:
        for index, constraint in enumerate(value):
            if not constraint.strip():
                raise ValueError(f"constraints[{index}] is blank; every constraint needs words")
        return value

    @field_validator("examples")
    @classmethod
    def _examples_are_pairs(cls, value: list[dict[str, str]] | None) -> list[dict[str, str]] | None:
        for index, example in enumerate(value or ()):
            if "input" not in example or "output" not in example:
                raise ValueError(f"examples[{index}] needs the keys 'input' and 'output'; it has {sorted(example)}")
        return value

    def compile(self) -> str:
        """The system prompt: the sections in their fixed order, a blank line between them, a newline at the end.

        Nothing is remembered between calls but the schema of a model class, so a changed field is never compiled stale.
        """
        parts = [f"[ROLE]\n{neutralise(self.role)}\n\n[AIM]\n{neutralise(self.aim)}"]
        if self.context:
            parts.append(f"\n\n[CONTEXT]\n{neutralise(self.context)}")
        parts.append("\n\n[CONSTRAINTS]\n" + "\n".join(map(list_item, self.constraints)))
        parts.append(f"\n\n[TONE]\n{neutralise(self.tone)}\n\n[OUTPUT]\n{output_text(self.output_format)}")
        if self.examples:
            parts.append(
                "\n\n[EXAMPLES]\n" + "\n\n".join(map(_example, range(1, len(self.examples) + 1), self.examples))
            )
        if self.anti_hallucination:
            parts.append(_GUARDRAILS)
        parts.append("\n")
        return "".join(parts)

    def to_messages(
        self, user_message: str, *, attachments: Sequence[RactoFile] | None = None, provider: str = "generic"
    ) -> list[dict[str, Any]]:
        """The conversation to send: a system message with the compiled prompt, then the user's.

        Without attachments the user's content is the plain string (for Ollama always); otherwise a list of the provider's blocks
        with the text last. The system prompt stays a message for every provider; Anthropic and Gemini take it as a parameter
        of its own (`system`, `system_instruction`), which is for the caller to move.

        :param provider: `openai`, `anthropic`, `google`, `ollama` or `generic` (the shape of OpenAI).
        :raises InputError: the provider is none of these, or cannot take an attachment (it is a `ValueError`).
        """
        if provider == "ollama":
            user = ollama_message(user_message, attachments or ())
        elif block := _BLOCKS.get(provider):
            text = {"text": user_message} if provider == "google" else {"type": "text", "text": user_message}
            user = {"role": "user", "content": [*map(block, attachments), text] if attachments else user_message}
        else:
            raise InputError(f"There is no provider {provider!r}.", f"Use one of: {', '.join(PROVIDERS)}.")
        return [{"role": "system", "content": self.compile()}, user]

    def __str__(self) -> str:
        return self.compile()


def prompt_from(fields: Mapping[str, Any]) -> RactoPrompt:
    """The prompt with these fields.

    :raises InputError: a field is missing or wrong; one sentence names each.
    """
    try:
        return RactoPrompt.model_validate(fields)
    except ValidationError as error:
        problems: dict[str, str] = {}
        for detail in error.errors(include_url=False, include_input=False):
            field = str(detail["loc"][0]) if detail["loc"] else "prompt"
            problems.setdefault(field, f"{field}: {detail['msg'].removeprefix('Value error, ')}")
        raise InputError(
            f"This is not a whole RACTO prompt. {'; '.join(problems.values())}.",
            "A prompt needs role, aim, constraints (at least one), tone and output_format.",
        ) from None


def prompt_fields(prompt: RactoPrompt) -> dict[str, Any]:
    """The fields of `prompt` that are set, as JSON-able data; a model class as its JSON Schema."""
    fields = {name: value for name, value in prompt if value is not None}
    if isinstance(prompt.output_format, type):
        fields["output_format"] = output_schema(prompt.output_format)
    return fields


def with_legacy(fields: Mapping[str, Any]) -> dict[str, Any]:
    """The fields of a prompt, with the older `instructions` turned into an aim and plain defaults around it."""
    new = dict(fields)
    instructions = new.pop("instructions", None)
    return {**_LEGACY, "aim": instructions, **new} if isinstance(instructions, str) else new


def output_text(output_format: OutputFormat) -> str:
    """What the OUTPUT section says for this format."""
    if isinstance(output_format, str):
        known = _FORMATS.get(output_format.strip().lower())
        return known or "Respond using the following format:\n" + neutralise(output_format)
    return _SCHEMA_FORMAT + (
        _schema_json(output_format) if isinstance(output_format, dict) else _model_json(output_format)
    )


def output_schema(output_format: OutputFormat) -> dict[str, Any] | None:
    """The JSON Schema as the prompt shows it, or `None` for a format in words."""
    if isinstance(output_format, str):
        return None
    return strip_schema(output_format if isinstance(output_format, dict) else output_format.model_json_schema())


def strip_schema(schema: Mapping[str, Any]) -> dict[str, Any]:
    """`schema` without the keywords that tell a model nothing (`title`, `default`, `$schema`, `contentEncoding`,
    `contentMediaType`). Only keywords go: a property, an enum value or a constant of that name stays."""
    kept: dict[str, Any] = {}
    for key, value in schema.items():
        if key in _SILENT:
            continue
        if key in _SCHEMAS_BY_NAME and isinstance(value, Mapping):
            kept[key] = {name: _stripped(inner) for name, inner in value.items()}
        elif key in _SCHEMAS:
            kept[key] = [_stripped(inner) for inner in value] if isinstance(value, list) else _stripped(value)
        else:
            kept[key] = value
    return kept


# JSON Schema 2020-12, core and applicator vocabularies, with the older names of the same keywords.
_SILENT = frozenset({"title", "default", "$schema", "contentEncoding", "contentMediaType"})
_SCHEMAS_BY_NAME = frozenset(
    {"properties", "patternProperties", "$defs", "definitions", "dependentSchemas", "dependencies"}
)
_SCHEMAS = frozenset(
    {"items", "prefixItems", "additionalItems", "unevaluatedItems", "contains", "contentSchema"}
    | {"additionalProperties", "unevaluatedProperties", "propertyNames"}
    | {"allOf", "anyOf", "oneOf", "not", "if", "then", "else"}
)


def _stripped(value: Any) -> Any:
    return strip_schema(value) if isinstance(value, Mapping) else value


# Weak: a class made for one request goes with its request. The number tells a rebuilt class (`model_rebuild`) from the old one.
_model_texts: WeakKeyDictionary[type[BaseModel], tuple[int, str]] = WeakKeyDictionary()


def _model_json(model: type[BaseModel]) -> str:
    """The schema of `model` as the prompt shows it, made once per class."""
    cached = _model_texts.get(model)
    if cached is None or cached[0] != id(model.__pydantic_core_schema__):
        text = _schema_json(model.model_json_schema())  # completes a class that waits for a forward reference
        cached = _model_texts[model] = (id(model.__pydantic_core_schema__), text)
    return cached[1]


def _schema_json(schema: Mapping[str, Any]) -> str:
    # Letters of every script as they are; but no character inside a JSON string may end a line.
    text = json.dumps(strip_schema(schema), indent=2, ensure_ascii=False)
    return text if text.isascii() else re.sub("[\x85\u2028\u2029]", lambda found: f"\\u{ord(found[0]):04x}", text)


def _example(number: int, example: Mapping[str, str]) -> str:
    given, wanted = neutralise_example(example["input"]), neutralise_example(example["output"])
    return f"Example {number}:\n Input: {given}\n Output: {wanted}"
