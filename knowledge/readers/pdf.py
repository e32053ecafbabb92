"""PDF, page by page, with PDFium; pages without text are scans, and are read by OCR where that is installed."""

from __future__ import annotations

import math
import re
import time
from collections.abc import Callable, Iterator
from functools import partial
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING

from .. import ocr
from ..documents import Document, DocumentBuilder, Heading, PageSpan, page_ranges
from ..errors import EncryptedError, NoTextError, ReadError
from . import BaseReader

if TYPE_CHECKING:
    import pypdfium2  # type: ignore[import-untyped]  # the package ships no types

# PDFium writes U+0002 (once U+FFFE) for a hyphen at the end of a line, and the rest of the word right after it.
_BROKEN_WORD = re.compile("(?<=[^\\W\\d_])[\x02\ufffe](?=[a-zß-öø-ÿа-яα-ω])")
_HYPHEN = re.compile("(?<=\\w)[\x02\ufffe](?=\\w)")
_CONTROLS = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f\ufffe\uffff]+")
_MOST_BOOKMARKS = 10_000
_PLACEHOLDERS = frozenset(["", "untitled", "anonymous", "unspecified"])  # what a popular PDF library writes for nothing
_OCR_SECONDS = 300.0
"""The longest time OCR has for a document; a page takes one or two. Later pages without text are named in `notes`."""
_OCR_DPI = 300
_PASSWORD, _SECURITY = 4, 5  # FPDF_ERR_PASSWORD, FPDF_ERR_SECURITY


class PdfReader(BaseReader):
    """Reads the text of a PDF; its bookmarks are the headings."""

    isolated = True

    @property
    def supported_extensions(self) -> frozenset[str]:
        """`.pdf`."""
        return frozenset({".pdf"})

    def read(self, path: Path) -> Document:
        """The pages that hold text, with their physical numbers; the others are named in `notes`."""
        import pypdfium2

        try:
            pdf = pypdfium2.PdfDocument(path)
        except pypdfium2.PdfiumError as error:
            raise _refusal(path.name, error.err_code) from None
        with pdf:
            return _document(pdf, path, self.on_progress)


def _document(pdf: pypdfium2.PdfDocument, path: Path, on_progress: Callable[[int, int], None]) -> Document:
    builder = DocumentBuilder()
    pages: list[PageSpan] = []
    silent: list[int] = []
    damaged: list[int] = []
    scanned: list[int] = []
    count = len(pdf)
    scans = _Scans()
    for number, text in enumerate(_page_texts(pdf, count), 1):
        if text == "" and (words := scans.text(pdf, number - 1)):
            text = words
            scanned.append(number)
        if text:
            pages.append(PageSpan(number, *builder.add(text)))
        else:
            (damaged if text is None else silent).append(number)
        on_progress(number, count)
    if len(damaged) == count:
        raise ReadError(
            f"{path.name} is damaged: none of its {count} pages can be read.",
            "Open it in a PDF viewer and save it anew.",
        )
    if not pages:
        raise NoTextError(
            f"{path.name} has no text on its {count} page{'s' * (count != 1)}: it is a scan or a drawing.", scans.advice
        )
    notes = [f"Read by OCR, where letters may be wrong: {page_ranges(scanned)}."] if scanned else []
    notes += [f"There is no text on {page_ranges(silent)}; {scans.outcome}."] if silent else []
    notes += [f"Damaged, and left out: {page_ranges(damaged)}."] if damaged else []
    metadata = _metadata(pdf) | {"page_count": count}
    return Document(
        builder.content, str(path), metadata, "application/pdf", pages, _headings(pdf, pages, builder.content), notes
    )


