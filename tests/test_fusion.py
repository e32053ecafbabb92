"""One ranking from words and vectors: nothing is lost, nothing is stretched, and what says the same thing twice is told apart."""

from __future__ import annotations

import random

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from racto.knowledge.fusion import best_of, distinct, fuse, unrelated_cosine

IDS = st.integers(1, 40)
BM25 = st.dictionaries(IDS, st.floats(0.01, 60), max_size=20)
COSINES = st.dictionaries(IDS, st.floats(-1, 1), max_size=20)
WEIGHTS = st.floats(0, 1)


@given(BM25, COSINES, WEIGHTS, st.floats(-0.2, 0.9))
def test_everything_found_is_ranked_once_and_equal_scores_by_id(
    lexical: dict[int, float], dense: dict[int, float], weight: float, unrelated: float
) -> None:
    ranked = fuse(lexical, dense, weight=weight, unrelated=unrelated)
    assert sorted(one for one, _ in ranked) == sorted(lexical.keys() | dense.keys())
    assert ranked == sorted(ranked, key=lambda entry: (-entry[1], entry[0]))
    backwards = fuse(dict(reversed(lexical.items())), dict(reversed(dense.items())), weight=weight, unrelated=unrelated)
    assert ranked == backwards


@given(BM25, COSINES)
def test_with_no_weight_the_order_of_the_words_stays_and_with_all_of_it_that_of_the_vectors(
    lexical: dict[int, float], dense: dict[int, float]
) -> None:
    by_words = [one for one, _ in fuse(lexical, dense, weight=0) if one in lexical]
    assert [lexical[one] for one in by_words] == sorted(lexical.values(), reverse=True)
    by_vectors = [one for one, _ in fuse(lexical, dense, weight=1) if one in dense]
    assert [dense[one] for one in by_vectors] == sorted(dense.values(), reverse=True)


@given(BM25, COSINES, WEIGHTS, IDS, st.floats(0, 1))
def test_a_higher_cosine_never_costs_a_page_its_rank(
    lexical: dict[int, float], dense: dict[int, float], weight: float, lifted: int, by: float
) -> None:
    dense.setdefault(lifted, 0.0)
    before = [one for one, _ in fuse(lexical, dense, weight=weight)].index(lifted)
    after = fuse(lexical, dense | {lifted: dense[lifted] + by}, weight=weight)
    assert [one for one, _ in after].index(lifted) <= before


def test_the_best_page_by_words_and_the_very_words_of_the_question_count_the_same() -> None:
    scores = dict(fuse({1: 14.0, 2: 7.0}, {3: 1.0, 4: 0.2}, weight=0.5, unrelated=0.2))
    assert scores == pytest.approx({1: 0.5, 2: 0.25, 3: 0.5, 4: 0.0})


def test_a_model_to_which_everything_looks_alike_does_not_overrule_the_words() -> None:
    """Min-max normalisation would give page 2 the full weight of the vectors for a lead of one thousandth."""
    lexical = {1: 10.0, 2: 9.0}
    assert [one for one, _ in fuse(lexical, {1: 0.700, 2: 0.701, 3: 0.699}, unrelated=0.7)] == [1, 2, 3]
    assert [one for one, _ in fuse(lexical, {1: 0.2, 2: 0.7, 3: 0.1}, unrelated=0.1)] == [2, 1, 3]


def test_without_any_page_by_words_the_vectors_decide() -> None:
    assert [one for one, _ in fuse({}, {7: 0.1, 3: 0.9, 5: 0.1})] == [3, 5, 7]
    assert fuse({}, {}) == []


def test_a_model_whose_texts_are_all_one_does_not_divide_by_nothing() -> None:
    assert [one for one, _ in fuse({1: 3.0, 2: 1.0}, {1: 1.0, 2: 1.0}, unrelated=1.0)] == [1, 2]


@given(st.lists(st.tuples(st.integers(0, 99), st.floats(-1, 1))))
def test_a_page_is_as_good_as_its_best_chunk(chunks: list[tuple[int, float]]) -> None:
    best = best_of(chunks, lambda chunk: chunk // 10)
    assert best == {
        page: max(score for chunk, score in chunks if chunk // 10 == page)
        for page in {chunk // 10 for chunk, _ in chunks}
    }


def test_what_unrelated_texts_come_to_is_how_much_a_question_is_like_all_of_them() -> None:
    vectors = np.random.default_rng(5).normal(0.4, 1, (40, 16)).astype(np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    question = np.random.default_rng(6).normal(0, 3, 16)
    cosines = vectors @ question / np.linalg.norm(question)
    assert unrelated_cosine(vectors, question.tolist()) == pytest.approx(float(cosines.mean()), abs=1e-5)
    assert unrelated_cosine(vectors[:1], question.tolist()) == unrelated_cosine(vectors[:0], question.tolist()) == 0


def _text(seed: int, words: int = 120) -> list[str]:
    chance = random.Random(seed)
    return [f"w{chance.randrange(900)}" for _ in range(words)]


def test_a_copy_with_a_word_changed_repeats_the_better_hit_and_other_texts_do_not() -> None:
    first, second = _text(1), _text(2)
    changed = [*first[:60], "other", *first[61:]]
    assert distinct([first, second, changed, second, _text(3)]) == [0, 1, 0, 1, 4]


def test_neighbouring_chunks_that_overlap_are_no_duplicates() -> None:
    text = _text(5, 400)
    assert distinct([text[:120], text[100:220], text[200:320]]) == [0, 1, 2]


def test_a_page_that_holds_another_is_no_duplicate_of_it() -> None:
    text = _text(6, 300)
    assert distinct([text, text[:120]]) == [0, 1]


def test_short_hits_repeat_each_other_only_when_they_are_equal() -> None:
    assert distinct([["yes"], ["no"], ["yes"], ["yes", "no"], [], []]) == [0, 1, 0, 3, 4, 5]


@given(st.lists(st.lists(st.sampled_from("abc"), max_size=12), max_size=12))
def test_what_a_hit_repeats_is_better_and_repeats_nothing(hits: list[list[str]]) -> None:
    says = distinct(hits)
    assert len(says) == len(hits)
    assert all(better <= place and says[better] == better for place, better in enumerate(says))
