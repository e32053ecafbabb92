"""OpenAI: chat completions, or the Responses API when asked for."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from typing import Any, Literal

from ...knowledge.vocabulary import ChatRequest, EmbeddingConfig, EmbeddingResponse, LLMResponse, StreamChunk
from . import openai_chat, openai_responses
from .openai_api import OpenAIAPI
from .wire import Dialect

DIALECT = Dialect(
    overflow=re.compile(
        r"context_length_exceeded|maximum context length|exceeds the context window|string_above_max_length",
        re.IGNORECASE,
    ),
    missing=re.compile(r"model_not_found|the model .* does not exist", re.IGNORECASE),
    unsupported=re.compile(
        r"unsupported_parameter|unsupported_value|unknown_parameter|(?:unsupported|unrecognized|unknown) (?:parameter|request argument)"
        r"[\w ]*: '?(?P<name>[\w.]+)",
        re.IGNORECASE,
    ),
    exhausted=re.compile(r"insufficient_quota|billing_hard_limit_reached|exceeded your current quota", re.IGNORECASE),
    parameters={
        "max_completion_tokens": "max_tokens",
        "max_output_tokens": "max_tokens",
        "reasoning_effort": "reasoning",
        "reasoning.effort": "reasoning",
        "reasoning.summary": "reasoning",
        "response_format": "response_schema",
        "text.format": "response_schema",
    },
)

_EMBED_BATCH = 2048


class OpenAIProvider:
    """OpenAI, or a proxy or Azure resource that speaks exactly as it does.

    :param api_key: `None` reads `OPENAI_API_KEY` at the first call.
    :param base_url: Another endpoint; `None` reads `OPENAI_BASE_URL`, or is OpenAI itself.
    :param api: `chat` for chat completions, `responses` for the Responses API.
    """

    name = "openai"
    local = False
    capabilities = frozenset({"chat", "stream", "embed", "tools", "schema", "images", "documents", "reasoning"})

    def __init__(
        self, api_key: str | None = None, base_url: str | None = None, *, api: Literal["chat", "responses"] = "chat"
    ) -> None:
        self._api = OpenAIAPI(self.name, DIALECT, api_key=api_key, base_url=base_url, key_variable="OPENAI_API_KEY")
        self._form = openai_chat.form(openai_chat.Quirks()) if api == "chat" else openai_responses.FORM

    async def chat(self, request: ChatRequest) -> LLMResponse:
        """One answer."""
        return await self._api.chat(self._form, request)

    def stream(self, request: ChatRequest) -> AsyncIterator[StreamChunk]:
        """One answer as it is made."""
        return self._api.stream(self._form, request)

    async def embed(self, config: EmbeddingConfig, model: str) -> EmbeddingResponse:
        """The vectors of the texts, in their order."""
        return await self._api.embed(config, model, batch=_EMBED_BATCH)

    async def models(self) -> list[dict[str, Any]]:
        """What OpenAI says of the models the key may use."""
        return await self._api.models()

    async def aclose(self) -> None:
        """Close what is open."""
        await self._api.aclose()
