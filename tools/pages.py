"""Page retrieval as tools: index documents, search them with cited pages, read and navigate what was found."""

from __future__ import annotations

import asyncio
import re
import sqlite3
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from itertools import islice
from typing import Annotated

from pydantic import Field

from ..agents.calls import ToolContext
from ..agents.offers import Toolset
from ..agents.toolbox import tool
from ..knowledge import catalogue, indexing
from ..knowledge.catalogue import Collection, KeptDocument
from ..knowledge.errors import DeclinedError, InputError, UnknownNameError
from ..knowledge.filters import Filters
from ..knowledge.folder import ingest_folder
from ..knowledge.ingest import Ingester
from ..knowledge.pages import PageIndexRAG, checked_name
from .page_resources import KeptPages
from .page_results import (
    SEARCH_CHARACTERS,
    Deleted,
    Excerpt,
    Found,
    Ingested,
    Listing,
    Outline,
    SearchResults,
    counted,
    one_line,
)
from .services import Services

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
        self.kept = KeptPages(self._database)

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
        metadata: dict[str, str] | None = None,
    ) -> Ingested:
        """Index a file, a folder, or a given text, so that page_search finds it. What is unchanged is skipped: call again to update.

        :param path: File or folder within the allowed folders.
        :param text: Instead of a path: the text to index.
        :param source: Name the text is cited by.
        :param pattern: Which files of the folder.
        :param prune: Remove documents whose file in the folder is gone.
        :param metadata: Kept with the documents; page_search can filter by it.
        """
        if bool(path) == bool(text):
            raise InputError(
                "Give either a path or a text.", "Use path for a file or folder, text and source for a text."
            )
        ingester = Ingester(self._database, checked_name(collection))
        stop = threading.Event()
        try:
            if text:
                outcome = await asyncio.to_thread(ingester.text, text, source, metadata)
                done = Ingested.of_one(collection, outcome)
            else:
                done = await asyncio.to_thread(
                    self._ingest_path, ingester, path, pattern, prune, metadata, context, stop
                )
        finally:
            stop.set()  # when the call is cancelled the thread ends after the file it is at
        self.kept.changed()
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
        metadata: dict[str, str] | None = None,
    ) -> SearchResults:
        """Find the pages that answer a question, each with document, page, section and snippet to cite. Use the words the documents would use.

        :param source: Only this document, folder or pattern (*.md).
        :param type: Only this kind: pdf, md, html, docx …
        :param after: Only changed since this ISO date.
        :param before: Only changed before it.
        :param metadata: Only with these values.
        """
        with self._reading(collection):
            pass  # an unknown name is an error here, and not an empty answer
        index = self._index(collection)
        found = index.retrieve(query, top_k, source=source, type=type, after=after, before=before, metadata=metadata)
        room = SEARCH_CHARACTERS
        results = []
        for one in found:
            entry = one.entry
            cited = Found(
                rank=one.rank,
                document=one_line(entry.name),
                page=entry.label,
                section=one_line(" › ".join(entry.heading_path)),
                score=round(one.score, 2),
                matched=one.matched_terms,
                snippet=one.snippet,
                doc_id=entry.doc_id,
            )
            # Citations come first: when there are many, the last ones go without a snippet.
            room -= len(cited.render())
            if room < 120 * (len(found) - one.rank):
                cited.snippet = ""
            results.append(cited)
        return SearchResults(query, collection, results)

    @tool(read_only=True)
    def page_read(
        self, document: str, pages: str = "", offset: Annotated[int, Field(ge=0)] = 0, collection: str = "default"
    ) -> Excerpt:
        """Read pages of a document as they were indexed.

        :param document: File name, path or id.
        :param pages: Like 3 or 3-5, as page_search cites them; empty starts at the first.
        :param offset: Characters to skip, to go on within a long page.
        """
        with self._reading(collection) as (connection, kept):
            found = catalogue.find_document(connection, kept, document)
            first, last = _range(pages)
            numbered, length = catalogue.last_page(connection, found)
            name, word = one_line(found.name), "page" if numbered else "part"
            taken: list[dict[str, str]] = []
            room, skip, rest = READ_CHARACTERS, offset, ""
            for entry in catalogue.read_pages(connection, found, first, last):
                number = entry.page_number or entry.position
                if not room:
                    rest = f"The rest: page_read with pages={f'{number}-{last or length}'!r}."
                    break
                text = entry.content[skip:]
                if len(text) > room:
                    at = skip + room
                    rest = f"The rest: page_read with pages={f'{number}-{last or length}'!r}, offset={at}."
                taken.append(
                    {"page": entry.label, "section": one_line(" › ".join(entry.heading_path)), "text": text[:room]}
                )
                room, skip = max(0, room - len(text)), 0
                if rest:
                    break
        if not taken:
            raise InputError(
                f"{name} has no {word} {pages} with text.",
                f"Its last {word} is {length}; page_outline shows what is where.",
            )
        return Excerpt(name, collection, counted(length, word), taken, rest)

    @tool(read_only=True)
    def page_outline(self, document: str, pages: str = "", collection: str = "default") -> Outline:
        """The headings of a document with their pages, to find your way; without headings, how each page begins.

        :param document: File name, path or id.
        :param pages: Only this range, like 10-40.
        """
        with self._reading(collection) as (connection, kept):
            found = catalogue.find_document(connection, kept, document)
            first, last = _range(pages)
            numbered, length = catalogue.last_page(connection, found)
            headings = [one for one in catalogue.outline(connection, found) if first <= one[2] <= (last or length)]
            if not headings:
                headings = _first_lines(connection, found, first, last)
        word = "page" if numbered else "part"
        shown, rest = _fitting(headings, last or length)
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
        if not collection:
            with self._database.reading() as connection:
                there = catalogue.collections(connection)
            rows: list[dict[str, str | int]] = [
                {"name": name, "documents": docs, "pages": pages} for name, docs, pages in there
            ]
            return Listing("", len(rows), rows, [], "")
        with self._reading(collection) as (connection, kept):
            wanted = Filters(source=source)
            total = catalogue.count_documents(connection, kept, wanted)
            found = catalogue.documents(connection, kept, wanted, limit=LIST_LENGTH, offset=offset)
        documents: list[dict[str, str | int]] = [
            {"name": one_line(one.name), "type": one.type, "pages": one.page_count, "modified": one.modified, "source": one.source, "doc_id": one.doc_id}
            for one in found
        ]  # fmt: skip
        more = total - offset - len(found)
        return Listing(
            collection, total, [], documents, f"{more} more: offset={offset + len(found)}." if more > 0 else ""
        )

    @tool(destructive=True)
    async def page_delete(
        self, context: ToolContext, document: str, collection: str = "default", confirm: bool = False
    ) -> Deleted:
        """Remove a document, or a whole collection, from the index; files stay. The person is asked first.

        :param document: File name, path or id; * for the whole collection.
        :param confirm: True when the person said yes and cannot be asked here.
        """
        target, what = await asyncio.to_thread(self._target, collection, document)
        answer = await context.confirm(f"Delete {what.what} from the index? The files themselves stay.")
        if answer is False:
            raise DeclinedError(f"Nothing was deleted: the person said no to deleting {what.what}.")
        if answer is None and not confirm:
            raise InputError(f"This would delete {what.what}.", "Ask the person, then call again with confirm=true.")
        await asyncio.to_thread(self._delete, collection, target)
        self.kept.changed()
        return what

    def _index(self, collection: str) -> PageIndexRAG:
        if collection not in self._indexes:
            self._indexes[collection] = PageIndexRAG(database=self._database, collection=collection)
        return self._indexes[collection]

    @contextmanager
    def _reading(self, name: str) -> Iterator[tuple[sqlite3.Connection, Collection]]:
        with self._database.reading() as connection:
            yield connection, _known(connection, name)

    def _ingest_path(
        self,
        ingester: Ingester,
        path: str,
        pattern: str,
        prune: bool,
        metadata: Mapping[str, str] | None,
        context: ToolContext,
        stop: threading.Event,
    ) -> Ingested:
        real = self._services.roots.resolve(path)
        if not real.is_dir():
            return Ingested.of_one(ingester.collection, ingester.file(real, metadata))
        report = ingest_folder(
            ingester,
            real,
            pattern,
            metadata,
            prune=prune,
            allows=self._services.roots.allows,
            progress=context.progress,
            stop=stop,
            seconds=INGEST_SECONDS,
        )
        return Ingested.of(ingester.collection, report)

    def _target(self, name: str, document: str) -> tuple[KeptDocument | None, Deleted]:
        """The document to delete, if not all, and how to say so."""
        with self._reading(name) as (connection, collection):
            if document != "*":
                one = catalogue.find_document(connection, collection, document)
                what = f"{one_line(one.source, 400)} ({counted(one.page_count, 'page')}) from {name}"
                return one, Deleted(name, 1, one.page_count, what)
            documents, pages = catalogue.counts(connection, collection)
            what = f"the whole collection {name} ({counted(documents, 'document')}, {counted(pages, 'page')})"
            return None, Deleted(name, documents, pages, what)

    def _delete(self, name: str, document: KeptDocument | None) -> None:
        with self._database.writing() as connection:
            collection = catalogue.known_collection(connection, name)
            if document is None:
                indexing.drop(connection, collection)
                self._indexes.pop(name, None)
            elif kept := catalogue.document_at(connection, collection, document.source):
                indexing.remove(connection, collection, [kept])


