"""Vectors as rows: each as half-precision numbers in a row of its own, and, by blocks of up to 1,024, which they are and their codes.

The blocks of a space share out its ids in ascending order, so a change rewrites one block of 64 KB and a search need not read the vectors.
"""

from __future__ import annotations

import secrets
import sqlite3
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from .errors import CorruptError
from .vector_codes import words_of

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from .vector_codes import Codes, Floats

    Integers = NDArray[np.int64]

BLOCK = 1_024
_SERIAL_BITS = 40
_READ = 5_000  # rows asked for at a time
_ROUNDED = 0.02  # by how much the square of a length of 1 is off in half precision, and more


@dataclass(slots=True)
class Block:
    """A stretch of the ids of a space.

    :param row: Its row; 0 before it is written.
    :param first: No id in it is smaller; every id from here to the next block's belongs here.
    :param ids: Ascending.
    :param serials: Where the vectors are.
    :param codes: (n, words); no rows while the space has no codes.
    """

    row: int
    first: int
    ids: Integers
    serials: Integers
    codes: Codes


def stamp() -> int:
    """A number for a new state of a space or block: drawn, so that the number of a state that was rolled back never comes again."""
    return secrets.randbits(62)


def directory(connection: sqlite3.Connection, space_id: int) -> list[tuple[int, int]]:
    """First id and revision of every block, in the order of their ids."""
    return connection.execute(
        "SELECT first, revision FROM vector_blocks WHERE space_id = ? ORDER BY first", (space_id,)
    ).fetchall()


def block_at(connection: sqlite3.Connection, space_id: int, dimension: int, first: int) -> Block:
    """The block that begins with this id, with its codes."""
    row, ids, serials, codes = connection.execute(
        "SELECT id, ids, serials, codes FROM vector_blocks WHERE space_id = ? AND first = ?", (space_id, first)
    ).fetchone()
    return _block(row, first, ids, serials, codes, dimension)


def blocks_of(
    connection: sqlite3.Connection, space_id: int, dimension: int, ids: Integers, *, codes: bool = False
) -> Iterator[tuple[Block | None, Integers]]:
    """The blocks these ids belong to, each with the ids that belong there.

    :param ids: Ascending, no id twice.
    :param codes: Read the codes as well; without them a block cannot be written back.
    :returns: `None` for the block when the space has none yet.
    """
    import numpy as np

    start = 0
    columns = f"id, first, ids, serials, {'codes' if codes else 'NULL'}"
    while start < len(ids):
        found = (
            connection.execute(
                f"SELECT {columns} FROM vector_blocks WHERE space_id = ? AND first <= ? ORDER BY first DESC LIMIT 1",  # noqa: S608 - literals of ours
                (space_id, int(ids[start])),
            ).fetchone()
            or connection.execute(
                f"SELECT {columns} FROM vector_blocks WHERE space_id = ? ORDER BY first LIMIT 1",  # noqa: S608 - literals of ours
                (space_id,),
            ).fetchone()
        )
        if found is None:
            yield None, ids[start:]
            return
        row, first, packed, serials, coded = found
        (following,) = connection.execute(
            "SELECT min(first) FROM vector_blocks WHERE space_id = ? AND first > ?", (space_id, first)
        ).fetchone()
        stop = len(ids) if following is None else int(np.searchsorted(ids, following))
        yield _block(row, first, packed, serials, coded, dimension), ids[start:stop]
        start = stop


def write_block(connection: sqlite3.Connection, space_id: int, block: Block) -> None:
    """Write a block, new or changed; an empty one goes."""
    if not len(block.ids):
        connection.execute("DELETE FROM vector_blocks WHERE id = ?", (block.row,))
        return
    packed = (block.first, stamp(), block.ids.tobytes(), block.serials.tobytes(), block.codes.tobytes())
    if block.row:
        connection.execute(
            "UPDATE vector_blocks SET first = ?, revision = ?, ids = ?, serials = ?, codes = ? WHERE id = ?",
            (*packed, block.row),
        )
    else:
        connection.execute(
            "INSERT INTO vector_blocks (space_id, first, revision, ids, serials, codes) VALUES (?,?,?,?,?,?)",
            (space_id, *packed),
        )


