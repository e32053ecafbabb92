"""Books (EPUB 2 and 3), chapter by chapter in reading order."""

from __future__ import annotations

import re
from pathlib import Path

from ..decoding import decode
from ..documents import Document, DocumentBuilder
from ..errors import EncryptedError
from ..markup import declared_encoding, write_markup
from ..packages import Package, attribute, local, opened, resolve
from . import BaseReader

_MIME_TYPE = "application/epub+zip"
_CONTAINER = "META-INF/container.xml"
_ENCRYPTION = "META-INF/encryption.xml"
_CHAPTERS = frozenset(["application/xhtml+xml", "text/html", "application/x-dtbook+xml"])
_PROPERTIES = {"title": "title", "creator": "author", "subject": "subject", "language": "language"}
# XML may end these at once; as HTML they would swallow what follows.
_ENDED_AT_ONCE = re.compile(r"<(title|script|style|iframe|textarea|noscript|a|p|div|span|i|b|em|td|th)(\s[^<>]*)?/>")


class EpubReader(BaseReader):
    """Reads EPUB; the headings of its chapters are headings."""

    isolated = True

    @property
    def supported_extensions(self) -> frozenset[str]:
        """`.epub`."""
        return frozenset({".epub"})

    def read(self, path: Path) -> Document:
        """The text of the chapters; title, author, subject and language are metadata."""
        with opened(path, "a book") as package:
            place = next(
                (
                    attribute(each, "full-path")
                    for each in package.parse(_CONTAINER).iter()
                    if local(each.tag) == "rootfile"
                ),
                "",
            )
            metadata, spine = _contents(package, resolve("", place))
            if locked := _encrypted(package) & set(spine):
                raise EncryptedError(
                    f"{path.name} is protected against copying ({len(locked)} of {len(spine)} chapters).",
                    "Read it in the program it was bought for, or get a copy without protection.",
                )
            builder = DocumentBuilder()
            missing = 0
            for done, part in enumerate(spine, 1):
                if part in package:
                    _write(package, part, builder)
                else:
                    missing += 1
                self.on_progress(done, len(spine))
        notes = [f"{missing} chapters are listed in the book but are not in it."] if missing else []
        return Document(builder.content, str(path), dict(metadata), _MIME_TYPE, headings=builder.headings, notes=notes)


def _contents(package: Package, place: str) -> tuple[dict[str, str], list[str]]:
    """What the book says about itself, and the parts of its chapters in reading order, each once."""
    metadata: dict[str, str] = {}
    parts: dict[str, str] = {}
    order: list[str] = []
    for element in package.parse(place).iter():
        kind = local(element.tag)
        if kind in _PROPERTIES and (text := " ".join((element.text or "").split())):
            metadata.setdefault(_PROPERTIES[kind], text)
        elif kind == "item" and attribute(element, "media-type") in _CHAPTERS:
            parts[attribute(element, "id")] = resolve(place.rpartition("/")[0], attribute(element, "href"))
        elif kind == "itemref" and attribute(element, "linear") != "no":
            order.append(attribute(element, "idref"))
    return metadata, list(dict.fromkeys(parts[each] for each in order if each in parts))


def _encrypted(package: Package) -> set[str]:
    """The parts that are encrypted; of an honest book at most its fonts."""
    if _ENCRYPTION not in package:
        return set()
    references = (each for each in package.parse(_ENCRYPTION).iter() if local(each.tag) == "CipherReference")
    return {resolve("", attribute(each, "URI")) for each in references}


def _write(package: Package, part: str, builder: DocumentBuilder) -> None:
    with package.open(part) as file:
        data = file.read()
    text, _ = decode(data, declared_encoding(data))
    write_markup(_ENDED_AT_ONCE.sub(r"<\1\2></\1>", text), builder)
