"""Which pages answer a query best: exact BM25 over the postings, by the engine of your choice.

`fields`      the default: the weighted sum of a BM25 for each field of a page (body, file name, head)
`okapi`       Okapi BM25 of the body, with the scores of the reference
`rank_bm25`   the reference itself, the library of that name: slow, in memory, for comparison

The result is always that of scoring every page that holds a term of the query.
"""

from __future__ import annotations

import math
import sqlite3
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from .errors import unknown_name
from .lists import Postings, Statistics, damaged
from .postings import FIELDS, LENGTH

if TYPE_CHECKING:
    from .lists import Flags, Floats, Integers
    from .ranges import Ranges

WEIGHTS = {"body": 1.0, "name": 4.0, "head": 0.5}
"""How much the BM25 of each field counts in the default ranking; `benchmarks/pages.py` measures what they are worth."""

EPSILON = 0.25
"""Of the average inverse document frequency: what a term on more than half of the pages gets in `okapi`, as in rank_bm25."""

_LONG = 2_000  # pages: only from here on is it worth asking whether the rest of a query can matter


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

    :param asked: Term → how often it was asked for.
    :param found: The postings of those terms: of the body only, unless the engine is `fields`.
    :param limit: How many pages are wanted.
    :param allowed: Place → whether the page there may be chosen; `None` allows all.
    """

    connection: sqlite3.Connection
    statistics: Statistics
    asked: Counter[str]
    found: list[Postings]
    limit: int
    weights: Mapping[str, float]
    k1: float
    b: float
    allowed: Flags | None

    def scores(self) -> Floats:
        """Place → 0, to be filled in."""
        import numpy as np

        return np.zeros(len(self.statistics.lengths[0]))

    def holders(self) -> Integers:
        """The places that hold any of the terms and are allowed, ascending."""
        import numpy as np

        flags = np.zeros(len(self.statistics.lengths[0]), bool)
        for postings in self.found:
            flags[postings.places] = True
        return np.flatnonzero(flags if self.allowed is None else flags & self.allowed)


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
        weights: Mapping[str, float] = WEIGHTS,
        k1: float = 1.5,
        b: float = 0.75,
        among: Ranges | None = None,
    ) -> list[Hit]:
        """The best pages of a collection, best first; equally good ones in the order of their ids.

        :param connection: Inside a read transaction of the caller, so that the whole search sees one state.
        :param query_terms: As `analyser.query_terms` makes them; a term asked for twice counts twice.
        :param engine: One of `ENGINES`.
        :param weights: Of the fields, for `fields`; a field without one does not count.
        :param k1: How soon more of a term stops counting for more.
        :param b: How much a long page is held against it, 0 to 1.
        :param among: The ids of the pages to choose from. Statistics are always those of the whole collection.
        :raises UnknownNameError: there is no such engine.
        :raises CorruptError: the index is damaged.
        """
        if engine not in ENGINES:
            raise unknown_name("ranking engine", engine, ENGINES)
        statistics = self._current(connection, collection_id)
        asked = Counter(term for term in query_terms if term != LENGTH)
        fields = len(FIELDS) if engine == "fields" else 1
        found = [postings for term in asked for postings in statistics.postings(connection, term, fields)]
        if not found or limit < 1:
            return []
        try:
            query = Query(connection, statistics, asked, found, limit, weights, k1, b, _allowed(statistics, among))
            return _best(query, *ENGINES[engine](query))
        except IndexError:  # a list names a page where none is; to look for that first would cost every search
            raise damaged() from None

    def rarity(self, connection: sqlite3.Connection, collection_id: int, terms: Sequence[str]) -> dict[str, float]:
        """The inverse document frequency of those of these terms that stand in the body of any page, as `fields` has it."""
        statistics = self._current(connection, collection_id)
        found = [postings for term in dict.fromkeys(terms) for postings in statistics.postings(connection, term, 1)]
        return {postings.term: _rarity(len(statistics.places), len(postings.places)) for postings in found}

    def _current(self, connection: sqlite3.Connection, collection_id: int) -> Statistics:
        row = connection.execute("SELECT revision FROM collections WHERE id = ?", (collection_id,)).fetchone()
        revision = row[0] if row else -1
        statistics = self._statistics.get(collection_id)
        if statistics is None or statistics.revision != revision:
            statistics = self._statistics[collection_id] = Statistics.load(connection, collection_id, revision)
        return statistics


def _allowed(statistics: Statistics, among: Ranges | None) -> Flags | None:
    """Place → whether the page there may be chosen."""
    import numpy as np

    if among is None:
        return None
    flags = np.zeros(len(statistics.lengths[0]), bool)
    if len(statistics.page_ids):
        flags[statistics.places[among.places(statistics.page_ids)]] = True
    return flags


def _best(query: Query, places: Integers, scores: Floats) -> list[Hit]:
    """The hits for the best of these places."""
    import numpy as np

    if len(scores) > query.limit:
        least = _nth_best(scores, query.limit)
        above, equal = np.flatnonzero(scores > least), np.flatnonzero(scores == least)
        chosen = np.concatenate([above, equal[: query.limit - len(above)]])
        places, scores = places[chosen], scores[chosen]
    order = np.lexsort((places, -scores))
    places, scores = places[order], scores[order]
    ids = query.statistics.page_ids[np.searchsorted(query.statistics.places, places)]
    terms: list[list[str]] = [[] for _ in order]
    for postings in query.found:
        holds, _ = postings.among(places)
        for rank in np.flatnonzero(holds).tolist():
            if terms[rank][-1:] != [postings.term]:  # once, however many fields hold it
                terms[rank].append(postings.term)
    return [Hit(*hit) for hit in zip(ids.tolist(), scores.tolist(), terms, strict=True)]


def _nth_best(scores: Floats, nth: int) -> float:
    import numpy as np

    return float(np.partition(scores, len(scores) - nth)[len(scores) - nth])


def _fields(query: Query) -> tuple[Integers, Floats]:
    """The weighted sum over the fields of BM25 with the never negative inverse document frequency of Lucene.

    Lists are added up in the order of the most they can give. As soon as what is still to come cannot lift a page above the last one
    wanted, only the pages that can still win are looked up in the long lists: Turtle and Flood's MaxScore (1995), list by list.
    """

    count = len(query.statistics.places)
    lists = []
    for postings in query.found:
        weight = query.weights.get(FIELDS[postings.field], 0.0)
        if weight:
            idf = _rarity(count, len(postings.places))
            lists.append((weight * query.asked[postings.term] * idf * (query.k1 + 1), postings))
    lists.sort(key=lambda entry: -entry[0])
    to_come = sum(most for most, _ in lists)
    scores = query.scores()
    contenders: Integers | None = None
    for most, postings in lists:
        if contenders is None and len(postings.places) > _LONG:
            contenders = _contenders(query, scores, to_come, len(postings.places) // 8)
        if contenders is None:
            scores[postings.places] += most * _impacts(query, postings)
        else:
            holds, spots = postings.among(contenders)
            scores[contenders[holds]] += most * _saturated(query, postings, spots)
        to_come -= most
    places = query.holders() if contenders is None else contenders
    return places, scores[places]


def _rarity(count: int, holders: int) -> float:
    """Lucene's inverse document frequency, which is never negative."""
    return math.log(1 + (count - holders + 0.5) / (holders + 0.5))


