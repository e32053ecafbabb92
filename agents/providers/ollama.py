"""Ollama's own API: a window that always fits, models that are pulled, shown, loaded; no SDK.

Its SDK drops keywords of a tool's schema that it does not know and the headers of an error (`Retry-After`); httpx2 does neither.
"""

from __future__ import annotations

import ipaddress
import json
import os
import re
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Mapping
from contextlib import aclosing, suppress
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from ...knowledge.errors import (
    ConfigError,
    ConnectionLostError,
    ModelNotAvailableError,
    RactoGatewayAPIError,
    RactoGatewayError,
)
from ...knowledge.vocabulary import (
    ChatRequest,
    EmbeddingConfig,
    EmbeddingResponse,
    LLMResponse,
    StreamChunk,
)
from .embeddings import Embedded, batches, embed
from .exchange import Response, is_local
from .http_exchange import HTTPExchange, lines_of
from .ollama_chat import PROVIDER, ModelFacts, OllamaTurn, body, context_for, grounded
from .wire import Dialect

DEFAULT_URL = "http://localhost:11434"

DIALECT = Dialect(
    overflow=re.compile(
        r"exceed_context_size|exceeds the (?:available )?context (?:size|length)|prompt is longer than the context"
        r"|input exceeds maximum context length",
        re.IGNORECASE,
    ),
    missing=re.compile(
        r"model ['\"].*['\"] not found|pull model manifest|try pulling it|requires more system memory|(?:unable|failed) to load",
        re.IGNORECASE,
    ),
    unsupported=re.compile(r"does not support (?P<name>\w+)", re.IGNORECASE),
    exhausted=re.compile(r"usage limit|requires a subscription", re.IGNORECASE),
    parameters={
        "thinking": "reasoning",
        "think": "reasoning",
        "vision": "attachments",
        "images": "attachments",
        "format": "response_schema",
    },
)

_BUSY = re.compile(r"server busy|overloaded|maximum pending requests", re.IGNORECASE)
_TOO_LARGE = re.compile(r"memory|to load", re.IGNORECASE)
_EMBED_BATCH = 512
_DETECT_SECONDS = 1.0


@dataclass(frozen=True, slots=True)
class PullProgress:
    """How far the download of a model is.

    :param status: In Ollama's words, `success` at the end.
    :param completed: Bytes that are here, of all layers so far.
    :param total: Bytes of all layers that Ollama told of so far; it grows while it tells.
    """

    status: str
    completed: int = 0
    total: int = 0


def ollama_url(host: str | None) -> str:
    """The base URL that a value of `OLLAMA_HOST` means: scheme, port or both may be missing.

    An address to listen on, such as `0.0.0.0`, becomes the one to call.

    :raises ConfigError: it is no address.
    """
    given = (host or "").strip().strip("\"'").rstrip("/")
    if not given:
        return DEFAULT_URL
    scheme, found, _ = given.partition("://")
    try:
        url = urlsplit(given if found else f"http://{given}")
        usual = {"http": 80, "https": 443}[scheme] if found else 11434
        port = url.port or usual
    except (ValueError, KeyError):
        raise ConfigError(
            "The address of Ollama cannot be understood.", "Write it as http://localhost:11434."
        ) from None
    name = url.hostname or "127.0.0.1"
    with suppress(ValueError):
        address = ipaddress.ip_address(name)
        if address.is_unspecified:
            address = ipaddress.ip_address("127.0.0.1" if address.version == 4 else "::1")
        name = f"[{address}]" if address.version == 6 else str(address)
    user, at, _ = url.netloc.rpartition("@")
    return f"{url.scheme}://{user}{at}{name}:{port}{url.path}"


