"""The latest results, so that what a call did not show can be asked for without running the query again."""

from __future__ import annotations

import secrets
import threading
from collections import OrderedDict

from ...knowledge.errors import InputError, UnknownNameError
from .results import QueryResult

MOST = 16
"""Results that are remembered."""
MOST_CELLS = 2_000_000
"""Of all of them together; about as many hundred bytes."""


class KeptResults:
    """Results by the beginning of their cursors; the oldest are forgotten. Safe between threads."""

    def __init__(self) -> None:
        self._kept: OrderedDict[str, QueryResult] = OrderedDict()
        self._lock = threading.Lock()

    def keep(self, result: QueryResult, shown: int) -> str:
        """The cursor behind the first `shown` rows; empty when there are no more."""
        if shown >= len(result.rows):
            return ""
        name = secrets.token_hex(4)
        with self._lock:
            self._kept[name] = result
            while len(self._kept) > MOST or (len(self._kept) > 1 and self._cells() > MOST_CELLS):
                self._kept.popitem(last=False)
        return f"{name}:{shown}"

    def after(self, cursor: str) -> tuple[QueryResult, int]:
        """The result of a cursor, and how many of its rows were shown.

        :raises InputError: it is no cursor, or behind the last row.
        :raises UnknownNameError: its result is forgotten.
        """
        name, _, shown = cursor.partition(":")
        if not (shown.isascii() and shown.isdigit() and len(shown) < 12):
            raise InputError(f"{cursor!r} is no cursor.", "Give the one an answer ended with, as it is.")
        with self._lock:
            result = self._kept.get(name)
        if result is None:
            raise UnknownNameError("That result is no longer remembered.", "Run the query again.")
        if int(shown) >= len(result.rows):
            raise InputError(
                f"There are no rows after {len(result.rows):,}.", "Give the cursor an answer ended with, as it is."
            )
        return result, int(shown)

    def _cells(self) -> int:
        return sum(len(one.rows) * max(1, len(one.columns)) for one in self._kept.values())
