"""Cutting a stretch of text into pieces of a bounded size, at the best places there are. Linear in the length of the text."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator, Sequence
from functools import lru_cache

from .errors import InputError

Span = tuple[int, int]

_SENTENCES = (". ", ".\n", '." ', ".” ", ".) ", "! ", "!\n", "? ", "?\n", "?” ", "。", "！", "？", "।", "؟ ", "۔ ", "…")
LEVELS: Sequence[Sequence[str]] = (
    ("\n\n", "\r\n\r\n"),
    _SENTENCES,
    ("\n",),
    ("; ", ", ", "；", "，", "、", "؛ ", "، "),
    (" ", "\t", "\u3000"),
)
"""Marks of paragraphs, sentences, lines, clauses and words; a cut falls after a mark. Sentences before lines: many lines end for want of room."""

_NOT_SPACE = re.compile(r"\S")
_SPACE = re.compile(r"\s+")
_CLUSTER = 32  # characters looked back over for the beginning of a letter: what carries more marks is none
_JOINER = "\u200d"

_Mark = tuple[str, int, int]


def check_size(chunk_size: int, overlap: int) -> None:
    """Refuse sizes no piece can have.

    :raises InputError: `chunk_size` is not positive, `overlap` is negative or not smaller than `chunk_size`.
    """
    if chunk_size < 1 or not 0 <= overlap < chunk_size:
        raise InputError(
            f"chunk_size={chunk_size} and overlap={overlap} do not go together.",
            "chunk_size must be at least 1, and overlap at least 0 and smaller than chunk_size.",
        )


def trimmed(text: str, start: int, end: int) -> Span:
    """The same stretch without the white space at its ends; empty where there is nothing else."""
    found = _NOT_SPACE.search(text, start, end)
    return (found.start(), start + len(text[start:end].rstrip())) if found else (end, end)


def cut(
    text: str, start: int, stop: int, size: int, overlap: int = 0, levels: Sequence[Sequence[str]] = LEVELS
) -> Iterator[Span]:
    """Pieces of `text[start:stop]` without white space at their ends, each cut at the best place in its second half.

    :param size: The most characters of a piece.
    :param overlap: The most characters two neighbouring pieces share; what is shared begins with a sentence, or else with a word.
    :param levels: Marks, from the best kind of place to the worst; where there is none of them, after any whole letter.
    """
    kinds = _kinds(tuple(levels), text.isascii())
    least = max(size // 2, overlap + 1)
    last = start
    while found := _NOT_SPACE.search(text, start, stop):
        start = found.start()
        end = stop if stop - start <= size else _best_end(text, start + least, start + size, stop, kinds)
        written = start + len(text[start:end].rstrip())
        if written > last:  # else it is all in the piece before
            yield start, written
            last = written
        if end == stop:
            return
        start = _best_start(text, end - overlap, end) if overlap else end


def whole(text: str, position: int, earliest: int) -> int:
    """The last place at or before `position` that is not inside a letter and its marks; `position` when there is none from `earliest` on."""
    for place in range(position, max(earliest, position - _CLUSTER) - 1, -1):
        if not _continues(text, place):
            return place
    return position


def _continues(text: str, place: int) -> bool:
    """Whether the character at `place` belongs to what a reader takes for one letter with those before it (most of UAX 29)."""
    if not 0 < place < len(text) or text[place] < "\u0300":
        return text[place - 1 : place + 1] == "\r\n"
    here = text[place]
    if unicodedata.category(here)[0] == "M" or here == _JOINER or "\U0001f3fb" <= here <= "\U0001f3ff":
        return True
    if text[place - 1] == _JOINER:
        return not here.isalnum()  # a sequence of emoji
    if "\u1160" <= here <= "\u11ff":
        return "\u1100" <= text[place - 1] <= "\u11ff" or "\uac00" <= text[place - 1] <= "\ud7a3"
    if _is_flag(here):
        before = place
        while before and place - before < _CLUSTER and _is_flag(text[before - 1]):
            before -= 1
        return (place - before) % 2 == 1
    return False


def _is_flag(character: str) -> bool:
    return "\U0001f1e6" <= character <= "\U0001f1ff"


@lru_cache(64)
def _kinds(levels: tuple[Sequence[str], ...], ascii_only: bool) -> list[list[_Mark]]:
    """The marks of each level that can be in a text."""
    found = [[_mark(mark) for mark in marks if mark.isascii() or not ascii_only] for marks in levels]
    return [kind for kind in found if kind]


def _mark(mark: str) -> _Mark:
    """A mark, how much of it is left of the cut (of `\\n## ` the line end only), and how far it may reach beyond the last place for a cut."""
    white = len(mark) - len(mark.lstrip())
    kept = white if 0 < white < len(mark) else len(mark)
    return mark, kept, len(mark) - len(mark[:kept].rstrip())


def _best_end(text: str, earliest: int, latest: int, stop: int, kinds: Sequence[Sequence[_Mark]]) -> int:
    """The end of a piece: after the last mark of the best kind between the two offsets, or at the latest one.

    White space at the end of a mark may lie beyond `latest`: it is not written.
    """
    for kind in kinds:
        best = earliest
        cut_there = False
        for mark, kept, beyond in kind:
            # What is further left than the best so far need not be looked at.
            first, last = best - kept, latest + beyond
            found = text.rfind(mark, first if first > 0 else 0, last if last < stop else stop)  # noqa: FURB136 - the calls would be a fifth of all
            if found >= 0:
                best = found + kept
                cut_there = True
        if cut_there:
            return best
    return whole(text, latest, earliest)


_SENTENCE = re.compile(r"(?:[.!?؟۔]\s|[。！？।…\n])\s*")


def _best_start(text: str, earliest: int, end: int) -> int:
    """Where a piece begins that may share what is between the two offsets with the one before."""
    found = _SENTENCE.search(text, earliest, end)
    if found and found.end() < end:
        return found.end()
    if text[earliest - 1].isspace():
        return earliest
    space = _SPACE.search(text, earliest, end)
    return space.end() if space else whole_after(text, earliest, end)


def whole_after(text: str, position: int, end: int) -> int:
    """The first place at or after `position` that is not inside a letter and its marks."""
    for place in range(position, min(end, position + _CLUSTER)):
        if not _continues(text, place):
            return place
    return position
