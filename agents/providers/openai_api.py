"""What providers share that speak OpenAI's HTTP: its SDK carries the bytes, requests and answers are ours."""

from __future__ import annotations

import os
from collections.abc import AsyncGenerator, Callable, Iterator, Mapping
from contextlib import aclosing
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any, cast

from ...knowledge.vocabulary import ChatRequest, EmbeddingConfig, EmbeddingResponse, LLMResponse, StreamChunk
from .answers import Accumulator
from .embeddings import Embedded, batches, embed
from .exchange import Exchange, Key, Response, drain
from .sse import events
from .wire import Dialect, PerLoop, request_id

if TYPE_CHECKING:
    from openai import AsyncOpenAI


COPIES = Dialect(
    overflow=(
        r"context_length_exceeded|exceed_context_size|maximum context length|available context size|maximum model length"
        r"|inputs. tokens \+ .max_new_tokens|too large for model|greater than the context length|context the overflows"
    ),
    missing=r"model_not_found|invalid_model|is not a valid model|no endpoints found for|model .* (?:does not exist|not found)",
    unsupported=(
        r"(?:unsupported|unrecognized|unknown|unexpected)[ _](?:parameter|value|field|argument|request argument)"
        r"[\w ]*:? *['\"`]?(?P<named>[\w.]+)"
        r"|['\"`](?P<quoted>[\w.]+)['\"`] is not supported"
        r"|extra_forbidden\W+loc\W+body\W+(?P<place>\w+)"  # as pydantic says it, in vLLM and Mistral
    ),
    exhausted=r"insufficient_quota|insufficient credits|quota exceeded",
    parameters={"random_seed": "seed", "reasoning_effort": "reasoning", "response_format": "response_schema"},
)
"""How the servers that copied OpenAI's HTTP word their errors."""


@dataclass(frozen=True, slots=True)
class Form:
    """One form of OpenAI's two to chat in: where it is sent, how it is said, how it is read.

    :param body: Makes a body of a request; the second argument says whether to stream.
    :param read: Makes an answer of a JSON object, the provider, the model asked and the request id.
    :param feed: Makes chunks of one event of a stream.
    """

    path: str
    body: Callable[[ChatRequest, bool], dict[str, Any]]
    read: Callable[[dict[str, Any], str, str, str | None], LLMResponse]
    feed: Callable[[dict[str, Any], Accumulator], Iterator[StreamChunk]]


