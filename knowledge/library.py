"""The library: documents in, exact passages out, found by their words and by their meaning.

Pages carry the words (BM25), chunks the meaning (vectors); a passage is a chunk, scored by both. Words are searchable as soon as a document
is written. Vectors follow as a job of their own that can stop and go on anywhere, and a search does without those that are missing.
"""

from __future__ import annotations

import asyncio
import sqlite3
import threading
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Literal

from . import chunk_rows, chunk_vectors, indexing
from .analyser import LONGEST_QUERY
from .catalogue import Collection, checked_name, collection_named, known_collection
from .chunking import BaseChunker, default_chunker
from .chunks import Chunk, RetrievalResult
from .database import Database, explain
from .embedding import BaseEmbedder
from .errors import ConfigError, ConflictError, InputError, RactoError, RactoGatewayError, StorageError, unknown_name
from .filters import Filters
from .ingest import Ingester
from .processing import BaseProcessor
from .readers import FileReaderRegistry
from .retrieval import Asked, Retriever
from .stores import BaseVectorStore
from .stores.sqlite import SQLiteStore

if TYPE_CHECKING:
    from .embedding import Reranker

Mode = Literal["hybrid", "words", "meaning"]
MODES: tuple[Mode, ...] = ("hybrid", "words", "meaning")

EMBED_BATCH = 128
"""Chunks that get their vectors in one transaction."""

EmbedProgress = Callable[[int, int], None]


class Findings(list[RetrievalResult]):
    """The passages that were found, best first.

    :param notes: What the reader must know: that meaning was not searched, and why.
    """

    def __init__(self, results: Iterable[RetrievalResult], notes: Sequence[str] = ()) -> None:
        super().__init__(results)
        self.notes = list(notes)


@dataclass(frozen=True, slots=True)
class Embedded:
    """What an embedding job did.

    :param done: Chunks that got their vector.
    :param left: Chunks that still wait.
    """

    done: int
    left: int
    seconds: float


