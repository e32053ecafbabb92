"""The inverted index: for every term of a field, which pages hold it and how often.

Pages are grouped by id into blocks of 8,192. A row of the table is one term of one field in one block; its data are unsigned 32-bit
big-endian integers in ascending order, one for each page: `(page_id % 8192) << 19 | frequency`. The empty term stands on every page, its
frequency is the number of terms the page has in that field.

Blocks keep together what is written together: pages come with rising ids, so a batch of them changes one corner of the file. There are
no tombstones: statistics made from these rows are exact, and the rows are the same in whatever order pages came and went.
"""

from __future__ import annotations

import sqlite3
import time
from bisect import bisect_left
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from .errors import ConflictError, CorruptError

FIELDS = ("body", "name", "head")
"""The fields of a page; the place of each is its number in the table."""
LENGTH = ""
"""The term whose frequency is the number of terms of a page."""

BLOCK = 8192
FREQUENCY_BITS = 19
MAX_FREQUENCY = (
    1 << FREQUENCY_BITS
) - 1  # a term standing on one page more than half a million times counts half a million times

_WIDTH = 4  # bytes of a posting
_Rows = dict[tuple[str, int], bytes]  # term and field → postings of one block, ascending


@dataclass(slots=True)
class IndexedPage:
    """A page as the index sees it: its id and the terms of each field, one for each time they stand there."""

    page_id: int
    body: list[str]
    name: list[str] = field(default_factory=list)
    head: list[str] = field(default_factory=list)


def add(connection: sqlite3.Connection, collection_id: int, pages: Sequence[IndexedPage]) -> None:
    """Put pages into the index; cheapest in batches of several hundred with neighbouring ids.

    :param connection: Inside a write transaction of the caller.
    :raises ConflictError: a page is in the index already.
    """
    for block, rows in _blocks(pages):
        there = _read(connection, collection_id, block, LENGTH, 0)
        new_places = [_place(posting) for posting in _split(rows[LENGTH, 0])]
        if len(set(new_places)) < len(new_places):
            raise ConflictError("A page was given twice.", "Give every page once.")
        if not there or _place(there[-_WIDTH:]) < new_places[0]:  # new pages come after old ones, nearly always
            connection.executemany(
                "INSERT INTO postings VALUES (?, ?, ?, ?, ?) ON CONFLICT DO UPDATE SET data = CAST(data || excluded.data AS BLOB)",
                ((collection_id, block, term, number, rows[term, number]) for term, number in sorted(rows)),
            )
            continue
        if {_place(posting) for posting in _split(there)}.intersection(new_places):
            raise ConflictError("A page is in the index already.", "Remove it from the index before adding it again.")
        for (term, number), new in rows.items():
            old = _read(connection, collection_id, block, term, number)
            _write(connection, collection_id, block, term, number, _merged(old, new))
    _bump(connection, collection_id)


def remove(connection: sqlite3.Connection, collection_id: int, pages: Sequence[IndexedPage]) -> None:
    """Take pages out of the index, with the very terms they were added with.

    :param connection: Inside a write transaction of the caller.
    :raises CorruptError: the index does not hold these pages with these terms.
    """
    for block, rows in _blocks(pages):
        for (term, number), gone in rows.items():
            there = _read(connection, collection_id, block, term, number)
            _write(connection, collection_id, block, term, number, _without(there, gone))
    _bump(connection, collection_id)


def clear(connection: sqlite3.Connection, collection_id: int) -> None:
    """Take every page of a collection out of the index."""
    connection.execute("DELETE FROM postings WHERE collection_id = ?", (collection_id,))
    _bump(connection, collection_id)


def _blocks(pages: Sequence[IndexedPage]) -> Iterator[tuple[int, _Rows]]:
    """Every block these pages lie in, with what they put there."""
    blocks: defaultdict[int, defaultdict[tuple[str, int], bytes]] = defaultdict(lambda: defaultdict(bytes))
    for page in sorted(pages, key=lambda page: page.page_id):
        block, place = divmod(page.page_id, BLOCK)
        rows = blocks[block]
        for number, terms in enumerate((page.body, page.name, page.head)):
            counts = Counter(terms)
            counts[LENGTH] = len(terms)
            posting = {
                count: (place << FREQUENCY_BITS | min(count, MAX_FREQUENCY)).to_bytes(_WIDTH, "big")
                for count in set(counts.values())
            }
            for term, count in counts.items():
                rows[term, number] += posting[count]
    yield from blocks.items()


def _read(connection: sqlite3.Connection, collection_id: int, block: int, term: str, number: int) -> bytes:
    row = connection.execute(
        "SELECT data FROM postings WHERE collection_id = ? AND block = ? AND term = ? AND field = ?",
        (collection_id, block, term, number),
    ).fetchone()
    return row[0] if row else b""


def _write(connection: sqlite3.Connection, collection_id: int, block: int, term: str, number: int, data: bytes) -> None:
    if data:
        connection.execute(
            "INSERT OR REPLACE INTO postings VALUES (?, ?, ?, ?, ?)",
            (collection_id, block, term, number, data),
        )
    else:
        connection.execute(
            "DELETE FROM postings WHERE collection_id = ? AND block = ? AND term = ? AND field = ?",
            (collection_id, block, term, number),
        )


def _bump(connection: sqlite3.Connection, collection_id: int) -> None:
    """Tell every process that what it remembers of this collection is old.

    By the clock, so that a collection deleted and made again with the same id is not taken for its former self.
    """
    connection.execute(
        "UPDATE collections SET revision = max(revision + 1, ?) WHERE id = ?", (time.time_ns(), collection_id)
    )


def _merged(old: bytes, new: bytes) -> bytes:
    parts: list[bytes] = []
    done = 0
    for posting in _split(new):
        spot = _spot(old, posting)
        parts += (old[done:spot], posting)
        done = spot
    return b"".join((*parts, old[done:]))


def _without(there: bytes, gone: bytes) -> bytes:
    """
    :raises CorruptError: a posting that shall go is not there.
    """
    parts: list[bytes] = []
    done = 0
    for posting in _split(gone):
        spot = _spot(there, posting)
        if there[spot : spot + _WIDTH] != posting:
            raise CorruptError("The search index disagrees with the stored pages.", "Index the collection again.")
        parts.append(there[done:spot])
        done = spot + _WIDTH
    return b"".join((*parts, there[done:]))


def _spot(data: bytes, posting: bytes) -> int:
    """Where in the ascending postings this one stands or belongs, in bytes."""
    count = len(data) // _WIDTH
    return _WIDTH * bisect_left(range(count), posting, key=lambda nth: data[_WIDTH * nth : _WIDTH * (nth + 1)])


def _split(data: bytes) -> list[bytes]:
    return [data[start : start + _WIDTH] for start in range(0, len(data), _WIDTH)]


def _place(posting: bytes) -> int:
    return int.from_bytes(posting, "big") >> FREQUENCY_BITS
