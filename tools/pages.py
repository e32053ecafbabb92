"""Page retrieval as tools: index documents, search them with cited pages, read and navigate what was found.

What the tools stand on takes longer to import than the server to start, so each imports it when it is first called.
"""

from __future__ import annotations

import asyncio
import re
import threading
import time
from collections.abc import Generator, Mapping, Sequence
from contextlib import contextmanager
from itertools import islice
from typing import TYPE_CHECKING, Annotated

from pydantic import Field

from ..agents.calls import ToolContext
from ..agents.offers import Toolset
from ..agents.toolbox import tool
from ..agents.workers import Workers
from ..knowledge.errors import ConflictError, DeclinedError, InputError, RactoGatewayError, UnknownNameError
from .page_resources import KeptPages
from .services import Services

if TYPE_CHECKING:
    import sqlite3

    from ..knowledge.catalogue import Collection, KeptDocument
    from ..knowledge.ingest import Ingester
    from ..knowledge.pages import PageIndexRAG
    from .page_results import Deleted, Excerpt, Ingested, Listing, Outline, Restored, SearchResults

INGEST_SECONDS = 45.0
"""Most hosts give a call 60 seconds; what is not done by then is done by the next call."""

READ_CHARACTERS = 20_000
OUTLINE_CHARACTERS = 6_000
LIST_LENGTH = 50


