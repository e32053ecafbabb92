"""The library as tools: passages found by their words and their meaning, and answers that cite them.

Ingesting, reading, listing and deleting are the page tools': documents are kept once, with their pages and their chunks.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Annotated, Literal

from pydantic import Field

from ..agents.calls import ToolContext
from ..agents.offers import Toolset
from ..agents.toolbox import Tool
from ..knowledge.errors import InputError, UnknownNameError
from .rag_resources import KeptPassages
from .services import Services

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from ..knowledge.filters import Filters
    from ..knowledge.library import Findings, Library
    from ..knowledge.vocabulary import ChatConfig, LLMResponse
    from .chat import Answer
    from .rag_results import CitedAnswer, EmbeddingReport, Passages, WatchList

EMBED_SECONDS = 45.0
"""Most hosts give a call 60 seconds; what is not done by then goes on behind it."""
PATIENCE = 600.0
"""Seconds an answer may take; its first words keep a host's own limit at bay, as progress."""

TopK = Annotated[int, Field(ge=1, le=50)]
Mode = Literal["hybrid", "words", "meaning"]
Source = Annotated[str, Field(description="document, folder or pattern (*.md)")]
Kind = Annotated[str, Field(description="pdf, docx, md, …")]


class RagTools:
    """The tools; each method is one."""

    def __init__(self, services: Services) -> None:
        self._services = services
        self._libraries = services.libraries

    async def rag_search(
        self,
        query: str,
        collection: str = "default",
        top_k: TopK = 5,
        mode: Mode = "hybrid",
        neighbours: Annotated[int, Field(ge=0, le=5, description="passages before and after each")] = 0,
        section: Annotated[bool, Field(description="the whole section around each")] = False,
        rerank: Annotated[bool, Field(description="order by a second, slower look")] = False,
        source: Source = "",
        type: Kind = "",  # noqa: A002 - the word a caller expects
        after: Annotated[str, Field(description="ISO date")] = "",
        before: str = "",
        metadata: dict[str, str] = {},  # noqa: B006 - never changed; a plain default keeps the schema flat
    ) -> Passages:
        """Find exact passages that answer a question, by words and (with an embedding model) by meaning: quotes with document, page and
        section to cite. page_search finds whole pages, by words only; page_ingest, page_list and page_delete keep both.
        """
        from ..knowledge.filters import Filters
        from .rag_results import Passage, Passages

        library = await self._known(collection)
        among = Filters(source=source, type=type, after=after, before=before, metadata=metadata)
        found = await _found(library, query, top_k, among, mode, rerank=rerank)
        results = []
        for one in found:
            near = neighbours or section
            around = await asyncio.to_thread(library.around, one.chunk, neighbours, section=section) if near else []
            results.append(Passage.of(one, around))
        return Passages(query, collection, results, self._notes(library, found))

    async def rag_ask(
        self,
        question: str,
        call: ToolContext,
        collection: str = "default",
        top_k: TopK = 8,
        source: Source = "",
        type: Kind = "",  # noqa: A002
        metadata: dict[str, str] = {},  # noqa: B006
        model: str = "",
    ) -> CitedAnswer:
        """Have another model answer from the documents, each sentence checked against the passage it cites. Costs what that model costs;
        rag_search is free, and you can answer yourself.
        """
        from .chat import ask, named
        from .rag_results import CitedAnswer

        library = await self._known(collection)
        models = await self._services.models()
        name = await named(models, model)
        from ..knowledge.answering import ask as answer_from
        from ..knowledge.filters import Filters
        from ..knowledge.rag import checked, passage_of  # by now most of it is there

        found = await _found(library, question, top_k, Filters(source=source, type=type, metadata=metadata))
        if not found:
            return CitedAnswer.none(question, self._notes(library, found))
        kit = Asking(lambda config: ask(models, config, call, name))
        answer = await answer_from(kit, question, [passage_of(one.chunk) for one in found])
        response = checked(found, question, answer)
        assert kit.answer is not None
        notes = [*self._notes(library, found), *kit.answer.warnings, kit.answer.footnote()]
        return CitedAnswer.of(response, kit.answer.model, kit.answer.usage, notes)

    async def rag_embed(
        self,
        call: ToolContext,
        collection: str = "default",
        again: Annotated[bool, Field(description="from the start, after a change of model")] = False,
    ) -> EmbeddingReport:
        """Go on giving passages the vectors they are found by meaning with, which page_ingest begins, and say how far it is."""
        from .chat import nothing_set_up
        from .rag_results import EmbeddingReport

        library = await self._known(collection)
        if library.embedder is None:
            raise nothing_set_up("RACTO_EMBEDDING_MODELS=ollama/nomic-embed-text")
        if again:
            await asyncio.to_thread(library.forget_vectors)
        done = await self._libraries.embed(library, call, EMBED_SECONDS)
        assert done is not None
        return EmbeddingReport.of(collection, library.embedder.name, done)

    async def rag_watch(
        self,
        path: Annotated[str, Field(description="folder, within the allowed ones; empty lists what is followed")] = "",
        collection: str = "default",
        pattern: Annotated[str, Field(description="which files of the folder")] = "**/*",
        stop: Annotated[bool, Field(description="follow it no more; what was read stays")] = False,
    ) -> WatchList:
        """Follow a folder: what is new, changed or gone in it is so in the collection a moment later, also after a restart."""
        from .rag_results import WatchList

        watches, loop = self._services.watches, asyncio.get_running_loop()
        await asyncio.to_thread(watches.resume, loop)
        if path and stop:
            await asyncio.to_thread(watches.end, path, collection)
        elif path:
            await asyncio.to_thread(watches.begin, path, collection, pattern, loop)
        return WatchList.of(await asyncio.to_thread(watches.listed))

    async def follow_again(self) -> None:
        """Follow the folders again that were followed before the server started."""
        await asyncio.to_thread(self._services.watches.resume, asyncio.get_running_loop())

    async def _known(self, collection: str) -> Library:
        """The library of a collection that is there."""
        await self.follow_again()
        return await asyncio.to_thread(self._opened, collection)

    def _opened(self, collection: str) -> Library:
        from ..knowledge import catalogue

        with self._services.database.reading() as connection:
            if catalogue.collection_named(connection, collection) is None:
                if not catalogue.collections(connection):
                    raise UnknownNameError(
                        "Nothing is indexed yet.", "Index a file, a folder or a text with page_ingest."
                    )
                catalogue.known_collection(connection, collection)
        return self._libraries.get(collection)

    def _notes(self, library: Library, found: Findings) -> list[str]:
        failure = self._libraries.failures.get(library.collection)
        return [*found.notes, *([f"Embedding stopped: {failure}"] if failure else [])]


