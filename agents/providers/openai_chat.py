"""OpenAI's chat completions: our request as its body, its answers and events as ours."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

from ...knowledge.errors import UnsupportedParameterError
from ...knowledge.files import openai_block
from ...knowledge.vocabulary import (
    ChatRequest,
    FinishReason,
    LLMResponse,
    Message,
    MessageRole,
    ReasoningConfig,
    StreamChunk,
)
from .answers import REFUSED, Accumulator, answer, usage
from .openai_api import Form
from .openai_schema import strict_schema

PATH = "/chat/completions"

_FINISH = {
    "stop": FinishReason.STOP,
    "length": FinishReason.LENGTH,
    "tool_calls": FinishReason.TOOL_CALL,
    "function_call": FinishReason.TOOL_CALL,
    "content_filter": FinishReason.CONTENT_FILTER,
    "error": FinishReason.ERROR,
}


@dataclass(frozen=True, slots=True)
class Quirks:
    """Where a server differs from OpenAI.

    :param max_tokens: Its name of the limit of the answer.
    :param seed: Its name of the seed.
    :param required: Its word for "some tool must be called".
    :param strict: Whether schemas have to be made for OpenAI's strict mode; servers with a grammar of their own read them as they are.
    :param stream_usage: Whether usage in a stream has to be asked for.
    :param reasoning_object: Whether reasoning is asked for by an object (effort or budget), not by a word.
    """

    max_tokens: str = "max_completion_tokens"
    seed: str = "seed"
    required: str = "required"
    strict: bool = True
    stream_usage: bool = True
    reasoning_object: bool = False


def form(quirks: Quirks) -> Form:
    """Chat completions as a server with these quirks wants them."""
    return Form(PATH, partial(body, quirks), read, feed)


def body(quirks: Quirks, request: ChatRequest, stream: bool) -> dict[str, Any]:
    """The body of `/chat/completions`."""
    system = [{"role": "system", "content": request.system}] if request.system else []
    made: dict[str, Any] = {
        **request.extra,
        **{quirks.seed if name == "seed" else name: value for name, value in request.parameters.items()},
        "model": request.model,
        "messages": system + [_message(message) for message in request.messages],
        quirks.max_tokens: request.max_tokens,
    }
    if request.reasoning:
        made |= _reasoning(request.reasoning, quirks)
    if request.tools:
        made["tools"] = [
            {
                "type": "function",
                "function": {"name": tool.name, "description": tool.description, "parameters": tool.input_schema},
            }
            for tool in request.tools
        ]
        if request.tool_choice:
            made["tool_choice"] = _tool_choice(request.tool_choice, quirks.required)
        if request.parallel_tool_calls is not None:
            made["parallel_tool_calls"] = request.parallel_tool_calls
    if request.response_schema is not None:
        made["response_format"] = {
            "type": "json_schema",
            "json_schema": _schema(request.response_schema, request.response_name, quirks),
        }
    if stream:
        made["stream"] = True
        if quirks.stream_usage:
            made["stream_options"] = {"include_usage": True}
    return made


def _reasoning(wanted: ReasoningConfig, quirks: Quirks) -> dict[str, Any]:
    if quirks.reasoning_object:
        told = {
            "effort": wanted.effort,
            "max_tokens": wanted.budget_tokens,
            "exclude": None if wanted.include else True,
        }
        return {"reasoning": {name: value for name, value in told.items() if value is not None} or {"enabled": True}}
    return {"reasoning_effort": effort_of(wanted)} if wanted.effort or wanted.budget_tokens is not None else {}


def effort_of(wanted: ReasoningConfig) -> str:
    """The effort in words.

    :raises UnsupportedParameterError: it was given in tokens only, which has no place here.
    """
    if wanted.effort is None:
        raise UnsupportedParameterError(
            "Reasoning is asked for in words here, not in tokens.",
            "Give ReasoningConfig an effort.",
            parameter="reasoning",
        )
    return wanted.effort


def _tool_choice(choice: str, required: str) -> Any:
    """`auto`, `none`, `required` or the name of a tool, as OpenAI says it."""
    if choice == "required":
        return required
    return choice if choice in ("auto", "none") else {"type": "function", "function": {"name": choice}}


def _schema(schema: Mapping[str, Any], name: str, quirks: Quirks) -> dict[str, Any]:
    if not quirks.strict:
        return {"name": name, "schema": schema}
    made, strict = strict_schema(schema)
    return {"name": name, "schema": made, "strict": strict}


def _message(message: Message) -> dict[str, Any]:
    if message.role is MessageRole.TOOL:
        return {"role": "tool", "tool_call_id": message.tool_call_id or "", "content": message.content}
    made: dict[str, Any] = {"role": message.role.value, "content": message.content}
    if message.attachments:
        made["content"] = [*map(openai_block, message.attachments), {"type": "text", "text": message.content}]
    if message.tool_calls:
        made["content"] = message.content or None
        made["tool_calls"] = [
            {
                "id": call.id,
                "type": "function",
                "function": {"name": call.name, "arguments": json.dumps(call.arguments)},
            }
            for call in message.tool_calls
        ]
    return made


def read(data: dict[str, Any], provider: str, model: str, request_id: str | None) -> LLMResponse:
    """A whole answer."""
    choice = data["choices"][0]
    message = choice.get("message") or {}
    refusal = message.get("refusal")
    finish = _FINISH.get(choice.get("finish_reason") or "stop", FinishReason.STOP)
    return answer(
        provider=provider,
        model=str(data.get("model") or model),
        text=_text(message.get("content")) or refusal or "",
        finish=FinishReason.CONTENT_FILTER if refusal else finish,
        thinking=_thinking(message),
        calls=[_call(call) for call in message.get("tool_calls") or []],
        usage=counts(data.get("usage")),
        raw=data,
        request_id=request_id,
        warnings=[REFUSED] if refusal else [],
    )


def feed(event: dict[str, Any], whole: Accumulator) -> Iterator[StreamChunk]:
    """The chunks of one event; usage may come in any, also in one without choices."""
    whole.model = event.get("model") or whole.model
    whole.usage = counts(event.get("usage")) or whole.usage
    for choice in event.get("choices") or []:
        if choice.get("index"):
            continue  # the second of several answers, which nobody here asked for
        delta = choice.get("delta") or {}
        refusal = delta.get("refusal") or ""
        if refusal and REFUSED not in whole.warnings:
            whole.warnings.append(REFUSED)
        yield from whole.add(_text(delta.get("content")) + refusal, _thinking(delta), raw=event)
        for place, piece in enumerate(delta.get("tool_calls") or []):
            function = piece.get("function") or {}
            yield from whole.call(
                piece.get("index", place),
                call_id=piece.get("id"),
                name=function.get("name"),
                fragment=function.get("arguments") or "",
                raw=event,
            )
        if reason := choice.get("finish_reason"):
            whole.finish = (
                FinishReason.CONTENT_FILTER if REFUSED in whole.warnings else _FINISH.get(reason, FinishReason.STOP)
            )


def counts(told: Any) -> dict[str, int]:
    """Usage: cached tokens are inside the prompt, reasoning tokens inside the completion."""
    if not told:
        return {}
    prompt = told.get("prompt_tokens_details") or {}
    completion = told.get("completion_tokens_details") or {}
    return usage(
        told.get("prompt_tokens"),
        told.get("completion_tokens"),
        cached_tokens=prompt.get("cached_tokens"),
        cache_write_tokens=prompt.get("cache_write_tokens"),
        reasoning_tokens=completion.get("reasoning_tokens"),
    )


def _text(content: Any) -> str:
    """Content is text, nothing, or (from some servers) a list of parts."""
    if isinstance(content, list):
        return "".join(part.get("text") or "" for part in content if part.get("type") == "text")
    return content or ""


def _thinking(message: Mapping[str, Any]) -> str:
    """What servers of open models add: `reasoning_content` (vLLM, llama.cpp, DeepSeek) or `reasoning` (OpenRouter)."""
    return message.get("reasoning_content") or message.get("reasoning") or ""


def _call(call: Mapping[str, Any]) -> tuple[str | None, str, str | dict[str, Any]]:
    return call.get("id"), call["function"]["name"], call["function"].get("arguments") or ""
