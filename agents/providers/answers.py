"""What every adapter makes of what it received: one answer, one stream of chunks, token counts, and the JSON in a text."""

from __future__ import annotations

import json
import re
from collections.abc import Hashable, Iterable, Iterator
from typing import Any

from ...knowledge.errors import ConnectionLostError, MalformedResponseError
from ...knowledge.vocabulary import FinishReason, LLMResponse, StreamChunk, StreamDelta, ToolCallResult

REFUSED = "The model refused to answer."
"""The warning of an answer that is a refusal; its `finish_reason` is `CONTENT_FILTER`."""

_FENCE = re.compile(r"(?P<mark>`{3,}|~{3,})[^\n`]*\n(?P<inside>.*?)\n?^(?P=mark)[`~]*\s*\Z", re.DOTALL | re.MULTILINE)
_OPENED = re.compile(r"(?:`{3,}|~{3,})[^\n`]*\s*\Z")
_BRACKETS = re.compile(r"[{\[]")
_SEARCH_BUDGET = 1_000_000


def _refuse_constant(name: str) -> Any:
    raise ValueError(f"{name} is not JSON")


_DECODER = json.JSONDecoder(parse_constant=_refuse_constant)


def json_in(text: str) -> dict[str, Any] | list[Any] | None:
    """The JSON object or array a text is, or holds: whole, in a fence, or in prose.

    Of several, one in a fence goes before one in prose, then the longest wins. In prose an array counts only on a line of its own,
    so that `[1]` as a citation is no data.
    """
    if not (start := _BRACKETS.search(text)):
        return None
    best: tuple[bool, int, dict[str, Any] | list[Any]] | None = None
    at: int | None = start.start()
    budget = _SEARCH_BUDGET  # characters read in vain, so that a wall of brackets takes no quadratic time
    while at is not None and budget > 0:
        try:
            value, end = _DECODER.raw_decode(text, at)
        except (ValueError, RecursionError) as error:
            # Making the error counts the lines before it, so its place has a price too.
            budget -= error.pos - at + error.pos // 256 + 1 if isinstance(error, json.JSONDecodeError) else 10_000
            end = at + 1
        else:
            before = text[max(0, at - 80) : at]
            whole = not text[:at].strip() and not text[end:].strip()
            fenced = whole or bool(_OPENED.search(before))
            alone = isinstance(value, dict) or not before.rpartition("\n")[2].strip()
            if (fenced or (value and alone)) and (best is None or (fenced, end - at) > best[:2]):
                best = (fenced, end - at, value)
        found = _BRACKETS.search(text, end)
        at = found.start() if found else None
    return best[2] if best else None


def unfenced(text: str) -> str:
    """A text without the one fence around the whole of it; a fence inside it stays."""
    stripped = text.strip()
    if stripped[:3] not in ("```", "~~~"):
        return text
    match = _FENCE.fullmatch(stripped)
    if not match or re.search(rf"^{re.escape(match['mark'])}", match["inside"], re.MULTILINE):
        return text
    return match["inside"]


def usage(prompt: Any = None, completion: Any = None, **details: Any) -> dict[str, int]:
    """Token counts under the names of `LLMResponse.usage`; what the provider did not say is left out.

    :param prompt: Tokens read, cached ones included: an adapter whose provider counts them apart adds them first.
    :param completion: Tokens written, reasoning included, likewise.
    :param details: `cached_tokens`, `cache_write_tokens`, `reasoning_tokens`.
    """
    counts = {"prompt_tokens": _count(prompt), "completion_tokens": _count(completion)}
    if counts["prompt_tokens"] is None and counts["completion_tokens"] is None:
        return {}
    known = {name: count or 0 for name, count in counts.items()}
    known["total_tokens"] = known["prompt_tokens"] + known["completion_tokens"]
    return known | {name: count for name, value in details.items() if (count := _count(value)) is not None}


def _count(value: Any) -> int | None:
    return int(value) if isinstance(value, int | float) and value >= 0 else None


def arguments(text: str) -> dict[str, Any]:
    """The arguments of a tool call, from their JSON text; an empty text and `null` are no arguments.

    :raises MalformedResponseError: the text is not a JSON object.
    """
    if not text.strip():
        return {}
    try:
        value = json.loads(text)
        if isinstance(value, str):  # some servers encode twice
            value = json.loads(value) if value.strip() else {}
    except (ValueError, RecursionError):
        value = text
    if value is None:
        return {}
    if not isinstance(value, dict):
        raise MalformedResponseError("The arguments of a tool call are not a JSON object.")
    return value


