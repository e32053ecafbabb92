"""Word documents (DOCX), in document order: paragraphs, tables, text boxes, notes; the styles tell which paragraph is a heading.

ISO/IEC 29500-1 (WordprocessingML), read from its XML: that keeps what is inserted, in content controls or in equations, and leaves
out what is deleted.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import IO, TYPE_CHECKING

from ..documents import Document, DocumentBuilder
from ..packages import Package, attribute, local, opened
from . import BaseReader

if TYPE_CHECKING:
    from xml.etree.ElementTree import Element

_MIME_TYPE = "application/vnd.openxmlformats-officedocument.wordprocessingml.document"
_BODY_LEVEL = 10
_SKIPPED = frozenset(["Fallback", "moveFrom", "del"])  # the same again for older programs; moved elsewhere; deleted
_MARKS = {"t": "", "tab": "\t", "br": "\n", "cr": "\n", "noBreakHyphen": "-"}
_HEADING_NAME = re.compile(r"heading ([1-9])$")


class WordReader(BaseReader):
    """Reads DOCX."""

    isolated = True

    @property
    def supported_extensions(self) -> frozenset[str]:
        """`.docx`."""
        return frozenset({".docx"})

    def read(self, path: Path) -> Document:
        """The text with its headings; title and author are metadata."""
        with opened(path, "a Word document") as package:
            return _document(package, path)


def _document(package: Package, path: Path) -> Document:
    main = package.main
    folder = main.rpartition("/")[0]
    styles, *notes = (f"{folder}/{name}" for name in ("styles.xml", "footnotes.xml", "endnotes.xml"))
    levels = _heading_levels(package, styles) if styles in package else {}
    builder = DocumentBuilder()
    for name in (main, *(name for name in notes if name in package)):
        with package.open(name) as part:
            _Writer(builder, levels).write(part)
    return Document(builder.content, str(path), dict(package.properties()), _MIME_TYPE, headings=builder.headings)


def _heading_levels(package: Package, part: str) -> dict[str, int]:
    """Style id → heading level, for the styles that are headings or built on one; the title's is 0."""
    levels: dict[str, int] = {}
    bases: dict[str, str] = {}
    for style in package.parse(part):
        if local(style.tag) != "style":
            continue
        identifier = attribute(style, "styleId")
        for child in style.iter():
            kind = local(child.tag)
            if kind == "name" and (name := attribute(child).lower()) == "title":
                levels[identifier] = 0
            elif kind == "name" and (match := _HEADING_NAME.match(name)):
                levels[identifier] = int(match[1])
            elif kind == "outlineLvl":
                levels.setdefault(identifier, _outline_level(child))
            elif kind == "basedOn":
                bases[identifier] = attribute(child)
    for identifier in bases:
        base, seen = identifier, {identifier}
        while base not in levels and (base := bases.get(base, "")) and base not in seen:
            seen.add(base)
        if base in levels:
            levels[identifier] = levels[base]
    return {identifier: level for identifier, level in levels.items() if level < _BODY_LEVEL}


class _Writer:
    """Writes the text of one part while it is parsed, and lets go of what is written."""

    def __init__(self, builder: DocumentBuilder, levels: dict[str, int]) -> None:
        self.builder = builder
        self.levels = levels
        self._paragraphs: list[list[str]] = []  # a text box is a paragraph within a paragraph
        self._level: int | None = None
        self._rows: list[list[str]] = []  # the cells of each open row; tables nest
        self._cells: list[list[str]] = []  # the paragraphs of each open cell
        self._after_row = False

    def write(self, part: IO[bytes]) -> None:
        """Parse one part of the package.

        :raises KeyError: it is no WordprocessingML.
        """
        from xml.etree.ElementTree import iterparse

        skipped = 0
        root = ""
        for event, element in iterparse(part, ("start", "end")):  # noqa: S314 - see packages.py
            name = local(element.tag)
            if not root and (root := name) not in {"document", "footnotes", "endnotes"}:
                raise KeyError(root)
            if name in _SKIPPED:
                skipped += 1 if event == "start" else -1
            elif skipped:
                pass
            elif event == "start":
                self._start(name)
            else:
                self._end(name, element)
            if event == "end":
                element.clear()

    def _start(self, name: str) -> None:
        if name == "p":
            self._paragraphs.append([])
        elif name == "tr":
            self._rows.append([])
        elif name == "tc":
            self._cells.append([])
        elif name == "tbl":
            self._after_row = False

    def _end(self, name: str, element: Element) -> None:
        if name in _MARKS and self._paragraphs:
            # `tab` is also the name of a tab stop's definition, which has a value.
            self._paragraphs[-1].append(
                element.text or "" if name == "t" else "" if attribute(element) else _MARKS[name]
            )
        elif name == "pStyle":
            self._level = self.levels.get(attribute(element))
        elif name == "outlineLvl" and (level := _outline_level(element)) < _BODY_LEVEL:
            self._level = level
        elif name == "p" and self._paragraphs:
            self._paragraph("".join(self._paragraphs.pop()).strip(), self._level)
            self._level = None
        elif name == "tc" and self._cells and self._rows:
            self._rows[-1].append("\n".join(self._cells.pop()))
        elif name == "tr" and self._rows:
            self._row(self._rows.pop())

    def _paragraph(self, text: str, level: int | None) -> None:
        if not text:
            return
        if self._cells:
            self._cells[-1].append(text)
        elif level is None:
            self.builder.add(text)
        else:
            self.builder.add_heading(level, " ".join(text.split()))

    def _row(self, cells: list[str]) -> None:
        text = cells[0] if len(cells) == 1 else " | ".join(" ".join(cell.split()) for cell in cells).rstrip()
        if not text.strip(" |"):
            return
        if self._cells:
            self._cells[-1].append(text)
        else:
            self.builder.add(text, "\n" if self._after_row else "\n\n")
            self._after_row = True


def _outline_level(element: Element) -> int:
    """Outline levels count from 0, headings from 1; anything else is body text."""
    value = attribute(element)
    return int(value) + 1 if value.isdecimal() else _BODY_LEVEL
