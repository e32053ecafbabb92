"""Templates: kept in versions, rendered with values, found by component and task; two of anything compared on the same inputs."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from racto.knowledge.database import Database
from racto.knowledge.errors import InputError, RactoGatewayTimeoutError, UnknownNameError
from racto.knowledge.prompt_store import PromptStore
from racto.knowledge.prompts import RactoPrompt
from racto.knowledge.templates import StoredTemplate, TemplateStore, compare

pytestmark = pytest.mark.anyio


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Database]:
    with closing(Database(tmp_path / "racto.db")) as database:
        yield database


@pytest.fixture
def store(database: Database) -> TemplateStore:
    return TemplateStore(database)


def test_a_saved_template_comes_back_as_it_was(store: TemplateStore) -> None:
    kept = store.save(
        "greet",
        "Hello {who}",
        description="Says hello",
        component="ergon",
        task="chat",
        choices={"who": ["Ada"]},
        note="first",
    )
    assert store.get("greet") == kept
    assert (kept.version, kept.variables, kept.text, kept.component, kept.task) == (
        1,
        ["who"],
        "Hello {who}",
        "ergon",
        "chat",
    )
    assert (kept.description, kept.note, kept.choices) == ("Says hello", "first", {"who": ["Ada"]})


def test_a_change_is_a_version_the_older_ones_stay_and_can_come_back(store: TemplateStore) -> None:
    store.save("greet", "Hello {who}")
    assert store.save("greet", "Hello {who}").version == 1
    assert store.save("greet", "Hi {who}").version == 2
    assert store.save("greet", "Hi {who}", task="chat").version == 3
    assert store.render("greet", {"who": "Ada"}, version=1) == "Hello Ada"
    assert "-Hello {who}\n+Hi {who}" in store.diff("greet", 1, 2)
    assert "+[task] chat" in store.diff("greet")
    assert store.restore("greet", 1).version == 4
    assert store.render("greet", {"who": "Ada"}) == "Hello Ada"


def test_a_deleted_template_is_gone_until_it_is_restored(store: TemplateStore) -> None:
    store.save("greet", "Hello")
    store.delete("greet")
    assert store.find() == []
    with pytest.raises(UnknownNameError, match="template_restore"):
        store.render("greet", {})
    store.restore("greet")
    assert store.render("greet", {}) == "Hello"


def test_templates_and_prompts_of_one_name_are_two_things(database: Database, store: TemplateStore) -> None:
    store.save("greet", "Hello")
    with pytest.raises(UnknownNameError, match="no prompt"):
        PromptStore(database).get("greet")


def test_templates_are_listed_by_component_and_task(store: TemplateStore) -> None:
    for name, component, task in (("a", "ergon", "code"), ("b", "ergon", "chat"), ("c", "", "code")):
        store.save(name, name, component=component, task=task)
    assert [each.name for each in store.find()] == ["c", "b", "a"]
    assert [each.name for each in store.find(component="ergon")] == ["b", "a"]
    assert [each.name for each in store.find("ergon", "code")] == ["a"]


def test_a_value_is_put_in_once_and_braces_that_are_no_variable_stay(store: TemplateStore) -> None:
    store.save("mixed", '{"json": {x}, "kept": {{x}}, {1}}')
    assert store.render("mixed", {"x": "{y}"}) == '{"json": {y}, "kept": {x}, {1}}'


@pytest.mark.parametrize(
    ("values", "problem"),
    [({}, "needs a value for who"), ({"who": "Ada", "how": "x"}, "no variable named 'how'"), ({"who": "Bob"}, "Ada")],
)
def test_values_that_do_not_fit_are_refused(store: TemplateStore, values: dict[str, str], problem: str) -> None:
    store.save("greet", "Hello {who}", choices={"who": ["Ada"]})
    with pytest.raises(InputError, match=problem):
        store.render("greet", values)


def test_an_empty_template_is_refused(store: TemplateStore) -> None:
    with pytest.raises(InputError, match="needs a text"):
        store.save("greet", " \n")


@given(st.text(), st.dictionaries(st.from_regex(r"[a-z]\w{0,5}", fullmatch=True), st.text(), max_size=3))
def test_filling_never_loses_a_character_around_the_variables(text: str, values: dict[str, str]) -> None:
    body = "".join(f"<{{{name}}}>" for name in values)
    plain = text.replace("{", "").replace("}", "")
    filled = StoredTemplate("t", 1, plain + body).fill(values)
    assert filled == plain + "".join(f"<{value}>" for value in values.values())


async def test_two_templates_are_compared_on_the_same_inputs_in_their_order(store: TemplateStore) -> None:
    first, second = store.save("a", "A {x}"), store.save("b", "B {x}")

    async def run(text: str) -> str:
        await asyncio.sleep(0)
        return text.lower()

    trials = await compare(first, second, [{"x": str(number)} for number in range(6)], run)
    assert [(trial.values["x"], trial.first.answer, trial.second.answer) for trial in trials] == [
        (str(number), f"a {number}", f"b {number}") for number in range(6)
    ]
    assert all(trial.first.seconds >= 0 and not trial.first.error for trial in trials)


async def test_a_run_that_fails_is_told_and_does_not_stop_the_others(store: TemplateStore) -> None:
    first, second = store.save("a", "A {x}"), store.save("b", "B {x}")

    async def run(text: str) -> str:
        if text == "B 1":
            raise RactoGatewayTimeoutError("Nobody answered.")
        return text

    trials = await compare(first, second, [{"x": "1"}, {"x": "2"}], run)
    assert trials[0].second.answer is None
    assert trials[0].second.error == "Nobody answered."
    assert [trial.first.answer for trial in trials] == ["A 1", "A 2"]
    assert trials[1].second.answer == "B 2"


async def test_no_more_runs_are_made_at_once_than_allowed(store: TemplateStore) -> None:
    same = store.save("a", "{x}")
    running, most = 0, 0

    async def run(text: str) -> None:
        nonlocal running, most
        running += 1
        most = max(most, running)
        await asyncio.sleep(0)
        running -= 1

    await compare(same, same, [{"x": str(number)} for number in range(10)], run, at_once=3)
    assert most == 3


async def test_prompts_are_compared_as_prompts_and_nothing_runs_on_inputs_that_do_not_fit(database: Database) -> None:
    def stored(name: str) -> RactoPrompt:
        return RactoPrompt(role=name, aim="Cook {dish}", constraints=["None"], tone="dry", output_format="text")

    prompts = PromptStore(database)
    first, second = prompts.save("a", stored("Chef")), prompts.save("b", stored("Cook"))
    ran: list[str] = []

    async def run(prompt: RactoPrompt) -> str:
        ran.append(prompt.aim)
        return prompt.role

    (trial,) = await compare(first, second, [{"dish": "soup"}], run)
    assert (trial.first.answer, trial.second.answer, ran) == ("Chef", "Cook", ["Cook soup"] * 2)
    with pytest.raises(InputError, match="dish"):
        await compare(first, second, [{"dish": "soup"}, {}], run)
    with pytest.raises(InputError, match="nothing to compare"):
        await compare(first, second, [], run)
    assert len(ran) == 2
