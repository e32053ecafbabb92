"""A tool registry, with what can be read and picked beside it, as an MCP server for clients of every protocol revision."""

from __future__ import annotations

import asyncio
import logging
import secrets
from collections.abc import Callable, Coroutine, Sequence
from typing import TYPE_CHECKING, Any, Literal, TypedDict, Unpack, get_args

import mcp_types as types
from mcp.server import CacheHint, NotificationOptions, Server, ServerRequestContext
from mcp.server.caching import CacheableMethod
from mcp.server.context import CallNext, HandlerResult
from mcp.server.models import InitializationOptions
from mcp.server.request_state import RequestStateBoundary, RequestStateSecurity
from mcp.shared.exceptions import MCPError
from pydantic import BaseModel, ConfigDict, ValidationError

from ..agents.offers import Toolset
from ..agents.toolbox import Tool, ToolRegistry
from ..knowledge.errors import InputError, RactoError, unknown_name
from .changes import Changes, ToolsListChanged
from .content import to_block
from .context import InputNeededError, MCPToolContext
from .reading import Reading

if TYPE_CHECKING:
    from starlette.applications import Starlette

Transport = Literal["stdio", "sse", "streamable-http", "http"]

_STABLE = CacheHint(ttl_ms=300_000, scope="private")
"""Lists that change only when the server says so may be kept; what is stored may change with every call, and is read again."""
_CACHE_HINTS: dict[CacheableMethod, CacheHint] = {
    "server/discover": _STABLE,
    "tools/list": _STABLE,
    "resources/templates/list": _STABLE,
}

logger = logging.getLogger(__name__)


class HttpOptions(TypedDict, total=False):
    """What can be said about serving over HTTP beside the address."""

    token: str | None
    """Bearer token that every request must bring; without one only this machine is served."""
    allowed_hosts: Sequence[str]
    """Host headers to accept; those of this machine when left out."""
    allowed_origins: Sequence[str]
    """Web origins whose pages may call; those of this machine when left out."""
    max_request_bytes: int
    """A longer request is refused."""
    metrics: Callable[[], str] | None
    """Makes what `/metrics` answers, in Prometheus' text format; without it there is no such path."""


class MCPServerConfig(BaseModel):
    """How a server introduces itself.

    :param name: Its name, for programs.
    :param description: What it is for, in a sentence.
    :param version: Its own version.
    """

    model_config = ConfigDict(frozen=True)

    name: str
    description: str = ""
    version: str = "0.1.0"


class _Server(Server[Any]):
    """The SDK's server, which promises older clients that it tells them when a list changes."""

    def create_initialization_options(
        self,
        notification_options: NotificationOptions | None = None,
        experimental_capabilities: dict[str, dict[str, Any]] | None = None,
        extensions: dict[str, dict[str, Any]] | None = None,
    ) -> InitializationOptions:
        everything = NotificationOptions(prompts_changed=True, resources_changed=True, tools_changed=True)
        return super().create_initialization_options(
            notification_options or everything, experimental_capabilities, extensions
        )


