"""One search of a library: the words of pages and the meaning of chunks, made into one ranking of passages."""

from __future__ import annotations

import sqlite3
from collections import Counter
from collections.abc import Mapping, Sequence, Set
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from . import catalogue, chunk_rows, chunk_vectors, fusion, vector_blocks, vectors
from .analyser import query_terms, terms
from .catalogue import Collection
from .chunk_rows import KeptChunk, page_of
from .chunks import RetrievalResult
from .filters import Filters
from .ranges import Ranges
from .ranking import Searcher
from .scope import Scope, scope_of
from .snippets import query_words
from .stores import BaseVectorStore

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

CHUNK_DEPTH = 300
"""Chunks asked of the vectors, so that there are about `fusion.DEPTH` pages of them."""

SAMPLE = 512
"""Vectors looked at to tell what unrelated ones come to."""

K1, B = 1.0, 0.75
"""Of BM25 for chunks: in so short a text more of a term stops counting sooner than on a page."""
LOCAL = 0.7
"""How much of what the text of a page counts is what the chunk itself says; the rest counts for every chunk of the page."""
TEXT = {"body": 1.0, "head": 0.2}
"""The text of a page, as `ranking.WEIGHTS`: of its head less than half, for that says what all of it is about."""


@dataclass(frozen=True, slots=True)
class Asked:
    """A search.

    :param vector: Of the query; without one, words alone.
    :param words: Whether words count.
    :param trust: How much meaning counts beside them, 0 to 1.
    """

    query: str
    vector: Sequence[float] | None
    limit: int
    filters: Mapping[str, Any] | None
    among: Filters | None
    words: bool
    trust: float = fusion.WEIGHT


@dataclass(slots=True)
class _Candidates:
    """What both rankings say, before they are fused.

    :param words: Page → BM25.
    :param meaning: Chunk → cosine.
    """

    words: dict[int, float] = field(default_factory=dict)
    meaning: dict[int, float] = field(default_factory=dict)


