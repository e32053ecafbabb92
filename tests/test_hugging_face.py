"""What is Hugging Face's own, and Voyage's: whose key goes where, vectors, and how much one call carries."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st
from racto.agents.providers.embeddings import batches
from racto.agents.providers.huggingface import HuggingFaceProvider
from racto.agents.providers.voyage import VoyageProvider
from racto.knowledge.errors import (
    MalformedResponseError,
    ModelNotAvailableError,
    OverloadedError,
    RactoGatewayAuthError,
    UnsupportedParameterError,
)
from racto.knowledge.vocabulary import EmbeddingConfig

from tests import dialects
from tests.dialects.huggingface import TGI, HuggingFace
from tests.dialects.voyage import Voyage
from tests.over_the_wire import over_the_wire, question


@pytest.fixture(autouse=True)
def no_keys(monkeypatch: pytest.MonkeyPatch) -> None:
    """The keys of whoever runs the tests are not theirs to send."""
    for name in ("HF_TOKEN", "HUGGINGFACE_TOKEN", "VOYAGE_API_KEY"):
        monkeypatch.delenv(name, raising=False)


@pytest.mark.parametrize("variable", ["HF_TOKEN", "HUGGINGFACE_TOKEN"])
def test_the_inference_api_gets_the_token_of_the_environment(variable: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(variable, "hf_of_the_environment")

    async def examine(server: HuggingFace, provider: HuggingFaceProvider) -> None:
        await provider.chat(question("plain"))
        await provider.embed(EmbeddingConfig(texts=["a"]), "org/plain")
        paths = [request.path for request in server.received]
        assert paths == ["/v1/chat/completions", "/hf-inference/models/org/plain/pipeline/feature-extraction"]
        assert {request.headers["authorization"] for request in server.received} == {"Bearer hf_of_the_environment"}
        assert not provider.local

    over_the_wire(HuggingFace(), lambda base: HuggingFaceProvider(router=base), examine)


def test_a_server_of_ones_own_is_not_told_the_token_and_needs_none(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_TOKEN", "hf_of_the_environment")

    async def examine(server: TGI, provider: HuggingFaceProvider) -> None:
        assert (await provider.chat(question("plain"))).content == dialects.TEXT
        await provider.embed(EmbeddingConfig(texts=["a"]), "plain")
        assert [request.path for request in server.received] == ["/v1/chat/completions", "/v1/embeddings"]
        assert not any("hf_of" in str(request.headers) for request in server.received)
        assert provider.local

    for make in (
        lambda base: HuggingFaceProvider(base_url=base),
        lambda base: HuggingFaceProvider(base_url=f"{base}/"),
        lambda base: HuggingFaceProvider(base_url=f"{base}/v1"),
    ):
        over_the_wire(TGI(), make, examine)


def test_without_a_token_the_inference_api_is_not_even_asked() -> None:
    async def examine(server: HuggingFace, provider: HuggingFaceProvider) -> None:
        for call in (
            provider.chat(question("plain")),
            provider.embed(EmbeddingConfig(texts=["a"]), "plain"),
        ):
            with pytest.raises(RactoGatewayAuthError, match="HF_TOKEN"):
                await call
        assert server.received == []

    over_the_wire(HuggingFace(), lambda base: HuggingFaceProvider(router=base), examine)


def _hugging_face(base: str) -> HuggingFaceProvider:
    return HuggingFaceProvider(dialects.KEY, router=base)


def test_a_model_nobody_serves_is_not_available() -> None:
    async def examine(_: HuggingFace, provider: HuggingFaceProvider) -> None:
        with pytest.raises(ModelNotAvailableError, match="not supported by any provider"):
            await provider.chat(question("not-served"))

    over_the_wire(HuggingFace(), _hugging_face, examine)


def test_a_model_that_is_being_loaded_says_how_long_that_takes() -> None:
    async def examine(_: HuggingFace, provider: HuggingFaceProvider) -> None:
        with pytest.raises(OverloadedError) as caught:
            await provider.embed(EmbeddingConfig(texts=["a"]), "loading")
        assert caught.value.retry_after == 20.5

    over_the_wire(HuggingFace(), _hugging_face, examine)


def test_features_of_tokens_become_one_vector_for_each_text() -> None:
    async def examine(_: HuggingFace, provider: HuggingFaceProvider) -> None:
        response = await provider.embed(EmbeddingConfig(texts=["banana", "no"]), "per-token")
        halves = [[value / 2 for value in dialects.vector_of(text)] for text in ("banana", "no")]
        assert [vector.vector for vector in response.vectors] == halves

    over_the_wire(HuggingFace(), _hugging_face, examine)


def test_fewer_vectors_than_texts_are_a_malformed_answer() -> None:
    async def examine(_: HuggingFace, provider: HuggingFaceProvider) -> None:
        with pytest.raises(MalformedResponseError):
            await provider.embed(EmbeddingConfig(texts=["a"]), "too-few")

    over_the_wire(HuggingFace(), _hugging_face, examine)


def test_dimensions_the_inference_api_cannot_give_are_refused() -> None:
    async def examine(server: HuggingFace, provider: HuggingFaceProvider) -> None:
        with pytest.raises(UnsupportedParameterError) as caught:
            await provider.embed(EmbeddingConfig(texts=["a"], dimensions=2), "plain")
        assert caught.value.parameter == "dimensions"
        assert server.received == []

    over_the_wire(HuggingFace(), _hugging_face, examine)


# Voyage


def test_voyage_is_told_what_texts_are_for_and_how_long_vectors_are() -> None:
    async def examine(server: Voyage, provider: VoyageProvider) -> None:
        response = await provider.embed(EmbeddingConfig(texts=["a banana", "no"], dimensions=2), "voyage-3")
        sent = server.received[-1].body
        assert (sent["input_type"], sent["output_dimension"], sent["model"]) == ("document", 2, "voyage-3")
        assert [len(vector.vector) for vector in response.vectors] == [2, 2]
        assert response.usage == {"prompt_tokens": 10, "completion_tokens": 0, "total_tokens": 10}
        await provider.embed(EmbeddingConfig(texts=["a"], extra={"input_type": "query"}), "voyage-3")
        assert server.received[-1].body["input_type"] == "query"

    over_the_wire(Voyage(), lambda base: VoyageProvider(dialects.KEY, f"{base}/v1"), examine)


def test_voyages_refusals_are_understood() -> None:
    async def examine(server: Voyage, provider: VoyageProvider) -> None:
        with pytest.raises(ModelNotAvailableError):
            await provider.embed(EmbeddingConfig(texts=["a"]), "no-such-model")
        with pytest.raises(UnsupportedParameterError) as caught:
            await provider.embed(EmbeddingConfig(texts=["a"], dimensions=7), "unsupported-parameter")
        assert caught.value.parameter == "dimensions"
        asked = len(server.received)
        with pytest.raises(ModelNotAvailableError, match="only embeds"):
            await provider.chat(question("voyage-3"))
        with pytest.raises(ModelNotAvailableError, match="only embeds"):
            await anext(provider.stream(question("voyage-3")))
        assert await provider.models() == []
        assert len(server.received) == asked

    over_the_wire(Voyage(), lambda base: VoyageProvider(dialects.KEY, f"{base}/v1"), examine)


def test_voyage_reads_its_key_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    async def examine(server: Voyage, provider: VoyageProvider) -> None:
        with pytest.raises(RactoGatewayAuthError, match="VOYAGE_API_KEY"):
            await provider.embed(EmbeddingConfig(texts=["a"]), "voyage-3")
        monkeypatch.setenv("VOYAGE_API_KEY", "pa-key")
        await provider.embed(EmbeddingConfig(texts=["a"]), "voyage-3")
        assert server.received[-1].headers["authorization"] == "Bearer pa-key"

    over_the_wire(Voyage(), lambda base: VoyageProvider(base_url=f"{base}/v1"), examine)


@given(
    st.lists(st.one_of(st.text(max_size=5), st.integers(1, 40).map("ä".__mul__)), max_size=40),
    st.integers(1, 9),
    st.one_of(st.none(), st.integers(1, 50)),
)
def test_batches_hold_every_text_in_order_and_are_as_few_as_the_limits_allow(
    texts: list[str], most: int, size: int | None
) -> None:
    def fits(batch: list[str]) -> bool:
        return len(batch) <= most and (size is None or sum(len(text.encode()) for text in batch) <= size)

    made = list(batches(texts, most, size))
    assert [text for batch in made for text in batch] == texts
    assert all(len(batch) == 1 or fits(batch) for batch in made)
    assert not any(fits([*batch, after[0]]) for batch, after in itertools.pairwise(made))
