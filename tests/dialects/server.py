"""A provider's server on 127.0.0.1, in the loop of the test: plain asyncio, so that a line can also stall, break or lie."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qsl, unquote, urlsplit

REQUEST_ID = "req-4711"


@dataclass
class Received:
    """One request as it came.

    :param headers: Names in lower case.
    :param body: The JSON value, `None` for no body.
    """

    method: str
    path: str
    query: dict[str, str]
    headers: dict[str, str]
    body: Any


@dataclass
class Line:
    """The way back to the client of one request.

    :param gone: Set when the client has hung up.
    """

    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter
    gone: asyncio.Event = field(default_factory=asyncio.Event)
    keep: bool = True

    async def whole(
        self,
        content: bytes,
        *,
        status: int = 200,
        content_type: str = "application/json",
        headers: dict[str, str] | None = None,
    ) -> None:
        """A whole answer."""
        self._head(status, {"content-type": content_type, "content-length": str(len(content)), **(headers or {})})
        self.writer.write(content)
        await self.writer.drain()

    async def json(self, value: Any, *, status: int = 200, headers: dict[str, str] | None = None) -> None:
        """A whole answer that is JSON."""
        await self.whole(json.dumps(value, ensure_ascii=False).encode(), status=status, headers=headers)

    async def start(self, content_type: str = "text/event-stream", headers: dict[str, str] | None = None) -> None:
        """The head of a stream."""
        self._head(200, {"content-type": content_type, "transfer-encoding": "chunked", **(headers or {})})
        await self.writer.drain()

    async def send(self, piece: bytes) -> None:
        """The next bytes of a stream."""
        self.writer.write(b"%x\r\n%b\r\n" % (len(piece), piece))
        await self.writer.drain()

    async def end(self) -> None:
        """The end of a stream."""
        self.writer.write(b"0\r\n\r\n")
        await self.writer.drain()

    async def cut(self) -> None:
        """Break the line here."""
        self.keep = False
        self.writer.close()

    async def stall(self) -> None:
        """Say nothing more until the client hangs up."""
        self.keep = False
        await self.reader.read()
        self.gone.set()

    async def mutter(self, piece: bytes) -> None:
        """Send something that says nothing, again and again, until the client hangs up."""
        self.keep = False
        hung_up = asyncio.ensure_future(self.reader.read())
        with suppress(ConnectionError):
            while not (await asyncio.wait([hung_up], timeout=0.05))[0]:
                await self.send(piece)
        hung_up.cancel()
        self.gone.set()

    def _head(self, status: int, headers: dict[str, str]) -> None:
        lines = [
            f"HTTP/1.1 {status} Told",
            f"x-request-id: {REQUEST_ID}",
            *(f"{name}: {value}" for name, value in headers.items()),
        ]
        self.writer.write("\r\n".join([*lines, "", ""]).encode("latin-1"))


class DialectServer:
    """A server that answers in one provider's dialect what the scenario in the model's name asks.

    A dialect implements `answer` for the scenarios it can express, and `error`.
    """

    def __init__(self) -> None:
        self.received: list[Received] = []
        self.lines: list[Line] = []
        self.gone = asyncio.Event()
        """Set when a client hung up on a stalled line."""
        self.waiting = asyncio.Event()
        """Set when a client waits for a first byte that does not come."""

    def scenario(self, request: Received) -> str:
        """What is asked for: the name of the model."""
        return str((request.body or {}).get("model", ""))

    def error(self, status: int) -> tuple[Any, dict[str, str]]:
        """The body and headers of an error with this status, in the provider's words."""
        raise NotImplementedError

    async def answer(self, scenario: str, request: Received, line: Line) -> None:
        """Answer as the scenario asks."""
        raise NotImplementedError

    async def _serve(self, scenario: str, request: Received, line: Line) -> None:
        if scenario.startswith("status-"):
            status = int(scenario.removeprefix("status-"))
            body, headers = self.error(status)
            if status == 401:  # a server that repeats the key it was sent
                body = json.loads(json.dumps(body).replace("THE-KEY", sent_key(request)))
            await line.json(body, status=status, headers=headers)
        elif scenario == "slow-first-byte":
            self.waiting.set()
            await line.stall()
        elif scenario == "cut-before":
            await line.cut()
        elif scenario == "malformed-json":
            await line.whole(b'{"this is": not JSON')
        elif scenario == "not-an-object":
            await line.json(["this", "is", "no", "answer"])
        elif scenario == "html":
            await line.whole(b"<html>Welcome to the proxy</html>", content_type="text/html")
        elif scenario == "gateway-502":
            await line.whole(b"<html>Bad Gateway</html>", status=502, content_type="text/html")
        else:
            await self.answer(scenario, request, line)

    async def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while request := await _read(reader):
                self.received.append(request)
                line = Line(reader, writer)
                self.lines.append(line)
                await self._serve(self.scenario(request), request, line)
                if line.gone.is_set():
                    self.gone.set()
                if not line.keep:
                    break
        except (ConnectionError, asyncio.IncompleteReadError):
            self.gone.set()
        finally:
            writer.close()

    @asynccontextmanager
    async def running(self) -> AsyncIterator[str]:
        """Serve; the value is the base URL, without a path."""
        open_lines: dict[asyncio.StreamWriter, asyncio.Task[Any]] = {}

        async def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            task = asyncio.current_task()
            assert task is not None
            open_lines[writer] = task
            await self._connected(reader, writer)
            del open_lines[writer]

        server = await asyncio.start_server(connected, "127.0.0.1", 0)
        try:
            yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        finally:
            server.close()
            for writer in open_lines:
                writer.transport.abort()
            await asyncio.gather(*open_lines.values())


def sent_key(request: Received) -> str:
    """The key a request carries, wherever its provider puts it."""
    for name in ("x-api-key", "x-goog-api-key", "authorization"):
        if name in request.headers:
            return request.headers[name].removeprefix("Bearer ")
    return "none"


async def _read(reader: asyncio.StreamReader) -> Received | None:
    """The next request of a connection; `None` when it was closed."""
    try:
        head = await reader.readuntil(b"\r\n\r\n")
    except asyncio.IncompleteReadError as error:
        if error.partial:
            raise
        return None
    first, *lines = head.decode("latin-1").split("\r\n")
    method, target, _ = first.split(" ", 2)
    headers = {
        name.strip().lower(): value.strip() for name, _, value in (line.partition(":") for line in lines if line)
    }
    if headers.get("transfer-encoding") == "chunked":
        content = b""
        while size := int((await reader.readline()).split(b";")[0], 16):
            content += await reader.readexactly(size)
            await reader.readline()
        await reader.readline()
    else:
        content = await reader.readexactly(int(headers.get("content-length", 0)))
    url = urlsplit(target)
    is_json = "json" in headers.get("content-type", "")
    return Received(
        method,
        unquote(url.path),
        dict(parse_qsl(url.query)),
        headers,
        json.loads(content) if content and is_json else content or None,
    )