async def _found(
    library: Library,
    query: str,
    top_k: int,
    among: Filters,
    mode: Literal["hybrid", "words", "meaning"] = "hybrid",
    *,
    rerank: bool = False,
) -> Findings:
    if not query.strip():
        raise InputError("The question is empty.", "Say what to look for.")
    return await library.search(query, top_k, among=among, mode=mode, rerank=rerank)


class Asking:
    """A kit that asks as the chat tool does, and remembers what that took."""

    def __init__(self, ask: Callable[[ChatConfig], Awaitable[tuple[Answer, LLMResponse]]]) -> None:
        self._ask = ask
        self.answer: Answer | None = None

    async def achat(self, config: ChatConfig) -> LLMResponse:
        self.answer, response = await self._ask(config)
        return response


def toolset(services: Services) -> Toolset:
    """The library over the services' database and models."""
    rag = RagTools(services)
    return Toolset(
        "rag",
        tools=(
            Tool.of(rag.rag_search, read_only=True, timeout=60.0),
            Tool.of(rag.rag_ask, open_world=True, timeout=PATIENCE),
            Tool.of(rag.rag_watch, idempotent=True, timeout=60.0),
            Tool.of(rag.rag_embed, idempotent=True, open_world=True, timeout=120.0),
        ),
        resources=(KeptPassages(services.database),),
        wake=rag.follow_again,
    )
