"""Text to index terms: the same for pages and for queries, in any language.

A text is cut into chunks. A *run* is a stretch of a script that puts no spaces between words (Han, kana, Hangul, Thai, Lao, Khmer,
Burmese); its terms are its letters and each two neighbouring ones (a query asks for the letter only when it stands alone). Anything else is a *word*, which keeps the marks and joints that belong to it
(`नमस्ते`, `node.js`, `AB-1234/5`, `C++`); its terms are the stems of its parts, and the whole where the whole is a name of its own.
Terms are NFKC and casefolded. What a chunk becomes depends on nothing but the chunk and the language, so it is worked out once.
"""

from __future__ import annotations

import re
import threading
import unicodedata
from collections import Counter
from collections.abc import Collection, Iterator, Sequence, Set
from functools import cache
from itertools import chain, pairwise
from operator import itemgetter
from pathlib import PurePath

import Stemmer  # type: ignore[import-not-found]  # a compiled module without type hints

from .stopwords import STOP_WORDS

ANALYSER_VERSION = f"2 snowball-{Stemmer.version()} unicode-{unicodedata.unidata_version}"
"""Kept with each collection: pages indexed under another version must be indexed again from their stored text."""

HEAD_CHARACTERS = 250
"""The lines that end within so much of a page stand for its heading where it has none."""

_MAX_TERM = 64  # characters: what is longer is a blob nobody types, and is known by its beginning
_MEMO_CHUNK = 40  # characters: longer chunks are seldom seen twice
_MEMO_SIZE = 50_000  # chunks per language, about 10 MB
_SAMPLE = 4_000  # characters looked at to tell the language

_SNOWBALL = {
    "ar": "arabic", "ca": "catalan", "cs": "czech", "da": "danish", "de": "german", "el": "greek", "en": "english", "es": "spanish",
    "et": "estonian", "eu": "basque", "fa": "persian", "fi": "finnish", "fr": "french", "ga": "irish", "hi": "hindi", "hu": "hungarian",
    "hy": "armenian", "id": "indonesian", "it": "italian", "lt": "lithuanian", "ne": "nepali", "nl": "dutch", "no": "norwegian",
    "pl": "polish", "pt": "portuguese", "ro": "romanian", "ru": "russian", "sr": "serbian", "sv": "swedish", "ta": "tamil",
    "tr": "turkish", "yi": "yiddish",
}  # fmt: skip

_RUNS = (
    "\u2e80-\u2fdf\u3005-\u3007\u3021-\u3029\u3031-\u3035\u3038-\u303b\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U0003ffff"  # Han
    "\u3041-\u309a\u309d-\u309f\u30a1-\u30fa\u30fc-\u30ff\u31f0-\u31ff\uff66-\uff9f\u3105-\u312f\u31a0-\u31bf"  # kana, Bopomofo
    "\u1100-\u11ff\u3131-\u318e\ua960-\ua97c\uac00-\ud7a3\ud7b0-\ud7fb\uffa0-\uffdc"  # Hangul
    "\u0e01-\u0e3a\u0e40-\u0e4e\u0e81-\u0ecd\u0edc-\u0edf"  # Thai, Lao
    "\u1780-\u17d3\u17dc\u17dd\u1000-\u103f\u1050-\u109d\uaa60-\uaa7f\ua9e0-\ua9ef\ua9fa-\ua9fe"  # Khmer, Burmese
)
_JOINERS = "\u00ad\u200c\u200d"  # soft hyphen, zero-width non-joiner and joiner: inside a word, never part of it


@cache
def _marks() -> str:
    """Every combining mark outside the run scripts, as the inside of a character class."""
    in_run = re.compile(f"[{_RUNS}]")
    return "".join(
        character
        for character in map(chr, range(0x300, 0x1F000))
        if unicodedata.category(character)[0] == "M" and not in_run.match(character)
    )


