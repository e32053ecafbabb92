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


MIGRATIONS: tuple[Callable[[sqlite_utils.Database], None], ...] = (documents_and_pages, prompts)


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
