"""The documents tell the truth: every command and Python block of the README runs, and the reference is what the code says."""

from __future__ import annotations

import json
import os
import re
import shlex
import shutil
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text()
BLOCKS = re.findall(r"^```(\w+)\n(.*?)^```$", README, re.MULTILINE | re.DOTALL)
PYTHON = [code for language, code in BLOCKS if language == "python"]
COMMANDS = [
    line
    for language, code in BLOCKS
    if language == "sh"
    for line in code.splitlines()
    if line.strip() and not line.startswith("#")
]
SQL = re.findall(r"^```(\w+)\n(.*?)^```$", (ROOT / "docs" / "sql.md").read_text(), re.MULTILINE | re.DOTALL)
LONG_RUNNING = ("racto serve",)
"""Commands that run until they are stopped; the transport tests start them."""


@pytest.fixture
def world(tmp_path: Path) -> dict[str, str]:
    """A home folder of its own with one folder of documents in it, and `racto` on the path."""
    shutil.copytree(ROOT / "server" / "demo" / "documents", tmp_path / "Documents" / "manuals")
    with closing(sqlite3.connect(tmp_path / "shop.db")) as shop:
        shop.executescript(
            """
            CREATE TABLE customers (id INTEGER PRIMARY KEY, country TEXT, email TEXT, ssn TEXT);
            CREATE TABLE orders (id INTEGER PRIMARY KEY, customer_id INTEGER, day DATE, total REAL, status TEXT);
            INSERT INTO customers VALUES (1, 'FR', 'a@example.test', '1'), (2, 'JP', 'b@example.test', '2'), (3, 'JP', NULL, '3');
            INSERT INTO orders VALUES (1, 1, '2026-01-01', 12.5, 'paid'), (2, 2, '2026-01-02', 7.5, 'new'), (3, 2, '2026-01-03', 9, 'paid');
            """
        )
    return {
        "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
        "HOME": str(tmp_path),
        "RACTO_DATABASE": str(tmp_path / "racto.db"),
        "RACTO_ROOTS": str(tmp_path / "Documents"),
        "RACTO_SQL_DATABASES": f"shop={tmp_path / 'shop.db'}",
    }


def _run(command: list[str], world: dict[str, str]) -> str:
    done = subprocess.run(
        command, cwd=world["HOME"], env=world, capture_output=True, text=True, timeout=120, check=False
    )
    assert done.returncode == 0, f"{shlex.join(command)}\n{done.stdout}\n{done.stderr}"
    return done.stdout


def test_the_readme_has_blocks_to_run() -> None:
    assert len(PYTHON) >= 3
    assert len(COMMANDS) >= 8


@pytest.mark.parametrize("code", PYTHON)
def test_a_python_block_of_the_readme_runs(code: str, world: dict[str, str]) -> None:
    _run([sys.executable, "-W", "error", "-c", code], world)


def test_the_commands_of_the_readme_run_in_their_order(world: dict[str, str]) -> None:
    for line in COMMANDS:
        words = shlex.split(line, comments=True)
        if words[0] == "make":
            subprocess.run(["make", "--dry-run", *words[1:]], cwd=ROOT, check=True, capture_output=True)
        elif words[0] == "racto" and not line.startswith(LONG_RUNNING):
            _run(words, world)
        else:
            assert line.startswith((*LONG_RUNNING, "git clone", "cd ")), (
                f"the README shows a command no test knows: {line}"
            )


def test_the_guide_to_databases_works_as_it_is_written(world: dict[str, str]) -> None:
    code = dict(SQL)
    assert code.keys() == {"toml", "yaml", "sh", "python"}
    home = Path(world["HOME"])
    (home / "racto.toml").write_text(code["toml"])
    (home / "shop.yaml").write_text(code["yaml"])
    del world["RACTO_SQL_DATABASES"]
    world["RACTO_CONFIG"] = str(home / "racto.toml")
    drawn, line, rows = (_run(shlex.split(command), world) for command in code["sh"].splitlines())
    assert "JP" in drawn
    assert "█" in drawn
    assert "2026-01-02" in line
    assert [row["email"] for row in json.loads(rows)] == ["***MASKED***", "***MASKED***", None]
    assert "ssn" not in rows
    schema = _run(["racto", "call", "sql_schema", "--arg", "database=shop", "--arg", "search=how many orders"], world)
    for said in (
        "One row for each order.",
        "purchases",
        "just placed",
        "revenue",
        "How many orders are there?",
        "~3 rows",
    ):
        assert said in schema
    _run([sys.executable, "-W", "error", "-c", code["python"]], world)


def test_every_link_of_the_readme_leads_somewhere() -> None:
    links = re.findall(r"\]\((?!https?:|#)([^)#]+)", README)
    assert links
    assert not [link for link in links if not (ROOT / link).exists()]


def test_the_reference_is_what_the_code_says() -> None:
    made = subprocess.run(
        [sys.executable, "-c", "from docs.build import text; print(text(), end='')"],
        cwd=ROOT,
        capture_output=True,
        text=True,
    )
    assert made.returncode == 0, made.stderr
    assert (ROOT / "docs" / "reference.md").read_text() == made.stdout, "run `make docs`"


def test_architecture_names_every_module() -> None:
    text = (ROOT / "ARCHITECTURE.md").read_text()
    modules = [
        path.relative_to(ROOT / room).parts[0]
        for room in ("server", "agents", "tools", "knowledge")
        for path in sorted((ROOT / room).rglob("*.py"))
        if path.name != "__init__.py" and "__pycache__" not in path.parts
    ]
    assert len(modules) > 25
    missing = {name for name in modules if f"`{name}`" not in text and f"`{name}/`" not in text}
    assert not missing


def test_every_dependency_is_justified_and_pinned() -> None:
    import tomllib

    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    groups = [
        project["project"]["dependencies"],
        *project["project"]["optional-dependencies"].values(),
        *project["dependency-groups"].values(),
    ]
    named = {requirement for group in groups for requirement in group if not requirement.startswith("racto[")}
    assert len(named) > 30
    architecture = (ROOT / "ARCHITECTURE.md").read_text()
    pins = {
        line.partition("==")[0].lower().replace("_", "-")
        for line in (ROOT / "constraints.txt").read_text().splitlines()
    }
    for requirement in named:
        name = re.split(r"[<>=!~\[; ]", requirement)[0]
        assert f"| `{name}` |" in architecture, f"ARCHITECTURE.md does not say why {name} is needed"
        assert name.lower() in pins, f"constraints.txt does not pin {name}"
    assert "://" not in (ROOT / "constraints.txt").read_text()
