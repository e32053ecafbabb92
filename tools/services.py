"""What tools stand on, put together once by `server/app.py`."""

from __future__ import annotations

from dataclasses import dataclass, field

from ..knowledge.database import Database
from ..knowledge.roots import Roots


@dataclass(slots=True)
class Services:
    """The things a toolset may use.

    :param database: Where everything is kept.
    :param roots: The folders whose files a tool may read.
    """

    database: Database = field(default_factory=Database)
    roots: Roots = field(default_factory=Roots)
