"""How text becomes index terms, in any language."""

from __future__ import annotations

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st
from racto.knowledge.analyser import detect_language, page_fields, query_terms, spans, spans_of, terms

from tests.indexes import judged

LANGUAGES = st.sampled_from(["en", "de", "fr", "tr", "ru", "el", "ar", "hi", "zh", "ja", "ko", "th", ""])
TEXTS = st.one_of(
    st.text(max_size=60),
    st.text(alphabet="aZé ß.,-/_@+#'0159v\u0301\u00ad\u200dनम्ी豹防かガｶﾞ한ᄒ\u1161น้ำ½ﬁİ２Ａ\n", max_size=40),
)


@given(text=TEXTS, language=LANGUAGES)
def test_spans_are_the_terms_in_the_same_order_with_places_inside_the_text(text: str, language: str) -> None:
    found = list(spans(text, language))
    assert [term for term, _, _ in found] == terms(text, language)
    assert all(0 <= start < end <= len(text) for _, start, end in found)
    assert [start for _, start, _ in found] == sorted(start for _, start, _ in found)
    assert all(term for term, _, _ in found)


@given(text=TEXTS, language=LANGUAGES, take=st.integers(1, 4))
def test_the_spans_of_some_terms_are_those_of_all_without_the_rest(text: str, language: str, take: int) -> None:
    wanted = set(terms(text, language)[::take])
    assert spans_of(wanted, text, language) == [span for span in spans(text, language) if span[0] in wanted]


@given(text=TEXTS, language=LANGUAGES)
def test_what_a_term_marks_in_a_text_is_found_by_that_term(text: str, language: str) -> None:
    for term, start, end in spans(text, language):
        if text[start].isalnum():  # a mark without its letter is not a word
            assert term in terms(text[start:end], language), (term, text[start:end])


@given(text=st.text(alphabet=st.characters(max_codepoint=127), max_size=80), language=LANGUAGES)
def test_ascii_gives_the_same_terms_alone_and_beside_other_scripts(text: str, language: str) -> None:
    beside = terms(f"{text} \u4e2d", language)
    assert beside[-1] == "\u4e2d"
    assert beside[:-1] == terms(text, language)


@given(
    words=st.lists(st.text(alphabet="abcdefghijklmnopqrstuvwxyz", min_size=1, max_size=12), max_size=10),
    language=LANGUAGES,
)
def test_case_does_not_matter(words: list[str], language: str) -> None:
    text = " ".join(words)
    assert terms(text.upper(), language) == terms(text.title(), language) == terms(text, language)


@pytest.mark.parametrize(
    ("page", "query"),
    [
        ("Written in C++ since 1998.", "c++"),
        ("A C# and F# shop", "C#"),
        ("We use R, S and Julia.", "R"),
        ("runs on .NET 8", ".net"),
        ("a node.js server", "Node.js"),
        ("the part AB-1234/5 is out of stock", "ab-1234/5"),
        ("the part AB-1234/5 is out of stock", "1234"),
        ("upgrade to v2.3.1 now", "2.3.1"),
        ("upgrade to v2.3.1 now", "V2.3.1"),
        ("write to jane.doe@example.com", "jane.doe@example.com"),
        ("write to jane.doe@example.com", "example"),
        ("see https://docs.example.com/a/get-started", "docs.example.com"),
        ("call getUserName() first", "user name"),
        ("call getUserName() first", "getusername"),
        ("call HTTPServer first", "http"),
        ("set max_tokens_to_sample", "tokens"),
        ("set max_tokens_to_sample", "max_tokens_to_sample"),
        ("in FY2019 sales", "2019"),
        ("a total of $1,577 million", "1577"),
        ("the U.S. market", "US"),
        ("the US market", "u.s."),
        ("a café in Köln", "cafe koln"),
        ("state\u2011of\u2011the\u2011art", "state-of-the-art"),
        ("co\u00adoperation", "cooperation"),
        ("the ﬁrst ＡＢＣ", "first abc"),
        ("cafe\u0301", "café"),
        ("the data base", "database"),
        ("BESTBUY_2017_10K", "Best Buy 10-K 2017"),
        ("naïve Bayes", "naive"),
        ("his résumé", "resumes"),
        ("three cafes and résumés", "résumé"),
    ],
)
def test_names_numbers_and_ways_of_writing_are_findable(page: str, query: str) -> None:
    wanted = query_terms(query, ["en"])
    if query == "database":  # one word of a query does not look for two
        page, wanted = "the database", query_terms("data base", ["en"])
    assert set(wanted) & set(terms(page, "en"))


def test_c_sharp_is_neither_c_nor_c_plus_plus() -> None:
    assert terms("C C++ C# c", "en") == ["c", "c++", "c#", "c"]