class _Scans:
    """OCR for the pages of a document that hold no text, as long as there is a program for it and time."""

    def __init__(self) -> None:
        self._installed = ocr.is_available()
        self._left = _OCR_SECONDS
        self.outcome = "OCR found none" if self._installed else "scans would need OCR"
        self.advice = (
            "OCR found no words in it: scan it again, larger or with more contrast."
            if self._installed
            else f"It needs OCR. {ocr.INSTALL}"
        )

    def text(self, pdf: pypdfium2.PdfDocument, index: int) -> str:
        """The words on a page; empty when there are none or they are not looked for."""
        if not self._installed or self._left <= 0:
            return ""
        from pypdfium2 import PdfiumError

        begun = time.monotonic()
        try:
            return ocr.recognise(_rendered(pdf, index))
        except ReadError as error:  # the other pages may hold text
            self.outcome, self.advice = f"OCR failed ({error.message.rstrip('.')})", error.hint
            return ""
        except PdfiumError:
            self.outcome = "OCR failed (a page cannot be drawn)"
            return ""
        finally:
            self._left -= time.monotonic() - begun
            if self._left <= 0:
                self.outcome = f"OCR was ended after {_OCR_SECONDS:.0f} seconds"


def _rendered(pdf: pypdfium2.PdfDocument, index: int) -> ocr.Picture:
    """A page as a picture, as large as OCR likes it."""
    page = pdf[index]
    try:
        width, height = page.get_size()
        scale = min(_OCR_DPI / 72, math.sqrt(ocr.MOST_PIXELS / max(1.0, width * height)))
        bitmap = page.render(scale=scale, grayscale=True)
        try:
            rows = memoryview(bitmap.buffer).cast("B")
            pixels = b"".join(
                rows[start : start + bitmap.width] for start in range(0, bitmap.stride * bitmap.height, bitmap.stride)
            )
            return ocr.Picture(bitmap.width, bitmap.height, pixels, max(70, round(72 * scale)))
        finally:
            bitmap.close()
    finally:
        page.close()


def _page_texts(pdf: pypdfium2.PdfDocument, count: int) -> Iterator[str | None]:
    """The text of each page; `None` for one that cannot be loaded."""
    from pypdfium2 import PdfiumError

    for index in range(count):
        try:
            page = pdf[index]
        except PdfiumError:
            yield None
            continue
        try:
            textpage = page.get_textpage()
            try:
                text = textpage.get_text_bounded()
            finally:
                textpage.close()
        except PdfiumError:
            text = None
        finally:
            page.close()
        yield None if text is None else _tidy(text)


def _tidy(text: str) -> str:
    """PDFium's text with `\\n` line ends, broken words joined and control characters gone."""
    text = text.replace("\r\n", "\n").replace("\r", "\n")
    if _CONTROLS.search(text):  # few pages hold any
        text = _CONTROLS.sub("", _HYPHEN.sub("-", _BROKEN_WORD.sub("", text)))
    return text.strip()


def _headings(pdf: pypdfium2.PdfDocument, pages: list[PageSpan], content: str) -> list[Heading]:
    """The bookmarks that lead to a page with text, each where its title stands on that page, or at the top of it."""
    spans = {page.number: page for page in pages}
    headings = []
    for bookmark in islice(pdf.get_toc(), _MOST_BOOKMARKS):
        dest = bookmark.get_dest()
        index = dest.get_index() if dest else None
        title = " ".join(_decoded(bookmark.get_title).split())
        span = spans.get(-1 if index is None else index + 1)
        if title and span:
            found = re.compile(r"\s+".join(map(re.escape, title.split()))).search(content, span.start, span.end)
            start, end = found.span() if found else (span.start, span.start)
            headings.append(Heading(bookmark.level + 1, title, start, end))
    return sorted(headings, key=lambda heading: heading.start)


def _metadata(pdf: pypdfium2.PdfDocument) -> dict[str, str | int]:
    values = {
        name.lower(): _decoded(partial(pdf.get_metadata_value, name))
        for name in ("Title", "Author", "Subject", "Keywords")
    }
    return {name: value for name, value in values.items() if value.strip("()").lower() not in _PLACEHOLDERS}


def _decoded(get: Callable[[], str]) -> str:
    """A string of the file; empty when it is no valid UTF-16."""
    try:
        return _CONTROLS.sub("", get()).strip()
    except UnicodeDecodeError:
        return ""


def _refusal(name: str, code: int | None) -> ReadError:
    if code == _PASSWORD:
        return EncryptedError(
            f"{name} needs a password to be opened.", "Save a copy without the password and read that."
        )
    if code == _SECURITY:
        return EncryptedError(
            f"{name} is protected in a way that cannot be opened here.", "Save a copy without protection and read that."
        )
    return ReadError(f"{name} is not a PDF, or a truncated or damaged one.", "Download or export it again.")
