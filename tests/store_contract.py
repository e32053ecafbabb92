"""How a vector store is examined: scenarios that every one of the table must pass, whatever keeps its vectors."""

from __future__ import annotations

import math
import random
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from copy import deepcopy
from dataclasses import dataclass
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from racto.knowledge.chunks import Chunk, ChunkMetadata
from racto.knowledge.errors import InputError
from racto.knowledge.stores import BaseVectorStore
from racto.knowledge.stores.filtering import matches, parse

DIMENSION = 6
NEAR = 2e-3
"""What a cosine may be off by: half precision keeps three digits."""


@dataclass(frozen=True)
class Examined:
    """A store to examine.

    :param open: Collection → an empty store the first time, and later the same collection again where the store is persistent.
    :param persistent: What was added is there after closing and opening.
    :param quick: Hundreds of searches take a second at most.
    :param any_length: A collection that was cleared takes vectors of another length.
    """

    open: Callable[[str], BaseVectorStore]
    persistent: bool = True
    quick: bool = True
    any_length: bool = True

    def filled(self, chunks: list[Chunk]) -> BaseVectorStore:
        """A store with these chunks."""
        store = self.open("one")
        store.add(chunks)
        return store


@contextmanager
def closing(open_store: Callable[[str], BaseVectorStore]) -> Iterator[Callable[[str], BaseVectorStore]]:
    """The same, and in the end every store it made is closed."""
    opened: list[BaseVectorStore] = []

    def opener(collection: str) -> BaseVectorStore:
        opened.append(open_store(collection))
        return opened[-1]

    try:
        yield opener
    finally:
        for store in opened:
            store.close()


@dataclass(frozen=True)
class Scenario:
    """One thing that must be true.

    :param needs: What a store must be for it: `persistent`, `quick`, `any_length`.
    """

    check: Callable[[Examined], None]
    needs: tuple[str, ...]


SCENARIOS: dict[str, Scenario] = {}


def scenario(*needs: str) -> Callable[[Callable[[Examined], None]], None]:
    """Make a function a scenario."""

    def add(check: Callable[[Examined], None]) -> None:
        SCENARIOS[check.__name__.replace("_", " ")] = Scenario(check, needs)

    return add


def vector(seed: int, length: float = 1.0) -> list[float]:
    """A direction of its own, at this length."""
    drawn = random.Random(seed)
    numbers = [drawn.gauss(0, 1) for _ in range(DIMENSION)]
    return [number * length / math.hypot(*numbers) for number in numbers]


def cosine(one: list[float], other: list[float]) -> float:
    """Of two vectors of any length."""
    return sum(a * b for a, b in zip(one, other, strict=True)) / (math.hypot(*one) * math.hypot(*other))


def chunk(name: str, seed: int, length: float = 1.0, **extra: Any) -> Chunk:
    """A chunk with a vector of its own."""
    about = ChunkMetadata(source=f"/d/{name}.md", page=seed % 3 or None, chunk_index=seed, doc_id="d", extra=extra)
    return Chunk(f"text {name}", about, "d", name, vector(seed, length))


def chunks(count: int, length: Callable[[int], float] = lambda _: 1.0) -> list[Chunk]:
    """Chunks `c0`, `c1`, …"""
    return [chunk(f"c{seed}", seed, length(seed), even=seed % 2 == 0, nr=seed) for seed in range(count)]


def ids(store: BaseVectorStore, seed: int, top_k: int = 5, filters: dict[str, Any] | None = None) -> list[str]:
    """What is found, as ids in their order."""
    return [found.chunk.chunk_id for found in store.search(vector(seed), top_k, filters)]


def nearest(among: list[Chunk], seed: int, top_k: int = 5) -> list[str]:
    """What must be found."""
    order = sorted(among, key=lambda one: -cosine(one.embedding or [], vector(seed)))
    return [one.chunk_id for one in order[:top_k]]


@scenario()
def what_was_added_is_found_nearest_first_and_ranked_from_one(examined: Examined) -> None:
    there = chunks(40)
    found = examined.filled(there).search(vector(7), 10)
    assert [one.chunk.chunk_id for one in found] == nearest(there, 7, 10)
    assert [one.rank for one in found] == list(range(1, 11))
    assert found[0].score == pytest.approx(1, abs=NEAR)
    assert [one.score for one in found] == sorted((one.score for one in found), reverse=True)


