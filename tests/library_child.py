"""What a library goes through in its life, told step by step as it is done for good. For test_library_crash."""

from __future__ import annotations

import asyncio
import hashlib
import math
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path

from racto.knowledge import folder, indexing, library, transfer
from racto.knowledge.catalogue import document_at, known_collection
from racto.knowledge.chunking.recursive import RecursiveChunker
from racto.knowledge.database import Database
from racto.knowledge.embedding import BaseEmbedder
from racto.knowledge.folder import ingest_folder
from racto.knowledge.library import Library
from racto.knowledge.restoring import restore
from racto.knowledge.stores.pgvector import PGVectorStore
from racto.knowledge.transfer import export_collection, import_collection

QUERIES = ("copper river delta", "granite harbour", "the edition of file 7")
EMBED_BATCH = 16
DIMENSION = 24
COPY = "copy"
Tell = Callable[[str, int], None]


@dataclass(frozen=True)
class Place:
    """Where a life takes place.

    :param exported: The file the collection is exported to.
    :param removed: Files whose documents are removed and brought back.
    :param url: Of a PostgreSQL that has the vectors; without one they are in the database.
    """

    database: Path
    documents: Path
    exported: Path
    removed: tuple[str, ...]
    url: str | None = None
    table: str = ""


class WordEmbedder(BaseEmbedder):
    """A small real embedder: every word has a direction of its own, and a text points where its words do."""

    @property
    def name(self) -> str:
        return "tests/words"

    def embed(self, texts: list[str]) -> list[list[float]]:
        return [vector_of(text) for text in texts]


def vector_of(text: str) -> list[float]:
    """The vector of a text, of length 1."""
    total = [1e-3] * DIMENSION
    for word in text.lower().split():
        for place, byte in enumerate(hashlib.blake2b(word.encode(), digest_size=DIMENSION).digest()):
            total[place] += byte - 127.5
    length = math.sqrt(sum(number * number for number in total))
    return [number / length for number in total]


@contextmanager
def opened(place: Place, collection: str = "default") -> Iterator[Library]:
    """The library there."""
    folder.BATCH_PAGES, transfer.BATCH_PAGES, library.EMBED_BATCH = (
        3,
        3,
        EMBED_BATCH,
    )  # many commits to be killed between
    database = Database(place.database)
    store = PGVectorStore(place.url, table=place.table + collection, batch_size=EMBED_BATCH // 2) if place.url else None
    try:
        yield Library(database, collection, embedder=WordEmbedder(), store=store, chunker=RecursiveChunker(160, 20))
    finally:
        database.close()
        if store:
            store.close()


def live(place: Place, tell: Tell) -> None:
    """Fill a library, take documents out and bring them back, forget the vectors and make them again, carry everything over into a copy."""
    with opened(place) as kept, opened(place, COPY) as copy:
        _told(tell, "ingested", lambda at: ingest_folder(kept.ingester, place.documents, prune=True, progress=at))
        _embed(kept, tell, "embedded")
        _search(kept)
        with kept.database.writing() as connection:
            collection = known_collection(connection, "default")
            old = [document_at(connection, collection, source) for source in place.removed]
            indexing.remove(connection, collection, [one for one in old if one])
        tell("removed", 0)
        kept.sweep()
        _search(kept)
        restore(kept.database, "default")
        tell("restored", 0)
        kept.forget_vectors()
        tell("forgotten", 0)
        _embed(kept, tell, "embedded again")
        _search(kept)
        export_collection(kept.database, "default", place.exported, overwrite=True)
        import_collection(copy.database, place.exported, collection=COPY, replace=True)
        tell("imported", 0)
        _embed(copy, tell, "copied")
        _search(copy)
    tell("end", 0)


def _told(tell: Tell, what: str, job: Callable[[Callable[[int, int, str], None]], object]) -> None:
    last = -1

    def progress(done: int, _total: int, _name: str) -> None:
        nonlocal last
        if done > last:
            last = done
            tell(what, done)

    job(progress)


def _embed(kept: Library, tell: Tell, what: str) -> None:
    done = asyncio.run(kept.embed(lambda at, _total: tell(what, at)))
    assert done.left == 0


def _search(kept: Library) -> None:
    for query in QUERIES:
        asyncio.run(kept.search(query, 50))


def main(place: Place, line: Connection) -> None:
    """Live, and say so on the line."""
    folder.BATCH_PAGES, transfer.BATCH_PAGES, library.EMBED_BATCH = (
        3,
        3,
        EMBED_BATCH,
    )  # many commits to be killed between
    line.send(("ready", 0))
    live(place, lambda what, done: line.send((what, done)))


def edition(number: int, made: int) -> str:
    """The text of a document in its nth edition; every chunk of it says whose and which it is."""
    return "\n\n".join(f"Granite harbour e_{number}_{made} line {line} of lantern and river." for line in range(6))


def write_often(path: Path, first: int, kept: Library | None = None) -> None:
    """Write ten documents in three editions, embed them, and take out every other one between.

    :param first: The number of the first of them.
    """
    if kept is None:
        with closing(Database(path)) as database:
            write_often(path, first, Library(database, embedder=WordEmbedder(), chunker=RecursiveChunker(60, 0)))
        return
    for made in range(3):
        for number in range(first, first + 10):
            kept.ingester.text(edition(number, made), str(number))
        asyncio.run(kept.embed())
        with kept.database.writing() as connection:
            collection = known_collection(connection, "default")
            old = [document_at(connection, collection, str(number)) for number in range(first, first + 10, 2)]
            indexing.remove(connection, collection, [one for one in old if one])
