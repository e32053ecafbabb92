"""Standard input and output, taken out of everybody's reach: what a library prints must never look like protocol.

Imports nothing heavy, so that a command can take them before anything else is imported.
"""

from __future__ import annotations

import os
import sys
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Wire:
    """Private descriptors of the pipes the client holds the other ends of."""

    stdin: int
    stdout: int


_taken: list[Wire] = []


def take_stdio() -> Wire:
    """Move the client's pipes to private descriptors; once a process, later calls return the same.

    Afterwards descriptor 0 reads as empty and descriptor 1 is standard error, for Python, for C, for every child process, and until
    the process ends: what sits in a buffer is written at exit, when giving the descriptor back would put it on the wire.
    """
    if not _taken:
        _open_missing()
        _taken.append(Wire(_move(0, os.open(os.devnull, os.O_RDONLY)), _move(1, os.dup(2))))
    return _taken[0]


def _open_missing() -> None:
    """Open what we were started without: the next file opened, a database perhaps, would become standard error."""
    while (fd := os.open(os.devnull, os.O_RDWR)) <= 2:
        os.set_inheritable(fd, True)
    os.close(fd)


def _move(fd: int, replacement: int) -> int:
    private = _private_copy(fd)
    os.dup2(replacement, fd)  # inheritable, as a standard descriptor has to be
    os.close(replacement)
    return private


def _private_copy(fd: int) -> int:
    if sys.platform == "win32":
        return os.dup(fd)
    import fcntl

    return fcntl.fcntl(fd, fcntl.F_DUPFD_CLOEXEC, 3)  # not passed on to children
