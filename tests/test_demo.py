"""The demonstration a newcomer sees first."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from racto.knowledge.errors import RactoError
from racto.server import demo

ANSI = re.compile(r"\033\[[0-9;]*m")


def shown(home: Path, **variables: str) -> subprocess.CompletedProcess[str]:
    environment = {"HOME": str(home), "PATH": os.environ["PATH"], **variables}
    return subprocess.run(
        [sys.executable, "-m", "racto.server.cli", "demo"],
        env=environment,
        capture_output=True,
        text=True,
        timeout=90,
        check=False,
    )


def test_the_demo_indexes_searches_cites_and_compiles_over_stdio(tmp_path: Path) -> None:
    done = shown(tmp_path)
    assert done.returncode == 0, done.stderr
    assert "5 documents" in done.stdout
    for question in demo.QUESTIONS:
        _, _, answer = done.stdout.partition(question.text)
        assert answer.lstrip().startswith(f"→ {question.document}, ")
    assert "→ telescope-handbook.pdf, page 3" in done.stdout
    assert "→ annual-report-2025.pdf, page 2" in done.stdout
    assert "[ROLE]\n    Librarian of the observatory" in done.stdout
    assert "MCP prompt cited-answer" in done.stdout
    assert done.stderr == ""
    assert not ANSI.search(done.stdout)


def test_the_block_it_prints_starts_a_server_that_answers(tmp_path: Path) -> None:
    printed = shown(tmp_path).stdout
    entry = json.loads(printed[printed.index("\n{") :])["mcpServers"]["racto"]
    assert Path(entry["command"]).is_absolute()
    hello = {"jsonrpc": "2.0", "id": 1, "method": "initialize"}
    client = {"protocolVersion": "2025-06-18", "capabilities": {}, "clientInfo": {"name": "test", "version": "1"}}
    answer = subprocess.run(
        [entry["command"], *entry["args"]],
        input=json.dumps(hello | {"params": client}) + "\n",
        env={"HOME": str(tmp_path), **entry["env"]},
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    assert json.loads(answer.stdout.splitlines()[0])["result"]["serverInfo"]["name"] == "racto"


def test_the_demo_touches_nothing_and_heeds_nothing_of_the_person_running_it(tmp_path: Path) -> None:
    config = tmp_path / ".config" / "racto" / "config.toml"
    config.parent.mkdir(parents=True)
    config.write_text('read_only = true\ntoolsets = ["prompts"]\n', encoding="utf-8")
    before = sorted(path.relative_to(tmp_path) for path in tmp_path.rglob("*"))
    assert shown(tmp_path).returncode == 0
    assert sorted(path.relative_to(tmp_path) for path in tmp_path.rglob("*")) == before


def test_a_wrong_answer_is_an_error_that_says_what_was_expected(monkeypatch: pytest.MonkeyPatch) -> None:
    wrong = demo.Question("How often is the primary mirror washed?", "board-minutes.docx")
    monkeypatch.setattr(demo, "QUESTIONS", (wrong,))
    with pytest.raises(RactoError, match=r"expected cited document to be 'board-minutes.docx'.*telescope-handbook.pdf"):
        demo.run()


def test_a_server_that_cannot_start_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(demo, "command", lambda: (sys.executable, ["-c", "raise SystemExit(3)"]))
    with pytest.raises(RactoError, match="did not answer"):
        demo.run()


def test_the_documents_are_small_and_of_every_kind() -> None:
    files = sorted(demo.DOCUMENTS.iterdir())
    assert {".pdf", ".md", ".html", ".docx"} == {path.suffix for path in files}
    assert sum(path.suffix == ".pdf" for path in files) >= 2
    assert all(path.stat().st_size < 10_000 for path in files)
