"""Files made to do harm, the same ones on every machine: bombs, bottomless nesting, cycles, lies, damage and false names."""

from __future__ import annotations

import base64
import random
import struct
import zlib
from collections.abc import Iterator
from itertools import zip_longest
from pathlib import Path

from racto.knowledge.readers import READERS

from .files import docx_bytes, epub_bytes, flate_bomb, paragraph, pdf_bytes, pptx_bytes, shape, xlsx_bytes, zip_bytes
from .forged import bomb_zip, claiming, png, tiff

REAL = Path(__file__).parents[2] / "shared" / "data" / "retrieval" / "readers_dev" / "markitdown" / "test_files"
"""Files of real programs, where they are; a missing folder means fewer kinds of damage."""
DEEP = 100_000
MEGA = 2**20

File = tuple[str, bytes]
PAGE = "<html><body><h1>Chapter</h1><p>Text.</p></body></html>"


def hostile_files(count: int) -> list[File]:
    """Name and content; the first ones of every kind come first, so that a few show every kind."""
    kinds = [
        bombs(), entities(), nesting(), pictures(), cycles(), lies(), names(), lines(),
        mutations("truncated"), mutations("flipped"), mutations("spliced"), disguises(),
    ]  # fmt: skip
    mixed = (file for row in zip_longest(*kinds) for file in row if file is not None)
    return [(f"{number:03}-{name}", data) for number, (name, data) in zip(range(count), mixed, strict=False)]


def samples() -> dict[str, bytes]:
    """A good file of each format, by extension."""
    table = "a,b,c\n" + "".join(f"{number},row,{number * 7}\n" for number in range(300))
    mail = f"From: a@b.c\nSubject: Hello\nMIME-Version: 1.0\nContent-Type: multipart/mixed; boundary=X\n\n--X\n\nText.\n--X\nContent-Type: text/csv\n\n{table}\n--X--\n"
    rows = "".join(f"<row><c><v>{number}</v></c></row>" for number in range(500))
    made = {
        ".pdf": pdf_bytes([f"page {number}" for number in range(20)], bookmarks=[("Start", 0)]),
        ".docx": docx_bytes("".join(paragraph(f"paragraph {number}") for number in range(200))),
        ".pptx": pptx_bytes([shape(f"slide {number}", "title") for number in range(10)]),
        ".xlsx": xlsx_bytes([("Sheet", rows)]),
        ".epub": epub_bytes([(f"{number}.xhtml", PAGE) for number in range(10)]),
        ".eml": mail.encode(),
        ".csv": table.encode(),
        ".json": ("[" + ",".join(f'{{"a": {number}, "b": [1, 2]}}' for number in range(300)) + "]").encode(),
        ".html": ("<p>text<table><tr><td>1" * 300).encode(),
        ".png": png(64, 64, zlib.compress(bytes(65 * 64))),
        ".gif": b"GIF89a\x40\0\x40\0\x80\0\0\0\0\0\xff\xff\xff,\0\0\0\0\x40\0\x40\0\0\x02\x02\x44\x01\0;",
        ".tiff": tiff([(256, 64), (257, 64), (258, 8), (259, 1), (262, 1), (273, 200), (278, 64), (279, 4096)])
        + bytes(4300),
    }
    kept = ("test.docx", "test.xlsx", "test.xls", "test.pptx", "test.epub", "test.pdf", "test_llm.jpg")
    real = {path.suffix: path.read_bytes() for path in (REAL / name for name in kept) if path.is_file()}
    return made | real


