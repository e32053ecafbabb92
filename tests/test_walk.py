"""Finding the files of a folder, whatever its links do."""

from __future__ import annotations

import os
import string
import time
from pathlib import Path, PurePosixPath

import pytest
from hypothesis import given
from hypothesis import strategies as st
from racto.knowledge.errors import InputError, RactoError
from racto.knowledge.walk import glob_pattern, walk


def _found(folder: Path, pattern: str = "**/*") -> list[str]:
    return [path.relative_to(folder).as_posix() for path, problem in walk(folder, pattern) if problem is None]


def _problems(folder: Path) -> dict[str, RactoError]:
    return {path.name: problem for path, problem in walk(folder) if problem}


def _make(folder: Path, *names: str) -> Path:
    for name in names:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(name)
    return folder


def test_files_come_in_the_order_of_their_names_folders_last(tmp_path: Path) -> None:
    _make(tmp_path, "b/2.txt", "b/1.txt", "c.txt", "a.txt", "a/z.txt")
    assert _found(tmp_path) == ["a.txt", "c.txt", "a/z.txt", "b/1.txt", "b/2.txt"]


def test_hidden_and_generated_folders_are_left_out(tmp_path: Path) -> None:
    _make(tmp_path, "a.txt", ".env", ".git/config", "node_modules/x/index.js", "src/__pycache__/a.pyc", "src/a.py")
    assert _found(tmp_path) == ["a.txt", "src/a.py"]


@pytest.mark.parametrize(
    ("pattern", "expected"),
    [
        ("**/*", ["a.md", "a.txt", "x/b.md", "x/y/c.md"]),
        ("*", ["a.md", "a.txt"]),
        ("*.md", ["a.md"]),
        ("**/*.md", ["a.md", "x/b.md", "x/y/c.md"]),
        ("x/**", ["x/b.md", "x/y/c.md"]),
        ("x/*/c.md", ["x/y/c.md"]),
        ("**/[ab].md", ["a.md", "x/b.md"]),
        ("**/[!ab].md", ["x/y/c.md"]),
        ("?.txt", ["a.txt"]),
        ("nothing", []),
    ],
)
def test_patterns_mean_what_they_mean_in_a_shell(tmp_path: Path, pattern: str, expected: list[str]) -> None:
    _make(tmp_path, "a.md", "a.txt", "x/b.md", "x/y/c.md")
    assert _found(tmp_path, pattern) == expected


_NAMES = st.text(st.sampled_from("ab."), min_size=1, max_size=3).filter(lambda name: name.strip("."))


@given(
    st.lists(_NAMES, min_size=1, max_size=4).map("/".join),
    st.lists(st.sampled_from(["*", "?", "a", "b", "**", "[ab]", "[!a]", "a*", "*.b", "."]), min_size=1, max_size=4),
)
def test_a_pattern_of_names_agrees_with_the_standard_library(path: str, parts: list[str]) -> None:
    names = path.split("/")
    if "**" in parts or len(parts) != len(names):
        glob_pattern("/".join(parts))
        return
    agrees = all(PurePosixPath(name).match(part) for name, part in zip(names, parts, strict=True) if part != ".")
    agrees = agrees and all(name == part for name, part in zip(names, parts, strict=True) if part == ".")
    assert glob_pattern("/".join(parts))(path) == agrees


@given(st.text(string.printable, max_size=20))
def test_any_pattern_is_understood_or_refused(pattern: str) -> None:
    try:
        glob_pattern(pattern)("some/path.txt")
    except InputError:
        assert not pattern.strip() or pattern.startswith("/")


@pytest.mark.parametrize("pattern", ["*a" * 40 + "*b", "/".join(["**"] * 40 + ["b"]), "**a" * 40 + "b"])
def test_no_pattern_takes_longer_than_its_length_warrants(pattern: str) -> None:
    begun = time.process_time()
    assert not glob_pattern(pattern)("/".join(["a" * 200] * 20))
    assert time.process_time() - begun < 2.0


def test_a_loop_of_links_ends(tmp_path: Path) -> None:
    _make(tmp_path, "a/b/file.txt")
    (tmp_path / "a/b/up").symlink_to(tmp_path / "a")
    (tmp_path / "self").symlink_to(tmp_path / "self")
    assert _found(tmp_path) == ["a/b/file.txt"]
    assert list(_problems(tmp_path)) == ["self"]


def test_a_file_reached_by_two_ways_is_found_once(tmp_path: Path) -> None:
    _make(tmp_path, "a/file.txt")
    (tmp_path / "b").symlink_to(tmp_path / "a")
    (tmp_path / "0.txt").symlink_to(tmp_path / "a/file.txt")
    assert _found(tmp_path) == ["a/file.txt"]


def test_links_that_leave_the_folder_are_told_and_not_followed(tmp_path: Path) -> None:
    _make(tmp_path, "data/a.txt", "database/secret.txt")
    (tmp_path / "data/twin").symlink_to(tmp_path / "database")
    (tmp_path / "data/secret.txt").symlink_to(tmp_path / "database/secret.txt")
    assert _found(tmp_path / "data") == ["a.txt"]
    problems = _problems(tmp_path / "data")
    assert {name: problem.code for name, problem in problems.items()} == {
        "secret.txt": "access_denied",
        "twin": "access_denied",
    }


def test_links_are_followed_to_where_the_caller_allows(tmp_path: Path) -> None:
    _make(tmp_path, "data/a.txt", "other/b.txt")
    (tmp_path / "data/link").symlink_to(tmp_path / "other")
    found = [path.name for path, problem in walk(tmp_path / "data", allows=lambda real: True) if problem is None]
    assert found == ["a.txt", "b.txt"]


def test_a_dangling_link_is_told(tmp_path: Path) -> None:
    (tmp_path / "gone.txt").symlink_to(tmp_path / "nowhere.txt")
    assert "leads nowhere" in str(_problems(tmp_path)["gone.txt"])


def test_pipes_are_passed_over(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.txt")
    assert list(walk(tmp_path)) == []
