"""A model that is none: it answers at once, always the same, whatever a test or a demonstration wrote down for it. Used only by name."""

from __future__ import annotations

import asyncio
import hashlib
import itertools
import json
import re
from collections.abc import AsyncIterator, Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from ...knowledge.errors import RactoGatewayError
from ...knowledge.vocabulary import (
    ChatRequest,
    EmbeddingConfig,
    EmbeddingResponse,
    EmbeddingVector,
    FinishReason,
    LLMResponse,
    StreamChunk,
    ToolCallResult,
)
from .answers import Accumulator, answer, usage
from .wire import guarded

SIMULATED = "This answer is simulated: no model was asked."
"""The warning every answer carries."""

_TOKEN = re.compile(r"\w+|[^\w\s]")
_PIECE = re.compile(r"\s*\S+|\s+\Z")
_DIMENSIONS = 256


@dataclass(frozen=True)
class Reply:
    """One answer of a script.

    :param calls: The tools it asks to be called.
    :param usage: Token counts, instead of those counted.
    :param delay: Seconds before the first word.
    :param pace: Seconds before each further piece of a stream.
    :param error: Raised instead of the answer, or in a stream after `text`.
    """

    text: str = ""
    thinking: str = ""
    calls: tuple[ToolCallResult, ...] = ()
    finish: FinishReason = FinishReason.STOP
    usage: dict[str, int] = field(default_factory=dict)
    delay: float = 0.0
    pace: float = 0.0
    error: RactoGatewayError | None = None


Step = str | Reply | RactoGatewayError | Callable[[ChatRequest], "str | Reply | RactoGatewayError"]
"""One step of a script: what to answer, an error to raise, or a function that decides by the request."""


class SimulatedProvider:
    """Answers by a script, and after its end by saying what it was asked.

    :param script: One step for each call, in order, of `chat` and `stream` alike.
    """

    name = "simulated"
    local = True
    capabilities = frozenset({"chat", "stream", "embed", "tools", "schema", "images", "documents", "reasoning"})

    def __init__(self, script: Iterable[Step] = ()) -> None:
        self._script = iter(script)
        self._numbers = itertools.count(1)

    async def chat(self, request: ChatRequest) -> LLMResponse:
        """The next answer of the script."""
        with guarded(self.name, request.model):
            reply = self._next(request)
            if reply.delay:
                async with asyncio.timeout(request.timeout):
                    await asyncio.sleep(reply.delay)
            if reply.error:
                raise reply.error
            return answer(
                provider=self.name,
                model=request.model,
                text=reply.text,
                finish=reply.finish,
                thinking=reply.thinking,
                calls=[(call.id, call.name, call.arguments) for call in reply.calls],
                usage=reply.usage,
                raw={"simulated": True},
                request_id=f"simulated-{next(self._numbers)}",
                warnings=[SIMULATED],
            )

    async def stream(self, request: ChatRequest) -> AsyncIterator[StreamChunk]:
        """The next answer of the script, word by word."""
        whole = Accumulator(self.name, request.model)
        with guarded(self.name, request.model):
            reply = self._next(request)
            whole.request_id = f"simulated-{next(self._numbers)}"
            whole.warnings.append(SIMULATED)
            whole.usage = reply.usage
            pieces = [(False, piece) for piece in _PIECE.findall(reply.thinking)]
            pieces += [(True, piece) for piece in _PIECE.findall(reply.text)]
            wait = reply.delay
            for is_text, piece in pieces:
                if wait:
                    async with asyncio.timeout(request.timeout):
                        await asyncio.sleep(wait)
                wait = reply.pace
                for chunk in whole.add(piece if is_text else "", "" if is_text else piece, raw=piece):
                    yield chunk
            if reply.error:
                raise reply.error
            for call in reply.calls:
                given = json.dumps(call.arguments)
                for chunk in whole.call(call.id, call_id=call.id, name=call.name, fragment=given, raw=given):
                    yield chunk
            whole.finish = reply.finish
            yield whole.final()

    async def embed(self, config: EmbeddingConfig, model: str) -> EmbeddingResponse:
        """Vectors of hashed words: the same words give the same direction, and no meaning is in them."""
        size = config.dimensions or _DIMENSIONS
        return EmbeddingResponse(
            vectors=[
                EmbeddingVector(index=place, text=text, embedding=_hashed(text, size))
                for place, text in enumerate(config.texts)
            ],
            model=model,
            provider=self.name,
            usage=usage(sum(map(count_tokens, config.texts)), 0),
            raw={"simulated": True, "how": "hashed words"},
        )

    async def models(self) -> list[dict[str, Any]]:
        """The one there is."""
        return [{"id": "simulated", "simulated": True}]

    async def aclose(self) -> None:
        """Nothing is open."""

    def _next(self, request: ChatRequest) -> Reply:
        """The next answer, no longer than the request allows, with its tokens counted."""
        step = next(self._script, None)
        if step is None:
            step = _reply_to(request)
        elif not isinstance(step, str | Reply | RactoGatewayError):
            step = step(request)
        if isinstance(step, RactoGatewayError):
            return Reply(error=step)
        reply = Reply(step) if isinstance(step, str) else step
        text, finish = reply.text, reply.finish
        tokens = list(_TOKEN.finditer(text))
        if len(tokens) > request.max_tokens:
            text, finish = text[: tokens[request.max_tokens - 1].end()], FinishReason.LENGTH
        counted = reply.usage or usage(
            count_tokens(request.system) + sum(count_tokens(message.content) for message in request.messages),
            min(len(tokens), request.max_tokens)
            + count_tokens(reply.thinking)
            + sum(count_tokens(json.dumps(call.arguments)) for call in reply.calls),
        )
        return Reply(text, reply.thinking, reply.calls, finish, counted, reply.delay, reply.pace, reply.error)


