"""Rows as text: a line each, cells between bars, and the header again at the head of every block, so that no row is read without it."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from itertools import chain, islice

from .documents import DocumentBuilder

BLOCK_CHARACTERS = 700
"""A block of rows ends when it is this long; with a header it is a chunk or a page of usual size."""
_HEADER_WITHIN = 5
"""A header is looked for in this many rows; what stands above it is a title or a date."""
_LONGEST_HEADER = 400
_NUMBER = re.compile(r"[-+(]?[\s$€£¥]*[-+]?\d[\d.,:/\s-]*[%)]?(?:[eE][-+]?\d+)?")


def write_rows(rows: Iterable[Sequence[str]], builder: DocumentBuilder) -> None:
    """Append a table; empty rows and the empty cells at the end of a row are left out."""
    lines = (line for row in rows if (line := _tidy(row)))
    first = list(islice(lines, _HEADER_WITHIN))
    place = _header(first)
    if place:
        builder.add("\n".join(map(_joined, first[:place])))
    header = "" if place is None else _joined(first[place])
    body: Iterable[str] = map(_joined, chain(first if place is None else first[place + 1 :], lines))
    if len(header) > _LONGEST_HEADER:
        body, header = chain([header], body), ""
    empty = True
    for block in _blocks(body, len(header)):
        builder.add(f"{header}\n{block}" if header else block)
        empty = False
    if empty and header:
        builder.add(header)


def _header(rows: Sequence[Sequence[str]]) -> int | None:
    """Which of the rows names the columns: the first that fills most of the width with words."""
    width = max((sum(map(bool, row)) for row in rows), default=0)
    for place, row in enumerate(rows):
        filled = [cell for cell in row if cell]
        if len(filled) >= max(2, 0.7 * width):
            return None if any(_NUMBER.fullmatch(cell) for cell in filled) else place
    return None


def _blocks(lines: Iterable[str], size: int) -> Iterator[str]:
    """The lines in blocks that, with a header of `size` characters, are about as long as a chunk; none is cut."""
    block: list[str] = []
    length = size
    for line in lines:
        if block and length + len(line) > BLOCK_CHARACTERS:
            yield "\n".join(block)
            block, length = [], size
        block.append(line)
        length += len(line) + 1
    if block:
        yield "\n".join(block)


def _tidy(row: Sequence[str]) -> list[str]:
    """The cells, each on one line, up to the last that holds anything."""
    cells = [" ".join(cell.split()) for cell in row]
    while cells and not cells[-1]:
        cells.pop()
    return cells


def _joined(row: Sequence[str]) -> str:
    return " | ".join(row)