def _impacts(query: Query, postings: Postings) -> Floats:
    """What every posting of a list counts, before its weight, 0 to 1; remembered with the list."""
    key = (query.k1, query.b)
    known = postings.impacts
    if known is None or known[0] != key:
        known = postings.impacts = (key, _saturated(query, postings, slice(None)))
    return known[1]


def _saturated(query: Query, postings: Postings, spots: Integers | slice) -> Floats:
    """`frequency / (frequency + norm)` of these postings of a list."""
    frequencies = postings.frequencies[spots]
    impacts: Floats = frequencies / (
        frequencies + query.statistics.norm(postings.field, query.k1, query.b)[postings.places[spots]]
    )
    return impacts


def _contenders(query: Query, scores: Floats, to_come: float, most: int) -> Integers | None:
    """The places that can still be among the best, when all others cannot and they are at most so many."""
    import numpy as np

    if scores.max() <= 2.5 * to_come:
        return None  # a page not seen yet could win, or so many could that looking is not worth it
    places = np.flatnonzero(scores > 0 if query.allowed is None else (scores > 0) & query.allowed)
    if len(places) < query.limit:
        return None
    reached = scores[places]
    needed = _nth_best(reached, query.limit) - to_come * (1 + 1e-9)  # rounding must not cost a page its chance
    if needed <= 0:
        return None
    places = places[reached >= needed]
    return places if len(places) <= most else None


