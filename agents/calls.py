"""What a tool is given when it is called, and what it gives back."""

from __future__ import annotations

import asyncio
import base64
import json
import math
from collections.abc import Generator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import Any, Protocol, TypeVar, runtime_checkable

from pydantic import BaseModel

ModelT = TypeVar("ModelT", bound=BaseModel)


@dataclass(frozen=True, slots=True)
class Text:
    """A piece of text."""

    text: str


@dataclass(frozen=True, slots=True)
class Blob:
    """An image or a sound, told apart by its MIME type (`image/png`, `audio/wav`)."""

    data: bytes
    mime_type: str

    @property
    def base64_data(self) -> str:
        """The bytes as base-64 text."""
        return base64.b64encode(self.data).decode("ascii")


@dataclass(frozen=True, slots=True)
class Link:
    """A pointer to a resource the client may read: where the rest of a long answer is."""

    uri: str
    name: str
    description: str = ""
    mime_type: str = "text/plain"


@dataclass(frozen=True, slots=True)
class Embedded:
    """A resource sent along in full."""

    uri: str
    data: str | bytes
    mime_type: str = "text/plain"


Content = Text | Blob | Link | Embedded


@dataclass(slots=True)
class ToolOutput:
    """What a call came to.

    :param content: What a person or model reads, in order.
    :param structured: The same as JSON-able data, when the tool has a shape to offer.
    :param is_error: The call failed in a way the caller can read about in `content`.
    """

    content: list[Content]
    structured: Any = None
    is_error: bool = False

    @property
    def text(self) -> str:
        """The text parts, joined by newlines."""
        return "\n".join(part.text for part in self.content if isinstance(part, Text))


@runtime_checkable
class Readable(Protocol):
    """A result that knows how to be read by a person; the structured form is made from its fields."""

    def render(self) -> str:
        """The result as readable text."""
        ...


@dataclass(frozen=True, slots=True)
class Caller:
    """Who is calling, and what they may do.

    :param name: Who, for the log.
    :param scopes: What is allowed; `None` allows everything.
    """

    name: str = "local"
    scopes: frozenset[str] | None = None

    def may(self, scope: str) -> bool:
        """Whether this caller holds `scope` (the empty scope is everybody's)."""
        return not scope or self.scopes is None or scope in self.scopes


@dataclass(slots=True)
class ToolContext:
    """The caller's side of one call. This base is the silent one; the MCP server and the command line each have their own.

    A tool asks for it with a parameter annotated `ToolContext`; the parameter is not part of the tool's schema.
    """

    caller: Caller = field(default_factory=Caller)
    # A factory, so that a subclass without slots sets it too.
    _limit: asyncio.Timeout | None = field(default_factory=lambda: None, init=False, repr=False, compare=False)

    @contextmanager
    def limited(self, limit: asyncio.Timeout) -> Generator[None]:
        """A block in which `limit` is the time limit of the call."""
        outer, self._limit = self._limit, limit
        try:
            yield
        finally:
            self._limit = outer

    @contextmanager
    def waiting(self) -> Generator[None]:
        """A block in which the time limit of the call stands still, for whoever waits for a person."""
        limit = self._limit
        end = limit.when() if limit else None
        if limit is None or end is None:
            yield
            return
        loop = asyncio.get_running_loop()
        left = end - loop.time()
        limit.reschedule(None)
        try:
            yield
        finally:
            limit.reschedule(loop.time() + left)

    def progress(self, done: float, total: float | None = None, message: str | None = None) -> None:
        """Tell the caller how far the work is. Cheap, never waits, safe from any thread."""

    async def elicit(self, message: str, model: type[ModelT]) -> ModelT | None:
        """Ask the person behind the call to fill in `model`.

        :returns: What they said, or `None` when they declined or there is nobody to ask.
        """
        return None

    async def confirm(self, message: str) -> bool | None:
        """Ask the person behind the call for a yes. Call it before anything is changed: the call may start again from its beginning.

        :returns: `True` for yes, `False` for no, `None` when there is nobody to ask.
        """
        return None


def to_output(value: Any) -> ToolOutput:
    """The output that stands for what a tool function returned.

    Text, numbers and `None` become text; models, dataclasses, dicts and lists also keep their structure, and read as their `render()`
    or as compact JSON.
    """
    if isinstance(value, ToolOutput):
        return value
    if isinstance(value, Text | Blob | Link | Embedded):
        return ToolOutput([value])
    if (
        isinstance(value, list | tuple)
        and value
        and all(isinstance(part, Text | Blob | Link | Embedded) for part in value)
    ):
        return ToolOutput(list(value))
    if value is None:
        return ToolOutput([Text("done")])
    if isinstance(value, str):
        return ToolOutput([Text(value)])
    structured = plain(value)
    text = value.render() if isinstance(value, Readable) else json.dumps(structured, ensure_ascii=False, default=str)
    return ToolOutput(
        [Text(text)], structured=structured if isinstance(structured, Mapping) else {"result": structured}
    )


def cut(output: ToolOutput, limit: int, rest: str) -> ToolOutput:
    """The output with at most `limit` characters of text, and of structure.

    Structure that is too large goes as a whole: half an object is none. Text that is cut ends in a sentence that says so, and the
    structure that said the same goes with the rest of it.

    :param rest: What to do to see what was cut, unless the output links to it.
    """
    total = sum(len(part.text) for part in output.content if isinstance(part, Text))
    if total <= limit:
        return output if _size(output.structured) <= limit else replace(output, structured=None)
    left = limit
    content: list[Content] = []
    for part in output.content:
        if isinstance(part, Text):
            shown = part.text[:left]
            left -= len(shown)
            content += [Text(shown)] if shown else []
        else:
            content.append(part)
    if any(isinstance(part, Link) for part in output.content):
        rest = "Read the linked resource for the rest."
    content.append(Text(f"[Cut: {limit:,} of {total:,} characters are shown. {rest}]"))
    return replace(output, content=content, structured=None)


def _size(structured: Any) -> int:
    """Bytes of the structure as JSON, which is what goes over the wire."""
    if structured is None:
        return 0
    from pydantic_core import to_json

    return len(to_json(structured, serialize_unknown=True))


def plain(value: Any) -> Any:
    """`value` as JSON-able data: models and dataclasses become dicts, dates ISO text, enums their values, bytes base 64, NaN null."""
    if value is None or type(value) in _SCALARS:
        return value if not isinstance(value, float) or math.isfinite(value) else None
    if isinstance(value, Mapping):
        return {str(plain(key)): plain(item) for key, item in value.items()}
    if isinstance(value, Sequence) and not isinstance(value, str | bytes):
        return [plain(item) for item in value]
    from pydantic_core import to_jsonable_python

    return to_jsonable_python(value, by_alias=True, bytes_mode="base64", inf_nan_mode="null", serialize_unknown=True)


_SCALARS = frozenset({str, int, float, bool})
