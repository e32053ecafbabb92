"""A reader that waits for others and tells them, and leaves a trace; it runs in worker processes, which import this module."""

from __future__ import annotations

import ctypes
from pathlib import Path

from racto.knowledge.documents import Document
from racto.knowledge.readers import BaseReader

TRACE = "trace"


class Meeting(BaseReader):
    """Does what the first line of the file says: `wait NAME` and `tell NAME` block until the other side of that pipe is there."""

    isolated = True

    @property
    def supported_extensions(self) -> frozenset[str]:
        return frozenset({".meet"})

    def read(self, path: Path) -> Document:
        place = path.parent.parent
        with (place / TRACE).open("a") as trace:
            trace.write(f"{path.name}\n")
        content = path.read_text()
        order, _, name = content.partition("\n")[0].partition(" ")
        if order in ("wait", "tell"):
            (place / name).open("r" if order == "wait" else "w").close()
        elif order == "crash":
            ctypes.string_at(0)
        return Document(content, str(path))
