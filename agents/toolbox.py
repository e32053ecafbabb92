"""Tools: typed functions with a schema, checked arguments, and limits.

The same object is offered to a model by the loop, to a client by the MCP server, to a person by the command line and by the HTTP API.
"""

from __future__ import annotations

import asyncio
import inspect
import logging
import re
import secrets
import threading
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, TypedDict, TypeVar, Unpack, overload

from pydantic import BaseModel

from ..knowledge.errors import AccessError, ConflictError, InputError, RactoError, TimeLimitError, unknown_name
from .calls import Text, ToolContext, ToolOutput, cut, plain, to_output
from .schemas import ParamSchema, ToolSchema
from .signatures import Signature, is_unbound_method, name_of, read_function, read_model
from .workers import Workers

__all__ = ["Hints", "ParamSchema", "Tool", "ToolRegistry", "ToolSchema", "tool"]

FunctionT = TypeVar("FunctionT", bound=Callable[..., Any])
TargetT = TypeVar("TargetT", bound="Callable[..., Any] | Tool")

DEFAULT_TIMEOUT = 60.0
"""Seconds; most MCP hosts give up on a call after as many."""

DEFAULT_MAX_OUTPUT = 40_000
"""Characters, about 10,000 tokens: where hosts begin to complain."""

_NAME = re.compile(r"[A-Za-z0-9_.-]{1,64}")

_PAGING = ("page", "pages", "cursor", "offset", "start", "end", "limit", "top_k", "max_results")
"""Names of parameters by which callers usually get less, or the next part."""

log = logging.getLogger(__name__)

_workers = Workers()


class Hints(TypedDict, total=False):
    """What can be said about a tool beside its name and description."""

    title: str
    """What people see; the name when empty."""
    read_only: bool
    """It changes nothing."""
    destructive: bool
    """It may remove or overwrite what was there."""
    idempotent: bool
    """Calling it again with the same arguments changes nothing more."""
    open_world: bool
    """It reaches beyond this machine."""
    scope: str
    """What a caller must be allowed; empty is for everybody."""
    timeout: float | None
    """Seconds; `None` for no limit."""
    max_output: int
    """Characters of text a call may return."""
    view: str
    """Address of the page that hosts with MCP Apps show an answer in (`ui://…`, a resource of `VIEW_MIME_TYPE`); the answer has to do without it."""


@dataclass(frozen=True, eq=False)
class Tool:
    """Something that can be called by name. Made by `@tool` and `ToolRegistry.register`; the hints are those of `Hints`.

    :param schema: The tool as a model is told about it.
    :param input_schema: JSON Schema (2020-12) of the arguments.
    :param fn: What is called; `None` when a pydantic model stands for the tool and a call only checks and returns its arguments.
    :param signature: Checks the arguments.
    """

    name: str
    description: str
    schema: ToolSchema
    input_schema: dict[str, Any]
    fn: Callable[..., Any] | None
    signature: Signature
    title: str = ""
    read_only: bool = False
    destructive: bool = False
    idempotent: bool = False
    open_world: bool = False
    scope: str = ""
    timeout: float | None = DEFAULT_TIMEOUT
    max_output: int = DEFAULT_MAX_OUTPUT
    view: str = ""

    @classmethod
    def of(
        cls, target: Any, *, name: str | None = None, description: str | None = None, **hints: Unpack[Hints]
    ) -> Tool:
        """The tool a function, method, partial, callable object or pydantic model makes.

        :param name: Instead of the name in the source: 1 to 64 of `A-Z a-z 0-9 _ . -`.
        :param description: Instead of the docstring.
        :raises InputError: it cannot be a tool; the message says why and what to do.
        """
        is_model = inspect.isclass(target) and issubclass(target, BaseModel)
        name = _valid(name_of(target) if name is None else name)
        signature = read_model(target) if is_model else read_function(target)
        description = signature.description if description is None else description
        schema = ToolSchema.from_json_schema(name, description, signature.input_schema)
        fn = None if is_model else target
        return cls(name, description, schema, schema.to_json_schema(), fn, signature, **hints)

    async def call(self, arguments: Mapping[str, Any] | None = None, context: ToolContext | None = None) -> ToolOutput:
        """Check the arguments, run the tool, and say what came of it. Raises nothing but cancellation.

        :param arguments: JSON-able data by parameter name.
        :param context: Who is calling and how to talk back to them; the silent one by default.
        """
        context = context or ToolContext()
        try:
            self._admit(context)
            values = self.signature.validate(arguments)
            return cut(to_output(await self._run(values, context)), self.max_output, self._rest)
        except RactoError as error:
            return _failed(error)
        except (Exception, SystemExit):  # noqa: BLE001  # whatever a tool raises, its caller is answered and the server stays
            return self._internal_error()

    @property
    def _rest(self) -> str:
        """How a caller gets at what an answer left out, as far as the parameters tell."""
        paging = [name for name in _PAGING if name in self.input_schema["properties"]]
        return (
            f"Call again with other values for {', '.join(paging)} to see the rest."
            if paging
            else "Ask for less at a time."
        )

    def _admit(self, context: ToolContext) -> None:
        if not context.caller.may(self.scope):
            raise AccessError(f"{self.name} needs the scope {self.scope!r}.", "Ask the person running racto for it.")

    async def _run(self, values: Any, context: ToolContext) -> Any:
        if self.fn is None:
            return plain(values)
        args, named = self.signature.split(values)
        if self.signature.context_name is not None:
            named[self.signature.context_name] = context
        try:
            async with asyncio.timeout(self.timeout) as limit:
                with context.limited(limit):
                    if inspect.iscoroutinefunction(self.fn):
                        return await self.fn(*args, **named)
                    result = await _workers.run(self.fn, *args, **named)
                    return await result if inspect.isawaitable(result) else result
        except TimeoutError:
            if not limit.expired():
                raise
            raise TimeLimitError(
                f"{self.name} took longer than {self.timeout:g} s.", "Ask for less at a time."
            ) from None

    def _internal_error(self) -> ToolOutput:
        error_id = secrets.token_hex(4)
        log.exception("%s failed (%s)", self.name, error_id)
        message = f"{self.name} failed: internal error {error_id}. The details are in the log of the server."
        structured = {"code": "internal", "message": message, "hint": "", "id": error_id}
        return ToolOutput([Text(message)], structured=structured, is_error=True)


