"""The steps of `migrations.py` that make the tables of the library: documents, pages, chunks, vectors, and what is kept of them."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import sqlite_utils


def documents_and_pages(db: sqlite_utils.Database) -> None:
    """Collections, their documents, the pages of those, and the inverted index of the pages."""
    # Ids are never used again (AUTOINCREMENT): a stale id in a cache or cursor must not name another collection or page.
    db.execute(
        """CREATE TABLE collections (
            id INTEGER PRIMARY KEY AUTOINCREMENT,
            name TEXT NOT NULL UNIQUE,
            revision INTEGER NOT NULL DEFAULT 0,
            analyser TEXT NOT NULL,
            created_at TEXT NOT NULL
        )"""
    )
    # A document of unknown size is a text that was given, not a file. Its pages are `first_page` and those that follow it.
    db.table("documents").create(
        {
            "id": int,
            "doc_id": str,
            "collection_id": int,
            "source": str,
            "name": str,
            "type": str,
            "language": str,
            "size": int,
            "modified_ns": int,
            "read_ns": int,
            "sha256": str,
            "recipe": str,
            "first_page": int,
            "page_count": int,
            "char_count": int,
            "metadata": str,
            "notes": str,
            "outline": str,  # last: it may be long, and few need it
        },
        pk="id",
        not_null={
            "doc_id", "collection_id", "source", "name", "type", "language", "modified_ns", "read_ns", "sha256", "recipe",
            "first_page", "page_count", "char_count", "metadata", "outline", "notes",
        },
        foreign_keys=[("collection_id", "collections", "id")],
    )  # fmt: skip
    db.table("documents").create_index(["collection_id", "source"], unique=True)
    db.table("documents").create_index(["doc_id"], unique=True)
    db.table("documents").create_index(["collection_id", "sha256"])
    db.table("documents").create_index(["collection_id", "language", "page_count"])  # counting, without the rows
    db.execute(
        """CREATE TABLE pages (
            id INTEGER PRIMARY KEY AUTOINCREMENT,
            document_id INTEGER NOT NULL,
            number INTEGER,
            start_char INTEGER NOT NULL,
            end_char INTEGER NOT NULL,
            section_title TEXT,
            heading_path TEXT NOT NULL,
            keywords TEXT NOT NULL,
            content TEXT NOT NULL
        )"""
    )
    # Files that gave no document, so that an unchanged one is not read again only to fail again.
    db.table("rejects").create(
        {
            "collection_id": int,
            "source": str,
            "size": int,
            "modified_ns": int,
            "read_ns": int,
            "recipe": str,
            "code": str,
            "reason": str,
        },
        pk=("collection_id", "source"),
        not_null={"size", "modified_ns", "read_ns", "recipe", "code", "reason"},
        foreign_keys=[("collection_id", "collections", "id")],
    )
    # Packed by knowledge/postings.py: which pages hold a term, and how often.
    db.execute(
        """CREATE TABLE postings (
            collection_id INTEGER NOT NULL,
            block INTEGER NOT NULL,
            term TEXT NOT NULL,
            field INTEGER NOT NULL,
            data BLOB NOT NULL,
            PRIMARY KEY (collection_id, block, term, field)
        ) WITHOUT ROWID"""
    )


def chunks(db: sqlite_utils.Database) -> None:
    """Chunks of documents, and which of them wait for a vector."""
    # An id is `page id << 16 | place on the page`; knowledge/chunk_rows.py.
    db.execute(
        """CREATE TABLE chunks (
            id INTEGER PRIMARY KEY,
            chunk_index INTEGER NOT NULL,
            start_char INTEGER NOT NULL,
            end_char INTEGER NOT NULL,
            heading_path TEXT NOT NULL,
            content TEXT NOT NULL,
            digest BLOB NOT NULL
        )"""
    )
    db.execute(
        """CREATE TABLE chunks_waiting (
            collection_id INTEGER NOT NULL,
            id INTEGER NOT NULL,
            PRIMARY KEY (collection_id, id)
        ) WITHOUT ROWID"""
    )
    # What must still be taken out of a vector store that is not this file.
    db.execute(
        """CREATE TABLE chunks_leaving (
            collection_id INTEGER NOT NULL,
            chunk_id TEXT NOT NULL,
            PRIMARY KEY (collection_id, chunk_id)
        ) WITHOUT ROWID"""
    )
    # Who made the vectors of a collection, and which store has them; both empty before there are any.
    db.execute("ALTER TABLE collections ADD COLUMN embedder TEXT NOT NULL DEFAULT ''")
    db.execute("ALTER TABLE collections ADD COLUMN store TEXT NOT NULL DEFAULT ''")


def vectors(db: sqlite_utils.Database) -> None:
    """Vectors in named spaces, and the chunks of those spaces that are vector stores of their own."""
    # Packed by knowledge/vectors.py. A revision is another number after every change, not a larger one. Rows of `vectors` are `space id << 40 | serial`, and a serial is never used again.
    db.execute(
        """CREATE TABLE vector_spaces (
            id INTEGER PRIMARY KEY AUTOINCREMENT,
            name TEXT NOT NULL UNIQUE,
            label TEXT NOT NULL,
            dimension INTEGER NOT NULL,
            revision INTEGER NOT NULL DEFAULT 0,
            next_serial INTEGER NOT NULL DEFAULT 0,
            vector_count INTEGER NOT NULL DEFAULT 0,
            centre BLOB
        )"""
    )
    db.execute("CREATE TABLE vectors (id INTEGER PRIMARY KEY, data BLOB NOT NULL)")
    db.execute(
        """CREATE TABLE vector_blocks (
            id INTEGER PRIMARY KEY,
            space_id INTEGER NOT NULL,
            first INTEGER NOT NULL,
            revision INTEGER NOT NULL,
            ids BLOB NOT NULL,
            serials BLOB NOT NULL,
            codes BLOB NOT NULL
        )"""
    )
    # What changed is read from this index alone.
    db.execute("CREATE UNIQUE INDEX vector_blocks_of ON vector_blocks (space_id, first, revision)")
    db.execute(
        """CREATE TABLE stored_chunks (
            id INTEGER PRIMARY KEY AUTOINCREMENT,
            space_id INTEGER NOT NULL,
            chunk_id TEXT NOT NULL,
            source TEXT NOT NULL,
            page INTEGER,
            doc_id TEXT NOT NULL,
            chunk_index INTEGER NOT NULL,
            metadata TEXT NOT NULL,
            place TEXT NOT NULL,
            content BLOB NOT NULL -- as UTF-8, in which a text may hold half a character
        )"""
    )
    db.execute("CREATE UNIQUE INDEX stored_chunks_named ON stored_chunks (space_id, chunk_id)")


def watched_folders(db: sqlite_utils.Database) -> None:
    """Folders a collection follows."""
    db.table("watched_folders").create(
        {"collection": str, "folder": str, "pattern": str, "since": str},
        pk=("collection", "folder"),
        not_null={"pattern", "since"},
    )


def former_documents(db: sqlite_utils.Database) -> None:
    """Documents as they were before they were replaced or removed."""
    # By the name of the collection, which may be gone. `change` is when, in nanoseconds since 1970; knowledge/history.py.
    db.execute(
        """CREATE TABLE former_documents (
            id INTEGER PRIMARY KEY AUTOINCREMENT,
            collection TEXT NOT NULL,
            source TEXT NOT NULL,
            doc_id TEXT NOT NULL,
            version INTEGER NOT NULL,
            reason TEXT NOT NULL,
            change INTEGER NOT NULL,
            page_count INTEGER NOT NULL,
            char_count INTEGER NOT NULL,
            bytes INTEGER NOT NULL,
            data BLOB NOT NULL
        )"""
    )
    db.execute("CREATE UNIQUE INDEX former_documents_of ON former_documents (collection, source, version)")
    db.execute("CREATE INDEX former_documents_age ON former_documents (change, bytes)")


def corpus_models(db: sqlite_utils.Database) -> None:
    """What the built-in embedder learnt from a collection."""
    db.execute(
        "CREATE TABLE corpus_models (collection_id INTEGER PRIMARY KEY REFERENCES collections (id) ON DELETE CASCADE, data BLOB NOT NULL)"
    )