class _OllamaExchange(HTTPExchange):
    """With Ollama's ways of failing, and what to do about them."""

    def refuse(
        self, status: int | None, body: Any, headers: Mapping[str, str], model: str = "", wait: float | None = None
    ) -> RactoGatewayAPIError:
        """As `Exchange.refuse`; an error within an answer has no status, so it is read from the words."""
        if isinstance(body, bytes | str):
            body = _parsed(body)
        told = body.get("error") if isinstance(body, dict) else body
        if isinstance(told, str) and isinstance(inner := _parsed(told), dict):
            body = inner  # what the runner said, wrapped as text
        error = super().refuse(status or (503 if _BUSY.search(str(told)) else 500), body, headers, model, wait)
        if isinstance(error, ModelNotAvailableError) and model:
            error.hint = (
                "Take a smaller model, or free some memory."
                if _TOO_LARGE.search(error.message)
                else f"Run `ollama pull {model}`; `ollama list` shows what is there."
            )
        return error

    def nobody(self) -> ConnectionLostError:
        """The error of a base URL where nobody answers."""
        return ConnectionLostError(
            f"Ollama does not answer at {self.shown_url}.", "Start it with `ollama serve`, or set OLLAMA_HOST."
        )


def _parsed(text: bytes | str) -> Any:
    try:
        return json.loads(text)
    except ValueError:
        return text


