"""From files and texts to indexed pages: what is new is read, what is unchanged costs a look.

Reading and analysing happen outside the write transaction; what is ready is written a few documents at a time, each of them whole.
"""

from __future__ import annotations

import hashlib
import json
import stat
import time
from bisect import bisect_right
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from . import indexing
from .analyser import page_fields
from .catalogue import FileState, KeptDocument, collection_named, document_at, name_of
from .chunk_rows import NewChunk, digest_of
from .chunking import BaseChunker
from .database import Database
from .documents import Document
from .errors import InputError, NoTextError, ReadError, UnsupportedError
from .indexing import NewDocument, NewPage, Reject, Touch
from .postings import IndexedPage
from .processing import BaseProcessor, ProcessingPipeline, TextCleaner
from .readers import DEFAULT, MAX_BYTES, FileReaderRegistry, read_document
from .readers.markdown import find_headings
from .snippets import keywords
from .windows import PAGE_OVERLAP, PAGE_SIZE, check_sizes, split

TOP_KEYWORDS = 20
READING = "3"
"""Raise it when readers or windows make something else of the same file: everything is then read again at the next ingest."""

DOUBT_NS = 2_000_000_000
"""A file changed this shortly before it was read may have changed again without getting a new time."""

Change = NewDocument | Touch | Reject


