"""Cutting by what the text is made of: sections, tables, code blocks, lists and paragraphs, each kept whole when it fits."""

from __future__ import annotations

import re
from bisect import bisect_left
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from operator import attrgetter
from typing import Literal

from ..cutting import Span, check_size, cut
from ..documents import Document, Heading
from . import SpanChunker, stretches

_FENCE = re.compile(r"[^\S\n]{0,3}(`{3,}|~{3,})")
_ITEM = re.compile(r"[^\S\n]*(?:[-*+•‣]|\d{1,9}[.)])[^\S\n]")

Kind = Literal["heading", "table", "code", "list", "prose"]


@dataclass(slots=True)
class _Block:
    """One part of a text.

    :param units: What it may be cut between: the rows of a table, lines of code, items of a list; none for running text.
    """

    kind: Kind
    start: int
    end: int
    units: list[Span] = field(default_factory=list)


class StructureChunker(SpanChunker):
    """Begins a chunk at each heading and fills it with whole blocks. Linear in the length of the text.

    A block larger than a chunk is cut: a table between rows, code between lines, a list between items, and what is still too large as
    `RecursiveChunker` does it. A heading is never left alone at the end of a chunk.

    :param chunk_size: The most characters of a chunk.
    :param overlap: The most characters that chunks share when one paragraph, row, line or item was too large for one.
    :raises InputError: the sizes contradict each other.
    """

    def __init__(self, chunk_size: int = 800, overlap: int = 100) -> None:
        check_size(chunk_size, overlap)
        self.chunk_size = chunk_size
        self.overlap = overlap

    def spans(self, document: Document) -> Iterator[Span]:
        """Where the chunks are."""
        for start, stop in stretches(document):
            yield from self._packed(document.content, _blocks(document.content, start, stop, document.headings))

    def _packed(self, text: str, blocks: Sequence[_Block]) -> Iterator[Span]:
        """Whole blocks together as long as they fit."""
        open_at: int | None = None
        end = 0
        only_headings = False
        for block in blocks:
            heading = block.kind == "heading"
            if open_at is not None and not only_headings and (heading or block.end - open_at > self.chunk_size):
                yield open_at, end
                open_at = None
            start = block.start if open_at is None else open_at
            only_headings = heading and (open_at is None or only_headings)
            open_at, end = start, block.end
            if end - start > self.chunk_size:
                yield from self._cut(text, start, block)
                open_at = None
        if open_at is not None:
            yield open_at, end

    def _cut(self, text: str, start: int, block: _Block) -> Iterator[Span]:
        """The pieces of a block that is too large, with the headings above it from `start` on."""
        if not block.units:
            yield from cut(text, start, block.end, self.chunk_size, self.overlap)
            return
        units = [(start, block.units[0][1]), *block.units[1:]]
        open_at, end = start, start
        for first, last in units:
            if last - open_at > self.chunk_size and end > open_at:
                yield open_at, end
                end = open_at = first
            elif end == open_at:
                open_at = first
            end = last
            if end - open_at > self.chunk_size:
                yield from cut(text, open_at, end, self.chunk_size, self.overlap)
                open_at = end
        if end > open_at:
            yield open_at, end


def _blocks(text: str, start: int, stop: int, headings: Sequence[Heading]) -> list[_Block]:
    """What a stretch of text is made of, in order; blank lines are between blocks."""
    blocks: list[_Block] = []
    current: _Block | None = None
    fence = ""  # what closes the code block that is open
    for first, last, in_heading in _lines(text, start, stop, headings):
        line = text[first:last]
        marker = _FENCE.match(line)
        if not fence and not line.strip():
            current = None
            continue
        kind: Kind = "code" if fence else "heading" if in_heading else _kind(line, current.kind if current else None)
        if current is None or kind != current.kind or (marker and not fence):
            begin = (
                first if kind in ("code", "list") else first + len(line) - len(line.lstrip())
            )  # indentation means something
            current = _Block(kind, begin, begin)
            blocks.append(current)
        _extend(current, first, line)
        if marker and not fence and kind == "code":
            fence = marker[1]
        elif marker and fence and marker[1].startswith(fence) and not line[marker.end() :].strip():
            fence, current = "", None
    return blocks


def _kind(line: str, before: Kind | None) -> Kind:
    """What kind of block a line belongs to.

    :param before: The kind of the line above, when no blank line is between.
    """
    if _FENCE.match(line):
        return "code"
    indented = line[0] in " \t"
    if _ITEM.match(line) or (before == "list" and indented):
        return "list"
    if line.startswith(("    ", "\t")) and before != "prose":
        return "code"
    if "|" in line or "\t" in line.strip():
        return "table"
    return "prose"


def _extend(block: _Block, start: int, line: str) -> None:
    """Add a line to a block."""
    end = start + len(line.rstrip())
    block.end = max(block.end, end)
    if block.kind == "list" and block.units and not _ITEM.match(line):
        block.units[-1] = block.units[-1][0], end
    elif block.kind not in ("prose", "heading") and line.strip():
        block.units.append((max(start, block.start), end))


def _lines(text: str, start: int, stop: int, headings: Sequence[Heading]) -> Iterator[tuple[int, int, bool]]:
    """Each line without its end, and whether it is part of a heading."""
    upcoming = bisect_left(headings, start, key=attrgetter("start"))
    heading_end = start
    while start < stop:
        found = text.find("\n", start, stop)
        end = found if found >= 0 else stop
        while upcoming < len(headings) and headings[upcoming].start <= end:
            heading_end = max(headings[upcoming].end, headings[upcoming].start + 1)
            upcoming += 1
        yield start, end, start < heading_end
        start = end + 1
