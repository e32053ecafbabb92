"""Which of a few thousand short texts a question means: BM25 over weighted words, in memory."""

from __future__ import annotations

import math
from bisect import bisect_left
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence

from ...knowledge.analyser import detect_language, query_terms, terms

_K1 = 1.2
_B = 0.4  # a wide table is not a long-winded one
_SHORTENED = 0.4  # what a word counts for that only begins like the one asked for: `cust` for `customer`
_SHORTEST = 3  # letters of such a beginning
_MOST_LIKE = 50  # words that begin like one that was asked for
_LONGEST = 2_000  # characters of a question that are looked at


class WordIndex:
    """Texts to be found by their words. Made once, then read by any thread.

    :param texts: Of each text its fields: how much a word in it counts, and what it says. Names are taken apart (`order_items`, `OrderItems`) and words stemmed.
    """

    def __init__(self, texts: Iterable[Sequence[tuple[float, str]]]) -> None:
        held = [list(fields) for fields in texts]
        spoken = " ".join(text for fields in held for _, text in fields)
        self._language = detect_language(spoken) or "en"
        self._lengths: list[float] = []
        self._holders: defaultdict[str, dict[int, float]] = defaultdict(dict)
        for place, fields in enumerate(held):
            weights: Counter[str] = Counter()
            for weight, text in fields:
                for term in terms(text, self._language):
                    weights[term] += weight  # type: ignore[assignment]  # a Counter may count in halves
            self._lengths.append(sum(weights.values()))
            for term, weight in weights.items():
                self._holders[term][place] = weight
        self._average = sum(self._lengths) / max(1, len(self._lengths)) or 1.0
        self._sorted = sorted(self._holders)

    def find(self, question: str, limit: int) -> list[tuple[int, float]]:
        """The places of the texts that answer best and their scores, best first; those that share no word are not among them."""
        scores: defaultdict[int, float] = defaultdict(float)
        for term, times in Counter(query_terms(question[:_LONGEST], {self._language, "en"})).items():
            best: dict[int, float] = {}
            for known, share in self._likes(term).items():
                for place, score in self._scores(known):
                    best[place] = max(best.get(place, 0.0), share * score)
            for place, score in best.items():
                scores[place] += times * score
        return sorted(scores.items(), key=lambda found: (-found[1], found[0]))[:limit]

    def _scores(self, term: str) -> Iterable[tuple[int, float]]:
        holders: Mapping[int, float] = self._holders[term]
        rarity = math.log(1 + (len(self._lengths) - len(holders) + 0.5) / (len(holders) + 0.5))
        for place, weight in holders.items():
            length = 1 - _B + _B * self._lengths[place] / self._average
            yield place, rarity * weight * (_K1 + 1) / (weight + _K1 * length)

    def _likes(self, term: str) -> dict[str, float]:
        """The words that stand for a word of the question, and how much each counts."""
        found = {term: 1.0} if term in self._holders else {}
        if not term.isalpha():
            return found
        for stop in range(_SHORTEST, len(term)):
            if term[:stop] in self._holders:
                found[term[:stop]] = _SHORTENED
        if len(term) >= _SHORTEST:
            start = bisect_left(self._sorted, term)
            for known in self._sorted[start : start + _MOST_LIKE]:
                if not known.startswith(term):
                    break
                found.setdefault(known, _SHORTENED)
        return found
