"""Hugging Face: its Inference API with all providers behind it, or a server of one's own (TGI, vLLM, llama.cpp, TEI).

Both chat as OpenAI does, so OpenAI's SDK carries them: the client of `huggingface_hub` rewrites JSON schemas for custom URLs, looks models up
with blocking calls, and keeps the line of a stream until it is closed itself. Embeddings of the Inference API are its `feature-extraction`.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any
from urllib.parse import quote, urlsplit

from ...knowledge.errors import MalformedResponseError, RactoGatewayAPIError, UnsupportedParameterError
from ...knowledge.vocabulary import EmbeddingConfig, EmbeddingResponse
from . import openai_chat
from .embeddings import Embedded, batches, embed
from .exchange import Key, is_local
from .http_exchange import HTTPExchange
from .openai_api import COPIES, OpenAIEndpoint
from .openai_chat import Quirks
from .wire import Dialect

PROVIDER = "huggingface"
ROUTER = "https://router.huggingface.co"
KEY_VARIABLES = ("HF_TOKEN", "HUGGINGFACE_TOKEN")

DIALECT = Dialect(
    overflow=rf"{COPIES.overflow}|inputs. must have less than",
    missing=rf"{COPIES.missing}|model_not_supported|not supported by (?:any )?provider|repository not found",
    unsupported=COPIES.unsupported,
    exhausted=r"monthly included credits|pre-paid credits|exceeded your .*quota",
    parameters=COPIES.parameters,
)

_EMBED_BATCH = 32  # what a Text Embeddings Inference server takes in one call, unless told otherwise


class HuggingFaceProvider(OpenAIEndpoint):
    """The Inference API, or one server.

    A model of the Inference API is a repository (`meta-llama/Llama-3.3-70B-Instruct`), with `:groq`, `:cheapest` or the like behind it to
    choose who serves it.

    :param api_key: `None` reads `HF_TOKEN`, then `HUGGINGFACE_TOKEN`; a server that is not Hugging Face's is not told that one.
    :param base_url: Of a server of one's own, with or without `/v1`; `None` is the Inference API.
    :param router: The address of the Inference API.
    """

    capabilities = frozenset({"chat", "stream", "embed", "tools", "schema", "images", "reasoning"})

    def __init__(self, api_key: Key = None, base_url: str | None = None, *, router: str = ROUTER) -> None:
        url = (base_url or router).rstrip("/").removesuffix("/v1") + "/v1"
        self.local = is_local(url) and base_url is not None
        form = openai_chat.form(Quirks(max_tokens="max_tokens", strict=False))
        keys = KEY_VARIABLES if base_url is None or is_hugging_face(url) else ()
        super().__init__(PROVIDER, DIALECT, form, *keys, api_key=api_key, base_url=url, batch=_EMBED_BATCH)
        self._features = None if base_url else _FeatureExtraction(api_key, router)

    async def embed(self, config: EmbeddingConfig, model: str) -> EmbeddingResponse:
        """The vectors of the texts, in their order.

        :raises UnsupportedParameterError: other dimensions were asked for; the Inference API has the model's own only.
        """
        if self._features is None:
            return await super().embed(config, model)
        return await self._features.embed(config, model)

    async def aclose(self) -> None:
        """Close what is open."""
        await super().aclose()
        if self._features is not None:
            await self._features.aclose()


def is_hugging_face(url: str) -> bool:
    """Whether a host is Hugging Face's own, such as that of an Inference Endpoint."""
    host = f".{urlsplit(url).hostname or ''}"
    return urlsplit(url).scheme == "https" and host.endswith((".huggingface.co", ".huggingface.cloud", ".hf.space"))


class _FeatureExtraction(HTTPExchange):
    """The `feature-extraction` task of the Inference API."""

    def __init__(self, api_key: Key, router: str) -> None:
        super().__init__(PROVIDER, DIALECT, router, api_key, *KEY_VARIABLES)

    def refuse(
        self, status: int | None, body: Any, headers: Mapping[str, str], model: str = "", wait: float | None = None
    ) -> RactoGatewayAPIError:
        """As `Exchange.refuse`; a model that is being loaded says how long that takes."""
        found = re.search(rb'"estimated_time":\s*([\d.]+)', body) if isinstance(body, bytes) else None
        return super().refuse(status, body, headers, model, float(found[1]) if found else wait)

    async def embed(self, config: EmbeddingConfig, model: str) -> EmbeddingResponse:
        """The vectors of the texts, in their order."""
        if config.dimensions is not None:
            raise UnsupportedParameterError(
                "The Inference API cannot shorten vectors.",
                "Leave dimensions out.",
                parameter="dimensions",
                provider=PROVIDER,
                model=model,
            )
        path = f"/hf-inference/models/{quote(model)}/pipeline/feature-extraction"

        async def call(texts: list[str]) -> Embedded:
            answer = await self.value(await self.post(path, {**config.extra, "inputs": texts}, model))
            if not isinstance(answer, list):
                raise MalformedResponseError("The answer of huggingface is not a list.", "Try again.")
            return Embedded([_pooled(features) for features in answer], answer)

        with self.guarded(model):
            return await embed(PROVIDER, model, batches(config.texts, _EMBED_BATCH), call)


def _pooled(features: list[Any]) -> list[float]:
    """The vector of a text: as it is, or, of a model that gives one for each token (tokens × dimensions), their mean."""
    if features and isinstance(features[0], list):
        return [sum(column) / len(features) for column in zip(*features, strict=True)]
    return features
