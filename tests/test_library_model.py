"""Two processes' worth of a library over one file, step by step against a naive model, and all at once."""

from __future__ import annotations

import asyncio
import math
import multiprocessing
import os
import random
import sqlite3
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from racto.knowledge import catalogue, history, indexing, library, vector_blocks, vectors
from racto.knowledge.chunk_vectors import space_name
from racto.knowledge.chunking.recursive import RecursiveChunker
from racto.knowledge.database import Database
from racto.knowledge.library import Library
from racto.knowledge.restoring import restore
from racto.knowledge.stores import BaseVectorStore
from racto.knowledge.stores.memory import InMemoryVectorStore

from tests.library_child import WordEmbedder, edition, vector_of, write_often

PROGRAMS = int(os.environ.get("RACTO_MODEL_RUNS", "6"))
STEPS = 40
BATCH = 4
SOURCES = [f"source-{number}" for number in range(7)]
PARAGRAPHS = [
    " ".join(f"{word}{number}" for word in ("ash", "birch", "cedar", "elm", "fir", "oak")) for number in range(30)
]
"""Each a chunk of its own, and no two alike."""
SECONDS = 120


@dataclass(frozen=True)
class Former:
    """A version that was put by."""

    source: str
    version: int
    paragraphs: tuple[str, ...]
    removal: int | None


@dataclass
class Model:
    """What a library is, said plainly.

    :param carries: Whether a chunk that did not change keeps its vector when its document is written again.
    :param documents: Source → its paragraphs and whether each has its vector, in the order they were last written.
    """

    carries: bool
    documents: dict[str, dict[str, bool]] = field(default_factory=dict)
    former: list[Former] = field(default_factory=list)
    embedded: bool = False
    removals: int = 0

    def put(self, source: str, paragraphs: tuple[str, ...]) -> None:
        there = self.documents.get(source)
        if there is not None and tuple(there) == paragraphs:
            return
        if there is not None:
            self._put_by(source, None)
        self._write(source, paragraphs)

    def remove(self, sources: list[str]) -> None:
        self.removals += 1
        for source in sources:
            self._put_by(source, self.removals)
            del self.documents[source]

    def restore(self, sources: list[str]) -> None:
        """Bring back what the last removal took, in this order."""
        last = max(one.removal for one in self.former if one.removal is not None)
        wanted = {one.source: one for one in self.former if one.removal == last}
        assert sorted(wanted) == sorted(sources)
        for source in sources:
            there = self.documents.get(source)
            if there is not None and tuple(there) != wanted[source].paragraphs:
                self._put_by(source, None)
            self._write(source, wanted[source].paragraphs)
            if wanted[source] in self.former:
                self.former.remove(wanted[source])

    def forget(self) -> None:
        self.documents = {source: dict.fromkeys(one, False) for source, one in self.documents.items()}
        self.embedded = False

    def waiting(self) -> list[tuple[str, str]]:
        """Source and text of what has no vector, in the order it gets one."""
        return [(source, text) for source, one in self.documents.items() for text, has in one.items() if not has]

    def settle(self, batch: list[tuple[str, str]]) -> None:
        for source, text in batch:
            self.documents[source][text] = True
        self.embedded = True

    def settled(self) -> list[str]:
        return [text for one in self.documents.values() for text, has in one.items() if has]

    def count(self) -> int:
        return sum(map(len, self.documents.values()))

    def _write(self, source: str, paragraphs: tuple[str, ...]) -> None:
        old = self.documents.pop(source, {})
        self.documents[source] = {text: self.carries and old.get(text, False) for text in paragraphs}

    def _put_by(self, source: str, removal: int | None) -> None:
        version = max((one.version for one in self.former if one.source == source), default=0) + 1
        self.former.append(Former(source, version, tuple(self.documents[source]), removal))
        self.former = [one for one in self.former if one.source != source or one.version > version - history.VERSIONS]


@pytest.mark.parametrize("number", range(PROGRAMS))
@pytest.mark.parametrize("outside", [False, True], ids=["in the database", "in a store"])
def test_whatever_two_processes_do_in_turn_the_library_is_what_a_naive_one_would_be(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int, outside: bool
) -> None:
    monkeypatch.setattr(library, "EMBED_BATCH", BATCH)
    chance = random.Random(f"{number} {outside}")
    store = InMemoryVectorStore() if outside else None
    with _opened(tmp_path / "racto.db", store) as one, _opened(tmp_path / "racto.db", store) as other:
        one.ingester.text(PARAGRAPHS[0], SOURCES[0])
        model = Model(carries=not outside, documents={SOURCES[0]: {PARAGRAPHS[0]: False}})
        done = [
            step(chance.choice((one, other)), model, chance)
            for _ in range(STEPS)
            for step in (chance.choice(_STEPS), _check)
        ]
        assert {"put", "embed"} <= set(done)


