"""Writing documents, their pages and the index of those: always together, in one transaction, so a reader never sees half a document."""

from __future__ import annotations

import json
import sqlite3
import uuid
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import astuple, dataclass, field
from datetime import UTC, datetime
from itertools import groupby, islice
from typing import Any

from . import chunk_rows, chunk_vectors, history, postings
from .analyser import ANALYSER_VERSION, detect_language, page_fields
from .catalogue import Collection, FileState, KeptDocument, collection_named, document_at
from .chunk_rows import NewChunk
from .database import Database
from .postings import IndexedPage
from .windows import Window

DOCUMENT_IDS = uuid.UUID("6b3f8f0e-3c0f-5c6b-9f0a-2d8c0c6f7a51")
"""The namespace of document ids: a document keeps its id when it is ingested again."""

INDEX_BATCH = 2000
"""Pages whose postings are merged at a time: more need fewer writes and more memory."""


@dataclass(frozen=True, slots=True)
class NewPage:
    """A page that is ready to be written.

    :param window: Where it is in its document.
    :param fields: Its index terms; they get the row id when they are written.
    """

    window: Window
    content: str
    keywords: list[str]
    fields: IndexedPage


@dataclass(slots=True)
class NewDocument:
    """A document that is ready to be written; see `KeptDocument` for its fields.

    :param metadata: Added to what is kept; a key that is not named stays.
    :param outline: Its headings: level, title, and the page or part each is on.
    :param moved_from: The source under which the same file was kept before.
    :param chunks: What is embedded and cited of it, when it is cut into chunks.
    """

    source: str
    name: str
    type: str
    language: str
    state: FileState
    sha256: str
    recipe: str
    char_count: int
    metadata: dict[str, Any]
    notes: list[str]
    outline: list[tuple[int, str, int]]
    pages: list[NewPage]
    moved_from: str | None = None
    chunks: list[NewChunk] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Touch:
    """A kept document whose file was looked at again and found the same, or that gets more metadata."""

    document: KeptDocument
    state: FileState
    metadata: dict[str, Any]


@dataclass(frozen=True, slots=True)
class Reject:
    """A file that gives no document, remembered so that it is not read again before it changes."""

    source: str
    state: FileState
    recipe: str
    code: str
    reason: str


def language_of(pages: Sequence[str]) -> str:
    """The language of a document with these pages, ISO 639-1, told from the first few; empty when unknown."""
    return detect_language("\n".join(pages[:8]))


def open_collection(connection: sqlite3.Connection, name: str) -> Collection:
    """The collection of this name, made when there is none. Inside a write transaction."""
    connection.execute(
        "INSERT OR IGNORE INTO collections (name, revision, analyser, created_at) VALUES (?, 0, ?, ?)",
        (name, ANALYSER_VERSION, datetime.now(UTC).isoformat(timespec="seconds")),
    )
    found = collection_named(connection, name)
    assert found is not None
    return found


def write(connection: sqlite3.Connection, collection: Collection, new: Sequence[NewDocument]) -> None:
    """Write documents of different sources; what is kept under the source of one, or where it moved from, goes."""
    last = connection.execute("SELECT seq FROM sqlite_sequence WHERE name = 'pages'").fetchone()
    next_page = (last[0] if last else 0) + 1
    old: list[KeptDocument] = []
    replaced: list[KeptDocument] = []
    for document in new:
        sources = [source for source in (document.source, document.moved_from) if source]
        there = [kept for source in sources if (kept := document_at(connection, collection, source))]
        old += there
        replaced += [kept for kept in there if kept.sha256 != document.sha256]
    history.keep(connection, collection, replaced, "replaced")
    wanted = {chunk.digest for document in new for chunk in document.chunks}
    known = chunk_vectors.carried(connection, collection, old, wanted)
    _take_out(connection, collection, old)
    former = {document.source: document.metadata for document in old}
    for document in new:
        metadata = former.get(document.moved_from or "", {}) | former.get(document.source, {}) | document.metadata
        _insert(connection, collection, document, metadata, next_page)
        rows = chunk_rows.insert(connection, collection.id, next_page, document.chunks)
        if known:
            digests = {row: chunk.digest for row, chunk in zip(rows, document.chunks, strict=True)}
            chunk_vectors.give(connection, collection, digests, known)
        for page_id, page in enumerate(document.pages, next_page):
            page.fields.page_id = page_id
        next_page += len(document.pages)
    for batch in _batches(page.fields for document in new for page in document.pages):
        postings.add(connection, collection.id, batch)


