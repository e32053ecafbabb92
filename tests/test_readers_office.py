"""What readers make of workbooks, presentations, books and tables as text."""

from __future__ import annotations

import csv
import io
import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from racto.knowledge.documents import Document, DocumentBuilder
from racto.knowledge.errors import EncryptedError, ReadError
from racto.knowledge.readers import read_document
from racto.knowledge.tabular import BLOCK_CHARACTERS, write_rows
from racto.knowledge.windows import split

from .files import epub_bytes, pptx_bytes, shape, written, xlsx_bytes

DATA = Path(__file__).parents[2] / "shared" / "data" / "retrieval" / "readers_dev" / "markitdown" / "test_files"
needs_data = pytest.mark.skipif(not DATA.is_dir(), reason=f"the shared collections are not at {DATA}")


def outline(document: Document) -> list[tuple[int, str]]:
    for heading in document.headings:
        assert heading.title in document.content[heading.start : heading.end]
    return [(heading.level, heading.title) for heading in document.headings]


def page_texts(document: Document) -> dict[int, str]:
    return {page.number: document.content[page.start : page.end] for page in document.pages}


class TestTables:
    def text(self, rows: list[list[str]]) -> str:
        builder = DocumentBuilder()
        write_rows(rows, builder)
        return builder.content

    def test_a_row_is_a_line(self) -> None:
        assert self.text([["Name", "Age"], ["Ann\nB.", " 30 "], ["", ""], ["Cy", ""]]) == "Name | Age\nAnn B. | 30\nCy"

    def test_a_long_table_has_its_header_above_every_block_and_no_row_is_cut(self) -> None:
        rows = [[f"item {number}", str(number), "x" * 40] for number in range(300)]
        blocks = self.text([["Item", "Number", "Note"], *rows]).split("\n\n")
        assert len(blocks) > 10
        assert all(block.startswith("Item | Number | Note\n") for block in blocks)
        assert all(len(block) <= BLOCK_CHARACTERS for block in blocks)
        lines = [line for block in blocks for line in block.split("\n")[1:]]
        assert lines == [" | ".join(row) for row in rows]

    def test_what_stands_above_the_header_comes_first_and_once(self) -> None:
        rows = [[f"{number}", "1", "2"] for number in range(200)]
        text = self.text([["Report of May", "", ""], ["Item", "Net", "Gross"], *rows])
        assert text.startswith("Report of May\n\nItem | Net | Gross\n0 | 1 | 2\n")
        assert text.count("Report of May") == 1
        assert text.count("Item | Net | Gross") > 1

    def test_numbers_and_a_single_column_are_no_header(self) -> None:
        assert self.text([["1", "2"], ["3", "4"]]) == "1 | 2\n3 | 4"
        single = self.text([[f"fruit number {number}"] for number in range(100)])
        assert single.count("fruit number 0\n") == 1

    @given(st.lists(st.lists(st.text(max_size=30), max_size=5), max_size=40))
    def test_every_cell_is_there_in_order(self, rows: list[list[str]]) -> None:
        text, place = self.text(rows), 0
        for row in rows:
            for cell in row:
                for word in cell.split():
                    place = text.index(word, place) + len(word)


class TestCsv:
    def read(self, tmp_path: Path, data: str | bytes, name: str = "a.csv") -> Document:
        return read_document(written(tmp_path / name, data))

    @pytest.mark.parametrize("delimiter", [",", ";", "\t", "|"])
    def test_the_delimiter_is_told_from_the_rows(self, delimiter: str, tmp_path: Path) -> None:
        rows = [["Name", "City, state", "Sum"], ["Ann; B", "Rome", "1"], ["Cy", 'the "big" one', "2"]]
        buffer = io.StringIO()
        csv.writer(buffer, delimiter=delimiter).writerows(rows)
        assert self.read(tmp_path, buffer.getvalue()).content == "\n".join(" | ".join(row) for row in rows)

    def test_a_single_column_is_read(self, tmp_path: Path) -> None:
        assert self.read(tmp_path, "city\nRome\nParis\n").content == "city\nRome\nParis"

    def test_tabs_are_usual_in_tsv_and_commas_are_text_there(self, tmp_path: Path) -> None:
        assert self.read(tmp_path, "a, b\tc\nd, e\tf\n", "a.tsv").content == "a, b | c\nd, e | f"

    def test_a_quotation_mark_that_is_never_closed_costs_no_row(self, tmp_path: Path) -> None:
        data = 'name,size\n"broken,1\n' + "".join(f"row {number},{number}\n" for number in range(900_000))
        document = self.read(tmp_path, data)
        assert "row 899999 | 899999" in document.content
        assert "quotation" in document.notes[0]

    def test_japanese_names_without_kana_are_recognised(self, tmp_path: Path) -> None:
        text = "名前,年齢,住所\n佐藤太郎,30,東京\n三木英子,25,大阪\n"
        assert self.read(tmp_path, text.encode("cp932")).content == text.replace(",", " | ").strip()

    @given(st.lists(st.lists(st.text("ab1 \"',;\n", max_size=8), min_size=2, max_size=4), min_size=1, max_size=10))
    def test_what_the_standard_library_writes_comes_back_word_for_word(self, rows: list[list[str]]) -> None:
        buffer = io.StringIO()
        csv.writer(buffer, delimiter="\t").writerows(rows)
        words = [word for row in rows for cell in row for word in cell.split()]
        if words:
            document = read_document(buffer.getvalue().encode(), name="a.tsv")
            assert [word for word in document.content.split() if word != "|"] == words


