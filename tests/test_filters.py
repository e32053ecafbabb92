"""Choosing the documents a search looks at."""

from __future__ import annotations

import sqlite3
from datetime import UTC, date, datetime, timedelta, timezone
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from racto.knowledge.errors import InputError
from racto.knowledge.filters import Filters


def _passes(document: dict[str, Any], **filters: Any) -> bool:
    """Whether one document passes, by the SQL the filter becomes."""
    condition, values = Filters(**filters).clause()
    kept = {
        "source": "/d/a.md",
        "name": "a.md",
        "doc_id": "id",
        "type": "text/markdown",
        "modified_ns": 0,
        "metadata": "{}",
    }
    kept |= document
    connection = sqlite3.connect(":memory:")
    connection.execute(f"CREATE TABLE documents ({', '.join(kept)})")
    connection.execute(f"INSERT INTO documents VALUES ({', '.join('?' * len(kept))})", tuple(kept.values()))
    count = connection.execute(f"SELECT count(*) FROM documents WHERE 1{condition}", values).fetchone()[0]
    connection.close()
    return bool(count)


@pytest.mark.parametrize(
    ("source", "passes"),
    [
        ("/data/reports/q3.pdf", True),
        ("q3.pdf", True),
        ("some-id", True),
        ("/data/reports", True),
        ("/data/reports/", True),
        ("/data", True),
        ("reports", True),
        ("*.pdf", True),
        ("/data/*/q?.pdf", True),
        ("q[0-9].pdf", True),
        ("/dat", False),
        ("/data/report", False),
        ("port", False),
        ("q3", False),
        ("*.md", False),
    ],
)
def test_a_source_is_a_path_a_name_a_folder_or_a_pattern(source: str, passes: bool) -> None:
    document = {"source": "/data/reports/q3.pdf", "name": "q3.pdf", "doc_id": "some-id"}
    assert _passes(document, source=source) == passes


def test_a_folder_does_not_stand_for_its_prefix_twin() -> None:
    assert not _passes({"source": "/database/x.md"}, source="/data")


def test_a_name_with_brackets_can_be_given_as_it_is() -> None:
    assert _passes({"source": "/d/[draft].md", "name": "[draft].md"}, source="[draft].md")


def test_windows_paths_have_folders_too() -> None:
    assert _passes({"source": "C:\\docs\\a.md"}, source="C:\\docs")
    assert not _passes({"source": "C:\\docs2\\a.md"}, source="C:\\docs")


@pytest.mark.parametrize(
    ("kind", "passes"),
    [("application/pdf", True), ("pdf", True), (".pdf", True), ("PDF", True), ("df", False), ("md", False)],
)
def test_a_type_is_a_mime_type_or_an_extension(kind: str, passes: bool) -> None:
    assert _passes({"source": "/d/X.PDF", "type": "application/pdf"}, type=kind) == passes


def test_an_extension_is_enough_where_the_mime_type_is_long() -> None:
    assert _passes({"source": "/d/a.docx", "type": "application/vnd.openxmlformats"}, type="docx")


@given(
    st.datetimes(datetime(1990, 1, 1), datetime(2100, 1, 1), timezones=st.just(UTC)),
    st.datetimes(datetime(1990, 1, 1), datetime(2100, 1, 1), timezones=st.just(UTC)),
)
def test_after_takes_the_moment_itself_and_before_does_not(modified: datetime, moment: datetime) -> None:
    document = {"modified_ns": (modified - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(microseconds=1) * 1000}
    for given_as in (moment, moment.isoformat(), moment.astimezone(timezone(timedelta(hours=5)))):
        assert _passes(document, after=given_as) == (modified >= moment)
        assert _passes(document, before=given_as) == (modified < moment)


def test_a_date_is_its_midnight_in_utc() -> None:
    midnight = int(datetime(2026, 1, 31, tzinfo=UTC).timestamp()) * 10**9
    for given_as in (date(2026, 1, 31), "2026-01-31", datetime(2026, 1, 31)):
        assert _passes({"modified_ns": midnight}, after=given_as)
        assert _passes({"modified_ns": midnight - 1}, before=given_as)
        assert not _passes({"modified_ns": midnight - 1}, after=given_as)


def test_what_is_no_date_is_refused_with_an_example() -> None:
    with pytest.raises(InputError, match="2026-01-31"):
        Filters(after="last week").clause()


_LETTERS = st.characters(codec="utf-8", exclude_characters="\0")  # to SQLite's JSON a NUL is the end of a text
_KEYS = st.text(_LETTERS, max_size=5)
_VALUES = st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.text(_LETTERS, max_size=8)


@given(st.dictionaries(_KEYS, _VALUES, max_size=3), _KEYS, _VALUES)
def test_metadata_must_be_equal_and_a_number_equals_its_digits(kept: dict[str, Any], key: str, value: Any) -> None:
    import json

    def same(one: Any, other: Any) -> bool:
        if one is None or isinstance(one, bool) or other is None or isinstance(other, bool):
            return one is other
        return str(one) == str(other)

    expected = key in kept and same(kept[key], value)
    assert _passes({"metadata": json.dumps(kept)}, metadata={key: value}) == expected


def test_every_named_value_must_agree() -> None:
    document = {"metadata": '{"year": 2019, "kind": "10-K", "draft": false}'}
    assert _passes(document, metadata={"year": "2019", "kind": "10-K", "draft": False})
    assert not _passes(document, metadata={"year": 2019, "kind": "10-Q"})


def test_an_empty_filter_asks_nothing() -> None:
    assert Filters().clause() == ("", [])
    assert Filters(source="", type="", after="", before="", metadata={}).clause() == ("", [])
