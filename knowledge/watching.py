"""Following a folder: what is new, changed, moved or gone in it is so in the collection a moment later.

A change only says where to look: what became of a file is found out by `ingest_folder`, the one way in. So a change that was missed costs
time and not truth, and the whole folder is looked through when watching begins, when the folder comes back, and after an error.
"""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from .errors import InputError, RactoError
from .folder import IngestReport, ingest_folder
from .ingest import Ingester
from .walk import glob_pattern, is_skipped, walk

DEBOUNCE = 1.6
"""Seconds a burst of changes may take; it ends sooner when nothing happens for a twentieth of a second."""
WAKE = 2.0
"""Seconds between looks at whether the folder is still there, and at files that were being written."""
POLL = 0.5
POLL_SHARE = 20
"""Without notifications the folder is looked through again after so many seconds, or so many times as long as that took, if that is more."""
TRIES = 3
"""How often a file that cannot be read is tried again before it changes: it may have been half written."""

Changed = frozenset[Path] | None
"""Paths that changed, or lie above what changed; `None`: anything may have."""


@dataclass(frozen=True, slots=True)
class WatchReport:
    """What became of one burst of changes.

    :param ingested: What became of the files that were looked at.
    :param problem: Why nothing could be done, with what to do next; empty when something was.
    """

    ingested: IngestReport = field(default_factory=IngestReport)
    problem: str = ""


def watch(
    ingester: Ingester,
    folder: str | Path,
    pattern: str = "**/*",
    metadata: Mapping[str, Any] | None = None,
    *,
    stop: threading.Event,
    on_report: Callable[[WatchReport], None],
    allows: Callable[[Path], bool] | None = None,
    polling: bool = False,
) -> None:
    """Keep a collection true to a folder until `stop` is set; blocks, so give it a thread of its own.

    :param pattern: A glob of the path below the folder.
    :param metadata: Kept with every document that is new or changes.
    :param on_report: Told once when the folder was first looked through, then whenever something changed or went wrong.
    :param allows: Whether the target of a link may be read; by default only what is below the folder.
    :param polling: Look through the folder again and again instead of being notified: for network folders, and what is done anyway
        where the package `watchfiles` is missing.
    :raises InputError: the pattern is wrong. A folder that is not there is waited for: its disk may not be plugged in yet.
    """
    glob_pattern(pattern)
    real = Path(folder).expanduser().resolve()
    follower = _Follower(ingester, real, pattern, metadata, stop, on_report, allows)
    while not stop.is_set():
        if real.is_dir():
            with _changes(real, pattern, polling) as next_changes:
                follower.follow(next_changes)
        else:
            follower.say_gone()
            stop.wait(WAKE)


def watchable(folder: str | Path, pattern: str) -> Path:
    """The real path of a folder that can be followed.

    :raises InputError: it is no folder, or the pattern is wrong: the caller's errors, not those that watching outlives.
    """
    real = Path(folder).expanduser().resolve()
    if not real.is_dir():
        raise InputError(f"{str(folder)!r} is not a folder.", "Give the folder to follow.")
    glob_pattern(pattern)
    return real


