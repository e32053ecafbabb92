"""A library killed at any moment of its life keeps what it acknowledged, has nothing half, and goes on to where an undisturbed one is."""

from __future__ import annotations

import asyncio
import json
import math
import multiprocessing
import os
import random
import shutil
import sqlite3
import sys
import time
from contextlib import closing
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest
from racto.knowledge import vector_blocks, vectors
from racto.knowledge.catalogue import collection_named
from racto.knowledge.chunk_rows import chunk_id
from racto.knowledge.chunk_vectors import space_name
from racto.knowledge.folder import ingest_folder
from racto.knowledge.library import Library

from tests.library_child import COPY, QUERIES, Place, live, main, opened, vector_of
from tests.postgres_server import postgres_server

RUNS = int(os.environ.get("RACTO_CRASH_RUNS", "10"))
FILES = 18
STAGES = ("ingested", "embedded", "removed", "restored", "forgotten", "embedded again", "imported", "copied", "end")
NEAR = 2e-3
"""What a number of a vector may be off by in half precision."""
_WORDS = (
    "copper",
    "river",
    "delta",
    "granite",
    "harbour",
    "quartz",
    "lantern",
    "meadow",
    "orchard",
    "pepper",
    "velvet",
)

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="needs SIGKILL and fork")


def test_a_killed_library_loses_nothing_and_resumes_where_the_vectors_are_in_the_database(tmp_path: Path) -> None:
    _kill_many(tmp_path, None)


def test_a_killed_library_loses_nothing_and_resumes_where_the_vectors_are_in_postgresql(tmp_path: Path) -> None:
    with postgres_server() as url:
        _kill_many(tmp_path, url)


