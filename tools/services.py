"""What tools stand on, put together once by `server/app.py`."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING

from ..agents.calls import Caller
from ..knowledge.database import Database
from ..knowledge.roots import Roots

if TYPE_CHECKING:
    from ..agents.budget import Budget
    from ..agents.gateway import ModelGateway
    from ..agents.models import ModelRegistry
    from .libraries import Equipment, Libraries
    from .shared_turns import SharedTurns
    from .sql.databases import Databases
    from .watches import Watches

OWNER = Caller().name
"""Whose conversations are readable as resources, which know no caller."""


@dataclass(frozen=True, slots=True)
class Models:
    """What thinks, what that may cost, and what is known of it."""

    gateway: ModelGateway
    budget: Budget
    registry: ModelRegistry


def _bare(services: Services) -> Equipment:
    from .libraries import Equipment

    return Equipment()


def _no_databases() -> Databases:
    from .sql.databases import Databases

    return Databases({})


def _none(database: Database) -> Models:
    from ..agents.budget import Budget
    from ..agents.gateway import ModelGateway
    from ..agents.models import ModelRegistry

    return Models(ModelGateway(chain=()), Budget(database), ModelRegistry())


@dataclass
class Services:
    """The things a toolset may use.

    :param database: Where everything is kept.
    :param roots: The folders whose files a tool may read.
    :param equip: Makes what libraries are equipped with, over the models; called once, by the first tool that needs one. By default nothing.
    :param follows: Whether followed folders are kept up with: not by a server that changes nothing, nor by a command that soon ends.
    :param turns: Where several servers share the turns of conversations.
    :param databases: The databases that may be asked.
    :param connect: Makes the way to the models; called once, by the first tool that needs it. By default no model is set up.
    """

    database: Database = field(default_factory=Database)
    roots: Roots = field(default_factory=Roots)
    connect: Callable[[Database], Models] = _none
    equip: Callable[[Services], Equipment] = _bare
    follows: bool = True
    turns: SharedTurns | None = None
    databases: Databases = field(default_factory=_no_databases)
    _models: Models | None = field(default=None, init=False, repr=False)
    _lock: threading.Lock = field(default_factory=threading.Lock, init=False, repr=False)

    @cached_property
    def libraries(self) -> Libraries:
        """The collections, each with what searches it."""
        from .libraries import Libraries  # not needed before the first document

        return Libraries(self.database, lambda: self.equip(self))

    @cached_property
    def watches(self) -> Watches:
        """The folders that are followed."""
        from .watches import Watches

        return Watches(self.database, self.roots, self.libraries, self.follows)

    def connected(self) -> Models:
        """The way to the models; the first time this imports it, which blocks.

        :raises ConfigError: the settings of the models are wrong.
        """
        with self._lock:
            if self._models is not None:
                return self._models
            made = self.connect(self.database)
            self._models = made
            return made

    async def models(self) -> Models:
        """`connected`, off the event loop."""
        if self._models is not None:
            return self._models
        return await asyncio.to_thread(self.connected)

    def close(self) -> None:
        """Close the database, and end the queries of others: everything that is in the one file is in it."""
        self.databases.close()
        self.database.close()

    async def aclose(self) -> None:
        """Hang up, if there ever was a connection."""
        if self._models is not None:
            await self._models.gateway.aclose()
