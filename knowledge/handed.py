"""Bytes as a file that readers can open by a path, gone with whoever holds it."""

from __future__ import annotations

import os
import sys
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from .errors import LimitError


class HandedPath(type(Path())):  # type: ignore[misc]  # the class of paths on this system is known when it runs
    """A path whose file is called something else: readers say `name` in messages and tell formats apart by its extension."""

    name = ""

    def resolve(self, strict: bool = False) -> Path:
        """Itself: where it leads has no path."""
        return self


def handed_path(path: str, name: str) -> Path:
    """The path of a file that is called `name`."""
    made: Path = HandedPath(path)
    made.name = name  # type: ignore[misc]  # a property of other paths
    return made


@contextmanager
def handed(data: bytes | BinaryIO, name: str, max_bytes: int) -> Generator[Path]:
    """A file with this content, for this user only, while the block runs.

    On Linux it lives in memory and ends with the process, whatever ends that; elsewhere it is a private temporary file.

    :param name: What it is called; a folder in it is left out.
    :raises LimitError: there is more than `max_bytes`.
    """
    content = data if isinstance(data, bytes) else data.read(max_bytes + 1)
    name = Path(name).name
    if len(content) > max_bytes:
        raise LimitError(
            f"{name} has more than {max_bytes:,} bytes.", "Split the file, or leave it out of the collection."
        )
    if sys.platform == "linux":
        with os.fdopen(os.memfd_create("racto"), "wb") as file:
            file.write(content)
            file.flush()
            yield handed_path(f"/proc/{os.getpid()}/fd/{file.fileno()}", name)
    else:
        import tempfile

        with tempfile.TemporaryDirectory(prefix="racto-") as folder:
            path = Path(folder) / name
            path.write_bytes(content)
            yield path
