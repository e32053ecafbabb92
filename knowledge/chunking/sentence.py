"""Cutting after every few sentences."""

from __future__ import annotations

from collections.abc import Iterator

from ..cutting import Span
from ..documents import Document
from ..errors import InputError
from ..sentences import language_code, sentence_spans
from . import SpanChunker, stretches


class SentenceChunker(SpanChunker):
    """Makes a chunk of every few sentences. What has no sentence end for 1,000 characters counts as several, so chunks are bounded.

    :param sentences_per_chunk: Sentences of a chunk; the last one of a page or document may have fewer.
    :param overlap_sentences: Sentences neighbouring chunks share.
    :param language: Of the text, in English or as ISO 639-1 code: which abbreviations there are.
    :param max_sentences: Another name for `sentences_per_chunk`; it counts where both are given.
    :raises InputError: the numbers contradict each other, or there are no rules for the language.
    """

    def __init__(
        self,
        sentences_per_chunk: int = 5,
        overlap_sentences: int = 1,
        language: str = "english",
        *,
        max_sentences: int | None = None,
    ) -> None:
        many = sentences_per_chunk if max_sentences is None else max_sentences
        if many < 1 or not 0 <= overlap_sentences < many:
            raise InputError(
                f"{many} sentences a chunk and overlap_sentences={overlap_sentences} do not go together.",
                "A chunk needs at least 1 sentence, and overlap_sentences must be at least 0 and smaller.",
            )
        self.sentences_per_chunk = many
        self.overlap_sentences = overlap_sentences
        self.language = language_code(language)

    def spans(self, document: Document) -> Iterator[Span]:
        """Where the chunks are."""
        many, step = self.sentences_per_chunk, self.sentences_per_chunk - self.overlap_sentences
        for start, stop in stretches(document):
            sentences = list(sentence_spans(document.content, start, stop, self.language))
            # The last chunk begins where those before it have not said everything.
            for first in range(0, max(1, len(sentences) - self.overlap_sentences), step) if sentences else ():
                yield sentences[first][0], sentences[min(first + many, len(sentences)) - 1][1]
