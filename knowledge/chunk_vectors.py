"""The vectors of a collection's chunks: who made them, where they are, and which chunks still wait for theirs.

They are in a space of this database (`vectors.py`), or in a store that is not this file. What leaves such a store leaves it after the
transaction that removed the chunk, so a crash between the two leaves a vector nobody is shown, and its removal still written down.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Collection as Several
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING

from . import chunk_rows, vectors
from .catalogue import Collection, KeptDocument, all_pages
from .chunk_rows import KeptChunk
from .errors import ConflictError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from .stores import BaseVectorStore


def space_name(collection: Collection) -> str:
    """The name of the space that has the vectors of this collection."""
    return f"chunks of {collection.id}"


def check(collection: Collection, embedder: str, store: str) -> None:
    """
    :raises ConflictError: the collection has vectors of another embedder, or in another store.
    """
    if collection.embedder and (collection.embedder, collection.store) != (embedder, store):
        where = f" in {collection.store}" if collection.store else ""
        raise ConflictError(
            f"The vectors of {collection.name} were made by {collection.embedder}{where}, and this is {embedder}{f' in {store}' if store else ''}.",
            "Use that one, or have every chunk embedded again (reembed).",
        )


def forget(connection: sqlite3.Connection, collection: Collection, documents: Sequence[KeptDocument]) -> None:
    """Take the vectors of these documents out, before their chunks go."""
    if not collection.embedder:
        return
    space = None if collection.store else vectors.space_named(connection, space_name(collection))
    for document in documents:
        last_page = document.first_page + document.page_count - 1
        if collection.store:
            _leave(connection, collection, chunk_rows.names(connection, document.first_page, last_page))
        elif space:
            vectors.remove(connection, space, list(chunk_rows.digests(connection, document.first_page, last_page)))


def carried(
    connection: sqlite3.Connection, collection: Collection, documents: Sequence[KeptDocument], wanted: Several[bytes]
) -> dict[bytes, NDArray[np.float32]]:
    """Digest → vector, of those chunks of these documents that have a wanted digest: what did not change is not embedded again."""
    space = (
        vectors.space_named(connection, space_name(collection))
        if collection.embedder and not collection.store
        else None
    )
    if space is None or not wanted:
        return {}
    rows: dict[bytes, int] = {}
    for document in documents:
        last_page = document.first_page + document.page_count - 1
        there = chunk_rows.digests(connection, document.first_page, last_page)
        rows |= {digest: row for row, digest in there.items() if digest in wanted}
    lacking = set(vectors.missing(connection, space, list(rows.values())))
    rows = {digest: row for digest, row in rows.items() if row not in lacking}
    return dict(zip(rows, vectors.vectors_of(connection, space, list(rows.values())), strict=True)) if rows else {}


def give(
    connection: sqlite3.Connection,
    collection: Collection,
    rows: Mapping[int, bytes],
    known: Mapping[bytes, NDArray[np.float32]],
) -> None:
    """Give new chunks the vectors that were carried over.

    :param rows: Row → digest of the new chunks.
    """
    import numpy as np

    lucky = [row for row, digest in rows.items() if digest in known]
    space = vectors.space_named(connection, space_name(collection))
    if lucky and space:
        vectors.put(connection, space, lucky, np.stack([known[rows[row]] for row in lucky]))
        chunk_rows.settled(connection, collection.id, lucky)


def label(connection: sqlite3.Connection, collection: Collection, embedder: str, store: str) -> None:
    """Note who makes the vectors of a collection and where they are."""
    connection.execute(
        "UPDATE collections SET embedder = ?, store = ? WHERE id = ? AND embedder = ''",
        (embedder, store, collection.id),
    )


def put(
    connection: sqlite3.Connection,
    collection: Collection,
    embedder: str,
    rows: Sequence[int],
    made: Sequence[Sequence[float]],
) -> None:
    """Keep the vectors of these chunks in this database."""
    import numpy as np

    if rows:
        array = np.asarray(made, np.float32)
        space = vectors.open_space(connection, space_name(collection), embedder, array.shape[1])
        vectors.put(connection, space, rows, array)


def hand_over(
    connection: sqlite3.Connection, collection: Collection, store: BaseVectorStore, made: Mapping[int, Sequence[float]]
) -> None:
    """Put the vectors of these chunks into a store that is not this database, in place of what it had of them.

    :param made: Row → vector.
    """
    kept = list(chunk_rows.read(connection, made).values())
    for one in kept:
        one.chunk.embedding = list(made[one.id])
    store.add([one.chunk for one in kept])
    left(connection, collection, [one.chunk.chunk_id for one in kept])


def of(connection: sqlite3.Connection, collection: Collection, kept: Sequence[KeptChunk]) -> list[list[float] | None]:
    """The vector of each of these chunks; `None` for one that waits, and for all when they are in another store."""
    found: dict[int, list[float]] = {}
    space = None if collection.store else vectors.space_named(connection, space_name(collection))
    if space:
        lacking = set(vectors.missing(connection, space, [one.id for one in kept]))
        rows = [one.id for one in kept if one.id not in lacking]
        found = dict(zip(rows, vectors.vectors_of(connection, space, rows).tolist(), strict=True))
    return [found.get(one.id) for one in kept]


def drop(connection: sqlite3.Connection, collection: Collection) -> None:
    """Take every vector of a collection out and forget who made them; its chunks wait for new ones."""
    if collection.store:
        for first, last in all_pages(connection, collection.id):
            _leave(connection, collection, chunk_rows.names(connection, first, last))
    vectors.drop_space(connection, space_name(collection))
    connection.execute("UPDATE collections SET embedder = '', store = '' WHERE id = ?", (collection.id,))
    chunk_rows.wait_all(connection, collection.id)


def leaving(connection: sqlite3.Connection, collection: Collection) -> list[str]:
    """The ids of chunks that must still be taken out of the store."""
    found = connection.execute("SELECT chunk_id FROM chunks_leaving WHERE collection_id = ?", (collection.id,))
    return [row[0] for row in found]


def left(connection: sqlite3.Connection, collection: Collection, chunk_ids: Iterable[str]) -> None:
    """Note that these are out of the store."""
    connection.executemany(
        "DELETE FROM chunks_leaving WHERE collection_id = ? AND chunk_id = ?",
        ((collection.id, one) for one in chunk_ids),
    )


def _leave(connection: sqlite3.Connection, collection: Collection, chunk_ids: Iterable[str]) -> None:
    connection.executemany(
        "INSERT OR IGNORE INTO chunks_leaving VALUES (?, ?)", ((collection.id, one) for one in chunk_ids)
    )
