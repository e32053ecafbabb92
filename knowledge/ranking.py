"""Which pages answer a query best: exact BM25 over the postings, by the engine of your choice.

`fields`      the default: the weighted sum of a BM25 for each field of a page (body, file name, head)
`okapi`       Okapi BM25 of the body, with the scores of the reference
`rank_bm25`   the reference itself, the library of that name: slow, in memory, for comparison

All of them score every page that holds a term of the query; nothing is cut off before the ranking.
"""

from __future__ import annotations

import math
import sqlite3
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from .errors import unknown_name
from .postings import BLOCK, FIELDS, FREQUENCY_BITS, LENGTH, MAX_FREQUENCY

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    Floats = npt.NDArray[np.float64]
    Integers = npt.NDArray[np.int64]

WEIGHTS = {"body": 1.0, "name": 4.0, "head": 0.5}
"""How much the BM25 of each field counts in the default ranking; measured by `benchmarks/pages.py`."""

EPSILON = 0.25
"""Of the average inverse document frequency: what a term on more than half of the pages gets in `okapi`, as in rank_bm25."""


@dataclass(slots=True)
class Hit:
    """A page that answers.

    :param score: Higher is better; comparable within one query only.
    :param terms: The terms of the query it holds, in the order of the query.
    """

    page_id: int
    score: float
    terms: list[str]


@dataclass(slots=True)
class Query:
    """One question to one state of a collection, as an engine sees it.

    :param terms: Term → how often it was asked for.
    :param postings: For each (term, field number): the places of the pages that hold it, ascending, and how often each does.
    """

    connection: sqlite3.Connection
    statistics: Statistics
    terms: Counter[str]
    postings: dict[tuple[str, int], tuple[Integers, Integers]]
    k1: float
    b: float


