"""Prompts as a client sees them: tools, resources, and MCP prompts."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from mcp import Client
from racto.agents.calls import Text, ToolContext, ToolOutput
from racto.agents.offers import Observable, Toolset
from racto.agents.toolbox import ToolRegistry
from racto.knowledge.database import Database
from racto.knowledge.errors import InputError, UnknownNameError
from racto.knowledge.prompts import RactoPrompt
from racto.server.mcp import RactoMCPServer
from racto.tools.prompts import toolset
from racto.tools.services import Services

CHEF: dict[str, Any] = {
    "role": "You are a chef in Lyon.",
    "aim": "Write a recipe for {dish}.",
    "constraints": ["No nuts.", "Use grams."],
    "tone": "Warm",
    "output_format": "markdown",
}
SCHEMA = {"type": "object", "properties": {"title": {"type": "string"}}, "required": ["title"]}


@pytest.fixture
def offered(tmp_path: Path) -> Iterator[Toolset]:
    database = Database(tmp_path / "racto.db")
    yield toolset(Services(database))
    database.close()


@pytest.fixture
def registry(offered: Toolset) -> ToolRegistry:
    registry = ToolRegistry()
    for each in offered.tools:
        registry.register(each)
    return registry


def call(registry: ToolRegistry, tool: str, context: ToolContext | None = None, /, **arguments: Any) -> ToolOutput:
    return asyncio.run(registry.call(tool, arguments, context))


def ok(registry: ToolRegistry, tool: str, /, **arguments: Any) -> ToolOutput:
    output = call(registry, tool, **arguments)
    assert not output.is_error, output.text
    return output


def test_the_prompt_tools_cost_at_most_1400_tokens(registry: ToolRegistry) -> None:
    listed = [
        {"name": each.name, "description": each.description, "inputSchema": each.input_schema} for each in registry
    ]
    assert len(listed) == 7
    assert len(json.dumps(listed, ensure_ascii=False, separators=(",", ":"))) <= 1400 * 4


def test_schemas_are_flat_and_hints_say_what_changes(registry: ToolRegistry) -> None:
    for each in registry:
        assert not {"$ref", "anyOf", "$defs"} & set(json.dumps(each.input_schema).replace('"', " ").split())
    assert [each.name for each in registry if not each.read_only] == ["prompt_save", "prompt_restore", "prompt_delete"]
    assert [each.name for each in registry if each.destructive] == ["prompt_delete"]


# Compiling


def test_fields_compile_to_the_text_of_the_library(registry: ToolRegistry) -> None:
    fields = {
        **CHEF,
        "context": "A small kitchen.",
        "examples": [{"input": "a", "output": "b"}],
        "anti_hallucination": False,
    }
    assert ok(registry, "prompt_compile", **fields).text == RactoPrompt(**fields).compile()


def test_a_json_schema_can_be_the_output_format(registry: ToolRegistry) -> None:
    text = ok(registry, "prompt_compile", **CHEF, output_schema=SCHEMA).text
    assert text == RactoPrompt(**{**CHEF, "output_format": SCHEMA}).compile()
    assert '"title": {' in text


@pytest.mark.parametrize("provider", ["openai", "anthropic", "google", "ollama", "generic"])
def test_a_provider_gets_its_messages(registry: ToolRegistry, provider: str) -> None:
    output = ok(registry, "prompt_compile", **CHEF, provider=provider, user_message="Soup?")
    assert output.structured == {"messages": RactoPrompt(**CHEF).to_messages("Soup?", provider=provider)}
    assert json.loads(output.text) == output.structured


def test_braces_in_fields_are_text_unless_values_are_given(registry: ToolRegistry) -> None:
    assert "for {dish}." in ok(registry, "prompt_compile", **CHEF).text
    assert "for soup." in ok(registry, "prompt_compile", **CHEF, variables={"dish": "soup"}).text


def test_a_stored_prompt_compiles_by_name_and_version_with_fields_replaced(registry: ToolRegistry) -> None:
    ok(registry, "prompt_save", name="chef", **CHEF)
    ok(registry, "prompt_save", name="chef", **{**CHEF, "tone": "Cold"})
    soup = {"dish": "soup"}
    assert "[TONE]\nCold" in ok(registry, "prompt_compile", name="chef", variables=soup).text
    assert "[TONE]\nWarm" in ok(registry, "prompt_compile", name="chef", version=1, variables=soup).text
    changed = ok(registry, "prompt_compile", name="chef", tone="Angry", anti_hallucination=False, variables=soup).text
    assert "[TONE]\nAngry" in changed
    assert "[GUARDRAILS]" not in changed


def test_what_is_missing_is_told_in_words(registry: ToolRegistry) -> None:
    output = call(registry, "prompt_compile", role="You are a chef.")
    assert output.is_error
    assert "aim: Field required" in output.text
    ok(registry, "prompt_save", name="chef", **CHEF)
    output = call(registry, "prompt_compile", name="chef")
    assert output.is_error
    assert "needs a value for dish" in output.text
    output = call(registry, "prompt_compile", name="chief")
    assert "Did you mean 'chef'" in output.text


# Keeping


def test_saving_says_the_version_the_variables_and_what_is_wrong(registry: ToolRegistry) -> None:
    output = ok(registry, "prompt_save", name="chef", **CHEF)
    assert output.structured == {"name": "chef", "version": 1, "variables": ["dish"], "findings": []}
    assert output.text == "chef is at version 1. Variables: dish."
    output = ok(registry, "prompt_save", name="chef", **{**CHEF, "constraints": ["Use grams.", "Never use grams."]})
    assert output.structured["version"] == 2
    assert "error · constraints[0], constraints[1]" in output.text


def test_a_list_shows_the_prompts_and_with_a_name_its_fields_and_versions(registry: ToolRegistry) -> None:
    assert ok(registry, "prompt_list").text == "No prompt is stored yet."
    ok(registry, "prompt_save", name="chef", **CHEF)
    ok(registry, "prompt_save", name="chef", **{**CHEF, "tone": "Cold"}, note="colder", choices={"dish": ["soup"]})
    assert ok(registry, "prompt_list").text == "chef (v2: dish) Write a recipe for {dish}."
    history = ok(registry, "prompt_list", name="chef").structured
    assert [(each["version"], each["note"]) for each in history["versions"]] == [(2, "colder"), (1, "")]
    assert history["choices"] == {"dish": ["soup"]}
    again = ok(registry, "prompt_save", name="copy", **history["fields"], choices=history["choices"])
    assert again.structured["version"] == 1
    assert (
        ok(registry, "prompt_compile", name="copy", variables={"dish": "soup"}).text
        == ok(registry, "prompt_compile", name="chef", variables={"dish": "soup"}).text
    )


def test_a_difference_and_a_restore_go_by_version(registry: ToolRegistry) -> None:
    ok(registry, "prompt_save", name="chef", **CHEF)
    ok(registry, "prompt_save", name="chef", **{**CHEF, "tone": "Cold"})
    assert {"-Warm", "+Cold"} <= set(ok(registry, "prompt_diff", name="chef").text.splitlines())
    assert ok(registry, "prompt_restore", name="chef", version=1).structured["version"] == 3
    assert ok(registry, "prompt_diff", name="chef", old=1, new=3).text == "Nothing changed."


class Answering(ToolContext):
    """Somebody who gives one answer to every question."""

    def __init__(self, answer: bool) -> None:
        super().__init__()
        self.answer = answer
        self.asked: list[str] = []

    async def confirm(self, message: str) -> bool | None:
        self.asked.append(message)
        return self.answer


def test_deleting_asks_first_and_can_be_undone(registry: ToolRegistry) -> None:
    ok(registry, "prompt_save", name="chef", **CHEF)
    nobody, yes = Answering(answer=False), Answering(answer=True)
    refused = call(registry, "prompt_delete", nobody, name="chef")
    assert refused.is_error
    assert nobody.asked == ["Delete the prompt 'chef' (version 1)?"]
    assert "chef" in ok(registry, "prompt_list").text
    assert "prompt_restore" in call(registry, "prompt_delete", yes, name="chef").text
    assert yes.asked
    assert "chef" not in ok(registry, "prompt_list").text
    ok(registry, "prompt_restore", name="chef")
    assert "chef" in ok(registry, "prompt_list").text


def test_deleting_with_nobody_to_ask_takes_a_second_call(registry: ToolRegistry) -> None:
    ok(registry, "prompt_save", name="chef", **CHEF)
    output = call(registry, "prompt_delete", name="chef")
    assert output.is_error
    assert "confirm=true" in output.text
    ok(registry, "prompt_delete", name="chef", confirm=True)
    assert ok(registry, "prompt_list").text == "No prompt is stored yet."


def test_deleting_what_is_not_there_asks_nobody(registry: ToolRegistry) -> None:
    somebody = Answering(answer=True)
    assert call(registry, "prompt_delete", somebody, name="chef").is_error
    assert somebody.asked == []


def test_a_check_reads_fields_or_a_stored_prompt(registry: ToolRegistry) -> None:
    assert ok(registry, "prompt_check", **CHEF).text == "Nothing wrong was found."
    output = ok(registry, "prompt_check", aim="Cook.", constraints=["Be brief."])
    assert {each["where"] for each in output.structured["findings"]} == {"role", "tone", "output_format"}
    ok(registry, "prompt_save", name="chef", **CHEF, choices={"dish": [], "guests": []})
    output = ok(registry, "prompt_check", name="chef")
    assert output.structured["findings"][0]["what"] == "The variable 'guests' is never used."
    assert "tokens" in ok(registry, "prompt_check", **CHEF, context_window=50).text


# Resources and MCP prompts


def test_stored_prompts_can_be_read_as_resources(offered: Toolset, registry: ToolRegistry) -> None:
    (resources,) = offered.resources
    assert list(resources.entries()) == []
    ok(registry, "prompt_save", name="chef", **CHEF)
    (entry,) = resources.entries()
    assert (entry.uri, entry.description) == ("racto://prompts/chef", CHEF["aim"])
    assert resources.read({"name": "chef"}) == [RactoPrompt(**CHEF).compile()]
    assert resources.complete("name", "ch") == ["chef"]
    with pytest.raises(UnknownNameError):
        resources.read({"name": "nobody"})


def test_a_variable_is_an_argument_and_its_choices_complete_it(offered: Toolset, registry: ToolRegistry) -> None:
    (prompts,) = offered.prompts
    ok(registry, "prompt_save", name="chef", **CHEF, choices={"dish": ["Soup", "soufflé", "cake"]})
    (entry,) = prompts.entries()
    assert [(each.name, each.required) for each in entry.arguments] == [("dish", True), ("user_message", False)]
    assert prompts.complete("chef", "dish", "so", {}) == ["Soup", "soufflé"]
    assert prompts.complete("chef", "user_message", "", {}) == []
    messages = prompts.render("chef", {"dish": "cake", "user_message": "For two."})
    assert [each.role for each in messages] == ["user", "user"]
    assert [each.content for each in messages][1] == Text("For two.")
    assert "recipe for cake." in str(messages[0].content)
    for wrong in ({}, {"dish": "stone"}, {"dish": "cake", "gusts": "2"}):
        with pytest.raises(InputError) as caught:
            prompts.render("chef", wrong)
        assert not isinstance(caught.value, UnknownNameError)


def test_a_variable_may_be_called_user_message(offered: Toolset, registry: ToolRegistry) -> None:
    (prompts,) = offered.prompts
    ok(registry, "prompt_save", name="echo", **{**CHEF, "aim": "Answer {user_message} with a recipe."})
    (entry,) = prompts.entries()
    assert [(each.name, each.required) for each in entry.arguments] == [("user_message", True)]
    (message,) = prompts.render("echo", {"user_message": "soup"})
    assert "Answer soup with a recipe." in str(message.content)


def test_both_families_say_when_a_prompt_changes(offered: Toolset, registry: ToolRegistry) -> None:
    heard: list[str | None] = []

    def changed(uri: str | None = None) -> None:
        heard.append(uri)

    families = [*offered.resources, *offered.prompts]
    ends = [family.subscribe(changed) for family in families if isinstance(family, Observable)]
    assert len(ends) == 2
    ok(registry, "prompt_save", name="chef", **CHEF)
    assert heard == ["racto://prompts/chef", None]
    for end in ends:
        end()
    ok(registry, "prompt_delete", name="chef", confirm=True)
    assert len(heard) == 2


def test_a_client_sees_a_saved_prompt_at_once(offered: Toolset) -> None:
    async def session() -> None:
        server = RactoMCPServer("racto")
        server.add_toolset(offered)
        async with asyncio.timeout(30), Client(server.lowlevel) as client:
            assert (await client.list_prompts()).prompts == []
            saved = await client.call_tool(
                "prompt_save", {"name": "chef", **CHEF, "choices": {"dish": ["soup", "cake"]}}
            )
            assert not saved.is_error
            (listed,) = (await client.list_prompts()).prompts
            assert listed.name == "chef"
            got = await client.get_prompt("chef", {"dish": "soup"})
            assert "recipe for soup" in str(got.messages[0].content)
            (resource,) = (await client.list_resources()).resources
            read = await client.read_resource(str(resource.uri))
            assert "recipe for {dish}" in str(read.contents[0])

    asyncio.run(session())
