"""Former versions of documents: what was replaced or removed is put by for a while, in the transaction that replaces or removes it.

A version is the document with its pages and chunks, compressed. The last five of a document are kept, for thirty days, and of all together
no more than 256 MiB. A change that takes away more than 32 million characters at once, some 16,000 pages, is not put by: it would take more
than two seconds. What was kept under a source stays under it: the former versions of a file that was renamed are found under its old name.
"""

from __future__ import annotations

import sqlite3
import time
import zlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Literal

from .catalogue import Collection, KeptDocument, documents

VERSIONS = 5
DAYS = 30
MOST_BYTES = 256 << 20
MOST_CHARACTERS = 32_000_000

Reason = Literal["replaced", "removed"]


@dataclass(frozen=True, slots=True)
class FormerVersion:
    """A document as it was.

    :param doc_id: The id it had, and will have again.
    :param version: Counted from 1 for each document; the highest is the last.
    :param change: When it was replaced or removed, nanoseconds since 1970; the same for all that went in one change.
    """

    id: int
    collection: str
    source: str
    doc_id: str
    version: int
    reason: Reason
    change: int
    page_count: int
    char_count: int

    @property
    def ended_at(self) -> str:
        """When it was replaced or removed, as ISO 8601 in UTC."""
        return datetime.fromtimestamp(self.change // 1_000_000_000, UTC).isoformat().replace("+00:00", "Z")


def keep(connection: sqlite3.Connection, collection: Collection, old: Sequence[KeptDocument], reason: Reason) -> int:
    """Put documents by before they go, all of them or none; inside the transaction that takes them away.

    :returns: How many were; 0 when they are too large together.
    """
    if not old or sum(document.char_count for document in old) > MOST_CHARACTERS:
        return 0
    now = time.time_ns()
    for document in old:
        _put(connection, collection, document, reason, now)
    _purge(connection, now)
    return len(old)


def keep_all(connection: sqlite3.Connection, collection: Collection) -> int:
    """Put every document of a collection by, as `keep` does."""
    (characters,) = connection.execute(
        "SELECT coalesce(sum(char_count), 0) FROM documents WHERE collection_id = ?", (collection.id,)
    ).fetchone()
    return (
        keep(connection, collection, documents(connection, collection), "removed")
        if characters <= MOST_CHARACTERS
        else 0
    )


def history(
    connection: sqlite3.Connection, collection: str, source: str | None = None, *, limit: int = 100
) -> list[FormerVersion]:
    """Former versions in a collection, the last first.

    :param source: Of this document alone, by its source or id.
    """
    return _found(
        connection,
        "collection = :collection AND (:source IS NULL OR source = :source OR doc_id = :source)",
        {"collection": collection, "source": source, "limit": limit},
    )


def last_removal(connection: sqlite3.Connection, collection: str) -> list[FormerVersion]:
    """What the last removal in a collection took."""
    return _found(
        connection,
        "collection = :collection AND reason = 'removed' AND change = ("
        "SELECT max(change) FROM former_documents WHERE collection = :collection AND reason = 'removed')",
        {"collection": collection, "limit": -1},
    )


def packed(connection: sqlite3.Connection, version: FormerVersion) -> Iterable[bytes]:
    """The lines of a former version; see `packing.py`."""
    row = connection.execute("SELECT data FROM former_documents WHERE id = ?", (version.id,)).fetchone()
    return zlib.decompress(row[0]).splitlines(keepends=True)


def forget(connection: sqlite3.Connection, version: FormerVersion) -> None:
    """Throw one former version away."""
    connection.execute("DELETE FROM former_documents WHERE id = ?", (version.id,))


def empty(connection: sqlite3.Connection, collection: str | None = None, source: str | None = None) -> int:
    """Throw former versions away for good: all, or those of a collection, or of a document by its source or id.

    :returns: How many there were.
    """
    return connection.execute(
        "DELETE FROM former_documents WHERE (?1 IS NULL OR collection = ?1) AND (?2 IS NULL OR source = ?2 OR doc_id = ?2)",
        (collection, source),
    ).rowcount


_COLUMNS = "id, collection, source, doc_id, version, reason, change, page_count, char_count"


def _put(
    connection: sqlite3.Connection, collection: Collection, document: KeptDocument, reason: Reason, now: int
) -> None:
    from .packing import lines  # pydantic models, and most changes replace nothing

    press = zlib.compressobj(1)
    data = b"".join([*map(press.compress, lines(connection, document)), press.flush()])
    place = (collection.name, document.source)
    connection.execute(
        "INSERT INTO former_documents (collection, source, doc_id, version, reason, change, page_count, char_count, bytes, data) "
        "VALUES (?1, ?2, ?3, (SELECT coalesce(max(version), 0) + 1 FROM former_documents WHERE collection = ?1 AND source = ?2), "
        "?4, ?5, ?6, ?7, ?8, ?9)",
        (*place, document.doc_id, reason, now, document.page_count, document.char_count, len(data), data),
    )
    connection.execute(
        "DELETE FROM former_documents WHERE collection = ?1 AND source = ?2 AND version <= "
        "(SELECT max(version) FROM former_documents WHERE collection = ?1 AND source = ?2) - ?3",
        (*place, VERSIONS),
    )


def _purge(connection: sqlite3.Connection, now: int) -> None:
    """Throw away what is too old, then the oldest of what is too much."""
    connection.execute("DELETE FROM former_documents WHERE change < ?", (now - DAYS * 86_400 * 1_000_000_000,))
    (size,) = connection.execute("SELECT coalesce(sum(bytes), 0) FROM former_documents").fetchone()
    while size > MOST_BYTES:
        row, bytes_ = connection.execute(
            "SELECT id, bytes FROM former_documents ORDER BY change, id LIMIT 1"
        ).fetchone()
        connection.execute("DELETE FROM former_documents WHERE id = ?", (row,))
        size -= bytes_


def _found(connection: sqlite3.Connection, condition: str, values: dict[str, object]) -> list[FormerVersion]:
    rows = connection.execute(
        f"SELECT {_COLUMNS} FROM former_documents WHERE {condition} ORDER BY change DESC, id DESC LIMIT :limit",  # noqa: S608 - literals of ours
        values,
    )
    return [FormerVersion(*row) for row in rows]
