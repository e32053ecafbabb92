"""RACTO prompts as tools, resources and MCP prompts. None of it needs a model."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import Field

from ..agents.calls import Text, ToolContext
from ..agents.offers import Changed, PromptArgument, PromptEntry, PromptMessage, ResourceEntry, Toolset
from ..agents.toolbox import Tool
from ..knowledge.errors import DeclinedError, InputError
from ..knowledge.placeholders import fill
from ..knowledge.prompt_store import PromptStore, StoredPrompt
from ..knowledge.prompts import prompt_fields, prompt_from

if TYPE_CHECKING:
    from ..knowledge.prompt_check import Finding
    from .services import Services

URI = "racto://prompts/"
USER_MESSAGE = "user_message"

Role = Annotated[str, Field(description="who the model is")]
Aim = Annotated[str, Field(description="what it must accomplish")]
Constraints = Annotated[list[str], Field(description="hard rules")]
Tone = Annotated[str, Field(description="style of the answer")]
Background = Annotated[str, Field(description="what it needs to know")]
Guardrails = Annotated[bool, Field(description="forbid guessing")]
Format = Annotated[str, Field(description="json, text, markdown, or a description")]
# A parameter of its own, because some hosts refuse a schema with two types.
OutputSchema = Annotated[dict[str, Any], Field(description="JSON Schema of the answer, instead of output_format")]
Examples = Annotated[list[dict[str, str]], Field(description="each with input and output")]
Version = Annotated[int, Field(ge=0, description="0: the newest")]


def toolset(services: Services) -> Toolset:
    """The prompt tools over the database of `services`, the stored prompts to read, and the same to start a conversation from."""
    store = PromptStore(services.database)
    tools = PromptTools(store)
    return Toolset(
        "prompts",
        tools=(
            Tool.of(tools.prompt_compile, read_only=True),
            Tool.of(tools.prompt_check, read_only=True),
            Tool.of(tools.prompt_save, idempotent=True),
            Tool.of(tools.prompt_list, read_only=True),
            Tool.of(tools.prompt_diff, read_only=True),
            Tool.of(tools.prompt_restore, idempotent=True),
            Tool.of(tools.prompt_delete, destructive=True),
        ),
        resources=(PromptResources(store),),
        prompts=(StoredPrompts(store),),
    )


@dataclass(frozen=True, slots=True)
class Findings:
    """What a check found."""

    findings: list[Finding]

    def render(self) -> str:
        """One line for each, the worst first."""
        lines = [f"{each.severity} · {each.where}: {each.what} {each.fix}" for each in self.findings]
        return "\n".join(lines) or "Nothing wrong was found."


@dataclass(frozen=True, slots=True)
class Saved:
    """A prompt as it is stored now, and what a check found in it."""

    name: str
    version: int
    variables: list[str]
    findings: list[Finding]

    def render(self) -> str:
        """The version and what to know about it."""
        head = f"{self.name} is at version {self.version}."
        if self.variables:
            head += f" Variables: {', '.join(self.variables)}."
        return f"{head}\n{Findings(self.findings).render()}" if self.findings else head


@dataclass(frozen=True, slots=True)
class Listed:
    """One stored prompt in a list."""

    name: str
    version: int
    aim: str
    variables: list[str]


@dataclass(frozen=True, slots=True)
class Prompts:
    """The stored prompts."""

    prompts: list[Listed]

    def render(self) -> str:
        """One line for each."""
        lines = [
            f"{each.name} (v{each.version}{': ' if each.variables else ''}{', '.join(each.variables)}) {each.aim}"
            for each in self.prompts
        ]
        return "\n".join(lines) or "No prompt is stored yet."


@dataclass(frozen=True, slots=True)
class VersionLine:
    """One version in a history."""

    version: int
    created_at: str
    note: str
    deleted: bool

    def __str__(self) -> str:
        note = f"  {self.note}" if self.note else ""
        return f"v{self.version}  {self.created_at}{note}{'  (deleted)' if self.deleted else ''}"


@dataclass(frozen=True, slots=True)
class History:
    """The fields of a stored prompt's newest version, and all its versions, the newest first."""

    name: str
    fields: dict[str, Any]
    choices: Mapping[str, Sequence[str]]
    versions: list[VersionLine]

    def render(self) -> str:
        """The prompt, then its versions."""
        return f"{prompt_from(self.fields).compile()}\n" + "\n".join([f"# {self.name}", *map(str, self.versions)])


