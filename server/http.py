"""MCP over HTTP on one port: Streamable HTTP at `/mcp`, the older HTTP+SSE at `/sse`, and `/health`."""

from __future__ import annotations

import asyncio
import logging
import signal
import socket
import sys
import threading
from collections.abc import AsyncGenerator, Callable, Generator, Sequence
from contextlib import asynccontextmanager, contextmanager, suppress
from typing import TYPE_CHECKING, Any

import anyio
from mcp.server.sse import SseServerTransport
from mcp.server.streamable_http_manager import StreamableHTTPSessionManager
from mcp_types import INVALID_REQUEST
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.middleware.cors import CORSMiddleware
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Mount, Route
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from ..knowledge.errors import ConfigError
from .endings import run_to_the_end
from .eras import serve_streams
from .framing import Refusal, parse, to_message
from .security import (
    LOOPBACK_NAMES,
    LOOPBACK_ORIGINS,
    AddressGuard,
    SizeGuard,
    TokenGuard,
    check_exposure,
    listening_names,
)

if TYPE_CHECKING:
    from mcp.server.lowlevel import Server

logger = logging.getLogger(__name__)

MAX_REQUEST_BYTES = 64 * 1024 * 1024
GRACE_SECONDS = 2.0
"""How long requests may go on after the server was told to stop; event streams end at once."""


class Sessions:
    """Streamable HTTP, started by the application's lifespan, or by the first request in a host that runs no lifespan for it.

    :param server: What answers.
    :param max_request_bytes: The longest request body.
    """

    def __init__(self, server: Server[Any], max_request_bytes: int) -> None:
        self._server = server
        self._max_request_bytes = max_request_bytes
        self._manager: StreamableHTTPSessionManager | None = None
        self._starting = asyncio.Lock()
        self._owner: asyncio.Task[None] | None = None

    @asynccontextmanager
    async def run(self) -> AsyncGenerator[None]:
        """Serve sessions until the context ends; it may be entered again after that."""
        # The addresses are checked in front of everything (security.py). Answers come as event streams, because a client of the
        # handshake era sees no progress in a JSON answer.
        manager = StreamableHTTPSessionManager(self._server, max_request_body_size=self._max_request_bytes)
        async with manager.run():
            self._manager = manager
            try:
                yield
            finally:
                self._manager = None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if self._manager is None:
            async with self._starting:
                if self._manager is None:
                    await self._start()
        assert self._manager is not None
        await self._manager.handle_request(scope, receive, send)

    async def _start(self) -> None:
        running = asyncio.get_running_loop().create_future()

        async def own() -> None:
            try:
                async with self.run():
                    running.set_result(None)
                    await asyncio.Event().wait()  # until the host's loop ends and cancels its tasks
            except Exception as error:
                if running.done():
                    raise
                running.set_exception(error)

        self._owner = asyncio.create_task(own())
        await running