class Library:
    """One collection of documents, searched by words and by meaning.

    :param database: Where it is kept.
    :param embedder: What makes vectors; without one, words are searched alone.
    :param store: Where vectors are kept; by default in the database itself.
    :param store_name: What that store is called, to notice when it is another one.
    :param reranker: Reads the best passages again and puts them in order, when a search asks for it.
    :param chunker: How documents are cut into chunks.
    :param processors: Applied to what is indexed and embedded; what is cited stays as the document has it.
    :param registry: Which reader reads which file.
    :raises ConfigError: the store is in the same file.
    """

    def __init__(
        self,
        database: Database,
        collection: str = "default",
        *,
        embedder: BaseEmbedder | None = None,
        store: BaseVectorStore | None = None,
        reranker: Reranker | None = None,
        chunker: BaseChunker | None = None,
        processors: Sequence[BaseProcessor] | None = None,
        registry: FileReaderRegistry | None = None,
    ) -> None:
        if isinstance(store, SQLiteStore) and store.database is not database and store.database.path == database.path:
            raise ConfigError(
                "The vector store is in the file of the library, which keeps vectors there anyway.",
                "Leave the store out.",
            )  # each would wait for the other to end its transaction
        self.database = database
        self.collection = checked_name(collection)
        self.embedder = embedder
        self.store = store
        self.reranker = reranker
        self.ingester = Ingester(
            database, collection, chunker=chunker or default_chunker(), processors=processors, registry=registry
        )
        self._store_name = type(store).__name__ if store else ""
        self._retriever = Retriever(store)

    async def search(
        self,
        query: str,
        top_k: int = 5,
        filters: Mapping[str, Any] | None = None,
        *,
        among: Filters | None = None,
        mode: Mode = "hybrid",
        rerank: bool = False,
    ) -> Findings:
        """The passages that answer best.

        :param filters: What the metadata must be like; see `stores/filtering.py`.
        :param among: Which documents to look at.
        :param mode: `words` never asks the embedder; `meaning` looks at vectors alone.
        :param rerank: Have the reranker order the best ones.
        :raises ConfigError: `meaning` without an embedder, or `rerank` without a reranker.
        :raises ConflictError: `meaning`, and the vectors are another embedder's.
        :raises StorageError: `meaning`, and the vectors are damaged or their store fails; in other modes words are found all the same.
        """
        if mode not in MODES:
            raise unknown_name("mode", mode, MODES)
        if rerank and self.reranker is None:
            raise ConfigError("There is no reranker.", "Search without rerank, or set one up (the setting reranker).")
        said = "" if len(query) <= LONGEST_QUERY else f"Only the first {LONGEST_QUERY:,} characters were searched for."
        query = query[:LONGEST_QUERY]
        vector, notes = await self._vector_of(query, mode)
        depth = max(4 * top_k, 20) if rerank else top_k
        trust = self.embedder.trust if self.embedder else 0.0
        asked = Asked(query, vector, depth, filters, among, mode != "meaning", trust)
        found, trouble = await asyncio.to_thread(self._search, asked)
        notes += [*trouble, *filter(None, [said])]
        if rerank and self.reranker is not None and len(found) > 1:
            scores = await self.reranker.arerank(query, [one.chunk.content for one in found])
            order = sorted(range(len(found)), key=lambda place: -scores[place])
            found = [found[place] for place in order[:top_k]]
            for rank, (one, place) in enumerate(zip(found, order, strict=False), 1):
                one.rank, one.score = rank, scores[place]
        return Findings(found, notes)

    async def embed(
        self,
        progress: EmbedProgress | None = None,
        stop: threading.Event | None = None,
        seconds: float | None = None,
    ) -> Embedded:
        """Give chunks that have none their vectors. What is done is kept, however it ends.

        :param progress: Told how many are done, of how many.
        :param stop: Looked at between batches.
        :param seconds: Stop after about this long.
        :raises ConflictError: the vectors of the collection are another embedder's.
        :raises RactoGatewayError: the embedder failed.
        :raises InputError: it gave other than one vector for each text.
        """
        begun, done = time.monotonic(), 0
        await asyncio.to_thread(self.sweep)
        if self.embedder is not None:
            anew = await asyncio.to_thread(self.embedder.refresh)
            if anew:
                await asyncio.to_thread(self.forget_vectors)
        left = await asyncio.to_thread(self._waiting)
        total = left
        while left and self.embedder and not (stop and stop.is_set()):
            if seconds is not None and time.monotonic() - begun > seconds:
                break
            if progress:
                progress(done, total)
            name, rows, texts = await asyncio.to_thread(self._next_batch)
            if not rows:
                break  # another process was faster
            made = await self.embedder.aembed(texts)
            if len(made) != len(texts):
                raise InputError(
                    f"{name} gave {len(made)} vectors for {len(texts)} texts.",
                    "An embedder gives one vector for each text, in their order.",
                )
            done += await asyncio.to_thread(self._keep, name, rows, made)
            left = await asyncio.to_thread(self._waiting)
        if progress and total:
            progress(done, max(total, done))
        return Embedded(done, left, round(time.monotonic() - begun, 3))

    def forget_vectors(self) -> None:
        """Take every vector of the collection out; `embed` then makes them again, with whatever embedder there is."""
        with self.database.writing() as connection:
            collection = collection_named(connection, self.collection)
            if collection:
                chunk_vectors.drop(connection, collection)
        self.sweep()

    def sweep(self) -> None:
        """Take what was removed here out of a store that is not this database."""
        if self.store is None:
            return
        with self.database.reading() as connection:
            collection = collection_named(connection, self.collection)
            if collection is None or not chunk_vectors.leaving(connection, collection):
                return
        # Whoever writes to the store holds the lock of the database: between two processes nothing is taken out that just came back.
        with self.database.writing() as connection:
            gone = chunk_vectors.leaving(connection, collection)
            self.store.delete(gone)
            chunk_vectors.left(connection, collection, gone)

    def clear(self) -> int:
        """Remove every document of the collection.

        :returns: How many are kept as former versions; 0 when they are too large together.
        """
        with self.database.writing() as connection:
            collection = collection_named(connection, self.collection)
            kept = indexing.remove_all(connection, collection) if collection else 0
        self.sweep()
        return kept

    def count(self) -> int:
        """How many chunks there are."""
        with self.database.reading() as connection:
            collection = collection_named(connection, self.collection)
            return chunk_rows.count(connection, collection.id) if collection else 0

    def around(self, chunk: Chunk, neighbours: int = 1, *, section: bool = False) -> list[Chunk]:
        """A chunk with those beside it.

        :param neighbours: How many on each side.
        :param section: All that stand under the same headings without a break, instead.
        """
        about = chunk.metadata
        with self.database.reading() as connection:
            if not section:
                first, last = about.chunk_index - neighbours, about.chunk_index + neighbours
                return [one.chunk for one in chunk_rows.of_document(connection, chunk.doc_id, first, last)]
            there = [one.chunk for one in chunk_rows.of_document(connection, chunk.doc_id)]
        first = last = next((place for place, one in enumerate(there) if one.chunk_id == chunk.chunk_id), -1)
        if first < 0:
            return []
        while first > 0 and there[first - 1].metadata.heading_path == about.heading_path:
            first -= 1
        while last + 1 < len(there) and there[last + 1].metadata.heading_path == about.heading_path:
            last += 1
        return there[first : last + 1]

    async def _vector_of(self, query: str, mode: Mode) -> tuple[list[float] | None, list[str]]:
        """The vector of a query, or why there is none."""
        if mode == "words":
            return None, []
        try:
            embedder, collection = await asyncio.to_thread(self._embedded)
            waiting = await asyncio.to_thread(self._waiting)
            vector = await embedder.aembed_query(query)
        except (ConfigError, ConflictError, RactoGatewayError, StorageError) as error:
            if mode == "meaning":
                raise
            return None, [] if self.embedder is None else [f"Only words were searched: {error}"]
        if not waiting:
            return vector, []
        what = "1 passage of {} has" if waiting == 1 else f"{waiting:,} passages of {{}} have"
        return vector, [f"{what.format(collection.name)} no vector yet: only words were searched there."]

    def _embedded(self) -> tuple[BaseEmbedder, Collection]:
        """The embedder, and the collection that has vectors of it."""
        if self.embedder is None:
            raise ConfigError(
                "There is no embedder, so meaning cannot be searched.",
                "Search for words (mode=words), or set one up: RACTO_EMBEDDING_MODELS for a server, embedder=… in Python.",
            )
        collection = self._checked()
        if collection is None or not collection.embedder:
            raise ConflictError("Nothing has a vector yet.", "Embed it first.")
        return self.embedder, collection

    def _search(self, asked: Asked) -> tuple[list[RetrievalResult], list[str]]:
        """What is found, and why meaning was not searched."""
        if asked.limit < 1 or indexing.freshen(self.database, self.collection) is None:
            return [], []
        with self.database.reading() as connection:
            collection = known_collection(connection, self.collection)
            try:
                return self._retriever.search(connection, collection, asked), []
            except (RactoError, sqlite3.DatabaseError) as error:
                if asked.vector is None or not asked.words:
                    raise
                said = explain(error, self.database.path) if isinstance(error, sqlite3.DatabaseError) else error
                words = replace(asked, vector=None)
                return self._retriever.search(connection, collection, words), [f"Only words were searched: {said}"]

    def _checked(self) -> Collection | None:
        """The collection, when its vectors are this embedder's and in this store."""
        with self.database.reading() as connection:
            collection = collection_named(connection, self.collection)
        if collection and self.embedder:
            chunk_vectors.check(collection, self.embedder.name, self._store_name)
        return collection

    def _waiting(self) -> int:
        collection = self._checked()
        if collection is None:
            return 0
        with self.database.reading() as connection:
            return chunk_rows.waiting_count(connection, collection.id)

    def _next_batch(self) -> tuple[str, dict[int, bytes], list[str]]:
        """The name of the embedder as it is now, rows that wait with their digests, and what is to be embedded for each."""
        assert self.embedder is not None
        name = self.embedder.name
        with self.database.reading() as connection:
            collection = known_collection(connection, self.collection)
            kept = chunk_rows.read(connection, chunk_rows.waiting(connection, collection.id, EMBED_BATCH))
        texts = [self.ingester.clean(one.chunk.content) for one in kept.values()]
        return name, {row: one.digest for row, one in kept.items()}, texts

    def _keep(self, name: str, rows: Mapping[int, bytes], made: Sequence[Sequence[float]]) -> int:
        """Keep new vectors of those chunks that are still there and still the same.

        :param name: Of the embedder when it made them.
        :returns: How many.
        """
        vector_of = dict(zip(rows, made, strict=True))
        if self.store is not None:
            # Noted before the first vector is there: or after a crash nobody would take it out again.
            with self.database.writing() as connection:
                collection = known_collection(connection, self.collection)
                chunk_vectors.check(collection, name, self._store_name)
                chunk_vectors.label(connection, collection, name, self._store_name)
        with self.database.writing() as connection:
            collection = known_collection(connection, self.collection)
            chunk_vectors.check(collection, name, self._store_name)
            same = chunk_rows.unchanged(connection, rows)
            chunk_vectors.label(connection, collection, name, self._store_name)
            if self.store is None:
                chunk_vectors.put(connection, collection, name, same, [vector_of[row] for row in same])
            else:
                chunk_vectors.hand_over(connection, collection, self.store, {row: vector_of[row] for row in same})
            chunk_rows.settled(connection, collection.id, same)
        return len(same)
