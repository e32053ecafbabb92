"""What was replaced or removed comes back exactly, for a while; and never costs more than it is worth."""

from __future__ import annotations

import hashlib
import sqlite3
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from racto.knowledge import catalogue, chunk_rows, history, indexing
from racto.knowledge.chunking import default_chunker
from racto.knowledge.database import Database
from racto.knowledge.embedding import BaseEmbedder
from racto.knowledge.errors import InputError, NoTextError, UnknownNameError
from racto.knowledge.folder import ingest_folder
from racto.knowledge.history import FormerVersion
from racto.knowledge.ingest import Ingester
from racto.knowledge.library import Library
from racto.knowledge.pages import PageIndexRAG
from racto.knowledge.restoring import restore

FIRST = "# Lanterns\n\nA lantern costs 12 coins.\n\n## Care\n\n" + "Wipe the glass with a dry cloth. " * 60
SECOND = "# Lanterns\n\nA lantern costs 15 coins now."


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Database]:
    made = Database(tmp_path / "racto.db")
    yield made
    made.close()


@pytest.fixture
def ingester(database: Database) -> Ingester:
    return Ingester(database, chunker=default_chunker())


def _everything(database: Database) -> list[Any]:
    """All that a reader can see of the collection, whatever rows it is in."""
    with database.reading() as connection:
        found = catalogue.collection_named(connection, "default")
        return [
            (
                (
                    one.doc_id,
                    one.source,
                    one.name,
                    one.type,
                    one.language,
                    one.state,
                    one.sha256,
                    one.char_count,
                    one.metadata,
                    one.notes,
                ),
                catalogue.outline(connection, one),
                list(catalogue.read_pages(connection, one)),
                [kept.chunk for kept in chunk_rows.of_document(connection, one.doc_id)],
                [*chunk_rows.digests(connection, one.first_page, one.first_page + one.page_count - 1).values()],
            )
            for one in (catalogue.documents(connection, found) if found else [])
        ]


def _found(database: Database, query: str) -> list[tuple[str, float]]:
    index = PageIndexRAG(database=database)
    return [(one.entry.entry_id, one.score) for one in index.retrieve(query)]


def _history(database: Database, source: str | None = None) -> list[FormerVersion]:
    with database.reading() as connection:
        return history.history(connection, "default", source)


def _change(database: Database, change: Callable[[sqlite3.Connection, catalogue.Collection], int]) -> int:
    with database.writing() as connection:
        return change(connection, catalogue.known_collection(connection, "default"))


def _remove(database: Database, *sources: str) -> int:
    def change(connection: sqlite3.Connection, found: catalogue.Collection) -> int:
        kept = [catalogue.document_at(connection, found, source) for source in sources]
        return indexing.remove(connection, found, [one for one in kept if one])

    return _change(database, change)


def test_a_removed_document_comes_back_exactly(database: Database, ingester: Ingester) -> None:
    ingester.text(FIRST, "prices", {"year": 2020, "tags": ["glass", "ä"]})
    ingester.text("A meadow by the river.", "meadow")
    before, ranked = _everything(database), _found(database, "lantern glass river")
    assert _remove(database, "prices") == 1
    assert [one[0][1] for one in _everything(database)] == ["meadow"]
    (told,) = _history(database)
    assert (told.source, told.version, told.reason, told.char_count) == ("prices", 1, "removed", len(FIRST))
    assert [one.source for one in restore(database, "default", "prices")] == ["prices"]
    assert _everything(database) == before
    assert _found(database, "lantern glass river") == ranked
    assert _history(database) == []


def test_a_replaced_document_comes_back_and_the_newer_one_is_kept_in_turn(
    database: Database, ingester: Ingester
) -> None:
    ingester.text(FIRST, "prices", {"year": 2020})
    before = _everything(database)
    ingester.text(SECOND, "prices", {"year": 2021, "new": True})
    after = _everything(database)
    (told,) = _history(database, "prices")
    assert told.reason == "replaced"
    restore(database, "default", told.doc_id)
    assert _everything(database) == before
    assert [one.char_count for one in _history(database)] == [len(SECOND)]
    restore(database, "default", "prices")
    assert _everything(database) == after