def bombs() -> Iterator[File]:
    """Small files that unpack to sizes, or to more files than anybody has."""
    size = 400 * MEGA
    yield "flat.docx", bomb_zip("word/document.xml", b"<a>", size, docx_bytes(""))
    yield "page.pdf", pdf_bytes(["before", flate_bomb(b"BT /F1 10 Tf (word) Tj ET ", size)])
    yield "sheet.xlsx", bomb_zip("xl/worksheets/sheet1.xml", b"<row>", size, xlsx_bytes([("S", "")]))
    yield "slide.pptx", bomb_zip("ppt/slides/slide0.xml", b"<a>", size, pptx_bytes([shape("x")]))
    yield "chapter.epub", bomb_zip("OEBPS/a.xhtml", b"<p>x", size, epub_bytes([("a.xhtml", PAGE)]))
    yield "strings.xlsx", bomb_zip("xl/sharedStrings.xml", b"<si>", size, xlsx_bytes([("S", "")]))
    yield "chapter-within-bounds.epub", bomb_zip("OEBPS/a.xhtml", b"<b>", 90 * MEGA, epub_bytes([("a.xhtml", PAGE)]))
    yield "text-within-bounds.docx", bomb_zip("word/document.xml", b"<a><b>", 90 * MEGA, docx_bytes(""))
    nested = zip_bytes([("x", bytes(MEGA))])
    for _ in range(6):
        nested = zip_bytes([(f"{number}.zip", nested) for number in range(10)])
    yield "nested.docx", nested
    yield "nested.xlsx", nested
    yield "many.epub", zip_bytes([(f"{number}", b"") for number in range(60_000)])
    yield (
        "content.ods",
        bomb_zip(
            "content.xml",
            b"<table>",
            size,
            zip_bytes([("mimetype", "application/vnd.oasis.opendocument.spreadsheet")]),
        ),
    )


def entities() -> Iterator[File]:
    """Files of the host, addresses of the net and growth without end through XML entities."""
    laughs = "".join(f'<!ENTITY {chr(98 + step)} "{f"&{chr(97 + step)};" * 10}">' for step in range(9))
    prologs = {
        "file": '<!DOCTYPE x [<!ENTITY j SYSTEM "file:///etc/passwd">]>',
        "laughs": f'<!DOCTYPE x [<!ENTITY a "lol">{laughs}]>',
        "device": '<!DOCTYPE x SYSTEM "file:///dev/zero" [<!ENTITY % p SYSTEM "file:///dev/zero"> %p;]>',
        "quadratic": f'<!DOCTYPE x [<!ENTITY j "{"x" * 50_000}">]>',
    }
    for name, prolog in prologs.items():
        body = "&j;" * (20_000 if name == "quadratic" else 1)
        chapter = f"{prolog}<html><body><p>{body}</p></body></html>"
        row = f'<row><c t="inlineStr"><is><t>{body}</t></is></c></row>'
        yield f"{name}.docx", docx_bytes(paragraph(body), prolog=prolog)
        yield f"{name}.pptx", pptx_bytes([shape(body)], prolog=prolog)
        yield f"{name}.xlsx", xlsx_bytes([("S", row)], prolog=prolog)
        yield f"{name}.epub", epub_bytes([("a.xhtml", chapter)], prolog=prolog)
        yield f"{name}.xml", chapter.encode()
        yield f"{name}.xhtml", chapter.encode()


def nesting() -> Iterator[File]:
    """What is in itself a hundred thousand times."""
    deep = "<a>" * DEEP + "</a>" * DEEP
    yield "list.json", b"[" * DEEP
    yield "div.html", ("<div>" * DEEP + "x").encode()
    yield "parts.eml", _nested_mail(2000, "multipart/mixed")
    yield "body.docx", docx_bytes(deep)
    yield "closed.json", b"[" * DEEP + b"]" * DEEP
    yield "dict.json", b'{"a":' * DEEP + b"1" + b"}" * DEEP
    yield "lines.jsonl", b"[" * DEEP + b"\n" + b'{"a":' * DEEP
    yield "tables.docx", docx_bytes("<w:tbl><w:tr><w:tc>" * 20_000 + "<w:p/>" + "</w:tc></w:tr></w:tbl>" * 20_000)
    yield "groups.pptx", pptx_bytes(["<p:grpSp>" * DEEP + "</p:grpSp>" * DEEP])
    yield "shapes.pptx", pptx_bytes(["<p:sp>" * 20_000 + shape("x") + "</p:sp>" * 20_000])
    yield "rows.xlsx", xlsx_bytes([("S", deep)])
    yield "contents.epub", epub_bytes([("a.xhtml", PAGE)], more=[("OEBPS/x", "")], prolog="<a>" * DEEP)
    yield "chapter.epub", epub_bytes([("a.xhtml", "<b>" * DEEP + "x")])
    yield "tables.html", ("<table><tr><td>" * 30_000 + "x").encode()
    yield (
        "messages.eml",
        b"".join(b"Subject: %d\nContent-Type: message/rfc822\n\n" % number for number in range(3000)) + b"x",
    )
    yield "arrays.pdf", pdf_bytes(["x"]).replace(b"/MediaBox [0 0 612 792]", b"/MediaBox " + b"[" * DEEP)
    yield "brackets.py", b"x = " + b"(" * DEEP
    yield "quotes.md", b"> " * DEEP + b"x"


