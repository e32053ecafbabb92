"""The folders tools may read from. A path from a client is data; only the configuration says where it may lead."""

from __future__ import annotations

import contextlib
import os
import unicodedata
from collections.abc import Iterable
from pathlib import Path

from .errors import AccessError, InputError, UnknownNameError


class Roots:
    """Folders (or single files) that may be read, with everything below them.

    :param folders: The allowed places; `~` is expanded, links are followed once, here. Empty allows nothing.
    """

    def __init__(self, folders: Iterable[Path | str] = ()) -> None:
        self.folders = tuple(Path(folder).expanduser().resolve() for folder in folders)

    def resolve(self, path: str | Path) -> Path:
        """The real path behind `path`, after every link and `..`; a relative one is tried below each root.

        :raises AccessError: it leads outside the allowed folders.
        :raises UnknownNameError: it is inside, but there is nothing there.
        """
        text = str(path)
        if not text.strip() or "\0" in text:
            raise InputError("The path is empty or holds a NUL character.", "Give the path of a file or folder.")
        try:
            given = Path(text).expanduser()
        except RuntimeError:
            raise InputError(f"There is no home folder for {text!r}.", "Give the full path.") from None
        candidates = [given] if given.is_absolute() else [folder / given for folder in self.folders]
        if not text.isascii():
            candidates += [_as_spelt(candidate) for candidate in candidates]
        inside = [real for candidate in candidates if self.allows(real := _real(candidate))]
        for real in inside:
            if os.path.exists(real):  # noqa: PTH110 - Path.exists raises where a name is too long
                return real
        if inside:
            raise UnknownNameError(
                f"There is nothing at {text!r}.", "Check the spelling; paths are case-sensitive on most systems."
            )
        allowed = ", ".join(map(str, self.folders)) or "none"
        raise AccessError(
            f"{text!r} is outside the folders racto may read ({allowed}).",
            "Ask the person running racto to add the folder to RACTO_ROOTS (or `roots` in the config file).",
        )

    def allows(self, real: Path) -> bool:
        """Whether a real path (links resolved) lies in one of the folders: `/data` holds `/data/a`, not `/database`."""
        return any(real == folder or folder in real.parents for folder in self.folders)


def _as_spelt(path: Path) -> Path:
    """The path with each name in the Unicode form it has on disk; people and models write another one (`é` in one piece or two)."""
    found = Path(path.anchor)
    for name in path.relative_to(path.anchor).parts:
        if not os.path.lexists(found / name):
            with contextlib.suppress(OSError):
                there = {unicodedata.normalize("NFC", each): each for each in os.listdir(found)}  # noqa: PTH208 - names, not paths
                name = there.get(unicodedata.normalize("NFC", name), name)
        found /= name
    return found


def _real(path: Path) -> Path:
    try:
        return path.resolve()
    except (OSError, RuntimeError) as error:  # RuntimeError: a loop of links, before Python 3.13
        raise InputError(f"The path {str(path)!r} cannot be followed: {error}.", "It may be a loop of links.") from None
