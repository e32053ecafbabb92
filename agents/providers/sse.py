"""Server-sent events out of the bytes of an answer."""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator, Iterator
from contextlib import aclosing
from typing import Protocol, cast


class Body(Protocol):
    """A response being read: what httpx and httpx2 agree on."""

    def aiter_bytes(self) -> AsyncIterator[bytes]:
        """Its bytes as they come."""
        ...


class SSEDecoder:
    """Server-sent events out of bytes cut anywhere (WHATWG HTML, 9.2.6); an event that did not end is not one."""

    def __init__(self) -> None:
        self._rest = b""
        self._event = ""
        self._data: list[str] = []
        self._begun = False

    def feed(self, chunk: bytes) -> Iterator[tuple[str, str]]:
        """Every event these bytes complete: its name, "" for none, and its data."""
        rest = self._rest + chunk
        # A CR at the end may be half of a CRLF: it waits for the next byte.
        held = b"\r" if rest.endswith(b"\r") else b""
        lines = (rest[:-1] if held else rest).replace(b"\r\n", b"\n").replace(b"\r", b"\n").split(b"\n")
        self._rest = lines.pop() + held
        for line in lines:
            if not self._begun:
                line = line.removeprefix(b"\xef\xbb\xbf")  # a byte order mark is no part of the first line
                self._begun = True
            if not line:
                if self._data:
                    yield self._event, "\n".join(self._data)
                self._event, self._data = "", []
                continue
            name, _, value = line.partition(b":")
            value = value.removeprefix(b" ")
            if name == b"data":
                self._data.append(value.decode("utf-8", errors="replace"))
            elif name == b"event":
                self._event = value.decode("utf-8", errors="replace")


async def events(response: Body) -> AsyncIterator[tuple[str, str]]:
    """The server-sent events of a body, as `SSEDecoder` tells them."""
    decoder = SSEDecoder()
    async with aclosing(cast("AsyncGenerator[bytes, None]", response.aiter_bytes())) as chunks:
        async for chunk in chunks:
            for event in decoder.feed(chunk):
                yield event