def count_tokens(text: str) -> int:
    """The tokens of the simulated model: words, and every other visible character."""
    return len(_TOKEN.findall(text))


def _reply_to(request: ChatRequest) -> Reply:
    """What is answered without a script: what was asked for in form, and nothing in substance."""
    chosen = request.tools[0].name if request.tool_choice == "required" and request.tools else request.tool_choice
    for tool in request.tools:
        if tool.name == chosen:
            return Reply(calls=(ToolCallResult("call_1", tool.name, _example(tool.input_schema, tool.input_schema)),))
    if request.response_schema is not None:
        return Reply(json.dumps(_example(request.response_schema, request.response_schema)))
    return Reply(f"[simulated] You said: {request.messages[-1].content}")


def _example(schema: Any, root: Mapping[str, Any]) -> Any:
    """The least value of a JSON Schema's shape; its texts say that they are simulated."""
    if not isinstance(schema, Mapping):
        return None
    if "$ref" in schema:
        return _example(root.get("$defs", {}).get(schema["$ref"].rpartition("/")[2]), root)
    for certain in ("const", "default"):
        if certain in schema:
            return schema[certain]
    for choices in ("enum", "examples"):
        if schema.get(choices):
            return schema[choices][0]
    for parts in ("anyOf", "oneOf", "allOf"):
        if schema.get(parts):
            nullable = parts != "allOf" and any(part == {"type": "null"} for part in schema[parts])
            return None if nullable else _example(schema[parts][0], root)
    kind = schema.get("type", "object" if "properties" in schema else "null")
    if kind == "object":
        wanted = schema.get("required", ())
        return {name: _example(part, root) for name, part in schema.get("properties", {}).items() if name in wanted}
    if kind == "array":
        return [_example(schema.get("items"), root)] * schema.get("minItems", 0)
    if kind == "string":
        return "simulated".ljust(schema.get("minLength", 0), ".")[: schema.get("maxLength")]
    if kind in ("integer", "number"):
        return schema.get("minimum", schema.get("exclusiveMinimum", -1) + 1)
    return {"boolean": False}.get(kind if isinstance(kind, str) else "")


def _hashed(text: str, size: int) -> list[float]:
    """A unit vector of the words' hashes (Weinberger et al., Feature hashing, 2009)."""
    vector = [0.0] * size
    for word in _TOKEN.findall(text.lower()):
        number = int.from_bytes(hashlib.blake2b(word.encode("utf-8", "surrogatepass"), digest_size=8).digest())
        vector[(number >> 1) % size] += 1.0 if number & 1 else -1.0
    length = sum(value * value for value in vector) ** 0.5
    return [value / length for value in vector] if length else vector
