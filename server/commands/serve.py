"""`racto serve`: what hosts start."""

from __future__ import annotations

import argparse
import sys
from typing import TYPE_CHECKING

from ..console import err
from ..descriptors import take_stdio
from ..start import importing
from . import flags

if TYPE_CHECKING:
    from ...agents.telemetry import GatewayMetricsMiddleware
    from ..settings import Settings

EXAMPLES = """\
  racto serve                                      over stdio, as hosts start it
  racto serve --root ~/papers --read-only          nothing can be changed
  racto serve --transport http --port 8000         http://127.0.0.1:8000/mcp and /sse
  RACTO_TOKEN=… racto serve --transport http --host 0.0.0.0"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the flags of this command."""
    flags.add(parser, "transport", "host", "port", "toolsets", "read_only", "roots", "database")


def run(arguments: argparse.Namespace) -> int:
    """Serve until the client leaves or a signal comes."""
    settings = flags.loaded(arguments).settings
    stdio = settings.transport == "stdio"
    if stdio:
        if sys.stdin.isatty():
            err(
                "Waiting for an MCP client on standard input. `racto install --help` says how to add racto to one; Ctrl-C ends."
            )
        take_stdio()  # before anything is imported that might print
    with importing():
        from ..app import build, services
    metrics = _metrics(settings)
    with services(settings, *([metrics] if metrics else [])) as kept:
        with importing():
            server = build(settings, kept)
        if stdio:
            server.run("stdio")
        else:
            server.run(
                settings.transport,
                host=settings.host,
                port=settings.port,
                token=settings.token.get_secret_value() if settings.token else None,
                allowed_hosts=settings.allowed_hosts,
                allowed_origins=settings.allowed_origins,
                max_request_bytes=settings.max_request_bytes,
                metrics=metrics.exposition if metrics else None,
            )
    return 0


def _metrics(settings: Settings) -> GatewayMetricsMiddleware | None:
    if not settings.prometheus:
        return None
    if settings.transport == "stdio":
        err("The setting prometheus needs HTTP: nobody can fetch /metrics from a server on standard input and output.")
        return None
    from ...agents.telemetry import GatewayMetricsMiddleware

    return GatewayMetricsMiddleware()
