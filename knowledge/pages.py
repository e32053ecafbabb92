"""PageIndexRAG: retrieval by pages, without embeddings and without a model; with one, answers that cite their pages."""

from __future__ import annotations

import threading
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Unpack

from . import catalogue, indexing
from .analyser import LONGEST_QUERY, query_terms
from .answering import CONTEXT_TEMPLATE, Answering, ChatKit
from .catalogue import PageEntry, checked_name
from .database import Database
from .edge import blocking, off_loop
from .errors import unknown_name
from .filters import FilterArguments, Filters
from .folder import IngestReport, Progress, ingest_folder
from .ingest import TOP_KEYWORDS, Ingester
from .processing import BaseProcessor
from .ranking import ENGINES, Searcher
from .readers import FileReaderRegistry
from .snippets import query_words, snippet
from .windows import PAGE_OVERLAP, PAGE_SIZE, check_sizes

if TYPE_CHECKING:
    from .prompts import RactoPrompt


@dataclass(frozen=True)
class PageIndexResult:
    """One page that was found.

    :param score: Higher is better; comparable within one query. Okapi BM25 with `engine="okapi"`.
    :param rank: Its place among the results, counted from 1.
    :param matched_terms: The words of the query it holds.
    :param index_terms: The same as the index has them.
    :param language: Of the document, as an ISO 639-1 code.
    """

    entry: PageEntry
    score: float
    rank: int
    matched_terms: list[str]
    index_terms: frozenset[str] = field(repr=False)
    language: str = field(repr=False)

    @cached_property
    def snippet(self) -> str:
        """The best stretch of the page, with the matched words marked `**so**`; made when it is first looked at."""
        return snippet(self.entry.content, self.index_terms, self.language)


@dataclass(frozen=True, slots=True)
class PageIndexResponse:
    """An answer and what it rests on.

    :param answer: What the kit answered; its text is in `answer.content`.
    :param sources: The pages the model was given, best first; of the last, perhaps only its beginning.
    :param query: The question.
    :param context_used: Those pages as the model read them.
    """

    answer: Any
    sources: list[PageIndexResult]
    query: str
    context_used: str


class IngestedPages(list[PageEntry]):
    """The pages of a folder, and in `report` what became of each of its files."""

    def __init__(self, pages: Iterable[PageEntry], report: IngestReport) -> None:
        super().__init__(pages)
        self.report = report


