"""Chunks in an SQLite file: the default store, with the vector engine of the library."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from .. import vectors
from ..chunks import Chunk, ChunkMetadata, RetrievalResult
from ..database import Database
from ..errors import InputError
from ..ranges import Ranges
from ..vectors import Space, VectorSearcher
from . import BaseVectorStore
from .filtering import EVERYTHING, Node, clause, parse
from .records import checked_vectors

_COLUMNS = {field: field for field in ("source", "page", "doc_id", "chunk_index")}
_FETCHED = 500  # rows asked for by name at a time


class SQLiteStore(BaseVectorStore):
    """One collection in one file; what `add` returned from survives `kill -9`.

    :param path: The file, made when missing. `None` keeps everything in a temporary one that goes with the store.
    :param database: A database to use instead, which stays open.
    :param collection: Collections of one file do not see each other.
    :param exact: Compare with every vector. Without it about one in a hundred of the nearest is missed where there are more than 10,000.
    """

    def __init__(
        self,
        path: Path | str | None = None,
        database: Database | None = None,
        *,
        collection: str = "default",
        exact: bool = False,
    ) -> None:
        if path is not None and database is not None:
            raise InputError("Both a path and a database were given.", "Give one of them.")
        self.database = database or Database(path)
        self._owned = database is None
        self._name = f"store {collection}"
        self._exact = exact
        self._searcher = VectorSearcher()

    def add(self, chunks: Sequence[Chunk]) -> None:
        """See `BaseVectorStore.add`; one transaction."""
        if not chunks:
            return
        numbers = checked_vectors(chunks)
        with self.database.writing() as connection:
            space = self._space(connection, numbers.shape[1])
            if space is None:
                space = vectors.open_space(connection, self._name, "", numbers.shape[1])
            ids = [_write(connection, space, chunk) for chunk in chunks]
            vectors.put(connection, space, ids, numbers)

    def search(
        self, embedding: Sequence[float], top_k: int = 5, filters: Mapping[str, Any] | None = None
    ) -> list[RetrievalResult]:
        """See `BaseVectorStore.search`."""
        node = parse(filters)
        asked = checked_vectors([Chunk("", embedding=list(embedding))])
        with self.database.reading() as connection:
            space = self._space(connection, asked.shape[1])
            if space is None:
                return []
            among = None if node == EVERYTHING else _passing(connection, space, node)
            found = self._searcher.search(connection, space, asked[0], limit=top_k, among=among, exact=self._exact)
            chunks = _read(connection, [row for row, _ in found])
        return [RetrievalResult(chunks[row], score, rank) for rank, (row, score) in enumerate(found, 1)]

    def delete(self, chunk_ids: Sequence[str]) -> None:
        """See `BaseVectorStore.delete`; one transaction."""
        with self.database.writing() as connection:
            space = vectors.space_named(connection, self._name)
            if space is None:
                return
            names = list(chunk_ids)
            for start in range(0, len(names), _FETCHED):
                some = json.dumps(names[start : start + _FETCHED])
                gone = connection.execute(
                    "DELETE FROM stored_chunks WHERE space_id = ? AND chunk_id IN (SELECT value FROM json_each(?)) RETURNING id",
                    (space.id, some),
                ).fetchall()
                vectors.remove(connection, space, [row[0] for row in gone])

    def clear(self) -> None:
        """See `BaseVectorStore.clear`."""
        with self.database.writing() as connection:
            space = vectors.space_named(connection, self._name)
            if space is not None:
                connection.execute("DELETE FROM stored_chunks WHERE space_id = ?", (space.id,))
                vectors.drop_space(connection, self._name)

    def count(self) -> int:
        """See `BaseVectorStore.count`."""
        with self.database.reading() as connection:
            found = connection.execute(
                "SELECT vector_count FROM vector_spaces WHERE name = ?", (self._name,)
            ).fetchone()
            return int(found[0]) if found else 0

    def close(self) -> None:
        """See `BaseVectorStore.close`."""
        if self._owned:
            self.database.close()

    def _space(self, connection: sqlite3.Connection, dimension: int) -> Space | None:
        """The space of this collection; `None` before anything was added.

        :raises InputError: its vectors have another length.
        """
        space = vectors.space_named(connection, self._name)
        if space is not None and space.dimension != dimension:
            raise InputError(
                f"The vector has {dimension} numbers; those in the collection have {space.dimension}.",
                "Use the embedder it was filled with, or another collection.",
            )
        return space


def _write(connection: sqlite3.Connection, space: Space, chunk: Chunk) -> int:
    """Write all of a chunk but its vector; its row."""
    about = chunk.metadata
    try:
        extra = json.dumps(about.extra, allow_nan=False)
    except (TypeError, ValueError, RecursionError) as error:
        raise InputError(
            f"The metadata of chunk {chunk.chunk_id} are not JSON: {error}.",
            "Use texts, numbers, booleans, lists and dictionaries of them.",
        ) from None
    place = json.dumps([chunk.doc_id, about.total_chunks, about.start_char, about.end_char, about.heading_path])
    content = chunk.content.encode("utf-8", "surrogatepass")
    try:
        (row,) = connection.execute(
            "INSERT INTO stored_chunks (space_id, chunk_id, source, page, doc_id, chunk_index, metadata, place, content) "
            "VALUES (?,?,?,?,?,?,?,?,?) ON CONFLICT (space_id, chunk_id) DO UPDATE SET (source, page, doc_id, chunk_index, metadata, place, content) "
            "= (excluded.source, excluded.page, excluded.doc_id, excluded.chunk_index, excluded.metadata, excluded.place, excluded.content) "
            "RETURNING id",
            (
                space.id,
                chunk.chunk_id,
                about.source,
                about.page,
                about.doc_id,
                about.chunk_index,
                extra,
                place,
                content,
            ),
        ).fetchone()
    except UnicodeEncodeError:
        raise InputError(
            f"An id or the source of chunk {chunk.chunk_id!a} holds half a character.", "Use whole Unicode text."
        ) from None
    return int(row)


def _passing(connection: sqlite3.Connection, space: Space, node: Node) -> Ranges:
    """The rows of the chunks that pass."""
    condition, values = clause(node, _COLUMNS, "metadata")
    rows = connection.execute(
        f"SELECT id, id FROM stored_chunks WHERE space_id = ? AND {condition}",  # noqa: S608 - literals of ours
        (space.id, *values),
    )
    return Ranges(rows)


def _read(connection: sqlite3.Connection, rows: Sequence[int]) -> dict[int, Chunk]:
    """Row → its chunk."""
    found = connection.execute(
        "SELECT id, chunk_id, source, page, doc_id, chunk_index, metadata, place, content FROM stored_chunks "
        "WHERE id IN (SELECT value FROM json_each(?))",
        (json.dumps(rows),),
    )
    chunks: dict[int, Chunk] = {}
    for row, chunk_id, source, page, of_metadata, index, extra, place, content in found:
        doc_id, total, start, end, path = json.loads(place)
        about = ChunkMetadata(source, page, index, total, start, end, of_metadata, tuple(path), json.loads(extra))
        chunks[row] = Chunk(content.decode("utf-8", "surrogatepass"), about, doc_id, chunk_id)
    return chunks
