"""Words to their dictionary forms, by the word lists of the package `simplemma`: some fifty languages, no download."""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import lru_cache

from .analyser import detect_language
from .errors import ConfigError
from .processing import BaseProcessor

_WORD = re.compile(r"[^\W\d_]+(?:['’][^\W\d_]+)*")
_SENTENCE_BEFORE = re.compile(r"(?:\A|[.!?…:]|\n)[\s\"'“„‘«(\[¿¡*_#-]*\Z")
_LOOK_BACK = 8  # characters before a word in which a sentence may have ended
_NAMES = {"no": "nb"}  # what simplemma calls a language by another code
_DETERMINERS = {
    "the", "a", "an", "this", "that", "these", "those", "my", "your", "his", "her", "its", "our", "their", "each", "every", "some", "any",
    "no", "another",
}  # fmt: skip


class Lemmatizer(BaseProcessor):
    """Replaces each word by its dictionary form (`fields` by `field`, `went` by `go`); everything between words stays as it is.

    The language is told from the text; where it cannot be told it is taken for English. A text in a language without a word list, such as
    Chinese, comes back as it was. The first text in a language loads its list: .2 to 1.5 s.

    :param use_pos_tagging: Heed what part of speech a word is, as far as its spelling and the word before it tell; there is no statistical
        tagger. A capital inside a sentence marks a noun in German and a name elsewhere, and names stay as they are (`US` is not `us`);
        an English form in `-ing` after an article or the like is a noun (`the meeting`). Without it every word is looked up in lower case.
    """

    def __init__(self, use_pos_tagging: bool = True) -> None:
        self.use_pos_tagging = use_pos_tagging

    def process(self, text: str) -> str:
        """The text with its words replaced.

        :raises ConfigError: simplemma is not installed.
        """
        language = detect_language(text) or "en"
        lemma = _lemmas(_NAMES.get(language, language))
        if lemma is None:
            return text
        before = ""

        def replaced(found: re.Match[str]) -> str:
            nonlocal before
            word, previous = found[0], before
            before = word.lower()
            if not self.use_pos_tagging:
                return lemma(before)
            if word[0].isupper():
                begins = _SENTENCE_BEFORE.search(text[max(0, found.start() - _LOOK_BACK) : found.start()])
                return _capitalised(word, language, lemma, begins is not None)
            if language == "en" and previous in _DETERMINERS and word.endswith(("ing", "ings")):
                return word.removesuffix("s")
            return lemma(word)

        return _WORD.sub(replaced, text)


def _capitalised(word: str, language: str, lemma: Callable[[str], str], begins: bool) -> str:
    """The form of a word with a capital.

    :param begins: Whether it begins a sentence, so that the capital says nothing.
    """
    small = word.lower()
    if begins and (form := lemma(small)) != small:
        return form
    return lemma(word) if language == "de" else word


@lru_cache(maxsize=8)
def _lemmas(language: str) -> Callable[[str], str] | None:
    """Gives for a word its dictionary form; `None` when there is no word list for the language.

    :raises ConfigError: simplemma is not installed.
    """
    try:
        import simplemma
    except ImportError:
        raise ConfigError("Lemmatizer needs the package simplemma.", "Install it: pip install 'racto[nlp]'") from None
    try:
        simplemma.lemmatize("a", lang=language)
    except ValueError:
        return None

    @lru_cache(maxsize=50_000)
    def lemma(word: str) -> str:
        return simplemma.lemmatize(word, lang=language)

    return lemma
