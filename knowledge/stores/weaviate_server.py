"""A Weaviate that runs as long as its store is open: the program `weaviate` of this machine, which is never downloaded."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import time
import weakref
from contextlib import ExitStack, suppress
from pathlib import Path

from ..errors import ConfigError, TimeLimitError

_START_SECONDS = 60.0
_STOP_SECONDS = 20.0
_POLL_SECONDS = 0.05
_PORTS = (
    "GRPC_PORT",
    "PROFILING_PORT",
    "CLUSTER_GOSSIP_BIND_PORT",
    "CLUSTER_DATA_BIND_PORT",
    "RAFT_PORT",
    "RAFT_INTERNAL_RPC_PORT",
)
"""What else it listens on; two at once would meet on the ports it takes by itself."""


class WeaviateServer:
    """Starts the program, on this machine's loopback address alone, and waits until it answers.

    Its data are in the folder weaviate-client's embedded mode uses, `~/.local/share/weaviate`; PERSISTENCE_DATA_PATH names another.

    :raises ConfigError: there is no such program, or it gave up.
    :raises TimeLimitError: it did not answer within a minute.
    """

    def __init__(self) -> None:
        program = shutil.which("weaviate")
        if program is None:
            raise ConfigError(
                "There is no url, and no program `weaviate` to start.",
                "Pass the url of a server, or put a release of Weaviate on the PATH.",
            )
        port, *others = _free_ports(1 + len(_PORTS))
        self.url = f"http://127.0.0.1:{port}"
        settings = {
            "AUTHENTICATION_ANONYMOUS_ACCESS_ENABLED": "true",
            "CLUSTER_HOSTNAME": "racto",  # the same every time: the data belong to it
            "CLUSTER_IN_LOCALHOST": "true",
            "DEFAULT_VECTORIZER_MODULE": "none",
            "DISABLE_TELEMETRY": "true",
            "PERSISTENCE_DATA_PATH": str(Path.home() / ".local" / "share" / "weaviate"),
            "RAFT_BOOTSTRAP_EXPECT": "1",
            **dict(zip(_PORTS, map(str, others), strict=True)),
        }
        process = subprocess.Popen(  # noqa: S603 - the program is the user's, its arguments are ours
            [program, "--host", "127.0.0.1", "--port", str(port), "--scheme", "http"],
            env=settings | os.environ,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        self.stop = weakref.finalize(self, _end, process)
        try:
            self._wait(process)
        except BaseException:
            self.stop()
            raise

    def _wait(self, process: subprocess.Popen[bytes]) -> None:
        import httpx2

        until = time.monotonic() + _START_SECONDS
        while True:
            with suppress(httpx2.HTTPError):
                if httpx2.get(f"{self.url}/v1/.well-known/ready", trust_env=False).is_success:
                    return
            with suppress(subprocess.TimeoutExpired):
                status = process.wait(_POLL_SECONDS)
                raise ConfigError(f"The program `weaviate` ended with {status}.", "Start it by hand to see why.")
            if time.monotonic() > until:
                raise TimeLimitError("Weaviate did not answer within a minute.", "Start it by hand, and pass its url.")


def _free_ports(count: int) -> list[int]:
    with ExitStack() as taken:
        probes = [taken.enter_context(socket.create_server(("127.0.0.1", 0))) for _ in range(count)]
        return [int(probe.getsockname()[1]) for probe in probes]


def _end(process: subprocess.Popen[bytes]) -> None:
    process.terminate()
    try:
        process.wait(_STOP_SECONDS)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
