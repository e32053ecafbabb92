"""Ollama's own API: a window that always fits, models that are listed, downloaded, loaded.

Its SDK manages the models. Questions and texts to embed go over httpx2: from a question the SDK drops what it does not know of a tool's
schema and the id of the call that a result belongs to, it cuts answers at U+2028, which JSON allows within a text, and it takes as long.
`/api/show` goes with the questions, so that they need no SDK; `/api/version` the SDK does not have.
"""

from __future__ import annotations

import asyncio
import ipaddress
import json
import os
import re
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Mapping
from contextlib import aclosing, asynccontextmanager, suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, cast
from urllib.parse import unquote, urlsplit

from ...knowledge.errors import (
    ConfigError,
    ConnectionLostError,
    ContextLengthError,
    ModelNotAvailableError,
    RactoGatewayAPIError,
    RactoGatewayError,
)
from ...knowledge.vocabulary import ChatRequest, EmbeddingConfig, EmbeddingResponse, LLMResponse, StreamChunk
from . import in_cloud
from .embeddings import Embedded, batches, embed
from .exchange import Key, Response, is_local
from .http_exchange import CONNECT_SECONDS, LONGEST_SECONDS, HTTPExchange, lines_of
from .ollama_chat import PROVIDER, ModelFacts, OllamaTurn, body, context_for, grounded
from .wire import Dialect, PerLoop

if TYPE_CHECKING:
    import httpx
    from ollama import AsyncClient, ListResponse, ProcessResponse, ProgressResponse

DEFAULT_URL = "http://localhost:11434"

