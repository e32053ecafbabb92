"""What every chunker of the table keeps to, whatever the document."""

from __future__ import annotations

import time
from bisect import bisect_right
from collections.abc import Callable
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from racto.knowledge.chunking import CHUNKERS, BaseChunker, chunker_named
from racto.knowledge.chunking.semantic import LONGEST as LONGEST_OF_A_MEANING
from racto.knowledge.chunks import Chunk
from racto.knowledge.documents import Document, PageSpan
from racto.knowledge.embedding import BaseEmbedder
from racto.knowledge.readers.markdown import find_headings
from racto.knowledge.sentences import LONGEST as LONGEST_SENTENCE
from racto.knowledge.windows import heading_paths


class LetterCounts(BaseEmbedder):
    """A vector for each text: how often some letters are in it."""

    name = "tests/letter-counts"

    def embed(self, texts: list[str]) -> list[list[float]]:
        return [[float(text.count(letter)) for letter in "abx中文ก .#-|\n"] for text in texts]


SIZES = st.integers(1, 60).flatmap(lambda size: st.tuples(st.just(size), st.integers(0, size - 1)))
BY_SIZE = {"fixed", "recursive", "structure"}


def made(name: str, size: int, overlap: int) -> BaseChunker:
    """A chunker of this size: characters, or where it counts those, sentences."""
    kind: Callable[..., BaseChunker] = chunker_named(name)
    if name == "semantic":
        return kind(LetterCounts(), threshold=0.7, min_chunk_size=1 + size % 4)
    return kind(size, overlap)


def limit(name: str, size: int) -> int:
    """The most characters a chunk may have."""
    return (
        size if name in BY_SIZE else {"sentence": (LONGEST_SENTENCE + 1) * size, "semantic": LONGEST_OF_A_MEANING}[name]
    )


ALPHABET = st.sampled_from("abé中文ก้ \t\n\r.。,!?'\"()|#=-*`0123ßÄ\u0301\u200d👩🏽🇩🇪\u3000\x00\ud800")
PIECES = st.sampled_from(
    [
        "\n\n",
        "\n# A\n",
        "\n## B\n",
        "| a | b |\n",
        "```\n",
        "- item\n",
        "1. one\n",
        "Dr. ",
        "a.\n",
        "word " * 12,
        "x" * 70,
        "。",
        "   ",
    ]
)
TEXTS = st.lists(st.one_of(PIECES, st.text(ALPHABET, max_size=20)), max_size=20).map("".join)


@st.composite
def documents(draw: st.DrawFn) -> Document:
    """A document with headings, and perhaps with pages, some of them with text between them that is on none."""
    text = draw(TEXTS)
    edges = sorted(draw(st.sets(st.integers(0, len(text)), max_size=6)))
    pages = [
        PageSpan(number, start, end)
        for number, (start, end) in enumerate(pairwise(edges), 1)
        if draw(st.integers(0, 4))
    ]
    return Document(text, "test", {"author": "Ada"}, headings=find_headings(text), pages=pages)


pytestmark = pytest.mark.parametrize("name", CHUNKERS)


@settings(deadline=None)
@given(documents(), SIZES)
def test_a_chunk_is_what_the_document_has_there_and_all_of_it_is_in_some_chunk(
    name: str, document: Document, sizes: tuple[int, int]
) -> None:
    chunks = made(name, *sizes).chunk(document)
    covered: set[int] = set()
    for place, chunk in enumerate(chunks):
        about = chunk.metadata
        assert chunk.content == document.content[about.start_char : about.end_char]
        assert chunk.content.strip()
        assert len(chunk.content) <= limit(name, sizes[0])
        assert (about.chunk_index, about.total_chunks) == (place, len(chunks))
        assert (about.source, about.doc_id, chunk.doc_id) == ("test", document.doc_id, document.doc_id)
        assert about.extra == {"author": "Ada"}
        covered.update(range(about.start_char, about.end_char))
    assert not [place for place, char in enumerate(document.content) if not char.isspace() and place not in covered]


@settings(deadline=None)
@given(documents(), SIZES)
def test_chunks_go_on_and_share_no_more_than_the_overlap(name: str, document: Document, sizes: tuple[int, int]) -> None:
    for one, following in pairwise(chunk.metadata for chunk in made(name, *sizes).chunk(document)):
        assert following.start_char > one.start_char
        assert following.end_char > one.end_char
        if name in BY_SIZE:
            assert one.end_char - following.start_char <= sizes[1]
        if name == "semantic":
            assert one.end_char <= following.start_char


@settings(deadline=None)
@given(documents(), SIZES)
def test_a_chunk_stays_on_its_page_and_knows_it_and_its_headings(
    name: str, document: Document, sizes: tuple[int, int]
) -> None:
    starts = [heading.start for heading in document.headings]
    for chunk in made(name, *sizes).chunk(document):
        start, end = chunk.metadata.start_char, chunk.metadata.end_char
        on = [page for page in document.pages if page.start < end and start < page.end]
        assert len(on) <= 1
        assert all(page.start <= start and end <= page.end for page in on)
        assert chunk.metadata.page == (on[0].number if on else None)
        under = bisect_right(starts, (start + end) // 2)
        assert chunk.metadata.heading_path == (heading_paths(document.headings)[under - 1] if under else ())


@settings(deadline=None)
@given(documents(), SIZES)
def test_the_same_document_is_always_cut_the_same_way_and_its_chunks_keep_their_ids(
    name: str, document: Document, sizes: tuple[int, int]
) -> None:
    chunks = made(name, *sizes).chunk(document)
    assert chunks == made(name, *sizes).chunk(document)
    assert len({chunk.chunk_id for chunk in chunks}) == len(chunks)


@pytest.mark.parametrize("text", ["", " ", "\n\n\t\u3000\n", "\r\n" * 50])
def test_nothing_but_white_space_gives_no_chunk(name: str, text: str) -> None:
    assert made(name, 10, 3).chunk(Document(text, "test")) == []


HOSTILE = {
    "one letter": "a",
    "line ends": "\n",
    "spaces": " ",
    "full stops": ".",
    "full stops and spaces": ". ",
    "ordinals": "3. Oktober ",
    "titles": "Dr. Xy ",
    "headings": "# a\n",
    "table rows": "| a | b |\n",
    "fences": "```\n",
    "items": "- a\n",
    "numbers": "1. ",
    "accents": "\u0301",
    "joiners": "\u200d",
    "flags": "🇩",
    "Thai": "ก้",
    "quotes": '."',
    "stars": ". *",
    "carriage returns": "\r",
    "no text at all": "\x00",
}


@pytest.mark.parametrize("kind", HOSTILE)
def test_ten_times_the_text_takes_no_more_than_ten_times_as_long(name: str, kind: str) -> None:
    """CPU time, with room for noise: what looks at every letter once for each other one would take many seconds."""

    def seconds(length: int) -> float:
        text = (HOSTILE[kind] * (length // len(HOSTILE[kind]) + 1))[:length]
        document = Document(text, "test", headings=find_headings(text))
        chunker = made(name, 8 if name == "sentence" else 500, 2 if name == "sentence" else 50)
        begun = time.process_time()
        chunks: list[Chunk] = chunker.chunk(document)
        assert all(len(chunk.content) <= limit(name, 500) for chunk in chunks)
        return time.process_time() - begun

    short = min(seconds(10_000) for _ in range(3))
    assert min(seconds(100_000) for _ in range(2)) < 30 * short + 1
