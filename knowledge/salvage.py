"""Saving what can be read of a damaged database: rows one by one where it must be, documents whole or not at all, indexes made anew."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable, Container, Iterator
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

from . import chunk_rows, chunk_vectors, vectors
from .catalogue import known_collection
from .database import Database
from .errors import RactoError, StorageError, UnknownNameError
from .indexing import reindex
from .vector_blocks import read_vectors

TABLES = (
    "collections", "documents", "pages", "chunks", "stored_chunks", "prompt_versions", "template_versions", "contexts", "context_messages", "context_files",
    "usage", "budget_limits", "former_documents", "watched_folders", "verified_queries",
    "classifications", "classification_corrections", "classifier_models", "tuning_jobs", "tuning_events",
)  # fmt: skip
"""What cannot be made again from something else."""

_BROKEN = """SELECT id, source FROM documents AS d
    WHERE NOT (json_valid(metadata) AND json_valid(notes) AND json_valid(outline)) OR page_count != (
        SELECT count(*) FROM pages AS p WHERE p.document_id = d.id AND p.id BETWEEN d.first_page AND d.first_page + d.page_count - 1)"""


@dataclass(slots=True)
class Salvage:
    """What came out of a damaged database.

    :param aside: Where the damaged file is now.
    :param saved: Rows kept, by table.
    :param lost_documents: Sources of the documents of which pages are missing; they have to be ingested again.
    :param lost_pages: Pages whose document is not known any more.
    """

    aside: Path
    saved: dict[str, int] = field(default_factory=dict)
    lost_documents: list[str] = field(default_factory=list)
    lost_pages: int = 0


def rebuild(path: Path, progress: Callable[[int, int], None] | None = None) -> Salvage:
    """Move a damaged database aside and put in its place a new one with everything that can still be read.

    :param progress: Told how many pages are indexed again, of how many.
    :raises UnknownNameError: there is no such file.
    :raises StorageError: another process uses the file, its folder cannot be written, or the disk is full.
    """
    if not path.is_file():
        raise UnknownNameError(f"There is no database {path}.", "It is made on first use; there is nothing to rebuild.")
    _check_unused(path)
    stamp = f"{datetime.now():%Y%m%d-%H%M%S-%f}"
    salvage = Salvage(aside=path.with_name(f"{path.name}.damaged-{stamp}"))
    making = path.with_name(f"{path.name}.rebuilding-{stamp}")
    fresh = Database(making)
    try:
        with fresh.writing() as new:
            _copy_all(path, new, salvage)
            _keep_whole_documents(new, salvage)
            _keep_conversations(new)
            _keep_vectors(path, new)
            for table in TABLES:
                salvage.saved[table] = new.execute(f"SELECT count(*) FROM {table}").fetchone()[0]  # noqa: S608 - a name of ours
            for (name,) in new.execute("SELECT name FROM collections").fetchall():
                reindex(new, known_collection(new, name), progress)
        fresh.close()
        for suffix in ("", "-wal", "-shm"):
            part = path.with_name(path.name + suffix)
            if part.exists():
                part.rename(f"{salvage.aside}{suffix}")
        making.rename(path)
    except OSError as error:
        raise StorageError(
            f"{path} cannot be replaced: {error.strerror}.", "Make its folder writable and try again."
        ) from None
    finally:
        fresh.close()
        for suffix in ("", "-wal", "-shm"):
            making.with_name(making.name + suffix).unlink(missing_ok=True)
    return salvage


def _check_unused(path: Path) -> None:
    """Another process would go on writing to the file that is moved aside."""
    connection = sqlite3.connect(path, timeout=0)
    try:
        connection.execute("PRAGMA locking_mode=EXCLUSIVE")
        connection.execute("BEGIN EXCLUSIVE")
    except sqlite3.DatabaseError as error:
        if "locked" in str(error):
            raise StorageError(
                f"Another process is using {path}.", "Close the programs that use racto, then try again."
            ) from None
    finally:
        connection.close()


def _copy_all(path: Path, new: sqlite3.Connection, salvage: Salvage) -> None:
    old = _opened(path)
    new.execute("PRAGMA defer_foreign_keys=ON")  # a document may be there whose collection is lost
    try:
        for table in TABLES:
            columns = ", ".join(row[1] for row in new.execute(f"PRAGMA table_info({table})"))
            marks = ", ".join("?" * (columns.count(",") + 1))
            new.executemany(
                f"INSERT OR IGNORE INTO {table} ({columns}) VALUES ({marks})",  # noqa: S608 - names of ours
                _rows(old, table, columns, path.stat().st_size),
            )
    finally:
        old.close()


def _opened(path: Path) -> sqlite3.Connection:
    return sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True)


def _rows(old: sqlite3.Connection, table: str, columns: str, file_size: int) -> Iterator[tuple[object, ...]]:
    """Every row that can be read: a range that cannot is halved until what is bad stands alone."""
    select = f"SELECT {columns} FROM {table} WHERE rowid BETWEEN ? AND ? ORDER BY rowid"  # noqa: S608 - names of ours
    try:
        old.execute(f"SELECT 1 FROM {table} LIMIT 0")  # noqa: S608 - a name of ours
    except sqlite3.DatabaseError:
        return  # not even the schema can be read, or an older file had no such table
    ranges = [(1, _last_row(old, table, file_size))]
    while ranges:
        first, last = ranges.pop()
        try:
            yield from old.execute(select, (first, last)).fetchall()
        except sqlite3.DatabaseError:
            if first < last:
                middle = (first + last) // 2
                ranges += [(middle + 1, last), (first, middle)]


def _last_row(old: sqlite3.Connection, table: str, file_size: int) -> int:
    try:
        last: int | None = old.execute(f"SELECT max(rowid) FROM {table}").fetchone()[0]  # noqa: S608 - a name of ours
        return last or 0
    except sqlite3.DatabaseError:
        return file_size // 16  # a row takes more than that


def _keep_whole_documents(new: sqlite3.Connection, salvage: Salvage) -> None:
    """Drop what is half, and give documents whose collection is lost a new one."""
    new.execute("DELETE FROM pages WHERE NOT (json_valid(heading_path) AND json_valid(keywords))")
    for document, source in new.execute(_BROKEN).fetchall():
        salvage.lost_documents.append(source)
        new.execute("DELETE FROM pages WHERE document_id = ?", (document,))
        new.execute("DELETE FROM documents WHERE id = ?", (document,))
    salvage.lost_pages = new.execute("DELETE FROM pages WHERE document_id NOT IN (SELECT id FROM documents)").rowcount
    new.execute("DELETE FROM chunks WHERE NOT json_valid(heading_path) OR id >> 16 NOT IN (SELECT id FROM pages)")
    new.execute(
        """INSERT INTO collections (id, name, revision, analyser, created_at)
           SELECT DISTINCT collection_id, 'recovered-' || collection_id, 0, '', datetime('now') FROM documents
           WHERE collection_id NOT IN (SELECT id FROM collections)"""
    )


def _keep_conversations(new: sqlite3.Connection) -> None:
    """Give messages whose context is lost a new one, and drop what cannot be read of the rest."""
    new.execute("UPDATE context_messages SET details = '{}' WHERE NOT json_valid(details)")
    new.execute("DELETE FROM context_files WHERE message_id NOT IN (SELECT id FROM context_messages)")
    new.execute(
        """INSERT INTO contexts (id, owner, name, title, languages, summary, summarised, created_at, updated_at)
           SELECT context_id, '', 'recovered-' || context_id, '', '', '', 0, min(created_at), max(created_at) FROM context_messages
           WHERE context_id NOT IN (SELECT id FROM contexts) GROUP BY context_id"""
    )


def _keep_vectors(path: Path, new: sqlite3.Connection) -> None:
    """Keep the vectors that can be read, block by block. A chunk of a document that has none waits for one; a chunk of a store goes."""
    names = [row[0] for row in new.execute("SELECT name FROM collections")]
    owners = {chunk_vectors.space_name(one): one for one in (known_collection(new, name) for name in names)}
    for one in owners.values():
        chunk_rows.wait_all(new, one.id)
    stored: list[int] = []
    old, size = _opened(path), path.stat().st_size
    try:
        for row in _rows(old, "vector_spaces", "id, name, label, dimension, revision", size):
            new.execute(
                "INSERT OR IGNORE INTO vector_spaces (id, name, label, dimension, revision) VALUES (?,?,?,?,?)", row
            )
        for row in _rows(old, "vector_blocks", "space_id, ids, serials", size):
            of, ids = _keep_block(old, new, row, owners)
            if of in owners:
                chunk_rows.settled(new, owners[of].id, ids)
            else:
                stored += ids
    finally:
        old.close()
    new.execute("DELETE FROM stored_chunks WHERE id NOT IN (SELECT value FROM json_each(?))", (json.dumps(stored),))
    for name, one in owners.items():
        space = vectors.space_named(new, name)
        if not one.store:
            new.execute("UPDATE collections SET embedder = ? WHERE id = ?", (space.label if space else "", one.id))


def _keep_block(
    old: sqlite3.Connection, new: sqlite3.Connection, row: tuple[Any, ...], owners: Container[str]
) -> tuple[str, list[int]]:
    """Copy the vectors of a block whose chunks are there; none when anything of it cannot be read.

    :returns: The name of their space, and their ids.
    """
    import numpy as np

    try:
        space_id, ids, serials = row
        found = new.execute(
            "SELECT id, name, label, dimension, revision FROM vector_spaces WHERE id = ?", (space_id,)
        ).fetchone()
        space = vectors.Space(*found)
        there = np.frombuffer(ids, np.int64)
        data = read_vectors(old, space.id, space.dimension, np.frombuffer(serials, np.int64))
        table = "chunks" if space.name in owners else "stored_chunks"
        chunks = new.execute(
            f"SELECT id FROM {table} WHERE id IN (SELECT value FROM json_each(?))",  # noqa: S608 - names of ours
            (json.dumps(there.tolist()),),
        ).fetchall()
        kept = np.isin(there, [chunk[0] for chunk in chunks])
        vectors.put(new, space, there[kept].tolist(), data[kept])
    except (sqlite3.DatabaseError, RactoError, TypeError, ValueError):
        return "", []
    return space.name, there[kept].tolist()
