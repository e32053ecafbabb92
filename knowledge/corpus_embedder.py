"""The built-in embedder of a collection: latent semantic analysis that learns from its own chunks, kept beside them."""

from __future__ import annotations

from collections.abc import Iterator

from . import chunk_rows
from .catalogue import all_pages, collection_named
from .database import Database
from .embedding import BaseEmbedder
from .errors import ConflictError, CorruptError, InputError
from .lsa import WEIGHT, LsaEmbedder, LsaModel

NAME = "built-in/lsa"
"""What a setting calls it."""


class CorpusEmbedder(BaseEmbedder):
    """Vectors without a model, a key or a network: what a collection itself says about which words go together.

    It learns when the collection is first embedded, and again when that has grown by half; in between, what is new is folded in.
    """

    def __init__(self, database: Database, collection: str) -> None:
        self._database = database
        self._collection = collection
        self._known: tuple[bytes, LsaEmbedder] | None = None

    @property
    def name(self) -> str:
        """That of what it learnt; `built-in/lsa` as long as it learnt nothing."""
        learnt = self._learnt()
        return learnt.name if learnt else NAME

    @property
    def trust(self) -> float:
        """Less than a language model's."""
        return WEIGHT

    def refresh(self) -> bool:
        """Learn from the chunks there are, when that is due."""
        learnt = self._learnt()
        with self._database.reading() as connection:
            collection = collection_named(connection, self._collection)
            chunks = chunk_rows.count(connection, collection.id) if collection else 0
        if collection is None or (collection.embedder and not collection.embedder.startswith(NAME)):
            return False  # another embedder's vectors go only when somebody says so
        if not chunks or (learnt is not None and not learnt.model.outgrown(chunks)):
            # Killed after it learnt, it left vectors of what it knew before.
            return learnt is not None and collection.embedder not in ("", learnt.name)
        try:
            taught = LsaEmbedder.train(self._texts(collection.id))
        except InputError:
            return False  # too little text: it is tried again when there is more
        with self._database.writing() as connection:
            connection.execute(
                "INSERT OR REPLACE INTO corpus_models SELECT id, ? FROM collections WHERE id = ?",
                (taught.model.to_bytes(), collection.id),
            )
        return True

    def embed(self, texts: list[str]) -> list[list[float]]:
        """One vector of length 1 for each text.

        :raises ConflictError: there was too little text to learn from.
        """
        return self._taught().embed(texts)

    async def aembed_query(self, text: str) -> list[float]:
        """The vector of a question: of its telling words."""
        return await self._taught().aembed_query(text)

    def _taught(self) -> LsaEmbedder:
        learnt = self._learnt()
        if learnt is None:
            raise ConflictError(
                f"{self._collection} holds too little text to learn from.", "It is tried again when there is more."
            )
        return learnt

    def _learnt(self) -> LsaEmbedder | None:
        """What is kept, read again only when it is another."""
        with self._database.reading() as connection:
            row = connection.execute(
                "SELECT data FROM corpus_models JOIN collections ON collections.id = collection_id WHERE name = ?",
                (self._collection,),
            ).fetchone()
        if row is None:
            return None
        if self._known is None or self._known[0] != row[0]:
            try:
                self._known = row[0], LsaEmbedder(LsaModel.from_bytes(row[0]))
            except CorruptError:
                return None  # or of another version: it learns anew
        return self._known[1]

    def _texts(self, collection_id: int) -> Iterator[str]:
        with self._database.reading() as connection:
            for first, last in all_pages(connection, collection_id):
                found = connection.execute(
                    "SELECT content FROM chunks WHERE id BETWEEN ? AND ? ORDER BY id", chunk_rows.rows_on(first, last)
                )
                yield from (row[0] for row in found)
