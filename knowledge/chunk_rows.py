"""Chunks as rows: each belongs to a page, and its id says which, so whatever names pages names chunks too.

The id of a row is `page id << 16 | place on the page`. Page ids are never used again, so neither are these.
"""

from __future__ import annotations

import hashlib
import json
import sqlite3
import uuid
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from .catalogue import all_pages
from .chunks import Chunk, ChunkMetadata

PLACE_BITS = 16
"""A page has fewer than 65,536 chunks: one of 2,000,000 characters has 2,900."""


@dataclass(frozen=True, slots=True)
class NewChunk:
    """A chunk that is ready to be written.

    :param page: Which page of its document it is on, counted from 0.
    :param index: Its place in the document, counted from 0.
    :param start: Where it begins in the text of the document.
    :param digest: Of what is embedded for it; the same digest has the same vector.
    """

    page: int
    index: int
    start: int
    end: int
    heading_path: tuple[str, ...]
    content: str
    digest: bytes


@dataclass(frozen=True, slots=True)
class KeptChunk:
    """A chunk as it is kept.

    :param id: Its row.
    :param page_id: The row of its page.
    :param digest: Of what is embedded for it.
    :param language: Of its document, ISO 639-1; empty when unknown.
    """

    id: int
    page_id: int
    chunk: Chunk
    digest: bytes
    language: str


def digest_of(text: str) -> bytes:
    """16 bytes that stand for a text."""
    return hashlib.blake2b(text.encode(errors="replace"), digest_size=16).digest()


def page_of(row: int) -> int:
    """The id of the page this chunk is on."""
    return row >> PLACE_BITS


def rows_on(first_page: int, last_page: int) -> tuple[int, int]:
    """The first and the last id that chunks of these pages can have."""
    return first_page << PLACE_BITS, (last_page + 1 << PLACE_BITS) - 1


def insert(connection: sqlite3.Connection, collection_id: int, first_page: int, new: Sequence[NewChunk]) -> list[int]:
    """Write the chunks of a document; they wait to be embedded.

    :param first_page: The id of the first page of the document.
    :returns: Their rows.
    """
    places: dict[int, int] = {}
    rows: list[int] = []
    for one in new:
        place = places[one.page] = places.get(one.page, -1) + 1
        rows.append((first_page + one.page) << PLACE_BITS | place)
    connection.executemany(
        "INSERT INTO chunks (id, chunk_index, start_char, end_char, heading_path, content, digest) VALUES (?,?,?,?,?,?,?)",
        (
            (
                row,
                one.index,
                one.start,
                one.end,
                json.dumps(one.heading_path, ensure_ascii=False),
                one.content,
                one.digest,
            )
            for row, one in zip(rows, new, strict=True)
        ),
    )
    connection.executemany("INSERT INTO chunks_waiting VALUES (?, ?)", ((collection_id, row) for row in rows))
    return rows


def remove(connection: sqlite3.Connection, collection_id: int, first_page: int, last_page: int) -> None:
    """Remove the chunks of these pages."""
    between = rows_on(first_page, last_page)
    connection.execute("DELETE FROM chunks WHERE id BETWEEN ? AND ?", between)
    connection.execute(
        "DELETE FROM chunks_waiting WHERE collection_id = ? AND id BETWEEN ? AND ?", (collection_id, *between)
    )


def remove_all(connection: sqlite3.Connection, collection_id: int) -> None:
    """Remove every chunk of a collection."""
    for first, last in all_pages(connection, collection_id):
        connection.execute("DELETE FROM chunks WHERE id BETWEEN ? AND ?", rows_on(first, last))
    connection.execute("DELETE FROM chunks_waiting WHERE collection_id = ?", (collection_id,))


def digests(connection: sqlite3.Connection, first_page: int, last_page: int) -> dict[int, bytes]:
    """Row → digest, of the chunks of these pages."""
    return dict(
        connection.execute("SELECT id, digest FROM chunks WHERE id BETWEEN ? AND ?", rows_on(first_page, last_page))
    )


def names(connection: sqlite3.Connection, first_page: int, last_page: int) -> list[str]:
    """The ids of the chunks of these pages, as a store outside this file knows them."""
    found = connection.execute(
        "SELECT doc_id, chunk_index FROM chunks JOIN pages ON pages.id = chunks.id >> 16 JOIN documents ON documents.id = document_id "
        "WHERE chunks.id BETWEEN ? AND ?",
        rows_on(first_page, last_page),
    )
    return [chunk_id(doc_id, index) for doc_id, index in found]


def read(connection: sqlite3.Connection, rows: Iterable[int]) -> dict[int, KeptChunk]:
    """The chunks of these rows; one that is gone is left out."""
    return _kept(connection, "chunks.id IN (SELECT value FROM json_each(?))", (json.dumps(list(rows)),))


def ids_on(connection: sqlite3.Connection, pages: Iterable[int]) -> list[int]:
    """The rows of the chunks of these pages."""
    found = connection.execute(
        "SELECT chunks.id FROM json_each(?) CROSS JOIN chunks ON chunks.id BETWEEN value << 16 AND (value + 1 << 16) - 1",
        (json.dumps(list(pages)),),
    )
    return [row[0] for row in found]


def row_named(connection: sqlite3.Connection, doc_id: str, index: int) -> int | None:
    """The row of a chunk by its document and its place there; `None` when it is gone."""
    found = connection.execute("SELECT first_page, page_count FROM documents WHERE doc_id = ?", (doc_id,)).fetchone()
    if found is None:
        return None
    between = rows_on(found[0], found[0] + found[1] - 1)
    row = connection.execute(
        "SELECT id FROM chunks WHERE id BETWEEN ? AND ? AND chunk_index = ?", (*between, index)
    ).fetchone()
    return row[0] if row else None


