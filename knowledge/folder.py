"""Ingesting a folder: every file is accounted for, and what cannot be read does not stop the rest.

Files are taken one after the other, so what becomes of each does not depend on how fast it is read. While one is analysed here, the next
ones that are read in other processes are being read there: a few at most, so that memory does not grow with the folder.
"""

from __future__ import annotations

import threading
import time
from collections import ChainMap
from collections.abc import Callable, Mapping, Set
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from . import indexing
from .catalogue import FileState, collection_named, files_below
from .documents import Document
from .errors import EncryptedError, InputError, NoTextError, RactoError, ReadError, StorageError, UnsupportedError
from .indexing import NewDocument, Reject
from .ingest import Change, Ingester, Outcome, Unread, checked, gone, look_at, same_file, surely_same
from .readers import FileReaderRegistry, read_document
from .walk import walk

BATCH_PAGES = 512
BATCH_SECONDS = 0.5
"""What is ready is written when it has this many pages, or when the first of it has waited this long."""
LOOK_AHEAD = 4
"""How many files are read, or wait for their turn, at a time: so many documents are in memory at most, beside what is ready."""

_LASTING = (EncryptedError, NoTextError, UnsupportedError)
"""What a file says about itself: reading it again before it changes would only say it again."""

Progress = Callable[[int, int, str], None]


@dataclass(slots=True)
class IngestReport:
    """What became of the files of a folder.

    :param added: Sources of new documents.
    :param updated: Sources of documents whose file changed or moved here.
    :param unchanged: Sources of documents that were kept as they are.
    :param removed: Sources of documents whose file is gone.
    :param duplicates: Files with the same bytes as another: which, and as which.
    :param failed: Files that could not be read: source, code of the error, reason.
    :param skipped: Files no reader is for.
    :param notes: What readers had to say: source, note.
    :param pages: Pages written.
    :param seconds: How long it took.
    :param left: Files that were not looked at, because it was stopped or the time was up.
    """

    added: list[str] = field(default_factory=list)
    updated: list[str] = field(default_factory=list)
    unchanged: list[str] = field(default_factory=list)
    removed: list[str] = field(default_factory=list)
    duplicates: list[tuple[str, str]] = field(default_factory=list)
    failed: list[tuple[str, str, str]] = field(default_factory=list)
    skipped: list[str] = field(default_factory=list)
    notes: list[tuple[str, str]] = field(default_factory=list)
    pages: int = 0
    seconds: float = 0.0
    left: int = 0


def ingest_folder(
    ingester: Ingester,
    directory: str | Path,
    pattern: str = "**/*",
    metadata: Mapping[str, Any] | None = None,
    *,
    prune: bool = False,
    allows: Callable[[Path], bool] | None = None,
    progress: Progress | None = None,
    stop: threading.Event | None = None,
    seconds: float | None = None,
    only: Set[Path] | None = None,
) -> IngestReport:
    """Read every file below a folder that matches.

    :param pattern: A glob of the path below the folder.
    :param prune: In the end, when no file is left, remove the documents of files below the folder that are gone and not moved.
    :param allows: Whether the target of a link may be read; by default only what is below the folder.
    :param progress: Told how many files are settled for good, of how many, and the name of the next.
    :param stop: Looked at between files; what was read until then is kept.
    :param seconds: Stop after about this long.
    :param only: Look at these files and at those below these folders alone, given as real paths.
    :raises InputError: it is no folder, or the pattern is wrong.
    """
    begun = time.monotonic()
    real = Path(directory).expanduser().resolve()
    if not real.is_dir():
        raise InputError(f"{str(directory)!r} is not a folder.", "Use ingest for a single file.")
    indexing.freshen(ingester.database, ingester.collection)
    found = [one for one in walk(real, pattern, allows) if only is None or _among(one[0], only)]
    run = _Run(ingester, checked(metadata), len(found), progress)
    for position, (path, problem) in enumerate(found):
        if (stop and stop.is_set()) or (seconds is not None and time.monotonic() - begun > seconds):
            break
        for upcoming, trouble in found[position : position + LOOK_AHEAD]:
            if trouble is None:
                run.read_ahead(upcoming)
        run.take(path, problem)
    run.flush()
    run.report.left = len(found) - run.settled
    if prune and not run.report.left:
        run.prune(real)
    run.report.seconds = round(time.monotonic() - begun, 3)
    return run.report


def _among(path: Path, only: Set[Path]) -> bool:
    """Whether a path is one of these, or below one."""
    return not only.isdisjoint((path, *path.parents))


