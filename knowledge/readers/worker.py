"""The process that reads risky files: `python -m …readers.worker`. It answers one request at a time and expects to be killed.

A request names a reader and a file; answers are any number of `progress`, then one `document` or `error`.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import asdict
from importlib import import_module

from ..child_process import KEPT_BYTES, Frame, Parent, data_bytes, set_limits
from ..documents import Document
from ..errors import ReadError
from ..handed import handed_path
from . import TOO_BIG


def main() -> None:
    """Serve requests from standard input until it ends."""
    parent = Parent()
    idle_bytes = data_bytes()
    parent.send({"kind": "ready"})
    while data_bytes() <= idle_bytes + KEPT_BYTES and (request := parent.next()):
        set_limits(idle_bytes + request["memory_bytes"], request["seconds"])
        try:
            parent.send(_answer(request, _reporter(parent)))
        except MemoryError:
            parent.send(_error(ReadError(f"{request['name']} needs too much memory to be read.", TOO_BIG)))


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


def _reporter(parent: Parent) -> Callable[[int, int], None]:
    """A progress callback that writes a frame at most four times a second."""
    last = time.monotonic()

    def report(done: int, total: int) -> None:
        nonlocal last
        if time.monotonic() - last > 0.25:
            last = time.monotonic()
            parent.send({"kind": "progress", "done": done, "total": total})

    return report


if __name__ == "__main__":
    main()
