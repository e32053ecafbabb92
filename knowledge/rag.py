"""RactoRAG: the library as the specification names it, with readers, chunkers, embedders and stores to choose from."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from . import chunk_rows, chunk_vectors
from .answering import Answering, ChatKit, Grounded
from .answers import CheckedAnswer, Passage, check
from .catalogue import collection_named, document_at, name_of
from .chunking import BaseChunker
from .chunking.recursive import RecursiveChunker
from .chunks import Chunk, RetrievalResult
from .database import Database
from .edge import blocking
from .embedding import BaseEmbedder
from .errors import InputError
from .folder import IngestReport, Progress, ingest_folder
from .library import Findings, Library
from .processing import BaseProcessor
from .readers import FileReaderRegistry
from .stores import BaseVectorStore

if TYPE_CHECKING:
    from .embedding import Reranker
    from .prompts import RactoPrompt


@dataclass(frozen=True, slots=True)
class RAGResponse:
    """An answer and what it rests on.

    :param answer: What the kit answered; its text is in `answer.content`.
    :param sources: The passages the model was given, best first; a citation `[1]` means the first.
    :param query: The question.
    :param context_used: Those passages as the model read them.
    :param checked: Every sentence of the answer held against the passages it cites.
    """

    answer: Any
    sources: list[RetrievalResult]
    query: str
    context_used: str
    checked: CheckedAnswer


class IngestedChunks(list[Chunk]):
    """The chunks of a folder, and in `report` what became of each of its files."""

    def __init__(self, chunks: Iterable[Chunk], report: IngestReport) -> None:
        super().__init__(chunks)
        self.report = report


class RactoRAG(Answering):
    """Documents in, passages and cited answers out.

    :param vector_store: Where vectors are kept; by default in the database.
    :param embedder: What makes vectors; without one, search goes by words alone.
    :param store: Another name of `vector_store`.
    :param chunker: How documents are cut; by default `RecursiveChunker(512, 50)`.
    :param processors: Applied to the text of each chunk before it is embedded; by default `[TextCleaner()]`. What is cited stays as it was.
    :param llm_kit: Answers in `query`; without one there is `retrieve`.
    :param context_template: What the model is asked; needs `{context}` and `{question}`.
    :param reader_registry: Which reader reads which file; by default all built-in ones.
    :param default_prompt: The system prompt of `query`.
    :param reranker: Orders the best passages again, in `retrieve(rerank=True)`.
    :param database: Where documents are kept, when it shares the file with others.
    :param path: The SQLite file; by default a temporary one that goes with this object.
    :param collection: The name of this set of documents in the file.
    :raises InputError: a template or names that cannot be right.
    """

    def __init__(
        self,
        vector_store: BaseVectorStore | None = None,
        embedder: BaseEmbedder | None = None,
        *,
        store: BaseVectorStore | None = None,
        chunker: BaseChunker | None = None,
        processors: Sequence[BaseProcessor] | None = None,
        llm_kit: ChatKit | None = None,
        context_template: str | None = None,
        reader_registry: FileReaderRegistry | None = None,
        default_prompt: RactoPrompt | None = None,
        reranker: Reranker | None = None,
        database: Database | None = None,
        path: Path | str | None = None,
        collection: str = "default",
    ) -> None:
        if vector_store is not None and store is not None:
            raise InputError("Both vector_store and store were given.", "They are the same: give one.")
        super().__init__(llm_kit, context_template, default_prompt, database, path)
        self.library = Library(
            self.database,
            collection,
            embedder=embedder,
            store=vector_store or store,
            reranker=reranker,
            chunker=chunker or RecursiveChunker(512, 50),
            processors=processors,
            registry=reader_registry,
        )

    async def aingest(self, path: str | Path, **metadata: Any) -> list[Chunk]:
        """Index a file; one that is unchanged costs a look, one that changed replaces what was kept of it.

        :param metadata: Kept with the document, for filters and citations.
        :returns: The chunks of the document, embedded when there is an embedder.
        :raises ReadError: it cannot be read.
        """
        outcome = await asyncio.to_thread(self.library.ingester.file, path, metadata)
        return await self._embedded([outcome.source])

    async def aingest_text(self, text: str, source: str = "manual", **metadata: Any) -> list[Chunk]:
        """Index a text under a label; another text under the same label replaces it.

        :raises NoTextError: it is blank.
        """
        outcome = await asyncio.to_thread(self.library.ingester.text, text, source, metadata)
        return await self._embedded([outcome.source])

    async def aingest_dir(
        self,
        directory: str | Path,
        pattern: str = "**/*",
        *,
        prune: bool = False,
        progress: Progress | None = None,
        stop: threading.Event | None = None,
        **metadata: Any,
    ) -> IngestedChunks:
        """Index every file below a folder that matches; files of other kinds are skipped, and one that cannot be read stops nothing.

        :param pattern: A glob of the path below the folder.
        :param prune: Also remove the documents of files below the folder that are gone.
        :param progress: Told how many files are settled for good, of how many, and the name of the next.
        :param stop: Looked at between files; what was read until then is kept.
        :returns: The chunks of the documents; `report` says what became of each file.
        """
        report = await asyncio.to_thread(
            ingest_folder,
            self.library.ingester,
            directory,
            pattern,
            metadata,
            prune=prune,
            progress=progress,
            stop=stop,
        )
        return IngestedChunks(await self._embedded(sorted({*report.added, *report.updated, *report.unchanged})), report)

    async def aretrieve(
        self, query: str, top_k: int = 5, filters: Mapping[str, Any] | None = None, *, rerank: bool = False
    ) -> Findings:
        """The passages that answer best, best first.

        :param top_k: How many at most.
        :param filters: What the metadata must be like; see `stores/filtering.py`.
        :param rerank: Have the reranker order them.
        :raises InputError: a filter that cannot be right.
        """
        return await self.library.search(query, top_k, filters, rerank=rerank)

    async def aquery(
        self,
        question: str,
        top_k: int = 5,
        filters: Mapping[str, Any] | None = None,
        prompt: RactoPrompt | None = None,
        temperature: float = 0.0,
        max_tokens: int = 2048,
    ) -> RAGResponse:
        """Retrieve passages, have the kit answer from them, and check what it cites.

        :param top_k: How many passages the model reads at most.
        :param prompt: The system prompt of this call.
        :param temperature: 0 to 2; what a model does not take is left out.
        :param max_tokens: The longest answer.
        :raises NoModelError: there is no kit; also a `RuntimeError`.
        """
        self._answering_kit()
        found = await self.aretrieve(question, top_k, filters)
        passages = [passage_of(one.chunk) for one in found]
        return checked(found, question, await self._answer(question, passages, prompt, temperature, max_tokens))

    def count(self) -> int:
        """How many chunks there are."""
        return self.library.count()

    def clear(self) -> None:
        """Remove every document of the collection."""
        self.library.clear()

    ingest = blocking(aingest)
    ingest_text = blocking(aingest_text)
    ingest_dir = blocking(aingest_dir)
    retrieve = blocking(aretrieve)
    query = blocking(aquery)

    @property
    def store(self) -> BaseVectorStore | None:
        """Where vectors are kept; `None` when it is the database."""
        return self.library.store

    @property
    def embedder(self) -> BaseEmbedder | None:
        """What makes vectors."""
        return self.library.embedder

    async def _embedded(self, sources: Iterable[str]) -> list[Chunk]:
        if self.embedder is not None:
            await self.library.embed()
        return await asyncio.to_thread(self._chunks, sources)

    def _chunks(self, sources: Iterable[str]) -> list[Chunk]:
        with self.database.reading() as connection:
            collection = collection_named(connection, self.library.collection)
            if collection is None:
                return []
            documents = (document_at(connection, collection, source) for source in sources)
            kept = [
                one for document in documents if document for one in chunk_rows.of_document(connection, document.doc_id)
            ]
            for one, vector in zip(kept, chunk_vectors.of(connection, collection, kept), strict=True):
                one.chunk.embedding = vector
        return [one.chunk for one in kept]


def checked(found: Sequence[RetrievalResult], question: str, answer: Grounded) -> RAGResponse:
    """An answer, every sentence of it held against the passages it cites."""
    sources = list(found[: len(answer.given)])
    return RAGResponse(
        answer.answer, sources, question, answer.context, check(answer.answer.content or "", answer.given)
    )


def passage_of(chunk: Chunk) -> Passage:
    """A chunk as something a model may cite."""
    about = chunk.metadata
    return Passage(chunk.content, name_of(about.source), f"page {about.page}" if about.page else "", about.heading_path)