def _okapi(query: Query) -> tuple[Integers, Floats]:
    """Okapi BM25 of the body, as rank_bm25 has it: Trotman, Jia and Crane, Towards an Efficient and Effective Search Engine (2012)."""
    statistics = query.statistics
    norm = statistics.norm(0, query.k1, query.b)
    scores = query.scores()
    for postings in query.found:
        idf = _okapi_idf(len(statistics.places), len(postings.places))
        if idf < 0:
            idf = EPSILON * _average_idf(query)
        weight = query.asked[postings.term] * idf * (query.k1 + 1)
        scores[postings.places] += weight * postings.frequencies / (postings.frequencies + norm[postings.places])
    places = query.holders()
    return places, scores[places]


def _okapi_idf(count: int, holders: int) -> float:
    return math.log(count - holders + 0.5) - math.log(holders + 0.5)


def _average_idf(query: Query) -> float:
    """Over every term of the bodies of the collection: a walk through the whole index, once for each revision."""
    statistics = query.statistics
    if "average idf" not in statistics.kept:
        holders = query.connection.execute(
            "SELECT sum(length(data)) / 4 FROM postings WHERE collection_id = ? AND field = 0 AND term != ? GROUP BY term",
            (statistics.collection_id, LENGTH),
        ).fetchall()
        total = sum(_okapi_idf(len(statistics.places), number) for (number,) in holders)
        statistics.kept["average idf"] = total / len(holders)
    average: float = statistics.kept["average idf"]
    return average


def _rank_bm25(query: Query) -> tuple[Integers, Floats]:
    """What the library rank_bm25 makes of the same terms."""
    statistics = query.statistics
    key = ("rank_bm25", query.k1, query.b)
    if key not in statistics.kept:
        from rank_bm25 import BM25Okapi  # type: ignore[import-untyped]  # it has no type hints

        statistics.kept[key] = BM25Okapi(_bodies(query), k1=query.k1, b=query.b)
    scores = query.scores()
    scores[statistics.places] = statistics.kept[key].get_scores(list(query.asked.elements()))
    places = query.holders()
    return places, scores[places]


def _bodies(query: Query) -> list[list[str]]:
    """The terms of every page of the collection, in the order of the pages but not in their own."""
    bodies: dict[int, list[str]] = {place: [] for place in query.statistics.places.tolist()}
    terms = query.connection.execute(
        "SELECT DISTINCT term FROM postings WHERE collection_id = ? AND field = 0 AND term != ?",
        (query.statistics.collection_id, LENGTH),
    ).fetchall()
    for (term,) in terms:
        for postings in query.statistics.postings(query.connection, term, 1):
            for place, frequency in zip(postings.places.tolist(), postings.frequencies.tolist(), strict=True):
                bodies[place] += [term] * frequency
    return list(bodies.values())


ENGINES: dict[str, Callable[[Query], tuple[Integers, Floats]]] = {
    "fields": _fields,
    "okapi": _okapi,
    "rank_bm25": _rank_bm25,
}
"""Name → the places that may be chosen, ascending, and their scores. Adding one is one function and one line here."""
