"""Cutting documents into chunks. One file a way of cutting; the table below says which."""

from __future__ import annotations

import hashlib
import uuid
from abc import ABC, abstractmethod
from bisect import bisect_right
from collections.abc import Callable, Iterable, Iterator
from importlib import import_module
from itertools import count, pairwise
from typing import cast

from ..chunks import Chunk, ChunkMetadata
from ..cutting import Span
from ..documents import Document
from ..errors import unknown_name
from ..windows import heading_paths

CHUNKERS = {
    "fixed": ".fixed:FixedChunker",
    "recursive": ".recursive:RecursiveChunker",
    "sentence": ".sentence:SentenceChunker",
    "semantic": ".semantic:SemanticChunker",
    "structure": ".structure:StructureChunker",
}
"""Name → module in this package and the chunker in it; imported on first use."""

CHUNK_SIZE = 800
CHUNK_OVERLAP = 100
"""What the library cuts by, in characters; `benchmarks/chunking.py` measures it beside others."""


class BaseChunker(ABC):
    """Cuts a document into chunks. What cuts by offsets only, as every built-in one does, derives from `SpanChunker`."""

    @abstractmethod
    def chunk(self, document: Document) -> list[Chunk]:
        """The chunks of a document, in order."""


class SpanChunker(BaseChunker):
    """Cuts a document by offsets; what a chunk is and where it stands is worked out here, once for all."""

    @abstractmethod
    def spans(self, document: Document) -> Iterable[Span]:
        """Where the chunks are: offsets in `document.content`, ascending in both, never blank, each within one of its `stretches`."""

    def chunk(self, document: Document) -> list[Chunk]:
        """The chunks of a document, each with the page and the headings its middle stands on and under."""
        content, source, extra, doc_id = document.content, document.source, document.metadata, document.doc_id
        spans = list(self.spans(document))
        total, ids, place = len(spans), _chunk_ids(doc_id), _places(document)
        chunks = []
        for index, (start, end) in enumerate(spans):
            page, path = place(start + end >> 1) if place else (None, ())
            about = ChunkMetadata(source, page, index, total, start, end, doc_id, path, dict(extra))
            chunks.append(Chunk(content[start:end], about, doc_id, next(ids)))
        return chunks


def stretches(document: Document) -> list[Span]:
    """The parts of a document no chunk may leave: its pages and what is between them, or else all of it."""
    edges = {0, len(document.content), *(edge for page in document.pages for edge in (page.start, page.end))}
    return list(pairwise(sorted(edges)))


def chunker_named(name: str) -> type[BaseChunker]:
    """The chunker of this name in `CHUNKERS`.

    :raises UnknownNameError: there is none.
    """
    if name not in CHUNKERS:
        raise unknown_name("chunker", name, CHUNKERS)
    module, _, attribute = CHUNKERS[name].partition(":")
    return cast(type[BaseChunker], getattr(import_module(module, __name__), attribute))


def default_chunker() -> BaseChunker:
    """How the library cuts where nobody says how."""
    recursive: Callable[..., BaseChunker] = chunker_named("recursive")
    return recursive(CHUNK_SIZE, CHUNK_OVERLAP)


def _places(document: Document) -> Callable[[int], tuple[int | None, tuple[str, ...]]] | None:
    """Gives for an offset the page it is on and the headings it is under; `None` when there are neither pages nor headings."""
    if not document.pages and not document.headings:
        return None
    paths = [(), *heading_paths(document.headings)]
    headings = [heading.start for heading in document.headings]
    pages = [page.start for page in document.pages]

    def place(offset: int) -> tuple[int | None, tuple[str, ...]]:
        nth = bisect_right(pages, offset)
        page = document.pages[nth - 1] if nth else None
        return page.number if page and offset < page.end else None, paths[bisect_right(headings, offset)]

    return place


def _chunk_ids(doc_id: str) -> Iterator[str]:
    """The id of each chunk of a document: UUIDs of version 5 (RFC 9562) of `chunk 0`, `chunk 1`, …, in the namespace of the document."""
    try:
        namespace = uuid.UUID(doc_id)
    except ValueError:  # an id of somebody else's making
        namespace = uuid.uuid5(uuid.NAMESPACE_OID, doc_id)
    begun = hashlib.sha1(namespace.bytes + b"chunk ", usedforsecurity=False)
    for index in count():
        digest = begun.copy()
        digest.update(b"%d" % index)
        text = digest.hexdigest()
        # As `uuid.uuid5` does it, at a third of its price.
        yield f"{text[:8]}-{text[8:12]}-5{text[13:16]}-{'89ab'[int(text[16], 16) & 3]}{text[17:20]}-{text[20:32]}"
