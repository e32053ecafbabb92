"""Which pages and chunks of a collection a search may look at, worked out once from everything that was asked of them."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from .catalogue import Collection, all_pages
from .chunk_rows import PLACE_BITS, page_of
from .filters import Filters
from .ranges import Ranges
from .stores.filtering import EVERYTHING, And, Comparison, Node, Not, Or, clause, parse

_COLUMNS = {
    "source": "documents.source",
    "doc_id": "documents.doc_id",
    "page": "pages.number",
    "chunk_index": "chunks.chunk_index",
}
_PAGES = "JOIN pages ON pages.id BETWEEN first_page AND first_page + page_count - 1"
_CHUNKS = f"{_PAGES} JOIN chunks ON chunks.id BETWEEN pages.id << 16 AND (pages.id + 1 << 16) - 1"


@dataclass(frozen=True, slots=True)
class Scope:
    """What may be looked at, by row id; `None` when nothing is shut out.

    :param chunks: Of those pages.
    """

    pages: Ranges | None
    chunks: Ranges | None

    def holds(self, chunk: int) -> bool:
        """Whether this chunk may be looked at."""
        import numpy as np

        return self.chunks is None or bool(self.chunks.hold(np.array([chunk]))[0])


def scope_of(
    connection: sqlite3.Connection, collection: Collection, among: Filters | None, filters: Mapping[str, Any] | None
) -> Scope:
    """What a search may look at.

    :raises InputError: a filter that cannot be right.
    """
    condition, values = (among or Filters()).clause()
    node = parse(filters)
    if node != EVERYTHING:
        extra, given = clause(node, _COLUMNS, "documents.metadata")
        condition, values = f"{condition} AND ({extra})", [*values, *given]
    if not condition:
        return Scope(None, None)
    named = set(_fields(node))
    if not named & {"page", "chunk_index"}:
        return _of_pages(Ranges(all_pages(connection, collection.id, condition, values)))
    table, row = (_CHUNKS, "chunks.id") if "chunk_index" in named else (_PAGES, "pages.id")
    rows = [
        found[0]
        for found in connection.execute(
            f"SELECT {row} FROM documents {table} WHERE collection_id = ?{condition} ORDER BY 1",  # noqa: S608 - literals of ours
            (collection.id, *values),
        )
    ]
    if row == "pages.id":
        return _of_pages(_each(rows))
    return Scope(_each(map(page_of, rows)), _each(rows))


def _fields(node: Node) -> Iterable[str]:
    match node:
        case Comparison(field):
            yield field
        case Not(part):
            yield from _fields(part)
        case And(parts) | Or(parts):
            for part in parts:
                yield from _fields(part)


def _of_pages(pages: Ranges) -> Scope:
    """These pages, and every chunk on them."""
    import numpy as np

    return Scope(pages, Ranges(np.stack([pages.lows << PLACE_BITS, (pages.highs + 1 << PLACE_BITS) - 1], axis=1)))


def _each(rows: Iterable[int]) -> Ranges:
    return Ranges((row, row) for row in rows)
