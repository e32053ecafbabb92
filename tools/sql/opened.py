"""The databases a pipeline stays connected to."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable, Hashable, Iterator
from contextlib import contextmanager

from .source import Source

KEPT = 32


class Opened:
    """Guarded databases by what they were asked for; when there are too many, the one that was asked longest ago is closed."""

    def __init__(self) -> None:
        self._sources: OrderedDict[Hashable, Source] = OrderedDict()
        self._used: dict[Hashable, int] = {}
        self._lock = threading.Lock()

    @contextmanager
    def use(self, key: Hashable, make: Callable[[], Source]) -> Iterator[Source]:
        """The source of this key, which stays open at least as long as the block.

        :param make: Gives it when there is none.
        """
        with self._lock:
            if key not in self._sources:
                self._sources[key] = make()
            self._sources.move_to_end(key)
            self._used[key] = self._used.get(key, 0) + 1
            source = self._sources[key]
        try:
            yield source
        finally:
            with self._lock:
                self._used[key] -= 1
                if not self._used[key]:
                    del self._used[key]
                closing = self._surplus()
            for one in closing:
                one.close()

    def close(self) -> None:
        """Close all of them; a query that runs ends."""
        with self._lock:
            closing = [*self._sources.values()]
            self._sources.clear()
        for one in closing:
            one.close()

    def _surplus(self) -> list[Source]:
        idle = [key for key in self._sources if key not in self._used]
        return [self._sources.pop(key) for key in idle[: max(0, len(self._sources) - KEPT)]]
