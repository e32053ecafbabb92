"""What to tell a caller whose arguments are wrong: which one, what was expected, what came, and the nearest name that exists."""

from __future__ import annotations

import difflib
from collections.abc import Mapping, Sequence
from itertools import islice
from typing import Any

from pydantic import ValidationError

from ..knowledge.errors import InputError

MAX_COMPLAINTS = 4
"""How many wrong arguments one message talks about."""

MANY = 1000
"""From how many mistakes on a sample of them is looked at: pydantic takes some 6 µs and 1 kB to tell each one."""

_SAMPLE = 30

_LONGEST_ECHO = 40
"""Characters of a wrong value that are shown; the caller knows the rest."""

Path = tuple[str | int, ...]


def complain(arguments: Mapping[str, Any], error: ValidationError, properties: Mapping[str, Any]) -> InputError:
    """The error a caller can correct their call by.

    :param arguments: What was sent.
    :param error: What pydantic found wrong with it.
    :param properties: The JSON Schema of each known argument.
    """
    unknown: list[str] = []
    wrong: dict[Path, list[str]] = {}
    hints: dict[str, None] = {}
    for each in error.errors(include_url=False):
        path, value = _follow(arguments, each["loc"])
        message = each["msg"]
        if each["type"] == "extra_forbidden":
            unknown.append(f"There is no argument {spoken(path)!r}.")
            hints[_nearest(path, properties)] = None
        elif each["type"] in ("missing", "missing_argument"):
            path = (*path, each["loc"][-1])
            wrong.setdefault(path, [f"The argument {spoken(path)!r} is missing"])
        elif not path:
            wrong.setdefault(path, [f"The arguments cannot be read: {message}"])
        elif message.startswith("Input should "):
            wanted = message.removeprefix("Input should ").replace("dictionary", "object")
            said = wrong.setdefault(path, [f"Argument {spoken(path)!r} should {wanted}", f", not {seen(value)}"])
            alternative = f" or {wanted.removeprefix('be ')}"
            if len(said) > 1 and wanted not in said[0] and alternative not in said[0]:
                said[0] += alternative
        else:
            wrong.setdefault(
                path, [f"Argument {spoken(path)!r}: {message.removeprefix('Value error, ')}; it was {seen(value)}"]
            )
    if not unknown:  # an unknown name explains a missing one; otherwise say what the argument means
        hints = {_meaning(path, properties): None for path in wrong}
    complaints = [*unknown, *(f"{''.join(parts)}." for parts in wrong.values())]
    if len(complaints) > MAX_COMPLAINTS:
        complaints = [*complaints[:MAX_COMPLAINTS], "And there is more."]
    return InputError(" ".join(complaints), " ".join([hint for hint in hints if hint][:MAX_COMPLAINTS]))


def with_integers(data: Any) -> Any:
    """A copy of JSON data with each number such as `2.0` as the integer `2` that JSON Schema says it is."""
    if isinstance(data, float):
        return int(data) if data.is_integer() else data
    if isinstance(data, Mapping):
        return {key: with_integers(value) for key, value in data.items()}
    return [with_integers(value) for value in data] if isinstance(data, list | tuple) else data


def sample(data: Any) -> Any:
    """A copy of JSON data with the first few values of each list and object, for which mistakes can be told one by one."""
    if isinstance(data, Mapping):
        return {key: sample(value) for key, value in islice(data.items(), _SAMPLE)}
    return [sample(value) for value in islice(data, _SAMPLE)] if isinstance(data, list | tuple) else data


def _follow(data: Any, location: Sequence[str | int]) -> tuple[Path, Any]:
    """Where pydantic's location leads in the data, and what is there; steps that only name a branch of a union are left out."""
    path: list[str | int] = []
    for step in location:
        inside = (
            step in data
            if isinstance(data, Mapping)
            else isinstance(data, list) and isinstance(step, int) and step < len(data)
        )
        if inside:
            data = data[step]
            path.append(step)
    return tuple(path), data


def spoken(path: Path) -> str:
    """A path as people write it: `filters.dates[0]`."""
    text = "".join(f"[{step}]" if isinstance(step, int) else f".{step}" for step in path).removeprefix(".")
    return text if len(text) <= 2 * _LONGEST_ECHO else text[: 2 * _LONGEST_ECHO] + "…"


def seen(value: Any) -> str:
    """A value in a few words, however large it is: `the text '10'`, `a list of 3`."""
    if value is None:
        return "null"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, Mapping):
        return f"an object with {len(value)} names"
    if isinstance(value, list | tuple | set | frozenset):
        return f"a list of {len(value)}"
    if isinstance(value, str):
        shown = value[:_LONGEST_ECHO]
        return f"the text {shown!r}" + (f"… ({len(value)} characters)" if len(value) > len(shown) else "")
    if (isinstance(value, int) and value.bit_length() > 200) or isinstance(value, bytes):
        return f"a {'very large number' if isinstance(value, int) else 'binary value'}"
    return f"the number {value}" if isinstance(value, int | float) else f"a {type(value).__name__}"


def _nearest(path: Path, properties: Mapping[str, Any]) -> str:
    if len(path) != 1:
        return ""
    near = difflib.get_close_matches(str(path[0]), list(properties), n=1)
    if near:
        return f"Did you mean {near[0]!r}?"
    return (
        f"Known: {', '.join(list(properties)[:12])}{' …' if len(properties) > 12 else ''}."
        if properties
        else "It takes none."
    )


def _meaning(path: Path, properties: Mapping[str, Any]) -> str:
    name = path[0] if path else ""
    description = properties.get(name, {}).get("description", "") if isinstance(name, str) else ""
    return f"{name!r} is: {description.rstrip('.')}." if description else ""
