"""Models as a client sees them: asked, compared, embedded with, listed, paid for, and remembered; over the wire against local servers."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from mcp import Client
from racto.agents.calls import ToolContext, ToolOutput
from racto.agents.toolbox import ToolRegistry
from racto.server import app
from racto.server.secrets import KNOWN
from racto.server.settings import Settings
from racto.tools import load
from racto.tools.services import Services

from tests import dialects
from tests.dialects.ollama import Ollama
from tests.dialects.openai import OpenAI

pytestmark = pytest.mark.anyio

CITY = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}


@dataclass
class House:
    """racto with its tools, and the servers its models are on."""

    settings: Settings
    kept: Services
    tools: ToolRegistry
    openai: OpenAI
    ollama: Ollama

    async def call(self, tool: str, context: ToolContext | None = None, /, **arguments: Any) -> ToolOutput:
        return await self.tools.call(tool, arguments, context)

    async def ok(self, tool: str, context: ToolContext | None = None, /, **arguments: Any) -> ToolOutput:
        output = await self.call(tool, context, **arguments)
        assert not output.is_error, output.text
        return output

    def asked(self) -> int:
        return len(self.openai.received) + len(self.ollama.received)


@dataclass(slots=True)
class Person(ToolContext):
    """Somebody who says yes or no, and hears how far the work is."""

    says: bool | None = None
    asked: list[str] = field(default_factory=list)
    heard: list[tuple[float, str]] = field(default_factory=list)

    async def confirm(self, message: str) -> bool | None:
        self.asked.append(message)
        return self.says

    def progress(self, done: float, total: float | None = None, message: str | None = None) -> None:
        self.heard.append((done, message or ""))


@pytest.fixture(autouse=True)
def nothing_of_the_person(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in KNOWN:
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("OPENAI_API_KEY", dialects.KEY)


@asynccontextmanager
async def house(tmp_path: Path, **given: Any) -> AsyncIterator[House]:
    async with AsyncExitStack() as stack:
        openai, ollama = OpenAI(), Ollama()
        urls = {
            "openai": f"{await stack.enter_async_context(openai.running())}/v1",
            "ollama": await stack.enter_async_context(ollama.running()),
        }
        values = {"models": ("openai/plain",), "embedding_models": ("openai/plain",), "base_urls": urls, **given}
        settings = Settings(database=tmp_path / "racto.db", roots=(tmp_path / "files",), **values)
        (tmp_path / "files").mkdir(exist_ok=True)
        with app.services(settings) as kept:
            stack.push_async_callback(kept.aclose)
            yield House(settings, kept, app.registry(settings, load(settings.toolsets, kept)), openai, ollama)


def kept_bytes(folder: Path) -> bytes:
    return b"".join(path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file())


async def test_without_a_model_chat_says_what_to_do_and_simulates_nothing(tmp_path: Path) -> None:
    async with house(tmp_path, models=(), embedding_models=(), base_urls={}) as here:
        for tool, arguments in (("chat", {"message": "Hello"}), ("embed", {"texts": ["a"]})):
            output = await here.call(tool, **arguments)
            assert output.is_error
            assert "racto keys set OPENAI_API_KEY" in output.text
            assert "MODELS=ollama/" in output.text
            assert output.structured["code"] == "model_not_available"
        assert here.asked() == 0


async def test_a_simulated_model_answers_by_name_and_says_that_it_is_none(tmp_path: Path) -> None:
    async with house(tmp_path, models=()) as here:
        output = await here.ok("chat", message="Hello", model="simulated")
    assert output.structured["model"] == "simulated/simulated"
    assert "simulated: no model was asked" in output.text


async def test_an_answer_comes_with_who_gave_it_and_what_it_took(tmp_path: Path) -> None:
    async with house(tmp_path) as here:
        output = await here.ok("chat", message="Hello")
    said = output.structured
    assert output.text.startswith(dialects.TEXT)
    assert said["text"] == dialects.TEXT
    assert said["model"] == "openai/plain-2026"  # the release that answered
    assert said["usage"]["prompt_tokens"] == 11
    assert said["why"][-1] == "openai/plain answered"
    assert said["cost"] is None  # nobody publishes a price of this model, and an unknown price is not zero
    assert "price unknown" in output.text


async def test_the_words_are_told_as_progress_while_they_come(tmp_path: Path) -> None:
    async with house(tmp_path) as here:
        person = Person()
        await here.ok("chat", person, message="Hello")
    assert [done for done, _ in person.heard] == [7, 11, 13, len(dialects.TEXT)]
    assert person.heard[-1][1] == dialects.TEXT


async def test_the_system_prompt_is_the_stored_one_with_its_variables_and_what_was_given_instead(
    tmp_path: Path,
) -> None:
    async with house(tmp_path) as here:
        fields = {"role": "A cook.", "aim": "Cook {dish}.", "constraints": ["No nuts."], "tone": "Warm"}
        await here.ok("prompt_save", name="cook", output_format="text", **fields)
        await here.ok("chat", message="Go", prompt="cook", variables={"dish": "soup"}, tone="Curt", step_by_step=True)
        await here.ok("chat", message="Go", role="A pirate.")
        await here.ok("chat", message="Go")
        stored, given, bare = (here.openai.sent_texts(request) for request in here.openai.received)
    assert "Cook soup." in stored[0][1]
    assert "[TONE]\nCurt" in stored[0][1]
    assert "step by step" in stored[0][1]
    assert "[ROLE]\nA pirate." in given[0][1]
    assert bare == [("user", "Go")]


async def test_files_go_along_from_the_roots_and_from_nowhere_else(tmp_path: Path) -> None:
    async with house(tmp_path) as here:
        (tmp_path / "files" / "cat.png").write_bytes(dialects.PNG)
        (tmp_path / "secret.png").write_bytes(dialects.PNG)
        await here.ok("chat", message="What is it?", attachments=["cat.png"])
        assert here.openai.sent_files(here.openai.received[0]) == [("image/png", dialects.PNG)]
        for path in (str(tmp_path / "secret.png"), "../secret.png", "."):
            output = await here.call("chat", message="What is it?", attachments=[path])
            assert output.is_error
        assert here.asked() == 1


async def test_a_conversation_goes_on_under_its_name_and_is_searched_deleted_and_brought_back(tmp_path: Path) -> None:
    async with house(tmp_path) as here:
        await here.ok("chat", message="Where do walruses live?", context_id="zoo")
        output = await here.ok("chat", message="And what do they eat?", context_id="zoo")
        assert output.structured["context_id"] == "zoo"
        turns = here.openai.sent_texts(here.openai.received[1])
        assert turns == [
            ("user", "Where do walruses live?"),
            ("assistant", dialects.TEXT),
            ("user", "And what do they eat?"),
        ]
        assert "zoo (4 messages" in (await here.ok("context_list")).text
        assert "[2 assistant] Grüße" in (await here.ok("context_read", name="zoo", limit=2)).text
        assert "**walruses**" in (await here.ok("context_search", query="walrus")).text
        refused = await here.call("context_delete", Person(says=False), name="zoo")
        assert refused.structured["code"] == "declined"
        await here.ok("context_delete", Person(says=True), name="zoo")
        assert "no conversation" in (await here.ok("context_list")).text
        gone = await here.call("chat", message="More?", context_id="zoo")
        assert "was deleted" in gone.text
        assert here.asked() == 2  # a conversation that cannot be gone on with costs nothing
        await here.ok("context_restore", name="zoo")
        assert len((await here.ok("context_read", name="zoo")).structured["messages"]) == 4


async def test_a_long_conversation_is_summed_up_by_a_model(tmp_path: Path) -> None:
    async with house(tmp_path) as here:
        for number in range(3):
            await here.ok("chat", message=f"Question {number}?", context_id="long")
        output = await here.ok("context_summarise", name="long", keep_last=2)
        assert output.text == dialects.TEXT
        assert "Question 0?" in here.openai.sent_texts(here.openai.received[-1])[-1][1]
        assert (await here.ok("context_read", name="long")).structured["summary"] == dialects.TEXT


async def test_an_answer_by_schema_is_data_or_an_error_but_never_made_up(tmp_path: Path) -> None:
    async with house(tmp_path) as here:
        output = await here.ok("chat", message="Where?", model="openai/schema", output_schema=CITY)
        assert output.structured["parsed"] == dialects.ANSWER
        assert here.openai.sent_schema(here.openai.received[0]) is not None
        wrong = await here.call("chat", message="Where?", model="openai/plain", output_schema=CITY)
        assert wrong.structured["code"] == "response_model"
        assert here.asked() == 4  # the first, then one with two repairs
        for schema in ({"type": "nothing"}, {"$ref": "http://127.0.0.1:9/x"}, {"$ref": "#/$defs/none"}):
            assert (await here.call("chat", message="Where?", output_schema=schema)).is_error
        assert here.asked() == 4


async def test_models_are_compared_side_by_side_and_one_that_fails_does_not_stop_the_others(tmp_path: Path) -> None:
    async with house(tmp_path) as here:
        person = Person()
        models = ["openai/plain", "ollama/plain", "openai/status-404"]
        output = await here.ok("chat_compare", person, message="Hello", models=models)
    assert [each["model"] for each in output.structured["answers"]] == ["openai/plain-2026", "ollama/plain"]
    assert list(output.structured["failures"]) == ["openai/status-404"]
    assert output.structured["answers"][1]["cost"] == "0"
    assert output.text.count(dialects.TEXT) == 2
    assert [done for done, _ in person.heard] == [1, 2, 3]


async def test_texts_become_vectors_and_their_nearness_is_told(tmp_path: Path) -> None:
    async with house(tmp_path) as here:
        output = await here.ok("embed", texts=["a", "banana"])
    assert output.structured["vectors"] == [dialects.vector_of("a"), dialects.vector_of("banana")]
    assert output.structured["dimensions"] == 3
    assert output.structured["similarities"][0][0] == 1
    assert "2 vectors of 3 numbers" in output.text


async def test_models_are_listed_with_window_price_and_abilities_and_those_here_are_looked_up(tmp_path: Path) -> None:
    async with house(tmp_path, models=("openai/gpt-4o",)) as here:
        output = await here.ok("models_list", name="gpt-4o")
        first = output.structured["models"][0]
        assert (first["model"], first["context_window"], first["chosen"]) == ("openai/gpt-4o", 128_000, True)
        assert float(first["input"]) > 0
        assert "images" in first["capabilities"]
        local = await here.ok("models_list", provider="ollama")
        assert {each["model"] for each in local.structured["models"]} >= {"ollama/model-a", "ollama/model-b"}
        assert not here.openai.received  # a hosted provider is asked only when that is wanted
        live = await here.ok("models_list", provider="openai", live=True, name="model-a")
        assert [each["model"] for each in live.structured["models"]] == ["openai/model-a"]
        assert "There is no provider" in (await here.call("models_list", provider="opena")).text


async def test_every_call_is_in_the_report_and_an_enforced_limit_refuses_the_next(tmp_path: Path) -> None:
    async with house(tmp_path, models=("openai/gpt-4o",)) as here:
        await here.ok("chat", message="Hello", component="docs")
        report = await here.ok("usage_report", by=["model", "component"])
        line = report.structured["lines"][0]
        assert line["of"] == {"model": "gpt-4o", "component": "docs"}
        assert (line["prompt_tokens"], line["completion_tokens"]) == (11, 7)
        assert float(line["cost"]) == pytest.approx((11 * 2.5 + 7 * 10) / 1e6)
        tiny: dict[str, Any] = {"period": "daily", "amount": 0.0001, "policy": "enforce"}
        nobody = await here.call("budget_set", **tiny)
        assert "confirm=true" in nobody.text
        person = Person(says=False)
        assert (await here.call("budget_set", person, **tiny)).structured["code"] == "declined"
        assert person.asked == ["Set the daily limit to $0.0001 and set the policy to enforce?"]
        await here.ok("budget_set", Person(says=True), **tiny)
        refused = await here.call("chat", message="Hello again")
        assert refused.structured["code"] == "budget_exceeded"
        assert "raise the limit" in refused.text
        assert here.asked() == 1
        assert "daily limit" in (await here.ok("usage_report")).text
        await here.ok("budget_set", period="daily", confirm=True)
        await here.ok("chat", message="Hello again")


async def test_limits_and_policy_of_the_settings_hold(tmp_path: Path) -> None:
    given = {"budget_policy": "enforce", "budget_daily_limit": "0.00001", "budget_timezone": "Asia/Tokyo"}
    async with house(tmp_path, models=("openai/gpt-4o",), **given) as here:
        assert (await here.call("chat", message="Hello")).structured["code"] == "budget_exceeded"
        limit = (await here.ok("usage_report")).structured["limits"][0]
        assert limit["resets_at"].endswith("T00:00+09:00")
        assert here.asked() == 0


async def test_a_task_goes_to_its_model_and_the_next_model_answers_where_one_fails(tmp_path: Path) -> None:
    table = tmp_path / "tasks.json"
    table.write_text(json.dumps({"code": {"provider": "ollama", "model": "plain"}}))
    async with house(tmp_path, models=("openai/status-404", "ollama/plain"), task_config=table) as here:
        assert (await here.ok("chat", message="Sort a list", task="code")).structured["model"] == "ollama/plain"
        assert not here.openai.received
        fallen = await here.ok("chat", message="Hello")
        assert fallen.structured["model"] == "ollama/plain"
        assert any("status-404: model_not_available" in step for step in fallen.structured["why"])


async def test_the_model_can_be_chosen_by_how_hard_the_question_is(tmp_path: Path) -> None:
    tiers = {"plain": 30, "usage": 100}
    async with house(tmp_path, models=("openai/auto",), tiers=tiers) as here:
        assert (await here.ok("chat", message="Hi")).structured["model"] == "openai/plain-2026"
        hard = (
            "Compare and evaluate the trade-offs of these architectures, prove the complexity of each algorithm. " * 5
        )
        assert (await here.ok("chat", message=hard)).structured["model"] == "openai/usage-2026"


async def test_the_same_question_is_paid_once_where_answers_are_kept(tmp_path: Path) -> None:
    async with house(tmp_path, cache_seconds=60) as here:
        await here.ok("chat", message="Hello")
        again = await here.ok("chat", message="Hello")
        assert again.structured["cached"] == "exact"
        assert "from the exact cache" in again.text
        assert here.asked() == 1


@pytest.mark.parametrize("models", [("nobody/gpt",), ("gpt-4o",)])
async def test_a_model_the_settings_misname_is_told_by_the_first_call(tmp_path: Path, models: tuple[str, ...]) -> None:
    async with house(tmp_path, models=models) as here:
        output = await here.call("chat", message="Hello")
    assert output.structured["code"] == "bad_config"
    assert "setting models" in output.text


async def test_a_model_is_found_by_its_name_alone_and_an_unknown_one_is_not_guessed(tmp_path: Path) -> None:
    async with house(tmp_path, models=()) as here:
        assert (await here.ok("chat", message="Hello", model="gpt-4o")).structured["model"] == "openai/gpt-4o-2026"
        output = await here.call("chat", message="Hello", model="no-such-thing")
        assert "Write it as provider/name" in output.text
        assert here.asked() == 1


async def test_templates_are_kept_rendered_tried_and_brought_back(tmp_path: Path) -> None:
    async with house(tmp_path) as here:
        await here.ok("template_save", name="ask", text="What is {thing}?", component="zoo", task="chat")
        await here.ok("template_save", name="beg", text="Please tell me what {thing} is.")
        assert (
            await here.ok("template_render", name="ask", variables={"thing": "a walrus"})
        ).text == "What is a walrus?"
        assert "zoo/chat" in (await here.ok("template_list", component="zoo")).text
        inputs = [{"thing": "a walrus"}, {"thing": "rain"}]
        output = await here.ok("template_compare", first="ask", second="beg", inputs=inputs)
        asked = [here.openai.sent_texts(request)[-1][1] for request in here.openai.received]
        assert max(asked) == "What is rain?"
        assert len(asked) == 4
        assert output.text.count(dialects.TEXT) == 4
        missing = await here.call("template_compare", first="ask", second="beg", inputs=[{"thing": "x"}, {}])
        assert missing.is_error
        assert here.asked() == 4
        await here.ok("template_delete", Person(says=True), name="ask")
        assert (await here.call("template_render", name="ask")).is_error
        assert (await here.ok("template_restore", name="ask")).structured["version"] == 2


async def test_two_stored_prompts_are_tried_on_the_same_message(tmp_path: Path) -> None:
    async with house(tmp_path) as here:
        for name, tone in (("curt", "Curt"), ("warm", "Warm")):
            fields = {"role": "A guide to {place}.", "aim": "Answer.", "constraints": ["Be true."], "tone": tone}
            await here.ok("prompt_save", name=name, output_format="text", **fields)
        values = [{"place": "Rome"}]
        await here.ok("template_compare", first="curt", second="warm", inputs=values, kind="prompt", message="Where?")
        systems = [here.openai.sent_texts(request)[0][1] for request in here.openai.received]
        assert all("A guide to Rome." in system for system in systems)
        assert len({system.split("[TONE]")[1] for system in systems}) == 2


async def test_what_is_kept_and_known_can_be_read_as_resources(tmp_path: Path, era: str) -> None:
    async with house(tmp_path) as here:
        await here.ok("chat", message="Where do walruses live?", context_id="zoo")
        await here.ok("template_save", name="ask", text="What is {thing}?")
        server = app.build(here.settings, here.kept)
        async with Client(server.lowlevel, mode="legacy" if era == "legacy" else "auto", cache=None) as client:
            listed = {str(each.uri) for each in (await client.list_resources()).resources}
            assert {"racto://models", "racto://usage", "racto://contexts/zoo", "racto://templates/ask"} <= listed

            async def read(uri: str) -> str:
                return "".join(getattr(each, "text", "") for each in (await client.read_resource(uri)).contents)

            assert "openai/gpt-4o" in await read("racto://models")
            assert "openai, plain: $0 and 1 of unknown price" in await read("racto://usage")
            assert "walruses" in await read("racto://contexts/zoo")
            assert await read("racto://templates/ask") == "What is {thing}?"


async def test_progress_reaches_an_mcp_client_before_the_answer(tmp_path: Path, era: str) -> None:
    async with house(tmp_path) as here:
        server = app.build(here.settings, here.kept)
        heard: list[tuple[float, str | None]] = []

        async def told(progress: float, total: float | None, message: str | None) -> None:
            heard.append((progress, message))

        async with Client(server.lowlevel, mode="legacy" if era == "legacy" else "auto", cache=None) as client:
            result = await client.call_tool("chat", {"message": "Hello"}, progress_callback=told)
    assert not result.is_error
    assert heard[-1] == (len(dialects.TEXT), dialects.TEXT)


async def test_a_key_is_in_no_result_no_error_and_no_byte_that_is_kept(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
) -> None:
    async with house(tmp_path, cache_seconds=60) as here:
        texts = []
        for model in ("openai/plain", "openai/status-401", "openai/exhausted", "openai/overflow"):
            output = await here.call("chat", message="Hello", model=model, context_id="c")
            texts.append(output.text + json.dumps(output.structured))
        listing = await here.call("models_list", provider="openai", live=True)
        texts.append(listing.text)
        assert any(dialects.KEY in str(request.headers) for request in here.openai.received)  # it was really used
    texts += [caplog.text, *capfd.readouterr()]
    assert not [text for text in texts if dialects.KEY in text]
    kept = kept_bytes(tmp_path)
    assert len(kept) > 10_000
    assert dialects.KEY.encode() not in kept
