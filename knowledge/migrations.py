"""The numbered steps that bring any older file to today's schema; `PRAGMA user_version` is how many have run."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
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


def prompts(db: sqlite_utils.Database) -> None:
    """Stored RACTO prompts, every version of each."""
    db.table("prompt_versions").create(
        {"name": str, "version": int, "fields": str, "note": str, "created_at": str, "deleted": int},
        pk=("name", "version"),
        not_null={"fields", "note", "created_at", "deleted"},
        defaults={"note": "", "deleted": 0},
    )


def keys_and_usage(db: sqlite_utils.Database) -> None:
    """Keys of caches and limits; what every call to a model took, what running ones may take, and how much may be spent."""
    db.execute(
        """CREATE TABLE keyvalue (
            namespace TEXT NOT NULL,
            key TEXT NOT NULL,
            value BLOB, -- NULL: a list, in keyvalue_items
            expires REAL,
            used REAL NOT NULL,
            PRIMARY KEY (namespace, key)
        )"""
    )
    db.execute("CREATE INDEX keyvalue_expires ON keyvalue (expires) WHERE expires IS NOT NULL")
    db.execute("CREATE INDEX keyvalue_used ON keyvalue (namespace, used)")
    db.execute(
        """CREATE TABLE keyvalue_items (
            id INTEGER PRIMARY KEY,
            namespace TEXT NOT NULL,
            key TEXT NOT NULL,
            item BLOB NOT NULL,
            FOREIGN KEY (namespace, key) REFERENCES keyvalue (namespace, key) ON DELETE CASCADE
        )"""
    )
    db.execute("CREATE INDEX keyvalue_items_key ON keyvalue_items (namespace, key, id)")
    # Money is whole numbers of 1e-12 dollars. A cost that is NULL is not known, which is not the same as nothing.
    db.execute(
        """CREATE TABLE usage (
            id INTEGER PRIMARY KEY AUTOINCREMENT,
            at REAL NOT NULL,
            user TEXT NOT NULL,
            component TEXT NOT NULL,
            task TEXT NOT NULL,
            provider TEXT NOT NULL,
            model TEXT NOT NULL,
            prompt_tokens INTEGER NOT NULL,
            completion_tokens INTEGER NOT NULL,
            total_tokens INTEGER NOT NULL,
            cached_tokens INTEGER NOT NULL,
            cache_write_tokens INTEGER NOT NULL,
            reasoning_tokens INTEGER NOT NULL,
            cost INTEGER,
            streamed INTEGER NOT NULL,
            cached TEXT NOT NULL,
            outcome TEXT NOT NULL,
            duration REAL NOT NULL
        )"""
    )
    db.execute("CREATE INDEX usage_at ON usage (at)")
    db.execute(
        """CREATE TABLE reservations (
            id TEXT PRIMARY KEY,
            expires REAL NOT NULL,
            user TEXT NOT NULL,
            component TEXT NOT NULL,
            provider TEXT NOT NULL,
            amount INTEGER NOT NULL
        )"""
    )
    db.table("budget_limits").create(
        {"scope": str, "name": str, "period": str, "amount": int},
        pk=("scope", "name", "period"),
        not_null={"amount"},
    )
    db.execute("CREATE TABLE budget_policy (id INTEGER PRIMARY KEY CHECK (id = 1), policy TEXT NOT NULL)")


def templates_and_contexts(db: sqlite_utils.Database) -> None:
    """Templates, every version of each; conversations, their messages and the index of those."""
    db.table("template_versions").create(
        {"name": str, "version": int, "fields": str, "note": str, "created_at": str, "deleted": int},
        pk=("name", "version"),
        not_null={"fields", "note", "created_at", "deleted"},
        defaults={"note": "", "deleted": 0},
    )
    db.table("contexts").create(
        {
            "id": int,
            "owner": str,
            "name": str,
            "title": str,
            "languages": str,
            "summary": str,
            "summarised": int,  # so many messages the summary stands for
            "created_at": str,
            "updated_at": str,
            "deleted_at": str,
        },
        pk="id",
        not_null={"owner", "name", "title", "languages", "summary", "summarised", "created_at", "updated_at"},
    )
    db.table("contexts").create_index(["owner", "name"], unique=True)
    db.table("context_messages").create(
        {
            "id": int,
            "context_id": int,
            "number": int,
            "role": str,
            "content": str,
            "details": str,
            "language": str,
            "terms": str,
            "created_at": str,
        },
        pk="id",
        not_null={"context_id", "number", "role", "content", "details", "language", "terms", "created_at"},
        foreign_keys=[("context_id", "contexts", "id")],
    )
    db.table("context_messages").create_index(["context_id", "number"], unique=True)
    db.table("context_files").create(
        {"message_id": int, "place": int, "name": str, "mime_type": str, "data": bytes},
        pk=("message_id", "place"),
        not_null={"name", "mime_type", "data"},
        foreign_keys=[("message_id", "context_messages", "id")],
    )
    # The terms come from our analyser, a space between them: the tokenizer has nothing left to do but cut there.
    db.execute(
        """CREATE VIRTUAL TABLE context_index USING fts5(
            terms, content='context_messages', content_rowid='id',
            tokenize="unicode61 remove_diacritics 0 categories 'L* M* N* P* S* C*'"
        )"""
    )
    db.execute(
        """CREATE TRIGGER context_messages_indexed AFTER INSERT ON context_messages BEGIN
            INSERT INTO context_index (rowid, terms) VALUES (new.id, new.terms);
        END"""
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


def verified_queries(db: sqlite_utils.Database) -> None:
    """Questions to other databases, with the queries a person approved as their answers."""
    db.execute(
        """CREATE TABLE verified_queries (
            id INTEGER PRIMARY KEY AUTOINCREMENT,
            source TEXT NOT NULL, -- the name the database has in the settings
            question TEXT NOT NULL,
            sql TEXT NOT NULL,
            note TEXT NOT NULL,
            approved_by TEXT NOT NULL,
            approved_at TEXT NOT NULL,
            UNIQUE (source, question)
        )"""
    )


MIGRATIONS: tuple[Callable[[sqlite_utils.Database], None], ...] = (
    documents_and_pages,
    prompts,
    keys_and_usage,
    templates_and_contexts,
    chunks,
    vectors,
    watched_folders,
    former_documents,
    corpus_models,
    verified_queries,
)


def migrate(connection: sqlite3.Connection) -> None:
    """Run the steps this file has not seen, all of them or none; safe when several processes start at once."""
    import sqlite_utils  # 120 ms, and only a new or old file needs it

    connection.execute("BEGIN IMMEDIATE")
    try:
        version: int = connection.execute("PRAGMA user_version").fetchone()[0]
        for step in MIGRATIONS[version:]:
            step(sqlite_utils.Database(connection))
        connection.execute(f"PRAGMA user_version={len(MIGRATIONS)}")
        connection.execute("COMMIT")
    except BaseException:
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        raise
