"""Ids that may be found, as ranges: a filter leaves tens of thousands of them, so they are arrays."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import chain
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Integers = NDArray[np.int64]

_SAMPLE = 64


class Ranges:
    """Ids that may be found.

    :param pairs: First and last id of each range, in any order; ranges may overlap. As an array: (n, 2).
    """

    lows: Integers
    """The first id of each, ascending."""
    highs: Integers
    """The last id of each, below the next first one."""

    def __init__(self, pairs: Iterable[tuple[int, int]] | Integers) -> None:
        import numpy as np

        # Twice as quick as np.array for the tens of thousands of ranges a filter may leave.
        table = pairs if isinstance(pairs, np.ndarray) else np.fromiter(chain.from_iterable(pairs), np.int64)
        table = table.reshape(-1, 2)
        table = table[table[:, 0] <= table[:, 1]]
        table = table[np.argsort(table[:, 0], kind="stable")]
        reach = np.maximum.accumulate(table[:, 1])
        apart = table[1:, 0] > reach[:-1] + 1
        some = len(table) > 0
        self.lows = table[np.concatenate([[some], apart])[: len(table)], 0]
        self.highs = reach[np.concatenate([apart, [some]])[: len(table)]]

    def within(self, ids: Integers) -> tuple[Integers, Integers]:
        """Where the ids of each range that reaches into these begin and end among them.

        :param ids: Ascending; at least one.
        """
        import numpy as np

        first = np.searchsorted(self.highs, ids[0])
        last = np.searchsorted(self.lows, ids[-1], "right")
        return np.searchsorted(ids, self.lows[first:last]), np.searchsorted(ids, self.highs[first:last], "right")

    def places(self, ids: Integers) -> Integers:
        """Where among these ids, ascending and at least one, those lie that are in a range."""
        import numpy as np

        starts, stops = self.within(ids)
        lengths = stops - starts
        before = np.cumsum(lengths) - lengths
        found: Integers = np.repeat(starts - before, lengths) + np.arange(lengths.sum())
        return found

    def hold(self, ids: Integers) -> NDArray[np.bool_]:
        """Which of these ids lie in a range."""
        import numpy as np

        if not len(self.lows):
            return np.zeros(len(ids), bool)
        nearest = np.searchsorted(self.lows, ids, "right") - 1
        held: NDArray[np.bool_] = (nearest >= 0) & (ids <= self.highs[nearest])
        return held

    def share(self, ids: Integers) -> float:
        """About which part of these ids lies in a range: a look at some of them, at even distances."""
        return float(self.hold(ids[:: max(1, len(ids) // _SAMPLE)]).mean())
