"""One ranking from two: what the words of a page say (BM25) and what the vectors of its chunks say (cosine).

A score is `(1 - weight) * bm25 / best bm25 + weight * (cosine - unrelated) / (1 - unrelated)`, where `unrelated` is what the question
and a text that has nothing to do with it come to. So the best page by words counts 1, and so does a chunk that says the
very same as the question. Nothing is stretched to fill a scale: where the model does not speak the language all its cosines are
alike, and they hardly move the ranking. `benchmarks/retrieval.py` has it beside reciprocal rank fusion and min-max normalisation.

Every page in question should have its true cosine, also one that words alone brought up: cutting the vectors' list off at its
hundredth costs 4 points of nDCG@10 on `scifact_train`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

DEPTH = 100
"""How many pages, and how many chunks' pages, are worth fusing."""

WEIGHT = 0.5
"""How much the vectors of a language model count, 0 to 1. Weights by query (names, numbers, length) were no better."""

_SHINGLE = 5  # terms


def fuse(
    lexical: Mapping[int, float], dense: Mapping[int, float], *, weight: float = WEIGHT, unrelated: float = 0.0
) -> list[tuple[int, float]]:
    """The best first; equally good ones in the order of their ids.

    :param lexical: Id → BM25 score, above 0.
    :param dense: Id → cosine. One that is missing counts as unrelated.
    :param weight: How much `dense` counts, 0 to 1.
    :param unrelated: The cosine of the question with texts that have nothing to do with it, as `unrelated_cosine` tells it.
    :returns: Id and score of everything in either.
    """
    best = max(lexical.values(), default=1.0)
    room = max(1 - unrelated, 1e-6)
    scores = {one: (1 - weight) * score / best for one, score in lexical.items()}
    for one, cosine in dense.items():
        scores[one] = scores.get(one, 0.0) + weight * (cosine - unrelated) / room
    return sorted(scores.items(), key=lambda entry: (-entry[1], entry[0]))


def best_of(scores: Iterable[tuple[int, float]], whole: Callable[[int], int]) -> dict[int, float]:
    """The score of a whole is that of its best part.

    :param scores: Part and score.
    :param whole: Part → what it belongs to: chunk → page, page → document.
    """
    best: dict[int, float] = {}
    for part, score in scores:
        owner = whole(part)
        if score > best.get(owner, -2.0):
            best[owner] = score
    return best


def unrelated_cosine(vectors: npt.NDArray[np.float32], query: Sequence[float]) -> float:
    """What the cosine of a question with texts that have nothing to do with it comes to: the mean over a sample of all texts.

    In a language the model does not speak, questions are less like the texts than texts are like each other: only the question tells.

    :param vectors: Of a collection or a sample of it, at even distances; of length 1.
    :param query: The vector of the question; of any length but 0.
    :returns: 0 when there are fewer than two texts.
    """
    import numpy as np

    return float(vectors.mean(axis=0) @ query / np.linalg.norm(query)) if len(vectors) > 1 else 0.0


def distinct(hits: Sequence[Sequence[str]], *, alike: float = 0.8) -> list[int]:
    """Which hits say something that no better one says.

    Two are near-duplicates when the sets of their runs of five terms have a Jaccard similarity of at least `alike`
    (Broder, On the resemblance and containment of documents, 1997).

    :param hits: The terms of each, best first.
    :param alike: 0 to 1.
    :returns: For each hit its own place, or the place of the better one it repeats.
    """
    sizes: list[int] = []
    kept: dict[tuple[str, ...], list[int]] = {}
    says: list[int] = []
    for place, terms in enumerate(hits):
        shingles = _shingles(terms)
        shared: dict[int, int] = {}
        for shingle in shingles:
            for other in kept.get(shingle, ()):
                shared[other] = shared.get(other, 0) + 1
        repeats = [other for other, count in shared.items() if count >= alike * (len(shingles) + sizes[other] - count)]
        says.append(min(repeats, default=place))
        sizes.append(len(shingles))
        if not repeats:
            for shingle in shingles:
                kept.setdefault(shingle, []).append(place)
    return says


def _shingles(terms: Sequence[str]) -> set[tuple[str, ...]]:
    """Every run of five terms; of fewer terms, all of them as one."""
    last = max(1, len(terms) - _SHINGLE + 1) if terms else 0
    return {tuple(terms[at : at + _SHINGLE]) for at in range(last)}
