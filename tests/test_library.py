"""The library: passages found by words and by meaning, kept true to the documents, whatever happens between."""

from __future__ import annotations

import asyncio
import subprocess
import sys
import threading
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest
from racto.knowledge import chunk_rows, vectors
from racto.knowledge.catalogue import known_collection
from racto.knowledge.chunk_vectors import space_name
from racto.knowledge.chunking.recursive import RecursiveChunker
from racto.knowledge.corpus_embedder import CorpusEmbedder
from racto.knowledge.database import Database
from racto.knowledge.embedding import BaseEmbedder
from racto.knowledge.errors import ConfigError, ConflictError, InputError, RactoGatewayTimeoutError
from racto.knowledge.filters import Filters
from racto.knowledge.library import Library
from racto.knowledge.stores.memory import InMemoryVectorStore

MEANINGS = {
    "money": ("invoice", "refund", "price", "cost", "pays", "money", "salary"),
    "animals": ("cat", "dog", "hamster", "puppy", "kitten", "animals"),
    "weather": ("rain", "snow", "storm", "sunshine", "weather", "hail"),
}


class TopicEmbedder(BaseEmbedder):
    """A small real embedder: how often a text speaks of each of three topics. It knows synonyms, which no index of words does."""

    def __init__(self, name: str = "tests/topics", fails_after: int | None = None) -> None:
        self._name = name
        self._left = fails_after
        self.asked: list[str] = []

    @property
    def name(self) -> str:
        return self._name

    def embed(self, texts: list[str]) -> list[list[float]]:
        if self._left is not None:
            self._left -= 1
            if self._left < 0:
                raise RactoGatewayTimeoutError("The embedder does not answer.", "Try again.")
        self.asked += texts
        return [self._vector(text.lower()) for text in texts]

    def _vector(self, text: str) -> list[float]:
        return [0.05, *(float(sum(text.count(word) for word in words)) for words in MEANINGS.values())]


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Database]:
    kept = Database(tmp_path / "racto.db")
    yield kept
    kept.close()


def filled(database: Database, embedder: BaseEmbedder | None = None, **options: object) -> Library:
    library = Library(database, embedder=embedder, **options)  # type: ignore[arg-type]  # whatever the test wants
    for source, text in {
        "returns.md": "# Returns\n\nA refund is made to the account the invoice names.",
        "pets.md": "# Pets\n\nA kitten sleeps most of the day; a puppy does not.",
        "sky.md": "# Sky\n\nHail is likely when a storm comes from the west.",
    }.items():
        library.ingester.text(text, source, {"year": 2000 + len(source)})
    return library


def found(library: Library, query: str, **options: object) -> list[str]:
    results = asyncio.run(library.search(query, **options))  # type: ignore[arg-type]  # likewise
    return [one.chunk.metadata.source for one in results]


def test_a_passage_is_found_by_its_meaning_where_no_word_of_the_question_stands_in_it(database: Database) -> None:
    library = filled(database, TopicEmbedder())
    assert found(library, "animals") == []
    asyncio.run(library.embed())
    results = asyncio.run(library.search("animals", 1))
    assert results[0].chunk.metadata.source == "pets.md"
    assert results[0].why.startswith("meaning")
    assert not results.notes


def test_a_result_is_exactly_what_stands_in_the_document(database: Database) -> None:
    library = filled(database)
    one = asyncio.run(library.search("storm from the west", 1))[0]
    about = one.chunk.metadata
    text = "# Sky\n\nHail is likely when a storm comes from the west."
    assert text[about.start_char : about.end_char] == one.chunk.content
    assert (about.heading_path, one.rank, about.extra) == (("Sky",), 1, {"year": 2006})
    assert one.matched_terms == ["storm", "west"]
    assert one.why == "words: storm, west"


def test_words_are_found_before_there_are_vectors_and_a_note_says_what_is_missing(database: Database) -> None:
    library = filled(database, TopicEmbedder())
    results = asyncio.run(library.search("kitten"))
    assert [one.chunk.metadata.source for one in results] == ["pets.md"]
    assert "Only words were searched" in results.notes[0]
    asyncio.run(library.embed())
    library.ingester.text("# New\n\nThe hamster is new here.", "new.md")
    results = asyncio.run(library.search("hamster"))
    assert results[0].chunk.metadata.source == "new.md"
    assert "1 passage of default has no vector yet" in results.notes[0]


def test_a_document_that_did_not_change_is_not_embedded_again_and_of_one_that_did_only_what_is_new(
    database: Database,
) -> None:
    embedder = TopicEmbedder()
    library = Library(database, embedder=embedder, chunker=RecursiveChunker(80, 0))
    first = "The price of the kitten is high.\n\n" + "It rains a lot in this text, and the storm goes on for days here."
    library.ingester.text(first, "a")
    asyncio.run(library.embed())
    assert len(embedder.asked) == 2
    library.ingester.text(first, "a")
    library.ingester.text(first.replace("price", "salary"), "a")
    done = asyncio.run(library.embed())
    assert (done.done, done.left) == (1, 0)
    assert [text.split(".")[0] for text in embedder.asked[2:]] == ["The salary of the kitten is high"]
    assert library.count() == 2


