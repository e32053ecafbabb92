"""Voyage AI: embeddings, and nothing else.

Its SDK opens a connection for every call and imports an imaging library for it; one POST needs neither.
"""

from __future__ import annotations

from operator import itemgetter
from typing import Any, Literal

from ...knowledge.vocabulary import EmbeddingConfig, EmbeddingResponse
from .embeddings import Embedded, EmbedsOnly, batches, embed
from .exchange import Key
from .http_exchange import HTTPExchange
from .wire import Dialect

PROVIDER = "voyage"

DIALECT = Dialect(
    overflow=r"exceeds? (?:the )?(?:maximum )?(?:context length|max allowed tokens)",
    missing=r"model .* is not supported|unknown model",
    unsupported=r"argument '?(?P<name>\w+)'? is not supported",
    exhausted=r"billing|payment method",
    parameters={"output_dimension": "dimensions"},
)

_MOST_TEXTS = 1000
# The smallest limit among the models is 120,000 tokens a call; a token has at least three bytes but in rare scripts.
_MOST_BYTES = 3 * 120_000


class VoyageProvider(EmbedsOnly):
    """Voyage AI.

    :param api_key: `None` reads `VOYAGE_API_KEY`.
    :param base_url: Up to and including `/v1`; `None` is the one the key is for.
    :param input_type: Whether texts are to be found or to find with; `None` for neither. `EmbeddingConfig.extra` can say it for one call.
    """

    name = PROVIDER
    local = False
    capabilities = frozenset({"embed"})

    def __init__(
        self,
        api_key: Key = None,
        base_url: str | None = None,
        *,
        input_type: Literal["query", "document"] | None = "document",
    ) -> None:
        self._exchange = _VoyageExchange(PROVIDER, DIALECT, base_url or "", api_key, "VOYAGE_API_KEY")
        self._input_type = input_type

    async def embed(self, config: EmbeddingConfig, model: str) -> EmbeddingResponse:
        """The vectors of the texts, in their order; a text longer than the model reads is cut by Voyage."""
        wanted: dict[str, Any] = {"input_type": self._input_type, **config.extra, "model": model}
        if config.dimensions is not None:
            wanted["output_dimension"] = config.dimensions

        async def call(texts: list[str]) -> Embedded:
            sent = self._exchange.post("/embeddings", wanted | {"input": texts}, model)
            data, _ = await self._exchange.fetch(sent, model)
            told = sorted(data["data"], key=itemgetter("index"))
            return Embedded(
                [item["embedding"] for item in told],
                data,
                (data.get("usage") or {}).get("total_tokens"),
                str(data.get("model") or ""),
            )

        with self._exchange.guarded(model):
            return await embed(PROVIDER, model, batches(config.texts, _MOST_TEXTS, _MOST_BYTES), call)

    async def models(self) -> list[dict[str, Any]]:
        """Nothing: Voyage does not say which models it has."""
        return []

    async def aclose(self) -> None:
        """Close what is open."""
        await self._exchange.aclose()


class _VoyageExchange(HTTPExchange):
    """Which address is called depends on the key, unless one was given."""

    async def unlock(self) -> None:
        """Find the key, and with it the address."""
        await super().unlock()
        if self.key:
            self.base_url = self.base_url or _home(self.key)


def _home(key: str) -> str:
    """Where a key is valid: those of MongoDB Atlas are not Voyage's own."""
    return "https://ai.mongodb.com/v1" if key.startswith("al-") else "https://api.voyageai.com/v1"
