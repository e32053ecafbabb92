"""Gemini's contents: our request as the body of `generateContent`, its answers as ours."""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Iterator, Mapping
from typing import Any

from ...knowledge.errors import MalformedResponseError, UnsupportedParameterError
from ...knowledge.files import google_block
from ...knowledge.vocabulary import ChatRequest, FinishReason, Message, MessageRole, ReasoningConfig, StreamChunk
from ..requests import in_words
from .answers import Accumulator, usage

PROVIDER = "google"

_PARAMETERS = {
    "temperature": "temperature",
    "top_p": "topP",
    "top_k": "topK",
    "frequency_penalty": "frequencyPenalty",
    "presence_penalty": "presencePenalty",
    "seed": "seed",
    "stop": "stopSequences",
}
_FILTERED = frozenset(
    {"SAFETY", "RECITATION", "LANGUAGE", "BLOCKLIST", "PROHIBITED_CONTENT", "SPII", "ESCALATION", "MODEL_ARMOR"}
    | {"IMAGE_SAFETY", "IMAGE_PROHIBITED_CONTENT", "IMAGE_RECITATION", "PUP_LIMITED_DISABLED"}
)
_UNREADABLE = frozenset({"MALFORMED_FUNCTION_CALL", "MALFORMED_RESPONSE"})
_READ = frozenset({"text", "thought", "thoughtSignature", "functionCall"})
_MODES = {"auto": "AUTO", "none": "NONE", "required": "ANY"}
_BUDGETS = {"none": 0, "minimal": 1_024, "low": 1_024, "medium": 8_192, "high": 24_576}
"""Words in tokens, for models that take only tokens; Google's own equivalents (its page on OpenAI compatibility)."""

_OLDER = re.compile(r"(?:models/)?gemini-[12](?:\D|$)")
"""Models before Gemini 3."""

_MADE_UP_ID = re.compile(r"call_\d+")
_UNSIGNED = base64.b64encode(b"skip_thought_signature_validator").decode()
"""What Google has a call carry that no Gemini made (its page on thought signatures)."""


# What is asked


def body(request: ChatRequest) -> dict[str, Any]:
    """The body of `generateContent`.

    :raises UnsupportedParameterError: `parallel_tool_calls` is off.
    """
    if request.parallel_tool_calls is False:
        raise UnsupportedParameterError(
            "Gemini cannot be kept from calling several tools at once.",
            "Leave it out.",
            parameter="parallel_tool_calls",
            provider=PROVIDER,
            model=request.model,
        )
    older = bool(_OLDER.match(request.model))
    if older and request.tools:
        request = in_words(request)  # these refuse tools and a schema in one call
    system, contents = _conversation(request, signed=not older)
    made: dict[str, Any] = {**request.extra, "contents": contents}
    if system:
        made["systemInstruction"] = {"parts": [{"text": system}]}
    if request.tools:
        made["tools"] = [
            *made.get("tools", ()),
            {
                "functionDeclarations": [
                    {"name": tool.name, "description": tool.description, "parametersJsonSchema": tool.input_schema}
                    for tool in request.tools
                ]
            },
        ]
        if request.tool_choice:
            made["toolConfig"] = {**made.get("toolConfig", {}), "functionCallingConfig": _choice(request.tool_choice)}
    config: dict[str, Any] = {**made.get("generationConfig", {}), "maxOutputTokens": request.max_tokens}
    config |= {_PARAMETERS[name]: value for name, value in request.parameters.items()}
    if request.response_schema is not None:
        config["responseMimeType"] = "application/json"
        config["responseJsonSchema"] = request.response_schema
    if request.reasoning is not None:
        config["thinkingConfig"] = _thinking(request.reasoning, older)
    made["generationConfig"] = config
    return made


def _choice(choice: str) -> dict[str, Any]:
    if choice in _MODES:
        return {"mode": _MODES[choice]}
    return {"mode": "ANY", "allowedFunctionNames": [choice]}


def _thinking(reasoning: ReasoningConfig, older: bool) -> dict[str, Any]:
    thinking: dict[str, Any] = {"includeThoughts": reasoning.include}
    if reasoning.budget_tokens is not None:
        thinking["thinkingBudget"] = reasoning.budget_tokens
    elif reasoning.effort and older:
        thinking["thinkingBudget"] = _BUDGETS[reasoning.effort]
    elif reasoning.effort:
        thinking["thinkingLevel"] = "MINIMAL" if reasoning.effort == "none" else reasoning.effort.upper()
    return thinking


def _conversation(request: ChatRequest, *, signed: bool) -> tuple[str, list[dict[str, Any]]]:
    """The system prompt, to which every system message belongs, and the turns.

    :param signed: Whether the model wants a signature on calls.
    """
    system = [request.system] if request.system else []
    contents: list[dict[str, Any]] = []
    names: dict[str, str] = {}
    for message in request.messages:
        if message.role is MessageRole.SYSTEM:
            system.append(message.content)
            continue
        names |= {call.id: call.name for call in message.tool_calls}
        parts = _parts(message, names, signed)
        role = "model" if message.role is MessageRole.ASSISTANT else "user"
        if message.role is MessageRole.TOOL and contents and "functionResponse" in contents[-1]["parts"][0]:
            contents[-1]["parts"] += parts  # all results of one turn go back together
        elif parts:
            contents.append({"role": role, "parts": parts})
    return "\n\n".join(system), contents


