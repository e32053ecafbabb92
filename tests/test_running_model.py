"""A server on which no model is set up, and an Ollama that runs beside it."""

from __future__ import annotations

import asyncio
import io
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from racto.agents.providers.ollama import OllamaProvider
from racto.agents.running_model import FORGOTTEN, PATIENCE, REMEMBERED, RunningModel
from racto.server.secrets import KNOWN

from tests import dialects
from tests.dialects.ollama import Ollama
from tests.dialects.server import Line, Received
from tests.test_chat_tools import House, house

pytestmark = pytest.mark.anyio


@dataclass
class Model:
    """A model as Ollama tells of it."""

    modified_at: str
    capabilities: tuple[str, ...] = ("completion",)
    loaded: bool = False
    remote_host: str = ""


class Shelf(Ollama):
    """An Ollama with these models, which counts how often it is asked for the list."""

    def __init__(self, **models: Model) -> None:
        super().__init__()
        self.models = models
        self.looked = 0
        self.silent = False

    async def _serve(self, scenario: str, request: Received, line: Line) -> None:
        if self.silent:
            await line.stall()
        elif request.path in ("/api/tags", "/api/ps"):
            self.received.pop()
            self.looked += request.path == "/api/tags"
            shown = {name: each for name, each in self.models.items() if each.loaded or request.path == "/api/tags"}
            await line.json({"models": [self.entry(name, each) for name, each in shown.items()]})
        elif request.path == "/api/show":
            self.capabilities = list(self.models[request.body["model"]].capabilities)
            await super()._serve(scenario, request, line)
        else:
            await super()._serve(scenario, request, line)

    @staticmethod
    def entry(name: str, model: Model) -> dict[str, Any]:
        told = {"name": name, "model": name, "modified_at": model.modified_at}
        return told | ({"remote_host": model.remote_host} if model.remote_host else {})


