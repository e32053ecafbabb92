"""`racto serve`: what hosts start."""

from __future__ import annotations

import argparse

from ..app import build
from . import flags

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
    server = build(settings)
    server.run(settings.transport)
    return 0
