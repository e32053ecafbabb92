"""Google's Gemini API."""

from __future__ import annotations

import json
import re
from collections.abc import AsyncGenerator, AsyncIterator, Mapping
from contextlib import aclosing
from typing import TYPE_CHECKING, Any, cast

from ...knowledge.errors import MalformedResponseError, ModelNotAvailableError, UnsupportedParameterError
from ...knowledge.vocabulary import ChatRequest, EmbeddingConfig, EmbeddingResponse, LLMResponse, StreamChunk
from .embeddings import Embedded, batches, embed
from .exchange import Exchange, Key, Response
from .google_contents import PROVIDER, GoogleTurn, body
from .sse import SSEDecoder
from .wire import Dialect, PerLoop

if TYPE_CHECKING:
    from google.genai import Client

DIALECT = Dialect(
    overflow=r"input token count .*exceeds|exceeds the maximum number of tokens",
    auth=r"API key (?:not valid|expired|not found)",
    exhausted=r"credits? (?:is|are) depleted|spend(?:ing)? (?:cap|limit)",
    unsupported=r"Unknown name \\*\"(?P<unknown>\w+)|(?P<off>\w+(?: level| budget| mode)?) is not (?:enabled|supported)\b|(?P<bad>Budget) \d+ is invalid",
    parameters={
        "topP": "top_p",
        "topK": "top_k",
        "frequencyPenalty": "frequency_penalty",
        "presencePenalty": "presence_penalty",
        "stopSequences": "stop",
        "thinkingConfig": "reasoning",
        "thinkingLevel": "reasoning",
        "thinkingBudget": "reasoning",
        "Thinking level": "reasoning",
        "Thinking budget": "reasoning",
        "Thinking": "reasoning",
        "Budget": "reasoning",
        "responseJsonSchema": "response_schema",
        "JSON mode": "response_schema",
    },
)

_SECONDS = 600.0
"""How long a call may take that says nothing of it: the SDK itself would wait for ever."""

_EMBED_BATCH = 100
"""Texts one call of `batchEmbedContents` takes."""

_NAME = re.compile(r"(?:(?:models|tunedModels)/)?[\w.-]+")


class GoogleProvider:
    """Gemini, from the Gemini API or a server that speaks as it does.

    :param api_key: `None` reads `GEMINI_API_KEY`, or else `GOOGLE_API_KEY`.
    :param base_url: Another endpoint, without the version; `None` is Google itself.
    """

    name = PROVIDER
    local = False
    capabilities = frozenset({"chat", "stream", "embed", "tools", "schema", "images", "documents", "reasoning"})

    def __init__(self, api_key: Key = None, base_url: str | None = None) -> None:
        self._exchange = Exchange(PROVIDER, DIALECT, api_key, "GEMINI_API_KEY", "GOOGLE_API_KEY")
        self._base_url = base_url
        self._clients: PerLoop[_Line] = PerLoop("google.genai", self._make, _Line.aclose, self._exchange.unlock)

    def _make(self) -> _Line:
        return _Line(self._exchange, self._base_url)

    async def _line(self, model: str = "") -> _Line:
        with self._exchange.guarded(model):
            return await self._clients.get()

    async def chat(self, request: ChatRequest) -> LLMResponse:
        """One answer."""
        line = await self._line(request.model)
        sent = body(request)
        with self._exchange.guarded(request.model):
            path = _path(request.model, "generateContent")
            data, headers = await self._exchange.fetch(
                line.send("POST", path, sent, request.model, request.timeout), request.model, request.timeout
            )
            if not data.get("candidates") and not data.get("promptFeedback"):
                raise MalformedResponseError("The answer of google has no candidate.", "Try again.")
            return self._exchange.whole(request, data, headers, GoogleTurn(), data)

    async def stream(self, request: ChatRequest) -> AsyncIterator[StreamChunk]:
        """One answer as it is made."""
        line = await self._line(request.model)
        sent = body(request)
        path = _path(request.model, "streamGenerateContent?alt=sse")
        async with aclosing(
            self._exchange.stream(
                request,
                lambda: line.send("POST", path, sent, request.model, request.timeout),
                GoogleTurn(),
                events_of,
            )
        ) as chunks:
            async for chunk in chunks:
                yield chunk

    async def embed(self, config: EmbeddingConfig, model: str) -> EmbeddingResponse:
        """The vectors of the texts, in their order; `task_type` and `title` may be in `extra`."""
        line = await self._line(model)
        path, name = _path(model, "batchEmbedContents"), _path(model)
        wanted = {**config.extra, "model": name}
        if config.dimensions is not None:
            wanted["outputDimensionality"] = config.dimensions

        async def call(texts: list[str]) -> Embedded:
            requests = [{**wanted, "content": {"parts": [{"text": text}]}} for text in texts]
            data, _ = await self._exchange.fetch(line.send("POST", path, {"requests": requests}, model), model)
            counts = data.get("usageMetadata") or {}
            return Embedded([told["values"] for told in data["embeddings"]], data, counts.get("promptTokenCount"))

        with self._exchange.guarded(model):
            return await embed(PROVIDER, model, batches(config.texts, _EMBED_BATCH), call)

    async def models(self) -> list[dict[str, Any]]:
        """What Google says of its models: limits, what each can do."""
        line = await self._line()
        listed: list[dict[str, Any]] = []
        page = "models?pageSize=1000"
        with self._exchange.guarded():
            while True:
                data, _ = await self._exchange.fetch(line.send("GET", page, {}))
                listed += [{**entry, "id": entry["name"].removeprefix("models/")} for entry in data.get("models", ())]
                if not (token := data.get("nextPageToken")):
                    return listed
                page = f"models?pageSize=1000&pageToken={token}"

    async def aclose(self) -> None:
        """Close what is open."""
        await self._clients.aclose()


