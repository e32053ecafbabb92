"""A path from a client leads where the configuration allows, or to an error that says so."""

from __future__ import annotations

import unicodedata
from pathlib import Path
from typing import Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st
from racto.knowledge.errors import AccessError, InputError, RactoError, UnknownNameError
from racto.knowledge.roots import Roots


@pytest.fixture
def world(tmp_path: Path) -> Path:
    """A folder that may be read, one beside it whose name begins alike, and links between them."""
    (tmp_path / "data" / "sub").mkdir(parents=True)
    (tmp_path / "database").mkdir()
    for place in ("data/a.txt", "data/sub/b.txt", "database/secret.txt"):
        (tmp_path / place).write_text(place, encoding="utf-8")
    (tmp_path / "data" / "out").symlink_to(tmp_path / "database")
    (tmp_path / "data" / "in").symlink_to(tmp_path / "data" / "sub")
    (tmp_path / "data" / "loop").symlink_to(tmp_path / "data" / "loop")
    (tmp_path / "alias").symlink_to(tmp_path / "data")
    return tmp_path


@pytest.mark.parametrize(
    "path", ["a.txt", "sub/b.txt", "sub/../a.txt", "in/b.txt", ".", "{}/data/a.txt", "{}/alias/a.txt"]
)
def test_what_lies_inside_is_found_by_relative_and_absolute_paths(path: str, world: Path) -> None:
    found = Roots([world / "data"]).resolve(path.format(world))
    assert found.exists()
    assert found == world / "data" or world / "data" in found.parents


@pytest.mark.parametrize(
    "path",
    [
        "../database/secret.txt",
        "{}/database/secret.txt",
        "{}/database",
        "out/secret.txt",
        "/etc/passwd",
        "..",
        "{}/data/../database/secret.txt",
    ],
)
def test_what_lies_outside_is_refused_whatever_way_it_is_named(path: str, world: Path) -> None:
    with pytest.raises(AccessError, match="RACTO_ROOTS") as caught:
        Roots([world / "data"]).resolve(path.format(world))
    assert "secret" not in str(caught.value).replace(path.format(world), "")


@pytest.mark.parametrize(
    ("path", "error"),
    [
        ("none.txt", UnknownNameError),
        ("a.txt/below", UnknownNameError),
        ("x" * 5000, UnknownNameError),
        ("", InputError),
        ("a\0b", InputError),
        ("~nobody-of-this-name/a.txt", InputError),
    ],
)
def test_a_path_that_cannot_be_right_is_told(path: str, error: type[RactoError], world: Path) -> None:
    with pytest.raises(error):
        Roots([world / "data"]).resolve(path)


@pytest.mark.parametrize("form", ["NFC", "NFD"])
def test_accents_may_be_written_in_either_form(form: Literal["NFC", "NFD"], world: Path) -> None:
    other: Literal["NFC", "NFD"] = "NFD" if form == "NFC" else "NFC"
    file = world / "data" / unicodedata.normalize(form, "Müller") / unicodedata.normalize(other, "résumé.txt")
    file.parent.mkdir()
    file.write_text("hello", encoding="utf-8")
    roots = Roots([world / "data"])
    for asked in ("Müller/résumé.txt", f"{world}/data/Müller/résumé.txt"):
        assert roots.resolve(unicodedata.normalize(other, asked)) == file
    with pytest.raises(UnknownNameError):
        roots.resolve("Müller/resumé.txt")


def test_a_loop_of_links_is_told(world: Path) -> None:
    with pytest.raises(InputError):
        Roots([world / "data"]).resolve("loop/x")


def test_without_roots_nothing_may_be_read(world: Path) -> None:
    with pytest.raises(AccessError, match="none"):
        Roots().resolve(str(world / "data" / "a.txt"))


def test_a_single_file_may_be_a_root(world: Path) -> None:
    roots = Roots([world / "data" / "a.txt"])
    assert roots.resolve(str(world / "data" / "a.txt")) == world / "data" / "a.txt"
    with pytest.raises(AccessError):
        roots.resolve(str(world / "data" / "sub" / "b.txt"))


@given(
    st.lists(
        st.sampled_from(
            ["..", ".", "data", "database", "sub", "out", "in", "a.txt", "~", "/", "", "é", "\n", "%2e%2e"]
        ),
        max_size=7,
    )
)
def test_no_spelling_leads_outside(tmp_path_factory: pytest.TempPathFactory, parts: list[str]) -> None:
    world = tmp_path_factory.getbasetemp() / "spelling"
    if not world.exists():
        (world / "data" / "sub").mkdir(parents=True)
        (world / "database").mkdir()
        (world / "data" / "out").symlink_to(world / "database")
        (world / "data" / "in").symlink_to(world / "data" / "sub")
    try:
        found = Roots([world / "data"]).resolve("/".join(parts))
    except RactoError:
        return
    assert found == world / "data" or world / "data" in found.parents
