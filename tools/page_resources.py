"""Indexed documents as resources: what a client can list, read and attach without calling a tool."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping

from ..agents.offers import Changed, ResourceEntry
from ..knowledge.database import Database


class KeptPages:
    """Every indexed document as a resource: its text under `racto://pages/{collection}/{document}`."""

    template = "racto://pages/{collection}/{document}"
    name = "Indexed documents"
    description = "The text of an indexed document, by its id or name."
    mime_type = "text/plain"

    def __init__(self, database: Database) -> None:
        self._database = database
        self._watchers: list[Changed] = []

    def entries(self) -> Iterator[ResourceEntry]:
        """Every document of every collection."""
        from ..knowledge import catalogue  # not needed before the first client asks

        with self._database.reading() as connection:
            names = [name for name, _, _ in catalogue.collections(connection)]
        for name in names:
            with self._database.reading() as connection:
                collection = catalogue.collection_named(connection, name)
                kept = catalogue.documents(connection, collection) if collection else []
            for one in kept:
                uri = f"racto://pages/{name}/{one.doc_id}"
                about = f"{one.page_count} pages of {name}"
                yield ResourceEntry(uri, one.name, about, "text/plain", modified=one.modified)

    def read(self, variables: Mapping[str, str]) -> list[str | bytes]:
        """The text of a document."""
        from ..knowledge import catalogue

        with self._database.reading() as connection:
            collection = catalogue.known_collection(connection, variables["collection"])
            document = catalogue.find_document(connection, collection, variables["document"])
            return [catalogue.text_of(catalogue.read_pages(connection, document))]

    def complete(self, variable: str, prefix: str) -> list[str]:
        """Names of collections, and ids of documents whose id or name starts with `prefix`."""
        from ..knowledge import catalogue

        with self._database.reading() as connection:
            if variable == "collection":
                return [name for name, _, _ in catalogue.collections(connection) if name.startswith(prefix)]
            return catalogue.documents_starting(connection, prefix)

    def subscribe(self, changed: Changed) -> Callable[[], None]:
        """Call `changed` when documents came or went."""
        self._watchers.append(changed)
        return lambda: self._watchers.remove(changed)

    def changed(self) -> None:
        """Tell who watches."""
        for watcher in tuple(self._watchers):
            watcher()