@scenario()
def cosine_means_cosine_for_vectors_of_any_length(examined: Examined) -> None:
    there = chunks(40, length=lambda seed: 10.0 ** (seed % 5 - 2))
    store = examined.filled(there)
    found = store.search(vector(3, 250), 40)
    expected = {one.chunk_id: cosine(one.embedding or [], vector(3)) for one in there}
    assert [one.chunk.chunk_id for one in found][:10] == nearest(there, 3, 10)
    assert {one.chunk.chunk_id: one.score for one in found} == pytest.approx(expected, abs=NEAR)
    assert min(one.score for one in found) < -0.3, "what points the other way has a negative score"


@scenario()
def a_chunk_added_again_is_replaced(examined: Examined) -> None:
    store = examined.filled([chunk("a", 1, colour="red"), chunk("b", 2)])
    store.add([chunk("a", 5, colour="blue")])
    assert store.count() == 2
    (found,) = store.search(vector(5), 1)
    assert (found.chunk.chunk_id, found.chunk.metadata.extra) == ("a", {"colour": "blue"})
    assert found.score == pytest.approx(1, abs=NEAR)
    assert ids(store, 1, filters={"colour": "red"}) == []
    assert ids(store, 1, filters={"colour": "blue"}) == ["a"]


@scenario()
def a_chunk_given_twice_at_once_is_kept_once_as_it_was_given_last(examined: Examined) -> None:
    store = examined.filled([chunk("a", 1, turn=1), chunk("b", 2), chunk("a", 9, turn=2)])
    assert store.count() == 2
    assert [found.chunk.metadata.extra for found in store.search(vector(9), 1)] == [{"turn": 2}]


@scenario()
def a_deleted_chunk_is_not_found_any_more(examined: Examined) -> None:
    store = examined.filled(chunks(10))
    store.delete(["c3", "c4", "c9"])
    assert store.count() == 7
    assert set(ids(store, 3, 10)) == {"c0", "c1", "c2", "c5", "c6", "c7", "c8"}
    store.add([chunk("c3", 3)])
    assert ids(store, 3, 1) == ["c3"]


@scenario()
def deleting_what_is_not_there_changes_nothing(examined: Examined) -> None:
    empty = examined.open("empty")
    empty.delete(["nobody"])
    store = examined.filled(chunks(3))
    store.delete(["nobody", "c1", "c1"])
    store.delete([])
    assert store.count() == 2
    assert set(ids(store, 0)) == {"c0", "c2"}


@scenario()
def a_cleared_store_is_empty_and_can_be_filled_again(examined: Examined) -> None:
    store = examined.filled(chunks(5))
    store.clear()
    store.clear()
    assert store.count() == 0
    assert ids(store, 1) == []
    store.add([chunk("a", 1)])
    assert ids(store, 1) == ["a"]


@scenario("any_length")
def a_cleared_store_takes_vectors_of_another_length(examined: Examined) -> None:
    store = examined.filled(chunks(5))
    store.clear()
    store.add([Chunk("x", chunk_id="x", embedding=[1.0, 2.0])])
    assert [found.chunk.content for found in store.search([1.0, 2.0])] == ["x"]


@scenario()
def an_empty_store_counts_nothing_and_finds_nothing(examined: Examined) -> None:
    store = examined.open("one")
    store.add([])
    assert store.count() == 0
    assert ids(store, 1) == []
    assert ids(store, 1, filters={"even": True}) == []
    store.clear()


@scenario()
def a_vector_of_another_length_is_refused_and_nothing_is_added(examined: Examined) -> None:
    store = examined.filled(chunks(3))
    with pytest.raises(InputError):
        store.add([chunk("new", 8), Chunk("x", chunk_id="x", embedding=[1.0, 0.0])])
    with pytest.raises(InputError):
        store.add([Chunk("x", chunk_id="x", embedding=[1.0, 0.0])])
    with pytest.raises(InputError):
        store.search([1.0, 0.0])
    assert store.count() == 3
    assert "new" not in ids(store, 8, 10)


