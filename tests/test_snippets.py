"""Keywords of a page, and the stretch of it that answers."""

from __future__ import annotations

import re

from hypothesis import given
from hypothesis import strategies as st
from racto.knowledge.analyser import query_terms, terms
from racto.knowledge.snippets import SNIPPET_LENGTH, keywords, snippet


def _snippet(text: str, query: str, language: str = "en") -> str:
    return snippet(text, set(query_terms(query, [language])), language)


def _keywords(text: str, language: str = "en", count: int = 20) -> list[str]:
    return keywords(text, terms(text, language), language, count)


def test_keywords_are_the_most_frequent_words_as_they_are_written() -> None:
    text = "Revenues grew. The revenues of the company grew, as revenues of a company do."
    assert _keywords(text, count=3) == ["Revenues", "grew", "company"]


def test_keywords_leave_out_stop_words_and_single_characters() -> None:
    assert _keywords("the the of a I 7 x quartz and it") == ["quartz"]


def test_keywords_of_other_scripts_are_found_where_they_stand() -> None:
    assert "Überlagerungen" in _keywords("Überlagerungen und Räume; die Überlagerungen eines Raumes.", "de")
    assert "学习" in _keywords("机器学习算法通过数据进行学习。", "zh")


@given(st.text(max_size=200), st.sampled_from(["en", "de", "zh", ""]))
def test_every_keyword_is_a_word_of_the_page_or_a_term_of_it(text: str, language: str) -> None:
    page_terms = terms(text, language)
    for word in keywords(text, page_terms, language, 20):
        assert word in text or word in page_terms


def test_the_snippet_shows_where_the_words_stand_together() -> None:
    text = "granite " + "filler " * 200 + "the granite of the harbour is old " + "filler " * 200 + "harbour"
    found = _snippet(text, "harbour granite")
    assert "the **granite** of the **harbour** is old" in found
    assert found.startswith("… ")
    assert found.endswith(" …")


def test_inflected_forms_are_marked_too() -> None:
    assert _snippet("Many companies were founded.", "company founding") == "Many **companies** were **founded**."


def test_asterisks_of_the_page_are_not_taken_for_marks() -> None:
    assert _snippet("x ** 2 is **bold** granite", "granite") == r"x \*\* 2 is \*\*bold\*\* **granite**"


def test_neighbouring_pairs_of_characters_are_one_mark() -> None:
    assert "**机器学习**" in _snippet("我们研究机器学习的方法。", "机器学习", "zh")


def test_without_a_match_the_snippet_is_how_the_page_begins() -> None:
    assert _snippet("word " * 500, "absent").startswith("word word")
    assert len(_snippet("word " * 500, "absent")) <= SNIPPET_LENGTH + 2


_WORDS = st.lists(
    st.sampled_from(["granite", "harbour", "quartz", "the", "x*y", "Straße", "C++", "学习", "\n", "a" * 300]),
    max_size=80,
)


@given(_WORDS.map(" ".join), st.lists(st.sampled_from(["granite", "harbour", "学习", "C++"]), min_size=1, max_size=3))
def test_a_snippet_is_one_short_line_of_the_page(text: str, asked: list[str]) -> None:
    wanted = set(query_terms(" ".join(asked), ["en", "zh"]))
    found = snippet(text, wanted, "en")
    assert "\n" not in found
    plain = found.removeprefix("… ").removesuffix(" …").replace("**", "").replace("\\*", "*")
    assert plain.strip() in " ".join(text.split())
    assert len(plain) <= SNIPPET_LENGTH + 320
    marked = re.findall(r"\*\*(.+?)\*\*", found.replace("\\*", ""))
    assert all(set(terms(word, "en")) & wanted for word in marked)
    if set(terms(text, "en")) & wanted:
        assert marked
