"""Bringing files into a collection, and keeping it true to them."""

from __future__ import annotations

import os
import sqlite3
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Sequence
from pathlib import Path

import pytest
from racto.knowledge import catalogue, indexing
from racto.knowledge.database import Database
from racto.knowledge.documents import Document
from racto.knowledge.errors import InputError, NoTextError, ReadError, UnsupportedError
from racto.knowledge.folder import IngestReport, ingest_folder
from racto.knowledge.ingest import Ingester
from racto.knowledge.pages import PageIndexRAG
from racto.knowledge.readers import BaseReader, FileReaderRegistry

from tests.files import pdf_bytes

LONG_AGO = 1_600_000_000


class CountingReader(BaseReader):
    """Reads `.txt` files and remembers which."""

    def __init__(self) -> None:
        self.read_names: list[str] = []

    @property
    def supported_extensions(self) -> frozenset[str]:
        return frozenset({".txt"})

    def read(self, path: Path) -> Document:
        self.read_names.append(path.name)
        return Document(path.read_text(), str(path))


@pytest.fixture
def database(tmp_path: Path) -> Database:
    return Database(tmp_path / "racto.db")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    made = tmp_path / "documents"
    made.mkdir()
    return made


def _write(folder: Path, **texts: str) -> None:
    """Files of these names, with a time that is not fresh."""
    for name, text in texts.items():
        path = folder / f"{name}.txt"
        path.write_text(text)
        os.utime(path, (LONG_AGO, LONG_AGO))


def _names(sources: Sequence[str]) -> list[str]:
    return [Path(source).stem for source in sources]


def _kept(database: Database, collection: str = "default") -> dict[str, str]:
    with database.reading() as connection:
        found = catalogue.known_collection(connection, collection)
        return {
            one.name: catalogue.text_of(catalogue.read_pages(connection, one))
            for one in catalogue.documents(connection, found)
        }


def test_an_unchanged_file_costs_a_look_and_is_not_opened(database: Database, folder: Path) -> None:
    _write(folder, a="alpha", b="beta")
    reader = CountingReader()
    ingester = Ingester(database, registry=FileReaderRegistry([reader]))
    assert _names(ingest_folder(ingester, folder).added) == ["a", "b"]
    path = folder / "a.txt"
    path.write_text("gamma")  # as long as before, with the old time: nobody could tell without opening it
    os.utime(path, (LONG_AGO, LONG_AGO))
    report = ingest_folder(ingester, folder)
    assert _names(report.unchanged) == ["a", "b"]
    assert reader.read_names == ["a.txt", "b.txt"]


def test_a_file_touched_without_a_change_costs_a_hash_and_is_not_read(database: Database, folder: Path) -> None:
    _write(folder, a="alpha")
    reader = CountingReader()
    ingester = Ingester(database, registry=FileReaderRegistry([reader]))
    ingest_folder(ingester, folder)
    os.utime(folder / "a.txt", (LONG_AGO + 50, LONG_AGO + 50))
    assert _names(ingest_folder(ingester, folder).unchanged) == ["a"]
    assert reader.read_names == ["a.txt"]
    with database.reading() as connection:
        kept = catalogue.documents(connection, catalogue.known_collection(connection, "default"))
    assert kept[0].state.modified_ns == (LONG_AGO + 50) * 10**9


def test_a_file_changed_right_after_it_was_read_is_noticed_whatever_its_time_says(
    database: Database, folder: Path
) -> None:
    path = folder / "a.txt"
    path.write_text("alpha")
    now = time.time_ns()
    os.utime(path, ns=(now, now))
    ingester = Ingester(database)
    ingest_folder(ingester, folder)
    path.write_text("gamma")
    os.utime(path, ns=(now, now))
    assert _names(ingest_folder(ingester, folder).updated) == ["a"]
    assert _kept(database) == {"a.txt": "gamma"}


