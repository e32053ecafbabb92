"""The line to OpenAI, and to every server that copied its API: the SDK carries the bytes, requests and answers are ours."""

from __future__ import annotations

import asyncio
import json
import os
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Iterator, Mapping
from contextlib import AbstractContextManager, aclosing, suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, cast

from ...knowledge.errors import MalformedResponseError, RactoGatewayAuthError
from ...knowledge.vocabulary import (
    ChatRequest,
    EmbeddingConfig,
    EmbeddingResponse,
    EmbeddingVector,
    LLMResponse,
    StreamChunk,
)
from .answers import Accumulator, usage
from .wire import Dialect, PerLoop, api_error, events, guarded, paced, request_id

if TYPE_CHECKING:
    from openai import AsyncOpenAI


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


_DRAIN_SECONDS = 0.1


class OpenAIAPI:
    """One endpoint that speaks OpenAI's HTTP.

    :param provider: Whose name errors carry.
    :param api_key: The key; `None` reads `key_variable` from the environment at the first call.
    :param base_url: Up to and including `/v1`; `None` is OpenAI itself, or `OPENAI_BASE_URL`.
    :param key_variable: The environment variable of the key; "" when none is needed.
    :param headers: Sent with every call.
    :param query: Added to every URL.
    """

    def __init__(
        self,
        provider: str,
        dialect: Dialect,
        *,
        api_key: str | None,
        base_url: str | None,
        key_variable: str,
        headers: Mapping[str, str] | None = None,
        query: Mapping[str, str] | None = None,
    ) -> None:
        self.provider = provider
        self.dialect = dialect
        self.base_url = base_url
        self.key_variable = key_variable
        self._given_key = api_key
        self._headers = headers
        self._query = query
        self._clients: PerLoop[AsyncOpenAI] = PerLoop("openai", self._make, lambda client: client.close())

    @property
    def key(self) -> str:
        """The key calls are made with; "" for none."""
        return self._given_key or (os.environ.get(self.key_variable, "") if self.key_variable else "")

    def _make(self) -> AsyncOpenAI:
        from openai import AsyncOpenAI

        if not self.key and self.key_variable:
            raise RactoGatewayAuthError(
                f"There is no API key for {self.provider}.",
                f"Set {self.key_variable}, or pass api_key.",
                provider=self.provider,
            )
        return AsyncOpenAI(
            # The SDK wants some key even where the server wants none.
            api_key=self.key or "none",
            base_url=self.base_url,
            max_retries=0,
            default_headers=self._headers,
            default_query=self._query,
        )

    async def chat(self, form: Form, request: ChatRequest) -> LLMResponse:
        """One answer."""
        body = form.body(request, False)
        with self._guarded(request.model):
            data, headers = await self._post(form.path, body, request.model, request.timeout)
            return form.read(data, self.provider, request.model, request_id(headers))

    async def stream(self, form: Form, request: ChatRequest) -> AsyncIterator[StreamChunk]:
        """One answer as it is made."""
        body = form.body(request, True)
        whole = Accumulator(self.provider, request.model)
        with self._guarded(request.model):
            client = await self._clients.get()
            from openai import AsyncStream

            async with asyncio.timeout(request.timeout):
                sent = await client.post(
                    form.path,
                    cast_to=object,
                    body=body,
                    options=_options(request.timeout),
                    stream=True,
                    stream_cls=AsyncStream[object],
                )
            response = sent.response
            whole.request_id = request_id(response.headers)
            try:
                async with aclosing(
                    cast("AsyncGenerator[tuple[str, str], None]", paced(events(response), request.timeout))
                ) as told:
                    async for _, data in told:
                        if data == "[DONE]":
                            await _drain(told)
                            break
                        event = self._object(data, request.model, response.headers)
                        whole.events.append(event)
                        for chunk in form.feed(event, whole):
                            yield chunk
            finally:
                await response.aclose()
            yield whole.final()

    async def embed(self, config: EmbeddingConfig, model: str, *, batch: int) -> EmbeddingResponse:
        """The vectors of the texts, in their order.

        :param batch: How many texts one call may carry.
        """
        wanted: dict[str, Any] = {"model": model, "encoding_format": "float"}
        if config.dimensions is not None:
            wanted["dimensions"] = config.dimensions
        vectors: list[EmbeddingVector] = []
        answers: list[dict[str, Any]] = []
        with self._guarded(model):
            for first in range(0, len(config.texts), batch):
                texts = config.texts[first : first + batch]
                data, _ = await self._post("/embeddings", {**config.extra, **wanted, "input": texts}, model, None)
                told = {item.get("index", place): item["embedding"] for place, item in enumerate(data["data"])}
                vectors += [
                    EmbeddingVector(index=first + place, text=text, embedding=told[place])
                    for place, text in enumerate(texts)
                ]
                answers.append(data)
        counts = [answer.get("usage") or {} for answer in answers]
        return EmbeddingResponse(
            vectors=vectors,
            model=str(answers[0].get("model") or model),
            provider=self.provider,
            usage=usage(sum(count.get("prompt_tokens") or 0 for count in counts), 0) if any(counts) else {},
            raw=answers[0] if len(answers) == 1 else answers,
        )

    async def models(self) -> list[dict[str, Any]]:
        """What the endpoint says of its models."""
        with self._guarded():
            client = await self._clients.get()
            import httpx2

            response = await client.get("/models", cast_to=httpx2.Response)
            return [
                {**entry, "id": str(entry["id"])}
                for entry in self._object(response.content, "", response.headers)["data"]
            ]

    async def aclose(self) -> None:
        """Close the running loop's client."""
        await self._clients.aclose()

    def _guarded(self, model: str = "") -> AbstractContextManager[None]:
        return guarded(self.provider, model, dialect=self.dialect, secret=self.key)

    async def _post(
        self, path: str, body: dict[str, Any], model: str, seconds: float | None
    ) -> tuple[dict[str, Any], Mapping[str, str]]:
        client = await self._clients.get()
        import httpx2

        async with asyncio.timeout(seconds):
            response = await client.post(path, cast_to=httpx2.Response, body=body, options=_options(seconds))
        return self._object(response.content, model, response.headers), response.headers

    def _object(self, text: str | bytes, model: str, headers: Mapping[str, str]) -> dict[str, Any]:
        """The JSON object a text is.

        :raises RactoGatewayAPIError: it is an error, though the status was 200.
        """
        data = json.loads(text)
        if not isinstance(data, dict):
            raise MalformedResponseError(f"The answer of {self.provider} is not a JSON object.", "Try again.")
        within = data.get("response")  # the event of a response that failed
        failed = within if isinstance(within, dict) and within.get("error") else data
        if failed.get("error") or "error" in (data.get("object"), data.get("type")):
            raise api_error(
                None, failed, headers, provider=self.provider, model=model, dialect=self.dialect, secret=self.key
            )
        return data


def _options(seconds: float | None) -> Any:
    return {} if seconds is None else {"timeout": seconds}


async def _drain(told: AsyncIterator[Any]) -> None:
    """Read on to the end, so that the line can carry the next call; a server that does not end it is not waited for."""
    with suppress(TimeoutError):
        async with asyncio.timeout(_DRAIN_SECONDS):
            async for _ in told:
                pass
