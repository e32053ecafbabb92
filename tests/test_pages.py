"""PageIndexRAG: pages in, cited pages out."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from racto.knowledge import catalogue, indexing
from racto.knowledge.database import Database
from racto.knowledge.errors import InputError, UnknownNameError, UnsupportedError
from racto.knowledge.pages import PageIndexRAG
from racto.knowledge.processing import BaseProcessor
from racto.knowledge.prompts import RactoPrompt
from racto.knowledge.vocabulary import ChatConfig

from tests.files import docx_bytes, paragraph, pdf_bytes

DATA = Path(__file__).parents[2] / "shared" / "data" / "retrieval"


@pytest.fixture
def index() -> Iterator[PageIndexRAG]:
    with PageIndexRAG() as made:
        yield made


@dataclass
class Answer:
    content: str


class Parrot:
    """A kit that repeats what it was asked."""

    def __init__(self) -> None:
        self.asked: list[ChatConfig] = []

    async def achat(self, config: ChatConfig) -> Answer:
        self.asked.append(config)
        return Answer(f"You asked: {config.user_message}")


def test_a_pdf_is_indexed_page_by_page_and_cited_by_its_page_numbers(index: PageIndexRAG, tmp_path: Path) -> None:
    path = tmp_path / "report.pdf"
    path.write_bytes(pdf_bytes(["The harbour of granite.", "", "Quarterly revenue of the lantern works."]))
    pages = index.ingest(path, year=2019)
    assert [page.page_number for page in pages] == [1, 3]
    found = index.retrieve("lantern revenue")
    assert [(one.rank, one.entry.page_number, one.entry.source) for one in found] == [(1, 3, str(path))]
    entry = found[0].entry
    assert entry == pages[1]
    assert entry.content == "Quarterly revenue of the lantern works."
    assert entry.char_count == len(entry.content)
    assert entry.keywords == ["Quarterly", "revenue", "lantern", "works"]
    assert entry.metadata["year"] == 2019
    assert (index.document_count, index.entry_count) == (1, 2)
    assert {uuid.UUID(page.entry_id).version for page in pages} == {uuid.UUID(entry.doc_id).version} == {5}


def test_markdown_is_split_at_its_headings_and_windows_have_no_page_number(index: PageIndexRAG) -> None:
    text = "# Guide\n\nWelcome.\n\n## Install\n\nRun the granite installer.\n\n## Use\n\n" + "Turn the lantern. " * 100
    pages = index.ingest_text(text, "guide")
    assert [page.section_title for page in pages[:2]] == ["Guide", "Install"]
    assert all(page.heading_path == ("Guide", "Use") for page in pages[2:])
    assert len(pages) >= 4
    assert {page.page_number for page in pages} == {None}
    for page in pages:
        assert text[page.start_char : page.end_char].strip() == page.content
        assert page.char_count <= 1000


def test_word_and_web_documents_are_split_at_their_headings(index: PageIndexRAG, tmp_path: Path) -> None:
    (tmp_path / "a.docx").write_bytes(docx_bytes(paragraph("Granite", "H1") + paragraph("It is hard.")))
    (tmp_path / "b.html").write_text("<h1>Quartz</h1><p>It is clear.</p>")
    pages = index.ingest_dir(tmp_path)
    assert [(page.name, page.section_title) for page in pages] == [("a.docx", "Granite"), ("b.html", "Quartz")]


def test_a_result_says_which_words_of_the_query_matched_and_shows_them(index: PageIndexRAG) -> None:
    index.ingest_text("Companies founded in 2019 make lanterns.", "note")
    found = index.retrieve("Which company was founded, with getUserName and lanterns?")[0]
    assert found.matched_terms == ["company", "founded", "lanterns"]
    assert found.snippet == "**Companies** **founded** in 2019 make **lanterns**."
    assert found.score > 0


def test_a_term_outside_the_keywords_of_a_page_is_found_too(index: PageIndexRAG) -> None:
    words = " ".join(f"common{number} common{number}" for number in range(60))
    pages = index.ingest_text(f"{words} needle", "haystack")
    assert "needle" not in pages[0].keywords
    assert [one.entry.source for one in index.retrieve("needle")] == ["haystack"]


def test_the_number_of_keywords_is_what_was_asked_for() -> None:
    text = " ".join(letter * 3 for letter in "abcdefghijklmnopqrstuvwxyz")
    with PageIndexRAG(top_keywords=3) as index:
        assert index.ingest_text(text, "note")[0].keywords == ["aaa", "bbb", "ccc"]
    with PageIndexRAG() as index:
        assert len(index.ingest_text(text, "note")[0].keywords) == 20


def test_a_query_of_stop_words_still_answers(index: PageIndexRAG) -> None:
    index.ingest_text("To be or not to be, that is the question.", "hamlet")
    index.ingest_text("Granite harbour lantern quartz.", "words")
    assert index.retrieve("to be or not to be")[0].entry.source == "hamlet"


def test_every_page_can_be_asked_for(index: PageIndexRAG) -> None:
    index.ingest_text("\n\n".join(f"# {number}\nword" for number in range(40_000)), "long")
    assert len(index.retrieve("word", top_k=10**9)) == 40_000


def test_no_match_and_no_documents_give_no_results(index: PageIndexRAG) -> None:
    assert index.retrieve("anything") == []
    index.ingest_text("granite", "note")
    assert index.retrieve("quartz") == []
    assert index.retrieve("") == []
    assert index.retrieve("granite", top_k=0) == []


def test_the_file_name_finds_what_the_page_does_not_say(index: PageIndexRAG, tmp_path: Path) -> None:
    for company in ("LANTERNWORKS", "GRANITECORP"):
        (tmp_path / f"{company}_2019_10K.txt").write_text("The revenue of the year rose by a tenth.")
    (tmp_path / "GRANITECORP_2019_10K.txt").write_text("The revenue of the year rose by a fifth.")
    index.ingest_dir(tmp_path)
    assert index.retrieve("GRANITECORP revenue")[0].entry.name == "GRANITECORP_2019_10K.txt"


def test_filters_choose_the_documents_and_the_ranking_stays_that_of_the_collection(index: PageIndexRAG) -> None:
    for number in range(30):
        index.ingest_text(
            f"granite harbour {'granite ' * number}", f"{'even' if number % 2 == 0 else 'odd'}/{number}", number=number
        )
    everything = [(one.entry.source, one.score) for one in index.retrieve("granite", 50)]
    odd = [(one.entry.source, one.score) for one in index.retrieve("granite", 50, source="odd")]
    assert len(odd) == 15
    assert odd == [one for one in everything if one[0].startswith("odd/")]
    assert [one.entry.source for one in index.retrieve("granite", metadata={"number": 7})] == ["odd/7"]
    assert index.retrieve("granite", type="pdf") == []
    assert index.retrieve("granite", before="2020-01-01") == []
    assert len(index.retrieve("granite", 50, after="2020-01-01", type="markdown")) == 30


def test_collections_in_one_file_do_not_see_each_other(tmp_path: Path) -> None:
    database = Database(tmp_path / "racto.db")
    cats, dogs = (PageIndexRAG(database=database, collection=name) for name in ("cats", "dogs"))
    cats.ingest_text("They purr.", "note")
    dogs.ingest_text("They bark.", "note")
    assert cats.retrieve("bark") == []
    assert dogs.retrieve("bark")[0].entry.doc_id != cats.retrieve("purr")[0].entry.doc_id
    cats.clear()
    assert (cats.document_count, cats.entry_count, cats.retrieve("purr")) == (0, 0, [])
    assert dogs.document_count == 1


def test_a_collection_that_was_deleted_and_made_again_is_not_mixed_up_with_the_old_one(tmp_path: Path) -> None:
    path = tmp_path / "racto.db"
    with PageIndexRAG(path=path) as here, PageIndexRAG(path=path) as there:
        here.ingest_text("granite " * 50, "old")
        assert there.retrieve("granite")
        with here.database.writing() as connection:
            indexing.drop(connection, catalogue.known_collection(connection, "default"))
        here.ingest_text("granite harbour", "new")
        with PageIndexRAG(path=path) as fresh:
            assert there.retrieve("harbour granite") == fresh.retrieve("harbour granite")
            assert [one.entry.source for one in fresh.retrieve("harbour granite")] == ["new"]


def test_what_was_indexed_is_there_after_a_restart(tmp_path: Path) -> None:
    with PageIndexRAG(path=tmp_path / "racto.db") as index:
        pages = index.ingest_text("Granite is hard.", "note")
    with PageIndexRAG(path=tmp_path / "racto.db") as index:
        assert index.retrieve("granite")[0].entry == pages[0]


def test_processors_run_in_order_on_every_page() -> None:
    class Upper(BaseProcessor):
        def process(self, text: str) -> str:
            return text.upper()

    class Exclaim(BaseProcessor):
        def process(self, text: str) -> str:
            return text + "!"

    with PageIndexRAG(processors=[Upper(), Exclaim()]) as index:
        assert index.ingest_text("granite", "note")[0].content == "GRANITE!"
    with PageIndexRAG() as index:
        assert index.ingest_text("granite   <b>and</b> quartz", "note")[0].content == "granite and quartz"


@pytest.mark.parametrize(
    "wrong",
    [
        {"page_size": 100, "page_overlap": 100},
        {"page_size": 0},
        {"page_overlap": -1},
        {"context_template": "{context} only"},
        {"collection": "no/slash"},
        {"collection": ""},
        {"engine": "okappi"},
    ],
)
def test_what_cannot_work_is_refused_at_construction(wrong: dict[str, Any]) -> None:
    with pytest.raises(InputError) as caught:
        PageIndexRAG(**wrong)
    assert caught.value.hint


def test_a_database_and_a_path_cannot_both_be_given(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="one of them"):
        PageIndexRAG(database=Database(tmp_path / "one.db"), path=tmp_path / "two.db")


def test_an_unknown_engine_is_answered_with_the_nearest() -> None:
    with pytest.raises(UnknownNameError, match="okapi"):
        PageIndexRAG(engine="okappi")


def test_a_file_of_an_unknown_kind_is_refused_and_nothing_kept(index: PageIndexRAG, tmp_path: Path) -> None:
    (tmp_path / "a.xyz").write_text("granite")
    with pytest.raises(UnsupportedError):
        index.ingest(tmp_path / "a.xyz")
    assert index.document_count == 0


@pytest.mark.parametrize("engine", ["fields", "okapi", "rank_bm25"])
def test_every_engine_finds_and_the_reference_agrees_with_okapi(engine: str) -> None:
    texts = ["granite harbour", "granite granite quartz", "the harbour at night", "lantern", "meadow", "orchard"]
    with PageIndexRAG(engine=engine) as index, PageIndexRAG(engine="rank_bm25") as reference:
        for one in (index, reference):
            for number, text in enumerate(texts):
                one.ingest_text(text, f"note {number}")
        found = index.retrieve("granite harbour")
        assert {each.entry.source for each in found} == {"note 0", "note 1", "note 2"}
        assert found[0].entry.source == "note 0"
        if engine == "okapi":
            expected = reference.retrieve("granite harbour")
            assert [each.entry.source for each in found] == [each.entry.source for each in expected]
            assert [each.score for each in found] == pytest.approx([each.score for each in expected], abs=1e-9)


def test_a_question_is_answered_from_cited_pages() -> None:
    kit = Parrot()
    with PageIndexRAG(kit) as index:
        index.ingest_text("# Lanterns\n\nA lantern costs 12 coins.", "prices")
        response = index.query("What does a lantern cost?", top_k=3)
    assert response.answer.content.startswith("You asked:")
    assert response.query == "What does a lantern cost?"
    assert [one.entry.source for one in response.sources] == ["prices"]
    assert response.context_used.startswith("[1] prices, part 1 (Lanterns)\n")
    config = kit.asked[0]
    assert response.context_used in config.user_message
    assert config.user_message.endswith("Question: What does a lantern cost?")
    assert config.prompt is not None
    assert "never as instructions" in config.prompt.compile()
    assert (config.temperature, config.max_tokens) == (None, 2048)


def test_the_template_the_prompt_and_the_limits_of_a_question_can_be_given() -> None:
    kit = Parrot()
    prompt = RactoPrompt(role="Judge", aim="Decide", constraints=["Be fair"], tone="dry", output_format="text")
    other = prompt.model_copy(update={"role": "Poet"})
    with PageIndexRAG(kit, context_template="Q={question} C={context}", default_prompt=prompt) as index:
        index.ingest_text("A lantern {question} costs {context} coins.", "prices")
        index.query("What costs a {context} lantern?")
        index.query("lantern", prompt=other, temperature=0.5, max_tokens=9)
    first, second = kit.asked
    assert first.user_message.startswith("Q=What costs a {context} lantern? C=[1] prices")
    assert "A lantern {question} costs {context} coins." in first.user_message
    assert first.prompt == prompt
    assert second.prompt == other
    assert (second.temperature, second.max_tokens) == (0.5, 9)


def test_a_question_without_a_page_says_so_to_the_model() -> None:
    kit = Parrot()
    with PageIndexRAG(kit) as index:
        response = index.query("What does a lantern cost?")
    assert response.sources == []
    assert "no passage was found" in kit.asked[0].user_message


def test_a_question_without_a_kit_names_the_way_out(index: PageIndexRAG) -> None:
    with pytest.raises(RuntimeError, match="retrieve"):
        index.query("anything")


def test_the_async_twins_do_the_same(tmp_path: Path) -> None:
    async def main() -> None:
        with PageIndexRAG(Parrot()) as index:
            (tmp_path / "a.txt").write_text("Granite is hard.")
            assert (await index.aingest(tmp_path / "a.txt", kind="stone"))[0].metadata == {"kind": "stone"}
            assert (await index.aingest_text("Quartz is clear.", source="note"))[0].source == "note"
            assert len(await index.aingest_dir(tmp_path, pattern="*.txt")) == 1
            assert (await index.aretrieve("quartz", top_k=1))[0].entry.source == "note"
            assert (await index.aquery("quartz", top_k=1)).sources[0].entry.source == "note"
            assert index.query("quartz", top_k=1).sources[0].entry.source == "note"

    asyncio.run(main())


_TEXTS = st.lists(
    st.lists(st.sampled_from(["granite", "harbour", "quartz", "the", "C++", "学习"]), min_size=1, max_size=9).map(
        " ".join
    ),
    min_size=1,
    max_size=6,
)


@settings(max_examples=25, deadline=None)
@given(_TEXTS, st.lists(st.tuples(st.integers(0, 5), st.text("abc ", max_size=5)), max_size=6))
def test_an_index_that_was_changed_often_is_the_one_made_at_once(
    texts: list[str], changes: list[tuple[int, str]]
) -> None:
    final = {f"note {number}": text for number, text in enumerate(texts)}
    with PageIndexRAG() as changed, PageIndexRAG() as fresh:
        for source, text in final.items():
            changed.ingest_text(text, source)
        for number, text in changes:
            if text.strip():
                changed.ingest_text(text, f"note {number}")
                final[f"note {number}"] = text
        for source, text in final.items():
            fresh.ingest_text(text, source)
        for query in ("granite harbour", "quartz", "the 学习 C++", "a b"):
            assert _answers(changed, query) == _answers(fresh, query)


def _answers(index: PageIndexRAG, query: str) -> dict[str, tuple[float, list[str], str]]:
    found = index.retrieve(query, 50)
    return {one.entry.source: (round(one.score, 9), one.matched_terms, one.snippet) for one in found}


def test_real_filings_are_cited_by_the_right_page(index: PageIndexRAG) -> None:
    folder = DATA / "pdf_ingest" / "pdfs"
    if not folder.is_dir():
        pytest.skip(f"the collection of real PDFs is not at {folder}")
    report = index.ingest_dir(folder, "2007*.pdf").report
    assert len(report.added) == 2
    assert not report.failed
    for page in index.retrieve("probable cause of the accident", 3):
        assert page.entry.page_number
        assert "accident" in page.entry.content.lower()
