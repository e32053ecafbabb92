"""What a docstring says a function does and what its parameters mean: reST, Google and NumPy styles, mixed if need be.

A tool needs these two things only, and they fit in a page: no library for them.
"""

from __future__ import annotations

import inspect
import re
from collections.abc import Iterator

_FIELD = re.compile(r":(?P<kind>[a-zA-Z]+)(?P<subject>[^:]*):(?:\s+(?P<text>.*)|$)")
_PARAMETER_FIELDS = frozenset({"param", "parameter", "arg", "argument", "key", "keyword"})
_FIELDS = _PARAMETER_FIELDS | {
    *("type", "raises", "raise", "except", "exception", "return", "returns", "rtype"),
    *("yield", "yields", "ytype", "var", "ivar", "cvar", "vartype", "meta"),
}

_PARAMETER_SECTIONS = frozenset(
    {"args", "arguments", "params", "parameters", "keyword args", "keyword arguments", "other parameters"}
)
_SECTIONS = _PARAMETER_SECTIONS | {
    *("returns", "return", "yields", "yield", "receives", "raises", "raise", "warns", "attributes", "methods"),
    *("example", "examples", "note", "notes", "see also", "references", "warnings", "todo"),
}
_GOOGLE_ENTRY = re.compile(r"\*{0,2}(?P<name>\w+)\s*(?:\(.*?\)+)?\s*:(?:\s+(?P<text>.*)|$)")
_NUMPY_ENTRY = re.compile(r"(?P<names>\*{0,2}\w+(?:\s*,\s*\*{0,2}\w+)*)\s*(?::.*)?$")


def parse_docstring(docstring: str | None) -> tuple[str, dict[str, str]]:
    """The description and the help of each parameter.

    :param docstring: As written, indentation and all; `None` counts as empty.
    :returns: The text before the first section or field, and `{parameter: help}` with each help on one line.
    """
    lines = inspect.cleandoc(docstring or "").splitlines()
    description_end = len(lines)
    helps: dict[str, str] = {}
    position = 0
    while position < len(lines):
        end = position + 1
        if (field := _field(lines[position])) is not None:
            end = _field_end(lines, end)
            if field["kind"].lower() in _PARAMETER_FIELDS and (words := field["subject"].split()):
                _add(helps, words[-1], [field["text"] or "", *lines[position + 1 : end]])
        elif (section := _section(lines, position)) is not None:
            name, body = section
            end = _section_end(lines, body)
            if name in _PARAMETER_SECTIONS:
                entries = _google_entries if body == position + 1 else _numpy_entries
                for parameter, text in entries(lines[body:end]):
                    _add(helps, parameter, text)
        else:
            position = end
            continue
        description_end = min(description_end, position)
        position = end
    return "\n".join(lines[:description_end]).strip(), helps


def _add(helps: dict[str, str], name: str, text: list[str]) -> None:
    helps.setdefault(name.lstrip("*\\"), " ".join(" ".join(text).split()))


def _field(line: str) -> re.Match[str] | None:
    """The reST field that starts on this line: `:param int limit: text`."""
    match = _FIELD.match(line)
    return match if match and match["kind"].lower() in _FIELDS else None


def _field_end(lines: list[str], position: int) -> int:
    """A field goes on while lines are indented, or follow it without a blank line and do not start something else."""
    while position < len(lines):
        line = lines[position]
        if line.strip():
            after_blank = not lines[position - 1].strip()
            if not line[0].isspace() and (after_blank or _field(line) or _section(lines, position)):
                break
        position += 1
    return position


def _section(lines: list[str], position: int) -> tuple[str, int] | None:
    """The section that starts on this line: its lower-case name and where its body starts (one line on: Google, two: NumPy)."""
    line = lines[position]
    name = line.rstrip().removesuffix(":").lower()
    if name not in _SECTIONS:
        return None
    following = lines[position + 1] if position + 1 < len(lines) else ""
    if re.fullmatch(r"-{3,}\s*|={3,}\s*", following):
        return name, position + 2
    if line.rstrip().endswith(":") and following[:1].isspace() and following.strip():
        return name, position + 1
    return None


def _section_end(lines: list[str], body: int) -> int:
    """A Google section ends where the indentation does, a NumPy one where the next section or field starts."""
    indented = body < len(lines) and lines[body][:1].isspace()
    for position in range(body, len(lines)):
        line = lines[position]
        if not line.strip() or line[0].isspace():
            continue
        if indented or _field(line) or _section(lines, position):
            return position
    return len(lines)


def _google_entries(body: list[str]) -> Iterator[tuple[str, list[str]]]:
    """`name (type): text` at the section's indentation, its text going on further right."""
    filled = [line for line in body if line.strip()]
    base = min((len(line) - len(line.lstrip()) for line in filled), default=0)
    current: tuple[str, list[str]] | None = None
    for line in filled:
        entry = _GOOGLE_ENTRY.match(line[base:])
        if entry:
            if current:
                yield current
            current = entry["name"], [entry["text"] or ""]
        elif current:
            current[1].append(line)
    if current:
        yield current


def _numpy_entries(body: list[str]) -> Iterator[tuple[str, list[str]]]:
    """`name, other : type` at the margin, the text indented below."""
    names: list[str] = []
    text: list[str] = []
    for line in body:
        if line[:1].isspace() or not line.strip():
            text.append(line)
            continue
        yield from ((name, text) for name in names)
        entry = _NUMPY_ENTRY.match(line)
        names, text = ([name.strip() for name in entry["names"].split(",")] if entry else []), []
    yield from ((name, text) for name in names)
