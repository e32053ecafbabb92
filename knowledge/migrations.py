"""The numbered steps that bring any older file to today's schema; `PRAGMA user_version` is how many have run."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from typing import TYPE_CHECKING

from .library_tables import (
    chunks,
    corpus_models,
    documents_and_pages,
    former_documents,
    vectors,
    watched_folders,
)

if TYPE_CHECKING:
    import sqlite_utils


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


def tuning_jobs(db: sqlite_utils.Database) -> None:
    """Fine-tuning at providers: a handle of every job, written before the provider hears of it, and what was told of it since."""
    db.execute(
        """CREATE TABLE tuning_jobs (
            handle TEXT PRIMARY KEY, -- the mark by which the provider's job is found again
            provider TEXT NOT NULL,
            model TEXT NOT NULL,
            method TEXT NOT NULL,
            settings TEXT NOT NULL, -- JSON
            dataset TEXT NOT NULL, -- fingerprint
            validation TEXT NOT NULL, -- fingerprint, or ""
            training_file TEXT NOT NULL,
            validation_file TEXT NOT NULL,
            step TEXT NOT NULL, -- uploading, creating, created
            remote_id TEXT NOT NULL,
            state TEXT NOT NULL,
            tuned_model TEXT NOT NULL,
            note TEXT NOT NULL,
            created_at REAL NOT NULL,
            updated_at REAL NOT NULL,
            poll_at REAL NOT NULL,
            poll_seconds REAL NOT NULL
        )"""
    )
    db.execute("CREATE INDEX tuning_jobs_state ON tuning_jobs (state, poll_at)")
    db.execute(
        """CREATE TABLE tuning_events (
            handle TEXT NOT NULL REFERENCES tuning_jobs (handle) ON DELETE CASCADE,
            at TEXT NOT NULL,
            level TEXT NOT NULL,
            message TEXT NOT NULL,
            PRIMARY KEY (handle, at, message)
        )"""
    )


def classifications(db: sqlite_utils.Database) -> None:
    """What texts were classified as, what a person said instead, and the models that were trained on it."""
    db.execute(
        """CREATE TABLE classifications (
            id INTEGER PRIMARY KEY AUTOINCREMENT,
            options TEXT NOT NULL, -- fingerprint of the set of labels
            entry TEXT NOT NULL -- JSON
        )"""
    )
    db.execute("CREATE INDEX classifications_options ON classifications (options, id)")
    db.execute(
        """CREATE TABLE classification_corrections (
            id INTEGER PRIMARY KEY AUTOINCREMENT,
            entry_id INTEGER NOT NULL,
            options TEXT NOT NULL,
            query TEXT NOT NULL,
            label TEXT NOT NULL,
            corrected_by TEXT NOT NULL,
            corrected_at TEXT NOT NULL
        )"""
    )
    db.execute("CREATE INDEX classification_corrections_options ON classification_corrections (options, id)")
    db.execute(
        """CREATE TABLE classifier_models (
            options TEXT PRIMARY KEY,
            model BLOB NOT NULL, -- arrays and JSON
            trained_at TEXT NOT NULL
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
    tuning_jobs,
    classifications,
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
