"""OpenAI's chat completions: our request as its body, its answers and events as ours."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from ...knowledge.files import openai_block
from ...knowledge.vocabulary import (
    ChatRequest,
    FinishReason,
    LLMResponse,
    Message,
    MessageRole,
    StreamChunk,
)
from .answers import REFUSED, Accumulator, answer, usage
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

    :param max_tokens: The name of the limit of the answer.
    :param parallel: The name of `parallel_tool_calls`.
    :param strict: Whether schemas may carry `strict`.
    :param required: The word for "some tool must be called".
    :param seed: The name of the seed.
    :param stream_usage: Whether usage in a stream has to be, and can be, asked for.
    :param fields: Added to every body.
    """

    max_tokens: str = "max_completion_tokens"
    parallel: str = "parallel_tool_calls"
    strict: bool = True
    required: str = "required"
    seed: str = "seed"
    stream_usage: bool = True
    fields: Mapping[str, Any] = field(default_factory=dict)


OPENAI = Quirks()


def body(request: ChatRequest, *, stream: bool = False, quirks: Quirks = OPENAI) -> dict[str, Any]:
    """The body of `/chat/completions`."""
    system = [{"role": "system", "content": request.system}] if request.system else []
    made: dict[str, Any] = {
        **request.extra,
        **quirks.fields,
        "model": request.model,
        "messages": system + [_message(message) for message in request.messages],
        quirks.max_tokens: request.max_tokens,
    }
    for name, value in request.parameters.items():
        made[quirks.seed if name == "seed" else name] = value
    if request.reasoning and request.reasoning.effort:
        made["reasoning_effort"] = request.reasoning.effort
    if request.tools:
        made["tools"] = [
            {
                "type": "function",
                "function": {"name": tool.name, "description": tool.description, "parameters": tool.input_schema},
            }
            for tool in request.tools
        ]
        if request.tool_choice:
            made["tool_choice"] = tool_choice(request.tool_choice, quirks.required)
        if request.parallel_tool_calls is not None:
            made[quirks.parallel] = request.parallel_tool_calls
    if request.response_schema is not None:
        made["response_format"] = {"type": "json_schema", "json_schema": _schema(request, quirks)}
    if stream:
        made["stream"] = True
        if quirks.stream_usage:
            made["stream_options"] = {"include_usage": True}
    return made


def tool_choice(choice: str, required: str = "required") -> Any:
    """`auto`, `none`, `required` or the name of a tool, as OpenAI says it."""
    if choice == "required":
        return required
    return choice if choice in ("auto", "none") else {"type": "function", "function": {"name": choice}}


def _schema(request: ChatRequest, quirks: Quirks) -> dict[str, Any]:
    assert request.response_schema is not None
    if not quirks.strict:
        return {"name": request.response_name, "schema": request.response_schema}
    schema, strict = strict_schema(request.response_schema)
    return {"name": request.response_name, "schema": schema, "strict": strict}


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
    for choice in (event.get("choices") or [])[:1]:
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
