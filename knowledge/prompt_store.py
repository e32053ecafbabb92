"""Stored RACTO prompts: every version of every name, in the SQLite file."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from .placeholders import fill, variables_of
from .prompts import RactoPrompt, prompt_fields, prompt_from
from .versions import Row, VersionStore


@dataclass(frozen=True, slots=True)
class StoredPrompt:
    """One version of a stored prompt.

    :param choices: Declared variable → the values it may have (empty: any).
    :param note: Why this version was made.
    :param created_at: ISO 8601, UTC.
    :param deleted: The name was deleted at this version.
    """

    name: str
    version: int
    prompt: RactoPrompt
    choices: Mapping[str, Sequence[str]] = field(default_factory=dict)
    note: str = ""
    created_at: str = ""
    deleted: bool = False

    @property
    def variables(self) -> list[str]:
        """The variables to fill in, in the order they appear."""
        return variables_of(dict(self.prompt))

    def fill(self, values: Mapping[str, str]) -> RactoPrompt:
        """The prompt with its variables replaced.

        :raises InputError: a value is missing, unknown or not among the choices.
        """
        return fill(self.prompt, values, self.choices)

    def source(self) -> str:
        """The version as text to compare: the compiled prompt, variables unfilled, and what they may be."""
        declared = [f"{{{name}}}: {', '.join(values) or 'any'}\n" for name, values in sorted(self.choices.items())]
        return self.prompt.compile() + ("\n[VARIABLES]\n" if declared else "") + "".join(declared)


class PromptStore(VersionStore[StoredPrompt]):
    """The stored prompts of one database.

    :param database: Where they are kept.
    """

    kind = "prompt"
    table = "prompt_versions"

    def save(
        self,
        name: str,
        prompt: RactoPrompt,
        *,
        choices: Mapping[str, Sequence[str]] | None = None,
        note: str = "",
    ) -> StoredPrompt:
        """Keep `prompt` as the newest version of `name`; one identical to the newest makes no new version.

        A pydantic class as output format is kept as its JSON Schema.

        :param choices: Variable → the values it may have (empty: any).
        :raises InputError: the name is not 1-64 of `a-z 0-9 _ -` beginning with a letter or digit.
        """
        content = {**prompt_fields(prompt), "variables": {key: list(values) for key, values in (choices or {}).items()}}
        return self._keep(name, json.dumps(content), note)

    def _stored(self, row: Row) -> StoredPrompt:
        name, version, fields, note, created_at, deleted = row
        content = json.loads(fields)
        return StoredPrompt(
            name, version, prompt_from(content), content.get("variables", {}), note, created_at, bool(deleted)
        )