class _Follower:
    def __init__(
        self,
        ingester: Ingester,
        folder: Path,
        pattern: str,
        metadata: Mapping[str, Any] | None,
        stop: threading.Event,
        on_report: Callable[[WatchReport], None],
        allows: Callable[[Path], bool] | None,
    ) -> None:
        self._ingester, self._folder, self._pattern, self._metadata = ingester, folder, pattern, metadata
        self._stop, self._on_report, self._allows = stop, on_report, allows
        self._failures: Counter[Path] = Counter()
        self._said = ""
        self._first = True

    def follow(self, next_changes: Callable[[threading.Event], Changed]) -> None:
        """Bring in one burst of changes after the other, until the folder is not the one it was."""
        identity = _identity(self._folder)
        changed: Changed = None
        while not self._stop.is_set() and identity and _identity(self._folder) == identity:
            if changed is None or changed or self._failures:
                changed = self._take(changed)
            if changed is not None:
                changed = next_changes(self._stop)
            else:
                self._stop.wait(WAKE)

    def say_gone(self) -> None:
        """Report, once, that the folder is not there. What is kept of its files stays: a disk may only be unplugged."""
        self._say(f"The folder {self._folder} is gone. What was read of it is kept; watching goes on when it is back.")

    def _take(self, changed: Changed) -> Changed:
        """Look at what changed; everything is to be looked at again after an error."""
        again = {path for path, times in self._failures.items() if times < TRIES}
        only = None if changed is None else changed | again
        if only is not None and not only:
            return frozenset()
        for path in changed or ():
            del self._failures[path]
        try:
            report = ingest_folder(
                self._ingester,
                self._folder,
                self._pattern,
                self._metadata,
                prune=True,
                allows=self._allows,
                stop=self._stop,
                only=only,
            )
        except RactoError as error:
            self._say(str(error))
            return None
        except Exception as error:  # noqa: BLE001 - whoever watches for weeks outlives every error, and says so
            self._say(f"{type(error).__name__}: {error}")
            return None
        self._remember(report)
        happened = report.added or report.updated or report.removed or (report.failed and changed != frozenset())
        if happened or self._first or self._said:
            self._first, self._said = False, ""
            self._on_report(WatchReport(report))
        return frozenset()

    def _remember(self, report: IngestReport) -> None:
        """Which files to try again: those that could not be read, unless that is what they will always say."""
        unreadable = {Path(source) for source, code, _ in report.failed if code == "unreadable"}
        for path in set(report.added) | set(report.updated) | set(report.unchanged) | set(report.removed):
            self._failures.pop(Path(path), None)
        self._failures.update(unreadable)

    def _say(self, problem: str) -> None:
        if problem != self._said:
            self._said = problem
            self._on_report(WatchReport(problem=problem))


@contextmanager
def _changes(folder: Path, pattern: str, polling: bool) -> Iterator[Callable[[threading.Event], Changed]]:
    """A function that waits for changes below a folder, for about `WAKE` seconds at most."""
    notified = None
    if not polling:
        try:
            from watchfiles._rust_notify import (
                RustNotify,
            )  # 15 ms; its documented interface for callers with a loop of their own

            notified = RustNotify([str(folder)], False, False, 0, True, True)
        except (ImportError, OSError):  # OSError: the system gives no more watches
            pass
    if notified is None:
        yield _Poller(folder, pattern).changes
        return

    def changes(stop: threading.Event) -> Changed:
        found = notified.watch(int(DEBOUNCE * 1000), 50, int(WAKE * 1000), stop)
        if found == "signal":
            raise KeyboardInterrupt
        return frozenset(
            path for path in map(Path, _paths(found)) if not any(map(is_skipped, path.relative_to(folder).parts))
        )

    with notified:
        yield changes


def _paths(found: set[tuple[int, str]] | str) -> Iterator[str]:
    return (path for _, path in found) if isinstance(found, set) else iter(())


class _Poller:
    """What changed since it was last asked, found out by looking."""

    def __init__(self, folder: Path, pattern: str) -> None:
        self._folder, self._pattern = folder, pattern
        self._known = self._look()

    def changes(self, stop: threading.Event) -> Changed:
        stop.wait(max(POLL, self._took * POLL_SHARE))
        if stop.is_set():
            return frozenset()
        before, self._known = self._known, self._look()
        return frozenset(
            path for path in before.keys() | self._known.keys() if before.get(path) != self._known.get(path)
        )

    def _look(self) -> dict[Path, tuple[int, int]]:
        begun = time.monotonic()
        found: dict[Path, tuple[int, int]] = {}
        for path, _ in walk(self._folder, self._pattern, lambda _: True):
            try:
                status = path.stat()
            except OSError:
                continue  # gone meanwhile
            found[path] = status.st_size, status.st_mtime_ns
        self._took = time.monotonic() - begun
        return found


def _identity(folder: Path) -> tuple[int, int] | None:
    """Which folder is at this path; `None` when none is."""
    try:
        status = folder.stat()
    except OSError:
        return None
    return status.st_dev, status.st_ino
