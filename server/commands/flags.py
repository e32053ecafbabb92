"""The flags that set settings, the same on every command that takes them."""

from __future__ import annotations

import argparse
from typing import Any

from .. import log
from ..console import err
from ..settings import Loaded, Settings, load

_FLAGS: dict[str, tuple[str, dict[str, Any]]] = {
    "database": ("--database", {"metavar": "FILE"}),
    "roots": ("--root", {"metavar": "DIR", "action": "append"}),
    "toolsets": ("--toolsets", {"metavar": "A,B"}),
    "read_only": ("--read-only", {"action": "store_true", "default": None}),
    "transport": ("--transport", {"choices": ("stdio", "sse", "http")}),
    "host": ("--host", {}),
    "port": ("--port", {"type": int}),
}
"""Setting → its flag. A token has none: other users of the machine can see command lines."""


def add(parser: argparse.ArgumentParser, *names: str) -> None:
    """Let `parser` take the flags of these settings."""
    for name in names:
        flag, options = _FLAGS[name]
        about = Settings.model_fields[name].description or ""
        repeat = " May be repeated." if options.get("action") == "append" else ""
        parser.add_argument(flag, dest=name, help=(about + repeat).replace("%", "%%"), **options)


def loaded(arguments: argparse.Namespace) -> Loaded:
    """The settings with the flags that were given, warnings told, and the log going to stderr."""
    result = load({name: value for name, value in vars(arguments).items() if name in Settings.model_fields})
    for warning in result.warnings:
        err(f"racto: {warning}")
    log.configure(result.settings.log_level)
    return result
