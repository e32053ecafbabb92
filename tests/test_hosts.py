"""racto's entry in other programs' files: only it changes, and it starts."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from racto.knowledge.errors import ConfigError, StorageError
from racto.server import hosts
from racto.server.cli import main
from racto.server.json_edit import drop_member, set_member
from racto.server.settings import load


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A home and project folder of its own."""
    for name in [name for name in os.environ if name.startswith(("RACTO_", "XDG_"))]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("USERPROFILE", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    return tmp_path


def backups(path: Path) -> list[Path]:
    return sorted(path.parent.glob(f"{path.name}.racto-backup-*"))


OTHERS = """{
    "globalShortcut": "Ctrl+Space",
    "mcpServers": {
        "weather" : { "command":"node","args":["w.js"] , "n": 1.50e1, "s": "\\u00e4ä" }
    },

    "last": [1,2,
      3]
}
"""


@pytest.mark.parametrize("name", hosts.HOSTS)
def test_an_entry_is_made_where_the_host_looks_for_it(name: str, home: Path) -> None:
    host = hosts.HOSTS[name]
    assert main(["install", name, "--root", str(home / "papers")]) == 0
    found = json.loads(host.path().read_text(encoding="utf-8"))[host.key]["racto"]
    assert Path(found["command"]).is_absolute()
    assert os.access(found["command"], os.X_OK)
    assert found["env"]["RACTO_ROOTS"] == str(home / "papers")
    assert home in host.path().parents
    assert (found.get("type") == "stdio") is (name == "vscode")


@pytest.mark.parametrize(
    ("platform", "expected"),
    [
        ("linux", ".config/Claude/claude_desktop_config.json"),
        ("darwin", "Library/Application Support/Claude/claude_desktop_config.json"),
        ("win32", "Roaming/Claude/claude_desktop_config.json"),
    ],
)
def test_claude_desktop_is_looked_for_where_each_system_has_it(
    platform: str, expected: str, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "platform", platform)
    monkeypatch.setenv("APPDATA", str(home / "Roaming"))
    monkeypatch.setenv("LOCALAPPDATA", str(home / "Local"))
    assert hosts.claude_desktop_file() == home / expected


def test_the_packaged_claude_desktop_of_windows_is_found_where_it_really_reads(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "platform", "win32")
    monkeypatch.setenv("LOCALAPPDATA", str(home / "Local"))
    folder = home / "Local" / "Packages" / "Claude_abc123" / "LocalCache" / "Roaming" / "Claude"
    folder.mkdir(parents=True)
    assert hosts.claude_desktop_file() == folder / "claude_desktop_config.json"


def test_everything_else_in_the_file_stays_byte_for_byte(home: Path) -> None:
    path = hosts.claude_desktop_file()
    path.parent.mkdir(parents=True)
    path.write_bytes(OTHERS.replace("\n", "\r\n").encode())
    assert main(["install", "claude"]) == 0
    after = path.read_bytes().decode()
    head, tail = OTHERS.replace("\n", "\r\n").split(" }\r\n    },")
    assert after.startswith(head + ' },\r\n        "racto": {\r\n            "command": ')
    assert after.endswith("}\r\n    }," + tail)
    assert "\n" not in after.replace("\r\n", "")
    (backup,) = backups(path)
    assert backup.read_bytes() == OTHERS.replace("\n", "\r\n").encode()
    assert main(["install", "claude", "--uninstall"]) == 0
    assert path.read_bytes() == OTHERS.replace("\n", "\r\n").encode()


def test_installing_again_changes_only_our_entry(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = hosts.claude_desktop_file()
    assert main(["install", "claude"]) == 0
    first = path.read_bytes()
    assert main(["install", "claude"]) == 0
    assert path.read_bytes() == first
    assert backups(path) == []
    assert "needs no change" in capsys.readouterr().err
    assert main(["install", "claude", "--root", str(home)]) == 0
    assert json.loads(path.read_text(encoding="utf-8"))["mcpServers"]["racto"]["env"] == {"RACTO_ROOTS": str(home)}
    assert [backup.read_bytes() for backup in backups(path)] == [first]


def test_a_dry_run_writes_nothing_and_shows_the_change(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["install", "claude", "--dry-run"]) == 0
    assert not hosts.claude_desktop_file().parent.exists()
    assert '+    "racto": {' in capsys.readouterr().out


@pytest.mark.parametrize(
    "text",
    [
        '{"mcpServers": {',
        '{"mcpServers": {},}',
        "[]",
        '{"mcpServers": []}',
        '{"mcpServers": null}',
        "not json",
        "[" * 100_000,
        '{\n  // a comment\n  "mcpServers": {}\n}',
    ],
)
def test_a_file_that_is_not_plain_json_is_left_alone_and_the_entry_shown(
    text: str, home: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = hosts.claude_desktop_file()
    path.parent.mkdir(parents=True)
    path.write_text(text, encoding="utf-8")
    assert main(["install", "claude"]) == 2
    assert path.read_text(encoding="utf-8") == text
    assert backups(path) == []
    told = capsys.readouterr().err
    assert str(path) in told
    assert '"mcpServers"' in told
    assert "Traceback" not in told
    assert ("comment" in told) is ("//" in text)


def test_a_linked_file_stays_a_link_and_keeps_its_mode(home: Path) -> None:
    real = home / "dotfiles" / "claude.json"
    real.parent.mkdir()
    real.write_text("{}", encoding="utf-8")
    real.chmod(0o640)
    path = hosts.claude_desktop_file()
    path.parent.mkdir(parents=True)
    path.symlink_to(real)
    assert main(["install", "claude"]) == 0
    assert path.is_symlink()
    assert "racto" in real.read_text(encoding="utf-8")
    assert real.stat().st_mode & 0o777 == 0o640


def test_a_folder_that_cannot_be_written_is_told(home: Path) -> None:
    (home / ".cursor").write_text("a file where a folder should be", encoding="utf-8")
    with pytest.raises(StorageError, match=r"\.cursor"):
        hosts.write(hosts.HOSTS["cursor"], "{}")
    with pytest.raises(ConfigError, match=r"\.cursor"):
        hosts.read(hosts.HOSTS["cursor"])


def test_a_byte_order_mark_survives(home: Path) -> None:
    path = hosts.claude_desktop_file()
    path.parent.mkdir(parents=True)
    path.write_bytes(b'\xef\xbb\xbf{\n  "a": 1\n}')
    assert main(["install", "claude"]) == 0
    assert path.read_bytes().startswith(b'\xef\xbb\xbf{\n  "a": 1,\n  "mcpServers": {')


def test_a_folder_that_is_not_there_is_told(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["install", "claude", "--root", str(home), "--root", str(home / "nowhere")]) == 0
    told = capsys.readouterr().err
    assert f"{home / 'nowhere'} does not exist yet" in told
    assert f"{home} does not" not in told


def test_the_example_file_is_what_the_code_makes() -> None:
    committed = Path(__file__).parents[1] / "claude_desktop_config.example.json"
    remake = "run: python -c \"from racto.server.hosts import example; print(example(), end='')\" > claude_desktop_config.example.json"
    assert committed.read_text(encoding="utf-8") == hosts.example(), remake


def test_settings_given_to_install_reach_the_entry_and_the_rest_is_left_to_the_server(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RACTO_DATABASE", str(home / "x.db"))
    assert main(["install", "claude"]) == 0
    found = json.loads(hosts.claude_desktop_file().read_text(encoding="utf-8"))["mcpServers"]["racto"]["env"]
    assert found == {"RACTO_ROOTS": str(home / "Documents"), "RACTO_DATABASE": str(home / "x.db")}


def test_databases_of_the_environment_go_into_the_entry_with_absolute_paths(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(home)
    monkeypatch.setenv("RACTO_SQL_DATABASES", "shop=shop.db,sales=postgresql://me@box/sales")
    found = hosts.environment(load())
    assert found["RACTO_SQL_DATABASES"] == f"shop={home / 'shop.db'},sales=postgresql://me@box/sales"


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)
objects = st.dictionaries(st.text(), json_values, max_size=4)


@given(
    objects, objects, json_values, st.sampled_from([None, 1, 2, 4, "\t"]), st.booleans(), st.booleans(), st.booleans()
)
def test_a_member_set_in_any_json_text_is_there_and_the_rest_unchanged(
    outer: dict[str, Any],
    inner: dict[str, Any],
    value: Any,
    indent: int | str | None,
    ascii_only: bool,
    crlf: bool,
    has_key: bool,
) -> None:
    inner.pop("racto", None)
    outer.pop("mcpServers", None)
    document = {**outer, "mcpServers": inner} if has_key else outer
    text = json.dumps(document, indent=indent, ensure_ascii=ascii_only)
    text = text.replace("\n", "\r\n") if crlf else text
    changed = set_member(text, ("mcpServers", "racto"), value)
    assert json.loads(changed) == {**outer, "mcpServers": {**(inner if has_key else {}), "racto": value}}
    assert set_member(changed, ("mcpServers", "racto"), value) == changed
    back = drop_member(changed, ("mcpServers", "racto"))
    if has_key and inner:
        assert back == text
    else:
        assert json.loads(back) == {**outer, "mcpServers": {}}
    assert drop_member(text, ("mcpServers", "racto")) == text


def test_a_name_that_stands_twice_is_set_where_readers_look_and_dropped_for_good() -> None:
    text = '{"racto": 1, "a": 2, "racto": 3}'
    assert json.loads(set_member(text, ("racto",), 4)) == {"a": 2, "racto": 4}
    assert json.loads(drop_member(text, ("racto",))) == {"a": 2}
