"""Builds the files readers meet, good and hostile, while a test runs; none is kept in the repository."""

from __future__ import annotations

import io
import zipfile
import zlib
from collections.abc import Sequence
from pathlib import Path

WORD = "http://schemas.openxmlformats.org/wordprocessingml/2006/main"
_RELATIONS = (
    '<Relationships xmlns="http://schemas.openxmlformats.org/package/2006/relationships"><Relationship Id="r1" '
    'Type="http://schemas.openxmlformats.org/officeDocument/2006/relationships/officeDocument" Target="word/document.xml"/></Relationships>'
)
_OFFICE = "http://schemas.openxmlformats.org/officeDocument/2006/relationships"
_STYLES = "".join(
    f'<w:style w:type="paragraph" w:styleId="H{level}"><w:name w:val="heading {level}"/></w:style>'
    for level in range(1, 4)
)
# A one-pixel picture over the whole page: what a scanner leaves.
_SCAN = b"q 612 0 0 792 0 0 cm BI /W 1 /H 1 /BPC 8 /CS /G ID \x80 EI Q"


def pdf_bytes(
    pages: Sequence[str | bytes | None],
    *,
    title: str = "",
    bookmarks: Sequence[tuple[str, int]] = (),
    locked: bool = False,
) -> bytes:
    """A PDF.

    :param pages: The text of each page (Latin-1, lines split at `\\n`), its finished content stream, or `None` for a scanned one.
    :param bookmarks: Title and page index of each, all at the top level.
    :param locked: Ask for a password nobody knows.
    """
    objects: list[bytes] = [
        b"",
        b"",
        b"<< /Type /Font /Subtype /Type1 /BaseFont /Helvetica /Encoding /WinAnsiEncoding >>",
    ]
    kids = []
    for page in pages:
        stream = _SCAN if page is None else page if isinstance(page, bytes) else _text_stream(page)
        if not stream.startswith(b"<<"):
            stream = _stream(b"", stream)
        objects.append(stream)
        objects.append(
            b"<< /Type /Page /Parent 2 0 R /MediaBox [0 0 612 792] /Resources << /Font << /F1 3 0 R >> >> /Contents %d 0 R >>"
            % len(objects)
        )
        kids.append(len(objects))
    objects[1] = b"<< /Type /Pages /Kids [%s] /Count %d >>" % (b" ".join(b"%d 0 R" % kid for kid in kids), len(kids))
    catalog = b"<< /Type /Catalog /Pages 2 0 R"
    if bookmarks:
        root = len(objects) + 1
        first, last = root + 1, root + len(bookmarks)
        objects.append(b"<< /First %d 0 R /Last %d 0 R /Count %d >>" % (first, last, len(bookmarks)))
        for number, (name, index) in enumerate(bookmarks, first):
            next_one = b"/Next %d 0 R" % (number + 1) if number < last else b""
            objects.append(
                b"<< /Title %s /Parent %d 0 R /Dest [%d 0 R /Fit] %s >>" % (_string(name), root, kids[index], next_one)
            )
        catalog += b" /Outlines %d 0 R" % root
    objects[0] = catalog + b" >>"
    trailer = b"/Root 1 0 R"
    if title:
        objects.append(b"<< /Title %s >>" % _string(title))
        trailer += b" /Info %d 0 R" % len(objects)
    if locked:
        objects.append(b"<< /Filter /Standard /V 1 /R 2 /P -44 /O <%s> /U <%s> >>" % (b"17" * 32, b"2b" * 32))
        trailer += b" /Encrypt %d 0 R /ID [<%s> <%s>]" % (len(objects), b"00" * 16, b"00" * 16)
    return _assembled(objects, trailer)