class Metered(Database):
    """A database that counts what SQLite does, in hundreds of its instructions."""

    steps = 0

    def _connect(self) -> sqlite3.Connection:
        connection = super()._connect()
        connection.set_progress_handler(self._count, 100)
        return connection

    def _count(self) -> int:
        self.steps += 1
        return 0


def test_a_new_file_costs_as_much_among_many_as_among_few(tmp_path: Path) -> None:
    database = Metered(tmp_path / "racto.db")
    ingester = Ingester(database)
    folder = tmp_path / "files"
    folder.mkdir()

    def cost(name: str) -> int:
        (folder / name).write_text(f"text of {name}")
        before = database.steps
        assert ingester.file(folder / name).state == "added"
        return database.steps - before

    for number in range(10):
        cost(f"few{number}.txt")
    few = cost("few.txt")
    for number in range(2000):
        (folder / f"{number}.txt").write_text(f"number {number}")
    assert len(ingest_folder(ingester, folder).added) == 2000
    assert cost("many.txt") <= few + 20
    database.close()


def test_a_changed_file_replaces_its_document_and_keeps_its_id_and_metadata(database: Database, folder: Path) -> None:
    _write(folder, a="alpha", b="beta")
    index = PageIndexRAG(database=database)
    before = index.ingest_dir(folder, year=2019)[0]
    _write(folder, a="alpha and omega")
    pages = index.ingest_dir(folder, checked="yes")
    assert _names(pages.report.updated) == ["a"]
    assert _names(pages.report.unchanged) == ["b"]
    after = pages[0]
    assert (after.doc_id, after.entry_id) == (before.doc_id, before.entry_id)
    assert after.content == "alpha and omega"
    assert after.metadata == {"year": 2019, "checked": "yes"}
    assert pages[1].metadata == {"year": 2019, "checked": "yes"}
    assert index.document_count == 2
    assert index.retrieve("omega")[0].entry.name == "a.txt"


def test_what_is_left_of_a_replaced_document_cannot_be_found(database: Database, folder: Path) -> None:
    _write(folder, a="granite " * 500)
    index = PageIndexRAG(database=database)
    index.ingest_dir(folder)
    _write(folder, a="quartz")
    index.ingest_dir(folder)
    assert index.retrieve("granite") == []
    assert index.entry_count == 1


def test_a_file_that_can_no_longer_be_read_keeps_what_was_read_before(database: Database, folder: Path) -> None:
    _write(folder, a="alpha")
    ingester = Ingester(database)
    ingest_folder(ingester, folder)
    (folder / "a.txt").write_bytes(b"")
    report = ingest_folder(ingester, folder)
    assert [code for _, code, _ in report.failed] == ["no_text"]
    assert _kept(database) == {"a.txt": "alpha"}


def test_removed_files_go_only_when_asked_and_only_below_the_folder(database: Database, tmp_path: Path) -> None:
    data, twin = tmp_path / "data", tmp_path / "data2"
    for place in (data, twin):
        place.mkdir()
        _write(place, a=f"alpha of {place.name}", b=f"beta of {place.name}")
    ingester = Ingester(database)
    for place in (data, twin):
        ingest_folder(ingester, place)
    ingester.text("a label is no file", str(data / "note"))
    for place in (data, twin):
        (place / "a.txt").unlink()
    assert ingest_folder(ingester, data).removed == []
    report = ingest_folder(ingester, data, prune=True)
    assert report.removed == [str(data / "a.txt")]
    with database.reading() as connection:
        left = catalogue.documents(connection, catalogue.known_collection(connection, "default"))
    assert [one.source for one in left] == [
        str(data / "b.txt"),
        str(data / "note"),
        str(twin / "a.txt"),
        str(twin / "b.txt"),
    ]


def test_pruning_with_a_pattern_keeps_files_that_do_not_match_but_are_there(database: Database, folder: Path) -> None:
    _write(folder, a="alpha", b="beta")
    ingester = Ingester(database)
    ingest_folder(ingester, folder)
    assert ingest_folder(ingester, folder, "a*", prune=True).removed == []


