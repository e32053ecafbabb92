"""Cutting where the meaning changes."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from ..cutting import Span
from ..documents import Document
from ..embedding import BaseEmbedder
from ..errors import InputError
from ..sentences import language_code, sentence_spans
from . import SpanChunker, stretches

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

LONGEST = 4000
"""Characters: where the meaning does not change for so long, a chunk ends all the same."""


class SemanticChunker(SpanChunker):
    """Begins a chunk where the cosine of a sentence and the one before it falls below a threshold.

    :param embedder: Embeds all sentences of a document in one call.
    :param threshold: Of the cosine, -1 to 1; what is common depends on the embedder. A higher one makes more chunks.
    :param min_chunk_size: The fewest sentences of a chunk; fewer only where a page or document has no more, or they are very long.
    :param language: Of the text, in English or as ISO 639-1 code: which abbreviations there are.
    :raises InputError: a number is out of range, or there are no rules for the language.
    """

    def __init__(
        self, embedder: BaseEmbedder, threshold: float = 0.5, min_chunk_size: int = 2, language: str = "english"
    ) -> None:
        if not -1 <= threshold <= 1 or min_chunk_size < 1:
            raise InputError(
                f"threshold={threshold} or min_chunk_size={min_chunk_size} is out of range.",
                "threshold is a cosine, from -1 to 1, and min_chunk_size at least 1.",
            )
        self.embedder = embedder
        self.threshold = threshold
        self.min_chunk_size = min_chunk_size
        self.language = language_code(language)

    def spans(self, document: Document) -> Iterator[Span]:
        """Where the chunks are. Asks the embedder; see there for what it raises."""
        text = document.content
        parts = [list(sentence_spans(text, *stretch, self.language)) for stretch in stretches(document)]
        likeness = self._likeness([text[start:end] for part in parts for start, end in part])
        position = 0
        for part in parts:
            yield from self._grouped(part, likeness[position : position + len(part)])
            position += len(part)

    def _likeness(self, sentences: list[str]) -> NDArray[np.float64]:
        """For each sentence the cosine of it and the one before it; 0 where a vector is 0, and for the first one."""
        import numpy as np

        if len(sentences) < 2:
            return np.zeros(len(sentences))
        vectors = np.asarray(self.embedder.embed(sentences), dtype=np.float64)
        if vectors.ndim != 2 or len(vectors) != len(sentences):
            raise InputError(
                f"{self.embedder.name} gave vectors of shape {vectors.shape} for {len(sentences)} sentences.",
                "An embedder gives one vector for each text, all of one length.",
            )
        lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
        vectors = np.divide(vectors, lengths, out=np.zeros_like(vectors), where=lengths > 0)
        cosines: NDArray[np.float64] = np.einsum("ij,ij->i", vectors[1:], vectors[:-1])
        return np.concatenate([[0.0], cosines])

    def _grouped(self, sentences: Sequence[Span], likeness: NDArray[np.float64]) -> list[Span]:
        groups: list[list[Span]] = []
        for sentence, alike in zip(sentences, likeness, strict=True):
            group = groups[-1] if groups else []
            if (
                group
                and sentence[1] - group[0][0] <= LONGEST
                and (alike >= self.threshold or len(group) < self.min_chunk_size)
            ):
                group.append(sentence)
            else:
                groups.append([sentence])
        if (
            len(groups) > 1
            and len(groups[-1]) < self.min_chunk_size
            and groups[-1][-1][1] - groups[-2][0][0] <= LONGEST
        ):
            rest = groups.pop()
            groups[-1] += rest
        return [(group[0][0], group[-1][1]) for group in groups]
