"""The command line as a person meets it."""

from __future__ import annotations

import json
import os
import pty
import shlex
import signal
import subprocess
import sys
from collections.abc import Generator
from contextlib import contextmanager
from itertools import takewhile
from pathlib import Path
from typing import Any
from urllib.error import HTTPError
from urllib.request import Request, urlopen

import pytest
from racto.knowledge.errors import InputError
from racto.server.cli import main, parser
from racto.server.commands import COMMANDS
from racto.server.commands.call import coerced

DOCUMENTS = Path(__file__).parents[1] / "server" / "demo" / "documents"


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A home folder of its own, with a database of its own and the demo's documents to read."""
    for name in [name for name in os.environ if name.startswith(("RACTO_", "XDG_"))]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("RACTO_DATABASE", str(tmp_path / "racto.db"))
    monkeypatch.setenv("RACTO_ROOTS", str(DOCUMENTS))
    return tmp_path


def at_a_terminal(*words: str, answer: str = "") -> tuple[int, str]:
    """The exit code and everything shown when a person runs the command at a terminal and types `answer`."""
    ours, theirs = pty.openpty()
    process = subprocess.Popen(
        [sys.executable, "-m", "racto.server.cli", *words], stdin=theirs, stdout=theirs, stderr=theirs
    )
    os.close(theirs)
    os.write(ours, answer.encode())
    shown = b""
    try:
        while part := os.read(ours, 65536):
            shown += part
    except OSError:  # Linux says so when the other side is closed
        pass
    os.close(ours)
    return process.wait(), shown.decode()


def save_a_prompt() -> None:
    fields = {
        "role": "Editor",
        "aim": "Shorten",
        "constraints": ["Keep names."],
        "tone": "plain",
        "output_format": "text",
    }
    assert main(["call", "prompt_save", "--arg", "name=short", "--json-args", json.dumps(fields)]) == 0


def test_without_a_command_it_says_what_there_is(capsys: pytest.CaptureFixture[str]) -> None:
    assert main([]) == 0
    shown = capsys.readouterr().out
    assert all(f"  {name} " in shown and command.summary in shown for name, command in COMMANDS.items())


