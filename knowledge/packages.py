"""ZIP files full of XML (DOCX, PPTX, EPUB), read within bounds.

Nothing is written to disk, so names that climb out of the folder lead nowhere. Python's expat loads no external entity and stops
expanding internal ones early.
"""

from __future__ import annotations

import posixpath
import zipfile
import zlib
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, TYPE_CHECKING
from urllib.parse import unquote

from .errors import EncryptedError, ReadError

if TYPE_CHECKING:
    from xml.etree.ElementTree import Element

MOST_BYTES = 100 * 2**20
"""The most the parts that are opened may unpack to, together."""
_OLE = b"\xd0\xcf\x11\xe0"  # what wraps an Office file with a password (MS-OFFCRYPTO), and what the old formats are


@dataclass(frozen=True, slots=True)
class Relation:
    """Where a part leads (ISO/IEC 29500-2).

    :param kind: The last word of its type, such as `slide`.
    :param target: The name of the other part.
    """

    kind: str
    target: str


class Package:
    """An open ZIP file; every part is unpacked once, as a stream.

    :param name: What messages call the file.
    """

    def __init__(self, archive: zipfile.ZipFile, name: str) -> None:
        self._archive = archive
        self._name = name
        self._sizes = {info.filename: info.file_size for info in archive.infolist()}
        self._unpacked = 0

    def __contains__(self, part: str) -> bool:
        return part in self._sizes

    @property
    def main(self) -> str:
        """The part an Office document begins with, as its relationships tell.

        :raises KeyError: it is none.
        """
        for each in self.relations("").values():
            if each.kind == "officeDocument":
                return each.target
        raise KeyError("officeDocument")

    def open(self, part: str) -> IO[bytes]:
        """A part as a stream that ends, at the latest, at the size the part claims.

        :raises KeyError: there is no such part.
        :raises ReadError: with it, more than `MOST_BYTES` would be unpacked.
        """
        self._unpacked += self._sizes[part]
        if self._unpacked > MOST_BYTES:
            raise ReadError(
                f"{self._name} would unpack to more than {MOST_BYTES:,} bytes of text.",
                "It may be a compression bomb; if it is not, split it into smaller files.",
            )
        return self._archive.open(part)

    def parse(self, part: str) -> Element:
        """The root element of a part."""
        from xml.etree.ElementTree import parse

        with self.open(part) as file:
            return parse(file).getroot()  # noqa: S314 - see the module docstring

    def relations(self, part: str) -> dict[str, Relation]:
        """Id → where it leads, of a part (`""`: of the package); what leads outside is left out."""
        folder, _, name = part.rpartition("/")
        table = posixpath.join(folder, "_rels", f"{name}.rels")
        if table not in self:
            return {}
        return {
            each.get("Id", ""): Relation(
                each.get("Type", "").rpartition("/")[2], resolve(folder, each.get("Target", ""))
            )
            for each in self.parse(table)
            if each.get("TargetMode") != "External"
        }

    def properties(self, part: str = "docProps/core.xml") -> dict[str, str]:
        """What the file says about itself (Dublin Core): `title`, `author`, `subject`, `keywords`."""
        if part not in self:
            return {}
        names = {"title": "title", "creator": "author", "subject": "subject", "keywords": "keywords"}
        found = {names.get(local(child.tag), ""): " ".join((child.text or "").split()) for child in self.parse(part)}
        return {name: value for name, value in found.items() if name and value}


@contextmanager
def opened(path: Path, what: str) -> Generator[Package]:
    """The file as a package; whatever is wrong with it is an error that names it.

    :param what: What it should be, with its article.
    :raises EncryptedError: it is wrapped in a password.
    :raises ReadError: it is no such file, damaged, or too large when unpacked.
    """
    with path.open("rb") as file:
        start = file.read(4)
    if start == _OLE:
        raise EncryptedError(
            f"{path.name} needs a password, or is a file of an older format under a new name.",
            f"Save it as {path.suffix} without a password.",
        )
    from xml.etree.ElementTree import ParseError

    try:
        with zipfile.ZipFile(path) as archive:
            yield Package(archive, path.name)
    except (zipfile.BadZipFile, zlib.error, ParseError, KeyError, EOFError, NotImplementedError, RuntimeError) as error:
        raise ReadError(
            f"{path.name} is not {what}, or a truncated or damaged one ({type(error).__name__}).",
            "Download or export it again.",
        ) from None


def resolve(folder: str, target: str) -> str:
    """The name of a part, from a reference in a part of `folder`."""
    target = unquote(target.partition("#")[0])
    return posixpath.normpath(posixpath.join(folder, target) if not target.startswith("/") else target[1:])


def local(tag: str) -> str:
    """A tag without its namespace: the transitional and the strict form of a standard differ only there."""
    return tag.rpartition("}")[2]


def attribute(element: Element, name: str = "val") -> str:
    """An attribute, whatever its namespace; empty when there is none."""
    return next((value for key, value in element.attrib.items() if local(key) == name), "")
