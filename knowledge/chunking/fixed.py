"""Cutting after so many characters, wherever that is."""

from __future__ import annotations

from collections.abc import Iterator

from ..cutting import Span, check_size, whole, whole_after
from ..documents import Document
from . import SpanChunker, stretches


class FixedChunker(SpanChunker):
    """Cuts after exactly `chunk_size` characters; only a letter is never taken from its accents, nor an emoji apart.

    :param chunk_size: Characters of a chunk; the last one of a page or document may be shorter.
    :param overlap: Characters neighbouring chunks share.
    :raises InputError: the sizes contradict each other.
    """

    def __init__(self, chunk_size: int = 512, overlap: int = 50) -> None:
        check_size(chunk_size, overlap)
        self.chunk_size = chunk_size
        self.overlap = overlap

    def spans(self, document: Document) -> Iterator[Span]:
        """Where the chunks are; what is nothing but white space is none."""
        text = document.content
        for start, stop in stretches(document):
            end = start
            while end < stop:
                begin = start if end == start else whole_after(text, end - self.overlap, end)
                end = min(stop, begin + self.chunk_size)
                if end < stop:
                    end = whole(text, end, begin + self.overlap + 1)
                if not text[begin:end].isspace():
                    yield begin, end
