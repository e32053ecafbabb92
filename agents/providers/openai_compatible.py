"""Servers that speak OpenAI's chat completions: vLLM, TGI, llama.cpp, LM Studio, OpenRouter, Mistral, and whoever else copied it."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from ...knowledge.errors import ConfigError, unknown_name
from ...knowledge.vocabulary import ChatRequest, EmbeddingConfig, EmbeddingResponse, LLMResponse, StreamChunk
from . import openai_chat
from .openai_api import OpenAIAPI
from .openai_chat import Quirks
from .wire import Dialect

DIALECT = Dialect(
    overflow=re.compile(
        r"context_length_exceeded|exceed_context_size|maximum context length|available context size|maximum model length"
        r"|inputs. tokens \+ .max_new_tokens|too large for model|greater than the context length|context the overflows",
        re.IGNORECASE,
    ),
    missing=re.compile(
        r"model_not_found|invalid_model|is not a valid model|no endpoints found for|model .* (?:does not exist|not found)",
        re.IGNORECASE,
    ),
    unsupported=re.compile(
        r"(?:unsupported|unrecognized|unknown|extra_forbidden|unexpected)[ _](?:parameter|value|field|argument|request argument)[\w ]*:? *['\"`]?(?P<name>[\w.]+)"
        r"|['\"`](?P<which>[\w.]+)['\"`] is not supported",
        re.IGNORECASE,
    ),
    exhausted=re.compile(r"insufficient_quota|insufficient credits|quota exceeded", re.IGNORECASE),
    parameters={"random_seed": "seed", "reasoning_effort": "reasoning", "response_format": "response_schema"},
)


@dataclass(frozen=True, slots=True)
class Server:
    """One kind of server.

    :param base_url: Where it is when nobody says.
    :param key_variable: The environment variable of its key; "" when it wants none.
    :param documents: Whether it reads PDF.
    """

    base_url: str | None
    quirks: Quirks
    key_variable: str = ""
    documents: bool = False


_LOCAL = Quirks(max_tokens="max_tokens", strict=False)

SERVERS = {
    "generic": Server(None, _LOCAL),
    "vllm": Server("http://localhost:8000/v1", _LOCAL),
    "tgi": Server("http://localhost:8080/v1", _LOCAL),
    "llamacpp": Server("http://localhost:8080/v1", _LOCAL),
    "lmstudio": Server("http://localhost:1234/v1", _LOCAL),
    "openrouter": Server(
        "https://openrouter.ai/api/v1",
        Quirks(max_tokens="max_tokens", reasoning_object=True),
        "OPENROUTER_API_KEY",
        documents=True,
    ),
    "mistral": Server(
        "https://api.mistral.ai/v1",
        Quirks(max_tokens="max_tokens", seed="random_seed", required="any", stream_usage=False),
        "MISTRAL_API_KEY",
    ),
}
"""Name → what is known of such servers. A new one is one line."""

_EMBED_BATCH = 256


class OpenAICompatibleProvider:
    """One server that speaks OpenAI's chat completions.

    :param base_url: Up to and including `/v1`; `None` is where such a server usually is.
    :param api_key: `None` reads the environment variable of the hosted ones; a server of one's own mostly wants none.
    :param server: One of `SERVERS`. A hosted one also gives the provider its name.
    :raises ConfigError: a generic server without a base URL.
    """

    def __init__(self, base_url: str | None = None, api_key: str | None = None, *, server: str = "generic") -> None:
        if server not in SERVERS:
            raise unknown_name("server", server, SERVERS)
        kind = SERVERS[server]
        url = base_url or kind.base_url
        if url is None:
            raise ConfigError(
                "An OpenAI-compatible server has no address of its own.",
                "Give base_url, e.g. http://localhost:8000/v1.",
            )
        self.name = server if kind.key_variable else "openai_compatible"
        self.local = is_local(url)
        self.capabilities = frozenset({"chat", "stream", "embed", "tools", "schema", "images", "reasoning"}) | (
            {"documents"} if kind.documents else set()
        )
        self._form = openai_chat.form(kind.quirks)
        self._api = OpenAIAPI(self.name, DIALECT, api_key=api_key, base_url=url, key_variable=kind.key_variable)

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
        """What the server says of its models."""
        return await self._api.models()

    async def aclose(self) -> None:
        """Close what is open."""
        await self._api.aclose()


def is_local(url: str) -> bool:
    """Whether a URL points to this machine or its own net: a loopback or private address, or a name without a domain."""
    host = urlsplit(url).hostname or ""
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return "." not in host or host.endswith((".local", ".localhost", ".internal"))
    return address.is_loopback or address.is_private
