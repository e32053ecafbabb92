"""How examples are written for each provider: one file for each form, one line for each provider."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any, Protocol, cast

from ....knowledge.errors import unknown_name

if TYPE_CHECKING:
    from ..messages import RactoTrainingExample

FORMATS = {
    "anthropic": "anthropic",
    "bedrock": "bedrock",
    "fireworks": "openai",
    "gemini": "gemini",
    "gemini_text": "gemini_text",
    "jsonl": "plain",
    "openai": "openai",
    "openai_dpo": "openai",
    "together": "openai",
}
"""Provider, or another form of one, → module of this package."""


class Format(Protocol):
    """One form of a record; what `write` gives, `read` makes the same example of."""

    def write(self, example: RactoTrainingExample) -> dict[str, Any]:
        """The record of an example.

        :raises InputError: the form has no place for something in it.
        """
        ...

    def read(self, record: dict[str, Any]) -> RactoTrainingExample:
        """The example of a record.

        :raises InputError: it is no such record.
        """
        ...


def form(provider: str) -> Format:
    """The form a provider wants.

    :raises UnknownNameError: there is none of this name.
    """
    if provider not in FORMATS:
        raise unknown_name("dataset format", provider, FORMATS)
    return cast(Format, import_module(f".{FORMATS[provider]}", __name__))