def test_a_file_with_the_same_bytes_is_told_and_indexed_once(database: Database, folder: Path) -> None:
    _write(folder, a="alpha", b="alpha", c="gamma")
    index = PageIndexRAG(database=database)
    report = index.ingest_dir(folder).report
    assert report.duplicates == [(str(folder / "b.txt"), str(folder / "a.txt"))]
    assert index.document_count == 2
    assert [page.name for page in index.ingest(folder / "b.txt")] == ["a.txt"]
    assert index.ingest_dir(folder).report.duplicates == report.duplicates


def test_a_moved_file_is_one_document_under_its_new_name(database: Database, folder: Path) -> None:
    _write(folder, a="alpha")
    index = PageIndexRAG(database=database)
    index.ingest_dir(folder, year=2019)
    (folder / "a.txt").rename(folder / "renamed.txt")
    pages = index.ingest_dir(folder)
    assert _names(pages.report.updated) == ["renamed"]
    assert [(page.name, page.metadata) for page in pages] == [("renamed.txt", {"year": 2019})]
    assert index.document_count == 1


def test_every_file_that_fails_is_told_with_its_reason_and_the_rest_is_read(database: Database, folder: Path) -> None:
    _write(folder, good="alpha", empty="")
    (folder / "scan.pdf").write_bytes(pdf_bytes([""]))
    (folder / "broken.pdf").write_bytes(b"%PDF-1.7\nnothing of the kind")
    (folder / "binary.txt").write_bytes(bytes(range(256)) * 20)
    (folder / "film.mp4").write_bytes(b"\0\0\0\x18ftyp")
    (folder / "out.txt").symlink_to("/etc/passwd")
    report = ingest_folder(Ingester(database), folder)
    assert _names(report.added) == ["good"]
    assert {Path(source).name: code for source, code, _ in report.failed} == {
        "binary.txt": "unsupported",
        "broken.pdf": "unreadable",
        "empty.txt": "no_text",
        "out.txt": "access_denied",
        "scan.pdf": "no_text",
    }
    assert all(reason for _, _, reason in report.failed)
    assert any("OCR" in reason for _, _, reason in report.failed)
    assert _names(report.skipped) == ["film"]


def test_a_file_without_permission_is_told_and_read_when_it_may_be() -> None:
    program = (
        "import os, sys, pathlib\n"
        "from racto.knowledge.database import Database\n"
        "from racto.knowledge.folder import ingest_folder\n"
        "from racto.knowledge.ingest import Ingester\n"
        "ingester = Ingester(Database())\n"
        "ingester.text('opens the database while everything may be opened', 'note')\n"
        "if os.getuid() == 0: os.seteuid(65534)\n"  # root may read everything
        "folder = pathlib.Path(sys.argv[1])\n"
        "print([(code, reason) for _, code, reason in ingest_folder(ingester, folder).failed])\n"
        "os.seteuid(os.getuid())\n"
        "(folder / 'a.txt').chmod(0o644)\n"
        "if os.getuid() == 0: os.seteuid(65534)\n"
        "print(len(ingest_folder(ingester, folder).added))\n"
    )
    with tempfile.TemporaryDirectory() as folder:
        Path(folder).chmod(0o755)
        _write(Path(folder), a="alpha")
        (Path(folder) / "a.txt").chmod(0)
        output = subprocess.check_output([sys.executable, "-c", program, folder], text=True, timeout=60)
    refused, added = output.splitlines()
    assert "unreadable" in refused
    assert "Permission denied" in refused
    assert added == "1"


def test_a_file_name_that_is_not_utf8_is_told(database: Database, folder: Path) -> None:
    Path(os.fsdecode(os.fsencode(folder) + b"/caf\xe9.txt")).write_text("coffee")
    report = ingest_folder(Ingester(database), folder)
    assert [(source.encode(), code) for source, code, _ in report.failed] == [
        (f"{folder}/caf\\udce9.txt".encode(), "unreadable")
    ]


