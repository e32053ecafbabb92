"""Which pages answer best: equal to the reference, exact, and the same for everybody who looks."""

from __future__ import annotations

import math
import random
import subprocess
import sys
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from racto.knowledge.analyser import detect_language, query_terms, terms
from racto.knowledge.database import Database
from racto.knowledge.errors import UnknownNameError
from racto.knowledge.postings import BLOCK, IndexedPage
from racto.knowledge.ranking import ENGINES, WEIGHTS, Hit
from rank_bm25 import BM25Okapi  # type: ignore[import-untyped]  # it has no type hints

from tests.indexes import Index, judged, judged_names

WORDS = st.lists(st.sampled_from([*"abcdefgh", "the", "été", "黑豹"]), max_size=12)
BODIES = st.dictionaries(
    st.one_of(st.integers(1, 60), st.integers(BLOCK - 5, BLOCK + 5)), WORDS, min_size=1, max_size=25
)


def _reference(bodies: dict[int, list[str]], query: list[str]) -> list[tuple[int, float]]:
    """What rank_bm25 says of the pages that hold a term of the query, best first, equal ones by their ids."""
    ids = sorted(bodies)
    if not any(bodies.values()):
        return []  # rank_bm25 divides by zero
    scores = BM25Okapi([bodies[page_id] for page_id in ids]).get_scores(query)
    found = [
        (page_id, float(score)) for page_id, score in zip(ids, scores, strict=True) if set(query) & set(bodies[page_id])
    ]
    return sorted(found, key=lambda hit: (-hit[1], hit[0]))


def _assert_same(hits: list[Hit], expected: list[tuple[int, float]]) -> None:
    """Same pages, same scores to 1e-9, same order but for pages whose scores differ by less than that."""
    by_id = dict(expected)
    assert {hit.page_id for hit in hits} == set(by_id)
    for hit, (_, score) in zip(hits, expected, strict=True):
        assert hit.score == pytest.approx(by_id[hit.page_id], abs=1e-9, rel=1e-9)
        assert hit.score == pytest.approx(score, abs=1e-9, rel=1e-9)


@pytest.mark.parametrize("engine", ["okapi", "rank_bm25"])
@given(bodies=BODIES, more=BODIES, query=WORDS, data=st.data())
@settings(max_examples=60, deadline=None)
def test_scores_and_order_are_those_of_rank_bm25_after_any_adds_and_removes(
    engine: str, bodies: dict[int, list[str]], more: dict[int, list[str]], query: list[str], data: st.DataObject
) -> None:
    index = Index()
    index.add(bodies)
    _assert_same(index.search(*query, engine=engine), _reference(bodies, query))
    gone = data.draw(st.sets(st.sampled_from(sorted(bodies))))
    index.remove({page_id: bodies[page_id] for page_id in gone})
    more = {page_id: body for page_id, body in more.items() if page_id not in bodies or page_id in gone}
    index.add(more)
    left = {page_id: body for page_id, body in bodies.items() if page_id not in gone} | more
    _assert_same(index.search(*query, engine=engine), _reference(left, query))
    index.database.close()


@pytest.mark.parametrize("name", judged_names())
def test_scores_and_order_are_those_of_rank_bm25_on_every_judged_collection(name: str) -> None:
    collection = judged(name)
    pages = list(collection.pages.values())
    language = detect_language("\n".join(pages[:20]))
    bodies = {page_id: terms(page, language) for page_id, page in enumerate(pages, 1)}
    index = Index()
    index.add(bodies)
    reference = BM25Okapi(list(bodies.values()))
    for question in random.Random(name).sample(collection.questions, 8):
        query = query_terms(question, [language])
        scores = reference.get_scores(query).tolist()
        hits = index.search(*query, engine="okapi")
        assert hits
        holders = {page_id for page_id, body in bodies.items() if not set(query).isdisjoint(body)}
        expected = sorted(((page_id, scores[page_id - 1]) for page_id in holders), key=lambda hit: (-hit[1], hit[0]))
        _assert_same(hits, expected)
    index.database.close()


