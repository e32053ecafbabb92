"""Models at the command line: talked to, listed, paid for, and their keys."""

from __future__ import annotations

import io
import json
import logging
import os
import stat
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest
from racto.knowledge.contexts import ContextStore
from racto.knowledge.database import Database
from racto.server import log, secrets
from racto.server.cli import main

from tests.test_cli import at_a_terminal

KEY = "sk-canary-0123456789"


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A home folder of its own, without keys and settings."""
    for name in [name for name in os.environ if name.startswith(("RACTO_", "XDG_")) or name in secrets.KNOWN]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("RACTO_DATABASE", str(tmp_path / "racto.db"))
    secrets.own.cache_clear()
    yield tmp_path
    secrets.own.cache_clear()


@pytest.fixture
def type_in(monkeypatch: pytest.MonkeyPatch) -> io.StringIO:
    """What is on standard input."""
    typed = io.StringIO()
    monkeypatch.setattr("sys.stdin", typed)
    return typed


def lines(typed: io.StringIO, *words: str) -> None:
    typed.write("".join(f"{line}\n" for line in words))
    typed.seek(0)


def messages(home: Path, name: str) -> list[str]:
    database = Database(home / "racto.db")
    try:
        return [each.message.content for each in ContextStore(database).read(name, "local")]
    finally:
        database.close()


def test_one_question_prints_the_answer_alone_and_what_it_took_beside_it(
    capsys: pytest.CaptureFixture[str], type_in: io.StringIO
) -> None:
    assert main(["chat", "--model", "simulated/demo", "Hello there"]) == 0
    shown = capsys.readouterr()
    assert shown.out == "[simulated] You said: Hello there\n"
    assert shown.err.startswith("(simulated/demo, 2 + 8 tokens, $0, ")


def test_what_is_piped_in_goes_with_the_question(capsys: pytest.CaptureFixture[str], type_in: io.StringIO) -> None:
    lines(type_in, "def f(): pass")
    assert main(["chat", "--model", "simulated", "Review this."]) == 0
    assert capsys.readouterr().out == "[simulated] You said: Review this.\n\ndef f(): pass\n\n"


def test_a_file_from_anywhere_goes_along_because_the_person_named_it(
    home: Path, capsys: pytest.CaptureFixture[str], type_in: io.StringIO
) -> None:
    (home / "note.txt").write_text("A walrus.")
    assert main(["chat", "--model", "simulated", "--context", "c", "--attach", str(home / "note.txt"), "Look"]) == 0
    database = Database(home / "racto.db")
    asked = ContextStore(database).read("c", "local")[0].message
    database.close()
    assert [file.text for file in asked.attachments] == ["A walrus."]
    assert main(["chat", "--model", "simulated", "--attach", str(home / "none.txt"), "Look"]) == 2
    assert "There is nothing at" in capsys.readouterr().err


def test_without_a_model_nothing_begins_and_the_way_to_one_is_told(
    home: Path, capsys: pytest.CaptureFixture[str], type_in: io.StringIO
) -> None:
    for words in (["chat"], ["chat", "Hello"]):
        assert main(words) == 2
        shown = capsys.readouterr()
        assert not shown.out
        assert "racto keys set OPENAI_API_KEY" in shown.err


def test_a_conversation_remembers_changes_its_model_and_tells_its_cost(
    home: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, type_in: io.StringIO
) -> None:
    monkeypatch.setenv("RACTO_MODELS", "simulated/first")
    lines(
        type_in, "One", "", "/model", "/model simulated/second", "Two", "/cost", "/new other", "Three", "/quit", "Four"
    )
    assert main(["chat", "--context", "talk"]) == 0
    shown = capsys.readouterr()
    assert shown.out.count("[simulated]") == 3
    assert "Four" not in shown.out
    assert "simulated/first\n" in shown.err
    assert "(simulated/second, " in shown.err
    assert "$0 for 2 answers, " in shown.err
    assert [text for text in messages(home, "talk") if not text.startswith("[")] == ["One", "Two"]
    assert messages(home, "other")[0] == "Three"


def test_a_conversation_outlives_an_answer_that_failed_and_a_command_that_is_none(
    capsys: pytest.CaptureFixture[str], type_in: io.StringIO
) -> None:
    lines(type_in, "Hello", "/modle x", "/help", "/model simulated/demo", "Hello again")
    assert main(["chat", "--model", "openai/gpt-4o"]) == 0
    shown = capsys.readouterr()
    assert "There is no API key for openai." in shown.err
    assert "/model" in shown.err.partition("'/modle'")[2]
    assert "/cost         what this session cost so far" in shown.err
    assert "You said: Hello again" in shown.out


def test_at_a_terminal_the_answer_comes_after_a_prompt(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RACTO_MODELS", "simulated/demo")
    code, shown = at_a_terminal("chat", answer="Hello\n/quit\n")
    assert code == 0
    assert "> " in shown
    assert "[simulated] You said: Hello" in shown


def test_models_are_listed_with_those_that_answer_first(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RACTO_MODELS", "openai/gpt-4o-mini")
    assert main(["models", "--provider", "openai"]) == 0
    listed = capsys.readouterr().out.splitlines()
    assert listed[0].startswith("* openai/gpt-4o-mini · 128,000 tokens · $")
    assert main(["models", "--provider", "openai", "--name", "mini", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["total"] == len(found["models"]) >= 2
    assert all("mini" in each["model"] for each in found["models"])


@contextmanager
def registry_at(content: bytes) -> Iterator[str]:
    """A server on this machine that has a list of models."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, *args: object) -> None:
            """Say nothing."""

    with HTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}/models.json"
        finally:
            server.shutdown()
            thread.join()


