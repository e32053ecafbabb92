"""A collection as one file, to back it up or to carry it elsewhere: JSON lines, compressed with gzip.

The first line is the manifest, then comes each document (`packing.py`), with the vectors of its chunks when they are in this database.
Both ways no more than a batch of documents is in memory. Sources stay as they are: they are labels, and no file is looked for.
"""

from __future__ import annotations

import base64
import binascii
import gzip
import os
import sqlite3
import zlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, Literal

from pydantic import Field, ValidationError

from . import chunk_rows, chunk_vectors, indexing, vectors
from .arriving import arriving
from .catalogue import (
    Collection,
    KeptDocument,
    checked_name,
    collection_named,
    counts,
    document_at,
    documents,
    known_collection,
)
from .database import Database
from .errors import ConflictError, InputError, LimitError, RactoError
from .packing import Count, Packed, described, lines
from .restoring import Unpacked, unpack

BATCH_PAGES = 512
LONG_PAGE = 16_000
"""What is written at a time: so many pages, one longer than so many characters counted as several."""
MOST_LINE = 64 << 20
"""Bytes of one line; a page of two million characters takes less than a third of it."""
MOST_EXPANSION = 100
"""A file may become so many times as large; real ones become two to eight times as large."""

Progress = Callable[[int, int], None]


class Manifest(Packed):
    """The first line of an export.

    :param embedder: What made the vectors; empty when there are none.
    :param dimension: Numbers in a vector.
    """

    format: Literal["racto collection"]
    version: Literal[1]
    collection: str = Field(max_length=64)
    documents: Count
    pages: Count
    embedder: str = Field(max_length=1000)
    dimension: int = Field(ge=0, le=65_536)


@dataclass(frozen=True, slots=True)
class Transferred:
    """What was exported or imported.

    :param vectors: Chunks that have their vector; the others are embedded when they are next.
    :param former: Documents the import took the place of that can be restored.
    """

    collection: str
    path: str
    documents: int
    pages: int
    chunks: int
    vectors: int
    former: int = 0


def export_collection(
    database: Database, collection: str, path: Path | str, *, overwrite: bool = False, progress: Progress | None = None
) -> Transferred:
    """Write a collection, as it is at this moment, to a file that is there as a whole or not at all.

    :param overwrite: Whether a file that is there may be replaced.
    :param progress: Told how many documents are written, of how many; what it raises ends the export.
    :raises UnknownNameError: there is no such collection.
    :raises ConflictError: the file is there.
    :raises StorageError: it cannot be written.
    """
    target = Path(path).expanduser()
    if target.exists() and not overwrite:
        raise ConflictError(f"{target} is there already.", "Give another name, or overwrite it (--overwrite).")
    with database.reading() as connection:
        found = known_collection(connection, collection)
        with arriving(target) as file:
            written = _export(connection, found, file, progress)
    return Transferred(collection, str(target), *written)


def import_collection(
    database: Database,
    path: Path | str,
    *,
    collection: str | None = None,
    replace: bool = False,
    progress: Progress | None = None,
) -> Transferred:
    """Make a collection of an exported file, every field of it checked, in one transaction: others see it whole or not at all, and
    whoever wants to write waits for the end.

    :param collection: Its name; by default the one it had.
    :param replace: Whether it may take the place of a collection that is there.
    :param progress: Told how many documents are read, of how many; what it raises ends the import, and nothing is kept.
    :raises ConflictError: there is such a collection.
    :raises InputError: the file is damaged, cut off, or none of ours.
    :raises LimitError: it becomes larger than any export.
    """
    source = Path(path).expanduser()
    try:
        with source.open("rb") as file:
            return _import(database, source, file, collection, replace, progress)
    except RactoError:
        raise  # some of them are OSErrors too
    except (EOFError, gzip.BadGzipFile, zlib.error):
        raise InputError(f"{source.name} is damaged or was cut off.", "Export the collection again.") from None
    except OSError as error:
        raise InputError(
            f"{source} cannot be read: {error.strerror}.", "Check that it exists and may be read."
        ) from None


def _export(
    connection: sqlite3.Connection, collection: Collection, file: BinaryIO, progress: Progress | None
) -> tuple[int, int, int, int]:
    """:returns: Documents, pages, chunks and vectors that were written."""
    space = None if collection.store else vectors.space_named(connection, chunk_vectors.space_name(collection))
    total, pages = counts(connection, collection)
    carried = 0

    def vectors_of(rows: Sequence[int]) -> list[str | None]:
        nonlocal carried
        if space is None or not rows:
            return [None] * len(rows)
        lacking = set(vectors.missing(connection, space, rows))
        there = [row for row in rows if row not in lacking]
        found = vectors.vectors_of(connection, space, there).astype("<f2") if there else ()
        texts = {row: base64.b64encode(one.tobytes()).decode() for row, one in zip(there, found, strict=True)}
        carried += len(there)
        return [texts.get(row) for row in rows]

    manifest = Manifest(
        format="racto collection",
        version=1,
        collection=collection.name,
        documents=total,
        pages=pages,
        embedder=space.label if space else "",
        dimension=space.dimension if space else 0,
    )
    with gzip.GzipFile(fileobj=file, mode="wb", compresslevel=3, filename="", mtime=0) as pressed:
        pressed.write(f"{manifest.model_dump_json()}\n".encode())
        for done, document in enumerate(_every(connection, collection)):
            if progress:
                progress(done, total)
            pressed.writelines(lines(connection, document, vectors_of))
    if progress:
        progress(total, total)
    return total, pages, chunk_rows.count(connection, collection.id), carried


