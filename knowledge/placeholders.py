"""Variables in stored prompts: `{name}` is filled in when the prompt is used, `{{name}}` stays as `{name}`.

Only braces right around an identifier count, so JSON, code and mathematics can be written as they are.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from .errors import InputError, unknown_name
from .prompts import RactoPrompt, prompt_from

PLACEHOLDER = re.compile(r"\{\{([^\W\d]\w*)\}\}|\{([^\W\d]\w*)\}")
"""Group 1 is an escaped name, group 2 a variable."""

_PLAIN_FIELDS = ("role", "aim", "tone", "output_format", "context")


def texts(fields: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """Every text of a prompt's fields with its path (`constraints[0]`, `examples[1].output`); what has another shape is left out."""
    for name in _PLAIN_FIELDS:
        if isinstance(text := fields.get(name), str):
            yield name, text
    for index, text in enumerate(_items(fields.get("constraints"))):
        if isinstance(text, str):
            yield f"constraints[{index}]", text
    for index, example in enumerate(_items(fields.get("examples"))):
        if isinstance(example, Mapping):
            yield from ((f"examples[{index}].{key}", text) for key, text in example.items() if isinstance(text, str))


def variables_of(fields: Mapping[str, Any]) -> list[str]:
    """The variables in a prompt's fields, in the order they appear."""
    found = (match[2] for _, text in texts(fields) for match in PLACEHOLDER.finditer(text))
    return list(dict.fromkeys(name for name in found if name))


def fill(
    prompt: RactoPrompt, values: Mapping[str, str], choices: Mapping[str, Sequence[str]] | None = None
) -> RactoPrompt:
    """`prompt` with its variables replaced, each once: a value that looks like a variable stays as it is.

    :param values: The value of each variable.
    :param choices: Variable → the values it may have; an empty list allows any.
    :raises InputError: a variable has no value, a value no variable, or a value is not among the choices.
    """
    _check(variables_of(dict(prompt)), values, choices or {})
    return prompt_from(_mapped(dict(prompt), lambda text: _filled(text, values)))


def text_variables(text: str) -> list[str]:
    """The variables in one text, in the order they appear."""
    return list(dict.fromkeys(name for found in PLACEHOLDER.finditer(text) if (name := found[2])))


def fill_text(text: str, values: Mapping[str, str], choices: Mapping[str, Sequence[str]] | None = None) -> str:
    """One text with its variables replaced, as `fill` does it for a prompt.

    :raises InputError: a variable has no value, a value no variable, or a value is not among the choices.
    """
    _check(text_variables(text), values, choices or {})
    return _filled(text, values)


def _check(wanted: Sequence[str], values: Mapping[str, str], choices: Mapping[str, Sequence[str]]) -> None:
    known = {*wanted, *choices}
    for name in values.keys() - known:
        nearest = unknown_name("variable", name, known)
        raise InputError(nearest.message, nearest.hint)  # what is unknown is an argument, not the prompt
    if missing := [name for name in wanted if name not in values]:
        raise InputError(f"This prompt needs a value for {', '.join(missing)}.", "Give one value for each variable.")
    for name, value in values.items():
        if choices.get(name) and value not in choices[name]:
            raise InputError(f"{name} cannot be {value[:80]!r}.", f"Choose one of: {', '.join(choices[name])}.")


def _filled(text: str, values: Mapping[str, str]) -> str:
    return PLACEHOLDER.sub(lambda found: _value(found, values), text)


def _value(found: re.Match[str], values: Mapping[str, str]) -> str:
    return f"{{{found[1]}}}" if found[1] else values[found[2]]


def _mapped(fields: dict[str, Any], change: Callable[[str], str]) -> dict[str, Any]:
    new = {**fields, "constraints": [change(text) for text in fields["constraints"]]}
    new |= {name: change(fields[name]) for name in _PLAIN_FIELDS if isinstance(fields[name], str)}
    if fields["examples"]:
        new["examples"] = [{key: change(text) for key, text in example.items()} for example in fields["examples"]]
    return new


def _items(value: Any) -> Sequence[Any]:
    return value if isinstance(value, list | tuple) else ()
