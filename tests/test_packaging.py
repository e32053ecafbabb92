"""What is shipped: the files of the wheel and the sdist, and what installing them puts where."""

from __future__ import annotations

import hashlib
import subprocess
import sys
import sysconfig
import tarfile
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
ROOMS = {
    "api": "racto",
    "server": "racto/server",
    "agents": "racto/agents",
    "tools": "racto/tools",
    "knowledge": "racto/knowledge",
}


def _run(*command: str | Path, cwd: Path | None = None) -> str:
    done = subprocess.run(list(map(str, command)), capture_output=True, text=True, cwd=cwd, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def _build(source: Path, out: Path, kind: str) -> Path:
    _run(sys.executable, "-m", "build", "--no-isolation", f"--{kind}", "--outdir", out, source)
    (built,) = out.glob("*.whl" if kind == "wheel" else "*.tar.gz")
    return built


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return _build(ROOT, tmp_path_factory.mktemp("wheel"), "wheel")


@pytest.fixture(scope="module")
def sdist(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return _build(ROOT, tmp_path_factory.mktemp("sdist"), "sdist")


@pytest.fixture
def environment(tmp_path: Path) -> Path:
    """A fresh virtual environment that sees this one's libraries, but not this checkout."""
    home = tmp_path / "env"
    _run(sys.executable, "-m", "venv", "--without-pip", home)
    (site,) = home.glob("lib/python*/site-packages")
    (site / "libraries.pth").write_text(sysconfig.get_path("purelib"))
    return home


def _install(environment: Path, *arguments: str | Path) -> Path:
    pip = (
        "-m",
        "pip",
        "--python",
        environment / "bin" / "python",
        "install",
        "--quiet",
        "--no-deps",
        "--no-build-isolation",
    )
    _run(sys.executable, *pip, *arguments)
    (site,) = environment.glob("lib/python*/site-packages")
    return site


def _contents(wheel: Path) -> dict[str, str]:
    with zipfile.ZipFile(wheel) as archive:
        return {name: hashlib.sha256(archive.read(name)).hexdigest() for name in archive.namelist()}


def test_the_wheel_holds_exactly_the_files_of_the_rooms(wheel: Path) -> None:
    expected = {
        f"{target}/{path.relative_to(ROOT / room).as_posix()}"
        for room, target in ROOMS.items()
        for path in (ROOT / room).rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }
    names = set(_contents(wheel))
    metadata = {name for name in names if ".dist-info/" in name}
    assert names - metadata == expected
    assert {name.partition(".dist-info/")[2] for name in metadata} == {
        "METADATA",
        "WHEEL",
        "RECORD",
        "entry_points.txt",
        "licenses/LICENSE",
    }
    assert len(expected) > 50
    assert {"racto/__init__.py", "racto/py.typed", "racto/server/cli.py", "racto/knowledge/pages.py"} <= names


def test_a_wheel_built_from_the_sdist_is_the_same_wheel(wheel: Path, sdist: Path, tmp_path: Path) -> None:
    with tarfile.open(sdist) as archive:
        archive.extractall(tmp_path / "unpacked", filter="data")
    (source,) = (tmp_path / "unpacked").iterdir()
    assert _contents(_build(source, tmp_path / "again", "wheel")) == _contents(wheel)


def test_the_sdist_holds_the_rooms_and_the_tests_and_no_alias(sdist: Path) -> None:
    with tarfile.open(sdist) as archive:
        tops = {name.split("/")[1] for name in archive.getnames() if "/" in name}
    assert tops == {*ROOMS, "tests", "pyproject.toml", "README.md", "LICENSE", ".gitignore", "PKG-INFO"}


@pytest.mark.parametrize("way", ["wheel", "source"])
def test_installing_puts_one_package_into_site_packages(way: str, environment: Path, wheel: Path) -> None:
    site = _install(environment, wheel if way == "wheel" else ROOT)
    assert {path.name for path in site.iterdir() if path.is_dir()} == {"racto", "racto-0.1.0.dist-info"}
    where = _run(
        environment / "bin" / "python",
        "-c",
        "import racto; print(racto.RactoPrompt.__module__, racto.__file__)",
        cwd=environment,
    )
    assert where.split() == ["racto.knowledge.prompts", str(site / "racto" / "__init__.py")]
    assert "racto 0.1.0" in _run(environment / "bin" / "racto", "--version", cwd=environment)


def test_an_editable_install_runs_the_checkout(environment: Path) -> None:
    site = _install(environment, "--editable", ROOT)
    assert not {"racto", "server", "tools", "agents", "knowledge", "api"} & {
        path.name for path in site.iterdir() if path.is_dir()
    }
    where = _run(
        environment / "bin" / "python", "-c", "import racto.knowledge.errors as e; print(e.__file__)", cwd=environment
    )
    assert Path(where.strip()).resolve() == ROOT / "knowledge" / "errors.py"
    assert "racto 0.1.0" in _run(environment / "bin" / "racto", "--version", cwd=environment)


def test_type_checkers_look_at_every_module() -> None:
    checked = _run(sys.executable, "-m", "mypy", cwd=ROOT)
    count = int(checked.rpartition("no issues found in ")[2].split()[0])
    modules = sum(
        1 for room in (*ROOMS, "tests") for path in (ROOT / room).rglob("*.py") if "__pycache__" not in path.parts
    )
    assert count >= modules