def _failed(error: RactoError) -> ToolOutput:
    return ToolOutput([Text(str(error))], structured=error.as_dict(), is_error=True)


def _valid(name: str) -> str:
    if not _NAME.fullmatch(name):
        raise InputError(
            f"{name!r} cannot be the name of a tool.", "Give 1 to 64 letters, digits, `_`, `-` and `.` as name=…."
        )
    return name


class ToolRegistry:
    """Tools by name, in the order they came."""

    def __init__(self) -> None:
        self._tools: dict[str, Tool] = {}
        self._subscribers: list[Callable[[], None]] = []
        self._lock = threading.Lock()

    @overload
    def register(
        self, target: TargetT, *, name: str | None = ..., description: str | None = ..., **hints: Unpack[Hints]
    ) -> TargetT: ...

    @overload
    def register(
        self, target: None = None, *, name: str | None = ..., description: str | None = ..., **hints: Unpack[Hints]
    ) -> Callable[[TargetT], TargetT]: ...

    def register(
        self, target: Any = None, *, name: str | None = None, description: str | None = None, **hints: Unpack[Hints]
    ) -> Any:
        """Add a function, method, pydantic model or ready `Tool`; also a decorator, with and without arguments.

        :param target: What is called. What `@tool` said about it holds, unless it is said here again.
        :param name: Instead of the name in the source.
        :param description: Instead of the docstring.
        :returns: The target, or a decorator when there is none.
        :raises ConflictError: there is a tool of this name.
        :raises InputError: it cannot be a tool.
        """
        if target is None:
            return partial(self.register, name=name, description=description, **hints)
        if not isinstance(target, Tool) and is_unbound_method(target):
            raise InputError(
                f"{target.__qualname__} is a method without its object.",
                "Register it from an instance: `thing.method`.",
            )
        made = _made(target, name, description, hints)
        with self._lock:
            if made.name in self._tools:
                raise ConflictError(
                    f"There is a tool named {made.name!r} already.", "Give this one another name: name=…."
                )
            self._tools[made.name] = made
        self._changed()
        return target

    def unregister(self, name: str) -> None:
        """Take a tool out.

        :raises UnknownNameError: there is none of this name.
        """
        with self._lock:
            if name not in self._tools:
                raise unknown_name("tool", name, self._tools)
            del self._tools[name]
        self._changed()

    def subscribe(self, callback: Callable[[], None]) -> Callable[[], None]:
        """Have `callback` called after every change, in the thread that made it.

        :returns: A function that ends the subscription.
        """
        self._subscribers.append(callback)
        return partial(self._unsubscribe, callback)

    def _unsubscribe(self, callback: Callable[[], None]) -> None:
        if callback in self._subscribers:
            self._subscribers.remove(callback)

    def _changed(self) -> None:
        for callback in tuple(self._subscribers):
            callback()

    async def call(
        self, name: str, arguments: Mapping[str, Any] | None = None, context: ToolContext | None = None
    ) -> ToolOutput:
        """Call a tool by name; an unknown one is an error output with the nearest name. See `Tool.call`."""
        found = self._tools.get(name)
        if found is None:
            return _failed(unknown_name("tool", name, self._tools))
        return await found.call(arguments, context)

    def get(self, name: str) -> Tool:
        """The tool of this name.

        :raises UnknownNameError: there is none; the nearest name is in the hint.
        """
        found = self._tools.get(name)
        if found is None:
            raise unknown_name("tool", name, self._tools)
        return found

    def get_schema(self, name: str) -> ToolSchema | None:
        """The schema of the tool of this name, if there is one."""
        found = self._tools.get(name)
        return found.schema if found else None

    def get_callable(self, name: str) -> Callable[..., Any] | None:
        """The function that was registered under this name; `None` for a pydantic model, which has no function, and for no tool."""
        found = self._tools.get(name)
        return found.fn if found else None

    @property
    def schemas(self) -> list[ToolSchema]:
        """The schema of every tool, in the order they came."""
        return [each.schema for each in self]

    @property
    def tools(self) -> dict[str, ToolSchema]:
        """The schema of every tool, by name."""
        return {each.name: each.schema for each in self}

    def __len__(self) -> int:
        return len(self._tools)

    def __contains__(self, name: object) -> bool:
        return name in self._tools

    def __iter__(self) -> Iterator[Tool]:
        return iter(tuple(self._tools.values()))


