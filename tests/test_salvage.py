"""A damaged database: what can be read is saved whole, what cannot is named, and the damaged file is kept."""

from __future__ import annotations

import random
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest
from racto.knowledge.catalogue import (
    collection_named,
    collections,
    documents,
    find_document,
    known_collection,
    read_pages,
    text_of,
)
from racto.knowledge.chunks import Chunk
from racto.knowledge.database import Database
from racto.knowledge.errors import CorruptError, StorageError, UnknownNameError
from racto.knowledge.library import Library
from racto.knowledge.pages import PageIndexRAG
from racto.knowledge.prompt_store import PromptStore
from racto.knowledge.prompts import RactoPrompt
from racto.knowledge.restoring import restore
from racto.knowledge.salvage import rebuild
from racto.knowledge.stores.sqlite import SQLiteStore

from tests.test_document_versions import Words

SQLITE_PAGE = 4096
ROOTS = 60
"""The first pages hold the schema and the roots of the tables; what hangs on a damaged root is lost."""
COUNT = 40


def text_number(number: int) -> str:
    head = f"# Document {number}\n\nThe word of this one is keyword{number}zebra. "
    return head + f"Filler {number} goes on and on. " * 150


@pytest.fixture(scope="module")
def sound(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """The bytes of a database with documents and prompts in it."""
    path = tmp_path_factory.mktemp("sound") / "racto.db"
    with PageIndexRAG(path=path) as index:
        for number in range(COUNT):
            index.ingest_text(text_number(number), f"doc-{number}.md")
        store = PromptStore(index.database)
        for number in range(5):
            store.save(
                f"prompt-{number}",
                RactoPrompt(
                    role="Editor", aim=f"Edit {number}", constraints=["Be short."], tone="plain", output_format="text"
                ),
            )
    return path.read_bytes()


def kept_texts(path: Path) -> dict[str, str]:
    """The text of every document, by source."""
    with closing(Database(path)) as database, database.reading() as connection:
        kept = [
            document
            for name, _, _ in collections(connection)
            for document in documents(connection, known_collection(connection, name))
        ]
        return {document.source: text_of(read_pages(connection, document)) for document in kept}


def test_a_sound_database_comes_out_as_it_was(tmp_path: Path, sound: bytes) -> None:
    path = tmp_path / "racto.db"
    path.write_bytes(sound)
    before = kept_texts(path)
    salvage = rebuild(path)
    assert len(before) == COUNT
    assert kept_texts(path) == before
    assert (salvage.lost_documents, salvage.lost_pages) == ([], 0)
    assert salvage.saved["documents"] == COUNT
    assert salvage.saved["prompt_versions"] == 5
    assert sorted(item.name for item in tmp_path.iterdir() if not item.name.endswith(("-wal", "-shm"))) == [
        "racto.db",
        salvage.aside.name,
    ]


@pytest.mark.parametrize("seed", range(8))
def test_what_survives_random_damage_is_whole_searchable_and_sound(seed: int, tmp_path: Path, sound: bytes) -> None:
    chance = random.Random(seed)
    original = tmp_path / "original.db"
    original.write_bytes(sound)
    whole = kept_texts(original)
    path = tmp_path / "racto.db"
    damaged = bytearray(sound)
    for page in chance.sample(range(ROOTS, len(sound) // SQLITE_PAGE), 1 + seed):
        damaged[page * SQLITE_PAGE : page * SQLITE_PAGE + 2000] = chance.randbytes(2000)
    path.write_bytes(damaged)
    salvage = rebuild(path)
    assert salvage.aside.read_bytes() == damaged
    check = sqlite3.connect(path)
    assert check.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
    check.close()
    saved = kept_texts(path)
    assert len(saved) >= COUNT // 4
    assert all(whole[source] == text for source, text in saved.items())
    assert not set(saved) & set(salvage.lost_documents)
    with PageIndexRAG(path=path) as index:
        for source in saved:
            word = f"keyword{source.removeprefix('doc-').removesuffix('.md')}zebra"
            assert [result.entry.source for result in index.retrieve(word, 1)] == [source]
        again = index.ingest_text(text_number(0), "doc-0.md")
        assert again


@pytest.mark.parametrize("page", range(1, ROOTS))
def test_a_damaged_root_loses_what_hangs_on_it_and_says_so(page: int, tmp_path: Path, sound: bytes) -> None:
    path = tmp_path / "racto.db"
    damaged = bytearray(sound)
    damaged[page * SQLITE_PAGE : (page + 1) * SQLITE_PAGE] = bytes(SQLITE_PAGE)
    path.write_bytes(damaged)
    salvage = rebuild(path)
    saved = kept_texts(path)
    assert salvage.saved["documents"] == len(saved)
    assert len(saved) + len(salvage.lost_documents) == COUNT or salvage.lost_pages or not saved
    with closing(Database(path)) as database:
        assert len(PromptStore(database).newest()) == salvage.saved["prompt_versions"]


def test_documents_whose_collection_is_lost_get_another(tmp_path: Path, sound: bytes) -> None:
    path = tmp_path / "racto.db"
    path.write_bytes(sound)
    connection = sqlite3.connect(path)
    connection.execute("DELETE FROM collections")
    connection.commit()
    connection.close()
    rebuild(path)
    with PageIndexRAG(path=path, collection="recovered-1") as index:
        assert index.document_count == COUNT
        assert index.retrieve("keyword7zebra", 1)[0].entry.source == "doc-7.md"


def test_a_file_that_is_no_database_leaves_an_empty_one_and_itself_aside(tmp_path: Path) -> None:
    path = tmp_path / "racto.db"
    path.write_bytes(b"no database at all" * 1000)
    with closing(Database(path)) as database, pytest.raises(CorruptError, match="doctor --rebuild"), database.reading():
        pass
    salvage = rebuild(path)
    assert salvage.aside.read_bytes().startswith(b"no database")
    assert kept_texts(path) == {}


def test_what_was_only_in_the_log_of_a_killed_process_is_saved_too(tmp_path: Path, sound: bytes) -> None:
    path = tmp_path / "racto.db"
    path.write_bytes(sound)
    with PageIndexRAG(path=path) as index:
        index.ingest_text("A late text with the word latecomer.", "late.txt")
        copy = tmp_path / "copy" / "racto.db"
        copy.parent.mkdir()
        for part in tmp_path.glob("racto.db*"):  # as a killed process leaves them
            copy.with_name(part.name).write_bytes(part.read_bytes())
    assert copy.with_name("racto.db-wal").stat().st_size > 0
    rebuild(copy)
    with closing(Database(copy)) as rebuilt, rebuilt.reading() as connection:
        collection = collection_named(connection, "default")
        assert collection is not None
        assert find_document(connection, collection, "late.txt").page_count == 1


def test_a_database_in_use_is_not_moved_away(tmp_path: Path, sound: bytes) -> None:
    path = tmp_path / "racto.db"
    path.write_bytes(sound)
    code = "import sys; from racto.knowledge.pages import PageIndexRAG\n"
    code += "with PageIndexRAG(path=sys.argv[1]) as index: print(index.document_count, flush=True); sys.stdin.read()"
    command = [sys.executable, "-c", code, str(path)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as other:
        assert other.stdout is not None
        assert other.stdout.readline() == f"{COUNT}\n"
        with pytest.raises(StorageError, match="Another process"):
            rebuild(path)
        other.communicate("")
    assert rebuild(path).saved["documents"] == COUNT


@pytest.mark.anyio
async def test_chunks_vectors_versions_and_stores_are_saved_too(tmp_path: Path) -> None:
    path = tmp_path / "racto.db"
    with closing(Database(path)) as database:
        library = Library(database, embedder=Words())
        for number in range(COUNT):
            library.ingester.text(text_number(number), f"doc-{number}.md")
        await library.embed()
        library.ingester.text("Another text.", "doc-0.md")  # waits for its vector
        before = [(one.chunk, one.score) for one in await library.search("keyword7zebra", 50)]
        store = SQLiteStore(database=database)
        store.add([Chunk(f"chunk {number}", embedding=[1.0, float(number)]) for number in range(9)])
        stored = [(one.chunk.content, one.score) for one in store.search([1.0, 2.0], 9)]
    saved = rebuild(path).saved
    assert saved["chunks"] > COUNT
    with closing(Database(path)) as database:
        embedder = Words()
        library = Library(database, embedder=embedder)
        assert [(one.chunk, one.score) for one in await library.search("keyword7zebra", 50)] == before
        assert (await library.embed()).done == 1
        assert embedder.texts[1:] == ["Another text."]
        store = SQLiteStore(database=database)
        assert [(one.chunk.content, one.score) for one in store.search([1.0, 2.0], 9)] == stored
        assert [one.source for one in restore(database, "default", "doc-0.md")] == ["doc-0.md"]


@pytest.mark.anyio
async def test_what_damage_took_of_the_vectors_is_embedded_again(tmp_path: Path) -> None:
    path = tmp_path / "racto.db"
    with closing(Database(path)) as database:
        library = Library(database, embedder=Words())
        for number in range(COUNT):
            library.ingester.text(text_number(number), f"doc-{number}.md")
        await library.embed()
        total = library.count()
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("DELETE FROM vectors WHERE id % 3 = 0")
        connection.commit()
    rebuild(path)
    with closing(Database(path)) as database:
        library = Library(database, embedder=Words())
        assert (await library.embed()).done == total  # they were in one block
        assert (await library.search("keyword7zebra", 1, mode="meaning"))[0].chunk.metadata.source.startswith("doc-")


def test_there_is_nothing_to_rebuild_without_a_file(tmp_path: Path) -> None:
    with pytest.raises(UnknownNameError, match="made on first use"):
        rebuild(tmp_path / "racto.db")
    assert list(tmp_path.iterdir()) == []
