"""What is acknowledged survives `kill -9`, a full disk and a second writer; what is not is absent as a whole."""

from __future__ import annotations

import os
import random
import shutil
import sqlite3
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from racto.knowledge import indexing
from racto.knowledge.catalogue import collection_named
from racto.knowledge.database import Database
from racto.knowledge.errors import CorruptError, DiskFullError, StorageError
from racto.knowledge.folder import IngestReport, ingest_folder
from racto.knowledge.ingest import Ingester
from racto.knowledge.pages import PageIndexRAG

RUNS = int(os.environ.get("RACTO_CRASH_RUNS", "25"))
CHILD = Path(__file__).with_name("crash_child.py")
QUERIES = ("copper river delta", "the edition of file 17 and file 90")
_WORDS = [
    "copper",
    "river",
    "delta",
    "granite",
    "harbour",
    "quartz",
    "lantern",
    "meadow",
    "orchard",
    "pepper",
    "velvet",
]


@pytest.mark.parametrize("scenario", ["fresh", "update"])
def test_a_killed_ingest_keeps_every_acknowledged_document_and_no_half_one(tmp_path: Path, scenario: str) -> None:
    corpus = _Corpus.make(tmp_path, scenario)
    chance = random.Random(scenario)
    wanted = (RUNS + 1) // 2
    killed = partly = attempts = 0
    while killed < wanted:
        attempts += 1
        assert attempts <= 4 * wanted, "the processes end before they can be killed"
        database = tmp_path / f"run-{attempts}.db"
        corpus.prepare(database)
        acknowledged = _kill_at_random(database, corpus, chance)
        if acknowledged is None:
            continue
        killed += 1
        partly += 0 < acknowledged < len(corpus.files)
        found = _state(database)
        for path in corpus.files[:acknowledged]:
            assert found.documents[path] == corpus.after.documents[path], f"{path} was acknowledged and is lost"
        for path, document in found.documents.items():
            versions = (corpus.before.documents.get(path), corpus.after.documents.get(path))
            assert document in versions, f"{path} is neither the old document nor the new one"
        assert found.index_is_fresh, "the index disagrees with the pages"
        assert not _ingest(database, corpus.folder).failed
        assert _state(database) == corpus.after, "resuming did not lead where an undisturbed ingest leads"
        database.unlink()
    print(f"{scenario}: {killed} killed in {attempts} attempts, {partly} of them between acknowledgements")
    assert partly >= wanted // 4, "too few processes were killed between two acknowledgements"