class _Run:
    """Files in the order they come; what is ready waits for the next batch, and is settled when that is written."""

    def __init__(self, ingester: Ingester, metadata: dict[str, Any], total: int, progress: Progress | None) -> None:
        self.report = IngestReport()
        self.settled = 0
        self._ingester, self._metadata, self._total, self._progress = ingester, metadata, total, progress
        self._ready: list[Change] = []
        self._waiting: dict[str, str] = {}  # SHA-256 → source of what is ready
        self._ahead: dict[Path, _Reading | None] = {}  # None: it need not be read, or not there
        self._pages = 0
        self._since = time.monotonic()
        self._taken = 0
        with ingester.database.reading() as connection:
            collection = collection_named(connection, ingester.collection)
            self._rejects = indexing.rejects(connection, collection) if collection else {}

    def prune(self, directory: Path) -> None:
        """Remove the documents of files below `directory` that are gone."""
        with self._ingester.database.writing() as connection:
            collection = indexing.open_collection(connection, self._ingester.collection)
            old = [one for one in files_below(connection, collection, str(directory)) if gone(one.source)]
            indexing.remove(connection, collection, old)
            indexing.forget_rejects(connection, collection, [source for source in self._rejects if gone(source)])
        self.report.removed += [one.source for one in old]

    def read_ahead(self, path: Path) -> None:
        """Begin to read a file before its turn, when that is done in another process and as far as is known has to be."""
        if path in self._ahead:
            return
        self._ahead[path] = None
        registry = self._ingester.registry
        if not registry.can_read(path) or not registry.get_reader(path).isolated:
            return  # read in this process, it would only take turns with the file that is analysed
        in_flight = {one.file.sha256: str(one.file.path) for one in self._ahead.values() if one}
        try:
            state = look_at(path)
            if self._refused(path, state):
                return
            found = self._ingester.look(path, state, self._metadata, ChainMap(self._waiting, in_flight))
        except ReadError:
            return  # which is told when its turn comes
        if isinstance(found, Unread):
            self._ahead[path] = reading = _Reading(found, registry)
            reading.start()

    def take(self, path: Path, problem: RactoError | None) -> None:
        """Look at one file, and write what is ready when it is enough."""
        if self._progress:
            self._progress(self.settled, self._total, path.name)
        self._taken += 1
        ahead = self._ahead.pop(path, None)
        if problem is None and not self._ingester.registry.can_read(path):
            self.report.skipped.append(_printable(path))
        else:
            try:
                if problem:
                    raise problem
                self._examine(path, ahead)
            except StorageError:
                raise
            except RactoError as error:
                self._failed(path, error.code, str(error))
        if not self._ready:
            self._since = time.monotonic()
        if self._pages >= BATCH_PAGES or time.monotonic() - self._since > BATCH_SECONDS:
            self.flush()

    def flush(self) -> None:
        """Write what is ready."""
        ready, self._ready, self._pages = self._ready, [], 0
        self._waiting.clear()
        for outcome in self._ingester.write(ready) if ready else ():
            self._count(outcome)
        self._since, self.settled = time.monotonic(), self._taken
        if self._progress:
            self._progress(self.settled, self._total, "")

    def _examine(self, path: Path, ahead: _Reading | None) -> None:
        state = look_at(path)
        if ahead and same_file(state, ahead.file.state):
            state = ahead.file.state  # it was read then, and not now
        else:
            ahead = None
        if known := self._refused(path, state):
            self._failed(path, known.code, known.reason)
            return
        try:
            found = self._found(path, state, ahead)
        except _LASTING as error:
            self._ready.append(Reject(str(path), state, self._ingester.recipe, error.code, str(error)))
            raise
        if not isinstance(found, Outcome):
            self._ready.append(found)
            if isinstance(found, NewDocument):
                self._waiting[found.sha256] = found.source
                self._pages += len(found.pages)
        elif found.state == "duplicate":
            self.report.duplicates.append((str(path), found.source))
        else:
            self.report.unchanged.append(found.source)

    def _found(self, path: Path, state: FileState, ahead: _Reading | None) -> Outcome | Change:
        """What is to be done about a file; it is read if need be, unless it was ahead of its turn."""
        sha256 = ahead.file.sha256 if ahead else ""
        found = self._ingester.look(path, state, self._metadata, self._waiting, sha256)
        if not isinstance(found, Unread):
            return found
        document = ahead.result() if ahead else read_document(path, self._ingester.registry)
        return self._ingester.take(found, document, self._metadata)

    def _refused(self, path: Path, state: FileState) -> Reject | None:
        """What was said of a file that was refused for good and has not changed since."""
        known = self._rejects.get(str(path))
        same = known and known.recipe == self._ingester.recipe and surely_same(state, known.state)
        return known if same else None

    def _count(self, outcome: Outcome) -> None:
        if outcome.state == "added":
            self.report.added.append(outcome.source)
        elif outcome.state == "updated":
            self.report.updated.append(outcome.source)
        else:
            self.report.unchanged.append(outcome.source)
        self.report.pages += outcome.pages
        self.report.notes += [(outcome.source, note) for note in outcome.notes]

    def _failed(self, path: Path, code: str, reason: str) -> None:
        self.report.failed.append((_printable(path), code, reason))


class _Reading(threading.Thread):
    """A file that is read before its turn."""

    def __init__(self, file: Unread, registry: FileReaderRegistry) -> None:
        # A daemon: an ingest that is stopped, or a process that ends, does not wait for a file that hangs.
        super().__init__(name="racto-read-ahead", daemon=True)
        self.file = file
        self._registry = registry
        self._outcome: Document | BaseException | None = None

    def run(self) -> None:
        try:
            self._outcome = read_document(self.file.path, self._registry)
        except BaseException as error:  # noqa: BLE001 - it is raised where the file has its turn
            self._outcome = error

    def result(self) -> Document:
        """What was read, as soon as it is.

        :raises ReadError: it could not be read.
        """
        self.join()
        if not isinstance(self._outcome, Document):
            assert self._outcome is not None
            raise self._outcome
        return self._outcome


def _printable(path: Path) -> str:
    """The path as text that can be written anywhere, also when its name is not UTF-8."""
    return str(path).encode(errors="backslashreplace").decode()
