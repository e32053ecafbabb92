"""The inverted index as rows: exact whatever came and went."""

from __future__ import annotations

import dataclasses

import pytest
from hypothesis import given
from hypothesis import strategies as st
from racto.knowledge.errors import ConflictError, CorruptError
from racto.knowledge.postings import BLOCK, IndexedPage, add, clear, remove

from tests.indexes import COLLECTION, Index

TERMS = st.lists(st.sampled_from(["a", "b", "c", "d", "the", "été", "黑豹", "x'y"]), max_size=8)
PLACES = st.one_of(st.integers(1, 40), st.integers(BLOCK - 3, BLOCK + 3), st.integers(9 * BLOCK, 9 * BLOCK + 5))
PAGES = st.dictionaries(PLACES, st.tuples(TERMS, TERMS, TERMS), max_size=12)


def _pages(given_pages: dict[int, tuple[list[str], list[str], list[str]]]) -> list[IndexedPage]:
    return [IndexedPage(page_id, *fields) for page_id, fields in given_pages.items()]


@given(pages=PAGES, data=st.data())
def test_whatever_came_and_went_the_rows_are_those_of_a_fresh_index(
    pages: dict[int, tuple[list[str], list[str], list[str]]], data: st.DataObject
) -> None:
    everything = _pages(pages)
    order = data.draw(st.permutations(everything))
    cuts = data.draw(st.lists(st.integers(0, len(order)), max_size=4).map(sorted))
    gone = data.draw(st.lists(st.sampled_from(order), unique_by=id)) if order else []
    back = data.draw(st.lists(st.sampled_from(gone), unique_by=id)) if gone else []
    lived, fresh = Index(), Index()
    for start, end in zip([0, *cuts], [*cuts, len(order)], strict=True):
        lived.add_pages(*order[start:end])
    with lived.database.writing() as connection:
        remove(connection, COLLECTION, gone)
        add(connection, COLLECTION, back)
    missing = {page.page_id for page in gone} - {page.page_id for page in back}
    fresh.add_pages(
        *sorted((page for page in everything if page.page_id not in missing), key=lambda page: page.page_id)
    )
    assert lived.rows() == fresh.rows()


def test_removing_every_page_leaves_no_row() -> None:
    index = Index()
    bodies = {page_id: ["a", "b"] * page_id for page_id in range(1, 50)}
    index.add(bodies)
    assert index.rows()
    index.remove(bodies)
    assert index.rows() == []


def test_clearing_a_collection_leaves_the_others() -> None:
    index = Index()
    with index.database.writing() as connection:
        connection.execute("INSERT INTO collections (id, name, analyser, created_at) VALUES (2, 'other', '', '')")
        add(connection, COLLECTION, [IndexedPage(1, ["a"])])
        add(connection, 2, [IndexedPage(2, ["a"])])
        clear(connection, COLLECTION)
    assert {row[0] for row in index.rows()} == {2}


@pytest.mark.parametrize(
    "again", [{4: ["a"], 5: ["b"]}, {5: ["a", "a", "b"]}, {5: []}, {5: ["a"], 6: ["a"]}, {3: ["c"]}]
)
def test_a_page_that_is_there_is_not_added_again(again: dict[int, list[str]]) -> None:
    index = Index()
    index.add({3: ["a"], 5: ["a"]})
    before = index.rows()
    with pytest.raises(ConflictError, match="already"):
        index.add(again)
    assert index.rows() == before


def test_a_page_given_twice_is_refused() -> None:
    index = Index()
    with pytest.raises(ConflictError, match="twice"):
        index.add_pages(IndexedPage(1, ["a"]), IndexedPage(1, ["b"]))
    assert index.rows() == []


@pytest.mark.parametrize("wrong", [{9: ["a"]}, {3: ["b"]}, {3: ["a", "a"]}])
def test_only_what_was_added_can_be_removed(wrong: dict[int, list[str]]) -> None:
    index = Index()
    index.add({3: ["a"], 5: ["a", "b"]})
    before = index.rows()
    with pytest.raises(CorruptError, match="disagrees"):
        index.remove(wrong)
    assert index.rows() == before


def test_a_page_without_a_single_term_counts_as_a_page() -> None:
    index = Index()
    index.add({1: [], 2: ["a"], 3: ["b"]})
    alone = Index()
    alone.add({2: ["a"], 3: ["b"]})
    assert index.search("a")[0].score > alone.search("a")[0].score


def test_a_term_more_frequent_than_a_row_can_say_is_kept_at_the_most() -> None:
    page = IndexedPage(1, ["a"] * 600_000)
    index = Index()
    index.add_pages(page)
    assert index.search("a")
    with index.database.writing() as connection:
        remove(connection, COLLECTION, [dataclasses.replace(page)])
    assert index.rows() == []
