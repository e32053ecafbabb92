"""reStructuredText: the text as it is written, with its section titles found as docutils finds them."""

from __future__ import annotations

import re
from pathlib import Path

from ..decoding import read_text
from ..documents import Document, Heading
from . import BaseReader

_ADORNMENT = re.compile(r"([!-/:-@\[-`{-~])\1*[ \t]*")
_NO_TITLE = re.compile(r"\s|[-*+] |\.\. ")
"""How the lines of blocks, lists and directives begin."""
_SURELY = 4
"""A line under a text that is this long makes it a title even when the text is longer."""


class RstReader(BaseReader):
    """Reads reStructuredText."""

    @property
    def supported_extensions(self) -> frozenset[str]:
        """`.rst`."""
        return frozenset({".rst"})

    def read(self, path: Path) -> Document:
        """The file's text as it is, markup and all."""
        text, notes = read_text(path)
        return Document(text, str(path), {}, "text/x-rst", headings=find_headings(text), notes=notes)


def find_headings(text: str) -> list[Heading]:
    """The section titles, in order. Which underline means which level is told by the order in which they first come."""
    headings: list[Heading] = []
    styles: list[tuple[str, bool]] = []
    lines = text.split("\n")
    starts = [0]
    for line in lines:
        starts.append(starts[-1] + len(line) + 1)
    for at in range(1, len(lines)):
        title, under, above = lines[at - 1].rstrip(), lines[at].rstrip(), lines[at - 2].rstrip() if at > 1 else ""
        if not title.strip() or not _ADORNMENT.fullmatch(under) or _ADORNMENT.fullmatch(title):
            continue
        over = above == under
        if len(under) < min(len(title), _SURELY) or (not over and (above or _NO_TITLE.match(title))):
            continue  # too short, or part of something else
        style = (under[0], over)
        if style not in styles:
            styles.append(style)
        first = at - 2 if over else at - 1
        headings.append(Heading(styles.index(style) + 1, title.strip(), starts[first], starts[at] + len(under)))
    return headings
