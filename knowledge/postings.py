"""The inverted index: for every term of a field, which pages hold it and how often.

Pages are grouped by id into blocks of 4,096. A row of the table is one term of one field in one block; its data are unsigned 32-bit
big-endian integers in ascending order, one for each page: `(page_id % 4096) << 20 | frequency`. The empty term stands on every page, its
frequency is the number of terms the page has in that field.

Blocks keep small what must be rewritten when one page comes or goes. There are no tombstones: statistics made from these rows are exact,
and the rows are the same in whatever order pages came and went.
"""

from __future__ import annotations

import sqlite3
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from .errors import ConflictError, CorruptError

FIELDS = ("body", "name", "head")
"""The fields of a page; the place of each is its number in the table."""
LENGTH = ""
"""The term whose frequency is the number of terms of a page."""

BLOCK = 4096
FREQUENCY_BITS = 20
MAX_FREQUENCY = (
    1 << FREQUENCY_BITS
) - 1  # a term standing on one page more than a million times counts a million times

_Key = tuple[str, int, int]  # term, field, block: in the order of the table, so that a batch walks it once
_WIDTH = 4  # bytes of a posting


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
    for key, new in _postings(pages):
        old = _read(connection, collection_id, key)
        if old[-_WIDTH:] < new[0]:
            _write(connection, collection_id, key, old + b"".join(new))
            continue
        postings = sorted([*_split(old), *new])
        if key[0] == LENGTH and len({_place(posting) for posting in postings}) < len(postings):
            raise ConflictError("A page is in the index already.", "Remove it from the index before adding it again.")
        _write(connection, collection_id, key, b"".join(postings))
    _bump(connection, collection_id)


def remove(connection: sqlite3.Connection, collection_id: int, pages: Sequence[IndexedPage]) -> None:
    """Take pages out of the index, with the very terms they were added with.

    :param connection: Inside a write transaction of the caller.
    :raises CorruptError: the index does not hold these pages with these terms.
    """
    for key, gone in _postings(pages):
        postings = _split(_read(connection, collection_id, key))
        leaving = set(gone)
        kept = [posting for posting in postings if posting not in leaving]
        if len(kept) + len(leaving) != len(postings):
            raise CorruptError("The search index disagrees with the stored pages.", "Index the collection again.")
        _write(connection, collection_id, key, b"".join(kept))
    _bump(connection, collection_id)


def clear(connection: sqlite3.Connection, collection_id: int) -> None:
    """Take every page of a collection out of the index."""
    connection.execute("DELETE FROM postings WHERE collection_id = ?", (collection_id,))
    _bump(connection, collection_id)


def _postings(pages: Sequence[IndexedPage]) -> Iterator[tuple[_Key, list[bytes]]]:
    """Every row these pages have a part in, with their postings in ascending order."""
    rows: defaultdict[_Key, list[bytes]] = defaultdict(list)
    for page in sorted(pages, key=lambda page: page.page_id):
        block, place = divmod(page.page_id, BLOCK)
        high = place << FREQUENCY_BITS
        for number, terms in enumerate((page.body, page.name, page.head)):
            rows[LENGTH, number, block].append((high | min(len(terms), MAX_FREQUENCY)).to_bytes(_WIDTH, "big"))
            for term, frequency in Counter(terms).items():
                rows[term, number, block].append((high | min(frequency, MAX_FREQUENCY)).to_bytes(_WIDTH, "big"))
    for key in sorted(rows):
        yield key, rows[key]


def _read(connection: sqlite3.Connection, collection_id: int, key: _Key) -> bytes:
    row = connection.execute(
        "SELECT data FROM postings WHERE collection_id = ? AND term = ? AND field = ? AND block = ?",
        (collection_id, *key),
    ).fetchone()
    return row[0] if row else b""


def _write(connection: sqlite3.Connection, collection_id: int, key: _Key, data: bytes) -> None:
    if data:
        connection.execute(
            "INSERT INTO postings VALUES (?, ?, ?, ?, ?) ON CONFLICT DO UPDATE SET data = excluded.data",
            (collection_id, *key, data),
        )
    else:
        connection.execute(
            "DELETE FROM postings WHERE collection_id = ? AND term = ? AND field = ? AND block = ?",
            (collection_id, *key),
        )


def _bump(connection: sqlite3.Connection, collection_id: int) -> None:
    """Tell every process that what it remembers of this collection is old."""
    connection.execute("UPDATE collections SET revision = revision + 1 WHERE id = ?", (collection_id,))


def _split(data: bytes) -> list[bytes]:
    return [data[start : start + _WIDTH] for start in range(0, len(data), _WIDTH)]


def _place(posting: bytes) -> int:
    return int.from_bytes(posting, "big") >> FREQUENCY_BITS
