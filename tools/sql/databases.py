"""The databases of the settings, each opened when it is first asked."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ...knowledge.errors import InputError, unknown_name

if TYPE_CHECKING:
    from .source import Source


@dataclass(frozen=True, slots=True)
class Configured:
    """A database as it is configured.

    :param engine: What it is, as a person says it: `PostgreSQL`, `SQLite`.
    :param description: What is in it, in its owner's words.
    :param open: Makes the way to it; nothing is connected yet.
    """

    name: str
    engine: str
    description: str
    open: Callable[[], Source]


class Databases:
    """The configured databases by name. Safe between threads."""

    def __init__(self, configured: Mapping[str, Configured]) -> None:
        self._configured = configured
        self._open: dict[str, Source] = {}
        self._lock = threading.Lock()

    @property
    def listed(self) -> list[Configured]:
        """All of them, in the order of the settings."""
        return list(self._configured.values())

    def source(self, name: str = "") -> Source:
        """The database of this name; of no name when there is but one.

        :raises InputError: no name is given and there are several.
        :raises UnknownNameError: there is none of that name.
        """
        if not name:
            if len(self._configured) != 1:
                raise InputError("Which database?", f"Give database=, one of: {', '.join(self._configured)}.")
            name = next(iter(self._configured))
        if name not in self._configured:
            raise unknown_name("database", name, self._configured)
        with self._lock:
            if name not in self._open:
                self._open[name] = self._configured[name].open()
            return self._open[name]

    def close(self) -> None:
        """Hang up; whoever asks next connects again."""
        with self._lock:
            sources, self._open = list(self._open.values()), {}
        for source in sources:
            source.close()
