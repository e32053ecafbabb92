"""The import contracts are kept, and each can be broken: a seeded violation of every one is caught."""

from __future__ import annotations

import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
from racto.agents.providers import PROVIDERS

ROOT = Path(__file__).parents[1]

SEEDS = {
    "imports only go down": ("knowledge/errors.py", "from ..agents import calls as _calls"),
    "readers do not know each other": ("knowledge/readers/html.py", "from . import pdf as _pdf"),
    "chunkers do not know each other": ("knowledge/chunking/fixed.py", "from . import recursive as _recursive"),
    "stores do not know each other": ("knowledge/stores/memory.py", "from . import sqlite as _sqlite"),
    "database engines do not know each other": ("tools/sql/engines/sqlite.py", "from . import mysql as _mysql"),
    "tuners do not know each other": ("tools/finetune/tuners/together.py", "from . import bedrock as _bedrock"),
    "providers do not know each other": ("agents/providers/voyage.py", "from . import ollama as _ollama"),
    "no cycles": ("knowledge/errors.py", "from . import database as _database"),
    "the protocol stays in the server room": ("agents/calls.py", "import mcp as _mcp"),
    "a vendor library stays in its adapter": ("tools/services.py", "import pypdfium2 as _pypdfium2"),
}


def _lint(root: Path) -> subprocess.CompletedProcess[str]:
    code = f"import sys; sys.path.insert(0, {str(root / '.dev')!r}); from importlinter.cli import lint_imports_command; lint_imports_command()"
    return subprocess.run(
        [sys.executable, "-c", code, "--no-logo", "--no-cache"], cwd=root, capture_output=True, text=True, check=False
    )


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    for name in ("api", "server", "agents", "tools", "knowledge", ".dev"):
        shutil.copytree(ROOT / name, tmp_path / name, symlinks=True, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    return tmp_path


def test_every_contract_is_kept(copy: Path) -> None:
    result = _lint(copy)
    assert result.returncode == 0, result.stdout + result.stderr
    assert f"{len(SEEDS)} kept, 0 broken" in result.stdout


@pytest.mark.parametrize("contract", SEEDS)
def test_a_seeded_violation_breaks_the_contract(contract: str, copy: Path) -> None:
    module, statement = SEEDS[contract]
    target = copy / module
    target.write_text(f"{target.read_text()}\n{statement}\n")
    result = _lint(copy)
    assert result.returncode == 1, result.stdout + result.stderr
    assert f"{contract} BROKEN" in result.stdout


def test_every_vendor_library_is_caught_outside_its_adapter(copy: Path) -> None:
    contracts = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]["contracts"]
    (vendors,) = (
        each["forbidden_modules"] for each in contracts if each["name"] == "a vendor library stays in its adapter"
    )
    assert len(vendors) >= 16
    target = copy / "tools" / "services.py"
    target.write_text(target.read_text() + "".join(f"\nimport {name} as _{name.lower()}" for name in vendors) + "\n")
    result = _lint(copy)
    missed = [name for name in vendors if f"racto.tools.services -> {name} " not in result.stdout]
    assert not missed, result.stdout


def test_every_provider_is_under_the_contract() -> None:
    contracts = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]["contracts"]
    (named,) = (each["modules"] for each in contracts if each["name"] == "providers do not know each other")
    assert sorted(named) == sorted(f"racto.agents.providers.{place.partition(':')[0]}" for place in PROVIDERS.values())
