"""`import racto` is light, and every public name is there, typed and documented."""

from __future__ import annotations

import ast
import inspect
import json
import subprocess
import sys
from importlib import import_module
from pathlib import Path

import pytest
import racto

ROOT = Path(__file__).parents[1]
NAMES: list[str] = vars(racto)["__all__"]
API = ROOT / "api" / "__init__.py"


def _python(code: str) -> str:
    return subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True, cwd="/").stdout


def test_importing_racto_loads_nothing_heavy() -> None:
    before = set(json.loads(_python("import sys, json; print(json.dumps(sorted(sys.modules)))")))
    after = set(json.loads(_python("import racto, sys, json; print(json.dumps(sorted(sys.modules)))")))
    loaded = {name.partition(".")[0] for name in after - before}
    third_party = {name for name in loaded if name not in sys.stdlib_module_names and name != "racto"}
    assert not third_party
    assert {name for name in after if name.startswith("racto.")} <= {"racto.api"}
    assert not {"typing", "pathlib", "pydantic", "inspect"} & loaded


@pytest.mark.parametrize("name", sorted(NAMES))
def test_every_public_name_resolves_and_is_documented(name: str) -> None:
    value = getattr(racto, name)
    if inspect.isclass(value) or inspect.isfunction(value):
        assert inspect.getdoc(value), f"racto.{name} has no docstring"
        assert value.__module__.startswith("racto."), f"racto.{name} is not ours"


@pytest.mark.parametrize("name", sorted(NAMES))
def test_every_public_name_is_in_the_reference(name: str) -> None:
    if not name.startswith("__"):
        assert f"`{name}`" in (ROOT / "docs" / "reference.md").read_text(), f"docs/reference.md does not mention {name}"


def test_public_methods_are_documented() -> None:
    methods = [
        (f"{name}.{member}", getattr(cls, member))
        for name in NAMES
        if inspect.isclass(cls := getattr(racto, name))
        for member, value in vars(cls).items()
        if not member.startswith("_")
        and (inspect.isfunction(value) or isinstance(value, property | classmethod | staticmethod))
    ]
    assert len(methods) > 60
    # A lambda is a default value of an attribute, whose own docstring a program cannot see.
    assert not [
        name for name, value in methods if not inspect.getdoc(value) and getattr(value, "__name__", "") != "<lambda>"
    ]


def test_the_three_lists_of_public_names_agree() -> None:
    tree = ast.parse(API.read_text())
    typed = {
        alias.asname or alias.name
        for node in ast.walk(tree)
        if isinstance(node, ast.If)
        for statement in node.body
        if isinstance(statement, ast.ImportFrom)
        for alias in statement.names
    }
    homes = {name for names in vars(import_module("racto.api"))["_HOMES"].values() for name in names}
    assert typed == homes == set(NAMES) - {"__version__"}
    assert len(typed) > 40


def test_an_unknown_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="no attribute 'RactoPromt'"):
        racto.RactoPromt  # noqa: B018


def test_the_module_names_of_the_specification_work() -> None:
    from racto.mcp import RactoMCPServer
    from racto.rag.page_index import PageIndexRAG
    from racto.rag.pipeline import RactoRAG

    assert RactoMCPServer is racto.RactoMCPServer
    assert PageIndexRAG is racto.PageIndexRAG
    assert RactoRAG is racto.RactoRAG


@pytest.mark.parametrize("module", ["chunkers", "embedders", "processors", "readers", "stores"])
def test_the_parts_of_the_library_are_documented_under_the_specified_names(module: str) -> None:
    there = import_module(f"racto.rag.{module}")
    assert len(there.__all__) >= 4
    for name in there.__all__:
        assert inspect.getdoc(getattr(there, name)), f"{module}.{name}"
