"""A folder that is followed: what happens in it happens in the collection."""

from __future__ import annotations

import os
import queue
import shutil
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from time import monotonic

import pytest
from racto.knowledge import catalogue
from racto.knowledge.database import Database
from racto.knowledge.documents import Document
from racto.knowledge.errors import InputError, ReadError
from racto.knowledge.ingest import Ingester
from racto.knowledge.readers import BaseReader, FileReaderRegistry
from racto.knowledge.watching import WatchReport, watch, watchable

PATIENCE = 60.0
"""Seconds until an event is given up on; it comes within two or three."""


class Watched:
    """A folder, what is kept of it, and what the watcher said."""

    def __init__(self, tmp_path: Path, ingester: Ingester, *, polling: bool = False, pattern: str = "**/*") -> None:
        self.folder = tmp_path / "documents"
        self.folder.mkdir(exist_ok=True)
        self.ingester = ingester
        self.stop = threading.Event()
        self._reports: queue.Queue[WatchReport] = queue.Queue()
        self._failure: list[BaseException] = []
        self._thread = threading.Thread(target=self._run, args=(pattern, polling))

    def _run(self, pattern: str, polling: bool) -> None:
        try:
            watch(self.ingester, self.folder, pattern, stop=self.stop, on_report=self._reports.put, polling=polling)
        except BaseException as error:
            self._failure.append(error)

    def start(self) -> WatchReport:
        """Begin, and the first report."""
        self._thread.start()
        return self.report()

    def report(self) -> WatchReport:
        """The next report."""
        return self._reports.get(timeout=PATIENCE)

    def until(self, happened: Callable[[], bool]) -> list[WatchReport]:
        """The reports until something is so."""
        reports: list[WatchReport] = []
        while not happened():
            reports.append(self.report())
        return reports

    def end(self) -> float:
        """Stop; seconds it took."""
        begun = monotonic()
        self.stop.set()
        self._thread.join(PATIENCE)
        assert not self._thread.is_alive()
        assert not self._failure
        return monotonic() - begun

    def kept(self) -> dict[str, str]:
        """File name → text."""
        with self.ingester.database.reading() as connection:
            found = catalogue.collection_named(connection, "default")
            documents = catalogue.documents(connection, found) if found else []
            return {one.name: catalogue.text_of(catalogue.read_pages(connection, one)) for one in documents}


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Database]:
    made = Database(tmp_path / "racto.db")
    yield made
    made.close()


@pytest.fixture(params=["notified", "polling"])
def watched(request: pytest.FixtureRequest, tmp_path: Path, database: Database) -> Iterator[Watched]:
    if request.param == "notified":
        pytest.importorskip("watchfiles")
    made = Watched(tmp_path, Ingester(database), polling=request.param == "polling")
    (made.folder / "a.txt").write_text("alpha")
    yield made
    made.end()


def test_what_happens_in_the_folder_happens_in_the_collection(watched: Watched) -> None:
    first = watched.start()
    assert [Path(one).name for one in first.ingested.added] == ["a.txt"]
    (watched.folder / "b.txt").write_text("beta")
    watched.until(lambda: watched.kept() == {"a.txt": "alpha", "b.txt": "beta"})
    (watched.folder / "a.txt").write_text("alpha the second")
    watched.until(lambda: watched.kept() == {"a.txt": "alpha the second", "b.txt": "beta"})
    (watched.folder / "b.txt").unlink()
    watched.until(lambda: watched.kept() == {"a.txt": "alpha the second"})
    (watched.folder / "deep").mkdir()
    (watched.folder / "deep" / "c.txt").write_text("gamma")
    watched.until(lambda: "c.txt" in watched.kept())
    assert watched.end() < 1.0


def test_a_renamed_file_keeps_what_was_said_of_it(watched: Watched) -> None:
    watched.ingester.file(watched.folder / "a.txt", {"year": 1999})
    watched.start()
    (watched.folder / "a.txt").rename(watched.folder / "z.txt")
    reports = watched.until(lambda: list(watched.kept()) == ["z.txt"])
    assert [Path(one).name for report in reports for one in report.ingested.updated] == ["z.txt"]
    assert not any(report.ingested.removed for report in reports)
    with watched.ingester.database.reading() as connection:
        found = catalogue.known_collection(connection, "default")
        assert catalogue.documents(connection, found)[0].metadata == {"year": 1999}


def test_a_renamed_folder_is_followed(watched: Watched) -> None:
    (watched.folder / "old").mkdir()
    (watched.folder / "old" / "c.txt").write_text("gamma")
    watched.start()
    (watched.folder / "old").rename(watched.folder / "new")
    watched.until(lambda: _sources(watched) == {"a.txt", "new/c.txt"})


def _sources(watched: Watched) -> set[str]:
    with watched.ingester.database.reading() as connection:
        found = catalogue.known_collection(connection, "default")
        return {
            Path(one.source).relative_to(watched.folder.resolve()).as_posix()
            for one in catalogue.documents(connection, found)
        }


def test_a_folder_that_vanishes_keeps_its_documents_and_is_followed_when_it_is_back(
    watched: Watched, tmp_path: Path
) -> None:
    watched.start()
    watched.folder.rename(tmp_path / "unplugged")
    assert "gone" in watched.report().problem
    assert watched.kept() == {"a.txt": "alpha"}
    (tmp_path / "unplugged" / "b.txt").write_text("beta")
    (tmp_path / "unplugged").rename(watched.folder)
    watched.until(lambda: watched.kept() == {"a.txt": "alpha", "b.txt": "beta"})
    (watched.folder / "c.txt").write_text("gamma")
    watched.until(lambda: "c.txt" in watched.kept())