def flate_bomb(unit: bytes, inflated: int) -> bytes:
    """A PDF stream object that inflates to about `inflated` bytes of `unit` over and over, made without inflating it here."""
    packer = zlib.compressobj(9)
    block = (unit * (2**20 // len(unit) + 1))[: 2**20]
    first = packer.compress(block) + packer.flush(zlib.Z_FULL_FLUSH)
    again = packer.compress(block) + packer.flush(
        zlib.Z_FULL_FLUSH
    )  # a full flush forgets the past, so this part can be repeated
    return _stream(b"/Filter /FlateDecode ", first + again * (inflated // 2**20 - 1) + packer.flush())


def docx_bytes(body: str, *, styles: str = _STYLES, prolog: str = "", more: Sequence[tuple[str, str]] = ()) -> bytes:
    """A Word document.

    :param body: The XML inside `w:body`.
    :param prolog: What stands before the document's root element.
    :param more: Further parts, as name and content.
    """
    parts = [
        ("_rels/.rels", _RELATIONS),
        (
            "word/document.xml",
            f'<?xml version="1.0"?>{prolog}<w:document xmlns:w="{WORD}"><w:body>{body}</w:body></w:document>',
        ),
        ("word/styles.xml", f'<w:styles xmlns:w="{WORD}">{styles}</w:styles>'),
        *more,
    ]
    return zip_bytes(parts)


def zip_bytes(parts: Sequence[tuple[str, str | bytes]]) -> bytes:
    """A ZIP file of parts, as name and content; of two with one name the later. The same bytes every time."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name, content in dict(parts).items():
            archive.writestr(zipfile.ZipInfo(name), content, zipfile.ZIP_DEFLATED)
    return buffer.getvalue()


def pptx_bytes(
    slides: Sequence[str], *, notes: str = "", prolog: str = "", more: Sequence[tuple[str, str]] = ()
) -> bytes:
    """A presentation, its slides stored in the opposite order to the one they are shown in.

    :param slides: The shapes of each slide, as XML (see `shape`).
    :param notes: The shapes of the notes of the first slide.
    :param prolog: What stands before the root element of each slide.
    :param more: Further parts, as name and content; the first slide leads to `ppt/charts/chart1.xml` as `rId9`.
    """
    count = len(slides)
    listed = "".join(f'<p:sldId id="{256 + number}" r:id="rId{number}"/>' for number in range(1, count + 1))
    targets = "".join(
        f'<Relationship Id="rId{number}" Type="{_OFFICE}/slide" Target="slides/slide{count - number}.xml"/>'
        for number in range(1, count + 1)
    )
    first = (
        f'<Relationship Id="rId8" Type="{_OFFICE}/notesSlide" Target="../notesSlides/notesSlide1.xml"/>' * bool(notes)
        + f'<Relationship Id="rId9" Type="{_OFFICE}/chart" Target="../charts/chart1.xml"/>'
    )
    names = f'xmlns:p="p" xmlns:a="a" xmlns:c="c" xmlns:mc="mc" xmlns:r="{_OFFICE}"'
    parts = [
        ("_rels/.rels", _RELATIONS.replace("word/document.xml", "ppt/presentation.xml")),
        ("ppt/presentation.xml", f"<p:presentation {names}><p:sldIdLst>{listed}</p:sldIdLst></p:presentation>"),
        ("ppt/_rels/presentation.xml.rels", f"<Relationships>{targets}</Relationships>"),
        (f"ppt/slides/_rels/slide{count - 1}.xml.rels", f"<Relationships>{first}</Relationships>"),
        *(
            (f"ppt/slides/slide{count - 1 - place}.xml", f"{prolog}<p:sld {names}>{slide}</p:sld>")
            for place, slide in enumerate(slides)
        ),
        *([("ppt/notesSlides/notesSlide1.xml", f"<p:notes {names}>{notes}</p:notes>")] if notes else []),
        *more,
    ]
    return zip_bytes(parts)


def shape(text: str, kind: str = "", tag: str = "sp") -> str:
    """One shape of a slide, a paragraph for each line.

    :param kind: The type of its placeholder, such as `title`; empty for a text box.
    """
    placeholder = f'<p:nvPr><p:ph type="{kind}"/></p:nvPr>' if kind else ""
    body = "".join(f"<a:p><a:r><a:t>{line}</a:t></a:r></a:p>" for line in text.split("\n"))
    return f"<p:{tag}>{placeholder}<p:txBody>{body}</p:txBody></p:{tag}>"


def xlsx_bytes(sheets: Sequence[tuple[str, str]], *, prolog: str = "", more: Sequence[tuple[str, str]] = ()) -> bytes:
    """A workbook.

    :param sheets: Name and rows (XML inside `sheetData`) of each; a name that begins with `!` is of a hidden sheet.
    """
    main = "http://schemas.openxmlformats.org/spreadsheetml/2006/main"
    listed = "".join(
        f'<sheet name="{name.lstrip("!")}" sheetId="{number}" r:id="rId{number}" {"state=" + chr(34) + "hidden" + chr(34) if name.startswith("!") else ""}/>'
        for number, (name, _) in enumerate(sheets, 1)
    )
    targets = "".join(
        f'<Relationship Id="rId{number}" Type="{_OFFICE}/worksheet" Target="worksheets/sheet{number}.xml"/>'
        for number in range(1, len(sheets) + 1)
    )
    package = "http://schemas.openxmlformats.org/package/2006/relationships"
    styles = f'<Relationship Id="rId99" Type="{_OFFICE}/styles" Target="styles.xml"/>'
    return zip_bytes(
        [
            ("[Content_Types].xml", '<Types xmlns="http://schemas.openxmlformats.org/package/2006/content-types"/>'),
            ("_rels/.rels", _RELATIONS.replace("word/document.xml", "xl/workbook.xml")),
            ("xl/workbook.xml", f'<workbook xmlns="{main}" xmlns:r="{_OFFICE}"><sheets>{listed}</sheets></workbook>'),
            ("xl/_rels/workbook.xml.rels", f'<Relationships xmlns="{package}">{targets}{styles}</Relationships>'),
            (
                "xl/styles.xml",
                f'<styleSheet xmlns="{main}"><cellXfs count="2"><xf numFmtId="0"/><xf numFmtId="14"/></cellXfs></styleSheet>',
            ),
            *(
                (
                    f"xl/worksheets/sheet{number}.xml",
                    f'{prolog}<worksheet xmlns="{main}"><sheetData>{rows}</sheetData></worksheet>',
                )
                for number, (_, rows) in enumerate(sheets, 1)
            ),
            *more,
        ]
    )


def epub_bytes(chapters: Sequence[tuple[str, str]], *, prolog: str = "", more: Sequence[tuple[str, str]] = ()) -> bytes:
    """A book.

    :param chapters: File name and XHTML of each, in reading order.
    :param prolog: What stands before the root element of its package document.
    """
    items = "".join(
        f'<item id="c{place}" href="{name}" media-type="application/xhtml+xml"/>'
        for place, (name, _) in enumerate(chapters)
    )
    about = "<dc:title>The &amp; book</dc:title><dc:creator>A. B.</dc:creator>"
    spine = "".join(f'<itemref idref="c{place}"/>' for place in range(len(chapters)))
    return zip_bytes(
        [
            ("mimetype", "application/epub+zip"),
            (
                "META-INF/container.xml",
                '<container><rootfiles><rootfile full-path="OEBPS/book.opf"/></rootfiles></container>',
            ),
            (
                "OEBPS/book.opf",
                f'{prolog}<package xmlns:dc="dc"><metadata>{about}</metadata><manifest>{items}</manifest><spine>{spine}</spine></package>',
            ),
            *((f"OEBPS/{name}", text) for name, text in chapters),
            *more,
        ]
    )


def paragraph(text: str, style: str = "") -> str:
    """One paragraph of a Word document."""
    properties = f'<w:pPr><w:pStyle w:val="{style}"/></w:pPr>' if style else ""
    return f'<w:p>{properties}<w:r><w:t xml:space="preserve">{text}</w:t></w:r></w:p>'


def table(rows: Sequence[Sequence[str]]) -> str:
    """One table of a Word document."""
    cells = ("".join(f"<w:tc>{paragraph(cell)}</w:tc>" for cell in row) for row in rows)
    return f"<w:tbl>{''.join(f'<w:tr>{row}</w:tr>' for row in cells)}</w:tbl>"


def written(path: Path, content: bytes | str) -> Path:
    """The path, with a file there that holds `content` (text as UTF-8)."""
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return path


def _text_stream(text: str) -> bytes:
    lines = b" ".join(b"%s Tj T*" % _string(line) for line in text.split("\n"))
    return b"BT /F1 10 Tf 12 TL 50 760 Td %s ET" % lines


def _string(text: str) -> bytes:
    data = text.encode("latin-1")
    for char in (b"\\", b"(", b")"):
        data = data.replace(char, b"\\" + char)
    return b"(" + data + b")"


def _stream(entries: bytes, data: bytes) -> bytes:
    return b"<< %s/Length %d >>\nstream\n%s\nendstream" % (entries, len(data), data)


def _assembled(objects: Sequence[bytes], trailer: bytes) -> bytes:
    out = bytearray(b"%PDF-1.7\n")
    offsets = []
    for number, content in enumerate(objects, 1):
        offsets.append(len(out))
        out += b"%d 0 obj\n%s\nendobj\n" % (number, content)
    start = len(out)
    out += b"xref\n0 %d\n0000000000 65535 f \n" % (len(objects) + 1)
    out += b"".join(b"%010d 00000 n \n" % offset for offset in offsets)
    out += b"trailer\n<< /Size %d %s >>\nstartxref\n%d\n%%%%EOF\n" % (len(objects) + 1, trailer, start)
    return bytes(out)
