"""Cutting at the best place there is: between paragraphs, else sentences, lines, clauses, words, and letters at last."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from ..cutting import LEVELS, Span, check_size, cut
from ..documents import Document
from . import SpanChunker, stretches


class RecursiveChunker(SpanChunker):
    """Fills each chunk at least half and ends it at the best place in its second half. Linear in the length of the text.

    :param chunk_size: The most characters of a chunk.
    :param overlap: The most characters neighbouring chunks share; what is shared begins with a sentence, or else with a word.
    :param separators: What to cut at, from the best to the worst, instead of the ends of paragraphs, sentences, lines, clauses and words. A
        cut falls after a separator, or after the white space one begins with: `"\\n## "` begins a chunk with its heading.
    :raises InputError: the sizes contradict each other.
    """

    def __init__(self, chunk_size: int = 512, overlap: int = 50, separators: Sequence[str] | None = None) -> None:
        check_size(chunk_size, overlap)
        self.chunk_size = chunk_size
        self.overlap = overlap
        self.separators = None if separators is None else list(separators)

    def spans(self, document: Document) -> Iterator[Span]:
        """Where the chunks are."""
        levels = LEVELS if self.separators is None else [(separator,) for separator in self.separators if separator]
        for start, stop in stretches(document):
            yield from cut(document.content, start, stop, self.chunk_size, self.overlap, levels)
