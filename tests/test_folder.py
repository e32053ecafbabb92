"""Folders of many files: read side by side, taken in order, and few of them in memory."""

from __future__ import annotations

import dataclasses
import gc
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from racto.knowledge import catalogue, folder
from racto.knowledge.database import Database
from racto.knowledge.documents import Document
from racto.knowledge.folder import LOOK_AHEAD, IngestReport, ingest_folder
from racto.knowledge.ingest import Ingester
from racto.knowledge.readers import FileReaderRegistry, isolation

from .files import docx_bytes, paragraph, pdf_bytes
from .meeting import TRACE, Meeting

MOST_MIB = 32
"""What 10,000 files may take above what a hundred take."""


@pytest.fixture
def place(tmp_path: Path) -> Path:
    made = tmp_path / "documents"
    made.mkdir()
    return made


@pytest.fixture
def workers(monkeypatch: pytest.MonkeyPatch) -> Iterator[isolation.Pool]:
    """Two reading processes, however many processors there are."""
    pool = isolation.Pool(2)
    monkeypatch.setattr(isolation, "WORKERS", pool)
    yield pool
    pool.close()


@pytest.fixture
def ingester(tmp_path: Path, workers: isolation.Pool) -> Iterator[Ingester]:
    database = Database(tmp_path / "racto.db")
    yield Ingester(database, registry=FileReaderRegistry([Meeting()]))
    database.close()


def _write(place: Path, **orders: str) -> None:
    for name, order in orders.items():
        (place / f"{name}.meet").write_text(f"{order}\nThe text of {name}.")


def _names(sources: list[str]) -> list[str]:
    return [Path(source).stem for source in sources]


def _traced(place: Path) -> list[str]:
    return [Path(name).stem for name in (place.parent / TRACE).read_text().split()]


def test_files_are_read_side_by_side_and_taken_in_order(place: Path, ingester: Ingester) -> None:
    os.mkfifo(place.parent / "pipe")
    _write(place, a="wait pipe", b="tell pipe", c="", d="")  # alone, a would wait until it is given up
    told: list[str] = []
    report = ingest_folder(ingester, place, progress=lambda done, total, name: told.append(name))
    assert report.failed == []
    assert _names(report.added) == ["a", "b", "c", "d"]
    assert [name for name in told if name] == ["a.meet", "b.meet", "c.meet", "d.meet"]


def test_a_crash_over_one_file_is_told_in_its_place_and_the_others_are_read(place: Path, ingester: Ingester) -> None:
    _write(place, a="", b="crash", c="", d="crash", e="", f="")
    report = ingest_folder(ingester, place)
    assert _names(report.added) == ["a", "c", "e", "f"]
    assert [(Path(source).stem, code) for source, code, _ in report.failed] == [
        ("b", "unreadable"),
        ("d", "unreadable"),
    ]


def test_a_stopped_ingest_does_not_wait_for_a_file_that_hangs(place: Path, ingester: Ingester) -> None:
    os.mkfifo(place.parent / "pipe")
    _write(place, a="", b="wait pipe", c="")
    stop = threading.Event()
    report = ingest_folder(ingester, place, progress=lambda *_: stop.set(), stop=stop)
    assert (_names(report.added), report.left) == (["a"], 2)
    reading = [thread for thread in threading.enumerate() if thread.name == "racto-read-ahead"]
    assert reading  # b: nobody waited until it was given up
    pipe = os.open(place.parent / "pipe", os.O_RDWR)
    for thread in reading:
        thread.join()
    os.close(pipe)


def test_the_same_bytes_are_read_once_though_both_files_are_looked_at_together(place: Path, ingester: Ingester) -> None:
    for name in ("a", "b", "c"):
        (place / f"{name}.meet").write_text("the same text")
    report = ingest_folder(ingester, place)
    assert _names(report.added) == ["a"]
    assert [(Path(file).stem, Path(first).stem) for file, first in report.duplicates] == [("b", "a"), ("c", "a")]
    assert _traced(place) == ["a"]


def test_the_same_bytes_are_read_again_when_the_first_file_with_them_fails(place: Path, ingester: Ingester) -> None:
    for name in ("a", "b"):
        (place / f"{name}.meet").write_text("crash")
    report = ingest_folder(ingester, place)
    assert [Path(source).stem for source, _, _ in report.failed] == ["a", "b"]
    assert report.duplicates == []
    assert _traced(place) == ["a", "b"]


def test_a_file_that_changes_before_its_turn_is_read_as_it_is_then(place: Path, ingester: Ingester) -> None:
    _write(place, a="", b="", c="")

    def rewrite(_done: int, _total: int, name: str) -> None:
        if name == "a.meet":
            _write(place, b="changed meanwhile")

    report = ingest_folder(ingester, place, progress=rewrite)
    assert (_names(report.added), report.failed) == (["a", "b", "c"], [])
    with ingester.database.reading() as connection:
        kept = catalogue.document_at(
            connection, catalogue.known_collection(connection, "default"), str(place / "b.meet")
        )
        assert kept
        assert "changed meanwhile" in catalogue.text_of(catalogue.read_pages(connection, kept))