def test_what_was_refused_for_good_is_not_read_again_until_it_changes(database: Database, folder: Path) -> None:
    class Refusing(CountingReader):
        def read(self, path: Path) -> Document:
            super().read(path)
            raise NoTextError("It is a scan.", "Run OCR.")

    _write(folder, a="alpha")
    reader = Refusing()
    ingester = Ingester(database, registry=FileReaderRegistry([reader]))
    reports = [ingest_folder(ingester, folder) for _ in range(3)]
    assert [report.failed for report in reports] == [[(str(folder / "a.txt"), "no_text", "It is a scan. Run OCR.")]] * 3
    assert len(reader.read_names) == 1
    with pytest.raises(NoTextError, match="scan"):
        ingester.file(folder / "a.txt")
    assert len(reader.read_names) == 2
    _write(folder, a="alpha, longer")
    ingest_folder(ingester, folder)
    assert len(reader.read_names) == 3


def test_a_file_that_changes_while_it_is_read_is_not_kept_half_old_half_new(database: Database, folder: Path) -> None:
    class Slow(CountingReader):
        def read(self, path: Path) -> Document:
            document = super().read(path)
            path.write_text("something else by now")
            return document

    _write(folder, a="alpha")
    with pytest.raises(ReadError, match="changed while it was read"):
        Ingester(database, registry=FileReaderRegistry([Slow()])).file(folder / "a.txt")


def test_other_sizes_or_processors_read_the_same_file_again(database: Database, folder: Path) -> None:
    _write(folder, a="alpha beta gamma delta " * 20)
    assert Ingester(database).file(folder / "a.txt").state == "added"
    assert Ingester(database, page_size=100, page_overlap=10).file(folder / "a.txt").state == "updated"
    assert Ingester(database, page_size=100, page_overlap=10).file(folder / "a.txt").state == "unchanged"
    assert Ingester(database, page_size=100, page_overlap=10, processors=[]).file(folder / "a.txt").state == "updated"


def test_progress_counts_what_is_settled_and_ends_with_all_of_it(database: Database, folder: Path) -> None:
    _write(folder, **{f"f{number:02}": f"text number {number}" for number in range(30)})
    told: list[tuple[int, int, str]] = []
    ingest_folder(Ingester(database), folder, progress=lambda done, total, name: told.append((done, total, name)))
    assert [done for done, _, _ in told] == sorted(done for done, _, _ in told)
    assert told[0] == (0, 30, "f00.txt")
    assert told[-1] == (30, 30, "")


def test_a_stopped_ingest_keeps_what_it_read_and_says_what_is_left(database: Database, folder: Path) -> None:
    _write(folder, **{f"f{number:02}": f"text number {number}" for number in range(30)})
    stop = threading.Event()

    def after_ten(_done: int, _total: int, name: str) -> None:
        if name == "f10.txt":
            stop.set()

    ingester = Ingester(database)
    report = ingest_folder(ingester, folder, progress=after_ten, stop=stop)
    assert (len(report.added), report.left) == (11, 19)
    rest = ingest_folder(ingester, folder)
    assert (len(rest.unchanged), len(rest.added), rest.left) == (11, 19, 0)


def test_an_ingest_out_of_time_says_what_is_left_and_the_next_goes_on(database: Database, folder: Path) -> None:
    _write(folder, a="alpha", b="beta")
    ingester = Ingester(database)
    report = ingest_folder(ingester, folder, seconds=-1)
    assert (report.left, report.added) == (2, [])
    assert len(ingest_folder(ingester, folder).added) == 2


