"""What is remembered of a space between searches: its ids with the codes or with the numbers of its vectors, in ascending order of the ids.

Nothing in a mirror ever changes, so any number of threads may look into it. After a write the next one is made of the stretches that are
as they were and of the few blocks that are not.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from .ranges import Ranges
from .vector_blocks import block_at, damaged, directory, read_vectors
from .vector_codes import distances

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from .vector_blocks import Integers
    from .vector_codes import Codes, Floats

_STRETCH = 64  # blocks: copied when one of them changes, scanned in one go
_SAME = 1e-6  # what single precision may be wrong by
_FEW = 4  # where fewer than one in so many may be chosen, the others are not looked at


@dataclass(slots=True)
class Stretch:
    """Some blocks of a space, one after the other.

    :param blocks: First id and revision of each.
    :param ends: Where each of them ends here.
    :param codes: (words, n), in a mirror for estimates.
    :param numbers: (n, dimension), in a mirror for exact search.
    """

    blocks: list[tuple[int, int]]
    ends: list[int]
    ids: Integers
    serials: Integers
    codes: Codes | None
    numbers: Floats | None

    def part(self, nth: int) -> slice:
        """Where a block is."""
        return slice(self.ends[nth - 1] if nth else 0, self.ends[nth])


@dataclass(slots=True)
class Mirror:
    """A space at one revision.

    :param centre: What codes are seen from; `None` in a mirror for exact search.
    """

    space_id: int
    dimension: int
    revision: int
    centre: Floats | None
    stretches: list[Stretch]

    @classmethod
    def read(
        cls,
        connection: sqlite3.Connection,
        space_id: int,
        dimension: int,
        revision: int,
        centre: Floats | None,
        old: Mirror | None,
    ) -> Mirror:
        """The space as it is now.

        :param old: The mirror of an earlier state; what is in it is not read again.
        :raises CorruptError: the blocks contradict each other.
        """
        now = directory(connection, space_id)
        before = old.stretches if old else []
        known = {key: (stretch, nth) for stretch in before for nth, key in enumerate(stretch.blocks)}
        same = {stretch.blocks[0]: stretch for stretch in before}
        mirror = cls(space_id, dimension, revision, centre, [])
        for blocks in _grouped(now, {stretch.blocks[0][0] for stretch in before}):
            there = same.get(blocks[0])
            if there is None or there.blocks != blocks:
                there = mirror._stretch(connection, blocks, known)
            if mirror.stretches and there.ids[0] <= mirror.stretches[-1].ids[-1]:
                raise damaged()
            mirror.stretches.append(there)
        return mirror

    def __len__(self) -> int:
        return sum(len(stretch.ids) for stretch in self.stretches)

    def shares(self, ranges: Ranges | None) -> list[float]:
        """About which part of each stretch may be found, 0 to 1."""
        return [1.0 if ranges is None else ranges.share(stretch.ids) for stretch in self.stretches]

    def _stretch(
        self,
        connection: sqlite3.Connection,
        blocks: list[tuple[int, int]],
        known: dict[tuple[int, int], tuple[Stretch, int]],
    ) -> Stretch:
        import numpy as np

        ids, serials, codes, numbers = [], [], [], []
        for key in blocks:
            if key in known:
                old, nth = known[key]
                part = old.part(nth)
                ids.append(old.ids[part])
                serials.append(old.serials[part])
                if old.codes is not None:
                    codes.append(old.codes[:, part])
                if old.numbers is not None:
                    numbers.append(old.numbers[part])
                continue
            block = block_at(connection, self.space_id, self.dimension, key[0])
            ids.append(block.ids)
            serials.append(block.serials)
            if self.centre is None:
                numbers.append(read_vectors(connection, self.space_id, self.dimension, block.serials))
            elif len(block.codes) == len(block.ids):
                codes.append(block.codes.T)
            else:
                raise damaged()
        joined = np.concatenate(ids)
        if not (joined[1:] > joined[:-1]).all():
            raise damaged()
        return Stretch(
            blocks,
            np.cumsum([len(part) for part in ids]).tolist(),
            joined,
            np.concatenate(serials),
            np.ascontiguousarray(np.concatenate(codes, axis=1)) if codes else None,
            np.concatenate(numbers) if numbers else None,
        )


def _grouped(blocks: list[tuple[int, int]], starts: set[int]) -> Iterator[list[tuple[int, int]]]:
    """Blocks by stretches, begun where they began before, so that a change here does not move everything there."""
    group: list[tuple[int, int]] = []
    for key in blocks:
        if group and (key[0] in starts or len(group) == _STRETCH):
            yield group
            group = []
        group.append(key)
    if group:
        yield group


def best(mirror: Mirror, query: Floats, limit: int, ranges: Ranges | None) -> tuple[Integers, Floats]:
    """The ids of the vectors most similar to the query, at least `limit` where there are so many, and the vectors."""
    import numpy as np

    scores, ids, numbers = [], [], []
    for stretch in mirror.stretches:
        assert stretch.numbers is not None
        places = None if ranges is None else ranges.places(stretch.ids)
        if places is not None and len(places) * _FEW < len(stretch.ids):
            found = stretch.numbers[places] @ query
        else:
            found = stretch.numbers @ query
            found = found if places is None else found[places]
        chosen = near_best(found, limit)
        scores.append(found[chosen])
        at = chosen if places is None else places[chosen]
        ids.append(stretch.ids[at])
        numbers.append(stretch.numbers[at])
    if not ids:
        return np.empty(0, np.int64), np.empty((0, mirror.dimension), np.float32)
    chosen = near_best(np.concatenate(scores), limit)
    return np.concatenate(ids)[chosen], np.concatenate(numbers)[chosen]


def near_best(scores: Floats, limit: int) -> Integers:
    """Where the best of the scores are, and those too near to the last of them to be told apart in single precision."""
    import numpy as np

    if len(scores) <= limit:
        return np.arange(len(scores))
    least = np.partition(scores, len(scores) - limit)[len(scores) - limit]
    return np.flatnonzero(scores >= least - _SAME)[: 1_000 + 10 * limit]


def nearest(
    mirror: Mirror, code: Codes, keep: int, ranges: Ranges | None, shares: list[float]
) -> tuple[Integers, Codes]:
    """The codes with the fewest differing bits.

    :param shares: As `Mirror.shares` tells them of the ranges.
    :returns: The serials of at most `keep` and their ids as one (2, n) array, and their codes, (words, n).
    """
    import numpy as np

    places, bits, owners = [np.empty(0, np.int64)], [np.empty(0, np.uint16)], [np.empty(0, np.int64)]
    bound: int | None = None
    for nth, stretch in enumerate(mirror.stretches):
        found, differing = _near(stretch, code, keep, ranges, shares[nth], bound)
        places.append(found)
        bits.append(differing)
        owners.append(np.full(len(found), nth))
        if sum(map(len, places)) >= (keep if bound is None else 4 * keep):
            places, bits, owners = _fewest(keep, places, bits, owners)
            bound = int(bits[0].max(initial=0))
    (place,), _, (owner,) = _fewest(keep, places, bits, owners)
    chosen = [(stretch, place[owner == nth]) for nth, stretch in enumerate(mirror.stretches)]
    names = [np.stack([stretch.ids[at], stretch.serials[at]]) for stretch, at in chosen if len(at)]
    codes = [stretch.codes[:, at] for stretch, at in chosen if len(at) and stretch.codes is not None]
    if not names:
        return np.empty((2, 0), np.int64), np.empty((len(code), 0), np.uint64)
    return np.concatenate(names, axis=1), np.concatenate(codes, axis=1)


def _fewest(
    keep: int, places: list[Integers], bits: list[NDArray[np.uint16]], owners: list[Integers]
) -> tuple[list[Integers], list[NDArray[np.uint16]], list[Integers]]:
    """The `keep` with the fewest differing bits, the first among equals, as lists of one."""
    import numpy as np

    place, differing, owner = np.concatenate(places), np.concatenate(bits), np.concatenate(owners)
    if len(place) > keep:
        order = np.argsort(differing, kind="stable")[:keep]
        place, differing, owner = place[order], differing[order], owner[order]
    return [place], [differing], [owner]


def _near(
    stretch: Stretch, code: Codes, keep: int, ranges: Ranges | None, share: float, bound: int | None
) -> tuple[Integers, NDArray[np.uint16]]:
    """The places in a stretch with at most `bound` differing bits; without a bound at least `keep`, where there are so many."""
    import numpy as np

    assert stretch.codes is not None
    size = len(stretch.ids)
    if ranges is not None and share * _FEW < 1:
        places = ranges.places(stretch.ids)
        differing = distances(stretch.codes[:, places], code)
        close = slice(None) if bound is None else differing <= bound
        return places[close], differing[close]
    differing = distances(stretch.codes, code)
    wanted = int(keep / share) + 1
    while True:
        most = bound if bound is not None else _nth(differing, wanted)
        places = np.flatnonzero(differing <= most)
        if ranges is not None:
            places = places[ranges.hold(stretch.ids[places])]
        if bound is not None or len(places) >= keep or wanted >= size:
            return places, differing[places]
        wanted *= 2  # fewer of the near ones may be chosen than of all


def _nth(values: NDArray[np.uint16], nth: int) -> int:
    import numpy as np

    nth = min(nth, len(values))
    return int(np.partition(values, nth - 1)[nth - 1])