@overload
def tool(
    fn: FunctionT,
    /,
    *,
    name: str | None = ...,
    description: str | None = ...,
    registry: ToolRegistry | None = ...,
    **hints: Unpack[Hints],
) -> FunctionT: ...


@overload
def tool(
    fn: ToolRegistry | None = None,
    /,
    *,
    name: str | None = ...,
    description: str | None = ...,
    registry: ToolRegistry | None = ...,
    **hints: Unpack[Hints],
) -> Callable[[FunctionT], FunctionT]: ...


def tool(
    fn: Any = None,
    /,
    *,
    name: str | None = None,
    description: str | None = None,
    registry: ToolRegistry | None = None,
    **hints: Unpack[Hints],
) -> Any:
    """Mark a function as a tool: `@tool`, `@tool(name=…)`, or `@tool(registry)` to register it at once.

    The function stays what it is and gains `_tool_schema`, the `ToolSchema` made from its hints and docstring.

    :param fn: The function; or a registry, as a short form of `registry`.
    :param name: Instead of the name in the source.
    :param description: Instead of the docstring.
    :param registry: Where to register it.
    :raises InputError: it cannot be a tool.
    :raises ConflictError: the registry has a tool of this name.
    """
    if isinstance(fn, ToolRegistry):
        fn, registry = None, fn
    if fn is None:
        return partial(tool, name=name, description=description, registry=registry, **hints)
    made = _made(fn, name, description, hints)
    try:
        fn._tool, fn._tool_schema = made, made.schema
    except AttributeError:
        raise InputError(f"{name_of(fn)} cannot carry a mark.", "Register it instead: registry.register(…).") from None
    if registry is not None:
        registry.register(fn)
    return fn


def _made(target: Any, name: str | None, description: str | None, hints: Hints) -> Tool:
    """The tool of a target, with what `@tool` said about it unless it is said again."""
    known = target if isinstance(target, Tool) else getattr(target, "__dict__", {}).get("_tool")
    if known is None:
        return Tool.of(target, name=name, description=description, **hints)
    name = known.name if name is None else name
    description = known.description if description is None else description
    said: Any = {key: getattr(known, key) for key in Hints.__annotations__} | hints
    if inspect.ismethod(target):  # marked as a function of its class, called as a method of its object
        return Tool.of(target, name=name, description=description, **said)
    return replace(
        known,
        name=_valid(name),
        description=description,
        schema=replace(known.schema, name=name, description=description),
        **said,
    )
