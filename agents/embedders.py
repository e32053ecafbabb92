"""What turns texts into vectors by asking a model: over the gateway, so that tries, budget and ledger are those of every other call."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from ..knowledge.edge import blocking
from ..knowledge.embedding import BaseEmbedder
from ..knowledge.errors import InputError, MalformedResponseError, ModelNotAvailableError, unknown_name
from ..knowledge.vocabulary import EmbeddingConfig, EmbeddingResponse
from .gateway import ModelGateway
from .local_models import KNOWN
from .providers import Provider, make
from .providers.embeddings import batches
from .providers.sentence_transformers import SentenceTransformersProvider
from .routing import Endpoint

BATCH = 128
"""Texts a call carries, unless an embedder says otherwise."""


@dataclass(frozen=True, slots=True)
class Purpose:
    """What a model is told that texts are for.

    :param prefix: Written before each text, for models that learned it so.
    :param extra: Said beside the texts, for providers that ask.
    """

    prefix: str = ""
    extra: Mapping[str, Any] = field(default_factory=dict)


_FIND = "Represent this sentence for searching relevant passages: "
_PREFIXES = (
    (re.compile(r"nomic-embed-text", re.IGNORECASE), "search_document: ", "search_query: "),
    (re.compile(r"\be5-(?:small|base|large)(?!.*instruct)", re.IGNORECASE), "passage: ", "query: "),
    (re.compile(r"mxbai-embed-(?:large|xsmall)|bge-(?:small|base|large)-en", re.IGNORECASE), "", _FIND),
    (re.compile(r"snowflake-arctic-embed(?!.*2)", re.IGNORECASE), "", _FIND),
)
"""Models that learned documents and questions with words before them, by their makers' descriptions: name, document, question."""


def purposes(provider: str, model: str) -> tuple[Purpose, Purpose]:
    """What a model is told of texts that are to be found, and of questions that find them."""
    if provider == "voyage":
        return Purpose(extra={"input_type": "document"}), Purpose(extra={"input_type": "query"})
    if provider == "google":
        return Purpose(extra={"taskType": "RETRIEVAL_DOCUMENT"}), Purpose(extra={"taskType": "RETRIEVAL_QUERY"})
    for name, document, question in _PREFIXES:
        if name.search(KNOWN.get(model, model)):
            return Purpose(document), Purpose(question)
    return Purpose(), Purpose()


