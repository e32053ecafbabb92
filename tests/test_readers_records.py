"""What readers make of JSON, JSON lines and saved e-mail."""

from __future__ import annotations

import json
from email.message import EmailMessage
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from racto.knowledge.documents import Document
from racto.knowledge.errors import ReadError
from racto.knowledge.readers import read_document
from racto.knowledge.readers.structured import JsonReader

from .files import written


def read(data: str | bytes, name: str) -> Document:
    return read_document(data.encode() if isinstance(data, str) else data, name=name)


SCALARS = st.none() | st.booleans() | st.integers() | st.text(max_size=10)
VALUES = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=5), inner, max_size=4),
    max_leaves=20,
)


class TestJson:
    def test_it_reads_like_an_outline(self) -> None:
        value = {
            "name": "Ann",
            "age": 30,
            "tags": ["a", "b"],
            "address": {"city": "Rome", "lines": [{"no": 1}, {"no": 2}]},
            "none": None,
            "empty": {},
        }
        assert read(json.dumps(value), "a.json").content == (
            "name: Ann\nage: 30\ntags: a, b\naddress:\n  city: Rome\n  lines:\n    - no: 1\n    - no: 2\nnone: null\nempty:"
        )

    def test_records_of_a_list_are_paragraphs(self) -> None:
        assert read('[{"a": 1, "b": true}, {"a": 2}, 3]', "a.json").content == "a: 1\nb: true\n\na: 2\n\n3"

    def test_numbers_are_as_they_are_written(self) -> None:
        numbers = ["1.50", "1e400", "9" * 5000, "-0.10"]
        assert read("[" + ",".join(numbers) + "]", "a.json").content.replace("- ", "").split() == numbers

    @given(VALUES)
    def test_every_word_is_there(self, value: Any) -> None:
        with TemporaryDirectory() as folder:
            content = JsonReader().read(written(Path(folder) / "a.json", json.dumps(value))).content
        for word in words(value):
            assert word in content

    def test_what_is_no_json_is_kept_as_text_and_told(self) -> None:
        for text in ('{"a": 1, // comment\n}', '{"a": ', "[" * 100_000):
            document = read(text, "a.json")
            assert document.content == text
            assert "no valid JSON" in document.notes[0]

    def test_lines_are_paragraphs_and_a_broken_one_is_named(self) -> None:
        document = read('{"a": 1}\n\nbroken {\n{"a": {"b": 2}}\n', "a.jsonl")
        assert document.content == "a: 1\n\nbroken {\n\na:\n  b: 2"
        assert document.notes == ["No valid JSON, and kept as they stand: 1 lines (3)."]


def words(value: Any) -> list[str]:
    """Every word of every key and text of a value."""
    if isinstance(value, dict):
        return [word for key, each in value.items() for word in (*key.split(), *words(each))]
    if isinstance(value, list):
        return [word for each in value for word in words(each)]
    return str(value).split() if isinstance(value, str | int) and not isinstance(value, bool) else []


class TestMail:
    def message(self) -> EmailMessage:
        message = EmailMessage()
        message["From"] = "Jürgen <j@example.com>"
        message["To"] = "a@example.com, b@example.com"
        message["Subject"] = "Größe und mehr"
        message["Date"] = "Mon, 02 Nov 2026 10:00:00 +0100"
        return message

    def test_people_date_and_subject_stand_above_the_text(self) -> None:
        message = self.message()
        message.set_content("Grüße aus Köln\n", charset="iso-8859-1")
        document = read(message.as_bytes(), "a.eml")
        assert document.content == (
            "Größe und mehr\n\nFrom: Jürgen <j@example.com>\nTo: a@example.com, b@example.com\nDate: Mon, 02 Nov 2026 10:00:00 +0100\n\nGrüße aus Köln"
        )
        assert document.metadata["title"] == "Größe und mehr"
        assert document.metadata["from"] == "Jürgen <j@example.com>"
        assert [(heading.level, heading.title) for heading in document.headings] == [(1, "Größe und mehr")]

    def test_plain_text_is_preferred_and_html_is_read_where_there_is_no_other(self) -> None:
        message = self.message()
        message.set_content("plain")
        message.add_alternative("<p>rich</p>", subtype="html")
        assert read(message.as_bytes(), "a.eml").content.endswith("\n\nplain")
        message = self.message()
        message.set_content("<h2>Part</h2><p>rich <script>no()</script>text", subtype="html")
        assert read(message.as_bytes(), "a.eml").content.endswith("\n\nPart\n\nrich text")

    def test_attached_text_is_read_within_bounds_and_the_rest_is_listed(self) -> None:
        message = self.message()
        message.set_content("see below")
        message.add_attachment("a,b\n1,2\n", subtype="csv", filename="data.csv")
        message.add_attachment(b"%PDF-1.7", maintype="application", subtype="pdf", filename="report.pdf")
        message.add_attachment("x" * (2**20 + 1), filename="long.txt")
        document = read(message.as_bytes(), "a.eml")
        assert document.content.endswith(
            "see below\n\nAttached: data.csv\n\na,b\n1,2\n\nAttached: report.pdf\n\nAttached: long.txt"
        )
        assert "long.txt was not read" in document.notes[0]

    def test_an_attached_message_stands_a_level_deeper(self) -> None:
        inner, outer = self.message(), self.message()
        inner.set_content("inside")
        del inner["Subject"]
        inner["Subject"] = "First"
        outer.set_content("outside")
        outer.add_attachment(inner)
        document = read(outer.as_bytes(), "a.eml")
        assert [(heading.level, heading.title) for heading in document.headings] == [
            (1, "Größe und mehr"),
            (2, "First"),
        ]
        assert document.content.index("outside") < document.content.index("inside")

    def test_encodings_that_look_like_ascii_are_decoded(self) -> None:
        message = b"Subject: x\nContent-Type: text/plain; charset=iso-2022-jp\n\n" + "こんにちは".encode("iso-2022-jp")
        assert read(message, "a.eml").content == "x\n\nこんにちは"

    def test_what_is_no_mail_says_so(self) -> None:
        with pytest.raises(ReadError, match="no e-mail"):
            read("just some text\nand more", "a.eml")

    @given(
        st.binary(max_size=300),
        st.sampled_from(["multipart/mixed; boundary=B", "message/rfc822", "text/html", "multipart/alternative"]),
    )
    def test_whatever_follows_the_headers_is_read_or_refused(self, body: bytes, kind: str) -> None:
        document = read(b"Subject: hello\nContent-Type: " + kind.encode() + b"\n\n" + body, "a.eml")
        assert document.content.startswith("hello")
