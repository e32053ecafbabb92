"""What a page is about, and where on it the answer is."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Collection, Sequence, Set
from functools import cache

from .analyser import spans, spans_of, terms
from .stopwords import STOP_WORDS

SNIPPET_LENGTH = 240

_WORD_END = re.compile(r"\w*")


def keywords(text: str, page_terms: Sequence[str], language: str, count: int) -> list[str]:
    """The most frequent index terms of a page, each as it is written there; neither stop words nor single characters.

    :param page_terms: The terms of `text`, as the analyser gave them.
    :param count: How many at most; ties go to the one that comes first.
    """
    stopped = stop_terms(language)
    telling = (term for term in page_terms if len(term) > 1 and term not in stopped)
    wanted = [term for term, _ in Counter(telling).most_common(count)]
    lowered = text.lower()
    forms = {term: _written(text, lowered, term, language) for term in wanted} if len(lowered) == len(text) else {}
    missing = {term for term in wanted if not forms.get(term)}
    if missing and not text.isascii():  # accents and other scripts: where a stem stands is not plain to see
        for term, start, end in spans(text, language):
            if term in missing:
                forms[term] = text[start:end]
                missing.discard(term)
                if not missing:
                    break
    return list(dict.fromkeys(forms.get(term) or term for term in wanted))


@cache
def stop_terms(language: str) -> frozenset[str]:
    """What the stop words of a language are in the index."""
    return frozenset(term for word in STOP_WORDS.get(language, ()) for term in terms(word, language))


def _written(text: str, lowered: str, term: str, language: str) -> str | None:
    """The first word that begins like a term and stands for it."""
    for stem in (term, term[:-1]):  # a stem may end in another letter: compani, company
        at = lowered.find(stem) if stem else -1
        for _ in range(4):
            if at < 0:
                break
            end = _WORD_END.match(lowered, at + len(stem)).end()  # type: ignore[union-attr]  # it matches anywhere
            word = text[at:end]
            if not (at and lowered[at - 1].isalnum()) and len(word) <= len(term) + 6 and term in terms(word, language):
                return word
            at = lowered.find(stem, at + 1)
    return None


def snippet(text: str, wanted: Set[str], language: str, length: int = SNIPPET_LENGTH) -> str:
    """The stretch of a page where most of the wanted terms stand together, on one line, with each marked `**so**`.

    Asterisks of the page itself are written `\\*`, so that a mark is always ours.

    :param wanted: Index terms, as `Hit.terms` gives them.
    :param length: About how many characters of the page.
    """
    found = [(start, end, term) for term, start, end in spans_of(wanted, text, language)]
    start, end = _best_stretch(found, length) if found else (0, 0)
    start, end = _widen(text, start, end, length)
    pieces: list[str] = []
    at = start
    for first, last in _merged(found):
        if start <= first and last <= end:
            pieces += (_plain(text[at:first]), f"**{_plain(text[first:last])}**")
            at = last
    pieces.append(_plain(text[at:end]))
    return f"{'… ' if start else ''}{''.join(pieces).strip()}{' …' if end < len(text) else ''}"


def _best_stretch(found: Sequence[tuple[int, int, str]], length: int) -> tuple[int, int]:
    """Of all stretches of `length`, the first with the most different terms, then with the most terms."""
    best, stretch = (0, 0), found[0][:2]
    inside: Counter[str] = Counter()
    first = 0
    for last, (start, end, term) in enumerate(found):
        inside[term] += 1
        while end - found[first][0] > length and found[first][0] < start:
            left = found[first][2]
            inside[left] -= 1
            if not inside[left]:
                del inside[left]
            first += 1
        value = (len(inside), last - first)
        if value > best:
            best, stretch = value, (found[first][0], end)
    return stretch


def _widen(text: str, start: int, end: int, length: int) -> tuple[int, int]:
    """Fill up to `length` on both sides, more after than before, and stop between words."""
    room = max(0, length - (end - start))
    left = max(0, start - room // 3)
    right = min(len(text), end + room - (start - left))
    if left and (space := re.compile(r"\s").search(text, left, start)):
        left = space.end()
    if right < len(text) and (spaces := [match.start() for match in re.finditer(r"\s", text[end:right])]):
        right = end + spaces[-1]
    return left, right


def _merged(found: Sequence[tuple[int, int, str]]) -> list[tuple[int, int]]:
    """The marked stretches; those that overlap (the bigrams of a Chinese word) are one."""
    merged: list[tuple[int, int]] = []
    for start, end, _ in sorted(found):
        if merged and start < merged[-1][1]:
            merged[-1] = (merged[-1][0], max(end, merged[-1][1]))
        else:
            merged.append((start, end))
    return merged


def _plain(text: str) -> str:
    return re.sub(r"\s+", " ", text).replace("*", "\\*")


def query_words(query: str, terms: Collection[str], languages: Sequence[str]) -> list[str]:
    """The words of the query that stand for these index terms; of a compound and its parts, the compound."""
    places = {(start, -end) for language in languages for term, start, end in spans(query, language) if term in terms}
    words: dict[str, None] = {}
    reached = 0
    for start, negative_end in sorted(places):
        if -negative_end > reached:
            reached = -negative_end
            words[query[start:reached].lower()] = None
    return list(words)