class PageIndexRAG(Answering):
    """A page index over files and texts, kept in one SQLite file and brought up to date by ingesting again.

    :param llm_kit: Answers in `query`; without one there is `retrieve`.
    :param processors: Applied to the text of each page, in order; by default `TextCleaner()`.
    :param reader_registry: Which reader reads which file; by default all built-in ones.
    :param context_template: What the model is asked; needs `{context}` and `{question}`.
    :param default_prompt: The system prompt of `query`.
    :param page_size: The most characters of a window, for formats without pages.
    :param page_overlap: The most characters neighbouring windows share.
    :param k1: BM25: how soon more of a term stops counting for more.
    :param b: BM25: how much a long page is held against it, 0 to 1.
    :param top_keywords: Keywords kept for each page. They describe it; a search looks at every term of every page.
    :param database: Where it is kept, when it shares the file with others.
    :param path: The SQLite file; by default a temporary one that goes with this object.
    :param collection: The name of this set of documents in the file.
    :param engine: How pages are ranked: `fields` (the default) adds file name and headings to the body, `okapi` is Okapi BM25 of the body,
        `rank_bm25` the library of that name.
    :raises InputError: sizes, template or names that cannot be right.
    """

    def __init__(
        self,
        llm_kit: ChatKit | None = None,
        *,
        processors: Sequence[BaseProcessor] | None = None,
        reader_registry: FileReaderRegistry | None = None,
        context_template: str = CONTEXT_TEMPLATE,
        default_prompt: RactoPrompt | None = None,
        page_size: int = PAGE_SIZE,
        page_overlap: int = PAGE_OVERLAP,
        k1: float = 1.5,
        b: float = 0.75,
        top_keywords: int = TOP_KEYWORDS,
        database: Database | None = None,
        path: Path | str | None = None,
        collection: str = "default",
        engine: str = "fields",
    ) -> None:
        check_sizes(page_size, page_overlap)
        if engine not in ENGINES:
            raise unknown_name("ranking engine", engine, ENGINES)
        self.collection = checked_name(collection)
        super().__init__(llm_kit, context_template, default_prompt, database, path)
        self._ranking: dict[str, Any] = {"k1": k1, "b": b, "engine": engine}
        self._ingester = Ingester(
            self.database,
            collection,
            processors=processors,
            registry=reader_registry,
            page_size=page_size,
            page_overlap=page_overlap,
            top_keywords=top_keywords,
        )
        self._searcher = Searcher()

    def ingest(self, path: str | Path, **metadata: Any) -> list[PageEntry]:
        """Index a file; one that is unchanged costs a look, one that changed replaces what was kept of it.

        :param metadata: Kept with the document, for filters and citations.
        :returns: The pages of the document; of a file with the same bytes as another, the pages of that one.
        :raises ReadError: it cannot be read.
        """
        return self._entries([self._ingester.file(path, metadata).source])

    def ingest_text(self, text: str, source: str = "manual", **metadata: Any) -> list[PageEntry]:
        """Index a text under a label; another text under the same label replaces it.

        :raises NoTextError: it is blank.
        """
        return self._entries([self._ingester.text(text, source, metadata).source])

    def ingest_dir(
        self,
        directory: str | Path,
        pattern: str = "**/*",
        *,
        prune: bool = False,
        progress: Progress | None = None,
        stop: threading.Event | None = None,
        **metadata: Any,
    ) -> IngestedPages:
        """Index every file below a folder that matches, and go on after those that cannot be read.

        :param pattern: A glob of the path below the folder.
        :param prune: Also remove the documents of files below the folder that are gone.
        :param progress: Told how many files are settled for good, of how many, and the name of the next.
        :param stop: Looked at between files; what was read until then is kept.
        :returns: The pages of the documents; `report` says what became of each file.
        """
        report = ingest_folder(self._ingester, directory, pattern, metadata, prune=prune, progress=progress, stop=stop)
        return IngestedPages(self._entries(sorted({*report.added, *report.updated, *report.unchanged})), report)

    def retrieve(self, query: str, top_k: int = 5, **filters: Unpack[FilterArguments]) -> list[PageIndexResult]:
        """The pages that answer best, best first. Every page that holds a term of the query is ranked.

        :param top_k: How many at most.
        :param filters: Which documents to look at; see `Filters`.
        :raises InputError: a filter that cannot be right.
        """
        wanted, query = Filters(**filters), query[:LONGEST_QUERY]
        if top_k < 1 or indexing.freshen(self.database, self.collection) is None:
            return []
        with self.database.reading() as connection:
            collection = catalogue.known_collection(connection, self.collection)
            languages = catalogue.languages(connection, collection)
            if not languages:
                return []  # there is no document
            among = catalogue.page_ranges(connection, collection, wanted)
            terms = query_terms(query, languages)
            hits = self._searcher.search(connection, collection.id, terms, limit=top_k, among=among, **self._ranking)
            found = catalogue.entries(connection, [hit.page_id for hit in hits])
        results = []
        for rank, hit in enumerate(hits, 1):
            entry, document = found[hit.page_id]
            words = query_words(query, hit.terms, languages)
            results.append(PageIndexResult(entry, hit.score, rank, words, frozenset(hit.terms), document.language))
        return results

    async def aquery(
        self,
        question: str,
        top_k: int = 5,
        *,
        prompt: RactoPrompt | None = None,
        temperature: float | None = None,
        max_tokens: int = 2048,
        **filters: Unpack[FilterArguments],
    ) -> PageIndexResponse:
        """Retrieve pages and have the kit answer from them.

        :param top_k: How many pages the model reads at most.
        :param prompt: The system prompt of this call.
        :param temperature: 0 to 2; `None` leaves it to the model.
        :param max_tokens: The longest answer.
        :param filters: Which documents to look at; see `Filters`.
        :raises NoModelError: there is no kit; also a `RuntimeError`.
        """
        from .answers import Passage

        self._answering_kit()
        sources = await self.aretrieve(question, top_k, **filters)
        passages = [
            Passage(one.entry.content, one.entry.source, one.entry.label, one.entry.heading_path) for one in sources
        ]
        found = await self._answer(question, passages, prompt, temperature, max_tokens)
        return PageIndexResponse(found.answer, sources[: len(found.given)], question, found.context)

    def clear(self) -> None:
        """Remove every document of the collection."""
        with self.database.writing() as connection:
            collection = catalogue.collection_named(connection, self.collection)
            if collection:
                indexing.remove_all(connection, collection)

    aingest = off_loop(ingest)
    aingest_text = off_loop(ingest_text)
    aingest_dir = off_loop(ingest_dir)
    aretrieve = off_loop(retrieve)
    query = blocking(aquery)

    @property
    def entry_count(self) -> int:
        """How many pages there are."""
        return self._counts()[1]

    @property
    def document_count(self) -> int:
        """How many documents there are."""
        return self._counts()[0]

    def _counts(self) -> tuple[int, int]:
        with self.database.reading() as connection:
            collection = catalogue.collection_named(connection, self.collection)
            return catalogue.counts(connection, collection) if collection else (0, 0)

    def _entries(self, sources: Iterable[str]) -> list[PageEntry]:
        with self.database.reading() as connection:
            collection = catalogue.known_collection(connection, self.collection)
            kept = (catalogue.document_at(connection, collection, source) for source in sources)
            return [page for one in kept if one for page in catalogue.read_pages(connection, one)]
