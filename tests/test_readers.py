"""What readers make of files, good, odd and hostile."""

from __future__ import annotations

import difflib
import os
import random
import re
import sys
import time
import unicodedata
from collections import Counter
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

import pytest
from racto.knowledge.documents import Document, page_ranges
from racto.knowledge.errors import EncryptedError, LimitError, NoTextError, RactoError, ReadError, UnsupportedError
from racto.knowledge.readers import READERS, BaseReader, FileReaderRegistry, read_document
from racto.knowledge.readers.isolation import WORKERS
from racto.knowledge.windows import split

from .files import WORD, docx_bytes, flate_bomb, paragraph, pdf_bytes, table, written

DATA = Path(__file__).parents[2] / "shared" / "data" / "retrieval"
FORMATS = sorted({reader: extension for extension, reader in READERS.items()}.values())
"""An extension for each reader."""
EXPECTED = DATA / "readers_dev/markitdown/test_files/expected_outputs"
needs_data = pytest.mark.skipif(not DATA.is_dir(), reason=f"the shared collections are not at {DATA}")
linux = pytest.mark.skipif(sys.platform != "linux", reason="only Linux limits the memory of the reading process")


def outline(document: Document) -> list[tuple[int, str]]:
    for heading in document.headings:
        assert 0 <= heading.start <= heading.end <= len(document.content)
    return [(heading.level, heading.title) for heading in document.headings]


def page_texts(document: Document) -> dict[int, str]:
    return {page.number: document.content[page.start : page.end] for page in document.pages}


def outcome(path: Path) -> Document | RactoError:
    try:
        return read_document(path)
    except RactoError as error:
        return error


@contextmanager
def as_somebody_else() -> Generator[None]:
    """Permissions do not bind root; be nobody for a moment when the tests run as root."""
    root = os.geteuid() == 0
    if root:
        os.seteuid(65534)
    try:
        yield
    finally:
        if root:
            os.seteuid(0)


class TestRegistry:
    def test_every_reader_of_the_table_claims_the_extensions_it_is_listed_for(self) -> None:
        registry = FileReaderRegistry()
        assert {".txt", ".md", ".rst", ".csv", ".html", ".htm", ".pdf", ".docx"} <= READERS.keys()
        for extension in READERS:
            assert extension in registry.get_reader(f"file{extension}").supported_extensions
        assert registry.extensions == READERS.keys()

    def test_an_unknown_extension_is_a_value_error_that_says_what_to_do(self) -> None:
        registry = FileReaderRegistry()
        for name in ("movie.mp4", "Makefile", ".gitignore"):
            assert not registry.can_read(name)
            with pytest.raises(ValueError, match="There is no reader for") as caught:
                registry.get_reader(name)
            assert isinstance(caught.value, UnsupportedError)
            assert "Convert" in caught.value.hint

    def test_extensions_are_compared_without_case(self, tmp_path: Path) -> None:
        assert FileReaderRegistry().can_read("REPORT.PDF")
        assert read_document(written(tmp_path / "NOTES.TXT", "hello")).content == "hello"

    def test_a_registered_reader_takes_over_its_extensions(self, tmp_path: Path) -> None:
        class Shouting(BaseReader):
            @property
            def supported_extensions(self) -> frozenset[str]:
                return frozenset({".txt", ".LOUD"})

            def read(self, path: Path) -> Document:
                return Document(path.read_text().upper(), str(path))

        registry = FileReaderRegistry()
        registry.register(Shouting())
        file = written(tmp_path / "a.txt", "hello")
        assert registry.read(file).content == read_document(file, registry).content == "HELLO"
        assert registry.can_read("b.loud")
        assert FileReaderRegistry([Shouting()]).extensions == {".txt", ".loud"}
        assert read_document(file).content == "hello"


