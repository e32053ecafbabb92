"""What a tool is given when it is called, and what it gives back."""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
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


def plain(value: Any) -> Any:
    """`value` as JSON-able data: models and dataclasses become dicts, dates become ISO text, enums their values."""
    if value is None or (isinstance(value, str | int | float | bool) and type(value) in _SCALARS):
        return value
    if isinstance(value, Mapping):
        return {str(plain(key)): plain(item) for key, item in value.items()}
    if isinstance(value, Sequence) and not isinstance(value, str | bytes):
        return [plain(item) for item in value]
    from pydantic_core import to_jsonable_python

    return to_jsonable_python(value, by_alias=True, serialize_unknown=True)


_SCALARS = frozenset({str, int, float, bool})