@scenario()
def a_chunk_without_a_vector_is_refused_and_nothing_is_added(examined: Examined) -> None:
    store = examined.filled(chunks(2))
    lacking: list[float] | None
    for lacking in (None, []):
        with pytest.raises(ValueError, match="embed"):
            store.add([chunk("new", 8), Chunk("x", chunk_id="x", embedding=lacking)])
    assert store.count() == 2


@scenario()
def vectors_that_cannot_be_compared_are_refused(examined: Examined) -> None:
    store = examined.filled(chunks(2))
    for bad in (math.nan, math.inf, -math.inf):
        with pytest.raises(InputError):
            store.add([chunk("new", 8), Chunk("x", chunk_id="x", embedding=[bad, *vector(1)[1:]])])
        with pytest.raises(InputError):
            store.search([bad, *vector(1)[1:]])
    with pytest.raises(InputError):
        store.add([Chunk("x", chunk_id="x", embedding=[0.0] * DIMENSION)])
    with pytest.raises(InputError):
        store.search([0.0] * DIMENSION)
    assert store.count() == 2


@scenario()
def asking_for_more_than_there_is_gives_all_and_for_none_gives_none(examined: Examined) -> None:
    there = chunks(7)
    store = examined.filled(there)
    assert ids(store, 2, 1_000) == nearest(there, 2, 7)
    assert ids(store, 2, 0) == []
    assert ids(store, 2, -3) == []


@scenario()
def a_chunk_comes_back_as_it_was_but_for_its_vector(examined: Examined) -> None:
    about = ChunkMetadata(
        source="/d/Übersicht „Q3“ 報告.pdf",
        page=None,
        chunk_index=3,
        total_chunks=9,
        start_char=1_200,
        end_char=2_000,
        doc_id="d-1",
        heading_path=("Kapitel ½", "«Détail»", ""),
        extra={
            "title": "emoji 👩‍👩‍👧, NUL-free, \"quotes\", 'single', back\\slash, %_",
            "tags": ["a", "b", ["c"]],
            "nested": {"deep": {"er": [1, 2.5, None, True]}, "": "empty key"},
            "big": 2**53 + 1,
            "tiny": 1e-300,
            "minus": -0.5,
            "flag": False,
            "nothing": None,
            "a key with spaces": "1",
            "$dollar": "2",
            "dotted.key": "3",
            "empty": "",
        },
    )
    given_chunk = Chunk("Grüße\n\n\t漢字 – ‮right to left‬\r\n", about, "other", "chunk-1", vector(1))
    (found,) = examined.filled([deepcopy(given_chunk)]).search(vector(1), 1)
    assert found.chunk.embedding is None
    given_chunk.embedding = None
    assert found.chunk == given_chunk
    assert [type(value) for value in found.chunk.metadata.extra.values()] == [type(v) for v in about.extra.values()]


@scenario()
def any_text_may_be_the_id_of_a_chunk(examined: Examined) -> None:
    names = ["a", "A", "a ", "it's; DROP TABLE chunks --", "naïve/ö/漢", "0", "x" * 300, "{1}", "a,b"]
    store = examined.filled([chunk(name, seed) for seed, name in enumerate(names)])
    assert store.count() == len(names)
    assert [ids(store, seed, 1) for seed in range(len(names))] == [[name] for name in names]
    store.delete(names[::2])
    assert sorted(ids(store, 1, 99)) == sorted(names[1::2])


@scenario()
def more_chunks_than_fit_a_batch_are_all_kept(examined: Examined) -> None:
    there = chunks(350)
    store = examined.filled(there)
    assert store.count() == 350
    assert ids(store, 123, 20) == nearest(there, 123, 20)
    store.delete([one.chunk_id for one in there[10:]])
    assert sorted(ids(store, 1, 350)) == sorted(one.chunk_id for one in there[:10])


@scenario()
def two_collections_do_not_see_each_other(examined: Examined) -> None:
    one, two = examined.open("one"), examined.open("two")
    one.add([chunk("a", 1), chunk("b", 2)])
    two.add([Chunk("other", chunk_id="a", embedding=[1.0, 2.0, 3.0])])
    assert (one.count(), two.count()) == (2, 1)
    assert set(ids(one, 1)) == {"a", "b"}
    two.clear()
    assert (one.count(), two.count()) == (2, 0)
    one.delete(["a"])
    assert ids(one, 1) == ["b"]


