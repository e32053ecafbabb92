"""Words and their dictionary forms."""

from __future__ import annotations

import subprocess
import sys

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from racto.knowledge.lemmatizing import Lemmatizer
from racto.knowledge.processing import ProcessingPipeline, TextCleaner


@pytest.mark.parametrize(
    ("text", "lemmas"),
    [
        ("Running quickly through the fields...", "run quickly through the field..."),
        ("Die Häuser standen in der Straße.", "der Haus stehen in der Straße."),
        ("Los niños comieron las manzanas.", "el niño comer el manzana."),
        ("Она жила в больших домах.", "Она жить в больший дом."),
    ],
)
def test_words_become_their_dictionary_forms_in_the_language_of_the_text(text: str, lemmas: str) -> None:
    assert Lemmatizer().process(text) == lemmas


def test_the_language_is_taken_for_english_where_it_cannot_be_told() -> None:
    assert Lemmatizer().process("worlds!") == "world!"


@pytest.mark.parametrize("text", ["今天天气很好。", "", " \n", "12.5 % -> x_1"])
def test_what_has_no_word_list_or_no_words_stays_as_it_is(text: str) -> None:
    assert Lemmatizer().process(text) == text


def test_a_name_stays_and_a_noun_in_ing_is_no_verb() -> None:
    text = "The US companies told us of the meeting and were meeting in it at IT."
    assert Lemmatizer().process(text) == "The US company tell we of the meeting and be meet in it at IT."
    assert Lemmatizer(use_pos_tagging=False).process(text) == (
        "the we company tell we of the meet and be meet in it at it."
    )


def test_in_a_pipeline_it_gets_the_cleaned_text() -> None:
    pipeline = ProcessingPipeline([TextCleaner(), Lemmatizer()])
    assert pipeline.process("  <b>Running</b>   quickly through the  fields ") == "run quickly through the field"


@given(st.text(st.sampled_from("aDs it's. \n\t-12é中"), max_size=60))
@settings(deadline=None)
def test_what_stands_between_words_stays(text: str) -> None:
    def between(one: str) -> list[str]:
        return [char for char in one if not (char.isalpha() or char == "'")]

    assert between(Lemmatizer().process(text)) == between(text)


def test_without_its_package_it_says_what_to_install() -> None:
    """In a process that cannot import it, as one without the extra cannot."""
    program = (
        "import sys; sys.modules['simplemma'] = None\n"
        "from racto.knowledge.lemmatizing import Lemmatizer\n"
        "from racto.knowledge.errors import ConfigError\n"
        "try: Lemmatizer().process('words')\n"
        "except ConfigError as error: print(error.hint)\n"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout == "Install it: pip install 'racto[nlp]'\n"
