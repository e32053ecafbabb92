"""The vector engine: spaces of vectors in the one SQLite file, compared by cosine.

A search scans one bit a dimension of every vector (`vector_codes.py`), estimates the nearest by their codes, and compares the best of
those with the half-precision numbers of the file. A space of fewer than 10,000 vectors or of short ones, or one that shall be searched
exactly, is kept as numbers in memory and compared with all of them.

Everything here runs inside a transaction of the caller's: what it undoes was never there.
"""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from . import vector_blocks
from .errors import ConflictError, InputError
from .vector_blocks import (
    BLOCK,
    Block,
    blocks_of,
    damaged,
    delete_vectors,
    insert_vectors,
    read_vectors,
    stamp,
    write_block,
)
from .vector_codes import encode, estimates, turned, unit, words_of
from .vector_mirror import Mirror, best, near_best, nearest

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from .ranges import Ranges
    from .vector_blocks import Integers
    from .vector_codes import Codes, Floats

CODED_FROM = 10_000
"""Vectors from which on a space has codes: with fewer, comparing all of them is as quick."""
_CODED_WIDTH = 128
"""Numbers from which on a vector has a code: shorter ones have too few bits to tell them apart, and are quickly compared."""
_REMEMBERED = 16  # spaces
_LEARNT_FROM = 20_000  # vectors of which the centre is the mean
_EASY = 160_000
"""Vectors among which the first candidates are enough; among ten times as many, two and a half times as many candidates are, among half as many three quarters."""


@dataclass(frozen=True, slots=True)
class Space:
    """Vectors that may be compared with each other.

    :param label: Who made them: the name of an embedder.
    :param dimension: Numbers in each.
    :param revision: Another number after every change.
    """

    id: int
    name: str
    label: str
    dimension: int
    revision: int


def open_space(connection: sqlite3.Connection, name: str, label: str, dimension: int) -> Space:
    """The space of this name, made when it is missing.

    :raises ConflictError: it is there, with vectors of another label or dimension.
    :raises InputError: a dimension below 1.
    """
    found = space_named(connection, name)
    if found is None:
        if dimension < 1:
            raise InputError(f"Vectors of {dimension} numbers cannot be.", "Ask the embedder for its dimension.")
        connection.execute(
            "INSERT INTO vector_spaces (name, label, dimension, revision) VALUES (?, ?, ?, ?)",
            (name, label, dimension, stamp()),
        )
        found = space_named(connection, name)
        assert found is not None
    if (found.label, found.dimension) != (label, dimension):
        raise ConflictError(
            f"Vectors of {label or 'no label'} with {dimension} numbers do not fit among those of {found.label or 'no label'} with {found.dimension}.",
            "Use the embedder that made them, or embed everything again.",
        )
    return found


def space_named(connection: sqlite3.Connection, name: str) -> Space | None:
    """The space of this name, if there is one."""
    row = connection.execute(
        "SELECT id, name, label, dimension, revision FROM vector_spaces WHERE name = ?", (name,)
    ).fetchone()
    if row and row[3] < 1:
        raise damaged()
    return Space(*row) if row else None


def drop_space(connection: sqlite3.Connection, name: str) -> None:
    """Remove a space with all its vectors; one that is not there is no error."""
    for (space_id,) in connection.execute("SELECT id FROM vector_spaces WHERE name = ?", (name,)).fetchall():
        vector_blocks.delete_all(connection, space_id)
        connection.execute("DELETE FROM vector_spaces WHERE id = ?", (space_id,))


def put(connection: sqlite3.Connection, space: Space, ids: Sequence[int], vectors: NDArray[np.float32]) -> None:
    """Keep vectors; one whose id has a vector already replaces it, and of several for one id the last counts.

    :param ids: Any 64-bit integers.
    :param vectors: (n, dimension), of any length but zero; they are kept at length 1 in half precision.
    :raises InputError: not one vector for each id, a wrong dimension, a zero vector, NaN or infinity. Nothing was kept.
    """
    import numpy as np

    if len(ids) != len(vectors):
        raise InputError(f"{len(ids)} ids and {len(vectors)} vectors were given.", "Give one vector for each id.")
    if not len(ids):
        return
    units = unit(vectors, space.dimension)
    names, places = np.unique(np.asarray(ids, np.int64)[::-1], return_index=True)
    units = units[len(units) - 1 - places]
    centre, first_serial, count = _state(connection, space)
    serials = insert_vectors(connection, space.id, first_serial, units)
    codes = _no_codes(space) if centre is None else encode(turned(units, centre))
    start = 0
    for block, there in blocks_of(connection, space.id, space.dimension, names, codes=True):
        new = slice(start, start + len(there))
        fresh = Block(0, int(names[start]), there, serials[new], codes[new])
        count += len(there) - (_merge(connection, space, block, fresh) if block else _append(connection, space, fresh))
        start = new.stop
    connection.execute(
        "UPDATE vector_spaces SET revision = ?, next_serial = ?, vector_count = ? WHERE id = ?",
        (stamp(), first_serial + len(units), count, space.id),
    )
    if centre is None and count >= CODED_FROM and space.dimension >= _CODED_WIDTH:
        _learn(connection, space)