class GatewayEmbedder(BaseEmbedder):
    """One embedding model of a gateway.

    :param gateway: Who is asked; its budget, retries and ledger apply.
    :param model: As `provider/model`; nobody else is asked, for vectors of two models cannot be compared.
    :param dimensions: Shorter vectors than the model's own, where it can make them.
    :param batch_size: At most so many texts go in one call.
    :param told: What the model is told of documents and of questions; `None` is what its makers say.
    :raises InputError: `model` names no provider, or `batch_size` is not positive.
    """

    def __init__(
        self,
        gateway: ModelGateway,
        model: str,
        *,
        dimensions: int | None = None,
        batch_size: int = BATCH,
        told: tuple[Purpose, Purpose] | None = None,
    ) -> None:
        self._provider, _, self.model = model.partition("/")
        if not self.model:
            raise InputError(f"{model!r} names no provider and model.", "Write it as ollama/nomic-embed-text.")
        if batch_size < 1:
            raise InputError(f"batch_size is {batch_size}.", "It must be at least 1.")
        self.batch_size = batch_size
        self._gateway = gateway
        self._dimensions = dimensions
        self._length = dimensions or -1
        self._document, self._question = told or purposes(self._provider, self.model)

    @property
    def name(self) -> str:
        """`provider/model`, with `@` and their length when it is not the model's own."""
        return f"{self._provider}/{self.model}" + (f"@{self._dimensions}" if self._dimensions else "")

    @property
    def dimension(self) -> int:
        """Numbers in a vector; -1 until it is known."""
        return self._length

    @property
    def ready(self) -> bool:
        """Whether it can answer at once: a model of this process cannot before its first call has loaded it."""
        provider = self._gateway.routes.providers.get(self._provider)
        if not isinstance(provider, SentenceTransformersProvider):
            return True
        try:
            return provider.status(self.model).loaded
        except ModelNotAvailableError:
            return True  # to say so takes no time

    async def aembed(self, texts: list[str]) -> list[list[float]]:
        """One vector for each text, in their order.

        :raises MalformedResponseError: a vector has another length than the others, or says nothing (zeros, NaN).
        :raises RactoGatewayError: the model failed.
        """
        return await self._ask(texts, self._document)

    async def aembed_query(self, text: str) -> list[float]:
        """The vector of a question, told apart from documents where the model does so."""
        return (await self._ask([text], self._question))[0]

    def embed(self, texts: list[str]) -> list[list[float]]:
        """The same as `aembed`, blocking."""
        return blocking(self.aembed)(texts)

    async def _ask(self, texts: list[str], purpose: Purpose) -> list[list[float]]:
        vectors: list[list[float]] = []
        for batch in batches([purpose.prefix + text for text in texts], self.batch_size):
            config = EmbeddingConfig(
                texts=batch,
                model=f"{self._provider}/{self.model}",
                dimensions=self._dimensions,
                extra={**purpose.extra},
            )
            vectors += self._checked(await self._gateway.embed(config, component="rag"), len(batch), len(vectors))
        return vectors

    def _checked(self, response: EmbeddingResponse, asked: int, first: int) -> list[list[float]]:
        """The vectors, when each can be compared with all others.

        :param first: How many texts were embedded before these.
        """
        vectors = [each.embedding for each in response.vectors]
        if len(vectors) != asked:
            raise self._malformed(f"{len(vectors)} vectors for {asked} texts", "Try again.")
        length = self._length if self._length > 0 else len(vectors[0])
        for place, vector in enumerate(vectors, first + 1):
            if len(vector) != length:
                fix = (
                    "Ask for no dimensions: the model cannot shorten its vectors." if self._dimensions else "Try again."
                )
                raise self._malformed(f"{len(vector)} numbers for text {place}, not {length}", fix)
            size = math.hypot(*vector)
            if not size or not math.isfinite(size):
                raise self._malformed(f"a vector without a direction for text {place}", "Leave this text out.")
        self._length = length
        return vectors

    def _malformed(self, gave: str, hint: str) -> MalformedResponseError:
        return MalformedResponseError(f"{self.name} gave {gave}.", hint, provider=self._provider, model=self.model)


class ProviderEmbedder(GatewayEmbedder):
    """An embedder with a gateway of its own, of one provider and one model. Made by the embedder of a provider."""

    def __init__(self, provider: Provider, model: str, **options: Any) -> None:
        gateway = ModelGateway(chain=[], embedders=[Endpoint(provider, model)])
        super().__init__(gateway, f"{provider.name}/{model}", **options)

    async def aclose(self) -> None:
        """Close what `aembed` opened in this event loop."""
        await self._gateway.aclose()

    close = blocking(aclose)


class OpenAIEmbedder(ProviderEmbedder):
    """OpenAI, or a server that speaks as it does.

    :param api_key: `OPENAI_API_KEY` when not given.
    :param base_url: Azure, a proxy, or another server of the same API.
    :param dimensions: Shorter vectors, which the models `text-embedding-3-*` can make.
    :param batch_size: At most so many texts go in one call.
    """

    def __init__(
        self,
        model: str = "text-embedding-3-small",
        *,
        api_key: str | None = None,
        base_url: str | None = None,
        dimensions: int | None = None,
        batch_size: int = 256,
    ) -> None:
        provider = make("openai", api_key=api_key, base_url=base_url)
        super().__init__(provider, model, dimensions=dimensions, batch_size=batch_size)


