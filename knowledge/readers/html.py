"""Web pages, as a person sees them."""

from __future__ import annotations

from pathlib import Path

from ..decoding import decode, refuse_binary
from ..documents import Document, DocumentBuilder
from ..markup import declared_encoding, write_markup
from . import BaseReader


class HtmlReader(BaseReader):
    """Reads HTML in whatever encoding it names."""

    isolated = True

    @property
    def supported_extensions(self) -> frozenset[str]:
        """`.html`, `.htm` and `.xhtml`."""
        return frozenset({".html", ".htm", ".xhtml"})

    def read(self, path: Path) -> Document:
        """The visible text; the title, description, author and keywords are metadata."""
        data = path.read_bytes()
        refuse_binary(data, path.name)
        text, notes = decode(data, declared_encoding(data))
        builder = DocumentBuilder()
        metadata = write_markup(text, builder)
        return Document(builder.content, str(path), dict(metadata), "text/html", headings=builder.headings, notes=notes)
