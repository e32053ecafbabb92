"""The import contracts are kept, and each can be broken: a seeded violation of every one is caught."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]

SEEDS = {
    "imports only go down": ("knowledge/errors.py", "from ..agents import calls as _calls"),
    "readers do not know each other": ("knowledge/readers/html.py", "from . import pdf as _pdf"),
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