def pictures() -> Iterator[File]:
    """Pictures larger than they may be, or than they are."""
    line = zlib.compress(bytes(50_000_000), 9)
    yield "huge.png", png(2**31 - 1, 2**31 - 1, line)
    yield "wide.tiff", tiff([(256, 2**31), (257, 2**31), (258, 8), (259, 1), (262, 1), (273, 8), (278, 1), (279, 8)])
    yield "large.png", png(60_000, 60_000, line)
    yield (
        "screen.gif",
        b"GIF89a\xff\xff\xff\xff\x80\0\0\0\0\0\xff\xff\xff,\0\0\0\0\xff\xff\xff\xff\0\x02\x02\x44\x01\0;",
    )
    yield "size.jpg", b"\xff\xd8\xff\xc0\x00\x11\x08\xff\xff\xff\xff\x03\x01\x11\0\x02\x11\0\x03\x11\0" + bytes(999)
    yield "within-bounds.png", png(7000, 7000, zlib.compress(bytes(7001 * 7000), 9))
    yield "colour.png", png(7000, 7000, zlib.compress(bytes((7000 * 8 + 1) * 7000), 9), depth=16, colour=6)
    yield (
        "text.png",
        png(8, 8, zlib.compress(bytes(72)), extra=[(b"zTXt", b"Title\0\0" + zlib.compress(bytes(300 * MEGA), 9))]),
    )
    yield (
        "profile.png",
        png(8, 8, zlib.compress(bytes(72)), extra=[(b"iCCP", b"x\0\0" + zlib.compress(bytes(300 * MEGA), 9))]),
    )
    yield "size.webp", b"RIFF\xff\xff\xff\xffWEBPVP8X\x0a\0\0\0\x10\0\0\0\xff\xff\xff\xff\xff\xff" + bytes(99)
    yield (
        "size.bmp",
        b"BM" + struct.pack("<IHHIIiiHHIIiiII", 99, 0, 0, 54, 40, 2**31 - 1, 2**31 - 1, 1, 24, 0, 0, 0, 0, 0, 0),
    )
    noise = random.Random(5).randbytes(1201 * 1200)
    yield (
        "noise.png",
        png(
            1200, 1200, zlib.compress(b"".join(b"\0" + noise[at : at + 1200] for at in range(0, 1201 * 1200 - 1, 1201)))
        ),
    )
    yield "page.pdf", pdf_bytes([None]).replace(b"[0 0 612 792]", b"[0 0 9999999 9999999]")
    yield "scan.pdf", pdf_bytes([b"q 612 0 0 792 0 0 cm BI /W 60000 /H 60000 /BPC 8 /CS /RGB ID x EI Q"])