def test_what_is_removed_is_found_neither_by_words_nor_by_meaning_and_its_vectors_go(database: Database) -> None:
    library = filled(database, TopicEmbedder())
    asyncio.run(library.embed())
    library.clear()
    assert found(library, "animals kitten") == []
    with database.reading() as connection:
        collection = known_collection(connection, "default")
        assert vectors.space_named(connection, space_name(collection)) is None
        assert connection.execute("SELECT count(*) FROM vectors").fetchone() == (0,)
        assert connection.execute("SELECT count(*) FROM chunks").fetchone() == (0,)
        assert chunk_rows.waiting_count(connection, collection.id) == 0


def test_vectors_of_another_embedder_are_refused_until_everything_is_embedded_again(database: Database) -> None:
    asyncio.run(filled(database, TopicEmbedder()).embed())
    other = Library(database, embedder=TopicEmbedder("tests/other"))
    with pytest.raises(ConflictError, match="tests/topics"):
        asyncio.run(other.embed())
    with pytest.raises(ConflictError, match="tests/topics"):
        asyncio.run(other.search("animals", mode="meaning"))
    results = asyncio.run(other.search("kitten"))
    assert [one.chunk.metadata.source for one in results] == ["pets.md"]
    assert "tests/topics" in results.notes[0]
    other.forget_vectors()
    assert asyncio.run(other.embed()).done == 3
    assert found(other, "animals", top_k=1) == ["pets.md"]


def test_an_embedder_that_fails_loses_nothing_and_the_next_try_goes_on(database: Database) -> None:
    library = Library(database, embedder=TopicEmbedder(fails_after=1), chunker=RecursiveChunker(40, 0))
    library.ingester.text("\n\n".join(f"The cat number {number} and the rain." for number in range(300)), "many")
    with pytest.raises(RactoGatewayTimeoutError):
        asyncio.run(library.embed())
    again = Library(database, embedder=TopicEmbedder())
    told: list[tuple[int, int]] = []
    done = asyncio.run(again.embed(lambda at, total: told.append((at, total))))
    assert done.left == 0
    assert 0 < done.done < 300
    assert told[-1] == (done.done, done.done)


def test_an_embedding_job_stops_when_it_is_told_to_and_keeps_what_it_did(database: Database) -> None:
    library = Library(database, embedder=TopicEmbedder(), chunker=RecursiveChunker(40, 0))
    library.ingester.text("\n\n".join(f"The cat number {number} and the rain." for number in range(400)), "many")
    stop = threading.Event()

    def tell(at: int, total: int) -> None:
        if at:
            stop.set()

    done = asyncio.run(library.embed(tell, stop))
    assert done.done + done.left == library.count()
    assert done.left > 0
    assert asyncio.run(library.embed()).left == 0


def test_filters_shut_out_documents_pages_and_chunks_in_both_rankings(database: Database) -> None:
    library = filled(database, TopicEmbedder())
    asyncio.run(library.embed())
    query = "refund kitten storm"
    assert set(found(library, query)) == {"returns.md", "pets.md", "sky.md"}
    assert found(library, query, filters={"year": {"lt": 2007}}) == ["sky.md"]
    assert set(found(library, query, filters={"not": {"source": "sky.md"}})) == {"returns.md", "pets.md"}
    assert found(library, query, among=Filters(source="pets.md")) == ["pets.md"]
    assert found(library, query, filters={"page": 1}) == []
    assert len(found(library, query, filters={"chunk_index": 0})) == 3
    assert found(library, query, filters={"chunk_index": {"gt": 0}}) == []
    with pytest.raises(InputError, match="between"):
        found(library, query, filters={"year": {"between": [1, 2]}})


def test_neighbours_and_the_section_of_a_passage_can_be_had(database: Database) -> None:
    library = Library(database, chunker=RecursiveChunker(60, 0))
    text = "# One\n\nAlpha stands first here.\n\nBeta comes after it now.\n\n# Two\n\nGamma is elsewhere entirely.\n\nDelta ends it all."
    library.ingester.text(text, "greek")
    one = asyncio.run(library.search("beta", 1))[0].chunk
    around = library.around(one, 1)
    assert [chunk.metadata.chunk_index for chunk in around] == [0, 1, 2][: len(around)]
    section = library.around(one, section=True)
    assert {chunk.metadata.heading_path for chunk in section} == {("One",)}
    assert "Alpha" in section[0].content
    assert "Gamma" not in "".join(chunk.content for chunk in section)


def test_a_passage_that_stands_in_two_documents_is_shown_once(database: Database) -> None:
    library = Library(database)
    text = "The retention period for backups is ninety days, after which they are destroyed without further notice."
    library.ingester.text(text, "policy-2023")
    library.ingester.text(text + " Always.", "policy-2024")
    assert len(found(library, "retention period of backups")) == 1


