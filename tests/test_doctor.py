"""The doctor says what is wrong, and the fix it names is the right one."""

from __future__ import annotations

import json
import os
import re
import socket
import sqlite3
import sys
from importlib import metadata
from pathlib import Path

import pytest
from racto.knowledge.database import Database
from racto.knowledge.pages import PageIndexRAG
from racto.server import hosts
from racto.server.cli import main
from racto.server.doctor import Finding, examine
from racto.server.settings import load


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A home and project folder of its own, with documents to read and no database yet."""
    for name in [name for name in os.environ if name.startswith(("RACTO_", "XDG_"))]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("RACTO_DATABASE", str(tmp_path / "data" / "racto.db"))
    monkeypatch.chdir(tmp_path)
    (tmp_path / "Documents").mkdir()
    return tmp_path


def found(about: str) -> list[Finding]:
    return [finding for finding in examine(load().settings) if finding.about == about]


def test_a_sound_installation_is_all_right(
    home: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert main(["install", "claude", "--root", str(home / "Documents")]) == 0
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    monkeypatch.setenv("RACTO_PORT", str(port))
    assert main(["doctor"]) == 0
    shown = capsys.readouterr().out
    assert "✗" not in shown
    for about in ("python", "packages", "database", "roots", "port", "server", "Claude Desktop"):
        assert f"✓ {about}: " in shown, shown
    assert re.search(r"answers with \d\d tools", shown)
    for requirement in ("mcp", "numpy", "pypdfium2", "pydantic"):
        assert f"{requirement} {metadata.version(requirement)}" in shown
    assert not (home / "data").exists()  # looking changes nothing


def test_a_damaged_database_is_found_and_the_named_command_mends_it(
    home: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = home / "data" / "racto.db"
    with PageIndexRAG(path=path) as index:
        for number in range(30):
            index.ingest_text(f"Document {number} about zebra{number}. " * 200, f"{number}.txt")
    (sound,) = found("database")
    assert sound.state == "ok"
    assert "30 documents" in sound.said
    damaged = bytearray(path.read_bytes())
    damaged[30 * 4096 : 31 * 4096] = b"\xff" * 4096
    path.write_bytes(damaged)
    (finding,) = found("database")
    assert finding.state == "broken"
    words = finding.fix.split()
    assert words[0] == "racto"
    capsys.readouterr()
    assert main(words[1:]) == 0
    shown = capsys.readouterr()
    assert "Saved " in shown.out
    assert "damaged" in shown.err
    (mended,) = found("database")
    assert mended.state == "ok"


def test_a_file_that_is_no_database_is_found(home: Path) -> None:
    path = home / "data" / "racto.db"
    path.parent.mkdir()
    path.write_bytes(b"these are my holiday photos" * 100)
    (finding,) = found("database")
    assert finding.state == "broken"
    assert "--rebuild" in finding.fix


def test_a_database_of_a_newer_racto_is_not_offered_a_rebuild(home: Path) -> None:
    database = Database(home / "data" / "racto.db")
    with database.writing() as connection:
        connection.execute("PRAGMA user_version=999")
    database.close()
    (finding,) = found("database")
    assert (finding.state, finding.fix) == ("broken", "Upgrade racto.")


def test_rebuilding_what_is_not_there_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["doctor", "--rebuild"]) == 2
    assert "There is no database" in capsys.readouterr().err


def test_a_folder_that_is_not_there_is_noted(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RACTO_ROOTS", os.pathsep.join([str(home / "nowhere"), str(home / "Documents")]))
    findings = found("roots")
    assert [finding.state for finding in findings] == ["note", "ok"]
    assert "nowhere" in findings[0].said
    assert "RACTO_ROOTS" in findings[0].fix


def test_a_misspelt_column_to_hide_is_noted_since_it_hides_nothing(
    home: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    with sqlite3.connect(home / "shop.db") as connection:
        connection.execute("CREATE TABLE people (id INTEGER, email TEXT)")
    connection.close()
    config = home / "config.toml"
    config.write_text('[sql_databases.shop]\nurl = "shop.db"\nmask_columns = ["emial"]\n')
    monkeypatch.setenv("RACTO_CONFIG", str(config))
    main(["doctor"])
    said = capsys.readouterr().out
    assert "✓ sql database shop: 1 tables" in said
    assert "masks a column 'emial', which is not there. Did you mean 'email'?" in said


def test_a_port_that_is_taken_is_a_note_for_stdio_and_broken_for_http(monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        monkeypatch.setenv("RACTO_PORT", str(taken.getsockname()[1]))
        assert [finding.state for finding in found("port")] == ["note"]
        monkeypatch.setenv("RACTO_TRANSPORT", "http")
        assert [finding.state for finding in found("port")] == ["broken"]


@pytest.mark.parametrize(
    ("entry", "said"),
    [
        ({"command": "/nowhere/racto", "args": ["serve"], "env": {}}, "does not exist"),
        ({"command": sys.executable, "args": ["-c", "import sys; sys.exit('no such thing')"]}, "no such thing"),
        ({"args": []}, "not complete"),
        ("racto", "does not have racto"),
    ],
)
def test_a_host_whose_entry_does_not_start_is_found(entry: object, said: str) -> None:
    host = hosts.HOSTS["cursor"]
    hosts.write(host, json.dumps({"mcpServers": {"racto": entry}}))
    (finding,) = found("Cursor")
    assert said in finding.said
    assert finding.fix == "racto install cursor"
    assert finding.state == ("note" if entry == "racto" else "broken")


def test_a_broken_file_of_a_host_makes_the_doctor_fail(capsys: pytest.CaptureFixture[str]) -> None:
    hosts.write(hosts.HOSTS["claude"], '{"mcpServers": {')
    assert main(["doctor"]) == 1
    shown = capsys.readouterr().out
    assert "✗ Claude Desktop: " in shown
    assert "1 broken." in shown


def test_comments_where_a_host_takes_them_are_only_noted() -> None:
    hosts.write(hosts.HOSTS["vscode"], '{\n  // mine\n  "servers": {}\n}')
    (finding,) = found("VS Code")
    assert finding.state == "note"
    assert "comments" in finding.said
    assert "by hand" in finding.fix


def test_a_package_that_cannot_be_imported_is_named_with_its_fix(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    broken = home / "broken"
    broken.mkdir()
    (broken / "rank_bm25.py").write_text("raise OSError('libnothing.so: cannot open')", encoding="utf-8")
    monkeypatch.syspath_prepend(broken)
    monkeypatch.delitem(sys.modules, "rank_bm25", raising=False)
    findings = found("packages")
    assert [finding.state for finding in findings] == ["broken", "ok"]
    assert findings[0].said == "rank-bm25 cannot be imported: libnothing.so: cannot open"
    assert findings[0].fix.endswith("-m pip install --force-reinstall 'rank-bm25>=0.2.2'")
