"""What is kept: collections, the documents in them, the pages of those. Everything here only reads."""

from __future__ import annotations

import json
import os
import re
import sqlite3
import unicodedata
import uuid
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import PurePath
from typing import Any

from .errors import InputError, unknown_name
from .filters import Filters
from .ranges import Ranges

_COLLECTION_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,63}")


@dataclass(frozen=True, slots=True)
class PageEntry:
    """One page as it was indexed.

    :param entry_id: A UUID made of the document and the position in it, the same after every ingest.
    :param page_number: Physical page, counted from 1; `None` where the format has no pages.
    :param content: The text of the page, cleaned.
    :param source: Absolute path of the file, or the label of the text.
    :param section_title: The heading the page stands under.
    :param keywords: Its most frequent terms, as they are written on the page.
    :param doc_id: The UUID of its document.
    :param char_count: Length of `content`.
    :param position: Which page of its document it is, counted from 1.
    :param heading_path: `section_title` and the headings above it, outermost first.
    :param start_char: Where the page begins in the text of the document, before cleaning.
    :param end_char: Where it ends there.
    :param metadata: What the document says about itself and what was said when it was ingested.
    """

    entry_id: str
    page_number: int | None
    content: str
    source: str
    section_title: str | None
    keywords: list[str]
    doc_id: str
    char_count: int
    position: int
    heading_path: tuple[str, ...]
    start_char: int
    end_char: int
    metadata: dict[str, Any] = field(default_factory=dict)

    @property
    def name(self) -> str:
        """The last part of the source: the file name."""
        return name_of(self.source)

    @property
    def label(self) -> str:
        """How a person names the page: `page 3` of a paged document, `part 3` of any other."""
        return f"page {self.page_number}" if self.page_number is not None else f"part {self.position}"


@dataclass(frozen=True, slots=True)
class Collection:
    """A set of documents that is searched together.

    :param revision: Grows with every change.
    :param analyser: The version of the analyser its index was made with.
    :param embedder: The name of what made the vectors of its chunks; empty before there are any.
    :param store: The name of the store that has them; empty when it is this database.
    """

    id: int
    name: str
    revision: int
    analyser: str
    embedder: str
    store: str


@dataclass(frozen=True, slots=True)
class FileState:
    """What a look at a file tells without reading it.

    :param size: Bytes; `None` for a text that was given.
    :param modified_ns: When it was changed or given; nanoseconds since 1970.
    :param read_ns: When that was looked up.
    """

    size: int | None
    modified_ns: int
    read_ns: int


