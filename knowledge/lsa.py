"""Vectors without a model: latent semantic analysis of the collection itself.

Deerwester, Dumais, Furnas, Landauer and Harshman, Indexing by Latent Semantic Analysis (1990), over the terms of `analyser.py`: chunks that
use words which elsewhere stand together come out alike. The leading singular vectors are found by subspace iteration from a fixed seed
(Halko, Martinsson and Tropp, Finding Structure with Randomness, 2011), on a sample when the collection is large. A text that comes
later is folded in; what it says in words the model has not seen waits for the next training, see `LsaModel.outgrown`.

It is no language model: it finds `myocardial` for `heart attack` only where the collection itself puts them together.
"""

from __future__ import annotations

import hashlib
import json
import math
import random
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING

from .analyser import ANALYSER_VERSION, detect_language, query_terms, terms
from .embedding import BaseEmbedder
from .errors import CorruptError, InputError

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    Floats = npt.NDArray[np.float32]
    Integers = npt.NDArray[np.intp]

VERSION = 1
DIMENSION = 256
WEIGHT = 0.3
"""How much its cosines count beside BM25 in `fusion.fuse`: they know less than those of a language model."""

_MAGIC = b"racto lsa %d\n" % VERSION
_SAMPLE = 20_000  # documents trained on: more cost time and change little
_VOCABULARY = 30_000  # terms, those in most documents
_SPARE = 10  # dimensions more than wanted while iterating
_ITERATIONS = 3
_GROWTH = 1.5


@dataclass(frozen=True, eq=False)
class LsaModel:
    """Where every term of a vocabulary points.

    :param vocabulary: Term → its row in `basis`.
    :param rarity: Inverse document frequency of each term.
    :param basis: Terms × dimensions, as precise as 16-bit floats are.
    :param documents: How many the collection had when it was trained.
    :param languages: What the collection was written in, for questions: ISO 639-1.
    """

    vocabulary: dict[str, int]
    rarity: Floats
    basis: Floats
    documents: int
    languages: tuple[str, ...] = ()

    @classmethod
    def train(cls, documents: Iterable[Sequence[str]], dimension: int = DIMENSION) -> LsaModel:
        """Learn from a collection; the same documents in the same order give the same model.

        :param documents: The terms of each, as `analyser.terms` gives them; 20,000 at most are kept in memory.
        :param dimension: Of the vectors; fewer when the collection is small.
        :raises InputError: there are not two documents that share a term.
        """
        import numpy as np

        sample, count = _sampled(documents)
        holders = Counter(term for document in sample for term in set(document))
        shared = sorted((-number, term) for term, number in holders.items() if number > 1)[:_VOCABULARY]
        if not shared or dimension < 1:
            raise InputError(
                "There is too little text to learn from.", "Add documents: at least two must share a word."
            )
        vocabulary = {term: row for row, (_, term) in enumerate(shared)}
        numbers = np.array([-number for number, _ in shared])
        rarity = np.log(1 + (len(sample) - numbers + 0.5) / (numbers + 0.5)).astype(np.float32)
        matrix = _Sparse.of([_weighted(document, vocabulary, rarity) for document in sample], len(vocabulary))
        basis = _leading(matrix, min(dimension, len(sample), len(vocabulary)))
        return cls(vocabulary, rarity, basis.astype(np.float16).astype(np.float32), count)

    def fold_in(self, document: Sequence[str]) -> Floats:
        """The vector of a text, of length 1; all 0 when none of its terms is known.

        :param document: Its terms.
        """
        import numpy as np

        rows, weights = _weighted(document, self.vocabulary, self.rarity)
        vector: Floats = weights @ self.basis[rows]
        length = float(np.linalg.norm(vector))
        return vector / np.float32(length) if length > 1e-6 else np.zeros_like(vector)

    def outgrown(self, documents: int) -> bool:
        """Whether a collection of so many documents deserves another training: half as many again as this one saw."""
        return documents >= _GROWTH * self.documents

    @property
    def dimension(self) -> int:
        """Numbers in a vector."""
        return int(self.basis.shape[1])

    @cached_property
    def fingerprint(self) -> str:
        """8 hexadecimal digits; another model has others."""
        return hashlib.blake2b(self.to_bytes(), digest_size=4).hexdigest()

    def to_bytes(self) -> bytes:
        """The model, to be kept."""
        about = {
            "analyser": ANALYSER_VERSION,
            "dimension": self.dimension,
            "documents": self.documents,
            "languages": self.languages,
            "terms": list(self.vocabulary),
        }
        header = json.dumps(about, ensure_ascii=False).encode(errors="surrogatepass")
        numbers = self.rarity.astype("<f4").tobytes() + self.basis.astype("<f2").tobytes()
        return b"".join((_MAGIC, b"%d\n" % len(header), header, numbers))

    @classmethod
    def from_bytes(cls, data: bytes) -> LsaModel:
        """What `to_bytes` kept.

        :raises CorruptError: it is damaged, or was made by another version of the model or of the analyser.
        """
        try:
            return cls(*_parsed(data))
        except (ValueError, KeyError, TypeError, RecursionError) as error:
            raise CorruptError(f"The built-in embedder cannot be read ({error}).", "Train it again.") from None


