"""Readers that misbehave, each in its own way; they run in the worker process, which imports this module."""

from __future__ import annotations

import ctypes
import os
import time
from pathlib import Path

from racto.knowledge.documents import Document
from racto.knowledge.readers import BaseReader

KEPT: list[bytearray] = []


class Unruly(BaseReader):
    """The base of them."""

    isolated = True

    @property
    def supported_extensions(self) -> frozenset[str]:
        return frozenset({".unruly"})

    def read(self, path: Path) -> Document:
        return Document(f"{os.getpid()}", str(path))


class Hanging(Unruly):
    """Never comes back."""

    def read(self, path: Path) -> Document:
        while True:
            time.process_time()


class Slow(Unruly):
    """Takes three seconds of work and tells so."""

    def read(self, path: Path) -> Document:
        end = time.monotonic() + 3
        while time.monotonic() < end:
            self.on_progress(1, 2)
        return super().read(path)


class Crashing(Unruly):
    """Follows a null pointer."""

    def read(self, path: Path) -> Document:
        ctypes.string_at(0)
        return super().read(path)


class Hungry(Unruly):
    """Takes all the memory it is given, and says how much that was."""

    def read(self, path: Path) -> Document:
        taken: list[bytearray] = []
        try:
            while len(taken) < 4096:
                taken.append(bytearray(2**20))
        except MemoryError:
            pass
        count = len(taken)
        del taken
        return Document(f"{count}", str(path))


class Greedy(Unruly):
    """Fails for want of memory."""

    def read(self, path: Path) -> Document:
        bytearray(2**33)
        return super().read(path)


class Hoarding(Unruly):
    """Keeps memory after it is done."""

    def read(self, path: Path) -> Document:
        KEPT.append(bytearray(100 * 2**20))
        return super().read(path)


class Leaving(Unruly):
    """Leaves without an answer, as if it had been idle."""

    def read(self, path: Path) -> Document:
        os._exit(0)


class Noisy(Unruly):
    """Writes to standard output, from Python and from C."""

    def read(self, path: Path) -> Document:
        print("noise", flush=True)
        os.write(1, b"\x00\x00\x00\x05noise")
        return super().read(path)


class Buggy(Unruly):
    """Trips over the file."""

    def read(self, path: Path) -> Document:
        raise IndexError(path)


class Telling(Unruly):
    """Tells its environment and what it may do."""

    def read(self, path: Path) -> Document:
        return Document("\n".join(os.environ), str(path))


class Lone(Unruly):
    """Has a lone surrogate in its text."""

    def read(self, path: Path) -> Document:
        return Document("a\ud800b", str(path))