@dataclass(frozen=True, slots=True)
class KeptDocument:
    """A document as it is kept, without its text.

    :param name: The last part of its source.
    :param state: The file as it was when it was read.
    :param recipe: How pages were made of it.
    :param first_page: Row id of its first page; the others follow.
    :param notes: What its reader had to say about it.
    """

    id: int
    doc_id: str
    collection_id: int
    source: str
    name: str
    type: str
    language: str
    state: FileState
    sha256: str
    recipe: str
    first_page: int
    page_count: int
    char_count: int
    metadata: dict[str, Any]
    notes: list[str]

    @property
    def modified(self) -> str:
        """When it was changed, as ISO 8601 in UTC."""
        return datetime.fromtimestamp(self.state.modified_ns // 1_000_000_000, UTC).isoformat().replace("+00:00", "Z")


_DOCUMENT_COLUMNS = (
    "id, doc_id, collection_id, source, name, type, language, size, modified_ns, read_ns, sha256, recipe, first_page, page_count, "
    "char_count, metadata, notes"
)


def collection_named(connection: sqlite3.Connection, name: str) -> Collection | None:
    """The collection of this name, if there is one."""
    row = connection.execute(
        "SELECT id, name, revision, analyser, embedder, store FROM collections WHERE name = ?", (name,)
    ).fetchone()
    return Collection(*row) if row else None


def known_collection(connection: sqlite3.Connection, name: str) -> Collection:
    """The collection of this name.

    :raises UnknownNameError: there is none.
    """
    found = collection_named(connection, name)
    if found is None:
        raise unknown_name("collection", name, (row[0] for row in connection.execute("SELECT name FROM collections")))
    return found


def collections(connection: sqlite3.Connection) -> list[tuple[str, int, int]]:
    """Every collection: its name, how many documents and how many pages it holds."""
    return connection.execute(
        "SELECT c.name, count(d.id), coalesce(sum(d.page_count), 0) FROM collections AS c "
        "LEFT JOIN documents AS d ON d.collection_id = c.id GROUP BY c.id ORDER BY c.name"
    ).fetchall()


def counts(connection: sqlite3.Connection, collection: Collection) -> tuple[int, int]:
    """How many documents and how many pages a collection holds."""
    row = connection.execute(
        "SELECT count(*), coalesce(sum(page_count), 0) FROM documents WHERE collection_id = ?", (collection.id,)
    ).fetchone()
    return row[0], row[1]


def languages(connection: sqlite3.Connection, collection: Collection) -> list[str]:
    """The languages of the documents; one step in the index for each, however many documents there are."""
    rows = connection.execute(
        """WITH RECURSIVE seen(language) AS (
               SELECT min(language) FROM documents WHERE collection_id = :id
               UNION ALL
               SELECT (SELECT min(language) FROM documents WHERE collection_id = :id AND language > seen.language)
               FROM seen WHERE seen.language IS NOT NULL)
           SELECT language FROM seen WHERE language IS NOT NULL""",
        {"id": collection.id},
    )
    return [row[0] for row in rows]


def count_documents(connection: sqlite3.Connection, collection: Collection, filters: Filters) -> int:
    """How many documents pass."""
    condition, values = filters.clause()
    row = connection.execute(
        f"SELECT count(*) FROM documents WHERE collection_id = ?{condition}",  # noqa: S608 - literals of ours
        (collection.id, *values),
    ).fetchone()
    return int(row[0])


def documents(
    connection: sqlite3.Connection,
    collection: Collection,
    filters: Filters | None = None,
    *,
    limit: int = -1,
    offset: int = 0,
) -> list[KeptDocument]:
    """Documents in the order of their sources; a `limit` of -1 is none."""
    condition, values = (filters or Filters()).clause()
    rows = connection.execute(
        f"SELECT {_DOCUMENT_COLUMNS} FROM documents WHERE collection_id = ?{condition} ORDER BY source LIMIT ? OFFSET ?",  # noqa: S608 - literals of ours
        (collection.id, *values, limit, offset),
    )
    return [_document(row) for row in rows]


def files_below(connection: sqlite3.Connection, collection: Collection, directory: str) -> list[KeptDocument]:
    """The documents of files below a folder."""
    start = directory.rstrip(os.sep) + os.sep
    rows = connection.execute(
        f"SELECT {_DOCUMENT_COLUMNS} FROM documents WHERE collection_id = ? AND size IS NOT NULL AND substr(source, 1, ?) = ?",  # noqa: S608 - literals of ours
        (collection.id, len(start), start),
    )
    return [_document(row) for row in rows]


def document_at(connection: sqlite3.Connection, collection: Collection, source: str) -> KeptDocument | None:
    """The document with exactly this source, if there is one."""
    row = connection.execute(
        f"SELECT {_DOCUMENT_COLUMNS} FROM documents WHERE collection_id = ? AND source = ?",  # noqa: S608 - literals of ours
        (collection.id, source),
    ).fetchone()
    return _document(row) if row else None


def page_ranges(connection: sqlite3.Connection, collection: Collection, filters: Filters) -> Ranges | None:
    """The row ids of the pages of the documents that pass; `None` when every document does."""
    condition, values = filters.clause()
    return Ranges(all_pages(connection, collection.id, condition, values)) if condition else None


def all_pages(
    connection: sqlite3.Connection, collection_id: int, condition: str = "", values: Sequence[Any] = ()
) -> list[tuple[int, int]]:
    """The pages of a collection as ranges of row ids, both ends included; of its documents for which the condition holds."""
    ranges: list[tuple[int, int]] = []
    for first, count in connection.execute(
        f"SELECT first_page, page_count FROM documents WHERE collection_id = ?{condition} ORDER BY first_page",  # noqa: S608 - literals of ours
        (collection_id, *values),
    ):
        if ranges and ranges[-1][1] == first - 1:
            ranges[-1] = (ranges[-1][0], first + count - 1)
        else:
            ranges.append((first, first + count - 1))
    return ranges


def documents_starting(connection: sqlite3.Connection, prefix: str, limit: int = 100) -> list[str]:
    """Ids of documents of any collection whose id or name starts with `prefix`."""
    rows = connection.execute(
        "SELECT doc_id FROM documents WHERE substr(doc_id, 1, ?1) = ?2 OR lower(substr(name, 1, ?1)) = lower(?2) ORDER BY name LIMIT ?3",
        (len(prefix), prefix, limit),
    )
    return [row[0] for row in rows]


def find_document(connection: sqlite3.Connection, collection: Collection, text: str) -> KeptDocument:
    """The document somebody means by its id, source, file name (with or without extension) or the end of its path.

    :raises UnknownNameError: there is none.
    :raises InputError: there are several; the message lists them.
    """
    given = unicodedata.normalize("NFC", text.strip())
    source, name = ("source", "name") if given.isascii() else ("nfc(source)", "nfc(name)")
    tail = given.replace("\\", "/").lstrip("./")
    for condition, values in (
        (f"doc_id = ? OR {source} = ?", [given, given]),
        (f"{name} = ?", [given]),
        (f"substr(replace({source}, '\\', '/'), -length(?)) = ?", [f"/{tail}", f"/{tail}"]),
        (f"lower({name}) = lower(?) OR lower({name}) LIKE lower(?) ESCAPE '!'", [given, f"{_like(given)}.%"]),
    ):
        rows = connection.execute(
            f"SELECT {_DOCUMENT_COLUMNS} FROM documents WHERE collection_id = ? AND ({condition}) ORDER BY source LIMIT 6",  # noqa: S608 - literals of ours
            (collection.id, *values),
        ).fetchall()
        if len(rows) == 1:
            return _document(rows[0])
        if rows:
            which = "; ".join(f"{row[1]} = {row[3]}" for row in rows[:5]) + ("; …" if len(rows) > 5 else "")
            raise InputError(f"{text!r} names several documents: {which}.", "Give the path or the id of one.")
    names = (
        row[0] for row in connection.execute("SELECT name FROM documents WHERE collection_id = ?", (collection.id,))
    )
    raise unknown_name("document", text, names)


def read_pages(
    connection: sqlite3.Connection, document: KeptDocument, first: int = 1, last: int | None = None
) -> Iterator[PageEntry]:
    """The pages of a document from `first` to `last`, both included, counted as `PageEntry.label` counts them."""
    rows = connection.execute(
        f"{_PAGES} WHERE id BETWEEN ?1 AND ?2 AND coalesce(number, id - ?1 + 1) BETWEEN ?3 AND coalesce(?4, 1 << 60) ORDER BY id",
        (document.first_page, document.first_page + document.page_count - 1, first, last),
    )
    return (_entry(row, document) for row in rows)


def last_page(connection: sqlite3.Connection, document: KeptDocument) -> tuple[bool, int]:
    """Whether the pages of a document are numbered ones, and the number of the last; without numbers, how many parts there are."""
    row = connection.execute(
        "SELECT number FROM pages WHERE id = ?", (document.first_page + document.page_count - 1,)
    ).fetchone()
    return row[0] is not None, row[0] or document.page_count


def outline(connection: sqlite3.Connection, document: KeptDocument) -> list[tuple[int, str, int]]:
    """The headings of a document: level, title, and the page or part each is on."""
    row = connection.execute("SELECT outline FROM documents WHERE id = ?", (document.id,)).fetchone()
    return [(level, title, page) for level, title, page in json.loads(row[0])]


def entries(connection: sqlite3.Connection, page_ids: Sequence[int]) -> dict[int, tuple[PageEntry, KeptDocument]]:
    """The pages with these row ids, with their documents. An id that is gone is left out."""
    rows = connection.execute(
        f"{_PAGES} WHERE id IN (SELECT value FROM json_each(?))",  # noqa: S608 - literals of ours
        (json.dumps(page_ids),),
    ).fetchall()
    kept: dict[int, KeptDocument] = {}
    for document_id in {row[1] for row in rows}:
        row = connection.execute(f"SELECT {_DOCUMENT_COLUMNS} FROM documents WHERE id = ?", (document_id,)).fetchone()  # noqa: S608 - literals of ours
        kept[document_id] = _document(row)
    return {row[0]: (_entry(row, kept[row[1]]), kept[row[1]]) for row in rows}


def checked_name(collection: str) -> str:
    """The name of a collection, when it can be one.

    :raises InputError: it cannot.
    """
    if not _COLLECTION_NAME.fullmatch(collection):
        raise InputError(
            f"{collection!r} cannot name a collection.",
            "Use letters, digits, dots, dashes and underscores; at most 64 of them.",
        )
    return collection


def name_of(source: str) -> str:
    """The last part of a source: the name of a file; a label that is no path is its own."""
    return PurePath(source).name or source


def text_of(pages: Iterable[PageEntry]) -> str:
    """The text of consecutive pages of one document, what neighbours share written once."""
    parts: list[str] = []
    end = 0
    previous = ""
    for page in pages:
        shared = min(max(0, end - page.start_char), len(page.content), len(previous))
        while shared and not previous.endswith(page.content[:shared]):  # cleaning may have shortened what they share
            shared -= 1
        if parts:
            parts.append("" if shared else "\n\n")
        parts.append(page.content[shared:])
        previous, end = page.content, page.end_char
    return "".join(parts)


_PAGES = (
    "SELECT id, document_id, number, start_char, end_char, section_title, heading_path, keywords, content FROM pages"
)


def _like(text: str) -> str:
    return text.replace("!", "!!").replace("%", "!%").replace("_", "!_")


def _document(row: tuple[Any, ...]) -> KeptDocument:
    fields: list[Any] = [*row[:7], FileState(*row[7:10]), *row[10:15], json.loads(row[15]), json.loads(row[16])]
    return KeptDocument(*fields)


def _entry(row: tuple[Any, ...], document: KeptDocument) -> PageEntry:
    page_id, _, number, start, end, title, path, keywords, content = row
    position = page_id - document.first_page + 1
    return PageEntry(
        entry_id=str(uuid.uuid5(uuid.UUID(document.doc_id), str(position))),
        page_number=number,
        content=content,
        source=document.source,
        section_title=title,
        keywords=json.loads(keywords),
        doc_id=document.doc_id,
        char_count=len(content),
        position=position,
        heading_path=tuple(json.loads(path)),
        start_char=start,
        end_char=end,
        metadata=document.metadata,
    )