def test_two_ingests_at_once_write_every_document_once(database: Database, folder: Path) -> None:
    _write(folder, **{f"f{number:02}": f"text number {number}" for number in range(40)})
    reports: list[IngestReport] = []
    threads = [
        threading.Thread(target=lambda: reports.append(ingest_folder(Ingester(Database(database.path)), folder)))
        for _ in range(2)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sum(len(report.added) for report in reports) == 40
    assert sum(len(report.unchanged) for report in reports) == 40
    assert all(not report.updated and not report.failed for report in reports)


def test_a_text_is_kept_under_its_label_and_replaced_under_it(database: Database) -> None:
    ingester = Ingester(database)
    assert ingester.text("# Title\n\nfirst words", "memo", {"by": "Ann"}).state == "added"
    assert ingester.text("# Title\n\nfirst words", "memo").state == "unchanged"
    assert ingester.text("# Title\n\nother words", "memo").state == "updated"
    with database.reading() as connection:
        kept = catalogue.documents(connection, catalogue.known_collection(connection, "default"))
        pages = list(catalogue.read_pages(connection, kept[0]))
    assert [(one.source, one.metadata, one.state.size) for one in kept] == [("memo", {"by": "Ann"}, None)]
    assert [(page.section_title, page.page_number) for page in pages] == [("Title", None)]


def test_text_that_cannot_be_kept_as_it_is_is_still_kept(database: Database) -> None:
    Ingester(database).text("half a pair \ud83d stays readable", "memo")
    assert _kept(database) == {"memo": "half a pair ? stays readable"}


def test_blank_texts_and_labels_are_refused(database: Database) -> None:
    with pytest.raises(NoTextError):
        Ingester(database).text(" \n ", "memo")
    with pytest.raises(InputError, match="label"):
        Ingester(database).text("words", " ")


def test_metadata_that_is_not_json_is_refused_before_anything_is_read(database: Database, folder: Path) -> None:
    _write(folder, a="alpha")
    for wrong in ({"when": object()}, {"ratio": float("nan")}):
        with pytest.raises(InputError, match="metadata"):
            ingest_folder(Ingester(database), folder, metadata=wrong)
    with database.reading() as connection:
        assert catalogue.collections(connection) == []


def test_a_folder_is_not_a_file_and_a_pipe_is_neither(database: Database, folder: Path) -> None:
    ingester = Ingester(database)
    with pytest.raises(InputError, match="folder"):
        ingester.file(folder)
    with pytest.raises(InputError, match="not a folder"):
        ingest_folder(ingester, folder / "missing")
    with pytest.raises(ReadError, match="cannot be opened"):
        ingester.file(folder / "missing.txt")
    os.mkfifo(folder / "pipe.txt")
    with pytest.raises(UnsupportedError, match="pipe"):
        ingester.file(folder / "pipe.txt")


def test_an_index_of_an_older_analyser_is_made_again_before_it_answers(database: Database, folder: Path) -> None:
    _write(folder, a="the harbour of granite", b="quartz")
    PageIndexRAG(database=database).ingest_dir(folder)
    dump = "SELECT * FROM postings ORDER BY 1, 2, 3, 4"
    with database.writing() as connection:
        fresh = connection.execute(dump).fetchall()
        connection.execute("UPDATE collections SET analyser = 'of old'")
        connection.execute("UPDATE documents SET language = 'xx'")
        connection.execute("DELETE FROM postings")
    told: list[tuple[int, int]] = []
    indexing.freshen(database, "default", lambda done, total: told.append((done, total)))
    assert told == [(2, 2)]
    with database.reading() as connection:
        assert connection.execute(dump).fetchall() == fresh
    with database.writing() as connection:
        connection.execute("UPDATE collections SET analyser = 'of old'")
    assert PageIndexRAG(database=database).retrieve("granite")[0].entry.name == "a.txt"


def test_millions_of_characters_in_one_line_are_pages_like_any_other(database: Database, folder: Path) -> None:
    path = folder / "line.txt"
    size = int(os.environ.get("RACTO_LINE_MB", "3")) * 1_000_000
    with path.open("w") as file:
        number = 0
        while file.tell() < size:
            number += 1
            file.write(f"entry {number} of the very long line " * 5)
    ingester = Ingester(database)
    assert ingester.file(path).pages > size // 1000
    found = PageIndexRAG(database=database).retrieve("1234", 3)
    assert found
    assert all("entry 1234 of" in one.entry.content for one in found)