def test_a_store_that_is_not_the_database_is_searched_filled_and_emptied(database: Database) -> None:
    store = InMemoryVectorStore()
    library = filled(database, TopicEmbedder(), store=store)
    asyncio.run(library.embed())
    assert store.count() == 3
    assert found(library, "animals", top_k=1) == ["pets.md"]
    library.ingester.text("# Pets\n\nA dog.", "pets.md")
    asyncio.run(library.embed())
    assert store.count() == 3
    library.clear()
    assert store.count() == 0


def test_the_built_in_embedder_learns_from_the_documents_and_again_when_they_have_grown(tmp_path: Path) -> None:
    database = Database(tmp_path / "racto.db")
    library = Library(database, embedder=CorpusEmbedder(database, "default"))
    library.ingester.text("Alone.", "one")
    with pytest.raises(ConflictError, match="too little text"):
        asyncio.run(library.embed())
    for number in range(4):
        library.ingester.text(f"The doctor treats the patient in the hospital, case {number}.", f"medical {number}")
        library.ingester.text(f"The judge hears the witness in the court, case {number}.", f"legal {number}")
    library.ingester.text("A physician treats somebody in the hospital.", "synonym")
    asyncio.run(library.embed())
    assert library.embedder is not None
    first = library.embedder.name
    assert first.startswith("built-in/lsa-")
    found = asyncio.run(library.search("patient", 5, mode="meaning"))
    assert {one.chunk.metadata.source.split()[0] for one in found} == {"medical", "synonym"}
    for number in range(12):
        library.ingester.text(f"The cook salts the soup in the kitchen, dish {number}.", f"kitchen {number}")
    done = asyncio.run(library.embed())
    assert library.embedder.name != first
    assert (done.done, done.left) == (library.count(), 0)
    again = Library(Database(database.path), embedder=CorpusEmbedder(database, "default"))
    assert again.embedder is not None
    assert again.embedder.name == library.embedder.name
    assert asyncio.run(again.search("kitchen", mode="meaning"))
    again.database.close()
    database.close()


def test_meaning_alone_needs_an_embedder(database: Database) -> None:
    library = filled(database)
    with pytest.raises(ConfigError, match="no embedder"):
        asyncio.run(library.search("kitten", mode="meaning"))
    with pytest.raises(InputError, match="words"):
        asyncio.run(library.search("kitten", mode="word"))  # type: ignore[arg-type]  # what a caller may mistype
    with pytest.raises(ConfigError, match="reranker"):
        asyncio.run(library.search("kitten", rerank=True))


def test_a_reranker_has_the_last_word(database: Database) -> None:
    class ByLength:
        async def arerank(self, query: str, texts: Sequence[str]) -> list[float]:
            return [-float(len(text)) for text in texts]

    library = filled(database, reranker=ByLength())
    results = asyncio.run(library.search("refund kitten storm", 2, rerank=True))
    lengths = [len(one.chunk.content) for one in results]
    assert lengths == sorted(lengths)
    assert [one.rank for one in results] == [1, 2]


KILLED = """
import asyncio, os, signal, sys, threading
sys.path.insert(0, sys.argv[2])
from test_library import TopicEmbedder
from racto.knowledge.chunking.recursive import RecursiveChunker
from racto.knowledge.corpus_embedder import CorpusEmbedder
from racto.knowledge.database import Database
from racto.knowledge.library import Library

library = Library(Database(sys.argv[1]), embedder=TopicEmbedder(), chunker=RecursiveChunker(40, 0))
library.ingester.text("\\n\\n".join(f"The cat number {number} and the rain." for number in range(600)), "many")
asyncio.run(library.embed(lambda at, total: os.kill(os.getpid(), signal.SIGKILL) if at >= int(sys.argv[3]) else None))
"""


@pytest.mark.skipif(sys.platform == "win32", reason="needs SIGKILL")
@pytest.mark.parametrize("at", [1, 300])
def test_a_killed_embedding_keeps_every_vector_that_was_told_and_goes_on(tmp_path: Path, at: int) -> None:
    path = tmp_path / "racto.db"
    child = subprocess.run(
        [sys.executable, "-c", KILLED, str(path), str(Path(__file__).parent), str(at)], capture_output=True, check=False
    )
    assert child.returncode == -9, child.stderr.decode()
    database = Database(path)
    embedder = TopicEmbedder()
    library = Library(database, embedder=embedder, chunker=RecursiveChunker(40, 0))
    total = library.count()
    done = asyncio.run(library.embed())
    assert done.left == 0
    assert done.done <= total - at
    with database.reading() as connection:
        collection = known_collection(connection, "default")
        space = vectors.space_named(connection, space_name(collection))
        assert space is not None
        assert vectors.count(connection, space) == total
    database.close()