def insert_vectors(connection: sqlite3.Connection, space_id: int, first_serial: int, vectors: Floats) -> Integers:
    """Write vectors of length 1.

    :returns: Their serials.
    :raises CorruptError: one of those is taken.
    """
    import numpy as np

    serials = np.arange(first_serial, first_serial + len(vectors))
    data = vectors.astype(np.float16)
    try:
        connection.executemany(
            "INSERT INTO vectors (id, data) VALUES (?, ?)",
            zip((serials + (space_id << _SERIAL_BITS)).tolist(), map(bytes, data), strict=True),
        )
    except sqlite3.IntegrityError:
        raise damaged() from None
    return serials


def read_vectors(connection: sqlite3.Connection, space_id: int, dimension: int, serials: Integers) -> Floats:
    """The vectors with these serials, (n, dimension).

    :raises CorruptError: one is gone, or is none.
    """
    import numpy as np

    order = np.argsort(serials)
    rows = (serials[order] + (space_id << _SERIAL_BITS)).tolist()
    found = np.empty((len(rows), dimension), np.float32)
    for start in range(0, len(rows), _READ):
        part = rows[start : start + _READ]
        data = connection.execute(
            f"SELECT data FROM vectors WHERE id IN ({', '.join('?' * len(part))}) ORDER BY id",  # noqa: S608 - question marks
            part,
        ).fetchall()
        try:
            packed = b"".join(row[0] for row in data)
        except TypeError:
            raise damaged() from None
        if len(packed) != 2 * dimension * len(part):
            raise damaged()
        found[order[start : start + _READ]] = np.frombuffer(packed, np.float16).reshape(-1, dimension)
    # A row that is no vector of length 1 any more would stand in front of every true one.
    with np.errstate(over="ignore", invalid="ignore"):
        if not (abs(np.einsum("ij,ij->i", found, found) - 1) < _ROUNDED).all():
            raise damaged()
    return found


def delete_vectors(connection: sqlite3.Connection, space_id: int, serials: Integers) -> None:
    """Remove the vectors with these serials."""
    rows = (serials + (space_id << _SERIAL_BITS)).tolist()
    connection.executemany("DELETE FROM vectors WHERE id = ?", ((row,) for row in rows))


def delete_all(connection: sqlite3.Connection, space_id: int) -> None:
    """Remove every vector and block of a space."""
    connection.execute("DELETE FROM vector_blocks WHERE space_id = ?", (space_id,))
    connection.execute(
        "DELETE FROM vectors WHERE id BETWEEN ? AND ?",
        (space_id << _SERIAL_BITS, ((space_id + 1) << _SERIAL_BITS) - 1),
    )


def damaged() -> CorruptError:
    """The error for rows that cannot be what was written."""
    return CorruptError(
        "The vectors in the database are damaged.",
        "Run `racto rebuild --vectors`, or call rag_embed with again=true; until then words are searched alone.",
    )


def _block(row: int, first: int, ids: bytes, serials: bytes, codes: bytes | None, dimension: int) -> Block:
    """
    :raises CorruptError: it is impossible.
    """
    import numpy as np

    if not all(isinstance(packed, bytes) for packed in (ids, serials, codes or b"")):
        raise damaged()
    size, odd = divmod(len(ids), 8)
    if odd or not size or len(serials) != len(ids) or len(codes or b"") not in (0, 8 * size * words_of(dimension)):
        raise damaged()
    block = Block(
        row,
        first,
        np.frombuffer(ids, np.int64),
        np.frombuffer(serials, np.int64),
        np.frombuffer(codes or b"", np.uint64).reshape(-1, words_of(dimension)),
    )
    if block.ids[0] < first or not (block.ids[1:] > block.ids[:-1]).all():
        raise damaged()
    if block.serials.min() < 0 or int(block.serials.max()) >> _SERIAL_BITS:
        raise damaged()
    return block
