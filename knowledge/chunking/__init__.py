"""Cutting documents into chunks. One file a way of cutting; the table below says which."""

from __future__ import annotations

from abc import ABC, abstractmethod

from ..chunks import Chunk
from ..documents import Document

CHUNKERS = {
    "fixed": ".fixed:FixedChunker",
    "recursive": ".recursive:RecursiveChunker",
    "sentence": ".sentence:SentenceChunker",
    "semantic": ".semantic:SemanticChunker",
    "structure": ".structure:StructureChunker",
}
"""Name → module in this package and the chunker in it; imported on first use."""


class BaseChunker(ABC):
    """Cuts a document into chunks."""

    @abstractmethod
    def spans(self, document: Document) -> list[tuple[int, int]]:
        """Where the chunks are: offsets in `document.content`, ascending in both, never empty."""

    def chunk(self, document: Document) -> list[Chunk]:
        """The chunks of a document, with the page and headings of each."""
        raise NotImplementedError