class LsaEmbedder(BaseEmbedder):
    """The built-in embedder: needs no model, no key and no network, but a collection to learn from."""

    def __init__(self, model: LsaModel) -> None:
        self.model = model

    @classmethod
    def train(cls, texts: Iterable[str], dimension: int = DIMENSION) -> LsaEmbedder:
        """Learn from a collection, read once.

        :param texts: Its chunks; more than 20,000 are sampled.
        :raises InputError: there are not two that share a word.
        """
        languages: Counter[str] = Counter()

        def analysed() -> Iterator[list[str]]:
            for text in texts:
                language = detect_language(text)
                languages[language] += 1
                yield terms(text, language)

        model = LsaModel.train(analysed(), dimension)
        spoken = [language for language, _ in languages.most_common() if language]
        return cls(replace(model, languages=tuple(spoken)))

    @property
    def name(self) -> str:
        """`built-in/lsa-VERSION-FINGERPRINT`: trained again it has another name, for its vectors mean something else."""
        return f"built-in/lsa-{VERSION}-{self.model.fingerprint}"

    @property
    def trust(self) -> float:
        """Less than a language model's."""
        return WEIGHT

    @property
    def dimension(self) -> int:
        """Numbers in a vector: those of the model, and one for texts of which it knows nothing."""
        return self.model.dimension + 1

    def embed(self, texts: list[str]) -> list[list[float]]:
        """One vector of length 1 for each text."""
        return [self._vector(terms(text, detect_language(text)), 1.0) for text in texts]

    async def aembed_query(self, text: str) -> list[float]:
        """The vector of a question: of its telling words."""
        return self._vector(query_terms(text, self.model.languages), -1.0)

    def _vector(self, document: Sequence[str], unknown: float) -> list[float]:
        # No text may get a vector without direction. One of unknown words gets a direction of its own, and a question of unknown words
        # the opposite one, so that it is like nothing.
        vector: list[float] = self.model.fold_in(document).tolist()
        return [*vector, 0.0 if any(vector) else unknown]


@dataclass(frozen=True, slots=True)
class _Sparse:
    """A sparse matrix by rows: row `i` has `values[starts[i]:starts[i + 1]]` in the columns `places[…]`."""

    starts: list[int]
    places: Integers
    values: Floats
    width: int

    @classmethod
    def of(cls, rows: Sequence[tuple[Integers, Floats]], width: int) -> _Sparse:
        import numpy as np

        starts = [0, *np.cumsum([len(places) for places, _ in rows]).tolist()]
        return cls(starts, np.concatenate([row[0] for row in rows]), np.concatenate([row[1] for row in rows]), width)

    def transposed(self) -> _Sparse:
        import numpy as np

        rows = np.repeat(np.arange(len(self.starts) - 1), np.diff(self.starts))
        order = np.argsort(self.places, kind="stable")
        starts = np.searchsorted(self.places[order], np.arange(self.width + 1))
        return _Sparse(starts.tolist(), rows[order], self.values[order], len(self.starts) - 1)

    def times(self, dense: Floats) -> Floats:
        import numpy as np

        product = np.empty((len(self.starts) - 1, dense.shape[1]), np.float32)
        for row, start in enumerate(self.starts[:-1]):
            end = self.starts[row + 1]
            product[row] = self.values[start:end] @ dense[self.places[start:end]]
        return product


def _parsed(data: bytes) -> tuple[dict[str, int], Floats, Floats, int, tuple[str, ...]]:
    """The fields of a model.

    :raises ValueError: the data are no model of this version; so do `KeyError` and `TypeError`.
    """
    import numpy as np

    if not data.startswith(_MAGIC):
        raise ValueError("it was made by another version")
    start = data.index(b"\n", len(_MAGIC)) + 1
    end = start + int(data[len(_MAGIC) : start])
    about = json.loads(data[start:end].decode(errors="surrogatepass"))
    if about["analyser"] != ANALYSER_VERSION:
        raise ValueError("its terms are those of another analyser")
    count = len(about["terms"])
    rarity = np.frombuffer(data, "<f4", count, end).astype(np.float32)
    basis = np.frombuffer(data[end + 4 * count :], "<f2").astype(np.float32).reshape(count, about["dimension"])
    vocabulary = {term: row for row, term in enumerate(about["terms"])}
    return vocabulary, rarity, basis, about["documents"], tuple(about["languages"])


def _sampled(documents: Iterable[Sequence[str]]) -> tuple[list[Sequence[str]], int]:
    """At most 20,000 of them, each with the same chance (Vitter's algorithm R, fixed seed), and how many there were."""
    chance = random.Random(0)  # noqa: S311 - the same sample every time is the point
    sample: list[Sequence[str]] = []
    count = 0
    for document in documents:
        count += 1
        if len(sample) < _SAMPLE:
            sample.append(document)
        elif (place := chance.randrange(count)) < _SAMPLE:
            sample[place] = document
    return sample, count


def _weighted(document: Sequence[str], vocabulary: dict[str, int], rarity: Floats) -> tuple[Integers, Floats]:
    """The known terms of a document as rows of the basis, ascending, and what each weighs: `(1 + ln frequency) * rarity`, of length 1 together."""
    import numpy as np

    counts = sorted((vocabulary[term], count) for term, count in Counter(document).items() if term in vocabulary)
    rows = np.array([row for row, _ in counts], np.intp)
    weights = rarity[rows] * np.array([1 + math.log(count) for _, count in counts], np.float32)
    return rows, weights / np.float32(np.linalg.norm(weights) or 1)


def _leading(matrix: _Sparse, dimension: int) -> Floats:
    """The right singular vectors of the largest singular values, as columns."""
    import numpy as np

    across = matrix.transposed()
    width = min(dimension + _SPARE, matrix.width)
    basis = np.random.default_rng(0).standard_normal((matrix.width, width), np.float32)
    for _ in range(_ITERATIONS):
        basis = np.linalg.qr(across.times(matrix.times(np.linalg.qr(basis)[0])))[0]
    seen = matrix.times(basis)
    _, directions = np.linalg.eigh(seen.T @ seen)
    leading: Floats = basis @ directions[:, ::-1][:, :dimension]
    return leading
