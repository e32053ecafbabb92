"""A server with tools that misbehave, started as a real process by the transport tests: `python -m tests.transport_server stdio|http …`."""

from __future__ import annotations

import argparse
import asyncio
import atexit
import ctypes
import logging
import os
import subprocess
import sys
import threading
from pathlib import Path
from typing import Annotated, Any

from pydantic import Field
from racto.agents.calls import ToolContext
from racto.agents.toolbox import ToolRegistry
from racto.server.descriptors import take_stdio

REPOSITORY = Path(__file__).resolve().parents[1]
TOKEN = "a-token-for-tests"

registry = ToolRegistry()


@registry.register
async def add(a: int, b: int) -> int:
    """Add two numbers."""
    return a + b


@registry.register
async def length(text: str) -> int:
    """How long a text is."""
    return len(text)


@registry.register(max_output=10**9)
async def repeat(text: str, times: Annotated[int, Field(ge=0)]) -> str:
    """A text, many times."""
    return text * times


@registry.register
async def surrogate() -> str:
    """Half of a character, which UTF-8 cannot say."""
    return "\ud800"


@registry.register(timeout=None)
async def hang() -> None:
    """Wait for ever; tell stderr how it began and how it ended."""
    say("hang began")
    try:
        await asyncio.Event().wait()
    finally:
        say("hang ended")


@registry.register(timeout=None)
def stuck() -> None:
    """Block the thread the toolbox gives it for ever."""
    say("stuck began")
    threading.Event().wait()


@registry.register(timeout=None)
async def stuck_in_the_loops_thread() -> None:
    """Block a thread that the closing event loop waits for."""
    say("stuck began")
    await asyncio.to_thread(threading.Event().wait)


@registry.register(timeout=None)
async def stuck_in_its_own_thread() -> None:
    """Block a thread that Python waits for."""
    threading.Thread(target=threading.Event().wait).start()
    say("stuck began")
    await asyncio.Event().wait()


@registry.register
async def count(context: ToolContext, to: int) -> int:
    """Count with progress."""
    for number in range(1, to + 1):
        context.progress(number, to)
        await asyncio.sleep(0)
    return to


@registry.register
def noise(how: str) -> str:
    """Write to standard output, in one of the ways libraries do."""
    make_noise(how)
    return "done"


@registry.register
def child_input() -> str:
    """What a child process finds on the standard input it inherits."""
    return subprocess.run(["cat"], capture_output=True, check=True, text=True).stdout


def say(text: str) -> None:
    """One line on stderr, at once."""
    os.write(2, f"{text}\n".encode())


def make_noise(how: str) -> None:
    """Write the word `NOISE` where standard output is believed to be."""
    if how == "print":
        print("NOISE")
    elif how == "descriptor":
        os.write(1, b"NOISE\n")
    elif how == "C":
        ctypes.CDLL(None).printf(b"NOISE\n")  # buffered by C until the process ends
    elif how == "child":
        subprocess.run(["echo", "NOISE"], check=True)
    elif how == "original":
        assert sys.__stdout__ is not None
        sys.__stdout__.write("NOISE\n")
    elif how == "device":
        with Path("/dev/stdout").open("a") as stdout:
            stdout.write("NOISE\n")
    else:
        raise ValueError(how)


def main() -> None:
    """Serve as the arguments say."""
    parser = argparse.ArgumentParser()
    parser.add_argument("transport", choices=["stdio", "http"])
    parser.add_argument("--noise", help="make this noise before serving and at exit")
    parser.add_argument("--max-line", type=int)
    parser.add_argument("--without-asyncio-pipes", action="store_true", help="what Windows gets")
    parser.add_argument("--max-request", type=int, default=1_000_000)
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--token")
    parser.add_argument("--allow", action="append", default=[], help="a further host and web origin to accept")
    arguments = parser.parse_args()
    logging.basicConfig(level="INFO", format="%(levelname)s %(name)s: %(message)s")
    if arguments.transport == "stdio":
        take_stdio()
    if arguments.noise:
        make_noise(arguments.noise)
        atexit.register(make_noise, arguments.noise)
    from racto.server.mcp import RactoMCPServer

    server: Any = RactoMCPServer.from_registry(registry, name="misbehaving", version="1.2.3").lowlevel
    if arguments.transport == "stdio":
        from racto.server import framing, stdio

        if arguments.without_asyncio_pipes:
            asyncio.run(stdio._serve_with_sdk(server, take_stdio()))
        else:
            stdio.run_stdio(server, max_line=arguments.max_line or framing.MAX_LINE)
    else:
        from racto.server.http import serve_http

        serve_http(
            server,
            host=arguments.host,
            port=0,
            token=arguments.token,
            allowed_hosts=arguments.allow,
            allowed_origins=[f"https://{name}" for name in arguments.allow],
            max_request_bytes=arguments.max_request,
        )
    say("returned")


if __name__ == "__main__":
    main()
