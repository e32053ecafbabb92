"""Ollama's `/api/chat`: our request as its body, its events as our chunks, and how large a window a conversation needs."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

from ...knowledge.errors import MalformedResponseError, UnsupportedParameterError
from ...knowledge.files import ollama_message
from ...knowledge.vocabulary import ChatRequest, FinishReason, Message, MessageRole, ReasoningConfig, StreamChunk
from ..requests import in_words
from .answers import Accumulator, usage

PROVIDER = "ollama"

_LEAST_CONTEXT = 4096
# Three bytes of UTF-8 for a token is on the safe side of what Llama's, Qwen's and Gemma's tokenisers need for prose and code.
_BYTES_PER_TOKEN = 3
# Above this many bytes for each token it read, a model cannot have read everything.
_MOST_BYTES_PER_TOKEN = 6
_TOKENS_PER_IMAGE = 2048
_TOKENS_PER_MESSAGE = 16
_LEVELS = {"minimal": "low", "low": "low", "medium": "medium", "high": "high"}


@dataclass(frozen=True, slots=True)
class ModelFacts:
    """What Ollama says of a model.

    :param context: The most tokens it can read, `None` when that is not told.
    :param capabilities: In Ollama's words (`completion`, `tools`, `vision`, `thinking`, `embedding`); empty when an old server tells none.
    :param levels: Whether its thinking is set in words rather than switched on and off.
    """

    context: int | None = None
    capabilities: frozenset[str] = frozenset()
    levels: bool = False

    @property
    def chats(self) -> bool:
        """Whether it answers questions: of a server that does not say what its models can, any may."""
        return not self.capabilities or "completion" in self.capabilities

    @classmethod
    def read(cls, shown: Mapping[str, Any]) -> ModelFacts:
        """The facts in an answer of `/api/show`."""
        info = shown.get("model_info") or {}
        family = info.get("general.architecture") or (shown.get("details") or {}).get("family") or ""
        context = info.get(f"{family}.context_length")
        return cls(
            context if isinstance(context, int) and context > 0 else None,
            frozenset(shown.get("capabilities") or ()),
            family in ("gptoss", "gpt-oss"),
        )


def bytes_of(request: ChatRequest) -> int:
    """The size of everything a model has to read, in bytes of UTF-8, images left out."""
    texts = [request.system, *(json.dumps(dict(tool.input_schema)) for tool in request.tools)]
    texts += [f"{tool.name}{tool.description}" for tool in request.tools]
    for message in request.messages:
        texts.append(message.content)
        texts += [file.text for file in message.attachments if file.is_text]
        texts += [f"{call.name}{json.dumps(call.arguments)}" for call in message.tool_calls]
    return sum(len(text.encode()) for text in texts)


def context_for(request: ChatRequest, facts: ModelFacts, least: int = 0) -> int:
    """The window, in tokens, that holds a conversation and its answer: the next power of two, as far as the model goes.

    Ollama loads a model anew whenever `num_ctx` changes, so a few sizes serve all lengths.

    :param least: The window the model has now; it does not shrink.
    """
    needed = (
        bytes_of(request) // _BYTES_PER_TOKEN
        + _images(request) * _TOKENS_PER_IMAGE
        + (len(request.messages) + 1) * _TOKENS_PER_MESSAGE
        + request.max_tokens
    )
    context = max(least, _LEAST_CONTEXT)
    while context < needed:
        context *= 2
    return min(context, facts.context or context)


def grounded(request: ChatRequest) -> ChatRequest:
    """The request with its schema also in words: Ollama enforces one by a grammar that the model is not told of.

    With tools it is in words only, because that grammar leaves no way to call one (github.com/ollama/ollama/issues/8095).
    """
    enforced = None if request.tools else request.response_schema
    return replace(in_words(request), response_schema=enforced)


def body(request: ChatRequest, facts: ModelFacts, context: int, *, stream: bool) -> dict[str, Any]:
    """The body of `/api/chat`.

    :raises UnsupportedParameterError: it asks for what this model, or Ollama, does not have.
    :raises InputError: an attachment is neither image nor text.
    """
    _refuse_unsupported(request, facts)
    given = request.extra.get("options") or {}
    made: dict[str, Any] = {
        # Without this, what does not fit is left out silently; servers that do not know it yet are watched by `OllamaTurn`.
        "truncate": False,
        **request.extra,
        "model": request.model,
        "messages": _messages(request),
        "stream": stream,
        "options": {"num_ctx": context, **given, **request.parameters, "num_predict": request.max_tokens},
    }
    if request.tools and request.tool_choice != "none":
        made["tools"] = [
            {
                "type": "function",
                "function": {"name": tool.name, "description": tool.description, "parameters": tool.input_schema},
            }
            for tool in request.tools
        ]
    if request.response_schema is not None:
        made["format"] = request.response_schema
    if request.reasoning:
        made["think"] = _think(request.reasoning, facts)
    return made


def _refuse_unsupported(request: ChatRequest, facts: ModelFacts) -> None:
    if request.tools and request.tool_choice not in (None, "auto", "none"):
        raise _unsupported(request, "tool_choice", "Ollama cannot be told which tool to call.", "Say it in words.")
    if request.tools and request.parallel_tool_calls is False:
        raise _unsupported(request, "parallel_tool_calls", "Ollama may call several tools at once.", "Leave it out.")
    if not facts.capabilities:
        return
    hint = "Use a model that has it; `ollama show NAME` lists the capabilities."
    if request.tools and "tools" not in facts.capabilities:
        raise _unsupported(request, "tools", f"{request.model} cannot call tools.", hint)
    if _images(request) and "vision" not in facts.capabilities:
        raise _unsupported(request, "attachments", f"{request.model} cannot see images.", hint)
    thinks = request.reasoning is not None and request.reasoning.effort != "none"
    if thinks and "thinking" not in facts.capabilities:
        raise _unsupported(request, "reasoning", f"{request.model} does not think before it answers.", hint)


def _unsupported(request: ChatRequest, parameter: str, message: str, hint: str) -> UnsupportedParameterError:
    return UnsupportedParameterError(message, hint, parameter=parameter, provider=PROVIDER, model=request.model)


def _images(request: ChatRequest) -> int:
    return sum(file.is_image for message in request.messages for file in message.attachments)


def _think(wanted: ReasoningConfig, facts: ModelFacts) -> bool | str:
    if wanted.effort == "none":
        return False
    return _LEVELS[wanted.effort or "medium"] if facts.levels else True


def _messages(request: ChatRequest) -> list[dict[str, Any]]:
    made: list[dict[str, Any]] = [{"role": "system", "content": request.system}] if request.system else []
    names: dict[str, str] = {}
    for message in request.messages:
        names |= {call.id: call.name for call in message.tool_calls}
        made.append(_message(message, names))
    return made


def _message(message: Message, names: Mapping[str, str]) -> dict[str, Any]:
    if message.role is MessageRole.USER:
        return ollama_message(message.content, message.attachments)
    made: dict[str, Any] = {"role": message.role.value, "content": message.content}
    if message.role is MessageRole.TOOL:
        call = message.tool_call_id or ""
        # Results are matched by the tool's name; newer servers also take the id.
        made |= {"tool_name": names.get(call, ""), "tool_call_id": call}
    if message.tool_calls:
        made["tool_calls"] = [
            {"id": call.id, "function": {"index": index, "name": call.name, "arguments": call.arguments}}
            for index, call in enumerate(message.tool_calls)
        ]
        made |= message.native.get(PROVIDER, {})
    return made


class OllamaTurn:
    """One answer of Ollama, event by event; an answer that comes at once is its only event.

    :param request: What was asked.
    :param context: The window it was asked with.
    """

    def __init__(self, request: ChatRequest, context: int) -> None:
        self.done = False
        self._asked = bytes_of(request)
        self.context = context
        self._shows_thinking = request.reasoning is None or request.reasoning.include
        # Ollama's calls mostly have no ids: counted on from the conversation's, they are unlike all before them, and the same in a repetition.
        self._calls = sum(len(message.tool_calls) for message in request.messages)

    def feed(self, event: dict[str, Any], whole: Accumulator) -> Iterator[StreamChunk]:
        """The chunks of one event; the last one also tells the usage and why the answer ended."""
        whole.model = event.get("model") or whole.model
        whole.usage = usage(event.get("prompt_eval_count"), event.get("eval_count")) or whole.usage
        self.done = bool(event.get("done"))
        message = event.get("message") or {}
        if not self.done and not message:
            raise MalformedResponseError("The answer of ollama has no message.", "Check the base URL.")
        thinking = (message.get("thinking") or "") if self._shows_thinking else ""
        yield from whole.add(message.get("content") or "", thinking, raw=event)
        for call in message.get("tool_calls") or []:
            self._calls += 1
            yield from whole.call(
                self._calls,
                call_id=call.get("id") or f"call_{self._calls}",
                name=call["function"]["name"],
                fragment=json.dumps(call["function"].get("arguments") or {}, ensure_ascii=False),
                raw=event,
            )
            if whole.thinking:
                # A model that thought its way to a call wants to see that thought again beside the result.
                whole.native = {PROVIDER: {"thinking": whole.thinking}}
        if self.done:
            whole.finish = FinishReason.LENGTH if event.get("done_reason") == "length" else FinishReason.STOP
            if self._was_cut(whole.usage.get("prompt_tokens", 0)):
                whole.warnings.append(
                    f"The conversation did not fit into the {self.context} tokens the model was given, "
                    "and Ollama left out a part of it."
                )

    def _was_cut(self, read: int) -> bool:
        """Whether the model read less than it was sent: its window is full, or there is too much text for the tokens it counted.

        A server that cuts leaves as much as fits, or half of the window (`llama_server.go`, `contextShiftPromptLimit`).
        """
        too_much = self._asked > self.context * _BYTES_PER_TOKEN and self._asked > read * _MOST_BYTES_PER_TOKEN
        return read >= self.context - 8 or (read > 0 and too_much)
