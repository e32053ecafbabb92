"""Ways of cutting a document: what each of them is for."""

from __future__ import annotations

import uuid

import pytest
from racto.knowledge.chunking import BaseChunker, chunker_named, default_chunker
from racto.knowledge.chunking.fixed import FixedChunker
from racto.knowledge.chunking.recursive import RecursiveChunker
from racto.knowledge.chunking.semantic import LONGEST, SemanticChunker
from racto.knowledge.chunking.sentence import SentenceChunker
from racto.knowledge.chunking.structure import StructureChunker
from racto.knowledge.chunks import Chunk
from racto.knowledge.documents import Document, PageSpan
from racto.knowledge.embedding import BaseEmbedder
from racto.knowledge.errors import InputError, UnknownNameError
from racto.knowledge.readers.markdown import find_headings


def cut(chunker: BaseChunker, text: str) -> list[str]:
    return [chunk.content for chunk in chunker.chunk(Document(text, "test", headings=find_headings(text)))]


class Animals(BaseEmbedder):
    """The first axis for sentences with a cat, the second for those with a dog; remembers what it was asked."""

    name = "tests/animals"

    def __init__(self) -> None:
        self.asked: list[list[str]] = []

    def embed(self, texts: list[str]) -> list[list[float]]:
        self.asked.append(texts)
        return [[float("cat" in text), float("dog" in text)] for text in texts]


# What every one of them says of a chunk.


def test_a_chunk_has_the_page_and_headings_of_its_middle() -> None:
    text = "Intro.\n\n# One\n\nabout one\n\n## Two\n\nabout two"
    document = Document(
        text, "a.pdf", headings=find_headings(text), pages=[PageSpan(4, 0, 26), PageSpan(7, 26, len(text))]
    )
    chunks = RecursiveChunker(18, 0).chunk(document)
    assert [(chunk.content, chunk.metadata.page, chunk.metadata.heading_path) for chunk in chunks] == [
        ("Intro.\n\n# One", 4, ()),
        ("about one", 4, ("One",)),
        ("## Two\n\nabout two", 7, ("One", "Two")),
    ]


def test_ids_are_uuids_of_the_document_and_the_place() -> None:
    document = Document("one two three four", "test", doc_id="1ec9414c-232a-6b00-b3c8-9e6bdeced846")
    ids = [chunk.chunk_id for chunk in RecursiveChunker(10, 0).chunk(document)]
    assert ids == [str(uuid.uuid5(uuid.UUID(document.doc_id), f"chunk {place}")) for place in range(2)]
    document.doc_id = "contract-17"
    others = [chunk.chunk_id for chunk in RecursiveChunker(10, 0).chunk(document)]
    assert len({*ids, *others}) == 4
    assert [uuid.UUID(one).version for one in others] == [5, 5]


def test_a_chunker_of_ones_own_needs_only_to_cut() -> None:
    class Lines(BaseChunker):
        def chunk(self, document: Document) -> list[Chunk]:
            return [Chunk(line) for line in document.content.splitlines()]

    assert cut(Lines(), "one\ntwo") == ["one", "two"]


def test_an_unknown_chunker_is_refused_with_the_nearest_one() -> None:
    assert chunker_named("recursive") is RecursiveChunker
    with pytest.raises(UnknownNameError) as refused:
        chunker_named("recursiv")
    assert "'recursive'" in refused.value.hint


def test_the_library_cuts_at_paragraphs_and_sentences_into_eight_hundred_characters() -> None:
    chunker = default_chunker()
    text = "\n\n".join(f"Paragraph {number}. " + "Some words of it. " * 20 for number in range(9))
    chunks = cut(chunker, text)
    assert all(chunk.endswith(".") and 400 <= len(chunk) <= 800 for chunk in chunks[:-1])
    assert chunks[1].startswith(("Some words of it.", "Paragraph"))


@pytest.mark.parametrize("kind", [FixedChunker, RecursiveChunker, StructureChunker])
@pytest.mark.parametrize(("size", "overlap"), [(0, 0), (-1, 0), (10, 10), (10, 11), (10, -1)])
def test_sizes_that_contradict_each_other_are_refused(
    kind: type[FixedChunker | RecursiveChunker | StructureChunker], size: int, overlap: int
) -> None:
    with pytest.raises(InputError, match="chunk_size"):
        kind(size, overlap)


