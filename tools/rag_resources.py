"""Passages as resources: what a search cited can be read, and attached, by its address."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from ..agents.offers import ResourceEntry
from ..knowledge.database import Database
from ..knowledge.errors import InputError, UnknownNameError


class KeptPassages:
    """Every passage of every document under `racto://passages/{collection}/{document}/{passage}`; there are too many to list."""

    template = "racto://passages/{collection}/{document}/{passage}"
    name = "Passages"
    description = "A passage of an indexed document, as rag_search cites it: by document id or name, and the number of the passage."
    mime_type = "text/plain"

    def __init__(self, database: Database) -> None:
        self._database = database

    def entries(self) -> Iterator[ResourceEntry]:
        """None: documents are listed, their passages found."""
        return iter(())

    def read(self, variables: Mapping[str, str]) -> list[str | bytes]:
        """The text of a passage.

        :raises UnknownNameError: there is none of that number.
        """
        from ..knowledge import catalogue, chunk_rows  # not needed before the first client asks

        if not variables["passage"].isdecimal():
            raise InputError(f"{variables['passage']!r} is not the number of a passage.", "The first is 0.")
        number = int(variables["passage"])
        with self._database.reading() as connection:
            collection = catalogue.known_collection(connection, variables["collection"])
            document = catalogue.find_document(connection, collection, variables["document"])
            found = chunk_rows.of_document(connection, document.doc_id, number, number)
        if not found:
            raise UnknownNameError(f"{document.name} has no passage {number}.", "rag_search gives those it has.")
        return [found[0].chunk.content]

    def complete(self, variable: str, prefix: str) -> list[str]:
        """Names of collections, and ids of documents whose id or name starts with `prefix`."""
        from ..knowledge import catalogue

        with self._database.reading() as connection:
            if variable == "collection":
                return [name for name, _, _ in catalogue.collections(connection) if name.startswith(prefix)]
            return catalogue.documents_starting(connection, prefix) if variable == "document" else []