class _Line:
    """The SDK's client, and the HTTP clients it is given.

    Its own would be aiohttp where that is installed, which tries a lost connection again by itself after up to ten seconds; would
    follow a redirect to another host with the key; and would read the certificates three times over, 40 ms each.
    """

    def __init__(self, exchange: Exchange, base_url: str | None) -> None:
        import httpx2
        from google.genai import Client
        from google.genai.types import HttpOptions

        key = exchange.needed_key()
        certificates = httpx2.create_ssl_context()
        self._exchange = exchange
        self._http = httpx2.AsyncClient(verify=certificates)
        self._unused = httpx2.Client(verify=certificates)
        options = HttpOptions(
            base_url=base_url,
            httpx_async_client=self._http,
            httpx_client=self._unused,
            async_client_args={"ssl": certificates},
        )
        self._client: Client = Client(api_key=key, vertexai=False, http_options=options)

    async def aclose(self) -> None:
        """Close both HTTP clients: the SDK leaves those it was given open."""
        self._unused.close()
        await self._http.aclose()

    async def send(
        self, method: str, path: str, body: dict[str, Any], model: str = "", seconds: float | None = None
    ) -> Response:
        """The response, its body not read.

        The public methods of the SDK take and give its own types, and its streams cannot be closed; so the two steps under them are
        called: make the request (address, version, key), send it once.
        """
        from google.genai.errors import APIError

        api = self._client._api_client  # the SDK has no other door to its transport
        asked = api._build_request(method.lower(), path, body)
        asked.timeout = seconds or _SECONDS
        try:
            told = await api._async_request_once(asked, stream=True, implicit_retry=False)
        except APIError as error:
            headers = getattr(error.response, "headers", {})
            refusal = self._exchange.refuse(error.code, error.details, headers, model, _wait(error.details))
            if isinstance(refusal, UnsupportedParameterError) and refusal.parameter == "Penalty":
                config = body.get("generationConfig", {})
                refusal.parameter = "frequency_penalty" if "frequencyPenalty" in config else "presence_penalty"
            raise refusal from None
        return cast("Response", told.response_stream)


def _path(model: str, method: str = "") -> str:
    """The path of a model, or of one of its methods.

    :raises ModelNotAvailableError: no model can have this name.
    """
    if not _NAME.fullmatch(model):
        raise ModelNotAvailableError(
            f"Google has no model {model!r}.", "Check the name.", provider=PROVIDER, model=model
        )
    name = model if "/" in model else f"models/{model}"
    return f"{name}:{method}" if method else name


def _wait(details: Any) -> float | None:
    """The seconds of `google.rpc.RetryInfo` in an error."""
    error = details.get("error") if isinstance(details, Mapping) else None
    for detail in (error.get("details") or ()) if isinstance(error, Mapping) else ():
        delay = detail.get("retryDelay") if isinstance(detail, Mapping) else None
        if isinstance(delay, str) and (told := re.fullmatch(r"(\d+(?:\.\d+)?)s", delay)):
            return float(told[1])
    return None


async def events_of(response: Response) -> AsyncGenerator[str, None]:
    """The data of every event; then the error, bare JSON, that a stream may end with when it fails."""
    decoder = SSEDecoder()
    rest = b""
    async with aclosing(cast("AsyncGenerator[bytes, None]", response.aiter_bytes())) as chunks:
        async for chunk in chunks:
            rest = (rest + chunk).replace(b"\r\n", b"\n")
            for _, data in decoder.feed(chunk):
                yield data
            rest = rest[rest.rfind(b"\n\n") + 1 :]
    bare = rest.strip()
    if bare.startswith((b"{", b"[")):
        error = json.loads(bare)
        yield json.dumps(error[0] if isinstance(error, list) else error)