# Fixed.


def test_a_fixed_chunk_has_exactly_its_size_and_shares_exactly_the_overlap() -> None:
    assert cut(FixedChunker(5, 2), "abcdefghijkl") == ["abcde", "defgh", "ghijk", "jkl"]
    assert cut(FixedChunker(), "x" * 1000) == ["x" * 512, "x" * 512, "x" * 76]


@pytest.mark.parametrize(
    "letter", ["e\u0301", "👩🏽", "🇩🇪", "👩\u200d💻", "กำ"[:1] + "\u0e49", "\u1112\u1161\u11ab", "\r\n"]
)
def test_a_letter_is_never_cut(letter: str) -> None:
    for chunker in (FixedChunker(7, 3), RecursiveChunker(7, 3)):
        for chunk in cut(chunker, "x" + letter * 8):
            assert chunk.strip("x\r\n").replace(letter, "") == ""


# Recursive.


@pytest.mark.parametrize(
    ("text", "size", "first"),
    [
        ("One two. Three four.\n\nFive six. Seven eight nine.", 40, "One two. Three four."),
        ("One two three. Four\nfive six. Seven eight nine ten", 40, "One two three. Four\nfive six."),
        ("one two three four\nfive six, seven eight nine ten eleven", 30, "one two three four"),
        ("one two three four, five six seven eight", 30, "one two three four,"),
        ("one two three four five six", 20, "one two three four"),
        ("abcdefghijklmnopqrstuvwxyz", 10, "abcdefghij"),
        ("今天天气很好。我们去公园吧，好吗", 12, "今天天气很好。"),
    ],
)
def test_it_cuts_at_paragraphs_then_sentences_lines_clauses_words_and_letters(text: str, size: int, first: str) -> None:
    assert cut(RecursiveChunker(size, 0), text)[0] == first


def test_what_is_shared_begins_with_a_sentence_or_else_with_a_word() -> None:
    text = "The first one is long enough. Short one. " + "The third is a rather long one again, longer than that."
    assert cut(RecursiveChunker(45, 15), text)[1].startswith("Short one. The third")
    assert cut(RecursiveChunker(20, 8), "alpha beta gamma delta epsilon zeta")[1].startswith("gamma ")


def test_separators_of_ones_own_are_tried_in_their_order() -> None:
    text = "a;b|c;d|e;f"
    assert cut(RecursiveChunker(6, 0, ["|", ";"]), text) == ["a;b|", "c;d|", "e;f"]
    assert cut(RecursiveChunker(6, 0, [""]), text) == ["a;b|c;", "d|e;f"]
    assert cut(RecursiveChunker(12, 0, ["\n## "]), "Intro\n## A\ntext\n## B\ntext") == [
        "Intro",
        "## A\ntext",
        "## B\ntext",
    ]


# Sentences.


def test_so_many_sentences_make_a_chunk() -> None:
    text = "One. Two. Three. Four. Five. Six."
    assert cut(SentenceChunker(), text) == ["One. Two. Three. Four. Five.", "Five. Six."]
    assert cut(SentenceChunker(2, 0), text) == ["One. Two.", "Three. Four.", "Five. Six."]
    assert cut(SentenceChunker(max_sentences=3), text) == ["One. Two. Three.", "Three. Four. Five.", "Five. Six."]
    assert cut(SentenceChunker(2, 0, "german"), "Am 3. Mai. Am 4. Mai.") == ["Am 3. Mai. Am 4. Mai."]


def test_numbers_of_sentences_that_contradict_each_other_are_refused() -> None:
    for many, shared in ((0, 0), (2, 2), (1, -1)):
        with pytest.raises(InputError, match="overlap_sentences"):
            SentenceChunker(many, shared)


# Meaning.