def on_pages(connection: sqlite3.Connection, pages: Iterable[int]) -> dict[int, KeptChunk]:
    """The chunks of these pages, in the order of their rows."""
    return read(connection, ids_on(connection, pages))


def of_document(
    connection: sqlite3.Connection, doc_id: str, first: int = 0, last: int | None = None
) -> list[KeptChunk]:
    """The chunks of a document from place `first` to place `last`, both included."""
    found = connection.execute("SELECT first_page, page_count FROM documents WHERE doc_id = ?", (doc_id,)).fetchone()
    if found is None:
        return []
    low, high = rows_on(found[0], found[0] + found[1] - 1)
    kept = _kept(
        connection,
        "chunks.id BETWEEN ? AND ? AND chunk_index BETWEEN ? AND ?",
        (low, high, first, last if last is not None else 1 << 60),
    )
    return sorted(kept.values(), key=lambda one: one.chunk.metadata.chunk_index)


def count(connection: sqlite3.Connection, collection_id: int) -> int:
    """How many chunks a collection has."""
    return sum(
        connection.execute("SELECT count(*) FROM chunks WHERE id BETWEEN ? AND ?", rows_on(first, last)).fetchone()[0]
        for first, last in all_pages(connection, collection_id)
    )


def unchanged(connection: sqlite3.Connection, rows: Mapping[int, bytes]) -> list[int]:
    """Those of these rows that are still there with this digest."""
    found = connection.execute(
        "SELECT id, digest FROM chunks WHERE id IN (SELECT value FROM json_each(?))", (json.dumps(list(rows)),)
    )
    return [row for row, digest in found if rows[row] == digest]


def waiting(connection: sqlite3.Connection, collection_id: int, limit: int) -> list[int]:
    """The first rows that have no vector yet."""
    found = connection.execute(
        "SELECT id FROM chunks_waiting WHERE collection_id = ? ORDER BY id LIMIT ?", (collection_id, limit)
    )
    return [row[0] for row in found]


def settled_among(connection: sqlite3.Connection, collection_id: int, rows: Iterable[int]) -> list[int]:
    """Those of these rows that have their vector."""
    found = connection.execute(
        "SELECT value FROM json_each(?) WHERE value NOT IN (SELECT id FROM chunks_waiting WHERE collection_id = ?)",
        (json.dumps(list(rows)), collection_id),
    )
    return [row[0] for row in found]


def waiting_count(connection: sqlite3.Connection, collection_id: int) -> int:
    """How many chunks have no vector yet."""
    found = connection.execute("SELECT count(*) FROM chunks_waiting WHERE collection_id = ?", (collection_id,))
    number: int = found.fetchone()[0]
    return number


def settled(connection: sqlite3.Connection, collection_id: int, rows: Iterable[int]) -> None:
    """Note that these have their vector."""
    connection.executemany(
        "DELETE FROM chunks_waiting WHERE collection_id = ? AND id = ?", ((collection_id, row) for row in rows)
    )


def wait_all(connection: sqlite3.Connection, collection_id: int) -> None:
    """Have every chunk of a collection wait for a vector again."""
    for first, last in all_pages(connection, collection_id):
        connection.execute(
            "INSERT OR IGNORE INTO chunks_waiting SELECT ?, id FROM chunks WHERE id BETWEEN ? AND ?",
            (collection_id, *rows_on(first, last)),
        )


_CHUNKS = (
    "SELECT chunks.id, chunk_index, chunks.start_char, chunks.end_char, chunks.heading_path, chunks.content, digest, pages.number, "
    "pages.document_id FROM chunks JOIN pages ON pages.id = chunks.id >> 16"
)


def _kept(connection: sqlite3.Connection, condition: str, values: tuple[object, ...]) -> dict[int, KeptChunk]:
    rows = connection.execute(f"{_CHUNKS} WHERE {condition} ORDER BY chunks.id", values).fetchall()
    documents = {document: _document(connection, document) for document in {row[8] for row in rows}}
    kept: dict[int, KeptChunk] = {}
    for row, index, start, end, path, content, digest, number, document in rows:
        doc_id, source, language, total, metadata = documents[document]
        about = ChunkMetadata(
            source, number, index, total, start, end, doc_id, tuple(json.loads(path)), json.loads(metadata)
        )
        kept[row] = KeptChunk(
            row, page_of(row), Chunk(content, about, doc_id, chunk_id(doc_id, index)), digest, language
        )
    return kept


def chunk_id(doc_id: str, index: int) -> str:
    """The id of a chunk: made of its document and its place, so that it stays when the document is ingested again."""
    return str(uuid.uuid5(uuid.UUID(doc_id), f"chunk {index}"))


def _document(connection: sqlite3.Connection, document_id: int) -> tuple[str, str, str, int, str]:
    """Id, source, language, number of chunks and metadata (as JSON) of a document."""
    doc_id, source, language, first, number, metadata = connection.execute(
        "SELECT doc_id, source, language, first_page, page_count, metadata FROM documents WHERE id = ?", (document_id,)
    ).fetchone()
    (total,) = connection.execute(
        "SELECT count(*) FROM chunks WHERE id BETWEEN ? AND ?", rows_on(first, first + number - 1)
    ).fetchone()
    return doc_id, source, language, total, metadata