def _every(connection: sqlite3.Connection, collection: Collection) -> Iterator[KeptDocument]:
    start = 0
    while batch := documents(connection, collection, limit=500, offset=start):
        yield from batch
        start += len(batch)


def _import(
    database: Database, source: Path, file: BinaryIO, name: str | None, replace: bool, progress: Progress | None
) -> Transferred:
    rest = _lines(source, file)
    try:
        manifest = Manifest.model_validate_json(next(rest, b""))
    except ValidationError as error:
        raise InputError(
            f"{source.name} is no export of a collection: {described(error)}.", "Give a file that was exported."
        ) from None
    collection = checked_name(name or manifest.collection)
    with database.writing() as connection:
        former = _make_room(connection, collection, replace)
        found = indexing.open_collection(connection, collection)
        taken = _Taken(connection, found, manifest)
        for batch in _batches(unpack(rest)):
            taken.take(batch)
            if progress:
                progress(taken.documents, manifest.documents)
        if (taken.documents, taken.pages) != (manifest.documents, manifest.pages):
            raise InputError(f"{source.name} holds other documents than it says.", "Export the collection again.")
    return Transferred(collection, str(source), taken.documents, taken.pages, taken.chunks, taken.vectors, former)


def _make_room(connection: sqlite3.Connection, name: str, replace: bool) -> int:
    """
    :returns: How many documents went that can be restored.
    :raises ConflictError: a collection of this name holds documents, and it may not be replaced.
    """
    there = collection_named(connection, name)
    if there is None:
        return 0
    if counts(connection, there)[0] and not replace:
        raise ConflictError(
            f"There is a collection {name} already.", "Give it another name, or say that it may be replaced."
        )
    return indexing.remove_all(connection, there)


class _Taken:
    """What an import has written so far."""

    def __init__(self, connection: sqlite3.Connection, collection: Collection, manifest: Manifest) -> None:
        self.documents = self.pages = self.chunks = self.vectors = 0
        self._connection, self._collection, self._manifest = connection, collection, manifest
        self._sources: set[str] = set()

    def take(self, batch: Sequence[Unpacked]) -> None:
        """Write documents, and the vectors of their chunks."""
        new = [one.document for one in batch]
        sources = {document.source for document in new}
        if len(sources) < len(new) or not sources.isdisjoint(self._sources):
            raise InputError("A document is in the file twice.", "Export the collection again.")
        self._sources |= sources
        indexing.write(self._connection, self._collection, new)
        for one in batch:
            self._give(one)
            self.pages += len(one.document.pages)
            self.chunks += len(one.document.chunks)
        self.documents += len(batch)

    def _give(self, one: Unpacked) -> None:
        kept = document_at(self._connection, self._collection, one.document.source)
        assert kept is not None
        rows = sorted(chunk_rows.digests(self._connection, kept.first_page, kept.first_page + kept.page_count - 1))
        known = [(row, self._vector(text)) for row, text in zip(rows, one.vectors, strict=True) if text is not None]
        if known:
            having = [row for row, _ in known]
            chunk_vectors.put(
                self._connection, self._collection, self._manifest.embedder, having, [vector for _, vector in known]
            )
            chunk_vectors.label(self._connection, self._collection, self._manifest.embedder, "")
            chunk_rows.settled(self._connection, self._collection.id, having)
            self.vectors += len(known)

    def _vector(self, text: str) -> list[float]:
        import numpy as np

        try:
            data = base64.b64decode(text, validate=True)
        except (binascii.Error, ValueError):
            data = b""
        if not self._manifest.embedder or len(data) != 2 * self._manifest.dimension or not data:
            raise InputError("A vector is not what the file says vectors are.", "Export the collection again.")
        numbers: list[float] = np.frombuffer(data, "<f2").tolist()
        return numbers


def _batches(unpacked: Iterator[Unpacked]) -> Iterator[list[Unpacked]]:
    batch: list[Unpacked] = []
    pages = 0
    for one in unpacked:
        batch.append(one)
        pages += sum(1 + len(page.content) // LONG_PAGE for page in one.document.pages)
        if pages >= BATCH_PAGES:
            yield batch
            batch, pages = [], 0
    if batch:
        yield batch


def _lines(source: Path, file: BinaryIO) -> Iterator[bytes]:
    """
    :raises LimitError: a line, or all of them, are longer than any export's.
    """
    most = (os.fstat(file.fileno()).st_size + (1 << 20)) * MOST_EXPANSION
    read = 0
    with gzip.GzipFile(fileobj=file, mode="rb") as opened:
        while line := opened.readline(MOST_LINE + 1):
            read += len(line)
            if len(line) > MOST_LINE or read > most:
                raise LimitError(
                    f"{source.name} becomes larger than any export.", "Give a file that was exported by racto."
                )
            yield line
