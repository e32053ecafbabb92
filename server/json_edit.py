"""Set or drop one member of a JSON text and leave every other byte as it was."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

_SPACE = re.compile(r"[ \t\r\n]*")
_START = re.compile("\ufeff?[ \t\r\n]*")  # Windows editors put a byte order mark first
_INDENT = re.compile(r'\n([ \t]+)"')


@dataclass(frozen=True, slots=True)
class _Member:
    name: str
    start: int
    value_start: int
    value_end: int


def parse(text: str) -> dict[str, Any]:
    """The object a JSON text holds; an empty text holds none, which is `{}`.

    :raises ValueError: it is not JSON, or not an object.
    """
    stripped = text[_end(_START, text, 0) :]
    try:
        value = json.loads(stripped) if stripped else {}
    except RecursionError:
        raise ValueError("it is nested too deeply") from None
    if not isinstance(value, dict):
        raise ValueError("the outermost value is not an object")  # noqa: TRY004 - one error for every wrong text
    return value


def set_member(text: str, path: Sequence[str], value: Any) -> str:
    """`text` with the member at `path` set to `value`; objects on the way are made where they are missing.

    What is added is indented like the text around it.

    :raises ValueError: `text` is not a JSON object, or something on the path is not an object.
    """
    parse(text)
    start = _end(_START, text, 0)
    if start == len(text):
        return text + json.dumps(_nested(path, value), indent=2, ensure_ascii=False) + "\n"
    for depth, name in enumerate(path):
        members, close = _members(text, start)
        found = next((member for member in reversed(members) if member.name == name), None)
        if found is None:
            piece = (
                json.dumps(name, ensure_ascii=False)
                + ": "
                + _laid_out(text, _nested(path[depth + 1 :], value), depth + 1)
            )
            return _inserted(text, start, members, close, piece, depth + 1)
        if depth == len(path) - 1:
            return text[: found.value_start] + _laid_out(text, value, depth + 1) + text[found.value_end :]
        start = found.value_start
    raise ValueError("the path is empty")


def drop_member(text: str, path: Sequence[str]) -> str:
    """`text` without the member at `path`; the same text when it is not there.

    :raises ValueError: `text` is not a JSON object, or something on the path is not an object.
    """
    parse(text)
    start = _end(_START, text, 0)
    for name in path[:-1]:
        found = [member for member in _members(text, start)[0] if member.name == name] if start < len(text) else []
        if not found:
            return text
        start = found[-1].value_start
    members, close = _members(text, start) if start < len(text) else ([], start)
    for index, member in enumerate(members):
        if member.name != path[-1]:
            continue
        if len(members) == 1:
            return text[: start + 1] + text[close:]
        if index + 1 < len(members):
            return drop_member(text[: member.start] + text[members[index + 1].start :], path)
        return text[: members[index - 1].value_end] + text[member.value_end :]
    return text


def _members(text: str, start: int) -> tuple[list[_Member], int]:
    """The members of the object that opens at `start`, and where it closes."""
    if text[start] != "{":
        raise ValueError(f"what stands at character {start} is not an object")
    decoder = json.JSONDecoder()
    members = []
    at = _end(_SPACE, text, start + 1)
    while text[at] != "}":
        name, end = decoder.raw_decode(text, at)
        value_start = _end(_SPACE, text, _end(_SPACE, text, end) + 1)  # past the colon
        _, value_end = decoder.raw_decode(text, value_start)
        members.append(_Member(name, at, value_start, value_end))
        at = _end(_SPACE, text, value_end)
        if text[at] == ",":
            at = _end(_SPACE, text, at + 1)
    return members, at


def _inserted(text: str, start: int, members: list[_Member], close: int, piece: str, depth: int) -> str:
    margin = _margin(text, depth)
    if members:
        end = members[-1].value_end
        return f"{text[:end]},{margin or ' '}{piece}{text[end:]}"
    return f"{text[: start + 1]}{margin}{piece}{_margin(text, depth - 1)}{text[close:]}"


def _laid_out(text: str, value: Any, depth: int) -> str:
    margin = _margin(text, depth)
    if not margin:
        return json.dumps(value, ensure_ascii=False)
    return json.dumps(value, indent=_indent(text), ensure_ascii=False).replace("\n", margin)


def _margin(text: str, depth: int) -> str:
    """The line break and indentation of a member at `depth`; nothing in a text of one line."""
    if "\n" not in text.strip():
        return ""
    return ("\r\n" if "\r\n" in text else "\n") + _indent(text) * depth


def _indent(text: str) -> str:
    found = _INDENT.search(text)
    return found[1] if found else "  "


def _nested(path: Sequence[str], value: Any) -> Any:
    for name in reversed(path):
        value = {name: value}
    return value


def _end(pattern: re.Pattern[str], text: str, at: int) -> int:
    found = pattern.match(text, at)
    return found.end() if found else at
