"""Bytes are read as files are, and nothing of them is left."""

from __future__ import annotations

import io
import os
import select
import signal
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest
from racto.knowledge.errors import LimitError, NoTextError, ReadError, UnsupportedError
from racto.knowledge.readers import FileReaderRegistry, read_document

from .files import docx_bytes, paragraph, pdf_bytes, written
from .hostile import samples

linux = pytest.mark.skipif(sys.platform != "linux", reason="elsewhere a killed process may leave a temporary file")


def test_bytes_of_every_format_give_what_their_file_gives(tmp_path: Path) -> None:
    looked = 0
    for extension, data in samples().items():
        if extension in {".png", ".gif", ".tiff", ".jpg"}:
            continue  # they need programs that may not be there
        file = written(tmp_path / f"file{extension}", data)
        given, kept = read_document(data, name=f"folder/file{extension}"), read_document(file)
        assert (given.content, given.pages, given.headings, given.type) == (
            kept.content,
            kept.pages,
            kept.headings,
            kept.type,
        )
        assert (given.source, kept.source) == (f"folder/file{extension}", str(file))
        looked += 1
    assert looked >= 9


def test_an_open_file_is_read_from_where_it_stands() -> None:
    stream = io.BytesIO(b"skipped;kept")
    stream.seek(8)
    assert FileReaderRegistry().read(stream, "a.txt").content == "kept"


def test_errors_say_the_name_it_was_given() -> None:
    with pytest.raises(ReadError, match=r"^report\.pdf is not a PDF"):
        read_document(b"no such thing", name="report.pdf")
    with pytest.raises(UnsupportedError, match=r"^a\.txt is not text"):
        read_document(pdf_bytes(["x"]), name="a.txt")
    with pytest.raises(NoTextError, match=r"^a\.docx holds no text"):
        read_document(docx_bytes(""), name="a.docx")
    with pytest.raises(NoTextError, match=r"^a\.txt is empty"):
        read_document(b"", name="a.txt")


def test_bytes_without_a_name_or_with_a_strange_one_are_refused() -> None:
    for name in ("", "report", "report.xyz", ".txt"):
        with pytest.raises(ValueError, match="There is no reader"):
            read_document(b"text", name=name)


def test_more_than_may_be_read_is_refused() -> None:
    for source in (b"x" * 1001, io.BytesIO(b"x" * 5000)):
        with pytest.raises(LimitError, match=r"a\.txt"):
            read_document(source, name="a.txt", max_bytes=1000)
    assert read_document(b"x" * 1000, name="a.txt", max_bytes=1000).content == "x" * 1000


@linux
def test_nothing_is_written_to_a_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    descriptors = len(list(Path("/proc/self/fd").iterdir()))
    for _ in range(3):
        assert read_document(docx_bytes(paragraph("text")), name="a.docx").content == "text"
        assert read_document(b"text", name="../../a.txt").content == "text"
    assert not list(tmp_path.iterdir())
    assert len(list(Path("/proc/self/fd").iterdir())) <= descriptors + 3  # the reading process may have come up


@linux
def test_a_killed_process_leaves_no_file_and_no_reading_process(tmp_path: Path) -> None:
    program = """
import sys
from racto.knowledge.readers import isolation
from racto.knowledge.handed import handed
from tests import unruly
from pathlib import Path
worker = isolation.Worker()
with handed(b"private", "letter.unruly", 100) as path:
    print(worker.read(unruly.Unruly(), path).content, flush=True)
    worker.read(unruly.Hanging(), path)
"""
    environment = {
        **os.environ,
        "TMPDIR": str(tmp_path),
        "PYTHONPATH": os.pathsep.join(entry for entry in sys.path if entry),
    }
    with subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, env=environment) as process:
        assert process.stdout
        reader = os.pidfd_open(int(process.stdout.readline()))
        process.send_signal(signal.SIGKILL)
        ended, _, _ = select.select([reader], [], [], 10)
        os.close(reader)
    assert ended
    assert not list(tmp_path.iterdir())