def touch(connection: sqlite3.Connection, seen: Touch) -> None:
    """Keep that a file was found unchanged, and the metadata that came with it."""
    connection.execute(
        "UPDATE documents SET size = ?, modified_ns = ?, read_ns = ?, metadata = ? WHERE id = ?",
        (*astuple(seen.state), _json(seen.document.metadata | seen.metadata), seen.document.id),
    )


def set_metadata(connection: sqlite3.Connection, collection: Collection, source: str, metadata: dict[str, Any]) -> None:
    """Give a document exactly this metadata."""
    connection.execute(
        "UPDATE documents SET metadata = ? WHERE collection_id = ? AND source = ?",
        (_json(metadata), collection.id, source),
    )


def reject(connection: sqlite3.Connection, collection: Collection, refused: Reject) -> None:
    """Remember a file that gives no document."""
    connection.execute(
        "INSERT OR REPLACE INTO rejects (collection_id, source, size, modified_ns, read_ns, recipe, code, reason) VALUES (?,?,?,?,?,?,?,?)",
        (collection.id, refused.source, *astuple(refused.state), refused.recipe, refused.code, refused.reason),
    )


def rejects(connection: sqlite3.Connection, collection: Collection) -> dict[str, Reject]:
    """The files that gave no document, by source."""
    rows = connection.execute(
        "SELECT source, size, modified_ns, read_ns, recipe, code, reason FROM rejects WHERE collection_id = ?",
        (collection.id,),
    )
    return {row[0]: Reject(row[0], FileState(*row[1:4]), *row[4:]) for row in rows}


def forget_rejects(connection: sqlite3.Connection, collection: Collection, sources: Sequence[str]) -> None:
    """Forget files that gave no document."""
    connection.executemany(
        "DELETE FROM rejects WHERE collection_id = ? AND source = ?", [(collection.id, source) for source in sources]
    )


def remove(connection: sqlite3.Connection, collection: Collection, old: Sequence[KeptDocument]) -> int:
    """Remove documents from the collection and its index.

    :returns: How many are kept as former versions; 0 when they are too large together.
    """
    kept = history.keep(connection, collection, old, "removed")
    _take_out(connection, collection, old)
    return kept


def _take_out(connection: sqlite3.Connection, collection: Collection, old: Sequence[KeptDocument]) -> None:
    pages = (
        _indexed(row, document.name, document.language)
        for document in old
        for row in _stored_pages(connection, document.first_page, document.page_count)
    )
    for batch in _batches(pages):
        postings.remove(connection, collection.id, batch)
    chunk_vectors.forget(connection, collection, old)
    for document in old:
        last_page = document.first_page + document.page_count - 1
        chunk_rows.remove(connection, collection.id, document.first_page, last_page)
        connection.execute("DELETE FROM pages WHERE id BETWEEN ? AND ?", (document.first_page, last_page))
        connection.execute("DELETE FROM documents WHERE id = ?", (document.id,))


def remove_all(connection: sqlite3.Connection, collection: Collection) -> int:
    """Empty the collection.

    :returns: How many documents are kept as former versions; 0 when they are too large together.
    """
    kept = history.keep_all(connection, collection)
    postings.clear(connection, collection.id)
    chunk_vectors.drop(connection, collection)
    chunk_rows.remove_all(connection, collection.id)
    connection.execute(
        "DELETE FROM pages WHERE document_id IN (SELECT id FROM documents WHERE collection_id = ?)", (collection.id,)
    )
    connection.execute("DELETE FROM documents WHERE collection_id = ?", (collection.id,))
    connection.execute("DELETE FROM rejects WHERE collection_id = ?", (collection.id,))
    return kept


def drop(connection: sqlite3.Connection, collection: Collection) -> int:
    """Remove the collection and everything in it.

    :returns: How many documents are kept as former versions; 0 when they are too large together.
    """
    kept = remove_all(connection, collection)
    connection.execute("DELETE FROM collections WHERE id = ?", (collection.id,))
    return kept


