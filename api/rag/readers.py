"""Readers under the name the specification gives their module."""

from racto.knowledge.readers import BaseReader, FileReaderRegistry
from racto.knowledge.readers.docx import WordReader
from racto.knowledge.readers.html import HtmlReader
from racto.knowledge.readers.image import ImageReader
from racto.knowledge.readers.pdf import PdfReader
from racto.knowledge.readers.spreadsheet import SpreadsheetReader
from racto.knowledge.readers.text import TextReader

__all__ = [
    "BaseReader",
    "FileReaderRegistry",
    "HtmlReader",
    "ImageReader",
    "PdfReader",
    "SpreadsheetReader",
    "TextReader",
    "WordReader",
]