def _word_pattern(word: str, letter: str, more: str, hyphens: str) -> str:
    """The pattern of a word: `word` and `letter` are classes, `more` what goes on after a mark inside a piece."""
    piece = f"{word}+{more}"
    joint = rf"(?:[.@{hyphens}](?={word})|(?<=\d)/(?={word})|/(?=\d)|(?<=\d),(?=\d{{3}}(?!\d)))"
    return (
        rf"(?:(?<![^\s(\[\"'`,;:/-])\.(?={letter}))?"  # .NET
        rf"{piece}(?:{joint}{piece}){{0,15}}"
        rf"(?:\+\+(?!{word})|(?<=[A-Za-z])(?<!{word}{word})#(?!{word}))?"  # C++, C#
    )


_ASCII_CHUNK = re.compile(_word_pattern("[0-9A-Za-z_]", "[A-Za-z]", "", r"\-"))


@cache
def _unicode_chunk() -> re.Pattern[str]:
    """The pattern of a chunk of any text; on ASCII it finds what `_ASCII_CHUNK` finds."""
    word = rf"[^\W{_RUNS}]"
    letter = rf"[^\W\d_{_RUNS}]"
    more = rf"(?:[{_marks()}{_JOINERS}]+[^\W{_RUNS}]*)*"
    return re.compile(rf"[{_RUNS}]+|{_word_pattern(word, letter, more, '‐‑-')}")


_RUN_START = re.compile(f"[{_RUNS}]")
_CLUSTER = re.compile(
    r"[\u1100-\u115f\ua960-\ua97c]+[\u1160-\u11a7\ud7b0-\ud7c6]*[\u11a8-\u11ff\ud7cb-\ud7fb]*"  # a syllable in single jamo
    r"|[\uff66-\uff9d][\uff9e\uff9f]?"  # half-width kana with its voice mark
    r"|.[\u3099\u309a\u0e31\u0e33-\u0e3a\u0e47-\u0e4e\u0eb1\u0eb3-\u0ebc\u0ec8-\u0ecd\u17b4-\u17d3\u17dd\u102b-\u103e\u1056-\u1059"
    r"\u105e-\u1060\u1062-\u1064\u1067-\u106d\u1071-\u1074\u1082-\u108d\u108f\u109a-\u109d\uaa7b-\uaa7d]*",
    re.DOTALL,
)
_CLUSTERED = re.compile(
    r"[\u1100-\u11ff\ua960-\ua97c\ud7b0-\ud7fb\uff66-\uff9f\u3099\u309a\u0e31\u0e33-\u0e3a\u0e47-\u0e4e\u0eb1\u0eb3-\u0ebc\u0ec8-\u0ecd"
    r"\u1000-\u109d\u1780-\u17dd\ua9e0-\ua9fe\uaa60-\uaa7f]"
)
# How a word is taken apart, see `_word`: accents that may be left out; where a capital or a digit begins a new part; what stands between
# joints; a word without joints or digits; words joined by hyphens only.
_ACCENTS = re.compile(r"(?<=[a-zα-ωе])[\u0300-\u036f]+")
_CAMEL = re.compile(r"(?<=[a-zß-öø-ÿ])(?=[A-ZÀ-ÖØ-Þ])|(?<=[A-Z])(?=[A-Z][a-z]{2})")
_DIGIT_EDGE = re.compile(r"(?<=\d)(?=[^\W\d_])|(?<=[^\W\d_])(?=\d)")
_PIECE = re.compile(r"[^\s._@/,⁄-]+")
_LETTERS = re.compile(r"[^\s._@/,⁄\d+#-]+")
_PHRASE = re.compile(r"[^\s._@/,⁄\d+#]+")
_ACRONYM = re.compile(r"[^\W\d_](?:\.[^\W\d_])+")
_NUMBER = re.compile(r"\d+(?:,\d{3})*(?:\.\d+)?")
_VERSION = re.compile(r"v(\d+(?:\.\d+)+)")

Span = tuple[str, int, int]
_START = itemgetter(1)


_UNACCENTED = ("en", "id")
"""Languages that write without accents: one on a borrowed word must not change its stem (`résumés`, `resumes`)."""


