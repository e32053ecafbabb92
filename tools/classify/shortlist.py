"""The few labels of a long list that a text may be about: found by the words, and the vectors, of labels, descriptions and examples."""

from __future__ import annotations

import asyncio
import inspect
import math
from collections import Counter, defaultdict
from collections.abc import Awaitable, Callable, Sequence
from typing import TYPE_CHECKING, Any

from ...knowledge.analyser import detect_language, query_terms, terms
from ...knowledge.errors import InputError
from .options import Options

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

Embed = Callable[[str], Sequence[float] | Awaitable[Sequence[float]]]
"""Text → its embedding, blocking or async."""

K1, B = 1.2, 0.75  # BM25, as Robertson and Zaragoza (2009) recommend
LEXICAL = 0.6
"""How much words count beside vectors."""


class Shortlist:
    """Ranks the labels of a list for a text. Safe between threads.

    :param embed: Ranks by meaning too.
    """

    def __init__(self, options: Options, embed: Embed | None = None) -> None:
        self._options = options
        self._embed = embed
        self._vectors: NDArray[np.float32] | None = None
        texts = [_text(label, options) for label in options.labels]
        self._language = detect_language(" ".join(texts)[:4_000])
        self._postings: dict[str, list[tuple[int, int]]] = defaultdict(list)
        self._lengths = []
        for place, text in enumerate(texts):
            found = Counter(terms(text, self._language))
            self._lengths.append(found.total())
            for term, count in found.items():
                self._postings[term].append((place, count))
        self._average = sum(self._lengths) / len(texts) or 1.0

    async def best(self, text: str, most: int) -> list[str]:
        """The likeliest labels, best first, `most` of them or all; the uncertain label is not among them.

        :raises InputError: the embedder gives no vectors of one length.
        """
        scores = self._words(text)
        if self._embed is not None:
            meant = await self._meant(text, self._embed)
            scores = [LEXICAL * a + (1 - LEXICAL) * b for a, b in zip(_scaled(scores), _scaled(meant), strict=True)]
        labels = self._options.labels
        order = sorted(range(len(labels)), key=lambda place: -scores[place])
        return [labels[place] for place in order if labels[place] != self._options.uncertain_label][:most]

    def _words(self, text: str) -> list[float]:
        """BM25 of every label."""
        scores = [0.0] * len(self._lengths)
        for term in query_terms(text, [self._language]):
            held = self._postings.get(term, ())
            rarity = math.log(1 + (len(scores) - len(held) + 0.5) / (len(held) + 0.5))
            for place, count in held:
                scores[place] += (
                    rarity * count * (K1 + 1) / (count + K1 * (1 - B + B * self._lengths[place] / self._average))
                )
        return scores

    async def _meant(self, text: str, embed: Embed) -> list[float]:
        """The cosine of every label's text with `text`."""
        import numpy as np

        if self._vectors is None:
            made = [await _unit(_text(label, self._options), embed) for label in self._options.labels]
            if len({vector.shape for vector in made}) != 1:
                raise InputError("The embedder gave vectors of several lengths.", "Use one model for all texts.")
            self._vectors = np.stack(made)
        vector = await _unit(text, embed)
        if vector.shape != self._vectors.shape[1:]:
            raise InputError("The embedder gave vectors of several lengths.", "Use one model for all texts.")
        cosines: list[float] = (self._vectors @ vector).tolist()
        return cosines


class Shortlists:
    """Which labels of a list a model is shown. Safe between threads.

    :param size: So many of a longer list; `None` shows every list whole.
    :param embed: Text → vector; ranks by meaning too.
    """

    def __init__(self, size: int | None, embed: Embed | None) -> None:
        self.size = size
        self._embed = embed
        self._last: tuple[str, Shortlist] | None = None  # other lists come and go

    async def shown(self, options: Options, text: str) -> list[str] | None:
        """The likeliest labels, best first; `None` for the whole list: it is short, or there is nothing but bare labels to choose by."""
        told = bool(options.descriptions or options.examples or self._embed)
        if not told or self.size is None or len(options.labels) <= self.size + 1:
            return None
        last = self._last
        if last is None or last[0] != options.fingerprint:
            last = self._last = (options.fingerprint, Shortlist(options, self._embed))
        return await last[1].best(text, self.size)

    async def recall(self, options: Options, labelled: Sequence[tuple[str, str]]) -> float:
        """In how many of some texts with their labels the label is shown, 0 to 1.

        :raises InputError: there are no texts.
        """
        if not labelled:
            raise InputError("There is nothing to measure on.", "Give texts with their labels.")
        lists = [(label, await self.shown(options, text)) for text, label in labelled]
        return sum(shown is None or label in shown for label, shown in lists) / len(lists)


def _text(label: str, options: Options) -> str:
    return "\n".join([label, options.descriptions.get(label, ""), *options.examples.get(label, ())])


async def _unit(text: str, embed: Embed) -> NDArray[np.float32]:
    import numpy as np

    given: Any = embed(text) if inspect.iscoroutinefunction(embed) else await asyncio.to_thread(embed, text)
    vector = np.asarray(await given if inspect.isawaitable(given) else given, dtype=np.float32)
    length = float(np.linalg.norm(vector)) if vector.ndim == 1 else 0.0
    if not 0 < length < math.inf:
        raise InputError(
            "The embedder gave no vector of finite numbers.", "It must return a list of floats, not all 0."
        )
    unit: NDArray[np.float32] = vector / length
    return unit


def _scaled(scores: Sequence[float]) -> list[float]:
    """From 0 for the least to 1 for the most."""
    least, most = min(scores), max(scores)
    return [(score - least) / (most - least) if most > least else 0.0 for score in scores]
