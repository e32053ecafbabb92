"""From what a caller asks to what a provider is sent: the system prompt, the conversation, the parameters that were given."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from ..knowledge.errors import InputError
from ..knowledge.prompts import RactoPrompt, output_schema, output_text
from ..knowledge.vocabulary import ChatConfig, ChatRequest, Message, MessageRole, ToolSpec
from .structured import model_of, schema_of

STEP_BY_STEP = (
    "Before answering, reason through the problem step by step. "
    "State each reasoning step clearly and explicitly, then conclude with your final answer."
)
"""The constraint that `chain_of_thought` adds, as the specification words it."""

PARAMETERS = ("temperature", "top_p", "top_k", "frequency_penalty", "presence_penalty", "seed", "stop")
"""The sampling parameters of `ChatConfig`, each sent only when it was given."""


def chat_request(config: ChatConfig, prompt: RactoPrompt | None = None, model: str = "") -> ChatRequest:
    """The request that `config` is, whoever answers it.

    :param prompt: The system prompt of calls that bring none of their own.
    :param model: The provider's name of the model.
    """
    prompt = config.prompt or prompt
    wanted = model_of(config, prompt)
    extra = dict(config.extra)
    parameters: dict[str, Any] = {}
    for name in PARAMETERS:
        given, passed_on = getattr(config, name), extra.pop(name, None)
        if given is not None and given != []:
            parameters[name] = given
        elif passed_on is not None:
            # Under its common name a parameter is told to every provider in that provider's own way.
            parameters[name] = [passed_on] if name == "stop" and isinstance(passed_on, str) else passed_on
    schema = schema_of(wanted) if wanted else None
    if schema is None and prompt is not None and isinstance(prompt.output_format, dict):
        schema = output_schema(prompt.output_format)
    return ChatRequest(
        model=model,
        messages=[
            *config.history,
            Message(role=MessageRole.USER, content=config.user_message, attachments=config.attachments),
        ],
        system=_system(prompt, config.chain_of_thought),
        tools=[ToolSpec(tool.name, tool.description, tool.input_schema) for tool in config.tools or ()],
        tool_choice=config.tool_choice,
        parallel_tool_calls=config.parallel_tool_calls,
        response_schema=schema,
        response_name=wanted.__name__ if wanted else "answer",
        max_tokens=config.max_tokens,
        parameters=parameters,
        reasoning=config.reasoning,
        extra=extra,
    )


def _system(prompt: RactoPrompt | None, step_by_step: bool) -> str:
    if prompt is None:
        return STEP_BY_STEP if step_by_step else ""
    if step_by_step:
        prompt = prompt.model_copy(update={"constraints": [*prompt.constraints, STEP_BY_STEP]})
    return prompt.compile()


def in_words(request: ChatRequest) -> ChatRequest:
    """The request for a provider that cannot enforce a schema: the schema is part of the system prompt instead, once."""
    if request.response_schema is None:
        return request
    text = output_text(dict(request.response_schema))
    system = request.system if text in request.system else f"{request.system}\n\n{text}".strip()
    return replace(request, system=system, response_schema=None)


def needs(request: ChatRequest) -> frozenset[str]:
    """The capabilities a provider must have to answer at all, of those in `Provider.capabilities`."""
    wanted = {"chat"}
    if request.tools:
        wanted.add("tools")
    for message in request.messages:
        for file in message.attachments:
            if file.is_image:
                wanted.add("images")
            elif not file.is_text:
                wanted.add("documents")
    return frozenset(wanted)


def without(request: ChatRequest, parameter: str) -> ChatRequest | None:
    """The request without a parameter, `None` when it has none of this name or means something else without it."""
    if parameter in request.parameters:
        return replace(request, parameters=_less(request.parameters, parameter))
    if parameter in request.extra:
        return replace(request, extra=_less(request.extra, parameter))
    if parameter == "response_schema" and request.response_schema is not None:
        return in_words(request)
    if parameter in ("reasoning", "parallel_tool_calls") and getattr(request, parameter) is not None:
        # The type checker cannot see through a computed keyword.
        return replace(request, **{parameter: None})  # type: ignore[arg-type]
    if parameter == "tool_choice" and request.tool_choice not in (None, "none"):
        return replace(request, tool_choice=None)
    return None


def given(request: ChatRequest) -> list[str]:
    """The names of the parameters `without` could take out."""
    names = [*request.parameters, *request.extra]
    names += [
        name for name in ("reasoning", "parallel_tool_calls", "tool_choice") if getattr(request, name) is not None
    ]
    return names


def _less(parameters: Mapping[str, Any], name: str) -> dict[str, Any]:
    return {key: value for key, value in parameters.items() if key != name}


def require_prompt(config: ChatConfig, prompt: RactoPrompt | None) -> None:
    """
    :raises InputError: neither the call nor the kit has a prompt (it is a `ValueError`).
    """
    if config.prompt is None and prompt is None:
        raise InputError("There is no prompt for this call.", "Set ChatConfig.prompt, or default_prompt of the kit.")