def cycles() -> Iterator[File]:
    """What leads back to itself."""
    good = pdf_bytes([f"page {number}" for number in range(5)], bookmarks=[("One", 0), ("Two", 1)])
    yield "kids.pdf", good.replace(b"/Kids [", b"/Kids [2 0 R ", 1)
    yield (
        "directories.tiff",
        tiff([(256, 8), (257, 8), (258, 8), (259, 1), (262, 1), (273, 8), (278, 8), (279, 64)], following=8),
    )
    yield (
        "styles.docx",
        docx_bytes(
            paragraph("x", "a"),
            styles='<w:style w:styleId="a"><w:basedOn w:val="b"/></w:style><w:style w:styleId="b"><w:basedOn w:val="a"/></w:style>',
        ),
    )
    yield "bookmarks.pdf", good.replace(b"/Next", b"/First", 1)
    yield "tables.pdf", good.replace(b"trailer\n<<", b"trailer\n<< /Prev 9", 1)
    yield "parents.pdf", good.replace(b"/Parent 2 0 R", b"/Parent 5 0 R")
    yield (
        "slides.pptx",
        pptx_bytes(
            [shape("x")],
            more=[("ppt/slides/_rels/slide1.xml.rels", '<R><r Id="rId9" Type="x/slide" Target="slide1.xml"/></R>')],
        ),
    )
    yield "spine.epub", epub_bytes([("a.xhtml", PAGE), ("../META-INF/container.xml", "<container/>")] * 3)


def lies() -> Iterator[File]:
    """Sizes and counts that are not true."""
    honest = docx_bytes(paragraph("x" * 100_000))
    yield "smaller.docx", claiming(honest, "word/document.xml", 10)
    yield "larger.docx", claiming(honest, "word/document.xml", 2**32 - 2)
    yield "fits.docx", claiming(honest, "word/document.xml", 90 * MEGA)
    yield "length.pdf", pdf_bytes(["one", "two"]).replace(b"/Length ", b"/Length 9999999")
    yield "count.pdf", pdf_bytes(["one", "two"]).replace(b"/Count 2", b"/Count 2000000000")
    yield (
        "sheet.xlsx",
        claiming(xlsx_bytes([("S", "<row><c><v>1</v></c></row>")]), "xl/worksheets/sheet1.xml", 2**32 - 2),
    )
    yield (
        "far.xlsx",
        xlsx_bytes(
            [("S", '<row r="1"><c r="A1"><v>1</v></c></row><row r="1048576"><c r="XFD1048576"><v>1</v></c></row>')]
        ),
    )
    yield "column.xlsx", xlsx_bytes([("S", '<row r="99999999999"><c r="ZZZZZZZZ9"><v>1</v></c></row>')])
    yield (
        "repeated.ods",
        _ods(
            '<table:table-row table:number-rows-repeated="1048576"><table:table-cell office:value-type="string" table:number-columns-repeated="16384"><text:p>x</text:p></table:table-cell></table:table-row>'
        ),
    )
    yield (
        "sectors.xls",
        b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + bytes(16) + b"\x3e\0\x03\0\xfe\xff\x09\0\x06\0" + b"\xff" * 4000,
    )
    yield "strips.tiff", tiff([(256, 8), (257, 8), (258, 8), (259, 1), (262, 1), (273, 2**31), (278, 1), (279, 2**31)])
    yield "encoding.html", b"<meta charset=utf-7>" + b"+ADw-script+AD4-" * 1000
    yield "charset.eml", b"Subject: x\nContent-Type: text/plain; charset=" + b"z" * 100_000 + b"\n\nx"
    yield "base64.eml", b"Subject: x\nContent-Transfer-Encoding: base64\n\n" + b"!" * 500_000
    yield (
        "attached.eml",
        b"Subject: x\nContent-Type: text/plain\nContent-Disposition: attachment; filename=../../etc/x\n\n"
        + base64.b64encode(bytes(3 * MEGA)),
    )


def names() -> Iterator[File]:
    """Names in archives that lead out of them."""
    outside = [("../../../../etc/passwd", "x"), ("/etc/passwd", "x"), ("C:\\x", "x"), ("a/../../b", "x")]
    yield "climbing.docx", docx_bytes(paragraph("text"), more=outside)
    yield "chapter.epub", epub_bytes([("../../../../etc/passwd", PAGE)])
    yield (
        "slide.pptx",
        pptx_bytes(
            [shape("x")],
            more=[
                (
                    "ppt/slides/_rels/slide0.xml.rels",
                    '<R><r Id="rId9" Type="x/notesSlide" Target="../../../etc/passwd"/></R>',
                )
            ],
        ),
    )
    yield "address.epub", epub_bytes([("https://example.com/a.xhtml", PAGE)])
    yield "control.docx", docx_bytes(paragraph("text"), more=[("\x1b[2J\u202e.xml", "x")])


