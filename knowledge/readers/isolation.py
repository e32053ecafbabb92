"""Reading in a process of its own: a crash, a hang or a compression bomb ends that process, not the server."""

from __future__ import annotations

import atexit
import contextlib
import os
import queue
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import IO

from ..documents import Document, Heading, PageSpan
from ..errors import EncryptedError, NoTextError, ReadError, UnsupportedError
from ..ocr import LANGUAGES_VARIABLE
from . import TOO_BIG, BaseReader
from .worker import Frame, receive, send

MEMORY_BYTES = 256 * 2**20
"""What one file may take above the idle worker. A PDF of 10,000 dense pages (31 million characters) takes 150 MiB."""
STALL_SECONDS = 30.0
"""The longest wait for the first or next page. A page of a filing takes PDFium three milliseconds."""
TOTAL_SECONDS = 600.0
"""The longest time for a file. 10,000 dense pages take twenty seconds; the rest is for slow machines."""
START_SECONDS = 30.0
"""The longest wait for the process to come up; a tenth of a second is usual."""
SIDE_BY_SIDE = min(4, os.cpu_count() or 1)
"""How many files are read at a time, each in a process of its own."""

_TOO_SLOW = "It may be damaged; export it again or split it."
_ERRORS = {error.code: error for error in (ReadError, EncryptedError, NoTextError, UnsupportedError)}
# What a Python needs to start; a process that opens strangers' files is not given our keys.
_ENVIRONMENT = (
    "PATH",
    "LD_LIBRARY_PATH",
    "DYLD_LIBRARY_PATH",
    "SYSTEMROOT",
    "TEMP",
    "TMPDIR",
    "LANG",
    "LC_ALL",
    "TESSDATA_PREFIX",
    LANGUAGES_VARIABLE,
)


class Worker:
    """A reading process that starts with the first file, stays for the next ones, and is replaced when it dies.

    Memory is limited on Linux only; elsewhere the time limits and the separate process remain.

    :param memory_bytes: What one file may take above the idle process.
    :param stall_seconds: The longest time without progress.
    :param total_seconds: The longest time for one file.
    """

    def __init__(
        self,
        *,
        memory_bytes: int = MEMORY_BYTES,
        stall_seconds: float = STALL_SECONDS,
        total_seconds: float = TOTAL_SECONDS,
    ) -> None:
        self.memory_bytes = memory_bytes
        self.stall_seconds = stall_seconds
        self.total_seconds = total_seconds
        self._turn = threading.Lock()
        self._process: _Process | None = None

    def read(self, reader: BaseReader, path: Path) -> Document:
        """What `reader` makes of `path` in the other process; callers take turns.

        :raises ReadError: the reader refused, crashed, or hit a limit.
        """
        request: Frame = {
            "module": type(reader).__module__,
            "reader": type(reader).__qualname__,
            "path": os.fspath(path),
            "name": path.name,
            "memory_bytes": self.memory_bytes,
            "seconds": self.total_seconds,
        }
        with self._turn:
            try:
                answer = self._ask(request, path.name) or self._ask(request, path.name)
            except BaseException:
                self.close()  # also when interrupted: a late answer must not be taken for the next file's
                raise
        if answer is None:
            raise ReadError(f"{path.name} was not read: the reading process keeps leaving.", "Try again.")
        if answer["kind"] == "error":
            raise _ERRORS[answer["code"]](answer["message"], answer["hint"])
        return _document(answer["document"])

    def close(self) -> None:
        """End the process; the next file starts another."""
        process, self._process = self._process, None
        if process:
            process.stop()

    @property
    def pid(self) -> int | None:
        """The process, while there is one."""
        return self._process.popen.pid if self._process else None

    def _ask(self, request: Frame, name: str) -> Frame | None:
        """The answer to one request; `None` when the process had just left because it was idle."""
        if self._process is None:
            self._process = _Process()
        process = self._process
        process.send(request)
        deadline = time.monotonic() + self.total_seconds
        while True:
            patience = self.stall_seconds if process.ready else START_SECONDS
            try:
                frame = process.frames.get(timeout=max(0.0, min(patience, deadline - time.monotonic())))
            except queue.Empty:
                raise ReadError(f"{name} takes too long to read.", _TOO_SLOW) from None
            if frame is None:
                self.close()
                process.explain_end(name)
                return None
            if frame["kind"] == "ready":
                process.ready = True
            elif frame["kind"] != "progress":
                return frame