def remove(connection: sqlite3.Connection, space: Space, ids: Sequence[int]) -> None:
    """Remove the vectors of these ids; one that has none is no error. What they took in the file is used again."""
    import numpy as np

    gone = 0
    for block, there in blocks_of(connection, space.id, space.dimension, _sorted(ids), codes=True):
        if block is None:
            return
        stays = ~np.isin(block.ids, there, kind="sort")
        if stays.all():
            continue
        delete_vectors(connection, space.id, block.serials[~stays])
        gone += len(stays) - int(stays.sum())
        write_block(connection, space.id, _picked(block, stays))
    if gone:
        connection.execute(
            "UPDATE vector_spaces SET revision = ?, vector_count = vector_count - ? WHERE id = ?",
            (stamp(), gone, space.id),
        )


def missing(connection: sqlite3.Connection, space: Space, ids: Sequence[int]) -> list[int]:
    """Those of these ids that have no vector, ascending."""
    import numpy as np

    lacking: list[int] = []
    for block, asked in blocks_of(connection, space.id, space.dimension, _sorted(ids)):
        lacking += asked[~np.isin(asked, block.ids, kind="sort")].tolist() if block else asked.tolist()
    return lacking


def vectors_of(connection: sqlite3.Connection, space: Space, ids: Sequence[int]) -> NDArray[np.float32]:
    """The vectors of these ids, in their order: (n, dimension), at length 1 but for rounding to half precision.

    :raises InputError: one has none.
    """
    import numpy as np

    asked, back = np.unique(np.asarray(ids, np.int64), return_inverse=True)
    serials = np.full(len(asked), -1)
    start = 0
    for block, there in blocks_of(connection, space.id, space.dimension, asked):
        if block is not None:
            _, at, found = np.intersect1d(there, block.ids, assume_unique=True, return_indices=True)
            serials[start + at] = block.serials[found]
        start += len(there)
    if (serials < 0).any():
        raise InputError(
            f"There is no vector for {asked[serials < 0][0]} in {space.name}.", "Ask which are missing first."
        )
    return read_vectors(connection, space.id, space.dimension, serials)[back]


def count(connection: sqlite3.Connection, space: Space) -> int:
    """How many vectors there are."""
    return _state(connection, space)[2]


