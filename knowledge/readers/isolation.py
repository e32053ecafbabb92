"""Reading in a process of its own: a crash, a hang or a compression bomb ends that process, not the server."""

from __future__ import annotations

import os
import queue
import signal
import sys
import threading
import time
from pathlib import Path

from ..child_process import Frame
from ..documents import Document, Heading, PageSpan
from ..errors import EncryptedError, NoTextError, ReadError, UnsupportedError
from ..ocr import LANGUAGES_VARIABLE
from ..processes import START_SECONDS, Process
from . import TOO_BIG, BaseReader

MEMORY_BYTES = 256 * 2**20
"""What one file may take above the idle worker. A PDF of 10,000 dense pages (31 million characters) takes 150 MiB."""
STALL_SECONDS = 30.0
"""The longest wait for the first or next page. A page of a filing takes PDFium three milliseconds."""
TOTAL_SECONDS = 600.0
"""The longest time for a file. 10,000 dense pages take twenty seconds; the rest is for slow machines."""
SIDE_BY_SIDE = min(4, os.cpu_count() or 1)
"""How many files are read at a time, each in a process of its own."""

_TOO_SLOW = "It may be damaged; export it again or split it."
_ERRORS = {error.code: error for error in (ReadError, EncryptedError, NoTextError, UnsupportedError)}
_PROGRAM = f"{__package__}.worker"
_ENVIRONMENT = ("TESSDATA_PREFIX", LANGUAGES_VARIABLE)


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
        self._process: Process | None = None

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
        return self._process.pid if self._process else None

    def _ask(self, request: Frame, name: str) -> Frame | None:
        """The answer to one request; `None` when the process had just left because it was idle."""
        if self._process is None:
            try:
                self._process = Process(_PROGRAM, _ENVIRONMENT)
            except OSError as error:
                raise _not_started(str(error)) from None
        process = self._process
        process.send(request)
        deadline = time.monotonic() + self.total_seconds
        while True:
            patience = self.stall_seconds if process.ready else START_SECONDS
            try:
                frame = process.next(min(patience, deadline - time.monotonic()))
            except queue.Empty:
                raise ReadError(f"{name} takes too long to read.", _TOO_SLOW) from None
            if frame is None:
                self.close()
                _explain_end(process, name)
                return None
            if frame["kind"] not in ("ready", "progress"):
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


def _explain_end(process: Process, name: str) -> None:
    """Say why the process ended over a file; nothing when it left in peace, having been idle.

    :raises ReadError: it never came up, or died over the file.
    """
    if not process.ready:
        raise _not_started(process.ending)
    if process.exit_code == 0:
        return
    if process.exit_code == -getattr(signal, "SIGXCPU", 0):
        raise ReadError(f"{name} takes too long to read.", _TOO_SLOW)
    raise ReadError(
        f"{name} cannot be read: its reader ended with {process.ending}; the file is damaged or needs too much memory.",
        TOO_BIG,
    )


def _not_started(reason: str) -> ReadError:
    program = f"{sys.executable} -P -m {_PROGRAM}"
    return ReadError(f"The process that reads documents did not start ({reason}).", f"Run `{program}` to see why.")


def _document(fields: Frame) -> Document:
    pages = [PageSpan(**page) for page in fields.pop("pages")]
    headings = [Heading(**heading) for heading in fields.pop("headings")]
    return Document(pages=pages, headings=headings, **fields)


WORKERS = Pool()
"""The processes every caller shares."""