class Retriever:
    """Searches collections of one database; remembers what does not change between searches. Safe between threads.

    :param store: Where vectors are, when not in the database.
    """

    def __init__(self, store: BaseVectorStore | None = None) -> None:
        self._words = Searcher()
        self._meaning = vectors.VectorSearcher()
        self._store = store
        self._samples: dict[int, tuple[int, NDArray[np.float32]]] = {}
        """Space → how many vectors it had, and some of them."""

    def search(self, connection: sqlite3.Connection, collection: Collection, asked: Asked) -> list[RetrievalResult]:
        """The passages that answer best, in one state of the collection.

        :raises StorageError: vectors are damaged, or the store that has them fails; without a vector asked for, only the database counts.
        """
        languages = catalogue.languages(connection, collection)
        if not languages:
            return []
        scope = scope_of(connection, collection, asked.among, asked.filters)
        wanted = query_terms(asked.query, languages)
        found = _Candidates()
        if asked.words:
            self._add_words(connection, collection, wanted, scope, found)
        if asked.vector is not None:
            self._add_meaning(connection, collection, asked, scope, found)
            if asked.words:
                self._complete(connection, collection, wanted, asked.vector, found)
        return self._passages(connection, collection, asked, scope, wanted, found)

    def _add_words(
        self,
        connection: sqlite3.Connection,
        collection: Collection,
        wanted: Sequence[str],
        scope: Scope,
        found: _Candidates,
    ) -> None:
        for hit in self._words.search(connection, collection.id, wanted, limit=fusion.DEPTH, among=scope.pages):
            found.words[hit.page_id] = hit.score

    def _add_meaning(
        self,
        connection: sqlite3.Connection,
        collection: Collection,
        asked: Asked,
        scope: Scope,
        found: _Candidates,
    ) -> None:
        """The nearest chunks."""
        assert asked.vector is not None
        if self._store is not None:
            found.meaning |= self._from_store(self._store, connection, collection, asked, scope)
            return
        space = vectors.space_named(connection, chunk_vectors.space_name(collection))
        if space is None and chunk_rows.count(connection, collection.id) > chunk_rows.waiting_count(
            connection, collection.id
        ):
            raise vector_blocks.damaged()
        if space:
            found.meaning |= dict(
                self._meaning.search(connection, space, asked.vector, limit=CHUNK_DEPTH, among=scope.chunks)
            )

    def _from_store(
        self,
        store: BaseVectorStore,
        connection: sqlite3.Connection,
        collection: Collection,
        asked: Asked,
        scope: Scope,
    ) -> dict[int, float]:
        """The nearest chunks of a store that is not this database; it is asked for more until enough of them may be shown."""
        assert asked.vector is not None
        depth, there = CHUNK_DEPTH, store.count()
        while True:
            near: dict[int, float] = {}
            for one in store.search(asked.vector, depth, asked.filters):
                row = chunk_rows.row_named(connection, one.chunk.doc_id, one.chunk.metadata.chunk_index)
                if row is not None and scope.holds(row):
                    near[row] = one.score
            if len(near) >= CHUNK_DEPTH // 3 or depth >= there:
                # What waits has changed, and the store may still have the vector of what it was.
                return {row: near[row] for row in chunk_rows.settled_among(connection, collection.id, near)}
            depth *= 4

    def _unrelated(self, connection: sqlite3.Connection, collection: Collection, vector: Sequence[float]) -> float:
        """The cosine of this question with chunks that have nothing to do with it. The sample is another when a fifth of them are."""
        space = None if self._store else vectors.space_named(connection, chunk_vectors.space_name(collection))
        if space is None:
            return 0.0
        number = vectors.count(connection, space)
        known = self._samples.get(space.id)
        if known is None or abs(number - known[0]) > known[0] // 5:
            known = self._samples[space.id] = (number, vectors.sample(connection, space, SAMPLE))
        return fusion.unrelated_cosine(known[1], vector)

    def _complete(
        self,
        connection: sqlite3.Connection,
        collection: Collection,
        wanted: Sequence[str],
        vector: Sequence[float],
        found: _Candidates,
    ) -> None:
        """Let each ranking also score what only the other one found."""
        unread = {page_of(row) for row in found.meaning} - found.words.keys()
        if unread:
            among = Ranges((page, page) for page in unread)
            for hit in self._words.search(connection, collection.id, wanted, limit=len(unread), among=among):
                found.words[hit.page_id] = hit.score
        space = None if self._store else vectors.space_named(connection, chunk_vectors.space_name(collection))
        if space:
            pages = found.words.keys() | {page_of(row) for row in found.meaning}
            rows = [row for row in chunk_rows.ids_on(connection, pages) if row not in found.meaning]
            lacking = set(vectors.missing(connection, space, rows))
            rows = [row for row in rows if row not in lacking]
            if rows:
                found.meaning |= dict(
                    zip(rows, _cosines(vectors.vectors_of(connection, space, rows), vector), strict=True)
                )

    def _bodies(
        self, connection: sqlite3.Connection, collection: Collection, wanted: Sequence[str], pages: Set[int]
    ) -> dict[int, float]:
        """Page → what its text alone counts, of pages that words found."""
        among = Ranges((page, page) for page in pages)
        hits = self._words.search(connection, collection.id, wanted, limit=len(pages), weights=TEXT, among=among)
        return dict.fromkeys(pages, 0.0) | {hit.page_id: hit.score for hit in hits}

    def _passages(
        self,
        connection: sqlite3.Connection,
        collection: Collection,
        asked: Asked,
        scope: Scope,
        wanted: Sequence[str],
        found: _Candidates,
    ) -> list[RetrievalResult]:
        """The best chunks of the best pages."""
        unrelated, weight = 0.0, 1.0
        if asked.words:
            weight = asked.trust
            unrelated = self._unrelated(connection, collection, asked.vector) if asked.vector is not None else 0.0
        near = fusion.best_of(found.meaning.items(), page_of)
        pages = fusion.fuse(found.words, near, weight=weight, unrelated=unrelated)[: max(4 * asked.limit, 24)]
        there = chunk_rows.on_pages(connection, [page for page, _ in pages])
        read = {row: one for row, one in there.items() if scope.holds(row)}
        texts = _Texts(read, Counter(wanted), self._words.rarity(connection, collection.id, wanted))
        bodies = self._bodies(
            connection, collection, wanted, found.words.keys() & {one.page_id for one in read.values()}
        )
        words = {
            row: found.words[one.page_id] + LOCAL * (texts.scores[row] - bodies[one.page_id])
            for row, one in read.items()
            if one.page_id in bodies
        }
        meaning = {row: score for row, score in found.meaning.items() if row in read}
        ranked = fusion.fuse(words, meaning, weight=weight, unrelated=unrelated)[: 3 * asked.limit]
        says = fusion.distinct([texts.terms(row) for row, _ in ranked])
        where = [read[row].chunk.doc_id for row, _ in ranked]
        # What a document says twice has two places in it; what two documents say is shown once.
        chosen = [
            one for place, one in enumerate(ranked) if says[place] == place or where[says[place]] == where[place]
        ][: asked.limit]
        languages = catalogue.languages(connection, collection)
        results = []
        for rank, (row, score) in enumerate(chosen, 1):
            matched = query_words(asked.query, texts.held(row), languages)
            results.append(RetrievalResult(read[row].chunk, score, rank, matched, _why(matched, meaning.get(row))))
        return results


class _Texts:
    """What the chunks in question hold of the query.

    :param asked: Term of the query → how often it was asked for.
    :param rarity: Term of the query → its inverse document frequency.
    """

    scores: Mapping[int, float]
    """Chunk → BM25 of its words, on the scale of its page's."""

    def __init__(self, read: Mapping[int, KeptChunk], asked: Mapping[str, int], rarity: Mapping[str, float]) -> None:
        self._weights = {term: (K1 + 1) * asked[term] * idf for term, idf in rarity.items()}
        self._terms = {row: terms(one.chunk.content, one.language) for row, one in read.items()}
        average = sum(map(len, self._terms.values())) / max(len(read), 1)
        self.scores = {row: self._score(found, average) for row, found in self._terms.items()}

    def terms(self, row: int) -> list[str]:
        """Its index terms."""
        return self._terms[row]

    def held(self, row: int) -> list[str]:
        """The terms of the query it holds."""
        return [term for term in dict.fromkeys(self._terms[row]) if term in self._weights]

    def _score(self, found: Sequence[str], average: float) -> float:
        norm = K1 * (1 - B + B * len(found) / average) if average else 1.0
        counts = Counter(term for term in found if term in self._weights)
        return sum(self._weights[term] * count / (count + norm) for term, count in counts.items())


def _cosines(found: NDArray[np.float32], vector: Sequence[float]) -> list[float]:
    """The cosine of each of these vectors, which have the length 1, with another one."""
    import numpy as np

    query = np.asarray(vector, np.float32)
    cosines: list[float] = (found @ (query / np.linalg.norm(query))).tolist()
    return cosines


def _why(words: Sequence[str], cosine: float | None) -> str:
    parts = [f"words: {', '.join(words)}"] if words else []
    parts += [f"meaning: {cosine:.2f}"] if cosine is not None else []
    return "; ".join(parts) or "its page holds the words"
