"""MCP over standard input and output: one JSON-RPC message a line, nothing else, and an end to every beginning.

The SDK's transport moves each line through two threads and four streams; here the event loop reads and writes the pipes itself.
Where a loop cannot do that (Windows) the SDK's serves.
"""

from __future__ import annotations

import asyncio
import os
import stat
import sys
from collections import deque
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Any, Self

import anyio
from mcp.shared.message import ServerMessageMetadata, SessionMessage
from mcp_types import (
    INTERNAL_ERROR,
    INVALID_REQUEST,
    JSONRPCError,
    JSONRPCMessage,
    JSONRPCRequest,
    JSONRPCResponse,
    RequestId,
)

from .descriptors import Wire, take_stdio
from .endings import ending, run_to_the_end
from .eras import serve_streams
from .framing import MAX_LINE, LineSplitter, Refusal, encode, parse, to_message

if TYPE_CHECKING:
    from mcp.server.lowlevel import Server

READ_SIZE = 256 * 1024
READ_AHEAD = 256
"""Lines read before they are wanted; then the client has to wait."""

HIGH_WATER = 16 * 1024 * 1024
"""Bytes the client may leave unread; then nothing more is read from it, and who wants to send waits."""

GRACE_SECONDS = 1.0
"""How long calls may go on after the client closed our input: enough for `printf … | racto serve`, less than hosts wait."""

FLUSH_SECONDS = 2.0

BATCH_VERSION = "2025-03-26"
"""The one revision with JSON-RPC batches."""


class Batch:
    """The answers to an array of requests, which go back together.

    :param waiting: How many answers are to come.
    """

    def __init__(self, waiting: int) -> None:
        self._waiting = waiting
        self._answers: list[bytes] = []

    def add(self, answer: bytes | None) -> bytes | None:
        """Take one answer (`None`: it was cancelled and has none); the array to send, when that was the last."""
        self._waiting -= 1
        if answer is not None:
            self._answers.append(answer)
        return None if self._waiting or not self._answers else b"[" + b",".join(self._answers) + b"]"


class LineWriter:
    """Messages out, a line each, in order, never blocking the loop.

    :param fd: A pipe, socket or file; closed elsewhere.
    """

    def __init__(self, fd: int) -> None:
        self._fd = fd
        self._loop = asyncio.get_running_loop()
        self._buffer = bytearray()
        self._low_water = HIGH_WATER // 2
        self._broken = False
        self._open: dict[RequestId, Batch | None] = {}
        self.batches = False
        self.on_broken: Callable[[], None] = lambda: None
        self.drained = asyncio.Event()
        self.drained.set()
        self.idle = asyncio.Event()
        self.idle.set()

    def release(self) -> None:
        """Let go of everybody who waits for the client: it is over."""
        self.drained.set()
        self.idle.set()

    def expect(self, request: RequestId, batch: Batch | None) -> None:
        """Note a request that an answer is owed to."""
        self._open[request] = batch
        self.idle.clear()

    def settle(self, request: RequestId, answer: bytes | None) -> None:
        """Send the answer to a request, with its batch if it came in one; `None` when it gets none."""
        batch = self._open.pop(request, None)
        line = batch.add(answer) if batch else answer
        if line is not None:
            self.write(line)
        if not self._open:
            self.idle.set()

    async def settle_unanswered(self, request: RequestId) -> None:
        """The dispatcher's word that a request was cancelled and gets no answer."""
        self.settle(request, None)

    async def send(self, item: SessionMessage, /) -> None:
        """Send a message; waits while the client is far behind."""
        if self._broken:
            raise anyio.BrokenResourceError
        message = item.message
        if isinstance(message, JSONRPCResponse | JSONRPCError) and message.id is not None:
            if isinstance(message, JSONRPCResponse) and "protocolVersion" in message.result:
                self.batches = message.result["protocolVersion"] == BATCH_VERSION
            self.settle(message.id, self._encode_answer(message, message.id))
        else:
            self.write(encode(message))
        if not self.drained.is_set():
            await self.drained.wait()

    def _encode_answer(self, message: JSONRPCMessage, request: RequestId) -> bytes:
        try:
            return encode(message)
        except ValueError as error:
            return Refusal(INTERNAL_ERROR, f"The answer cannot be written as JSON: {error}.", request).encode()

    def write(self, line: bytes) -> None:
        """Queue one line, and write what the pipe takes at once."""
        if self._broken:
            return
        if self._buffer:
            self._buffer += line
            self._buffer += b"\n"
        else:
            line += b"\n"
            written = self._write_some(line)
            if written == len(line):
                return
            self._buffer += memoryview(line)[written:]
            self._loop.add_writer(self._fd, self._on_writable)
        if len(self._buffer) > HIGH_WATER:
            self.drained.clear()

    def _write_some(self, data: bytes | bytearray) -> int:
        written = 0
        with memoryview(data) as view:
            while written < len(view):
                try:
                    written += os.write(self._fd, view[written:])
                except BlockingIOError:
                    break
                except OSError:  # the client is gone, or the disk its answers go to is full
                    self._broken = True
                    self.on_broken()
                    return len(view)
        return written

    def _on_writable(self) -> None:
        written = self._write_some(self._buffer)
        del self._buffer[:written]
        if len(self._buffer) <= self._low_water:
            self.drained.set()
        if not self._buffer:
            self._loop.remove_writer(self._fd)

    async def aclose(self) -> None:
        """Let the client have what is queued, if it takes it soon."""
        if self._buffer:
            self._low_water = 0
            self.drained.clear()
            with anyio.move_on_after(FLUSH_SECONDS, shield=True):
                await self.drained.wait()
        self._loop.remove_writer(self._fd)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *exc: object) -> None:
        await self.aclose()


