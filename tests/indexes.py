"""What the tests of the page index share: a collection to put terms into, and the judged collections."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import pytest
from racto.knowledge.database import Database
from racto.knowledge.postings import IndexedPage, add, remove
from racto.knowledge.ranges import Ranges
from racto.knowledge.ranking import Hit, Searcher

JUDGED = Path(__file__).parents[2] / "shared" / "data" / "retrieval"
COLLECTION = 1


class Index:
    """One collection in a database of its own; pages are given as terms."""

    def __init__(self, database: Database | None = None) -> None:
        self.database = database or Database()
        self.searcher = Searcher()
        with self.database.writing() as connection:
            connection.execute(
                "INSERT OR IGNORE INTO collections (id, name, revision, analyser, created_at) VALUES (?, 'c', 0, '', '')",
                (COLLECTION,),
            )

    def add(self, bodies: Mapping[int, list[str]]) -> None:
        """Add pages that have a body only."""
        self.add_pages(*(IndexedPage(page_id, body) for page_id, body in bodies.items()))

    def add_pages(self, *pages: IndexedPage) -> None:
        """Add whole pages."""
        with self.database.writing() as connection:
            add(connection, COLLECTION, pages)

    def remove(self, bodies: Mapping[int, list[str]]) -> None:
        """Remove pages that have a body only."""
        with self.database.writing() as connection:
            remove(connection, COLLECTION, [IndexedPage(page_id, body) for page_id, body in bodies.items()])

    def search(
        self, *terms: str, limit: int = 10_000, engine: str = "fields", among: list[tuple[int, int]] | None = None
    ) -> list[Hit]:
        """Search with the standard parameters."""
        with self.database.reading() as connection:
            return self.searcher.search(
                connection,
                COLLECTION,
                terms,
                limit=limit,
                engine=engine,
                among=None if among is None else Ranges(among),
            )

    def rows(self) -> list[tuple[object, ...]]:
        """Everything the index keeps."""
        with self.database.reading() as connection:
            return connection.execute("SELECT * FROM postings ORDER BY 1, 2, 3, 4").fetchall()


@dataclass
class Judged:
    """A judged collection: texts by id, and questions."""

    pages: dict[str, str]
    questions: list[str]


def judged(name: str) -> Judged:
    """The judged collection of this name; the test is skipped where the data are not there."""
    if not JUDGED.is_dir():
        pytest.skip(f"the judged collections are not here: {JUDGED}")
    corpus, questions = _json_lines(name, "corpus"), _json_lines(name, "queries")
    return Judged(
        {page["_id"]: f"{page['title']}\n{page['text']}" for page in corpus},
        [question["text"] for question in questions],
    )


def _json_lines(name: str, file: str) -> list[dict[str, str]]:
    with (JUDGED / name / f"{file}.jsonl").open(encoding="utf-8") as lines:
        return [json.loads(line) for line in lines]


def judged_names() -> list[str]:
    """Every collection that has questions; one that stands for all of them where the data are not there."""
    return sorted(path.parent.name for path in JUDGED.glob("*/corpus.jsonl")) or ["none"]
