"""Where sentences end."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from racto.knowledge.errors import UnknownNameError
from racto.knowledge.sentences import LANGUAGES, LONGEST, sentence_spans

# Each language: its sentences, joined by a space, or by nothing where the script has none.
SENTENCES = {
    "en": [
        "Dr. Smith met Mr. J. Doe at 3.14 p.m. on Jan. 5 in Washington, D.C.",
        "He said: “Stop.”",
        "Then he left... and came back (at last).",
        'Is it so?" she asked, e.g. in Fig. 3 of Node.js.',
        "Mail a.b@example.org or see https://example.org/a.b?c=d!",
        "It cost $3.50 etc.",
        "The U.S. Government agreed in 1990.",
        "So did we.",
    ],
    "de": [
        "Am 3. Oktober kam Hr. Müller, z.B. mit Dr. Weiß usw.",
        "Die Kosten betrugen 3.500,50 Euro.",
        "„Was?“ fragte er.",
        "Das war 1990.",
        "Heute nicht.",
    ],
    "es": ["¿Qué tal?", "¡Bien!", "El Sr. López llegó con la Dra. Ruiz.", "Véase la pág. 3."],
    "fr": ["M. Dupont est là.", "Où est Mme. Petit ?", "« Ici ! »", "C’est p.ex. ça."],
    "it": ["Il Sig. Rossi è qui.", "Dov’è il dott. Bianchi?", "Non lo so."],
    "pt": ["O Sr. Silva chegou às 5.", "A Dra. Costa não veio.", "Por quê?"],
    "nl": ["Dhr. Jansen is er, bijv. vandaag.", "Waar is mevr. Smit?", "Hier!"],
    "ru": ["Он родился в 1990 г. в Москве, т.е. давно.", "А. С. Пушкин писал стихи.", "Да!"],
    "ar": ["هل هذا سؤال؟", "نعم، هذا جواب.", "شكرا!"],
    "hi": ["यह एक वाक्य है।", "यह दूसरा है।", "क्या यह तीसरा है?"],
    "zh": ["今天天气很好。", "「你好！」", "他说了。", "我们去吧？", "好"],
    "ja": ["今日は晴れです。", "「元気ですか？」", "はい！"],
}


def sentences(text: str, language: str = "en") -> list[str]:
    return [text[start:end] for start, end in sentence_spans(text, language=language)]


@pytest.mark.parametrize("language", SENTENCES)
def test_sentences_of_a_language_are_told_apart(language: str) -> None:
    apart = SENTENCES[language]
    assert sentences(("" if language in ("zh", "ja") else " ").join(apart), language) == apart
    assert sentences("\n\n".join(apart), language) == apart


def test_headings_list_items_and_paragraphs_end_sentences_and_line_ends_do_not() -> None:
    text = "# A title. And more\nA sentence over\ntwo lines.\n\n- one thing\n- another\n1. First\n2. Second. Third\n\nno full stop"
    assert sentences(text) == [
        "# A title. And more",
        "A sentence over\ntwo lines.",
        "- one thing",
        "- another",
        "1. First",
        "2. Second.",
        "Third",
        "no full stop",
    ]


def test_what_never_ends_is_cut_at_words() -> None:
    found = sentences("word " * 1000)
    assert all(len(sentence) <= LONGEST for sentence in found)
    assert " ".join(found).split() == ["word"] * 1000


def test_a_language_goes_by_its_name_or_code_and_an_unknown_one_is_refused() -> None:
    for name, code in LANGUAGES.items():
        assert sentences("One. Two.", name.title()) == sentences("One. Two.", code)
    with pytest.raises(UnknownNameError) as refused:
        sentences("One.", "germn")
    assert "german" in refused.value.hint


@settings(deadline=None)
@given(st.text(st.sampled_from("aB1 .!?…\n\t\"')(#-*。」।;Dr\u0301"), max_size=80), st.sampled_from([*LANGUAGES]))
def test_every_letter_is_in_one_sentence_and_none_begins_or_ends_with_white_space(text: str, language: str) -> None:
    spans = list(sentence_spans(text, language=language))
    position = 0
    for start, end in spans:
        assert start >= position
        assert not text[position:start].strip()
        assert 0 < end - start <= LONGEST
        assert text[start:end] == text[start:end].strip()
        position = end
    assert not text[position:].strip()