class LineReader:
    """Messages in. What is no message is answered here and never seen by anybody else.

    :param fd: A pipe, socket, terminal or file; closed elsewhere.
    :param writer: Where answers go; while it is full nothing is read.
    :param max_line: The longest line taken, in bytes.
    """

    def __init__(self, fd: int, writer: LineWriter, *, max_line: int = MAX_LINE) -> None:
        self._fd = fd
        self._writer = writer
        self._max_line = max_line
        self._loop = asyncio.get_running_loop()
        self._splitter = LineSplitter(max_line)
        self._lines: deque[bytes | None] = deque()
        self._messages: deque[SessionMessage] = deque()
        self._arrival = asyncio.Event()
        self._watching = False
        self._ended = False
        self._stopped = False
        writer.on_broken = self.stop

    def stop(self) -> None:
        """End the stream now, whatever the client still has to say."""
        self._stopped = True
        self._arrival.set()
        self._writer.release()

    async def receive(self) -> SessionMessage:
        """The next message.

        :raises anyio.EndOfStream: the client has closed our input and its calls are answered, or took too long.
        """
        while not self._stopped:
            if not self._writer.drained.is_set():
                await self._writer.drained.wait()
            elif self._messages:
                return self._messages.popleft()
            elif self._lines:
                self._take(self._lines.popleft())
            elif self._ended:
                with anyio.move_on_after(GRACE_SECONDS):
                    await self._writer.idle.wait()
                break
            else:
                self._arrival.clear()
                self._watch()
                await self._arrival.wait()
        raise anyio.EndOfStream

    def _take(self, line: bytes | None) -> None:
        if line is None:
            self._writer.write(Refusal(INVALID_REQUEST, f"The line is longer than {self._max_line} bytes.").encode())
            return
        if not line or line.isspace():
            return
        value = parse(line)
        if isinstance(value, list) and value and self._writer.batches:
            self._take_batch(value)
        elif isinstance(value, list):
            self._refuse(Refusal(INVALID_REQUEST, f"Batches (not empty) belong to revision {BATCH_VERSION}."), None)
        else:
            self._accept(value if isinstance(value, Refusal) else to_message(value), None)

    def _take_batch(self, values: list[Any]) -> None:
        items = [to_message(value) for value in values]
        owed = sum(isinstance(item, JSONRPCRequest | Refusal) for item in items)
        batch = Batch(owed)
        for item in items:
            self._accept(item, batch)

    def _accept(self, item: JSONRPCMessage | Refusal | None, batch: Batch | None) -> None:
        if isinstance(item, Refusal):
            self._refuse(item, batch)
        elif isinstance(item, JSONRPCRequest):
            if item.method != "subscriptions/listen":  # its answer comes with the end of the connection
                self._writer.expect(item.id, batch)
            unanswered = partial(self._writer.settle_unanswered, item.id)
            self._messages.append(SessionMessage(item, ServerMessageMetadata(on_request_unanswered=unanswered)))
        elif item is not None:
            self._messages.append(SessionMessage(item))

    def _refuse(self, refusal: Refusal, batch: Batch | None) -> None:
        line = batch.add(refusal.encode()) if batch else refusal.encode()
        if line is not None:
            self._writer.write(line)

    def _watch(self) -> None:
        if self._watching or self._ended:
            return
        self._watching = True
        try:
            self._loop.add_reader(self._fd, self._on_readable)
        except PermissionError:  # a file or /dev/null cannot be waited for: it is always ready
            self._loop.call_soon(self._read_file)

    def _read_file(self) -> None:
        self._on_readable()
        if self._watching:
            self._loop.call_soon(self._read_file)

    def _on_readable(self) -> None:
        try:
            data = os.read(self._fd, READ_SIZE)
        except BlockingIOError:
            return
        except OSError:  # the other end broke (a reset socket, a terminal that is gone): the same as its end
            data = b""
        self._lines.extend(self._splitter.feed(data) if data else self._splitter.close())
        self._ended = not data
        if self._ended or len(self._lines) > READ_AHEAD:
            self._unwatch()
        if self._lines or self._ended:
            self._arrival.set()

    def _unwatch(self) -> None:
        if self._watching:
            self._watching = False
            self._loop.remove_reader(self._fd)

    async def aclose(self) -> None:
        """Stop reading."""
        self._unwatch()
        self._ended = True

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> SessionMessage:
        try:
            return await self.receive()
        except anyio.EndOfStream:
            raise StopAsyncIteration from None

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *exc: object) -> None:
        await self.aclose()


