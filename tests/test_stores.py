"""One contract for every vector store: store × scenario.

A store is one line in `STORES_TO_EXAMINE`: how an empty one is made in a folder of its own. A scenario is one function of
`tests/store_contract.py`. The number of cases is printed, and may not shrink.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

import pytest
from racto.knowledge.stores import STORES
from racto.knowledge.stores.memory import InMemoryVectorStore
from racto.knowledge.stores.sqlite import SQLiteStore

from tests import store_backends
from tests.store_contract import SCENARIOS, Examined, closing


@contextmanager
def _sqlite(folder: Path, *, exact: bool = False) -> Iterator[Examined]:
    with closing(lambda name: SQLiteStore(folder / "s.db", collection=name, exact=exact)) as opener:
        yield Examined(opener)


@contextmanager
def _memory(folder: Path) -> Iterator[Examined]:
    with closing(lambda name: InMemoryVectorStore()) as opener:
        yield Examined(opener, persistent=False)


STORES_TO_EXAMINE: dict[str, Callable[[Path], AbstractContextManager[Examined]]] = {
    "sqlite": _sqlite,
    "sqlite-exact": lambda folder: _sqlite(folder, exact=True),
    "memory": _memory,
    "faiss": store_backends.faiss_case,
    "chroma": store_backends.chroma_case,
    "chroma-memory": store_backends.chroma_memory_case,
    "qdrant": store_backends.qdrant_case,
    "milvus": store_backends.milvus_case,
    "pgvector": store_backends.pgvector_case,
    "weaviate": store_backends.weaviate_case,
    "pinecone": store_backends.pinecone_case,
}
"""Name of the case → what makes it, given an empty folder whose name no other case has."""

CASES = [(store, sentence) for store in STORES_TO_EXAMINE for sentence in SCENARIOS]


@pytest.mark.parametrize(("store", "sentence"), CASES)
def test_every_store_keeps_the_contract(store: str, sentence: str, tmp_path: Path) -> None:
    with STORES_TO_EXAMINE[store](tmp_path) as examined:
        scenario = SCENARIOS[sentence]
        for need in scenario.needs:
            if not getattr(examined, need):
                pytest.skip(f"{store} is not {need}")
        scenario.check(examined)


def test_so_many_cases_were_examined(capsys: pytest.CaptureFixture[str]) -> None:
    assert len(SCENARIOS) >= 23
    assert set(STORES) <= set(STORES_TO_EXAMINE), "a store of the table is not examined"
    with capsys.disabled():
        print(f"\n{len(STORES_TO_EXAMINE)} vector stores × {len(SCENARIOS)} scenarios = {len(CASES)} cases")
