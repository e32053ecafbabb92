"""Processes of our own that can be killed: a crash, a hang or a bomb ends such a process, not the server. Their side is `child_process.py`."""

from __future__ import annotations

import atexit
import contextlib
import os
import queue
import signal
import subprocess
import sys
import threading
from collections.abc import Iterable
from typing import IO

from .child_process import Frame, encode, receive, write

START_SECONDS = 30.0
"""The longest wait for a process to come up; a tenth of a second is usual."""

# What a Python needs to start; a process that opens strangers' data is not given our keys.
_ENVIRONMENT = ("PATH", "LD_LIBRARY_PATH", "DYLD_LIBRARY_PATH", "SYSTEMROOT", "TEMP", "TMPDIR", "LANG", "LC_ALL")


class Process:
    """One run of a program, with a thread that collects what it writes; it ends with this process, whatever ends that.

    :param module: The full name of the program's module.
    :param environment: Names of variables it is given besides those every Python needs.
    :raises OSError: it cannot be started.
    """

    def __init__(self, module: str, environment: Iterable[str] = ()) -> None:
        self.ready = False
        """It said so."""
        given = {name: os.environ[name] for name in (*_ENVIRONMENT, *environment) if name in os.environ}
        given["PYTHONPATH"] = os.pathsep.join(entry for entry in sys.path if entry)
        self._popen = subprocess.Popen(  # noqa: S603 - our own program
            [sys.executable, "-P", "-m", module],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            bufsize=0,
            env=given,
            process_group=0,  # with the programs it starts, to be ended together
            creationflags=getattr(subprocess, "CREATE_NO_WINDOW", 0),
        )
        self._most = 2**32
        self._frames: queue.Queue[Frame | None] = queue.Queue()
        self._collector = threading.Thread(target=self._collect, name="racto-process", daemon=True)
        self._collector.start()
        atexit.register(self.stop)

    @property
    def pid(self) -> int:
        """Its number."""
        return self._popen.pid

    @property
    def exit_code(self) -> int | None:
        """How it ended; negative for a signal, `None` before that."""
        return self._popen.returncode

    @property
    def ending(self) -> str:
        """How it ended, in words."""
        code = self._popen.returncode
        return signal.Signals(-code).name if code < 0 else f"exit code {code}"

    def send(self, frame: Frame, most: int = 2**32) -> None:
        """Ask it something.

        :param most: How many bytes of frames it may answer before it is killed.
        """
        self._most = most
        with contextlib.suppress(OSError):  # it is gone; the collector tells so
            write(_pipe(self._popen.stdin).fileno(), encode(frame))

    def next(self, timeout: float) -> Frame | None:
        """Its next frame; `None` when it has ended.

        :raises queue.Empty: it said nothing for `timeout` seconds.
        """
        frame = self._frames.get(timeout=max(0.0, timeout))
        if frame and frame.get("kind") == "ready":
            self.ready = True
        return frame

    def kill(self) -> None:
        """End it now; whoever waits for a frame gets `None`."""
        if sys.platform == "win32":
            self._popen.kill()
        elif self._popen.returncode is None:  # until then its number is nobody else's
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self._popen.pid, signal.SIGKILL)

    def stop(self) -> None:
        """End it, and wait until it has."""
        atexit.unregister(self.stop)
        self.kill()
        self._popen.wait()
        self._collector.join()
        _pipe(self._popen.stdin).close()

    def _collect(self) -> None:
        with _pipe(self._popen.stdout) as pipe:
            try:
                while received := receive(pipe.fileno(), self._most):
                    self._most -= received[1]
                    self._frames.put(received[0])
            except (ValueError, RecursionError):
                self.kill()  # nothing it writes after that has a meaning
        if hasattr(os, "waitid"):  # what a program it started does outlives a crash: see that it does not
            with contextlib.suppress(ChildProcessError):
                os.waitid(os.P_PID, self._popen.pid, os.WEXITED | os.WNOWAIT)
                self.kill()
        self._popen.wait()
        self._frames.put(None)


def _pipe(pipe: IO[bytes] | None) -> IO[bytes]:
    assert pipe is not None  # both were asked for
    return pipe