def toolset(services: Services) -> Toolset:
    """Page retrieval over the services' database and roots."""
    tools = PageTools(services)
    offered = (
        tools.page_ingest,
        tools.page_search,
        tools.page_read,
        tools.page_outline,
        tools.page_list,
        tools.page_delete,
    )
    return Toolset("pages", offered, resources=(tools.kept,))


def _known(connection: sqlite3.Connection, name: str) -> Collection:
    found = catalogue.collection_named(connection, name)
    if found is None and not catalogue.collections(connection):
        raise UnknownNameError("Nothing is indexed yet.", "Index a file, a folder or a text with page_ingest first.")
    return found or catalogue.known_collection(connection, name)


def _range(pages: str) -> tuple[int, int | None]:
    """First and last page of a range like `3` or `3-5` or `3-`."""
    given = re.fullmatch(r"\s*(?:(?:pages?|parts?)\s+)?(\d{1,9})\s*(?:([-–])\s*(\d{1,9})?)?\s*", pages, re.IGNORECASE)
    if not pages.strip():
        return 1, None
    if given is None or (given[3] and int(given[3]) < int(given[1])):
        raise InputError(f"{pages!r} is not a range of pages.", "Write it as 3 or 3-5.")
    return int(given[1]), int(given[3]) if given[3] else None if given[2] else int(given[1])


