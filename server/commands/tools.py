"""`racto tools`: what can be called."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

from ...tools import load
from ..app import registry, services
from ..console import out, out_json, styled
from . import flags

if TYPE_CHECKING:
    from ...agents.toolbox import Tool

EXAMPLES = """\
  racto tools                     names, arguments and what each is for
  racto tools --toolsets pages
  racto tools --json              with the full schemas"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the flags of this command."""
    parser.add_argument("--json", action="store_true", help="print names, descriptions, schemas and hints as data")
    flags.add(parser, "toolsets", "read_only")


def run(arguments: argparse.Namespace) -> int:
    """Print the tools these settings offer."""
    settings = flags.loaded(arguments).settings
    with services(settings) as kept:
        tools = registry(settings, load(settings.toolsets, kept))
    if arguments.json:
        out_json([_as_data(tool) for tool in tools])
        return 0
    for tool in tools:
        out(f"{styled(tool.name, 'bold')}({_signature(tool)}){styled(_marks(tool), 'yellow')}")
        out("    " + " ".join(tool.description.partition("\n\n")[0].split()))
    return 0


def _as_data(tool: Tool) -> dict[str, object]:
    hints = {hint: getattr(tool, hint) for hint in ("read_only", "destructive", "idempotent", "open_world")}
    return {"name": tool.name, "description": tool.description, "input_schema": tool.input_schema, **hints}


def _signature(tool: Tool) -> str:
    """The arguments, required ones first and the others in brackets."""
    required = [one.name for one in tool.schema.parameters if one.required]
    optional = [f"[{one.name}]" for one in tool.schema.parameters if not one.required]
    return ", ".join(required + optional)


def _marks(tool: Tool) -> str:
    return "  destructive" if tool.destructive else "" if tool.read_only else "  writes"