@dataclass(slots=True)
class Statistics:
    """What is remembered of one revision of a collection. Pages have *places*: their blocks laid end to end.

    :param first: Block → the place of its first page.
    :param blocks: The block numbers, ascending.
    :param present: Place → whether there is a page.
    :param lengths: Field number → place → number of terms.
    :param kept: What engines worked out and want to find again.
    """

    collection_id: int
    revision: int
    first: dict[int, int]
    blocks: Integers
    present: npt.NDArray[np.bool_]
    count: int
    lengths: list[Floats]
    kept: dict[Any, Any] = field(default_factory=dict)

    @classmethod
    def load(cls, connection: sqlite3.Connection, collection_id: int, revision: int) -> Statistics:
        """Read the page lengths of a collection: one small row for each 4,096 pages."""
        import numpy as np

        rows = [_rows(connection, collection_id, LENGTH, number) for number in range(len(FIELDS))]
        blocks = [block for block, _ in rows[0]]
        first = {block: place * BLOCK for place, block in enumerate(blocks)}
        lengths = [np.zeros(len(blocks) * BLOCK) for _ in FIELDS]
        present = np.zeros(len(blocks) * BLOCK, dtype=bool)
        for number, field_rows in enumerate(rows):
            places, frequencies = _unpack(field_rows, first)
            lengths[number][places] = frequencies
            present[places] = True
        return cls(
            collection_id, revision, first, np.array(blocks, dtype=np.int64), present, int(present.sum()), lengths
        )

    def norm(self, number: int, k1: float, b: float) -> Floats:
        """Place → what BM25 adds to the frequency in its denominator: `k1 * (1 - b + b * length / average length)`."""
        key = (number, k1, b)
        if key not in self.kept:
            average = self.lengths[number].sum() / self.count
            self.kept[key] = k1 * (1 - b + b * self.lengths[number] / average)
        norm: Floats = self.kept[key]
        return norm

    def page_ids(self, places: Integers) -> Integers:
        """The ids of the pages at these places."""
        ids: Integers = self.blocks[places // BLOCK] * BLOCK + places % BLOCK
        return ids


class Searcher:
    """Answers queries on the collections of one database, and remembers what does not change between them. Safe between threads."""

    def __init__(self) -> None:
        self._statistics: dict[int, Statistics] = {}

    def search(
        self,
        connection: sqlite3.Connection,
        collection_id: int,
        query_terms: Sequence[str],
        *,
        limit: int,
        engine: str = "fields",
        k1: float = 1.5,
        b: float = 0.75,
        among: Sequence[tuple[int, int]] | None = None,
    ) -> list[Hit]:
        """The best pages of a collection, best first; equally good ones in the order of their ids.

        :param connection: Inside a read transaction of the caller, so that the whole search sees one state.
        :param query_terms: As `analyser.query_terms` makes them; a term asked for twice counts twice.
        :param engine: One of `ENGINES`.
        :param k1: How soon more of a term stops counting for more.
        :param b: How much a long page is held against it, 0 to 1.
        :param among: Ranges of page ids, both ends included, to choose from. Statistics are always those of the whole collection.
        :raises UnknownNameError: there is no such engine.
        """
        if engine not in ENGINES:
            raise unknown_name("ranking engine", engine, ENGINES)
        statistics = self._current(connection, collection_id)
        if not statistics.count or limit < 1:
            return []
        number_of_fields = len(FIELDS) if engine == "fields" else 1
        asked = Counter(term for term in query_terms if term)
        postings = {}
        for term in asked:
            for number in range(number_of_fields):
                rows = _rows(connection, collection_id, term, number)
                if rows:
                    postings[term, number] = _unpack(rows, statistics.first)
        if not postings:
            return []
        query = Query(connection, statistics, asked, postings, k1, b)
        return _best(query, ENGINES[engine](query), limit, among)

    def _current(self, connection: sqlite3.Connection, collection_id: int) -> Statistics:
        row = connection.execute("SELECT revision FROM collections WHERE id = ?", (collection_id,)).fetchone()
        revision = row[0] if row else -1
        statistics = self._statistics.get(collection_id)
        if statistics is None or statistics.revision != revision:
            statistics = self._statistics[collection_id] = Statistics.load(connection, collection_id, revision)
        return statistics


def _rows(connection: sqlite3.Connection, collection_id: int, term: str, number: int) -> list[tuple[int, bytes]]:
    return connection.execute(
        "SELECT block, data FROM postings WHERE collection_id = ? AND term = ? AND field = ? ORDER BY block",
        (collection_id, term, number),
    ).fetchall()


def _unpack(rows: Sequence[tuple[int, bytes]], first: dict[int, int]) -> tuple[Integers, Integers]:
    """Places and frequencies from the rows of one term."""
    import numpy as np

    packed = np.frombuffer(b"".join(data for _, data in rows), dtype=">u4").astype(np.int64)
    starts = np.repeat([first[block] for block, _ in rows], [len(data) // 4 for _, data in rows])
    return starts + (packed >> FREQUENCY_BITS), packed & MAX_FREQUENCY


def _best(query: Query, scores: Floats, limit: int, among: Sequence[tuple[int, int]] | None) -> list[Hit]:
    """The pages with the highest scores among those that hold a term and lie in the ranges."""
    import numpy as np

    statistics = query.statistics
    matched = np.zeros(len(scores), dtype=bool)
    for places, _ in query.postings.values():
        matched[places] = True
    candidates = np.flatnonzero(matched)
    if among is not None:
        ids = statistics.page_ids(candidates)
        allowed = np.zeros(len(ids), dtype=bool)
        for low, high in among:
            allowed[np.searchsorted(ids, low) : np.searchsorted(ids, high, side="right")] = True
        candidates = candidates[allowed]
    found = scores[candidates]
    if len(found) > limit:
        least = np.partition(found, len(found) - limit)[len(found) - limit]
        above = np.flatnonzero(found > least)
        chosen = np.concatenate([above, np.flatnonzero(found == least)[: limit - len(above)]])
        candidates, found = candidates[chosen], found[chosen]
    order = np.lexsort((candidates, -found))
    best = candidates[order]
    holders: dict[str, npt.NDArray[np.bool_]] = {}
    for (term, _), (places, _) in query.postings.items():
        spots = np.searchsorted(places, best)
        holds = places[np.minimum(spots, len(places) - 1)] == best
        holders[term] = holders[term] | holds if term in holders else holds
    ids = statistics.page_ids(best).tolist()
    return [
        Hit(page_id, score, [term for term, holds in holders.items() if holds[rank]])
        for rank, (page_id, score) in enumerate(zip(ids, found[order].tolist(), strict=True))
    ]


def _fields(query: Query) -> Floats:
    """The weighted sum over the fields of BM25 with the never negative inverse document frequency of Lucene."""
    import numpy as np

    count = query.statistics.count
    scores = np.zeros(len(query.statistics.present))
    for (term, number), (places, frequencies) in query.postings.items():
        idf = math.log(1 + (count - len(places) + 0.5) / (len(places) + 0.5))
        weight = WEIGHTS[FIELDS[number]] * query.terms[term] * idf * (query.k1 + 1)
        scores[places] += (
            weight * frequencies / (frequencies + query.statistics.norm(number, query.k1, query.b)[places])
        )
    return scores


def _okapi(query: Query) -> Floats:
    """Okapi BM25 of the body, as rank_bm25 has it: Trotman, Jia and Crane, Towards an Efficient and Effective Search Engine (2012)."""
    import numpy as np

    statistics = query.statistics
    norm = statistics.norm(0, query.k1, query.b)
    scores = np.zeros(len(statistics.present))
    for (term, _), (places, frequencies) in query.postings.items():
        idf = _okapi_idf(statistics.count, len(places))
        if idf < 0:
            idf = EPSILON * _average_idf(query)
        scores[places] += query.terms[term] * idf * (frequencies * (query.k1 + 1) / (frequencies + norm[places]))
    return scores


def _okapi_idf(count: int, holders: int) -> float:
    return math.log(count - holders + 0.5) - math.log(holders + 0.5)


def _average_idf(query: Query) -> float:
    """Over every term of the bodies of the collection: a walk through the whole index, once for each revision."""
    statistics = query.statistics
    if "average idf" not in statistics.kept:
        holders = query.connection.execute(
            "SELECT sum(length(data)) / 4 FROM postings WHERE collection_id = ? AND field = 0 AND term != '' GROUP BY term",
            (statistics.collection_id,),
        ).fetchall()
        statistics.kept["average idf"] = sum(_okapi_idf(statistics.count, number) for (number,) in holders) / len(
            holders
        )
    average: float = statistics.kept["average idf"]
    return average


def _rank_bm25(query: Query) -> Floats:
    """What the library rank_bm25 makes of the same terms."""
    import numpy as np
    from rank_bm25 import BM25Okapi  # type: ignore[import-untyped]  # it has no type hints

    statistics = query.statistics
    places = np.flatnonzero(statistics.present)
    key = ("rank_bm25", query.k1, query.b)
    if key not in statistics.kept:
        pages: dict[int, list[str]] = {place: [] for place in places.tolist()}
        for term, place, frequency in _every_posting(query):
            pages[place] += [term] * frequency
        statistics.kept[key] = BM25Okapi(list(pages.values()), k1=query.k1, b=query.b)
    scores = np.zeros(len(statistics.present))
    scores[places] = statistics.kept[key].get_scores(list(query.terms.elements()))
    return scores


def _every_posting(query: Query) -> Iterator[tuple[str, int, int]]:
    """Term, place and frequency, over the bodies of the collection."""
    rows = query.connection.execute(
        "SELECT term, block, data FROM postings WHERE collection_id = ? AND field = 0 AND term != ''",
        (query.statistics.collection_id,),
    )
    for term, block, data in rows:
        places, frequencies = _unpack([(block, data)], query.statistics.first)
        for place, frequency in zip(places.tolist(), frequencies.tolist(), strict=True):
            yield term, place, frequency


ENGINES: dict[str, Callable[[Query], Floats]] = {"fields": _fields, "okapi": _okapi, "rank_bm25": _rank_bm25}
"""Name → place → score, for every page of the collection; only those holding a term of the query are looked at."""
