"""Reading files as text. One file a format; the table below says which, and `read_document` is the one door.

Formats that need a parser of some size, or that are compressed, are read in a process of their own that may be killed.
"""

from __future__ import annotations

import stat
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable
from importlib import import_module
from pathlib import Path
from typing import BinaryIO, ClassVar

from ..documents import Document
from ..errors import LimitError, NoTextError, ReadError, UnsupportedError
from ..handed import handed

MAX_BYTES = 256 * 2**20
"""Larger files are refused. Reading a text file takes twice its size in memory."""
TOO_BIG = "It may be a compression bomb; if it is not, split it into smaller files."
"""The hint where a limit of memory is met."""

_TEXT = (
    ".txt .text .log .yaml .yml .toml .ini .cfg .conf .xml .tex .bib .org .adoc .srt .vtt .diff .patch "
    ".pl .r .jl .ps1 .sql .css .scss .vue .graphql .proto .tf .dockerfile .gradle"
)
_CODE = (
    ".py .pyi .js .mjs .jsx .ts .tsx .java .kt .scala .go .rs .c .h .cc .cpp .hpp .cs .swift .php .rb .lua .sh .bash"
)

READERS: dict[str, str] = {
    **dict.fromkeys(_TEXT.split(), ".text:TextReader"),
    **dict.fromkeys(_CODE.split(), ".code:CodeReader"),
    ".rst": ".rst:RstReader",
    **dict.fromkeys((".md", ".markdown"), ".markdown:MarkdownReader"),
    **dict.fromkeys((".html", ".htm", ".xhtml"), ".html:HtmlReader"),
    **dict.fromkeys((".csv", ".tsv"), ".delimited:CsvReader"),
    ".json": ".structured:JsonReader",
    **dict.fromkeys((".jsonl", ".ndjson"), ".structured:JsonLinesReader"),
    ".pdf": ".pdf:PdfReader",
    ".docx": ".docx:WordReader",
    ".pptx": ".pptx:SlidesReader",
    **dict.fromkeys((".xlsx", ".xlsm", ".xlsb", ".xls", ".ods"), ".spreadsheet:SpreadsheetReader"),
    ".epub": ".epub:EpubReader",
    ".eml": ".mail:EmailReader",
    **dict.fromkeys((".png", ".jpg", ".jpeg", ".gif", ".tif", ".tiff", ".webp", ".bmp"), ".image:ImageReader"),
}
"""Extension → module in this package and the reader in it; imported on first use."""


class BaseReader(ABC):
    """Turns one kind of file into a `Document`."""

    isolated: ClassVar[bool] = False
    """Read in a process of its own. Such a reader is imported and made there without arguments: it stands in a module and holds no state."""

    on_progress: Callable[[int, int], None] = staticmethod(lambda done, total: None)
    """Told how many parts of how many are read; what reads in isolation is given more time whenever it tells."""

    @property
    @abstractmethod
    def supported_extensions(self) -> frozenset[str]:
        """The extensions it reads, in lower case with their dot."""

    @abstractmethod
    def read(self, path: Path) -> Document:
        """The text of the file.

        :raises ReadError: it is damaged, locked by a password, without text or not what its name says.
        """


class FileReaderRegistry:
    """Which reader reads which extension.

    :param readers: The only readers it shall know; by default every built-in one.
    """

    def __init__(self, readers: Iterable[BaseReader] | None = None) -> None:
        self._readers: dict[str, BaseReader | str] = dict(READERS) if readers is None else {}
        for reader in readers or ():
            self.register(reader)

    def register(self, reader: BaseReader) -> None:
        """Give this reader all of its extensions, also those another one had."""
        for extension in reader.supported_extensions:
            self._readers[extension.lower()] = reader

    @property
    def extensions(self) -> frozenset[str]:
        """Every extension that can be read."""
        return frozenset(self._readers)

    def can_read(self, path: str | Path) -> bool:
        """Whether there is a reader for this extension."""
        return Path(path).suffix.lower() in self._readers

    def get_reader(self, path: str | Path) -> BaseReader:
        """The reader for the extension of `path`.

        :raises UnsupportedError: there is none; also a `ValueError`.
        """
        extension = Path(path).suffix.lower()
        reader = self._readers.get(extension)
        if reader is None:
            raise UnsupportedError(
                f"There is no reader for {extension or 'files without an extension'} ({Path(path).name}).",
                "Convert it to PDF, DOCX, HTML, Markdown or plain text.",
            )
        if isinstance(reader, str):
            module, _, name = reader.partition(":")
            made: BaseReader = getattr(import_module(module, __name__), name)()
            reader = self._readers[extension] = made
        return reader

    def read(self, source: str | Path | bytes | BinaryIO, name: str = "") -> Document:
        """What `read_document` makes of the file with these readers."""
        return read_document(source, self, name=name)


def read_document(
    source: str | Path | bytes | BinaryIO,
    registry: FileReaderRegistry | None = None,
    *,
    name: str = "",
    max_bytes: int = MAX_BYTES,
) -> Document:
    """The text of a file, whatever the file is: the answer is a document or an error, in bounded time and memory.

    :param source: The path of the file (links are followed), or what is in it: bytes, or an open binary file, read from where it stands.
    :param name: What bytes are called, such as `report.pdf`: its extension says who reads them, and it is the `source` of the document.
    :param registry: The readers to choose from; by default the built-in ones.
    :param max_bytes: Files larger than this are refused.
    :raises UnsupportedError: there is no reader for it, or it is not what its name says; bytes have no name.
    :raises EncryptedError: it needs a password.
    :raises NoTextError: it is empty, or a scan.
    :raises LimitError: it is too large.
    :raises ReadError: it cannot be opened, is damaged, or its reader crashed or took too long.
    """
    registry = registry or DEFAULT
    if not isinstance(source, str | Path):
        reader = registry.get_reader(name)
        with handed(source, name, max_bytes) as path:
            document = _read(reader, path, max_bytes)
        document.source = name
        return document
    path = Path(source).absolute()
    return _read(registry.get_reader(path), path, max_bytes)


def _read(reader: BaseReader, path: Path, max_bytes: int) -> Document:
    _check_file(path, max_bytes)
    if reader.isolated:
        from .isolation import WORKERS

        document = WORKERS.read(reader, path)
    else:
        document = reader.read(path)
    if not document.content.strip():
        raise NoTextError(f"{path.name} holds no text.", "There is nothing in it to index.")
    return document


def _check_file(path: Path, max_bytes: int) -> None:
    """Refuse what cannot be read before anything waits on it: a missing file, a folder, a pipe, a device."""
    try:
        status = path.stat()
        if stat.S_ISREG(status.st_mode):
            path.open("rb").close()
    except OSError as error:
        raise ReadError(
            f"{path.name} cannot be opened: {error.strerror or error}.", "Check that it exists and may be read."
        ) from None
    if not stat.S_ISREG(status.st_mode):
        raise UnsupportedError(
            f"{path.name} is not a file but a folder, pipe or device.", "Give the path of a regular file."
        )
    if status.st_size == 0:
        raise NoTextError(f"{path.name} is empty (0 bytes).", "There is nothing in it to index.")
    if status.st_size > max_bytes:
        raise LimitError(
            f"{path.name} has {status.st_size:,} bytes; the limit is {max_bytes:,}.",
            "Split the file, or leave it out of the collection.",
        )


DEFAULT = FileReaderRegistry()
"""Every built-in reader."""