def _kill_many(tmp_path: Path, url: str | None) -> None:
    world = _World.make(tmp_path, url)
    chance = random.Random("pgvector" if url else "database")
    killed: dict[str, int] = dict.fromkeys(STAGES[:-1], 0)
    attempts = 0
    while sum(killed.values()) < RUNS:
        attempts += 1
        assert attempts <= 3 * RUNS, "the processes end before they can be killed"
        place = world.place(f"run{attempts}")
        told = world.killed_at_random(place, chance)
        if told[-1][0] == "end":
            continue
        killed[_stage(told)] += 1
        world.examine(place, told)
        live(place, lambda what, done: None)
        _state(place).check_same(world.after)
        place.database.unlink()
    print(f"{sum(killed.values())} killed in {attempts} attempts, in the stage after: {killed}")
    assert sum(number > 0 for number in killed.values()) >= min(RUNS // 4, len(STAGES) // 2)


def _stage(told: list[tuple[str, int]]) -> str:
    """The last stage that was told of; what is going on is in it or in the next one."""
    return told[-1][0] if told[-1][0] != "ready" else STAGES[0]


@dataclass
class _State:
    """All that is kept, without row numbers and times: by collection and source, the document with its chunks; vectors; results."""

    documents: dict[tuple[str, str], Any] = field(default_factory=dict)
    vectors: dict[str, list[float]] = field(default_factory=dict)
    answers: dict[tuple[str, str], dict[str, float]] = field(default_factory=dict)

    def check_same(self, other: _State) -> None:
        """Both are the same but for rounding."""
        assert self.documents == other.documents
        assert self.vectors.keys() == other.vectors.keys()
        assert all(_near(one, other.vectors[name]) for name, one in self.vectors.items())
        assert self.answers.keys() == other.answers.keys()
        for asked, found in self.answers.items():
            assert found == pytest.approx(other.answers[asked], abs=0.01), asked


def _near(one: list[float], other: list[float]) -> bool:
    return len(one) == len(other) and all(
        math.isclose(left, right, abs_tol=NEAR) for left, right in zip(one, other, strict=True)
    )


@dataclass
class _World:
    """A folder that changed, and the library before and after a life."""

    folder: Path
    url: str | None
    removed: tuple[str, ...]
    before: dict[tuple[str, str], Any]
    after: _State
    seconds: float
    stages: list[str] = field(default_factory=list)

    @classmethod
    def make(cls, tmp_path: Path, url: str | None) -> _World:
        folder = tmp_path / "documents"
        folder.mkdir()
        _write_files(folder, range(FILES), "first")
        removed = tuple(str(folder / f"file-{number:02}.md") for number in (2, 3, 4))
        world = cls(folder, url, removed, {}, _State(), 0.0)
        start = replace(world.place("start"), database=tmp_path / "start.db")
        with opened(start) as kept:
            ingest_folder(kept.ingester, folder)
            asyncio.run(kept.embed())
        world.before = _state(start).documents
        _write_files(folder, range(0, FILES, 2), "second")
        _write_files(folder, range(FILES, FILES + 4), "first")
        (folder / "file-01.md").unlink()
        undisturbed = world.place("undisturbed")
        told = world.killed_at_random(undisturbed, None)
        world.stages = list(dict.fromkeys(what for what, _ in told[1:-1]))
        world.after = _state(undisturbed)
        assert len(world.after.documents) == 2 * (FILES + 3)
        assert len(world.after.vectors) > 150
        assert len(world.after.answers) == 2 * len(QUERIES)
        assert all(len(found) > 20 for found in world.after.answers.values())
        return world

    def place(self, name: str) -> Place:
        """A library as it was before, to live in."""
        top = self.folder.parent
        place = Place(top / f"{name}.db", self.folder, top / f"{name}.export", self.removed, self.url, name)
        start = top / "start.db"
        if start.exists():
            assert not start.with_name(f"{start.name}-wal").exists(), "it is still open"
            shutil.copy(start, place.database)
            if self.url:
                _copy_table(self.url, "startdefault", f"{name}default")
        return place

    def killed_at_random(self, place: Place, chance: random.Random | None) -> list[tuple[str, int]]:
        """What a process told until it was killed, at any moment or soon after it told of some stage; with no `chance` it is let be."""
        here, there = _CONTEXT.Pipe(duplex=False)
        process = _CONTEXT.Process(target=main, args=(place, there))
        process.start()
        there.close()
        told = [here.recv()]
        begun = time.monotonic()
        longest, stage = (
            (1.05 * self.seconds, "ready")
            if chance is None or chance.random() < 0.4
            else (0.1 * self.seconds, chance.choice(self.stages))
        )
        while told[-1][0] not in (stage, "end"):
            told.append(here.recv())
        process.join(chance.uniform(0, longest) if chance else 120)
        if process.exitcode is None:
            process.kill()
        process.join()
        assert process.exitcode in (0, -9)
        try:
            while True:
                told.append(here.recv())
        except EOFError:
            here.close()
        process.close()
        if told[-1][0] == "end" and stage == "ready":
            self.seconds = time.monotonic() - begun  # as quick as the machine is now
        return told

    def examine(self, place: Place, told: list[tuple[str, int]]) -> None:
        """Nothing that was told is lost, and nothing is half."""
        found = _state(place)
        last = dict(told)
        for key, document in found.documents.items():
            assert document in (self.before.get(key), self.after.documents.get(key)), f"{key} is neither old nor new"
        under_way = self.removed if "restored" not in last else ()  # out, or back in, and that not yet told
        for path in sorted(map(str, self.folder.iterdir()))[: last.get("ingested", 0)]:
            key = ("default", path)
            if key in found.documents or path not in under_way:
                assert found.documents.get(key) == self.after.documents[key], f"{path} was acknowledged and is lost"
        if "embedded" in last:
            assert len({("default", path) in found.documents for path in self.removed}) == 1, "half of a change"
        of_default = {
            one[0] for key, document in found.documents.items() if key[0] == "default" for one in document[-1]
        }
        has = len(found.vectors.keys() & of_default)
        if "restored" not in last:
            out = sum(len(self.after.documents["default", path][-1]) for path in self.removed)
            assert has >= last.get("embedded", 0) - out
        if "imported" not in last:
            assert has >= last.get("embedded again", 0)
        if "imported" in last:
            copied = {key: one for key, one in found.documents.items() if key[0] == COPY}
            assert copied == {key: one for key, one in self.after.documents.items() if key[0] == COPY}
            assert len(found.vectors) - has >= last.get("copied", 0)


_CONTEXT = multiprocessing.get_context("forkserver")
_CONTEXT.set_forkserver_preload(["tests.library_child", "numpy", "psycopg"])


def _write_files(folder: Path, numbers: range, edition: str) -> None:
    for number in numbers:
        chance = random.Random(f"{number} {edition}")
        paragraphs = (" ".join(chance.choices(_WORDS, k=chance.randint(10, 40))) for _ in range(chance.randint(1, 5)))
        text = f"# File {number}, the {edition} edition of file {number}\n\n" + "\n\n## Part\n\n".join(paragraphs)
        (folder / f"file-{number:02}.md").write_text(text)


def _copy_table(url: str, source: str, target: str) -> None:
    import psycopg

    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute(f'CREATE TABLE "{target}" (LIKE "{source}" INCLUDING ALL)')
        connection.execute(f'INSERT INTO "{target}" SELECT * FROM "{source}"')


def _state(place: Place) -> _State:
    """What is there, after looking for anything that should not be."""
    with closing(sqlite3.connect(place.database)) as plain:
        assert plain.execute("PRAGMA integrity_check").fetchone()[0] == "ok"
    state = _State()
    for name in ("default", COPY):
        with opened(place, name) as kept:
            with kept.database.reading() as connection:
                collection = collection_named(connection, name)
                if collection is None:
                    continue
                chunks = _read_documents(connection, collection.id, name, state)
                waiting = {
                    row[0]
                    for row in connection.execute(
                        "SELECT id FROM chunks_waiting WHERE collection_id = ?", (collection.id,)
                    )
                }
                leaving = {
                    row[0]
                    for row in connection.execute(
                        "SELECT chunk_id FROM chunks_leaving WHERE collection_id = ?", (collection.id,)
                    )
                }
                space = vectors.space_named(connection, space_name(collection))
                settled = chunks.keys() - waiting
                assert waiting <= chunks.keys(), "something waits that is gone"
                if place.url is None:
                    there = _kept_vectors(connection, space)
                    assert there.keys() == settled, (
                        "a vector is without its chunk, or a chunk neither has one nor waits"
                    )
                else:
                    assert space is None
                    table = _table(place.url, place.table + name)
                    rows = {one: row for row, (one, _) in chunks.items()}
                    assert {rows[one] for one in table if one in rows} >= settled, "an acknowledged vector is lost"
                    assert not (leaving & {chunks[row][0] for row in settled}), "what is there is about to be taken out"
                    strays = {one for one in table if one not in rows}
                    assert strays <= leaving, "a vector nobody would take out"
                    there = {row: table[chunks[row][0]] for row in settled}
                for row, vector in there.items():
                    one, text = chunks[row]
                    assert _near(vector, vector_of(kept.ingester.clean(text))), "a vector of another text"
                    state.vectors[one] = vector
            if collection.embedder:
                state.answers |= {(name, query): _answers(kept, query) for query in QUERIES}
    with closing(sqlite3.connect(place.database)) as plain:
        known = "SELECT chunks.id FROM chunks JOIN pages ON pages.id = chunks.id >> 16 JOIN documents ON documents.id = document_id"
        for stray in (
            f"SELECT count(*) FROM chunks WHERE id NOT IN ({known})",
            f"SELECT count(*) FROM chunks_waiting WHERE id NOT IN ({known})",
            "SELECT count(*) FROM pages WHERE document_id NOT IN (SELECT id FROM documents)",
            "SELECT count(*) FROM vector_blocks WHERE space_id NOT IN (SELECT id FROM vector_spaces)",
            "SELECT count(*) FROM vectors WHERE id >> 40 NOT IN (SELECT id FROM vector_spaces)",
        ):
            assert plain.execute(stray).fetchone() == (0,), stray
    return state


def _read_documents(
    connection: sqlite3.Connection, collection_id: int, name: str, state: _State
) -> dict[int, tuple[str, str]]:
    """Add the documents to the state.

    :returns: Row → id and text, of every chunk.
    """
    chunks: dict[int, tuple[str, str]] = {}
    for doc_id, source, digest, metadata, first, number, size in connection.execute(
        "SELECT doc_id, source, sha256, metadata, first_page, page_count, char_count FROM documents WHERE collection_id = ?",
        (collection_id,),
    ).fetchall():
        pages = connection.execute(
            "SELECT content FROM pages WHERE id BETWEEN ? AND ? ORDER BY id", (first, first + number - 1)
        ).fetchall()
        assert len(pages) == number > 0, "a document without all of its pages"
        rows = connection.execute(
            "SELECT id, chunk_index, start_char, end_char, heading_path, content FROM chunks WHERE id BETWEEN ? AND ? ORDER BY chunk_index",
            (first << 16, (first + number << 16) - 1),
        ).fetchall()
        assert [row[1] for row in rows] == list(range(len(rows)))
        assert rows, "a document without chunks"
        mine = [(chunk_id(doc_id, row[1]), *row[1:]) for row in rows]
        chunks |= {row[0]: (mine[row[1]][0], row[5]) for row in rows}
        state.documents[name, source] = (digest, json.loads(metadata), size, pages, mine)
    return chunks


def _kept_vectors(connection: sqlite3.Connection, space: vectors.Space | None) -> dict[int, list[float]]:
    """Row → vector; every row of the engine's tables is of one of them."""
    if space is None:
        return {}
    blocks = [
        vector_blocks.block_at(connection, space.id, space.dimension, first)
        for first, _ in vector_blocks.directory(connection, space.id)
    ]
    ids = [row for block in blocks for row in block.ids.tolist()]
    (kept,) = connection.execute("SELECT count(*) FROM vectors WHERE id >> 40 = ?", (space.id,)).fetchone()
    assert len(ids) == len(set(ids)) == kept == vectors.count(connection, space)
    return dict(zip(ids, vectors.vectors_of(connection, space, ids).tolist(), strict=True)) if ids else {}


def _table(url: str, table: str) -> dict[str, list[float]]:
    """Id → vector, of all that PostgreSQL has."""
    import psycopg

    with psycopg.connect(url) as connection:
        found = connection.execute("SELECT to_regclass(%s)", [f'"{table}"']).fetchone()
        if found == (None,):
            return {}
        rows = connection.execute(f'SELECT id, embedding::text FROM "{table}"').fetchall()
    return {one: json.loads(text) for one, text in rows}


def _answers(kept: Library, query: str) -> dict[str, float]:
    """Chunk → score."""
    return {one.chunk.chunk_id: one.score for one in asyncio.run(kept.search(query, 1000))}
