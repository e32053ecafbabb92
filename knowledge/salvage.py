"""Saving what can be read of a damaged database: rows one by one where it must be, documents whole or not at all, indexes made anew."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path

from .catalogue import Collection
from .database import Database
from .errors import StorageError, UnknownNameError
from .indexing import reindex

TABLES = (
    "collections", "documents", "pages", "prompt_versions", "template_versions", "contexts", "context_messages", "context_files",
    "usage", "budget_limits", "former_documents",
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
            for table in TABLES:
                salvage.saved[table] = new.execute(f"SELECT count(*) FROM {table}").fetchone()[0]  # noqa: S608 - a name of ours
            for row in new.execute("SELECT id, name, revision, analyser FROM collections").fetchall():
                reindex(new, Collection(*row), progress)
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
    old = sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True)
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
