"""Servers that speak OpenAI's chat completions: vLLM, TGI, llama.cpp, LM Studio, OpenRouter, Mistral, and whoever else copied it."""

from __future__ import annotations

from dataclasses import dataclass

from ...knowledge.errors import ConfigError, unknown_name
from . import openai_chat
from .exchange import Key, is_local
from .openai_api import COPIES, OpenAIEndpoint
from .openai_chat import Quirks


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


class OpenAICompatibleProvider(OpenAIEndpoint):
    """One server that speaks OpenAI's chat completions.

    :param base_url: Up to and including `/v1`; `None` is where such a server usually is.
    :param api_key: `None` reads the environment variable of the hosted ones; a server of one's own mostly wants none.
    :param server: One of `SERVERS`. A hosted one also gives the provider its name.
    :raises ConfigError: a generic server without a base URL.
    """

    def __init__(self, base_url: str | None = None, api_key: Key = None, *, server: str = "generic") -> None:
        if server not in SERVERS:
            raise unknown_name("server", server, SERVERS)
        kind = SERVERS[server]
        url = base_url or kind.base_url
        if url is None:
            raise ConfigError(
                "An OpenAI-compatible server has no address of its own.",
                "Give base_url, e.g. http://localhost:8000/v1.",
            )
        self.local = is_local(url)
        self.capabilities = frozenset({"chat", "stream", "embed", "tools", "schema", "images", "reasoning"}) | (
            {"documents"} if kind.documents else set()
        )
        super().__init__(
            server if kind.key_variable else "openai_compatible",
            COPIES,
            openai_chat.form(kind.quirks),
            *filter(None, [kind.key_variable]),
            api_key=api_key,
            base_url=url,
            batch=_EMBED_BATCH,
        )
