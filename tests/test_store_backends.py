"""What each store of another maker does in its own way: servers, folders, metrics, limits, keys."""

from __future__ import annotations

import gc
import math
import os
import socket
import subprocess
import sys
import sysconfig
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path
from typing import Any

import pytest
from racto.knowledge.chunks import Chunk
from racto.knowledge.errors import ConfigError, ConflictError, InputError, LimitError, RactoError, StorageError
from racto.knowledge.stores import STORES, BaseVectorStore, store_class
from racto.knowledge.stores.chroma import ChromaStore
from racto.knowledge.stores.faiss import FAISSStore
from racto.knowledge.stores.milvus import MilvusStore
from racto.knowledge.stores.pgvector import PGVectorStore
from racto.knowledge.stores.pinecone import PineconeStore
from racto.knowledge.stores.qdrant import QdrantStore
from racto.knowledge.stores.weaviate import WeaviateStore

from tests import store_backends
from tests.store_contract import DIMENSION, chunk, chunks, ids, nearest, vector
from tests.store_servers import serving
from tests.store_servers.pinecone import API_KEY, Pinecone
from tests.store_servers.weaviate import Weaviate


def _distance(one: list[float], other: list[float]) -> float:
    return -math.dist(one, other)


def _product(one: list[float], other: list[float]) -> float:
    return sum(a * b for a, b in zip(one, other, strict=True))


METRICS: dict[str, tuple[Callable[[Path], BaseVectorStore], Callable[[list[float], list[float]], float]]] = {
    "faiss-l2": (lambda _: FAISSStore(index_type="flat_l2"), _distance),
    "chroma-l2": (lambda _: ChromaStore("metric-l2", distance_function="l2"), _distance),
    "chroma-ip": (lambda _: ChromaStore("metric-ip", distance_function="ip"), _product),
    "qdrant-l2": (lambda _: QdrantStore(distance="l2"), _distance),
    "qdrant-ip": (lambda _: QdrantStore(distance="dot"), _product),
    "milvus-l2": (lambda folder: MilvusStore(uri=str(folder / "m.db"), metric_type="L2"), _distance),
    "pgvector-l2": (lambda _: PGVectorStore(store_backends.postgres(), table="l2", distance="l2"), _distance),
    "pgvector-ip": (lambda _: PGVectorStore(store_backends.postgres(), table="ip", distance="ip"), _product),
    "weaviate-l2": (lambda _: WeaviateStore("L2", url=store_backends.weaviate(), distance_metric="l2"), _distance),
    "weaviate-ip": (lambda _: WeaviateStore("Ip", url=store_backends.weaviate(), distance_metric="dot"), _product),
}


@pytest.mark.parametrize("name", METRICS)
def test_another_metric_orders_by_it_and_its_score_says_how_much(name: str, tmp_path: Path) -> None:
    make, metric = METRICS[name]
    there = chunks(30, length=lambda seed: 1 + seed % 4)
    expected = {one.chunk_id: metric(one.embedding or [], vector(3, 2)) for one in there}
    with closing(make(tmp_path)) as store:
        store.add(there)
        found = store.search(vector(3, 2), 30)
    assert {one.chunk.chunk_id: one.score for one in found} == pytest.approx(expected, abs=1e-4)
    assert [one.chunk.chunk_id for one in found] == sorted(expected, key=lambda name: -expected[name])


