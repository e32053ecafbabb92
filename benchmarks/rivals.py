"""What people would use instead of the library: vectors alone, the usual ways of joining them with words, and the published peer package."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from racto.knowledge.database import Database

from .minilm import MiniLM
from .pages import Collection

DEPTH = 100
PEER_PAGES, PEER_RAG = "peer pages", "peer RAG + MiniLM"

Search = Callable[[str], list[int]]
"""Question → places of pages, best first."""


class Dense:
    """MiniLM alone: a page is as near as its nearest chunk. And the usual ways of joining it with words.

    :param owners: The page of each chunk.
    :param texts: The chunks.
    """

    def __init__(self, collection: Collection, owners: Sequence[int], texts: list[str], model: MiniLM) -> None:
        self._chunks = np.array(model.embed(texts), np.float32)
        self._owners, self._size = np.array(owners), len(collection.ids)
        self._model, self._lexical = model, _bm25(collection)

    def _cosines(self, question: str) -> Any:
        cosines = np.full(self._size, -1, np.float32)
        np.maximum.at(cosines, self._owners, self._chunks @ np.array(self._model.embed([question])[0], np.float32))
        return cosines

    def alone(self, question: str) -> list[int]:
        """The nearest pages."""
        found: list[int] = np.argsort(-self._cosines(question), kind="stable")[:DEPTH].tolist()
        return found

    def by_rank(self, question: str) -> list[int]:
        """Reciprocal rank fusion (Cormack, Clarke and Büttcher 2009), k = 60, of our words and the vectors."""
        scores: dict[int, float] = {}
        for ranking in ([place for place, _ in self._lexical(question)], self.alone(question)):
            for rank, place in enumerate(ranking, 1):
                scores[place] = scores.get(place, 0) + 1 / (60 + rank)
        return sorted(scores, key=lambda place: (-scores[place], place))

    def by_min_max(self, question: str) -> list[int]:
        """Both scaled to 0…1 over their first hundred, .6 words and .4 vectors; every page with its true cosine."""
        cosines, near, words = self._cosines(question), self.alone(question), dict(self._lexical(question))
        high, low = max(words.values(), default=1), min(words.values(), default=0)
        top, floor = float(cosines[near[0]]), float(cosines[near[-1]])
        scores = {
            place: 0.6 * (words.get(place, low) - low) / ((high - low) or 1)
            + 0.4 * max(0, float(cosines[place]) - floor) / ((top - floor) or 1)
            for place in {*near, *words}
        }
        return sorted(scores, key=lambda place: (-scores[place], place))


def _bm25(collection: Collection) -> Callable[[str], list[tuple[int, float]]]:
    """Our words alone, with scores: the page index of `benchmarks/pages.py`."""
    from racto.knowledge.analyser import detect_language, page_fields, query_terms
    from racto.knowledge.postings import IndexedPage, add
    from racto.knowledge.ranking import Searcher

    database, searcher = Database(), Searcher()
    languages = [detect_language(text) for text in collection.texts]
    fields = map(page_fields, collection.names, collection.headings, collection.texts, languages)
    with database.writing() as connection:
        connection.execute("INSERT INTO collections (id, name, analyser, created_at) VALUES (1, 'bench', '', '')")
        add(connection, 1, [IndexedPage(page_id, *terms) for page_id, terms in enumerate(fields, 1)])

    def found(question: str) -> list[tuple[int, float]]:
        with database.reading() as connection:
            asked = query_terms(question, sorted(set(languages)))
            return [(hit.page_id - 1, hit.score) for hit in searcher.search(connection, 1, asked, limit=DEPTH)]

    return found


def peer(collection: Collection, model: MiniLM) -> dict[str, Search]:
    """The published peer package over the same pages: its page index, and its RAG with our MiniLM."""
    from ractogateway.rag._models.retrieval import RetrievalResult
    from ractogateway.rag.embedders.base import BaseEmbedder as PeerEmbedder
    from ractogateway.rag.page_index import PageIndexRAG
    from ractogateway.rag.pipeline import RactoRAG
    from ractogateway.rag.stores.base import BaseVectorStore as PeerStore

    class Embedder(PeerEmbedder):
        def embed(self, texts: list[str]) -> list[list[float]]:
            return model.embed(texts)

        async def aembed(self, texts: list[str]) -> list[list[float]]:
            return await model.aembed(texts)

    class Store(PeerStore):
        """The scores of its in-memory store, which computes them number by number in Python, with numpy."""

        def __init__(self) -> None:
            self._chunks: list[Any] = []
            self._vectors: Any = None

        def add(self, chunks: list[Any]) -> None:
            self._chunks += chunks

        def search(self, embedding: list[float], top_k: int = 5, filters: dict[str, Any] | None = None) -> list[Any]:
            if self._vectors is None:
                self._vectors = np.array([chunk.embedding for chunk in self._chunks], np.float32)
            scores = self._vectors @ np.array(embedding, np.float32)
            best = np.argsort(-scores, kind="stable")[:top_k].tolist()
            return [
                RetrievalResult(chunk=self._chunks[place], score=max(float(scores[place]), 0.0), rank=rank)
                for rank, place in enumerate(best, 1)
            ]

        def delete(self, chunk_ids: list[str]) -> None: ...

        def clear(self) -> None: ...

        def count(self) -> int:
            return len(self._chunks)

    pages, rag = PageIndexRAG(), RactoRAG(Store(), Embedder())
    for place, (name, text) in enumerate(zip(collection.names, collection.texts, strict=True)):
        if text.strip():
            pages.ingest_text(text, source=name, place=place)
            rag.ingest_text(text, source=name, place=place)
    return {
        PEER_PAGES: lambda question: [one.entry.extra["place"] for one in pages.retrieve(question, 40)],
        PEER_RAG: lambda question: [one.chunk.metadata.extra["place"] for one in rag.retrieve(question, 40)],
    }