class OllamaProvider:
    """An Ollama server.

    :param base_url: `None` reads `OLLAMA_HOST`, or is `http://localhost:11434`.
    :param api_key: Only for a server behind a proxy, or ollama.com; `None` reads `OLLAMA_API_KEY`.
    :param keep_alive: How long a model stays loaded after a call, as seconds or `"10m"`; -1 for ever, `None` for the server's own.
    """

    name = PROVIDER
    capabilities = frozenset({"chat", "stream", "embed", "tools", "schema", "images", "reasoning"})

    def __init__(
        self, base_url: str | None = None, api_key: str | None = None, *, keep_alive: str | float | None = None
    ) -> None:
        url = ollama_url(base_url or os.environ.get("OLLAMA_HOST"))
        self.base_url = url
        self.local = is_local(url)
        self._exchange = _OllamaExchange(
            PROVIDER, DIALECT, url, api_key, "OLLAMA_API_KEY", needs_key=False, direct=self.local
        )
        self._stay: dict[str, Any] = {} if keep_alive is None else {"keep_alive": keep_alive}
        self._facts: dict[str, ModelFacts] = {}
        self._contexts: dict[
            str, int
        ] = {}  # the windows that models answered with: one too large for the memory is not kept

    async def chat(self, request: ChatRequest) -> LLMResponse:
        """One answer."""
        sent, turn = await self._prepared(request, stream=False)
        with self._exchange.guarded(request.model):
            data, headers = await self._exchange.fetch(self._ask(request, sent), request.model, request.timeout)
            self._contexts[request.model] = turn.context
            return self._exchange.whole(request, data, headers, turn, data)

    async def stream(self, request: ChatRequest) -> AsyncIterator[StreamChunk]:
        """One answer as it is made."""
        sent, turn = await self._prepared(request, stream=True)
        async with aclosing(self._exchange.stream(request, lambda: self._ask(request, sent), turn, lines_of)) as chunks:
            async for chunk in chunks:
                self._contexts[request.model] = turn.context
                yield chunk

    async def _prepared(self, request: ChatRequest, *, stream: bool) -> tuple[dict[str, Any], OllamaTurn]:
        """The body, and what will read the answer."""
        request = grounded(request)
        facts = await self.facts(request.model, request.timeout)
        context = context_for(request, facts, self._contexts.get(request.model, 0))
        sent = self._stay | body(request, facts, context, stream=stream)
        return sent, OllamaTurn(request, sent["options"]["num_ctx"])

    def _ask(self, request: ChatRequest, sent: dict[str, Any]) -> Awaitable[Response]:
        return self._exchange.post("/api/chat", sent, request.model, request.timeout)

    async def embed(self, config: EmbeddingConfig, model: str) -> EmbeddingResponse:
        """The vectors of the texts, in their order."""
        wanted = self._stay | config.extra | {"model": model}
        if config.dimensions is not None:
            wanted["dimensions"] = config.dimensions

        async def call(texts: list[str]) -> Embedded:
            sent = self._exchange.post("/api/embed", wanted | {"input": texts}, model)
            data, _ = await self._exchange.fetch(sent, model)
            return Embedded(data["embeddings"], data, data.get("prompt_eval_count"), str(data.get("model") or ""))

        with self._exchange.guarded(model):
            return await embed(PROVIDER, model, batches(config.texts, _EMBED_BATCH), call)

    async def models(self) -> list[dict[str, Any]]:
        """The models that are here: size in bytes, family, quantisation."""
        with self._exchange.guarded():
            data, _ = await self._exchange.fetch(self._exchange.get("/api/tags"))
            return [{**entry, "id": str(entry.get("model") or entry["name"])} for entry in data["models"]]

    async def detect(self) -> str | None:
        """The version of the server, `None` when there is none within a second."""
        try:
            with self._exchange.guarded():
                data, _ = await self._exchange.fetch(
                    self._exchange.get("/api/version", _DETECT_SECONDS), seconds=_DETECT_SECONDS
                )
                return str(data["version"])
        except RactoGatewayError:
            return None

    async def facts(self, model: str, seconds: float | None = None) -> ModelFacts:
        """What a model can do and how much it can read, asked once.

        :raises ModelNotAvailableError: it is not here.
        """
        if model not in self._facts:
            with self._exchange.guarded(model):
                shown, _ = await self._exchange.fetch(
                    self._exchange.post("/api/show", {"model": model}, model, seconds), model, seconds
                )
                self._facts[model] = ModelFacts.read(shown)
        return self._facts[model]

    async def preload(self, model: str, *, context: int = 0) -> None:
        """Load a model before its first question.

        :param context: The window to load it with, in tokens, so that the first question does not load it again; 0 for the smallest.
        """
        facts = await self.facts(model)
        size = context_for(ChatRequest(model, [], max_tokens=max(1, context)), facts, self._contexts.get(model, 0))
        await self._load(self._stay | {"model": model, "messages": [], "stream": False, "options": {"num_ctx": size}})
        self._contexts[model] = size

    async def unload(self, model: str) -> None:
        """Free the memory of a model."""
        self._contexts.pop(model, None)
        await self._load({"model": model, "messages": [], "stream": False, "keep_alive": 0})

    async def _load(self, sent: dict[str, Any]) -> None:
        model = str(sent["model"])
        with self._exchange.guarded(model):
            await self._exchange.fetch(self._exchange.post("/api/chat", sent, model), model)

    async def pull(self, model: str) -> AsyncGenerator[PullProgress, None]:
        """Download a model; the last progress is `success`. Closing the iterator stops the download, which the next pull resumes.

        :raises ModelNotAvailableError: there is no such model to download.
        :raises ConnectionLostError: it ended before it was whole.
        """
        layers: dict[str, tuple[int, int]] = {}
        status = ""
        with self._exchange.guarded(model):
            response = await self._exchange.post("/api/pull", {"model": model, "stream": True}, model)
            try:
                async with aclosing(lines_of(response)) as lines:
                    async for line in lines:
                        told = self._exchange.object(line, response.headers, model)
                        status = str(told.get("status") or status)
                        if digest := told.get("digest"):
                            layers[digest] = (int(told.get("completed") or 0), int(told.get("total") or 0))
                        done, total = (sum(layer[part] for layer in layers.values()) for part in (0, 1))
                        yield PullProgress(status, done, total)
            finally:
                await response.aclose()
            if status != "success":
                raise ConnectionLostError(f"The download of {model} ended before it was whole.", "Pull it again.")
        self._facts.pop(model, None)

    async def aclose(self) -> None:
        """Close what is open."""
        await self._exchange.aclose()
