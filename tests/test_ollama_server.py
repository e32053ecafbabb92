"""A server that is started and stopped, examined with a stand-in for the program (tests/fake_ollama.py)."""

from __future__ import annotations

import asyncio
import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest
from racto.agents.ollama_server import OllamaServerManager
from racto.agents.providers.ollama import OllamaProvider, PullProgress
from racto.knowledge.errors import ConfigError, ConflictError, ModelNotAvailableError, TimeLimitError

from tests import fake_ollama

pytestmark = pytest.mark.skipif(os.name != "posix", reason="the stand-in is a shell script")


@pytest.fixture
def program(tmp_path: Path) -> str:
    """The path of something that behaves as `ollama serve` does."""
    path = tmp_path / "ollama"
    path.write_text(f'#!/bin/sh\nexec "{sys.executable}" -S "{fake_ollama.__file__}" "$@"\n')
    path.chmod(0o755)
    return str(path)


def listens(port: int) -> bool:
    """Whether somebody does."""
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def test_a_server_runs_within_the_block_and_not_after_it(program: str) -> None:
    with OllamaServerManager(ollama_bin=program) as server:
        assert server.is_running
        assert server.base_url == f"http://127.0.0.1:{server.port}"
        assert server.list_models() == ["llama3.2:latest"]
        server.start()
        assert server.is_running
    assert not server.is_running
    assert not listens(server.port)
    server.stop()


def test_two_servers_run_beside_each_other_and_the_port_may_be_chosen(program: str) -> None:
    with OllamaServerManager(ollama_bin=program) as first:
        chosen = OllamaServerManager(ollama_bin=program).port
        with OllamaServerManager(port=chosen, ollama_bin=program) as second:
            assert second.base_url == f"http://127.0.0.1:{chosen}"
            assert first.is_running
            assert second.is_running
        assert listens(first.port)


def test_a_model_is_pulled_with_progress(program: str) -> None:
    told: list[PullProgress] = []
    with OllamaServerManager(ollama_bin=program) as server:
        server.pull("qwen3", told.append)
        assert told == [PullProgress("pulling a", 10, 10), PullProgress("success", 10, 10)]
        assert "qwen3" in server.list_models()
        with pytest.raises(ModelNotAvailableError):
            server.pull("no-such-model")


def test_it_is_an_async_context_manager_too_and_works_inside_a_loop(program: str) -> None:
    async def examine() -> None:
        async with OllamaServerManager(ollama_bin=program) as server:
            provider = OllamaProvider(server.base_url)
            assert await provider.detect() == "0.0.0-fake"
            await provider.aclose()
            assert server.list_models() == ["llama3.2:latest"]
        assert not server.is_running

    asyncio.run(examine())


def test_a_program_on_the_path_is_found(program: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", f"{Path(program).parent}{os.pathsep}{os.environ['PATH']}")
    with OllamaServerManager() as server:
        assert server.is_running


def test_a_program_that_is_missing_says_where_to_get_it(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"ollama\.com/download"):
        OllamaServerManager(ollama_bin=str(tmp_path / "nothing")).start()


def test_a_program_that_gives_up_is_quoted(program: str) -> None:
    server = OllamaServerManager(ollama_bin=program, env={"FAKE_OLLAMA": "broken"})
    with pytest.raises(ConfigError, match="could not find a place for the models"):
        server.start()
    assert not server.is_running


def test_a_server_that_never_answers_is_given_up_and_ended(program: str) -> None:
    server = OllamaServerManager(ollama_bin=program, startup_timeout=0.3, env={"FAKE_OLLAMA": "deaf"})
    with pytest.raises(TimeLimitError, match=r"within 0\.3 s"):
        server.start()
    assert not server.is_running


def test_a_port_somebody_else_has_is_not_taken_for_ours(program: str) -> None:
    with OllamaServerManager(ollama_bin=program) as first:
        second = OllamaServerManager(port=first.port, ollama_bin=program)
        with pytest.raises(ConflictError, match="another port"):
            second.start()
        assert not second.is_running
        assert first.is_running


def test_a_server_that_does_not_want_to_end_is_ended(program: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("racto.agents.ollama_server._STOP_SECONDS", 0.2)
    with OllamaServerManager(ollama_bin=program, env={"FAKE_OLLAMA": "stubborn"}) as server:
        assert server.is_running
    assert not listens(server.port)


def test_a_server_nobody_stopped_ends_with_the_interpreter(program: str) -> None:
    script = (
        "from racto.agents.ollama_server import OllamaServerManager\n"
        f"server = OllamaServerManager(ollama_bin={program!r})\n"
        "server.start()\n"
        "print(server.port)\n"
    )
    here = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[1] / ".dev")}
    ended = subprocess.run(
        [sys.executable, "-c", script], env=here, capture_output=True, text=True, check=True, timeout=60
    )
    assert not listens(int(ended.stdout))