def test_another_folder_under_the_name_is_followed_as_it_is(watched: Watched, tmp_path: Path) -> None:
    watched.start()
    other = tmp_path / "other"
    other.mkdir()
    (other / "x.txt").write_text("xi")
    shutil.rmtree(watched.folder)
    other.rename(watched.folder)
    watched.until(lambda: watched.kept() == {"x.txt": "xi"})
    (watched.folder / "y.txt").write_text("ypsilon")
    watched.until(lambda: "y.txt" in watched.kept())


class FailingReader(BaseReader):
    """Refuses a file the first times."""

    def __init__(self, failures: int) -> None:
        self.left = failures
        self.reads = 0

    @property
    def supported_extensions(self) -> frozenset[str]:
        return frozenset({".txt"})

    def read(self, path: Path) -> Document:
        self.reads += 1
        if path.name == "half.txt" and self.left:
            self.left -= 1
            raise ReadError("It is half written.", "Wait.")
        return Document(path.read_text(), str(path))


def test_a_file_that_could_not_be_read_is_tried_again_and_the_rest_goes_on(tmp_path: Path, database: Database) -> None:
    reader = FailingReader(2)
    watched = Watched(tmp_path, Ingester(database, registry=FileReaderRegistry([reader])))
    (watched.folder / "half.txt").write_text("whole now")
    first = watched.start()
    assert [code for _, code, _ in first.ingested.failed] == ["unreadable"]
    (watched.folder / "b.txt").write_text("beta")
    watched.until(lambda: watched.kept() == {"half.txt": "whole now", "b.txt": "beta"})
    watched.end()


def test_a_file_that_can_never_be_read_is_left_alone_after_a_few_tries(tmp_path: Path, database: Database) -> None:
    reader = FailingReader(1000)
    watched = Watched(tmp_path, Ingester(database, registry=FileReaderRegistry([reader])))
    (watched.folder / "half.txt").write_text("never")
    watched.start()
    (watched.folder / "b.txt").write_text("beta")
    watched.until(lambda: "b.txt" in watched.kept())
    for number in range(4):
        (watched.folder / "b.txt").write_text(f"beta {number}")
        watched.until(lambda number=number: watched.kept().get("b.txt") == f"beta {number}")  # type: ignore[misc]  # a default binds it now
    assert 1000 - reader.left == 3
    (watched.folder / "half.txt").write_text("never, but changed")
    tried = 1000 - reader.left
    watched.until(lambda: 1000 - reader.left > tried)
    watched.end()


def test_a_database_that_cannot_be_used_is_told_once_and_does_not_end_it(tmp_path: Path, database: Database) -> None:
    watched = Watched(tmp_path, Ingester(database))
    (watched.folder / "a.txt").write_text("alpha")
    watched.start()
    database.path.rename(tmp_path / "away.db")
    (watched.folder / "b.txt").write_text("beta")
    assert "removed or replaced" in watched.report().problem
    (tmp_path / "away.db").rename(database.path)
    watched.until(lambda: watched.kept() == {"a.txt": "alpha", "b.txt": "beta"})
    watched.end()


def test_hidden_files_and_those_that_do_not_match_are_not_looked_at(tmp_path: Path, database: Database) -> None:
    watched = Watched(tmp_path, Ingester(database), pattern="**/*.txt")
    assert watched.start().ingested.added == []
    (watched.folder / ".git").mkdir()
    (watched.folder / ".git" / "c.txt").write_text("hidden")
    (watched.folder / "d.md").write_text("delta")
    (watched.folder / "e.txt").write_text("epsilon")
    watched.until(lambda: "e.txt" in watched.kept())
    assert list(watched.kept()) == ["e.txt"]
    watched.end()


def test_only_what_changed_is_looked_at(tmp_path: Path, database: Database) -> None:
    pytest.importorskip("watchfiles")
    watched = Watched(tmp_path, Ingester(database))
    for number in range(50):
        (watched.folder / f"{number}.txt").write_text(f"file {number}")
    assert len(watched.start().ingested.added) == 50
    (watched.folder / "7.txt").write_text("changed")
    reports = watched.until(lambda: watched.kept()["7.txt"] == "changed")
    assert sum(len(report.ingested.unchanged) for report in reports) <= 1
    watched.end()


def test_what_cannot_be_followed_is_said_at_once(tmp_path: Path, database: Database) -> None:
    (tmp_path / "a.txt").write_text("alpha")
    for folder, pattern in ((tmp_path / "a.txt", "**/*"), (tmp_path / "none", "**/*"), (tmp_path, "/etc/*")):
        with pytest.raises(InputError):
            watchable(folder, pattern)
    with pytest.raises(InputError):
        watch(Ingester(database), tmp_path, "/etc/*", stop=threading.Event(), on_report=lambda _: None)


def test_a_folder_that_comes_later_is_followed_when_it_is_there(tmp_path: Path, database: Database) -> None:
    watched = Watched(tmp_path, Ingester(database))
    watched.folder.rename(tmp_path / "unplugged")
    assert "is gone" in watched.start().problem
    (tmp_path / "unplugged" / "a.txt").write_text("alpha")
    (tmp_path / "unplugged").rename(watched.folder)
    assert [Path(one).name for one in watched.report().ingested.added] == ["a.txt"]
    watched.end()


def test_without_watchfiles_the_folder_is_polled(
    tmp_path: Path, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "watchfiles", None)  # as Python says that it is not installed
    monkeypatch.setitem(sys.modules, "watchfiles._rust_notify", None)
    watched = Watched(tmp_path, Ingester(database))
    watched.start()
    (watched.folder / "a.txt").write_text("alpha")
    os.utime(watched.folder / "a.txt")
    watched.until(lambda: watched.kept() == {"a.txt": "alpha"})
    watched.end()
