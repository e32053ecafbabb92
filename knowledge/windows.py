"""Cutting a document into the pages that are indexed and cited: real pages, sections, or overlapping windows of text."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from .documents import Document, Heading
from .errors import InputError

PAGE_SIZE = 1000
PAGE_OVERLAP = 100

_NOT_SPACE = re.compile(r"\S")
_SPACE = re.compile(r"\s")
# From the best place to cut to the worst; a cut falls after the mark.
_MARKS = (
    ("\n\n",),
    ("\n",),
    (". ", "! ", "? ", "。", "！", "？", "।", "؟ "),
    ("; ", ", ", "、", "，"),
    (" ", "\t", "\u3000"),
)


@dataclass(frozen=True, slots=True)
class Window:
    """One indexed page: `document.content[start:end]`.

    :param number: Physical page, counted from 1; `None` where the format has no pages.
    :param section_title: The heading it stands under.
    :param heading_path: That heading and those above it, outermost first.
    """

    number: int | None
    start: int
    end: int
    section_title: str | None
    heading_path: tuple[str, ...]


def check_sizes(page_size: int, page_overlap: int) -> None:
    """Refuse sizes no window can have.

    :raises InputError: `page_size` is not positive, `page_overlap` is negative or not smaller than `page_size`.
    """
    if page_size < 1 or not 0 <= page_overlap < page_size:
        raise InputError(
            f"page_size={page_size} and page_overlap={page_overlap} do not go together.",
            "page_size must be at least 1, and page_overlap at least 0 and smaller than page_size.",
        )


def split(document: Document, *, page_size: int = PAGE_SIZE, page_overlap: int = PAGE_OVERLAP) -> list[Window]:
    """The pages of a document, in order; together they hold every character that is not white space.

    Physical pages stay whole, however long. Otherwise every section is a page of its own, a heading with nothing under it goes with
    the next section, and what is longer than `page_size` becomes windows, cut at the best place in the second half of each.

    :param page_size: The most characters a window has; physical pages are not bound by it.
    :param page_overlap: The most characters two neighbouring windows share.
    :raises InputError: the sizes contradict each other.
    """
    check_sizes(page_size, page_overlap)
    if document.pages:
        return list(_physical(document))
    return [
        Window(None, start, end, path[-1] if path else None, path)
        for first, last, path in _sections(document, page_size)
        for start, end in _cut(document.content, first, last, page_size, page_overlap)
    ]


def _physical(document: Document) -> Iterator[Window]:
    """One window a page, under the first heading on it or else the last one before it."""
    paths = heading_paths(document.headings)
    upcoming = 0
    for page in document.pages:
        path: tuple[str, ...] = paths[upcoming - 1] if upcoming else ()
        first_here = upcoming
        while upcoming < len(paths) and document.headings[upcoming].start < page.end:
            upcoming += 1
        if upcoming > first_here:
            path = paths[first_here]
        yield Window(page.number, page.start, page.end, path[-1] if path else None, path)


def _sections(document: Document, page_size: int) -> Iterator[tuple[int, int, tuple[str, ...]]]:
    """Where each section begins and ends, and the headings it stands under."""
    starts = [heading.start for heading in document.headings]
    bounds = [*starts, len(document.content)]
    yield 0, bounds[0], ()
    waiting: int | None = None  # where a heading began that has nothing of its own under it
    for heading, path, end in zip(document.headings, heading_paths(document.headings), bounds[1:], strict=True):
        start = heading.start if waiting is None else waiting
        empty = _NOT_SPACE.search(document.content, heading.end, end) is None
        if empty and end < bounds[-1] and end - start < page_size // 2:
            waiting = start
        else:
            waiting = None
            yield start, end, path


def heading_paths(headings: list[Heading]) -> list[tuple[str, ...]]:
    """For each heading, its title below those it stands under."""
    paths: list[tuple[str, ...]] = []
    above: list[Heading] = []
    for heading in headings:
        while above and above[-1].level >= heading.level:
            above.pop()
        above.append(heading)
        paths.append(tuple(one.title for one in above))
    return paths


def _cut(text: str, start: int, stop: int, size: int, overlap: int) -> Iterator[tuple[int, int]]:
    """Windows over `text[start:stop]`, without white space at their ends. Linear in the length of the text."""
    stop = start + len(text[start:stop].rstrip())
    last = start
    while found := _NOT_SPACE.search(text, start, stop):
        start = found.start()
        end = stop if stop - start <= size else _best_end(text, start + max(size // 2, overlap + 1), start + size, stop)
        written = start + len(text[start:end].rstrip())
        if written > last:  # else it is all in the window before
            yield start, written
            last = written
        if end == stop:
            return
        start = end - overlap
        if not text[start - 1].isspace() and (space := _SPACE.search(text, start, end)):
            start = space.end()  # begin with a whole word


def _best_end(text: str, earliest: int, latest: int, stop: int) -> int:
    """The end of a window: after the last mark of the best kind between the two offsets, or at the latest one.

    White space at the end of a mark may lie beyond `latest`: it is not written.
    """
    for kind in _MARKS:
        ends = [-1]
        for mark in kind:
            limit = min(stop, latest + len(mark) - len(mark.rstrip()))
            found = text.rfind(mark, max(0, earliest - len(mark)), limit)
            ends.append(found + len(mark) if found >= 0 else -1)
        if max(ends) >= earliest:
            return max(ends)
    return latest