class Pool:
    """Workers that read side by side, each made when no other is free; what one file does delays nobody else's.

    :param size: How many files are read at a time; further callers wait.
    """

    def __init__(self, size: int = SIDE_BY_SIDE) -> None:
        self._room = threading.BoundedSemaphore(size)
        self._free: list[Worker] = []

    def read(self, reader: BaseReader, path: Path) -> Document:
        """What `reader` makes of `path` in another process.

        :raises ReadError: the reader refused, crashed, or hit a limit.
        """
        with self._room:
            try:
                worker = self._free.pop()  # the last one used: those there is no work for stay idle, and leave
            except IndexError:
                worker = Worker()
            try:
                return worker.read(reader, path)
            finally:
                self._free.append(worker)

    def close(self) -> None:
        """End the processes that read nothing now; the next file starts another."""
        for worker in self._free:
            worker.close()

    @property
    def pids(self) -> list[int]:
        """The processes that read nothing now."""
        return [worker.pid for worker in self._free if worker.pid is not None]


class _Process:
    """One run of the worker program, with a thread that collects what it writes."""

    def __init__(self) -> None:
        command = [sys.executable, "-P", "-m", f"{__package__}.worker"]
        environment = {name: os.environ[name] for name in _ENVIRONMENT if name in os.environ}
        environment["PYTHONPATH"] = os.pathsep.join(entry for entry in sys.path if entry)
        try:
            self.popen = subprocess.Popen(  # noqa: S603 - our own program
                command,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                bufsize=0,
                env=environment,
                process_group=0,  # with the programs it starts, to be ended together
                creationflags=getattr(subprocess, "CREATE_NO_WINDOW", 0),
            )
        except OSError as error:
            raise _not_started(str(error)) from None
        self.ready = False
        self.frames: queue.Queue[Frame | None] = queue.Queue()
        self._collector = threading.Thread(target=self._collect, name="racto-reader", daemon=True)
        self._collector.start()
        atexit.register(self.stop)

    def send(self, request: Frame) -> None:
        with contextlib.suppress(OSError):  # it is gone; the collector tells so with the exit code
            send(_pipe(self.popen.stdin).fileno(), request)

    def stop(self) -> None:
        atexit.unregister(self.stop)
        self._kill()
        self.popen.wait()
        self._collector.join()
        _pipe(self.popen.stdin).close()

    def explain_end(self, name: str) -> None:
        """Say why the process ended over a file; nothing when it left in peace, having been idle.

        :raises ReadError: it never came up, or died over the file.
        """
        code = self.popen.returncode
        if not self.ready:
            raise _not_started(f"exit code {code}")
        if code == 0:
            return
        if code == -getattr(signal, "SIGXCPU", 0):
            raise ReadError(f"{name} takes too long to read.", _TOO_SLOW)
        how = signal.Signals(-code).name if code < 0 else f"exit code {code}"
        raise ReadError(
            f"{name} cannot be read: its reader ended with {how}; the file is damaged or needs too much memory.",
            TOO_BIG,
        )

    def _kill(self) -> None:
        if sys.platform == "win32":
            self.popen.kill()
        elif self.popen.returncode is None:  # until then its number is nobody else's
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self.popen.pid, signal.SIGKILL)

    def _collect(self) -> None:
        with _pipe(self.popen.stdout) as pipe:
            while (frame := receive(pipe.fileno())) is not None:
                self.frames.put(frame)
        if hasattr(os, "waitid"):  # what a program it started does outlives a crash: see that it does not
            with contextlib.suppress(ChildProcessError):
                os.waitid(os.P_PID, self.popen.pid, os.WEXITED | os.WNOWAIT)
                self._kill()
        self.popen.wait()
        self.frames.put(None)


def _pipe(pipe: IO[bytes] | None) -> IO[bytes]:
    assert pipe is not None  # both were asked for
    return pipe


def _not_started(reason: str) -> ReadError:
    program = f"{sys.executable} -P -m {__package__}.worker"
    return ReadError(f"The process that reads documents did not start ({reason}).", f"Run `{program}` to see why.")


def _document(fields: Frame) -> Document:
    pages = [PageSpan(**page) for page in fields.pop("pages")]
    headings = [Heading(**heading) for heading in fields.pop("headings")]
    return Document(pages=pages, headings=headings, **fields)


WORKERS = Pool()
"""The processes every caller shares."""
