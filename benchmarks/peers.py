"""The search engines people would use instead, each as its own users would set it up for English text."""

from __future__ import annotations

import re
import sqlite3
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

_WORD = re.compile(r"\w+")


class RankBM25:
    """rank_bm25 with a plain tokeniser: lower-case words."""

    def __init__(self, texts: Sequence[str]) -> None:
        from rank_bm25 import BM25Okapi

        self._engine = BM25Okapi([_WORD.findall(text.lower()) for text in texts])

    def search(self, query: str, limit: int) -> list[int]:
        """Positions of the best texts, best first; those with a score of 0 are no answers."""
        scores = self._engine.get_scores(_WORD.findall(query.lower()))
        return [int(place) for place in (-scores).argsort(kind="stable")[:limit] if scores[place] > 0]


class BM25S:
    """bm25s with its English stop words and an English Snowball stemmer."""

    def __init__(self, texts: Sequence[str]) -> None:
        import bm25s
        import Stemmer

        self._options: dict[str, Any] = {
            "stopwords": "en",
            "stemmer": Stemmer.Stemmer("english"),
            "show_progress": False,
        }
        self._tokenize = bm25s.tokenize
        self._engine = bm25s.BM25()
        self._engine.index(self._tokenize(list(texts), **self._options), show_progress=False)
        self._size = len(texts)

    def search(self, query: str, limit: int) -> list[int]:
        """Positions of the best texts, best first."""
        tokens = self._tokenize([query], **self._options)
        if not tokens.vocab:
            return []
        places, scores = self._engine.retrieve(tokens, k=min(limit, self._size), show_progress=False)
        return [int(place) for place, score in zip(places[0], scores[0], strict=True) if score > 0]


class FTS5:
    """SQLite FTS5 with its porter tokeniser, in a file; any word of the query may match."""

    def __init__(self, texts: Sequence[str]) -> None:
        self._folder = tempfile.TemporaryDirectory()
        self._connection = sqlite3.connect(Path(self._folder.name) / "fts.db", isolation_level=None)
        self._connection.execute("PRAGMA journal_mode=WAL")
        self._connection.execute("CREATE VIRTUAL TABLE pages USING fts5(text, tokenize='porter unicode61')")
        self._connection.execute("BEGIN")
        self._connection.executemany("INSERT INTO pages (text) VALUES (?)", ((text,) for text in texts))
        self._connection.execute("COMMIT")

    def search(self, query: str, limit: int) -> list[int]:
        """Positions of the best texts, best first."""
        words = " OR ".join(f'"{word}"' for word in _WORD.findall(query))
        if not words:
            return []
        rows = self._connection.execute(
            "SELECT rowid FROM pages WHERE pages MATCH ? ORDER BY rank LIMIT ?", (words, limit)
        )
        return [row[0] - 1 for row in rows]

    def add(self, text: str) -> None:
        """One text more, committed."""
        self._connection.execute("INSERT INTO pages (text) VALUES (?)", (text,))


class Tantivy:
    """tantivy with its `en_stem` tokeniser, in files."""

    def __init__(self, texts: Sequence[str]) -> None:
        import tantivy

        builder = tantivy.SchemaBuilder()
        builder.add_text_field("text", tokenizer_name="en_stem")
        builder.add_unsigned_field("place", stored=True)
        self._folder = tempfile.TemporaryDirectory()
        self._document = tantivy.Document
        self._index = tantivy.Index(builder.build(), path=self._folder.name)
        self._writer = self._index.writer()
        for place, text in enumerate(texts):
            self._writer.add_document(tantivy.Document(text=text, place=place))
        self._commit()

    def _commit(self) -> None:
        self._writer.commit()
        self._index.reload()
        self._searcher = self._index.searcher()

    def search(self, query: str, limit: int) -> list[int]:
        """Positions of the best texts, best first."""
        words = " ".join(_WORD.findall(query.lower()))
        try:
            parsed = self._index.parse_query(words, ["text"])
        except ValueError:
            return []  # its tokeniser leaves nothing of some Chinese queries
        hits = self._searcher.search(parsed, limit).hits
        return [self._searcher.doc(address)["place"][0] for _, address in hits]

    def add(self, text: str) -> None:
        """One text more, committed and found by the next search."""
        self._writer.add_document(self._document(text=text, place=10**9))
        self._commit()


PEERS = {"rank_bm25": RankBM25, "bm25s": BM25S, "FTS5 porter": FTS5, "tantivy en_stem": Tantivy}