async def serve_stdio(server: Server[Any], *, max_line: int = MAX_LINE) -> None:
    """Serve one client over the process's standard input and output.

    Returns when the client closes our input or is gone, on SIGINT or SIGTERM, or when the parent process ends. Calls still running
    are cancelled and answered with an error. Standard output stays taken (see `take_stdio`).

    :param max_line: The longest message taken, in bytes; a longer one is refused as it arrives, without being held.
    """
    wire = take_stdio()
    if sys.platform == "win32":
        await _serve_with_sdk(server, wire)
        return
    pipes = [fd for fd in (wire.stdin, wire.stdout) if _is_private_pipe(fd) and os.get_blocking(fd)]
    for fd in pipes:
        os.set_blocking(fd, False)
    writer = LineWriter(wire.stdout)
    reader = LineReader(wire.stdin, writer, max_line=max_line)
    try:
        with ending(reader.stop):
            await serve_streams(server, reader, writer)
    finally:
        for fd in pipes:
            os.set_blocking(fd, True)


def run_stdio(server: Server[Any], *, max_line: int = MAX_LINE) -> None:
    """`serve_stdio` for a process that does nothing else."""
    run_to_the_end(serve_stdio(server, max_line=max_line))


def _is_private_pipe(fd: int) -> bool:
    """Whether the descriptor can be made non-blocking: a pipe or socket that is not standard error's too, nor a terminal."""
    status = os.fstat(fd)
    pipe = stat.S_ISFIFO(status.st_mode) or stat.S_ISSOCK(status.st_mode)
    try:
        return pipe and not os.path.samestat(status, os.fstat(2))
    except OSError:  # no standard error
        return pipe


async def _serve_with_sdk(server: Server[Any], wire: Wire) -> None:
    from mcp.server.stdio import stdio_server

    stdin = anyio.wrap_file(open(wire.stdin, encoding="utf-8", errors="replace"))  # noqa: SIM115, ASYNC230, PTH123 - stays open as long as the process
    stdout = anyio.wrap_file(open(wire.stdout, "w", encoding="utf-8", newline="\n"))  # noqa: SIM115, ASYNC230, PTH123 - likewise
    async with stdio_server(stdin, stdout) as (read, write):
        await serve_streams(server, read, write)