def lines() -> Iterator[File]:
    """Text that is no text, or that never ends."""
    yield "line.txt", b"x" * (4 * MEGA)
    yield "nul.txt", b"text\0" * 1000
    yield "quote.csv", b'a,b\n"' + b"x,y\n" * 400_000
    yield "columns.csv", b"," * MEGA
    yield "line.md", b"*_`[" * 100_000
    yield "ticks.js", b"`" * 200_001 + b"'" * 200_001
    yield "comment.c", b"/*" * 200_000
    yield "spaces.txt", b" " * (4 * MEGA) + b"x"
    yield "headings.md", b"#\n" * 100_000
    yield "line.json", b'"' + b"x" * (4 * MEGA)
    yield "number.json", b"9" * MEGA
    yield "line.html", b"<" * 500_000
    yield "attributes.html", b"<p " + b"a=b " * 200_000
    yield "header.eml", b"Subject: " + b"=?utf-8?q?x?= " * 100_000 + b"\n\nx"
    yield "headers.eml", b"".join(b"X-%d: y\n" % number for number in range(50_000)) + b"\nx"
    yield "parts.eml", b"Subject: x\nContent-Type: multipart/mixed; boundary=B\n\n" + b"--B\n\nx\n" * 50_000
    yield (
        "boundary.eml",
        b"Subject: x\nContent-Type: multipart/mixed; boundary=" + b"B" * 60_000 + b"\n\n" + b"--" * 300_000,
    )
    yield "invalid.txt", b"\xff\xfe\xfd" * 100_001
    yield "surrogates.txt", b"\xed\xa0\x80" * 100_000
    yield "marks.txt", ("e" + "\u0301" * 200_000).encode()


def mutations(how: str) -> Iterator[File]:
    """Good files, damaged: again and again, each time elsewhere."""
    chance = random.Random(how)
    good = samples()
    while True:
        for extension, data in good.items():
            if how == "truncated":
                damaged = data[: chance.randrange(1, len(data))]
            elif how == "flipped":
                flipped = bytearray(data)
                for _ in range(chance.choice([1, 10, 200])):
                    flipped[chance.randrange(len(data))] ^= 1 << chance.randrange(8)
                damaged = bytes(flipped)
            else:
                first, second = sorted(chance.randrange(len(data)) for _ in range(2))
                damaged = data[:second] + data[first:]
            yield f"{how}{extension}", damaged


def disguises() -> Iterator[File]:
    """Good files under the extension of another format."""
    for extension in sorted(
        READERS.keys() & {*samples(), ".txt", ".md", ".rst", ".py", ".jsonl", ".ods", ".webp", ".tsv"}
    ):
        for real, data in samples().items():
            if real != extension:
                yield f"{real[1:]}-as{extension}", data


def _ods(rows: str) -> bytes:
    office = "urn:oasis:names:tc:opendocument:xmlns:"
    spaces = " ".join(f'xmlns:{name}="{office}{name}:1.0"' for name in ("office", "table", "text"))
    body = f'<office:document-content {spaces}><office:body><office:spreadsheet><table:table table:name="S">{rows}</table:table></office:spreadsheet></office:body></office:document-content>'
    return zip_bytes(
        [
            ("mimetype", "application/vnd.oasis.opendocument.spreadsheet"),
            ("content.xml", body),
            ("META-INF/manifest.xml", "<manifest/>"),
        ]
    )


def _nested_mail(depth: int, kind: str) -> bytes:
    heads = b"".join(
        b"Content-Type: %s; boundary=B%d\n\n--B%d\n" % (kind.encode(), level, level) for level in range(depth)
    )
    return b"Subject: x\n" + heads + b"\nx\n"
