"""The process that reads risky files: `python -m …readers.worker`. It answers one request at a time and expects to be killed.

Frames, both ways: four bytes of length (big-endian), then JSON in UTF-8. A request names a reader and a file; answers are any number
of `progress`, then one `document` or `error`. It ends when its parent does (end of input), or after `IDLE_SECONDS` without a request.
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
from collections.abc import Callable
from dataclasses import asdict
from importlib import import_module
from pathlib import Path
from typing import Any

from ..documents import Document
from ..errors import ReadError
from ..handed import handed_path
from . import TOO_BIG

IDLE_SECONDS = 60
KEPT_BYTES = 64 * 2**20
"""A worker that still holds this much after a file ends; the next file shall have the whole allowance."""
LENGTH = struct.Struct(">I")

Frame = dict[str, Any]


def send(fd: int, frame: Frame) -> None:
    """Write one frame to a pipe.

    :raises OSError: the other side is gone.
    """
    # A lone surrogate has no UTF-8; whoever stores the text could not keep it either.
    data = json.dumps(frame, ensure_ascii=False, separators=(",", ":")).encode("utf-8", errors="replace")
    for view in (memoryview(LENGTH.pack(len(data))), memoryview(data)):
        while view:
            view = view[os.write(fd, view) :]


def receive(fd: int) -> Frame | None:
    """Read one frame from a pipe; `None` when the other side is gone."""
    head = _exactly(fd, LENGTH.size)
    body = _exactly(fd, *LENGTH.unpack(head)) if head else None
    if body is None:
        return None
    frame: Frame = json.loads(body)
    return frame


def _exactly(fd: int, size: int) -> bytes | None:
    data = bytearray()
    while len(data) < size:
        part = os.read(fd, min(size - len(data), 1 << 20))
        if not part:
            return None
        data += part
    return bytes(data)


def main() -> None:
    """Serve requests from standard input until it ends."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the parent, whose end is our end
    out = os.dup(1)
    os.dup2(2, 1)  # what a library prints must not land between frames
    requests: queue.Queue[Frame] = queue.Queue()
    threading.Thread(target=_listen, args=(0, requests), daemon=True).start()
    idle_bytes = data_bytes()
    send(out, {"kind": "ready"})
    while data_bytes() <= idle_bytes + KEPT_BYTES:
        try:
            request = requests.get(timeout=IDLE_SECONDS)
        except queue.Empty:
            return
        _set_limits(idle_bytes + request["memory_bytes"], request["seconds"])
        try:
            send(out, _answer(request, _reporter(out)))
        except MemoryError:
            send(out, _error(ReadError(f"{request['name']} needs too much memory to be read.", TOO_BIG)))


def _listen(fd: int, requests: queue.Queue[Frame]) -> None:
    """Pass requests on; leave at once when the parent is gone, also in the middle of a file, with every program that was started for it."""
    while (request := receive(fd)) is not None:
        requests.put(request)
    if hasattr(os, "killpg") and os.getpgrp() == os.getpid():
        os.killpg(0, signal.SIGKILL)
    os._exit(0)


def _answer(request: Frame, report: Callable[[int, int], None]) -> Frame:
    path = handed_path(request["path"], request["name"])
    try:
        reader = getattr(import_module(request["module"]), request["reader"])()
        reader.on_progress = report
        document: Document = reader.read(path)
        return {"kind": "document", "document": asdict(document)}
    except ReadError as error:
        return _error(error)
    except MemoryError:
        raise
    except Exception as error:  # noqa: BLE001 - whatever a parser trips over, the answer is an error about this file
        message = f"{path.name} cannot be read: its content is damaged or unusual ({type(error).__name__})."
        return _error(ReadError(message, "Export it again, or convert it to another format."))


def _error(error: ReadError) -> Frame:
    return {"kind": "error", "code": error.code, "message": error.message, "hint": error.hint}


def _reporter(out: int) -> Callable[[int, int], None]:
    """A progress callback that writes a frame at most four times a second."""
    last = time.monotonic()

    def report(done: int, total: int) -> None:
        nonlocal last
        if time.monotonic() - last > 0.25:
            last = time.monotonic()
            send(out, {"kind": "progress", "done": done, "total": total})

    return report


def data_bytes() -> int:
    """The private memory of this process as `RLIMIT_DATA` counts it; 0 where the system does not tell (only Linux does)."""
    try:
        status = Path("/proc/self/status").read_text(encoding="ascii")
    except OSError:
        return 0
    return next((int(line.split()[1]) * 1024 for line in status.splitlines() if line.startswith("VmData:")), 0)


def _set_limits(data: int, seconds: float) -> None:
    """Bound memory and processor time where the system can; elsewhere the parent's clock is the only limit."""
    if sys.platform != "linux":
        return
    import resource

    limits = {
        resource.RLIMIT_DATA: data,
        resource.RLIMIT_CPU: int(time.process_time() + seconds) + 1,
        resource.RLIMIT_CORE: 0,  # a dump would be somebody's document
    }
    for kind, wanted in limits.items():
        _, most = resource.getrlimit(kind)
        resource.setrlimit(kind, (wanted if most == resource.RLIM_INFINITY else min(wanted, most), most))


if __name__ == "__main__":
    main()