class PromptTools:
    """The tools; each method is one.

    :param store: Where prompts are kept.
    """

    def __init__(self, store: PromptStore) -> None:
        self._store = store

    def prompt_compile(
        self,
        name: str = "",
        version: Version = 0,
        role: Role = "",
        aim: Aim = "",
        constraints: Constraints = [],  # noqa: B006 - never changed; a plain default keeps the schema flat
        tone: Tone = "",
        output_format: Format = "",
        output_schema: OutputSchema = {},  # noqa: B006
        context: Background = "",
        examples: Examples = [],  # noqa: B006
        anti_hallucination: Guardrails = True,
        variables: dict[str, str] = {},  # noqa: B006
        provider: Literal["none", "openai", "anthropic", "google", "ollama", "generic"] = "none",
        user_message: str = "",
    ) -> str | dict[str, Any]:
        """Compile a RACTO prompt, from fields or a stored name (fields given replace stored ones), into system prompt text, or into a provider's messages.

        :param variables: values for {placeholders}
        """
        fields, stored = self._draft(
            name,
            version,
            _given(role, aim, constraints, tone, output_schema or output_format, context, examples, anti_hallucination),
        )
        prompt = prompt_from(fields)
        if stored or variables:
            prompt = fill(prompt, variables, stored.choices if stored else None)
        if provider == "none":
            return prompt.compile() + (f"\n{user_message}\n" if user_message else "")
        return {"messages": prompt.to_messages(user_message, provider=provider)}

    def prompt_check(
        self,
        name: str = "",
        role: Role = "",
        aim: Aim = "",
        constraints: Constraints = [],  # noqa: B006
        tone: Tone = "",
        output_format: Format = "",
        output_schema: OutputSchema = {},  # noqa: B006
        context: Background = "",
        examples: Examples = [],  # noqa: B006
        anti_hallucination: Guardrails = True,
        context_window: Annotated[int, Field(ge=1, description="tokens")] = 8192,
    ) -> Findings:
        """Find what makes a draft or stored prompt fail: gaps, contradicting rules, stray braces, examples that break the output schema."""
        from ..knowledge.prompt_check import check_prompt  # its patterns take longer to compile than a server to start

        fields, stored = self._draft(
            name,
            0,
            _given(role, aim, constraints, tone, output_schema or output_format, context, examples, anti_hallucination),
        )
        return Findings(check_prompt(fields, stored.choices if stored else None, context_window))

    def prompt_save(
        self,
        name: str,
        role: Role,
        aim: Aim,
        constraints: Constraints,
        tone: Tone,
        output_format: Format = "",
        output_schema: OutputSchema = {},  # noqa: B006
        context: Background = "",
        examples: Examples = [],  # noqa: B006
        anti_hallucination: Guardrails = True,
        choices: dict[str, list[str]] = {},  # noqa: B006
        note: str = "",
    ) -> Saved:
        """Store a prompt as a new version; {word} in a text is a variable, {{word}} is not. It becomes an MCP prompt at once.

        :param name: a-z, 0-9, _ and -
        :param choices: variable → its allowed values ([]: any)
        :param note: why it changed
        """
        fields = _given(
            role, aim, constraints, tone, output_schema or output_format, context, examples, anti_hallucination
        )
        return _saved(self._store.save(name, prompt_from(fields), choices=choices, note=note))

    def prompt_list(self, name: str = "") -> Prompts | History:
        """List stored prompts; with a name, its fields and versions."""
        if not name:
            newest = self._store.newest()
            return Prompts([Listed(each.name, each.version, each.prompt.aim, each.variables) for each in newest])
        versions = self._store.versions(name)
        lines = [VersionLine(each.version, each.created_at, each.note, each.deleted) for each in versions]
        return History(name, prompt_fields(versions[0].prompt), versions[0].choices, lines)

    def prompt_diff(self, name: str, old: int = 0, new: int = 0) -> str:
        """Show what changed between two versions (0: the newest and the one before)."""
        return self._store.diff(name, old or None, new or None) or "Nothing changed."

    def prompt_restore(self, name: str, version: Version = 0) -> Saved:
        """Make an older version the newest, as a new version; also brings back a deleted prompt."""
        return _saved(self._store.restore(name, version or None))

    async def prompt_delete(self, name: str, context: ToolContext, confirm: bool = False) -> str:
        """Delete a stored prompt; prompt_restore brings it back. The person is asked first.

        :param confirm: true when the person said yes and cannot be asked here.
        """
        stored = await asyncio.to_thread(self._store.get, name)
        answer = await context.confirm(f"Delete the prompt {name!r} (version {stored.version})?")
        if answer is False:
            raise DeclinedError(f"The prompt {name!r} was not deleted: the person said no.")
        if answer is None and not confirm:
            raise InputError(f"This would delete {name!r}.", "Ask the person, then call again with confirm=true.")
        await asyncio.to_thread(self._store.delete, name)
        return f"{name} is deleted. prompt_restore brings it back."

    def _draft(self, name: str, version: int, given: dict[str, Any]) -> tuple[dict[str, Any], StoredPrompt | None]:
        """The fields to work on: those of the stored prompt, if one is named, with what was given instead."""
        stored = self._store.get(name, version or None) if name else None
        return {**prompt_fields(stored.prompt), **given} if stored else given, stored