class TestEveryFormat:
    @pytest.mark.parametrize("extension", sorted(READERS))
    def test_an_empty_file_holds_no_text(self, extension: str, tmp_path: Path) -> None:
        with pytest.raises(NoTextError, match="0 bytes"):
            read_document(written(tmp_path / f"a{extension}", b""))

    @pytest.mark.parametrize("extension", [".txt", ".md", ".html", ".csv", ".tsv", ".jsonl", ".py"])
    def test_white_space_is_no_text(self, extension: str, tmp_path: Path) -> None:
        with pytest.raises(NoTextError):
            read_document(written(tmp_path / f"a{extension}", " \n\t\n"))

    @pytest.mark.parametrize("extension", FORMATS)
    @pytest.mark.parametrize("start", [b"", b"PK\x03\x04", b"%PDF-1.7\n", b"\xff\xfe", b"<html>"])
    def test_random_bytes_end_in_a_document_or_an_error_that_names_the_file(
        self, extension: str, start: bytes, tmp_path: Path
    ) -> None:
        file = written(tmp_path / f"a{extension}", start + random.Random(7).randbytes(20_000))
        answer = outcome(file)
        if isinstance(answer, Document):
            assert answer.content
        else:
            assert file.name in answer.message
            assert answer.hint

    def test_a_file_above_the_size_limit_is_refused_before_it_is_read(self, tmp_path: Path) -> None:
        with pytest.raises(LimitError, match="1,001 bytes; the limit is 1,000"):
            read_document(written(tmp_path / "a.txt", "x" * 1001), max_bytes=1000)
        assert read_document(written(tmp_path / "b.txt", "x" * 1000), max_bytes=1000)

    def test_what_is_no_regular_file_is_refused_and_not_waited_on(self, tmp_path: Path) -> None:
        os.mkfifo(tmp_path / "pipe.txt")
        (tmp_path / "folder.txt").mkdir()
        (tmp_path / "null.txt").symlink_to("/dev/zero")
        for name in ("pipe.txt", "folder.txt", "null.txt"):
            with pytest.raises(UnsupportedError, match="not a file"):
                read_document(tmp_path / name)

    def test_what_cannot_be_opened_is_an_error_with_the_reason(self, tmp_path: Path) -> None:
        (tmp_path / "loop.txt").symlink_to("loop.txt")
        for name, reason in (("missing.txt", "No such file"), ("loop.txt", "symbolic links")):
            with pytest.raises(ReadError, match=reason):
                read_document(tmp_path / name)

    @pytest.mark.skipif(sys.platform == "win32", reason="there are no such permissions on Windows")
    def test_a_file_without_permission_is_an_error_with_the_reason(self, tmp_path: Path) -> None:
        for extension in (".txt", ".pdf"):
            file = written(tmp_path / f"a{extension}", pdf_bytes(["text"]))
            file.chmod(0)
            with as_somebody_else(), pytest.raises(ReadError, match="Permission denied"):
                read_document(file)

    def test_the_source_is_the_absolute_path(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        written(tmp_path / "a.txt", "text")
        monkeypatch.chdir(tmp_path)
        assert read_document("a.txt").source == str(tmp_path / "a.txt")


class TestHtml:
    def read(self, tmp_path: Path, html: str | bytes) -> Document:
        return read_document(written(tmp_path / "page.html", html))

    def test_the_visible_text_is_kept_in_order(self, tmp_path: Path) -> None:
        document = self.read(
            tmp_path,
            "<head><title>The\n page</title><meta name=author content='A. B.'><style>p{}</style></head><body><h1>Head <i>line</i></h1>"
            "one<script>var no = '<p>no</p>'</script> two<p>para<b>gra</b>ph &lt;b&gt; &amp;amp; caf&eacute;<br>next\nline</p>"
            "<ul><li>first<li>second</ul><h2>Part</h2><pre>  a\n    b</pre><noscript>no</noscript><template>no</template>end",
        )
        assert document.content == (
            "Head line\n\none two\n\nparagraph <b> &amp; café\nnext line\n\n- first\n- second\n\nPart\n\n  a\n    b\n\nend"
        )
        assert outline(document) == [(1, "Head line"), (2, "Part")]
        assert document.metadata == {"title": "The page", "author": "A. B."}
        assert [window.heading_path for window in split(document)] == [("Head line",), ("Head line", "Part")]

    def test_what_is_hidden_from_people_is_not_kept(self, tmp_path: Path) -> None:
        document = self.read(
            tmp_path,
            "<body style='color:red'><p>a<p hidden>no<b hidden>no</b></p><div style='margin:0; DISPLAY : none'>no<p>no</div>b"
            "<span style='visibility:hidden'>no</span><h2 hidden>no</h2><p hidden=until-found>c<p style='display:block'>d",
        )
        assert document.content.split() == ["a", "b", "c", "d"]
        assert document.headings == []

    def test_a_table_is_a_line_a_row(self, tmp_path: Path) -> None:
        document = self.read(tmp_path, "<table><tr><th>Name<th>Age<tr><td><p>Ann</p><td></td><td>30</table>")
        assert document.content == "Name | Age\nAnn | | 30"

    @pytest.mark.parametrize(
        ("head", "encoding"),
        [
            ("<meta charset=shift_jis>", "cp932"),
            ("<meta http-equiv='Content-Type' content='text/html; charset=EUC-JP'>", "euc_jp"),
            ("<?xml version='1.0' encoding='utf-16'?>", "utf-16"),
            ("<meta charset='utf-8'>", "utf-8"),
            ("", "utf-8-sig"),
            ("", "utf-8"),
        ],
    )
    def test_the_encoding_a_page_names_is_used(self, head: str, encoding: str, tmp_path: Path) -> None:
        assert self.read(tmp_path, f"{head}<p>こんにちは世界</p>".encode(encoding)).content == "こんにちは世界"

    def test_latin_1_is_read_as_browsers_do(self, tmp_path: Path) -> None:
        assert self.read(tmp_path, b"<meta charset=iso-8859-1><p>caf\xe9 \x93x\x94").content == "café “x”"

    def test_a_page_that_names_the_wrong_encoding_is_still_read(self, tmp_path: Path) -> None:
        assert self.read(tmp_path, "<meta charset=iso-8859-1><p>naïve 世界".encode()).content == "naïve 世界"
        for label in (b"no-such-thing", b"zlib", b"undefined", b"utf-16"):
            assert self.read(tmp_path, b"<meta charset=" + label + b"><p>caf\xe9").content == "café"

    def test_deep_nesting_and_wide_rows_are_read(self, tmp_path: Path) -> None:
        assert self.read(tmp_path, "<b>" * 20_000 + "deep").content == "deep"
        assert self.read(tmp_path, "<table><tr>" + "<td></td>" * 100_000 + "<td>wide").content == "wide"


class TestPdf:
    def read(self, tmp_path: Path, data: bytes) -> Document:
        return read_document(written(tmp_path / "file.pdf", data))

    def test_pages_keep_their_physical_numbers_and_silent_ones_are_told(self, tmp_path: Path) -> None:
        document = self.read(tmp_path, pdf_bytes(["One\nline two", None, "Three (3)", None, None], title="Report"))
        assert page_texts(document) == {1: "One\nline two", 3: "Three (3)"}
        assert document.metadata == {"title": "Report", "page_count": 5}
        (note,) = document.notes
        assert note.startswith("There is no text on pages 2, 4-5; ")
        assert "OCR" in note
        assert document.type == "application/pdf"

    def test_bookmarks_are_headings_at_the_place_of_their_words(self, tmp_path: Path) -> None:
        data = pdf_bytes(["Cover\nPreface", "text\nMethods\nmore"], bookmarks=[("Start", 0), ("Methods", 1)])
        document = self.read(tmp_path, data)
        assert [(heading.title, heading.start) for heading in document.headings] == [
            ("Start", 0),
            ("Methods", document.content.index("Methods")),
        ]
        assert [(window.number, window.section_title) for window in split(document)] == [(1, "Start"), (2, "Methods")]

    def test_a_scan_is_told_with_ocr_as_the_way_out(self, tmp_path: Path) -> None:
        with pytest.raises(NoTextError, match="scan") as caught:
            self.read(tmp_path, pdf_bytes([None, None]))
        assert "OCR" in caught.value.hint

    def test_an_encrypted_file_asks_for_a_copy_without_password(self, tmp_path: Path) -> None:
        with pytest.raises(EncryptedError, match="needs a password") as caught:
            self.read(tmp_path, pdf_bytes(["secret"], locked=True))
        assert "without the password" in caught.value.hint

    @pytest.mark.parametrize("share", [0.02, 0.3, 0.6, 0.9, 0.99])
    def test_a_truncated_file_is_an_error_and_no_crash(self, share: float, tmp_path: Path) -> None:
        whole = pdf_bytes([f"page {number}" for number in range(50)])
        with pytest.raises(ReadError, match="truncated or damaged"):
            self.read(tmp_path, whole[: int(len(whole) * share)])
        assert WORKERS.pids

    def test_a_damaged_page_is_left_out_and_told(self, tmp_path: Path) -> None:
        data = pdf_bytes(["one", "two", "three"])
        kids = re.search(rb"/Kids \[(\d+) 0 R (\d+) 0 R", data)
        assert kids
        broken = data.replace(b"%s 0 obj\n<< /Type /Page " % kids[2], b"%s 0 obj\n<< /Type /Nope " % kids[2])
        assert len(broken) == len(data)
        document = self.read(tmp_path, broken)
        assert page_texts(document) == {1: "one", 3: "three"}
        assert document.notes == ["Damaged, and left out: page 2."]

    def test_ten_thousand_pages_are_read(self, tmp_path: Path) -> None:
        data = pdf_bytes(
            [f"page number {number}\nsome words" for number in range(1, 10_001)], bookmarks=[("All", 0), ("Last", 9999)]
        )
        document = self.read(tmp_path, data)
        assert len(document.pages) == document.metadata["page_count"] == 10_000
        assert page_texts(document)[7777] == "page number 7777\nsome words"
        assert document.headings[-1].title == "Last"

    @linux
    @pytest.mark.parametrize("unit", [b" ", b"BT /F1 10 Tf (word) Tj ET "])
    def test_a_compression_bomb_ends_soon_and_the_next_file_is_read(self, unit: bytes, tmp_path: Path) -> None:
        bomb = written(tmp_path / "bomb.pdf", pdf_bytes(["before", flate_bomb(unit, 2**31)]))
        assert bomb.stat().st_size < 6_000_000
        before = time.monotonic()
        with pytest.raises(ReadError, match=r"bomb\.pdf") as caught:
            read_document(bomb)
        assert "bomb" in caught.value.hint
        assert time.monotonic() - before < 30
        assert self.read(tmp_path, pdf_bytes(["good"])).content == "good"

    @needs_data
    def test_a_german_book_has_the_words_of_its_ground_truth(self) -> None:
        document = read_document(DATA / "readers_dev/pypdf_sample/009-pdflatex-geotopo/GeoTopo-komprimiert.pdf")
        truth = (DATA / "readers_dev/GeoTopo.ground_truth.txt").read_text()
        found, wanted = (
            Counter(re.findall(r"\w+", unicodedata.normalize("NFKC", text).lower()))
            for text in (document.content, truth)
        )
        common = sum((found & wanted).values())
        assert common / sum(wanted.values()) > 0.97  # measured .972; what is missing are formulas
        assert common / sum(found.values()) > 0.93  # measured .937
        assert (2, "1.1 Topologische Räume") in outline(document)
        broken = next(
            heading for heading in document.headings if heading.title == "2 Mannigfaltigkeiten und Simplizialkomplexe"
        )
        assert document.content[broken.start : broken.end] == "2 Mannigfaltigkeiten und\nSimplizialkomplexe"

    @needs_data
    def test_words_broken_at_a_line_end_are_whole_again(self) -> None:
        document = read_document(DATA / "readers_dev/markitdown/test_files/test.pdf")
        assert "potentially backed" in " ".join(document.content.split())
        assert not re.search("[\x00-\x08\x0e-\x1f\ufffe]", document.content)


class TestWord:
    def read(self, tmp_path: Path, data: bytes) -> Document:
        return read_document(written(tmp_path / "file.docx", data))

    def test_paragraphs_tables_and_headings_keep_their_order(self, tmp_path: Path) -> None:
        body = (
            paragraph("Guide", "H1")
            + paragraph("Intro &amp; more.")
            + table([["a", "b"], ["c", ""]])
            + paragraph("Install", "H2")
        )
        document = self.read(tmp_path, docx_bytes(body + paragraph("After the table.")))
        assert document.content == "Guide\n\nIntro & more.\n\na | b\nc |\n\nInstall\n\nAfter the table."
        assert outline(document) == [(1, "Guide"), (2, "Install")]
        assert [window.heading_path for window in split(document)] == [("Guide",), ("Guide", "Install")]

    def test_a_document_saved_by_a_word_processing_library_is_read(self, tmp_path: Path) -> None:
        import docx

        made = docx.Document()
        made.core_properties.title = "The title"
        made.core_properties.author = "A. Writer"
        made.add_heading("Report", 0)
        made.add_paragraph("Before\tthe table")
        cells = made.add_table(1, 2).rows[0].cells
        cells[0].text, cells[1].text = "left", "right"
        made.add_heading("Results", 1)
        made.add_paragraph("An item", style="List Bullet")
        made.save(str(tmp_path / "made.docx"))
        document = read_document(tmp_path / "made.docx")
        assert document.content == "Report\n\nBefore\tthe table\n\nleft | right\n\nResults\n\nAn item"
        assert outline(document) == [(0, "Report"), (1, "Results")]
        assert document.metadata["title"] == "The title"
        assert document.metadata["author"] == "A. Writer"

    def test_insertions_count_and_deletions_do_not(self, tmp_path: Path) -> None:
        run = "<w:r><w:t>{}</w:t></w:r>".format
        body = f"<w:p>{run('kept ')}<w:ins>{run('new ')}</w:ins><w:del><w:r><w:delText>old </w:delText></w:r></w:del>"
        body += f"<w:moveFrom>{run('gone ')}</w:moveFrom><w:hyperlink>{run('link')}</w:hyperlink><w:sdt><w:sdtContent>{run(' field')}</w:sdtContent></w:sdt></w:p>"
        assert self.read(tmp_path, docx_bytes(body)).content == "kept new link field"

    def test_text_boxes_count_once_and_notes_follow(self, tmp_path: Path) -> None:
        box = f"<w:txbxContent>{paragraph('boxed')}</w:txbxContent>"
        body = f'<w:p><w:r><w:t>outside</w:t></w:r><m:AlternateContent xmlns:m="m"><m:Choice>{box}</m:Choice><m:Fallback>{box}</m:Fallback></m:AlternateContent></w:p>'
        notes = f'<w:footnotes xmlns:w="{WORD}"><w:footnote>{paragraph("a note")}</w:footnote></w:footnotes>'
        document = self.read(tmp_path, docx_bytes(body, more=[("word/footnotes.xml", notes)]))
        assert document.content == "boxed\n\noutside\n\na note"

    def test_styles_built_on_a_heading_and_outline_levels_are_headings(self, tmp_path: Path) -> None:
        styles = (
            '<w:style w:styleId="a1"><w:name w:val="heading 2"/></w:style><w:style w:styleId="b"><w:basedOn w:val="a1"/></w:style>'
            '<w:style w:styleId="c"><w:basedOn w:val="d"/></w:style><w:style w:styleId="d"><w:basedOn w:val="c"/></w:style>'
            '<w:style w:styleId="e"><w:pPr><w:outlineLvl w:val="0"/></w:pPr></w:style>'
        )
        direct = '<w:p><w:pPr><w:outlineLvl w:val="2"/></w:pPr><w:r><w:t>Direct</w:t></w:r></w:p>'
        body = (
            paragraph("Based", "b")
            + paragraph("Circle", "c")
            + paragraph("Own", "e")
            + direct
            + paragraph("Unknown", "zz")
        )
        assert outline(self.read(tmp_path, docx_bytes(body, styles=styles))) == [
            (2, "Based"),
            (1, "Own"),
            (3, "Direct"),
        ]

    def test_no_file_of_the_host_is_read_through_an_entity(self, tmp_path: Path) -> None:
        secret = written(tmp_path / "secret.txt", "top secret")
        prolog = f'<!DOCTYPE x [<!ENTITY e SYSTEM "{secret.as_uri()}">]>'
        with pytest.raises(ReadError) as caught:
            self.read(tmp_path, docx_bytes(paragraph("&e;"), prolog=prolog))
        assert "top secret" not in str(caught.value)

    def test_a_billion_laughs_end_soon(self, tmp_path: Path) -> None:
        entities = "".join(f'<!ENTITY {chr(98 + step)} "{f"&{chr(97 + step)};" * 10}">' for step in range(9))
        with pytest.raises(ReadError, match="damaged"):
            self.read(tmp_path, docx_bytes(paragraph("&j;"), prolog=f'<!DOCTYPE x [<!ENTITY a "lol">{entities}]>'))

    def test_a_zip_bomb_is_refused_by_what_it_would_unpack_to(self, tmp_path: Path) -> None:
        data = docx_bytes(paragraph("x" * (101 * 2**20)))
        assert len(data) < 200_000
        with pytest.raises(ReadError, match="would unpack to more") as caught:
            self.read(tmp_path, data)
        assert "bomb" in caught.value.hint

    def test_a_password_is_told_apart_from_damage(self, tmp_path: Path) -> None:
        with pytest.raises(EncryptedError, match="password"):
            self.read(tmp_path, b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + bytes(2000))
        whole = docx_bytes(paragraph("text"))
        for data in (b"just text", whole[: len(whole) // 2], b"PK\x03\x04" + bytes(500)):
            with pytest.raises(ReadError, match="not a Word document"):
                self.read(tmp_path, data)


@needs_data
def test_every_file_of_the_reader_collection_ends_in_a_document_or_a_clear_error() -> None:
    read, refused = 0, Counter[str]()
    for path in sorted((DATA / "readers_dev").rglob("*")):
        if not path.is_file():
            continue
        answer = outcome(path)
        if isinstance(answer, Document):
            read += 1
            assert answer.content.strip()
            if path.stem.startswith("MEDRPT"):
                assert "Blood Pressure 142/88 mmHg" in answer.content  # read by OCR
            assert all(answer.content[window.start : window.end].strip() for window in split(answer))
            outline(answer)
        else:
            assert path.name in answer.message or "Tesseract" in answer.message
            assert answer.hint
            refused[type(answer).__name__] += 1
    assert read >= 44
    assert refused["EncryptedError"] == 1
    assert set(refused) <= {"EncryptedError", "NoTextError", "UnsupportedError", "ReadError"}


@needs_data
@pytest.mark.parametrize(
    "expected",
    [path for path in sorted(EXPECTED.glob("*.md")) if path.stat().st_size],  # of a scan the other reader finds nothing
    ids=lambda path: path.stem,
)
def test_the_words_another_reader_finds_are_found_in_the_same_order(expected: Path) -> None:
    document = read_document(expected.parents[1] / f"{expected.stem}.pdf")
    other = re.sub(r"(?<=[a-z])-\s+(?=[a-z])", "", expected.read_text())  # it leaves words broken at the end of a line
    found, wanted = (re.findall(r"\w+", unicodedata.normalize("NFKC", text)) for text in (document.content, other))
    assert len(wanted) > 100
    missing = Counter(wanted) - Counter(found)
    assert missing.total() <= 0.02 * len(wanted), missing
    matcher = difflib.SequenceMatcher(None, found, wanted, autojunk=False)
    in_order = sum(block.size for block in matcher.get_matching_blocks())
    assert in_order >= 0.85 * len(wanted)


def test_page_ranges_read_like_a_person_wrote_them() -> None:
    assert page_ranges([4]) == "page 4"
    assert page_ranges([4, 5]) == "pages 4-5"
    assert page_ranges([1, 3, 4, 5, 9]) == "pages 1, 3-5, 9"