FIELDS = st.lists(st.tuples(WORDS, WORDS, WORDS), min_size=1, max_size=12)


@given(pages=FIELDS, query=WORDS)
@settings(deadline=None)
def test_the_default_score_is_the_weighted_sum_over_the_fields(
    pages: list[tuple[list[str], list[str], list[str]]], query: list[str]
) -> None:
    index = Index()
    index.add_pages(*(IndexedPage(page_id, *fields) for page_id, fields in enumerate(pages, 1)))
    expected = {}
    for page_id, page in enumerate(pages, 1):
        if set(query) & {term for terms_of_field in page for term in terms_of_field}:
            expected[page_id] = sum(
                weight * sum(_bm25([fields[number] for fields in pages], page[number], term) for term in query)
                for number, weight in enumerate(WEIGHTS.values())
            )
    hits = index.search(*query)
    _assert_same(hits, sorted(expected.items(), key=lambda hit: (-hit[1], hit[0])))
    assert all(hit.score > 0 for hit in hits)
    index.database.close()


def _bm25(field: list[list[str]], page: list[str], term: str, k1: float = 1.5, b: float = 0.75) -> float:
    holders = sum(term in terms_of_page for terms_of_page in field)
    average = sum(map(len, field)) / len(field)
    frequency = page.count(term)
    if not frequency:
        return 0.0
    idf = math.log(1 + (len(field) - holders + 0.5) / (holders + 0.5))
    return idf * frequency * (k1 + 1) / (frequency + k1 * (1 - b + b * len(page) / average))


@pytest.fixture(scope="module")
def big() -> Index:
    """12,000 pages of 40 words, as unevenly used as those of a language."""
    chance = random.Random(5)
    words = [f"w{rank}" for rank in range(3_000)]
    weights = [1 / (rank + 2) for rank in range(3_000)]
    index = Index()
    for start in range(1, 12_001, 2_000):
        bodies = [chance.choices(words, weights, k=40) for _ in range(2_000)]
        index.add_pages(*(IndexedPage(page_id, body, body[:1], body[:5]) for page_id, body in enumerate(bodies, start)))
    return index


@pytest.mark.parametrize("limit", [1, 5, 10, 100])
def test_asking_for_few_pages_gives_the_first_of_all_of_them(big: Index, limit: int) -> None:
    chance = random.Random(limit)
    for _ in range(20):
        query = [f"w{int(3_000 ** chance.random()) - 1}" for _ in range(chance.randint(1, 12))]
        among = None if chance.random() < 0.5 else [(500, 2_500), (BLOCK, BLOCK), (9_000, 20_000)]
        everything = big.search(*query, limit=20_000, among=among)
        assert big.search(*query, limit=limit, among=among) == everything[:limit]
        if among:
            inside = {hit.page_id for hit in everything}
            assert inside == {
                hit.page_id
                for hit in big.search(*query, limit=20_000)
                if any(low <= hit.page_id <= high for low, high in among)
            }


@pytest.mark.parametrize("engine", ENGINES)
def test_pages_outside_the_ranges_are_left_out_and_scores_stay(engine: str) -> None:
    index = Index()
    index.add({page_id: ["a", "b"] * (page_id % 3) + ["c"] for page_id in range(1, 30)})
    everywhere = {hit.page_id: hit.score for hit in index.search("a", "c", engine=engine)}
    inside = index.search("a", "c", engine=engine, among=[(4, 6), (20, 20)])
    assert {hit.page_id for hit in inside} == {4, 5, 6, 20}
    assert all(hit.score == everywhere[hit.page_id] for hit in inside)
    assert index.search("a", engine=engine, among=[]) == []


@pytest.mark.parametrize("engine", ENGINES)
def test_equally_good_pages_come_in_the_order_of_their_ids(engine: str) -> None:
    index = Index()
    index.add(
        {page_id: ["a", "b"] for page_id in (9, 4, 7, BLOCK + 2, 1)}
        | {2: ["c"], 3: ["c"], 5: ["c"], 6: ["d"], 8: ["d"], 10: ["d"]}
    )
    assert [hit.page_id for hit in index.search("a", engine=engine)] == [1, 4, 7, 9, BLOCK + 2]
    assert [hit.page_id for hit in index.search("a", engine=engine, limit=2)] == [1, 4]