class _Memo(dict[str, tuple[str, ...]]):
    """Chunk → its terms in one language, worked out on first sight and forgotten when there are too many."""

    def __init__(self, language: str) -> None:
        super().__init__()
        name = _SNOWBALL.get(language)
        self._stemmer = Stemmer.Stemmer(name, 0) if name in Stemmer.algorithms() else None
        self._unaccented = language in _UNACCENTED
        self._lock = threading.Lock()  # a stemmer works on a buffer of its own

    def __missing__(self, chunk: str) -> tuple[str, ...]:
        simple = chunk.isascii() and chunk.isalpha() and (chunk.islower() or chunk[1:].islower())  # nearly every one is
        found = (self._stem(chunk.lower()),) if simple else tuple(term for term, _, _ in self.spans(chunk))
        if len(chunk) <= _MEMO_CHUNK and (simple or not _RUN_START.match(chunk)):
            if len(self) >= _MEMO_SIZE:
                self.clear()
            self[chunk] = found
        return found

    def spans(self, chunk: str) -> list[Span]:
        """The terms of one chunk in the order of their beginnings, each with where it stands in the chunk."""
        if _RUN_START.match(chunk):
            single, pairs = _letters(chunk)
            found = single + pairs
        else:
            found = self._word(chunk)
        if len(found) > 1:
            found.sort(key=_START)
        return found

    def _word(self, chunk: str) -> list[Span]:
        end = len(chunk)
        text = chunk if chunk.isascii() else _normal(chunk)
        folded = text.casefold()
        if _LETTERS.fullmatch(text) and not _CAMEL.search(text):
            return [(self._stem(folded), 0, end)]
        if folded[-1:] in ("+", "#"):
            return [(folded[:_MAX_TERM], 0, end)]
        if _ACRONYM.fullmatch(folded):
            return [(folded.replace(".", "")[:_MAX_TERM], 0, end)]
        if _NUMBER.fullmatch(folded):
            return [(folded.replace(",", "")[:_MAX_TERM], 0, end)]
        found = [(self._stem(part.casefold()), start, stop) for part, start, stop in _parts(text)]
        if version := _VERSION.fullmatch(folded):
            found.insert(0, (version[1], end - len(version[1]), end))
        whole = folded.strip("_")
        if found and not _PIECE.fullmatch(whole) and not _PHRASE.fullmatch(whole):
            found.insert(0, (whole[:_MAX_TERM], 0, end))
        # Else where a part stands in the chunk is not known.
        exact = chunk is text or (len(text) == end and all(len(_normal(character)) == 1 for character in chunk))
        return found if exact else [(term, 0, end) for term, _, _ in found]

    def _stem(self, word: str) -> str:
        if self._stemmer is None or len(word) > _MAX_TERM:
            return _without_accents(word[:_MAX_TERM])
        if self._unaccented:
            word = _without_accents(word)
        with self._lock:
            stem: str = self._stemmer.stemWord(word)
        return _without_accents(stem)


def _normal(chunk: str) -> str:
    """NFKC, one kind of hyphen, no invisible joiners."""
    text = unicodedata.normalize("NFKC", chunk)
    return text.translate({0x2010: "-", 0x2011: "-", 0xAD: None, 0x200C: None, 0x200D: None})


def _parts(text: str) -> Iterator[Span]:
    """The pieces of a word between its joints, and the parts of each piece between changes of case and of letters to digits."""
    for piece in _PIECE.finditer(text):
        yield piece[0], piece.start(), piece.end()
        cuts = {match.start() for pattern in (_CAMEL, _DIGIT_EDGE) for match in pattern.finditer(piece[0])}
        if cuts:
            for start, stop in pairwise([0, *sorted(cuts), len(piece[0])]):
                yield piece[0][start:stop], piece.start() + start, piece.start() + stop


