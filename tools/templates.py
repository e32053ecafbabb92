"""Stored templates: texts with {variables}, by component and task, every version kept; and two of them tried on the same inputs."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Literal

from pydantic import Field

from ..agents.calls import ToolContext
from ..agents.offers import Changed, ResourceEntry, Toolset
from ..agents.toolbox import Tool
from ..knowledge.errors import DeclinedError, InputError, RactoGatewayError
from ..knowledge.prompt_store import PromptStore
from ..knowledge.prompts import RactoPrompt
from ..knowledge.templates import StoredTemplate, TemplateStore, compare
from .chat import PATIENCE, Answer, MaxTokens, Model, ask, named

if TYPE_CHECKING:
    from ..knowledge.templates import Outcome, Trial
    from .services import Services

URI = "racto://templates/"


def toolset(services: Services) -> Toolset:
    """The templates of `services`, to work with and to read."""
    store = TemplateStore(services.database)
    tools = TemplateTools(services, store)
    return Toolset(
        "templates",
        tools=(
            Tool.of(tools.template_save, idempotent=True),
            Tool.of(tools.template_list, read_only=True),
            Tool.of(tools.template_render, read_only=True),
            Tool.of(tools.template_compare, open_world=True, timeout=PATIENCE),
            Tool.of(tools.template_delete, destructive=True),
            Tool.of(tools.template_restore, idempotent=True),
        ),
        resources=(TemplateResources(store),),
    )


@dataclass(frozen=True, slots=True)
class TemplateLine:
    """One version of a template."""

    name: str
    version: int
    description: str
    component: str
    task: str
    variables: list[str]
    note: str = ""
    deleted: bool = False

    def __str__(self) -> str:
        place = "/".join(filter(None, (self.component, self.task)))
        said = [f"{self.name} v{self.version}", place, ", ".join(self.variables), self.description, self.note]
        return " · ".join(filter(None, said)) + (" (deleted)" if self.deleted else "")


@dataclass(frozen=True, slots=True)
class Templates:
    """Templates by component and task; or the versions of one, the newest first, with its text."""

    templates: list[TemplateLine]
    text: str = ""

    def render(self) -> str:
        """The text if it is one, then a line for each."""
        lines = "\n".join(map(str, self.templates)) or "No template is stored yet."
        return f"{self.text}\n\n{lines}" if self.text else lines


@dataclass(frozen=True, slots=True)
class Pair:
    """What came of two templates on one input; an answer is `None` where it failed."""

    values: Mapping[str, str]
    first: Answer | None
    second: Answer | None
    errors: list[str]


@dataclass(frozen=True, slots=True)
class Comparison:
    """Two templates on the same inputs, in their order."""

    first: str
    second: str
    pairs: list[Pair]

    def render(self) -> str:
        """Input by input, both answers."""
        parts = []
        for number, pair in enumerate(self.pairs, 1):
            given = ", ".join(f"{key}={value}" for key, value in pair.values.items())
            both = zip((self.first, self.second), (pair.first, pair.second), strict=True)
            said = [f"### {name}\n{answer.render() if answer else 'It failed.'}" for name, answer in both]
            parts.append("\n".join([f"## Input {number}: {given}", *said, *pair.errors]))
        return "\n\n".join(parts)


class TemplateTools:
    """The tools; each method is one.

    :param services: The models, and where prompts are kept.
    :param store: Where templates are kept.
    """

    def __init__(self, services: Services, store: TemplateStore) -> None:
        self._services = services
        self._store = store
        self._prompts = PromptStore(services.database)

    def template_save(
        self,
        name: str,
        text: str,
        description: str = "",
        component: str = "",
        task: str = "",
        choices: dict[str, list[str]] = {},  # noqa: B006 - never changed; a plain default keeps the schema flat
        note: str = "",
    ) -> TemplateLine:
        """Store a text with {variables} as a new version; {{word}} stays {word}.

        :param name: a-z, 0-9, _ and -
        :param component: part of a system
        :param task: kind of work
        :param choices: variable → its allowed values ([]: any)
        """
        return _line(
            self._store.save(
                name, text, description=description, component=component, task=task, choices=choices, note=note
            )
        )

    def template_list(self, name: str = "", component: str = "", task: str = "") -> Templates:
        """List stored templates; with a name, its text and versions."""
        if name:
            versions = self._store.versions(name)
            return Templates([_line(each) for each in versions], versions[0].text)
        return Templates([_line(each) for each in self._store.find(component, task)])

    def template_render(
        self,
        name: str,
        variables: dict[str, str] = {},  # noqa: B006
        version: Annotated[int, Field(ge=0, description="0: the newest")] = 0,
    ) -> str:
        """Fill a stored template's variables in."""
        return self._store.render(name, variables, version or None)

    async def template_compare(
        self,
        first: str,
        second: str,
        inputs: Annotated[
            list[dict[str, str]], Field(min_length=1, max_length=20, description="variables of each run")
        ],
        call: ToolContext,
        kind: Literal["template", "prompt"] = "template",
        message: Annotated[str, Field(description="what to ask the prompts")] = "",
        model: Model = "",
        max_tokens: MaxTokens = 1024,
    ) -> Comparison:
        """Show the answers to two stored templates, or RACTO prompts with a message, on the same inputs."""
        if (kind == "prompt") != bool(message):
            raise InputError("Prompts need a message and templates have none.", "A template is the message itself.")
        models = await self._services.models()
        from ..knowledge.vocabulary import ChatConfig  # by now it is there

        wanted = await named(models, model)
        done = 0

        async def run(filled: str | RactoPrompt) -> Answer:
            nonlocal done
            prompt = filled if isinstance(filled, RactoPrompt) else None
            text = message if isinstance(filled, RactoPrompt) else filled
            config = ChatConfig(user_message=text, prompt=prompt, max_tokens=max_tokens)
            answer, _ = await ask(models, config, ToolContext(call.caller), wanted)
            done += 1
            call.progress(done, 2 * len(inputs))
            return answer

        if kind == "prompt":
            one, other = await asyncio.to_thread(lambda: (self._prompts.get(first), self._prompts.get(second)))
            return _compared(first, second, await compare(one, other, inputs, run))
        text, another = await asyncio.to_thread(lambda: (self._store.get(first), self._store.get(second)))
        return _compared(first, second, await compare(text, another, inputs, run))

    async def template_delete(self, name: str, call: ToolContext, confirm: bool = False) -> str:
        """Delete a stored template; template_restore brings it back. The person is asked first.

        :param confirm: the person said yes
        """
        stored = await asyncio.to_thread(self._store.get, name)
        answer = await call.confirm(f"Delete the template {name!r} (version {stored.version})?")
        if answer is False:
            raise DeclinedError(f"The template {name!r} was not deleted: the person said no.")
        if answer is None and not confirm:
            raise InputError(f"This would delete {name!r}.", "Ask the person, then call again with confirm=true.")
        await asyncio.to_thread(self._store.delete, name)
        return f"{name} is deleted. template_restore brings it back."

    def template_restore(
        self, name: str, version: Annotated[int, Field(ge=0, description="0: the newest")] = 0
    ) -> TemplateLine:
        """Make an older version the newest; also brings back a deleted template."""
        return _line(self._store.restore(name, version or None))


