"""Folders that are followed: written down in the database, and followed as long as a server runs."""

from __future__ import annotations

import asyncio
import logging
import threading
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from ..knowledge.catalogue import checked_name
from ..knowledge.errors import RactoError, UnknownNameError

if TYPE_CHECKING:
    from ..knowledge.database import Database
    from ..knowledge.roots import Roots
    from ..knowledge.watching import WatchReport
    from .libraries import Libraries

logger = logging.getLogger(__name__)


@dataclass(slots=True)
class Watched:
    """A folder and what became of it lately.

    :param state: `following`, or why not.
    :param added: Documents that came, changed or went since the server started.
    """

    folder: str
    collection: str
    pattern: str
    since: str
    state: str = "following"
    added: int = 0
    updated: int = 0
    removed: int = 0
    failed: int = 0
    stop: threading.Event = field(default_factory=threading.Event, repr=False)

    def told(self, report: WatchReport) -> None:
        """Count what a burst of changes came to."""
        done = report.ingested
        self.added += len(done.added)
        self.updated += len(done.updated)
        self.removed += len(done.removed)
        self.failed += len(done.failed)
        self.state = report.problem or "following"


class Watches:
    """The followed folders of a server. Each has a thread of its own.

    :param follows: Whether to follow them at all, rather than only to write down that they are to be followed.
    """

    def __init__(self, database: Database, roots: Roots, libraries: Libraries, follows: bool) -> None:
        self._database, self._roots, self._libraries = database, roots, libraries
        self._follows = follows
        self._running: dict[tuple[str, str], Watched] = {}
        self._lock = threading.Lock()
        self._resumed = False

    def resume(self, loop: asyncio.AbstractEventLoop) -> None:
        """Follow again what was followed when a server last ran. Called by whatever searches; only the first time does anything."""
        with self._lock:
            resumed, self._resumed = self._resumed, True
        if not resumed:
            for kept in self._kept():
                self._start(kept, loop)

    def begin(self, folder: str, collection: str, pattern: str, loop: asyncio.AbstractEventLoop) -> Watched:
        """Follow a folder from now on, also after a restart.

        :raises AccessError: it is outside the roots.
        :raises InputError: it is no folder, or the pattern or the name of the collection is wrong.
        """
        from ..knowledge.watching import watchable

        real = watchable(self._roots.resolve(folder), pattern)
        since = datetime.now(UTC).isoformat(timespec="seconds")
        kept = self._watched(str(real), checked_name(collection), pattern, since)
        self.end(str(real), collection, missing_is_fine=True)
        self._start(kept, loop)
        with self._database.writing() as connection:
            connection.execute(
                "INSERT OR REPLACE INTO watched_folders VALUES (?, ?, ?, ?)", (collection, str(real), pattern, since)
            )
        return kept

    def end(self, folder: str, collection: str, *, missing_is_fine: bool = False) -> None:
        """Follow a folder no more; what was read of it stays.

        :raises UnknownNameError: it is not followed.
        """
        real = str(Path(folder).expanduser().resolve())
        with self._lock:
            running = self._running.pop((collection, real), None)
        if running:
            running.stop.set()
        with self._database.writing() as connection:
            gone = connection.execute(
                "DELETE FROM watched_folders WHERE collection = ? AND folder = ?", (collection, real)
            ).rowcount
        if not (gone or running or missing_is_fine):
            raise UnknownNameError(
                f"{folder} is not followed by {collection}.", "rag_watch without a path lists what is."
            )

    def listed(self) -> list[Watched]:
        """Every followed folder."""
        with self._lock:
            running = dict(self._running)
        return [running.get((one.collection, one.folder), one) for one in self._kept()]

    def _kept(self) -> list[Watched]:
        with self._database.reading() as connection:
            rows = connection.execute(
                "SELECT folder, collection, pattern, since FROM watched_folders ORDER BY 2, 1"
            ).fetchall()
        return [self._watched(*row) for row in rows]

    def _watched(self, folder: str, collection: str, pattern: str, since: str) -> Watched:
        state = "following" if self._follows else "followed while a server runs that may write"
        return Watched(folder, collection, pattern, since, state)

    def _start(self, kept: Watched, loop: asyncio.AbstractEventLoop) -> None:
        if not self._follows:
            return
        from ..knowledge.watching import watch

        with self._lock:
            if (kept.collection, kept.folder) in self._running:
                return
            self._running[kept.collection, kept.folder] = kept
        library = self._libraries.get(kept.collection)

        def report(told: WatchReport) -> None:
            kept.told(told)
            if told.ingested.added or told.ingested.updated:
                loop.call_soon_threadsafe(self._libraries.embed_behind, library)

        def follow() -> None:
            try:
                self._roots.resolve(kept.folder)  # the roots may be others than when it was begun
                watch(
                    library.ingester,
                    kept.folder,
                    kept.pattern,
                    stop=kept.stop,
                    on_report=report,
                    allows=self._roots.allows,
                )
            except RactoError as error:
                kept.state = f"not followed: {error}"
                logger.warning("%s is not followed: %s", kept.folder, error)

        threading.Thread(target=follow, name="racto-watch", daemon=True).start()