class TestSpreadsheets:
    def read(self, tmp_path: Path, *sheets: tuple[str, str]) -> Document:
        return read_document(written(tmp_path / "book.xlsx", xlsx_bytes(sheets)))

    def cells(self, *values: str) -> str:
        inline = '<c t="inlineStr"><is><t>{}</t></is></c>'
        return "".join(value if value.startswith("<") else inline.format(value) for value in values)

    def test_sheets_are_headings_and_values_are_as_a_person_sees_them(self, tmp_path: Path) -> None:
        numbers = [
            "<c><v>3</v></c>",
            "<c><v>0.30000000000000004</v></c>",
            '<c s="1"><v>45000</v></c>',
            '<c t="b"><v>1</v></c>',
        ]
        rows = f"<row>{self.cells('Whole', 'Part', 'Day', 'Right')}</row><row>{self.cells(*numbers)}</row>"
        document = self.read(tmp_path, ("Totals", rows), ("Empty", ""), ("People", f"<row>{self.cells('Ann')}</row>"))
        assert document.content == "Totals\n\nWhole | Part | Day | Right\n3 | 0.3 | 2023-03-15 | TRUE\n\nPeople\n\nAnn"
        assert outline(document) == [(1, "Totals"), (1, "People")]
        assert [window.heading_path for window in split(document)] == [("Totals",), ("People",)]

    def test_hidden_sheets_are_left_out_and_named(self, tmp_path: Path) -> None:
        document = self.read(
            tmp_path, ("Seen", f"<row>{self.cells('yes')}</row>"), ("!Lists", f"<row>{self.cells('no')}</row>")
        )
        assert document.content == "Seen\n\nyes"
        assert document.notes == ["Hidden sheets were left out: Lists."]

    def test_two_cells_far_apart_do_not_take_the_memory_of_all_between(self, tmp_path: Path) -> None:
        far = '<row r="1"><c r="A1"><v>1</v></c></row><row r="1048576"><c r="XFD1048576"><v>2</v></c></row>'
        with pytest.raises(ReadError, match=r"book\.xlsx"):
            self.read(tmp_path, ("Sheet", far))

    @needs_data
    @pytest.mark.parametrize("name", ["test.xlsx", "test.xls"])
    def test_new_and_legacy_workbooks_hold_the_same(self, name: str) -> None:
        document = read_document(DATA / name)
        assert outline(document) == [(1, "Sheet1"), (1, "09060124-b5e7-4717-9d07-3c046eb")]
        assert "Alpha | Beta | Gamma | Delta\n89 | 82 | 100 | 12\n76 | 89 | 33 | 42" in document.content
        assert "58 | 6ff4173b-42a5-4784-9b19-f49caff4d93d | 22 | 9" in document.content

    def test_what_is_no_workbook_is_an_error_with_a_way_out(self, tmp_path: Path) -> None:
        for extension in (".xlsx", ".xls", ".ods", ".xlsb"):
            with pytest.raises(ReadError, match="not a workbook") as caught:
                read_document(written(tmp_path / f"a{extension}", b"just text, no more than that"))
            assert "save" in caught.value.hint