@dataclass(frozen=True, slots=True)
class Unread:
    """A file that has to be read.

    :param path: Its real path (links resolved).
    :param state: The file before its bytes were looked at.
    :param moved_from: The source under which the same bytes are kept, of a file that is gone.
    """

    path: Path
    state: FileState
    sha256: str
    moved_from: str | None


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of one file or text.

    :param source: Where it is kept; of a duplicate, where the first one is kept.
    :param pages: How many pages were written.
    :param notes: What its reader had to say, when it was read.
    """

    state: Literal["added", "updated", "unchanged", "duplicate"]
    source: str
    pages: int = 0
    notes: Sequence[str] = ()


class Ingester:
    """Reads files and texts into one collection.

    :param database: Where the collection is kept; the collection is made on first use.
    :param processors: Applied to the text of each page, in order; by default `TextCleaner()`.
    :param registry: Which reader reads which file.
    :param page_size: The most characters of a window, for formats without pages.
    :param page_overlap: The most characters neighbouring windows share.
    :param top_keywords: Keywords kept for each page.
    :param chunker: How documents are cut into chunks; without one there are pages only.
    :raises InputError: the sizes contradict each other.
    """

    clean: Callable[[str], str]
    """What the processors make of a text."""

    def __init__(
        self,
        database: Database,
        collection: str = "default",
        *,
        processors: Sequence[BaseProcessor] | None = None,
        registry: FileReaderRegistry | None = None,
        page_size: int = PAGE_SIZE,
        page_overlap: int = PAGE_OVERLAP,
        top_keywords: int = TOP_KEYWORDS,
        chunker: BaseChunker | None = None,
    ) -> None:
        check_sizes(page_size, page_overlap)
        self.database = database
        self.collection = collection
        self.registry = registry or DEFAULT
        used = list(processors) if processors is not None else [TextCleaner()]
        self.clean = ProcessingPipeline(used).process
        self._page_size, self._page_overlap, self._top_keywords = page_size, page_overlap, top_keywords
        self._chunker = chunker
        # The same file under another recipe gives other pages or chunks.
        made_by = [_described(one) for one in used]
        cut_by = [_described(chunker)] if chunker else []
        self.recipe = json.dumps([READING, page_size, page_overlap, top_keywords, made_by, *cut_by])

    def file(self, path: str | Path, metadata: Mapping[str, Any] | None = None) -> Outcome:
        """Read one file, also when it could not be read before.

        :param metadata: Kept with the document; keys that are not named keep their value.
        :raises ReadError: it cannot be read; what was kept of it before stays.
        :raises InputError: it is a folder, or the metadata is not JSON.
        """
        real = Path(path).expanduser().resolve()
        if real.is_dir():
            raise InputError(f"{str(path)!r} is a folder.", "Use ingest_dir for folders.")
        indexing.freshen(self.database, self.collection)
        given = checked(metadata)
        found = self.look(real, look_at(real), given, {})
        if not isinstance(found, Unread):
            return self._settle(found)
        return self._settle(self.take(found, read_document(real, self.registry), given))

    def text(self, text: str, source: str, metadata: Mapping[str, Any] | None = None) -> Outcome:
        """Keep a text under a label; headings in Markdown are understood.

        :raises NoTextError: it is blank.
        :raises InputError: the label is blank, or the metadata is not JSON.
        """
        if not source.strip():
            raise InputError("The text has no name.", "Give a source: the label it is cited by.")
        indexing.freshen(self.database, self.collection)
        text, source = (each.encode(errors="replace").decode() for each in (text, source))  # no half surrogate pairs
        digest = hashlib.sha256(text.encode()).hexdigest()
        given = checked(metadata)
        kept = self._kept(source)
        if kept and kept.sha256 == digest and kept.recipe == self.recipe:
            return self._settle(_same(kept, kept.state, given))
        document = Document(text, source, type="text/markdown", headings=find_headings(text))
        now = time.time_ns()
        return self._settle(self._prepare(document, source, FileState(None, now, now), digest, given))

    def look(
        self, path: Path, state: FileState, metadata: dict[str, Any], waiting: Mapping[str, str], sha256: str = ""
    ) -> Outcome | Touch | Unread:
        """What is to be done about a file. Nothing is written.

        :param path: A real path (links resolved).
        :param state: The file as it is now.
        :param waiting: SHA-256 → source of what is ready but not yet written.
        :param sha256: Of the file in this state, when that is known.
        :raises ReadError: it cannot be opened.
        """
        source = str(path)
        kept = self._kept(source)
        if kept and kept.recipe == self.recipe and surely_same(state, kept.state):
            return _same(kept, kept.state, metadata)
        digest = sha256 or _digest(path, state)
        if kept and kept.recipe == self.recipe and kept.sha256 == digest:
            return _same(kept, state, metadata)
        twin = None if kept else waiting.get(digest) or self._twin(digest, source)
        if twin and not gone(twin):
            return Outcome("duplicate", twin)
        return Unread(path, state, digest, twin)

    def take(self, file: Unread, document: Document, metadata: dict[str, Any]) -> NewDocument:
        """The document that was read of a file, ready to be written.

        :raises NoTextError: nothing of its text is left to index.
        :raises ReadError: the file changed since it was looked at.
        """
        new = self._prepare(document, str(file.path), file.state, file.sha256, metadata)
        if not same_file(look_at(file.path), file.state):
            raise ReadError(f"{file.path.name} changed while it was read.", "Ingest it again.")
        new.moved_from = file.moved_from
        return new

    def write(self, changes: Sequence[Change]) -> list[Outcome]:
        """Write changes in one transaction; what another process wrote meanwhile is not written again.

        :returns: What became of each that is not a reject, in order.
        """
        with self.database.writing() as connection:
            collection = indexing.open_collection(connection, self.collection)
            outcomes: list[Outcome] = []
            new: list[NewDocument] = []
            for change in changes:
                if isinstance(change, Reject):
                    indexing.reject(connection, collection, change)
                elif isinstance(change, Touch):
                    indexing.touch(connection, change)
                    outcomes.append(Outcome("unchanged", change.document.source))
                else:
                    kept = document_at(connection, collection, change.source)
                    if kept and (kept.sha256, kept.recipe) == (change.sha256, change.recipe):
                        outcomes.append(Outcome("unchanged", change.source))
                    else:
                        state: Literal["added", "updated"] = "updated" if kept or change.moved_from else "added"
                        outcomes.append(Outcome(state, change.source, len(change.pages), change.notes))
                        new.append(change)
            if new:
                indexing.write(connection, collection, new)
        return outcomes

    def _settle(self, found: Outcome | NewDocument | Touch) -> Outcome:
        """Write one change at once."""
        return found if isinstance(found, Outcome) else self.write([found])[0]

    def _kept(self, source: str) -> KeptDocument | None:
        with self.database.reading() as connection:
            collection = collection_named(connection, self.collection)
            return document_at(connection, collection, source) if collection else None

    def _twin(self, digest: str, source: str) -> str | None:
        """The source of another kept file with the same bytes; another process may have written this one meanwhile."""
        with self.database.reading() as connection:
            # The plus keeps SQLite from walking through every document by source instead of looking the digest up.
            row = connection.execute(
                "SELECT source FROM documents JOIN collections ON collections.id = collection_id "
                "WHERE collections.name = ? AND sha256 = ? AND source != ? AND size IS NOT NULL ORDER BY +source",
                (self.collection, digest, source),
            ).fetchone()
        return row[0] if row else None

    def _prepare(
        self, document: Document, source: str, state: FileState, digest: str, metadata: dict[str, Any]
    ) -> NewDocument:
        name = name_of(source)
        windows = split(document, page_size=self._page_size, page_overlap=self._page_overlap)
        cleaned = [
            (window, text)
            for window in windows
            if (text := self.clean(document.content[window.start : window.end]).strip())
        ]
        if not cleaned:
            raise NoTextError(f"{name} holds no text.", "There is nothing in it to index.")
        language = indexing.language_of([text for _, text in cleaned])
        pages = []
        for window, text in cleaned:
            fields = IndexedPage(0, *page_fields(name, window.heading_path, text, language))
            pages.append(NewPage(window, text, keywords(text, fields.body, language, self._top_keywords), fields))
        starts = [window.start for window, _ in cleaned]
        labels = [window.number or position for position, (window, _) in enumerate(cleaned, 1)]
        return NewDocument(
            source=source,
            name=name,
            type=document.type,
            language=language,
            state=state,
            sha256=digest,
            recipe=self.recipe,
            char_count=len(document.content),
            metadata=checked(document.metadata) | metadata,
            notes=document.notes,
            outline=[
                (one.level, one.title, labels[max(0, bisect_right(starts, one.start) - 1)]) for one in document.headings
            ],
            pages=pages,
            chunks=self._chunks(document, starts),
        )

    def _chunks(self, document: Document, starts: Sequence[int]) -> list[NewChunk]:
        """The chunks of a document, each on the page its middle lies on.

        :param starts: Where the pages begin, ascending.
        """
        if self._chunker is None:
            return []
        new: list[NewChunk] = []
        for one in self._chunker.chunk(document):
            text = self.clean(one.content)
            if not text:
                continue
            about = one.metadata
            page = max(0, bisect_right(starts, (about.start_char + about.end_char) // 2) - 1)
            place = (about.start_char, about.end_char, about.heading_path)
            new.append(NewChunk(page, len(new), *place, one.content, digest_of(text)))
        return new


def _described(part: object) -> str:
    """What a processor or chunker is and is set to; of what it stands on, the name."""
    settings = sorted((name, getattr(value, "name", value)) for name, value in vars(part).items())
    return f"{type(part).__module__}.{type(part).__qualname__} {settings}"


def look_at(path: Path) -> FileState:
    """The state of a file now.

    :raises ReadError: it cannot be looked at, is not a file, or has a name that cannot be kept.
    """
    try:
        str(path).encode()
        now = time.time_ns()
        status = path.stat()
    except UnicodeEncodeError:
        raise ReadError(f"The file name {path.name!a} is not UTF-8.", "Rename the file.") from None
    except OSError as error:
        raise _closed(path, error) from None
    if not stat.S_ISREG(status.st_mode):
        raise UnsupportedError(f"{path.name} is not a file but a pipe or device.", "Give the path of a regular file.")
    return FileState(status.st_size, status.st_mtime_ns, now)


def same_file(now: FileState, then: FileState) -> bool:
    """Whether a file has the size and time it had."""
    return (now.size, now.modified_ns) == (then.size, then.modified_ns)


def surely_same(now: FileState, then: FileState) -> bool:
    """Whether a file needs no second look: same size, same time, and that time was not fresh when it was read."""
    return same_file(now, then) and then.read_ns - then.modified_ns > DOUBT_NS


def gone(source: str) -> bool:
    """Whether there is surely no such file any more."""
    try:
        Path(source).stat()
    except (FileNotFoundError, NotADirectoryError):
        return True
    except OSError:
        return False
    return False


def checked(metadata: Mapping[str, Any] | None) -> dict[str, Any]:
    """The metadata as JSON would keep it.

    :raises InputError: it is not JSON.
    """
    try:
        kept: dict[str, Any] = json.loads(
            json.dumps(dict(metadata or {}), allow_nan=False, ensure_ascii=False).encode()
        )
    except (TypeError, ValueError) as error:
        raise InputError(
            f"The metadata cannot be kept: {error}.", "Use text, numbers, booleans, lists and objects."
        ) from None
    return kept


def _same(kept: KeptDocument, state: FileState, metadata: dict[str, Any]) -> Outcome | Touch:
    if state == kept.state and kept.metadata | metadata == kept.metadata:
        return Outcome("unchanged", kept.source)
    return Touch(kept, state, metadata)


def _digest(path: Path, state: FileState) -> str:
    """SHA-256 of the file; nothing for one that is too large to be read at all."""
    if (state.size or 0) > MAX_BYTES:
        return ""
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise _closed(path, error) from None


def _closed(path: Path, error: OSError) -> ReadError:
    return ReadError(f"{path.name} cannot be opened: {error.strerror}.", "Check that it exists and may be read.")
