"""JSON and JSON lines as an outline a person can read: `key: value`, what is nested indented, numbers as they are written."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from ..decoding import read_text
from ..documents import Document, DocumentBuilder
from . import BaseReader

_DEEPEST = 40
"""What is nested deeper stays JSON."""
_LONGEST_LIST = 200
"""A list of plain values that is no longer than this stands on one line."""
_SHOWN_LINES = 5


class JsonReader(BaseReader):
    """Reads JSON (RFC 8259)."""

    isolated = True  # parsed, it takes many times its size

    @property
    def supported_extensions(self) -> frozenset[str]:
        """`.json`."""
        return frozenset({".json"})

    def read(self, path: Path) -> Document:
        """The outline; what is no JSON, or nested too deep to be parsed, is kept as it stands."""
        text, notes = read_text(path)
        builder = DocumentBuilder()
        try:
            _write(_parsed(text), builder)
        except (ValueError, RecursionError) as error:
            notes.append(f"It is no valid JSON and was read as plain text ({type(error).__name__}).")
            return Document(text, str(path), {}, "text/plain", notes=notes)
        return Document(builder.content, str(path), {}, "application/json", notes=notes)


class JsonLinesReader(BaseReader):
    """Reads JSON lines: a paragraph for each line."""

    isolated = True

    @property
    def supported_extensions(self) -> frozenset[str]:
        """`.jsonl` and `.ndjson`."""
        return frozenset({".jsonl", ".ndjson"})

    def read(self, path: Path) -> Document:
        """The outline of each line; a line that is no JSON is kept as it stands, and told."""
        text, notes = read_text(path)
        builder = DocumentBuilder()
        wrong: list[int] = []
        for number, line in enumerate(text.split("\n"), 1):
            if not line.strip():
                continue
            try:
                _write(_parsed(line), builder)
            except (ValueError, RecursionError):
                wrong.append(number)
                builder.add(line.strip())
        if wrong:
            shown = ", ".join(map(str, wrong[:_SHOWN_LINES])) + (", …" if len(wrong) > _SHOWN_LINES else "")
            notes.append(f"No valid JSON, and kept as they stand: {len(wrong):,} lines ({shown}).")
        return Document(builder.content, str(path), {}, "application/x-ndjson", notes=notes)


def _parsed(text: str) -> Any:
    """The value; numbers stay text, as they are written."""
    return json.loads(text, parse_int=str, parse_float=str, parse_constant=str)


def _write(value: Any, builder: DocumentBuilder) -> None:
    """Append a value: a paragraph for each record of a list, one for anything else."""
    for part in value if isinstance(value, list) and any(isinstance(each, dict | list) for each in value) else [value]:
        builder.add("\n".join(_lines(part, 0)))


def _lines(value: Any, depth: int) -> Iterator[str]:
    """The lines of a value at a depth of the outline."""
    indent = "  " * depth
    if depth > _DEEPEST:
        yield indent + json.dumps(value, ensure_ascii=False)
    elif isinstance(value, dict) and value:
        for key, each in value.items():
            if (text := _short(each)) is None:
                yield f"{indent}{key}:"
                yield from _lines(each, depth + 1)
            else:
                yield f"{indent}{key}: {text}".rstrip()
    elif isinstance(value, list) and _short(value) is None:
        for each in value:
            first, *rest = _lines(each, depth + 1)
            yield f"{indent}- {first.lstrip()}"
            yield from rest
    else:
        yield indent + (_short(value) or "")


def _short(value: Any) -> str | None:
    """A value that fits on the line of its key; `None` for one that does not."""
    if isinstance(value, list) and not any(isinstance(each, dict | list) for each in value):
        text = ", ".join(map(_plain, value))
        return text if len(text) <= _LONGEST_LIST and "\n" not in text else None
    if isinstance(value, dict | list):
        return None if value else ""
    return _plain(value)


def _plain(value: object) -> str:
    return (
        {None: "null", True: "true", False: "false"}[value] if value is None or isinstance(value, bool) else str(value)
    )