def test_the_version_is_the_one_that_is_installed(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--version"]) == 0
    name, number = capsys.readouterr().out.split()
    assert name == "racto"
    assert number[0].isdigit()


@pytest.mark.parametrize("name", COMMANDS)
def test_the_help_of_every_command_has_examples_that_it_takes(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as left:
        main([name, "--help"])
    assert left.value.code == 0
    _, _, examples = capsys.readouterr().out.partition("examples:\n")
    taken = 0
    for line in examples.splitlines():
        words = shlex.split(line.strip().partition("   ")[0])
        while "=" in words[0]:
            words.pop(0)
        words = list(takewhile(lambda word: word not in ("<", ">"), words))  # the rest is for the shell
        assert words[:2] == ["racto", name]
        parser(name).parse_args(words[2:])
        taken += 1
    assert taken


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["serv"], "Did you mean 'serve'"),
        (["call", "page_serch"], "Did you mean 'page_search'"),
        (["call", "page_search", "--arg", "query"], "KEY=VALUE"),
        (["call", "page_search", "--json-args", "{"], "not JSON"),
        (["call", "page_search", "--json-args", "[]"], "JSON object"),
        (["call", "page_search", "--json-args", "[" * 100_000], "not JSON"),
        (["call", "page_search", "--arg", "query=x", "--arg", f"metadata={'[' * 100_000}"], "'metadata' should"),
        (["call", "page_search", "--arg", "qery=x"], "query"),
        (["call", "page_search", "--arg", "query=x", "--arg", "top_k=many"], "top_k"),
        (["call", "page_ingest", "--arg", "path=/etc/passwd"], "RACTO_ROOTS"),
        (["tools", "--toolsets", "pagse"], "Did you mean 'pages'"),
    ],
)
def test_what_cannot_be_done_is_said_on_stderr_with_what_to_do(
    words: list[str], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(words) == 2
    shown = capsys.readouterr()
    assert shown.out == ""
    assert said in shown.err
    assert "Traceback" not in shown.err


def test_debugging_shows_where_an_error_came_from(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RACTO_LOG_LEVEL", "debug")
    with pytest.raises(InputError):
        main(["call", "page_search", "--arg", "query"])


def test_the_tools_are_listed_for_people_and_for_programs(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["tools"]) == 0
    assert "page_search(query, [" in capsys.readouterr().out
    assert main(["tools", "--json"]) == 0
    tools = {tool["name"]: tool for tool in json.loads(capsys.readouterr().out)}
    assert tools["page_search"]["read_only"] is True
    assert tools["page_search"]["input_schema"]["required"] == ["query"]
    assert tools["prompt_delete"]["destructive"] is True


def test_read_only_leaves_only_tools_that_change_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["tools", "--json", "--read-only"]) == 0
    tools = json.loads(capsys.readouterr().out)
    assert {"page_search", "prompt_compile"} <= {tool["name"] for tool in tools}
    assert all(tool["read_only"] for tool in tools)


def test_a_tool_is_called_and_its_answer_is_all_there_is_on_stdout(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["call", "page_ingest", "--arg", "path=safety-rules.md"]) == 0
    capsys.readouterr()
    assert main(["call", "page_search", "--arg", "query=liquid nitrogen", "--arg", "top_k=1"]) == 0
    shown = capsys.readouterr()
    assert "safety-rules.md" in shown.out
    assert shown.err == ""
    assert main(["call", "page_search", "--arg", "query=liquid nitrogen", "--json"]) == 0
    assert isinstance(json.loads(capsys.readouterr().out), dict)


def test_numbers_lists_and_text_are_read_as_the_tool_wants_them() -> None:
    schema: dict[str, Any] = {
        "properties": {
            "text": {"type": "string"},
            "maybe": {"type": ["string", "null"]},
            "number": {"type": "integer"},
            "flag": {"type": "boolean"},
            "tags": {"type": "array", "items": {"type": "string"}},
            "sizes": {"type": "array", "items": {"type": "integer"}},
            "either": {"type": ["string", "object"]},
            "anything": {},
        }
    }
    words = [
        "text=12",
        "maybe=null",
        "number=12",
        "flag=true",
        "tags=a,b",
        "tags=3",
        "sizes=[1, 2]",
        'either={"a": 1}',
        "anything=1.5",
    ]
    assert coerced(words, schema) == {
        "text": "12",
        "maybe": "null",
        "number": 12,
        "flag": True,
        "tags": ["a,b", "3"],
        "sizes": [1, 2],
        "either": {"a": 1},
        "anything": 1.5,
    }
    assert coerced(["tags=one", "text=a=b", "either=12", "number=x"], schema) == {
        "tags": ["one"],
        "text": "a=b",
        "either": "12",
        "number": "x",
    }


@pytest.mark.parametrize(("answer", "code", "left"), [("y\n", 0, 0), ("n\n", 2, 1), ("\n", 2, 1)])
def test_a_person_is_asked_before_something_is_deleted(
    answer: str, code: int, left: int, capsys: pytest.CaptureFixture[str]
) -> None:
    save_a_prompt()
    ended, shown = at_a_terminal("call", "prompt_delete", "--arg", "name=short", answer=answer)
    assert ended == code
    assert "[y/N]" in shown
    capsys.readouterr()
    assert main(["call", "prompt_list", "--json"]) == 0
    assert len(json.loads(capsys.readouterr().out)["prompts"]) == left


def test_yes_on_the_command_line_is_an_answer() -> None:
    save_a_prompt()
    ended, shown = at_a_terminal("call", "prompt_delete", "--arg", "name=short", "--yes")
    assert ended == 0
    assert "[y/N]" not in shown


def test_a_long_call_shows_its_progress_at_a_terminal() -> None:
    ended, shown = at_a_terminal("call", "page_ingest", "--arg", f"path={DOCUMENTS}")
    assert ended == 0, shown
    assert "5/5" in shown
    assert shown.rindex("\r\033[K") < shown.rindex("5")  # the bar is wiped before the answer


def test_settings_are_shown_with_where_they_came_from(
    home: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RACTO_TOKEN", "very-secret")
    assert main(["config"]) == 0
    lines = {line.split()[0]: line for line in capsys.readouterr().out.splitlines() if line}
    assert lines["database"].split()[1:] == [str(home / "racto.db"), "RACTO_DATABASE"]
    assert lines["port"].split()[1:] == ["8000", "default"]
    assert lines["token"].split()[2] == "RACTO_TOKEN"
    assert main(["config", "--json"]) == 0
    shown = capsys.readouterr().out
    assert json.loads(shown)["port"] == {"value": 8000, "source": "default"}
    assert "very-secret" not in shown + str(lines)


def test_a_mistyped_variable_is_told_and_stops_nothing(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RACTO_PROT", "1")
    assert main(["config", "--json"]) == 0
    shown = capsys.readouterr()
    assert "Did you mean 'RACTO_PORT'" in shown.err
    assert json.loads(shown.out)


def test_a_terminal_with_few_characters_is_no_reason_to_fail(home: Path) -> None:
    def run(*words: str) -> str:
        command = [sys.executable, "-m", "racto.server.cli", *words]
        environment = {**os.environ, "PYTHONIOENCODING": "ascii"}
        return subprocess.run(command, env=environment, capture_output=True, text=True, check=True).stdout

    text = "Grüße aus Öland, 東京 und Αθήνα."
    run("call", "page_ingest", "--arg", f"text={text}", "--arg", "source=greeting")
    assert "aus ?land" in run("call", "page_read", "--arg", "document=greeting")
    (page,) = json.loads(run("call", "page_read", "--arg", "document=greeting", "--json"))["pages"]
    assert page["text"] == text


def test_a_reader_that_leaves_early_is_no_error() -> None:
    command = f"{shlex.quote(sys.executable)} -m racto.server.cli tools --json | head -c 1"
    done = subprocess.run(["bash", "-c", f"set -o pipefail; {command}"], capture_output=True, text=True, check=False)
    assert done.stdout == "["
    assert done.stderr == ""
    assert done.returncode == 0


def test_interrupting_a_question_ends_quietly() -> None:
    save_a_prompt()
    ours, theirs = pty.openpty()
    words = [sys.executable, "-m", "racto.server.cli", "call", "prompt_delete", "--arg", "name=short"]
    process = subprocess.Popen(words, stdin=theirs, stdout=theirs, stderr=theirs)
    os.close(theirs)
    shown = b""
    while b"[y/N]" not in shown:
        shown += os.read(ours, 65536)
    process.send_signal(signal.SIGINT)
    assert process.wait(timeout=20) == 130
    os.close(ours)
    assert b"Traceback" not in shown


@contextmanager
def serving(*words: str, **variables: str) -> Generator[str]:
    """A server on a free port, and where it listens."""
    command = [sys.executable, "-m", "racto.server.cli", "serve", "--transport", "http", "--port", "0", *words]
    environment = {**os.environ, **variables}
    process = subprocess.Popen(
        command, env=environment, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    assert process.stderr is not None
    try:
        for line in process.stderr:
            if "listening on " in line:
                yield line.partition("listening on ")[2].split()[0]
                break
        else:
            pytest.fail("it ended without listening")
    finally:
        process.terminate()
        assert process.wait(timeout=20) == 0
        assert process.stdout.read() == ""
        process.stdout.close()
        process.stderr.close()


def status(url: str, **headers: str) -> int:
    """The HTTP status of a GET."""
    try:
        with urlopen(
            Request(url, headers={name.replace("_", "-"): value for name, value in headers.items()}), timeout=20
        ) as answer:
            return int(answer.status)
    except HTTPError as error:
        with error:
            return error.code


def test_settings_for_http_reach_the_server() -> None:
    with serving() as address:
        assert status(f"{address}/health") == 200
        assert status(f"{address}/health", Host="evil.example") == 421
        assert status(f"{address}/health", Origin="http://evil.example") == 403
        assert status(f"{address}/mcp") not in {401, 404}
    variables = {
        "RACTO_TOKEN": "s3cret",
        "RACTO_ALLOWED_HOSTS": "notes.example",
        "RACTO_ALLOWED_ORIGINS": "http://page.example",
    }
    with serving("--host", "0.0.0.0", **variables) as address:
        address = address.replace("0.0.0.0", "127.0.0.1")
        assert status(f"{address}/health", Host="notes.example", Origin="http://page.example") == 200
        assert status(f"{address}/mcp") == 401
        assert status(f"{address}/mcp", Authorization="Bearer s3cret") != 401


def test_serving_a_person_at_a_terminal_says_what_it_waits_for() -> None:
    ended, shown = at_a_terminal("serve", answer="\x04")
    assert ended == 0
    assert "Waiting for an MCP client" in shown
    assert "racto install --help" in shown


def test_others_are_let_in_only_with_a_token(capfd: pytest.CaptureFixture[str]) -> None:
    assert main(["serve", "--transport", "http", "--host", "0.0.0.0", "--port", "0"]) == 2
    assert "RACTO_TOKEN" in capfd.readouterr().err