def sample(connection: sqlite3.Connection, space: Space, size: int) -> NDArray[np.float32]:
    """About so many vectors at even distances, or all when there are fewer: (n, dimension)."""
    import numpy as np

    starts = [first for first, _ in vector_blocks.directory(connection, space.id)]
    starts = starts[:: max(1, len(starts) // 16)]
    blocks = [vector_blocks.block_at(connection, space.id, space.dimension, first) for first in starts]
    serials = np.concatenate([np.empty(0, np.int64), *(block.serials for block in blocks)])
    return read_vectors(connection, space.id, space.dimension, serials[:: max(1, len(serials) // size)])


class VectorSearcher:
    """Finds the nearest vectors, and remembers between searches what did not change; safe to share between threads.

    It takes 64 bytes a vector of 384 numbers, or 1.6 KB where a space is small or searched exactly.
    """

    def __init__(self) -> None:
        self._mirrors: dict[tuple[int, bool], Mirror] = {}
        self._lock = threading.Lock()

    def search(
        self,
        connection: sqlite3.Connection,
        space: Space,
        query: Sequence[float],
        *,
        limit: int,
        among: Ranges | None = None,
        exact: bool = False,
    ) -> list[tuple[int, float]]:
        """The ids of the nearest vectors with their cosines, -1 to 1, best first, and among equals by id.

        :param query: A vector of any length but zero.
        :param among: The ids to choose from.
        :param exact: Compare with every vector. Without it, about one in a hundred of the nearest is missed in a large space.
        :raises InputError: the query has another dimension than the space, is zero, or holds NaN or infinity.
        """
        import numpy as np

        asked = unit(np.asarray([query], np.float64), space.dimension)[0]
        if limit < 1:
            return []
        mirror = self._current(connection, space, exact)
        if mirror.centre is None:
            ids, vectors = best(mirror, asked, limit, among)
        else:
            seen = turned(asked[None], mirror.centre)
            shares = mirror.shares(among)
            there = sum(share * len(stretch.ids) for share, stretch in zip(shares, mirror.stretches, strict=True))
            # The fewer bits, the less they say, and the more vectors, the closer the nearest lie together.
            more = max(1, 384 / space.dimension) * max(0.7, (there / _EASY) ** 0.4)
            (ids, serials), codes = nearest(mirror, encode(seen)[0], int(more * (800 + 20 * limit)), among, shares)
            chosen = near_best(estimates(codes, seen[0]), int(more * (160 + 4 * limit)))
            ids = ids[chosen]
            vectors = read_vectors(connection, space.id, space.dimension, serials[chosen])
        # Summed row by row and not by a matrix product, whose rounding depends on where a row stands: equals must come out equal.
        cosines = np.clip((vectors * asked).sum(axis=1, dtype=np.float64), -1, 1)
        order = np.lexsort((ids, -cosines))[:limit]
        return list(zip(ids[order].tolist(), cosines[order].tolist(), strict=True))

    def _current(self, connection: sqlite3.Connection, space: Space, exact: bool) -> Mirror:
        """The mirror of the state this connection sees.

        :raises CorruptError: that state is damaged.
        """
        row = connection.execute(
            "SELECT revision, centre, vector_count FROM vector_spaces WHERE id = ?", (space.id,)
        ).fetchone()
        revision, packed, there = row or (-1, None, 0)
        centre = None if exact else _unpacked(packed, space)
        key = (space.id, centre is None)
        old = self._mirrors.get(key)
        if old is None or old.revision != revision:
            new = Mirror.read(connection, space.id, space.dimension, revision, centre, old)
            if len(new) != there:
                raise damaged()
            with self._lock:
                self._mirrors.pop(key, None)
                self._mirrors[key] = new
                while len(self._mirrors) > _REMEMBERED:
                    del self._mirrors[next(iter(self._mirrors))]
            return new
        return old


def _state(connection: sqlite3.Connection, space: Space) -> tuple[Floats | None, int, int]:
    """The centre of a space, the next serial, and how many vectors there are."""
    row = connection.execute(
        "SELECT centre, next_serial, vector_count FROM vector_spaces WHERE id = ?", (space.id,)
    ).fetchone()
    if row is None:
        raise ConflictError(f"{space.name} was removed meanwhile.", "Open it again.")
    return _unpacked(row[0], space), row[1], row[2]


def _unpacked(centre: bytes | None, space: Space) -> Floats | None:
    """
    :raises CorruptError: it is no centre.
    """
    import numpy as np

    if centre is None:
        return None
    if len(centre) != 4 * space.dimension:
        raise damaged()
    found = np.frombuffer(centre, np.float32)
    if not (abs(found) <= 1).all():
        raise damaged()
    return found


def _merge(connection: sqlite3.Connection, space: Space, block: Block, new: Block) -> int:
    """Put vectors into the block they belong to.

    :returns: How many were replaced.
    """
    import numpy as np

    stays = ~np.isin(block.ids, new.ids, kind="sort")
    if not stays.all():
        delete_vectors(connection, space.id, block.serials[~stays])
    ids = np.concatenate([block.ids[stays], new.ids])
    order = np.argsort(ids, kind="stable")
    whole = Block(
        block.row,
        min(block.first, new.first),
        ids[order],
        np.concatenate([block.serials[stays], new.serials])[order],
        np.concatenate([block.codes[stays], new.codes])[order] if len(new.codes) else new.codes,
    )
    _write_pieces(connection, space, whole, filled=new.first > block.ids[-1])
    return len(stays) - int(stays.sum())


def _append(connection: sqlite3.Connection, space: Space, new: Block) -> int:
    """Write the first vectors of a space; none are replaced."""
    _write_pieces(connection, space, new, filled=True)
    return 0


def _write_pieces(connection: sqlite3.Connection, space: Space, whole: Block, *, filled: bool) -> None:
    """Write a block that may have become too large.

    :param filled: What came, came at the end: more is likely to, so the pieces are full ones. Otherwise they are equal ones.
    """
    import numpy as np

    size = len(whole.ids)
    number = -(-size // BLOCK)
    edges = np.arange(BLOCK, size, BLOCK) if filled else np.arange(1, number) * size // number
    for start, stop in zip([0, *edges.tolist()], [*edges.tolist(), size], strict=True):
        first = int(whole.ids[start]) if start else whole.first
        part = slice(start, stop)
        piece = Block(0 if start else whole.row, first, whole.ids[part], whole.serials[part], whole.codes[part])
        write_block(connection, space.id, piece)


def _learn(connection: sqlite3.Connection, space: Space) -> None:
    """Give a space that has become large its centre, and every vector its code."""
    import numpy as np

    starts = [first for first, _ in vector_blocks.directory(connection, space.id)]
    blocks = [vector_blocks.block_at(connection, space.id, space.dimension, first) for first in starts]
    serials = np.concatenate([block.serials for block in blocks])
    some = serials[:: max(1, len(serials) // _LEARNT_FROM)]
    centre = read_vectors(connection, space.id, space.dimension, some).mean(axis=0)
    for block in blocks:
        block.codes = encode(turned(read_vectors(connection, space.id, space.dimension, block.serials), centre))
        write_block(connection, space.id, block)
    connection.execute("UPDATE vector_spaces SET centre = ? WHERE id = ?", (centre.tobytes(), space.id))


def _picked(block: Block, which: NDArray[np.bool_]) -> Block:
    codes = block.codes[which] if len(block.codes) else block.codes
    return Block(block.row, block.first, block.ids[which], block.serials[which], codes)


def _no_codes(space: Space) -> Codes:
    import numpy as np

    return np.empty((0, words_of(space.dimension)), np.uint64)


def _sorted(ids: Sequence[int]) -> Integers:
    import numpy as np

    return np.unique(np.asarray(ids, np.int64))