class GoogleEmbedder(ProviderEmbedder):
    """Google Gemini.

    :param api_key: `GEMINI_API_KEY` when not given.
    :param task_type: What vectors are for, in Google's words; `None` leaves it to Google. With `RETRIEVAL_DOCUMENT`, questions are told
        `RETRIEVAL_QUERY`.
    :param batch_size: At most so many texts go in one call.
    :param base_url: Another endpoint, without the version.
    """

    def __init__(
        self,
        model: str = "text-embedding-004",
        *,
        api_key: str | None = None,
        task_type: str | None = None,
        batch_size: int = 100,
        base_url: str | None = None,
    ) -> None:
        document = Purpose(extra={"taskType": task_type} if task_type else {})
        question = purposes("google", model)[1] if task_type == "RETRIEVAL_DOCUMENT" else document
        provider = make("google", api_key=api_key, base_url=base_url)
        super().__init__(provider, model, batch_size=batch_size, told=(document, question))


class VoyageEmbedder(ProviderEmbedder):
    """Voyage AI.

    :param api_key: `VOYAGE_API_KEY` when not given.
    :param input_type: What `embed` is for; questions are `query` all the same. `None` tells neither.
    :param batch_size: At most so many texts go in one call.
    :param base_url: Another endpoint, up to and including `/v1`.
    """

    def __init__(
        self,
        model: str = "voyage-3",
        *,
        api_key: str | None = None,
        input_type: Literal["query", "document"] | None = "document",
        batch_size: int = 128,
        base_url: str | None = None,
    ) -> None:
        question = "query" if input_type else None
        told = Purpose(extra={"input_type": input_type}), Purpose(extra={"input_type": question})
        provider = make("voyage", api_key=api_key, base_url=base_url)
        super().__init__(provider, model, batch_size=batch_size, told=told)


class OllamaEmbedder(ProviderEmbedder):
    """Ollama: models on this machine, without a key.

    :param base_url: Where the server listens; `None` reads `OLLAMA_HOST`, or is `http://localhost:11434`.
    :param batch_size: At most so many texts go in one call.
    """

    def __init__(
        self, model: str = "nomic-embed-text", *, base_url: str | None = None, batch_size: int = BATCH
    ) -> None:
        super().__init__(make("ollama", base_url=base_url), model, batch_size=batch_size)


class HuggingFaceEmbedder(ProviderEmbedder):
    """Hugging Face: the Inference API, or a server of one's own (TEI, vLLM, llama.cpp).

    :param api_key: `HF_TOKEN` or `HUGGINGFACE_TOKEN` when not given.
    :param base_url: Of a server of one's own.
    :param batch_size: At most so many texts go in one call.
    """

    def __init__(
        self,
        model: str = "sentence-transformers/all-MiniLM-L6-v2",
        *,
        api_key: str | None = None,
        base_url: str | None = None,
        batch_size: int = 32,
    ) -> None:
        super().__init__(make("huggingface", api_key=api_key, base_url=base_url), model, batch_size=batch_size)


class SentenceTransformersEmbedder(ProviderEmbedder):
    """A model in this process, loaded by the first call.

    :param model: A folder, a name below one of `folders`, or a repository in the cache of `huggingface_hub`.
    :param folders: Where models lie.
    :param batch_size: At most so many texts are computed in one call.
    """

    def __init__(
        self,
        model: str = "sentence-transformers/all-MiniLM-L6-v2",
        *,
        folders: Sequence[Path | str] = (),
        batch_size: int = BATCH,
    ) -> None:
        super().__init__(make("sentence_transformers", folders=folders), model, batch_size=batch_size)


EMBEDDERS: dict[str, Callable[..., ProviderEmbedder]] = {
    "openai": OpenAIEmbedder,
    "google": GoogleEmbedder,
    "voyage": VoyageEmbedder,
    "ollama": OllamaEmbedder,
    "huggingface": HuggingFaceEmbedder,
    "sentence_transformers": SentenceTransformersEmbedder,
}
"""Provider → its embedder."""


def embedder_for(name: str, **options: Any) -> ProviderEmbedder:
    """The embedder of a model.

    :param name: As `ollama/nomic-embed-text`.
    :param options: What its constructor takes.
    :raises InputError: no model is named.
    :raises UnknownNameError: there is no such provider, or it does not embed.
    """
    provider, _, model = name.partition("/")
    if provider not in EMBEDDERS:
        raise unknown_name("embedder", provider, EMBEDDERS)
    return EMBEDDERS[provider](model, **options)
