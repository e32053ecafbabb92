"""The other side of a transport: a process started for real, spoken to byte by byte."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import threading
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

from .transport_server import REPOSITORY

COMMAND = [sys.executable, "-m", "tests.transport_server"]
PATIENCE = 60.0
"""Seconds after which a process that should long have ended is killed, so that a failing test fails and does not hang."""


def environment() -> dict[str, str]:
    """Ours, with Python's own buffering: what hosts start servers with."""
    return {name: value for name, value in os.environ.items() if name != "PYTHONUNBUFFERED"}


class StdioPeer:
    """A client that knows nothing but pipes.

    :param process: The server, its standard input and output pipes.
    """

    def __init__(self, process: subprocess.Popen[bytes], stderr: Path) -> None:
        self.process = process
        self._stderr = stderr
        self._next_id = 0

    @property
    def stdin(self) -> IO[bytes]:
        """What we write to."""
        assert self.process.stdin is not None
        return self.process.stdin

    @property
    def stdout(self) -> IO[bytes]:
        """What we read from."""
        assert self.process.stdout is not None
        return self.process.stdout

    def stderr(self) -> str:
        """Everything logged so far."""
        return self._stderr.read_text(errors="replace")

    def write(self, data: bytes) -> None:
        """Send bytes as they are."""
        self.stdin.write(data)
        self.stdin.flush()

    def send(self, message: Any) -> None:
        """Send a JSON value as a line."""
        self.write(json.dumps(message).encode() + b"\n")

    def receive(self) -> Any:
        """The next line, which has to be JSON."""
        line = self.stdout.readline()
        assert line.endswith(b"\n"), f"the server ended, saying: {self.stderr()}"
        return json.loads(line)

    def request(self, method: str, params: dict[str, Any] | None = None) -> int:
        """Send a request; its id."""
        self._next_id += 1
        self.send(request(self._next_id, method, params))
        return self._next_id

    def ask(self, method: str, params: dict[str, Any] | None = None) -> Any:
        """Send a request and take the next line as its answer."""
        number = self.request(method, params)
        answer = self.receive()
        assert answer["id"] == number, answer
        return answer

    def call(self, tool: str, **arguments: Any) -> int:
        """Send a tool call; its id."""
        return self.request("tools/call", {"name": tool, "arguments": arguments})

    def text(self, tool: str, **arguments: Any) -> str:
        """The text a tool call comes to."""
        number = self.call(tool, **arguments)
        answer = self.receive()
        assert answer["id"] == number, answer
        return str(answer["result"]["content"][0]["text"])

    def initialize(self, version: str = "2025-11-25") -> Any:
        """Shake hands."""
        answer = self.ask("initialize", handshake(version))
        self.send({"jsonrpc": "2.0", "method": "notifications/initialized"})
        return answer

    def wait_for(self, text: str) -> None:
        """Wait until the server has logged `text`."""
        wait_for_line(self._stderr, text, self.process)

    def end(self) -> bytes:
        """Close the server's input; what it still had to say."""
        self.stdin.close()
        rest = self.stdout.read()
        self.process.wait(PATIENCE)
        return rest


def request(number: int | str, method: str, params: dict[str, Any] | None = None) -> dict[str, Any]:
    """A JSON-RPC request."""
    return {"jsonrpc": "2.0", "id": number, "method": method, **({} if params is None else {"params": params})}


def handshake(version: str = "2025-11-25") -> dict[str, Any]:
    """The parameters of `initialize`."""
    return {"protocolVersion": version, "capabilities": {}, "clientInfo": {"name": "peer", "version": "1"}}


def envelope(**params: Any) -> dict[str, Any]:
    """Parameters of a 2026-07-28 request."""
    meta = {
        "io.modelcontextprotocol/protocolVersion": "2026-07-28",
        "io.modelcontextprotocol/clientCapabilities": {},
        "io.modelcontextprotocol/clientInfo": {"name": "peer", "version": "1"},
    }
    return {**params, "_meta": meta}


def wait_for_line(log: Path, text: str, process: subprocess.Popen[bytes], times: int = 1) -> str:
    """Wait until a process has written so many lines with `text` to its log; the last of them."""
    with subprocess.Popen(
        ["tail", "-n", "+1", "-F", "-s", "0.02", str(log)], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
    ) as tail:

        def end() -> None:
            process.wait()
            tail.terminate()

        ended = threading.Thread(target=end, daemon=True)
        ended.start()
        assert tail.stdout is not None
        try:
            for line in tail.stdout:
                times -= text.encode() in line
                if not times:
                    return line.decode()
        finally:
            tail.terminate()
    raise AssertionError(f"the server ended without saying {text!r}: {log.read_text(errors='replace')}")


@contextmanager
def stdio_peer(log: Path, *arguments: str, **options: Any) -> Generator[StdioPeer]:
    """A server over stdio, ended (and waited for) with the block.

    :param log: The file its stderr goes to.
    :param options: For `Popen`.
    """
    with log.open("ab") as stderr:
        process = subprocess.Popen(
            [*COMMAND, "stdio", *arguments],
            **{
                "stdin": subprocess.PIPE,
                "stdout": subprocess.PIPE,
                "stderr": stderr,
                "env": environment(),
                "cwd": REPOSITORY,
                **options,
            },
        )
    with watched(process):
        yield StdioPeer(process, log)


@contextmanager
def watched(process: subprocess.Popen[bytes]) -> Generator[None]:
    """Kill a process that does not end, and leave none behind."""
    timer = threading.Timer(PATIENCE, process.kill)
    timer.start()
    try:
        with process:
            try:
                yield
            finally:
                if process.poll() is None:
                    process.kill()
    finally:
        timer.cancel()


class HttpPeer:
    """A server over HTTP, running.

    :param process: The server.
    :param port: Where it listens, on 127.0.0.1.
    """

    def __init__(self, process: subprocess.Popen[bytes], log: Path, port: int) -> None:
        self.process = process
        self.log = log
        self.port = port
        self.base = f"http://127.0.0.1:{port}"

    def wait_for(self, text: str, times: int = 1) -> None:
        """Wait until the server has logged `text` so many times."""
        wait_for_line(self.log, text, self.process, times)

    def stop(self, number: int = signal.SIGTERM) -> str:
        """Send a signal and wait for the end; the whole log."""
        self.process.send_signal(number)
        self.process.wait(PATIENCE)
        return self.log.read_text(errors="replace")


@contextmanager
def http_peer(log: Path, *arguments: str) -> Generator[HttpPeer]:
    """A server over HTTP on a free port, ended with the block."""
    with log.open("ab") as stderr:
        process = subprocess.Popen(
            [*COMMAND, "http", *arguments], stdin=subprocess.DEVNULL, stderr=stderr, env=environment(), cwd=REPOSITORY
        )
    with watched(process):
        line = wait_for_line(log, "listening on", process)
        found = re.search(r":(\d+) ", line)
        assert found, line
        yield HttpPeer(process, log, int(found[1]))
