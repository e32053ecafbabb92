"""Anthropic's messages: our request as their body, their events as ours."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

from ...knowledge.errors import UnsupportedParameterError
from ...knowledge.files import anthropic_block
from ...knowledge.vocabulary import ChatRequest, FinishReason, Message, MessageRole, ReasoningConfig, StreamChunk
from ..requests import in_words
from .answers import REFUSED, Accumulator, usage

PROVIDER = "anthropic"

_FINISH = {
    "end_turn": FinishReason.STOP,
    "stop_sequence": FinishReason.STOP,
    "tool_use": FinishReason.TOOL_CALL,
    "max_tokens": FinishReason.LENGTH,
    "model_context_window_exceeded": FinishReason.LENGTH,
    "pause_turn": FinishReason.LENGTH,
    "refusal": FinishReason.CONTENT_FILTER,
}
_PAUSED = "Anthropic paused a long turn; send the conversation with this turn again and it goes on."

_SMALLEST_BUDGET = 1024
_CHOICES = {"auto": "auto", "none": "none", "required": "any"}
_WORDS = {"minimal": "low"}


def body(request: ChatRequest) -> dict[str, Any]:
    """The body of `/v1/messages`.

    :raises UnsupportedParameterError: a sampling parameter was given that the API no longer has.
    """
    _refuse_parameters(request)
    format_ = _format(request)
    if request.response_schema is not None and format_ is None:
        request = in_words(request)
    system, turns = _conversation(request)
    made: dict[str, Any] = {
        **request.extra,
        "model": request.model,
        "max_tokens": request.max_tokens,
        "messages": turns,
    }
    if system:
        made["system"] = system
    if stop := request.parameters.get("stop"):
        made["stop_sequences"] = stop
    if request.tools:
        made["tools"] = [
            {"name": tool.name, "description": tool.description, "input_schema": tool.input_schema}
            for tool in request.tools
        ]
        if choice := _choice(request):
            made["tool_choice"] = choice
    output = dict(made.get("output_config") or {})
    if format_ is not None:
        output["format"] = format_
    if request.reasoning is not None:
        made["thinking"] = _thinking(request.reasoning)
        if (effort := request.reasoning.effort) and effort != "none":
            output["effort"] = _WORDS.get(effort, effort)
    if output:
        made["output_config"] = output
    return made


def _refuse_parameters(request: ChatRequest) -> None:
    gone = [name for name in request.parameters if name != "stop"]
    if gone:
        raise UnsupportedParameterError(
            f"Anthropic's API has no {', '.join(gone)}.",
            "Leave it out.",
            parameter=gone[0],
            provider=PROVIDER,
            model=request.model,
        )


def _choice(request: ChatRequest) -> dict[str, Any] | None:
    if request.tool_choice is None and request.parallel_tool_calls is not False:
        return None
    asked = request.tool_choice or "auto"
    choice: dict[str, Any] = {"type": _CHOICES[asked]} if asked in _CHOICES else {"type": "tool", "name": asked}
    if request.parallel_tool_calls is False and asked != "none":
        choice["disable_parallel_tool_use"] = True
    return choice


def _thinking(reasoning: ReasoningConfig) -> dict[str, Any]:
    if reasoning.effort == "none" or reasoning.budget_tokens == 0:
        return {"type": "disabled"}
    display = "summarized" if reasoning.include else "omitted"
    if reasoning.budget_tokens is None:
        return {"type": "adaptive", "display": display}
    return {
        "type": "enabled",
        "budget_tokens": max(reasoning.budget_tokens, _SMALLEST_BUDGET),
        "display": display,
    }


def _format(request: ChatRequest) -> dict[str, Any] | None:
    """The schema for `output_config.format`; `None` where it cannot be said there without another meaning."""
    if request.response_schema is None or _is_open(request.response_schema):
        return None
    from anthropic import transform_schema  # what the API takes of JSON Schema, the rest moved into descriptions

    try:
        return {"type": "json_schema", "schema": transform_schema(dict(request.response_schema))}
    except (ValueError, TypeError, AssertionError):  # its ways to say that some part has no single type
        return None


def _is_open(schema: Any) -> bool:
    """Whether some object in it may have properties nobody named: the API would close it."""
    if isinstance(schema, list):
        return any(map(_is_open, schema))
    if not isinstance(schema, Mapping):
        return False
    if schema.get("type") == "object" and not schema.get("properties"):
        return True
    if schema.get("additionalProperties") not in (None, False) or "patternProperties" in schema:
        return True
    inner = [value for key in ("properties", "$defs", "definitions") for value in (schema.get(key) or {}).values()]
    inner += [schema.get(key) for key in ("items", "prefixItems", "anyOf", "oneOf", "allOf")]
    return any(map(_is_open, inner))


def _conversation(request: ChatRequest) -> tuple[str, list[dict[str, Any]]]:
    """The system prompt and the turns; system messages before the first turn join the prompt."""
    system = [request.system] if request.system else []
    turns: list[dict[str, Any]] = []
    for message in request.messages:
        if message.role is MessageRole.SYSTEM and not turns:
            system.append(message.content)
            continue
        content = _content(message)
        if not content:
            continue  # the API refuses a turn, and a text, that is empty
        role = "user" if message.role is MessageRole.TOOL else message.role.value
        if message.role is MessageRole.TOOL and turns and _is_result(turns[-1]):
            turns[-1]["content"] = [*turns[-1]["content"], *content]  # all results of one turn go back together
        else:
            turns.append({"role": role, "content": content})
    return "\n\n".join(system), turns


def _is_result(turn: dict[str, Any]) -> bool:
    return isinstance(turn["content"], list) and turn["content"][0]["type"] == "tool_result"


def _content(message: Message) -> str | list[dict[str, Any]]:
    if PROVIDER in message.native:
        return list(message.native[PROVIDER])
    text = [{"type": "text", "text": message.content}] if message.content else []
    files = [block for block in map(anthropic_block, message.attachments) if block.get("text") != ""]
    if message.role is MessageRole.TOOL:
        result: dict[str, Any] = {"type": "tool_result", "tool_use_id": message.tool_call_id or ""}
        if inside := (files + text if files else message.content):
            result["content"] = inside
        return [result]
    calls = [
        {"type": "tool_use", "id": call.id, "name": call.name, "input": call.arguments} for call in message.tool_calls
    ]
    return files + text + calls if files or calls else message.content


# What is answered


def as_events(message: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    """A whole answer as the stream it would have been, in blocks as large as they are."""
    yield {"type": "message_start", "message": message}
    for index, block in enumerate(message["content"]):
        yield {"type": "content_block_start", "index": index, "content_block": block}
    yield {"type": "message_delta", "delta": message}


class AnthropicTurn:
    """One answer, block by block."""

    def __init__(self) -> None:
        self.done = False
        self._blocks: dict[Any, dict[str, Any]] = {}
        self._inputs: dict[Any, str] = {}
        self._usage: dict[str, Any] = {}
        self._paused = False
        self._cut: Any = None

    def feed(self, event: dict[str, Any], whole: Accumulator) -> Iterator[StreamChunk]:
        """The chunks of one event; kinds of events nobody knows yet have none."""
        kind = event.get("type")
        if kind == "content_block_delta":
            yield from self._grow(event, event.get("delta") or {}, whole)
        elif kind == "content_block_start":
            yield from self._begin(event, event.get("content_block") or {}, whole)
        elif kind == "message_start":
            message = event.get("message") or {}
            whole.model = message.get("model") or whole.model
            self._count(message.get("usage"), whole)
        elif kind == "message_delta":
            self._count(event.get("usage"), whole)
            yield from self._end(event, event.get("delta") or {}, whole)
        elif kind == "message_stop":
            self.done = True

    def _native(self) -> dict[str, Any]:
        """The blocks, where they are more than text and calls, or the turn is to go on."""
        if not self._paused and all(block.get("type") in ("text", "tool_use") for block in self._blocks.values()):
            return {}
        return {PROVIDER: [block for index, block in self._blocks.items() if self._is_whole(index, block)]}

    def _is_whole(self, index: Any, block: dict[str, Any]) -> bool:
        """Whether a block can be sent back, its input, which came in pieces, put together."""
        try:
            if text := self._inputs.get(index):
                block["input"] = json.loads(text)
        except ValueError:
            return False
        unsigned = block.get("type") == "thinking" and not block.get("signature")
        return block.get("text") != "" and index != self._cut and not unsigned

    def _begin(self, event: dict[str, Any], block: dict[str, Any], whole: Accumulator) -> Iterator[StreamChunk]:
        index, kind = event.get("index"), block.get("type")
        self._blocks[index] = dict(block)
        if kind == "text":
            yield from whole.add(block.get("text") or "", raw=event)
        elif kind == "thinking":
            yield from whole.add(thinking=block.get("thinking") or "", raw=event)
        elif kind == "tool_use":
            given = json.dumps(block["input"]) if block.get("input") else ""
            yield from whole.call(index, call_id=block.get("id"), name=block.get("name"), fragment=given, raw=event)

    def _grow(self, event: dict[str, Any], delta: dict[str, Any], whole: Accumulator) -> Iterator[StreamChunk]:
        index, kind = event.get("index"), delta.get("type")
        block = self._blocks.get(index)
        if kind == "text_delta":
            block = block or self._blocks.setdefault(index, {"type": "text", "text": ""})
            block["text"] = block.get("text", "") + delta["text"]
            yield from whole.add(delta["text"], raw=event)
        elif kind == "thinking_delta":
            block = block or self._blocks.setdefault(index, {"type": "thinking", "thinking": ""})
            block["thinking"] = block.get("thinking", "") + delta["thinking"]
            yield from whole.add(thinking=delta["thinking"], raw=event)
        elif kind == "signature_delta" and block is not None:
            block["signature"] = block.get("signature", "") + delta["signature"]
        elif kind == "input_json_delta":
            self._inputs[index] = self._inputs.get(index, "") + delta["partial_json"]
            if block is None or block.get("type") == "tool_use":
                yield from whole.call(index, fragment=delta["partial_json"], raw=event)
        elif kind == "citations_delta" and block is not None:
            block["citations"] = [*(block.get("citations") or ()), delta["citation"]]

    def _end(self, event: dict[str, Any], delta: Mapping[str, Any], whole: Accumulator) -> Iterator[StreamChunk]:
        reason = delta.get("stop_reason")
        if reason is None:
            return
        whole.finish = _FINISH.get(reason, FinishReason.STOP)
        if reason == "refusal":
            why = (delta.get("stop_details") or {}).get("explanation")
            whole.warnings += [REFUSED, why] if why else [REFUSED]
        elif reason == "pause_turn":
            self._paused = True
            whole.warnings.append(_PAUSED)
        elif reason == "max_tokens" and self._blocks:
            index, last = next(reversed(self._blocks.items()))
            if last.get("type") == "tool_use":
                # The call was cut, though what there is of its input may read as whole: this leaves no doubt.
                self._cut = index
                yield from whole.call(index, fragment="{", raw=event)
        whole.native = self._native()

    def _count(self, told: Mapping[str, Any] | None, whole: Accumulator) -> None:
        """Usage, told at the start and at the end as running totals; cached tokens are counted apart from the others."""
        self._usage |= {name: value for name, value in (told or {}).items() if value is not None}
        counts = self._usage
        read, written = counts.get("cache_read_input_tokens"), counts.get("cache_creation_input_tokens")
        fresh = counts.get("input_tokens")
        whole.usage = usage(
            None if fresh is None else fresh + (read or 0) + (written or 0),
            counts.get("output_tokens"),
            cached_tokens=read or None,
            cache_write_tokens=written or None,
            reasoning_tokens=(counts.get("output_tokens_details") or {}).get("thinking_tokens"),
        )
