"""Texts that say nearly the same, found among many in a time that grows with their number only."""

from __future__ import annotations

import re
import zlib
from collections.abc import Iterable

_WORD = re.compile(r"\w+")
_RUN, _BANDS, _ROWS = 3, 16, 4
_PRIME = (1 << 31) - 1


def repeats(texts: Iterable[str], *, alike: float = 0.8) -> list[int]:
    """For each text its own place, or that of the earlier one it nearly repeats: candidates by MinHash in bands, confirmed exactly.

    Two are alike when their sets of runs of three words have a Jaccard similarity of at least `alike`
    (Broder, On the resemblance and containment of documents, 1997; bands: Leskovec, Rajaraman, Ullman, Mining of Massive Datasets, 3.4).

    :param alike: Above .7; below it the bands miss too many.
    """
    import numpy as np

    draw = np.random.default_rng(1)
    factors = draw.integers(1, _PRIME, (_BANDS * _ROWS, 1), dtype=np.int64)
    offsets = draw.integers(0, _PRIME, (_BANDS * _ROWS, 1), dtype=np.int64)
    buckets: dict[tuple[int, bytes], int] = {}
    kept: dict[int, frozenset[int]] = {}
    says: list[int] = []
    for place, text in enumerate(texts):
        runs = _runs(text)
        hashes = np.fromiter(runs, np.int64, len(runs))
        signature = ((hashes * factors + offsets) % _PRIME).min(axis=1).reshape(_BANDS, _ROWS)
        keys = [(band, row.tobytes()) for band, row in enumerate(signature)]
        near = {buckets[key] for key in keys if key in buckets}
        first = min((each for each in near if _jaccard(runs, kept[each]) >= alike), default=place)
        says.append(first)
        if first == place:
            kept[place] = runs
            for key in keys:
                buckets.setdefault(key, place)
    return says


def _runs(text: str) -> frozenset[int]:
    """The hashes, below 2³¹, of every run of three words; of fewer words, of all of them."""
    words = _WORD.findall(text.lower()) or [text]
    last = max(1, len(words) - _RUN + 1)
    return frozenset(zlib.crc32(" ".join(words[at : at + _RUN]).encode(errors="replace")) >> 1 for at in range(last))


def _jaccard(one: frozenset[int], other: frozenset[int]) -> float:
    shared = len(one & other)
    return shared / (len(one) + len(other) - shared)
