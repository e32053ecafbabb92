"""Who can answer: one adapter for each way of speaking to a model. Adding one is one new file and one line here.

An adapter turns a `ChatRequest` into its provider's body, sends it with the provider's own SDK as transport (imported on first call, its retries off, one client
for each endpoint), and turns what comes back into ours. It knows nothing of retries, budgets, caches or other adapters.

What adapters share: `wire.py` (errors, waits, clients), `sse.py` (events), `exchange.py` (a call and its stream over any SDK; `http_exchange.py` over none),
`answers.py` (answers out of what was read), `embeddings.py` (batches), `openai_api.py` (whoever speaks OpenAI's HTTP).
"""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from importlib import import_module
from typing import Any, Protocol

from ...knowledge.errors import unknown_name
from ...knowledge.vocabulary import ChatRequest, EmbeddingConfig, EmbeddingResponse, LLMResponse, StreamChunk

PROVIDERS = {
    "openai": "openai:OpenAIProvider",
    "anthropic": "anthropic:AnthropicProvider",
    "google": "google:GoogleProvider",
    "ollama": "ollama:OllamaProvider",
    "huggingface": "huggingface:HuggingFaceProvider",
    "openai_compatible": "openai_compatible:OpenAICompatibleProvider",
    "voyage": "voyage:VoyageProvider",
    "sentence_transformers": "sentence_transformers:SentenceTransformersProvider",
    "simulated": "simulated:SimulatedProvider",
}
"""Name → module of this package and class."""

_IN_CLOUD = r":(?:[^/:]*-)?cloud$"


class Provider(Protocol):
    """One way to reach models. Every method raises only `RactoGatewayError`s (and cancellation)."""

    name: str
    local: bool
    """Its server runs on this machine or net. What it serves costs nothing and is tried before the others, unless `in_cloud`."""
    capabilities: frozenset[str]
    """Of `chat`, `stream`, `embed`, `tools`, `schema`, `images`, `documents`, `reasoning`."""

    async def chat(self, request: ChatRequest) -> LLMResponse:
        """One answer."""
        ...

    def stream(self, request: ChatRequest) -> AsyncIterator[StreamChunk]:
        """One answer as it is made; closing the iterator closes the line."""
        ...

    async def embed(self, config: EmbeddingConfig, model: str) -> EmbeddingResponse:
        """The vectors of the texts, in their order, in as many calls as the provider's batch limit asks."""
        ...

    async def models(self) -> list[dict[str, Any]]:
        """What the provider says of its models, each with at least `id`."""
        ...

    async def aclose(self) -> None:
        """Close what is open."""
        ...


def in_cloud(model: str) -> bool:
    """Whether even a server on this machine passes a model's questions on: Ollama does so with `glm-4.6:cloud` or `gpt-oss:120b-cloud`.

    Only the name is looked at, so a copy of such a model under a plain name is not noticed.
    """
    return re.search(_IN_CLOUD, model, re.IGNORECASE) is not None


def make(name: str, **options: Any) -> Provider:
    """A new adapter.

    :param name: One of `PROVIDERS`.
    :param options: `api_key`, `base_url`, and what else the adapter's constructor names.
    :raises UnknownNameError: there is no such provider.
    """
    if name not in PROVIDERS:
        raise unknown_name("provider", name, PROVIDERS)
    module, _, cls = PROVIDERS[name].partition(":")
    provider: Provider = getattr(import_module(f".{module}", __name__), cls)(**options)
    return provider
