"""Tables as text: CSV and TSV (RFC 4180 and what programs write instead of it)."""

from __future__ import annotations

import csv
from collections import Counter
from collections.abc import Iterable
from itertools import islice
from pathlib import Path

from ..decoding import read_text
from ..documents import Document, DocumentBuilder
from ..tabular import write_rows
from . import BaseReader

_DELIMITERS = ",;\t|"
_SNIFFED_CHARACTERS = 16_384
_SNIFFED_ROWS = 50
_LONGEST_CELL = 10 * 2**20


class CsvReader(BaseReader):
    """Reads CSV and TSV; rows stay whole, and their header stands above every block of them."""

    isolated = True  # a table of some size takes many times that while it is read

    @property
    def supported_extensions(self) -> frozenset[str]:
        """`.csv` and `.tsv`."""
        return frozenset({".csv", ".tsv"})

    def read(self, path: Path) -> Document:
        """A line for each row; the delimiter is told from the first rows."""
        text, notes = read_text(path)
        tabs = path.suffix.lower() == ".tsv" and "\t" in text
        delimiter = "\t" if tabs else _delimiter(text)
        builder = DocumentBuilder()
        csv.field_size_limit(_LONGEST_CELL)
        try:
            write_rows(csv.reader(_lines(text), delimiter=delimiter), builder)
        except csv.Error:  # a quotation mark that is never closed
            builder = DocumentBuilder()
            write_rows((line.split(delimiter) for line in _lines(text)), builder)
            notes.append("Its quotation marks do not match; they were taken as they stand.")
        return Document(builder.content, str(path), {}, "text/csv", notes=notes)


def _lines(text: str) -> Iterable[str]:
    """Lines with their ends, without a copy of the whole."""
    start = 0
    while start < len(text):
        end = text.find("\n", start) + 1 or len(text)
        yield text[start:end]
        start = end


def _delimiter(text: str) -> str:
    """The mark that cuts most of the first rows into the same number of cells, more than one; the comma where none does."""
    sample = list(_lines(text[:_SNIFFED_CHARACTERS]))
    if len(sample) > 1 and len(text) > _SNIFFED_CHARACTERS:
        sample.pop()  # it may be cut

    def evenness(delimiter: str) -> tuple[float, int]:
        try:
            widths = Counter(len(row) for row in islice(csv.reader(sample, delimiter=delimiter), _SNIFFED_ROWS) if row)
        except csv.Error:
            return 0.0, 0
        width, rows = max(widths.items(), key=lambda each: (each[1], each[0]), default=(0, 0))
        return (rows / widths.total(), width) if width > 1 else (0.0, 0)

    return max(_DELIMITERS, key=evenness)  # the first of them, where all are the same
