"""The one SQLite file: who may read, who may write, and what its errors mean.

Readers never wait for the writer (WAL). Writers of this process take turns at a lock, writers of other processes at SQLite's own.
A committed transaction survives `kill -9`; `synchronous=NORMAL` may lose the last commits on a power failure, never the file.
"""

from __future__ import annotations

import shutil
import sqlite3
import tempfile
import threading
import unicodedata
import weakref
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

from .errors import ConfigError, CorruptError, DiskFullError, InputError, StorageError
from .migrations import MIGRATIONS, migrate

BUSY_TIMEOUT_MS = 30_000


class Database:
    """One SQLite file, opened lazily, safe to share between threads and processes.

    :param path: The file; its folder is made if need be. `None` keeps everything in a temporary file that goes with this object.
    """

    def __init__(self, path: Path | str | None = None) -> None:
        temporary = tempfile.mkdtemp(prefix="racto-") if path is None else None
        # Nobody needs to close a database nobody named: its folder goes silently when this object or the program ends.
        self._forget = weakref.finalize(self, shutil.rmtree, temporary, ignore_errors=True) if temporary else None
        self.path = Path(temporary, "racto.db") if temporary else Path(path or "").expanduser()
        self._write_lock = threading.RLock()
        self._idle: list[sqlite3.Connection] = []
        self._pool_lock = threading.Lock()
        self._writer: sqlite3.Connection | None = None
        self._hasty_writer: sqlite3.Connection | None = None
        self._closed = False
        self._ready = False
        self._file = (0, 0)

    @contextmanager
    def reading(self) -> Generator[sqlite3.Connection]:
        """A connection that sees one unchanging state of the file until the block ends.

        :raises StorageError: the file is damaged, locked or cannot be opened.
        """
        with self._explained():
            self._prepare()
            with self._pool_lock:
                connection = self._idle.pop() if self._idle else None
            if connection is None:
                connection = self._connect()
                connection.execute("PRAGMA query_only=ON")
            try:
                connection.execute("BEGIN")
                yield connection
            finally:
                if connection.in_transaction:
                    connection.rollback()
                self._give_back(connection)

    @contextmanager
    def writing(self) -> Generator[sqlite3.Connection]:
        """A connection inside one write transaction: committed when the block ends, undone when it raises.

        :raises StorageError: the disk is full, or the file is damaged, locked or read-only.
        """
        with self._write_lock, self._explained():
            self._prepare()
            if self._writer is None:
                self._writer = self._connect()
            nested = self._writer.in_transaction
            if nested:
                yield self._writer
                return
            self._writer.execute("BEGIN IMMEDIATE")
            with _committed(self._writer):
                yield self._writer

    @contextmanager
    def writing_at_once(self) -> Generator[sqlite3.Connection]:
        """The same for a thread that must not wait, such as one that runs an event loop: 50 µs for a few rows.

        It does not wait for the disk either: what it commits stays in the write-ahead log until some `writing` moves it into the file, so
        there must be one now and then.

        :raises BlockingIOError: somebody else is writing, or the file is not open yet; nothing was done.
        :raises StorageError: the disk is full, or the file is damaged or read-only.
        """
        if not (self._ready and self._write_lock.acquire(blocking=False)):
            raise BlockingIOError(f"{self.path} is being written to.")
        try:
            with self._explained():
                self._check_place()
                if self._hasty_writer is None:
                    self._hasty_writer = self._connect()
                    self._hasty_writer.execute("PRAGMA busy_timeout=0")
                    self._hasty_writer.execute("PRAGMA wal_autocheckpoint=0")
                try:
                    self._hasty_writer.execute("BEGIN IMMEDIATE")
                except sqlite3.OperationalError as error:
                    if "locked" not in str(error):
                        raise
                    raise BlockingIOError(f"{self.path} is being written to.") from None
                with _committed(self._hasty_writer):
                    yield self._hasty_writer
        finally:
            self._write_lock.release()

    def close(self) -> None:
        """Close every idle connection; the object cannot be used afterwards."""
        with self._write_lock, self._pool_lock:
            self._closed = True
            for connection in (*self._idle, self._writer, self._hasty_writer):
                if connection is not None:
                    connection.close()
            self._idle.clear()
            self._writer = self._hasty_writer = None
        if self._forget:
            self._forget()

    def _give_back(self, connection: sqlite3.Connection) -> None:
        with self._pool_lock:
            if not self._closed:
                self._idle.append(connection)
                return
        connection.close()

    def _connect(self) -> sqlite3.Connection:
        if self._closed:
            raise StorageError("The database was closed.")
        connection = sqlite3.connect(
            self.path, isolation_level=None, check_same_thread=False, timeout=BUSY_TIMEOUT_MS / 1000
        )
        try:
            connection.execute("PRAGMA journal_mode=WAL")
            connection.execute("PRAGMA synchronous=NORMAL")
            connection.execute("PRAGMA foreign_keys=ON")
            connection.create_function("nfc", 1, _nfc, deterministic=True)
        except BaseException:
            connection.close()
            raise
        return connection

    def _prepare(self) -> None:
        """Make the file on first use and bring its schema up to date."""
        if self._ready:
            self._check_place()
            return
        with self._write_lock:
            if self._ready:
                return
            self._make_file()
            connection = self._connect()
            try:
                version: int = connection.execute("PRAGMA user_version").fetchone()[0]
                if version > len(MIGRATIONS):
                    raise ConfigError(
                        f"{self.path} was written by a newer racto (schema {version}, this one knows {len(MIGRATIONS)}).",
                        "Upgrade racto, or point RACTO_DATABASE at another file.",
                    )
                if version < len(MIGRATIONS):
                    migrate(connection)
            finally:
                connection.close()
            self._file = self._identity()
            self._ready = True

    def _check_place(self) -> None:
        """Refuse to go on with a file that has lost its name: what SQLite would still write to it, nobody could find again.

        :raises StorageError: the file was removed or replaced.
        """
        if self._identity() != self._file:
            raise StorageError(
                f"The database {self.path} was removed or replaced while it was in use.",
                "Put it back, or restart the program that runs racto.",
            )

    def _identity(self) -> tuple[int, int]:
        try:
            status = self.path.stat()
        except (FileNotFoundError, NotADirectoryError):
            return 0, 0
        except OSError:
            return self._file  # it may not be looked at any more, which says nothing about where it is
        return status.st_dev, status.st_ino

    def _make_file(self) -> None:
        if self.path.exists():
            return
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            self.path.touch(mode=0o600)
        except OSError as error:
            raise StorageError(
                f"The database {self.path} cannot be made: {error.strerror}.",
                "Set RACTO_DATABASE to a file in a folder you can write to.",
            ) from None

    @contextmanager
    def _explained(self) -> Generator[None]:
        """Turn what SQLite says into what a person can act on."""
        try:
            yield
        except sqlite3.IntegrityError:
            raise
        except OverflowError:
            raise InputError("A number is larger than any that is kept here.", "Give a smaller one.") from None
        except sqlite3.DatabaseError as error:
            raise explain(error, self.path) from error


