"""What a reader makes of a file: its text, and where in that text the pages and headings are."""

from __future__ import annotations

import uuid
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True, slots=True)
class PageSpan:
    """One page of a paged document.

    :param number: The physical page, counted from 1.
    :param start: Offset of its first character in `Document.content`.
    :param end: Offset after its last character.
    """

    number: int
    start: int
    end: int


@dataclass(frozen=True, slots=True)
class Heading:
    """One heading.

    :param level: 1 is the highest; a document's title may be 0.
    :param title: Its words, without markup.
    :param start: Offset of the heading in `Document.content`.
    :param end: Offset where what it heads begins; equal to `start` when only the place is known (a PDF bookmark).
    """

    level: int
    title: str
    start: int
    end: int


@dataclass(slots=True)
class Document:
    """A document as text.

    :param content: The full text.
    :param source: Absolute path, URL, or the caller's label.
    :param metadata: What the file says about itself (`title`, `author`, …) and what the caller added.
    :param type: MIME type of the original.
    :param pages: The pages that hold text, in order; empty for a format without pages.
    :param headings: In order of `start`.
    :param notes: What whoever reads the text must know: pages without text, a guessed encoding.
    :param doc_id: A UUID.
    """

    content: str
    source: str
    metadata: dict[str, Any] = field(default_factory=dict)
    type: str = "text/plain"
    pages: list[PageSpan] = field(default_factory=list)
    headings: list[Heading] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    doc_id: str = field(default_factory=lambda: str(uuid.uuid4()))


class DocumentBuilder:
    """Puts a document together from paragraphs and headings, keeping the offsets true."""

    def __init__(self) -> None:
        self.headings: list[Heading] = []
        self._parts: list[str] = []
        self._length = 0

    def add(self, text: str, separator: str = "\n\n") -> tuple[int, int]:
        """Append `text`, set off from what is there by `separator`.

        :returns: Where it begins and ends.
        """
        if self._length:
            self._parts.append(separator)
            self._length += len(separator)
        start = self._length
        self._parts.append(text)
        self._length += len(text)
        return start, self._length

    def add_heading(self, level: int, title: str) -> None:
        """Append a heading as a paragraph of its own."""
        start, end = self.add(title)
        self.headings.append(Heading(level, title, start, end))

    @property
    def content(self) -> str:
        """The text so far."""
        return "".join(self._parts)


def page_ranges(numbers: Iterable[int]) -> str:
    """Page numbers as a person writes them: `page 4`, `pages 1, 3-5`."""
    runs: list[list[int]] = []
    for number in numbers:
        if runs and number == runs[-1][1] + 1:
            runs[-1][1] = number
        else:
            runs.append([number, number])
    text = ", ".join(str(first) if first == last else f"{first}-{last}" for first, last in runs)
    return f"{'page' if len(runs) == 1 and runs[0][0] == runs[0][1] else 'pages'} {text}"


def joined(pieces: Iterable[tuple[int, str]]) -> str:
    """Stretches of one text in order, each with where it begins: what two share is written once, a gap becomes a blank line."""
    parts: list[str] = []
    end = 0
    for start, text in pieces:
        if parts and start > end:
            parts.append("\n\n")
        parts.append(text[max(0, end - start) :] if parts else text)
        end = max(end, start + len(text))
    return "".join(parts)
