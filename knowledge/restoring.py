"""Bringing documents back: from their former versions, and from lines of JSON of any origin."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import pairwise
from typing import TypeVar

from pydantic import BaseModel, ValidationError

from . import history, indexing
from .analyser import page_fields
from .catalogue import FileState
from .chunk_rows import NewChunk
from .database import Database
from .errors import InputError, LimitError, unknown_name
from .history import FormerVersion
from .indexing import NewDocument, NewPage
from .packing import PackedChunk, PackedDocument, PackedPage, described
from .postings import IndexedPage
from .windows import Window

M = TypeVar("M", bound=BaseModel)


MOST_DOCUMENT = 512 << 20
"""Bytes of the lines of a document; the largest file that is read has half as many."""


@dataclass(frozen=True, slots=True)
class Unpacked:
    """A document that came back.

    :param document: Ready to be written.
    :param vectors: For each of its chunks, in order, its vector as text; `None` when it has none.
    """

    document: NewDocument
    vectors: list[str | None]


def restore(
    database: Database, collection: str, document: str | None = None, version: int | None = None
) -> list[FormerVersion]:
    """Bring back what was replaced or removed, in one transaction. What stands in its place becomes a former version itself, so
    restoring can be undone like any other change.

    Words are searchable at once. Chunks that did not change have their vector still; the others wait for one.

    :param document: Its source or id; without one, everything the last removal in the collection took.
    :param version: Which; by default the last.
    :returns: What came back.
    :raises UnknownNameError: no such version is kept.
    """
    indexing.freshen(database, collection)
    with database.writing() as connection:
        if document is None:
            wanted = history.last_removal(connection, collection)
        else:
            there = history.history(connection, collection, document)
            wanted = [one for one in there if version is None or one.version == version][:1]
        if not wanted:
            _complain(connection, collection, document, version)
        kept = indexing.open_collection(connection, collection)
        for one in wanted:
            (unpacked,) = unpack(history.packed(connection, one))
            indexing.write(connection, kept, [unpacked.document])
            indexing.set_metadata(connection, kept, unpacked.document.source, unpacked.document.metadata)
            history.forget(connection, one)
    return wanted


def unpack(lines: Iterable[bytes]) -> Iterator[Unpacked]:
    """Documents from their lines, every field checked; no more than one document is in memory.

    :raises InputError: a line is not what it should be, or one is missing.
    :raises LimitError: a document is larger than any that is read.
    """
    rest = iter(lines)
    for line in rest:
        about = _read(PackedDocument, line)
        pages: list[PackedPage] = []
        size = len(line)
        while len(pages) < about.pages:
            following = next(rest, None)
            if following is None:
                raise InputError(f"{about.name} ends in the middle.", "The file was cut off; get it again.")
            size += len(following)
            if size > MOST_DOCUMENT:
                raise LimitError(
                    f"{about.name} is larger than any document.", "Give a file that was exported by racto."
                )
            pages.append(_read(PackedPage, following))
        yield _document(about, pages)


def _complain(connection: sqlite3.Connection, collection: str, document: str | None, version: int | None) -> None:
    if document is None:
        raise InputError(
            f"Nothing that was removed from {collection!r} is kept.",
            f"Former versions are kept for {history.DAYS} days, unless they are very large.",
        )
    there = history.history(connection, collection, document)
    if there and version is not None:
        raise unknown_name("version", str(version), (str(one.version) for one in there))
    raise unknown_name("former version of", document, {one.source for one in history.history(connection, collection)})


def _read(model: type[M], line: bytes) -> M:
    try:
        return model.model_validate_json(line)
    except ValidationError as error:
        raise InputError(
            f"A line is not a {model.__name__}: {described(error)}.", "Export the collection again."
        ) from None


def _document(about: PackedDocument, packed: list[PackedPage]) -> Unpacked:
    language = about.language
    pages = [
        NewPage(
            Window(one.number, one.start, one.end, one.section_title, tuple(one.heading_path)),
            one.content,
            one.keywords,
            IndexedPage(0, *page_fields(about.name, one.heading_path, one.content, language)),
        )
        for one in packed
    ]
    placed = [(place, chunk) for place, one in enumerate(packed) for chunk in one.chunks]
    _check_places(about, packed, [chunk for _, chunk in placed])
    document = NewDocument(
        source=about.source,
        name=about.name,
        type=about.type,
        language=language,
        state=FileState(about.size, about.modified_ns, about.read_ns),
        sha256=about.sha256,
        recipe=about.recipe,
        char_count=about.char_count,
        metadata=dict(about.metadata),
        notes=about.notes,
        outline=about.outline,
        pages=pages,
        chunks=[
            NewChunk(
                place, one.index, one.start, one.end, tuple(one.heading_path), one.content, bytes.fromhex(one.digest)
            )
            for place, one in placed
        ],
    )
    return Unpacked(document, [chunk.vector for _, chunk in placed])


def _check_places(about: PackedDocument, pages: list[PackedPage], chunks: list[PackedChunk]) -> None:
    """
    :raises InputError: a page or chunk stands where it cannot stand.
    """
    inside = all(one.start <= one.end <= about.char_count for one in pages)
    exact = all(one.end - one.start == len(one.content) and one.end <= about.char_count for one in chunks)
    counted = [one.index for one in chunks] == list(range(len(chunks)))
    ascending = all(first.start <= second.start for first, second in pairwise(pages))
    if not (inside and exact and counted and ascending):
        raise InputError(f"{about.name} has pages or chunks where there is no text.", "Export the collection again.")