def _put(kept: Library, model: Model, chance: random.Random) -> str:
    source, paragraphs = chance.choice(SOURCES), tuple(chance.sample(PARAGRAPHS, chance.randint(1, 8)))
    kept.ingester.text("\n\n".join(paragraphs), source)
    model.put(source, paragraphs)
    return "put"


def _change(kept: Library, model: Model, chance: random.Random) -> str:
    """Most of a document stays."""
    if not model.documents:
        return _put(kept, model, chance)
    source = chance.choice(list(model.documents))
    paragraphs = [text for text in model.documents[source] if chance.random() < 0.8]
    new = [text for text in chance.sample(PARAGRAPHS, 2) if text not in paragraphs]
    paragraphs[chance.randint(0, len(paragraphs)) :] += new
    if paragraphs:
        kept.ingester.text("\n\n".join(paragraphs), source)
        model.put(source, tuple(paragraphs))
    return "change"


def _remove(kept: Library, model: Model, chance: random.Random) -> str:
    sources = chance.sample(list(model.documents), min(chance.randint(1, 2), len(model.documents)))
    with kept.database.writing() as connection:
        collection = catalogue.known_collection(connection, "default")
        old = [catalogue.document_at(connection, collection, source) for source in sources]
        assert all(old)
        indexing.remove(connection, collection, [document for document in old if document])
    model.remove(sources)
    return "remove"


def _clear(kept: Library, model: Model, chance: random.Random) -> str:
    if chance.random() < 0.7:
        return _remove(kept, model, chance)
    kept.clear()
    model.remove(list(model.documents))
    model.embedded = False
    return "clear"


def _restore(kept: Library, model: Model, chance: random.Random) -> str:
    if not any(former.removal is not None for former in model.former):
        return _put(kept, model, chance)
    model.restore([former.source for former in restore(kept.database, "default")])
    return "restore"


def _forget(kept: Library, model: Model, _chance: random.Random) -> str:
    kept.forget_vectors()
    model.forget()
    return "forget"


class _Interrupted(WordEmbedder):
    """An embedder during whose work something else may happen."""

    def __init__(self, happens: Callable[[int], None]) -> None:
        self._happens = happens

    def embed(self, texts: list[str]) -> list[list[float]]:
        self._happens(len(texts))
        return super().embed(texts)


def _embed(kept: Library, model: Model, chance: random.Random) -> str:
    """All, or one batch; documents may change while the model is at work."""
    stop, whole, settled = threading.Event(), chance.random() < 0.5, 0

    def happens(size: int) -> None:
        nonlocal settled
        batch = model.waiting()[:BATCH]
        assert len(batch) == size
        before = dict(model.documents)
        if chance.random() < 0.3:
            chance.choice((_put, _change, _remove))(kept, model, chance)
        # What was written again meanwhile has other rows now, which still wait.
        same = [(source, text) for source, text in batch if model.documents.get(source) is before[source]]
        model.settle(same)
        settled += len(same)

    kept.embedder = _Interrupted(happens)
    told = asyncio.run(kept.embed(lambda done, _total: None if whole or not done else stop.set(), stop))
    kept.embedder = WordEmbedder()
    assert (told.done, told.left) == (settled, len(model.waiting()))
    assert not whole or not told.left
    return "embed"


_STEPS = (_put, _put, _change, _change, _change, _remove, _clear, _restore, _forget, _embed, _embed, _embed)


def _check(kept: Library, model: Model, chance: random.Random) -> str:
    """Whether the library is what the model is, and searches as it does."""
    with kept.database.reading() as connection:
        collection = catalogue.known_collection(connection, "default")
        documents = catalogue.documents(connection, collection)
        assert {one.source for one in documents} == model.documents.keys()
        check_sound(connection, collection, outside=kept.store is not None)
        (waiting,) = connection.execute("SELECT count(*) FROM chunks_waiting").fetchone()
        left = {row[0] for row in connection.execute("SELECT chunk_id FROM chunks_leaving")}
    assert (kept.count(), waiting) == (model.count(), model.count() - len(model.settled()))
    if kept.store is not None:
        kept.sweep()
        there = {one.chunk.content for one in kept.store.search(vector_of("all"), 10_000)}
        assert kept.store.count() == len(model.settled()), left
        assert there == set(model.settled())
    if not model.embedded or not model.documents:
        return "check"
    query = chance.choice(PARAGRAPHS).rpartition(" ")[0]
    exact = {text: sum(map(math.prod, zip(vector_of(query), vector_of(text), strict=True))) for text in model.settled()}
    found = asyncio.run(kept.search(query, 1000, mode="meaning"))
    assert {one.chunk.content: one.score for one in found} == pytest.approx(exact, abs=2e-3)
    assert len(found) == len(exact), "a passage that stands in two documents is shown once"
    for one in found:
        assert one.chunk.content in model.documents[one.chunk.metadata.source]
    assert [one.score for one in found] == sorted((one.score for one in found), reverse=True)
    return "check"