def test_a_chunk_ends_where_the_meaning_changes() -> None:
    text = "A cat. The cat. My cat. A dog. The dog. A cat. The cat."
    assert cut(SemanticChunker(Animals()), text) == ["A cat. The cat. My cat.", "A dog. The dog.", "A cat. The cat."]
    assert cut(SemanticChunker(Animals(), min_chunk_size=4), text) == [text]
    assert cut(SemanticChunker(Animals(), threshold=-1), text) == [text]
    assert cut(SemanticChunker(Animals(), min_chunk_size=1), "A cat. A dog. Both: cat, dog.") == [
        "A cat.",
        "A dog. Both: cat, dog.",
    ]


def test_all_sentences_of_a_document_are_embedded_in_one_call() -> None:
    text = "A cat. A dog.\nA cat. A dog."
    embedder = Animals()
    chunks = SemanticChunker(embedder).chunk(Document(text, "test", pages=[PageSpan(1, 0, 13), PageSpan(2, 14, 27)]))
    assert [chunk.metadata.page for chunk in chunks] == [1, 2]
    assert embedder.asked == [["A cat.", "A dog.", "A cat.", "A dog."]]


def test_one_meaning_that_goes_on_for_long_is_cut_all_the_same() -> None:
    chunks = cut(SemanticChunker(Animals()), "It is a cat. " * 1000)
    assert 3 <= len(chunks) <= 5
    assert all(len(chunk) <= LONGEST for chunk in chunks)


def test_an_embedder_that_gives_too_few_vectors_is_told_of() -> None:
    class Forgetful(Animals):
        def embed(self, texts: list[str]) -> list[list[float]]:
            return super().embed(texts)[1:]

    with pytest.raises(InputError, match=r"tests/animals gave vectors of shape \(1, 2\) for 2 sentences"):
        cut(SemanticChunker(Forgetful()), "A cat. A dog.")


@pytest.mark.parametrize(("threshold", "fewest"), [(1.5, 2), (-2, 2), (0.5, 0)])
def test_a_threshold_that_is_no_cosine_is_refused(threshold: float, fewest: int) -> None:
    with pytest.raises(InputError, match="threshold"):
        SemanticChunker(Animals(), threshold, fewest)


# Structure.

TABLE = "| a | b |\n|---|---|\n| 1 | 2 |\n| 3 | 4 |"
CODE = "```python\ndef f():\n\n    return 1\n```"
LIST = "- one\n  goes on\n- two"
GUIDE = f"# Guide\n\n## Use\n\nSome text.\n\n{TABLE}\n\n{CODE}\n\n{LIST}\n\n## End\n\nLast words."


def test_a_section_begins_a_chunk_and_its_heading_stays_with_its_text() -> None:
    assert cut(StructureChunker(), GUIDE) == [GUIDE[: GUIDE.index("\n\n## End")], "## End\n\nLast words."]


def test_tables_code_and_lists_stay_whole_when_they_fit() -> None:
    assert cut(StructureChunker(45, 0), GUIDE) == [
        "# Guide\n\n## Use\n\nSome text.",
        TABLE,
        CODE,
        LIST,
        "## End\n\nLast words.",
    ]


def test_a_table_too_large_is_cut_between_rows_code_between_lines_and_a_list_between_items() -> None:
    rows = [f"| row {number} | value |" for number in range(10)]
    assert cut(StructureChunker(50, 10), "\n".join(rows)) == ["\n".join(rows[at : at + 2]) for at in range(0, 10, 2)]
    lines = ["```", *(f"    call({number})" for number in range(4)), "```"]
    assert cut(StructureChunker(30, 10), "\n".join(lines)) == ["\n".join(lines[:3]), "\n".join(lines[3:])]
    assert cut(StructureChunker(20, 5), LIST) == ["- one\n  goes on", "- two"]


def test_a_row_larger_than_a_chunk_is_cut_between_words() -> None:
    chunks = cut(StructureChunker(20, 0), "| a | b |\n| " + "word " * 10 + "|\n| c | d |")
    assert all(len(chunk) <= 20 for chunk in chunks)
    assert chunks[0] == "| a | b |"
    assert chunks[-1].endswith("| c | d |")
    assert sum(chunk.count("word") for chunk in chunks) == 10
