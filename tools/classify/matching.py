"""From what somebody answered to a label of the list, or to none: exact, then normalised, then misspelt, and never by guessing.

A misspelling is taken for a label only when it can mean no other: it is near to one label and farther from all others, every word of it is a
word of that label with at most one slip of the fingers, and numbers and negations are the same. A label that is missing from the list therefore
does not become its sibling.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import count
from typing import Literal

from ...knowledge.errors import ConfigError
from .words import MARKING, SHORT_WORDS

How = Literal["exact", "id", "normalised", "fuzzy"]

LONGEST_ANSWER = 1_000
"""Characters: a longer text names no label."""

_JOINED = re.compile(r"['`]")  # inside a word, never part of it
# Between words. What stays tells labels apart: C++ and C#, 50 % and 50 $, the full stop of 1.5, the minus of -5.
_BETWEEN = re.compile(r"(?<!\d)[.,]|[.,](?!\d)|(?<=\w)-|-(?!\d)|[\s_:;?!\"()\[\]{}/\\|>*~]+")
_NOT = re.compile(r"(?<![^\s])!+\s*(?=\w)")
_LEADING = re.compile(r"^(?:answer|category|class|intent|label|option)\s*[:=]\s*", re.IGNORECASE)
_NUMBERS = re.compile(r"-?\d+(?:[.,]\d+)*")
# Every pair of these is two words: employer and employee, sent and send.
_ENDINGS = (frozenset({"er", "ee"}), frozenset({"or", "ee"}))
_SHORT = 4  # letters: in a word so short the first and the last one tell words apart
_INVISIBLE = {"Cc", "Cf", "Cs", "Co", "Cn"}
_FILLERS = "\u034f\u115f\u1160\u3164"
_NO_SPELLING = "\u2e80"  # from here on letters are syllables or words: another letter is another word


@dataclass(frozen=True, slots=True)
class Match:
    """A label, and how the answer came to mean it."""

    label: str
    how: How


class Matcher:
    """Reads answers as labels of one list. Safe between threads.

    :param labels: All different.
    :param case_sensitive: Whether capitals must agree.
    :raises ConfigError: RapidFuzz is not installed.
    """

    def __init__(self, labels: Sequence[str], *, case_sensitive: bool = False) -> None:
        _require_rapidfuzz()  # now, and not after a model was paid for an answer
        self._labels = frozenset(labels)
        self._case_sensitive = case_sensitive
        self.ids = short_ids(labels)
        self._keys: dict[str, str | None] = {}
        for label in labels:  # None: two labels are written so, and neither is meant
            key = self._key(label)
            self._keys[key] = None if key in self._keys else label
        self._keys.pop("", None)
        self._spelt = [key for key, label in self._keys.items() if label is not None]
        self._written = {key: label for key, label in self._keys.items() if label is not None}
        self._words = frozenset(word for key in self._keys for word in key.split())
        self._leaves = self._last_levels(labels)

    def match(self, answer: str, *, fuzzy: bool = True, ids: bool = False) -> Match | None:
        """The label an answer means; `None` when it means none, or could mean several.

        :param fuzzy: Whether a misspelt label is taken for it.
        :param ids: Whether it may be a short id.
        """
        if answer in self._labels:
            return Match(answer, "exact")
        if len(answer) > LONGEST_ANSWER:
            return None
        if ids and (given := _ID.match(answer.strip())):
            return self._of_id(given)
        key = self._key(answer)
        if (label := self._keys.get(key) or self._leaves.get(key)) is not None:
            return Match(label, "normalised")
        if not fuzzy or not key or key in self._keys:
            return None
        label = self._misspelt(key)
        return None if label is None else Match(label, "fuzzy")

    def nearest(self, answer: str, most: int = 3) -> list[str]:
        """Labels an answer looks like, the likest first."""
        from rapidfuzz import fuzz, process

        found = process.extract(self._key(answer[:LONGEST_ANSWER]), self._spelt, scorer=fuzz.WRatio, limit=most)
        return [self._written[key] for key, _, _ in found]

    def _key(self, text: str) -> str:
        key = normalised(text)
        return key if self._case_sensitive else key.casefold()

    def _of_id(self, given: re.Match[str]) -> Match | None:
        label = self.ids.get(given[1].lower())
        said = self._key(given[2])
        return None if label is None or (said and said != self._key(label)) else Match(label, "id")

    def _last_levels(self, labels: Sequence[str]) -> dict[str, str]:
        """The last level of a label that has several → the label, where no other ends so."""
        found: dict[str, str | None] = {}
        for label in labels:
            if " > " in label and (leaf := self._key(label.rpartition(" > ")[2])):
                found[leaf] = None if leaf in found else label
        return {leaf: label for leaf, label in found.items() if label is not None and leaf not in self._keys}

    def _misspelt(self, key: str) -> str | None:
        from rapidfuzz import process
        from rapidfuzz.distance import OSA

        most = _slips(len(key))
        if not most:
            return None
        found = process.extract(key, self._spelt, scorer=OSA.distance, score_cutoff=most + 1, limit=2)
        if not found or found[0][1] > most or (len(found) > 1 and found[1][1] <= found[0][1]):
            return None
        best = found[0][0]
        if self._case_sensitive and best.casefold() == key.casefold():
            return None
        return self._written[best] if self._agree(key, best) else None

    def _agree(self, key: str, label: str) -> bool:
        """Whether a text that is near to a label can be nothing but that label, misspelt."""
        if _NUMBERS.findall(key) != _NUMBERS.findall(label):
            return False
        said, meant = key.split(), label.split()
        if _marking(said) != _marking(meant) or _signs(key) != _signs(label):
            return False
        if len(said) == len(meant):
            return all(
                word == other or self._is_slip(word, other, alone=len(meant) == 1)
                for word, other in zip(said, meant, strict=True)
            )
        # A blank too many or too few, and nothing else.
        return "".join(said) == "".join(meant) and len(label) > _SHORT

    def _is_slip(self, word: str, meant: str, *, alone: bool) -> bool:
        """Whether `word` is `meant` with one slip of the fingers, and no other word."""
        from rapidfuzz.distance import OSA

        if word in self._words or max(map(ord, word + meant)) >= ord(_NO_SPELLING):
            return False
        if word in SHORT_WORDS or min(len(word), len(meant)) < 2 or OSA.distance(word, meant) > 1:
            return False
        short, long = sorted((word, meant), key=len)
        if long == "a" + short and short[0] not in "aeiou" and short[0] != short[1]:  # atypical; not account
            return False
        if {word[-2:], meant[-2:]} in _ENDINGS:
            return False
        return not alone or min(len(word), len(meant)) > _SHORT or (word[0] == meant[0] and word[-1] == meant[-1])


def normalised(text: str) -> str:
    """A text without what nobody sees or means: NFKC, invisible characters and marks of emphasis gone, punctuation and white space one blank.

    Signs that tell things apart stay (`+`, `#`, `%`, `&`, the minus of a number), and a `!` in front becomes `not`.
    """
    text = unicodedata.normalize("NFKC", text)
    if not text.isascii() or not text.isprintable():
        text = "".join(map(_visible, text))
    text = _NOT.sub("not ", _JOINED.sub("", _LEADING.sub("", text.strip())))
    return " ".join(_BETWEEN.sub(" ", text).split())


def short_ids(labels: Iterable[str]) -> dict[str, str]:
    """Id → label: `a1`, `a2` …, of the first letter of which no label looks like an id."""
    labels = list(labels)
    taken = {key[0] for label in labels if (key := normalised(label).casefold()) and _ID.fullmatch(key)}
    letter = next(letter for letter in _LETTERS if letter not in taken)
    return {f"{letter}{number}": label for number, label in zip(count(1), labels)}


def _require_rapidfuzz() -> None:
    try:
        import rapidfuzz  # noqa: F401 - whether it is there
    except ImportError:
        raise ConfigError("RapidFuzz is not installed.", "Run `pip install 'racto[pipelines-classifier]'`.") from None


def _visible(character: str) -> str:
    if character.isascii():
        return " " if character.isspace() else character if character.isprintable() else ""
    category = unicodedata.category(character)
    if category in _INVISIBLE or "\ufe00" <= character <= "\ufe0f" or character in _FILLERS:
        return ""
    if character in "’ʼ‘":
        return "'"
    if category == "Pd":
        return "-"
    return " " if (category[0] in "PZ" and character not in "‰٪§") or character == "→" else character


def _slips(length: int) -> int:
    """How many slips a text of so many characters may have."""
    return 0 if length < 4 else 1 if length < 12 else 2


def _marking(words: Iterable[str]) -> list[str]:
    """The words of which no other can be meant: negations, numerals, single letters."""
    return [word for word in words if len(word) == 1 or word.casefold() in MARKING]


def _signs(key: str) -> list[str]:
    return [
        character
        for character in key
        if not character.isalnum() and not character.isspace() and not _is_mark(character)
    ]


def _is_mark(character: str) -> bool:
    return unicodedata.category(character)[0] == "M"


_LETTERS = "abcdefghjkmnpqrstuvwxyz"
_ID = re.compile(r"\W{0,3}([a-z]\d{1,5})\b[\W_]*(.*)", re.IGNORECASE | re.DOTALL)
