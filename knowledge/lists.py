"""The inverted index as arrays: the lists of terms, and what is remembered of them between searches."""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Hashable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from .errors import CorruptError
from .postings import BLOCK, FIELDS, FREQUENCY_BITS, LENGTH, MAX_FREQUENCY

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    Floats = npt.NDArray[np.float64]
    Integers = npt.NDArray[np.intp]
    Flags = npt.NDArray[np.bool_]

_REMEMBERED = 2_000_000  # postings kept unpacked, 16 bytes each: the words every question has


@dataclass(slots=True)
class Postings:
    """The pages that hold a term in one field.

    :param places: Ascending.
    :param frequencies: How often each of them does.
    :param impacts: What `BM25` makes of that, with the parameters it was last asked for with.
    """

    term: str
    field: int
    places: Integers
    frequencies: npt.NDArray[np.uint32]
    impacts: tuple[tuple[float, float], Floats] | None = None

    def among(self, places: Integers) -> tuple[Flags, Integers]:
        """Which of these places hold the term, and where in the list those that do stand."""
        import numpy as np

        spots = np.minimum(np.searchsorted(self.places, places), len(self.places) - 1)
        holds = self.places[spots] == places
        return holds, spots[holds]


@dataclass(slots=True)
class Statistics:
    """What is remembered of one revision of a collection. Pages have *places*: their blocks laid end to end.

    :param first: Block → the place of its first page.
    :param places: Where there is a page, ascending.
    :param page_ids: The ids of the pages there.
    :param lengths: Field number → place → number of terms.
    :param kept: What an engine worked out and wants to find again.
    """

    collection_id: int
    revision: int
    first: dict[int, int]
    places: Integers
    page_ids: Integers
    lengths: list[Floats]
    kept: dict[Hashable, Any] = field(default_factory=dict)
    _recent: dict[tuple[str, int], list[Postings]] = field(default_factory=dict)
    _room: int = _REMEMBERED
    _lock: threading.Lock = field(default_factory=threading.Lock)

    @classmethod
    def load(cls, connection: sqlite3.Connection, collection_id: int, revision: int) -> Statistics:
        """Read the page lengths of a collection: one row for each field of a block.

        :raises CorruptError: some are missing.
        """
        import numpy as np

        next_block = "SELECT block FROM postings WHERE collection_id = ? AND block > ? ORDER BY block LIMIT 1"
        blocks: list[int] = []
        while row := connection.execute(next_block, (collection_id, blocks[-1] if blocks else -1)).fetchone():
            blocks.append(row[0])
        first = {block: nth * BLOCK for nth, block in enumerate(blocks)}
        found = cls(collection_id, revision, first, np.empty(0, np.intp), np.empty(0, np.intp), [])
        for postings in found._unpacked(connection, LENGTH, len(FIELDS)):
            found.places = postings.places
            found.lengths.append(np.zeros(len(blocks) * BLOCK))
            found.lengths[-1][postings.places] = postings.frequencies
        if blocks and len(found.lengths) < len(FIELDS):
            raise damaged()
        found.page_ids = np.array(blocks, np.intp)[found.places // BLOCK] * BLOCK + found.places % BLOCK
        return found

    def postings(self, connection: sqlite3.Connection, term: str, fields: int) -> list[Postings]:
        """The pages that hold a term, for each of the first `fields` fields where any does."""
        with self._lock:
            found = self._recent.pop((term, fields), None)
            if found is not None:
                self._room += _room(found)
        if found is None:
            found = self._unpacked(connection, term, fields)
        with self._lock:
            if (term, fields) not in self._recent:  # another thread may have been faster
                self._recent[term, fields] = found  # the last asked for is the last to be forgotten
                self._room -= _room(found)
            while self._room < 0:
                self._room += _room(self._recent.pop(next(iter(self._recent))))
        return found

    def _unpacked(self, connection: sqlite3.Connection, term: str, fields: int) -> list[Postings]:
        """The same, read from the database.

        :raises CorruptError: they are no lists.
        """
        import numpy as np

        numbers = ",".join(map(str, self.first))
        rows = connection.execute(
            f"SELECT field, block, data FROM postings WHERE collection_id = ? AND block IN ({numbers}) AND term = ? AND field < ?"  # noqa: S608 - numbers
            " ORDER BY block",
            (self.collection_id, term, fields),
        ).fetchall()
        found = []
        for number in sorted({row[0] for row in rows}):
            parts = [(self.first[block], data) for at, block, data in rows if at == number]
            if any(len(data) % 4 for _, data in parts):
                raise damaged()
            packed = np.frombuffer(b"".join(data for _, data in parts), ">u4").astype(np.uint32)
            starts = np.repeat([start for start, _ in parts], [len(data) // 4 for _, data in parts])
            found.append(
                Postings(
                    term, number, starts + (packed >> np.uint32(FREQUENCY_BITS)), packed & np.uint32(MAX_FREQUENCY)
                )
            )
        return found

    def norm(self, number: int, k1: float, b: float) -> Floats:
        """Place → what BM25 adds to the frequency in its denominator: `k1 * (1 - b + b * length / average length)`."""
        key = (number, k1, b)
        if key not in self.kept:
            average = self.lengths[number].sum() / len(self.places)
            self.kept[key] = k1 * (1 - b + b * self.lengths[number] / average)
        norm: Floats = self.kept[key]
        return norm


def damaged() -> CorruptError:
    """The error for rows of the index that cannot be what was written."""
    return CorruptError(
        "The index of words is damaged.", "Run `racto rebuild`: it makes the index again from the stored text."
    )


def _room(lists: list[Postings]) -> int:
    """What remembering the postings of a term costs, in postings."""
    return 50 + sum(len(postings.places) for postings in lists)