class RactoMCPServer:
    """An MCP server over a `ToolRegistry`; a tool added to the registry later is offered at once, and clients are told.

    :param name: The name clients see.
    :param description: What the server is for, in a sentence.
    :param version: The version clients see.
    :param instructions: How a model should use the tools together; many clients put it in the system prompt.
    :param registry: The tools to offer; an empty one is made when there is none yet.
    """

    def __init__(
        self,
        name: str,
        *,
        description: str = "",
        version: str = "0.1.0",
        instructions: str | None = None,
        registry: ToolRegistry | None = None,
    ) -> None:
        self.config = MCPServerConfig(name=name, description=description, version=version)
        self.registry = ToolRegistry() if registry is None else registry
        self.lowlevel: Server[Any] = _Server(
            name,
            version=version,
            description=description or None,
            instructions=instructions,
            cache_hints=_CACHE_HINTS,
            get_tool_input_schema=self._input_schema,
            on_list_tools=self._list_tools,
            on_call_tool=self._call_tool,
        )
        # Instead of the SDK's OpenTelemetry middleware: nothing is told to anybody but the client.
        self.lowlevel.middleware = [
            _explain_errors,
            RequestStateBoundary(RequestStateSecurity.ephemeral(), default_audience=name),
        ]
        self._changes = Changes()
        self._changes.serve(self.lowlevel)
        self._reading = Reading(self.lowlevel, self._changes)
        self._listed: types.ListToolsResult | None = None
        self._asleep: list[Callable[[], Coroutine[Any, Any, None]]] = []
        self._awake: set[asyncio.Task[None]] = set()
        self.registry.subscribe(self._tools_changed)

    @classmethod
    def from_registry(
        cls,
        registry: ToolRegistry,
        *,
        name: str = "racto",
        description: str = "Tools of racto.",
        version: str = "0.1.0",
        instructions: str | None = None,
    ) -> RactoMCPServer:
        """A server that offers every tool of `registry` that is backed by a function; a bare pydantic model cannot be called."""
        return cls(name, description=description, version=version, instructions=instructions, registry=registry)

    def add_tool(self, fn: Callable[..., Any], *, name: str | None = None, description: str | None = None) -> None:
        """Offer one function. Its annotations make the schema, its docstring the description.

        :raises ConflictError: there is a tool of that name.
        """
        self.registry.register(fn, name=name, description=description)

    def add_toolset(self, toolset: Toolset) -> None:
        """Offer the tools of a feature and what can be read and picked beside them."""
        for fn in toolset.tools:
            self.registry.register(fn)
        for resources in toolset.resources:
            self._reading.add_resources(resources)
        for prompts in toolset.prompts:
            self._reading.add_prompts(prompts)
        if toolset.wake:
            self._asleep.append(toolset.wake)

    def run(
        self,
        transport: Transport = "stdio",
        *,
        host: str = "127.0.0.1",
        port: int = 8000,
        **options: Unpack[HttpOptions],
    ) -> None:
        """Serve until the client leaves or the process is told to stop.

        :param transport: `stdio`, or HTTP under any of its names: each serves `/mcp` and `/sse` on one port.
        :param options: For HTTP only.
        :raises ConfigError: the address can be reached from outside and there is no token.
        """
        if transport == "stdio":
            from .stdio import run_stdio

            run_stdio(self.lowlevel)
        elif transport in get_args(Transport):
            from .http import serve_http

            serve_http(self.lowlevel, host=host, port=port, **options)
        else:
            raise unknown_name("transport", transport, get_args(Transport))

    def get_asgi_app(self, **options: Unpack[HttpOptions]) -> Starlette:
        """The server as an ASGI application, to mount into another one."""
        from .http import build_app

        return build_app(self.lowlevel, **options)

    def _input_schema(self, name: str) -> dict[str, Any] | None:
        return self.registry.get(name).input_schema if name in self.registry else None

    def _tools_changed(self) -> None:
        self._listed = None
        self._changes.announce(ToolsListChanged())

    async def _list_tools(
        self, context: ServerRequestContext[Any], params: types.PaginatedRequestParams | None
    ) -> types.ListToolsResult:
        if self._listed is None:
            self._listed = types.ListToolsResult(tools=[_described(tool) for tool in self.registry if tool.fn])
        return self._listed

    async def _call_tool(
        self, request: ServerRequestContext[Any], params: types.CallToolRequestParams
    ) -> types.CallToolResult | types.InputRequiredResult:
        tool = self.registry.get(params.name)
        if tool.fn is None:
            raise unknown_name("tool", params.name, (known.name for known in self.registry if known.fn))
        while self._asleep:
            task = asyncio.create_task(self._asleep.pop()())
            self._awake.add(task)  # the loop itself would let it go
        context = MCPToolContext(request, params)
        try:
            output = await tool.call(params.arguments or {}, context)
            await context.finish()
        except InputNeededError as needed:
            return needed.result
        finally:
            context.close()
        return types.CallToolResult(
            content=[to_block(part, request.protocol_version) for part in output.content],
            structured_content=output.structured,
            is_error=output.is_error,
        )


async def _explain_errors(ctx: ServerRequestContext[Any, Any], call_next: CallNext) -> HandlerResult:
    """Middleware: what a client hears when a request fails is either meant for it, or a number to find in the log."""
    try:
        return await call_next(ctx)
    except (MCPError, ValidationError):
        raise
    except RactoError as error:
        code = types.INVALID_PARAMS if isinstance(error, InputError) else types.INTERNAL_ERROR
        raise MCPError(code, str(error), error.as_dict()) from error
    except Exception as error:
        number = secrets.token_hex(4)
        logger.exception("internal error %s in %s", number, ctx.method)
        raise MCPError(types.INTERNAL_ERROR, f"Internal error {number}; the log of the server says more.") from error


def _described(tool: Tool) -> types.Tool:
    """What a client is told about `tool`: no title and no output schema, which together would be half of the list.

    Of the hints, those that say more than the protocol assumes of a tool without any; of a tool that changes nothing the others say nothing.
    """
    hints = types.ToolAnnotations(open_world_hint=None if tool.open_world else False)
    if tool.read_only:
        hints.read_only_hint = True
    else:
        hints.destructive_hint = tool.destructive
        hints.idempotent_hint = tool.idempotent or None
    described = types.Tool(
        name=tool.name, description=tool.description, input_schema=tool.input_schema, annotations=hints
    )
    if tool.view:
        described.meta = {"ui": {"resourceUri": tool.view}}
    return described
