"""The language of filters: what is said, what is refused, and that SQL and Python understand the same."""

from __future__ import annotations

import json
import sqlite3
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from racto.knowledge.chunks import ChunkMetadata
from racto.knowledge.errors import InputError, UnknownNameError
from racto.knowledge.stores.filtering import (
    EVERYTHING,
    MAX_DEPTH,
    MAX_NODES,
    MAX_VALUES,
    And,
    Comparison,
    Not,
    Or,
    clause,
    fields_of,
    matches,
    parse,
)

from tests.store_contract import filters_of_every_kind, library, random_filters


def _passes(filters: dict[str, Any], **about: Any) -> bool:
    known = {key: about.pop(key) for key in ("source", "page", "doc_id", "chunk_index") if key in about}
    return matches(parse(filters), ChunkMetadata(**known, extra=about))


def test_a_filter_is_read_into_four_kinds_of_nodes() -> None:
    assert parse({"a": 1, "$or": [{"b": {"$gte": 2, "lt": 3}}, {"not": {"c": {"nin": ["x", None]}}}]}) == And(
        (
            Comparison("a", "eq", 1),
            Or(
                (
                    And((Comparison("b", "gte", 2), Comparison("b", "lt", 3))),
                    Not(Not(Comparison("c", "in", ("x", None)))),
                )
            ),
        )
    )
    assert parse(None) == parse({}) == EVERYTHING


@pytest.mark.parametrize("operator", ["gt", "gte", "lt", "lte", "eq", "in"])
def test_a_missing_field_fails_every_comparison(operator: str) -> None:
    value = [1] if operator == "in" else 1
    assert not _passes({"year": {operator: value}})
    assert not _passes({"year": {operator: value}}, year=None)
    assert _passes({"not": {"year": {operator: value}}})


@pytest.mark.parametrize("operator", ["ne", "nin"])
def test_a_missing_field_is_unlike_everything(operator: str) -> None:
    value = [1] if operator == "nin" else 1
    assert _passes({"year": {operator: value}})
    assert _passes({"year": {operator: value}}, year=None)
    assert not _passes({"year": {operator: value}}, year=1)


def test_null_asks_whether_there_is_a_value() -> None:
    assert _passes({"author": None})
    assert _passes({"author": None}, author=None)
    assert not _passes({"author": None}, author="")
    assert _passes({"author": {"ne": None}}, author=0)
    assert _passes({"page": None}, page=None)
    assert _passes({"author": {"in": ["x", None]}})


def test_kinds_do_not_mix() -> None:
    assert not _passes({"year": 2020}, year="2020")
    assert not _passes({"year": "2020"}, year=2020)
    assert not _passes({"flag": 1}, flag=True)
    assert not _passes({"flag": True}, flag=1)
    assert not _passes({"year": {"gt": "a"}}, year=5)
    assert not _passes({"year": {"lt": 9}}, year="5")
    assert not _passes({"year": {"gt": 0}}, year=True)
    assert _passes({"year": 2020.0}, year=2020)
    assert not _passes({"tags": "a"}, tags=["a"])
    assert _passes({"tags": {"ne": "a"}}, tags=["a"])


def test_numbers_are_compared_exactly() -> None:
    assert not _passes({"n": 2**53 + 1}, n=2**53)
    assert _passes({"n": {"gt": 2**53}}, n=2**53 + 1)


def test_texts_are_in_the_order_of_unicode() -> None:
    assert _passes({"name": {"gt": "Z"}}, name="a")
    assert _passes({"name": {"gt": "\uffff"}}, name="😀")


def test_what_a_chunk_always_has_goes_before_its_own_keys() -> None:
    assert _passes({"source": "/a"}, source="/a")
    about = ChunkMetadata(source="/a", extra={"source": "/b", "x": 1})
    assert not matches(parse({"source": "/b"}), about)
    assert fields_of(about) == {"source": "/a", "page": None, "doc_id": "", "chunk_index": 0, "x": 1}


@pytest.mark.parametrize(
    ("filters", "says"),
    [
        ({"year": {"gtt": 1}}, "Did you mean 'gt'"),
        ({"year": {"$inn": [1]}}, "Did you mean 'in'"),
        ({"$nott": {}}, "Did you mean 'not'"),
        ({"$year": 1}, "no filter operator named 'year'"),
        ({"year": {1: 2}}, "no filter operator named '1'"),
    ],
)
def test_an_unknown_operator_is_named_with_the_nearest(filters: dict[str, Any], says: str) -> None:
    with pytest.raises(UnknownNameError, match=says.replace("$", r"\$")):
        parse(filters)


@pytest.mark.parametrize(
    "filters",
    [
        [],
        "author",
        {"": 1},
        {3: 1},
        {"a": {}},
        {"a": []},
        {"a": [1]},
        {"a": {"in": 1}},
        {"a": {"in": "text"}},
        {"a": {"in": {"b": 1}}},
        {"a": {"in": [[1]]}},
        {"a": {"eq": {"b": 1}}},
        {"a": {"gt": True}},
        {"a": {"lt": None}},
        {"a": {"gt": [1]}},
        {"a": float("nan")},
        {"a": float("inf")},
        {"a": 2**63},
        {"a": "\ud800"},
        {"\ud800": 1},
        {"a": b"bytes"},
        {"a": object()},
        {"and": {"a": 1}},
        {"or": "ab"},
        {"or": [1]},
        {"not": [{"a": 1}]},
        {"not": None},
    ],
)
def test_what_is_no_filter_is_refused_with_what_would_be(filters: Any) -> None:
    with pytest.raises(InputError) as refused:
        parse(filters)
    assert refused.value.hint


