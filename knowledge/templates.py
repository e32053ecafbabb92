"""Stored templates: texts with `{variables}`, every version of each, in order of component and task; and two of anything, compared."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Generic, Protocol, TypeVar

from .errors import InputError, RactoError
from .placeholders import fill_text, text_variables
from .versions import Row, VersionStore


@dataclass(frozen=True, slots=True)
class StoredTemplate:
    """One version of a stored template.

    :param text: With variables: `{name}` is filled in, `{{name}}` stays as `{name}`.
    :param description: What it is for.
    :param component: The part of a system it belongs to, "" for any.
    :param task: The kind of work it is for, "" for any.
    :param choices: Declared variable → the values it may have (empty: any).
    :param note: Why this version was made.
    :param created_at: ISO 8601, UTC.
    :param deleted: The name was deleted at this version.
    """

    name: str
    version: int
    text: str
    description: str = ""
    component: str = ""
    task: str = ""
    choices: Mapping[str, Sequence[str]] = field(default_factory=dict)
    note: str = ""
    created_at: str = ""
    deleted: bool = False

    @property
    def variables(self) -> list[str]:
        """The variables to fill in, in the order they appear."""
        return text_variables(self.text)

    def fill(self, values: Mapping[str, str]) -> str:
        """The text with its variables replaced, each once: a value that looks like a variable stays as it is.

        :raises InputError: a value is missing, unknown or not among the choices.
        """
        return fill_text(self.text, values, self.choices)

    def source(self) -> str:
        """The version as text to compare."""
        about = {"description": self.description, "component": self.component, "task": self.task}
        lines = [f"[{key}] {value}\n" for key, value in about.items() if value]
        lines += [f"[{{{name}}}] {', '.join(values) or 'any'}\n" for name, values in sorted(self.choices.items())]
        return "".join(lines) + self.text


class TemplateStore(VersionStore[StoredTemplate]):
    """The stored templates of one database.

    :param database: Where they are kept.
    """

    kind = "template"
    table = "template_versions"

    def save(
        self,
        name: str,
        text: str,
        *,
        description: str = "",
        component: str = "",
        task: str = "",
        choices: Mapping[str, Sequence[str]] | None = None,
        note: str = "",
    ) -> StoredTemplate:
        """Keep a template as the newest version of `name`; one identical to the newest makes no new version.

        :param choices: Variable → the values it may have (empty: any); a declared variable need not be in the text.
        :raises InputError: the text is empty, or the name is not 1-64 of `a-z 0-9 _ -` beginning with a letter or digit.
        """
        if not text.strip():
            raise InputError("A template needs a text.", "Write it with {variables} where values go.")
        content = {
            "text": text,
            "description": description,
            "component": component,
            "task": task,
            "choices": {key: list(values) for key, values in (choices or {}).items()},
        }
        return self._keep(name, json.dumps(content), note)

    def find(self, component: str = "", task: str = "") -> list[StoredTemplate]:
        """The newest versions, those of a component or task when one is given, by component, task and name."""
        found = [
            each
            for each in self.newest()
            if (not component or each.component == component) and (not task or each.task == task)
        ]
        return sorted(found, key=lambda each: (each.component, each.task, each.name))

    def render(self, name: str, values: Mapping[str, str], version: int | None = None) -> str:
        """The text of a stored template with its variables replaced.

        :param version: By default the newest.
        :raises UnknownNameError: there is no such name or version.
        :raises InputError: a value is missing, unknown or not among the choices.
        """
        return self.get(name, version).fill(values)

    def _stored(self, row: Row) -> StoredTemplate:
        name, version, fields, note, created_at, deleted = row
        return StoredTemplate(
            name, version, **json.loads(fields), note=note, created_at=created_at, deleted=bool(deleted)
        )


Filled = TypeVar("Filled", covariant=True)
Text = TypeVar("Text")
Answer = TypeVar("Answer")


class Fillable(Protocol[Filled]):
    """Something with variables: a stored prompt, a stored template."""

    def fill(self, values: Mapping[str, str]) -> Filled:
        """It, with its variables replaced."""
        ...


@dataclass(frozen=True, slots=True)
class Outcome(Generic[Answer]):
    """What came of one of the two.

    :param answer: What the runner gave back; `None` when it failed.
    :param error: Why it failed, "" when it did not.
    :param seconds: How long the runner took.
    """

    answer: Answer | None
    error: str
    seconds: float


@dataclass(frozen=True, slots=True)
class Trial(Generic[Answer]):
    """Both on the same input."""

    values: Mapping[str, str]
    first: Outcome[Answer]
    second: Outcome[Answer]


async def compare(
    first: Fillable[Text],
    second: Fillable[Text],
    inputs: Sequence[Mapping[str, str]],
    run: Callable[[Text], Awaitable[Answer]],
    *,
    at_once: int = 4,
) -> list[Trial[Answer]]:
    """Run two prompts or templates on the same inputs; one that fails does not stop the others.

    :param inputs: For each trial, the values of the variables.
    :param run: Asks a model and gives back whatever is to be looked at.
    :param at_once: So many runs at the same time, at most.
    :returns: A trial for each input, in their order.
    :raises InputError: there is no input, or one does not fit the variables; then nothing was run.
    """
    if not inputs:
        raise InputError("There is nothing to compare on.", "Give at least one set of values.")
    filled = [(first.fill(values), second.fill(values)) for values in inputs]
    free = asyncio.Semaphore(at_once)

    async def outcome(text: Text) -> Outcome[Answer]:
        async with free:
            started = time.perf_counter()
            try:
                answer, error = await run(text), ""
            except RactoError as problem:
                return Outcome(None, str(problem), time.perf_counter() - started)
            return Outcome(answer, error, time.perf_counter() - started)

    outcomes = await asyncio.gather(*(outcome(text) for pair in filled for text in pair))
    return [Trial(values, *outcomes[2 * at : 2 * at + 2]) for at, values in enumerate(inputs)]