def _first_lines(
    connection: sqlite3.Connection, document: KeptDocument, first: int, last: int | None
) -> list[tuple[int, str, int]]:
    lines = (
        (entry, entry.content.lstrip().partition("\n")[0])
        for entry in catalogue.read_pages(connection, document, first, last)
    )
    return [(1, line, entry.page_number or entry.position) for entry, line in islice(lines, OUTLINE_CHARACTERS // 20)]


def _fitting(headings: list[tuple[int, str, int]], length: int) -> tuple[list[tuple[int, str, int]], str]:
    """As many headings as there is room for, lower levels given up first, and a sentence about what is missing."""
    rest = ""
    while _size(headings) > OUTLINE_CHARACTERS and (deepest := max(one[0] for one in headings)) > min(
        one[0] for one in headings
    ):
        headings = [one for one in headings if one[0] < deepest]
        rest = f"Headings below level {deepest - 1} are left out: give a range of pages to see them."
    if _size(headings) > OUTLINE_CHARACTERS:
        while _size(headings) > OUTLINE_CHARACTERS:
            headings = headings[: len(headings) * 9 // 10]
        rest = f"The rest: page_outline with pages='{headings[-1][2]}-{length}'."
    return headings, rest


def _size(headings: Sequence[tuple[int, str, int]]) -> int:
    return sum(min(len(title), 100) + 2 * level + 12 for level, title, _ in headings)