@scenario("persistent")
def what_was_added_is_there_after_closing_and_opening(examined: Examined) -> None:
    there = chunks(20)
    store = examined.filled(there)
    store.delete(["c5"])
    before = store.search(vector(5), 5)
    store.close()
    again = examined.open("one")
    assert again.count() == 19
    assert again.search(vector(5), 5) == before
    assert ids(again, 6, 30, {"even": True}) == nearest(there[::2], 6, 30)
    with pytest.raises(InputError):
        again.search([1.0, 2.0])


@scenario()
def the_most_similar_that_pass_are_found_however_far_down_they_are(examined: Examined) -> None:
    there = chunks(300)
    store = examined.filled(there)
    far = nearest(there, 11, 300)[-3:]
    seeds = [int(name[1:]) for name in far]
    assert ids(store, 11, 2, {"nr": {"in": seeds}}) == far[:2]
    assert ids(store, 11, 5, {"nr": seeds[0], "even": seeds[0] % 2 == 0}) == far[:1]
    assert ids(store, 11, 5, {"nr": 1_000}) == []
    assert [found.rank for found in store.search(vector(1), 4, {"even": False})] == [1, 2, 3, 4]


@scenario()
def what_the_caller_does_afterwards_does_not_reach_the_store(examined: Examined) -> None:
    mine = chunk("a", 1, tags=["x"])
    store = examined.filled([mine])
    mine.metadata.extra["tags"].append("y")
    mine.content = "changed"
    assert mine.embedding is not None, "adding does not take the vector away"
    mine.embedding[0] += 5
    (found,) = store.search(vector(1), 1)
    found.chunk.metadata.extra["tags"].append("z")
    (found,) = store.search(vector(1), 1)
    assert (found.chunk.content, found.chunk.metadata.extra) == ("text a", {"tags": ["x"]})
    assert found.score == pytest.approx(1, abs=NEAR)


@scenario()
def threads_may_add_search_and_delete_at_once(examined: Examined) -> None:
    store = examined.filled([chunk("first", 999)])

    def work(worker: int) -> None:
        mine = [chunk(f"w{worker}-{nth}", 10 * worker + nth, worker=worker) for nth in range(6)]
        for one in mine:
            store.add([one])
            assert one.chunk_id in ids(store, one.metadata.chunk_index, 3)
        store.delete([mine[0].chunk_id])
        assert len(ids(store, 1, 50, {"worker": worker})) == 5

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(work, range(4)))
    assert store.count() == 21


@scenario()
def a_wrong_filter_is_explained(examined: Examined) -> None:
    store = examined.filled(chunks(2))
    with pytest.raises(InputError, match="gte"):
        store.search(vector(1), 5, {"nr": {"gtee": 1}})
    with pytest.raises(InputError):
        store.search(vector(1), 5, {"nr": [1, 2]})


_LIBRARY: list[dict[str, Any]] = [
    {"author": "Bob", "year": 2019, "draft": True},
    {"author": "bob", "year": 2020, "draft": False},
    {"author": "Ann", "year": 2020.5},
    {"author": "Zoë", "year": 2021},
    {"author": "Ängström", "year": "2021"},
    {"author": "", "year": -3},
    {"author": None, "year": None, "draft": None},
    {"author": 7, "year": True},
    {"author": ["Bob"], "year": {"of": 2020}},
    {"author": True, "year": 1},
    {"author": "true", "year": 1.0},
    {"author": "漢字", "year": 0},
    {"author": "O'Brien \"%_", "year": 1e15},
    {"year": 9007199254740993},
    {"year": 9007199254740992, "a key": "x"},
    {},
]


def library() -> list[Chunk]:
    """Chunks whose metadata differ in every way that matters to a filter."""
    return [chunk(f"m{nth}", nth, **extra) for nth, extra in enumerate(_LIBRARY)]