def test_what_is_kept_is_not_read_ahead_again(place: Path, ingester: Ingester) -> None:
    _write(place, a="", b="", c="", d="", e="")
    ingest_folder(ingester, place)
    assert sorted(_traced(place)) == ["a", "b", "c", "d", "e"]
    assert _names(ingest_folder(ingester, place).unchanged) == ["a", "b", "c", "d", "e"]
    assert len(_traced(place)) == 5


def test_looking_ahead_changes_nothing_in_the_report(
    place: Path, tmp_path: Path, workers: isolation.Pool, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in range(6):
        (place / f"{number}.pdf").write_bytes(pdf_bytes([f"page {page} of {number}" for page in range(5)]))
        (place / f"{number}-again.pdf").write_bytes((place / f"{number}.pdf").read_bytes())
        (place / f"{number}.docx").write_bytes(docx_bytes(paragraph(f"Letter {number}")))
        (place / f"{number}.txt").write_text(f"note {number}")
    (place / "0-broken.pdf").write_bytes(b"%PDF-1.7\nnothing of the kind")
    (place / "1-empty.pdf").write_bytes(b"")
    (place / "2-film.mp4").write_bytes(b"\0\0\0\x18ftyp")
    (place / "3-link.pdf").symlink_to("gone")

    def report(name: str, ahead: int) -> tuple[IngestReport, list[str]]:
        monkeypatch.setattr(folder, "LOOK_AHEAD", ahead)
        told: list[str] = []
        database = Database(tmp_path / name)
        made = ingest_folder(Ingester(database), place, progress=lambda done, total, name: told.append(name))
        database.close()
        return dataclasses.replace(made, seconds=0), [name for name in told if name]

    alone, together = report("alone.db", 1), report("together.db", LOOK_AHEAD)
    assert alone == together
    assert (len(alone[0].added), len(alone[0].duplicates), len(alone[0].failed)) == (18, 6, 3)
    assert len(alone[1]) == 28


def test_no_more_documents_are_held_than_are_looked_ahead(place: Path, tmp_path: Path, workers: isolation.Pool) -> None:
    for number in range(30):
        (place / f"{number:02}.pdf").write_bytes(pdf_bytes([f"page {page} of {number}" for page in range(3)]))
    held: list[int] = []

    def count(*_: object) -> None:
        for thread in threading.enumerate():
            if thread.name == "racto-read-ahead":
                thread.join()  # the worst case: all that was begun is there
        held.append(sum(type(one) is Document for one in gc.get_objects()) - before)

    gc.collect()
    before = sum(type(one) is Document for one in gc.get_objects())
    database = Database(tmp_path / "racto.db")
    assert len(ingest_folder(Ingester(database), place, progress=count).added) == 30
    database.close()
    assert max(held) == LOOK_AHEAD
    assert held[-1] == 0


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells the memory of a process in this way")
def test_ten_thousand_files_take_no_more_memory_than_a_few(place: Path, tmp_path: Path) -> None:
    program = """
import sys, weakref
from pathlib import Path
from racto.knowledge.database import Database
from racto.knowledge.documents import Document
from racto.knowledge.folder import ingest_folder
from racto.knowledge.ingest import Ingester
from racto.knowledge.readers import BaseReader, FileReaderRegistry

class Watched(Document):
    "One whose end is seen."
    __hash__ = object.__hash__

class Counting(BaseReader):
    live, most = weakref.WeakSet(), 0
    supported_extensions = frozenset({".txt"})
    def read(self, path):
        document = Watched(path.read_text(), str(path))
        self.live.add(document)
        Counting.most = max(Counting.most, len(self.live))
        return document

def peak():
    (line,) = [line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("VmHWM:")]
    return int(line.split()[1]) // 1024

place = Path(sys.argv[1])
ingester = Ingester(Database(place.parent / "racto.db"), registry=FileReaderRegistry([Counting()]))
ingest_folder(ingester, place, "*/[0-9][0-9].txt")
few = peak()
added = len(ingest_folder(ingester, place).added)
print(added, Counting.most, few, peak() - few)
"""
    for number in range(10_000):
        below = place / str(number % 100)
        below.mkdir(exist_ok=True)
        (below / f"{number:02}.txt").write_text(f"number {number} " * (90_000 if number % 1000 == 0 else 3))
    path = os.pathsep.join(entry for entry in sys.path if entry)
    output = subprocess.check_output(
        [sys.executable, "-c", program, str(place)], text=True, env={**os.environ, "PYTHONPATH": path}
    )
    print(output)
    added, live, _, grown = map(int, output.split())
    assert added == 9_900
    assert live == 1
    assert grown <= MOST_MIB
