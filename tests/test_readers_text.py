"""What readers make of plain text, Markdown and reStructuredText, in every encoding."""

from __future__ import annotations

import random
import time
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from racto.knowledge.decoding import decode, refuse_binary
from racto.knowledge.documents import Document
from racto.knowledge.errors import UnsupportedError
from racto.knowledge.readers import read_document, rst
from racto.knowledge.readers.markdown import find_headings, front_matter
from racto.knowledge.windows import split

from .files import docx_bytes, paragraph, pdf_bytes, written


def outline(document: Document) -> list[tuple[int, str]]:
    for heading in document.headings:
        assert 0 <= heading.start <= heading.end <= len(document.content)
    return [(heading.level, heading.title) for heading in document.headings]


class TestText:
    @given(
        st.text(st.characters(exclude_categories=["Cs", "Cc"], include_characters="\n\t", exclude_characters="\ufeff"))
    )
    def test_text_in_any_form_of_unicode_comes_back_as_it_was(self, text: str) -> None:
        forms = [text.encode("utf-8"), text.encode("utf-8-sig"), text.encode("utf-16"), text.encode("utf-32")]
        for data in forms[1:] if text.startswith("%PDF-") else forms:
            refuse_binary(data, "test")
            assert decode(data) == (text, [])

    @pytest.mark.parametrize(
        ("text", "encoding"),
        [
            ("Été à la mer, où l'élève “français” s'est assis – près du château", "cp1252"),
            ("Привет, это обычный русский текст", "cp1251"),
            ("これは日本語のテキストです。", "cp932"),
            ("这是一个中文的文件，我们在上面", "gb18030"),
            ("這是一個中文的檔案，我們在上面", "big5"),
            ("안녕하세요 이것은 한국어 문서입니다", "cp949"),
        ],
    )
    def test_older_encodings_are_guessed_and_the_guess_is_told(self, text: str, encoding: str, tmp_path: Path) -> None:
        document = read_document(written(tmp_path / "a.txt", text.encode(encoding)))
        assert document.content == text
        assert any(encoding in note and "guess" in note for note in document.notes)

    def test_utf16_without_a_mark_is_recognised(self, tmp_path: Path) -> None:
        for encoding in ("utf-16-le", "utf-16-be"):
            assert (
                read_document(written(tmp_path / "a.txt", ("hello wörld " * 9).encode(encoding))).content
                == "hello wörld " * 9
            )

    def test_line_ends_are_newlines(self, tmp_path: Path) -> None:
        assert read_document(written(tmp_path / "a.txt", b"a\r\nb\rc\nd")).content == "a\nb\nc\nd"

    @pytest.mark.parametrize(
        ("data", "looks"),
        [
            (pdf_bytes(["text"]), "a PDF"),
            (docx_bytes(paragraph("text")), "a ZIP archive"),
            (b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR", "a PNG image"),
            (b"\x7fELF\x02\x01\x01\0\0", "a program"),
            (random.Random(3).randbytes(4000), "binary data"),
            (b"hello\0world", "binary data"),
        ],
    )
    def test_a_binary_named_txt_is_refused_with_what_it_looks_like(
        self, data: bytes, looks: str, tmp_path: Path
    ) -> None:
        for name in ("a.txt", "a.md", "a.html"):
            with pytest.raises(UnsupportedError, match=f"looks like {looks}"):
                read_document(written(tmp_path / name, data))

    def test_a_log_with_a_few_control_characters_is_text(self, tmp_path: Path) -> None:
        log = "\x1b[32mok\x1b[0m all is well and nothing rang\n" * 20 + "\x07"
        assert read_document(written(tmp_path / "a.log", log)).content == log

    def test_a_hundred_megabytes_of_one_line_are_read_in_seconds(self, tmp_path: Path) -> None:
        file = written(tmp_path / "long.txt", b"x" * (100 * 2**20))
        before = time.process_time()
        document = read_document(file)
        assert time.process_time() - before < 5
        assert len(document.content) == 100 * 2**20
        file.unlink()


class TestMarkdown:
    @pytest.mark.parametrize(
        ("text", "headings"),
        [
            ("# One\n## Two ##\n###### Six #\n", [(1, "One"), (2, "Two"), (6, "Six")]),
            ("####### seven\n#hashtag\n    # code\n\\# escaped\n#\n", []),
            ("   # Three spaces\n#\tTab\n", [(1, "Three spaces"), (1, "Tab")]),
            ("Title\n=====\n\nPart\n---\n", [(1, "Title"), (2, "Part")]),
            ("Two lines\nof title\n===\n", [(1, "Two lines of title")]),
            ("many\nlines\nof\nplain\n-----\n", []),
            ("text\n\n---\n\n- item\n---\n> quote\n---\n| a |\n---\n", []),
            ("```\n# no\n```\n# Yes\n~~~~ python\n# no\n~~~\n# no\n~~~~\n# Also\n", [(1, "Yes"), (1, "Also")]),
            ("```\n# never closed\n", []),
            ("# C# and F#\n", [(1, "C# and F#")]),
            ("# **Bold** `co_de` [link](http://a.b) ![img](c) {#anchor}\n", [(1, "Bold co_de link img")]),
            ("# snake_case and __init__ `__init__` 2*3\n", [(1, "snake_case and init __init__ 23")]),
            ("# 中文标题\n", [(1, "中文标题")]),
        ],
    )
    def test_headings_are_found_as_commonmark_says(self, text: str, headings: list[tuple[int, str]]) -> None:
        assert [(heading.level, heading.title) for heading in find_headings(text)] == headings

    @given(st.text(st.sampled_from("ab #=-`~\n\t>[]_*\\"), max_size=300))
    def test_headings_are_in_order_and_do_not_overlap(self, text: str) -> None:
        end = 0
        for heading in find_headings(text):
            assert end <= heading.start < heading.end <= len(text)
            assert heading.start == 0 or text[heading.start - 1] == "\n"
            assert 1 <= heading.level <= 6
            assert heading.title.strip()
            end = heading.end

    def test_front_matter_is_metadata_and_offsets_hold_in_what_is_left(self, tmp_path: Path) -> None:
        file = written(
            tmp_path / "a.md",
            "---\ntitle: 'My page'\ntags: [a, b]\nnested:\n  key: value\n---\n\n# Start\r\n\r\nText.\r\n",
        )
        document = read_document(file)
        assert document.metadata == {"title": "My page", "tags": "[a, b]"}
        assert document.content == "# Start\n\nText.\n"
        assert outline(document) == [(1, "Start")]
        assert document.type == "text/markdown"

    def test_a_rule_at_the_top_is_not_front_matter(self) -> None:
        for text in ("---\n\nText.\n\n---\nmore", "---\ntitle: never closed", "text\n---\n"):
            assert front_matter(text) == ({}, text)


class TestRst:
    @pytest.mark.parametrize(
        ("text", "headings"),
        [
            ("====\nBook\n====\n\nOne\n===\n\nA\n---\n\nTwo\n===\n", [(1, "Book"), (2, "One"), (3, "A"), (2, "Two")]),
            ("Longer title\n-----\n\nNo\n-\n\nLong title\n---\n", [(1, "Longer title")]),
            ("Text\n\n----\n\nand\na paragraph\n-----------\n", []),
            ("- item\n------\n\n  block\n-------\n\n.. note:: x\n-----------\n", []),
            ("===  ===\na    b\n===  ===\n1    2\n===  ===\n", []),
            ("标题\n====\n", [(1, "标题")]),
        ],
    )
    def test_titles_are_found_as_docutils_does(self, text: str, headings: list[tuple[int, str]]) -> None:
        assert [(heading.level, heading.title) for heading in rst.find_headings(text)] == headings

    @given(st.text(st.sampled_from("ab =-~\n\t."), max_size=200))
    def test_titles_are_in_order_and_where_they_say(self, text: str) -> None:
        end = 0
        for heading in rst.find_headings(text):
            assert end <= heading.start < heading.end <= len(text)
            assert heading.title in text[heading.start : heading.end]
            end = heading.end

    def test_a_document_is_split_at_its_titles(self, tmp_path: Path) -> None:
        document = read_document(
            written(tmp_path / "a.rst", "Guide\r\n=====\r\n\r\nHello.\r\n\r\nUse\r\n---\r\n\r\nPress it.\r\n")
        )
        assert [window.heading_path for window in split(document)] == [("Guide",), ("Guide", "Use")]
        assert document.type == "text/x-rst"