def _line(stored: StoredTemplate) -> TemplateLine:
    return TemplateLine(
        stored.name,
        stored.version,
        stored.description,
        stored.component,
        stored.task,
        stored.variables,
        stored.note,
        stored.deleted,
    )


def _compared(first: str, second: str, trials: Sequence[Trial[Answer]]) -> Comparison:
    if not any(each.first.answer or each.second.answer for each in trials):
        raise RactoGatewayError(f"No answer came of either. {trials[0].first.error}")

    def errors(name: str, outcome: Outcome[Answer]) -> list[str]:
        return [f"{name}: {outcome.error}"] if outcome.error else []

    return Comparison(
        first,
        second,
        [
            Pair(
                each.values,
                each.first.answer,
                each.second.answer,
                errors(first, each.first) + errors(second, each.second),
            )
            for each in trials
        ],
    )


class TemplateResources:
    """The stored templates to read, their variables not filled in.

    :param store: Where they are kept.
    """

    template = URI + "{name}"
    name = "Templates"
    description = "A stored template, its variables not filled in."
    mime_type = "text/plain"

    def __init__(self, store: TemplateStore) -> None:
        self._store = store

    def entries(self) -> list[ResourceEntry]:
        """Every stored template."""
        return [
            ResourceEntry(URI + each.name, each.name, each.description, self.mime_type, modified=each.created_at)
            for each in self._store.newest()
        ]

    def read(self, variables: Mapping[str, str]) -> list[str]:
        """The text of the newest version."""
        return [self._store.get(variables["name"]).text]

    def complete(self, variable: str, prefix: str) -> list[str]:
        """Names that start with `prefix`."""
        return [each.name for each in self._store.newest() if each.name.startswith(prefix)]

    def subscribe(self, changed: Changed) -> Callable[[], None]:
        """Call `changed` with the URI of the template after every save, restore and deletion."""
        return self._store.subscribe(lambda name: changed(URI + name))