class OpenAIEndpoint:
    """One endpoint that speaks OpenAI's HTTP: all of a `Provider` but what tells it from the others.

    :param form: How it chats.
    :param api_key: As an `Exchange` takes it.
    :param base_url: Up to and including `/v1`; `None` is OpenAI itself, or `OPENAI_BASE_URL`.
    :param key_variables: Environment variables of the key; none when a key is not needed.
    :param batch: How many texts one call of `/embeddings` may carry.
    :param batch_bytes: How long they may be together, in bytes of UTF-8.
    """

    def __init__(
        self,
        name: str,
        dialect: Dialect,
        form: Form,
        *key_variables: str,
        api_key: Key,
        base_url: str | None,
        batch: int,
        batch_bytes: int | None = None,
    ) -> None:
        self.name = name
        self._form = form
        self._base_url = base_url
        self._batch = batch
        self._batch_bytes = batch_bytes
        self._needs_key = bool(key_variables)
        self._exchange = _OpenAIExchange(name, dialect, api_key, *key_variables)
        self._clients: PerLoop[AsyncOpenAI] = PerLoop(
            "openai", self._make, lambda client: client.close(), self._exchange.unlock
        )

    def _make(self) -> AsyncOpenAI:
        from openai import AsyncOpenAI

        # The SDK wants some key even where the server wants none.
        key = self._exchange.needed_key() if self._needs_key else self._exchange.key or "none"
        others = {} if self.name == "openai" else _not_for_others(key)
        return AsyncOpenAI(api_key=key, base_url=self._base_url, max_retries=0, default_headers=others)

    async def chat(self, request: ChatRequest) -> LLMResponse:
        """One answer."""
        body = self._form.body(request, False)
        with self._exchange.guarded(request.model):
            await self._clients.get()  # importing the SDK is no part of the call's time
            sent = self._post(self._form.path, body, request.timeout)
            data, headers = await self._exchange.fetch(sent, request.model, request.timeout)
            return self._form.read(data, self.name, request.model, request_id(headers))

    async def stream(self, request: ChatRequest) -> AsyncGenerator[StreamChunk, None]:
        """One answer as it is made."""
        body = self._form.body(request, True)
        with self._exchange.guarded(request.model):
            await self._clients.get()
        sent = partial(self._open, self._form.path, body, request.timeout)
        async with aclosing(self._exchange.stream(request, sent, _Turn(self._form.feed), _until_done)) as chunks:
            async for chunk in chunks:
                yield chunk

    async def embed(self, config: EmbeddingConfig, model: str) -> EmbeddingResponse:
        """The vectors of the texts, in their order."""
        wanted: dict[str, Any] = {**config.extra, "model": model, "encoding_format": "float"}
        if config.dimensions is not None:
            wanted["dimensions"] = config.dimensions

        async def call(texts: list[str]) -> Embedded:
            sent = self._post("/embeddings", {**wanted, "input": texts})
            data, _ = await self._exchange.fetch(sent, model)
            told = {item.get("index", place): item["embedding"] for place, item in enumerate(data["data"])}
            tokens = (data.get("usage") or {}).get("prompt_tokens")
            return Embedded([told[place] for place in sorted(told)], data, tokens, str(data.get("model") or ""))

        with self._exchange.guarded(model):
            return await embed(self.name, model, batches(config.texts, self._batch, self._batch_bytes), call)

    async def models(self) -> list[dict[str, Any]]:
        """What the endpoint says of its models."""
        with self._exchange.guarded():
            data, _ = await self._exchange.fetch(self._get("/models"))
            return [{**entry, "id": str(entry["id"])} for entry in data["data"]]

    async def aclose(self) -> None:
        """Close what is open."""
        await self._clients.aclose()

    async def _get(self, path: str) -> Response:
        client = await self._clients.get()
        import httpx2

        return await client.get(path, cast_to=httpx2.Response)

    async def _post(self, path: str, body: dict[str, Any], seconds: float | None = None) -> Response:
        client = await self._clients.get()
        import httpx2

        return await client.post(path, cast_to=httpx2.Response, body=body, options=_options(seconds))

    async def _open(self, path: str, body: dict[str, Any], seconds: float | None) -> Response:
        """The response of a stream, its body not yet read."""
        client = await self._clients.get()
        from openai import AsyncStream

        stream = await client.post(
            path, cast_to=object, body=body, options=_options(seconds), stream=True, stream_cls=AsyncStream[object]
        )
        return stream.response


class _OpenAIExchange(Exchange):
    """Errors inside answers, wherever OpenAI and its copies put them."""

    def object(self, text: str | bytes, headers: Mapping[str, str], model: str = "") -> dict[str, Any]:
        """As `Exchange.object`."""
        data = super().object(text, headers, model)
        failed = data.get("response")  # the last event of a response that failed
        if isinstance(failed, dict) and failed.get("error"):
            raise self.refuse(None, failed, headers, model)
        if "error" in (data.get("object"), data.get("type")):
            raise self.refuse(None, data, headers, model)
        return data


@dataclass(slots=True)
class _Turn:
    """The `Turn` of a form: its end is that of the body, or `[DONE]`."""

    feed: Callable[[dict[str, Any], Accumulator], Iterator[StreamChunk]]
    done: bool = False


async def _until_done(response: Response) -> AsyncGenerator[str, None]:
    """The data of every event before `[DONE]`."""
    async with aclosing(cast("AsyncGenerator[tuple[str, str], None]", events(response))) as told:
        async for _, data in told:
            if data == "[DONE]":
                await drain(told)
                return
            yield data


def _not_for_others(key: str) -> dict[str, str]:
    """Headers that undo what the SDK reads from the environment for OpenAI alone: who one is there, and what one sends there."""
    from openai import Omit

    lines = os.environ.get("OPENAI_CUSTOM_HEADERS", "").split("\n")
    names = [
        "OpenAI-Organization",
        "OpenAI-Project",
        *(line.partition(":")[0].strip() for line in lines if ":" in line),
    ]
    left_out: dict[str, Any] = {name: Omit() for name in names if name.lower() != "authorization"}
    return {**left_out, "Authorization": f"Bearer {key}"}


def _options(seconds: float | None) -> Any:
    return {} if seconds is None else {"timeout": seconds}