class PageTools:
    """The tools, over the services they share."""

    def __init__(self, services: Services) -> None:
        self._services = services
        self._database = services.database
        self._indexes: dict[str, PageIndexRAG] = {}
        self._workers = Workers()  # the few threads of asyncio would let other calls wait until every ingest is done
        self.kept = KeptPages(services.database)

    @tool(idempotent=True, timeout=300.0)
    async def page_ingest(
        self,
        context: ToolContext,
        path: str = "",
        text: str = "",
        source: str = "",
        collection: str = "default",
        pattern: str = "**/*",
        prune: bool = False,
        metadata: dict[str, str] = {},  # noqa: B006 - never changed; a plain default keeps the schema flat
    ) -> Ingested:
        """Index a file, a folder or a given text, so that page_search finds it. Reads PDF, Office, HTML, Markdown, e-mail, e-books, code and text
        files; scans too where tesseract is installed. What is unchanged is skipped: call again to bring it up to date.

        :param path: File or folder, within the allowed folders.
        :param text: Instead of path: a text to index.
        :param source: The name that text is cited by.
        :param collection: Documents that are searched together; made on first use.
        :param pattern: Which files of the folder.
        :param prune: Remove documents whose file in the folder is gone.
        :param metadata: Kept with the documents; page_search can filter by it.
        """
        from .page_results import Ingested

        if bool(path) == bool(text):
            raise InputError("Give a path or a text.", "path is for a file or folder, text and source are for a text.")
        begun = time.monotonic()
        library = await asyncio.to_thread(self._services.libraries.get, collection)
        ingester = library.ingester
        stop = threading.Event()
        try:
            if text:
                done = Ingested.of_one(collection, await self._workers.run(ingester.text, text, source, metadata))
            else:
                done = await self._workers.run(self._ingest, ingester, path, pattern, prune, metadata, context, stop)
        finally:
            stop.set()  # when the call is cancelled, the thread ends after the file it is at
            self.kept.changed()
        left = INGEST_SECONDS - (time.monotonic() - begun)
        try:
            done.embedded(await self._services.libraries.embed(library, context, left))
        except (ConflictError, RactoGatewayError) as error:  # what was ingested is kept, and words find it
            done.unembedded = str(error)
        return done

    @tool(read_only=True)
    def page_search(
        self,
        query: str,
        collection: str = "default",
        top_k: Annotated[int, Field(ge=1, le=50)] = 5,
        source: str = "",
        type: str = "",  # noqa: A002 - the word a caller expects
        after: str = "",
        before: str = "",
        metadata: dict[str, str] = {},  # noqa: B006
    ) -> SearchResults:
        """Find the pages that answer a question: document, page, section and a snippet of each, to cite. It matches words, not
        meaning: use those the documents would use, and try again with others.

        :param source: Only this document or folder, or a pattern (*.md).
        :param type: Only this kind: pdf, docx, html, md, …
        :param after: Only files changed since this ISO date.
        :param before: Only files changed before it.
        :param metadata: Only documents with these values.
        """
        from .page_results import SearchResults

        with self._reading(collection):
            pass  # a name that is not known is an error here, and not an empty answer
        index = self._index(collection)
        found = index.retrieve(query, top_k, source=source, type=type, after=after, before=before, metadata=metadata)
        return SearchResults.of(query, collection, found)

    @tool(read_only=True)
    def page_read(
        self,
        document: str,
        pages: str = "",
        offset: Annotated[int, Field(ge=0)] = 0,
        collection: str = "default",
    ) -> Excerpt:
        """Read pages of a document.

        :param document: File name, path or id.
        :param pages: 3 or 3-5, as page_search cites them; empty begins at the first.
        :param offset: Characters to skip, to go on within a long page.
        """
        from ..knowledge import catalogue
        from .page_results import Excerpt, counted, one_line

        first, last = _range(pages)
        with self._reading(collection) as (connection, kept):
            found = catalogue.find_document(connection, kept, document)
            numbered, length = catalogue.last_page(connection, found)
            word = "page" if numbered else "part"
            excerpt = Excerpt(one_line(found.name), collection, counted(length, word), [], "")
            room, skip = READ_CHARACTERS, offset
            for entry in catalogue.read_pages(connection, found, first, last):
                number = entry.page_number or entry.position
                if not room:
                    excerpt.rest = f"The rest: page_read with pages='{number}-{last or length}'."
                    break
                text, section = entry.content[skip:], one_line(" › ".join(entry.heading_path))
                excerpt.pages.append({"page": entry.label, "section": section, "text": text[:room]})
                if len(text) > room:
                    excerpt.rest = f"The rest: page_read with pages='{number}-{last or length}', offset={skip + room}."
                    break
                room, skip = room - len(text), 0
        if not excerpt.pages:
            raise InputError(
                f"{excerpt.document} has no text on {word} {pages}.",
                f"Its last {word} is {length}; page_outline shows what is where.",
            )
        return excerpt

    @tool(read_only=True)
    def page_outline(self, document: str, pages: str = "", collection: str = "default") -> Outline:
        """The headings of a document and their pages, to find your way in it; without headings, how each page begins.

        :param document: File name, path or id.
        :param pages: Only this range, like 10-40.
        """
        from ..knowledge import catalogue
        from .page_results import Outline, counted, one_line

        first, last = _range(pages)
        with self._reading(collection) as (connection, kept):
            found = catalogue.find_document(connection, kept, document)
            numbered, length = catalogue.last_page(connection, found)
            headings = [one for one in catalogue.outline(connection, found) if first <= one[2] <= (last or length)]
            if not headings:
                lines = islice(catalogue.read_pages(connection, found, first, last), OUTLINE_CHARACTERS // 20)
                headings = [(1, page.content.partition("\n")[0], page.page_number or page.position) for page in lines]
        shown, rest = _fitting(headings, last or length)
        word = "page" if numbered else "part"
        entries: list[dict[str, str | int]] = [
            {"level": level, "title": one_line(title, 100), "page": f"{word} {page}"} for level, title, page in shown
        ]
        return Outline(one_line(found.name), collection, counted(length, word), entries, rest)

    @tool(read_only=True)
    def page_list(self, collection: str = "", source: str = "", offset: Annotated[int, Field(ge=0)] = 0) -> Listing:
        """What is indexed: the collections, or the documents of one.

        :param collection: Empty lists the collections.
        :param source: Only this folder or pattern (*.pdf).
        :param offset: Documents to skip.
        """
        from ..knowledge import catalogue
        from ..knowledge.filters import Filters
        from .page_results import Listing

        if not collection:
            with self._database.reading() as connection:
                there = catalogue.collections(connection)
                return Listing.of_collections(there, {one[0]: _vectors(connection, one[0]) for one in there})
        with self._reading(collection) as (connection, kept):
            wanted = Filters(source=source)
            total = catalogue.count_documents(connection, kept, wanted)
            found = catalogue.documents(connection, kept, wanted, limit=LIST_LENGTH, offset=offset)
        return Listing.of_documents(collection, found, total, offset)

    @tool(destructive=True)
    async def page_delete(
        self, context: ToolContext, document: str, collection: str = "default", confirm: bool = False
    ) -> Deleted:
        """Remove a document, or a whole collection, from the index; the files stay. The person is asked first; page_restore undoes it.

        :param document: File name, path or id; * for the whole collection.
        :param confirm: true when the person said yes and cannot be asked here.
        """
        target, what = await asyncio.to_thread(self._target, collection, document)
        answer = await context.confirm(f"Delete {what.what} from the index? The files themselves stay.")
        if answer is False:
            raise DeclinedError(f"Nothing was deleted: the person said no to deleting {what.what}.")
        if answer is None and not confirm:
            raise InputError(f"This would delete {what.what}.", "Ask the person, then call again with confirm=true.")
        what.restorable = await asyncio.to_thread(self._delete, collection, target)
        self.kept.changed()
        return what

    @tool()
    async def page_restore(
        self,
        collection: str = "default",
        document: Annotated[str, Field(description="path or id; empty: all that the last removal took")] = "",
        version: Annotated[int, Field(ge=0, description="0: the last")] = 0,
        show: Annotated[bool, Field(description="only list what could come back")] = False,
    ) -> Restored:
        """Undo: bring back documents that were deleted, pruned or replaced. Former versions are kept for 30 days."""
        from ..knowledge import history
        from ..knowledge.restoring import restore
        from .page_results import Restored

        if show:
            with self._database.reading() as connection:
                return Restored.of(collection, history.history(connection, collection, document or None), done=False)
        back = await self._workers.run(restore, self._database, collection, document or None, version or None)
        self.kept.changed()
        return Restored.of(collection, back, done=True)

    def _index(self, collection: str) -> PageIndexRAG:
        from ..knowledge.pages import PageIndexRAG

        if collection not in self._indexes:
            self._indexes[collection] = PageIndexRAG(database=self._database, collection=collection)
        return self._indexes[collection]

    @contextmanager
    def _reading(self, name: str) -> Generator[tuple[sqlite3.Connection, Collection]]:
        from ..knowledge import catalogue

        with self._database.reading() as connection:
            found = catalogue.collection_named(connection, name)
            if found is None and not catalogue.collections(connection):
                raise UnknownNameError("Nothing is indexed yet.", "Index a file, a folder or a text with page_ingest.")
            yield connection, found or catalogue.known_collection(connection, name)

    def _ingest(
        self,
        ingester: Ingester,
        path: str,
        pattern: str,
        prune: bool,
        metadata: Mapping[str, str],
        context: ToolContext,
        stop: threading.Event,
    ) -> Ingested:
        from ..knowledge.folder import ingest_folder
        from ..knowledge.pace import Pace
        from .page_results import Ingested

        real = self._services.roots.resolve(path)
        if not real.is_dir():
            return Ingested.of_one(ingester.collection, ingester.file(real, metadata))
        pace = Pace()

        def told(done: int, total: int, name: str) -> None:
            context.progress(done, total, ", ".join(filter(None, (name, pace.told(done, total)))))

        report = ingest_folder(
            ingester,
            real,
            pattern,
            metadata,
            prune=prune,
            allows=self._services.roots.allows,
            progress=told,
            stop=stop,
            seconds=INGEST_SECONDS,
        )
        return Ingested.of(ingester.collection, report)

    def _target(self, name: str, document: str) -> tuple[KeptDocument | None, Deleted]:
        """The document to delete, if not all, and how to say so."""
        from ..knowledge import catalogue
        from .page_results import Deleted, counted, one_line

        with self._reading(name) as (connection, collection):
            if document != "*":
                one = catalogue.find_document(connection, collection, document)
                what = f"{one_line(one.source, 400)} ({counted(one.page_count, 'page')}) in {name}"
                return one, Deleted(name, 1, one.page_count, what)
            documents, pages = catalogue.counts(connection, collection)
            what = f"the whole collection {name} ({counted(documents, 'document')}, {counted(pages, 'page')})"
            return None, Deleted(name, documents, pages, what)

    def _delete(self, name: str, document: KeptDocument | None) -> int:
        """
        :returns: How many documents can come back.
        """
        from ..knowledge import catalogue, indexing

        indexing.freshen(self._database, name)
        library = self._services.libraries.get(name)
        restorable = library.clear() if document is None else 0
        with self._database.writing() as connection:
            collection = catalogue.known_collection(connection, name)
            if document is None:
                indexing.drop(connection, collection)
                self._indexes.pop(name, None)
            elif kept := catalogue.document_at(connection, collection, document.source):
                restorable = indexing.remove(connection, collection, [kept])
        library.sweep()
        return restorable


def toolset(services: Services) -> Toolset:
    """Page retrieval over the services' database and roots."""
    pages = PageTools(services)
    tools = (
        pages.page_ingest,
        pages.page_search,
        pages.page_read,
        pages.page_outline,
        pages.page_list,
        pages.page_delete,
        pages.page_restore,
    )
    return Toolset("pages", tools, resources=(pages.kept,))


def _vectors(connection: sqlite3.Connection, name: str) -> tuple[int, int, str]:
    """How many passages a collection has, how many of them have no vector, and what made those of the others."""
    from ..knowledge import catalogue, chunk_rows

    kept = catalogue.known_collection(connection, name)
    return chunk_rows.count(connection, kept.id), chunk_rows.waiting_count(connection, kept.id), kept.embedder


def _range(pages: str) -> tuple[int, int | None]:
    """First and last page of a range like `3`, `3-5` or `3-`; no last one means all that follow."""
    if not pages.strip():
        return 1, None
    given = re.fullmatch(r"\s*(?:pages?|parts?)?\s*(\d{1,9})\s*([-–])?\s*(\d{1,9})?\s*", pages, re.IGNORECASE)
    if given is None or bool(given[3]) > bool(given[2]) or (given[3] and int(given[3]) < int(given[1])):
        raise InputError(f"{pages!r} is not a range of pages.", "Write it as 3 or 3-5.")
    first = int(given[1])
    return first, int(given[3]) if given[3] else None if given[2] else first


def _fitting(headings: list[tuple[int, str, int]], last: int) -> tuple[list[tuple[int, str, int]], str]:
    """As many headings as there is room for, lower levels given up first, and a sentence about what is missing."""
    rest = ""
    while _size(headings) > OUTLINE_CHARACTERS:
        deepest = max(level for level, _, _ in headings)
        above = [one for one in headings if one[0] < deepest]
        if above:
            headings, rest = (
                above,
                f"Headings below level {deepest - 1} are left out: give a range of pages to see them.",
            )
        else:
            headings = headings[: len(headings) * 9 // 10]
            rest = f"The rest: page_outline with pages='{headings[-1][2]}-{last}'."
    return headings, rest


def _size(headings: Sequence[tuple[int, str, int]]) -> int:
    return sum(min(len(title), 100) + 2 * level + 12 for level, title, _ in headings)
