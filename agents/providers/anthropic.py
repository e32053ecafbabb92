"""Anthropic's Messages API, version 2026-10-21."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Awaitable
from contextlib import aclosing
from typing import TYPE_CHECKING, Any, cast

from ...knowledge.errors import ModelNotAvailableError
from ...knowledge.vocabulary import ChatRequest, EmbeddingConfig, EmbeddingResponse, LLMResponse, StreamChunk
from .anthropic_messages import PROVIDER, AnthropicTurn, as_events, body
from .exchange import Exchange, Key, Response
from .wire import Dialect, PerLoop

if TYPE_CHECKING:
    from anthropic import AsyncAnthropic

DIALECT = Dialect(
    overflow=r"prompt is too long|exceeds? (?:the )?context (?:limit|window)",
    unsupported=(
        r"(?P<unknown>[\w.]+): Extra inputs are not permitted|does not support [\w ]*?(?P<unable>thinking|effort|structured outputs)"
        r"|[`'\"](?P<off>[\w.]+)[`'\"] (?:is|are) (?:not|no longer|deprecated)"
    ),
    exhausted=r"credit balance|spend limit|usage limits?|usage threshold",
    parameters={
        "stop_sequences": "stop",
        "thinking": "reasoning",
        "effort": "reasoning",
        "output_config.effort": "reasoning",
        "output_config.format": "response_schema",
        "structured outputs": "response_schema",
        "tool_choice.disable_parallel_tool_use": "parallel_tool_calls",
    },
)


class AnthropicProvider:
    """Claude, from Anthropic or from a server that speaks as it does.

    :param api_key: `None` reads `ANTHROPIC_API_KEY`.
    :param base_url: Another endpoint, without `/v1`; `None` reads `ANTHROPIC_BASE_URL`, or is Anthropic itself.
    """

    name = PROVIDER
    local = False
    capabilities = frozenset({"chat", "stream", "tools", "schema", "images", "documents", "reasoning"})

    def __init__(self, api_key: Key = None, base_url: str | None = None) -> None:
        self._exchange = Exchange(PROVIDER, DIALECT, api_key, "ANTHROPIC_API_KEY")
        self._base_url = base_url
        self._clients: PerLoop[AsyncAnthropic] = PerLoop(
            "anthropic", self._make, lambda client: client.close(), self._exchange.unlock
        )

    def _make(self) -> AsyncAnthropic:
        from anthropic import AsyncAnthropic

        # Its own spans would count every call twice.
        return AsyncAnthropic(
            api_key=self._exchange.needed_key(), base_url=self._base_url, max_retries=0, open_telemetry=False
        )

    async def _client(self, model: str = "") -> AsyncAnthropic:
        with self._exchange.guarded(model):
            return await self._clients.get()

    async def chat(self, request: ChatRequest) -> LLMResponse:
        """One answer."""
        client = await self._client(request.model)
        sent = body(request)
        with self._exchange.guarded(request.model):
            data, headers = await self._exchange.fetch(_post(client, sent, request), request.model, request.timeout)
            return self._exchange.whole(request, data, headers, AnthropicTurn(), *as_events(data))

    async def stream(self, request: ChatRequest) -> AsyncIterator[StreamChunk]:
        """One answer as it is made."""
        client = await self._client(request.model)
        sent = {**body(request), "stream": True}
        async with aclosing(
            self._exchange.stream(request, lambda: _post(client, sent, request), AnthropicTurn())
        ) as chunks:
            async for chunk in chunks:
                yield chunk

    async def embed(self, config: EmbeddingConfig, model: str) -> EmbeddingResponse:
        """
        :raises ModelNotAvailableError: always; Anthropic has no embeddings.
        """
        raise ModelNotAvailableError(
            "Anthropic has no embedding models.",
            "Embed with openai, google, voyage or a local model.",
            provider=PROVIDER,
            model=model,
        )

    async def models(self) -> list[dict[str, Any]]:
        """What Anthropic says of its models: limits, capabilities, dates of their lives."""
        client = await self._client()
        listed: list[dict[str, Any]] = []
        query: dict[str, Any] = {"limit": 1000}
        with self._exchange.guarded():
            while True:
                data, _ = await self._exchange.fetch(_get(client, "/v1/models", query))
                listed += [{**entry, "id": str(entry["id"])} for entry in data["data"]]
                if not data.get("has_more"):
                    return listed
                query["after_id"] = data["last_id"]

    async def aclose(self) -> None:
        """Close what is open."""
        await self._clients.aclose()


def _post(client: AsyncAnthropic, body: dict[str, Any], request: ChatRequest) -> Awaitable[Response]:
    # Written here, the SDK does not walk through it; its own form is the same JSON.
    content = json.dumps(body, ensure_ascii=False, separators=(",", ":")).encode()
    return _unread(client.post, "/v1/messages", content=content, options=_options(request.timeout))


def _get(client: AsyncAnthropic, path: str, query: dict[str, Any]) -> Awaitable[Response]:
    return _unread(client.get, path, options={"params": query})


def _unread(call: Any, path: str, **arguments: Any) -> Awaitable[Response]:
    """The response as it comes, its body not read: asked for this type, the SDK reads nothing into one of its own."""
    import httpx2

    return cast("Awaitable[Response]", call(path, cast_to=httpx2.Response, stream=True, **arguments))


def _options(seconds: float | None) -> dict[str, Any]:
    return {} if seconds is None else {"timeout": seconds}