class TestSlides:
    def test_slides_are_pages_in_the_order_they_are_shown(self) -> None:
        slides = [
            shape("Body of one\nline two") + shape("First", "ctrTitle"),
            "",
            shape("Third", "title") + shape("12", "sldNum"),
        ]
        document = read_document(pptx_bytes(slides), name="talk.pptx")
        assert page_texts(document) == {1: "First\n\nBody of one\nline two", 3: "Third"}
        assert outline(document) == [(1, "First"), (1, "Third")]
        assert document.metadata["page_count"] == 3
        assert document.notes == ["There is no text on page 2."]
        assert [(window.number, window.section_title) for window in split(document)] == [(1, "First"), (3, "Third")]

    def test_tables_charts_pictures_and_notes_are_read(self) -> None:
        cell = "<a:tc><a:txBody><a:p><a:r><a:t>{}</a:t></a:r></a:p></a:txBody></a:tc>".format
        table = f"<p:graphicFrame><a:tbl><a:tr>{cell('Name')}{cell('Age')}</a:tr><a:tr>{cell('Ann')}{cell('30')}</a:tr></a:tbl></p:graphicFrame>"
        picture = '<p:pic><p:nvPicPr><p:cNvPr id="4" name="Picture 3" descr="A river at dawn"/></p:nvPicPr></p:pic>'
        chart = '<p:graphicFrame><c:chart r:id="rId9"/></p:graphicFrame>'
        points = '<c:{0}><c:pt idx="0"><c:v>{1}</c:v></c:pt><c:pt idx="1"><c:v>{2}</c:v></c:pt></c:{0}>'.format
        data = f'<c:chartSpace xmlns:c="c" xmlns:a="a"><c:title><a:p><a:t>Sales</a:t></a:p></c:title><c:ser><c:tx><c:pt idx="0"><c:v>Units</c:v></c:pt></c:tx>{points("cat", "May", "June")}{points("val", 7, 8)}</c:ser></c:chartSpace>'
        data_part = ("ppt/charts/chart1.xml", data)
        slides = [shape("Numbers", "title") + table + chart + picture, shape("End")]
        document = read_document(pptx_bytes(slides, notes=shape("Say hello.", "body"), more=[data_part]), name="t.pptx")
        assert page_texts(document)[1] == (
            "Numbers\n\nName | Age\nAnn | 30\n\nSales\n\n | Units\nMay | 7\nJune | 8\n\nPicture: A river at dawn\n\nNotes: Say hello."
        )

    def test_what_is_there_again_for_older_programs_counts_once(self) -> None:
        both = f"<mc:AlternateContent><mc:Choice>{shape('New')}</mc:Choice><mc:Fallback>{shape('Old')}</mc:Fallback></mc:AlternateContent>"
        assert read_document(pptx_bytes([both]), name="t.pptx").content == "New"

    @needs_data
    def test_a_presentation_of_a_real_program_is_read(self) -> None:
        document = read_document(DATA / "test.pptx")
        assert [page.number for page in document.pages] == [1, 2, 3, 4, 5, 6]
        wanted = [
            "2cdda5c8-e50e-4db4-b5f0-9722a649f455",
            "04191ea8-5c73-4215-a1d3-1cfb43aaaf12",
            "44bf7d06-5e7a-4a40-a2e1-a2e42ef28c8a",
        ]
        wanted += [
            "7 | 8 | 9 | 1b92870d-e3b5-4e65-8153-919f4ff45592",
            "a3f6004b-6f4f-4ea8-bee3-3741f4dc385f",
            "2003 | 2003",
        ]
        places = [document.content.index(each) for each in wanted]
        assert places == sorted(places)


class TestBooks:
    PAGE = "<html><head><title/></head><body><h1>{0}</h1><p>Text of {0}.</p><script/>After.</body></html>".format

    def test_chapters_come_in_reading_order_with_their_headings(self) -> None:
        chapters = [("z%20one.xhtml", self.PAGE("One")), ("a.xhtml", self.PAGE("Two"))]
        data = epub_bytes(chapters, more=[("OEBPS/z one.xhtml", self.PAGE("One"))])
        document = read_document(data, name="book.epub")
        assert document.content == "One\n\nText of One.\n\nAfter.\n\nTwo\n\nText of Two.\n\nAfter."
        assert outline(document) == [(1, "One"), (1, "Two")]
        assert document.metadata == {"title": "The & book", "author": "A. B."}

    def test_a_missing_chapter_is_told(self) -> None:
        document = read_document(
            epub_bytes([("a.xhtml", self.PAGE("One")), ("b%20b.xhtml", self.PAGE("Two"))]), name="b.epub"
        )
        assert outline(document) == [(1, "One")]
        assert document.notes == ["1 chapters are listed in the book but are not in it."]

    def test_a_protected_book_is_told_apart_from_a_damaged_one(self) -> None:
        locked = '<encryption><EncryptedData><CipherReference URI="OEBPS/a.xhtml"/></EncryptedData></encryption>'
        with pytest.raises(EncryptedError, match="protected"):
            read_document(epub_bytes([("a.xhtml", "x")], more=[("META-INF/encryption.xml", locked)]), name="b.epub")
        with pytest.raises(ReadError, match="not a book"):
            read_document(b"PK\x03\x04 and no more", name="b.epub")

    @needs_data
    def test_a_real_book_is_read(self) -> None:
        document = read_document(DATA / "test.epub")
        assert [title for _, title in outline(document)][-2:] == ["Chapter 1: Test Content", "Chapter 2: More Content"]
        assert re.search(r"- A bullet point\n- Another point\n", document.content)