def test_a_filter_has_bounds() -> None:
    deep: dict[str, Any] = {"a": 1}
    for _ in range(MAX_DEPTH - 1):
        deep = {"not": deep}
    assert parse(deep)
    with pytest.raises(InputError, match="deep"):
        parse({"not": deep})
    endless: dict[str, Any] = {}
    endless["not"] = endless
    with pytest.raises(InputError, match="deep"):
        parse(endless)
    nested: list[Any] = []
    for _ in range(100_000):
        nested = [nested]
    with pytest.raises(InputError):
        parse({"a": nested})
    assert parse({"or": [{"a": n} for n in range(MAX_NODES - 1)]})
    with pytest.raises(InputError, match="conditions"):
        parse({"or": [{"a": n} for n in range(MAX_NODES)]})
    with pytest.raises(InputError, match="values"):
        parse({"a": {"in": list(range(MAX_VALUES + 1))}})


_DOCUMENTS = {"source": "documents.source", "doc_id": "documents.doc_id"}


def _by_sql(rows: list[ChunkMetadata], filters: dict[str, Any]) -> list[bool]:
    connection = sqlite3.connect(":memory:")
    connection.execute("CREATE TABLE documents (id INTEGER PRIMARY KEY, source TEXT, doc_id TEXT, metadata TEXT)")
    connection.executemany(
        "INSERT INTO documents (source, doc_id, metadata) VALUES (?, ?, ?)",
        ((about.source, about.doc_id, json.dumps(about.extra)) for about in rows),
    )
    condition, values = clause(parse(filters), _DOCUMENTS, "documents.metadata")
    found = {row[0] for row in connection.execute(f"SELECT id FROM documents WHERE {condition}", values)}
    connection.close()
    return [number in found for number in range(1, len(rows) + 1)]


_LARGEST = {
    "or": [{"a": {"in": list(range(4))}} for _ in range(MAX_NODES - 3)] + [{"not": {"a": {"ne": "x"}}}],
}


def _by_document(filters: Any) -> bool:
    """Whether it asks for nothing that only chunks have."""
    text = json.dumps(filters)
    return '"page"' not in text and '"chunk_index"' not in text


def test_sql_means_what_python_means() -> None:
    rows = [one.metadata for one in library()]
    asked = [filters for filters in filters_of_every_kind() if _by_document(filters)]
    for filters in asked:
        assert _by_sql(rows, filters) == [matches(parse(filters), about) for about in rows], filters
    assert len(asked) > 100
    assert sum(any(_by_sql(rows, filters)) for filters in asked) > 60, "most of them let something through"


@settings(max_examples=300, deadline=None)
@given(random_filters.filter(_by_document))
def test_sql_means_what_python_means_for_filters_nobody_thought_of(filters: dict[str, Any]) -> None:
    rows = [one.metadata for one in library()]
    assert _by_sql(rows, filters) == [matches(parse(filters), about) for about in rows]


_metadata = st.dictionaries(
    st.sampled_from(["author", "year"]),
    st.one_of(
        st.none(),
        st.booleans(),
        st.integers(-(2**62), 2**62),
        st.floats(allow_nan=False, allow_infinity=False),
        st.text(
            st.characters(exclude_categories=["Cs"], exclude_characters="\x00"), max_size=4
        ),  # SQLite's JSON ends at NUL
        st.lists(st.integers(), max_size=2),
    ),
)


@settings(max_examples=300, deadline=None)
@given(_metadata, st.sampled_from(["eq", "ne", "gt", "gte", "lt", "lte"]), _metadata)
def test_sql_means_what_python_means_for_any_value(about: dict[str, Any], operator: str, other: dict[str, Any]) -> None:
    for key, value in other.items():
        filters = {key: {operator: value}}
        try:
            node = parse(filters)
        except InputError:
            continue
        metadata = ChunkMetadata(extra=about)
        assert _by_sql([metadata], filters) == [matches(node, metadata)]


def test_the_largest_filter_is_within_the_limits_of_sqlite() -> None:
    with pytest.raises(InputError):
        _by_sql([ChunkMetadata(extra={"a": 3})], {"or": [_LARGEST, _LARGEST]})
    assert _by_sql([ChunkMetadata(extra={"a": 3}), ChunkMetadata(extra={"a": 9})], _LARGEST) == [True, False]
    deep: dict[str, Any] = {"a": {"in": list(range(MAX_VALUES))}}
    for _ in range(MAX_DEPTH - 1):
        deep = {"not": deep}
    assert _by_sql([ChunkMetadata(extra={"a": 3})], deep) == [False]


def test_documents_are_not_chosen_by_what_only_chunks_have() -> None:
    with pytest.raises(InputError, match="page"):
        clause(parse({"not": {"page": 3}}), _DOCUMENTS, "documents.metadata")
