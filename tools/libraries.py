"""The libraries of a server, one for each collection, and the jobs that give their chunks vectors.

Words are searchable when a document is written. Its vectors follow, as long as the call that ingested it has time, and then behind it.
"""

from __future__ import annotations

import asyncio
import logging
import threading
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

from ..knowledge.errors import RactoError
from ..knowledge.pace import Pace

if TYPE_CHECKING:
    from collections.abc import Callable

    from ..agents.calls import ToolContext
    from ..knowledge.database import Database
    from ..knowledge.embedding import BaseEmbedder, Reranker
    from ..knowledge.library import Embedded, Library
    from ..knowledge.stores import BaseVectorStore

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Equipment:
    """What libraries stand on besides the database.

    :param embedder: Makes what gives the texts of a collection their vectors; without it, words are searched alone.
    :param reranker: What orders the best passages again, when a search asks for it.
    :param store: Makes where the vectors of a collection are kept, when that is not the database.
    """

    embedder: Callable[[str], BaseEmbedder] | None = None
    reranker: Reranker | None = None
    store: Callable[[str], BaseVectorStore] | None = None


class Libraries:
    """One `Library` for each collection of a database.

    :param equip: What all of them are equipped with; called once, when the first library is made.
    """

    def __init__(self, database: Database, equip: Callable[[], Equipment]) -> None:
        self._database = database
        self._equip = equip
        self._made: dict[str, Library] = {}
        self._lock = threading.Lock()
        self._jobs: dict[str, asyncio.Task[None]] = {}
        self.failures: dict[str, str] = {}
        """Collection → why its last job ended early."""

    def get(self, collection: str) -> Library:
        """The library of this collection. The first one imports what it stands on, which blocks.

        :raises InputError: it is no name of a collection.
        """
        from ..knowledge.library import Library

        with self._lock:
            if collection not in self._made:
                has = self._equipment
                self._made[collection] = Library(
                    self._database,
                    collection,
                    embedder=has.embedder(collection) if has.embedder else None,
                    reranker=has.reranker,
                    store=has.store(collection) if has.store and has.embedder else None,
                )
            return self._made[collection]

    @cached_property
    def _equipment(self) -> Equipment:
        return self._equip()

    def forget(self, collection: str) -> None:
        """Make the library anew when it is next asked for: the collection is gone."""
        with self._lock:
            self._made.pop(collection, None)

    async def embed(self, library: Library, context: ToolContext, seconds: float) -> Embedded | None:
        """Give waiting chunks their vectors for about this long; what is left is done behind the call.

        :returns: `None` without an embedder.
        """
        if library.embedder is None:
            return None
        if running := self._jobs.get(library.collection):
            running.cancel()  # what it has done is kept, and this call goes on and can say how far it is
        pace = Pace()

        def told(at: int, total: int) -> None:
            context.progress(at, total, " ".join(filter(None, ("embedding", pace.told(at, total)))))

        done = await library.embed(told, seconds=max(seconds, 1.0))
        self.failures.pop(library.collection, None)
        if done.left:
            self.embed_behind(library)
        return done

    def embed_behind(self, library: Library) -> None:
        """Give waiting chunks their vectors while other calls go on. On the event loop."""
        if library.embedder is not None and library.collection not in self._jobs:
            self._jobs[library.collection] = asyncio.create_task(self._behind(library))

    async def _behind(self, library: Library) -> None:
        try:
            await library.embed()
        except RactoError as error:
            self.failures[library.collection] = str(error)
            logger.warning("Embedding of %s stopped: %s", library.collection, error)
        finally:
            if self._jobs.get(library.collection) is asyncio.current_task():
                del self._jobs[library.collection]
