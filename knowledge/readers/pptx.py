"""Presentations (PPTX), slide by slide in the order they are shown: titles, text, tables, charts, descriptions of pictures, notes.

ISO/IEC 29500-1 (PresentationML), read from its XML.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from ..documents import Document, DocumentBuilder, Heading, PageSpan, page_ranges
from ..packages import Package, attribute, local, opened
from ..tabular import write_rows
from . import BaseReader

if TYPE_CHECKING:
    from xml.etree.ElementTree import Element

_MIME_TYPE = "application/vnd.openxmlformats-officedocument.presentationml.presentation"
_TITLES = frozenset(["title", "ctrTitle"])
_FURNITURE = frozenset(["dt", "ftr", "hdr", "sldNum", "sldImg"])
"""Placeholders that say the same on every slide."""
_SHAPES = frozenset(["sp", "graphicFrame", "pic", "cxnSp"])


class SlidesReader(BaseReader):
    """Reads PPTX; each slide is a page."""

    isolated = True

    @property
    def supported_extensions(self) -> frozenset[str]:
        """`.pptx`."""
        return frozenset({".pptx"})

    def read(self, path: Path) -> Document:
        """The slides that hold text, with their numbers; titles are headings, notes follow their slide."""
        with opened(path, "a presentation") as package:
            builder = DocumentBuilder()
            pages: list[PageSpan] = []
            silent: list[int] = []
            slides = list(_slides(package))
            for number, part in enumerate(slides, 1):
                slide = DocumentBuilder()
                _Slide(package, part, slide).write()
                if slide.content:
                    pages.append(_append(slide, builder, number))
                else:
                    silent.append(number)
                self.on_progress(number, len(slides))
            metadata = package.properties() | {"page_count": len(slides)}
        notes = [f"There is no text on {page_ranges(silent)}."] if silent else []
        return Document(builder.content, str(path), metadata, _MIME_TYPE, pages, builder.headings, notes)


def _slides(package: Package) -> Iterator[str]:
    """The parts of the slides, in the order they are shown."""
    relations = package.relations(package.main)
    for element in package.parse(package.main).iter():
        if local(element.tag) == "sldId":
            relation = relations[_relation_id(element)]
            if relation.kind == "slide":
                yield relation.target


def _append(slide: DocumentBuilder, builder: DocumentBuilder, number: int) -> PageSpan:
    """Append a slide to the document, and say where it is."""
    start, end = builder.add(slide.content)
    for each in slide.headings:
        builder.headings.append(Heading(each.level, each.title, start + each.start, start + each.end))
    return PageSpan(number, start, end)


class _Slide:
    """Writes one slide: its title, then everything else in the order of the file, which is the order it is read aloud."""

    def __init__(self, package: Package, part: str, builder: DocumentBuilder) -> None:
        self._package = package
        self._builder = builder
        self._root = package.parse(part)
        self._relations = package.relations(part)

    def write(self) -> None:
        shapes = list(_shapes(self._root))
        kinds = [_placeholder(shape) for shape in shapes]
        titles = [shape for shape, kind in zip(shapes, kinds, strict=True) if kind in _TITLES]
        if title := " ".join(" ".join(_paragraphs(titles)).split()):
            self._builder.add_heading(1, title)
        for shape, kind in zip(shapes, kinds, strict=True):
            if kind not in _TITLES and kind not in _FURNITURE:
                self._shape(shape)
        for relation in self._relations.values():
            if relation.kind == "notesSlide":
                notes = [each for each in _shapes(self._package.parse(relation.target)) if _placeholder(each) == "body"]
                if text := "\n".join(_paragraphs(notes)):
                    self._builder.add(f"Notes: {text}")

    def _shape(self, shape: Element) -> None:
        if local(shape.tag) == "graphicFrame":
            for element in shape.iter():
                kind = local(element.tag)
                if kind == "tbl":
                    write_rows(_table(element), self._builder)
                elif kind == "chart":
                    self._chart(element)
        elif text := "\n".join(_paragraphs([shape])):
            self._builder.add(text)
        elif local(shape.tag) == "pic" and (words := _description(shape)):
            self._builder.add(f"Picture: {words}")

    def _chart(self, element: Element) -> None:
        """The title of a chart and its data, a row for each category."""
        relation = self._relations.get(_relation_id(element))
        if relation is None or relation.kind != "chart" or relation.target not in self._package:
            return
        root = self._package.parse(relation.target)
        title = next((each for each in root.iter() if local(each.tag) == "title"), None)
        if title is not None and (text := " ".join(_paragraphs([title]))):
            self._builder.add(text)
        series = [_series(each) for each in root.iter() if local(each.tag) == "ser"]
        if not series:
            return
        _, categories, _ = series[0]
        places = sorted({place for _, _, values in series for place in values})
        rows = [["", *(name for name, _, _ in series)]]
        rows += [
            [categories.get(place, str(place + 1)), *(values.get(place, "") for _, _, values in series)]
            for place in places
        ]
        write_rows(rows, self._builder)


def _shapes(root: Element) -> Iterator[Element]:
    """Every shape, those of groups too, in the order of the file; what is there again for older programs is left out."""
    waiting = [root]
    while waiting:
        element = waiting.pop()
        if local(element.tag) in _SHAPES:
            yield element
        elif local(element.tag) != "Fallback":
            waiting += reversed(element)


def _placeholder(shape: Element) -> str:
    """What a shape is on its slide: `title`, `body`, `sldNum`, …; empty for what somebody drew."""
    found = next((each for each in shape.iter() if local(each.tag) == "ph"), None)
    return "" if found is None else attribute(found, "type") or "body"


def _paragraphs(elements: Iterable[Element]) -> Iterator[str]:
    """The paragraphs with words, tidied."""
    for element in elements:
        for paragraph in element.iter():
            if local(paragraph.tag) == "p" and (text := "".join(_runs(paragraph)).strip()):
                yield text


def _runs(paragraph: Element) -> Iterator[str]:
    for element in paragraph.iter():
        kind = local(element.tag)
        if kind == "t":
            yield element.text or ""
        elif kind == "br":
            yield "\n"


def _table(table: Element) -> list[list[str]]:
    rows = (element for element in table if local(element.tag) == "tr")
    return [[" ".join(_paragraphs([cell])) for cell in row if local(cell.tag) == "tc"] for row in rows]


def _series(element: Element) -> tuple[str, dict[int, str], dict[int, str]]:
    """The name of a series, and its categories and values by place."""
    points: dict[str, dict[int, str]] = {}
    for child in element:
        found = points.setdefault(local(child.tag), {})
        for point in child.iter():
            place = attribute(point, "idx")
            if local(point.tag) == "pt" and place.isdecimal():
                found[int(place)] = next((each.text or "" for each in point if local(each.tag) == "v"), "")
    name = " ".join(points.get("tx", {}).values())
    return name, points.get("cat") or points.get("xVal") or {}, points.get("val") or points.get("yVal") or {}


def _description(picture: Element) -> str:
    """What somebody wrote for those who do not see a picture."""
    found = next((each for each in picture.iter() if local(each.tag) == "cNvPr"), None)
    return "" if found is None else " ".join(attribute(found, "descr").split())


def _relation_id(element: Element) -> str:
    """`r:id`, which shares its local name with a plain `id`."""
    return next((value for key, value in element.attrib.items() if key.endswith("}id")), "")
