"""OpenAI's Responses API: our request as its body, its items and events as ours."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

from ...knowledge.files import RactoFile
from ...knowledge.vocabulary import (
    ChatRequest,
    FinishReason,
    LLMResponse,
    Message,
    MessageRole,
    StreamChunk,
)
from .answers import REFUSED, Accumulator, answer, usage
from .openai_api import Form
from .openai_chat import effort_of
from .openai_schema import strict_schema

PATH = "/responses"

_INCOMPLETE = {"max_output_tokens": FinishReason.LENGTH, "content_filter": FinishReason.CONTENT_FILTER}


def body(request: ChatRequest, stream: bool) -> dict[str, Any]:
    """The body of `/responses`. Nothing is kept at OpenAI unless `extra` says `store`."""
    made: dict[str, Any] = {
        "store": False,
        **request.extra,
        **request.parameters,
        "model": request.model,
        "input": [item for message in request.messages for item in _items(message)],
        "max_output_tokens": request.max_tokens,
    }
    if request.system:
        made["instructions"] = request.system
    if request.reasoning:
        wanted = request.reasoning
        reasoning = {"effort": effort_of(wanted)} if wanted.effort or wanted.budget_tokens is not None else {}
        made["reasoning"] = reasoning | ({"summary": "auto"} if wanted.include else {})
    if request.tools:
        made["tools"] = [
            {
                "type": "function",
                "name": tool.name,
                "description": tool.description,
                "parameters": tool.input_schema,
                "strict": False,
            }
            for tool in request.tools
        ]
        if request.tool_choice:
            known = request.tool_choice in ("auto", "none", "required")
            made["tool_choice"] = request.tool_choice if known else {"type": "function", "name": request.tool_choice}
        if request.parallel_tool_calls is not None:
            made["parallel_tool_calls"] = request.parallel_tool_calls
    if request.response_schema is not None:
        schema, strict = strict_schema(request.response_schema)
        made["text"] = {
            "format": {"type": "json_schema", "name": request.response_name, "schema": schema, "strict": strict}
        }
    if stream:
        made["stream"] = True
    return made


def _items(message: Message) -> Iterator[dict[str, Any]]:
    if message.role is MessageRole.TOOL:
        yield {"type": "function_call_output", "call_id": message.tool_call_id or "", "output": message.content}
        return
    if native := message.native.get("openai"):
        # With its reasoning, which the model has to see again with the results of its calls.
        yield from native
        return
    if message.content or message.attachments:
        content: Any = message.content
        if message.attachments:
            content = [*map(_block, message.attachments), {"type": "input_text", "text": message.content}]
        yield {"role": message.role.value, "content": content}
    for call in message.tool_calls:
        yield {"type": "function_call", "call_id": call.id, "name": call.name, "arguments": json.dumps(call.arguments)}


def _block(file: RactoFile) -> dict[str, Any]:
    if file.is_text:
        return {"type": "input_text", "text": file.text}
    if file.is_image:
        return {"type": "input_image", "image_url": file.data_uri, "detail": "auto"}
    return {"type": "input_file", "filename": file.name or "document.pdf", "file_data": file.data_uri}


def read(data: dict[str, Any], provider: str, model: str, request_id: str | None) -> LLMResponse:
    """A whole answer, from the items of its output."""
    text, refusal, thinking = "", "", ""
    calls = []
    for item in data["output"]:
        kind = item.get("type")
        if kind == "message":
            parts = item.get("content") or []
            text += "".join(part.get("text") or "" for part in parts if part.get("type") == "output_text")
            refusal += "".join(part.get("refusal") or "" for part in parts if part.get("type") == "refusal")
        elif kind == "reasoning":
            parts = (item.get("content") or []) or (item.get("summary") or [])
            thinking += "\n\n".join(part.get("text") or "" for part in parts)
        elif kind == "function_call":
            calls.append((item.get("call_id"), item["name"], item.get("arguments") or ""))
    return answer(
        provider=provider,
        model=str(data.get("model") or model),
        text=text or refusal,
        finish=FinishReason.CONTENT_FILTER if refusal else _finish(data),
        thinking=thinking,
        calls=calls,
        usage=counts(data.get("usage")),
        raw=data,
        native=_native(data["output"]),
        request_id=request_id,
        warnings=[REFUSED] if refusal else [],
    )


def feed(event: dict[str, Any], whole: Accumulator) -> Iterator[StreamChunk]:
    """The chunks of one event; what the last event repeats is not read twice."""
    kind = event.get("type", "")
    if kind in ("response.output_text.delta", "response.refusal.delta"):
        if kind == "response.refusal.delta" and REFUSED not in whole.warnings:
            whole.warnings.append(REFUSED)
        yield from whole.add(event.get("delta") or "", raw=event)
    elif kind in ("response.reasoning_summary_text.delta", "response.reasoning_text.delta"):
        yield from whole.add(thinking=event.get("delta") or "", raw=event)
    elif kind == "response.output_item.added" and (item := event.get("item") or {}).get("type") == "function_call":
        yield from whole.call(event.get("output_index"), call_id=item.get("call_id"), name=item.get("name"), raw=event)
    elif kind == "response.function_call_arguments.delta":
        yield from whole.call(event.get("output_index"), fragment=event.get("delta") or "", raw=event)
    elif kind in ("response.completed", "response.incomplete", "response.failed"):
        response = event.get("response") or {}
        whole.model = response.get("model") or whole.model
        whole.usage = counts(response.get("usage")) or whole.usage
        whole.native = _native(response.get("output") or [])
        whole.finish = FinishReason.CONTENT_FILTER if REFUSED in whole.warnings else _finish(response)


def _native(output: list[dict[str, Any]]) -> dict[str, Any]:
    """The turn as it was, where it holds more than text and calls."""
    return {"openai": output} if any(item.get("type") == "reasoning" for item in output) else {}


def _finish(response: Mapping[str, Any]) -> FinishReason:
    status = response.get("status")
    if status == "incomplete":
        return _INCOMPLETE.get((response.get("incomplete_details") or {}).get("reason", ""), FinishReason.ERROR)
    return FinishReason.ERROR if status in ("failed", "cancelled") else FinishReason.STOP


def counts(told: Any) -> dict[str, int]:
    """Usage: cached tokens are inside the input, reasoning tokens inside the output."""
    if not told:
        return {}
    read_, written = told.get("input_tokens_details") or {}, told.get("output_tokens_details") or {}
    return usage(
        told.get("input_tokens"),
        told.get("output_tokens"),
        cached_tokens=read_.get("cached_tokens"),
        cache_write_tokens=read_.get("cache_write_tokens"),
        reasoning_tokens=written.get("reasoning_tokens"),
    )


FORM = Form(PATH, body, read, feed)
"""The Responses API."""