def _parts(message: Message, names: Mapping[str, str], signed: bool) -> list[dict[str, Any]]:
    if PROVIDER in message.native:
        return list(message.native[PROVIDER])
    files = [part for part in map(google_block, message.attachments) if part.get("text") != ""]
    if message.role is MessageRole.TOOL:
        asked = message.tool_call_id or ""
        result = {**_id(asked), "name": names.get(asked, asked), "response": {"output": message.content}}
        return [{"functionResponse": result}, *files]
    text = [{"text": message.content}] if message.content else []
    calls: list[dict[str, Any]] = [
        {"functionCall": {**_id(call.id), "name": call.name, "args": call.arguments}} for call in message.tool_calls
    ]
    if calls and signed:
        calls[0]["thoughtSignature"] = _UNSIGNED
    return files + text + calls


def _id(call_id: str) -> dict[str, str]:
    """The id of a call, unless it was made up here because the model gave none."""
    return {} if _MADE_UP_ID.fullmatch(call_id) else {"id": call_id}


# What is answered


class GoogleTurn:
    """One answer; every event has the shape of a whole one, and adds its parts."""

    done = False  # no event says that it is the last

    def __init__(self) -> None:
        self._parts: list[dict[str, Any]] = []
        self._calls = 0

    def feed(self, event: dict[str, Any], whole: Accumulator) -> Iterator[StreamChunk]:
        """The chunks of one event."""
        whole.model = event.get("modelVersion") or whole.model
        whole.request_id = whole.request_id or event.get("responseId")
        whole.usage = _counts(event.get("usageMetadata")) or whole.usage
        if reason := (event.get("promptFeedback") or {}).get("blockReason"):
            whole.finish = FinishReason.CONTENT_FILTER
            whole.warnings.append(f"Google blocked the prompt: {reason}.")
        for candidate in (event.get("candidates") or [])[:1]:
            for part in (candidate.get("content") or {}).get("parts") or []:
                yield from self._add(part, event, whole)
            if reason := candidate.get("finishReason"):
                self._end(reason, candidate.get("finishMessage"), whole)

    def _add(self, part: dict[str, Any], event: dict[str, Any], whole: Accumulator) -> Iterator[StreamChunk]:
        self._keep(part)
        text = part.get("text") or ""
        if part.get("thought"):
            yield from whole.add(thinking=text, raw=event)
        else:
            yield from whole.add(text, raw=event)
        if call := part.get("functionCall"):
            self._calls += 1
            given = json.dumps(call.get("args") or {}, ensure_ascii=False)
            yield from whole.call(self._calls, call_id=call.get("id"), name=call["name"], fragment=given, raw=event)

    def _keep(self, part: dict[str, Any]) -> None:
        """Keep a part for `native`: text grows together as long as no signature is between its pieces."""
        last = self._parts[-1] if self._parts else {}
        if _is_text(part) and _is_text(last) and part.get("thought") == last.get("thought"):
            last["text"] += part["text"]
        else:
            self._parts.append(dict(part))

    def _end(self, reason: str, message: str | None, whole: Accumulator) -> None:
        if reason in _UNREADABLE:
            raise MalformedResponseError(f"Gemini made an answer that cannot be read ({reason}).", "Try again.")
        said = f"{reason}: {message}" if message else reason
        if reason == "STOP":
            whole.finish = FinishReason.STOP
        elif reason == "MAX_TOKENS":
            whole.finish = FinishReason.LENGTH
        elif reason == "CONTINUATION":
            whole.finish = FinishReason.LENGTH
            whole.warnings.append(
                "Google ended the answer at its limit for one request; `raw` has a continuationToken."
            )
        elif reason in _FILTERED:
            whole.finish = FinishReason.CONTENT_FILTER
            whole.warnings.append(f"Google filtered the answer ({said}).")
        else:
            whole.finish = FinishReason.ERROR
            whole.warnings.append(f"Google ended the answer ({said}).")
        others = sorted({name for part in self._parts for name in part} - _READ)
        if others:
            whole.warnings.append(f"The answer has more than text and calls: {', '.join(others)} (see `raw`).")
        if others or any("thoughtSignature" in part for part in self._parts):
            kept = [part for part in self._parts if not part.get("thought") or "thoughtSignature" in part]
            whole.native = {PROVIDER: kept}


def _is_text(part: Mapping[str, Any]) -> bool:
    return "text" in part and not part.keys() - {"text", "thought"}


def _counts(told: Mapping[str, Any] | None) -> dict[str, int]:
    """Usage: cached tokens are inside the prompt, what tools of Google's own brought is beside it, thoughts are beside the answer."""
    if not told:
        return {}
    thoughts = told.get("thoughtsTokenCount")
    return usage(
        (told.get("promptTokenCount") or 0) + (told.get("toolUsePromptTokenCount") or 0),
        (told.get("candidatesTokenCount") or 0) + (thoughts or 0),
        cached_tokens=told.get("cachedContentTokenCount") or None,
        reasoning_tokens=thoughts,
    )