def check_sound(connection: sqlite3.Connection, collection: catalogue.Collection, *, outside: bool = False) -> None:
    """Nothing is there that belongs to nothing."""
    known = "SELECT chunks.id FROM chunks JOIN pages ON pages.id = chunks.id >> 16 JOIN documents ON documents.id = document_id"
    for stray in (
        f"SELECT id FROM chunks WHERE id NOT IN ({known})",
        f"SELECT id FROM chunks_waiting WHERE id NOT IN ({known})",
        "SELECT id FROM pages WHERE document_id NOT IN (SELECT id FROM documents)",
        "SELECT id FROM vector_blocks WHERE space_id NOT IN (SELECT id FROM vector_spaces)",
        "SELECT id FROM vectors WHERE id >> 40 NOT IN (SELECT id FROM vector_spaces)",
    ):
        assert connection.execute(stray).fetchall() == [], stray
    settled = "SELECT id FROM chunks WHERE id NOT IN (SELECT id FROM chunks_waiting)"
    space = vectors.space_named(connection, space_name(collection))
    assert not (space and outside)
    if space is None:
        assert outside or connection.execute(settled).fetchall() == []
        return
    firsts = [first for first, _ in vector_blocks.directory(connection, space.id)]
    blocks = [vector_blocks.block_at(connection, space.id, space.dimension, first) for first in firsts]
    ids = [row for block in blocks for row in block.ids.tolist()]
    assert ids == [row[0] for row in connection.execute(f"{settled} ORDER BY id")]
    assert vectors.count(connection, space) == len(ids)
    assert connection.execute("SELECT count(*) FROM vectors WHERE id >> 40 = ?", (space.id,)).fetchone() == (len(ids),)


@contextmanager
def _opened(path: Path, store: BaseVectorStore | None = None) -> Iterator[Library]:
    with closing(Database(path)) as database:
        yield Library(database, embedder=WordEmbedder(), store=store, chunker=RecursiveChunker(60, 0))


@pytest.mark.skipif(sys.platform == "win32", reason="needs a fork server")
def test_eight_threads_search_while_three_processes_write(tmp_path: Path) -> None:
    path = tmp_path / "racto.db"
    failures: list[BaseException] = []
    looked: list[int] = []
    stop = threading.Event()
    with _opened(path) as kept:
        kept.ingester.text(edition(0, 0), "0 start")
        asyncio.run(kept.embed())

        def search(nth: int) -> None:
            chance = random.Random(nth)
            try:
                while not stop.is_set():
                    mode = chance.choice(library.MODES)
                    found = asyncio.run(kept.search(f"granite harbour {chance.randrange(40)}", 10, mode=mode))
                    for one in found:
                        about, numbers = one.chunk.metadata, one.chunk.content.split()
                        number, made = next(map(int, word.split("_")[1:]) for word in numbers if "_" in word)
                        assert edition(number, made)[about.start_char : about.end_char] == one.chunk.content
                        assert about.source == ("0 start" if number == 0 else str(number))
                        looked.append(number)
            except BaseException as error:  # told below, in the thread of the test
                failures.append(error)

        threads = [threading.Thread(target=search, args=(nth,), daemon=True) for nth in range(8)]
        context = multiprocessing.get_context("forkserver")
        context.set_forkserver_preload(["tests.library_child", "numpy"])
        writers = [context.Process(target=write_often, args=(path, first)) for first in (1, 11)]
        for thread in threads:
            thread.start()
        for writer in writers:
            writer.start()
        write_often(path, 21, kept)
        for writer in writers:
            writer.join(SECONDS)
        stop.set()
        for thread in threads:
            thread.join(SECONDS)
        assert not any(thread.is_alive() for thread in threads), "a deadlock"
        assert [writer.exitcode for writer in writers] == [0, 0]
        assert failures == []
        assert len(set(looked)) > 10
        assert asyncio.run(kept.embed()).left == 0
        with kept.database.reading() as connection:
            check_sound(connection, catalogue.known_collection(connection, "default"))