@pytest.fixture(autouse=True)
def no_keys(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in KNOWN:
        monkeypatch.delenv(name, raising=False)


@asynccontextmanager
async def beside(shelf: Shelf, tmp_path: Path, **given: Any) -> AsyncIterator[House]:
    async with shelf.running() as base:
        values: dict[str, Any] = {"models": (), "embedding_models": (), "base_urls": {"ollama": base}, **given}
        async with house(tmp_path, **values) as here:
            yield here


async def test_the_newest_model_that_chats_answers_and_the_answer_says_which_and_why(tmp_path: Path) -> None:
    shelf = Shelf(
        old=Model("2026-01-01T00:00:00Z"),
        plain=Model("2026-10-01T00:00:00Z"),
        embedder=Model("2026-11-01T00:00:00Z", ("embedding",)),
    )
    async with beside(shelf, tmp_path) as here:
        output = await here.ok("chat", message="Hello")
        assert output.structured["model"] == "ollama/plain"
        assert output.structured["cost"] == "0"
        assert "No model is set up: ollama/plain answers, since Ollama runs on this machine" in output.text
        assert "newest" in output.structured["why"][0]
        marked = [each for each in (await here.ok("models_list")).structured["models"] if each["chosen"]]
        assert [each["model"] for each in marked] == ["ollama/plain"]


async def test_a_model_in_memory_answers_before_a_newer_one_on_disk(tmp_path: Path) -> None:
    shelf = Shelf(plain=Model("2026-01-01T00:00:00Z", loaded=True), usage=Model("2026-11-01T00:00:00Z"))
    async with beside(shelf, tmp_path) as here:
        output = await here.ok("chat", message="Hello")
    assert output.structured["model"] == "ollama/plain"
    assert "in its memory" in output.structured["why"][0]


async def test_no_question_goes_to_a_cloud_nobody_chose(tmp_path: Path) -> None:
    shelf = Shelf(
        **{"plain:cloud": Model("2026-11-01T00:00:00Z")},
        usage=Model("2026-11-01T00:00:00Z", remote_host="https://ollama.com"),
    )
    async with beside(shelf, tmp_path) as here:
        output = await here.call("chat", message="Hello")
    assert output.structured["code"] == "model_not_available"
    assert "starts Ollama" in output.text
    assert not shelf.received


async def test_every_tool_that_asks_a_model_finds_it_and_looks_once(tmp_path: Path) -> None:
    shelf = Shelf(plain=Model("2026-10-01T00:00:00Z"))
    async with beside(shelf, tmp_path) as here:
        await here.ok("chat", message="Hello", context_id="c")
        await here.ok("context_summarise", name="c", keep_last=0)
        await here.ok("template_save", name="ask", text="What is {thing}?")
        await here.ok("template_compare", first="ask", second="ask", inputs=[{"thing": "rain"}])
    assert len(shelf.received) == 4
    assert shelf.looked == 1


async def test_it_is_not_looked_for_where_models_or_a_task_say_who_answers(tmp_path: Path) -> None:
    shelf = Shelf(plain=Model("2026-10-01T00:00:00Z"))
    table = tmp_path / "tasks.json"
    table.write_text('{"code": {"provider": "simulated", "model": "demo"}}')
    async with beside(shelf, tmp_path, models=("simulated/demo",)) as here:
        assert (await here.ok("chat", message="Hello")).structured["model"] == "simulated/demo"
    async with beside(shelf, tmp_path, task_config=table) as here:
        assert (await here.ok("chat", message="Hello", task="code")).structured["model"] == "simulated/demo"
        assert shelf.looked == 0
        assert (await here.ok("chat", message="Hello")).structured["model"] == "ollama/plain"


async def test_kept_answers_are_those_of_the_model_that_gave_them(tmp_path: Path) -> None:
    shelf = Shelf(plain=Model("2026-10-01T00:00:00Z"))
    async with beside(shelf, tmp_path, cache_seconds=60) as here:
        await here.ok("chat", message="Hello")
        assert (await here.ok("chat", message="Hello")).structured["cached"] == "exact"
    shelf.models = {"usage": Model("2026-11-01T00:00:00Z")}
    async with beside(shelf, tmp_path, cache_seconds=60) as here:
        answer = await here.ok("chat", message="Hello")
    assert (answer.structured["model"], answer.structured["cached"]) == ("ollama/usage", None)


async def test_an_ollama_that_does_not_answer_is_waited_for_half_a_second_and_no_longer(tmp_path: Path) -> None:
    shelf = Shelf()
    shelf.silent = True
    async with shelf.running() as base:
        running = RunningModel(OllamaProvider(base))
        async with asyncio.timeout(PATIENCE + 5):  # what is more than patience is the machine's, not the server's
            assert await running.find() is None
    assert PATIENCE <= 0.5


async def test_what_was_found_is_used_for_a_while_and_nothing_for_a_shorter_one() -> None:
    now = 0.0
    shelf = Shelf()
    async with shelf.running() as base:
        provider = OllamaProvider(base)
        running = RunningModel(provider, lambda: now)
        assert await running.find() is None
        shelf.models = {"plain": Model("2026-10-01T00:00:00Z")}
        assert await running.find() is None
        now += FORGOTTEN
        found = await running.find()
        assert found is not None
        shelf.models = {}
        assert await running.find() is found
        now += REMEMBERED
        assert await running.find() is None
        assert shelf.looked == 3
        await provider.aclose()


async def test_an_ollama_elsewhere_is_not_asked_by_itself(tmp_path: Path) -> None:
    given = {"models": (), "embedding_models": (), "base_urls": {"ollama": "http://ollama.example.com:11434"}}
    async with house(tmp_path, **given) as here:
        output = await here.call("chat", message="Hello")
    assert output.structured["code"] == "model_not_available"


async def test_a_person_at_the_terminal_is_answered_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from racto.server.cli import main

    shelf = Shelf(plain=Model("2026-10-01T00:00:00Z"))
    async with shelf.running() as base:
        monkeypatch.setenv("OLLAMA_HOST", base.removeprefix("http://"))
        monkeypatch.setenv("HOME", str(tmp_path))
        monkeypatch.setattr("sys.stdin", io.StringIO())
        words = ["chat", "--database", str(tmp_path / "racto.db"), "Hello"]
        assert await asyncio.to_thread(main, words) == 0
    shown = capsys.readouterr()
    assert dialects.TEXT in shown.out
    assert "No model is set up: ollama/plain answers" in shown.err