@pytest.mark.parametrize("metric", ["cosine", "dotproduct", "euclidean"])
def test_whatever_a_pinecone_index_compares_by_a_score_is_the_cosine(
    metric: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    with _pinecone(monkeypatch, metric=metric) as (store, _):
        store.add(chunks(20, length=lambda seed: 1 + seed))
        found = store.search(vector(4, 9), 20)
    assert [one.chunk.chunk_id for one in found] == nearest(chunks(20), 4, 20)
    assert [one.score for one in found] == pytest.approx(
        [_product(vector(one.chunk.metadata.chunk_index), vector(4)) for one in found], abs=1e-5
    )


def test_a_collection_that_compares_otherwise_is_not_opened(tmp_path: Path) -> None:
    path, url = str(tmp_path), store_backends.weaviate()
    pairs: list[tuple[BaseVectorStore, BaseVectorStore]] = [
        (ChromaStore("kept", path=path), ChromaStore("kept", path=path, distance_function="l2")),
        (MilvusStore(uri=f"{path}/m.db"), MilvusStore(uri=f"{path}/m.db", metric_type="L2")),
        (WeaviateStore("Kept", url=url), WeaviateStore("Kept", url=url, distance_metric="l2")),
    ]
    for first, second in pairs:
        with closing(first), closing(second):
            first.add(chunks(2))
            with pytest.raises(ConflictError, match="compares by"):
                second.search(vector(1))
            with pytest.raises(ConflictError):
                second.add(chunks(1))
            assert first.count() == 2


@pytest.mark.parametrize(
    ("name", "package", "arguments"),
    [
        ("faiss", "faiss", {}),
        ("chroma", "chromadb", {}),
        ("qdrant", "qdrant_client", {}),
        ("milvus", "pymilvus", {}),
        ("pgvector", "psycopg", {"dsn": "postgresql://localhost/x"}),
        ("pinecone", "pinecone", {"index_name": "x", "api_key": "k"}),
    ],
)
def test_a_missing_library_is_named_with_the_extra_that_brings_it(
    name: str, package: str, arguments: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(ConfigError, match=rf"pip install 'racto\[rag-{name}\]'"):
        store_class(name)(**arguments).add(chunks(1))


def test_importing_the_stores_imports_no_library_of_theirs() -> None:
    program = (
        "import sys\nfrom racto.knowledge.stores import STORES, store_class\n"
        "for name in STORES: store_class(name)\n"
        "print(*{name.partition('.')[0] for name in sys.modules})"
    )
    loaded = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stdout.split()
    vendors = {"faiss", "chromadb", "qdrant_client", "pymilvus", "psycopg", "pinecone", "httpx2", "numpy", "grpc"}
    assert vendors.isdisjoint(loaded)
    assert "racto" in loaded
    assert len(STORES) == 9


def test_where_nobody_answers_is_said_without_the_key() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    url = f"http://127.0.0.1:{port}"
    for store in (
        ChromaStore("nobody", host="127.0.0.1", port=port),
        QdrantStore(url=url),
        MilvusStore(host="127.0.0.1", port=port, token="me:tomato-7"),
        WeaviateStore(url=url, api_key="tomato-7"),
    ):
        with closing(store), pytest.raises(StorageError) as caught:
            store.count()
        assert "Check that it runs" in caught.value.hint
        assert "tomato-7" not in str(caught.value)


@pytest.mark.parametrize("wrong", [0, -1])
def test_a_batch_holds_at_least_one(wrong: int) -> None:
    for name in ("qdrant", "milvus"):
        with pytest.raises(ConfigError, match="batch_size"):
            store_class(name)(batch_size=wrong)  # type: ignore[call-arg]  # these two take it


def test_unknown_metrics_are_named_with_the_known_ones() -> None:
    for make in (
        lambda: ChromaStore(distance_function="cosin"),
        lambda: QdrantStore(distance="cosin"),
        lambda: WeaviateStore(distance_metric="cosin"),
        lambda: PGVectorStore("x", distance="cosin"),
        lambda: MilvusStore(metric_type="cosin"),
    ):
        with pytest.raises(InputError, match=r"(?i)cosine"):
            make()


@contextmanager
def _chroma_server(folder: Path) -> Iterator[int]:
    """The port of a real Chroma server."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    program = Path(sysconfig.get_path("scripts")) / "chroma"
    command = [str(program), "run", "--path", str(folder), "--host", "127.0.0.1", "--port", str(port)]
    server = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    assert server.stdout is not None
    try:
        for line in server.stdout:
            if "listening on address" in line:
                break
        else:
            raise AssertionError("the Chroma server ended before it was ready")
        yield port
    finally:
        server.terminate()
        server.stdout.read()
        server.wait(timeout=10)
        server.stdout.close()


def test_chroma_on_a_server_keeps_what_others_see(tmp_path: Path) -> None:
    with _chroma_server(tmp_path) as port, closing(ChromaStore("shared", host="127.0.0.1", port=port)) as one:
        one.add(chunks(30))
        with closing(ChromaStore("shared", host="127.0.0.1", port=port)) as two:
            assert ids(two, 7, 10) == nearest(chunks(30), 7, 10)
            assert ids(two, 7, 30, {"nr": {"gte": 25}, "even": False}) == nearest(chunks(30)[25::2], 7)
            two.clear()
        assert (one.count(), ids(one, 7)) == (0, [])
        one.add([chunk("again", 1)])
        assert one.count() == 1


def test_chroma_in_memory_is_each_stores_own() -> None:
    with closing(ChromaStore("mine")) as one, closing(ChromaStore("mine")) as two:
        one.add(chunks(3))
        assert (one.count(), two.count()) == (3, 0)


def test_chroma_takes_its_folder_by_either_name(tmp_path: Path) -> None:
    with closing(ChromaStore("kept", persist_directory=str(tmp_path))) as store:
        store.add(chunks(3))
    with closing(ChromaStore("kept", path=str(tmp_path))) as store:
        assert ids(store, 1, 1) == ["c1"]


def test_qdrant_keeps_a_folder(tmp_path: Path) -> None:
    with closing(QdrantStore("kept", url=str(tmp_path))) as store:
        store.add(chunks(3))
    with closing(QdrantStore("kept", url=str(tmp_path))) as store:
        assert ids(store, 1, 2, {"even": False}) == ["c1"]


@pytest.mark.filterwarnings("ignore:Exception ignored in.*lock")  # the client forgets to close what it could not lock
def test_a_qdrant_folder_that_is_in_use_is_said_to_be(tmp_path: Path) -> None:
    with closing(QdrantStore("kept", url=str(tmp_path))) as store:
        store.add(chunks(1))
        with pytest.raises(StorageError, match="already accessed"):
            QdrantStore("kept", url=str(tmp_path)).count()
        gc.collect()


def test_qdrant_refuses_a_collection_of_another_metric(tmp_path: Path) -> None:
    with closing(QdrantStore("kept", url=str(tmp_path))) as store:
        store.add(chunks(3))
    with closing(QdrantStore("kept", url=str(tmp_path), distance="l2")) as store, pytest.raises(ConflictError):
        store.count()


def test_a_given_dimension_holds_before_the_first_chunk(tmp_path: Path) -> None:
    for store in (
        FAISSStore(3),
        QdrantStore(dimension=3),
        MilvusStore(uri=str(tmp_path / "m.db"), dimension=3),
    ):
        with closing(store):
            with pytest.raises(InputError, match="3"):
                store.add(chunks(1))
            assert store.search([1, 2, 3]) == []
            store.add([Chunk("x", embedding=[1, 2, 3])])
            assert store.count() == 1


def test_what_is_too_large_for_a_backend_is_refused_before_anything_is_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with _pinecone(monkeypatch) as (pinecone, _), closing(MilvusStore(uri=str(tmp_path / "m.db"))) as milvus:
        for store, length in ((pinecone, 30_000), (milvus, 65_535)):
            store.add([Chunk("x" * (length - 500), chunk_id="fits", embedding=vector(1))])
            with pytest.raises(InputError, match="smaller chunks"):
                store.add([chunk("a", 1), Chunk("x" * length, chunk_id="large", embedding=vector(1))])
            assert ids(store, 1) == ["fits"]


def test_metadata_that_are_not_json_are_refused_by_the_name_of_their_chunk() -> None:
    with pytest.raises(InputError, match="odd"):
        FAISSStore().add([chunk("fine", 1), chunk("odd", 2, when=object())])


def test_a_collection_somebody_else_wrote_into_is_not_taken_for_ours(tmp_path: Path) -> None:
    import chromadb
    from chromadb.config import Settings

    client: Any = chromadb.PersistentClient(str(tmp_path), Settings(anonymized_telemetry=False))
    with closing(client):
        client.create_collection("theirs", configuration={"hnsw": {"space": "cosine"}}, embedding_function=None).add(
            ids=["x"], embeddings=[vector(1)], metadatas=[{"mine": 1}]
        )
    with closing(ChromaStore("theirs", path=str(tmp_path))) as store, pytest.raises(StorageError, match="no chunk"):
        store.search(vector(1))


def test_weaviate_gets_the_key_the_headers_and_batches_of_the_size_asked_for() -> None:
    service = Weaviate(api_key="tomato-7")
    headers = {"X-OpenAI-Api-Key": "potato-8"}
    with serving(service) as url:
        with closing(WeaviateStore(url=url, api_key="tomato-7", additional_headers=headers, batch_size=20)) as store:
            store.add(chunks(50))
            assert service.batches == [20, 20, 10]
            assert service.headers["x-openai-api-key"] == "potato-8"
        with closing(WeaviateStore(url=url, api_key="wrong-9")) as store:
            with pytest.raises(StorageError, match="401") as caught:
                store.count()
            assert "key" in caught.value.hint
            assert "wrong-9" not in str(caught.value)


def test_weaviate_asks_for_numbers_nobody_has() -> None:
    with closing(WeaviateStore("Numbers", url=store_backends.weaviate())) as store:
        store.add([chunk("a", 1, year=2020)])
        assert ids(store, 1, filters={"month": {"lt": 3}}) == []
        assert ids(store, 1, filters={"or": [{"month": {"lt": 3}}, {"year": 2020}]}) == ["a"]
        store.add([chunk("b", 2, month=1)])
        assert ids(store, 1, filters={"month": {"lt": 3}}) == ["b"]


def _program(folder: Path, monkeypatch: pytest.MonkeyPatch, command: str) -> None:
    """Let there be a program `weaviate`, and nothing else, to start."""
    program = folder / "weaviate"
    program.write_text(f"#!/bin/sh\n{command}\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", str(folder))


@pytest.mark.skipif(os.name != "posix", reason="the stand-in is a shell script")
def test_weaviate_without_a_url_is_started_and_ends_with_its_store(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stand_in = f'exec "{sys.executable}" -m tests.store_servers.weaviate "$@"'
    _program(tmp_path, monkeypatch, f'cd "{Path(__file__).parents[1]}" && {stand_in}')
    with closing(WeaviateStore()) as store:
        store.add(chunks(3))
        assert ids(store, 1, 1) == ["c1"]
        assert store._server is not None
        port = int(store._server.url.rpartition(":")[2])
    with socket.socket() as probe:
        assert probe.connect_ex(("127.0.0.1", port)) != 0, "it still listens"


@pytest.mark.skipif(os.name != "posix", reason="the stand-in is a shell script")
def test_a_weaviate_that_cannot_be_started_is_explained(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    _program(tmp_path, monkeypatch, "exit 3")
    with pytest.raises(ConfigError, match="ended with 3"):
        WeaviateStore().count()
    (tmp_path / "weaviate").unlink()
    with pytest.raises(ConfigError, match="no program `weaviate`"):
        WeaviateStore().count()


def test_a_name_that_is_no_class_is_refused() -> None:
    with pytest.raises(ConfigError, match="capital"):
        WeaviateStore("chunks; drop", url="http://localhost")


@contextmanager
def _pinecone(
    monkeypatch: pytest.MonkeyPatch, *, metric: str = "cosine", **options: Any
) -> Iterator[tuple[PineconeStore, Pinecone]]:
    service = Pinecone({"one": DIMENSION}, metric)
    with ExitStack() as stack:
        monkeypatch.setenv("PINECONE_CONTROLLER_HOST", stack.enter_context(serving(service)))
        yield stack.enter_context(closing(PineconeStore("one", **({"api_key": API_KEY} | options)))), service


def test_pinecone_namespaces_do_not_see_each_other(monkeypatch: pytest.MonkeyPatch) -> None:
    with _pinecone(monkeypatch, namespace="mine") as (mine, _), closing(PineconeStore("one", api_key=API_KEY)) as other:
        mine.add(chunks(3))
        other.add(chunks(2))
        other.clear()
        assert (mine.count(), other.count()) == (3, 0)
        assert ids(mine, 1, 9) == nearest(chunks(3), 1)


def test_a_long_list_of_pinecone_is_fetched_in_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    there = chunks(450)
    with _pinecone(monkeypatch, batch_size=200) as (store, service):
        store.add(there)
        assert service.requests.count("POST /hosts/one/vectors/upsert") == 3
        assert ids(store, 9, 450) == nearest(there, 9, 450)
        assert service.requests.count("GET /hosts/one/vectors/fetch") == 5


def test_a_filter_nobody_can_word_is_followed_to_the_longest_list_and_not_beyond(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(PineconeStore, "most", 40)
    with _pinecone(monkeypatch) as (store, _):
        store.add([chunk(f"c{seed}", seed, word="b" if seed % 10 else "a") for seed in range(40)])
        few = {"word": {"lt": "b"}}  # Pinecone cannot order texts
        assert set(ids(store, 3, 4, few)) == {"c0", "c10", "c20", "c30"}
        with pytest.raises(LimitError, match="at most 40") as caught:
            ids(store, 3, 5, few)
        assert "text or number" in caught.value.hint
        store.delete(["c1"])
        assert len(ids(store, 3, 5, few)) == 4


def test_pinecone_says_what_is_wrong(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("PINECONE_API_KEY", raising=False)
    with pytest.raises(ConfigError, match="PINECONE_API_KEY"):
        PineconeStore("one").count()
    wrong: list[tuple[dict[str, Any], str]] = [
        ({"index_name": "unknown", "api_key": API_KEY}, "unknown"),
        ({"index_name": "one", "api_key": "tomato-7"}, "Invalid API Key"),
    ]
    with _pinecone(monkeypatch):
        for arguments, said in wrong:
            with closing(PineconeStore(**arguments)) as store, pytest.raises(RactoError, match=said) as caught:
                store.count()
            assert isinstance(caught.value, StorageError)
            assert "tomato-7" not in str(caught.value)


def test_pinecone_reads_its_key_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PINECONE_API_KEY", API_KEY)
    with _pinecone(monkeypatch, api_key=None) as (store, _):
        store.add(chunks(1))
        assert store.count() == 1