def _without_accents(stem: str) -> str:
    """A stem as people write it who leave accents out: `café` as `cafe`, `ёлк` as `елк`; `й` and the marks of other scripts stay."""
    if stem.isascii():
        return stem
    return unicodedata.normalize("NFC", _ACCENTS.sub("", unicodedata.normalize("NFD", stem)))


def _letters(run: str) -> tuple[list[Span], list[Span]]:
    """The letters of a run, and each two neighbouring ones."""
    text = unicodedata.normalize("NFKC", run)
    if _CLUSTERED.search(run) is None and len(text) == len(run):
        single = [(letter, at, at + 1) for at, letter in enumerate(text)]
        return single, [(text[at : at + 2], at, at + 2) for at in range(len(text) - 1)]
    places = [(match.start(), match.end()) for match in _CLUSTER.finditer(run)]
    pairs = [(start, end) for (start, _), (_, end) in pairwise(places)]
    normal = [
        [(unicodedata.normalize("NFKC", run[start:end])[:_MAX_TERM], start, end) for start, end in part]
        for part in (places, pairs)
    ]
    return normal[0], normal[1]


@cache
def _memo(language: str) -> _Memo:
    return _Memo(language)


def _chunks(text: str) -> re.Pattern[str]:
    return _ASCII_CHUNK if text.isascii() else _unicode_chunk()


def terms(text: str, language: str) -> list[str]:
    """The index terms of a text in order, one for each time it stands there.

    :param language: ISO 639-1 code; an unknown one (or "") means that words are not stemmed.
    """
    return list(chain.from_iterable(map(_memo(language).__getitem__, _chunks(text).findall(text))))


def spans(text: str, language: str) -> Iterator[Span]:
    """The same terms in the same order as `terms`, each with where it stands in `text`: `(term, start, end)`."""
    memo = _memo(language)
    may_run = not text.isascii()
    for match in _chunks(text).finditer(text):
        at, end = match.span()
        if not (may_run and _RUN_START.match(match[0])):
            found = memo[match[0]]
            if len(found) == 1:
                yield found[0], at, end
                continue
        for term, start, stop in memo.spans(match[0]):
            yield term, at + start, at + stop


def spans_of(wanted: Set[str], text: str, language: str) -> list[Span]:
    """The spans of these terms alone, several times as fast as picking them out of `spans`."""
    memo = _memo(language)
    may_run = not text.isascii()
    found: list[Span] = []
    for match in _chunks(text).finditer(text):
        at, end = match.span()
        if not (may_run and _RUN_START.match(match[0])):
            held = memo[match[0]]
            if wanted.isdisjoint(held):
                continue
            if len(held) == 1:
                found.append((held[0], at, end))
                continue
        found += [(term, at + start, at + stop) for term, start, stop in memo.spans(match[0]) if term in wanted]
    return found


LONGEST_QUERY = 20_000
"""Characters of a question that are looked at: several pages. Whoever asks with a whole book must not keep everybody else waiting."""


def query_terms(text: str, languages: Collection[str]) -> list[str]:
    """What to look for when somebody asks `text` of pages in `languages`.

    Every word is looked for as each of the languages would have indexed it. Stop words of the query's language are left out unless
    there is nothing else. Two plain words in a row are also looked for written as one (`data base`, `Best Buy` in `BESTBUY.pdf`).

    :returns: Terms, one for each time they were asked for.
    """
    memos = [_memo(language) for language in dict.fromkeys(languages)] or [_memo(detect_language(text))]
    words = _chunks(text).findall(text)
    surfaces = [word.casefold() for word in words]
    spared = _spared(surfaces, languages) or _spared(surfaces, [detect_language(text)])
    found: list[str] = []
    before = ""
    for word in words:
        if word.casefold() in spared:
            before = ""
            continue
        if _RUN_START.match(word):
            single, pairs = _letters(word)
            found += [pair for pair, _, _ in pairs if pair not in STOP_WORDS["zh"]] or [
                term for term, _, _ in pairs or single
            ]
            before = ""
            continue
        if before and word.isalpha():
            found += dict.fromkeys(chain.from_iterable(memo[before + word.casefold()] for memo in memos))
        found += dict.fromkeys(chain.from_iterable(memo[word] for memo in memos))
        before = word.casefold() if word.isalpha() else ""
    return found or list(
        chain.from_iterable(dict.fromkeys(chain.from_iterable(memo[word] for memo in memos)) for word in words)
    )


