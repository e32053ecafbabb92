"""Source code is its own text, with its classes and functions as headings."""

from __future__ import annotations

import ast
import sysconfig
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from racto.knowledge.readers import READERS, read_document
from racto.knowledge.readers.code import find_definitions
from racto.knowledge.windows import split

SAMPLES = {
    "a.ts": (
        ("export default class Foo<T> extends Bar {\n  constructor(private a: string) {\n    if (a) {\n    }\n  }\n  async load(): Promise<void> {\n"
        "    return x(`class Nope {`);\n  }\n}\n// function no() {}\nexport const add = (a: number) => a;\nexport interface Opts { a: number }\n"),
        [(1, "Foo"), (2, "constructor"), (2, "load"), (1, "add"), (1, "Opts")],
    ),
    "a.java": (
        ("package a;\n/** Doc. */\npublic class Account extends Base {\n    public Account(int a) {\n        foo(a);\n    }\n"
        "    public static <T> List<T> add(List<T> a) throws X {\n        for (int i = 0; i < 3; i++) {\n        }\n    }\n    enum Kind { A }\n}\n"),
        [(1, "Account"), (2, "Account"), (2, "add"), (2, "Kind")],
    ),
    "a.go": ("type Server struct {\n}\nfunc (s *Server) Start() error {\n\tgo func() {\n\t}()\n}\n", [(1, "Server"), (1, "Start")]),
    "a.rs": (
        "pub struct Point<'a> { x: &'a str }\nimpl<'a> Display for Point<'a> {\n    pub fn new(x: &'a str) -> Self {\n        '\"'\n    }\n}\n#[test]\nfn it() {}\n",
        [(1, "Point"), (1, "Point"), (2, "new"), (1, "it")],
    ),
    "a.c": ("struct node { int a; };\nstatic int add(int a,\n               int b)\n{\n    if (a) {\n    }\n}\nint proto(int);\n", [(1, "node"), (1, "add")]),
    "a.cs": ("namespace A.B\n{\n    public sealed class C\n    {\n        public async Task<int> RunAsync(string s)\n        {\n        }\n    }\n}\n", [(1, "A.B"), (2, "C"), (3, "RunAsync")]),
    "a.kt": ("data class User(val name: String)\nfun String.hello(): Int = 3\n", [(1, "User"), (1, "String.hello")]),
    "a.php": ("<?php\nclass A {\n    public function go($a) { return 'function no()'; }\n}\n", [(1, "A"), (2, "go")]),
    "a.rb": ("module A\n  class B\n    def go!(x)\n    end\n  end\nend\n", [(1, "A"), (2, "B"), (3, "go!")]),
    "a.sh": ("main() {\n  echo '# no() {'\n}\nfunction b {\n}\n", [(1, "main"), (1, "b")]),
    "a.lua": ("local function a.b(x)\nend\nM.c = function(x)\nend\n--[[ function no() ]]\n", [(1, "a.b"), (1, "M.c")]),
}  # fmt: skip


@pytest.mark.parametrize("name", SAMPLES)
def test_definitions_are_headings_in_every_language(name: str) -> None:
    text, headings = SAMPLES[name]
    document = read_document(text.encode(), name=name)
    assert document.content == text
    assert [(heading.level, heading.title) for heading in document.headings] == headings


def test_every_definition_python_itself_sees_is_found_and_no_other() -> None:
    looked = 0
    for path in sorted(Path(sysconfig.get_paths()["stdlib"]).glob("*.py"))[::3]:
        document = read_document(path)
        tree = ast.walk(ast.parse(document.content))
        kinds = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)
        wanted = sorted((node.lineno, node.name) for node in tree if isinstance(node, kinds))
        found = [(document.content.count("\n", 0, heading.end) + 1, heading.title) for heading in document.headings]
        assert found == wanted, path
        looked += len(wanted)
    assert looked > 2000


def test_a_passage_is_cited_by_class_and_method_with_its_decorators_and_comments() -> None:
    text = "import os\n\n\nclass A:\n    x = 1\n\n    # Why.\n    @property\n    def b(self):\n        return 2\n"
    document = read_document(text.encode(), name="a.py")
    last = split(document)[-1]
    assert last.heading_path == ("A", "b")
    assert document.content[last.start : last.end].startswith("# Why.\n    @property\n    def b")


def test_code_is_read_where_the_table_says() -> None:
    assert {extension for extension, reader in READERS.items() if reader == ".code:CodeReader"} >= {
        ".py",
        ".ts",
        ".rs",
        ".c",
    }


@given(st.text(st.sampled_from("ab \n\t(){}<>'\"`/*#-=;:.[]\\&"), max_size=400))
def test_headings_are_in_order_and_hold_their_names(text: str) -> None:
    end = 0
    for heading in find_definitions(text):
        assert end <= heading.start < heading.end <= len(text)
        assert heading.title in text[heading.start : heading.end]
        end = heading.end
