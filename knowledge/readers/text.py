"""Plain text and everything that is readable as such: logs, tables, configuration, source code."""

from __future__ import annotations

from pathlib import Path

from ..decoding import read_text
from ..documents import Document
from . import READERS, BaseReader


class TextReader(BaseReader):
    """Reads text in UTF-8, UTF-16, UTF-32 or an older encoding; refuses what is not text whatever its name says."""

    @property
    def supported_extensions(self) -> frozenset[str]:
        """Every extension the table of readers gives to this one."""
        return frozenset(extension for extension, reader in READERS.items() if reader == ".text:TextReader")

    def read(self, path: Path) -> Document:
        """The file's text with line ends as `\\n`."""
        text, notes = read_text(path)
        return Document(text, str(path), {}, "text/plain", notes=notes)
