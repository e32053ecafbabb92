"""What a process of ours that expects to be killed stands on: frames over pipes, its parent, and bounds it sets itself.

Frames, both ways: four bytes of length (big-endian), then JSON in UTF-8. The parent's side is `processes.py`.
"""

from __future__ import annotations

import json
import os
import queue
import signal
import struct
import sys
import threading
import time
from pathlib import Path
from typing import Any

IDLE_SECONDS = 60
"""A process that is asked nothing for this long leaves."""
KEPT_BYTES = 64 * 2**20
"""A process that still holds this much after a request leaves; the next request shall have the whole allowance."""
LENGTH = struct.Struct(">I")

Frame = dict[str, Any]


def encode(frame: Frame) -> bytes:
    """A frame as `write` takes it."""
    # A lone surrogate has no UTF-8; whoever stores the text could not keep it either.
    return json.dumps(frame, ensure_ascii=False, separators=(",", ":")).encode("utf-8", errors="replace")


def write(fd: int, data: bytes) -> None:
    """Write one frame to a pipe.

    :param data: As `encode` made it.
    :raises OSError: the other side is gone.
    """
    for view in (memoryview(LENGTH.pack(len(data))), memoryview(data)):
        while view:
            view = view[os.write(fd, view) :]


def receive(fd: int, most: int = 2**32) -> tuple[Frame, int] | None:
    """Read one frame from a pipe, and how many bytes it had; `None` when the other side is gone.

    :raises ValueError: it has more than `most` bytes, or is none.
    """
    head = _exactly(fd, LENGTH.size)
    if head is None:
        return None
    (size,) = LENGTH.unpack(head)
    if size > most:
        raise ValueError("The frame is too long.")
    body = _exactly(fd, size)
    if body is None:
        return None
    frame = json.loads(body)
    if not isinstance(frame, dict):
        raise ValueError("This is no frame.")  # noqa: TRY004 - bytes that are wrong, not an argument
    return frame, size


def _exactly(fd: int, size: int) -> bytes | None:
    data = bytearray()
    while len(data) < size:
        part = os.read(fd, min(size - len(data), 1 << 20))
        if not part:
            return None
        data += part
    return bytes(data)


class Parent:
    """The process that started this one: its requests on standard input, answers to it on what was standard output.

    When it is gone this process leaves at once, also in the middle of a request, with every program that was started for it.
    """

    def __init__(self) -> None:
        signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the parent, whose end is our end
        self._out = os.dup(1)
        os.dup2(2, 1)  # what a library prints must not land between frames
        self._requests: queue.Queue[Frame] = queue.Queue()
        threading.Thread(target=self._listen, daemon=True).start()

    def next(self) -> Frame | None:
        """The next request; `None` when there was none for `IDLE_SECONDS`."""
        try:
            return self._requests.get(timeout=IDLE_SECONDS)
        except queue.Empty:
            return None

    def send(self, frame: Frame) -> None:
        """Answer."""
        self.write(encode(frame))

    def write(self, data: bytes) -> None:
        """Answer with a frame that is encoded already."""
        write(self._out, data)

    def _listen(self) -> None:
        while received := receive(0):
            self._requests.put(received[0])
        if hasattr(os, "killpg") and os.getpgrp() == os.getpid():
            os.killpg(0, signal.SIGKILL)
        os._exit(0)


def data_bytes() -> int:
    """The private memory of this process as `RLIMIT_DATA` counts it; 0 where the system does not tell (only Linux does)."""
    try:
        status = Path("/proc/self/status").read_text(encoding="ascii")
    except OSError:
        return 0
    return next((int(line.split()[1]) * 1024 for line in status.splitlines() if line.startswith("VmData:")), 0)


def set_limits(data: int, cpu_seconds: float | None = None) -> None:
    """Bound memory and, from now on, processor time where the system can (Linux); elsewhere the parent's clock is the only limit."""
    if sys.platform != "linux":
        return
    import resource

    limits = {
        resource.RLIMIT_DATA: data,
        resource.RLIMIT_CORE: 0,  # a dump would be somebody's data
    }
    if cpu_seconds is not None:
        limits[resource.RLIMIT_CPU] = int(time.process_time() + cpu_seconds) + 1
    for kind, wanted in limits.items():
        _, most = resource.getrlimit(kind)
        resource.setrlimit(kind, (wanted if most == resource.RLIM_INFINITY else min(wanted, most), most))