def freshen(database: Database, name: str, progress: Callable[[int, int], None] | None = None) -> Collection | None:
    """The collection, its index made again from the stored text when another version of the analyser made it.

    :param progress: Told how many pages are done, of how many.
    :returns: `None` when there is no such collection.
    """
    with database.reading() as connection:
        found = collection_named(connection, name)
    if found is None or found.analyser == ANALYSER_VERSION:
        return found
    with database.writing() as connection:
        found = collection_named(connection, name)
        if found and found.analyser != ANALYSER_VERSION:  # no other process did it meanwhile
            reindex(connection, found, progress)
            found = collection_named(connection, name)
        return found


def reindex(
    connection: sqlite3.Connection, collection: Collection, progress: Callable[[int, int], None] | None = None
) -> None:
    """Make the index of a collection again from the stored text, in the transaction that is open."""
    postings.clear(connection, collection.id)
    documents = connection.execute(
        "SELECT id, name, first_page, page_count FROM documents WHERE collection_id = ? ORDER BY first_page",
        (collection.id,),
    ).fetchall()
    total, done = sum(row[3] for row in documents), 0
    for _, batch in groupby(_numbered(documents), key=lambda pair: pair[0] // INDEX_BATCH):
        pages: list[IndexedPage] = []
        for _, (document_id, name, first_page, page_count) in batch:
            rows = _stored_pages(connection, first_page, page_count)
            language = language_of([row[2] for row in rows])
            connection.execute("UPDATE documents SET language = ? WHERE id = ?", (language, document_id))
            pages += [_indexed(row, name, language) for row in rows]
        postings.add(connection, collection.id, pages)
        done += len(pages)
        if progress:
            progress(done, total)
    connection.execute("UPDATE collections SET analyser = ? WHERE id = ?", (ANALYSER_VERSION, collection.id))


def _batches(pages: Iterable[IndexedPage]) -> Iterator[list[IndexedPage]]:
    rest = iter(pages)
    while batch := list(islice(rest, INDEX_BATCH)):
        yield batch


def _numbered(documents: Iterable[tuple[int, str, int, int]]) -> Iterator[tuple[int, tuple[int, str, int, int]]]:
    """Each document with the number of pages before it."""
    before = 0
    for document in documents:
        yield before, document
        before += document[3]


def _insert(
    connection: sqlite3.Connection, collection: Collection, new: NewDocument, metadata: dict[str, Any], first_page: int
) -> None:
    cursor = connection.execute(
        "INSERT INTO documents (doc_id, collection_id, source, name, type, language, size, modified_ns, read_ns, sha256, recipe, "
        "first_page, page_count, char_count, metadata, notes, outline) VALUES (?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?)",
        (
            str(uuid.uuid5(DOCUMENT_IDS, f"{collection.name}\0{new.source}")), collection.id, new.source, new.name, new.type,
            new.language, *astuple(new.state), new.sha256, new.recipe, first_page, len(new.pages), new.char_count,
            _json(metadata), _json(new.notes), _json(new.outline),
        ),
    )  # fmt: skip
    connection.executemany(
        "INSERT INTO pages (id, document_id, number, start_char, end_char, section_title, heading_path, keywords, content) "
        "VALUES (?,?,?,?,?,?,?,?,?)",
        (
            (
                page_id, cursor.lastrowid, page.window.number, page.window.start, page.window.end, page.window.section_title,
                _json(page.window.heading_path), _json(page.keywords), page.content,
            )
            for page_id, page in enumerate(new.pages, first_page)
        ),
    )  # fmt: skip
    connection.execute("DELETE FROM rejects WHERE collection_id = ? AND source = ?", (collection.id, new.source))


def _stored_pages(connection: sqlite3.Connection, first_page: int, page_count: int) -> list[tuple[int, str, str]]:
    return connection.execute(
        "SELECT id, heading_path, content FROM pages WHERE id BETWEEN ? AND ? ORDER BY id",
        (first_page, first_page + page_count - 1),
    ).fetchall()


def _indexed(row: tuple[int, str, str], name: str, language: str) -> IndexedPage:
    page_id, path, content = row
    return IndexedPage(page_id, *page_fields(name, json.loads(path), content, language))


def _json(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False)