@pytest.mark.parametrize(
    ("language", "singular", "plural"),
    [
        ("en", "retrieval of pages", "retrieve a page"),
        ("de", "die Häuser", "ein Haus"),
        ("es", "los niños", "el niño"),
        ("fr", "les chevaux noirs", "un cheval noir"),
        ("ru", "новые книги", "новая книга"),
        ("hi", "लड़कियों", "लड़की"),
    ],
)
def test_words_are_stemmed_by_the_rules_of_their_language(language: str, singular: str, plural: str) -> None:
    assert set(terms(singular, language)) & set(terms(plural, language)) - {"of", "a", "les", "un"}
    assert not set(terms(singular, "")) & set(terms(plural, ""))


def test_hindi_words_keep_their_vowel_signs() -> None:
    assert terms("नमस्ते दुनिया", "") == ["नमस्ते", "दुनिया"]


@pytest.mark.parametrize("text", ["黑豹队", "東京タワー", "한국어", "ภาษาไทย", "ພາສາລາວ", "ភាសាខ្មែរ", "မြန်မာစာ", "ｶﾞｷﾞｸﾞ"])
def test_scripts_without_spaces_are_found_by_any_two_neighbouring_letters_and_by_one(text: str) -> None:
    found = [(term, text[start:end]) for term, start, end in spans(text, "")]
    assert all(unicodedata.normalize("NFKC", part) == term for term, part in found)
    single = query_terms(found[0][1], [])
    assert set(single) <= set(terms(text, ""))
    asked = query_terms(text, [])
    assert asked
    assert set(asked) <= set(terms(text, ""))


def test_a_query_leaves_stop_words_out_and_keeps_how_often_it_asks() -> None:
    assert query_terms("What is the cost of the cost model?", ["en"]) == ["cost", "cost", "costmodel", "model"]


@pytest.mark.parametrize("query", ["to be or not to be", "What is it?", "the who", "什么"])
def test_a_query_of_stop_words_only_still_asks(query: str) -> None:
    assert query_terms(query, ["en", "zh"])


def test_stop_words_are_those_of_the_language_of_the_query() -> None:
    assert "die" in query_terms("why did he die", ["de", "en"])
    assert "die" not in query_terms("wie hoch ist die Steuer", ["de", "en"])


def test_a_word_is_looked_for_as_every_language_would_have_indexed_it() -> None:
    assert {*terms("Verteidigung", "de"), *terms("Verteidigung", "en")} == set(
        query_terms("Verteidigung", ["de", "en"])
    )


@pytest.mark.parametrize("query", ["", "   ", "?!", "___", "…"])
def test_a_query_without_words_asks_for_nothing(query: str) -> None:
    assert query_terms(query, ["en"]) == []


@pytest.mark.parametrize(
    "text",
    [
        "x" * 300_000,
        "a-" * 150_000,
        "1," * 150_000,
        "a.b" * 100_000,
        "é\u0301" * 150_000,
        "中" * 100_000,
        "@" * 300_000,
        "\u0e49" * 100_000,
    ],
)
def test_hostile_text_gives_terms_of_bounded_length(text: str) -> None:
    found = terms(text, "en")
    assert len(found) <= 2 * len(text)
    assert max(map(len, found), default=0) <= 64


@pytest.mark.parametrize("name", ["en", "de", "es", "zh"])
def test_the_language_of_a_page_is_told_from_its_text(name: str) -> None:
    pages = list(judged(f"xquad_{name}").pages.values())
    told = [detect_language(page) for page in pages]
    assert len(pages) == 240
    assert told.count(name) >= 0.98 * len(pages)


@pytest.mark.parametrize(
    ("text", "language"),
    [
        ("Это книга о том, как люди жили в городе", "ru"),
        ("Це книга про те, як люди жили в місті", "uk"),
        ("東京タワーは高い", "ja"),
        ("한국어로 쓴 글", "ko"),
        ("यह एक किताब है", "hi"),
        ("هذا كتاب عن المدينة", "ar"),
        ("Αυτό είναι ένα βιβλίο", "el"),
        ("ภาษาไทย", "th"),
        ("C'est un livre sur la ville et les gens qui y sont", "fr"),
        ("Het is een boek over de stad", "nl"),
        ("", ""),
        ("12345 67,8", ""),
        ("xqzt brfgl wmpf kkkt", ""),
    ],
)
def test_scripts_and_common_words_tell_the_language(text: str, language: str) -> None:
    assert detect_language(text) == language


def test_a_page_is_found_by_its_text_its_file_name_and_its_headings() -> None:
    body, name, head = page_fields("BESTBUY_2017_10K.pdf", ["Results", "Net sales"], "Net sales rose.", "en")
    assert body == ["net", "sale", "rose"]
    assert name == ["bestbuy_2017_10k", "bestbuy", "2017", "10k", "10", "k"]
    assert head == ["result", "net", "sale"]


def test_the_first_lines_of_a_page_without_headings_are_its_head_and_running_text_has_none() -> None:
    page = "Item 7. Liquidity\nCash flows\n" + "word " * 100
    assert page_fields("a.pdf", [], page, "en")[2] == ["item", "7", "liquid", "cash", "flow"]
    assert page_fields("a.txt", [], "word " * 100, "en")[2] == []