@contextmanager
def _committed(connection: sqlite3.Connection) -> Generator[None]:
    """Commit the transaction of a connection when the block ends; undo it when it raises."""
    try:
        yield
        connection.commit()
    except BaseException:
        if connection.in_transaction:
            connection.rollback()
        raise


def _nfc(text: str) -> str:
    """In SQL: the one form of a text whose accents may be written in several ways."""
    return unicodedata.normalize("NFC", text)


def explain(error: sqlite3.DatabaseError, path: Path) -> StorageError:
    """The storage error that stands for what SQLite reported about the file at `path`."""
    text = str(error).lower()
    if "malformed" in text or "not a database" in text or "corrupt" in text:
        return CorruptError(
            f"The database {path} is damaged ({error}).",
            "Run `racto doctor --rebuild`: it keeps the damaged file aside and saves what can be read.",
        )
    if "disk is full" in text or "disk i/o" in text:
        return DiskFullError(
            f"There is no room to write {path} ({error}).", "Free some space; nothing half-written was kept."
        )
    if "locked" in text:
        return StorageError(
            f"Another process is writing to {path} and did not finish in time.", "Try again in a moment."
        )
    if "readonly" in text:
        return StorageError(
            f"The database {path} is read-only.", "Make the file and its folder writable, or set RACTO_DATABASE."
        )
    return StorageError(f"The database {path} cannot be used: {error}.", "Run `racto doctor` for what is wrong.")