def test_a_chosen_version_comes_back(database: Database, ingester: Ingester) -> None:
    for number in range(4):
        ingester.text(f"Edition {number} of the almanac.", "almanac")
    assert [one.version for one in _history(database)] == [3, 2, 1]
    restore(database, "default", "almanac", 2)
    assert _everything(database)[0][2][0].content == "Edition 1 of the almanac."
    with pytest.raises(UnknownNameError, match="version named '9'"):
        restore(database, "default", "almanac", 9)


def test_the_last_five_versions_are_kept(database: Database, ingester: Ingester) -> None:
    for number in range(9):
        ingester.text(f"Edition {number}.", "almanac")
        ingester.text(f"Note {number // 5}.", "note")
    assert [one.version for one in _history(database, "almanac")] == [8, 7, 6, 5, 4]
    assert [one.version for one in _history(database, "note")] == [1]


def test_versions_are_thrown_away_after_thirty_days_and_when_they_are_too_much(
    database: Database, ingester: Ingester, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = time.time_ns()
    for age, source in ((31, "old"), (29, "young")):
        monkeypatch.setattr(time, "time_ns", lambda age=age: now - age * 86_400 * 10**9)
        ingester.text(FIRST, source)
        _remove(database, source)
    assert [one.source for one in _history(database)] == ["young", "old"]
    monkeypatch.setattr(time, "time_ns", lambda: now)
    ingester.text(FIRST, "new")
    _remove(database, "new")
    assert [one.source for one in _history(database)] == ["new", "young"]
    monkeypatch.setattr(history, "MOST_BYTES", 1500)  # there is room for one of them
    ingester.text(FIRST, "newest")
    _remove(database, "newest")
    assert [one.source for one in _history(database)] == ["newest"]


def test_the_same_text_read_again_is_no_version(database: Database, tmp_path: Path) -> None:
    folder = tmp_path / "documents"
    folder.mkdir()
    (folder / "a.md").write_text(FIRST)
    ingest_folder(Ingester(database), folder)
    ingest_folder(Ingester(database, chunker=default_chunker()), folder)  # another recipe
    (folder / "a.md").rename(folder / "b.md")
    ingest_folder(Ingester(database, chunker=default_chunker()), folder, prune=True)
    assert _history(database) == []


def test_everything_the_last_removal_took_comes_back_at_once(database: Database, ingester: Ingester) -> None:
    for number in range(7):
        ingester.text(f"Document {number} about granite.", f"text {number}")
    _remove(database, "text 0")
    before = _everything(database)
    assert _change(database, indexing.drop) == 6
    with database.reading() as connection:
        assert catalogue.collection_named(connection, "default") is None
    assert len(restore(database, "default")) == 6
    assert _everything(database) == before
    assert [one.source for one in restore(database, "default")] == ["text 0"]
    with pytest.raises(InputError, match="Nothing that was removed"):
        restore(database, "default")


def test_a_pruned_folder_comes_back(database: Database, ingester: Ingester, tmp_path: Path) -> None:
    folder = tmp_path / "documents"
    folder.mkdir()
    for number in range(5):
        (folder / f"{number}.txt").write_text(f"file {number}")
    ingest_folder(ingester, folder)
    before = _everything(database)
    for path in folder.iterdir():
        path.unlink()
    assert len(ingest_folder(ingester, folder, prune=True).removed) == 5
    assert len(restore(database, "default")) == 5
    assert _everything(database) == before


def test_what_is_too_large_is_removed_all_the_same_and_said_to_be_gone(
    database: Database, ingester: Ingester, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(history, "MOST_CHARACTERS", len(FIRST) + 10)
    ingester.text(FIRST, "a")
    ingester.text(FIRST + "!", "b")
    assert _change(database, indexing.remove_all) == 0
    assert _history(database) == []
    assert _everything(database) == []
    ingester.text(FIRST, "a")
    assert _change(database, indexing.remove_all) == 1


def test_the_trash_is_emptied_for_good(database: Database, ingester: Ingester) -> None:
    for source in ("a", "b", "c"):
        ingester.text(f"{FIRST} of {source}", source)
    _remove(database, "a", "b", "c")
    doc_id = _history(database, "b")[0].doc_id
    with database.writing() as connection:
        assert history.empty(connection, "other") == 0
        assert history.empty(connection, "default", "a") == 1
        assert history.empty(connection, "default", doc_id) == 1
        assert history.empty(connection) == 1
    with pytest.raises(UnknownNameError, match="former version of"):
        restore(database, "default", "a")


def test_a_change_that_fails_leaves_no_version(database: Database, ingester: Ingester) -> None:
    ingester.text(FIRST, "prices")
    before = _everything(database)

    def fail(connection: sqlite3.Connection, found: catalogue.Collection) -> int:
        indexing.remove_all(connection, found)
        raise InterruptedError

    with pytest.raises(InterruptedError):
        _change(database, fail)
    assert _history(database) == []
    assert _everything(database) == before


class Words(BaseEmbedder):
    """Each word is a direction."""

    def __init__(self) -> None:
        self.texts: list[str] = []

    @property
    def name(self) -> str:
        return "tests/words"

    def embed(self, texts: list[str]) -> list[list[float]]:
        self.texts += texts
        vectors = []
        for text in texts:
            vector = [0.01] * 32
            for word in text.lower().split():
                vector[hashlib.sha256(word.encode()).digest()[0] % 32] += 1
            vectors.append(vector)
        return vectors


@pytest.mark.anyio
async def test_a_restored_document_is_searched_by_words_at_once_and_by_meaning_when_it_is_embedded(
    database: Database,
) -> None:
    embedder = Words()
    library = Library(database, embedder=embedder)
    library.ingester.text(FIRST, "prices")
    library.ingester.text("A meadow by the river.", "meadow")
    await library.embed()
    before = [(one.chunk, one.score) for one in await library.search("what does a lantern cost", mode="meaning")]
    _remove(database, "prices")
    restore(database, "default", "prices")
    assert [one.chunk.metadata.source for one in await library.search("lantern", mode="words")][:1] == ["prices"]
    assert (await library.embed()).left == 0
    after = [(one.chunk, one.score) for one in await library.search("what does a lantern cost", mode="meaning")]
    assert after == before
    embedder.texts.clear()
    library.ingester.text(FIRST + "\n\nOne more paragraph.", "prices")
    restore(database, "default", "prices")
    await library.embed()
    assert len(embedder.texts) <= 1  # what did not change kept its vector


TEXT = st.text(st.characters(codec="utf-8"), min_size=1, max_size=300).filter(str.strip)


@settings(max_examples=15, deadline=None)
@given(st.lists(st.tuples(st.sampled_from("ab"), TEXT | st.none()), min_size=1, max_size=6))
def test_any_change_is_undone_by_restoring(changes: list[tuple[str, str | None]]) -> None:
    database = Database()
    ingester = Ingester(database, chunker=default_chunker())
    ingester.text("The first text.", "a")
    for source, text in changes:
        before = _everything(database)
        if text is None:
            _remove(database, source)
        else:
            with suppress(NoTextError):
                ingester.text(text, source)
        after = _everything(database)
        if after != before and source in [one[0][1] for one in before]:
            restore(database, "default", source)
            assert _everything(database) == before
            _remove(database, source) if text is None else restore(database, "default", source)
            assert _everything(database) == after
    database.close()