def answer(
    *,
    provider: str,
    model: str,
    text: str,
    finish: FinishReason,
    thinking: str = "",
    calls: Iterable[tuple[str | None, str, str | dict[str, Any]]] = (),
    usage: dict[str, int] | None = None,
    raw: Any = None,
    native: dict[str, Any] | None = None,
    request_id: str | None = None,
    warnings: list[str] | None = None,
) -> LLMResponse:
    """A whole answer, as the adapter read it, in the shape of all: without the outer fence, with the JSON found.

    :param calls: Id, name and arguments (JSON text, or the object) of each tool call; without an id it gets `call_1`, `call_2`, …
    :raises MalformedResponseError: arguments are not a JSON object, though the answer was not cut short.
    """
    warnings = list(warnings or ())
    whole = []
    for number, (call_id, name, given) in enumerate(calls, 1):
        try:
            parsed = arguments(given) if isinstance(given, str) else dict(given)
        except MalformedResponseError:
            if finish is not FinishReason.LENGTH:
                raise
            warnings.append(f"The call of {name!r} was cut off with the answer and is left out.")
        else:
            whole.append(ToolCallResult(call_id or f"call_{number}", name, parsed))
    return LLMResponse(
        content=unfenced(text) or None,
        thinking=thinking or None,
        parsed=json_in(text),
        tool_calls=whole,
        finish_reason=FinishReason.TOOL_CALL if whole and finish is FinishReason.STOP else finish,
        usage=usage or {},
        raw=raw,
        native=native or {},
        model=model,
        provider=provider,
        request_id=request_id,
        warnings=warnings,
    )


class Accumulator:
    """A stream as it grows: each event's additions become a chunk, and the end exactly one final chunk.

    An adapter sets `finish`, `usage`, `model`, `request_id`, `native` and appends to `warnings` whenever the stream tells them, in whatever order.

    :param provider: Who answers.
    :param model: The model that was asked; the stream may name it more exactly.
    """

    def __init__(self, provider: str, model: str) -> None:
        self.provider = provider
        self.model = model
        self.text = ""
        self.thinking = ""
        self.finish: FinishReason | None = None
        self.usage: dict[str, int] = {}
        self.request_id: str | None = None
        self.native: dict[str, Any] = {}
        self.warnings: list[str] = []
        self.events: list[Any] = []
        self._calls: list[_Call] = []
        self._open: dict[Hashable, _Call] = {}

    def add(self, text: str = "", thinking: str = "", *, raw: Any = None) -> Iterator[StreamChunk]:
        """The chunk of new text or thinking; none when there is nothing new."""
        if text or thinking:
            self.text += text
            self.thinking += thinking
            yield self._chunk(StreamDelta(text, thinking), raw)

    def call(
        self, key: Hashable, *, call_id: str | None = None, name: str | None = None, fragment: str = "", raw: Any = None
    ) -> Iterator[StreamChunk]:
        """The chunk of a piece of a tool call.

        :param key: What tells this call from the others of the stream: the provider's index or id.
        :param call_id: The provider's id; without one the call gets `call_1`, `call_2`, …
        :param fragment: The next piece of the JSON text of the arguments.
        """
        call = self._open.get(key)
        # Some servers give every call the index 0: a new name under a new id is a new call.
        if call is None or (name and call_id and call_id != call.id):
            call = self._open[key] = _Call(call_id or f"call_{len(self._calls) + 1}")
            self._calls.append(call)
        call.name = call.name or name or ""
        call.fragments.append(fragment)
        yield self._chunk(StreamDelta("", "", call.id, call.name, fragment), raw)

    def final(self) -> StreamChunk:
        """The last chunk, with everything.

        :raises ConnectionLostError: the stream ended without saying why the answer did, so it is not whole.
        :raises MalformedResponseError: the arguments of a tool call are not JSON, though the answer was not cut short.
        """
        if self.finish is None:
            raise ConnectionLostError(f"The stream of {self.provider} ended before the answer was whole.", "Try again.")
        response = answer(
            provider=self.provider,
            model=self.model,
            text=self.text,
            finish=self.finish,
            thinking=self.thinking,
            calls=[(call.id, call.name, "".join(call.fragments)) for call in self._calls],
            usage=self.usage,
            raw=self.events,
            native=self.native,
            request_id=self.request_id,
            warnings=self.warnings,
        )
        return StreamChunk(
            accumulated_text=self.text,
            accumulated_thinking=self.thinking,
            is_final=True,
            finish_reason=response.finish_reason,
            tool_calls=response.tool_calls,
            usage=response.usage,
            response=response,
        )

    def _chunk(self, delta: StreamDelta, raw: Any) -> StreamChunk:
        return StreamChunk(delta, self.text, self.thinking, raw=raw)


class _Call:
    """A tool call of which pieces have come."""

    __slots__ = ("fragments", "id", "name")

    def __init__(self, call_id: str) -> None:
        self.id = call_id
        self.name = ""
        self.fragments: list[str] = []
