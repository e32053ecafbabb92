"""What a toolset offers besides tools: things to read (resources) and conversations to start from (prompts).

Both are families: one object stands for everything of a kind that is kept, so what is saved a moment ago is listed at once.
Their methods may block (they read the database); the server calls them off the event loop.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal, Protocol, runtime_checkable

from .calls import Content

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine
    from typing import Any

    from .toolbox import Tool

VIEW_MIME_TYPE = "text/html;profile=mcp-app"
"""Of a page that hosts with MCP Apps show beside the answer of a tool; it gets the answer by message and may reach nothing else."""


@dataclass(frozen=True, slots=True)
class ResourceEntry:
    """One thing that can be read.

    :param size: Bytes, when known.
    :param modified: ISO 8601, when known.
    """

    uri: str
    name: str
    description: str = ""
    mime_type: str = "text/plain"
    size: int | None = None
    modified: str | None = None


class ResourceFamily(Protocol):
    """Everything of one kind that can be read, under one URI template (RFC 6570 level 1: `racto://pages/{collection}/{document}`).

    A template without variables is a single resource.
    """

    template: str
    name: str
    description: str
    mime_type: str

    def entries(self) -> Iterable[ResourceEntry]:
        """What there is now."""
        ...

    def read(self, variables: Mapping[str, str]) -> Sequence[str | bytes]:
        """The contents behind the template's variables.

        :raises UnknownNameError: there is no such thing.
        """
        ...

    def complete(self, variable: str, prefix: str) -> Sequence[str]:
        """Values for `variable` that start with `prefix`; empty when there are none or it cannot say."""
        ...


@dataclass(frozen=True, slots=True)
class PromptArgument:
    """One argument of a prompt; MCP knows only text ones."""

    name: str
    description: str = ""
    required: bool = False


@dataclass(frozen=True, slots=True)
class PromptEntry:
    """One prompt a person can pick in their client."""

    name: str
    description: str = ""
    arguments: Sequence[PromptArgument] = ()


@dataclass(frozen=True, slots=True)
class PromptMessage:
    """One turn of the conversation a prompt starts."""

    role: Literal["user", "assistant"]
    content: Content


class PromptFamily(Protocol):
    """Everything of one kind that can start a conversation."""

    def entries(self) -> Iterable[PromptEntry]:
        """What there is now."""
        ...

    def render(self, name: str, arguments: Mapping[str, str]) -> Sequence[PromptMessage]:
        """The conversation `name` starts.

        :raises UnknownNameError: there is no such prompt.
        :raises InputError: a required argument is missing or an argument is unknown.
        """
        ...

    def complete(self, name: str, argument: str, prefix: str, given: Mapping[str, str]) -> Sequence[str]:
        """Values for `argument` of prompt `name` that start with `prefix`."""
        ...


class Changed(Protocol):
    """What a family calls, from any thread, when what it offers is no longer what it was."""

    def __call__(self, uri: str | None = None) -> None:
        """:param uri: The resource that has other contents now, when it is one known resource."""
        ...


@runtime_checkable
class Observable(Protocol):
    """A family that says when what it offers changes, so clients can be told. Both kinds of family may be one."""

    def subscribe(self, changed: Changed) -> Callable[[], None]:
        """Call `changed` after every change.

        :returns: What ends the subscription.
        """
        ...


@dataclass(slots=True)
class Toolset:
    """One feature as it is offered: a name to switch it on by, its tools, and what can be read or picked beside them.

    :param wake: Awaited once, beside the first call of any tool: what goes on by itself as long as a server is used.
    """

    name: str
    tools: Sequence[Callable[..., Any] | Tool]
    resources: Sequence[ResourceFamily] = field(default_factory=tuple)
    prompts: Sequence[PromptFamily] = field(default_factory=tuple)
    wake: Callable[[], Coroutine[Any, Any, None]] | None = None