class SseSessions:
    """The HTTP+SSE transport of 2024-11-05, deprecated and still what many hosts speak: a stream each, and POSTs beside it."""

    def __init__(self, server: Server[Any], max_request_bytes: int) -> None:
        self._server = server
        self._transport = SseServerTransport("/messages/", max_request_body_size=max_request_bytes)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async with self._transport.connect_sse(scope, receive, send) as (read, write):
            await serve_streams(self._server, read, write)

    async def post(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Take one message for a session; what is no message is refused here, the SDK would log each with a traceback."""
        request = await receive()
        value = parse(request.get("body", b""))
        message = value if isinstance(value, Refusal) else to_message(value)
        if scope["method"] == "POST" and (message is None or isinstance(message, Refusal)):
            refusal = message or Refusal(INVALID_REQUEST, "Not a JSON-RPC 2.0 answer.")
            await Response(refusal.encode(), 400, media_type="application/json")(scope, receive, send)
            return
        waiting = [request]

        async def replay() -> Message:
            return waiting.pop() if waiting else await receive()

        # The client may be gone by the time its session would take the message.
        with suppress(anyio.BrokenResourceError, anyio.ClosedResourceError):
            await self._transport.handle_post_message(scope, replay, send)


class Interruptible:
    """Ends running requests properly when the server stops: nobody is left waiting, and nothing is logged as a failure.

    :param app: What is served.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app
        self._running: dict[anyio.CancelScope, bool] = {}
        self._stopping = False

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        started = ended = False

        async def watched(message: Message) -> None:
            nonlocal started, ended
            started = True
            ended = message["type"] == "http.response.body" and not message.get("more_body", False)
            await send(message)

        if not self._stopping:
            with anyio.CancelScope() as cancel:
                self._running[cancel] = scope["method"] == "GET"
                try:
                    await self._app(scope, receive, watched)
                finally:
                    del self._running[cancel]
        if started and not ended:
            await send({"type": "http.response.body", "body": b"", "more_body": False})
        elif not started and self._stopping:
            await Response("The server is stopping.", 503, {"Connection": "close"})(scope, receive, send)

    async def stop(self, grace: float) -> None:
        """End every stream now, and what else is running after `grace` seconds; refuse what comes."""
        self._stopping = True
        for cancel, is_stream in list(self._running.items()):
            if is_stream:
                cancel.cancel()
        with anyio.move_on_after(grace):
            while self._running:  # noqa: ASYNC110 - as uvicorn waits for its own connections
                await anyio.sleep(0.02)
        for cancel in list(self._running):
            cancel.cancel()


def build_app(
    server: Server[Any],
    *,
    allowed_hosts: Sequence[str] = LOOPBACK_NAMES,
    allowed_origins: Sequence[str] = LOOPBACK_ORIGINS,
    token: str | None = None,
    max_request_bytes: int = MAX_REQUEST_BYTES,
    metrics: Callable[[], str] | None = None,
) -> Starlette:
    """The ASGI application; it can be mounted into another one, with or without its lifespan.

    :param allowed_hosts: Host headers to accept, `name` or `name:port`; everything else is refused with 421.
    :param allowed_origins: Web origins whose pages may call; pages from elsewhere are refused with 403.
    :param token: Bearer token every request must bring, except for `/health`; `None` asks for none.
    :param max_request_bytes: A longer request body is refused with 413.
    :param metrics: Makes what `/metrics` answers, in Prometheus' text format; `None` has no such path.
    """
    sessions = Sessions(server, max_request_bytes)
    sse = SseSessions(server, max_request_bytes)

    def guarded(app: ASGIApp) -> ASGIApp:
        return TokenGuard(SizeGuard(app, max_request_bytes), token)

    async def health(request: Request) -> JSONResponse:
        return JSONResponse({"status": "ok", "name": server.name, "version": server.version})

    async def counters(scope: Scope, receive: Receive, send: Send) -> None:
        assert metrics is not None
        await Response(metrics(), media_type="text/plain; version=0.0.4")(scope, receive, send)

    @asynccontextmanager
    async def lifespan(app: Starlette) -> AsyncGenerator[None]:
        async with sessions.run():
            yield

    return Starlette(
        routes=[
            Route("/mcp", guarded(sessions)),
            Route("/sse", guarded(sse), methods=["GET"]),
            Mount("/messages/", guarded(sse.post)),
            Route("/health", health),
            *([Route("/metrics", guarded(counters), methods=["GET"])] if metrics else []),
        ],
        middleware=[
            Middleware(AddressGuard, hosts=tuple(allowed_hosts), origins=tuple(allowed_origins)),
            # Only pages of the allowed origins get this far, so what they may read need not be named again.
            Middleware(
                CORSMiddleware,
                allow_origins=["*"],
                allow_methods=["GET", "POST", "DELETE"],
                allow_headers=["*"],
                expose_headers=["Mcp-Session-Id", "WWW-Authenticate"],
            ),
        ],
        lifespan=lifespan,
    )


def serve_http(
    server: Server[Any],
    *,
    host: str = "127.0.0.1",
    port: int = 8000,
    token: str | None = None,
    allowed_hosts: Sequence[str] = (),
    allowed_origins: Sequence[str] = (),
    max_request_bytes: int = MAX_REQUEST_BYTES,
    metrics: Callable[[], str] | None = None,
) -> None:
    """Serve over HTTP until SIGINT or SIGTERM; returns when every connection is closed.

    :param host: Address to listen on.
    :param port: Port to listen on; 0 takes a free one, which the log names.
    :param token: Bearer token clients must send; needed beyond loopback.
    :param allowed_hosts: Host headers to accept besides those of the address and of loopback.
    :param allowed_origins: Web origins to accept besides those of loopback.
    :param max_request_bytes: The longest request body.
    :param metrics: Makes what `/metrics` answers; `None` has no such path.
    :raises ConfigError: others could reach the address and there is no token, or the address cannot be listened on.
    """
    import uvicorn

    check_exposure(host, token)
    app = Interruptible(
        build_app(
            server,
            allowed_hosts=(*listening_names(host), *allowed_hosts),
            allowed_origins=(*LOOPBACK_ORIGINS, *allowed_origins),
            token=token,
            max_request_bytes=max_request_bytes,
            metrics=metrics,
        )
    )

    class Uvicorn(uvicorn.Server):
        async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
            await app.stop(GRACE_SECONDS)
            await super().shutdown(sockets)

    listener = _listen(host, port)
    name, bound = listener.getsockname()[:2]
    logger.info("listening on http://%s:%d (/mcp, /sse, /health)", f"[{name}]" if ":" in name else name, bound)
    config = uvicorn.Config(
        app,
        http="h11",  # httptools, where something else installed it, leaves white space at the end of a header (RFC 9110, 5.5)
        log_config=None,
        access_log=False,
        ws="none",
        server_header=False,
        timeout_graceful_shutdown=2,
    )
    with _quiet_signals():
        run_to_the_end(Uvicorn(config).serve([listener]))


def _listen(host: str, port: int) -> socket.socket:
    try:
        family, *_, address = socket.getaddrinfo(host or None, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)[
            0
        ]
        return _bound(family, address)
    except OSError as error:
        raise ConfigError(
            f"Cannot listen on {host} port {port}: {error.strerror or error}.",
            "Choose another with --port or RACTO_PORT (0 takes a free one).",
        ) from None


def _bound(family: int, address: Any) -> socket.socket:
    # asyncio switches Nagle's algorithm off (40 ms an answer) only where the protocol number is spelt out.
    listener = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    try:
        if sys.platform != "win32":  # there it would let a second server steal the port
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(address)
        listener.listen(2048)
    except OSError:
        listener.close()
        raise
    return listener


@contextmanager
def _quiet_signals() -> Generator[None]:
    """Keep the signals that end uvicorn from ending the process too: it raises them again once it has stopped."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    ignore: Callable[[int, Any], None] = lambda number, frame: None  # noqa: E731 - SIG_IGN would be inherited by children
    before = {number: signal.signal(number, ignore) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
