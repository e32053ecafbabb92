"""`racto call`: one tool, called by a person."""

from __future__ import annotations

import argparse
import asyncio
import json
import signal
import sys
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from ...agents.calls import Blob, Content, Embedded, Link, Text, ToolContext
from ...knowledge.errors import InputError
from ...tools import load
from ..app import registry, services
from ..console import Bar, out, out_json, refuse
from . import flags

EXAMPLES = """\
  racto call page_ingest --arg path=~/Documents/manuals
  racto call page_search --arg query="how do I reset it" --arg top_k=3
  racto call page_search --json-args '{"query": "reset"}' --json
  racto call page_delete --arg document='*' --arg collection=old --yes"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the flags of this command."""
    parser.add_argument("name", help="the tool; `racto tools` lists them")
    parser.add_argument(
        "--arg",
        action="append",
        default=[],
        metavar="KEY=VALUE",
        help="one argument; repeat it for more, or for the items of a list",
    )
    parser.add_argument("--json-args", default="{}", metavar="JSON", help="arguments as one JSON object")
    parser.add_argument("--json", action="store_true", help="print the structured result instead of the readable one")
    parser.add_argument("--yes", action="store_true", help="answer yes when the tool asks before it changes something")
    flags.add(parser, "roots", "database")


def run(arguments: argparse.Namespace) -> int:
    """Call the tool; 0 when it answered, 2 when it refused."""
    settings = flags.loaded(arguments).settings
    context = ConsoleContext(yes=arguments.yes)
    with services(settings) as kept:
        kept.follows = False
        tool = registry(settings, load(settings.toolsets, kept)).get(arguments.name)
        given = {**_parsed(arguments.json_args), **coerced(arguments.arg, tool.input_schema)}
        try:
            output = asyncio.run(tool.call(given, context))
        finally:
            context.bar.clear()
    if output.is_error:
        problem = output.structured or {}
        refuse(problem.get("message", output.text), problem.get("hint", ""))
        return 2
    if arguments.json:
        out_json({"text": output.text} if output.structured is None else output.structured)
    else:
        out("\n".join(map(_readable, output.content)))
    return 0


@dataclass(slots=True)
class ConsoleContext(ToolContext):
    """The caller is a person at a terminal.

    :param yes: They agreed beforehand to whatever the tool asks.
    """

    yes: bool = False
    bar: Bar = field(default_factory=Bar)

    def progress(self, done: float, total: float | None = None, message: str | None = None) -> None:
        """Show it at the terminal."""
        self.bar.draw(done, total, message)

    async def confirm(self, message: str) -> bool | None:
        """Ask at the terminal; `None` when there is none."""
        if self.yes:
            return True
        if not (sys.stdin.isatty() and sys.stderr.isatty()):
            return None
        self.bar.clear()
        before = signal.signal(signal.SIGINT, signal.default_int_handler)  # asyncio's would wait for the line
        try:
            sys.stderr.write(f"{message} [y/N] ")
            sys.stderr.flush()
            with self.waiting():
                return sys.stdin.readline().strip().lower() in {"y", "yes"}
        finally:
            signal.signal(signal.SIGINT, before)


def coerced(pairs: Sequence[str], schema: Mapping[str, Any]) -> dict[str, Any]:
    """Arguments from `key=value` words, read as the tool's schema wants them; what does not fit is left for the tool to refuse.

    :param pairs: The words; a key that stands several times, or whose schema is a list, makes a list.
    :param schema: The tool's input schema.
    """
    words: defaultdict[str, list[str]] = defaultdict(list)
    for pair in pairs:
        key, equals, value = pair.partition("=")
        if not equals or not key:
            raise InputError(f"{pair!r} is not KEY=VALUE.", 'For example: --arg query="what to look for"')
        words[key].append(value)
    known: Mapping[str, Any] = schema.get("properties", {})
    return {key: _value(values, known.get(key, {})) for key, values in words.items()}


def _value(words: list[str], schema: Mapping[str, Any]) -> Any:
    kinds = _kinds(schema)
    if "array" in kinds and not (len(words) == 1 and words[0].lstrip().startswith("[")):
        return [_value([word], schema.get("items", {})) for word in words]
    if len(words) > 1:
        return words
    if kinds == {"string"}:
        return words[0]
    try:
        value = json.loads(words[0])
    except (ValueError, RecursionError):
        return words[0]
    return (
        words[0] if kinds and not isinstance(value, str) and "string" in kinds and _kind(value) not in kinds else value
    )


def _kinds(schema: Mapping[str, Any]) -> set[str]:
    declared = schema.get("type", [])
    kinds = {declared} if isinstance(declared, str) else set(declared)
    return kinds - {"null"}


def _kind(value: object) -> str:
    kinds = {bool: "boolean", int: "integer", float: "number", list: "array", dict: "object", str: "string"}
    return kinds.get(type(value), "null")


def _parsed(text: str) -> dict[str, Any]:
    try:
        value = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise InputError(
            f"--json-args is not JSON: {error}.", """For example: --json-args '{"query": "reset"}'"""
        ) from None
    if not isinstance(value, dict):
        raise InputError("--json-args must be a JSON object.", """For example: --json-args '{"query": "reset"}'""")
    return value


def _readable(part: Content) -> str:
    match part:
        case Text():
            return part.text
        case Blob():
            return f"[{part.mime_type}, {len(part.data)} bytes]"
        case Link():
            return f"{part.name}: {part.uri}"
        case Embedded():
            return part.data if isinstance(part.data, str) else f"[{part.uri}, {len(part.data)} bytes]"