def _given(
    role: str,
    aim: str,
    constraints: list[str],
    tone: str,
    output_format: str | dict[str, Any],
    context: str,
    examples: list[dict[str, str]],
    anti_hallucination: bool,
) -> dict[str, Any]:
    """The fields that were given; in a tool's arguments empty means left out."""
    fields = {
        "role": role,
        "aim": aim,
        "constraints": constraints,
        "tone": tone,
        "output_format": output_format,
        "context": context,
        "examples": examples,
    }
    kept: dict[str, Any] = {name: value for name, value in fields.items() if value}
    return kept if anti_hallucination else {**kept, "anti_hallucination": False}


def _saved(stored: StoredPrompt) -> Saved:
    from ..knowledge.prompt_check import check_prompt

    findings = check_prompt(stored.prompt, stored.choices)
    return Saved(stored.name, stored.version, stored.variables, findings)


class StoredPrompts:
    """The stored prompts as MCP prompts: their variables are the arguments, beside an optional message of the user's.

    :param store: Where prompts are kept.
    """

    def __init__(self, store: PromptStore) -> None:
        self._store = store

    def entries(self) -> list[PromptEntry]:
        """Every stored prompt; its aim says what it is for."""
        return [PromptEntry(each.name, each.prompt.aim, _arguments(each)) for each in self._store.newest()]

    def render(self, name: str, arguments: Mapping[str, str]) -> list[PromptMessage]:
        """The compiled prompt as the user's first message, then the user's own message if there is one."""
        stored = self._store.get(name)
        values = dict(arguments)
        message = "" if USER_MESSAGE in stored.variables else values.pop(USER_MESSAGE, "")
        texts = [stored.fill(values).compile(), *([message] if message else [])]
        return [PromptMessage("user", Text(text)) for text in texts]

    def complete(self, name: str, argument: str, prefix: str, given: Mapping[str, str]) -> list[str]:
        """The declared values of a variable that start with `prefix`, whatever the case."""
        choices = self._store.get(name).choices.get(argument, ())
        return [choice for choice in choices if choice.casefold().startswith(prefix.casefold())]

    def subscribe(self, changed: Changed) -> Callable[[], None]:
        """Call `changed` after every save, restore and deletion."""
        return self._store.subscribe(lambda name: changed())


def _arguments(stored: StoredPrompt) -> list[PromptArgument]:
    arguments = [PromptArgument(name, _described(stored, name), required=True) for name in stored.variables]
    if USER_MESSAGE not in stored.variables:
        arguments.append(PromptArgument(USER_MESSAGE, "What you want to say after the prompt."))
    return arguments


def _described(stored: StoredPrompt, variable: str) -> str:
    choices = stored.choices.get(variable, ())
    return f"One of: {', '.join(choices)}." if choices else ""


class PromptResources:
    """The stored prompts to read, compiled, their variables not filled in.

    :param store: Where prompts are kept.
    """

    template = URI + "{name}"
    name = "prompts"
    description = "A stored RACTO prompt, compiled."
    mime_type = "text/plain"

    def __init__(self, store: PromptStore) -> None:
        self._store = store

    def entries(self) -> list[ResourceEntry]:
        """Every stored prompt."""
        return [
            ResourceEntry(URI + each.name, each.name, each.prompt.aim, self.mime_type, modified=each.created_at)
            for each in self._store.newest()
        ]

    def read(self, variables: Mapping[str, str]) -> list[str]:
        """The newest version, compiled."""
        return [self._store.get(variables["name"]).prompt.compile()]

    def complete(self, variable: str, prefix: str) -> list[str]:
        """Names that start with `prefix`."""
        return [each.name for each in self._store.newest() if each.name.startswith(prefix)]

    def subscribe(self, changed: Changed) -> Callable[[], None]:
        """Call `changed` with the URI of the prompt after every save, restore and deletion."""
        return self._store.subscribe(lambda name: changed(URI + name))
