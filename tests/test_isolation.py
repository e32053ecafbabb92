"""Reading in a process of its own: whatever that process does, the caller gets a document or an error, and soon."""

from __future__ import annotations

import os
import select
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from racto.knowledge.errors import ReadError
from racto.knowledge.readers.isolation import Worker

from . import unruly
from .files import written

linux = pytest.mark.skipif(
    sys.platform != "linux", reason="only Linux limits memory and tells the end of another process"
)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return written(tmp_path / "file.unruly", "text")


@pytest.fixture
def worker() -> Iterator[Worker]:
    one = Worker(stall_seconds=2, total_seconds=20)
    yield one
    one.close()


def test_the_process_is_kept_for_the_next_file(worker: Worker, file: Path) -> None:
    first = worker.read(unruly.Unruly(), file)
    second = worker.read(unruly.Unruly(), file)
    assert first.content == second.content == str(worker.pid)
    assert worker.pid != os.getpid()
    assert first.doc_id != second.doc_id


def test_a_reader_that_hangs_is_stopped_and_the_next_file_is_read(worker: Worker, file: Path) -> None:
    with pytest.raises(ReadError, match="takes too long"):
        worker.read(unruly.Hanging(), file)
    assert worker.pid is None
    assert worker.read(unruly.Unruly(), file).content == str(worker.pid)


def test_a_reader_that_shows_progress_has_longer_than_the_stall_limit(worker: Worker, file: Path) -> None:
    assert worker.read(unruly.Slow(), file).content == str(worker.pid)


def test_progress_does_not_help_beyond_the_limit_for_the_whole_file(file: Path) -> None:
    worker = Worker(stall_seconds=1, total_seconds=1.5)
    with pytest.raises(ReadError, match="takes too long"):
        worker.read(unruly.Slow(), file)
    worker.close()


def test_a_crash_in_c_code_is_an_error_about_the_file(worker: Worker, file: Path) -> None:
    with pytest.raises(ReadError, match=r"file\.unruly cannot be read: its reader ended with") as caught:
        worker.read(unruly.Crashing(), file)
    assert caught.value.hint
    assert worker.read(unruly.Unruly(), file).content == str(worker.pid)


def test_a_bug_in_a_reader_is_an_error_about_the_file_and_keeps_the_process(worker: Worker, file: Path) -> None:
    pid = worker.read(unruly.Unruly(), file).content
    with pytest.raises(ReadError, match=r"file\.unruly cannot be read.*IndexError"):
        worker.read(unruly.Buggy(), file)
    assert worker.read(unruly.Unruly(), file).content == pid


@linux
def test_a_file_may_take_no_more_memory_than_allowed(file: Path) -> None:
    worker = Worker(memory_bytes=64 * 2**20)
    assert 40 < int(worker.read(unruly.Hungry(), file).content) <= 64
    with pytest.raises(ReadError, match="too much memory"):
        worker.read(unruly.Greedy(), file)
    worker.close()


@linux
def test_a_process_that_holds_on_to_memory_is_replaced_before_the_next_file(worker: Worker, file: Path) -> None:
    first = worker.read(unruly.Hoarding(), file).content
    second = worker.read(unruly.Hoarding(), file).content
    third = worker.read(unruly.Hoarding(), file).content
    assert len({first, second, third}) == 3


def test_a_process_that_leaves_in_the_middle_is_not_waited_for(worker: Worker, file: Path) -> None:
    with pytest.raises(ReadError, match="keeps leaving"):
        worker.read(unruly.Leaving(), file)
    assert worker.read(unruly.Unruly(), file).content == str(worker.pid)


def test_what_a_reader_prints_does_not_disturb_its_answer(
    worker: Worker, file: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    assert worker.read(unruly.Noisy(), file).content == str(worker.pid)
    assert capfd.readouterr() == ("", "")


def test_text_that_cannot_be_stored_does_not_arrive(worker: Worker, file: Path) -> None:
    assert worker.read(unruly.Lone(), file).content == "a?b"


def test_our_secrets_are_not_handed_to_the_process(worker: Worker, file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "secret")
    environment = worker.read(unruly.Telling(), file).content.split("\n")
    assert "PYTHONPATH" in environment
    assert not [name for name in environment if "KEY" in name or "SECRET" in name or "TOKEN" in name]


@pytest.mark.parametrize("program", ["/nonexistent/python", "/bin/false"])
def test_a_process_that_cannot_start_says_so(program: str, file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "executable", program)
    with pytest.raises(ReadError, match="did not start") as caught:
        Worker().read(unruly.Unruly(), file)
    assert program in caught.value.hint


def test_a_folder_named_like_us_where_the_server_was_started_is_not_imported(
    worker: Worker, file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    trap = tmp_path / "racto"
    trap.mkdir()
    written(trap / "__init__.py", "raise SystemExit('imported from the working directory')")
    monkeypatch.chdir(tmp_path)
    assert worker.read(unruly.Unruly(), file).content == str(worker.pid)


def test_close_ends_the_process_and_may_be_called_twice(worker: Worker, file: Path) -> None:
    pid = int(worker.read(unruly.Unruly(), file).content)
    worker.close()
    worker.close()
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)


@linux
@pytest.mark.parametrize("reader", ["Unruly", "Hanging"])
def test_the_process_dies_with_its_parent_idle_or_busy(reader: str, file: Path) -> None:
    program = f"""
import threading
from pathlib import Path
from racto.knowledge.readers.isolation import Worker
from tests import unruly
worker = Worker()
print(worker.read(unruly.Unruly(), Path({str(file)!r})).content, flush=True)
worker.read(unruly.{reader}(), Path({str(file)!r}))
threading.Event().wait()
"""
    path = os.pathsep.join(entry for entry in sys.path if entry)
    parent = subprocess.Popen(
        [sys.executable, "-c", program], stdout=subprocess.PIPE, env={**os.environ, "PYTHONPATH": path}
    )
    with parent:
        assert parent.stdout
        child = os.pidfd_open(int(parent.stdout.readline()))
        parent.send_signal(signal.SIGKILL)
        ended, _, _ = select.select([child], [], [], 10)
        os.close(child)
    assert ended, "the reading process outlived its parent"