DIALECT = Dialect(
    overflow=(
        r"exceed_context_size|exceeds the (?:available )?context (?:size|length)|prompt is longer than the context"
        r"|input exceeds maximum context length"
    ),
    missing=r"model ['\"].*['\"] not found|pull model manifest|try pulling it|requires more system memory|(?:unable|failed) to load",
    unsupported=r"does not support (?P<name>\w+)",
    exhausted=r"usage limit|requires a subscription",
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


def ollama_url(host: str | None = None) -> str:
    """The base URL that a host means: scheme, port or both may be missing. Without one, `OLLAMA_HOST` is read.

    An address to listen on, such as `0.0.0.0`, becomes the one to call.

    :raises ConfigError: it is no address.
    """
    given = (host or os.environ.get("OLLAMA_HOST", "")).strip().strip("\"'").rstrip("/")
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


async def _close(client: AsyncClient) -> None:
    await client.close()  # type: ignore[no-untyped-call]  # the SDK gives it no types


def _entry(told: ListResponse.Model | ProcessResponse.Model) -> dict[str, Any]:
    return {**told.model_dump(mode="json", exclude_none=True), "id": str(told.model)}


class OllamaProvider:
    """An Ollama server.

    :param base_url: `None` reads `OLLAMA_HOST`, or is `http://localhost:11434`.
    :param api_key: Only for a server behind a proxy, or ollama.com; `None` reads `OLLAMA_API_KEY`.
    :param keep_alive: How long a model stays loaded after a call, as seconds or `"10m"`; -1 for ever, `None` for the server's own.
    """

    name = PROVIDER
    capabilities = frozenset({"chat", "stream", "embed", "tools", "schema", "images", "reasoning"})

    def __init__(
        self, base_url: str | None = None, api_key: Key = None, *, keep_alive: str | float | None = None
    ) -> None:
        url = ollama_url(base_url)
        self.base_url = url
        self.local = is_local(url)
        self._exchange = _OllamaExchange(
            PROVIDER, DIALECT, url, api_key, "OLLAMA_API_KEY", needs_key=False, direct=self.local
        )
        self._clients: PerLoop[AsyncClient] = PerLoop("ollama", self._make, _close, self._exchange.unlock)
        self._stay: dict[str, Any] = {} if keep_alive is None else {"keep_alive": keep_alive}
        self._facts: dict[str, ModelFacts] = {}
        # The windows that models answered with: one too large for the memory is not kept.
        self._contexts: dict[str, int] = {}

    def _make(self) -> AsyncClient:
        """The SDK's client, as careful as `HTTPExchange`: it would follow redirects, wait for ever, and drop a user and password."""
        from httpx import Timeout
        from ollama import AsyncClient

        url = urlsplit(self.base_url)
        key = self._exchange.key
        return AsyncClient(
            self.base_url,
            follow_redirects=False,
            timeout=Timeout(LONGEST_SECONDS, connect=CONNECT_SECONDS),
            headers={"authorization": f"Bearer {key}"} if key else None,
            auth=(unquote(url.username), unquote(url.password or "")) if url.username else None,
            trust_env=not self.local,
            event_hooks={"response": [self._check]},
        )

    async def _check(self, response: httpx.Response) -> None:
        """
        :raises RactoGatewayAPIError: the status is an error. The SDK would tell neither headers nor model.
        """
        if response.status_code >= 400:
            asked = _parsed(response.request.content)
            model = str(asked.get("model", "")) if isinstance(asked, dict) else ""
            raise self._exchange.refuse(response.status_code, await response.aread(), response.headers, model)

    @asynccontextmanager
    async def _managing(self, model: str = "") -> AsyncGenerator[AsyncClient, None]:
        """The SDK's client; whatever it raises becomes one of our errors."""
        with self._exchange.guarded(model):
            client = await self._clients.get()
            from httpx import ConnectError
            from ollama import ResponseError

            try:
                yield client
            except RactoGatewayError:
                raise
            except (ConnectError, ConnectionError):
                raise self._exchange.nobody() from None
            except ResponseError as error:  # within an answer whose status was 200
                raise self._exchange.refuse(None, {"error": error.error}, {}, model) from None

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
        """The vectors of the texts, in their order; a text longer than the model reads is cut, with a warning.

        `{"truncate": False}` in `extra` refuses such a text, `True` wants no warning.
        """
        # Ollama does not say that it cuts, so it is first told not to.
        wanted = {"truncate": False} | self._stay | config.extra | {"model": model}
        if config.dimensions is not None:
            wanted["dimensions"] = config.dimensions

        async def ask(sent: dict[str, Any], warning: str = "") -> Embedded:
            data, _ = await self._exchange.fetch(self._exchange.post("/api/embed", sent, model), model)
            tokens, name = data.get("prompt_eval_count"), str(data.get("model") or "")
            return Embedded(data["embeddings"], data, tokens, name, warning)

        async def call(texts: list[str]) -> Embedded:
            sent = wanted | {"input": texts}
            try:
                return await ask(sent)
            except ContextLengthError:
                if "truncate" in config.extra:
                    raise
            return await ask(sent | {"truncate": True}, f"A text was longer than {model} reads, and Ollama cut it.")

        with self._exchange.guarded(model):
            return await embed(PROVIDER, model, batches(config.texts, _EMBED_BATCH), call)

    async def models(self) -> list[dict[str, Any]]:
        """The models that are here: size in bytes, family, quantisation."""
        async with self._managing() as client:
            return [_entry(each) for each in (await client.list()).models]

    async def loaded(self) -> list[dict[str, Any]]:
        """The models that are in memory: the bytes they take there, of these on a GPU (`size_vram`), their window, and until when."""
        async with self._managing() as client:
            return [_entry(each) for each in (await client.ps()).models]

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

    async def usual(self, seconds: float) -> tuple[str, bool] | None:
        """The model to ask when none was named, and whether it is in memory: the newest that chats of those in memory, or else of all here.
        Never one that passes questions on to a cloud.

        :param seconds: The longest that looking may take; without a server that answers within it there is none.
        """
        with suppress(RactoGatewayError), self._exchange.guarded():
            await self._exchange.open()  # importing what carries the bytes is no part of that time
            async with asyncio.timeout(seconds):
                listed, running = [
                    (await self._exchange.fetch(self._exchange.get(path)))[0].get("models") or ()
                    for path in ("/api/tags", "/api/ps")
                ]
                loaded = {each["model"] for each in running}
                here = [each for each in listed if not (in_cloud(each["model"]) or each.get("remote_host"))]
                here.sort(key=lambda each: (each["model"] in loaded, str(each.get("modified_at"))), reverse=True)
                for each in here:
                    if (await self.facts(each["model"])).chats:
                        return each["model"], each["model"] in loaded
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
        async with self._managing(model) as client:
            await client.chat(model, [], options={"num_ctx": size}, **self._stay)
        self._contexts[model] = size

    async def unload(self, model: str) -> None:
        """Free the memory of a model."""
        self._contexts.pop(model, None)
        async with self._managing(model) as client:
            await client.chat(model, [], keep_alive=0)

    async def pull(self, model: str) -> AsyncGenerator[PullProgress, None]:
        """Download a model; the last progress is `success`. Closing the iterator stops the download, which the next pull resumes.

        :raises ModelNotAvailableError: there is no such model to download.
        :raises ConnectionLostError: it ended before it was whole.
        """
        layers: dict[str, tuple[int, int]] = {}
        status = ""
        async with self._managing(model) as client:
            steps = cast("AsyncGenerator[ProgressResponse, None]", await client.pull(model, stream=True))
            async with aclosing(steps):
                async for step in steps:
                    status = step.status or status
                    if step.digest:
                        layers[step.digest] = (step.completed or 0, step.total or 0)
                    done, total = (sum(layer[part] for layer in layers.values()) for part in (0, 1))
                    yield PullProgress(status, done, total)
            if status != "success":
                raise ConnectionLostError(f"The download of {model} ended before it was whole.", "Pull it again.")
        self._facts.pop(model, None)

    async def aclose(self) -> None:
        """Close what is open."""
        await self._clients.aclose()
        await self._exchange.aclose()