def test_a_list_of_models_is_fetched_when_asked_for_and_then_known_without_the_net(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert main(["models", "--update"]) == 2
    assert "RACTO_REGISTRY_URL" in capsys.readouterr().err
    content = b'{"version": 1, "models": [{"id": "nova-9", "provider": "openai", "context_window": 77}]}'
    with registry_at(content) as url:
        monkeypatch.setenv("RACTO_REGISTRY_URL", url)
        assert main(["models", "--name", "nova-9"]) == 0
        assert "No such model" in capsys.readouterr().out
        assert main(["models", "--update", "--name", "nova-9"]) == 0
        assert "openai/nova-9 · 77 tokens" in capsys.readouterr().out
    assert main(["models", "--name", "nova-9"]) == 0
    assert "openai/nova-9 · 77 tokens" in capsys.readouterr().out


def test_usage_tells_what_was_asked_by_what_is_wanted(capsys: pytest.CaptureFixture[str], type_in: io.StringIO) -> None:
    assert main(["usage"]) == 0
    assert "No call was made yet." in capsys.readouterr().out
    for model in ("simulated/a", "simulated/a", "simulated/b"):
        assert main(["chat", "--model", model, "Hello there"]) == 0
    capsys.readouterr()
    assert main(["usage", "--by", "model", "--period", "daily", "--json"]) == 0
    report = json.loads(capsys.readouterr().out)
    assert [(line["of"], line["calls"]) for line in report["lines"]] == [({"model": "a"}, 2), ({"model": "b"}, 1)]
    assert report["lines"][0]["completion_tokens"] == 16
    assert main(["usage", "--since", "2999-01-01"]) == 0
    assert "No call" in capsys.readouterr().out
    assert main(["usage", "--since", "yesterday"]) == 2
    assert "2026-11-20" in capsys.readouterr().err


def test_a_key_is_kept_for_its_owner_alone_found_by_its_provider_and_never_shown(
    home: Path, capfd: pytest.CaptureFixture[str], type_in: io.StringIO
) -> None:
    assert main(["keys"]) == 0
    assert "No key is known." in capfd.readouterr().out
    lines(type_in, KEY)
    assert main(["keys", "set", "OPENAI_API_KEY"]) == 0
    file = home / ".config" / "racto" / "secrets.toml"
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert KEY in file.read_text()
    assert main(["keys"]) == 0
    assert main(["config"]) == 0
    assert main(["config", "--json"]) == 0
    log.configure("debug")
    logging.getLogger("racto").error("The key is %s.", KEY)
    shown = capfd.readouterr()
    assert "OPENAI_API_KEY  file  for openai" in shown.out
    assert "The key is ***." in shown.err
    assert KEY not in shown.out + shown.err
    assert main(["keys", "delete", "OPENAI_API_KEY"]) == 0
    assert KEY not in file.read_text()


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["keys", "set"], "Which key?"),
        (["keys", "delete", "NO_SUCH_KEY"], "NO_SUCH_KEY"),
        (["keys", "set", "two words"], "no name of a secret"),
        (["keys", "set", "OPENAI_API_KEY"], "is empty"),
    ],
)
def test_a_key_that_cannot_be_is_refused(
    words: list[str], said: str, capsys: pytest.CaptureFixture[str], type_in: io.StringIO
) -> None:
    assert main(words) == 2
    assert said in capsys.readouterr().err


def test_a_setting_of_pairs_is_read_from_a_variable_and_from_a_file(
    home: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    file = home / "config.toml"
    file.write_text('task_config = "tasks.json"\n[tiers]\n"gpt-4o-mini" = 40\n"gpt-4o" = 100\n')
    monkeypatch.setenv("RACTO_CONFIG", str(file))
    monkeypatch.setenv("RACTO_BASE_URLS", "ollama=http://box:11434, vllm=http://gpu:8000/v1")
    assert main(["config", "--json"]) == 0
    values = {name: each["value"] for name, each in json.loads(capsys.readouterr().out).items()}
    assert values["base_urls"] == {"ollama": "http://box:11434", "vllm": "http://gpu:8000/v1"}
    assert values["tiers"] == {"gpt-4o-mini": 40, "gpt-4o": 100}
    assert values["task_config"] == str(home / "tasks.json")