def _spared(words: Sequence[str], languages: Collection[str]) -> frozenset[str]:
    """The stop words of the language that explains most of the words; empty when none explains any."""
    explained = {
        language: sum(word in STOP_WORDS[language] for word in words)
        for language in languages
        if language in STOP_WORDS
    }
    best = max(explained, key=lambda language: explained[language], default="")
    return STOP_WORDS[best] if explained.get(best) else frozenset()


_SCRIPTS = {
    "ja": "\u3041-\u30ff\uff66-\uff9f",
    "ko": "\u1100-\u11ff\u3131-\u318e\uac00-\ud7a3",
    "zh": "\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U0003ffff",
    "th": "\u0e01-\u0e4e",
    "lo": "\u0e81-\u0edf",
    "km": "\u1780-\u17dd",
    "my": "\u1000-\u109d",
    "hi": "\u0900-\u097f",
    "ta": "\u0b80-\u0bff",
    "el": "\u0370-\u03ff\u1f00-\u1fff",
    "he": "\u0590-\u05ff",
    "hy": "\u0531-\u0587",
    "ar": "\u0600-\u06ff",
    "ru": "\u0400-\u04ff",
    "en": "A-Za-z\u00c0-\u024f",
}
"""Language → the letters of its script. Where several languages share a script, the commonest words decide."""
_SHARED = {
    "ru": ("ru", "uk"),
    "en": ("en", "de", "fr", "es", "it", "pt", "nl", "sv", "da", "no", "fi", "pl", "cs", "hu", "ro", "tr", "id", "ca"),
}


@cache
def _script_patterns() -> dict[str, re.Pattern[str]]:
    return {language: re.compile(f"[{letters}]") for language, letters in _SCRIPTS.items()}


def detect_language(text: str) -> str:
    """The language most of the beginning of a text is in.

    :returns: ISO 639-1 code, "" when it cannot be told.
    """
    sample = text[:_SAMPLE]
    patterns = {"en": _script_patterns()["en"]} if sample.isascii() else _script_patterns()
    letters = {language: len(pattern.findall(sample)) for language, pattern in patterns.items()}
    if letters.get("ja", 0) * 10 > letters.get("zh", 0):
        letters["ja"] += letters["zh"]
        letters["zh"] = 0
    for dense in ("ja", "ko", "zh"):  # one of these letters says as much as several of an alphabet
        letters[dense] = 3 * letters.get(dense, 0)
    script = max(letters, key=lambda language: letters[language])
    if not letters[script]:
        return ""
    if script not in _SHARED:
        return script
    words = Counter(_WORDS.findall(unicodedata.normalize("NFKC", sample).casefold()))
    total = words.total()
    seen = {
        language: sum(words[word] for word in STOP_WORDS[language] if word in words) for language in _SHARED[script]
    }
    best = max(seen, key=lambda language: seen[language])
    return best if seen[best] * 12 >= total else ""


_WORDS = re.compile(r"[^\W\d_]+")


def page_fields(
    name: str, heading_path: Sequence[str], text: str, language: str
) -> tuple[list[str], list[str], list[str]]:
    """The terms a page is found by.

    :param name: File name, with or without its suffix.
    :param heading_path: The headings the page stands under, outermost first.
    :param text: The text of the page.
    :param language: Of the text, as `detect_language` tells it.
    :returns: Terms of the body, of the file name, and of the head: the headings, or where there are none the first lines of the page
        that end within 250 characters (running text on one line has no head).
    """
    head = " ".join(heading_path) or text[: HEAD_CHARACTERS + 1].rpartition("\n")[0]
    return terms(text, language), terms(PurePath(name).stem, language), terms(head, language)