def filters_of_every_kind() -> list[dict[str, Any]]:
    """Every operator with values of every kind, with and without `$`, and every way of nesting."""
    scalars: list[Any] = ["Bob", "bob", "2021", "", "漢字", "O'Brien \"%_", 2020, 2020.5, 1, 0, -3, 1.0, 2**53 + 1]
    found: list[dict[str, Any]] = [{"author": value} for value in [*scalars, True, False, None]]
    found += [{"year": {operator: value}} for operator in ("eq", "$ne") for value in [*scalars, True, None]]
    found += [{"year": {operator: value}} for operator in ("gt", "$gte", "lt", "lte") for value in scalars]
    found += [{"author": {operator: "Bob"}} for operator in ("$gt", "gte", "$lt", "lte")]
    lists: list[list[Any]] = [["Bob", 2020], [True, 1], [None, "Ann"], [], ["nobody"], [1.0, "true"]]
    found += [{key: {operator: some}} for key in ("author", "year") for operator in ("in", "$nin") for some in lists]
    found += [
        {},
        {"author": "Bob", "year": 2019},
        {"year": {"gte": 2019, "lt": 2021}},
        {"nobody": {"ne": 1}},
        {"nobody": {"gt": 1}},
        {"a key": "x"},
        {"source": "/d/m3.md"},
        {"source": {"gt": "/d/m3.md"}, "chunk_index": {"lte": 9}},
        {"page": None},
        {"page": {"ne": 1}},
        {"page": {"in": [1, None]}},
        {"page": "1"},
        {"doc_id": "d"},
        {"doc_id": {"nin": ["d"]}},
        {"chunk_index": {"gt": 2.5, "lt": 8}},
        {"and": [{"year": {"gt": 0}}, {"$or": [{"author": "Bob"}, {"draft": {"ne": False}}]}]},
        {"or": [{"author": "Ann"}, {"not": {"year": {"gt": 0}}}]},
        {"$not": {"or": [{"draft": True}, {"author": {"in": ["Ann", None]}}]}},
        {"not": {"not": {"draft": False}}},
        {"and": [], "year": 1},
        {"or": []},
        {"not": {}},
        {"or": [{}, {"author": "nobody"}]},
    ]
    return found


def _agree(store: BaseVectorStore, there: list[Chunk], filters: dict[str, Any]) -> None:
    node = parse(filters)
    expected = [one for one in there if matches(node, one.metadata)]
    assert ids(store, 4, 50, filters) == nearest(expected, 4, 50), filters


@scenario()
def every_filter_means_what_it_means_everywhere(examined: Examined) -> None:
    there = library()
    store = examined.filled(there)
    for filters in filters_of_every_kind():
        _agree(store, there, filters)


_scalars = st.one_of(
    st.sampled_from(["Bob", "bob", "2021", "", "true", "漢字", 2020, 2020.5, 1, 0, True, False]),
    st.integers(-5, 3000),
    st.text(st.characters(exclude_categories=["Cs", "Cc"]), max_size=3),
)
_keys = st.sampled_from(["author", "year", "draft", "nobody", "source", "page", "doc_id", "chunk_index"])
_comparisons = st.one_of(
    st.tuples(_keys, st.one_of(_scalars, st.none())).map(lambda pair: {pair[0]: pair[1]}),
    st.tuples(_keys, st.sampled_from(["in", "nin"]), st.lists(st.one_of(_scalars, st.none()), max_size=3)).map(
        lambda given_parts: {given_parts[0]: {given_parts[1]: given_parts[2]}}
    ),
    st.tuples(
        _keys,
        st.sampled_from(["gt", "gte", "lt", "lte", "eq", "ne"]),
        _scalars.filter(lambda value: not isinstance(value, bool)),
    ).map(lambda given_parts: {given_parts[0]: {given_parts[1]: given_parts[2]}}),
)
random_filters: st.SearchStrategy[dict[str, Any]] = st.recursive(
    _comparisons,
    lambda inner: st.one_of(
        st.tuples(st.sampled_from(["and", "or", "$and", "$or"]), st.lists(inner, max_size=3)).map(
            lambda pair: {pair[0]: pair[1]}
        ),
        inner.map(lambda one: {"not": one}),
    ),
    max_leaves=6,
)
"""Filters nobody thought of."""


@scenario("quick")
def filters_nobody_thought_of_mean_the_same_too(examined: Examined) -> None:
    there = library()
    store = examined.filled(there)

    @settings(max_examples=100, deadline=None, database=None, suppress_health_check=list(HealthCheck))
    @given(random_filters)
    def agree(filters: dict[str, Any]) -> None:
        _agree(store, there, filters)

    agree()