def test_a_full_disk_is_named_and_what_was_acknowledged_stays(small_disk: Path, tmp_path: Path) -> None:
    folder = tmp_path / "documents"
    folder.mkdir()
    _write_files(folder, range(700), "first")
    settled: list[int] = []
    database = Database(small_disk / "racto.db")
    with pytest.raises(DiskFullError, match="no room") as caught:
        ingest_folder(Ingester(database), folder, progress=lambda done, total, name: settled.append(done))
    assert "Free some space" in caught.value.hint
    database.close()
    (small_disk / "ballast").unlink()
    kept = _state(small_disk / "racto.db")
    assert kept.index_is_fresh
    assert 0 < max(settled) <= len(kept.documents) < 700
    database = Database(small_disk / "racto.db")
    assert not ingest_folder(Ingester(database), folder).failed
    assert PageIndexRAG(database=database).document_count == 700
    database.close()


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system with two megabytes left, and a file `ballast` to delete for more."""
    disk = tmp_path / "disk"
    disk.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=16m", "none", disk], capture_output=True, check=False)
    if mounted.returncode:
        pytest.skip(f"a small disk needs the right to mount one: {mounted.stderr.decode().strip()}")
    try:
        (disk / "ballast").write_bytes(b"x" * (14 << 20))
        yield disk
    finally:
        subprocess.run(["umount", disk], check=True)


def test_a_limit_on_file_sizes_is_reported_like_a_full_disk(tmp_path: Path) -> None:
    folder = tmp_path / "documents"
    folder.mkdir()
    _write_files(folder, range(300), "first")
    limited = (
        "import resource, runpy, sys; resource.setrlimit(resource.RLIMIT_FSIZE, (600_000, 600_000)); "
        "runpy.run_path(sys.argv.pop(1), run_name='__main__')"
    )
    database = tmp_path / "racto.db"
    child = subprocess.run(
        [sys.executable, "-c", limited, CHILD, database, folder],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert child.returncode == 1
    assert "racto.knowledge.errors.DiskFullError" in child.stderr
    acknowledged = int(child.stdout.split()[-1])
    kept = _state(database)
    assert kept.index_is_fresh
    assert 0 < acknowledged <= len(kept.documents) < 300


def test_a_damaged_database_is_recognised_and_the_way_out_named(tmp_path: Path) -> None:
    database = tmp_path / "racto.db"
    database.write_bytes(b"This is not a database, it only has its name. " * 200)
    index = PageIndexRAG(path=database)
    with pytest.raises(CorruptError, match="doctor --rebuild"):
        index.retrieve("anything")
    with pytest.raises(CorruptError, match="doctor --rebuild"):
        index.ingest_text("some text", "note")


def test_pages_overwritten_inside_the_file_are_recognised(tmp_path: Path) -> None:
    folder, path = tmp_path / "documents", tmp_path / "racto.db"
    folder.mkdir()
    _write_files(folder, range(60), "first")
    database = Database(path)
    ingest_folder(Ingester(database), folder)
    database.close()
    size = path.stat().st_size
    with path.open("r+b") as file:
        for offset in range(4096 * 8, size, 4096 * 2):
            file.seek(offset)
            file.write(os.urandom(2048))
    index = PageIndexRAG(path=path)
    with pytest.raises(CorruptError, match="doctor --rebuild"):
        _ = [index.retrieve(query, 50) for query in QUERIES]


def test_nothing_is_acknowledged_in_a_database_that_was_removed(tmp_path: Path) -> None:
    path = tmp_path / "racto.db"
    with PageIndexRAG(path=path) as index:
        index.ingest_text("first", "a")
        path.rename(tmp_path / "aside.db")
        for call in (lambda: index.ingest_text("second", "b"), lambda: index.retrieve("first")):
            with pytest.raises(StorageError, match="removed or replaced"):
                call()
        (tmp_path / "aside.db").rename(path)
        assert index.retrieve("first")


def test_a_database_that_may_not_be_written_says_so() -> None:
    program = (
        "import os, sys\n"
        "from racto.knowledge.pages import PageIndexRAG\n"
        "if os.getuid() == 0: os.seteuid(65534)\n"  # root may write everything
        "try: PageIndexRAG(path=sys.argv[1]).retrieve('granite')\n"
        "except Exception as error: print(type(error).__name__, error)\n"
    )
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "racto.db"
        with PageIndexRAG(path=path) as index:
            index.ingest_text("Granite is an igneous rock.", "rocks")
        path.chmod(0o444)
        Path(folder).chmod(0o555)
        try:
            output = subprocess.check_output([sys.executable, "-c", program, path], text=True, timeout=60)
        finally:
            Path(folder).chmod(0o755)
    assert output.startswith("StorageError")
    assert "read-only" in output
    assert "writable" in output


def test_two_processes_fill_one_file_while_a_third_reads_whole_documents(tmp_path: Path) -> None:
    path = tmp_path / "racto.db"
    Database(path).close()
    folders = [tmp_path / "one", tmp_path / "two"]
    for folder, numbers in zip(folders, (range(150), range(150, 300)), strict=True):
        folder.mkdir()
        _write_files(folder, numbers, "first")
    children = [_start(path, folder) for folder in folders]
    index = PageIndexRAG(path=path)
    looked = 0
    while any(child.poll() is None for child in children):
        for found in index.retrieve("granite harbour", 10):
            entry = found.entry
            number = int(entry.name[5:8])
            assert f"File {number}, first edition" in entry.heading_path[0]
            looked += 1
        with index.database.reading() as connection:
            halves = connection.execute(
                "SELECT count(*) FROM documents WHERE page_count != "
                "(SELECT count(*) FROM pages WHERE pages.document_id = documents.id)"
            )
            assert halves.fetchone()[0] == 0
    for child in children:
        child.communicate(timeout=60)
        assert child.returncode == 0
    assert looked > 100
    index.close()
    kept = _state(path)
    assert len(kept.documents) == 300
    assert kept.index_is_fresh


@dataclass
class _State:
    """What a database file holds: by source, all that is kept of a document; and what searches find."""

    documents: dict[str, Any]
    answers: list[Any]
    index_is_fresh: bool


@dataclass
class _Corpus:
    """A folder, and what a database holds before and after an undisturbed ingest of it."""

    folder: Path
    files: list[str]
    start: Path | None
    before: _State
    after: _State
    seconds: float

    @classmethod
    def make(cls, tmp_path: Path, scenario: str) -> _Corpus:
        folder, start = tmp_path / "documents", None
        folder.mkdir()
        before = _State({}, [], True)
        _write_files(folder, range(120), "first")
        if scenario == "update":
            start = tmp_path / "start.db"
            _ingest(start, folder)
            before = _state(start)
            _write_files(folder, range(0, 120, 2), "second")
            _write_files(folder, range(120, 140), "first")
            for number in range(1, 120, 10):
                (folder / f"file-{number:03}.md").unlink()
        files = sorted(str(path) for path in folder.iterdir())
        corpus = cls(folder, files, start, before, before, 0.0)
        undisturbed = tmp_path / "undisturbed.db"
        corpus.prepare(undisturbed)
        child = _start(undisturbed, folder)
        begun = time.monotonic()
        child.communicate(timeout=60)
        corpus.seconds = time.monotonic() - begun
        corpus.after = _state(undisturbed)
        assert set(corpus.after.documents) == set(files)
        return corpus

    def prepare(self, database: Path) -> None:
        """Put the file there that the process will find."""
        if self.start:
            assert not self.start.with_name(f"{self.start.name}-wal").exists(), "it is still open"
            shutil.copy(self.start, database)


def _ingest(path: Path, folder: Path) -> IngestReport:
    """What the process does, here and undisturbed."""
    database = Database(path)
    try:
        return ingest_folder(Ingester(database), folder, metadata={"kept": "yes"}, prune=True)
    finally:
        database.close()


def _write_files(folder: Path, numbers: range, edition: str) -> None:
    for number in numbers:
        chance = random.Random(f"{number} {edition}")
        paragraphs = (" ".join(chance.choices(_WORDS, k=chance.randint(5, 120))) for _ in range(chance.randint(1, 8)))
        text = f"# File {number}, {edition} edition\n\n" + "\n\n## Part\n\n".join(paragraphs)
        (folder / f"file-{number:03}.md").write_text(text)


def _start(database: Path, folder: Path) -> subprocess.Popen[str]:
    """The process, ready to begin."""
    child = subprocess.Popen([sys.executable, CHILD, database, folder], stdout=subprocess.PIPE, text=True)
    assert child.stdout is not None
    assert child.stdout.readline() == "ready\n"
    return child


def _kill_at_random(database: Path, corpus: _Corpus, chance: random.Random) -> int | None:
    """How many files were acknowledged when the process was killed; `None` when it had finished before."""
    child = _start(database, corpus.folder)
    begun = time.monotonic()
    try:
        child.wait(timeout=chance.uniform(0, corpus.seconds))
        corpus.seconds = time.monotonic() - begun  # the machine is faster now than it was
    except subprocess.TimeoutExpired:
        child.kill()
    output, _ = child.communicate(timeout=60)
    lines = output.split("\n")[:-1]  # the last one may be cut
    return None if "end" in lines else int(lines[-1]) if lines else 0


def _state(path: Path) -> _State:
    with sqlite3.connect(path) as connection:
        assert connection.execute("PRAGMA integrity_check").fetchone()[0] == "ok"
    connection.close()
    database = Database(path)
    with database.reading() as connection:
        documents = {
            row[0]: (
                *row,
                connection.execute(
                    "SELECT number, start_char, end_char, section_title, heading_path, keywords, content FROM pages "
                    "WHERE document_id = ? ORDER BY id",
                    (document_id,),
                ).fetchall(),
            )
            for document_id, *row in connection.execute(
                "SELECT id, source, doc_id, name, type, language, size, modified_ns, sha256, recipe, page_count, char_count, "
                "metadata, notes, outline FROM documents"
            )
        }
        for document in documents.values():
            assert len(document[-1]) == document[9] > 0, "a document without all of its pages"
        orphans = connection.execute("SELECT count(*) FROM pages WHERE document_id NOT IN (SELECT id FROM documents)")
        assert orphans.fetchone()[0] == 0
    index = PageIndexRAG(database=database)
    answers = [
        sorted((-one.score, one.entry.source, one.entry.position, one.snippet) for one in index.retrieve(query, 1000))
        for query in QUERIES
    ]
    fresh = _index_is_fresh(database)
    database.close()
    return _State(documents, answers, fresh)


def _index_is_fresh(database: Database) -> bool:
    """Whether the stored postings are those that indexing the stored pages anew would make."""
    with database.writing() as connection:
        dump = "SELECT * FROM postings ORDER BY 1, 2, 3, 4"
        stored = connection.execute(dump).fetchall()
        if collection := collection_named(connection, "default"):
            indexing.reindex(connection, collection)
        same = connection.execute(dump).fetchall() == stored
        connection.rollback()
    return same
