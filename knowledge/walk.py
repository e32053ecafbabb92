"""The files of a folder, whatever its links do."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterable, Iterator
from fnmatch import translate
from pathlib import Path, PurePath

from .errors import AccessError, InputError, RactoError, ReadError

SKIPPED_FOLDERS = frozenset({"__pycache__", "node_modules"})


def walk(
    directory: Path, pattern: str = "**/*", allows: Callable[[Path], bool] | None = None
) -> Iterator[tuple[Path, RactoError | None]]:
    """The files below `directory` that match, in the order of their names, each once, with every link followed.

    Hidden files and folders, `__pycache__` and `node_modules` are left out.

    :param directory: A real path (links resolved).
    :param pattern: A glob of the path below `directory`; `**` stands for any number of folders.
    :param allows: Whether a real path may be read; by default only what is below `directory`.
    :returns: The real path of each file, or the path of what cannot be entered and why.
    """
    matches = glob_pattern(pattern)
    may = allows or (lambda real: real == directory or directory in real.parents)
    seen: set[Path] = {directory}
    waiting = [directory]
    while waiting:
        folder = waiting.pop()
        try:
            with os.scandir(folder) as found:
                children = sorted(found, key=lambda child: child.name)
        except OSError as error:
            yield folder, ReadError(f"The folder cannot be opened: {error.strerror}.", "Check its permissions.")
            continue
        folders: list[Path] = []
        for child in children:
            if is_skipped(child.name):
                continue
            path = Path(child.path)
            try:
                real, is_folder = _follow(child, path)
            except RactoError as problem:
                yield path, problem
                continue
            if real in seen or not (is_folder or matches(_below(path, directory))):
                continue
            if not may(real):
                yield (
                    path,
                    AccessError(
                        f"It is a link to {str(real)!r}, which is outside.",
                        "Add that folder to the allowed ones to read it.",
                    ),
                )
                continue
            seen.add(real)
            if is_folder:
                folders.append(path if child.is_symlink() else real)
            elif real.is_file():
                yield real, None
        waiting += reversed(folders)


def is_skipped(name: str) -> bool:
    """Whether `walk` leaves out what has this name."""
    return name.startswith(".") or name in SKIPPED_FOLDERS


def _follow(child: os.DirEntry[str], path: Path) -> tuple[Path, bool]:
    """Where an entry leads, and whether that is a folder."""
    if not child.is_symlink():
        return path, child.is_dir()
    try:
        real = path.resolve(strict=True)
    except (OSError, RuntimeError):  # RuntimeError: a loop of links, before Python 3.13
        raise ReadError("It is a link that leads nowhere.", "Repair or remove the link.") from None
    return real, real.is_dir()


def _below(path: Path, directory: Path) -> str:
    return path.relative_to(directory).as_posix()


def glob_pattern(pattern: str) -> Callable[[str], bool]:
    """What tells whether a `/`-separated path matches a glob: `*`, `?` and `[…]` stay inside one part, a part `**` is any number of parts.

    The time of a match grows with the product of both lengths and no faster, whatever the pattern.

    :raises InputError: the pattern is empty, absolute or leads out by `..`.
    """
    if not pattern.strip() or PurePath(pattern).is_absolute() or ".." in pattern.split("/"):
        raise InputError(f"{pattern!r} is not a pattern below a folder.", "Write it like **/*.pdf")
    names = pattern.split("/")
    if names[-1] == "**":
        names.append("*")
    tests = [None if name == "**" else re.compile(translate(name)).match for name in names]

    def reach(places: Iterable[int]) -> set[int]:
        """These places in the pattern, and those behind each `**`, which may stand for nothing."""
        reached: set[int] = set()
        for place in places:
            reached.add(place)
            while place < len(tests) and tests[place] is None:
                place += 1
                reached.add(place)
        return reached

    def matches(path: str) -> bool:
        places = reach([0])
        for part in path.split("/"):
            open_tests = [(place, tests[place]) for place in places if place < len(tests)]
            places = reach(
                place if test is None else place + 1 for place, test in open_tests if test is None or test(part)
            )
        return len(tests) in places

    return matches
