"""How a document is cut into pages."""

from __future__ import annotations

import time
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st
from racto.knowledge.documents import Document, Heading, PageSpan
from racto.knowledge.errors import InputError
from racto.knowledge.readers.markdown import find_headings
from racto.knowledge.windows import Window, check_sizes, split

TEXT = st.text(st.sampled_from("aé中 \t\n.。,#=-"), max_size=400)
SIZES = st.integers(1, 60).flatmap(lambda size: st.tuples(st.just(size), st.integers(0, size - 1)))


def markdown(text: str) -> Document:
    return Document(text, "test", headings=find_headings(text))


def texts(document: Document, windows: list[Window]) -> list[str]:
    return [document.content[window.start : window.end] for window in windows]


@given(TEXT, SIZES)
def test_windows_cover_all_text_stay_in_size_and_share_no_more_than_the_overlap(
    text: str, sizes: tuple[int, int]
) -> None:
    size, overlap = sizes
    document = markdown(text)
    windows = split(document, page_size=size, page_overlap=overlap)
    covered: set[int] = set()
    for window in windows:
        content = text[window.start : window.end]
        assert 0 < len(content) <= size
        assert content == content.strip()
        covered.update(range(window.start, window.end))
    assert all(char.isspace() for index, char in enumerate(text) if index not in covered)
    for one, following in pairwise(windows):
        assert following.start > one.start
        assert following.end > one.end
        assert one.end - following.start <= overlap


@given(TEXT, SIZES)
def test_the_same_text_is_always_cut_the_same_way(text: str, sizes: tuple[int, int]) -> None:
    size, overlap = sizes
    assert split(markdown(text), page_size=size, page_overlap=overlap) == split(
        markdown(text), page_size=size, page_overlap=overlap
    )


@pytest.mark.parametrize(("size", "overlap"), [(0, 0), (-1, 0), (100, 100), (100, 101), (1000, -1)])
def test_sizes_that_contradict_each_other_are_refused(size: int, overlap: int) -> None:
    with pytest.raises(InputError, match="page_size"):
        check_sizes(size, overlap)
    with pytest.raises(InputError, match="page_overlap"):
        split(Document("text", "test"), page_size=size, page_overlap=overlap)


def test_a_window_ends_at_a_paragraph_before_a_sentence_and_at_a_sentence_before_a_word() -> None:
    paragraphs = Document("One two three. Four five.\n\nSix seven eight nine ten eleven.", "test")
    assert texts(paragraphs, split(paragraphs, page_size=40, page_overlap=0))[0] == "One two three. Four five."
    sentences = Document("One two three. Four five six. Seven eight nine ten eleven", "test")
    assert texts(sentences, split(sentences, page_size=40, page_overlap=0))[0] == "One two three. Four five six."
    words = Document("one two three four five six seven eight nine ten eleven", "test")
    assert texts(words, split(words, page_size=20, page_overlap=0)) == [
        "one two three four",
        "five six seven eight",
        "nine ten eleven",
    ]


def test_overlapping_windows_begin_with_a_whole_word() -> None:
    document = Document("alpha beta gamma delta epsilon zeta eta theta", "test")
    cut = texts(document, split(document, page_size=24, page_overlap=10))
    assert cut[0] == "alpha beta gamma delta"
    assert cut[1].startswith("delta ")


def test_sections_become_pages_with_the_path_of_their_headings() -> None:
    document = markdown(
        "Preface.\n\n# Guide\n\nHello.\n\n## Install\n\nRun it.\n\n### Linux\n\nUse apt.\n\n# Reference\n\nAll of it.\n"
    )
    windows = split(document)
    assert [(window.number, window.section_title, window.heading_path) for window in windows] == [
        (None, None, ()),
        (None, "Guide", ("Guide",)),
        (None, "Install", ("Guide", "Install")),
        (None, "Linux", ("Guide", "Install", "Linux")),
        (None, "Reference", ("Reference",)),
    ]
    assert texts(document, windows)[3] == "### Linux\n\nUse apt."


def test_a_heading_with_nothing_under_it_goes_with_the_next_section() -> None:
    document = markdown("# Guide\n\n## Install\n\nRun it.\n\n## Empty at the end\n")
    windows = split(document)
    assert texts(document, windows) == ["# Guide\n\n## Install\n\nRun it.", "## Empty at the end"]
    assert windows[0].heading_path == ("Guide", "Install")


def test_a_long_section_becomes_windows_that_keep_its_headings() -> None:
    document = markdown("# Guide\n\n## Long\n\n" + "Some words in a sentence. " * 100)
    windows = split(document, page_size=500, page_overlap=50)
    assert len(windows) > 5
    assert {window.heading_path for window in windows} == {("Guide", "Long")}


def test_physical_pages_stay_whole_and_keep_their_numbers() -> None:
    pages = ["first " * 300, "second", "fourth"]
    content = "\n\n".join(pages)
    starts = [0, len(pages[0]) + 2, len(pages[0]) + len(pages[1]) + 4]
    spans = [
        PageSpan(number, start, start + len(page)) for number, start, page in zip((1, 2, 4), starts, pages, strict=True)
    ]
    headings = [Heading(1, "Chapter", starts[0] + 6, starts[0] + 6), Heading(2, "Part", starts[2], starts[2])]
    document = Document(content, "test", pages=spans, headings=headings)
    windows = split(document, page_size=100, page_overlap=10)
    assert texts(document, windows) == pages
    assert [(window.number, window.heading_path) for window in windows] == [
        (1, ("Chapter",)),
        (2, ("Chapter",)),
        (4, ("Chapter", "Part")),
    ]


def test_a_hundred_megabytes_of_one_line_are_cut_in_seconds() -> None:
    document = Document("x" * (100 * 2**20), "test")
    before = time.process_time()
    windows = split(document)
    assert time.process_time() - before < 10
    assert len(windows) > 100_000
    assert windows[-1].end == len(document.content)


def test_a_document_without_text_has_no_pages() -> None:
    assert split(Document("", "test")) == []
    assert split(Document(" \n\t \n", "test")) == []
