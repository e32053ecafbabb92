"""Damaged or homeless vectors: words are found all the same, what is wrong is said, and the command it names mends it."""

from __future__ import annotations

import asyncio
import os
import random
import shutil
import sqlite3
import subprocess
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from racto.knowledge.chunking.recursive import RecursiveChunker
from racto.knowledge.corpus_embedder import CorpusEmbedder
from racto.knowledge.database import Database
from racto.knowledge.errors import ConfigError, ConflictError, CorruptError, DiskFullError, InputError, StorageError
from racto.knowledge.library import MODES, Findings, Library
from racto.knowledge.stores.pgvector import PGVectorStore
from racto.knowledge.stores.sqlite import SQLiteStore
from racto.server.cli import main

from tests.library_child import WordEmbedder

TEXTS = {
    f"note-{number}": f"# Note {number}\n\nCopper and granite, harbour {number}, and a lantern." for number in range(60)
}


def filled(database: Database) -> Library:
    library = Library(database, embedder=WordEmbedder())
    for source, text in TEXTS.items():
        library.ingester.text(text, source)
    assert asyncio.run(library.embed()).left == 0
    return library


@pytest.fixture(scope="module")
def sound(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A file with documents, their index and their vectors."""
    path = tmp_path_factory.mktemp("sound") / "racto.db"
    with closing(Database(path)) as database:
        filled(database)
    return path


@pytest.fixture
def path(tmp_path: Path, sound: Path) -> Path:
    path = tmp_path / "racto.db"
    shutil.copy(sound, path)
    return path


@contextmanager
def opened(path: Path) -> Iterator[Library]:
    with closing(Database(path)) as database:
        yield Library(database, embedder=WordEmbedder())


def search(library: Library, **options: Any) -> Findings:
    return asyncio.run(library.search("harbour 17", 8, **options))


DAMAGES = {
    "a vector is gone": "DELETE FROM vectors WHERE id = (SELECT max(id) FROM vectors)",
    "a vector is cut": "UPDATE vectors SET data = substr(data, 1, 7) WHERE id = (SELECT min(id) FROM vectors)",
    "a vector is zeros": "UPDATE vectors SET data = zeroblob(length(data)) WHERE id = (SELECT min(id) FROM vectors)",
    "a vector is not a number": "UPDATE vectors SET data = CAST(replace(hex(data), '0', 'F') AS BLOB)",
    "two vectors made up for each other": "UPDATE vectors SET data = CASE id % 2 WHEN 0 THEN substr(data, 3) ELSE CAST(data || x'FFFF' AS BLOB) END",
    "every vector is gone": "DELETE FROM vectors",
    "the blocks are gone": "DELETE FROM vector_blocks",
    "the ids are cut": "UPDATE vector_blocks SET ids = substr(ids, 1, 20)",
    "an id is missing": "UPDATE vector_blocks SET ids = substr(ids, 9)",
    "the ids are empty": "UPDATE vector_blocks SET ids = x'', serials = x''",
    "the ids are not in their order": "UPDATE vector_blocks SET ids = CAST(substr(ids, 9) || substr(ids, 1, 8) AS BLOB)",
    "the ids are text": "UPDATE vector_blocks SET ids = CAST(ids AS TEXT)",
    "the vectors are text": "UPDATE vectors SET data = hex(substr(data, 1, 24))",
    "the serials are cut": "UPDATE vector_blocks SET serials = substr(serials, 9)",
    "a serial is impossible": "UPDATE vector_blocks SET serials = CAST(x'FFFFFFFFFFFFFFFF' || substr(serials, 9) AS BLOB)",
    "the codes are odd": "UPDATE vector_blocks SET codes = x'010203'",
    "the block begins elsewhere": "UPDATE vector_blocks SET first = 1 << 40",
    "the centre is odd": "UPDATE vector_spaces SET centre = x'0102'",
    "the centre is no place": "UPDATE vector_spaces SET centre = CAST(replace(hex(zeroblob(48)), '0', x'FF') AS BLOB)",
    "the dimension is none": "UPDATE vector_spaces SET dimension = 0",
    "the count is another": "UPDATE vector_spaces SET vector_count = vector_count + 1",
    "the space is gone": "DELETE FROM vector_spaces",
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_damaged_vectors_are_named_and_words_are_found_all_the_same(path: Path, damage: str) -> None:
    with closing(sqlite3.connect(path)) as plain, plain:
        assert plain.execute(DAMAGES[damage]).rowcount > 0
    with opened(path) as library:
        found = search(library)
        assert found[0].chunk.metadata.source == "note-17"
        assert all(one.chunk.content in TEXTS[one.chunk.metadata.source] for one in found)
        (note,) = found.notes
        assert note.startswith("Only words were searched: The vectors in the database are damaged.")
        assert "racto rebuild --vectors" in note
        assert "rag_embed" in note
        assert not search(library, mode="words").notes
        with pytest.raises(CorruptError, match="racto rebuild --vectors"):
            search(library, mode="meaning")
        library.forget_vectors()
        assert asyncio.run(library.embed()).left == 0
        assert not search(library).notes
        assert search(library, mode="meaning")[0].chunk.metadata.source == "note-17"


@settings(max_examples=80, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(seed=st.integers(0, 1 << 30), table=st.sampled_from(["vectors", "vector_blocks", "postings"]))
def test_flipped_bytes_never_crash_a_search_nor_make_up_a_quote(path: Path, sound: Path, seed: int, table: str) -> None:
    chance = random.Random(seed)
    shutil.copy(sound, path)
    columns = {"vectors": ["data"], "vector_blocks": ["ids", "serials", "codes"], "postings": ["data"]}[table]
    column = chance.choice(columns)
    key = "(collection_id, block, term, field)" if table == "postings" else "id"
    with closing(sqlite3.connect(path)) as plain, plain:
        rows = plain.execute(f"SELECT {key.strip('()')}, {column} FROM {table}").fetchall()
        for *at, data in chance.sample(rows, min(3, len(rows))):
            flipped = bytearray(data)
            for _ in range(min(len(flipped), 4)):
                flipped[chance.randrange(len(flipped))] ^= 1 << chance.randrange(8)
            marks = f"({', '.join('?' * len(at))})"
            plain.execute(f"UPDATE {table} SET {column} = ? WHERE {key} = {marks}", (bytes(flipped), *at))
    complaints: list[str] = []
    refused: list[str] = []
    with opened(path) as library:
        for mode in MODES:
            try:
                found = search(library, mode=mode)
            except CorruptError as error:
                complaints.append(error.hint)
                refused.append(mode)
                continue
            assert [one.rank for one in found] == list(range(1, len(found) + 1))
            for one in found:
                assert one.chunk.content in TEXTS[one.chunk.metadata.source]
                assert one.score == one.score
    assert all("racto rebuild" in hint for hint in complaints)
    assert table == "postings" or refused in ([], ["meaning"])


def test_an_embedder_that_changed_under_its_name_leaves_the_words(path: Path) -> None:
    class Changed(WordEmbedder):
        def embed(self, texts: list[str]) -> list[list[float]]:
            return [vector[:7] for vector in super().embed(texts)]

    with closing(Database(path)) as database:
        library = Library(database, embedder=Changed())
        found = search(library)
        assert found[0].chunk.metadata.source == "note-17"
        assert "Vectors of 7 numbers do not fit among those of 24" in found.notes[0]
        with pytest.raises(InputError, match="of 7 numbers"):
            search(library, mode="meaning")


def test_a_store_in_the_file_of_the_library_is_refused_before_the_two_wait_for_each_other(path: Path) -> None:
    with closing(Database(path)) as database, closing(SQLiteStore(path)) as store:
        with pytest.raises(ConfigError, match="Leave the store out"):
            Library(database, embedder=WordEmbedder(), store=store)
        library = Library(database, "other", embedder=WordEmbedder(), store=SQLiteStore(database=database))
        library.ingester.text("The harbour of granite.", "one")
        assert asyncio.run(library.embed()).left == 0
        assert asyncio.run(library.search("harbour", mode="meaning"))


def test_a_store_that_fails_leaves_the_words(path: Path) -> None:
    with opened(path) as library:
        library.forget_vectors()
    with closing(Database(path)) as database, database.writing() as connection:
        connection.execute("UPDATE collections SET embedder = 'tests/words', store = 'PGVectorStore'")
        connection.execute("DELETE FROM chunks_waiting")
    with closing(Database(path)) as database:
        store = PGVectorStore("postgresql://nobody@127.0.0.1:1/nothing?connect_timeout=1")
        library = Library(database, embedder=WordEmbedder(), store=store)
        found = search(library)
        assert found[0].chunk.metadata.source == "note-17"
        assert found.notes[0].startswith("Only words were searched: PostgreSQL failed")
        with pytest.raises(StorageError, match="PostgreSQL failed"):
            search(library, mode="meaning")


def test_a_disk_that_is_full_while_embedding_is_named_and_words_are_found_meanwhile(small_disk: Path) -> None:
    with closing(Database(small_disk / "racto.db")) as database:
        library = Library(database, embedder=WordEmbedder(), chunker=RecursiveChunker(60, 0))
        for number in range(12):
            library.ingester.text(
                "\n\n".join(f"Lantern {number} {line} granite." for line in range(800)), f"long-{number}"
            )
        waiting = library.count()
        (small_disk / "filling").write_bytes(b"x" * max(0, _room(small_disk) - 150_000))
        told: list[int] = []
        with pytest.raises(DiskFullError, match="no room") as caught:
            asyncio.run(library.embed(lambda done, total: told.append(done)))
        assert "Free some space" in caught.value.hint
        assert max(told) < waiting
        found = asyncio.run(library.search("lantern 7 400", 3))
        assert found[0].chunk.metadata.source == "long-7"
        assert any("only words were searched" in note.lower() for note in found.notes)
        (small_disk / "filling").unlink()
        done = asyncio.run(library.embed())
        assert (done.left, done.done) == (0, waiting - max(told))
        assert not asyncio.run(library.search("lantern 7 400", 3)).notes


def _room(disk: Path) -> int:
    status = os.statvfs(disk)
    return status.f_bavail * status.f_frsize


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    disk = tmp_path / "disk"
    disk.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=24m", "none", disk], capture_output=True, check=False)
    if mounted.returncode:
        pytest.skip(f"a small disk needs the right to mount one: {mounted.stderr.decode().strip()}")
    try:
        yield disk
    finally:
        subprocess.run(["umount", disk], check=True)


@pytest.fixture
def command(path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., int]:
    """`racto` over that file, in a home of its own."""
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("RACTO_DATABASE", str(path))
    monkeypatch.chdir(tmp_path)
    return lambda *words: main(list(words))


def test_rebuilding_makes_the_index_again_from_the_stored_text(
    path: Path, command: Callable[..., int], capsys: pytest.CaptureFixture[str]
) -> None:
    with closing(sqlite3.connect(path)) as plain, plain:
        before = plain.execute("SELECT * FROM postings ORDER BY 1, 2, 3, 4").fetchall()
        plain.execute("UPDATE postings SET data = substr(data, 1, 3)")
    with opened(path) as library, pytest.raises(CorruptError, match="Run `racto rebuild`"):
        search(library, mode="words")
    assert command("rebuild") == 0
    shown = capsys.readouterr()
    assert shown.out == f"default: {len(TEXTS)} pages indexed\n"
    with closing(sqlite3.connect(path)) as plain:
        assert plain.execute("SELECT * FROM postings ORDER BY 1, 2, 3, 4").fetchall() == before
    with opened(path) as library:
        assert search(library)[0].chunk.metadata.source == "note-17"
        assert search(library, mode="meaning")[0].chunk.metadata.source == "note-17"


def test_rebuilding_with_vectors_has_the_model_make_them_again(
    path: Path, command: Callable[..., int], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RACTO_EMBEDDING_MODELS", "built-in/lsa")
    with closing(sqlite3.connect(path)) as plain, plain:
        plain.execute("DELETE FROM vectors")
    assert command("rebuild", "--vectors", "--collection", "default") == 0
    assert f"{len(TEXTS)} vectors made" in capsys.readouterr().out
    with closing(Database(path)) as database:
        library = Library(database, embedder=CorpusEmbedder(database, "default"))
        assert not search(library).notes
        assert search(library, mode="meaning")


def learning(path: Path) -> Database:
    """A collection that its own embedder learnt from."""
    database = Database(path)
    library = Library(database, embedder=CorpusEmbedder(database, "default"))
    library.forget_vectors()
    assert asyncio.run(library.embed()).left == 0
    return database


def test_the_built_in_embedder_killed_between_learning_and_forgetting_goes_on(path: Path) -> None:
    with closing(learning(path)) as database:
        for number in range(60, 120):
            Library(database).ingester.text(
                f"The velvet meadow {number} and the orchard of quartz {number}.", f"new-{number}"
            )
        embedder = CorpusEmbedder(database, "default")
        before = embedder.name
        assert embedder.refresh()  # and then it was killed
        assert embedder.name != before
        library = Library(database, embedder=CorpusEmbedder(database, "default"))
        assert search(library)[0].chunk.metadata.source == "note-17"
        done = asyncio.run(library.embed())
        assert (done.done, done.left) == (120, 0)
        assert asyncio.run(library.embed()).done == 0
        assert not search(library).notes


def test_a_built_in_embedder_that_cannot_be_read_learns_anew_and_words_are_found_meanwhile(path: Path) -> None:
    with closing(learning(path)) as database:
        with database.writing() as connection:
            connection.execute("UPDATE corpus_models SET data = substr(data, 1, 100)")
        library = Library(database, embedder=CorpusEmbedder(database, "default"))
        found = search(library)
        assert found[0].chunk.metadata.source == "note-17"
        assert "Only words were searched" in found.notes[0]
        assert asyncio.run(library.embed()).done == 60
        assert not search(library).notes


def test_the_built_in_embedder_does_not_take_the_vectors_of_another(path: Path) -> None:
    with closing(Database(path)) as database:
        library = Library(database, embedder=CorpusEmbedder(database, "default"))
        with pytest.raises(ConflictError, match="made by tests/words"):
            asyncio.run(library.embed())
        assert search(Library(database, embedder=WordEmbedder()), mode="meaning")


def test_without_a_model_damaged_vectors_go_and_it_says_how_to_get_new_ones(
    path: Path, command: Callable[..., int], capsys: pytest.CaptureFixture[str]
) -> None:
    assert command("rebuild", "--vectors") == 0
    shown = capsys.readouterr()
    assert "no vectors any more" in shown.out
    assert "RACTO_EMBEDDING_MODELS" in shown.err
    with closing(sqlite3.connect(path)) as plain:
        assert plain.execute("SELECT count(*) FROM vectors").fetchone() == (0,)
        assert plain.execute("SELECT count(*) FROM chunks_waiting").fetchone() == (len(TEXTS),)


def test_rebuilding_what_is_not_there_is_refused(
    path: Path, command: Callable[..., int], capsys: pytest.CaptureFixture[str]
) -> None:
    assert command("rebuild", "--collection", "defualt") == 2
    assert "Did you mean 'default'?" in capsys.readouterr().err
    path.unlink()
    assert command("rebuild") == 2
    assert "nothing to rebuild" in capsys.readouterr().err
    assert not path.exists()