def test_a_hit_names_the_terms_it_holds_in_the_order_of_the_query_each_once() -> None:
    index = Index()
    index.add_pages(IndexedPage(1, ["b", "a"], ["a"], ["d"]), IndexedPage(2, ["c"]))
    hits = index.search("d", "b", "a", "b", "zzz", "c")
    assert {hit.page_id: hit.terms for hit in hits} == {1: ["d", "b", "a"], 2: ["c"]}


def test_a_term_asked_for_twice_counts_twice() -> None:
    index = Index()
    index.add({1: ["a"], 2: ["b"], 3: ["c"]})
    assert index.search("a", "a")[0].score == pytest.approx(2 * index.search("a")[0].score)


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("query", [[], [""], ["nowhere"]])
def test_a_query_that_no_page_holds_finds_nothing(engine: str, query: list[str]) -> None:
    index = Index()
    assert index.search(*query, engine=engine) == []
    index.add({1: ["a"], 2: []})
    assert index.search(*query, engine=engine) == []
    assert index.search("a", engine=engine, limit=0) == []


def test_an_unknown_engine_is_refused_with_the_nearest_name() -> None:
    with pytest.raises(UnknownNameError, match="'okapi'"):
        Index().search("a", engine="okapy")


def test_a_collection_made_again_is_not_taken_for_its_former_self() -> None:
    index = Index()
    index.add({1: ["a"], 2: ["b"], 3: ["c"]})
    assert index.search("a")
    with index.database.writing() as connection:
        connection.execute("DELETE FROM postings")
        connection.execute("DELETE FROM collections")
    again = Index(index.database)
    again.add({BLOCK * 3: ["a", "x"]})
    assert [hit.page_id for hit in index.search("a")] == [BLOCK * 3]


def test_what_another_process_adds_is_found_at_the_next_search(tmp_path: Path) -> None:
    path = tmp_path / "racto.db"
    index = Index(Database(path))
    index.add({1: ["a"], 2: ["b"], 3: ["b"]})
    assert [hit.page_id for hit in index.search("a")] == [1]
    script = (
        "import sys; from tests.indexes import Index; from racto.knowledge.database import Database\n"
        "Index(Database(sys.argv[1])).add({20000: ['a', 'a', 'new'], 20001: ['b']})"
    )
    subprocess.run([sys.executable, "-c", script, str(path)], check=True, cwd=Path(__file__).parents[1])
    assert {hit.page_id for hit in index.search("a")} == {1, 20_000}
    assert [hit.page_id for hit in index.search("new")] == [20_000]


def test_a_search_sees_the_state_its_transaction_began_with() -> None:
    index = Index()
    index.add({1: ["a"], 2: ["b"], 3: ["b"]})
    with index.database.reading() as connection:
        before = index.searcher.search(connection, 1, ["a"], limit=9)
        index.add({4: ["a"]})
        assert index.searcher.search(connection, 1, ["a"], limit=9) == before
    assert Counter(hit.page_id for hit in index.search("a")) == {1: 1, 4: 1}


def test_threads_that_search_while_pages_come_and_go_get_whole_answers(big: Index) -> None:
    queries = [(f"w{rank}", f"w{rank * 7}", "w0") for rank in range(1, 30)]
    extra = {page_id: ["w1", "else"] for page_id in range(30_000, 30_020)}

    def search_all() -> list[list[Hit]]:
        return [big.search(*query, limit=10) for query in queries]

    without = search_all()
    big.add(extra)
    with_them = search_all()
    big.remove(extra)
    assert without != with_them
    with ThreadPoolExecutor(4) as pool:
        running = [pool.submit(search_all) for _ in range(8)]
        while not all(each.done() for each in running):
            big.add(extra)
            big.remove(extra)
        answers = [each.result() for each in running]
    for answer in answers:
        assert all(hits in states for hits, *states in zip(answer, without, with_them, strict=True))
