"""Word documents (DOCX), in document order: paragraphs, tables, text boxes, notes; the styles tell which paragraph is a heading.

ISO/IEC 29500-1 (WordprocessingML), read from its XML: that keeps what is inserted, in content controls or in equations, and leaves
out what is deleted. Python's expat loads no external entity and stops expanding internal ones early.
"""

from __future__ import annotations

import re
import zipfile
import zlib
from pathlib import Path
from typing import IO, TYPE_CHECKING

from ..documents import Document, DocumentBuilder
from ..errors import EncryptedError, ReadError
from . import TOO_BIG, BaseReader

if TYPE_CHECKING:
    from xml.etree.ElementTree import Element

_MOST_XML_BYTES = 100 * 2**20
"""The most the parts that hold text may unpack to."""
_OLE = b"\xd0\xcf\x11\xe0"  # what wraps a DOCX with a password (MS-OFFCRYPTO), and what an old .doc is
_MIME_TYPE = "application/vnd.openxmlformats-officedocument.wordprocessingml.document"
_PROPERTIES = "docProps/core.xml"
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
        with path.open("rb") as file:
            start = file.read(4)
        if start == _OLE:
            raise EncryptedError(
                f"{path.name} needs a password, or is an old .doc under a new name.",
                "Save it as .docx without a password.",
            )
        from xml.etree.ElementTree import ParseError

        try:
            with zipfile.ZipFile(path) as archive:
                return _document(archive, path)
        except (
            zipfile.BadZipFile,
            zlib.error,
            ParseError,
            KeyError,
            EOFError,
            NotImplementedError,
            RuntimeError,
        ) as error:
            raise ReadError(
                f"{path.name} is not a Word document, or a truncated or damaged one ({type(error).__name__}).",
                "Download or export it again.",
            ) from None


def _document(archive: zipfile.ZipFile, path: Path) -> Document:
    main = _main_part(archive)
    folder = main.rpartition("/")[0]
    styles, *notes = (f"{folder}/{name}" for name in ("styles.xml", "footnotes.xml", "endnotes.xml"))
    sizes = {
        info.filename: info.file_size for info in archive.infolist()
    }  # what a part claims, and more than that is never unpacked
    unpacked = sum(sizes.get(name, 0) for name in (main, styles, *notes, _PROPERTIES))
    if unpacked > _MOST_XML_BYTES:
        raise ReadError(
            f"{path.name} would unpack to {unpacked:,} bytes of text; the limit is {_MOST_XML_BYTES:,}.", TOO_BIG
        )
    levels = _heading_levels(archive, styles) if styles in sizes else {}
    builder = DocumentBuilder()
    for name in (main, *(name for name in notes if name in sizes)):
        with archive.open(name) as part:
            _Writer(builder, levels).write(part)
    metadata = _properties(archive) if _PROPERTIES in sizes else {}
    return Document(builder.content, str(path), dict(metadata), _MIME_TYPE, headings=builder.headings)


def _main_part(archive: zipfile.ZipFile) -> str:
    """The part that holds the text, as the package's relationships tell."""
    for relation in _parse(archive, "_rels/.rels"):
        if relation.get("Type", "").endswith("/officeDocument"):
            return relation.get("Target", "").lstrip("/")
    raise KeyError("officeDocument")


def _heading_levels(archive: zipfile.ZipFile, part: str) -> dict[str, int]:
    """Style id → heading level, for the styles that are headings or built on one; the title's is 0."""
    levels: dict[str, int] = {}
    bases: dict[str, str] = {}
    for style in _parse(archive, part):
        if _name(style.tag) != "style":
            continue
        identifier = _value(style, "styleId")
        for child in style.iter():
            kind = _name(child.tag)
            if kind == "name" and (name := _value(child).lower()) == "title":
                levels[identifier] = 0
            elif kind == "name" and (match := _HEADING_NAME.match(name)):
                levels[identifier] = int(match[1])
            elif kind == "outlineLvl":
                levels.setdefault(identifier, _outline_level(child))
            elif kind == "basedOn":
                bases[identifier] = _value(child)
    for identifier in bases:
        base, seen = identifier, {identifier}
        while base not in levels and (base := bases.get(base, "")) and base not in seen:
            seen.add(base)
        if base in levels:
            levels[identifier] = levels[base]
    return {identifier: level for identifier, level in levels.items() if level < _BODY_LEVEL}


def _properties(archive: zipfile.ZipFile) -> dict[str, str]:
    names = {"title": "title", "creator": "author", "subject": "subject", "keywords": "keywords"}
    found = {
        names.get(_name(child.tag), ""): " ".join((child.text or "").split()) for child in _parse(archive, _PROPERTIES)
    }
    return {name: value for name, value in found.items() if name and value}


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
        for event, element in iterparse(part, ("start", "end")):  # noqa: S314 - see the module docstring
            name = _name(element.tag)
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
            self._paragraphs[-1].append(element.text or "" if name == "t" else "" if _value(element) else _MARKS[name])
        elif name == "pStyle":
            self._level = self.levels.get(_value(element))
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


def _parse(archive: zipfile.ZipFile, part: str) -> Element:
    from xml.etree.ElementTree import parse

    with archive.open(part) as file:
        return parse(file).getroot()  # noqa: S314 - see the module docstring


def _name(tag: str) -> str:
    """A tag without its namespace: the transitional and the strict form of the standard differ only there."""
    return tag.rpartition("}")[2]


def _value(element: Element, attribute: str = "val") -> str:
    return next((value for key, value in element.attrib.items() if _name(key) == attribute), "")


def _outline_level(element: Element) -> int:
    """Outline levels count from 0, headings from 1; anything else is body text."""
    value = _value(element)
    return int(value) + 1 if value.isdecimal() else _BODY_LEVEL
