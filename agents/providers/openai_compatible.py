"""Servers that speak OpenAI's chat completions: vLLM, TGI, llama.cpp, LM Studio, OpenRouter, Mistral, and whoever else copied it."""

from __future__ import annotations

import ipaddress
import re
from dataclasses import dataclass
from urllib.parse import urlsplit

from ...knowledge.errors import ConfigError, unknown_name
from . import openai_chat
from .openai_api import OpenAIEndpoint
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
        r"(?:unsupported|unrecognized|unknown|unexpected)[ _](?:parameter|value|field|argument|request argument)"
        r"[\w ]*:? *['\"`]?(?P<named>[\w.]+)"
        r"|['\"`](?P<quoted>[\w.]+)['\"`] is not supported"
        r"|extra_forbidden\W+loc\W+body\W+(?P<place>\w+)",  # as pydantic says it, in vLLM and Mistral
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


class OpenAICompatibleProvider(OpenAIEndpoint):
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
        self.local = is_local(url)
        self.capabilities = frozenset({"chat", "stream", "embed", "tools", "schema", "images", "reasoning"}) | (
            {"documents"} if kind.documents else set()
        )
        super().__init__(
            server if kind.key_variable else "openai_compatible",
            DIALECT,
            openai_chat.form(kind.quirks),
            *filter(None, [kind.key_variable]),
            api_key=api_key,
            base_url=url,
            batch=_EMBED_BATCH,
        )


def is_local(url: str) -> bool:
    """Whether a URL points to this machine or its own net: a loopback or private address, or a name without a domain."""
    host = urlsplit(url).hostname or ""
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return "." not in host or host.endswith((".local", ".localhost", ".internal"))
    return address.is_loopback or address.is_private
